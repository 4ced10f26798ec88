"""An RDB file record by record (contract: rdb_read.pxd; the format: rdb_format.pxd)."""

from libc.stdint cimport int32_t, uint8_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from libkv.engine.access cimport access_fresh, access_uses_lfu
from libkv.persistence.rdb_decode cimport (
    rdb_fail, rdb_failed, rdb_get_length, rdb_get_string, rdb_get_value, rdb_type_name,
)
from libkv.persistence.rdb_format cimport (
    RDB_BAD, RDB_EMPTY, RDB_NO_MEMORY, RDB_OK, RDB_OP_AUX, RDB_OP_EOF, RDB_OP_EXPIRE, RDB_OP_EXPIRE_MS, RDB_OP_FREQ,
    RDB_OP_FUNCTION2, RDB_OP_FUNCTION_PRE, RDB_OP_IDLE, RDB_OP_KEY_META, RDB_OP_MODULE_AUX, RDB_OP_RESIZEDB,
    RDB_OP_SELECTDB, RDB_OP_SLOT_INFO, RDB_UNSUPPORTED, RDB_VERSION_MAX,
)
from libkv.persistence.rdb_skip cimport rdb_module_name, rdb_skip_module, rdb_skip_unsupported
from libkv.persistence.rio cimport source_crc, source_offset, source_spare, source_take

cdef enum:
    VALKEY_VERSION = 80
    CHECKED_FROM = 5            # the first version with a checksum
    KEY_MAX = 0xFFFFFFF0


# ---- the beginning and the end

cdef int rdb_reader_open(RdbReader* r, Kv* kv, Source* s, bint skip_unsupported) noexcept nogil:
    cdef const char* p
    cdef size_t digits
    cdef size_t i
    memset(r, 0, sizeof(RdbReader))
    r.kv = kv
    r.s = s
    r.skip_unsupported = skip_unsupported
    r.databases = kv.n_dbs
    p = source_take(s, 9)
    if p == NULL:
        return rdb_failed(&r.error, s, b"its first nine bytes")
    r.valkey = memcmp(p, b"VALKEY", 6) == 0
    digits = 3 if r.valkey else 4
    if not r.valkey and memcmp(p, b"REDIS", 5) != 0:
        s.at -= 9
        return rdb_fail(&r.error, s, RDB_BAD, b"this is no RDB file: it begins with neither REDIS nor VALKEY")
    for i in range(9 - digits, 9):
        if not 48 <= p[i] <= 57:
            s.at -= digits
            return rdb_fail(&r.error, s, RDB_BAD, b"a version that is no number")
        r.version = r.version * 10 + p[i] - 48
    if (r.version != VALKEY_VERSION) if r.valkey else not 1 <= r.version <= RDB_VERSION_MAX:
        s.at -= digits
        rdb_fail(&r.error, s, RDB_UNSUPPORTED, b"")
        snprintf(r.error.text, sizeof(r.error.text), b"version %d of the format; %s can be read", r.version,
                 b"80" if r.valkey else b"1 to 12")
        return RDB_UNSUPPORTED
    return RDB_OK


cdef void rdb_reader_close(RdbReader* r) noexcept nogil:
    free(r.long_key)
    r.long_key = NULL
    r.long_room = 0


cdef int take_trailer(RdbReader* r) noexcept nogil:
    cdef const char* p
    cdef uint64_t told
    cdef uint64_t crc
    r.what = RDB_IS_END
    if r.version < CHECKED_FROM and not r.valkey:
        return RDB_OK
    crc = source_crc(r.s)
    p = source_take(r.s, 8)
    if p == NULL:
        return rdb_failed(&r.error, r.s, b"its checksum")
    memcpy(&told, p, 8)
    if not r.s.checksum or told == 0:
        return RDB_OK
    if told != crc:
        r.s.at -= 8
        rdb_fail(&r.error, r.s, RDB_BAD, b"")
        snprintf(r.error.text, sizeof(r.error.text), b"the checksum is %016llx, and the file's bytes have %016llx",
                 <unsigned long long>told, <unsigned long long>crc)
        return RDB_BAD
    r.crc_kept = True
    return RDB_OK


# ---- keys

cdef void rdb_name_key(RdbError* e, const char* key, size_t n) noexcept nogil:
    e.in_key = True
    e.key_n = n
    if n > sizeof(e.key) - 1:
        n = sizeof(e.key) - 1
    memcpy(e.key, key, n)
    e.key[n] = 0


