"""SPOP and SRANDMEMBER (https://redis.io/docs/latest/commands/spop/).

The effect of SPOP is the SREM of what it drew, or DEL (UNLINK with lazyfree-lazy-server-del) when that was all.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t

from libkv.commands.sets cimport set_max_ints, set_removed
from libkv.engine.args cimport arg_int, arg_range
from libkv.engine.call cimport propagate_arg, propagate_begin, propagating
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport changed_n, keyspace_delete, lookup_read_type, lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_later, reply_later_set, reply_nil, reply_oom, reply_set, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_SET, TYPE_SET, Arg, Ctx, Reply
from libkv.structures.cell cimport SET_TABLE, Cell, Slice
from libkv.structures.packed cimport PACKED_SCRATCH
from libkv.structures.random cimport random_below
from libkv.structures.set cimport (
    SetIter, set_add, set_free, set_iter, set_length, set_new_ints, set_next, set_random, set_remove,
)

cdef enum:
    SET_POP_BATCH = 1024            # members an SREM in the effect of SPOP


# ---- SPOP

cdef int set_pop_one(Ctx* c, Arg* argv, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef size_t mark = r.out.n
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    entry_cell(e, &cell)
    s = set_random(&cell, &c.kv.random, scratch)
    reply_bulk(r, s.p, s.n)
    if r.out.failed or set_remove(c.heap, &cell, s.p, s.n, 0) < 0:
        r.out.n = mark
        reply_oom(r)
        return CALL_DONE
    if propagating(c):
        set_propagate_drawn(c, &argv[1], r, mark, 1)
    set_removed(c, &argv[1], e, &cell, b"spop", 1)
    return CALL_DONE


cdef void set_propagate_drawn(Ctx* c, Arg* key, Reply* r, size_t at, uint64_t count) noexcept nogil:
    """SREM of the `count` bulk strings that were replied from `at` on: they are what is left of the members."""
    cdef uint64_t batch = 0
    cdef size_t n
    while count:
        if batch == 0:
            batch = count if count < SET_POP_BATCH else SET_POP_BATCH
            propagate_begin(c, c.db, <int>batch + 2)
            propagate_arg(c, b"SREM", 4)
            propagate_arg(c, key.p, key.n)
        n = 0
        at += 1
        while r.out.p[at] != 13:
            n = n * 10 + <size_t>(r.out.p[at] - 48)
            at += 1
        propagate_arg(c, r.out.p + at + 2, n)
        at += n + 4
        batch -= 1
        count -= 1


cdef void set_pop_all(Ctx* c, Arg* key, Cell* cell, Reply* r) noexcept nogil:
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef bint lazy = c.kv.settings.lazyfree_lazy_server_del
    reply_set(r, <int64_t>set_length(cell))
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        reply_bulk(r, s.p, s.n)
    changed_n(c, c.db, key, EVENT_SET, b"spop", set_length(cell))
    keyspace_delete(c, c.db, key)
    changed_n(c, c.db, key, EVENT_GENERIC, b"del", 0)
    if propagating(c):
        propagate_begin(c, c.db, 2)
        propagate_arg(c, b"UNLINK" if lazy else b"DEL", 6 if lazy else 3)
        propagate_arg(c, key.p, key.n)


cdef int cmd_spop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t count = 0
    cdef uint64_t popped = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef size_t mark
    cdef size_t last
    if argc == 2:
        return set_pop_one(c, argv, r)
    if argc > 3:
        reply_syntax(r)
        return CALL_DONE
    if not arg_range(&argv[2], 0, INT64_MAX, &count, r, b"ERR value is out of range, must be positive"):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL or count == 0:
        reply_set(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    if <uint64_t>count >= set_length(&cell):
        set_pop_all(c, &argv[1], &cell, r)
        return CALL_DONE
    mark = reply_later(r)
    while popped < <uint64_t>count:
        last = r.out.n
        s = set_random(&cell, &c.kv.random, scratch)
        reply_bulk(r, s.p, s.n)
        if r.out.failed or set_remove(c.heap, &cell, s.p, s.n, 0) < 0:
            r.out.n = last
            break
        popped += 1
    if popped == 0:
        reply_oom(r)
        return CALL_DONE
    if propagating(c):
        set_propagate_drawn(c, &argv[1], r, mark, popped)
    set_removed(c, &argv[1], e, &cell, b"spop", popped)
    reply_later_set(r, mark, <int64_t>popped)
    return CALL_DONE


# ---- SRANDMEMBER

cdef void set_reply_whole(Reply* r, Cell* cell) noexcept nogil:
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    reply_array(r, <int64_t>set_length(cell))
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        reply_bulk(r, s.p, s.n)


cdef void set_reply_sample(Ctx* c, Reply* r, Cell* cell, uint64_t count) noexcept nogil:
    """`count` different members, by selection sampling (Knuth, algorithm S): one walk over the set."""
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef uint64_t left = set_length(cell)
    reply_array(r, <int64_t>count)
    set_iter(&it, cell)
    while count and set_next(&it, &s, scratch):
        if random_below(&c.kv.random, left) < count:
            reply_bulk(r, s.p, s.n)
            count -= 1
        left -= 1


cdef bint set_reply_few(Ctx* c, Reply* r, Cell* cell, uint64_t count) noexcept nogil:
    """`count` different members of a much larger set: drawn one by one, what was drawn already left out.  False: no
    memory."""
    cdef Cell drawn
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef int result = 0
    if set_new_ints(c.heap, &drawn) != 0:
        return False
    while result >= 0 and set_length(&drawn) < count:
        s = set_random(cell, &c.kv.random, scratch)
        result = set_add(c.heap, &drawn, s.p, s.n, 0, set_max_ints(c))
    if result >= 0:
        set_reply_whole(r, &drawn)
    set_free(c.heap, &drawn)
    return result >= 0


cdef int cmd_srandmember(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t count = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    if argc > 3:
        reply_syntax(r)
        return CALL_DONE
    if argc == 3:
        if not arg_int(&argv[2], &count, r):
            return CALL_DONE
        if count == INT64_MIN:
            reply_error(r, b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
            return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_SET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL or (argc == 3 and count == 0):
        if argc == 3:
            reply_array(r, 0)
        else:
            reply_nil(r)
        return CALL_DONE
    entry_cell(e, &cell)
    if argc == 2:
        s = set_random(&cell, &c.kv.random, scratch)
        reply_bulk(r, s.p, s.n)
    elif count < 0:
        reply_array(r, -count)
        while count < 0 and not r.out.failed:
            s = set_random(&cell, &c.kv.random, scratch)
            reply_bulk(r, s.p, s.n)
            count += 1
    elif <uint64_t>count >= set_length(&cell):
        set_reply_whole(r, &cell)
    elif cell.layout != SET_TABLE or <uint64_t>count > set_length(&cell) // 3:
        set_reply_sample(c, r, &cell, <uint64_t>count)
    elif not set_reply_few(c, r, &cell, <uint64_t>count):
        reply_oom(r)
    return CALL_DONE


registry_bind("spop", cmd_spop)
registry_bind("srandmember", cmd_srandmember)
