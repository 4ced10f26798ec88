"""Streams: XINFO."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.commands.streams cimport reply_entries, reply_entry_at, reply_no_group_of_key, reply_stream_id, stream_to_read
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_errorf, reply_help, reply_int, reply_later, reply_later_array, reply_map,
    reply_nil, reply_no_key,
)
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply
from libkv.structures.ids cimport Ids, IdsIter, StreamId, ids_at, ids_first, ids_next
from libkv.structures.stream cimport stream_edge, stream_radix_nodes
from libkv.structures.stream_groups cimport ENTRIES_READ_UNKNOWN, group_find, group_lag
from libkv.structures.stream_types cimport Stream, StreamConsumer, StreamGroup, StreamPending

cdef enum:
    FULL_COUNT = 10             # entries and pending ones that XINFO STREAM FULL tells without COUNT


cdef void info_int(Reply* r, const char* name, int64_t v) noexcept nogil:
    reply_cstring(r, name)
    reply_int(r, v)


cdef void info_id(Reply* r, const char* name, StreamId* id) noexcept nogil:
    reply_cstring(r, name)
    reply_stream_id(r, id)


cdef void info_name(Reply* r, const char* name, const char* p, size_t n) noexcept nogil:
    reply_cstring(r, name)
    reply_bulk(r, p, n)


cdef void info_reads(Reply* r, Stream* s, StreamGroup* g) noexcept nogil:
    """entries-read and lag, each null when it is not known."""
    cdef int64_t lag
    reply_cstring(r, b"entries-read")
    if g.entries_read != ENTRIES_READ_UNKNOWN:
        reply_int(r, g.entries_read)
    else:
        reply_nil(r)
    reply_cstring(r, b"lag")
    if group_lag(s, g, &lag):
        reply_int(r, lag)
    else:
        reply_nil(r)


cdef Stream* described(Ctx* c, Arg* argv, Reply* r) noexcept nogil:
    """The stream at argv[2]; or the error is replied."""
    cdef bint wrong = False
    cdef Stream* s = stream_to_read(c, &argv[2], r, &wrong)
    if s == NULL and not wrong:
        reply_no_key(r)
    return s


# ---- XINFO STREAM

cdef void info_edge(Reply* r, const char* name, Stream* s, bint first) noexcept nogil:
    cdef StreamId id
    reply_cstring(r, name)
    if not stream_edge(s, first, &id) or not reply_entry_at(r, s, &id):
        reply_nil(r)


cdef void info_pending(Reply* r, Ids* pending, bint with_consumer, int64_t count) noexcept nogil:
    cdef StreamPending* p
    cdef IdsIter it
    cdef size_t mark
    cdef int64_t n = 0
    info_int(r, b"pel-count", <int64_t>pending.used)
    reply_cstring(r, b"pending")
    mark = reply_later(r)
    ids_first(pending, &it)
    while it.leaf != NULL and (count == 0 or n < count):
        p = <StreamPending*>ids_at(&it).ptr
        reply_array(r, 4 if with_consumer else 3)
        reply_stream_id(r, &ids_at(&it).id)
        if with_consumer:
            reply_bulk(r, p.consumer.name.p, p.consumer.name.n)
        reply_int(r, p.delivered_at)
        reply_int(r, <int64_t>p.deliveries)
        n += 1
        ids_next(&it)
    reply_later_array(r, mark, n)


cdef void info_group_full(Reply* r, Stream* s, StreamGroup* g, int64_t count) noexcept nogil:
    cdef StreamConsumer* consumer
    cdef uint32_t i
    reply_map(r, 7)
    info_name(r, b"name", g.name.p, g.name.n)
    info_id(r, b"last-delivered-id", &g.last_id)
    info_reads(r, s, g)
    info_pending(r, &g.pending, True, count)
    reply_cstring(r, b"consumers")
    reply_array(r, g.consumers.n)
    for i in range(g.consumers.n):
        consumer = <StreamConsumer*>g.consumers.item[i]
        reply_map(r, 4)
        info_name(r, b"name", consumer.name.p, consumer.name.n)
        info_int(r, b"seen-time", consumer.seen_at)
        info_pending(r, &consumer.pending, False, count)


cdef bint full_args(Arg* argv, int argc, int64_t* count, Reply* r) noexcept nogil:
    if (argc == 4 or argc == 6) and arg_is(&argv[3], b"full", 4):
        if argc == 4:
            return True
        if arg_is(&argv[4], b"count", 5):
            if not arg_int(&argv[5], count, r):
                return False
            if count[0] < 0:
                count[0] = FULL_COUNT
            return True
    reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try XINFO HELP.", argv[1].p, argv[1].n)
    return False


cdef int cmd_xinfo_stream(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Stream* s = described(c, argv, r)
    cdef int64_t count = FULL_COUNT
    cdef bint full = argc > 3
    cdef uint32_t i
    if s == NULL or (full and not full_args(argv, argc, &count, r)):
        return CALL_DONE
    reply_map(r, 9 if full else 10)
    info_int(r, b"length", <int64_t>s.length)
    info_int(r, b"radix-tree-keys", <int64_t>s.nodes.used)
    info_int(r, b"radix-tree-nodes", <int64_t>stream_radix_nodes(s))
    info_id(r, b"last-generated-id", &s.last_id)
    info_id(r, b"max-deleted-entry-id", &s.max_deleted_id)
    info_int(r, b"entries-added", <int64_t>s.entries_added)
    info_id(r, b"recorded-first-entry-id", &s.first_id)
    if not full:
        info_int(r, b"groups", s.groups.n)
        info_edge(r, b"first-entry", s, True)
        info_edge(r, b"last-entry", s, False)
        return CALL_DONE
    reply_cstring(r, b"entries")
    reply_entries(r, s, NULL, NULL, False, count)
    reply_cstring(r, b"groups")
    reply_array(r, s.groups.n)
    for i in range(s.groups.n):
        info_group_full(r, s, <StreamGroup*>s.groups.item[i], count)
    return CALL_DONE


# ---- XINFO GROUPS, CONSUMERS, HELP

cdef int cmd_xinfo_groups(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Stream* s = described(c, argv, r)
    cdef StreamGroup* g
    cdef uint32_t i
    if s == NULL:
        return CALL_DONE
    reply_array(r, s.groups.n)
    for i in range(s.groups.n):
        g = <StreamGroup*>s.groups.item[i]
        reply_map(r, 6)
        info_name(r, b"name", g.name.p, g.name.n)
        info_int(r, b"consumers", g.consumers.n)
        info_int(r, b"pending", <int64_t>g.pending.used)
        info_id(r, b"last-delivered-id", &g.last_id)
        info_reads(r, s, g)
    return CALL_DONE


cdef int cmd_xinfo_consumers(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Stream* s = described(c, argv, r)
    cdef StreamGroup* g
    cdef StreamConsumer* consumer
    cdef int64_t idle
    cdef uint32_t i
    if s == NULL:
        return CALL_DONE
    g = group_find(s, argv[3].p, argv[3].n)
    if g == NULL:
        reply_no_group_of_key(r, &argv[2], &argv[3])
        return CALL_DONE
    reply_array(r, g.consumers.n)
    for i in range(g.consumers.n):
        consumer = <StreamConsumer*>g.consumers.item[i]
        idle = <int64_t>(<uint64_t>c.now - <uint64_t>consumer.seen_at)
        reply_map(r, 3)
        info_name(r, b"name", consumer.name.p, consumer.name.n)
        info_int(r, b"pending", <int64_t>consumer.pending.used)
        info_int(r, b"idle", idle if idle > 0 else 0)
    return CALL_DONE


cdef int cmd_xinfo_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"CONSUMERS <key> <groupname>",
        b"    Show consumers of <groupname>.",
        b"GROUPS <key>",
        b"    Show the stream consumer groups.",
        b"STREAM <key> [FULL [COUNT <count>]",
        b"    Show information about the stream.",
        NULL,
    ]
    reply_help(r, b"XINFO", lines)
    return CALL_DONE


registry_bind("xinfo|stream", cmd_xinfo_stream)
registry_bind("xinfo|groups", cmd_xinfo_groups)
registry_bind("xinfo|consumers", cmd_xinfo_consumers)
registry_bind("xinfo|help", cmd_xinfo_help)
