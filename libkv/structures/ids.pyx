"""The index by ID (contract and layout: ids.pxd)."""

from libc.string cimport memcpy, memmove, memset

from libkv.structures.alloc cimport UNLIKELY, heap_alloc, heap_free, heap_resize, heap_size

cdef enum:
    IDS_LOW = IDS_CAP // 4      # a node with so few pairs looks for a sibling to join
    IDS_JOIN = IDS_CAP * 3 // 4
    IDS_SHRINK = 8              # a single leaf of at least this capacity is halved when a quarter full

cdef struct IdsStep:            # on the way down: the child taken
    IdsNode* node
    uint32_t i


# ---- nodes

cdef inline size_t ids_node_size(uint32_t cap) noexcept nogil:
    return sizeof(IdsNode) + (cap - 1) * sizeof(IdsPair)


cdef IdsNode* ids_node_new(Heap* h, uint32_t cap) noexcept nogil:
    cdef IdsNode* node = <IdsNode*>heap_alloc(h, ids_node_size(cap))
    if node == NULL:
        return NULL
    node.next = node.prev = NULL
    node.n = 0
    node.cap = cap
    return node


cdef inline void ids_node_free(Heap* h, IdsNode* node) noexcept nogil:
    heap_free(h, node, ids_node_size(node.cap))


cdef int ids_root_resize(Heap* h, Ids* t, uint32_t cap) noexcept nogil:
    """Another capacity for the only leaf; 0 or -1."""
    cdef IdsNode* node = <IdsNode*>heap_resize(h, t.root, ids_node_size(t.root.cap), ids_node_size(cap))
    if node == NULL:
        return -1
    node.cap = cap
    t.root = t.last = node
    return 0


cdef inline void ids_put(IdsNode* node, uint32_t i, StreamId* id, void* ptr) noexcept nogil:
    if i < node.n:
        memmove(&node.pair[i + 1], &node.pair[i], (node.n - i) * sizeof(IdsPair))
    node.pair[i].id = id[0]
    node.pair[i].ptr = ptr
    node.n += 1


cdef inline void ids_cut(IdsNode* node, uint32_t i) noexcept nogil:
    node.n -= 1
    if i < node.n:
        memmove(&node.pair[i], &node.pair[i + 1], (node.n - i) * sizeof(IdsPair))


cdef inline void ids_unlink(Ids* t, IdsNode* leaf) noexcept nogil:
    if leaf.prev != NULL:
        leaf.prev.next = leaf.next
    if leaf.next != NULL:
        leaf.next.prev = leaf.prev
    else:
        t.last = leaf.prev


# ---- searching

cdef inline uint32_t ids_lower(IdsNode* node, StreamId* id, uint32_t low) noexcept nogil:
    """The first pair from `low` on whose ID is not below id."""
    cdef uint32_t high = node.n
    cdef uint32_t middle
    while low < high:
        middle = (low + high) >> 1
        if ids_compare(&node.pair[middle].id, id) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline uint32_t ids_child(IdsNode* node, StreamId* id) noexcept nogil:
    """The child whose range holds id: the last whose least ID is not above it, or the first."""
    cdef uint32_t i = ids_lower(node, id, 1)
    if i < node.n and ids_compare(&node.pair[i].id, id) == 0:
        return i
    return i - 1


cdef IdsNode* ids_descend(Ids* t, StreamId* id, IdsStep* path) noexcept nogil:
    """The leaf whose range holds id; the way there in path[0 .. height), when it is wanted."""
    cdef IdsNode* node = t.root
    cdef uint32_t level, i
    for level in range(t.height):
        i = ids_child(node, id)
        if path != NULL:
            path[level].node = node
            path[level].i = i
        node = <IdsNode*>node.pair[i].ptr
    return node


cdef void** ids_find(Ids* t, StreamId* id) noexcept nogil:
    cdef IdsNode* leaf
    cdef uint32_t i
    if t.root == NULL:
        return NULL
    leaf = ids_descend(t, id, NULL)
    i = ids_lower(leaf, id, 0)
    if i < leaf.n and ids_compare(&leaf.pair[i].id, id) == 0:
        return &leaf.pair[i].ptr
    return NULL


