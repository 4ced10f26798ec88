"""A lock kept in a key, for everybody who can reach the store.

The key holds a token that only the owner knows; SET NX takes the lock, and a time to live frees it when its owner
died.  redis-py gives it back by a script that compares the token and deletes the key in one step; here a watched
transaction does the same, so that no script engine is needed.
Source: "SET", section Patterns, https://redis.io/docs/latest/commands/set/
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from libkv.errors import LockError, LockNotOwnedError, WatchError

if TYPE_CHECKING:
    from libkv.api.pipeline import Pipeline

log = logging.getLogger("libkv")

Change = Callable[["Pipeline", int], Any]  # queues what to do with a lock that lives for so many ms


class Locking:
    """What a handle has to make locks."""

    _lock_kind: ClassVar[type[LockBase]]

    def lock(
        self,
        name: Any,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        lock_class: Any = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> Any:
        """A lock that everybody who can reach the store can take; see `Lock` for the arguments."""
        return (lock_class or self._lock_kind)(
            self,
            name,
            timeout=timeout,
            sleep=sleep,
            blocking=blocking,
            blocking_timeout=blocking_timeout,
            thread_local=thread_local,
            raise_on_release_error=raise_on_release_error,
        )


class LockBase:
    """A lock's arguments, its token, and what it is refused for.

    timeout: seconds after which the lock frees itself; None: never.
    sleep: seconds between two tries.  blocking: whether to try again at all.  blocking_timeout: for how many seconds.
    thread_local: whether the token belongs to the thread that took the lock, so that no other can give it back.
    raise_on_release_error: whether leaving the `with` block raises when the lock was lost meanwhile, or only logs it.
    """

    def __init__(
        self,
        redis: Any,
        name: Any,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> None:
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = raise_on_release_error
        self.local: Any = threading.local() if self.thread_local else SimpleNamespace()
        self.local.token = None

    @property
    def _token(self) -> bytes | None:
        token: bytes | None = getattr(self.local, "token", None)  # another thread's local has none
        return token

    def _wanted(self, token: Any) -> bytes:
        encoded: bytes = uuid.uuid4().hex.encode() if token is None else self.redis.get_encoder().encode(token)
        return encoded

    def _tries(
        self, sleep: float | None, blocking: bool | None, blocking_timeout: float | None
    ) -> tuple[float, Callable[[], bool]]:
        """The pause between two tries, and whether there is to be another one after it."""
        pause = self.sleep if sleep is None else sleep
        patience = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        keep_trying = self.blocking if blocking is None else blocking
        deadline = None if patience is None else time.monotonic() + patience
        return pause, lambda: keep_trying and (deadline is None or time.monotonic() + pause <= deadline)

    @property
    def _life(self) -> int | None:
        """ms that the lock lives for, when it is taken."""
        return int(self.timeout * 1000) if self.timeout else None

    def _own_token(self) -> bytes:
        token = self._token
        if token is None:
            raise LockError("Cannot release a lock that's not owned or is already unlocked.", lock_name=self.name)
        return token

    def _held_token(self, verb: str) -> bytes:
        if self._token is None:
            raise LockError(f"Cannot {verb} an unlocked lock", lock_name=self.name)
        if self.timeout is None:
            raise LockError(f"Cannot {verb} a lock with no timeout", lock_name=self.name)
        return self._token

    def _is_mine(self, stored: Any, token: bytes) -> bool:
        return stored is not None and self.redis.get_encoder().encode(stored) == token

    def _expect(self, done: bool, verb: str) -> None:
        if not done:
            raise LockNotOwnedError(f"Cannot {verb} a lock that's no longer owned", lock_name=self.name)

    def _delete(self, pipe: Pipeline, left: int) -> None:
        pipe.delete(self.name)

    def _prolong(self, additional_time: float, replace_ttl: bool) -> Change:
        added = int(additional_time * 1000)
        return lambda pipe, left: pipe.pexpire(self.name, added if replace_ttl else added + left)

    def _restart(self, pipe: Pipeline, left: int) -> None:
        pipe.pexpire(self.name, self._life or 0)

    def _not_acquired(self) -> LockError:
        return LockError("Unable to acquire lock within the time specified", lock_name=self.name)

    def _tell_lost(self) -> None:
        log.warning("Lock %r was unlocked or no longer owned when exiting context manager.", self.name)


class Lock(LockBase):
    """Made by `Store.lock`; a context manager.  `LockBase` explains the arguments."""

    def __enter__(self) -> Self:
        if not self.acquire():
            raise self._not_acquired()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.release()
        except LockError:
            if self.raise_on_release_error:
                raise
            self._tell_lost()

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: Any = None,
    ) -> bool:
        """Takes the lock; returns whether it could.  The arguments override those of the lock, for this call.

        token: what to write into the key, instead of something unique.
        """
        wanted = self._wanted(token)
        pause, again = self._tries(sleep, blocking, blocking_timeout)
        while not self.redis.set(self.name, wanted, nx=True, px=self._life):
            if not again():
                return False
            time.sleep(pause)
        self.local.token = wanted
        return True

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self.redis.get(self.name) is not None

    def owned(self) -> bool:
        """Whether this object (with `thread_local`: this thread) holds the lock."""
        return self._token is not None and self._is_mine(self.redis.get(self.name), self._token)

    def release(self) -> None:
        """Gives the lock back; LockNotOwnedError if it was lost meanwhile."""
        token = self._own_token()
        self.local.token = None
        self._expect(self._if_mine(token, self._delete), "release")

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Adds seconds to the time the lock is held for, or with `replace_ttl` starts from now; returns True."""
        token = self._held_token("extend")
        self._expect(self._if_mine(token, self._prolong(additional_time, replace_ttl), with_ttl=True), "extend")
        return True

    def reacquire(self) -> bool:
        """Starts the timeout from now; returns True."""
        self._expect(self._if_mine(self._held_token("reacquire"), self._restart), "reacquire")
        return True

    def _if_mine(self, token: bytes, change: Change, with_ttl: bool = False) -> bool:
        """Queues and executes `change(pipeline, ms left)` if the key still holds the token; returns whether it did."""
        with self.redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(self.name)
                    if not self._is_mine(pipe.get(self.name), token):
                        return False
                    left = pipe.pttl(self.name) if with_ttl else 0
                    if left < 0:
                        return False
                    pipe.multi()
                    change(pipe, left)
                    pipe.execute()
                    return True
                except WatchError:
                    continue


