"""HyperLogLog sketches from Python, for their tests."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from libkv.structures.hyperloglog cimport (
    HLL_REGISTERS, HLL_ROOM, HLL_SPARSE_MOST, Sketch, hll_add, hll_cache, hll_cached, hll_check, hll_estimate,
    hll_estimate_registers, hll_header_valid, hll_merge, hll_new, hll_place, hll_raise, hll_stale, hll_to_dense,
)


class Broken(Exception):
    """The sketch is none."""


def place(bytes element) -> tuple[int, int]:
    """The register of an element and the value for it."""
    cdef uint32_t index
    cdef int value = hll_place(element, len(element), &index)
    return index, value


def header_valid(bytes data) -> bool:
    return hll_header_valid(data, len(data))


def registers_estimate(bytes registers) -> int:
    assert len(registers) == HLL_REGISTERS
    return hll_estimate_registers(registers)


def validate(bytes data) -> int:
    """hll_check of untrusted bytes, given to it in a piece of exactly their size."""
    return read(data, 0)


def estimate(bytes data) -> int:
    """hll_estimate of untrusted bytes with a valid header; -1: broken."""
    return read(data, 1)


def merged(bytes data) -> int:
    """hll_merge of untrusted bytes with a valid header into registers of zero; -1: broken, else their sum."""
    return read(data, 2)


cdef object read(bytes data, int what):
    cdef size_t n = len(data)
    cdef uint8_t registers[HLL_REGISTERS]
    cdef uint8_t* p = <uint8_t*>malloc(n if n else 1)
    cdef uint64_t found = 0
    if p == NULL:
        raise MemoryError
    memcpy(p, <char*>data, n)
    memset(registers, 0, sizeof(registers))
    try:
        if what == 0:
            return hll_check(p, n)
        if what == 1:
            return -1 if hll_estimate(p, n, &found) != 0 else found
        if hll_merge(registers, p, n) != 0:
            return -1
        return sum(registers[i] for i in range(HLL_REGISTERS))
    finally:
        free(p)


cdef class HyperLogLog:
    """One sketch, in a place of HLL_ROOM bytes; the bytes behind it are 0xa5 and must stay so."""

    cdef Sketch s

    def __cinit__(self, bytes data=None):
        self.s.p = <uint8_t*>malloc(HLL_ROOM)
        if self.s.p == NULL:
            raise MemoryError
        memset(self.s.p, 0xa5, HLL_ROOM)
        if data is None:
            hll_new(&self.s)
            return
        if not hll_header_valid(data, len(data)) or len(data) > HLL_SPARSE_MOST:
            raise Broken
        self.s.n = len(data)
        memcpy(self.s.p, <char*>data, self.s.n)

    def __dealloc__(self):
        free(self.s.p)

    cdef int done(self, int result) except -1:
        if result < 0:
            raise Broken
        return result

    def raw(self) -> bytes:
        return (<char*>self.s.p)[:self.s.n]

    def add(self, bytes element, size_t sparse_most=3000) -> int:
        return self.done(hll_add(&self.s, element, len(element), sparse_most))

    def raise_register(self, uint32_t index, uint8_t value, size_t sparse_most=3000) -> int:
        assert index < HLL_REGISTERS
        return self.done(hll_raise(&self.s, index, value, sparse_most))

    def to_dense(self):
        self.done(hll_to_dense(&self.s))

    def registers(self) -> bytes:
        cdef uint8_t registers[HLL_REGISTERS]
        memset(registers, 0, sizeof(registers))
        self.done(hll_merge(registers, self.s.p, self.s.n))
        return (<char*>registers)[:HLL_REGISTERS]

    def estimate(self) -> int:
        cdef uint64_t value = 0
        self.done(hll_estimate(self.s.p, self.s.n, &value))
        return value

    def cached(self) -> int | None:
        cdef uint64_t value
        return value if hll_cached(self.s.p, &value) else None

    def cache(self, uint64_t value):
        hll_cache(self.s.p, value)

    def stale(self):
        hll_stale(self.s.p)

    def check(self) -> int:
        return hll_check(self.s.p, self.s.n)
