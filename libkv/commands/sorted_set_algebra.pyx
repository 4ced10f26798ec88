"""Unions, intersections and differences of sorted sets and sets (https://redis.io/docs/latest/commands/zunion/).

A member of a set counts with the score 1.  Sources of unions and intersections are taken from the smallest to the largest,
which decides how sums are rounded; a sum of both infinities is 0, as in Redis.
"""

from libc.math cimport isnan, signbit
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.string cimport memset

from libkv.commands.sorted_sets cimport zset_stored
from libkv.engine.args cimport arg_double, arg_int, arg_is, arg_range
from libkv.engine.entry cimport Entry, entry_cell, entry_type
from libkv.engine.keyspace cimport lookup_read
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_double, reply_errorf, reply_int, reply_oom, reply_slice, reply_syntax, reply_wrong_type,
)
from libkv.engine.types cimport CALL_DONE, TYPE_SET, TYPE_ZSET, Arg, Ctx, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.packed cimport PACKED_SCRATCH
from libkv.structures.set cimport SetIter, set_contains, set_iter, set_length, set_next
from libkv.structures.siphash cimport siphash
from libkv.structures.zset cimport (
    ZSET_SCRATCH, ZsetIter, zset_add, zset_free, zset_iter, zset_length, zset_new_tree, zset_next, zset_remove,
    zset_score, zset_to_packed,
)

cdef enum:                      # operations
    UNION
    INTER
    DIFF

cdef enum:                      # AGGREGATE
    SUM
    MIN
    MAX

cdef struct Source:
    Cell cell
    int type                    # TYPE_ZSET, TYPE_SET, or -1: the key is missing
    double weight
    uint64_t length

cdef struct Job:
    int op
    Source* sources
    int n
    int aggregate
    bint scores                 # WITHSCORES
    bint counting               # ZINTERCARD: only the number, up to the limit (0: all)
    int64_t limit
    Cell result                 # a tree
    size_t longest              # bytes of its longest member

cdef struct SourceIter:
    Source* source
    SetIter members
    ZsetIter pairs


# ---- sources

cdef void source_iter(SourceIter* it, Source* s) noexcept nogil:
    it.source = s
    if s.type == TYPE_ZSET:
        zset_iter(&it.pairs, &s.cell, 0, False)
    elif s.type == TYPE_SET:
        set_iter(&it.members, &s.cell)


cdef bint source_next(SourceIter* it, Slice* member, double* score, char* scratch) noexcept nogil:
    if it.source.type == TYPE_ZSET:
        return zset_next(&it.pairs, member, score, scratch)
    score[0] = 1
    return it.source.type == TYPE_SET and set_next(&it.members, member, scratch)


cdef bint source_score(Ctx* c, Source* s, Source* walked, Slice* member, uint64_t hash, double* score) noexcept nogil:
    """Looks a member of `walked` up; never in the set that is walked, whose table a look-up might move on."""
    if s.type == TYPE_ZSET:
        return zset_score(c.heap, &s.cell, member.p, member.n, hash, score)
    score[0] = 1
    if s.type == TYPE_SET and walked.type == TYPE_SET and s.cell.ptr == walked.cell.ptr:
        return True
    return s.type == TYPE_SET and set_contains(c.heap, &s.cell, member.p, member.n, hash)


cdef void sources_sort(Source* s, int n) noexcept nogil:
    """From the smallest to the largest, equal ones as given (an insertion sort: there are few)."""
    cdef Source moved
    cdef int i
    cdef int at
    for i in range(1, n):
        moved = s[i]
        at = i
        while at > 0 and s[at - 1].length > moved.length:
            s[at] = s[at - 1]
            at -= 1
        s[at] = moved


cdef bint sources_read(Ctx* c, Job* job, Arg* keys, Reply* r) noexcept nogil:
    cdef Source* s
    cdef Entry* e
    cdef int i
    for i in range(job.n):
        s = &job.sources[i]
        s.type = -1
        s.weight = 1
        s.length = 0
        e = lookup_read(c, &keys[i])
        if e == NULL:
            continue
        s.type = entry_type(e)
        if s.type != TYPE_ZSET and s.type != TYPE_SET:
            reply_wrong_type(r)
            return False
        entry_cell(e, &s.cell)
        s.length = zset_length(&s.cell) if s.type == TYPE_ZSET else set_length(&s.cell)
    return True


