"""What belongs to a session, as the API uses them: answering in RESP3's shapes, as redis-py 8 asks of a server."""

from __future__ import annotations

HELLO3 = (b"HELLO", b"3")

# These change the session they run in; a handle that threads share must not let them through.
OF_A_SESSION = frozenset(b"SELECT MULTI EXEC DISCARD WATCH UNWATCH HELLO RESET QUIT".split())


def changes_session(words: tuple[bytes, ...]) -> bool:
    """Whether a command would change what later commands of its session do, or end the session."""
    name = words[0].upper()
    return name in OF_A_SESSION or (name == b"CLIENT" and words[1:2] != () and words[1].upper() == b"REPLY")
