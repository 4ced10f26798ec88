"""Streams: XCLAIM and XAUTOCLAIM."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from libkv.commands.stream_groups cimport consumer_made, propagate_pending
from libkv.commands.streams cimport (
    arg_interval, arg_stream_id, propagate_set_id, reply_entry_at, reply_no_group, reply_stream_id, stream_id_parse,
    stream_to_read,
)
from libkv.engine.args cimport arg_int_msg, arg_is, arg_range
from libkv.engine.call cimport propagate_none, propagating
from libkv.engine.entry cimport Entry, entry_cell, entry_type
from libkv.engine.keyspace cimport lookup_read
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_error, reply_errorf, reply_later, reply_later_array, reply_oom, reply_syntax, reply_wrong_type,
)
from libkv.engine.types cimport CALL_DONE, TYPE_STREAM, Arg, Ctx, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_insert
from libkv.structures.cell cimport Cell
from libkv.structures.ids cimport IdsIter, StreamId, ids_at, ids_compare, ids_from, ids_next
from libkv.structures.stream cimport stream_has, stream_of
from libkv.structures.stream_groups cimport group_find, pending_add, pending_find, pending_give, pending_remove
from libkv.structures.stream_types cimport Stream, StreamConsumer, StreamGroup, StreamPending

cdef enum:
    IDS_HERE = 64               # IDs of a command that need no allocation
    ATTEMPTS = 10               # XAUTOCLAIM looks at so many entries for each it may return
    COUNT_BITS = 43             # 2**43 IDs fill an address space, and Redis makes room for as many as COUNT says

cdef struct Claim:
    Stream* s
    StreamGroup* group
    StreamConsumer* consumer    # NULL until the first entry is claimed: only then it is made or seen
    Arg* name                   # the consumer's
    Arg* key
    int64_t idle                # ms: entries delivered later are left alone
    int64_t delivered_at        # what claimed entries get
    int64_t deliveries          # the same; -1: one more
    bint force
    bint only_ids               # JUSTID
    StreamId last_id
    int64_t n                   # entries replied


# ---- one entry

cdef void claim_lost(Ctx* c, Claim* o, StreamId* id, StreamPending* pending) noexcept nogil:
    """The entry itself has been deleted: it is not pending any more.  Told as a claim, which finds the same elsewhere."""
    if propagating(c):
        propagate_pending(c, o.key, o.group, id, pending)
    c.kv.dirty += 1
    pending_remove(c.heap, o.group, id)


cdef bint claim_consumer(Ctx* c, Claim* o) noexcept nogil:
    """Whether there is a consumer; False: no memory for one."""
    cdef bint made
    if o.consumer == NULL:
        o.consumer = consumer_made(c, o.key, o.group, o.name, &made)
    return o.consumer != NULL


cdef int claim_give(Ctx* c, Claim* o, StreamId* id, StreamPending* pending, Reply* r) noexcept nogil:
    """0 or -1."""
    if not claim_consumer(c, o) or pending_give(c.heap, pending, id, o.consumer) != 0:
        return -1
    pending.delivered_at = o.delivered_at
    if o.deliveries >= 0:
        pending.deliveries = <uint64_t>o.deliveries
    elif not o.only_ids:
        pending.deliveries += 1
    if o.only_ids:
        reply_stream_id(r, id)
    else:
        reply_entry_at(r, o.s, id)
    o.n += 1
    if propagating(c):
        propagate_pending(c, o.key, o.group, id, pending)
    c.kv.dirty += 1
    return 0


cdef int claim_one(Ctx* c, Claim* o, StreamId* id, bint* told, Reply* r) noexcept nogil:
    """XCLAIM's work on one ID; 0 or -1.  told[0] becomes True when an effect says the group's last ID too."""
    cdef StreamPending* pending = pending_find(o.group, id)
    if not stream_has(o.s, id):
        if pending != NULL:
            claim_lost(c, o, id, pending)
            told[0] = True
        return 0
    if pending == NULL:
        if not o.force:
            return 0
        if not claim_consumer(c, o):
            return -1
        pending = pending_add(c.heap, o.group, o.consumer, id, c.now, 1)
        if pending == NULL:
            return -1
    elif o.idle and <int64_t>(<uint64_t>c.now - <uint64_t>pending.delivered_at) < o.idle:
        return 0
    told[0] = True
    return claim_give(c, o, id, pending, r)


# ---- XCLAIM

cdef bint claim_options(Ctx* c, Arg* argv, int argc, int at, Claim* o, Reply* r) noexcept nogil:
    cdef int64_t v
    cdef bint given = False
    while at < argc:
        if arg_is(&argv[at], b"force", 5):
            o.force = True
        elif arg_is(&argv[at], b"justid", 6):
            o.only_ids = True
        elif at + 1 < argc and arg_is(&argv[at], b"idle", 4):
            at += 1
            if not arg_int_msg(&argv[at], &v, r, b"ERR Invalid IDLE option argument for XCLAIM"):
                return False
            o.delivered_at = <int64_t>(<uint64_t>c.now - <uint64_t>v)
            given = True
        elif at + 1 < argc and arg_is(&argv[at], b"time", 4):
            at += 1
            if not arg_int_msg(&argv[at], &o.delivered_at, r, b"ERR Invalid TIME option argument for XCLAIM"):
                return False
            given = True
        elif at + 1 < argc and arg_is(&argv[at], b"retrycount", 10):
            at += 1
            if not arg_int_msg(&argv[at], &o.deliveries, r, b"ERR Invalid RETRYCOUNT option argument for XCLAIM"):
                return False
        elif at + 1 < argc and arg_is(&argv[at], b"lastid", 6):
            at += 1
            if not arg_stream_id(&argv[at], &o.last_id, 0, r):
                return False
        else:
            reply_errorf(r, b"ERR Unrecognized XCLAIM option '%.*s'", argv[at].p, argv[at].n)
            return False
        at += 1
    if not given or o.delivered_at < 0 or o.delivered_at > c.now:
        o.delivered_at = c.now          # an idle time that can't be is no reason to fail
    return True


cdef void claim_begin(Claim* o, Arg* argv, Stream* s, StreamGroup* g, int64_t now) noexcept nogil:
    o.s = s
    o.group = g
    o.consumer = NULL
    o.name = &argv[3]
    o.key = &argv[1]
    o.idle = 0
    o.delivered_at = now
    o.deliveries = -1
    o.force = o.only_ids = False
    o.last_id.ms = o.last_id.seq = 0
    o.n = 0


cdef void claim_ids(Ctx* c, Claim* o, StreamId* ids, int n, Reply* r) noexcept nogil:
    cdef bint told = True               # an effect says the group's last ID, if it has changed
    cdef size_t mark
    cdef int i
    cdef int failed = 0
    if ids_compare(&o.last_id, &o.group.last_id) > 0:
        o.group.last_id = o.last_id
        told = False
    mark = reply_later(r)
    for i in range(n):
        failed = claim_one(c, o, &ids[i], &told, r)
        if failed:
            break
    if failed and o.n == 0:
        r.out.n = mark
        reply_oom(r)
    else:
        reply_later_array(r, mark, o.n)
    if not told:
        if propagating(c):
            propagate_set_id(c, o.key, o.group)
        c.kv.dirty += 1


cdef int cmd_xclaim(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef StreamId here[IDS_HERE]
    cdef StreamId* ids = here
    cdef StreamGroup* g = NULL
    cdef Claim o
    cdef int64_t idle
    cdef bint wrong = False
    cdef int n = 0
    cdef Stream* s = stream_to_read(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s != NULL:
        g = group_find(s, argv[2].p, argv[2].n)
    if g == NULL:
        reply_no_group(r, &argv[1], &argv[2], b"")
        return CALL_DONE
    if not arg_int_msg(&argv[4], &idle, r, b"ERR Invalid min-idle-time argument for XCLAIM"):
        return CALL_DONE
    if argc - 5 > IDS_HERE:
        ids = <StreamId*>heap_alloc(c.heap, (argc - 5) * sizeof(StreamId))
        if ids == NULL:
            reply_oom(r)
            return CALL_DONE
    while 5 + n < argc and stream_id_parse(&argv[5 + n], &ids[n], 0, True, NULL):
        n += 1
    claim_begin(&o, argv, s, g, c.now)
    if idle > 0:
        o.idle = idle
    if claim_options(c, argv, argc, 5 + n, &o, r):
        propagate_none(c)               # effects are told one by one
        claim_ids(c, &o, ids, n, r)
    if ids != here:
        heap_free(c.heap, ids, (argc - 5) * sizeof(StreamId))
    return CALL_DONE


# ---- XAUTOCLAIM

cdef bint scan_options(Arg* argv, int argc, int64_t* count, bint* only_ids, Reply* r) noexcept nogil:
    cdef int i = 6
    while i < argc:
        if i + 1 < argc and arg_is(&argv[i], b"count", 5):
            if not arg_range(&argv[i + 1], 1, <int64_t>0x7FFFFFFFFFFFFFFF // sizeof(StreamId), count, r,
                             b"ERR COUNT must be > 0"):
                return False
            i += 1
        elif arg_is(&argv[i], b"justid", 6):
            only_ids[0] = True
        else:
            reply_syntax(r)
            return False
        i += 1
    return True


cdef int claim_scan(Ctx* c, Claim* o, StreamId* at, int64_t count, Buffer* lost, int64_t* n_lost, Reply* r) noexcept nogil:
    """Claims from at[0] on, which becomes where to go on, or 0-0; the deleted ones' IDs are replied into `lost`."""
    cdef StreamId low = at[0]
    cdef StreamPending* pending
    cdef IdsIter it
    cdef Reply other = r[0]
    cdef int64_t attempts = count * ATTEMPTS
    cdef int failed = 0
    other.out = lost
    ids_from(&o.group.pending, &low, &it)
    while it.leaf != NULL and attempts and count and not failed:
        attempts -= 1
        low = ids_at(&it).id
        pending = <StreamPending*>ids_at(&it).ptr
        if not stream_has(o.s, &low):
            claim_lost(c, o, &low, pending)
            reply_stream_id(&other, &low)
            n_lost[0] += 1
            count -= 1
            ids_from(&o.group.pending, &low, &it)
            continue
        if o.idle == 0 or <int64_t>(<uint64_t>c.now - <uint64_t>pending.delivered_at) >= o.idle:
            failed = claim_give(c, o, &low, pending, r)
            if failed:
                break
            count -= 1
        ids_next(&it)
    at.ms = at.seq = 0
    if it.leaf != NULL:
        at[0] = ids_at(&it).id
    return failed


