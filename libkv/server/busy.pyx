"""A server's clients during a long script (contract: busy.pxd).

A script runs in the loop's thread, in the middle of one client's batch.  When it has run longer than
busy-reply-threshold, the scripting gives the lock away now and then and calls busy_poll here: it answers the other
clients, who may do little but end the script (Redis does the same: redis.io, "Scripting with Lua", "Atomicity").

The loop's own state is left alone.  An epoll of our own, level-triggered, watches listeners and clients but for the
script's; bytes that it leaves, ends and errors are found again by the loop afterwards, whose events are still pending.
What the loop had read already for the others (the rest of its batch) comes first, so nobody's bytes change order.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.types cimport S_CLOSE_AFTER, S_CLOSE_ASAP, Kv, Session
from libkv.persistence.durable cimport Durable, durable_of
from libkv.persistence.journal cimport journal_flush, journal_hold, journal_take
from libkv.scripting.script_engine cimport scripting_end_run, scripting_of
from libkv.scripting.vm cimport Scripting
from libkv.server.clients cimport Client, client_data, client_hold, client_of
from libkv.server.epoll cimport epoll_accept_now
from libkv.server.logqueue cimport logqueue_add
from libkv.server.loop cimport CONN_CLOSING, CONN_SENDING, Conn, Received, kv_atomic_get, loop_send
from libkv.server.syscalls cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, epoll_create1, epoll_ctl, epoll_event, epoll_wait, kv_recv,
    kv_send,
)
from libkv.structures.buffer cimport Buffer, buffer_trim

cdef enum:
    EVENTS = 64                 # taken at a time
    READ = 16384                # bytes read at a time
    KEEP = 16384                # bytes of a sent buffer that are kept
    LISTENER = 1                # events' data: a listener's number * 2 + 1; else a Client*


cdef void watch(Server* s, int fd, uint64_t data) noexcept nogil:
    cdef epoll_event e
    memset(&e, 0, sizeof(e))
    e.events = EPOLLIN
    e.data.u64 = data
    epoll_ctl(s.busy_fd, EPOLL_CTL_ADD, fd, &e)         # again does no harm: it is refused


cdef void watch_clients(Server* s, Client* busy) noexcept nogil:
    cdef uint32_t i
    cdef Conn* conn
    for i in range(s.loop.n_slots):
        conn = s.loop.slots[i].conn
        if conn != NULL and conn != &busy.conn:
            watch(s, conn.fd, <uint64_t>conn)


cdef void begin(Server* s, Client* busy) noexcept nogil:
    cdef int fd = epoll_create1(EPOLL_CLOEXEC)
    cdef int i
    if fd <= 0:
        return                          # no descriptor: the others wait
    s.busy_fd = fd
    for i in range(s.loop.n_listeners):
        watch(s, s.loop.listeners[i], <uint64_t>i * 2 + LISTENER)
    watch_clients(s, busy)


cdef void forget(Server* s, Client* c) noexcept nogil:
    """What a client sends waits for the loop."""
    cdef epoll_event e
    epoll_ctl(s.busy_fd, EPOLL_CTL_DEL, c.conn.fd, &e)


cdef void answer(Server* s, Client* c) noexcept nogil:
    """Sends a client's replies, as a round of the loop does; what the socket does not take is the loop's."""
    cdef Session* session = c.session
    cdef Durable* d = durable_of(s.kv)
    cdef Buffer b
    cdef uint64_t offset
    cdef size_t n
    cdef ssize_t sent
    lock_take(s.kv)
    if (session.out.n == 0 or c.conn.state & (CONN_SENDING | CONN_CLOSING) or c.held
            or session.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP)):
        lock_give(s.kv)
        return
    b = c.flight
    c.flight = session.out
    session.out = b
    n = c.flight.n
    session.sent += n
    s.kv.stats.net_out += n
    offset = journal_take(s.kv)         # whole units only: the script's own is not among them
    lock_give(s.kv)
    s.writes += 1
    if offset:
        journal_flush(d)
        if journal_hold(d, offset, 1):
            client_hold(s, c, offset)
            return
    sent = kv_send(c.conn.fd, c.flight.p, n)
    if sent < 0:
        sent = 0
    if <size_t>sent < n:
        loop_send(&s.loop, &c.conn, c.flight.p + sent, n - sent)
    else:
        buffer_trim(&c.flight, KEEP)


cdef void answer_waiting(Server* s, Client* busy) noexcept nogil:
    """Those whose replies were ready before the script began."""
    cdef Client* c = s.dirty
    while c != NULL:
        if c != busy and c.session.out.n:
            answer(s, c)
        c = c.next_dirty


cdef void serve(Server* s, Client* c, const char* p, size_t n) noexcept nogil:
    client_data(s, c, p, n)
    answer(s, c)


cdef void take(Server* s, Client* c) noexcept nogil:
    cdef char[READ] room
    cdef ssize_t n
    if c.ending or c.resume or c.conn.state & CONN_CLOSING:
        forget(s, c)
        return
    n = kv_recv(c.conn.fd, room, READ)
    if n > 0:
        serve(s, c, room, <size_t>n)
    elif n == 0:
        forget(s, c)


cdef void rest_of_batch(Server* s, Client* busy) noexcept nogil:
    """What the loop has read for the others, behind the script's command."""
    cdef Received* one
    cdef int i
    if s.batch == NULL:
        return
    for i in range(s.batch_at + 1, s.batch_n):
        one = &s.batch[i]
        if one.conn != NULL and one.conn != &busy.conn:
            serve(s, <Client*>one.conn, one.p, one.n)
            one.conn = NULL


cdef void busy_poll(Kv* kv, Session* caller) noexcept nogil:
    """A round for everybody but the script's client; in the loop's thread, without the lock."""
    cdef Client* busy = client_of(caller)
    cdef Server* s
    cdef epoll_event[EVENTS] events
    cdef int n
    cdef int i
    if busy == NULL:
        return
    s = busy.server
    if kv_atomic_get(&s.stopping):
        scripting_end_run(kv)
    rest_of_batch(s, busy)
    answer_waiting(s, busy)
    if s.busy_fd == 0:
        begin(s, busy)
    if s.busy_fd == 0:
        return
    n = epoll_wait(s.busy_fd, events, EVENTS, 0)
    for i in range(n):
        if events[i].data.u64 & LISTENER:
            epoll_accept_now(&s.loop, <int>(events[i].data.u64 >> 1))
            watch_clients(s, busy)
        else:
            take(s, <Client*>events[i].data.u64)


cdef void busy_log(Kv* kv, int level, const char* p, size_t n) noexcept nogil:
    cdef Server* s = <Server*>kv.server
    if s != NULL:
        logqueue_add(&s.log, level, p, n)


cdef void busy_serve(Server* s) noexcept nogil:
    cdef Scripting* scripting
    lock_take(s.kv)
    scripting = scripting_of(s.kv)
    if scripting != NULL:
        scripting.poll = busy_poll
        scripting.log = busy_log
    lock_give(s.kv)


cdef void busy_leave(Server* s) noexcept nogil:
    cdef Scripting* scripting = <Scripting*>s.kv.scripting
    if scripting != NULL:
        scripting.ending = 0            # the store may live on, with another server
