# Sorted sets in a flat buffer: member, score, member, score, ... in order; a part of zset.pxd, which says what the bytes are.

from libc.string cimport memcmp

from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, Slice

cdef double zset_flat_score(const char* at) noexcept nogil              # of the score entry at `at`
cdef size_t zset_flat_text(char* out, double score) noexcept nogil      # its bytes (up to NUMBER_DOUBLE); how many
cdef char* zset_flat_place(char* b, char* passed, double score, const char* p, size_t n) noexcept nogil
    # the first pair behind (score, member), NULL: none.  The pair at `passed` does not count
cdef int zset_flat_put(Heap* h, Cell* cell, double score, const char* p, size_t n) noexcept nogil
    # adds an absent member; 0 or -1
cdef int zset_flat_rescore(Heap* h, Cell* cell, char* at_score, double score) noexcept nogil
    # gives the pair whose score is at at_score another one, and its place; 0, or -1 and nothing changed

cdef inline int zset_compare(const char* p, size_t n, const char* q, size_t m) noexcept nogil:
    """Order of members: their bytes, then the shorter first; < 0, 0, > 0."""
    cdef int c = memcmp(p, q, n if n < m else m)
    return c if c != 0 else (n > m) - (n < m)
