"""Scripts in execution (contract: run.pxd).

Source: redis.io, "Scripting with Lua", and redis-server 7.0.15's replies and errors.

    run_execute: the scripts' session becomes the caller's likeness
      lua.pcall(run_body): KEYS, ARGV, the function, its value's reply
        redis.call -> api -> call_execute
      effects of all its commands are one unit

Nothing of Lua's runs outside a protected call, so no error of it, and no lack of memory, ends the process.

Deviations: error() with a table that has no `err` ends the script with "ERR unknown error" (7.0.15 crashes); scripts do
not depend on the process's locale.
"""

from libc.stdint cimport int64_t
from libc.string cimport strlen

from libkv.engine.args cimport arg_int_msg
from libkv.engine.call cimport propagate_none
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport config_id, config_value
from libkv.engine.eviction cimport eviction_full
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.registry cimport Command
from libkv.engine.reply cimport reply_error, reply_ok
from libkv.engine.types cimport HOOK_BUSY, S_EMBEDDED, Kv, Session
from libkv.scripting.convert cimport convert_error, convert_reply
from libkv.scripting.lua cimport (
    LUA_GCRESTART, LUA_GCSETPAUSE, LUA_GCSETSTEPMUL, LUA_GCSTEP, LUA_MASKCOUNT, LUA_REGISTRYINDEX, LUA_TSTRING,
    LUA_TTABLE, lua, lua_pop,
)
from libkv.scripting.vm cimport (
    AT_ARGV, AT_ERR, AT_HANDLER, AT_HIDDEN, AT_IGNORE, AT_KEYS, AT_LINE, AT_SOURCE, HOOK_STEPS, KILL_ASKED,
    KILL_FORCED, KILL_NONE, RUN_ALLOW_OOM, RUN_FAILED, RUN_KILL_TOLD, RUN_READONLY, RUN_TOLD, RUN_WROTE,
    SCRIPT_ALLOW_OOM, SCRIPT_COMPAT, SCRIPT_NO_WRITES, VM_FUNCTIONS, VM_SCRIPTS, kill_get, kill_set, raise_error,
    vm_kill_check, vm_of, vm_relieve,
)
from libkv.structures.alloc cimport LIKELY, UNLIKELY
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_trim
from libkv.structures.number cimport number_parse_i64, number_print_i64

cdef extern from "<locale.h>" nogil:
    ctypedef void* locale_t
    locale_t newlocale(int, const char*, locale_t)
    locale_t uselocale(locale_t)
    enum:
        LC_ALL_MASK

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int nanosleep(const timespec*, timespec*)

cdef extern from *:
    """
    static inline void kv_busy_set(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
    static inline int kv_busy_get(int *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    """
    void busy_set "kv_busy_set"(int* p, int v) nogil
    int busy_get "kv_busy_get"(int* p) nogil

cdef enum:
    GC_RUNS = 50                # runs between two steps of the collector
    GIVE_NS = 100000            # how long a busy script leaves the lock to others
    REPLY_KEEP = 65536
    LOAD_MS = 500               # how long a library may load

# numbers are written and read with a point, whatever the process's locale says
cdef locale_t plain_locale = newlocale(LC_ALL_MASK, b"C", NULL)


cdef int BUSY_THRESHOLD = config_id(b"busy-reply-threshold")


# ---- a run

cdef void push_words(LuaState* L, Arg* words, int n) noexcept nogil:
    cdef int i
    lua.createtable(L, n, 0)
    for i in range(n):
        lua.pushlstring(L, words[i].p, words[i].n)
        lua.rawseti(L, -2, i + 1)


