"""Histograms of commands' times and the latency monitor (contract and layout: latency.pxd).

Follows Redis 7.0.15's LATENCY and INFO latencystats.  Deviations: times are counted as they are measured, in nanoseconds,
where Redis rounds to microseconds first, so that a command of 300 ns says p50=0.300 and not 0.001.  A row that finds no
memory, and a 33rd kind of event, is lost.
"""

from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset, strlen

from libkv.engine.clock cimport clock_wall
from libkv.engine.config cimport config_id, config_value
from libkv.engine.registry cimport Command, command_by_id
from libkv.structures.buffer cimport buffer_add
from libkv.structures.number cimport number_parse_double, number_print_u64

cdef enum:
    FIRST_LEVEL = 1024          # ns

cdef int PERCENTILES = config_id(b"latency-tracking-info-percentiles")


cdef int latency_new(Kv* kv) noexcept nogil:
    cdef Latency* all = <Latency*>calloc(1, sizeof(Latency) + kv.n_command_stats * sizeof(Histogram))
    if all == NULL:
        return -1
    all.n_histograms = kv.n_command_stats
    kv.latency = all
    return 0


cdef void latency_delete(Kv* kv) noexcept nogil:
    if kv.latency == NULL:
        return
    latency_forget_times(kv)
    latency_reset(kv, NULL, 0)
    free(kv.latency)
    kv.latency = NULL


# ---- histograms

cdef void latency_count_slow(Histogram* h, int row, int slot, uint64_t times) noexcept nogil:
    """The first time that falls into this row."""
    h.rows[row] = <uint64_t*>calloc(LATENCY_SLOTS, sizeof(uint64_t))
    if h.rows[row] != NULL:
        h.rows[row][slot] = times


cdef void latency_forget_times(Kv* kv) noexcept nogil:
    cdef Latency* all = latency_of(kv)
    cdef int i
    cdef int row
    for i in range(all.n_histograms):
        for row in range(LATENCY_ROWS):
            if all.histograms[i].rows[row] != NULL:
                free(all.histograms[i].rows[row])
    memset(&all.histograms[0], 0, all.n_histograms * sizeof(Histogram))


cdef inline uint64_t slot_first(int row, int slot) noexcept nogil:
    """The least time of a slot, in ns."""
    if row == 0:
        return <uint64_t>slot
    return <uint64_t>(LATENCY_SLOTS + slot) << (row - 1)


cdef inline uint64_t slot_last(int row, int slot) noexcept nogil:
    if row == 0:
        return <uint64_t>slot
    return slot_first(row, slot) + (<uint64_t>1 << (row - 1)) - 1


cdef uint64_t latency_total(const Histogram* h) noexcept nogil:
    cdef uint64_t total = 0
    cdef int row
    cdef int slot
    for row in range(LATENCY_ROWS):
        for slot in range(LATENCY_SLOTS if h.rows[row] != NULL else 0):
            total += h.rows[row][slot]
    return total


cdef uint64_t latency_percentile(const Histogram* h, double percent) noexcept nogil:
    """The last time of the slot in which so much of the whole is reached; for 0 the first time of all."""
    cdef uint64_t wanted = <uint64_t>(percent / 100.0 * <double>latency_total(h) + 0.5)
    cdef uint64_t seen = 0
    cdef int row
    cdef int slot
    if wanted == 0:
        wanted = 1
    for row in range(LATENCY_ROWS):
        if h.rows[row] == NULL:
            continue
        for slot in range(LATENCY_SLOTS):
            seen += h.rows[row][slot]
            if seen >= wanted:
                return slot_first(row, slot) if percent == 0 else slot_last(row, slot)
    return 0


cdef int latency_levels(const Histogram* h, uint64_t* us, uint64_t* counts) noexcept nogil:
    """A level's own slot counts to it; levels at which nothing is added are left out."""
    cdef uint64_t seen = 0
    cdef uint64_t level = FIRST_LEVEL
    cdef int n = 0
    cdef int row
    cdef int slot
    for row in range(LATENCY_ROWS):
        for slot in range(LATENCY_SLOTS):
            if h.rows[row] != NULL:
                seen += h.rows[row][slot]
            if slot_first(row, slot) != level and (row + 1 != LATENCY_ROWS or slot + 1 != LATENCY_SLOTS):
                continue
            level *= 2
            if seen > (counts[n - 1] if n else 0):
                us[n] = slot_last(row, slot) // 1000
                counts[n] = seen
                n += 1
    return n


