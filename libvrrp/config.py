"""Settings: virtual routers, sync groups, trackers.  Plain frozen dataclasses that check themselves.

Names and defaults are keepalived's where it has the same thing; times are seconds.  A wrong value raises ConfigError,
whose message names the object, the setting and what is allowed.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from libvrrp.errors import ConfigError, require
from libvrrp.routing import NextHop, Route, Rule

__all__ = [
    "Address",
    "Bfd",
    "Config",
    "Group",
    "Interface",
    "NextHop",
    "Peer",
    "Route",
    "Router",
    "Rule",
    "Track",
    "Tracker",
]

MAX_ROUTERS = 255  # an interface and family: the VRID is one byte, and VRRPv2 and v3 share IPv4's
TRACKER_KINDS = ("script", "interface", "file", "process", "bfd")
AUTH_TYPES = ("none", "PASS", "AH")
ADDRESS_FLAGS = ("home", "mngtmpaddr", "noprefixroute", "autojoin")


@dataclass(frozen=True, slots=True)
class Address:
    """A virtual address and how it is put on its interface.

    address: "10.0.0.1/24"; without a prefix /32 or /128.  device: another interface than the router's.
    broadcast: an IPv4 address, "+" (from the prefix) or "".  scope: "global", "link", "host" or a number.
    label: IPv4 only, at most 15 bytes.  deprecated: preferred lifetime 0, so that it is never chosen as a source.
    peer: the other end of a point-to-point link; the prefix is its.  flags: of ip-address(8), some of "home",
    "mngtmpaddr" (both IPv6), "noprefixroute", "autojoin".
    """

    address: str
    device: str = ""
    broadcast: str = ""
    scope: str = "global"
    label: str = ""
    deprecated: bool = False
    peer: str = ""
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            interface = self.interface
        except ValueError as error:
            raise ConfigError(f"address {self.address!r}: {error}") from None
        require(len(self.label.encode()) <= 15, f"address {self.address}", "label", "at most 15 bytes")
        require(not self.label or interface.version == 4, f"address {self.address}", "label", "only IPv4 has labels")
        known = self.scope in ("global", "site", "link", "host") or self.scope.isdecimal()
        require(known, f"address {self.address}", "scope", "global, site, link, host or a number")
        if self.broadcast not in ("", "+"):
            try:
                ipaddress.IPv4Address(self.broadcast)
            except ValueError as error:
                raise ConfigError(f"address {self.address}: broadcast: {error}") from None
        if self.peer:
            try:
                same = ipaddress.ip_address(self.peer).version == interface.version
            except ValueError as error:
                raise ConfigError(f"address {self.address}: peer: {error}") from None
            require(same, f"address {self.address}", "peer", f"an IPv{interface.version} address")
        allowed = ADDRESS_FLAGS if interface.version == 6 else ADDRESS_FLAGS[2:]
        require(
            isinstance(self.flags, tuple) and set(self.flags) <= set(allowed),
            f"address {self.address}",
            "flags",
            "a tuple of " + ", ".join(allowed),
        )

    @property
    def interface(self) -> IPv4Interface | IPv6Interface:
        """The address with its prefix."""
        return ipaddress.ip_interface(self.address)

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The address without its prefix."""
        return self.interface.ip


@dataclass(frozen=True, slots=True)
class Track:
    """A router's or group's interest in a tracker.

    weight -253..253: above 0 is added while the tracker is good, below 0 while it is bad; reverse flips the sign.
    0: bad (with reverse: good) means Fault.  A file's value is multiplied by the weight and added; with weight 0 any
    value but 0 means Fault.
    """

    tracker: str
    weight: int = 0
    reverse: bool = False

    def __post_init__(self) -> None:
        require(-253 <= self.weight <= 253, f"track of {self.tracker}", "weight", "-253..253")


