# A growable run of bytes outside any store: replies, queued input, effects.
#
# Memory is malloc's, so that a buffer may be filled under one store's lock and written out without it.  When memory ends,
# `failed` is set, further writes are dropped, and the owner closes the connection (or raises MemoryError).

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from libkv.structures.alloc cimport LIKELY, UNLIKELY

cdef struct Buffer:
    char* p
    size_t n                    # bytes written
    size_t cap
    bint failed

cdef void buffer_init(Buffer* b) noexcept nogil
cdef void buffer_free(Buffer* b) noexcept nogil         # and ready for use again
cdef bint buffer_grow(Buffer* b, size_t more) noexcept nogil        # room for `more` bytes; False: failed
cdef void buffer_trim(Buffer* b, size_t keep) noexcept nogil        # empties it; gives memory beyond `keep` bytes back
cdef void buffer_insert(Buffer* b, size_t at, const char* p, size_t n) noexcept nogil

cdef inline char* buffer_room(Buffer* b, size_t n) noexcept nogil:
    """Where n bytes may be written (then add to b.n), or NULL."""
    if UNLIKELY(b.cap - b.n < n) and not buffer_grow(b, n):
        return NULL
    return b.p + b.n

cdef inline void buffer_add(Buffer* b, const char* p, size_t n) noexcept nogil:
    cdef char* o = buffer_room(b, n)
    if LIKELY(o != NULL) and n:
        memcpy(o, p, n)
        b.n += n