cdef int take_key(RdbReader* r) noexcept nogil:
    """Reads a record's key and keeps a copy, because the value's bytes may overwrite it."""
    cdef Slice key
    cdef char* room = r.room
    cdef int code = rdb_get_string(r.s, &key, &r.error)
    if code != RDB_OK:
        return code
    if key.n > KEY_MAX:
        return rdb_fail(&r.error, r.s, RDB_BAD, b"a key of 4 GB or more")
    if key.n > RDB_KEY_ROOM:
        if key.n > r.long_room:
            free(r.long_key)
            r.long_room = 0
            r.long_key = <char*>malloc(key.n)
            if r.long_key == NULL:
                return rdb_fail(&r.error, r.s, RDB_NO_MEMORY, b"no memory")
            r.long_room = key.n
        room = r.long_key
    memcpy(room, key.p, key.n)
    r.key = room
    r.key_n = key.n
    return RDB_OK


cdef int take_record(RdbReader* r) noexcept nogil:
    """A key and its value."""
    cdef int code
    if rdb_type_name(r.rdb_type) == NULL:
        r.s.at -= 1
        rdb_fail(&r.error, r.s, RDB_BAD, b"")
        snprintf(r.error.text, sizeof(r.error.text), b"%d is neither an opcode nor a type", r.rdb_type)
        return RDB_BAD
    code = take_key(r)
    if code != RDB_OK:
        return code
    r.what = RDB_IS_KEY
    code = rdb_get_value(r.kv.heap, r.kv.settings, r.s, r.rdb_type, r.valkey, &r.value, &r.error)
    if code == RDB_EMPTY:
        r.what = RDB_IS_EMPTY
        return RDB_OK
    if code == RDB_UNSUPPORTED and r.skip_unsupported:
        r.what = RDB_IS_DROPPED
        code = rdb_skip_unsupported(r.s, r.rdb_type, r.valkey, &r.error)
    if code != RDB_OK:
        rdb_name_key(&r.error, r.key, r.key_n)
    return code


