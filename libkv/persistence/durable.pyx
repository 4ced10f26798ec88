"""A store's durable side (contract: durable.pxd): its struct, its keeper thread, its settings, its log."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, strtoll
from libc.string cimport strerror
from libc.time cimport time

from libkv.disk.files cimport files_join
from libkv.engine.access cimport access_refresh
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport FROM_FILE, config_hook_add, config_hook_remove, config_id, config_of, config_value
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.persistence.aof cimport aof_close, aof_end_rewrite, aof_rewrite, aof_switch_off, aof_switch_on
from libkv.persistence.durable_info cimport durable_info
from libkv.persistence.journal cimport journal_due, journal_sync_all, journal_take, journal_work
from libkv.persistence.saves cimport save_background, save_due, save_ended
from libkv.persistence.snapshot cimport SNAPSHOT_DONE, SNAPSHOT_FAILED, SNAPSHOT_RUNNING, snapshot_end, snapshot_look
from libkv.persistence.spikes cimport spikes_tell
from libkv.structures.buffer cimport buffer_free, buffer_init

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_condattr_t:
        pass
    int pthread_mutex_init(pthread_mutex_t*, const void*)
    int pthread_mutex_destroy(pthread_mutex_t*)
    int pthread_cond_init(pthread_cond_t*, const pthread_condattr_t*)
    int pthread_cond_destroy(pthread_cond_t*)
    int pthread_condattr_init(pthread_condattr_t*)
    int pthread_condattr_setclock(pthread_condattr_t*, int)
    int pthread_condattr_destroy(pthread_condattr_t*)
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*)
    int pthread_create(pthread_t*, const void*, void* (*)(void*) noexcept nogil, void*)
    int pthread_join(pthread_t, void**)
    int pthread_setname_np(pthread_t, const char*)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int pthread_cond_timedwait(pthread_cond_t*, pthread_mutex_t*, const timespec*)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t*)
    int pthread_sigmask(int, const sigset_t*, sigset_t*)
    enum:
        SIG_SETMASK

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int)

cdef enum:
    SECOND = 1000000
    TICK = 100000               # us between two looks while the journal or save points are on
    CHILD_TICK = 5000           # while a child is young: small stores are saved in milliseconds

cdef int DIR = config_id(b"dir")
cdef int APPENDONLY = config_id(b"appendonly")
cdef int APPENDFSYNC = config_id(b"appendfsync")
cdef int APPENDFILENAME = config_id(b"appendfilename")
cdef int APPENDDIRNAME = config_id(b"appenddirname")
cdef int DBFILENAME = config_id(b"dbfilename")
cdef int SAVE = config_id(b"save")
cdef int LAZY = config_id(b"no-appendfsync-on-rewrite")
cdef int GROWTH = config_id(b"auto-aof-rewrite-percentage")
cdef int GROWTH_MIN = config_id(b"auto-aof-rewrite-min-size")
cdef int PREAMBLE = config_id(b"aof-use-rdb-preamble")
cdef int TIMESTAMPS = config_id(b"aof-timestamp-enabled")
cdef int KEEP_HISTORY = config_id(b"aof-disable-auto-gc")
cdef int STOP_WRITES = config_id(b"stop-writes-on-bgsave-error")


cdef int64_t durable_now() noexcept nogil:
    return mono_ns() // 1000


cdef int64_t durable_wall() noexcept nogil:
    return time(NULL)


cdef int durable_child_active(Durable* d) noexcept nogil:
    return d.saving or d.rewriting


cdef void durable_set_libraries(Kv* kv, rdb_libraries_each each, rdb_library load, void* arg) noexcept nogil:
    durable_of(kv).libraries = each
    durable_of(kv).library = load
    durable_of(kv).library_arg = arg


# ---- life

cdef int durable_attach(Kv* kv, Files* files) noexcept nogil:
    cdef Durable* d = <Durable*>calloc(1, sizeof(Durable))
    cdef pthread_condattr_t attributes
    if d == NULL:
        return -1
    d.kv = kv
    d.files = files
    d.head.info = durable_info
    d.head.spikes = spikes_tell
    d.head.files = files
    d.fd = d.lock_fd = d.snapshot.pidfd = -1
    d.save_ok = d.rewrite_ok = True
    d.rewrite_seconds = d.save_seconds = -1
    d.last_save = durable_wall()
    d.dirty_saved = kv.dirty
    buffer_init(&d.pending)
    buffer_init(&d.writing)
    pthread_mutex_init(&d.m, NULL)
    pthread_mutex_init(&d.io, NULL)
    pthread_mutex_init(&d.log_m, NULL)
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(&d.work, &attributes)
    pthread_cond_init(&d.done, &attributes)
    pthread_condattr_destroy(&attributes)
    kv.journal = d
    kv.snapshot = &d.snapshot
    durable_configure(kv)
    config_hook_add(kv, b"appendonly", appendonly_changed, d)
    config_hook_add(kv, b"appendfsync", setting_changed, d)
    config_hook_add(kv, b"save", setting_changed, d)
    config_hook_add(kv, b"dir", setting_changed, d)
    config_hook_add(kv, b"dbfilename", setting_changed, d)
    config_hook_add(kv, b"aof-timestamp-enabled", setting_changed, d)
    config_hook_add(kv, b"aof-use-rdb-preamble", setting_changed, d)
    config_hook_add(kv, b"no-appendfsync-on-rewrite", setting_changed, d)
    config_hook_add(kv, b"stop-writes-on-bgsave-error", setting_changed, d)
    config_hook_add(kv, b"latency-monitor-threshold", setting_changed, d)
    return 0


cdef void durable_detach(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if d == NULL:
        return
    if d.state != JOURNAL_OFF:
        journal_sync_all(d)
    pthread_mutex_lock(&d.m)
    d.stop = True
    durable_wake(d)
    pthread_cond_signal(&d.work)
    pthread_mutex_unlock(&d.m)
    if d.running:
        pthread_join(d.keeper, NULL)
    if d.saving or d.rewriting:
        snapshot_end(&d.snapshot)
    pthread_mutex_lock(&d.io)
    aof_close(d)
    pthread_mutex_unlock(&d.io)
    lock_take(kv)
    config_hook_remove(kv, d)
    kv.journal = NULL
    kv.snapshot = NULL
    lock_give(kv)
    buffer_free(&d.pending)
    buffer_free(&d.writing)
    pthread_mutex_destroy(&d.m)
    pthread_mutex_destroy(&d.io)
    pthread_mutex_destroy(&d.log_m)
    pthread_cond_destroy(&d.work)
    pthread_cond_destroy(&d.done)
    free(d)


cdef void durable_forget(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if d == NULL:
        return
    if d.fd >= 0:
        c_close(d.fd)
    if d.lock_fd >= 0:
        c_close(d.lock_fd)              # the lock stays with the parent's descriptor
    if d.snapshot.pid:
        c_close(d.snapshot.pipe)
        if d.snapshot.pidfd >= 0:
            c_close(d.snapshot.pidfd)
    config_hook_remove(kv, d)
    kv.journal = NULL                   # its mutexes may be in any state: the struct is left as it is
    kv.snapshot = NULL


# ---- the keeper

cdef bint tick_wanted(Durable* d) noexcept nogil:
    """m held, and bools of the store's lock read: a tick late does no harm."""
    return (d.saving or d.rewriting or d.save_scheduled or d.rewrite_scheduled or d.snapshot.unreaped
            or d.state != JOURNAL_OFF or (d.save_mode == SAVES_BY_POINTS and d.n_points > 0))