# ---- the monitor

cdef LatencyEvent* latency_event(Kv* kv, const char* p, size_t n) noexcept nogil:
    cdef Latency* all = latency_of(kv)
    cdef int i
    for i in range(all.n_events):
        if strlen(all.events[i].name) == n and memcmp(all.events[i].name, p, n) == 0:
            return all.events[i]
    return NULL


cdef LatencyEvent* event_new(Latency* all, const char* name) noexcept nogil:
    cdef LatencyEvent* e
    if all.n_events == LATENCY_EVENTS:
        return NULL
    e = <LatencyEvent*>calloc(1, sizeof(LatencyEvent))
    if e == NULL:
        return NULL
    snprintf(e.name, LATENCY_NAME, b"%s", name)
    all.events[all.n_events] = e
    all.n_events += 1
    return e


cdef void latency_add(Kv* kv, const char* event, int64_t ms) noexcept nogil:
    if ms >= kv.settings.latency_monitor_threshold:
        latency_add_at(kv, event, ms, clock_wall(kv) // 1000)


cdef void latency_add_at(Kv* kv, const char* event, int64_t ms, int64_t when) noexcept nogil:
    cdef LatencyEvent* e
    cdef Spike* last
    if kv.settings.latency_monitor_threshold <= 0 or ms < kv.settings.latency_monitor_threshold:
        return
    e = latency_event(kv, event, strlen(event))
    if e == NULL:
        e = event_new(latency_of(kv), event)
        if e == NULL:
            return
    if ms > e.worst:
        e.worst = ms
    last = &e.spikes[(e.next + LATENCY_SPIKES - 1) % LATENCY_SPIKES]
    if last.when == when:
        if ms > last.ms:
            last.ms = ms
        return
    e.spikes[e.next].when = when
    e.spikes[e.next].ms = ms
    e.next = (e.next + 1) % LATENCY_SPIKES


cdef int latency_reset(Kv* kv, const char* p, size_t n) noexcept nogil:
    cdef Latency* all = latency_of(kv)
    cdef int kept = 0
    cdef int gone
    cdef int i
    for i in range(all.n_events):
        if p == NULL or (strlen(all.events[i].name) == n and memcmp(all.events[i].name, p, n) == 0):
            free(all.events[i])
        else:
            all.events[kept] = all.events[i]
            kept += 1
    gone = all.n_events - kept
    all.n_events = kept
    return gone


# ---- INFO

cdef void put_us(Buffer* out, uint64_t ns) noexcept nogil:
    """Microseconds with three decimals."""
    cdef char digits[32]
    cdef int n = number_print_u64(digits, ns // 1000)
    digits[n] = b"."
    digits[n + 1] = <char>(48 + ns // 100 % 10)
    digits[n + 2] = <char>(48 + ns // 10 % 10)
    digits[n + 3] = <char>(48 + ns % 10)
    buffer_add(out, digits, n + 4)


cdef void put_percentiles(const Histogram* h, const char* words, Buffer* out) noexcept nogil:
    """One "p50=1.003" for each word of the setting, which is normalised text."""
    cdef double percent = 0
    cdef size_t n
    cdef bint first = True
    while words[0] != 0:
        n = 0
        while words[n] != 0 and words[n] != b" ":
            n += 1
        if n and number_parse_double(words, n, &percent):
            buffer_add(out, b"p" if first else b",p", 1 if first else 2)
            buffer_add(out, words, n)
            buffer_add(out, b"=", 1)
            put_us(out, latency_percentile(h, percent))
            first = False
        words += n + (words[n] != 0)


cdef void latency_info(Kv* kv, Buffer* out) noexcept nogil:
    cdef Latency* all = latency_of(kv)
    cdef Command* cmd
    cdef int i
    if not kv.settings.latency_tracking:
        return
    for i in range(all.n_histograms):
        if latency_total(&all.histograms[i]) == 0:
            continue
        cmd = command_by_id(i)
        buffer_add(out, b"latency_percentiles_usec_", 25)
        buffer_add(out, cmd.full, cmd.full_n)
        buffer_add(out, b":", 1)
        put_percentiles(&all.histograms[i], config_value(kv, PERCENTILES).p, out)
        buffer_add(out, b"\r\n", 2)
