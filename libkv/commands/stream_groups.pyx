"""Streams: XGROUP, XACK, XPENDING, and what reading and claiming for a group share (stream_groups.pxd)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.commands.streams cimport (
    arg_interval, arg_stream_id, propagate_id, reply_no_group, reply_no_group_of_key, reply_stream_id, stream_to_read,
    stream_to_write, stream_told,
)
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.blocking cimport blocking_tell
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int
from libkv.engine.keyspace cimport changed_n, keyspace_add
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_errorf, reply_help, reply_int, reply_int_bulk, reply_later,
    reply_later_array, reply_nil, reply_nil_array, reply_ok, reply_oom, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, EVENT_STREAM, HOOK_BLOCKED, TYPE_STREAM, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport Cell
from libkv.structures.ids cimport Ids, IdsIter, ids_at, ids_compare, ids_first, ids_from, ids_last, ids_next
from libkv.structures.stream cimport stream_free, stream_new, stream_of
from libkv.structures.stream_groups cimport (
    ENTRIES_READ_UNKNOWN, consumer_add, consumer_delete, consumer_find, group_add, group_delete, group_find, pending_remove,
)
from libkv.structures.stream_types cimport Stream

cdef enum:
    IDS_HERE = 64               # IDs of a command that need no allocation

cdef struct GroupArgs:          # of XGROUP's subcommands
    Stream* s
    StreamGroup* group
    bint make                   # MKSTREAM
    int64_t entries_read


# ---- shared

cdef StreamConsumer* consumer_made(Ctx* c, Arg* key, StreamGroup* g, Arg* name, bint* made) noexcept nogil:
    cdef StreamConsumer* consumer = consumer_find(g, name.p, name.n)
    made[0] = False
    if consumer == NULL:
        consumer = consumer_add(c.heap, g, name.p, name.n, c.now)
        if consumer != NULL:
            made[0] = True
            stream_told(c, key, b"xgroup-createconsumer", 1)
    else:
        consumer.seen_at = c.now
    return consumer


cdef void propagate_pending(Ctx* c, Arg* key, StreamGroup* g, const StreamId* id, StreamPending* pending) noexcept nogil:
    propagate_begin(c, c.db, 14)
    propagate_arg(c, b"XCLAIM", 6)
    propagate_arg(c, key.p, key.n)
    propagate_arg(c, g.name.p, g.name.n)
    propagate_arg(c, pending.consumer.name.p, pending.consumer.name.n)
    propagate_int(c, 0)
    propagate_id(c, id)
    propagate_arg(c, b"TIME", 4)
    propagate_int(c, pending.delivered_at)
    propagate_arg(c, b"RETRYCOUNT", 10)
    propagate_int(c, <int64_t>pending.deliveries)
    propagate_arg(c, b"FORCE", 5)
    propagate_arg(c, b"JUSTID", 6)
    propagate_arg(c, b"LASTID", 6)
    propagate_id(c, &g.last_id)


# ---- XGROUP

cdef void refuse_arguments(Reply* r, Arg* subcommand) noexcept nogil:
    reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try XGROUP HELP.", subcommand.p,
                 subcommand.n)


cdef bint group_args(Ctx* c, Arg* argv, int argc, int options, bint can_make, bint must_exist, GroupArgs* o,
                     Reply* r) noexcept nogil:
    """The options from argv[options] on (argc: none), the stream at argv[2], the group argv[3]; or the error is replied."""
    cdef bint wrong = False
    cdef int i = options
    o.make = False
    o.group = NULL
    o.entries_read = ENTRIES_READ_UNKNOWN
    while i < argc:
        if can_make and arg_is(&argv[i], b"mkstream", 8):
            o.make = True
            i += 1
        elif i + 1 < argc and arg_is(&argv[i], b"entriesread", 11):
            if not arg_int(&argv[i + 1], &o.entries_read, r):
                return False
            if o.entries_read < 0 and o.entries_read != ENTRIES_READ_UNKNOWN:
                reply_error(r, b"ERR value for ENTRIESREAD must be positive or -1")
                return False
            i += 2
        else:
            refuse_arguments(r, &argv[1])
            return False
    o.s = stream_to_write(c, &argv[2], r, &wrong)
    if wrong:
        return False
    if o.s != NULL:
        o.group = group_find(o.s, argv[3].p, argv[3].n)
    elif not o.make:
        reply_error(r, b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the "
                       b"MKSTREAM option to create an empty stream automatically.")
        return False
    if must_exist and o.group == NULL:
        reply_no_group_of_key(r, &argv[2], &argv[3])
        return False
    return True


cdef bint group_id(Arg* a, Stream* s, StreamId* id, Reply* r) noexcept nogil:
    """An ID, or $: the stream's last."""
    if a.n == 1 and a.p[0] == b"$":
        id.ms = id.seq = 0
        if s != NULL:
            id[0] = s.last_id
        return True
    return arg_stream_id(a, id, 0, r)


