# One router: formulas, operations, and the application of a row.


cdef int64_t skew_ns(const CRouter* r) noexcept nogil:
    """(256 - priority) / 256 of a second (RFC 3768 section 6.1) or of the master's interval (RFC 9568 section 6.1)."""
    cdef int64_t unit = SECOND if r.version == 2 else r.learnt_ns
    return (256 - r.effective) * unit // 256


cdef int64_t master_down_ns(const CRouter* r) noexcept nogil:
    return r.down_adverts * r.learnt_ns + skew_ns(r)


cdef void set_timer(CRouter* r, int which, int64_t at) noexcept nogil:
    r.timers[which] = at


cdef void earliest(CRouter* r) noexcept nogil:
    cdef int i
    r.next = r.timers[0]
    for i in range(1, TIMER_COUNT):
        if r.timers[i] < r.next:
            r.next = r.timers[i]


cdef uint64_t emit(CNode* node, CRouter* r, int kind, int32_t argument, int32_t cause) noexcept nogil:
    """Adds an action to the step's list.  The list is sized so that it can't fill up (see Node.configure)."""
    cdef CAction* action
    node.last_id += 1
    if node.count < node.room:
        action = &node.actions[node.count]
        node.count += 1
        action.id = node.last_id
        action.kind = kind
        action.router = <int32_t>(r - node.routers)
        action.argument = argument
        action.cause = cause
    return node.last_id


