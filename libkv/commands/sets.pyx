"""Commands on one set, and SMOVE (https://redis.io/docs/latest/commands/?group=set).  What takes members at random is
commands/set_draw; intersections, unions and differences are commands/set_algebra."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from libkv.commands.collections cimport MEMBERS_AHEAD, collection_length, member_hash, members_prefetch
from libkv.engine.args cimport ScanOptions, arg_cursor, arg_scan, glob_match
from libkv.engine.changes cimport changes_tell_new
from libkv.engine.entry cimport entry_cell, entry_set_cell
from libkv.engine.keyspace cimport (
    arg_hash, changed, changed_n, keyspace_add, keyspace_delete, lookup_read_type, lookup_write_type,
)
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_int, reply_later, reply_later_array, reply_oom
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_SET, HOOK_NOTIFY, TYPE_SET, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_insert
from libkv.structures.cell cimport SET_TABLE
from libkv.structures.number cimport number_print_u64
from libkv.structures.set cimport (
    set_add, set_contains, set_copy, set_free, set_length, set_new, set_remove, set_scan,
)
from libkv.structures.table cimport Table

cdef enum:
    SET_NEW_INLINE = 64           # bytes of SADD's bit map that are on the stack


# ---- shared

cdef inline Table* set_table_of(Cell* cell) noexcept nogil:
    return <Table*>cell.ptr if cell.layout == SET_TABLE else NULL


cdef void set_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil:
    """Tells that n members went, and deletes the key with the last one."""
    entry_set_cell(e, cell)
    changed_n(c, c.db, key, EVENT_SET, event, n)
    if set_length(cell) == 0:
        keyspace_delete(c, c.db, key)
        changed_n(c, c.db, key, EVENT_GENERIC, b"del", 0)


# ---- adding and removing

cdef int set_several_begin(Ctx* c, Cell* cell, Cell* original) noexcept nogil:
    """Before several changes of which all or none must happen: a flat buffer can't be brought back without memory, so
    they are made to a copy.  0, or -1 with nothing changed."""
    original[0] = cell[0]
    if cell.layout != SET_TABLE and set_copy(c.heap, original, cell) != 0:
        cell[0] = original[0]
        return -1
    return 0


cdef void set_several_end(Ctx* c, Cell* cell, Cell* original, bint done) noexcept nogil:
    """Keeps the copy, or the original."""
    if original.layout == SET_TABLE:
        return
    if done:
        set_free(c.heap, original)
    else:
        set_free(c.heap, cell)
        cell[0] = original[0]


cdef int64_t set_add_members(Ctx* c, Cell* cell, Arg* argv, int n, uint8_t* new) noexcept nogil:
    """Adds n members; how many were not there, or -1 without memory.  A bit of `new` is set for each that was not."""
    cdef int64_t added = 0
    cdef int result
    cdef int i
    for i in range(n):
        if i % MEMBERS_AHEAD == 0:
            members_prefetch(c, set_table_of(cell), &argv[i], n - i, 1)
        result = set_add(c.heap, cell, argv[i].p, argv[i].n, member_hash(&argv[i]), set_max_ints(c))
        if result < 0:
            return -1
        if result:
            added += 1
            new[i >> 3] |= <uint8_t>(1 << (i & 7))
    return added


cdef int64_t set_add_several(Ctx* c, Cell* cell, Arg* argv, int n) noexcept nogil:
    """Adds all of n members, or none; how many were not there, or -1."""
    cdef Cell original
    cdef uint8_t space[SET_NEW_INLINE]
    cdef uint8_t* new = space
    cdef size_t bytes = <size_t>(n + 7) >> 3
    cdef int64_t added
    cdef int i
    if bytes > SET_NEW_INLINE:
        new = <uint8_t*>heap_alloc(c.heap, bytes)
        if new == NULL:
            return -1
    memset(new, 0, bytes)
    added = set_several_begin(c, cell, &original)
    if added == 0:
        added = set_add_members(c, cell, argv, n, new)
        if added < 0 and original.layout == SET_TABLE:
            for i in range(n):          # removing from a table can't fail
                if new[i >> 3] & (1 << (i & 7)):
                    set_remove(c.heap, cell, argv[i].p, argv[i].n, member_hash(&argv[i]))
        set_several_end(c, cell, &original, added >= 0)
    if new != space:
        heap_free(c.heap, new, bytes)
    return added


cdef int cmd_sadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    cdef int64_t added
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
    elif set_new(c.heap, &cell, argv[2].p, argv[2].n) != 0:
        reply_oom(r)
        return CALL_DONE
    if argc == 3:
        added = set_add(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), set_max_ints(c))
    else:
        added = set_add_several(c, &cell, &argv[2], argc - 2)
    if e != NULL:
        entry_set_cell(e, &cell)
    elif added < 0 or keyspace_add(c, c.db, &argv[1], TYPE_SET, &cell) == NULL:
        added = -1
        set_free(c.heap, &cell)
    if added < 0:
        reply_oom(r)
        return CALL_DONE
    if added:
        changed_n(c, c.db, &argv[1], EVENT_SET, b"sadd", added)
    reply_int(r, added)
    return CALL_DONE


cdef int64_t set_remove_members(Ctx* c, Cell* cell, Arg* argv, int n) noexcept nogil:
    """Removes all of n members; how many were there, or -1 without memory (never from a table)."""
    cdef int64_t removed = 0
    cdef int result
    cdef int i
    for i in range(n):
        if i % MEMBERS_AHEAD == 0:
            members_prefetch(c, set_table_of(cell), &argv[i], n - i, 1)
        result = set_remove(c.heap, cell, argv[i].p, argv[i].n, member_hash(&argv[i]))
        if result < 0:
            return -1
        removed += result
        if result and set_length(cell) == 0:
            break
    return removed


cdef int cmd_srem(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    cdef Cell original
    cdef int64_t removed
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    if argc == 3:
        removed = set_remove_members(c, &cell, &argv[2], 1)
    elif set_several_begin(c, &cell, &original) != 0:
        removed = -1
    else:
        removed = set_remove_members(c, &cell, &argv[2], argc - 2)
        set_several_end(c, &cell, &original, removed >= 0)
    if removed < 0:
        reply_oom(r)
        return CALL_DONE
    entry_set_cell(e, &cell)
    if removed:
        set_removed(c, &argv[1], e, &cell, b"srem", removed)
    reply_int(r, removed)
    return CALL_DONE


cdef int set_add_to(Ctx* c, Entry* to, Arg* key, Arg* member) noexcept nogil:
    """Adds to a set, which is made when `to` is NULL; 1, 0 or -1."""
    cdef Cell cell
    cdef int added
    if to != NULL:
        entry_cell(to, &cell)
        added = set_add(c.heap, &cell, member.p, member.n, member_hash(member), set_max_ints(c))
        entry_set_cell(to, &cell)       # also after a failure: it may have been converted
        return added
    if set_new(c.heap, &cell, member.p, member.n) != 0:
        return -1
    if (set_add(c.heap, &cell, member.p, member.n, member_hash(member), set_max_ints(c)) < 0
            or keyspace_add(c, c.db, key, TYPE_SET, &cell) == NULL):
        set_free(c.heap, &cell)
        return -1
    return 1


cdef int cmd_smove(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* from_ = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Entry* to
    cdef Cell cell
    cdef Cell original
    cdef int added
    cdef uint32_t hooks = c.kv.hooks
    if wrong:
        return CALL_DONE
    if from_ == NULL:
        reply_int(r, 0)
        return CALL_DONE
    to = lookup_write_type(c, &argv[2], TYPE_SET, r, &wrong)
    if wrong:
        return CALL_DONE
    arg_hash(c.heap, &argv[3])
    entry_cell(from_, &cell)
    if from_ == to or not set_contains(c.heap, &cell, argv[3].p, argv[3].n, argv[3].hash):
        reply_int(r, from_ == to and set_contains(c.heap, &cell, argv[3].p, argv[3].n, argv[3].hash))
        return CALL_DONE
    # removing can fail for a flat buffer only, and is done to a copy of it first; adding is one step
    added = set_several_begin(c, &cell, &original)
    if added == 0:
        if original.layout != SET_TABLE:
            added = set_remove_members(c, &cell, &argv[3], 1)
        if added >= 0:
            c.kv.hooks &= ~<uint32_t>HOOK_NOTIFY        # "new" is told behind "srem", as in Redis
            added = set_add_to(c, to, &argv[2], &argv[3])
            c.kv.hooks = hooks
        if added >= 0 and original.layout == SET_TABLE:
            set_remove_members(c, &cell, &argv[3], 1)
        set_several_end(c, &cell, &original, added >= 0)
    if added < 0:
        reply_oom(r)
        return CALL_DONE
    set_removed(c, &argv[1], from_, &cell, b"srem", 1)
    if to == NULL and hooks & HOOK_NOTIFY:
        changes_tell_new(c, c.db, &argv[2])
    if added:
        changed(c, c.db, &argv[2], EVENT_SET, b"sadd")
    reply_int(r, 1)
    return CALL_DONE


# ---- asking

cdef int cmd_sismember(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    reply_int(r, set_contains(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2])))
    return CALL_DONE


cdef int cmd_smismember(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    cdef int i
    if wrong:
        return CALL_DONE
    reply_array(r, argc - 2)
    if e != NULL:
        entry_cell(e, &cell)
    for i in range(2, argc):
        if e == NULL:
            reply_int(r, 0)
            continue
        if (i - 2) % MEMBERS_AHEAD == 0:
            members_prefetch(c, set_table_of(&cell), &argv[i], argc - i, 1)
        reply_int(r, set_contains(c.heap, &cell, argv[i].p, argv[i].n, member_hash(&argv[i])))
    return CALL_DONE


cdef int cmd_scard(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return collection_length(c, argv, r, TYPE_SET, set_length)


cdef struct SetScanPage:        # SSCAN's work on one step
    ScanOptions* options
    Reply* r
    int64_t seen
    int64_t kept


cdef void set_scan_member(const char* p, size_t n, void* arg) noexcept nogil:
    cdef SetScanPage* page = <SetScanPage*>arg
    page.seen += 1
    if page.options.pattern != NULL and not glob_match(page.options.pattern, page.options.pattern_n, p, n, False):
        return
    reply_bulk(page.r, p, n)
    page.kept += 1


cdef void reply_later_bulk(Reply* r, size_t mark, const char* p, int n) noexcept nogil:
    """A bulk string of n < 100 bytes in front of what was replied since `mark`."""
    cdef char head[128]
    cdef int k
    head[0] = b"$"
    k = 1 + number_print_u64(head + 1, n)
    memcpy(head + k, b"\r\n", 2)
    memcpy(head + k + 2, p, n)
    memcpy(head + k + 2 + n, b"\r\n", 2)
    if not r.out.failed:
        buffer_insert(r.out, mark, head, k + n + 4)


cdef int cmd_sscan(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ScanOptions o
    cdef SetScanPage page
    cdef bint wrong = False
    cdef Entry* e
    cdef Cell cell
    cdef int64_t visits
    cdef size_t mark
    cdef uint64_t cursor
    cdef char digits[24]
    if not arg_cursor(&argv[2], &cursor, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_SET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_array(r, 2)
        reply_bulk(r, b"0", 1)
        reply_array(r, 0)
        return CALL_DONE
    if not arg_scan(c, argv, argc, 2, False, &o, r):
        return CALL_DONE
    entry_cell(e, &cell)
    page.options = &o
    page.r = r
    page.seen = 0
    page.kept = 0
    cursor = o.cursor
    visits = o.count * 10 if o.count < (<int64_t>1 << 58) else o.count
    mark = reply_later(r)
    while True:
        cursor = set_scan(&cell, cursor, set_scan_member, &page)
        visits -= 1
        if cursor == 0 or visits <= 0 or page.seen >= o.count:
            break
    reply_later_array(r, mark, page.kept)
    reply_later_bulk(r, mark, digits, number_print_u64(digits, cursor))
    reply_later_array(r, mark, 2)
    return CALL_DONE


registry_bind("sadd", cmd_sadd)
registry_bind("srem", cmd_srem)
registry_bind("smove", cmd_smove)
registry_bind("sismember", cmd_sismember)
registry_bind("smismember", cmd_smismember)
registry_bind("scard", cmd_scard)
registry_bind("sscan", cmd_sscan)
