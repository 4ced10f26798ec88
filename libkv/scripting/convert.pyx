"""Replies to Lua's values and back (contract: convert.pxd).

The bytes of a command's reply come from this library, so they are read without suspicion.
"""

from libc.math cimport isnan, signbit
from libc.stdint cimport INT64_MIN, int64_t
from libc.string cimport memcpy, strlen

from libkv.engine.call cimport call_count_error
from libkv.engine.registry cimport Command
from libkv.engine.reply cimport (
    reply_bool, reply_bulk, reply_double, reply_error, reply_int, reply_later, reply_later_array, reply_later_map,
    reply_later_set, reply_nil, reply_verbatim,
)
from libkv.scripting.lua cimport (
    LUA_REGISTRYINDEX, LUA_TBOOLEAN, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua, lua_pop,
)
from libkv.scripting.vm cimport (
    AT_BIG_NUMBER, AT_DOUBLE, AT_ERR, AT_FORMAT, AT_IGNORE, AT_MAP, AT_OK, AT_SET, AT_STRING, AT_VERBATIM, RUN_FAILED,
    Scripting, vm_of,
)
from libkv.structures.buffer cimport buffer_room
from libkv.structures.number cimport number_parse_double, number_parse_i64, number_print_double

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char*, size_t)


# ---- replies to Lua

cdef inline const char* line_end(const char* p) noexcept nogil:
    while p[0] != 13:
        p += 1
    return p


cdef inline int64_t line_number(const char* p, const char* end) noexcept nogil:
    cdef int64_t v = 0
    number_parse_i64(p, end - p, &v)
    return v


cdef void push_field(LuaState* L, int at, const char* p, size_t n) noexcept nogil:
    """Sets a field of the table on top to a string."""
    lua.rawgeti(L, LUA_REGISTRYINDEX, at)
    lua.pushlstring(L, p, n)
    lua.rawset(L, -3)


cdef const char* push_elements(LuaState* L, const char* p, int64_t n) noexcept nogil:
    cdef int64_t i
    lua.createtable(L, <int>n, 0)
    for i in range(n):
        p = convert_push(L, p)
        lua.rawseti(L, -2, <int>i + 1)
    return p


cdef const char* push_pairs(LuaState* L, const char* p, int64_t n, int at) noexcept nogil:
    """A map, or a set whose values are true: a table in a field of a table."""
    cdef int64_t _i
    lua.createtable(L, 0, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, at)
    lua.createtable(L, 0, 0)            # grown as Redis's is: pairs() shows the same order
    for _i in range(n):
        p = convert_push(L, p)
        if at == AT_MAP:
            p = convert_push(L, p)
        else:
            lua.pushboolean(L, 1)
        lua.rawset(L, -3)
    lua.rawset(L, -3)
    return p


cdef const char* push_verbatim(LuaState* L, const char* p, int64_t n) noexcept nogil:
    lua.createtable(L, 0, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_VERBATIM)
    lua.createtable(L, 0, 2)
    push_field(L, AT_FORMAT, p, 3)
    push_field(L, AT_STRING, p + 4, n - 4)
    lua.rawset(L, -3)
    return p + n + 2


cdef void push_double(LuaState* L, const char* p, size_t n) noexcept nogil:
    cdef double v = 0
    number_parse_double(p, n, &v)
    lua.createtable(L, 0, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_DOUBLE)
    lua.pushnumber(L, v)
    lua.rawset(L, -3)


