# Length-prefixed bytes: how a key, a member or a field lies inside an item.
#
#   n < 255    [n: 1 byte][bytes]
#   else       [255][n: 4 bytes, native order][bytes]

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

cdef inline size_t prefixed_size(size_t n) noexcept nogil:
    """Bytes that n bytes take with their prefix (n < 2**32)."""
    return n + 1 if n < 255 else n + 5

cdef inline size_t prefixed_write(char* at, const char* p, size_t n) noexcept nogil:
    """Writes prefix and bytes; returns how many bytes it wrote."""
    cdef uint32_t long_n
    if n < 255:
        at[0] = <char>n
        memcpy(at + 1, p, n)
        return n + 1
    at[0] = <char>255
    long_n = <uint32_t>n
    memcpy(at + 1, &long_n, 4)
    memcpy(at + 5, p, n)
    return n + 5

cdef inline const char* prefixed_read(const char* at, size_t* n) noexcept nogil:
    """The bytes, their number in n[0]; what follows them starts at the result + n[0]."""
    cdef uint32_t long_n
    if (<const unsigned char*>at)[0] != 255:
        n[0] = (<const unsigned char*>at)[0]
        return at + 1
    memcpy(&long_n, at + 1, 4)
    n[0] = long_n
    return at + 5
