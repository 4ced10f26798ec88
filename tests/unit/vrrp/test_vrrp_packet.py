"""The wire formats: captures of real peers, round trips, and input that was cut short or changed."""

import contextlib
import hashlib
import hmac
import ipaddress
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libvrrp.errors import PacketError, VrrpError
from libvrrp.packet import (
    Advert,
    ControlPacket,
    ReplayWindow,
    decode_neighbour,
    gratuitous_arp,
    hmac_md5,
    neighbour_advertisement,
    virtual_mac,
)

CAPTURES = Path(__file__).parents[2] / "data" / "vrrp"
AH_KEY = b"s3cret"


def frames(name):
    """The Ethernet frames of a classic little-endian pcap file."""
    data = (CAPTURES / f"{name}.pcap").read_bytes()
    at = 24
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 8)
        yield data[at + 16 : at + 16 + size]
        at += 16 + size


def datagrams(name):
    for frame in frames(name):
        kind = frame[12:14]
        if kind == b"\x08\x00" and frame[23] in (51, 112):
            yield frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
        elif kind == b"\x86\xdd" and frame[20] == 112:
            yield frame[14 : 54 + int.from_bytes(frame[18:20], "big")]


@pytest.mark.parametrize(("name", "version", "auth"), [("PASS", 2, 1), ("AH", 2, 2), ("VMAC", 3, 0), ("IPV6", 3, 0)])
def test_captured_adverts_decode_and_encode_to_the_same_bytes(name, version, auth):
    seen = 0
    for datagram in datagrams(name):
        advert = Advert.decode(datagram)
        assert (advert.version, advert.vrid, advert.auth_type) == (version, 51, auth)
        assert advert.priority in (0, 100, 200)
        assert advert.encode(AH_KEY) == datagram
        again = Advert(
            version=version,
            vrid=advert.vrid,
            priority=advert.priority,
            addresses=advert.addresses,
            source=advert.source,
            destination=advert.destination,
            interval_cs=advert.interval_cs,
            auth_type=auth,
            auth_data=advert.auth_data if version == 2 else b"",
            sequence=advert.sequence,
            identification=advert.identification,
            flow_label=advert.flow_label,
        )
        assert again.encode(AH_KEY) == datagram
        seen += 1
    assert seen >= 5


def test_captured_authentication():
    assert all(Advert.decode(d).auth_data == b"s3cret\0\0" for d in datagrams("PASS"))
    window = ReplayWindow()
    for datagram in datagrams("AH"):
        advert = Advert.decode(datagram)
        assert advert.icv_valid(AH_KEY)
        assert advert.icv_valid(b"s3cret\0\0"), "a key padded with zeros is the same HMAC key"
        assert not advert.icv_valid(b"secret")
        assert not Advert.decode(datagram[:32] + bytes(12) + datagram[44:]).icv_valid(AH_KEY)
        assert window.accept(advert.sequence)
        assert not window.accept(advert.sequence)


@pytest.mark.parametrize("name", ["VMAC", "PASS", "AH"])
def test_captured_gratuitous_arp(name):
    built = 0
    for frame in frames(name):
        if frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]:
            claim = decode_neighbour(frame)
            assert gratuitous_arp(claim.mac, claim.address) == frame[:42]
            built += 1
    assert built >= 5


def test_captured_neighbour_advertisement():
    built = 0
    for frame in frames("IPV6"):
        if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136 and frame[58] == 0x20:
            claim = decode_neighbour(frame)
            assert neighbour_advertisement(claim.mac, claim.address, router=False) == frame
            built += 1
    assert built >= 10


def test_neighbour_advertisement_flags():
    mac = bytes(range(6))
    assert neighbour_advertisement(mac, "fd00::1")[58] == 0xA0
    assert neighbour_advertisement(mac, "fd00::1", router=False, override=False)[58] == 0
    assert decode_neighbour(neighbour_advertisement(mac, "fd00::1")) == (ipaddress.ip_address("fd00::1"), mac)


def test_virtual_mac():
    assert virtual_mac(51, 4).hex(":") == "00:00:5e:00:01:33"
    assert virtual_mac(255, 6).hex(":") == "00:00:5e:00:02:ff"
    for bad in ((0, 4), (256, 4), (1, 5)):
        with pytest.raises(PacketError):
            virtual_mac(*bad)


@given(st.binary(max_size=130), st.binary(max_size=200))
def test_hmac_md5_is_the_standard_librarys(key, message):
    assert hmac_md5(key, message) == hmac.new(key, message, hashlib.md5).digest()


v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


@st.composite
def adverts(draw):
    version = draw(st.sampled_from([2, 3]))
    addresses = v4 if version == 2 or draw(st.booleans()) else v6
    auth = draw(st.integers(0, 2)) if version == 2 else 0
    return Advert(
        version=version,
        vrid=draw(st.integers(1, 255)),
        priority=draw(st.integers(0, 255)),
        addresses=draw(st.lists(addresses, min_size=1, max_size=20)),
        source=draw(addresses),
        destination=draw(st.none() | addresses),
        interval_cs=draw(st.integers(1, 255)) * 100 if version == 2 else draw(st.integers(1, 4095)),
        auth_type=auth,
        auth_data=draw(st.binary(max_size=8)) if version == 2 else b"",
        sequence=draw(st.integers(0, 2**32 - 1)),
        ttl=draw(st.integers(0, 255)),
        identification=draw(st.integers(0, 65535)),
        pseudo_header=draw(st.booleans()),
    )


