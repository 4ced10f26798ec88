"""Small collections of files made ours (contract and layouts: rdb_flat.pxd)."""

from libc.stdint cimport int64_t, int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from libkv.persistence.rdb_decode cimport rdb_fail
from libkv.persistence.rdb_format cimport RDB_BAD, RDB_EMPTY, RDB_NO_MEMORY, RDB_OK
from libkv.persistence.rio cimport source_spare
from libkv.structures.cell cimport HASH_PACKED, LIST_CHUNKS, LIST_PACKED, SET_PACKED, ZSET_PACKED
from libkv.structures.chunk cimport List, chunks_add, chunks_of_entries
from libkv.structures.hash cimport hash_free, hash_new_table, hash_set
from libkv.structures.ints cimport ints_copy, ints_length, ints_validate
from libkv.structures.list cimport LIST_PACKED_MAX, list_push
from libkv.structures.number cimport number_parse_double, number_parse_i64
from libkv.structures.packed cimport (
    PACKED_EMPTY, PACKED_END, PACKED_HEADER, PACKED_SAFE, PACKED_SCRATCH, packed_body, packed_bytes, packed_entry_sound,
    packed_entry_write, packed_entry_write_int, packed_free, packed_from_entries, packed_get, packed_length, packed_read,
    packed_skip, packed_validate,
)
from libkv.structures.set cimport set_add, set_free, set_new, set_take_ints, set_to_table
from libkv.structures.zset cimport ZSET_ADDED, zset_add, zset_free, zset_new_tree
from libkv.structures.zset_flat cimport zset_compare

cdef extern from "<endian.h>" nogil:
    uint32_t be32toh(uint32_t)

cdef extern from *:
    """
    #define KV_FLAT_MIX 0x9e3779b97f4a7c15ULL
    """
    const uint64_t MIX "KV_FLAT_MIX"

cdef enum:
    ALONE = 512                 # bytes of a list's node that become a chunk of their own
    CHUNK_MAX = 0xFFFFFFF0      # bytes that a chunk can hold


# ---- listpacks

cdef inline size_t number_body(int64_t v) noexcept nogil:
    """Bytes that a number takes in a packed entry, without the back length."""
    if 0 <= v <= 127:
        return 1
    if -4096 <= v <= 4095:
        return 2
    if -32768 <= v <= 32767:
        return 3
    if -8388608 <= v <= 8388607:
        return 4
    if -2147483648 <= v <= 2147483647:
        return 5
    return 9


cdef inline bint shortest(const char* at) noexcept nogil:
    """Whether an entry has the form that packed_entry_write gives it: then equal values are equal bytes."""
    cdef Slice text
    cdef int64_t v
    cdef size_t body = packed_body(at)
    if packed_read(at, &text, &v):
        return body == number_body(v)
    if body != text.n + (1 if text.n < 64 else 2 if text.n < 4096 else 5):
        return False
    return text.n > 20 or not number_parse_i64(text.p, text.n, &v)


cdef int listpack_open(Source* s, Slice* raw, Flat* f, RdbError* e) noexcept nogil:
    cdef const char* at
    cdef const char* end
    cdef uint16_t count
    cdef bint as_it_is = True
    if not packed_validate(raw.p, raw.n, False):
        return rdb_fail(e, s, RDB_BAD, b"a listpack whose header doesn't agree with its size")
    f.entries = raw.p + PACKED_HEADER
    f.bytes = raw.n - PACKED_EMPTY
    f.count = 0
    at = f.entries
    end = at + f.bytes
    while at < end:
        if not packed_entry_sound(at, end):
            return rdb_fail(e, s, RDB_BAD, b"a listpack with a torn entry")
        as_it_is = as_it_is and shortest(at)
        f.count += 1
        at += packed_skip(at)
    memcpy(&count, raw.p + 4, 2)
    if count != 65535 and count != f.count:
        return rdb_fail(e, s, RDB_BAD, b"a listpack whose entries don't agree with its count")
    return RDB_OK if as_it_is else listpack_shorten(s, f, e)


cdef int listpack_shorten(Source* s, Flat* f, RdbError* e) noexcept nogil:
    """The same entries, each in its shortest form, with room for a header in front and an end behind."""
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef char* to = source_spare(s, 2 * f.bytes + 16)
    cdef Slice text
    cdef char scratch[PACKED_SCRATCH]
    if to == NULL:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    to += PACKED_HEADER
    f.entries = to
    while at < end:
        text = packed_get(at, scratch)
        to += packed_entry_write(to, text.p, text.n)
        at += packed_skip(at)
    f.bytes = to - f.entries
    return RDB_OK


