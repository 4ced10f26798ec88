"""A store's configuration (contract: config.pxd).

Follows Redis 7.0.15's CONFIG: what is accepted, how a value reads back and the words of each refusal were taken from its
answers.  A change is read completely (engine/values) before anything is set, so several directives change together or
not at all; hooks of a server (port, bind, ...) run last and can still refuse.

Deviation: `dir` does not change the process's working directory, which belongs to the application; file names are
resolved against its value instead.
"""

from libc.stdlib cimport free, malloc, strtoll, strtoull
from libc.string cimport memcmp, memcpy, memset, strlen

from libkv.engine.directives import DIRECTIVES
from libkv.engine.renames cimport rename_add
from libkv.engine.values cimport value_events, value_read
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_free, buffer_init

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)

cdef extern from "<unistd.h>" nogil:
    char* getcwd(char*, size_t)

KINDS = (
    "bool", "enum", "flags", "integer", "octal", "memory", "percent", "string", "save", "output-limit", "oom-values",
    "percentiles", "bind", "events", "dir", "replicaof", "title", "hostname", "filename", "defrag",
)

# the table in C, for the life of the process
cdef Directive* directives = NULL
cdef int n_directives = 0
cdef DirectiveName* names = NULL
cdef int n_names = 0
cdef list kept = []             # the bytes objects that its texts are in


# ---- import: the table of directives.py as C arrays

cdef const char* keep(str text) except NULL:
    cdef bytes b = text.encode()
    kept.append(b)
    return <const char*>b


cdef dict settings_fields():
    """Directive -> (how its value stands in Settings, offset)."""
    cdef Settings s
    cdef char* base = <char*>&s
    return {
        "hash-max-listpack-entries": (FIELD_I64, <char*>&s.hash_max_listpack_entries - base),
        "hash-max-listpack-value": (FIELD_I64, <char*>&s.hash_max_listpack_value - base),
        "list-max-listpack-size": (FIELD_I64, <char*>&s.list_max_listpack_size - base),
        "list-compress-depth": (FIELD_I64, <char*>&s.list_compress_depth - base),
        "set-max-intset-entries": (FIELD_I64, <char*>&s.set_max_intset_entries - base),
        "zset-max-listpack-entries": (FIELD_I64, <char*>&s.zset_max_listpack_entries - base),
        "zset-max-listpack-value": (FIELD_I64, <char*>&s.zset_max_listpack_value - base),
        "hll-sparse-max-bytes": (FIELD_I64, <char*>&s.hll_sparse_max_bytes - base),
        "proto-max-bulk-len": (FIELD_I64, <char*>&s.proto_max_bulk_len - base),
        "client-query-buffer-limit": (FIELD_I64, <char*>&s.client_query_buffer_limit - base),
        "slowlog-log-slower-than": (FIELD_I64, <char*>&s.slowlog_log_slower_than - base),
        "slowlog-max-len": (FIELD_I64, <char*>&s.slowlog_max_len - base),
        "hz": (FIELD_I64, <char*>&s.hz - base),
        "active-expire-effort": (FIELD_I64, <char*>&s.active_expire_effort - base),
        "maxmemory": (FIELD_U64, <char*>&s.maxmemory - base),
        "maxmemory-policy": (FIELD_INT, <char*>&s.maxmemory_policy - base),
        "maxmemory-samples": (FIELD_I64, <char*>&s.maxmemory_samples - base),
        "maxmemory-eviction-tenacity": (FIELD_I64, <char*>&s.maxmemory_eviction_tenacity - base),
        "lfu-log-factor": (FIELD_I64, <char*>&s.lfu_log_factor - base),
        "lfu-decay-time": (FIELD_I64, <char*>&s.lfu_decay_time - base),
        "maxclients": (FIELD_I64, <char*>&s.maxclients - base),
        "databases": (FIELD_I64, <char*>&s.databases - base),
        "port": (FIELD_I64, <char*>&s.port - base),
        "tls-port": (FIELD_I64, <char*>&s.tls_port - base),
        "timeout": (FIELD_I64, <char*>&s.timeout - base),
        "tcp-keepalive": (FIELD_I64, <char*>&s.tcp_keepalive - base),
        "tcp-backlog": (FIELD_I64, <char*>&s.tcp_backlog - base),
        "unixsocketperm": (FIELD_I64, <char*>&s.unixsocketperm - base),
        "lazyfree-lazy-user-del": (FIELD_INT, <char*>&s.lazyfree_lazy_user_del - base),
        "lazyfree-lazy-user-flush": (FIELD_INT, <char*>&s.lazyfree_lazy_user_flush - base),
        "lazyfree-lazy-expire": (FIELD_INT, <char*>&s.lazyfree_lazy_expire - base),
        "lazyfree-lazy-eviction": (FIELD_INT, <char*>&s.lazyfree_lazy_eviction - base),
        "lazyfree-lazy-server-del": (FIELD_INT, <char*>&s.lazyfree_lazy_server_del - base),
        "activerehashing": (FIELD_INT, <char*>&s.activerehashing - base),
        "dynamic-hz": (FIELD_INT, <char*>&s.dynamic_hz - base),
        "protected-mode": (FIELD_INT, <char*>&s.protected_mode - base),
        "latency-tracking": (FIELD_INT, <char*>&s.latency_tracking - base),
        "loglevel": (FIELD_INT, <char*>&s.loglevel - base),
        "enable-debug-command": (FIELD_INT, <char*>&s.enable_debug_command - base),
        "enable-protected-configs": (FIELD_INT, <char*>&s.enable_protected_configs - base),
        "libkv-spin": (FIELD_I64, <char*>&s.spin_us - base),
        "libkv-extensions": (FIELD_INT, <char*>&s.extensions - base),
        "latency-monitor-threshold": (FIELD_I64, <char*>&s.latency_monitor_threshold - base),
        "tracking-table-max-keys": (FIELD_I64, <char*>&s.tracking_table_max_keys - base),
        "stream-node-max-bytes": (FIELD_I64, <char*>&s.stream_node_max_bytes - base),
        "stream-node-max-entries": (FIELD_I64, <char*>&s.stream_node_max_entries - base),
    }


