# The figures of INFO, section by section, as lines "field:value\r\n".

from libc.stdint cimport uint64_t

from libkv.engine.types cimport Kv
from libkv.structures.buffer cimport Buffer

cdef enum:
    # sections, in the order they are shown
    INFO_SERVER = 1 << 0
    INFO_CLIENTS = 1 << 1
    INFO_MEMORY = 1 << 2
    INFO_PERSISTENCE = 1 << 3
    INFO_STATS = 1 << 4
    INFO_REPLICATION = 1 << 5
    INFO_CPU = 1 << 6
    INFO_MODULES = 1 << 7
    INFO_COMMANDSTATS = 1 << 8
    INFO_ERRORSTATS = 1 << 9
    INFO_LATENCYSTATS = 1 << 10
    INFO_CLUSTER = 1 << 11
    INFO_KEYSPACE = 1 << 12
    INFO_ALL = (1 << 13) - 1
    INFO_DEFAULT = INFO_ALL & ~(INFO_COMMANDSTATS | INFO_LATENCYSTATS)

cdef struct Memory:             # bytes
    uint64_t used               # of the store: its heap and its clients' buffers
    uint64_t clients            # of that: buffers
    uint64_t start              # the store without a key
    uint64_t overhead           # start, clients' buffers, tables
    uint64_t dataset            # used - overhead
    uint64_t peak
    uint64_t rss                # of the process
    uint64_t keys

cdef void info_memory(Kv* kv, Memory* m) noexcept nogil
cdef void info_write(Kv* kv, int sections, Buffer* out) noexcept nogil
cdef void info_sample(Kv* kv) noexcept nogil        # for the store's cron: takes a sample for the "instantaneous" fields

cdef void info_fraction(Buffer* out, uint64_t a, uint64_t b, int digits) noexcept nogil     # a / b in decimals; b = 0: 0
cdef int info_human(uint64_t bytes, char* out) noexcept nogil       # "1.50M", at most 24 bytes with the NUL; the length
