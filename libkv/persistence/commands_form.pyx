"""A store as commands that make it (contract: commands_form.pxd).

What the commands are, and how many elements one of them carries (64), is redis-server's: SET, RPUSH, SADD, HMSET, ZADD and
PEXPIREAT.  Deviation: a stream is told by RESTORE, which redis-server 7.0 takes from a journal as well.
"""

from libc.errno cimport ENOMEM
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport strlen

from libkv.engine.clock cimport wall_us
from libkv.engine.entry cimport Entry, entry_cell, entry_expire, entry_key, entry_string, entry_type
from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STRING, TYPE_ZSET, Db
from libkv.persistence.durable cimport durable_of
from libkv.persistence.rdb_encode cimport rdb_dump
from libkv.persistence.rio cimport sink_close, sink_flush, sink_open_memory, sink_put
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.hash cimport HashIter, hash_iter, hash_length, hash_next
from libkv.structures.list cimport ListIter, list_length, list_seek, list_step, list_value
from libkv.structures.number cimport number_print_double, number_print_i64
from libkv.structures.set cimport SetIter, set_iter, set_length, set_next
from libkv.structures.table cimport TableIter, table_iter, table_next
from libkv.structures.zset cimport ZsetIter, zset_iter, zset_length, zset_next

cdef enum:
    ITEMS = 64                  # elements a command carries at most
    PROGRESS_EVERY = 1024
    SCRATCH = 128               # bytes: the text of a number


cdef void put_count(Sink* s, char kind, int64_t n) noexcept nogil:
    cdef char text[32]
    cdef int k
    text[0] = kind
    k = 1 + number_print_i64(text + 1, n)
    text[k] = 13
    text[k + 1] = 10
    sink_put(s, text, k + 2)


cdef void put_word(Sink* s, const char* p, size_t n) noexcept nogil:
    put_count(s, c"$", <int64_t>n)
    sink_put(s, p, n)
    sink_put(s, b"\r\n", 2)


cdef void put_text(Sink* s, const char* text) noexcept nogil:
    put_word(s, text, strlen(text))


cdef void put_number(Sink* s, int64_t v) noexcept nogil:
    cdef char text[24]
    put_word(s, text, number_print_i64(text, v))


cdef void begin(Sink* s, uint64_t left, int words, const char* name, const char* key, size_t n) noexcept nogil:
    """The head of a command that carries up to ITEMS of the elements that are left, `words` words each."""
    put_count(s, c"*", 2 + words * <int64_t>min(left, <uint64_t>ITEMS))
    put_text(s, name)
    put_word(s, key, n)


cdef void put_list(Kv* kv, Sink* s, Cell* cell, const char* key, size_t n) noexcept nogil:
    cdef char scratch[SCRATCH]
    cdef uint64_t total = list_length(cell)
    cdef uint64_t i
    cdef ListIter it
    cdef Slice v
    list_seek(&it, cell, 0, False)
    for i in range(total):
        if i % ITEMS == 0:
            begin(s, total - i, 1, b"RPUSH", key, n)
        v = list_value(&it, scratch)
        put_word(s, v.p, v.n)
        list_step(&it)


cdef void put_set(Kv* kv, Sink* s, Cell* cell, const char* key, size_t n) noexcept nogil:
    cdef char scratch[SCRATCH]
    cdef uint64_t total = set_length(cell)
    cdef uint64_t i = 0
    cdef SetIter it
    cdef Slice v
    set_iter(&it, cell)
    while set_next(&it, &v, scratch):
        if i % ITEMS == 0:
            begin(s, total - i, 1, b"SADD", key, n)
        put_word(s, v.p, v.n)
        i += 1


cdef void put_hash(Kv* kv, Sink* s, Cell* cell, const char* key, size_t n) noexcept nogil:
    cdef char scratch[SCRATCH]
    cdef uint64_t total = hash_length(cell)
    cdef uint64_t i = 0
    cdef HashIter it
    cdef Slice field, v
    hash_iter(&it, cell)
    while hash_next(&it, &field, &v, scratch):
        if i % ITEMS == 0:
            begin(s, total - i, 2, b"HMSET", key, n)
        put_word(s, field.p, field.n)
        put_word(s, v.p, v.n)
        i += 1