@dataclass(frozen=True, slots=True)
class Tracker:
    """Something outside that decides about priority or Fault.

    rise, fall: how many equal results in a row it takes to become good or bad.  initial: what holds before the first
    result (False: keepalived's init_fail).  A "file" has no rise, fall or initial: its number counts.

    What the Host measures itself, each with its kind only: command: a script, run every `interval` seconds and killed
    after `timeout` (0: the interval).  path: a file.  process: a process's name.  interface: its link.  Without them
    the application tells the results with Host.tracker.
    """

    name: str
    kind: str = "script"
    rise: int = 1
    fall: int = 1
    initial: bool = True
    command: tuple[str, ...] = ()
    path: str = ""
    process: str = ""
    interface: str = ""
    interval: float = 1.0
    timeout: float = 0.0

    def __post_init__(self) -> None:
        who = f"tracker {self.name}"
        require(self.kind in TRACKER_KINDS, who, "kind", "one of " + ", ".join(TRACKER_KINDS))
        for setting, kind in (("command", "script"), ("path", "file"), ("process", ""), ("interface", "")):
            fits = not getattr(self, setting) or self.kind == (kind or setting)
            require(fits, who, setting, f"only of a tracker of kind {kind or setting}")
        require(isinstance(self.command, tuple), who, "command", "a tuple: the program and its arguments")
        require(len(self.process.encode()) <= 15, who, "process", "at most 15 bytes, as in /proc/PID/comm")
        require(len(self.interface.encode()) <= 15, who, "interface", "at most 15 bytes")
        require(0.01 <= self.interval <= 86400, who, "interval", "0.01 to 86400 s")
        require(0 <= self.timeout <= 86400, who, "timeout", "0 to 86400 s")
        once = not self.interface or self.rise == self.fall == 1
        require(once, who, "rise, fall", "1 with an interface: its link is told when it changes")
        require(1 <= self.rise <= 10**6, who, "rise", "1 to 1000000")
        require(1 <= self.fall <= 10**6, who, "fall", "1 to 1000000")


@dataclass(frozen=True, slots=True)
class Group:
    """A sync group: its members are always in the same state.

    tracking_weight: members' weighted trackers count too (otherwise only those with weight 0 do).
    """

    name: str
    members: tuple[str, ...]
    tracks: tuple[Track, ...] = ()
    tracking_weight: bool = False

    def __post_init__(self) -> None:
        require(len(self.members) > 0, f"group {self.name}", "members", "at least one router")
        require(len(set(self.members)) == len(self.members), f"group {self.name}", "members", "each once")


@dataclass(frozen=True, slots=True)
class Interface:
    """What is particular to an interface.  Times in seconds.

    down_delay, up_delay: how long its carrier must be lost, or be there again, before that counts (a bond that changes
    its active slave, a switch port that does not forward yet).  A shorter change is as if it had not been.
    garp_interval, gna_interval: the shortest time between two gratuitous ARPs, or two unsolicited neighbour
    advertisements, on it (0: 256 frames a millisecond).
    """

    name: str
    down_delay: float = 0.0
    up_delay: float = 0.0
    garp_interval: float = 0.0
    gna_interval: float = 0.0

    def __post_init__(self) -> None:
        who = f"interface {self.name}"
        require(0 < len(self.name.encode()) <= 15, who, "name", "1 to 15 bytes")
        for name in ("down_delay", "up_delay"):
            require(0 <= getattr(self, name) <= 255, who, name, "0 to 255 s")
        for name in ("garp_interval", "gna_interval"):
            require(0 <= getattr(self, name) <= 60, who, name, "0 to 60 s")


@dataclass(frozen=True, slots=True)
class Peer:
    """A unicast peer with TTLs of its own: (lowest, highest) accepted from it."""

    address: str
    ttl: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        low, high = self.ttl or (0, 255)
        require(0 <= low <= high <= 255, f"peer {self.address}", "ttl", "0 <= low <= high <= 255")


