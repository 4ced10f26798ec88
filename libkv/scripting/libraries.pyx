"""Libraries of functions (contract: libraries.pxd).

Source: redis.io, "Redis functions", and redis-server 7.0.15's replies and errors.

    code -> first line: #!lua name=NAME -> compiled -> run once: register_function -> Library with its Functions -> joined
"""

from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from libkv.engine.clock cimport mono_ns
from libkv.engine.types cimport Reply
from libkv.engine.words cimport WORDS_END, WORDS_UNBALANCED, WORDS_WORD, words_next
from libkv.persistence.rdb_format cimport RDB_BAD, RDB_NO_MEMORY, RDB_OK
from libkv.scripting.lua cimport (
    LUA_REGISTRYINDEX, LUA_TSTRING, LUA_TTABLE, LuaState, lua, lua_pop,
)
from libkv.scripting.machine cimport machine_of
from libkv.scripting.register cimport FUNCTION_AT, LIBRARY_AT, register_name_good
from libkv.scripting.script_engine cimport scripting_of
from libkv.scripting.vm cimport (
    AT_ERR, AT_GLOBALS, AT_HANDLER, AT_HIDDEN, AT_LOADING, VM_FUNCTIONS, Vm, vm_delete, vm_of, vm_relieve,
)
from libkv.structures.alloc cimport heap_alloc, heap_free, heap_size
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    TableIter, table_find, table_init, table_insert, table_iter, table_next, table_release, table_remove,
)

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char*, size_t)

cdef enum:
    NAME_MOST = 512             # bytes of a function's name that are looked up


cdef void say(Buffer* why, const char* before, const char* p, size_t n, const char* after) noexcept nogil:
    cdef size_t k = 0
    why.n = 0
    while before[k]:
        k += 1
    buffer_add(why, before, k)
    buffer_add(why, p, n)
    k = 0
    while after[k]:
        k += 1
    buffer_add(why, after, k)


# ---- finding

cdef void tables_ready(Scripting* s) noexcept nogil:
    if s.libraries.key_at == 0:
        table_init(&s.libraries, LIBRARY_AT)
        table_init(&s.functions, FUNCTION_AT)


cdef Function* function_find(Scripting* s, const char* name, size_t n) noexcept nogil:
    cdef char[NAME_MOST] small
    cdef void** slot
    cdef size_t i
    if n > NAME_MOST or s.n_functions == 0:
        return NULL
    for i in range(n):
        small[i] = name[i] + 32 if 65 <= name[i] <= 90 else name[i]
    slot = table_find(s.kv.heap, &s.functions, small, n, siphash(s.kv.heap.seed, small, n))
    return <Function*>slot[0] if slot != NULL else NULL


cdef const char* library_name(Library* library, size_t* n) noexcept nogil:
    return prefixed_read(<const char*>library + LIBRARY_AT, n)


cdef Library* library_find(Scripting* s, const char* name, size_t n) noexcept nogil:
    cdef void** slot
    if s.n_libraries == 0:
        return NULL
    slot = table_find(s.kv.heap, &s.libraries, name, n, siphash(s.kv.heap.seed, name, n))
    return <Library*>slot[0] if slot != NULL else NULL


# ---- the first line

cdef bint metadata(const char* code, size_t n, Buffer* name, size_t* skip, Buffer* why) noexcept nogil:
    """#!ENGINE name=NAME; skip: bytes of the line without its end; name: "name=NAME", in a buffer that was empty."""
    cdef const char* end
    cdef const char* at = code
    cdef int found = WORDS_WORD
    cdef bint named = False
    cdef size_t mark
    if n < 2 or code[0] != c"#" or code[1] != c"!":
        say(why, b"Missing library metadata", b"", 0, b"")
        return False
    end = <const char*>memchr(code, 10, strnlen(code, n))
    while end != NULL and found == WORDS_WORD:      # its quotes must be right before anything else is
        name.n = 0
        found = words_next(&at, end, name)
    if end == NULL or found == WORDS_UNBALANCED:
        say(why, b"Invalid library metadata", b"", 0, b"")
        return False
    skip[0] = end - code
    at = code
    name.n = 0
    words_next(&at, end, name)
    name.n = 0
    while True:
        mark = name.n
        if words_next(&at, end, name) == WORDS_END:
            break
        if name.n - mark < 5 or memcmp(name.p + mark, b"name=", 5) != 0:
            say(why, b"Invalid metadata value given: ", name.p + mark, name.n - mark, b"")
            return False
        if named:
            say(why, b"Invalid metadata value, name argument was given multiple times", b"", 0, b"")
            return False
        named = True
    if not named:
        say(why, b"Library name was not given", b"", 0, b"")
        return False
    if name.failed:
        say(why, b"not enough memory", b"", 0, b"")
        return False
    if not register_name_good(name.p + 5, name.n - 5):
        say(why, b"Library names can only contain letters, numbers, or underscores(_) and must be at least one character "
                 b"long", b"", 0, b"")
        return False
    mark = name.n
    at = code
    words_next(&at, end, name)
    named = engine_known(name.p + mark + 2, name.n - mark - 2, why)
    name.n = mark
    return named


