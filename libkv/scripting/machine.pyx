"""Making a machine ready for scripts or functions (contract: machine.pxd)."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport strlen

from libkv.engine.config cimport config_id, config_value
from libkv.engine.reply cimport reply_error, reply_oom
from libkv.scripting.api cimport api_open, api_open_loading
from libkv.scripting.bitop cimport bitop_open
from libkv.scripting.cjson cimport cjson_open
from libkv.scripting.cmsgpack cimport cmsgpack_open
from libkv.scripting.lua cimport (
    LUA_GLOBALSINDEX, LUA_MASKCOUNT, LUA_REGISTRYINDEX, LUA_TBOOLEAN, LUA_TTABLE, LuaDebug, LuaState, lua, lua_load,
)
from libkv.scripting.register cimport register_open
from libkv.scripting.run cimport run_body, run_hook
from libkv.scripting.sandbox cimport sandbox_close, sandbox_missing, sandbox_open
from libkv.scripting.structlib cimport structlib_open
from libkv.scripting.vm cimport (
    AT_BODY, AT_ERR, AT_HANDLER, AT_LINE, AT_LOADING, AT_SOURCE, HOOK_STEPS, VM_FUNCTIONS, VM_SCRIPTS, protect,
    protected_behind, vm_delete, vm_new, vm_of,
)
from libkv.structures.number cimport number_parse_i64

cdef int MEMORY = config_id(b"libkv-script-memory")


cdef int error_handler(LuaState* L) noexcept nogil:
    """Makes {err, source, line} of what was raised, as Redis's: the place is the nearest Lua code."""
    cdef LuaDebug ar
    cdef bint placed = False
    cdef int level
    for level in range(1, 3):
        if not lua.getstack(L, level, &ar):
            break
        lua.getinfo(L, b"Sl", &ar)
        placed = True
        if ar.what[0] != c"C":
            break
    if lua.type(L, 1) != LUA_TTABLE or protected_behind(L, 1):
        lua.settop(L, 1)
        lua.createtable(L, 0, 3)
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ERR)
        lua.pushstring(L, b"ERR ")
        push_text(L, 1)
        lua.concat(L, 2)
        lua.rawset(L, 2)
        lua.replace(L, 1)
    lua.settop(L, 1)
    if placed:
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_SOURCE)
        lua.pushstring(L, ar.source)
        lua.rawset(L, 1)
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_LINE)
        lua.pushnumber(L, ar.currentline)
        lua.rawset(L, 1)
    return 1


cdef void push_text(LuaState* L, int i) noexcept nogil:
    """As tostring, without metamethods."""
    if lua.isstring(L, i):
        lua.pushvalue(L, i)
        lua.tolstring(L, -1, NULL)
    elif lua.type(L, i) == LUA_TBOOLEAN:
        lua.pushstring(L, b"true" if lua.toboolean(L, i) else b"false")
    else:
        lua.pushstring(L, lua.typename(L, lua.type(L, i)))


cdef int machine_open(LuaState* L) noexcept nogil:
    """Fills a new machine: libraries, sandbox, the error handler."""
    cdef bint functions = vm_of(L).kind == VM_FUNCTIONS
    lua.pushcclosure(L, error_handler, 0)
    lua.rawseti(L, LUA_REGISTRYINDEX, AT_HANDLER)
    sandbox_open(L)
    cjson_open(L)
    lua.setfield(L, LUA_GLOBALSINDEX, b"cjson")
    cmsgpack_open(L)
    lua.setfield(L, LUA_GLOBALSINDEX, b"cmsgpack")
    structlib_open(L)
    lua.setfield(L, LUA_GLOBALSINDEX, b"struct")
    bitop_open(L)
    lua.setfield(L, LUA_GLOBALSINDEX, b"bit")
    api_open(L, functions)
    lua.setfield(L, LUA_GLOBALSINDEX, b"redis")
    if not functions:
        lua.pushcclosure(L, error_handler, 0)
        lua.setfield(L, LUA_GLOBALSINDEX, b"__redis__err__handler")
    sandbox_close(L)
    if functions:
        lua.createtable(L, 0, 1)                # what a loading library sees
        api_open_loading(L)
        register_open(L)
        missing_raises(L)
        protect(L)
        lua.setfield(L, -2, b"redis")
        missing_raises(L)
        lua.rawseti(L, LUA_REGISTRYINDEX, AT_LOADING)
    lua.sethook(L, run_hook, LUA_MASKCOUNT, HOOK_STEPS)
    return 0


cdef void missing_raises(LuaState* L) noexcept nogil:
    lua.createtable(L, 0, 1)
    lua.pushcclosure(L, sandbox_missing, 0)
    lua.setfield(L, -2, b"__index")
    lua.setmetatable(L, -2)


cdef int keep_body(LuaState* L) noexcept nogil:
    """Leaves the function that runs scripts as the state's first value, for ever."""
    lua.pushcclosure(L, run_body, 0)
    lua.rawseti(L, LUA_REGISTRYINDEX, AT_BODY)
    return 0


cdef uint64_t memory_limit(Scripting* s) noexcept nogil:
    cdef int64_t v = 0
    cdef const char* p = config_value(s.kv, MEMORY).p
    number_parse_i64(p, strlen(p), &v)
    return <uint64_t>v


cdef Vm* machine_of(Scripting* s, int kind, Reply* r) noexcept nogil:
    cdef Vm** slot = &s.scripts_vm if kind == VM_SCRIPTS else &s.functions_vm
    cdef const char* why = NULL
    cdef Vm* vm
    if slot[0] != NULL:
        return slot[0]
    if not lua_load(&why):
        reply_error(r, why)
        return NULL
    vm = vm_new(s, kind, memory_limit(s))
    if vm == NULL or lua.cpcall(vm.L, machine_open, NULL) != 0 or lua.cpcall(vm.L, keep_body, NULL) != 0:
        vm_delete(vm)
        reply_oom(r)
        return NULL
    lua.rawgeti(vm.L, LUA_REGISTRYINDEX, AT_BODY)       # place 1, so that a run begins without an allocation
    slot[0] = vm
    return vm