cdef uint32_t rdb_reader_clock(RdbReader* r) noexcept nogil:
    if access_uses_lfu(r.kv):
        if r.freq < 0:
            return access_fresh(r.kv)
        return (<uint32_t>((r.kv.now // 60000) & 0xffff) << 8) | <uint32_t>r.freq
    if r.idle > 0:
        return (r.kv.lru_clock - <uint32_t>(r.idle if r.idle < 0xffffff else 0xffffff)) & 0xffffff
    return access_fresh(r.kv)


# ---- opcodes

cdef int take_aux(RdbReader* r) noexcept nogil:
    cdef char* copy
    cdef int code = rdb_get_string(r.s, &r.name, &r.error)
    if code != RDB_OK:
        return code
    copy = source_spare(r.s, r.name.n)
    if copy == NULL:
        return rdb_fail(&r.error, r.s, RDB_NO_MEMORY, b"no memory")
    memcpy(copy, r.name.p, r.name.n)
    r.name.p = copy
    r.what = RDB_IS_AUX
    return rdb_get_string(r.s, &r.text, &r.error)


cdef int take_selectdb(RdbReader* r) noexcept nogil:
    cdef uint64_t n
    cdef int code = rdb_get_length(r.s, &n, &r.error)
    if code != RDB_OK:
        return code
    if n >= r.databases:
        rdb_fail(&r.error, r.s, RDB_BAD, b"")
        snprintf(r.error.text, sizeof(r.error.text), b"database %llu, and there are %llu here",
                 <unsigned long long>n, <unsigned long long>r.databases)
        return RDB_BAD
    r.db = r.error.db = <int>n
    r.what = RDB_IS_DB
    return RDB_OK


cdef int take_sizes(RdbReader* r) noexcept nogil:
    cdef int code = rdb_get_length(r.s, &r.keys, &r.error)
    r.what = RDB_IS_SIZES
    return code if code != RDB_OK else rdb_get_length(r.s, &r.expires, &r.error)


cdef int skip_lengths(RdbReader* r, int n) noexcept nogil:
    cdef uint64_t _n
    cdef int code = RDB_OK
    while n and code == RDB_OK:
        n -= 1
        code = rdb_get_length(r.s, &_n, &r.error)
    return code


cdef int take_module_aux(RdbReader* r) noexcept nogil:
    cdef uint64_t id
    cdef char name[10]
    cdef int code = rdb_get_length(r.s, &id, &r.error)
    if code != RDB_OK:
        return code
    if not r.skip_unsupported:
        rdb_module_name(id, name)
        rdb_fail(&r.error, r.s, RDB_UNSUPPORTED, b"")
        snprintf(r.error.text, sizeof(r.error.text), b"data of the module %s", name)
        return RDB_UNSUPPORTED
    r.what = RDB_IS_DROPPED
    code = skip_lengths(r, 2)           # when it is to be read, with a code in front
    return code if code != RDB_OK else rdb_skip_module(r.s, &r.error)


cdef int take_slots(RdbReader* r) noexcept nogil:
    if not r.skip_unsupported or r.rdb_type != RDB_OP_SLOT_INFO:
        return rdb_fail(&r.error, r.s, RDB_UNSUPPORTED, b"a cluster's slots, or a key's metadata")
    r.what = RDB_IS_DROPPED
    return skip_lengths(r, 3)


cdef int take_number(RdbReader* r, size_t n, int64_t* v) noexcept nogil:
    """A little-endian number of n bytes, signed when there are 4 or 8."""
    cdef const char* p = source_take(r.s, n)
    cdef int32_t narrow
    v[0] = 0
    if p == NULL:
        return rdb_failed(&r.error, r.s, b"a record's header")
    if n == 1:
        v[0] = <uint8_t>p[0]
    elif n == 4:
        memcpy(&narrow, p, 4)
        v[0] = narrow
    else:
        memcpy(v, p, 8)
    return RDB_OK


cdef int take_header(RdbReader* r, int op) noexcept nogil:
    """What stands before a record: its expiry, its idle time or use counter."""
    cdef uint64_t n
    cdef int64_t v
    cdef int code
    if op == RDB_OP_FREQ:
        code = take_number(r, 1, &v)
        if code == RDB_OK:
            r.freq = <int>v
        return code
    if op == RDB_OP_IDLE:
        code = rdb_get_length(r.s, &n, &r.error)
        if code == RDB_OK:
            r.idle = <int64_t>(n & <uint64_t>0x7fffffffffffffff)
        return code
    code = take_number(r, 4 if op == RDB_OP_EXPIRE else 8, &v)
    if code == RDB_OK:
        r.expire = 0 if v < 0 else v * 1000 if op == RDB_OP_EXPIRE else v      # before 1970: past its time
    return code


cdef int take_opcode(RdbReader* r) noexcept nogil:
    cdef int op = r.rdb_type
    if op == RDB_OP_AUX:
        return take_aux(r)
    if op == RDB_OP_SELECTDB:
        return take_selectdb(r)
    if op == RDB_OP_RESIZEDB:
        return take_sizes(r)
    if op == RDB_OP_FUNCTION2:
        r.what = RDB_IS_LIBRARY
        return rdb_get_string(r.s, &r.text, &r.error)
    if op == RDB_OP_MODULE_AUX:
        return take_module_aux(r)
    if op == RDB_OP_FUNCTION_PRE:
        return rdb_fail(&r.error, r.s, RDB_UNSUPPORTED, b"functions in the form of a release candidate of Redis 7.0")
    return take_slots(r)


cdef int rdb_reader_next(RdbReader* r) noexcept nogil:
    cdef const char* p
    cdef int code
    r.key = NULL
    r.expire = -1
    r.idle = -1
    r.freq = -1
    while True:
        r.offset = source_offset(r.s)
        p = source_take(r.s, 1)
        if p == NULL:
            return rdb_failed(&r.error, r.s, b"what should be a record")
        r.rdb_type = <uint8_t>p[0]
        if r.rdb_type == RDB_OP_EOF:
            return take_trailer(r)
        if r.rdb_type < RDB_OP_KEY_META:
            return take_record(r)
        if r.rdb_type != RDB_OP_EXPIRE_MS and r.rdb_type != RDB_OP_EXPIRE and r.rdb_type != RDB_OP_IDLE and (
                r.rdb_type != RDB_OP_FREQ):
            return take_opcode(r)
        code = take_header(r, r.rdb_type)
        if code != RDB_OK:
            return code
