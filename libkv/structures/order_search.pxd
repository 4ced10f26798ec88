# The ordered index: comparing pairs with a bound, and the way down to it; a part of order.pyx.

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from libkv.structures.order cimport (
    ORDER_BY_POINTER,
    ORDER_LEAF,
    Order,
    OrderInner,
    OrderLeaf,
)
from libkv.structures.prefixed cimport prefixed_read
from libkv.structures.table cimport PREFETCH

cdef enum:
    ORDER_OFFSET = 8                    # where the member starts in an item

cdef enum:                              # which pairs lie before a bound
    ORDER_BEFORE_SCORE                  # score < bound
    ORDER_UPTO_SCORE                    # score <= bound
    ORDER_BEFORE_MEMBER
    ORDER_UPTO_MEMBER
    ORDER_UPTO_POINTER
    ORDER_BEFORE_LEX
    ORDER_UPTO_LEX

cdef struct OrderBound:
    int kind
    double score
    const char* p
    size_t n
    void* item

cdef struct OrderStep:                  # one level of a descent: went to node.child[i]
    OrderInner* node
    uint64_t i


cdef inline int order_compare(void* item, const char* p, size_t n) noexcept nogil:
    cdef size_t m
    cdef const char* k = prefixed_read(<const char*>item + ORDER_OFFSET, &m)
    cdef int c = memcmp(k, p, m if m < n else n)
    if c != 0:
        return c
    return -1 if m < n else 1 if m > n else 0


cdef inline bint order_before(double score, void* item, const OrderBound* b) noexcept nogil:
    """Whether this pair lies before the bound."""
    if b.kind < ORDER_BEFORE_LEX and score != b.score:
        return score < b.score
    if b.kind == ORDER_BEFORE_SCORE:
        return False
    if b.kind == ORDER_UPTO_SCORE:
        return True
    if b.kind == ORDER_UPTO_POINTER:
        return <size_t>item <= <size_t>b.item
    if b.kind == ORDER_BEFORE_MEMBER or b.kind == ORDER_BEFORE_LEX:
        return order_compare(item, b.p, b.n) < 0
    return order_compare(item, b.p, b.n) <= 0


cdef inline uint64_t order_search(const double* score, void** item, uint64_t lo, uint64_t hi, const OrderBound* b) noexcept nogil:
    """The first place in [lo, hi) that is not before the bound, or hi."""
    cdef uint64_t mid
    while lo < hi:
        mid = (lo + hi) >> 1
        if order_before(score[mid], item[mid], b):
            lo = mid + 1
        else:
            hi = mid
    return lo


cdef inline void order_bound(Order* o, OrderBound* b, double score, void* item) noexcept nogil:
    """The bound right behind a pair: a descent leads to the pair's own leaf, one place behind it."""
    b.score = score
    b.item = item
    if o.tie == ORDER_BY_POINTER:
        b.kind = ORDER_UPTO_POINTER
        b.p = NULL
        b.n = 0
        return
    b.kind = ORDER_UPTO_MEMBER
    b.p = prefixed_read(<const char*>item + ORDER_OFFSET, &b.n)


cdef inline OrderLeaf* order_descend(Order* o, const OrderBound* b, OrderStep* path, uint64_t* at) noexcept nogil:
    """The leaf and place where the bound lies (at its end rather than at the next one's start), and the way there."""
    cdef void* node = o.root
    cdef OrderInner* inner
    cdef uint32_t level
    cdef uint64_t i
    for level in range(o.height):
        inner = <OrderInner*>node
        i = order_search(inner.score, inner.item, 1, inner.n, b) - 1
        path[level].node = inner
        path[level].i = i
        node = inner.child[i]
    PREFETCH(node)
    PREFETCH(&(<OrderLeaf*>node).score[ORDER_LEAF // 4])
    PREFETCH(&(<OrderLeaf*>node).score[3 * ORDER_LEAF // 4])
    at[0] = order_search((<OrderLeaf*>node).score, (<OrderLeaf*>node).item, 0, (<OrderLeaf*>node).n, b)
    return <OrderLeaf*>node
