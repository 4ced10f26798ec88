"""Expiry times of keys: EXPIRE and its relatives (https://redis.io/docs/latest/commands/expire/)."""

from libc.limits cimport LLONG_MAX, LLONG_MIN
from libc.stdint cimport int64_t, uint64_t

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int, propagating
from libkv.engine.entry cimport Entry, entry_expire
from libkv.engine.keyspace cimport changed, keyspace_delete, keyspace_expire, lookup_quiet, lookup_write
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport reply_error, reply_errorf, reply_int, reply_oom
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, Arg, Ctx, Reply

cdef enum:
    ONLY_NEW = 1                # NX
    ONLY_OLD = 2                # XX
    ONLY_LATER = 4              # GT
    ONLY_SOONER = 8             # LT


cdef bint options(Arg* argv, int argc, int* opts, Reply* r) noexcept nogil:
    cdef int i
    for i in range(3, argc):
        if arg_is(&argv[i], b"nx", 2):
            opts[0] |= ONLY_NEW
        elif arg_is(&argv[i], b"xx", 2):
            opts[0] |= ONLY_OLD
        elif arg_is(&argv[i], b"gt", 2):
            opts[0] |= ONLY_LATER
        elif arg_is(&argv[i], b"lt", 2):
            opts[0] |= ONLY_SOONER
        else:
            reply_errorf(r, b"ERR Unsupported option %.*s", argv[i].p, argv[i].n)
            return False
    if opts[0] & ONLY_NEW and opts[0] & (ONLY_OLD | ONLY_LATER | ONLY_SOONER):
        reply_error(r, b"ERR NX and XX, GT or LT options at the same time are not compatible")
        return False
    if opts[0] & ONLY_LATER and opts[0] & ONLY_SOONER:
        reply_error(r, b"ERR GT and LT options at the same time are not compatible")
        return False
    return True


cdef bint allowed(int opts, int64_t was, int64_t when) noexcept nogil:
    """A key without expiry counts as one that expires never."""
    if opts & ONLY_NEW and was >= 0:
        return False
    if opts & ONLY_OLD and was < 0:
        return False
    if opts & ONLY_LATER and (was < 0 or when <= was):
        return False
    return not (opts & ONLY_SOONER and was >= 0 and when >= was)


cdef int expire(Ctx* c, Arg* argv, int argc, bint seconds, int64_t base, Reply* r) noexcept nogil:
    cdef int opts = 0
    cdef int64_t when = 0
    cdef Entry* e
    cdef Command* cmd = <Command*>c.cmd
    if not options(argv, argc, &opts, r) or not arg_int(&argv[2], &when, r):
        return CALL_DONE
    if seconds and (when > LLONG_MAX // 1000 or when < LLONG_MIN // 1000):
        reply_errorf(r, b"ERR invalid expire time in '%.*s' command", cmd.full, cmd.full_n)
        return CALL_DONE
    if seconds:
        when *= 1000
    if when > LLONG_MAX - base:
        reply_errorf(r, b"ERR invalid expire time in '%.*s' command", cmd.full, cmd.full_n)
        return CALL_DONE
    when += base
    e = lookup_write(c, &argv[1])
    if e == NULL or not allowed(opts, entry_expire(e), when):
        reply_int(r, 0)
        return CALL_DONE
    if when <= c.now and not c.replay and not c.kv.loading:
        keyspace_delete(c, c.db, &argv[1])
        changed(c, c.db, &argv[1], EVENT_GENERIC, b"del")
        if propagating(c):
            propagate_begin(c, c.db, 2)
            propagate_arg(c, b"DEL", 3)
            propagate_arg(c, argv[1].p, argv[1].n)
        reply_int(r, 1)
        return CALL_DONE
    if when < 0:
        when = 0                        # only in a replay: an entry's expiry is never negative
    if keyspace_expire(c, c.db, &argv[1], e, when) == NULL:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_GENERIC, b"expire")
    if propagating(c):
        propagate_begin(c, c.db, 3)
        propagate_arg(c, b"PEXPIREAT", 9)
        propagate_arg(c, argv[1].p, argv[1].n)
        propagate_int(c, when)
    reply_int(r, 1)
    return CALL_DONE


cdef int cmd_expire(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return expire(c, argv, argc, True, c.now, r)


cdef int cmd_pexpire(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return expire(c, argv, argc, False, c.now, r)


cdef int cmd_expireat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return expire(c, argv, argc, True, 0, r)


cdef int cmd_pexpireat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return expire(c, argv, argc, False, 0, r)


cdef int when_expires(Ctx* c, Arg* argv, bint seconds, bint absolute, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_quiet(c, &argv[1])
    cdef int64_t when
    if e == NULL:
        reply_int(r, -2)
        return CALL_DONE
    when = entry_expire(e)
    if when < 0:
        reply_int(r, -1)
        return CALL_DONE
    if not absolute:
        when = when - c.now if when > c.now else 0
    reply_int(r, <int64_t>((<uint64_t>when + 500) // 1000) if seconds else when)
    return CALL_DONE


cdef int cmd_ttl(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return when_expires(c, argv, True, False, r)


cdef int cmd_pttl(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return when_expires(c, argv, False, False, r)


cdef int cmd_expiretime(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return when_expires(c, argv, True, True, r)


cdef int cmd_pexpiretime(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return when_expires(c, argv, False, True, r)


cdef int cmd_persist(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_write(c, &argv[1])
    if e == NULL or entry_expire(e) < 0:
        reply_int(r, 0)
        return CALL_DONE
    if keyspace_expire(c, c.db, &argv[1], e, -1) == NULL:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_GENERIC, b"persist")
    reply_int(r, 1)
    return CALL_DONE


registry_bind("expire", cmd_expire)
registry_bind("pexpire", cmd_pexpire)
registry_bind("expireat", cmd_expireat)
registry_bind("pexpireat", cmd_pexpireat)
registry_bind("ttl", cmd_ttl)
registry_bind("pttl", cmd_pttl)
registry_bind("expiretime", cmd_expiretime)
registry_bind("pexpiretime", cmd_pexpiretime)
registry_bind("persist", cmd_persist)
