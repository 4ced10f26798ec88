"""redis.register_function (contract: register.pxd).

Source: redis.io, "Redis functions", and redis-server 7.0.15's errors.
"""

from libc.string cimport memcmp, memcpy, memset, strlen

from libkv.scripting.lua cimport (
    LUA_REGISTRYINDEX, LUA_TFUNCTION, LUA_TNIL, LUA_TSTRING, LUA_TTABLE, lua, lua_function, lua_pop,
)
from libkv.scripting.vm cimport Vm, raise_error, vm_of
from libkv.scripting.flags cimport script_flag
from libkv.structures.alloc cimport heap_alloc
from libkv.structures.prefixed cimport prefixed_size, prefixed_write

cdef struct Registration:
    const char* name
    size_t name_n
    const char* about
    size_t about_n
    int callback                # its place on the stack; 0: none
    uint32_t flags


cdef bint register_name_good(const char* p, size_t n) noexcept nogil:
    cdef size_t i
    cdef unsigned char c
    for i in range(n):
        c = p[i]
        if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 95):
            return False
    return n > 0


cdef void positional(LuaState* L, Registration* g) noexcept nogil:
    """(name, function)"""
    g.name = lua.tolstring(L, 1, &g.name_n)
    if g.name == NULL:
        raise_error(L, b"ERR first argument to redis.register_function must be a string")
    if lua.type(L, 2) != LUA_TFUNCTION:
        raise_error(L, b"ERR second argument to redis.register_function must be a function")
    g.callback = 2


cdef void take_flags(LuaState* L, Registration* g) noexcept nogil:
    """The array on top."""
    cdef int i = 1
    cdef const char* p
    cdef size_t n
    cdef uint32_t flag
    if lua.type(L, -1) != LUA_TTABLE:
        raise_error(L, b"ERR flags argument to redis.register_function must be a table representing function flags")
    while True:
        lua.rawgeti(L, -1, i)
        if lua.type(L, -1) == LUA_TNIL:
            break
        p = NULL
        if lua.type(L, -1) == LUA_TSTRING:
            p = lua.tolstring(L, -1, &n)
        flag = script_flag(p, n) if p != NULL else 0
        if flag == 0:
            raise_error(L, b"ERR unknown flag given")
        g.flags |= flag
        lua_pop(L, 1)
        i += 1
    lua_pop(L, 1)


cdef bint key_is(LuaState* L, const char* word) noexcept nogil:
    """Of the pair on top."""
    cdef size_t n
    cdef const char* p
    if lua.type(L, -2) != LUA_TSTRING:
        return False
    p = lua.tolstring(L, -2, &n)
    return n == strlen(word) and memcmp(p, word, n) == 0


cdef void named(LuaState* L, Registration* g) noexcept nogil:
    """{function_name = , callback = , description = , flags = }; strings stay on the stack."""
    if lua.type(L, 1) != LUA_TTABLE:
        raise_error(L, b"ERR calling redis.register_function with a single argument is only applicable to Lua table "
                       b"(representing named arguments).")
    lua.settop(L, 1)
    lua.pushnil(L)              # 2: the name
    lua.pushnil(L)              # 3: the description
    lua.pushnil(L)              # 4: the function
    lua.pushnil(L)
    while lua.next(L, 1):
        if key_is(L, b"function_name"):
            if not lua.isstring(L, -1):
                raise_error(L, b"ERR function_name argument given to redis.register_function must be a string")
            lua.pushvalue(L, -1)
            g.name = lua.tolstring(L, -1, &g.name_n)
            lua.replace(L, 2)
        elif key_is(L, b"description"):
            if not lua.isstring(L, -1):
                raise_error(L, b"ERR description argument given to redis.register_function must be a string")
            lua.pushvalue(L, -1)
            g.about = lua.tolstring(L, -1, &g.about_n)
            lua.replace(L, 3)
        elif key_is(L, b"callback"):
            if lua.type(L, -1) != LUA_TFUNCTION:
                raise_error(L, b"ERR callback argument given to redis.register_function must be a function")
            lua.pushvalue(L, -1)
            lua.replace(L, 4)
            g.callback = 4
        elif key_is(L, b"flags"):
            take_flags(L, g)
        else:
            raise_error(L, b"ERR unknown argument given to redis.register_function")
        lua_pop(L, 1)
    if g.name == NULL:
        raise_error(L, b"ERR redis.register_function must get a function name argument")
    if g.callback == 0:
        raise_error(L, b"ERR redis.register_function must get a callback argument")


cdef void small_letters(char* to, const char* p, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        to[i] = p[i] + 32 if 65 <= p[i] <= 90 else p[i]


cdef Function* function_new(Vm* vm, Registration* g) noexcept nogil:
    """One piece: struct, key, name, description."""
    cdef size_t key = prefixed_size(g.name_n)
    cdef size_t size = FUNCTION_AT + key + g.name_n + g.about_n + 1
    cdef Function* f = <Function*>heap_alloc(vm.of.kv.heap, size)
    cdef char* at
    if f == NULL:
        return NULL
    memset(f, 0, FUNCTION_AT)
    f.size = size
    f.flags = g.flags
    at = <char*>f + FUNCTION_AT
    at += prefixed_write(at, g.name, g.name_n)
    small_letters(at - g.name_n, g.name, g.name_n)
    f.name = at
    f.name_n = g.name_n
    memcpy(at, g.name, g.name_n)
    if g.about != NULL:
        f.about = at + g.name_n
        f.about_n = g.about_n
        memcpy(f.about, g.about, g.about_n)
    return f


cdef int register_function(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef Library* library = <Library*>vm.loading
    cdef Registration g
    cdef Function* f
    cdef Function* other
    cdef int ref
    cdef int n = lua.gettop(L)
    memset(&g, 0, sizeof(g))
    if library == NULL:
        raise_error(L, b"ERR redis.register_function can only be called on FUNCTION LOAD command")
    if n < 1 or n > 2:
        raise_error(L, b"ERR wrong number of arguments to redis.register_function")
    if n == 1:
        named(L, &g)
    else:
        positional(L, &g)
    if not register_name_good(g.name, g.name_n):
        raise_error(L, b"ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one "
                       b"character long")
    other = library.functions
    while other != NULL:
        if other.name_n == g.name_n and memcmp(other.name, g.name, g.name_n) == 0:
            raise_error(L, b"ERR Function already exists in the library")
        other = other.next
    lua.pushvalue(L, g.callback)
    ref = lua.L_ref(L, LUA_REGISTRYINDEX)
    f = function_new(vm, &g)
    if f == NULL:
        lua.L_unref(L, LUA_REGISTRYINDEX, ref)
        raise_error(L, b"ERR not enough memory")
    f.ref = ref
    f.library = library
    f.next = library.functions
    library.functions = f
    library.n_functions += 1
    return 0


cdef void register_open(LuaState* L) noexcept nogil:
    lua_function(L, b"register_function", register_function)
