"""The VRRP machine of one process: all virtual routers, sync groups and trackers, and one function, node_step.

Sources: RFC 9568 (version 3; before it RFC 5798), RFC 3768 (version 2), and keepalived's documentation for Fault, sync
groups, trackers and preempt_delay.  Pure: no I/O, clock, randomness; a step allocates nothing.

    event, now -> node_step -> actions (in order), next deadline

Deviations, and why:
- A router in a sync group becomes master only when all members' master-down timers have ended (groups.pxi).
- After a gap of down_adverts intervals since its own last advert a master steps down before anything else: another
  router has taken over by then, and two masters would own the addresses until the first advert arrives.
- Addresses have a lifetime in the kernel; refreshing it is an action of this machine (LEASE_TIMER), so that a process
  that was stopped can't put addresses back before it has looked at the time.
- A lower-priority advert is answered at once (RFC 9568; older RFCs ignore it), unless `answer_lower` is off.

Bounds, checked by the simulation (A interval, d longest delay, p longest pause of a process): in a connected segment
there is one master within down_adverts * A + skew(lowest priority) + 2 d + p, and two at once for at most A + 2 d + p.
"""

import ipaddress

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset
from libvrrp.packet.advert cimport (
    FAIL_CHECKSUM, FAIL_VERSION, Advert, CAdvert, advert_decode_ipv4, advert_decode_ipv6, advert_icv_valid,
    replay_accept,
)

from libvrrp.config import AUTH_TYPES, Config
from libvrrp.errors import ConfigError, VrrpError
from libvrrp.fsm import events as ev
from libvrrp.fsm.table import INPUTS, OPERATIONS, STATES, TABLE
from libvrrp.packet.advert import FIELDS as FAILURE_FIELDS

cdef enum:
    REPAIRS = 3
    ACTIONS_EACH = 64       # a router's share of a step's actions: 10 rows of at most 6

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF
cdef int64_t SECOND = 1000000000
cdef int64_t CENTISECOND = 10000000
cdef int64_t LOG_PERIOD = 10000000000
cdef int64_t REPAIR_PERIOD = 10000000000

assert (len(STATES), len(INPUTS), len(OPERATIONS)) == (STATE_COUNT, INPUT_COUNT, OPERATION_COUNT)
assert (len(ev.KINDS), len(ev.DROPS)) == (ACTION_KIND_COUNT, DROP_COUNT)
assert len(ev.PROTOCOL_ERRORS) == PROTOCOL_CHECKSUM + 1

include "router.pxi"
include "groups.pxi"
include "checks.pxi"


cdef int64_t gap_ns(const CRouter* r) noexcept nogil:
    """How long a master may have been silent: before that nobody takes over.  Where the others wait for one advert only,
    half an interval more than a master is always silent."""
    return r.down_adverts * r.interval_ns if r.down_adverts > 1 else r.interval_ns + r.interval_ns // 2


cdef void find_next(CNode* node) noexcept nogil:
    cdef int32_t i
    cdef CRouter* r
    cdef int64_t gap
    node.next = NEVER
    node.gap_at = NEVER
    for i in range(node.capacity):
        r = &node.routers[i]
        if not r.used:
            continue
        if r.next < node.next:
            node.next = r.next
        if r.state == MASTER:
            gap = r.sent_at + gap_ns(r)
            if gap < node.gap_at:
                node.gap_at = gap


cdef void leave_after_gaps(CNode* node) noexcept nogil:
    """The first thing on waking: who was silent for three intervals is no longer master, and its addresses go."""
    cdef int32_t i
    cdef CRouter* r
    for i in range(node.capacity):
        r = &node.routers[i]
        if r.used and r.state == MASTER and node.now - r.sent_at >= gap_ns(r):
            r.gaps += 1
            fire(node, r, IN_GAP, NULL)
            group_to_backup(node, r)


cdef void settled(CNode* node, const CEvent* e) noexcept nogil:
    """Done or failed of an action.  The id of an action that no longer matters fits no router."""
    cdef int32_t i
    cdef CRouter* r
    if e.id == 0:
        return
    for i in range(node.capacity):
        r = &node.routers[i]
        if not r.used:
            continue
        if e.id == r.id_add:
            r.id_add = 0
            if e.kind != EV_FAILED:
                fire(node, r, IN_ADDED, NULL)
            elif fire(node, r, IN_ADD_FAILED, NULL):
                evaluate(node)
        elif e.id == r.id_delete:
            r.id_delete = 0
            if e.kind == EV_FAILED:
                fire(node, r, IN_DELETE_FAILED, NULL)
        elif e.id == r.id_refresh:
            r.id_refresh = 0
            if e.kind == EV_FAILED:
                fire(node, r, IN_REFRESH_FAILED, NULL)
        elif e.id == r.id_stop:
            r.id_stop = 0
            r.stopping = 2
            stop_when_all_done(node, r, IN_STOP_DONE)
        else:
            continue
        return


cdef void deadline(CNode* node) noexcept nogil:
    cdef int32_t i
    for i in range(node.capacity):
        if node.routers[i].used and node.routers[i].next <= node.now:
            run_timers(node, &node.routers[i])


