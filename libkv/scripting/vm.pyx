"""A Lua state, its memory, and tables that scripts can't change (contract: vm.pxd)."""

from libc.stdlib cimport calloc, free

from libkv.scripting.lua cimport LUA_GCCOLLECT, LUA_REGISTRYINDEX, LUA_TTABLE, lua_function, lua_pop
from libkv.structures.alloc cimport LIKELY, SMALL_MAX, UNLIKELY, heap_alloc, heap_delete, heap_free, heap_new, heap_resize
from libkv.structures.buffer cimport buffer_free, buffer_init

cdef enum:
    SPARE = 65536               # bytes beyond the limit that a collection may need to begin

cdef char MARK                  # its address is the key under which a protected table's metatable holds the contents
cdef char META                  # ... and what getmetatable shows

cdef const char* STRINGS[AT_STRINGS]
STRINGS[0] = b"ok"
STRINGS[1] = b"err"
STRINGS[2] = b"map"
STRINGS[3] = b"set"
STRINGS[4] = b"double"
STRINGS[5] = b"big_number"
STRINGS[6] = b"verbatim_string"
STRINGS[7] = b"format"
STRINGS[8] = b"string"
STRINGS[9] = b"ignore_error_stats_update"
STRINGS[10] = b"source"
STRINGS[11] = b"line"
STRINGS[12] = b"KEYS"
STRINGS[13] = b"ARGV"
STRINGS[14] = b"__newindex"
STRINGS[15] = b"__index"


# ---- memory

cdef void* vm_alloc(void* ud, void* p, size_t old, size_t n) noexcept nogil:
    """Lua's allocator: sizes come with every call, so the heap's pieces need no header."""
    cdef Vm* vm = <Vm*>ud
    cdef void* q
    if n == 0:
        if p != NULL and old:
            heap_free(vm.heap, p, old)
        return NULL
    if p == NULL or old == 0:
        return heap_alloc(vm.heap, n) if vm.heap.used + n <= vm.limit else NULL
    if n > old and vm.heap.used + (n - old) > vm.limit:
        return NULL
    q = heap_resize(vm.heap, p, old, n)
    if q == NULL and n < old and old <= SMALL_MAX:
        return p                # Lua relies on it that a block can shrink; small pieces know their own size
    return q


cdef int vm_prepare(LuaState* L) noexcept nogil:
    """Fills the registry's fixed places."""
    cdef int i
    for i in range(AT_STRINGS):
        lua.pushstring(L, STRINGS[i])
        lua.rawseti(L, LUA_REGISTRYINDEX, i + 1)
    for i in range(AT_STRINGS + 1, AT_LAST + 1):
        lua.pushboolean(L, 0)
        lua.rawseti(L, LUA_REGISTRYINDEX, i)
    return 0


cdef Vm* vm_new(Scripting* of, int kind, uint64_t limit) noexcept nogil:
    cdef Vm* vm = <Vm*>calloc(1, sizeof(Vm))
    if vm == NULL:
        return NULL
    vm.heap = heap_new(1, 2)
    if vm.heap == NULL:
        free(vm)
        return NULL
    vm.kind = kind
    vm.of = of
    vm.limit = limit
    buffer_init(&vm.text)
    buffer_init(&vm.digits)
    vm.L = lua.newstate(vm_alloc, vm)
    if vm.L == NULL:
        vm_delete(vm)
        return NULL
    if lua.cpcall(vm.L, vm_prepare, NULL) != 0:
        vm_delete(vm)
        return NULL
    return vm


cdef void vm_delete(Vm* vm) noexcept nogil:
    """Gives the whole heap back.  lua_close is not needed: nothing in a state owns anything outside it."""
    if vm == NULL:
        return
    heap_delete(vm.heap)
    buffer_free(&vm.text)
    buffer_free(&vm.digits)
    free(vm.args)
    free(vm)


cdef int collect(LuaState* L) noexcept nogil:
    lua.gc(L, LUA_GCCOLLECT, 0)
    return 0


cdef void vm_relieve(Vm* vm) noexcept nogil:
    """What a script has left behind that ran out of memory would be in the next one's way."""
    if LIKELY(vm.heap.used < vm.limit - vm.limit // 4):
        return
    vm.limit += SPARE
    if lua.cpcall(vm.L, collect, NULL) != 0:
        lua_pop(vm.L, 1)
    vm.limit -= SPARE


# ---- errors

cdef void raise_text(LuaState* L, const char* text) noexcept nogil:
    lua.pushstring(L, text)
    lua.error(L)


cdef void push_error(LuaState* L, const char* text) noexcept nogil:
    lua.createtable(L, 0, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ERR)
    lua.pushstring(L, text)
    lua.rawset(L, -3)


cdef void raise_error(LuaState* L, const char* text) noexcept nogil:
    push_error(L, text)
    lua.error(L)


cdef void vm_kill_check(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef int kill = kill_get(&vm.of.kill)
    if UNLIKELY(kill != KILL_NONE) and vm.of.run != NULL:
        if kill == KILL_FORCED:
            raise_error(L, b"ERR The store ends.")
        raise_error(L, b"ERR Script killed by user with SCRIPT KILL...")


# ---- protected tables

cdef int refuse_newindex(LuaState* L) noexcept nogil:
    return protected_refuse(L)


cdef int protected_refuse(LuaState* L) noexcept nogil:
    lua.L_where(L, 1)
    lua.pushstring(L, b"Attempt to modify a readonly table")
    lua.concat(L, 2)
    return lua.error(L)


cdef void protect(LuaState* L) noexcept nogil:
    lua.createtable(L, 0, 0)            # the face
    lua.createtable(L, 0, 4)            # its metatable
    lua.pushlightuserdata(L, &MARK)
    lua.pushvalue(L, -4)
    lua.rawset(L, -3)
    lua.pushvalue(L, -3)
    lua.setfield(L, -2, b"__index")
    lua_function(L, b"__newindex", refuse_newindex)
    lua.setmetatable(L, -2)
    lua.remove(L, -2)


cdef bint protected_field(LuaState* L, int i, void* key) noexcept nogil:
    if lua.type(L, i) != LUA_TTABLE or not lua.getmetatable(L, i):
        return False
    lua.pushlightuserdata(L, &MARK)
    lua.rawget(L, -2)
    if lua.type(L, -1) != LUA_TTABLE:
        lua_pop(L, 2)
        return False
    if key != &MARK:
        lua_pop(L, 1)
        lua.pushlightuserdata(L, key)
        lua.rawget(L, -2)
    lua.remove(L, -2)
    return True


cdef bint protected_behind(LuaState* L, int i) noexcept nogil:
    return protected_field(L, i, &MARK)


cdef void protect_meta(LuaState* L) noexcept nogil:
    lua.getmetatable(L, -2)
    lua.pushlightuserdata(L, &META)
    lua.pushvalue(L, -3)
    lua.rawset(L, -3)
    lua_pop(L, 2)


cdef bint protected_meta(LuaState* L, int i) noexcept nogil:
    return protected_field(L, i, &META)
