"""Streams (contract and layout: stream.pxd)."""

from libc.string cimport memset

from libkv.structures.alloc cimport heap_alloc, heap_free, heap_size
from libkv.structures.ids cimport (
    IdsPair, ids_at, ids_bytes, ids_check, ids_compare, ids_find, ids_first, ids_free_some, ids_insert, ids_last, ids_next,
    ids_prev, ids_remove, ids_upto,
)
from libkv.structures.packed cimport PACKED_END, PACKED_HEADER, packed_bytes, packed_read
from libkv.structures.stream_groups cimport groups_bytes, groups_check, groups_copy, groups_free_some
from libkv.structures.stream_node cimport (
    ENTRY_DELETED, STREAM_NODE_MAX, stream_node_after, stream_node_append, stream_node_before, stream_node_bounds,
    stream_node_check, stream_node_copy, stream_node_entry, stream_node_free, stream_node_head, stream_node_last,
    stream_node_mark, stream_node_new, stream_node_room, stream_node_sound, stream_node_trim,
)

cdef enum:
    ID_BYTES = 16               # of a key in Redis's radix tree


cdef Stream* stream_of(Cell* cell) noexcept nogil:
    return <Stream*>cell.ptr


cdef int stream_new(Heap* h, Cell* cell) noexcept nogil:
    cdef Stream* s = <Stream*>heap_alloc(h, sizeof(Stream))
    if s == NULL:
        return -1
    memset(s, 0, sizeof(Stream))
    cell.ptr = s
    cell.layout = STREAM_NODES
    return 0


cdef int stream_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil:
    cdef Stream* s = stream_of(cell)
    cdef Stream* twin
    cdef IdsIter it
    cdef StreamId id
    cdef char* node = NULL
    if stream_new(h, copy) != 0:
        return -1
    twin = stream_of(copy)
    ids_first(&s.nodes, &it)
    while it.leaf != NULL:
        id = ids_at(&it).id
        if stream_node_copy(h, <char*>ids_at(&it).ptr, &node) != 0:
            stream_free(h, copy)
            return -1
        if ids_insert(h, &twin.nodes, &id, node) != 0:
            stream_node_free(h, node)
            stream_free(h, copy)
            return -1
        ids_next(&it)
    twin.length = s.length
    twin.last_id = s.last_id
    twin.first_id = s.first_id
    twin.max_deleted_id = s.max_deleted_id
    twin.entries_added = s.entries_added
    if groups_copy(h, s, twin) != 0:
        stream_free(h, copy)
        return -1
    return 0


# ---- appending

cdef uint64_t node_entries_all(char* node) noexcept nogil:
    """Entries of a node, marked ones too."""
    cdef Slice s
    cdef int64_t count = 0
    cdef int64_t deleted = 0
    cdef char* at = node + PACKED_HEADER
    packed_read(at, &s, &count)
    packed_read(at + packed_skip(at), &s, &deleted)
    return <uint64_t>(count + deleted)


cdef int append_node(Heap* h, Stream* s, const StreamId* id, const Slice* words, uint64_t pairs) noexcept nogil:
    cdef char* node = NULL
    cdef StreamId master = id[0]
    cdef void** slot
    cdef int there
    if stream_node_new(h, &node, words, pairs) != 0:
        return -1
    there = ids_insert(h, &s.nodes, &master, node)
    if there < 0:
        stream_node_free(h, node)
        return -1
    if there:                           # a node without living entries, whose IDs XSETID has made free again
        slot = ids_find(&s.nodes, &master)
        stream_node_free(h, <char*>slot[0])
        slot[0] = node
    return 0