cdef bint ids_from(Ids* t, StreamId* id, IdsIter* it) noexcept nogil:
    it.leaf = NULL
    it.i = 0
    if t.root == NULL:
        return False
    it.leaf = ids_descend(t, id, NULL)
    it.i = ids_lower(it.leaf, id, 0)
    if it.i == it.leaf.n:
        it.leaf = it.leaf.next
        it.i = 0
    return it.leaf != NULL


cdef bint ids_upto(Ids* t, StreamId* id, IdsIter* it) noexcept nogil:
    it.leaf = NULL
    it.i = 0
    if t.root == NULL:
        return False
    it.leaf = ids_descend(t, id, NULL)
    it.i = ids_lower(it.leaf, id, 0)
    if it.i == it.leaf.n or ids_compare(&it.leaf.pair[it.i].id, id) != 0:
        ids_prev(it)
    return it.leaf != NULL


cdef void ids_first(Ids* t, IdsIter* it) noexcept nogil:
    cdef IdsNode* node = t.root
    cdef uint32_t _level
    it.i = 0
    it.leaf = NULL
    if node == NULL:
        return
    for _level in range(t.height):
        node = <IdsNode*>node.pair[0].ptr
    it.leaf = node


cdef void ids_last(Ids* t, IdsIter* it) noexcept nogil:
    it.leaf = t.last
    it.i = t.last.n - 1 if t.last != NULL else 0


# ---- inserting

cdef int ids_insert(Heap* h, Ids* t, StreamId* id, void* ptr) noexcept nogil:
    cdef IdsStep path[IDS_DEPTH]
    cdef IdsNode* leaf = t.last
    cdef uint32_t i
    if leaf == NULL:
        leaf = ids_node_new(h, 1)
        if leaf == NULL:
            return -1
        t.root = t.last = leaf
        i = 0
    elif ids_compare(&leaf.pair[leaf.n - 1].id, id) < 0 and leaf.n < leaf.cap:
        i = leaf.n                      # most are appended: no search
    else:
        leaf = ids_descend(t, id, path)
        i = ids_lower(leaf, id, 0)
        if i < leaf.n and ids_compare(&leaf.pair[i].id, id) == 0:
            return 1
        if leaf.cap < IDS_CAP:
            if leaf.n == leaf.cap:
                if ids_root_resize(h, t, min(leaf.cap * 2, <uint32_t>IDS_CAP)) != 0:
                    return -1
                leaf = t.root
        elif leaf.n == IDS_CAP:
            return ids_split(h, t, path, leaf, i, id, ptr)
    ids_put(leaf, i, id, ptr)
    t.used += 1
    return 0


cdef int ids_spares(Heap* h, Ids* t, IdsStep* path, IdsNode** spare) noexcept nogil:
    """All the nodes that one more leaf needs on its way up, before anything is changed: their number, or -1."""
    cdef int level = <int>t.height - 1
    cdef int n = 1
    cdef int i
    while level >= 0 and path[level].node.n == IDS_CAP:
        level -= 1
        n += 1
    if level < 0:
        if t.height == IDS_DEPTH:
            return -1
        n += 1                          # a new root
    for i in range(n):
        spare[i] = ids_node_new(h, IDS_CAP)
        if spare[i] == NULL:
            while i > 0:
                i -= 1
                ids_node_free(h, spare[i])
            return -1
    return n


cdef void ids_halve(IdsNode* node, IdsNode* right, uint32_t cut, uint32_t i, StreamId* id, void* ptr) noexcept nogil:
    """Puts a pair at i of a full node whose pairs from `cut` on go to `right`."""
    right.n = node.n - cut
    memcpy(right.pair, &node.pair[cut], right.n * sizeof(IdsPair))
    node.n = cut
    if i > cut or cut == IDS_CAP:
        ids_put(right, i - cut, id, ptr)
    else:
        ids_put(node, i, id, ptr)


