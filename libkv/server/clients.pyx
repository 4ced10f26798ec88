"""The server's clients: from accept to close (contract: clients.pxd).

Follows redis-server 7.0.15 where a client can see it: the texts of refused connections, limits, the log's lines.

    accept -> Client (Conn + Session) -> on_data: session_data() parses and executes -> on_round: replies are swapped out
           -> flush: one write -> on_sent

Whose thread: everything here is the loop thread's but client_kick (any thread, with the store's lock held), the
configuration's hooks (the same) and what the Python class calls.  Under the store's lock are: a session's `out`,
`flags` and `kick`; server.kicked.

Two buffers a client: the session fills `out` while `flight` is being sent; a round exchanges them, under the lock,
when nothing is in flight.

Deviations from redis-server: a peer that closes only its sending side gets the replies that are under way; a process
without free descriptors closes new connections instead of leaving them waiting.
"""

from libc.errno cimport EINVAL
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport strerror, strlen

from libkv.commands.clients cimport client_line
from libkv.engine.blocking cimport blocking_expire
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.parser cimport Parser
from libkv.engine.push cimport push_class
from libkv.engine.session cimport session_data, session_free, session_new, session_resume, session_unread
from libkv.engine.settings cimport LOG_NOTICE, LOG_VERBOSE, LOG_WARNING
from libkv.engine.store cimport kv_cron
from libkv.engine.types cimport S_ATTACK, S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EVICTED, S_PAUSED, S_RESUME, S_UNIX
from libkv.persistence.durable cimport Durable, durable_of
from libkv.persistence.journal cimport journal_flush, journal_hold, journal_reached, journal_take, journal_unhold
from libkv.server.listen cimport LISTEN_UNIX
from libkv.server.logqueue cimport LOG_LINE, logqueue_add, logqueue_wants
from libkv.server.loop cimport (
    CONN_CLOSING, CONN_SENDING, Received, kv_atomic_swap, loop_close, loop_in_flight, loop_send, loop_timer, loop_wake,
)
from libkv.server.peer cimport peer_print_address, peer_print_own, peer_say, peer_set_options
from libkv.structures.alloc cimport UNLIKELY
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init, buffer_trim

cdef extern from "<unistd.h>" nogil:
    int close(int)

cdef enum:
    KEEP_OUT = 16384            # bytes of a client's output buffer that are kept once it is sent
    KEEP_OUT_FEW = 1048576      # the same while there are at most FEW clients: large pages faulted in anew cost more
    FEW = 256
    IDLE_MS = 2000              # after so long without a command a client's buffers are given back

cdef const char* FULL = b"-ERR max number of clients reached\r\n"
cdef const char* PROTECTED = (
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default "
    b"user. In this mode connections are only accepted from the loopback interface. If you want to connect from external "
    b"computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command "
    b"'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is "
    b"running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make "
    b"this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration "
    b"file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server "
    b"manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password "
    b"for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting "
    b"connections from the outside.\r\n"
)


# ---------------------------------------------------------------------------------------------------------------------
# the log

cdef void server_log(Server* s, int level, const char* text) noexcept nogil:
    logqueue_add(&s.log, level, text, strlen(text))


cdef void server_log_client(Server* s, int level, const char* before, Session* client) noexcept nogil:
    """A line with a client's line of CLIENT LIST in it; takes the lock."""
    cdef Buffer line
    if not logqueue_wants(&s.log, level):
        return
    buffer_init(&line)
    buffer_add(&line, before, strlen(before))
    lock_take(s.kv)
    client_line(client, 0, &line)
    lock_give(s.kv)
    logqueue_add(&s.log, level, line.p, line.n)
    buffer_free(&line)


cdef void server_log_protocol_error(Server* s, Client* c) noexcept nogil:
    cdef char before[128]
    cdef const char* why = (<Parser*>c.session.parser).error
    if c.session.flags & S_ATTACK:
        server_log_client(s, LOG_WARNING, b"Possible SECURITY ATTACK detected: POST or Host: lines of an HTTP request came as "
                          b"commands, likely from a browser that a web page misuses. Closed: ", c.session)
    if why != NULL and logqueue_wants(&s.log, LOG_VERBOSE):
        snprintf(before, sizeof(before), b"Protocol error (%.64s) from client: ", why)
        server_log_client(s, LOG_VERBOSE, before, c.session)


# ---------------------------------------------------------------------------------------------------------------------
# accepting

