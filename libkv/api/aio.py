"""`store.aio`: the store's methods for asyncio.

Every method is the store's, and returns an awaitable.  What does not wait is done at once in the event loop's thread
(it takes microseconds, or as long as the command takes).  What waits (BLPOP and its kin, WAIT, everything while CLIENT
PAUSE is on) is registered with the store and gives the loop an eventfd to watch.

Cancelling a call that waits leaves nothing behind.  When an element was taken for it in the same moment, it is put back
where it came from, and the cancellation goes on: an element that nobody was given is not lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from libkv.api.aio_pubsub import AsyncPubSub
from libkv.api.lock import AsyncLock, Locking
from libkv.api.pipeline import Pipeline
from libkv.api.replies import Shape, shape_reply
from libkv.api.scripting import AsyncScript, ScriptText
from libkv.api.session import changes_session, check_listening
from libkv.encode import Encoder
from libkv.errors import DataError, StoreClosed, WatchError
from libkv.pending import PendingCall, begin_call

if TYPE_CHECKING:
    from libkv.api.signatures import AwaitedCommands as AsyncCommands
    from libkv.session import Session
    from libkv.store import StoreCore
else:
    from libkv.api.commands import Commands as AsyncCommands

Words = tuple[bytes, ...]


async def run(store: StoreCore, words: Words, session: Session | None = None) -> Any:
    """Runs one command and returns its reply as it comes (errors too are returned)."""
    done, reply = begin_call(store, words, session)
    return reply if done else await _wait(store, words, session, reply)


async def _wait(store: StoreCore, words: Words, session: Session | None, call: PendingCall) -> Any:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[Any] = loop.create_future()
    fd = -1
    timer: asyncio.TimerHandle | None = None

    def rest() -> None:
        nonlocal fd, timer
        if fd >= 0:
            loop.remove_reader(fd)
            fd = -1
        if timer is not None:
            timer.cancel()
            timer = None

    def watch() -> None:
        nonlocal fd, timer
        rest()
        fd = call.fd
        loop.add_reader(fd, look)
        if call.remaining is not None:
            timer = loop.call_later(call.remaining, look)

    def look() -> None:
        rest()
        if waiter.done():
            return
        try:
            done, reply = call.poll()
        except Exception as error:
            waiter.set_exception(error)
            return
        if done:
            waiter.set_result(reply)
        else:
            watch()

    try:
        watch()
        return await waiter
    except BaseException:
        if not loop.is_closed():
            rest()
        served, reply = call.cancel()
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            served, reply = True, waiter.result()
        if served:
            with contextlib.suppress(StoreClosed):
                for words_back in _giving_back(words, reply):
                    store.execute(words_back, session)
        raise


def _giving_back(words: Words, reply: Any) -> list[Words]:
    """The commands that undo a pop whose reply nobody gets.

    What was moved (BLMOVE) or delivered (XREADGROUP) is where it belongs, and nothing of it is lost.
    """
    name = words[0].upper()
    if not isinstance(reply, list):
        return []
    if name in (b"BLPOP", b"BRPOP"):
        return [(b"LPUSH" if name == b"BLPOP" else b"RPUSH", reply[0], reply[1])]
    if name == b"BLMPOP":
        left = words[3 + int(words[2])].upper() == b"LEFT"
        return [(b"LPUSH" if left else b"RPUSH", reply[0], *reversed(reply[1]))]
    if name in (b"BZPOPMIN", b"BZPOPMAX"):
        return [(b"ZADD", reply[0], b"NX", _score(reply[2]), reply[1])]
    if name == b"BZMPOP":
        pairs = [word for member, score in reply[1] for word in (_score(score), member)]
        return [(b"ZADD", reply[0], b"NX", *pairs)]
    return []


def _score(score: Any) -> bytes:
    return score if isinstance(score, bytes) else repr(score).encode()


class AsyncHandle(Locking, AsyncCommands):
    """What `store.aio`, its views and its clients have in common; for one event loop at a time."""

    _lock_kind = AsyncLock
    _shared = True
    _session: Session | None = None

    def __init__(self, store: StoreCore, database: int, encoder: Encoder, callbacks: dict[str, Shape]) -> None:
        self._store = store
        self._database = database
        self.encoder = encoder
        self.response_callbacks = callbacks

    @property
    def database(self) -> int:
        """The number of the database this handle was made for."""
        return self._database

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Runs any command, given as words, and returns its reply as the method of that command would."""
        packed = self.encoder.encode_command(args)
        if self._shared and changes_session(packed):
            raise DataError(
                f"{args[0]!r} changes a session, and this handle shares one between all its callers: "
                "use store.aio.client(), store.aio.db(n) or store.aio.pipeline()"
            )
        check_listening(packed)
        reply = await run(self._store, packed, self._session)
        return shape_reply(self.response_callbacks, self.encoder, args[0], reply, options)

    def register_script(self, script: ScriptText) -> AsyncScript:
        """Something to call and await that runs this script, by its SHA-1 where it can; see `Script`."""
        return AsyncScript(self, script)

    def set_response_callback(self, command: str, callback: Shape) -> None:
        """Has `callback` shape the replies to `command` from now on, on this handle and the pipelines it makes."""
        self.response_callbacks = {**self.response_callbacks, command.upper(): callback}

    def get_encoder(self) -> Encoder:
        """How this handle encodes and decodes."""
        return self.encoder

    def db(self, index: int) -> AsyncDatabase:
        """A view of another database of the same store; ResponseError if there is no such database."""
        return AsyncDatabase(self._store, index, self.encoder, self.response_callbacks)

    def client(self) -> AsyncClient:
        """A handle with a session of its own: its database, its name, its MULTI and WATCH belong to it alone."""
        return AsyncClient(self._store, self._database, self.encoder, self.response_callbacks)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> AsyncPipeline:
        """Collects commands and runs them together: as one transaction, unless told otherwise; see `AsyncPipeline`."""
        return AsyncPipeline(
            self._store, self._database, self.encoder, self.response_callbacks, transaction, shard_hint
        )

    def pubsub(self, **kwargs: Any) -> AsyncPubSub:
        """Something that subscribes to channels and receives their messages; see `AsyncPubSub`."""
        return AsyncPubSub(self._store, kwargs.pop("encoder", None) or self.encoder, **kwargs)

    async def transaction(
        self,
        func: Callable[[AsyncPipeline], Any | Awaitable[Any]],
        *watches: Any,
        shard_hint: str | None = None,
        value_from_callable: bool = False,
        watch_delay: float | None = None,
    ) -> Any:
        """Calls `func(pipeline)` with `watches` watched, executes, and starts again when one of them has changed.

        func may return an awaitable.  watch_delay: seconds to wait before it starts again.  value_from_callable:
        returns what `func` returned, instead of the list of results.
        """
        async with self.pipeline(True, shard_hint) as pipe:
            while True:
                try:
                    if watches:
                        await pipe.watch(*watches)
                    value = func(pipe)
                    if isinstance(value, Awaitable):
                        value = await value
                    results = await pipe.execute()
                    return value if value_from_callable else results
                except WatchError:
                    if watch_delay is not None and watch_delay > 0:
                        await asyncio.sleep(watch_delay)

    # ---- iterators, a step of SCAN at a time

    async def scan_iter(
        self, match: Any = None, count: int | None = None, _type: str | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Iterates over the keys; a key may come twice."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = await self.scan(cursor=cursor, match=match, count=count, _type=_type, **kwargs)
            for key in data:
                yield key

    async def sscan_iter(self, name: Any, match: Any = None, count: int | None = None) -> AsyncIterator[Any]:
        """Iterates over the members of a set of any size."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = await self.sscan(name, cursor=cursor, match=match, count=count)
            for member in data:
                yield member

    async def hscan_iter(
        self, name: Any, match: Any = None, count: int | None = None, no_values: bool | None = None
    ) -> AsyncIterator[Any]:
        """Iterates over (field, value) of a hash of any size."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = await self.hscan(name, cursor=cursor, match=match, count=count, no_values=no_values)
            for item in data if no_values else data.items():
                yield item

    async def zscan_iter(
        self, name: Any, match: Any = None, count: int | None = None, score_cast_func: Any = float
    ) -> AsyncIterator[Any]:
        """Iterates over (member, score) of a sorted set of any size."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = await self.zscan(name, cursor, match, count, score_cast_func)
            for pair in data:
                yield pair


class AsyncStore(AsyncHandle):
    """Made by `Store.aio`, for the store's own database 0.  It keeps the store open."""

    def __repr__(self) -> str:
        return f"<libkv.Store.aio at {id(self._store):#x}>"


class AsyncClient(AsyncHandle):
    """A handle with a session of its own.  `aclose`, `async with` or dropping it ends the session."""

    _shared = False

    def __init__(self, store: StoreCore, database: int, encoder: Encoder, callbacks: dict[str, Shape]) -> None:
        super().__init__(store, database, encoder, callbacks)
        self._session: Session = store.new_session(database, protocol=3, shared=self._shared)

    async def aclose(self) -> None:
        """Ends the session; the store goes on.  Calls after that raise StoreClosed."""
        self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<libkv.{type(self).__name__} of database {self._database}>"


class AsyncDatabase(AsyncClient):
    """A view of one database of a store, for any number of tasks."""

    _shared = True


class AsyncPipeline(Pipeline):
    """`Pipeline` for asyncio: queueing returns the pipeline; `execute`, `watch`, `unwatch`, and commands while it
    watches, are awaited.  Also an asynchronous context manager."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.reset()

    async def watch(self, *names: Any) -> bool:  # type: ignore[override]
        """Has `execute` fail with WatchError if one of these keys changes before; commands now run at once."""
        self._check_watch()
        return bool(await self.execute_command("WATCH", *names))

    async def unwatch(self) -> bool:  # type: ignore[override]
        """Watches nothing any more, and goes back to queueing."""
        if self.watching:
            await self.execute_command("UNWATCH")
        return True

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Runs a command at once, whatever the state."""
        reply = await run(self._store, self.encoder.encode_command(args), self._own_session())
        return self._shape(args[0], reply, options)

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # type: ignore[override]
        """Runs what is queued and returns one result for each command; as `Pipeline.execute`."""
        stack = self.command_stack
        if not stack and not self.watching:
            return []
        try:
            words, results_of = self._plan(stack)
            session = self._own_session()
            for script in self.scripts:
                await run(self._store, (b"SCRIPT", b"LOAD", self.encoder.encode(script.script)), session)
            replies = [await run(self._store, command, session) for command in words]
            return results_of(stack, self._checked(replies), raise_on_error)
        finally:
            self.reset()

    async def aclose(self) -> None:
        """The same as `reset`."""
        self.reset()
