# Clocks, injected: a store's clock is the system's, or what a test has set it to.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Kv

cdef extern from *:
    """
    #include <time.h>
    #include <stdint.h>
    static inline int64_t kv_wall_us(void)
    { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000; }
    static inline int64_t kv_mono_ns(void)
    { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }
    static inline int64_t kv_wall_coarse(void)
    { struct timespec t; clock_gettime(CLOCK_REALTIME_COARSE, &t); return (int64_t)t.tv_sec; }
    #if defined(__x86_64__)
    #include <x86intrin.h>
    static inline uint64_t kv_ticks(void) { return __rdtsc(); }
    #else
    static inline uint64_t kv_ticks(void) { return (uint64_t)kv_mono_ns(); }
    #endif
    """
    int64_t wall_us "kv_wall_us"() noexcept nogil
    int64_t mono_ns "kv_mono_ns"() noexcept nogil
    int64_t wall_seconds_coarse "kv_wall_coarse"() noexcept nogil   # a few ms late, at a tenth of the price
    uint64_t ticks "kv_ticks"() noexcept nogil      # a fast counter for command times; ticks_ns() converts a difference

cdef double ns_a_tick           # measured at import

cdef inline double ticks_ns(uint64_t n) noexcept nogil:
    return <double>n * ns_a_tick

cdef inline int64_t clock_wall(Kv* kv) noexcept nogil:
    """Milliseconds of Unix time."""
    return kv.clock_wall if kv.clock_fixed else wall_us() // 1000

cdef inline int64_t clock_wall_us(Kv* kv) noexcept nogil:
    return kv.clock_wall * 1000 if kv.clock_fixed else wall_us()

cdef inline int64_t clock_monotonic(Kv* kv) noexcept nogil:
    """Microseconds that only grow."""
    return kv.clock_mono if kv.clock_fixed else mono_ns() // 1000
