"""Ranges of a sorted set by score and by members' bytes (contract: zset_ranges.pxd)."""

from libkv.structures.cell cimport Slice, ZSET_TREE
from libkv.structures.order cimport Order, order_lower, order_lower_lex, order_upper, order_upper_lex
from libkv.structures.packed cimport packed_first, packed_next
from libkv.structures.zset cimport ZSET_SCRATCH, Zset, ZsetIter, zset_iter, zset_length, zset_next
from libkv.structures.zset_flat cimport zset_compare, zset_flat_score


# ---- by score

cdef void zset_score_range(Cell* cell, const ScoreRange* range, uint64_t* first, uint64_t* end) noexcept nogil:
    cdef Order* o
    cdef char* b
    cdef char* at
    cdef double s
    first[0] = end[0] = 0
    if range.low > range.high or (range.low == range.high and (range.low_open or range.high_open)):
        return
    if cell.layout == ZSET_TREE:
        o = &(<Zset*>cell.ptr).order
        first[0] = order_upper(o, range.low, NULL) if range.low_open else order_lower(o, range.low, NULL)
        end[0] = order_lower(o, range.high, NULL) if range.high_open else order_upper(o, range.high, NULL)
        return
    b = <char*>cell.ptr
    at = packed_first(b)
    while at != NULL:
        at = packed_next(b, at)
        s = zset_flat_score(at)
        if s < range.low or (range.low_open and s == range.low):
            first[0] += 1
        elif s > range.high or (range.high_open and s == range.high):
            break
        end[0] += 1
        at = packed_next(b, at)


# ---- by members' bytes

cdef bint lex_before(const Slice* member, const LexBound* bound) noexcept nogil:
    """Whether the member lies before the bound's place: before an open one also when it is the bound."""
    cdef int c
    if bound.kind == LEX_LOWEST or bound.kind == LEX_HIGHEST:
        return bound.kind == LEX_HIGHEST
    c = zset_compare(member.p, member.n, bound.p, bound.n)
    return c <= 0 if bound.kind == LEX_OPEN else c < 0


cdef bint lex_upto(const Slice* member, const LexBound* bound) noexcept nogil:
    """Whether the member lies in a range that ends at the bound."""
    cdef LexBound other = bound[0]
    if bound.kind == LEX_OPEN:
        other.kind = LEX_CLOSED
    elif bound.kind == LEX_CLOSED:
        other.kind = LEX_OPEN
    return lex_before(member, &other)


cdef uint64_t lex_rank(Order* o, const LexBound* bound, bint behind) noexcept nogil:
    """Members before the bound, or up to it and including it."""
    if bound.kind == LEX_LOWEST:
        return 0
    if bound.kind == LEX_HIGHEST:
        return o.used
    return order_upper_lex(o, bound.p, bound.n, NULL) if behind else order_lower_lex(o, bound.p, bound.n, NULL)


cdef void lex_run(Cell* cell, const LexBound* low, const LexBound* high, bint backwards,
                  uint64_t* first, uint64_t* end) noexcept nogil:
    """A flat buffer's run: from the first member that is not below the low bound up to the one before the first above the
    high bound; or the same from the last member down."""
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef uint64_t n = zset_length(cell)
    cdef uint64_t skipped = 0
    cdef uint64_t taken = 0
    cdef bint below
    cdef bint above
    first[0] = end[0] = 0
    zset_iter(&it, cell, n - 1, False)
    if not zset_next(&it, &member, &score, scratch) or lex_before(&member, low):
        return                          # the last member is below the range: Redis looks no further
    zset_iter(&it, cell, 0, False)
    if not zset_next(&it, &member, &score, scratch) or not lex_upto(&member, high):
        return
    zset_iter(&it, cell, n - 1 if backwards else 0, backwards)
    while zset_next(&it, &member, &score, scratch):
        below = lex_before(&member, low)
        above = not lex_upto(&member, high)
        if taken == 0 and (above if backwards else below):
            skipped += 1
            continue
        if above or below:
            if (below if backwards else above):
                break
        taken += 1
    first[0] = n - skipped - taken if backwards else skipped
    end[0] = first[0] + taken


cdef bint lex_empty(const LexBound* low, const LexBound* high) noexcept nogil:
    """Whether no member can lie between the bounds."""
    cdef int c
    if low.kind == LEX_HIGHEST or high.kind == LEX_LOWEST:
        return True
    if low.kind == LEX_LOWEST or high.kind == LEX_HIGHEST:
        return False
    c = zset_compare(low.p, low.n, high.p, high.n)
    return c > 0 or (c == 0 and (low.kind == LEX_OPEN or high.kind == LEX_OPEN))


cdef void zset_lex_range(Cell* cell, const LexBound* low, const LexBound* high, bint backwards,
                         uint64_t* first, uint64_t* end) noexcept nogil:
    cdef Order* o
    first[0] = end[0] = 0
    if lex_empty(low, high) or zset_length(cell) == 0:
        return
    if cell.layout != ZSET_TREE:
        lex_run(cell, low, high, backwards, first, end)
        return
    o = &(<Zset*>cell.ptr).order
    first[0] = lex_rank(o, low, low.kind == LEX_OPEN)
    end[0] = lex_rank(o, high, high.kind == LEX_CLOSED)
    if end[0] < first[0]:
        end[0] = first[0]
