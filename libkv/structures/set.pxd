# Sets.
#
#   SET_INTS    a sorted buffer of integers (ints.pxd)                  Redis's "intset"
#   SET_PACKED  a flat buffer of entries (packed.pxd)                   reported as "hashtable"
#   SET_TABLE   a Table of items, each a member's prefixed bytes        Redis's "hashtable"
#
# Redis 7.0 has no SET_PACKED: a small set of strings costs it a hash table.  Here it is a buffer up to SET_PACKED_MAX
# members of at most SET_PACKED_BYTES; Redis's order of members is not defined then, so nobody can tell.  Layouts only
# change in the order INTS, PACKED, TABLE.
#
# Where a function takes a hash, it is siphash(heap.seed, member), or 0 for "not known": only SET_TABLE needs it.
# A member that a function hands out lies in the set, or in the caller's scratch of PACKED_SCRATCH bytes.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, SET_TABLE, Slice
from libkv.structures.random cimport Random
from libkv.structures.table cimport Table, TableIter, table_prefetch_bucket, table_prefetch_item

cdef enum:
    SET_PACKED_MAX = 128
    SET_PACKED_BYTES = 64

ctypedef void (*set_visit)(const char* p, size_t n, void* arg) noexcept nogil

cdef struct SetIter:
    Cell* cell
    char* at                    # SET_PACKED: the next entry
    uint64_t i                  # SET_INTS: the next index
    TableIter table

cdef int set_new(Heap* h, Cell* cell, const char* p, size_t n) noexcept nogil  # empty, laid out for its first member
cdef int set_new_ints(Heap* h, Cell* cell) noexcept nogil                      # empty, SET_INTS
cdef int set_new_table(Heap* h, Cell* cell, uint64_t members) noexcept nogil   # empty, for that many
cdef void set_take_ints(Cell* cell, char* ints) noexcept nogil                 # a loaded, validated buffer
cdef int set_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil
cdef uint64_t set_length(Cell* cell) noexcept nogil
cdef bint set_contains(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil
# 1 added, 0 was there, -1 no memory; max_ints: set-max-intset-entries
cdef int set_add(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, uint64_t max_ints) noexcept nogil
# 1 removed, 0 was not there, -1 no memory; p may be what set_random handed out
cdef int set_remove(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil
cdef Slice set_random(Cell* cell, Random* r, char* scratch) noexcept nogil     # of a set that is not empty
cdef void set_iter(SetIter* it, Cell* cell) noexcept nogil
# False at the end; meanwhile no change of this set, and no look-up in it (which may rehash a step)
cdef bint set_next(SetIter* it, Slice* member, char* scratch) noexcept nogil
# the next cursor, 0 when done; a small set is visited whole.  No change from within `visit`
cdef uint64_t set_scan(Cell* cell, uint64_t cursor, set_visit visit, void* arg) noexcept nogil
cdef int set_to_table(Heap* h, Cell* cell) noexcept nogil
# bytes of memory; of a table `samples` members are looked at (0: all)
cdef uint64_t set_bytes(Cell* cell, uint64_t samples) noexcept nogil
# frees about `budget` members; True: all gone; until then it may only be called again
cdef bint set_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil
cdef void set_free(Heap* h, Cell* cell) noexcept nogil
cdef int set_check(Heap* h, Cell* cell) noexcept nogil                         # 0, or the number of the broken invariant

cdef inline void set_prefetch(Cell* cell, uint64_t hash) noexcept nogil:
    """A hint, the first of two: the cell is about to be asked for the member with this hash."""
    if cell.layout == SET_TABLE:
        table_prefetch_bucket(<Table*>cell.ptr, hash)

cdef inline void set_prefetch_member(Cell* cell, uint64_t hash) noexcept nogil:
    """A hint, the second: some time after set_prefetch."""
    if cell.layout == SET_TABLE:
        table_prefetch_item(<Table*>cell.ptr, hash)
