# redis.register_function: what a library does while it loads, and what comes of it.

from libc.stdint cimport uint32_t, uint64_t

from libkv.scripting.lua cimport LuaState

cdef enum:
    FUNCTION_AT = 72            # where a Function's key lies: its name in small letters, length-prefixed
    LIBRARY_AT = 48             # where a Library's key lies: its name, length-prefixed

cdef struct Function:
    Function* next              # of its library
    Library* library
    int ref                     # in the registry
    uint32_t flags              # SCRIPT_*
    char* name                  # behind the key, in the same piece
    size_t name_n
    char* about                 # the description, behind the name; NULL: none
    size_t about_n
    uint64_t size               # of this piece
    uint64_t spare

cdef struct Library:
    Library* next               # in a list of libraries that are not the store's (yet)
    Function* functions         # as registered, the last one first
    char* code
    size_t code_n
    uint64_t size               # of this piece
    uint64_t n_functions

cdef void register_open(LuaState* L) noexcept nogil             # sets it in the table on top
cdef bint register_name_good(const char* p, size_t n) noexcept nogil    # of a library or a function
