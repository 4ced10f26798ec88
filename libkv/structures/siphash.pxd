# SipHash-1-3 (Aumasson and Bernstein, 2012; one compression and three finalisation rounds, as in Rust's and Python's
# tables): keyed at random for each store, so that nobody can choose keys that collide.

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef inline uint64_t sip_rotl(uint64_t x, int b) noexcept nogil:
    return (x << b) | (x >> (64 - b))

cdef inline uint64_t siphash(const uint64_t* seed, const char* p, size_t n) noexcept nogil:
    """64-bit hash of n bytes under the 128-bit key `seed`."""
    cdef uint64_t v0 = seed[0] ^ <uint64_t>0x736f6d6570736575
    cdef uint64_t v1 = seed[1] ^ <uint64_t>0x646f72616e646f6d
    cdef uint64_t v2 = seed[0] ^ <uint64_t>0x6c7967656e657261
    cdef uint64_t v3 = seed[1] ^ <uint64_t>0x7465646279746573
    cdef uint64_t m
    cdef uint64_t last = <uint64_t>n << 56
    cdef size_t words = n >> 3
    cdef size_t i
    cdef int _r
    for i in range(words + 1):
        if i < words:
            memcpy(&m, p + i * 8, 8)
        else:
            m = sip_tail(p + words * 8, n & 7) | last
        v3 ^= m
        v0 += v1; v1 = sip_rotl(v1, 13) ^ v0; v0 = sip_rotl(v0, 32); v2 += v3; v3 = sip_rotl(v3, 16) ^ v2
        v0 += v3; v3 = sip_rotl(v3, 21) ^ v0; v2 += v1; v1 = sip_rotl(v1, 17) ^ v2; v2 = sip_rotl(v2, 32)
        v0 ^= m
    v2 ^= 0xff
    for _r in range(3):
        v0 += v1; v1 = sip_rotl(v1, 13) ^ v0; v0 = sip_rotl(v0, 32); v2 += v3; v3 = sip_rotl(v3, 16) ^ v2
        v0 += v3; v3 = sip_rotl(v3, 21) ^ v0; v2 += v1; v1 = sip_rotl(v1, 17) ^ v2; v2 = sip_rotl(v2, 32)
    return v0 ^ v1 ^ v2 ^ v3

cdef inline uint64_t sip_tail(const char* p, size_t n) noexcept nogil:
    """The last n < 8 bytes as a little-endian number, by at most three fixed-size loads (a memcpy of variable length
    is a call)."""
    cdef uint64_t m = 0
    cdef unsigned int a = 0
    cdef unsigned short b = 0
    cdef size_t at = 0
    if n & 4:
        memcpy(&a, p, 4)
        m = a
        at = 4
    if n & 2:
        memcpy(&b, p + at, 2)
        m |= <uint64_t>b << (at * 8)
        at += 2
    if n & 1:
        m |= <uint64_t><unsigned char>p[at] << (at * 8)
    return m
