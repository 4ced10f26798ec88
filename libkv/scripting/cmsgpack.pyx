"""cmsgpack (contract: cmsgpack.pxd).

Source: the MessagePack specification (github.com/msgpack/msgpack), and redis-server 7.0.15's choices: an integral number
is the shortest integer, another a float where that is exact; a table is an array when its keys are 1 to n; what lies
deeper than 16 tables, functions and the like are nil; 64-bit integers are read as signed; bin and ext are refused.
"""

from libc.math cimport isinf
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from libkv.scripting.lua cimport (
    LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua, lua_function, lua_pop,
)
from libkv.scripting.vm cimport Vm, protected_behind, vm_of
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free

cdef enum:
    NESTING = 16
    GOOD = 0
    BAD = 1
    SHORT = 2

cdef struct Input:
    const unsigned char* p
    size_t left
    int error


# ---- pack

cdef void put_big(Buffer* out, int code, uint64_t v, int size) noexcept nogil:
    """A code and `size` bytes, most significant first."""
    cdef char[9] bytes
    cdef int i = size
    bytes[0] = <char>code
    while i > 0:
        bytes[i] = <char>(v & 0xff)
        v >>= 8
        i -= 1
    buffer_add(out, bytes, size + 1)


cdef void pack_integer(Buffer* out, int64_t v) noexcept nogil:
    cdef uint64_t u = <uint64_t>v
    if -32 <= v <= 127:
        put_big(out, <int>(u & 0xff), 0, 0)
    elif v >= 0:
        if v <= 0xff:
            put_big(out, 0xcc, u, 1)
        elif v <= 0xffff:
            put_big(out, 0xcd, u, 2)
        elif v <= <int64_t>0xffffffff:
            put_big(out, 0xce, u, 4)
        else:
            put_big(out, 0xcf, u, 8)
    elif v >= -128:
        put_big(out, 0xd0, u, 1)
    elif v >= -32768:
        put_big(out, 0xd1, u, 2)
    elif v >= -<int64_t>2147483648:
        put_big(out, 0xd2, u, 4)
    else:
        put_big(out, 0xd3, u, 8)


cdef bint integral(double v) noexcept nogil:
    return -9223372036854775808.0 <= v < 9223372036854775808.0 and <double><int64_t>v == v


cdef void pack_number(Buffer* out, double v) noexcept nogil:
    cdef uint64_t u = 0
    cdef uint32_t w = 0
    cdef float f
    if integral(v):
        pack_integer(out, <int64_t>v)
        return
    if -3.4028234663852886e38 <= v <= 3.4028234663852886e38 or isinf(v):
        f = <float>v
        if <double>f == v:
            memcpy(&w, &f, 4)
            put_big(out, 0xca, w, 4)
            return
    memcpy(&u, &v, 8)
    put_big(out, 0xcb, u, 8)


cdef void pack_string(Buffer* out, const char* p, size_t n) noexcept nogil:
    if n < 32:
        put_big(out, <int>(0xa0 | n), 0, 0)
    elif n <= 0xff:
        put_big(out, 0xd9, n, 1)
    elif n <= 0xffff:
        put_big(out, 0xda, n, 2)
    else:
        put_big(out, 0xdb, n, 4)
    buffer_add(out, p, n)


cdef void pack_count(Buffer* out, size_t n, int short_code, int code) noexcept nogil:
    if n <= 15:
        put_big(out, <int>(short_code | n), 0, 0)
    elif n <= 0xffff:
        put_big(out, code, n, 2)
    else:
        put_big(out, code + 1, n, 4)


cdef bint is_array(LuaState* L, size_t* pairs) noexcept nogil:
    """Whether the keys of the table on top are 1 to n; how many there are."""
    cdef double most = 0
    cdef double k
    cdef bint array = True
    pairs[0] = 0
    lua.pushnil(L)
    while lua.next(L, -2):
        lua_pop(L, 1)
        pairs[0] += 1
        if array:
            k = lua.tonumber(L, -1) if lua.type(L, -1) == LUA_TNUMBER else 0
            array = 1 <= k <= 2147483647 and <double><int>k == k
            if k > most:
                most = k
    return array and most == <double>pairs[0]


