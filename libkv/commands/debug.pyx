"""DEBUG: a look inside, and levers for tests.  Only where the setting enable-debug-command allows it.

The subcommands are those of Redis 7.0.15 that make sense here, with its words.  What only looks is in
debug_objects; here are the levers, and the table of all.  Left out: whatever crashes, restarts or leaks on purpose (a
store is a guest in its process), and what belongs to a cluster or to jemalloc.

- SLEEP blocks the store as Redis blocks: the lock is kept.  It sleeps for at most an hour.
- REPLYBUFFER is checked and has no effect: replies wait in one buffer, which is trimmed when they are out.
- SET-SKIP-CHECKSUM-VALIDATION is about RESTORE's payloads alone: a file's checksum is always looked at.
- QUICKLIST-PACKED-THRESHOLD is checked and has no effect: a list here has no plain nodes, large elements lie in chunks.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport atoi, strtod
from libc.string cimport memcpy, memset, strlen
from posix.time cimport nanosleep, timespec

from libkv.commands.debug_objects cimport (
    debug_digest, debug_digest_value, debug_htstats, debug_htstats_key, debug_listpack, debug_object, debug_quicklist,
    debug_sdslen, debug_structsize,
)
from libkv.engine.args cimport arg_int, arg_is, arg_range, glob_match
from libkv.engine.call cimport propagate, propagate_none, propagating
from libkv.engine.config cimport config_of
from libkv.engine.eviction cimport eviction_clients_limit
from libkv.engine.keyspace cimport keyspace_flush, keyspace_set_text, lookup_write
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_big, reply_bool, reply_cstring, reply_double, reply_error, reply_errorf, reply_help,
    reply_int, reply_map, reply_nil, reply_ok, reply_oom, reply_push, reply_raw, reply_set, reply_status,
    reply_verbatim,
)
from libkv.engine.rewrite cimport config_rewrite
from libkv.engine.session cimport session_memory
from libkv.engine.settings cimport LOG_WARNING
from libkv.engine.tracking cimport tracking_flushed
from libkv.engine.types cimport CALL_DONE, HOOK_ANY_IN_SCRIPTS, HOOK_NO_CHECKSUM, Arg, Ctx, Reply, Session
from libkv.engine.watch cimport watch_touch, watch_touch_all
from libkv.persistence.durable cimport Durable, durable_log, durable_of
from libkv.persistence.journal cimport journal_sync_all, journal_take
from libkv.persistence.load cimport LOAD_JOURNAL, LOAD_SNAPSHOT, load_locked
from libkv.persistence.saves cimport save_now
from libkv.scripting.libraries cimport libraries_flush
from libkv.scripting.run cimport run_busy
from libkv.scripting.vm cimport Scripting
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init, buffer_room
from libkv.structures.number cimport number_parse_i64
from libkv.structures.random cimport random_below

cdef enum:
    SLEEP_MAX = 3600            # s
    TEXT_MOST = 1024            # bytes of LOG's message
    BUCKETS = 19                # of clients by their memory: below 32 KB, then by powers of two up to 4 GB, then all others
    BUCKET_LOW = 15             # log2 of the second one's lower end

cdef const char* NOT_POSITIVE = b"ERR value is out of range, must be positive"

# a subcommand: argv[2..] are its arguments
ctypedef int (*debug_fn)(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil

cdef struct Subcommand:
    const char* name            # in lower case
    int low                     # argc at least, and at most (0: any)
    int high
    debug_fn fn


# --- levers ----------------------------------------------------------------------------------------------------------

cdef void copy_number(Arg* a, char* text, size_t room) noexcept nogil:
    """The argument as a C string: what is too long to be a number is cut."""
    cdef size_t n = min(a.n, room - 1)
    memcpy(text, a.p, n)
    text[n] = 0


cdef int loose_int(Arg* a) noexcept nogil:
    """A flag as Redis reads it here: no number is 0."""
    cdef char text[24]
    copy_number(a, text, sizeof(text))
    return atoi(text)


cdef int debug_sleep(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[64]
    cdef double seconds
    cdef timespec t
    copy_number(&argv[2], text, sizeof(text))
    seconds = strtod(text, NULL)
    if seconds > 0:             # false for NaN, too
        seconds = min(seconds, <double>SLEEP_MAX)
        t.tv_sec = <long>seconds
        t.tv_nsec = <long>((seconds - <double>t.tv_sec) * 1e9)
        while nanosleep(&t, &t) != 0 and errno == EINTR:
            pass
    reply_ok(r)
    return CALL_DONE


cdef int debug_set_active_expire(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    c.kv.active_expire = loose_int(&argv[2]) != 0
    reply_ok(r)
    return CALL_DONE


cdef int debug_pause_cron(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    c.kv.cron_paused = loose_int(&argv[2]) != 0
    reply_ok(r)
    return CALL_DONE


cdef int debug_packed_threshold(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """A size with a unit, less than 4 GB."""
    cdef Arg* a = &argv[2]
    cdef size_t digits = a.n
    cdef uint64_t factor = 0
    cdef int64_t v
    cdef Arg unit
    while digits and not 48 <= a.p[digits - 1] <= 57:
        digits -= 1
    unit.p = a.p + digits
    unit.n = a.n - digits
    if unit.n == 0 or arg_is(&unit, b"b", 1):
        factor = 1
    elif arg_is(&unit, b"k", 1):
        factor = 1000
    elif arg_is(&unit, b"kb", 2):
        factor = 1024
    elif arg_is(&unit, b"m", 1):
        factor = 1000000
    elif arg_is(&unit, b"mb", 2):
        factor = 1 << 20
    elif arg_is(&unit, b"g", 1):
        factor = 1000000000
    elif arg_is(&unit, b"gb", 2):
        factor = 1 << 30
    if factor == 0 or not number_parse_i64(a.p, digits, &v) or not 0 <= v < <int64_t>1 << 32 or (
            <uint64_t>v * factor >= <uint64_t>1 << 32):
        reply_error(r, b"ERR argument must be a memory value bigger than 1 and smaller than 4gb")
        return CALL_DONE
    reply_ok(r)
    return CALL_DONE


cdef int debug_populate(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """POPULATE count [prefix [size]]: keys prefix:0 ..., values "value:0" ..., cut or filled with zeros to `size` bytes.
    Keys that exist stay; nothing is told to replicas."""
    cdef int64_t count
    cdef int64_t size = 0
    cdef int64_t i
    cdef size_t prefix_n = 3
    cdef const char* prefix = b"key"
    cdef size_t room
    cdef char value[32]
    cdef char* work
    cdef char* filled
    cdef size_t n
    cdef Arg key
    if not arg_range(&argv[2], 0, 0x7fffffffffffffff, &count, r, NOT_POSITIVE):
        return CALL_DONE
    if argc > 3:
        prefix = argv[3].p
        prefix_n = argv[3].n
    if argc > 4 and not arg_range(&argv[4], 0, 1 << 30, &size, r, NOT_POSITIVE):
        return CALL_DONE
    room = prefix_n + 24
    work = <char*>heap_alloc(c.heap, room + size)
    if work == NULL:
        reply_oom(r)
        return CALL_DONE
    memcpy(work, prefix, prefix_n)
    filled = work + room
    if size:
        memset(filled, 0, size)
    for i in range(count):
        key = Arg(work, prefix_n + snprintf(work + prefix_n, 24, b":%lld", <long long>i), 0, False)
        if lookup_write(c, &key) != NULL:
            continue
        n = snprintf(value, sizeof(value), b"value:%lld", <long long>i)
        if size:
            memcpy(filled, value, min(n, <size_t>size))
        if keyspace_set_text(c, c.db, &key, filled if size else value, size if size else n) == NULL:
            heap_free(c.heap, work, room + size)
            reply_oom(r)
            return CALL_DONE
        watch_touch(c.kv, c.db, &key)
    heap_free(c.heap, work, room + size)
    reply_ok(r)
    return CALL_DONE


cdef int debug_replicate(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if propagating(c):
        propagate(c, c.db, argc - 2, argv + 2)
    reply_ok(r)
    return CALL_DONE


cdef int debug_stringmatch_test(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Random patterns against random texts: a sanitizer or a crash would tell."""
    cdef char text[32]
    cdef char pattern[32]
    cdef const char* letters = b"ab*?[]^-\\"
    cdef size_t n, m, i
    cdef int round
    for round in range(200000):
        n = random_below(&c.kv.random, sizeof(text))
        m = random_below(&c.kv.random, sizeof(pattern))
        for i in range(n):
            text[i] = letters[random_below(&c.kv.random, 9)]
        for i in range(m):
            pattern[i] = letters[random_below(&c.kv.random, 9)]
        glob_match(pattern, m, text, n, round & 1)
    reply_status(r, b"Apparently Redis did not crash: test passed")
    return CALL_DONE


