# The thread: wait, receive, step, perform.  It never takes the GIL.

cdef enum:
    TAG_TIMER = 0
    TAG_WAKE = 1
    TAG_MONITOR = 2
    TAG_ARP = 3
    TAG_NDP = 4
    TAG_BFD = 8
    TAG_SOCKET = 16
    DATAGRAMS = 512         # read from a socket before others get their turn

cdef int64_t REFUSED_PERIOD = 10000000000


cdef void refuse_datagram(CHost* h, int number, const CAdvert* a, int failure) noexcept nogil:
    """Counts a datagram that is no advert, also for the router whose VRID it names, and tells of one in ten seconds."""
    cdef int64_t now = clock_ns(CLOCK_MONOTONIC)
    cdef CEvent e
    memset(&e, 0, sizeof(e))
    e.kind, e.interface, e.router, e.value, e.id = EV_REFUSED, number, a.vrid, failure, a.family
    step_and_perform(h, &e)
    h.node.failures[failure] += 1
    if h.refused_told == 0 or now - h.refused_told >= REFUSED_PERIOD:
        h.refused_told = now
        notice(h, NOTICE_REFUSED, number, failure, 0, 0)


cdef void receive_v4(CHost* h, int number, int fd) noexcept nogil:
    cdef CAdvert a
    cdef CEvent e
    cdef ssize_t n
    cdef int i, failure
    for i in range(DATAGRAMS):
        n = recv(fd, h.received, RECEIVE_ROOM, MSG_DONTWAIT)
        if n < 0:
            return
        failure = advert_decode_ipv4(&a, h.received, <size_t>n)
        if failure:
            refuse_datagram(h, number, &a, failure)
            continue
        memset(&e, 0, sizeof(e))
        e.kind, e.interface, e.advert = EV_ADVERT, number, &a
        step_and_perform(h, &e)


cdef void receive_v6(CHost* h, int number, int fd) noexcept nogil:
    """The kernel took the IPv6 header off: hop limit and destination come beside the message."""
    cdef CAdvert a
    cdef CEvent e
    cdef sockaddr_in6 source
    cdef uint8_t[256] control
    cdef iovec vector
    cdef msghdr message
    cdef cmsghdr* c
    cdef ssize_t n
    cdef int i, failure, hops
    for i in range(DATAGRAMS):
        memset(&message, 0, sizeof(message))
        vector.iov_base, vector.iov_len = h.received, RECEIVE_ROOM
        message.msg_name, message.msg_namelen = &source, sizeof(source)
        message.msg_iov, message.msg_iovlen = &vector, 1
        message.msg_control, message.msg_controllen = control, 256
        n = recvmsg(fd, &message, MSG_DONTWAIT)
        if n < 0:
            return
        memset(&a, 0, sizeof(a))
        a.family = 6
        memcpy(a.source, &source.sin6_addr, 16)
        c = CMSG_FIRSTHDR(&message)
        while c != NULL:
            if c.cmsg_level == IPPROTO_IPV6 and c.cmsg_type == IPV6_HOPLIMIT:
                memcpy(&hops, CMSG_DATA(c), sizeof(int))
                a.ttl = <uint8_t>hops
            elif c.cmsg_level == IPPROTO_IPV6 and c.cmsg_type == IPV6_PKTINFO:
                memcpy(a.destination, CMSG_DATA(c), 16)
            c = CMSG_NXTHDR(&message, c)
        failure = advert_decode_message(&a, h.received, 0, <size_t>n)
        if failure:
            refuse_datagram(h, number, &a, failure)
            continue
        memset(&e, 0, sizeof(e))
        e.kind, e.interface, e.advert = EV_ADVERT, number, &a
        step_and_perform(h, &e)