cdef int stream_append(Heap* h, Stream* s, const StreamId* id, const Slice* words, uint64_t pairs,
                       uint64_t node_bytes, uint64_t node_entries) noexcept nogil:
    cdef IdsIter it
    cdef IdsPair* last = NULL
    cdef uint64_t total = 0
    cdef uint64_t i
    if s.nodes.used:
        for i in range(2 * pairs):
            total += words[i].n
        if node_bytes == 0 or node_bytes > STREAM_NODE_MAX:
            node_bytes = STREAM_NODE_MAX
        ids_last(&s.nodes, &it)
        last = ids_at(&it)
        if packed_bytes(<char*>last.ptr) + total >= node_bytes or (
                node_entries and node_entries_all(<char*>last.ptr) >= node_entries):
            last = NULL
    if last != NULL:
        if stream_node_append(h, <char**>&last.ptr, &last.id, id, words, pairs) != 0:
            return -1
    elif append_node(h, s, id, words, pairs) != 0:
        return -1
    s.length += 1
    s.entries_added += 1
    s.last_id = id[0]
    if s.length == 1:
        s.first_id = id[0]
    return 0


# ---- walking

cdef void stream_iter(StreamIter* it, Stream* s, const StreamId* low, const StreamId* high, bint backwards) noexcept nogil:
    cdef StreamId bound
    it.low.ms = it.low.seq = 0
    it.high.ms = it.high.seq = <uint64_t>-1
    if low != NULL:
        it.low = low[0]
    if high != NULL:
        it.high = high[0]
    it.backwards = backwards
    it.at = NULL
    it.left = 0
    bound = it.high if backwards else it.low
    if not ids_upto(&s.nodes, &bound, &it.node):
        ids_first(&s.nodes, &it.node)


cdef inline bint iter_forwards(StreamIter* it) noexcept nogil:
    """To the entry behind the last one looked at, marked or not."""
    cdef IdsPair* pair
    cdef char* at = it.at
    if at != NULL:
        if it.left == 0 and it.entry.end == NULL:       # its pairs have been told: only lp-count is left
            at = it.value if it.entry.flags & ENTRY_SAMEFIELDS else it.field
            at += packed_skip(at)
        else:
            at = stream_node_after(&it.entry)
        if <unsigned char>at[0] == PACKED_END:
            at = NULL
            ids_next(&it.node)
    if it.node.leaf == NULL:
        return False
    pair = ids_at(&it.node)
    if at == NULL:
        stream_node_head(<char*>pair.ptr, &it.head)
        at = it.head.entries
    it.at = at
    stream_node_entry(&it.head, &pair.id, at, &it.entry)
    it.entry.end = at                   # not NULL: its pairs have not been told
    return True


cdef inline bint iter_backwards(StreamIter* it) noexcept nogil:
    cdef IdsPair* pair
    cdef char* at = it.at
    if at != NULL:
        at = stream_node_before(at, &it.head)
        if at == NULL:
            ids_prev(&it.node)
    if it.node.leaf == NULL:
        return False
    pair = ids_at(&it.node)
    if at == NULL:
        stream_node_head(<char*>pair.ptr, &it.head)
        at = stream_node_last(<char*>pair.ptr, &it.head)
    it.at = at
    stream_node_entry(&it.head, &pair.id, at, &it.entry)
    return True


cdef bint stream_next(StreamIter* it) noexcept nogil:
    while iter_backwards(it) if it.backwards else iter_forwards(it):
        if it.entry.flags & ENTRY_DELETED:
            continue
        if it.backwards:
            if ids_compare(&it.entry.id, &it.high) > 0:
                continue
            if ids_compare(&it.entry.id, &it.low) < 0:
                return False
        else:
            if ids_compare(&it.entry.id, &it.low) < 0:
                continue
            if ids_compare(&it.entry.id, &it.high) > 0:
                return False
        it.left = it.entry.fields
        it.field = it.head.first_field if it.entry.flags & ENTRY_SAMEFIELDS else it.entry.data
        it.value = it.entry.data
        it.entry.end = NULL
        return True
    return False


cdef bint stream_has(Stream* s, StreamId* id) noexcept nogil:
    cdef StreamIter it
    stream_iter(&it, s, id, id, False)
    return stream_next(&it)


cdef bint stream_edge(Stream* s, bint first, StreamId* id) noexcept nogil:
    cdef StreamIter it
    stream_iter(&it, s, NULL, NULL, not first)
    if not stream_next(&it):
        return False
    id[0] = it.entry.id
    return True


# ---- removing

cdef void first_changed(Stream* s) noexcept nogil:
    if s.length == 0 or not stream_edge(s, True, &s.first_id):
        s.first_id.ms = s.first_id.seq = 0


