# Links and addresses as the kernel has them: sockets by interface, the monitor, comparison with what should be.


cdef void close_sockets(CHost* h, CInterface* device) noexcept nogil:
    cdef int i
    for i in range(SOCKET_COUNT):
        if device.sockets[i] >= 0:
            close(device.sockets[i])        # epoll forgets it by itself
            device.sockets[i] = -1


cdef int open_v4(CInterface* device, int protocol) noexcept nogil:
    cdef int one = 1, zero = 0, room = 1024 * 1024
    cdef ip_mreqn group
    cdef uint8_t* raw = <uint8_t*>&group.imr_multiaddr
    cdef int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)
    if fd < 0:
        return -1
    memset(&group, 0, sizeof(group))
    raw[0], raw[3] = 224, 18
    group.imr_ifindex = device.index
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(int))
    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &zero, sizeof(int))
    if (
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device.name, <socklen_t>strlen(device.name) + 1) < 0
        or setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &one, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)) < 0
        or setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) < 0
    ):
        close(fd)
        return -1
    return fd


cdef int open_v6(CInterface* device) noexcept nogil:
    cdef int one = 1, zero = 0, hops = 255, room = 1024 * 1024, tclass = 0xC0
    cdef ipv6_mreq group
    cdef uint8_t* raw = <uint8_t*>&group.ipv6mr_multiaddr
    cdef int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 112)
    if fd < 0:
        return -1
    memset(&group, 0, sizeof(group))
    raw[0], raw[1], raw[15] = 0xFF, 2, 0x12
    group.ipv6mr_interface = <unsigned int>device.index
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(int))
    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &zero, sizeof(int))
    setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof(int))
    if (
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device.name, <socklen_t>strlen(device.name) + 1) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &device.index, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(int)) < 0
        or setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof(group)) < 0
    ):
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
        fd = open_v6(device) if i == SOCKET_V6 else open_v4(device, 51 if i == SOCKET_AH else 112)
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
            memcpy(r.primary, device.v4, 4)
        elif r.family == 6 and device.has_v6:
            memcpy(r.primary, device.v6, 16)


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
    device.running = 0
    h.compare = 1


cdef void link_message(CHost* h, const uint8_t* p, size_t n, bint gone) noexcept nogil:
    """RTM_NEWLINK, RTM_DELLINK.  An interface is found by its name, and then followed by its index: it may be renamed,
    and when it is deleted, the next one with the configured name takes its place."""
    cdef ifinfomsg message
    cdef size_t length = 0
    cdef const uint8_t* name
    cdef const uint8_t* mac
    cdef CInterface* device
    cdef int i
    if n < 16:
        return
    memcpy(&message, p, 16)
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
            device.running = (message.ifi_flags & IFF_UP) != 0 and (message.ifi_flags & IFF_RUNNING) != 0
            mac = attribute(p + 16, n - 16, IFLA_ADDRESS, &length)
            if mac != NULL and length == 6:
                memcpy(device.mac, mac, 6)
            open_sockets(h, i)
        tell_link(h, i)


cdef void address_seen(CHost* h, const ifaddrmsg* m, const uint8_t* address, uint32_t flags, bint ours) noexcept nogil:
    """One address of a dump: a VIP that is there, or an interface's own."""
    cdef int slot, k, i
    cdef CVip* vip
    cdef CInterface* device
    cdef size_t width = 4 if m.ifa_family == AF_INET else 16
    cdef bint is_vip = False
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            vip = &h.places[slot].vips[k]
            if (vip.family == 4) != (width == 4) or h.interfaces[vip.device].index != <int>m.ifa_index:
                continue
            if memcmp(vip.address, address, width) == 0:
                vip.seen = 1
                is_vip = True
                if not ours:
                    vip.foreign = 1
    if is_vip and ours:
        return
    for i in range(h.interface_count):
        device = &h.interfaces[i]
        if device.index == 0 or device.index != <int>m.ifa_index:
            continue
        if width == 4 and not device.has_v4:
            device.has_v4 = 1
            memcpy(device.v4, address, 4)
        elif width == 16 and not device.has_v6 and address[0] == 0xFE and (address[1] & 0xC0) == 0x80:
            if not flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED):
                device.has_v6 = 1
                memcpy(device.v6, address, 16)


cdef bint dump(CHost* h, int type_, int kind) noexcept nogil:
    """Asks for all links or addresses and handles them; False when the kernel did not answer.  Links are told to the
    machine by the comparison of addresses that follows."""
    cdef bint answered
    h.quiet = 1
    answered = read_dump(h, type_, kind)
    h.quiet = 0
    return answered


cdef bint compare_links(CHost* h) noexcept nogil:
    """Reads all links.  An interface that is not among them is gone, and then another one may have its name: that is
    why there may be a second round."""
    cdef int i, k
    cdef bint again
    for k in range(2):
        again = False
        for i in range(h.interface_count):
            h.interfaces[i].seen = 0
        if not dump(h, RTM_GETLINK, RTM_NEWLINK):
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
    cdef int tries = 0
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
                if header.nlmsg_type == NLMSG_DONE:
                    return True
                if header.nlmsg_type == NLMSG_ERROR:
                    return False
                if header.nlmsg_type == kind:
                    dumped(h, kind, h.received + at + 16, header.nlmsg_len - 16)
            at += padded(header.nlmsg_len)
    return False


