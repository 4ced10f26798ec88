# Lists.
#
#   LIST_PACKED   one flat buffer (packed.pxd), up to LIST_PACKED_MAX bytes
#   LIST_CHUNKS   a List: a chain of chunks of entries (chunk.pxd)
#
# `fill` is list-max-listpack-size: -1..-5 = at most 4, 8, 16, 32, 64 KB a chunk; n > 0 = at most n entries (and 8 KB).
# Redis reports "quicklist" for both layouts.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.chunk cimport Chunk
from libkv.structures.packed cimport Needle, packed_get, packed_skip, packed_skip_back

cdef enum:
    LIST_PACKED_MAX = 1024      # bytes of the flat buffer; further pushes convert to chunks
    LIST_PACKED_BACK = 512      # bytes of entries in a single chunk at which pops convert back

cdef struct ListIter:           # stands on an element, or past the end (at == NULL); stale after any change
    Cell* cell
    Chunk* chunk                # NULL in a LIST_PACKED
    char* at
    char* stop                  # in this chunk: what follows the last entry, or (backwards) the first entry
    bint backwards

cdef int list_new(Heap* h, Cell* cell) noexcept nogil
cdef int list_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil
cdef uint64_t list_length(Cell* cell) noexcept nogil
cdef int list_push(Heap* h, Cell* cell, const char* p, size_t n, bint front, int fill) noexcept nogil
cdef Slice list_end(Cell* cell, bint front, char* scratch) noexcept nogil      # the first or last element; the list is not empty
# pops up to `count` elements; 0 or -1.  What list_end handed out is stale then
cdef int list_drop(Heap* h, Cell* cell, bint front, uint64_t count) noexcept nogil
# keeps count >= 1 elements from `first` on
cdef int list_trim(Heap* h, Cell* cell, uint64_t first, uint64_t count) noexcept nogil
# removes up to limit > 0 equal elements from the head (or the tail); how many, or -1
cdef int64_t list_remove(Heap* h, Cell* cell, const char* p, size_t n, int64_t limit, bint backwards) noexcept nogil

cdef void list_seek(ListIter* it, Cell* cell, int64_t index, bint backwards) noexcept nogil    # negative: from the tail
cdef void list_step_chunk(ListIter* it) noexcept nogil                         # list_step's rest: over a chunk's border
# walks from where it stands (this element included) to an equal one, over at most `limit` elements; adds the elements
# it passed over to passed[0]; False: not found
cdef bint list_find(ListIter* it, const Needle* x, uint64_t* passed, uint64_t limit) noexcept nogil
cdef int list_insert(Heap* h, ListIter* it, const char* p, size_t n, bint after, int fill) noexcept nogil
# both: 0 or -1; the iterator is stale afterwards
cdef int list_set(Heap* h, ListIter* it, const char* p, size_t n, int fill) noexcept nogil

cdef uint64_t list_bytes(Cell* cell) noexcept nogil                            # of memory
cdef bint list_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil  # frees `budget` chunks; True: all gone
cdef void list_free(Heap* h, Cell* cell) noexcept nogil
cdef int list_check(Cell* cell) noexcept nogil                                 # 0, or the number of the broken invariant

cdef inline void list_step(ListIter* it) noexcept nogil:
    """To the following element in the iterator's direction."""
    if not it.backwards:
        it.at += packed_skip(it.at)
        if it.at == it.stop:
            list_step_chunk(it)
    elif it.at == it.stop:
        list_step_chunk(it)
    else:
        it.at -= packed_skip_back(it.at)

cdef inline Slice list_value(ListIter* it, char* scratch) noexcept nogil:
    """The element that the iterator stands on; scratch: PACKED_SCRATCH bytes."""
    return packed_get(it.at, scratch)
