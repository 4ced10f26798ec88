"""cjson: settings and encoding (contract: cjson.pxd; decoding is cjson_decode).

Source: the manual of lua-cjson 2.1.0 (kyne.com.au/~mark/software/lua-cjson-manual.html), RFC 8259, and redis-server
7.0.15's results and errors.  Slashes are escaped, an empty table is an object, control characters are \\u00XX.
"""

from libc.limits cimport INT_MAX
from libc.math cimport floor, isinf, isnan, signbit
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from libkv.scripting.cjson_decode cimport INVALID_NULL, INVALID_REFUSED, CjsonSettings, decode_text
from libkv.scripting.lua cimport (
    LUA_GLOBALSINDEX, LUA_TBOOLEAN, LUA_TLIGHTUSERDATA, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua, lua_fn,
    lua_pop,
)
from libkv.scripting.vm cimport Vm, protected_behind, vm_of
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_room
from libkv.structures.number cimport number_print_i64

cdef enum:
    UPVALUE = LUA_GLOBALSINDEX - 1
    NUMBER_ROOM = 64

cdef const char* BOOLEANS[3]
BOOLEANS[0] = b"off"
BOOLEANS[1] = b"on"
BOOLEANS[2] = NULL
cdef const char* INVALIDS[4]
INVALIDS[0] = b"off"
INVALIDS[1] = b"on"
INVALIDS[2] = b"null"
INVALIDS[3] = NULL


cdef CjsonSettings* cjson_settings(LuaState* L) noexcept nogil:
    return <CjsonSettings*>lua.touserdata(L, UPVALUE)


# ---- encode

cdef int refuse(LuaState* L, int i, const char* reason) noexcept nogil:
    return lua.L_error(L, b"Cannot serialise %s: %s", lua.typename(L, lua.type(L, i)), reason)


cdef void put_escaped(Buffer* out, unsigned char c) noexcept nogil:
    cdef char[8] text
    cdef char short_ = 0
    if c == 34 or c == 92 or c == 47:
        short_ = <char>c
    elif c == 8:
        short_ = c"b"
    elif c == 9:
        short_ = c"t"
    elif c == 10:
        short_ = c"n"
    elif c == 12:
        short_ = c"f"
    elif c == 13:
        short_ = c"r"
    if short_:
        text[0] = 92
        text[1] = short_
        buffer_add(out, text, 2)
    else:
        memcpy(text, b"\\u00", 4)
        text[4] = b"0123456789abcdef"[c >> 4]
        text[5] = b"0123456789abcdef"[c & 15]
        buffer_add(out, text, 6)


cdef void put_string(LuaState* L, Buffer* out, int i) noexcept nogil:
    cdef size_t n
    cdef const unsigned char* p = <const unsigned char*>lua.tolstring(L, i, &n)
    cdef size_t at = 0
    cdef size_t begun = 0
    buffer_add(out, b"\"", 1)
    while at < n:
        if p[at] < 32 or p[at] == 34 or p[at] == 47 or p[at] == 92 or p[at] == 127:
            buffer_add(out, <const char*>p + begun, at - begun)
            put_escaped(out, p[at])
            begun = at + 1
        at += 1
    buffer_add(out, <const char*>p + begun, n - begun)
    buffer_add(out, b"\"", 1)


cdef void put_number(LuaState* L, Buffer* out, CjsonSettings* o, int i) noexcept nogil:
    cdef double v = lua.tonumber(L, i)
    cdef char* p
    if isnan(v) or isinf(v):
        if o.encode_invalid == INVALID_REFUSED:
            refuse(L, i, b"must not be NaN or Inf")
        if o.encode_invalid == INVALID_NULL:
            buffer_add(out, b"null", 4)
            return
        if isnan(v):
            buffer_add(out, b"nan", 3)
            return
    p = buffer_room(out, NUMBER_ROOM)
    if p == NULL:
        return
    if o.precision == 14 and -1e14 < v < 1e14 and <double><int64_t>v == v and not (v == 0 and signbit(v)):
        out.n += number_print_i64(p, <int64_t>v)
    else:
        out.n += snprintf(p, NUMBER_ROOM, b"%.*g", o.precision, v)


