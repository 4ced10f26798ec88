"""The loop over epoll (contract and rules: loop.pxd).

A connection costs one epoll_ctl when it comes and one when it goes; EPOLLOUT is asked for only while the socket is full.
An iteration makes one epoll_wait, one read a readable connection and one write a connection with replies.

Connections are edge-triggered (level-triggered, the kernel looks at each socket twice: once to report it, once more in
the next wait to find that it is empty).  A read that comes back short has emptied the socket: epoll(7).  One that fills
its buffer, or whose event said that the peer has stopped sending, is repeated in the next iteration (loop.mores).

All reads go to one buffer of the loop, behind each other, so that everything that was readable is handed to the host as
one batch: small requests of many clients share a few cache lines, and the host may parse all of them before it runs
the first.

        +---------+--------+----------------+--------------------- - - -
        | conn 7  | conn 3 | conn 12        |  free: at most READ_MAX for the next
        +---------+--------+----------------+--------------------- - - -
        batch[0]   batch[1] batch[2]         when less than READ_MIN is left, the batch is delivered first

Spinning: a wake-up from epoll_wait costs more than a request.  While the mean time from "nothing to do" to the next
event is below the limit that the host gives, the loop polls up to that limit before it sleeps; when polling has not paid
for some rounds, the mean rises above the limit and the loop sleeps at once, until requests come in quick succession again.
"""

from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from libkv.server.loop cimport (
    CONN_CHANGED, CONN_CLOSING, CONN_EOF, CONN_IN, CONN_LISTED, CONN_MORE, CONN_OUT, CONN_READ, CONN_SENDING, LOOP_FDS,
    LOOP_LISTENERS, LOOP_OPEN_WORDS, LOOP_TIMERS, Conn, Loop, Received, Slot, kv_atomic_swap, loop_close,
)
from libkv.server.syscalls cimport (
    CLOCK_MONOTONIC, EFD_CLOEXEC, EFD_NONBLOCK, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP,
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, MSG_DONTWAIT, O_CLOEXEC, O_RDONLY, SHUT_WR,
    SOCK_CLOEXEC, SOCK_NONBLOCK, accept4, c_open, clock_gettime, close, epoll_create1, epoll_ctl, epoll_event,
    epoll_wait, eventfd, kv_recv, kv_send, read, recv, shutdown, sockaddr, sockaddr_storage, socklen_t, timespec,
)

cdef enum:
    READ_BUFFER = 128 * 1024
    READ_MAX = 64 * 1024
    READ_MIN = 16 * 1024
    EVENTS = 256                # a wait
    ACCEPTS = 128               # an iteration and listener
    LONGEST_WAIT = 3600000      # ms
    # what an event is about: the low half of its data is kind << 28 | index, the high half a slot's generation
    KIND_CONN = 0
    KIND_LISTENER = 1
    KIND_WAKE = 2
    KIND_FD = 3
    INDEX_BITS = 28
    NO_SLOT = (1 << 28) - 1

cdef struct Epoll:
    int fd
    int reserve                 # a descriptor to give up when there are no others: see epoll_accept_refused
    bint accept_paused
    int tags[LOOP_LISTENERS]
    uint32_t free_slot          # the first free slot, or NO_SLOT
    char* buffer
    Received batch[EVENTS]
    epoll_event events[EVENTS]


cdef int64_t epoll_now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec * 1000000 + t.tv_nsec // 1000


cdef inline uint64_t epoll_key(int kind, uint32_t index, uint32_t generation) noexcept nogil:
    return (<uint64_t>generation << 32) | (<uint32_t>kind << INDEX_BITS) | index


cdef int epoll_set(Epoll* e, int op, int fd, uint32_t events, uint64_t key) noexcept nogil:
    cdef epoll_event ev
    memset(&ev, 0, sizeof(ev))
    ev.events = events
    ev.data.u64 = key
    return 0 if epoll_ctl(e.fd, op, fd, &ev) == 0 else errno


# ---------------------------------------------------------------------------------------------------------------------
# opening and closing

