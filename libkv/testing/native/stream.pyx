"""Streams from Python, for their tests: one stream on a heap of its own.  IDs are pairs (ms, seq)."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.ids cimport IdsIter, StreamId, ids_at, ids_bytes, ids_first, ids_next
from libkv.structures.packed cimport packed_bytes
from libkv.structures.stream cimport (
    StreamIter, stream_append, stream_bytes, stream_check, stream_copy, stream_delete, stream_edge,
    stream_free, stream_free_some, stream_has, stream_iter, stream_load_done, stream_load_node, stream_new, stream_next,
    stream_of, stream_pair, stream_radix_nodes, stream_trim,
)
from libkv.structures.stream_groups cimport (
    consumer_add, consumer_delete, consumer_find, group_add, group_delete,
    group_find, group_lag, group_read_estimate, pending_add, pending_find, pending_give, pending_remove,
)
from libkv.structures.stream_node cimport stream_node_sound
from libkv.structures.stream_types cimport Stream as Entries, StreamConsumer, StreamGroup, StreamPending


cdef StreamId id_of(tuple pair):
    cdef StreamId id
    id.ms, id.seq = pair
    return id


def sound(bytes node, tuple master, tuple after=None) -> bool:
    """Whether the bytes may be used as a node."""
    cdef StreamId first = id_of(master)
    cdef StreamId low
    if after is None:
        return stream_node_sound(node, len(node), &first, NULL)
    low = id_of(after)
    return stream_node_sound(node, len(node), &first, &low)


cdef class Stream:
    """One stream.  Methods raise MemoryError where the C function has no memory."""

    cdef Heap* h
    cdef Cell cell
    cdef public uint64_t node_bytes
    cdef public uint64_t node_entries

    def __cinit__(self, uint64_t node_bytes=4096, uint64_t node_entries=100):
        self.node_bytes = node_bytes
        self.node_entries = node_entries
        self.h = heap_new(1, 2)
        if self.h == NULL or stream_new(self.h, &self.cell) != 0:
            raise MemoryError

    def __dealloc__(self):
        if self.h != NULL and self.cell.ptr != NULL:
            stream_free(self.h, &self.cell)
        heap_delete(self.h)

    cdef Entries* s(self):
        return stream_of(&self.cell)

    cdef done(self, int result):
        if result < 0:
            raise MemoryError

    # entries

    def append(self, tuple pair, list words):
        """words: field, value, field, value, ..."""
        cdef StreamId id = id_of(pair)
        cdef Slice* slices = <Slice*>malloc(len(words) * sizeof(Slice))
        cdef bytes word
        if slices == NULL:
            raise MemoryError
        for i, word in enumerate(words):
            slices[i].p = word
            slices[i].n = len(word)
        try:
            self.done(stream_append(self.h, self.s(), &id, slices, len(words) // 2, self.node_bytes, self.node_entries))
        finally:
            free(slices)

    def delete(self, tuple pair) -> bool:
        cdef StreamId id = id_of(pair)
        cdef int gone = stream_delete(self.h, self.s(), &id)
        self.done(gone)
        return gone == 1

    def trim(self, uint64_t length=0, tuple below=None, bint whole_nodes=False, uint64_t limit=0) -> int:
        cdef StreamId id
        cdef int64_t n
        if below is not None:
            id = id_of(below)
        n = stream_trim(self.h, self.s(), length, &id if below is not None else NULL, whole_nodes, limit)
        if n < 0:
            raise MemoryError
        return n

    def entries(self, tuple low=None, tuple high=None, bint backwards=False, bint told=True) -> list:
        """[(ID, [field, value, ...]), ...]; told=False: only the IDs are asked for."""
        cdef StreamIter it
        cdef StreamId first, last
        cdef Slice field, value
        cdef char scratch[48]
        cdef uint64_t _i
        if low is not None:
            first = id_of(low)
        if high is not None:
            last = id_of(high)
        found = []
        stream_iter(&it, self.s(), &first if low is not None else NULL, &last if high is not None else NULL, backwards)
        while stream_next(&it):
            words = []
            for _i in range(it.entry.fields if told else 0):
                stream_pair(&it, &field, &value, scratch)
                words += [field.p[:field.n], value.p[:value.n]]
            found.append(((it.entry.id.ms, it.entry.id.seq), words))
        return found

    def has(self, tuple pair) -> bool:
        cdef StreamId id = id_of(pair)
        return stream_has(self.s(), &id)

    def edge(self, bint first):
        cdef StreamId id
        return (id.ms, id.seq) if stream_edge(self.s(), first, &id) else None

    def counters(self) -> tuple:
        """(last_id, first_id, max_deleted_id, entries_added)."""
        cdef Entries* s = self.s()
        return ((s.last_id.ms, s.last_id.seq), (s.first_id.ms, s.first_id.seq),
                (s.max_deleted_id.ms, s.max_deleted_id.seq), s.entries_added)

    # nodes

    def nodes(self) -> list:
        """[(master ID, bytes), ...]"""
        cdef IdsIter it
        found = []
        ids_first(&self.s().nodes, &it)
        while it.leaf != NULL:
            node = (<char*>ids_at(&it).ptr)[:packed_bytes(<char*>ids_at(&it).ptr)]
            found.append(((ids_at(&it).id.ms, ids_at(&it).id.seq), node))
            ids_next(&it)
        return found

    def load_node(self, tuple master, bytes node) -> bool:
        cdef StreamId id = id_of(master)
        cdef int result = stream_load_node(self.h, self.s(), &id, node, len(node))
        if result == -1:
            raise MemoryError
        return result == 0

    def load_done(self, uint64_t length, tuple last, tuple max_deleted, uint64_t entries_added) -> bool:
        self.s().last_id = id_of(last)
        self.s().max_deleted_id = id_of(max_deleted)
        self.s().entries_added = entries_added
        return stream_load_done(self.s(), length) == 0

    def radix_nodes(self) -> int:
        return stream_radix_nodes(self.s())

    # groups

    cdef StreamGroup* group(self, bytes name) except NULL:
        cdef StreamGroup* g = group_find(self.s(), name, len(name))
        if g == NULL:
            raise KeyError(name)
        return g

    cdef StreamConsumer* consumer(self, bytes group, bytes name) except NULL:
        cdef StreamConsumer* consumer = consumer_find(self.group(group), name, len(name))
        if consumer == NULL:
            raise KeyError(name)
        return consumer

    def group_add(self, bytes name, tuple last, int64_t entries_read=-1):
        cdef StreamId id = id_of(last)
        if group_add(self.h, self.s(), name, len(name), &id, entries_read) == NULL:
            raise MemoryError

    def group_delete(self, bytes name):
        group_delete(self.h, self.s(), self.group(name))

    def consumer_add(self, bytes group, bytes name, int64_t seen_at=0):
        if consumer_add(self.h, self.group(group), name, len(name), seen_at) == NULL:
            raise MemoryError

    def consumer_delete(self, bytes group, bytes name):
        consumer_delete(self.h, self.group(group), self.consumer(group, name))

    def pending_add(self, bytes group, bytes consumer, tuple pair, int64_t delivered_at=0, uint64_t deliveries=1):
        cdef StreamId id = id_of(pair)
        if pending_add(self.h, self.group(group), self.consumer(group, consumer), &id, delivered_at, deliveries) == NULL:
            raise MemoryError

    def pending_give(self, bytes group, tuple pair, bytes consumer):
        cdef StreamId id = id_of(pair)
        self.done(pending_give(self.h, pending_find(self.group(group), &id), &id, self.consumer(group, consumer)))

    def pending_remove(self, bytes group, tuple pair) -> bool:
        cdef StreamId id = id_of(pair)
        return pending_remove(self.h, self.group(group), &id)

    def groups(self) -> dict:
        """name -> (last_id, entries_read, {ID: (consumer, delivered_at, deliveries)}, {consumer: (seen_at, [ID, ...])})"""
        cdef StreamGroup* g
        cdef StreamConsumer* consumer
        cdef StreamPending* pending
        cdef IdsIter it
        found = {}
        for i in range(self.s().groups.n):
            g = <StreamGroup*>self.s().groups.item[i]
            entries = {}
            ids_first(&g.pending, &it)
            while it.leaf != NULL:
                pending = <StreamPending*>ids_at(&it).ptr
                entries[(ids_at(&it).id.ms, ids_at(&it).id.seq)] = (
                    pending.consumer.name.p[:pending.consumer.name.n], pending.delivered_at, pending.deliveries)
                ids_next(&it)
            consumers = {}
            for k in range(g.consumers.n):
                consumer = <StreamConsumer*>g.consumers.item[k]
                own = []
                ids_first(&consumer.pending, &it)
                while it.leaf != NULL:
                    own.append((ids_at(&it).id.ms, ids_at(&it).id.seq))
                    ids_next(&it)
                consumers[consumer.name.p[:consumer.name.n]] = (consumer.seen_at, own)
            found[g.name.p[:g.name.n]] = ((g.last_id.ms, g.last_id.seq), g.entries_read, entries, consumers)
        return found

    def read_estimate(self, tuple pair) -> int:
        cdef StreamId id = id_of(pair)
        return group_read_estimate(self.s(), &id)

    def lag(self, bytes group):
        cdef int64_t n
        return n if group_lag(self.s(), self.group(group), &n) else None

    # the whole

    def copied(self) -> tuple:
        """(entries, groups, counters, nodes) of a copy, which is checked and freed."""
        cdef Cell copy
        cdef Cell mine = self.cell
        self.done(stream_copy(self.h, &self.cell, &copy))
        self.cell = copy
        try:
            assert stream_check(self.h, &copy) == 0
            return self.entries(), self.groups(), self.counters(), self.nodes()
        finally:
            self.cell = mine
            stream_free(self.h, &copy)

    def free_some(self, uint64_t budget) -> bool:
        return stream_free_some(self.h, &self.cell, budget)

    def bytes_used(self, uint64_t samples=0) -> int:
        return stream_bytes(&self.cell, samples)

    def index_bytes(self) -> int:
        return ids_bytes(&self.s().nodes)

    def used(self) -> int:
        return self.h.used

    def check(self) -> int:
        return stream_check(self.h, &self.cell) or heap_check(self.h) * 100

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)

    def __len__(self):
        return self.s().length
