# The Python object around a CNode.


cdef class Node:
    """All virtual routers of a process.

    config: libvrrp.config.Config.  table: the transition table (tests pass changed ones).
    `step(event, now)` applies an event of libvrrp.fsm.events at a time in nanoseconds and returns the list of Actions
    to be carried out in order; `next_deadline()` is when the next Deadline is due.
    """

    def __cinit__(self):
        memset(&self.c, 0, sizeof(CNode))

    def __init__(self, config, table=TABLE):
        cdef CRow* row
        if self.c.actions != NULL:
            raise VrrpError("a Node is initialised once; use reload")
        for state, given, following, operations in table:
            row = &self.c.table[STATES.index(state)][INPUTS.index(given)]
            row.present, row.next, row.count = 1, STATES.index(following), len(operations)
            if len(operations) > ROW_OPERATIONS:
                raise VrrpError(f"a row has at most {ROW_OPERATIONS} operations")
            for i, operation in enumerate(operations):
                row.operations[i] = OPERATIONS.index(operation)
        self.names, self.slots = [], {}
        self.interface_names, self.interfaces = [], {}
        self.tracker_slots, self.group_slots = {}, {}
        self.c.now = -NEVER
        self.configure(config)

    def __dealloc__(self):
        cdef int32_t i
        for i in range(self.c.capacity):
            clear_router(&self.c.routers[i])
        for i in range(self.c.group_count):
            free(self.c.groups[i].members)
            free(self.c.groups[i].tracks)
        free(self.c.routers)
        free(self.c.groups)
        free(self.c.trackers)
        free(self.c.links)
        free(self.c.actions)

    cdef int configure(self, object config) except -1:
        """Takes a configuration over; routers of the same name keep their state and slot."""
        if not isinstance(config, Config):
            raise ConfigError("a libvrrp.config.Config is needed")
        for router in config.routers:
            if router.interface not in self.interfaces:
                self.interfaces[router.interface] = len(self.interface_names)
                self.interface_names.append(router.interface)
        wanted = {router.name for router in config.routers}
        dropped = [name for name in self.slots if name not in wanted]
        for name in dropped:
            clear_router(&self.c.routers[<int>self.slots[name]])
            self.names[self.slots.pop(name)] = None
        fresh = [router.name for router in config.routers if router.name not in self.slots]
        for name in fresh:
            slot = self.names.index(None) if None in self.names else len(self.names)
            self.names[slot:slot + 1] = [name]
            self.slots[name] = slot
        grow_routers(&self.c, len(self.names))
        grow_links(&self.c, len(self.interface_names))
        self.fill_trackers(config)
        for router in config.routers:
            fill_router(&self.c.routers[<int>self.slots[router.name]], router, self.interfaces, self.tracker_slots)
        for name in fresh:
            fresh_state(&self.c.routers[<int>self.slots[name]])
        self.fill_groups(config)
        chain_vrids(&self.c)
        with nogil:
            evaluate_all(&self.c)
            find_next(&self.c)
        self.config = config
        return 0

    cdef int fill_trackers(self, object config) except -1:
        """Trackers keep their results by name."""
        cdef CTracker* fresh = <CTracker*>calloc(len(config.trackers) + 1, sizeof(CTracker))
        if fresh == NULL:
            raise MemoryError
        for i, tracker in enumerate(config.trackers):
            old = self.tracker_slots.get(tracker.name)
            if old is not None:
                fresh[i] = self.c.trackers[<int>old]
            else:
                fresh[i].up = tracker.initial
            fresh[i].used = 1
            fresh[i].counts = tracker.kind == "file"
            fresh[i].rise, fresh[i].fall = tracker.rise, tracker.fall
        free(self.c.trackers)
        self.c.trackers = fresh
        self.c.tracker_count = len(config.trackers)
        self.tracker_slots = {tracker.name: i for i, tracker in enumerate(config.trackers)}
        return 0

    cdef int fill_groups(self, object config) except -1:
        cdef int32_t i
        cdef CGroup* g
        cdef CGroup* fresh = <CGroup*>calloc(len(config.groups) + 1, sizeof(CGroup))
        if fresh == NULL:
            raise MemoryError
        for i in range(self.c.group_count):
            free(self.c.groups[i].members)
            free(self.c.groups[i].tracks)
        free(self.c.groups)
        self.c.groups = fresh
        self.c.group_count = len(config.groups)
        for i in range(self.c.capacity):
            self.c.routers[i].group = -1
        self.group_slots = {group.name: i for i, group in enumerate(config.groups)}
        for i, group in enumerate(config.groups):
            g = &fresh[i]
            g.used, g.tracking_weight = 1, group.tracking_weight
            g.members = <int32_t*>calloc(len(group.members), sizeof(int32_t))
            if g.members == NULL:
                raise MemoryError
            fill_tracks(&g.tracks, &g.track_count, group.tracks, self.tracker_slots)
            for name in group.members:
                g.members[g.count] = self.slots[name]
                g.count += 1
                self.c.routers[<int>self.slots[name]].group = i
        return 0

    cdef list collected(self):
        cdef list out = []
        cdef CAction* a
        cdef int i
        for i in range(self.c.count):
            a = &self.c.actions[i]
            name = self.names[a.router]
            kind = ev.KINDS[a.kind]
            if a.kind == ACT_ADVERT:
                out.append(ev.Action(a.id, kind, name, a.argument))
            elif a.kind == ACT_ANNOUNCE:
                out.append(ev.Action(a.id, kind, name, 0, a.argument))
            elif a.kind == ACT_TRANSITION:
                out.append(ev.Action(a.id, kind, name, 0, 0, STATES[a.argument >> 4], STATES[a.argument & 15],
                                     INPUTS[a.cause]))
            elif a.kind == ACT_DROPPED:
                out.append(ev.Action(a.id, kind, name, reason=ev.DROPS[a.argument]))
            else:
                out.append(ev.Action(a.id, kind, name))
        return out

    def step(self, event, int64_t now):
        """Applies an event at `now` (ns of a monotonic clock); returns the Actions.  Unknown names raise VrrpError."""
        cdef CEvent e
        cdef CAdvert decoded
        cdef bytes data
        cdef int failure
        memset(&e, 0, sizeof(CEvent))
        kind = type(event)
        if kind is ev.Deadline:
            e.kind = EV_DEADLINE
        elif kind is ev.Received:
            e.kind = EV_ADVERT
            e.interface = self.number(self.interfaces, event.interface, "interface")
            if isinstance(event.packet, Advert):
                e.advert = &(<Advert>event.packet).c
            else:
                data = event.packet
                failure = self.decode(&decoded, data)
                if failure:
                    e.kind, e.router, e.value, e.id = EV_REFUSED, decoded.vrid, failure, decoded.family
                e.advert = &decoded
        elif kind is ev.Done or kind is ev.Failed:
            e.kind = EV_DONE if kind is ev.Done else EV_FAILED
            e.id = event.id
        else:
            self.other_event(&e, kind, event)
        with nogil:
            node_step(&self.c, &e, now)
        return self.collected()

    cdef int decode(self, CAdvert* out, bytes data) except -1:
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef size_t n = len(data)
        cdef int failure
        if n and p[0] >> 4 == 6:
            failure = advert_decode_ipv6(out, p, n)
        else:
            failure = advert_decode_ipv4(out, p, n)
        if failure:
            self.c.failures[failure] += 1
        return failure

    cdef int other_event(self, CEvent* e, object kind, object event) except -1:
        if kind is ev.Link:
            e.kind, e.value = EV_LINK, bool(event.up)
            e.interface = self.number(self.interfaces, event.interface, "interface")
        elif kind is ev.TrackerValue:
            e.kind, e.value = EV_TRACKER, event.value
            e.router = self.number(self.tracker_slots, event.tracker, "tracker")
            if self.config.trackers[e.router].kind in ("script", "process"):
                e.value = event.value == 0
        elif kind is ev.PeerDown:
            e.kind = EV_PEER_DOWN
            e.value = set_address(e.address, event.address)
        elif kind is ev.Hung:
            e.kind, e.value = EV_HUNG, bool(event.hung)
        elif kind is ev.Start or kind is ev.Stop:
            e.kind = EV_START if kind is ev.Start else EV_STOP
            e.router = -1 if event.router is None else self.number(self.slots, event.router, "router")
        elif kind in PLAIN_EVENTS:
            e.kind = PLAIN_EVENTS[kind]
            e.router = self.number(self.slots, event.router, "router")
            if kind is ev.SetPriority:
                if not 1 <= event.priority <= 255:
                    raise ConfigError(f"router {event.router}: priority: 1 to 255")
                e.value = event.priority
            elif kind is ev.Primary:
                set_address(e.address, event.address)
        else:
            raise VrrpError(f"{event!r} is not an event of libvrrp.fsm.events")
        return 0

    cdef int number(self, dict slots, object name, str what) except -1:
        if name not in slots:
            raise VrrpError(f"no {what} is named {name!r}")
        return slots[name]

    def next_deadline(self):
        """When the next Deadline is due, in ns, or None."""
        cdef int64_t at = node_next_deadline(&self.c)
        return None if at == NEVER else at

    def reload(self, config, int64_t now):
        """Takes a new configuration: routers of the same name (and interface, family, VRID, version) keep their state,
        others are stopped before and started after; returns the Actions, in order.

        A running master whose list of addresses changed gets DELETE before and ADD after the change."""
        new = {router.name: router for router in config.routers}
        actions = []
        running = any(self.c.routers[<int>slot].started for slot in self.slots.values())
        changed = set()
        for router in self.config.routers:
            other = new.get(router.name)
            if other is None or identity(router) != identity(other):
                actions += self.stop_now(router.name, now)
            elif placement(router) != placement(other):
                if self.c.routers[<int>self.slots[router.name]].state == MASTER:
                    actions.append(ev.Action(0, "DELETE", router.name))
                    changed.add(router.name)
        kept = {r.name for r in self.config.routers if r.name in new and identity(r) == identity(new[r.name])}
        gone = [name for name in self.slots if name not in kept]
        for name in gone:
            clear_router(&self.c.routers[<int>self.slots[name]])
            self.names[self.slots.pop(name)] = None
        self.configure(config)
        if running:
            actions += self.step(ev.Start(), now)
        for name in changed:
            actions += self.again(name)
        with nogil:
            find_next(&self.c)
        return actions

    cdef list stop_now(self, object name, int64_t now):
        """Stop without waiting for a stop script: the router is about to vanish."""
        self.c.routers[<int>self.slots[name]].stop_script = 0
        return self.step(ev.Stop(name), now)

    cdef list again(self, object name):
        """Add a master's addresses anew after its list changed."""
        self.c.count = 0
        operate(&self.c, &self.c.routers[<int>self.slots[name]], OP_ADD, NULL)
        earliest(&self.c.routers[<int>self.slots[name]])
        return self.collected()

    def state(self, name):
        """The router's state: one of libvrrp.fsm.STATES."""
        return STATES[self.c.routers[self.number(self.slots, name, "router")].state]

    def status(self):
        """Everything about every router and the datagrams that were refused, as a dict of plain values (JSON)."""
        return self.status_of(<size_t>self.c.routers)

    def status_of(self, size_t routers):
        """The same, from a copy of the machine's routers: libvrrp.host makes one without the GIL."""
        refused = {FAILURE_FIELDS[i]: self.c.failures[i] for i in range(len(FAILURE_FIELDS)) if self.c.failures[i]}
        described = {name: self.router_status(&(<CRouter*>routers)[<int>slot]) for name, slot in self.slots.items()}
        trackers = {
            name: {"up": bool(self.c.trackers[<int>slot].up), "value": self.c.trackers[<int>slot].value}
            for name, slot in self.tracker_slots.items()
        }
        return {"routers": described, "trackers": trackers, "refused": refused, "unknown_vrid": self.c.unknown_vrid,
                "counted_since_ns": self.c.counted_since or None}

    cdef dict router_status(self, CRouter* r):
        size = 4 if r.family == 4 else 16
        transition = None
        if r.last_change:
            transition = {"from": STATES[r.last_from], "to": STATES[r.state], "cause": INPUTS[r.last_cause],
                          "at_ns": r.last_change}
        return {
            "state": STATES[r.state],
            "vrid": r.vrid,
            "version": r.version,
            "interface": self.interface_names[r.interface],
            "priority": r.base,
            "effective_priority": r.effective,
            "faults": [name for i, name in enumerate(ev.FAULTS) if r.faults & (1 << i)],
            "master": str(ipaddress.ip_address(r.master[:size])) if r.master_known else None,
            "master_priority": r.master_priority if r.master_known else None,
            "interval_ns": r.interval_ns,
            "master_down_ns": master_down_ns(r),
            "skew_ns": skew_ns(r),
            "lease_ns": r.lease_ns if r.leased else None,
            "last_transition": transition,
            "became_master": r.transitions,
            "new_master_reason": ev.REASONS[r.reason if r.state == MASTER else 0],
            "started_at_ns": r.started_at if r.started else None,
            "adverts_received": r.received,
            "adverts_sent": r.sent,
            "priority_zero_received": r.zero_received,
            "priority_zero_sent": r.zero_sent,
            "gaps": r.gaps,
            "conflicts": r.conflicts,
            "addresses_expired": r.expiries,
            "addresses_repaired": r.repaired,
            "dropped": {reason: r.drops[i] for i, reason in enumerate(ev.DROPS) if r.drops[i]},
            "refused": {FAILURE_FIELDS[i]: r.refused[i] for i in range(len(FAILURE_FIELDS)) if r.refused[i]},
            "protocol_error": ev.PROTOCOL_ERRORS[r.protocol_error],
            "counted_since_ns": r.counted_since or None,
            "refresh_rate_ms": 0,
            "lateness_p99_ns": lateness_quantile(r, 0.99),
            "lateness_max_ns": r.late_max,
        }


