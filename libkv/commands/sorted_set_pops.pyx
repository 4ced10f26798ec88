"""ZPOPMIN, ZPOPMAX, ZMPOP and ZRANDMEMBER (https://redis.io/docs/latest/commands/zmpop/).

The effect of ZMPOP is a ZPOPMIN or ZPOPMAX of the key that it found, with the count that it could take.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from libkv.commands.collections cimport arg_draw
from libkv.commands.sorted_sets cimport zset_removed
from libkv.engine.args cimport arg_is, arg_range
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int, propagating
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport lookup_read_type, lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_double, reply_later, reply_nil, reply_nil_array, reply_oom, reply_slice, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, TYPE_ZSET, Arg, Ctx, Reply
from libkv.structures.cell cimport ZSET_TREE, Cell, Slice
from libkv.structures.order cimport (
    ORDER_BY_POINTER, Order, OrderIter, order_find, order_free_some, order_init, order_insert,
)
from libkv.structures.random cimport random_below
from libkv.structures.zset cimport (
    ZSET_SCRATCH, ZsetIter, zset_iter, zset_length, zset_next, zset_random, zset_remove_range,
)

cdef enum:
    FEW = 3                     # fewer than a third: drawn one by one, else picked on a walk through all


# ---- popping

cdef void reply_run(Cell* cell, uint64_t n, bint largest, bint nested, Reply* r) noexcept nogil:
    """The n lowest or highest members with their scores."""
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    reply_array(r, <int64_t>(n if nested else n * 2))
    zset_iter(&it, cell, zset_length(cell) - 1 if largest else 0, largest)
    while n > 0 and zset_next(&it, &member, &score, scratch):
        if nested:
            reply_array(r, 2)
        reply_slice(r, &member)
        reply_double(r, score)
        n -= 1


cdef int64_t pop_from(Ctx* c, Arg* key, Entry* e, int64_t count, bint largest, bint nested, Reply* r) noexcept nogil:
    """Replies and removes up to count > 0 members; how many, or -1 without memory, which is replied."""
    cdef Cell cell
    cdef uint64_t n
    cdef uint64_t size
    cdef size_t mark = reply_later(r)
    entry_cell(e, &cell)
    size = zset_length(&cell)
    n = size if <uint64_t>count > size else <uint64_t>count
    reply_run(&cell, n, largest, nested, r)
    if zset_remove_range(c.heap, &cell, size - n if largest else 0, size if largest else n) != 0:
        if not r.out.failed:
            r.out.n = mark
        reply_oom(r)
        return -1
    zset_removed(c, key, e, &cell, b"zpopmax" if largest else b"zpopmin", n)
    return <int64_t>n


cdef int pop_command(Ctx* c, Arg* argv, int argc, Reply* r, bint largest) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t count = 1
    cdef Entry* e
    if argc > 3:
        reply_syntax(r)
        return CALL_DONE
    if argc == 3 and not arg_range(&argv[2], 0, INT64_MAX, &count, r, b"ERR value is out of range, must be positive"):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL or count == 0:
        reply_array(r, 0)
        return CALL_DONE
    pop_from(c, &argv[1], e, count, largest, argc == 3 and r.proto > 2, r)
    return CALL_DONE


cdef int cmd_zpopmin(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return pop_command(c, argv, argc, r, False)


cdef int cmd_zpopmax(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return pop_command(c, argv, argc, r, True)


cdef bint mpop_options(Arg* argv, int argc, int where, bint* largest, int64_t* count, Reply* r) noexcept nogil:
    """MIN or MAX at `where`, and COUNT behind it; False: an error is replied."""
    cdef bint counted = False
    cdef int i = where + 1
    if arg_is(&argv[where], b"min", 3):
        largest[0] = False
    elif arg_is(&argv[where], b"max", 3):
        largest[0] = True
    else:
        reply_syntax(r)
        return False
    count[0] = 1
    while i < argc:
        if counted or i + 1 == argc or not arg_is(&argv[i], b"count", 5):
            reply_syntax(r)
            return False
        if not arg_range(&argv[i + 1], 1, INT64_MAX, count, r, b"ERR count should be greater than 0"):
            return False
        counted = True
        i += 2
    return True


cdef bint zset_mpop_options(Arg* argv, int argc, int at, ZsetPop* o, Reply* r) noexcept nogil:
    """The number of keys at argv[at], the keys, MIN or MAX, COUNT; False: the error is replied."""
    cdef int64_t keys
    if not arg_range(&argv[at], 1, INT64_MAX, &keys, r, b"ERR numkeys should be greater than 0"):
        return False
    if keys >= argc - at - 1:
        reply_syntax(r)
        return False
    o.keys = &argv[at + 1]
    o.n_keys = <int>keys
    return mpop_options(argv, argc, at + 1 + o.n_keys, &o.largest, &o.count, r)


cdef bint zset_mpop_key(Ctx* c, Arg* key, ZsetPop* o, Reply* r) noexcept nogil:
    """Pops from one key; False: there is no such sorted set, nothing is replied."""
    cdef bint wrong = False
    cdef size_t mark = reply_later(r)
    cdef int64_t taken
    cdef Entry* e = lookup_write_type(c, key, TYPE_ZSET, r, &wrong)
    if wrong:
        return True
    if e == NULL:
        return False
    reply_array(r, 2)
    reply_bulk(r, key.p, key.n)
    taken = pop_from(c, key, e, o.count, o.largest, True, r)
    if taken < 0:
        if not r.out.failed:
            r.out.n = mark
            r.errors -= 1
        reply_oom(r)
    elif propagating(c):
        propagate_begin(c, c.db, 3)
        propagate_arg(c, b"ZPOPMAX" if o.largest else b"ZPOPMIN", 7)
        propagate_arg(c, key.p, key.n)
        propagate_int(c, taken)
    return True


cdef bint zset_pop_key(Ctx* c, Arg* key, bint largest, Reply* r) noexcept nogil:
    """BZPOPMIN's and BZPOPMAX's: key, member and score of one; False: there is no such sorted set."""
    cdef bint wrong = False
    cdef size_t mark = reply_later(r)
    cdef ZsetIter it
    cdef Cell cell
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef uint64_t size
    cdef Entry* e = lookup_write_type(c, key, TYPE_ZSET, r, &wrong)
    if wrong:
        return True
    if e == NULL:
        return False
    entry_cell(e, &cell)
    size = zset_length(&cell)
    zset_iter(&it, &cell, size - 1 if largest else 0, largest)
    zset_next(&it, &member, &score, scratch)
    reply_array(r, 3)
    reply_bulk(r, key.p, key.n)
    reply_slice(r, &member)
    reply_double(r, score)
    if zset_remove_range(c.heap, &cell, size - 1 if largest else 0, size if largest else 1) != 0:
        if not r.out.failed:
            r.out.n = mark
        reply_oom(r)
        return True
    zset_removed(c, key, e, &cell, b"zpopmax" if largest else b"zpopmin", 1)
    if propagating(c):
        propagate_begin(c, c.db, 2)
        propagate_arg(c, b"ZPOPMAX" if largest else b"ZPOPMIN", 7)
        propagate_arg(c, key.p, key.n)
    return True


cdef int cmd_zmpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ZsetPop o
    cdef int i
    if not zset_mpop_options(argv, argc, 1, &o, r):
        return CALL_DONE
    for i in range(o.n_keys):
        if zset_mpop_key(c, &o.keys[i], &o, r):
            return CALL_DONE
    reply_nil_array(r)
    return CALL_DONE


# ---- drawing

cdef void reply_pair(Reply* r, Slice* member, double score, bint scores) noexcept nogil:
    if scores and r.proto > 2:
        reply_array(r, 2)
    reply_slice(r, member)
    if scores:
        reply_double(r, score)


cdef void draw_walking(Ctx* c, Cell* cell, uint64_t count, bint scores, Reply* r) noexcept nogil:
    """`count` different members in order, each choice as likely (Knuth, vol. 2, 3.4.2, algorithm S).  All of them come
    from the highest down, as from Redis."""
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef uint64_t left = zset_length(cell)
    cdef bint backwards = count == left
    zset_iter(&it, cell, left - 1 if backwards else 0, backwards)
    while count > 0 and zset_next(&it, &member, &score, scratch):
        if random_below(&c.kv.random, left) < count:
            reply_pair(r, &member, score, scores)
            count -= 1
        left -= 1


cdef bint draw_few(Ctx* c, Cell* cell, uint64_t count, bint scores, Reply* r) noexcept nogil:
    """`count` different members of a tree, drawn again when they were drawn already; False: no memory."""
    cdef Order drawn
    cdef OrderIter it
    cdef Slice member
    cdef double score
    cdef bint whole = True
    order_init(&drawn, ORDER_BY_POINTER)
    while count > 0:
        zset_random(cell, &c.kv.random, &member, &score, NULL)
        if order_find(&drawn, 0, <void*>member.p, &it):
            continue
        if order_insert(c.heap, &drawn, 0, <void*>member.p) != 0:
            whole = False
            break
        reply_pair(r, &member, score, scores)
        count -= 1
    order_free_some(c.heap, &drawn, <uint64_t>-1)
    return whole


cdef int draw(Ctx* c, Arg* argv, int64_t count, bint scores, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    cdef Cell cell
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef uint64_t n
    cdef size_t mark = reply_later(r)
    if wrong:
        return CALL_DONE
    if e == NULL or count == 0:
        reply_array(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    n = zset_length(&cell)
    if count > 0 and <uint64_t>count > n:
        count = <int64_t>n
    reply_array(r, (count if count > 0 else -count) * (2 if scores and r.proto == 2 else 1))
    while count < 0 and not r.out.failed:
        zset_random(&cell, &c.kv.random, &member, &score, scratch)
        reply_pair(r, &member, score, scores)
        count += 1
    if count <= 0:
        return CALL_DONE
    if cell.layout != ZSET_TREE or <uint64_t>count >= n // FEW:
        draw_walking(c, &cell, count, scores, r)
    elif not draw_few(c, &cell, count, scores, r):
        if not r.out.failed:
            r.out.n = mark
        reply_oom(r)
    return CALL_DONE


cdef int cmd_zrandmember(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t count = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    if argc >= 3:
        if not arg_draw(argv, argc, b"withscores", 10, &count, r):
            return CALL_DONE
        return draw(c, argv, count, argc == 4, r)
    e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    entry_cell(e, &cell)
    zset_random(&cell, &c.kv.random, &member, &score, scratch)
    reply_slice(r, &member)
    return CALL_DONE


registry_bind("zpopmin", cmd_zpopmin)
registry_bind("zpopmax", cmd_zpopmax)
registry_bind("zmpop", cmd_zmpop)
registry_bind("zrandmember", cmd_zrandmember)
