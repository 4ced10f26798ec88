"""Numbers as text (contract: number.pxd).

glibc's strtod, strtold and printf do the exact work; in front of them stands a short way for what is common: decimal text
whose digits and power of ten are exact doubles, so that one multiplication or division is correctly rounded (W. D. Clinger,
"How to read floating point numbers accurately", 1990), and integral values to print.
"""

from libc.math cimport HUGE_VAL, isnan, signbit
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <errno.h>
    #include <locale.h>
    #include <stdlib.h>
    static locale_t kv_c_locale;
    static void kv_locale_start(void) { kv_c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }
    static double kv_strtod(const char *p, char **end, int *range) {
        errno = 0;
        double v = strtod_l(p, end, kv_c_locale);
        *range = errno == ERANGE;
        return v;
    }
    static long double kv_strtold(const char *p, char **end, int *range) {
        errno = 0;
        long double v = strtold_l(p, end, kv_c_locale);
        *range = errno == ERANGE;
        return v;
    }
    static const double kv_powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    """
    void locale_start "kv_locale_start"()
    double strtod_c "kv_strtod"(const char*, char**, bint*) noexcept nogil
    long double strtold_c "kv_strtold"(const char*, char**, bint*) noexcept nogil
    const double* POWERS "kv_powers"

cdef enum:
    STACKED = 256               # longer text is copied to malloc's memory for its NUL
    LONG_DOUBLE_TEXT = 5120     # Redis's limit

locale_start()


cdef inline bint is_space(char c) noexcept nogil:
    return c == 32 or 9 <= c <= 13


cdef bint parse_short(const char* p, size_t n, double* v) noexcept nogil:
    """[-]digits[.digits] of at most 15 digits in all.  False: not this form (it may still be a number)."""
    cdef uint64_t u = 0
    cdef size_t i = 0
    cdef size_t point = n
    cdef size_t start
    cdef unsigned int d
    if n > 17:
        return False
    if n and p[0] == 45:
        i = 1
    start = i
    while i < n:
        d = <unsigned int><unsigned char>p[i] - 48
        if d > 9:
            if p[i] != 46 or point != n:
                return False
            point = i
        else:
            u = u * 10 + d
        i += 1
    i = n - start - (point != n)            # digits
    if i == 0 or i > 15:
        return False
    v[0] = <double>u
    if point != n:
        v[0] /= POWERS[n - point - 1]
    if p[0] == 45:
        v[0] = -v[0]
    return True


cdef bint parse_any(const char* p, size_t n, double* v, bint* whole, bint* range_error) noexcept nogil:
    """strtod over a copy with a NUL behind it.  False: it stopped short of the end or of a NUL among the bytes (whole[0]
    tells which), it is NaN, or there is no memory."""
    cdef char text[STACKED + 1]
    cdef char* copy = text
    cdef char* end = NULL
    cdef bint ended
    if n > STACKED:
        copy = <char*>malloc(n + 1)
        if copy == NULL:
            return False
    memcpy(copy, p, n)
    copy[n] = 0
    v[0] = strtod_c(copy, &end, range_error)
    whole[0] = end == copy + n
    ended = end[0] == 0
    if copy != text:
        free(copy)
    return ended and not isnan(v[0])


cdef bint number_parse_double(const char* p, size_t n, double* v) noexcept nogil:
    cdef bint whole = False
    cdef bint range_error = False
    if parse_short(p, n, v):
        return True
    if n == 0 or is_space(p[0]) or not parse_any(p, n, v, &whole, &range_error) or not whole:
        return False
    return not (range_error and (v[0] == HUGE_VAL or v[0] == -HUGE_VAL or v[0] == 0))


cdef bint number_parse_bound(const char* p, size_t n, double* v) noexcept nogil:
    cdef bint whole = False
    cdef bint range_error = False
    return parse_short(p, n, v) or parse_any(p, n, v, &whole, &range_error)


cdef bint number_parse_weight(const char* p, size_t n, double* v) noexcept nogil:
    cdef bint whole = False
    cdef bint range_error = False
    return parse_short(p, n, v) or (parse_any(p, n, v, &whole, &range_error) and not range_error)


cdef bint number_parse_long_double(const char* p, size_t n, long double* v) noexcept nogil:
    cdef char text[LONG_DOUBLE_TEXT]
    cdef char* end = NULL
    cdef bint range_error = False
    if n == 0 or n >= LONG_DOUBLE_TEXT or is_space(p[0]):
        return False
    memcpy(text, p, n)
    text[n] = 0
    v[0] = strtold_c(text, &end, &range_error)
    if end != text + n or v[0] != v[0]:
        return False
    return not (range_error and (v[0] == HUGE_VAL or v[0] == -HUGE_VAL or v[0] == 0))


cdef int plain_point(char* out, int n) noexcept nogil:
    """Makes a locale's decimal point (which may be several bytes) a '.'; the length."""
    cdef int to = 0
    cdef int i
    cdef bint seen = False
    for i in range(n):
        if 48 <= out[i] <= 57 or out[i] == 45 or out[i] == 43 or out[i] == 101:
            out[to] = out[i]
            to += 1
        elif not seen:
            out[to] = 46
            to += 1
            seen = True
    return to


cdef int print_infinity(char* out, bint negative) noexcept nogil:
    memcpy(out, b"-inf", 4) if negative else memcpy(out, b"inf", 3)
    return 3 + negative


cdef int number_print_double(char* out, double v) noexcept nogil:
    if -1e17 < v < 1e17 and v == <double><int64_t>v:
        if v == 0 and signbit(v):
            out[0] = 45
            out[1] = 48
            return 2
        return number_print_i64(out, <int64_t>v)
    if isnan(v):
        memcpy(out, b"nan", 3)
        return 3
    if v == HUGE_VAL or v == -HUGE_VAL:
        return print_infinity(out, v < 0)
    return plain_point(out, snprintf(out, NUMBER_DOUBLE, b"%.17g", v))


cdef int number_print_long_double(char* out, long double v) noexcept nogil:
    cdef int n
    if v != v:
        memcpy(out, b"nan", 3)
        return 3
    if v == HUGE_VAL or v == -HUGE_VAL:
        return print_infinity(out, v < 0)
    n = plain_point(out, snprintf(out, NUMBER_LONG_DOUBLE, b"%.17Lf", v))
    while out[n - 1] == 48:
        n -= 1
    if out[n - 1] == 46:
        n -= 1
    if n == 2 and out[0] == 45 and out[1] == 48:
        out[0] = 48
        n = 1
    return n
