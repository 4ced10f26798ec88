# What commands on sets share.

from libc.stdint cimport uint64_t

from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Arg, Ctx
from libkv.structures.cell cimport Cell

# tells that n members went, and deletes the key with the last one
cdef void set_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil

cdef inline uint64_t set_max_ints(Ctx* c) noexcept nogil:
    return <uint64_t>c.kv.settings.set_max_intset_entries
