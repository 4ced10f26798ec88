"""A blocking dialogue with another server (contract: dialogue.pxd)."""

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, errno
from libc.string cimport memset

from libkv.engine.clock cimport mono_ns

cdef extern from "<netdb.h>" nogil:
    cdef struct sockaddr:
        pass
    cdef struct addrinfo:
        int ai_flags
        int ai_family
        int ai_socktype
        int ai_protocol
        unsigned int ai_addrlen
        sockaddr* ai_addr
        addrinfo* ai_next
    int getaddrinfo(const char*, const char*, addrinfo*, addrinfo**)
    void freeaddrinfo(addrinfo*)
    int AF_UNSPEC

cdef extern from "<sys/socket.h>" nogil:
    int socket(int, int, int)
    int connect(int, sockaddr*, unsigned int)
    ssize_t send(int, const void*, size_t, int)
    ssize_t recv(int, void*, size_t, int)
    int SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC, MSG_NOSIGNAL

cdef extern from "<poll.h>" nogil:
    cdef struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd*, unsigned long, int)
    int POLLIN, POLLOUT

cdef extern from "<unistd.h>" nogil:
    int close(int)

cdef enum:
    LONGEST_WAIT = 0x7fffffff   # ms: poll's


cdef int64_t now_ms() noexcept nogil:
    return mono_ns() // 1000000


cdef bint wait_for(Dialogue* d, int events, int64_t until) noexcept nogil:
    """Waits for the socket; False: the time is over."""
    cdef pollfd p
    cdef int64_t left
    cdef int n
    while True:
        left = until - now_ms()
        if left <= 0:
            d.timed_out = True
            return False
        p.fd = d.fd
        p.events = <short>events
        p.revents = 0
        n = poll(&p, 1, <int>(left if left < LONGEST_WAIT else LONGEST_WAIT))
        if n > 0:
            return True
        if n < 0 and errno != EINTR:
            return False


cdef int64_t end_of(Dialogue* d) noexcept nogil:
    cdef int64_t now = now_ms()
    return now + d.timeout if d.timeout <= <int64_t>0x7fffffffffffffff - now else <int64_t>0x7fffffffffffffff


cdef bint connect_to(Dialogue* d, addrinfo* a, int64_t until) noexcept nogil:
    """A connection that is refused counts as made, as in Redis: the first write fails."""
    d.fd = socket(a.ai_family, a.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a.ai_protocol)
    if d.fd < 0:
        return False
    if connect(d.fd, a.ai_addr, a.ai_addrlen) == 0:
        return True
    if errno == EINPROGRESS and wait_for(d, POLLOUT, until):
        return True
    dialogue_close(d)
    return False


cdef int dialogue_open(Dialogue* d, const char* host, const char* port, int64_t timeout) noexcept nogil:
    cdef addrinfo hints
    cdef addrinfo* found = NULL
    cdef addrinfo* a
    cdef int64_t until
    d.fd = -1
    d.timeout = timeout
    d.timed_out = False
    d.at = d.end = 0
    memset(&hints, 0, sizeof(hints))
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = SOCK_STREAM
    if getaddrinfo(host, port, &hints, &found) != 0:
        return -1
    until = end_of(d)
    a = found
    while a != NULL and d.fd < 0 and not d.timed_out:
        connect_to(d, a, until)
        a = a.ai_next
    freeaddrinfo(found)
    return 0 if d.fd >= 0 else -1


cdef void dialogue_close(Dialogue* d) noexcept nogil:
    if d.fd >= 0:
        close(d.fd)
    d.fd = -1


cdef int dialogue_write(Dialogue* d, const char* p, size_t n) noexcept nogil:
    cdef int64_t until = end_of(d)
    cdef ssize_t k
    while n:
        k = send(d.fd, p, n, MSG_NOSIGNAL)
        if k >= 0:
            p += k
            n -= k
        elif errno == EAGAIN:
            if not wait_for(d, POLLOUT, until):
                return -1
        elif errno != EINTR:
            return -1
    return 0


cdef bint more(Dialogue* d, int64_t until) noexcept nogil:
    """Reads what is there; False: nothing comes any more."""
    cdef ssize_t k
    while True:
        k = recv(d.fd, d.room, DIALOGUE_ROOM, 0)
        if k > 0:
            d.at = 0
            d.end = k
            return True
        if k == 0 or (errno != EAGAIN and errno != EINTR):
            return False
        if errno == EAGAIN and not wait_for(d, POLLIN, until):
            return False


cdef int dialogue_line(Dialogue* d, char* out, size_t room) noexcept nogil:
    cdef int64_t until = end_of(d)
    cdef size_t n = 0
    cdef char ch
    while True:
        if d.at == d.end and not more(d, until):
            return -1
        ch = d.room[d.at]
        d.at += 1
        if ch == 10:
            break
        if n + 1 < room:
            out[n] = ch
            n += 1
    if n and out[n - 1] == 13:
        n -= 1
    out[n] = 0
    return 0