cdef int epoll_open(Loop* l) noexcept nogil:
    cdef Epoll* e = <Epoll*>calloc(1, sizeof(Epoll))
    cdef int error = ENOMEM
    if e == NULL:
        return ENOMEM
    e.fd = e.reserve = l.wake_fd = -1
    e.free_slot = NO_SLOT
    e.buffer = <char*>malloc(READ_BUFFER)
    if e.buffer != NULL:
        e.fd = epoll_create1(EPOLL_CLOEXEC)
        if e.fd >= 0:
            l.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if l.wake_fd >= 0:
            e.reserve = c_open(b"/dev/null", O_RDONLY | O_CLOEXEC)
        error = errno if e.reserve < 0 else epoll_set(e, EPOLL_CTL_ADD, l.wake_fd, EPOLLIN, epoll_key(KIND_WAKE, 0, 0))
    l.backend = e
    l.gap_us = 1000000
    l.now_us = epoll_now()
    if error:
        epoll_shut(l)
    return error


cdef void epoll_close_all(Loop* l) noexcept nogil:
    cdef uint32_t i
    for i in range(l.n_slots):
        if l.slots[i].conn != NULL:
            loop_close(l, l.slots[i].conn)
    epoll_close_asked(l, <Epoll*>l.backend)


cdef void epoll_shut(Loop* l) noexcept nogil:
    cdef Epoll* e = <Epoll*>l.backend
    if e == NULL:
        return
    epoll_close_all(l)
    epoll_listen_stop(l)
    if e.fd >= 0:
        close(e.fd)
    if e.reserve >= 0:
        close(e.reserve)
    if l.wake_fd >= 0:
        close(l.wake_fd)
    l.wake_fd = -1
    free(e.buffer)
    free(e)
    free(l.slots)
    l.slots = NULL
    l.n_slots = 0
    l.backend = NULL


cdef inline void epoll_mark_open(Loop* l, int fd, bint is_open) noexcept nogil:
    if fd < LOOP_OPEN_WORDS * 64:
        if is_open:
            l.open_fds[fd >> 6] |= <uint64_t>1 << (fd & 63)
        else:
            l.open_fds[fd >> 6] &= ~(<uint64_t>1 << (fd & 63))


cdef void epoll_forget(Loop* l) noexcept nogil:
    """The fork may have come at any moment: only the set of descriptors, changed word by word, can be relied on."""
    cdef Epoll* e = <Epoll*>l.backend
    cdef int i
    for i in range(LOOP_OPEN_WORDS * 64):
        if l.open_fds[i >> 6] >> (i & 63) & 1:
            close(i)
    memset(l.open_fds, 0, sizeof(l.open_fds))
    if e != NULL:
        close(e.fd)
        close(e.reserve)
        close(l.wake_fd)
        e.fd = e.reserve = l.wake_fd = -1


# ---------------------------------------------------------------------------------------------------------------------
# slots

cdef int epoll_slot_take(Loop* l, Epoll* e, Conn* c) noexcept nogil:
    """Gives the connection a number; 0 or ENOMEM."""
    cdef uint32_t i, cap
    cdef Slot* grown
    if e.free_slot == NO_SLOT:
        cap = l.n_slots * 2 if l.n_slots else 64
        if cap > NO_SLOT:
            return ENOMEM
        grown = <Slot*>realloc(l.slots, cap * sizeof(Slot))
        if grown == NULL:
            return ENOMEM
        l.slots = grown
        for i in range(l.n_slots, cap):
            grown[i].generation = 0
            grown[i].conn = NULL
            grown[i].next_free = i + 1 if i + 1 < cap else <uint32_t>NO_SLOT
        e.free_slot = l.n_slots
        l.n_slots = cap
    i = e.free_slot
    e.free_slot = l.slots[i].next_free
    l.slots[i].conn = c
    c.slot = i
    l.n_conns += 1
    return 0


cdef void epoll_slot_give(Loop* l, Epoll* e, uint32_t i) noexcept nogil:
    l.slots[i].generation += 1
    l.slots[i].conn = NULL
    l.slots[i].next_free = e.free_slot
    e.free_slot = i
    l.n_conns -= 1