cdef bint engine_known(const char* p, size_t n, Buffer* why) noexcept nogil:
    if n == 3 and (p[0] | 32) == c"l" and (p[1] | 32) == c"u" and (p[2] | 32) == c"a":
        return True
    say(why, b"Engine '", p, n, b"' not found")
    return False


# ---- loading

cdef struct Load:
    const char* p
    size_t n
    Buffer* why
    bint done


cdef void show_globals(LuaState* L, int at) noexcept nogil:
    """Makes the table at this place of the registry what stands behind the globals."""
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_GLOBALS)
    lua.getmetatable(L, -1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, at)
    lua.setfield(L, -2, b"__index")
    lua_pop(L, 2)


cdef void tell(LuaState* L, Buffer* why, const char* before) noexcept nogil:
    """The error on top: a text, or a table with one."""
    cdef const char* p
    cdef size_t n
    if lua.type(L, -1) == LUA_TTABLE:
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ERR)
        lua.rawget(L, -2)
        if lua.type(L, -1) == LUA_TSTRING:
            p = lua.tolstring(L, -1, &n)
            say(why, before, p, n, b"")
        else:
            say(why, before, b"ERR unknown error", 17, b"")
        return
    p = lua.tolstring(L, -1, &n)
    if p == NULL:
        say(why, before, b"unknown error", 13, b"")
    else:
        say(why, before, p, n, b"")


cdef int load_code(LuaState* L) noexcept nogil:
    """In protected mode: compiles, and runs what registers the functions."""
    cdef Load* job = <Load*>lua.touserdata(L, 1)
    cdef const char* p = job.p
    cdef size_t n = job.n
    cdef Vm* vm = vm_of(L)
    if n and p[0] == 27:                # a precompiled chunk is text like any other
        vm.text.n = 0
        buffer_add(&vm.text, b" ", 1)
        buffer_add(&vm.text, p, n)
        p = vm.text.p
        n = vm.text.n
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_HANDLER)
    if lua.L_loadbuffer(L, p, n, b"@user_function") != 0:
        tell(L, job.why, b"Error compiling function: ")
        return 0
    show_globals(L, AT_LOADING)
    if lua.pcall(L, 0, 0, 2) != 0:
        tell(L, job.why, b"Error registering functions: ")
    else:
        job.done = True
    show_globals(L, AT_HIDDEN)
    return 0


cdef int restore_globals(LuaState* L) noexcept nogil:
    show_globals(L, AT_HIDDEN)
    return 0


cdef Library* library_new(Scripting* s, const char* name, size_t name_n, const char* code, size_t n) noexcept nogil:
    cdef size_t size = LIBRARY_AT + prefixed_size(name_n)
    cdef Library* library = <Library*>heap_alloc(s.kv.heap, size)
    if library == NULL:
        return NULL
    memset(library, 0, LIBRARY_AT)
    library.code = <char*>heap_alloc(s.kv.heap, n)
    if library.code == NULL:
        heap_free(s.kv.heap, library, size)
        return NULL
    library.size = size
    library.code_n = n
    memcpy(library.code, code, n)
    prefixed_write(<char*>library + LIBRARY_AT, name, name_n)
    return library


cdef void library_free(Scripting* s, Library* library) noexcept nogil:
    cdef Function* f = library.functions
    cdef Function* following
    while f != NULL:
        following = f.next
        if s.functions_vm != NULL:
            lua.L_unref(s.functions_vm.L, LUA_REGISTRYINDEX, f.ref)
        heap_free(s.kv.heap, f, f.size)
        f = following
    heap_free(s.kv.heap, library.code, library.code_n)
    heap_free(s.kv.heap, library, library.size)


