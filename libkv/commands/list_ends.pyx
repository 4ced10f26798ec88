"""Commands on the ends of lists: pushing, popping, moving (https://redis.io/docs/latest/commands/?group=list).  Those that
read and change the middle are commands/lists."""

from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy

from libkv.engine.args cimport arg_is, arg_range
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int, propagating
from libkv.engine.entry cimport entry_cell, entry_set_cell
from libkv.engine.keyspace cimport changed_n, keyspace_add, keyspace_delete, lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_int, reply_nil, reply_nil_array, reply_oom, reply_syntax, reply_wrong_arity,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_LIST, TYPE_LIST
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport LIST_PACKED
from libkv.structures.list cimport (
    ListIter, list_copy, list_drop, list_end, list_free, list_length, list_new, list_push, list_seek, list_step,
)
from libkv.structures.packed cimport PACKED_SCRATCH

cdef enum:
    LIST_MOVE_INLINE = 256           # bytes of a moved element that are kept on the stack


# ---- shared

cdef void reply_elements(Reply* r, Cell* cell, int64_t start, int64_t count, bint backwards) noexcept nogil:
    """An array of `count` elements from index `start` on."""
    cdef ListIter it
    reply_array(r, count)
    list_seek(&it, cell, start, backwards)
    while count:
        reply_element(r, it.at)
        list_step(&it)
        count -= 1


cdef void list_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil:
    """Tells that n elements went, and deletes the key with the last one."""
    entry_set_cell(e, cell)
    changed_n(c, c.db, key, EVENT_LIST, event, n)
    if list_length(cell) == 0:
        keyspace_delete(c, c.db, key)
        changed_n(c, c.db, key, EVENT_GENERIC, b"del", 0)


cdef bint arg_side(Arg* a, bint* front, Reply* r) noexcept nogil:
    """LEFT or RIGHT."""
    if arg_is(a, b"left", 4):
        front[0] = True
    elif arg_is(a, b"right", 5):
        front[0] = False
    else:
        reply_syntax(r)
        return False
    return True


# ---- pushing

cdef int list_several_begin(Ctx* c, Cell* cell, Cell* original) noexcept nogil:
    """Before several changes of which all or none must happen: a flat buffer can't be brought back without memory, so
    they are made to a copy.  0, or -1 with nothing changed."""
    original[0] = cell[0]
    if cell.layout == LIST_PACKED and list_copy(c.heap, original, cell) != 0:
        cell[0] = original[0]
        return -1
    return 0


cdef void list_several_end(Ctx* c, Cell* cell, Cell* original, bint done) noexcept nogil:
    """Keeps the copy, or the original."""
    if original.layout != LIST_PACKED:
        return
    if done:
        list_free(c.heap, original)
    else:
        list_free(c.heap, cell)
        cell[0] = original[0]


cdef int list_push_all(Ctx* c, Cell* cell, Arg* argv, int argc, bint front) noexcept nogil:
    """Pushes all of the values, or none; 0 or -1."""
    cdef Cell original
    cdef int fill = list_fill(c)
    cdef int i
    if argc == 1:
        return list_push(c.heap, cell, argv[0].p, argv[0].n, front, fill)
    if list_several_begin(c, cell, &original) != 0:
        return -1
    for i in range(argc):
        if list_push(c.heap, cell, argv[i].p, argv[i].n, front, fill) != 0:
            if original.layout != LIST_PACKED:
                list_drop(c.heap, cell, front, i)
            list_several_end(c, cell, &original, False)
            return -1
    list_several_end(c, cell, &original, True)
    return 0


cdef int list_push_command(Ctx* c, Arg* argv, int argc, Reply* r, bint front, bint must_exist) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    cdef Cell cell
    cdef int failed
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
    elif must_exist:
        reply_int(r, 0)
        return CALL_DONE
    elif list_new(c.heap, &cell) != 0:
        reply_oom(r)
        return CALL_DONE
    failed = list_push_all(c, &cell, &argv[2], argc - 2, front)
    if e != NULL:
        entry_set_cell(e, &cell)
    elif failed or keyspace_add(c, c.db, &argv[1], TYPE_LIST, &cell) == NULL:
        failed = -1
        list_free(c.heap, &cell)
    if failed:
        reply_oom(r)
        return CALL_DONE
    changed_n(c, c.db, &argv[1], EVENT_LIST, b"lpush" if front else b"rpush", argc - 2)
    reply_int(r, <int64_t>list_length(&cell))
    return CALL_DONE