cdef inline uint64_t epoll_conn_key(Loop* l, Conn* c) noexcept nogil:
    return epoll_key(KIND_CONN, c.slot, l.slots[c.slot].generation)


cdef void epoll_conn_watch(Loop* l, Epoll* e, Conn* c, uint32_t bits) noexcept nogil:
    """Makes the kernel report what `bits` (CONN_IN, CONN_OUT) say, by at most one call."""
    cdef uint32_t events = EPOLLET
    if c.state & (CONN_IN | CONN_OUT) == bits:
        return
    c.state = (c.state & ~<uint32_t>(CONN_IN | CONN_OUT)) | bits
    if bits & CONN_IN:
        events |= EPOLLIN | EPOLLRDHUP
    if bits & CONN_OUT:
        events |= EPOLLOUT
    if epoll_set(e, EPOLL_CTL_MOD, c.fd, events, epoll_conn_key(l, c)) != 0:
        loop_close(l, c)


# ---------------------------------------------------------------------------------------------------------------------
# accepting

cdef int epoll_listen(Loop* l, int fd, int tag) noexcept nogil:
    cdef Epoll* e = <Epoll*>l.backend
    cdef int error
    if l.n_listeners == LOOP_LISTENERS:
        return ENOSPC
    error = epoll_set(e, EPOLL_CTL_ADD, fd, EPOLLIN, epoll_key(KIND_LISTENER, l.n_listeners, 0))
    if error == 0:
        l.listeners[l.n_listeners] = fd
        e.tags[l.n_listeners] = tag
        l.n_listeners += 1
    return error


cdef void epoll_listen_stop(Loop* l) noexcept nogil:
    cdef Epoll* e = <Epoll*>l.backend
    cdef int i
    for i in range(l.n_listeners):
        epoll_set(e, EPOLL_CTL_DEL, l.listeners[i], 0, 0)
    l.n_listeners = 0


cdef void epoll_accept_pause(Loop* l, Epoll* e, bint pause) noexcept nogil:
    """Stops or resumes watching the listeners: a full process would be told again and again that it can't accept."""
    cdef int i
    if e.accept_paused == pause:
        return
    e.accept_paused = pause
    for i in range(l.n_listeners):
        epoll_set(e, EPOLL_CTL_MOD, l.listeners[i], 0 if pause else EPOLLIN, epoll_key(KIND_LISTENER, i, 0))


cdef void epoll_accept_refused(Loop* l, Epoll* e, int i) noexcept nogil:
    """Out of descriptors: gives up the reserve to take the connection and close it, so that its client knows."""
    cdef int fd
    if e.reserve >= 0:
        close(e.reserve)
    fd = accept4(l.listeners[i], NULL, NULL, SOCK_CLOEXEC)
    if fd >= 0:
        close(fd)
    e.reserve = c_open(b"/dev/null", O_RDONLY | O_CLOEXEC)
    if fd < 0 or e.reserve < 0:
        epoll_accept_pause(l, e, True)


