"""Streams: XREAD and XREADGROUP, which may wait.

A waiting command is tried again for one key (c.ready_key): it then answers for that key alone, and as Redis 7.0 does it
looks at the stream's last ID, whether or not an entry with it still lives.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp, memcpy

from libkv.commands.stream_groups cimport consumer_made, propagate_pending
from libkv.commands.streams cimport (
    STREAM_ID_TEXT, arg_stream_id, propagate_set_id, reply_entries, reply_entry, reply_entry_at, reply_no_group,
    reply_stream_id, stream_id_max, stream_id_print, stream_id_up, stream_to_read,
)
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.blocking cimport LATE_NIL_ARRAY, arg_timeout, block_on_keys
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_none, propagating
from libkv.engine.entry cimport Entry, entry_cell, entry_type
from libkv.engine.keyspace cimport lookup_quiet
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_errorf, reply_later, reply_later_array, reply_later_map, reply_nil_array,
    reply_oom, reply_syntax,
)
from libkv.engine.types cimport CALL_BLOCK, CALL_DONE, S_SCRIPT, TYPE_STREAM, Arg, Ctx, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport Cell
from libkv.structures.ids cimport IdsIter, StreamId, ids_at, ids_compare, ids_from, ids_next
from libkv.structures.stream cimport StreamIter, stream_edge, stream_iter, stream_next, stream_of
from libkv.structures.stream_groups cimport (
    ENTRIES_READ_UNKNOWN, group_find, group_read_estimate, pending_add, pending_find, pending_give, stream_has_deleted,
)
from libkv.structures.stream_types cimport Stream, StreamConsumer, StreamGroup, StreamPending

cdef enum:
    IDS_HERE = 32               # keys of a command that need no allocation
    WOKEN_COUNT = 1000          # most entries for a command that waited and gave no COUNT

cdef struct ReadArgs:
    bint grouped                # XREADGROUP
    Arg* group
    Arg* consumer
    bint no_ack
    int64_t count               # entries a stream; 0 = all
    int64_t timeout             # ms, 0 = for ever; -1 = don't wait
    int first                   # the first key; the IDs follow the keys
    int n                       # keys
    StreamId* ids               # entries above them; the greatest = ">"


# ---- arguments

cdef bint read_args(Ctx* c, Arg* argv, int argc, bint grouped, ReadArgs* o, Reply* r) noexcept nogil:
    cdef int i = 1
    cdef int64_t v
    o.grouped = grouped
    o.group = o.consumer = NULL
    o.no_ack = False
    o.count = 0
    o.timeout = -1
    o.first = 0
    while i < argc and o.first == 0:
        if i + 1 < argc and arg_is(&argv[i], b"block", 5):
            if c.session.flags & S_SCRIPT:
                reply_errorf(r, b"ERR %.*s command is not allowed with BLOCK option from scripts", argv[0].p, argv[0].n)
                return False
            i += 1
            if not arg_timeout(&argv[i], False, &o.timeout, r):
                return False
        elif i + 1 < argc and arg_is(&argv[i], b"count", 5):
            i += 1
            if not arg_int(&argv[i], &v, r):
                return False
            o.count = v if v > 0 else 0
        elif i + 1 < argc and arg_is(&argv[i], b"streams", 7):
            o.first = i + 1
        elif i + 2 < argc and arg_is(&argv[i], b"group", 5):
            if not grouped:
                reply_error(r, b"ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
                return False
            o.group = &argv[i + 1]
            o.consumer = &argv[i + 2]
            i += 2
        elif arg_is(&argv[i], b"noack", 5):
            if not grouped:
                reply_error(r, b"ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
                return False
            o.no_ack = True
        else:
            reply_syntax(r)
            return False
        i += 1
    return read_streams(argc, o, r)


cdef bint read_streams(int argc, ReadArgs* o, Reply* r) noexcept nogil:
    if o.first == 0:
        reply_syntax(r)
        return False
    if (argc - o.first) & 1:
        reply_error(r, b"ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
        return False
    if o.grouped and o.group == NULL:
        reply_error(r, b"ERR Missing GROUP option for XREADGROUP")
        return False
    o.n = (argc - o.first) // 2
    return True


cdef bint read_id(Arg* a, Stream* s, ReadArgs* o, StreamId* id, Reply* r) noexcept nogil:
    if a.n >= 1 and a.p[0] == b"$" and (a.n == 1 or a.p[1] == 0):
        if o.grouped:
            reply_error(r, b"ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this "
                           b"consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just "
                           b"return an empty result set.")
            return False
        id.ms = id.seq = 0
        if s != NULL:
            id[0] = s.last_id
        return True
    if a.n >= 1 and a.p[0] == b">" and (a.n == 1 or a.p[1] == 0):
        if not o.grouped:
            reply_error(r, b"ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> "
                           b"option.")
            return False
        id.ms = id.seq = <uint64_t>-1
        return True
    return arg_stream_id(a, id, 0, r)


cdef bint read_ids(Ctx* c, Arg* argv, ReadArgs* o, Reply* r) noexcept nogil:
    """All IDs, before anything is replied; groups must exist."""
    cdef bint wrong = False
    cdef Stream* s
    cdef Arg* key
    cdef int i
    for i in range(o.n):
        key = &argv[o.first + i]
        s = stream_to_read(c, key, r, &wrong)
        if wrong:
            return False
        if o.grouped and (s == NULL or group_find(s, o.group.p, o.group.n) == NULL):
            reply_no_group(r, key, o.group, b" in XREADGROUP with GROUP option")
            return False
        if not read_id(&argv[o.first + o.n + i], s, o, &o.ids[i], r):
            return False
    return True


# ---- one stream

cdef void group_reads(Stream* s, StreamGroup* g, StreamId* id) noexcept nogil:
    """The group has been given the entry `id`, which is behind its last."""
    if g.entries_read != ENTRIES_READ_UNKNOWN and not stream_has_deleted(s, id):
        g.entries_read += 1
    elif s.entries_added:
        g.entries_read = group_read_estimate(s, id)
    g.last_id = id[0]


cdef int deliver(Ctx* c, StreamGroup* g, StreamConsumer* consumer, StreamId* id) noexcept nogil:
    """The entry becomes pending for the consumer; 0 or -1."""
    cdef StreamPending* pending = pending_find(g, id)
    if pending == NULL:
        return 0 if pending_add(c.heap, g, consumer, id, c.now, 1) != NULL else -1
    if pending_give(c.heap, pending, id, consumer) != 0:
        return -1
    pending.delivered_at = c.now
    pending.deliveries = 1
    return 0


cdef int reply_new(Ctx* c, Arg* key, Stream* s, StreamGroup* g, StreamConsumer* consumer, StreamId* above, ReadArgs* o,
                   Reply* r) noexcept nogil:
    """The entries above an ID, for the group when there is one; 0, or -1: no memory and none given."""
    cdef StreamIter it
    cdef StreamId low = above[0]
    cdef StreamId id
    cdef size_t mark
    cdef int64_t n = 0
    cdef bint moved = False
    stream_id_up(&low)
    if g == NULL:
        reply_entries(r, s, &low, NULL, False, o.count)
        return 0
    mark = reply_later(r)
    stream_iter(&it, s, &low, NULL, False)
    while (o.count == 0 or n < o.count) and stream_next(&it):
        id = it.entry.id
        if not o.no_ack and deliver(c, g, consumer, &id) != 0:
            if n == 0:
                return -1
            break
        if ids_compare(&id, &g.last_id) > 0:
            group_reads(s, g, &id)
            moved = True
        if not o.no_ack and propagating(c):         # with the group's new last ID: so behind group_reads
            propagate_pending(c, key, g, &id, pending_find(g, &id))
        reply_entry(r, &it)
        n += 1
    reply_later_array(r, mark, n)
    if o.no_ack and moved and propagating(c):
        propagate_set_id(c, key, g)
    return 0


cdef void reply_history(Ctx* c, Stream* s, StreamConsumer* consumer, StreamId* above, int64_t count, Reply* r) noexcept nogil:
    """What is pending for the consumer above an ID: delivered once more."""
    cdef StreamId low = above[0]
    cdef StreamPending* pending
    cdef IdsIter it
    cdef size_t mark = reply_later(r)
    cdef int64_t n = 0
    stream_id_up(&low)
    ids_from(&consumer.pending, &low, &it)
    while it.leaf != NULL and (count == 0 or n < count):
        if reply_entry_at(r, s, &ids_at(&it).id):
            pending = <StreamPending*>ids_at(&it).ptr
            pending.delivered_at = c.now
            pending.deliveries += 1
        else:
            reply_array(r, 2)
            reply_stream_id(r, &ids_at(&it).id)
            reply_nil_array(r)
        n += 1
        ids_next(&it)
    reply_later_array(r, mark, n)


cdef void propagate_consumer(Ctx* c, Arg* key, StreamGroup* g, StreamConsumer* consumer) noexcept nogil:
    propagate_begin(c, c.db, 5)
    propagate_arg(c, b"XGROUP", 6)
    propagate_arg(c, b"CREATECONSUMER", 14)
    propagate_arg(c, key.p, key.n)
    propagate_arg(c, g.name.p, g.name.n)
    propagate_arg(c, consumer.name.p, consumer.name.n)


cdef int reply_stream(Ctx* c, Arg* key, Stream* s, StreamGroup* g, StreamId* id, ReadArgs* o, Reply* r) noexcept nogil:
    """[key, [entry, ...]] of one stream, for `>` from the group's last ID on; 0, or -1: no memory, nothing is replied."""
    cdef StreamConsumer* consumer = NULL
    cdef StreamId above = id[0]
    cdef size_t mark = r.out.n
    cdef bint history = g != NULL and not stream_id_max(id)
    cdef bint made = False
    if g != NULL:
        consumer = consumer_made(c, key, g, o.consumer, &made)
        if consumer == NULL:
            return -1
        if made and o.no_ack and propagating(c):
            propagate_consumer(c, key, g, consumer)
        if not history:
            above = g.last_id
    if r.proto == 2:
        reply_array(r, 2)
    reply_bulk(r, key.p, key.n)
    if history:
        reply_history(c, s, consumer, &above, o.count, r)
    elif reply_new(c, key, s, g, consumer, &above, o, r) != 0:
        r.out.n = mark
        return -1
    if g != NULL:
        c.kv.dirty += 1
    return 0


