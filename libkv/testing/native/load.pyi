from typing import TypedDict, type_check_only

@type_check_only
class Result(TypedDict):
    requests: int
    seconds: float
    cpu: float
    nils: int
    errors: int
    error: str
    p50: float
    p99: float
    worst: float

SLOT: bytes

def run(
    fds: list[int],
    request: bytes,
    requests: int,
    *,
    pipeline: int = 1,
    replies: int = 1,
    numbers: int = 1000000,
    in_order_from: int = -1,
    seed: int = 1,
    seconds: float = 60.0,
) -> Result: ...
