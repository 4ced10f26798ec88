"""The connection group without CLIENT: PING, ECHO, SELECT, QUIT, RESET, AUTH, HELLO.

Follows the command pages of Redis 7.0, checked against redis-server 7.0.15.
"""

from libc.limits cimport INT_MAX
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free

from libkv.commands.clients cimport client_argv_size, client_set_name
from libkv.engine.acl cimport ACL_DENIED_AUTH, acl_authenticate, acl_of, acl_session_reset
from libkv.engine.acl_log cimport acl_log_add
from libkv.engine.acl_rules cimport USER_NOPASS
from libkv.engine.args cimport arg_int_msg, arg_is
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_error, reply_errorf, reply_int, reply_map, reply_ok, reply_status,
    reply_syntax,
)
from libkv.engine.monitor cimport monitor_remove
from libkv.engine.pubsub cimport pubsub_clear
from libkv.engine.tracking cimport tracking_off
from libkv.engine.types cimport (
    CALL_DONE, S_CLOSE_AFTER, S_DIRTY_CAS, S_DIRTY_EXEC, S_MULTI, S_NO_EVICT, S_PUBSUB, S_REPLY_OFF, S_REPLY_SKIP,
    S_REPLY_SKIP_NEXT, Arg, Ctx, Reply, Session,
)
from libkv.engine.session cimport session_drop_queue
from libkv.engine.slowlog cimport slowlog_redact
from libkv.engine.watch cimport watch_clear

# ---------------------------------------------------------------------------------------------------------------------
# what needs no connection

cdef int cmd_ping(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if argc > 2:
        reply_error(r, b"ERR wrong number of arguments for 'ping' command")
    elif c.session.flags & S_PUBSUB and r.proto == 2:
        reply_array(r, 2)
        reply_cstring(r, b"pong")
        reply_bulk(r, argv[argc - 1].p, argv[1].n if argc == 2 else 0)
    elif argc == 2:
        reply_bulk(r, argv[1].p, argv[1].n)
    else:
        reply_status(r, b"PONG")
    return CALL_DONE


cdef int cmd_echo(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_bulk(r, argv[1].p, argv[1].n)
    return CALL_DONE


cdef int cmd_select(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t n
    if not arg_int_msg(&argv[1], &n, r, b"ERR value is not an integer or out of range"):
        return CALL_DONE
    if n > INT_MAX or n < -INT_MAX - 1:
        reply_error(r, b"ERR value is out of range, value must between -2147483648 and 2147483647")
        return CALL_DONE
    if n < 0 or n >= c.kv.n_dbs:
        reply_error(r, b"ERR DB index is out of range")
        return CALL_DONE
    c.session.db = <int>n
    c.db = &c.kv.dbs[n]
    reply_ok(r)
    return CALL_DONE


cdef int cmd_quit(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_ok(r)
    c.session.flags |= S_CLOSE_AFTER
    return CALL_DONE


# ---------------------------------------------------------------------------------------------------------------------
# who the client is

cdef bint auth_check(Ctx* c, Arg* argv, int argc, Arg* user, Arg* password, Reply* r) noexcept nogil:
    """argv: the whole command.  user NULL means "default"; replies the error when the password is not the right one."""
    cdef const char* name = b"default"
    cdef size_t n = 7
    if user != NULL:
        name = user.p
        n = user.n
    if acl_authenticate(c.session, name, n, password):
        return True
    acl_log_add(c.session, ACL_DENIED_AUTH, argv[0].p, argv[0].n, name, n, client_argv_size(argv, argc))
    reply_error(r, b"WRONGPASS invalid username-password pair or user is disabled.")
    return False


cdef int cmd_auth(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int i
    if argc > 3:
        reply_syntax(r)
        return CALL_DONE
    if argc == 2 and acl_of(c.kv).standard.flags & USER_NOPASS:
        reply_error(r, b"ERR AUTH <password> called without any password configured for the default user. "
                       b"Are you sure your configuration is correct?")
        return CALL_DONE
    if auth_check(c, argv, argc, &argv[1] if argc == 3 else NULL, &argv[argc - 1], r):
        reply_ok(r)
    for i in range(1, argc):
        slowlog_redact(&argv[i])
    return CALL_DONE


cdef int cmd_hello(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t version = 0
    cdef Arg* user = NULL
    cdef Arg* password = NULL
    cdef Arg* name = NULL
    cdef bint known
    cdef int i = 2
    if argc >= 2:
        if not arg_int_msg(&argv[1], &version, r, b"ERR Protocol version is not an integer or out of range"):
            return CALL_DONE
        if version < 2 or version > 3:
            reply_error(r, b"NOPROTO unsupported protocol version")
            return CALL_DONE
    while i < argc:
        if arg_is(&argv[i], b"auth", 4) and i + 2 < argc:
            user = &argv[i + 1]
            password = &argv[i + 2]
            i += 3
        elif arg_is(&argv[i], b"setname", 7) and i + 1 < argc:
            name = &argv[i + 1]
            i += 2
        else:
            reply_errorf(r, b"ERR Syntax error in HELLO option '%.*s'", argv[i].p, argv[i].n)
            return CALL_DONE
    if password != NULL:
        known = auth_check(c, argv, argc, user, password, r)
        slowlog_redact(user)
        slowlog_redact(password)
        if not known:
            return CALL_DONE
    if not c.session.authenticated and c.kv.settings.has_password:
        reply_error(r, b"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
                       b"<user> <pass> option can be used to authenticate the client and select the RESP protocol "
                       b"version at the same time")
        return CALL_DONE
    if name != NULL and not client_set_name(c.session, name, r):
        return CALL_DONE
    if version:
        c.session.proto = <unsigned char>version
        r.proto = c.session.proto
    reply_map(r, 7)
    reply_cstring(r, b"server")
    reply_cstring(r, b"redis")
    reply_cstring(r, b"version")
    reply_cstring(r, b"7.0.15")
    reply_cstring(r, b"proto")
    reply_int(r, c.session.proto)
    reply_cstring(r, b"id")
    reply_int(r, <int64_t>c.session.id)
    reply_cstring(r, b"mode")
    reply_cstring(r, b"standalone")
    reply_cstring(r, b"role")
    reply_cstring(r, b"master")
    reply_cstring(r, b"modules")
    reply_array(r, 0)
    return CALL_DONE


cdef int cmd_reset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Session* s = c.session
    session_drop_queue(s)
    watch_clear(s)
    pubsub_clear(s)
    tracking_off(s)
    monitor_remove(s)
    s.flags &= ~<uint32_t>(S_MULTI | S_DIRTY_CAS | S_DIRTY_EXEC | S_REPLY_OFF | S_REPLY_SKIP | S_REPLY_SKIP_NEXT
                           | S_NO_EVICT)
    s.db = 0
    c.db = &c.kv.dbs[0]
    s.proto = 2
    r.proto = 2
    acl_session_reset(s)
    free(s.name)
    s.name = NULL
    s.name_n = 0
    reply_status(r, b"RESET")
    return CALL_DONE


registry_bind("ping", cmd_ping)
registry_bind("echo", cmd_echo)
registry_bind("select", cmd_select)
registry_bind("quit", cmd_quit)
registry_bind("auth", cmd_auth)
registry_bind("hello", cmd_hello)
registry_bind("reset", cmd_reset)
