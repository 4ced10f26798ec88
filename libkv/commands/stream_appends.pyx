"""Streams: XADD and XTRIM, and how they trim."""

from libc.stdint cimport int64_t, uint64_t

from libkv.commands.streams cimport (
    propagate_id, reply_stream_id, stream_id_max, stream_id_parse, stream_id_up, stream_to_write,
)
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int, propagating
from libkv.engine.keyspace cimport changed, changed_n, keyspace_add
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_error, reply_int, reply_nil, reply_oom, reply_syntax, reply_wrong_arity
from libkv.engine.types cimport CALL_DONE, EVENT_STREAM, TYPE_STREAM, Arg, Ctx, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.ids cimport IdsIter, StreamId, ids_at, ids_compare, ids_first
from libkv.structures.stream cimport stream_append, stream_free, stream_new, stream_of, stream_trim
from libkv.structures.stream_node cimport STREAM_NODE_MAX, NodeEntry, NodeHead, stream_node_entry, stream_node_head
from libkv.structures.stream_types cimport Stream

cdef enum:
    WORDS_HERE = 64             # fields and values of an entry that need no allocation
    TRIM_NONE = 0
    TRIM_LENGTH = 1             # MAXLEN
    TRIM_ID = 2                 # MINID
    LIMIT_PLAIN = 10000         # `~` without LIMIT, when nodes have no limit of entries
    LIMIT_MOST = 1000000
    LIMIT_NODES = 100           # `~` without LIMIT: at most so many nodes

cdef struct AppendArgs:
    int trim                    # TRIM_*
    bint approximate            # ~
    bint no_make                # NOMKSTREAM
    int64_t length              # MAXLEN's
    StreamId below              # MINID's
    int64_t limit               # entries; 0 = none
    int threshold               # the argument that holds MAXLEN's or MINID's value
    int limits                  # how often LIMIT was given
    int id_at                   # XADD: the argument that holds the ID
    bint id_given               # not "*"
    bint seq_given              # not "ms-*"
    StreamId id


# ---- arguments

