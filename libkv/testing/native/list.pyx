"""Lists from Python, for their tests: one list on a heap of its own."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.cell cimport LIST_CHUNKS, Cell, Slice
from libkv.structures.chunk cimport List as Chain
from libkv.structures.list cimport (
    ListIter, list_bytes, list_check, list_copy, list_drop, list_end, list_find, list_free, list_free_some, list_insert,
    list_length, list_new, list_push, list_remove, list_seek, list_set, list_step, list_trim,
)
from libkv.structures.packed cimport PACKED_SCRATCH, Needle, packed_get, packed_needle


cdef class List:
    """One list.  Methods raise MemoryError where the C function returns -1."""

    cdef Heap* h
    cdef Cell cell
    cdef public int fill

    def __cinit__(self, int fill=-2):
        self.fill = fill
        self.h = heap_new(1, 2)
        if self.h == NULL or list_new(self.h, &self.cell) != 0:
            raise MemoryError

    def __dealloc__(self):
        if self.h != NULL and self.cell.ptr != NULL:
            list_free(self.h, &self.cell)
        heap_delete(self.h)

    cdef done(self, int result):
        if result != 0:
            raise MemoryError

    cdef object seek(self, ListIter* it, int64_t index, bint backwards):
        list_seek(it, &self.cell, index, backwards)
        if it.at == NULL:
            raise IndexError(index)

    def push(self, bytes value, bint front=False):
        self.done(list_push(self.h, &self.cell, value, len(value), front, self.fill))

    def end(self, bint front=False) -> bytes:
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s = list_end(&self.cell, front, scratch)
        return s.p[:s.n]

    def drop(self, bint front=False, uint64_t count=1):
        self.done(list_drop(self.h, &self.cell, front, count))

    def trim(self, uint64_t first, uint64_t count):
        self.done(list_trim(self.h, &self.cell, first, count))

    def remove(self, bytes value, int64_t limit, bint backwards=False) -> int:
        cdef int64_t n = list_remove(self.h, &self.cell, value, len(value), limit, backwards)
        if n < 0:
            raise MemoryError
        return n

    def index(self, int64_t i):
        cdef ListIter it
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s
        self.seek(&it, i, i < 0)
        s = packed_get(it.at, scratch)
        return s.p[:s.n]

    def values(self, int64_t start=0, bint backwards=False) -> list:
        cdef ListIter it
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s
        values = []
        list_seek(&it, &self.cell, start, backwards)
        while it.at != NULL:
            s = packed_get(it.at, scratch)
            values.append(s.p[:s.n])
            list_step(&it)
        return values

    def find(self, bytes value, int64_t start=0, bint backwards=False, uint64_t limit=2**63):
        """How many elements lie between index `start` and an equal one, or None."""
        cdef ListIter it
        cdef Needle x
        cdef uint64_t passed = 0
        packed_needle(&x, value, len(value))
        list_seek(&it, &self.cell, start, backwards)
        return passed if list_find(&it, &x, &passed, limit) else None

    def insert(self, int64_t i, bytes value, bint after=False):
        cdef ListIter it
        self.seek(&it, i, False)
        self.done(list_insert(self.h, &it, value, len(value), after, self.fill))

    def set(self, int64_t i, bytes value):
        cdef ListIter it
        self.seek(&it, i, False)
        self.done(list_set(self.h, &it, value, len(value), self.fill))

    def copied(self) -> list:
        """The values of a copy, which is checked and freed."""
        cdef Cell copy
        cdef Cell mine = self.cell
        self.done(list_copy(self.h, &self.cell, &copy))
        self.cell = copy
        try:
            assert list_check(&copy) == 0
            return self.values()
        finally:
            self.cell = mine
            list_free(self.h, &copy)

    def free_some(self, uint64_t budget) -> bool:
        return list_free_some(self.h, &self.cell, budget)

    def chunks(self) -> int:
        """0: one flat buffer."""
        return (<Chain*>self.cell.ptr).chunks if self.cell.layout == LIST_CHUNKS else 0

    def bytes_used(self) -> int:
        return list_bytes(&self.cell)

    def used(self) -> int:
        return self.h.used

    def check(self) -> int:
        return list_check(&self.cell) or heap_check(self.h) * 100

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)

    def __len__(self):
        return list_length(&self.cell)
