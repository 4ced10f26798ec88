# Values that no store here can hold, passed over.

from libc.stdint cimport uint64_t

from libkv.persistence.rdb_format cimport RdbError
from libkv.persistence.rio cimport Source

# passes over the rest of a value that rdb_get_value called RDB_UNSUPPORTED
cdef int rdb_skip_unsupported(Source* s, int rdb_type, bint valkey, RdbError* e) noexcept nogil
cdef int rdb_skip_module(Source* s, RdbError* e) noexcept nogil                # a module's pieces, up to their end
cdef void rdb_module_name(uint64_t id, char* name) noexcept nogil              # of a module type: 9 characters and a NUL
