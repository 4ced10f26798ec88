# Rows of bits: the bytes of a string, bit 0 being the highest of the first byte.
#
#   bit     0 1 2 3 4 5 6 7   8 9 ...
#   byte    [     p[0]    ]   [  p[1] ...
#           128 ......... 1
#
# A caller checks offsets from outside before it comes here: positions are below 8 * 2**60.  Fields are integers of 1 to
# 64 bits anywhere in the row, the highest bit first, signed ones in two's complement; what lies behind the end of the
# row reads as zero.  Nothing here allocates.

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    # bits_combine
    BITS_AND = 0
    BITS_OR = 1
    BITS_XOR = 2
    BITS_NOT = 3                # of one source
    # what a field does with a number that does not fit
    BITS_WRAP = 0               # drop the high bits
    BITS_SATURATE = 1           # the nearest number that fits
    BITS_FAIL = 2

cdef uint64_t bits_count(const uint8_t* p, size_t n) noexcept nogil                     # set bits of n bytes
cdef uint64_t bits_count_range(const uint8_t* p, uint64_t first, uint64_t last) noexcept nogil
    # set bits from `first` to `last`, both counted in; first <= last, both inside
cdef int64_t bits_find(const uint8_t* p, uint64_t first, uint64_t last, bint bit) noexcept nogil
    # the first position from `first` to `last` (both counted in) of this bit, or -1; first <= last, both inside
cdef void bits_combine(int op, uint8_t* out, size_t n, const uint8_t** source, const size_t* length,
                       int sources) noexcept nogil
    # the n bytes of out; n is the longest source, the others go on with zeros; out is none of the sources

cdef inline bint bits_get(const uint8_t* p, size_t n, uint64_t at) noexcept nogil:
    """One bit; 0 behind the end."""
    return (at >> 3) < n and (p[at >> 3] >> (7 - (at & 7))) & 1

cdef inline void bits_set(uint8_t* p, uint64_t at, bint bit) noexcept nogil:
    cdef uint8_t mask = <uint8_t>(128 >> (at & 7))
    p[at >> 3] = (p[at >> 3] & ~mask) | (mask if bit else 0)

cdef uint64_t bits_field(const uint8_t* p, size_t n, uint64_t at, int width) noexcept nogil
cdef void bits_set_field(uint8_t* p, uint64_t at, int width, uint64_t value) noexcept nogil     # wholly inside

cdef inline int64_t bits_signed(uint64_t field, int width) noexcept nogil:
    """A field's bits as a number in two's complement."""
    cdef uint64_t sign = <uint64_t>1 << (width - 1)
    return <int64_t>((field ^ sign) - sign)

# value + by in a field of `width` bits (unsigned: at most 63), where value is the field's own, or by is 0 (a SET: any
# value).  True: it fits, *sum is it.  False: it does not, and *sum is what `overflow` says (BITS_FAIL: 0).
cdef bint bits_add_signed(int64_t value, int64_t by, int width, int overflow, int64_t* sum) noexcept nogil
cdef bint bits_add_unsigned(uint64_t value, int64_t by, int width, int overflow, uint64_t* sum) noexcept nogil
