from typing import Any

from typing_extensions import disjoint_base

from libkv.session import Session
from libkv.store import StoreCore

@disjoint_base
class PendingCall:
    @property
    def fd(self) -> int: ...
    @property
    def remaining(self) -> float | None: ...
    def poll(self) -> tuple[bool, Any]: ...
    def cancel(self) -> tuple[bool, Any]: ...

def begin_call(store: StoreCore, words: tuple[bytes, ...], session: Session | None = None) -> tuple[bool, Any]: ...
