"""A lean load generator: what redis-benchmark does, for less CPU time than the server under test needs.

redis-benchmark fills its own core before the server's when requests are not pipelined, so what it measures then is
itself.  Here the requests of a connection are built once and stay: only the digits of their random numbers are
rewritten before each send, and replies are walked over (their lengths tell where the next one begins), not decoded.

    a connection:  out  |*3..SET..key:000000123456..|*3..SET..key:000000998877..| ...     `pipeline` requests, one send
                                      ^slot                         ^slot

It sends, waits until all the replies are in, and sends anew.  The sockets are made by the caller, connected; they
become non-blocking.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memchr, memcpy

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int epoll_wait(int, epoll_event*, int, int)
    enum:
        EPOLLIN
        EPOLLOUT
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CLOEXEC

cdef extern from "<sys/socket.h>" nogil:
    ssize_t send(int, const void*, size_t, int)
    ssize_t recv(int, void*, size_t, int)
    enum:
        MSG_NOSIGNAL
        MSG_DONTWAIT

cdef extern from "<unistd.h>" nogil:
    int close(int)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec*)
    enum:
        CLOCK_MONOTONIC
        CLOCK_THREAD_CPUTIME_ID

cdef enum:
    DIGITS = 12
    ROOM = 262144               # of one recv
    LINE_MAX = 64               # of a reply's first line, when a recv ends within it
    EVENTS = 256
    LATENCIES = 1 << 20

SLOT = b"__rand_int__"          # what redis-benchmark calls it, too

cdef struct Stream:
    int fd
    bint wants_out              # the socket was full: the rest of `out` waits for EPOLLOUT
    char* out
    size_t sent
    size_t end                  # of what is to be sent
    int64_t waiting             # replies that are still to come
    int64_t skip                # bytes of a bulk string that are still to come
    int64_t parts               # elements of arrays that are still to come, beside the reply itself
    int n_line
    char line[LINE_MAX]         # the first part of a line that the last recv cut
    int64_t began               # ns

cdef struct Load:
    Stream* streams
    int n_streams
    int epoll
    size_t out_n
    size_t request_n
    int pipeline
    int replies                 # that one request gets
    size_t* slots
    int n_slots
    int64_t numbers             # slots get 0..numbers-1
    int64_t next_number         # -1: at random
    uint64_t random
    int64_t to_send             # requests not sent yet
    int64_t done
    int64_t nils
    int64_t errors
    char error[256]
    int64_t deadline            # ns
    bint expired
    char* room
    uint32_t* latencies         # ns a batch
    int64_t n_latencies
    char digits[40000]          # "0000" to "9999"


cdef int64_t clock_ns(int which) noexcept nogil:
    cdef timespec t
    clock_gettime(which, &t)
    return <int64_t>t.tv_sec * 1000000000 + t.tv_nsec


cdef void load_fill(Load* l, Stream* s, int64_t requests) noexcept nogil:
    """New numbers for the slots of the next `requests` requests."""
    cdef int64_t i
    cdef int k
    cdef uint64_t v
    cdef char* p
    if l.n_slots == 0:
        return
    for i in range(requests):
        for k in range(l.n_slots):
            if l.next_number >= 0:
                v = <uint64_t>l.next_number
                l.next_number += 1
            else:
                # xorshift64*, its upper half scaled to the range: no division a number
                l.random ^= l.random >> 12
                l.random ^= l.random << 25
                l.random ^= l.random >> 27
                v = (((l.random * <uint64_t>0x2545F4914F6CDD1D) >> 32) * <uint64_t>l.numbers) >> 32
            p = s.out + <size_t>i * l.request_n + l.slots[k]
            memcpy(p, l.digits + (v // 100000000 % 10000) * 4, 4)
            memcpy(p + 4, l.digits + (v // 10000 % 10000) * 4, 4)
            memcpy(p + 8, l.digits + (v % 10000) * 4, 4)


cdef int load_send(Load* l, Stream* s) noexcept nogil:
    """Sends what is left of s.out; -1: the connection is gone."""
    cdef epoll_event event
    cdef ssize_t n
    while s.sent < s.end:
        n = send(s.fd, s.out + s.sent, s.end - s.sent, MSG_NOSIGNAL | MSG_DONTWAIT)
        if n > 0:
            s.sent += <size_t>n
        elif n < 0 and errno == EINTR:
            continue
        elif n < 0 and errno == EAGAIN:
            break
        else:
            return -1
    if s.wants_out != (s.sent < s.end):
        s.wants_out = s.sent < s.end
        event.events = EPOLLIN | EPOLLOUT if s.wants_out else EPOLLIN
        event.data.u64 = <uint64_t>(s - l.streams)
        epoll_ctl(l.epoll, EPOLL_CTL_MOD, s.fd, &event)
    return 0


cdef int load_batch(Load* l, Stream* s) noexcept nogil:
    """The next batch of a connection, if any request is left."""
    cdef int64_t n = l.pipeline
    if n > l.to_send:
        n = l.to_send
    if n == 0 or l.expired:
        return 0
    l.to_send -= n
    load_fill(l, s, n)
    s.waiting = n * l.replies
    s.sent = 0
    s.end = <size_t>n * l.request_n
    s.began = clock_ns(CLOCK_MONOTONIC)
    return load_send(l, s)


cdef int64_t line_number(const char* p, const char* end) noexcept nogil:
    cdef int64_t v = 0
    if p < end and p[0] == c"-":
        return -1
    while p < end and c"0" <= p[0] <= c"9":
        v = v * 10 + (p[0] - c"0")
        p += 1
    return v


cdef void load_line(Load* l, Stream* s, const char* p, const char* end) noexcept nogil:
    """A reply's first line, without its line feed: what follows it, or the end of the reply."""
    cdef int64_t n
    cdef size_t k
    if s.parts:
        s.parts -= 1
    if p[0] == c"$":
        n = line_number(p + 1, end)
        if n < 0:
            l.nils += 1
        else:
            s.skip = n + 2
    elif p[0] == c"*":
        n = line_number(p + 1, end)
        if n > 0:
            s.parts += n
    elif p[0] == c"-":
        if l.errors == 0:
            k = <size_t>(end - p) if end - p < 255 else 255
            memcpy(l.error, p, k)
            l.error[k] = 0
        l.errors += 1
    elif p[0] == c"_":
        l.nils += 1


