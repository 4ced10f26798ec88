# The journal (AOF) while it is written: effects in, bytes on the disk out (files and rewriting: aof.pxd).
#
# Whoever runs commands does three things, a server once a round, an embedded caller once a call:
#
#   store's lock:   offset = journal_take(kv)       the effects so far are the journal's; replies wait for this offset
#   no lock:        journal_flush(d)                writes them, unless the disk is busy; `always`: calls the keeper
#                   journal_reached(d)              replies up to here may go

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.types cimport Kv
from libkv.persistence.durable cimport JOURNAL_OFF, Durable, durable_of
from libkv.structures.alloc cimport LIKELY

cdef uint64_t journal_take_slow(Kv* kv) noexcept nogil
cdef void journal_flush(Durable* d) noexcept nogil
cdef uint64_t journal_reached(Durable* d) noexcept nogil        # (uint64_t)-1: nothing has to wait
cdef bint journal_hold(Durable* d, uint64_t offset, uint32_t n) noexcept nogil
    # n replies wait for this offset: the waker will be called; False: it is reached already
cdef void journal_unhold(Durable* d, uint32_t n) noexcept nogil
cdef int journal_settle(Durable* d, uint64_t offset) noexcept nogil
    # for an embedded caller, without GIL and locks: flush, and wait until the offset is reached.  0, or the errno why it
    # never will be
cdef bint journal_sync_all(Durable* d) noexcept nogil           # everything taken so far is on the disk; False: it can't be
cdef void journal_work(Durable* d, int64_t now) noexcept nogil  # the keeper's part; no lock held
cdef int64_t journal_due(Durable* d, int64_t now) noexcept nogil    # m held: when the keeper has work; 0 = never, <= now: at once
cdef int journal_start_rotation(Kv* kv) noexcept nogil          # store's lock held: from here on a new increment

cdef inline uint64_t journal_take(Kv* kv) noexcept nogil:
    """Store's lock held.  The offset that what was answered so far depends on; 0: there is no journal."""
    cdef Durable* d = durable_of(kv)
    if LIKELY(d == NULL or d.state == JOURNAL_OFF):
        return 0
    return journal_take_slow(kv)
