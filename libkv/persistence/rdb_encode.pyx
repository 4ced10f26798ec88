"""Values as RDB bytes (contract: rdb_encode.pxd; the format: rdb_format.pxd)."""

from libc.errno cimport ENOMEM
from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy

from libkv.engine.entry cimport STR_INT, entry_cell, entry_int, entry_layout, entry_string, entry_type
from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING
from libkv.persistence.lzf cimport Lzf, lzf_compress
from libkv.persistence.rdb_format cimport (
    RDB_HASH, RDB_HASH_LISTPACK, RDB_LIST_QUICKLIST_2, RDB_PACKED, RDB_SET, RDB_SET_INTSET, RDB_STREAM_2, RDB_STRING,
    RDB_VERSION, RDB_ZSET_2, RDB_ZSET_LISTPACK,
)
from libkv.persistence.rdb_stream cimport rdb_put_stream
from libkv.persistence.rio cimport sink_crc, sink_work
from libkv.structures.cell cimport Cell, HASH_PACKED, LIST_PACKED, SET_INTS, Slice, ZSET_PACKED
from libkv.structures.chunk cimport Chunk, List, chunk_from, chunk_used
from libkv.structures.hash cimport HASH_SCRATCH, HashIter, hash_iter, hash_length, hash_next
from libkv.structures.ints cimport ints_bytes
from libkv.structures.number cimport number_parse_i64, number_print_i64
from libkv.structures.packed cimport PACKED_EMPTY, PACKED_END, PACKED_HEADER, packed_bytes
from libkv.structures.set cimport SetIter, set_iter, set_length, set_next
from libkv.structures.zset cimport ZSET_SCRATCH, ZsetIter, zset_iter, zset_length, zset_next

cdef extern from "<endian.h>" nogil:
    uint32_t htobe32(uint32_t)
    uint64_t htobe64(uint64_t)


# ---- lengths and strings

cdef void rdb_put_length(Sink* s, uint64_t n) noexcept nogil:
    cdef uint32_t narrow
    if n < 64:
        sink_byte(s, <int>n)
    elif n < 16384:
        sink_byte(s, 0x40 | <int>(n >> 8))
        sink_byte(s, <int>(n & 255))
    elif n <= <uint64_t>0xffffffff:
        sink_byte(s, 0x80)
        narrow = htobe32(<uint32_t>n)
        sink_put(s, <char*>&narrow, 4)
    else:
        sink_byte(s, 0x81)
        n = htobe64(n)
        sink_put(s, <char*>&n, 8)


cdef bint put_short_number(Sink* s, int64_t v) noexcept nogil:
    """As 1, 2 or 4 bytes; False: it does not fit."""
    if -128 <= v <= 127:
        sink_byte(s, 0xC0)
        sink_put(s, <char*>&v, 1)
    elif -32768 <= v <= 32767:
        sink_byte(s, 0xC1)
        sink_put(s, <char*>&v, 2)
    elif -2147483648 <= v <= 2147483647:
        sink_byte(s, 0xC2)
        sink_put(s, <char*>&v, 4)
    else:
        return False
    return True


cdef void rdb_put_number(Sink* s, int64_t v) noexcept nogil:
    cdef char digits[24]
    cdef int n
    if not put_short_number(s, v):
        n = number_print_i64(digits, v)
        sink_byte(s, n)
        sink_put(s, digits, n)


cdef bint put_compressed(Sink* s, const char* p, size_t n, char* out) noexcept nogil:
    """As LZF by way of out (n bytes of room); False: it would not be shorter by 4 bytes."""
    cdef size_t packed
    if s.lzf == NULL:
        s.lzf = <Lzf*>calloc(1, sizeof(Lzf))
        if s.lzf == NULL:
            s.error = ENOMEM
            return False
    packed = lzf_compress(s.lzf, p, n, out, n - 4)
    if packed == 0:
        return False
    sink_byte(s, 0xC3)
    rdb_put_length(s, packed)
    rdb_put_length(s, n)
    sink_put(s, out, packed)
    return True


cdef void rdb_put_string_slow(Sink* s, const char* p, size_t n) noexcept nogil:
    cdef int64_t v
    cdef char* out
    if n <= 11 and number_parse_i64(p, n, &v) and put_short_number(s, v):
        return
    if s.compress and n >= RDB_COMPRESS_FROM:
        out = sink_work(s, n)
        if out == NULL or put_compressed(s, p, n, out):
            return
    rdb_put_length(s, n)
    sink_put(s, p, n)


