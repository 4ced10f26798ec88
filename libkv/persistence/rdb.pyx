"""RDB files as a whole (contract: rdb.pxd; the format: rdb_format.pxd)."""

from libc.stdint cimport uint8_t
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy, memset, strlen
from libc.time cimport time

from libkv.engine.access cimport access_refresh, access_uses_lfu
from libkv.engine.doom cimport doom_entry_value
from libkv.engine.entry cimport E_TTL, entry_clock, entry_expire, entry_key
from libkv.engine.settings cimport POLICY_ALLKEYS_LRU, POLICY_VOLATILE_LRU
from libkv.engine.types cimport Db
from libkv.persistence.rdb_decode cimport rdb_fail, rdb_type_name
from libkv.persistence.rdb_encode cimport rdb_put_length, rdb_put_number, rdb_put_string, rdb_put_value, rdb_type_of
from libkv.persistence.rdb_fill cimport FILL_OK, FILL_TWICE, Fill, fill_add, fill_drop, fill_flush
from libkv.persistence.rdb_format cimport (
    RDB_BAD, RDB_NO_MEMORY, RDB_OK, RDB_OP_AUX, RDB_OP_EOF, RDB_OP_EXPIRE_MS, RDB_OP_FREQ, RDB_OP_FUNCTION2, RDB_OP_IDLE,
    RDB_OP_RESIZEDB, RDB_OP_SELECTDB, RDB_STOPPED, RDB_UNSUPPORTED, RDB_VERSION,
)
from libkv.persistence.rdb_read cimport (
    RDB_IS_AUX, RDB_IS_DB, RDB_IS_DROPPED, RDB_IS_EMPTY, RDB_IS_END, RDB_IS_KEY, RDB_IS_LIBRARY, RDB_IS_SIZES, RdbReader,
    rdb_name_key, rdb_reader_clock, rdb_reader_close, rdb_reader_next, rdb_reader_open,
)
from libkv.persistence.rio cimport sink_byte, sink_crc, sink_flush, sink_put, source_left, source_offset
from libkv.structures.cell cimport Slice
from libkv.structures.number cimport number_parse_i64
from libkv.structures.table cimport PREFETCH, Bucket, SLOTS, Table, table_reserve

cdef enum:
    PROGRESS_EVERY = 1024       # keys
    KEY_LEAST = 4               # bytes that a key of a file takes at least: bounds what is made room for


# ---- writing

cdef void put_aux(Sink* s, const char* name, const char* p, size_t n) noexcept nogil:
    sink_byte(s, RDB_OP_AUX)
    rdb_put_string(s, name, strlen(name))
    rdb_put_string(s, p, n)


cdef void put_aux_number(Sink* s, const char* name, int64_t v) noexcept nogil:
    sink_byte(s, RDB_OP_AUX)
    rdb_put_string(s, name, strlen(name))
    rdb_put_number(s, v)


cdef void rdb_put_header(Kv* kv, Sink* s, RdbSave* o) noexcept nogil:
    cdef char magic[16]
    snprintf(magic, sizeof(magic), b"REDIS%04d", <int>RDB_VERSION)
    sink_put(s, magic, 9)
    put_aux(s, b"redis-ver", b"7.0.15", 6)
    put_aux_number(s, b"redis-bits", 8 * sizeof(void*))
    put_aux_number(s, b"ctime", time(NULL))
    put_aux_number(s, b"used-mem", <int64_t>kv.heap.used)
    if o.replica_info:
        put_aux_number(s, b"repl-stream-db", o.stream_db)
        put_aux(s, b"repl-id", o.repl_id, 40)
        put_aux_number(s, b"repl-offset", o.repl_offset)
    put_aux_number(s, b"aof-base", 1 if o.aof_base else 0)


cdef int put_library(void* arg, const char* code, size_t n) noexcept nogil:
    cdef Sink* s = <Sink*>arg
    sink_byte(s, RDB_OP_FUNCTION2)
    rdb_put_string(s, code, n)
    return -1 if s.error else 0


cdef inline void put_access(Kv* kv, Sink* s, Entry* e) noexcept nogil:
    """The entry's idle time or use counter, when the eviction policy goes by it."""
    cdef int policy = kv.settings.maxmemory_policy
    if policy == POLICY_ALLKEYS_LRU or policy == POLICY_VOLATILE_LRU:
        sink_byte(s, RDB_OP_IDLE)
        rdb_put_length(s, (kv.lru_clock - entry_clock(e)) & 0xffffff)
    elif access_uses_lfu(kv):
        sink_byte(s, RDB_OP_FREQ)
        sink_byte(s, entry_clock(e) & 255)


cdef void rdb_put_entry(Kv* kv, Sink* s, Entry* e) noexcept nogil:
    cdef const char* key
    cdef size_t n
    cdef int64_t expire
    if e.flags & E_TTL:
        expire = entry_expire(e)
        sink_byte(s, RDB_OP_EXPIRE_MS)
        sink_put(s, <char*>&expire, 8)
    put_access(kv, s, e)
    sink_byte(s, rdb_type_of(e))
    key = entry_key(e, &n)
    rdb_put_string(s, key, n)
    rdb_put_value(s, e)