cdef int64_t tick_gap(Durable* d, int64_t now) noexcept nogil:
    if d.saving or d.rewriting:
        return CHILD_TICK if now - d.snapshot.began < SECOND else TICK
    if d.kv.server != NULL or d.save_scheduled or d.rewrite_scheduled:
        return TICK
    return SECOND                       # an embedded store


cdef void* keeper_main(void* arg) noexcept nogil:
    cdef Durable* d = <Durable*>arg
    cdef int64_t now, due, tick
    cdef int64_t last = durable_now()
    cdef timespec until
    pthread_mutex_lock(&d.m)
    while not d.stop:
        now = durable_now()
        due = journal_due(d, now)
        tick = last + tick_gap(d, now) if tick_wanted(d) else 0
        if (due and due <= now) or (tick and tick <= now):
            pthread_mutex_unlock(&d.m)
            if due and due <= now:
                journal_work(d, now)
            if tick and tick <= now:
                last = now
                keeper_tick(d)
            pthread_mutex_lock(&d.m)
            continue
        if due == 0 or (tick and tick < due):
            due = tick
        d.asleep = due == 0 or due - now > SECOND
        if due == 0:
            pthread_cond_wait(&d.work, &d.m)
        else:
            until.tv_sec = due // SECOND
            until.tv_nsec = (due % SECOND) * 1000
            pthread_cond_timedwait(&d.work, &d.m, &until)
        d.asleep = False
    pthread_mutex_unlock(&d.m)
    return NULL