cdef void dumped(CHost* h, int kind, const uint8_t* p, size_t n) noexcept nogil:
    cdef ifaddrmsg m
    cdef ifa_cacheinfo times
    cdef size_t length = 0
    cdef const uint8_t* address
    cdef const uint8_t* value
    cdef uint32_t flags
    cdef bint ours = False
    if kind == RTM_NEWLINK:
        link_message(h, p, n, False)
        return
    if n < 8:
        return
    memcpy(&m, p, 8)
    address = attribute(p + 8, n - 8, IFA_LOCAL, &length)
    if address == NULL:
        address = attribute(p + 8, n - 8, IFA_ADDRESS, &length)
    if address == NULL or length != (4 if m.ifa_family == AF_INET else 16):
        return
    flags = m.ifa_flags
    value = attribute(p + 8, n - 8, IFA_FLAGS, &length)
    if value != NULL and length == 4:
        memcpy(&flags, value, 4)
    value = attribute(p + 8, n - 8, IFA_PROTO_ATTRIBUTE, &length)
    if value != NULL and length == 1:
        ours = value[0] == OUR_PROTO
    if not ours:                    # before Linux 5.18 a limited lifetime is the only mark
        value = attribute(p + 8, n - 8, IFA_CACHEINFO, &length)
        if value != NULL and length >= sizeof(times):
            memcpy(&times, value, sizeof(times))
            ours = times.ifa_valid != <uint32_t>FOREVER and m.ifa_family == AF_INET
    address_seen(h, &m, address, flags, ours)


cdef void compare_addresses(CHost* h) noexcept nogil:
    """Desired state against the kernel's: what a master should hold and does not is lost.  Replaying notifications
    instead would act on what was true a while ago."""
    cdef int i, slot, k
    cdef CEvent e
    h.compare = 0
    for i in range(h.interface_count):
        h.interfaces[i].has_v4 = h.interfaces[i].has_v6 = 0
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            h.places[slot].vips[k].seen = 0
            h.places[slot].vips[k].foreign = 0
    if not dump(h, RTM_GETADDR, RTM_NEWADDR):
        h.compare = 1
        return
    for i in range(h.interface_count):
        tell_primaries(h, i)
    for i in range(h.interface_count):
        tell_link(h, i)
    for slot in range(h.place_count):
        if not h.places[slot].used or h.node.routers[slot].state != MASTER:
            continue
        for k in range(h.places[slot].vip_count):
            if not h.places[slot].vips[k].seen:
                memset(&e, 0, sizeof(e))
                e.kind, e.router = EV_LOST, slot
                step_and_perform(h, &e)
                break


cdef void remove_leftovers(CHost* h) noexcept nogil:
    """At the start: what an earlier life of this process marked as its own and left behind."""
    cdef int slot, k
    for slot in range(h.place_count):
        if not h.places[slot].used or h.node.routers[slot].state == MASTER:     # after a reload it goes on
            continue
        h.places[slot].kind = ACT_DELETE
        for k in range(h.places[slot].extra_count):
            batch_extra(h, slot, &h.places[slot].extras[k], False)
        for k in range(h.places[slot].vip_count):
            if h.places[slot].vips[k].seen and not h.places[slot].vips[k].foreign:
                batch_add(h, slot, &h.places[slot].vips[k], RTM_DELADDR, 0)
    batch_send(h)


cdef void address_notice(CHost* h, const nlmsghdr* header, const uint8_t* p, size_t n) noexcept nogil:
    """RTM_NEWADDR, RTM_DELADDR of the monitor.  Our own changes carry our port; the kernel's carry 0."""
    cdef ifaddrmsg m
    cdef CEvent e
    cdef size_t length = 0
    cdef const uint8_t* address
    cdef int slot, k
    cdef CVip* vip
    if header.nlmsg_pid == h.request_port or n < 8:
        return
    memcpy(&m, p, 8)
    address = attribute(p + 8, n - 8, IFA_LOCAL, &length)
    if address == NULL:
        address = attribute(p + 8, n - 8, IFA_ADDRESS, &length)
    if address == NULL or length != (4 if m.ifa_family == AF_INET else 16):
        return
    for slot in range(h.place_count if header.nlmsg_type == RTM_DELADDR else 0):
        for k in range(h.places[slot].vip_count):
            vip = &h.places[slot].vips[k]
            if (vip.family == 4) == (length == 4) and memcmp(vip.address, address, length) == 0:
                if h.interfaces[vip.device].index != <int>m.ifa_index:
                    continue
                if header.nlmsg_pid != 0 and h.node.routers[slot].state == MASTER and not vip.foreign:
                    notice(h, NOTICE_REMOVED, slot, <int>header.nlmsg_pid, 0, 0)
                if header.nlmsg_pid == 0 and h.places[slot].lease:
                    memset(&e, 0, sizeof(e))            # it expired: never repaired
                    e.kind, e.router = EV_EXPIRED, slot
                    step_and_perform(h, &e)
                    return
    h.compare = 1


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
    if h.compare:
        compare_addresses(h)