@dataclass(frozen=True, slots=True)
class Router:
    """One virtual router.  Times in seconds.

    addresses go on the wire in this order and decide the family; excluded ones are held but not sent.
    routes, rules: there while the addresses are.
    interval: 0.01 to 40.95 (version 2: whole seconds 1 to 255).  preempt_delay: how long a lower master is tolerated.
    peers: unicast instead of multicast: addresses, or Peer with accepted TTLs of its own.  ttl: (low, high) accepted
    from unicast peers.  unicast_ttl: what is sent to them.  group: another multicast group than 224.0.0.18 or ff02::12.
    pseudo_header: which checksum form version 3 over IPv4 sends.  answer_lower: a lower master is answered at once.
    answer_higher: a master that hears a higher one says a last time that it is here, so that the other repeats its ARP.
    down_adverts: intervals of silence until a takeover.  hold_time: how long a fight over an address, or a failure to
    add it, keeps the router in Fault.  lease: the kernel removes the addresses when nobody refreshes them.
    stop_timeout: longest time for the stop script; 0 means there is none.
    use_vmac: addresses on a macvlan with the virtual MAC, which multicast adverts carry too; vmac_name: its name.
    vmac_xmit_base: adverts carry the interface's own MAC in spite of that.
    """

    name: str
    interface: str
    vrid: int
    addresses: tuple[Address, ...]
    excluded: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    version: int = 3
    priority: int = 100
    interval: float = 1.0
    preempt: bool = True
    preempt_delay: float = 0.0
    source: str = ""
    peers: tuple[str | Peer, ...] = ()
    check_peers: bool = False
    ttl: tuple[int, int] = (0, 255)
    unicast_ttl: int = 255
    group: str = ""
    auth_type: str = "none"
    auth_pass: str = ""
    pseudo_header: bool = True
    accept: bool = True
    strict: bool = False
    check_addresses: bool = True
    answer_lower: bool = True
    answer_higher: bool = False
    down_adverts: int = 3
    peer_down_fast: bool = True
    track_link: bool = True
    tracks: tuple[Track, ...] = ()
    garp_delay: float = 5.0
    garp_repeat: int = 5
    garp_refresh: float = 0.0
    garp_refresh_repeat: int = 1
    garp_lower_delay: float = 5.0
    garp_lower_repeat: int = 5
    stop_timeout: float = 0.0
    hold_time: float = 10.0
    lease: bool = True
    use_vmac: bool = False
    vmac_name: str = ""
    vmac_xmit_base: bool = False

    def __post_init__(self) -> None:
        who = f"router {self.name}"
        require(0 < len(self.addresses) <= 255, who, "addresses", "1 to 255")
        families = {address.ip.version for address in self.addresses}
        require(len(families) == 1, who, "addresses", "all of one family")
        require(self.version in (2, 3), who, "version", "2 or 3")
        require(not (self.version == 2 and self.family == 6), who, "version", "IPv6 needs version 3")
        require(1 <= self.vrid <= 255, who, "vrid", "1 to 255")
        require(1 <= self.priority <= 255, who, "priority", "1 to 255")
        if self.version == 2:
            whole = self.interval == int(self.interval) and 1 <= self.interval <= 255
            require(whole, who, "interval", "whole seconds from 1 to 255 in version 2")
        else:
            require(0.01 <= self.interval <= 40.95, who, "interval", "0.01 to 40.95 s")
        require(0 <= self.preempt_delay <= 1000, who, "preempt_delay", "0 to 1000 s")
        require(self.auth_type in AUTH_TYPES, who, "auth_type", "one of " + ", ".join(AUTH_TYPES))
        require(self.auth_type == "none" or self.version == 2, who, "auth_type", "only version 2 has authentication")
        require(len(self.auth_pass.encode()) <= 8, who, "auth_pass", "at most 8 bytes")
        require(self.auth_type == "none" or self.auth_pass != "", who, "auth_pass", "needed with this auth_type")
        require(0 <= self.ttl[0] <= self.ttl[1] <= 255, who, "ttl", "0 <= low <= high <= 255")
        require(1 <= self.down_adverts <= 100, who, "down_adverts", "1 to 100")
        for name in ("garp_delay", "garp_refresh", "garp_lower_delay", "stop_timeout", "hold_time"):
            require(0 <= getattr(self, name) <= 86400, who, name, "0 to 86400 s")
        for name in ("garp_repeat", "garp_refresh_repeat", "garp_lower_repeat"):
            require(0 <= getattr(self, name) <= 1000, who, name, "0 to 1000")
        require(1 <= self.unicast_ttl <= 255, who, "unicast_ttl", "1 to 255")
        if self.group:
            try:
                group = ipaddress.ip_address(self.group)
                fits = group.version == self.family and group.is_multicast
            except ValueError:
                fits = False
            require(fits, who, "group", f"an IPv{self.family} multicast address")
        for address in (*(peer.address for peer in self.peer_list), *([self.source] if self.source else [])):
            try:
                right = ipaddress.ip_address(address).version == self.family
            except ValueError as error:
                raise ConfigError(f"{who}: peers, source: {error}") from None
            require(right, who, "peers, source", f"IPv{self.family} addresses")
        require(len(self.device.encode()) <= 15, who, "interface, vmac_name", "at most 15 bytes")
        if self.strict:
            self._check_strict(who)

    def _check_strict(self, who: str) -> None:
        """What the RFCs demand and most deployments relax."""
        require(not self.peers, who, "strict", "the RFCs know no unicast peers")
        require(not self.answer_higher, who, "strict", "the RFCs do not answer a higher advert")
        require(not self.vmac_xmit_base, who, "strict", "the RFCs send from the virtual MAC")
        require(not self.group, who, "strict", "the RFCs name the multicast group")
        require(self.auth_type == "none", who, "strict", "RFC 3768 removed authentication")
        if self.family == 6:
            require(self.addresses[0].ip.is_link_local, who, "strict", "the first IPv6 address is link-local")
        require(not self.accept or self.priority == 255, who, "strict", "only the owner accepts packets (accept=False)")

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.addresses[0].ip.version

    @property
    def device(self) -> str:
        """The interface that holds the addresses: the macvlan with use_vmac."""
        if not self.use_vmac:
            return self.interface
        return self.vmac_name or f"vrrp{'' if self.family == 4 else '6'}.{self.vrid}"

    @property
    def peer_list(self) -> tuple[Peer, ...]:
        """The unicast peers, all of them as Peer."""
        return tuple(peer if isinstance(peer, Peer) else Peer(peer) for peer in self.peers)

    @property
    def interval_cs(self) -> int:
        """The advert interval in centiseconds."""
        return round(self.interval * 100)

    @property
    def lease_seconds(self) -> int:
        """The addresses' lifetime in the kernel: max(1, floor(3 * interval - 1.3)), see the docs."""
        return max(1, int(3 * self.interval - 1.3))