cdef Conn* client_refuse(Server* s, int fd, const char* text) noexcept nogil:
    """Says why, as far as the socket takes it at once."""
    s.rejected += 1
    peer_say(fd, text)
    return NULL


cdef Conn* server_on_accept(void* host, int tag, int fd, const void* addr, uint32_t addr_n) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef Client* c
    cdef char peer[PATH_ROOM + 8]
    cdef char own[PATH_ROOM + 8]
    cdef char line[LOG_LINE]
    cdef bint loopback = True
    if tag == LISTEN_UNIX:
        snprintf(peer, sizeof(peer), b"%s:0", s.path)
        snprintf(own, sizeof(own), b"%s:0", s.path)
    else:
        loopback = peer_print_address(addr, peer, sizeof(peer))
        peer_print_own(fd, own, sizeof(own))
        peer_set_options(fd, <int>s.kv.settings.tcp_keepalive)
    if logqueue_wants(&s.log, LOG_VERBOSE):
        if tag == LISTEN_UNIX:
            snprintf(line, sizeof(line), b"Accepted connection to %s", s.path)
        else:
            snprintf(line, sizeof(line), b"Accepted %s", peer)
        server_log(s, LOG_VERBOSE, line)
    if s.n_clients >= <uint64_t>s.kv.settings.maxclients:
        return client_refuse(s, fd, FULL)
    if not loopback and s.kv.settings.protected_mode and not s.kv.settings.has_password:
        return client_refuse(s, fd, PROTECTED)
    c = <Client*>calloc(1, sizeof(Client))
    if c == NULL:
        return NULL
    c.session = session_new(s.kv, peer, own, fd, S_UNIX if tag == LISTEN_UNIX else 0)
    if c.session == NULL:
        free(c)
        return NULL
    c.server = s
    c.carrier.client = c
    c.session.transport = &c.carrier
    c.session.kick = client_kick
    s.n_clients += 1
    s.accepted += 1
    return &c.conn


cdef void server_on_accept_error(void* host, int tag, int error) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef char line[128]
    cdef int64_t now = s.loop.now_us // 1000
    # EINVAL: the listener is being replaced (CONFIG SET port)
    if error != EINVAL and now - s.accept_error_ms >= 1000:
        s.accept_error_ms = now
        snprintf(line, sizeof(line), b"Accepting client connection: accept: %s", strerror(error))
        server_log(s, LOG_WARNING, line)


# ---------------------------------------------------------------------------------------------------------------------
# a client's life

cdef inline void client_touch(Client* c) noexcept nogil:
    """The next round looks at this client."""
    if not c.dirty:
        c.dirty = True
        c.next_dirty = c.server.dirty
        c.server.dirty = c


cdef void client_kick(Session* session) noexcept nogil:
    """Any thread, lock held: the session's flags or output have changed."""
    cdef Client* c = (<Carrier*>session.transport).client
    cdef Server* s = c.server
    if UNLIKELY(session.flags & S_RESUME) and not c.resumed:
        c.resumed = True                # at its place, wherever it stands among the kicked
        c.next_resumed = NULL
        if s.resumed == NULL:
            s.resumed = c
        else:
            s.resumed_last.next_resumed = c
        s.resumed_last = c
    if not c.kicked:
        c.kicked = True
        c.next_kicked = c.server.kicked
        c.server.kicked = c
        if pthread_equal(pthread_self(), c.server.thread):
            c.server.own_kicks = True       # the round that this thread is in collects it
        else:
            loop_wake(&c.server.loop)


cdef Client* client_of(Session* session) noexcept nogil:
    return (<Carrier*>session.transport).client if session.kick == client_kick else NULL


cdef void client_data(Server* s, Client* c, const char* p, size_t n) noexcept nogil:
    s.received += n
    s.reads += 1
    if c.ending or c.conn.state & CONN_CLOSING:
        return
    client_touch(c)
    if not session_data(c.session, p, n):
        c.ending = True
        server_log_protocol_error(s, c)
    elif session_unread(c.session) > <uint64_t>s.kv.settings.client_query_buffer_limit:
        c.ending = True
        server_log_client(s, LOG_WARNING, b"Closing client that reached max query buffer length: ", c.session)
        loop_close(&s.loop, &c.conn)


cdef inline void busy_end(Server* s) noexcept nogil:
    """The long script is over (server/busy)."""
    if UNLIKELY(s.busy_fd != 0):
        close(s.busy_fd)
        s.busy_fd = 0


