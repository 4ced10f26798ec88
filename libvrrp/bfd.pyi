from typing import Any, NamedTuple

from typing_extensions import disjoint_base

from libvrrp.packet.control import STATES as STATES
from libvrrp.packet.control import ControlPacket

class Send(NamedTuple):
    packet: ControlPacket

class Changed(NamedTuple):
    old: str
    new: str
    diagnostic: int
    peer_down: bool

@disjoint_base
class Session:
    def __init__(
        self,
        discriminator: int,
        *,
        min_tx: int = 10_000,
        min_rx: int = 10_000,
        multiplier: int = 5,
        idle_tx: int = 1_000_000,
        passive: bool = False,
        seed: int = 1,
    ) -> None: ...
    def step_packet(self, packet: ControlPacket, now: int) -> list[Send | Changed]: ...
    def step_deadline(self, now: int) -> list[Send | Changed]: ...
    def step_enable(self, enabled: bool, now: int) -> list[Send | Changed]: ...
    def step_intervals(self, min_tx: int, min_rx: int, multiplier: int, now: int) -> list[Send | Changed]: ...
    def next_deadline(self) -> int | None: ...
    @property
    def state(self) -> str: ...
    def status(self) -> dict[str, Any]: ...
