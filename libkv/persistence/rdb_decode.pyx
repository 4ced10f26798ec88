"""Values from RDB bytes (contract: rdb_decode.pxd; the format: rdb_format.pxd)."""

from libc.errno cimport ENOMEM
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset

from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET
from libkv.persistence.crc64 cimport crc64
from libkv.persistence.lzf cimport lzf_decompress
from libkv.persistence.rdb_flat cimport (
    FLAT_LISTPACK, FLAT_ZIPLIST, FLAT_ZIPMAP, Flat, flat_hash, flat_ints, flat_list_add, flat_open, flat_set, flat_zset,
)
from libkv.persistence.rdb_format cimport (
    RDB_BAD, RDB_CUT, RDB_EMPTY, RDB_HASH, RDB_HASH_LISTPACK, RDB_HASH_TTL_PRE, RDB_HASH_ZIPLIST, RDB_HASH_ZIPMAP, RDB_IO,
    RDB_LIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2, RDB_LIST_ZIPLIST, RDB_MODULE, RDB_MODULE_2, RDB_NO_MEMORY, RDB_OK,
    RDB_PACKED, RDB_PLAIN, RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STRING,
    RDB_TYPES, RDB_UNSUPPORTED, RDB_VERSION, RDB_ZSET, RDB_ZSET_2, RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST,
)
from libkv.persistence.rdb_rows cimport rows_hash, rows_list, rows_set, rows_zset
from libkv.persistence.rdb_skip cimport rdb_module_name
from libkv.persistence.rdb_stream cimport rdb_get_stream
from libkv.persistence.rio cimport SOURCE_CUT, source_left, source_offset, source_open_memory, source_take, source_work
from libkv.structures.cell cimport Cell
from libkv.structures.list cimport list_free, list_length, list_new, list_push
from libkv.structures.number cimport number_print_i64

cdef extern from "<endian.h>" nogil:
    uint32_t be32toh(uint32_t)
    uint64_t be64toh(uint64_t)

cdef enum:
    LENGTH_ENCODED = 1          # get_head: what follows is an encoded string, n says how
    LZF_RATIO = 264             # an LZF byte makes fewer bytes than this
    STRING_MAX = 0xFFFFFFF0     # bytes of an element that a structure can hold

cdef const char* type_names[RDB_TYPES]
type_names[:] = [
    b"string", b"list-linked", b"set-hashtable", b"zset-v1", b"hash-hashtable", b"zset-v2", b"module-pre-release",
    b"module-value", NULL, b"hash-zipmap", b"list-ziplist", b"set-intset", b"zset-ziplist", b"hash-ziplist", b"quicklist",
    b"stream", b"hash-listpack", b"zset-listpack", b"quicklist-v2", b"stream-v2", b"set-listpack", b"stream-v3",
    b"hash-with-field-expiry", b"hash-listpack-with-field-expiry", b"hash-with-field-expiry", b"hash-listpack-with-field-expiry",
]


cdef const char* rdb_type_name(int rdb_type) noexcept nogil:
    return type_names[rdb_type] if 0 <= rdb_type < RDB_TYPES else NULL


# ---- failures

cdef int rdb_fail(RdbError* e, Source* s, int code, const char* text) noexcept nogil:
    e.code = code
    e.offset = source_offset(s)
    snprintf(e.text, sizeof(e.text), b"%s", text)
    return code


cdef int rdb_failed(RdbError* e, Source* s, const char* what) noexcept nogil:
    if s.error == SOURCE_CUT:
        rdb_fail(e, s, RDB_CUT, b"")
        snprintf(e.text, sizeof(e.text), b"the input ends in %s", what)
        return RDB_CUT
    if s.error == ENOMEM:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    rdb_fail(e, s, RDB_IO, b"the input can't be read")
    e.error = s.error
    return RDB_IO


cdef int rdb_no_memory(RdbError* e, Source* s) noexcept nogil:
    return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")


# ---- lengths and strings

