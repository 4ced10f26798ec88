"""A chain of chunks of entries (contract and layout: chunk.pxd)."""

from libc.string cimport memcpy, memmove

from libkv.structures.alloc cimport heap_alloc, heap_free, heap_size
from libkv.structures.packed cimport (
    PACKED_EMPTY, packed_entry_size, packed_entry_sound, packed_entry_write, packed_equal, packed_skip,
    packed_skip_back,
)

cdef enum:
    CHUNK_FIRST = 2048          # bytes of entries a list's first chunk has room for; it doubles up to the limit
    CHUNK_FULL_FROM = 3         # a list of so many chunks makes further ones of full size at once
    CHUNK_BYTES = 8192          # limit of a chunk when `fill` counts entries


# ---- sizes of chunks

cdef inline size_t chunk_fill_bytes(int fill) noexcept nogil:
    """Bytes of entries in a chunk: a packed buffer of them has the size that the setting names."""
    cdef size_t bytes = CHUNK_BYTES
    if fill < 0:
        bytes = <size_t>4096 << (-1 - (fill if fill > -5 else -5))
    return bytes - PACKED_EMPTY


cdef inline uint32_t chunk_fill_count(int fill) noexcept nogil:
    return <uint32_t>0xFFFFFFFF if fill < 0 else (fill if fill else 1)


cdef size_t chunk_room_for(List* chain, size_t size, int fill) noexcept nogil:
    """Room of a new chunk whose first entry takes `size` bytes."""
    cdef size_t room = chunk_fill_bytes(fill)
    if chain.chunks < CHUNK_FULL_FROM and room > CHUNK_FIRST:
        room = CHUNK_FIRST
    if fill >= 0 and room > size * chunk_fill_count(fill):
        room = size * chunk_fill_count(fill)
    return room if room > size else size


# ---- the chain

cdef Chunk* chunk_new(Heap* h, size_t room) noexcept nogil:
    cdef Chunk* c = <Chunk*>heap_alloc(h, sizeof(Chunk) + room)
    if c == NULL:
        return NULL
    c.prev = c.next = NULL
    c.room = room
    c.start = c.end = c.count = c.pad = 0
    return c


cdef inline void chunk_free(Heap* h, Chunk* c) noexcept nogil:
    heap_free(h, c, sizeof(Chunk) + c.room)


cdef void chunk_link(List* chain, Chunk* c, Chunk* before) noexcept nogil:
    """Puts c into the chain in front of `before` (NULL: at the tail)."""
    c.next = before
    c.prev = before.prev if before != NULL else chain.tail
    if c.prev != NULL:
        c.prev.next = c
    else:
        chain.head = c
    if before != NULL:
        before.prev = c
    else:
        chain.tail = c
    chain.chunks += 1


cdef void chunk_unlink(Heap* h, List* chain, Chunk* c) noexcept nogil:
    """Takes c out of the chain and frees it."""
    if c.prev != NULL:
        c.prev.next = c.next
    else:
        chain.head = c.next
    if c.next != NULL:
        c.next.prev = c.prev
    else:
        chain.tail = c.prev
    chain.chunks -= 1
    chunk_free(h, c)


cdef Chunk* chunk_resized(Heap* h, List* chain, Chunk* c, size_t room, size_t start) noexcept nogil:
    """c in a piece with another room, its entries at `start`; NULL with nothing changed."""
    cdef Chunk* b = chunk_new(h, room)
    if b == NULL:
        return NULL
    b.start = <uint32_t>start
    b.end = <uint32_t>(start + chunk_used(c))
    b.count = c.count
    memcpy(chunk_from(b), chunk_from(c), chunk_used(c))
    chunk_link(chain, b, c)
    chunk_unlink(h, chain, c)
    return b


cdef void chunk_slide(Chunk* c, size_t start) noexcept nogil:
    """Moves the entries inside c."""
    memmove(chunk_data(c) + start, chunk_from(c), chunk_used(c))
    c.end = <uint32_t>(start + chunk_used(c))
    c.start = <uint32_t>start


cdef Chunk* chunk_with_room(Heap* h, List* chain, Chunk* c, size_t size, bint front, int fill) noexcept nogil:
    """c (or its successor) with `size` bytes of room at one end, the limits allowing it.  A chunk that is at most half
    full slides its entries to the middle, a small one doubles, so that pushes at both ends stay O(1) on average.
    NULL without memory; a chunk without that room: it can't have it."""
    cdef size_t used = chunk_used(c)
    cdef size_t room = c.room
    cdef size_t limit = chunk_fill_bytes(fill)
    cdef size_t side
    if (c.start if front else room - c.end) >= size:
        return c
    if used + size <= room and used * 2 <= room:
        side = (room - used) // 2
        if side < size:
            side = size
        chunk_slide(c, side if front else room - used - side)
        return c
    if room >= limit:
        return c
    room = room * 2 if room * 2 > used + size else used + size
    if room > limit:
        room = limit
    return chunk_resized(h, chain, c, room, room - used if front else 0)


