"""CLIENT: what there is to know of connections, what a connection says of itself, and its end (contract: clients.pxd).

Follows the command pages of Redis 7.0 (CLIENT LIST's fields and their order, CLIENT KILL's filters), checked against
redis-server 7.0.15.  CLIENT TRACKING and its kin are in client_tracking, PAUSE and UNBLOCK in waiting.  Deviations: a CLIENT
LIST of a network client leaves out the sessions of the process itself (they have no address); an embedded session sees
itself as well.  CLIENT HELP is in our own words.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, strlen

from libkv.engine.acl cimport acl_find, acl_user
from libkv.engine.acl_rules cimport AclUser
from libkv.engine.args cimport arg_is
from libkv.engine.clock cimport clock_monotonic
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport (
    reply_bulk, reply_error, reply_errorf, reply_help, reply_int, reply_nil, reply_ok, reply_syntax, reply_verbatim,
)
from libkv.engine.tracking cimport TRACK_BCAST, TRACK_BROKEN, SessionTracking, tracking_of
from libkv.engine.types cimport (
    CALL_DONE, S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_DIRTY_CAS, S_EMBEDDED, S_MASTER, S_MONITOR, S_MULTI,
    S_NO_EVICT, S_PAUSED, S_PUBSUB, S_REPLICA, S_REPLY_OFF, S_REPLY_SKIP, S_REPLY_SKIP_NEXT, S_UNIX, Arg, Ctx,
    Reply, Session,
)
from libkv.engine.session cimport session_memory, session_unread
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init
from libkv.structures.number cimport number_parse_i64

cdef enum:
    # client types of CLIENT LIST and KILL
    CLIENT_ANY = -1
    CLIENT_NORMAL = 0
    CLIENT_REPLICA = 1
    CLIENT_PUBSUB = 2
    CLIENT_MASTER = 3
    CLIENT_UNKNOWN = 4
    # Redis shows up to this many bytes of pending output as obl, the rest as omem in blocks of this size
    OUTPUT_BLOCK = 16384


# ---- LIST and INFO

cdef void client_add_text(Buffer* out, const char* text) noexcept nogil:
    buffer_add(out, text, strlen(text))


cdef void client_flags(Session* s, char* out) noexcept nogil:
    """The letters of CLIENT LIST's flags; N stands for none."""
    cdef int n = 0
    cdef SessionTracking* t = tracking_of(s)
    if s.flags & S_MONITOR:
        out[n] = b"O"
        n += 1
    if s.flags & S_PUBSUB:
        out[n] = b"P"
        n += 1
    if s.flags & S_MULTI:
        out[n] = b"x"
        n += 1
    if s.flags & (S_BLOCKED | S_PAUSED):
        out[n] = b"b"
        n += 1
    if t != NULL:
        out[n] = b"t"
        n += 1
    if t != NULL and t.mode & TRACK_BROKEN:
        out[n] = b"R"
        n += 1
    if t != NULL and t.mode & TRACK_BCAST:
        out[n] = b"B"
        n += 1
    if s.flags & S_DIRTY_CAS:
        out[n] = b"d"
        n += 1
    if s.flags & S_CLOSE_AFTER:
        out[n] = b"c"
        n += 1
    if s.flags & S_CLOSE_ASAP:
        out[n] = b"A"
        n += 1
    if s.flags & S_UNIX:
        out[n] = b"U"
        n += 1
    if s.flags & S_NO_EVICT:
        out[n] = b"e"
        n += 1
    if n == 0:
        out[n] = b"N"
        n += 1
    out[n] = 0


