# Consumer groups of a stream: what each has been given, to whom, and what is not acknowledged yet.
#
#   Stream.groups, sorted by name
#     StreamGroup     | name | last_id | entries_read | pending | consumers |
#                                                          |          |
#         index by ID of StreamPending  <------------------+          +--> sorted by name
#         | delivered_at | deliveries | consumer |                         StreamConsumer | name | seen_at | pending |
#                                            ^                                                                  |
#                                            +----- the same StreamPending, by ID <----------------------------+
#
# The group's index owns the StreamPending; each is in exactly one consumer's index too (while a file is loaded, in none
# yet).  Names lie behind their struct in the same piece.

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap
from libkv.structures.ids cimport Ids, IdsIter, StreamId, ids_compare
from libkv.structures.stream_types cimport (
    Stream, StreamConsumer, StreamGroup, StreamName, StreamNames, StreamPending,
)

cdef enum:
    ENTRIES_READ_UNKNOWN = -1

cdef inline bint stream_has_deleted(Stream* s, const StreamId* low) noexcept nogil:
    """Whether an entry among the living ones may have been deleted by its ID, at or after `low`."""
    if s.length == 0 or (s.max_deleted_id.ms == 0 and s.max_deleted_id.seq == 0):
        return False
    return ids_compare(&s.first_id, &s.max_deleted_id) <= 0 and ids_compare(low, &s.max_deleted_id) <= 0

# Groups.  Walk: for i in range(s.groups.n): <StreamGroup*>s.groups.item[i]
cdef StreamGroup* group_find(Stream* s, const char* p, size_t n) noexcept nogil
cdef StreamGroup* group_add(Heap* h, Stream* s, const char* p, size_t n, const StreamId* last_id,
                            int64_t entries_read) noexcept nogil
    # the name must be new (group_find); NULL: no memory
cdef void group_delete(Heap* h, Stream* s, StreamGroup* g) noexcept nogil
cdef bint groups_free_some(Heap* h, StreamNames* groups, uint64_t budget) noexcept nogil    # True: all gone
cdef int groups_copy(Heap* h, Stream* s, Stream* copy) noexcept nogil           # 0, or -1: copy has some of them
cdef uint64_t groups_bytes(Stream* s) noexcept nogil
cdef int groups_check(Stream* s) noexcept nogil
cdef int64_t group_read_estimate(Stream* s, const StreamId* id) noexcept nogil
    # how many entries were ever added up to this ID, when it can be told; else ENTRIES_READ_UNKNOWN
cdef bint group_lag(Stream* s, StreamGroup* g, int64_t* lag) noexcept nogil     # entries not delivered yet; False: unknown

# Consumers.  Walk: for i in range(g.consumers.n): <StreamConsumer*>g.consumers.item[i]
cdef StreamConsumer* consumer_find(StreamGroup* g, const char* p, size_t n) noexcept nogil
cdef StreamConsumer* consumer_add(Heap* h, StreamGroup* g, const char* p, size_t n, int64_t seen_at) noexcept nogil
    # the name must be new (consumer_find); NULL: no memory
cdef void consumer_delete(Heap* h, StreamGroup* g, StreamConsumer* consumer) noexcept nogil     # and its pending entries

# Pending entries.  Walk: ids_first(&g.pending, &it); while it.leaf != NULL: ids_at(&it).id and
# <StreamPending*>ids_at(&it).ptr; ids_next(&it)
cdef StreamPending* pending_find(StreamGroup* g, StreamId* id) noexcept nogil
cdef StreamPending* pending_add(Heap* h, StreamGroup* g, StreamConsumer* consumer, StreamId* id, int64_t delivered_at,
                                uint64_t deliveries) noexcept nogil
    # the ID must not be pending in the group yet (pending_find); consumer NULL: a file says later whose it is.
    # NULL: no memory, or the ID is there
cdef int pending_give(Heap* h, StreamPending* pending, StreamId* id, StreamConsumer* consumer) noexcept nogil
    # makes it another consumer's (or, in a file, the first one's); 0 or -1
cdef bint pending_remove(Heap* h, StreamGroup* g, StreamId* id) noexcept nogil  # False: it was not pending
