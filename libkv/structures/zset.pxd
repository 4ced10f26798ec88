# Sorted sets: members with a score, ordered by score, equal scores by the members' bytes.
#
#   ZSET_PACKED  a flat buffer of member, score, member, score, ... in order (packed.pxd)      Redis's "listpack"
#   ZSET_TREE    a Zset: a Table of items, key_at 8, and an ordered index of the same items    Redis's "skiplist"
#
#       +-----------------+----------------------------+
#       | score, 8 bytes  | member, length-prefixed    |        an item: one allocation
#       +-----------------+----------------------------+
#
# In a flat buffer a score is kept as Redis keeps it: an integral one up to 2**62 as an integer entry (-0 becomes 0), any
# other as the text of number.pxd's form.  A sorted set becomes a tree before it would have more than max_entries members
# (zset-max-listpack-entries) or one longer than max_value (zset-max-listpack-value).
#
# Where a function takes a hash, it is siphash(heap.seed, member), or 0 for "not known": only ZSET_TREE needs it.
# What a function hands out lies in the sorted set or in the caller's scratch, and is valid until it changes.
# Ranks count from 0; a range of them is [first, end).  Scores are never NaN.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, Slice, ZSET_TREE
from libkv.structures.order cimport Order, OrderIter
from libkv.structures.random cimport Random
from libkv.structures.table cimport Table, table_prefetch_bucket, table_prefetch_item

cdef enum:
    ZSET_SCRATCH = 24           # bytes: an integer member's digits
    # flags of zset_add
    ZSET_INCR = 1               # the score is an increment
    ZSET_NX = 2                 # only add
    ZSET_XX = 4                 # only update
    ZSET_GT = 8                 # update only to a greater score
    ZSET_LT = 16                # update only to a lower score
    # what zset_add did; -1: no memory and nothing changed
    ZSET_REFUSED = 0            # a flag forbade it
    ZSET_SAME = 1               # the score was that already
    ZSET_UPDATED = 2
    ZSET_ADDED = 3
    ZSET_NAN = 4                # the increment would make it NaN; nothing changed

cdef struct Zset:
    Table members
    Order order

ctypedef void (*zset_visit)(Slice* member, double score, void* arg) noexcept nogil

cdef struct ZsetIter:
    Cell* cell
    bint backwards
    char* at                    # ZSET_PACKED: the next member
    OrderIter order

cdef int zset_new(Heap* h, Cell* cell) noexcept nogil                           # empty, packed; 0 or -1
cdef int zset_new_tree(Heap* h, Cell* cell, uint64_t members) noexcept nogil    # empty, for that many; 0 or -1
cdef int zset_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil              # 0 or -1
cdef uint64_t zset_length(Cell* cell) noexcept nogil
cdef bint zset_score(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, double* score) noexcept nogil
cdef int zset_add(Heap* h, Cell* cell, double* score, const char* p, size_t n, uint64_t hash, int flags,
                  uint64_t max_entries, uint64_t max_value) noexcept nogil
    # adds or updates one member; score[0] is the score or increment, and afterwards the member's score (ADDED, UPDATED, SAME)
cdef int zset_remove(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil
    # 1 removed, 0 was not there, -1 no memory (ZSET_PACKED only) and nothing changed
cdef int zset_remove_range(Heap* h, Cell* cell, uint64_t first, uint64_t end) noexcept nogil    # by rank; 0, or -1 as above
cdef bint zset_rank(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, bint backwards, uint64_t* rank) noexcept nogil
cdef void zset_iter(ZsetIter* it, Cell* cell, uint64_t rank, bint backwards) noexcept nogil
    # from the member of that rank on; backwards: towards rank 0
cdef bint zset_next(ZsetIter* it, Slice* member, double* score, char* scratch) noexcept nogil
    # False at the end; no change meanwhile
cdef void zset_random(Cell* cell, Random* r, Slice* member, double* score, char* scratch) noexcept nogil
    # uniform, of a sorted set that is not empty
cdef uint64_t zset_scan(Cell* cell, uint64_t cursor, zset_visit visit, void* arg) noexcept nogil
    # the next cursor, 0 when done; a small one is visited whole.  No change from within `visit`
cdef int zset_to_tree(Heap* h, Cell* cell) noexcept nogil                       # 0, or -1 and nothing changed
cdef int zset_to_packed(Heap* h, Cell* cell) noexcept nogil                     # 0, or -1 and nothing changed
cdef uint64_t zset_bytes(Cell* cell, uint64_t samples) noexcept nogil
    # of memory; of a tree `samples` items are looked at, 0 = all
cdef bint zset_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil  # True: all gone; till then only to be called again
cdef void zset_free(Heap* h, Cell* cell) noexcept nogil
cdef int zset_check(Heap* h, Cell* cell) noexcept nogil                         # 0, or the number of the broken invariant

cdef inline void zset_prefetch(Cell* cell, uint64_t hash) noexcept nogil:
    """A hint, the first of two: the cell is about to be asked for the member with this hash."""
    if cell.layout == ZSET_TREE:
        table_prefetch_bucket(&(<Zset*>cell.ptr).members, hash)

cdef inline void zset_prefetch_item(Cell* cell, uint64_t hash) noexcept nogil:
    """A hint, the second: some time after zset_prefetch."""
    if cell.layout == ZSET_TREE:
        table_prefetch_item(&(<Zset*>cell.ptr).members, hash)
