"""The index by ID from Python, for its tests: one index on a heap of its own, of numbers instead of pointers."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.ids cimport (
    Ids as Index, IdsIter, StreamId, ids_at, ids_bytes, ids_check, ids_find, ids_first, ids_free_some, ids_from, ids_insert,
    ids_last, ids_next, ids_prev, ids_remove, ids_upto,
)


cdef StreamId id_of(tuple pair):
    cdef StreamId id
    id.ms, id.seq = pair
    return id


cdef void count_release(Heap* h, void* ptr, void* arg) noexcept nogil:
    (<uint64_t*>arg)[0] += <uint64_t>ptr


cdef class Ids:
    """IDs are pairs (ms, seq); values are numbers from 1 on."""

    cdef Heap* h
    cdef Index t

    def __cinit__(self):
        self.h = heap_new(1, 2)
        if self.h == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.h != NULL:
            ids_free_some(self.h, &self.t, <uint64_t>-1, NULL, NULL)
            heap_delete(self.h)

    def insert(self, tuple pair, uint64_t value) -> bool:
        """False: it is there already."""
        cdef StreamId id = id_of(pair)
        cdef int there = ids_insert(self.h, &self.t, &id, <void*>value)
        if there < 0:
            raise MemoryError
        return there == 0

    def remove(self, tuple pair) -> int:
        """0: it was not there."""
        cdef StreamId id = id_of(pair)
        return <uint64_t>ids_remove(self.h, &self.t, &id)

    def find(self, tuple pair) -> int:
        cdef StreamId id = id_of(pair)
        cdef void** slot = ids_find(&self.t, &id)
        return <uint64_t>slot[0] if slot != NULL else 0

    def values(self, tuple start=None, bint backwards=False) -> list:
        cdef IdsIter it
        cdef StreamId id
        found = []
        if start is not None:
            id = id_of(start)
            if backwards:
                ids_upto(&self.t, &id, &it)
            else:
                ids_from(&self.t, &id, &it)
        elif backwards:
            ids_last(&self.t, &it)
        else:
            ids_first(&self.t, &it)
        while it.leaf != NULL:
            found.append(((ids_at(&it).id.ms, ids_at(&it).id.seq), <uint64_t>ids_at(&it).ptr))
            if backwards:
                ids_prev(&it)
            else:
                ids_next(&it)
        return found

    def free_some(self, uint64_t budget) -> tuple:
        """Whether all is gone, and the sum of the values that went."""
        cdef uint64_t total = 0
        gone = ids_free_some(self.h, &self.t, budget, count_release, &total)
        return gone, total

    def height(self) -> int:
        return self.t.height

    def bytes_used(self) -> int:
        return ids_bytes(&self.t)

    def used(self) -> int:
        return self.h.used

    def check(self) -> int:
        return ids_check(&self.t) or heap_check(self.h) * 100

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)

    def __len__(self):
        return self.t.used
