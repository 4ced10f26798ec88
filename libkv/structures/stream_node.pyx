"""One node of a stream (contract and layout: stream_node.pxd).

An entry is written in one step: its size is known before anything changes.  The master entry's counters take one or more
bytes each, so that a change of one may move all that follows.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy, memmove

from libkv.structures.alloc cimport MOVES, heap_alloc, heap_free, heap_resize
from libkv.structures.ids cimport ids_compare
from libkv.structures.packed cimport (
    PACKED_EMPTY, PACKED_END, PACKED_HEADER, Needle, packed_bytes, packed_check, packed_entry_size, packed_entry_write,
    packed_entry_write_int, packed_equal, packed_needle, packed_read, packed_skip, packed_skip_back, packed_validate,
)

cdef enum:
    PREFIX_MAX = 48             # bytes of four integers' elements
    COUNT_UNKNOWN = 65535       # the packed buffer's own count of elements


# ---- pieces

cdef void stream_node_free(Heap* h, char* node) noexcept nogil:
    heap_free(h, node, stream_node_room(packed_bytes(node)))


cdef int stream_node_copy(Heap* h, const char* bytes, char** copy) noexcept nogil:
    cdef size_t n = packed_bytes(bytes)
    cdef char* p = <char*>heap_alloc(h, stream_node_room(n))
    if p == NULL:
        return -1
    memcpy(p, bytes, n)
    copy[0] = p
    return 0


cdef inline void node_frame(char* node, size_t bytes, uint64_t elements) noexcept nogil:
    cdef uint32_t n = <uint32_t>bytes
    cdef uint16_t count = <uint16_t>min(elements, <uint64_t>COUNT_UNKNOWN)
    memcpy(node, &n, 4)
    memcpy(node + 4, &count, 2)
    node[bytes - 1] = <char>PACKED_END


cdef inline uint64_t node_elements(const char* node) noexcept nogil:
    cdef uint16_t count
    memcpy(&count, node + 4, 2)
    return count


cdef inline uint64_t elements_after(uint64_t before, uint64_t more) noexcept nogil:
    return <uint64_t>COUNT_UNKNOWN if before == COUNT_UNKNOWN else before + more


# ---- reading

cdef inline int64_t node_int(char** at) noexcept nogil:
    """The integer at at[0], which goes on to the next element."""
    cdef Slice s
    cdef int64_t v = 0
    packed_read(at[0], &s, &v)
    at[0] += packed_skip(at[0])
    return v


cdef inline char* node_skip(char* at, uint64_t elements) noexcept nogil:
    while elements:
        at += packed_skip(at)
        elements -= 1
    return at


cdef void stream_node_head(char* node, NodeHead* head) noexcept nogil:
    cdef char* at = node + PACKED_HEADER
    head.count = node_int(&at)
    head.deleted = node_int(&at)
    head.fields = <uint64_t>node_int(&at)
    head.first_field = at
    head.entries = node_skip(at, head.fields + 1)


cdef void stream_node_entry(NodeHead* head, const StreamId* master, char* at, NodeEntry* e) noexcept nogil:
    e.at = at
    e.flags = node_int(&at)
    e.id.ms = master.ms + <uint64_t>node_int(&at)
    e.id.seq = master.seq + <uint64_t>node_int(&at)
    e.fields = head.fields if e.flags & ENTRY_SAMEFIELDS else <uint64_t>node_int(&at)
    e.data = at


cdef char* stream_node_after(NodeEntry* e) noexcept nogil:
    e.end = node_skip(e.data, (e.fields if e.flags & ENTRY_SAMEFIELDS else 2 * e.fields) + 1)
    return e.end


cdef char* stream_node_before(char* at, NodeHead* head) noexcept nogil:
    cdef Slice s
    cdef int64_t n = 0
    if at == head.entries:
        return NULL
    at -= packed_skip_back(at)
    packed_read(at, &s, &n)
    while n > 0:
        at -= packed_skip_back(at)
        n -= 1
    return at


cdef char* stream_node_last(char* node, NodeHead* head) noexcept nogil:
    return stream_node_before(node + packed_bytes(node) - 1, head)


cdef bint stream_node_bounds(char* node, const StreamId* master, StreamId* first, StreamId* last) noexcept nogil:
    cdef NodeHead head
    cdef NodeEntry e
    cdef char* at
    stream_node_head(node, &head)
    stream_node_entry(&head, master, stream_node_last(node, &head), &e)
    last[0] = e.id
    at = head.entries
    while <unsigned char>at[0] != PACKED_END:
        stream_node_entry(&head, master, at, &e)
        if not e.flags & ENTRY_DELETED:
            first[0] = e.id
            return True
        at = stream_node_after(&e)
    return False


# ---- writing

cdef int stream_node_new(Heap* h, char** node, const Slice* words, uint64_t pairs) noexcept nogil:
    cdef size_t bytes = PACKED_EMPTY
    cdef char fixed[PREFIX_MAX]
    cdef char* at
    cdef char* p
    cdef uint64_t i
    if pairs > STREAM_PAIRS_MAX:
        return -1
    for i in range(2 * pairs):
        if words[i].n > STREAM_NODE_MAX:
            return -1
        bytes += packed_entry_size(words[i].p, words[i].n)
    # count 1, deleted 0, the 0 at the end; flags 2, differences 0 and 0: two bytes each
    bytes += 12 + packed_entry_write_int(fixed, <int64_t>pairs) + packed_entry_write_int(fixed, <int64_t>pairs + 3)
    if bytes > STREAM_NODE_MAX:
        return -1
    p = <char*>heap_alloc(h, stream_node_room(bytes))
    if p == NULL:
        return -1
    at = p + PACKED_HEADER
    at += packed_entry_write_int(at, 1)
    at += packed_entry_write_int(at, 0)
    at += packed_entry_write_int(at, <int64_t>pairs)
    for i in range(pairs):
        at += packed_entry_write(at, words[2 * i].p, words[2 * i].n)
    at += packed_entry_write_int(at, 0)
    at += packed_entry_write_int(at, ENTRY_SAMEFIELDS)
    at += packed_entry_write_int(at, 0)
    at += packed_entry_write_int(at, 0)
    for i in range(pairs):
        at += packed_entry_write(at, words[2 * i + 1].p, words[2 * i + 1].n)
    packed_entry_write_int(at, <int64_t>pairs + 3)
    node_frame(p, bytes, 2 * pairs + 8)
    node[0] = p
    return 0


cdef bint same_fields(NodeHead* head, const Slice* words, uint64_t pairs) noexcept nogil:
    cdef Needle x
    cdef char* at = head.first_field
    cdef uint64_t i
    if head.fields != pairs:
        return False
    for i in range(pairs):
        packed_needle(&x, words[2 * i].p, words[2 * i].n)
        if not packed_equal(at, &x):
            return False
        at += packed_skip(at)
    return True


cdef int64_t node_recount(Heap* h, char** node, int64_t count, int64_t deleted, size_t more) noexcept nogil:
    """Writes both counters, and makes room for `more` bytes before the end mark.  By how many bytes what follows the
    counters moved on; PREFIX_MAX: no memory, and nothing changed."""
    cdef char fixed[PREFIX_MAX]
    cdef char* p = node[0]
    cdef size_t size = packed_entry_write_int(fixed, count)
    cdef size_t old = packed_skip(p + PACKED_HEADER)
    cdef size_t bytes = packed_bytes(p)
    cdef size_t body
    cdef size_t room = stream_node_room(bytes)
    cdef size_t now
    old += packed_skip(p + PACKED_HEADER + old)
    size += packed_entry_write_int(fixed + size, deleted)
    body = bytes - PACKED_HEADER - old          # what follows the counters
    now = bytes + size - old + more
    if now > <size_t>0xFFFFFFFF:
        return PREFIX_MAX
    if (stream_node_room(now) == room or (size == old and now > bytes)) and not MOVES:
        if stream_node_room(now) != room:
            p = <char*>heap_resize(h, p, room, stream_node_room(now))
            if p == NULL:
                return PREFIX_MAX
        if size != old:
            memmove(p + PACKED_HEADER + size, p + PACKED_HEADER + old, body)
    else:
        p = <char*>heap_alloc(h, stream_node_room(now))
        if p == NULL:
            return PREFIX_MAX
        memcpy(p, node[0], PACKED_HEADER)
        memcpy(p + PACKED_HEADER + size, node[0] + PACKED_HEADER + old, body)
        heap_free(h, node[0], room)
    memcpy(p + PACKED_HEADER, fixed, size)
    node_frame(p, now, node_elements(p))
    node[0] = p
    return <int64_t>size - <int64_t>old


cdef int stream_node_append(Heap* h, char** node, const StreamId* master, const StreamId* id, const Slice* words,
                            uint64_t pairs) noexcept nogil:
    cdef NodeHead head
    cdef char prefix[PREFIX_MAX]
    cdef char* at
    cdef size_t prefix_n
    cdef size_t more = 0
    cdef uint64_t elements = pairs + 3
    cdef uint64_t step = 2
    cdef uint64_t i
    if pairs > STREAM_PAIRS_MAX:
        return -1
    stream_node_head(node[0], &head)
    if not same_fields(&head, words, pairs):
        elements = 2 * pairs + 4
        step = 1
    i = step - 1
    while i < 2 * pairs:
        if words[i].n > STREAM_NODE_MAX:
            return -1
        more += packed_entry_size(words[i].p, words[i].n)
        i += step
    prefix_n = packed_entry_write_int(prefix, <int64_t>elements)
    more += prefix_n                            # lp-count's
    prefix_n = packed_entry_write_int(prefix, ENTRY_SAMEFIELDS if step == 2 else 0)
    prefix_n += packed_entry_write_int(prefix + prefix_n, <int64_t>(id.ms - master.ms))
    prefix_n += packed_entry_write_int(prefix + prefix_n, <int64_t>(id.seq - master.seq))
    if step == 1:
        prefix_n += packed_entry_write_int(prefix + prefix_n, <int64_t>pairs)
    more += prefix_n
    if more > STREAM_NODE_MAX or node_recount(h, node, head.count + 1, head.deleted, more) == PREFIX_MAX:
        return -1
    at = node[0] + packed_bytes(node[0]) - 1 - more
    memcpy(at, prefix, prefix_n)
    at += prefix_n
    i = step - 1
    while i < 2 * pairs:
        at += packed_entry_write(at, words[i].p, words[i].n)
        i += step
    packed_entry_write_int(at, <int64_t>elements)
    node_frame(node[0], packed_bytes(node[0]), elements_after(node_elements(node[0]), elements + 1))
    return 0


cdef inline void mark_entry(char* at) noexcept nogil:
    """Sets DELETED in an entry's flags, which take one byte before and after."""
    at[0] = <char>(at[0] | ENTRY_DELETED)


