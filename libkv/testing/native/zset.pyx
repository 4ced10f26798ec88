"""The sorted-set structure as a Python class, for the tests: it owns a heap."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.cell cimport ZSET_TREE, Cell, Slice
from libkv.structures.random cimport Random, random_seed
from libkv.structures.siphash cimport siphash
from libkv.structures.zset cimport (
    ZSET_ADDED, ZSET_GT, ZSET_INCR, ZSET_LT, ZSET_NAN, ZSET_NX, ZSET_REFUSED, ZSET_SAME, ZSET_SCRATCH, ZSET_UPDATED,
    ZSET_XX, ZsetIter, zset_add, zset_bytes, zset_check, zset_copy, zset_free, zset_free_some, zset_iter, zset_length,
    zset_new, zset_new_tree, zset_next, zset_prefetch, zset_prefetch_item, zset_random, zset_rank, zset_remove,
    zset_remove_range, zset_scan, zset_score, zset_to_packed, zset_to_tree,
)
from libkv.structures.zset_ranges cimport (
    LEX_CLOSED, LEX_HIGHEST, LEX_LOWEST, LEX_OPEN, LexBound, ScoreRange, zset_lex_range, zset_score_range,
)
from libkv.testing.native.heap cimport heap_left

FLAGS = {"incr": ZSET_INCR, "nx": ZSET_NX, "xx": ZSET_XX, "gt": ZSET_GT, "lt": ZSET_LT}
DONE = {ZSET_REFUSED: "refused", ZSET_SAME: "same", ZSET_UPDATED: "updated", ZSET_ADDED: "added", ZSET_NAN: "nan"}


cdef struct Found:
    void* pairs


cdef void collect(Slice* member, double score, void* arg) noexcept nogil:
    with gil:
        (<list>(<Found*>arg).pairs).append((score, member.p[:member.n]))


cdef int lex_bound(LexBound* b, text, list keep) except -1:
    """b"-", b"+", b"[member" or b"(member"."""
    cdef bytes member = text[1:]
    keep.append(member)
    b.p = member
    b.n = len(member)
    b.kind = {b"-": LEX_LOWEST, b"+": LEX_HIGHEST, b"[": LEX_CLOSED, b"(": LEX_OPEN}[text[:1]]
    return 0


cdef class SortedSet:
    """A sorted set with its limits (zset-max-listpack-entries, -value); tree=True starts it as a tree."""

    cdef Heap* heap
    cdef Cell cell
    cdef Random random_state
    cdef uint64_t max_entries
    cdef uint64_t max_value

    def __cinit__(self, max_entries=128, max_value=64, tree=False, members=0):
        self.heap = heap_new(5, 6)
        if self.heap == NULL:
            raise MemoryError
        self.max_entries = max_entries
        self.max_value = max_value
        random_seed(&self.random_state, 7)
        if (zset_new_tree(self.heap, &self.cell, members) if tree else zset_new(self.heap, &self.cell)) != 0:
            raise MemoryError

    def __dealloc__(self):
        heap_delete(self.heap)

    cdef uint64_t hash(self, bytes member):
        return siphash(self.heap.seed, member, len(member))

    def add(self, double score, bytes member, *flags):
        """(what was done, score)."""
        cdef int bits = 0
        cdef int done
        for flag in flags:
            bits |= FLAGS[flag]
        zset_prefetch(&self.cell, self.hash(member))
        zset_prefetch_item(&self.cell, self.hash(member))
        done = zset_add(self.heap, &self.cell, &score, member, len(member), self.hash(member), bits,
                        self.max_entries, self.max_value)
        if done < 0:
            raise MemoryError
        return DONE[done], score

    def score(self, bytes member):
        cdef double score
        return score if zset_score(self.heap, &self.cell, member, len(member), 0, &score) else None

    def remove(self, bytes member):
        cdef int done = zset_remove(self.heap, &self.cell, member, len(member), 0)
        if done < 0:
            raise MemoryError
        return done == 1

    def remove_range(self, uint64_t first, uint64_t end):
        if zset_remove_range(self.heap, &self.cell, first, end) != 0:
            raise MemoryError

    def rank(self, bytes member, backwards=False):
        cdef uint64_t rank
        return rank if zset_rank(self.heap, &self.cell, member, len(member), 0, backwards, &rank) else None

    def score_range(self, double low, double high, low_open=False, high_open=False):
        cdef ScoreRange range
        cdef uint64_t first
        cdef uint64_t end
        range.low = low
        range.high = high
        range.low_open = low_open
        range.high_open = high_open
        zset_score_range(&self.cell, &range, &first, &end)
        return first, end

    def lex_range(self, bytes low, bytes high, backwards=False):
        """Bounds in ZRANGEBYLEX's form."""
        cdef LexBound a
        cdef LexBound b
        cdef uint64_t first
        cdef uint64_t end
        keep = []
        lex_bound(&a, low, keep)
        lex_bound(&b, high, keep)
        zset_lex_range(&self.cell, &a, &b, backwards, &first, &end)
        return first, end

    def pairs(self, uint64_t rank=0, backwards=False):
        cdef ZsetIter it
        cdef Slice member
        cdef double score
        cdef char scratch[ZSET_SCRATCH]
        found = []
        zset_iter(&it, &self.cell, rank, backwards)
        while zset_next(&it, &member, &score, scratch):
            found.append((score, member.p[:member.n]))
        return found

    def random(self):
        cdef Slice member
        cdef double score
        cdef char scratch[ZSET_SCRATCH]
        zset_random(&self.cell, &self.random_state, &member, &score, scratch)
        return score, member.p[:member.n]

    def scan(self, uint64_t cursor):
        cdef Found f
        found = []
        f.pairs = <void*>found
        cursor = zset_scan(&self.cell, cursor, collect, &f)
        return cursor, found

    def to_tree(self):
        if zset_to_tree(self.heap, &self.cell) != 0:
            raise MemoryError

    def to_packed(self):
        if zset_to_packed(self.heap, &self.cell) != 0:
            raise MemoryError

    def swap_with_copy(self):
        """Replaces the sorted set by its copy, and frees the original."""
        cdef Cell copy
        if zset_copy(self.heap, &self.cell, &copy) != 0:
            raise MemoryError
        zset_free(self.heap, &self.cell)
        self.cell = copy

    def free_some(self, uint64_t budget):
        return zset_free_some(self.heap, &self.cell, budget)

    def fail_after(self, int64_t n):
        heap_fail_after(self.heap, n)

    def bytes(self, samples=0):
        return zset_bytes(&self.cell, samples)

    def used(self):
        return self.heap.used

    def left(self):
        return heap_left(self.heap)

    def is_tree(self):
        return self.cell.layout == ZSET_TREE

    def check(self):
        return zset_check(self.heap, &self.cell) or heap_check(self.heap) * 1000

    def __len__(self):
        return zset_length(&self.cell)
