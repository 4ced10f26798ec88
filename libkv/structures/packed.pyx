"""Packed entries in one flat buffer (contract, layout and source: packed.pxd).

Every change is one splice: so many bytes at an offset are replaced by room for so many others.  A splice either moves
the tail inside the piece, or makes a new piece and copies both parts, so that running out of memory changes nothing.
A build with KEEPKV_DEBUG always takes the second way: a stale position fails at once.
"""

from libc.string cimport memcmp, memmove

from libkv.structures.alloc cimport heap_alloc, heap_free, heap_resize
from libkv.structures.number cimport number_parse_i64

cdef extern from *:
    """
    #ifdef KEEPKV_DEBUG
    #define KV_PACKED_MOVES 1
    #else
    #define KV_PACKED_MOVES 0
    #endif
    """
    const bint PACKED_MOVES "KV_PACKED_MOVES"

cdef enum:
    PACKED_UNKNOWN = 65535


# ---- the frame

cdef inline void packed_bytes_set(char* b, size_t bytes) noexcept nogil:
    cdef uint32_t n = <uint32_t>bytes
    memcpy(b, &n, 4)


cdef inline uint32_t packed_count_get(const char* b) noexcept nogil:
    cdef uint16_t n
    memcpy(&n, b + 4, 2)
    return n


cdef void packed_count_set(char* b, uint64_t count) noexcept nogil:
    cdef uint16_t n = <uint16_t>count if count < PACKED_UNKNOWN else <uint16_t>PACKED_UNKNOWN
    memcpy(b + 4, &n, 2)


cdef void packed_count_add(char* b, uint64_t more) noexcept nogil:
    if packed_count_get(b) != PACKED_UNKNOWN:
        packed_count_set(b, packed_count_get(b) + more)


cdef void packed_count_sub(char* b, uint64_t less) noexcept nogil:
    if packed_count_get(b) != PACKED_UNKNOWN:
        packed_count_set(b, packed_count_get(b) - less)


cdef int packed_new(Heap* h, char** b) noexcept nogil:
    """An empty buffer in b[0]; 0 or -1."""
    cdef char* p = <char*>heap_alloc(h, packed_room(PACKED_EMPTY))
    if p == NULL:
        return -1
    packed_bytes_set(p, PACKED_EMPTY)
    packed_count_set(p, 0)
    p[PACKED_HEADER] = <char>PACKED_END
    b[0] = p
    return 0


cdef void packed_free(Heap* h, char* b) noexcept nogil:
    if b != NULL:
        heap_free(h, b, packed_room(packed_bytes(b)))


cdef int packed_copy(Heap* h, const char* b, char** copy) noexcept nogil:
    """A buffer equal to b, which may lie anywhere, in copy[0]; 0 or -1."""
    cdef size_t n = packed_bytes(b)
    cdef char* p = <char*>heap_alloc(h, packed_room(n))
    if p == NULL:
        return -1
    memcpy(p, b, n)
    copy[0] = p
    return 0


cdef int packed_from_entries(Heap* h, char** b, const char* entries, size_t bytes, uint64_t count) noexcept nogil:
    cdef char* p
    if bytes > <size_t>0xFFFFFFFF - PACKED_EMPTY:
        return -1
    p = <char*>heap_alloc(h, packed_room(PACKED_EMPTY + bytes))
    if p == NULL:
        return -1
    packed_bytes_set(p, PACKED_EMPTY + bytes)
    packed_count_set(p, count)
    memcpy(p + PACKED_HEADER, entries, bytes)
    p[PACKED_HEADER + bytes] = <char>PACKED_END
    b[0] = p
    return 0


cdef uint64_t packed_length(const char* b) noexcept nogil:
    """Entries in b."""
    cdef uint64_t n = packed_count_get(b)
    if n != PACKED_UNKNOWN:
        return n
    n = 0
    b += PACKED_HEADER
    while <uint8_t>b[0] != PACKED_END:
        b += packed_skip(b)
        n += 1
    return n


# ---- one entry

cdef inline size_t packed_body_of_int(int64_t v) noexcept nogil:
    if 0 <= v <= 127:
        return 1
    if -4096 <= v <= 4095:
        return 2
    if -32768 <= v <= 32767:
        return 3
    if -8388608 <= v <= 8388607:
        return 4
    if -2147483648 <= v <= 2147483647:
        return 5
    return 9


cdef inline size_t packed_body_of_bytes(size_t n) noexcept nogil:
    if n < 64:
        return 1 + n
    if n < 4096:
        return 2 + n
    return 5 + n


