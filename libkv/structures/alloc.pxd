# The memory of one store: size-class slabs for small pieces, malloc for large ones.
#
# Every byte that a store's structures hold comes from its Heap, and goes back with the size it was asked for, so that a
# piece carries no header, `used` is exact, and dropping a store frees all of it at once.  A Heap is used by whoever
# holds its store's lock; only big_new() and big_free() may be called without it.
#
#   size <= SMALL_MAX    class = size rounded up to 8 bytes; a slab is SLAB bytes, aligned to SLAB, of one class
#   larger               malloc, with two links in front, so that heap_delete() finds it
#
# Every function that returns a pointer returns NULL when there is no memory (or fault injection says so); nothing is
# changed then.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    SMALL_MAX = 1024            # largest size served from slabs
    CLASSES = 129               # class i holds pieces of 8 * i bytes
    SLAB = 65536

cdef struct Slab:               # 64 bytes in front of its pieces
    Slab* next                  # in the heap's list of this class's slabs with room, or in its pool of empty ones
    Slab* prev
    void* free                  # pieces given back, linked through their first 8 bytes
    uint32_t bump               # offset of the first piece never handed out
    uint32_t used               # pieces in use
    uint32_t size               # bytes a piece
    uint32_t listed             # 1 while in its class's list
    uint64_t pad[3]

cdef struct Big:                # in front of a large piece
    Big* next
    Big* prev

cdef struct Region:
    Region* next
    char* start
    size_t bytes
    size_t carved

cdef struct Heap:
    Slab* room[CLASSES]         # a slab with room a class, or &none
    Slab none                   # a slab that is always full: sends the fast path to the slow one
    Slab* pool                  # empty slabs
    uint64_t pooled
    Region* regions
    Big big                     # head of the ring of large pieces
    uint64_t used               # bytes in use: class sizes, large pieces with malloc's overhead, slab headers
    uint64_t peak
    uint64_t seed[2]            # the store's SipHash key
    int64_t fail_after          # fault injection: this many more allocations succeed; -1 = all
    Big arrays                  # head of the ring of zeroed arrays from malloc: their block begins 64 bytes in front
    Big mappings                # head of the ring of zeroed arrays that are mappings of their own
    void* owner                 # whoever made it: callbacks that get only a heap find their store by it

cdef Heap* heap_new(uint64_t seed0, uint64_t seed1) noexcept nogil
cdef void heap_delete(Heap* h) noexcept nogil
cdef void heap_fail_after(Heap* h, int64_t n) noexcept nogil
cdef int heap_check(Heap* h) noexcept nogil             # 0, or the number of the invariant that is broken

cdef void* heap_alloc_slow(Heap* h, size_t n) noexcept nogil
cdef void heap_free_slow(Heap* h, void* p, size_t n) noexcept nogil
cdef void* heap_resize(Heap* h, void* p, size_t old, size_t n) noexcept nogil     # realloc; p NULL and old 0: alloc
cdef void* heap_zeroed(Heap* h, size_t n) noexcept nogil                          # 64-byte aligned and zero; n a multiple of 64
cdef void heap_zeroed_free(Heap* h, void* p, size_t n) noexcept nogil
cdef void heap_zeroed_drop(Heap* h, void* p, size_t n, size_t from_, size_t to) noexcept nogil
    # gives whole pages of [from_, to) back early
cdef void* big_new(size_t n) noexcept nogil             # a large piece (n > SMALL_MAX) of no heap yet; any thread
cdef void big_free(void* p) noexcept nogil
cdef void heap_adopt(Heap* h, void* p, size_t n) noexcept nogil     # big_new's piece becomes heap h's
cdef size_t heap_size_large(size_t n) noexcept nogil

cdef extern from *:
    """
    #define KV_LIKELY(x) __builtin_expect(!!(x), 1)
    #define KV_UNLIKELY(x) __builtin_expect(!!(x), 0)
    #ifdef KEEPKV_SANITIZE
    #define KV_SLABS 0          /* every piece from malloc, so that the sanitizers see its bounds and its life */
    #else
    #define KV_SLABS 1
    #endif
    #ifdef KEEPKV_DEBUG
    #define KV_MOVES 1          /* entries move at every write, so that a stale pointer fails at once */
    #else
    #define KV_MOVES 0
    #endif
    """
    bint LIKELY "KV_LIKELY"(bint) noexcept nogil
    bint UNLIKELY "KV_UNLIKELY"(bint) noexcept nogil
    const bint SLABS "KV_SLABS"
    const bint MOVES "KV_MOVES"

cdef inline size_t heap_size(size_t n) noexcept nogil:
    """What a piece of n bytes occupies."""
    return (n + 7) & ~<size_t>7 if n <= SMALL_MAX else heap_size_large(n)

cdef inline void* heap_alloc(Heap* h, size_t n) noexcept nogil:
    """n > 0 bytes, 8-byte aligned, not zeroed."""
    cdef Slab* s
    cdef void* p
    if LIKELY(n <= SMALL_MAX and SLABS):
        s = h.room[(n + 7) >> 3]
        p = s.free
        if LIKELY(p != NULL):
            s.free = (<void**>p)[0]
            s.used += 1
            h.used += s.size
            return p
    return heap_alloc_slow(h, n)

cdef inline void heap_free(Heap* h, void* p, size_t n) noexcept nogil:
    """Gives back p of the n bytes it was asked for (or last resized to)."""
    cdef Slab* s
    if LIKELY(n <= SMALL_MAX and SLABS):
        s = <Slab*>(<size_t>p & ~<size_t>(SLAB - 1))
        if LIKELY(s.listed and s.used > 1):
            (<void**>p)[0] = s.free
            s.free = p
            s.used -= 1
            h.used -= s.size
            return
    heap_free_slow(h, p, n)
