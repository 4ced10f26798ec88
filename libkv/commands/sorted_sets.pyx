"""Commands on one member or a few of a sorted set (https://redis.io/docs/latest/commands/?group=sorted-set).

Ranges are commands/sorted_set_ranges, pops and draws commands/sorted_set_pops, unions and the like
commands/sorted_set_algebra.  A command that changes several members and runs out of memory between two of them keeps what
it has done, tells that as its effect, and replies the error.
"""

from libkv.commands.collections cimport (
    MEMBERS_AHEAD, collection_length, member_hash, members_prefetch, propagate_so_far,
)
from libkv.commands.scan_page cimport ScanPage, scan_page_close, scan_page_full, scan_page_open, scan_page_takes
from libkv.engine.args cimport arg_double, arg_is
from libkv.engine.entry cimport entry_cell, entry_set_cell
from libkv.engine.keyspace cimport (
    changed, changed_n, keyspace_add, keyspace_delete, keyspace_put, lookup_read_type, lookup_write_type,
)
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_double, reply_error, reply_int, reply_nil, reply_oom, reply_slice,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_ZSET, TYPE_ZSET
from libkv.structures.alloc cimport LIKELY
from libkv.structures.cell cimport ZSET_TREE
from libkv.structures.number cimport NUMBER_DOUBLE, number_parse_bound, number_print_double
from libkv.structures.table cimport Table
from libkv.structures.zset cimport (
    ZSET_ADDED, ZSET_GT, ZSET_INCR, ZSET_LT, ZSET_NAN, ZSET_NX, ZSET_REFUSED, ZSET_UPDATED, ZSET_XX, Zset,
    zset_free, zset_length, zset_new, zset_rank, zset_remove, zset_scan, zset_score,
)
from libkv.structures.zset_flat cimport zset_flat_text
from libkv.structures.zset_ranges cimport LEX_CLOSED, LEX_HIGHEST, LEX_LOWEST, LEX_OPEN

cdef enum:
    ADD_CH = 32                 # ZADD's CH, beside the structure's flags


# ---- shared

cdef inline Table* table_of(Cell* cell) noexcept nogil:
    return &(<Zset*>cell.ptr).members if cell.layout == ZSET_TREE else NULL


cdef void zset_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil:
    entry_set_cell(e, cell)
    changed_n(c, c.db, key, EVENT_ZSET, event, n)
    if zset_length(cell) == 0:
        keyspace_delete(c, c.db, key)
        changed_n(c, c.db, key, EVENT_GENERIC, b"del", 0)


cdef bint zset_stored(Ctx* c, Arg* key, Cell* cell, const char* event, Reply* r) noexcept nogil:
    cdef int64_t n = <int64_t>zset_length(cell)
    if n == 0:
        zset_free(c.heap, cell)
        if keyspace_delete(c, c.db, key):
            changed(c, c.db, key, EVENT_GENERIC, b"del")
        reply_int(r, 0)
        return True
    if keyspace_put(c, c.db, key, TYPE_ZSET, cell) == NULL:
        zset_free(c.heap, cell)
        reply_oom(r)
        return False
    changed(c, c.db, key, EVENT_ZSET, event)
    reply_int(r, n)
    return True


cdef bint score_bound(Arg* a, double* score, bint* open_) noexcept nogil:
    open_[0] = a.n > 0 and a.p[0] == b"("
    return number_parse_bound(a.p + open_[0], a.n - open_[0], score)


cdef bint arg_score_range(Arg* low, Arg* high, ScoreRange* range, Reply* r) noexcept nogil:
    if score_bound(low, &range.low, &range.low_open) and score_bound(high, &range.high, &range.high_open):
        return True
    reply_error(r, b"ERR min or max is not a float")
    return False


cdef bint lex_bound(Arg* a, LexBound* b) noexcept nogil:
    if a.n == 0:
        return False
    b.p = a.p + 1
    b.n = a.n - 1
    if a.p[0] == b"[":
        b.kind = LEX_CLOSED
    elif a.p[0] == b"(":
        b.kind = LEX_OPEN
    elif a.n > 1 and a.p[1] != 0:
        return False
    elif a.p[0] == b"-":
        b.kind = LEX_LOWEST
    elif a.p[0] == b"+":
        b.kind = LEX_HIGHEST
    else:
        return False
    return True