# ---- options

cdef bint job_options(Job* job, bint storing, Arg* argv, int argc, int i, Reply* r) noexcept nogil:
    cdef bint weighing = job.op != DIFF and not job.counting
    cdef int k
    while i < argc:
        if weighing and argc - i > job.n and arg_is(&argv[i], b"weights", 7):
            for k in range(job.n):
                if not arg_double(&argv[i + 1 + k], &job.sources[k].weight, r, b"ERR weight value is not a float"):
                    return False
            i += job.n
        elif weighing and argc - i >= 2 and arg_is(&argv[i], b"aggregate", 9):
            i += 1
            if arg_is(&argv[i], b"sum", 3):
                job.aggregate = SUM
            elif arg_is(&argv[i], b"min", 3):
                job.aggregate = MIN
            elif arg_is(&argv[i], b"max", 3):
                job.aggregate = MAX
            else:
                reply_syntax(r)
                return False
        elif not storing and not job.counting and arg_is(&argv[i], b"withscores", 10):
            job.scores = True
        elif job.counting and argc - i >= 2 and arg_is(&argv[i], b"limit", 5):
            i += 1
            if not arg_range(&argv[i], 0, INT64_MAX, &job.limit, r, b"ERR LIMIT can't be negative"):
                return False
        else:
            reply_syntax(r)
            return False
        i += 1
    return True


# ---- the operations

cdef inline double weighed(double score, double weight) noexcept nogil:
    cdef double v = score * weight
    return 0 if isnan(v) else v


cdef inline double joined(double a, double b, int aggregate) noexcept nogil:
    cdef double v
    if aggregate == SUM:
        v = a + b
        return 0 if isnan(v) else v
    if aggregate == MIN:
        return b if b < a else a
    return b if b > a else a


cdef bint take(Ctx* c, Job* job, Slice* member, uint64_t hash, double score) noexcept nogil:
    """Puts a member into the result, or gives it this score; False: no memory."""
    if member.n > job.longest:
        job.longest = member.n
    return zset_add(c.heap, &job.result, &score, member.p, member.n, hash, 0, 0, 0) >= 0


cdef bint unite(Ctx* c, Job* job) noexcept nogil:
    cdef SourceIter it
    cdef Slice member
    cdef double score
    cdef double now
    cdef uint64_t hash
    cdef char scratch[PACKED_SCRATCH]
    cdef int i
    for i in range(job.n):
        source_iter(&it, &job.sources[i])
        while source_next(&it, &member, &score, scratch):
            score = weighed(score, job.sources[i].weight)
            hash = siphash(c.heap.seed, member.p, member.n)
            if i > 0 and zset_score(c.heap, &job.result, member.p, member.n, hash, &now):
                score = joined(now, score, job.aggregate)
                if score == 0 and now == 0 and signbit(score) != signbit(now):       # which zset_add takes for the same
                    zset_remove(c.heap, &job.result, member.p, member.n, hash)
            if not take(c, job, &member, hash, score):
                return False
    return True


cdef bint intersect(Ctx* c, Job* job, int64_t* count) noexcept nogil:
    cdef SourceIter it
    cdef Slice member
    cdef double score
    cdef double other
    cdef uint64_t hash
    cdef char scratch[PACKED_SCRATCH]
    cdef bint everywhere
    cdef int i
    source_iter(&it, &job.sources[0])
    while source_next(&it, &member, &score, scratch):
        score = weighed(score, job.sources[0].weight)
        hash = siphash(c.heap.seed, member.p, member.n)
        everywhere = True
        for i in range(1, job.n):
            if not source_score(c, &job.sources[i], &job.sources[0], &member, hash, &other):
                everywhere = False
                break
            score = joined(score, other * job.sources[i].weight, job.aggregate)
        if not everywhere:
            continue
        if not job.counting:
            if not take(c, job, &member, hash, score):
                return False
            continue
        count[0] += 1
        if count[0] == job.limit:
            break
    return True