cdef int run_body(LuaState* L) noexcept nogil:
    """In protected mode: puts keys and arguments where the function expects them, calls it, replies what it returns."""
    cdef Run* run = <Run*>lua.touserdata(L, 1)
    cdef int status
    cdef int args = 0
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_HANDLER)
    if run.vm.kind == VM_SCRIPTS:
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_HIDDEN)
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_KEYS)
        push_words(L, run.keys, run.n_keys)
        lua.rawset(L, -3)
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ARGV)
        push_words(L, run.args, run.n_args)
        lua.rawset(L, -3)
        lua_pop(L, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, run.function_ref)
    if run.vm.kind == VM_FUNCTIONS:
        push_words(L, run.keys, run.n_keys)
        push_words(L, run.args, run.n_args)
        args = 2
    status = lua.pcall(L, args, 1, 2)
    if status == 0:
        convert_reply(L, run.reply, run.inner.session.proto)
    else:
        run_failure(L, run)
    return 0


cdef void run_failure(LuaState* L, Run* run) noexcept nogil:
    """The error on top: its text, the script, and where it was raised."""
    cdef Vm* vm = run.vm
    cdef Buffer* text = &vm.text
    cdef const char* p
    cdef size_t n
    cdef char[24] digits
    cdef bint counted
    text.n = 0
    if lua.type(L, -1) != LUA_TTABLE:
        buffer_add(text, b"ERR Error running script ", 25)
        buffer_add(text, run.name, run.name_n)
        buffer_add(text, b", ", 2)
        p = lua.tolstring(L, -1, NULL)
        if p == NULL:
            p = b"execution failure"
        buffer_add(text, p, strlen(p))
        convert_error(L, run.reply, text.p, text.n, False)
        return
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ERR)
    lua.rawget(L, -2)
    if lua.type(L, -1) == LUA_TSTRING:
        p = lua.tolstring(L, -1, NULL)
        buffer_add(text, p, strlen(p))              # a NUL ends the text of an error
    else:
        buffer_add(text, b"ERR unknown error", 17)
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_IGNORE)
    lua.rawget(L, -3)
    counted = lua.toboolean(L, -1) != 0
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_SOURCE)
    lua.rawget(L, -4)
    if lua.type(L, -1) == LUA_TSTRING:
        p = lua.tolstring(L, -1, &n)
        buffer_add(text, b" script: ", 9)
        buffer_add(text, run.name, run.name_n)
        buffer_add(text, b", on ", 5)
        buffer_add(text, p, n)
        buffer_add(text, b":", 1)
        lua.rawgeti(L, LUA_REGISTRYINDEX, AT_LINE)
        lua.rawget(L, -5)
        buffer_add(text, digits, number_print_i64(digits, <int64_t>lua.tonumber(L, -1)))
        buffer_add(text, b".", 1)
    convert_error(L, run.reply, text.p, text.n, counted)


cdef bint run_allowed(Ctx* c, uint32_t flags, bint readonly, Reply* r) noexcept nogil:
    if flags & SCRIPT_COMPAT:
        return True
    if readonly and not flags & SCRIPT_NO_WRITES:
        reply_error(r, b"ERR Can not execute a script with write flag using *_ro command.")
        return False
    if c.kv.refusing_writes and not flags & SCRIPT_NO_WRITES:
        reply_error(r, b"MISCONF The store refuses writes because it cannot make them durable. "
                       b"Commands that may modify the data set are disabled.")
        return False
    if not flags & (SCRIPT_ALLOW_OOM | SCRIPT_NO_WRITES) and eviction_full(c.kv):
        reply_error(r, b"OOM command not allowed when used memory > 'maxmemory'.")
        return False
    return True


cdef void run_begin(Ctx* c, Vm* vm, Run* run, uint32_t flags, bint readonly, Reply* r) noexcept nogil:
    cdef Scripting* s = vm.of
    cdef Session* session = s.session
    run.vm = vm
    run.caller = c.session
    run.flags = 0
    if readonly or flags & SCRIPT_NO_WRITES:
        run.flags |= RUN_READONLY
    if flags & SCRIPT_ALLOW_OOM:
        run.flags |= RUN_ALLOW_OOM
    run.replicate = True
    run.reply = r
    run.now = c.kv.now
    run.mono = c.kv.mono
    run.started_us = mono_ns() // 1000
    session.db = c.session.db
    session.user = c.session.user
    session.authenticated = c.session.authenticated
    session.proto = 2
    run.inner = c[0]
    run.inner.session = session
    run.inner.replay = False
    kill_set(&s.kill, KILL_NONE)
    s.run = run


