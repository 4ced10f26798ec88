"""Settings that concern the machine around a router, counters of RFC 6527, and the messages of routes and rules."""

import json
import os
import struct
import sys

import pytest

from libvrrp.config import Address, Config, Interface, NextHop, Peer, Route, Rule
from libvrrp.errors import ConfigError
from libvrrp.fsm import TABLE
from libvrrp.fsm import events as ev
from libvrrp.host.routes import extras
from libvrrp.packet import Advert

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_scenarios import Bench, S, router


@pytest.mark.parametrize(
    "build",
    [
        lambda: Interface("a-name-of-sixteen"),
        lambda: Interface("eth0", down_delay=-1),
        lambda: Interface("eth0", up_delay=256),
        lambda: Interface("eth0", garp_interval=61),
        lambda: Peer("10.0.0.2", (5, 4)),
        lambda: router(peers=(Peer("x"),)),
        lambda: router(unicast_ttl=0),
        lambda: router(group="10.0.0.1"),
        lambda: router(group="ff02::12"),
        lambda: router(garp_lower_delay=-1),
        lambda: router(strict=True, accept=False, answer_higher=True),
        lambda: router(strict=True, accept=False, group="224.0.0.200"),
        lambda: Config((router(),), interfaces=(Interface("eth0"), Interface("eth0"))),
        lambda: Config((router(),), interfaces=(Interface("eth0", down_delay=2),)),
        lambda: Address("10.0.0.1", peer="fd00::1"),
        lambda: Address("10.0.0.1", peer="x"),
        lambda: Address("10.0.0.1", flags=("home",)),
        lambda: Address("fd00::1", flags="home"),
        lambda: NextHop("x"),
        lambda: NextHop("10.0.0.1", weight=0),
        lambda: Route("10.0.0.0/8", via="10.0.0.1", next_hops=(NextHop("10.0.0.2"),)),
        lambda: Route("fd00::/64", via="10.0.0.1"),
        lambda: Route("fd00::/64", next_hops=(NextHop("10.0.0.1"),)),
        lambda: Route("10.0.0.0/8", via="10.0.0.300"),
        lambda: Route("10.0.0.0/8", source="fd00::1"),
        lambda: Route("10.0.0.0/8", type="nat"),
        lambda: Route("10.0.0.0/8", tos=256),
        lambda: Route("fd00::/64", tos=4),
        lambda: Route("10.0.0.0/8", preference="high"),
        lambda: Route("fd00::/64", preference="highest"),
        lambda: Route("10.0.0.0/8", realms="1/2/3"),
        lambda: Route("10.0.0.0/8", metrics=(("colour", 1),)),
        lambda: Route("10.0.0.0/8", metrics=(("mtu", "x"),)),
        lambda: Route("10.0.0.0/8", metrics=(("congctl", 1),)),
        lambda: Route("10.0.0.0/8", metrics=(("features", "sack"),)),
        lambda: Route("10.0.0.0/8", locked=("mtu",)),
        lambda: Route("10.0.0.0/8", vrf="a-name-of-sixteen"),
        lambda: Rule(0, 5),
        lambda: Rule(5, 5, action="nop"),
        lambda: Rule(5, 5, l3mdev=True),
        lambda: Rule(0, 5, action="goto", goto=5),
        lambda: Rule(5, 5, goto=9),
        lambda: Rule(5, 5, action="masquerade"),
        lambda: Rule(5, 5, uids=(9, 8)),
        lambda: Rule(5, 5, sport=(1, 65536)),
        lambda: Rule(5, 5, protocol=256),
        lambda: Rule(5, 5, suppress_prefix_length=129),
        lambda: Rule(5, 5, realms="x"),
    ],
)
def test_settings_are_checked(build):
    with pytest.raises(ConfigError):
        build()


