# BFD sessions over UDP: RFC 5881 (single hop, port 3784, TTL 255), RFC 5883 (multi-hop, port 4784).
#
# One receiving socket a family and port; a packet finds its session by "your discriminator", or by its addresses while
# that is 0.  Each session sends from a socket of its own, with a source port from 49152 up (RFC 5881 section 4).

cdef enum:
    SINGLE_HOP_PORT = 3784
    MULTI_HOP_PORT = 4784
    FIRST_SOURCE_PORT = 49152


cdef int udp_socket(int family, const uint8_t* address, int port) noexcept nogil:
    """A UDP socket bound to an address (NULL: any) and port that sends with TTL 255 and tells what arrives with."""
    cdef sockaddr_in a4
    cdef sockaddr_in6 a6
    cdef int one = 1, hops = 255, failed
    cdef int fd = socket(AF_INET if family == 4 else AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
    if fd < 0:
        return -1
    if family == 4:
        memset(&a4, 0, sizeof(a4))
        a4.sin_family, a4.sin_port = <uint16_t>AF_INET, htons(<uint16_t>port)
        if address != NULL:
            memcpy(&a4.sin_addr, address, 4)
        setsockopt(fd, IPPROTO_IP, IP_TTL, &hops, sizeof(int))
        setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(int))
        failed = bind(fd, <sockaddr*>&a4, sizeof(a4))
    else:
        memset(&a6, 0, sizeof(a6))
        a6.sin6_family, a6.sin6_port = <uint16_t>AF_INET6, htons(<uint16_t>port)
        if address != NULL:
            memcpy(&a6.sin6_addr, address, 16)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(int))
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(int))
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(int))
        failed = bind(fd, <sockaddr*>&a6, sizeof(a6))
    if failed < 0:
        close(fd)
        return -1
    return fd


cdef int open_sender(CHost* h, const CBfd* b) noexcept nogil:
    cdef int i, fd
    for i in range(256):
        fd = udp_socket(b.family, b.local, FIRST_SOURCE_PORT + (h.bfd_ports + i) % (65536 - FIRST_SOURCE_PORT))
        if fd >= 0:
            h.bfd_ports += i + 1
            return fd
    return -1


cdef void open_bfd(CHost* h) noexcept nogil:
    """What the sessions need and is not open; tried again later when an address is not there yet."""
    cdef CBfd* b
    cdef int i, k
    for i in range(h.bfd_count):
        b = &h.bfd[i]
        k = (2 if b.multihop else 0) + (1 if b.family == 6 else 0)
        if h.bfd_receivers[k] < 0:
            h.bfd_receivers[k] = udp_socket(b.family, NULL, MULTI_HOP_PORT if b.multihop else SINGLE_HOP_PORT)
            if h.bfd_receivers[k] < 0:
                notice(h, NOTICE_BFD_SOCKET, i, errno, 0, 0)
                continue
            watch(h, h.bfd_receivers[k], TAG_BFD + <uint64_t>k)
        if b.sender < 0:
            b.sender = open_sender(h, b)


cdef void bfd_send(CHost* h, CBfd* b, const CControl* packet) noexcept nogil:
    cdef uint8_t[24] data
    cdef sockaddr_in a4
    cdef sockaddr_in6 a6
    cdef uint16_t port = htons(<uint16_t>(MULTI_HOP_PORT if b.multihop else SINGLE_HOP_PORT))
    if b.sender < 0:
        b.sender = open_sender(h, b)
        if b.sender < 0:
            return
    control_encode(packet, data)
    if b.family == 4:
        memset(&a4, 0, sizeof(a4))
        a4.sin_family, a4.sin_port = <uint16_t>AF_INET, port
        memcpy(&a4.sin_addr, b.remote, 4)
        sendto(b.sender, data, 24, MSG_DONTWAIT, <sockaddr*>&a4, sizeof(a4))
    else:
        memset(&a6, 0, sizeof(a6))
        a6.sin6_family, a6.sin6_port = <uint16_t>AF_INET6, port
        memcpy(&a6.sin6_addr, b.remote, 16)
        if b.device >= 0:
            a6.sin6_scope_id = <uint32_t>h.interfaces[b.device].index
        sendto(b.sender, data, 24, MSG_DONTWAIT, <sockaddr*>&a6, sizeof(a6))


