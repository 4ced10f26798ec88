# What scripts find as globals: Lua's own functions as Redis 7.0 lets them through, and nothing else.

from libkv.scripting.lua cimport LuaState
from libkv.scripting.vm cimport Vm

cdef void sandbox_open(LuaState* L) noexcept nogil
    # fills the global table with Lua's functions and libraries (tables not yet protected), and leaves nothing on the
    # stack; may raise
cdef void sandbox_close(LuaState* L) noexcept nogil
    # protects every table in the global table, and it; may raise
cdef int sandbox_missing(LuaState* L) noexcept nogil    # an __index that raises: no such global
