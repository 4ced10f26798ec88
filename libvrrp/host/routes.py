"""Virtual routes and rules as netlink messages, built once, and sent by the thread with the addresses.

    nlmsghdr 16 | rtmsg or fib_rule_hdr 12 | attributes

Both carry the protocol 112.  A deletion names it, too, so that it never removes what somebody else added; what is there
already stays (routes are added, not replaced).
"""

import ipaddress
import socket
import struct
from typing import NamedTuple

from libvrrp.config import Route, Router, Rule

PROTOCOL = 112
_NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = 24, 25, 32, 33
_REQUEST, _CREATE, _EXCL = 0x01, 0x400, 0x200
_TYPES = {"unicast": 1, "local": 2, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254}
_ONLINK = 4
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _TABLE = 1, 4, 5, 6, 7, 15
_FRA_DST, _FRA_SRC, _FRA_IIF, _FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE = 1, 2, 3, 6, 10, 15
_FRA_FWMASK, _FRA_OIF, _FRA_PROTOCOL = 16, 17, 21


class Extra(NamedTuple):
    """A message to add and one to delete; device: the interface whose index belongs at oif (bytes from the start)."""

    add: bytes
    delete: bytes
    device: str
    oif: int


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", len(body) + 16, kind, _REQUEST | flags, 0, 0) + body


def _family(version: int) -> int:
    return int(socket.AF_INET if version == 4 else socket.AF_INET6)


def route(given: Route, router: Router) -> Extra:
    """A virtual route; without a device (and not blackhole or the like) it leaves by the router's interface."""
    to = ipaddress.ip_network(given.to)
    plain = given.type in ("unicast", "local")
    scope = _SCOPES[given.scope] if given.scope else (0 if given.via or not plain or to.version == 6 else 253)
    head = struct.pack(
        "=BBBBBBBBI",
        _family(to.version),
        to.prefixlen,
        0,
        0,
        given.table if given.table < 256 else 0,
        PROTOCOL,
        scope,
        _TYPES[given.type],
        _ONLINK if given.onlink else 0,
    )
    device = (given.device or router.device) if plain else ""
    attributes = _attribute(_OIF, bytes(4)) if device else b""
    attributes += _attribute(_DST, to.network_address.packed) + _attribute(_TABLE, struct.pack("=I", given.table))
    if given.via:
        attributes += _attribute(_GATEWAY, ipaddress.ip_address(given.via).packed)
    if given.source:
        attributes += _attribute(_PREFSRC, ipaddress.ip_address(given.source).packed)
    if given.metric:
        attributes += _attribute(_PRIORITY, struct.pack("=I", given.metric))
    body = head + attributes
    return Extra(_message(_NEWROUTE, _CREATE, body), _message(_DELROUTE, 0, body), device, 32)


def rule(given: Rule, router: Router) -> Extra:
    """A virtual rule: to a table for packets from, to, or marked as it says."""
    source = ipaddress.ip_network(given.source) if given.source else None
    to = ipaddress.ip_network(given.to) if given.to else None
    version = (source or to).version if source or to else router.family  # type: ignore[union-attr]
    head = struct.pack(
        "=BBBBBBBBI",
        _family(version),
        to.prefixlen if to else 0,
        source.prefixlen if source else 0,
        0,
        given.table if given.table < 256 else 0,
        0,
        0,
        1,  # FR_ACT_TO_TBL
        0,
    )
    attributes = _attribute(_FRA_TABLE, struct.pack("=I", given.table))
    attributes += _attribute(_FRA_PRIORITY, struct.pack("=I", given.preference))
    attributes += _attribute(_FRA_PROTOCOL, bytes([PROTOCOL]))
    if source:
        attributes += _attribute(_FRA_SRC, source.network_address.packed)
    if to:
        attributes += _attribute(_FRA_DST, to.network_address.packed)
    if given.iif:
        attributes += _attribute(_FRA_IIF, given.iif.encode() + b"\0")
    if given.oif:
        attributes += _attribute(_FRA_OIF, given.oif.encode() + b"\0")
    if given.fwmark:
        attributes += _attribute(_FRA_FWMARK, struct.pack("=I", given.fwmark))
        attributes += _attribute(_FRA_FWMASK, struct.pack("=I", 0xFFFFFFFF))
    body = head + attributes
    return Extra(_message(_NEWRULE, _CREATE | _EXCL, body), _message(_DELRULE, 0, body), "", 0)


def extras(router: Router) -> list[Extra]:
    """Everything that comes and goes with the router's addresses."""
    return [route(given, router) for given in router.routes] + [rule(given, router) for given in router.rules]
