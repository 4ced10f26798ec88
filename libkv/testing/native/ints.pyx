"""The sorted set of integers from Python, for its tests: one buffer on a heap of its own."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.ints cimport (
    ints_add, ints_bytes, ints_check, ints_contains, ints_copy, ints_free, ints_get, ints_length, ints_new, ints_random,
    ints_remove, ints_validate,
)
from libkv.structures.random cimport Random, random_seed


def validate(bytes data, bint deep=True) -> bool:
    """ints_validate of untrusted bytes, given to it in a piece of exactly their size."""
    cdef size_t n = len(data)
    cdef char* p = <char*>malloc(n if n else 1)
    memcpy(p, <char*>data, n)
    try:
        return ints_validate(p, n, deep)
    finally:
        free(p)


cdef class Ints:
    """One sorted buffer.  Methods raise MemoryError where the C function returns -1."""

    cdef Heap* h
    cdef char* b
    cdef Random random

    def __cinit__(self, bytes data=None, uint64_t seed=1):
        cdef int result
        self.h = heap_new(1, 2)
        random_seed(&self.random, seed)
        if self.h == NULL:
            raise MemoryError
        result = ints_new(self.h, &self.b) if data is None else ints_copy(self.h, data, &self.b)
        if result != 0:
            raise MemoryError

    def __dealloc__(self):
        if self.h != NULL:
            ints_free(self.h, self.b)
        heap_delete(self.h)

    cdef int done(self, int result) except -1:
        if result < 0:
            raise MemoryError
        return result

    def add(self, int64_t v) -> int:
        return self.done(ints_add(self.h, &self.b, v))

    def remove(self, int64_t v) -> int:
        return self.done(ints_remove(self.h, &self.b, v))

    def __contains__(self, int64_t v):
        return ints_contains(self.b, v)

    def __len__(self):
        return ints_length(self.b)

    def values(self) -> list:
        cdef uint32_t i
        return [ints_get(self.b, i) for i in range(ints_length(self.b))]

    def random_value(self) -> int:
        return ints_random(self.b, &self.random)

    def raw(self) -> bytes:
        return self.b[:ints_bytes(self.b)]

    def check(self) -> int:
        return ints_check(self.b) or heap_check(self.h) * 100

    def used(self) -> int:
        return self.h.used

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)