cdef bint subtract(Ctx* c, Job* job) noexcept nogil:
    cdef SourceIter it
    cdef Slice member
    cdef double score
    cdef double other
    cdef uint64_t hash
    cdef char scratch[PACKED_SCRATCH]
    cdef bint elsewhere
    cdef int i
    source_iter(&it, &job.sources[0])
    while source_next(&it, &member, &score, scratch):
        hash = siphash(c.heap.seed, member.p, member.n)
        elsewhere = False
        for i in range(1, job.n):
            if source_score(c, &job.sources[i], &job.sources[0], &member, hash, &other):
                elsewhere = True
                break
        if not elsewhere and not take(c, job, &member, hash, score):
            return False
    return True


# ---- the commands

cdef void reply_result(Job* job, Reply* r) noexcept nogil:
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef int64_t n = <int64_t>zset_length(&job.result)
    reply_array(r, n * 2 if job.scores and r.proto == 2 else n)
    zset_iter(&it, &job.result, 0, False)
    while zset_next(&it, &member, &score, scratch):
        if job.scores and r.proto > 2:
            reply_array(r, 2)
        reply_slice(r, &member)
        if job.scores:
            reply_double(r, score)


cdef void job_run(Ctx* c, Job* job, Arg* to, Reply* r) noexcept nogil:
    """Everything behind the arguments; `to` is the key to store at, or NULL."""
    cdef const char* event = b"zunionstore" if job.op == UNION else b"zinterstore" if job.op == INTER else b"zdiffstore"
    cdef int64_t count = 0
    cdef bint done
    if job.op != DIFF:
        sources_sort(job.sources, job.n)
    if not job.counting and zset_new_tree(c.heap, &job.result, 0) != 0:
        reply_oom(r)
        return
    if job.op == UNION:
        done = unite(c, job)
    elif job.op == INTER:
        done = intersect(c, job, &count)
    else:
        done = subtract(c, job)
    if job.counting:
        reply_int(r, count)
        return
    if done and to != NULL and <int64_t>zset_length(&job.result) <= c.kv.settings.zset_max_listpack_entries and (
            <int64_t>job.longest <= c.kv.settings.zset_max_listpack_value):
        done = zset_to_packed(c.heap, &job.result) == 0
    if done and to != NULL:
        zset_stored(c, to, &job.result, event, r)
        return
    if done:
        reply_result(job, r)
    else:
        reply_oom(r)
    zset_free(c.heap, &job.result)


cdef int job_command(Ctx* c, Arg* argv, int argc, Reply* r, int op, int number, bint counting) noexcept nogil:
    """argv[number] is the number of keys; with number = 2 the result goes to argv[1]."""
    cdef Job job
    cdef int64_t n
    memset(&job, 0, sizeof(Job))
    job.op = op
    job.counting = counting
    if not arg_int(&argv[number], &n, r):
        return CALL_DONE
    if n < 1:
        reply_errorf(r, b"ERR at least 1 input key is needed for '%.*s' command", (<Command*>c.cmd).full,
                     (<Command*>c.cmd).full_n)
        return CALL_DONE
    if n > argc - (number + 1):
        reply_syntax(r)
        return CALL_DONE
    job.n = <int>n
    job.sources = <Source*>heap_alloc(c.heap, job.n * sizeof(Source))
    if job.sources == NULL:
        reply_oom(r)
        return CALL_DONE
    if sources_read(c, &job, &argv[number + 1], r) and job_options(&job, number == 2, argv, argc, number + 1 + job.n, r):
        job_run(c, &job, &argv[1] if number == 2 else NULL, r)
    heap_free(c.heap, job.sources, job.n * sizeof(Source))
    return CALL_DONE


cdef int cmd_zunion(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, UNION, 1, False)


cdef int cmd_zinter(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, INTER, 1, False)


cdef int cmd_zdiff(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, DIFF, 1, False)


cdef int cmd_zintercard(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, INTER, 1, True)


cdef int cmd_zunionstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, UNION, 2, False)


cdef int cmd_zinterstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, INTER, 2, False)


cdef int cmd_zdiffstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return job_command(c, argv, argc, r, DIFF, 2, False)


registry_bind("zunion", cmd_zunion)
registry_bind("zinter", cmd_zinter)
registry_bind("zdiff", cmd_zdiff)
registry_bind("zintercard", cmd_zintercard)
registry_bind("zunionstore", cmd_zunionstore)
registry_bind("zinterstore", cmd_zinterstore)
registry_bind("zdiffstore", cmd_zdiffstore)
