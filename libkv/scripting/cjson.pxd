# The library `cjson` of scripts: Lua's values as JSON.

from libkv.scripting.lua cimport LuaState

cdef void cjson_open(LuaState* L) noexcept nogil        # pushes the library's table; may raise