cdef void pack_table(LuaState* L, Vm* vm, int depth) noexcept nogil:
    cdef size_t n
    cdef size_t i
    if protected_behind(L, -1):
        lua.remove(L, -2)
    if is_array(L, &n):
        n = lua.objlen(L, -1)
        pack_count(&vm.text, n, 0x90, 0xdc)
        for i in range(n):
            lua.rawgeti(L, -1, <int>i + 1)
            pack_value(L, vm, depth + 1)
        return
    pack_count(&vm.text, n, 0x80, 0xde)
    lua.pushnil(L)
    while lua.next(L, -2):
        lua.pushvalue(L, -2)
        pack_value(L, vm, depth + 1)
        pack_value(L, vm, depth + 1)


cdef void pack_value(LuaState* L, Vm* vm, int depth) noexcept nogil:
    """Appends the value on top, and pops it."""
    cdef int type = lua.type(L, -1)
    cdef const char* p
    cdef size_t n
    if vm.text.n > vm.limit or vm.text.failed:
        buffer_free(&vm.text)
        lua.L_error(L, b"not enough memory")
    if type == LUA_TSTRING:
        p = lua.tolstring(L, -1, &n)
        pack_string(&vm.text, p, n)
    elif type == LUA_TNUMBER:
        pack_number(&vm.text, lua.tonumber(L, -1))
    elif type == LUA_TBOOLEAN:
        put_big(&vm.text, 0xc3 if lua.toboolean(L, -1) else 0xc2, 0, 0)
    elif type == LUA_TTABLE and depth < NESTING:
        lua.L_checkstack(L, 6, b"in function mp_pack")
        pack_table(L, vm, depth)
    else:
        put_big(&vm.text, 0xc0, 0, 0)
    lua_pop(L, 1)


