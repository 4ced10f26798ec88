"""Streams: what their commands share (streams.pxd), and XLEN, XRANGE, XREVRANGE, XDEL, XSETID."""

from libc.string cimport strlen

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport changed_n, lookup_read_type, lookup_write_type
from libkv.engine.pubsub cimport pubsub_notify
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_error, reply_int, reply_later, reply_later_array, reply_nil_array, reply_no_key, reply_ok, reply_oom,
    reply_slice, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, EVENT_STREAM, HOOK_NOTIFY, TYPE_STREAM
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_add, buffer_room
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.ids cimport ids_compare
from libkv.structures.number cimport number_digits, number_parse_i64, number_print_u64
from libkv.structures.stream cimport (
    stream_delete, stream_edge, stream_iter, stream_next, stream_of, stream_pair,
)

cdef enum:
    ID_MAX = 127                # bytes of an ID's text
    IDS_HERE = 64               # IDs of a command that need no allocation


# ---- IDs

cdef bint id_number(const char* p, size_t n, uint64_t* v) noexcept nogil:
    """A number as Redis reads it: canonical, or else whatever strtoull takes whole."""
    cdef int64_t canonical
    cdef size_t i = 0
    cdef bint negative = False
    cdef uint64_t digit
    if number_parse_i64(p, n, &canonical):
        v[0] = <uint64_t>canonical
        return canonical >= 0
    v[0] = 0
    while i < n and (p[i] == 32 or 9 <= p[i] <= 13):
        i += 1
    if i < n and (p[i] == b"-" or p[i] == b"+"):
        negative = p[i] == b"-"
        i += 1
    if i == n:
        return False
    while i < n:
        if p[i] < 48 or p[i] > 57:
            return False
        digit = <uint64_t>(p[i] - 48)
        if v[0] > (<uint64_t>-1 - digit) // 10:
            return False
        v[0] = v[0] * 10 + digit
        i += 1
    if negative:
        v[0] = <uint64_t>0 - v[0]
    return True


cdef bint stream_id_parse(Arg* a, StreamId* id, uint64_t missing_seq, bint strict, bint* seq_given) noexcept nogil:
    cdef size_t n = 0
    cdef size_t dash = 0
    if seq_given != NULL:
        seq_given[0] = True
    if a.n > ID_MAX:
        return False
    while n < a.n and a.p[n] != 0:
        n += 1
    if n == 1 and (a.p[0] == b"-" or a.p[0] == b"+"):
        id.ms = id.seq = 0 if a.p[0] == b"-" else <uint64_t>-1
        return not strict
    while dash < n and a.p[dash] != b"-":
        dash += 1
    id.seq = missing_seq
    if not id_number(a.p, dash, &id.ms):
        return False
    if dash == n:
        return True
    if seq_given != NULL and n - dash == 2 and a.p[dash + 1] == b"*":
        seq_given[0] = False
        id.seq = 0
        return True
    return id_number(a.p + dash + 1, n - dash - 1, &id.seq)


cdef void refuse_id(Reply* r) noexcept nogil:
    reply_error(r, b"ERR Invalid stream ID specified as stream command argument")


cdef bint arg_stream_id(Arg* a, StreamId* id, uint64_t missing_seq, Reply* r) noexcept nogil:
    if stream_id_parse(a, id, missing_seq, True, NULL):
        return True
    refuse_id(r)
    return False


cdef bint interval_end(Arg* a, StreamId* id, bint* is_open, uint64_t missing_seq, Reply* r) noexcept nogil:
    cdef Arg inner = a[0]
    is_open[0] = a.n > 1 and a.p[0] == b"("
    if is_open[0]:
        inner.p += 1
        inner.n -= 1
    if stream_id_parse(&inner, id, missing_seq, is_open[0], NULL):
        return True
    refuse_id(r)
    return False


cdef bint arg_interval(Arg* start, Arg* end, StreamId* low, StreamId* high, Reply* r) noexcept nogil:
    cdef bint low_open, high_open
    if not interval_end(start, low, &low_open, 0, r):
        return False
    if low_open and not stream_id_up(low):
        reply_error(r, b"ERR invalid start ID for the interval")
        return False
    if end == NULL:
        return True
    if not interval_end(end, high, &high_open, <uint64_t>-1, r):
        return False
    if high_open and not stream_id_down(high):
        reply_error(r, b"ERR invalid end ID for the interval")
        return False
    return True


cdef bint stream_id_up(StreamId* id) noexcept nogil:
    id.seq += 1
    if id.seq == 0:
        id.ms += 1
        return id.ms != 0
    return True


cdef bint stream_id_down(StreamId* id) noexcept nogil:
    cdef bint any_below = id.ms != 0 or id.seq != 0
    if id.seq == 0:
        id.ms -= 1
    id.seq -= 1
    return any_below


cdef bint stream_id_max(const StreamId* id) noexcept nogil:
    return id.ms == <uint64_t>-1 and id.seq == <uint64_t>-1


