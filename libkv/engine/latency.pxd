# How long things take: a histogram of times for each command, and the latency monitor's spikes by event.
#
# A histogram counts times in nanoseconds, 1 to 10**9, at two significant digits (G. Tene's HdrHistogram): eight bits of a
# time tell its slot, the others only how wide the slot is.  Rows of 128 slots are allocated when a time first falls there:
#
#   row 0       0 ..   127 ns, slots of 1 ns          row r >= 2    128 << (r - 1) ..., slots of 1 << (r - 1) ns
#   row 1     128 ..   255 ns, slots of 1 ns          row 23        up to 2**30 - 1
#
# An event ("command", "fast-command", "expire-cycle", ...) keeps its worst time and its last 160 spikes, at most one a
# second.  Everything lives outside the store's heap, as kv.command_stats does.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.types cimport Kv
from libkv.structures.alloc cimport LIKELY
from libkv.structures.buffer cimport Buffer

cdef enum:
    LATENCY_ROWS = 24
    LATENCY_SLOTS = 128
    LATENCY_LEVELS = 21         # of a histogram shown by powers of two
    LATENCY_SPIKES = 160
    LATENCY_EVENTS = 32
    LATENCY_NAME = 32

cdef struct Histogram:
    uint64_t* rows[LATENCY_ROWS]

cdef struct Spike:
    int64_t when                # seconds of Unix time; 0: none
    int64_t ms

cdef struct LatencyEvent:
    char name[LATENCY_NAME]
    int64_t worst               # ms
    int next                    # where the next spike goes
    Spike spikes[LATENCY_SPIKES]

cdef struct Latency:
    LatencyEvent* events[LATENCY_EVENTS]    # in the order they first came
    int n_events
    int n_histograms
    Histogram histograms[1]     # n_histograms, by Command.id

cdef extern from *:
    int latency_clz "__builtin_clzll"(unsigned long long) noexcept nogil

cdef int latency_new(Kv* kv) noexcept nogil             # 0 or -1; kv.n_command_stats is known
cdef void latency_delete(Kv* kv) noexcept nogil
cdef void latency_add(Kv* kv, const char* event, int64_t ms) noexcept nogil
    # a spike, if the monitor is on and ms reaches latency-monitor-threshold; event: a constant, shorter than LATENCY_NAME
cdef void latency_add_at(Kv* kv, const char* event, int64_t ms, int64_t when) noexcept nogil    # in that second of Unix time
cdef void latency_forget_times(Kv* kv) noexcept nogil   # all histograms: CONFIG RESETSTAT
cdef LatencyEvent* latency_event(Kv* kv, const char* p, size_t n) noexcept nogil    # NULL
cdef int latency_reset(Kv* kv, const char* p, size_t n) noexcept nogil      # forgets an event (p NULL: all); how many
cdef void latency_count_slow(Histogram* h, int row, int slot, uint64_t times) noexcept nogil
cdef uint64_t latency_total(const Histogram* h) noexcept nogil          # calls counted
cdef uint64_t latency_percentile(const Histogram* h, double percent) noexcept nogil     # ns; of one that is not empty
cdef int latency_levels(const Histogram* h, uint64_t* us, uint64_t* counts) noexcept nogil
    # LATENCY_LEVELS of each at most: so many calls took at most so many us; how many levels
cdef void latency_info(Kv* kv, Buffer* out) noexcept nogil      # INFO latencystats' lines

cdef inline Latency* latency_of(Kv* kv) noexcept nogil:
    return <Latency*>kv.latency

cdef inline void latency_count(Kv* kv, int id, uint64_t ns, uint64_t times) noexcept nogil:
    """Counts `times` calls of a command of this duration, if latency-tracking is on."""
    cdef Histogram* h
    cdef int width
    cdef int at
    if not kv.settings.latency_tracking:
        return
    h = &(<Latency*>kv.latency).histograms[id]
    if ns == 0:
        ns = 1
    elif ns > 1000000000:
        ns = 1000000000
    width = 56 - latency_clz(ns | 255)
    at = <int>(ns >> width)
    if LIKELY(h.rows[width + (at >> 7)] != NULL):
        h.rows[width + (at >> 7)][at & 127] += times
    else:
        latency_count_slow(h, width + (at >> 7), at & 127, times)
