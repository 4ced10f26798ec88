"""DEBUG: a look inside, and levers for tests.  Only where the setting enable-debug-command allows it.

The subcommands are those of Redis 7.0.15 that make sense here, with its words.  Where an answer describes insides
(STRUCTSIZE, HTSTATS, SDSLEN, the pointers of OBJECT), the insides are ours.  Left out: whatever crashes, restarts or leaks
on purpose (a store is a guest in its process), and what belongs to a cluster or to jemalloc.

- SLEEP blocks the store as Redis blocks: the lock is kept.  It sleeps for at most an hour.
- OBJECT's serializedlength is the size of the value in an RDB file of version 10 without compression.
- QUICKLIST-PACKED-THRESHOLD is checked and has no effect: a list here has no plain nodes, large elements lie in chunks.
- LISTPACK prints on the process's standard output, as Redis does.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdio cimport fflush, printf, snprintf, stdout
from libc.stdlib cimport atoi, strtod
from libc.string cimport memcpy, memset, strlen
from posix.time cimport nanosleep, timespec

from libkv.commands.keys cimport encoding_name
from libkv.engine.args cimport arg_int, arg_is, arg_range, glob_match
from libkv.engine.call cimport propagate, propagate_none, propagating
from libkv.engine.digest cimport digest_data, digest_entry
from libkv.engine.entry cimport (
    ENTRY_KEY, Entry, STR_HEAP, STR_INT, entry_bytes, entry_cell, entry_clock, entry_int, entry_key, entry_layout,
    entry_string, entry_type, entry_value,
)
from libkv.engine.keyspace cimport arg_hash, keyspace_flush, keyspace_set_text, lookup_write
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_big, reply_bool, reply_cstring, reply_double, reply_error, reply_errorf, reply_help,
    reply_int, reply_map, reply_nil, reply_no_key, reply_ok, reply_oom, reply_push, reply_raw, reply_set, reply_status,
    reply_verbatim,
)
from libkv.engine.serialized cimport serialized_size
from libkv.engine.settings cimport LOG_WARNING
from libkv.engine.types cimport (
    Arg, CALL_DONE, Ctx, Db, Kv, Reply, Session, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STRING,
    TYPE_ZSET,
)
from libkv.engine.watch cimport watch_touch
from libkv.persistence.durable cimport Durable, durable_log, durable_of
from libkv.persistence.journal cimport journal_sync_all, journal_take
from libkv.persistence.load cimport LOAD_JOURNAL, LOAD_SNAPSHOT, load_locked
from libkv.persistence.saves cimport save_now
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_room
from libkv.structures.cell cimport (
    Cell, HASH_PACKED, HASH_TABLE, LIST_PACKED, SET_TABLE, Slice, ZSET_PACKED, ZSET_TREE,
)
from libkv.structures.chunk cimport Chunk, List, chunk_used
from libkv.structures.list cimport list_length
from libkv.structures.number cimport number_parse_i64
from libkv.structures.packed cimport (
    PACKED_EMPTY, packed_bytes, packed_first, packed_get, packed_length, packed_next, packed_skip,
)
from libkv.structures.random cimport random_below
from libkv.structures.sha1 cimport SHA1_BYTES, sha1_hex
from libkv.structures.table cimport Bucket, SLOTS, Table, table_find
from libkv.structures.zset cimport Zset

cdef enum:
    TEXT_MAX = 1024
    SHARED_INTS = 10000         # Redis shares the objects of smaller numbers
    SLEEP_MAX = 3600            # s

cdef const char* NOT_POSITIVE = b"ERR value is out of range, must be positive"

# a subcommand: argv[2..] are its arguments
ctypedef int (*debug_fn)(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil

cdef struct Subcommand:
    const char* name            # in lower case
    int low                     # argc at least, and at most (0: any)
    int high
    debug_fn fn


# --- values ----------------------------------------------------------------------------------------------------------

cdef Entry* peek(Ctx* c, Arg* key) noexcept nogil:
    """The key's entry without any effect: no statistics, no touching, an expired one still counts."""
    cdef void** slot = table_find(c.heap, &c.db.keys, key.p, key.n, arg_hash(c.heap, key))
    return <Entry*>slot[0] if slot != NULL else NULL


