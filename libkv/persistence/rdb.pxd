# RDB files as a whole: a store written to a Sink, and read from a Source.
#
# rdb_save allocates nothing but its sink's memory and touches no Python, so a forked child may run it.  rdb_load puts
# keys into a store straight away; on an error, what came before stays (the caller flushes, or keeps the prefix).
# Both run under the store's lock (the child of a fork needs none).

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Kv
from libkv.persistence.rdb_format cimport RdbError
from libkv.persistence.rio cimport Sink, Source

# Function libraries.  `each` (may be NULL) calls visit once a library with its source text; it runs in the child of a fork too,
# so the texts lie in C memory.  0, or -1 to stop.
ctypedef int (*rdb_library_visit)(void* arg, const char* code, size_t n) noexcept nogil
ctypedef int (*rdb_libraries_each)(Kv* kv, rdb_library_visit visit, void* arg) noexcept nogil

cdef struct RdbSave:            # all zero: a plain dump.rdb
    bint aof_base               # the file is an AOF's base
    bint replica_info           # write the three fields below
    int stream_db               # database that the replication stream is in; -1: 0 is meant
    const char* repl_id         # 40 characters
    int64_t repl_offset
    bint no_trailer_crc         # 8 zero bytes in place of the CRC (rdbchecksum no): also when the sink keeps none
    bint functions_only
    bint no_functions
    rdb_libraries_each libraries
    void (*progress)(void* arg, uint64_t keys) noexcept nogil      # each 1024 keys; may be NULL
    void* progress_arg
    uint64_t keys               # out: keys written

cdef int rdb_save(Kv* kv, Sink* s, RdbSave* o) noexcept nogil      # 0, or the errno; everything is flushed

# the pieces of a file, for whoever writes one by himself
cdef void rdb_put_header(Kv* kv, Sink* s, RdbSave* o) noexcept nogil
cdef void rdb_put_entry(Kv* kv, Sink* s, Entry* e) noexcept nogil
cdef void rdb_put_end(Sink* s, bint with_crc) noexcept nogil

cdef struct RdbAux:             # what the file says of itself, -1 or empty when it doesn't
    char redis_ver[32]
    int64_t redis_bits
    int64_t ctime
    int64_t used_mem
    bint aof_base
    int64_t repl_stream_db
    char repl_id[41]
    int64_t repl_offset

cdef struct RdbLoad:            # all zero: as redis-server loads its dump.rdb
    bint keep_expired           # an AOF's base, a replica: keys past their time are loaded too
    bint skip_unsupported       # what the store can't hold is dropped and counted
    bint replace                # a key that is there already is replaced (else it is an error)
    bint no_keys                # reads and checks everything, keeps nothing
    int (*library)(void* arg, Kv* kv, const char* code, size_t n, RdbError* error) noexcept nogil
        # a function library: RDB_OK, or another code with error.text; NULL: libraries are unsupported
    void* library_arg
    bint (*progress)(void* arg, uint64_t keys, uint64_t offset) noexcept nogil     # each 1024 keys; False: RDB_STOPPED
    void* progress_arg
    void (*dropped)(void* arg, int db, const char* key, size_t n, const char* what) noexcept nogil
        # skip_unsupported has passed something over: a key, or (NULL) what is no key's; may be NULL; gets progress_arg
    # out
    RdbAux aux
    int version                 # the file's; VALKEY's as 80
    bint valkey
    bint crc_kept               # the file had a checksum, and it was right
    uint64_t keys               # loaded
    uint64_t expires            # of these, with an expiry
    uint64_t expired            # past their time, not loaded
    uint64_t empty              # empty collections, not loaded
    uint64_t unsupported        # dropped
    uint64_t libraries

cdef int rdb_load(Kv* kv, Source* s, RdbLoad* o, RdbError* error) noexcept nogil   # RDB_OK, or error.code
    # reads to the checksum's end; the source stands behind it (an AOF's commands may follow)

cdef void rdb_error_message(RdbError* e, char* out, size_t room) noexcept nogil    # one line, offset and key named
