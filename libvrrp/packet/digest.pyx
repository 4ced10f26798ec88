"""MD5 (RFC 1321) and HMAC-MD5 (RFC 2104), for VRRPv2's AH (HMAC-MD5-96, RFC 2403).

Python's hashlib needs the GIL; the thread that sends and checks adverts runs without it.  MD5 protects nobody today;
it is here because that is what VRRPv2 peers with `auth_type AH` speak.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef uint32_t[64] SINES
cdef int[64] SHIFTS


def _fill_tables():
    """RFC 1321 section 3.4: T[i] = floor(2**32 * abs(sin(i + 1)))."""
    from math import sin

    shifts = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
    for i in range(64):
        SINES[i] = int(4294967296 * abs(sin(i + 1)))
        SHIFTS[i] = shifts[i // 16][i % 4]


_fill_tables()


cdef inline uint32_t little32(const uint8_t* p) noexcept nogil:
    return p[0] | (<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16) | (<uint32_t>p[3] << 24)


cdef void md5_block(Md5* m, const uint8_t* p) noexcept nogil:
    cdef uint32_t a = m.state[0], b = m.state[1], c = m.state[2], d = m.state[3], f, t
    cdef int i, g
    for i in range(64):
        if i < 16:
            f = (b & c) | (~b & d)
            g = i
        elif i < 32:
            f = (d & b) | (~d & c)
            g = (5 * i + 1) & 15
        elif i < 48:
            f = b ^ c ^ d
            g = (3 * i + 5) & 15
        else:
            f = c ^ (b | ~d)
            g = (7 * i) & 15
        f = f + a + SINES[i] + little32(p + 4 * g)
        t = (f << SHIFTS[i]) | (f >> (32 - SHIFTS[i]))
        a = d
        d = c
        c = b
        b = b + t
    m.state[0] += a
    m.state[1] += b
    m.state[2] += c
    m.state[3] += d


cdef void md5_start(Md5* m) noexcept nogil:
    m.state[0] = 0x67452301
    m.state[1] = <uint32_t>0xEFCDAB89
    m.state[2] = <uint32_t>0x98BADCFE
    m.state[3] = 0x10325476
    m.length = 0


cdef void md5_add(Md5* m, const uint8_t* data, size_t n) noexcept nogil:
    cdef size_t used = <size_t>(m.length & 63), part
    m.length += n
    while n:
        part = 64 - used
        if part > n:
            part = n
        memcpy(m.block + used, data, part)
        used += part
        data += part
        n -= part
        if used == 64:
            md5_block(m, m.block)
            used = 0


cdef void md5_finish(Md5* m, uint8_t* digest) noexcept nogil:
    cdef uint64_t bits = m.length * 8
    cdef uint8_t[72] padding
    cdef size_t used = <size_t>(m.length & 63), n, i
    n = (56 - used) if used < 56 else (120 - used)
    memset(padding, 0, 72)
    padding[0] = 0x80
    for i in range(8):
        padding[n + i] = <uint8_t>((bits >> (8 * i)) & 0xFF)
    md5_add(m, padding, n + 8)
    for i in range(16):
        digest[i] = <uint8_t>((m.state[i >> 2] >> (8 * (i & 3))) & 0xFF)


cdef void key_block(const uint8_t* key, size_t key_length, uint8_t mask, uint8_t* out) noexcept nogil:
    cdef Md5 m
    cdef size_t i
    memset(out, 0, 64)
    if key_length > 64:
        md5_start(&m)
        md5_add(&m, key, key_length)
        md5_finish(&m, out)
    elif key_length:
        memcpy(out, key, key_length)
    for i in range(64):
        out[i] ^= mask


cdef void hmac_md5_start(Md5* inner, const uint8_t* key, size_t key_length) noexcept nogil:
    cdef uint8_t[64] block
    key_block(key, key_length, 0x36, block)
    md5_start(inner)
    md5_add(inner, block, 64)


cdef void hmac_md5_finish(Md5* inner, const uint8_t* key, size_t key_length, uint8_t* digest) noexcept nogil:
    cdef uint8_t[64] block
    cdef Md5 outer
    md5_finish(inner, digest)
    key_block(key, key_length, 0x5C, block)
    md5_start(&outer)
    md5_add(&outer, block, 64)
    md5_add(&outer, digest, 16)
    md5_finish(&outer, digest)


def hmac_md5(const uint8_t[::1] key not None, const uint8_t[::1] message not None):
    """HMAC-MD5 (RFC 2104) of message with key, both bytes; returns the 16-byte digest."""
    cdef Md5 m
    cdef uint8_t[16] digest
    cdef size_t key_length = key.shape[0], length = message.shape[0]
    cdef const uint8_t* k = &key[0] if key_length else NULL
    hmac_md5_start(&m, k, key_length)
    if length:
        md5_add(&m, &message[0], length)
    hmac_md5_finish(&m, k, key_length, digest)
    return digest[:16]
