# cython: autotestdict=False, auto_pickle=False
"""The proxy plane's UDP: one thread that passes datagrams between clients and servers, without the GIL.

UDP has no connections; a flow is made by a client's first datagram at a listener and lasts until nothing has passed for
`idle` seconds, or its server is dropped.  Each flow has a connected socket to its server, so that answers find back:

      client --recvfrom--> listener --send--> flow's socket --> server
             <--sendto---  listener <--recv-- flow's socket <--

Flows are found by a hash of the client's address and the listener, and kept in the order of their last use: the end of
that list is the next to expire, and the first to go when descriptors run out.  What cannot be sent is dropped, as
datagrams are.  Python is asked once for each flow.
"""

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EMFILE, ENFILE, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

import logging
import os
import select

from libipvs.splice cimport Counter

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <netinet/in.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <time.h>
    #include <unistd.h>

    static long long datagrams_milliseconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
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
        EPOLLIN, EPOLL_CTL_ADD, EPOLL_CTL_DEL, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_DGRAM, MSG_NOSIGNAL
    int epoll_ctl(int epfd, int op, int fd, epoll_event *event) nogil
    int epoll_wait(int epfd, epoll_event *events, int maxevents, int timeout) nogil
    int c_socket "socket"(int family, int kind, int protocol) nogil
    int c_connect "connect"(int fd, const sockaddr *address, socklen_t size) nogil
    int c_close "close"(int fd) nogil
    ssize_t c_read "read"(int fd, void *data, size_t size) nogil
    ssize_t c_recv "recv"(int fd, void *data, size_t size, int flags) nogil
    ssize_t c_send "send"(int fd, const void *data, size_t size, int flags) nogil
    ssize_t recvfrom(int fd, void *data, size_t size, int flags, sockaddr *peer, socklen_t *peer_size) nogil
    ssize_t sendto(int fd, const void *data, size_t size, int flags, const sockaddr *peer, socklen_t peer_size) nogil
    long long datagrams_milliseconds() nogil

cdef enum:
    EVENTS = 256
    BURST = 64          # datagrams of one socket before another's turn
    BUCKETS = 16384
    DATAGRAM = 65536

cdef enum Kind:
    FLOW = 1
    LISTENER = 2
    WAKE = 3

log = logging.getLogger("libipvs.proxy")


cdef struct Listener:
    Kind kind
    int fd
    int64_t number
    Listener *next

cdef struct Flow:
    Kind kind
    int fd
    bint over
    Listener *origin
    sockaddr_storage client
    socklen_t client_size
    long long used              # ms, last passage
    uint64_t *up
    uint64_t *down
    void *ticket                # the Python object, owned
    Flow *chain                 # of the hash bucket
    Flow *newer
    Flow *older