cdef void put_zset(Kv* kv, Sink* s, Cell* cell, const char* key, size_t n) noexcept nogil:
    cdef char scratch[SCRATCH]
    cdef char digits[SCRATCH]
    cdef uint64_t total = zset_length(cell)
    cdef uint64_t i = 0
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &member, &score, scratch):
        if i % ITEMS == 0:
            begin(s, total - i, 2, b"ZADD", key, n)
        put_word(s, digits, number_print_double(digits, score))
        put_word(s, member.p, member.n)
        i += 1


cdef void put_dump(Sink* s, Entry* e, const char* key, size_t n) noexcept nogil:
    """RESTORE key 0 payload: for what has no commands of its own here."""
    cdef Sink payload
    cdef int error
    if sink_open_memory(&payload, True, False) != 0:
        s.error = ENOMEM
        return
    error = rdb_dump(&payload, e)
    if error:
        s.error = error
    else:
        put_count(s, c"*", 4)
        put_text(s, b"RESTORE")
        put_word(s, key, n)
        put_text(s, b"0")
        put_word(s, payload.buf, payload.n)
    sink_close(&payload)


cdef void put_entry(Kv* kv, Sink* s, Entry* e) noexcept nogil:
    cdef char scratch[SCRATCH]
    cdef const char* key
    cdef Slice v
    cdef Cell cell
    cdef size_t n
    cdef int kind = entry_type(e)
    key = entry_key(e, &n)
    if kind == TYPE_STRING:
        entry_string(e, scratch, &v)
        put_count(s, c"*", 3)
        put_text(s, b"SET")
        put_word(s, key, n)
        put_word(s, v.p, v.n)
    else:
        entry_cell(e, &cell)
        if kind == TYPE_LIST:
            put_list(kv, s, &cell, key, n)
        elif kind == TYPE_SET:
            put_set(kv, s, &cell, key, n)
        elif kind == TYPE_HASH:
            put_hash(kv, s, &cell, key, n)
        elif kind == TYPE_ZSET:
            put_zset(kv, s, &cell, key, n)
        else:
            put_dump(s, e, key, n)
    if entry_expire(e) >= 0:
        put_count(s, c"*", 3)
        put_text(s, b"PEXPIREAT")
        put_word(s, key, n)
        put_number(s, entry_expire(e))


cdef int put_library(void* arg, const char* code, size_t n) noexcept nogil:
    cdef Sink* s = <Sink*>arg
    put_count(s, c"*", 3)
    put_text(s, b"FUNCTION")
    put_text(s, b"LOAD")
    put_word(s, code, n)
    return -1 if s.error else 0


cdef void put_stamp(Kv* kv, Sink* s) noexcept nogil:
    """#TS: this is the state of now."""
    cdef char text[32]
    cdef int64_t now = kv.clock_wall // 1000 if kv.clock_fixed else wall_us() // 1000000
    sink_put(s, text, snprintf(text, sizeof(text), b"#TS:%lld\r\n", <long long>now))


cdef int commands_save(Kv* kv, Sink* s, RdbSave* o) noexcept nogil:
    cdef TableIter it
    cdef Entry* e
    cdef Db* db
    cdef int i
    if durable_of(kv).timestamps:
        put_stamp(kv, s)
    if o.libraries != NULL:
        o.libraries(kv, put_library, s)
    for i in range(kv.n_dbs):
        db = &kv.dbs[i]
        if db.keys.used == 0:
            continue
        put_count(s, c"*", 2)
        put_text(s, b"SELECT")
        put_number(s, db.id)
        table_iter(&it, &db.keys)
        while True:
            e = <Entry*>table_next(&it)
            if e == NULL or s.error:
                break
            put_entry(kv, s, e)
            o.keys += 1
            if o.progress != NULL and o.keys % PROGRESS_EVERY == 0:
                o.progress(o.progress_arg, o.keys)
    return sink_flush(s)
