# GET and SET of the embedded API without a session's ceremony: for calls that hold the GIL and the store's lock.

from libc.stdint cimport int64_t

from libkv.engine.types cimport Kv
from libkv.structures.cell cimport Slice

cdef enum:
    DIRECT_NO = -1              # not for this way (an expiry, another type, a large value, ...): call the command
    DIRECT_NIL = 0
    DIRECT_DONE = 1
    DIRECT_MAX = 4096           # bytes of a value at most: more is copied without the GIL

cdef int direct_get(Kv* kv, const char* key, size_t n, char* scratch, Slice* value) noexcept nogil
    # scratch: 24 bytes for a number's digits.  Database 0
cdef int direct_set(Kv* kv, const char* key, size_t n, const char* value, size_t value_n) noexcept nogil
