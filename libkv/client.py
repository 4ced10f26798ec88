"""Real redis-py clients whose connections never leave the process.

Everything above the socket is redis-py's own: its pool, its parser, its callbacks, its Lock and Pipeline.  In place of
the socket stands a session of the store: what redis-py sends is run before `send` returns, and the reply waits to be
received; receiving waits for the reply of a command that waits (BLPOP), up to the client's socket_timeout.  Good for
code that insists on a `redis.Redis` (flask-session, rq, ...), and for tests of such code.  Cost: packing and parsing
RESP; `libkv.Store` itself is several times faster.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.connection import CacheProxyConnection
from redis.maint_notifications import MaintNotificationsConfig

if TYPE_CHECKING:
    from libkv.session import Session
    from libkv.store import StoreCore

PLACE = "in this process"  # what redis-py shows where a socket's path would be


def redis_client(store: StoreCore, **kwargs: Any) -> redis.Redis:
    """A `redis.Redis` on `store`.

    kwargs: those of `redis.ConnectionPool` and of its connections that make sense without a network: db,
    decode_responses, encoding, client_name, max_connections, protocol, ...
    The client keeps the store open, and works until the store is closed.
    """
    return redis.Redis.from_pool(redis.ConnectionPool(**_pool_arguments(StoreConnection, store, kwargs)))


def aio_redis_client(store: StoreCore, **kwargs: Any) -> redis.asyncio.Redis:
    """A `redis.asyncio.Redis` on `store`; else as `redis_client`.

    Commands run in the event loop's thread, so that one of many elements holds the loop up for as long as it takes.
    """
    pool = redis.asyncio.ConnectionPool(**_pool_arguments(AsyncStoreConnection, store, kwargs))
    return redis.asyncio.Redis.from_pool(pool)


def _pool_arguments(connection_class: type, store: StoreCore, kwargs: dict[str, Any]) -> dict[str, Any]:
    if not hasattr(store, "new_session"):
        raise TypeError(f"a client of a libkv.Store can't be made of {store!r}")
    quiet = MaintNotificationsConfig(enabled=False)  # news about servers that move: this one doesn't
    fixed = {"connection_class": connection_class, "store": store, "path": PLACE, "maint_notifications_config": quiet}
    return {**fixed, **kwargs}


class SessionSocket:
    """What redis-py needs of a socket, on a session of the store."""

    def __init__(self, store: StoreCore) -> None:
        self._session: Session = store.new_session()  # as a new connection: the client says HELLO
        self._replies = bytearray()
        self._timeout: float | None = None

    def sendall(self, data: bytes) -> None:
        if self._session.closed:
            raise ConnectionResetError(errno.ECONNRESET, "the session was ended")
        self._replies += self._session.feed(bytes(data))

    def recv(self, size: int) -> bytes:
        if not self._replies and not self._session.closed:
            self._replies += self._session.wait(self._timeout)
        if self._replies:
            data = bytes(self._replies[:size])
            del self._replies[:size]
            return data
        if self._session.closed:
            return b""
        if self._timeout == 0:
            raise BlockingIOError(errno.EAGAIN, "no reply is waiting")
        raise TimeoutError("timed out")

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def shutdown(self, how: int) -> None:
        """Nothing to do: `close` follows."""

    def close(self) -> None:
        self._session.close()


class StoreConnection(redis.UnixDomainSocketConnection):
    """A connection of redis-py's pool that ends in a session of `store`."""

    def __init__(self, *, store: StoreCore, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # redis-py's
        self.host, self.port = PLACE, 0  # what the client-side cache tells of it
        self._store = store

    def connect(self) -> None:
        super().connect()  # type: ignore[no-untyped-call]
        # redis-py grants a client-side cache to servers from 7.4 only; what it uses is there since 6.0, and here
        told: Any = self.handshake_metadata
        if told:
            name = b"version" if b"version" in told else "version"
            self.handshake_metadata = {**told, name: CacheProxyConnection.MIN_ALLOWED_VERSION}

    def _connect(self) -> SessionSocket:
        return SessionSocket(self._store)


class SessionWriter:
    """What redis-py needs of an `asyncio.StreamWriter`; the replies go to the reader at once, or when they come."""

    def __init__(self, store: StoreCore, reader: asyncio.StreamReader) -> None:
        self._session: Session = store.new_session()
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._fd = self._session.fileno()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._fd, self._take)

    def writelines(self, lines: Iterable[bytes]) -> None:
        if self._session.closed:
            raise ConnectionResetError(errno.ECONNRESET, "the session was ended")
        self._pass_on(self._session.feed(b"".join(lines)))

    def _take(self) -> None:
        """The session has something that no request of ours returned."""
        self._pass_on(self._session.wait(0))

    def _pass_on(self, replies: bytes) -> None:
        if replies:
            self._reader.feed_data(replies)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._session.closed:
            self.close()
        elif (seconds := self._session.remaining) is not None:
            self._timer = self._loop.call_later(seconds, self._take)

    async def drain(self) -> None:
        """Nothing to wait for: everything was taken."""

    def close(self) -> None:
        if self._fd >= 0 and not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
            self._reader.feed_eof()
        self._fd = -1
        self._session.close()

    async def wait_closed(self) -> None:
        """Nothing to wait for: `close` has ended the session."""


class AsyncStoreConnection(redis.asyncio.UnixDomainSocketConnection):
    """The same for redis-py's asyncio side."""

    def __init__(self, *, store: StoreCore, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._store = store

    async def _connect(self) -> None:
        self._reader = asyncio.StreamReader()
        self._writer = SessionWriter(self._store, self._reader)  # type: ignore[assignment]
        await self.on_connect()
