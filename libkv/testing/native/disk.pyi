from typing import Self

from typing_extensions import disjoint_base

OPEN: int
WRITE: int
FSYNC: int
FSYNCED: int
TRUNCATE: int
CLOSE: int
RENAME: int
UNLINK: int
MKDIR: int
SYNC_DIRECTORY: int
SYNCED_DIRECTORY: int
MARK: int
READ: int

@disjoint_base
class NotedFiles:
    def __new__(cls, room: int = 1 << 28) -> Self: ...
    def __init__(self, room: int = 1 << 28) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def mark(self, number: int) -> None: ...
    def fail(
        self, what: int, error: int, *, after: int = 0, times: int = 1, path: str = "", short: int = -1, slow: int = 0
    ) -> None: ...
    def fail_none(self) -> None: ...
    @property
    def calls(self) -> int: ...
    def notes(self) -> list[tuple[int, int, str, int, int, int, str, str, bytes]]: ...