cdef int stream_node_mark(Heap* h, char** node, char* at, int64_t* living) noexcept nogil:
    cdef NodeHead head
    cdef size_t offset = at - node[0]
    cdef int64_t moved
    stream_node_head(node[0], &head)
    moved = node_recount(h, node, head.count - 1, head.deleted + 1, 0)
    if moved == PREFIX_MAX:
        return -1
    mark_entry(node[0] + <int64_t>offset + moved)
    living[0] = head.count - 1
    return 0


cdef int stream_node_trim(Heap* h, char** node, const StreamId* master, uint64_t most, const StreamId* below,
                          int64_t* marked) noexcept nogil:
    cdef NodeHead head
    cdef NodeEntry e
    cdef uint64_t n = 0
    cdef char* at
    stream_node_head(node[0], &head)
    at = head.entries
    while <unsigned char>at[0] != PACKED_END:
        stream_node_entry(&head, master, at, &e)
        if n == most or (below != NULL and ids_compare(&e.id, below) >= 0):
            break
        n += not e.flags & ENTRY_DELETED
        at = stream_node_after(&e)
    marked[0] = <int64_t>n
    if n == 0:
        return 0
    if node_recount(h, node, head.count - <int64_t>n, head.deleted + <int64_t>n, 0) == PREFIX_MAX:
        return -1
    stream_node_head(node[0], &head)
    at = head.entries
    while n:
        stream_node_entry(&head, master, at, &e)
        if not e.flags & ENTRY_DELETED:
            mark_entry(at)
            n -= 1
        at = stream_node_after(&e)
    return 0


