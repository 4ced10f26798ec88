"""When and how often a key was used (contract: access.pxd;
https://redis.io/docs/latest/develop/reference/eviction/ tells how Redis counts).

    LRU   24 bits: seconds
    LFU   16 bits: minutes of the last decay; 8 bits: a logarithmic counter
"""

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.clock cimport clock_monotonic, clock_wall, ticks, ticks_ns
from libkv.structures.random cimport random_next

cdef enum:
    LFU_START = 5               # counter of a new key, as in Redis
    CLOCK_NS = 20000            # how old the time of a batch may be


cdef void access_refresh(Kv* kv) noexcept nogil:
    """Not more often than each CLOCK_NS: two clocks for each client of a loop's round would cost more than they tell."""
    cdef uint64_t at = ticks()
    if not kv.clock_fixed and kv.read_at != 0 and ticks_ns(at - kv.read_at) < CLOCK_NS:
        return
    kv.read_at = at if not kv.clock_fixed else 0
    kv.now = clock_wall(kv)
    kv.mono = clock_monotonic(kv)
    kv.lru_clock = <uint32_t>((kv.now // 1000) & 0xffffff)


cdef uint32_t access_fresh(Kv* kv) noexcept nogil:
    if access_uses_lfu(kv):
        return <uint32_t>((((kv.now // 60000) & 0xffff) << 8) | LFU_START)
    return kv.lru_clock


cdef void access_lfu_touch(Kv* kv, Entry* e) noexcept nogil:
    """The counter decays by one each lfu-decay-time minutes, and grows with a probability that falls with its value."""
    cdef uint32_t minutes = <uint32_t>((kv.now // 60000) & 0xffff)
    cdef uint32_t counter = access_lfu_now(kv, e)
    cdef double chance
    if counter < 255:
        chance = 1.0 / ((counter - LFU_START if counter > LFU_START else 0) * <double>kv.settings.lfu_log_factor + 1)
        if <double>(random_next(&kv.random) >> 11) * (1.0 / 9007199254740992.0) < chance:
            counter += 1
    entry_set_clock(e, (minutes << 8) | counter)


cdef uint32_t access_lfu_now(Kv* kv, Entry* e) noexcept nogil:
    cdef uint32_t clock = entry_clock(e)
    cdef uint32_t elapsed = (<uint32_t>((kv.now // 60000) & 0xffff) - (clock >> 8)) & 0xffff
    cdef uint32_t counter = clock & 255
    cdef int64_t periods
    if kv.settings.lfu_decay_time <= 0:
        return counter
    periods = elapsed // kv.settings.lfu_decay_time
    return 0 if periods > counter else counter - <uint32_t>periods
