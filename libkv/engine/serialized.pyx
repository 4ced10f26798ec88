"""The size of a value in an RDB file (contract: serialized.pxd)."""

from libc.stdint cimport int64_t, uint32_t

from libkv.engine.entry cimport entry_cell, entry_string, entry_type
from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING
from libkv.structures.cell cimport Cell, HASH_PACKED, LIST_PACKED, SET_INTS, Slice, ZSET_PACKED
from libkv.structures.chunk cimport Chunk, List, chunk_used
from libkv.structures.hash cimport HASH_SCRATCH, HashIter, hash_iter, hash_length, hash_next
from libkv.structures.ids cimport IdsIter, ids_at, ids_first, ids_next
from libkv.structures.ints cimport ints_bytes
from libkv.structures.number cimport number_parse_i64
from libkv.structures.packed cimport PACKED_EMPTY, packed_bytes
from libkv.structures.set cimport SetIter, set_iter, set_length, set_next
from libkv.structures.stream cimport stream_of
from libkv.structures.stream_types cimport Stream, StreamConsumer, StreamGroup, StreamPending
from libkv.structures.zset cimport ZsetIter, zset_iter, zset_length, zset_next


cdef inline uint64_t rdb_length_size(uint64_t n) noexcept nogil:
    """Bytes that a length takes in an RDB file."""
    return 1 if n < 64 else 2 if n < 16384 else 5 if n <= <uint64_t>0xffffffff else 9


cdef uint64_t rdb_string_size(const char* p, size_t n) noexcept nogil:
    """Bytes that a string takes in an RDB file: small integers are numbers there."""
    cdef int64_t v
    if n <= 11 and number_parse_i64(p, n, &v) and -2147483648 <= v <= 2147483647:
        return 2 if -128 <= v <= 127 else 3 if -32768 <= v <= 32767 else 5
    return rdb_length_size(n) + n


cdef inline uint64_t rdb_blob_size(uint64_t n) noexcept nogil:
    return rdb_length_size(n) + n


cdef uint64_t serialized_size(Entry* e) noexcept nogil:
    cdef int type = entry_type(e)
    cdef Cell cell
    cdef Slice s
    cdef char scratch[24]
    if type == TYPE_STRING:
        entry_string(e, scratch, &s)
        return rdb_string_size(s.p, s.n)
    entry_cell(e, &cell)
    if type == TYPE_LIST:
        return rdb_list_size(&cell)
    if type == TYPE_SET:
        return rdb_set_size(&cell)
    if type == TYPE_HASH:
        return rdb_hash_size(&cell)
    if type == TYPE_STREAM:
        return rdb_stream_size(stream_of(&cell))
    return rdb_zset_size(&cell)


cdef uint64_t rdb_list_size(Cell* cell) noexcept nogil:
    cdef uint64_t n
    cdef Chunk* chunk
    if cell.layout == LIST_PACKED:
        return 2 + rdb_blob_size(packed_bytes(<char*>cell.ptr))
    n = rdb_length_size((<List*>cell.ptr).chunks)
    chunk = (<List*>cell.ptr).head
    while chunk != NULL:
        n += 1 + rdb_blob_size(PACKED_EMPTY + chunk_used(chunk))
        chunk = chunk.next
    return n


cdef uint64_t rdb_set_size(Cell* cell) noexcept nogil:
    cdef uint64_t n = rdb_length_size(set_length(cell))
    cdef SetIter it
    cdef Slice s
    cdef char scratch[24]
    if cell.layout == SET_INTS:
        return rdb_blob_size(ints_bytes(<char*>cell.ptr))
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        n += rdb_string_size(s.p, s.n)
    return n


cdef uint64_t rdb_hash_size(Cell* cell) noexcept nogil:
    cdef uint64_t n = rdb_length_size(hash_length(cell))
    cdef HashIter it
    cdef Slice field, value
    cdef char scratch[HASH_SCRATCH]
    if cell.layout == HASH_PACKED:
        return rdb_blob_size(packed_bytes(<char*>cell.ptr))
    hash_iter(&it, cell)
    while hash_next(&it, &field, &value, scratch):
        n += rdb_string_size(field.p, field.n) + rdb_string_size(value.p, value.n)
    return n


cdef uint64_t rdb_zset_size(Cell* cell) noexcept nogil:
    cdef uint64_t n = rdb_length_size(zset_length(cell))
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[24]
    if cell.layout == ZSET_PACKED:
        return rdb_blob_size(packed_bytes(<char*>cell.ptr))
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &member, &score, scratch):
        n += rdb_string_size(member.p, member.n) + 8
    return n


cdef uint64_t rdb_stream_size(Stream* s) noexcept nogil:
    """Nodes with their keys of 16 bytes, counters and IDs, groups with their pending entries."""
    cdef uint64_t n = rdb_length_size(s.nodes.used) + rdb_length_size(s.groups.n)
    cdef IdsIter it
    cdef uint32_t i
    ids_first(&s.nodes, &it)
    while it.leaf != NULL:
        n += 17 + rdb_blob_size(packed_bytes(<char*>ids_at(&it).ptr))
        ids_next(&it)
    n += rdb_length_size(s.length) + rdb_length_size(s.last_id.ms) + rdb_length_size(s.last_id.seq)
    n += rdb_length_size(s.first_id.ms) + rdb_length_size(s.first_id.seq)
    n += rdb_length_size(s.max_deleted_id.ms) + rdb_length_size(s.max_deleted_id.seq) + rdb_length_size(s.entries_added)
    for i in range(s.groups.n):
        n += rdb_group_size(<StreamGroup*>s.groups.item[i])
    return n


cdef uint64_t rdb_group_size(StreamGroup* g) noexcept nogil:
    cdef uint64_t n = rdb_string_size(g.name.p, g.name.n) + rdb_length_size(g.last_id.ms) + rdb_length_size(g.last_id.seq)
    cdef StreamConsumer* consumer
    cdef IdsIter it
    cdef uint32_t i
    n += rdb_length_size(<uint64_t>g.entries_read) + rdb_length_size(g.pending.used) + rdb_length_size(g.consumers.n)
    ids_first(&g.pending, &it)
    while it.leaf != NULL:              # ID, time of delivery, deliveries
        n += 24 + rdb_length_size((<StreamPending*>ids_at(&it).ptr).deliveries)
        ids_next(&it)
    for i in range(g.consumers.n):      # name, time it was seen, IDs
        consumer = <StreamConsumer*>g.consumers.item[i]
        n += rdb_string_size(consumer.name.p, consumer.name.n) + 8
        n += rdb_length_size(consumer.pending.used) + 16 * consumer.pending.used
    return n
