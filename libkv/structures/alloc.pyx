"""The memory of one store (contract and layout: alloc.pxd).

Slabs of one size class each, after Bonwick ("The Slab Allocator", 1994), without caches of constructed objects: a
store is used under one lock, so a free list a slab is enough.  Steps of 8 bytes, where malloc has 16 and a minimum of
32, are what brings a small key below 50 bytes.  Empty slabs go to a pool and their pages back to the kernel.
"""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

cdef extern from "<malloc.h>" nogil:
    void* aligned_alloc(size_t, size_t)

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void*, size_t, int, int, int, long)
    int munmap(void*, size_t)
    int madvise(void*, size_t, int)
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS
        MAP_NORESERVE
        MADV_DONTNEED
    void* MAP_FAILED

cdef enum:
    REGION_FIRST = 1 << 20      # bytes of a store's first region; each further one doubles up to REGION_MAX
    REGION_MAX = 64 << 20
    POOL_MAX = 256              # empty slabs (16 MB) that keep their pages: what is freed and filled again faults none in
    MMAP_FROM = 256 << 10       # zeroed arrays from this size on are mappings of their own
    PAGE = 4096                 # in front of such a mapping: its links and size

cdef struct Mapping:
    size_t bytes
    Big links


cdef Heap* heap_new(uint64_t seed0, uint64_t seed1) noexcept nogil:
    cdef Heap* h = <Heap*>malloc(sizeof(Heap))
    cdef int i
    if h == NULL:
        return NULL
    memset(h, 0, sizeof(Heap))
    for i in range(CLASSES):
        h.room[i] = &h.none
    h.big.next = h.big.prev = &h.big
    h.arrays.next = h.arrays.prev = &h.arrays
    h.mappings.next = h.mappings.prev = &h.mappings
    h.seed[0] = seed0
    h.seed[1] = seed1
    h.fail_after = -1
    h.used = h.peak = sizeof(Heap)
    return h


cdef inline Mapping* mapping_of(Big* links) noexcept nogil:
    return <Mapping*>(<char*>links - sizeof(size_t))


cdef void heap_delete(Heap* h) noexcept nogil:
    cdef Big* b
    cdef Big* after
    cdef Region* r
    cdef Region* next_region
    if h == NULL:
        return
    b = h.big.next
    while b != &h.big:
        after = b.next
        free(b)
        b = after
    b = h.arrays.next
    while b != &h.arrays:
        after = b.next
        free(<char*>(b + 1) - 64)
        b = after
    b = h.mappings.next
    while b != &h.mappings:
        after = b.next
        munmap(mapping_of(b), mapping_of(b).bytes)
        b = after
    r = h.regions
    while r != NULL:
        next_region = r.next
        munmap(r.start, r.bytes)
        free(r)
        r = next_region
    free(h)


cdef void heap_fail_after(Heap* h, int64_t n) noexcept nogil:
    """Lets n more allocations succeed and then none; n = -1 ends it.  For tests: while it is set, every allocation
    takes the slow path, which counts."""
    cdef int i
    cdef Slab* s
    cdef Slab* after
    h.fail_after = n
    if n < 0:
        return
    for i in range(CLASSES):
        s = h.room[i]
        h.room[i] = &h.none
        while s != NULL and s != &h.none:
            after = s.next
            s.next = s.prev = NULL
            s.listed = 0        # comes back to its class at the next free in it
            s = after


cdef bint may_fail(Heap* h) noexcept nogil:
    if LIKELY(h.fail_after < 0):
        return False
    if h.fail_after == 0:
        return True
    h.fail_after -= 1
    return False


# ---- slabs

