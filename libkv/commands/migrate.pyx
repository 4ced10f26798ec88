"""MIGRATE: keys moved to another server (https://redis.io/docs/latest/commands/migrate/).

The store stands still until the other server has answered or the time is over, as redis-server does.  A connection serves
one call: none is kept for the next.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, strlen

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate_arg, propagate_begin, propagating
from libkv.engine.config cimport config_id, config_value
from libkv.engine.dialogue cimport Dialogue, dialogue_close, dialogue_line, dialogue_open, dialogue_write
from libkv.engine.entry cimport Entry, entry_expire
from libkv.engine.keyspace cimport changed, keyspace_delete, lookup_read
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_error, reply_errorf, reply_ok, reply_oom, reply_status, reply_syntax
from libkv.engine.slowlog cimport slowlog_redact
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, Arg, Ctx, Reply
from libkv.persistence.rdb_encode cimport rdb_dump
from libkv.persistence.rio cimport Sink, sink_close, sink_open_memory
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init, buffer_room
from libkv.structures.number cimport number_print_i64

cdef enum:
    DEFAULT_TIMEOUT = 1000      # ms, in place of one that is not positive
    LINE = 1024
    NAME = 256                  # longest host name and port

    SENT_ALL = 0
    NOT_CONNECTED = 1
    NOT_WRITTEN = 2
    NOT_READ = 3
    REFUSED = 4                 # the target's own error: it is in Migrate.refusal
    NO_MEMORY = 5

cdef int COMPRESSION = config_id(b"rdbcompression")

cdef struct Migrate:
    Arg* argv
    int64_t db
    int64_t timeout             # ms
    bint copy
    bint replace
    Arg* user                   # NULL: none
    Arg* password               # NULL: none
    Arg** keys                  # that exist
    int n_keys
    int answered                # keys whose reply has been read
    char refusal[LINE]


# ---- arguments

cdef bint migrate_options(Ctx* c, Arg* argv, int argc, Migrate* m, int* first, int* count, Reply* r) noexcept nogil:
    cdef int i = 6
    first[0] = 3
    count[0] = 1
    while i < argc:
        if arg_is(&argv[i], b"copy", 4):
            m.copy = True
        elif arg_is(&argv[i], b"replace", 7):
            m.replace = True
        elif arg_is(&argv[i], b"auth", 4) and i + 1 < argc:
            m.password = &argv[i + 1]
            i += 1
        elif arg_is(&argv[i], b"auth2", 5) and i + 2 < argc:
            m.user = &argv[i + 1]
            m.password = &argv[i + 2]
            i += 2
        elif arg_is(&argv[i], b"keys", 4):
            if argv[3].n != 0:
                reply_error(r, b"ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
                return False
            first[0] = i + 1
            count[0] = argc - i - 1
            break
        else:
            reply_syntax(r)
            return False
        i += 1
    if not arg_int(&argv[5], &m.timeout, r) or not arg_int(&argv[4], &m.db, r):
        return False
    if m.timeout <= 0:
        m.timeout = DEFAULT_TIMEOUT
    return True


# ---- what is sent

cdef void put_number(Buffer* b, char kind, int64_t v) noexcept nogil:
    cdef char* o = buffer_room(b, 32)
    cdef int n
    if o == NULL:
        return
    o[0] = kind
    n = 1 + number_print_i64(o + 1, v)
    o[n] = 13
    o[n + 1] = 10
    b.n += n + 2


cdef void put_bulk(Buffer* b, const char* p, size_t n) noexcept nogil:
    put_number(b, b"$", <int64_t>n)
    buffer_add(b, p, n)
    buffer_add(b, b"\r\n", 2)


cdef void put_decimal(Buffer* b, int64_t v) noexcept nogil:
    cdef char digits[24]
    put_bulk(b, digits, number_print_i64(digits, v))


cdef bint put_restore(Ctx* c, Buffer* b, Arg* key, Entry* e, int64_t ttl, bint replace) noexcept nogil:
    cdef Sink s
    cdef bint done
    done = sink_open_memory(&s, True, config_value(c.kv, COMPRESSION).p[0] == c"y") == 0 and rdb_dump(&s, e) == 0
    if done:
        put_number(b, b"*", 5 if replace else 4)
        put_bulk(b, b"RESTORE", 7)
        put_bulk(b, key.p, key.n)
        put_decimal(b, ttl)
        put_bulk(b, s.buf, s.n)
        if replace:
            put_bulk(b, b"REPLACE", 7)
    sink_close(&s)
    return done


cdef bint put_request(Ctx* c, Migrate* m, Buffer* b) noexcept nogil:
    """Everything at once; keys that expired meanwhile are left out.  False: no memory."""
    cdef int kept = 0
    cdef int i
    cdef int64_t ttl
    cdef Entry* e
    if m.password != NULL:
        put_number(b, b"*", 3 if m.user != NULL else 2)
        put_bulk(b, b"AUTH", 4)
        if m.user != NULL:
            put_bulk(b, m.user.p, m.user.n)
        put_bulk(b, m.password.p, m.password.n)
    put_number(b, b"*", 2)
    put_bulk(b, b"SELECT", 6)
    put_decimal(b, m.db)
    for i in range(m.n_keys):
        e = lookup_read(c, m.keys[i])
        if e == NULL:
            continue
        ttl = entry_expire(e)
        ttl = 0 if ttl < 0 else ttl - c.now if ttl > c.now else 1
        if not put_restore(c, b, m.keys[i], e, ttl, m.replace):
            return False
        m.keys[kept] = m.keys[i]
        kept += 1
    m.n_keys = kept
    return not b.failed


# ---- the dialogue

cdef void refuse(Migrate* m, const char* line) noexcept nogil:
    """Remembers the first error of the target's."""
    if m.refusal[0] == 0:
        memcpy(m.refusal, line, strlen(line) + 1)


