"""Sorted sets that are waited for: BZPOPMIN, BZPOPMAX, BZMPOP (https://redis.io/docs/latest/commands/bzpopmin/); as
commands/list_waits."""

from libkv.commands.list_waits cimport take_or_wait
from libkv.commands.sorted_set_pops cimport ZsetPop, zset_mpop_key, zset_mpop_options, zset_pop_key
from libkv.engine.registry cimport registry_bind
from libkv.engine.types cimport CALL_DONE, TYPE_ZSET, Arg, Ctx, Reply


cdef bint take_smallest(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil:
    return zset_pop_key(c, key, False, r)


cdef bint take_largest(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil:
    return zset_pop_key(c, key, True, r)


cdef bint take_members(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil:
    return zset_mpop_key(c, key, <ZsetPop*>how, r)


cdef int cmd_bzpopmin(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return take_or_wait(c, argv, argc, &argv[1], argc - 2, &argv[argc - 1], TYPE_ZSET, take_smallest, NULL, r)


cdef int cmd_bzpopmax(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return take_or_wait(c, argv, argc, &argv[1], argc - 2, &argv[argc - 1], TYPE_ZSET, take_largest, NULL, r)


cdef int cmd_bzmpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ZsetPop o
    if not zset_mpop_options(argv, argc, 2, &o, r):
        return CALL_DONE
    return take_or_wait(c, argv, argc, o.keys, o.n_keys, &argv[1], TYPE_ZSET, take_members, &o, r)


registry_bind("bzpopmin", cmd_bzpopmin)
registry_bind("bzpopmax", cmd_bzpopmax)
registry_bind("bzmpop", cmd_bzmpop)