@dataclass(frozen=True, slots=True)
class Bfd:
    """A BFD session to a neighbour (RFC 5881; multihop: RFC 5883).  Times in seconds.

    neighbor, source: addresses.  interface: needed for a link-local neighbour.  min_tx, min_rx: the intervals while Up;
    idle_tx: while not Up, at least 1 s.  multiplier: lost packets until Down.  min_ttl: accepted from a multi-hop
    neighbour (a single hop must arrive with 255).  tracker: a tracker of kind "bfd" that follows the session.
    """

    name: str
    neighbor: str
    source: str
    interface: str = ""
    min_tx: float = 0.01
    min_rx: float = 0.01
    idle_tx: float = 1.0
    multiplier: int = 5
    passive: bool = False
    multihop: bool = False
    min_ttl: int = 0
    tracker: str = ""

    def __post_init__(self) -> None:
        who = f"BFD session {self.name}"
        try:
            families = {ipaddress.ip_address(address).version for address in (self.neighbor, self.source)}
        except ValueError as error:
            raise ConfigError(f"{who}: neighbor, source: {error}") from None
        require(len(families) == 1, who, "source", "an address of the neighbour's family")
        require(
            self.interface != "" or not self.remote.is_link_local, who, "interface", "needed for a link-local address"
        )
        for name in ("min_tx", "min_rx"):
            require(0.001 <= getattr(self, name) <= 1000, who, name, "0.001 to 1000 s")
        require(1 <= self.idle_tx <= 1000, who, "idle_tx", "1 to 1000 s")
        require(1 <= self.multiplier <= 255, who, "multiplier", "1 to 255")
        require(0 <= self.min_ttl <= 255, who, "min_ttl", "0 to 255")

    @property
    def remote(self) -> IPv4Address | IPv6Address:
        """The neighbour's address."""
        return ipaddress.ip_address(self.neighbor)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that one Node runs.  Checks what concerns more than one object."""

    routers: tuple[Router, ...] = ()
    groups: tuple[Group, ...] = ()
    trackers: tuple[Tracker, ...] = ()
    bfd: tuple[Bfd, ...] = ()
    interfaces: tuple[Interface, ...] = ()

    def __post_init__(self) -> None:
        for kind, objects in (
            ("interface", self.interfaces),
            ("router", self.routers),
            ("group", self.groups),
            ("tracker", self.trackers),
            ("BFD session", self.bfd),
        ):
            _unique(kind, (item.name for item in objects))
        kinds = {tracker.name: tracker.kind for tracker in self.trackers}
        for session in self.bfd:
            followed = session.tracker == "" or kinds.get(session.tracker) == "bfd"
            require(followed, f"BFD session {session.name}", "tracker", "the name of a tracker of kind bfd")
        seen: dict[tuple[str, int, int], str] = {}
        for router in self.routers:
            key = (router.interface, router.family, router.vrid)
            if key in seen:
                raise ConfigError(
                    f"router {router.name}: vrid: {router.vrid} is already router {seen[key]}'s on {router.interface}"
                    f" for IPv{router.family} (VRRPv2 and v3 share it)"
                )
            seen[key] = router.name
        routers = {router.name for router in self.routers}
        trackers = {tracker.name for tracker in self.trackers}
        grouped: dict[str, str] = {}
        for group in self.groups:
            for member in group.members:
                require(member in routers, f"group {group.name}", "members", f"{member} is not a router")
                require(member not in grouped, f"group {group.name}", "members", f"{member} is in another group")
                grouped[member] = group.name
        delays = {interface.name: interface.down_delay for interface in self.interfaces}
        for router in self.routers:
            limit = (router.down_adverts - 1) * router.interval
            require(
                delays.get(router.interface, 0) < limit or router.down_adverts == 1,
                f"interface {router.interface}",
                "down_delay",
                f"below {limit:g} s, or router {router.name} would be master on a dead link",
            )
        tracking = [(router.name, router.tracks) for router in self.routers]
        tracking += [(group.name, group.tracks) for group in self.groups]
        for name, tracks in tracking:
            for track in tracks:
                require(track.tracker in trackers, name, "tracks", f"{track.tracker} is not a tracker")


def _unique(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        require(name not in seen, f"{kind} {name}", "name", "used twice")
        seen.add(name)