cdef int load_replies(Load* l, Stream* s, const char* p, const char* end) noexcept nogil:
    """Walks over what has come; -1: it makes no sense."""
    cdef const char* feed
    cdef size_t n
    while True:
        if s.skip:
            n = <size_t>(end - p)
            if <int64_t>n < s.skip:
                s.skip -= <int64_t>n
                return 0
            p += s.skip
            s.skip = 0
            if s.parts == 0:
                s.waiting -= 1
                l.done += 1
        if p == end:
            return 0
        if s.waiting == 0:
            return -1
        feed = <const char*>memchr(p, c"\n", <size_t>(end - p))
        n = <size_t>((end if feed == NULL else feed) - p)
        if feed == NULL or s.n_line:
            if s.n_line + n > LINE_MAX - 1:
                n = LINE_MAX - 1 - s.n_line         # an error's text: only its beginning is of use
            memcpy(s.line + s.n_line, p, n)
            s.n_line += <int>n
            if feed == NULL:
                return 0
            load_line(l, s, s.line, s.line + s.n_line)
            s.n_line = 0
        else:
            load_line(l, s, p, feed)
        p = feed + 1
        if s.skip == 0 and s.parts == 0:
            s.waiting -= 1
            l.done += 1


cdef int load_run(Load* l) noexcept nogil:
    """0; -1: a connection ended or its bytes make no sense."""
    cdef epoll_event events[EVENTS]
    cdef Stream* s
    cdef ssize_t got
    cdef int64_t target = l.to_send
    cdef int64_t silence = 10 * <int64_t>1000000000
    cdef int64_t now
    cdef int n, i
    for i in range(l.n_streams):
        if load_batch(l, &l.streams[i]) < 0:
            return -1
    while l.done < (target - (l.to_send if l.expired else 0)) * l.replies:
        n = epoll_wait(l.epoll, events, EVENTS, 1000)
        if n == 0:
            now = clock_ns(CLOCK_MONOTONIC)
            if now > l.deadline + silence:
                return -1
        for i in range(n):
            s = &l.streams[events[i].data.u64]
            if s.wants_out and load_send(l, s) < 0:
                return -1
            if not events[i].events & EPOLLIN:
                continue
            got = recv(s.fd, l.room, ROOM, MSG_DONTWAIT)
            if got < 0 and (errno == EAGAIN or errno == EINTR):
                continue
            if got <= 0 or load_replies(l, s, l.room, l.room + got) < 0:
                return -1
            if s.waiting == 0:
                now = clock_ns(CLOCK_MONOTONIC)
                if l.n_latencies < LATENCIES:
                    l.latencies[l.n_latencies] = <uint32_t>(now - s.began)
                    l.n_latencies += 1
                if now > l.deadline:
                    l.expired = True
                if load_batch(l, s) < 0:
                    return -1
    return 0


cdef int compare(const void* a, const void* b) noexcept nogil:
    cdef uint32_t x = (<const uint32_t*>a)[0]
    cdef uint32_t y = (<const uint32_t*>b)[0]
    return (x > y) - (x < y)


cdef void load_free(Load* l) noexcept:
    cdef int i
    if l == NULL:
        return
    if l.streams != NULL:
        for i in range(l.n_streams):
            free(l.streams[i].out)
    if l.epoll >= 0:
        close(l.epoll)
    free(l.streams)
    free(l.slots)
    free(l.room)
    free(l.latencies)
    free(l)


