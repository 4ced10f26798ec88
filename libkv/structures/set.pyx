"""Sets (contract and layouts: set.pxd)."""

from libc.stdint cimport uint32_t

from libkv.structures.alloc cimport heap_alloc, heap_free, heap_size
from libkv.structures.cell cimport SET_INTS, SET_PACKED
from libkv.structures.ints cimport (
    ints_add, ints_bytes, ints_check, ints_contains, ints_copy, ints_free, ints_get, ints_length, ints_new, ints_random,
    ints_remove,
)
from libkv.structures.number cimport number_parse_i64, number_print_i64
from libkv.structures.packed cimport (
    packed_append, packed_append_int, packed_bytes, packed_check, packed_copy, packed_delete, packed_find,
    packed_first, packed_free, packed_get, packed_index, packed_length, packed_new, packed_next, packed_room,
)
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.random cimport random_below
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    table_bytes, table_check, table_find, table_fit, table_free_some, table_init, table_insert, table_iter, table_next,
    table_random, table_remove, table_reserve, table_scan,
)


# ---- SET_TABLE's items

cdef inline size_t set_item_size(const char* item) noexcept nogil:
    cdef size_t n
    prefixed_read(item, &n)
    return prefixed_size(n)


cdef uint64_t set_item_free(Heap* h, void* item) noexcept nogil:
    heap_free(h, item, set_item_size(<char*>item))
    return 1


cdef int set_table_put(Heap* h, Table* t, const char* p, size_t n, uint64_t hash) noexcept nogil:
    """Adds a member that is not there; 0 or -1."""
    cdef char* item
    if n > <size_t>0xFFFFFFFF - 5:
        return -1
    item = <char*>heap_alloc(h, prefixed_size(n))
    if item == NULL:
        return -1
    prefixed_write(item, p, n)
    if table_insert(h, t, item, hash if hash else siphash(h.seed, p, n)) != 0:
        heap_free(h, item, prefixed_size(n))
        return -1
    return 0


cdef Table* set_table_new(Heap* h, uint64_t members) noexcept nogil:
    cdef Table* t = <Table*>heap_alloc(h, sizeof(Table))
    if t == NULL:
        return NULL
    table_init(t, 0)
    if table_reserve(h, t, members if members else 1) != 0:
        heap_free(h, t, sizeof(Table))
        return NULL
    return t


cdef void set_table_free(Heap* h, Table* t) noexcept nogil:
    while not table_free_some(h, t, set_item_free, <uint64_t>1 << 40):
        pass
    heap_free(h, t, sizeof(Table))


# ---- made, converted, copied

cdef int set_new(Heap* h, Cell* cell, const char* p, size_t n) noexcept nogil:
    """An empty set laid out for its first member p; 0 or -1."""
    cdef int64_t v
    if number_parse_i64(p, n, &v):
        return set_new_ints(h, cell)
    if n > SET_PACKED_BYTES:
        return set_new_table(h, cell, 1)
    cell.layout = SET_PACKED
    return packed_new(h, <char**>&cell.ptr)


cdef int set_new_ints(Heap* h, Cell* cell) noexcept nogil:
    cell.layout = SET_INTS
    return ints_new(h, <char**>&cell.ptr)


cdef int set_new_table(Heap* h, Cell* cell, uint64_t members) noexcept nogil:
    cell.ptr = set_table_new(h, members)
    cell.layout = SET_TABLE
    return 0 if cell.ptr != NULL else -1


cdef void set_take_ints(Cell* cell, char* ints) noexcept nogil:
    cell.ptr = ints
    cell.layout = SET_INTS


cdef int set_fill_table(Heap* h, Cell* cell, Cell* into) noexcept nogil:
    """Every member of cell in a new SET_TABLE; 0 or -1."""
    cdef SetIter it
    cdef Slice s
    cdef char scratch[24]
    if set_new_table(h, into, set_length(cell)) != 0:
        return -1
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        if set_table_put(h, <Table*>into.ptr, s.p, s.n, 0) != 0:
            set_table_free(h, <Table*>into.ptr)
            return -1
    return 0


cdef int set_to_table(Heap* h, Cell* cell) noexcept nogil:
    """Makes it a SET_TABLE; 0, or -1 with nothing changed."""
    cdef Cell table
    if cell.layout == SET_TABLE:
        return 0
    if set_fill_table(h, cell, &table) != 0:
        return -1
    set_free(h, cell)
    cell[0] = table
    return 0


