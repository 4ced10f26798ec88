"""The life of one command (contract: call.pxd).

    parse (session) -> look up -> gates -> execute -> count -> slow log -> effect

The gates stand in Redis's order, in one table: each looks at the command and the session, and says no with its reply.
"""

from libc.stdint cimport uint32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, strlen, strncmp

from libkv.engine.acl cimport acl_refuse, acl_unlimited
from libkv.engine.args cimport arg_is
from libkv.engine.blocking cimport CALL_PAUSED, blocking_serve, pause_holds
from libkv.engine.clock cimport ticks, ticks_ns
from libkv.engine.push cimport PushFrame, push_enter, push_leave, push_needed
from libkv.engine.durability cimport Durability
from libkv.engine.config cimport config_id, config_value
from libkv.engine.latency cimport latency_add, latency_count
from libkv.engine.eviction cimport eviction_gate
from libkv.engine.registry cimport (
    CMD_ADMIN, CMD_ALLOW_BUSY, CMD_CONTAINER, CMD_DENYOOM, CMD_FAST, CMD_LOADING, CMD_MAY_REPLICATE, CMD_NO_AUTH,
    CMD_NO_MULTI, CMD_READONLY, CMD_SKIP_SLOWLOG, CMD_WRITE, command_sub,
)
from libkv.engine.renames cimport command_named
from libkv.engine.reply cimport reply_error, reply_errorf, reply_status, reply_unknown_sub, reply_wrong_arity
from libkv.engine.session cimport session_drop_queue
from libkv.engine.slowlog cimport slowlog_add
from libkv.engine.tracking cimport tracking_command_end
from libkv.engine.types cimport (
    CALL_BLOCK, CALL_DONE, EFFECT_NONE, EFFECT_REPLACED, EFFECT_VERBATIM, S_ATTACK, S_CLOSE_ASAP, S_DIRTY_CAS,
    S_DIRTY_EXEC, S_EMBEDDED, S_MONITOR, S_MULTI, S_PUBSUB, S_TRACKING, S_UNIX, Queued,
)
from libkv.engine.watch cimport watch_clear
from libkv.structures.alloc cimport LIKELY, UNLIKELY
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_insert, buffer_room
from libkv.structures.number cimport number_print_i64

cdef enum:
    SCRIPT_BUSY_FUNCTION = 2    # Kv.script_busy: it is a function (1: a script)