cdef int cmd_xgroup_create(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef GroupArgs o
    cdef StreamId id
    cdef Cell cell
    cdef bint new
    if not group_args(c, argv, argc, 5, True, False, &o, r):
        return CALL_DONE
    if argc > 8:
        refuse_arguments(r, &argv[1])
        return CALL_DONE
    if not group_id(&argv[4], o.s, &id, r):
        return CALL_DONE
    if o.group != NULL:
        reply_error(r, b"BUSYGROUP Consumer Group name already exists")
        return CALL_DONE
    new = o.s == NULL
    if new:
        if stream_new(c.heap, &cell) != 0:
            reply_oom(r)
            return CALL_DONE
        o.s = stream_of(&cell)
    if group_add(c.heap, o.s, argv[3].p, argv[3].n, &id, o.entries_read) == NULL or (
            new and keyspace_add(c, c.db, &argv[2], TYPE_STREAM, &cell) == NULL):
        if new:
            stream_free(c.heap, &cell)
        reply_oom(r)
        return CALL_DONE
    if new:
        changed_n(c, c.db, &argv[2], 0, b"", 0)
    reply_ok(r)
    stream_told(c, &argv[2], b"xgroup-create", 1)
    return CALL_DONE


cdef int cmd_xgroup_setid(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef GroupArgs o
    cdef StreamId id
    if not group_args(c, argv, argc, 5, False, True, &o, r):
        return CALL_DONE
    if argc != 5 and argc != 7:
        refuse_arguments(r, &argv[1])
        return CALL_DONE
    if not group_id(&argv[4], o.s, &id, r):
        return CALL_DONE
    o.group.last_id = id
    o.group.entries_read = o.entries_read
    reply_ok(r)
    stream_told(c, &argv[2], b"xgroup-setid", 1)
    return CALL_DONE


cdef int cmd_xgroup_destroy(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef GroupArgs o
    if not group_args(c, argv, argc, argc, False, False, &o, r):
        return CALL_DONE
    if o.group == NULL:
        reply_int(r, 0)
        return CALL_DONE
    group_delete(c.heap, o.s, o.group)
    reply_int(r, 1)
    stream_told(c, &argv[2], b"xgroup-destroy", 1)
    if c.kv.hooks & HOOK_BLOCKED:
        blocking_tell(c, c.db, &argv[2], EVENT_STREAM, b"xgroup-destroy")   # who waits for its entries waits in vain
    return CALL_DONE


cdef int cmd_xgroup_createconsumer(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef GroupArgs o
    if not group_args(c, argv, argc, argc, False, True, &o, r):
        return CALL_DONE
    if consumer_find(o.group, argv[4].p, argv[4].n) != NULL:
        reply_int(r, 0)
    elif consumer_add(c.heap, o.group, argv[4].p, argv[4].n, c.now) == NULL:
        reply_oom(r)
    else:
        reply_int(r, 1)
        stream_told(c, &argv[2], b"xgroup-createconsumer", 1)
    return CALL_DONE


cdef int cmd_xgroup_delconsumer(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef GroupArgs o
    cdef StreamConsumer* consumer
    cdef int64_t pending = 0
    if not group_args(c, argv, argc, argc, False, True, &o, r):
        return CALL_DONE
    consumer = consumer_find(o.group, argv[4].p, argv[4].n)
    if consumer != NULL:
        pending = <int64_t>consumer.pending.used
        consumer_delete(c.heap, o.group, consumer)
        stream_told(c, &argv[2], b"xgroup-delconsumer", 1)
    reply_int(r, pending)
    return CALL_DONE


cdef int cmd_xgroup_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"CREATE <key> <groupname> <id|$> [option]",
        b"    Create a new consumer group. Options are:",
        b"    * MKSTREAM",
        b"      Create the empty stream if it does not exist.",
        b"    * ENTRIESREAD entries_read",
        b"      Set the group's entries_read counter (internal use).",
        b"CREATECONSUMER <key> <groupname> <consumer>",
        b"    Create a new consumer in the specified group.",
        b"DELCONSUMER <key> <groupname> <consumer>",
        b"    Remove the specified consumer.",
        b"DESTROY <key> <groupname>",
        b"    Remove the specified group.",
        b"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        b"    Set the current group ID and entries_read counter.",
        NULL,
    ]
    reply_help(r, b"XGROUP", lines)
    return CALL_DONE


# ---- XACK, XPENDING

cdef int cmd_xack(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef StreamId here[IDS_HERE]
    cdef StreamId* ids = here
    cdef StreamGroup* g = NULL
    cdef bint wrong = False
    cdef int64_t n = 0
    cdef int given = argc - 3
    cdef int i = 0
    cdef Stream* s = stream_to_read(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s != NULL:
        g = group_find(s, argv[2].p, argv[2].n)
    if g == NULL:
        reply_int(r, 0)
        return CALL_DONE
    if given > IDS_HERE:
        ids = <StreamId*>heap_alloc(c.heap, given * sizeof(StreamId))
        if ids == NULL:
            reply_oom(r)
            return CALL_DONE
    while i < given and arg_stream_id(&argv[3 + i], &ids[i], 0, r):
        i += 1
    if i == given:
        for i in range(given):
            n += pending_remove(c.heap, g, &ids[i])
        c.kv.dirty += <uint64_t>n
        reply_int(r, n)
    if ids != here:
        heap_free(c.heap, ids, given * sizeof(StreamId))
    return CALL_DONE


cdef void pending_summary(StreamGroup* g, Reply* r) noexcept nogil:
    cdef StreamConsumer* consumer
    cdef IdsIter it
    cdef size_t mark
    cdef int64_t n = 0
    cdef uint32_t i
    reply_array(r, 4)
    reply_int(r, <int64_t>g.pending.used)
    if g.pending.used == 0:
        reply_nil(r)
        reply_nil(r)
        reply_nil_array(r)
        return
    ids_first(&g.pending, &it)
    reply_stream_id(r, &ids_at(&it).id)
    ids_last(&g.pending, &it)
    reply_stream_id(r, &ids_at(&it).id)
    mark = reply_later(r)
    for i in range(g.consumers.n):
        consumer = <StreamConsumer*>g.consumers.item[i]
        if consumer.pending.used:
            reply_array(r, 2)
            reply_bulk(r, consumer.name.p, consumer.name.n)
            reply_int_bulk(r, <int64_t>consumer.pending.used)
            n += 1
    reply_later_array(r, mark, n)


cdef void pending_entries(Ctx* c, Ids* pending, StreamId* low, StreamId* high, int64_t count, int64_t idle,
                          Reply* r) noexcept nogil:
    cdef StreamPending* p
    cdef IdsIter it
    cdef size_t mark = reply_later(r)
    cdef int64_t n = 0
    cdef int64_t age
    ids_from(pending, low, &it)
    while n < count and it.leaf != NULL and ids_compare(&ids_at(&it).id, high) <= 0:
        p = <StreamPending*>ids_at(&it).ptr
        age = <int64_t>(<uint64_t>c.now - <uint64_t>p.delivered_at)
        if idle == 0 or age >= idle:
            reply_array(r, 4)
            reply_stream_id(r, &ids_at(&it).id)
            reply_bulk(r, p.consumer.name.p, p.consumer.name.n)
            reply_int(r, age if age > 0 else 0)
            reply_int(r, <int64_t>p.deliveries)
            n += 1
        ids_next(&it)
    reply_later_array(r, mark, n)


cdef int cmd_xpending(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef StreamId low, high
    cdef Stream* s
    cdef StreamGroup* g = NULL
    cdef StreamConsumer* consumer
    cdef bint wrong = False
    cdef int64_t count = 0
    cdef int64_t idle = 0
    cdef int at = 3
    if argc != 3 and (argc < 6 or argc > 9):
        reply_syntax(r)
        return CALL_DONE
    if argc > 3:
        if arg_is(&argv[3], b"idle", 4):
            if not arg_int(&argv[4], &idle, r):
                return CALL_DONE
            if argc < 8:
                reply_syntax(r)
                return CALL_DONE
            at = 5
        if not arg_int(&argv[at + 2], &count, r) or not arg_interval(&argv[at], &argv[at + 1], &low, &high, r):
            return CALL_DONE
    s = stream_to_read(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s != NULL:
        g = group_find(s, argv[2].p, argv[2].n)
    if g == NULL:
        reply_no_group(r, &argv[1], &argv[2], b"")
        return CALL_DONE
    if argc == 3:
        pending_summary(g, r)
    elif at + 3 == argc:
        pending_entries(c, &g.pending, &low, &high, count, idle, r)
    else:
        consumer = consumer_find(g, argv[at + 3].p, argv[at + 3].n)
        if consumer == NULL:
            reply_array(r, 0)
        else:
            pending_entries(c, &consumer.pending, &low, &high, count, idle, r)
    return CALL_DONE


registry_bind("xgroup|create", cmd_xgroup_create)
registry_bind("xgroup|setid", cmd_xgroup_setid)
registry_bind("xgroup|destroy", cmd_xgroup_destroy)
registry_bind("xgroup|createconsumer", cmd_xgroup_createconsumer)
registry_bind("xgroup|delconsumer", cmd_xgroup_delconsumer)
registry_bind("xgroup|help", cmd_xgroup_help)
registry_bind("xack", cmd_xack)
registry_bind("xpending", cmd_xpending)
