# The names of scripts' and functions' flags.

from libc.stdint cimport uint32_t

cdef enum:
    SCRIPT_FLAGS = 5

cdef uint32_t script_flag(const char* p, size_t n) noexcept nogil               # SCRIPT_*; 0: no such name
cdef const char* script_flag_name(int i, uint32_t* flag) noexcept nogil         # i < SCRIPT_FLAGS, in the order they are told
