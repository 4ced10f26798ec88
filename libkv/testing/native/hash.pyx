"""The hash structure as a Python class, for the tests: it owns a heap."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.cell cimport HASH_TABLE, Cell, Slice
from libkv.structures.hash cimport (
    HASH_SCRATCH, HashIter, hash_bytes, hash_check, hash_copy, hash_free, hash_free_some, hash_get, hash_iter,
    hash_length, hash_new, hash_new_table, hash_next, hash_prefetch, hash_prefetch_item, hash_random, hash_remove,
    hash_scan, hash_set, hash_to_table,
)
from libkv.structures.random cimport Random, random_seed
from libkv.structures.siphash cimport siphash
from libkv.testing.native.heap cimport heap_left


cdef struct Found:
    void* pairs


cdef void collect(Slice* field, Slice* value, void* arg) noexcept nogil:
    with gil:
        (<list>(<Found*>arg).pairs).append((field.p[:field.n], value.p[:value.n]))


cdef class Hash:
    """A hash with its limits (hash-max-listpack-entries, -value); table=True starts it as a table."""

    cdef Heap* heap
    cdef Cell cell
    cdef Random random_state
    cdef uint64_t max_entries
    cdef uint64_t max_value

    def __cinit__(self, max_entries=128, max_value=64, table=False, fields=0):
        self.heap = heap_new(3, 4)
        if self.heap == NULL:
            raise MemoryError
        self.max_entries = max_entries
        self.max_value = max_value
        random_seed(&self.random_state, 7)
        if (hash_new_table(self.heap, &self.cell, fields) if table else hash_new(self.heap, &self.cell)) != 0:
            raise MemoryError

    def __dealloc__(self):
        heap_delete(self.heap)

    cdef uint64_t hash(self, bytes field):
        return siphash(self.heap.seed, field, len(field))

    def set(self, bytes field, bytes value, known=True):
        """True: added.  False: replaced."""
        cdef int done = hash_set(self.heap, &self.cell, field, len(field), self.hash(field) if known else 0,
                                 value, len(value), self.max_entries, self.max_value)
        if done < 0:
            raise MemoryError
        return done == 1

    def get(self, bytes field):
        cdef Slice value
        cdef char scratch[HASH_SCRATCH]
        hash_prefetch(&self.cell, self.hash(field))
        hash_prefetch_item(&self.cell, self.hash(field))
        if not hash_get(self.heap, &self.cell, field, len(field), 0, &value, scratch):
            return None
        return value.p[:value.n]

    def remove(self, bytes field):
        cdef int done = hash_remove(self.heap, &self.cell, field, len(field), 0)
        if done < 0:
            raise MemoryError
        return done == 1

    def pairs(self):
        cdef HashIter it
        cdef Slice field
        cdef Slice value
        cdef char scratch[HASH_SCRATCH]
        found = []
        hash_iter(&it, &self.cell)
        while hash_next(&it, &field, &value, scratch):
            found.append((field.p[:field.n], value.p[:value.n]))
        return found

    def random(self):
        cdef Slice field
        cdef Slice value
        cdef char scratch[HASH_SCRATCH]
        hash_random(&self.cell, &self.random_state, &field, &value, scratch)
        return field.p[:field.n], value.p[:value.n]

    def scan(self, uint64_t cursor):
        cdef Found f
        found = []
        f.pairs = <void*>found
        cursor = hash_scan(&self.cell, cursor, collect, &f)
        return cursor, found

    def to_table(self):
        if hash_to_table(self.heap, &self.cell) != 0:
            raise MemoryError

    def swap_with_copy(self):
        """Replaces the hash by its copy, and frees the original."""
        cdef Cell copy
        if hash_copy(self.heap, &self.cell, &copy) != 0:
            raise MemoryError
        hash_free(self.heap, &self.cell)
        self.cell = copy

    def free_some(self, uint64_t budget):
        return hash_free_some(self.heap, &self.cell, budget)

    def fail_after(self, int64_t n):
        heap_fail_after(self.heap, n)

    def bytes(self, samples=0):
        return hash_bytes(&self.cell, samples)

    def used(self):
        return self.heap.used

    def left(self):
        return heap_left(self.heap)

    def is_table(self):
        return self.cell.layout == HASH_TABLE

    def check(self):
        return hash_check(self.heap, &self.cell) or heap_check(self.heap) * 1000

    def __len__(self):
        return hash_length(&self.cell)
