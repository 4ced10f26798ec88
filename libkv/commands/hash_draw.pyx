"""HRANDFIELD (https://redis.io/docs/latest/commands/hrandfield/)."""

from libc.stdint cimport int64_t, uint64_t

from libkv.commands.collections cimport arg_draw
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport lookup_read_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_later, reply_nil, reply_oom, reply_slice
from libkv.engine.types cimport CALL_DONE, TYPE_HASH, Arg, Ctx, Reply
from libkv.structures.cell cimport HASH_TABLE, Cell, Slice
from libkv.structures.hash cimport HASH_SCRATCH, HashIter, hash_iter, hash_length, hash_next, hash_random
from libkv.structures.order cimport (
    ORDER_BY_POINTER, Order, order_find, order_free_some, order_init, order_insert, OrderIter,
)
from libkv.structures.random cimport random_below

cdef enum:
    FEW = 3                     # fewer than a third: drawn one by one, else picked on a walk through all


cdef void reply_pair(Reply* r, Slice* field, Slice* value, bint values) noexcept nogil:
    if values and r.proto > 2:
        reply_array(r, 2)
    reply_slice(r, field)
    if values:
        reply_slice(r, value)


cdef void reply_size(Reply* r, int64_t n, bint values) noexcept nogil:
    reply_array(r, n * 2 if values and r.proto == 2 else n)


cdef void draw_walking(Ctx* c, Cell* cell, uint64_t count, bint values, Reply* r) noexcept nogil:
    """`count` different pairs in the hash's order, each choice as likely (Knuth, vol. 2, 3.4.2, algorithm S)."""
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef uint64_t left = hash_length(cell)
    hash_iter(&it, cell)
    while count > 0 and hash_next(&it, &field, &value, scratch):
        if random_below(&c.kv.random, left) < count:
            reply_pair(r, &field, &value, values)
            count -= 1
        left -= 1


cdef bint draw_few(Ctx* c, Cell* cell, uint64_t count, bint values, Reply* r) noexcept nogil:
    """`count` different pairs of a large table, drawn again when they were drawn already; False: no memory."""
    cdef Order drawn
    cdef OrderIter it
    cdef Slice field
    cdef Slice value
    cdef bint whole = True
    order_init(&drawn, ORDER_BY_POINTER)
    while count > 0:
        hash_random(cell, &c.kv.random, &field, &value, NULL)
        if order_find(&drawn, 0, <void*>field.p, &it):
            continue
        if order_insert(c.heap, &drawn, 0, <void*>field.p) != 0:
            whole = False
            break
        reply_pair(r, &field, &value, values)
        count -= 1
    order_free_some(c.heap, &drawn, <uint64_t>-1)
    return whole


cdef int draw(Ctx* c, Arg* argv, int64_t count, bint values, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef uint64_t n
    cdef size_t mark = reply_later(r)
    if wrong:
        return CALL_DONE
    if e == NULL or count == 0:
        reply_array(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    n = hash_length(&cell)
    if count < 0:
        reply_size(r, -count, values)
        while count < 0 and not r.out.failed:
            hash_random(&cell, &c.kv.random, &field, &value, scratch)
            reply_pair(r, &field, &value, values)
            count += 1
        return CALL_DONE
    if <uint64_t>count > n:
        count = <int64_t>n
    reply_size(r, count, values)
    if cell.layout == HASH_TABLE and <uint64_t>count < n // FEW:
        if not draw_few(c, &cell, count, values, r):
            if not r.out.failed:
                r.out.n = mark
            reply_oom(r)
    else:
        draw_walking(c, &cell, count, values, r)
    return CALL_DONE


cdef int cmd_hrandfield(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t count = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if argc >= 3:
        if not arg_draw(argv, argc, b"withvalues", 10, &count, r):
            return CALL_DONE
        return draw(c, argv, count, argc == 4, r)
    e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    entry_cell(e, &cell)
    hash_random(&cell, &c.kv.random, &field, &value, scratch)
    reply_slice(r, &field)
    return CALL_DONE


registry_bind("hrandfield", cmd_hrandfield)
