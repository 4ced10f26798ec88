"""Intersections, unions and differences, and SMEMBERS, which is an intersection of one set
(https://redis.io/docs/latest/commands/sinter/).

What a command builds begins as a set of integers and is converted as it grows, in the steps that Redis takes, so that a
stored result has the encoding that Redis gives it.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport qsort

from libkv.commands.sets cimport set_max_ints
from libkv.engine.args cimport arg_is, arg_range
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport changed, keyspace_delete, keyspace_put, lookup_read_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_bulk, reply_error, reply_int, reply_later, reply_later_set, reply_oom, reply_set, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_SET, TYPE_SET, Arg, Ctx, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport SET_TABLE, Cell, Slice
from libkv.structures.packed cimport PACKED_SCRATCH
from libkv.structures.set cimport (
    SetIter, set_add, set_contains, set_free, set_iter, set_length, set_new_ints, set_next, set_remove,
)
from libkv.structures.siphash cimport siphash

cdef enum:
    OPERANDS_INLINE = 16


cdef struct Operands:           # the sets that a command names
    Cell* cells                 # ptr NULL: no such key
    int n
    int missing
    Cell space[OPERANDS_INLINE]


# ---- the operands

cdef bint operands_read(Ctx* c, Operands* o, Arg* keys, int n, Reply* r) noexcept nogil:
    """Looks all keys up; False: one of another type, or no memory, which is replied.  operands_free afterwards."""
    cdef bint wrong = False
    cdef Entry* e
    cdef int i
    o.n = n
    o.missing = 0
    o.cells = o.space
    if n > OPERANDS_INLINE:
        o.cells = <Cell*>heap_alloc(c.heap, n * sizeof(Cell))
        if o.cells == NULL:
            reply_oom(r)
            return False
    for i in range(n):
        e = lookup_read_type(c, &keys[i], TYPE_SET, r, &wrong)
        if wrong:
            operands_free(c, o)
            return False
        if e == NULL:
            o.cells[i].ptr = NULL
            o.missing += 1
        else:
            entry_cell(e, &o.cells[i])
    return True


cdef void operands_free(Ctx* c, Operands* o) noexcept nogil:
    if o.cells != o.space:
        heap_free(c.heap, o.cells, o.n * sizeof(Cell))


cdef uint64_t operand_length(const Cell* cell) noexcept nogil:
    return set_length(<Cell*>cell) if cell.ptr != NULL else 0


cdef int operands_smaller_first(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = operand_length(<const Cell*>a)
    cdef uint64_t y = operand_length(<const Cell*>b)
    return (x > y) - (x < y)


cdef int operands_larger_first(const void* a, const void* b) noexcept nogil:
    return operands_smaller_first(b, a)


cdef inline uint64_t operand_hash(Ctx* c, Slice* s, bint needed) noexcept nogil:
    return siphash(c.heap.seed, s.p, s.n) if needed else 0


cdef bint operands_any_table(Operands* o) noexcept nogil:
    cdef int i
    for i in range(o.n):
        if o.cells[i].ptr != NULL and o.cells[i].layout == SET_TABLE:
            return True
    return False


# ---- the result

cdef void algebra_store(Ctx* c, Arg* target, Cell* result, const char* event, Reply* r) noexcept nogil:
    """Makes the result, whose owner it becomes, the target's value; an empty one deletes the target."""
    cdef int64_t length = <int64_t>set_length(result)
    if length == 0:
        set_free(c.heap, result)
        algebra_forget(c, target)
        reply_int(r, 0)
    elif keyspace_put(c, c.db, target, TYPE_SET, result) == NULL:
        set_free(c.heap, result)
        reply_oom(r)
    else:
        changed(c, c.db, target, EVENT_SET, event)
        reply_int(r, length)


cdef void algebra_forget(Ctx* c, Arg* target) noexcept nogil:
    if keyspace_delete(c, c.db, target):
        changed(c, c.db, target, EVENT_GENERIC, b"del")


cdef void algebra_reply(Reply* r, Cell* cell) noexcept nogil:
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    reply_set(r, <int64_t>set_length(cell))
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        reply_bulk(r, s.p, s.n)


