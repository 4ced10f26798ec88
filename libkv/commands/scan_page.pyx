"""One page of HSCAN and ZSCAN (contract: scan_page.pxd; https://redis.io/docs/latest/commands/scan/)."""

from libc.string cimport memcpy

from libkv.engine.args cimport arg_cursor, arg_scan
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport lookup_read_type
from libkv.engine.reply cimport reply_array, reply_bulk, reply_later
from libkv.structures.buffer cimport buffer_insert
from libkv.structures.number cimport number_print_i64, number_print_u64

cdef enum:
    VISITS_PER_COUNT = 10       # empty buckets are passed over, but not without end


cdef bint scan_page_open(Ctx* c, Arg* argv, int argc, int type, ScanPage* page, Cell* cell, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e
    if not arg_cursor(&argv[2], &page.options.cursor, r):
        return False
    e = lookup_read_type(c, &argv[1], type, r, &wrong)
    if wrong:
        return False
    if e == NULL:
        reply_array(r, 2)
        reply_bulk(r, b"0", 1)
        reply_array(r, 0)
        return False
    if not arg_scan(c, argv, argc, 2, False, &page.options, r):
        return False
    entry_cell(e, cell)
    page.r = r
    page.mark = reply_later(r)
    page.seen = 0
    page.kept = 0
    page.visits = page.options.count
    if page.visits < <int64_t>1 << 58:
        page.visits *= VISITS_PER_COUNT
    return True


cdef bint scan_page_full(ScanPage* page, uint64_t cursor) noexcept nogil:
    page.visits -= 1
    return cursor == 0 or page.visits <= 0 or page.seen >= page.options.count


cdef void scan_page_close(ScanPage* page, uint64_t cursor) noexcept nogil:
    cdef char head[96]
    cdef char digits[24]
    cdef int n = number_print_u64(digits, cursor)
    cdef int k = 5
    memcpy(head, b"*2\r\n$", 5)
    k += number_print_u64(head + k, n)
    memcpy(head + k, b"\r\n", 2)
    memcpy(head + k + 2, digits, n)
    k += 2 + n
    memcpy(head + k, b"\r\n*", 3)
    k += 3
    k += number_print_i64(head + k, page.kept * 2)
    memcpy(head + k, b"\r\n", 2)
    if not page.r.out.failed:
        buffer_insert(page.r.out, page.mark, head, k + 2)
