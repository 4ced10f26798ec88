# The ordered index: single leaves and inner nodes; a part of order.pyx.

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memmove

from libkv.structures.alloc cimport Heap, heap_alloc, heap_free
from libkv.structures.order cimport Order, OrderInner, OrderLeaf
from libkv.structures.order_search cimport OrderStep


cdef inline OrderLeaf* order_leaf_new(Heap* h, Order* o) noexcept nogil:
    cdef OrderLeaf* leaf = <OrderLeaf*>heap_alloc(h, sizeof(OrderLeaf))
    if leaf != NULL:
        leaf.next = leaf.prev = NULL
        leaf.n = 0
        o.leaves += 1
    return leaf


cdef inline void order_leaf_free(Heap* h, Order* o, OrderLeaf* leaf) noexcept nogil:
    heap_free(h, leaf, sizeof(OrderLeaf))
    o.leaves -= 1


cdef inline OrderInner* order_inner_new(Heap* h, Order* o) noexcept nogil:
    cdef OrderInner* inner = <OrderInner*>heap_alloc(h, sizeof(OrderInner))
    if inner != NULL:
        inner.n = 0
        o.inners += 1
    return inner


cdef inline void order_inner_free(Heap* h, Order* o, OrderInner* inner) noexcept nogil:
    heap_free(h, inner, sizeof(OrderInner))
    o.inners -= 1


cdef inline void order_leaf_put(OrderLeaf* leaf, uint64_t i, double score, void* item) noexcept nogil:
    memmove(&leaf.score[i + 1], &leaf.score[i], (leaf.n - i) * sizeof(double))
    memmove(&leaf.item[i + 1], &leaf.item[i], (leaf.n - i) * sizeof(void*))
    leaf.score[i] = score
    leaf.item[i] = item
    leaf.n += 1


cdef inline void order_leaf_cut(OrderLeaf* leaf, uint64_t i, uint64_t k) noexcept nogil:
    memmove(&leaf.score[i], &leaf.score[i + k], (leaf.n - i - k) * sizeof(double))
    memmove(&leaf.item[i], &leaf.item[i + k], (leaf.n - i - k) * sizeof(void*))
    leaf.n -= k


cdef inline void order_leaf_shift(OrderLeaf* a, OrderLeaf* b, int64_t k) noexcept nogil:
    """Moves k pairs from the start of b to the end of a, or -k from the end of a to the start of b."""
    cdef uint64_t m
    if k > 0:
        m = <uint64_t>k
        memcpy(&a.score[a.n], b.score, m * sizeof(double))
        memcpy(&a.item[a.n], b.item, m * sizeof(void*))
        a.n += m
        order_leaf_cut(b, 0, m)
    elif k < 0:
        m = <uint64_t>-k
        memmove(&b.score[m], b.score, b.n * sizeof(double))
        memmove(&b.item[m], b.item, b.n * sizeof(void*))
        a.n -= m
        memcpy(b.score, &a.score[a.n], m * sizeof(double))
        memcpy(b.item, &a.item[a.n], m * sizeof(void*))
        b.n += m


cdef inline void order_leaf_link(Order* o, OrderLeaf* leaf, OrderLeaf* prev, OrderLeaf* after) noexcept nogil:
    leaf.prev = prev
    leaf.next = after
    if prev != NULL:
        prev.next = leaf
    else:
        o.first = leaf
    if after != NULL:
        after.prev = leaf
    else:
        o.last = leaf


cdef inline void order_leaf_unlink(Order* o, OrderLeaf* leaf) noexcept nogil:
    if leaf.prev != NULL:
        leaf.prev.next = leaf.next
    else:
        o.first = leaf.next
    if leaf.next != NULL:
        leaf.next.prev = leaf.prev
    else:
        o.last = leaf.prev


cdef inline void order_inner_move(OrderInner* to, uint64_t i, OrderInner* source, uint64_t j, uint64_t k) noexcept nogil:
    """Copies k children, also within one node; sets no n."""
    memmove(&to.score[i], &source.score[j], k * sizeof(double))
    memmove(&to.item[i], &source.item[j], k * sizeof(void*))
    memmove(&to.child[i], &source.child[j], k * sizeof(void*))
    memmove(&to.count[i], &source.count[j], k * sizeof(uint64_t))


cdef inline void order_inner_shift(OrderInner* a, OrderInner* b, int64_t k) noexcept nogil:
    """As order_leaf_shift, for children."""
    cdef uint64_t m
    if k > 0:
        m = <uint64_t>k
        order_inner_move(a, a.n, b, 0, m)
        a.n += m
        b.n -= m
        order_inner_move(b, 0, b, m, b.n)
    elif k < 0:
        m = <uint64_t>-k
        order_inner_move(b, m, b, 0, b.n)
        a.n -= m
        order_inner_move(b, 0, a, a.n, m)
        b.n += m


cdef inline uint64_t order_inner_total(OrderInner* node) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint64_t i
    for i in range(node.n):
        total += node.count[i]
    return total


cdef inline void order_inner_set(OrderInner* node, uint64_t i, void* child, bint is_leaf) noexcept nogil:
    """Fills place i with the child and its first pair; its count stays to be set."""
    node.child[i] = child
    if is_leaf:
        node.score[i] = (<OrderLeaf*>child).score[0]
        node.item[i] = (<OrderLeaf*>child).item[0]
    else:
        node.score[i] = (<OrderInner*>child).score[0]
        node.item[i] = (<OrderInner*>child).item[0]


cdef inline void order_first_changed(Order* o, OrderStep* path, int64_t level) noexcept nogil:
    """The first pair below path[level]'s child has changed: says so in all the nodes whose first pair it is."""
    cdef OrderInner* node
    while level >= 0:
        node = path[level].node
        order_inner_set(node, path[level].i, node.child[path[level].i], level == o.height - 1)
        if path[level].i != 0:
            return
        level -= 1
