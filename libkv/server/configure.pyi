from typing import TypedDict, type_check_only

from libkv.store import StoreCore

@type_check_only
class Limits(TypedDict):
    maxclients: int
    timeout: int
    tcp_keepalive: int
    protected: bool
    query: int
    output: tuple[int, int, int]

def put_directive(store: StoreCore, name: str | bytes, words: list[bytes] | list[str]) -> str | None: ...
def read_config(store: StoreCore) -> dict[str, str]: ...
def set_config_file(store: StoreCore, path: bytes) -> None: ...
def limits(store: StoreCore) -> Limits: ...
