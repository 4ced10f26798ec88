"""The heap and the hash table from Python, for their tests."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from libkv.structures.alloc cimport (
    SLABS, Heap, heap_alloc, heap_check, heap_delete, heap_fail_after, heap_free, heap_new, heap_resize, heap_size,
    heap_zeroed, heap_zeroed_free,
)
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.random cimport Random, random_seed
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    Table, TableIter, table_bytes, table_check, table_find, table_fit, table_free_some, table_init, table_insert,
    table_iter, table_next, table_random, table_remove, table_reserve, table_scan, table_step,
)


def siphash_of(uint64_t k0, uint64_t k1, bytes data) -> int:
    """SipHash-1-3 of data."""
    cdef uint64_t seed[2]
    seed[0] = k0
    seed[1] = k1
    return siphash(seed, data, len(data))


cdef class Pieces:
    """A heap, and pieces of it by number: alloc fills a piece with its number's low byte, check looks for it."""

    cdef Heap* h
    cdef dict sizes             # number -> (address, bytes, zeroed)

    def __cinit__(self):
        self.h = heap_new(1, 2)
        self.sizes = {}
        if self.h == NULL:
            raise MemoryError

    def __dealloc__(self):
        heap_delete(self.h)

    def alloc(self, int number, size_t n, bint zeroed=False):
        cdef char* p = <char*>(heap_zeroed(self.h, n) if zeroed else heap_alloc(self.h, n))
        cdef size_t i
        if p == NULL:
            raise MemoryError
        if zeroed:
            assert <size_t>p % 64 == 0
            for i in range(n):
                assert p[i] == 0
        else:
            assert <size_t>p % 8 == 0
        memset(p, number & 255, n)
        self.sizes[number] = (<size_t>p, n, zeroed)

    def resize(self, int number, size_t n):
        address, old, zeroed = self.sizes[number]
        cdef char* p = <char*>heap_resize(self.h, <void*><size_t>address, old, n)
        if p == NULL:
            raise MemoryError
        self.sizes[number] = (<size_t>p, min(old, n), zeroed)
        self.intact(number)
        memset(p, number & 255, n)
        self.sizes[number] = (<size_t>p, n, zeroed)

    def free(self, int number):
        self.intact(number)
        address, n, zeroed = self.sizes.pop(number)
        if zeroed:
            heap_zeroed_free(self.h, <void*><size_t>address, n)
        else:
            heap_free(self.h, <void*><size_t>address, n)

    def intact(self, int number):
        """Nobody else has written into the piece."""
        address, n, _ = self.sizes[number]
        cdef unsigned char* p = <unsigned char*><size_t>address
        cdef size_t i
        cdef size_t size = n
        for i in range(size):
            assert p[i] == (number & 255), f"byte {i} of piece {number}"

    def check(self):
        cdef int broken = heap_check(self.h)
        assert broken == 0, f"invariant {broken}"
        for number in self.sizes:
            self.intact(number)

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)

    @property
    def used(self):
        return self.h.used


def size_of(size_t n) -> int:
    """What a piece of n bytes occupies."""
    return heap_size(n)


def slabs() -> bool:
    """Whether small pieces come from slabs; in a sanitizers' build they don't."""
    return SLABS


cdef void collect(void* item, void* arg) noexcept nogil:
    cdef size_t n
    cdef const char* k = prefixed_read(<const char*>item, &n)
    with gil:
        (<list>arg).append(k[:n])


cdef uint64_t free_item(Heap* h, void* item) noexcept nogil:
    cdef size_t n
    prefixed_read(<const char*>item, &n)
    heap_free(h, item, prefixed_size(n))
    return 1


cdef class Keys:
    """A table of length-prefixed keys (key_at 0), as a set's is."""

    cdef Heap* h
    cdef Table t
    cdef Random random

    def __cinit__(self, uint64_t seed=1, uint64_t reserve=0):
        self.h = heap_new(seed, 2)
        if self.h == NULL:
            raise MemoryError
        random_seed(&self.random, seed)
        table_init(&self.t, 0)
        if reserve and table_reserve(self.h, &self.t, reserve) != 0:
            raise MemoryError

    def __dealloc__(self):
        heap_delete(self.h)

    def __len__(self):
        return self.t.used

    def __contains__(self, bytes key):
        return table_find(self.h, &self.t, key, len(key), siphash(self.h.seed, key, len(key))) != NULL

    def add(self, bytes key):
        cdef size_t n = len(key)
        cdef char* item = <char*>heap_alloc(self.h, prefixed_size(n))
        if item == NULL:
            raise MemoryError
        prefixed_write(item, key, n)
        if table_insert(self.h, &self.t, item, siphash(self.h.seed, key, n)) != 0:
            heap_free(self.h, item, prefixed_size(n))
            raise MemoryError

    def remove(self, bytes key):
        cdef size_t n = len(key)
        cdef uint64_t hash = siphash(self.h.seed, key, n)
        cdef void** slot = table_find(self.h, &self.t, key, n, hash)
        cdef void* item = slot[0]
        table_remove(self.h, &self.t, slot, hash)
        heap_free(self.h, item, prefixed_size(n))

    def step(self, int n=1):
        return table_step(self.h, &self.t, n)

    def fit(self):
        table_fit(self.h, &self.t)

    def random_key(self):
        cdef size_t n
        cdef void* item = table_random(&self.t, &self.random)
        cdef const char* k
        if item == NULL:
            return None
        k = prefixed_read(<const char*>item, &n)
        return k[:n]

    def scan(self, uint64_t cursor):
        """(next cursor, keys)."""
        found = []
        cdef uint64_t after = table_scan(&self.t, cursor, collect, <void*>found)
        return after, found

    def keys(self):
        cdef TableIter it
        cdef void* item
        found = []
        table_iter(&it, &self.t)
        while True:
            item = table_next(&it)
            if item == NULL:
                return found
            collect(item, <void*>found)

    def free_some(self, uint64_t budget):
        """True: all gone."""
        return table_free_some(self.h, &self.t, free_item, budget)

    def check(self):
        cdef int broken = table_check(self.h, &self.t)
        assert broken == 0, f"invariant {broken} of the table"
        broken = heap_check(self.h)
        assert broken == 0, f"invariant {broken} of the heap"

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)

    @property
    def rehashing(self):
        return self.t.rehash >= 0

    @property
    def buckets(self):
        """Of the smaller and the larger table, or of the one."""
        if self.t.buckets[0] == NULL:
            return ()
        if self.t.rehash < 0:
            return (self.t.mask[0] + 1,)
        return (self.t.mask[0] + 1, self.t.mask[1] + 1)

    @property
    def bytes(self):
        return table_bytes(&self.t)

    @property
    def used(self):
        return self.h.used