cdef int get_head(Source* s, uint64_t* n, int* encoded, RdbError* e) noexcept nogil:
    """A length, or (encoded[0] set) the form of an encoded string."""
    cdef const uint8_t* p = <const uint8_t*>source_take(s, 1)
    cdef uint32_t narrow
    cdef int first
    encoded[0] = 0
    n[0] = 0
    if p == NULL:
        return rdb_failed(e, s, b"a length")
    first = p[0]
    if first < 0x40:
        n[0] = first
    elif first < 0x80:
        p = <const uint8_t*>source_take(s, 1)
        if p == NULL:
            return rdb_failed(e, s, b"a length")
        n[0] = (<uint64_t>(first & 0x3F) << 8) | p[0]
    elif first >= 0xC0:
        n[0] = first & 0x3F
        encoded[0] = LENGTH_ENCODED
    elif first == 0x80:
        p = <const uint8_t*>source_take(s, 4)
        if p == NULL:
            return rdb_failed(e, s, b"a length")
        memcpy(&narrow, p, 4)
        n[0] = be32toh(narrow)
    elif first == 0x81:
        p = <const uint8_t*>source_take(s, 8)
        if p == NULL:
            return rdb_failed(e, s, b"a length")
        memcpy(n, p, 8)
        n[0] = be64toh(n[0])
    else:
        s.at -= 1
        return rdb_fail(e, s, RDB_BAD, b"a byte that begins no length")
    return RDB_OK


cdef int rdb_get_length(Source* s, uint64_t* n, RdbError* e) noexcept nogil:
    cdef int encoded
    cdef int code = get_head(s, n, &encoded, e)
    if code == RDB_OK and encoded:
        return rdb_fail(e, s, RDB_BAD, b"an encoded string where a length is expected")
    return code


cdef int get_number(Source* s, uint64_t form, Slice* out, RdbError* e) noexcept nogil:
    """A string kept as an integer: its digits, in the source's work area."""
    cdef const char* p = source_take(s, <size_t>1 << form)
    cdef char* digits = source_work(s, 24)
    cdef int16_t i16
    cdef int32_t i32
    cdef int64_t v
    if p == NULL:
        return rdb_failed(e, s, b"an integer")
    if digits == NULL:
        return rdb_no_memory(e, s)
    if form == 0:
        v = <int8_t>p[0]
    elif form == 1:
        memcpy(&i16, p, 2)
        v = i16
    else:
        memcpy(&i32, p, 4)
        v = i32
    out.p = digits
    out.n = number_print_i64(digits, v)
    return RDB_OK


cdef int get_lzf(Source* s, Slice* out, RdbError* e) noexcept nogil:
    cdef uint64_t packed
    cdef uint64_t n
    cdef const char* p
    cdef char* room
    cdef int code = rdb_get_length(s, &packed, e)
    if code == RDB_OK:
        code = rdb_get_length(s, &n, e)
    if code != RDB_OK:
        return code
    if packed > source_left(s):
        s.error = SOURCE_CUT
        return rdb_failed(e, s, b"a compressed string")
    if n // LZF_RATIO > packed:
        return rdb_fail(e, s, RDB_BAD, b"a compressed string longer than its bytes can make")
    p = source_take(s, packed)
    if p == NULL:
        return rdb_failed(e, s, b"a compressed string")
    room = source_work(s, n)
    if room == NULL:
        return rdb_no_memory(e, s)
    if not lzf_decompress(p, packed, room, n):
        return rdb_fail(e, s, RDB_BAD, b"a compressed string that can't be decompressed to its length")
    out.p = room
    out.n = n
    return RDB_OK


cdef int rdb_get_string(Source* s, Slice* out, RdbError* e) noexcept nogil:
    cdef uint64_t n = 0
    cdef int encoded
    cdef int code = get_head(s, &n, &encoded, e)
    if code != RDB_OK:
        return code
    if encoded:
        if n <= 2:
            return get_number(s, n, out, e)
        if n == 3:
            return get_lzf(s, out, e)
        s.at -= 1
        return rdb_fail(e, s, RDB_BAD, b"a byte that begins no string")
    if n > source_left(s):
        s.error = SOURCE_CUT
        return rdb_failed(e, s, b"a string")
    out.p = source_take(s, n)
    if out.p == NULL:
        return rdb_failed(e, s, b"a string")
    out.n = n
    return RDB_OK


cdef int rdb_get_element(Source* s, Slice* out, RdbError* e) noexcept nogil:
    cdef int code = rdb_get_string(s, out, e)
    if code == RDB_OK and out.n > STRING_MAX:
        return rdb_fail(e, s, RDB_BAD, b"an element of 4 GB or more")
    return code


