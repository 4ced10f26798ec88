"""GET and SET of the embedded API without a session's ceremony (contract: direct.pxd).

They do what call_execute does around a command (statistics, its time, the LRU field, watchers), for the plain case
only; whatever is special is refused here and goes the ordinary way.
"""

from libc.stdint cimport uint32_t, uint64_t

from libkv.engine.access cimport access_uses_lfu
from libkv.engine.blocking cimport blocking_serve
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_unit_end
from libkv.engine.clock cimport ticks, ticks_ns, wall_seconds_coarse
from libkv.engine.entry cimport (
    E_TTL, STR_HEAP, Entry, entry_clock, entry_layout, entry_set_clock, entry_string, entry_type,
)
from libkv.engine.keyspace cimport changed, keyspace_set
from libkv.engine.latency cimport latency_count
from libkv.engine.registry cimport Command, command_find
from libkv.engine.types cimport EVENT_STRING, HOOK_BLOCKED, HOOK_WATCH, TYPE_STRING, Arg, Ctx
from libkv.structures.alloc cimport UNLIKELY
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport table_find

cdef enum:
    EVERY = 32

cdef Command* get_row = NULL
cdef Command* set_row = NULL


cdef inline bint plain(Kv* kv) noexcept nogil:
    """LFU counters need the time; a slow log of everything wants the arguments; who follows keys or commands is told
    by the general way."""
    return (kv.hooks & ~<uint32_t>(HOOK_WATCH | HOOK_BLOCKED) == 0 and kv.n_monitors == 0 and not access_uses_lfu(kv)
            and (kv.settings.slowlog_log_slower_than < 0 or kv.settings.slowlog_log_slower_than > 1000))


cdef inline void read_lru_clock(Kv* kv) noexcept nogil:
    if not kv.clock_fixed:
        kv.lru_clock = <uint32_t>(wall_seconds_coarse() & 0xffffff)


cdef inline uint64_t begin(Kv* kv, Command* row) noexcept nogil:
    """Counts a call.  Its time is taken of each of the first EVERY calls and then of one in EVERY, which stands for all
    of them: reading the counter twice would be a sixth of a call.  0: not of this one."""
    cdef uint64_t calls = kv.command_stats[row.id].calls
    kv.stats.commands += 1
    kv.command_stats[row.id].calls = calls + 1
    return ticks() if calls < EVERY or calls % EVERY == 0 else 0


cdef inline void finish(Kv* kv, Command* row, uint64_t began) noexcept nogil:
    cdef uint64_t ns
    cdef uint64_t stands_for
    if UNLIKELY(began != 0):
        ns = <uint64_t>ticks_ns(ticks() - began)
        stands_for = 1 if kv.command_stats[row.id].calls <= EVERY else EVERY
        kv.command_stats[row.id].usec_x1000 += ns * stands_for
        latency_count(kv, row.id, ns, stands_for)


cdef int direct_get(Kv* kv, const char* key, size_t n, char* scratch, Slice* value) noexcept nogil:
    cdef uint64_t began
    cdef void** slot
    cdef Entry* e
    global get_row
    if UNLIKELY(get_row == NULL):
        get_row = command_find(b"get", 3)
    if UNLIKELY(not plain(kv)):
        return DIRECT_NO
    slot = table_find(kv.heap, &kv.dbs[0].keys, key, n, siphash(kv.heap.seed, key, n))
    e = <Entry*>slot[0] if slot != NULL else NULL
    if e != NULL and (UNLIKELY(e.flags & E_TTL) or entry_type(e) != TYPE_STRING or entry_layout(e) == STR_HEAP):
        return DIRECT_NO
    began = begin(kv, get_row)
    if e == NULL:
        kv.stats.misses += 1
        finish(kv, get_row, began)
        return DIRECT_NIL
    read_lru_clock(kv)
    if entry_clock(e) != kv.lru_clock:
        entry_set_clock(e, kv.lru_clock)
    entry_string(e, scratch, value)
    kv.stats.hits += 1
    finish(kv, get_row, began)
    return DIRECT_DONE


cdef void tell_set(Ctx* c, Arg* key, const char* value, size_t value_n) noexcept nogil:
    """The effect, as call_execute tells it."""
    propagate_begin(c, c.db, 3)
    propagate_arg(c, b"SET", 3)
    propagate_arg(c, key.p, key.n)
    propagate_arg(c, value, value_n)
    propagate_unit_end(c.kv)


cdef int direct_set(Kv* kv, const char* key, size_t n, const char* value, size_t value_n) noexcept nogil:
    cdef uint64_t began
    cdef Ctx c
    cdef Arg k
    global set_row
    if UNLIKELY(set_row == NULL):
        set_row = command_find(b"set", 3)
    if UNLIKELY(kv.refusing_writes or kv.loading or kv.settings.maxmemory != 0 or value_n > DIRECT_MAX or not plain(kv)):
        return DIRECT_NO
    began = begin(kv, set_row)
    read_lru_clock(kv)
    c.kv = kv
    c.heap = kv.heap
    c.db = &kv.dbs[0]
    c.session = NULL
    c.replay = False
    k.p = key
    k.n = n
    k.hashed = False
    if keyspace_set(&c, c.db, &k, value, value_n, -1) == NULL:
        kv.stats.commands -= 1          # no memory: the command counts itself, and says so
        kv.command_stats[set_row.id].calls -= 1
        return DIRECT_NO
    changed(&c, c.db, &k, EVENT_STRING, b"set")
    if UNLIKELY(kv.effects_on):
        tell_set(&c, &k, value, value_n)
    if UNLIKELY(kv.ready):              # a stream that somebody reads for a group is one no more
        blocking_serve(kv)
    finish(kv, set_row, began)
    return DIRECT_DONE
