"""Values that no store here can hold, passed over (contract: rdb_skip.pxd)."""

from libkv.persistence.rdb_decode cimport rdb_fail, rdb_failed, rdb_get_length, rdb_get_string
from libkv.persistence.rdb_format cimport (
    RDB_BAD, RDB_HASH_LISTPACK_TTL, RDB_HASH_LISTPACK_TTL_PRE, RDB_HASH_TTL, RDB_MODULE, RDB_MODULE_2, RDB_OK,
    RDB_UNSUPPORTED,
)
from libkv.persistence.rio cimport source_take
from libkv.structures.cell cimport Slice

cdef enum:
    MODULE_EOF = 0              # a module's value: pieces, each with a code in front
    MODULE_SIGNED = 1
    MODULE_UNSIGNED = 2
    MODULE_FLOAT = 3
    MODULE_DOUBLE = 4
    MODULE_STRING = 5


cdef void rdb_module_name(uint64_t id, char* name) noexcept nogil:
    """A module type's name: nine characters of 6 bits, then 10 bits of its version."""
    cdef const char* letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    cdef int i
    id >>= 10
    for i in range(8, -1, -1):
        name[i] = letters[id & 63]
        id >>= 6
    name[9] = 0


cdef int skip_strings(Source* s, uint64_t n, size_t more, RdbError* e) noexcept nogil:
    """n strings, `more` bytes behind each."""
    cdef Slice raw
    cdef int code = RDB_OK
    while n and code == RDB_OK:
        n -= 1
        code = rdb_get_string(s, &raw, e)
        if code == RDB_OK and more and source_take(s, more) == NULL:
            code = rdb_failed(e, s, b"a value")
    return code


cdef int rdb_skip_module(Source* s, RdbError* e) noexcept nogil:
    cdef uint64_t what = 0
    cdef uint64_t _n
    cdef Slice raw
    cdef int code
    while True:
        code = rdb_get_length(s, &what, e)
        if code != RDB_OK or what == MODULE_EOF:
            return code
        if what == MODULE_SIGNED or what == MODULE_UNSIGNED:
            code = rdb_get_length(s, &_n, e)
        elif what == MODULE_FLOAT or what == MODULE_DOUBLE:
            if source_take(s, 4 if what == MODULE_FLOAT else 8) == NULL:
                code = rdb_failed(e, s, b"a module's value")
        elif what == MODULE_STRING:
            code = rdb_get_string(s, &raw, e)
        else:
            code = rdb_fail(e, s, RDB_BAD, b"a module's value with an unknown piece")
        if code != RDB_OK:
            return code


cdef int rdb_skip_unsupported(Source* s, int rdb_type, bint valkey, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef uint64_t _n
    cdef int code = RDB_OK
    if rdb_type == RDB_MODULE:
        return rdb_fail(e, s, RDB_UNSUPPORTED, b"a module's value of an old form, which nobody can pass over")
    if rdb_type == RDB_MODULE_2:
        return rdb_skip_module(s, e)
    if (rdb_type == RDB_HASH_TTL or rdb_type == RDB_HASH_LISTPACK_TTL) and source_take(s, 8) == NULL:
        return rdb_failed(e, s, b"a hash")
    if rdb_type == RDB_HASH_LISTPACK_TTL or rdb_type == RDB_HASH_LISTPACK_TTL_PRE:
        return skip_strings(s, 1, 0, e)
    code = rdb_get_length(s, &n, e)
    while n and code == RDB_OK:
        n -= 1
        if valkey:
            code = skip_strings(s, 1, 0, e)
            if code == RDB_OK:
                code = skip_strings(s, 1, 8, e)
        else:
            code = rdb_get_length(s, &_n, e)
            if code == RDB_OK:
                code = skip_strings(s, 2, 0, e)
    return code
