# Streams: entries (lists of field and value) in order of their IDs, with consumer groups (stream_groups.pxd).
#
#   Stream (stream_types.pxd)
#   +--------------------+        index by ID (ids.pxd)
#   | nodes ------------ | -----> | master ID, node | master ID, node | ...       node: a packed buffer (stream_node.pxd)
#   | length, IDs, ...   |
#   | groups ----------- | -----> sorted by name (stream_groups.pxd)
#   +--------------------+
#
# Redis has a radix tree of listpacks; the nodes' bytes and their borders are the same here, so that XTRIM's `~`, RDB files
# and XINFO STREAM's figures are.  Cell.ptr is a Stream*, Cell.layout STREAM_NODES.  An empty stream is a value like any
# other: unlike other collections its key stays.
#
# What functions hand out lies in the stream or in the caller's scratch and is valid until it changes.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.ids cimport IdsIter, StreamId
from libkv.structures.packed cimport packed_get, packed_skip
from libkv.structures.stream_node cimport ENTRY_SAMEFIELDS, NodeEntry, NodeHead
from libkv.structures.stream_types cimport Stream

cdef enum:
    STREAM_NODES = 0            # the only layout

cdef struct StreamIter:         # stands on a living entry once stream_next() was True; stale after any change
    NodeEntry entry             # entry.id, entry.fields
    NodeHead head
    IdsIter node
    StreamId low
    StreamId high
    char* at                    # the entry looked at last, marked or not; NULL: none yet
    char* field                 # stream_pair's place
    char* value
    uint64_t left               # pairs that stream_pair has not told yet
    bint backwards

cdef Stream* stream_of(Cell* cell) noexcept nogil
cdef int stream_new(Heap* h, Cell* cell) noexcept nogil                         # 0 or -1
cdef int stream_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil            # 0 or -1; groups and all
cdef int stream_append(Heap* h, Stream* s, const StreamId* id, const Slice* words, uint64_t pairs,
                       uint64_t node_bytes, uint64_t node_entries) noexcept nogil
    # id > last_id; words: field, value, field, value, ...; the settings stream-node-max-*.  Sets last_id, first_id,
    # length and entries_added.  0 or -1
cdef int stream_delete(Heap* h, Stream* s, StreamId* id) noexcept nogil         # 1, 0: there is none, -1: no memory
cdef int64_t stream_trim(Heap* h, Stream* s, uint64_t length, const StreamId* below, bint whole_nodes,
                         uint64_t limit) noexcept nogil
    # takes the first entries: down to `length`, or (below not NULL) those with an ID below it; whole_nodes: nothing smaller
    # than a node; limit: at most so many (0: no limit), by nodes.  How many; -1: no memory and none taken
cdef void stream_iter(StreamIter* it, Stream* s, const StreamId* low, const StreamId* high, bint backwards) noexcept nogil
    # NULL: no bound
cdef bint stream_next(StreamIter* it) noexcept nogil                            # to the next living entry; False: no more
cdef bint stream_has(Stream* s, StreamId* id) noexcept nogil
cdef bint stream_edge(Stream* s, bint first, StreamId* id) noexcept nogil       # the first or last living entry's
cdef uint64_t stream_radix_nodes(Stream* s) noexcept nogil      # nodes of Redis's radix tree over the same master IDs

# Building a stream from a file: nodes in ascending order, then the counters straight into the struct.
cdef int stream_load_node(Heap* h, Stream* s, StreamId* master, const char* bytes, size_t n) noexcept nogil
    # 0, -1 no memory, -2 not a sound node, or not behind the one before.  Counts its living entries into s.length
cdef int stream_load_done(Stream* s, uint64_t length) noexcept nogil
    # after the nodes, with last_id set: finds first_id; 0, -2: the file's `length` or last_id contradicts the nodes

cdef uint64_t stream_bytes(Cell* cell, uint64_t samples) noexcept nogil         # of memory; `samples` nodes, 0 = all
cdef bint stream_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil
    # True: all gone; till then only to be called again
cdef void stream_free(Heap* h, Cell* cell) noexcept nogil
cdef int stream_check(Heap* h, Cell* cell) noexcept nogil                       # 0, or the number of the broken invariant

cdef inline void stream_pair(StreamIter* it, Slice* field, Slice* value, char* scratch) noexcept nogil:
    """The next field and value of the entry that stream_next() found, `entry.fields` times; scratch: 48 bytes."""
    it.left -= 1
    field[0] = packed_get(it.field, scratch)
    if it.entry.flags & ENTRY_SAMEFIELDS:
        it.field += packed_skip(it.field)
        value[0] = packed_get(it.value, scratch + 24)
        it.value += packed_skip(it.value)
    else:
        it.value = it.field + packed_skip(it.field)
        value[0] = packed_get(it.value, scratch + 24)
        it.field = it.value + packed_skip(it.value)
