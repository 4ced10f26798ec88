"""Every invariant of a store at once (contract: checks.pxd): for tests and DEBUG."""

from libkv.engine.blocking cimport blocking_check
from libkv.engine.entry cimport Entry, entry_cell, entry_type
from libkv.engine.keyspace cimport keyspace_check
from libkv.engine.pubsub cimport pubsub_check
from libkv.engine.tracking cimport tracking_check
from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_ZSET
from libkv.structures.alloc cimport heap_check
from libkv.structures.cell cimport Cell
from libkv.structures.hash cimport hash_check
from libkv.structures.list cimport list_check
from libkv.structures.set cimport set_check
from libkv.structures.stream cimport stream_check
from libkv.structures.table cimport TableIter, table_iter, table_next
from libkv.structures.zset cimport zset_check


cdef int check_value(Kv* kv, Entry* e) noexcept nogil:
    cdef Cell cell
    cdef int type = entry_type(e)
    cdef int broken = 0
    entry_cell(e, &cell)
    if type == TYPE_LIST:
        broken = list_check(&cell)
    elif type == TYPE_SET:
        broken = set_check(kv.heap, &cell)
    elif type == TYPE_HASH:
        broken = hash_check(kv.heap, &cell)
    elif type == TYPE_ZSET:
        broken = zset_check(kv.heap, &cell)
    elif type == TYPE_STREAM:
        broken = stream_check(kv.heap, &cell)
    return 1000 * (type + 1) + broken if broken else 0


cdef int check_all(Kv* kv) noexcept nogil:
    cdef TableIter it
    cdef Entry* e
    cdef int i
    cdef int broken = heap_check(kv.heap)
    if broken:
        return broken
    broken = keyspace_check(kv)
    if broken:
        return broken
    broken = blocking_check(kv)
    if broken:
        return 50000 + broken
    broken = pubsub_check(kv)
    if broken:
        return 60000 + broken
    broken = tracking_check(kv)
    if broken:
        return 61000 + broken
    for i in range(kv.n_dbs):
        table_iter(&it, &kv.dbs[i].keys)
        while True:
            e = <Entry*>table_next(&it)
            if e == NULL:
                break
            if entry_type(e) != 0:
                broken = check_value(kv, e)
                if broken:
                    return broken
    return 0
