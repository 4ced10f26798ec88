# Carrying out the machine's actions: adverts, addresses, announcements.

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF


cdef int64_t clock_ns(int which) noexcept nogil:
    cdef timespec t
    clock_gettime(which, &t)
    return <int64_t>t.tv_sec * 1000000000 + t.tv_nsec


cdef void notice(CHost* h, int kind, int router, int argument, int cause, uint64_t id) noexcept nogil:
    """Tells Python; the oldest notices stay when nobody reads them, new ones are counted as lost."""
    cdef CNotice* n
    cdef uint64_t one = 1
    if h.notices == NULL:
        return
    if h.notice_head - h.notice_tail >= NOTICES:
        h.notices_lost += 1
        return
    n = &h.notices[h.notice_head % NOTICES]
    n.kind, n.router, n.argument, n.cause, n.id = kind, router, argument, cause, id
    n.at = h.node.now if kind < NOTICE_LINK else clock_ns(CLOCK_MONOTONIC)      # a step's, or now
    h.notice_head += 1
    write(h.told, &one, 8)


cdef void advert_of(CHost* h, int slot, int priority, CAdvert* a) noexcept nogil:
    """The advert that a router sends now."""
    cdef CRouter* r = &h.node.routers[slot]
    memset(a, 0, sizeof(CAdvert))
    a.family, a.version, a.vrid, a.priority = r.family, r.version, r.vrid, <uint8_t>priority
    a.count, a.addresses = <uint8_t>r.address_count, r.addresses
    a.auth_type = r.auth_type
    a.ttl, a.tos, a.pseudo = 255, 0xC0, h.places[slot].pseudo
    a.interval_cs = <uint32_t>(r.interval_ns // 10000000)
    memcpy(a.source, r.primary, 16)
    if r.auth_type == 1:
        memcpy(a.auth_data, r.auth_data, 8)
    if r.auth_type == 2:
        a.spi = get32(r.primary)
        h.shared[slot].sequence += 1
        a.sequence = h.shared[slot].sequence


cdef void send_one(CHost* h, int slot, CAdvert* a, const uint8_t* destination) noexcept nogil:
    cdef CRouter* r = &h.node.routers[slot]
    cdef CInterface* device = &h.interfaces[r.interface]
    cdef uint8_t[ADVERT_MAX] datagram
    cdef sockaddr_in to4
    cdef int n, fd
    memcpy(a.destination, destination, 4 if r.family == 4 else 16)
    if h.places[slot].framed and not r.unicast:
        send_frame(h, slot, a)
        return
    if r.family == 6:
        send_v6(h, slot, device, a)
        return
    h.identification += 1
    if h.identification == 0:
        h.identification = 1
    a.identification = h.identification
    n = advert_encode_ipv4(a, r.auth_data, 8, datagram, ADVERT_MAX)
    fd = device.sockets[SOCKET_AH if r.auth_type == 2 else SOCKET_V4]
    if n < 0 or fd < 0:
        return
    memset(&to4, 0, sizeof(to4))
    to4.sin_family = <uint16_t>AF_INET
    memcpy(&to4.sin_addr, destination, 4)
    note_sent(h, slot, sendto(fd, datagram, <size_t>n, MSG_DONTWAIT, <sockaddr*>&to4, sizeof(to4)))


cdef void note_sent(CHost* h, int slot, ssize_t result) noexcept nogil:
    """Counts an advert that could not be sent (a firewall, say: the router would be a master that nobody hears)."""
    if result < 0:
        h.places[slot].send_errors += 1
        h.places[slot].send_errno = errno


cdef void send_frame(CHost* h, int slot, CAdvert* a) noexcept nogil:
    """A multicast advert from the virtual MAC, so that switches learn where it is: a whole Ethernet frame."""
    cdef CRouter* r = &h.node.routers[slot]
    cdef uint8_t[ADVERT_MAX + 14] frame
    cdef sockaddr_ll to
    cdef int n
    memset(frame, 0, 14)
    memcpy(frame + 6, h.places[slot].mac, 6)
    if r.family == 4:
        h.identification += 1
        a.identification = h.identification if h.identification else 1
        frame[0], frame[2], frame[3], frame[12] = 0x01, 0x5E, a.destination[1] & 0x7F, 0x08
        memcpy(frame + 4, a.destination + 2, 2)
        n = advert_encode_ipv4(a, r.auth_data, 8, frame + 14, ADVERT_MAX)
    else:
        frame[0], frame[1], frame[12], frame[13] = 0x33, 0x33, 0x86, 0xDD
        memcpy(frame + 2, a.destination + 12, 4)
        n = advert_encode_ipv6(a, frame + 14, ADVERT_MAX)
    if n < 0 or h.interfaces[r.interface].index == 0:
        return
    memset(&to, 0, sizeof(to))
    to.sll_family = <unsigned short>AF_PACKET
    to.sll_protocol = htons(0x0800 if r.family == 4 else 0x86DD)
    to.sll_ifindex = h.interfaces[r.interface].index
    to.sll_halen = 6
    memcpy(to.sll_addr, frame, 6)
    note_sent(h, slot, sendto(h.packet, frame, <size_t>n + 14, MSG_DONTWAIT, <sockaddr*>&to, sizeof(to)))


cdef void send_v6(CHost* h, int slot, CInterface* device, CAdvert* a) noexcept nogil:
    """The message only: the kernel writes the IPv6 header, with the source that the checksum covers."""
    cdef uint8_t[ADVERT_MAX] data
    cdef uint8_t[128] control
    cdef sockaddr_in6 to6
    cdef in6_pktinfo info
    cdef msghdr message
    cdef iovec vector
    cdef cmsghdr* c
    cdef int n = advert_encode_message(a, data, ADVERT_MAX), hops = a.ttl
    if n < 0 or device.sockets[SOCKET_V6] < 0:
        return
    memset(&to6, 0, sizeof(to6))
    memset(&message, 0, sizeof(message))
    memset(control, 0, 128)
    to6.sin6_family = <uint16_t>AF_INET6
    memcpy(&to6.sin6_addr, a.destination, 16)
    to6.sin6_scope_id = <uint32_t>device.index
    memcpy(&info.ipi6_addr, a.source, 16)
    info.ipi6_ifindex = <unsigned int>device.index
    vector.iov_base, vector.iov_len = data, <size_t>n
    message.msg_name, message.msg_namelen = &to6, sizeof(to6)
    message.msg_iov, message.msg_iovlen = &vector, 1
    message.msg_control, message.msg_controllen = control, CMSG_SPACE(sizeof(info)) + CMSG_SPACE(sizeof(int))
    c = CMSG_FIRSTHDR(&message)
    c.cmsg_level, c.cmsg_type, c.cmsg_len = IPPROTO_IPV6, IPV6_PKTINFO, CMSG_LEN(sizeof(info))
    memcpy(CMSG_DATA(c), &info, sizeof(info))
    c = CMSG_NXTHDR(&message, c)
    c.cmsg_level, c.cmsg_type, c.cmsg_len = IPPROTO_IPV6, IPV6_HOPLIMIT, CMSG_LEN(sizeof(int))
    memcpy(CMSG_DATA(c), &hops, sizeof(int))
    note_sent(h, slot, sendmsg(device.sockets[SOCKET_V6], &message, MSG_DONTWAIT))


cdef void send_advert_now(CHost* h, int slot, int priority) noexcept nogil:
    """To the VRRP group, or to each unicast peer."""
    cdef CRouter* r = &h.node.routers[slot]
    cdef CAdvert a
    cdef size_t width = 4 if r.family == 4 else 16
    cdef int i
    advert_of(h, slot, priority, &a)
    if not r.unicast:
        send_one(h, slot, &a, h.places[slot].group)
        return
    a.ttl = h.places[slot].ttl
    for i in range(r.peer_count):
        send_one(h, slot, &a, r.peers + <size_t>i * width)


cdef void change_addresses(CHost* h, int slot, int kind) noexcept nogil:
    """Puts the changes of a router into the batch: routes and rules come after its addresses, and go before them."""
    cdef CPlace* place = &h.places[slot]
    cdef int i
    cdef uint32_t seconds = place.lease_seconds if place.lease else FOREVER
    place.pending, place.failed, place.kind = 1, 0, <uint8_t>kind
    if kind == ACT_DELETE:
        for i in range(place.extra_count):
            batch_extra(h, slot, &place.extras[i], False)
    for i in range(place.vip_count):
        if place.vips[i].foreign:
            continue
        if h.interfaces[place.vips[i].device].index == 0:
            if kind != ACT_DELETE:
                place.failed = 1
            continue
        batch_add(h, slot, &place.vips[i], RTM_DELADDR if kind == ACT_DELETE else RTM_NEWADDR, seconds)
    if kind == ACT_ADD:
        for i in range(place.extra_count):
            batch_extra(h, slot, &place.extras[i], True)


cdef void announce_vip(CHost* h, const CVip* vip) noexcept nogil:
    """A gratuitous ARP or neighbour advertisement for one address."""
    cdef CInterface* device = &h.interfaces[vip.device]
    cdef uint8_t[ADVERTISEMENT_FRAME] frame
    cdef sockaddr_ll to
    cdef size_t n
    if device.index == 0 or device.silent:
        return
    if vip.family == 4:
        arp_announce(frame, device.mac, vip.address)
        n = ARP_FRAME
    else:
        neighbour_announce(frame, device.mac, vip.address, True, True)
        n = ADVERTISEMENT_FRAME
    memset(&to, 0, sizeof(to))
    to.sll_family = <unsigned short>AF_PACKET
    to.sll_protocol = htons(0x0806 if vip.family == 4 else 0x86DD)
    to.sll_ifindex = device.index
    to.sll_halen = 6
    memcpy(to.sll_addr, frame, 6)
    sendto(h.packet, frame, n, MSG_DONTWAIT, <sockaddr*>&to, sizeof(to))


cdef int64_t announce_round(CHost* h, CPlace* place, int64_t now, int* frames) noexcept nogil:
    """Announces a router's addresses once, from where it was interrupted; returns until when an interface's pace
    interrupts it again, or 0 when all had their turn."""
    cdef CVip* vip
    cdef CInterface* device
    cdef int kind
    while place.announce_next < place.vip_count:
        vip = &place.vips[place.announce_next]
        device = &h.interfaces[vip.device]
        kind = 0 if vip.family == 4 else 1
        if device.paced_until[kind] > now:
            return device.paced_until[kind]
        announce_vip(h, vip)
        frames[0] += 1
        if device.pace[kind]:
            device.paced_until[kind] = now + device.pace[kind]
        place.announce_next += 1
    place.announce_next = 0
    place.announcements -= 1
    return 0


cdef void announce_some(CHost* h) noexcept nogil:
    """Announcements are paced: each router in turn, and at most about 256 frames a millisecond, or as the interface's
    own settings say."""
    cdef int64_t now = clock_ns(CLOCK_MONOTONIC), until
    cdef int slot, frames = 0
    h.announcing = 0
    h.announce_at = NEVER
    for slot in range(h.place_count):
        if h.places[slot].announcements <= 0:
            continue
        until = 0
        if frames < 256:
            until = announce_round(h, &h.places[slot], now, &frames)
        if h.places[slot].announcements > 0:
            h.announcing += 1
            if until == 0:
                until = now + 1000000
            if until < h.announce_at:
                h.announce_at = until


cdef void announce(CHost* h, int slot, int count) noexcept nogil:
    """A router's addresses are to be announced `count` times; the first may go at once."""
    if h.places[slot].announcements < count:
        h.places[slot].announcements = count
        h.places[slot].announce_next = 0
    h.announcing += 1
    h.announce_at = 0


cdef void collect(CHost* h) noexcept nogil:
    """Appends the actions of the machine's last step to those that are under way."""
    cdef int room = h.work_room - h.work_count
    cdef int n = h.node.count if h.node.count < room else room
    memcpy(h.work + h.work_count, h.node.actions, <size_t>n * sizeof(CAction))
    h.work_count += n
    h.node.count = 0


cdef void finish_batch(CHost* h) noexcept nogil:
    """Sends the batch, and gives the machine the done or failed of each router's change."""
    cdef CEvent e
    cdef int slot, i
    batch_send(h)
    for slot in range(h.place_count):
        if not h.places[slot].pending:
            continue
        h.places[slot].pending = 0
        if h.places[slot].kind == ACT_DELETE:
            h.shared[slot].master = 0       # not before: if we die in between, the guardian has to do it
        for i in range(h.places[slot].vip_count):
            if not h.places[slot].vips[i].foreign:
                h.places[slot].vips[i].held = h.places[slot].kind != ACT_DELETE and not h.places[slot].failed
        memset(&e, 0, sizeof(e))
        e.kind = EV_FAILED if h.places[slot].failed else EV_DONE
        e.id = h.places[slot].action
        node_step(h.node, &e, clock_ns(CLOCK_MONOTONIC))
        collect(h)


cdef void perform(CHost* h) noexcept nogil:
    """Carries out everything that the machine's last step asked for, and what follows from it."""
    h.work_count = 0
    collect(h)
    work_off(h)


cdef void work_off(CHost* h) noexcept nogil:
    cdef CEvent e
    cdef CAction a
    cdef int i = 0
    cdef bint batched = False
    cdef bint late
    # A process that was stopped between the step and here must not act as the master that it was: what would put
    # addresses back, or tell others of them, is left out, and the machine looks at the time first.
    late = clock_ns(CLOCK_MONOTONIC) >= h.node.gap_at
    if late:
        memset(&e, 0, sizeof(e))
        node_step(h.node, &e, clock_ns(CLOCK_MONOTONIC))
        collect(h)
    while i < h.work_count or batched:
        if i >= h.work_count:
            finish_batch(h)
            batched = False
            continue
        a = h.work[i]
        i += 1
        if late and h.node.routers[a.router].state != MASTER and (
                a.kind == ACT_ADD or a.kind == ACT_REFRESH or a.kind == ACT_ANNOUNCE
                or (a.kind == ACT_ADVERT and a.argument != 0)):
            continue
        if a.kind == ACT_ADD or a.kind == ACT_DELETE or a.kind == ACT_REFRESH:
            if h.places[a.router].pending:
                finish_batch(h)
            h.places[a.router].action = a.id
            change_addresses(h, a.router, a.kind)
            batched = True
        else:
            if batched and h.places[a.router].pending:
                finish_batch(h)
                batched = False
            perform_one(h, &a)


cdef void perform_one(CHost* h, const CAction* a) noexcept nogil:
    if a.kind == ACT_ADVERT:
        send_advert_now(h, a.router, a.argument)
    elif a.kind == ACT_ANNOUNCE:
        announce(h, a.router, a.argument)
    else:
        if a.kind == ACT_TRANSITION:
            if (a.argument & 15) == MASTER:
                h.shared[a.router].master = 1
            else:
                h.places[a.router].announcements = h.places[a.router].announce_next = 0
        notice(h, a.kind, a.router, a.argument, a.cause, a.id)


cdef void step_and_perform(CHost* h, const CEvent* e) noexcept nogil:
    node_step(h.node, e, clock_ns(CLOCK_MONOTONIC))
    perform(h)
