# Who else claims our addresses: ARP packets and neighbour advertisements from another MAC while we are master.
#
# Packet sockets for one protocol see what arrives, not what this machine sends.  Neighbour advertisements are picked
# out by a filter in the kernel, so that other IPv6 traffic does not wake the thread.

cdef enum:
    CLAIM_FRAMES = 64           # read in one turn

cdef int64_t CLAIM_PERIOD = 1000000000  # a router reacts once a second: two masters would answer each other without end


cdef void filter_step(sock_filter* step, int code, uint32_t k, uint8_t otherwise) noexcept nogil:
    step.code, step.k, step.jt, step.jf = <uint16_t>code, k, 0, otherwise


cdef int open_claims(uint16_t protocol) noexcept nogil:
    """A packet socket for ARP (0x0806) or for neighbour advertisements (0x86dd); -1 when it can't be had."""
    cdef sock_filter[6] steps
    cdef sock_fprog program
    cdef sockaddr_ll where
    cdef int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
    if fd < 0:
        return -1
    filter_step(&steps[0], BPF_LD | BPF_B | BPF_ABS, 20, 0)             # next header
    filter_step(&steps[1], BPF_JMP | BPF_JEQ | BPF_K, 58, 3)
    filter_step(&steps[2], BPF_LD | BPF_B | BPF_ABS, 54, 0)             # ICMPv6 type
    filter_step(&steps[3], BPF_JMP | BPF_JEQ | BPF_K, 136, 1)
    filter_step(&steps[4], BPF_RET | BPF_K, 128, 0)
    filter_step(&steps[5], BPF_RET | BPF_K, 0, 0)
    program.len, program.filter = 6, steps
    memset(&where, 0, sizeof(where))
    where.sll_family, where.sll_protocol = <unsigned short>AF_PACKET, htons(protocol)
    if (
        protocol == 0x86DD and setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
    ) or bind(fd, <sockaddr*>&where, sizeof(where)) < 0:
        close(fd)
        return -1
    return fd


cdef void claimed(CHost* h, int index, int family, const uint8_t* address, const uint8_t* mac) noexcept nogil:
    """Tells the machine of a claim for an address that it holds."""
    cdef CEvent e
    cdef CInterface* device
    cdef int slot, k
    cdef int64_t now = clock_ns(CLOCK_MONOTONIC)
    for slot in range(h.place_count):
        if not h.places[slot].used or h.node.routers[slot].state != MASTER:
            continue
        for k in range(h.places[slot].vip_count):
            device = &h.interfaces[h.places[slot].vips[k].device]
            if h.places[slot].vips[k].family != family or device.index != index:
                continue
            if memcmp(h.places[slot].vips[k].address, address, 4 if family == 4 else 16) != 0:
                continue
            if memcmp(device.mac, mac, 6) == 0 or now - h.places[slot].claimed_at < CLAIM_PERIOD:
                continue
            h.places[slot].claimed_at = now
            memset(&e, 0, sizeof(e))
            e.kind, e.router = EV_CLAIMED, slot
            step_and_perform(h, &e)
            break


cdef void read_claims(CHost* h, int fd) noexcept nogil:
    cdef sockaddr_ll source
    cdef socklen_t size
    cdef uint8_t[6] mac
    cdef uint8_t[16] address
    cdef ssize_t n
    cdef int i, family
    for i in range(CLAIM_FRAMES):
        size = sizeof(source)
        n = recvfrom(fd, h.received, RECEIVE_ROOM, MSG_DONTWAIT, <sockaddr*>&source, &size)
        if n < 0:
            return
        family = neighbour_claim(h.received, <size_t>n, mac, address)
        if family:
            claimed(h, source.sll_ifindex, family, address, mac)
