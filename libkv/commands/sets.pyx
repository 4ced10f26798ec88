"""Commands on one set, and SMOVE (https://redis.io/docs/latest/commands/?group=set).  What takes members at random is
commands/set_draw; intersections, unions and differences are commands/set_algebra."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset

from libkv.engine.args cimport ScanOptions, arg_cursor, arg_scan, glob_match
from libkv.engine.call cimport propagate_arg, propagate_begin, propagating
from libkv.engine.entry cimport entry_cell, entry_set_cell
from libkv.engine.keyspace cimport (
    arg_hash, changed, changed_n, keyspace_add, keyspace_delete, lookup_read_type, lookup_write_type,
)
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_int, reply_later, reply_later_array, reply_oom
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_SET, TYPE_SET, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_insert
from libkv.structures.cell cimport SET_TABLE
from libkv.structures.number cimport number_print_u64
from libkv.structures.set cimport (
    set_add, set_contains, set_free, set_length, set_new, set_prefetch, set_prefetch_member, set_remove, set_scan,
)

cdef enum:
    ADDED_INLINE = 64           # bytes of SADD's bit map that are on the stack
    PREFETCH = 16               # members whose places are fetched ahead


# ---- shared

cdef void set_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil:
    """Tells that n members went, and deletes the key with the last one."""
    entry_set_cell(e, cell)
    changed_n(c, c.db, key, EVENT_SET, event, n)
    if set_length(cell) == 0:
        keyspace_delete(c, c.db, key)
        changed_n(c, c.db, key, EVENT_GENERIC, b"del", 0)


cdef void prefetch_members(Ctx* c, Cell* cell, Arg* argv, int n) noexcept nogil:
    """Asks for the places of up to PREFETCH members of a large set."""
    cdef int i
    if cell.layout != SET_TABLE or n < 2:
        return
    if n > PREFETCH:
        n = PREFETCH
    for i in range(n):
        set_prefetch(cell, arg_hash(c.heap, &argv[i]))
    for i in range(n):
        set_prefetch_member(cell, argv[i].hash)


cdef inline uint64_t known_hash(Arg* a) noexcept nogil:
    return a.hash if a.hashed else 0


# ---- adding and removing

cdef int cmd_sadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    cdef int i
    cdef int result
    cdef int64_t added = 0
    cdef uint8_t space[ADDED_INLINE]
    cdef uint8_t* bits = space
    cdef size_t n_bits = <size_t>(argc + 7) >> 3
    cdef bint failed = False
    if wrong:
        return CALL_DONE
    if n_bits > ADDED_INLINE:
        bits = <uint8_t*>heap_alloc(c.heap, n_bits)
        if bits == NULL:
            reply_oom(r)
            return CALL_DONE
    if argc > 3:
        memset(bits, 0, n_bits)
    if e != NULL:
        entry_cell(e, &cell)
    elif set_new(c.heap, &cell, argv[2].p, argv[2].n) != 0:
        reply_oom(r)
        if bits != space:
            heap_free(c.heap, bits, n_bits)
        return CALL_DONE
    for i in range(2, argc):
        if (i - 2) % PREFETCH == 0:
            prefetch_members(c, &cell, &argv[i], argc - i)
        result = set_add(c.heap, &cell, argv[i].p, argv[i].n, known_hash(&argv[i]), set_max_ints(c))
        if result < 0:
            failed = True
            break
        if result:
            added += 1
            if argc > 3:
                bits[i >> 3] |= <uint8_t>(1 << (i & 7))
    if e != NULL:
        if failed:
            for i in range(2, argc if added else 2):    # takes back what it added
                if bits[i >> 3] & (1 << (i & 7)):
                    set_remove(c.heap, &cell, argv[i].p, argv[i].n, known_hash(&argv[i]))
        entry_set_cell(e, &cell)
    elif failed or keyspace_add(c, c.db, &argv[1], TYPE_SET, &cell) == NULL:
        failed = True
        set_free(c.heap, &cell)
    if bits != space:
        heap_free(c.heap, bits, n_bits)
    if failed:
        reply_oom(r)
        return CALL_DONE
    if added:
        changed_n(c, c.db, &argv[1], EVENT_SET, b"sadd", added)
    reply_int(r, added)
    return CALL_DONE


cdef int cmd_srem(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    cdef int i
    cdef int result = 0
    cdef int64_t removed = 0
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    for i in range(2, argc):
        if (i - 2) % PREFETCH == 0:
            prefetch_members(c, &cell, &argv[i], argc - i)
        result = set_remove(c.heap, &cell, argv[i].p, argv[i].n, known_hash(&argv[i]))
        if result < 0:
            break
        removed += result
        if result and set_length(&cell) == 0:
            break
    if removed:
        set_removed(c, &argv[1], e, &cell, b"srem", removed)
    if result < 0:
        # a removed member can't be put back without memory: what was done is told, and then the error
        if removed and propagating(c):
            propagate_begin(c, c.db, i)
            for result in range(i):
                propagate_arg(c, argv[result].p, argv[result].n)
        reply_oom(r)
    else:
        reply_int(r, removed)
    return CALL_DONE


cdef int cmd_smove(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* from_ = lookup_write_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Entry* to
    cdef Cell source
    cdef Cell target
    cdef int added
    cdef uint64_t hash = arg_hash(c.heap, &argv[3])
    if wrong:
        return CALL_DONE
    if from_ == NULL:
        reply_int(r, 0)
        return CALL_DONE
    to = lookup_write_type(c, &argv[2], TYPE_SET, r, &wrong)
    if wrong:
        return CALL_DONE
    entry_cell(from_, &source)
    if not set_contains(c.heap, &source, argv[3].p, argv[3].n, hash):
        reply_int(r, 0)
        return CALL_DONE
    if from_ == to:
        reply_int(r, 1)
        return CALL_DONE
    if to != NULL:
        entry_cell(to, &target)
    elif set_new(c.heap, &target, argv[3].p, argv[3].n) != 0:
        reply_oom(r)
        return CALL_DONE
    added = set_add(c.heap, &target, argv[3].p, argv[3].n, hash, set_max_ints(c))
    if to != NULL:
        entry_set_cell(to, &target)
    if added < 0 or (to == NULL and keyspace_add(c, c.db, &argv[2], TYPE_SET, &target) == NULL):
        if to == NULL:
            set_free(c.heap, &target)
        reply_oom(r)
        return CALL_DONE
    if set_remove(c.heap, &source, argv[3].p, argv[3].n, hash) < 0:
        if to == NULL:
            keyspace_delete(c, c.db, &argv[2])
        elif added:
            set_remove(c.heap, &target, argv[3].p, argv[3].n, hash)
            entry_set_cell(to, &target)
        reply_oom(r)
        return CALL_DONE
    set_removed(c, &argv[1], from_, &source, b"srem", 1)
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
    reply_int(r, set_contains(c.heap, &cell, argv[2].p, argv[2].n, known_hash(&argv[2])))
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
        if (i - 2) % PREFETCH == 0:
            prefetch_members(c, &cell, &argv[i], argc - i)
        reply_int(r, set_contains(c.heap, &cell, argv[i].p, argv[i].n, known_hash(&argv[i])))
    return CALL_DONE


cdef int cmd_scard(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_SET, r, &wrong)
    cdef Cell cell
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    reply_int(r, <int64_t>set_length(&cell))
    return CALL_DONE


cdef struct ScanPage:           # SSCAN's work on one step
    ScanOptions* options
    Reply* r
    int64_t seen
    int64_t kept


cdef void scan_member(const char* p, size_t n, void* arg) noexcept nogil:
    cdef ScanPage* page = <ScanPage*>arg
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
    cdef ScanPage page
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
        cursor = set_scan(&cell, cursor, scan_member, &page)
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
