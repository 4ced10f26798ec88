"""Commands that read lists and change their middle (https://redis.io/docs/latest/commands/?group=list).  Those on the ends
are commands/list_ends."""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t

from libkv.commands.collections cimport collection_length
from libkv.commands.list_ends cimport list_fill, list_removed, reply_element, reply_elements
from libkv.engine.args cimport arg_int, arg_is, arg_range
from libkv.engine.entry cimport Entry, entry_cell, entry_set_cell
from libkv.engine.keyspace cimport changed, changed_n, keyspace_delete, lookup_read_type, lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_error, reply_int, reply_later, reply_later_array, reply_nil, reply_no_key, reply_ok, reply_oom,
    reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_LIST, TYPE_LIST, Arg, Ctx, Reply
from libkv.structures.cell cimport Cell
from libkv.structures.list cimport (
    ListIter, list_find, list_insert, list_length, list_remove, list_seek, list_set, list_step, list_trim,
)
from libkv.structures.packed cimport Needle, packed_needle

# ---- reading

cdef int cmd_llen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return collection_length(c, argv, r, TYPE_LIST, list_length)


cdef int cmd_lindex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t index = 0
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_LIST, r, &wrong)
    cdef Cell cell
    cdef ListIter it
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    if not arg_int(&argv[2], &index, r):
        return CALL_DONE
    entry_cell(e, &cell)
    list_seek(&it, &cell, index, False)
    if it.at == NULL:
        reply_nil(r)
    else:
        reply_element(r, it.at)
    return CALL_DONE


