# CRC-64 as RDB files and DUMP payloads carry it: polynomial 0xad93d23594c935a9 (David Jones's), bits reflected in and
# out, nothing added at the beginning or the end; of "123456789": 0xe9c6d914c4b8d9ca.

from libc.stdint cimport uint64_t

cdef uint64_t crc64(uint64_t crc, const char* p, size_t n) noexcept nogil      # continues crc (0 at the beginning)
