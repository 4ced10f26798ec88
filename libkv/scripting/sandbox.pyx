"""The sandbox (contract: sandbox.pxd).

Source: reference manual of Lua 5.1, chapter 5, and what redis-server 7.0.15 shows of _G.  Functions are Lua's own but
for those that would lead out or around: next, pairs, rawget, rawset, getmetatable, setmetatable, table.insert and
table.foreach know protected tables (vm.pxd); load and loadstring refuse precompiled chunks; pcall gives the text of
an error table, as Redis's; pcall, xpcall, resume and wrap end when the script is killed; math.random is the generator
that Redis uses, one a store.

There is no way to files, processes or the host's Python: neither io, os, package and debug, nor dofile, loadfile,
print, newproxy, getfenv and setfenv are there, and no value made by C code is reachable but functions.
"""

from libc.math cimport floor
from libc.stdint cimport uint32_t, uint64_t

from libkv.scripting.lua cimport (
    LUA_GCCOUNT, LUA_GCCOUNTB, LUA_GCSETPAUSE, LUA_GCSETSTEPMUL, LUA_GLOBALSINDEX, LUA_MULTRET, LUA_REGISTRYINDEX,
    LUA_TFUNCTION, LUA_TNIL, LUA_TSTRING, LUA_TTABLE, LUA_YIELD, LuaDebug, lua,
    lua_fn, lua_function, lua_pop,
)
from libkv.scripting.vm cimport (
    AT_ERR, AT_GLOBALS, AT_HIDDEN, AT_STRING_META, protect, protect_meta, protected_behind, protected_meta,
    raise_text, vm_kill_check, vm_killed, vm_of,
)

cdef enum:
    UPVALUE = LUA_GLOBALSINDEX - 1      # the first one's index
    PRECOMPILED = 27                    # the first byte of a precompiled chunk

# what Lua opens that scripts don't get
cdef const char* REMOVED[8]
REMOVED[0] = b"dofile"
REMOVED[1] = b"loadfile"
REMOVED[2] = b"newproxy"
REMOVED[3] = b"print"
REMOVED[4] = b"getfenv"
REMOVED[5] = b"setfenv"
REMOVED[6] = b"module"
REMOVED[7] = b"require"


# ---- tables

cdef int base_next(LuaState* L) noexcept nogil:
    lua.L_checktype(L, 1, LUA_TTABLE)
    lua.settop(L, 2)
    if protected_behind(L, 1):
        lua.replace(L, 1)
    if lua.next(L, 1):
        return 2
    lua.pushnil(L)
    return 1


cdef int base_pairs(LuaState* L) noexcept nogil:
    lua.L_checktype(L, 1, LUA_TTABLE)
    lua.pushvalue(L, UPVALUE)           # next
    lua.pushvalue(L, 1)
    lua.pushnil(L)
    return 3


cdef int base_rawget(LuaState* L) noexcept nogil:
    lua.L_checktype(L, 1, LUA_TTABLE)
    lua.L_checkany(L, 2)
    lua.settop(L, 2)
    if protected_behind(L, 1):
        lua.replace(L, 1)
    lua.rawget(L, 1)
    return 1


cdef int base_rawset(LuaState* L) noexcept nogil:
    lua.L_checktype(L, 1, LUA_TTABLE)
    lua.L_checkany(L, 2)
    lua.L_checkany(L, 3)
    lua.settop(L, 3)
    if protected_behind(L, 1):
        raise_text(L, b"Attempt to modify a readonly table")
    lua.rawset(L, 1)
    return 1


cdef int base_getmetatable(LuaState* L) noexcept nogil:
    lua.L_checkany(L, 1)
    if lua.type(L, 1) == LUA_TSTRING:
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_STRING_META)
        return 1
    if protected_meta(L, 1):
        return 1
    if not lua.getmetatable(L, 1):
        lua.pushnil(L)
        return 1
    lua.pushstring(L, b"__metatable")
    lua.rawget(L, -2)
    if lua.type(L, -1) == LUA_TNIL:
        lua_pop(L, 1)
    return 1