cdef Entry* peek_or_error(Ctx* c, Arg* key, Reply* r) noexcept nogil:
    cdef Entry* e = peek(c, key)
    if e == NULL:
        reply_no_key(r)
    return e


cdef int debug_object(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef char text[TEXT_MAX]
    cdef char more[256]
    cdef Cell cell
    cdef uint64_t nodes = 1
    cdef uint64_t bytes = 0
    cdef Chunk* chunk
    cdef int refcount = 1
    if e == NULL:
        return CALL_DONE
    if entry_type(e) == TYPE_STRING and entry_layout(e) == STR_INT and 0 <= entry_int(e) < SHARED_INTS:
        refcount = 0x7fffffff
    more[0] = 0
    if entry_type(e) == TYPE_LIST:
        entry_cell(e, &cell)
        if cell.layout == LIST_PACKED:
            bytes = packed_bytes(<char*>cell.ptr)
        else:
            nodes = (<List*>cell.ptr).chunks
            chunk = (<List*>cell.ptr).head
            while chunk != NULL:
                bytes += PACKED_EMPTY + chunk_used(chunk)
                chunk = chunk.next
        snprintf(more, sizeof(more), b" ql_nodes:%llu ql_avg_node:%.2f ql_listpack_max:%lld ql_compressed:0 "
                 b"ql_uncompressed_size:%llu", <unsigned long long>nodes, <double>list_length(&cell) / <double>nodes,
                 <long long>c.kv.settings.list_max_listpack_size, <unsigned long long>bytes)
    snprintf(text, sizeof(text), b"Value at:%p refcount:%d encoding:%s serializedlength:%llu lru:%u lru_seconds_idle:%u%s",
             <void*>e, refcount, encoding_name(e), <unsigned long long>serialized_size(e), entry_clock(e),
             (c.kv.lru_clock - entry_clock(e)) & 0xffffff, more)
    reply_status(r, text)
    return CALL_DONE


cdef int debug_sdslen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef char text[TEXT_MAX]
    cdef char scratch[24]
    cdef Slice s
    cdef size_t key_n
    cdef size_t capacity = 0
    if e == NULL:
        return CALL_DONE
    if entry_type(e) != TYPE_STRING or entry_layout(e) == STR_INT:
        reply_error(r, b"ERR Not an sds encoded string.")
        return CALL_DONE
    entry_key(e, &key_n)
    entry_string(e, scratch, &s)
    if entry_layout(e) == STR_HEAP:
        memcpy(&capacity, entry_value(e) + 16, 8)
    snprintf(text, sizeof(text), b"key_sds_len:%zu, key_sds_avail:0, key_zmalloc: %zu, val_sds_len:%zu, val_sds_avail:%zu, "
             b"val_zmalloc: %zu", key_n, entry_bytes(e), s.n, capacity - s.n if capacity else 0, capacity)
    reply_status(r, text)
    return CALL_DONE


cdef int debug_listpack(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef Cell cell
    cdef Slice s
    cdef char scratch[24]
    cdef char* at
    cdef int i = 0
    if e == NULL:
        return CALL_DONE
    if not ((entry_type(e) == TYPE_HASH and entry_layout(e) == HASH_PACKED)
            or (entry_type(e) == TYPE_ZSET and entry_layout(e) == ZSET_PACKED)):
        reply_error(r, b"ERR Not a listpack encoded object.")
        return CALL_DONE
    entry_cell(e, &cell)
    printf(b"{total bytes %zu} {num entries %llu}\n", packed_bytes(<char*>cell.ptr),
           <unsigned long long>packed_length(<char*>cell.ptr))
    at = packed_first(<char*>cell.ptr)
    while at != NULL:
        s = packed_get(at, scratch)
        printf(b"%d: {offset %td, entry bytes %zu} [%.*s]%s\n", i, at - <char*>cell.ptr, packed_skip(at),
               <int>min(s.n, <size_t>40), s.p, b"..." if s.n > 40 else b"")
        at = packed_next(<char*>cell.ptr, at)
        i += 1
    fflush(stdout)
    reply_status(r, b"Listpack structure printed on stdout")
    return CALL_DONE


# --- digests ---------------------------------------------------------------------------------------------------------

cdef int debug_digest(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t digest[SHA1_BYTES]
    cdef char text[41]
    digest_data(c.kv, digest)
    sha1_hex(digest, text)
    reply_status(r, text)
    return CALL_DONE


cdef int debug_digest_value(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t digest[SHA1_BYTES]
    cdef char text[41]
    cdef Entry* e
    cdef int i
    reply_array(r, argc - 2)
    for i in range(2, argc):
        memset(digest, 0, SHA1_BYTES)
        e = peek(c, &argv[i])
        if e != NULL:
            digest_entry(e, digest)
        sha1_hex(digest, text)
        reply_status(r, text)
    return CALL_DONE


# --- tables ----------------------------------------------------------------------------------------------------------

cdef int print_table(char* text, size_t room, Table* t) noexcept nogil:
    """A few lines about a table; as many characters as were written (or would have been)."""
    cdef uint64_t buckets = t.mask[0] + 1 if t.buckets[0] != NULL else 0
    if t.used == 0:
        return snprintf(text, room, b"No stats available for empty dictionaries\n")
    if t.rehash < 0:
        return snprintf(text, room, b" buckets: %llu of %d places\n number of elements: %llu\n further buckets: %llu\n",
                        <unsigned long long>buckets, <int>SLOTS, <unsigned long long>t.used, <unsigned long long>t.links)
    return snprintf(text, room, b" buckets: %llu of %d places, moving to %llu, bucket %lld is next\n number of elements: %llu\n"
                    b" further buckets: %llu\n", <unsigned long long>buckets, <int>SLOTS,
                    <unsigned long long>(t.mask[1] + 1), <long long>t.rehash, <unsigned long long>t.used,
                    <unsigned long long>t.links)


cdef int debug_htstats(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[TEXT_MAX]
    cdef int64_t id
    cdef int n
    cdef Db* db
    if not arg_int(&argv[2], &id, r):
        return CALL_DONE
    if not 0 <= id < c.kv.n_dbs:
        reply_error(r, b"ERR Out of range database")
        return CALL_DONE
    db = &c.kv.dbs[id]
    n = snprintf(text, sizeof(text), b"[Dictionary HT]\n")
    n += print_table(text + n, sizeof(text) - n, &db.keys)
    n += snprintf(text + n, sizeof(text) - n, b"[Expires, in order]\n number of elements: %llu\n",
                  <unsigned long long>db.expires.used)
    reply_verbatim(r, b"txt", text, n)
    return CALL_DONE


cdef int debug_htstats_key(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef Table* t = NULL
    cdef char text[TEXT_MAX]
    cdef Cell cell
    if e == NULL:
        return CALL_DONE
    if entry_type(e) != TYPE_STRING:
        entry_cell(e, &cell)
        if entry_type(e) == TYPE_ZSET and cell.layout == ZSET_TREE:
            t = &(<Zset*>cell.ptr).members
        elif (entry_type(e) == TYPE_HASH and cell.layout == HASH_TABLE) or (
                entry_type(e) == TYPE_SET and cell.layout == SET_TABLE):
            t = <Table*>cell.ptr
    if t == NULL:
        reply_error(r, b"ERR The value stored at the specified key is not represented using an hash table")
        return CALL_DONE
    reply_verbatim(r, b"txt", text, print_table(text, sizeof(text), t))
    return CALL_DONE


cdef int debug_structsize(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[TEXT_MAX]
    snprintf(text, sizeof(text), b"bits:%d entry:%d bucket:%zu table:%zu chunk:%zu cell:%zu db:%zu session:%zu command:%zu "
             b"heap:%zu store:%zu", <int>(8 * sizeof(void*)), <int>ENTRY_KEY, sizeof(Bucket), sizeof(Table), sizeof(Chunk),
             sizeof(Cell), sizeof(Db), sizeof(Session), sizeof(Command), sizeof(Heap), sizeof(Kv))
    reply_cstring(r, text)
    return CALL_DONE


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
    cdef int i
    for i in range(c.kv.n_dbs):
        keyspace_flush(c, &c.kv.dbs[i], True)


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
    if save and save_now(c.kv) != 0:
        reply_error(r, b"ERR")
        return CALL_DONE
    if flush:
        empty(c)
    if load_locked(c.kv, LOAD_SNAPSHOT, 0, merge) != 0:
        reply_error(r, b"ERR Error trying to load the RDB dump, check server logs.")
        return CALL_DONE
    durable_log(durable_of(c.kv), LOG_WARNING, b"DB reloaded by DEBUG RELOAD%s%s", b"", b"")
    propagate_none(c)
    reply_ok(r)
    return CALL_DONE


cdef int debug_loadaof(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Durable* d = durable_of(c.kv)
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

cdef const char* help_lines[43]
help_lines[:] = [
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
    b"QUICKLIST-PACKED-THRESHOLD <size>",
    b"    Accepted for tests made for Redis; lists here have no plain nodes.",
    b"RELOAD [option ...]",
    b"    Saves the store to disk and loads it from there. MERGE: keys that are",
    b"    there already may come again; NOFLUSH: the store is not emptied first;",
    b"    NOSAVE: nothing is saved first.",
    b"REPLICATE <string>",
    b"    Tells the command to replicas without running it.",
    b"SDSLEN <key>",
    b"    Tells the lengths of the key and of its string, and their memory.",
    b"SET-ACTIVE-EXPIRE <0|1>",
    b"    With 0, expired keys go only when they are accessed.",
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


cdef Subcommand subcommands[21]
subcommands[0] = Subcommand(b"digest", 2, 2, debug_digest)
subcommands[1] = Subcommand(b"digest-value", 2, 0, debug_digest_value)
subcommands[2] = Subcommand(b"error", 3, 3, debug_error)
subcommands[3] = Subcommand(b"htstats", 3, 3, debug_htstats)
subcommands[4] = Subcommand(b"htstats-key", 3, 3, debug_htstats_key)
subcommands[5] = Subcommand(b"listpack", 3, 3, debug_listpack)
subcommands[6] = Subcommand(b"object", 3, 3, debug_object)
subcommands[7] = Subcommand(b"pause-cron", 3, 3, debug_pause_cron)
subcommands[8] = Subcommand(b"populate", 3, 5, debug_populate)
subcommands[9] = Subcommand(b"protocol", 3, 3, debug_protocol)
subcommands[10] = Subcommand(b"quicklist-packed-threshold", 3, 3, debug_packed_threshold)
subcommands[11] = Subcommand(b"replicate", 3, 0, debug_replicate)
subcommands[12] = Subcommand(b"sdslen", 3, 3, debug_sdslen)
subcommands[13] = Subcommand(b"set-active-expire", 3, 3, debug_set_active_expire)
subcommands[14] = Subcommand(b"sleep", 3, 3, debug_sleep)
subcommands[15] = Subcommand(b"stringmatch-test", 2, 2, debug_stringmatch_test)
subcommands[16] = Subcommand(b"structsize", 2, 2, debug_structsize)
subcommands[17] = Subcommand(b"help", 2, 2, debug_help)
subcommands[18] = Subcommand(b"loadaof", 2, 2, debug_loadaof)
subcommands[19] = Subcommand(b"reload", 2, 0, debug_reload)
subcommands[20] = Subcommand(NULL, 0, 0, NULL)


cdef int cmd_debug(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Subcommand* s = subcommands
    while s.name != NULL:
        if arg_is(&argv[1], s.name, strlen(s.name)):
            if argc < s.low or (s.high and argc > s.high):
                break
            return s.fn(c, argv, argc, r)
        s += 1
    reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                 argv[1].p, argv[1].n)
    return CALL_DONE


registry_bind("debug", cmd_debug)
