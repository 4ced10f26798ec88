"""Virtual routes and rules as netlink messages, built once, and sent by the thread with the addresses.

    nlmsghdr 16 | rtmsg or fib_rule_hdr 12 | attributes

Both carry the protocol 112.  A deletion names it, too, so that it never removes what somebody else added; what is there
already stays (routes are added, not replaced).

A route with several next hops carries them as RTA_MULTIPATH: struct rtnexthop 8 (length, flags, weight - 1, index),
attributes, one after the other.
"""

import ipaddress
import socket
import struct
from typing import NamedTuple

from libvrrp.config import Route, Router, Rule
from libvrrp.routing import ROUTE_METRICS

PROTOCOL = 112
_NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = 24, 25, 32, 33
_REQUEST, _CREATE, _EXCL = 0x01, 0x400, 0x200
_TYPES = {"unicast": 1, "local": 2, "broadcast": 3, "multicast": 5, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_TYPES |= {"throw": 9}
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254}
_PREFERENCES = {"medium": 0, "high": 1, "low": 3}
_ONLINK = 4
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS, _MULTIPATH, _FLOW, _TABLE, _VIA, _PREF = (
    1, 4, 5, 6, 7, 8, 9, 11, 15, 18, 20
)  # fmt: skip
_RTAX = {name: number for number, name in enumerate(ROUTE_METRICS, 2)}  # RTAX_LOCK is 1
_ECN = 1
_ACTIONS = {"lookup": 1, "goto": 2, "nop": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_INVERT = 2
_FRA_DST, _FRA_SRC, _FRA_IIF, _FRA_GOTO, _FRA_PRIORITY, _FRA_FWMARK, _FRA_FLOW, _FRA_TUN_ID = 1, 2, 3, 4, 6, 10, 11, 12
_FRA_SUPPRESS_GROUP, _FRA_SUPPRESS_LENGTH, _FRA_TABLE, _FRA_FWMASK, _FRA_OIF, _FRA_L3MDEV = 13, 14, 15, 16, 17, 19
_FRA_UIDS, _FRA_PROTOCOL, _FRA_IP_PROTO, _FRA_SPORT, _FRA_DPORT = 20, 21, 22, 23, 24


class Place(NamedTuple):
    """Where in a message, in bytes, something of an interface belongs: its index, or with `table` its VRF's table."""

    at: int
    device: str
    table: bool = False


class Extra(NamedTuple):
    """A message to add and one of the same length to delete, and what is filled in when they are sent."""

    add: bytes
    delete: bytes
    places: tuple[Place, ...]


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", len(body) + 16, kind, _REQUEST | flags, 0, 0) + body


def _family(version: int) -> int:
    return int(socket.AF_INET if version == 4 else socket.AF_INET6)


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)


def _realms(text: str) -> bytes:
    """ "to" or "from/to"."""
    origin, _, to = text.rpartition("/")
    return _u32(int(origin or 0) << 16 | int(to))


def _gateway(via: str, version: int) -> bytes:
    """A gateway of the route's family, or RTA_VIA with one of the other."""
    address = ipaddress.ip_address(via)
    if address.version == version:
        return _attribute(_GATEWAY, address.packed)
    return _attribute(_VIA, struct.pack("=H", _family(address.version)) + address.packed)


def _metrics(given: Route) -> bytes:
    out = b""
    for name, value in given.metrics:
        if name == "congctl":
            out += _attribute(_RTAX[name], str(value).encode() + b"\0")
        else:
            out += _attribute(_RTAX[name], _u32(_ECN if name == "features" else int(value)))
    if given.locked:
        out += _attribute(1, _u32(sum(1 << _RTAX[name] for name in given.locked)))
    return _attribute(_METRICS, out)


def _scope(given: Route, version: int) -> int:
    """As ip-route(8) chooses it."""
    if given.scope:
        return _SCOPES[given.scope]
    if version == 6:
        return 0
    if given.type == "local":
        return _SCOPES["host"]
    linked = given.type in ("broadcast", "multicast") or (
        given.type == "unicast" and not given.via and not given.next_hops
    )
    return _SCOPES["link" if linked else "global"]