cdef void bfd_apply(CHost* h, int number, int event, const CControl* packet) noexcept nogil:
    """One event of a session; what follows for the VRRP machine: the tracker's value, and peer_down."""
    cdef CBfd* b = &h.bfd[number]
    cdef CEvent e
    cdef int i
    bfd_step(&b.session, event, packet, clock_ns(CLOCK_MONOTONIC))
    for i in range(b.session.out_count):
        bfd_send(h, b, &b.session.out[i])
    if not b.session.changed:
        return
    notice(h, NOTICE_BFD, number, b.session.old_state * 16 + b.session.state, b.session.diagnostic, 0)
    if b.session.peer_down:
        memset(&e, 0, sizeof(e))
        e.kind, e.value = EV_PEER_DOWN, b.family
        memcpy(e.address, b.remote, 16)
        step_and_perform(h, &e)
    if b.tracker >= 0:
        memset(&e, 0, sizeof(e))
        e.kind, e.router, e.value = EV_TRACKER, b.tracker, b.session.state == BFD_UP
        step_and_perform(h, &e)


cdef void bfd_packet(
    CHost* h, const uint8_t* data, size_t n, int family, bint multihop, const uint8_t* source, int ttl
) noexcept nogil:
    cdef CControl packet
    cdef CBfd* b
    cdef int i
    if control_decode(&packet, data, n) != 0:
        h.bfd_refused += 1
        return
    for i in range(h.bfd_count):
        b = &h.bfd[i]
        if b.family != family or b.multihop != multihop:
            continue
        if memcmp(b.remote, source, 4 if family == 4 else 16) != 0:
            continue
        if packet.yours != 0 and packet.yours != b.session.discriminator:
            continue
        if ttl < b.lowest_ttl:
            break
        bfd_apply(h, i, BFD_EV_PACKET, &packet)
        return
    h.bfd_refused += 1


cdef void read_bfd(CHost* h, int kind) noexcept nogil:
    cdef int fd = h.bfd_receivers[kind], i, ttl
    cdef sockaddr_in a4
    cdef sockaddr_in6 a6
    cdef uint8_t[128] control
    cdef iovec vector
    cdef msghdr message
    cdef cmsghdr* c
    cdef ssize_t n
    cdef bint six = kind & 1
    for i in range(DATAGRAMS):
        memset(&message, 0, sizeof(message))
        vector.iov_base, vector.iov_len = h.received, 512
        if six:
            message.msg_name, message.msg_namelen = &a6, sizeof(a6)
        else:
            message.msg_name, message.msg_namelen = &a4, sizeof(a4)
        message.msg_iov, message.msg_iovlen = &vector, 1
        message.msg_control, message.msg_controllen = control, 128
        n = recvmsg(fd, &message, MSG_DONTWAIT)
        if n < 0:
            return
        ttl = 0
        c = CMSG_FIRSTHDR(&message)
        while c != NULL:
            if (c.cmsg_level == IPPROTO_IP and c.cmsg_type == IP_TTL) or (
                    c.cmsg_level == IPPROTO_IPV6 and c.cmsg_type == IPV6_HOPLIMIT):
                memcpy(&ttl, CMSG_DATA(c), sizeof(int))
            c = CMSG_NXTHDR(&message, c)
        if six:
            bfd_packet(h, h.received, <size_t>n, 6, kind >= 2, <uint8_t*>&a6.sin6_addr, ttl)
        else:
            bfd_packet(h, h.received, <size_t>n, 4, kind >= 2, <uint8_t*>&a4.sin_addr, ttl)


cdef void run_bfd(CHost* h) noexcept nogil:
    cdef int i
    for i in range(h.bfd_count):
        if bfd_next_deadline(&h.bfd[i].session) <= clock_ns(CLOCK_MONOTONIC):
            bfd_apply(h, i, BFD_EV_DEADLINE, NULL)


cdef void goodbye_bfd(CHost* h) noexcept nogil:
    """AdminDown to every peer: a stop is no failure."""
    cdef int i
    for i in range(h.bfd_count):
        bfd_apply(h, i, BFD_EV_DISABLE, NULL)