cdef int fill_directive(Directive* d, row, dict fields) except -1:
    cdef int i
    d.name = keep(row.name)
    d.name_n = strlen(d.name)
    d.fallback = keep(row.default)
    d.fallback_n = strlen(d.fallback)
    d.kind = KINDS.index(row.kind)
    d.flags = (
        DIRECTIVE_IMMUTABLE * row.immutable | DIRECTIVE_PROTECTED * row.protected | DIRECTIVE_HIDDEN * row.hidden
        | DIRECTIVE_MULTI * row.multi | DIRECTIVE_SECRET * row.secret
    )
    d.low = row.low
    d.high = row.high
    d.field_kind, d.field_at = fields.pop(row.name, (FIELD_NONE, 0))
    words = ("no", "yes") if row.kind in ("bool", "defrag") else row.words
    d.n_words = len(words)
    d.words = <const char**>malloc(sizeof(char*) * (len(words) + 1))
    if d.words == NULL:
        raise MemoryError
    for i, word in enumerate(words):
        d.words[i] = keep(word)
    return 0


cdef int fill_table() except -1:
    """Reads directives.py; runs once, when this module is imported."""
    global directives, n_directives, names, n_names
    cdef dict fields = settings_fields()
    cdef int i = 0
    directives = <Directive*>malloc(sizeof(Directive) * len(DIRECTIVES))
    names = <DirectiveName*>malloc(sizeof(DirectiveName) * 2 * len(DIRECTIVES))
    if directives == NULL or names == NULL:
        raise MemoryError
    memset(directives, 0, sizeof(Directive) * len(DIRECTIVES))
    for i, row in enumerate(DIRECTIVES):
        fill_directive(&directives[i], row, fields)
        directives[i].id = i
        for name in (row.name, row.alias):
            if name:
                names[n_names].name = keep(name)
                names[n_names].n = len(name)
                names[n_names].id = i
                names[n_names].alias = name == row.alias
                n_names += 1
    n_directives = len(DIRECTIVES)
    if fields:
        raise RuntimeError(f"settings without a directive: {', '.join(fields)}")
    return 0


