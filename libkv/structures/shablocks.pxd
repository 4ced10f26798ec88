# What SHA-1 and SHA-256 have in common (FIPS 180-4, sections 5.1.1 and 6): a message in blocks of 64 bytes, its padding,
# and digests of 32-bit words.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

ctypedef void (*shablocks_fn)(uint32_t* h, const uint8_t* block) noexcept nogil        # takes one block into the state

# h: the state; n: bytes so far; block: the last n % 64 of them.
cdef void shablocks_add(shablocks_fn fn, uint32_t* h, uint64_t* n, uint8_t* block, const char* p, size_t size) noexcept nogil
cdef void shablocks_end(shablocks_fn fn, uint32_t* h, uint64_t* n, uint8_t* block, uint8_t* out, int bytes) noexcept nogil
cdef void shablocks_hex(const uint8_t* digest, int bytes, char* out) noexcept nogil    # 2 * bytes digits, no NUL