cdef int stream_id_print(char* out, const StreamId* id) noexcept nogil:
    cdef int n = number_print_u64(out, id.ms)
    out[n] = b"-"
    return n + 1 + number_print_u64(out + n + 1, id.seq)


# ---- replies

cdef void reply_stream_id(Reply* r, const StreamId* id) noexcept nogil:
    cdef char* o = buffer_room(r.out, 64)
    cdef int n
    cdef int at = 3
    if o == NULL:
        return
    n = number_digits(id.ms) + 1 + number_digits(id.seq)
    o[0] = b"$"
    if n < 10:
        o[1] = <char>(48 + n)
        at = 2
    else:
        o[1] = <char>(48 + n // 10)
        o[2] = <char>(48 + n % 10)
    o[at] = 13
    o[at + 1] = 10
    at += 2
    at += stream_id_print(o + at, id)
    o[at] = 13
    o[at + 1] = 10
    r.out.n += at + 2


cdef void reply_entry(Reply* r, StreamIter* it) noexcept nogil:
    cdef Slice field, value
    cdef char scratch[48]
    reply_array(r, 2)
    reply_stream_id(r, &it.entry.id)
    reply_array(r, <int64_t>(it.entry.fields * 2))
    while it.left:
        stream_pair(it, &field, &value, scratch)
        reply_slice(r, &field)
        reply_slice(r, &value)


cdef int64_t reply_entries(Reply* r, Stream* s, const StreamId* low, const StreamId* high, bint backwards,
                           int64_t count) noexcept nogil:
    cdef StreamIter it
    cdef size_t mark = reply_later(r)
    cdef int64_t n = 0
    stream_iter(&it, s, low, high, backwards)
    while (count == 0 or n < count) and stream_next(&it):
        reply_entry(r, &it)
        n += 1
    reply_later_array(r, mark, n)
    return n


cdef bint reply_entry_at(Reply* r, Stream* s, const StreamId* id) noexcept nogil:
    cdef StreamIter it
    stream_iter(&it, s, id, id, False)
    if not stream_next(&it):
        return False
    reply_entry(r, &it)
    return True


cdef void error_word(Reply* r, Arg* a) noexcept nogil:
    """A client's word in an error: up to its first NUL, as in a C string, line ends as spaces."""
    cdef size_t i = 0
    cdef char ch
    while i < a.n and a.p[i] != 0:
        ch = 32 if a.p[i] == 13 or a.p[i] == 10 else a.p[i]
        buffer_add(r.out, &ch, 1)
        i += 1


cdef void error_text(Reply* r, const char* text) noexcept nogil:
    buffer_add(r.out, text, strlen(text))


cdef void reply_no_group(Reply* r, Arg* key, Arg* group, const char* suffix) noexcept nogil:
    r.errors += 1
    error_text(r, b"-NOGROUP No such key '")
    error_word(r, key)
    error_text(r, b"' or consumer group '")
    error_word(r, group)
    error_text(r, b"'")
    error_text(r, suffix)
    error_text(r, b"\r\n")


cdef void reply_no_group_of_key(Reply* r, Arg* key, Arg* group) noexcept nogil:
    r.errors += 1
    error_text(r, b"-NOGROUP No such consumer group '")
    error_word(r, group)
    error_text(r, b"' for key name '")
    error_word(r, key)
    error_text(r, b"'\r\n")


# ---- values, changes, effects

cdef Stream* stream_to_read(Ctx* c, Arg* key, Reply* r, bint* wrong) noexcept nogil:
    cdef Entry* e = lookup_read_type(c, key, TYPE_STREAM, r, wrong)
    cdef Cell cell
    if e == NULL:
        return NULL
    entry_cell(e, &cell)
    return stream_of(&cell)


cdef Stream* stream_to_write(Ctx* c, Arg* key, Reply* r, bint* wrong) noexcept nogil:
    cdef Entry* e = lookup_write_type(c, key, TYPE_STREAM, r, wrong)
    cdef Cell cell
    if e == NULL:
        return NULL
    entry_cell(e, &cell)
    return stream_of(&cell)


cdef void stream_told(Ctx* c, Arg* key, const char* event, uint64_t n) noexcept nogil:
    c.kv.dirty += n
    if c.kv.hooks & HOOK_NOTIFY:
        pubsub_notify(c.kv, c.db, key, EVENT_STREAM, event)


cdef void propagate_id(Ctx* c, const StreamId* id) noexcept nogil:
    cdef char text[STREAM_ID_TEXT]
    propagate_arg(c, text, stream_id_print(text, id))


cdef void propagate_set_id(Ctx* c, Arg* key, StreamGroup* g) noexcept nogil:
    propagate_begin(c, c.db, 7)
    propagate_arg(c, b"XGROUP", 6)
    propagate_arg(c, b"SETID", 5)
    propagate_arg(c, key.p, key.n)
    propagate_arg(c, g.name.p, g.name.n)
    propagate_id(c, &g.last_id)
    propagate_arg(c, b"ENTRIESREAD", 11)
    propagate_int(c, g.entries_read)


# ---- commands

cdef int cmd_xlen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Stream* s = stream_to_read(c, &argv[1], r, &wrong)
    if not wrong:
        reply_int(r, <int64_t>s.length if s != NULL else 0)
    return CALL_DONE


cdef int range_entries(Ctx* c, Arg* argv, int argc, bint backwards, Reply* r) noexcept nogil:
    cdef StreamId low, high
    cdef Stream* s
    cdef int64_t count = -1
    cdef bint wrong = False
    cdef int i = 4
    if not arg_interval(&argv[3 if backwards else 2], &argv[2 if backwards else 3], &low, &high, r):
        return CALL_DONE
    while i < argc:
        if i + 1 == argc or not arg_is(&argv[i], b"count", 5):
            reply_syntax(r)
            return CALL_DONE
        if not arg_int(&argv[i + 1], &count, r):
            return CALL_DONE
        if count < 0:
            count = 0
        i += 2
    s = stream_to_read(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s == NULL:
        reply_array(r, 0)
    elif count == 0:
        reply_nil_array(r)
    else:
        reply_entries(r, s, &low, &high, backwards, 0 if count < 0 else count)
    return CALL_DONE


cdef int cmd_xrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_entries(c, argv, argc, False, r)


cdef int cmd_xrevrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_entries(c, argv, argc, True, r)


cdef int cmd_xdel(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef StreamId here[IDS_HERE]
    cdef StreamId* ids = here
    cdef int64_t deleted = 0
    cdef int n = argc - 2
    cdef int i = 0
    cdef int gone = 0
    cdef bint wrong = False
    cdef Stream* s = stream_to_write(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s == NULL:
        reply_int(r, 0)
        return CALL_DONE
    if n > IDS_HERE:
        ids = <StreamId*>heap_alloc(c.heap, n * sizeof(StreamId))
        if ids == NULL:
            reply_oom(r)
            return CALL_DONE
    while i < n and arg_stream_id(&argv[2 + i], &ids[i], 0, r):
        i += 1
    if i == n:
        for i in range(n):
            gone = stream_delete(c.heap, s, &ids[i])
            if gone < 0:
                break
            deleted += gone
        if deleted:
            changed_n(c, c.db, &argv[1], EVENT_STREAM, b"xdel", <uint64_t>deleted)
        if gone < 0 and deleted == 0:
            reply_oom(r)
        else:
            reply_int(r, deleted)
        if gone < 0 and deleted:
            propagate_deleted(c, argv, i)
    if ids != here:
        heap_free(c.heap, ids, n * sizeof(StreamId))
    return CALL_DONE


cdef void propagate_deleted(Ctx* c, Arg* argv, int n) noexcept nogil:
    """Memory ended behind the first n IDs: these were looked at, and so they must be elsewhere."""
    cdef int i
    propagate_begin(c, c.db, n + 2)
    for i in range(n + 2):
        propagate_arg(c, argv[i].p, argv[i].n)


cdef int cmd_xsetid(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef StreamId id, deleted, top
    cdef Stream* s
    cdef int64_t added = -1
    cdef bint wrong = False
    cdef int i = 3
    deleted.ms = deleted.seq = 0
    if not arg_stream_id(&argv[2], &id, 0, r):
        return CALL_DONE
    while i < argc:
        if i + 1 < argc and arg_is(&argv[i], b"entriesadded", 12):
            if not arg_int(&argv[i + 1], &added, r):
                return CALL_DONE
            if added < 0:
                reply_error(r, b"ERR entries_added must be positive")
                return CALL_DONE
        elif i + 1 < argc and arg_is(&argv[i], b"maxdeletedid", 12):
            if not arg_stream_id(&argv[i + 1], &deleted, 0, r):
                return CALL_DONE
            if ids_compare(&id, &deleted) < 0:
                reply_error(r, b"ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
                return CALL_DONE
        else:
            reply_syntax(r)
            return CALL_DONE
        i += 2
    s = stream_to_write(c, &argv[1], r, &wrong)
    if wrong:
        return CALL_DONE
    if s == NULL:
        reply_no_key(r)
    elif stream_edge(s, False, &top) and ids_compare(&id, &top) < 0:
        reply_error(r, b"ERR The ID specified in XSETID is smaller than the target stream top item")
    elif s.length and added != -1 and s.length > <uint64_t>added:
        reply_error(r, b"ERR The entries_added specified in XSETID is smaller than the target stream length")
    else:
        s.last_id = id
        if added != -1:
            s.entries_added = <uint64_t>added
        if deleted.ms or deleted.seq:
            s.max_deleted_id = deleted
        reply_ok(r)
        stream_told(c, &argv[1], b"xsetid", 1)
    return CALL_DONE


registry_bind("xlen", cmd_xlen)
registry_bind("xrange", cmd_xrange)
registry_bind("xrevrange", cmd_xrevrange)
registry_bind("xdel", cmd_xdel)
registry_bind("xsetid", cmd_xsetid)
