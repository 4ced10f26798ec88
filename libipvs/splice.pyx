# cython: autotestdict=False, auto_pickle=False
"""The moving part of the proxy plane: one thread that accepts, connects and splices TCP connections, without the GIL.

A connection is two sockets and, for each direction, a pipe: bytes go socket -> pipe -> socket inside the kernel
(splice(2)), never through this process.  A full pipe is the back-pressure: its source is not read until it drains.

      client  --splice-->  [up pipe]    --splice-->  server
              <--splice--  [down pipe]  <--splice--

One end of input is passed on as a half-close when its pipe is empty; both ends, or an error, end the connection (an
error as a reset).  epoll is edge-triggered: a connection is pumped until neither direction moves, or for ROUNDS, then
it waits its turn; what an event has not announced, and what a short read has emptied, is not asked for.  Python is
asked once for each new connection (which server?) and told when it is connected and over.

A client is accepted only when there are descriptors for all that its connection needs; else it waits in the kernel.

Source: splice(2), epoll(7), ip(7).
"""

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EINPROGRESS, EMFILE, ENFILE, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from libipvs.pump cimport Way, pump

import logging
import os

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <time.h>
    #include <unistd.h>

    static long long proxy_milliseconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    }

    static void proxy_reset_on_close(int fd) {
        struct linger abort = { 1, 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }

    static void proxy_tune(int fd) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }

    static int proxy_error(int fd) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        return error;
    }

    static int proxy_duplicate(int fd) {
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }

    static int proxy_transparent(int fd, int family) {
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        return family == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &one, sizeof one)
                                  : setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof one);
    }
    """
    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    ctypedef uint32_t socklen_t
    enum:
        EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET, EPOLLHUP, EPOLLERR, EPOLL_CTL_ADD, EPOLL_CTL_DEL
        MSG_NOSIGNAL
        SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_STREAM, SHUT_RDWR, O_NONBLOCK, O_CLOEXEC
    int epoll_ctl(int epfd, int op, int fd, epoll_event *event) nogil
    int epoll_wait(int epfd, epoll_event *events, int maxevents, int timeout) nogil
    int accept4(int fd, sockaddr *address, socklen_t *size, int flags) nogil
    int c_socket "socket"(int family, int kind, int protocol) nogil
    int c_connect "connect"(int fd, const sockaddr *address, socklen_t size) nogil
    int c_bind "bind"(int fd, const sockaddr *address, socklen_t size) nogil
    int c_shutdown "shutdown"(int fd, int how) nogil
    int c_close "close"(int fd) nogil
    ssize_t c_send "send"(int fd, const void *data, size_t size, int flags) nogil
    ssize_t c_read "read"(int fd, void *data, size_t size) nogil
    int pipe2(int *ends, int flags) nogil
    long long proxy_milliseconds() nogil
    void proxy_reset_on_close(int fd) nogil
    void proxy_tune(int fd) nogil
    int proxy_error(int fd) nogil
    int proxy_transparent(int fd, int family) nogil
    int proxy_duplicate(int fd) nogil

cdef enum:
    EVENTS = 256
    ROUNDS = 32       # of both directions before another connection's turn
    ACCEPTS = 64      # of one listener before another descriptor's turn
    POOL = 512        # pairs of empty pipes kept for the next connections
    HEAD_MAX = 128    # a PROXY header is shorter
    PAUSE_MS = 50     # without descriptors: until the next accept

cdef enum Kind:
    CLIENT_END = 1
    SERVER_END = 2
    LISTENER = 3
    WAKE = 4

log = logging.getLogger("libipvs.proxy")


cdef struct End:
    Kind kind
    Link *link

cdef struct Link:               # one connection
    End ends[2]
    Way up, down
    bint connecting, over, queued
    long long deadline          # ms, for connecting
    void *ticket                # the Python object of the connection, owned
    char head[HEAD_MAX]         # goes to the server first
    uint32_t head_size
    Link *next
    Link *previous
    Link *again                 # queue of those that still move; then of those to be freed

cdef struct Listener:
    Kind kind
    int fd
    bint removed
    bint pending                # not emptied yet: edge-triggered, so it has to be remembered
    int64_t number
    Listener *next


@cython.final
cdef class Counter:
    """Bytes that went up to a server and down from it.  Written by one engine's thread only."""

    @property
    def up(self):
        return self.up_bytes

    @property
    def down(self):
        return self.down_bytes

    def zero(self):
        self.up_bytes = 0
        self.down_bytes = 0


