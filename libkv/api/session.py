"""What belongs to a session, as the API uses them: answering in RESP3's shapes, as redis-py 8 asks of a server."""

from __future__ import annotations

from libkv.errors import DataError

HELLO3 = (b"HELLO", b"3")

# These change the session they run in; a handle that threads share must not let them through.
OF_A_SESSION = frozenset(b"SELECT MULTI EXEC DISCARD WATCH UNWATCH HELLO RESET QUIT".split())


# What these answer comes later, and again and again: a call that returns one reply can't do it.
OF_LISTENERS = frozenset(b"SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE MONITOR".split())

OF_CLIENT = frozenset(b"REPLY TRACKING CACHING".split())


def changes_session(words: tuple[bytes, ...]) -> bool:
    """Whether a command would change what later commands of its session do, or end the session."""
    name = words[0].upper()
    return name in OF_A_SESSION or (name == b"CLIENT" and words[1:2] != () and words[1].upper() in OF_CLIENT)


def check_listening(words: tuple[bytes, ...]) -> None:
    """DataError for the commands of `pubsub()` and `monitor()`."""
    if words[0].upper() in OF_LISTENERS:
        raise DataError(f"{words[0].decode()} waits for messages: use pubsub() or monitor()")
