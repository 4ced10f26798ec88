"""Loaded keys put into a database (contract: rdb_fill.pxd)."""

from libc.string cimport memcpy

from libkv.engine.doom cimport doom_collection, doom_entry_value
from libkv.engine.entry cimport (
    E_TTL, ENTRY_KEY, INLINE_MAX, STR_HEAP, STR_INLINE, STR_INT, entry_expire, entry_key, entry_set_cell,
    entry_set_clock,
)
from libkv.engine.types cimport TYPE_STRING
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.number cimport number_parse_i64
from libkv.structures.order cimport order_insert, order_remove
from libkv.structures.prefixed cimport prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport table_find, table_insert, table_prefetch_bucket, table_remove


cdef void fill_drop(Kv* kv, RdbValue* v) noexcept nogil:
    if v.type != TYPE_STRING:
        doom_collection(kv, v.type, &v.cell)


cdef Entry* entry_of_string(Kv* kv, const char* key, size_t n, RdbValue* v, int flags) noexcept nogil:
    cdef size_t head = ENTRY_KEY + prefixed_size(n) + (flags << 3)
    cdef size_t length = v.string.n
    cdef int64_t number = 0
    cdef int layout = STR_INLINE
    cdef char* piece = NULL
    cdef Entry* e
    cdef char* to
    if length <= 20 and number_parse_i64(v.string.p, length, &number):
        layout = STR_INT
    elif length > INLINE_MAX:
        layout = STR_HEAP
        piece = <char*>heap_alloc(kv.heap, length)
        if piece == NULL:
            return NULL
        memcpy(piece, v.string.p, length)
    e = <Entry*>heap_alloc(kv.heap, head + (8 if layout == STR_INT else 24 if layout == STR_HEAP else prefixed_size(length)))
    if e == NULL:
        if piece != NULL:
            heap_free(kv.heap, piece, length)
        return NULL
    e.kind = <unsigned char>(TYPE_STRING | (layout << 4))
    to = <char*>e + head
    if layout == STR_INT:
        memcpy(to, &number, 8)
    elif layout == STR_INLINE:
        prefixed_write(to, v.string.p, length)
    else:
        memcpy(to, &piece, 8)
        memcpy(to + 8, &length, 8)
        memcpy(to + 16, &length, 8)
    return e


cdef Entry* entry_of(Kv* kv, const char* key, size_t n, RdbValue* v, int64_t expire, uint32_t clock) noexcept nogil:
    """A whole entry in no table; NULL: no memory, and the value is freed."""
    cdef int flags = E_TTL if expire >= 0 else 0
    cdef Entry* e
    if v.type == TYPE_STRING:
        e = entry_of_string(kv, key, n, v, flags)
    else:
        e = <Entry*>heap_alloc(kv.heap, ENTRY_KEY + prefixed_size(n) + (flags << 3) + 8)
        if e != NULL:
            e.kind = <unsigned char>(v.type | (v.cell.layout << 4))
    if e == NULL:
        fill_drop(kv, v)
        return NULL
    e.flags = <unsigned char>flags
    entry_set_clock(e, clock)
    prefixed_write(<char*>e + ENTRY_KEY, key, n)
    if flags:
        memcpy(<char*>e + ENTRY_KEY + prefixed_size(n), &expire, 8)
    if v.type != TYPE_STRING:
        entry_set_cell(e, &v.cell)
    return e


cdef int fill_put(Fill* f, Entry* e, uint64_t hash) noexcept nogil:
    """Into the table and the expiry index; on a failure the entry is still the caller's."""
    cdef Db* db = f.db
    cdef size_t n
    cdef const char* key = entry_key(e, &n)
    cdef void** slot = table_find(f.kv.heap, &db.keys, key, n, hash)
    cdef Entry* old
    if slot != NULL:
        if not f.replace:
            return FILL_TWICE
        old = <Entry*>slot[0]
        if old.flags & E_TTL:
            order_remove(f.kv.heap, &db.expires, <double>entry_expire(old), old)
        table_remove(f.kv.heap, &db.keys, slot, hash)
        doom_entry_value(f.kv, old)
    if e.flags & E_TTL and order_insert(f.kv.heap, &db.expires, <double>entry_expire(e), e) != 0:
        return FILL_NO_MEMORY
    if table_insert(f.kv.heap, &db.keys, e, hash) != 0:
        if e.flags & E_TTL:
            order_remove(f.kv.heap, &db.expires, <double>entry_expire(e), e)
        return FILL_NO_MEMORY
    return FILL_OK


cdef int fill_flush(Fill* f) noexcept nogil:
    cdef uint32_t i
    cdef int done = FILL_OK
    for i in range(f.n):
        if done == FILL_OK:
            done = fill_put(f, f.pending[i], f.hash[i])
            if done == FILL_OK:
                continue
            if done == FILL_TWICE:
                f.twin = f.pending[i]
                f.twin_offset = f.offset[i]
                continue
        doom_entry_value(f.kv, f.pending[i])
    f.n = 0
    return done


cdef int fill_add(Fill* f, const char* key, size_t n, RdbValue* v, int64_t expire, uint32_t clock,
                  uint64_t offset) noexcept nogil:
    cdef Entry* e = entry_of(f.kv, key, n, v, expire, clock)
    if e == NULL:
        return FILL_NO_MEMORY
    f.pending[f.n] = e
    f.hash[f.n] = siphash(f.kv.heap.seed, key, n)
    f.offset[f.n] = offset
    table_prefetch_bucket(&f.db.keys, f.hash[f.n])
    f.n += 1
    return fill_flush(f) if f.n == FILL_AHEAD else FILL_OK
