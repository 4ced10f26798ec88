# A chain of chunks of entries: the layout of long lists.
#
#   List            Chunk                                         Chunk
#   +-------+       +-----------------------------------+         +----
#   | head  |-----> | prev | next | room | start | end  | <-----> |
#   | tail  |       | count | ... entries ...           |         |
#   | count |       +-----------------------------------+         +----
#   | chunks|         0 <= start <= end <= room; entries lie in data[start:end], as in a packed buffer (packed.pxd),
#   +-------+         without its header; no chunk is empty
#
# Pushing moves an end, popping moves an end, neither moves the other entries (Redis's quicklist is a chain of listpacks
# too, each of which moves as a whole when its first entry goes).  A chunk's piece starts small and doubles up to the
# limit that `fill` sets (list.pxd); an entry larger than the limit has a chunk of its own.  Functions that can fail
# return -1 or NULL with nothing changed; removing can't fail.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.packed cimport Needle

cdef struct Chunk:              # 40 bytes, then `room` bytes
    Chunk* prev
    Chunk* next
    size_t room
    uint32_t start
    uint32_t end
    uint32_t count
    uint32_t pad

cdef struct List:
    Chunk* head
    Chunk* tail
    uint64_t count              # elements
    uint64_t chunks

cdef List* chunks_of_entries(Heap* h, const char* p, size_t n, uint64_t count, bint front) noexcept nogil
cdef int chunks_add(Heap* h, List* chain, const char* p, size_t n, uint32_t count) noexcept nogil      # a full chunk at the tail
cdef List* chunks_copy(Heap* h, List* chain) noexcept nogil
cdef int chunks_push(Heap* h, List* chain, const char* p, size_t n, bint front, int fill) noexcept nogil
cdef void chunks_drop(Heap* h, List* chain, bint front, uint64_t count) noexcept nogil
cdef int64_t chunks_remove(Heap* h, List* chain, const Needle* x, int64_t limit, bint backwards) noexcept nogil
cdef int chunk_put(Heap* h, List* chain, Chunk* c, char* at, size_t less, const char* p, size_t n, int fill) noexcept nogil
cdef void chunk_tidy(Heap* h, List* chain, Chunk* c) noexcept nogil
cdef uint64_t chunks_bytes(List* chain) noexcept nogil                                 # of memory
cdef bint chunks_free_some(Heap* h, List* chain, uint64_t budget) noexcept nogil       # frees `budget` chunks; True: all gone
cdef int chunks_check(List* chain) noexcept nogil                                      # 0, or the number of the broken invariant

cdef inline char* chunk_data(Chunk* c) noexcept nogil:
    return <char*>(c + 1)

cdef inline size_t chunk_used(Chunk* c) noexcept nogil:
    return c.end - c.start

cdef inline char* chunk_from(Chunk* c) noexcept nogil:
    return chunk_data(c) + c.start

cdef inline char* chunk_to(Chunk* c) noexcept nogil:
    return chunk_data(c) + c.end