cdef int base_setmetatable(LuaState* L) noexcept nogil:
    cdef int kind = lua.type(L, 2)
    lua.L_checktype(L, 1, LUA_TTABLE)
    if kind != LUA_TNIL and kind != LUA_TTABLE:
        lua.L_argerror(L, 2, b"nil or table expected")
    lua.settop(L, 2)
    if protected_behind(L, 1):
        raise_text(L, b"Attempt to modify a readonly table")
    if lua.getmetatable(L, 1):
        lua.pushstring(L, b"__metatable")
        lua.rawget(L, -2)
        if lua.type(L, -1) != LUA_TNIL:
            lua.L_error(L, b"cannot change a protected metatable")
        lua.settop(L, 2)
    lua.setmetatable(L, 1)
    return 1


cdef int table_insert(LuaState* L) noexcept nogil:
    """Lua's own does the work for all but protected tables."""
    cdef int n
    cdef int at
    lua.L_checktype(L, 1, LUA_TTABLE)
    if protected_behind(L, 1):
        raise_text(L, b"Attempt to modify a readonly table")
    n = <int>lua.objlen(L, 1) + 1
    if lua.gettop(L) == 2:
        lua.rawseti(L, 1, n)
        return 0
    if lua.gettop(L) != 3:
        return lua.L_error(L, b"wrong number of arguments to 'insert'")
    at = <int>lua.L_checkinteger(L, 2)
    if at > n:
        n = at
    while n > at:
        lua.rawgeti(L, 1, n - 1)
        lua.rawseti(L, 1, n)
        n -= 1
    lua.rawseti(L, 1, at)
    return 0


cdef int table_foreach(LuaState* L) noexcept nogil:
    lua.L_checktype(L, 1, LUA_TTABLE)
    lua.L_checktype(L, 2, LUA_TFUNCTION)
    if protected_behind(L, 1):
        lua.replace(L, 1)
    lua.pushnil(L)
    while lua.next(L, 1):
        lua.pushvalue(L, 2)
        lua.pushvalue(L, -3)
        lua.pushvalue(L, -3)
        lua.call(L, 2, 1)
        if lua.type(L, -1) != LUA_TNIL:
            return 1
        lua_pop(L, 2)
    return 0


# ---- calls that catch errors

cdef int base_pcall(LuaState* L) noexcept nogil:
    cdef int status
    if lua.gettop(L) == 0:              # Redis calls the place of its own result
        lua.pushboolean(L, 0)
        lua.pushstring(L, b"attempt to call a boolean value")
        return 2
    status = lua.pcall(L, lua.gettop(L) - 1, LUA_MULTRET, 0)
    vm_kill_check(L)
    if status and lua.type(L, -1) == LUA_TTABLE:
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ERR)
        lua.rawget(L, -2)
        if lua.isstring(L, -1):
            lua.replace(L, -2)          # else it comes behind the table, as in Redis
    lua.L_checkstack(L, 1, b"too many results")
    lua.pushboolean(L, status == 0)
    lua.insert(L, 1)
    return lua.gettop(L)


cdef int handle(LuaState* L) noexcept nogil:
    """Calls xpcall's handler (the upvalue), but not when the script is being killed: in a handler that is called out of
    the hook there would be no hook, and no end."""
    if vm_killed(vm_of(L)):
        return 1
    lua.pushvalue(L, UPVALUE)
    lua.insert(L, 1)
    lua.call(L, lua.gettop(L) - 1, 1)
    return 1


cdef int base_xpcall(LuaState* L) noexcept nogil:
    cdef int status
    lua.L_checkany(L, 2)
    lua.settop(L, 2)
    lua.pushcclosure(L, handle, 1)
    lua.insert(L, 1)                    # the handler below the function
    status = lua.pcall(L, 0, LUA_MULTRET, 1)
    vm_kill_check(L)
    lua.pushboolean(L, status == 0)
    lua.replace(L, 1)
    return lua.gettop(L)