cdef bint arg_lex_range(Arg* low, Arg* high, LexBound* a, LexBound* b, Reply* r) noexcept nogil:
    if lex_bound(low, a) and lex_bound(high, b):
        return True
    reply_error(r, b"ERR min or max not valid string range item")
    return False


# ---- ZADD and ZINCRBY

cdef int add_flags(Arg* argv, int argc, int* first) noexcept nogil:
    """Reads ZADD's options; first[0] is then the first score."""
    cdef int flags = 0
    cdef Arg* a
    while first[0] < argc:
        a = &argv[first[0]]
        if a.n != 2 and a.n != 4:
            break
        if arg_is(a, b"nx", 2):
            flags |= ZSET_NX
        elif arg_is(a, b"xx", 2):
            flags |= ZSET_XX
        elif arg_is(a, b"ch", 2):
            flags |= ADD_CH
        elif arg_is(a, b"gt", 2):
            flags |= ZSET_GT
        elif arg_is(a, b"lt", 2):
            flags |= ZSET_LT
        elif arg_is(a, b"incr", 4):
            flags |= ZSET_INCR
        else:
            break
        first[0] += 1
    return flags


cdef const char* add_refusal(int flags, int words) noexcept nogil:
    """What is wrong with ZADD's options and the `words` scores and members, or NULL."""
    if words <= 0 or words % 2:
        return b"ERR syntax error"
    if flags & ZSET_NX and flags & ZSET_XX:
        return b"ERR XX and NX options at the same time are not compatible"
    if (flags & ZSET_NX and flags & (ZSET_GT | ZSET_LT)) or (flags & ZSET_GT and flags & ZSET_LT):
        return b"ERR GT, LT, and/or NX options at the same time are not compatible"
    if flags & ZSET_INCR and words > 2:
        return b"ERR INCR option supports a single increment-element pair"
    return NULL


cdef int add(Ctx* c, Arg* argv, int argc, Reply* r, int flags) noexcept nogil:
    cdef bint wrong = False
    cdef int first = 2
    cdef const char* refusal
    cdef double score = 0
    cdef Entry* e
    cdef Cell cell
    cdef int done = ZSET_REFUSED
    cdef int added = 0
    cdef int updated = 0
    cdef int i
    flags |= add_flags(argv, argc, &first)
    refusal = add_refusal(flags, argc - first)
    if refusal != NULL:
        reply_error(r, refusal)
        return CALL_DONE
    for i in range(argc - 2, first - 2, -2):        # all scores before the first change; the first one stays in `score`
        if not arg_double(&argv[i], &score, r, NULL):
            return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if LIKELY(e != NULL):
        entry_cell(e, &cell)
    elif flags & ZSET_XX:
        if flags & ZSET_INCR:
            reply_nil(r)
        else:
            reply_int(r, 0)
        return CALL_DONE
    elif zset_new(c.heap, &cell) != 0:
        reply_oom(r)
        return CALL_DONE
    i = first
    while i < argc:
        if argc - first > 2:
            if (i - first) % (2 * MEMBERS_AHEAD) == 0:
                members_prefetch(c, table_of(&cell), &argv[i + 1], argc - i - 1, 2)
            if i > first:
                arg_double(&argv[i], &score, r, NULL)
        done = zset_put(c, &cell, &score, argv[i + 1].p, argv[i + 1].n, member_hash(&argv[i + 1]), flags & ~ADD_CH)
        if done < 0 or done == ZSET_NAN:
            break
        added += done == ZSET_ADDED
        updated += done == ZSET_UPDATED
        i += 2
    if e != NULL:
        entry_set_cell(e, &cell)
    elif added == 0 or keyspace_add(c, c.db, &argv[1], TYPE_ZSET, &cell) == NULL:
        zset_free(c.heap, &cell)
        added = 0
        done = -1
    if added or updated:
        changed_n(c, c.db, &argv[1], EVENT_ZSET, b"zincr" if flags & ZSET_INCR else b"zadd", added + updated)
        if done < 0:
            propagate_so_far(c, argv, i)
    if done < 0:
        reply_oom(r)
    elif done == ZSET_NAN:
        reply_error(r, b"ERR resulting score is not a number (NaN)")
    elif not flags & ZSET_INCR:
        reply_int(r, added + updated if flags & ADD_CH else added)
    elif done == ZSET_REFUSED:
        reply_nil(r)
    else:
        reply_double(r, score)
    return CALL_DONE