PLAIN_EVENTS = {
    ev.AddressLost: EV_LOST,
    ev.AddressExpired: EV_EXPIRED,
    ev.Claimed: EV_CLAIMED,
    ev.SetPriority: EV_PRIORITY,
    ev.Primary: EV_PRIMARY,
}


def identity(router):
    """What makes a router another one: it can't be changed while it runs."""
    return router.interface, router.family, router.vrid, router.version


def placement(router):
    """What is put on the interface."""
    return router.addresses, router.excluded, router.routes, router.rules, router.lease, router.device


cdef void evaluate_all(CNode* node) noexcept nogil:
    """Priorities and faults after a change of settings, without moving anybody: the next event does that."""
    cdef int32_t i
    for i in range(node.capacity):
        if node.routers[i].used:
            evaluate_router(node, &node.routers[i])


cdef void chain_vrids(CNode* node) noexcept nogil:
    cdef int32_t i
    for i in range(256):
        node.by_vrid[i] = -1
    for i in range(node.capacity - 1, -1, -1):
        if node.routers[i].used:
            node.routers[i].next_same_vrid = node.by_vrid[node.routers[i].vrid]
            node.by_vrid[node.routers[i].vrid] = i


cdef int grow_routers(CNode* node, int32_t count) except -1:
    cdef CRouter* routers
    cdef CAction* actions
    if count > node.capacity or node.actions == NULL:
        routers = <CRouter*>realloc(node.routers, (count + 1) * sizeof(CRouter))
        if routers == NULL:
            raise MemoryError
        node.routers = routers
        memset(&routers[node.capacity], 0, (count - node.capacity) * sizeof(CRouter))
        node.capacity = count
        actions = <CAction*>realloc(node.actions, (count + 1) * ACTIONS_EACH * sizeof(CAction))
        if actions == NULL:
            raise MemoryError
        node.actions = actions
        node.room = (count + 1) * ACTIONS_EACH
    return 0


cdef int grow_links(CNode* node, int32_t count) except -1:
    """New interfaces count as up until the host says otherwise."""
    cdef uint8_t* links
    if count > node.interface_count or node.links == NULL:
        links = <uint8_t*>realloc(node.links, count + 1)
        if links == NULL:
            raise MemoryError
        memset(links + node.interface_count, 1, count + 1 - node.interface_count)
        node.links = links
        node.interface_count = count
    return 0


cdef int64_t lateness_quantile(const CRouter* r, double share) noexcept nogil:
    """The upper edge (ns) of the bucket that holds the quantile, not above the largest; 0 without adverts."""
    cdef uint64_t total = 0, seen = 0
    cdef int i
    cdef int64_t edge
    for i in range(LATENESS_BUCKETS):
        total += r.late[i]
    if total == 0:
        return 0
    for i in range(LATENESS_BUCKETS):
        seen += r.late[i]
        if seen >= total * share:
            break
    edge = (<int64_t>1 << (i // 2)) + ((<int64_t>1 << (i // 2)) >> 1 if i % 2 == 0 else <int64_t>1 << (i // 2))
    return edge if edge < r.late_max else r.late_max
