"""Streams as Python values (contract: record_streams.pxd)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from libkv.structures.cell cimport Slice
from libkv.structures.ids cimport IdsIter, StreamId, ids_at, ids_compare, ids_first, ids_next
from libkv.structures.stream cimport StreamIter, stream_append, stream_iter, stream_new, stream_next, stream_of, stream_pair
from libkv.structures.stream_groups cimport (
    ENTRIES_READ_UNKNOWN, consumer_add, consumer_find, group_add, group_find, pending_add, pending_find,
)
from libkv.structures.stream_types cimport Stream, StreamConsumer, StreamGroup, StreamName, StreamPending


# ---- to Python

cdef object text(const StreamName* name):
    return PyBytes_FromStringAndSize(name.p, name.n)


cdef object id_text(const StreamId* id):
    return b"%d-%d" % (id.ms, id.seq)


cdef list take_entries(Stream* s):
    cdef StreamIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[48]
    cdef uint64_t _n
    cdef list out = []
    stream_iter(&it, s, NULL, NULL, False)
    while stream_next(&it):
        pairs = []
        for _n in range(it.entry.fields):
            stream_pair(&it, &field, &value, scratch)
            pairs.append((PyBytes_FromStringAndSize(field.p, field.n), PyBytes_FromStringAndSize(value.p, value.n)))
        out.append((id_text(&it.entry.id), pairs))
    return out


cdef dict take_group(StreamGroup* g):
    cdef IdsIter it
    cdef StreamPending* p
    cdef StreamConsumer* c
    cdef uint32_t i
    pending = []
    ids_first(&g.pending, &it)
    while it.leaf != NULL:
        p = <StreamPending*>ids_at(&it).ptr
        pending.append((id_text(&ids_at(&it).id), text(&p.consumer.name), p.delivered_at, p.deliveries))
        ids_next(&it)
    consumers = []
    for i in range(g.consumers.n):
        c = <StreamConsumer*>g.consumers.item[i]
        consumers.append((text(&c.name), c.seen_at))
    return {
        "name": text(&g.name),
        "last_id": id_text(&g.last_id),
        "entries_read": None if g.entries_read == ENTRIES_READ_UNKNOWN else g.entries_read,
        "pending": pending,
        "consumers": consumers,
    }


cdef object record_stream_take(Cell* cell):
    cdef Stream* s = stream_of(cell)
    cdef uint32_t i
    return {
        "entries": take_entries(s),
        "last_id": id_text(&s.last_id),
        "max_deleted_id": id_text(&s.max_deleted_id),
        "entries_added": s.entries_added,
        "groups": [take_group(<StreamGroup*>s.groups.item[i]) for i in range(s.groups.n)],
    }


# ---- from Python

cdef int id_of(value, StreamId* id) except -1:
    if type(value) is not bytes:
        raise TypeError(f"{value!r} is {type(value).__name__}, and must be an ID as bytes")
    ms, dash, seq = value.partition(b"-")
    if not (dash and ms.isdigit() and seq.isdigit()):
        raise ValueError(f"{value!r} is no ID of a stream: b'milliseconds-sequence' is")
    id.ms = int(ms)
    id.seq = int(seq)
    return 0


cdef int slice_of(value, Slice* s) except -1:
    if type(value) is not bytes:
        raise TypeError(f"{value!r} is {type(value).__name__}, and must be bytes")
    s.p = PyBytes_AS_STRING(value)
    s.n = PyBytes_GET_SIZE(value)
    return 0


cdef int enough(bint done) except -1:
    if not done:
        raise MemoryError("no memory for a stream")
    return 0


cdef int make_entry(Kv* kv, Stream* s, name, list pairs) except -1:
    cdef StreamId id = StreamId(0, 0)
    cdef Py_ssize_t n = len(pairs)
    cdef Py_ssize_t i
    cdef Slice* words
    id_of(name, &id)
    if n == 0:
        raise ValueError("an entry of a stream has at least one field")
    if ids_compare(&id, &s.last_id) <= 0:
        raise ValueError(f"the ID {name!r} is not above the one before it")
    words = <Slice*>malloc(2 * n * sizeof(Slice))
    enough(words != NULL)
    try:
        for i in range(n):
            slice_of(pairs[i][0], &words[2 * i])
            slice_of(pairs[i][1], &words[2 * i + 1])
        enough(stream_append(kv.heap, s, &id, words, n, kv.settings.stream_node_max_bytes,
                             kv.settings.stream_node_max_entries) == 0)
    finally:
        free(words)
    return 0


cdef int make_pending(Kv* kv, StreamGroup* g, list pending) except -1:
    cdef StreamId id = StreamId(0, 0)
    cdef Slice name = Slice(NULL, 0)
    cdef StreamConsumer* consumer
    for entry, owner, delivered_at, deliveries in pending:
        id_of(entry, &id)
        slice_of(owner, &name)
        consumer = consumer_find(g, name.p, name.n)
        if consumer == NULL or pending_find(g, &id) != NULL:
            raise ValueError(f"the pending entry {entry!r} is there twice, or its consumer {owner!r} is not")
        enough(pending_add(kv.heap, g, consumer, &id, delivered_at, deliveries) != NULL)
    return 0


cdef int make_group(Kv* kv, Stream* s, dict group) except -1:
    cdef StreamId last = StreamId(0, 0)
    cdef Slice name = Slice(NULL, 0)
    cdef StreamGroup* g
    cdef int64_t entries_read = ENTRIES_READ_UNKNOWN
    slice_of(group["name"], &name)
    id_of(group["last_id"], &last)
    if group["entries_read"] is not None:
        entries_read = group["entries_read"]
    if group_find(s, name.p, name.n) != NULL:
        raise ValueError(f"the group {group['name']!r} is there twice")
    g = group_add(kv.heap, s, name.p, name.n, &last, entries_read)
    enough(g != NULL)
    for consumer, seen_at in group["consumers"]:
        slice_of(consumer, &name)
        if consumer_find(g, name.p, name.n) != NULL:
            raise ValueError(f"the consumer {consumer!r} is there twice")
        enough(consumer_add(kv.heap, g, name.p, name.n, seen_at) != NULL)
    return make_pending(kv, g, list(group["pending"]))


cdef int record_stream_make(Kv* kv, value, Cell* cell) except -1:
    cdef Stream* s
    cdef StreamId last = StreamId(0, 0)
    cdef StreamId deleted = StreamId(0, 0)
    cdef uint64_t added = value["entries_added"]
    id_of(value["last_id"], &last)
    id_of(value["max_deleted_id"], &deleted)
    enough(stream_new(kv.heap, cell) == 0)
    s = stream_of(cell)
    for name, pairs in value["entries"]:
        make_entry(kv, s, name, list(pairs))
    if ids_compare(&last, &s.last_id) < 0:
        raise ValueError(f"the stream's last_id {value['last_id']!r} is below its last entry's")
    s.last_id = last
    s.max_deleted_id = deleted
    s.entries_added = added
    for group in value["groups"]:
        make_group(kv, s, group)
    return 0