cdef const char* coroutine_state(LuaState* L, LuaState* co) noexcept nogil:
    """NULL: it can be resumed."""
    cdef LuaDebug ar
    cdef int status
    if L == co:
        return b"running"
    status = lua.status(co)
    if status == LUA_YIELD:
        return NULL
    if status != 0:
        return b"dead"
    if lua.getstack(co, 0, &ar) > 0:
        return b"normal"
    if lua.gettop(co) == 0:
        return b"dead"
    return NULL


cdef int coroutine_run(LuaState* L, LuaState* co, int n) noexcept nogil:
    """Resumes with the n values on top; how many results are on top, or -1: an error's value is."""
    cdef const char* state = coroutine_state(L, co)
    cdef int status
    if not lua.checkstack(co, n):
        lua.L_error(L, b"too many arguments to resume")
    if state != NULL:
        lua.pushstring(L, b"cannot resume ")
        lua.pushstring(L, state)
        lua.pushstring(L, b" coroutine")
        lua.concat(L, 3)
        return -1
    lua.xmove(L, co, n)
    lua.setlevel(L, co)
    status = lua.resume(co, n)
    vm_kill_check(L)
    if status != 0 and status != LUA_YIELD:
        lua.xmove(co, L, 1)
        return -1
    n = lua.gettop(co)
    if not lua.checkstack(L, n + 1):
        lua.L_error(L, b"too many results to resume")
    lua.xmove(co, L, n)
    return n


cdef int coroutine_resume(LuaState* L) noexcept nogil:
    cdef LuaState* co = lua.tothread(L, 1)
    cdef int n
    if co == NULL:
        lua.L_argerror(L, 1, b"coroutine expected")
    n = coroutine_run(L, co, lua.gettop(L) - 1)
    lua.pushboolean(L, n >= 0)
    if n < 0:
        lua.insert(L, -2)
        return 2
    lua.insert(L, -n - 1)
    return n + 1


cdef int coroutine_wrapped(LuaState* L) noexcept nogil:
    cdef int n = coroutine_run(L, lua.tothread(L, UPVALUE), lua.gettop(L))
    if n < 0:
        if lua.isstring(L, -1):
            lua.L_where(L, 1)
            lua.insert(L, -2)
            lua.concat(L, 2)
        return lua.error(L)
    return n


cdef int coroutine_wrap(LuaState* L) noexcept nogil:
    cdef LuaState* co
    if lua.type(L, 1) != LUA_TFUNCTION or lua.iscfunction(L, 1):
        lua.L_argerror(L, 1, b"Lua function expected")
    co = lua.newthread(L)
    lua.pushvalue(L, 1)
    lua.xmove(L, co, 1)
    lua.pushcclosure(L, coroutine_wrapped, 1)
    return 1


# ---- chunks: as Lua's own, but that what begins like a precompiled chunk gets a space in front, and is no program then

cdef int load_done(LuaState* L, int status) noexcept nogil:
    if status == 0:
        return 1
    lua.pushnil(L)
    lua.insert(L, -2)
    return 2


cdef int base_loadstring(LuaState* L) noexcept nogil:
    cdef size_t n
    cdef const char* p = lua.L_checklstring(L, 1, &n)
    cdef const char* name = p
    if lua.type(L, 2) > LUA_TNIL:
        name = lua.L_checklstring(L, 2, NULL)
    if n and p[0] == PRECOMPILED:
        lua.pushstring(L, b" ")
        lua.pushvalue(L, 1)
        lua.concat(L, 2)
        p = lua.tolstring(L, -1, &n)
    return load_done(L, lua.L_loadbuffer(L, p, n, name))


