"""SHA-1 (contract: sha1.pxd), as FIPS 180-4 writes it: 80 rounds over blocks of 64 bytes."""

from libkv.structures.shablocks cimport shablocks_add, shablocks_end, shablocks_hex


cdef inline uint32_t sha1_rotl(uint32_t x, int b) noexcept nogil:
    return (x << b) | (x >> (32 - b))


cdef void sha1_block(uint32_t* h, const uint8_t* block) noexcept nogil:
    cdef uint32_t w[80]
    cdef uint32_t a = h[0]
    cdef uint32_t b = h[1]
    cdef uint32_t c = h[2]
    cdef uint32_t d = h[3]
    cdef uint32_t e = h[4]
    cdef uint32_t f, k, t
    cdef int i
    for i in range(16):
        w[i] = ((<uint32_t>block[4 * i] << 24) | (<uint32_t>block[4 * i + 1] << 16)
                | (<uint32_t>block[4 * i + 2] << 8) | block[4 * i + 3])
    for i in range(16, 80):
        w[i] = sha1_rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)
    for i in range(80):
        if i < 20:
            f = (b & c) | (~b & d)
            k = <uint32_t>0x5a827999
        elif i < 40:
            f = b ^ c ^ d
            k = <uint32_t>0x6ed9eba1
        elif i < 60:
            f = (b & c) | (b & d) | (c & d)
            k = <uint32_t>0x8f1bbcdc
        else:
            f = b ^ c ^ d
            k = <uint32_t>0xca62c1d6
        t = sha1_rotl(a, 5) + f + e + k + w[i]
        e = d
        d = c
        c = sha1_rotl(b, 30)
        b = a
        a = t
    h[0] += a
    h[1] += b
    h[2] += c
    h[3] += d
    h[4] += e


cdef void sha1_begin(Sha1* s) noexcept nogil:
    s.h[0] = <uint32_t>0x67452301
    s.h[1] = <uint32_t>0xefcdab89
    s.h[2] = <uint32_t>0x98badcfe
    s.h[3] = <uint32_t>0x10325476
    s.h[4] = <uint32_t>0xc3d2e1f0
    s.n = 0


cdef void sha1_add(Sha1* s, const char* p, size_t n) noexcept nogil:
    shablocks_add(sha1_block, s.h, &s.n, s.block, p, n)


cdef void sha1_end(Sha1* s, uint8_t* out) noexcept nogil:
    shablocks_end(sha1_block, s.h, &s.n, s.block, out, SHA1_BYTES)


cdef void sha1_of(const char* p, size_t n, uint8_t* out) noexcept nogil:
    cdef Sha1 s
    sha1_begin(&s)
    sha1_add(&s, p, n)
    sha1_end(&s, out)


cdef void sha1_hex(const uint8_t* digest, char* out) noexcept nogil:
    shablocks_hex(digest, SHA1_BYTES, out)
    out[2 * SHA1_BYTES] = 0


def sha1(data):
    """The SHA-1 of bytes as 40 hexadecimal digits."""
    cdef bytes raw = data
    cdef uint8_t digest[20]
    cdef char out[41]
    sha1_of(raw, len(raw), digest)
    sha1_hex(digest, out)
    return out[:40].decode()