fill_table()


# ---- the table

cdef int config_count() noexcept nogil:
    return n_directives


cdef Directive* config_directive(int id) noexcept nogil:
    return &directives[id]


cdef int config_names() noexcept nogil:
    return n_names


cdef DirectiveName* config_name(int i) noexcept nogil:
    return &names[i]


cdef int config_find(const char* p, size_t n) noexcept nogil:
    cdef int i
    for i in range(n_names):
        if names[i].n == n and strncasecmp(names[i].name, p, n) == 0:
            return i
    return -1


cdef int config_id(const char* name) noexcept nogil:
    cdef int i = config_find(name, strlen(name))
    return -1 if i < 0 else names[i].id


# ---- a store's values

cdef int config_new(Kv* kv) noexcept nogil:
    cdef Config* f = <Config*>heap_alloc(kv.heap, sizeof(Config))
    cdef int i
    if f == NULL:
        return -1
    memset(f, 0, sizeof(Config))
    f.values = <Value*>heap_alloc(kv.heap, sizeof(Value) * n_directives)
    if f.values == NULL:
        heap_free(kv.heap, f, sizeof(Config))
        return -1
    f.kv = kv
    f.unixsocket = config_id(b"unixsocket")
    kv.settings = &f.settings
    for i in range(n_directives):
        f.values[i].p = directives[i].fallback
        f.values[i].n = directives[i].fallback_n
        f.values[i].size = 0
        load_setting(f, &directives[i])
    if start_dir(f) < 0:
        config_delete(kv)
        return -1
    f.memory_at_start = kv.heap.used
    return 0


cdef int start_dir(Config* f) noexcept nogil:
    """The process's working directory is the first value of `dir`."""
    cdef char path[4096]
    if getcwd(path, sizeof(path)) == NULL:      # it was removed: the default "." stays
        return 0
    return 0 if config_text_set(f.kv, b"dir", path, strlen(path)) == NULL else -1


cdef void config_delete(Kv* kv) noexcept nogil:
    cdef Config* f = config_of(kv)
    cdef int i
    if f == NULL:
        return
    for i in range(n_directives):
        drop_value(f, &f.values[i])
    heap_free(kv.heap, f.values, sizeof(Value) * n_directives)
    if f.file != NULL:
        heap_free(kv.heap, f.file, f.file_size)
    heap_free(kv.heap, f, sizeof(Config))
    kv.settings = NULL


cdef void drop_value(Config* f, Value* v) noexcept nogil:
    if v.size:
        heap_free(f.kv.heap, <void*>v.p, v.size)


cdef bint make_value(Config* f, Value* v, const char* p, size_t n) noexcept nogil:
    cdef char* copy = <char*>heap_alloc(f.kv.heap, n + 1)
    if copy == NULL:
        return False
    if n:
        memcpy(copy, p, n)
    copy[n] = 0
    v.p = copy
    v.n = n
    v.size = n + 1
    return True


# ---- from a value's text to Settings

cdef int word_index(Directive* d, Value* v) noexcept nogil:
    cdef int i
    for i in range(d.n_words):
        if strlen(d.words[i]) == v.n and memcmp(d.words[i], v.p, v.n) == 0:
            return i
    return 0


cdef void load_setting(Config* f, Directive* d) noexcept nogil:
    """Sets the directive's field from its value, which has been checked."""
    cdef Value* v = &f.values[d.id]
    cdef char* field = <char*>&f.settings + d.field_at
    cdef int as_int
    cdef int64_t as_i64
    cdef uint64_t as_u64
    if d.field_kind == FIELD_INT:
        as_int = word_index(d, v)
        memcpy(field, &as_int, sizeof(int))
    elif d.field_kind == FIELD_I64:
        as_i64 = strtoll(v.p, NULL, 8 if d.kind == KIND_OCTAL else 10)
        memcpy(field, &as_i64, 8)
    elif d.field_kind == FIELD_U64:
        as_u64 = strtoull(v.p, NULL, 10)
        memcpy(field, &as_u64, 8)
    elif d.kind == KIND_EVENTS:
        f.settings.notify_keyspace_events = value_events(v.p, v.n)
    elif d.kind == KIND_OUTPUT_LIMIT:
        load_output_limits(f, v.p)
    elif d.flags & DIRECTIVE_SECRET and d.name_n == 11 and memcmp(d.name, b"requirepass", 11) == 0:
        f.settings.password = v.p
        f.settings.password_n = v.n