cdef int durable_start_keeper(Durable* d) noexcept nogil:
    """Store's lock held.  Every signal is blocked in it: they are for the application's threads."""
    cdef sigset_t every, before
    cdef int error
    if d.running:
        pthread_mutex_lock(&d.m)
        durable_call_keeper(d)
        pthread_mutex_unlock(&d.m)
        return 0
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    error = pthread_create(&d.keeper, NULL, keeper_main, d)
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    if error == 0:
        d.running = True
        pthread_setname_np(d.keeper, b"kv-keeper")
    return error


cdef void durable_call_keeper(Durable* d) noexcept nogil:
    pthread_cond_signal(&d.work)


cdef void durable_wake(Durable* d) noexcept nogil:
    cdef Waker* w
    pthread_cond_broadcast(&d.done)
    if d.holding or d.fatal:
        w = d.wakers
        while w != NULL:
            w.wake(w.arg)
            w = w.next


cdef void keeper_tick(Durable* d) noexcept nogil:
    """Children, save points, growth."""
    cdef Kv* kv = d.kv
    cdef int state
    cdef bint over, save, rewrite, finished
    cdef int64_t began
    lock_take(kv)
    access_refresh(kv)
    durable_configure(kv)
    journal_take(kv)                    # what expired
    spikes_tell(kv)
    save = d.saving
    rewrite = d.rewriting
    # a finished base has to wait until the increment behind it is open
    over = not rewrite or d.rotate != ROTATE_WANTED
    state = snapshot_look(&d.snapshot) if over else SNAPSHOT_RUNNING
    if rewrite and over and state == SNAPSHOT_RUNNING and d.state != JOURNAL_OFF and d.rotate == ROTATE_NO:
        snapshot_end(&d.snapshot)       # the increment could not be opened
        state = SNAPSHOT_FAILED
    finished = state == SNAPSHOT_DONE or state == SNAPSHOT_FAILED
    began = d.snapshot.began
    if finished and save:
        pthread_mutex_lock(&d.io)       # before the lock goes: who gives the snapshot up waits until it has its name
    lock_give(kv)
    if finished:
        if save:
            save_ended(d, state == SNAPSHOT_DONE, began)
        elif rewrite:
            log_rewrite(d, state == SNAPSHOT_DONE)
            aof_end_rewrite(d, state == SNAPSHOT_DONE and (d.state == JOURNAL_OFF or d.rotate == ROTATE_DONE))
    lock_take(kv)
    if not d.saving and not d.rewriting and not kv.loading:
        if d.rewrite_scheduled:
            aof_rewrite(kv)
        elif d.save_scheduled or save_due(kv, durable_wall()):
            save_background(kv)
        elif growth_due(d):
            aof_rewrite(kv)
    lock_give(kv)