cdef void run_end(Vm* vm) noexcept nogil:
    cdef Scripting* s = vm.of
    cdef LuaState* L = vm.L
    s.run = NULL
    busy_set(&s.kv.script_busy, 0)
    if UNLIKELY(kill_get(&s.kill) != KILL_NONE):
        kill_set(&s.kill, KILL_NONE)
        lua.sethook(L, run_hook, LUA_MASKCOUNT, HOOK_STEPS)
    if UNLIKELY(vm.gc_touched):
        lua.gc(L, LUA_GCSETPAUSE, 200)
        lua.gc(L, LUA_GCSETSTEPMUL, 200)
        lua.gc(L, LUA_GCRESTART, 0)
        vm.gc_touched = False
    if s.reply.cap > REPLY_KEEP:
        buffer_trim(&s.reply, REPLY_KEEP)
    if vm.text.cap > REPLY_KEEP:
        buffer_trim(&vm.text, REPLY_KEEP)
    if vm.digits.cap > REPLY_KEEP:
        buffer_trim(&vm.digits, REPLY_KEEP)


cdef int collect(LuaState* L) noexcept nogil:
    lua.gc(L, LUA_GCSTEP, GC_RUNS)
    return 0


cdef void run_execute(Ctx* c, Vm* vm, Run* run, uint32_t flags, bint readonly, Reply* r) noexcept nogil:
    cdef LuaState* L = vm.L
    cdef size_t mark = r.out.n
    cdef locale_t locale
    run_begin(c, vm, run, flags, readonly, r)
    c.kv.in_exec += 1
    locale = uselocale(plain_locale)
    lua.pushvalue(L, 1)
    lua.pushlightuserdata(L, run)
    if lua.pcall(L, 1, 0, 0) != 0:
        # not the script's own: no memory for KEYS, or for its reply
        lua_pop(L, 1)
        r.out.n = mark
        reply_error(r, b"ERR Error running script: not enough memory")
    vm.runs += 1
    if vm.runs % GC_RUNS == 0 and lua.cpcall(L, collect, NULL) != 0:
        lua_pop(L, 1)
    uselocale(locale)
    vm_relieve(vm)
    c.kv.in_exec -= 1
    run_end(vm)
    if UNLIKELY(run.flags & RUN_FAILED):
        c.kv.command_stats[(<Command*>c.cmd).id].failed += 1    # once for all of its own errors, which are counted
    propagate_none(c)           # its commands have told theirs


# ---- long scripts

cdef void tell_slow(Scripting* s, int64_t ms) noexcept nogil:
    cdef Buffer* text = &s.reply
    cdef char[24] digits
    cdef bint function = s.run.vm.kind == VM_FUNCTIONS
    s.run.flags |= RUN_TOLD
    if s.log == NULL:
        return
    text.n = 0
    buffer_add(text, b"Slow script detected: still in execution after ", 47)
    buffer_add(text, digits, number_print_i64(digits, ms))
    buffer_add(text, b" milliseconds. You can try killing the script using the ", 56)
    buffer_add(text, b"FUNCTION" if function else b"SCRIPT", 8 if function else 6)
    buffer_add(text, b" KILL command. Script name is: ", 31)
    buffer_add(text, s.run.name, s.run.name_n)
    buffer_add(text, b".", 1)
    if not text.failed:
        s.log(s.kv, 3, text.p, text.n)


