"""A store's scripting and its cache of scripts (contract: script_engine.pxd).

Source: redis.io, "Scripting with Lua" and "EVAL scripts" (shebang flags), and redis-server 7.0.15's replies and errors.

    EVAL -> sha1 -> script_find or script_load -> run_execute (run)

Deviation: a machine's memory has a limit, libkv-script-memory when it is made (Redis's has none).
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy, memset

from libkv.engine.reply cimport reply_error, reply_errorf, reply_oom
from libkv.engine.types cimport S_DENY_BLOCKING, S_SCRIPT
from libkv.engine.words cimport WORDS_END, WORDS_UNBALANCED, WORDS_WORD, words_next
from libkv.scripting.convert cimport convert_error
from libkv.scripting.flags cimport script_flag
from libkv.scripting.lua cimport LUA_REGISTRYINDEX, LuaState, lua, lua_pop
from libkv.scripting.machine cimport machine_of
from libkv.scripting.vm cimport (
    SCRIPT_COMPAT, VM_SCRIPTS, Vm, kill_set, vm_delete, vm_of, vm_relieve,
)
from libkv.structures.alloc cimport heap_alloc, heap_free, heap_size
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    TableIter, table_bytes, table_find, table_init, table_insert, table_iter, table_next, table_release,
)

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char*, size_t)

cdef enum:
    SHA_AT = 40                 # where a Script's key lies


# ---- a store's scripting

cdef Scripting* scripting_of(Kv* kv) noexcept nogil:
    cdef Scripting* s = <Scripting*>kv.scripting
    if s != NULL:
        return s
    s = <Scripting*>calloc(1, sizeof(Scripting))
    if s == NULL:
        return NULL
    s.session = <Session*>calloc(1, sizeof(Session))
    if s.session == NULL:
        free(s)
        return NULL
    s.kv = kv
    s.random = <uint64_t>0x1234abcd330e
    s.session.kv = kv
    s.session.fd = -1
    memcpy(s.session.addr, b"?:0", 4)      # as SLOWLOG shows it
    s.session.flags = S_SCRIPT | S_DENY_BLOCKING
    buffer_init(&s.reply)
    buffer_init(&s.session.out)
    table_init(&s.scripts, SHA_AT)
    kv.scripting = s
    return s


cdef void scripting_delete(Kv* kv) noexcept nogil:
    cdef Scripting* s = <Scripting*>kv.scripting
    if s == NULL:
        return
    vm_delete(s.scripts_vm)             # scripts and libraries lie in the store's heap, and go with it
    vm_delete(s.functions_vm)
    buffer_free(&s.reply)
    buffer_free(&s.session.out)
    free(s.session)
    free(s)
    kv.scripting = NULL


cdef Session* scripting_caller(Kv* kv) noexcept nogil:
    cdef Scripting* s = <Scripting*>kv.scripting
    return s.run.caller if s != NULL and s.run != NULL else NULL


cdef void scripting_figures(Kv* kv, ScriptFigures* out) noexcept nogil:
    cdef Scripting* s = <Scripting*>kv.scripting
    memset(out, 0, sizeof(ScriptFigures))
    if s == NULL:
        return
    if s.scripts_vm != NULL:
        out.vm_scripts = s.scripts_vm.heap.used
    if s.functions_vm != NULL:
        out.vm_functions = s.functions_vm.heap.used
    out.scripts = s.scripts.used
    out.scripts_bytes = s.script_bytes + table_bytes(&s.scripts)
    out.functions = s.n_functions
    out.libraries = s.n_libraries
    out.functions_bytes = s.function_bytes


cdef void scripting_end_run(Kv* kv) noexcept nogil:
    cdef Scripting* s = <Scripting*>kv.scripting
    if s != NULL:
        kill_set(&s.ending, 1)


# ---- shebangs

cdef bint take_flags(const char* p, size_t n, uint32_t* flags, Reply* r) noexcept nogil:
    """Names between commas."""
    cdef const char* comma
    cdef size_t k
    cdef uint32_t flag
    while n:
        comma = <const char*>memchr(p, c",", n)
        k = comma - p if comma != NULL else n
        flag = script_flag(p, k)
        if flag == 0:
            reply_errorf(r, b"ERR Unexpected flag in script shebang: %.*s", p, k)
            return False
        flags[0] |= flag
        if comma == NULL:
            break
        p += k + 1
        n -= k + 1
        if n == 0:
            reply_error(r, b"ERR Unexpected flag in script shebang: ")
            return False
    return True


cdef bint shebang_flags(const char* body, size_t n, uint32_t* flags, size_t* skip, Reply* r) noexcept nogil:
    """The first line, when it is a shebang: its flags, and its length without the line's end."""
    cdef const char* end
    cdef Buffer word
    cdef bint good
    if n < 2 or body[0] != c"#" or body[1] != c"!":
        flags[0] = SCRIPT_COMPAT
        return True
    end = <const char*>memchr(body, 10, strnlen(body, n))
    if end == NULL:
        reply_error(r, b"ERR Invalid script shebang")
        return False
    skip[0] = end - body
    buffer_init(&word)
    good = shebang_words(body, end, &word, flags, r)
    buffer_free(&word)
    return good


