# Addresses as the kernel has them: which are ours, which a master should hold and does not, who deleted one.


cdef void address_seen(CHost* h, const ifaddrmsg* m, const uint8_t* address, uint32_t flags, bint ours) noexcept nogil:
    """One address of a dump: a VIP that is there, or an interface's own."""
    cdef int slot, k, i
    cdef CVip* vip
    cdef CInterface* device
    cdef size_t width = 4 if m.ifa_family == AF_INET else 16
    cdef bint mine = False
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            vip = &h.places[slot].vips[k]
            if (vip.family == 4) != (width == 4) or h.interfaces[vip.device].index != <int>m.ifa_index:
                continue
            if memcmp(vip.address, address, width) == 0:
                vip.seen = 1
                if h.node.routers[slot].state != MASTER:
                    vip.held = 0
                elif ours:
                    vip.held = 1
                if ours or vip.held:        # somebody may change it, and it is ours nevertheless
                    vip.changed = not ours and h.marks
                    mine = True
                else:
                    vip.foreign = 1
    if mine:
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
    if not h.marks:                 # a limited lifetime is the only one
        value = attribute(p + 8, n - 8, IFA_CACHEINFO, &length)
        if value != NULL and length >= sizeof(times):
            memcpy(&times, value, sizeof(times))
            ours = times.ifa_valid != <uint32_t>FOREVER and m.ifa_family == AF_INET
    address_seen(h, &m, address, flags, ours)


cdef void forget_addresses(CHost* h) noexcept nogil:
    """Before a dump: nothing has been seen."""
    cdef int i, slot, k
    for i in range(h.interface_count):
        h.interfaces[i].has_v4 = h.interfaces[i].has_v6 = 0
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            h.places[slot].vips[k].seen = h.places[slot].vips[k].changed = 0
            h.places[slot].vips[k].foreign = 0


cdef void recall_addresses(CHost* h) noexcept nogil:
    """After a dump that failed: as it was before."""
    cdef int i, slot, k
    for i in range(h.interface_count):
        h.interfaces[i].has_v4, h.interfaces[i].has_v6 = h.interfaces[i].had_v4, h.interfaces[i].had_v6
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            h.places[slot].vips[k].foreign = h.places[slot].vips[k].was_foreign


cdef void compare_addresses(CHost* h) noexcept nogil:
    """Desired state against the kernel's: what a master should hold and does not, or not as it was, is lost.
    Replaying notifications instead would act on what was true a while ago."""
    cdef int i, slot, k
    cdef CEvent e
    h.compare = 0
    for i in range(h.interface_count):
        h.interfaces[i].had_v4, h.interfaces[i].had_v6 = h.interfaces[i].has_v4, h.interfaces[i].has_v6
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            h.places[slot].vips[k].was_foreign = h.places[slot].vips[k].foreign
    for i in range(DUMPS):
        forget_addresses(h)
        if dump(h, RTM_GETADDR, RTM_NEWADDR):
            break
    else:                                   # what interrupted the last one will be told, and then this comes again
        h.compare = 1
        recall_addresses(h)
        return
    for slot in range(h.place_count):
        for k in range(h.places[slot].vip_count):
            if h.places[slot].vips[k].foreign != h.places[slot].vips[k].was_foreign:
                h.guardian_stale = 1        # it must not delete what is no longer ours
    for i in range(h.interface_count):
        tell_primaries(h, i)
    for i in range(h.interface_count):
        tell_link(h, i)
    for slot in range(h.place_count):
        if not h.places[slot].used or h.node.routers[slot].state != MASTER:
            continue
        for k in range(h.places[slot].vip_count):
            if not h.places[slot].vips[k].seen or h.places[slot].vips[k].changed:
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


cdef bint may_have_expired(const CHost* h, int slot, const CVip* vip) noexcept nogil:
    """Whether the kernel's own deletion of an address can be the end of its lifetime.  Long before that, it is somebody
    who used ioctl(2), or an interface that goes.  (An IPv6 address goes when its interface is set down, too.)"""
    cdef const CRouter* r = &h.node.routers[slot]
    if r.state != MASTER or vip.family == 6:
        return True
    return clock_ns(CLOCK_MONOTONIC) - r.leased_at >= r.lease_ns // 2


cdef void address_notice(CHost* h, const nlmsghdr* header, const uint8_t* p, size_t n) noexcept nogil:
    """RTM_NEWADDR, RTM_DELADDR of the monitor.  Our own changes carry our port; the kernel's carry 0: a lifetime that
    ended, somebody's ioctl(2), or an interface that goes, of which it tells only after that."""
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
                vip.held = 0
                if header.nlmsg_pid != 0 and h.node.routers[slot].state == MASTER and not vip.foreign:
                    notice(h, NOTICE_REMOVED, slot, <int>header.nlmsg_pid, 0, 0)
                if header.nlmsg_pid == 0 and h.places[slot].lease and may_have_expired(h, slot, vip):
                    memset(&e, 0, sizeof(e))            # it expired: never repaired
                    e.kind, e.router = EV_EXPIRED, slot
                    step_and_perform(h, &e)
                    return
                if header.nlmsg_pid == 0:
                    h.look = 1
    h.compare = 1
