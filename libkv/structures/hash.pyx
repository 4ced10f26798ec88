"""Hashes (contract and layouts: hash.pxd)."""

from libc.stdint cimport int64_t

from libkv.structures.alloc cimport LIKELY, UNLIKELY, heap_alloc, heap_free, heap_resize, heap_size
from libkv.structures.cell cimport HASH_PACKED
from libkv.structures.packed cimport (
    PACKED_SCRATCH, packed_bytes, packed_check, packed_copy, packed_delete, packed_find, packed_first, packed_fits,
    packed_free, packed_get, packed_index, packed_insert, packed_length, packed_new, packed_next, packed_replace,
    packed_room,
)
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.random cimport random_below
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    PREFETCH, table_bytes, table_check, table_find, table_fit, table_free_some, table_init, table_insert, table_iter,
    table_next, table_random, table_remove, table_reserve, table_scan,
)

cdef enum:
    LONGEST = 0xffffffff        # bytes a field or value can have: their prefix counts 32 bits


# ---- items

cdef inline size_t item_read(const char* item, Slice* field, Slice* value) noexcept nogil:
    """Field and value; the item's size."""
    field.p = prefixed_read(item, &field.n)
    value.p = prefixed_read(field.p + field.n, &value.n)
    return value.p + value.n - item


cdef char* item_new(Heap* h, const char* p, size_t n, const char* value, size_t value_n) noexcept nogil:
    cdef char* item = <char*>heap_alloc(h, prefixed_size(n) + prefixed_size(value_n))
    if item != NULL:
        prefixed_write(item + prefixed_write(item, p, n), value, value_n)
    return item


cdef uint64_t item_free(Heap* h, void* item) noexcept nogil:
    """Returns the work it was: large pieces cost the system more."""
    cdef Slice field
    cdef Slice value
    cdef size_t size = item_read(<const char*>item, &field, &value)
    heap_free(h, item, size)
    return 1 + (size >> 12)


cdef int item_set_value(Heap* h, void** slot, const char* value, size_t value_n) noexcept nogil:
    """0, or -1 and nothing changed."""
    cdef char* item = <char*>slot[0]
    cdef Slice field
    cdef Slice old
    cdef size_t size = item_read(item, &field, &old)
    cdef size_t head = field.p + field.n - item
    cdef size_t new_size = head + prefixed_size(value_n)
    if new_size != size:
        item = <char*>heap_resize(h, item, size, new_size)
        if item == NULL:
            return -1
        slot[0] = item
    prefixed_write(item + head, value, value_n)
    return 0


cdef inline uint64_t known(Heap* h, const char* p, size_t n, uint64_t hash) noexcept nogil:
    return hash if hash else siphash(h.seed, p, n)


# ---- whole hashes

cdef int hash_new(Heap* h, Cell* cell) noexcept nogil:
    cell.layout = HASH_PACKED
    return packed_new(h, <char**>&cell.ptr)


cdef int hash_new_table(Heap* h, Cell* cell, uint64_t fields) noexcept nogil:
    cdef Table* t = <Table*>heap_alloc(h, sizeof(Table))
    if t == NULL:
        return -1
    table_init(t, 0)
    if fields > 0 and table_reserve(h, t, fields) != 0:
        heap_free(h, t, sizeof(Table))
        return -1
    cell.ptr = t
    cell.layout = HASH_TABLE
    return 0


cdef int table_add(Heap* h, Table* t, const char* p, size_t n, uint64_t hash, const char* value, size_t value_n) noexcept nogil:
    """Adds an absent field; 0 or -1."""
    cdef char* item = item_new(h, p, n, value, value_n)
    if item == NULL:
        return -1
    if table_insert(h, t, item, hash) != 0:
        item_free(h, item)
        return -1
    return 0


cdef int fill_table(Heap* h, Cell* source, Cell* table) noexcept nogil:
    """A new table with all of the source's pairs; 0, or -1 and nothing left of it."""
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if hash_new_table(h, table, hash_length(source)) != 0:
        return -1
    hash_iter(&it, source)
    while hash_next(&it, &field, &value, scratch):
        if table_add(h, <Table*>table.ptr, field.p, field.n, siphash(h.seed, field.p, field.n), value.p, value.n) != 0:
            hash_free(h, table)
            return -1
    return 0


