# The index by ID: 128-bit keys in ascending order, each with a pointer; of a stream's nodes and of pending entries.
#
# A B+tree of one kind of node.  The pairs of a leaf are (ID, value); those of an inner node are (least ID that may lie
# below, child), the first of which is never looked at.
#
#   struct IdsNode, 24 + 24 * cap bytes (1008 when full size)
#   +------+------+---+-----+-----------------------+
#   | next | prev | n | cap | pair[cap]: ms seq ptr |       next and prev: of leaves only
#   +------+------+---+-----+-----------------------+
#      8      8     4    4         24 * cap
#
# Redis keeps a radix tree of 16-byte keys.  IDs are appended in order and taken from the front for the most part: an
# append opens a new leaf, so that leaves are full, and a search compares a few numbers a level.  While the whole index is
# one leaf, that grows by doubling, so that a short stream or the pending entries of one consumer cost little.
# A node that falls below a quarter is joined with a sibling if both fit into three quarters of one.
#
# Functions that can fail return -1 with nothing changed; removing can't fail.

from libc.stdint cimport uint32_t, uint64_t

from libkv.structures.alloc cimport Heap

cdef enum:
    IDS_CAP = 41                # pairs of a full-size node
    IDS_DEPTH = 16              # most levels of inner nodes

cdef struct StreamId:
    uint64_t ms
    uint64_t seq

cdef struct IdsPair:
    StreamId id
    void* ptr

cdef struct IdsNode:
    IdsNode* next
    IdsNode* prev
    uint32_t n
    uint32_t cap
    IdsPair pair[1]             # cap of them

cdef struct Ids:                # may be moved in memory; all zero when empty
    IdsNode* root
    IdsNode* last               # the last leaf
    uint64_t used               # pairs
    uint32_t height             # levels of inner nodes

cdef struct IdsIter:            # at leaf.pair[i]; stale after any change
    IdsNode* leaf               # NULL past either end
    uint32_t i

ctypedef void (*ids_release)(Heap* h, void* ptr, void* arg) noexcept nogil

cdef int ids_insert(Heap* h, Ids* t, StreamId* id, void* ptr) noexcept nogil
    # 0; 1 the ID is there already (nothing changed); -1 no memory
cdef void* ids_remove(Heap* h, Ids* t, StreamId* id) noexcept nogil     # its pointer, or NULL: it was not there
cdef void** ids_find(Ids* t, StreamId* id) noexcept nogil               # where its pointer is, or NULL
cdef bint ids_from(Ids* t, StreamId* id, IdsIter* it) noexcept nogil    # at the first pair with an ID >= id; False: none
cdef bint ids_upto(Ids* t, StreamId* id, IdsIter* it) noexcept nogil    # at the last pair with an ID <= id; False: none
cdef void ids_first(Ids* t, IdsIter* it) noexcept nogil
cdef void ids_last(Ids* t, IdsIter* it) noexcept nogil
cdef bint ids_free_some(Heap* h, Ids* t, uint64_t budget, ids_release release, void* arg) noexcept nogil
    # frees `budget` pairs and their nodes, the last first, each pointer through `release` (NULL: left alone);
    # True: all gone.  From the first call on the index may not be used for anything else
cdef uint64_t ids_bytes(Ids* t) noexcept nogil                          # of the nodes
cdef int ids_check(Ids* t) noexcept nogil                               # 0, or the number of the broken invariant

cdef inline int ids_compare(const StreamId* a, const StreamId* b) noexcept nogil:
    """-1, 0 or 1."""
    if a.ms != b.ms:
        return -1 if a.ms < b.ms else 1
    if a.seq != b.seq:
        return -1 if a.seq < b.seq else 1
    return 0

cdef inline IdsPair* ids_at(IdsIter* it) noexcept nogil:
    return &it.leaf.pair[it.i]

cdef inline void ids_next(IdsIter* it) noexcept nogil:
    """One pair on; leaf is NULL past the last."""
    it.i += 1
    if it.i >= it.leaf.n:
        it.leaf = it.leaf.next
        it.i = 0

cdef inline void ids_prev(IdsIter* it) noexcept nogil:
    """One pair back; leaf is NULL before the first."""
    if it.i > 0:
        it.i -= 1
        return
    it.leaf = it.leaf.prev
    it.i = it.leaf.n - 1 if it.leaf != NULL else 0
