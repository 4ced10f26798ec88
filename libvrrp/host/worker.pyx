"""The thread that runs the machine: sockets, netlink, addresses, announcements; all of it without the GIL.

    epoll: advert sockets | netlink monitor | timerfd | eventfd  ->  node_step  ->  perform  ->  arm the timer

Every step and everything it asks for happens under one mutex (with priority inheritance).  Python takes the same mutex,
without holding the GIL, to apply a command; what is slow (scripts, logging) Python does itself, told through a ring of
notices and an eventfd.

Address changes are synchronous: netlink answers before the send returns, so an announcement is never made before the
kernel has acknowledged the address.  All changes of one step share a batch.

Files: netlink.pxi (messages), perform.pxi (actions), links.pxi (interfaces), addresses.pxi (comparison), guardian.pxi,
bfd.pxi, claims.pxi, loop.pxi.
"""

import ipaddress
import os
import re

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset, strlen, strncmp
from libvrrp.bfd cimport (
    BFD_EV_DEADLINE, BFD_EV_DISABLE, BFD_EV_PACKET, BFD_UP, Session, bfd_next_deadline, bfd_start, bfd_step,
)
from libvrrp.fsm.node cimport (
    ACT_ADD, ACT_ADVERT, ACT_ANNOUNCE, ACT_DELETE, ACT_REFRESH, ACT_TRANSITION, EV_ADVERT, EV_CLAIMED, EV_DONE,
    EV_EXPIRED, EV_FAILED, EV_HUNG, EV_LINK, EV_LOST, EV_PEER_DOWN, EV_PRIORITY, EV_REFUSED, EV_START, EV_STOP, EV_TRACKER,
    MASTER, CAction, CEvent, CRouter, Node, node_next_deadline, node_step,
)
from libvrrp.host.linux cimport *
from libvrrp.packet.advert cimport (
    ADVERT_MAX, CAdvert, advert_decode_ipv4, advert_decode_message, advert_encode_ipv4, advert_encode_ipv6,
    advert_encode_message,
)
from libvrrp.packet.checksum cimport get32
from libvrrp.packet.control cimport CControl, control_decode, control_encode
from libvrrp.packet.announce cimport (
    ADVERTISEMENT_FRAME, ARP_FRAME, arp_announce, neighbour_announce, neighbour_claim,
)

from libvrrp.errors import VrrpError
from libvrrp.fsm import events as ev
from libvrrp.fsm.table import INPUTS, STATES
from libvrrp.host.routes import extras
from libvrrp.packet.advert import FIELDS as FAILURE_FIELDS
from libvrrp.packet.advert import REASONS as FAILURE_REASONS
from libvrrp.packet.advert import GROUP4, GROUP6, virtual_mac
from libvrrp.packet.control import STATES as BFD_STATES

include "netlink.pxi"
include "perform.pxi"
include "links.pxi"
include "addresses.pxi"
include "guardian.pxi"
include "bfd.pxi"
include "claims.pxi"
include "loop.pxi"

GROUPS = {4: GROUP4, 6: GROUP6}
SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254}
ADDRESS_BITS = {"home": 0x10, "mngtmpaddr": 0x100, "noprefixroute": 0x200, "autojoin": 0x400}     # IFA_F_


