"""What a load balancer is made of: virtual services, real servers, sync daemons, timeouts, counters.

All values are immutable and validated when made, so that what exists can be sent.  Addresses are canonical text
("10.0.0.1", "fd00::1"), times are whole seconds, as in the kernel.  Values that a plane reports are not validated
again: a foreign service may be stranger than what this module would make.

Source: Linux <linux/ip_vs.h> and ipvsadm(8).  Deviations: the HASHED flag is the kernel's own bookkeeping and not
shown; a netmask is text (IPv4 dotted, IPv6 the prefix length), because the kernel takes any 32 bits for IPv4.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from libipvs.errors import InvalidRequest

MAX_WEIGHT = 0x7FFFFFFF  # ipvsadm documents 65535; the kernel takes any positive int
MAX_TIMEOUT = 31 * 24 * 3600  # ipvsadm's own bound for a persistence timeout
MAX_CONFIG_TIMEOUT = 0x7FFFFFFF // 1000  # the kernel counts in jiffies of up to 1000 a second, in an int
MAX_THRESHOLD = 0xFFFFFFFF
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "fo", "ovf", "sed", "nq", "mh", "twos")

# A flag's bit, and the name it has under the two schedulers that give it a meaning.
SCHEDULER_FLAGS = {"flag-1": 0x08, "flag-2": 0x10, "flag-3": 0x20}
FLAG_ALIASES = {
    "sh-fallback": ("sh", "flag-1"),
    "sh-port": ("sh", "flag-2"),
    "mh-fallback": ("mh", "flag-1"),
    "mh-port": ("mh", "flag-2"),
}


class Protocol(enum.StrEnum):
    """The transport of a virtual service; `number` is the IP protocol."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"

    @property
    def number(self) -> int:
        return {"tcp": 6, "udp": 17, "sctp": 132}[self.value]


class Forward(enum.StrEnum):
    """How packets reach a real server; the value is the word that configuration files use."""

    NAT = "nat"
    LOCAL = "local"
    TUN = "tun"
    DR = "dr"


class Tunnel(enum.StrEnum):
    IPIP = "ipip"
    GUE = "gue"
    GRE = "gre"


class Checksum(enum.StrEnum):
    """The checksum of the outer packet of a GUE or GRE tunnel."""

    NONE = "nocsum"
    FULL = "csum"
    REMOTE = "remcsum"


def canonical_address(value: object, what: str = "address") -> str:
    """The shortest text of an IPv4 or IPv6 address (given as text or as an ipaddress object)."""
    text = str(value)
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    if "%" in text:
        raise InvalidRequest(f"{what} {value!r} has a scope; IPVS knows no interfaces in addresses")
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        raise InvalidRequest(f"{what} {value!r} is no IPv4 or IPv6 address") from None


def address_family(address: str) -> int:
    """socket.AF_INET6 or AF_INET, from canonical text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _whole(value: Any, what: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{what} {value!r} must be a whole number")
    if not low <= value <= high:
        raise InvalidRequest(f"{what} {value} is out of range; allowed are {low} to {high}")
    return value


def _member(kind: type[enum.StrEnum], value: Any, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise InvalidRequest(f"{what} {value!r} is unknown; known are {', '.join(kind)}") from None


def _name(value: Any, what: str) -> str:
    # The kernel's field is 16 bytes with the final zero.
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > 15 or " " in value:
        raise InvalidRequest(f"{what} {value!r} must be 1 to 15 printable characters without blanks")
    return value


def canonical_netmask(value: str | int | None, family: int) -> str:
    """The mask as this module keeps it; None is a single host.

    IPv4: dotted text, or a prefix length as an int or text.  IPv6: a prefix length from 1 to 128.
    """
    bits = 128 if family == socket.AF_INET6 else 32
    if value is None or value == "":
        return "128" if bits == 128 else "255.255.255.255"
    if bits == 32 and isinstance(value, str) and "." in value:
        return canonical_address(value, "netmask")
    try:
        prefix = int(value)
    except ValueError:
        raise InvalidRequest(f"netmask {value!r} is neither an IPv4 mask nor a prefix length") from None
    prefix = _whole(prefix, "netmask prefix length", 1, bits)
    return str(prefix) if bits == 128 else socket.inet_ntoa((0xFFFFFFFF << 32 - prefix & 0xFFFFFFFF).to_bytes(4, "big"))


class ServiceKey(NamedTuple):
    """What identifies a virtual service: protocol, address and port, or a firewall mark and a family.

    For a mark, protocol is None, address is "" and port 0.
    """

    protocol: Protocol | None
    address: str
    port: int
    mark: int
    family: int

    def __str__(self) -> str:
        if self.protocol is None:
            return f"FWM {self.mark}" + (" IPv6" if self.family == socket.AF_INET6 else "")
        return f"{self.protocol.upper()} {endpoint(self.address, self.port)}"


class ServerKey(NamedTuple):
    """What identifies a real server in its service."""

    address: str
    port: int

    def __str__(self) -> str:
        return endpoint(self.address, self.port)


def endpoint(address: str, port: int) -> str:
    """address:port, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True, slots=True)
