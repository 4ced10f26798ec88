# Netlink messages for addresses: building them, sending a batch, reading the answers.
#
#     nlmsghdr 16 | ifaddrmsg 8 | rtattr 4 + value, padded to 4, ...

cdef enum:
    IFA_PROTO_ATTRIBUTE = 11    # since Linux 5.18; older kernels ignore it
    OUR_PROTO = 112             # "this address is VRRP's": how a later start knows what an earlier one left
    FOREVER = 0xFFFFFFFF


cdef inline size_t padded(size_t n) noexcept nogil:
    return (n + 3) & ~<size_t>3


cdef size_t put_attribute(uint8_t* at, int kind, const void* value, size_t n) noexcept nogil:
    cdef rtattr header
    header.rta_len = <unsigned short>(4 + n)
    header.rta_type = <unsigned short>kind
    memset(at, 0, padded(4 + n))
    memcpy(at, &header, 4)
    memcpy(at + 4, value, n)
    return padded(4 + n)


cdef size_t address_message(
    uint8_t* out, const CVip* vip, int index, int type_, int flags, uint32_t seconds, uint32_t sequence
) noexcept nogil:
    """One RTM_NEWADDR or RTM_DELADDR (at most 160 bytes); returns its length."""
    cdef nlmsghdr header
    cdef ifaddrmsg message
    cdef ifa_cacheinfo times
    cdef size_t width = 4 if vip.family == 4 else 16, n = 24
    cdef uint32_t address_flags = vip.flags | (IFA_F_NODAD if vip.family == 6 else 0)
    cdef uint8_t proto = OUR_PROTO
    memset(&header, 0, sizeof(header))
    memset(&message, 0, sizeof(message))
    message.ifa_family = <uint8_t>(AF_INET if vip.family == 4 else AF_INET6)
    message.ifa_prefixlen = vip.prefix
    message.ifa_scope = vip.scope
    message.ifa_index = <uint32_t>index
    n += put_attribute(out + n, IFA_LOCAL, vip.address, width)
    if vip.has_peer:
        n += put_attribute(out + n, IFA_ADDRESS, vip.peer, width)
    else:
        n += put_attribute(out + n, IFA_ADDRESS, vip.address, width)
    if type_ == RTM_NEWADDR:
        message.ifa_flags = <uint8_t>(address_flags & 0xFF)
        if vip.has_broadcast:
            n += put_attribute(out + n, IFA_BROADCAST, vip.broadcast, 4)
        if vip.label[0]:
            n += put_attribute(out + n, IFA_LABEL, vip.label, strlen(vip.label) + 1)
        n += put_attribute(out + n, IFA_FLAGS, &address_flags, 4)
        memset(&times, 0, sizeof(times))
        times.ifa_valid = seconds
        times.ifa_prefered = 0 if vip.deprecated else seconds
        n += put_attribute(out + n, IFA_CACHEINFO, &times, sizeof(times))
        n += put_attribute(out + n, IFA_PROTO_ATTRIBUTE, &proto, 1)
    header.nlmsg_len = <uint32_t>n
    header.nlmsg_type = <uint16_t>type_
    header.nlmsg_flags = <uint16_t>(NLM_F_REQUEST | flags)
    header.nlmsg_seq = sequence
    memcpy(out, &header, 16)
    memcpy(out + 16, &message, 8)
    return n


cdef int netlink_open(uint32_t groups, uint32_t* port) noexcept nogil:
    """A route netlink socket; returns the descriptor or -1."""
    cdef sockaddr_nl address
    cdef socklen_t size = sizeof(sockaddr_nl)
    cdef int room = 8 * 1024 * 1024
    cdef timeval limit
    cdef int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)
    if fd < 0:
        return -1
    memset(&address, 0, sizeof(address))
    address.nl_family = <unsigned short>AF_NETLINK
    address.nl_groups = groups
    if bind(fd, <sockaddr*>&address, sizeof(address)) < 0 or getsockname(fd, <sockaddr*>&address, &size) < 0:
        close(fd)
        return -1
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(int))
    limit.tv_sec, limit.tv_usec = 1, 0
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit))
    if port != NULL:
        port[0] = address.nl_pid
    return fd


