# Is an advert for one of our routers, and may it be believed?  RFC 9568 section 7.1, RFC 3768 section 7.1.


cdef CRouter* router_for(CNode* node, int32_t interface, const CAdvert* a) noexcept nogil:
    cdef int32_t i = node.by_vrid[a.vrid]
    cdef CRouter* r
    while i >= 0:
        r = &node.routers[i]
        if r.interface == interface and r.family == a.family:
            return r
        i = r.next_same_vrid
    return NULL


cdef bint in_list(const uint8_t* listed, int32_t count, const uint8_t* wanted, size_t width) noexcept nogil:
    cdef int32_t i
    for i in range(count):
        if memcmp(listed + <size_t>i * width, wanted, width) == 0:
            return True
    return False


cdef bint same_addresses(const CRouter* r, const CAdvert* a) noexcept nogil:
    """Equal as sets: peers list them in any order."""
    cdef size_t width = 4 if r.family == 4 else 16
    cdef int32_t i
    if a.count != r.address_count:
        return False
    if memcmp(a.addresses, r.addresses, <size_t>a.count * width) == 0:
        return True
    for i in range(r.address_count):
        if not in_list(a.addresses, a.count, r.addresses + <size_t>i * width, width):
            return False
    return True


cdef bint to_group(const CAdvert* a) noexcept nogil:
    """Whether its destination is a multicast address."""
    return a.destination[0] == 0xFF if a.family == 6 else a.destination[0] >> 4 == 14


cdef bint peer_ttl_fits(const CRouter* r, const CAdvert* a, size_t width) noexcept nogil:
    """A TTL from a unicast peer is within the peer's limits; from anybody else, within the router's."""
    cdef int32_t i
    for i in range(r.peer_count):
        if memcmp(r.peers + <size_t>i * width, a.source, width) == 0:
            return r.peer_ttls[2 * i] <= a.ttl <= r.peer_ttls[2 * i + 1]
    return r.ttl_low <= a.ttl <= r.ttl_high


cdef void note_refused(CNode* node, const CEvent* e) noexcept nogil:
    """A datagram with a router's VRID that is no advert (e.id: the IP family, e.router: the VRID)."""
    cdef CAdvert a
    cdef CRouter* r
    memset(&a, 0, sizeof(a))
    a.family, a.vrid = <uint8_t>e.id, <uint8_t>e.router
    r = router_for(node, e.interface, &a)
    if r == NULL:
        return
    r.refused[e.value] += 1
    if e.value == FAIL_VERSION:
        r.protocol_error = PROTOCOL_VERSION
    elif e.value == FAIL_CHECKSUM:
        r.protocol_error = PROTOCOL_CHECKSUM


cdef int advert_refusal(CNode* node, CRouter* r, const CAdvert* a) noexcept nogil:
    """Why the router must drop the advert (a Drop), or DROP_NONE."""
    cdef size_t width = 4 if r.family == 4 else 16
    if memcmp(a.source, r.primary, width) == 0:
        return DROP_OWN
    if r.state == INITIALIZE or r.state == FAULT:
        return DROP_STOPPED
    if r.unicast == to_group(a):
        return DROP_DESTINATION
    if r.unicast:
        if not peer_ttl_fits(r, a, width):
            return DROP_TTL
        if r.check_peers and not in_list(r.peers, r.peer_count, a.source, width):
            return DROP_PEER
    elif a.ttl != 255:
        return DROP_TTL
    if a.version != r.version:
        return DROP_VERSION
    if a.version == 2:
        if a.auth_type != r.auth_type:
            return DROP_AUTH_TYPE
        if a.auth_type == 1 and memcmp(a.auth_data, r.auth_data, 8) != 0:
            return DROP_AUTH_DATA
        if a.auth_type == 2 and not advert_icv_valid(a, r.auth_data, 8):
            return DROP_ICV
        if <int64_t>a.interval_cs * CENTISECOND != r.interval_ns:
            return DROP_INTERVAL
    # An owner's list is believed: it is the configuration (RFC 3768 section 7.1).
    if r.check_addresses and a.priority != 255 and a.priority != 0 and not same_addresses(r, a):
        return DROP_ADDRESSES
    if a.version == 2 and a.auth_type == 2:
        return replay_refusal(node, r, a)
    return DROP_NONE


cdef int replay_refusal(CNode* node, CRouter* r, const CAdvert* a) noexcept nogil:
    """Each sender has its own window.  One that was silent for the master-down time may start again at any number: a
    peer that was restarted counts from 1, and would else be refused for ever."""
    cdef ReplaySender* sender = NULL
    cdef ReplaySender* oldest = &r.senders[0]
    cdef int i
    for i in range(REPLAY_SENDERS):
        if r.senders[i].known and memcmp(r.senders[i].source, a.source, 4) == 0:
            sender = &r.senders[i]
        elif r.senders[i].last < oldest.last:
            oldest = &r.senders[i]
    if sender == NULL or node.now - sender.last >= r.down_adverts * r.interval_ns:
        if sender == NULL:
            sender = oldest
        memset(sender, 0, sizeof(ReplaySender))
        memcpy(sender.source, a.source, 4)
        sender.known = 1
    if not replay_accept(&sender.window, a.sequence):
        return DROP_REPLAY
    sender.last = node.now
    return DROP_NONE


cdef bint sender_wins(const CRouter* r, const CAdvert* a) noexcept nogil:
    """Against a master: higher priority, or equal and the higher address (RFC 9568 section 6.4.3)."""
    if a.priority != r.effective:
        return a.priority > r.effective
    return memcmp(a.source, r.primary, 4 if r.family == 4 else 16) > 0


cdef void receive(CNode* node, CRouter* r, const CAdvert* a) noexcept nogil:
    """Counts the advert, and turns it into an input."""
    cdef int64_t now = node.now
    cdef int reason = advert_refusal(node, r, a)
    cdef int given
    if reason:
        r.drops[reason] += 1
        if reason == DROP_TTL:
            r.protocol_error = PROTOCOL_TTL
        elif reason == DROP_VERSION:
            r.protocol_error = PROTOCOL_VERSION
        if reason != DROP_OWN and reason != DROP_STOPPED and now - r.drop_logged[reason] >= LOG_PERIOD:
            r.drop_logged[reason] = now
            emit(node, r, ACT_DROPPED, reason, 0)
        return
    r.received += 1
    if a.priority == 0:
        r.zero_received += 1
        r.heard = HEARD_ZERO
        given = IN_ADVERT_ZERO
    elif r.state == MASTER:
        if sender_wins(r, a):
            given = IN_ADVERT_HIGHER_LOUD if r.answer_higher else IN_ADVERT_HIGHER
        else:
            given = IN_ADVERT_LOWER if r.answer_lower else IN_ADVERT_LOWER_QUIET
    elif a.priority >= r.effective or not r.preempt:
        r.preempt_at = NEVER
        r.heard = HEARD_NOTHING
        given = IN_ADVERT_KEEP
    else:
        if r.preempt_at == NEVER:
            r.preempt_at = now + r.preempt_delay_ns
        r.heard = HEARD_LOWER
        if now >= r.preempt_at:
            return
        given = IN_ADVERT_HOLD
    fire(node, r, given, a)
    if given == IN_ADVERT_HIGHER or given == IN_ADVERT_HIGHER_LOUD:
        group_to_backup(node, r)
