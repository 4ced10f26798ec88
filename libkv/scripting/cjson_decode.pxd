# JSON text to Lua's values, and the settings of cjson.

from libkv.scripting.lua cimport LuaState

cdef enum:
    INVALID_REFUSED = 0         # infinities and NaN in what is encoded
    INVALID_WRITTEN = 1
    INVALID_NULL = 2

cdef struct CjsonSettings:      # of one table of functions: cjson.new() makes more
    int sparse_convert
    int sparse_ratio
    int sparse_safe
    int encode_depth
    int decode_depth
    int precision               # digits of a number
    int keep_buffer             # told, without effect
    int encode_invalid          # INVALID_*
    int decode_invalid          # NaN, Infinity, hexadecimal and leading zeros are read

cdef void decode_text(LuaState* L, const char* p, size_t n, CjsonSettings* o) noexcept nogil
    # pushes the value of a text that ends with a NUL at p[n]; raises what is wrong with it