cdef int hash_to_table(Heap* h, Cell* cell) noexcept nogil:
    cdef Cell table
    if cell.layout == HASH_TABLE:
        return 0
    if fill_table(h, cell, &table) != 0:
        return -1
    packed_free(h, <char*>cell.ptr)
    cell[0] = table
    return 0


cdef int hash_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil:
    if cell.layout == HASH_TABLE:
        return fill_table(h, cell, copy)
    copy.layout = HASH_PACKED
    return packed_copy(h, <char*>cell.ptr, <char**>&copy.ptr)


cdef uint64_t hash_length(Cell* cell) noexcept nogil:
    if cell.layout == HASH_TABLE:
        return (<Table*>cell.ptr).used
    return packed_length(<char*>cell.ptr) // 2


cdef bint hash_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil:
    if cell.layout == HASH_PACKED:
        packed_free(h, <char*>cell.ptr)
        cell.ptr = NULL
        return True
    if not table_free_some(h, <Table*>cell.ptr, item_free, budget):
        return False
    heap_free(h, cell.ptr, sizeof(Table))
    cell.ptr = NULL
    return True


cdef void hash_free(Heap* h, Cell* cell) noexcept nogil:
    hash_free_some(h, cell, <uint64_t>-1)


# ---- fields

cdef bint hash_get(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, Slice* value, char* scratch) noexcept nogil:
    cdef void** slot
    cdef char* b
    cdef char* at
    cdef Slice field
    if cell.layout == HASH_TABLE:
        slot = table_find(h, <Table*>cell.ptr, p, n, known(h, p, n, hash))
        if slot == NULL:
            return False
        item_read(<const char*>slot[0], &field, value)
        return True
    b = <char*>cell.ptr
    at = packed_find(b, packed_first(b), p, n, 1)
    if at == NULL:
        return False
    value[0] = packed_get(packed_next(b, at), scratch)
    return True


cdef int packed_set(Heap* h, Cell* cell, char* at, const char* p, size_t n, const char* value, size_t value_n) noexcept nogil:
    """Sets the field at `at`, or (NULL) adds it; 1 added, 0 replaced, -1."""
    cdef Slice pair[2]
    if at != NULL:
        at = packed_next(<char*>cell.ptr, at)
        return packed_replace(h, <char**>&cell.ptr, &at, value, value_n)
    pair[0].p = p
    pair[0].n = n
    pair[1].p = value
    pair[1].n = value_n
    return 1 if packed_insert(h, <char**>&cell.ptr, &at, pair, 2) == 0 else -1


