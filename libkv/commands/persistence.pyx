"""SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF (Redis 7.0.15; https://redis.io/docs/latest/commands/?group=server).

Deviation: a store without a place for files (none was attached) answers an error.
"""

from libkv.engine.args cimport arg_is
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_error, reply_int, reply_ok, reply_status, reply_syntax
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply
from libkv.persistence.aof cimport aof_rewrite
from libkv.persistence.durable cimport Durable, durable_of, durable_start_keeper
from libkv.persistence.saves cimport save_background, save_now


cdef int cmd_save(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if durable_of(c.kv).saving:
        reply_error(r, b"ERR Background save already in progress")
        return CALL_DONE
    durable_of(c.kv).saves += 1
    if save_now(c.kv) == 0:
        reply_ok(r)
    else:
        reply_error(r, b"ERR")
    return CALL_DONE


cdef int cmd_bgsave(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Durable* d = durable_of(c.kv)
    cdef bint schedule = argc == 2 and arg_is(&argv[1], b"schedule", 8)
    if argc > 1 and not schedule:
        reply_syntax(r)
    elif d.saving:
        reply_error(r, b"ERR Background save already in progress")
    elif d.rewriting or c.kv.in_exec:
        if schedule or c.kv.in_exec:
            d.save_scheduled = True
            durable_start_keeper(d)
            reply_status(r, b"Background saving scheduled")
        else:
            reply_error(r, b"ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order "
                           b"to schedule a BGSAVE whenever possible.")
    elif save_background(c.kv) == 0:
        reply_status(r, b"Background saving started")
    else:
        reply_error(r, b"ERR")
    return CALL_DONE


cdef int cmd_lastsave(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_int(r, durable_of(c.kv).last_save)
    return CALL_DONE


cdef int cmd_bgrewriteaof(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Durable* d = durable_of(c.kv)
    if d.rewriting:
        reply_error(r, b"ERR Background append only file rewriting already in progress")
    elif d.saving or c.kv.in_exec:
        d.rewrite_scheduled = True
        d.rewrite_failures = 0
        durable_start_keeper(d)
        reply_status(r, b"Background append only file rewriting scheduled")
    elif aof_rewrite(c.kv) == 0:
        reply_status(r, b"Background append only file rewriting started")
    else:
        reply_error(r, b"ERR Can't execute an AOF background rewriting. Please check the server logs for more information.")
    return CALL_DONE


registry_bind("save", cmd_save)
registry_bind("bgsave", cmd_bgsave)
registry_bind("lastsave", cmd_lastsave)
registry_bind("bgrewriteaof", cmd_bgrewriteaof)
