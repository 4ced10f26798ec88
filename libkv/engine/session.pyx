"""A client, sans-IO (contract: session.pxd).

    bytes -> parser -> up to BATCH commands -> hash -> prefetch (engine/prefetch) -> execute under the lock

Parsing and hashing happen outside the store's lock.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove, memset, strlen

from libkv.engine.access cimport access_refresh
from libkv.engine.call cimport call_command
from libkv.engine.clock cimport ticks, ticks_ns
from libkv.engine.doom cimport doom_step
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.parser cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_FULL, PARSE_MORE, Parser, parser_expects, parser_free, parser_init, parser_next,
)
from libkv.engine.prefetch cimport PREFETCH_MAX, Job, prefetch_batch
from libkv.engine.registry cimport command_find
from libkv.engine.types cimport (
    Ctx, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, S_REPLY_OFF, S_REPLY_SKIP, S_REPLY_SKIP_NEXT,
)
from libkv.engine.watch cimport watch_clear
from libkv.structures.alloc cimport LIKELY, UNLIKELY
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init, buffer_room
from libkv.structures.siphash cimport siphash

cdef enum:
    BATCH = PREFETCH_MAX        # commands that hold the lock together
    BATCH_NS = 200000           # and for how long at most, unless one command takes longer
    ARGS = 512                  # arguments of a batch
    UNREAD_KEEP = 16384         # bytes of an idle client's buffer that are kept
    DOOM_SLICE = 256            # pieces freed after a batch


# ---- life

cdef Session* session_new(Kv* kv, const char* addr, const char* laddr, int fd, uint32_t flags) noexcept nogil:
    cdef Session* s = <Session*>calloc(1, sizeof(Session))
    cdef Parser* ps
    if s == NULL:
        return NULL
    ps = <Parser*>calloc(1, sizeof(Parser))
    if ps == NULL:
        free(s)
        return NULL
    parser_init(ps)
    s.parser = ps
    s.kv = kv
    s.proto = 2
    s.fd = fd
    s.flags = flags
    buffer_init(&s.out)
    buffer_init(&s.unread)
    copy_text(s.addr, addr, sizeof(s.addr))
    copy_text(s.laddr, laddr, sizeof(s.laddr))
    lock_take(kv)
    s.authenticated = not kv.settings.has_password or (flags & S_EMBEDDED) != 0
    kv.next_session_id += 1
    s.id = kv.next_session_id
    s.next = kv.sessions
    if s.next != NULL:
        s.next.prev = s
    kv.sessions = s
    kv.n_sessions += 1
    access_refresh(kv)
    s.created_ms = s.last_ms = kv.mono // 1000
    lock_give(kv)
    return s


cdef void copy_text(char* to, const char* text, size_t room) noexcept nogil:
    cdef size_t n = strlen(text) if text != NULL else 0
    if n >= room:
        n = room - 1
    memcpy(to, text, n)
    to[n] = 0


cdef void session_drop_queue(Session* s) noexcept nogil:
    cdef int i
    for i in range(s.queued):
        free(s.queue[i].bytes)
    s.queued = 0
    s.queue_bytes = 0
    free(s.queue)
    s.queue = NULL
    s.queue_cap = 0


cdef void session_free(Session* s) noexcept nogil:
    cdef Kv* kv = s.kv
    lock_take(kv)
    watch_clear(s)
    if s.prev != NULL:
        s.prev.next = s.next
    else:
        kv.sessions = s.next
    if s.next != NULL:
        s.next.prev = s.prev
    kv.n_sessions -= 1
    lock_give(kv)
    session_drop_queue(s)
    parser_free(<Parser*>s.parser)
    free(s.parser)
    buffer_free(&s.out)
    buffer_free(&s.unread)
    free(s.name)
    free(s)


cdef size_t session_memory(Session* s) noexcept nogil:
    return sizeof(Session) + sizeof(Parser) + s.out.cap + s.unread.cap + s.queue_bytes + s.name_n


# ---- running commands

cdef void context(Session* s, Ctx* c, Reply* r) noexcept nogil:
    memset(c, 0, sizeof(Ctx))
    c.kv = s.kv
    c.heap = s.kv.heap
    c.session = s
    c.db = &s.kv.dbs[s.db]
    c.now = s.kv.now
    r.proto = s.proto
    r.push = s.proto == 3
    r.errors = 0


cdef int session_run(Session* s, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Ctx c
    cdef int status
    access_refresh(s.kv)
    context(s, &c, r)
    status = call_command(&c, NULL, argv, argc, r)
    if UNLIKELY(s.kv.doomed != NULL):
        doom_step(s.kv, DOOM_SLICE)
    return status


cdef inline void after_reply(Session* s, size_t mark) noexcept nogil:
    """CLIENT REPLY OFF and SKIP: what a command answered is dropped."""
    if LIKELY(not s.flags & (S_REPLY_OFF | S_REPLY_SKIP | S_REPLY_SKIP_NEXT)):
        return
    if s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
        s.out.n = mark
    s.flags &= ~<uint32_t>S_REPLY_SKIP
    if s.flags & S_REPLY_SKIP_NEXT:
        s.flags |= S_REPLY_SKIP
        s.flags &= ~<uint32_t>S_REPLY_SKIP_NEXT


cdef bint session_batch(Session* s, Job* jobs, int n) noexcept nogil:
    """Executes parsed commands in order; False: the session has ended."""
    cdef Kv* kv = s.kv
    cdef Ctx c
    cdef Reply r
    cdef Arg* key
    cdef uint64_t began
    cdef uint64_t hard
    cdef size_t mark
    cdef int i
    for i in range(n):                  # outside the lock: names and hashes
        jobs[i].cmd = command_find(jobs[i].argv[0].p, jobs[i].argv[0].n)
        if jobs[i].cmd != NULL and jobs[i].cmd.first_key == 1 and jobs[i].argc > 1:
            key = &jobs[i].argv[1]
            key.hash = siphash(kv.heap.seed, key.p, key.n)
            key.hashed = True
    lock_take(kv)
    access_refresh(kv)
    r.out = &s.out
    context(s, &c, &r)
    s.last_ms = kv.mono // 1000
    if n > 1:
        prefetch_batch(kv, c.db, jobs, n)
    hard = <uint64_t>-1
    if kv.settings.client_output_hard[0] > 0 and not s.flags & S_EMBEDDED:
        hard = <uint64_t>kv.settings.client_output_hard[0]
    began = ticks()
    for i in range(n):
        mark = s.out.n
        call_command(&c, jobs[i].cmd, jobs[i].argv, jobs[i].argc, &r)
        after_reply(s, mark)
        if UNLIKELY(s.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP)) or s.out.failed:
            break
        if UNLIKELY(s.out.n > hard):
            s.flags |= S_CLOSE_ASAP     # the transport logs why
            break
        if i + 1 < n and ticks_ns(ticks() - began) > BATCH_NS:
            lock_give(kv)               # others may have their turn
            lock_take(kv)
            access_refresh(kv)
            c.now = kv.now
            began = ticks()
    if UNLIKELY(kv.doomed != NULL):
        doom_step(kv, DOOM_SLICE)
    lock_give(kv)
    if s.out.failed:
        s.flags |= S_CLOSE_ASAP
    return not s.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP)


cdef void protocol_error(Session* s, const char* why) noexcept nogil:
    buffer_add(&s.out, b"-ERR Protocol error: ", 21)
    buffer_add(&s.out, why, strlen(why))
    buffer_add(&s.out, b"\r\n", 2)
    s.flags |= S_CLOSE_AFTER


cdef bint session_consume(Session* s, const char* p, size_t n, size_t* taken) noexcept nogil:
    """Parses and runs what is complete in p[0:n]; taken: up to the first byte of an unfinished command."""
    cdef Parser* ps = <Parser*>s.parser
    cdef Job jobs[BATCH]
    cdef Arg args[ARGS]
    cdef int used = 0
    cdef int count = 0
    cdef size_t at = 0
    cdef int state
    cdef bint alone
    ps.trusted = s.authenticated
    ps.max_bulk = s.kv.settings.proto_max_bulk_len
    while True:
        state = parser_next(ps, p + at, n - at, args + used, ARGS - used if ps.have == 0 and ps.want == 0 else 0,
                            &jobs[count].argv, &jobs[count].argc)
        if state == PARSE_FULL:
            if count == 0:
                # more arguments than a batch has room for: the parser's own array
                state = parser_next(ps, p + at, n - at, NULL, 0, &jobs[count].argv, &jobs[count].argc)
            else:
                if not session_batch(s, jobs, count):
                    return False
                count = used = 0
                continue
        if state == PARSE_COMMAND:
            at += ps.pos
            ps.pos = 0
            alone = jobs[count].argv == ps.args
            if alone and count:         # it lies in the parser: those before it first, then it
                if not session_batch(s, jobs, count):
                    return False
                jobs[0] = jobs[count]
                count = 0
            used += 0 if alone else jobs[count].argc
            count += 1
            if alone or count == BATCH or not ps.trusted:       # AUTH decides on what may follow it
                if not session_batch(s, jobs, count):
                    return False
                count = used = 0
                ps.trusted = s.authenticated
            continue
        if state == PARSE_MORE or state == PARSE_ERROR:
            break
        at += ps.pos                    # PARSE_NOTHING
        ps.pos = 0
    if count and not session_batch(s, jobs, count):
        return False
    if state == PARSE_ERROR:
        protocol_error(s, ps.error)
        return False
    taken[0] = at
    return True


cdef bint session_data(Session* s, const char* p, size_t n) noexcept nogil:
    cdef size_t taken = 0
    s.received += n
    if s.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP):
        return False
    if s.unread.n == 0:
        if not session_consume(s, p, n, &taken):
            return False
        if taken < n:
            buffer_room(&s.unread, n - taken + parser_expects(<Parser*>s.parser))
            buffer_add(&s.unread, p + taken, n - taken)
    else:
        buffer_add(&s.unread, p, n)
        if not session_consume(s, s.unread.p, s.unread.n, &taken):
            return False
        s.unread.n -= taken
        if s.unread.n:
            if taken:
                memmove(s.unread.p, s.unread.p + taken, s.unread.n)
            buffer_room(&s.unread, parser_expects(<Parser*>s.parser))
        elif s.unread.cap > UNREAD_KEEP:
            buffer_free(&s.unread)
    if s.unread.failed:
        s.flags |= S_CLOSE_ASAP
        return False
    return True
