"""Sessions as the API wants them: answering in RESP3's shapes, as redis-py 8 asks of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libkv.store import Session, StoreCore

RESP3 = (b"HELLO", b"3")

# These change the session they run in; a handle that threads share must not let them through.
OF_A_SESSION = frozenset(b"SELECT MULTI EXEC DISCARD WATCH UNWATCH HELLO RESET QUIT".split())


def open_session(store: StoreCore, database: int) -> Session:
    """A new session of `store` on `database`; ResponseError if there is no such database."""
    session = store.new_session(database)
    store.execute(RESP3, session)
    return session


def changes_session(words: tuple[bytes, ...]) -> bool:
    """Whether a command would change what later commands of its session do, or end the session."""
    name = words[0].upper()
    return name in OF_A_SESSION or (name == b"CLIENT" and words[1:2] != () and words[1].upper() == b"REPLY")
