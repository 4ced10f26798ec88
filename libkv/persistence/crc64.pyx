"""CRC-64 (contract: crc64.pxd), sixteen bytes a step (M. Kounavis and F. Berry, "A systematic approach to building high
performance software-based CRC generators", 2005)."""

from libc.string cimport memcpy

cdef enum:
    STEP = 16

cdef uint64_t crc_tables[STEP][256]     # [k][b]: what byte b does to a checksum with k zero bytes behind it


cdef void crc_fill() noexcept nogil:
    cdef uint64_t crc
    cdef int b
    cdef int k
    cdef int _bit
    for b in range(256):
        crc = b
        for _bit in range(8):
            crc = (crc >> 1) ^ (<uint64_t>0x95ac9329ac4bc9b5 if crc & 1 else 0)     # the polynomial, reflected
        crc_tables[0][b] = crc
    for k in range(1, STEP):
        for b in range(256):
            crc = crc_tables[k - 1][b]
            crc_tables[k][b] = (crc >> 8) ^ crc_tables[0][crc & 255]


cdef inline uint64_t crc_word(uint64_t w, int first) noexcept nogil:
    """What eight bytes do, the last of which has `first` bytes behind it in the step."""
    return (crc_tables[first + 7][w & 255] ^ crc_tables[first + 6][(w >> 8) & 255]
            ^ crc_tables[first + 5][(w >> 16) & 255] ^ crc_tables[first + 4][(w >> 24) & 255]
            ^ crc_tables[first + 3][(w >> 32) & 255] ^ crc_tables[first + 2][(w >> 40) & 255]
            ^ crc_tables[first + 1][(w >> 48) & 255] ^ crc_tables[first][w >> 56])


cdef uint64_t crc64(uint64_t crc, const char* p, size_t n) noexcept nogil:
    cdef uint64_t a
    cdef uint64_t b
    while n >= STEP:
        memcpy(&a, p, 8)
        memcpy(&b, p + 8, 8)
        crc = crc_word(a ^ crc, 8) ^ crc_word(b, 0)
        p += STEP
        n -= STEP
    while n:
        crc = (crc >> 8) ^ crc_tables[0][(crc ^ <unsigned char>p[0]) & 255]
        p += 1
        n -= 1
    return crc


crc_fill()