cdef void load_output_limits(Config* f, const char* p) noexcept nogil:
    """From "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60": three classes, always all."""
    cdef int i
    cdef char* at = <char*>p
    for i in range(3):
        while at[0] and not 48 <= at[0] <= 57:
            at += 1
        f.settings.client_output_hard[i] = <int64_t>strtoull(at, &at, 10)
        f.settings.client_output_soft[i] = <int64_t>strtoull(at, &at, 10)
        f.settings.client_output_soft_seconds[i] = strtoll(at, &at, 10)


# ---- changes

cdef const char* config_apply(Kv* kv, Change* changes, int n, int source, int* culprit) noexcept nogil:
    cdef Config* f = config_of(kv)
    cdef Value* fresh = <Value*>heap_alloc(kv.heap, sizeof(Value) * (n + 1))
    cdef const char* why = NULL
    cdef int i
    culprit[0] = 0
    if fresh == NULL:
        return b"out of memory"
    memset(fresh, 0, sizeof(Value) * (n + 1))
    for i in range(n):
        why = read_change(f, &changes[i], source, &fresh[i])
        if why != NULL:
            culprit[0] = i
            break
    if why == NULL:
        for i in range(n):
            swap_value(f, names[changes[i].name].id, &fresh[i])
        f.source = source
        why = run_hooks(f, changes, n, culprit)
        if why != NULL:
            for i in range(n - 1, -1, -1):
                swap_value(f, names[changes[i].name].id, &fresh[i])
            rerun_hooks(f, changes, n)
    for i in range(n):
        drop_value(f, &fresh[i])
    heap_free(kv.heap, fresh, sizeof(Value) * (n + 1))
    return why


cdef const char* read_change(Config* f, Change* change, int source, Value* fresh) noexcept nogil:
    """Reads one new value into *fresh; NULL, or what is wrong with it."""
    cdef Directive* d = &directives[names[change.name].id]
    cdef Buffer text
    cdef const char* why
    buffer_init(&text)
    why = value_read(f, d, source, change.words, change.n, &text)
    if why == NULL and (text.failed or not make_value(f, fresh, text.p, text.n)):
        why = b"out of memory"
    if why == NULL and source == FROM_FILE and d.kind == KIND_SAVE:
        f.save_read = True
    buffer_free(&text)
    return why


cdef void swap_value(Config* f, int id, Value* v) noexcept nogil:
    cdef Value present = f.values[id]
    f.values[id] = v[0]
    v[0] = present
    load_setting(f, &directives[id])


cdef Hook* hook_of(Config* f, int directive) noexcept nogil:
    cdef int i
    for i in range(f.n_hooks):
        if f.hooks[i].directive == directive:
            return &f.hooks[i]
    return NULL


cdef bint hook_earlier(Config* f, Change* changes, int i, Hook* hook) noexcept nogil:
    """Whether an earlier one of these changes has called the same hook."""
    cdef int j
    cdef Hook* other
    for j in range(i):
        other = hook_of(f, names[changes[j].name].id)
        if other != NULL and other.fn == hook.fn and other.owner == hook.owner:
            return True
    return False


cdef const char* run_hooks(Config* f, Change* changes, int n, int* culprit) noexcept nogil:
    cdef Hook* hook
    cdef const char* why
    cdef int i
    for i in range(n):
        hook = hook_of(f, names[changes[i].name].id)
        if hook == NULL or hook_earlier(f, changes, i, hook):
            continue
        why = hook.fn(f.kv, hook.owner, names[changes[i].name].id)
        if why != NULL:
            culprit[0] = i
            return why
    return NULL