cdef inline bint chunk_takes(Chunk* c, size_t less, size_t size, int fill) noexcept nogil:
    """Whether the limits allow `size` bytes in place of `less`; less = 0: one more entry."""
    return chunk_used(c) - less + size <= chunk_fill_bytes(fill) and c.count + (less == 0) <= chunk_fill_count(fill)


cdef void chunk_tidy(Heap* h, List* chain, Chunk* c) noexcept nogil:
    """After entries went from the middle: joins c with a neighbour when both together fill at most half of a piece, and
    gives a piece that is nearly empty back.  Without memory it stays as it is."""
    cdef Chunk* into
    if c == NULL:
        return
    if c.prev != NULL and (chunk_used(c) + chunk_used(c.prev)) * 2 <= c.prev.room:
        c = c.prev
    into = c.next
    if into != NULL and (chunk_used(c) + chunk_used(into)) * 2 <= c.room:
        chunk_slide(c, 0)
        memcpy(chunk_to(c), chunk_from(into), chunk_used(into))
        c.end += <uint32_t>chunk_used(into)
        c.count += into.count
        chunk_unlink(h, chain, into)
    if c.room > CHUNK_FIRST and chunk_used(c) * 4 < c.room:
        chunk_resized(h, chain, c, chunk_used(c) * 2, 0)


# ---- the whole chain

cdef List* chunks_new(Heap* h) noexcept nogil:
    """An empty chain, or NULL."""
    cdef List* chain = <List*>heap_alloc(h, sizeof(List))
    if chain == NULL:
        return NULL
    chain.head = chain.tail = NULL
    chain.count = chain.chunks = 0
    return chain


cdef List* chunks_of_entries(Heap* h, const char* p, size_t n, uint64_t count, bint front) noexcept nogil:
    """A chain of one chunk with these n bytes of entries, with room in front of them or behind; NULL without memory."""
    cdef size_t room = CHUNK_FIRST if n < CHUNK_FIRST else n
    cdef Chunk* c
    cdef List* chain = chunks_new(h)
    if chain == NULL or count == 0:
        return chain
    c = chunk_new(h, room)
    if c == NULL:
        heap_free(h, chain, sizeof(List))
        return NULL
    c.start = <uint32_t>(room - n) if front else 0
    c.end = c.start + <uint32_t>n
    c.count = <uint32_t>count
    memcpy(chunk_from(c), p, n)
    chunk_link(chain, c, NULL)
    chain.count = count
    return chain


cdef int chunks_add(Heap* h, List* chain, const char* p, size_t n, uint32_t count) noexcept nogil:
    """These n bytes of entries as one more chunk at the tail, without room to spare; 0 or -1."""
    cdef Chunk* c = chunk_new(h, n)
    if c == NULL:
        return -1
    memcpy(chunk_data(c), p, n)
    c.end = <uint32_t>n
    c.count = count
    chunk_link(chain, c, NULL)
    chain.count += count
    return 0


cdef List* chunks_copy(Heap* h, List* chain) noexcept nogil:
    """An equal chain, or NULL."""
    cdef List* copy = chunks_new(h)
    cdef Chunk* c = chain.head
    cdef Chunk* b
    if copy == NULL:
        return NULL
    while c != NULL:
        b = chunk_new(h, chunk_used(c))
        if b == NULL:
            chunks_free_some(h, copy, <uint64_t>-1)
            return NULL
        memcpy(chunk_data(b), chunk_from(c), chunk_used(c))
        b.end = <uint32_t>chunk_used(c)
        b.count = c.count
        chunk_link(copy, b, NULL)
        copy.count += c.count
        c = c.next
    return copy


cdef uint64_t chunks_bytes(List* chain) noexcept nogil:
    cdef uint64_t bytes = heap_size(sizeof(List))
    cdef Chunk* c = chain.head
    while c != NULL:
        bytes += heap_size(sizeof(Chunk) + c.room)
        c = c.next
    return bytes


cdef bint chunks_free_some(Heap* h, List* chain, uint64_t budget) noexcept nogil:
    while chain.head != NULL:
        if budget == 0:
            return False
        budget -= 1
        chunk_unlink(h, chain, chain.head)
    heap_free(h, chain, sizeof(List))
    return True


# ---- the ends