# ---- at once

cdef bint has_news(Stream* s, StreamGroup* g, StreamId* id) noexcept nogil:
    """Whether there is something to reply: a consumer's history always, else a living entry above the ID."""
    cdef StreamId top
    if g != NULL and not stream_id_max(id):
        return True
    return stream_edge(s, False, &top) and ids_compare(&top, &g.last_id if g != NULL else id) > 0


cdef int read_now(Ctx* c, Arg* argv, ReadArgs* o, Reply* r) noexcept nogil:
    """How many streams had something; -1: an error is replied."""
    cdef size_t mark = reply_later(r)
    cdef StreamGroup* g = NULL
    cdef Stream* s
    cdef Arg* key
    cdef bint wrong = False
    cdef int found = 0
    cdef int i
    for i in range(o.n):
        key = &argv[o.first + i]
        s = stream_to_read(c, key, r, &wrong)
        if wrong:
            return -1
        if s == NULL:
            continue
        if o.grouped:
            g = group_find(s, o.group.p, o.group.n)
        if not has_news(s, g, &o.ids[i]):
            continue
        if reply_stream(c, key, s, g, &o.ids[i], o, r) != 0:
            if found == 0:
                reply_oom(r)
                return -1
            break
        found += 1
    if found and r.proto == 2:
        reply_later_array(r, mark, found)
    elif found:
        reply_later_map(r, mark, found)
    return found