cdef void server_on_data(void* host, Received* batch, int n) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef Client* c
    cdef int i
    s.batch = batch
    s.batch_n = n
    for i in range(n):
        c = <Client*>batch[i].conn
        s.batch_at = i
        if UNLIKELY(c == NULL):
            continue                    # done already, during a long script (server/busy)
        client_data(s, c, batch[i].p, batch[i].n)
    s.batch = NULL


cdef void server_on_eof(void* host, Conn* conn) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef Client* c = <Client*>conn
    if not c.ending:
        server_log_client(s, LOG_VERBOSE, b"Client closed connection ", c.session)
    # replies under way are finished first: on_round closes when there are none
    c.ending = True
    client_touch(c)


cdef void server_on_error(void* host, Conn* conn, int error) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef char line[256]
    cdef const char* what = b"Reading from"
    if conn.state & CONN_SENDING:
        what = b"Error writing to"
    if logqueue_wants(&s.log, LOG_VERBOSE):
        snprintf(line, sizeof(line), b"%s client: %s",
                 what, strerror(error))
        server_log(s, LOG_VERBOSE, line)


cdef void client_check_pending(Server* s, Client* c, size_t pending) noexcept nogil:
    """client-output-buffer-limit; lock held."""
    cdef int kind = push_class(c.session)
    cdef int64_t hard = s.kv.settings.client_output_hard[kind]
    cdef int64_t soft = s.kv.settings.client_output_soft[kind]
    if hard and pending >= <uint64_t>hard:
        c.session.flags |= S_CLOSE_ASAP
        client_log_limit(s, c)
    elif soft and pending >= <uint64_t>soft:
        if c.soft_since_ms == 0:
            c.soft_since_ms = s.loop.now_us // 1000 + 1
    else:
        c.soft_since_ms = 0


cdef void client_log_limit(Server* s, Client* c) noexcept nogil:
    """Lock held."""
    cdef Buffer line
    buffer_init(&line)
    buffer_add(&line, b"Client ", 7)
    client_line(c.session, 0, &line)
    buffer_add(&line, b" scheduled to be closed ASAP for overcoming of output buffer limits.", 68)
    logqueue_add(&s.log, LOG_WARNING, line.p, line.n)
    buffer_free(&line)


cdef void client_log_evicted(Server* s, Client* c) noexcept nogil:
    """Lock held; once."""
    cdef Buffer line
    c.session.flags &= ~<uint32_t>S_EVICTED
    buffer_init(&line)
    buffer_add(&line, b"Evicting client: ", 17)
    client_line(c.session, 0, &line)
    logqueue_add(&s.log, LOG_NOTICE, line.p, line.n)
    buffer_free(&line)


cdef void client_prepare(Server* s, Client* c) noexcept nogil:
    """Takes what is to be sent; lock held."""
    cdef Session* session = c.session
    cdef size_t in_flight = loop_in_flight(&c.conn)
    cdef Buffer b
    client_check_pending(s, c, session.out.n + in_flight)
    c.to_send = 0
    c.more = False
    if session.flags & S_CLOSE_AFTER:
        c.ending = True
    c.close_now = (session.flags & S_CLOSE_ASAP) != 0
    if UNLIKELY(session.flags & S_EVICTED):
        client_log_evicted(s, c)
    if session.out.n:
        if c.conn.state & CONN_SENDING or c.held:
            c.more = True
            in_flight += c.flight.n if c.held else 0
        else:
            b = c.flight
            c.flight = session.out
            session.out = b
            c.to_send = c.flight.n
            session.sent += c.flight.n
            s.kv.stats.net_out += c.flight.n
            in_flight = c.flight.n
    c.carrier.transport.in_flight = in_flight
    c.carrier.transport.capacity = c.flight.cap