cdef void client_line(Session* s, size_t argv_bytes, Buffer* out) noexcept nogil:
    cdef char text[512]
    cdef char flags[16]
    cdef Transport* t = <Transport*>s.transport
    cdef SessionTracking* tracking = tracking_of(s)
    cdef int64_t now = clock_monotonic(s.kv) // 1000
    cdef size_t pending = s.out.n + (t.in_flight if t != NULL else 0)
    cdef size_t buffers = s.out.cap + (t.capacity if t != NULL else 0)
    cdef size_t near = pending if pending < OUTPUT_BLOCK else <size_t>OUTPUT_BLOCK
    cdef size_t far = pending - near
    cdef const char* events = b"r"
    cdef const char* command = b"NULL"
    cdef AclUser* user
    if t != NULL and t.in_flight:
        events = b"rw"
    if s.last_cmd != NULL:
        command = (<Command*>s.last_cmd).full
    client_flags(s, flags)
    snprintf(text, sizeof(text), b"id=%llu addr=%s laddr=%s fd=%d name=", <unsigned long long>s.id, s.addr, s.laddr, s.fd)
    client_add_text(out, text)
    if s.name_n:
        buffer_add(out, s.name, s.name_n)
    snprintf(text, sizeof(text), b" age=%lld idle=%lld flags=%s db=%d sub=%u psub=%u ssub=%u multi=%d",
             <long long>((now - s.created_ms) // 1000), <long long>((now - s.last_ms) // 1000), flags, s.db,
             s.n_channels, s.n_patterns, s.n_shard_channels,
             <int>(s.queued if s.flags & S_MULTI else -1))
    client_add_text(out, text)
    snprintf(text, sizeof(text), b" qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu rbs=%zu rbp=%zu",
             session_unread(s), s.unread.cap - s.unread.n, argv_bytes, s.queue_bytes, buffers, near)
    client_add_text(out, text)
    snprintf(text, sizeof(text), b" obl=%zu oll=%zu omem=%zu tot-mem=%zu events=%s cmd=%s user=",
             near, (far + OUTPUT_BLOCK - 1) // OUTPUT_BLOCK, far, session_memory(s) + argv_bytes, events, command)
    client_add_text(out, text)
    user = acl_user(s)
    buffer_add(out, user.name, user.name_n)
    snprintf(text, sizeof(text), b" redir=%lld resp=%d", <long long>(tracking.redirect if tracking != NULL else -1), s.proto)
    client_add_text(out, text)


cdef size_t client_argv_size(Arg* argv, int argc) noexcept nogil:
    cdef size_t n = 0
    cdef int i
    for i in range(argc):
        n += argv[i].n
    return n


cdef inline bint client_listed(Ctx* c, Session* s) noexcept nogil:
    """Whether CLIENT LIST and KILL know this session."""
    return not s.flags & S_EMBEDDED or s == c.session


cdef void client_add_line(Ctx* c, Session* s, size_t argv_bytes, Buffer* out) noexcept nogil:
    if s == c.session and c.kv.in_exec == 0:
        s.last_cmd = c.cmd      # the subcommand's row; in a transaction Redis shows EXEC
    client_line(s, argv_bytes if s == c.session else s.argv_bytes, out)
    buffer_add(out, b"\n", 1)


cdef int client_type(Arg* a) noexcept nogil:
    if arg_is(a, b"normal", 6):
        return CLIENT_NORMAL
    if arg_is(a, b"slave", 5) or arg_is(a, b"replica", 7):
        return CLIENT_REPLICA
    if arg_is(a, b"pubsub", 6):
        return CLIENT_PUBSUB
    if arg_is(a, b"master", 6):
        return CLIENT_MASTER
    return CLIENT_UNKNOWN


cdef Session* client_by_id(Ctx* c, int64_t id) noexcept nogil:
    cdef Session* s = c.kv.sessions
    while s != NULL and (<int64_t>s.id != id or not client_listed(c, s)):
        s = s.next
    return s


cdef int client_type_of(Session* s) noexcept nogil:
    if s.flags & S_MASTER:
        return CLIENT_MASTER
    if s.flags & S_REPLICA:
        return CLIENT_REPLICA
    return CLIENT_PUBSUB if s.flags & S_PUBSUB else CLIENT_NORMAL


cdef void client_list_all(Ctx* c, int kind, size_t argv_bytes, Buffer* out) noexcept nogil:
    """Every listed session of a type, oldest first."""
    cdef Session* s = c.kv.sessions
    # a session is put in front of the list when it comes: from its end the list is in order
    while s != NULL and s.next != NULL:
        s = s.next
    while s != NULL:
        if client_listed(c, s) and (kind == CLIENT_ANY or client_type_of(s) == kind):
            client_add_line(c, s, argv_bytes, out)
        s = s.prev


cdef int cmd_client_list(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int kind = CLIENT_ANY
    cdef int i
    cdef int64_t id
    cdef Session* s
    cdef Buffer out
    cdef size_t argv_bytes = client_argv_size(argv, argc)
    buffer_init(&out)
    if argc == 4 and arg_is(&argv[2], b"type", 4):
        kind = client_type(&argv[3])
        if kind == CLIENT_UNKNOWN:
            reply_errorf(r, b"ERR Unknown client type '%.*s'", argv[3].p, argv[3].n)
            return CALL_DONE
    elif argc > 3 and arg_is(&argv[2], b"id", 2):
        for i in range(3, argc):
            if not number_parse_i64(argv[i].p, argv[i].n, &id):
                buffer_free(&out)
                reply_error(r, b"ERR Invalid client ID")
                return CALL_DONE
            s = client_by_id(c, id)
            if s != NULL:
                client_add_line(c, s, argv_bytes, &out)
        reply_verbatim(r, b"txt", out.p, out.n)
        buffer_free(&out)
        return CALL_DONE
    elif argc != 2:
        reply_syntax(r)
        return CALL_DONE
    client_list_all(c, kind, argv_bytes, &out)
    reply_verbatim(r, b"txt", out.p, out.n)
    buffer_free(&out)
    return CALL_DONE


cdef int cmd_client_info(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Buffer out
    buffer_init(&out)
    client_add_line(c, c.session, client_argv_size(argv, argc), &out)
    reply_verbatim(r, b"txt", out.p, out.n)
    buffer_free(&out)
    return CALL_DONE


# ---- about itself

cdef int cmd_client_id(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_int(r, <int64_t>c.session.id)
    return CALL_DONE


cdef bint client_set_name(Session* s, Arg* name, Reply* r) noexcept nogil:
    """Names the connection; an empty name takes it away.  False: the error is replied."""
    cdef size_t i
    cdef char* copy = NULL
    for i in range(name.n):
        if name.p[i] < 33 or name.p[i] > 126:
            reply_error(r, b"ERR Client names cannot contain spaces, newlines or special characters.")
            return False
    if name.n:
        copy = <char*>malloc(name.n)
        if copy == NULL:
            reply_error(r, b"OOM no memory for the name")
            return False
        memcpy(copy, name.p, name.n)
    free(s.name)
    s.name = copy
    s.name_n = name.n
    return True


cdef int cmd_client_setname(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if client_set_name(c.session, &argv[2], r):
        reply_ok(r)
    return CALL_DONE


cdef int cmd_client_getname(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if c.session.name_n:
        reply_bulk(r, c.session.name, c.session.name_n)
    else:
        reply_nil(r)
    return CALL_DONE


cdef int cmd_client_reply(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Session* s = c.session
    if arg_is(&argv[2], b"on", 2):
        s.flags &= ~<uint32_t>(S_REPLY_SKIP | S_REPLY_OFF)
        reply_ok(r)
    elif arg_is(&argv[2], b"off", 3):
        s.flags |= S_REPLY_OFF
    elif arg_is(&argv[2], b"skip", 4):
        if not s.flags & S_REPLY_OFF:
            s.flags |= S_REPLY_SKIP_NEXT
    else:
        reply_syntax(r)
    return CALL_DONE


cdef int cmd_client_no_evict(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Whether maxmemory-clients may close this connection."""
    if arg_is(&argv[2], b"on", 2):
        c.session.flags |= S_NO_EVICT
        reply_ok(r)
    elif arg_is(&argv[2], b"off", 3):
        c.session.flags &= ~<uint32_t>S_NO_EVICT
        reply_ok(r)
    else:
        reply_syntax(r)
    return CALL_DONE


# ---- KILL

cdef struct KillFilter:
    Arg* addr
    Arg* laddr
    int kind
    int64_t id                  # 0: any
    AclUser* user               # NULL: any
    bint spare_me


cdef bint client_address_is(const char* address, Arg* a) noexcept nogil:
    return a == NULL or (strlen(address) == a.n and memcmp(address, a.p, a.n) == 0)


cdef bint client_parse_filter(Ctx* c, Arg* argv, int argc, KillFilter* f, Reply* r) noexcept nogil:
    """The options of CLIENT KILL's new form; False: the error is replied."""
    cdef int i = 2
    while i < argc:
        if i + 1 >= argc:
            reply_syntax(r)
            return False
        if arg_is(&argv[i], b"id", 2):
            if not number_parse_i64(argv[i + 1].p, argv[i + 1].n, &f.id) or f.id < 1:
                reply_error(r, b"ERR client-id should be greater than 0")
                return False
        elif arg_is(&argv[i], b"type", 4):
            f.kind = client_type(&argv[i + 1])
            if f.kind == CLIENT_UNKNOWN:
                reply_errorf(r, b"ERR Unknown client type '%.*s'", argv[i + 1].p, argv[i + 1].n)
                return False
        elif arg_is(&argv[i], b"addr", 4):
            f.addr = &argv[i + 1]
        elif arg_is(&argv[i], b"laddr", 5):
            f.laddr = &argv[i + 1]
        elif arg_is(&argv[i], b"user", 4):
            f.user = acl_find(c.kv, argv[i + 1].p, argv[i + 1].n)
            if f.user == NULL:
                reply_errorf(r, b"ERR No such user '%.*s'", argv[i + 1].p, argv[i + 1].n)
                return False
        elif arg_is(&argv[i], b"skipme", 6) and arg_is(&argv[i + 1], b"yes", 3):
            f.spare_me = True
        elif arg_is(&argv[i], b"skipme", 6) and arg_is(&argv[i + 1], b"no", 2):
            f.spare_me = False
        else:
            reply_syntax(r)
            return False
        i += 2
    return True


cdef int client_kill_matching(Ctx* c, KillFilter* f) noexcept nogil:
    """Ends the sessions that the filter describes: how many.  The caller's own goes when its reply is out."""
    cdef Session* s = c.kv.sessions
    cdef int n = 0
    while s != NULL:
        if (client_listed(c, s) and not s.flags & S_EMBEDDED and not s.flags & S_CLOSE_ASAP
                and client_address_is(s.addr, f.addr) and client_address_is(s.laddr, f.laddr)
                and (f.id == 0 or <int64_t>s.id == f.id) and (f.kind == CLIENT_ANY or f.kind == client_type_of(s))
                and (f.user == NULL or acl_user(s) == f.user)
                and not (f.spare_me and s == c.session)):
            if s == c.session:
                s.flags |= S_CLOSE_AFTER
            else:
                s.flags |= S_CLOSE_ASAP
                if s.kick != NULL:
                    s.kick(s)
            n += 1
        s = s.next
    return n


cdef int cmd_client_kill(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef KillFilter f
    cdef int n
    f.addr = f.laddr = NULL
    f.kind = CLIENT_ANY
    f.id = 0
    f.user = NULL
    f.spare_me = argc > 3
    if argc == 3:
        f.addr = &argv[2]
    elif not client_parse_filter(c, argv, argc, &f, r):
        return CALL_DONE
    n = client_kill_matching(c, &f)
    if argc > 3:
        reply_int(r, n)
    elif n:
        reply_ok(r)
    else:
        reply_error(r, b"ERR No such client")
    return CALL_DONE


# ---- HELP

cdef const char* CLIENT_HELP[28]
CLIENT_HELP[0] = b"GETNAME"
CLIENT_HELP[1] = b"    The name of this connection."
CLIENT_HELP[2] = b"ID"
CLIENT_HELP[3] = b"    The number of this connection; later connections have higher ones."
CLIENT_HELP[4] = b"INFO"
CLIENT_HELP[5] = b"    This connection's line of CLIENT LIST."
CLIENT_HELP[6] = b"KILL <ip:port>"
CLIENT_HELP[7] = b"    End the connection that comes from this address."
CLIENT_HELP[8] = b"KILL <option> <value> [<option> <value> [...]]"
CLIENT_HELP[9] = b"    End every connection that all options describe:"
CLIENT_HELP[10] = b"    * ID <number>"
CLIENT_HELP[11] = b"    * ADDR (<ip:port>|<unixsocket>:0), LADDR (<ip:port>|<unixsocket>:0): the client's or our address."
CLIENT_HELP[12] = b"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)"
CLIENT_HELP[13] = b"    * USER <username>"
CLIENT_HELP[14] = b"    * SKIPME (YES|NO): whether this connection is spared (default: yes)."
CLIENT_HELP[15] = b"LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <number> [<number> ...]]"
CLIENT_HELP[16] = b"    One line of facts a connection."
CLIENT_HELP[17] = b"REPLY (ON|OFF|SKIP)"
CLIENT_HELP[18] = b"    Whether this connection gets replies; SKIP leaves out the next one."
CLIENT_HELP[19] = b"SETNAME <name>"
CLIENT_HELP[20] = b"    Give this connection a name; an empty one takes it away."
CLIENT_HELP[21] = b"PAUSE <milliseconds> [WRITE|ALL]"
CLIENT_HELP[22] = b"    Hold up all clients, or those that write."
CLIENT_HELP[23] = b"UNBLOCK <number> [TIMEOUT|ERROR]"
CLIENT_HELP[24] = b"    End the command that this connection waits in, as if its time were over or with an error."
CLIENT_HELP[25] = b"UNPAUSE"
CLIENT_HELP[26] = b"    End PAUSE."
CLIENT_HELP[27] = NULL


cdef int cmd_client_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_help(r, b"CLIENT", CLIENT_HELP)
    return CALL_DONE


registry_bind("client|list", cmd_client_list)
registry_bind("client|info", cmd_client_info)
registry_bind("client|id", cmd_client_id)
registry_bind("client|setname", cmd_client_setname)
registry_bind("client|getname", cmd_client_getname)
registry_bind("client|reply", cmd_client_reply)
registry_bind("client|no-evict", cmd_client_no_evict)
registry_bind("client|kill", cmd_client_kill)
registry_bind("client|help", cmd_client_help)
