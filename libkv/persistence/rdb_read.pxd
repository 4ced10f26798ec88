# An RDB file record by record: what rdb_load, the iterator over a file's keys and the checker are made of.
#
#   rdb_reader_open(...)      looks at the magic
#   rdb_reader_next(...)      again and again: RDB_OK and r.what says what came, or another code with r.error filled in
#   rdb_reader_close(...)
#
# What a record hands out lies in the reader until the next call; a collection (r.value.cell) is the caller's.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.types cimport Kv
from libkv.persistence.rdb_format cimport RdbError, RdbValue
from libkv.persistence.rio cimport Source
from libkv.structures.cell cimport Slice

cdef enum:
    # RdbReader.what
    RDB_IS_KEY = 1              # key, rdb_type, value, expire, idle, freq, db
    RDB_IS_AUX = 2              # name, text
    RDB_IS_DB = 3               # db
    RDB_IS_SIZES = 4            # keys, expires: of this database, as the file has it
    RDB_IS_LIBRARY = 5          # text
    RDB_IS_EMPTY = 6            # a key without a value: key, rdb_type
    RDB_IS_DROPPED = 7          # something unsupported, passed over; rdb_type of a key, or an opcode
    RDB_IS_END = 8              # the checksum is behind us

cdef enum:
    RDB_KEY_ROOM = 512          # longer keys are kept elsewhere

cdef struct RdbReader:
    Kv* kv                      # its heap and settings make the values
    Source* s
    RdbError error
    bint skip_unsupported
    uint64_t databases          # a number below this; kv's at first
    int version
    bint valkey
    bint crc_kept               # at RDB_IS_END: there was a checksum, and it was right
    int what
    int rdb_type
    int db
    const char* key             # NULL: no key in work
    size_t key_n
    uint64_t offset             # of the record's type or opcode
    RdbValue value
    int64_t expire              # ms of Unix time; -1: none
    int64_t idle                # seconds; -1: not told
    int freq                    # -1: not told
    Slice name
    Slice text
    uint64_t keys
    uint64_t expires
    char* long_key
    size_t long_room
    char room[RDB_KEY_ROOM]

cdef int rdb_reader_open(RdbReader* r, Kv* kv, Source* s, bint skip_unsupported) noexcept nogil
cdef int rdb_reader_next(RdbReader* r) noexcept nogil
cdef void rdb_reader_close(RdbReader* r) noexcept nogil         # the source stays the caller's
cdef uint32_t rdb_reader_clock(RdbReader* r) noexcept nogil     # idle or freq as an entry's 24 bits
cdef void rdb_name_key(RdbError* e, const char* key, size_t n) noexcept nogil