cdef int cmd_lpush(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_push_command(c, argv, argc, r, True, False)


cdef int cmd_rpush(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_push_command(c, argv, argc, r, False, False)


cdef int cmd_lpushx(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_push_command(c, argv, argc, r, True, True)


cdef int cmd_rpushx(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_push_command(c, argv, argc, r, False, True)


# ---- popping

cdef bint list_pop_elements(Ctx* c, Arg* key, Entry* e, Cell* cell, bint front, int64_t count, Reply* r,
                            size_t mark) noexcept nogil:
    """Replies an array of the first (last) `count` elements and removes them; False without memory: the reply is cut
    back to `mark` and is the error."""
    reply_elements(r, cell, 0 if front else -1, count, not front)
    if list_drop(c.heap, cell, front, count) != 0:
        r.out.n = mark
        reply_oom(r)
        return False
    list_removed(c, key, e, cell, b"lpop" if front else b"rpop", count)
    return True


cdef int list_pop_command(Ctx* c, Arg* argv, int argc, Reply* r, bint front) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t count = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef size_t mark = r.out.n
    if argc > 3:
        reply_wrong_arity(r, c.cmd)
        return CALL_DONE
    if argc == 3 and not arg_range(&argv[2], 0, INT64_MAX, &count, r, b"ERR value is out of range, must be positive"):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        if argc == 3:
            reply_nil_array(r)
        else:
            reply_nil(r)
        return CALL_DONE
    entry_cell(e, &cell)
    if argc == 3:
        if count == 0:
            reply_array(r, 0)
            return CALL_DONE
        if <uint64_t>count > list_length(&cell):
            count = <int64_t>list_length(&cell)
        list_pop_elements(c, &argv[1], e, &cell, front, count, r, mark)
        return CALL_DONE
    s = list_end(&cell, front, scratch)
    reply_bulk(r, s.p, s.n)
    if list_drop(c.heap, &cell, front, 1) != 0:
        r.out.n = mark
        reply_oom(r)
        return CALL_DONE
    list_removed(c, &argv[1], e, &cell, b"lpop" if front else b"rpop", 1)
    return CALL_DONE


cdef int cmd_lpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_pop_command(c, argv, argc, r, True)


cdef int cmd_rpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_pop_command(c, argv, argc, r, False)


cdef bint list_mpop_options(Arg* argv, int argc, int at, ListPop* o, Reply* r) noexcept nogil:
    """The number of keys at argv[at], the keys, LEFT or RIGHT, COUNT; False: the error is replied."""
    cdef int64_t keys = 0
    cdef int i
    o.count = -1
    if not arg_range(&argv[at], 1, INT64_MAX, &keys, r, b"ERR numkeys should be greater than 0"):
        return False
    if keys >= argc - at - 1:
        reply_syntax(r)
        return False
    o.keys = &argv[at + 1]
    o.n_keys = <int>keys
    i = at + 1 + o.n_keys
    if not arg_side(&argv[i], &o.front, r):
        return False
    i += 1
    while i < argc:
        if o.count != -1 or i + 1 >= argc or not arg_is(&argv[i], b"count", 5):
            reply_syntax(r)
            return False
        if not arg_range(&argv[i + 1], 1, INT64_MAX, &o.count, r, b"ERR count should be greater than 0"):
            return False
        i += 2
    if o.count == -1:
        o.count = 1
    return True


cdef bint list_mpop_key(Ctx* c, Arg* key, ListPop* o, Reply* r) noexcept nogil:
    """Pops from one key; False: there is no such list, nothing is replied."""
    cdef bint wrong = False
    cdef size_t mark = r.out.n
    cdef int64_t count = o.count
    cdef Cell cell
    cdef Entry* e = lookup_write_type(c, key, TYPE_LIST, r, &wrong)
    if wrong:
        return True
    if e == NULL:
        return False
    entry_cell(e, &cell)
    if <uint64_t>count > list_length(&cell):
        count = <int64_t>list_length(&cell)
    reply_array(r, 2)
    reply_bulk(r, key.p, key.n)
    if list_pop_elements(c, key, e, &cell, o.front, count, r, mark) and propagating(c):
        propagate_begin(c, c.db, 3)
        propagate_arg(c, b"LPOP" if o.front else b"RPOP", 4)
        propagate_arg(c, key.p, key.n)
        propagate_int(c, count)
    return True


cdef int cmd_lmpop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ListPop o
    cdef int i
    if not list_mpop_options(argv, argc, 1, &o, r):
        return CALL_DONE
    for i in range(o.n_keys):
        if list_mpop_key(c, &o.keys[i], &o, r):
            return CALL_DONE
    reply_nil_array(r)
    return CALL_DONE


# ---- moving from list to list

cdef int list_rotate(Ctx* c, Entry* e, const char* p, size_t n, bint pop_front, bint push_front) noexcept nogil:
    """Takes p, which lies at one end of the list, off and pushes it again; 0 or -1."""
    cdef Cell cell
    cdef Cell original
    cdef int failed
    entry_cell(e, &cell)
    if list_several_begin(c, &cell, &original) != 0:
        return -1
    failed = list_push(c.heap, &cell, p, n, push_front, list_fill(c))
    if not failed:
        failed = list_drop(c.heap, &cell, pop_front, 1)
    list_several_end(c, &cell, &original, not failed)
    entry_set_cell(e, &cell)
    return failed


cdef int list_push_to(Ctx* c, Entry* to, Arg* key, const char* p, size_t n, bint front) noexcept nogil:
    """Pushes to a list, which is made when `to` is NULL; 0 or -1."""
    cdef Cell cell
    cdef int failed
    if to != NULL:
        entry_cell(to, &cell)
        failed = list_push(c.heap, &cell, p, n, front, list_fill(c))
        entry_set_cell(to, &cell)       # also after a failure: it may have been converted
        return failed
    if list_new(c.heap, &cell) != 0:
        return -1
    if (list_push(c.heap, &cell, p, n, front, list_fill(c)) != 0
            or keyspace_add(c, c.db, key, TYPE_LIST, &cell) == NULL):
        list_free(c.heap, &cell)
        return -1
    return 0


cdef int list_move_value(Ctx* c, Arg* argv, Entry* from_, Entry* to, const char* p, size_t n, bint pop_front, bint push_front,
                         Reply* r) noexcept nogil:
    """Takes p off one end of from_ and pushes it to the list `to` (NULL: a new one at argv[2]); 0 or -1."""
    cdef Cell cell
    cdef Cell original
    if from_ == to:
        if list_rotate(c, from_, p, n, pop_front, push_front) != 0:
            return -1
    else:
        # taking off can fail for a flat buffer only, and is done to a copy of it first; pushing is one step
        entry_cell(from_, &cell)
        if list_several_begin(c, &cell, &original) != 0:
            return -1
        if ((cell.layout == LIST_PACKED and list_drop(c.heap, &cell, pop_front, 1) != 0)
                or list_push_to(c, to, &argv[2], p, n, push_front) != 0):
            list_several_end(c, &cell, &original, False)
            return -1
        if original.layout != LIST_PACKED:
            list_drop(c.heap, &cell, pop_front, 1)
        list_several_end(c, &cell, &original, True)
        entry_set_cell(from_, &cell)
    changed_n(c, c.db, &argv[2], EVENT_LIST, b"lpush" if push_front else b"rpush", 0)
    reply_bulk(r, p, n)
    entry_cell(from_, &cell)
    list_removed(c, &argv[1], from_, &cell, b"lpop" if pop_front else b"rpop", 1)
    return 0


cdef bint list_move(Ctx* c, Arg* argv, Reply* r, bint pop_front, bint push_front) noexcept nogil:
    """Moves an element from argv[1] to argv[2] and replies it; False: there is no list, nothing is replied."""
    cdef bint wrong = False
    cdef Entry* from_ = lookup_write_type(c, &argv[1], TYPE_LIST, r, &wrong)
    cdef Entry* to
    cdef Cell cell
    cdef Slice s
    cdef char scratch[PACKED_SCRATCH]
    cdef char space[LIST_MOVE_INLINE]
    cdef char* copy = space
    if wrong:
        return True
    if from_ == NULL:
        return False
    to = lookup_write_type(c, &argv[2], TYPE_LIST, r, &wrong)
    if wrong:
        return True
    entry_cell(from_, &cell)
    s = list_end(&cell, pop_front, scratch)
    if s.n > LIST_MOVE_INLINE:
        copy = <char*>heap_alloc(c.heap, s.n)
        if copy == NULL:
            reply_oom(r)
            return True
    memcpy(copy, s.p, s.n)
    if list_move_value(c, argv, from_, to, copy, s.n, pop_front, push_front, r) != 0:
        reply_oom(r)
    if copy != space:
        heap_free(c.heap, copy, s.n)
    return True


cdef int cmd_lmove(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint pop_front = False
    cdef bint push_front = False
    if not arg_side(&argv[3], &pop_front, r) or not arg_side(&argv[4], &push_front, r):
        return CALL_DONE
    if not list_move(c, argv, r, pop_front, push_front):
        reply_nil(r)
    return CALL_DONE


cdef int cmd_rpoplpush(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if not list_move(c, argv, r, False, True):
        reply_nil(r)
    return CALL_DONE


registry_bind("lpush", cmd_lpush)
registry_bind("rpush", cmd_rpush)
registry_bind("lpushx", cmd_lpushx)
registry_bind("rpushx", cmd_rpushx)
registry_bind("lpop", cmd_lpop)
registry_bind("rpop", cmd_rpop)
registry_bind("lmpop", cmd_lmpop)
registry_bind("lmove", cmd_lmove)
registry_bind("rpoplpush", cmd_rpoplpush)