cdef int flat_listpack(Source* s, Slice* raw, RdbError* e) noexcept nogil:
    cdef Flat f
    cdef char* whole
    cdef uint32_t bytes
    cdef int code = listpack_open(s, raw, &f, e)
    if code != RDB_OK or f.entries == raw.p + PACKED_HEADER:
        return code
    bytes = <uint32_t>(f.bytes + PACKED_EMPTY)          # no more than it was
    whole = <char*>f.entries - PACKED_HEADER
    memcpy(whole, &bytes, 4)
    memcpy(whole + 4, raw.p + 4, 2)
    whole[bytes - 1] = <char>PACKED_END
    raw.p = whole
    raw.n = bytes
    return RDB_OK


# ---- ziplists

cdef struct ZiplistEntry:
    Slice text                  # p NULL: the number
    int64_t number
    size_t size                 # of the whole entry


cdef bint ziplist_number(const uint8_t* p, size_t left, ZiplistEntry* z, size_t head) noexcept nogil:
    """Reads an integer entry whose encoding byte is p[0]."""
    cdef int16_t i16
    cdef int32_t i32
    cdef uint32_t u
    cdef size_t n = 0
    if p[0] == 0xC0:
        n = 2
    elif p[0] == 0xD0:
        n = 4
    elif p[0] == 0xE0:
        n = 8
    elif p[0] == 0xF0:
        n = 3
    elif p[0] == 0xFE:
        n = 1
    elif not 0xF1 <= p[0] <= 0xFD:
        return False
    if n > left - 1:
        return False
    if n == 0:
        z.number = p[0] - 0xF1
    elif n == 1:
        z.number = <int8_t>p[1]
    elif n == 2:
        memcpy(&i16, p + 1, 2)
        z.number = i16
    elif n == 3:
        u = p[1] | (<uint32_t>p[2] << 8) | (<uint32_t>p[3] << 16)
        z.number = <int64_t>u - (1 << 24 if u >> 23 else 0)
    elif n == 4:
        memcpy(&i32, p + 1, 4)
        z.number = i32
    else:
        memcpy(&z.number, p + 1, 8)
    z.text.p = NULL
    z.size = head + 1 + n
    return True


cdef bint ziplist_entry(const uint8_t* p, size_t left, size_t before, ZiplistEntry* z) noexcept nogil:
    """Reads the entry at p, `left` bytes before the end mark; the one before it took `before` bytes."""
    cdef uint32_t long_n
    cdef size_t head = 1
    cdef size_t said = p[0]
    cdef size_t n
    if p[0] == 0xFF:
        return False
    if p[0] == 0xFE:
        if left < 5:
            return False
        memcpy(&long_n, p + 1, 4)
        said = long_n
        head = 5
    if said != before or left <= head:
        return False
    p += head
    left -= head
    if p[0] >= 0xC0:
        return ziplist_number(p, left, z, head)
    if p[0] < 0x40:
        n = p[0]
        head += 1
        left -= 1
        p += 1
    elif p[0] < 0x80:
        if left < 2:
            return False
        n = (<size_t>(p[0] & 0x3F) << 8) | p[1]
        head += 2
        left -= 2
        p += 2
    else:
        if left < 5:
            return False
        memcpy(&long_n, p + 1, 4)
        n = be32toh(long_n)
        head += 5
        left -= 5
        p += 5
    if n > left:
        return False
    z.text.p = <const char*>p
    z.text.n = n
    z.size = head + n
    return True


