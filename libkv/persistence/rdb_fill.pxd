# Loaded keys put into a database, a few at a time: while one's bucket is on its way from memory, the next are read.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Db, Kv
from libkv.persistence.rdb_format cimport RdbValue

cdef enum:
    FILL_AHEAD = 16             # keys made, and not in the table yet

cdef struct Fill:
    Kv* kv
    Db* db                      # changes only while nothing is pending
    bint replace
    Entry* pending[FILL_AHEAD]
    uint64_t hash[FILL_AHEAD]
    uint64_t offset[FILL_AHEAD]     # of the key in the input
    uint32_t n
    Entry* twin                 # FILL_TWICE: the key that is there already, still the caller's to free (with its place)
    uint64_t twin_offset

cdef enum:
    FILL_OK = 0
    FILL_NO_MEMORY = 1
    FILL_TWICE = 2

# takes the value over in any case; expire -1: none; clock: an entry's 24 bits.  FILL_*
cdef int fill_add(Fill* f, const char* key, size_t n, RdbValue* v, int64_t expire, uint32_t clock,
                  uint64_t offset) noexcept nogil
cdef int fill_flush(Fill* f) noexcept nogil             # everything pending is in its table then (or, on a failure, freed)
cdef void fill_drop(Kv* kv, RdbValue* v) noexcept nogil     # frees a value that is not wanted
