# Links as the kernel has them: sockets by interface, delays, dumps, the monitor.

cdef enum:
    DUMPS = 4               # tries, when others change what is being read


cdef void close_sockets(CHost* h, CInterface* device) noexcept nogil:
    cdef int i
    for i in range(SOCKET_COUNT):
        if device.sockets[i] >= 0:
            close(device.sockets[i])        # epoll forgets it by itself
            device.sockets[i] = -1


cdef bint multicasts(const CHost* h, int slot, int number, int family) noexcept nogil:
    """Whether a router needs its group's packets on an interface."""
    cdef const CRouter* r = &h.node.routers[slot]
    return h.places[slot].used and r.interface == number and r.family == family and not r.unicast


cdef int open_v4(CHost* h, int number, int protocol) noexcept nogil:
    cdef CInterface* device = &h.interfaces[number]
    cdef int one = 1, zero = 0, room = 1024 * 1024, slot
    cdef bint joined = True
    cdef ip_mreqn group
    cdef int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)
    if fd < 0:
        return -1
    memset(&group, 0, sizeof(group))
    group.imr_ifindex = device.index
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(int))
    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &zero, sizeof(int))
    if (
        setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device.index, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &one, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)) < 0
    ):
        close(fd)
        return -1
    for slot in range(h.place_count):
        if multicasts(h, slot, number, 4):
            memcpy(&group.imr_multiaddr, h.places[slot].group, 4)
            if setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 and errno != EADDRINUSE:
                joined = False
    if not joined:
        close(fd)
        return -1
    return fd


cdef int open_v6(CHost* h, int number) noexcept nogil:
    cdef CInterface* device = &h.interfaces[number]
    cdef int one = 1, zero = 0, hops = 255, room = 1024 * 1024, tclass = 0xC0, slot
    cdef bint joined = True
    cdef ipv6_mreq group
    cdef int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 112)
    if fd < 0:
        return -1
    memset(&group, 0, sizeof(group))
    group.ipv6mr_interface = <unsigned int>device.index
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(int))
    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &zero, sizeof(int))
    setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof(int))
    if (
        setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device.index, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &device.index, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(int)) < 0
    ):
        close(fd)
        return -1
    for slot in range(h.place_count):
        if multicasts(h, slot, number, 6):
            memcpy(&group.ipv6mr_multiaddr, h.places[slot].group, 16)
            if setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof(group)) < 0 and errno != EADDRINUSE:
                joined = False
    if not joined:
        close(fd)
        return -1
    return fd


cdef void watch(CHost* h, int fd, uint64_t tag) noexcept nogil:
    cdef epoll_event e
    memset(&e, 0, sizeof(e))
    e.events = EPOLLIN
    e.data.u64 = tag
    epoll_ctl(h.epoll, EPOLL_CTL_ADD, fd, &e)


cdef void open_sockets(CHost* h, int number) noexcept nogil:
    """Opens what the interface's routers need and is not open.  Multicast membership needs the interface to exist."""
    cdef CInterface* device = &h.interfaces[number]
    cdef int i, fd
    for i in range(SOCKET_COUNT):
        if not device.wanted[i] or device.sockets[i] >= 0 or device.index == 0:
            continue
        fd = open_v6(h, number) if i == SOCKET_V6 else open_v4(h, number, 51 if i == SOCKET_AH else 112)
        if fd < 0:
            notice(h, NOTICE_SOCKET, number, errno, 0, 0)
            continue
        device.sockets[i] = fd
        watch(h, fd, TAG_SOCKET + <uint64_t>(number * SOCKET_COUNT + i))
        h.guardian_stale = 1


cdef bint needs_v4(const CInterface* device) noexcept nogil:
    return device.wanted[SOCKET_V4] or device.wanted[SOCKET_AH]


