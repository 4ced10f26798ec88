"""LATENCY (what it tells of: engine/latency).  Follows Redis 7.0.15.

Deviation: LATENCY DOCTOR and HELP are in our own words; DOCTOR's lines of figures are Redis's.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memset, strlen

from libkv.engine.durability cimport durability_of
from libkv.engine.latency cimport (
    LATENCY_LEVELS, LATENCY_SPIKES, Histogram, LatencyEvent, Spike, latency_event, latency_levels, latency_of,
    latency_reset, latency_total,
)
from libkv.engine.registry cimport Command, command_by_id, command_find_full, registry_bind, registry_count
from libkv.engine.reply cimport (
    reply_array, reply_cstring, reply_errorf, reply_help, reply_int, reply_later, reply_later_map, reply_map, reply_oom,
    reply_slice, reply_verbatim,
)
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init
from libkv.structures.cell cimport Slice

cdef enum:
    GRAPH_COLUMNS = 80
    GRAPH_ROWS = 4
    GRAPH_SHADES = 3            # of one row: _ o #


cdef inline Spike* spike_at(LatencyEvent* e, int i) noexcept nogil:
    """The i-th oldest, or NULL."""
    cdef Spike* s = &e.spikes[(e.next + i) % LATENCY_SPIKES]
    return s if s.when else NULL


cdef int spikes_of(LatencyEvent* e, Spike* out) noexcept nogil:
    """All of them, the oldest first; how many."""
    cdef Spike* s
    cdef int n = 0
    cdef int i
    for i in range(LATENCY_SPIKES):
        s = spike_at(e, i)
        if s != NULL:
            out[n] = s[0]
            n += 1
    return n


cdef void collect(Ctx* c) noexcept nogil:
    """What the disk has taken long for is known to those who wait for it first."""
    if c.kv.journal != NULL:
        durability_of(c.kv).spikes(c.kv)


cdef int cmd_latency_latest(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef LatencyEvent* e
    cdef Spike* last
    cdef int i
    collect(c)
    reply_array(r, latency_of(c.kv).n_events)
    for i in range(latency_of(c.kv).n_events):
        e = latency_of(c.kv).events[i]
        last = &e.spikes[(e.next + LATENCY_SPIKES - 1) % LATENCY_SPIKES]
        reply_array(r, 4)
        reply_cstring(r, e.name)
        reply_int(r, last.when)
        reply_int(r, last.ms)
        reply_int(r, e.worst)
    return CALL_DONE


cdef int cmd_latency_history(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef LatencyEvent* e
    cdef Spike[LATENCY_SPIKES] spikes
    cdef int n
    cdef int i
    collect(c)
    e = latency_event(c.kv, argv[2].p, argv[2].n)
    n = spikes_of(e, spikes) if e != NULL else 0
    reply_array(r, n)
    for i in range(n):
        reply_array(r, 2)
        reply_int(r, spikes[i].when)
        reply_int(r, spikes[i].ms)
    return CALL_DONE


cdef int cmd_latency_reset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t n = 0
    cdef int i
    collect(c)
    if argc == 2:
        n = latency_reset(c.kv, NULL, 0)
    for i in range(2, argc):
        n += latency_reset(c.kv, argv[i].p, argv[i].n)
    reply_int(r, n)
    return CALL_DONE


# ---- GRAPH

cdef void age_text(int64_t seconds, char* out, size_t room) noexcept nogil:
    if seconds < 60:
        snprintf(out, room, b"%llds", <long long>seconds)
    elif seconds < 3600:
        snprintf(out, room, b"%lldm", <long long>(seconds // 60))
    elif seconds < 86400:
        snprintf(out, room, b"%lldh", <long long>(seconds // 3600))
    else:
        snprintf(out, room, b"%lldd", <long long>(seconds // 86400))


cdef void graph_bars(const Spike* spikes, int n, int64_t low, int64_t high, Buffer* out) noexcept nogil:
    """Each spike a bar of up to GRAPH_ROWS signs, the topmost shaded by how far it reaches into its row."""
    cdef char[GRAPH_COLUMNS] line
    cdef const char* shades = b"_o#"
    cdef int steps = GRAPH_ROWS * GRAPH_SHADES
    cdef int64_t span = high - low if high > low else 1
    cdef int row
    cdef int i
    cdef int step
    for row in range(GRAPH_ROWS):
        for i in range(n):
            step = min(<int>((spikes[i].ms - low) * steps // span), steps - 1) - (GRAPH_ROWS - 1 - row) * GRAPH_SHADES
            line[i] = b" " if step < 0 else b"|" if step >= GRAPH_SHADES else shades[step]
        buffer_add(out, line, n)
        buffer_add(out, b"\n", 1)


cdef void graph_ages(const Spike* spikes, int n, int64_t now, Buffer* out) noexcept nogil:
    """Under an empty line each spike's age, written downwards."""
    cdef char[GRAPH_COLUMNS] line
    cdef char[24] age
    cdef int row = 0
    cdef int i
    cdef bint any_ = True
    memset(line, b" ", sizeof(line))
    while any_:
        buffer_add(out, line, n)
        buffer_add(out, b"\n", 1)
        any_ = False
        for i in range(n):
            age_text(now - spikes[i].when, age, sizeof(age))
            line[i] = age[row] if <size_t>row < strlen(age) else b" "
            any_ = any_ or line[i] != b" "
        row += 1


