# A store's C side: made, kept going and ended here; the Python class StoreLifetime (libkv/lifetime.pyx) holds one.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Kv

cdef Kv* kv_new(int databases, uint64_t seed) noexcept nogil         # seed 0: from the system's generator; NULL without memory
cdef void kv_delete(Kv* kv) noexcept nogil                           # no session may be left
cdef int64_t kv_cron(Kv* kv) noexcept nogil
    # takes the lock: active expiry, rehash steps, freeing in slices, statistics; ms until it wants to run again