cdef int cmd_zadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return add(c, argv, argc, r, 0)


cdef int cmd_zincrby(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return add(c, argv, argc, r, ZSET_INCR)


cdef int cmd_zrem(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    cdef Cell cell
    cdef int done = 0
    cdef int64_t removed = 0
    cdef int i
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    for i in range(2, argc):
        if (i - 2) % MEMBERS_AHEAD == 0:
            members_prefetch(c, table_of(&cell), &argv[i], argc - i, 1)
        done = zset_remove(c.heap, &cell, argv[i].p, argv[i].n, member_hash(&argv[i]))
        if done < 0:
            break
        removed += done
        if done and zset_length(&cell) == 0:
            break
    if removed:
        zset_removed(c, &argv[1], e, &cell, b"zrem", removed)
        if done < 0:
            propagate_so_far(c, argv, i)
    if done < 0:
        reply_oom(r)
    else:
        reply_int(r, removed)
    return CALL_DONE


# ---- asking

cdef int cmd_zcard(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return collection_length(c, argv, r, TYPE_ZSET, zset_length)


cdef int cmd_zscore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    cdef Cell cell
    cdef double score
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if zset_score(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &score):
            reply_double(r, score)
            return CALL_DONE
    reply_nil(r)
    return CALL_DONE


cdef int cmd_zmscore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    cdef Cell cell
    cdef double score
    cdef int i
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
    reply_array(r, argc - 2)
    for i in range(2, argc):
        if e == NULL:
            reply_nil(r)
            continue
        if (i - 2) % MEMBERS_AHEAD == 0:
            members_prefetch(c, table_of(&cell), &argv[i], argc - i, 1)
        if zset_score(c.heap, &cell, argv[i].p, argv[i].n, member_hash(&argv[i]), &score):
            reply_double(r, score)
        else:
            reply_nil(r)
    return CALL_DONE


cdef int rank_of(Ctx* c, Arg* argv, Reply* r, bint backwards) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    cdef Cell cell
    cdef uint64_t rank
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if zset_rank(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), backwards, &rank):
            reply_int(r, <int64_t>rank)
            return CALL_DONE
    reply_nil(r)
    return CALL_DONE


cdef int cmd_zrank(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return rank_of(c, argv, r, False)


cdef int cmd_zrevrank(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return rank_of(c, argv, r, True)


cdef void scan_tree_pair(Slice* member, double score, void* arg) noexcept nogil:
    cdef ScanPage* page = <ScanPage*>arg
    cdef char digits[NUMBER_DOUBLE]
    if scan_page_takes(page, member.p, member.n):
        reply_slice(page.r, member)
        reply_bulk(page.r, digits, number_print_double(digits, score))


cdef void scan_flat_pair(Slice* member, double score, void* arg) noexcept nogil:
    """The score as it is kept, as Redis shows it: 1e17 is 100000000000000000."""
    cdef ScanPage* page = <ScanPage*>arg
    cdef char digits[NUMBER_DOUBLE]
    if scan_page_takes(page, member.p, member.n):
        reply_slice(page.r, member)
        reply_bulk(page.r, digits, zset_flat_text(digits, score))


cdef int cmd_zscan(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ScanPage page
    cdef Cell cell
    cdef uint64_t cursor
    if not scan_page_open(c, argv, argc, TYPE_ZSET, &page, &cell, r):
        return CALL_DONE
    cursor = page.options.cursor
    while True:
        cursor = zset_scan(&cell, cursor, scan_tree_pair if cell.layout == ZSET_TREE else scan_flat_pair, &page)
        if scan_page_full(&page, cursor):
            break
    scan_page_close(&page, cursor)
    return CALL_DONE


registry_bind("zadd", cmd_zadd)
registry_bind("zincrby", cmd_zincrby)
registry_bind("zrem", cmd_zrem)
registry_bind("zcard", cmd_zcard)
registry_bind("zscore", cmd_zscore)
registry_bind("zmscore", cmd_zmscore)
registry_bind("zrank", cmd_zrank)
registry_bind("zrevrank", cmd_zrevrank)
registry_bind("zscan", cmd_zscan)