@cython.final
cdef class DatagramEngine:
    """Owns the epoll set, the flows and the listeners.

    choose(number, peer): as of the TCP engine, for a flow's first datagram: None (dropped) or (ticket, counter, the
    server's socket address).  over(ticket): the flow has ended.  idle: seconds.
    """

    cdef int epoll, wake
    cdef bint stopping
    cdef Listener *listeners
    cdef Flow **buckets
    cdef Flow *newest
    cdef Flow *oldest
    cdef Flow *graves
    cdef char *buffer
    cdef long long idle
    cdef object choose, over, orders
    cdef Kind wake_kind
    cdef readonly int open_flows

    def __cinit__(self, choose, over, double idle=300.0):
        self.choose, self.over = choose, over
        self.idle = <long long> (idle * 1000)
        self.epoll = self.wake = -1
        self.orders = []
        self.wake_kind = WAKE
        self.buckets = <Flow **> calloc(BUCKETS, sizeof(Flow *))
        self.buffer = <char *> calloc(1, DATAGRAM)
        if self.buckets == NULL or self.buffer == NULL:
            raise MemoryError()
        poll = select.epoll()
        self.epoll = os.dup(poll.fileno())
        poll.close()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if self.add(self.wake, &self.wake_kind) < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        free(self.buckets)
        free(self.buffer)

    cdef int add(self, int fd, void *owner) noexcept nogil:
        cdef epoll_event event
        memset(&event, 0, sizeof(event))
        event.events = EPOLLIN
        event.data.ptr = owner
        return epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event)

    # -- orders from other threads, carried out in the engine's

    def listen(self, int fd, int64_t number):
        """Serve a bound socket from now on.  The descriptor is the engine's."""
        self.order(("listen", fd, number))

    def remove(self, int64_t number):
        """Serve it no more; its flows end."""
        self.order(("remove", number, 0))

    def drop(self, Counter counter):
        """End the flows that count here: their server is gone, and their next datagrams are chosen for anew."""
        self.order(("drop", counter, 0))

    def stop(self):
        self.stopping = True
        os.eventfd_write(self.wake, 1)

    cdef order(self, tuple what):
        self.orders.append(what)
        os.eventfd_write(self.wake, 1)

    cdef void obey(self) noexcept with gil:
        cdef Counter counter
        try:
            while self.orders:
                word, what, number = self.orders.pop(0)
                if word == "listen":
                    self.begin_listener(what, number)
                elif word == "remove":
                    self.end_listener(what)
                else:
                    counter = what
                    self.end_flows(NULL, &counter.up_bytes)
        except Exception:
            log.exception("an order to the datagram engine failed")

    cdef int begin_listener(self, int fd, int64_t number) except -1:
        cdef Listener *listener = <Listener *> calloc(1, sizeof(Listener))
        if listener == NULL:
            c_close(fd)
            raise MemoryError()
        listener.kind, listener.fd, listener.number = LISTENER, fd, number
        if self.add(fd, listener) < 0:
            free(listener)
            c_close(fd)
            raise OSError(errno, os.strerror(errno))
        listener.next = self.listeners
        self.listeners = listener
        return 0

    cdef void end_listener(self, int64_t number) noexcept:
        """Its record stays (with fd -1) until close(): an event of this round may name it."""
        cdef Listener *listener = self.listeners
        while listener != NULL:
            if listener.number == number and listener.fd >= 0:
                self.end_flows(listener, NULL)
                c_close(listener.fd)
                listener.fd = -1
            listener = listener.next

    cdef void end_flows(self, Listener *origin, uint64_t *up) noexcept:
        cdef Flow *flow = self.newest
        cdef Flow *following
        while flow != NULL:
            following = flow.older
            if (origin != NULL and flow.origin == origin) or (up != NULL and flow.up == up):
                self.finish(flow)
            flow = following

    # -- the thread

    def run(self):
        """The thread's body."""
        with nogil:
            self.loop()

    cdef void loop(self) noexcept nogil:
        cdef epoll_event events[EVENTS]
        cdef int count, i
        cdef uint64_t woken
        cdef Kind *owner
        while not self.stopping:
            count = epoll_wait(self.epoll, events, EVENTS, 100 if self.oldest != NULL else -1)
            for i in range(count):
                owner = <Kind *> events[i].data.ptr
                if owner[0] == WAKE:
                    c_read(self.wake, &woken, 8)
                    self.obey()
                elif owner[0] == LISTENER:
                    self.from_clients(<Listener *> owner)
                else:
                    self.from_server(<Flow *> owner)
            self.expire()
            self.bury()

    cdef void from_clients(self, Listener *listener) noexcept nogil:
        cdef sockaddr_storage peer
        cdef socklen_t size
        cdef ssize_t count
        cdef Flow *flow
        for _i in range(BURST):
            if listener.fd < 0:
                return
            memset(&peer, 0, sizeof(peer))
            size = sizeof(peer)
            count = recvfrom(listener.fd, self.buffer, DATAGRAM, 0, <sockaddr *> &peer, &size)
            if count < 0:
                return
            flow = self.find(listener, &peer, size)
            if flow == NULL:
                flow = self.begin(listener, &peer, size)
            if flow != NULL:
                self.touch(flow)
                if c_send(flow.fd, self.buffer, count, MSG_NOSIGNAL) >= 0:
                    flow.up[0] += count

    cdef void from_server(self, Flow *flow) noexcept nogil:
        cdef ssize_t count
        for _i in range(BURST):
            if flow.over:
                return
            count = c_recv(flow.fd, self.buffer, DATAGRAM, 0)
            if count < 0:  # nothing more, or the server's host refused an earlier one
                return
            self.touch(flow)
            if sendto(flow.origin.fd, self.buffer, count, MSG_NOSIGNAL, <sockaddr *> &flow.client, flow.client_size) >= 0:
                flow.down[0] += count

    cdef uint32_t bucket(self, Listener *listener, sockaddr_storage *peer, socklen_t size) noexcept nogil:
        cdef uint32_t value = <uint32_t> 2166136261 ^ <uint32_t> listener.number
        cdef unsigned char *bytes_ = <unsigned char *> peer
        cdef uint32_t i
        for i in range(size):
            value = (value ^ bytes_[i]) * <uint32_t> 16777619
        return (value ^ (value >> 15)) % BUCKETS

    cdef Flow *find(self, Listener *listener, sockaddr_storage *peer, socklen_t size) noexcept nogil:
        cdef Flow *flow = self.buckets[self.bucket(listener, peer, size)]
        while flow != NULL:
            if flow.origin == listener and flow.client_size == size and memcmp(&flow.client, peer, size) == 0:
                return flow
            flow = flow.chain
        return NULL

    cdef Flow *begin(self, Listener *listener, sockaddr_storage *peer, socklen_t size) noexcept nogil:
        cdef Flow *flow = <Flow *> calloc(1, sizeof(Flow))
        cdef sockaddr_storage address
        cdef socklen_t address_size = 0
        cdef uint32_t place
        if flow == NULL:
            return NULL
        flow.kind, flow.origin, flow.client_size = FLOW, listener, size
        memcpy(&flow.client, peer, size)
        if self.ask(flow, listener.number, &address, &address_size) < 0:
            free(flow)
            return NULL
        flow.fd = c_socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        if flow.fd < 0 and (errno == EMFILE or errno == ENFILE) and self.oldest != NULL:
            self.finish(self.oldest)
            flow.fd = c_socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
        if flow.fd < 0 or c_connect(flow.fd, <sockaddr *> &address, address_size) < 0 or self.add(flow.fd, flow) < 0:
            if flow.fd >= 0:
                c_close(flow.fd)
            self.tell_over(flow)
            free(flow)
            return NULL
        place = self.bucket(listener, peer, size)
        flow.chain = self.buckets[place]
        self.buckets[place] = flow
        self.open_flows += 1
        self.link_newest(flow)
        return flow

    cdef void link_newest(self, Flow *flow) noexcept nogil:
        flow.used = datagrams_milliseconds()
        flow.newer, flow.older = NULL, self.newest
        if self.newest != NULL:
            self.newest.newer = flow
        else:
            self.oldest = flow
        self.newest = flow

    cdef void unlink(self, Flow *flow) noexcept nogil:
        if flow.newer != NULL:
            flow.newer.older = flow.older
        else:
            self.newest = flow.older
        if flow.older != NULL:
            flow.older.newer = flow.newer
        else:
            self.oldest = flow.newer

    cdef void touch(self, Flow *flow) noexcept nogil:
        self.unlink(flow)
        self.link_newest(flow)

    cdef void finish(self, Flow *flow) noexcept nogil:
        cdef Flow **place = &self.buckets[self.bucket(flow.origin, &flow.client, flow.client_size)]
        while place[0] != flow:
            place = &place[0].chain
        place[0] = flow.chain
        self.unlink(flow)
        c_close(flow.fd)
        flow.over = True
        self.tell_over(flow)
        self.open_flows -= 1
        flow.chain = self.graves  # freed when no event of this round can name it
        self.graves = flow

    cdef void expire(self) noexcept nogil:
        cdef long long now = datagrams_milliseconds()
        while self.oldest != NULL and self.oldest.used + self.idle <= now:
            self.finish(self.oldest)

    cdef void bury(self) noexcept nogil:
        cdef Flow *flow
        while self.graves != NULL:
            flow = self.graves
            self.graves = flow.chain
            free(flow)

    # -- Python's part

    cdef int ask(self, Flow *flow, int64_t number, sockaddr_storage *address, socklen_t *size) noexcept with gil:
        cdef Counter counter
        cdef bytes server
        try:
            chosen = self.choose(number, (<char *> &flow.client)[:flow.client_size])
            if chosen is None:
                return -1
            ticket, counter, server = chosen
            if len(server) > sizeof(sockaddr_storage):
                raise ValueError("a socket address is too long")
            memcpy(address, <char *> server, len(server))
            size[0] = len(server)
            flow.up, flow.down = &counter.up_bytes, &counter.down_bytes
            pair = (ticket, counter)
            Py_INCREF(pair)
            flow.ticket = <void *> pair
            return 0
        except Exception:
            log.exception("choosing a server failed")
            return -1

    cdef void tell_over(self, Flow *flow) noexcept with gil:
        pair = <object> flow.ticket
        flow.ticket = NULL
        try:
            self.over(pair[0])
        except Exception:
            log.exception("taking note of a flow's end failed")
        Py_DECREF(pair)

    def close(self):
        """End everything.  After run() has returned."""
        cdef Listener *listener
        self.stopping = True
        self.obey()
        while self.oldest != NULL:
            self.finish(self.oldest)
        self.bury()
        while self.listeners != NULL:
            listener = self.listeners
            self.listeners = listener.next
            if listener.fd >= 0:
                c_close(listener.fd)
            free(listener)
        for fd in (self.epoll, self.wake):
            if fd >= 0:
                os.close(fd)
        self.epoll = self.wake = -1