cdef inline size_t packed_back_write(char* at, size_t body) noexcept nogil:
    cdef size_t size = packed_back(body)
    cdef size_t i
    if size == 1:
        at[0] = <char>body
        return 1
    for i in range(size):
        at[i] = <char>((body >> (7 * (size - 1 - i))) & 127) if i == 0 else <char>((body >> (7 * (size - 1 - i))) & 127 | 128)
    return size


cdef size_t packed_entry_size(const char* p, size_t n) noexcept nogil:
    cdef int64_t v
    cdef size_t body = packed_body_of_int(v) if number_parse_i64(p, n, &v) else packed_body_of_bytes(n)
    return body + packed_back(body)


cdef size_t packed_entry_write_int(char* at, int64_t v) noexcept nogil:
    """Writes the entry of v; its bytes."""
    cdef size_t body = packed_body_of_int(v)
    cdef uint64_t x = <uint64_t>v
    if body == 1:
        at[0] = <char>x
    elif body == 2:
        at[0] = <char>(0xC0 | ((x >> 8) & 0x1F))
        at[1] = <char>(x & 0xFF)
    else:
        at[0] = <char>(0xF4 if body == 9 else 0xEE + body)
        memcpy(at + 1, &x, body - 1)
    return body + packed_back_write(at + body, body)


cdef size_t packed_entry_write(char* at, const char* p, size_t n) noexcept nogil:
    """Writes the entry of p's n bytes (packed_entry_size bytes of room); its bytes."""
    cdef int64_t v
    cdef size_t head
    cdef uint32_t wide
    if number_parse_i64(p, n, &v):
        return packed_entry_write_int(at, v)
    if n < 64:
        at[0] = <char>(0x80 | n)
        head = 1
    elif n < 4096:
        at[0] = <char>(0xE0 | (n >> 8))
        at[1] = <char>(n & 0xFF)
        head = 2
    else:
        at[0] = <char>0xF0
        wide = <uint32_t>n
        memcpy(at + 1, &wide, 4)
        head = 5
    if n:
        memcpy(at + head, p, n)
    return head + n + packed_back_write(at + head + n, head + n)


cdef bint packed_entry_sound(const char* at, const char* end) noexcept nogil:
    """Whether a whole entry lies at `at`, before `end`, and its back length agrees with its head."""
    cdef size_t left = <size_t>(end - at)
    cdef const uint8_t* e = <const uint8_t*>at
    cdef size_t body
    cdef size_t back
    cdef char expected[5]
    if at >= end or e[0] > 0xF4:
        return False
    if 0xE0 <= e[0] < 0xF0 and left < 2:
        return False
    if e[0] == 0xF0 and left < 5:
        return False
    body = packed_body(at)
    back = packed_back(body)
    if body >= left or back > left - body:
        return False
    packed_back_write(expected, body)
    return memcmp(expected, at + body, back) == 0


cdef void packed_needle(Needle* x, const char* p, size_t n) noexcept nogil:
    x.p = p
    x.n = n
    x.value = 0
    x.is_int = number_parse_i64(p, n, &x.value)


cdef bint packed_equal_slow(const char* at, const Needle* x) noexcept nogil:
    cdef Slice s
    cdef int64_t v
    if packed_read(at, &s, &v):
        return x.is_int and x.value == v
    return x.n == s.n and packed_memcmp(s.p, x.p, s.n) == 0


# ---- positions

cdef char* packed_first(char* b) noexcept nogil:
    return b + PACKED_HEADER if <uint8_t>b[PACKED_HEADER] != PACKED_END else NULL


cdef char* packed_last(char* b) noexcept nogil:
    return packed_prev(b, b + packed_bytes(b) - 1)


cdef char* packed_next(char* b, char* at) noexcept nogil:
    at += packed_skip(at)
    return at if <uint8_t>at[0] != PACKED_END else NULL


cdef char* packed_prev(char* b, char* at) noexcept nogil:
    """The entry before `at`, which may be the end mark."""
    return at - packed_skip_back(at) if at - b > PACKED_HEADER else NULL


cdef char* packed_index(char* b, int64_t i) noexcept nogil:
    cdef int64_t count = packed_count_get(b)
    cdef char* at
    if count != PACKED_UNKNOWN:
        if i < -count or i >= count:
            return NULL
        if i >= 0 and i > count // 2:
            i -= count
        elif i < 0 and -i > count // 2:
            i += count
    if i >= 0:
        at = packed_first(b)
        while at != NULL and i > 0:
            at = packed_next(b, at)
            i -= 1
        return at
    at = packed_last(b)
    while at != NULL and i < -1:
        at = packed_prev(b, at)
        i += 1
    return at