cdef int chunks_push(Heap* h, List* chain, const char* p, size_t n, bint front, int fill) noexcept nogil:
    cdef size_t size = packed_entry_size(p, n)
    cdef Chunk* c = chain.head if front else chain.tail
    if c != NULL and chunk_takes(c, 0, size, fill):
        c = chunk_with_room(h, chain, c, size, front, fill)
        if c == NULL:
            return -1
    else:
        c = NULL
    if c == NULL or (c.start if front else c.room - c.end) < size:
        c = chunk_new(h, chunk_room_for(chain, size, fill))
        if c == NULL:
            return -1
        c.start = c.end = <uint32_t>c.room if front else 0
        chunk_link(chain, c, chain.head if front else NULL)
    if front:
        c.start -= <uint32_t>size
        packed_entry_write(chunk_from(c), p, n)
    else:
        packed_entry_write(chunk_to(c), p, n)
        c.end += <uint32_t>size
    c.count += 1
    chain.count += 1
    return 0


cdef void chunks_drop(Heap* h, List* chain, bint front, uint64_t count) noexcept nogil:
    cdef Chunk* c
    if count > chain.count:
        count = chain.count
    while count:
        c = chain.head if front else chain.tail
        if c.count <= count:
            count -= c.count
            chain.count -= c.count
            chunk_unlink(h, chain, c)
            continue
        c.count -= <uint32_t>count
        chain.count -= count
        while count:
            if front:
                c.start += <uint32_t>packed_skip(chunk_from(c))
            else:
                c.end -= <uint32_t>packed_skip_back(chunk_to(c))
            count -= 1


# ---- removing by value

cdef uint32_t chunk_remove(Chunk* c, const Needle* x, uint64_t limit, bint backwards) noexcept nogil:
    """Takes up to `limit` entries equal to x out of c; how many."""
    cdef uint32_t found = 0
    cdef uint32_t left
    cdef size_t step
    cdef char* from_ = chunk_from(c)
    cdef char* end = chunk_to(c)
    cdef char* at = end if backwards else from_
    cdef char* to = NULL
    cdef char* run
    while found < limit and at != (from_ if backwards else end):
        if backwards:
            at -= packed_skip_back(at)
        if packed_equal(at, x):
            found += 1
            if backwards or to == NULL:
                to = at
        if not backwards:
            at += packed_skip(at)
    if found == 0:
        return 0
    at = run = to
    left = found
    while left:
        step = packed_skip(at)
        if packed_equal(at, x):
            memmove(to, run, at - run)
            to += at - run
            run = at + step
            left -= 1
        at += step
    memmove(to, run, end - run)
    to += end - run
    c.end = <uint32_t>(to - chunk_data(c))
    c.count -= found
    return found


cdef void chunk_tidy_behind(Heap* h, List* chain, Chunk* c, bint backwards) noexcept nogil:
    """chunk_tidy, with the neighbour that a removal has already passed only."""
    cdef Chunk* a = c if backwards else c.prev
    cdef Chunk* b = c.next if backwards else c
    if (chunk_used(a) + chunk_used(b)) * 2 > a.room:
        return
    chunk_slide(a, 0)
    memcpy(chunk_to(a), chunk_from(b), chunk_used(b))
    a.end += <uint32_t>chunk_used(b)
    a.count += b.count
    chunk_unlink(h, chain, b)


cdef int64_t chunks_remove(Heap* h, List* chain, const Needle* x, int64_t limit, bint backwards) noexcept nogil:
    cdef Chunk* c = chain.tail if backwards else chain.head
    cdef Chunk* following
    cdef uint32_t gone
    cdef int64_t removed = 0
    while c != NULL and removed < limit:
        following = c.prev if backwards else c.next
        gone = chunk_remove(c, x, limit - removed, backwards)
        if gone:
            removed += gone
            chain.count -= gone
            if c.count == 0:
                chunk_unlink(h, chain, c)
            elif c != (chain.tail if backwards else chain.head):
                chunk_tidy_behind(h, chain, c, backwards)
        c = following
    if removed:
        chunk_tidy(h, chain, chain.head)
    return removed


# ---- changes in the middle

cdef uint32_t chunk_count_before(Chunk* c, char* at) noexcept nogil:
    cdef uint32_t n = 0
    cdef char* p = chunk_from(c)
    while p < at:
        p += packed_skip(p)
        n += 1
    return n