cdef void put_chain(Kv* kv, Sink* s, RdbSave* o, Bucket* b) noexcept nogil:
    """The entries of one bucket."""
    cdef int i
    cdef int places
    while True:
        places = SLOTS - 1 if b.linked else SLOTS
        for i in range(places):
            if b.tag[i] == 0:
                continue
            rdb_put_entry(kv, s, <Entry*>b.item[i])
            o.keys += 1
            if o.progress != NULL and o.keys % PROGRESS_EVERY == 0:
                o.progress(o.progress_arg, o.keys)
        if not b.linked:
            return
        b = <Bucket*>b.item[SLOTS - 1]


cdef void put_table(Kv* kv, Sink* s, RdbSave* o, Table* t) noexcept nogil:
    """Bucket by bucket; the next one's entries are on their way from memory meanwhile."""
    cdef uint64_t at
    cdef Bucket* b
    cdef int which
    cdef int i
    for which in range(2):
        if t.buckets[which] == NULL:
            continue
        for at in range(t.mask[which] + 1):
            if at + 1 <= t.mask[which]:
                b = &t.buckets[which][at + 1]
                for i in range(SLOTS):
                    if b.tag[i]:
                        PREFETCH(b.item[i])
            put_chain(kv, s, o, &t.buckets[which][at])
            if s.error:
                return


cdef void rdb_put_end(Sink* s, bint with_crc) noexcept nogil:
    cdef uint64_t crc
    sink_byte(s, RDB_OP_EOF)
    crc = sink_crc(s) if s.checksum and with_crc else 0
    sink_put(s, <char*>&crc, 8)


cdef int rdb_save(Kv* kv, Sink* s, RdbSave* o) noexcept nogil:
    cdef int i
    cdef Db* db
    rdb_put_header(kv, s, o)
    if o.libraries != NULL and not o.no_functions:
        o.libraries(kv, put_library, s)
    for i in range(0 if o.functions_only else kv.n_dbs):
        db = &kv.dbs[i]
        if db.keys.used == 0:
            continue
        sink_byte(s, RDB_OP_SELECTDB)
        rdb_put_length(s, i)
        sink_byte(s, RDB_OP_RESIZEDB)
        rdb_put_length(s, db.keys.used)
        rdb_put_length(s, db.expires.used)
        put_table(kv, s, o, &db.keys)
        if s.error:
            return s.error
    rdb_put_end(s, not o.no_trailer_crc)
    return sink_flush(s)


# ---- reading

cdef struct Load:
    RdbLoad* o
    RdbReader r
    Fill fill
    uint64_t seen               # keys


cdef int filled(Load* l, int done) noexcept nogil:
    """What came of putting keys in their table."""
    cdef const char* key
    cdef size_t n
    if done == FILL_OK:
        return RDB_OK
    if done != FILL_TWICE:
        return rdb_fail(&l.r.error, l.r.s, RDB_NO_MEMORY, b"no memory")
    rdb_fail(&l.r.error, l.r.s, RDB_BAD, b"a key that is there already")
    l.r.error.offset = l.fill.twin_offset
    key = entry_key(l.fill.twin, &n)
    rdb_name_key(&l.r.error, key, n)
    doom_entry_value(l.fill.kv, l.fill.twin)
    l.fill.twin = NULL
    return RDB_BAD


cdef int load_key(Load* l) noexcept nogil:
    """Puts a key into its database, or drops it when it is past its time."""
    cdef RdbLoad* o = l.o
    cdef RdbReader* r = &l.r
    if 0 <= r.expire < r.kv.now and not o.keep_expired:
        o.expired += 1
        fill_drop(r.kv, &r.value)
        return RDB_OK
    o.keys += 1
    o.expires += r.expire >= 0
    if o.no_keys:
        fill_drop(r.kv, &r.value)
        return RDB_OK
    return filled(l, fill_add(&l.fill, r.key, r.key_n, &r.value, r.expire, rdb_reader_clock(r), r.offset))


cdef bint slice_is(Slice* a, const char* text) noexcept nogil:
    return a.n == strlen(text) and memcmp(a.p, text, a.n) == 0


cdef void load_aux(RdbAux* aux, Slice* name, Slice* value) noexcept nogil:
    cdef int64_t v = 0
    number_parse_i64(value.p, value.n, &v)
    if slice_is(name, b"redis-ver") or slice_is(name, b"valkey-ver"):
        memset(aux.redis_ver, 0, sizeof(aux.redis_ver))
        memcpy(aux.redis_ver, value.p, min(value.n, sizeof(aux.redis_ver) - 1))
    elif slice_is(name, b"redis-bits"):
        aux.redis_bits = v
    elif slice_is(name, b"ctime"):
        aux.ctime = v
    elif slice_is(name, b"used-mem"):
        aux.used_mem = v
    elif slice_is(name, b"aof-base") or slice_is(name, b"aof-preamble"):
        aux.aof_base = v != 0
    elif slice_is(name, b"repl-stream-db"):
        aux.repl_stream_db = v
    elif slice_is(name, b"repl-id") and value.n == 40:
        memcpy(aux.repl_id, value.p, 40)
    elif slice_is(name, b"repl-offset"):
        aux.repl_offset = v