class VirtualService:
    """One virtual service: where clients connect, and how their connections are spread.

    protocol, address, port: the endpoint; or `mark` (1 to 2**32-1) with `family`, and protocol None.
    scheduler: one of SCHEDULERS, or the name of any scheduler module the kernel has.
    flags: "flag-1" .. "flag-3", or an alias such as "sh-port" (of its scheduler only).
    persistence: seconds a client stays with its server; 0 = none.  netmask: the size of a client (see
    canonical_netmask).  engine: the persistence engine ("sip"), or "".
    one_packet: schedule every packet by itself (UDP, or a mark).
    Raises InvalidRequest.
    """

    protocol: Protocol | None
    address: str = ""
    port: int = 0
    scheduler: str = "wlc"
    flags: frozenset[str] = frozenset()
    persistence: int = 0
    netmask: str = ""
    engine: str = ""
    one_packet: bool = False
    mark: int = 0
    family: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            protocol: Protocol | Literal["tcp", "udp", "sctp"] | None,
            address: str | ipaddress.IPv4Address | ipaddress.IPv6Address = "",
            port: int = 0,
            scheduler: str = "wlc",
            flags: Iterable[str] | str = frozenset(),
            persistence: int = 0,
            netmask: str | int = "",
            engine: str = "",
            one_packet: bool = False,
            mark: int = 0,
            family: int = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.protocol is None:
            if self.address or self.port:
                raise InvalidRequest("a firewall-mark service has neither address nor port")
            put(self, "mark", _whole(self.mark, "firewall mark", 1, 0xFFFFFFFF))
            put(self, "family", self.family or socket.AF_INET)
            if self.family not in (socket.AF_INET, socket.AF_INET6):
                raise InvalidRequest(f"family {self.family!r} is neither AF_INET nor AF_INET6")
        else:
            put(self, "protocol", _member(Protocol, self.protocol, "protocol"))
            put(self, "address", canonical_address(self.address))
            family = address_family(self.address)
            if self.mark:
                raise InvalidRequest("a service has either a protocol and an address or a firewall mark, not both")
            if self.family not in (0, family):
                raise InvalidRequest(f"family {self.family!r} does not fit the address {self.address}")
            put(self, "family", family)
            _whole(self.port, "port", 0, 65535)
        self._check_options(put)

    def _check_options(self, put: Any) -> None:
        _name(self.scheduler or " ", "scheduler")
        _whole(self.persistence, "persistence timeout", 0, MAX_TIMEOUT)
        put(self, "one_packet", bool(self.one_packet))
        put(self, "netmask", canonical_netmask(self.netmask, self.family))
        put(self, "flags", canonical_flags(self.flags, self.scheduler))
        if self.engine:
            _name(self.engine, "persistence engine")
        if self.protocol is not None and self.port == 0 and not self.persistence:
            raise InvalidRequest(
                f"{self.key}: port 0 (any port) needs persistence, so that a client's connections stay together"
            )
        if self.one_packet and self.protocol not in (None, Protocol.UDP):
            raise InvalidRequest(f"{self.key}: one-packet scheduling is for UDP only")
        if self.engine and self.protocol is not None and self.protocol is not Protocol.UDP and self.engine == "sip":
            raise InvalidRequest(f"{self.key}: the persistence engine sip reads UDP only")

    @classmethod
    def tcp(cls, address: str, port: int, scheduler: str = "wlc", **options: Any) -> VirtualService:
        return cls(Protocol.TCP, address, port, scheduler, **options)

    @classmethod
    def udp(cls, address: str, port: int, scheduler: str = "wlc", **options: Any) -> VirtualService:
        return cls(Protocol.UDP, address, port, scheduler, **options)

    @classmethod
    def sctp(cls, address: str, port: int, scheduler: str = "wlc", **options: Any) -> VirtualService:
        return cls(Protocol.SCTP, address, port, scheduler, **options)

    @classmethod
    def fwmark(cls, mark: int, scheduler: str = "wlc", **options: Any) -> VirtualService:
        """A service for packets that the firewall marked; family=socket.AF_INET6 for IPv6 packets."""
        return cls(None, scheduler=scheduler, mark=mark, **options)

    @property
    def key(self) -> ServiceKey:
        return ServiceKey(self.protocol, self.address, self.port, self.mark, self.family)

    def with_(self, **changes: Any) -> VirtualService:
        """A copy with some fields changed, validated again."""
        return replace(self, **changes)


