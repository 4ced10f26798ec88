"""The ACL command (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).

Replies and errors are redis-server 7.0.15's.  ACL HELP is in our own words.
"""

from libc.stdint cimport int64_t
from libc.string cimport memchr, memcmp, strlen

from libkv.commands.clients cimport client_line
from libkv.engine.acl cimport (
    ACL_DENIED_CHANNEL, ACL_DENIED_COMMAND, ACL_DENIED_KEY, ACL_OK, acl_check, acl_find, acl_of, acl_put,
    acl_remove, acl_unmatched, acl_user,
)
from libkv.engine.acl_describe cimport (
    acl_describe, acl_describe_channels, acl_describe_commands, acl_describe_keys,
)
from libkv.engine.acl_file cimport acl_file_load, acl_file_named, acl_file_save
from libkv.engine.acl_log cimport (
    ACL_IN_MULTI, ACL_IN_SCRIPT, AclDenied, acl_denied_text, acl_log_describe_with, acl_log_trim,
)
from libkv.engine.acl_rules cimport (
    ACL_HEX, USER_NOPASS, USER_ON, USER_SANITIZE, USER_SKIP_SANITIZE, AclPassword, AclSelector, AclUser, RULE_OOM,
    acl_has_spaces, acl_row, acl_rows, acl_rows_fill, acl_rule_error,
)
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.clock cimport clock_wall
from libkv.engine.registry cimport (
    CATEGORY_NAMES, Command, command_category, command_category_name, registry_bind,
)
from libkv.engine.renames cimport rename_find_words
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_double, reply_error, reply_errorf, reply_help, reply_int,
    reply_later, reply_later_array, reply_map, reply_nil, reply_ok, reply_oom, reply_set, reply_wrong_arity,
)
from libkv.engine.slowlog cimport slowlog_redact
from libkv.engine.types cimport CALL_DONE, S_SCRIPT, Arg, Ctx, Reply, Session
from libkv.scripting.script_engine cimport scripting_caller
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void*, size_t, unsigned int)

cdef enum:
    PASSWORD_BITS = 256         # of ACL GENPASS without a number
    PASSWORD_MOST = 4096
    LOG_SHOWN = 10              # entries of ACL LOG without a number


cdef void reply_buffer_error(Reply* r, Buffer* text) noexcept nogil:
    """An error whose text was put together, with a NUL behind it."""
    buffer_add(text, b"", 1)
    if text.failed:
        reply_oom(r)
    else:
        reply_error(r, text.p)


cdef void add_text(Buffer* out, const char* text) noexcept nogil:
    buffer_add(out, text, strlen(text))


cdef void reply_described(Reply* r, Buffer* text) noexcept nogil:
    reply_bulk(r, text.p, text.n)
    text.n = 0


# ---- users

cdef void setuser_failed(int code, Buffer* rule, Reply* r) noexcept nogil:
    cdef Buffer text
    cdef size_t n = 0
    if code == RULE_OOM:
        reply_oom(r)
        return
    while n < rule.n and rule.p[n] != 0:
        n += 1
    buffer_init(&text)
    add_text(&text, b"ERR Error in ACL SETUSER modifier '")
    buffer_add(&text, rule.p, n)
    add_text(&text, b"': ")
    add_text(&text, acl_rule_error(code))
    reply_buffer_error(r, &text)
    buffer_free(&text)