cdef void tell_followers(CHost* h, int number, bint running) noexcept nogil:
    """Trackers of kind "interface"."""
    cdef CEvent e
    cdef int i
    if h.quiet:
        return
    for i in range(h.follow_count):
        if h.follows[i].device != number or h.follows[i].told == running:
            continue
        h.follows[i].told = running
        memset(&e, 0, sizeof(e))
        e.kind, e.router, e.value = EV_TRACKER, h.follows[i].tracker, running
        step_and_perform(h, &e)


cdef void tell_link(CHost* h, int number) noexcept nogil:
    """The machine's link is up when the interface exists, runs, and has the addresses its routers send from and the
    macvlans that they need."""
    cdef CInterface* device = &h.interfaces[number]
    cdef CEvent e
    cdef int slot
    cdef bint up = device.index != 0 and device.running
    tell_followers(h, number, up)
    for slot in range(h.place_count):
        if h.places[slot].used and h.places[slot].vmac and h.node.routers[slot].interface == number:
            if h.interfaces[h.places[slot].device].index == 0:
                up = False                  # no macvlan, no place for the addresses
    if up and ((needs_v4(device) and not device.has_v4) or (device.wanted[SOCKET_V6] and not device.has_v6)):
        up = False
    if up == device.link or h.quiet:
        return
    device.link = up
    if number >= h.node.interface_count:
        return                              # no router sends there: it holds addresses, or a tracker follows it
    memset(&e, 0, sizeof(e))
    e.kind, e.interface, e.value = EV_LINK, number, up
    notice(h, NOTICE_LINK, number, up, 0, 0)
    step_and_perform(h, &e)


cdef void tell_primaries(CHost* h, int number) noexcept nogil:
    """Gives the interface's routers their source address, unless it is configured."""
    cdef CInterface* device = &h.interfaces[number]
    cdef CRouter* r
    cdef int slot
    for slot in range(h.place_count):
        r = &h.node.routers[slot]
        if not r.used or r.interface != number or not h.places[slot].used:
            continue
        if h.places[slot].fixed_source:
            if r.family == 4:
                device.has_v4 = 1
            else:
                device.has_v6 = 1
        elif r.family == 4 and device.has_v4:
            take_primary(h, r, device.v4, 4)
        elif r.family == 6 and device.has_v6:
            take_primary(h, r, device.v6, 16)


cdef void take_primary(CHost* h, CRouter* r, const uint8_t* address, size_t width) noexcept nogil:
    """A router's source address; the guardian needs it, too."""
    if memcmp(r.primary, address, width) != 0:
        memcpy(r.primary, address, width)
        h.guardian_stale = 1


cdef const uint8_t* attribute(const uint8_t* at, size_t n, int kind, size_t* length) noexcept nogil:
    """The value of the first attribute of a kind, or NULL."""
    cdef rtattr header
    while n >= 4:
        memcpy(&header, at, 4)
        if header.rta_len < 4 or header.rta_len > n:
            return NULL
        if (header.rta_type & 0x3FFF) == kind:
            length[0] = header.rta_len - 4
            return at + 4
        if padded(header.rta_len) >= n:
            return NULL
        at += padded(header.rta_len)
        n -= padded(header.rta_len)
    return NULL


cdef void lose_link(CHost* h, CInterface* device) noexcept nogil:
    """The interface is gone; others may depend on it."""
    close_sockets(h, device)
    device.index = 0
    device.running = device.carrier = 0
    device.settles_at = 0
    device.table = 0
    h.compare = 1


cdef void hear_carrier(CHost* h, CInterface* device, bint up, bint running) noexcept nogil:
    """A change counts when it has lasted for the interface's delay; an administrator's "down" and what is found at the
    start count at once."""
    cdef int64_t delay
    device.carrier = up and running
    if device.carrier == device.running:
        device.settles_at = 0
        return
    delay = device.up_delay if device.carrier else (device.down_delay if up else 0)
    if delay == 0 or not h.prepared:
        device.running = device.carrier
        device.settles_at = 0
    elif device.settles_at == 0:
        device.settles_at = clock_ns(CLOCK_MONOTONIC) + delay


