# Hashes.
#
#   HASH_PACKED  a flat buffer of field, value, field, value, ... (packed.pxd)      Redis's "listpack"
#   HASH_TABLE   a Table of items, key_at 0                                         Redis's "hashtable"
#
#       +----------------------------+----------------------------+
#       | field, length-prefixed     | value, length-prefixed     |                an item: one allocation
#       +----------------------------+----------------------------+
#
# A hash becomes a table when it has more than max_entries fields (hash-max-listpack-entries), or when a field or value
# is longer than max_value (hash-max-listpack-value), and stays one.
#
# Where a function takes a hash, it is siphash(heap.seed, field), or 0 for "not known": only HASH_TABLE needs it.
# What a function hands out lies in the hash or in the caller's scratch, and is valid until the hash changes.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, HASH_TABLE, Slice
from libkv.structures.random cimport Random
from libkv.structures.table cimport Table, TableIter, table_prefetch_bucket, table_prefetch_item

cdef enum:
    HASH_SCRATCH = 48           # bytes: an integer field's and an integer value's digits

ctypedef void (*hash_visit)(Slice* field, Slice* value, void* arg) noexcept nogil

cdef struct HashIter:
    Cell* cell
    char* at                    # HASH_PACKED: the next field
    TableIter table

cdef int hash_new(Heap* h, Cell* cell) noexcept nogil                           # empty, packed; 0 or -1
cdef int hash_new_table(Heap* h, Cell* cell, uint64_t fields) noexcept nogil    # empty, for that many; 0 or -1
cdef int hash_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil              # 0 or -1
cdef uint64_t hash_length(Cell* cell) noexcept nogil
cdef bint hash_get(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, Slice* value, char* scratch) noexcept nogil
cdef int hash_set(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, const char* value, size_t value_n,
                  uint64_t max_entries, uint64_t max_value) noexcept nogil
    # 1 added, 0 replaced, -1 no memory and nothing changed
cdef int hash_remove(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil
    # 1 removed, 0 was not there, -1 no memory (HASH_PACKED only) and nothing changed
cdef void hash_iter(HashIter* it, Cell* cell) noexcept nogil
cdef bint hash_next(HashIter* it, Slice* field, Slice* value, char* scratch) noexcept nogil
    # False at the end; no change meanwhile
cdef void hash_random(Cell* cell, Random* r, Slice* field, Slice* value, char* scratch) noexcept nogil
    # of a hash that is not empty
cdef uint64_t hash_scan(Cell* cell, uint64_t cursor, hash_visit visit, void* arg) noexcept nogil
    # the next cursor, 0 when done; a small hash is visited whole.  No change from within `visit`
cdef int hash_to_table(Heap* h, Cell* cell) noexcept nogil                      # 0, or -1 and nothing changed
cdef uint64_t hash_bytes(Cell* cell, uint64_t samples) noexcept nogil
    # of memory; of a table `samples` items are looked at, 0 = all
cdef bint hash_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil  # True: all gone; till then only to be called again
cdef void hash_free(Heap* h, Cell* cell) noexcept nogil
cdef int hash_check(Heap* h, Cell* cell) noexcept nogil                         # 0, or the number of the broken invariant

cdef inline void hash_prefetch(Cell* cell, uint64_t hash) noexcept nogil:
    """A hint, the first of two: the cell is about to be asked for the field with this hash."""
    if cell.layout == HASH_TABLE:
        table_prefetch_bucket(<Table*>cell.ptr, hash)

cdef inline void hash_prefetch_item(Cell* cell, uint64_t hash) noexcept nogil:
    """A hint, the second: some time after hash_prefetch."""
    if cell.layout == HASH_TABLE:
        table_prefetch_item(<Table*>cell.ptr, hash)