def test_a_link_delay_must_leave_time_to_become_faulty_before_a_takeover():
    Config((router(),), interfaces=(Interface("eth0", down_delay=1.9, up_delay=60),))
    with pytest.raises(ConfigError, match=r"^interface eth0: down_delay: below 2 s, or router a would be master"):
        Config((router(),), interfaces=(Interface("eth0", down_delay=2),))
    Config((router(down_adverts=4),), interfaces=(Interface("eth0", down_delay=2),))


def test_what_is_wrong_with_a_routers_datagrams_is_counted_for_it():
    b = Bench(TABLE, router(), router("b", interface="eth1", vrid=52))
    good = Advert(vrid=51, priority=200, addresses=["10.0.0.100"], source="10.0.0.2").encode()

    def spoilt(at, value, vrid=51):
        data = bytearray(good)
        data[21], data[20 + at] = vrid, value
        return bytes(data)

    assert b.status()["protocol_error"] == "none"
    for data, error in (
        (spoilt(7, good[27] ^ 1), "checksum"),
        (spoilt(0, 0x41), "version"),
        (spoilt(0, 0x32), "version"),
        (spoilt(3, 2), "version"),
        (spoilt(7, good[27] ^ 1, 77), "version"),
        (spoilt(7, good[27] ^ 1), "checksum"),
    ):
        assert b.do(ev.Received("eth0", data)) == [] and b.status()["protocol_error"] == error
    refused = {"vrrp.checksum": 2, "vrrp.version": 1, "vrrp.type": 1, "vrrp.length": 1}
    assert b.status()["refused"] == refused and b.status("b")["refused"] == {}
    assert b.node.status()["refused"] == refused | {"vrrp.checksum": 3}, "one names a VRID that is not here"
    b.advert(200, ttl=1)
    assert b.status()["protocol_error"] == "TTL"
    b.advert(200, version=2)
    assert b.status()["protocol_error"] == "version"
    json.dumps(b.node.status())


def test_counters_tell_since_when_they_count():
    b = Bench(TABLE, router(), start=False)
    assert b.status()["counted_since_ns"] is None and b.node.status()["counted_since_ns"] is None
    b.do(ev.Start(), S)
    b.do(ev.Stop(), S)
    b.do(ev.Start(), S)
    assert b.status()["counted_since_ns"] == b.node.status()["counted_since_ns"] == 101 * S, "a stop keeps them"
    assert b.status()["refresh_rate_ms"] == 0


def attributes(message, start=28):
    """The attributes of a message: (kind, offset of the value, value)."""
    out = []
    while start < len(message):
        length, kind = struct.unpack_from("=HH", message, start)
        out.append((kind, start + 4, message[start + 4 : start + length]))
        start += -(-length // 4) * 4
    return out


def test_blanks_of_a_route_are_where_the_message_has_them():
    hops = (NextHop("10.0.0.1", "eth1", 3), NextHop("fd00::1"), NextHop(device="eth2"), NextHop())
    given = Route("10.9.0.0/16", next_hops=hops, vrf="blue", metrics=(("mtu", 1400), ("congctl", "reno")))
    extra = extras(router(routes=(given,)))[0]
    assert len(extra.add) == len(extra.delete) == struct.unpack_from("=I", extra.add)[0]
    values = {kind: (at, value) for kind, at, value in attributes(extra.add)}
    table, ways = extra.places[0], extra.places[1:]
    assert table == (values[15][0], "blue", True)
    at, value = values[9]
    found, n = [], 0
    while n < len(value):
        length, flags, weight, index = struct.unpack_from("=HBBi", value, n)
        found.append((at + n + 4, weight, index, flags, length))
        n += length
    assert [x[1] for x in found] == [2, 0, 0, 0] and all(x[2] == x[3] == 0 for x in found)
    assert [x[4] for x in found] == [16, 8 + 4 + 2 + 16 + 2, 8, 8]
    assert ways == ((found[0][0], "eth1", False), (found[2][0], "eth2", False), (found[3][0], "eth0", False))
