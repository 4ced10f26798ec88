"""Ranges of a sorted set, by rank, score and member (https://redis.io/docs/latest/commands/zrange/): ZRANGE in all its forms,
ZRANGESTORE, the counts, and ZREMRANGEBY*."""

from libc.stdint cimport int64_t, uint64_t

from libkv.commands.sorted_sets cimport arg_lex_range, arg_score_range, zset_put, zset_removed, zset_stored
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.entry cimport Entry, entry_cell, entry_set_cell
from libkv.engine.keyspace cimport lookup_read_type, lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_double, reply_error, reply_int, reply_oom, reply_slice, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, TYPE_ZSET, Arg, Ctx, Reply
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.zset cimport (
    ZSET_SCRATCH, ZsetIter, zset_free, zset_iter, zset_length, zset_new, zset_new_tree, zset_next,
    zset_remove_range,
)
from libkv.structures.zset_ranges cimport LexBound, ScoreRange, zset_lex_range, zset_score_range

cdef enum:
    BY_ANY = 0                  # the command's words say which; rank unless they do
    BY_RANK = 1
    BY_SCORE = 2
    BY_LEX = 3
    EITHER = -1                 # REV says which way; forwards unless it does
    FORWARDS = 0
    BACKWARDS = 1

cdef struct Range:              # what a command asks for
    int by
    int direction
    bint store
    bint scores                 # WITHSCORES
    int64_t offset
    int64_t limit               # -1: all
    int64_t start               # BY_RANK, as given
    int64_t stop
    ScoreRange score
    LexBound low                # BY_LEX
    LexBound high
    uint64_t first              # the ranks that were found: [first, end)
    uint64_t end


# ---- asking for a range

cdef bint range_options(Range* q, Arg* argv, int argc, int i, Reply* r) noexcept nogil:
    while i < argc:
        if not q.store and arg_is(&argv[i], b"withscores", 10):
            q.scores = True
        elif argc - i > 2 and arg_is(&argv[i], b"limit", 5):
            if not arg_int(&argv[i + 1], &q.offset, r) or not arg_int(&argv[i + 2], &q.limit, r):
                return False
            i += 2
        elif q.direction == EITHER and arg_is(&argv[i], b"rev", 3):
            q.direction = BACKWARDS
        elif q.by == BY_ANY and arg_is(&argv[i], b"bylex", 5):
            q.by = BY_LEX
        elif q.by == BY_ANY and arg_is(&argv[i], b"byscore", 7):
            q.by = BY_SCORE
        else:
            reply_syntax(r)
            return False
        i += 1
    if q.direction == EITHER:
        q.direction = FORWARDS
    if q.by == BY_ANY:
        q.by = BY_RANK
    if q.limit != -1 and q.by == BY_RANK:
        reply_error(r, b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        return False
    if q.scores and q.by == BY_LEX:
        reply_error(r, b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")
        return False
    return True


cdef bint range_bounds(Range* q, Arg* low, Arg* high, Reply* r) noexcept nogil:
    if q.by == BY_SCORE:
        return arg_score_range(low, high, &q.score, r)
    if q.by == BY_LEX:
        return arg_lex_range(low, high, &q.low, &q.high, r)
    return arg_int(low, &q.start, r) and arg_int(high, &q.stop, r)


cdef void range_find(Range* q, Cell* cell) noexcept nogil:
    """Sets first and end.  Ranks that were given backwards are turned round."""
    cdef int64_t n = <int64_t>zset_length(cell)
    q.first = q.end = 0
    if q.by == BY_SCORE:
        zset_score_range(cell, &q.score, &q.first, &q.end)
        return
    if q.by == BY_LEX:
        zset_lex_range(cell, &q.low, &q.high, q.direction == BACKWARDS, &q.first, &q.end)
        return
    if q.start < 0:
        q.start = q.start + n if q.start >= -n else 0
    if q.stop < 0:
        q.stop += n                     # below 0 still: nothing
    if q.stop >= n:
        q.stop = n - 1
    if q.start > q.stop or q.start >= n:
        return
    q.first = <uint64_t>q.start
    q.end = <uint64_t>q.stop + 1
    if q.direction == BACKWARDS:
        q.first = <uint64_t>(n - 1 - q.stop)
        q.end = <uint64_t>(n - q.start)


cdef void range_limit(Range* q) noexcept nogil:
    """LIMIT's part of [first, end), counted from where the direction starts.  A range by rank has none: of a LIMIT with -1
    Redis ignores the offset too."""
    cdef uint64_t n = q.end - q.first
    if q.by == BY_RANK:
        return
    if q.offset < 0 or <uint64_t>q.offset >= n:
        q.end = q.first
        return
    if q.direction == BACKWARDS:
        q.end -= <uint64_t>q.offset
    else:
        q.first += <uint64_t>q.offset
    n -= <uint64_t>q.offset
    if q.limit >= 0 and <uint64_t>q.limit < n:
        if q.direction == BACKWARDS:
            q.first = q.end - <uint64_t>q.limit
        else:
            q.end = q.first + <uint64_t>q.limit


cdef void range_reply(Range* q, Cell* cell, Reply* r) noexcept nogil:
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef uint64_t n = q.end - q.first
    reply_array(r, <int64_t>(n * 2 if q.scores and r.proto == 2 else n))
    if n == 0:
        return
    zset_iter(&it, cell, q.end - 1 if q.direction == BACKWARDS else q.first, q.direction == BACKWARDS)
    while n > 0 and zset_next(&it, &member, &score, scratch):
        if q.scores and r.proto > 2:
            reply_array(r, 2)
        reply_slice(r, &member)
        if q.scores:
            reply_double(r, score)
        n -= 1


cdef bint range_copy(Ctx* c, Range* q, Cell* cell, Cell* to) noexcept nogil:
    """The range as a sorted set of its own; False: no memory."""
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef uint64_t n = q.end - q.first
    # as Redis: by rank the size is known, and a large result is a tree from the start, where -0 keeps its sign
    if q.by == BY_RANK and n > <uint64_t>c.kv.settings.zset_max_listpack_entries:
        if zset_new_tree(c.heap, to, n) != 0:
            return False
    elif zset_new(c.heap, to) != 0:
        return False
    zset_iter(&it, cell, q.first, False)
    while n > 0 and zset_next(&it, &member, &score, scratch):
        if zset_put(c, to, &score, member.p, member.n, 0, 0) < 0:
            zset_free(c.heap, to)
            return False
        n -= 1
    return True


cdef int store(Ctx* c, Arg* key, Entry* e, Range* q, Reply* r) noexcept nogil:
    cdef Cell cell
    cdef Cell to
    if e == NULL:
        if zset_new(c.heap, &to) != 0:
            reply_oom(r)
            return CALL_DONE
    else:
        entry_cell(e, &cell)
        range_find(q, &cell)
        range_limit(q)
        if not range_copy(c, q, &cell, &to):
            reply_oom(r)
            return CALL_DONE
    zset_stored(c, key, &to, b"zrangestore", r)
    return CALL_DONE


cdef int range_command(Ctx* c, Arg* argv, int argc, Reply* r, int key, int by, int direction) noexcept nogil:
    """argv[key], two bounds, options; with key = 2 the result goes to argv[1]."""
    cdef bint wrong = False
    cdef Range q
    cdef Entry* e
    cdef Cell cell
    cdef bint swapped
    q.by = by
    q.direction = direction
    q.store = key == 2
    q.scores = False
    q.offset = 0
    q.limit = -1
    if not range_options(&q, argv, argc, key + 3, r):
        return CALL_DONE
    swapped = q.direction == BACKWARDS and q.by != BY_RANK      # the high bound comes first then
    if not range_bounds(&q, &argv[key + 1 + swapped], &argv[key + 2 - swapped], r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[key], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if q.store:
        return store(c, &argv[1], e, &q, r)
    if e == NULL:
        reply_array(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    range_find(&q, &cell)
    range_limit(&q)
    range_reply(&q, &cell, r)
    return CALL_DONE


cdef int cmd_zrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 1, BY_ANY, EITHER)


cdef int cmd_zrangestore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 2, BY_ANY, EITHER)


cdef int cmd_zrevrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 1, BY_RANK, BACKWARDS)


cdef int cmd_zrangebyscore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 1, BY_SCORE, FORWARDS)


