"""bit (contract: bitop.pxd).

Source: the documentation of Lua BitOp 1.0.2 (bitop.luajit.org): arguments are taken modulo 2**32, rounded to the nearest
integer, results are signed.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

from libkv.scripting.lua cimport LUA_TNONE, lua, lua_function

cdef enum:
    AND = 0
    OR = 1
    XOR = 2


cdef uint32_t bits_argument(LuaState* L, int i) noexcept nogil:
    """The low 32 bits: adding 1.5 * 2**52 puts them at the end of the mantissa, rounded."""
    cdef double v = lua.L_checknumber(L, i) + 6755399441055744.0
    cdef uint64_t u
    memcpy(&u, &v, 8)
    return <uint32_t>u


cdef int bits_push(LuaState* L, uint32_t v) noexcept nogil:
    lua.pushnumber(L, <double><int32_t>v)
    return 1


cdef int bits_fold(LuaState* L, int operation) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    cdef uint32_t w
    cdef int i = lua.gettop(L)
    while i > 1:
        w = bits_argument(L, i)
        if operation == AND:
            v &= w
        elif operation == OR:
            v |= w
        else:
            v ^= w
        i -= 1
    return bits_push(L, v)


cdef int bit_tobit(LuaState* L) noexcept nogil:
    return bits_push(L, bits_argument(L, 1))


cdef int bit_bnot(LuaState* L) noexcept nogil:
    return bits_push(L, ~bits_argument(L, 1))


cdef int bit_band(LuaState* L) noexcept nogil:
    return bits_fold(L, AND)


cdef int bit_bor(LuaState* L) noexcept nogil:
    return bits_fold(L, OR)


cdef int bit_bxor(LuaState* L) noexcept nogil:
    return bits_fold(L, XOR)


cdef int bit_lshift(LuaState* L) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    return bits_push(L, v << (bits_argument(L, 2) & 31))


cdef int bit_rshift(LuaState* L) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    return bits_push(L, v >> (bits_argument(L, 2) & 31))


cdef int bit_arshift(LuaState* L) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    cdef uint32_t n = bits_argument(L, 2) & 31
    if v >> 31 and n:
        return bits_push(L, (v >> n) | ~(<uint32_t>0xffffffff >> n))
    return bits_push(L, v >> n)


cdef uint32_t rotated(uint32_t v, uint32_t n) noexcept nogil:
    n &= 31
    return (v << n) | (v >> ((32 - n) & 31))


cdef int bit_rol(LuaState* L) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    return bits_push(L, rotated(v, bits_argument(L, 2)))


cdef int bit_ror(LuaState* L) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    return bits_push(L, rotated(v, 32 - (bits_argument(L, 2) & 31)))


cdef int bit_bswap(LuaState* L) noexcept nogil:
    cdef uint32_t v = bits_argument(L, 1)
    return bits_push(L, (v >> 24) | ((v >> 8) & 0xff00) | ((v & 0xff00) << 8) | (v << 24))


cdef int bit_tohex(LuaState* L) noexcept nogil:
    """Hexadecimal: the lowest n digits, in capitals when n is negative."""
    cdef uint32_t v = bits_argument(L, 1)
    cdef int32_t n = 8 if lua.type(L, 2) == LUA_TNONE else <int32_t>bits_argument(L, 2)
    cdef const char* digits = b"0123456789abcdef"
    cdef char[8] text
    cdef int i
    if n < 0:
        n = -n if n > -8 else 8         # the smallest has no negative
        digits = b"0123456789ABCDEF"
    if n > 8:
        n = 8
    i = n
    while i > 0:
        i -= 1
        text[i] = digits[v & 15]
        v >>= 4
    lua.pushlstring(L, text, n)
    return 1


cdef void bitop_open(LuaState* L) noexcept nogil:
    lua.createtable(L, 0, 12)
    lua_function(L, b"tobit", bit_tobit)
    lua_function(L, b"bnot", bit_bnot)
    lua_function(L, b"band", bit_band)
    lua_function(L, b"bor", bit_bor)
    lua_function(L, b"bxor", bit_bxor)
    lua_function(L, b"lshift", bit_lshift)
    lua_function(L, b"rshift", bit_rshift)
    lua_function(L, b"arshift", bit_arshift)
    lua_function(L, b"rol", bit_rol)
    lua_function(L, b"ror", bit_ror)
    lua_function(L, b"bswap", bit_bswap)
    lua_function(L, b"tohex", bit_tohex)
