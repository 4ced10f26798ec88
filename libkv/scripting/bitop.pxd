# The library `bit` of scripts: operations on 32-bit integers.

from libkv.scripting.lua cimport LuaState

cdef void bitop_open(LuaState* L) noexcept nogil        # pushes the library's table; may raise
