"""What commands on several types of collections share (contract: collections.pxd)."""

from libc.stdint cimport INT64_MAX, int64_t

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate_arg, propagate_begin, propagating
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport arg_hash, lookup_read_type
from libkv.engine.reply cimport reply_error, reply_int, reply_syntax
from libkv.engine.types cimport CALL_DONE
from libkv.structures.table cimport table_prefetch_bucket, table_prefetch_item


cdef void members_prefetch_slow(Ctx* c, Table* t, Arg* argv, int n, int step) noexcept nogil:
    cdef int i = 0
    if n > MEMBERS_AHEAD * step:
        n = MEMBERS_AHEAD * step
    while i < n:
        table_prefetch_bucket(t, arg_hash(c.heap, &argv[i]))
        i += step
    i = 0
    while i < n:
        table_prefetch_item(t, argv[i].hash)
        i += step


cdef int collection_length(Ctx* c, Arg* argv, Reply* r, int type, length_fn length) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], type, r, &wrong)
    cdef Cell cell
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    entry_cell(e, &cell)
    reply_int(r, <int64_t>length(&cell))
    return CALL_DONE


cdef void propagate_so_far(Ctx* c, Arg* argv, int n) noexcept nogil:
    cdef int i
    if not propagating(c):
        return
    propagate_begin(c, c.db, n)
    for i in range(n):
        propagate_arg(c, argv[i].p, argv[i].n)


cdef bint arg_draw(Arg* argv, int argc, const char* word, size_t word_n, int64_t* count, Reply* r) noexcept nogil:
    if not arg_int(&argv[2], count, r):
        return False
    if count[0] < -INT64_MAX:
        reply_error(r, b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        return False
    if argc > 4 or (argc == 4 and not arg_is(&argv[3], word, word_n)):
        reply_syntax(r)
        return False
    if argc == 4 and not -(INT64_MAX // 2) <= count[0] <= INT64_MAX // 2:
        reply_error(r, b"ERR value is out of range")
        return False
    return True
