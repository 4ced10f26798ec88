"""`store.aio.pubsub()`: redis-py's asyncio PubSub on a session of the store.

A subscriber is a session whose eventfd the loop watches while somebody waits; publishing wakes it from any thread.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Self

from libkv.api.pubsub import Handler, Message, Subscriber, handlers_of
from libkv.errors import StoreClosed

if TYPE_CHECKING:
    from libkv.session import Session


TICK_S = 0.1


class AsyncPubSub(Subscriber):
    """Subscriptions, and the messages that come for them.  An asynchronous context manager, for one event loop."""

    _wake: Callable[[], None] | None = None  # ends the wait of a task
    _closings = 0  # how often it was reset: a wait from before is over

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends all subscriptions; a task that waits for a message gets None."""
        session, self._session = self._session, None
        self._closings += 1
        self._forget()
        if self._wake is not None:
            self._wake()
        if session is not None:
            session.close()

    async def reset(self) -> None:
        """The same as `aclose`."""
        await self.aclose()

    async def close(self) -> None:
        """The same as `aclose`."""
        await self.aclose()

    @property
    def subscribed(self) -> bool:
        """Whether it listens to anything."""
        return bool(self.channels or self.patterns or self.shard_channels)

    async def connect(self) -> None:
        """Makes its session, which the first command does too."""
        self._open()

    async def execute_command(self, *args: Any) -> None:
        """Sends a command of subscribers; what it answers comes as a message."""
        self._send(*args)

    async def subscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Listens to channels; those given as keywords have their messages passed to that function (or coroutine)."""
        self._subscribe("", args, kwargs)

    async def psubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Listens to all channels whose names match patterns; with handlers as `subscribe`."""
        self._subscribe("p", args, kwargs)

    async def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Handler) -> None:
        """Listens to shard channels; with handlers as `subscribe`."""
        self._subscribe("s", args, kwargs)

    def _subscribe(self, letter: str, args: tuple[Any, ...], kwargs: dict[str, Handler]) -> None:
        new = handlers_of(args, kwargs)
        self._send(letter.upper() + "SUBSCRIBE", *new)
        self._subscribed_to(letter, new)

    async def unsubscribe(self, *args: Any) -> None:
        """Leaves these channels, or all."""
        self._send("UNSUBSCRIBE", *self._leaving("", args))

    async def punsubscribe(self, *args: Any) -> None:
        """Leaves these patterns, or all."""
        self._send("PUNSUBSCRIBE", *self._leaving("p", args))

    async def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """Leaves these shard channels, or all."""
        self._send("SUNSUBSCRIBE", *self._leaving("s", args))

    async def ping(self, message: Any = None) -> None:
        """Asks for a message of type "pong"."""
        self._send("PING", *([] if message is None else [message]))

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        """The next message as it came (a list); None: none came within `timeout` seconds (with `block`: for ever)."""
        if self._session is None:
            raise RuntimeError("pubsub connection not set: did you forget to call subscribe() or psubscribe()?")
        closings = self._closings
        deadline = None if block else asyncio.get_running_loop().time() + timeout
        while not self._received and self._closings == closings:
            session = self._session
            self._received.extend(self._come(session))
            if self._received:
                break
            remaining = None if deadline is None else deadline - asyncio.get_running_loop().time()
            if remaining is not None and remaining <= 0:
                return None
            if session.ticks:  # an idle store expires its keys when somebody looks
                remaining = TICK_S if remaining is None else min(TICK_S, remaining)
            await self._wait(session, remaining)
        return self._next()

    def _come(self, session: Session) -> list[Any]:
        """What has come; ConnectionError when the session was ended, after making a new one."""
        try:
            found = session.receive(0)
        except StoreClosed:
            if self._store.closed:
                raise
            found = []
        if not found and session.closed and self._session is session:
            if self._store.closed:
                raise StoreClosed("the store is closed")
            self._open()
            raise self._lost()
        return found

    async def _wait(self, session: Session, timeout: float | None) -> None:
        """Until something may have come for the session."""
        loop = asyncio.get_running_loop()
        here: asyncio.Future[None] = loop.create_future()
        fd = session.fileno()

        def wake() -> None:
            self._wake = None
            if not loop.is_closed():
                loop.remove_reader(fd)
            if not here.done():
                here.set_result(None)

        loop.add_reader(fd, wake)
        self._wake = wake  # aclose() calls it while the descriptor is still this session's
        try:
            await asyncio.wait([here], timeout=timeout)
        finally:
            if not here.done():
                wake()

    async def get_message(self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0) -> Message | None:
        """The next message: a dict of type, pattern, channel and data; waits up to `timeout` seconds (None: for ever).

        None: there was none, or a handler got it.
        """
        response = await self.parse_response(block=timeout is None, timeout=timeout or 0)
        return await self.handle_message(response, ignore_subscribe_messages) if response else None

    async def handle_message(self, response: Any, ignore_subscribe_messages: bool = False) -> Message | None:
        """What `get_message` makes of a message as it came; a handler's coroutine is awaited."""
        if response is None:
            return None
        message, handler = self._message_of(response)
        if handler is not None:
            outcome = handler(message)
            if inspect.isawaitable(outcome):
                await outcome
            return None
        return None if self._ignored(message, ignore_subscribe_messages) else message

    async def listen(self) -> AsyncIterator[Message]:
        """Yields messages as they come, until nothing is subscribed to any more."""
        while self.subscribed:
            message = await self.get_message(timeout=None)
            if message is not None:
                yield message

    async def run(
        self,
        *,
        exception_handler: Callable[[BaseException, AsyncPubSub], Any] | None = None,
        poll_timeout: float = 1.0,
        pubsub: Any = None,
    ) -> None:
        """Gives messages to their handlers for ever, to be run as a task; every subscription needs a handler.

        exception_handler: called (or awaited) with what a handler raised and this object, instead of ending it.
        poll_timeout: seconds it waits for a message at a time.
        """
        self._without_handler()
        listener = self if pubsub is None else pubsub
        while True:
            try:
                await listener.get_message(ignore_subscribe_messages=True, timeout=poll_timeout)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if exception_handler is None:
                    raise
                outcome = exception_handler(error, listener)
                if inspect.isawaitable(outcome):
                    await outcome
            await asyncio.sleep(0)
