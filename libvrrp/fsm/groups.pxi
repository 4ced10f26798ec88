# Sync groups and trackers: what decides about a router from outside it.


cdef CGroup* group_of(CNode* node, const CRouter* r) noexcept nogil:
    return &node.groups[r.group] if r.group >= 0 else NULL


cdef void master_down(CNode* node, CRouter* r) noexcept nogil:
    """A router alone becomes master.  A group does when all its members would: as long as one of them hears a master,
    that master's host is alive, and taking the others from it would only be undone by its next advert."""
    cdef CGroup* g = group_of(node, r)
    cdef CRouter* member
    cdef int32_t i
    if g == NULL:
        fire(node, r, IN_MASTER_DOWN, NULL)
        return
    fire(node, r, IN_MASTER_DOWN_WAIT, NULL)
    for i in range(g.count):
        member = &node.routers[g.members[i]]
        if not member.wants:
            return
    for i in range(g.count):
        fire(node, &node.routers[g.members[i]], IN_MASTER_DOWN, NULL)


cdef void group_to_backup(CNode* node, CRouter* r) noexcept nogil:
    """r has just left Master for Backup: so does the rest of its group."""
    cdef CGroup* g = group_of(node, r)
    cdef int32_t i
    if g == NULL or r.state != BACKUP:
        return
    for i in range(g.count):
        fire(node, &node.routers[g.members[i]], IN_GROUP_BACKUP, NULL)


cdef void startup(CNode* node, CRouter* r) noexcept nogil:
    """Start one router; its group's other members are started by their own turn of the caller's loop."""
    cdef int given
    if r.started:
        return
    r.started = 1
    r.started_at = node.now
    if r.counted_since == 0:
        r.counted_since = node.now
    if r.faults:
        fire(node, r, IN_FAULT, NULL)
        return
    given = IN_STARTUP_OWNER if whole_group_owns(node, r) else IN_STARTUP
    fire(node, r, given, NULL)


cdef bint whole_group_owns(CNode* node, CRouter* r) noexcept nogil:
    cdef CGroup* g = group_of(node, r)
    cdef int32_t i
    if g == NULL:
        return r.base == 255
    for i in range(g.count):
        if node.routers[g.members[i]].base != 255:
            return False
    return True


cdef void start(CNode* node, int32_t which) noexcept nogil:
    cdef CGroup* g
    cdef int32_t i
    evaluate(node)
    if which < 0:
        for i in range(node.capacity):
            if node.routers[i].used:
                startup(node, &node.routers[i])
        return
    g = group_of(node, &node.routers[which])
    if g == NULL:
        startup(node, &node.routers[which])
        return
    for i in range(g.count):
        startup(node, &node.routers[g.members[i]])


cdef void stop_one(CNode* node, CRouter* r) noexcept nogil:
    if not r.started or r.stopping:
        return
    if r.state == MASTER and r.stop_script:
        fire(node, r, IN_STOP_SCRIPTED, NULL)
        return
    r.stopping = 2
    stop_when_all_done(node, r, IN_STOP)


cdef void stop(CNode* node, int32_t which) noexcept nogil:
    cdef CGroup* g
    cdef int32_t i
    if which < 0:
        for i in range(node.capacity):
            if node.routers[i].used:
                stop_one(node, &node.routers[i])
        return
    g = group_of(node, &node.routers[which])
    if g == NULL:
        stop_one(node, &node.routers[which])
        return
    for i in range(g.count):
        stop_one(node, &node.routers[g.members[i]])


cdef void stop_when_all_done(CNode* node, CRouter* r, int given) noexcept nogil:
    """Nobody of a group leaves before the last stop script is done: they leave together."""
    cdef CGroup* g = group_of(node, r)
    cdef int32_t i, count = 1 if g == NULL else g.count
    cdef CRouter* member
    for i in range(count):
        member = r if g == NULL else &node.routers[g.members[i]]
        if member.started and member.stopping != 2:
            return
    for i in range(count):
        member = r if g == NULL else &node.routers[g.members[i]]
        if member.started:
            member.started = 0
            if not fire(node, member, given, NULL):
                fire(node, member, IN_STOP, NULL)
            member.stopping = 0
            member.held &= <uint8_t>~FAULT_ADDRESS