cdef int array_length(LuaState* L, CjsonSettings* o) noexcept nogil:
    """The largest key of the table on top when all are integers from 1 on; -1: it is an object."""
    cdef double most = 0
    cdef double k
    cdef double items = 0
    lua.pushnil(L)
    while lua.next(L, -2):
        lua_pop(L, 1)
        k = lua.tonumber(L, -1) if lua.type(L, -1) == LUA_TNUMBER else 0
        if not (k >= 1 and floor(k) == k and k <= INT_MAX):
            lua_pop(L, 1)
            return -1
        if k > most:
            most = k
        items += 1
    if o.sparse_ratio > 0 and most > items * o.sparse_ratio and most > o.sparse_safe:
        if not o.sparse_convert:
            refuse(L, -1, b"excessively sparse array")
        return -1
    return <int>most


cdef void put_array(LuaState* L, Vm* vm, CjsonSettings* o, int depth, int n) noexcept nogil:
    cdef int i
    buffer_add(&vm.text, b"[", 1)
    for i in range(n):
        if i:
            buffer_add(&vm.text, b",", 1)
        lua.rawgeti(L, -1, i + 1)
        put_value(L, vm, o, depth)
        lua_pop(L, 1)
    buffer_add(&vm.text, b"]", 1)


cdef void put_object(LuaState* L, Vm* vm, CjsonSettings* o, int depth) noexcept nogil:
    cdef bint more = False
    cdef int type
    buffer_add(&vm.text, b"{", 1)
    lua.pushnil(L)
    while lua.next(L, -2):
        if more:
            buffer_add(&vm.text, b",", 1)
        more = True
        type = lua.type(L, -2)
        if type == LUA_TNUMBER:
            buffer_add(&vm.text, b"\"", 1)
            put_number(L, &vm.text, o, -2)
            buffer_add(&vm.text, b"\"", 1)
        elif type == LUA_TSTRING:
            put_string(L, &vm.text, -2)
        else:
            refuse(L, -2, b"table key must be a number or string")
        buffer_add(&vm.text, b":", 1)
        put_value(L, vm, o, depth)
        lua_pop(L, 1)
    buffer_add(&vm.text, b"}", 1)


cdef void put_value(LuaState* L, Vm* vm, CjsonSettings* o, int depth) noexcept nogil:
    """Appends the value on top; it stays."""
    cdef int type = lua.type(L, -1)
    cdef Buffer* out = &vm.text
    cdef int n
    if out.n > vm.limit or out.failed:
        buffer_free(out)
        lua.L_error(L, b"not enough memory")
    if type == LUA_TSTRING:
        put_string(L, out, -1)
    elif type == LUA_TNUMBER:
        put_number(L, out, o, -1)
    elif type == LUA_TBOOLEAN:
        if lua.toboolean(L, -1):
            buffer_add(out, b"true", 4)
        else:
            buffer_add(out, b"false", 5)
    elif type == LUA_TTABLE:
        depth += 1
        if depth > o.encode_depth or not lua.checkstack(L, 5):
            lua.L_error(L, b"Cannot serialise, excessive nesting (%d)", depth)
        if protected_behind(L, -1):
            lua.remove(L, -2)
        n = array_length(L, o)
        if n > 0:
            put_array(L, vm, o, depth, n)
        else:
            put_object(L, vm, o, depth)
    elif type == LUA_TNIL or (type == LUA_TLIGHTUSERDATA and lua.touserdata(L, -1) == NULL):
        buffer_add(out, b"null", 4)
    else:
        refuse(L, -1, b"type not supported")


