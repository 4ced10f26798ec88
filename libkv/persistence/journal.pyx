"""The journal while it is written (contract: journal.pxd; the struct: durable.pxd).

appendfsync everysec and no: the thread that ran the commands writes, unless the keeper is busy with the descriptor (a
fsync, a rotation); then the bytes wait in memory, the keeper writes them when it is done, and after two seconds of that
replies wait too.  everysec: they also wait while something has not been on the disk for three seconds: so much, and no
more, a power cut may take of what was answered, however slow the disk is.  always: the keeper writes and forces to disk
what has gathered, while commands go on; every reply waits for the fsync that covers all that was executed before it.

A failed write is tried again from the first byte that is not in the file (the rest of a short write is cut off first), as
redis-server does it.  A failed fsync is final: the system may have dropped the pages and say "done" the next time, so
nothing that this file gets can be trusted; only a rewrite, which starts a new file from the memory, heals it.

Gathering: when a fsync releases a group of clients, they come back a moment later; a fsync that starts without them costs
as much and serves few.  So the next one waits until as many wait as came back last time, at most half a fsync's time, and
only as long as that pays.
"""

from libc.errno cimport EIO, ENOMEM
from libc.stdio cimport snprintf
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport strerror

from libkv.disk.files cimport files_write_all
from libkv.engine.clock cimport wall_us
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.persistence.aof cimport aof_exchange
from libkv.persistence.durable cimport (
    FSYNC_ALWAYS, FSYNC_EVERYSEC, JOURNAL_OFF, ROTATE_DONE, ROTATE_NO, ROTATE_WANTED,
    durable_call_keeper, durable_child_active, durable_log, durable_now, durable_refuse, durable_wake, pthread_cond_t,
    pthread_mutex_lock, pthread_mutex_t, pthread_mutex_trylock, pthread_mutex_unlock,
)
from libkv.persistence.spikes cimport (
    SPIKE_FSYNC_ALWAYS, SPIKE_WRITE, SPIKE_WRITE_ALONE, SPIKE_WRITE_CHILD, SPIKE_WRITE_HELD, spike_put, spikes_tell,
)
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_trim

cdef extern from "<pthread.h>" nogil:
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*)

cdef enum:
    SECOND = 1000000
    LATE = 2000000              # us: so long may bytes wait for a busy disk before replies wait too
    LOOSE = 3000000             # us: so long may bytes not be on the disk: the second between two fsyncs, and LATE
    KEEP = 1 << 20              # bytes of an emptied buffer that are kept
    GATHER_MIN = 3              # waiting replies from which on gathering is worth a thought


# ---- taking effects

cdef void stamp(Durable* d) noexcept nogil:
    """m held.  #TS:seconds, at most once a second; it stands between units."""
    cdef char text[32]
    cdef int64_t now = wall_us() // SECOND
    cdef int n
    if d.kv.clock_fixed:
        now = d.kv.clock_wall // 1000
    if now > d.last_stamp:
        d.last_stamp = now
        n = snprintf(text, sizeof(text), b"#TS:%lld\r\n", <long long>now)
        buffer_add(&d.pending, text, n)
        d.appended += <uint64_t>n


