"""`store.pubsub()`: redis-py's PubSub on a session of the store.  Docs: https://redis.io/docs/latest/develop/interact/pubsub/

A subscriber costs a session, and a descriptor once it waits; no thread.  Waiting releases the GIL, and ends as soon as
somebody publishes: another thread, or a client of a server on the same store.

A subscriber that does not read is ended when its messages fill the hard limit of `client-output-buffer-limit` for
pubsub (32 MB): its next read raises ConnectionError, and it starts anew with its subscriptions.
"""

# mypy: no-warn-return-any

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from libkv.api.arguments import Handle, TextList, one_list
from libkv.api.replies import text
from libkv.encode import Encoder
from libkv.errors import ConnectionError, PubSubError, StoreClosed

if TYPE_CHECKING:
    from libkv.session import Session
    from libkv.store import StoreCore

Message = dict[str, Any]
Handler = Callable[[Message], Any]
OnError = Callable[[BaseException, "PubSub", "PubSubWorkerThread"], Any]

KINDS = {"": "channels", "p": "patterns", "s": "shard_channels"}  # the first letter of a confirmation -> attribute
CHECK_S = 1.0  # how often a worker thread looks whether it is to stop, at the latest


def request(words: tuple[bytes, ...]) -> bytes:
    """A command in RESP."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def handlers_of(args: tuple[Any, ...], named: dict[str, Handler]) -> dict[Any, Handler | None]:
    """Channels given as names, in lists, as redis-py's `Subscription`s, or as keywords with their handlers."""
    found: dict[Any, Handler | None] = {}
    for arg in one_list(args[0], args[1:]) if args else []:
        found[getattr(arg, "name", arg)] = getattr(arg, "handler", None)
    return {**found, **named}


