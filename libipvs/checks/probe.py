"""One attempt of a check as a conversation without sockets: bytes come in, bytes go out, until there is an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from libipvs.errors import InvalidRequest
from libipvs.model import canonical_address


class Outcome(NamedTuple):
    """What an attempt found.  weight, weight_change: see Verdict."""

    ok: bool
    reason: str
    weight: int | None = None
    weight_change: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """Where an attempt goes, and from where: connect_ip and connect_port, bindto and bind_port (0 = any), the
    interface bind_if, and the firewall mark of its packets (0 = none).  Raises InvalidRequest."""

    address: str
    port: int = 0
    bindto: str = ""
    bind_port: int = 0
    bind_if: str = ""
    fwmark: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", canonical_address(self.address))
        if self.bindto:
            object.__setattr__(self, "bindto", canonical_address(self.bindto, "bindto"))
            if (":" in self.bindto) != (":" in self.address):
                raise InvalidRequest(f"bindto {self.bindto} and {self.address} are of different address families")
        for name in ("port", "bind_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise InvalidRequest(f"{name} {getattr(self, name)} is out of range; allowed are 0 to 65535")


class Probe:
    """One attempt.  The host calls the methods as things happen and sends what they return; when `outcome` is set the
    attempt is over."""

    __slots__ = ("outcome",)

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    def connected(self) -> bytes:
        """The connection is made (TLS included), or the datagram socket is ready."""
        return b""

    def received(self, data: bytes) -> bytes:
        """Bytes of the stream, or one datagram."""
        return b""

    def closed(self) -> None:
        """The peer ended the stream.  Sets an outcome."""
        self.failed("connection closed before the answer")

    def expired(self) -> None:
        """The time is over.  Sets an outcome."""
        self.failed("timeout")

    def failed(self, reason: str) -> None:
        self.outcome = Outcome(False, reason)

    def succeeded(self, reason: str, weight: int | None = None, weight_change: int = 0) -> None:
        self.outcome = Outcome(True, reason, weight, weight_change)