cdef int msgpack_pack(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef int n = lua.gettop(L)
    cdef int i
    if n == 0:
        return lua.L_argerror(L, 0, b"MessagePack pack needs input.")
    lua.L_checkstack(L, 8, b"in function mp_pack")
    vm.text.n = 0
    for i in range(n):
        lua.pushvalue(L, i + 1)
        pack_value(L, vm, 0)
    if vm.text.failed:
        buffer_free(&vm.text)
        lua.L_error(L, b"not enough memory")
    lua.pushlstring(L, vm.text.p, vm.text.n)
    return 1


# ---- unpack

cdef bint take_big(Input* in_, int size, uint64_t* v) noexcept nogil:
    """The number of `size` bytes behind the code, which is taken too."""
    cdef int i
    if in_.left < <size_t>size + 1:
        in_.error = SHORT
        return False
    v[0] = 0
    for i in range(size):
        v[0] = (v[0] << 8) | in_.p[1 + i]
    in_.p += size + 1
    in_.left -= size + 1
    return True


cdef void take_string(LuaState* L, Input* in_, size_t n) noexcept nogil:
    if in_.left < n:
        in_.error = SHORT
        return
    lua.pushlstring(L, <const char*>in_.p, n)
    in_.p += n
    in_.left -= n


cdef void take_array(LuaState* L, Input* in_, size_t n) noexcept nogil:
    cdef size_t i
    lua.createtable(L, 0, 0)
    lua.L_checkstack(L, 1, b"in function mp_decode_to_lua_array")
    for i in range(n):
        lua.pushnumber(L, <double>(i + 1))
        take_value(L, in_)
        if in_.error:
            return
        lua.rawset(L, -3)


cdef void take_map(LuaState* L, Input* in_, size_t n) noexcept nogil:
    cdef size_t _i
    lua.createtable(L, 0, 0)
    for _i in range(n):
        take_value(L, in_)
        if in_.error:
            return
        take_value(L, in_)
        if in_.error:
            return
        lua.rawset(L, -3)


cdef double sign_extended(uint64_t v, int size) noexcept nogil:
    cdef uint64_t sign = <uint64_t>1 << (size * 8 - 1)
    if v & sign:
        v |= ~(sign - 1)
    return <double><int64_t>v


cdef void take_number(LuaState* L, Input* in_, int code) noexcept nogil:
    cdef uint64_t v = 0
    cdef uint32_t w
    cdef float f
    cdef double d
    cdef int size
    if code == 0xca or code == 0xcb:
        if not take_big(in_, 4 if code == 0xca else 8, &v):
            return
        if code == 0xca:
            w = <uint32_t>v
            memcpy(&f, &w, 4)
            d = f
        else:
            memcpy(&d, &v, 8)
        lua.pushnumber(L, d)
        return
    size = 1 << (code & 3)
    if take_big(in_, size, &v):
        lua.pushnumber(L, <double>v if code < 0xcf else sign_extended(v, size))


cdef void take_value(LuaState* L, Input* in_) noexcept nogil:
    """Pushes a value, or sets in_.error."""
    cdef int code
    cdef uint64_t n = 0
    lua.L_checkstack(L, 1, b"too many return values at once; use unpack_one or unpack_limit instead.")
    if in_.left == 0:
        in_.error = SHORT
        return
    code = in_.p[0]
    if code < 0x80 or code >= 0xe0:
        take_big(in_, 0, &n)
        lua.pushnumber(L, code if code < 0x80 else code - 256)
    elif code < 0xc0:
        take_big(in_, 0, &n)
        if code < 0x90:
            take_map(L, in_, code & 15)
        elif code < 0xa0:
            take_array(L, in_, code & 15)
        else:
            take_string(L, in_, code & 31)
    elif code == 0xc0:
        take_big(in_, 0, &n)
        lua.pushnil(L)
    elif code == 0xc2 or code == 0xc3:
        take_big(in_, 0, &n)
        lua.pushboolean(L, code == 0xc3)
    elif 0xca <= code <= 0xd3:
        take_number(L, in_, code)
    elif 0xd9 <= code <= 0xdb:
        if take_big(in_, 1 << (code - 0xd9), &n):
            take_string(L, in_, n)
    elif code == 0xdc or code == 0xdd:
        if take_big(in_, 2 if code == 0xdc else 4, &n):
            take_array(L, in_, n)
    elif code == 0xde or code == 0xdf:
        if take_big(in_, 2 if code == 0xde else 4, &n):
            take_map(L, in_, n)
    else:
        in_.error = BAD


cdef int unpack_some(LuaState* L, int limit, int offset) noexcept nogil:
    """Up to `limit` values from `offset` on; both 0: all of them, without the place where the next one starts."""
    cdef Input in_
    cdef size_t n
    cdef const char* p = lua.L_checklstring(L, 1, &n)
    cdef bint everything = limit == 0 and offset == 0
    cdef int found = 0
    if offset < 0 or limit < 0:
        return lua.L_error(L, b"Invalid request to unpack with offset of %d and limit of %d.", offset, <int>n)
    if <size_t>offset > n:
        return lua.L_error(L, b"Start offset %d greater than input length %d.", offset, <int>n)
    in_.p = <const unsigned char*>p + offset
    in_.left = n - offset
    in_.error = GOOD
    while in_.left and (everything or found < limit):
        take_value(L, &in_)
        if in_.error == SHORT:
            return lua.L_error(L, b"Missing bytes in input.")
        if in_.error == BAD:
            return lua.L_error(L, b"Bad data format in input.")
        found += 1
    if not everything:
        lua.L_checkstack(L, 1, b"in function mp_unpack_full")
        lua.pushnumber(L, -1 if in_.left == 0 else <double>(n - in_.left))
        lua.insert(L, 2)
        found += 1
    return found


cdef int msgpack_unpack(LuaState* L) noexcept nogil:
    return unpack_some(L, 0, 0)


cdef int msgpack_unpack_one(LuaState* L) noexcept nogil:
    cdef int offset = <int>lua.L_optinteger(L, 2, 0)
    lua.settop(L, 1)
    return unpack_some(L, 1, offset)


cdef int msgpack_unpack_limit(LuaState* L) noexcept nogil:
    cdef int limit = <int>lua.L_checkinteger(L, 2)
    cdef int offset = <int>lua.L_optinteger(L, 3, 0)
    lua.settop(L, 1)
    return unpack_some(L, limit, offset)


cdef void cmsgpack_open(LuaState* L) noexcept nogil:
    lua.createtable(L, 0, 8)
    lua_function(L, b"pack", msgpack_pack)
    lua_function(L, b"unpack", msgpack_unpack)
    lua_function(L, b"unpack_one", msgpack_unpack_one)
    lua_function(L, b"unpack_limit", msgpack_unpack_limit)
    lua.pushstring(L, b"cmsgpack")
    lua.setfield(L, -2, b"_NAME")
    lua.pushstring(L, b"lua-cmsgpack 0.4.0")
    lua.setfield(L, -2, b"_VERSION")
    lua.pushstring(L, b"Copyright (C) 2012, Salvatore Sanfilippo")
    lua.setfield(L, -2, b"_COPYRIGHT")
    lua.pushstring(L, b"MessagePack C implementation for Lua")
    lua.setfield(L, -2, b"_DESCRIPTION")