cdef int read_answers(Ctx* c, Migrate* m, Dialogue* d, int* gone) noexcept nogil:
    """Reads a reply a key, and deletes those that have arrived; gone[0]: how many, in front of m.keys."""
    cdef char line[LINE]
    cdef char before[LINE]
    cdef const char* error
    cdef int i
    cdef int _i
    cdef Arg* key
    before[0] = 0
    for _i in range(1 + (m.password != NULL)):
        if dialogue_line(d, line, sizeof(line)) != 0:
            return NOT_READ
        if line[0] == c"-" and before[0] == 0:
            memcpy(before, line, sizeof(line))
    for i in range(m.n_keys):
        if dialogue_line(d, line, sizeof(line)) != 0:
            return NOT_READ if m.refusal[0] == 0 else REFUSED
        m.answered += 1
        error = line
        if before[0] == c"-":
            error = before
        if error[0] == c"-":
            refuse(m, error + 1)
        elif not m.copy:
            key = m.keys[i]
            if keyspace_delete(c, c.db, key):
                changed(c, c.db, key, EVENT_GENERIC, b"del")
            m.keys[gone[0]] = key
            gone[0] += 1
    return SENT_ALL if m.refusal[0] == 0 else REFUSED


cdef int migrate_once(Ctx* c, Migrate* m, Buffer* request, const char* host, const char* port, bint* again,
                      int* gone) noexcept nogil:
    """One try; again[0]: the connection broke before anything was done."""
    cdef Dialogue d
    cdef int done
    again[0] = False
    if dialogue_open(&d, host, port, m.timeout) != 0:
        return NOT_CONNECTED
    done = NOT_WRITTEN
    if dialogue_write(&d, request.p, request.n) == 0:
        done = read_answers(c, m, &d, gone)
    again[0] = (done == NOT_WRITTEN or done == NOT_READ) and not d.timed_out and m.answered == 0
    dialogue_close(&d)
    return done


cdef void migrate_tell(Ctx* c, Migrate* m, int gone) noexcept nogil:
    """Its effect here: the keys are deleted."""
    cdef int i
    if gone == 0 or not propagating(c):
        return
    propagate_begin(c, c.db, 1 + gone)
    propagate_arg(c, b"DEL", 3)
    for i in range(gone):
        propagate_arg(c, m.keys[i].p, m.keys[i].n)


cdef void name_copy(char* to, Arg* a) noexcept nogil:
    memcpy(to, a.p, a.n)
    to[a.n] = 0


cdef int migrate_all(Ctx* c, Migrate* m) noexcept nogil:
    cdef Buffer request
    cdef char host[NAME]
    cdef char port[NAME]
    cdef bint again
    cdef int gone = 0
    cdef int done
    if m.argv[1].n >= NAME or m.argv[2].n >= NAME:
        return NOT_CONNECTED
    name_copy(host, &m.argv[1])
    name_copy(port, &m.argv[2])
    buffer_init(&request)
    if not put_request(c, m, &request):
        buffer_free(&request)
        return NO_MEMORY
    done = migrate_once(c, m, &request, host, port, &again, &gone)
    if again:
        done = migrate_once(c, m, &request, host, port, &again, &gone)
    buffer_free(&request)
    migrate_tell(c, m, gone)
    return done


cdef void migrate_reply(int done, Migrate* m, Reply* r) noexcept nogil:
    if done == SENT_ALL:
        reply_ok(r)
    elif done == NOT_CONNECTED:
        reply_error(r, b"IOERR error or timeout connecting to the client")
    elif done == NOT_WRITTEN:
        reply_error(r, b"IOERR error or timeout writing to target instance")
    elif done == NOT_READ:
        reply_error(r, b"IOERR error or timeout reading to target instance")
    elif done == NO_MEMORY:
        reply_oom(r)
    else:
        reply_errorf(r, b"ERR Target instance replied with error: %.*s", m.refusal, strlen(m.refusal))


cdef void migrate_run(Ctx* c, Migrate* m, int argc, Reply* r) noexcept nogil:
    cdef int first
    cdef int count
    cdef int i
    if not migrate_options(c, m.argv, argc, m, &first, &count, r):
        return
    m.keys = <Arg**>heap_alloc(c.heap, (count + 1) * sizeof(Arg*))
    if m.keys == NULL:
        reply_oom(r)
        return
    for i in range(first, first + count):
        if lookup_read(c, &m.argv[i]) != NULL:
            m.keys[m.n_keys] = &m.argv[i]
            m.n_keys += 1
    if m.n_keys == 0:
        reply_status(r, b"NOKEY")
    else:
        migrate_reply(migrate_all(c, m), m, r)
    heap_free(c.heap, m.keys, (count + 1) * sizeof(Arg*))


cdef int cmd_migrate(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Migrate m
    m.argv = argv
    m.copy = m.replace = False
    m.user = m.password = NULL
    m.n_keys = m.answered = 0
    m.refusal[0] = 0
    migrate_run(c, &m, argc, r)
    if m.user != NULL:
        slowlog_redact(m.user)
    if m.password != NULL:
        slowlog_redact(m.password)
    return CALL_DONE


registry_bind("migrate", cmd_migrate)
