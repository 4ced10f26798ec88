"""Streams in RDB files (contract and layout: rdb_stream.pxd)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from libkv.persistence.rdb_decode cimport rdb_fail, rdb_failed, rdb_get_length, rdb_get_string
from libkv.persistence.rdb_encode cimport rdb_put_length, rdb_put_string
from libkv.persistence.rdb_flat cimport flat_listpack
from libkv.persistence.rdb_format cimport RDB_BAD, RDB_CUT, RDB_NO_MEMORY, RDB_OK, RDB_STREAM, RDB_STREAM_3
from libkv.persistence.rio cimport sink_put, source_left, source_take
from libkv.structures.cell cimport Slice
from libkv.structures.ids cimport IdsIter, StreamId, ids_at, ids_first, ids_next
from libkv.structures.packed cimport packed_bytes
from libkv.structures.stream cimport stream_free, stream_load_done, stream_load_node, stream_new, stream_of
from libkv.structures.stream_groups cimport (
    consumer_add, consumer_find, group_add, group_find, group_read_estimate, pending_add, pending_find, pending_give,
)
from libkv.structures.stream_types cimport Stream, StreamConsumer, StreamGroup, StreamPending

cdef extern from "<endian.h>" nogil:
    uint64_t htobe64(uint64_t)
    uint64_t be64toh(uint64_t)

cdef enum:
    ID_BYTES = 16


# ---- writing

cdef void raw_of(StreamId* id, char* raw) noexcept nogil:
    cdef uint64_t ms = htobe64(id.ms)
    cdef uint64_t seq = htobe64(id.seq)
    memcpy(raw, &ms, 8)
    memcpy(raw + 8, &seq, 8)


cdef void put_id(Sink* s, StreamId* id) noexcept nogil:
    rdb_put_length(s, id.ms)
    rdb_put_length(s, id.seq)


cdef void put_nodes(Sink* s, Stream* stream) noexcept nogil:
    cdef IdsIter it
    cdef char raw[ID_BYTES]
    rdb_put_length(s, stream.nodes.used)
    ids_first(&stream.nodes, &it)
    while it.leaf != NULL:
        raw_of(&ids_at(&it).id, raw)
        rdb_put_string(s, raw, ID_BYTES)
        rdb_put_string(s, <char*>ids_at(&it).ptr, packed_bytes(<char*>ids_at(&it).ptr))
        ids_next(&it)


cdef void put_consumer(Sink* s, StreamConsumer* consumer) noexcept nogil:
    cdef IdsIter it
    cdef char raw[ID_BYTES]
    rdb_put_string(s, consumer.name.p, consumer.name.n)
    sink_put(s, <char*>&consumer.seen_at, 8)
    rdb_put_length(s, consumer.pending.used)
    ids_first(&consumer.pending, &it)
    while it.leaf != NULL:
        raw_of(&ids_at(&it).id, raw)
        sink_put(s, raw, ID_BYTES)
        ids_next(&it)


cdef void put_group(Sink* s, StreamGroup* g) noexcept nogil:
    cdef IdsIter it
    cdef StreamPending* pending
    cdef char raw[ID_BYTES]
    cdef uint32_t i
    rdb_put_string(s, g.name.p, g.name.n)
    put_id(s, &g.last_id)
    rdb_put_length(s, <uint64_t>g.entries_read)
    rdb_put_length(s, g.pending.used)
    ids_first(&g.pending, &it)
    while it.leaf != NULL:
        pending = <StreamPending*>ids_at(&it).ptr
        raw_of(&ids_at(&it).id, raw)
        sink_put(s, raw, ID_BYTES)
        sink_put(s, <char*>&pending.delivered_at, 8)
        rdb_put_length(s, pending.deliveries)
        ids_next(&it)
    rdb_put_length(s, g.consumers.n)
    for i in range(g.consumers.n):
        put_consumer(s, <StreamConsumer*>g.consumers.item[i])


cdef void rdb_put_stream(Sink* s, Cell* cell) noexcept nogil:
    cdef Stream* stream = stream_of(cell)
    cdef uint32_t i
    put_nodes(s, stream)
    rdb_put_length(s, stream.length)
    put_id(s, &stream.last_id)
    put_id(s, &stream.first_id)
    put_id(s, &stream.max_deleted_id)
    rdb_put_length(s, stream.entries_added)
    rdb_put_length(s, stream.groups.n)
    for i in range(stream.groups.n):
        put_group(s, <StreamGroup*>stream.groups.item[i])


# ---- reading

cdef int get_id(Source* s, StreamId* id, RdbError* e) noexcept nogil:
    """Two lengths."""
    cdef int code = rdb_get_length(s, &id.ms, e)
    return code if code != RDB_OK else rdb_get_length(s, &id.seq, e)


cdef void id_of(StreamId* id, const char* raw) noexcept nogil:
    memcpy(&id.ms, raw, 8)
    memcpy(&id.seq, raw + 8, 8)
    id.ms = be64toh(id.ms)
    id.seq = be64toh(id.seq)


cdef int get_raw_id(Source* s, StreamId* id, RdbError* e) noexcept nogil:
    cdef const char* raw = source_take(s, ID_BYTES)
    if raw == NULL:
        return rdb_failed(e, s, b"an ID")
    id_of(id, raw)
    return RDB_OK


cdef int get_time(Source* s, int64_t* ms, RdbError* e) noexcept nogil:
    cdef const char* p = source_take(s, 8)
    if p == NULL:
        return rdb_failed(e, s, b"a time")
    memcpy(ms, p, 8)
    return RDB_OK


cdef int get_number(Source* s, uint64_t* n, RdbError* e) noexcept nogil:
    """How many follow: no more than there can be."""
    cdef int code = rdb_get_length(s, n, e)
    if code == RDB_OK and n[0] > source_left(s):
        return rdb_fail(e, s, RDB_CUT, b"more of a stream's parts than bytes are left")
    return code


cdef int get_nodes(Heap* h, Source* s, Stream* stream, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef Slice raw
    cdef StreamId master
    cdef int done
    cdef int code = get_number(s, &n, e)
    while code == RDB_OK and n:
        n -= 1
        code = rdb_get_string(s, &raw, e)
        if code == RDB_OK and raw.n != ID_BYTES:
            code = rdb_fail(e, s, RDB_BAD, b"a stream's node whose ID has not 16 bytes")
        if code != RDB_OK:
            break
        id_of(&master, raw.p)
        code = rdb_get_string(s, &raw, e)
        if code == RDB_OK:
            code = flat_listpack(s, &raw, e)
        if code == RDB_OK:
            done = stream_load_node(h, stream, &master, raw.p, raw.n)
            if done == -1:
                code = rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
            elif done != 0:
                code = rdb_fail(e, s, RDB_BAD, b"a stream's node that is torn or out of order")
    return code


cdef int get_counters(Source* s, int rdb_type, Stream* stream, RdbError* e) noexcept nogil:
    cdef uint64_t length
    cdef StreamId first
    cdef int code = rdb_get_length(s, &length, e)
    if code == RDB_OK:
        code = get_id(s, &stream.last_id, e)
    if code == RDB_OK and rdb_type != RDB_STREAM:
        code = get_id(s, &first, e)
        if code == RDB_OK:
            code = get_id(s, &stream.max_deleted_id, e)
        if code == RDB_OK:
            code = rdb_get_length(s, &stream.entries_added, e)
    elif code == RDB_OK:
        stream.entries_added = length
    if code == RDB_OK and stream_load_done(stream, length) != 0:
        return rdb_fail(e, s, RDB_BAD, b"a stream whose nodes don't agree with its length or last ID")
    return code


cdef int get_pending(Heap* h, Source* s, StreamGroup* g, RdbError* e) noexcept nogil:
    """A group's pending entries, whose consumers are told later."""
    cdef uint64_t n
    cdef uint64_t deliveries
    cdef int64_t at
    cdef StreamId id
    cdef int code = get_number(s, &n, e)
    while code == RDB_OK and n:
        n -= 1
        code = get_raw_id(s, &id, e)
        if code == RDB_OK:
            code = get_time(s, &at, e)
        if code == RDB_OK:
            code = rdb_get_length(s, &deliveries, e)
        if code != RDB_OK:
            break
        if pending_find(g, &id) != NULL:
            code = rdb_fail(e, s, RDB_BAD, b"a pending entry twice in a group")
        elif pending_add(h, g, NULL, &id, at, deliveries) == NULL:
            code = rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    return code