ctypedef bint (*gate_fn)(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil     # True: refused


# ---- gates

cdef bint gate_arity(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if (cmd.arity > 0 and argc == cmd.arity) or (cmd.arity < 0 and argc >= -cmd.arity):
        return False
    reply_wrong_arity(r, cmd)
    return True


cdef bint gate_auth(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(c.session.authenticated) or not c.kv.settings.has_password or cmd.flags & CMD_NO_AUTH:
        return False
    reply_error(r, b"NOAUTH Authentication required.")
    return True


cdef bint gate_acl(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    return not LIKELY(acl_unlimited(c.session)) and acl_refuse(c, cmd, argv, argc, r)


cdef bint gate_memory(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    """maxmemory: keys go; when none may, nothing that needs memory is run or queued."""
    cdef Session* s = c.session
    cdef bint needs = cmd.flags & CMD_DENYOOM != 0
    cdef int i
    if LIKELY(c.kv.settings.maxmemory == 0) or c.kv.script_busy or not eviction_gate(c.kv):
        return False
    if s.flags & S_MULTI and named(cmd, b"exec"):
        for i in range(s.queued):
            needs = needs or (<Command*>s.queue[i].cmd).flags & CMD_DENYOOM != 0
    elif s.flags & S_MULTI and not (named(cmd, b"discard") or named(cmd, b"quit") or named(cmd, b"reset")):
        needs = True
    if needs:
        reply_error(r, b"OOM command not allowed when used memory > 'maxmemory'.")
    return needs


cdef bint gate_transaction(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(not c.session.flags & S_MULTI) or not cmd.flags & CMD_NO_MULTI:
        return False
    reply_error(r, b"ERR Command not allowed inside a transaction")
    return True


cdef bint gate_durable(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Durability* d = <Durability*>c.kv.journal
    if LIKELY(not c.kv.refusing_writes) or (not cmd.flags & CMD_WRITE and not named(cmd, b"ping")):
        return False
    if d != NULL and d.refusal[0]:
        reply_error(r, d.refusal)
    else:
        reply_error(r, b"MISCONF The store refuses writes because it cannot make them durable. "
                       b"Commands that may modify the data set are disabled.")
    return True


cdef bint gate_loading(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(not c.kv.loading) or cmd.flags & CMD_LOADING:
        return False
    reply_error(r, b"LOADING Redis is loading the dataset in memory")
    return True


cdef inline bint forbidden(Session* s, char allowed) noexcept nogil:
    """allowed: "n" (no), "y" (yes), or "l" (local: only for clients of this machine)."""
    if allowed != b"l":
        return allowed == b"n"
    return not (s.flags & (S_UNIX | S_EMBEDDED) or strncmp(s.addr, b"127.0.0.1:", 10) == 0
                or strncmp(s.addr, b"[::1]:", 6) == 0)


cdef bint gate_protected(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    """enable-debug-command and enable-module-command."""
    if LIKELY(not cmd.flags & CMD_ADMIN):
        return False
    if named(cmd, b"debug") and forbidden(c.session, b"nyl"[c.kv.settings.enable_debug_command]):
        reply_error(r, b"ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run "
                       b"it from a local connection, otherwise you need to set this option in the configuration file, and "
                       b"then restart the server.")
        return True
    if ((named(cmd, b"module|load") or named(cmd, b"module|loadex") or named(cmd, b"module|unload"))
            and forbidden(c.session, config_value(c.kv, ENABLE_MODULES).p[0])):
        reply_error(r, b"ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run "
                       b"it from a local connection, otherwise you need to set this option in the configuration file, and "
                       b"then restart the server.")
        return True
    return False


cdef bint gate_listener(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    """What a subscriber may do in RESP2, where a reply could not be told from a message; and what a monitor may do,
    which Redis counts among its replicas."""
    cdef Session* s = c.session
    cdef uint64_t flags = cmd.flags
    cdef int i
    if LIKELY(not s.flags & (S_PUBSUB | S_MONITOR)):
        return False
    if s.flags & S_PUBSUB and r.proto == 2 and not of_subscribers(cmd):
        reply_errorf(r, b"ERR Can't execute '%.*s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                        b"allowed in this context", cmd.full, cmd.full_n)
        return True
    if s.flags & S_MONITOR:
        for i in range(s.queued if named(cmd, b"exec") else 0):
            flags |= (<Command*>s.queue[i].cmd).flags
        if flags & (CMD_READONLY | CMD_WRITE | CMD_MAY_REPLICATE):
            reply_error(r, b"ERR Replica can't interact with the keyspace")
            return True
    return False


cdef bint of_subscribers(Command* cmd) noexcept nogil:
    return (named(cmd, b"ping") or named(cmd, b"subscribe") or named(cmd, b"unsubscribe") or named(cmd, b"psubscribe")
            or named(cmd, b"punsubscribe") or named(cmd, b"ssubscribe") or named(cmd, b"sunsubscribe")
            or named(cmd, b"quit") or named(cmd, b"reset"))


cdef bint gate_busy(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    """A script runs longer than busy-reply-threshold: little is allowed but what ends it."""
    if LIKELY(c.kv.script_busy == 0) or cmd.flags & CMD_ALLOW_BUSY:
        return False
    reply_error(r, b"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
                if c.kv.script_busy == SCRIPT_BUSY_FUNCTION else
                b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
    return True


cdef int ENABLE_MODULES = config_id(b"enable-module-command")

cdef gate_fn GATES[10]
GATES[0] = gate_arity
GATES[1] = gate_protected
GATES[2] = gate_transaction
GATES[3] = gate_auth
GATES[4] = gate_acl
GATES[5] = gate_memory
GATES[6] = gate_durable
GATES[7] = gate_listener
GATES[8] = gate_loading
GATES[9] = gate_busy


cdef void refuse_unknown(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Redis's text: the name, and the arguments as far as they fit in 128 bytes."""
    cdef char text[512]
    cdef char name[132]
    cdef char args[256]
    cdef int used = 0
    cdef int i = 1
    cdef size_t k
    cdef size_t n = c_length(&argv[0], 128)
    memcpy(name, argv[0].p, n)
    name[n] = 0
    while i < argc and used < 128:
        args[used] = 39
        used += 1
        k = c_length(&argv[i], 128 - used + 1)
        memcpy(args + used, argv[i].p, k)
        used += <int>k
        args[used] = 39
        args[used + 1] = 32
        used += 2
        i += 1
    args[used] = 0
    n = snprintf(text, sizeof(text), b"ERR unknown command '%s', with args beginning with: %s", name, args)
    for k in range(n):
        if text[k] == 13 or text[k] == 10:
            text[k] = 32
    reply_error(r, text)


cdef size_t c_length(Arg* a, size_t most) noexcept nogil:
    """Bytes of an argument that a C format would print: up to a NUL, at most so many."""
    cdef size_t n = 0
    while n < a.n and n < most and a.p[n] != 0:
        n += 1
    return n


cdef void refuse_exec(Ctx* c, Reply* r, size_t mark) noexcept nogil:
    """A gate has refused EXEC: that is the end of the transaction (if there is one), and the reason stands behind
    EXECABORT; of its first word "-ERR " is left out, of others the "-"."""
    cdef const char* text = b"-EXECABORT Transaction discarded because of: "
    cdef size_t n = strlen(text)
    cdef size_t cut
    if not r.out.failed and mark < r.out.n and r.out.p[mark] == c"-":
        cut = 5 if r.out.n - mark > 5 and memcmp(r.out.p + mark, b"-ERR ", 5) == 0 else 1
        buffer_insert(r.out, mark, text, n)
        if r.out.failed:
            return
        memmove(r.out.p + mark + n, r.out.p + mark + n + cut, r.out.n - mark - n - cut)
        r.out.n -= cut
    session_drop_queue(c.session)
    c.session.flags &= ~<uint32_t>(S_MULTI | S_DIRTY_CAS | S_DIRTY_EXEC)
    watch_clear(c.session)


cdef int refused(Ctx* c, Command* cmd, Reply* r, size_t mark) noexcept nogil:
    if cmd != NULL:
        c.kv.command_stats[cmd.id].rejected += 1
    if UNLIKELY(cmd != NULL and named(cmd, b"exec")):
        refuse_exec(c, r, mark)
    call_count_error(c.kv, r.out, mark)
    if c.session.flags & S_MULTI:
        c.session.flags |= S_DIRTY_EXEC
    elif UNLIKELY(c.session.flags & S_TRACKING):
        tracking_command_end(c.session, cmd)
    return CALL_DONE


cdef int call_command(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef size_t mark = r.out.n
    cdef Command* container
    cdef int status
    cdef int i
    if cmd == NULL:
        cmd = command_named(c.session, argv[0].p, argv[0].n)
        if cmd == NULL and (arg_is(&argv[0], b"post", 4) or arg_is(&argv[0], b"host:", 5)):
            # a web page makes a browser talk to us: the request's lines must not run as commands
            c.session.flags |= S_CLOSE_ASAP | S_ATTACK
            return CALL_DONE
        if cmd == NULL:
            refuse_unknown(c, argv, argc, r)
            return refused(c, NULL, r, mark)
    if UNLIKELY(cmd.flags & CMD_CONTAINER) and argc > 1:
        container = cmd
        cmd = command_sub(container, argv[1].p, argv[1].n)
        if cmd == NULL:
            if container.fn == NULL:
                unknown_sub(r, argv)
                return refused(c, container, r, mark)
            cmd = container
    c.session.last_cmd = cmd
    for i in range(sizeof(GATES) // sizeof(gate_fn)):
        if UNLIKELY(GATES[i](c, cmd, argv, argc, r)):
            return refused(c, cmd, r, mark)
    if UNLIKELY(c.kv.pause_until != 0) and pause_holds(c, cmd):
        return CALL_PAUSED
    if UNLIKELY(c.session.flags & S_MULTI) and not runs_at_once(cmd):
        if queue_command(c.session, cmd, argv, argc) != 0:
            reply_error(r, b"OOM no memory to queue the command")
            return refused(c, cmd, r, mark)
        reply_status(r, b"QUEUED")
        return CALL_DONE
    status = call_execute(c, cmd, argv, argc, r)
    if UNLIKELY(c.kv.ready) and c.kv.in_exec == 0:
        blocking_serve(c.kv)
    return status


cdef void unknown_sub(Reply* r, Arg* argv) noexcept nogil:
    """The container's name as the client wrote it, in capitals."""
    cdef char name[64]
    cdef size_t n = min(argv[0].n, sizeof(name) - 1)
    cdef size_t i
    for i in range(n):
        name[i] = argv[0].p[i] - 32 if 97 <= argv[0].p[i] <= 122 else argv[0].p[i]
    name[n] = 0
    reply_unknown_sub(r, argv[1].p, argv[1].n, name)


cdef bint runs_at_once(Command* cmd) noexcept nogil:
    """The commands that a transaction does not queue."""
    return (named(cmd, b"exec") or named(cmd, b"discard") or named(cmd, b"multi") or named(cmd, b"watch")
            or named(cmd, b"quit") or named(cmd, b"reset"))


cdef inline bint named(Command* cmd, const char* name) noexcept nogil:
    cdef size_t i = 0
    while i < cmd.full_n and name[i] == cmd.full[i]:
        i += 1
    return i == cmd.full_n and name[i] == 0


cdef int queue_command(Session* s, Command* cmd, Arg* argv, int argc) noexcept nogil:
    """Copies the command to the end of the transaction; 0, or -1 without memory."""
    cdef size_t bytes = argc * sizeof(Arg)
    cdef size_t at = bytes
    cdef int i
    cdef int cap
    cdef char* block
    cdef Queued* more
    cdef Queued* q
    for i in range(argc):
        bytes += argv[i].n
    if s.queued == s.queue_cap:
        cap = s.queue_cap * 2 if s.queue_cap else 8
        more = <Queued*>realloc(s.queue, cap * sizeof(Queued))
        if more == NULL:
            return -1
        s.queue = more
        s.queue_cap = cap
    block = <char*>malloc(bytes)
    if block == NULL:
        return -1
    q = &s.queue[s.queued]
    q.cmd = cmd
    q.argc = argc
    q.argv = <Arg*>block
    q.bytes = block
    q.n_bytes = bytes
    for i in range(argc):
        q.argv[i] = argv[i]
        q.argv[i].p = block + at
        memcpy(block + at, argv[i].p, argv[i].n)
        at += argv[i].n
    s.queued += 1
    s.queue_bytes += bytes
    return 0


# ---- execution

cdef int call_execute(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Kv* kv = c.kv
    cdef uint32_t errors = r.errors
    cdef size_t mark = r.out.n
    cdef uint64_t start = ticks()
    cdef uint64_t outer_dirty = c.dirty0
    cdef int outer_effect = c.effect
    cdef void* outer_cmd = c.cmd
    cdef int status
    cdef double ns
    cdef PushFrame frame
    frame.on = frame.again = False
    c.cmd = cmd
    c.dirty0 = kv.dirty
    c.effect = EFFECT_VERBATIM
    if push_needed(kv):
        push_enter(c, cmd, argv, argc, r, mark, &frame)
    status = cmd.fn(c, argv, argc, r)
    ns = ticks_ns(ticks() - start)
    if LIKELY(not c.replay):
        kv.stats.commands += 1
        kv.command_stats[cmd.id].calls += 1
        kv.command_stats[cmd.id].usec_x1000 += <uint64_t>ns
        if LIKELY(status != CALL_BLOCK):        # else it is counted when it ends
            latency_count(kv, cmd.id, <uint64_t>ns, 1)
        if UNLIKELY(kv.settings.latency_monitor_threshold > 0
                    and ns >= <double>kv.settings.latency_monitor_threshold * 1e6):
            latency_add(kv, b"fast-command" if cmd.flags & CMD_FAST else b"command", <int64_t>(ns / 1e6))
        if UNLIKELY(r.errors != errors):
            kv.command_stats[cmd.id].failed += 1
            call_count_error(kv, r.out, mark)
        if UNLIKELY(kv.settings.slowlog_log_slower_than >= 0
                    and ns >= <double>kv.settings.slowlog_log_slower_than * 1000.0
                    and not cmd.flags & CMD_SKIP_SLOWLOG and status != CALL_BLOCK):
            slowlog_add(kv, c.session, argv, argc, <int64_t>(ns / 1000.0))
        if UNLIKELY(kv.effects_on):
            if c.effect == EFFECT_VERBATIM and kv.dirty != c.dirty0 and cmd.flags & (CMD_WRITE | CMD_MAY_REPLICATE):
                propagate(c, c.db, argc, argv)
            if kv.in_exec == 0:
                propagate_unit_end(kv)
    if frame.on or push_needed(kv):
        push_leave(c, cmd, argv, argc, &frame)
    c.cmd = outer_cmd
    c.dirty0 = outer_dirty
    c.effect = outer_effect
    return status


cdef void call_count_error(Kv* kv, Buffer* out, size_t mark) noexcept nogil:
    """Counts an error reply by its first word, for INFO errorstats (at most 128 different ones, as Redis).  Errors
    inside an array are EXEC's: their own commands have counted them."""
    cdef size_t end = mark + 1
    cdef int i
    cdef size_t n
    if out.failed or mark >= out.n or out.p[mark] != c"-":
        return
    kv.stats.error_replies += 1
    while end < out.n and out.p[end] != 32 and out.p[end] != 13:
        end += 1
    n = end - mark - 1
    if n == 0 or n >= sizeof(kv.errors[0].name):
        return
    for i in range(kv.n_errors):
        if memcmp(kv.errors[i].name, out.p + mark + 1, n) == 0 and kv.errors[i].name[n] == 0:
            kv.errors[i].count += 1
            return
    if kv.n_errors < <int>(sizeof(kv.errors) // sizeof(kv.errors[0])):
        memcpy(kv.errors[kv.n_errors].name, out.p + mark + 1, n)
        kv.errors[kv.n_errors].name[n] = 0
        kv.errors[kv.n_errors].count = 1
        kv.n_errors += 1


# ---- effects

cdef void put_length(Buffer* b, char kind, int64_t n) noexcept nogil:
    cdef char* o = buffer_room(b, 24)
    cdef int k
    if o == NULL:
        return
    o[0] = kind
    k = 1 + number_print_i64(o + 1, n)
    o[k] = 13
    o[k + 1] = 10
    b.n += k + 2


cdef void propagate_begin(Ctx* c, Db* db, int argc) noexcept nogil:
    cdef Kv* kv = c.kv
    cdef char digits[24]
    cdef int n
    c.effect = EFFECT_REPLACED
    if not propagating(c):              # a unit that nobody takes would be told with the next one that somebody does
        return
    if kv.effects_db != db.id:
        kv.effects_db = db.id
        n = number_print_i64(digits, db.id)
        buffer_add(&kv.unit, b"*2\r\n$6\r\nSELECT\r\n", 16)
        put_length(&kv.unit, b"$", n)
        buffer_add(&kv.unit, digits, n)
        buffer_add(&kv.unit, b"\r\n", 2)
    put_length(&kv.unit, b"*", argc)
    kv.unit_effects += 1


cdef void propagate_arg(Ctx* c, const char* p, size_t n) noexcept nogil:
    if not propagating(c):
        return
    put_length(&c.kv.unit, b"$", <int64_t>n)
    buffer_add(&c.kv.unit, p, n)
    buffer_add(&c.kv.unit, b"\r\n", 2)


cdef void propagate_int(Ctx* c, int64_t v) noexcept nogil:
    cdef char digits[24]
    propagate_arg(c, digits, number_print_i64(digits, v))


cdef void propagate(Ctx* c, Db* db, int argc, Arg* argv) noexcept nogil:
    cdef int i
    propagate_begin(c, db, argc)
    for i in range(argc):
        propagate_arg(c, argv[i].p, argv[i].n)


cdef void propagate_none(Ctx* c) noexcept nogil:
    c.effect = EFFECT_NONE


cdef void propagate_unit_end(Kv* kv) noexcept nogil:
    if kv.unit.n == 0:
        return
    if kv.unit_effects > 1:
        buffer_add(&kv.effects, b"*1\r\n$5\r\nMULTI\r\n", 15)
    buffer_add(&kv.effects, kv.unit.p, kv.unit.n)
    if kv.unit_effects > 1:
        buffer_add(&kv.effects, b"*1\r\n$4\r\nEXEC\r\n", 14)
    kv.unit.n = 0
    kv.unit_effects = 0
    if kv.effects.failed or kv.unit.failed:
        kv.refusing_writes = True       # an effect is lost: nothing after it may look durable
