"""Opens the Lua 5.1 interpreter (contract: lua.pxd)."""

import importlib.util
from pathlib import Path

from libc.string cimport memset

cdef extern from "<dlfcn.h>" nogil:
    void* dlopen(const char*, int)
    void* dlsym(void*, const char*)
    char* dlerror()
    enum:
        RTLD_NOW
        RTLD_LOCAL

cdef extern from *:
    """
    #include <pthread.h>
    static pthread_mutex_t kv_lua_mutex = PTHREAD_MUTEX_INITIALIZER;
    #define KV_LUA_LOCK() pthread_mutex_lock(&kv_lua_mutex)
    #define KV_LUA_UNLOCK() pthread_mutex_unlock(&kv_lua_mutex)
    static inline int kv_lua_loaded(int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void kv_lua_set_loaded(int *p) { __atomic_store_n(p, 1, __ATOMIC_RELEASE); }
    """
    void mutex_lock "KV_LUA_LOCK"() nogil
    void mutex_unlock "KV_LUA_UNLOCK"() nogil
    int is_loaded "kv_lua_loaded"(int* p) nogil
    void set_loaded "kv_lua_set_loaded"(int* p) nogil

cdef enum:
    FUNCTIONS = sizeof(LuaApi) // sizeof(void*)

# the symbols, in the order of LuaApi's fields
cdef const char* NAMES[128]
cdef int n_names = 0


cdef void name_all(tuple names):
    """Keeps the texts: the tuple is a module's global."""
    global n_names
    for name in names:
        NAMES[n_names] = name
        n_names += 1


names = tuple(
    b"lua_" + word.encode()
    for word in """newstate atpanic getallocf newthread gettop settop pushvalue remove insert replace checkstack xmove
    isnumber isstring iscfunction type typename rawequal tonumber tointeger toboolean tolstring objlen touserdata
    tothread topointer pushnil pushnumber pushlstring pushstring pushcclosure pushboolean pushlightuserdata pushthread
    newuserdata gettable getfield rawget rawgeti createtable getmetatable setfield rawset rawseti setmetatable setfenv call pcall
    load cpcall resume status gc error next concat getstack getinfo sethook setlevel""".split()
) + tuple(
    b"luaL_" + word.encode()
    for word in """loadbuffer checklstring checknumber checkinteger optinteger checktype checkany checkstack
    checkoption argerror error where ref unref""".split()
) + (b"luaopen_base", b"luaopen_table", b"luaopen_string", b"luaopen_math")
name_all(names)
assert n_names == FUNCTIONS, (n_names, FUNCTIONS)


def interpreter_path():
    """Where lupa's module with Lua 5.1 lies, as bytes; empty: it is not installed."""
    spec = importlib.util.find_spec("lupa")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        for path in sorted(Path(place).glob("lua51.*.so")):
            return bytes(path)
    return b""


cdef bytes path_bytes = interpreter_path()
cdef const char* path = path_bytes
cdef bint have_path = len(path_bytes) > 0
cdef int loaded = 0


cdef bint lua_load(const char** why) noexcept nogil:
    cdef bint done
    if is_loaded(&loaded):
        return True
    mutex_lock()
    done = is_loaded(&loaded) or load_once(why)
    mutex_unlock()
    return done


cdef bint load_once(const char** why) noexcept nogil:
    cdef void* library
    cdef void** slot = <void**>&lua
    cdef int i
    if not have_path:
        why[0] = b"ERR scripts need the package lupa (with its module lua51): pip install lupa"
        return False
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL)
    if library == NULL:
        why[0] = b"ERR scripts need the package lupa, and its module lua51 can't be loaded: reinstall lupa"
        return False
    for i in range(FUNCTIONS):
        slot[i] = dlsym(library, NAMES[i])
        if slot[i] == NULL:
            memset(&lua, 0, sizeof(lua))
            why[0] = b"ERR scripts need Lua 5.1's C API, and the installed lupa does not export all of it"
            return False
    set_loaded(&loaded)
    return True
