"""What the disk takes long for (contract: spikes.pxd).

The events are redis-server 7.0.15's.  Deviations: aof-write-pending-fsync is how long replies were held up by a late fsync
(with redis-server the write itself blocks, and everything with it); there is no aof-rewrite-diff-write, whose name 7.0
still knows, but which nothing causes any more.
"""

from libkv.engine.clock cimport wall_us
from libkv.engine.latency cimport latency_add_at
from libkv.persistence.durable cimport (
    SPIKES, durable_now, durable_of, pthread_mutex_lock, pthread_mutex_unlock,
)

cdef const char** NAMES = [
    b"aof-write", b"aof-write-pending-fsync", b"aof-write-active-child", b"aof-write-alone", b"aof-fsync-always",
    b"aof-rename", b"aof-fstat",
]


cdef int64_t spike_began(Durable* d) noexcept nogil:
    cdef bint on
    pthread_mutex_lock(&d.m)
    on = d.spike_least > 0
    pthread_mutex_unlock(&d.m)
    return durable_now() if on else 0


cdef void spike_put(Durable* d, int what, int64_t us) noexcept nogil:
    cdef int64_t ms = us // 1000
    if d.spike_least <= 0 or ms < d.spike_least or ms <= d.spikes[what].ms:
        return
    d.spikes[what].ms = ms
    d.spikes[what].when = d.kv.clock_wall // 1000 if d.kv.clock_fixed else wall_us() // 1000000
    d.spiked = True


cdef void spike_end(Durable* d, int what, int64_t began) noexcept nogil:
    cdef int64_t us = durable_now() - began
    if began:
        pthread_mutex_lock(&d.m)
        spike_put(d, what, us)
        pthread_mutex_unlock(&d.m)


cdef void spikes_tell(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef int i
    pthread_mutex_lock(&d.m)
    for i in range(SPIKES if d.spiked else 0):
        if d.spikes[i].ms:
            latency_add_at(kv, NAMES[i], d.spikes[i].ms, d.spikes[i].when)
            d.spikes[i].ms = 0
    d.spiked = False
    pthread_mutex_unlock(&d.m)
