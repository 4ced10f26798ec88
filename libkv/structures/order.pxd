# The ordered index: pairs (score, item) in ascending order, with ranks; of sorted sets, and of the keys that expire.
#
# A B+tree whose inner nodes count what lies below each child (a counted B-tree), so that "rank of" and "item at rank"
# are both one descent.  Redis uses a skip list with spans; a tree of 1-KB nodes holds an element in 16 bytes and a bit
# instead of about 33, and a search touches a few cache lines instead of one a step.
#
#   struct OrderLeaf, 1016 bytes                          struct OrderInner, 1000 bytes
#   +------+------+---+-----------+----------+            +---+-----------+----------+-----------+-----------+
#   | next | prev | n | score[62] | item[62] |            | n | score[31] | item[31] | child[31] | count[31] |
#   +------+------+---+-----------+----------+            +---+-----------+----------+-----------+-----------+
#      8      8     8      496        496                   8      248        248         248         248
#
# score[i] and item[i] of an inner node are the first pair below child i (all of them exact, also at i = 0); count[i]
# is the number of pairs below it.  Every leaf is at the same depth.
#
# Filling: an insert at either end of the whole index opens a new leaf, so that inserts in order fill leaves to 100 %;
# elsewhere a full leaf gives to a sibling before it is split, so that random inserts fill them to about 80 %.
# A leaf or node that falls below a third is joined with a sibling, or shares with it.
#
# Ties: pairs of the same score are ordered by their items,
#   ORDER_BY_MEMBER    by the length-prefixed bytes at offset 8 of the item (memcmp, then the shorter first),
#   ORDER_BY_POINTER   by the pointer's value; the item's bytes are never read.
# Scores are never NaN; 0.0 and -0.0 are the same score.

from libc.stdint cimport uint32_t, uint64_t

from libkv.structures.alloc cimport Heap

cdef enum:
    ORDER_LEAF = 62
    ORDER_INNER = 31
    ORDER_DEPTH = 24            # most levels of inner nodes: far more than a memory can hold

cdef enum:
    ORDER_BY_MEMBER = 0
    ORDER_BY_POINTER = 1

cdef struct OrderLeaf:
    OrderLeaf* next
    OrderLeaf* prev
    uint64_t n
    double score[ORDER_LEAF]
    void* item[ORDER_LEAF]

cdef struct OrderInner:
    uint64_t n
    double score[ORDER_INNER]
    void* item[ORDER_INNER]
    void* child[ORDER_INNER]
    uint64_t count[ORDER_INNER]

cdef struct Order:              # may be moved in memory; all zero but for `tie` when empty
    void* root                  # NULL when empty; a leaf when height is 0
    OrderLeaf* first
    OrderLeaf* last
    uint64_t used               # pairs
    uint64_t leaves
    uint64_t inners
    uint32_t height             # levels of inner nodes
    uint32_t tie

cdef struct OrderIter:          # at leaf.score[i], leaf.item[i]; valid until the index changes
    OrderLeaf* leaf             # NULL past either end
    uint64_t i

cdef void order_init(Order* o, uint32_t tie) noexcept nogil

# Adds a pair that is not there.  0, or -1 without memory and nothing changed.
cdef int order_insert(Heap* h, Order* o, double score, void* item) noexcept nogil

# Takes the pair out; the item is the caller's.  False: it was not there.
cdef bint order_remove(Heap* h, Order* o, double score, void* item) noexcept nogil

# Makes the pair (score, old) point to `new`, which has the same member bytes (both readable during the call).  0, or -1:
# the pair is not there, or (only with ORDER_BY_POINTER, where the place among equals may change) there is no memory.
cdef int order_replace(Heap* h, Order* o, double score, void* old, void* new) noexcept nogil

# Gives the pair (score, item) another score; 0, or -1: it is not there, or there is no memory.  Nothing is changed then.
cdef int order_move(Heap* h, Order* o, double score, void* item, double to) noexcept nogil

# Takes out `count` pairs from `rank` on.  Reads no item's bytes, so the items may be freed before or after.
cdef void order_remove_range(Heap* h, Order* o, uint64_t rank, uint64_t count) noexcept nogil

# Position of a pair: the number of pairs before it.  False: it is not there.  `it` may be NULL, as everywhere below.
cdef bint order_rank(Order* o, double score, void* item, uint64_t* rank) noexcept nogil
cdef bint order_find(Order* o, double score, void* item, OrderIter* it) noexcept nogil      # the same without the rank

# Places the iterator at a rank; False (and leaf NULL) when rank >= used.
cdef bint order_at(Order* o, uint64_t rank, OrderIter* it) noexcept nogil

# Bounds.  Each returns the number of pairs before the bound and places the iterator at the first one behind it:
#   lower          score >= bound                          upper          score > bound
#   lower_member   (score, member) >= bound                upper_member   (score, member) > bound
#   lower_lex      member >= bound, whatever the score     upper_lex      member > bound
# The last two make sense when all scores are the same; else the result is some rank, and safe.
cdef uint64_t order_lower(Order* o, double score, OrderIter* it) noexcept nogil
cdef uint64_t order_upper(Order* o, double score, OrderIter* it) noexcept nogil
cdef uint64_t order_lower_member(Order* o, double score, const char* p, size_t n, OrderIter* it) noexcept nogil
cdef uint64_t order_upper_member(Order* o, double score, const char* p, size_t n, OrderIter* it) noexcept nogil
cdef uint64_t order_lower_lex(Order* o, const char* p, size_t n, OrderIter* it) noexcept nogil
cdef uint64_t order_upper_lex(Order* o, const char* p, size_t n, OrderIter* it) noexcept nogil

# Frees nodes, never items, a leaf's pairs and 1 a node counting against the budget; True: all gone (and init again).
# From the first call on the index may not be used for anything else.
cdef bint order_free_some(Heap* h, Order* o, uint64_t budget) noexcept nogil

cdef uint64_t order_bytes(Order* o) noexcept nogil              # of the nodes
cdef int order_check(Order* o) noexcept nogil                   # 0, or the number of the broken invariant


cdef inline void order_first(Order* o, OrderIter* it) noexcept nogil:
    it.leaf = o.first
    it.i = 0

cdef inline void order_last(Order* o, OrderIter* it) noexcept nogil:
    it.leaf = o.last
    it.i = o.last.n - 1 if o.last != NULL else 0

cdef inline void order_next(OrderIter* it) noexcept nogil:
    """One pair on; leaf is NULL past the last.  Must not be called at the end."""
    it.i += 1
    if it.i >= it.leaf.n:
        it.leaf = it.leaf.next
        it.i = 0

cdef inline void order_prev(OrderIter* it) noexcept nogil:
    """One pair back; leaf is NULL before the first.  Must not be called at the end."""
    if it.i > 0:
        it.i -= 1
        return
    it.leaf = it.leaf.prev
    it.i = it.leaf.n - 1 if it.leaf != NULL else 0