def route(given: Route, router: Router) -> Extra:
    """A virtual route; without a device (and not blackhole or the like) it leaves by the router's interface."""
    to = ipaddress.ip_network(given.to)
    plain = given.type in ("unicast", "local", "broadcast", "multicast") and not given.next_hops
    head = struct.pack(
        "=BBBBBBBBI",
        _family(to.version),
        to.prefixlen,
        0,
        given.tos,
        given.table if given.table < 256 and not given.vrf else 0,
        PROTOCOL,
        _scope(given, to.version),
        _TYPES[given.type],
        _ONLINK if given.onlink else 0,
    )
    places = []
    start = 16 + len(head)  # of the attributes, in the message
    attributes = _attribute(_TABLE, _u32(0 if given.vrf else given.table))
    if given.vrf:
        places.append(Place(start + 4, given.vrf, table=True))
    if plain:
        places.append(Place(start + len(attributes) + 4, given.device or router.device))
        attributes += _attribute(_OIF, bytes(4))
    attributes += _attribute(_DST, to.network_address.packed)
    if given.via:
        attributes += _gateway(given.via, to.version)
    if given.source:
        attributes += _attribute(_PREFSRC, ipaddress.ip_address(given.source).packed)
    if given.metric:
        attributes += _attribute(_PRIORITY, _u32(given.metric))
    if given.realms:
        attributes += _attribute(_FLOW, _realms(given.realms))
    if given.preference:
        attributes += _attribute(_PREF, bytes([_PREFERENCES[given.preference]]))
    if given.metrics:
        attributes += _metrics(given)
    if given.next_hops:
        hops, inside = _next_hops(given, to.version, router)
        places += [Place(start + len(attributes) + 4 + at, device) for at, device, _ in inside]
        attributes += _attribute(_MULTIPATH, hops)
    body = head + attributes
    return Extra(_message(_NEWROUTE, _CREATE, body), _message(_DELROUTE, 0, body), tuple(places))


def _next_hops(given: Route, version: int, router: Router) -> tuple[bytes, list[Place]]:
    """The struct rtnexthops of a route, and where their interfaces belong; without a device the kernel looks for the
    gateway's."""
    out, places = b"", []
    for hop in given.next_hops:
        via = _gateway(hop.via, version) if hop.via else b""
        device = hop.device or ("" if hop.via else router.device)
        if device:
            places.append(Place(len(out) + 4, device))
        out += struct.pack("=HBBi", 8 + len(via), _ONLINK if hop.onlink else 0, hop.weight - 1, 0) + via
    return out, places


def rule(given: Rule, router: Router) -> Extra:
    """A virtual rule: what happens to packets from, to, or marked as it says."""
    source = ipaddress.ip_network(given.source) if given.source else None
    to = ipaddress.ip_network(given.to) if given.to else None
    version = (source or to).version if source or to else router.family  # type: ignore[union-attr]
    head = struct.pack(
        "=BBBBBBBBI",
        _family(version),
        to.prefixlen if to else 0,
        source.prefixlen if source else 0,
        given.tos,
        given.table if given.table < 256 else 0,
        0,
        0,
        _ACTIONS[given.action],
        _INVERT if given.invert else 0,
    )
    values = (
        (_FRA_TABLE, given.table and _u32(given.table)),
        (_FRA_PRIORITY, _u32(given.preference)),
        (_FRA_PROTOCOL, bytes([PROTOCOL])),
        (_FRA_SRC, source and source.network_address.packed),
        (_FRA_DST, to and to.network_address.packed),
        (_FRA_IIF, given.iif and given.iif.encode() + b"\0"),
        (_FRA_OIF, given.oif and given.oif.encode() + b"\0"),
        (_FRA_FWMARK, given.fwmark and _u32(given.fwmark)),
        (_FRA_FWMASK, given.fwmark and _u32(given.fwmask)),
        (_FRA_GOTO, given.goto and _u32(given.goto)),
        (_FRA_L3MDEV, given.l3mdev and b"\1"),
        (_FRA_UIDS, given.uids and struct.pack("=II", *given.uids)),
        (_FRA_IP_PROTO, given.protocol and bytes([given.protocol])),
        (_FRA_SPORT, given.sport and struct.pack("=HH", *given.sport)),
        (_FRA_DPORT, given.dport and struct.pack("=HH", *given.dport)),
        (_FRA_SUPPRESS_LENGTH, given.suppress_prefix_length >= 0 and _u32(given.suppress_prefix_length)),
        (_FRA_SUPPRESS_GROUP, given.suppress_group >= 0 and _u32(given.suppress_group)),
        (_FRA_FLOW, given.realms and _realms(given.realms)),
        (_FRA_TUN_ID, given.tunnel and struct.pack("!Q", given.tunnel)),
    )
    body = head + b"".join(_attribute(kind, value) for kind, value in values if isinstance(value, bytes))
    return Extra(_message(_NEWRULE, _CREATE | _EXCL, body), _message(_DELRULE, 0, body), ())


def extras(router: Router) -> list[Extra]:
    """Everything that comes and goes with the router's addresses."""
    return [route(given, router) for given in router.routes] + [rule(given, router) for given in router.rules]