cdef void server_on_round(void* host) noexcept nogil:
    """Takes the replies of all clients that were active or kicked, and queues them for the flush."""
    cdef Server* s = <Server*>host
    cdef Kv* kv = s.kv
    cdef Client* c
    cdef Durable* d = durable_of(kv)
    cdef uint64_t offset
    cdef uint32_t sending = 0
    busy_end(s)
    if s.dirty == NULL and not s.own_kicks:
        return
    lock_take(kv)
    s.own_kicks = False
    if UNLIKELY(kv.n_blocked != 0 or kv.pause_until != 0):
        server_expire_waits(s)
    server_collect_kicked(s)
    kv.stats.connections += s.accepted
    kv.stats.rejected_connections += s.rejected
    kv.stats.net_in += s.received
    kv.stats.reads_processed += s.reads
    kv.stats.writes_processed += s.writes
    c = s.dirty
    while c != NULL:
        client_prepare(s, c)
        sending += c.to_send != 0
        c = c.next_dirty
    offset = journal_take(kv)           # of all that these replies may tell
    lock_give(kv)
    if offset:
        journal_flush(d)
        if sending == 0 or not journal_hold(d, offset, sending):
            offset = 0
    s.accepted = s.rejected = s.received = s.reads = s.writes = 0
    while s.dirty != NULL:
        c = s.dirty
        s.dirty = c.next_dirty
        c.dirty = False
        if c.close_now:
            loop_close(&s.loop, &c.conn)
        elif c.to_send and offset:
            client_hold(s, c, offset)
        elif c.to_send:
            loop_send(&s.loop, &c.conn, c.flight.p, c.to_send)
        elif c.ending and not c.conn.state & CONN_SENDING and not c.held:
            loop_close(&s.loop, &c.conn)
    while s.resumes != NULL:
        c = s.resumes
        s.resumes = c.next_resume
        c.resume = False
        if not c.ending and not c.conn.state & CONN_CLOSING:
            client_resume(s, c)
        busy_end(s)


cdef void client_hold(Server* s, Client* c, uint64_t offset) noexcept nogil:
    c.held = True
    c.session.durable_at = offset
    c.next_held = NULL
    if s.held == NULL:
        s.held = c
    else:
        s.held_last.next_held = c
    s.held_last = c


cdef void server_release_held(Server* s) noexcept nogil:
    cdef Durable* d = durable_of(s.kv)
    cdef uint64_t reached
    cdef uint32_t n = 0
    cdef Client* c
    if s.held == NULL:
        return
    reached = journal_reached(d)
    while s.held != NULL and s.held.session.durable_at <= reached:
        c = s.held
        s.held = c.next_held
        c.held = False
        n += 1
        if not c.conn.state & CONN_CLOSING:
            loop_send(&s.loop, &c.conn, c.flight.p, c.flight.n)
    journal_unhold(d, n)


cdef void client_resume(Server* s, Client* c) noexcept nogil:
    """Runs what a client has sent while it waited."""
    if not session_resume(c.session):
        c.ending = True
        server_log_protocol_error(s, c)
    c.more = True                       # the reply it waited for may be on its way still, and is not the last
    client_touch(c)
    s.loop.again = True


cdef void server_expire_waits(Server* s) noexcept nogil:
    """Answers those whose time to wait is over, and sets the timer for the next; lock held."""
    cdef int64_t at = blocking_expire(s.kv)
    # a fixed clock has nothing to do with the loop's: then the cron does it
    loop_timer(&s.loop, WAITS_TIMER, 0 if s.kv.clock_fixed else at)


cdef void server_collect_kicked(Server* s) noexcept nogil:
    """Lock held."""
    cdef Client* c
    while s.kicked != NULL:
        c = s.kicked
        s.kicked = c.next_kicked
        c.kicked = False
        client_touch(c)
    while UNLIKELY(s.resumed != NULL):
        c = s.resumed
        s.resumed = c.next_resumed
        c.resumed = False
        if c.resume or not c.session.flags & S_RESUME:
            continue
        c.resume = True
        c.next_resume = NULL
        if s.resumes == NULL:
            s.resumes = c
        else:
            s.resumes_last.next_resume = c
        s.resumes_last = c


cdef void server_on_wake(void* host) noexcept nogil:
    cdef Server* s = <Server*>host
    lock_take(s.kv)
    server_collect_kicked(s)
    lock_give(s.kv)
    server_release_held(s)
    if UNLIKELY(durable_of(s.kv) != NULL and durable_of(s.kv).fatal):
        kv_atomic_swap(&s.stopping, 1)  # what was answered can't be kept any more: redis-server exits here


cdef void server_on_sent(void* host, Conn* conn) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef Client* c = <Client*>conn
    s.writes += 1
    buffer_trim(&c.flight, KEEP_OUT_FEW if s.n_clients <= FEW else KEEP_OUT)
    c.carrier.transport.in_flight = 0
    c.soft_since_ms = 0
    if c.more:
        client_touch(c)
        s.loop.again = True
    elif c.ending:
        loop_close(&s.loop, conn)


