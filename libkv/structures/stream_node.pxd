# One node of a stream: up to stream-node-max-entries entries in one packed buffer (packed.pxd), in the bytes of Redis's
# stream nodes, so that an RDB file of version 10 takes it as it is.
#
# Elements of the buffer:
#
#   master entry    | count | deleted | num-fields | field 1 | ... | field n | 0 |
#   each entry      | flags | ms - master.ms | seq - master.seq | num-fields | field 1 | value 1 | ... | lp-count |
#   SAMEFIELDS      | flags | ms - master.ms | seq - master.seq | value 1 | ... | value n | lp-count |
#
# `count` entries live, `deleted` ones are only marked.  The master ID is the first entry's (the index holds it).  An entry
# whose fields are the master entry's, in the same order, leaves them out.  lp-count is the number of the entry's
# elements before it: for walking backwards.  IDs wrap around as 64-bit numbers.
#
# A node is a char*, read by packed_*; functions that may move it take a char**,
# and return 0, or -1 with nothing changed.  Its piece of the heap is stream_node_room(its bytes): in steps, so that not every
# append asks for another one.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap, SLABS, SMALL_MAX
from libkv.structures.cell cimport Slice
from libkv.structures.ids cimport StreamId

cdef enum:
    ENTRY_DELETED = 1           # flags
    ENTRY_SAMEFIELDS = 2
    STREAM_PAIRS_MAX = 1 << 28  # fields of an entry
    STREAM_NODE_MAX = 1 << 30   # bytes of a node, whatever the settings say

cdef inline size_t stream_node_room(size_t bytes) noexcept nogil:
    if not SLABS:
        return bytes
    return (bytes + 63) & ~<size_t>63 if bytes <= SMALL_MAX else (bytes + 255) & ~<size_t>255

cdef struct NodeHead:           # the master entry, read
    int64_t count               # living entries
    int64_t deleted
    uint64_t fields
    char* first_field
    char* entries               # the first entry, or the end mark

cdef struct NodeEntry:          # an entry, read
    StreamId id
    int64_t flags
    uint64_t fields             # pairs
    char* at                    # its flags
    char* data                  # the first field, or with SAMEFIELDS the first value
    char* end                   # what follows it, when it was asked for

cdef void stream_node_free(Heap* h, char* node) noexcept nogil
cdef int stream_node_copy(Heap* h, const char* bytes, char** copy) noexcept nogil   # of a node, or of sound foreign bytes
cdef int stream_node_new(Heap* h, char** node, const Slice* words, uint64_t pairs) noexcept nogil
    # with one entry, that of the master ID; words: field, value, field, value, ...
cdef int stream_node_append(Heap* h, char** node, const StreamId* master, const StreamId* id, const Slice* words,
                            uint64_t pairs) noexcept nogil
cdef int stream_node_mark(Heap* h, char** node, char* at, int64_t* living) noexcept nogil
    # marks the living entry at `at` as deleted; living[0] = how many are left
cdef int stream_node_trim(Heap* h, char** node, const StreamId* master, uint64_t most, const StreamId* below,
                          int64_t* marked) noexcept nogil
    # marks living entries from the first on: at most `most`, and (below not NULL) only up to that ID exclusive

cdef void stream_node_head(char* node, NodeHead* head) noexcept nogil
cdef void stream_node_entry(NodeHead* head, const StreamId* master, char* at, NodeEntry* e) noexcept nogil   # all but `end`
cdef char* stream_node_after(NodeEntry* e) noexcept nogil               # finds e.end
cdef char* stream_node_last(char* node, NodeHead* head) noexcept nogil  # the last entry (marked ones too), or NULL
cdef char* stream_node_before(char* at, NodeHead* head) noexcept nogil  # the entry before, or NULL
cdef bint stream_node_bounds(char* node, const StreamId* master, StreamId* first, StreamId* last) noexcept nogil
    # the IDs of the first living entry and of the last of all; False: no entry lives (last is set)

cdef bint stream_node_sound(const char* bytes, size_t n, const StreamId* master, const StreamId* after) noexcept nogil
    # may untrusted bytes be used as a node?  The living entries' IDs ascend from above `after` (NULL: no bound)
cdef int stream_node_check(char* node, const StreamId* master) noexcept nogil   # 0, or the number of the broken invariant
