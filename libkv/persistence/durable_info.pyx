"""INFO's section persistence (contract: durable_info.pxd): the fields of redis-server 7.0.15, in its order.

One is of our own, and only there when it is not 0: last_load_dropped, what skip_unsupported has passed over.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport strlen

from libkv.persistence.durable cimport (
    FSYNC_EVERYSEC, JOURNAL_OFF, Durable, durable_now, durable_of, durable_wall, pthread_mutex_lock, pthread_mutex_unlock,
)
from libkv.structures.buffer cimport buffer_add


cdef void put(Buffer* out, const char* name, int64_t v) noexcept nogil:
    cdef char line[128]
    buffer_add(out, line, snprintf(line, sizeof(line), b"%s:%lld\r\n", name, <long long>v))


cdef void put_text(Buffer* out, const char* line) noexcept nogil:
    buffer_add(out, line, strlen(line))


cdef void put_status(Buffer* out, const char* name, bint good) noexcept nogil:
    cdef char line[128]
    buffer_add(out, line, snprintf(line, sizeof(line), b"%s:%s\r\n", name, b"ok" if good else b"err"))


cdef void put_fraction(Buffer* out, const char* name, uint64_t part, uint64_t whole) noexcept nogil:
    cdef char line[128]
    cdef double percent = <double>part * 100.0 / <double>whole if whole else 0.0
    buffer_add(out, line, snprintf(line, sizeof(line), b"%s:%.2f\r\n", name, percent))


cdef void put_child(Durable* d, Buffer* out) noexcept nogil:
    """The present child's figures; zeros without one."""
    cdef bint active = d.saving or d.rewriting
    put(out, b"current_cow_peak", <int64_t>d.snapshot.copied_peak if active else 0)
    put(out, b"current_cow_size", <int64_t>d.snapshot.copied if active else 0)
    put(out, b"current_cow_size_age", (durable_now() - d.snapshot.copied_at) // 1000000
        if active and d.snapshot.copied_at else 0)
    put_fraction(out, b"current_fork_perc", d.snapshot.keys if active else 0, d.snapshot.keys_total)
    put(out, b"current_save_keys_processed", <int64_t>d.snapshot.keys if active else 0)
    put(out, b"current_save_keys_total", <int64_t>d.snapshot.keys_total if active else 0)


cdef bint fsync_due(Durable* d) noexcept nogil:
    """m held: the keeper is about to force to disk what is written."""
    return d.fsync_mode == FSYNC_EVERYSEC and d.written > d.durable and durable_now() - d.last_sync >= 1000000


cdef void put_loading(Durable* d, Buffer* out) noexcept nogil:
    cdef int64_t gone = durable_wall() - d.loading_began
    cdef uint64_t left = d.loading_total - d.loading_done if d.loading_total > d.loading_done else 0
    put(out, b"loading_start_time", d.loading_began)
    put(out, b"loading_total_bytes", <int64_t>d.loading_total)
    put(out, b"loading_rdb_used_mem", d.load_used_mem)
    put(out, b"loading_loaded_bytes", <int64_t>d.loading_done)
    put_fraction(out, b"loading_loaded_perc", d.loading_done, d.loading_total)
    put(out, b"loading_eta_seconds", <int64_t>(<double>max(gone, 1) * <double>left / <double>d.loading_done)
        if d.loading_done else 1)


cdef void durable_info(Kv* kv, Buffer* out) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    put(out, b"loading", kv.loading)
    put(out, b"async_loading", 0)
    put_child(d, out)
    put(out, b"rdb_changes_since_last_save", <int64_t>(kv.dirty - d.dirty_saved))
    put(out, b"rdb_bgsave_in_progress", d.saving)
    put(out, b"rdb_last_save_time", d.last_save)
    put_status(out, b"rdb_last_bgsave_status", d.save_ok)
    put(out, b"rdb_last_bgsave_time_sec", d.save_seconds)
    put(out, b"rdb_current_bgsave_time_sec", durable_wall() - d.save_began if d.saving else -1)
    put(out, b"rdb_saves", <int64_t>d.saves)
    put(out, b"rdb_last_cow_size", <int64_t>d.save_cow)
    put(out, b"rdb_last_load_keys_expired", <int64_t>d.load_expired)
    put(out, b"rdb_last_load_keys_loaded", <int64_t>d.load_keys)
    put(out, b"aof_enabled", d.state != JOURNAL_OFF)
    put(out, b"aof_rewrite_in_progress", d.rewriting)
    put(out, b"aof_rewrite_scheduled", d.rewrite_scheduled)
    put(out, b"aof_last_rewrite_time_sec", d.rewrite_seconds)
    put(out, b"aof_current_rewrite_time_sec", durable_wall() - d.rewrite_began if d.rewriting else -1)
    put_status(out, b"aof_last_bgrewrite_status", d.rewrite_ok)
    put(out, b"aof_rewrites", <int64_t>d.rewrites)
    put(out, b"aof_rewrites_consecutive_failures", d.rewrite_failures)
    put_status(out, b"aof_last_write_status", d.error == 0 and d.broken == 0)
    put(out, b"aof_last_cow_size", <int64_t>d.rewrite_cow)
    put_text(out, b"module_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n")
    if d.state != JOURNAL_OFF:
        pthread_mutex_lock(&d.m)
        put(out, b"aof_current_size", <int64_t>d.whole_size)
        put(out, b"aof_base_size", <int64_t>d.base_size)
        put(out, b"aof_pending_rewrite", d.rewrite_scheduled)
        put(out, b"aof_buffer_length", <int64_t>(d.pending.n + d.writing.n - d.writing_at))
        put(out, b"aof_pending_bio_fsync", d.sync_busy or fsync_due(d))
        put(out, b"aof_delayed_fsync", <int64_t>d.delayed)
        pthread_mutex_unlock(&d.m)
    if d.load_dropped:
        put(out, b"last_load_dropped", <int64_t>d.load_dropped)
    if kv.loading:
        put_loading(d, out)


cdef void durable_reset_counters(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if d == NULL:
        return
    pthread_mutex_lock(&d.m)
    d.saves = d.rewrites = d.delayed = 0
    pthread_mutex_unlock(&d.m)
