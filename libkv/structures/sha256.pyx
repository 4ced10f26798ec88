"""SHA-256 (contract: sha256.pxd), as FIPS 180-4 writes it: 64 rounds over blocks of 64 bytes."""

from libc.string cimport memcpy

from libkv.structures.shablocks cimport shablocks_add, shablocks_end, shablocks_hex

cdef uint32_t K[64]             # the first 32 bits of the fractional parts of the cube roots of the first 64 primes
K[:] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]


cdef inline uint32_t sha256_rotr(uint32_t x, int b) noexcept nogil:
    return (x >> b) | (x << (32 - b))


cdef void sha256_block(uint32_t* h, const uint8_t* block) noexcept nogil:
    cdef uint32_t w[64]
    cdef uint32_t v[8]          # a to h
    cdef uint32_t one, two
    cdef int i
    for i in range(16):
        w[i] = ((<uint32_t>block[4 * i] << 24) | (<uint32_t>block[4 * i + 1] << 16)
                | (<uint32_t>block[4 * i + 2] << 8) | block[4 * i + 3])
    for i in range(16, 64):
        one = sha256_rotr(w[i - 15], 7) ^ sha256_rotr(w[i - 15], 18) ^ (w[i - 15] >> 3)
        two = sha256_rotr(w[i - 2], 17) ^ sha256_rotr(w[i - 2], 19) ^ (w[i - 2] >> 10)
        w[i] = w[i - 16] + one + w[i - 7] + two
    memcpy(v, h, 32)
    for i in range(64):
        one = (v[7] + (sha256_rotr(v[4], 6) ^ sha256_rotr(v[4], 11) ^ sha256_rotr(v[4], 25))
               + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i])
        two = ((sha256_rotr(v[0], 2) ^ sha256_rotr(v[0], 13) ^ sha256_rotr(v[0], 22))
               + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])))
        v[7] = v[6]
        v[6] = v[5]
        v[5] = v[4]
        v[4] = v[3] + one
        v[3] = v[2]
        v[2] = v[1]
        v[1] = v[0]
        v[0] = one + two
    for i in range(8):
        h[i] += v[i]


cdef void sha256_begin(Sha256* s) noexcept nogil:
    s.h[0] = <uint32_t>0x6a09e667
    s.h[1] = <uint32_t>0xbb67ae85
    s.h[2] = <uint32_t>0x3c6ef372
    s.h[3] = <uint32_t>0xa54ff53a
    s.h[4] = <uint32_t>0x510e527f
    s.h[5] = <uint32_t>0x9b05688c
    s.h[6] = <uint32_t>0x1f83d9ab
    s.h[7] = <uint32_t>0x5be0cd19
    s.n = 0


cdef void sha256_add(Sha256* s, const char* p, size_t n) noexcept nogil:
    shablocks_add(sha256_block, s.h, &s.n, s.block, p, n)


cdef void sha256_end(Sha256* s, uint8_t* out) noexcept nogil:
    shablocks_end(sha256_block, s.h, &s.n, s.block, out, SHA256_BYTES)


cdef void sha256_text(const char* p, size_t n, char* out) noexcept nogil:
    cdef uint8_t digest[SHA256_BYTES]
    cdef Sha256 s
    sha256_begin(&s)
    sha256_add(&s, p, n)
    sha256_end(&s, digest)
    shablocks_hex(digest, SHA256_BYTES, out)


def sha256(data):
    """The SHA-256 of bytes as 64 hexadecimal digits."""
    cdef bytes raw = data
    cdef char out[64]
    sha256_text(raw, len(raw), out)
    return out[:64].decode()
