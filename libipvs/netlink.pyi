from libipvs.model import (
    Info,
    RealServer,
    ServerStatus,
    ServiceKey,
    ServiceStatus,
    SyncDaemon,
    Timeouts,
    VirtualService,
)

NEW_SERVICE: int
SET_SERVICE: int
DEL_SERVICE: int
GET_SERVICE: int
NEW_DEST: int
SET_DEST: int
DEL_DEST: int
GET_DEST: int
NEW_DAEMON: int
DEL_DAEMON: int
GET_DAEMON: int
SET_CONFIG: int
GET_CONFIG: int
SET_INFO: int
GET_INFO: int
ZERO: int
FLUSH: int
REQUEST: int
ACK: int
DUMP: int
DUMP_INTERRUPTED: int

_Value = ServiceStatus | ServerStatus | SyncDaemon | Timeouts | Info

def encode(
    family_id: int,
    command: int,
    flags: int,
    sequence: int,
    key: ServiceKey | None = None,
    service: VirtualService | None = None,
    server: RealServer | None = None,
    daemon: SyncDaemon | None = None,
    timeouts: Timeouts | None = None,
) -> bytes: ...
def decode(
    data: bytes,
    first: int,
    last: int,
    values: list[_Value],
    errors: dict[int, tuple[int, str]],
    service_family: int = 0,
) -> int: ...