cdef void note_lateness(CRouter* r, int64_t late) noexcept nogil:
    """Counts how late an advert is: bucket 2k for [2**k, 1.5 * 2**k) ns, 2k + 1 for the other half."""
    cdef int bucket = 0
    cdef int64_t v = late
    if late < 0:
        late = 0
    if late > r.late_max:
        r.late_max = late
    v = late
    while v > 1 and bucket < LATENESS_BUCKETS - 2:
        v >>= 1
        bucket += 2
    if bucket >= 2 and (late >> (bucket // 2 - 1)) & 1:
        bucket += 1
    r.late[bucket] += 1


cdef void lease_from_now(CNode* node, CRouter* r) noexcept nogil:
    """The next refresh: on a grid of a third of the lifetime, so that all routers' refreshes share one send."""
    cdef int64_t third = r.lease_ns // 3
    r.leased_at = node.now
    if r.leased:
        set_timer(r, TIMER_LEASE, (node.now // third + 1) * third)


cdef void send_advert(CNode* node, CRouter* r, int32_t priority) noexcept nogil:
    r.sent_at = node.now
    r.sent += 1
    if priority == 0:
        r.zero_sent += 1
    emit(node, r, ACT_ADVERT, priority, 0)


cdef void next_advert(CNode* node, CRouter* r) noexcept nogil:
    """One interval after the time at which the last one was due, so that lateness does not add up."""
    cdef int64_t due = r.timers[TIMER_ADVERT]
    if due > node.now or node.now - due >= r.interval_ns:
        due = node.now
    set_timer(r, TIMER_ADVERT, due + r.interval_ns)


cdef void announce(CNode* node, CRouter* r, bint first) noexcept nogil:
    """After the addresses are there, or after a conflict: now, once more after a delay, and then each refresh period.
    What is still to come is not put off by a second conflict."""
    cdef int32_t count
    cdef int64_t delay = 0
    cdef bint due = node.now >= r.timers[TIMER_ANNOUNCE]
    if first:
        count, delay = r.announce_repeat, r.announce_delay_ns
        r.delayed = DELAYED_FIRST if delay else DELAYED_NOTHING
    elif due:
        count = r.announce_refresh_repeat
        if r.delayed:
            count = r.announce_repeat if r.delayed == DELAYED_FIRST else r.lower_repeat
        r.delayed = DELAYED_NOTHING
    else:
        count = r.lower_repeat
        if r.delayed == DELAYED_NOTHING and r.lower_delay_ns > 0 and count > 0:
            r.delayed, delay = DELAYED_LOWER, r.lower_delay_ns
    if count > 0:
        emit(node, r, ACT_ANNOUNCE, count, 0)
    if delay:
        set_timer(r, TIMER_ANNOUNCE, node.now + delay)
    elif first or due:
        set_timer(r, TIMER_ANNOUNCE, node.now + r.announce_refresh_ns if r.announce_refresh_ns else NEVER)


cdef void learn(CRouter* r, const CAdvert* a) noexcept nogil:
    if a == NULL:
        return
    memcpy(r.master, a.source, 16)
    r.master_known = 1
    r.master_priority = a.priority
    r.learnt_ns = a.interval_cs * CENTISECOND if a.version == 3 else r.interval_ns


cdef void forget(CRouter* r) noexcept nogil:
    r.master_known = 0
    r.master_priority = 0
    r.learnt_ns = r.interval_ns
    r.preempt_at = NEVER
    r.heard = HEARD_NOTHING


cdef void cancel(CRouter* r) noexcept nogil:
    """No timer runs, except that a delete that failed is tried again in every state."""
    cdef int i
    for i in range(TIMER_COUNT):
        if i != TIMER_DELETE:
            r.timers[i] = NEVER
    r.wants = 0
    r.stopping = 0
    r.delayed = 0
    r.id_add = r.id_refresh = r.id_stop = 0
    r.preempt_at = NEVER


cdef void operate(CNode* node, CRouter* r, int operation, const CAdvert* a) noexcept nogil:
    """One operation of a row."""
    cdef int64_t skewed
    if operation == OP_ADVERT:
        send_advert(node, r, r.effective)
    elif operation == OP_ADVERT_ZERO:
        if not r.faults & FAULT_LINK:
            send_advert(node, r, 0)
    elif operation == OP_ADVERT_TIMER:
        next_advert(node, r)
    elif operation == OP_ADD:
        r.id_add = emit(node, r, ACT_ADD, 0, 0)
        r.id_delete = r.id_refresh = 0
        set_timer(r, TIMER_DELETE, NEVER)
        lease_from_now(node, r)
    elif operation == OP_DELETE:
        r.id_delete = emit(node, r, ACT_DELETE, 0, 0)
        set_timer(r, TIMER_DELETE, NEVER)
    elif operation == OP_DELETE_TIMER:
        set_timer(r, TIMER_DELETE, node.now + r.interval_ns)
    elif operation == OP_REFRESH:
        r.id_refresh = emit(node, r, ACT_REFRESH, 0, 0)
        lease_from_now(node, r)
    elif operation == OP_ANNOUNCE or operation == OP_ANNOUNCE_AGAIN:
        announce(node, r, operation == OP_ANNOUNCE)
    elif operation == OP_LEARN:
        learn(r, a)
    elif operation == OP_FORGET:
        forget(r)
    elif operation == OP_MASTER_DOWN_TIMER:
        r.wants = 0
        set_timer(r, TIMER_MASTER_DOWN, node.now + master_down_ns(r))
    elif operation == OP_SKEW_TIMER:
        skewed = node.now + skew_ns(r)
        if not r.wants and skewed < r.timers[TIMER_MASTER_DOWN]:
            set_timer(r, TIMER_MASTER_DOWN, skewed)
    elif operation == OP_WANT:
        r.wants = 1
        set_timer(r, TIMER_MASTER_DOWN, NEVER)
    elif operation == OP_CANCEL:
        cancel(r)
    elif operation == OP_HOLD:
        r.held |= FAULT_ADDRESS
        r.faults |= FAULT_ADDRESS
        set_timer(r, TIMER_HOLD, node.now + r.hold_ns)
    elif operation == OP_RELEASE:
        r.held &= <uint8_t>~FAULT_ADDRESS
        r.repairs = 0
        set_timer(r, TIMER_HOLD, NEVER)
    elif operation == OP_STOP_SCRIPT:
        r.stopping = 1
        r.id_stop = emit(node, r, ACT_STOP_SCRIPT, 0, 0)
        set_timer(r, TIMER_STOP, node.now + r.stop_timeout_ns)
    elif operation == OP_CONFLICT:
        r.conflicts += 1
        emit(node, r, ACT_CONFLICT, 0, 0)


cdef uint8_t master_reason(const CRouter* r, int given) noexcept nogil:
    """RFC 6527's vrrpv3StatisticsNewMasterReason: 1 priority, 2 preempted, 3 masterNoResponse."""
    if given != IN_MASTER_DOWN or r.heard == HEARD_ZERO:
        return 1
    return 2 if r.heard == HEARD_LOWER else 3


cdef bint fire(CNode* node, CRouter* r, int given, const CAdvert* a) noexcept nogil:
    """Applies the row for (the router's state, input); False when there is none."""
    cdef CRow* row = &node.table[r.state][given]
    cdef int i
    if not row.present:
        return False
    if row.next != r.state:
        r.last_from = r.state
        r.last_cause = <uint8_t>given
        r.last_change = node.now
        emit(node, r, ACT_TRANSITION, r.state * 16 + row.next, given)
        if row.next == MASTER:
            r.transitions += 1
            r.reason = master_reason(r, given)
            r.repairs = 0
            set_timer(r, TIMER_MASTER_DOWN, NEVER)
            r.wants = 0
        r.state = row.next
    for i in range(row.count):
        operate(node, r, row.operations[i], a)
    earliest(r)
    return True


cdef void address_lost(CNode* node, CRouter* r) noexcept nogil:
    """Repair at most REPAIRS times in REPAIR_PERIOD; then somebody fights with us."""
    if r.state != MASTER:
        return
    if r.repairs == 0 or node.now - r.repair_since > REPAIR_PERIOD:
        r.repair_since = node.now
        r.repairs = 0
    if r.repairs >= REPAIRS:
        fire(node, r, IN_ADDRESS_FIGHT, NULL)
        evaluate(node)
        return
    r.repairs += 1
    r.repaired += 1
    fire(node, r, IN_ADDRESS_LOST, NULL)


cdef void run_timers(CNode* node, CRouter* r) noexcept nogil:
    """Everything of one router that is due, each timer at most once.  The lease comes before the advert: after a pause
    the addresses are put right before anybody is told that they are here."""
    cdef int64_t now = node.now
    if r.timers[TIMER_HOLD] <= now:
        fire(node, r, IN_HOLD_TIMER, NULL)
        evaluate(node)
    if r.timers[TIMER_STOP] <= now:
        set_timer(r, TIMER_STOP, NEVER)
        r.stopping = 2
        stop_when_all_done(node, r, IN_STOP_TIMER)
    if r.timers[TIMER_LEASE] <= now:
        fire(node, r, IN_LEASE_GAP if now - r.leased_at >= r.lease_ns else IN_LEASE_TIMER, NULL)
    if r.timers[TIMER_ADVERT] <= now:
        note_lateness(r, now - r.timers[TIMER_ADVERT])
        fire(node, r, IN_ADVERT_TIMER, NULL)
    if r.timers[TIMER_MASTER_DOWN] <= now:
        master_down(node, r)
    if r.timers[TIMER_ANNOUNCE] <= now:
        fire(node, r, IN_ANNOUNCE_TIMER, NULL)
    if r.timers[TIMER_DELETE] <= now:
        fire(node, r, IN_DELETE_TIMER, NULL)
    earliest(r)