cdef void server_on_closed(void* host, Conn* conn) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef Client* c = <Client*>conn
    if c.dirty:
        client_leave(&s.dirty, NULL, c, <char*>&c.next_dirty - <char*>c)
    if c.held:                          # its replies are waited for no more
        client_leave(&s.held, &s.held_last, c, <char*>&c.next_held - <char*>c)
        journal_unhold(durable_of(s.kv), 1)
    lock_take(s.kv)
    c.session.kick = NULL
    c.session.transport = NULL
    if c.kicked:
        client_leave(&s.kicked, NULL, c, <char*>&c.next_kicked - <char*>c)
    if c.resumed:
        client_leave(&s.resumed, &s.resumed_last, c, <char*>&c.next_resumed - <char*>c)
    lock_give(s.kv)
    session_free(c.session)
    buffer_free(&c.flight)
    free(c)
    s.n_clients -= 1


cdef void client_leave(Client** first, Client** last, Client* c, size_t link) noexcept nogil:
    """Takes a client out of a line.  link: where its pointer to the next one is; last: NULL if nobody keeps it."""
    cdef Client* before = NULL
    cdef Client* at = first[0]
    cdef Client* behind = (<Client**>(<char*>c + link))[0]
    while at != c:
        before = at
        at = (<Client**>(<char*>at + link))[0]
    if before == NULL:
        first[0] = behind
    else:
        (<Client**>(<char*>before + link))[0] = behind
    if last != NULL and last[0] == c:
        last[0] = before


# ---------------------------------------------------------------------------------------------------------------------
# the cron

cdef void client_cron(Server* s, Client* c, int64_t now_ms) noexcept nogil:
    """What is looked at once a second: silence, a soft limit's time, memory of idle clients."""
    cdef int64_t idle = s.kv.mono // 1000 - c.session.last_ms
    if c.conn.state & CONN_CLOSING:
        return
    if s.kv.settings.timeout and idle > s.kv.settings.timeout * 1000 and not c.session.flags & (S_BLOCKED | S_PAUSED):
        server_log(s, LOG_VERBOSE, b"Closing idle client")
        loop_close(&s.loop, &c.conn)
    elif c.soft_since_ms and now_ms - c.soft_since_ms > s.kv.settings.client_output_soft_seconds[push_class(c.session)] * 1000:
        lock_take(s.kv)
        client_log_limit(s, c)
        lock_give(s.kv)
        loop_close(&s.loop, &c.conn)
    elif idle > IDLE_MS and not c.conn.state & CONN_SENDING and not c.held and c.flight.cap + c.session.out.cap:
        lock_take(s.kv)
        buffer_free(&c.flight)
        c.carrier.transport.capacity = 0
        if c.session.out.n == 0:
            buffer_free(&c.session.out)
        lock_give(s.kv)
    c.carrier.transport.in_flight = loop_in_flight(&c.conn)


cdef void server_on_timer(void* host, int timer) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef int64_t again
    cdef int64_t now_ms = s.loop.now_us // 1000
    cdef uint32_t n
    cdef Conn* conn
    lock_take(s.kv)
    server_expire_waits(s)
    lock_give(s.kv)
    if timer == WAITS_TIMER:
        return
    again = kv_cron(s.kv)
    if again < 1:
        again = 1
    # every slot once a second
    n = <uint32_t>(s.loop.n_slots * again // 1000 + 1)
    while n and s.loop.n_slots:
        if s.cron_slot >= s.loop.n_slots:
            s.cron_slot = 0
        conn = s.loop.slots[s.cron_slot].conn
        if conn != NULL:
            client_cron(s, <Client*>conn, now_ms)
        s.cron_slot += 1
        n -= 1
    loop_timer(&s.loop, CRON, s.loop.now_us + again * 1000)


cdef void server_on_fd(void* host, int fd, uint32_t events) noexcept nogil:
    pass                        # the server watches no other descriptors


cdef void clients_host(Server* s) noexcept nogil:
    s.loop.on.host = s
    s.loop.on.on_accept = server_on_accept
    s.loop.on.on_accept_error = server_on_accept_error
    s.loop.on.on_data = server_on_data
    s.loop.on.on_eof = server_on_eof
    s.loop.on.on_error = server_on_error
    s.loop.on.on_round = server_on_round
    s.loop.on.on_sent = server_on_sent
    s.loop.on.on_closed = server_on_closed
    s.loop.on.on_timer = server_on_timer
    s.loop.on.on_wake = server_on_wake
    s.loop.on.on_fd = server_on_fd