# ---- invariants

cdef bint sound_int(char** at, const char* end, int64_t* v) noexcept nogil:
    """Whether an integer's element lies at at[0], before `end`; goes on to the next."""
    cdef Slice s
    if at[0] >= end or not packed_read(at[0], &s, v):
        return False
    at[0] += packed_skip(at[0])
    return True


cdef bint sound_skip(char** at, const char* end, uint64_t elements) noexcept nogil:
    while elements:
        if at[0] >= end:
            return False
        at[0] += packed_skip(at[0])
        elements -= 1
    return True


cdef bint sound_head(char* node, const char* end, NodeHead* head) noexcept nogil:
    cdef char* at = node + PACKED_HEADER
    cdef int64_t fields, zero
    if not sound_int(&at, end, &head.count) or not sound_int(&at, end, &head.deleted) or not sound_int(&at, end, &fields):
        return False
    if head.count < 0 or head.deleted < 0 or fields < 0 or fields > STREAM_PAIRS_MAX:
        return False
    head.fields = <uint64_t>fields
    head.first_field = at
    if not sound_skip(&at, end, head.fields) or not sound_int(&at, end, &zero):
        return False
    head.entries = at
    return True


cdef bint sound_entry(NodeHead* head, const StreamId* master, char* at, const char* end, NodeEntry* e) noexcept nogil:
    """Reads all of an entry that may be anything; e.end is what follows it."""
    cdef int64_t ms, seq, fields, count
    cdef int64_t elements = 3
    e.at = at
    if at >= end or <unsigned char>at[0] > (ENTRY_DELETED | ENTRY_SAMEFIELDS):
        return False                            # one byte: it is marked in place
    if not sound_int(&at, end, &e.flags) or not sound_int(&at, end, &ms) or not sound_int(&at, end, &seq):
        return False
    e.id.ms = master.ms + <uint64_t>ms
    e.id.seq = master.seq + <uint64_t>seq
    fields = <int64_t>head.fields
    if not e.flags & ENTRY_SAMEFIELDS:
        if not sound_int(&at, end, &fields) or fields < 0 or fields > STREAM_PAIRS_MAX:
            return False
        elements += 1 + fields
    elements += fields
    e.fields = <uint64_t>fields
    e.data = at
    if not sound_skip(&at, end, <uint64_t>(fields if e.flags & ENTRY_SAMEFIELDS else 2 * fields)):
        return False
    if not sound_int(&at, end, &count) or count != elements:
        return False
    e.end = at
    return True