cdef int load_sizes(Load* l) noexcept nogil:
    """Makes room for a new database's keys at once, when there can be so many."""
    cdef RdbReader* r = &l.r
    if l.o.no_keys or r.keys == 0 or r.s.total == <uint64_t>-1 or r.keys > source_left(r.s) // KEY_LEAST:
        return RDB_OK
    if table_reserve(r.kv.heap, &l.fill.db.keys, r.keys) != 0:
        return rdb_fail(&r.error, r.s, RDB_NO_MEMORY, b"no memory")
    return RDB_OK


cdef void tell_dropped(Load* l, const char* what) noexcept nogil:
    l.o.unsupported += 1
    if what == NULL:
        what = b"a module's or a cluster's data"
    if l.o.dropped != NULL:
        l.o.dropped(l.o.progress_arg, l.r.db, l.r.key, l.r.key_n, what)


cdef int load_library(Load* l) noexcept nogil:
    cdef RdbReader* r = &l.r
    cdef int code
    if l.o.library == NULL:
        if l.o.skip_unsupported:
            tell_dropped(l, b"a function library")
            return RDB_OK
        return rdb_fail(&r.error, r.s, RDB_UNSUPPORTED, b"a function library, which can't be loaded here")
    code = l.o.library(l.o.library_arg, r.kv, r.text.p, r.text.n, &r.error)
    if code != RDB_OK:
        r.error.code = code
        r.error.offset = r.offset
    else:
        l.o.libraries += 1
    return code


cdef int load_record(Load* l) noexcept nogil:
    """What the reader came upon."""
    cdef RdbReader* r = &l.r
    cdef int code = RDB_OK
    if r.what == RDB_IS_KEY:
        code = load_key(l)
    elif r.what == RDB_IS_AUX:
        load_aux(&l.o.aux, &r.name, &r.text)
    elif r.what == RDB_IS_DB:
        code = filled(l, fill_flush(&l.fill))
        l.fill.db = &r.kv.dbs[r.db]
    elif r.what == RDB_IS_SIZES:
        code = load_sizes(l)
    elif r.what == RDB_IS_LIBRARY:
        code = load_library(l)
    elif r.what == RDB_IS_EMPTY:
        l.o.empty += 1
    elif r.what == RDB_IS_DROPPED:
        tell_dropped(l, rdb_type_name(r.rdb_type))
    if code == RDB_OK and r.key != NULL:
        l.seen += 1
        if l.seen % PROGRESS_EVERY == 0 and l.o.progress != NULL:
            if not l.o.progress(l.o.progress_arg, l.seen, source_offset(r.s)):
                return rdb_fail(&r.error, r.s, RDB_STOPPED, b"stopped")
    return code


cdef int load_all(Load* l) noexcept nogil:
    cdef int code
    while True:
        code = rdb_reader_next(&l.r)
        if code != RDB_OK:
            return code
        if l.r.what == RDB_IS_END:
            return filled(l, fill_flush(&l.fill))
        code = load_record(l)
        if code != RDB_OK:
            return code


cdef int rdb_load(Kv* kv, Source* s, RdbLoad* o, RdbError* error) noexcept nogil:
    cdef Load l
    cdef int code
    o.aux.redis_bits = o.aux.ctime = o.aux.used_mem = o.aux.repl_stream_db = o.aux.repl_offset = -1
    access_refresh(kv)
    memset(&l.fill, 0, sizeof(Fill))
    l.o = o
    l.seen = 0
    l.fill.kv = kv
    l.fill.db = &kv.dbs[0]
    l.fill.replace = o.replace
    code = rdb_reader_open(&l.r, kv, s, o.skip_unsupported)
    o.version = l.r.version
    o.valkey = l.r.valkey
    if code == RDB_OK:
        code = load_all(&l)
    if code != RDB_OK and fill_flush(&l.fill) == FILL_TWICE:        # the prefix is whole
        doom_entry_value(kv, l.fill.twin)
    o.crc_kept = l.r.crc_kept
    error[0] = l.r.error
    rdb_reader_close(&l.r)
    return code


cdef void rdb_error_message(RdbError* e, char* out, size_t room) noexcept nogil:
    cdef size_t i
    cdef int n = snprintf(out, room, b"at byte %llu", <unsigned long long>e.offset)
    if e.in_key:
        n += snprintf(out + n, room - n, b", key '")
        for i in range(min(e.key_n, sizeof(e.key) - 1)):
            if <size_t>n + 8 > room:
                break
            if 32 <= e.key[i] < 127 and e.key[i] != 39 and e.key[i] != 92:
                out[n] = e.key[i]
                n += 1
            else:
                n += snprintf(out + n, room - n, b"\\x%02x", <unsigned int><uint8_t>e.key[i])
        n += snprintf(out + n, room - n, b"%s", b"'..." if e.key_n > sizeof(e.key) - 1 else b"'")
        if e.db:
            n += snprintf(out + n, room - n, b" of database %d", e.db)
    snprintf(out + n, room - n, b": %s", e.text)
