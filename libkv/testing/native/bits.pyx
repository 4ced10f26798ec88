"""Rows of bits from Python, for their tests: each function gets a piece of memory of exactly its string's size."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from libkv.structures.bits cimport (
    bits_add_signed, bits_add_unsigned, bits_combine, bits_count, bits_count_range, bits_field, bits_find, bits_get,
    bits_set, bits_set_field, bits_signed,
)


cdef class Bits:
    """A copy of a string's bytes."""

    cdef uint8_t* p
    cdef size_t n

    def __cinit__(self, bytes data):
        self.n = len(data)
        self.p = <uint8_t*>malloc(self.n if self.n else 1)
        if self.p == NULL:
            raise MemoryError
        memcpy(self.p, <char*>data, self.n)

    def __dealloc__(self):
        free(self.p)

    cdef int inside(self, uint64_t end) except -1:
        """What is written or searched must lie in the row: the structure does not check it."""
        if end > self.n * 8:
            raise IndexError(end)
        return 0

    def raw(self) -> bytes:
        return (<char*>self.p)[:self.n]

    def count(self) -> int:
        return bits_count(self.p, self.n)

    def count_range(self, uint64_t first, uint64_t last) -> int:
        self.inside(last + 1)
        return bits_count_range(self.p, first, last)

    def find(self, uint64_t first, uint64_t last, bint bit) -> int:
        self.inside(last + 1)
        return bits_find(self.p, first, last, bit)

    def get(self, uint64_t at) -> bool:
        return bits_get(self.p, self.n, at)

    def set(self, uint64_t at, bint bit):
        self.inside(at + 1)
        bits_set(self.p, at, bit)

    def field(self, uint64_t at, int width) -> int:
        return bits_field(self.p, self.n, at, width)

    def set_field(self, uint64_t at, int width, uint64_t value):
        self.inside(at + width)
        bits_set_field(self.p, at, width, value)


def combine(int op, list rows, size_t n) -> bytes:
    """bits_combine of Bits; n is the length of the longest."""
    cdef size_t k = len(rows)
    cdef const uint8_t** source = <const uint8_t**>malloc(k * sizeof(char*))
    cdef size_t* length = <size_t*>malloc(k * sizeof(size_t))
    cdef uint8_t* out = <uint8_t*>malloc(n if n else 1)
    cdef Bits row
    try:
        if source == NULL or length == NULL or out == NULL:
            raise MemoryError
        for i, row in enumerate(rows):
            source[i] = row.p
            length[i] = row.n
        bits_combine(op, out, n, source, length, <int>k)
        return (<char*>out)[:n]
    finally:
        free(source)
        free(length)
        free(out)


def signed(uint64_t field, int width) -> int:
    return bits_signed(field, width)


def add_signed(int64_t value, int64_t by, int width, int overflow) -> tuple[bool, int]:
    cdef int64_t total
    cdef bint fits = bits_add_signed(value, by, width, overflow, &total)
    return fits, total


def add_unsigned(uint64_t value, int64_t by, int width, int overflow) -> tuple[bool, int]:
    cdef uint64_t total
    cdef bint fits = bits_add_unsigned(value, by, width, overflow, &total)
    return fits, total