# ---- waiting

cdef bint same_bytes(Arg* a, Arg* b) noexcept nogil:
    return a.n == b.n and memcmp(a.p, b.p, a.n) == 0


cdef int read_ready(Ctx* c, Arg* argv, ReadArgs* o, Reply* r) noexcept nogil:
    """For c.ready_key alone: CALL_DONE, or CALL_BLOCK: not yet."""
    cdef Entry* e = lookup_quiet(c, c.ready_key)
    cdef StreamGroup* g = NULL
    cdef StreamId id
    cdef Stream* s
    cdef Cell cell
    cdef size_t mark
    cdef int i = 0
    while i < o.n and not same_bytes(&argv[o.first + i], c.ready_key):
        i += 1
    if e == NULL or entry_type(e) != TYPE_STREAM:
        if not o.grouped:
            return CALL_BLOCK
        reply_error(r, b"UNBLOCKED the stream key no longer exists")
        return CALL_DONE
    entry_cell(e, &cell)
    s = stream_of(&cell)
    if o.grouped:
        g = group_find(s, o.group.p, o.group.n)
        if g == NULL:
            reply_error(r, b"NOGROUP the consumer group this client was blocked on no longer exists")
            return CALL_DONE
    if i == o.n or not read_id(&argv[o.first + o.n + i], s, o, &id, r):
        return CALL_BLOCK
    if ids_compare(&s.last_id, &g.last_id if g != NULL else &id) <= 0:
        return CALL_BLOCK
    if o.count == 0:
        o.count = WOKEN_COUNT
    # the one pair of a RESP3 map or the one element of a RESP2 array
    mark = reply_later(r)
    if reply_stream(c, &argv[o.first + i], s, g, &id, o, r) != 0:
        reply_oom(r)
    elif r.proto == 2:
        reply_later_array(r, mark, 1)
    else:
        reply_later_map(r, mark, 1)
    return CALL_DONE


