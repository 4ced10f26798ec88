# The journal's manifest: which files it consists of (Redis 7.0, "multi part AOF").
#
#   file appendonly.aof.2.base.rdb seq 2 type b        at most one base: the state at some moment
#   file appendonly.aof.1.incr.aof seq 1 type h        history: no longer needed, to be removed
#   file appendonly.aof.2.incr.aof seq 2 type i        increments, in order: what happened since

from libc.stdint cimport int64_t

from libkv.structures.buffer cimport Buffer

cdef enum:
    MANIFEST_NAME = 256         # bytes of a name with its NUL
    PART_BASE = 98              # "b"
    PART_HISTORY = 104          # "h"
    PART_INCREMENT = 105        # "i"

cdef struct Part:
    char name[MANIFEST_NAME]
    int64_t seq
    int type                    # PART_*

cdef struct Manifest:
    Part* parts                 # the base, if any, comes before the increments
    int n
    int cap
    int64_t base_seq            # highest number given out so far
    int64_t increment_seq

cdef void manifest_clear(Manifest* m) noexcept nogil            # gives the memory back; an empty manifest
cdef int manifest_copy(Manifest* to, Manifest* m) noexcept nogil        # `to` is cleared first; 0 or -1
cdef int manifest_read(Manifest* m, const char* p, size_t n, const char** why) noexcept nogil
    # 0; or the number of the line that is wrong, from 1, and why; -1: no memory
cdef void manifest_print(Manifest* m, Buffer* out) noexcept nogil
cdef Part* manifest_add(Manifest* m, const char* name, int64_t seq, int type) noexcept nogil
    # a base at the beginning, others at the end; NULL: no memory
cdef Part* manifest_base(Manifest* m) noexcept nogil            # or NULL
cdef Part* manifest_last(Manifest* m) noexcept nogil            # the last increment, or NULL
cdef void manifest_retire(Manifest* m, int64_t before) noexcept nogil
    # base, and increments numbered below `before`, become history
cdef void manifest_drop_history(Manifest* m) noexcept nogil
cdef int manifest_name(char* out, const char* prefix, int64_t seq, int type, bint rdb) noexcept nogil
    # "prefix.seq.base.rdb", "prefix.seq.base.aof", "prefix.seq.incr.aof"; 0, or -1: too long