def canonical_flags(flags: Iterable[str] | str, scheduler: str) -> frozenset[str]:
    """Flag names without aliases; an alias must belong to the scheduler."""
    names = flags.split(",") if isinstance(flags, str) and flags else list(flags)
    result = set()
    for name in names:
        if name in FLAG_ALIASES:
            of, name_of_flag = FLAG_ALIASES[name]
            if of != scheduler:
                raise InvalidRequest(f"scheduler flag {name} belongs to {of}, not to {scheduler}")
            result.add(name_of_flag)
        elif name in SCHEDULER_FLAGS:
            result.add(name)
        else:
            known = ", ".join([*SCHEDULER_FLAGS, *FLAG_ALIASES])
            raise InvalidRequest(f"scheduler flag {name!r} is unknown; known are {known}")
    return frozenset(result)


@dataclass(frozen=True, slots=True)
class RealServer:
    """One real server behind a virtual service.

    forward: NAT, DR (direct routing), TUN or LOCAL.  weight: its share, 0 to 2**31-1; 0 takes no new
    connections, and above 65535 the kernel's products of weights and connections may overflow.
    upper, lower: connections at which it stops and starts again to take new ones (0 = none).
    tunnel, tunnel_port, checksum: for TUN; the port is GUE's UDP port.
    Raises InvalidRequest.
    """

    address: str
    port: int
    forward: Forward = Forward.DR
    weight: int = 1
    upper: int = 0
    lower: int = 0
    tunnel: Tunnel = Tunnel.IPIP
    tunnel_port: int = 0
    checksum: Checksum = Checksum.NONE

    if TYPE_CHECKING:  # words of configuration files are taken, too: __post_init__ makes members of them

        def __init__(
            self,
            address: str | ipaddress.IPv4Address | ipaddress.IPv6Address,
            port: int,
            forward: Forward | Literal["nat", "local", "tun", "dr"] = Forward.DR,
            weight: int = 1,
            upper: int = 0,
            lower: int = 0,
            tunnel: Tunnel | Literal["ipip", "gue", "gre"] = Tunnel.IPIP,
            tunnel_port: int = 0,
            checksum: Checksum | Literal["nocsum", "csum", "remcsum"] = Checksum.NONE,
        ) -> None: ...

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "address", canonical_address(self.address, "real server"))
        put(self, "forward", _member(Forward, self.forward, "forwarding method"))
        put(self, "tunnel", _member(Tunnel, self.tunnel, "tunnel type"))
        put(self, "checksum", _member(Checksum, self.checksum, "tunnel checksum"))
        _whole(self.port, "port", 0, 65535)
        _whole(self.weight, f"weight of {self.key}", 0, MAX_WEIGHT)
        _whole(self.upper, "upper threshold", 0, MAX_THRESHOLD)
        _whole(self.lower, "lower threshold", 0, MAX_THRESHOLD)
        _whole(self.tunnel_port, "tunnel port", 0, 65535)
        if self.lower > self.upper:
            raise InvalidRequest(f"{self.key}: the lower threshold {self.lower} is above the upper one {self.upper}")
        self._check_tunnel()

    def _check_tunnel(self) -> None:
        if self.forward is not Forward.TUN:
            if self.tunnel is not Tunnel.IPIP or self.tunnel_port or self.checksum is not Checksum.NONE:
                raise InvalidRequest(f"{self.key}: tunnel options need the forwarding method TUN")
            return
        if self.tunnel is Tunnel.GUE and not self.tunnel_port:
            raise InvalidRequest(f"{self.key}: a GUE tunnel needs its UDP port")
        if self.tunnel is not Tunnel.GUE and self.tunnel_port:
            raise InvalidRequest(f"{self.key}: only a GUE tunnel has a port")
        if self.tunnel is Tunnel.IPIP and self.checksum is not Checksum.NONE:
            raise InvalidRequest(f"{self.key}: an IPIP tunnel has no checksum")
        if self.tunnel is Tunnel.GRE and self.checksum is Checksum.REMOTE:
            raise InvalidRequest(f"{self.key}: remote checksum offload needs a GUE tunnel")

    @property
    def family(self) -> int:
        return address_family(self.address)

    @property
    def key(self) -> ServerKey:
        return ServerKey(self.address, self.port)

    def with_(self, **changes: Any) -> RealServer:
        """A copy with some fields changed, validated again."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of a service or a server since it was made or zeroed, and its rates a second (about 2 s old)."""

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    connection_rate: int = 0
    in_packet_rate: int = 0
    out_packet_rate: int = 0
    in_byte_rate: int = 0
    out_byte_rate: int = 0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A real server as a plane holds it: its configuration, its connections now, its counters."""

    server: RealServer
    active: int = 0
    inactive: int = 0
    persistent: int = 0
    stats: Stats = Stats()


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A virtual service as a plane holds it, with its servers in the plane's own order."""

    service: VirtualService
    stats: Stats = Stats()
    servers: tuple[ServerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """A wanted virtual service with its wanted real servers.  Raises InvalidRequest if they do not fit together."""

    service: VirtualService
    servers: tuple[RealServer, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "servers", tuple(self.servers))
        seen: set[ServerKey] = set()
        for server in self.servers:
            if server.key in seen:
                raise InvalidRequest(f"{self.service.key}: the real server {server.key} is listed twice")
            seen.add(server.key)
            check_fit(self.service, server)


def check_fit(service: VirtualService, server: RealServer) -> None:
    """Raise InvalidRequest unless the server can be one of the service's."""
    check_fit_key(service.key, server)


def check_fit_key(key: ServiceKey, server: RealServer) -> None:
    if server.family != key.family and server.forward is not Forward.TUN:
        raise InvalidRequest(f"{key}: the real server {server.key} has another address family, which only TUN allows")
    if key.protocol is not None and server.forward in (Forward.DR, Forward.TUN) and server.port != key.port:
        raise InvalidRequest(
            f"{key}: the real server {server.key} has another port, but {server.forward.upper()} cannot change ports"
        )


class DaemonState(enum.StrEnum):
    MASTER = "master"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class SyncDaemon:
    """A connection synchronisation daemon: a master sends its connections, a backup takes them over.

    interface: where it sends or listens.  sync_id: 0 to 255; a backup with 0 takes every id.
    max_length: bytes of a datagram, 0 = from the interface.  group "" = 224.0.0.81, port 0 = 8848, ttl 0 = 1.
    """

    state: DaemonState
    interface: str
    sync_id: int = 0
    max_length: int = 0
    group: str = ""
    port: int = 0
    ttl: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            state: DaemonState | Literal["master", "backup"],
            interface: str,
            sync_id: int = 0,
            max_length: int = 0,
            group: str = "",
            port: int = 0,
            ttl: int = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", _member(DaemonState, self.state, "sync daemon state"))
        _name(self.interface or " ", "interface")
        _whole(self.sync_id, "sync id", 0, 255)
        _whole(self.max_length, "sync message length", 0, 65507)
        _whole(self.port, "multicast port", 0, 65535)
        _whole(self.ttl, "multicast TTL", 0, 255)
        if self.group:
            object.__setattr__(self, "group", canonical_address(self.group, "multicast group"))
            if not ipaddress.ip_address(self.group).is_multicast:
                raise InvalidRequest(f"{self.group} is no multicast address")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds an idle connection is kept.  When set, 0 leaves a value as it is."""

    tcp: int = 0
    tcp_fin: int = 0
    udp: int = 0

    def __post_init__(self) -> None:
        for name in ("tcp", "tcp_fin", "udp"):
            _whole(getattr(self, name), f"{name} timeout", 0, MAX_CONFIG_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Info:
    """What the kernel says of its IPVS: version as (major, minor, patch), slots of its connection table."""

    version: tuple[int, int, int]
    table_size: int


class Action(enum.StrEnum):
    """The six ways to change a table; the values are ipvsadm's long options."""

    ADD_SERVICE = "add-service"
    EDIT_SERVICE = "edit-service"
    DELETE_SERVICE = "delete-service"
    ADD_SERVER = "add-server"
    EDIT_SERVER = "edit-server"
    DELETE_SERVER = "delete-server"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a table.  `service` is set when a service is added or edited, `server` when a server is meant
    (when it is deleted, only its address and port count)."""

    action: Action
    key: ServiceKey
    service: VirtualService | None = None
    server: RealServer | None = None

    def __str__(self) -> str:
        if self.server is None:
            detail = f" -s {self.service.scheduler}" if self.service else ""
            return f"{self.action} {self.key}{detail}"
        if self.action is Action.DELETE_SERVER:
            return f"{self.action} {self.key} -> {self.server.key}"
        return f"{self.action} {self.key} -> {self.server.key} {self.server.forward} weight {self.server.weight}"