cdef int sound_at(char* node, size_t n, const StreamId* master, const StreamId* after) noexcept nogil:
    """0, or what is wrong: see stream_node_check."""
    cdef NodeHead head
    cdef NodeEntry e
    cdef StreamId last
    cdef bint bounded = after != NULL
    cdef int64_t living = 0
    cdef int64_t marked = 0
    cdef const char* end = node + n - 1
    cdef char* at
    last.ms = last.seq = 0
    if bounded:
        last = after[0]
    if n > <size_t>STREAM_NODE_MAX * 2 or not packed_validate(node, n, True):
        return 1
    if not sound_head(node, end, &head):
        return 2
    at = head.entries
    if at == end:
        return 3
    while at < end:
        if not sound_entry(&head, master, at, end, &e):
            return 4
        at = e.end
        if e.flags & ENTRY_DELETED:
            marked += 1
            continue
        living += 1
        if bounded and ids_compare(&e.id, &last) <= 0:
            return 5
        last = e.id
        bounded = True
    return 0 if living == head.count and marked == head.deleted else 6


cdef bint stream_node_sound(const char* bytes, size_t n, const StreamId* master, const StreamId* after) noexcept nogil:
    return n >= PACKED_EMPTY and sound_at(<char*>bytes, n, master, after) == 0


cdef int stream_node_check(char* node, const StreamId* master) noexcept nogil:
    """1 torn, 2 the master entry, 3 no entry, 4 an entry, 5 the order of living IDs, 6 a counter, 7 an integer is kept as
    text."""
    cdef int broken = sound_at(node, packed_bytes(node), master, NULL)
    if broken:
        return broken
    return 7 if packed_check(node) != 0 else 0
