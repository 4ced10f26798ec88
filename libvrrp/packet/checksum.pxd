"""The Internet checksum (RFC 1071) and big-endian access, inline for every codec of the package.

Unaligned memory is read byte by byte: a datagram may start anywhere in a receive buffer.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef inline uint16_t get16(const uint8_t* p) noexcept nogil:
    return <uint16_t>((<uint32_t>p[0] << 8) | p[1])


cdef inline uint32_t get32(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline void put16(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>((value >> 8) & 0xFF)
    p[1] = <uint8_t>(value & 0xFF)


cdef inline void put32(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>((value >> 24) & 0xFF)
    p[1] = <uint8_t>((value >> 16) & 0xFF)
    p[2] = <uint8_t>((value >> 8) & 0xFF)
    p[3] = <uint8_t>(value & 0xFF)


cdef inline uint32_t sum16(const uint8_t* p, size_t n, uint32_t total) noexcept nogil:
    """Adds n bytes, as 16-bit big-endian words, to an unfolded sum.  n <= 65535, so 32 bits can't overflow."""
    cdef size_t i = 0
    while i + 1 < n:
        total += (<uint32_t>p[i] << 8) | p[i + 1]
        i += 2
    if i < n:
        total += <uint32_t>p[i] << 8
    return total


cdef inline uint16_t fold16(uint32_t total) noexcept nogil:
    """The one's complement of the folded sum: 0 when a checksummed message is intact."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return <uint16_t>(~total & 0xFFFF)


cdef inline uint32_t pseudo_sum(
    int family, const uint8_t* source, const uint8_t* destination, uint32_t length, uint32_t protocol
) noexcept nogil:
    """Sum of the pseudo-header: RFC 793 section 3.1 (IPv4), RFC 8200 section 8.1 (IPv6)."""
    cdef size_t width = 4 if family == 4 else 16
    cdef uint32_t total = sum16(source, width, 0)
    total = sum16(destination, width, total)
    return total + protocol + (length >> 16) + (length & 0xFFFF)