cdef int cmd_latency_graph(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef LatencyEvent* e
    cdef Spike[LATENCY_SPIKES] spikes
    cdef char[256] head
    cdef Buffer text
    cdef int64_t low
    cdef int64_t high = 0
    cdef int n
    cdef int i
    collect(c)
    e = latency_event(c.kv, argv[2].p, argv[2].n)
    if e == NULL:
        reply_errorf(r, b"ERR No samples available for event '%.*s'", argv[2].p, argv[2].n)
        return CALL_DONE
    n = spikes_of(e, spikes)
    low = spikes[0].ms
    for i in range(n):
        low = min(low, spikes[i].ms)
        high = max(high, spikes[i].ms)
    buffer_init(&text)
    i = snprintf(head, sizeof(head), b"%s - high %lld ms, low %lld ms (all time high %lld ms)\n", e.name, <long long>high,
                 <long long>low, <long long>e.worst)
    buffer_add(&text, head, i)
    memset(head, b"-", GRAPH_COLUMNS)
    head[GRAPH_COLUMNS] = b"\n"
    buffer_add(&text, head, GRAPH_COLUMNS + 1)
    i = 0
    while i < n:
        if i:
            buffer_add(&text, b"\n", 1)
        graph_bars(spikes + i, min(n - i, GRAPH_COLUMNS), low, high, &text)
        graph_ages(spikes + i, min(n - i, GRAPH_COLUMNS), c.now // 1000, &text)
        i += GRAPH_COLUMNS
    if text.failed:
        reply_oom(r)
    else:
        reply_verbatim(r, b"txt", text.p, text.n)
    buffer_free(&text)
    return CALL_DONE


# ---- HISTOGRAM

cdef bint put_histogram(Ctx* c, Command* cmd, Reply* r) noexcept nogil:
    """A command's map entry; False: it was never timed."""
    cdef Histogram* h = &latency_of(c.kv).histograms[cmd.id]
    cdef uint64_t total = latency_total(h)
    cdef uint64_t[LATENCY_LEVELS] us
    cdef uint64_t[LATENCY_LEVELS] counts
    cdef Slice name
    cdef int n
    cdef int i
    if total == 0:
        return False
    name.p = cmd.full
    name.n = cmd.full_n
    reply_slice(r, &name)
    reply_map(r, 2)
    reply_cstring(r, b"calls")
    reply_int(r, <int64_t>total)
    reply_cstring(r, b"histogram_usec")
    n = latency_levels(h, us, counts)
    reply_map(r, n)
    for i in range(n):
        reply_int(r, <int64_t>us[i])
        reply_int(r, <int64_t>counts[i])
    return True


cdef int cmd_latency_histogram(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """A container stands for its subcommands; a name that is no command's is passed over."""
    cdef size_t mark = reply_later(r)
    cdef Command* cmd
    cdef int64_t n = 0
    cdef int i
    cdef int k
    if argc == 2:
        for i in range(registry_count()):
            n += put_histogram(c, command_by_id(i), r)
    for i in range(2, argc):
        cmd = command_find_full(argv[i].p, argv[i].n)
        if cmd == NULL:
            continue
        n += put_histogram(c, cmd, r)
        for k in range(cmd.n_subs):
            n += put_histogram(c, cmd.subs[k], r)
    reply_later_map(r, mark, n)
    return CALL_DONE


# ---- DOCTOR

cdef void put_figures(LatencyEvent* e, int number, Buffer* out) noexcept nogil:
    """How many spikes, their mean, how far they lie from it, and how much time between two."""
    cdef Spike[LATENCY_SPIKES] spikes
    cdef char[320] line
    cdef int n = spikes_of(e, spikes)
    cdef uint64_t total = 0
    cdef uint64_t off = 0
    cdef uint64_t mean
    cdef double period
    cdef int i
    for i in range(n):
        total += <uint64_t>spikes[i].ms
    mean = total // <uint64_t>n
    for i in range(n):
        off += mean - <uint64_t>spikes[i].ms if mean > <uint64_t>spikes[i].ms else <uint64_t>spikes[i].ms - mean
    period = <double>(spikes[n - 1].when - spikes[0].when) / <double>(n - 1) if n > 1 else 0.0
    i = snprintf(line, sizeof(line), b"%d. %s: %d latency spikes (average %llums, mean deviation %llums, period %lld.%02lld sec)."
                 b" Worst all time event %lldms.\n", number, e.name, n, <unsigned long long>mean,
                 <unsigned long long>(off // <uint64_t>n), <long long>period,
                 <long long>((period - <double><int64_t>period) * 100.0 + 0.5), <long long>e.worst)
    buffer_add(out, line, i)


cdef const char* advice(const char* event) noexcept nogil:
    """What usually helps against an event."""
    if strlen(event) == 7 and event[0] == b"c":
        return b"command: SLOWLOG GET names the commands; large collections are better read and deleted in parts (SCAN, UNLINK)."
    if event[0] == b"f" and event[1] == b"a":
        return b"fast-command: these commands are quick by themselves; the machine is short of processor time or memory."
    if event[0] == b"e" and event[1] == b"x":
        return b"expire-cycle: many keys expire at once; spread their times, or set lazyfree-lazy-expire."
    if event[0] == b"e" and event[1] == b"v":
        return b"eviction: memory is at its limit; raise maxmemory, or write less at once."
    if event[0] == b"a" and event[1] == b"o":
        return b"aof: the disk is slow; appendfsync everysec, no-appendfsync-on-rewrite, or another disk."
    if event[0] == b"f" and event[1] == b"o":
        return b"fork: it takes longer the more memory there is; save less often."
    return NULL


cdef int cmd_latency_doctor(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char* text
    cdef Buffer out
    cdef int i
    buffer_init(&out)
    collect(c)
    if latency_of(c.kv).n_events == 0:
        if c.kv.settings.latency_monitor_threshold == 0:
            text = b"The latency monitor is off: CONFIG SET latency-monitor-threshold <milliseconds> starts it.\n"
        else:
            text = b"No latency spike has been seen.\n"
        buffer_add(&out, text, strlen(text))
    for i in range(latency_of(c.kv).n_events):
        put_figures(latency_of(c.kv).events[i], i + 1, &out)
    for i in range(latency_of(c.kv).n_events):
        text = advice(latency_of(c.kv).events[i].name)
        if text != NULL:
            buffer_add(&out, b"\n- ", 3)
            buffer_add(&out, text, strlen(text))
            buffer_add(&out, b"\n", 1)
    if out.failed:
        reply_oom(r)
    else:
        reply_verbatim(r, b"txt", out.p, out.n)
    buffer_free(&out)
    return CALL_DONE


cdef int cmd_latency_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"DOCTOR",
        b"    Says what has been slow, and what helps against it.",
        b"GRAPH <event>",
        b"    Draws an event's spikes.",
        b"HISTORY <event>",
        b"    Tells an event's spikes: when, and how many milliseconds.",
        b"LATEST",
        b"    Tells each event's last and longest spike.",
        b"RESET [<event> ...]",
        b"    Forgets the spikes of these events,",
        b"    or of all.",
        b"HISTOGRAM [COMMAND ...]",
        b"    Tells how many calls of each command took at most how long,",
        b"    of these commands, or of all.",
        NULL,
    ]
    reply_help(r, b"LATENCY", lines)
    return CALL_DONE


registry_bind("latency|doctor", cmd_latency_doctor)
registry_bind("latency|graph", cmd_latency_graph)
registry_bind("latency|help", cmd_latency_help)
registry_bind("latency|histogram", cmd_latency_histogram)
registry_bind("latency|history", cmd_latency_history)
registry_bind("latency|latest", cmd_latency_latest)
registry_bind("latency|reset", cmd_latency_reset)