FIELDS = ["family", "version", "vrid", "priority", "interval_cs", "auth_type", "auth_data", "ttl", "source"]
FIELDS += ["destination", "addresses"]


@given(adverts(), st.binary(max_size=16))
def test_round_trip(advert, key):
    data = advert.encode(key)
    again = Advert.decode(data)
    for field in FIELDS:
        assert getattr(again, field) == getattr(advert, field), field
    assert again.encode(key) == data
    if advert.auth_type == 2:
        assert again.icv_valid(key) and again.sequence == advert.sequence
    else:
        assert not again.icv_valid(key)
        message = Advert.decode_message(advert.encode_message(), advert.source, advert.destination, advert.ttl)
        assert message.addresses == advert.addresses


@given(adverts(), st.data())
@settings(max_examples=60)
def test_cut_or_changed_adverts_are_an_error_of_ours_or_a_valid_advert(advert, data):
    whole = advert.encode(b"key")
    for n in range(len(whole)):
        with pytest.raises(PacketError) as caught:
            Advert.decode(whole[:n])
        assert caught.value.field and caught.value.field in str(caught.value)
    for _ in range(30):
        changed = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        try:
            Advert.decode(bytes(changed)).encode()
        except VrrpError as error:
            assert error.data == bytes(changed)[error.offset : error.offset + len(error.data)]


@given(st.sampled_from([4, 6]), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_cut_or_changed_claims_are_an_error_of_ours_or_a_claim(family, changes):
    mac = bytes(range(6))
    whole = gratuitous_arp(mac, "10.0.0.1") if family == 4 else neighbour_advertisement(mac, "fd00::1")
    for n in range(len(whole) if family == 4 else 78):  # the target's link-layer address is an option
        with pytest.raises(PacketError, match=r"^frame"):
            decode_neighbour(whole[:n])
    changed = bytearray(whole)
    for where, value in changes:
        changed[where % len(whole)] = value
    with contextlib.suppress(PacketError):
        claim = decode_neighbour(bytes(changed))
        assert claim.address.packed in bytes(changed) and claim.mac in bytes(changed)


@given(st.binary(max_size=120))
def test_random_bytes_never_raise_anything_else(data):
    for decode in (Advert.decode, ControlPacket.decode, decode_neighbour):
        with contextlib.suppress(PacketError):
            decode(data)


def v3(message, **changes):
    """A version-3 message with bytes replaced and its checksum made right again."""
    message = bytearray(message)
    for offset, value in changes.items():
        message[int(offset[1:])] = value
    message[6:8] = b"\0\0"
    if len(message) % 2:
        message.append(0)
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    message[6:8] = struct.pack("!H", total ^ 0xFFFF)
    return bytes(message)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"b0": 0x41}, "vrrp.version"),
        ({"b0": 0x32}, "vrrp.type"),
        ({"b1": 0}, "vrrp.vrid"),
        ({"b3": 0}, "vrrp.count"),
        ({"b3": 2}, "vrrp.length"),
        ({"b4": 0, "b5": 0}, "vrrp.interval"),
    ],
)
def test_each_bad_field_is_named(changes, field):
    good = Advert(vrid=1, priority=100, addresses=["10.0.0.9"], source="10.0.0.1").encode_message()
    with pytest.raises(PacketError) as caught:
        Advert.decode_message(v3(good, **changes), "10.0.0.1", "224.0.0.18")
    assert caught.value.field == field
    assert caught.value.data.hex() in str(caught.value)


def test_version_3_with_20_bytes_for_one_address_is_refused_by_name():
    good = Advert(vrid=1, priority=100, addresses=["10.0.0.9"], source="10.0.0.1").encode_message()
    with pytest.raises(PacketError, match=r"vrrp\.length"):
        Advert.decode_message(v3(good + bytes(8)), "10.0.0.1", "224.0.0.18")


def test_both_checksum_forms_are_accepted_and_told_apart():
    for pseudo in (True, False):
        advert = Advert(vrid=1, priority=9, addresses=["10.0.0.9"], source="10.0.0.1", pseudo_header=pseudo)
        assert Advert.decode(advert.encode()).pseudo_header is pseudo
    broken = bytearray(advert.encode())
    broken[26] ^= 1
    with pytest.raises(PacketError) as caught:
        Advert.decode(bytes(broken))
    assert (caught.value.field, caught.value.data, caught.value.offset) == ("vrrp.checksum", bytes(broken[26:28]), 26)


