"""Consumer groups of a stream (contract and layout: stream_groups.pxd)."""

from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memcpy, memmove, memset

from libkv.structures.alloc cimport heap_alloc, heap_free, heap_resize, heap_size
from libkv.structures.ids cimport (
    ids_at, ids_bytes, ids_check, ids_compare, ids_find, ids_first, ids_free_some, ids_insert, ids_next, ids_remove,
)


# ---- lists sorted by name

cdef bint names_find(StreamNames* names, const char* p, size_t n, uint32_t* at) noexcept nogil:
    """Whether the name is there; where it is or belongs in at[0]."""
    cdef uint32_t low = 0
    cdef uint32_t high = names.n
    cdef uint32_t middle
    cdef StreamName* name
    cdef int order
    while low < high:
        middle = (low + high) >> 1
        name = <StreamName*>names.item[middle]
        order = memcmp(name.p, p, min(name.n, n)) if name.n and n else 0
        if order == 0:
            order = (name.n > n) - (name.n < n)
        if order == 0:
            at[0] = middle
            return True
        if order < 0:
            low = middle + 1
        else:
            high = middle
    at[0] = low
    return False


cdef int names_insert(Heap* h, StreamNames* names, uint32_t at, void* item) noexcept nogil:
    cdef uint32_t cap = names.cap
    cdef void** more
    if names.n == cap:
        if cap > <uint32_t>0x3FFFFFFF:
            return -1
        cap = cap * 2 if cap else 1
        more = <void**>heap_resize(h, names.item, names.cap * sizeof(void*), cap * sizeof(void*))
        if more == NULL:
            return -1
        names.item = more
        names.cap = cap
    if at < names.n:
        memmove(&names.item[at + 1], &names.item[at], (names.n - at) * sizeof(void*))
    names.item[at] = item
    names.n += 1
    return 0


cdef void names_remove(Heap* h, StreamNames* names, void* item) noexcept nogil:
    cdef StreamName* name = <StreamName*>item
    cdef uint32_t at = 0
    if not names_find(names, name.p, name.n, &at):
        return
    names.n -= 1
    if at < names.n:
        memmove(&names.item[at], &names.item[at + 1], (names.n - at) * sizeof(void*))
    if names.n == 0:
        names_drop(h, names)


cdef void names_drop(Heap* h, StreamNames* names) noexcept nogil:
    if names.cap:
        heap_free(h, names.item, names.cap * sizeof(void*))
    memset(names, 0, sizeof(StreamNames))


cdef void* named_new(Heap* h, StreamNames* names, size_t size, const char* p, size_t n) noexcept nogil:
    """A zeroed struct of `size` bytes that begins with a StreamName, its name behind it, in its place in the list."""
    cdef uint32_t at = 0
    cdef char* item
    cdef StreamName* name
    if n > <size_t>0xFFFFFFFF or names_find(names, p, n, &at):
        return NULL
    item = <char*>heap_alloc(h, size + n)
    if item == NULL:
        return NULL
    memset(item, 0, size)
    name = <StreamName*>item
    name.p = item + size
    name.n = n
    if n:
        memcpy(item + size, p, n)
    if names_insert(h, names, at, item) != 0:
        heap_free(h, item, size + n)
        return NULL
    return item


# ---- groups

cdef StreamGroup* group_find(Stream* s, const char* p, size_t n) noexcept nogil:
    cdef uint32_t at = 0
    return <StreamGroup*>s.groups.item[at] if names_find(&s.groups, p, n, &at) else NULL


cdef StreamGroup* group_add(Heap* h, Stream* s, const char* p, size_t n, const StreamId* last_id,
                            int64_t entries_read) noexcept nogil:
    cdef StreamGroup* g = <StreamGroup*>named_new(h, &s.groups, sizeof(StreamGroup), p, n)
    if g != NULL:
        g.last_id = last_id[0]
        g.entries_read = entries_read
    return g


cdef void release_pending(Heap* h, void* ptr, void* arg) noexcept nogil:
    heap_free(h, ptr, sizeof(StreamPending))


cdef bint index_free_some(Heap* h, Ids* t, uint64_t* budget, bint owned) noexcept nogil:
    cdef uint64_t used = t.used
    cdef bint gone
    if owned:
        gone = ids_free_some(h, t, budget[0], release_pending, NULL)
    else:
        gone = ids_free_some(h, t, budget[0], NULL, NULL)
    budget[0] -= min(budget[0], used - t.used)
    return gone