cdef int rdb_get_count(Source* s, uint64_t* n, uint64_t least, RdbError* e) noexcept nogil:
    cdef int code = rdb_get_length(s, n, e)
    if code != RDB_OK:
        return code
    if n[0] == 0:
        return rdb_fail(e, s, RDB_EMPTY, b"an empty collection")
    if n[0] > source_left(s) // least:
        return rdb_fail(e, s, RDB_CUT, b"more elements than bytes are left")
    return RDB_OK


# ---- collections in one buffer, or several

cdef int get_node(Heap* h, Settings* limits, Source* s, bint ziplist, Cell* cell, RdbError* e) noexcept nogil:
    """One node of a quicklist, at the list's tail."""
    cdef Slice raw
    cdef Flat f
    cdef uint64_t container = RDB_PACKED
    cdef int code = RDB_OK
    if not ziplist:
        code = rdb_get_length(s, &container, e)
        if code == RDB_OK and container != RDB_PLAIN and container != RDB_PACKED:
            code = rdb_fail(e, s, RDB_BAD, b"a list's node that is neither plain nor packed")
    if code == RDB_OK:
        code = rdb_get_element(s, &raw, e)
    if code != RDB_OK:
        return code
    if container == RDB_PLAIN:
        if list_push(h, cell, raw.p, raw.n, False, <int>limits.list_max_listpack_size) != 0:
            return rdb_no_memory(e, s)
        return RDB_OK
    code = flat_open(s, FLAT_ZIPLIST if ziplist else FLAT_LISTPACK, &raw, &f, e)
    if code == RDB_OK and f.count:
        code = flat_list_add(h, limits, s, &f, cell, e)
    return code


