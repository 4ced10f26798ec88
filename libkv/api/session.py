"""Sessions as the API wants them: answering in RESP3's shapes, as redis-py 8 asks of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libkv.store import Session, StoreCore

RESP3 = (b"HELLO", b"3")


def open_session(store: StoreCore, database: int) -> Session:
    """A new session of `store` on `database`; ResponseError if there is no such database."""
    session = store.new_session(database)
    store.execute(RESP3, session)
    return session
