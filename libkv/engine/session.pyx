"""A client, sans-IO (contract: session.pxd).

    bytes -> parser -> up to BATCH commands -> hash -> prefetch (engine/prefetch) -> execute under the lock

Parsing and hashing happen outside the store's lock.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove, memset, strlen

from libkv.engine.access cimport access_refresh
from libkv.engine.acl cimport acl_session_begin
from libkv.engine.blocking cimport CALL_PAUSED, blocking_forget, blocking_pause
from libkv.engine.call cimport call_command
from libkv.engine.clock cimport ticks, ticks_ns
from libkv.engine.doom cimport doom_step
from libkv.engine.eviction cimport Eviction, eviction_clients
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.parser cimport (
    PARSE_COMMAND, PARSE_ERROR, PARSE_FULL, PARSE_MORE, Parser, parser_expects, parser_free, parser_init,
    parser_next, parser_restart, parser_take_apart,
)
from libkv.engine.pubsub cimport Listener, Subscription, pubsub_clear
from libkv.engine.push cimport push_after_reply, push_class, push_forget
from libkv.engine.prefetch cimport PREFETCH_MAX, Job, prefetch_batch
from libkv.engine.renames cimport command_named
from libkv.engine.tracking cimport Prefix, SessionTracking, tracking_batch_end, tracking_forget, tracking_of
from libkv.engine.types cimport (
    CALL_DONE, Ctx, S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, S_PAUSED, S_REPLY_OFF, S_REPLY_SKIP,
    S_REPLY_SKIP_NEXT, S_RESUME, Watch,
)
from libkv.engine.watch cimport watch_clear
from libkv.structures.alloc cimport LIKELY, UNLIKELY, big_free, big_new
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init, buffer_insert, buffer_room
from libkv.structures.siphash cimport siphash

cdef enum:
    BATCH = PREFETCH_MAX        # commands that hold the lock together
    BATCH_NS = 200000           # and for how long at most, unless one command takes longer
    ARGS = 512                  # arguments of a batch
    UNREAD_KEEP = 16384         # bytes of an idle client's buffer that are kept
    LONG_ARGUMENT = 32768       # an argument that is longer is read into a piece of its own
    DOOM_SLICE = 256            # pieces freed after a batch
    # what became of a batch
    RAN = 0
    WAITS = 1                   # a command waits: what comes after it is not to be run now
    ENDED = 2                   # the session has ended


# ---- life

cdef Session* session_new(Kv* kv, const char* addr, const char* laddr, int fd, uint32_t flags) noexcept nogil:
    cdef Session* s = <Session*>calloc(1, sizeof(Session))
    cdef Parser* ps
    if s == NULL:
        return NULL
    ps = <Parser*>calloc(1, sizeof(Intake))
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
    acl_session_begin(s)
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
    blocking_forget(s)
    pubsub_clear(s)
    tracking_forget(s)
    push_forget(s)
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
    big_free((<Intake*>s.parser).piece)
    free(s.parser)
    buffer_free(&s.out)
    buffer_free(&s.unread)
    free(s.name)
    free(s)


cdef size_t session_unread(Session* s) noexcept nogil:
    cdef Intake* k = <Intake*>s.parser
    return s.unread.n + (k.piece_have if k != NULL and k.piece != NULL else 0)


cdef size_t attention_bytes(Session* s) noexcept nogil:
    """What a session is told about: subscriptions, watched keys, prefixes of tracking; about, without their names."""
    cdef size_t n = (<size_t>s.n_channels + s.n_patterns + s.n_shard_channels) * (sizeof(Subscription) + sizeof(Listener))
    cdef Watch* w = s.watches
    cdef SessionTracking* t = tracking_of(s)
    while w != NULL:
        n += sizeof(Watch)
        w = w.next_of_session
    return n + (t.n_prefixes * (sizeof(Prefix) + sizeof(void*)) if t != NULL else 0)


cdef size_t session_memory(Session* s) noexcept nogil:
    cdef size_t sending = 0
    if s.transport != NULL and not s.flags & S_EMBEDDED:
        sending = (<size_t*>s.transport)[1]     # Transport.capacity
    sending += (<Intake*>s.parser).piece_n if s.parser != NULL and (<Intake*>s.parser).piece != NULL else 0
    return (sizeof(Session) + sizeof(Intake) + s.out.cap + s.unread.cap + s.queue_bytes + s.name_n + sending
            + attention_bytes(s))


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
    if UNLIKELY(s.kv.n_tracking != 0):
        tracking_batch_end(s.kv)
    if UNLIKELY(s.kv.doomed != NULL):
        doom_step(s.kv, DOOM_SLICE)
    return status


cdef void session_after_reply(Session* s, size_t mark) noexcept nogil:
    """CLIENT REPLY OFF and SKIP: what a command answered is dropped."""
    if LIKELY(not s.flags & (S_REPLY_OFF | S_REPLY_SKIP | S_REPLY_SKIP_NEXT)):
        return
    if s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
        s.out.n = mark
        push_after_reply(s)
    s.flags &= ~<uint32_t>S_REPLY_SKIP
    if s.flags & S_REPLY_SKIP_NEXT:
        s.flags |= S_REPLY_SKIP
        s.flags &= ~<uint32_t>S_REPLY_SKIP_NEXT


cdef int session_batch(Session* s, Job* jobs, int n, int* ran) noexcept nogil:
    """Executes parsed commands in order: RAN, WAITS or ENDED; ran: how many are done with (one that waits for a key is)."""
    cdef Kv* kv = s.kv
    cdef Ctx c
    cdef Reply r
    cdef Arg* key
    cdef uint64_t began
    cdef uint64_t hard
    cdef size_t mark
    cdef int status
    cdef int result = RAN
    cdef int i
    ran[0] = n
    for i in range(n):                  # outside the lock: names and hashes
        jobs[i].cmd = command_named(s, jobs[i].argv[0].p, jobs[i].argv[0].n)
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
    if kv.settings.client_output_hard[push_class(s)] > 0 and not s.flags & S_EMBEDDED:
        hard = <uint64_t>kv.settings.client_output_hard[push_class(s)]
    began = ticks()
    for i in range(n):
        mark = s.out.n
        status = call_command(&c, jobs[i].cmd, jobs[i].argv, jobs[i].argc, &r)
        if UNLIKELY(status != CALL_DONE):
            if status == CALL_PAUSED and blocking_pause(s) != 0:
                s.flags |= S_CLOSE_ASAP     # no memory to wait: it can't go on
                break
            ran[0] = i if status == CALL_PAUSED else i + 1
            result = WAITS
            break
        session_after_reply(s, mark)
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
    if UNLIKELY(kv.n_tracking != 0):
        tracking_batch_end(kv)
    if UNLIKELY(kv.doomed != NULL):
        doom_step(kv, DOOM_SLICE)
    if UNLIKELY((<Eviction*>kv.eviction).clients_on):
        eviction_clients(kv, s)
    if s.out.failed:
        s.flags |= S_CLOSE_ASAP
    if s.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP):
        result = ENDED
    lock_give(kv)
    return result


cdef void protocol_error(Session* s, const char* why) noexcept nogil:
    lock_take(s.kv)                     # others may append to `out`
    buffer_add(&s.out, b"-ERR Protocol error: ", 21)
    buffer_add(&s.out, why, strlen(why))
    buffer_add(&s.out, b"\r\n", 2)
    s.flags |= S_CLOSE_AFTER
    lock_give(s.kv)


cdef bint session_consume(Session* s, const char* p, size_t n, size_t* taken) noexcept nogil:
    """Parses and runs what is complete in p[0:n]; taken: up to the first byte of an unfinished command, or of what
    comes after a command that waits.  False: the session has ended."""
    cdef Parser* ps = <Parser*>s.parser
    cdef Job jobs[BATCH]
    cdef size_t ends[BATCH + 1]         # ends[i]: where jobs[i] begins; ends[i + 1]: where it ends
    cdef Arg args[ARGS]
    cdef int used = 0
    cdef int count = 0
    cdef size_t at = 0
    cdef int state
    cdef int result = RAN
    cdef int ran = 0
    cdef bint alone
    ps.trusted = s.authenticated
    ps.max_bulk = s.kv.settings.proto_max_bulk_len
    ends[0] = 0
    while True:
        state = parser_next(ps, p + at, n - at, args + used, ARGS - used if ps.have == 0 and ps.want == 0 else 0,
                            &jobs[count].argv, &jobs[count].argc)
        if state == PARSE_FULL:
            if count == 0:
                # more arguments than a batch has room for: the parser's own array
                state = parser_next(ps, p + at, n - at, NULL, 0, &jobs[count].argv, &jobs[count].argc)
            else:
                result = session_batch(s, jobs, count, &ran)
                if result != RAN:
                    break
                count = used = 0
                ends[0] = at
                continue
        if state == PARSE_COMMAND:
            at += ps.pos
            ps.pos = 0
            ends[count + 1] = at
            alone = jobs[count].argv == ps.args
            if alone and count:         # it lies in the parser: those before it first, then it
                result = session_batch(s, jobs, count, &ran)
                if result != RAN:
                    break
                jobs[0] = jobs[count]
                ends[0] = ends[count]
                ends[1] = at
                count = 0
            used += 0 if alone else jobs[count].argc
            count += 1
            if alone or count == BATCH or not ps.trusted:       # AUTH decides on what may follow it
                result = session_batch(s, jobs, count, &ran)
                if result != RAN:
                    break
                count = used = 0
                ends[0] = at
                ps.trusted = s.authenticated
            continue
        if state == PARSE_MORE or state == PARSE_ERROR:
            if count:
                result = session_batch(s, jobs, count, &ran)
            break
        at += ps.pos                    # PARSE_NOTHING
        ps.pos = 0
        ends[count] = at
    if result == ENDED:
        return False
    if result == WAITS:
        parser_restart(ps)
        at = ends[ran]
    elif state == PARSE_ERROR:
        protocol_error(s, ps.error)
        return False
    taken[0] = at
    return True


# ---- long arguments

cdef void piece_drop(Intake* k) noexcept nogil:
    big_free(k.piece)
    k.piece = NULL


cdef void piece_begin(Session* s) noexcept nogil:
    """`unread` holds an unfinished command: when it ends in a long argument, that goes on in a piece of its own."""
    cdef Intake* k = <Intake*>s.parser
    cdef size_t expects = parser_expects(&k.parser)
    cdef size_t have
    if expects < LONG_ARGUMENT or k.piece != NULL or s.unread.failed or s.unread.n < k.parser.pos:
        return
    have = s.unread.n - k.parser.pos
    k.piece = <char*>big_new(expects)
    if k.piece == NULL:
        return                          # then it is collected in `unread`
    memcpy(k.piece, s.unread.p + k.parser.pos, have)
    k.piece_n = expects
    k.piece_have = have
    k.piece_at = k.parser.pos
    k.piece_arg = k.parser.have
    s.unread.n = k.parser.pos


cdef bint piece_fill(Session* s, const char** p, size_t* n) noexcept nogil:
    """Takes what belongs to the piece; True: it is complete, and what is left is the stream again."""
    cdef Intake* k = <Intake*>s.parser
    cdef size_t take = min(n[0], k.piece_n - k.piece_have)
    if take:
        memcpy(k.piece + k.piece_have, p[0], take)
        k.piece_have += take
        p[0] += take
        n[0] -= take
    if k.piece_have < k.piece_n:
        return False
    if not parser_take_apart(&k.parser):
        s.flags |= S_CLOSE_ASAP
        return False
    return True


cdef void piece_back(Session* s) noexcept nogil:
    """The command is to be read again, from `unread`."""
    cdef Intake* k = <Intake*>s.parser
    buffer_insert(&s.unread, k.piece_at, k.piece, k.piece_n)
    piece_drop(k)


cdef bint consume_unread(Session* s) noexcept nogil:
    """Runs what is complete in `unread`; False: the session has ended."""
    cdef Intake* k = <Intake*>s.parser
    cdef bint apart = k.piece != NULL
    cdef size_t taken = 0
    if apart:
        k.parser.args[k.piece_arg].p = <const char*>(<size_t>k.piece - <size_t>s.unread.p)
    if not session_consume(s, s.unread.p, s.unread.n, &taken):
        return False
    if apart and taken:
        piece_drop(k)                   # the command has run; a value that it became is the store's
    elif apart and k.parser.want == 0:
        piece_back(s)                   # CLIENT PAUSE: it is called again later
    s.unread.n -= taken
    if s.unread.n:
        if taken:
            memmove(s.unread.p, s.unread.p + taken, s.unread.n)
        piece_begin(s)
        if k.piece == NULL:
            buffer_room(&s.unread, parser_expects(&k.parser))
    elif s.unread.cap > UNREAD_KEEP:
        buffer_free(&s.unread)
    return True


cdef bint session_data(Session* s, const char* p, size_t n) noexcept nogil:
    cdef Intake* k = <Intake*>s.parser
    cdef size_t taken = 0
    s.received += n
    if s.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP):
        return False
    if s.flags & (S_BLOCKED | S_PAUSED):
        buffer_add(&s.unread, p, n)
    elif k.piece != NULL and k.piece_have < k.piece_n:
        if piece_fill(s, &p, &n):
            buffer_add(&s.unread, p, n)
            if not consume_unread(s):
                return False
    elif s.unread.n == 0:
        if not session_consume(s, p, n, &taken):
            return False
        if taken < n:
            if parser_expects(&k.parser) < LONG_ARGUMENT:
                buffer_room(&s.unread, n - taken + parser_expects(&k.parser))
            buffer_add(&s.unread, p + taken, n - taken)
            piece_begin(s)
    else:
        buffer_add(&s.unread, p, n)
        if not consume_unread(s):
            return False
    if s.unread.failed or s.flags & S_CLOSE_ASAP:
        s.flags |= S_CLOSE_ASAP
        return False
    return True


cdef bint session_resume(Session* s) noexcept nogil:
    lock_take(s.kv)
    s.flags &= ~<uint32_t>S_RESUME
    lock_give(s.kv)
    return session_data(s, NULL, 0)
