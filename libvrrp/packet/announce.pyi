from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

class Neighbour(NamedTuple):
    address: IPv4Address | IPv6Address
    mac: bytes

def gratuitous_arp(mac: bytes, address: str | IPv4Address) -> bytes: ...
def neighbour_advertisement(
    mac: bytes, address: str | IPv6Address, router: bool = True, override: bool = True
) -> bytes: ...
def decode_neighbour(frame: bytes) -> Neighbour: ...
