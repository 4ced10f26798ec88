# The library `struct` of scripts: values as the bytes of C structs.

from libkv.scripting.lua cimport LuaState

cdef void structlib_open(LuaState* L) noexcept nogil    # pushes the library's table; may raise
