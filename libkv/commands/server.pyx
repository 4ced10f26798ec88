"""The server group without INFO, CONFIG and SLOWLOG: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB, TIME, ROLE, SHUTDOWN, LOLWUT, MEMORY.

Follows Redis 7.0.15 (https://redis.io/docs/latest/commands/?group=server).

Deviations: MEMORY's figures are this store's own; LOLWUT answers with the version alone for every VERSION; SHUTDOWN ends
the server (never the process), and a store that none serves refuses it.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from libkv.engine.args cimport arg_int, arg_int_msg, arg_is
from libkv.engine.blocking cimport blocking_tell_all
from libkv.engine.call cimport propagate
from libkv.engine.clock cimport clock_wall_us
from libkv.engine.entry cimport E_TTL, STR_HEAP, Entry, entry_bytes, entry_cell, entry_layout, entry_type, entry_value
from libkv.engine.info cimport Memory, info_human, info_memory
from libkv.engine.keyspace cimport keyspace_flush, lookup_quiet
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_cstring, reply_double, reply_error, reply_help, reply_int, reply_int_bulk, reply_later,
    reply_later_map, reply_map, reply_nil, reply_ok, reply_syntax, reply_verbatim,
)
from libkv.engine.types cimport (
    CALL_DONE, S_CLOSE_AFTER, S_EMBEDDED, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET, Arg, Ctx, Db,
    Reply,
)
from libkv.engine.tracking cimport tracking_flushed
from libkv.engine.watch cimport watch_touch_all
from libkv.persistence.saves cimport save_flushed
from libkv.persistence.shutdown cimport shutdown_prepare
from libkv.scripting.script_engine cimport ScriptFigures, scripting_figures
from libkv.structures.cell cimport Cell
from libkv.structures.hash cimport hash_bytes
from libkv.structures.list cimport list_bytes
from libkv.structures.order cimport Order, order_bytes
from libkv.structures.set cimport set_bytes
from libkv.structures.stream cimport stream_bytes
from libkv.structures.table cimport Table, table_bytes
from libkv.structures.zset cimport zset_bytes

cdef enum:
    SLOT_BYTES = 10             # a key's share of its bucket: 64 bytes for 7 places, 6 of them in use
    EXPIRY_BYTES = 20           # a key's share of the expiry index
    SAMPLES = 5                 # of MEMORY USAGE, unless it says
    QUIET = 5 << 20             # bytes below which MEMORY DOCTOR has no opinion

cdef const char* VERSION = b"Redis ver. 7.0.15\n"


# ---- databases

cdef int cmd_dbsize(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_int(r, <int64_t>c.db.keys.used)
    return CALL_DONE


cdef bint flush_now(Ctx* c, Arg* argv, int argc, bint* now) noexcept nogil:
    """The option of FLUSHDB and FLUSHALL; False: it is another word."""
    if argc == 1:
        now[0] = not c.kv.settings.lazyfree_lazy_user_flush
    elif argc == 2 and arg_is(&argv[1], b"sync", 4):
        now[0] = True
    elif argc == 2 and arg_is(&argv[1], b"async", 5):
        now[0] = False
    else:
        return False
    return True


cdef void flush(Ctx* c, Db* db, bint now) noexcept nogil:
    watch_touch_all(c.kv, db, NULL)
    c.kv.dirty += db.keys.used
    keyspace_flush(c, db, now)
    blocking_tell_all(c.kv, db)


cdef int cmd_flushdb(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Told to the effect stream even when nothing was there: a copy may have keys that are expired here."""
    cdef bint now = True
    if not flush_now(c, argv, argc, &now):
        reply_syntax(r)
        return CALL_DONE
    flush(c, c.db, now)
    tracking_flushed(c.kv)
    propagate(c, c.db, argc, argv)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_flushall(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint now = True
    cdef int i
    if not flush_now(c, argv, argc, &now):
        reply_syntax(r)
        return CALL_DONE
    for i in range(c.kv.n_dbs):
        flush(c, &c.kv.dbs[i], now)
    tracking_flushed(c.kv)
    save_flushed(c.kv)
    propagate(c, c.db, argc, argv)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_swapdb(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Exchanges the keys of two databases; sessions and watches stay with the number."""
    cdef int64_t a
    cdef int64_t b
    cdef Db* one
    cdef Db* other
    cdef Table keys
    cdef Order expires
    cdef int64_t avg_ttl
    if not arg_int_msg(&argv[1], &a, r, b"ERR invalid first DB index"):
        return CALL_DONE
    if not arg_int_msg(&argv[2], &b, r, b"ERR invalid second DB index"):
        return CALL_DONE
    if a < 0 or b < 0 or a >= c.kv.n_dbs or b >= c.kv.n_dbs:
        reply_error(r, b"ERR DB index is out of range")
        return CALL_DONE
    if a != b:
        one = &c.kv.dbs[a]
        other = &c.kv.dbs[b]
        watch_touch_all(c.kv, one, other)
        watch_touch_all(c.kv, other, one)
        keys = one.keys
        expires = one.expires
        avg_ttl = one.avg_ttl
        one.keys = other.keys
        one.expires = other.expires
        one.avg_ttl = other.avg_ttl
        other.keys = keys
        other.expires = expires
        other.avg_ttl = avg_ttl
        blocking_tell_all(c.kv, one)
        blocking_tell_all(c.kv, other)
    c.kv.dirty += 1
    reply_ok(r)
    return CALL_DONE


# ---- the server

cdef int cmd_time(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t now = clock_wall_us(c.kv)
    reply_array(r, 2)
    reply_int_bulk(r, now // 1000000)
    reply_int_bulk(r, now % 1000000)
    return CALL_DONE


cdef int cmd_role(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """A master without replicas."""
    reply_array(r, 3)
    reply_cstring(r, b"master")
    reply_int(r, 0)
    reply_array(r, 0)
    return CALL_DONE


cdef int cmd_shutdown(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Makes the data safe and asks the serving loop to end; there is no reply, the connection closes."""
    cdef bint save = False
    cdef bint nosave = False
    cdef bint force = False
    cdef bint now = False
    cdef bint abort = False
    cdef int i
    for i in range(1, argc):
        if arg_is(&argv[i], b"nosave", 6):
            nosave = True
        elif arg_is(&argv[i], b"save", 4):
            save = True
        elif arg_is(&argv[i], b"now", 3):
            now = True
        elif arg_is(&argv[i], b"force", 5):
            force = True
        elif arg_is(&argv[i], b"abort", 5):
            abort = True
        else:
            reply_syntax(r)
            return CALL_DONE
    if (abort and (save or nosave or now or force)) or (save and nosave):
        reply_syntax(r)
    elif c.kv.script_busy and not nosave:
        reply_error(r, b"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
                    if c.kv.script_busy == 2 else
                    b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
    elif abort:
        reply_error(r, b"ERR No shutdown in progress.")
    elif c.kv.server == NULL and c.session.flags & S_EMBEDDED:
        reply_error(r, b"ERR SHUTDOWN ends a server, and none serves this store")
    elif not shutdown_prepare(c.kv, save, nosave, force):
        reply_error(r, b"ERR Errors trying to SHUTDOWN. Check logs.")
    else:
        c.kv.shutdown_asked = True
        c.kv.shutdown_nosave = nosave
        c.kv.shutdown_force = force
        if not c.session.flags & S_EMBEDDED:
            c.session.flags |= S_CLOSE_AFTER
    return CALL_DONE


cdef int cmd_lolwut(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t v
    cdef int i
    if argc >= 3 and arg_is(&argv[1], b"version", 7):
        if not arg_int(&argv[2], &v, r):
            return CALL_DONE
        if v == 5 or v == 6:
            for i in range(3, argc):
                if not arg_int(&argv[i], &v, r):
                    return CALL_DONE
    reply_verbatim(r, b"txt", VERSION, 18)
    return CALL_DONE


# ---- MEMORY

cdef uint64_t value_bytes(Entry* e, uint64_t samples) noexcept nogil:
    """What a value occupies beside its entry."""
    cdef Cell cell
    cdef uint64_t capacity = 0
    cdef int type = entry_type(e)
    if type == TYPE_STRING:
        if entry_layout(e) == STR_HEAP:
            memcpy(&capacity, entry_value(e) + 16, 8)
        return capacity
    entry_cell(e, &cell)
    if type == TYPE_LIST:
        return list_bytes(&cell)
    if type == TYPE_SET:
        return set_bytes(&cell, samples)
    if type == TYPE_HASH:
        return hash_bytes(&cell, samples)
    if type == TYPE_ZSET:
        return zset_bytes(&cell, samples)
    if type == TYPE_STREAM:
        return stream_bytes(&cell, samples)
    return 0


cdef int cmd_memory_usage(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """The entry, its value, and its share of the tables; a large collection is estimated from some of its members."""
    cdef int64_t samples = SAMPLES
    cdef Entry* e
    cdef int i = 3
    while i < argc:
        if not arg_is(&argv[i], b"samples", 7) or i + 1 == argc:
            reply_syntax(r)
            return CALL_DONE
        if not arg_int(&argv[i + 1], &samples, r):
            return CALL_DONE
        if samples < 0:
            reply_syntax(r)
            return CALL_DONE
        i += 2
    e = lookup_quiet(c, &argv[2])
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    reply_int(r, <int64_t>(
        entry_bytes(e) + value_bytes(e, <uint64_t>samples) + SLOT_BYTES + (EXPIRY_BYTES if e.flags & E_TTL else 0)
    ))
    return CALL_DONE


cdef void stat_int(Reply* r, const char* name, int64_t v) noexcept nogil:
    reply_cstring(r, name)
    reply_int(r, v)


cdef void stat_double(Reply* r, const char* name, double v) noexcept nogil:
    reply_cstring(r, name)
    reply_double(r, v)


cdef double ratio(uint64_t a, uint64_t b) noexcept nogil:
    return <double>a / <double>b if b else 0.0


cdef int64_t stat_databases(Ctx* c, Reply* r) noexcept nogil:
    """A map for each database with keys; how many there are."""
    cdef char[32] name
    cdef int64_t n = 0
    cdef Db* db
    cdef int i
    for i in range(c.kv.n_dbs):
        db = &c.kv.dbs[i]
        if db.keys.used == 0:
            continue
        snprintf(name, sizeof(name), b"db.%d", i)
        reply_cstring(r, name)
        reply_map(r, 3)
        stat_int(r, b"overhead.hashtable.main", <int64_t>table_bytes(&db.keys))
        stat_int(r, b"overhead.hashtable.expires", <int64_t>order_bytes(&db.expires))
        stat_int(r, b"overhead.hashtable.slot-to-keys", 0)
        n += 1
    return n


cdef int cmd_memory_stats(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Memory m
    cdef ScriptFigures scripts
    cdef int64_t heap = <int64_t>c.kv.heap.used
    cdef size_t mark = reply_later(r)
    cdef int64_t n
    info_memory(c.kv, &m)
    stat_int(r, b"peak.allocated", <int64_t>m.peak)
    stat_int(r, b"total.allocated", <int64_t>m.used)
    stat_int(r, b"startup.allocated", <int64_t>m.start)
    stat_int(r, b"replication.backlog", 0)
    stat_int(r, b"clients.slaves", 0)
    stat_int(r, b"clients.normal", <int64_t>m.clients)
    stat_int(r, b"cluster.links", 0)
    stat_int(r, b"aof.buffer", 0)
    scripting_figures(c.kv, &scripts)
    stat_int(r, b"lua.caches", <int64_t>scripts.scripts_bytes)
    stat_int(r, b"functions.caches", <int64_t>scripts.functions_bytes)
    n = stat_databases(c, r)
    stat_int(r, b"overhead.total", <int64_t>m.overhead)
    stat_int(r, b"keys.count", <int64_t>m.keys)
    stat_int(r, b"keys.bytes-per-key", <int64_t>((m.used - min(m.start, m.used)) // m.keys) if m.keys else 0)
    stat_int(r, b"dataset.bytes", <int64_t>m.dataset)
    stat_double(r, b"dataset.percentage", 100.0 * ratio(m.dataset, m.used - min(m.start, m.used)))
    stat_double(r, b"peak.percentage", 100.0 * ratio(m.used, m.peak))
    stat_int(r, b"allocator.allocated", heap)
    stat_int(r, b"allocator.active", heap)
    stat_int(r, b"allocator.resident", heap)
    stat_double(r, b"allocator-fragmentation.ratio", 1.0)
    stat_int(r, b"allocator-fragmentation.bytes", 0)
    stat_double(r, b"allocator-rss.ratio", 1.0)
    stat_int(r, b"allocator-rss.bytes", 0)
    stat_double(r, b"rss-overhead.ratio", ratio(m.rss, c.kv.heap.used))
    stat_int(r, b"rss-overhead.bytes", <int64_t>m.rss - heap)
    stat_double(r, b"fragmentation", ratio(m.rss, m.used))
    stat_int(r, b"fragmentation.bytes", <int64_t>m.rss - <int64_t>m.used)
    reply_later_map(r, mark, 27 + n)
    return CALL_DONE


cdef int cmd_memory_doctor(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Memory m
    cdef char[512] text
    cdef char[24] now
    cdef char[24] peak
    cdef int n
    info_memory(c.kv, &m)
    info_human(m.used, now)
    info_human(m.peak, peak)
    if m.used < QUIET:
        n = snprintf(
            text, sizeof(text),
            b"Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these "
            b"conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be "
            b"back to our programming as soon as I finished rebooting.\n"
        )
    elif m.used + m.used // 2 < m.peak:
        n = snprintf(
            text, sizeof(text),
            b"Hi Sam, this store once used %s and uses %s now. The memory between the two has gone back to the system as "
            b"far as its pages were empty; if the resident size stays high, load the data into a new store.\n", peak, now
        )
    else:
        n = snprintf(
            text, sizeof(text),
            b"Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n"
        )
    reply_verbatim(r, b"txt", text, <size_t>n)
    return CALL_DONE


cdef int cmd_memory_malloc_stats(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """The heap's own figures, in lines "name: bytes"."""
    cdef char[512] text
    cdef int n = snprintf(
        text, sizeof(text),
        b"libkv heap\nused: %llu\npeak: %llu\nempty slabs kept: %llu\nvalues waiting to be freed: %llu\n",
        <unsigned long long>c.kv.heap.used, <unsigned long long>c.kv.heap.peak, <unsigned long long>c.kv.heap.pooled,
        <unsigned long long>c.kv.n_doomed
    )
    reply_verbatim(r, b"txt", text, <size_t>n)
    return CALL_DONE


cdef int cmd_memory_purge(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Nothing is left to do: pages of empty slabs go back when they become empty."""
    reply_ok(r)
    return CALL_DONE


cdef int cmd_memory_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"DOCTOR",
        b"    Return memory problems reports.",
        b"MALLOC-STATS",
        b"    Return internal statistics report from the memory allocator.",
        b"PURGE",
        b"    Attempt to purge dirty pages for reclamation by the allocator.",
        b"STATS",
        b"    Return information about the memory usage of the server.",
        b"USAGE <key> [SAMPLES <count>]",
        b"    Return memory in bytes used by <key> and its value. Nested values are",
        b"    sampled up to <count> times (default: 5, 0 means sample all).",
        NULL,
    ]
    reply_help(r, b"MEMORY", lines)
    return CALL_DONE


registry_bind("dbsize", cmd_dbsize)
registry_bind("flushdb", cmd_flushdb)
registry_bind("flushall", cmd_flushall)
registry_bind("swapdb", cmd_swapdb)
registry_bind("time", cmd_time)
registry_bind("role", cmd_role)
registry_bind("shutdown", cmd_shutdown)
registry_bind("lolwut", cmd_lolwut)
registry_bind("memory|usage", cmd_memory_usage)
registry_bind("memory|stats", cmd_memory_stats)
registry_bind("memory|doctor", cmd_memory_doctor)
registry_bind("memory|malloc-stats", cmd_memory_malloc_stats)
registry_bind("memory|purge", cmd_memory_purge)
registry_bind("memory|help", cmd_memory_help)