cdef void epoll_accept_ready(Loop* l, Epoll* e, int i) noexcept nogil:
    cdef sockaddr_storage addr
    cdef socklen_t n
    cdef int fd, error
    cdef Conn* c
    for _ in range(ACCEPTS):
        n = sizeof(addr)
        fd = accept4(l.listeners[i], <sockaddr*>&addr, &n, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            error = errno
            if error == EINTR or error == ECONNABORTED:
                continue
            if error == EAGAIN:
                return
            l.on.on_accept_error(l.on.host, e.tags[i], error)
            if error == EMFILE or error == ENFILE:
                epoll_accept_refused(l, e, i)
            elif error == ENOBUFS or error == ENOMEM:
                epoll_accept_pause(l, e, True)
            return
        c = l.on.on_accept(l.on.host, e.tags[i], fd, &addr, n)
        if c == NULL:
            close(fd)
            continue
        c.fd = fd
        c.state = CONN_READ | CONN_IN
        error = epoll_slot_take(l, e, c)
        if error == 0:
            error = epoll_set(e, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, epoll_conn_key(l, c))
            if error:
                epoll_slot_give(l, e, c.slot)
            else:
                epoll_mark_open(l, fd, True)
        if error:
            # never was one of the loop's: closed and given back here
            l.on.on_accept_error(l.on.host, e.tags[i], error)
            close(fd)
            l.on.on_closed(l.on.host, c)


cdef void epoll_accept_now(Loop* l, int i) noexcept nogil:
    epoll_accept_ready(l, <Epoll*>l.backend, i)


# ---------------------------------------------------------------------------------------------------------------------
# sending

cdef void epoll_conn_write(Loop* l, Epoll* e, Conn* c) noexcept nogil:
    """One write; what the socket has no room for waits for EPOLLOUT."""
    cdef ssize_t r = kv_send(c.fd, c.out + c.out_at, c.out_n - c.out_at)
    cdef int error
    l.writes += 1
    if r >= 0:
        c.out_at += <size_t>r
        if c.out_at == c.out_n:
            c.state &= ~<uint32_t>CONN_SENDING
            c.out = NULL
            if c.state & CONN_OUT:
                epoll_conn_watch(l, e, c, c.state & CONN_IN)
            l.on.on_sent(l.on.host, c)
            return
    else:
        error = errno
        if error != EAGAIN and error != EINTR:
            l.on.on_error(l.on.host, c, error)
            loop_close(l, c)
            return
    epoll_conn_watch(l, e, c, (c.state & CONN_IN) | CONN_OUT)


cdef void epoll_flush(Loop* l, Epoll* e) noexcept nogil:
    cdef Conn* c = l.sends
    cdef Conn* following
    l.sends = NULL
    while c != NULL:
        following = c.next_send
        c.next_send = NULL
        c.state &= ~<uint32_t>CONN_LISTED
        # a socket that is known to be full is left to EPOLLOUT
        if c.state & CONN_SENDING and not c.state & (CONN_OUT | CONN_CLOSING):
            epoll_conn_write(l, e, c)
        c = following


cdef void epoll_close_asked(Loop* l, Epoll* e) noexcept nogil:
    cdef Conn* c
    cdef Conn** at
    while l.closes != NULL:
        c = l.closes
        l.closes = c.next_close
        if c.state & CONN_LISTED:
            at = &l.sends
            while at[0] != c:
                at = &at[0].next_send
            at[0] = c.next_send
        if c.state & CONN_CHANGED:
            at = &l.changes
            while at[0] != c:
                at = &at[0].next_change
            at[0] = c.next_change
        if c.state & CONN_MORE:
            at = &l.mores
            while at[0] != c:
                at = &at[0].next_more
            at[0] = c.next_more
        if not c.state & CONN_EOF:
            # A socket closed with unread data resets the connection, and takes our last reply away from the peer:
            # what has arrived is taken off.
            shutdown(c.fd, SHUT_WR)
            recv(c.fd, e.buffer, READ_BUFFER, MSG_DONTWAIT)
        # without this a forked child's copy of the descriptor would keep its events coming
        epoll_set(e, EPOLL_CTL_DEL, c.fd, 0, 0)
        epoll_slot_give(l, e, c.slot)
        # before the number can belong to somebody else
        epoll_mark_open(l, c.fd, False)
        close(c.fd)
        l.on.on_closed(l.on.host, c)


cdef void epoll_apply_changes(Loop* l, Epoll* e) noexcept nogil:
    """loop_recv's wishes."""
    cdef Conn* c
    cdef uint32_t bits
    while l.changes != NULL:
        c = l.changes
        l.changes = c.next_change
        c.state &= ~<uint32_t>CONN_CHANGED
        if not c.state & CONN_CLOSING:
            bits = c.state & CONN_OUT
            if c.state & CONN_READ and not c.state & CONN_EOF:
                bits |= CONN_IN
            epoll_conn_watch(l, e, c, bits)


# ---------------------------------------------------------------------------------------------------------------------
# one iteration

cdef inline int epoll_deliver(Loop* l, Epoll* e, int n) noexcept nogil:
    if n:
        l.on.on_data(l.on.host, e.batch, n)
    return 0


cdef void epoll_conn_ready(Loop* l, Epoll* e, Conn* c, uint32_t events, int* n, size_t* used) noexcept nogil:
    """A connection's event: room to send, data (appended to the batch), end or error."""
    cdef ssize_t r
    cdef size_t room
    cdef int error
    if c.state & CONN_CLOSING:
        return
    if events & EPOLLOUT and c.state & CONN_SENDING:
        epoll_conn_write(l, e, c)
    if not events & (EPOLLIN | EPOLLERR | EPOLLHUP) or c.state & CONN_CLOSING:
        return
    if not c.state & CONN_IN and not events & (EPOLLERR | EPOLLHUP):
        return
    if READ_BUFFER - used[0] < READ_MIN or n[0] == EVENTS:
        n[0] = epoll_deliver(l, e, n[0])
        used[0] = 0
    room = READ_BUFFER - used[0]
    if room > READ_MAX:
        room = READ_MAX
    r = kv_recv(c.fd, e.buffer + used[0], room)
    l.reads += 1
    if r > 0:
        e.batch[n[0]].conn = c
        e.batch[n[0]].p = e.buffer + used[0]
        e.batch[n[0]].n = <size_t>r
        n[0] += 1
        used[0] += <size_t>r
        if (<size_t>r == room or events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) and not c.state & CONN_MORE:
            c.state |= CONN_MORE
            c.next_more = l.mores
            l.mores = c
        return
    error = errno
    if r < 0 and (error == EAGAIN or error == EINTR):
        return
    # what was read before comes before the end of it
    n[0] = epoll_deliver(l, e, n[0])
    used[0] = 0
    if c.state & CONN_CLOSING:
        return
    if r < 0:
        l.on.on_error(l.on.host, c, error)
        loop_close(l, c)
    elif not c.state & CONN_EOF:
        c.state |= CONN_EOF
        epoll_conn_watch(l, e, c, c.state & CONN_OUT)
        l.on.on_eof(l.on.host, c)
        if events & (EPOLLERR | EPOLLHUP):
            loop_close(l, c)
    elif events & (EPOLLERR | EPOLLHUP):
        loop_close(l, c)


cdef int epoll_wait_ms(Loop* l, int64_t timeout_us, int64_t now) noexcept nogil:
    """How long to sleep: the caller's limit or the next timer, rounded up; -1 for ever."""
    cdef int64_t at = 0, left
    cdef int i
    if timeout_us >= 0:
        at = now + timeout_us
    for i in range(LOOP_TIMERS):
        if l.timers[i] and (at == 0 or l.timers[i] < at):
            at = l.timers[i]
    if at == 0:
        return -1
    left = at - now
    if left <= 0:
        return 0
    return LONGEST_WAIT if left >= <int64_t>LONGEST_WAIT * 1000 else <int>((left + 999) // 1000)


cdef int epoll_sleep(Loop* l, Epoll* e, int64_t timeout_us, int64_t spin_us) noexcept nogil:
    cdef int n, ms
    cdef int64_t began = epoll_now(), now = began, gap
    l.waits += 1
    if l.sends != NULL or l.mores != NULL or l.again:
        l.again = False
        n = epoll_wait(e.fd, e.events, EVENTS, 0)
        l.now_us = epoll_now()
        return n
    ms = epoll_wait_ms(l, timeout_us, began)
    if spin_us <= 0 or ms == 0:
        n = epoll_wait(e.fd, e.events, EVENTS, ms)
        l.now_us = epoll_now()
        return n
    n = 0
    if l.gap_us <= spin_us:
        n = epoll_wait(e.fd, e.events, EVENTS, 0)
        while n == 0:
            l.spins += 1
            now = epoll_now()
            if now - began >= spin_us:
                break
            n = epoll_wait(e.fd, e.events, EVENTS, 0)
    if n == 0:
        n = epoll_wait(e.fd, e.events, EVENTS, ms)
    now = epoll_now()
    # A long silence counts as no more than four times the limit: three of them end the spinning, ten quick rounds
    # bring it back.
    gap = now - began
    if gap > 4 * spin_us or n == 0:
        gap = 4 * spin_us
    if l.gap_us > 4 * spin_us:
        l.gap_us = 4 * spin_us
    l.gap_us += (gap - l.gap_us) // 8
    l.now_us = now
    return n


cdef void epoll_take(Loop* l, Epoll* e, int count) noexcept nogil:
    cdef Conn* more = l.mores
    cdef Conn* c
    cdef int i, n = 0
    cdef size_t used = 0
    cdef uint64_t key, junk
    cdef uint32_t index, kind
    cdef bint wake = False
    l.mores = NULL
    while more != NULL:
        c = more
        more = c.next_more      # taken first: the read may put it on the list again
        c.state &= ~<uint32_t>CONN_MORE
        if c.state & CONN_IN:
            epoll_conn_ready(l, e, c, EPOLLIN, &n, &used)
    for i in range(count):
        key = e.events[i].data.u64
        index = <uint32_t>key & NO_SLOT
        kind = <uint32_t>key >> INDEX_BITS
        if kind == KIND_CONN:
            if index < l.n_slots and l.slots[index].generation == <uint32_t>(key >> 32):
                epoll_conn_ready(l, e, l.slots[index].conn, e.events[i].events, &n, &used)
        elif kind == KIND_LISTENER:
            if <int>index < l.n_listeners:
                epoll_accept_ready(l, e, index)
        elif kind == KIND_WAKE:
            # read first, then taken back, then looked at: a wake that comes in between is written again
            read(l.wake_fd, &junk, 8)
            kv_atomic_swap(&l.woken, 0)
            wake = True
        elif l.fds[index] >= 0:
            l.on.on_fd(l.on.host, l.fds[index], e.events[i].events)
    epoll_deliver(l, e, n)
    if wake:
        l.on.on_wake(l.on.host)


cdef void epoll_fire(Loop* l, Epoll* e) noexcept nogil:
    cdef int i
    for i in range(LOOP_TIMERS):
        if l.timers[i] and l.timers[i] <= l.now_us:
            l.timers[i] = 0
            epoll_accept_pause(l, e, False)
            l.on.on_timer(l.on.host, i)


cdef void epoll_run_once(Loop* l, int64_t timeout_us, int64_t spin_us) noexcept nogil:
    cdef Epoll* e = <Epoll*>l.backend
    cdef int n = epoll_sleep(l, e, timeout_us, spin_us)
    if n > 0 or l.mores != NULL:
        epoll_take(l, e, n)
    epoll_fire(l, e)
    l.on.on_round(l.on.host)
    if l.sends != NULL:
        epoll_flush(l, e)
    if l.changes != NULL:
        epoll_apply_changes(l, e)
    if l.closes != NULL:
        epoll_close_asked(l, e)


# ---------------------------------------------------------------------------------------------------------------------
# other descriptors

cdef int epoll_watch_fd(Loop* l, int fd) noexcept nogil:
    cdef Epoll* e = <Epoll*>l.backend
    cdef int i = 0, error
    for i in range(l.n_fds + 1):
        if i == LOOP_FDS:
            return ENOSPC
        if i == l.n_fds or l.fds[i] < 0:
            break
    error = epoll_set(e, EPOLL_CTL_ADD, fd, EPOLLIN, epoll_key(KIND_FD, i, 0))
    if error == 0:
        l.fds[i] = fd
        if i == l.n_fds:
            l.n_fds += 1
    return error


cdef void epoll_unwatch_fd(Loop* l, int fd) noexcept nogil:
    cdef int i
    for i in range(l.n_fds):
        if l.fds[i] == fd:
            epoll_set(<Epoll*>l.backend, EPOLL_CTL_DEL, fd, 0, 0)
            l.fds[i] = -1