cdef class Worker:
    """The C side of libvrrp.host.Host, which is what applications use.

    node: the machine.  told: an eventfd that is written when there are notices.  guardian: whether a guardian process
    is wanted.  hang_timeout: seconds, 0 for none.
    """

    def __cinit__(self):
        memset(&self.h, 0, sizeof(CHost))
        self.h.epoll = self.h.timer = self.h.wake = self.h.told = -1
        self.h.request = self.h.monitor = self.h.packet = self.h.guardian_pipe = self.h.arp = self.h.ndp = -1
        for i in range(4):
            self.h.bfd_receivers[i] = -1

    def __init__(self, Node node not None, int told, bint guardian, double hang_timeout):
        cdef pthread_mutexattr_t attributes
        cdef CHost* h = &self.h
        cdef CInterface* below
        cdef CInterface* above
        config = node.config
        self.node = node
        h.told = told
        h.node = &node.c
        self.names = [None] * node.c.capacity
        h.place_count = node.c.capacity
        h.places = <CPlace*>calloc(h.place_count + 1, sizeof(CPlace))
        names = [None] * node.c.interface_count
        for name, number in node.interfaces.items():
            names[number] = name
        names += [s.interface for s in config.bfd if s.interface and s.interface not in names]
        for router in config.routers:
            held = [address.device for address in (*router.addresses, *router.excluded) if address.device]
            ways = [place.device for extra in extras(router) for place in extra.places]
            for name in (router.device, *held, *ways):
                if name not in names:
                    names.append(name)
        followed = [tracker for tracker in config.trackers if tracker.interface]
        names += sorted({tracker.interface for tracker in followed} - set(names))
        self.interface_names = names
        h.interface_count = len(names)
        h.interfaces = <CInterface*>calloc(len(names) + 1, sizeof(CInterface))
        h.batch = <uint8_t*>malloc(BATCH_ROOM)
        h.batch_owner = <int32_t*>calloc(BATCH_MESSAGES, sizeof(int32_t))
        h.work_room = 2 * node.c.room
        h.work = <CAction*>calloc(h.work_room, sizeof(CAction))
        h.notices = <CNotice*>calloc(NOTICES, sizeof(CNotice))
        h.received = <uint8_t*>malloc(RECEIVE_ROOM)
        h.follows = <CFollow*>calloc(len(followed) + 1, sizeof(CFollow))
        if not (h.follows and h.places and h.interfaces and h.batch and h.batch_owner):
            raise MemoryError
        if not (h.work and h.notices and h.received):
            raise MemoryError
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT)
        pthread_mutex_init(&h.mutex, &attributes)
        for number, name in enumerate(names):
            encoded = name.encode()
            if not 0 < len(encoded) <= 15:
                raise VrrpError(f"interface {name!r}: a name has 1 to 15 bytes")
            memcpy(h.interfaces[number].name, PyBytes_AS_STRING(encoded), len(encoded))
            for kind in range(SOCKET_COUNT):
                h.interfaces[number].sockets[kind] = -1
        for device in config.interfaces:
            if device.name in names:
                self.place_interface(&h.interfaces[<int>names.index(device.name)], device)
        for router in config.routers:           # a macvlan is announced at the pace of the interface below
            if router.use_vmac:
                below = &h.interfaces[<int>names.index(router.interface)]
                above = &h.interfaces[<int>names.index(router.device)]
                above.pace[0], above.pace[1] = below.pace[0], below.pace[1]
        for tracker in followed:
            h.follows[h.follow_count].device = names.index(tracker.interface)
            h.follows[h.follow_count].tracker = node.tracker_slots[tracker.name]
            h.follows[h.follow_count].told = -1
            h.follow_count += 1
        for router in config.routers:
            self.place_router(node.slots[router.name], router)
        self.sessions = list(config.bfd)
        h.bfd = <CBfd*>calloc(len(self.sessions) + 1, sizeof(CBfd))
        if h.bfd == NULL:
            raise MemoryError
        for session in self.sessions:
            self.place_session(&h.bfd[h.bfd_count], session)
            h.bfd_count += 1
        h.marks = tuple(int(x) for x in re.findall(r"\d+", os.uname().release)[:2]) >= (5, 18)
        h.owner = getpid()
        h.guardian_wanted = guardian
        h.hang_timeout = round(hang_timeout * 1e9)
        self.open_all()

    cdef int place_router(self, int slot, object router) except -1:
        cdef CPlace* place = &self.h.places[slot]
        cdef CInterface* device = &self.h.interfaces[self.h.node.routers[slot].interface]
        cdef int i
        self.names[slot] = router.name
        vips = (*router.addresses, *router.excluded)
        place.vips = <CVip*>calloc(len(vips), sizeof(CVip))
        if place.vips == NULL:
            raise MemoryError
        place.used, place.vip_count = 1, len(vips)
        place.lease, place.lease_seconds, place.pseudo = router.lease, router.lease_seconds, router.pseudo_header
        place.fixed_source = bool(router.source)
        cdef bytes mac = virtual_mac(router.vrid, router.family)
        place.vmac, place.device = router.use_vmac, self.interface_names.index(router.device)
        place.framed, place.ttl = router.use_vmac and not router.vmac_xmit_base, router.unicast_ttl
        cdef bytes group = ipaddress.ip_address(router.group).packed if router.group else GROUPS[router.family].packed
        memcpy(place.group, PyBytes_AS_STRING(group), len(group))
        memcpy(place.mac, PyBytes_AS_STRING(mac), 6)
        for i, address in enumerate(vips):
            self.place_vip(&place.vips[i], address, router)
        built = extras(router)
        place.extras = <CExtra*>calloc(len(built) + 1, sizeof(CExtra))
        if place.extras == NULL:
            raise MemoryError
        for extra in built:
            self.place_extra(&place.extras[place.extra_count], extra)
            place.extra_count += 1
        if router.family == 6:
            device.wanted[SOCKET_V6] = 1
        else:
            device.wanted[SOCKET_AH if router.auth_type == "AH" else SOCKET_V4] = 1
        return 0

    cdef int place_vip(self, CVip* vip, object address, object router) except -1:
        cdef bytes raw = address.ip.packed
        vip.family, vip.prefix = address.ip.version, address.interface.network.prefixlen
        vip.scope = SCOPES[address.scope] if address.scope in SCOPES else int(address.scope)
        if vip.family == 6 and address.ip.is_link_local:
            vip.scope = SCOPES["link"]
        vip.deprecated, vip.flags = address.deprecated, sum(ADDRESS_BITS[flag] for flag in address.flags)
        vip.device = self.interface_names.index(address.device or router.device)
        memcpy(vip.address, PyBytes_AS_STRING(raw), len(raw))
        if address.peer:
            raw = ipaddress.ip_address(address.peer).packed
            vip.has_peer = 1
            memcpy(vip.peer, PyBytes_AS_STRING(raw), len(raw))
        label = address.label.encode()
        memcpy(vip.label, PyBytes_AS_STRING(label), len(label))
        if address.broadcast and vip.family == 4:
            chosen = address.broadcast
            where = address.interface.network.broadcast_address if chosen == "+" else ipaddress.ip_address(chosen)
            raw = where.packed
            vip.has_broadcast = 1
            memcpy(vip.broadcast, PyBytes_AS_STRING(raw), 4)
        return 0

    cdef int place_interface(self, CInterface* device, object given) except -1:
        device.down_delay, device.up_delay = round(given.down_delay * 1e9), round(given.up_delay * 1e9)
        device.pace[0], device.pace[1] = round(given.garp_interval * 1e9), round(given.gna_interval * 1e9)
        return 0

    cdef int place_extra(self, CExtra* extra, object given) except -1:
        cdef bytes add = given.add, remove = given.delete
        extra.length = len(add)
        extra.add, extra.remove = <uint8_t*>malloc(len(add)), <uint8_t*>malloc(len(add))
        extra.blanks = <CBlank*>calloc(len(given.places) + 1, sizeof(CBlank))
        if extra.add == NULL or extra.remove == NULL or extra.blanks == NULL:
            free(extra.add)
            free(extra.remove)
            free(extra.blanks)
            raise MemoryError
        for place in given.places:
            extra.blanks[extra.blank_count].at = place.at
            extra.blanks[extra.blank_count].device = self.interface_names.index(place.device)
            extra.blanks[extra.blank_count].table = place.table
            extra.blank_count += 1
        memcpy(extra.add, PyBytes_AS_STRING(add), len(add))
        memcpy(extra.remove, PyBytes_AS_STRING(remove), len(add))
        return 0

    cdef int place_session(self, CBfd* b, object session) except -1:
        cdef bytes raw = session.remote.packed
        cdef uint64_t seed = int.from_bytes(os.urandom(8), "little")
        b.family, b.multihop, b.sender = session.remote.version, session.multihop, -1
        memcpy(b.remote, PyBytes_AS_STRING(raw), len(raw))
        raw = ipaddress.ip_address(session.source).packed
        memcpy(b.local, PyBytes_AS_STRING(raw), len(raw))
        b.lowest_ttl = session.min_ttl if session.multihop else 255
        b.device = self.interface_names.index(session.interface) if session.interface else -1
        b.tracker = self.node.tracker_slots[session.tracker] if session.tracker else -1
        b.session.wanted_tx_us, b.session.wanted_rx_us = round(session.min_tx * 1e6), round(session.min_rx * 1e6)
        b.session.idle_us, b.session.passive = round(session.idle_tx * 1e6), session.passive
        b.session.multiplier = session.multiplier
        bfd_start(&b.session, <uint32_t>(seed >> 32) | 1, seed)
        return 0

    cdef int open_all(self) except -1:
        cdef CHost* h = &self.h
        cdef int i
        cdef int64_t start = clock_ns(CLOCK_REALTIME) // 1000000000
        h.shared_count = h.place_count + 1
        h.shared = <CShared*>mmap(NULL, h.shared_count * sizeof(CShared), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        if <void*>h.shared == MAP_FAILED:
            h.shared = NULL
            raise MemoryError
        for i in range(h.place_count):
            h.shared[i].sequence = <uint32_t>start      # ahead of what an earlier life of this process used
        h.identification = <uint16_t>(start & 0xFFFF)
        h.epoll = epoll_create1(EPOLL_CLOEXEC)
        h.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        h.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        h.request = netlink_open(0, &h.request_port)
        h.monitor = netlink_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, NULL)
        h.packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
        h.arp, h.ndp = open_claims(0x0806), open_claims(0x86DD)
        if min(h.epoll, h.timer, h.wake, h.request, h.monitor, h.packet, h.arp, h.ndp) < 0:
            raise VrrpError(f"the sockets that every host needs can't be opened: errno {errno}")
        watch(h, h.timer, TAG_TIMER)
        watch(h, h.wake, TAG_WAKE)
        watch(h, h.monitor, TAG_MONITOR)
        watch(h, h.arp, TAG_ARP)
        watch(h, h.ndp, TAG_NDP)
        return 0

    def __dealloc__(self):
        cdef CHost* h = &self.h
        cdef int i
        if h.interfaces != NULL:
            for i in range(h.interface_count):
                close_sockets(h, &h.interfaces[i])
        for fd in (h.epoll, h.timer, h.wake, h.request, h.monitor, h.packet, h.arp, h.ndp):
            if fd >= 0:
                close(fd)
        for i in range(h.bfd_count):
            if h.bfd[i].sender >= 0:
                close(h.bfd[i].sender)
        for i in range(4):
            if h.bfd_receivers[i] >= 0:
                close(h.bfd_receivers[i])
        free(h.bfd)
        guardian_dismiss(h)
        if h.shared != NULL:
            munmap(h.shared, h.shared_count * sizeof(CShared))
        if h.places != NULL:
            for i in range(h.place_count):
                free(h.places[i].vips)
                for k in range(h.places[i].extra_count):
                    free(h.places[i].extras[k].add)
                    free(h.places[i].extras[k].remove)
                    free(h.places[i].extras[k].blanks)
                free(h.places[i].extras)
        free(h.places)
        free(h.follows)
        free(h.interfaces)
        free(h.batch)
        free(h.batch_owner)
        free(h.work)
        free(h.notices)
        free(h.received)

    def prepare(self):
        """Reads links and addresses, removes what an earlier life left behind, starts the guardian."""
        cdef CHost* h = &self.h
        cdef int i
        cdef bint answered
        with nogil:
            h.touched = clock_ns(CLOCK_MONOTONIC)
            for i in range(h.interface_count):
                h.interfaces[i].link = h.node.links[i] if i < h.node.interface_count else 1
            answered = compare_links(h)
            compare_addresses(h)
            remove_leftovers(h)
            open_bfd(h)
            h.prepared = 1
            guardian_spawn(h)
            arm(h)
        if not answered:
            raise VrrpError("the kernel did not answer a netlink dump of its links")

    def run(self):
        """The thread's whole life: returns after stop_running."""
        with nogil:
            run(&self.h)

    def stop_running(self):
        cdef uint64_t one = 1
        self.h.stopping = 1
        write(self.h.wake, &one, 8)

    def dismiss_guardian(self):
        with nogil:
            pthread_mutex_lock(&self.h.mutex)
            self.h.guardian_wanted = 0
            guardian_dismiss(&self.h)
            pthread_mutex_unlock(&self.h.mutex)

    def realtime(self, int priority):
        """SCHED_RR for the calling thread; returns errno or 0."""
        cdef sched_param p
        p.sched_priority = priority
        return errno if sched_setscheduler(0, SCHED_RR, &p) < 0 else 0

    def lock_memory(self):
        """mlockall for the whole process; returns errno or 0."""
        return errno if mlockall(MCL_CURRENT | MCL_FUTURE) < 0 else 0

    def touch(self):
        """The heartbeat: Python is alive."""
        cdef uint64_t one = 1
        self.h.touched = clock_ns(CLOCK_MONOTONIC)
        if self.h.hung:
            write(self.h.wake, &one, 8)

    def apply(self, int kind, int router=-1, int64_t value=0, uint64_t id=0, address=None):
        """One event of the machine (EV_ numbers of KIND), carried out before this returns."""
        cdef CEvent e
        cdef uint64_t one = 1
        memset(&e, 0, sizeof(e))
        e.kind, e.router, e.value, e.id = kind, router, value, id
        if address is not None:
            parsed = ipaddress.ip_address(address)
            raw = parsed.packed
            e.value = parsed.version
            memcpy(e.address, PyBytes_AS_STRING(raw), len(raw))
        with nogil:
            pthread_mutex_lock(&self.h.mutex)
            step_and_perform(&self.h, &e)
            pthread_mutex_unlock(&self.h.mutex)
            write(self.h.wake, &one, 8)

    def retire(self, int slot):
        """Stops a router without waiting for its stop script: the configuration no longer has it."""
        self.node.c.routers[slot].stop_script = 0
        self.node.c.routers[slot].stopping = 0
        self.apply(EV_STOP, slot)

    def withdraw(self, int slot):
        """Deletes a router's addresses as they are now; others take their place."""
        with nogil:
            change_addresses(&self.h, slot, ACT_DELETE)
            batch_send(&self.h)
            self.h.places[slot].pending = 0

    def take_over(self, Worker other not None):
        """What outlives a reload: AH's sequence numbers, which interface is which and whether its carrier counts, and
        the BFD sessions whose settings are the same."""
        cdef CInterface* old
        cdef CInterface* new
        for slot, name in enumerate(self.names):
            if name is not None and name in other.names:
                self.h.shared[<int>slot].sequence = other.h.shared[<int>other.names.index(name)].sequence
                self.h.shared[<int>slot].master = self.h.node.routers[<int>slot].state == MASTER
        self.h.identification = other.h.identification
        for number, name in enumerate(self.interface_names):
            if name in other.interface_names:       # followed by its index, whatever it is called now
                old = &other.h.interfaces[<int>other.interface_names.index(name)]
                new = &self.h.interfaces[<int>number]
                new.index, new.running, new.carrier, new.settles_at = old.index, old.running, old.carrier, old.settles_at
                new.has_v4, new.has_v6 = old.has_v4, old.has_v6
                memcpy(new.mac, old.mac, 6)
        self.h.prepared = 1
        for k in range(4):
            self.h.bfd_receivers[k], other.h.bfd_receivers[k] = other.h.bfd_receivers[k], -1
            if self.h.bfd_receivers[k] >= 0:
                watch(&self.h, self.h.bfd_receivers[k], TAG_BFD + k)
        self.h.bfd_ports = other.h.bfd_ports
        for i, session in enumerate(self.sessions):
            if session in other.sessions:           # equal in every setting: it goes on
                k = other.sessions.index(session)
                self.h.bfd[<int>i].session = other.h.bfd[<int>k].session
                self.h.bfd[<int>i].sender, other.h.bfd[<int>k].sender = other.h.bfd[<int>k].sender, -1

    def goodbye(self):
        """Takes the BFD sessions to AdminDown, on purpose."""
        with nogil:
            pthread_mutex_lock(&self.h.mutex)
            goodbye_bfd(&self.h)
            pthread_mutex_unlock(&self.h.mutex)

    def carry_out(self, actions):
        """Carries out Actions that Node.reload returned."""
        cdef int n = 0
        for action in actions:
            if n >= self.h.work_room:
                break
            a = &self.h.work[n]
            a.id, a.kind, a.router = action.id, ev.KINDS.index(action.kind), self.node.slots[action.router]
            a.argument = action.priority or action.repeat
            if action.kind == "TRANSITION":
                a.argument = STATES.index(action.old) * 16 + STATES.index(action.new)
                a.cause = INPUTS.index(action.cause)
            n += 1
        with nogil:
            pthread_mutex_lock(&self.h.mutex)
            self.h.work_count = n
            work_off(&self.h)
            pthread_mutex_unlock(&self.h.mutex)

    def slot(self, name):
        """The machine's number for a router; unknown names raise VrrpError."""
        if name not in self.node.slots:
            raise VrrpError(f"no router is named {name!r}")
        return self.node.slots[name]

    def tracker(self, name):
        if name not in self.node.tracker_slots:
            raise VrrpError(f"no tracker is named {name!r}")
        return self.node.tracker_slots[name]

    def notices(self):
        """What happened since the last call: a list of (kind, at_ns, router or interface, details)."""
        cdef CNotice[64] some
        cdef uint64_t ignored
        cdef int n, i
        out = []
        read(self.h.told, &ignored, 8)
        while True:
            n = 0
            with nogil:
                pthread_mutex_lock(&self.h.mutex)
                while n < 64 and self.h.notice_tail < self.h.notice_head:
                    some[n] = self.h.notices[self.h.notice_tail % NOTICES]
                    self.h.notice_tail += 1
                    n += 1
                pthread_mutex_unlock(&self.h.mutex)
            for i in range(n):
                out.append(described(&some[i], self.names, self.interface_names, self.sessions))
            if n < 64:
                return out

    def session_status(self, int number):
        """bfd.Session.status of one session."""
        cdef Session copy = Session.__new__(Session)
        with nogil:
            pthread_mutex_lock(&self.h.mutex)
            copy.c = self.h.bfd[number].session
            pthread_mutex_unlock(&self.h.mutex)
        return copy.status()

    def status(self):
        """Node.status of this moment, with what the host adds."""
        cdef CHost* h = &self.h
        cdef CRouter* routers = <CRouter*>malloc((h.place_count + 1) * sizeof(CRouter))
        cdef CInterface* interfaces = <CInterface*>malloc((h.interface_count + 1) * sizeof(CInterface))
        if routers == NULL or interfaces == NULL:
            free(routers)
            free(interfaces)
            raise MemoryError
        with nogil:
            pthread_mutex_lock(&h.mutex)
            memcpy(routers, h.node.routers, h.place_count * sizeof(CRouter))
            memcpy(interfaces, h.interfaces, h.interface_count * sizeof(CInterface))
            pthread_mutex_unlock(&h.mutex)
        try:
            out = self.node.status_of(<size_t>routers)
            for name, i in self.node.slots.items():
                out["routers"][name]["send_errors"] = h.places[<int>i].send_errors
                out["routers"][name]["send_errno"] = h.places[<int>i].send_errno or None
            out["interfaces"] = {
                name: {"index": interfaces[i].index, "running": bool(interfaces[i].running),
                       "carrier": bool(interfaces[i].carrier),
                       "link": bool(interfaces[i].link), "mac": interfaces[i].mac[:6].hex(":")}
                for i, name in enumerate(self.interface_names)
            }
        finally:
            free(routers)
            free(interfaces)
        out["bfd"] = {session.name: self.session_status(i) for i, session in enumerate(self.sessions)}
        out["bfd_refused"] = h.bfd_refused
        out["guardian"] = h.guardian_pid or None
        out["notices_lost"] = h.notices_lost
        out["wakeups"] = h.wakeups
        out["hung"] = bool(h.hung)
        return out


