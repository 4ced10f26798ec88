"""SLOWLOG GET, LEN, RESET, HELP (the log itself: engine/slowlog).  Follows Redis 7.0.15."""

from libc.stdint cimport int64_t
from libc.string cimport strlen

from libkv.engine.args cimport arg_range
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_errorf, reply_help, reply_int, reply_ok
from libkv.engine.slowlog cimport slowlog_entry, slowlog_trim
from libkv.engine.types cimport Arg, CALL_DONE, Ctx, Reply, SlowEntry


cdef int cmd_slowlog_get(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Newest first: id, Unix seconds, microseconds, arguments, address, name."""
    cdef int64_t count = 10
    cdef SlowEntry* e
    cdef int i
    cdef int k
    if argc > 3:
        reply_errorf(
            r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try SLOWLOG HELP.", argv[1].p, argv[1].n
        )
        return CALL_DONE
    if argc == 3:
        if not arg_range(
            &argv[2], -1, 0x7fffffff, &count, r, b"ERR count should be greater than or equal to -1"
        ):
            return CALL_DONE
        if count == -1:
            count = c.kv.slow_n
    count = min(count, <int64_t>c.kv.slow_n)
    reply_array(r, count)
    for i in range(<int>count):
        e = slowlog_entry(c.kv, i)
        reply_array(r, 6)
        reply_int(r, e.id)
        reply_int(r, e.when)
        reply_int(r, e.usec)
        reply_array(r, e.argc)
        for k in range(e.argc):
            reply_bulk(r, e.argv[k].p, e.argv[k].n)
        reply_bulk(r, e.peer, strlen(e.peer))
        reply_bulk(r, e.name, e.name_n)
    return CALL_DONE


cdef int cmd_slowlog_len(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_int(r, c.kv.slow_n)
    return CALL_DONE


cdef int cmd_slowlog_reset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    slowlog_trim(c.kv, 0)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_slowlog_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"GET [<count>]",
        b"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        b"    Entries are made of:",
        b"    id, timestamp, time in microseconds, arguments array, client IP and port,",
        b"    client name",
        b"LEN",
        b"    Return the length of the slowlog.",
        b"RESET",
        b"    Reset the slowlog.",
        NULL,
    ]
    reply_help(r, b"SLOWLOG", lines)
    return CALL_DONE


registry_bind("slowlog|get", cmd_slowlog_get)
registry_bind("slowlog|len", cmd_slowlog_len)
registry_bind("slowlog|reset", cmd_slowlog_reset)
registry_bind("slowlog|help", cmd_slowlog_help)