cdef int node_step(CNode* node, const CEvent* e, int64_t now) noexcept nogil:
    """Applies one event at `now` (ns); returns how many actions are in node.actions.  A clock that goes back stands."""
    cdef CRouter* r
    node.count = 0
    if now > node.now:
        node.now = now
    if node.counted_since == 0:
        node.counted_since = node.now
    if node.now >= node.gap_at:
        leave_after_gaps(node)
    if e.kind == EV_DEADLINE:
        deadline(node)
    elif e.kind == EV_ADVERT:
        r = router_for(node, e.interface, e.advert)
        if r == NULL:
            node.unknown_vrid += 1
        else:
            receive(node, r, e.advert)
    elif e.kind == EV_ADDED or e.kind == EV_DONE or e.kind == EV_FAILED:
        settled(node, e)
    elif e.kind == EV_LINK:
        node.links[e.interface] = e.value != 0
        evaluate(node)
    elif e.kind == EV_LOST:
        address_lost(node, &node.routers[e.router])
    elif e.kind == EV_EXPIRED:
        node.routers[e.router].expiries += 1
    elif e.kind == EV_CLAIMED:
        fire(node, &node.routers[e.router], IN_CLAIMED, NULL)
    elif e.kind == EV_TRACKER:
        tracker_result(&node.trackers[e.router], e.value)
        evaluate(node)
    elif e.kind == EV_PEER_DOWN:
        peer_down(node, e.address, <int>e.value)
    elif e.kind == EV_START:
        start(node, e.router)
    elif e.kind == EV_STOP:
        stop(node, e.router)
    elif e.kind == EV_PRIORITY:
        node.routers[e.router].base = <uint8_t>e.value
        evaluate(node)
    elif e.kind == EV_HUNG:
        hung(node, e.value != 0)
    elif e.kind == EV_REFUSED:
        note_refused(node, e)
    elif e.kind == EV_PRIMARY:
        memcpy(node.routers[e.router].primary, e.address, 16)
    find_next(node)
    return node.count


cdef int64_t node_next_deadline(const CNode* node) noexcept nogil:
    """When the next step with EV_DEADLINE is due (ns), or the largest int64 for never."""
    return node.next


cdef void clear_router(CRouter* r) noexcept nogil:
    free(r.addresses)
    free(r.peers)
    free(r.peer_ttls)
    free(r.tracks)
    memset(r, 0, sizeof(CRouter))


cdef int fill_addresses(uint8_t** out, int32_t* count, list packed) except -1:
    """Replaces a packed list of addresses."""
    cdef bytes joined = b"".join(packed)
    cdef uint8_t* fresh = <uint8_t*>malloc(len(joined) + 1)
    if fresh == NULL:
        raise MemoryError
    memcpy(fresh, PyBytes_AS_STRING(joined), len(joined))
    free(out[0])
    out[0] = fresh
    count[0] = len(packed)
    return 0


cdef int fill_tracks(CTrack** out, int32_t* count, object tracks, dict slots) except -1:
    cdef CTrack* fresh = <CTrack*>calloc(len(tracks) + 1, sizeof(CTrack))
    if fresh == NULL:
        raise MemoryError
    for i, track in enumerate(tracks):
        fresh[i].tracker = slots[track.tracker]
        fresh[i].weight = track.weight
        fresh[i].reverse = track.reverse
    free(out[0])
    out[0] = fresh
    count[0] = len(tracks)
    return 0


cdef int fill_router(CRouter* r, object s, dict interfaces, dict trackers) except -1:
    """Copies the settings of a config.Router; the state stays."""
    cdef bytes secret = s.auth_pass.encode().ljust(8, b"\0")
    cdef int32_t peers = 0
    r.used, r.family, r.version, r.vrid, r.base = 1, s.family, s.version, s.vrid, s.priority
    r.preempt, r.check_addresses = s.preempt, s.check_addresses
    r.answer_lower, r.answer_higher = s.answer_lower, s.answer_higher
    r.auth_type = AUTH_TYPES.index(s.auth_type)
    memcpy(r.auth_data, PyBytes_AS_STRING(secret), 8)
    r.unicast, r.check_peers, r.peer_down_fast = bool(s.peers), s.check_peers, s.peer_down_fast
    r.stop_script, r.leased, r.dont_track_link = s.stop_timeout > 0, s.lease, not s.track_link
    r.interface = interfaces[s.interface]
    r.ttl_low, r.ttl_high = s.ttl
    r.down_adverts = s.down_adverts
    r.announce_repeat, r.announce_refresh_repeat = s.garp_repeat, s.garp_refresh_repeat
    r.lower_repeat = s.garp_lower_repeat
    r.interval_ns = s.interval_cs * CENTISECOND
    r.preempt_delay_ns, r.stop_timeout_ns = round(s.preempt_delay * 1e9), round(s.stop_timeout * 1e9)
    r.announce_delay_ns, r.announce_refresh_ns = round(s.garp_delay * 1e9), round(s.garp_refresh * 1e9)
    r.hold_ns, r.lower_delay_ns = round(s.hold_time * 1e9), round(s.garp_lower_delay * 1e9)
    r.lease_ns = s.lease_seconds * SECOND
    fill_addresses(&r.addresses, &r.address_count, [a.ip.packed for a in s.addresses])
    fill_addresses(&r.peers, &r.peer_count, [ipaddress.ip_address(p.address).packed for p in s.peer_list])
    fill_addresses(&r.peer_ttls, &peers, [bytes(p.ttl or s.ttl) for p in s.peer_list])
    fill_tracks(&r.tracks, &r.track_count, s.tracks, trackers)
    if s.source:
        set_address(r.primary, s.source)
    return 0


cdef int set_address(uint8_t* out, object address) except -1:
    """Writes a packed address into 16 bytes; returns its family."""
    parsed = ipaddress.ip_address(address)
    cdef bytes raw = parsed.packed
    memset(out, 0, 16)
    memcpy(out, PyBytes_AS_STRING(raw), len(raw))
    return parsed.version


cdef void fresh_state(CRouter* r) noexcept nogil:
    cdef int i
    for i in range(DROP_COUNT):
        r.drop_logged[i] = -LOG_PERIOD
    cancel(r)
    set_timer(r, TIMER_DELETE, NEVER)
    forget(r)
    earliest(r)


include "object.pxi"
