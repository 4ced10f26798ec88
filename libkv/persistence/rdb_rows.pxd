# Collections that a file holds as their number of elements and the elements, one string after the other (RDB_LIST,
# RDB_SET, RDB_ZSET, RDB_HASH, RDB_ZSET_2).

from libkv.engine.settings cimport Settings
from libkv.persistence.rdb_format cimport RdbError
from libkv.persistence.rio cimport Source
from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell

# RDB_OK, or another code with e filled in and no collection made
cdef int rows_list(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil
cdef int rows_set(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil
cdef int rows_hash(Heap* h, Settings* limits, Source* s, Cell* cell, RdbError* e) noexcept nogil
cdef int rows_zset(Heap* h, Settings* limits, Source* s, bint as_text, Cell* cell, RdbError* e) noexcept nogil
    # as_text: scores as versions before 8 wrote them