cdef void check_heartbeat(CHost* h, int64_t now) noexcept nogil:
    """A hung owner must not stay master."""
    cdef CEvent e
    cdef bint hung
    if h.hang_timeout <= 0:
        return
    hung = now - h.touched >= h.hang_timeout
    if hung == h.hung:
        return
    h.hung = hung
    memset(&e, 0, sizeof(e))
    e.kind, e.value = EV_HUNG, hung
    step_and_perform(h, &e)


cdef void arm(CHost* h) noexcept nogil:
    """The timer for the machine's next deadline, the heartbeat's end and the next announcements."""
    cdef itimerspec at
    cdef int i
    cdef int64_t due = node_next_deadline(h.node)
    if h.hang_timeout > 0 and not h.hung and h.touched + h.hang_timeout < due:
        due = h.touched + h.hang_timeout
    if h.announcing > 0 and h.announce_at < due:
        due = h.announce_at
    for i in range(h.interface_count):
        if 0 < h.interfaces[i].settles_at < due:
            due = h.interfaces[i].settles_at
    for i in range(h.bfd_count):
        if bfd_next_deadline(&h.bfd[i].session) < due:
            due = bfd_next_deadline(&h.bfd[i].session)
    memset(&at, 0, sizeof(at))
    if due != NEVER:
        if due < 1:
            due = 1
        at.it_value.tv_sec, at.it_value.tv_nsec = due // 1000000000, due % 1000000000
    timerfd_settime(h.timer, TFD_TIMER_ABSTIME, &at, NULL)


cdef void turn(CHost* h, epoll_event* events, int n) noexcept nogil:
    """One turn with the lock held.  What arrived comes first: a backup that slept must hear its master before it looks
    at the time; the machine itself looks at the time before anything else where it is master."""
    cdef CEvent e
    cdef uint64_t ignored
    cdef int i, k
    for i in range(n):
        if events[i].data.u64 >= TAG_SOCKET:
            k = <int>(events[i].data.u64 - TAG_SOCKET)
            if k // SOCKET_COUNT >= h.interface_count:
                continue
            if h.interfaces[k // SOCKET_COUNT].sockets[k % SOCKET_COUNT] < 0:
                continue
            if k % SOCKET_COUNT == SOCKET_V6:
                receive_v6(h, k // SOCKET_COUNT, h.interfaces[k // SOCKET_COUNT].sockets[SOCKET_V6])
            else:
                receive_v4(h, k // SOCKET_COUNT, h.interfaces[k // SOCKET_COUNT].sockets[k % SOCKET_COUNT])
        elif events[i].data.u64 == TAG_TIMER:
            read(h.timer, &ignored, 8)
        elif events[i].data.u64 == TAG_WAKE:
            read(h.wake, &ignored, 8)
        elif events[i].data.u64 == TAG_ARP:
            read_claims(h, h.arp)
        elif events[i].data.u64 == TAG_NDP:
            read_claims(h, h.ndp)
        elif TAG_BFD <= events[i].data.u64 < TAG_BFD + 4:
            read_bfd(h, <int>(events[i].data.u64 - TAG_BFD))
    for i in range(n):
        if events[i].data.u64 == TAG_MONITOR:
            read_monitor(h)
    settle_links(h, clock_ns(CLOCK_MONOTONIC))
    check_heartbeat(h, clock_ns(CLOCK_MONOTONIC))
    run_bfd(h)
    if node_next_deadline(h.node) <= clock_ns(CLOCK_MONOTONIC):
        memset(&e, 0, sizeof(e))
        step_and_perform(h, &e)
    if h.announcing > 0:
        announce_some(h)
    if h.guardian_stale:
        guardian_spawn(h)
    arm(h)


cdef void run(CHost* h) noexcept nogil:
    cdef epoll_event[32] events
    cdef int n
    while not h.stopping:
        n = epoll_wait(h.epoll, events, 32, -1)
        if n < 0:
            if errno == EINTR:
                continue
            return
        pthread_mutex_lock(&h.mutex)
        h.wakeups += 1
        turn(h, events, n)
        pthread_mutex_unlock(&h.mutex)