cdef bint group_free_some(Heap* h, StreamGroup* g, uint64_t* budget) noexcept nogil:
    cdef StreamConsumer* consumer
    while g.consumers.n:
        consumer = <StreamConsumer*>g.consumers.item[g.consumers.n - 1]
        if not index_free_some(h, &consumer.pending, budget, False):
            return False
        heap_free(h, consumer, sizeof(StreamConsumer) + consumer.name.n)
        g.consumers.n -= 1
    if not index_free_some(h, &g.pending, budget, True):
        return False
    names_drop(h, &g.consumers)
    heap_free(h, g, sizeof(StreamGroup) + g.name.n)
    return True


cdef bint groups_free_some(Heap* h, StreamNames* groups, uint64_t budget) noexcept nogil:
    while groups.n:
        if not group_free_some(h, <StreamGroup*>groups.item[groups.n - 1], &budget):
            return False
        groups.n -= 1
    names_drop(h, groups)
    return True


cdef void group_delete(Heap* h, Stream* s, StreamGroup* g) noexcept nogil:
    cdef uint64_t budget = <uint64_t>-1
    names_remove(h, &s.groups, g)
    group_free_some(h, g, &budget)


# ---- consumers

cdef StreamConsumer* consumer_find(StreamGroup* g, const char* p, size_t n) noexcept nogil:
    cdef uint32_t at = 0
    return <StreamConsumer*>g.consumers.item[at] if names_find(&g.consumers, p, n, &at) else NULL


cdef StreamConsumer* consumer_add(Heap* h, StreamGroup* g, const char* p, size_t n, int64_t seen_at) noexcept nogil:
    cdef StreamConsumer* consumer = <StreamConsumer*>named_new(h, &g.consumers, sizeof(StreamConsumer), p, n)
    if consumer != NULL:
        consumer.seen_at = seen_at
    return consumer


cdef void consumer_delete(Heap* h, StreamGroup* g, StreamConsumer* consumer) noexcept nogil:
    cdef IdsIter it
    cdef StreamId id
    ids_first(&consumer.pending, &it)
    while it.leaf != NULL:
        id = ids_at(&it).id
        heap_free(h, ids_remove(h, &g.pending, &id), sizeof(StreamPending))
        ids_next(&it)
    ids_free_some(h, &consumer.pending, <uint64_t>-1, NULL, NULL)
    names_remove(h, &g.consumers, consumer)
    heap_free(h, consumer, sizeof(StreamConsumer) + consumer.name.n)


# ---- pending entries

cdef StreamPending* pending_find(StreamGroup* g, StreamId* id) noexcept nogil:
    cdef void** slot = ids_find(&g.pending, id)
    return <StreamPending*>slot[0] if slot != NULL else NULL


cdef StreamPending* pending_add(Heap* h, StreamGroup* g, StreamConsumer* consumer, StreamId* id, int64_t delivered_at,
                                uint64_t deliveries) noexcept nogil:
    cdef StreamPending* pending = <StreamPending*>heap_alloc(h, sizeof(StreamPending))
    if pending == NULL:
        return NULL
    pending.delivered_at = delivered_at
    pending.deliveries = deliveries
    pending.consumer = consumer
    if ids_insert(h, &g.pending, id, pending) != 0:
        heap_free(h, pending, sizeof(StreamPending))
        return NULL
    if consumer != NULL and ids_insert(h, &consumer.pending, id, pending) != 0:
        ids_remove(h, &g.pending, id)
        heap_free(h, pending, sizeof(StreamPending))
        return NULL
    return pending


cdef int pending_give(Heap* h, StreamPending* pending, StreamId* id, StreamConsumer* consumer) noexcept nogil:
    if pending.consumer == consumer:
        return 0
    if ids_insert(h, &consumer.pending, id, pending) != 0:
        return -1
    if pending.consumer != NULL:
        ids_remove(h, &pending.consumer.pending, id)
    pending.consumer = consumer
    return 0


cdef bint pending_remove(Heap* h, StreamGroup* g, StreamId* id) noexcept nogil:
    cdef StreamPending* pending = <StreamPending*>ids_remove(h, &g.pending, id)
    if pending == NULL:
        return False
    if pending.consumer != NULL:
        ids_remove(h, &pending.consumer.pending, id)
    heap_free(h, pending, sizeof(StreamPending))
    return True


# ---- counters

cdef int64_t group_read_estimate(Stream* s, const StreamId* id) noexcept nogil:
    cdef int order
    if s.entries_added == 0:
        return 0
    order = ids_compare(id, &s.last_id)
    if order == 0 or (order < 0 and s.length == 0):
        return <int64_t>s.entries_added
    if order > 0:
        return ENTRIES_READ_UNKNOWN         # an ID of the future
    if (s.max_deleted_id.ms or s.max_deleted_id.seq) and ids_compare(&s.max_deleted_id, &s.first_id) >= 0:
        return ENTRIES_READ_UNKNOWN         # there may be holes
    order = ids_compare(id, &s.first_id)
    if order < 0:
        return <int64_t>(s.entries_added - s.length)
    return <int64_t>(s.entries_added - s.length + 1) if order == 0 else ENTRIES_READ_UNKNOWN


