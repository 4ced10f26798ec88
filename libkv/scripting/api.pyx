"""redis.call and the rest of the table `redis` (contract: api.pxd).

Source: redis.io, "Redis Lua API reference", and the texts of redis-server 7.0.15.  A command runs in the session of the
store's scripting, as the caller's user, in the caller's database, with the clock of the script's beginning; its reply is
written into a buffer and converted from there.

Deviation: redis.breakpoint and redis.debug do what they do in Redis outside its debugger: nothing.
"""

from libc.string cimport strlen

from libkv.engine.acl cimport acl_check_words, acl_refuse, acl_unlimited
from libkv.engine.call cimport call_count_error, call_execute
from libkv.engine.eviction cimport eviction_full
from libkv.engine.registry cimport CMD_DENYOOM, CMD_MAY_REPLICATE, CMD_NOSCRIPT, CMD_WRITE, Command
from libkv.engine.renames cimport rename_find_words
from libkv.engine.reply cimport reply_error
from libkv.engine.types cimport HOOK_ANY_IN_SCRIPTS, Arg, Kv, Reply
from libkv.scripting.convert cimport convert_number_text, convert_push
from libkv.scripting.lua cimport (
    LUA_REGISTRYINDEX, LUA_TNUMBER, LUA_TSTRING, lua, lua_function,
)
from libkv.scripting.vm cimport (
    AT_ERR, AT_OK, RUN_ALLOW_OOM, RUN_READONLY, RUN_WROTE, Run, Scripting, Vm, push_error, raise_error, vm_of,
)
from libkv.structures.alloc cimport LIKELY, UNLIKELY
from libkv.structures.buffer cimport buffer_add, buffer_room
from libkv.structures.number cimport NUMBER_DOUBLE
from libkv.structures.sha1 cimport SHA1_BYTES, sha1_hex, sha1_of

cdef extern from "<stdlib.h>" nogil:
    void* realloc(void*, size_t)

cdef enum:
    REPL_AOF = 1
    REPL_REPLICA = 2
    REPL_ALL = 3


# ---- commands

cdef Arg* arguments(LuaState* L, Vm* vm, int n) noexcept nogil:
    """All n values as a command's arguments; NULL: one is neither string nor number (or there is no memory).

    Strings stay where they are: they are on the stack until the call returns."""
    cdef Arg* a
    cdef char* digits = NULL
    cdef int i
    cdef int k
    cdef int type
    if UNLIKELY(vm.args_room < n):
        a = <Arg*>realloc(vm.args, <size_t>(n + 8) * sizeof(Arg))
        if a == NULL:
            return NULL
        vm.args = a
        vm.args_room = n + 8
    a = vm.args
    for i in range(n):
        type = lua.type(L, i + 1)
        a[i].hashed = False
        if LIKELY(type == LUA_TSTRING):
            a[i].p = lua.tolstring(L, i + 1, &a[i].n)
        elif type == LUA_TNUMBER:
            if digits == NULL:
                vm.digits.n = 0
                digits = buffer_room(&vm.digits, <size_t>n * NUMBER_DOUBLE)
                if digits == NULL:
                    return NULL
            convert_number_text(lua.tonumber(L, i + 1), digits, &k)
            a[i].p = digits
            a[i].n = k
            digits += k
        else:
            return NULL
    return a


cdef bint refused(Run* run, Command* cmd, Arg* argv, int argc) noexcept nogil:
    """Whether a script must not run this command now; the reason is replied."""
    cdef Reply* r = &run.inner_reply
    if UNLIKELY(cmd == NULL):
        reply_error(r, b"ERR Unknown Redis command called from script")
    elif (cmd.arity > 0 and argc != cmd.arity) or argc < -cmd.arity:
        reply_error(r, b"ERR Wrong number of args calling Redis command from script")
    elif cmd.flags & CMD_NOSCRIPT and not run.inner.kv.hooks & HOOK_ANY_IN_SCRIPTS:
        reply_error(r, b"ERR This Redis command is not allowed from script")
    elif UNLIKELY(not acl_unlimited(run.inner.session)) and acl_refuse(&run.inner, cmd, argv, argc, r):
        pass
    elif cmd.flags & (CMD_WRITE | CMD_MAY_REPLICATE) and run.flags & RUN_READONLY:
        reply_error(r, b"ERR Write commands are not allowed from read-only scripts.")
    elif cmd.flags & CMD_DENYOOM and not run.flags & (RUN_ALLOW_OOM | RUN_WROTE) and eviction_full(run.inner.kv):
        reply_error(r, b"OOM command not allowed when used memory > 'maxmemory'.")
    elif cmd.flags & CMD_WRITE and run.inner.kv.refusing_writes:
        reply_error(r, b"MISCONF The store refuses writes because it cannot make them durable. "
                       b"Commands that may modify the data set are disabled.")
    else:
        return False
    return True


