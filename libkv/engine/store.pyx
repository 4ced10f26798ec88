"""A store's C side: made, kept going and ended (contract: store.pxd)."""

from libc.stdlib cimport calloc, free

from libkv.engine.access cimport access_refresh
from libkv.engine.acl cimport acl_delete, acl_new
from libkv.engine.blocking cimport blocking_delete, blocking_expire, blocking_new
from libkv.engine.clock cimport clock_monotonic, mono_ns, wall_us
from libkv.engine.config cimport config_delete, config_new
from libkv.engine.doom cimport doom_forget, doom_step
from libkv.engine.info cimport info_sample
from libkv.engine.eviction cimport eviction_cron, eviction_delete, eviction_new
from libkv.engine.keyspace cimport active_expire, keyspace_init, keyspace_step
from libkv.engine.latency cimport latency_add, latency_delete, latency_new
from libkv.engine.lock cimport lock_delete, lock_give, lock_new, lock_take
from libkv.engine.pubsub cimport pubsub_begin
from libkv.engine.push cimport push_delete, push_new
from libkv.engine.registry cimport registry_count
from libkv.engine.renames cimport renames_delete
from libkv.engine.slowlog cimport slowlog_free
from libkv.engine.tracking cimport tracking_batch_end, tracking_delete, tracking_new
from libkv.engine.types cimport CommandStats
from libkv.scripting.script_engine cimport scripting_delete
from libkv.structures.alloc cimport heap_delete, heap_new
from libkv.structures.buffer cimport buffer_free
from libkv.structures.random cimport random_next, random_seed, random_splitmix

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void*, size_t, unsigned int)

cdef enum:
    CRON_EXPIRE_US = 5000       # of one cron call: active expiry, at effort 1
    CRON_FREE = 20000           # pieces freed
    CRON_BUCKETS = 256          # rehash steps a database


cdef Kv* kv_new(int databases, uint64_t seed) noexcept nogil:
    cdef Kv* kv = <Kv*>calloc(1, sizeof(Kv))
    cdef uint64_t s0
    cdef uint64_t s1
    cdef int i
    if kv == NULL:
        return NULL
    if seed == 0 and getrandom(&seed, 8, 0) != 8:
        seed = <uint64_t>mono_ns() ^ (<uint64_t>wall_us() << 20)
    s0 = random_splitmix(&seed)
    s1 = random_splitmix(&seed)
    random_seed(&kv.random, seed)
    kv.heap = heap_new(s0, s1)
    kv.n_command_stats = registry_count()
    kv.command_stats = <CommandStats*>calloc(kv.n_command_stats if kv.n_command_stats else 1, sizeof(CommandStats))
    if (kv.heap == NULL or kv.command_stats == NULL or config_new(kv) != 0 or lock_new(kv) != 0 or latency_new(kv) != 0
            or keyspace_init(kv, databases) != 0 or acl_new(kv) != 0 or eviction_new(kv) != 0 or blocking_new(kv) != 0
            or push_new(kv) != 0 or pubsub_begin(kv) != 0 or tracking_new(kv) != 0):
        kv_delete(kv)
        return NULL
    kv.heap.owner = kv
    kv.effects_db = -1
    kv.active_expire = True
    access_refresh(kv)
    kv.started_ms = kv.now
    kv.started_mono = kv.mono
    for i in range(40):
        kv.run_id[i] = b"0123456789abcdef"[random_next(&kv.random) & 15]
    return kv


cdef void kv_delete(Kv* kv) noexcept nogil:
    """The heap goes as a whole; only what lies outside it is freed piece by piece."""
    if kv == NULL:
        return
    doom_forget(kv)
    scripting_delete(kv)
    slowlog_free(kv)
    latency_delete(kv)
    blocking_delete(kv)
    push_delete(kv)
    tracking_delete(kv)
    acl_delete(kv)
    eviction_delete(kv)
    renames_delete(kv)
    config_delete(kv)
    heap_delete(kv.heap)
    lock_delete(kv)
    buffer_free(&kv.effects)
    buffer_free(&kv.unit)
    free(kv.dbs)
    free(kv.command_stats)
    free(kv)


cdef int64_t kv_cron(Kv* kv) noexcept nogil:
    cdef int64_t hz
    cdef bint again
    cdef int64_t took
    lock_take(kv)
    hz = kv.settings.hz if kv.settings.hz > 0 else 10
    if not kv.cron_paused and kv.script_busy == 0:      # a script's time stands still, and so do its keys
        access_refresh(kv)
        blocking_expire(kv)
        if kv.active_expire and not kv.loading and kv.pause_until == 0:
            active_expire(kv, CRON_EXPIRE_US * (kv.settings.active_expire_effort if kv.settings.active_expire_effort else 1))
            took = clock_monotonic(kv) - kv.mono
            kv.stats.expire_cycle_us += <uint64_t>took
            latency_add(kv, b"expire-cycle", took // 1000)
        if kv.settings.activerehashing and not kv.loading:      # a table made for a file's keys is nearly empty at first
            keyspace_step(kv, CRON_BUCKETS)
        doom_step(kv, CRON_FREE)
        if kv.n_tracking:
            tracking_batch_end(kv)
        if kv.heap.used > kv.stats.peak_memory:
            kv.stats.peak_memory = kv.heap.used
        info_sample(kv)
    again = eviction_cron(kv)
    lock_give(kv)
    return 1 if again else 1000 // hz