cdef bint group_lag(Stream* s, StreamGroup* g, int64_t* lag) noexcept nogil:
    cdef int64_t n = g.entries_read
    lag[0] = 0
    if s.entries_added == 0:
        return True
    if n == ENTRIES_READ_UNKNOWN or stream_has_deleted(s, &g.last_id):
        n = group_read_estimate(s, &g.last_id)
        if n == ENTRIES_READ_UNKNOWN:
            return False
    lag[0] = <int64_t>(s.entries_added - <uint64_t>n)
    return True


# ---- all groups

cdef int group_copy(Heap* h, StreamGroup* g, StreamGroup* copy) noexcept nogil:
    cdef StreamConsumer* from_
    cdef StreamConsumer* to
    cdef StreamPending* pending
    cdef StreamId id
    cdef IdsIter it
    cdef uint32_t i
    for i in range(g.consumers.n):
        from_ = <StreamConsumer*>g.consumers.item[i]
        to = consumer_add(h, copy, from_.name.p, from_.name.n, from_.seen_at)
        if to == NULL:
            return -1
        ids_first(&from_.pending, &it)
        while it.leaf != NULL:
            id = ids_at(&it).id
            pending = <StreamPending*>ids_at(&it).ptr
            if pending_add(h, copy, to, &id, pending.delivered_at, pending.deliveries) == NULL:
                return -1
            ids_next(&it)
    return 0


cdef int groups_copy(Heap* h, Stream* s, Stream* copy) noexcept nogil:
    cdef StreamGroup* from_
    cdef StreamGroup* to
    cdef uint32_t i
    for i in range(s.groups.n):
        from_ = <StreamGroup*>s.groups.item[i]
        to = group_add(h, copy, from_.name.p, from_.name.n, &from_.last_id, from_.entries_read)
        if to == NULL or group_copy(h, from_, to) != 0:
            return -1
    return 0


cdef uint64_t names_bytes(StreamNames* names) noexcept nogil:
    return heap_size(names.cap * sizeof(void*)) if names.cap else 0


cdef uint64_t groups_bytes(Stream* s) noexcept nogil:
    cdef uint64_t total = names_bytes(&s.groups)
    cdef StreamGroup* g
    cdef StreamConsumer* consumer
    cdef uint32_t i, k
    for i in range(s.groups.n):
        g = <StreamGroup*>s.groups.item[i]
        total += heap_size(sizeof(StreamGroup) + g.name.n) + names_bytes(&g.consumers)
        total += ids_bytes(&g.pending) + g.pending.used * heap_size(sizeof(StreamPending))
        for k in range(g.consumers.n):
            consumer = <StreamConsumer*>g.consumers.item[k]
            total += heap_size(sizeof(StreamConsumer) + consumer.name.n) + ids_bytes(&consumer.pending)
    return total


cdef bint names_sound(StreamNames* names) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t i
    cdef StreamName* name
    if names.n > names.cap or (names.n == 0 and names.cap):
        return False
    for i in range(names.n):
        name = <StreamName*>names.item[i]
        if not names_find(names, name.p, name.n, &at) or at != i:
            return False
    return True


cdef int groups_check(Stream* s) noexcept nogil:
    """1 the list of groups, 2 a list of consumers, 3 a pending entry without a consumer, 4 one that its consumer does not
    have, 5 a consumer has one that the group has not, 20 + n the group's index, 30 + n a consumer's (ids_check)."""
    cdef StreamGroup* g
    cdef StreamConsumer* consumer
    cdef StreamPending* pending
    cdef StreamId id
    cdef IdsIter it
    cdef void** slot
    cdef uint64_t total
    cdef int broken
    cdef uint32_t i, k
    if not names_sound(&s.groups):
        return 1
    for i in range(s.groups.n):
        g = <StreamGroup*>s.groups.item[i]
        if not names_sound(&g.consumers):
            return 2
        broken = ids_check(&g.pending)
        if broken:
            return 20 + broken
        total = 0
        for k in range(g.consumers.n):
            consumer = <StreamConsumer*>g.consumers.item[k]
            broken = ids_check(&consumer.pending)
            if broken:
                return 30 + broken
            total += consumer.pending.used
        ids_first(&g.pending, &it)
        while it.leaf != NULL:
            id = ids_at(&it).id
            pending = <StreamPending*>ids_at(&it).ptr
            if pending.consumer == NULL:
                return 3
            slot = ids_find(&pending.consumer.pending, &id)
            if slot == NULL or slot[0] != pending:
                return 4
            ids_next(&it)
        if total != g.pending.used:
            return 5
    return 0