cdef int fail(LuaState* L, bint raises, const char* text) noexcept nogil:
    push_error(L, text)
    return lua.error(L) if raises else 1


cdef int run_command(LuaState* L, bint raises) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef Scripting* s = vm.of
    cdef Run* run = s.run
    cdef Kv* kv = s.kv
    cdef int argc = lua.gettop(L)
    cdef Arg* argv
    cdef Command* cmd
    cdef bint effects_on
    if run == NULL or vm.loading != NULL:
        return fail(L, raises, b"ERR redis.call/pcall can only be called inside a script invocation")
    if argc == 0:
        return fail(L, raises, b"ERR Please specify at least one argument for this redis lib call")
    argv = arguments(L, vm, argc)
    if argv == NULL:
        return fail(L, raises, b"ERR Lua redis lib command arguments must be strings or integers")
    s.reply.n = 0
    run.inner_reply.out = &s.reply
    run.inner_reply.proto = s.session.proto
    run.inner_reply.errors = 0
    cmd = rename_find_words(kv, argv, argc)
    if UNLIKELY(refused(run, cmd, argv, argc)):
        call_count_error(kv, &s.reply, 0)
        if cmd != NULL:
            kv.command_stats[cmd.id].rejected += 1
    else:
        if cmd.flags & CMD_WRITE:
            run.flags |= RUN_WROTE
        effects_on = kv.effects_on
        kv.effects_on = effects_on and run.replicate
        call_execute(&run.inner, cmd, argv, argc, &run.inner_reply)
        kv.effects_on = effects_on
    if UNLIKELY(s.reply.failed or s.reply.n == 0):
        return fail(L, raises, b"ERR no memory for the reply")
    lua.settop(L, 0)
    convert_push(L, s.reply.p)
    if raises and s.reply.p[0] == c"-":
        return lua.error(L)
    return 1


cdef int redis_call(LuaState* L) noexcept nogil:
    return run_command(L, True)


cdef int redis_pcall(LuaState* L) noexcept nogil:
    return run_command(L, False)


