# The table `redis` that scripts see.

from libkv.scripting.lua cimport LuaState

cdef void api_open(LuaState* L, bint functions) noexcept nogil     # pushes it, unprotected; functions: as functions see it
cdef void api_open_loading(LuaState* L) noexcept nogil             # pushes the part that a loading library sees
