# Streams in RDB files.
#
#   number of nodes; each: its master ID (a string of 16 bytes, big-endian), the node (a string: a listpack)
#   length | last ID (ms, seq) | from stream-v2 on: first ID, greatest deleted ID, entries ever added
#   number of groups; each: name | last ID | from stream-v2 on: entries read (-1 as 64 bits: not known)
#     number of pending entries; each: ID (16 bytes) | time of delivery (8 bytes, ms) | deliveries
#     number of consumers; each: name | seen (8 bytes, ms) | stream-v3: active (8 bytes, ms)
#       number of its pending entries; each: ID (16 bytes)

from libkv.persistence.rdb_format cimport RdbError
from libkv.persistence.rio cimport Sink, Source
from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell

cdef void rdb_put_stream(Sink* s, Cell* cell) noexcept nogil                   # as stream-v2
cdef int rdb_get_stream(Heap* h, Source* s, int rdb_type, Cell* cell, RdbError* e) noexcept nogil    # RDB_OK or another code