cdef int set_to_packed(Heap* h, Cell* cell) noexcept nogil:
    """Makes a SET_INTS a SET_PACKED; 0, or -1 with nothing changed."""
    cdef char* ints = <char*>cell.ptr
    cdef char* b = NULL
    cdef uint32_t i
    if packed_new(h, &b) != 0:
        return -1
    for i in range(ints_length(ints)):
        if packed_append_int(h, &b, ints_get(ints, i)) != 0:
            packed_free(h, b)
            return -1
    ints_free(h, ints)
    cell.ptr = b
    cell.layout = SET_PACKED
    return 0


cdef int set_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil:
    """An equal set in copy; 0 or -1."""
    if cell.layout == SET_TABLE:
        return set_fill_table(h, cell, copy)
    copy.layout = cell.layout
    if cell.layout == SET_INTS:
        return ints_copy(h, <char*>cell.ptr, <char**>&copy.ptr)
    return packed_copy(h, <char*>cell.ptr, <char**>&copy.ptr)


# ---- members

cdef uint64_t set_length(Cell* cell) noexcept nogil:
    if cell.layout == SET_TABLE:
        return (<Table*>cell.ptr).used
    if cell.layout == SET_INTS:
        return ints_length(<char*>cell.ptr)
    return packed_length(<char*>cell.ptr)


