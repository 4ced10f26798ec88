"""Sorted sets that are waited for: BZPOPMIN, BZPOPMAX, BZMPOP (https://redis.io/docs/latest/commands/bzpopmin/); as
commands/list_waits."""

from libc.stdint cimport int64_t

from libkv.commands.sorted_set_pops cimport ZsetPop, zset_mpop_key, zset_mpop_options, zset_pop_key
from libkv.engine.blocking cimport LATE_NIL_ARRAY, arg_timeout, block_on_keys
from libkv.engine.registry cimport registry_bind
from libkv.engine.types cimport CALL_DONE, TYPE_ZSET, Arg, Ctx, Reply


cdef int pop_waiting(Ctx* c, Arg* argv, int argc, Reply* r, bint largest) noexcept nogil:
    cdef int64_t ms = 0
    cdef int i
    if not arg_timeout(&argv[argc - 1], True, &ms, r):
        return CALL_DONE
    if c.ready_key != NULL:
        if zset_pop_key(c, c.ready_key, largest, r):
            return CALL_DONE
    else:
        for i in range(1, argc - 1):
            if zset_pop_key(c, &argv[i], largest, r):
                return CALL_DONE
    return block_on_keys(c, argv, argc, &argv[1], argc - 2, TYPE_ZSET, ms, LATE_NIL_ARRAY, False, r)


cdef int cmd_bzpopmin(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return pop_waiting(c, argv, argc, r, False)


cdef int cmd_bzpopmax(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return pop_waiting(c, argv, argc, r, True)


cdef int cmd_bzmpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ZsetPop o
    cdef int64_t ms = 0
    cdef int i
    if not zset_mpop_options(argv, argc, 2, &o, r) or not arg_timeout(&argv[1], True, &ms, r):
        return CALL_DONE
    if c.ready_key != NULL:
        if zset_mpop_key(c, c.ready_key, &o, r):
            return CALL_DONE
    else:
        for i in range(o.n_keys):
            if zset_mpop_key(c, &o.keys[i], &o, r):
                return CALL_DONE
    return block_on_keys(c, argv, argc, o.keys, o.n_keys, TYPE_ZSET, ms, LATE_NIL_ARRAY, False, r)


registry_bind("bzpopmin", cmd_bzpopmin)
registry_bind("bzpopmax", cmd_bzpopmax)
registry_bind("bzmpop", cmd_bzmpop)
