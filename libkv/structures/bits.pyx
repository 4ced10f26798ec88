"""Rows of bits (contract: bits.pxd).

Words are 64 bits, read through memcpy.  Counting uses the processor's own instruction where it has one (asked at run
time, since a wheel is built for the oldest processor) and adding in parallel within a word otherwise (Knuth, TAOCP
7.1.3).
"""

from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    static inline uint64_t kv_bits_word(const uint8_t *p) {
        uint64_t w;
        memcpy(&w, p, 8);
        return w;
    }

    static uint64_t kv_bits_count_plain(const uint8_t *p, size_t words) {
        const uint64_t ones = ~(uint64_t)0;
        uint64_t total = 0, w;
        for (size_t i = 0; i < words; i++) {
            w = kv_bits_word(p + 8 * i);
            w -= (w >> 1) & (ones / 3);
            w = (w & (ones / 5)) + ((w >> 2) & (ones / 5));
            w = (w + (w >> 4)) & (ones / 17);
            total += (w * (ones / 255)) >> 56;
        }
        return total;
    }

    #if defined(__x86_64__)
    __attribute__((target("popcnt")))
    static uint64_t kv_bits_count_fast(const uint8_t *p, size_t words) {
        uint64_t a = 0, b = 0, c = 0, d = 0;
        size_t i = 0;
        for (; i + 4 <= words; i += 4) {
            a += (uint64_t)__builtin_popcountll(kv_bits_word(p + 8 * i));
            b += (uint64_t)__builtin_popcountll(kv_bits_word(p + 8 * i + 8));
            c += (uint64_t)__builtin_popcountll(kv_bits_word(p + 8 * i + 16));
            d += (uint64_t)__builtin_popcountll(kv_bits_word(p + 8 * i + 24));
        }
        for (; i < words; i++)
            a += (uint64_t)__builtin_popcountll(kv_bits_word(p + 8 * i));
        return a + b + c + d;
    }

    static uint64_t kv_bits_count_words(const uint8_t *p, size_t words) {
        return __builtin_cpu_supports("popcnt") ? kv_bits_count_fast(p, words) : kv_bits_count_plain(p, words);
    }
    #else
    #define kv_bits_count_words kv_bits_count_plain
    #endif

    /* Steps over whole 32 bytes of nothing. */
    static uint64_t kv_bits_skip(const uint8_t *p, uint64_t at, uint64_t end, uint64_t nothing) {
        while (end - at >= 32 && !((kv_bits_word(p + at) ^ nothing) | (kv_bits_word(p + at + 8) ^ nothing)
                                   | (kv_bits_word(p + at + 16) ^ nothing) | (kv_bits_word(p + at + 24) ^ nothing)))
            at += 32;
        return at;
    }

    static inline int kv_bits_of_byte(uint8_t b) { return __builtin_popcount(b); }
    static inline int kv_bits_leading(uint8_t b) { return __builtin_clz((unsigned int)b) - 24; }   /* b != 0 */
    """
    uint64_t kv_bits_count_words(const uint8_t* p, size_t words) noexcept nogil
    uint64_t kv_bits_count_plain(const uint8_t* p, size_t words) noexcept nogil
    uint64_t kv_bits_word(const uint8_t* p) noexcept nogil
    uint64_t kv_bits_skip(const uint8_t* p, uint64_t at, uint64_t end, uint64_t nothing) noexcept nogil
    int kv_bits_of_byte(uint8_t b) noexcept nogil
    int kv_bits_leading(uint8_t b) noexcept nogil

cdef enum:
    BLOCK = 16384               # bytes of a result that are finished before the next: they stay in the first cache


# ---- counting and searching

cdef uint64_t bits_count(const uint8_t* p, size_t n) noexcept nogil:
    cdef size_t words = n >> 3
    cdef uint64_t total = kv_bits_count_words(p, words)
    cdef size_t i
    for i in range(words << 3, n):
        total += kv_bits_of_byte(p[i])
    return total


cdef inline uint8_t part(uint8_t byte, uint64_t at, uint64_t first, uint64_t last) noexcept nogil:
    """A byte whose bits before `first` and behind `last` are cleared; `at` is its place."""
    if at == first >> 3:
        byte &= <uint8_t>(255 >> (first & 7))
    if at == last >> 3:
        byte &= <uint8_t>(255 << (7 - (last & 7)))
    return byte


cdef uint64_t bits_count_range(const uint8_t* p, uint64_t first, uint64_t last) noexcept nogil:
    cdef uint64_t a = first >> 3
    cdef uint64_t b = last >> 3
    if a == b:
        return kv_bits_of_byte(part(p[a], a, first, last))
    return (kv_bits_of_byte(part(p[a], a, first, last)) + kv_bits_of_byte(part(p[b], b, first, last))
            + bits_count(p + a + 1, b - a - 1))


cdef int64_t bits_find(const uint8_t* p, uint64_t first, uint64_t last, bint bit) noexcept nogil:
    cdef uint64_t a = first >> 3
    cdef uint64_t end = (last >> 3) + 1
    cdef uint8_t flip = 0 if bit else 255           # with it, the bit that is wanted is always a 1
    cdef uint64_t nothing = 0 if bit else ~<uint64_t>0
    cdef uint8_t byte = part(p[a] ^ flip, a, first, last)
    while byte == 0:
        a = kv_bits_skip(p, a + 1, end, nothing)
        while a + 8 < end and kv_bits_word(p + a) == nothing:
            a += 8
        if a >= end:
            return -1
        byte = part(p[a] ^ flip, a, first, last)
    return <int64_t>(a * 8) + kv_bits_leading(byte)


# ---- combining

cdef void combine_block(int op, uint8_t* out, size_t n, const uint8_t* p, size_t length) noexcept nogil:
    """out op= the source's bytes; of a shorter source, zeros follow."""
    cdef size_t i
    if op == BITS_AND:
        for i in range(length):
            out[i] &= p[i]
        memset(out + length, 0, n - length)
    elif op == BITS_OR:
        for i in range(length):
            out[i] |= p[i]
    else:
        for i in range(length):
            out[i] ^= p[i]


