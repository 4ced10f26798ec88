# SHA-1 (FIPS 180-4, section 6.1): the names of scripts, and the digests of a keyspace.  Not for anything that must be safe.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    SHA1_BYTES = 20

cdef struct Sha1:
    uint32_t h[5]
    uint64_t n                  # bytes so far
    uint8_t block[64]           # the last n % 64 of them

cdef void sha1_begin(Sha1* s) noexcept nogil
cdef void sha1_add(Sha1* s, const char* p, size_t n) noexcept nogil
cdef void sha1_end(Sha1* s, uint8_t* out) noexcept nogil        # SHA1_BYTES; s must begin again afterwards
cdef void sha1_of(const char* p, size_t n, uint8_t* out) noexcept nogil
cdef void sha1_hex(const uint8_t* digest, char* out) noexcept nogil     # 40 digits and a NUL