cdef uint64_t journal_take_slow(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef Buffer empty
    cdef bint spiked
    if kv.effects.n == 0:
        return d.appended               # only changed under the store's lock
    pthread_mutex_lock(&d.m)
    if d.pending.n == 0 and d.writing.n == d.writing_at:
        d.pending_since = durable_now()
    if d.durable == d.appended:
        d.loose_since = durable_now()
    if d.timestamps:
        stamp(d)
    d.appended += kv.effects.n
    if d.pending.n == 0:
        empty = d.pending
        d.pending = kv.effects
        kv.effects = empty
    else:
        buffer_add(&d.pending, kv.effects.p, kv.effects.n)
        kv.effects.n = 0
    if d.pending.failed or kv.effects.failed:
        d.broken = ENOMEM               # bytes are lost: nothing after them may look durable
        kv.refusing_writes = True
        durable_call_keeper(d)
    spiked = d.spiked
    pthread_mutex_unlock(&d.m)
    if spiked:
        spikes_tell(kv)
    return d.appended


# ---- writing; io held

cdef int write_pending(Durable* d) noexcept nogil:
    """Writes what waits, up to a rotation's boundary; 0, or an errno."""
    cdef Buffer swap
    cdef size_t n, done
    cdef int64_t since = 0
    cdef int64_t began
    cdef bint timed, late
    cdef int error
    while True:
        pthread_mutex_lock(&d.m)
        if d.writing.n == d.writing_at:
            buffer_trim(&d.writing, KEEP)
            d.writing_at = 0
            swap = d.writing
            d.writing = d.pending
            d.pending = swap
            since = d.pending_since if d.put_off and not d.error else 0
            d.put_off = False
            if d.writing.n == 0:
                d.pending_since = 0
        n = d.writing.n - d.writing_at
        if d.rotate == ROTATE_WANTED and n > d.rotate_at - d.written:
            n = d.rotate_at - d.written
        timed = d.spike_least > 0
        pthread_mutex_unlock(&d.m)
        if n == 0:
            return 0
        if d.fd < 0:
            return EIO
        done = 0
        began = durable_now() if timed or since else 0      # else nobody asks
        error = -files_write_all(d.files, d.fd, d.writing.p + d.writing_at, n, &done)
        if error and done and d.files.truncate(d.files.self, d.fd, <int64_t>d.size) == 0:
            done = 0                    # no half of a command stays behind
        d.size += done
        d.whole_size += done
        d.writing_at += done
        pthread_mutex_lock(&d.m)
        d.written += done
        late = began and note_time(d, durable_now(), began, since)
        if d.holding and d.fsync_mode != FSYNC_ALWAYS:
            durable_wake(d)             # replies that a busy disk has held up
        pthread_mutex_unlock(&d.m)
        if late:
            durable_log(d, LOG_NOTICE, b"Asynchronous AOF fsync is taking too long (disk is busy?). Replies had to wait for "
                        b"it.%s%s", b"", b"")
        if error:
            return error


cdef bint note_time(Durable* d, int64_t now, int64_t began, int64_t since) noexcept nogil:
    """m held: what a write has taken; whether it came late.  since: when the oldest of its bytes came; 0: not known."""
    cdef int64_t held = now - since - LATE if since and d.fsync_mode != FSYNC_ALWAYS else 0
    spike_put(d, SPIKE_WRITE, now - began)
    if held > 0:
        d.delayed += 1
        spike_put(d, SPIKE_WRITE_HELD, held)
    else:
        spike_put(d, SPIKE_WRITE_CHILD if durable_child_active(d) else SPIKE_WRITE_ALONE, now - began)
    return held > 0


cdef void note_write(Durable* d, int error) noexcept nogil:
    """io held: what a write's outcome means."""
    cdef bint fatal = False
    cdef int before
    pthread_mutex_lock(&d.m)
    if error and d.fsync_mode == FSYNC_ALWAYS and not d.broken:
        d.broken = error
        d.fatal = fatal = True
    before = d.error
    d.error = error
    d.error_at = durable_now() if error else 0
    durable_call_keeper(d)
    durable_wake(d)
    pthread_mutex_unlock(&d.m)
    if error and before == 0:
        durable_log(d, LOG_WARNING, b"Error writing to the AOF file: %s%s", strerror(error), b"")
    if before and error == 0:
        durable_log(d, LOG_WARNING, b"AOF write error looks solved, Redis can write again.%s%s", b"", b"")
    if fatal:
        durable_log(d, LOG_WARNING, b"Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."
                    b"%s%s", b"", b"")


cdef void write_now(Durable* d) noexcept nogil:
    """io held."""
    cdef int error
    if d.broken:
        return
    error = write_pending(d)
    if error or d.error:
        note_write(d, error)


cdef bint sync_now(Durable* d) noexcept nogil:
    """io held: everything written is on the disk; False: it is not, and never will be in this file."""
    cdef uint64_t target
    cdef int64_t began, now
    cdef int error
    pthread_mutex_lock(&d.m)
    target = d.written
    d.sync_busy = True
    d.joined = 0
    pthread_mutex_unlock(&d.m)
    began = durable_now()
    error = -d.files.fsync(d.files.self, d.fd) if d.fd >= 0 else 0
    now = durable_now()
    pthread_mutex_lock(&d.m)
    d.sync_busy = False
    d.last_sync = began
    d.syncs += 1
    d.sync_us = (d.sync_us * 7 + (now - began)) // 8
    if d.fsync_mode == FSYNC_ALWAYS:
        spike_put(d, SPIKE_FSYNC_ALWAYS, now - began)
    elif d.holding and d.fsync_mode == FSYNC_EVERYSEC:
        spike_put(d, SPIKE_WRITE_HELD, now - d.loose_since - LOOSE)     # nobody waits so long for nothing
    if error:
        d.broken = error
        d.fatal = d.fsync_mode == FSYNC_ALWAYS
    elif d.durable < target:
        d.durable = target
        d.loose_since = began           # what is not in the target came later
    durable_wake(d)
    pthread_mutex_unlock(&d.m)
    if error:
        durable_log(d, LOG_WARNING, b"Fail to fsync the AOF file: %s.%s", strerror(error),
                    b" Can't persist AOF when the AOF fsync policy is 'always'. Exiting..." if d.fatal else b"")
    return error == 0


# ---- what callers do; no lock held

cdef void journal_flush(Durable* d) noexcept nogil:
    if d.state == JOURNAL_OFF:
        return
    if d.fsync_mode == FSYNC_ALWAYS:
        pthread_mutex_lock(&d.m)
        if d.appended > d.durable:
            durable_call_keeper(d)
        pthread_mutex_unlock(&d.m)
        return
    if d.rotate == ROTATE_WANTED or d.error or pthread_mutex_trylock(&d.io) != 0:
        pthread_mutex_lock(&d.m)
        d.put_off = True
        durable_call_keeper(d)
        pthread_mutex_unlock(&d.m)
        return
    if d.rotate != ROTATE_WANTED and not d.error:
        write_now(d)
    pthread_mutex_unlock(&d.io)
    if d.asleep:
        pthread_mutex_lock(&d.m)
        durable_call_keeper(d)          # it has something to force to disk in a second
        pthread_mutex_unlock(&d.m)


cdef inline bint too_loose(Durable* d) noexcept nogil:
    return d.fsync_mode == FSYNC_EVERYSEC and d.durable < d.appended and durable_now() - d.loose_since >= LOOSE


cdef uint64_t reached(Durable* d) noexcept nogil:
    """m held."""
    if d.state == JOURNAL_OFF:
        return <uint64_t>-1
    if d.fsync_mode == FSYNC_ALWAYS:
        # a reply may not go when what it depends on can't be forced to disk any more
        return d.durable if d.broken or d.durable < d.appended else <uint64_t>-1
    if d.error or d.broken:
        return <uint64_t>-1             # writes are refused from now on, and reads go on
    if too_loose(d):
        return d.durable
    if d.written >= d.appended:
        return <uint64_t>-1
    if d.pending_since == 0 or durable_now() - d.pending_since < LATE:
        return <uint64_t>-1
    return d.written


cdef uint64_t journal_reached(Durable* d) noexcept nogil:
    cdef uint64_t offset
    pthread_mutex_lock(&d.m)
    offset = reached(d)
    pthread_mutex_unlock(&d.m)
    return offset


cdef bint journal_hold(Durable* d, uint64_t offset, uint32_t n) noexcept nogil:
    cdef bint held
    pthread_mutex_lock(&d.m)
    held = reached(d) < offset
    if held:
        d.holding += n
        d.joined += n
        durable_call_keeper(d)
    pthread_mutex_unlock(&d.m)
    return held


cdef void journal_unhold(Durable* d, uint32_t n) noexcept nogil:
    pthread_mutex_lock(&d.m)
    d.holding -= n if n < d.holding else d.holding
    pthread_mutex_unlock(&d.m)


cdef int journal_settle(Durable* d, uint64_t offset) noexcept nogil:
    cdef int error = 0
    if d.fsync_mode != FSYNC_ALWAYS:
        journal_flush(d)
    pthread_mutex_lock(&d.m)
    if reached(d) < offset:
        d.holding += 1
        d.joined += 1
        durable_call_keeper(d)
        while reached(d) < offset and not d.broken and not d.stop:
            pthread_cond_wait(&d.done, &d.m)
        d.holding -= 1
    if reached(d) < offset:
        error = d.broken if d.broken else EIO
    pthread_mutex_unlock(&d.m)
    return error


cdef bint journal_sync_all(Durable* d) noexcept nogil:
    """Writes and forces to disk itself, beside the keeper: for the end of a store, and for SHUTDOWN."""
    cdef bint good
    if d.state == JOURNAL_OFF:
        return True
    while d.rotate == ROTATE_WANTED and not d.broken:
        rotate(d)
        if d.error:                     # a full disk: nobody waits here until there is room
            break
    pthread_mutex_lock(&d.io)
    if not d.broken:
        write_now(d)
    good = not d.broken and not d.error
    if good and d.durable < d.written:
        good = sync_now(d)
    pthread_mutex_unlock(&d.io)
    return good


# ---- rotation

cdef int journal_start_rotation(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    journal_take(kv)
    pthread_mutex_lock(&d.m)
    d.rotate = ROTATE_WANTED
    d.rotate_at = d.appended
    durable_call_keeper(d)
    pthread_mutex_unlock(&d.m)
    kv.effects_db = -1                  # the new file starts with a SELECT
    d.last_stamp = 0
    return 0


cdef void rotate(Durable* d) noexcept nogil:
    """Ends the present increment on the disk, and opens the next.  Until the old one is there the new one gets nothing: else
    a power cut could leave a hole in the middle."""
    cdef bint good = True
    cdef int error = 0
    pthread_mutex_lock(&d.io)
    if d.rotate != ROTATE_WANTED:
        pthread_mutex_unlock(&d.io)
        return
    if d.broken:
        drop_before(d)                  # the base that is being written has it all
    else:
        write_now(d)
        good = not d.error and not d.broken and sync_now(d)
    if good:
        error = aof_exchange(d)
    pthread_mutex_lock(&d.m)
    if good and error == 0:
        d.rotate = ROTATE_DONE
    elif error or d.broken:
        d.rotate = ROTATE_NO            # goes on in the old file; the rewrite fails (aof)
        d.rewrite_retry_at = -1
    pthread_mutex_unlock(&d.m)
    pthread_mutex_unlock(&d.io)
    if error:
        durable_log(d, LOG_WARNING, b"Can't open the append-only file: %s%s", strerror(error), b"")


cdef void drop_before(Durable* d) noexcept nogil:
    """io held: bytes before the boundary are given up: they belong to a file that is broken."""
    cdef size_t n
    cdef Buffer swap
    pthread_mutex_lock(&d.m)
    while d.written < d.rotate_at:
        if d.writing.n == d.writing_at:
            buffer_trim(&d.writing, KEEP)
            d.writing_at = 0
            swap = d.writing
            d.writing = d.pending
            d.pending = swap
            if d.writing.n == 0:
                break
        n = min(d.writing.n - d.writing_at, <size_t>(d.rotate_at - d.written))
        d.writing_at += n
        d.written += n
    pthread_mutex_unlock(&d.m)


# ---- the keeper's part

cdef bint gathers(Durable* d, int64_t now) noexcept nogil:
    """m held, `always`: whether the next fsync waits for more company."""
    return d.joined < d.company and now < d.gather_until


cdef int64_t journal_due(Durable* d, int64_t now) noexcept nogil:
    if d.state == JOURNAL_OFF:
        return 0
    if (d.error or d.broken) and not d.kv.refusing_writes:
        return now                      # commands have to learn it
    if d.rotate == ROTATE_WANTED and (d.error == 0 or now - d.error_at >= SECOND):
        return now
    if d.broken:
        return 0
    if d.error:
        return d.error_at + SECOND
    if d.fsync_mode == FSYNC_ALWAYS:
        if d.appended == d.durable:
            return 0
        return d.gather_until if gathers(d, now) else now
    if d.pending.n or d.writing.n > d.writing_at:
        return now
    if d.written > d.durable and d.fsync_mode == FSYNC_EVERYSEC:
        return d.last_sync + SECOND
    return 0


cdef void journal_work(Durable* d, int64_t now) noexcept nogil:
    cdef uint32_t group
    cdef bint sync
    cdef bint paused
    if d.rotate == ROTATE_WANTED:
        rotate(d)
    if (d.error or d.broken) and not d.kv.refusing_writes:
        tell_refusal(d)
    if d.broken or (d.error and now - d.error_at < SECOND):
        return
    paused = d.lazy_on_rewrite and durable_child_active(d)
    pthread_mutex_lock(&d.io)
    pthread_mutex_lock(&d.m)
    group = d.joined
    if d.gather_until:                  # did the wait pay?
        d.gather_off = 0 if group * 4 >= d.company * 3 else min(d.gather_off * 2 + 2, 512)
        d.gather_until = 0
    pthread_mutex_unlock(&d.m)
    write_now(d)
    sync = not d.broken and not d.error and d.written > d.durable
    if sync and paused:
        pthread_mutex_lock(&d.m)
        d.last_sync = d.loose_since = now       # nothing is promised of what comes meanwhile
        if d.fsync_mode == FSYNC_ALWAYS:
            d.durable = d.written       # what no-appendfsync-on-rewrite means
            durable_wake(d)
        pthread_mutex_unlock(&d.m)
    elif sync and (d.fsync_mode == FSYNC_ALWAYS or (d.fsync_mode == FSYNC_EVERYSEC and now - d.last_sync >= SECOND)):
        if sync_now(d) and d.fsync_mode == FSYNC_ALWAYS:
            start_gathering(d, group)
    pthread_mutex_unlock(&d.io)
    if d.broken or d.error or d.kv.refusing_writes:
        tell_refusal(d)


cdef void start_gathering(Durable* d, uint32_t group) noexcept nogil:
    """A group goes: it may come back, and join those who came meanwhile."""
    pthread_mutex_lock(&d.m)
    d.company = group + d.joined
    d.gather_until = 0
    if d.gather_off > 0:
        d.gather_off -= 1
    elif group >= GATHER_MIN:
        d.gather_until = durable_now() + max(min(d.sync_us // 2, 2000), 50)
    pthread_mutex_unlock(&d.m)


cdef void tell_refusal(Durable* d) noexcept nogil:
    """Commands learn that writes are refused, or no longer."""
    lock_take(d.kv)
    durable_refuse(d)
    lock_give(d.kv)
