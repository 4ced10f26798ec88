"""A small host of the event loop, for its tests: echoes what it gets, and does as a request's first byte says.

    Q...        echo, then close
    B<n>.       answer n bytes "x"
    S           echo, then stop reading this connection until somebody wakes the loop
    K           close all other connections, echo
    anything    echo
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport atoi, calloc, free

from libkv.server.epoll cimport epoll_listen, epoll_open, epoll_run_once, epoll_shut, epoll_unwatch_fd, epoll_watch_fd
from libkv.server.loop cimport (
    CONN_CLOSING, CONN_SENDING, Conn, Loop, Received, kv_atomic_get, kv_atomic_swap, loop_close, loop_in_flight,
    loop_recv, loop_send, loop_timer, loop_wake,
)
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_trim

cdef struct EchoConn:
    Conn conn
    EchoConn* next
    EchoConn* prev
    Buffer out
    Buffer flight
    bint ending
    bint stopped

cdef struct Host:
    Loop loop
    EchoConn* all
    int stop
    int64_t spin_us
    int64_t tick_us
    uint64_t accepted, refused, closed, sent, eofs, errors, wakes, ticks, batches, largest_batch, received, fd_events
    int refuse
    int last_error


cdef Conn* on_accept(void* host, int tag, int fd, const void* addr, uint32_t addr_n) noexcept nogil:
    cdef Host* h = <Host*>host
    cdef EchoConn* c
    if h.refuse:
        return NULL
    c = <EchoConn*>calloc(1, sizeof(EchoConn))
    if c == NULL:
        return NULL
    h.accepted += 1
    c.next = h.all
    if h.all != NULL:
        h.all.prev = c
    h.all = c
    return &c.conn


cdef void on_accept_error(void* host, int tag, int error) noexcept nogil:
    (<Host*>host).refused += 1
    (<Host*>host).last_error = error


cdef void on_data(void* host, Received* batch, int n) noexcept nogil:
    cdef Host* h = <Host*>host
    cdef EchoConn* c
    cdef EchoConn* o
    cdef int i
    h.batches += 1
    if <uint64_t>n > h.largest_batch:
        h.largest_batch = <uint64_t>n
    for i in range(n):
        c = <EchoConn*>batch[i].conn
        h.received += batch[i].n
        if batch[i].p[0] == b"B":
            for _ in range(atoi(batch[i].p + 1)):
                buffer_add(&c.out, b"x", 1)
            continue
        buffer_add(&c.out, batch[i].p, batch[i].n)
        if batch[i].p[0] == b"Q":
            c.ending = True
        elif batch[i].p[0] == b"S":
            c.stopped = True
            loop_recv(&h.loop, &c.conn, False)
        elif batch[i].p[0] == b"K":
            o = h.all
            while o != NULL:
                if o != c:
                    loop_close(&h.loop, &o.conn)
                o = o.next


cdef void on_eof(void* host, Conn* c) noexcept nogil:
    cdef EchoConn* e = <EchoConn*>c
    (<Host*>host).eofs += 1
    e.ending = True
    if not loop_in_flight(c) and not e.out.n:
        loop_close(&(<Host*>host).loop, c)


cdef void on_error(void* host, Conn* c, int error) noexcept nogil:
    (<Host*>host).errors += 1
    (<Host*>host).last_error = error


cdef void on_round(void* host) noexcept nogil:
    cdef Host* h = <Host*>host
    cdef EchoConn* c = h.all
    cdef Buffer b
    while c != NULL:
        if c.out.n and not c.conn.state & (CONN_SENDING | CONN_CLOSING):
            b = c.flight
            c.flight = c.out
            c.out = b
            loop_send(&h.loop, &c.conn, c.flight.p, c.flight.n)
        c = c.next


cdef void on_sent(void* host, Conn* c) noexcept nogil:
    cdef EchoConn* e = <EchoConn*>c
    (<Host*>host).sent += 1
    buffer_trim(&e.flight, 4096)
    if e.ending and not e.out.n:
        loop_close(&(<Host*>host).loop, c)


cdef void on_closed(void* host, Conn* c) noexcept nogil:
    cdef Host* h = <Host*>host
    cdef EchoConn* e = <EchoConn*>c
    h.closed += 1
    if e.next != NULL:
        e.next.prev = e.prev
    if e.prev != NULL:
        e.prev.next = e.next
    else:
        h.all = e.next
    buffer_free(&e.out)
    buffer_free(&e.flight)
    free(e)


cdef void on_timer(void* host, int timer) noexcept nogil:
    cdef Host* h = <Host*>host
    h.ticks += 1
    if h.tick_us:
        loop_timer(&h.loop, timer, h.loop.now_us + h.tick_us)


cdef void on_wake(void* host) noexcept nogil:
    cdef Host* h = <Host*>host
    cdef EchoConn* c = h.all
    h.wakes += 1
    while c != NULL:
        if c.stopped:
            c.stopped = False
            loop_recv(&h.loop, &c.conn, True)
        c = c.next


cdef void on_fd(void* host, int fd, uint32_t events) noexcept nogil:
    (<Host*>host).fd_events += 1
    epoll_unwatch_fd(&(<Host*>host).loop, fd)


cdef class Echo:
    """The host, with its counters as a dict (`counters()`)."""

    cdef Host* h

    def __cinit__(self, int64_t spin_us=0, int64_t tick_us=0):
        self.h = <Host*>calloc(1, sizeof(Host))
        if self.h == NULL:
            raise MemoryError
        self.h.spin_us = spin_us
        self.h.tick_us = tick_us
        self.h.loop.on.host = self.h
        self.h.loop.on.on_accept = on_accept
        self.h.loop.on.on_accept_error = on_accept_error
        self.h.loop.on.on_data = on_data
        self.h.loop.on.on_eof = on_eof
        self.h.loop.on.on_error = on_error
        self.h.loop.on.on_round = on_round
        self.h.loop.on.on_sent = on_sent
        self.h.loop.on.on_closed = on_closed
        self.h.loop.on.on_timer = on_timer
        self.h.loop.on.on_wake = on_wake
        self.h.loop.on.on_fd = on_fd
        cdef int error = epoll_open(&self.h.loop)
        if error:
            raise OSError(error, "epoll_open")
        if tick_us:
            loop_timer(&self.h.loop, 0, self.h.loop.now_us + tick_us)

    def __dealloc__(self):
        if self.h != NULL:
            epoll_shut(&self.h.loop)
            free(self.h)

    def listen(self, int fd, int tag=0):
        cdef int error = epoll_listen(&self.h.loop, fd, tag)
        if error:
            raise OSError(error, "epoll_listen")

    def watch(self, int fd):
        cdef int error = epoll_watch_fd(&self.h.loop, fd)
        if error:
            raise OSError(error, "epoll_watch_fd")

    def turn(self, int times=1, int64_t timeout_us=20000):
        """So many iterations."""
        with nogil:
            for _ in range(times):
                epoll_run_once(&self.h.loop, timeout_us, self.h.spin_us)

    def run(self):
        """Iterations until stop(); the GIL is released throughout."""
        with nogil:
            while not kv_atomic_get(&self.h.stop):
                epoll_run_once(&self.h.loop, 1000000, self.h.spin_us)

    def stop(self):
        kv_atomic_swap(&self.h.stop, 1)
        loop_wake(&self.h.loop)

    def wake(self):
        loop_wake(&self.h.loop)

    def refuse(self, bint yes):
        self.h.refuse = yes

    def shut(self):
        epoll_shut(&self.h.loop)

    def counters(self):
        cdef Host* h = self.h
        return {
            "accepted": h.accepted, "refused": h.refused, "closed": h.closed, "sent": h.sent, "eofs": h.eofs,
            "errors": h.errors, "wakes": h.wakes, "ticks": h.ticks, "batches": h.batches,
            "largest_batch": h.largest_batch, "received": h.received, "fd_events": h.fd_events,
            "last_error": h.last_error, "connections": h.loop.n_conns, "reads": h.loop.reads,
            "writes": h.loop.writes, "waits": h.loop.waits, "spins": h.loop.spins, "gap_us": h.loop.gap_us,
        }