cdef bint shebang_words(const char* p, const char* end, Buffer* word, uint32_t* flags, Reply* r) noexcept nogil:
    """ENGINE [flags=NAME,...]."""
    cdef const char* at = p
    cdef int found = WORDS_WORD
    while found == WORDS_WORD:          # its quotes must be right before anything else is
        word.n = 0
        found = words_next(&at, end, word)
    word.n = 0
    if found == WORDS_UNBALANCED:
        reply_error(r, b"ERR Invalid engine in script shebang")
        return False
    words_next(&p, end, word)
    if word.n != 5 or memcmp(word.p, b"#!lua", 5) != 0:
        reply_errorf(r, b"ERR Unexpected engine in script shebang: %.*s", word.p, word.n)
        return False
    while True:
        word.n = 0
        if words_next(&p, end, word) == WORDS_END:
            return True
        if word.n < 6 or memcmp(word.p, b"flags=", 6) != 0:
            reply_errorf(r, b"ERR Unknown lua shebang option: %.*s", word.p, word.n)
            return False
        if not take_flags(word.p + 6, word.n - 6, flags, r):
            return False


# ---- cached scripts

cdef struct Compile:
    const char* p
    size_t n
    int ref
    Reply* r


cdef int compile_body(LuaState* L) noexcept nogil:
    """Compiles in protected mode; a precompiled chunk is text like any other, and fails at its first character."""
    cdef Compile* job = <Compile*>lua.touserdata(L, 1)
    cdef const char* p = job.p
    cdef size_t n = job.n
    cdef const char* text
    cdef Vm* vm
    if n and p[0] == 27:
        vm = vm_of(L)
        vm.text.n = 0
        buffer_add(&vm.text, b" ", 1)
        buffer_add(&vm.text, p, n)
        p = vm.text.p
        n = vm.text.n
    if lua.L_loadbuffer(L, p, n, b"@user_script") != 0:
        lua.pushstring(L, b"ERR Error compiling script (new function): ")
        lua.insert(L, -2)
        lua.concat(L, 2)
        text = lua.tolstring(L, -1, &n)
        convert_error(L, job.r, text, n, False)
        return 0
    job.ref = lua.L_ref(L, LUA_REGISTRYINDEX)
    return 0


cdef Script* script_find(Scripting* s, const char* sha) noexcept nogil:
    cdef void** slot = table_find(s.kv.heap, &s.scripts, sha, 40, siphash(s.kv.heap.seed, sha, 40))
    return <Script*>slot[0] if slot != NULL else NULL


cdef Script* script_load(Scripting* s, const char* body, size_t n, const char* sha, Reply* r) noexcept nogil:
    cdef Vm* vm = machine_of(s, VM_SCRIPTS, r)
    cdef Compile job
    cdef Script* script
    cdef uint32_t flags = 0
    cdef size_t skip = 0
    cdef int status
    if vm == NULL or not shebang_flags(body, n, &flags, &skip, r):
        return NULL
    job.p = body + skip
    job.n = n - skip
    job.r = r
    job.ref = 0
    status = lua.cpcall(vm.L, compile_body, &job)
    if status != 0:
        lua_pop(vm.L, 1)
        reply_error(r, b"ERR Error compiling script (new function): not enough memory")
    if job.ref == 0:
        vm_relieve(vm)
        return NULL
    script = <Script*>heap_alloc(s.kv.heap, SHA_AT + 41)
    if script != NULL:
        script.body = <char*>heap_alloc(s.kv.heap, n + 1)
        if script.body == NULL:
            heap_free(s.kv.heap, script, SHA_AT + 41)
            script = NULL
    if script == NULL:
        lua.L_unref(vm.L, LUA_REGISTRYINDEX, job.ref)
        reply_oom(r)
        return NULL
    script.ref = job.ref
    script.flags = flags
    script.body_n = n
    memcpy(script.body, body, n)
    (<char*>script)[SHA_AT] = 40
    memcpy(<char*>script + SHA_AT + 1, sha, 40)
    if table_insert(s.kv.heap, &s.scripts, script, siphash(s.kv.heap.seed, sha, 40)) != 0:
        lua.L_unref(vm.L, LUA_REGISTRYINDEX, job.ref)
        script_free(s, script)
        reply_oom(r)
        return NULL
    s.script_bytes += heap_size(SHA_AT + 41) + heap_size(n + 1)
    return script


cdef void script_free(Scripting* s, Script* script) noexcept nogil:
    heap_free(s.kv.heap, script.body, script.body_n + 1)
    heap_free(s.kv.heap, script, SHA_AT + 41)


cdef void scripts_flush(Scripting* s) noexcept nogil:
    cdef TableIter it
    cdef void* item
    table_iter(&it, &s.scripts)
    while True:
        item = table_next(&it)
        if item == NULL:
            break
        script_free(s, <Script*>item)
    table_release(s.kv.heap, &s.scripts)
    table_init(&s.scripts, SHA_AT)
    s.script_bytes = 0
    vm_delete(s.scripts_vm)
    s.scripts_vm = NULL
