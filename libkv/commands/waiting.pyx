"""WAIT, CLIENT UNBLOCK, CLIENT PAUSE and CLIENT UNPAUSE (https://redis.io/docs/latest/commands/client-pause/).

A network client's CLIENT UNBLOCK finds network clients, as CLIENT LIST shows them; an embedded session's finds all.
"""

from libc.stdint cimport INT64_MAX, int64_t

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.blocking cimport arg_timeout, block_idle, blocking_unblock, pause_end, pause_start
from libkv.engine.clock cimport clock_monotonic
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_error, reply_errorf, reply_int, reply_ok
from libkv.engine.types cimport CALL_DONE, S_DENY_BLOCKING, S_EMBEDDED, Arg, Ctx, Reply, Session


cdef int cmd_wait(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """No replica can acknowledge anything: the answer is 0, at once when that is enough."""
    cdef int64_t wanted = 0
    cdef int64_t ms = 0
    if not arg_int(&argv[1], &wanted, r) or not arg_timeout(&argv[2], False, &ms, r):
        return CALL_DONE
    if wanted > 0 and not c.session.flags & S_DENY_BLOCKING and not c.kv.in_exec:
        return block_idle(c, argv, argc, ms, r)
    reply_int(r, 0)
    return CALL_DONE


cdef void wrong_number(Reply* r, Arg* sub) noexcept nogil:
    reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.", sub.p, sub.n)


cdef int cmd_client_unblock(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char* error = NULL
    cdef int64_t id = 0
    cdef Session* s = c.kv.sessions
    if argc > 4:
        wrong_number(r, &argv[1])
        return CALL_DONE
    if argc == 4:
        if arg_is(&argv[3], b"error", 5):
            error = b"UNBLOCKED client unblocked via CLIENT UNBLOCK"
        elif not arg_is(&argv[3], b"timeout", 7):
            reply_error(r, b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
            return CALL_DONE
    if not arg_int(&argv[2], &id, r):
        return CALL_DONE
    while s != NULL and (<int64_t>s.id != id or (s.flags & S_EMBEDDED and not c.session.flags & S_EMBEDDED)):
        s = s.next
    reply_int(r, s != NULL and blocking_unblock(s, error))
    return CALL_DONE


cdef int cmd_client_pause(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint all_commands = True
    cdef int64_t ms = 0
    cdef int64_t now
    if argc > 4:
        wrong_number(r, &argv[1])
        return CALL_DONE
    if argc == 4:
        if arg_is(&argv[3], b"write", 5):
            all_commands = False
        elif not arg_is(&argv[3], b"all", 3):
            reply_error(r, b"ERR CLIENT PAUSE mode must be WRITE or ALL")
            return CALL_DONE
    if not arg_timeout(&argv[2], False, &ms, r):
        return CALL_DONE
    now = clock_monotonic(c.kv) // 1000
    pause_start(c.kv, now + ms if ms < INT64_MAX - now else INT64_MAX, all_commands)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_client_unpause(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    pause_end(c.kv)
    reply_ok(r)
    return CALL_DONE


registry_bind("wait", cmd_wait)
registry_bind("client|unblock", cmd_client_unblock)
registry_bind("client|pause", cmd_client_pause)
registry_bind("client|unpause", cmd_client_unpause)
