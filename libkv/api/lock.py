"""A lock kept in a key, for everybody who can reach the store.

The key holds a token that only the owner knows; SET NX takes the lock, and a time to live frees it when its owner
died.  redis-py gives it back by a script that compares the token and deletes the key in one step; here a watched
transaction does the same, so that no script engine is needed.
Source: "SET", section Patterns, https://redis.io/docs/latest/commands/set/
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from libkv.errors import LockError, LockNotOwnedError, WatchError

if TYPE_CHECKING:
    from libkv.api.handle import StoreHandle
    from libkv.api.pipeline import Pipeline

log = logging.getLogger("libkv")


class Lock:
    """Made by `Store.lock`; a context manager.

    timeout: seconds after which the lock frees itself; None: never.
    sleep: seconds between two tries.  blocking: whether to try again at all.  blocking_timeout: for how many seconds.
    thread_local: whether the token belongs to the thread that took the lock, so that no other can give it back.
    raise_on_release_error: whether leaving the `with` block raises when the lock was lost meanwhile, or only logs it.
    """

    def __init__(
        self,
        redis: StoreHandle,
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

    def __enter__(self) -> Self:
        if not self.acquire():
            raise LockError("Unable to acquire lock within the time specified", lock_name=self.name)
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.release()
        except LockError:
            if self.raise_on_release_error:
                raise
            log.warning("Lock %r was unlocked or no longer owned when exiting context manager.", self.name)

    @property
    def _token(self) -> bytes | None:
        token: bytes | None = getattr(self.local, "token", None)  # another thread's local has none
        return token

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
        pause = self.sleep if sleep is None else sleep
        patience = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        keep_trying = self.blocking if blocking is None else blocking
        wanted = uuid.uuid4().hex.encode() if token is None else self.redis.get_encoder().encode(token)
        deadline = None if patience is None else time.monotonic() + patience
        while not self._take(wanted):
            if not keep_trying or (deadline is not None and time.monotonic() + pause > deadline):
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
        token = self._token
        if token is None:
            raise LockError("Cannot release a lock that's not owned or is already unlocked.", lock_name=self.name)
        self.local.token = None
        if not self._if_mine(token, lambda pipe, _: pipe.delete(self.name)):
            raise LockNotOwnedError("Cannot release a lock that's no longer owned", lock_name=self.name)

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Adds seconds to the time the lock is held for, or with `replace_ttl` starts from now; returns True."""
        token = self._held_token("extend")
        added = int(additional_time * 1000)

        def prolong(pipe: Pipeline, left: int) -> None:
            pipe.pexpire(self.name, added if replace_ttl else added + left)

        if not self._if_mine(token, prolong, with_ttl=True):
            raise LockNotOwnedError("Cannot extend a lock that's no longer owned", lock_name=self.name)
        return True

    def reacquire(self) -> bool:
        """Starts the timeout from now; returns True."""
        token = self._held_token("reacquire")
        span = int((self.timeout or 0) * 1000)
        if not self._if_mine(token, lambda pipe, _: pipe.pexpire(self.name, span)):
            raise LockNotOwnedError("Cannot reacquire a lock that's no longer owned", lock_name=self.name)
        return True

    def _held_token(self, verb: str) -> bytes:
        if self._token is None:
            raise LockError(f"Cannot {verb} an unlocked lock", lock_name=self.name)
        if self.timeout is None:
            raise LockError(f"Cannot {verb} a lock with no timeout", lock_name=self.name)
        return self._token

    def _take(self, token: bytes) -> bool:
        return bool(self.redis.set(self.name, token, nx=True, px=int(self.timeout * 1000) if self.timeout else None))

    def _is_mine(self, stored: Any, token: bytes) -> bool:
        return stored is not None and self.redis.get_encoder().encode(stored) == token

    def _if_mine(self, token: bytes, change: Callable[[Pipeline, int], Any], with_ttl: bool = False) -> bool:
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