cdef int ziplist_open(Source* s, Slice* raw, Flat* f, RdbError* e) noexcept nogil:
    cdef const uint8_t* p = <const uint8_t*>raw.p
    cdef uint32_t bytes = 0
    cdef uint32_t last = 0
    cdef uint16_t count = 0
    cdef size_t at = 10
    cdef size_t before = 0
    cdef size_t last_at = 10
    cdef char* to
    cdef ZiplistEntry z
    if raw.n >= 11:
        memcpy(&bytes, p, 4)
        memcpy(&last, p + 4, 4)
        memcpy(&count, p + 8, 2)
    if raw.n < 11 or bytes != raw.n or p[raw.n - 1] != 0xFF:
        return rdb_fail(e, s, RDB_BAD, b"a ziplist whose header doesn't agree with its size")
    to = source_spare(s, 2 * raw.n + 16)
    if to == NULL:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    f.entries = to
    f.count = 0
    while at < raw.n - 1:
        if not ziplist_entry(p + at, raw.n - 1 - at, before, &z):
            return rdb_fail(e, s, RDB_BAD, b"a ziplist with a torn entry")
        if z.text.p == NULL:
            to += packed_entry_write_int(to, z.number)
        else:
            to += packed_entry_write(to, z.text.p, z.text.n)
        last_at = at
        at += z.size
        before = z.size
        f.count += 1
    f.bytes = to - f.entries
    if last != last_at or (count != 65535 and count != f.count):
        return rdb_fail(e, s, RDB_BAD, b"a ziplist whose entries don't agree with its header")
    return RDB_OK


# ---- zipmaps

cdef bint zipmap_length(Slice* rest, uint32_t* n) noexcept nogil:
    """Takes a length; False: there is none."""
    cdef const uint8_t* p = <const uint8_t*>rest.p
    if rest.n < 1 or p[0] == 0xFF:
        return False
    n[0] = p[0]
    if p[0] == 0xFE:
        if rest.n < 5:
            return False
        memcpy(n, p + 1, 4)
        rest.p += 4
        rest.n -= 4
    rest.p += 1
    rest.n -= 1
    return True


cdef int zipmap_open(Source* s, Slice* raw, Flat* f, RdbError* e) noexcept nogil:
    cdef Slice rest
    cdef uint32_t n
    cdef size_t spare
    cdef char* to
    cdef bint is_value = False
    if raw.n < 2 or <uint8_t>raw.p[raw.n - 1] != 0xFF:
        return rdb_fail(e, s, RDB_BAD, b"a zipmap without its end")
    to = source_spare(s, 3 * raw.n + 16)
    if to == NULL:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    f.entries = to
    f.count = 0
    rest.p = raw.p + 1
    rest.n = raw.n - 2
    while rest.n or is_value:
        if not zipmap_length(&rest, &n):
            return rdb_fail(e, s, RDB_BAD, b"a zipmap with a torn length")
        spare = 0
        if is_value:
            if rest.n < 1:
                return rdb_fail(e, s, RDB_BAD, b"a zipmap with a torn value")
            spare = <uint8_t>rest.p[0]
            rest.p += 1
            rest.n -= 1
        if n > rest.n or spare > rest.n - n:
            return rdb_fail(e, s, RDB_BAD, b"a zipmap with a torn string")
        to += packed_entry_write(to, rest.p, n)
        f.count += 1
        rest.p += n + spare
        rest.n -= n + spare
        is_value = not is_value
    f.bytes = to - f.entries
    if <uint8_t>raw.p[0] < 254 and <uint8_t>raw.p[0] != f.count // 2:
        return rdb_fail(e, s, RDB_BAD, b"a zipmap whose fields don't agree with its count")
    return RDB_OK


cdef int flat_open(Source* s, int kind, Slice* raw, Flat* f, RdbError* e) noexcept nogil:
    if kind == FLAT_LISTPACK:
        return listpack_open(s, raw, f, e)
    if kind == FLAT_ZIPLIST:
        return ziplist_open(s, raw, f, e)
    return zipmap_open(s, raw, f, e)


# ---- duplicates

cdef inline uint64_t entry_hash(uint64_t seed, const char* p, size_t n) noexcept nogil:
    """Of an entry's bytes: keyed, so that nobody can choose entries that collide, and cheap, because each takes part in one
    small table only."""
    cdef uint64_t w
    cdef uint64_t hash = seed ^ (<uint64_t>n * MIX)
    while n >= 8:
        memcpy(&w, p, 8)
        hash = (hash ^ w) * MIX
        hash ^= hash >> 29
        p += 8
        n -= 8
    w = 0
    while n:
        n -= 1
        w = (w << 8) | <uint8_t>p[n]
    hash = (hash ^ w) * MIX
    return hash ^ (hash >> 32)


