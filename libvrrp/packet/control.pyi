from typing_extensions import disjoint_base

PROBLEMS: tuple[tuple[str, str, int, int] | None, ...]
STATES: tuple[str, ...]

@disjoint_base
class ControlPacket:
    def __init__(
        self,
        *,
        state: str,
        my_discriminator: int,
        your_discriminator: int = 0,
        detect_mult: int = 3,
        desired_min_tx_us: int = 1_000_000,
        required_min_rx_us: int = 1_000_000,
        required_min_echo_rx_us: int = 0,
        diagnostic: int = 0,
        poll: bool = False,
        final: bool = False,
        control_plane_independent: bool = False,
        demand: bool = False,
    ) -> None: ...
    @staticmethod
    def decode(data: bytes) -> ControlPacket: ...
    def encode(self) -> bytes: ...
    @property
    def state(self) -> str: ...
    @property
    def diagnostic(self) -> int: ...
    @property
    def poll(self) -> bool: ...
    @property
    def final(self) -> bool: ...
    @property
    def control_plane_independent(self) -> bool: ...
    @property
    def demand(self) -> bool: ...
    @property
    def detect_mult(self) -> int: ...
    @property
    def my_discriminator(self) -> int: ...
    @property
    def your_discriminator(self) -> int: ...
    @property
    def desired_min_tx_us(self) -> int: ...
    @property
    def required_min_rx_us(self) -> int: ...
    @property
    def required_min_echo_rx_us(self) -> int: ...