cdef const char* load_piece(LuaState* L, void* data, size_t* n) noexcept nogil:
    """The next piece: what the function (at 1) returns, kept at 3.  data: whether a piece has been read."""
    cdef bint* begun = <bint*>data
    cdef const char* p
    lua.L_checkstack(L, 3, b"too many nested functions")
    lua.pushvalue(L, 1)
    lua.call(L, 0, 1)
    n[0] = 0
    if lua.type(L, -1) == LUA_TNIL:
        return NULL
    if not lua.isstring(L, -1):
        lua.L_error(L, b"reader function must return a string")
    p = lua.tolstring(L, -1, n)
    if not begun[0] and n[0] and p[0] == PRECOMPILED:
        lua.pushstring(L, b" ")
        lua.insert(L, -2)
        lua.concat(L, 2)
        p = lua.tolstring(L, -1, n)
    begun[0] = True
    lua.replace(L, 3)
    return p


cdef int base_load(LuaState* L) noexcept nogil:
    cdef const char* name = b"=(load)"
    cdef bint begun = False
    cdef int status
    lua.L_checktype(L, 1, LUA_TFUNCTION)
    if lua.type(L, 2) > LUA_TNIL:
        name = lua.L_checklstring(L, 2, NULL)
    lua.settop(L, 3)
    status = lua.load(L, load_piece, &begun, name)
    vm_kill_check(L)
    return load_done(L, status)


# ---- the collector

cdef const char* GC_WORDS[8]
GC_WORDS[0] = b"stop"
GC_WORDS[1] = b"restart"
GC_WORDS[2] = b"collect"
GC_WORDS[3] = b"count"
GC_WORDS[4] = b"step"
GC_WORDS[5] = b"setpause"
GC_WORDS[6] = b"setstepmul"
GC_WORDS[7] = NULL
cdef int GC_NUMBERS[7]
GC_NUMBERS[:] = [0, 1, 2, 3, 5, 6, 7]


cdef int base_collectgarbage(LuaState* L) noexcept nogil:
    """What a script sets ends with it."""
    cdef int what = GC_NUMBERS[lua.L_checkoption(L, 1, b"collect", GC_WORDS)]
    cdef int data = <int>lua.L_optinteger(L, 2, 0)
    cdef int result
    if what == 0 or what == 1 or what == LUA_GCSETPAUSE or what == LUA_GCSETSTEPMUL:
        vm_of(L).gc_touched = True
    result = lua.gc(L, what, data)
    if what == LUA_GCCOUNT:
        lua.pushnumber(L, result + lua.gc(L, LUA_GCCOUNTB, 0) / 1024.0)
    elif what == 5:
        lua.pushboolean(L, result)
    else:
        lua.pushnumber(L, result)
    return 1


# ---- random numbers: the 48-bit linear congruential generator of POSIX's lrand48

cdef uint64_t random_step(uint64_t* x) noexcept nogil:
    x[0] = (x[0] * <uint64_t>0x5deece66d + 0xb) & <uint64_t>0xffffffffffff
    return x[0] >> 17


cdef int math_random(LuaState* L) noexcept nogil:
    cdef double r = <double>(random_step(&vm_of(L).of.random) % 0x7fffffff) / 0x7fffffff
    cdef int top = lua.gettop(L)
    cdef int low = 1
    cdef int high
    if top == 0:
        lua.pushnumber(L, r)
        return 1
    if top > 2:
        return lua.L_error(L, b"wrong number of arguments")
    if top == 2:
        low = <int>lua.L_checkinteger(L, 1)
    high = <int>lua.L_checkinteger(L, top)
    if low > high:
        return lua.L_argerror(L, top, b"interval is empty")
    lua.pushnumber(L, floor(r * (<double>high - low + 1)) + low)
    return 1


cdef int math_randomseed(LuaState* L) noexcept nogil:
    cdef uint32_t seed = <uint32_t><int>lua.L_checkinteger(L, 1)
    vm_of(L).of.random = (<uint64_t>seed << 16) | 0x330e
    return 0


# ---- putting it together

cdef void open_one(LuaState* L, lua_fn f, const char* name) noexcept nogil:
    lua.pushcclosure(L, f, 0)
    lua.pushstring(L, name)
    lua.call(L, 1, 0)


cdef void set_global(LuaState* L, const char* name, lua_fn f) noexcept nogil:
    lua.pushcclosure(L, f, 0)
    lua.setfield(L, LUA_GLOBALSINDEX, name)