cdef char* packed_find(char* b, char* at, const char* p, size_t n, uint32_t skip) noexcept nogil:
    cdef Needle x
    cdef uint32_t _i
    packed_needle(&x, p, n)
    while at != NULL:
        if packed_equal(at, &x):
            return at
        at = packed_next(b, at)
        for _i in range(skip):
            if at == NULL:
                return NULL
            at = packed_next(b, at)
    return NULL


# ---- changes

cdef char* packed_splice(Heap* h, char** b, size_t at, size_t less, size_t more) noexcept nogil:
    """Replaces the `less` bytes at offset `at` by `more` undefined ones: their address, or NULL with nothing changed.
    The count is the caller's."""
    cdef size_t old = packed_bytes(b[0])
    cdef size_t tail = old - at - less
    cdef size_t bytes
    cdef size_t room_old = packed_room(old)
    cdef size_t room
    cdef char* p
    if more > <size_t>0xFFFFFFFF or old - less > <size_t>0xFFFFFFFF - more:
        return NULL
    bytes = old - less + more
    room = packed_room(bytes)
    if room == room_old and not PACKED_MOVES:
        p = b[0]
        memmove(p + at + more, p + at + less, tail)
    elif room > room_old and room_old > SMALL_MAX and not PACKED_MOVES:
        p = <char*>heap_resize(h, b[0], room_old, room)     # malloc may grow it in place
        if p == NULL:
            return NULL
        memmove(p + at + more, p + at + less, tail)
    else:
        p = <char*>heap_alloc(h, room)
        if p == NULL:
            return NULL
        memcpy(p, b[0], at)
        memcpy(p + at + more, b[0] + at + less, tail)
        heap_free(h, b[0], room_old)
    packed_bytes_set(p, bytes)
    b[0] = p
    return p + at


cdef int packed_append(Heap* h, char** b, const char* p, size_t n) noexcept nogil:
    cdef int64_t v
    cdef size_t body
    cdef char* at
    if number_parse_i64(p, n, &v):
        return packed_append_int(h, b, v)
    body = packed_body_of_bytes(n)
    at = packed_splice(h, b, packed_bytes(b[0]) - 1, 0, body + packed_back(body))
    if at == NULL:
        return -1
    packed_entry_write(at, p, n)
    packed_count_add(b[0], 1)
    return 0


cdef int packed_append_int(Heap* h, char** b, int64_t v) noexcept nogil:
    cdef size_t body = packed_body_of_int(v)
    cdef char* at = packed_splice(h, b, packed_bytes(b[0]) - 1, 0, body + packed_back(body))
    if at == NULL:
        return -1
    packed_entry_write_int(at, v)
    packed_count_add(b[0], 1)
    return 0


cdef int packed_prepend(Heap* h, char** b, const char* p, size_t n) noexcept nogil:
    cdef char* at = packed_splice(h, b, PACKED_HEADER, 0, packed_entry_size(p, n))
    if at == NULL:
        return -1
    packed_entry_write(at, p, n)
    packed_count_add(b[0], 1)
    return 0


cdef int packed_insert(Heap* h, char** b, char** at, const Slice* values, uint32_t count) noexcept nogil:
    cdef size_t more = 0
    cdef uint32_t _i
    cdef size_t offset = packed_bytes(b[0]) - 1 if at[0] == NULL else <size_t>(at[0] - b[0])
    cdef char* p
    for i in range(count):
        if values[i].n > <size_t>0xFFFFFFFF:
            return -1
        more += packed_entry_size(values[i].p, values[i].n)
    p = packed_splice(h, b, offset, 0, more)
    if p == NULL:
        return -1
    at[0] = p
    for i in range(count):
        p += packed_entry_write(p, values[i].p, values[i].n)
    packed_count_add(b[0], count)
    return 0


cdef int packed_insert_before(Heap* h, char** b, char** at, const char* p, size_t n) noexcept nogil:
    cdef Slice s
    s.p = p
    s.n = n
    return packed_insert(h, b, at, &s, 1)


cdef int packed_insert_after(Heap* h, char** b, char** at, const char* p, size_t n) noexcept nogil:
    cdef char* following = packed_next(b[0], at[0])
    if packed_insert_before(h, b, &following, p, n) != 0:
        return -1
    at[0] = following
    return 0


cdef int packed_replace(Heap* h, char** b, char** at, const char* p, size_t n) noexcept nogil:
    cdef char* q = packed_splice(h, b, <size_t>(at[0] - b[0]), packed_skip(at[0]), packed_entry_size(p, n))
    if q == NULL:
        return -1
    packed_entry_write(q, p, n)
    at[0] = q
    return 0