cdef Library* library_compile(Scripting* s, const char* code, size_t n, bint replace, Buffer* why) noexcept nogil:
    cdef Library* library = NULL
    cdef Buffer name
    cdef size_t skip = 0
    buffer_init(&name)
    if metadata(code, n, &name, &skip, why):
        library = compile_named(s, name.p + 5, name.n - 5, code, n, skip, replace, why)
    buffer_free(&name)
    return library


cdef Library* compile_named(Scripting* s, const char* name, size_t name_n, const char* code, size_t n, size_t skip,
                            bint replace, Buffer* why) noexcept nogil:
    cdef Library* library
    cdef Vm* vm
    cdef Load job
    cdef Reply r
    cdef int status
    if not replace and library_find(s, name, name_n) != NULL:
        say(why, b"Library '", name, name_n, b"' already exists")
        return NULL
    why.n = 0
    memset(&r, 0, sizeof(r))
    r.out = why
    vm = machine_of(s, VM_FUNCTIONS, &r)
    if vm == NULL:
        say(why, b"functions need the package lupa (with its module lua51): pip install lupa", b"", 0, b"")
        return NULL
    library = library_new(s, name, name_n, code, n)
    if library == NULL:
        say(why, b"not enough memory", b"", 0, b"")
        return NULL
    job.p = code + skip
    job.n = n - skip
    job.why = why
    job.done = False
    vm.loading = library
    vm.loading_since_us = mono_ns() // 1000
    status = lua.cpcall(vm.L, load_code, &job)
    vm.loading = NULL
    vm_relieve(vm)
    if status != 0:
        say(why, b"Error registering functions: not enough memory", b"", 0, b"")
        lua_pop(vm.L, 1)
        lua.cpcall(vm.L, restore_globals, NULL)
    elif job.done and library.functions == NULL:
        say(why, b"No functions registered", b"", 0, b"")
    elif job.done:
        return library
    library_free(s, library)
    return NULL


# ---- joining and leaving

cdef uint64_t library_bytes(Library* library) noexcept nogil:
    cdef uint64_t total = heap_size(library.size) + heap_size(library.code_n)
    cdef Function* f = library.functions
    while f != NULL:
        total += heap_size(f.size)
        f = f.next
    return total


cdef void function_out(Scripting* s, Function* f) noexcept nogil:
    cdef size_t n
    cdef const char* key = prefixed_read(<const char*>f + FUNCTION_AT, &n)
    cdef uint64_t hash = siphash(s.kv.heap.seed, key, n)
    cdef void** slot = table_find(s.kv.heap, &s.functions, key, n, hash)
    if slot != NULL and slot[0] == f:
        table_remove(s.kv.heap, &s.functions, slot, hash)
        s.n_functions -= 1


cdef void library_out(Scripting* s, Library* library) noexcept nogil:
    """Takes it out of the tables; it lives on."""
    cdef size_t n
    cdef const char* name = library_name(library, &n)
    cdef uint64_t hash = siphash(s.kv.heap.seed, name, n)
    cdef void** slot = table_find(s.kv.heap, &s.libraries, name, n, hash)
    cdef Function* f = library.functions
    if slot != NULL and slot[0] == library:
        table_remove(s.kv.heap, &s.libraries, slot, hash)
        s.n_libraries -= 1
        s.function_bytes -= library_bytes(library)
    while f != NULL:
        function_out(s, f)
        f = f.next


cdef bint library_in(Scripting* s, Library* library) noexcept nogil:
    cdef size_t n
    cdef const char* name = library_name(library, &n)
    cdef Function* f = library.functions
    cdef const char* key
    tables_ready(s)
    if table_insert(s.kv.heap, &s.libraries, library, siphash(s.kv.heap.seed, name, n)) != 0:
        return False
    s.n_libraries += 1
    s.function_bytes += library_bytes(library)
    while f != NULL:
        key = prefixed_read(<const char*>f + FUNCTION_AT, &n)
        if table_insert(s.kv.heap, &s.functions, f, siphash(s.kv.heap.seed, key, n)) != 0:
            library_out(s, library)
            return False
        s.n_functions += 1
        f = f.next
    return True