class Subscriber:
    """What PubSub and its asyncio counterpart have in common: the subscriptions, and what a message means."""

    PUBLISH_MESSAGE_TYPES = ("message", "pmessage", "smessage")
    UNSUBSCRIBE_MESSAGE_TYPES = ("unsubscribe", "punsubscribe", "sunsubscribe")

    def __init__(
        self,
        store: StoreCore,
        encoder: Encoder,
        shard_hint: str | None = None,
        ignore_subscribe_messages: bool = False,
        push_handler_func: Callable[[Any], Any] | None = None,
    ) -> None:
        self._store = store
        self.encoder = encoder
        self.shard_hint = shard_hint
        self.ignore_subscribe_messages = ignore_subscribe_messages
        self.push_handler_func = push_handler_func
        self._session: Session | None = None
        self._received: deque[Any] = deque()
        self._forget()

    def _forget(self) -> None:
        self.channels: dict[Any, Handler | None] = {}
        self.patterns: dict[Any, Handler | None] = {}
        self.shard_channels: dict[Any, Handler | None] = {}
        self.pending_unsubscribe_channels: set[Any] = set()
        self.pending_unsubscribe_patterns: set[Any] = set()
        self.pending_unsubscribe_shard_channels: set[Any] = set()
        self._received.clear()

    @property
    def session_id(self) -> int:
        """The number of its session, for CLIENT TRACKING's REDIRECT; it has one from its first command on."""
        return int(self._store.execute((b"CLIENT", b"ID"), self._open()))

    def _normalized(self, names: dict[Any, Any]) -> dict[Any, Any]:
        """With the names as messages have them: bytes, or str when replies are decoded."""
        return {self.encoder.decode(self.encoder.encode(name)): value for name, value in names.items()}

    def _open(self) -> Session:
        """Its session; a new one, with the subscriptions there are, when the last was ended."""
        if self._session is None or self._session.closed:
            self._session = self._store.new_session(protocol=3)
            for letter, kind in KINDS.items():
                names = getattr(self, kind)
                if names:
                    self._send(letter.upper() + "SUBSCRIBE", *names)
        return self._session

    def _send(self, *words: Any) -> None:
        self._open().send(request(self.encoder.encode_command(words)))

    def _subscribed_to(self, letter: str, new: dict[Any, Handler | None]) -> None:
        names = self._normalized(new)
        getattr(self, KINDS[letter]).update(names)
        getattr(self, f"pending_unsubscribe_{KINDS[letter]}").difference_update(names)

    def _leaving(self, letter: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        names = one_list(args[0], args[1:]) if args else list(getattr(self, KINDS[letter]))
        getattr(self, f"pending_unsubscribe_{KINDS[letter]}").update(self._normalized(dict.fromkeys(names)))
        return tuple(names if args else ())

    def _next(self) -> Any:
        """What has come first; None: nothing."""
        reply = self._received.popleft() if self._received else None
        if isinstance(reply, Exception):
            raise reply
        if self.push_handler_func is not None and isinstance(reply, list):
            return self.push_handler_func(self.encoder.decode_reply(reply))
        return self.encoder.decode_reply(reply) if self.encoder.decode_responses else reply

    def _lost(self) -> ConnectionError:
        return ConnectionError(
            "the subscriber was ended (CLIENT KILL, or its unread messages exceeded client-output-buffer-limit): "
            "messages may be lost; it goes on with its subscriptions"
        )

    def _drop_unsubscribed(self, kind: str, name: Any) -> None:
        for letter, attribute in KINDS.items():
            pending = getattr(self, f"pending_unsubscribe_{attribute}")
            if kind == letter + "unsubscribe" and name in pending:
                pending.remove(name)
                getattr(self, attribute).pop(name, None)

    def _message_of(self, response: Any) -> tuple[Message, Handler | None]:
        """A message as a dict, and the handler that is to get it; subscriptions that ended are forgotten."""
        if isinstance(response, bytes | str):
            empty = b"" if isinstance(response, bytes) else ""
            response = ["pong", empty if text(response) == "PONG" else response]
        kind = text(response[0])
        message: Message = {"type": kind, "pattern": None, "channel": None, "data": response[-1]}
        handler = None
        if kind == "pmessage":
            message["pattern"], message["channel"] = response[1], response[2]
            handler = self.patterns.get(response[1])
        elif kind != "pong":
            message["channel"] = response[1] if len(response) > 2 else None
        if kind == "message":
            handler = self.channels.get(response[1])
        elif kind == "smessage":
            handler = self.shard_channels.get(response[1])
        elif kind in self.UNSUBSCRIBE_MESSAGE_TYPES:
            self._drop_unsubscribed(kind, response[1])
        return message, handler

    def _ignored(self, message: Message, ignore: bool) -> bool:
        told = (*self.PUBLISH_MESSAGE_TYPES, "pong", "invalidate")
        return message["type"] not in told and (ignore or self.ignore_subscribe_messages)

    def _without_handler(self) -> None:
        """PubSubError when a subscription has none."""
        for kind, names in (
            ("Channel", self.channels),
            ("Pattern", self.patterns),
            ("Shard Channel", self.shard_channels),
        ):
            for name, handler in names.items():
                if handler is None:
                    raise PubSubError(f"{kind}: '{name}' has no handler registered")


class PubSub(Subscriber):
    """Subscriptions, and the messages that come for them.  A context manager; threads may share it: one reads, any
    subscribe."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.subscribed_event = threading.Event()
        self._sending = threading.RLock()
        self._reading = threading.Lock()
        super().__init__(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.reset()

    def reset(self) -> None:
        """Ends all subscriptions; a thread that waits for a message gets None."""
        with self._sending:
            session, self._session = self._session, None
            if session is not None:
                session.close()
            self._forget()
            self.subscribed_event.clear()

    def close(self) -> None:
        """The same as `reset`."""
        self.reset()

    @property
    def subscribed(self) -> bool:
        """Whether it listens to anything."""
        return self.subscribed_event.is_set()

    def execute_command(self, *args: Any) -> None:
        """Sends a command of subscribers; what it answers comes as a message."""
        with self._sending:
            self._send(*args)

    def subscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Listens to channels; those given as keywords have their messages passed to that function."""
        self._subscribe("", args, kwargs)

    def psubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Listens to all channels whose names match patterns; with handlers as `subscribe`."""
        self._subscribe("p", args, kwargs)

    def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Handler) -> None:
        """Listens to shard channels; with handlers as `subscribe`."""
        self._subscribe("s", args, kwargs)

    def _subscribe(self, letter: str, args: tuple[Any, ...], kwargs: dict[str, Handler]) -> None:
        new = handlers_of(args, kwargs)
        with self._sending:
            self._send(letter.upper() + "SUBSCRIBE", *new)
            self._subscribed_to(letter, new)
            self.subscribed_event.set()

    def unsubscribe(self, *args: Any) -> None:
        """Leaves these channels, or all."""
        self._unsubscribe("", args)

    def punsubscribe(self, *args: Any) -> None:
        """Leaves these patterns, or all."""
        self._unsubscribe("p", args)

    def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """Leaves these shard channels, or all."""
        self._unsubscribe("s", args)

    def _unsubscribe(self, letter: str, args: tuple[Any, ...]) -> None:
        with self._sending:
            self._send(letter.upper() + "UNSUBSCRIBE", *self._leaving(letter, args))

    def ping(self, message: str | None = None) -> None:
        """Asks for a message of type "pong"."""
        self.execute_command("PING", *([] if message is None else [message]))

    def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        """The next message as it came (a list); None: none came within `timeout` seconds (with `block`: for ever)."""
        session = self._session
        if session is None:
            raise RuntimeError("pubsub connection not set: did you forget to call subscribe() or psubscribe()?")
        with self._reading:
            if not self._received:
                self._received.extend(self._received_by(session, None if block else timeout))
            return self._next()

    def _received_by(self, session: Session, timeout: float | None) -> list[Any]:
        try:
            found = session.receive(timeout)
        except StoreClosed:
            if self._session is not session:
                return []  # reset() meanwhile
            if self._store.closed:
                raise
            found = []
        if not found and session.closed and self._session is session:
            if self._store.closed:
                raise StoreClosed("the store is closed")
            with self._sending:
                if self._session is not session:
                    return []
                self._open()
            raise self._lost()
        return found

    def get_message(self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0) -> Message | None:
        """The next message: a dict of type, pattern, channel and data; waits up to `timeout` seconds (None: for ever).

        None: there was none, or a handler got it.
        """
        if not self.subscribed:
            began = time.monotonic()
            if not self.subscribed_event.wait(timeout):
                return None
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - began))
        try:
            response = self.parse_response(block=timeout is None, timeout=timeout or 0)
        except RuntimeError:
            if self.subscribed:
                raise
            return None  # reset() meanwhile
        return self.handle_message(response, ignore_subscribe_messages) if response else None

    get_sharded_message = get_message

    def handle_message(self, response: Any, ignore_subscribe_messages: bool = False) -> Message | None:
        """What `get_message` makes of a message as it came."""
        if response is None:
            return None
        message, handler = self._message_of(response)
        if not self.channels and not self.patterns and not self.shard_channels:
            self.subscribed_event.clear()
        if handler is not None:
            handler(message)
            return None
        return None if self._ignored(message, ignore_subscribe_messages) else message

    def listen(self) -> Iterator[Message]:
        """Yields messages as they come, until nothing is subscribed to any more."""
        while self.subscribed:
            message = self.get_message(timeout=None)
            if message is not None:
                yield message

    def run_in_thread(
        self,
        sleep_time: float = 0.0,
        daemon: bool = False,
        exception_handler: OnError | None = None,
        pubsub: Any = None,
        sharded_pubsub: bool = False,
    ) -> PubSubWorkerThread:
        """Starts a thread that gives messages to their handlers until its `stop()`; every subscription needs one.

        sleep_time: seconds it waits for a message at a time; 0: until one comes.  exception_handler: called with what a
        handler raised, this object and the thread, instead of ending the thread.
        """
        self._without_handler()
        listener = self if pubsub is None else pubsub
        thread = PubSubWorkerThread(listener, sleep_time, daemon, exception_handler, sharded_pubsub)
        thread.start()
        return thread


class PubSubWorkerThread(threading.Thread):
    """Made by `PubSub.run_in_thread`."""

    def __init__(
        self,
        pubsub: PubSub,
        sleep_time: float,
        daemon: bool = False,
        exception_handler: OnError | None = None,
        sharded_pubsub: bool = False,
    ) -> None:
        super().__init__(daemon=daemon)
        self.pubsub = pubsub
        self.sleep_time = sleep_time
        self.exception_handler = exception_handler
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self.pubsub.get_message(ignore_subscribe_messages=True, timeout=self.sleep_time or CHECK_S)
            except BaseException as error:
                if self.exception_handler is None:
                    raise
                self.exception_handler(error, self.pubsub, self)
        self.pubsub.close()

    def stop(self) -> None:
        """Has the thread end its subscriptions and itself, soon; `join()` waits for it."""
        self._ended.set()
        if threading.current_thread() is not self:
            self.pubsub.reset()


class Monitor:
    """`store.monitor()`: every command that anybody runs on the store, as it is run.  A context manager.

    Costs each command a line of text while it is open.
    """

    def __init__(self, store: StoreCore) -> None:
        self._store = store
        self._received: deque[Any] = deque()
        self._session: Session | None = None

    def __enter__(self) -> Self:
        self._session = self._store.new_session(protocol=3)
        self._session.send(request((b"MONITOR",)))
        self._received.extend(self._session.receive(0)[1:])  # but its own OK
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it; a thread that waits in `next_command` gets None."""
        if self._session is not None:
            self._session.close()

    def next_command(self) -> dict[str, Any] | None:
        """Waits for the next command: a dict of time (Unix, s), db, client_type, client_address, client_port, command.

        client_type: "tcp", "unix", "lua" (a script's), or "unknown": of this process.  None: it was closed.
        """
        session = self._session
        if session is None:
            raise RuntimeError("a monitor listens only within its with block")
        while not self._received:
            try:
                self._received.extend(session.receive())
            except StoreClosed:
                return None
            if not self._received and session.closed:
                return None
        return _command_of(text(self._received.popleft()))

    def listen(self) -> Iterator[dict[str, Any]]:
        """Yields commands as they are run."""
        while (command := self.next_command()) is not None:
            yield command


def _command_of(line: str) -> dict[str, Any]:
    """A line of MONITOR: 1339518083.107412 [0 127.0.0.1:60866] "keys" "*"."""
    when, _, rest = line.partition(" [")
    place, _, words = rest.partition("] ")
    db, _, who = place.partition(" ")
    kind, address, port = "unknown", "", ""
    if who == "lua":
        kind, address = "lua", "lua"
    elif who.startswith("unix"):
        kind, address, port = "unix", "unix", who[5:]
    elif who:
        kind = "tcp"
        address, _, port = who.rpartition(":")
    return {
        "time": float(when),
        "db": int(db),
        "client_address": address,
        "client_port": port,
        "client_type": kind,
        "command": " ".join(words[1:-1].split('" "')).replace('\\"', '"'),
    }


class PubSubCommands(Handle):
    """Channels.  Redis docs: https://redis.io/docs/latest/commands/?group=pubsub"""

    def publish(self, channel: Any, message: Any, **kwargs: Any) -> int:
        """Sends a message to those who listen to a channel; returns how many got it.  Redis: PUBLISH."""
        return self.execute_command("PUBLISH", channel, message, **kwargs)

    def spublish(self, shard_channel: Any, message: Any) -> int:
        """Sends a message to those who listen to a shard channel; returns how many got it.  Redis: SPUBLISH."""
        return self.execute_command("SPUBLISH", shard_channel, message)

    def pubsub_channels(self, pattern: Any = "*", **kwargs: Any) -> TextList:
        """The channels that somebody listens to, and that match a pattern.  Redis: PUBSUB CHANNELS."""
        return self.execute_command("PUBSUB CHANNELS", pattern, **kwargs)

    def pubsub_numpat(self, **kwargs: Any) -> int:
        """How many patterns somebody listens to.  Redis: PUBSUB NUMPAT."""
        return self.execute_command("PUBSUB NUMPAT", **kwargs)

    def pubsub_numsub(self, *args: Any, **kwargs: Any) -> list[tuple[Any, int]]:
        """(channel, how many listen to it) of each of these, patterns not counted.  Redis: PUBSUB NUMSUB."""
        return self.execute_command("PUBSUB NUMSUB", *args, **kwargs)

    def pubsub_shardchannels(self, pattern: Any = "*", **kwargs: Any) -> TextList:
        """The shard channels that somebody listens to, and that match a pattern.  Redis: PUBSUB SHARDCHANNELS."""
        return self.execute_command("PUBSUB SHARDCHANNELS", pattern, **kwargs)

    def pubsub_shardnumsub(self, *args: Any, **kwargs: Any) -> list[tuple[Any, int]]:
        """As `pubsub_numsub`, of shard channels.  Redis: PUBSUB SHARDNUMSUB."""
        return self.execute_command("PUBSUB SHARDNUMSUB", *args, **kwargs)
