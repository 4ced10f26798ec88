# Lua 5.1's C API (reference manual 5.1, chapter 3), reached through pointers.
#
# The interpreter is PUC-Rio's 5.1.5 as the package lupa brings it: its extension module lua51 exports the whole C API.
# The file is found when libkv is imported and opened at the first script (lua_load); Python has no part in it
# afterwards, and lupa itself is never imported.
#
# Every function that may raise a Lua error leaves by longjmp.  So a lua_CFunction here is C in all but name: no Python
# object, nothing to give back at its end.

cdef extern from "<stddef.h>" nogil:
    ctypedef long ptrdiff_t

cdef struct LuaState:           # Lua's own: only pointers to it are used
    int unused

cdef struct LuaDebug:           # lua_Debug
    int event
    const char* name
    const char* namewhat
    const char* what
    const char* source
    int currentline
    int nups
    int linedefined
    int lastlinedefined
    char short_src[60]
    int i_ci

ctypedef int (*lua_fn)(LuaState* L) noexcept nogil
ctypedef void* (*lua_alloc_fn)(void* ud, void* p, size_t old, size_t n) noexcept nogil
ctypedef const char* (*lua_reader_fn)(LuaState* L, void* data, size_t* n) noexcept nogil
ctypedef void (*lua_hook_fn)(LuaState* L, LuaDebug* ar) noexcept nogil

cdef enum:
    LUA_REGISTRYINDEX = -10000
    LUA_ENVIRONINDEX = -10001
    LUA_GLOBALSINDEX = -10002
    LUA_YIELD = 1
    LUA_ERRRUN = 2
    LUA_ERRSYNTAX = 3
    LUA_ERRMEM = 4
    LUA_ERRERR = 5
    LUA_TNONE = -1
    LUA_TNIL = 0
    LUA_TBOOLEAN = 1
    LUA_TLIGHTUSERDATA = 2
    LUA_TNUMBER = 3
    LUA_TSTRING = 4
    LUA_TTABLE = 5
    LUA_TFUNCTION = 6
    LUA_TUSERDATA = 7
    LUA_TTHREAD = 8
    LUA_MULTRET = -1
    LUA_MASKCOUNT = 8
    LUA_GCRESTART = 1
    LUA_GCCOLLECT = 2
    LUA_GCCOUNT = 3
    LUA_GCCOUNTB = 4
    LUA_GCSTEP = 5
    LUA_GCSETPAUSE = 6
    LUA_GCSETSTEPMUL = 7