cdef void settle_links(CHost* h, int64_t now) noexcept nogil:
    """Carrier changes whose delay is over."""
    cdef int i
    for i in range(h.interface_count):
        if 0 < h.interfaces[i].settles_at <= now:
            h.interfaces[i].settles_at = 0
            h.interfaces[i].running = h.interfaces[i].carrier
            tell_link(h, i)


cdef void hear_mac(CHost* h, int number, const uint8_t* mac) noexcept nogil:
    """An interface's MAC; where it changed (a bond that takes its active slave's), masters announce their addresses
    again."""
    cdef CInterface* device = &h.interfaces[number]
    cdef int slot, k
    if memcmp(device.mac, mac, 6) == 0:
        return
    memcpy(device.mac, mac, 6)
    for slot in range(h.place_count if h.prepared else 0):
        if not h.places[slot].used or h.node.routers[slot].state != MASTER:
            continue
        for k in range(h.places[slot].vip_count):
            if h.places[slot].vips[k].device == number:
                announce(h, slot, h.node.routers[slot].announce_repeat)
                break


cdef uint32_t vrf_table(const uint8_t* p, size_t n) noexcept nogil:
    """The table of a VRF device, from its attributes; 0 for any other device."""
    cdef size_t length = 0, inner = 0
    cdef uint32_t table = 0
    cdef const uint8_t* info = attribute(p, n, IFLA_LINKINFO, &length)
    cdef const uint8_t* kind
    cdef const uint8_t* data
    if info == NULL:
        return 0
    kind = attribute(info, length, IFLA_INFO_KIND, &inner)
    if kind == NULL or inner < 3 or memcmp(kind, b"vrf", 3) != 0 or (inner > 3 and kind[3] != 0):
        return 0
    data = attribute(info, length, IFLA_INFO_DATA, &inner)
    if data != NULL:
        data = attribute(data, inner, IFLA_VRF_TABLE, &inner)
    if data != NULL and inner == 4:
        memcpy(&table, data, 4)
    return table


cdef void link_message(CHost* h, const uint8_t* p, size_t n, bint gone) noexcept nogil:
    """RTM_NEWLINK, RTM_DELLINK.  An interface is found by its name, and then followed by its index: it may be renamed,
    and when it is deleted, the next one with the configured name takes its place.  Messages of a family of their own
    are about something else: the RTM_DELLINK of AF_BRIDGE is a port that leaves its bridge."""
    cdef ifinfomsg message
    cdef size_t length = 0
    cdef const uint8_t* name
    cdef const uint8_t* mac
    cdef CInterface* device
    cdef int i
    if n < 16:
        return
    memcpy(&message, p, 16)
    if message.ifi_family != 0:
        return
    name = attribute(p + 16, n - 16, IFLA_IFNAME, &length)
    for i in range(h.interface_count):
        device = &h.interfaces[i]
        if device.index == 0 and not gone and name != NULL and length <= 16:
            if strncmp(<const char*>name, device.name, 16) == 0:
                device.index = message.ifi_index
                h.guardian_stale = 1        # it would delete addresses by the old index
                device.has_v4 = device.has_v6 = 0
                h.compare = 1
        if device.index != message.ifi_index or device.index == 0:
            continue
        if gone:
            lose_link(h, device)
        else:
            device.seen = 1
            hear_carrier(h, device, (message.ifi_flags & IFF_UP) != 0, (message.ifi_flags & IFF_RUNNING) != 0)
            device.silent = (message.ifi_flags & (IFF_NOARP | IFF_LOOPBACK)) != 0
            device.table = vrf_table(p + 16, n - 16)
            mac = attribute(p + 16, n - 16, IFLA_ADDRESS, &length)
            if mac != NULL and length == 6:
                hear_mac(h, i, mac)
            open_sockets(h, i)
        tell_link(h, i)


