"""Lists that are waited for: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP (https://redis.io/docs/latest/commands/blpop/).

A call looks at its keys in order and takes what is there, or waits (engine/blocking).  Called again, it looks at the
key that may be ready.  The effect is that of the command that does not wait.
"""

from libc.stdint cimport int64_t

from libkv.commands.list_ends cimport (
    ListPop, arg_side, list_mpop_key, list_mpop_options, list_move, list_removed,
)
from libkv.engine.blocking cimport LATE_NIL, LATE_NIL_ARRAY, arg_timeout, block_on_keys
from libkv.engine.call cimport propagate_arg, propagate_begin, propagating
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_oom
from libkv.engine.types cimport CALL_DONE, TYPE_LIST, Arg, Ctx, Reply
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.list cimport list_drop, list_end
from libkv.structures.packed cimport PACKED_SCRATCH


cdef bint pop_key(Ctx* c, Arg* key, bint front, Reply* r) noexcept nogil:
    """Key and element; False: there is no such list, nothing is replied."""
    cdef bint wrong = False
    cdef size_t mark = r.out.n
    cdef Cell cell
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef Entry* e = lookup_write_type(c, key, TYPE_LIST, r, &wrong)
    if wrong:
        return True
    if e == NULL:
        return False
    entry_cell(e, &cell)
    s = list_end(&cell, front, scratch)
    reply_array(r, 2)
    reply_bulk(r, key.p, key.n)
    reply_bulk(r, s.p, s.n)
    if list_drop(c.heap, &cell, front, 1) != 0:
        r.out.n = mark
        reply_oom(r)
        return True
    list_removed(c, key, e, &cell, b"lpop" if front else b"rpop", 1)
    if propagating(c):
        propagate_begin(c, c.db, 2)
        propagate_arg(c, b"LPOP" if front else b"RPOP", 4)
        propagate_arg(c, key.p, key.n)
    return True


cdef int take_or_wait(Ctx* c, Arg* argv, int argc, Arg* keys, int n_keys, Arg* timeout, int type, take_fn take, void* how,
                      Reply* r) noexcept nogil:
    cdef int64_t ms = 0
    cdef int i
    if not arg_timeout(timeout, True, &ms, r):
        return CALL_DONE
    if c.ready_key != NULL:
        if take(c, c.ready_key, how, r):
            return CALL_DONE
    else:
        for i in range(n_keys):
            if take(c, &keys[i], how, r):
                return CALL_DONE
    return block_on_keys(c, argv, argc, keys, n_keys, type, ms, LATE_NIL_ARRAY, False, r)


cdef bint take_front(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil:
    return pop_key(c, key, True, r)


cdef bint take_back(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil:
    return pop_key(c, key, False, r)


cdef bint take_several(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil:
    return list_mpop_key(c, key, <ListPop*>how, r)


cdef int cmd_blpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return take_or_wait(c, argv, argc, &argv[1], argc - 2, &argv[argc - 1], TYPE_LIST, take_front, NULL, r)


cdef int cmd_brpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return take_or_wait(c, argv, argc, &argv[1], argc - 2, &argv[argc - 1], TYPE_LIST, take_back, NULL, r)


cdef int cmd_blmpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ListPop o
    if not list_mpop_options(argv, argc, 2, &o, r):
        return CALL_DONE
    return take_or_wait(c, argv, argc, o.keys, o.n_keys, &argv[1], TYPE_LIST, take_several, &o, r)


cdef int cmd_blmove(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint pop_front = False
    cdef bint push_front = False
    cdef int64_t ms = 0
    if (not arg_side(&argv[3], &pop_front, r) or not arg_side(&argv[4], &push_front, r)
            or not arg_timeout(&argv[5], True, &ms, r)):
        return CALL_DONE
    if not list_move(c, argv, r, pop_front, push_front):
        return block_on_keys(c, argv, argc, &argv[1], 1, TYPE_LIST, ms, LATE_NIL, False, r)
    if propagating(c) and c.kv.dirty != c.dirty0:
        propagate_begin(c, c.db, 5)
        propagate_arg(c, b"LMOVE", 5)
        propagate_arg(c, argv[1].p, argv[1].n)
        propagate_arg(c, argv[2].p, argv[2].n)
        propagate_arg(c, argv[3].p, argv[3].n)
        propagate_arg(c, argv[4].p, argv[4].n)
    return CALL_DONE


cdef int cmd_brpoplpush(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t ms = 0
    if not arg_timeout(&argv[3], True, &ms, r):
        return CALL_DONE
    if not list_move(c, argv, r, False, True):
        return block_on_keys(c, argv, argc, &argv[1], 1, TYPE_LIST, ms, LATE_NIL, False, r)
    if propagating(c) and c.kv.dirty != c.dirty0:
        propagate_begin(c, c.db, 3)
        propagate_arg(c, b"RPOPLPUSH", 9)
        propagate_arg(c, argv[1].p, argv[1].n)
        propagate_arg(c, argv[2].p, argv[2].n)
    return CALL_DONE


registry_bind("blpop", cmd_blpop)
registry_bind("brpop", cmd_brpop)
registry_bind("blmpop", cmd_blmpop)
registry_bind("blmove", cmd_blmove)
registry_bind("brpoplpush", cmd_brpoplpush)