cdef void libraries_free(Scripting* s, Library* list) noexcept nogil:
    cdef Library* following
    while list != NULL:
        following = list.next
        library_free(s, list)
        list = following


cdef void take_out(Scripting* s, Library* library, Library** aside) noexcept nogil:
    library_out(s, library)
    library.next = aside[0]
    aside[0] = library


cdef Library* any_library(Scripting* s) noexcept nogil:
    cdef TableIter it
    table_iter(&it, &s.libraries)
    return <Library*>table_next(&it)


cdef bint joins(Scripting* s, Library* library, Buffer* why) noexcept nogil:
    cdef size_t n
    cdef const char* name = library_name(library, &n)
    cdef Function* f = library.functions
    if library_find(s, name, n) != NULL:
        say(why, b"Library ", name, n, b" already exists")
        return False
    while f != NULL:
        if function_find(s, f.name, f.name_n) != NULL:
            say(why, b"Function ", f.name, f.name_n, b" already exists")
            return False
        f = f.next
    if library_in(s, library):
        return True
    say(why, b"not enough memory", b"", 0, b"")
    return False


cdef bint libraries_join(Scripting* s, Library* list, bint replace, bint flush, Buffer* why) noexcept nogil:
    """The old ones step aside first; when one of the new ones can't join, all go back."""
    cdef Library* aside = NULL
    cdef Library* library = list
    cdef Library* old
    cdef const char* name
    cdef size_t n
    tables_ready(s)
    while flush and s.n_libraries:
        take_out(s, any_library(s), &aside)
    while replace and library != NULL:
        name = library_name(library, &n)
        old = library_find(s, name, n)
        if old != NULL:
            take_out(s, old, &aside)
        library = library.next
    library = list
    while library != NULL and joins(s, library, why):
        library = library.next
    if library == NULL:
        libraries_free(s, aside)
        return True
    old = list
    while old != library:
        library_out(s, old)
        old = old.next
    while aside != NULL:
        old = aside
        aside = old.next
        if not library_in(s, old):
            library_free(s, old)        # no memory to take it back
    return False


cdef void library_remove(Scripting* s, Library* library) noexcept nogil:
    library_out(s, library)
    library_free(s, library)


cdef void libraries_flush(Scripting* s) noexcept nogil:
    """All of them, and the machine with whatever they left in it."""
    cdef TableIter it
    cdef void* item
    if s.libraries.key_at == 0:
        return
    vm_delete(s.functions_vm)
    s.functions_vm = NULL
    table_iter(&it, &s.libraries)
    while True:
        item = table_next(&it)
        if item == NULL:
            break
        library_free(s, <Library*>item)
    table_release(s.kv.heap, &s.libraries)
    table_release(s.kv.heap, &s.functions)
    s.libraries.key_at = 0
    s.n_libraries = s.n_functions = s.function_bytes = 0
    tables_ready(s)


# ---- files

cdef int libraries_each(Kv* kv, library_visit visit, void* arg) noexcept nogil:
    cdef Scripting* s = <Scripting*>kv.scripting
    cdef TableIter it
    cdef Library* library
    if s == NULL or s.n_libraries == 0:
        return 0
    table_iter(&it, &s.libraries)
    while True:
        library = <Library*>table_next(&it)
        if library == NULL:
            return 0
        if visit(arg, library.code, library.code_n) != 0:
            return -1


cdef int libraries_load(void* arg, Kv* kv, const char* code, size_t n, RdbError* error) noexcept nogil:
    cdef Scripting* s = scripting_of(kv)
    cdef Library* library
    cdef Buffer why
    cdef size_t k
    if s == NULL:
        error.code = RDB_NO_MEMORY
        return RDB_NO_MEMORY
    buffer_init(&why)
    library = library_compile(s, code, n, True, &why)
    if library != NULL and libraries_join(s, library, arg != NULL, False, &why):
        buffer_free(&why)
        return RDB_OK
    if library != NULL:
        library_free(s, library)
    error.code = RDB_BAD
    k = why.n if why.n < sizeof(error.text) - 1 else sizeof(error.text) - 1
    if k:
        memcpy(error.text, why.p, k)
    error.text[k] = 0
    buffer_free(&why)
    return RDB_BAD
