# A collection as its key's entry holds it: a pointer, and which of the type's layouts it points to.
#
# Structures' functions take a Cell* and may replace both fields (a conversion, a buffer that moved); the command writes
# the cell back to its entry.  A collection never becomes empty silently: the caller deletes a key whose length is 0.

from libc.stdint cimport uint8_t

cdef struct Cell:
    void* ptr
    uint8_t layout

cdef struct Slice:              # borrowed bytes: valid until the structure changes
    const char* p
    size_t n

cdef enum:
    SET_INTS = 0                # packed sorted integers
    SET_PACKED = 1              # flat buffer
    SET_TABLE = 2
    HASH_PACKED = 0
    HASH_TABLE = 1
    ZSET_PACKED = 0
    ZSET_TREE = 1               # member table and ordered index
    LIST_PACKED = 0             # one flat buffer
    LIST_CHUNKS = 1             # a chain of flat chunks
