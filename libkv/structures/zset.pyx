"""Sorted sets (contract and layouts: zset.pxd)."""

from libc.math cimport isnan
from libc.string cimport memcpy

from libkv.structures.alloc cimport LIKELY, UNLIKELY, heap_alloc, heap_free, heap_size
from libkv.structures.cell cimport ZSET_PACKED
from libkv.structures.number cimport NUMBER_DOUBLE
from libkv.structures.order cimport (
    ORDER_BY_MEMBER, order_at, order_bytes, order_check, order_first, order_free_some, order_init, order_insert,
    order_move, order_next, order_prev, order_rank, order_remove, order_remove_range,
)
from libkv.structures.packed cimport (
    packed_bytes, packed_check, packed_copy, packed_delete, packed_find, packed_first, packed_fits, packed_free,
    packed_get, packed_index, packed_insert, packed_length, packed_new, packed_next, packed_prev, packed_room,
)
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.random cimport random_below
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    PREFETCH, table_bytes, table_check, table_find, table_fit, table_free_some, table_init, table_insert, table_remove,
    table_reserve, table_scan,
)
from libkv.structures.zset_flat cimport zset_compare, zset_flat_put, zset_flat_rescore, zset_flat_score, zset_flat_text

cdef enum:
    LONGEST = 0xffffffff        # bytes a member can have: its prefix counts 32 bits
    AHEAD = 4                   # items fetched ahead of an iteration


# ---- items

cdef inline double item_score(const void* item) noexcept nogil:
    cdef double score
    memcpy(&score, item, 8)
    return score


cdef inline void item_member(const void* item, Slice* member) noexcept nogil:
    member.p = prefixed_read(<const char*>item + 8, &member.n)


cdef inline size_t item_size(const void* item) noexcept nogil:
    cdef Slice member
    item_member(item, &member)
    return member.p + member.n - <const char*>item


cdef char* item_new(Heap* h, double score, const char* p, size_t n) noexcept nogil:
    cdef char* item = <char*>heap_alloc(h, 8 + prefixed_size(n))
    if item != NULL:
        memcpy(item, &score, 8)
        prefixed_write(item + 8, p, n)
    return item


cdef uint64_t item_free(Heap* h, void* item) noexcept nogil:
    """Returns the work it was: large pieces cost the system more."""
    cdef size_t size = item_size(item)
    heap_free(h, item, size)
    return 1 + (size >> 12)


cdef inline uint64_t known(Heap* h, const char* p, size_t n, uint64_t hash) noexcept nogil:
    return hash if hash else siphash(h.seed, p, n)


# ---- whole sorted sets

cdef int zset_new(Heap* h, Cell* cell) noexcept nogil:
    cell.layout = ZSET_PACKED
    return packed_new(h, <char**>&cell.ptr)


cdef int zset_new_tree(Heap* h, Cell* cell, uint64_t members) noexcept nogil:
    cdef Zset* z = <Zset*>heap_alloc(h, sizeof(Zset))
    if z == NULL:
        return -1
    table_init(&z.members, 8)
    order_init(&z.order, ORDER_BY_MEMBER)
    if members > 0 and table_reserve(h, &z.members, members) != 0:
        heap_free(h, z, sizeof(Zset))
        return -1
    cell.ptr = z
    cell.layout = ZSET_TREE
    return 0


cdef int tree_put(Heap* h, Zset* z, double score, const char* p, size_t n, uint64_t hash) noexcept nogil:
    """Adds an absent member; 0 or -1."""
    cdef char* item = item_new(h, score, p, n)
    if item == NULL:
        return -1
    if order_insert(h, &z.order, score, item) != 0:
        item_free(h, item)
        return -1
    if table_insert(h, &z.members, item, hash) != 0:
        order_remove(h, &z.order, score, item)
        item_free(h, item)
        return -1
    return 0


cdef int fill_tree(Heap* h, Cell* source, Cell* tree) noexcept nogil:
    """A new tree with all of the source's members; 0, or -1 and nothing left of it."""
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    if zset_new_tree(h, tree, zset_length(source)) != 0:
        return -1
    zset_iter(&it, source, 0, False)
    while zset_next(&it, &member, &score, scratch):
        if tree_put(h, <Zset*>tree.ptr, score, member.p, member.n, siphash(h.seed, member.p, member.n)) != 0:
            zset_free(h, tree)
            return -1
    return 0


cdef int zset_to_tree(Heap* h, Cell* cell) noexcept nogil:
    cdef Cell tree
    if cell.layout == ZSET_TREE:
        return 0
    if fill_tree(h, cell, &tree) != 0:
        return -1
    packed_free(h, <char*>cell.ptr)
    cell[0] = tree
    return 0


