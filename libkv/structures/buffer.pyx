"""A growable run of bytes outside any store (contract: buffer.pxd)."""

from libc.stdlib cimport free, realloc
from libc.string cimport memmove, memset


cdef void buffer_init(Buffer* b) noexcept nogil:
    memset(b, 0, sizeof(Buffer))


cdef void buffer_free(Buffer* b) noexcept nogil:
    free(b.p)
    memset(b, 0, sizeof(Buffer))


cdef bint buffer_grow(Buffer* b, size_t more) noexcept nogil:
    cdef size_t cap = b.cap if b.cap else 256
    cdef char* p
    if b.failed or more > (<size_t>1 << 62) - b.n:
        b.failed = True
        return False
    while cap - b.n < more:
        cap *= 2
    p = <char*>realloc(b.p, cap)
    if p == NULL:
        b.failed = True
        return False
    b.p = p
    b.cap = cap
    return True


cdef void buffer_trim(Buffer* b, size_t keep) noexcept nogil:
    if b.cap > keep or b.failed:
        buffer_free(b)
    b.n = 0


cdef void buffer_insert(Buffer* b, size_t at, const char* p, size_t n) noexcept nogil:
    """Puts n bytes in at an offset, moving what follows."""
    if buffer_room(b, n) == NULL:
        return
    memmove(b.p + at + n, b.p + at, b.n - at)
    memcpy(b.p + at, p, n)
    b.n += n
