"""Clocks (contract: clock.pxd).

The time of a command is taken with the processor's time-stamp counter, where a call of clock_gettime twice a command
would cost as much as a GET.  Its rate is measured once, at import, against the monotonic clock.
"""

ns_a_tick = 1.0


cdef void measure() noexcept nogil:
    global ns_a_tick
    cdef int64_t t0 = mono_ns()
    cdef uint64_t c0 = ticks()
    cdef int64_t t1 = t0
    while t1 - t0 < 1000000:            # 1 ms: the rate is then good to about 1 in 10,000
        t1 = mono_ns()
    ns_a_tick = <double>(t1 - t0) / <double>(ticks() - c0)


measure()
