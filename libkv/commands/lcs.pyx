"""LCS: the longest common subsequence of two strings (https://redis.io/docs/latest/commands/lcs/).

The textbook table of lengths (Wagner and Fischer, 1974), 32 bits a cell, walked back from its far corner as Redis walks
it, so that among equally long answers the same one is given.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.entry cimport Entry, entry_string, entry_type
from libkv.engine.keyspace cimport lookup_read
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_error, reply_int, reply_later, reply_later_array, reply_map, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, TYPE_STRING, Arg, Ctx, Reply
from libkv.structures.cell cimport Slice

cdef uint32_t LONGEST = <uint32_t>0xfffffffe     # lengths must fit a cell

cdef struct Options:
    bint idx
    bint only_length
    bint with_length
    int64_t min_length

cdef struct Run:                # matching characters that follow each other in both strings
    int64_t a_start
    int64_t a_end
    int64_t b_start
    int64_t b_end
    bint open


cdef bint options(Arg* argv, int argc, Options* o, Reply* r) noexcept nogil:
    cdef int i = 3
    o.idx = o.only_length = o.with_length = False
    o.min_length = 0
    while i < argc:
        if arg_is(&argv[i], b"idx", 3):
            o.idx = True
        elif arg_is(&argv[i], b"len", 3):
            o.only_length = True
        elif arg_is(&argv[i], b"withmatchlen", 12):
            o.with_length = True
        elif arg_is(&argv[i], b"minmatchlen", 11) and i + 1 < argc:
            if not arg_int(&argv[i + 1], &o.min_length, r):
                return False
            if o.min_length < 0:
                o.min_length = 0
            i += 1
        else:
            reply_syntax(r)
            return False
        i += 1
    if o.idx and o.only_length:
        reply_error(r, b"ERR If you want both the length and indexes, please just use IDX.")
        return False
    return True


cdef void reply_run(Reply* r, Options* o, Run* run) noexcept nogil:
    reply_array(r, 3 if o.with_length else 2)
    reply_array(r, 2)
    reply_int(r, run.a_start)
    reply_int(r, run.a_end)
    reply_array(r, 2)
    reply_int(r, run.b_start)
    reply_int(r, run.b_end)
    if o.with_length:
        reply_int(r, run.a_end - run.a_start + 1)


cdef void walk(Slice* a, Slice* b, uint32_t* cells, char* result, Options* o, Reply* r) noexcept nogil:
    """Back from the far corner: fills `result` from its end, or replies the matching runs."""
    cdef size_t width = b.n + 1
    cdef int64_t i = <int64_t>a.n
    cdef int64_t j = <int64_t>b.n
    cdef uint32_t left = cells[a.n * width + b.n]
    cdef uint32_t up
    cdef uint32_t back
    cdef int64_t runs = 0
    cdef size_t mark = 0
    cdef Run run
    run.open = False
    if o.idx:
        reply_map(r, 2)
        reply_cstring(r, b"matches")
        mark = reply_later(r)
    while i > 0 and j > 0:
        if a.p[i - 1] == b.p[j - 1]:
            left -= 1
            if result != NULL:
                result[left] = a.p[i - 1]
            if run.open and run.a_start == i and run.b_start == j:
                run.a_start -= 1
                run.b_start -= 1
            else:
                if run.open and run.a_end - run.a_start + 1 >= o.min_length and o.idx:
                    reply_run(r, o, &run)
                    runs += 1
                run.a_start = run.a_end = i - 1
                run.b_start = run.b_end = j - 1
                run.open = True
            i -= 1
            j -= 1
            continue
        up = cells[(i - 1) * width + j]
        back = cells[i * width + j - 1]
        if up > back:
            i -= 1
        else:
            j -= 1
    if o.idx:
        if run.open and run.a_end - run.a_start + 1 >= o.min_length:
            reply_run(r, o, &run)
            runs += 1
        reply_later_array(r, mark, runs)
        reply_cstring(r, b"len")
        reply_int(r, cells[a.n * width + b.n])


cdef int cmd_lcs(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* ea = lookup_read(c, &argv[1])
    cdef Entry* eb = lookup_read(c, &argv[2])
    cdef Slice a
    cdef Slice b
    cdef char scratch_a[24]
    cdef char scratch_b[24]
    cdef Options o
    cdef uint32_t* cells
    cdef char* result = NULL
    cdef uint64_t i
    cdef uint64_t j
    cdef uint64_t width
    cdef uint64_t size
    if (ea != NULL and entry_type(ea) != TYPE_STRING) or (eb != NULL and entry_type(eb) != TYPE_STRING):
        reply_error(r, b"ERR The specified keys must contain string values")
        return CALL_DONE
    if not options(argv, argc, &o, r):
        return CALL_DONE
    a.p = b.p = b""
    a.n = b.n = 0
    if ea != NULL:
        entry_string(ea, scratch_a, &a)
    if eb != NULL:
        entry_string(eb, scratch_b, &b)
    width = b.n + 1
    if a.n >= <size_t>LONGEST or b.n >= <size_t>LONGEST:
        reply_error(r, b"ERR String too long for LCS")
        return CALL_DONE
    size = (a.n + 1) * width * sizeof(uint32_t)
    if size // sizeof(uint32_t) // width != a.n + 1 or size > <uint64_t>c.kv.settings.proto_max_bulk_len:
        reply_error(r, b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        return CALL_DONE
    cells = <uint32_t*>calloc((a.n + 1) * width, sizeof(uint32_t))
    if cells != NULL:
        for i in range(1, a.n + 1):
            for j in range(1, width):
                if a.p[i - 1] == b.p[j - 1]:
                    cells[i * width + j] = cells[(i - 1) * width + j - 1] + 1
                elif cells[(i - 1) * width + j] > cells[i * width + j - 1]:
                    cells[i * width + j] = cells[(i - 1) * width + j]
                else:
                    cells[i * width + j] = cells[i * width + j - 1]
        if not o.idx and not o.only_length:
            result = <char*>malloc(cells[a.n * width + b.n] + 1)
    if cells == NULL or (result == NULL and not o.idx and not o.only_length):
        reply_error(r, b"ERR Insufficient memory, failed allocating transient memory for LCS")
    elif o.only_length:
        reply_int(r, cells[a.n * width + b.n])
    else:
        walk(&a, &b, cells, result, &o, r)
        if not o.idx:
            reply_bulk(r, result, cells[a.n * width + b.n])
    free(result)
    free(cells)
    return CALL_DONE


registry_bind("lcs", cmd_lcs)