cdef void set_in(LuaState* L, const char* library, const char* name, lua_fn f) noexcept nogil:
    lua.getfield(L, LUA_GLOBALSINDEX, library)
    lua_function(L, name, f)
    lua_pop(L, 1)


cdef void sandbox_open(LuaState* L) noexcept nogil:
    cdef int i
    open_one(L, lua.open_base, b"")
    open_one(L, lua.open_table, b"table")
    open_one(L, lua.open_string, b"string")
    open_one(L, lua.open_math, b"math")
    for i in range(sizeof(REMOVED) // sizeof(char*)):
        lua.pushnil(L)
        lua.setfield(L, LUA_GLOBALSINDEX, REMOVED[i])
    set_global(L, b"next", base_next)
    lua.getfield(L, LUA_GLOBALSINDEX, b"next")
    lua.pushcclosure(L, base_pairs, 1)
    lua.setfield(L, LUA_GLOBALSINDEX, b"pairs")
    set_global(L, b"rawget", base_rawget)
    set_global(L, b"rawset", base_rawset)
    set_global(L, b"getmetatable", base_getmetatable)
    set_global(L, b"setmetatable", base_setmetatable)
    set_global(L, b"pcall", base_pcall)
    set_global(L, b"xpcall", base_xpcall)
    set_global(L, b"load", base_load)
    set_global(L, b"loadstring", base_loadstring)
    set_global(L, b"collectgarbage", base_collectgarbage)
    set_in(L, b"coroutine", b"resume", coroutine_resume)
    set_in(L, b"coroutine", b"wrap", coroutine_wrap)
    set_in(L, b"table", b"insert", table_insert)
    set_in(L, b"table", b"foreach", table_foreach)
    set_in(L, b"math", b"random", math_random)
    set_in(L, b"math", b"randomseed", math_randomseed)


cdef int sandbox_missing(LuaState* L) noexcept nogil:
    """__index of the global table's contents."""
    if not lua.isstring(L, 2):
        return lua.L_error(L, b"Second argument to luaProtectedTableError must be a string or number")
    lua.L_where(L, 1)
    lua.pushstring(L, b"Script attempted to access nonexistent global variable '")
    lua.pushvalue(L, 2)
    lua.pushstring(L, b"'")
    lua.concat(L, 4)
    return lua.error(L)


cdef void sandbox_close(LuaState* L) noexcept nogil:
    cdef int hidden
    lua.pushvalue(L, LUA_GLOBALSINDEX)
    hidden = lua.gettop(L)
    lua.pushnil(L)
    while lua.next(L, hidden):
        if lua.type(L, -1) == LUA_TTABLE and not lua.rawequal(L, -1, hidden):
            protect(L)
            lua.pushvalue(L, -2)
            lua.insert(L, -2)
            lua.rawset(L, hidden)               # an existing field: the traversal goes on
        else:
            lua_pop(L, 1)
    # getmetatable(""): only a look at it
    lua.createtable(L, 0, 1)
    lua.getfield(L, hidden, b"string")
    lua.setfield(L, -2, b"__index")
    protect(L)
    lua.rawseti(L, LUA_REGISTRYINDEX, AT_STRING_META)
    lua.createtable(L, 0, 1)                    # the contents' metatable
    lua_function(L, b"__index", sandbox_missing)
    lua.setmetatable(L, hidden)
    lua.pushvalue(L, hidden)
    lua.rawseti(L, LUA_REGISTRYINDEX, AT_HIDDEN)
    lua.pushvalue(L, hidden)
    protect(L)
    lua.createtable(L, 0, 1)                    # what getmetatable(_G) shows
    lua_function(L, b"__index", sandbox_missing)
    protect(L)
    protect_meta(L)
    lua.pushvalue(L, -1)
    lua.setfield(L, hidden, b"_G")
    lua.pushvalue(L, -1)
    lua.rawseti(L, LUA_REGISTRYINDEX, AT_GLOBALS)
    lua.replace(L, LUA_GLOBALSINDEX)
    lua.settop(L, hidden - 1)
