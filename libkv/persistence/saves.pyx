"""Snapshots to dump.rdb (contract: saves.pxd).

Deviation from redis-server: the parent gives the finished file its name, not the child, so that a child that outlives its
store replaces nothing.
"""

from libc.errno cimport EBUSY
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport strtoll
from libc.string cimport memset, strerror

from libkv.disk.files cimport files_install, files_join
from libkv.engine.config cimport config_id, config_value
from libkv.engine.latency cimport latency_add
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.persistence.durable cimport (
    PATH_ROOM, SAVES_BY_POINTS, durable_log, durable_log_n, durable_of, durable_refuse,
    durable_start_keeper, durable_wall, pthread_mutex_lock, pthread_mutex_unlock,
)
from libkv.persistence.snapshot cimport SNAPSHOT_RDB, snapshot_end, snapshot_start, snapshot_write

cdef enum:
    RETRY_SECONDS = 5           # after a failed background save

cdef int CHECKSUM = config_id(b"rdbchecksum")
cdef int KEY_DELAY = config_id(b"rdb-key-save-delay")
cdef int COMPRESSION = config_id(b"rdbcompression")
cdef int SAVE_SYNC = config_id(b"rdb-save-incremental-fsync")
cdef int REWRITE_SYNC = config_id(b"aof-rewrite-incremental-fsync")


cdef bint is_yes(Kv* kv, int directive) noexcept nogil:
    return config_value(kv, directive).p[0] == c"y"


cdef void plan_fill(Kv* kv, SnapshotPlan* plan, int kind) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    memset(plan, 0, sizeof(SnapshotPlan))
    plan.kind = kind
    plan.directory = d.dir
    plan.name = b"temp-%d.rdb" if kind == SNAPSHOT_RDB else b"temp-rewriteaof-bg-%d.aof"
    plan.checksum = is_yes(kv, CHECKSUM)
    plan.compress = is_yes(kv, COMPRESSION)
    plan.incremental_fsync = is_yes(kv, SAVE_SYNC if kind == SNAPSHOT_RDB else REWRITE_SYNC)
    plan.key_delay = strtoll(config_value(kv, KEY_DELAY).p, NULL, 10)
    plan.libraries = d.libraries
    plan.files = d.files


cdef int save_now(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef SnapshotPlan plan
    cdef char path[PATH_ROOM]
    cdef uint64_t keys
    cdef int error
    plan_fill(kv, &plan, SNAPSHOT_RDB)
    error = -files_join(path, sizeof(path), d.dir, d.snapshot_name)
    if error == 0:
        error = snapshot_write(kv, &plan, path, &keys)
    if error:
        durable_log(d, LOG_WARNING, b"Error saving the DB to %s: %s", path, strerror(error))
        return error
    durable_log(d, LOG_NOTICE, b"DB saved on disk%s%s", b"", b"")
    d.dirty_saved = kv.dirty
    d.last_save = durable_wall()
    d.save_ok = True
    durable_refuse(d)
    return 0


cdef int save_background(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef SnapshotPlan plan
    cdef int error
    if d.saving or d.rewriting:
        return EBUSY
    d.save_scheduled = False
    d.last_try = durable_wall()
    error = durable_start_keeper(d)
    if error == 0:
        error = -files_join(d.save_path, PATH_ROOM, d.dir, d.snapshot_name)
    if error == 0:
        plan_fill(kv, &plan, SNAPSHOT_RDB)
        error = snapshot_start(kv, &d.snapshot, &plan)
    if error:
        d.save_ok = False
        durable_log(d, LOG_WARNING, b"Can't save in background: fork: %s%s", strerror(error), b"")
        durable_refuse(d)
        return error
    d.head.forks += 1
    d.head.fork_us = d.snapshot.fork_us
    latency_add(kv, b"fork", d.head.fork_us // 1000)
    d.saving = True
    d.saves += 1
    d.dirty_forked = kv.dirty
    d.save_began = d.last_try
    durable_start_keeper(d)             # it has something to look at now
    durable_log_n(d, LOG_NOTICE, b"Background saving started by pid %lld", d.snapshot.pid, 0)
    return 0


cdef void save_stop(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if not d.saving:
        return
    durable_log(d, LOG_WARNING, b"There is a child saving an .rdb. Killing it!%s%s", b"", b"")
    snapshot_end(&d.snapshot)
    d.saving = False
    d.save_seconds = durable_wall() - d.save_began
    d.save_began = 0
    # a keeper that is just giving the finished file its name is through then
    pthread_mutex_lock(&d.io)
    pthread_mutex_unlock(&d.io)


cdef void save_flushed(Kv* kv) noexcept nogil:
    """As redis-server: with save points a snapshot without keys is written at once, so that a crash does not bring them
    back."""
    if kv.loading or durable_of(kv) == NULL:
        return
    save_stop(kv)
    if save_wanted_at_end(kv):
        save_now(kv)


cdef void save_ended(Durable* d, bint good, int64_t began) noexcept nogil:
    cdef int error = d.snapshot.error
    if good:
        error = -files_install(d.files, d.snapshot.path, d.save_path, NULL)
        good = error == 0
    pthread_mutex_unlock(&d.io)
    lock_take(d.kv)
    if not d.saving or d.snapshot.began != began:       # SHUTDOWN or FLUSHALL has given it up meanwhile
        lock_give(d.kv)
        return
    d.saving = False
    d.save_seconds = durable_wall() - d.save_began
    d.save_began = 0
    d.save_ok = good
    d.save_cow = d.snapshot.copied_peak
    if good:
        d.dirty_saved = d.dirty_forked
        d.last_save = durable_wall()
        durable_log(d, LOG_NOTICE, b"DB saved on disk%s%s", b"", b"")
        durable_log_n(d, LOG_NOTICE, b"Fork CoW for RDB: %lld MB", <int64_t>(d.save_cow >> 20), 0)
        durable_log(d, LOG_NOTICE, b"Background saving terminated with success%s%s", b"", b"")
    elif d.snapshot.signal:
        durable_log_n(d, LOG_WARNING, b"Background saving terminated by signal %lld", d.snapshot.signal, 0)
    else:
        durable_log(d, LOG_WARNING, b"Background saving error: %s%s", strerror(error), b"")
    durable_refuse(d)
    lock_give(d.kv)


cdef bint save_due(Kv* kv, int64_t now) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef uint64_t changes = kv.dirty - d.dirty_saved
    cdef int i
    if d.save_mode != SAVES_BY_POINTS or d.saving or d.rewriting:
        return False
    for i in range(d.n_points):
        if (changes >= d.points[i].changes and now - d.last_save > d.points[i].seconds
                and (now - d.last_try > RETRY_SECONDS or d.save_ok)):
            durable_log_n(d, LOG_NOTICE, b"%lld changes in %lld seconds. Saving...", <int64_t>d.points[i].changes,
                          d.points[i].seconds)
            return True
    return False


cdef bint save_wanted_at_end(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    return d != NULL and d.save_mode == SAVES_BY_POINTS and d.n_points > 0
