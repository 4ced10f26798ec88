"""The life of one command (contract: call.pxd).

    parse (session) -> look up -> gates -> execute -> count -> slow log -> effect

The gates stand in Redis's order, in one table: each looks at the command and the session, and says no with its reply.
"""

from libc.stdint cimport uint32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport malloc, realloc
from libc.string cimport memcmp, memcpy, strncmp

from libkv.engine.args cimport arg_is
from libkv.engine.clock cimport ticks, ticks_ns
from libkv.engine.registry cimport (
    CMD_ADMIN, CMD_CONTAINER, CMD_LOADING, CMD_MAY_REPLICATE, CMD_NO_AUTH, CMD_NO_MULTI, CMD_SKIP_SLOWLOG, CMD_WRITE,
    command_find, command_sub,
)
from libkv.engine.reply cimport reply_error, reply_status, reply_unknown_sub, reply_wrong_arity
from libkv.engine.slowlog cimport slowlog_add
from libkv.engine.types cimport (
    CALL_DONE, EFFECT_NONE, EFFECT_REPLACED, EFFECT_VERBATIM, S_ATTACK, S_CLOSE_ASAP, S_DIRTY_EXEC, S_EMBEDDED, S_MULTI,
    S_UNIX, Queued,
)
from libkv.structures.alloc cimport LIKELY, UNLIKELY
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_room
from libkv.structures.number cimport number_print_i64

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


cdef bint gate_transaction(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(not c.session.flags & S_MULTI) or not cmd.flags & CMD_NO_MULTI:
        return False
    reply_error(r, b"ERR Command not allowed inside a transaction")
    return True


cdef bint gate_durable(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(not c.kv.refusing_writes) or not cmd.flags & CMD_WRITE:
        return False
    reply_error(r, b"MISCONF The store refuses writes because it cannot make them durable. "
                   b"Commands that may modify the data set are disabled.")
    return True


cdef bint gate_loading(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(not c.kv.loading) or cmd.flags & CMD_LOADING:
        return False
    reply_error(r, b"LOADING Redis is loading the dataset in memory")
    return True


cdef bint gate_debug(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    """enable-debug-command: no, yes, or only for clients of this machine."""
    cdef Session* s = c.session
    if LIKELY(not cmd.flags & CMD_ADMIN) or not named(cmd, b"debug") or c.kv.settings.enable_debug_command == 1:
        return False
    if c.kv.settings.enable_debug_command == 2 and (
            s.flags & (S_UNIX | S_EMBEDDED) or strncmp(s.addr, b"127.0.0.1:", 10) == 0 or strncmp(s.addr, b"[::1]:", 6) == 0):
        return False
    reply_error(r, b"ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it "
                   b"from a local connection, otherwise you need to set this option in the configuration file, and then "
                   b"restart the server.")
    return True


cdef gate_fn GATES[6]
GATES[0] = gate_arity
GATES[1] = gate_debug
GATES[2] = gate_transaction
GATES[3] = gate_auth
GATES[4] = gate_durable
GATES[5] = gate_loading


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


cdef int refused(Ctx* c, Command* cmd, Reply* r, size_t mark) noexcept nogil:
    if cmd != NULL:
        c.kv.command_stats[cmd.id].rejected += 1
    count_error(c.kv, r.out, mark)
    if c.session.flags & S_MULTI:
        c.session.flags |= S_DIRTY_EXEC
    return CALL_DONE


cdef int call_command(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef size_t mark = r.out.n
    cdef Command* container
    cdef int i
    if cmd == NULL:
        cmd = command_find(argv[0].p, argv[0].n)
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
                unknown_sub(r, &argv[1], container)
                return refused(c, container, r, mark)
            cmd = container
    c.session.last_cmd = cmd
    for i in range(sizeof(GATES) // sizeof(gate_fn)):
        if UNLIKELY(GATES[i](c, cmd, argv, argc, r)):
            return refused(c, cmd, r, mark)
    if UNLIKELY(c.session.flags & S_MULTI) and not runs_at_once(cmd):
        if queue_command(c.session, cmd, argv, argc) != 0:
            reply_error(r, b"OOM no memory to queue the command")
            return refused(c, cmd, r, mark)
        reply_status(r, b"QUEUED")
        return CALL_DONE
    return call_execute(c, cmd, argv, argc, r)


cdef void unknown_sub(Reply* r, Arg* sub, Command* container) noexcept nogil:
    cdef char name[64]
    cdef size_t i
    for i in range(container.name_n):
        name[i] = container.name[i] - 32 if 97 <= container.name[i] <= 122 else container.name[i]
    name[container.name_n] = 0
    reply_unknown_sub(r, sub.p, sub.n, name)


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
    c.cmd = cmd
    c.dirty0 = kv.dirty
    c.effect = EFFECT_VERBATIM
    status = cmd.fn(c, argv, argc, r)
    ns = ticks_ns(ticks() - start)
    if LIKELY(not c.replay):
        kv.stats.commands += 1
        kv.command_stats[cmd.id].calls += 1
        kv.command_stats[cmd.id].usec_x1000 += <uint64_t>ns
        if UNLIKELY(r.errors != errors):
            kv.command_stats[cmd.id].failed += 1
            count_error(kv, r.out, mark)
        if UNLIKELY(kv.settings.slowlog_log_slower_than >= 0
                    and ns >= <double>kv.settings.slowlog_log_slower_than * 1000.0
                    and not cmd.flags & CMD_SKIP_SLOWLOG):
            slowlog_add(kv, c.session, argv, argc, <int64_t>(ns / 1000.0))
        if UNLIKELY(kv.effects_on):
            if c.effect == EFFECT_VERBATIM and kv.dirty != c.dirty0 and cmd.flags & (CMD_WRITE | CMD_MAY_REPLICATE):
                propagate(c, c.db, argc, argv)
            if kv.in_exec == 0:
                propagate_unit_end(kv)
    c.cmd = outer_cmd
    c.dirty0 = outer_dirty
    c.effect = outer_effect
    return status


cdef void count_error(Kv* kv, Buffer* out, size_t mark) noexcept nogil:
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