cdef int cmd_acl_setuser(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Buffer rule
    cdef int open = acl_unmatched(argv + 3, argc - 3)
    cdef int code
    cdef int i
    buffer_init(&rule)
    if acl_has_spaces(argv[2].p, argv[2].n):
        reply_error(r, b"ERR Usernames can't contain spaces or null characters")
    elif open >= 0:
        reply_errorf(r, b"ERR Unmatched parenthesis in acl selector starting at '%.*s'.", argv[3 + open].p, argv[3 + open].n)
    elif acl_put(c.kv, argv[2].p, argv[2].n, argv + 3, argc - 3, c.session, &code, &rule):
        reply_ok(r)
    else:
        setuser_failed(code, &rule, r)
    buffer_free(&rule)
    for i in range(2, argc):
        slowlog_redact(&argv[i])
    return CALL_DONE


cdef int cmd_acl_deluser(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int removed = 0
    cdef int i
    for i in range(2, argc):
        if argv[i].n == 7 and memcmp(argv[i].p, b"default", 7) == 0:
            reply_error(r, b"ERR The 'default' user cannot be removed")
            return CALL_DONE
        removed += acl_remove(c.kv, argv[i].p, argv[i].n, c.session)
    reply_int(r, removed)
    return CALL_DONE


cdef void reply_flags(AclUser* u, Reply* r) noexcept nogil:
    cdef int n = 1 + (u.flags & USER_NOPASS != 0) + (u.flags & (USER_SANITIZE | USER_SKIP_SANITIZE) != 0)
    reply_set(r, n)
    reply_cstring(r, b"on" if u.flags & USER_ON else b"off")
    if u.flags & USER_NOPASS:
        reply_cstring(r, b"nopass")
    if u.flags & USER_SKIP_SANITIZE:
        reply_cstring(r, b"skip-sanitize-payload")
    elif u.flags & USER_SANITIZE:
        reply_cstring(r, b"sanitize-payload")


cdef void reply_selector(AclSelector* s, Buffer* text, Reply* r) noexcept nogil:
    """Three pairs."""
    reply_cstring(r, b"commands")
    acl_describe_commands(s, text)
    reply_described(r, text)
    reply_cstring(r, b"keys")
    acl_describe_keys(s, text)
    reply_described(r, text)
    reply_cstring(r, b"channels")
    acl_describe_channels(s, text)
    reply_described(r, text)


cdef int cmd_acl_getuser(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = acl_find(c.kv, argv[2].p, argv[2].n)
    cdef AclPassword* p
    cdef AclSelector* s
    cdef Buffer text
    cdef size_t mark
    cdef int n = 0
    if u == NULL:
        reply_nil(r)
        return CALL_DONE
    buffer_init(&text)
    reply_map(r, 6)
    reply_cstring(r, b"flags")
    reply_flags(u, r)
    reply_cstring(r, b"passwords")
    mark = reply_later(r)
    p = u.passwords
    while p != NULL:
        reply_bulk(r, p.hex, ACL_HEX)
        n += 1
        p = p.next
    reply_later_array(r, mark, n)
    reply_selector(&u.root, &text, r)
    reply_cstring(r, b"selectors")
    mark = reply_later(r)
    n = 0
    s = u.root.next
    while s != NULL:
        reply_map(r, 3)
        reply_selector(s, &text, r)
        n += 1
        s = s.next
    reply_later_array(r, mark, n)
    r.out.failed |= text.failed
    buffer_free(&text)
    return CALL_DONE


cdef int cmd_acl_list(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = acl_of(c.kv).users
    cdef Buffer text
    cdef size_t mark = reply_later(r)
    cdef int n = 0
    buffer_init(&text)
    while u != NULL:
        add_text(&text, b"user ")
        buffer_add(&text, u.name, u.name_n)
        add_text(&text, b" ")
        acl_describe(u, &text)
        reply_described(r, &text)
        n += 1
        u = u.next
    reply_later_array(r, mark, n)
    r.out.failed |= text.failed
    buffer_free(&text)
    return CALL_DONE


cdef int cmd_acl_users(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = acl_of(c.kv).users
    cdef size_t mark = reply_later(r)
    cdef int n = 0
    while u != NULL:
        reply_bulk(r, u.name, u.name_n)
        n += 1
        u = u.next
    reply_later_array(r, mark, n)
    return CALL_DONE


cdef int cmd_acl_whoami(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = acl_user(c.session)
    reply_bulk(r, u.name, u.name_n)
    return CALL_DONE


# ---- asking

cdef void unknown_use(Reply* r, Arg* sub) noexcept nogil:
    reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.", sub.p, sub.n)


cdef int cmd_acl_cat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int category, i
    cdef int n = 0
    cdef size_t mark
    if argc > 3:
        unknown_use(r, &argv[1])
        return CALL_DONE
    if argc == 2:
        reply_array(r, CATEGORY_NAMES)
        for i in range(CATEGORY_NAMES):
            reply_cstring(r, command_category_name(i))
        return CALL_DONE
    category = command_category(argv[2].p, argv[2].n)
    if category < 0:
        reply_errorf(r, b"ERR Unknown category '%.*s'", argv[2].p, argv[2].n)
        return CALL_DONE
    mark = reply_later(r)
    for i in range(acl_rows()):
        if acl_row(i).categories >> category & 1:
            reply_bulk(r, acl_row(i).name, acl_row(i).name_n)
            n += 1
    reply_later_array(r, mark, n)
    return CALL_DONE


cdef int cmd_acl_genpass(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """A hexadecimal digit for each 4 bits, from the system's generator."""
    cdef int64_t bits = PASSWORD_BITS
    cdef unsigned char raw[512]
    cdef char text[1024]
    cdef int digits, i, value
    if argc > 3:
        unknown_use(r, &argv[1])
        return CALL_DONE
    if argc == 3:
        if not arg_int(&argv[2], &bits, r):
            return CALL_DONE
        if bits <= 0 or bits > PASSWORD_MOST:
            reply_error(r, b"ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
                           b"number up to 4096")
            return CALL_DONE
    digits = <int>((bits + 3) // 4)
    i = 0
    while i < 512:                          # at most 256 bytes come in one piece for sure
        if getrandom(raw + i, 256, 0) != 256:
            reply_error(r, b"ERR the system has no random numbers")
            return CALL_DONE
        i += 256
    for i in range(digits):
        value = raw[i >> 1] >> 4 if i & 1 else raw[i >> 1] & 15
        text[i] = <char>(48 + value if value < 10 else 87 + value)
    reply_bulk(r, text, digits)
    return CALL_DONE


cdef void reply_denied(Reply* r, const char* before, const char* p, size_t n, const char* after) noexcept nogil:
    """p: as a C format prints it, up to a NUL."""
    cdef Buffer text
    cdef const void* end = memchr(p, 0, n) if n else NULL
    buffer_init(&text)
    add_text(&text, before)
    buffer_add(&text, p, n if end == NULL else <size_t>(<const char*>end - p))
    add_text(&text, after)
    reply_bulk(r, text.p, text.n)
    buffer_free(&text)


cdef int cmd_acl_dryrun(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = acl_find(c.kv, argv[2].p, argv[2].n)
    cdef Command* cmd
    cdef int at, answer
    if u == NULL:
        reply_errorf(r, b"ERR User '%.*s' not found", argv[2].p, argv[2].n)
        return CALL_DONE
    argv += 3
    argc -= 3
    cmd = rename_find_words(c.kv, argv, argc)
    if cmd == NULL:
        reply_errorf(r, b"ERR Command '%.*s' not found", argv[0].p, argv[0].n)
        return CALL_DONE
    if (cmd.arity > 0 and cmd.arity != argc) or argc < -cmd.arity:
        reply_wrong_arity(r, cmd)
        return CALL_DONE
    answer = acl_check(c.kv, u, cmd, argv, argc, &at)
    if answer == ACL_OK:
        reply_ok(r)
    elif answer == ACL_DENIED_COMMAND:
        reply_denied(r, b"This user has no permissions to run the '", cmd.full, cmd.full_n, b"' command")
    else:
        reply_denied(r, b"This user has no permissions to access the '", argv[at].p, argv[at].n,
                     b"' key" if answer == ACL_DENIED_KEY else b"' channel")
    return CALL_DONE


# ---- the log

cdef const char* reason_name(int reason) noexcept nogil:
    if reason == ACL_DENIED_COMMAND:
        return b"command"
    if reason == ACL_DENIED_KEY:
        return b"key"
    return b"channel" if reason == ACL_DENIED_CHANNEL else b"auth"


cdef void reply_entry(Ctx* c, AclDenied* e, Reply* r) noexcept nogil:
    cdef char* text = acl_denied_text(e)
    reply_map(r, 7)
    reply_cstring(r, b"count")
    reply_int(r, e.count)
    reply_cstring(r, b"reason")
    reply_cstring(r, reason_name(e.reason))
    reply_cstring(r, b"context")
    reply_cstring(r, b"lua" if e.context == ACL_IN_SCRIPT else b"multi" if e.context == ACL_IN_MULTI else b"toplevel")
    reply_cstring(r, b"object")
    reply_bulk(r, text, e.object_n)
    reply_cstring(r, b"username")
    reply_bulk(r, text + e.object_n, e.user_n)
    reply_cstring(r, b"age-seconds")
    reply_double(r, <double>(clock_wall(c.kv) - e.at) / 1000.0)
    reply_cstring(r, b"client-info")
    reply_bulk(r, text + e.object_n + e.user_n, e.client_n)


cdef int cmd_acl_log(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclDenied* e = <AclDenied*>acl_of(c.kv).log
    cdef int64_t most = LOG_SHOWN
    cdef int64_t _i
    if argc > 3:
        unknown_use(r, &argv[1])
        return CALL_DONE
    if argc == 3 and arg_is(&argv[2], b"reset", 5):
        acl_log_trim(c.kv, 0)
        reply_ok(r)
        return CALL_DONE
    if argc == 3 and not arg_int(&argv[2], &most, r):
        return CALL_DONE
    most = 0 if most < 0 else min(most, acl_of(c.kv).logged)
    reply_array(r, most)
    for _i in range(most):
        reply_entry(c, e, r)
        e = e.next
    return CALL_DONE


# ---- the file

cdef bint file_missing(Ctx* c, Reply* r) noexcept nogil:
    if acl_file_named(c.kv):
        return False
    reply_error(r, b"ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the "
                   b"ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file "
                   b"set) in order to store users in the Redis configuration.")
    return True


cdef int cmd_acl_load(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Buffer text
    if file_missing(c, r):
        return CALL_DONE
    buffer_init(&text)
    if acl_file_load(c.kv, c.session, &text):
        reply_ok(r)
    else:
        reply_file_error(r, &text)
    buffer_free(&text)
    return CALL_DONE


cdef int cmd_acl_save(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Buffer text
    if file_missing(c, r):
        return CALL_DONE
    buffer_init(&text)
    if acl_file_save(c.kv, &text):
        reply_ok(r)
    else:
        reply_file_error(r, &text)
    buffer_free(&text)
    return CALL_DONE


cdef void reply_file_error(Reply* r, Buffer* why) noexcept nogil:
    cdef Buffer text
    buffer_init(&text)
    add_text(&text, b"ERR ")
    buffer_add(&text, why.p, why.n)
    reply_buffer_error(r, &text)
    buffer_free(&text)


cdef int cmd_acl_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"CAT [<category>]",
        b"    The categories of commands, or the commands of one.",
        b"DELUSER <username> [<username> ...]",
        b"    Remove users and end their connections.",
        b"DRYRUN <username> <command> [<arg> ...]",
        b"    Whether the user may run this command, which is not run.",
        b"GETUSER <username>",
        b"    A user's flags, passwords (as SHA-256) and rules.",
        b"GENPASS [<bits>]",
        b"    A random password of so many bits (default: 256).",
        b"LIST",
        b"    All users as lines of a configuration file.",
        b"LOAD",
        b"    Take the users of the ACL file instead of the present ones.",
        b"LOG [<count> | RESET]",
        b"    What was denied of late.",
        b"SAVE",
        b"    Write the users to the ACL file.",
        b"SETUSER <username> <rule> [<rule> ...]",
        b"    Make or change a user.",
        b"USERS",
        b"    The names of all users.",
        b"WHOAMI",
        b"    The user of this connection.",
        NULL,
    ]
    reply_help(r, b"ACL", lines)
    return CALL_DONE


cdef void describe_session(Session* s, size_t argv_bytes, Buffer* out) noexcept nogil:
    """A script's command is its caller's."""
    cdef Session* caller = scripting_caller(s.kv) if s.flags & S_SCRIPT else NULL
    client_line(s if caller == NULL else caller, argv_bytes, out)


acl_rows_fill()
acl_log_describe_with(describe_session)
registry_bind("acl|cat", cmd_acl_cat)
registry_bind("acl|deluser", cmd_acl_deluser)
registry_bind("acl|dryrun", cmd_acl_dryrun)
registry_bind("acl|genpass", cmd_acl_genpass)
registry_bind("acl|getuser", cmd_acl_getuser)
registry_bind("acl|help", cmd_acl_help)
registry_bind("acl|list", cmd_acl_list)
registry_bind("acl|load", cmd_acl_load)
registry_bind("acl|log", cmd_acl_log)
registry_bind("acl|save", cmd_acl_save)
registry_bind("acl|setuser", cmd_acl_setuser)
registry_bind("acl|users", cmd_acl_users)
registry_bind("acl|whoami", cmd_acl_whoami)