cdef void rerun_hooks(Config* f, Change* changes, int n) noexcept nogil:
    """After the old values are back: what a hook answers now can't be helped, and its text must not replace the first."""
    cdef char[512] first
    cdef Hook* hook
    cdef int i
    memcpy(first, f.error, sizeof(first))
    for i in range(n):
        hook = hook_of(f, names[changes[i].name].id)
        if hook != NULL and not hook_earlier(f, changes, i, hook):
            hook.fn(f.kv, hook.owner, names[changes[i].name].id)
    memcpy(f.error, first, sizeof(first))


cdef const char* config_text_set(Kv* kv, const char* name, const char* p, size_t n) noexcept nogil:
    cdef Arg word
    cdef Change change
    cdef Config* f = config_of(kv)
    cdef Value fresh
    cdef const char* why
    word.p = p
    word.n = n
    word.hashed = False
    change.name = config_find(name, strlen(name))
    change.words = &word
    change.n = 1
    if change.name < 0:
        return b"no such directive"
    memset(&fresh, 0, sizeof(Value))
    why = read_change(f, &change, FROM_FILE, &fresh)
    if why == NULL:
        swap_value(f, names[change.name].id, &fresh)
    drop_value(f, &fresh)
    return why


cdef int config_hook_add(Kv* kv, const char* name, config_hook fn, void* owner) noexcept nogil:
    cdef Config* f = config_of(kv)
    cdef int id = config_id(name)
    if id < 0 or f.n_hooks == CONFIG_HOOKS or hook_of(f, id) != NULL:
        return -1
    f.hooks[f.n_hooks].directive = id
    f.hooks[f.n_hooks].fn = fn
    f.hooks[f.n_hooks].owner = owner
    f.n_hooks += 1
    return 0


cdef void config_hook_remove(Kv* kv, void* owner) noexcept nogil:
    cdef Config* f = config_of(kv)
    cdef int i
    cdef int left = 0
    for i in range(f.n_hooks):
        if f.hooks[i].owner != owner:
            f.hooks[left] = f.hooks[i]
            left += 1
    f.n_hooks = left


cdef int config_file_set(Kv* kv, const char* path) noexcept nogil:
    cdef Config* f = config_of(kv)
    cdef char* copy = NULL
    cdef size_t size = 0
    if path != NULL:
        size = strlen(path) + 1
        copy = <char*>heap_alloc(kv.heap, size)
        if copy == NULL:
            return -1
        memcpy(copy, path, size)
    if f.file != NULL:
        heap_free(kv.heap, f.file, f.file_size)
    f.file = copy
    f.file_size = size
    return 0


# ---- for Python code

cdef object config_put(Kv* kv, name, list words):
    cdef bytes b_name = name.encode() if isinstance(name, str) else bytes(name)
    cdef list b_words = [w.encode("utf-8", "surrogateescape") if isinstance(w, str) else bytes(w) for w in words]
    cdef Change change
    cdef const char* why
    cdef int culprit
    cdef int i
    if b_name.lower() == b"rename-command" and len(b_words) == 2:
        why = rename_add(kv, b_words[0], len(b_words[0]), b_words[1], len(b_words[1]))
        return None if why == NULL else why.decode()
    change.name = config_find(b_name, len(b_name))
    if change.name < 0:
        return "Bad directive or wrong number of arguments"
    change.n = len(b_words)
    change.words = <Arg*>malloc(sizeof(Arg) * (change.n + 1))
    if change.words == NULL:
        raise MemoryError
    for i in range(change.n):
        change.words[i].p = <const char*><bytes>b_words[i]
        change.words[i].n = len(<bytes>b_words[i])
        change.words[i].hashed = False
    with nogil:
        why = config_apply(kv, &change, 1, FROM_FILE, &culprit)
    free(change.words)
    return None if why == NULL else why.decode("utf-8", "replace")


cdef object config_get(Kv* kv, name):
    cdef bytes b_name = name.encode() if isinstance(name, str) else bytes(name)
    cdef int i = config_find(b_name, len(b_name))
    cdef Value* v
    if i < 0:
        return None
    v = config_value(kv, names[i].id)
    return v.p[: v.n].decode("utf-8", "surrogateescape")
