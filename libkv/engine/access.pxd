# When and how often a key was used: Redis's LRU clock, or LFU counter, in an entry's 24 bits; and the time of a batch.

from libc.stdint cimport uint32_t

from libkv.engine.entry cimport Entry, entry_clock, entry_set_clock
from libkv.engine.settings cimport POLICY_ALLKEYS_LFU, POLICY_VOLATILE_LFU
from libkv.engine.types cimport Kv

cdef void access_refresh(Kv* kv) noexcept nogil                     # reads the clocks into kv.now, kv.mono, kv.lru_clock
cdef uint32_t access_fresh(Kv* kv) noexcept nogil                   # of a key made now
cdef void access_lfu_touch(Kv* kv, Entry* e) noexcept nogil
cdef uint32_t access_lfu_now(Kv* kv, Entry* e) noexcept nogil       # OBJECT FREQ: the counter after the decay that is due

cdef inline bint access_uses_lfu(Kv* kv) noexcept nogil:
    return kv.settings.maxmemory_policy == POLICY_VOLATILE_LFU or kv.settings.maxmemory_policy == POLICY_ALLKEYS_LFU

cdef inline void access_touch(Kv* kv, Entry* e) noexcept nogil:
    if access_uses_lfu(kv):
        access_lfu_touch(kv, e)
    elif entry_clock(e) != kv.lru_clock:        # not written when it is the same: the line stays clean
        entry_set_clock(e, kv.lru_clock)