cdef int zset_to_packed(Heap* h, Cell* cell) noexcept nogil:
    cdef Cell flat
    cdef ZsetIter it
    cdef Slice pair[2]
    cdef char digits[NUMBER_DOUBLE]
    cdef char* at
    cdef double score
    if cell.layout == ZSET_PACKED:
        return 0
    if zset_new(h, &flat) != 0:
        return -1
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &pair[0], &score, NULL):
        pair[1].p = digits
        pair[1].n = zset_flat_text(digits, score)
        at = NULL
        if packed_insert(h, <char**>&flat.ptr, &at, pair, 2) != 0:
            packed_free(h, <char*>flat.ptr)
            return -1
    zset_free(h, cell)
    cell[0] = flat
    return 0


cdef int zset_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil:
    if cell.layout == ZSET_TREE:
        return fill_tree(h, cell, copy)
    copy.layout = ZSET_PACKED
    return packed_copy(h, <char*>cell.ptr, <char**>&copy.ptr)


cdef uint64_t zset_length(Cell* cell) noexcept nogil:
    if cell.layout == ZSET_TREE:
        return (<Zset*>cell.ptr).members.used
    return packed_length(<char*>cell.ptr) // 2


cdef bint zset_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil:
    cdef Zset* z
    if cell.layout == ZSET_PACKED:
        packed_free(h, <char*>cell.ptr)
        cell.ptr = NULL
        return True
    z = <Zset*>cell.ptr
    if z.order.root != NULL:
        if not order_free_some(h, &z.order, budget) or budget != <uint64_t>-1:
            return False                # the items are the next slice's
    if not table_free_some(h, &z.members, item_free, budget):
        return False
    heap_free(h, z, sizeof(Zset))
    cell.ptr = NULL
    return True


cdef void zset_free(Heap* h, Cell* cell) noexcept nogil:
    zset_free_some(h, cell, <uint64_t>-1)


# ---- one member

cdef inline int judged(double now, double* score, int flags) noexcept nogil:
    """What becomes of a member that has a score now: ZSET_UPDATED, SAME, REFUSED or NAN; score[0] is the new score."""
    if flags & ZSET_NX:
        return ZSET_REFUSED
    if flags & ZSET_INCR:
        score[0] += now
        if isnan(score[0]):
            return ZSET_NAN
    if (flags & ZSET_LT and score[0] >= now) or (flags & ZSET_GT and score[0] <= now):
        return ZSET_REFUSED
    return ZSET_SAME if score[0] == now else ZSET_UPDATED


cdef int flat_update(Heap* h, Cell* cell, double* score, const char* p, size_t n, int flags) noexcept nogil:
    """zset_add for members that are there; ZSET_ADDED: it is not, and nothing has been done."""
    cdef char* b = <char*>cell.ptr
    cdef char* at = packed_find(b, packed_first(b), p, n, 1)
    cdef int verdict
    if at == NULL:
        return ZSET_ADDED
    at = packed_next(b, at)
    verdict = judged(zset_flat_score(at), score, flags)
    if verdict == ZSET_UPDATED and zset_flat_rescore(h, cell, at, score[0]) != 0:
        return -1
    return verdict


cdef bint zset_score(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, double* score) noexcept nogil:
    cdef void** slot
    cdef char* b
    cdef char* at
    if cell.layout == ZSET_TREE:
        slot = table_find(h, &(<Zset*>cell.ptr).members, p, n, known(h, p, n, hash))
        if slot == NULL:
            return False
        score[0] = item_score(slot[0])
        return True
    b = <char*>cell.ptr
    at = packed_find(b, packed_first(b), p, n, 1)
    if at == NULL:
        return False
    score[0] = zset_flat_score(packed_next(b, at))
    return True


cdef int zset_add(Heap* h, Cell* cell, double* score, const char* p, size_t n, uint64_t hash, int flags,
                  uint64_t max_entries, uint64_t max_value) noexcept nogil:
    cdef Zset* z
    cdef void** slot
    cdef int verdict
    cdef double now
    if UNLIKELY(n > LONGEST):
        return -1
    if cell.layout == ZSET_PACKED:
        verdict = flat_update(h, cell, score, p, n, flags)
        if verdict != ZSET_ADDED:
            return verdict
        if flags & ZSET_XX:
            return ZSET_REFUSED
        if LIKELY(zset_length(cell) < max_entries and n <= max_value and packed_fits(<char*>cell.ptr, n)):
            return ZSET_ADDED if zset_flat_put(h, cell, score[0], p, n) == 0 else -1
        if zset_to_tree(h, cell) != 0:
            return -1
    z = <Zset*>cell.ptr
    hash = known(h, p, n, hash)
    slot = table_find(h, &z.members, p, n, hash)
    if slot == NULL:
        if flags & ZSET_XX:
            return ZSET_REFUSED
        return ZSET_ADDED if tree_put(h, z, score[0], p, n, hash) == 0 else -1
    now = item_score(slot[0])
    verdict = judged(now, score, flags)
    if verdict == ZSET_UPDATED:
        if order_move(h, &z.order, now, slot[0], score[0]) != 0:
            return -1
        memcpy(slot[0], score, 8)
    return verdict


