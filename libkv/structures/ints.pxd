# A sorted set of integers in one flat buffer: the layout of small sets of integers.
#
# The bytes are those of Redis's intset, so that an RDB file takes a buffer as it is:
#
#   +-----------+-----------+--------+ ... +--------+
#   | width u32 | count u32 | int    |     | int    |     little-endian, ascending, each `width` (2, 4 or 8) bytes
#   +-----------+-----------+--------+ ... +--------+
#
# The width is that of the largest number that was ever in it.  A buffer is a char* whose piece of the heap has
# packed_room(ints_bytes(b)); functions that change it take a char** and may move it.  They return -1 with nothing changed
# when there is no memory.

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from libkv.structures.alloc cimport Heap
from libkv.structures.random cimport Random

cdef enum:
    INTS_HEADER = 8

cdef int ints_new(Heap* h, char** b) noexcept nogil
cdef void ints_free(Heap* h, char* b) noexcept nogil
cdef int ints_copy(Heap* h, const char* b, char** copy) noexcept nogil  # also: takes a validated foreign buffer in
cdef int ints_add(Heap* h, char** b, int64_t v) noexcept nogil          # 1 added, 0 was there, -1
cdef int ints_remove(Heap* h, char** b, int64_t v) noexcept nogil       # 1 removed, 0 was not there, -1
cdef bint ints_contains(const char* b, int64_t v) noexcept nogil
cdef int64_t ints_get(const char* b, uint32_t i) noexcept nogil         # the i-th smallest, i < ints_length(b)
cdef int64_t ints_random(const char* b, Random* r) noexcept nogil       # of a set that is not empty
cdef bint ints_validate(const char* b, size_t size, bint deep) noexcept nogil   # may untrusted bytes be used as a buffer?
cdef int ints_check(const char* b) noexcept nogil                       # 0, or the number of the broken invariant

cdef inline uint32_t ints_width(const char* b) noexcept nogil:
    cdef uint32_t n
    memcpy(&n, b, 4)
    return n

cdef inline uint32_t ints_length(const char* b) noexcept nogil:
    cdef uint32_t n
    memcpy(&n, b + 4, 4)
    return n

cdef inline size_t ints_bytes(const char* b) noexcept nogil:
    return INTS_HEADER + <size_t>ints_width(b) * ints_length(b)