cdef struct LuaApi:             # one field a function, in the order of lua.pyx's NAMES; "L_" stands for luaL_
    LuaState* (*newstate)(lua_alloc_fn f, void* ud) noexcept nogil
    lua_fn (*atpanic)(LuaState* L, lua_fn f) noexcept nogil
    lua_alloc_fn (*getallocf)(LuaState* L, void** ud) noexcept nogil
    LuaState* (*newthread)(LuaState* L) noexcept nogil
    int (*gettop)(LuaState* L) noexcept nogil
    void (*settop)(LuaState* L, int i) noexcept nogil
    void (*pushvalue)(LuaState* L, int i) noexcept nogil
    void (*remove)(LuaState* L, int i) noexcept nogil
    void (*insert)(LuaState* L, int i) noexcept nogil
    void (*replace)(LuaState* L, int i) noexcept nogil
    int (*checkstack)(LuaState* L, int n) noexcept nogil
    void (*xmove)(LuaState* to_, LuaState* from_, int n) noexcept nogil
    int (*isnumber)(LuaState* L, int i) noexcept nogil
    int (*isstring)(LuaState* L, int i) noexcept nogil
    int (*iscfunction)(LuaState* L, int i) noexcept nogil
    int (*type)(LuaState* L, int i) noexcept nogil
    const char* (*typename)(LuaState* L, int t) noexcept nogil
    int (*rawequal)(LuaState* L, int i, int j) noexcept nogil
    double (*tonumber)(LuaState* L, int i) noexcept nogil
    ptrdiff_t (*tointeger)(LuaState* L, int i) noexcept nogil
    int (*toboolean)(LuaState* L, int i) noexcept nogil
    const char* (*tolstring)(LuaState* L, int i, size_t* n) noexcept nogil
    size_t (*objlen)(LuaState* L, int i) noexcept nogil
    void* (*touserdata)(LuaState* L, int i) noexcept nogil
    LuaState* (*tothread)(LuaState* L, int i) noexcept nogil
    const void* (*topointer)(LuaState* L, int i) noexcept nogil
    void (*pushnil)(LuaState* L) noexcept nogil
    void (*pushnumber)(LuaState* L, double v) noexcept nogil
    void (*pushlstring)(LuaState* L, const char* p, size_t n) noexcept nogil
    void (*pushstring)(LuaState* L, const char* p) noexcept nogil
    void (*pushcclosure)(LuaState* L, lua_fn f, int n) noexcept nogil
    void (*pushboolean)(LuaState* L, int v) noexcept nogil
    void (*pushlightuserdata)(LuaState* L, void* p) noexcept nogil
    int (*pushthread)(LuaState* L) noexcept nogil
    void* (*newuserdata)(LuaState* L, size_t n) noexcept nogil
    void (*gettable)(LuaState* L, int i) noexcept nogil
    void (*getfield)(LuaState* L, int i, const char* k) noexcept nogil
    void (*rawget)(LuaState* L, int i) noexcept nogil
    void (*rawgeti)(LuaState* L, int i, int n) noexcept nogil
    void (*createtable)(LuaState* L, int arr, int rec) noexcept nogil
    int (*getmetatable)(LuaState* L, int i) noexcept nogil
    void (*setfield)(LuaState* L, int i, const char* k) noexcept nogil
    void (*rawset)(LuaState* L, int i) noexcept nogil
    void (*rawseti)(LuaState* L, int i, int n) noexcept nogil
    int (*setmetatable)(LuaState* L, int i) noexcept nogil
    int (*setfenv)(LuaState* L, int i) noexcept nogil
    void (*call)(LuaState* L, int args, int results) noexcept nogil
    int (*pcall)(LuaState* L, int args, int results, int handler) noexcept nogil
    int (*load)(LuaState* L, lua_reader_fn f, void* data, const char* name) noexcept nogil
    int (*cpcall)(LuaState* L, lua_fn f, void* ud) noexcept nogil
    int (*resume)(LuaState* L, int args) noexcept nogil
    int (*status)(LuaState* L) noexcept nogil
    int (*gc)(LuaState* L, int what, int data) noexcept nogil
    int (*error)(LuaState* L) noexcept nogil
    int (*next)(LuaState* L, int i) noexcept nogil
    void (*concat)(LuaState* L, int n) noexcept nogil
    int (*getstack)(LuaState* L, int level, LuaDebug* ar) noexcept nogil
    int (*getinfo)(LuaState* L, const char* what, LuaDebug* ar) noexcept nogil
    int (*sethook)(LuaState* L, lua_hook_fn f, int mask, int count) noexcept nogil
    void (*setlevel)(LuaState* from_, LuaState* to_) noexcept nogil
    int (*L_loadbuffer)(LuaState* L, const char* p, size_t n, const char* name) noexcept nogil
    const char* (*L_checklstring)(LuaState* L, int i, size_t* n) noexcept nogil
    double (*L_checknumber)(LuaState* L, int i) noexcept nogil
    ptrdiff_t (*L_checkinteger)(LuaState* L, int i) noexcept nogil
    ptrdiff_t (*L_optinteger)(LuaState* L, int i, ptrdiff_t v) noexcept nogil
    void (*L_checktype)(LuaState* L, int i, int t) noexcept nogil
    void (*L_checkany)(LuaState* L, int i) noexcept nogil
    void (*L_checkstack)(LuaState* L, int n, const char* text) noexcept nogil
    int (*L_checkoption)(LuaState* L, int i, const char* default, const char** words) noexcept nogil
    int (*L_argerror)(LuaState* L, int i, const char* text) noexcept nogil
    int (*L_error)(LuaState* L, const char* format, ...) noexcept nogil
    void (*L_where)(LuaState* L, int level) noexcept nogil
    int (*L_ref)(LuaState* L, int t) noexcept nogil
    void (*L_unref)(LuaState* L, int t, int ref) noexcept nogil
    int (*open_base)(LuaState* L) noexcept nogil
    int (*open_table)(LuaState* L) noexcept nogil
    int (*open_string)(LuaState* L) noexcept nogil
    int (*open_math)(LuaState* L) noexcept nogil

cdef LuaApi lua                 # filled by lua_load

cdef bint lua_load(const char** why) noexcept nogil
    # at the first script; any thread.  False: there is no interpreter, and `why` says what to do about it

cdef inline void lua_pop(LuaState* L, int n) noexcept nogil:
    lua.settop(L, -n - 1)

cdef inline void lua_function(LuaState* L, const char* name, lua_fn f) noexcept nogil:
    """Sets a field of the table on top to a C function."""
    lua.pushcclosure(L, f, 0)
    lua.setfield(L, -2, name)
