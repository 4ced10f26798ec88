"""Number printing and parsing as Python functions, for the tests.  A parser returns None where it refuses."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.number cimport (
    NUMBER_DOUBLE,
    NUMBER_I64,
    NUMBER_LONG_DOUBLE,
    number_parse_bound,
    number_parse_double,
    number_parse_i64,
    number_parse_long_double,
    number_print_double,
    number_print_i64,
    number_print_long_double,
    number_print_u64,
)


def print_i64(int64_t v):
    cdef char out[NUMBER_I64]
    cdef int n = number_print_i64(out, v)
    return out[:n]


def print_u64(uint64_t v):
    cdef char out[NUMBER_I64]
    cdef int n = number_print_u64(out, v)
    return out[:n]


def parse_i64(bytes text):
    cdef int64_t v
    return v if number_parse_i64(text, len(text), &v) else None


def print_double(double v):
    cdef char out[NUMBER_DOUBLE]
    cdef int n = number_print_double(out, v)
    return out[:n]


def parse_double(bytes text):
    cdef double v
    return v if number_parse_double(text, len(text), &v) else None


def parse_bound(bytes text):
    cdef double v
    return v if number_parse_bound(text, len(text), &v) else None


def add_long_doubles(bytes a, bytes b):
    """The sum of two numbers in human form, or None where one is refused."""
    cdef long double x
    cdef long double y
    cdef char out[NUMBER_LONG_DOUBLE]
    cdef int n
    if not number_parse_long_double(a, len(a), &x) or not number_parse_long_double(b, len(b), &y):
        return None
    n = number_print_long_double(out, x + y)
    return out[:n]