cdef void tracker_result(CTracker* t, int64_t value) noexcept nogil:
    """A new result: `rise` good ones in a row make a tracker good, `fall` bad ones make it bad."""
    cdef bint good
    t.value = value
    if t.counts:
        return
    good = value != 0
    if good == t.up:
        t.streak = 0
        return
    t.streak += 1
    if t.streak >= (t.rise if good else t.fall):
        t.up = good
        t.streak = 0


cdef void weigh(const CNode* node, const CTrack* tracks, int32_t count, int64_t* total, bint* fault) noexcept nogil:
    """Adds the weights of a list of tracks to total, and sets fault when one of them demands it."""
    cdef int32_t i
    cdef int64_t weight, value
    cdef const CTracker* t
    for i in range(count):
        t = &node.trackers[tracks[i].tracker]
        weight = -tracks[i].weight if tracks[i].reverse else tracks[i].weight
        if t.counts:
            if tracks[i].weight == 0:
                if (t.value != 0) != tracks[i].reverse:
                    fault[0] = True
                continue
            value = t.value if -100000 < t.value < 100000 else (100000 if t.value > 0 else -100000)
            total[0] += weight * value
            if weight * value < -253:
                fault[0] = True
        elif tracks[i].weight == 0:
            if t.up == tracks[i].reverse:
                fault[0] = True
        elif tracks[i].weight > 0:
            if t.up:
                total[0] += weight
        elif not t.up:
            total[0] += weight


cdef uint8_t effective_priority(const CRouter* r, int64_t adjustment) noexcept nogil:
    """base + what the trackers add, within 1..254; an owner (255) is never adjusted."""
    cdef int64_t priority = r.base + adjustment
    if r.base == 255:
        return 255
    return <uint8_t>(1 if priority < 1 else 254 if priority > 254 else priority)


cdef void evaluate_router(CNode* node, CRouter* r) noexcept nogil:
    """The router's own faults and its priority, from links and trackers."""
    cdef int64_t own = 0, shared = 0
    cdef bint fault = False
    cdef CGroup* g = group_of(node, r)
    weigh(node, r.tracks, r.track_count, &own, &fault)
    if g != NULL:
        if not g.tracking_weight:
            own = 0
        weigh(node, g.tracks, g.track_count, &shared, &fault)
    r.faults = r.held
    if fault:
        r.faults |= FAULT_TRACKER
    if not r.dont_track_link and not node.links[r.interface]:
        r.faults |= FAULT_LINK
    r.effective = effective_priority(r, own + shared)


cdef void evaluate(CNode* node) noexcept nogil:
    """Faults and priorities of all routers; then who must leave, and who may come back."""
    cdef int32_t i, k
    cdef CGroup* g
    cdef CRouter* r
    cdef bint faulty
    for i in range(node.capacity):
        if node.routers[i].used:
            evaluate_router(node, &node.routers[i])
    for k in range(node.group_count):
        g = &node.groups[k]
        faulty = False
        for i in range(g.count):
            faulty |= node.routers[g.members[i]].faults != 0
        for i in range(g.count):
            r = &node.routers[g.members[i]]
            if faulty and r.faults == 0:
                r.faults = FAULT_GROUP
    for i in range(node.capacity):
        r = &node.routers[i]
        if not r.used or not r.started:
            continue
        if r.faults and r.state != FAULT:
            fire(node, r, IN_FAULT, NULL)
        elif not r.faults and r.state == FAULT:
            fire(node, r, IN_CLEAR_OWNER if whole_group_owns(node, r) else IN_CLEAR, NULL)


cdef void hung(CNode* node, bint now_hung) noexcept nogil:
    cdef int32_t i
    for i in range(node.capacity):
        if now_hung:
            node.routers[i].held |= FAULT_HUNG
        else:
            node.routers[i].held &= <uint8_t>~FAULT_HUNG
    evaluate(node)


cdef void peer_down(CNode* node, const uint8_t* address, int family) noexcept nogil:
    """BFD lost a peer: whoever follows it as master waits the skew time only."""
    cdef int32_t i
    cdef CRouter* r
    cdef size_t width = 4 if family == 4 else 16
    for i in range(node.capacity):
        r = &node.routers[i]
        if r.used and r.family == family and r.master_known and r.peer_down_fast:
            if memcmp(r.master, address, width) == 0:
                fire(node, r, IN_PEER_DOWN, NULL)
