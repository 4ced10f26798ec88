"""The messages: what is encoded decodes to itself, is laid out as the kernel's header says, and no bytes crash us."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipvs_tables import daemons, pools, timeouts

from libipvs import netlink
from libipvs.model import Forward, RealServer, Stats, VirtualService

FAMILY = 28


def attributes(data):
    """A plain second reading of the attribute layout: {type: value}."""
    result = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        assert 4 <= length <= len(data)
        result[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return result


def decode(message, family=0):
    values, errors = [], {}
    netlink.decode(message, 1, 0xFFFFFFFF, values, errors, family)
    return values, errors


@given(pools())
def test_a_pool_there_and_back(pool):
    service = pool.service
    (status,), _ = decode(netlink.encode(FAMILY, netlink.NEW_SERVICE, 5, 1, service=service))
    assert status.service == service
    assert status.stats == Stats()
    for server in pool.servers:
        message = netlink.encode(FAMILY, netlink.NEW_DEST, 5, 1, key=service.key, server=server)
        (status,), _ = decode(message, service.family)
        assert status.server == server


@given(daemons(), timeouts)
def test_daemons_and_timeouts_there_and_back(daemon, wanted):
    (found,), _ = decode(netlink.encode(FAMILY, netlink.NEW_DAEMON, 5, 1, daemon=daemon))
    assert found == daemon
    (found,), _ = decode(netlink.encode(FAMILY, netlink.SET_CONFIG, 5, 1, timeouts=wanted))
    assert found == wanted


def test_the_layout_is_the_kernels():
    service = VirtualService.tcp("10.0.0.1", 80, "wrr", persistence=60, netmask=24, flags=["flag-2"])
    message = netlink.encode(FAMILY, netlink.SET_SERVICE, netlink.REQUEST | netlink.ACK, 7, service=service)
    length, kind, flags, sequence, port, command, version = struct.unpack_from("=IHHIIBB", message)
    assert (length, kind, flags, sequence, port) == (len(message), FAMILY, 5, 7, 0)
    assert (command, version) == (2, 1)
    found = attributes(attributes(message[20:])[1])
    assert found[1] == struct.pack("=H", socket.AF_INET)
    assert found[2] == struct.pack("=H", 6)
    assert found[3] == socket.inet_aton("10.0.0.1") + bytes(12)
    assert found[4] == struct.pack(">H", 80)
    assert found[6] == b"wrr\0"
    assert found[7] == struct.pack("=II", 1 | 0x10, 0xFFFFFFFF)
    assert found[8] == struct.pack("=I", 60)
    assert found[9] == socket.inet_aton("255.255.255.0")
    assert 5 not in found and 11 not in found
    server = RealServer("fd00::2", 80, "tun", 5, 9, 3, "gue", 6080, "remcsum")
    message = netlink.encode(FAMILY, netlink.SET_DEST, 1, 8, key=service.key, server=server)
    top = attributes(message[20:])
    assert set(attributes(top[1])) == {1, 2, 3, 4}
    found = attributes(top[2])
    assert found[1] == socket.inet_pton(socket.AF_INET6, "fd00::2")
    assert found[3] == struct.pack("=I", 2)
    assert [found[n] for n in (4, 5, 6)] == [struct.pack("=I", n) for n in (5, 9, 3)]
    assert found[11] == struct.pack("=H", socket.AF_INET6)
    assert (found[13], found[14], found[15]) == (b"\1", struct.pack(">H", 6080), struct.pack("=H", 2))
    mark = 0xFFFFFFFF
    message = netlink.encode(FAMILY, netlink.DEL_SERVICE, 1, 9, key=VirtualService.fwmark(mark, family=10).key)
    assert attributes(attributes(message[20:])[1]) == {1: struct.pack("=H", 10), 5: struct.pack("=I", mark)}


def nest(kind, *parts):
    return attribute(kind, b"".join(parts))


def attribute(kind, value):
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def message(kind, sequence, payload, flags=0):
    return struct.pack("=IHHII", len(payload) + 16, kind, flags, sequence, 0) + payload


def test_statistics_of_64_bits_are_preferred():
    def counters(form, base):
        return b"".join(attribute(i, struct.pack(form, base + i)) for i in range(1, 11))

    big = 1 << 40
    body = nest(
        1,
        attribute(1, struct.pack("=H", 2)),
        attribute(5, struct.pack("=I", 3)),
        attribute(6, b"rr\0"),
        nest(10, counters("=I", 0)),
        nest(12, counters("=Q", big), attribute(11, b"")),
    )
    (status,), _ = decode(message(FAMILY, 1, b"\1\1\0\0" + body))
    assert status.stats == Stats(*(big + i for i in range(1, 11)))
    assert status.service.mark == 3
    body = nest(2, attribute(3, struct.pack("=I", 0x103)), nest(10, counters("=I", 5)))
    (status,), _ = decode(message(FAMILY, 1, b"\5\1\0\0" + body), socket.AF_INET)
    assert status.server.forward is Forward.DR
    assert status.stats.connections == 6


def test_refusals_carry_number_and_words():
    quoted = struct.pack("=IHHII", 24, FAMILY, 5, 2, 0)
    words = attribute(1, b"no room\0")
    data = (
        message(2, 1, struct.pack("=i", 0) + quoted)
        + message(2, 2, struct.pack("=i", -22) + quoted + words, 0x300)
        + message(
            2, 3, struct.pack("=i", -17) + struct.pack("=IHHII", 20, FAMILY, 5, 3, 0) + b"\1\1\0\0" + words, 0x200
        )
        + message(2, 99, struct.pack("=i", -1))
        + message(3, 4, struct.pack("=i", -3))
    )
    values, errors = [], {}
    assert netlink.decode(data, 1, 4, values, errors) == 0x300
    assert errors == {1: (0, ""), 2: (22, "no room"), 3: (17, "no room"), 4: (3, "")}
    assert values == []


@given(pools(max_servers=2), st.data())
def test_cut_and_changed_bytes_are_refused_or_decode_to_something(pool, data):
    whole = netlink.encode(FAMILY, netlink.NEW_SERVICE, 5, 1, service=pool.service) + b"".join(
        netlink.encode(FAMILY, netlink.NEW_DEST, 5, 1, key=pool.service.key, server=server) for server in pool.servers
    )
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    values, errors = [], {}
    try:
        netlink.decode(bytes(changed), 0, 0xFFFFFFFF, values, errors)
    except ValueError as error:
        assert str(error)
    assert len(values) <= 1 + len(pool.servers)


@given(st.binary(max_size=200))
def test_noise_never_crashes(noise):
    values, errors = [], {}
    try:
        netlink.decode(noise, 0, 0xFFFFFFFF, values, errors)
    except ValueError as error:
        assert str(error)
    assert len(values) + len(errors) <= len(noise) // 16


def test_too_long_a_name_is_refused_not_written_past_the_end():
    service = VirtualService.tcp("10.0.0.1", 80)
    object.__setattr__(service, "scheduler", "x" * 5000)
    with pytest.raises(ValueError, match="too long"):
        netlink.encode(FAMILY, netlink.NEW_SERVICE, 5, 1, service=service)
