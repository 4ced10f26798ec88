"""The hash group (https://redis.io/docs/latest/commands/?group=hash); HRANDFIELD is commands/hash_draw.

The effect of HINCRBYFLOAT is an HSET of the result.  A command that sets or deletes several fields and runs out of memory
between two of them keeps what it has done, tells that as its effect, and replies the error.
"""

from libc.math cimport HUGE_VAL
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t

from libkv.commands.collections cimport (
    MEMBERS_AHEAD, collection_length, member_hash, members_prefetch, propagate_so_far,
)
from libkv.commands.scan_page cimport ScanPage, scan_page_close, scan_page_full, scan_page_open, scan_page_takes
from libkv.engine.args cimport arg_int
from libkv.engine.call cimport propagate_arg, propagate_begin, propagating
from libkv.engine.entry cimport Entry, entry_cell, entry_set_cell
from libkv.engine.keyspace cimport (
    changed, changed_n, keyspace_add, keyspace_delete, lookup_read_type, lookup_write_type,
)
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_int, reply_map, reply_nil, reply_not_float, reply_ok, reply_oom, reply_slice,
    reply_wrong_arity,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_HASH, TYPE_HASH, Arg, Ctx, Reply
from libkv.structures.alloc cimport LIKELY
from libkv.structures.cell cimport HASH_TABLE, Cell, Slice
from libkv.structures.hash cimport (
    HASH_SCRATCH, HashIter, hash_free, hash_get, hash_iter, hash_length, hash_new, hash_next,
    hash_remove, hash_scan, hash_set,
)
from libkv.structures.number cimport (
    NUMBER_I64, NUMBER_LONG_DOUBLE, number_parse_i64, number_parse_long_double, number_print_i64, number_print_long_double,
)
from libkv.structures.table cimport Table

cdef enum:                      # what HGETALL and its like reply
    FIELDS = 1
    VALUES = 2


# ---- shared

cdef inline Table* table_of(Cell* cell) noexcept nogil:
    return <Table*>cell.ptr if cell.layout == HASH_TABLE else NULL


cdef inline int put(Ctx* c, Cell* cell, Arg* field, const char* value, size_t value_n) noexcept nogil:
    return hash_set(c.heap, cell, field.p, field.n, member_hash(field), value, value_n,
                    <uint64_t>c.kv.settings.hash_max_listpack_entries, <uint64_t>c.kv.settings.hash_max_listpack_value)


cdef bint keep(Ctx* c, Arg* key, Entry* e, Cell* cell) noexcept nogil:
    """Writes a changed cell back, or makes the new key (e NULL); False: no memory, and the cell is freed."""
    if e != NULL:
        entry_set_cell(e, cell)
        return True
    if keyspace_add(c, c.db, key, TYPE_HASH, cell) != NULL:
        return True
    hash_free(c.heap, cell)
    return False


cdef bint put_one(Ctx* c, Arg* argv, Entry* e, Cell* cell, const char* value, size_t value_n, Reply* r) noexcept nogil:
    """Sets one field of a hash, or of the new one in `cell` (e NULL); False: no memory, which is replied."""
    cdef int done = put(c, cell, &argv[2], value, value_n)
    if done < 0 and e == NULL:
        hash_free(c.heap, cell)
    elif keep(c, &argv[1], e, cell) and done >= 0:
        return True
    reply_oom(r)
    return False


# ---- setting

