# SHA-256 (FIPS 180-4, section 6.2): what is kept of users' passwords.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    SHA256_BYTES = 32

cdef struct Sha256:
    uint32_t h[8]
    uint64_t n                  # bytes so far
    uint8_t block[64]           # the last n % 64 of them

cdef void sha256_begin(Sha256* s) noexcept nogil
cdef void sha256_add(Sha256* s, const char* p, size_t n) noexcept nogil
cdef void sha256_end(Sha256* s, uint8_t* out) noexcept nogil    # SHA256_BYTES; s must begin again afterwards
cdef void sha256_text(const char* p, size_t n, char* out) noexcept nogil    # 64 hexadecimal digits, no NUL
