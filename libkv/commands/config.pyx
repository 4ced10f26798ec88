"""CONFIG GET, SET, RESETSTAT, REWRITE, HELP.

Follows Redis 7.0.15.  What a value may be is engine/values, how it is set engine/config, the file engine/rewrite.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memset

from libkv.engine.args cimport glob_match
from libkv.engine.config cimport (
    Change, Directive, DIRECTIVE_HIDDEN, DIRECTIVE_IMMUTABLE, DIRECTIVE_PROTECTED, DIRECTIVE_SECRET, DirectiveName,
    FROM_CLIENT, KIND_EVENTS, Rates, Value, config_apply, config_directive, config_find, config_name, config_names,
    config_of, config_value,
)
from libkv.engine.latency cimport latency_forget_times
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_bulk, reply_error, reply_errorf, reply_help, reply_later, reply_later_map, reply_ok, reply_oom, reply_syntax,
)
from libkv.engine.rewrite cimport config_rewrite
from libkv.engine.settings cimport ALLOW_LOCAL, ALLOW_YES
from libkv.engine.slowlog cimport slowlog_redact
from libkv.engine.types cimport Arg, CALL_DONE, Ctx, Kv, Reply, S_EMBEDDED, S_UNIX, Session
from libkv.persistence.durable_info cimport durable_reset_counters
from libkv.structures.alloc cimport heap_alloc, heap_free

cdef enum:
    SEEN = 1024                 # more than there are names


# ---- CONFIG GET

cdef bint has_glob(Arg* a) noexcept nogil:
    cdef size_t i
    for i in range(a.n):
        if a.p[i] == b"*" or a.p[i] == b"?" or a.p[i] == b"[":
            return True
    return False


cdef int cmd_config_get(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Names and values of the directives that match; a plain name is echoed as it was written."""
    cdef uint8_t[SEEN] seen
    cdef size_t mark = reply_later(r)
    cdef int64_t found = 0
    cdef DirectiveName* name
    cdef int i
    cdef int k
    memset(seen, 0, sizeof(seen))
    for i in range(2, argc):
        if not has_glob(&argv[i]):
            k = config_find(argv[i].p, argv[i].n)
            if k >= 0 and not seen[k]:
                seen[k] = 1
                found += 1
                reply_bulk(r, argv[i].p, argv[i].n)
                put_value(c.kv, config_name(k).id, r)
            continue
        for k in range(config_names()):
            name = config_name(k)
            if seen[k] or config_directive(name.id).flags & DIRECTIVE_HIDDEN:
                continue
            if glob_match(argv[i].p, argv[i].n, name.name, name.n, True):
                seen[k] = 1
                found += 1
                reply_bulk(r, name.name, name.n)
                put_value(c.kv, name.id, r)
    reply_later_map(r, mark, found)
    return CALL_DONE


cdef void put_value(Kv* kv, int directive, Reply* r) noexcept nogil:
    cdef Value* v = config_value(kv, directive)
    cdef size_t n = v.n
    if n > 1 and config_directive(directive).kind == KIND_EVENTS and v.p[0] == c"A" and v.p[n - 1] == c"n":
        n -= 1                          # Redis 7.0 obeys n beside A, and does not tell it
    reply_bulk(r, v.p, n)


# ---- CONFIG SET

cdef bint is_local(Session* s) noexcept nogil:
    return (
        s == NULL or s.flags & (S_EMBEDDED | S_UNIX) != 0
        or memcmp(s.addr, b"127.0.0.1:", 10) == 0 or memcmp(s.addr, b"::1:", 4) == 0 or memcmp(s.addr, b"[::1]:", 6) == 0
    )


cdef bint protected_allowed(Ctx* c) noexcept nogil:
    cdef int who = c.kv.settings.enable_protected_configs
    return who == ALLOW_YES or (who == ALLOW_LOCAL and is_local(c.session))


cdef void set_failed(Reply* r, const char* name, size_t n, const char* why) noexcept nogil:
    cdef char[1024] text
    snprintf(
        text, sizeof(text), b"ERR CONFIG SET failed (possibly related to argument '%.*s') - %s", <int>n, name, why
    )
    reply_error(r, text)