cdef bint dump(CHost* h, int type_, int kind) noexcept nogil:
    """Asks for all links or addresses and handles them; False when the kernel did not answer, or could not without
    changes in between, which may hide some.  Links are told to the machine by the comparison of addresses that follows.
    """
    cdef bint answered
    h.quiet = 1
    answered = read_dump(h, type_, kind)
    h.quiet = 0
    return answered


cdef bint compare_links(CHost* h) noexcept nogil:
    """Reads all links.  An interface that is not among them is gone, and then another one may have its name: that is
    why there may be a second round."""
    cdef int i, k, tries
    cdef bint again
    for k in range(2):
        again = False
        for tries in range(DUMPS):
            for i in range(h.interface_count):
                h.interfaces[i].seen = 0
            if dump(h, RTM_GETLINK, RTM_NEWLINK):
                break
        else:
            return False
        for i in range(h.interface_count):
            if h.interfaces[i].index != 0 and not h.interfaces[i].seen:
                lose_link(h, &h.interfaces[i])
                again = True
        if not again:
            break
    return True


cdef bint read_dump(CHost* h, int type_, int kind) noexcept nogil:
    cdef uint8_t[32] ask
    cdef nlmsghdr header
    cdef ssize_t n
    cdef size_t at
    cdef int tries = 0, interrupted = 0
    memset(ask, 0, 32)
    memset(&header, 0, sizeof(header))
    h.sequence += 1
    header.nlmsg_len = 32
    header.nlmsg_type, header.nlmsg_flags = <uint16_t>type_, <uint16_t>(NLM_F_REQUEST | NLM_F_DUMP)
    header.nlmsg_seq = h.sequence
    memcpy(ask, &header, 16)
    if send(h.request, ask, 32, 0) < 0:
        return False
    while tries < 4096:
        tries += 1
        n = recv(h.request, h.received, RECEIVE_ROOM, 0)
        if n < 0:
            if errno == EINTR:
                continue
            return False
        at = 0
        while at + 16 <= <size_t>n:
            memcpy(&header, h.received + at, 16)
            if header.nlmsg_len < 16 or at + header.nlmsg_len > <size_t>n:
                return False
            if header.nlmsg_seq == h.sequence:
                interrupted |= header.nlmsg_flags & NLM_F_DUMP_INTR
                if header.nlmsg_type == NLMSG_DONE:
                    return not interrupted
                if header.nlmsg_type == NLMSG_ERROR:
                    return False
                if header.nlmsg_type == kind:
                    dumped(h, kind, h.received + at + 16, header.nlmsg_len - 16)
            at += padded(header.nlmsg_len)
    return False


cdef void read_monitor(CHost* h) noexcept nogil:
    cdef nlmsghdr header
    cdef ssize_t n
    cdef size_t at
    cdef int tries = 0
    while tries < 256:
        tries += 1
        n = recv(h.monitor, h.received, RECEIVE_ROOM, MSG_DONTWAIT)
        if n < 0:
            if errno == ENOBUFS:
                notice(h, NOTICE_NETLINK_LOST, 0, 0, 0, 0)
                compare_links(h)
                h.compare = 1
                continue
            break
        at = 0
        while at + 16 <= <size_t>n:
            memcpy(&header, h.received + at, 16)
            if header.nlmsg_len < 16 or at + header.nlmsg_len > <size_t>n:
                break
            if header.nlmsg_type == RTM_NEWLINK or header.nlmsg_type == RTM_DELLINK:
                link_message(h, h.received + at + 16, header.nlmsg_len - 16, header.nlmsg_type == RTM_DELLINK)
            elif header.nlmsg_type == RTM_NEWADDR or header.nlmsg_type == RTM_DELADDR:
                address_notice(h, &header, h.received + at + 16, header.nlmsg_len - 16)
            at += padded(header.nlmsg_len)
    if h.look:
        h.look = 0
        compare_links(h)
    if h.compare:
        compare_addresses(h)