cdef int cmd_zrevrangebyscore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 1, BY_SCORE, BACKWARDS)


cdef int cmd_zrangebylex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 1, BY_LEX, FORWARDS)


cdef int cmd_zrevrangebylex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return range_command(c, argv, argc, r, 1, BY_LEX, BACKWARDS)


# ---- counting and removing

cdef int count_command(Ctx* c, Arg* argv, Reply* r, int by) noexcept nogil:
    cdef bint wrong = False
    cdef Range q
    cdef Entry* e
    cdef Cell cell
    q.by = by
    q.direction = FORWARDS
    if not range_bounds(&q, &argv[2], &argv[3], r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    range_find(&q, &cell)
    reply_int(r, <int64_t>(q.end - q.first))
    return CALL_DONE


cdef int cmd_zcount(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return count_command(c, argv, r, BY_SCORE)


cdef int cmd_zlexcount(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return count_command(c, argv, r, BY_LEX)


cdef int remove_command(Ctx* c, Arg* argv, Reply* r, int by, const char* event) noexcept nogil:
    cdef bint wrong = False
    cdef Range q
    cdef Entry* e
    cdef Cell cell
    cdef int done
    q.by = by
    q.direction = FORWARDS
    if not range_bounds(&q, &argv[2], &argv[3], r):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    range_find(&q, &cell)
    done = zset_remove_range(c.heap, &cell, q.first, q.end)
    entry_set_cell(e, &cell)
    if done != 0:
        reply_oom(r)
        return CALL_DONE
    if q.end > q.first:
        zset_removed(c, &argv[1], e, &cell, event, q.end - q.first)
    reply_int(r, <int64_t>(q.end - q.first))
    return CALL_DONE


cdef int cmd_zremrangebyrank(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return remove_command(c, argv, r, BY_RANK, b"zremrangebyrank")


cdef int cmd_zremrangebyscore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return remove_command(c, argv, r, BY_SCORE, b"zremrangebyscore")


cdef int cmd_zremrangebylex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return remove_command(c, argv, r, BY_LEX, b"zremrangebylex")


registry_bind("zrange", cmd_zrange)
registry_bind("zrangestore", cmd_zrangestore)
registry_bind("zrevrange", cmd_zrevrange)
registry_bind("zrangebyscore", cmd_zrangebyscore)
registry_bind("zrevrangebyscore", cmd_zrevrangebyscore)
registry_bind("zrangebylex", cmd_zrangebylex)
registry_bind("zrevrangebylex", cmd_zrevrangebylex)
registry_bind("zcount", cmd_zcount)
registry_bind("zlexcount", cmd_zlexcount)
registry_bind("zremrangebyrank", cmd_zremrangebyrank)
registry_bind("zremrangebyscore", cmd_zremrangebyscore)
registry_bind("zremrangebylex", cmd_zremrangebylex)
