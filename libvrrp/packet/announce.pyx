"""Gratuitous ARP (RFC 5227 section 3, RFC 826) and unsolicited neighbour advertisements (RFC 4861 section 7.2.6).

Both are whole Ethernet frames, for a packet socket.  The gratuitous ARP is a request for the sender's own address with
the target hardware address all ones, to the broadcast address, which is what keepalived sends too.

    Ethernet                      ARP                                   neighbour advertisement
    0  destination, 6 bytes       14 hardware 1, protocol 0x0800        14 IPv6 header, hop limit 255
    6  source, 6 bytes            18 lengths 6 and 4, operation         54 type 136, code 0, checksum
    12 type 0x0806 / 0x86dd       22 sender MAC, sender address         58 flags (R 0x80, S 0x40, O 0x20), 0, 0, 0
                                  32 target MAC, target address         62 target, 16 bytes; option 2: MAC
"""

import ipaddress
from typing import NamedTuple

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset
from libvrrp.packet.checksum cimport fold16, get16, pseudo_sum, put16, sum16

from libvrrp.errors import PacketError


class Neighbour(NamedTuple):
    """What an ARP packet or a neighbour advertisement claims: this address is at this MAC (6 bytes)."""

    address: object
    mac: bytes


cdef void arp_announce(uint8_t* frame, const uint8_t* mac, const uint8_t* address) noexcept nogil:
    """Writes the ARP_FRAME bytes of a gratuitous ARP for a 4-byte address."""
    memset(frame, 0xFF, 6)
    memcpy(frame + 6, mac, 6)
    put16(frame + 12, 0x0806)
    put16(frame + 14, 1)
    put16(frame + 16, 0x0800)
    frame[18] = 6
    frame[19] = 4
    put16(frame + 20, 1)
    memcpy(frame + 22, mac, 6)
    memcpy(frame + 28, address, 4)
    memset(frame + 32, 0xFF, 6)
    memcpy(frame + 38, address, 4)


cdef void neighbour_announce(
    uint8_t* frame, const uint8_t* mac, const uint8_t* address, bint router, bint override
) noexcept nogil:
    """Writes the ADVERTISEMENT_FRAME bytes of an unsolicited neighbour advertisement to all nodes (ff02::1)."""
    cdef uint8_t* ip = frame + 14
    cdef uint8_t* icmp = frame + 54
    memset(frame, 0, ADVERTISEMENT_FRAME)
    frame[0] = 0x33
    frame[1] = 0x33
    frame[5] = 1
    memcpy(frame + 6, mac, 6)
    put16(frame + 12, 0x86DD)
    ip[0] = 0x60
    put16(ip + 4, 32)
    ip[6] = 58
    ip[7] = 255
    memcpy(ip + 8, address, 16)
    ip[24] = 0xFF
    ip[25] = 0x02
    ip[39] = 1
    icmp[0] = 136
    icmp[4] = (0x80 if router else 0) | (0x20 if override else 0)
    memcpy(icmp + 8, address, 16)
    icmp[24] = 2
    icmp[25] = 1
    memcpy(icmp + 26, mac, 6)
    put16(icmp + 2, fold16(sum16(icmp, 32, pseudo_sum(6, ip + 8, ip + 24, 32, 58))))


cdef int neighbour_claim(const uint8_t* frame, size_t n, uint8_t* mac, uint8_t* address) noexcept nogil:
    """What an ARP or neighbour-advertisement frame claims: fills mac and address, returns 4, 6, or 0 for no claim.

    An ARP probe (sender address 0, RFC 5227) claims nothing.
    """
    cdef size_t at
    cdef const uint8_t* icmp
    if n >= ARP_FRAME and get16(frame + 12) == 0x0806:
        if get16(frame + 14) != 1 or get16(frame + 16) != 0x0800 or frame[18] != 6 or frame[19] != 4:
            return 0
        if not (frame[28] | frame[29] | frame[30] | frame[31]):
            return 0
        memcpy(mac, frame + 22, 6)
        memcpy(address, frame + 28, 4)
        return 4
    if n >= 14 + 40 + 24 and get16(frame + 12) == 0x86DD and frame[20] == 58 and frame[21] == 255:
        icmp = frame + 54
        if icmp[0] != 136 or icmp[1] != 0:
            return 0
        memcpy(address, icmp + 8, 16)
        memcpy(mac, frame + 6, 6)
        at = 54 + 24
        while at + 8 <= n and frame[at + 1]:
            if frame[at] == 2:
                memcpy(mac, frame + at + 2, 6)
                break
            at += <size_t>frame[at + 1] * 8
        return 6
    return 0


cdef bytes hardware(object mac):
    if not isinstance(mac, bytes) or len(mac) != 6:
        raise PacketError("ethernet.source", "a MAC is 6 bytes", mac if isinstance(mac, bytes) else b"")
    return mac


cdef bytes packed(object address, int family):
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise PacketError("address", str(error)) from None
    if parsed.version != family:
        raise PacketError("address", f"{parsed} is not IPv{family}", parsed.packed)
    return parsed.packed


def gratuitous_arp(mac, address):
    """The Ethernet frame (42 bytes) that tells everyone that the IPv4 address is at mac (6 bytes)."""
    cdef uint8_t[ARP_FRAME] frame
    cdef bytes source = hardware(mac), target = packed(address, 4)
    arp_announce(frame, <const uint8_t*>PyBytes_AS_STRING(source), <const uint8_t*>PyBytes_AS_STRING(target))
    return frame[:ARP_FRAME]


def neighbour_advertisement(mac, address, router=True, override=True):
    """The Ethernet frame (86 bytes) that tells all nodes that the IPv6 address is at mac (6 bytes).

    router: set the R flag (the sender forwards).  override: set the O flag (replace what caches hold).
    """
    cdef uint8_t[ADVERTISEMENT_FRAME] frame
    cdef bytes source = hardware(mac), target = packed(address, 6)
    neighbour_announce(frame, <const uint8_t*>PyBytes_AS_STRING(source), <const uint8_t*>PyBytes_AS_STRING(target),
                       bool(router), bool(override))
    return frame[:ADVERTISEMENT_FRAME]


def decode_neighbour(bytes frame not None):
    """The claim in an ARP or neighbour-advertisement Ethernet frame, as Neighbour(address, mac).

    Raises PacketError when the frame claims no address (another protocol, cut short, an ARP probe).
    """
    cdef uint8_t[6] mac
    cdef uint8_t[16] address
    cdef int family = neighbour_claim(<const uint8_t*>PyBytes_AS_STRING(frame), len(frame), mac, address)
    if family == 0:
        raise PacketError("frame", "neither ARP nor a neighbour advertisement that claims an address", frame[12:14], 12)
    return Neighbour(ipaddress.ip_address(address[:4 if family == 4 else 16]), mac[:6])