cdef void bits_combine(int op, uint8_t* out, size_t n, const uint8_t** source, const size_t* length,
                       int sources) noexcept nogil:
    cdef size_t at = 0
    cdef size_t block
    cdef size_t have
    cdef size_t i
    cdef int k
    while at < n:
        block = n - at if n - at < BLOCK else BLOCK
        for k in range(sources):
            have = 0
            if length[k] > at:
                have = length[k] - at if length[k] - at < block else block
            if k == 0:
                if have:
                    memcpy(out + at, source[0] + at, have)
                memset(out + at + have, 0, block - have)
            else:
                combine_block(op, out + at, block, source[k] + at if have else NULL, have)
        if op == BITS_NOT:
            for i in range(at, at + block):
                out[i] = ~out[i]
        at += block


# ---- fields

cdef uint64_t bits_field(const uint8_t* p, size_t n, uint64_t at, int width) noexcept nogil:
    cdef uint64_t value = 0
    cdef unsigned int byte
    cdef int room
    cdef int take
    while width > 0:
        byte = p[at >> 3] if (at >> 3) < n else 0
        room = 8 - <int>(at & 7)
        take = width if width < room else room
        value = (value << take) | ((byte >> (room - take)) & ((1u << take) - 1))
        at += take
        width -= take
    return value


cdef void bits_set_field(uint8_t* p, uint64_t at, int width, uint64_t value) noexcept nogil:
    cdef unsigned int mask
    cdef int room
    cdef int take
    while width > 0:
        room = 8 - <int>(at & 7)
        take = width if width < room else room
        mask = ((1u << take) - 1) << (room - take)
        width -= take
        p[at >> 3] = <uint8_t>((p[at >> 3] & ~mask) | ((<unsigned int>(value >> width) << (room - take)) & mask))
        at += take


cdef bint bits_add_signed(int64_t value, int64_t by, int width, int overflow, int64_t* sum) noexcept nogil:
    cdef int64_t high = INT64_MAX if width == 64 else (<int64_t>1 << (width - 1)) - 1
    cdef int64_t low = -high - 1
    cdef uint64_t wrapped
    # wraps around for a SET near INT64_MIN, which Redis therefore takes for too large; so its SAT gives the upper limit
    cdef int64_t room = <int64_t>(<uint64_t>high - <uint64_t>value)
    cdef bint above = value > high or (by > room if width < 64 else by > 0 and value > high - by)
    cdef bint below = value < low or (by < 0 and value < low - by)
    if not above and not below:
        sum[0] = value + by
        return True
    if overflow == BITS_SATURATE:
        sum[0] = high if above else low
    elif overflow == BITS_WRAP:
        wrapped = <uint64_t>value + <uint64_t>by
        if width < 64:
            wrapped &= (<uint64_t>1 << width) - 1
        sum[0] = bits_signed(wrapped, width)
    else:
        sum[0] = 0
    return False


cdef bint bits_add_unsigned(uint64_t value, int64_t by, int width, int overflow, uint64_t* sum) noexcept nogil:
    cdef uint64_t high = (<uint64_t>1 << width) - 1
    cdef bint above = value > high or (by > 0 and <uint64_t>by > high - value)
    cdef bint below = not above and by < 0 and <uint64_t>0 - <uint64_t>by > value
    if not above and not below:
        sum[0] = value + <uint64_t>by
        return True
    if overflow == BITS_SATURATE:
        sum[0] = high if above else 0
    elif overflow == BITS_WRAP:
        sum[0] = (value + <uint64_t>by) & high
    else:
        sum[0] = 0
    return False
