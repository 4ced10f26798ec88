"""The ordered index (contract, layout and source: order.pxd)."""

from libc.stdint cimport int64_t
from libc.string cimport memset

from libkv.structures.alloc cimport UNLIKELY, heap_size
from libkv.structures.order_nodes cimport (
    order_first_changed, order_inner_free, order_inner_move, order_inner_new, order_inner_set, order_inner_shift,
    order_inner_total, order_leaf_cut, order_leaf_free, order_leaf_link, order_leaf_new, order_leaf_put, order_leaf_shift,
    order_leaf_unlink,
)
from libkv.structures.order_search cimport (
    ORDER_BEFORE_LEX, ORDER_BEFORE_MEMBER, ORDER_BEFORE_SCORE, ORDER_UPTO_LEX, ORDER_UPTO_MEMBER, ORDER_UPTO_SCORE,
    OrderBound, OrderStep, order_before, order_bound, order_descend,
)

cdef enum:
    LEAF_LOW = ORDER_LEAF // 3      # fewer than this: join or share with a sibling
    LEAF_JOIN = ORDER_LEAF - 8      # two leaves with at most this many pairs together become one
    GIVE_LEAST = 4                  # a sibling with less room than this counts as full
    INNER_LOW = ORDER_INNER // 3
    INNER_JOIN = ORDER_INNER - 4


cdef void order_init(Order* o, uint32_t tie) noexcept nogil:
    memset(o, 0, sizeof(Order))
    o.tie = tie


# ---- inserting

cdef int spares_take(Heap* h, Order* o, OrderStep* path, OrderLeaf** leaf, OrderInner** inner) noexcept nogil:
    """All the nodes that one more leaf needs on its way up, before anything is changed; 0 or -1."""
    cdef int64_t level = <int64_t>o.height - 1
    cdef int n = 0
    leaf[0] = order_leaf_new(h, o)
    if leaf[0] == NULL:
        return -1
    while level >= 0 and path[level].node.n == ORDER_INNER:
        level -= 1
        n += 1
    if level < 0:
        n += 1                          # the root splits: one for the new root
        if o.height == ORDER_DEPTH:
            order_leaf_free(h, o, leaf[0])
            return -1
    while n > 0:
        n -= 1
        inner[n] = order_inner_new(h, o)
        if inner[n] == NULL:
            order_leaf_free(h, o, leaf[0])
            n += 1
            while inner[n] != NULL:
                order_inner_free(h, o, inner[n])
                n += 1
            return -1
    return 0


cdef bint at_right_edge(OrderStep* path, int64_t level) noexcept nogil:
    """Whether path[level]'s node is the last of its level."""
    while level > 0:
        level -= 1
        if path[level].i + 1 < path[level].node.n:
            return False
    return True


cdef void child_add(Order* o, OrderStep* path, int64_t level, uint64_t at, void* child, uint64_t count,
                    OrderInner** spare) noexcept nogil:
    """Puts a child at place `at` of path[level]'s node, splitting full nodes upwards into the spares.  The counts
    above already hold what is below the child."""
    cdef bint is_leaf = level == <int64_t>o.height - 1
    cdef OrderInner* node
    cdef OrderInner* right
    cdef OrderInner* target
    cdef uint64_t keep
    if level < 0:                       # a new root over the old one and the child, which lies behind it or (at = 0) before
        node = spare[0]
        is_leaf = o.height == 0
        node.n = 2
        order_inner_set(node, 1 - at, o.root, is_leaf)
        order_inner_set(node, at, child, is_leaf)
        node.count[at] = count
        node.count[1 - at] = o.used - count
        o.root = node
        o.height += 1
        return
    node = path[level].node
    if node.n < ORDER_INNER:
        order_inner_move(node, at + 1, node, at, node.n - at)
        order_inner_set(node, at, child, is_leaf)
        node.count[at] = count
        node.n += 1
        if at == 0:
            order_first_changed(o, path, level - 1)
        return
    right = spare[0]
    keep = (ORDER_INNER + 1) // 2
    if at == ORDER_INNER and at_right_edge(path, level):
        keep = ORDER_INNER              # inserts in order leave full nodes behind
    right.n = ORDER_INNER - keep
    order_inner_move(right, 0, node, keep, right.n)
    node.n = keep
    target = node
    if at > keep or keep == ORDER_INNER:
        target = right
        at -= keep
    order_inner_move(target, at + 1, target, at, target.n - at)
    order_inner_set(target, at, child, is_leaf)
    target.count[at] = count
    target.n += 1
    if at == 0 and target == node:
        order_first_changed(o, path, level - 1)
    count = order_inner_total(right)
    if level > 0:
        path[level - 1].node.count[path[level - 1].i] -= count
    child_add(o, path, level - 1, path[level - 1].i + 1 if level > 0 else 1, right, count, spare + 1)


