"""Blocks, padding and digits of SHA-1 and SHA-256 (contract: shablocks.pxd)."""

from libc.string cimport memcpy


cdef void shablocks_add(shablocks_fn fn, uint32_t* h, uint64_t* n, uint8_t* block, const char* p, size_t size) noexcept nogil:
    cdef size_t have = n[0] & 63
    cdef size_t take
    n[0] += size
    if have:
        take = min(size, 64 - have)
        memcpy(block + have, p, take)
        p += take
        size -= take
        if have + take < 64:
            return
        fn(h, block)
    while size >= 64:
        fn(h, <const uint8_t*>p)
        p += 64
        size -= 64
    if size:
        memcpy(block, p, size)


cdef void shablocks_end(shablocks_fn fn, uint32_t* h, uint64_t* n, uint8_t* block, uint8_t* out, int bytes) noexcept nogil:
    """A one bit, zeros up to a block less 8 bytes, the length in bits; the state's words, high bytes first."""
    cdef char tail[72]
    cdef uint64_t bits = n[0] << 3
    cdef size_t zeros = (55 - <size_t>n[0]) & 63
    cdef size_t i
    tail[0] = <char>0x80
    for i in range(zeros):
        tail[1 + i] = 0
    for i in range(8):
        tail[1 + zeros + i] = <char>((bits >> (56 - 8 * i)) & 255)
    shablocks_add(fn, h, n, block, tail, 9 + zeros)
    for i in range(<size_t>bytes):
        out[i] = <uint8_t>((h[i >> 2] >> (24 - 8 * (i & 3))) & 255)


cdef void shablocks_hex(const uint8_t* digest, int bytes, char* out) noexcept nogil:
    cdef const char* digits = b"0123456789abcdef"
    cdef int i
    for i in range(bytes):
        out[2 * i] = digits[digest[i] >> 4]
        out[2 * i + 1] = digits[digest[i] & 15]