cdef int cmd_xautoclaim(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_read(c, &argv[1])        # before the arguments: its keymiss is told even when they are wrong
    cdef Cell cell
    cdef StreamId at
    cdef Stream* s = NULL
    cdef StreamGroup* g = NULL
    cdef Claim o
    cdef int64_t idle
    cdef int64_t count = 100
    cdef bint only_ids = False
    if not arg_int_msg(&argv[4], &idle, r, b"ERR Invalid min-idle-time argument for XAUTOCLAIM"):
        return CALL_DONE
    if not arg_interval(&argv[5], NULL, &at, NULL, r) or not scan_options(argv, argc, &count, &only_ids, r):
        return CALL_DONE
    if e != NULL and entry_type(e) != TYPE_STREAM:
        reply_wrong_type(r)
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        s = stream_of(&cell)
        g = group_find(s, argv[2].p, argv[2].n)
    if g == NULL:
        reply_no_group(r, &argv[1], &argv[2], b"")
        return CALL_DONE
    if count >> COUNT_BITS:
        reply_error(r, b"ERR Insufficient memory, failed allocating transient memory, COUNT too high.")
        return CALL_DONE
    claim_begin(&o, argv, s, g, c.now)
    o.only_ids = only_ids
    if idle > 0:
        o.idle = idle
    propagate_none(c)
    auto_claim(c, &o, &at, count, r)
    return CALL_DONE


cdef void auto_claim(Ctx* c, Claim* o, StreamId* at, int64_t count, Reply* r) noexcept nogil:
    """The reply is [where to go on, [entry, ...], [ID of a deleted one, ...]], and the first is known last."""
    cdef Buffer lost, first
    cdef Reply other = r[0]
    cdef int64_t n_lost = 0
    cdef size_t mark
    cdef int failed
    memset(&lost, 0, sizeof(Buffer))
    memset(&first, 0, sizeof(Buffer))
    mark = reply_later(r)
    failed = claim_scan(c, o, at, count, &lost, &n_lost, r)
    if failed and o.n == 0 and n_lost == 0:
        r.out.n = mark
        reply_oom(r)
    else:
        reply_later_array(r, mark, o.n)
        other.out = &first
        reply_array(&other, 3)
        reply_stream_id(&other, at)
        if not r.out.failed:
            buffer_insert(r.out, mark, first.p, first.n)
        reply_array(r, n_lost)
        buffer_add(r.out, lost.p, lost.n)
    buffer_free(&lost)
    buffer_free(&first)


registry_bind("xclaim", cmd_xclaim)
registry_bind("xautoclaim", cmd_xautoclaim)
