from libc.stdint cimport uint8_t, uint32_t, uint64_t

# 64 input bytes are collected in `block`; `state` is A, B, C, D of RFC 1321 section 3.3.
cdef struct Md5:
    uint32_t[4] state
    uint64_t length
    uint8_t[64] block

cdef void md5_start(Md5* m) noexcept nogil
cdef void md5_add(Md5* m, const uint8_t* data, size_t n) noexcept nogil
cdef void md5_finish(Md5* m, uint8_t* digest) noexcept nogil
cdef void hmac_md5_start(Md5* inner, const uint8_t* key, size_t key_length) noexcept nogil
cdef void hmac_md5_finish(Md5* inner, const uint8_t* key, size_t key_length, uint8_t* digest) noexcept nogil