cdef int set_fields(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """HSET's and HMSET's work: the number of fields that are new, or -1 with an error replied."""
    cdef bint wrong = False
    cdef Entry* e
    cdef Cell cell
    cdef int done = 0
    cdef int added = 0
    cdef int i
    if argc % 2:
        reply_wrong_arity(r, c.cmd)
        return -1
    e = lookup_write_type(c, &argv[1], TYPE_HASH, r, &wrong)
    if wrong:
        return -1
    if LIKELY(e != NULL):
        entry_cell(e, &cell)
    elif hash_new(c.heap, &cell) != 0:
        reply_oom(r)
        return -1
    for i in range(2, argc, 2):
        if argc > 4 and (i - 2) % (2 * MEMBERS_AHEAD) == 0:
            members_prefetch(c, table_of(&cell), &argv[i], argc - i, 2)
        done = put(c, &cell, &argv[i], argv[i + 1].p, argv[i + 1].n)
        if done < 0:
            break
        added += done
    if done < 0 and e == NULL and i == 2:
        hash_free(c.heap, &cell)
    elif keep(c, &argv[1], e, &cell):
        if LIKELY(done >= 0):
            changed_n(c, c.db, &argv[1], EVENT_HASH, b"hset", <uint64_t>(argc - 2) // 2)
            return added
        if i > 2:
            changed_n(c, c.db, &argv[1], EVENT_HASH, b"hset", <uint64_t>(i - 2) // 2)
            propagate_so_far(c, argv, i)
    reply_oom(r)
    return -1


cdef int cmd_hset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int added = set_fields(c, argv, argc, r)
    if added >= 0:
        reply_int(r, added)
    return CALL_DONE


cdef int cmd_hmset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if set_fields(c, argv, argc, r) >= 0:
        reply_ok(r)
    return CALL_DONE


cdef int cmd_hsetnx(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if hash_get(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &value, scratch):
            reply_int(r, 0)
            return CALL_DONE
    elif hash_new(c.heap, &cell) != 0:
        reply_oom(r)
        return CALL_DONE
    if put_one(c, argv, e, &cell, argv[3].p, argv[3].n, r):
        changed(c, c.db, &argv[1], EVENT_HASH, b"hset")
        reply_int(r, 1)
    return CALL_DONE


cdef int cmd_hincrby(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef int64_t step
    cdef int64_t now = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef char digits[NUMBER_I64]
    if not arg_int(&argv[3], &step, r):
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_HASH, r, &wrong)
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if hash_get(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &value, scratch) and not number_parse_i64(
                value.p, value.n, &now):
            reply_error(r, b"ERR hash value is not an integer")
            return CALL_DONE
        if (now < 0 and step < INT64_MIN - now) or (now > 0 and step > INT64_MAX - now):
            reply_error(r, b"ERR increment or decrement would overflow")
            return CALL_DONE
    elif hash_new(c.heap, &cell) != 0:
        reply_oom(r)
        return CALL_DONE
    if put_one(c, argv, e, &cell, digits, number_print_i64(digits, now + step), r):
        changed(c, c.db, &argv[1], EVENT_HASH, b"hincrby")
        reply_int(r, now + step)
    return CALL_DONE


cdef inline bint endless(long double v) noexcept nogil:
    return v != v or v == HUGE_VAL or v == -HUGE_VAL


cdef int cmd_hincrbyfloat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef long double step
    cdef long double now = 0
    cdef Entry* e
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef char digits[NUMBER_LONG_DOUBLE]
    cdef int n
    if not number_parse_long_double(argv[3].p, argv[3].n, &step):
        reply_not_float(r)
        return CALL_DONE
    if endless(step):
        reply_error(r, b"ERR value is NaN or Infinity")
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_HASH, r, &wrong)
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if hash_get(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &value, scratch) and not (
                number_parse_long_double(value.p, value.n, &now)):
            reply_error(r, b"ERR hash value is not a float")
            return CALL_DONE
    now += step
    if endless(now):
        reply_error(r, b"ERR increment would produce NaN or Infinity")
        return CALL_DONE
    if e == NULL and hash_new(c.heap, &cell) != 0:
        reply_oom(r)
        return CALL_DONE
    n = number_print_long_double(digits, now)
    if not put_one(c, argv, e, &cell, digits, n, r):
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_HASH, b"hincrbyfloat")
    if propagating(c):
        propagate_begin(c, c.db, 4)
        propagate_arg(c, b"HSET", 4)
        propagate_arg(c, argv[1].p, argv[1].n)
        propagate_arg(c, argv[2].p, argv[2].n)
        propagate_arg(c, digits, n)
    reply_bulk(r, digits, n)
    return CALL_DONE


cdef int cmd_hdel(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_HASH, r, &wrong)
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
        done = hash_remove(c.heap, &cell, argv[i].p, argv[i].n, member_hash(&argv[i]))
        if done < 0:
            break
        removed += done
        if done and hash_length(&cell) == 0:
            break
    entry_set_cell(e, &cell)
    if removed:
        changed_n(c, c.db, &argv[1], EVENT_HASH, b"hdel", removed)
        if hash_length(&cell) == 0:
            keyspace_delete(c, c.db, &argv[1])
            changed_n(c, c.db, &argv[1], EVENT_GENERIC, b"del", 0)
        if done < 0:
            propagate_so_far(c, argv, i)
    if done < 0:
        reply_oom(r)
    else:
        reply_int(r, removed)
    return CALL_DONE


# ---- asking

cdef int cmd_hget(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if hash_get(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &value, scratch):
            reply_slice(r, &value)
            return CALL_DONE
    reply_nil(r)
    return CALL_DONE


cdef int cmd_hmget(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
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
        if hash_get(c.heap, &cell, argv[i].p, argv[i].n, member_hash(&argv[i]), &value, scratch):
            reply_slice(r, &value)
        else:
            reply_nil(r)
    return CALL_DONE


cdef int all_of(Ctx* c, Arg* argv, Reply* r, int what) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef int64_t n = 0
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        n = <int64_t>hash_length(&cell)
    if what == (FIELDS | VALUES):
        reply_map(r, n)
    else:
        reply_array(r, n)
    if e == NULL:
        return CALL_DONE
    hash_iter(&it, &cell)
    while hash_next(&it, &field, &value, scratch):
        if what & FIELDS:
            reply_slice(r, &field)
        if what & VALUES:
            reply_slice(r, &value)
    return CALL_DONE


cdef int cmd_hgetall(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return all_of(c, argv, r, FIELDS | VALUES)


cdef int cmd_hkeys(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return all_of(c, argv, r, FIELDS)


cdef int cmd_hvals(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return all_of(c, argv, r, VALUES)


cdef int cmd_hlen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return collection_length(c, argv, r, TYPE_HASH, hash_length)


cdef int cmd_hstrlen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if wrong:
        return CALL_DONE
    value.n = 0
    if e != NULL:
        entry_cell(e, &cell)
        if not hash_get(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &value, scratch):
            value.n = 0
    reply_int(r, <int64_t>value.n)
    return CALL_DONE


cdef int cmd_hexists(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_HASH, r, &wrong)
    cdef Cell cell
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    reply_int(r, hash_get(c.heap, &cell, argv[2].p, argv[2].n, member_hash(&argv[2]), &value, scratch))
    return CALL_DONE


cdef void scan_pair(Slice* field, Slice* value, void* arg) noexcept nogil:
    cdef ScanPage* page = <ScanPage*>arg
    if scan_page_takes(page, field.p, field.n):
        reply_slice(page.r, field)
        reply_slice(page.r, value)


cdef int cmd_hscan(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ScanPage page
    cdef Cell cell
    cdef uint64_t cursor
    if not scan_page_open(c, argv, argc, TYPE_HASH, &page, &cell, r):
        return CALL_DONE
    cursor = page.options.cursor
    while True:
        cursor = hash_scan(&cell, cursor, scan_pair, &page)
        if scan_page_full(&page, cursor):
            break
    scan_page_close(&page, cursor)
    return CALL_DONE


registry_bind("hset", cmd_hset)
registry_bind("hmset", cmd_hmset)
registry_bind("hsetnx", cmd_hsetnx)
registry_bind("hincrby", cmd_hincrby)
registry_bind("hincrbyfloat", cmd_hincrbyfloat)
registry_bind("hdel", cmd_hdel)
registry_bind("hget", cmd_hget)
registry_bind("hmget", cmd_hmget)
registry_bind("hgetall", cmd_hgetall)
registry_bind("hkeys", cmd_hkeys)
registry_bind("hvals", cmd_hvals)
registry_bind("hlen", cmd_hlen)
registry_bind("hstrlen", cmd_hstrlen)
registry_bind("hexists", cmd_hexists)
registry_bind("hscan", cmd_hscan)
