# Values as RDB bytes, in the encodings that Redis 7.0 writes (version 10).

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.entry cimport Entry
from libkv.persistence.rio cimport Sink, sink_byte, sink_put
from libkv.structures.alloc cimport LIKELY

cdef enum:
    RDB_COMPRESS_FROM = 21      # bytes of a string worth compressing

cdef void rdb_put_length(Sink* s, uint64_t n) noexcept nogil
cdef void rdb_put_string_slow(Sink* s, const char* p, size_t n) noexcept nogil
cdef void rdb_put_number(Sink* s, int64_t v) noexcept nogil                    # as a string's content
cdef int rdb_type_of(Entry* e) noexcept nogil                                  # RDB_* of its present layout
cdef void rdb_put_value(Sink* s, Entry* e) noexcept nogil                      # the value alone; failure: s.error

# DUMP's payload: type, value, version (2 bytes), CRC-64.  A fresh memory sink that keeps a checksum; 0, or the errno.
cdef int rdb_dump(Sink* s, Entry* e) noexcept nogil


cdef inline void rdb_put_string(Sink* s, const char* p, size_t n) noexcept nogil:
    """As a number or LZF where that is shorter."""
    if LIKELY(11 < n < RDB_COMPRESS_FROM) or (0 < n <= 11 and (<unsigned char>p[0] > 57 or <unsigned char>p[n - 1] > 57)):
        sink_byte(s, <int>n)            # no number
        sink_put(s, p, n)
    else:
        rdb_put_string_slow(s, p, n)