cdef int ids_split(Heap* h, Ids* t, IdsStep* path, IdsNode* leaf, uint32_t i, StreamId* id, void* ptr) noexcept nogil:
    """ids_insert into a full leaf.  At the right edge of the whole index the full nodes stay full."""
    cdef IdsNode* spare[IDS_DEPTH + 2]
    cdef IdsNode* right
    cdef IdsNode* node
    cdef StreamId least
    cdef bint at_end = leaf == t.last and i == leaf.n
    cdef uint32_t cut = IDS_CAP if at_end else IDS_CAP // 2
    cdef int n = ids_spares(h, t, path, spare)
    cdef int level
    if n < 0:
        return -1
    n -= 1
    right = spare[n]
    ids_halve(leaf, right, cut, i, id, ptr)
    right.prev = leaf
    right.next = leaf.next
    if leaf.next != NULL:
        leaf.next.prev = right
    else:
        t.last = right
    leaf.next = right
    t.used += 1
    level = <int>t.height - 1
    while level >= 0:
        node = path[level].node
        least = right.pair[0].id
        if node.n < IDS_CAP:
            ids_put(node, path[level].i + 1, &least, right)
            return 0
        n -= 1
        ids_halve(node, spare[n], cut, path[level].i + 1, &least, right)
        right = spare[n]
        level -= 1
    node = spare[0]
    node.n = 2
    node.pair[0].id.ms = node.pair[0].id.seq = 0
    node.pair[0].ptr = t.root
    node.pair[1].id = right.pair[0].id
    node.pair[1].ptr = right
    t.root = node
    t.height += 1
    return 0


# ---- removing