cdef int get_consumer(Heap* h, Source* s, int rdb_type, StreamGroup* g, uint64_t* given, RdbError* e) noexcept nogil:
    cdef StreamConsumer* consumer
    cdef StreamPending* pending
    cdef StreamId id
    cdef Slice name
    cdef int64_t at
    cdef uint64_t n
    cdef int code = rdb_get_string(s, &name, e)
    if code != RDB_OK:
        return code
    if consumer_find(g, name.p, name.n) != NULL:
        return rdb_fail(e, s, RDB_BAD, b"a consumer twice in a group")
    consumer = consumer_add(h, g, name.p, name.n, 0)
    if consumer == NULL:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    code = get_time(s, &consumer.seen_at, e)
    if code == RDB_OK and rdb_type == RDB_STREAM_3:
        code = get_time(s, &at, e)
    if code == RDB_OK:
        code = get_number(s, &n, e)
    while code == RDB_OK and n:
        n -= 1
        code = get_raw_id(s, &id, e)
        if code != RDB_OK:
            break
        pending = pending_find(g, &id)
        if pending == NULL or pending.consumer != NULL:
            code = rdb_fail(e, s, RDB_BAD, b"a consumer's entry that is not pending in its group, or is another's")
        elif pending_give(h, pending, &id, consumer) != 0:
            code = rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
        given[0] += 1
    return code