# ---- intersections

cdef bint operands_contain(Ctx* c, Operands* o, Slice* s, uint64_t hash) noexcept nogil:
    """Whether a member of the first set is in all others.  A key may be named twice: the set that is being walked is
    not looked up in."""
    cdef int i
    for i in range(1, o.n):
        if o.cells[i].ptr != o.cells[0].ptr and not set_contains(c.heap, &o.cells[i], s.p, s.n, hash):
            return False
    return True


cdef int64_t algebra_intersect(Ctx* c, Operands* o, Cell* into, Reply* r, uint64_t limit) noexcept nogil:
    """Walks the smallest set: each member that is in all is added to `into`, or replied (into NULL, r not), or only
    counted, up to `limit` of them (0: all).  How many, or -1 without memory."""
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef int64_t found = 0
    cdef uint64_t hash
    cdef bint hashed
    qsort(o.cells, o.n, sizeof(Cell), operands_smaller_first)
    hashed = o.n > 1 and o.cells[o.n - 1].layout == SET_TABLE
    set_iter(&it, &o.cells[0])
    while set_next(&it, &s, scratch):
        hash = operand_hash(c, &s, hashed)
        if not operands_contain(c, o, &s, hash):
            continue
        found += 1
        if into != NULL:
            if set_add(c.heap, into, s.p, s.n, hash, set_max_ints(c)) < 0:
                return -1
        elif r != NULL:
            reply_bulk(r, s.p, s.n)
        elif limit and <uint64_t>found >= limit:
            break
    return found