KIND = {
    "start": EV_START,
    "stop": EV_STOP,
    "priority": EV_PRIORITY,
    "tracker": EV_TRACKER,
    "peer_down": EV_PEER_DOWN,
    "done": EV_DONE,
    "failed": EV_FAILED,
    "claimed": EV_CLAIMED,
}


cdef object process_of(uint32_t port):
    """The command whose first netlink socket has this port: by custom it is the process's number."""
    try:
        with open(f"/proc/{port}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


cdef object described(const CNotice* n, list names, list interfaces, list sessions):
    if n.kind == ACT_TRANSITION:
        details = {"old": STATES[n.argument >> 4], "new": STATES[n.argument & 15], "cause": INPUTS[n.cause]}
        return "TRANSITION", n.at, names[n.router], details
    if n.kind == NOTICE_LINK:
        return "LINK", n.at, interfaces[n.router], {"up": bool(n.argument)}
    if n.kind == NOTICE_NETLINK_LOST:
        return "NETLINK_LOST", n.at, "", {}
    if n.kind == NOTICE_REFUSED:
        details = {"field": FAILURE_FIELDS[n.argument], "reason": FAILURE_REASONS[n.argument]}
        return "REFUSED", n.at, interfaces[n.router], details
    if n.kind == NOTICE_SOCKET:
        return "SOCKET", n.at, interfaces[n.router], {"errno": n.argument}
    if n.kind == NOTICE_ADDRESS:
        return "ADDRESS", n.at, names[n.router], {"errno": n.argument}
    if n.kind == NOTICE_REMOVED:
        port = n.argument & 0xFFFFFFFF
        return "REMOVED", n.at, names[n.router], {"port": port, "process": process_of(port)}
    if n.kind == NOTICE_BFD:
        details = {"old": BFD_STATES[n.argument >> 4], "new": BFD_STATES[n.argument & 15], "diagnostic": n.cause}
        return "BFD", n.at, sessions[n.router].name, details
    if n.kind == NOTICE_BFD_SOCKET:
        return "BFD_SOCKET", n.at, sessions[n.router].name, {"errno": n.argument}
    details = {"id": n.id}
    kind = ev.KINDS[n.kind]
    if kind == "DROPPED":
        details["reason"] = ev.DROPS[n.argument]
    return kind, n.at, names[n.router], details