cdef int packed_delete(Heap* h, char** b, char** at, uint64_t count) noexcept nogil:
    cdef char* end = at[0]
    cdef char* q
    cdef uint64_t gone = 0
    while gone < count and <uint8_t>end[0] != PACKED_END:
        end += packed_skip(end)
        gone += 1
    q = packed_splice(h, b, <size_t>(at[0] - b[0]), <size_t>(end - at[0]), 0)
    if q == NULL:
        return -1
    packed_count_sub(b[0], gone)
    at[0] = q if <uint8_t>q[0] != PACKED_END else NULL
    return 0


cdef int packed_keep(Heap* h, char** b, char* first, char* end) noexcept nogil:
    cdef size_t old = packed_bytes(b[0])
    cdef uint64_t count = 0
    cdef char* p
    cdef size_t kept
    if end == NULL:
        end = b[0] + old - 1
    kept = <size_t>(end - first)
    p = first
    while p < end:
        p += packed_skip(p)
        count += 1
    p = b[0]
    if packed_room(PACKED_EMPTY + kept) != packed_room(old) or PACKED_MOVES:
        p = <char*>heap_alloc(h, packed_room(PACKED_EMPTY + kept))
        if p == NULL:
            return -1
    memmove(p + PACKED_HEADER, first, kept)
    p[PACKED_HEADER + kept] = <char>PACKED_END
    if p != b[0]:
        heap_free(h, b[0], packed_room(old))
        b[0] = p
    packed_bytes_set(p, PACKED_EMPTY + kept)
    packed_count_set(p, count)
    return 0


cdef int64_t packed_remove_equal(Heap* h, char** b, const char* p, size_t n, int64_t limit, bint backwards) noexcept nogil:
    cdef Needle x
    cdef int64_t found = 0
    cdef size_t less = 0
    cdef size_t old = packed_bytes(b[0])
    cdef char* from_ = NULL
    cdef char* at
    packed_needle(&x, p, n)
    at = packed_last(b[0]) if backwards else packed_first(b[0])
    while at != NULL and found < limit:
        if packed_equal(at, &x):
            found += 1
            less += packed_skip(at)
            if backwards or from_ == NULL:
                from_ = at
        at = packed_prev(b[0], at) if backwards else packed_next(b[0], at)
    if found == 0:
        return 0
    return found if packed_without(h, b, from_, &x, found, old - less) == 0 else -1


cdef int packed_without(Heap* h, char** b, char* from_, const Needle* x, int64_t count, size_t bytes) noexcept nogil:
    """Takes `count` entries equal to x, the first of them at from_, out of b, which has `bytes` bytes then."""
    cdef size_t old = packed_bytes(b[0])
    cdef char* end = b[0] + old
    cdef char* p = b[0]
    cdef char* to
    cdef char* run
    cdef char* at = from_
    cdef int64_t left = count
    cdef size_t step
    cdef uint32_t known = packed_count_get(b[0])
    if packed_room(bytes) != packed_room(old) or PACKED_MOVES:
        p = <char*>heap_alloc(h, packed_room(bytes))
        if p == NULL:
            return -1
        memcpy(p, b[0], from_ - b[0])
    to = p + (from_ - b[0])
    run = at
    while left:
        step = packed_skip(at)
        if packed_equal(at, x):
            memmove(to, run, at - run)
            to += at - run
            run = at + step
            left -= 1
        at += step
    memmove(to, run, end - run)
    if p != b[0]:
        heap_free(h, b[0], packed_room(old))
        b[0] = p
    packed_bytes_set(p, bytes)
    packed_count_set(p, known if known == PACKED_UNKNOWN else known - count)
    return 0


# ---- invariants

cdef bint packed_validate(const char* b, size_t size, bint deep) noexcept nogil:
    cdef uint64_t n = 0
    cdef const char* at
    cdef const char* end
    if size < PACKED_EMPTY or packed_bytes(b) != size or <uint8_t>b[size - 1] != PACKED_END:
        return False
    if not deep:
        return True
    at = b + PACKED_HEADER
    end = b + size - 1
    while at < end:
        if not packed_entry_sound(at, end):
            return False
        at += packed_skip(at)
        n += 1
    return packed_count_get(b) == PACKED_UNKNOWN or packed_count_get(b) == n


cdef int packed_check(const char* b) noexcept nogil:
    """1 the frame is torn, 2 an entry is torn or the count is wrong, 3 an integer is kept as a string."""
    cdef const char* at = b + PACKED_HEADER
    cdef Slice s
    cdef int64_t v
    if not packed_validate(b, packed_bytes(b), False):
        return 1
    if not packed_validate(b, packed_bytes(b), True):
        return 2
    while <uint8_t>at[0] != PACKED_END:
        if not packed_read(at, &s, &v) and number_parse_i64(s.p, s.n, &v):
            return 3
        at += packed_skip(at)
    return 0
