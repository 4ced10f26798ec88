"""MULTI, EXEC, DISCARD, WATCH, UNWATCH (https://redis.io/docs/latest/develop/using-commands/transactions/)."""

from libc.stdint cimport uint32_t

from libkv.engine.acl cimport acl_refuse_exec, acl_unlimited
from libkv.engine.call cimport call_execute, propagate_none, propagate_unit_end
from libkv.engine.entry cimport Entry, entry_expire
from libkv.engine.keyspace cimport arg_hash
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport reply_array, reply_error, reply_nil_array, reply_ok, reply_oom
from libkv.engine.session cimport session_drop_queue
from libkv.engine.types cimport (
    CALL_DONE, S_DENY_BLOCKING, S_DIRTY_CAS, S_DIRTY_EXEC, S_MULTI, Arg, Ctx, Reply, Session,
)
from libkv.engine.watch cimport watch_add, watch_any_expired, watch_clear
from libkv.structures.table cimport table_find


cdef void transaction_end(Session* s) noexcept nogil:
    session_drop_queue(s)
    s.flags &= ~<uint32_t>(S_MULTI | S_DIRTY_CAS | S_DIRTY_EXEC)
    watch_clear(s)


cdef int cmd_multi(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if c.session.flags & S_MULTI:
        reply_error(r, b"ERR MULTI calls can not be nested")
        return CALL_DONE
    c.session.flags |= S_MULTI
    reply_ok(r)
    return CALL_DONE


cdef int cmd_discard(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if not c.session.flags & S_MULTI:
        reply_error(r, b"ERR DISCARD without MULTI")
        return CALL_DONE
    transaction_end(c.session)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_exec(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Session* s = c.session
    cdef int i
    if not s.flags & S_MULTI:
        reply_error(r, b"ERR EXEC without MULTI")
        return CALL_DONE
    if watch_any_expired(s, c.now):
        s.flags |= S_DIRTY_CAS
    if s.flags & S_DIRTY_EXEC:
        reply_error(r, b"EXECABORT Transaction discarded because of previous errors.")
        transaction_end(s)
        return CALL_DONE
    if s.flags & S_DIRTY_CAS:
        reply_nil_array(r)
        transaction_end(s)
        return CALL_DONE
    watch_clear(s)                      # before it runs, or its own writes would be looked at in vain
    s.flags |= S_DENY_BLOCKING
    c.kv.in_exec += 1
    reply_array(r, s.queued)
    for i in range(s.queued):
        if not acl_unlimited(s) and acl_refuse_exec(c, <Command*>s.queue[i].cmd, s.queue[i].argv, s.queue[i].argc, r):
            continue                    # the user's rules have changed since it was queued
        call_execute(c, <Command*>s.queue[i].cmd, s.queue[i].argv, s.queue[i].argc, r)
    c.kv.in_exec -= 1
    s.flags &= ~<uint32_t>S_DENY_BLOCKING
    if c.kv.in_exec == 0:
        propagate_unit_end(c.kv)
    propagate_none(c)                   # its commands have told theirs
    transaction_end(s)
    return CALL_DONE


cdef int cmd_watch(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int i
    cdef void** slot
    cdef long long when
    if c.session.flags & S_MULTI:
        reply_error(r, b"ERR WATCH inside MULTI is not allowed")
        return CALL_DONE
    if c.session.flags & S_DIRTY_CAS:
        reply_ok(r)                     # EXEC will fail already
        return CALL_DONE
    for i in range(1, argc):
        slot = table_find(c.heap, &c.db.keys, argv[i].p, argv[i].n, arg_hash(c.heap, &argv[i]))
        when = entry_expire(<Entry*>slot[0]) if slot != NULL else -1
        if watch_add(c.session, c.db, &argv[i], 0 <= when < c.now) != 0:
            reply_oom(r)
            return CALL_DONE
    reply_ok(r)
    return CALL_DONE


cdef int cmd_unwatch(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    watch_clear(c.session)
    c.session.flags &= ~<uint32_t>S_DIRTY_CAS
    reply_ok(r)
    return CALL_DONE


registry_bind("multi", cmd_multi)
registry_bind("exec", cmd_exec)
registry_bind("discard", cmd_discard)
registry_bind("watch", cmd_watch)
registry_bind("unwatch", cmd_unwatch)