cdef int cmd_sinter(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Operands o
    cdef size_t mark
    if not operands_read(c, &o, &argv[1], argc - 1, r):
        return CALL_DONE
    if o.missing:
        reply_set(r, 0)
    elif o.n == 1:
        algebra_reply(r, &o.cells[0])
    else:
        mark = reply_later(r)
        reply_later_set(r, mark, algebra_intersect(c, &o, NULL, r, 0))
    operands_free(c, &o)
    return CALL_DONE


cdef int cmd_sintercard(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Operands o
    cdef int64_t numkeys = 0
    cdef int64_t limit = 0
    cdef int i
    if not arg_range(&argv[1], 1, INT64_MAX, &numkeys, r, b"ERR numkeys should be greater than 0"):
        return CALL_DONE
    if numkeys > argc - 2:
        reply_error(r, b"ERR Number of keys can't be greater than number of args")
        return CALL_DONE
    i = <int>numkeys + 2
    while i < argc:
        if i + 1 >= argc or not arg_is(&argv[i], b"limit", 5):
            reply_syntax(r)
            return CALL_DONE
        if not arg_range(&argv[i + 1], 0, INT64_MAX, &limit, r, b"ERR LIMIT can't be negative"):
            return CALL_DONE
        i += 2
    if not operands_read(c, &o, &argv[2], <int>numkeys, r):
        return CALL_DONE
    reply_int(r, 0 if o.missing else algebra_intersect(c, &o, NULL, NULL, <uint64_t>limit))
    operands_free(c, &o)
    return CALL_DONE


cdef int cmd_sinterstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Operands o
    cdef Cell result
    if not operands_read(c, &o, &argv[2], argc - 2, r):
        return CALL_DONE
    if o.missing:
        algebra_forget(c, &argv[1])
        reply_int(r, 0)
    elif set_new_ints(c.heap, &result) != 0:
        reply_oom(r)
    elif algebra_intersect(c, &o, &result, NULL, 0) < 0:
        set_free(c.heap, &result)
        reply_oom(r)
    else:
        algebra_store(c, &argv[1], &result, b"sinterstore", r)
    operands_free(c, &o)
    return CALL_DONE


# ---- unions and differences

cdef int algebra_add_all(Ctx* c, Cell* from_, Cell* into) noexcept nogil:
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    set_iter(&it, from_)
    while set_next(&it, &s, scratch):
        if set_add(c.heap, into, s.p, s.n, 0, set_max_ints(c)) < 0:
            return -1
    return 0


cdef int algebra_unite(Ctx* c, Operands* o, Cell* into) noexcept nogil:
    cdef int i
    for i in range(o.n):
        if o.cells[i].ptr != NULL and algebra_add_all(c, &o.cells[i], into) != 0:
            return -1
    return 0


cdef int algebra_subtract_by_asking(Ctx* c, Operands* o, Cell* into) noexcept nogil:
    """Each member of the first set is looked for in the others, the largest first."""
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef uint64_t hash
    cdef bint hashed
    cdef int i
    qsort(&o.cells[1], o.n - 1, sizeof(Cell), operands_larger_first)
    hashed = operands_any_table(o)
    set_iter(&it, &o.cells[0])
    while set_next(&it, &s, scratch):
        hash = operand_hash(c, &s, hashed)
        i = 1
        while i < o.n and (o.cells[i].ptr == NULL or not set_contains(c.heap, &o.cells[i], s.p, s.n, hash)):
            i += 1
        if i == o.n and set_add(c.heap, into, s.p, s.n, hash, set_max_ints(c)) < 0:
            return -1
    return 0


cdef int algebra_subtract_by_removing(Ctx* c, Operands* o, Cell* into) noexcept nogil:
    """The members of the others are taken out of a copy of the first set."""
    cdef SetIter it
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef int i
    if algebra_add_all(c, &o.cells[0], into) != 0:
        return -1
    for i in range(1, o.n):
        if o.cells[i].ptr == NULL:
            continue
        set_iter(&it, &o.cells[i])
        while set_length(into) and set_next(&it, &s, scratch):
            if set_remove(c.heap, into, s.p, s.n, 0) < 0:
                return -1
    return 0


cdef int algebra_subtract(Ctx* c, Operands* o, Cell* into) noexcept nogil:
    """The first set without the members of the others, in the one of two ways that Redis would take: it weighs the
    look-ups (halved) against the removals."""
    cdef uint64_t asking = 0
    cdef uint64_t removing = 0
    cdef int i
    if o.cells[0].ptr == NULL:
        return 0
    for i in range(o.n):
        if o.cells[i].ptr == NULL:
            continue
        if i and o.cells[i].ptr == o.cells[0].ptr:
            return 0                    # minus itself
        asking += set_length(&o.cells[0])
        removing += set_length(&o.cells[i])
    if asking // 2 <= removing:
        return algebra_subtract_by_asking(c, o, into)
    return algebra_subtract_by_removing(c, o, into)


cdef int algebra_combine(Ctx* c, Arg* target, Arg* keys, int n, bint difference, Reply* r) noexcept nogil:
    """A union or a difference, stored in target or (NULL) replied."""
    cdef Operands o
    cdef Cell result
    cdef int failed
    if not operands_read(c, &o, keys, n, r):
        return CALL_DONE
    if set_new_ints(c.heap, &result) != 0:
        reply_oom(r)
        operands_free(c, &o)
        return CALL_DONE
    failed = algebra_subtract(c, &o, &result) if difference else algebra_unite(c, &o, &result)
    if failed:
        set_free(c.heap, &result)
        reply_oom(r)
    elif target != NULL:
        algebra_store(c, target, &result, b"sdiffstore" if difference else b"sunionstore", r)
    else:
        algebra_reply(r, &result)
        set_free(c.heap, &result)
    operands_free(c, &o)
    return CALL_DONE


cdef int cmd_sunion(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return algebra_combine(c, NULL, &argv[1], argc - 1, False, r)


cdef int cmd_sunionstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return algebra_combine(c, &argv[1], &argv[2], argc - 2, False, r)


cdef int cmd_sdiff(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return algebra_combine(c, NULL, &argv[1], argc - 1, True, r)


cdef int cmd_sdiffstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return algebra_combine(c, &argv[1], &argv[2], argc - 2, True, r)


registry_bind("sinter", cmd_sinter)
registry_bind("smembers", cmd_sinter)
registry_bind("sintercard", cmd_sintercard)
registry_bind("sinterstore", cmd_sinterstore)
registry_bind("sunion", cmd_sunion)
registry_bind("sunionstore", cmd_sunionstore)
registry_bind("sdiff", cmd_sdiff)
registry_bind("sdiffstore", cmd_sdiffstore)