cdef void batch_add(CHost* h, int slot, const CVip* vip, int type_, uint32_t seconds) noexcept nogil:
    """Adds one change to the batch, sending what is there when it is full."""
    cdef CInterface* device = &h.interfaces[vip.device]
    cdef int flags = (NLM_F_CREATE | NLM_F_REPLACE) if type_ == RTM_NEWADDR else 0
    if h.batch_length + 256 > BATCH_ROOM or h.batch_count >= BATCH_MESSAGES:
        batch_send(h)
    if h.batch_count == 0:
        h.batch_first = h.sequence + 1
    h.sequence += 1
    h.batch_owner[h.batch_count] = slot
    h.batch_count += 1
    h.batch_length += address_message(
        h.batch + h.batch_length, vip, device.index, type_, flags, seconds, h.sequence)


cdef void batch_extra(CHost* h, int slot, const CExtra* extra, bint add) noexcept nogil:
    """Adds a route's or rule's message to the batch."""
    cdef nlmsghdr header
    cdef uint8_t* at
    cdef CInterface* device
    cdef uint32_t value
    cdef int i
    for i in range(extra.blank_count):
        device = &h.interfaces[extra.blanks[i].device]
        if device.index == 0 and (add or extra.blanks[i].table):
            if add:
                h.places[slot].failed = 1
            return
    if h.batch_length + extra.length > BATCH_ROOM or h.batch_count >= BATCH_MESSAGES:
        batch_send(h)
    if h.batch_count == 0:
        h.batch_first = h.sequence + 1
    h.sequence += 1
    h.batch_owner[h.batch_count] = slot
    h.batch_count += 1
    at = h.batch + h.batch_length
    memcpy(at, extra.add if add else extra.remove, extra.length)
    memcpy(&header, at, 16)
    header.nlmsg_seq = h.sequence
    memcpy(at, &header, 16)
    for i in range(extra.blank_count):      # the index of an interface that is gone is 0: any
        device = &h.interfaces[extra.blanks[i].device]
        value = device.table if extra.blanks[i].table else <uint32_t>device.index
        memcpy(at + extra.blanks[i].at, &value, 4)
    h.batch_length += extra.length


cdef void batch_send(CHost* h) noexcept nogil:
    """Sends the batch and reads the answers: errors, and the acknowledgement that the last message asks for."""
    cdef nlmsghdr header
    cdef size_t at = 0, last = 0
    cdef uint32_t expected
    if h.batch_count == 0:
        return
    while at < h.batch_length:
        last = at
        memcpy(&header, h.batch + at, 16)
        at += header.nlmsg_len
    header.nlmsg_flags |= <uint16_t>NLM_F_ACK
    memcpy(h.batch + last, &header, 16)
    expected = header.nlmsg_seq
    if send(h.request, h.batch, h.batch_length, 0) < 0:
        for i in range(h.batch_count):
            h.places[h.batch_owner[i]].failed = 1
    else:
        read_answers(h, expected)
    h.batch_length = 0
    h.batch_count = 0


cdef void read_answers(CHost* h, uint32_t expected) noexcept nogil:
    cdef nlmsghdr header
    cdef nlmsgerr problem
    cdef ssize_t n
    cdef size_t at
    cdef int tries = 0
    cdef uint8_t[16384] answers
    while tries < 2000:
        tries += 1
        n = recv(h.request, answers, 16384, 0)
        if n < 0:
            if errno == EINTR:
                continue
            return
        at = 0
        while at + 16 <= <size_t>n:
            memcpy(&header, answers + at, 16)
            if header.nlmsg_len < 16 or at + header.nlmsg_len > <size_t>n:
                break
            if header.nlmsg_type == NLMSG_ERROR and header.nlmsg_len >= 16 + sizeof(nlmsgerr):
                memcpy(&problem, answers + at + 16, sizeof(nlmsgerr))
                refused(h, header.nlmsg_seq, -problem.error)
                if header.nlmsg_seq == expected:
                    return
            at += padded(header.nlmsg_len)


cdef void refused(CHost* h, uint32_t sequence, int error) noexcept nogil:
    """Marks the router whose message was refused.  Deleting what is not there is no failure."""
    cdef uint32_t i = sequence - h.batch_first
    cdef int slot
    if error == 0 or i >= <uint32_t>h.batch_count:
        return
    slot = h.batch_owner[i]
    if h.places[slot].kind == ACT_DELETE and error in (EADDRNOTAVAIL, ENODEV, ESRCH, ENOENT):
        return
    if error == EEXIST:                     # a route or rule that is there
        return
    h.places[slot].failed = 1
    notice(h, NOTICE_ADDRESS, slot, error, 0, 0)
