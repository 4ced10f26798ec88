# Numbers as text: what a client sends and what it gets back, to the byte as Redis 7.0 does.
#
#   int64          canonical decimal only: no plus, no space, no leading zero, no "-0"
#   double         printed with 17 significant digits ("%.17g": 0.1 -> 0.10000000000000001, 1e20 -> 1e+20), integral
#                  values below 1e17 therefore as integers; infinities as inf and -inf
#   long double    "human" form, of INCRBYFLOAT and HINCRBYFLOAT: "%.17Lf" without the trailing zeros
#
# The process's locale plays no part (an embedding application may have set one whose decimal point is a comma).

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    NUMBER_I64 = 21             # bytes that the longest printed int64 takes, rounded up
    NUMBER_DOUBLE = 40          # the same for a double
    NUMBER_LONG_DOUBLE = 5120   # the same for a long double in human form

cdef extern from *:
    """
    static const char kv_digit_pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    """
    const char* NUMBER_PAIRS "kv_digit_pairs"

cdef int number_print_double(char* out, double v) noexcept nogil        # the length; no NUL
cdef int number_print_long_double(char* out, long double v) noexcept nogil

# As Redis reads a score or an increment: strtod's forms (hexadecimal and inf too), the whole text, no leading space, not
# empty, not NaN, no overflow to infinity or underflow to zero.
cdef bint number_parse_double(const char* p, size_t n, double* v) noexcept nogil
# As Redis reads the bound of a score range: leading space, the empty text (0) and overflow are accepted; text ends at a NUL.
cdef bint number_parse_bound(const char* p, size_t n, double* v) noexcept nogil
# As Redis reads what SORT sorts by: as a bound, but without overflow and underflow.
cdef bint number_parse_weight(const char* p, size_t n, double* v) noexcept nogil
# As Redis reads INCRBYFLOAT's operands: as number_parse_double, but less than 5120 bytes (and NaN passes).
cdef bint number_parse_long_double(const char* p, size_t n, long double* v) noexcept nogil


cdef inline int number_digits(uint64_t u) noexcept nogil:
    """Decimal digits of u."""
    cdef int n = 1
    while u >= 10000:
        u //= 10000
        n += 4
    return n + (u >= 10) + (u >= 100) + (u >= 1000)

cdef inline int number_print_u64(char* out, uint64_t u) noexcept nogil:
    """Writes u's digits and returns their number."""
    cdef int n = number_digits(u)
    cdef int at = n
    cdef unsigned int pair
    while u >= 100:
        pair = <unsigned int>(u % 100) * 2
        u //= 100
        at -= 2
        out[at] = NUMBER_PAIRS[pair]
        out[at + 1] = NUMBER_PAIRS[pair + 1]
    if u >= 10:
        out[0] = NUMBER_PAIRS[u * 2]
        out[1] = NUMBER_PAIRS[u * 2 + 1]
    else:
        out[0] = <char>(48 + u)
    return n

cdef inline int number_print_i64(char* out, int64_t v) noexcept nogil:
    """Writes v in decimal (at most 20 bytes, no NUL) and returns the length."""
    if v < 0:
        out[0] = 45
        return number_print_u64(out + 1, <uint64_t>0 - <uint64_t>v) + 1
    return number_print_u64(out, <uint64_t>v)

cdef inline bint number_parse_i64(const char* p, size_t n, int64_t* v) noexcept nogil:
    """Reads canonical decimal; False: it is something else, or does not fit."""
    cdef uint64_t u
    cdef size_t i = 0
    cdef unsigned int d
    cdef bint negative
    if n == 0 or n > 20:
        return False
    negative = p[0] == 45
    if negative:
        i = 1
        if n == 1:
            return False
    u = <uint64_t><unsigned char>p[i] - 48
    if u > 9:
        return False
    i += 1
    if u == 0:
        v[0] = 0
        return n == 1
    while i < n:
        d = <unsigned int><unsigned char>p[i] - 48
        if d > 9:
            return False
        if u >= <uint64_t>922337203685477581 or (u == <uint64_t>922337203685477580 and d > 7 + negative):
            return False
        u = u * 10 + d
        i += 1
    v[0] = <int64_t>(<uint64_t>0 - u) if negative else <int64_t>u
    return True