class AsyncLock(LockBase):
    """`Lock` for asyncio, made by `store.aio.lock`; an asynchronous context manager.

    Each step is awaited: the event loop goes on when one has to wait, as while CLIENT PAUSE is on.
    """

    def __init__(self, redis: Any, name: Any, **options: Any) -> None:
        super().__init__(redis, name, **{**options, "thread_local": False})  # a task is not a thread

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise self._not_acquired()
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.release()
        except LockError:
            if self.raise_on_release_error:
                raise
            self._tell_lost()

    async def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: Any = None,
    ) -> bool:
        """Takes the lock; returns whether it could.  As `Lock.acquire`."""
        wanted = self._wanted(token)
        pause, again = self._tries(sleep, blocking, blocking_timeout)
        while not await self.redis.set(self.name, wanted, nx=True, px=self._life):
            if not again():
                return False
            await asyncio.sleep(pause)
        self.local.token = wanted
        return True

    async def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return await self.redis.get(self.name) is not None

    async def owned(self) -> bool:
        """Whether this object holds the lock."""
        return self._token is not None and self._is_mine(await self.redis.get(self.name), self._token)

    async def release(self) -> None:
        """Gives the lock back; LockNotOwnedError if it was lost meanwhile.  Cancelled, it can be called again."""
        done = await self._if_mine(self._own_token(), self._delete)
        self.local.token = None
        self._expect(done, "release")

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Adds seconds to the time the lock is held for, or with `replace_ttl` starts from now; returns True."""
        token = self._held_token("extend")
        done = await self._if_mine(token, self._prolong(additional_time, replace_ttl), with_ttl=True)
        self._expect(done, "extend")
        return True

    async def reacquire(self) -> bool:
        """Starts the timeout from now; returns True."""
        self._expect(await self._if_mine(self._held_token("reacquire"), self._restart), "reacquire")
        return True

    async def _if_mine(self, token: bytes, change: Change, with_ttl: bool = False) -> bool:
        """As `Lock._if_mine`."""
        async with self.redis.pipeline() as pipe:
            while True:
                try:
                    await pipe.watch(self.name)
                    if not self._is_mine(await pipe.get(self.name), token):
                        return False
                    left = await pipe.pttl(self.name) if with_ttl else 0
                    if left < 0:
                        return False
                    pipe.multi()
                    change(pipe, left)
                    await pipe.execute()
                    return True
                except WatchError:
                    continue
