"""What libkv raises: the exception names and the tree of redis-py.

Code written for redis-py catches ``redis.ResponseError``, and goes on doing so: as soon as redis-py is loaded in the
process, every class here also derives from redis-py's class of the same name.  redis-py itself is never imported for
that (its import takes about 0.1 s); the first error made after somebody else has imported it adopts its classes.
An ``except redis.X`` clause can only be reached by code that has imported redis before, so the order of imports
does not matter.

Which code of an error reply becomes which class is redis-py's mapping too (`error_from_reply`).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class KvError(Exception):
    """Everything that libkv raises on its own account."""


class RdbFileError(KvError, ValueError):
    """An RDB file that can't be read: damaged, truncated, or with something no store here can hold.

    `offset` of the byte where it was seen, `key` (bytes, cut to 128) and `database` of the record in work, `kind`
    ("damaged", "truncated", "unsupported"), `reason`: the message without them.
    """

    def __init__(
        self,
        *args: Any,
        offset: int = 0,
        key: bytes | None = None,
        database: int = 0,
        kind: str = "damaged",
        reason: str = "",
    ) -> None:
        super().__init__(*args)
        self.offset = offset
        self.key = key
        self.database = database
        self.kind = kind
        self.reason = reason


class StoreFilesError(KvError, OSError):
    """A store's directory or its files can't be used: damaged, held by another process, not readable or writable.

    `errno` as in OSError; the text names the file, and where it matters the offset of the first bad byte.
    """


class RedisError(KvError):
    """The root of redis-py's tree.

    `status_code` is the code word of the error reply it was made from (``WRONGPASS``, ``OOM``, ...), when redis-py
    has a class for that code; otherwise None, and the text starts with the code.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> RedisError:
        if not _adopted:
            _adopt_redis_classes()
        return super().__new__(cls, *args)

    def __init__(self, *args: Any, status_code: str | None = None) -> None:
        super().__init__(*args)
        self.status_code = status_code

    def __repr__(self) -> str:
        return Exception.__repr__(self)


class ConnectionError(RedisError):
    """The store can't be reached; in a process: it is closed, loading, or belongs to the parent process."""


class StoreClosed(ConnectionError):
    """A call on a store, a session or a view after the store was closed."""


class StoreForked(ConnectionError):
    """A call on a durable or served store in the child of a fork: the store belongs to the parent."""


class TimeoutError(RedisError):
    """Something took longer than the caller allowed."""


class AuthenticationError(ConnectionError):
    """NOAUTH, WRONGPASS: no password, or not this one."""


class AuthorizationError(ConnectionError):
    """Known, but not allowed to do this."""


class BusyLoadingError(ConnectionError):
    """LOADING: the data are being read from disk."""


class MaxConnectionsError(ConnectionError):
    """A pool has no connection left to give."""


class InvalidResponse(RedisError):
    """Bytes that are no RESP."""


class ResponseError(RedisError):
    """An error reply; the text is the server's, without the code ``ERR``."""


class DataError(RedisError):
    """Arguments that can't be sent: a type without an encoding, options that exclude each other."""


class PubSubError(RedisError):
    """Wrong use of publish/subscribe."""


class WatchError(RedisError):
    """A watched key changed before EXEC: nothing was executed."""


class NoScriptError(ResponseError):
    """NOSCRIPT: no script has this digest."""


class OutOfMemoryError(ResponseError):
    """OOM: the command needs memory, and `maxmemory` is reached."""


class ExecAbortError(ResponseError):
    """EXECABORT: a command of the transaction was refused when it was queued."""


class ReadOnlyError(ResponseError):
    """READONLY: a write on a replica."""


class NoPermissionError(ResponseError):
    """NOPERM: the user's rules forbid this command, key or channel."""


class ModuleError(ResponseError):
    """A module can't be loaded or unloaded."""


class AuthenticationWrongNumberOfArgsError(ResponseError):
    """AUTH with too few or too many arguments."""


class ClusterError(RedisError):
    """Something about a cluster."""


class ClusterDownError(ClusterError, ResponseError):
    """CLUSTERDOWN: not every slot is served."""


class MasterDownError(ClusterDownError):
    """MASTERDOWN: the link to the primary is down, and stale data are not to be served."""


class TryAgainError(ResponseError):
    """TRYAGAIN: the keys are split between two nodes at the moment."""


class ClusterCrossSlotError(ResponseError):
    """CROSSSLOT: the keys of one command belong to different slots."""


class LockError(RedisError, ValueError):
    """A lock can't be taken, extended or given back.  `lock_name` is its key."""

    def __init__(self, message: str | None = None, lock_name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.lock_name = lock_name


class LockNotOwnedError(LockError):
    """The lock timed out, and may be somebody else's by now."""


_adopted = False


def _adopt_redis_classes() -> None:
    """Puts redis-py's class of the same name among the bases of each class above, once redis-py is loaded."""
    global _adopted
    theirs = sys.modules.get("redis.exceptions")
    if not isinstance(theirs, ModuleType) or getattr(theirs.__spec__, "_initializing", False):
        return  # not imported, or another thread is in the middle of it
    _adopted = True
    for name, ours in list(globals().items()):
        if not isinstance(ours, type) or not issubclass(ours, RedisError):
            continue
        base = getattr(theirs, name, None)
        if isinstance(base, type) and base not in ours.__mro__:
            kept = tuple(b for b in ours.__bases__ if not issubclass(base, b) or b is KvError)
            ours.__bases__ = (base, *kept)


_adopt_redis_classes()

_ERR_TEXTS: dict[str, type[RedisError]] = {
    "max number of clients reached": ConnectionError,
    "invalid password": AuthenticationError,
    "wrong number of arguments for 'auth' command": AuthenticationWrongNumberOfArgsError,
    "AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?": AuthenticationError,
    "Error loading the extension. Please check the server logs.": ModuleError,
    "Error unloading module: no such module with that name": ModuleError,
}

_CODES: dict[str, type[RedisError]] = {
    "OOM": OutOfMemoryError,
    "WRONGPASS": AuthenticationError,
    "EXECABORT": ExecAbortError,
    "LOADING": BusyLoadingError,
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "TRYAGAIN": TryAgainError,
    "CLUSTERDOWN": ClusterDownError,
    "CROSSSLOT": ClusterCrossSlotError,
    "MASTERDOWN": MasterDownError,
}


def error_from_reply(line: bytes | str) -> RedisError:
    """The exception for an error reply, made but not raised.

    line: the reply without its leading ``-``, such as ``b"ERR syntax error"``.
    Codes that redis-py has a class for are cut off the text, and ``ERR`` always; any other code stays in it.
    """
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    code, _, rest = text.partition(" ")
    if code == "ERR":
        return _ERR_TEXTS.get(rest, ResponseError)(rest, status_code=code)
    known = _CODES.get(code)
    return ResponseError(text) if known is None else known(rest, status_code=code)


__all__ = sorted(
    name
    for name, value in globals().items()
    if isinstance(value, type) and issubclass(value, KvError) and value.__module__ == __name__
)
__all__ += ["error_from_reply"]