cdef int zset_remove(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash) noexcept nogil:
    cdef Zset* z
    cdef void** slot
    cdef void* item
    cdef char* at
    if cell.layout == ZSET_TREE:
        z = <Zset*>cell.ptr
        hash = known(h, p, n, hash)
        slot = table_find(h, &z.members, p, n, hash)
        if slot == NULL:
            return 0
        item = slot[0]
        order_remove(h, &z.order, item_score(item), item)
        table_remove(h, &z.members, slot, hash)
        item_free(h, item)
        table_fit(h, &z.members)
        return 1
    at = packed_find(<char*>cell.ptr, packed_first(<char*>cell.ptr), p, n, 1)
    if at == NULL:
        return 0
    return 1 if packed_delete(h, <char**>&cell.ptr, &at, 2) == 0 else -1


cdef bint zset_rank(Heap* h, Cell* cell, const char* p, size_t n, uint64_t hash, bint backwards, uint64_t* rank) noexcept nogil:
    cdef Zset* z
    cdef void** slot
    cdef char* b
    cdef char* at
    if cell.layout == ZSET_TREE:
        z = <Zset*>cell.ptr
        slot = table_find(h, &z.members, p, n, known(h, p, n, hash))
        if slot == NULL or not order_rank(&z.order, item_score(slot[0]), slot[0], rank):
            return False
    else:
        b = <char*>cell.ptr
        at = packed_find(b, packed_first(b), p, n, 1)
        if at == NULL:
            return False
        rank[0] = 0
        while True:
            at = packed_prev(b, at)
            if at == NULL:
                break
            rank[0] += 1
        rank[0] //= 2
    if backwards:
        rank[0] = zset_length(cell) - 1 - rank[0]
    return True


# ---- many members

cdef int zset_remove_range(Heap* h, Cell* cell, uint64_t first, uint64_t end) noexcept nogil:
    cdef Zset* z
    cdef OrderIter it
    cdef void* item
    cdef Slice member
    cdef uint64_t hash
    cdef uint64_t _n
    cdef char* at
    if first >= end:
        return 0
    if cell.layout == ZSET_PACKED:
        at = packed_index(<char*>cell.ptr, <int64_t>(2 * first))
        return 0 if at == NULL else packed_delete(h, <char**>&cell.ptr, &at, 2 * (end - first))
    z = <Zset*>cell.ptr
    order_at(&z.order, first, &it)
    for _n in range(end - first):
        if it.leaf == NULL:
            break
        item = it.leaf.item[it.i]
        if it.i + AHEAD < it.leaf.n:
            PREFETCH(it.leaf.item[it.i + AHEAD])
        order_next(&it)
        item_member(item, &member)
        hash = siphash(h.seed, member.p, member.n)
        table_remove(h, &z.members, table_find(h, &z.members, member.p, member.n, hash), hash)
        item_free(h, item)
    order_remove_range(h, &z.order, first, end - first)
    table_fit(h, &z.members)
    return 0


cdef void zset_iter(ZsetIter* it, Cell* cell, uint64_t rank, bint backwards) noexcept nogil:
    it.cell = cell
    it.backwards = backwards
    if cell.layout == ZSET_TREE:
        order_at(&(<Zset*>cell.ptr).order, rank, &it.order)
    else:
        it.at = packed_index(<char*>cell.ptr, <int64_t>(2 * rank)) if rank < zset_length(cell) else NULL


cdef bint zset_next(ZsetIter* it, Slice* member, double* score, char* scratch) noexcept nogil:
    cdef OrderIter* o = &it.order
    cdef char* b
    cdef char* text
    if it.cell.layout == ZSET_TREE:
        if o.leaf == NULL:
            return False
        item_member(o.leaf.item[o.i], member)
        score[0] = o.leaf.score[o.i]
        if it.backwards:
            if o.i >= AHEAD:
                PREFETCH(o.leaf.item[o.i - AHEAD])
            order_prev(o)
        else:
            if o.i + AHEAD < o.leaf.n:
                PREFETCH(o.leaf.item[o.i + AHEAD])
            order_next(o)
        return True
    if it.at == NULL:
        return False
    b = <char*>it.cell.ptr
    member[0] = packed_get(it.at, scratch)
    text = packed_next(b, it.at)
    score[0] = zset_flat_score(text)
    if it.backwards:
        it.at = packed_prev(b, it.at)
        if it.at != NULL:
            it.at = packed_prev(b, it.at)
    else:
        it.at = packed_next(b, text)
    return True


