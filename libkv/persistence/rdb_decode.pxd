# Values from RDB bytes: all encodings that Redis 1.0 to 8 and Valkey wrote, made ours.
#
# Nothing is believed: lengths against what is there, the entries of packed buffers, order and duplicates.  Functions
# return RDB_OK, or another code with the error filled in and nothing left of the value.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.settings cimport Settings
from libkv.persistence.rdb_format cimport RdbError, RdbValue
from libkv.persistence.rio cimport Source
from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Slice

cdef int rdb_get_length(Source* s, uint64_t* n, RdbError* e) noexcept nogil
cdef int rdb_get_string(Source* s, Slice* out, RdbError* e) noexcept nogil     # valid until the next read from s
cdef int rdb_get_element(Source* s, Slice* out, RdbError* e) noexcept nogil    # a string that a structure can hold
cdef int rdb_get_count(Source* s, uint64_t* n, uint64_t least, RdbError* e) noexcept nogil
    # of elements: not 0, and not more than can be when each takes at least so many bytes
cdef int rdb_get_value(Heap* h, Settings* limits, Source* s, int rdb_type, bint valkey, RdbValue* v, RdbError* e) noexcept nogil
cdef int rdb_fail(RdbError* e, Source* s, int code, const char* text) noexcept nogil           # fills e in; code
cdef int rdb_failed(RdbError* e, Source* s, const char* what) noexcept nogil                   # the source's own failure
cdef int rdb_no_memory(RdbError* e, Source* s) noexcept nogil
cdef const char* rdb_type_name(int rdb_type) noexcept nogil                    # redis-check-rdb's words; NULL: not known

# RESTORE's payload as DUMP makes it: version and checksum are looked at first.  False: they are wrong.
cdef bint rdb_restorable(const char* p, size_t n) noexcept nogil
cdef int rdb_restore(Heap* h, Settings* limits, const char* p, size_t n, Source* s, RdbValue* v, RdbError* e) noexcept nogil
    # the source is the caller's to close, when it has used v.string