cdef int flat_distinct(Heap* h, Source* s, Flat* f, uint32_t skip, RdbError* e) noexcept nogil:
    """Whether no entry is there twice, each being followed by `skip` that don't count.  A place of the table: 32 bits of the
    hash, and where the entry is."""
    cdef size_t places = 16
    cdef size_t body
    cdef size_t i
    cdef uint64_t hash
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef const char* other
    cdef uint32_t _k
    while places < 2 * f.count:
        places *= 2
    if places > s.seen_room:
        free(s.seen)
        s.seen_room = 0
        s.seen = <uint64_t*>malloc(places * sizeof(uint64_t))
        if s.seen == NULL:
            return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
        s.seen_room = places
    memset(s.seen, 0, places * sizeof(uint64_t))
    while at < end:
        body = packed_body(at)
        hash = entry_hash(h.seed[0], at, body)
        i = hash & (places - 1)
        while s.seen[i] != 0:
            if s.seen[i] >> 32 == hash >> 32:
                other = f.entries + <uint32_t>s.seen[i] - 1
                if packed_body(other) == body and memcmp(other, at, body) == 0:
                    return rdb_fail(e, s, RDB_BAD, b"a collection with the same member twice")
            i = (i + 1) & (places - 1)
        s.seen[i] = (hash & ~<uint64_t>0xffffffff) | (<uint64_t>(at - f.entries) + 1)
        at += packed_skip(at)
        for _k in range(skip):
            at += packed_skip(at)
    return RDB_OK


cdef inline int flat_pairs(Source* s, Flat* f, RdbError* e) noexcept nogil:
    if f.count == 0:
        return rdb_fail(e, s, RDB_EMPTY, b"an empty collection")
    if f.count % 2:
        return rdb_fail(e, s, RDB_BAD, b"a member without its value or score")
    return RDB_OK


cdef int flat_copy(Heap* h, Source* s, Flat* f, Cell* cell, int layout, RdbError* e) noexcept nogil:
    cell.layout = <uint8_t>layout
    if packed_from_entries(h, <char**>&cell.ptr, f.entries, f.bytes, f.count) != 0:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    return RDB_OK


# ---- collections