cdef int redis_acl_check_cmd(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef int argc = lua.gettop(L)
    cdef Arg* argv
    cdef int allowed
    if argc == 0:
        raise_error(L, b"ERR Please specify at least one argument for this redis lib call")
    argv = arguments(L, vm, argc)
    if argv == NULL:
        raise_error(L, b"ERR Lua redis lib command arguments must be strings or integers")
    allowed = acl_check_words(vm.of.session, argv, argc)
    if allowed < 0:
        raise_error(L, b"ERR Invalid command passed to redis.acl_check_cmd()")
    lua.pushboolean(L, allowed)
    return 1


# ---- replies

cdef int single_string(LuaState* L) noexcept nogil:
    """Whether there is one argument, a string; else an error table is pushed."""
    if lua.gettop(L) == 1 and lua.type(L, 1) == LUA_TSTRING:
        return True
    push_error(L, b"ERR wrong number or type of arguments")
    return False


cdef int redis_error_reply(LuaState* L) noexcept nogil:
    """{err = text}: a text of one word gets ERR in front."""
    cdef const char* p
    cdef size_t n
    cdef size_t i = 0
    if not single_string(L):
        return 1
    p = lua.tolstring(L, 1, &n)
    n = strlen(p)
    if n and p[0] == c"-":
        p += 1
        n -= 1
    while n and (p[n - 1] == 13 or p[n - 1] == 10):
        n -= 1
    while i < n and p[i] != 32:
        i += 1
    lua.createtable(L, 0, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_ERR)
    if i == n:
        lua.pushstring(L, b"ERR ")
    lua.pushlstring(L, p, n)
    if i == n:
        lua.concat(L, 2)
    lua.rawset(L, -3)
    return 1


cdef int redis_status_reply(LuaState* L) noexcept nogil:
    if not single_string(L):
        return 1
    lua.createtable(L, 0, 1)
    lua.rawgeti(L, LUA_REGISTRYINDEX, AT_OK)
    lua.pushvalue(L, 1)
    lua.rawset(L, -3)
    return 1


# ---- the rest

cdef int redis_sha1hex(LuaState* L) noexcept nogil:
    cdef unsigned char[SHA1_BYTES] digest
    cdef char[41] hex
    cdef const char* p
    cdef size_t n = 0
    if lua.gettop(L) != 1:
        raise_error(L, b"ERR wrong number of arguments")
    p = lua.tolstring(L, 1, &n)
    sha1_of(p, n if p != NULL else 0, digest)
    sha1_hex(digest, hex)
    lua.pushlstring(L, hex, 40)
    return 1


cdef int redis_log(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef int argc = lua.gettop(L)
    cdef int level
    cdef int i
    cdef const char* p
    cdef size_t n
    if argc < 2:
        raise_error(L, b"ERR redis.log() requires two arguments or more.")
    if not lua.isnumber(L, 1):
        raise_error(L, b"ERR First argument must be a number (log level).")
    level = <int>lua.tonumber(L, 1)
    if level < 0 or level > 3:
        raise_error(L, b"ERR Invalid debug level.")
    if vm.of.log == NULL:
        return 0
    vm.text.n = 0
    for i in range(2, argc + 1):
        p = lua.tolstring(L, i, &n)
        if p != NULL:
            if i > 2:
                buffer_add(&vm.text, b" ", 1)
            buffer_add(&vm.text, p, n)
    if vm.text.n and not vm.text.failed:
        vm.of.log(vm.of.kv, level, vm.text.p, vm.text.n)
    return 0


cdef int redis_setresp(LuaState* L) noexcept nogil:
    cdef double v
    if lua.gettop(L) != 1:
        raise_error(L, b"ERR redis.setresp() requires one argument.")
    v = lua.tonumber(L, 1)
    if v != 2 and v != 3:
        raise_error(L, b"ERR RESP version must be 2 or 3.")
    vm_of(L).of.session.proto = <unsigned char>v
    return 0


cdef int redis_set_repl(LuaState* L) noexcept nogil:
    """Without replication to tell apart, effects are either kept or dropped."""
    cdef Scripting* s = vm_of(L).of
    cdef int flags
    if lua.gettop(L) != 1:
        raise_error(L, b"ERR redis.set_repl() requires two arguments.")
    flags = <int>lua.tonumber(L, 1)
    if flags & ~REPL_ALL:
        raise_error(L, b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
    if s.run != NULL:
        s.run.replicate = flags != 0
    return 0


cdef int redis_breakpoint(LuaState* L) noexcept nogil:
    lua.pushboolean(L, 0)
    return 1


cdef int redis_debug(LuaState* L) noexcept nogil:
    return 0


cdef int redis_replicate_commands(LuaState* L) noexcept nogil:
    lua.pushboolean(L, 1)
    return 1


# ---- the table

cdef void set_number(LuaState* L, const char* name, double v) noexcept nogil:
    lua.pushnumber(L, v)
    lua.setfield(L, -2, name)


cdef void api_open_loading(LuaState* L) noexcept nogil:
    lua.createtable(L, 0, 32)
    set_number(L, b"LOG_DEBUG", 0)
    set_number(L, b"LOG_VERBOSE", 1)
    set_number(L, b"LOG_NOTICE", 2)
    set_number(L, b"LOG_WARNING", 3)
    lua.pushstring(L, b"7.0.15")
    lua.setfield(L, -2, b"REDIS_VERSION")
    set_number(L, b"REDIS_VERSION_NUM", 0x0007000f)
    lua_function(L, b"log", redis_log)


cdef void api_open(LuaState* L, bint functions) noexcept nogil:
    api_open_loading(L)
    lua_function(L, b"call", redis_call)
    lua_function(L, b"pcall", redis_pcall)
    lua_function(L, b"setresp", redis_setresp)
    lua_function(L, b"sha1hex", redis_sha1hex)
    lua_function(L, b"error_reply", redis_error_reply)
    lua_function(L, b"status_reply", redis_status_reply)
    lua_function(L, b"set_repl", redis_set_repl)
    set_number(L, b"REPL_NONE", 0)
    set_number(L, b"REPL_AOF", REPL_AOF)
    set_number(L, b"REPL_SLAVE", REPL_REPLICA)
    set_number(L, b"REPL_REPLICA", REPL_REPLICA)
    set_number(L, b"REPL_ALL", REPL_ALL)
    lua_function(L, b"acl_check_cmd", redis_acl_check_cmd)
    if functions:
        return
    lua_function(L, b"breakpoint", redis_breakpoint)
    lua_function(L, b"debug", redis_debug)
    lua_function(L, b"replicate_commands", redis_replicate_commands)