cdef bint leaf_share(Order* o, OrderStep* path, OrderLeaf* leaf) noexcept nogil:
    """Evens a full leaf out with a sibling below the same node; False: they are full too."""
    cdef OrderInner* node
    cdef uint64_t i
    cdef OrderLeaf* sibling
    cdef int64_t k
    if o.height == 0:
        return False
    node = path[o.height - 1].node
    i = path[o.height - 1].i
    if i > 0:
        sibling = <OrderLeaf*>node.child[i - 1]
        if sibling.n + GIVE_LEAST <= ORDER_LEAF:
            k = <int64_t>(ORDER_LEAF - sibling.n + 1) // 2
            order_leaf_shift(sibling, leaf, k)
            node.count[i - 1] += k
            node.count[i] -= k
            order_inner_set(node, i, leaf, True)
            return True
    if i + 1 < node.n:
        sibling = <OrderLeaf*>node.child[i + 1]
        if sibling.n + GIVE_LEAST <= ORDER_LEAF:
            k = <int64_t>(ORDER_LEAF - sibling.n + 1) // 2
            order_leaf_shift(leaf, sibling, -k)
            node.count[i + 1] += k
            node.count[i] -= k
            order_inner_set(node, i + 1, sibling, True)
            return True
    return False


cdef int leaf_split(Heap* h, Order* o, OrderStep* path, OrderLeaf* leaf) noexcept nogil:
    """Moves the upper half of a full leaf to a new one behind it; 0 or -1."""
    cdef OrderLeaf* right
    cdef OrderInner* spare[ORDER_DEPTH + 2]
    cdef int64_t level = <int64_t>o.height - 1
    memset(spare, 0, sizeof(spare))
    if spares_take(h, o, path, &right, spare) != 0:
        return -1
    order_leaf_link(o, right, leaf, leaf.next)
    order_leaf_shift(leaf, right, -(ORDER_LEAF // 2))
    if level >= 0:
        path[level].node.count[path[level].i] -= right.n
    child_add(o, path, level, path[level].i + 1 if level >= 0 else 1, right, right.n, spare)
    return 0


cdef int leaf_open(Heap* h, Order* o, OrderStep* path, OrderLeaf* leaf, bint behind, double score, void* item) noexcept nogil:
    """A new leaf with this one pair before the first leaf or behind the last; 0 or -1."""
    cdef OrderLeaf* fresh
    cdef OrderInner* spare[ORDER_DEPTH + 2]
    cdef int64_t level = <int64_t>o.height - 1
    cdef int64_t up
    memset(spare, 0, sizeof(spare))
    if spares_take(h, o, path, &fresh, spare) != 0:
        return -1
    if behind:
        order_leaf_link(o, fresh, leaf, NULL)
    else:
        order_leaf_link(o, fresh, NULL, leaf)
    order_leaf_put(fresh, 0, score, item)
    o.used += 1
    for up in range(level):
        path[up].node.count[path[up].i] += 1
    child_add(o, path, level, (path[level].i + 1 if level >= 0 else 1) if behind else 0, fresh, 1, spare)
    return 0


cdef int order_insert(Heap* h, Order* o, double score, void* item) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf
    cdef OrderBound b
    cdef uint64_t at
    cdef int64_t level
    if UNLIKELY(o.root == NULL):
        leaf = order_leaf_new(h, o)
        if leaf == NULL:
            return -1
        order_leaf_put(leaf, 0, score, item)
        o.root = o.first = o.last = leaf
        o.used = 1
        return 0
    order_bound(o, &b, score, item)
    leaf = order_descend(o, &b, path, &at)
    if UNLIKELY(leaf.n == ORDER_LEAF):
        if leaf.next == NULL and at == ORDER_LEAF:
            return leaf_open(h, o, path, leaf, True, score, item)
        if leaf.prev == NULL and at == 0:
            return leaf_open(h, o, path, leaf, False, score, item)
        if not leaf_share(o, path, leaf) and leaf_split(h, o, path, leaf) != 0:
            return -1
        leaf = order_descend(o, &b, path, &at)
    order_leaf_put(leaf, at, score, item)
    o.used += 1
    for level in range(o.height):
        path[level].node.count[path[level].i] += 1
    if at == 0:
        order_first_changed(o, path, <int64_t>o.height - 1)
    return 0


# ---- removing

cdef void child_drop(Heap* h, Order* o, OrderStep* path, int64_t level, uint64_t at) noexcept nogil:
    """Takes place `at` out of path[level]'s node (the child itself is gone already), and joins the node with a sibling
    when too little is left.  An empty node goes too, a root of one child gives way to it."""
    cdef OrderInner* node = path[level].node
    cdef OrderInner* parent
    cdef OrderInner* a
    cdef OrderInner* b
    cdef uint64_t i
    cdef int64_t k
    node.n -= 1
    order_inner_move(node, at, node, at + 1, node.n - at)
    if level == 0:
        while o.height > 0 and (<OrderInner*>o.root).n == 1:
            node = <OrderInner*>o.root
            o.root = node.child[0]
            o.height -= 1
            order_inner_free(h, o, node)
        if o.height > 0 and (<OrderInner*>o.root).n == 0:
            order_inner_free(h, o, <OrderInner*>o.root)
            o.root = NULL
            o.height = 0
        return
    if node.n == 0:
        order_inner_free(h, o, node)
        child_drop(h, o, path, level - 1, path[level - 1].i)
        return
    if at == 0:
        order_first_changed(o, path, level - 1)
    parent = path[level - 1].node
    if node.n >= INNER_LOW or parent.n == 1:
        return
    i = path[level - 1].i if path[level - 1].i + 1 < parent.n else path[level - 1].i - 1
    a = <OrderInner*>parent.child[i]
    b = <OrderInner*>parent.child[i + 1]
    k = <int64_t>b.n if a.n + b.n <= INNER_JOIN else (<int64_t>b.n - <int64_t>a.n) // 2
    order_inner_shift(a, b, k)
    parent.count[i] = order_inner_total(a)
    if b.n == 0:
        order_inner_free(h, o, b)
        child_drop(h, o, path, level - 1, i + 1)
        return
    parent.count[i + 1] = order_inner_total(b)
    order_inner_set(parent, i + 1, b, False)


cdef void leaf_fit(Heap* h, Order* o, OrderStep* path, OrderLeaf* leaf) noexcept nogil:
    """After a removal from a leaf: drops it when it is empty, joins or evens it out with a sibling when it is low."""
    cdef int64_t level = <int64_t>o.height - 1
    cdef OrderInner* node
    cdef OrderLeaf* a
    cdef OrderLeaf* b
    cdef uint64_t i
    cdef int64_t k
    if leaf.n == 0:
        order_leaf_unlink(o, leaf)
        order_leaf_free(h, o, leaf)
        if level < 0:
            o.root = NULL
        else:
            child_drop(h, o, path, level, path[level].i)
        return
    if level < 0 or leaf.n >= LEAF_LOW:
        return
    node = path[level].node
    if node.n == 1:
        return
    i = path[level].i if path[level].i + 1 < node.n else path[level].i - 1
    a = <OrderLeaf*>node.child[i]
    b = <OrderLeaf*>node.child[i + 1]
    k = <int64_t>b.n if a.n + b.n <= LEAF_JOIN else (<int64_t>b.n - <int64_t>a.n) // 2
    order_leaf_shift(a, b, k)
    node.count[i] = a.n
    node.count[i + 1] = b.n
    if b.n == 0:
        order_leaf_unlink(o, b)
        order_leaf_free(h, o, b)
        child_drop(h, o, path, level, i + 1)
        return
    order_inner_set(node, i + 1, b, True)


cdef void run_remove(Heap* h, Order* o, OrderStep* path, OrderLeaf* leaf, uint64_t at, uint64_t k) noexcept nogil:
    """Takes k pairs out of one leaf."""
    cdef uint32_t level
    order_leaf_cut(leaf, at, k)
    o.used -= k
    for level in range(o.height):
        path[level].node.count[path[level].i] -= k
    if at == 0 and leaf.n > 0:
        order_first_changed(o, path, <int64_t>o.height - 1)
    if leaf.n < LEAF_LOW:
        leaf_fit(h, o, path, leaf)


cdef inline bint descend_to(Order* o, double score, void* item, OrderStep* path, OrderLeaf** leaf, uint64_t* at) noexcept nogil:
    """Finds a pair itself."""
    cdef OrderBound b
    if o.root == NULL:
        return False
    order_bound(o, &b, score, item)
    leaf[0] = order_descend(o, &b, path, at)
    if at[0] == 0:
        return False
    at[0] -= 1
    return leaf[0].item[at[0]] == item and leaf[0].score[at[0]] == score


cdef bint order_remove(Heap* h, Order* o, double score, void* item) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf
    cdef uint64_t at
    if not descend_to(o, score, item, path, &leaf, &at):
        return False
    run_remove(h, o, path, leaf, at, 1)
    return True


cdef OrderLeaf* descend_rank(Order* o, uint64_t rank, OrderStep* path, uint64_t* at) noexcept nogil:
    """The leaf and place of a rank below `used`, and the way there."""
    cdef void* node = o.root
    cdef OrderInner* inner
    cdef uint32_t level
    cdef uint64_t i
    for level in range(o.height):
        inner = <OrderInner*>node
        i = 0
        while rank >= inner.count[i]:
            rank -= inner.count[i]
            i += 1
        path[level].node = inner
        path[level].i = i
        node = inner.child[i]
    at[0] = rank
    return <OrderLeaf*>node


cdef void order_remove_range(Heap* h, Order* o, uint64_t rank, uint64_t count) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf
    cdef uint64_t at
    cdef uint64_t k
    while count > 0 and rank < o.used:
        leaf = descend_rank(o, rank, path, &at)
        k = leaf.n - at if leaf.n - at < count else count
        run_remove(h, o, path, leaf, at, k)
        count -= k


cdef bint fits_at(Order* o, OrderLeaf* leaf, uint64_t at, double score, void* item) noexcept nogil:
    """Whether this pair would be in order at the place `at`, whatever is there now."""
    cdef OrderIter it
    cdef OrderBound b
    order_bound(o, &b, score, item)
    it.leaf = leaf
    it.i = at
    order_prev(&it)
    if it.leaf != NULL and not order_before(it.leaf.score[it.i], it.leaf.item[it.i], &b):
        return False
    it.leaf = leaf
    it.i = at
    order_next(&it)
    return it.leaf == NULL or not order_before(it.leaf.score[it.i], it.leaf.item[it.i], &b)


cdef int order_replace(Heap* h, Order* o, double score, void* old, void* new) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf
    cdef uint64_t at
    if not descend_to(o, score, old, path, &leaf, &at):
        return -1
    if o.tie == ORDER_BY_POINTER and not fits_at(o, leaf, at, score, new):
        if order_insert(h, o, score, new) != 0:
            return -1
        order_remove(h, o, score, old)
        return 0
    leaf.item[at] = new
    if at == 0:
        order_first_changed(o, path, <int64_t>o.height - 1)
    return 0


cdef int order_move(Heap* h, Order* o, double score, void* item, double to) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf
    cdef uint64_t at
    cdef uint64_t nodes
    if not descend_to(o, score, item, path, &leaf, &at):
        return -1
    if not fits_at(o, leaf, at, to, item):
        nodes = o.leaves + o.inners
        if order_insert(h, o, to, item) != 0:
            return -1
        if leaf.item[at] != item or leaf.score[at] != score:
            at += 1                         # the insert went into this leaf, in front
        if o.leaves + o.inners == nodes and at < leaf.n and leaf.item[at] == item and leaf.score[at] == score:
            run_remove(h, o, path, leaf, at, 1)     # no node was split: the way here is still the way here
        else:
            order_remove(h, o, score, item)
        return 0
    leaf.score[at] = to
    if at == 0:
        order_first_changed(o, path, <int64_t>o.height - 1)
    return 0


# ---- looking

cdef inline uint64_t path_rank(Order* o, OrderStep* path) noexcept nogil:
    """Pairs before the leaf at the end of the path."""
    cdef uint64_t rank = 0
    cdef uint32_t level
    cdef uint64_t i
    for level in range(o.height):
        for i in range(path[level].i):
            rank += path[level].node.count[i]
    return rank


cdef bint order_rank(Order* o, double score, void* item, uint64_t* rank) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf
    cdef uint64_t at
    if not descend_to(o, score, item, path, &leaf, &at):
        return False
    rank[0] = path_rank(o, path) + at
    return True


cdef bint order_find(Order* o, double score, void* item, OrderIter* it) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    if it == NULL:
        return False
    if descend_to(o, score, item, path, &it.leaf, &it.i):
        return True
    it.leaf = NULL
    it.i = 0
    return False


cdef bint order_at(Order* o, uint64_t rank, OrderIter* it) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    if rank >= o.used:
        it.leaf = NULL
        it.i = 0
        return False
    it.leaf = descend_rank(o, rank, path, &it.i)
    return True


cdef uint64_t bound_rank(Order* o, const OrderBound* b, OrderIter* it) noexcept nogil:
    cdef OrderStep path[ORDER_DEPTH]
    cdef OrderLeaf* leaf = NULL
    cdef uint64_t at = 0
    cdef uint64_t rank = 0
    if o.root != NULL:
        leaf = order_descend(o, b, path, &at)
        rank = path_rank(o, path) + at
        if at == leaf.n:
            leaf = leaf.next
            at = 0
    if it != NULL:
        it.leaf = leaf
        it.i = at
    return rank


cdef uint64_t order_lower(Order* o, double score, OrderIter* it) noexcept nogil:
    cdef OrderBound b
    b.kind = ORDER_BEFORE_SCORE
    b.score = score
    return bound_rank(o, &b, it)


cdef uint64_t order_upper(Order* o, double score, OrderIter* it) noexcept nogil:
    cdef OrderBound b
    b.kind = ORDER_UPTO_SCORE
    b.score = score
    return bound_rank(o, &b, it)


cdef uint64_t order_lower_member(Order* o, double score, const char* p, size_t n, OrderIter* it) noexcept nogil:
    cdef OrderBound b
    b.kind = ORDER_BEFORE_MEMBER
    b.score = score
    b.p = p
    b.n = n
    return bound_rank(o, &b, it)


cdef uint64_t order_upper_member(Order* o, double score, const char* p, size_t n, OrderIter* it) noexcept nogil:
    cdef OrderBound b
    b.kind = ORDER_UPTO_MEMBER
    b.score = score
    b.p = p
    b.n = n
    return bound_rank(o, &b, it)


cdef uint64_t order_lower_lex(Order* o, const char* p, size_t n, OrderIter* it) noexcept nogil:
    cdef OrderBound b
    b.kind = ORDER_BEFORE_LEX
    b.p = p
    b.n = n
    return bound_rank(o, &b, it)


cdef uint64_t order_upper_lex(Order* o, const char* p, size_t n, OrderIter* it) noexcept nogil:
    cdef OrderBound b
    b.kind = ORDER_UPTO_LEX
    b.p = p
    b.n = n
    return bound_rank(o, &b, it)


# ---- the whole

cdef bint order_free_some(Heap* h, Order* o, uint64_t budget) noexcept nogil:
    """Takes children off the right edge; `n` of the nodes there is the progress, kept from call to call."""
    cdef OrderInner* above
    cdef void* node
    cdef uint32_t level
    cdef uint64_t work
    while o.root != NULL:
        if budget == 0:
            return False
        above = NULL
        node = o.root
        level = 0
        while level < o.height and (<OrderInner*>node).n > 0:
            above = <OrderInner*>node
            node = above.child[above.n - 1]
            level += 1
        if level == o.height:
            work = (<OrderLeaf*>node).n
            order_leaf_free(h, o, <OrderLeaf*>node)
        else:
            work = 1
            order_inner_free(h, o, <OrderInner*>node)
        budget = budget - work if budget > work else 0
        if above == NULL:
            o.root = NULL
        else:
            above.n -= 1
    order_init(o, o.tie)
    return True


cdef uint64_t order_bytes(Order* o) noexcept nogil:
    return o.leaves * heap_size(sizeof(OrderLeaf)) + o.inners * heap_size(sizeof(OrderInner))


# ---- invariants

cdef struct Census:
    uint64_t leaves
    uint64_t inners
    OrderLeaf* previous


cdef int subtree_check(Order* o, void* node, uint32_t level, uint64_t* total, Census* c) noexcept nogil:
    cdef OrderInner* inner
    cdef OrderLeaf* leaf
    cdef OrderBound b
    cdef uint64_t i
    cdef uint64_t below
    cdef int broken
    total[0] = 0
    if level < o.height:
        inner = <OrderInner*>node
        c.inners += 1
        if inner.n < 1 or inner.n > ORDER_INNER or (level == 0 and inner.n < 2):
            return 1
        for i in range(inner.n):
            broken = subtree_check(o, inner.child[i], level + 1, &below, c)
            if broken != 0:
                return broken
            if below != inner.count[i]:
                return 2
            total[0] += below
            if level + 1 == o.height:
                leaf = <OrderLeaf*>inner.child[i]
                if inner.score[i] != leaf.score[0] or inner.item[i] != leaf.item[0]:
                    return 3
            elif (inner.score[i] != (<OrderInner*>inner.child[i]).score[0]
                    or inner.item[i] != (<OrderInner*>inner.child[i]).item[0]):
                return 3
        return 0
    leaf = <OrderLeaf*>node
    c.leaves += 1
    if leaf.n < 1 or leaf.n > ORDER_LEAF:
        return 1
    if leaf.prev != c.previous or (c.previous != NULL and c.previous.next != leaf):
        return 4
    for i in range(leaf.n):
        order_bound(o, &b, leaf.score[i], leaf.item[i])
        if i + 1 < leaf.n and order_before(leaf.score[i + 1], leaf.item[i + 1], &b):
            return 5
        if i + 1 == leaf.n and leaf.next != NULL and order_before(leaf.next.score[0], leaf.next.item[0], &b):
            return 5
    c.previous = leaf
    total[0] = leaf.n
    return 0


cdef int order_check(Order* o) noexcept nogil:
    """1 a node too small or too large, 2 a wrong count, 3 a wrong first pair in an inner node, 4 leaves' links are
    torn, 5 pairs out of order or twice, 6 `used`, 7 first or last, 8 the number of nodes, 9 an empty index with nodes."""
    cdef Census c
    cdef uint64_t total
    cdef int broken
    memset(&c, 0, sizeof(Census))
    if o.root == NULL:
        return 9 if o.used or o.leaves or o.inners or o.height or o.first != NULL or o.last != NULL else 0
    broken = subtree_check(o, o.root, 0, &total, &c)
    if broken != 0:
        return broken
    if total != o.used:
        return 6
    if c.previous != o.last or c.previous.next != NULL or o.first.prev != NULL:
        return 7
    if c.leaves != o.leaves or c.inners != o.inners:
        return 8
    return 0