cdef const char* convert_push(LuaState* L, const char* p) noexcept nogil:
    cdef char kind = p[0]
    cdef const char* text = p + 1
    cdef const char* end = line_end(text)
    cdef const char* after = end + 2
    cdef int64_t n
    lua.L_checkstack(L, 6, b"reply nested too deeply")
    if kind == c"$":
        n = line_number(text, end)
        if n < 0:
            lua.pushboolean(L, 0)
            return after
        lua.pushlstring(L, after, n)
        return after + n + 2
    if kind == c":":
        lua.pushnumber(L, <double>line_number(text, end))
    elif kind == c"+" or kind == c"-":
        lua.createtable(L, 0, 1)
        push_field(L, AT_OK if kind == c"+" else AT_ERR, text, end - text)
        if kind == c"-":
            lua.rawgeti(L, LUA_REGISTRYINDEX, AT_IGNORE)
            lua.pushboolean(L, 1)
            lua.rawset(L, -3)
    elif kind == c"*" or kind == c">":
        n = line_number(text, end)
        if n >= 0:
            return push_elements(L, after, n)
        lua.pushboolean(L, 0)
    elif kind == c"%" or kind == c"~":
        return push_pairs(L, after, line_number(text, end), AT_MAP if kind == c"%" else AT_SET)
    elif kind == c"=":
        return push_verbatim(L, after, line_number(text, end))
    elif kind == c"#":
        lua.pushboolean(L, text[0] == c"t")
    elif kind == c",":
        push_double(L, text, end - text)
    elif kind == c"(":
        lua.createtable(L, 0, 1)
        push_field(L, AT_BIG_NUMBER, text, end - text)
    else:
        lua.pushnil(L)
    return after


# ---- Lua to replies

cdef void put_line(Reply* r, char kind, const char* p, size_t n) noexcept nogil:
    """A line whose text has no line ends."""
    cdef char* o = buffer_room(r.out, n + 3)
    cdef size_t i
    if o == NULL:
        return
    o[0] = kind
    for i in range(n):
        o[1 + i] = 32 if p[i] == 13 or p[i] == 10 else p[i]
    o[n + 1] = 13
    o[n + 2] = 10
    r.out.n += n + 3


cdef void convert_error(LuaState* L, Reply* r, const char* p, size_t n, bint counted) noexcept nogil:
    cdef Scripting* s = vm_of(L).of
    cdef size_t mark = r.out.n
    n = strnlen(p, n)
    while n and (p[n - 1] == 13 or p[n - 1] == 10):
        n -= 1
    put_line(r, c"-", p, n)
    if s.run == NULL:                   # a script that does not compile
        r.errors += 1
    elif counted:
        s.kv.command_stats[(<Command*>s.run.inner.cmd).id].failed += 1
    else:
        call_count_error(s.kv, r.out, mark)
        s.run.flags |= RUN_FAILED


cdef void convert_number_text(double v, char* out, int* n) noexcept nogil:
    if isnan(v):
        n[0] = 4 if signbit(v) else 3
        memcpy(out, b"-nan" if signbit(v) else b"nan", n[0])
    else:
        n[0] = number_print_double(out, v)


cdef void reply_number(Reply* r, double v) noexcept nogil:
    """As the processor converts: what does not fit becomes the smallest integer."""
    reply_int(r, <int64_t>v if -9223372036854775808.0 <= v < 9223372036854775808.0 else INT64_MIN)


cdef bint field_is(LuaState* L, int at, int type) noexcept nogil:
    """Pushes a raw field of the table on top when it has this type."""
    lua.rawgeti(L, LUA_REGISTRYINDEX, at)
    lua.rawget(L, -2)
    if lua.type(L, -1) == type:
        return True
    lua_pop(L, 1)
    return False


cdef void reply_pairs(LuaState* L, Reply* r, int resp, bint map) noexcept nogil:
    """The table on top, popped."""
    cdef size_t mark = reply_later(r)
    cdef int64_t n = 0
    lua.pushnil(L)
    while lua.next(L, -2):
        if not map:
            lua_pop(L, 1)
        lua.pushvalue(L, -2 if map else -1)
        convert_reply(L, r, resp)
        if map:
            convert_reply(L, r, resp)
        n += 1
    if map:
        reply_later_map(r, mark, n)
    else:
        reply_later_set(r, mark, n)
    lua_pop(L, 1)