cdef bint threshold_args(Arg* argv, int argc, int* at, bint by_length, AppendArgs* o, Reply* r) noexcept nogil:
    """MAXLEN or MINID at argv[at]; at[0] is left on its value."""
    cdef int i = at[0] + 1
    if o.trim != TRIM_NONE:
        reply_error(r, b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
        return False
    o.approximate = False
    if i + 1 < argc and argv[i].n == 1 and (argv[i].p[0] == b"~" or argv[i].p[0] == b"="):
        o.approximate = argv[i].p[0] == b"~"
        i += 1
    if by_length:
        if not arg_int(&argv[i], &o.length, r):
            return False
        if o.length < 0:
            reply_error(r, b"ERR The MAXLEN argument must be >= 0.")
            return False
    elif not stream_id_parse(&argv[i], &o.below, 0, True, NULL):
        reply_error(r, b"ERR Invalid stream ID specified as stream command argument")
        return False
    o.trim = TRIM_LENGTH if by_length else TRIM_ID
    o.threshold = i
    at[0] = i
    return True


cdef bint append_args(Ctx* c, Arg* argv, int argc, bint adding, AppendArgs* o, Reply* r) noexcept nogil:
    """Everything in front of XADD's ID, and the ID; or all of XTRIM's arguments."""
    cdef int i = 2
    o.trim = TRIM_NONE
    o.approximate = o.no_make = o.id_given = False
    o.seq_given = True
    o.limit = 0
    o.limits = 0
    o.id_at = argc
    while i < argc:
        if adding and argv[i].n == 1 and argv[i].p[0] == b"*":
            o.id_at = i
            break
        if i + 1 < argc and (arg_is(&argv[i], b"maxlen", 6) or arg_is(&argv[i], b"minid", 5)):
            if not threshold_args(argv, argc, &i, argv[i].n == 6, o, r):
                return False
        elif i + 1 < argc and arg_is(&argv[i], b"limit", 5):
            if not arg_int(&argv[i + 1], &o.limit, r):
                return False
            if o.limit < 0:
                reply_error(r, b"ERR The LIMIT argument must be >= 0.")
                return False
            o.limits += 1
            i += 1
        elif adding and arg_is(&argv[i], b"nomkstream", 10):
            o.no_make = True
        elif adding:
            if not stream_id_parse(&argv[i], &o.id, 0, True, &o.seq_given):
                reply_error(r, b"ERR Invalid stream ID specified as stream command argument")
                return False
            o.id_given = True
            o.id_at = i
            break
        else:
            reply_syntax(r)
            return False
        i += 1
    return trim_args(c, adding, o, r)


cdef bint trim_args(Ctx* c, bint adding, AppendArgs* o, Reply* r) noexcept nogil:
    """What belongs together in a trimming, and the limit of `~`."""
    if o.limit and o.trim == TRIM_NONE:
        reply_error(r, b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        return False
    if not adding and o.trim == TRIM_NONE:
        reply_error(r, b"ERR syntax error, XTRIM must be called with a trimming strategy")
        return False
    if c.replay:
        o.limit = 0             # effects say exactly what was trimmed
    elif o.limits:
        if not o.approximate:
            reply_error(r, b"ERR syntax error, LIMIT cannot be used without the special ~ option")
            return False
    elif o.approximate:
        o.limit = LIMIT_NODES * c.kv.settings.stream_node_max_entries
        if o.limit <= 0:
            o.limit = LIMIT_PLAIN
        if o.limit > LIMIT_MOST:
            o.limit = LIMIT_MOST
    return True


cdef inline int64_t trim_as_told(Ctx* c, Stream* s, AppendArgs* o) noexcept nogil:
    return stream_trim(c.heap, s, <uint64_t>o.length, &o.below if o.trim == TRIM_ID else NULL, o.approximate,
                       <uint64_t>o.limit)


# ---- effects

cdef void propagate_trimmed(Ctx* c, Stream* s, AppendArgs* o) noexcept nogil:
    """The value of MAXLEN or MINID that makes an exact trimming do the same."""
    cdef IdsIter it
    cdef NodeHead head
    cdef NodeEntry e
    if o.trim == TRIM_LENGTH:
        propagate_int(c, <int64_t>s.length)
        return
    ids_first(&s.nodes, &it)
    e.id.ms = e.id.seq = <uint64_t>-1
    if it.leaf != NULL:
        stream_node_head(<char*>ids_at(&it).ptr, &head)
        stream_node_entry(&head, &ids_at(&it).id, head.entries, &e)
    propagate_id(c, &e.id)


cdef void propagate_exactly(Ctx* c, Stream* s, Arg* argv, int argc, AppendArgs* o, bint exact) noexcept nogil:
    """The command with the ID it made; exact: with what it trimmed instead of what it was told, and without LIMIT."""
    cdef int i = 0
    propagate_begin(c, c.db, argc - (2 * o.limits if exact else 0))
    while i < argc:
        if i == o.id_at:
            propagate_id(c, &s.last_id)
        elif exact and i == o.threshold:
            propagate_trimmed(c, s, o)
        elif exact and i == o.threshold - 1 and argv[i].n == 1:
            propagate_arg(c, b"=", 1)
        elif exact and 1 < i < o.id_at and arg_is(&argv[i], b"limit", 5):
            i += 1
        else:
            propagate_arg(c, argv[i].p, argv[i].n)
        i += 1


# ---- commands

cdef bint next_id(Ctx* c, Stream* s, AppendArgs* o, StreamId* id) noexcept nogil:
    """The new entry's ID, which may not be above the last; False: there is none."""
    if o.id_given and o.seq_given:
        id[0] = o.id
    elif o.id_given:
        id[0] = o.id
        if s.last_id.ms == o.id.ms:
            if s.last_id.seq == <uint64_t>-1:
                return False
            id.seq = s.last_id.seq + 1
    elif <uint64_t>c.now > s.last_id.ms:
        id.ms = <uint64_t>c.now
        id.seq = 0
    else:
        id[0] = s.last_id
        stream_id_up(id)
    return True


cdef int append_words(Ctx* c, Stream* s, const StreamId* id, Arg* words, int n) noexcept nogil:
    """0 or -1."""
    cdef Slice here[WORDS_HERE]
    cdef Slice* slices = here
    cdef int result
    cdef int i
    if n < 2:
        return -1
    if n > WORDS_HERE:
        slices = <Slice*>heap_alloc(c.heap, n * sizeof(Slice))
        if slices == NULL:
            return -1
    for i in range(n):
        slices[i].p = words[i].p
        slices[i].n = words[i].n
    result = stream_append(c.heap, s, id, slices, <uint64_t>(n // 2), <uint64_t>c.kv.settings.stream_node_max_bytes,
                           <uint64_t>c.kv.settings.stream_node_max_entries)
    if slices != here:
        heap_free(c.heap, slices, n * sizeof(Slice))
    return result


cdef bint too_large(Arg* words, int n) noexcept nogil:
    cdef size_t total = 0
    cdef int i
    for i in range(n):
        total += words[i].n
    return total > STREAM_NODE_MAX


cdef bint append_checked(Ctx* c, Stream* s, AppendArgs* o, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Appends the entry; or the error is replied."""
    cdef StreamId id
    if stream_id_max(&s.last_id):
        reply_error(r, b"ERR The stream has exhausted the last possible ID, unable to add more items")
    elif not next_id(c, s, o, &id):
        reply_error(r, b"ERR Elements are too large to be stored")      # Redis's words when "ms-*" has no number left
    elif ids_compare(&id, &s.last_id) <= 0:
        reply_error(r, b"ERR The ID specified in XADD is equal or smaller than the target stream top item")
    elif too_large(argv + o.id_at + 1, argc - o.id_at - 1):
        reply_error(r, b"ERR Elements are too large to be stored")
    elif append_words(c, s, &id, argv + o.id_at + 1, argc - o.id_at - 1) != 0:
        reply_oom(r)
    else:
        return True
    return False


cdef int cmd_xadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AppendArgs o
    cdef Stream* s
    cdef Cell cell
    cdef bint wrong = False
    cdef int64_t trimmed = 0
    if not append_args(c, argv, argc, True, &o, r):
        return CALL_DONE
    if argc - o.id_at < 3 or (argc - o.id_at) & 1 == 0:
        reply_wrong_arity(r, c.cmd)
        return CALL_DONE
    if o.id_given and o.seq_given and o.id.ms == 0 and o.id.seq == 0:
        reply_error(r, b"ERR The ID specified in XADD must be greater than 0-0")
        return CALL_DONE
    s = stream_to_write(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s != NULL:
        if not append_checked(c, s, &o, argv, argc, r):
            return CALL_DONE
    elif o.no_make:
        reply_nil(r)
        return CALL_DONE
    else:
        if stream_new(c.heap, &cell) != 0:
            reply_oom(r)
            return CALL_DONE
        s = stream_of(&cell)
        if not append_checked(c, s, &o, argv, argc, r):
            stream_free(c.heap, &cell)
            return CALL_DONE
        if keyspace_add(c, c.db, &argv[1], TYPE_STREAM, &cell) == NULL:
            stream_free(c.heap, &cell)
            reply_oom(r)
            return CALL_DONE
    reply_stream_id(r, &s.last_id)
    changed(c, c.db, &argv[1], EVENT_STREAM, b"xadd")
    if o.trim != TRIM_NONE:
        trimmed = trim_as_told(c, s, &o)
        if trimmed > 0:
            changed_n(c, c.db, &argv[1], EVENT_STREAM, b"xtrim", 0)
    # without memory nothing was trimmed: then that is what is told
    if propagating(c) and (not o.id_given or not o.seq_given or o.approximate or trimmed < 0):
        propagate_exactly(c, s, argv, argc, &o, o.approximate or trimmed < 0)
    return CALL_DONE


cdef int cmd_xtrim(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AppendArgs o
    cdef Stream* s
    cdef bint wrong = False
    cdef int64_t trimmed
    if not append_args(c, argv, argc, False, &o, r):
        return CALL_DONE
    s = stream_to_write(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s == NULL:
        reply_int(r, 0)
        return CALL_DONE
    trimmed = trim_as_told(c, s, &o)
    if trimmed < 0:
        reply_oom(r)
        return CALL_DONE
    if trimmed:
        changed_n(c, c.db, &argv[1], EVENT_STREAM, b"xtrim", <uint64_t>trimmed)
        if o.approximate and propagating(c):
            propagate_exactly(c, s, argv, argc, &o, True)
    reply_int(r, trimmed)
    return CALL_DONE


registry_bind("xadd", cmd_xadd)
registry_bind("xtrim", cmd_xtrim)
