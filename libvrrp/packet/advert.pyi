from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from typing_extensions import disjoint_base

AUTH_NONE: int
AUTH_PASS: int
AUTH_AH: int
PROTOCOL_VRRP: int
PROTOCOL_AH: int
GROUP4: IPv4Address
GROUP6: IPv6Address
FIELDS: tuple[str, ...]
REASONS: tuple[str, ...]

_Address = str | IPv4Address | IPv6Address

@disjoint_base
class Advert:
    def __init__(
        self,
        *,
        vrid: int,
        priority: int,
        addresses: Iterable[_Address],
        source: _Address,
        interval_cs: int = 100,
        version: int = 3,
        destination: _Address | None = None,
        auth_type: int = 0,
        auth_data: bytes = b"",
        sequence: int = 0,
        spi: int | None = None,
        ttl: int = 255,
        tos: int = 0xC0,
        identification: int = 0,
        fragment: int = 0,
        flow_label: int = 0,
        pseudo_header: bool = True,
    ) -> None: ...
    @staticmethod
    def decode(data: bytes) -> Advert: ...
    @staticmethod
    def decode_message(data: bytes, source: _Address, destination: _Address, ttl: int = 255) -> Advert: ...
    def encode_message(self) -> bytes: ...
    def encode(self, key: bytes = b"") -> bytes: ...
    def icv_valid(self, key: bytes) -> bool: ...
    @property
    def family(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def vrid(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def interval_cs(self) -> int: ...
    @property
    def auth_type(self) -> int: ...
    @property
    def auth_data(self) -> bytes: ...
    @property
    def spi(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def icv(self) -> bytes: ...
    @property
    def ttl(self) -> int: ...
    @property
    def tos(self) -> int: ...
    @property
    def identification(self) -> int: ...
    @property
    def fragment(self) -> int: ...
    @property
    def flow_label(self) -> int: ...
    @property
    def pseudo_header(self) -> bool: ...
    @property
    def source(self) -> IPv4Address | IPv6Address: ...
    @property
    def destination(self) -> IPv4Address | IPv6Address: ...
    @property
    def addresses(self) -> tuple[Any, ...]: ...

@disjoint_base
class ReplayWindow:
    def accept(self, sequence: int) -> bool: ...

def virtual_mac(vrid: int, family: int) -> bytes: ...