cdef void zset_random(Cell* cell, Random* r, Slice* member, double* score, char* scratch) noexcept nogil:
    cdef ZsetIter it
    zset_iter(&it, cell, random_below(r, zset_length(cell)), False)
    zset_next(&it, member, score, scratch)


cdef struct Scan:
    zset_visit visit
    void* arg


cdef void scan_item(void* item, void* arg) noexcept nogil:
    cdef Slice member
    item_member(item, &member)
    (<Scan*>arg).visit(&member, item_score(item), (<Scan*>arg).arg)


cdef uint64_t zset_scan(Cell* cell, uint64_t cursor, zset_visit visit, void* arg) noexcept nogil:
    cdef Scan s
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    if cell.layout == ZSET_TREE:
        s.visit = visit
        s.arg = arg
        return table_scan(&(<Zset*>cell.ptr).members, cursor, scan_item, &s)
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &member, &score, scratch):
        visit(&member, score, arg)
    return 0


cdef uint64_t zset_bytes(Cell* cell, uint64_t samples) noexcept nogil:
    cdef Zset* z
    cdef OrderIter it
    cdef uint64_t bytes = 0
    cdef uint64_t n = 0
    if cell.layout == ZSET_PACKED:
        return heap_size(packed_room(packed_bytes(<char*>cell.ptr)))
    z = <Zset*>cell.ptr
    order_first(&z.order, &it)
    while it.leaf != NULL and (samples == 0 or n < samples):
        bytes += heap_size(item_size(it.leaf.item[it.i]))
        n += 1
        order_next(&it)
    if n > 0 and n < z.order.used:
        bytes = <uint64_t>(<double>bytes / <double>n * <double>z.order.used)
    return sizeof(Zset) + table_bytes(&z.members) + order_bytes(&z.order) + bytes


# ---- invariants

cdef int flat_check(Cell* cell) noexcept nogil:
    cdef ZsetIter it
    cdef Slice member
    cdef Slice last
    cdef double score
    cdef double last_score = 0
    cdef char scratch[ZSET_SCRATCH]
    cdef char last_scratch[ZSET_SCRATCH]
    cdef char* b = <char*>cell.ptr
    cdef uint64_t n = 0
    cdef int broken = packed_check(b)
    if broken != 0:
        return 200 + broken
    if packed_length(b) % 2:
        return 301
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &member, &score, scratch):
        if n > 0 and (last_score > score or (last_score == score
                                             and zset_compare(last.p, last.n, member.p, member.n) >= 0)):
            return 302
        if it.at != NULL and packed_find(b, it.at, member.p, member.n, 1) != NULL:
            return 302
        last_score = score
        last = packed_get(packed_index(b, <int64_t>(2 * n)), last_scratch)
        n += 1
    return 0 if n == zset_length(cell) else 306


cdef int zset_check(Heap* h, Cell* cell) noexcept nogil:
    """1-99 the table's, (+100) the index's or (+200) the buffer's own invariants; 301 a member without a score, 302 pairs
    out of order or twice, 303 table and index disagree in number, 304 an item of the index is not the table's, 305 a
    score in the index is not the item's, 306 an iteration sees another number of members."""
    cdef Zset* z = <Zset*>cell.ptr
    cdef OrderIter at
    cdef Slice member
    cdef void** slot
    cdef uint64_t n = 0
    cdef int broken
    if cell.layout == ZSET_PACKED:
        return flat_check(cell)
    broken = table_check(h, &z.members)
    if broken != 0:
        return broken
    broken = order_check(&z.order)
    if broken != 0:
        return 100 + broken
    if z.members.used != z.order.used:
        return 303
    order_first(&z.order, &at)
    while at.leaf != NULL:
        n += 1
        item_member(at.leaf.item[at.i], &member)
        slot = table_find(h, &z.members, member.p, member.n, siphash(h.seed, member.p, member.n))
        if slot == NULL or slot[0] != at.leaf.item[at.i]:
            return 304
        if item_score(slot[0]) != at.leaf.score[at.i]:
            return 305
        order_next(&at)
    return 0 if n == z.order.used else 306