cdef int hash_set(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, const char* value, size_t value_n,
                  uint64_t max_entries, uint64_t max_value) noexcept nogil:
    cdef void** slot
    cdef char* b
    cdef char* at
    if UNLIKELY(n > LONGEST or value_n > LONGEST):
        return -1
    if cell.layout == HASH_PACKED:
        b = <char*>cell.ptr
        if LIKELY(n <= max_value and value_n <= max_value and packed_fits(b, n + value_n)):
            at = packed_find(b, packed_first(b), p, n, 1)
            if LIKELY(packed_length(b) // 2 + (at == NULL) <= max_entries):
                return packed_set(h, cell, at, p, n, value, value_n)
        if hash_to_table(h, cell) != 0:
            return -1
    hash = known(h, p, n, hash)
    slot = table_find(h, <Table*>cell.ptr, p, n, hash)
    if slot != NULL:
        return item_set_value(h, slot, value, value_n)
    return 1 if table_add(h, <Table*>cell.ptr, p, n, hash, value, value_n) == 0 else -1


cdef int hash_remove(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil:
    cdef Table* t
    cdef void** slot
    cdef void* item
    cdef char* at
    if cell.layout == HASH_TABLE:
        t = <Table*>cell.ptr
        hash = known(h, p, n, hash)
        slot = table_find(h, t, p, n, hash)
        if slot == NULL:
            return 0
        item = slot[0]
        table_remove(h, t, slot, hash)
        item_free(h, item)
        table_fit(h, t)
        return 1
    at = packed_find(<char*>cell.ptr, packed_first(<char*>cell.ptr), p, n, 1)
    if at == NULL:
        return 0
    return 1 if packed_delete(h, <char**>&cell.ptr, &at, 2) == 0 else -1


# ---- many fields

cdef void hash_iter(HashIter* it, Cell* cell) noexcept nogil:
    it.cell = cell
    if cell.layout == HASH_TABLE:
        table_iter(&it.table, <Table*>cell.ptr)
    else:
        it.at = packed_first(<char*>cell.ptr)


cdef inline char* pair_at(char* b, char* at, Slice* field, Slice* value, char* scratch) noexcept nogil:
    """Reads the pair at `at`; the next one."""
    field[0] = packed_get(at, scratch)
    at = packed_next(b, at)
    value[0] = packed_get(at, scratch + PACKED_SCRATCH)
    return packed_next(b, at)


cdef bint hash_next(HashIter* it, Slice* field, Slice* value, char* scratch) noexcept nogil:
    cdef const char* item
    cdef int i
    if it.cell.layout == HASH_TABLE:
        item = <const char*>table_next(&it.table)
        if item == NULL:
            return False
        if it.table.b != NULL and it.table.slot == 1:       # a new bucket: the other items are needed next
            for i in range(1, 6):
                PREFETCH(it.table.b.item[i])
        item_read(item, field, value)
        return True
    if it.at == NULL:
        return False
    it.at = pair_at(<char*>it.cell.ptr, it.at, field, value, scratch)
    return True


cdef void hash_random(Cell* cell, Random* r, Slice* field, Slice* value, char* scratch) noexcept nogil:
    cdef char* b
    if cell.layout == HASH_TABLE:
        item_read(<const char*>table_random(<Table*>cell.ptr, r), field, value)
        return
    b = <char*>cell.ptr
    pair_at(b, packed_index(b, <int64_t>(2 * random_below(r, packed_length(b) // 2))), field, value, scratch)


cdef struct Scan:
    hash_visit visit
    void* arg


cdef void scan_item(void* item, void* arg) noexcept nogil:
    cdef Slice field
    cdef Slice value
    item_read(<const char*>item, &field, &value)
    (<Scan*>arg).visit(&field, &value, (<Scan*>arg).arg)


cdef uint64_t hash_scan(Cell* cell, uint64_t cursor, hash_visit visit, void* arg) noexcept nogil:
    cdef Scan s
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    if cell.layout == HASH_TABLE:
        s.visit = visit
        s.arg = arg
        return table_scan(<Table*>cell.ptr, cursor, scan_item, &s)
    hash_iter(&it, cell)
    while hash_next(&it, &field, &value, scratch):
        visit(&field, &value, arg)
    return 0


cdef uint64_t hash_bytes(Cell* cell, uint64_t samples) noexcept nogil:
    cdef Table* t
    cdef TableIter it
    cdef void* item
    cdef Slice field
    cdef Slice value
    cdef uint64_t bytes = 0
    cdef uint64_t n = 0
    if cell.layout == HASH_PACKED:
        return heap_size(packed_room(packed_bytes(<char*>cell.ptr)))
    t = <Table*>cell.ptr
    table_iter(&it, t)
    item = table_next(&it)
    while item != NULL and (samples == 0 or n < samples):
        bytes += heap_size(item_read(<const char*>item, &field, &value))
        n += 1
        item = table_next(&it)
    if n > 0 and n < t.used:
        bytes = <uint64_t>(<double>bytes / <double>n * <double>t.used)
    return sizeof(Table) + table_bytes(t) + bytes


# ---- invariants

cdef int hash_check(Heap* h, Cell* cell) noexcept nogil:
    """1-99 the table's or (+100) the buffer's own invariants, 201 a field without a value, 202 a field twice, 203 an
    iteration sees another number of fields."""
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef char* b = <char*>cell.ptr
    cdef uint64_t n = 0
    cdef int broken
    if cell.layout == HASH_TABLE:
        broken = table_check(h, <Table*>cell.ptr)
        if broken != 0:
            return broken
    else:
        broken = packed_check(b)
        if broken != 0:
            return 100 + broken
        if packed_length(b) % 2:
            return 201
    hash_iter(&it, cell)
    while hash_next(&it, &field, &value, scratch):
        n += 1
        if cell.layout == HASH_PACKED and it.at != NULL and packed_find(b, it.at, field.p, field.n, 1) != NULL:
            return 202
    return 0 if n == hash_length(cell) else 203
