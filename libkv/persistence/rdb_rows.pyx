"""Collections of files as rows of strings (contract: rdb_rows.pxd)."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from libkv.persistence.rdb_decode cimport rdb_fail, rdb_failed, rdb_get_count, rdb_get_element, rdb_no_memory
from libkv.persistence.rdb_flat cimport Flat, flat_packed_set, flat_set
from libkv.persistence.rdb_format cimport RDB_BAD, RDB_OK
from libkv.persistence.rio cimport source_spare, source_take
from libkv.structures.cell cimport Slice
from libkv.structures.hash cimport hash_free, hash_new, hash_new_table, hash_set
from libkv.structures.list cimport list_free, list_new, list_push
from libkv.structures.number cimport number_parse_double
from libkv.structures.packed cimport (
    PACKED_SCRATCH, packed_entry_write, packed_get, packed_read, packed_skip,
)
from libkv.structures.set cimport SET_PACKED_BYTES, SET_PACKED_MAX, set_add, set_free, set_new_ints, set_new_table
from libkv.structures.zset cimport ZSET_ADDED, zset_add, zset_free, zset_new, zset_new_tree

cdef extern from "<math.h>" nogil:
    double INFINITY

cdef enum:
    BLIND = 65536               # elements that are made room for when the input's size is not known


cdef int keep_element(Source* s, Slice* element, RdbError* e) noexcept nogil:
    """Copies an element aside, so that it outlives the next read."""
    cdef char* copy = source_spare(s, element.n)
    if copy == NULL:
        return rdb_no_memory(e, s)
    memcpy(copy, element.p, element.n)
    element.p = copy
    return RDB_OK


cdef inline uint64_t expected(Source* s, uint64_t n) noexcept nogil:
    """How many elements to make room for at once."""
    return n if s.total != <uint64_t>-1 or n < BLIND else BLIND


cdef int rows_list(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef Slice value
    cdef int code = rdb_get_count(s, &n, 1, e)
    if code != RDB_OK:
        return code
    if list_new(h, cell) != 0:
        return rdb_no_memory(e, s)
    while n and code == RDB_OK:
        n -= 1
        code = rdb_get_element(s, &value, e)
        if code == RDB_OK and list_push(h, cell, value.p, value.n, False, <int>limits.list_max_listpack_size) != 0:
            code = rdb_no_memory(e, s)
    if code != RDB_OK:
        list_free(h, cell)
    return code


cdef int gather_set(Source* s, uint64_t* n, Flat* f, Slice* odd, RdbError* e) noexcept nogil:
    """Reads short members as packed entries into the source's spare area, n[0] counting down; odd.p: one that is too long,
    where it ends."""
    cdef char* to = source_spare(s, SET_PACKED_MAX * (SET_PACKED_BYTES + 8))
    cdef int code
    odd.p = NULL
    if to == NULL:
        return rdb_no_memory(e, s)
    f.entries = to
    f.count = 0
    while n[0]:
        n[0] -= 1
        code = rdb_get_element(s, odd, e)
        if code != RDB_OK:
            return code
        if odd.n > SET_PACKED_BYTES:
            break
        to += packed_entry_write(to, odd.p, odd.n)
        odd.p = NULL
        f.count += 1
    f.bytes = to - f.entries
    return RDB_OK


cdef bint all_numbers(Flat* f) noexcept nogil:
    cdef const char* at = f.entries
    cdef Slice text
    cdef int64_t v
    while at < f.entries + f.bytes:
        if not packed_read(at, &text, &v):
            return False
        at += packed_skip(at)
    return True


cdef int get_small_set(Heap* h, Settings* limits, Source* s, uint64_t n, Cell* cell, RdbError* e) noexcept nogil:
    """A set that may fit in one buffer."""
    cdef Flat f
    cdef Slice odd
    cdef int code = gather_set(s, &n, &f, &odd, e)
    if code != RDB_OK:
        return code
    if odd.p == NULL:
        if all_numbers(&f):
            return flat_set(h, limits, s, &f, cell, e)
        return flat_packed_set(h, s, &f, cell, e)
    if set_new_table(h, cell, n + f.count + 1) != 0:
        return rdb_no_memory(e, s)
    code = add_entries(h, limits, s, &f, cell, e)
    if code == RDB_OK:
        code = add_member(h, limits, s, &odd, cell, e)
    return rest_of_set(h, limits, s, n, code, cell, e)


cdef int add_member(Heap* h, Settings* limits, Source* s, Slice* member, Cell* cell, RdbError* e) noexcept nogil:
    cdef int added = set_add(h, cell, member.p, member.n, 0, limits.set_max_intset_entries)
    if added < 0:
        return rdb_no_memory(e, s)
    return RDB_OK if added else rdb_fail(e, s, RDB_BAD, b"a set with the same member twice")


cdef int add_entries(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil:
    cdef const char* at = f.entries
    cdef Slice member
    cdef char scratch[PACKED_SCRATCH]
    cdef int code = RDB_OK
    while at < f.entries + f.bytes and code == RDB_OK:
        member = packed_get(at, scratch)
        at += packed_skip(at)
        code = add_member(h, limits, s, &member, cell, e)
    return code


cdef int rest_of_set(Heap* h, Settings* limits, Source* s, uint64_t n, int code, Cell* cell, RdbError* e) noexcept nogil:
    """The last n members, when `code` is RDB_OK; else the set is freed."""
    cdef Slice member
    while n and code == RDB_OK:
        n -= 1
        code = rdb_get_element(s, &member, e)
        if code == RDB_OK:
            code = add_member(h, limits, s, &member, cell, e)
    if code != RDB_OK:
        set_free(h, cell)
    return code


cdef int rows_set(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef int code = rdb_get_count(s, &n, 1, e)
    if code != RDB_OK:
        return code
    if n <= SET_PACKED_MAX:
        return get_small_set(h, limits, s, n, cell, e)
    if (set_new_table(h, cell, expected(s, n)) if n > <uint64_t>limits.set_max_intset_entries
            else set_new_ints(h, cell)) != 0:
        return rdb_no_memory(e, s)
    return rest_of_set(h, limits, s, n, RDB_OK, cell, e)


cdef int rows_hash(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef Slice field
    cdef Slice value
    cdef int added
    cdef int code = rdb_get_count(s, &n, 2, e)
    if code != RDB_OK:
        return code
    if (hash_new_table(h, cell, expected(s, n)) if n > <uint64_t>limits.hash_max_listpack_entries
            else hash_new(h, cell)) != 0:
        return rdb_no_memory(e, s)
    while n and code == RDB_OK:
        n -= 1
        code = rdb_get_element(s, &field, e)
        if code == RDB_OK:
            code = keep_element(s, &field, e)
        if code == RDB_OK:
            code = rdb_get_element(s, &value, e)
        if code == RDB_OK:
            added = hash_set(h, cell, field.p, field.n, 0, value.p, value.n, limits.hash_max_listpack_entries,
                             limits.hash_max_listpack_value)
            if added < 0:
                code = rdb_no_memory(e, s)
            elif added == 0:
                code = rdb_fail(e, s, RDB_BAD, b"a hash with the same field twice")
    if code != RDB_OK:
        hash_free(h, cell)
    return code


cdef int get_score_text(Source* s, double* score, RdbError* e) noexcept nogil:
    """A score as versions before 8 wrote it: its length (or 253 NaN, 254 inf, 255 -inf), its text."""
    cdef const char* p = source_take(s, 1)
    cdef int n
    if p == NULL:
        return rdb_failed(e, s, b"a score")
    n = <uint8_t>p[0]
    if n == 254 or n == 255:
        score[0] = INFINITY if n == 254 else -INFINITY
        return RDB_OK
    if n != 253:
        p = source_take(s, n)
        if p == NULL:
            return rdb_failed(e, s, b"a score")
        if number_parse_double(p, n, score):
            return RDB_OK
    return rdb_fail(e, s, RDB_BAD, b"a score that is no number")


cdef int get_score(Source* s, double* score, RdbError* e) noexcept nogil:
    cdef const char* p = source_take(s, 8)
    if p == NULL:
        return rdb_failed(e, s, b"a score")
    memcpy(score, p, 8)
    if score[0] != score[0]:
        return rdb_fail(e, s, RDB_BAD, b"a score that is no number")
    return RDB_OK


cdef int rows_zset(Heap* h, Settings* limits, Source* s, bint as_text, Cell* cell, RdbError* e) noexcept nogil:
    cdef uint64_t n
    cdef Slice member
    cdef double score = 0
    cdef int added
    cdef int code = rdb_get_count(s, &n, 2, e)
    if code != RDB_OK:
        return code
    if (zset_new_tree(h, cell, expected(s, n)) if n > <uint64_t>limits.zset_max_listpack_entries
            else zset_new(h, cell)) != 0:
        return rdb_no_memory(e, s)
    while n and code == RDB_OK:
        n -= 1
        code = rdb_get_element(s, &member, e)
        if code == RDB_OK:
            code = keep_element(s, &member, e)
        if code == RDB_OK:
            code = get_score_text(s, &score, e) if as_text else get_score(s, &score, e)
        if code == RDB_OK:
            added = zset_add(h, cell, &score, member.p, member.n, 0, 0, limits.zset_max_listpack_entries,
                             limits.zset_max_listpack_value)
            if added < 0:
                code = rdb_no_memory(e, s)
            elif added != ZSET_ADDED:
                code = rdb_fail(e, s, RDB_BAD, b"a sorted set with the same member twice")
    if code != RDB_OK:
        zset_free(h, cell)
    return code