cdef int get_quicklist(Heap* h, Settings* limits, Source* s, bint ziplists, Cell* cell, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef int code = rdb_get_count(s, &n, 1, e)
    if code != RDB_OK:
        return code
    if list_new(h, cell) != 0:
        return rdb_no_memory(e, s)
    while n and code == RDB_OK:
        n -= 1
        code = get_node(h, limits, s, ziplists, cell, e)
    if code == RDB_OK and list_length(cell) == 0:
        code = rdb_fail(e, s, RDB_EMPTY, b"an empty collection")
    if code != RDB_OK:
        list_free(h, cell)
    return code


cdef int get_flat(Heap* h, Settings* limits, Source* s, int kind, int type, Cell* cell, RdbError* e) noexcept nogil:
    """A whole collection in one buffer."""
    cdef Slice raw
    cdef Flat f
    cdef int code = rdb_get_string(s, &raw, e)
    if code == RDB_OK:
        code = flat_open(s, kind, &raw, &f, e)
    if code != RDB_OK:
        return code
    if type == TYPE_HASH:
        return flat_hash(h, limits, s, &f, cell, e)
    if type == TYPE_ZSET:
        return flat_zset(h, limits, s, &f, cell, e)
    if type == TYPE_SET:
        return flat_set(h, limits, s, &f, cell, e)
    if f.count == 0:
        return rdb_fail(e, s, RDB_EMPTY, b"an empty collection")
    if list_new(h, cell) != 0:
        return rdb_no_memory(e, s)
    code = flat_list_add(h, limits, s, &f, cell, e)
    if code != RDB_OK:
        list_free(h, cell)
    return code


cdef int get_intset(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil:
    cdef Slice raw
    cdef int code = rdb_get_string(s, &raw, e)
    return code if code != RDB_OK else flat_ints(h, limits, s, &raw, cell, e)


# ---- values

cdef int get_collection(Heap* h, Settings* limits, Source* s, int rdb_type, RdbValue* v, RdbError* e) noexcept nogil:
    if rdb_type == RDB_HASH_LISTPACK or rdb_type == RDB_HASH_ZIPLIST or rdb_type == RDB_HASH_ZIPMAP:
        v.type = TYPE_HASH
        return get_flat(h, limits, s, FLAT_LISTPACK if rdb_type == RDB_HASH_LISTPACK else
                        FLAT_ZIPLIST if rdb_type == RDB_HASH_ZIPLIST else FLAT_ZIPMAP, TYPE_HASH, &v.cell, e)
    if rdb_type == RDB_HASH:
        v.type = TYPE_HASH
        return rows_hash(h, limits, s, &v.cell, e)
    if rdb_type == RDB_ZSET_LISTPACK or rdb_type == RDB_ZSET_ZIPLIST:
        v.type = TYPE_ZSET
        return get_flat(h, limits, s, FLAT_LISTPACK if rdb_type == RDB_ZSET_LISTPACK else FLAT_ZIPLIST, TYPE_ZSET,
                        &v.cell, e)
    if rdb_type == RDB_ZSET_2 or rdb_type == RDB_ZSET:
        v.type = TYPE_ZSET
        return rows_zset(h, limits, s, rdb_type == RDB_ZSET, &v.cell, e)
    if rdb_type == RDB_LIST_QUICKLIST_2 or rdb_type == RDB_LIST_QUICKLIST:
        v.type = TYPE_LIST
        return get_quicklist(h, limits, s, rdb_type == RDB_LIST_QUICKLIST, &v.cell, e)
    if rdb_type == RDB_LIST_ZIPLIST:
        v.type = TYPE_LIST
        return get_flat(h, limits, s, FLAT_ZIPLIST, TYPE_LIST, &v.cell, e)
    if rdb_type == RDB_LIST:
        v.type = TYPE_LIST
        return rows_list(h, limits, s, &v.cell, e)
    if rdb_type == RDB_STREAM_2 or rdb_type == RDB_STREAM or rdb_type == RDB_STREAM_3:
        v.type = TYPE_STREAM
        return rdb_get_stream(h, s, rdb_type, &v.cell, e)
    v.type = TYPE_SET
    if rdb_type == RDB_SET_INTSET:
        return get_intset(h, limits, s, &v.cell, e)
    if rdb_type == RDB_SET_LISTPACK:
        return get_flat(h, limits, s, FLAT_LISTPACK, TYPE_SET, &v.cell, e)
    return rows_set(h, limits, s, &v.cell, e)


cdef int unsupported(Source* s, int rdb_type, bint valkey, RdbError* e) noexcept nogil:
    """RDB_OK, or why a value of this type can't be held."""
    cdef char name[10]
    cdef uint64_t id
    cdef int code
    if rdb_type_name(rdb_type) == NULL or (valkey and rdb_type > RDB_HASH_TTL_PRE):
        rdb_fail(e, s, RDB_BAD, b"")
        snprintf(e.text, sizeof(e.text), b"%d is no type of a value", rdb_type)
        return RDB_BAD
    if rdb_type == RDB_MODULE or rdb_type == RDB_MODULE_2:
        code = rdb_get_length(s, &id, e)
        if code != RDB_OK:
            return code
        rdb_fail(e, s, RDB_UNSUPPORTED, b"")
        rdb_module_name(id, name)
        snprintf(e.text, sizeof(e.text), b"a value of the module %s", name)
        return RDB_UNSUPPORTED
    if rdb_type >= RDB_HASH_TTL_PRE:
        return rdb_fail(e, s, RDB_UNSUPPORTED, b"a hash whose fields have expiries of their own")
    return RDB_OK


cdef int rdb_get_value(Heap* h, Settings* limits, Source* s, int rdb_type, bint valkey, RdbValue* v, RdbError* e) noexcept nogil:
    cdef int code
    if rdb_type == RDB_STRING:
        v.type = TYPE_STRING
        return rdb_get_element(s, &v.string, e)
    code = unsupported(s, rdb_type, valkey, e)
    if code != RDB_OK:
        return code
    return get_collection(h, limits, s, rdb_type, v, e)


# ---- DUMP's payloads

cdef bint rdb_restorable(const char* p, size_t n) noexcept nogil:
    cdef uint16_t version
    cdef uint64_t crc
    if n < 10:
        return False
    memcpy(&version, p + n - 10, 2)
    memcpy(&crc, p + n - 8, 8)
    return version <= RDB_VERSION and crc64(0, p, n - 8) == crc


cdef int rdb_restore(Heap* h, Settings* limits, const char* p, size_t n, Source* s, RdbValue* v, RdbError* e) noexcept nogil:
    cdef const char* type
    memset(e, 0, sizeof(RdbError))
    source_open_memory(s, p, n - 10 if n > 10 else 0, False)
    type = source_take(s, 1)
    if type == NULL:
        return rdb_failed(e, s, b"a type")
    return rdb_get_value(h, limits, s, <uint8_t>type[0], False, v, e)
