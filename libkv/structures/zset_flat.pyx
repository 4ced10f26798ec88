"""Sorted sets in a flat buffer (contract: zset_flat.pxd)."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, memmove

from libkv.structures.number cimport NUMBER_DOUBLE, number_parse_double, number_print_double, number_print_i64
from libkv.structures.packed cimport (
    PACKED_SCRATCH, packed_bytes, packed_first, packed_get, packed_insert, packed_next, packed_prev, packed_read,
    packed_replace, packed_skip,
)

cdef enum:
    MOVE_STEP = 256             # bytes moved at once when a pair changes its place

cdef extern from *:
    """
    #define KV_INTEGRAL_MAX 4611686018427387904.0
    """
    const double INTEGRAL_MAX "KV_INTEGRAL_MAX"     # 2**62: Redis keeps integral scores up to here as integers


cdef double zset_flat_score(const char* at) noexcept nogil:
    cdef Slice text
    cdef int64_t v
    cdef double score = 0
    if packed_read(at, &text, &v):
        return <double>v
    number_parse_double(text.p, text.n, &score)
    return score


cdef size_t zset_flat_text(char* out, double score) noexcept nogil:
    if -INTEGRAL_MAX <= score <= INTEGRAL_MAX and score == <double><int64_t>score:
        return number_print_i64(out, <int64_t>score)
    return number_print_double(out, score)


cdef char* zset_flat_place(char* b, char* passed, double score, const char* p, size_t n) noexcept nogil:
    """The first pair behind this one (NULL: none).  The pair at `passed` does not count."""
    cdef char* at = packed_first(b)
    cdef char* text
    cdef char scratch[PACKED_SCRATCH]
    cdef Slice member
    cdef double s
    while at != NULL:
        text = packed_next(b, at)
        if at != passed:
            s = zset_flat_score(text)
            if s > score:
                return at
            if s == score:
                member = packed_get(at, scratch)
                if zset_compare(member.p, member.n, p, n) > 0:
                    return at
        at = packed_next(b, text)
    return NULL


cdef int zset_flat_put(Heap* h, Cell* cell, double score, const char* p, size_t n) noexcept nogil:
    """Adds an absent member; 0 or -1."""
    cdef char digits[NUMBER_DOUBLE]
    cdef char* b = <char*>cell.ptr
    cdef char* at
    cdef Slice pair[2]
    pair[0].p = p
    pair[0].n = n
    pair[1].p = digits
    pair[1].n = zset_flat_text(digits, score)
    at = zset_flat_place(b, NULL, score, p, n)
    return packed_insert(h, <char**>&cell.ptr, &at, pair, 2)


cdef void run_move(char* a, size_t n, char* to) noexcept nogil:
    """Moves the n bytes at a to start at `to` (in front of a), or to end there (behind a + n); what lies between makes room."""
    cdef char step[MOVE_STEP]
    cdef size_t k
    while n > 0:
        k = n if n < MOVE_STEP else MOVE_STEP
        if to < a:
            memcpy(step, a, k)
            memmove(to + k, to, a - to)
            memcpy(to, step, k)
            a += k
            to += k
        else:
            memcpy(step, a + n - k, k)
            memmove(a + n - k, a + n, to - (a + n))
            to -= k
            memcpy(to, step, k)
        n -= k


cdef int zset_flat_rescore(Heap* h, Cell* cell, char* at_score, double score) noexcept nogil:
    """Gives the pair whose score is at at_score another one: first the text, which may need memory, then the place, which
    does not; 0 or -1."""
    cdef char digits[NUMBER_DOUBLE]
    cdef char scratch[PACKED_SCRATCH]
    cdef char* b
    cdef char* at
    cdef char* place
    cdef char* end
    cdef size_t size
    cdef Slice member
    if packed_replace(h, <char**>&cell.ptr, &at_score, digits, zset_flat_text(digits, score)) != 0:
        return -1
    b = <char*>cell.ptr
    at = packed_prev(b, at_score)
    member = packed_get(at, scratch)
    size = packed_skip(at) + packed_skip(at_score)
    place = zset_flat_place(b, at, score, member.p, member.n)
    end = at + size
    if place == NULL:
        place = b + packed_bytes(b) - 1
    if place != at and place != end:
        run_move(at, size, place)
    return 0
