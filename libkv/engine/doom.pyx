"""Freeing without long pauses (contract: doom.pxd).

A collection that is gone after SLICE pieces is freed at once; of a larger one the rest waits in a list that the store's
batches and its cron work off.  The list is bounded by what was in the keyspace, and its bytes stay in used_memory.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from libkv.engine.entry cimport STR_HEAP, entry_bytes, entry_cell, entry_layout, entry_type, entry_value
from libkv.engine.types cimport TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET, Doomed
from libkv.structures.alloc cimport Heap, heap_free
from libkv.structures.hash cimport hash_free_some
from libkv.structures.list cimport list_free_some
from libkv.structures.order cimport order_free_some
from libkv.structures.set cimport set_free_some
from libkv.structures.stream cimport stream_free_some
from libkv.structures.table cimport table_free_some
from libkv.structures.zset cimport zset_free_some

cdef enum:
    SLICE = 64                  # pieces freed at once
    DOOM_KEYS = 100             # Doomed.what beside the TYPE_*: a table of entries, an expiry index
    DOOM_ORDER = 101


cdef bint free_some(Heap* h, int type, Cell* cell, uint64_t budget) noexcept nogil:
    if type == TYPE_LIST:
        return list_free_some(h, cell, budget)
    if type == TYPE_SET:
        return set_free_some(h, cell, budget)
    if type == TYPE_ZSET:
        return zset_free_some(h, cell, budget)
    if type == TYPE_STREAM:
        return stream_free_some(h, cell, budget)
    return hash_free_some(h, cell, budget)


cdef Doomed* listed(Kv* kv, int what) noexcept nogil:
    cdef Doomed* d = <Doomed*>malloc(sizeof(Doomed))
    if d == NULL:
        return NULL
    d.what = <uint8_t>what
    d.next = kv.doomed
    kv.doomed = d
    kv.n_doomed += 1
    return d


cdef void doom_collection(Kv* kv, int type, Cell* cell) noexcept nogil:
    cdef Doomed* d
    if free_some(kv.heap, type, cell, SLICE):
        return
    d = listed(kv, type)
    if d == NULL:                       # no memory for a note of it: then all at once
        while not free_some(kv.heap, type, cell, 1 << 20):
            pass
        return
    d.ptr = cell.ptr
    d.layout = cell.layout


cdef void doom_entry_value(Kv* kv, Entry* e) noexcept nogil:
    cdef Cell cell
    cdef char* piece
    cdef size_t cap
    cdef size_t bytes = entry_bytes(e)
    if entry_type(e) != TYPE_STRING:
        entry_cell(e, &cell)
        doom_collection(kv, entry_type(e), &cell)
    elif entry_layout(e) == STR_HEAP:
        memcpy(&piece, entry_value(e), 8)
        memcpy(&cap, entry_value(e) + 16, 8)
        heap_free(kv.heap, piece, cap)
    heap_free(kv.heap, e, bytes)


cdef uint64_t free_entry(Heap* h, void* item) noexcept nogil:
    doom_entry_value(<Kv*>h.owner, <Entry*>item)
    return 1


cdef void doom_entries(Kv* kv, Table* keys, bint now) noexcept nogil:
    cdef Doomed* d = NULL
    keys.paused = 0
    if not now:
        if table_free_some(kv.heap, keys, free_entry, SLICE):
            return
        d = listed(kv, DOOM_KEYS)
    if d == NULL:
        while not table_free_some(kv.heap, keys, free_entry, 1 << 20):
            pass
        return
    d.table = keys[0]


cdef void doom_order(Kv* kv, Order* order, bint now) noexcept nogil:
    cdef Doomed* d = NULL
    if not now:
        if order_free_some(kv.heap, order, SLICE):
            return
        d = listed(kv, DOOM_ORDER)
        if d != NULL:
            d.ptr = malloc(sizeof(Order))
            if d.ptr == NULL:
                kv.doomed = d.next
                kv.n_doomed -= 1
                free(d)
                d = NULL
    if d == NULL:
        while not order_free_some(kv.heap, order, 1 << 20):
            pass
        return
    memcpy(d.ptr, order, sizeof(Order))


cdef bint doom_step(Kv* kv, uint64_t budget) noexcept nogil:
    cdef Doomed* d = kv.doomed
    cdef Doomed** at = &kv.doomed
    cdef Cell cell
    cdef bint gone
    if d == NULL:
        return False
    if d.what == DOOM_KEYS:
        gone = table_free_some(kv.heap, &d.table, free_entry, budget)
    elif d.what == DOOM_ORDER:
        gone = order_free_some(kv.heap, <Order*>d.ptr, budget)
        if gone:
            free(d.ptr)
    else:
        cell.ptr = d.ptr
        cell.layout = d.layout
        gone = free_some(kv.heap, d.what, &cell, budget)
        d.ptr = cell.ptr
        d.layout = cell.layout
    if gone:
        while at[0] != d:               # freeing a table's entries may have put others in front
            at = &at[0].next
        at[0] = d.next
        kv.n_doomed -= 1
        kv.stats.lazyfreed += 1
        free(d)
    return kv.doomed != NULL


cdef void doom_forget(Kv* kv) noexcept nogil:
    cdef Doomed* d
    while kv.doomed != NULL:
        d = kv.doomed
        kv.doomed = d.next
        if d.what == DOOM_ORDER:
            free(d.ptr)
        free(d)
    kv.n_doomed = 0
