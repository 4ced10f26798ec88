"""What a program that reads redis.conf tells a store, and what a host of clients asks it."""

from libc.stdlib cimport free, malloc

from libkv.engine.acl cimport acl_find, acl_put
from libkv.engine.acl_file cimport acl_file_load
from libkv.engine.acl_rules cimport (
    RULE_OK, RULE_UNKNOWN, USER_ON, AclUser, acl_has_spaces, acl_rule_error, acl_user_free, acl_user_new, acl_user_rule,
)
from libkv.engine.config cimport (
    Directive, config_count, config_directive, config_file_set, config_put, config_value,
)
from libkv.engine.lock cimport lock_give, lock_take
from libkv.store cimport StoreCore
from libkv.engine.types cimport Arg
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init

from libkv.errors import StoreClosed


cdef int check_open(StoreCore store) except -1:
    if store.closed or store.kv == NULL:
        raise StoreClosed("the store is closed")
    return 0


def put_directive(StoreCore store not None, name, list words):
    """Sets one directive as a line of redis.conf does; before the store is served.

    words: its arguments (bytes or str).  Returns None, or why it can't be, in redis-server's words.
    """
    check_open(store)
    return config_put(store.kv, name, words)


def read_config(StoreCore store not None):
    """The present value of every directive as text, by name."""
    cdef dict values = {}
    cdef Directive* d
    cdef Buffer text
    cdef int i
    check_open(store)
    buffer_init(&text)
    try:
        for i in range(config_count()):
            d = config_directive(i)
            text.n = 0
            with nogil:
                lock_take(store.kv)
                buffer_add(&text, config_value(store.kv, i).p, config_value(store.kv, i).n)
                lock_give(store.kv)
            values[d.name[:d.name_n].decode()] = text.p[:text.n].decode("utf-8", "surrogateescape") if text.n else ""
        if text.failed:
            raise MemoryError
        return values
    finally:
        buffer_free(&text)


def set_config_file(StoreCore store not None, bytes path):
    """Names the file that CONFIG REWRITE writes; an absolute path."""
    cdef const char* p = path
    cdef int failed
    check_open(store)
    with nogil:
        lock_take(store.kv)
        failed = config_file_set(store.kv, p)
        lock_give(store.kv)
    if failed:
        raise MemoryError


def limits(StoreCore store not None):
    """What a host of clients has to keep, from the store's configuration: a dict.

    maxclients; timeout (seconds, 0 none); tcp_keepalive (seconds); protected (whether only loopback is served);
    query (bytes of an unfinished command).
    """
    check_open(store)
    s = store.kv.settings
    return {
        "maxclients": s.maxclients,
        "timeout": s.timeout,
        "tcp_keepalive": s.tcp_keepalive,
        "protected": s.protected_mode and not s.has_password,
        "query": s.client_query_buffer_limit,
    }


# ---- users (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)

cdef Arg* arguments(list words) except NULL:
    """The words (bytes, which the list keeps) as an array that the caller frees."""
    cdef Arg* args = <Arg*>malloc(sizeof(Arg) * (len(words) + 1))
    cdef bytes word
    cdef int i
    if args == NULL:
        raise MemoryError
    for i, word in enumerate(words):
        args[i].p = word
        args[i].n = len(word)
        args[i].hashed = False
    return args


def merge_parentheses(words):
    """The rules among the words of a `user` line: those in one pair of parentheses are one rule.

    Returns a list of bytes, or None when a parenthesis is never closed.
    """
    merged = []
    open_ = None
    for word in words:
        if open_ is not None:
            open_ += b" " + word
        elif word.startswith(b"(") and not word.endswith(b")"):
            open_ = word
            continue
        else:
            merged.append(word)
            continue
        if word.endswith(b")"):
            merged.append(open_)
            open_ = None
    return merged if open_ is None else None


def check_user(StoreCore store not None, list words):
    """Whether a `user` line of redis.conf can be one: None, or what is wrong with it.

    words: the name and the rules (bytes).  A command that does not exist is not wrong yet: define_users says so.
    """
    cdef AclUser* u
    cdef Arg* args
    cdef int code = RULE_OK
    cdef int i, n
    check_open(store)
    rules = merge_parentheses(words[1:])
    if rules is None:
        return "Unmatched parenthesis in selector definition"
    args = arguments(rules)
    n = len(rules)
    with nogil:
        lock_take(store.kv)
        u = acl_user_new(store.kv.heap, b"", 0, False)
        for i in range(n if u != NULL else 0):
            code = acl_user_rule(store.kv.heap, u, args[i].p, args[i].n, False)
            if code != RULE_OK and code != RULE_UNKNOWN:
                break
        if u != NULL:
            acl_user_free(store.kv.heap, u)
        lock_give(store.kv)
    free(args)
    if u == NULL:
        raise MemoryError
    return acl_rule_error(code).decode() if code != RULE_OK and code != RULE_UNKNOWN else None


def define_users(StoreCore store not None, list declarations):
    """Makes the users of redis.conf's `user` lines, before the store is served.

    declarations: lists of bytes, a name and its rules each.  Returns (None, names of users that are off), or (what is
    wrong, in redis-server's words, []).
    """
    cdef Arg* args
    cdef Buffer rule
    cdef bytes name
    cdef const char* p
    cdef size_t n
    cdef int code, count
    cdef bint done, on
    check_open(store)
    off = []
    for words in declarations:
        name = words[0]
        if acl_has_spaces(name, len(name)):
            return "Spaces not allowed in ACL usernames", []
        rules = [b"reset", *words[1:]] if name == b"default" else list(words[1:])
        args = arguments(rules)
        count = len(rules)
        p = name
        n = len(name)
        buffer_init(&rule)
        with nogil:
            lock_take(store.kv)
            done = acl_put(store.kv, p, n, args, count, NULL, &code, &rule)
            on = done and acl_find(store.kv, p, n).flags & USER_ON
            lock_give(store.kv)
        free(args)
        bad = rule.p[:rule.n].decode("utf-8", "replace") if rule.n else ""
        buffer_free(&rule)
        shown = name.decode("utf-8", "replace")
        if not done:
            return f"Error loading ACL rule '{bad}' for the user named '{shown}': {acl_rule_error(code).decode()}", []
        if not on:
            off.append(shown)
    return None, off


def load_users(StoreCore store not None):
    """Reads the users of the file that `aclfile` names: None, or what is wrong, in redis-server's words."""
    cdef Buffer errors
    cdef bint done
    check_open(store)
    buffer_init(&errors)
    try:
        with nogil:
            lock_take(store.kv)
            done = acl_file_load(store.kv, NULL, &errors)
            lock_give(store.kv)
        return None if done else errors.p[:errors.n].decode("utf-8", "replace")
    finally:
        buffer_free(&errors)
