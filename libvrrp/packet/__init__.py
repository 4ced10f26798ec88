"""Wire formats: VRRP adverts, gratuitous ARP, unsolicited neighbour advertisements, BFD control packets.

Everything here is a pure function of its arguments.  A packet that is not valid raises
`libvrrp.errors.PacketError`, which names the field and its bytes.
"""

from libvrrp.errors import PacketError
from libvrrp.packet.advert import (
    AUTH_AH,
    AUTH_NONE,
    AUTH_PASS,
    GROUP4,
    GROUP6,
    PROTOCOL_AH,
    PROTOCOL_VRRP,
    Advert,
    ReplayWindow,
    virtual_mac,
)
from libvrrp.packet.announce import (
    Neighbour,
    decode_neighbour,
    gratuitous_arp,
    neighbour_advertisement,
)
from libvrrp.packet.control import ControlPacket
from libvrrp.packet.digest import hmac_md5

__all__ = [
    "AUTH_AH",
    "AUTH_NONE",
    "AUTH_PASS",
    "GROUP4",
    "GROUP6",
    "PROTOCOL_AH",
    "PROTOCOL_VRRP",
    "Advert",
    "ControlPacket",
    "Neighbour",
    "PacketError",
    "ReplayWindow",
    "decode_neighbour",
    "gratuitous_arp",
    "hmac_md5",
    "neighbour_advertisement",
    "virtual_mac",
]