cdef int get_group(Heap* h, Source* s, int rdb_type, Stream* stream, RdbError* e) noexcept nogil:
    cdef StreamGroup* g
    cdef Slice name
    cdef StreamId last
    cdef uint64_t entries_read
    cdef uint64_t n
    cdef uint64_t given = 0
    cdef int code = rdb_get_string(s, &name, e)
    if code != RDB_OK:
        return code
    if group_find(stream, name.p, name.n) != NULL:
        return rdb_fail(e, s, RDB_BAD, b"a consumer group twice in a stream")
    last.ms = last.seq = 0
    g = group_add(h, stream, name.p, name.n, &last, -1)
    if g == NULL:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    code = get_id(s, &g.last_id, e)
    if code == RDB_OK and rdb_type != RDB_STREAM:
        code = rdb_get_length(s, &entries_read, e)
        g.entries_read = <int64_t>entries_read
    elif code == RDB_OK:
        g.entries_read = group_read_estimate(stream, &g.last_id)
    if code == RDB_OK and g.entries_read < -1:
        code = rdb_fail(e, s, RDB_BAD, b"a group that has read less than nothing")
    if code == RDB_OK:
        code = get_pending(h, s, g, e)
    if code == RDB_OK:
        code = get_number(s, &n, e)
    while code == RDB_OK and n:
        n -= 1
        code = get_consumer(h, s, rdb_type, g, &given, e)
    if code == RDB_OK and given != g.pending.used:
        code = rdb_fail(e, s, RDB_BAD, b"a pending entry without its consumer")
    return code


cdef int rdb_get_stream(Heap* h, Source* s, int rdb_type, Cell* cell, RdbError* e) noexcept nogil:
    cdef Stream* stream
    cdef uint64_t n = 0
    cdef int code
    if stream_new(h, cell) != 0:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    stream = stream_of(cell)
    code = get_nodes(h, s, stream, e)
    if code == RDB_OK:
        code = get_counters(s, rdb_type, stream, e)
    if code == RDB_OK:
        code = get_number(s, &n, e)
    while code == RDB_OK and n:
        n -= 1
        code = get_group(h, s, rdb_type, stream, e)
    if code != RDB_OK:
        stream_free(h, cell)
    return code
