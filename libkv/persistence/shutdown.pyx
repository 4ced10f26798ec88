"""What happens to the files before a server ends (contract: shutdown.pxd), in redis-server 7.0.15's order and words."""

from libc.string cimport strerror

from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.persistence.aof cimport aof_stop_rewrite
from libkv.persistence.durable cimport JOURNAL_OFF, JOURNAL_STARTING, Durable, durable_log, durable_of
from libkv.persistence.journal cimport journal_sync_all, journal_take
from libkv.persistence.saves cimport save_now, save_stop, save_wanted_at_end


cdef bint shutdown_prepare(Kv* kv, bint save, bint nosave, bint force) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if d == NULL:
        return True
    if d.kv.server != NULL:
        durable_log(d, LOG_WARNING, b"User requested shutdown...%s%s", b"", b"")
    save_stop(kv)
    if d.rewriting:
        if d.state == JOURNAL_STARTING and not force:
            durable_log(d, LOG_WARNING, b"Writing initial AOF. Can't exit.%s%s", b"", b"")
            return False
        durable_log(d, LOG_WARNING, b"There is a child rewriting the AOF. Killing it!%s%s", b"", b"")
        aof_stop_rewrite(kv)
    if d.state != JOURNAL_OFF:
        durable_log(d, LOG_NOTICE, b"Calling fsync() on the AOF file.%s%s", b"", b"")
        journal_take(kv)
        if not journal_sync_all(d):
            durable_log(d, LOG_WARNING, b"Fail to fsync the AOF file: %s.%s", strerror(d.broken if d.broken else d.error), b"")
            if d.kv.server == NULL:
                return False            # an embedded store raises; redis-server exits all the same
    if save or (save_wanted_at_end(kv) and not nosave):
        durable_log(d, LOG_NOTICE, b"Saving the final RDB snapshot before exiting.%s%s", b"", b"")
        if save_now(kv) != 0:
            if not force:
                durable_log(d, LOG_WARNING, b"Error trying to save the DB, can't exit.%s%s", b"", b"")
                return False
            durable_log(d, LOG_WARNING, b"Error trying to save the DB, exit anyway due to force.%s%s", b"", b"")
    return True