@cython.final
cdef class Engine:
    """Owns the epoll set, the links and the listeners.

    choose(number, peer): called for a new connection at the listener with that number; peer is the client's socket
    address as bytes.  Returns None (refused) or (ticket, counter, server's socket address, own socket address to bind
    to or b"", first bytes for the server).  connected(ticket), over(ticket): what becomes of it.
    """

    cdef int epoll, wake
    cdef bint stopping
    cdef Link *links
    cdef Link *moving
    cdef Link *graves
    cdef Listener *listeners
    cdef int pool[POOL][4]
    cdef int pooled
    cdef int spare                  # a descriptor to give up for the last connection that fits
    cdef long long paused           # ms, until when nothing is accepted for want of descriptors
    cdef bint leaving               # some listener is removed and not closed yet
    cdef bint pending               # some listener is not emptied yet
    cdef long long connect_timeout
    cdef long long next_look        # ms, when connecting links are looked at
    cdef object choose, connected, over
    cdef End wake_end
    cdef readonly int open_links

    def __cinit__(self, choose, connected, over, double connect_timeout=5.0):
        self.choose, self.connected, self.over = choose, connected, over
        self.connect_timeout = <long long> (connect_timeout * 1000)
        self.epoll = self.wake = self.spare = -1
        import select

        poll = select.epoll()
        self.epoll = os.dup(poll.fileno())
        poll.close()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.wake_end.kind = WAKE
        self.add(self.wake, EPOLLIN, &self.wake_end)

    cdef int add(self, int fd, uint32_t events, void *end) except -1:
        cdef epoll_event event
        memset(&event, 0, sizeof(event))
        event.events = events
        event.data.ptr = end
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    def listen(self, int fd, int64_t number):
        """Accept on a listening socket from now on.  The descriptor is the engine's, unless this raises."""
        cdef Listener *listener = <Listener *> calloc(1, sizeof(Listener))
        if listener == NULL:
            raise MemoryError()
        listener.kind, listener.fd, listener.number = LISTENER, fd, number
        try:
            self.add(fd, EPOLLIN | EPOLLET, listener)
        except OSError:
            free(listener)
            raise
        listener.next = self.listeners
        self.listeners = listener

    def remove(self, int64_t number):
        """Accept no more there: the address is free when this returns.

        The engine's thread closes the descriptor (it may be about to use it), and the record stays until the end (an
        event for it may be on its way).
        """
        cdef Listener *listener = self.listeners
        while listener != NULL:
            if listener.number == number and not listener.removed:
                listener.removed = True
                c_shutdown(listener.fd, SHUT_RDWR)
                self.leaving = True
                os.eventfd_write(self.wake, 1)
            listener = listener.next

    cdef void close_removed(self) noexcept nogil:
        cdef Listener *listener = self.listeners
        if not self.leaving:
            return
        self.leaving = False
        while listener != NULL:
            if listener.removed and listener.fd >= 0:
                c_close(listener.fd)
                listener.fd = -1
            listener = listener.next

    def stop(self):
        """Make run() return; open connections are cut by close()."""
        self.stopping = True
        os.eventfd_write(self.wake, 1)

    def run(self):
        """The thread's body."""
        with nogil:
            self.loop()

    cdef void loop(self) noexcept nogil:
        cdef epoll_event events[EVENTS]
        cdef int count, i, timeout
        cdef uint64_t woken
        cdef End *end
        while not self.stopping:
            timeout = 100 if self.links != NULL else -1
            if self.moving != NULL or (self.pending and not self.paused):
                timeout = 0
            elif self.paused:
                timeout = PAUSE_MS
            count = epoll_wait(self.epoll, events, EVENTS, timeout)
            for i in range(count):
                end = <End *> events[i].data.ptr
                if end.kind == WAKE:
                    c_read(self.wake, &woken, 8)
                elif end.kind == LISTENER:
                    self.accept_from(<Listener *> end)
                else:
                    self.notice(end, events[i].events)
            self.close_removed()
            self.accept_pending()
            self.take_turns()
            self.expire_connects()
            self.bury()

    cdef void take_turns(self) noexcept nogil:
        """Those that were still moving when their rounds were over."""
        cdef Link *queue = self.moving
        cdef Link *link
        self.moving = NULL
        while queue != NULL:
            link = queue
            queue = link.again
            link.queued = False
            self.advance(link)

    cdef void accept_pending(self) noexcept nogil:
        cdef Listener *listener = self.listeners
        if not self.pending:
            return
        self.pending = False
        while listener != NULL:
            if listener.pending:
                self.accept_from(listener)
            listener = listener.next

    cdef void accept_from(self, Listener *listener) noexcept nogil:
        cdef sockaddr_storage peer
        cdef socklen_t size
        cdef int fd, _i
        listener.pending = False
        if listener.removed:
            return
        if self.paused and proxy_milliseconds() < self.paused:
            listener.pending = self.pending = True
            return
        self.paused = 0
        for _i in range(ACCEPTS):
            size = sizeof(peer)
            if not self.stock():
                self.pause(listener)
                return
            fd = accept4(listener.fd, <sockaddr *> &peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                if errno == EMFILE or errno == ENFILE:
                    self.pause(listener)
                return
            if self.begin(listener.number, fd, <char *> &peer, size) < 0:
                proxy_reset_on_close(fd)
                c_close(fd)
        listener.pending = self.pending = True

    cdef void pause(self, Listener *listener) noexcept nogil:
        """No descriptors: its clients wait in the kernel's queue."""
        self.paused = proxy_milliseconds() + PAUSE_MS
        listener.pending = self.pending = True

    cdef bint stock(self) noexcept nogil:
        """Have what an accepted client will need, so that it rather waits to be accepted.  False: no descriptors."""
        cdef int kept[4]
        if self.spare < 0:
            self.spare = proxy_duplicate(self.wake)
            if self.spare < 0:
                return False
        if self.pooled:
            return True
        if pipe2(&kept[0], O_NONBLOCK | O_CLOEXEC) < 0:
            return False
        if pipe2(&kept[2], O_NONBLOCK | O_CLOEXEC) < 0:
            c_close(kept[0])
            c_close(kept[1])
            return False
        memcpy(self.pool[0], kept, sizeof(kept))
        self.pooled = 1
        return True

    cdef int server_socket(self, int family) noexcept nogil:
        """A socket; for the last connection that fits, the spare descriptor gives way."""
        cdef int server = c_socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        if server < 0 and (errno == EMFILE or errno == ENFILE) and self.spare >= 0:
            c_close(self.spare)
            self.spare = -1
            server = c_socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        return server

    cdef int begin(self, int64_t number, int client, const char *peer, socklen_t size) noexcept nogil:
        """A link for an accepted client; -1 if it cannot be (the client's descriptor stays the caller's)."""
        cdef Link *link = <Link *> calloc(1, sizeof(Link))
        cdef sockaddr_storage address, own
        cdef socklen_t address_size = 0, own_size = 0
        cdef int server
        if link == NULL:
            return -1
        if self.ask(link, number, peer, size, &address, &address_size, &own, &own_size) < 0:
            free(link)
            return -1
        server = self.server_socket(address.ss_family)
        if server >= 0 and self.wire(link, client, server, &address, address_size, &own, own_size) == 0:
            return 0
        if server >= 0:
            c_close(server)
        self.tell_over(link)
        free(link)
        return -1

    cdef int wire(self, Link *link, int client, int server, sockaddr_storage *address, socklen_t address_size,
                  sockaddr_storage *own, socklen_t own_size) noexcept nogil:
        """Connect, give it pipes, and put it into the epoll set; -1 leaves both sockets as they were."""
        cdef epoll_event event
        if own_size and proxy_transparent(server, own.ss_family) < 0:
            return -1
        if own_size and c_bind(server, <sockaddr *> own, own_size) < 0:
            return -1
        if c_connect(server, <sockaddr *> address, address_size) < 0 and errno != EINPROGRESS:
            return -1
        self.take_pipes(link)
        proxy_tune(server)  # the client's has it from its listener
        link.up.source, link.up.target = client, server
        link.down.source, link.down.target = server, client
        link.ends[0].kind, link.ends[0].link = CLIENT_END, link
        link.ends[1].kind, link.ends[1].link = SERVER_END, link
        link.connecting = True
        link.deadline = proxy_milliseconds() + self.connect_timeout
        memset(&event, 0, sizeof(event))
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
        event.data.ptr = &link.ends[0]
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, client, &event) < 0:
            self.give_pipes(link)
            return -1
        event.data.ptr = &link.ends[1]
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, server, &event) < 0:
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, client, &event)
            self.give_pipes(link)
            return -1
        link.next = self.links
        if self.links != NULL:
            self.links.previous = link
        self.links = link
        self.open_links += 1
        return 0

    cdef void take_pipes(self, Link *link) noexcept nogil:
        """A pair of pipes that stock() has provided."""
        cdef int *kept
        self.pooled -= 1
        kept = self.pool[self.pooled]
        link.up.pipe[0], link.up.pipe[1] = kept[0], kept[1]
        link.down.pipe[0], link.down.pipe[1] = kept[2], kept[3]

    cdef void give_pipes(self, Link *link) noexcept nogil:
        """Keep empty pipes for the next one; close those that hold something."""
        cdef int *kept
        if self.pooled < POOL and link.up.held == 0 and link.down.held == 0 and not self.stopping:
            kept = self.pool[self.pooled]
            kept[0], kept[1] = link.up.pipe[0], link.up.pipe[1]
            kept[2], kept[3] = link.down.pipe[0], link.down.pipe[1]
            self.pooled += 1
            return
        c_close(link.up.pipe[0])
        c_close(link.up.pipe[1])
        c_close(link.down.pipe[0])
        c_close(link.down.pipe[1])

    cdef void notice(self, End *end, uint32_t events) noexcept nogil:
        """Something happened at one end of a link."""
        cdef Link *link = end.link
        cdef Way *way = &link.up if end.kind == CLIENT_END else &link.down
        if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            way.ready = True
        if events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            way.hung = True
        if not link.connecting:
            self.advance(link)
        elif not link.over and end.kind == SERVER_END and self.connect_done(link, events) > 0:
            self.advance(link)

    cdef void advance(self, Link *link) noexcept nogil:
        """Move what an event has announced."""
        cdef int up, down, _i
        if link.over:
            return
        for _i in range(ROUNDS):
            up = pump(&link.up, link.down.passed_on)
            down = pump(&link.down, link.up.passed_on)
            if up < 0 or down < 0:
                self.finish(link, True)
                return
            if link.up.passed_on and link.down.passed_on:
                self.finish(link, False)
                return
            if up == 0 and down == 0:
                return
        if not link.queued:
            link.queued = True
            link.again = self.moving
            self.moving = link

    cdef int connect_done(self, Link *link, uint32_t events) noexcept nogil:
        """1 if the server has answered, 0 if not yet, -1 if it refused (then the link is over)."""
        if events & (EPOLLERR | EPOLLHUP) and proxy_error(link.up.target) != 0:
            self.finish(link, True)
            return -1
        if not events & EPOLLOUT:
            return 0
        link.connecting = False
        if link.head_size and c_send(link.up.target, link.head, link.head_size, MSG_NOSIGNAL) != link.head_size:
            self.finish(link, True)
            return -1
        self.tell_connected(link)
        return 1

    cdef void finish(self, Link *link, bint broken) noexcept nogil:
        if link.over:
            return
        link.over = True
        if broken:
            proxy_reset_on_close(link.up.source)
            proxy_reset_on_close(link.up.target)
        c_close(link.up.source)
        c_close(link.up.target)
        self.give_pipes(link)
        if link.previous != NULL:
            link.previous.next = link.next
        else:
            self.links = link.next
        if link.next != NULL:
            link.next.previous = link.previous
        self.tell_over(link)
        self.open_links -= 1
        link.next = self.graves  # freed when no event of this round can name it
        self.graves = link

    cdef void bury(self) noexcept nogil:
        cdef Link *link
        cdef Link *kept = NULL
        while self.graves != NULL:
            link = self.graves
            self.graves = link.next
            if link.queued:
                link.next = kept
                kept = link
            else:
                free(link)
        self.graves = kept

    cdef void expire_connects(self) noexcept nogil:
        cdef Link *link = self.links
        cdef Link *following
        cdef long long now = proxy_milliseconds()
        if now < self.next_look:
            return
        self.next_look = now + 100
        while link != NULL:
            following = link.next
            if link.connecting and link.deadline <= now:
                self.finish(link, True)
            link = following

    # -- Python's part

    cdef int ask(self, Link *link, int64_t number, const char *peer, socklen_t size, sockaddr_storage *address,
                 socklen_t *address_size, sockaddr_storage *own, socklen_t *own_size) noexcept with gil:
        cdef Counter counter
        cdef bytes server, source, head
        try:
            chosen = self.choose(number, (<char *> peer)[:size])
            if chosen is None:
                return -1
            ticket, counter, server, source, head = chosen
            if len(server) > sizeof(sockaddr_storage) or len(source) > sizeof(sockaddr_storage) or len(head) > HEAD_MAX:
                raise ValueError("a socket address or a PROXY header is too long")
            memcpy(address, <char *> server, len(server))
            memcpy(own, <char *> source, len(source))
            memcpy(link.head, <char *> head, len(head))
            address_size[0], own_size[0], link.head_size = len(server), len(source), len(head)
            link.up.counter, link.down.counter = &counter.up_bytes, &counter.down_bytes
            pair = (ticket, counter)
            Py_INCREF(pair)
            link.ticket = <void *> pair
            return 0
        except Exception:
            log.exception("choosing a server failed")
            return -1

    cdef void tell_connected(self, Link *link) noexcept with gil:
        try:
            self.connected((<object> link.ticket)[0])
        except Exception:
            log.exception("taking note of a connection failed")

    cdef void tell_over(self, Link *link) noexcept with gil:
        pair = <object> link.ticket
        link.ticket = NULL
        try:
            self.over(pair[0])
        except Exception:
            log.exception("taking note of a connection's end failed")
        Py_DECREF(pair)

    def close(self):
        """Cut what is open and let go of everything.  After run() has returned."""
        cdef Listener *listener
        cdef int i
        self.stopping = True
        while self.links != NULL:
            self.finish(self.links, True)
        self.moving = NULL
        while self.graves != NULL:
            self.graves.queued = False
            self.bury()
        while self.pooled:
            self.pooled -= 1
            for i in range(4):
                c_close(self.pool[self.pooled][i])
        while self.listeners != NULL:
            listener = self.listeners
            self.listeners = listener.next
            if listener.fd >= 0:
                c_close(listener.fd)
            free(listener)
        for fd in (self.epoll, self.wake, self.spare):
            if fd >= 0:
                os.close(fd)
        self.epoll = self.wake = self.spare = -1