cdef int read_later(Ctx* c, Arg* argv, int argc, ReadArgs* o, Reply* r) noexcept nogil:
    """Waits for any of the streams, with what `$` means now in its place."""
    cdef size_t bytes = argc * sizeof(Arg) + o.n * STREAM_ID_TEXT
    cdef Arg* words = <Arg*>heap_alloc(c.heap, bytes)
    cdef Arg* word
    cdef char* text
    cdef int status
    cdef int i
    if words == NULL:
        reply_oom(r)
        return CALL_DONE
    memcpy(words, argv, argc * sizeof(Arg))
    text = <char*>(words + argc)
    for i in range(o.n):
        word = &words[o.first + o.n + i]
        if not o.grouped:
            word.p = text
            word.n = stream_id_print(text, &o.ids[i])
            word.hashed = False
            text += STREAM_ID_TEXT
    status = block_on_keys(c, words, argc, &words[o.first], o.n, TYPE_STREAM, o.timeout, LATE_NIL_ARRAY, o.grouped, r)
    heap_free(c.heap, words, bytes)
    return status


cdef int read_any(Ctx* c, Arg* argv, int argc, bint grouped, Reply* r) noexcept nogil:
    cdef StreamId here[IDS_HERE]
    cdef ReadArgs o
    cdef int status = CALL_DONE
    cdef int found
    if not read_args(c, argv, argc, grouped, &o, r):
        return CALL_DONE
    propagate_none(c)                   # what a group reads is told entry by entry
    if c.ready_key != NULL:
        return read_ready(c, argv, &o, r)
    o.ids = here
    if o.n > IDS_HERE:
        o.ids = <StreamId*>heap_alloc(c.heap, o.n * sizeof(StreamId))
        if o.ids == NULL:
            reply_oom(r)
            return CALL_DONE
    if read_ids(c, argv, &o, r):
        found = read_now(c, argv, &o, r)
        if found == 0 and o.timeout >= 0:
            status = read_later(c, argv, argc, &o, r)
        elif found == 0:
            reply_nil_array(r)
    if o.ids != here:
        heap_free(c.heap, o.ids, o.n * sizeof(StreamId))
    return status


cdef int cmd_xread(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return read_any(c, argv, argc, False, r)


cdef int cmd_xreadgroup(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return read_any(c, argv, argc, True, r)


registry_bind("xread", cmd_xread)
registry_bind("xreadgroup", cmd_xreadgroup)