cdef bint collect_changes(Ctx* c, Arg* argv, int n, Change* changes, Reply* r) noexcept nogil:
    """The n pairs of CONFIG SET from argv[2] on; False: the error is replied."""
    cdef Directive* d
    cdef Arg* name
    cdef int i
    cdef int j
    for i in range(n):
        name = &argv[2 + 2 * i]
        changes[i].name = config_find(name.p, name.n)
        changes[i].words = name + 1
        changes[i].n = 1
        if changes[i].name < 0:
            reply_errorf(r, b"ERR Unknown option or number of arguments for CONFIG SET - '%.*s'", name.p, name.n)
            return False
        d = config_directive(config_name(changes[i].name).id)
        if d.flags & DIRECTIVE_IMMUTABLE:
            set_failed(r, name.p, name.n, b"can't set immutable config")
            return False
        if d.flags & DIRECTIVE_PROTECTED and not protected_allowed(c):
            set_failed(r, name.p, name.n, b"can't set protected config")
            return False
        for j in range(i):
            if changes[j].name == changes[i].name:
                set_failed(r, name.p, name.n, b"duplicate parameter")
                return False
    return True


cdef void redact_secrets(Arg* argv, int argc) noexcept nogil:
    """Passwords stay out of the slow log, whatever became of the command."""
    cdef int i
    cdef int k
    for i in range(2, argc - 1, 2):
        k = config_find(argv[i].p, argv[i].n)
        if k >= 0 and config_directive(config_name(k).id).flags & DIRECTIVE_SECRET:
            slowlog_redact(&argv[i + 1])


cdef int cmd_config_set(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """All of the pairs or none; the error names the first at fault."""
    cdef Change* changes
    cdef DirectiveName* name
    cdef const char* why
    cdef int n = (argc - 2) // 2
    cdef int culprit = 0
    if argc & 1:
        reply_syntax(r)
        return CALL_DONE
    changes = <Change*>heap_alloc(c.heap, sizeof(Change) * n)
    if changes == NULL:
        reply_oom(r)
        return CALL_DONE
    if collect_changes(c, argv, n, changes, r):
        why = config_apply(c.kv, changes, n, FROM_CLIENT, &culprit)
        if why == NULL:
            reply_ok(r)
        else:
            name = config_name(changes[culprit].name)
            set_failed(r, name.name, name.n, why)
    heap_free(c.heap, changes, sizeof(Change) * n)
    redact_secrets(argv, argc)
    return CALL_DONE


# ---- the rest

cdef int cmd_config_resetstat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """The counters of INFO's sections stats, commandstats, errorstats, latencystats and some of persistence's start again;
    the peak of memory stays."""
    cdef Kv* kv = c.kv
    cdef uint64_t peak = kv.stats.peak_memory
    cdef uint64_t dirty = kv.stats.dirty_since_save
    memset(&kv.stats, 0, sizeof(kv.stats))
    kv.stats.peak_memory = peak
    kv.stats.dirty_since_save = dirty
    if kv.command_stats != NULL:
        memset(kv.command_stats, 0, sizeof(kv.command_stats[0]) * kv.n_command_stats)
    latency_forget_times(kv)
    kv.n_errors = 0
    memset(&config_of(kv).rates, 0, sizeof(Rates))
    durable_reset_counters(kv)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_config_rewrite(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char* why
    cdef char[640] text
    if config_of(c.kv).file == NULL:
        reply_error(r, b"ERR The server is running without a config file")
        return CALL_DONE
    why = config_rewrite(c.kv, False)
    if why == NULL:
        reply_ok(r)
    else:
        snprintf(text, sizeof(text), b"ERR Rewriting config file: %s", why)
        reply_error(r, text)
    return CALL_DONE


cdef int cmd_config_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"GET <pattern>",
        b"    Return parameters matching the glob-like <pattern> and their values.",
        b"SET <directive> <value>",
        b"    Set the configuration <directive> to <value>.",
        b"RESETSTAT",
        b"    Reset statistics reported by the INFO command.",
        b"REWRITE",
        b"    Rewrite the configuration file.",
        NULL,
    ]
    reply_help(r, b"CONFIG", lines)
    return CALL_DONE


registry_bind("config|get", cmd_config_get)
registry_bind("config|set", cmd_config_set)
registry_bind("config|resetstat", cmd_config_resetstat)
registry_bind("config|rewrite", cmd_config_rewrite)
registry_bind("config|help", cmd_config_help)
