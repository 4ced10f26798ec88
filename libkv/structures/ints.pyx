"""A sorted set of integers in one flat buffer (contract, layout and source: ints.pxd)."""

from libc.stdint cimport int16_t, int32_t, uint64_t
from libc.string cimport memmove

from libkv.structures.alloc cimport heap_alloc, heap_free, heap_resize
from libkv.structures.packed cimport packed_room
from libkv.structures.random cimport random_below


# ---- one number

cdef inline int64_t ints_at(const char* b, uint32_t width, uint64_t i) noexcept nogil:
    cdef int16_t v2
    cdef int32_t v4
    cdef int64_t v8
    if width == 2:
        memcpy(&v2, b + INTS_HEADER + i * 2, 2)
        return v2
    if width == 4:
        memcpy(&v4, b + INTS_HEADER + i * 4, 4)
        return v4
    memcpy(&v8, b + INTS_HEADER + i * 8, 8)
    return v8


cdef inline void ints_put(char* b, uint32_t width, uint64_t i, int64_t v) noexcept nogil:
    memcpy(b + INTS_HEADER + i * width, &v, width)      # little-endian (packed.pxd): its low bytes come first


cdef inline uint32_t ints_width_of(int64_t v) noexcept nogil:
    if -32768 <= v <= 32767:
        return 2
    if -2147483648 <= v <= 2147483647:
        return 4
    return 8


cdef inline void ints_frame(char* b, uint32_t width, uint32_t count) noexcept nogil:
    memcpy(b, &width, 4)
    memcpy(b + 4, &count, 4)


cdef bint ints_search(const char* b, int64_t v, uint32_t* at) noexcept nogil:
    """Whether v is there; at[0] = its index, or that of the first larger number."""
    cdef uint32_t width = ints_width(b)
    cdef uint32_t low = 0
    cdef uint32_t high = ints_length(b)
    cdef uint32_t middle
    cdef int64_t x
    if high and v > ints_at(b, width, high - 1):            # ascending adds need no search
        at[0] = high
        return False
    while low < high:
        middle = low + (high - low) // 2
        x = ints_at(b, width, middle)
        if x == v:
            at[0] = middle
            return True
        if x < v:
            low = middle + 1
        else:
            high = middle
    at[0] = low
    return False


# ---- the buffer

cdef int ints_new(Heap* h, char** b) noexcept nogil:
    """An empty buffer in b[0]; 0 or -1."""
    cdef char* p = <char*>heap_alloc(h, packed_room(INTS_HEADER))
    if p == NULL:
        return -1
    ints_frame(p, 2, 0)
    b[0] = p
    return 0


cdef void ints_free(Heap* h, char* b) noexcept nogil:
    if b != NULL:
        heap_free(h, b, packed_room(ints_bytes(b)))


cdef int ints_copy(Heap* h, const char* b, char** copy) noexcept nogil:
    """A buffer equal to b, which may lie anywhere, in copy[0]; 0 or -1."""
    cdef size_t n = ints_bytes(b)
    cdef char* p = <char*>heap_alloc(h, packed_room(n))
    if p == NULL:
        return -1
    memcpy(p, b, n)
    copy[0] = p
    return 0


cdef bint ints_contains(const char* b, int64_t v) noexcept nogil:
    cdef uint32_t at
    return ints_width_of(v) <= ints_width(b) and ints_search(b, v, &at)


cdef int64_t ints_get(const char* b, uint32_t i) noexcept nogil:
    return ints_at(b, ints_width(b), i)


cdef int64_t ints_random(const char* b, Random* r) noexcept nogil:
    return ints_at(b, ints_width(b), random_below(r, ints_length(b)))


cdef int ints_widen(Heap* h, char** b, uint32_t width, int64_t v) noexcept nogil:
    """Adds v, which is too wide for the others and thus smaller or larger than all of them."""
    cdef uint32_t old = ints_width(b[0])
    cdef uint32_t count = ints_length(b[0])
    cdef uint32_t shift = 1 if v < 0 else 0
    cdef uint32_t i
    cdef char* p = <char*>heap_alloc(h, packed_room(INTS_HEADER + (<size_t>count + 1) * width))
    if p == NULL:
        return -1
    ints_frame(p, width, count + 1)
    for i in range(count):
        ints_put(p, width, <uint64_t>i + shift, ints_at(b[0], old, i))
    ints_put(p, width, 0 if v < 0 else count, v)
    ints_free(h, b[0])
    b[0] = p
    return 1


cdef int ints_add(Heap* h, char** b, int64_t v) noexcept nogil:
    cdef uint32_t width = ints_width(b[0])
    cdef uint32_t count = ints_length(b[0])
    cdef uint32_t at
    cdef size_t old
    cdef char* p
    if count == <uint32_t>0xFFFFFFFF:
        return -1
    if ints_width_of(v) > width:
        return ints_widen(h, b, ints_width_of(v), v)
    if ints_search(b[0], v, &at):
        return 0
    old = ints_bytes(b[0])
    p = b[0]
    if packed_room(old + width) != packed_room(old):
        p = <char*>heap_resize(h, b[0], packed_room(old), packed_room(old + width))
        if p == NULL:
            return -1
        b[0] = p
    p += INTS_HEADER + <size_t>at * width
    memmove(p + width, p, <size_t>(count - at) * width)
    ints_put(b[0], width, at, v)
    ints_frame(b[0], width, count + 1)
    return 1


cdef int ints_remove(Heap* h, char** b, int64_t v) noexcept nogil:
    cdef uint32_t width = ints_width(b[0])
    cdef uint32_t count = ints_length(b[0])
    cdef uint32_t at
    cdef size_t old = ints_bytes(b[0])
    cdef size_t before
    cdef char* p = b[0]
    if ints_width_of(v) > width or not ints_search(b[0], v, &at):
        return 0
    if packed_room(old - width) != packed_room(old):
        p = <char*>heap_alloc(h, packed_room(old - width))
        if p == NULL:
            return -1
    before = INTS_HEADER + <size_t>at * width
    if p != b[0]:
        memcpy(p, b[0], before)
    memmove(p + before, b[0] + before + width, <size_t>(count - at - 1) * width)
    if p != b[0]:
        heap_free(h, b[0], packed_room(old))
        b[0] = p
    ints_frame(p, width, count - 1)
    return 1


# ---- invariants

cdef bint ints_validate(const char* b, size_t size, bint deep) noexcept nogil:
    cdef uint32_t width
    cdef uint32_t count
    cdef uint32_t i
    if size < INTS_HEADER:
        return False
    width = ints_width(b)
    count = ints_length(b)
    if width != 2 and width != 4 and width != 8:
        return False
    if count == 0 or ints_bytes(b) != size:
        return False
    if deep:
        for i in range(1, count):
            if ints_at(b, width, i - 1) >= ints_at(b, width, i):
                return False
    return True


cdef int ints_check(const char* b) noexcept nogil:
    """1 the width is none, 2 the numbers do not ascend."""
    cdef uint32_t width = ints_width(b)
    cdef uint32_t i
    if width != 2 and width != 4 and width != 8:
        return 1
    for i in range(1, ints_length(b)):
        if ints_at(b, width, i - 1) >= ints_at(b, width, i):
            return 2
    return 0