cdef char* chunk_gap(Heap* h, List* chain, Chunk** chunk, char* at, size_t less, size_t size, int fill) noexcept nogil:
    """`size` bytes in place of the `less` at `at` in a chunk whose limits allow it; NULL without memory."""
    cdef Chunk* c = chunk[0]
    cdef Chunk* b
    cdef size_t left = at - chunk_from(c)
    cdef size_t right = chunk_to(c) - at - less
    cdef size_t used = left + size + right
    cdef size_t room
    if c.room - c.end + less >= size and (right <= left or c.start + less < size):
        memmove(at + size, at + less, right)
        c.end = <uint32_t>(c.start + used)
        return at
    if c.start + less >= size:
        memmove(chunk_data(c) + c.end - used, chunk_from(c), left)
        c.start = <uint32_t>(c.end - used)
        return chunk_from(c) + left
    room = c.room * 2 if c.room * 2 > used else used
    if room > chunk_fill_bytes(fill):
        room = chunk_fill_bytes(fill)
    b = chunk_new(h, room)
    if b == NULL:
        return NULL
    b.end = <uint32_t>used
    b.count = c.count
    memcpy(chunk_data(b), chunk_from(c), left)
    memcpy(chunk_data(b) + left + size, at + less, right)
    chunk_link(chain, b, c)
    chunk_unlink(h, chain, c)
    chunk[0] = b
    return chunk_data(b) + left


cdef int chunk_put(Heap* h, List* chain, Chunk* c, char* at, size_t less, const char* p, size_t n, int fill) noexcept nogil:
    """Puts an entry in place of the one of `less` bytes at `at` (0: in front of `at`); 0, or -1 with nothing changed."""
    cdef size_t size = packed_entry_size(p, n)
    cdef Chunk* neighbour = NULL
    cdef Chunk* own
    cdef Chunk* rest
    cdef size_t right = chunk_to(c) - at - less
    cdef uint32_t left_count
    if chunk_takes(c, less, size, fill):
        at = chunk_gap(h, chain, &c, at, less, size, fill)
        if at == NULL:
            return -1
        packed_entry_write(at, p, n)
        c.count += less == 0
        chain.count += less == 0
        if less > size and c.room > CHUNK_FIRST and chunk_used(c) * 4 < c.room:
            chunk_resized(h, chain, c, chunk_used(c) * 2, 0)        # a large entry gave way to a small one
        return 0
    if less == 0 and at == chunk_from(c):
        neighbour = c.prev
    elif less == 0 and right == 0:
        neighbour = c.next
    if neighbour != NULL and chunk_takes(neighbour, 0, size, fill):
        at = chunk_to(neighbour) if neighbour == c.prev else chunk_from(neighbour)
        return chunk_put(h, chain, neighbour, at, 0, p, n, fill)
    # the entry gets a chunk of its own, between what is before and what is after it
    own = chunk_new(h, chunk_room_for(chain, size, fill))
    if own == NULL:
        return -1
    if at > chunk_from(c) and right:
        rest = chunk_new(h, right)
        if rest == NULL:
            chunk_free(h, own)
            return -1
        left_count = chunk_count_before(c, at)
        memcpy(chunk_data(rest), at + less, right)
        rest.end = <uint32_t>right
        rest.count = c.count - left_count - (less != 0)
        c.end = <uint32_t>(at - chunk_data(c))
        c.count = left_count
        chunk_link(chain, rest, c.next)
        chunk_link(chain, own, rest)
    elif at > chunk_from(c):
        c.end -= <uint32_t>less
        c.count -= less != 0
        chunk_link(chain, own, c.next)
    else:
        c.start += <uint32_t>less
        c.count -= less != 0
        chunk_link(chain, own, c)
    packed_entry_write(chunk_data(own), p, n)
    own.end = <uint32_t>size
    own.count = 1
    chain.count += less == 0
    if c.count == 0:
        chunk_unlink(h, chain, c)
    elif c.room > CHUNK_FIRST and chunk_used(c) * 4 < c.room:
        chunk_resized(h, chain, c, chunk_used(c) * 2, 0)
    return 0


# ---- invariants

cdef int chunks_check(List* chain) noexcept nogil:
    """11 the chain is torn, 12 a chunk's bounds, 13 an entry is torn, 14 a chunk's count, 15 the list's count, 16 the
    number of chunks, 17 an empty chunk."""
    cdef Chunk* c = chain.head
    cdef Chunk* prev = NULL
    cdef uint64_t count = 0
    cdef uint64_t chunks = 0
    cdef uint32_t n
    cdef char* at
    while c != NULL:
        if c.prev != prev:
            return 11
        if c.start > c.end or c.end > c.room:
            return 12
        n = 0
        at = chunk_from(c)
        while at != chunk_to(c):
            if not packed_entry_sound(at, chunk_to(c)):
                return 13
            at += packed_skip(at)
            n += 1
        if n != c.count:
            return 14
        if n == 0:
            return 17
        count += n
        chunks += 1
        prev = c
        c = c.next
    if chain.tail != prev:
        return 11
    if count != chain.count:
        return 15
    return 0 if chunks == chain.chunks else 16