cdef void remove_node(Heap* h, Stream* s, const StreamId* master) noexcept nogil:
    cdef StreamId id = master[0]
    stream_node_free(h, <char*>ids_remove(h, &s.nodes, &id))


cdef int stream_delete(Heap* h, Stream* s, StreamId* id) noexcept nogil:
    cdef StreamIter it
    cdef IdsPair* pair
    cdef int64_t living = 0
    stream_iter(&it, s, id, id, False)
    if not stream_next(&it):
        return 0
    pair = ids_at(&it.node)
    if it.head.count == 1:
        remove_node(h, s, &pair.id)
    elif stream_node_mark(h, <char**>&pair.ptr, it.entry.at, &living) != 0:
        return -1
    s.length -= 1
    if ids_compare(id, &s.max_deleted_id) > 0:
        s.max_deleted_id = id[0]
    if s.length == 0 or ids_compare(id, &s.first_id) == 0:
        first_changed(s)
    return 1


cdef int64_t stream_trim(Heap* h, Stream* s, uint64_t length, const StreamId* below, bint whole_nodes,
                         uint64_t limit) noexcept nogil:
    """First it is found out which nodes go, and entries of the one after them are marked, which may fail; then they go."""
    cdef IdsIter it
    cdef IdsPair* pair
    cdef NodeHead head
    cdef StreamId first, last
    cdef uint64_t nodes = 0
    cdef uint64_t left = s.length
    cdef uint64_t removed
    cdef int64_t marked = 0
    ids_first(&s.nodes, &it)
    while it.leaf != NULL and (below != NULL or left > length):
        pair = ids_at(&it)
        stream_node_head(<char*>pair.ptr, &head)
        if limit and s.length - left + <uint64_t>head.count > limit:
            break
        if below != NULL:
            stream_node_bounds(<char*>pair.ptr, &pair.id, &first, &last)
        if ids_compare(&last, below) < 0 if below != NULL else left - <uint64_t>head.count >= length:
            left -= <uint64_t>head.count
            nodes += 1
            ids_next(&it)
            continue
        if whole_nodes:
            break
        if stream_node_trim(h, <char**>&pair.ptr, &pair.id, <uint64_t>-1 if below != NULL else left - length, below,
                            &marked) != 0:
            return -1
        left -= <uint64_t>marked
        break
    while nodes:
        ids_first(&s.nodes, &it)
        remove_node(h, s, &ids_at(&it).id)
        nodes -= 1
    removed = s.length - left
    s.length = left
    if removed or left == 0:
        first_changed(s)
    return <int64_t>removed


# ---- building

cdef int stream_load_node(Heap* h, Stream* s, StreamId* master, const char* bytes, size_t n) noexcept nogil:
    cdef StreamId last
    cdef IdsIter it
    cdef NodeHead head
    cdef char* node = NULL
    cdef bint any_before = stream_edge(s, False, &last)
    ids_last(&s.nodes, &it)
    if it.leaf != NULL and ids_compare(&ids_at(&it).id, master) >= 0:
        return -2
    if not stream_node_sound(bytes, n, master, &last if any_before else NULL):
        return -2
    if stream_node_copy(h, bytes, &node) != 0:
        return -1
    if ids_insert(h, &s.nodes, master, node) != 0:
        stream_node_free(h, node)
        return -1
    stream_node_head(node, &head)
    s.length += <uint64_t>head.count
    return 0


cdef int stream_load_done(Stream* s, uint64_t length) noexcept nogil:
    cdef StreamId last
    if s.length != length or (stream_edge(s, False, &last) and ids_compare(&last, &s.last_id) > 0):
        return -2
    first_changed(s)
    return 0


# ---- figures

cdef int common_bytes(const StreamId* a, const StreamId* b) noexcept nogil:
    """Bytes that both begin with, written big-endian one number after the other."""
    cdef uint64_t x = a.ms ^ b.ms
    cdef int n = 0
    if x == 0:
        x = a.seq ^ b.seq
        n = 8
        if x == 0:
            return ID_BYTES
    while not x >> 56:
        x <<= 8
        n += 1
    return n


