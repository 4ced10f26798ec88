# The library `cmsgpack` of scripts: Lua's values as MessagePack.

from libkv.scripting.lua cimport LuaState

cdef void cmsgpack_open(LuaState* L) noexcept nogil     # pushes the library's table; may raise