cdef int flat_hash(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil:
    cdef int code = flat_pairs(s, f, e)
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef Slice field
    cdef Slice value
    cdef char scratch[2 * PACKED_SCRATCH]
    cdef int added
    if code != RDB_OK:
        return code
    if f.count // 2 <= <uint64_t>limits.hash_max_listpack_entries and f.bytes < PACKED_SAFE:
        code = flat_distinct(h, s, f, 1, e)
        return code if code != RDB_OK else flat_copy(h, s, f, cell, HASH_PACKED, e)
    if hash_new_table(h, cell, f.count // 2) != 0:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    while at < end:
        field = packed_get(at, scratch)
        at += packed_skip(at)
        value = packed_get(at, scratch + PACKED_SCRATCH)
        at += packed_skip(at)
        added = hash_set(h, cell, field.p, field.n, 0, value.p, value.n, 0, 0)
        if added != 1:
            hash_free(h, cell)
            if added < 0:
                return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
            return rdb_fail(e, s, RDB_BAD, b"a hash with the same field twice")
    return RDB_OK


cdef bint score_read(const char* at, double* score) noexcept nogil:
    """Reads a score entry; False: it is none.  Its text stays what it is, as in Redis: newer versions print fewer digits."""
    cdef Slice text
    cdef int64_t v
    if packed_read(at, &text, &v):
        score[0] = <double>v
        return True
    return number_parse_double(text.p, text.n, score) and score[0] == score[0]


cdef int zset_look(Source* s, Flat* f, RdbError* e) noexcept nogil:
    """Whether scores are numbers and pairs in order."""
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef Slice member
    cdef Slice before
    cdef char scratch[2][PACKED_SCRATCH]
    cdef int turn = 0
    cdef double score
    cdef double last = 0
    cdef bint first = True
    before.p = NULL
    before.n = 0
    while at < end:
        member = packed_get(at, scratch[turn])
        at += packed_skip(at)
        if not score_read(at, &score):
            return rdb_fail(e, s, RDB_BAD, b"a sorted set with a score that is no number")
        at += packed_skip(at)
        if not first and (score < last or (score == last and zset_compare(before.p, before.n, member.p, member.n) >= 0)):
            return rdb_fail(e, s, RDB_BAD, b"a sorted set whose members are out of order")
        first = False
        last = score
        before = member
        turn = 1 - turn
    return RDB_OK


cdef int flat_zset(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil:
    cdef int code = flat_pairs(s, f, e)
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef bint small = f.count // 2 <= <uint64_t>limits.zset_max_listpack_entries and f.bytes < PACKED_SAFE
    cdef Slice member
    cdef char scratch[PACKED_SCRATCH]
    cdef double score = 0
    cdef int added
    if code == RDB_OK:
        code = zset_look(s, f, e)
    if code == RDB_OK and small:
        code = flat_distinct(h, s, f, 1, e)
    if code != RDB_OK:
        return code
    if small:
        return flat_copy(h, s, f, cell, ZSET_PACKED, e)
    if zset_new_tree(h, cell, f.count // 2) != 0:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    while at < end:
        member = packed_get(at, scratch)
        at += packed_skip(at)
        score_read(at, &score)
        at += packed_skip(at)
        added = zset_add(h, cell, &score, member.p, member.n, 0, 0, 0, 0)
        if added != ZSET_ADDED:
            zset_free(h, cell)
            if added < 0:
                return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
            return rdb_fail(e, s, RDB_BAD, b"a sorted set with the same member twice")
    return RDB_OK


cdef int flat_set(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil:
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef Slice member
    cdef char scratch[PACKED_SCRATCH]
    cdef int added
    if f.count == 0:
        return rdb_fail(e, s, RDB_EMPTY, b"an empty collection")
    member = packed_get(at, scratch)
    if set_new(h, cell, member.p, member.n) != 0:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    while at < end:
        member = packed_get(at, scratch)
        at += packed_skip(at)
        added = set_add(h, cell, member.p, member.n, 0, limits.set_max_intset_entries)
        if added != 1:
            set_free(h, cell)
            if added < 0:
                return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
            return rdb_fail(e, s, RDB_BAD, b"a set with the same member twice")
    return RDB_OK


cdef int flat_packed_set(Heap* h, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil:
    cdef int code = flat_distinct(h, s, f, 0, e)
    return code if code != RDB_OK else flat_copy(h, s, f, cell, SET_PACKED, e)


cdef int flat_ints(Heap* h, Settings* limits, Source* s, Slice* raw, Cell* cell, RdbError* e) noexcept nogil:
    cdef char* ints = NULL
    if not ints_validate(raw.p, raw.n, True):
        return rdb_fail(e, s, RDB_BAD, b"an intset that is torn or out of order")
    if ints_copy(h, raw.p, &ints) != 0:
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    set_take_ints(cell, ints)
    if ints_length(ints) > <uint64_t>limits.set_max_intset_entries and set_to_table(h, cell) != 0:
        set_free(h, cell)
        return rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
    return RDB_OK


cdef int list_as_chunks(Heap* h, Cell* cell) noexcept nogil:
    cdef char* b = <char*>cell.ptr
    cdef List* chain
    if cell.layout == LIST_CHUNKS:
        return 0
    chain = chunks_of_entries(h, b + PACKED_HEADER, packed_bytes(b) - PACKED_EMPTY, packed_length(b), False)
    if chain == NULL:
        return -1
    packed_free(h, b)
    cell.ptr = chain
    cell.layout = LIST_CHUNKS
    return 0


cdef int flat_list_add(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil:
    cdef const char* at = f.entries
    cdef const char* end = at + f.bytes
    cdef char* whole = NULL
    cdef Slice value
    cdef char scratch[PACKED_SCRATCH]
    cdef int failed = 0
    if cell.layout == LIST_PACKED and packed_length(<char*>cell.ptr) == 0 and PACKED_EMPTY + f.bytes <= LIST_PACKED_MAX:
        failed = packed_from_entries(h, &whole, f.entries, f.bytes, f.count)
        if failed == 0:
            packed_free(h, <char*>cell.ptr)
            cell.ptr = whole
    elif f.bytes >= ALONE:
        failed = list_as_chunks(h, cell) if f.bytes <= CHUNK_MAX and f.count <= CHUNK_MAX else -1
        if failed == 0:
            failed = chunks_add(h, <List*>cell.ptr, f.entries, f.bytes, <uint32_t>f.count)
    else:
        while at < end and failed == 0:
            value = packed_get(at, scratch)
            failed = list_push(h, cell, value.p, value.n, False, <int>limits.list_max_listpack_size)
            at += packed_skip(at)
    return RDB_OK if failed == 0 else rdb_fail(e, s, RDB_NO_MEMORY, b"no memory")
