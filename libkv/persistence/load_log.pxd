# What a load tells the log.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Arg
from libkv.persistence.durable cimport Durable
from libkv.structures.buffer cimport Buffer

cdef void load_log_dropped(Durable* d, const char* what, const char* name, size_t n, const char* where) noexcept nogil
    # something that the store can't hold has been passed over: it is counted (d.load_dropped), the first ones are named.
    # name: of a key, or NULL
cdef void load_log_failure(Durable* d, const char* part, uint64_t offset, Arg* argv, Buffer* out) noexcept nogil
    # a command of a part was answered with the error in `out`
cdef void load_log_part(Durable* d, bint base, const char* name, int64_t began) noexcept nogil  # began: mono_ns()