cdef Slab* slab_carve(Heap* h) noexcept nogil:
    """A fresh slab from the newest region, or from a new one."""
    cdef Region* r = h.regions
    cdef size_t bytes
    cdef char* p
    cdef char* start
    if r == NULL or r.carved + SLAB > r.bytes:
        bytes = REGION_FIRST
        if r != NULL:
            bytes = r.bytes * 2 if r.bytes < REGION_MAX else REGION_MAX
        # over-map by one slab, then trim both ends to the alignment
        p = <char*>mmap(NULL, bytes + SLAB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if <void*>p == MAP_FAILED:
            return NULL
        start = <char*>((<size_t>p + SLAB - 1) & ~<size_t>(SLAB - 1))
        if start > p:
            munmap(p, start - p)
        if p + SLAB > start:
            munmap(start + bytes, p + SLAB - start)
        r = <Region*>malloc(sizeof(Region))
        if r == NULL:
            munmap(start, bytes)
            return NULL
        r.next = h.regions
        r.start = start
        r.bytes = bytes
        r.carved = 0
        h.regions = r
    p = r.start + r.carved
    r.carved += SLAB
    return <Slab*>p


cdef void slab_list(Heap* h, Slab* s, size_t cls) noexcept nogil:
    """Puts a slab with room at the head of its class."""
    cdef Slab* head = h.room[cls]
    s.prev = NULL
    s.next = NULL if head == &h.none else head
    if s.next != NULL:
        s.next.prev = s
    h.room[cls] = s
    s.listed = 1


cdef void slab_unlist(Heap* h, Slab* s, size_t cls) noexcept nogil:
    if s.prev != NULL:
        s.prev.next = s.next
    elif h.room[cls] == s:
        h.room[cls] = s.next if s.next != NULL else &h.none
    if s.next != NULL:
        s.next.prev = s.prev
    s.next = s.prev = NULL
    s.listed = 0


cdef void* small_alloc(Heap* h, size_t n) noexcept nogil:
    cdef size_t cls = (n + 7) >> 3
    cdef Slab* s = h.room[cls]
    cdef void* p
    while s != &h.none:
        if s.free != NULL:
            p = s.free
            s.free = (<void**>p)[0]
            s.used += 1
            h.used += s.size
            return p
        if s.bump + s.size <= SLAB:
            p = <char*>s + s.bump
            s.bump += s.size
            s.used += 1
            h.used += s.size
            return p
        slab_unlist(h, s, cls)          # full: it comes back with its first free
        s = h.room[cls]
    if h.pool != NULL:
        s = h.pool
        h.pool = s.next
        h.pooled -= 1
    else:
        s = slab_carve(h)
        if s == NULL:
            return NULL
    memset(s, 0, sizeof(Slab))
    s.size = <uint32_t>(cls << 3)
    s.bump = sizeof(Slab)
    h.used += sizeof(Slab)
    if h.fail_after < 0:
        slab_list(h, s, cls)
    p = <char*>s + s.bump
    s.bump += s.size
    s.used = 1
    h.used += s.size
    return p


cdef void small_free(Heap* h, void* p, size_t n) noexcept nogil:
    cdef Slab* s = <Slab*>(<size_t>p & ~<size_t>(SLAB - 1))
    cdef size_t cls = (n + 7) >> 3
    (<void**>p)[0] = s.free
    s.free = p
    s.used -= 1
    h.used -= s.size
    if s.used == 0 and not (s.listed and s.next == NULL and s.prev == NULL):
        # empty, and not the only one with room in its class: back to the pool
        if s.listed:
            slab_unlist(h, s, cls)
        h.used -= sizeof(Slab)
        if h.pooled >= POOL_MAX:
            madvise(s, SLAB, MADV_DONTNEED)
        s.next = h.pool
        h.pool = s
        h.pooled += 1
    elif not s.listed and h.fail_after < 0:
        slab_list(h, s, cls)


# ---- large pieces

cdef size_t heap_size_large(size_t n) noexcept nogil:
    return ((n + sizeof(Big) + 8 + 15) & ~<size_t>15)


cdef void* big_new(size_t n) noexcept nogil:
    cdef Big* b
    if n > <size_t>-1 - 64:
        return NULL
    b = <Big*>malloc(n + sizeof(Big))
    return NULL if b == NULL else <void*>(b + 1)


cdef void big_free(void* p) noexcept nogil:
    if p != NULL:
        free(<Big*>p - 1)


cdef void heap_adopt(Heap* h, void* p, size_t n) noexcept nogil:
    big_link(&h.big, <Big*>p - 1)
    h.used += heap_size_large(n)


cdef void big_link(Big* ring, Big* b) noexcept nogil:
    b.next = ring.next
    b.prev = ring
    b.next.prev = b
    ring.next = b


cdef void big_release(Heap* h, Big* b) noexcept nogil:
    b.next.prev = b.prev
    b.prev.next = b.next


cdef void* heap_alloc_slow(Heap* h, size_t n) noexcept nogil:
    cdef void* p
    if may_fail(h):
        return NULL
    if n <= SMALL_MAX:
        if SLABS:
            return small_alloc(h, n)
        n = (n + 7) & ~<size_t>7        # whoever asks may use the rest of its size class
    p = big_new(n)
    if p != NULL:
        heap_adopt(h, p, n)
    return p


cdef void heap_free_slow(Heap* h, void* p, size_t n) noexcept nogil:
    if p == NULL:
        return
    if n <= SMALL_MAX:
        if SLABS:
            small_free(h, p, n)
            return
        n = (n + 7) & ~<size_t>7
    big_release(h, <Big*>p - 1)
    h.used -= heap_size_large(n)
    free(<Big*>p - 1)


cdef void* heap_resize(Heap* h, void* p, size_t old, size_t n) noexcept nogil:
    cdef void* q
    cdef Big* b
    if p == NULL:
        return heap_alloc(h, n)
    if old <= SMALL_MAX and SLABS and n <= SMALL_MAX and (old + 7) >> 3 == (n + 7) >> 3:
        return p
    if old > SMALL_MAX and n > SMALL_MAX:
        if may_fail(h):
            return NULL
        if n > <size_t>-1 - 64:
            return NULL
        b = <Big*>p - 1
        big_release(h, b)
        q = realloc(b, n + sizeof(Big))
        if q == NULL:
            h.used -= heap_size_large(old)
            heap_adopt(h, p, old)
            return NULL
        h.used -= heap_size_large(old)
        q = <void*>(<Big*>q + 1)
        heap_adopt(h, q, n)
        return q
    q = heap_alloc(h, n)
    if q == NULL:
        return NULL
    memcpy(q, p, old if old < n else n)
    heap_free(h, p, old)
    return q


# ---- zeroed arrays, aligned to a cache line

cdef void* heap_zeroed(Heap* h, size_t n) noexcept nogil:
    cdef char* p
    if may_fail(h):
        return NULL
    if n <= SMALL_MAX and SLABS:        # a slab's header is 64 bytes, so a class that is a multiple of 64 is aligned
        p = <char*>small_alloc(h, n)
        if p != NULL:
            memset(p, 0, n)
        return p
    if n >= MMAP_FROM:
        if n > <size_t>-1 - PAGE:
            return NULL
        p = <char*>mmap(NULL, n + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if <void*>p == MAP_FAILED:
            return NULL
        (<Mapping*>p).bytes = n + PAGE
        big_link(&h.mappings, &(<Mapping*>p).links)
        h.used += n + PAGE
        return p + PAGE
    p = <char*>aligned_alloc(64, n + 64)
    if p == NULL:
        return NULL
    memset(p + 64, 0, n)
    big_link(&h.arrays, <Big*>(p + 64) - 1)
    h.used += heap_size_large(n) + 48   # with the rest of the line in front of the array
    return p + 64


cdef void heap_zeroed_free(Heap* h, void* p, size_t n) noexcept nogil:
    if p == NULL:
        return
    if n <= SMALL_MAX and SLABS:
        small_free(h, p, n)
    elif n >= MMAP_FROM:
        big_release(h, &(<Mapping*>(<char*>p - PAGE)).links)
        munmap(<char*>p - PAGE, n + PAGE)
        h.used -= n + PAGE
    else:
        big_release(h, <Big*>p - 1)
        h.used -= heap_size_large(n) + 48
        free(<char*>p - 64)


cdef void heap_zeroed_drop(Heap* h, void* p, size_t n, size_t from_, size_t to) noexcept nogil:
    """Gives the whole pages of [from_, to) back, so that freeing a large array later is no long pause.  The bytes read
    as zero afterwards and stay counted in `used` until the array is freed."""
    cdef size_t a = (from_ + 4095) & ~<size_t>4095
    cdef size_t b = to & ~<size_t>4095
    if n >= MMAP_FROM and a < b:
        madvise(<char*>p + a, b - a, MADV_DONTNEED)


# ---- invariants

cdef int heap_check(Heap* h) noexcept nogil:
    """1 a class lists a slab of another size, 2 a listed slab is not marked, 3 counts and offsets disagree,
    4 a free list leaves its slab, 5 the ring of large pieces is torn."""
    cdef int i
    cdef Slab* s
    cdef void* p
    cdef uint32_t n
    cdef Big* b
    for i in range(CLASSES):
        s = h.room[i]
        while s != NULL and s != &h.none:
            if s.size != 8 * i:
                return 1
            if not s.listed:
                return 2
            n = 0
            p = s.free
            while p != NULL:
                if <size_t>p & ~<size_t>(SLAB - 1) != <size_t>s:
                    return 4
                n += 1
                p = (<void**>p)[0]
            if sizeof(Slab) + (n + s.used) * s.size != s.bump:
                return 3
            s = s.next
    b = h.big.next
    while b != &h.big:
        if b.next.prev != b:
            return 5
        b = b.next
    return 0