cdef void give_way(Scripting* s) noexcept nogil:
    """Others get the lock, and the caller's server a round: all but a few commands are refused meanwhile."""
    cdef Kv* kv = s.kv
    cdef timespec pause
    cdef Session* session = s.run.caller
    pause.tv_sec = 0
    pause.tv_nsec = GIVE_NS
    kv.hooks |= HOOK_BUSY
    lock_give(kv)
    if s.poll != NULL and not session.flags & S_EMBEDDED:
        s.poll(kv, session)
    nanosleep(&pause, NULL)
    lock_take(kv)
    kv.hooks &= ~<uint32_t>HOOK_BUSY
    kv.now = s.run.now
    kv.mono = s.run.mono


cdef int64_t setting(Kv* kv, int id) noexcept nogil:
    cdef int64_t v = 0
    cdef const char* p = config_value(kv, id).p
    number_parse_i64(p, strlen(p), &v)
    return v


cdef void hook_loading(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    if vm.loading != NULL and mono_ns() // 1000 - vm.loading_since_us > LOAD_MS * 1000:
        raise_error(L, b"ERR FUNCTION LOAD timeout")


cdef void run_hook(LuaState* L, LuaDebug* ar) noexcept nogil:
    """Every HOOK_STEPS instructions; at each one once the script is to be killed, wherever it is then."""
    cdef Scripting* s = vm_of(L).of
    cdef int64_t ms
    cdef int64_t limit
    if s.run == NULL:
        hook_loading(L)
        return
    limit = setting(s.kv, BUSY_THRESHOLD)       # ms
    if kill_get(&s.kill) == KILL_NONE and limit > 0:
        ms = (mono_ns() // 1000 - s.run.started_us) // 1000
        if ms < limit:
            return
        if not s.run.flags & RUN_TOLD:
            tell_slow(s, ms)
        busy_set(&s.kv.script_busy, s.run.vm.kind)
        give_way(s)
        if s.kv.shutdown_asked or kill_get(&s.ending):
            kill_set(&s.kill, KILL_FORCED)
    if kill_get(&s.kill) != KILL_NONE:
        if not s.run.flags & RUN_KILL_TOLD:
            s.run.flags |= RUN_KILL_TOLD
            if s.log != NULL and kill_get(&s.kill) == KILL_ASKED:
                s.log(s.kv, 3, b"Lua script killed by user with SCRIPT KILL.", 43)
        lua.sethook(L, run_hook, LUA_MASKCOUNT, 1)
        if L != s.run.vm.L:
            lua.sethook(s.run.vm.L, run_hook, LUA_MASKCOUNT, 1)
        vm_kill_check(L)


cdef bint run_busy(Scripting* s, Reply* r) noexcept nogil:
    if LIKELY(s.run == NULL):
        return False
    reply_error(r, b"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
                if s.run.vm.kind == VM_FUNCTIONS else
                b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
    return True


cdef void run_kill(Scripting* s, int kind, Reply* r) noexcept nogil:
    cdef Run* run = s.run
    if run == NULL:
        reply_error(r, b"NOTBUSY No scripts in execution right now.")
    elif run.flags & RUN_WROTE:
        reply_error(r, b"UNKILLABLE Sorry the script already executed write commands against the dataset. You can "
                       b"either wait the script termination or kill the server in a hard way using the SHUTDOWN "
                       b"NOSAVE command.")
    elif run.vm.kind != kind:
        run_busy(s, r)
    else:
        kill_set(&s.kill, KILL_ASKED)
        reply_ok(r)


cdef bint run_words(Run* run, Arg* argv, int argc, const char* not_a_number, Reply* r) noexcept nogil:
    cdef int64_t v
    if not arg_int_msg(&argv[2], &v, r, not_a_number):
        return False
    if v > argc - 3:
        reply_error(r, b"ERR Number of keys can't be greater than number of args")
        return False
    if v < 0:
        reply_error(r, b"ERR Number of keys can't be negative")
        return False
    run.argv = argv
    run.argc = argc
    run.keys = argv + 3
    run.n_keys = <int>v
    run.args = argv + 3 + v
    run.n_args = argc - 3 - <int>v
    return True
