"""Sets from Python, for their tests: one set on a heap of its own."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport SLABS, Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.cell cimport SET_INTS, SET_PACKED, Cell, Slice
from libkv.structures.packed cimport PACKED_SCRATCH
from libkv.structures.random cimport Random, random_seed
from libkv.structures.set cimport (
    SetIter, set_add, set_bytes, set_check, set_contains, set_copy, set_free, set_free_some, set_iter, set_length,
    set_new, set_new_ints, set_new_table, set_next, set_prefetch, set_prefetch_member, set_random, set_remove, set_scan,
    set_to_table,
)
from libkv.structures.siphash cimport siphash


def slabs() -> bool:
    """Whether small pieces come from slabs; in a sanitizers' build they don't."""
    return SLABS


cdef void collect(const char* p, size_t n, void* arg) noexcept nogil:
    with gil:
        (<list>arg).append(p[:n])


cdef class Set:
    """One set.  Methods raise MemoryError where the C function returns -1."""

    cdef Heap* h
    cdef Cell cell
    cdef Random random
    cdef public uint64_t max_ints

    def __cinit__(self, bytes first=None, uint64_t max_ints=512, uint64_t seed=1, members=None):
        cdef int result
        self.max_ints = max_ints
        random_seed(&self.random, seed)
        self.h = heap_new(seed, 2)
        if self.h == NULL:
            raise MemoryError
        if members is not None:
            result = set_new_table(self.h, &self.cell, members)
        elif first is None:
            result = set_new_ints(self.h, &self.cell)
        else:
            result = set_new(self.h, &self.cell, first, len(first))
        if result != 0:
            raise MemoryError

    def __dealloc__(self):
        if self.h != NULL and self.cell.ptr != NULL:
            set_free(self.h, &self.cell)
        heap_delete(self.h)

    cdef int done(self, int result) except -1:
        if result < 0:
            raise MemoryError
        return result

    def add(self, bytes value, bint hashed=False) -> int:
        cdef uint64_t hash = siphash(self.h.seed, value, len(value)) if hashed else 0
        if hashed:
            set_prefetch(&self.cell, hash)
            set_prefetch_member(&self.cell, hash)
        return self.done(set_add(self.h, &self.cell, value, len(value), hash, self.max_ints))

    def remove(self, bytes value) -> int:
        return self.done(set_remove(self.h, &self.cell, value, len(value), 0))

    def __contains__(self, bytes value):
        return set_contains(self.h, &self.cell, value, len(value), 0)

    def __len__(self):
        return set_length(&self.cell)

    def random_member(self) -> bytes:
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s = set_random(&self.cell, &self.random, scratch)
        return s.p[:s.n]

    def pop(self) -> bytes:
        """A random member, removed by the bytes that set_random hands out."""
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s = set_random(&self.cell, &self.random, scratch)
        value = s.p[:s.n]
        assert self.done(set_remove(self.h, &self.cell, s.p, s.n, 0)) == 1
        return value

    def values(self) -> list:
        cdef SetIter it
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s
        values = []
        set_iter(&it, &self.cell)
        while set_next(&it, &s, scratch):
            values.append(s.p[:s.n])
        return values

    def scan(self, uint64_t cursor):
        """(next cursor, members seen)"""
        seen = []
        cursor = set_scan(&self.cell, cursor, collect, <void*>seen)
        return cursor, seen

    def to_table(self):
        self.done(set_to_table(self.h, &self.cell))

    def copied(self) -> list:
        """The members of a copy, which is checked and freed."""
        cdef Cell copy
        cdef Cell mine = self.cell
        self.done(set_copy(self.h, &self.cell, &copy))
        self.cell = copy
        try:
            assert set_check(self.h, &copy) == 0
            return self.values()
        finally:
            self.cell = mine
            set_free(self.h, &copy)

    def free_some(self, uint64_t budget) -> bool:
        return set_free_some(self.h, &self.cell, budget)

    def layout(self) -> str:
        if self.cell.layout == SET_INTS:
            return "ints"
        return "packed" if self.cell.layout == SET_PACKED else "table"

    def bytes_used(self, uint64_t samples=0) -> int:
        return set_bytes(&self.cell, samples)

    def used(self) -> int:
        return self.h.used

    def check(self) -> int:
        return set_check(self.h, &self.cell) or heap_check(self.h) * 100

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)