cdef Load* load_new(list fds, bytes request, list slots, int pipeline) except NULL:
    cdef Load* load = <Load*>calloc(1, sizeof(Load))
    cdef Stream* s
    cdef epoll_event event
    cdef int i, k
    if load == NULL:
        raise MemoryError
    load.n_streams = <int>len(fds)
    load.n_slots = <int>len(slots)
    load.pipeline = pipeline
    load.request_n = <size_t>PyBytes_GET_SIZE(request)
    load.out_n = load.request_n * <size_t>pipeline
    load.epoll = epoll_create1(EPOLL_CLOEXEC)
    load.streams = <Stream*>calloc(load.n_streams, sizeof(Stream))
    load.slots = <size_t*>malloc((load.n_slots + 1) * sizeof(size_t))
    load.room = <char*>malloc(ROOM)
    load.latencies = <uint32_t*>malloc(LATENCIES * sizeof(uint32_t))
    try:
        if load.epoll < 0 or load.streams == NULL or load.slots == NULL or load.room == NULL or load.latencies == NULL:
            raise MemoryError
        for i in range(load.n_slots):
            load.slots[i] = slots[i]
        for i in range(10000):
            load.digits[4 * i] = <char>(c"0" + i // 1000)
            load.digits[4 * i + 1] = <char>(c"0" + i // 100 % 10)
            load.digits[4 * i + 2] = <char>(c"0" + i // 10 % 10)
            load.digits[4 * i + 3] = <char>(c"0" + i % 10)
        for i in range(load.n_streams):
            s = &load.streams[i]
            s.fd = fds[i]
            s.out = <char*>malloc(load.out_n)
            if s.out == NULL:
                raise MemoryError
            for k in range(pipeline):
                memcpy(s.out + <size_t>k * load.request_n, PyBytes_AS_STRING(request), load.request_n)
            event.events = EPOLLIN
            event.data.u64 = <uint64_t>i
            if epoll_ctl(load.epoll, EPOLL_CTL_ADD, s.fd, &event):
                raise OSError(errno, "a connection can't be watched")
    except BaseException:
        load_free(load)
        raise
    return load


def run(list fds not None, bytes request not None, int64_t requests, *, int pipeline=1, int replies=1,
        int64_t numbers=1000000, int64_t in_order_from=-1, uint64_t seed=1, double seconds=60):
    """Sends `requests` requests over connected sockets and waits for the replies.

    fds: the sockets' descriptors.  request: one request's bytes; each b"__rand_int__" in it becomes 12 digits.
    pipeline: requests a connection sends at a time.  replies: that one request gets, when it is several commands
    (MULTI ... EXEC).  numbers: the digits are of 0..numbers-1 (at most 2**32), at
    random; or, with in_order_from, one after another from that number on, over all connections.  seconds: no batch is
    sent after that time.

    Returns a dict: requests (answered), seconds (wall clock), cpu (of this thread, seconds), nils, errors, error (the
    first one's text), p50, p99 and worst (of a batch's time from send to its last reply, seconds;
    of the first million batches).
    ConnectionError: a connection ended, or the server fell silent for ten seconds past the time.
    """
    cdef Load* load
    cdef int64_t began, cpu
    cdef int failed
    cdef list slots = []
    at = request.find(SLOT)
    while at >= 0:
        slots.append(at)
        at = request.find(SLOT, at + DIGITS)
    if not fds or not request or pipeline < 1 or replies < 1 or requests < 1 or not 1 <= numbers <= 2**32:
        raise ValueError("fds, request, requests, pipeline, replies and numbers must not be empty or zero")
    load = load_new(fds, request, slots, pipeline)
    try:
        load.numbers = numbers
        load.replies = replies
        load.next_number = in_order_from
        load.random = (seed * <uint64_t>2685821657736338717) | 1
        load.to_send = requests
        with nogil:
            began = clock_ns(CLOCK_MONOTONIC)
            cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID)
            load.deadline = began + <int64_t>(seconds * 1e9)
            failed = load_run(load)
            cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu
            began = clock_ns(CLOCK_MONOTONIC) - began
            qsort(load.latencies, <size_t>load.n_latencies, sizeof(uint32_t), compare)
        if failed:
            raise ConnectionError(f"the server ended a connection or fell silent after {load.done} replies")
        return {
            "requests": load.done // replies,
            "seconds": began / 1e9,
            "cpu": cpu / 1e9,
            "nils": load.nils,
            "errors": load.errors,
            "error": load.error.decode("utf-8", "replace"),
            "p50": load.latencies[load.n_latencies // 2] / 1e9 if load.n_latencies else 0.0,
            "worst": load.latencies[load.n_latencies - 1] / 1e9 if load.n_latencies else 0.0,
            "p99": load.latencies[load.n_latencies * 99 // 100] / 1e9 if load.n_latencies else 0.0,
        }
    finally:
        load_free(load)
