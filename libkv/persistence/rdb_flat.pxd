# Small collections as files hold them (listpack, ziplist, zipmap, intset) made ours, after every byte has been looked at.
#
#   ziplist   bytes u32 | offset of the last entry u32 | count u16 (65535: walk) | entries | 0xFF
#     entry   length of the one before (1 byte, or 0xFE and 4), then
#             00nnnnnn | 01nnnnnn n | 10...... and 4 bytes (big-endian), and the string's bytes
#             0xC0 int16 | 0xD0 int32 | 0xE0 int64 | 0xF0 int24 | 0xFE int8 | 0xF1..0xFD: 0..12
#   zipmap    count (254: walk) | field length, field, value length, spare byte, value, spare bytes | ... | 0xFF
#     length  1 byte, or 0xFE and 4
#
# Listpacks and intsets have the bytes of packed.pxd and ints.pxd.

from libc.stdint cimport uint64_t

from libkv.engine.settings cimport Settings
from libkv.persistence.rdb_format cimport RdbError
from libkv.persistence.rio cimport Source
from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, Slice

cdef enum:
    FLAT_LISTPACK = 0
    FLAT_ZIPLIST = 1
    FLAT_ZIPMAP = 2

cdef struct Flat:               # sound packed entries in their shortest form, without header and end
    const char* entries         # in the source's buffers: until its next read
    size_t bytes
    uint64_t count

# RDB_OK, or another code with e filled in and no collection made
cdef int flat_open(Source* s, int kind, Slice* raw, Flat* f, RdbError* e) noexcept nogil
# a sound listpack, all its entries in their shortest form: raw's own bytes, or others in the source's buffers
cdef int flat_listpack(Source* s, Slice* raw, RdbError* e) noexcept nogil
cdef int flat_hash(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil
cdef int flat_zset(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil
cdef int flat_set(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil
# entries that are a SET_PACKED's, but for duplicates, which are looked for
cdef int flat_packed_set(Heap* h, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil
cdef int flat_list_add(Heap* h, Settings* limits, Source* s, Flat* f, Cell* cell, RdbError* e) noexcept nogil   # at the tail
cdef int flat_ints(Heap* h, Settings* limits, Source* s, Slice* raw, Cell* cell, RdbError* e) noexcept nogil