cdef uint64_t stream_radix_nodes(Stream* s) noexcept nogil:
    """A radix tree of fixed-length keys has a node for each key's end, one for each place where keys part, and one for
    each run of bytes in between.  open[] holds the depths of the partings that the last key went through."""
    cdef int open[ID_BYTES + 1]
    cdef int depth = 0                  # how many are open
    cdef int common
    cdef int before = -1                # bytes that the last key and the one before it have in common
    cdef int parent
    cdef uint64_t total = 0
    cdef StreamId last
    cdef IdsIter it
    cdef bint more
    ids_first(&s.nodes, &it)
    if it.leaf == NULL:
        return 1
    while it.leaf != NULL:
        last = ids_at(&it).id
        ids_next(&it)
        more = it.leaf != NULL
        common = common_bytes(&last, &ids_at(&it).id) if more else -1
        total += 1 + (max(common, before) < ID_BYTES - 1)
        while depth and open[depth - 1] > common:
            depth -= 1
            parent = max(common, open[depth - 1] if depth else -1)
            total += open[depth] - parent > 1
        if more and (depth == 0 or open[depth - 1] < common):
            open[depth] = common
            depth += 1
            total += 1
        before = common
    return total


cdef uint64_t stream_bytes(Cell* cell, uint64_t samples) noexcept nogil:
    cdef Stream* s = stream_of(cell)
    cdef uint64_t total = 0
    cdef uint64_t n = 0
    cdef IdsIter it
    ids_first(&s.nodes, &it)
    while it.leaf != NULL and (samples == 0 or n < samples):
        total += heap_size(stream_node_room(packed_bytes(<char*>ids_at(&it).ptr)))
        n += 1
        ids_next(&it)
    if n and n < s.nodes.used:
        total = <uint64_t>(<double>total / <double>n * <double>s.nodes.used)
    return total + heap_size(sizeof(Stream)) + ids_bytes(&s.nodes) + groups_bytes(s)


# ---- the end, and invariants

cdef void release_node(Heap* h, void* ptr, void* arg) noexcept nogil:
    stream_node_free(h, <char*>ptr)


cdef bint stream_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil:
    cdef Stream* s = stream_of(cell)
    if not groups_free_some(h, &s.groups, budget):
        return False
    if not ids_free_some(h, &s.nodes, budget, release_node, NULL):
        return False
    heap_free(h, s, sizeof(Stream))
    cell.ptr = NULL
    return True


cdef void stream_free(Heap* h, Cell* cell) noexcept nogil:
    stream_free_some(h, cell, <uint64_t>-1)


cdef int stream_check(Heap* h, Cell* cell) noexcept nogil:
    """1 no layout, 2 a node's piece, 3 the order of living entries, 4 length, 5 first_id, 6 last_id, 10 + n the index of
    nodes (ids_check), 30 + n a node (stream_node_check), 50 + n the groups (groups_check)."""
    cdef Stream* s = stream_of(cell)
    cdef StreamIter it
    cdef IdsIter node
    cdef StreamId last
    cdef uint64_t n = 0
    cdef int broken
    if cell.layout != STREAM_NODES:
        return 1
    broken = ids_check(&s.nodes)
    if broken:
        return 10 + broken
    ids_first(&s.nodes, &node)
    while node.leaf != NULL:
        if ids_at(&node).ptr == NULL:
            return 2
        broken = stream_node_check(<char*>ids_at(&node).ptr, &ids_at(&node).id)
        if broken:
            return 30 + broken
        ids_next(&node)
    last.ms = last.seq = 0
    stream_iter(&it, s, NULL, NULL, False)
    while stream_next(&it):
        if n == 0 and ids_compare(&it.entry.id, &s.first_id) != 0:
            return 5
        if n and ids_compare(&it.entry.id, &last) <= 0:
            return 3
        last = it.entry.id
        n += 1
    if n != s.length:
        return 4
    if n == 0 and (s.first_id.ms or s.first_id.seq):
        return 5
    if ids_compare(&last, &s.last_id) > 0:
        return 6
    broken = groups_check(s)
    return 50 + broken if broken else 0