cdef void log_rewrite(Durable* d, bint good) noexcept nogil:
    if good:
        durable_log_n(d, LOG_NOTICE, b"Fork CoW for AOF rewrite: %lld MB", <int64_t>(d.snapshot.copied_peak >> 20), 0)
        durable_log(d, LOG_NOTICE, b"Background AOF rewrite terminated with success%s%s", b"", b"")
    elif d.snapshot.signal:
        durable_log_n(d, LOG_WARNING, b"Background AOF rewrite terminated by signal %lld", d.snapshot.signal, 0)
    else:
        durable_log(d, LOG_WARNING, b"Background AOF rewrite terminated with error: %s%s", strerror(d.snapshot.error), b"")


cdef bint growth_due(Durable* d) noexcept nogil:
    """auto-aof-rewrite-percentage and -min-size."""
    cdef uint64_t base = d.base_size if d.base_size else 1
    cdef int64_t growth
    if d.state != JOURNAL_ON or d.growth <= 0 or d.whole_size <= <uint64_t>d.growth_min:
        return False
    if d.rewrite_failures and durable_now() < d.rewrite_retry_at:
        return False
    growth = <int64_t>(d.whole_size * 100 // base) - 100
    if growth < d.growth:
        return False
    durable_log_n(d, LOG_NOTICE, b"Starting automatic rewriting of AOF on %lld%% growth", growth, 0)
    return True


# ---- settings

cdef inline bint is_yes(Kv* kv, int directive) noexcept nogil:
    return config_value(kv, directive).p[0] == c"y"


cdef void durable_configure(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef const char* text = config_value(kv, APPENDFSYNC).p
    cdef char* rest
    cdef int mode = FSYNC_ALWAYS if text[0] == c"a" else FSYNC_NO if text[0] == c"n" else FSYNC_EVERYSEC
    pthread_mutex_lock(&d.m)
    if mode != d.fsync_mode:
        d.fsync_mode = mode
        durable_wake(d)
        durable_call_keeper(d)
    d.lazy_on_rewrite = is_yes(kv, LAZY)
    d.timestamps = is_yes(kv, TIMESTAMPS)
    d.rdb_base = is_yes(kv, PREAMBLE)
    d.keep_history = is_yes(kv, KEEP_HISTORY)
    d.stop_writes = is_yes(kv, STOP_WRITES)
    d.spike_least = kv.settings.latency_monitor_threshold
    d.growth = strtoll(config_value(kv, GROWTH).p, NULL, 10)
    d.growth_min = strtoll(config_value(kv, GROWTH_MIN).p, NULL, 10)
    snprintf(d.dir, PATH_ROOM, b"%s", config_value(kv, DIR).p)
    snprintf(d.snapshot_name, sizeof(d.snapshot_name), b"%s", config_value(kv, DBFILENAME).p)
    if d.state == JOURNAL_OFF and not d.rewriting:      # an open journal stays where it is
        snprintf(d.journal_name, sizeof(d.journal_name), b"%s", config_value(kv, APPENDFILENAME).p)
        files_join(d.journal_dir, PATH_ROOM, d.dir, config_value(kv, APPENDDIRNAME).p)
    d.n_points = 0
    text = config_value(kv, SAVE).p
    while d.n_points < SAVE_POINTS:
        d.points[d.n_points].seconds = strtoll(text, &rest, 10)
        if rest == text:
            break
        text = rest
        d.points[d.n_points].changes = <uint64_t>strtoll(text, &rest, 10)
        text = rest
        d.n_points += 1
    pthread_mutex_unlock(&d.m)


cdef const char* setting_changed(Kv* kv, void* owner, int directive) noexcept nogil:
    cdef Durable* d = <Durable*>owner
    durable_configure(kv)
    durable_refuse(d)
    if d.running:
        durable_start_keeper(d)         # it counts anew
    return NULL


cdef const char* appendonly_changed(Kv* kv, void* owner, int directive) noexcept nogil:
    durable_configure(kv)
    if config_of(kv).source == FROM_FILE:
        return NULL                     # before the start: what is there is loaded first
    if not is_yes(kv, APPENDONLY):
        aof_switch_off(kv)
    elif aof_switch_on(kv) != 0:
        return b"Unable to turn on AOF. Check server logs."
    return NULL


cdef void durable_refuse(Durable* d) noexcept nogil:
    cdef int error = d.broken if d.broken else d.error
    cdef Kv* kv = d.kv
    if d.stop_writes and not d.save_ok and d.save_mode == SAVES_BY_POINTS and d.n_points > 0:
        snprintf(d.head.refusal, sizeof(d.head.refusal), b"MISCONF Redis is configured to save RDB snapshots, but it's "
                 b"currently unable to persist to disk. Commands that may modify the data set are disabled, because this "
                 b"instance is configured to report errors during writes if RDB snapshotting fails "
                 b"(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.")
        kv.refusing_writes = True
    elif d.state != JOURNAL_OFF and error:
        snprintf(d.head.refusal, sizeof(d.head.refusal), b"MISCONF Errors writing to the AOF file: %s", strerror(error))
        kv.refusing_writes = True
    else:
        kv.refusing_writes = False


# ---- the log

cdef void durable_add_waker(Kv* kv, Waker* w) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    pthread_mutex_lock(&d.log_m)
    pthread_mutex_lock(&d.m)
    w.next = d.wakers
    d.wakers = w
    pthread_mutex_unlock(&d.m)
    pthread_mutex_unlock(&d.log_m)


cdef void durable_remove_waker(Kv* kv, Waker* w) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef Waker** at
    if d == NULL:
        return
    at = &d.wakers
    pthread_mutex_lock(&d.log_m)
    pthread_mutex_lock(&d.m)
    while at[0] != NULL and at[0] != w:
        at = &at[0].next
    if at[0] != NULL:
        at[0] = w.next
    pthread_mutex_unlock(&d.m)
    pthread_mutex_unlock(&d.log_m)


cdef void add_line(Durable* d, int level, const char* text) noexcept nogil:
    """To the first server's log, or kept for the store's own."""
    cdef LogLine* line
    pthread_mutex_lock(&d.log_m)
    if d.wakers != NULL:                # changed with both mutexes held
        d.wakers.log(d.wakers.arg, level, text)
    else:
        if d.n_lines == LOG_LINES:
            d.first_line = (d.first_line + 1) % LOG_LINES
            d.n_lines -= 1
        line = &d.lines[(d.first_line + d.n_lines) % LOG_LINES]
        line.level = level
        snprintf(line.text, LOG_TEXT, b"%.*s", <int>LOG_TEXT - 1, text)
        d.n_lines += 1
    pthread_mutex_unlock(&d.log_m)


cdef void durable_log(Durable* d, int level, const char* format, const char* a, const char* b) noexcept nogil:
    cdef char text[1024]
    snprintf(text, sizeof(text), format, a, b)
    add_line(d, level, text)


cdef void durable_log_n(Durable* d, int level, const char* format, int64_t a, int64_t b) noexcept nogil:
    cdef char text[1024]
    snprintf(text, sizeof(text), format, <long long>a, <long long>b)
    add_line(d, level, text)


cdef bint durable_take_line(Durable* d, LogLine* line) noexcept nogil:
    cdef bint found
    pthread_mutex_lock(&d.log_m)
    found = d.n_lines > 0
    if found:
        line[0] = d.lines[d.first_line]
        d.first_line = (d.first_line + 1) % LOG_LINES
        d.n_lines -= 1
    pthread_mutex_unlock(&d.log_m)
    return found