cdef int cjson_encode(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    if lua.gettop(L) != 1:
        lua.L_argerror(L, 1, b"expected 1 argument")
    vm.text.n = 0
    put_value(L, vm, cjson_settings(L), 0)
    if vm.text.failed:
        buffer_free(&vm.text)
        lua.L_error(L, b"not enough memory")
    lua.pushlstring(L, vm.text.p, vm.text.n)
    return 1


cdef int cjson_decode(LuaState* L) noexcept nogil:
    cdef size_t n
    cdef const char* p
    if lua.gettop(L) != 1:
        lua.L_argerror(L, 1, b"expected 1 argument")
    p = lua.L_checklstring(L, 1, &n)
    decode_text(L, p, n, cjson_settings(L))
    return 1


# ---- settings: each function tells what is set, and sets what it is given

cdef void at_most(LuaState* L, int n) noexcept nogil:
    if lua.gettop(L) > n:
        lua.L_argerror(L, n + 1, b"found too many arguments")
    lua.settop(L, n)


cdef void integer_setting(LuaState* L, int i, int* setting, int low, int high) noexcept nogil:
    cdef char[64] text
    cdef int v
    if lua.type(L, i) != LUA_TNIL:
        v = <int>lua.L_checkinteger(L, i)
        if v < low or v > high:
            snprintf(text, sizeof(text), b"expected integer between %d and %d", low, high)
            lua.L_argerror(L, 1, text)          # whichever it is
        setting[0] = v
    lua.pushnumber(L, setting[0])


cdef void word_setting(LuaState* L, int i, int* setting, const char** words) noexcept nogil:
    cdef int type = lua.type(L, i)
    if type == LUA_TBOOLEAN:
        setting[0] = lua.toboolean(L, i)
    elif type != LUA_TNIL:
        setting[0] = lua.L_checkoption(L, i, NULL, words)
    if setting[0] <= 1:
        lua.pushboolean(L, setting[0])
    else:
        lua.pushstring(L, words[setting[0]])


cdef int set_sparse_array(LuaState* L) noexcept nogil:
    cdef CjsonSettings* o = cjson_settings(L)
    at_most(L, 3)
    word_setting(L, 1, &o.sparse_convert, BOOLEANS)
    integer_setting(L, 2, &o.sparse_ratio, 0, INT_MAX)
    integer_setting(L, 3, &o.sparse_safe, 0, INT_MAX)
    return 3


cdef int set_encode_max_depth(LuaState* L) noexcept nogil:
    at_most(L, 1)
    integer_setting(L, 1, &cjson_settings(L).encode_depth, 1, INT_MAX)
    return 1


cdef int set_decode_max_depth(LuaState* L) noexcept nogil:
    at_most(L, 1)
    integer_setting(L, 1, &cjson_settings(L).decode_depth, 1, INT_MAX)
    return 1


cdef int set_number_precision(LuaState* L) noexcept nogil:
    at_most(L, 1)
    integer_setting(L, 1, &cjson_settings(L).precision, 1, 14)
    return 1


cdef int set_keep_buffer(LuaState* L) noexcept nogil:
    at_most(L, 1)
    word_setting(L, 1, &cjson_settings(L).keep_buffer, BOOLEANS)
    return 1


cdef int set_encode_invalid_numbers(LuaState* L) noexcept nogil:
    at_most(L, 1)
    word_setting(L, 1, &cjson_settings(L).encode_invalid, INVALIDS)
    return 1


cdef int set_decode_invalid_numbers(LuaState* L) noexcept nogil:
    at_most(L, 1)
    word_setting(L, 1, &cjson_settings(L).decode_invalid, BOOLEANS)
    return 1


# ---- the table

cdef void set_function(LuaState* L, const char* name, lua_fn f) noexcept nogil:
    """The settings are on top, the table below."""
    lua.pushvalue(L, -1)
    lua.pushcclosure(L, f, 1)
    lua.setfield(L, -3, name)


cdef int cjson_new(LuaState* L) noexcept nogil:
    cjson_open(L)
    return 1


cdef void cjson_open(LuaState* L) noexcept nogil:
    cdef CjsonSettings* o
    lua.createtable(L, 0, 16)
    o = <CjsonSettings*>lua.newuserdata(L, sizeof(CjsonSettings))
    o.sparse_convert = 0
    o.sparse_ratio = 2
    o.sparse_safe = 10
    o.encode_depth = o.decode_depth = 1000
    o.precision = 14
    o.keep_buffer = 1
    o.encode_invalid = INVALID_REFUSED
    o.decode_invalid = 1
    set_function(L, b"encode", cjson_encode)
    set_function(L, b"decode", cjson_decode)
    set_function(L, b"encode_sparse_array", set_sparse_array)
    set_function(L, b"encode_max_depth", set_encode_max_depth)
    set_function(L, b"decode_max_depth", set_decode_max_depth)
    set_function(L, b"encode_number_precision", set_number_precision)
    set_function(L, b"encode_keep_buffer", set_keep_buffer)
    set_function(L, b"encode_invalid_numbers", set_encode_invalid_numbers)
    set_function(L, b"decode_invalid_numbers", set_decode_invalid_numbers)
    set_function(L, b"new", cjson_new)
    lua_pop(L, 1)
    lua.pushlightuserdata(L, NULL)
    lua.setfield(L, -2, b"null")
    lua.pushstring(L, b"cjson")
    lua.setfield(L, -2, b"_NAME")
    lua.pushstring(L, b"2.1.0")
    lua.setfield(L, -2, b"_VERSION")