def test_ah_announced_but_absent_and_the_other_way_round():
    plain = Advert(version=2, vrid=1, priority=9, addresses=["10.0.0.9"], source="10.0.0.1", auth_type=2)
    with pytest.raises(PacketError, match=r"vrrp\.auth_type"):
        Advert.decode_message(plain.encode_message(), "10.0.0.1", "224.0.0.18")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"vrid": 0}, "vrrp.vrid"),
        ({"priority": 256}, "vrrp.priority"),
        ({"priority": True}, "vrrp.priority"),
        ({"addresses": []}, "vrrp.count"),
        ({"addresses": ["fd00::1"]}, "vrrp.address"),
        ({"addresses": ["x"]}, "vrrp.address"),
        ({"source": "x"}, "ip.source"),
        ({"interval_cs": 4096}, "vrrp.interval"),
        ({"version": 2, "interval_cs": 150}, "vrrp.interval"),
        ({"version": 2, "source": "fd00::1"}, "vrrp.version"),
        ({"auth_type": 1}, "vrrp.auth_type"),
        ({"auth_data": b"x"}, "vrrp.auth_data"),
        ({"destination": "ff02::12"}, "ip.destination"),
        ({"fragment": 1}, "ip.fragment_offset"),
    ],
)
def test_values_that_do_not_fit_are_refused(settings, field):
    whole = {"vrid": 1, "priority": 100, "addresses": ["10.0.0.9"], "source": "10.0.0.1"} | settings
    with pytest.raises(PacketError) as caught:
        Advert(**whole)
    assert caught.value.field == field


@given(st.lists(st.integers(0, 300), max_size=200))
def test_replay_window_accepts_each_number_once_within_64(numbers):
    window, seen, highest = ReplayWindow(), set(), None
    for number in numbers:
        expected = highest is None or number > highest or (highest - number < 64 and number not in seen)
        if highest is not None and number < min(seen) and highest - number < 64:
            expected = number not in seen
        assert window.accept(number) is expected
        if expected:
            seen.add(number)
            highest = number if highest is None else max(highest, number)


def test_replay_window_at_the_end_of_the_numbers():
    window = ReplayWindow()
    assert window.accept(0)
    assert window.accept(2**32 - 1)
    assert not window.accept(0)
    assert window.accept(2**32 - 2)
    assert not window.accept(2**32 - 1)


controls = st.builds(
    ControlPacket,
    state=st.sampled_from(["AdminDown", "Down", "Init", "Up"]),
    my_discriminator=st.integers(1, 2**32 - 1),
    your_discriminator=st.integers(1, 2**32 - 1),
    detect_mult=st.integers(1, 255),
    desired_min_tx_us=st.integers(0, 2**32 - 1),
    required_min_rx_us=st.integers(0, 2**32 - 1),
    required_min_echo_rx_us=st.integers(0, 2**32 - 1),
    diagnostic=st.integers(0, 31),
    poll=st.booleans(),
    final=st.booleans(),
    control_plane_independent=st.booleans(),
    demand=st.booleans(),
)
CONTROL_FIELDS = [name for name in dir(ControlPacket) if not name.startswith("_") and name not in ("decode", "encode")]


@given(controls)
def test_control_packet_round_trip(packet):
    data = packet.encode()
    again = ControlPacket.decode(data)
    assert len(data) == 24 and again.encode() == data
    for name in CONTROL_FIELDS:
        assert getattr(again, name) == getattr(packet, name)
    for n in range(24):
        with pytest.raises(PacketError):
            ControlPacket.decode(data[:n])


@given(controls, st.lists(st.tuples(st.integers(0, 23), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_changed_control_packet_is_an_error_of_ours_or_the_same_bytes_again(packet, changes):
    changed = bytearray(packet.encode())
    for where, value in changes:
        changed[where] = value
    try:
        again = ControlPacket.decode(bytes(changed)).encode()
    except PacketError as error:
        assert error.data == bytes(changed)[error.offset : error.offset + len(error.data)]
    else:
        assert again == bytes(changed)


@pytest.mark.parametrize(
    ("offset", "value", "field"),
    [
        (0, 0x40, "bfd.version"),
        (1, 0xC1, "bfd.multipoint"),
        (1, 0xC4, "bfd.length"),
        (2, 0, "bfd.detect_mult"),
        (3, 25, "bfd.length"),
        (3, 23, "bfd.length"),
        (7, 0, "bfd.my_discriminator"),
        (11, 0, "bfd.your_discriminator"),
    ],
)
def test_control_packet_checks(offset, value, field):
    data = bytearray(ControlPacket(state="Up", my_discriminator=1, your_discriminator=2).encode())
    data[offset] = value
    with pytest.raises(PacketError) as caught:
        ControlPacket.decode(bytes(data))
    assert caught.value.field == field


def test_control_packet_with_authentication_is_refused_by_name():
    data = bytearray(ControlPacket(state="Up", my_discriminator=1, your_discriminator=2).encode() + b"\1\3x")
    data[1] |= 4
    data[3] = 27
    with pytest.raises(PacketError, match=r"bfd\.authentication"):
        ControlPacket.decode(bytes(data))