cdef void reply_verbatim_table(LuaState* L, Reply* r) noexcept nogil:
    """The fields are on top: format, string."""
    cdef char kind[4]
    cdef const char* p
    cdef size_t n
    cdef size_t i
    p = lua.tolstring(L, -2, &n)
    for i in range(3):
        kind[i] = p[i] if i < n and p[i] else 32
        n = i if i < n and not p[i] else n
    kind[3] = 0
    p = lua.tolstring(L, -1, &n)
    reply_verbatim(r, kind, p, n)


cdef bint reply_special(LuaState* L, Reply* r, int resp) noexcept nogil:
    """The tables that stand for something else; False: it is an array.  The table stays."""
    cdef const char* p
    cdef size_t n
    cdef bint counted
    if field_is(L, AT_ERR, LUA_TSTRING):
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_IGNORE)
        lua.rawget(L, -3)
        counted = lua.toboolean(L, -1) != 0
        p = lua.tolstring(L, -2, &n)
        convert_error(L, r, p, n, counted)
        lua_pop(L, 2)
        return True
    if field_is(L, AT_OK, LUA_TSTRING):
        p = lua.tolstring(L, -1, NULL)
        put_line(r, c"+", p, strlen(p))
    elif field_is(L, AT_DOUBLE, LUA_TNUMBER):
        reply_double(r, lua.tonumber(L, -1))
    elif field_is(L, AT_MAP, LUA_TTABLE):
        reply_pairs(L, r, resp, True)
        return True
    elif field_is(L, AT_SET, LUA_TTABLE):
        reply_pairs(L, r, resp, False)
        return True
    elif field_is(L, AT_BIG_NUMBER, LUA_TSTRING):
        p = lua.tolstring(L, -1, &n)
        if r.proto == 2:
            reply_bulk(r, p, n)
            blank(r.out.p + r.out.n - n - 2, n)
        else:
            put_line(r, c"(", p, n)
    elif field_is(L, AT_VERBATIM, LUA_TTABLE):
        if not field_is(L, AT_FORMAT, LUA_TSTRING):
            lua_pop(L, 1)
            return False
        lua.insert(L, -2)
        if not field_is(L, AT_STRING, LUA_TSTRING):
            lua_pop(L, 2)
            return False
        lua.remove(L, -2)
        reply_verbatim_table(L, r)
        lua_pop(L, 2)
        return True
    else:
        return False
    lua_pop(L, 1)
    return True


cdef void blank(char* p, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        if p[i] == 13 or p[i] == 10:
            p[i] = 32


cdef void reply_table(LuaState* L, Reply* r, int resp) noexcept nogil:
    cdef size_t mark
    cdef int n = 0
    if reply_special(L, r, resp):
        return
    mark = reply_later(r)
    while True:
        lua.rawgeti(L, -1, n + 1)
        if lua.type(L, -1) == LUA_TNIL:
            break
        convert_reply(L, r, resp)
        n += 1
    lua_pop(L, 1)
    reply_later_array(r, mark, n)


cdef void convert_reply(LuaState* L, Reply* r, int resp) noexcept nogil:
    cdef int type = lua.type(L, -1)
    cdef const char* p
    cdef size_t n
    if not lua.checkstack(L, 4):
        reply_error(r, b"ERR reached lua stack limit")
    elif type == LUA_TSTRING:
        p = lua.tolstring(L, -1, &n)
        reply_bulk(r, p, n)
    elif type == LUA_TNUMBER:
        reply_number(r, lua.tonumber(L, -1))
    elif type == LUA_TTABLE:
        reply_table(L, r, resp)
    elif type != LUA_TBOOLEAN:
        reply_nil(r)
    elif resp == 3:
        reply_bool(r, lua.toboolean(L, -1))
    elif lua.toboolean(L, -1):
        reply_int(r, 1)
    else:
        reply_nil(r)
    lua_pop(L, 1)
