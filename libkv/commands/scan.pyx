"""SCAN and KEYS (https://redis.io/docs/latest/commands/scan/)."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from libkv.engine.args cimport ScanOptions, arg_scan, glob_match
from libkv.engine.entry cimport Entry, entry_expire, entry_key, entry_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_later, reply_later_array, reply_oom
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply
from libkv.structures.number cimport number_print_u64
from libkv.structures.table cimport TableIter, table_iter, table_next, table_scan

cdef struct Found:              # entries that a scan's step came upon
    Entry** entries
    size_t n
    size_t cap
    bint failed


cdef void collect(void* item, void* arg) noexcept nogil:
    cdef Found* f = <Found*>arg
    cdef Entry** more
    if f.n == f.cap:
        more = <Entry**>realloc(f.entries, (f.cap * 2 if f.cap else 64) * sizeof(Entry*))
        if more == NULL:
            f.failed = True
            return
        f.entries = more
        f.cap = f.cap * 2 if f.cap else 64
    f.entries[f.n] = <Entry*>item
    f.n += 1


cdef bint past_its_time(Ctx* c, Entry* e) noexcept nogil:
    cdef int64_t when = entry_expire(e)
    return 0 <= when < c.now and not c.replay


cdef int cmd_scan(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef ScanOptions o
    cdef Found f
    cdef int64_t visits
    cdef size_t i
    cdef size_t mark
    cdef int64_t kept = 0
    cdef const char* k
    cdef size_t n
    cdef char digits[24]
    if not arg_scan(c, argv, argc, 1, True, &o, r):
        return CALL_DONE
    memset(&f, 0, sizeof(Found))
    visits = o.count * 10 if o.count < (<int64_t>1 << 58) else o.count
    while True:
        o.cursor = table_scan(&c.db.keys, o.cursor, collect, &f)
        visits -= 1
        if o.cursor == 0 or visits <= 0 or <int64_t>f.n >= o.count or f.failed:
            break
    if f.failed:
        free(f.entries)
        reply_oom(r)
        return CALL_DONE
    reply_array(r, 2)
    reply_bulk(r, digits, number_print_u64(digits, o.cursor))
    mark = reply_later(r)
    for i in range(f.n):
        k = entry_key(f.entries[i], &n)
        if o.no_match or (o.type >= 0 and entry_type(f.entries[i]) != o.type) or past_its_time(c, f.entries[i]):
            continue
        if o.pattern != NULL and not glob_match(o.pattern, o.pattern_n, k, n, False):
            continue
        reply_bulk(r, k, n)
        kept += 1
    reply_later_array(r, mark, kept)
    free(f.entries)
    return CALL_DONE


cdef int cmd_keys(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef TableIter it
    cdef Entry* e
    cdef const char* k
    cdef size_t n
    cdef int64_t kept = 0
    cdef size_t mark = reply_later(r)
    cdef bint all = argv[1].n == 1 and argv[1].p[0] == b"*"     # the empty key, too
    table_iter(&it, &c.db.keys)
    while True:
        e = <Entry*>table_next(&it)
        if e == NULL:
            break
        k = entry_key(e, &n)
        if (all or glob_match(argv[1].p, argv[1].n, k, n, False)) and not past_its_time(c, e):
            reply_bulk(r, k, n)
            kept += 1
    reply_later_array(r, mark, kept)
    return CALL_DONE


registry_bind("scan", cmd_scan)
registry_bind("keys", cmd_keys)
