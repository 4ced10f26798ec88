"""A clock for a store that stands still until a test moves it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libkv.store import StoreCore


class Clock:
    """The wall clock of one store: time to live, TTL, TIME and EXPIREAT go by it.

    It starts at the moment it is made (or at `now`) and stands still.  Times are in seconds since 1970, kept in
    milliseconds.

        clock = Clock(store)
        store.set("session", "x", ex=60)
        clock.advance(61)
        assert "session" not in store
    """

    def __init__(self, store: StoreCore, now: float | None = None) -> None:
        self._store = store
        self.now = time.time() if now is None else now

    @property
    def now(self) -> float:
        """What the store takes for the present time; may be set, backwards too."""
        return self._now_ms / 1000

    @now.setter
    def now(self, seconds: float) -> None:
        self._now_ms = round(seconds * 1000)
        self._store.set_clock(self._now_ms)

    def advance(self, seconds: float) -> None:
        """Lets so many seconds pass at once."""
        self._now_ms += round(seconds * 1000)
        self._store.set_clock(self._now_ms)

    def release(self) -> None:
        """Gives the store the system's clock back."""
        self._store.set_clock(None)