cdef void* ids_remove(Heap* h, Ids* t, StreamId* id) noexcept nogil:
    cdef IdsStep path[IDS_DEPTH]
    cdef IdsNode* leaf
    cdef void* ptr
    cdef uint32_t i
    if t.root == NULL:
        return NULL
    leaf = ids_descend(t, id, path)
    i = ids_lower(leaf, id, 0)
    if i == leaf.n or ids_compare(&leaf.pair[i].id, id) != 0:
        return NULL
    ptr = leaf.pair[i].ptr
    ids_cut(leaf, i)
    t.used -= 1
    if t.height:
        if UNLIKELY(leaf.n <= IDS_LOW):
            ids_repair(h, t, path, leaf)
    elif leaf.n == 0:
        ids_node_free(h, leaf)
        memset(t, 0, sizeof(Ids))
    elif leaf.cap >= IDS_SHRINK and leaf.n * 4 <= leaf.cap:
        ids_root_resize(h, t, leaf.cap // 2)        # without memory it stays
    return ptr


cdef void ids_join(Heap* h, Ids* t, IdsNode* parent, uint32_t k, bint leaves) noexcept nogil:
    """Makes children k and k + 1 one."""
    cdef IdsNode* left = <IdsNode*>parent.pair[k].ptr
    cdef IdsNode* right = <IdsNode*>parent.pair[k + 1].ptr
    if leaves:
        ids_unlink(t, right)
    else:
        right.pair[0].id = parent.pair[k + 1].id
    memcpy(&left.pair[left.n], right.pair, right.n * sizeof(IdsPair))
    left.n += right.n
    ids_node_free(h, right)
    ids_cut(parent, k + 1)


cdef void ids_repair(Heap* h, Ids* t, IdsStep* path, IdsNode* node) noexcept nogil:
    """After a removal from a leaf: joins or frees nodes that have few pairs, from the leaf upwards."""
    cdef int level = <int>t.height - 1
    cdef bint leaves = True
    cdef IdsNode* parent
    cdef uint32_t k
    while level >= 0:
        if node.n > IDS_LOW:
            return
        parent = path[level].node
        k = path[level].i
        if node.n == 0:
            if leaves:
                ids_unlink(t, node)
            ids_node_free(h, node)
            ids_cut(parent, k)
        elif k + 1 < parent.n and node.n + (<IdsNode*>parent.pair[k + 1].ptr).n <= IDS_JOIN:
            ids_join(h, t, parent, k, leaves)
        elif k > 0 and node.n + (<IdsNode*>parent.pair[k - 1].ptr).n <= IDS_JOIN:
            ids_join(h, t, parent, k - 1, leaves)
        else:
            return
        node = parent
        leaves = False
        level -= 1
    while t.height and t.root.n <= 1:
        node = t.root
        t.root = <IdsNode*>node.pair[0].ptr if node.n else NULL
        t.height -= 1
        ids_node_free(h, node)
        if t.root == NULL:
            memset(t, 0, sizeof(Ids))


cdef bint ids_free_some(Heap* h, Ids* t, uint64_t budget, ids_release release, void* arg) noexcept nogil:
    cdef IdsNode* path[IDS_DEPTH + 1]
    cdef IdsNode* node
    cdef uint32_t level
    while t.root != NULL:
        path[0] = t.root
        for level in range(t.height):
            path[level + 1] = <IdsNode*>path[level].pair[path[level].n - 1].ptr
        node = path[t.height]
        while node.n and budget:
            node.n -= 1
            t.used -= 1
            budget -= 1
            if release != NULL:
                release(h, node.pair[node.n].ptr, arg)
        if node.n:
            return False
        level = t.height
        while True:
            ids_node_free(h, path[level])
            if level == 0:
                memset(t, 0, sizeof(Ids))
                return True
            level -= 1
            path[level].n -= 1
            if path[level].n:
                break
    return True


# ---- memory and invariants

cdef uint64_t ids_node_bytes(IdsNode* node, uint32_t height) noexcept nogil:
    cdef uint64_t total = heap_size(ids_node_size(node.cap))
    cdef uint32_t i
    if height == 1:
        return total + node.n * heap_size(ids_node_size(IDS_CAP))
    if height:
        for i in range(node.n):
            total += ids_node_bytes(<IdsNode*>node.pair[i].ptr, height - 1)
    return total


cdef uint64_t ids_bytes(Ids* t) noexcept nogil:
    return ids_node_bytes(t.root, t.height) if t.root != NULL else 0


cdef struct IdsCheck:
    IdsNode* leaf               # the last one passed
    uint64_t pairs


cdef int ids_check_node(Ids* t, IdsNode* node, uint32_t height, StreamId* low, StreamId* high, IdsCheck* so_far) noexcept nogil:
    """`low` is the least ID allowed, `high` the least that is not (NULL: no bound)."""
    cdef uint32_t i
    cdef int broken
    if node.n == 0 or node.n > node.cap:
        return 1
    if node.cap != IDS_CAP and (t.height or node.cap > IDS_CAP):
        return 2
    for i in range(node.n):
        if height and i == 0:
            continue
        if low != NULL and ids_compare(&node.pair[i].id, low) < 0:
            return 3
        if high != NULL and ids_compare(&node.pair[i].id, high) >= 0:
            return 4
        if i > <uint32_t>(height != 0) and ids_compare(&node.pair[i - 1].id, &node.pair[i].id) >= 0:
            return 5
    if height == 0:
        if node.prev != so_far.leaf or (so_far.leaf != NULL and so_far.leaf.next != node):
            return 6
        so_far.leaf = node
        so_far.pairs += node.n
        return 0
    for i in range(node.n):
        broken = ids_check_node(t, <IdsNode*>node.pair[i].ptr, height - 1, &node.pair[i].id if i else low,
                                &node.pair[i + 1].id if i + 1 < node.n else high, so_far)
        if broken:
            return broken
    return 0


cdef int ids_check(Ids* t) noexcept nogil:
    """1 a node is empty or overfull, 2 its capacity is wrong, 3 an ID is below its range, 4 above it, 5 order, 6 the chain
    of leaves, 7 the count, 8 the last leaf, 9 an empty index that is not all zero, 10 a root of one child."""
    cdef IdsCheck so_far
    cdef int broken
    if t.root == NULL:
        return 9 if t.last != NULL or t.used or t.height else 0
    so_far.leaf = NULL
    so_far.pairs = 0
    broken = ids_check_node(t, t.root, t.height, NULL, NULL, &so_far)
    if broken:
        return broken
    if so_far.pairs != t.used:
        return 7
    if so_far.leaf != t.last or t.last.next != NULL:
        return 8
    return 10 if t.height and t.root.n < 2 else 0