cdef void put_entries(Sink* s, const char* entries, size_t bytes, uint32_t count) noexcept nogil:
    """A run of packed entries as a string: a buffer with their header and end."""
    cdef size_t n = PACKED_EMPTY + bytes
    cdef uint32_t total = <uint32_t>n
    cdef uint16_t short_count = <uint16_t>(count if count < 65535 else 65535)
    cdef char head[PACKED_HEADER]
    cdef char* whole
    memcpy(head, &total, 4)
    memcpy(head + 4, &short_count, 2)
    if s.compress and n >= RDB_COMPRESS_FROM:
        whole = sink_work(s, 2 * n)
        if whole == NULL:
            return
        memcpy(whole, head, PACKED_HEADER)
        memcpy(whole + PACKED_HEADER, entries, bytes)
        whole[n - 1] = <char>PACKED_END
        if put_compressed(s, whole, n, whole + n):
            return
    rdb_put_length(s, n)
    sink_put(s, head, PACKED_HEADER)
    sink_put(s, entries, bytes)
    sink_byte(s, PACKED_END)


# ---- collections

cdef void put_list(Sink* s, Cell* cell) noexcept nogil:
    cdef List* chain
    cdef Chunk* c
    if cell.layout == LIST_PACKED:
        rdb_put_length(s, 1)
        rdb_put_length(s, RDB_PACKED)
        rdb_put_string(s, <char*>cell.ptr, packed_bytes(<char*>cell.ptr))
        return
    chain = <List*>cell.ptr
    rdb_put_length(s, chain.chunks)
    c = chain.head
    while c != NULL and s.error == 0:
        rdb_put_length(s, RDB_PACKED)
        put_entries(s, chunk_from(c), chunk_used(c), c.count)
        c = c.next


cdef void put_set(Sink* s, Cell* cell) noexcept nogil:
    cdef SetIter it
    cdef Slice member
    cdef char scratch[24]
    if cell.layout == SET_INTS:
        rdb_put_string(s, <char*>cell.ptr, ints_bytes(<char*>cell.ptr))
        return
    rdb_put_length(s, set_length(cell))
    set_iter(&it, cell)
    while set_next(&it, &member, scratch):
        rdb_put_string(s, member.p, member.n)


cdef void put_hash(Sink* s, Cell* cell) noexcept nogil:
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if cell.layout == HASH_PACKED:
        rdb_put_string(s, <char*>cell.ptr, packed_bytes(<char*>cell.ptr))
        return
    rdb_put_length(s, hash_length(cell))
    hash_iter(&it, cell)
    while hash_next(&it, &field, &value, scratch):
        rdb_put_string(s, field.p, field.n)
        rdb_put_string(s, value.p, value.n)


cdef void put_zset(Sink* s, Cell* cell) noexcept nogil:
    """A tree from its greatest member down, as Redis does: whoever loads it inserts at one end only."""
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef uint64_t n = zset_length(cell)
    cdef char scratch[ZSET_SCRATCH]
    if cell.layout == ZSET_PACKED:
        rdb_put_string(s, <char*>cell.ptr, packed_bytes(<char*>cell.ptr))
        return
    rdb_put_length(s, n)
    zset_iter(&it, cell, n - 1, True)
    while zset_next(&it, &member, &score, scratch):
        rdb_put_string(s, member.p, member.n)
        sink_put(s, <char*>&score, 8)


# ---- values

cdef int rdb_type_of(Entry* e) noexcept nogil:
    cdef int type = entry_type(e)
    cdef int layout = entry_layout(e)
    if type == TYPE_STRING:
        return RDB_STRING
    if type == TYPE_LIST:
        return RDB_LIST_QUICKLIST_2
    if type == TYPE_SET:
        return RDB_SET_INTSET if layout == SET_INTS else RDB_SET
    if type == TYPE_HASH:
        return RDB_HASH_LISTPACK if layout == HASH_PACKED else RDB_HASH
    if type == TYPE_STREAM:
        return RDB_STREAM_2
    return RDB_ZSET_LISTPACK if layout == ZSET_PACKED else RDB_ZSET_2


cdef void rdb_put_value(Sink* s, Entry* e) noexcept nogil:
    cdef int type = entry_type(e)
    cdef Cell cell
    cdef Slice text
    if type == TYPE_STRING:
        if entry_layout(e) == STR_INT:
            rdb_put_number(s, entry_int(e))
        else:
            entry_string(e, NULL, &text)
            rdb_put_string(s, text.p, text.n)
        return
    entry_cell(e, &cell)
    if type == TYPE_LIST:
        put_list(s, &cell)
    elif type == TYPE_SET:
        put_set(s, &cell)
    elif type == TYPE_HASH:
        put_hash(s, &cell)
    elif type == TYPE_STREAM:
        rdb_put_stream(s, &cell)
    else:
        put_zset(s, &cell)


cdef int rdb_dump(Sink* s, Entry* e) noexcept nogil:
    cdef uint16_t version = RDB_VERSION
    cdef uint64_t crc
    sink_byte(s, rdb_type_of(e))
    rdb_put_value(s, e)
    sink_put(s, <char*>&version, 2)
    crc = sink_crc(s)
    sink_put(s, <char*>&crc, 8)
    return s.error