# --- what is refused, and clients ------------------------------------------------------------------------------------

cdef int pull(Ctx* c, Arg* flag, uint32_t lever, Reply* r) noexcept nogil:
    if loose_int(flag) != 0:
        c.kv.hooks |= lever
    else:
        c.kv.hooks &= ~lever
    reply_ok(r)
    return CALL_DONE


cdef void unknown(Reply* r, Arg* name) noexcept nogil:
    reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.", name.p, name.n)


cdef int debug_any_in_scripts(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return pull(c, &argv[2], HOOK_ANY_IN_SCRIPTS, r)


cdef int debug_no_checksum(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return pull(c, &argv[2], HOOK_NO_CHECKSUM, r)


cdef int debug_replybuffer(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t ms
    if arg_is(&argv[2], b"peak-reset-time", 15):
        if not (arg_is(&argv[3], b"never", 5) or arg_is(&argv[3], b"reset", 5)) and not arg_int(&argv[3], &ms, r):
            return CALL_DONE
    elif not arg_is(&argv[2], b"resizing", 8):
        unknown(r, &argv[1])
        return CALL_DONE
    reply_ok(r)
    return CALL_DONE


cdef int debug_clusterlink(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_error(r, b"ERR Debug option only available for cluster mode enabled setup!")
    return CALL_DONE


cdef int debug_client_eviction(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """How many clients have how much memory."""
    cdef uint64_t bytes[BUCKETS]
    cdef unsigned long clients[BUCKETS]
    cdef Session* s = c.kv.sessions
    cdef Buffer out
    cdef char text[128]
    cdef uint64_t memory
    cdef int i
    if eviction_clients_limit(c.kv) == 0:
        reply_error(r, b"ERR maxmemory-clients is disabled.")
        return CALL_DONE
    memset(bytes, 0, sizeof(bytes))
    memset(clients, 0, sizeof(clients))
    while s != NULL:
        memory = session_memory(s)
        i = 0
        while i < BUCKETS - 1 and memory >> (BUCKET_LOW + i):
            i += 1
        bytes[i] += memory
        clients[i] += 1
        s = s.next
    buffer_init(&out)
    for i in range(BUCKETS):
        memory = (<uint64_t>1 << (BUCKET_LOW + i - 1)) if i else 0
        if i == BUCKETS - 1:
            snprintf(text, sizeof(text), b"bucket %10llu+            : ", <unsigned long long>memory)
        else:
            snprintf(text, sizeof(text), b"bucket %10llu - %10llu: ", <unsigned long long>memory,
                     (<unsigned long long>1 << (BUCKET_LOW + i)) - 1)
        buffer_add(&out, text, strlen(text))
        snprintf(text, sizeof(text), b"tot-mem: %10llu, clients: %lu\n", <unsigned long long>bytes[i], clients[i])
        buffer_add(&out, text, strlen(text))
    if out.failed:
        reply_oom(r)
    else:
        reply_verbatim(r, b"txt", out.p, out.n)
    buffer_free(&out)
    return CALL_DONE


# --- replies ---------------------------------------------------------------------------------------------------------

cdef int debug_error(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """The client's own words as an error, which isn't counted as one."""
    cdef size_t n = argv[2].n
    cdef size_t i
    cdef char* out = buffer_room(r.out, n + 3)
    if out == NULL:
        return CALL_DONE        # the session ends: its buffer has failed
    out[0] = 45                 # -
    for i in range(n):
        out[i + 1] = 32 if argv[2].p[i] == 13 or argv[2].p[i] == 10 else argv[2].p[i]
    out[n + 1] = 13
    out[n + 2] = 10
    r.out.n += n + 3
    return CALL_DONE


cdef int debug_protocol(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """One sample of each type."""
    cdef Arg* a = &argv[2]
    cdef int i
    if arg_is(a, b"string", 6):
        reply_cstring(r, b"Hello World")
    elif arg_is(a, b"integer", 7):
        reply_int(r, 12345)
    elif arg_is(a, b"double", 6):
        reply_double(r, 3.141)
    elif arg_is(a, b"null", 4):
        reply_nil(r)
    elif arg_is(a, b"array", 5) or arg_is(a, b"set", 3):
        if a.n == 5:
            reply_array(r, 3)
        else:
            reply_set(r, 3)
        for i in range(3):
            reply_int(r, i)
    elif arg_is(a, b"map", 3):
        reply_map(r, 3)
        for i in range(3):
            reply_int(r, i)
            reply_bool(r, i == 1)
    elif arg_is(a, b"attrib", 6):
        if r.proto > 2:
            reply_raw(r, b"|1\r\n", 4)
            reply_cstring(r, b"key-popularity")
            reply_array(r, 2)
            reply_cstring(r, b"key:123")
            reply_int(r, 90)
        reply_cstring(r, b"Some real reply following the attribute")
    elif arg_is(a, b"push", 4):
        if r.proto < 3:
            reply_error(r, b"ERR RESP2 is not supported by this command")
        else:
            reply_push(r, 2)
            reply_cstring(r, b"server-cpu-usage")
            reply_int(r, 42)
            reply_cstring(r, b"Some real reply following the push reply")
    elif arg_is(a, b"verbatim", 8):
        reply_verbatim(r, b"txt", b"This is a verbatim\nstring", 25)
    elif arg_is(a, b"bignum", 6):
        reply_big(r, b"1234567999999999999999999999999999999", 37)
    elif arg_is(a, b"true", 4) or arg_is(a, b"false", 5):
        reply_bool(r, a.n == 4)
    else:
        reply_error(r, b"ERR Wrong protocol type name. Please use one of the following: "
                    b"string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
    return CALL_DONE


# --- files -----------------------------------------------------------------------------------------------------------

cdef void empty(Ctx* c) noexcept nogil:
    """Who watches or caches a key that is there is told of it; who waits for one goes on waiting."""
    cdef int i
    for i in range(c.kv.n_dbs):
        watch_touch_all(c.kv, &c.kv.dbs[i], NULL)
        keyspace_flush(c, &c.kv.dbs[i], True)
    tracking_flushed(c.kv)
    if c.kv.scripting != NULL:          # unlike FLUSHALL: the file has the libraries, too
        libraries_flush(<Scripting*>c.kv.scripting)


cdef bint in_script(Ctx* c, Reply* r) noexcept nogil:
    """A library can't be taken from under its function (DEBUG SCRIPT lets scripts come here)."""
    return c.kv.scripting != NULL and run_busy(<Scripting*>c.kv.scripting, r)


cdef int debug_reload(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint save = True
    cdef bint flush = True
    cdef bint merge = False
    cdef int i
    for i in range(2, argc):
        if arg_is(&argv[i], b"merge", 5):
            merge = True
        elif arg_is(&argv[i], b"noflush", 7):
            flush = False
        elif arg_is(&argv[i], b"nosave", 6):
            save = False
        else:
            reply_error(r, b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
            return CALL_DONE
    if in_script(c, r):
        return CALL_DONE
    if save and save_now(c.kv) != 0:
        reply_error(r, b"ERR")
        return CALL_DONE
    if flush:
        empty(c)
    if load_locked(c.kv, LOAD_SNAPSHOT, 0, merge) != 0:
        reply_error(r, b"ERR Error trying to load the RDB dump")
        return CALL_DONE
    durable_log(durable_of(c.kv), LOG_WARNING, b"DB reloaded by DEBUG RELOAD%s%s", b"", b"")
    propagate_none(c)
    reply_ok(r)
    return CALL_DONE


cdef int debug_log(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[TEXT_MOST]
    copy_number(&argv[2], text, sizeof(text))
    durable_log(durable_of(c.kv), LOG_WARNING, b"DEBUG LOG: %s%s", text, b"")
    reply_ok(r)
    return CALL_DONE


cdef int debug_rewrite_all(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[640]
    cdef const char* why = b"Bad address"
    if config_of(c.kv).file != NULL:
        why = config_rewrite(c.kv, True)
    if why == NULL:
        reply_ok(r)
    else:
        snprintf(text, sizeof(text), b"ERR CONFIG-REWRITE-FORCE-ALL failed: %s", why)
        reply_error(r, text)
    return CALL_DONE


cdef int debug_loadaof(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Durable* d = durable_of(c.kv)
    if in_script(c, r):
        return CALL_DONE
    journal_take(c.kv)
    journal_sync_all(d)
    empty(c)
    if load_locked(c.kv, LOAD_JOURNAL, 0, False) != 0:
        reply_error(r, b"ERR Error trying to load the AOF files, check server logs.")
        return CALL_DONE
    durable_log(d, LOG_WARNING, b"Append Only File loaded by DEBUG LOADAOF%s%s", b"", b"")
    propagate_none(c)
    reply_ok(r)
    return CALL_DONE


# --- DEBUG -----------------------------------------------------------------------------------------------------------

cdef const char* help_lines[57]
help_lines[:] = [
    b"CLIENT-EVICTION",
    b"    Tells how many clients have how much memory (maxmemory-clients).",
    b"CLUSTERLINK KILL <to|from|all> <node-id>",
    b"    Refused: there is no cluster.",
    b"CONFIG-REWRITE-FORCE-ALL",
    b"    Like CONFIG REWRITE, with a line for what has its default, too.",
    b"DIGEST",
    b"    Tells a hexadecimal digest of all the data.",
    b"DIGEST-VALUE <key> [<key> ...]",
    b"    Tells a hexadecimal digest of the value of each key.",
    b"ERROR <string>",
    b"    Answers with <string> as an error, for tests of clients.",
    b"HTSTATS <dbid>",
    b"    Tells figures about the key table of a database.",
    b"HTSTATS-KEY <key>",
    b"    Tells figures about the table inside the key's value.",
    b"LISTPACK <key>",
    b"    Prints the packed buffer of the key's value on standard output.",
    b"LOADAOF",
    b"    Forces the journal to disk, empties the store and loads it from there.",
    b"LOG <message>",
    b"    Writes <message> to the log.",
    b"OBJECT <key>",
    b"    Tells how the key's value is stored.",
    b"PAUSE-CRON <0|1>",
    b"    Stops periodic work, or lets it go on.",
    b"POPULATE <count> [<prefix>] [<size>]",
    b"    Makes <count> string keys named <prefix>:<num>, \"key\" being the prefix",
    b"    by default. They are not told to replicas.",
    b"PROTOCOL <type>",
    b"    Answers with a sample of the type: string, integer, double, bignum,",
    b"    null, array, set, map, attrib, push, verbatim, true, false.",
    b"QUICKLIST <key> [<0|1>]",
    b"    Prints the chunks of the list on standard output.",
    b"QUICKLIST-PACKED-THRESHOLD <size>",
    b"    Accepted for tests made for Redis; lists here have no plain nodes.",
    b"RELOAD [option ...]",
    b"    Saves the store to disk and loads it from there. MERGE: keys that are",
    b"    there already may come again; NOFLUSH: the store is not emptied first;",
    b"    NOSAVE: nothing is saved first.",
    b"REPLICATE <string>",
    b"    Tells the command to replicas without running it.",
    b"REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|ms>, REPLYBUFFER RESIZING <0|1>",
    b"    Accepted for tests made for Redis; one buffer takes all replies here.",
    b"SDSLEN <key>",
    b"    Tells the lengths of the key and of its string, and their memory.",
    b"SET-ACTIVE-EXPIRE <0|1>",
    b"    With 0, expired keys go only when they are accessed.",
    b"SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    b"    With 1, RESTORE takes payloads whose checksum is wrong.",
    b"SLEEP <seconds>",
    b"    Blocks the store for <seconds>. Decimals allowed.",
    b"STRINGMATCH-TEST",
    b"    Tries random patterns on random texts.",
    b"STRUCTSIZE",
    b"    Tells the sizes of C structures.",
    NULL,
]


cdef int debug_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_help(r, b"DEBUG", help_lines)
    return CALL_DONE


cdef Subcommand subcommands[29]
subcommands[0] = Subcommand(b"client-eviction", 2, 2, debug_client_eviction)
subcommands[1] = Subcommand(b"clusterlink", 5, 5, debug_clusterlink)
subcommands[2] = Subcommand(b"config-rewrite-force-all", 2, 2, debug_rewrite_all)
subcommands[3] = Subcommand(b"digest", 2, 2, debug_digest)
subcommands[4] = Subcommand(b"digest-value", 2, 0, debug_digest_value)
subcommands[5] = Subcommand(b"error", 3, 3, debug_error)
subcommands[6] = Subcommand(b"help", 2, 2, debug_help)
subcommands[7] = Subcommand(b"htstats", 3, 3, debug_htstats)
subcommands[8] = Subcommand(b"htstats-key", 3, 3, debug_htstats_key)
subcommands[9] = Subcommand(b"listpack", 3, 3, debug_listpack)
subcommands[10] = Subcommand(b"loadaof", 2, 2, debug_loadaof)
subcommands[11] = Subcommand(b"log", 3, 3, debug_log)
subcommands[12] = Subcommand(b"object", 3, 3, debug_object)
subcommands[13] = Subcommand(b"pause-cron", 3, 3, debug_pause_cron)
subcommands[14] = Subcommand(b"populate", 3, 5, debug_populate)
subcommands[15] = Subcommand(b"protocol", 3, 3, debug_protocol)
subcommands[16] = Subcommand(b"quicklist", 3, 4, debug_quicklist)
subcommands[17] = Subcommand(b"quicklist-packed-threshold", 3, 3, debug_packed_threshold)
subcommands[18] = Subcommand(b"reload", 2, 0, debug_reload)
subcommands[19] = Subcommand(b"replicate", 3, 0, debug_replicate)
subcommands[20] = Subcommand(b"replybuffer", 4, 4, debug_replybuffer)
subcommands[21] = Subcommand(b"sdslen", 3, 3, debug_sdslen)
subcommands[22] = Subcommand(b"set-active-expire", 3, 3, debug_set_active_expire)
subcommands[23] = Subcommand(b"set-disable-deny-scripts", 3, 3, debug_any_in_scripts)
subcommands[24] = Subcommand(b"set-skip-checksum-validation", 3, 3, debug_no_checksum)
subcommands[25] = Subcommand(b"sleep", 3, 3, debug_sleep)
subcommands[26] = Subcommand(b"stringmatch-test", 2, 2, debug_stringmatch_test)
subcommands[27] = Subcommand(b"structsize", 2, 2, debug_structsize)
subcommands[28] = Subcommand(NULL, 0, 0, NULL)


cdef int cmd_debug(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Subcommand* s = subcommands
    while s.name != NULL:
        if arg_is(&argv[1], s.name, strlen(s.name)):
            if argc < s.low or (s.high and argc > s.high):
                break
            return s.fn(c, argv, argc, r)
        s += 1
    unknown(r, &argv[1])
    return CALL_DONE


registry_bind("debug", cmd_debug)