cdef bint set_contains(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil:
    cdef int64_t v
    cdef char* b = <char*>cell.ptr
    if cell.layout == SET_TABLE:
        return table_find(h, <Table*>b, p, n, hash if hash else siphash(h.seed, p, n)) != NULL
    if cell.layout == SET_INTS:
        return number_parse_i64(p, n, &v) and ints_contains(b, v)
    return packed_find(b, packed_first(b), p, n, 0) != NULL


cdef int set_add(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, uint64_t max_ints) noexcept nogil:
    cdef int64_t v
    cdef char* b
    if cell.layout == SET_INTS:
        b = <char*>cell.ptr
        if number_parse_i64(p, n, &v):
            if ints_length(b) < max_ints or ints_contains(b, v):
                return ints_add(h, <char**>&cell.ptr, v)
        if ints_length(b) < SET_PACKED_MAX and n <= SET_PACKED_BYTES:
            if set_to_packed(h, cell) != 0:
                return -1
            return -1 if packed_append(h, <char**>&cell.ptr, p, n) != 0 else 1
        if set_to_table(h, cell) != 0:
            return -1
    elif cell.layout == SET_PACKED:
        b = <char*>cell.ptr
        if packed_find(b, packed_first(b), p, n, 0) != NULL:
            return 0
        if packed_length(b) < SET_PACKED_MAX and n <= SET_PACKED_BYTES:
            return -1 if packed_append(h, <char**>&cell.ptr, p, n) != 0 else 1
        if set_to_table(h, cell) != 0:
            return -1
    if hash == 0:
        hash = siphash(h.seed, p, n)
    if table_find(h, <Table*>cell.ptr, p, n, hash) != NULL:
        return 0
    return -1 if set_table_put(h, <Table*>cell.ptr, p, n, hash) != 0 else 1


cdef int set_remove(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil:
    cdef int64_t v
    cdef char* at
    cdef void** slot
    cdef void* item
    cdef Table* t
    if cell.layout == SET_INTS:
        return ints_remove(h, <char**>&cell.ptr, v) if number_parse_i64(p, n, &v) else 0
    if cell.layout == SET_PACKED:
        at = packed_find(<char*>cell.ptr, packed_first(<char*>cell.ptr), p, n, 0)
        if at == NULL:
            return 0
        return -1 if packed_delete(h, <char**>&cell.ptr, &at, 1) != 0 else 1
    t = <Table*>cell.ptr
    if hash == 0:
        hash = siphash(h.seed, p, n)
    slot = table_find(h, t, p, n, hash)
    if slot == NULL:
        return 0
    item = slot[0]
    table_remove(h, t, slot, hash)
    set_item_free(h, item)
    table_fit(h, t)
    return 1


cdef inline Slice set_item_slice(void* item) noexcept nogil:
    cdef Slice s
    s.p = prefixed_read(<char*>item, &s.n)
    return s


cdef inline Slice set_int_slice(int64_t v, char* scratch) noexcept nogil:
    cdef Slice s
    s.p = scratch
    s.n = number_print_i64(scratch, v)
    return s


cdef Slice set_random(Cell* cell, Random* r, char* scratch) noexcept nogil:
    cdef char* b = <char*>cell.ptr
    if cell.layout == SET_TABLE:
        return set_item_slice(table_random(<Table*>b, r))
    if cell.layout == SET_INTS:
        return set_int_slice(ints_random(b, r), scratch)
    return packed_get(packed_index(b, random_below(r, packed_length(b))), scratch)


# ---- iteration

cdef void set_iter(SetIter* it, Cell* cell) noexcept nogil:
    it.cell = cell
    it.i = 0
    it.at = NULL
    if cell.layout == SET_TABLE:
        table_iter(&it.table, <Table*>cell.ptr)
    elif cell.layout == SET_PACKED:
        it.at = packed_first(<char*>cell.ptr)


cdef bint set_next(SetIter* it, Slice* member, char* scratch) noexcept nogil:
    cdef void* item
    if it.cell.layout == SET_TABLE:
        item = table_next(&it.table)
        if item == NULL:
            return False
        member[0] = set_item_slice(item)
        return True
    if it.cell.layout == SET_INTS:
        if it.i >= ints_length(<char*>it.cell.ptr):
            return False
        member[0] = set_int_slice(ints_get(<char*>it.cell.ptr, <uint32_t>it.i), scratch)
        it.i += 1
        return True
    if it.at == NULL:
        return False
    member[0] = packed_get(it.at, scratch)
    it.at = packed_next(<char*>it.cell.ptr, it.at)
    return True


cdef struct SetVisit:
    set_visit visit
    void* arg


cdef void set_visit_item(void* item, void* arg) noexcept nogil:
    cdef SetVisit* v = <SetVisit*>arg
    cdef Slice s = set_item_slice(item)
    v.visit(s.p, s.n, v.arg)


cdef uint64_t set_scan(Cell* cell, uint64_t cursor, set_visit visit, void* arg) noexcept nogil:
    cdef SetVisit v
    cdef SetIter it
    cdef Slice s
    cdef char scratch[24]
    if cell.layout == SET_TABLE:
        v.visit = visit
        v.arg = arg
        return table_scan(<Table*>cell.ptr, cursor, set_visit_item, &v)
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        visit(s.p, s.n, arg)
    return 0


# ---- memory and invariants

cdef uint64_t set_bytes(Cell* cell, uint64_t samples) noexcept nogil:
    cdef TableIter it
    cdef void* item
    cdef uint64_t seen = 0
    cdef uint64_t bytes = 0
    cdef Table* t
    if cell.layout == SET_INTS:
        return heap_size(packed_room(ints_bytes(<char*>cell.ptr)))
    if cell.layout == SET_PACKED:
        return heap_size(packed_room(packed_bytes(<char*>cell.ptr)))
    t = <Table*>cell.ptr
    table_iter(&it, t)
    while samples == 0 or seen < samples:
        item = table_next(&it)
        if item == NULL:
            break
        bytes += heap_size(set_item_size(<char*>item))
        seen += 1
    if seen:
        bytes = <uint64_t>(<double>bytes / seen * t.used)
    return sizeof(Table) + table_bytes(t) + bytes


cdef bint set_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil:
    if cell.layout != SET_TABLE:
        set_free(h, cell)
        return True
    if not table_free_some(h, <Table*>cell.ptr, set_item_free, budget):
        return False
    heap_free(h, cell.ptr, sizeof(Table))
    cell.ptr = NULL
    return True


cdef void set_free(Heap* h, Cell* cell) noexcept nogil:
    if cell.layout == SET_TABLE:
        set_table_free(h, <Table*>cell.ptr)
    elif cell.layout == SET_INTS:
        ints_free(h, <char*>cell.ptr)
    else:
        packed_free(h, <char*>cell.ptr)
    cell.ptr = NULL


cdef int set_check(Heap* h, Cell* cell) noexcept nogil:
    """ints_check's and table_check's numbers; packed_check's plus 10; 20 a SET_PACKED is too long, 21 a member of it too
    large, 22 a member of it twice, 23 no layout."""
    cdef char* b = <char*>cell.ptr
    cdef char* at
    cdef Slice s
    cdef char scratch[24]
    cdef int broken
    if cell.layout == SET_TABLE:
        return table_check(h, <Table*>b)
    if cell.layout == SET_INTS:
        return ints_check(b)
    if cell.layout != SET_PACKED:
        return 23
    broken = packed_check(b)
    if broken:
        return broken + 10
    if packed_length(b) > SET_PACKED_MAX:
        return 20
    at = packed_first(b)
    while at != NULL:
        s = packed_get(at, scratch)
        if s.n > SET_PACKED_BYTES:
            return 21
        if packed_find(b, packed_first(b), s.p, s.n, 0) != at:
            return 22
        at = packed_next(b, at)
    return 0