cdef int cmd_lrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t start = 0
    cdef int64_t end = 0
    cdef int64_t length
    cdef Entry* e
    cdef Cell cell
    if not arg_int(&argv[2], &start, r) or not arg_int(&argv[3], &end, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_LIST, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_array(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    length = <int64_t>list_length(&cell)
    if start < 0:
        start = start + length if start + length > 0 else 0
    if end < 0:
        end += length
    if end >= length:
        end = length - 1
    if start > end or start >= length:
        reply_array(r, 0)
    else:
        reply_elements(r, &cell, start, end - start + 1, False)
    return CALL_DONE


cdef struct PositionOptions:    # of LPOS
    int64_t rank
    int64_t count               # -1: not given
    int64_t most                # elements to look at; 0 = all


cdef bint arg_positions(Arg* argv, int argc, PositionOptions* o, Reply* r) noexcept nogil:
    cdef int i = 3
    o.rank = 1
    o.count = -1
    o.most = 0
    while i < argc:
        if i + 1 < argc and arg_is(&argv[i], b"rank", 4):
            if not arg_int(&argv[i + 1], &o.rank, r):
                return False
            if o.rank == 0:
                reply_error(r, b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
                               b"or use negative to start from the end of the list")
                return False
        elif i + 1 < argc and arg_is(&argv[i], b"count", 5):
            if not arg_range(&argv[i + 1], 0, INT64_MAX, &o.count, r, b"ERR COUNT can't be negative"):
                return False
        elif i + 1 < argc and arg_is(&argv[i], b"maxlen", 6):
            if not arg_range(&argv[i + 1], 0, INT64_MAX, &o.most, r, b"ERR MAXLEN can't be negative"):
                return False
        else:
            reply_syntax(r)
            return False
        i += 2
    if o.rank == INT64_MIN:             # it has no opposite: in Redis it stays negative, and every match is beyond it
        o.rank = -1
        o.count = 0 if o.count > 0 else o.count
    return True


cdef int cmd_lpos(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef PositionOptions o
    cdef bint wrong = False
    cdef bint backwards
    cdef Entry* e
    cdef Cell cell
    cdef ListIter it
    cdef Needle x
    cdef uint64_t passed = 0
    cdef uint64_t most
    cdef int64_t found = 0
    cdef int64_t replied = 0
    cdef size_t mark = 0
    if not arg_positions(argv, argc, &o, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_LIST, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        if o.count == -1:
            reply_nil(r)
        else:
            reply_array(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    backwards = o.rank < 0
    if backwards:
        o.rank = -o.rank
    most = list_length(&cell)
    if o.most and <uint64_t>o.most < most:
        most = <uint64_t>o.most
    packed_needle(&x, argv[2].p, argv[2].n)
    list_seek(&it, &cell, -1 if backwards else 0, backwards)
    if o.count != -1:
        mark = reply_later(r)
    while list_find(&it, &x, &passed, most - passed):
        found += 1
        if found >= o.rank:
            reply_int(r, <int64_t>(list_length(&cell) - passed - 1 if backwards else passed))
            replied += 1
            if o.count == -1 or replied == o.count:
                break
        passed += 1
        list_step(&it)
    if o.count != -1:
        reply_later_array(r, mark, replied)
    elif replied == 0:
        reply_nil(r)
    return CALL_DONE


# ---- changing in the middle

cdef int cmd_lset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t index = 0
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    cdef Cell cell
    cdef ListIter it
    cdef int failed
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_no_key(r)
        return CALL_DONE
    if not arg_int(&argv[2], &index, r):
        return CALL_DONE
    entry_cell(e, &cell)
    list_seek(&it, &cell, index, False)
    if it.at == NULL:
        reply_error(r, b"ERR index out of range")
        return CALL_DONE
    failed = list_set(c.heap, &it, argv[3].p, argv[3].n, list_fill(c))
    entry_set_cell(e, &cell)
    if failed:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_LIST, b"lset")
    reply_ok(r)
    return CALL_DONE


cdef int cmd_linsert(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef bint after
    cdef Entry* e
    cdef Cell cell
    cdef ListIter it
    cdef Needle x
    cdef uint64_t passed = 0
    cdef int failed
    if arg_is(&argv[2], b"after", 5):
        after = True
    elif arg_is(&argv[2], b"before", 6):
        after = False
    else:
        reply_syntax(r)
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    packed_needle(&x, argv[3].p, argv[3].n)
    list_seek(&it, &cell, 0, False)
    if not list_find(&it, &x, &passed, <uint64_t>-1):
        reply_int(r, -1)
        return CALL_DONE
    failed = list_insert(c.heap, &it, argv[4].p, argv[4].n, after, list_fill(c))
    entry_set_cell(e, &cell)
    if failed:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_LIST, b"linsert")
    reply_int(r, <int64_t>list_length(&cell))
    return CALL_DONE


cdef int cmd_lrem(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t limit = 0
    cdef int64_t removed
    cdef bint backwards
    cdef Entry* e
    cdef Cell cell
    if not arg_int(&argv[2], &limit, r):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    backwards = limit < 0
    if limit == 0 or limit == INT64_MIN:
        limit = INT64_MAX               # all
    elif backwards:
        limit = -limit
    removed = list_remove(c.heap, &cell, argv[3].p, argv[3].n, limit, backwards)
    if removed < 0:
        reply_oom(r)
        return CALL_DONE
    if removed:
        list_removed(c, &argv[1], e, &cell, b"lrem", removed)
    reply_int(r, removed)
    return CALL_DONE


cdef int cmd_ltrim(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t start = 0
    cdef int64_t end = 0
    cdef int64_t length
    cdef int failed
    cdef Entry* e
    cdef Cell cell
    if not arg_int(&argv[2], &start, r) or not arg_int(&argv[3], &end, r):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_ok(r)
        return CALL_DONE
    entry_cell(e, &cell)
    length = <int64_t>list_length(&cell)
    if start < 0:
        start = start + length if start + length > 0 else 0
    if end < 0:
        end += length
    if end >= length:
        end = length - 1
    if start > end or start >= length:
        changed_n(c, c.db, &argv[1], EVENT_LIST, b"ltrim", length)
        keyspace_delete(c, c.db, &argv[1])
        changed_n(c, c.db, &argv[1], EVENT_GENERIC, b"del", 0)
        reply_ok(r)
        return CALL_DONE
    failed = list_trim(c.heap, &cell, start, end - start + 1) if end - start + 1 < length else 0
    if failed:
        reply_oom(r)
        return CALL_DONE
    list_removed(c, &argv[1], e, &cell, b"ltrim", length - (end - start + 1))
    reply_ok(r)
    return CALL_DONE


registry_bind("llen", cmd_llen)
registry_bind("lindex", cmd_lindex)
registry_bind("lrange", cmd_lrange)
registry_bind("lpos", cmd_lpos)
registry_bind("lset", cmd_lset)
registry_bind("linsert", cmd_linsert)
registry_bind("lrem", cmd_lrem)
registry_bind("ltrim", cmd_ltrim)
