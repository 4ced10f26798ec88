"""What a store, a view of one of its databases, and a client have in common: commands run, replies shaped."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from libkv.api.commands import Commands
from libkv.api.lock import Lock, Locking
from libkv.api.pipeline import Pipeline
from libkv.api.pubsub import Monitor, PubSub
from libkv.api.replies import Shape, shape_reply
from libkv.api.session import changes_session, check_listening
from libkv.encode import Encoder
from libkv.errors import DataError, WatchError

if TYPE_CHECKING:
    from libkv.session import Session
    from libkv.store import StoreCore


class StoreHandle(Locking, Commands):
    """A way to call a store, with an encoding and a database of its own.  Safe to use from any thread."""

    encoder: Encoder
    response_callbacks: dict[str, Shape]  # command name -> what shapes its reply
    _lock_kind = Lock
    _shared = True  # whether several callers may use its session at the same time

    if TYPE_CHECKING:  # what a handle must have

        def _core(self) -> StoreCore:
            """The store itself."""

        def _run(self, words: tuple[bytes, ...]) -> Any:
            """Runs one command in this handle's session; its reply as it comes."""

    @property
    def database(self) -> int:
        """The number of the database this handle was made for."""
        return 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Runs any command, given as words, and returns its reply as the method of that command would.

        A name of two words is one argument (``"CONFIG GET"``).  `options` go to the function that shapes the reply.
        """
        packed = self.encoder.encode_command(args)
        if self._shared and changes_session(packed):
            raise DataError(
                f"{args[0]!r} changes a session, and this handle shares one between all its callers: "
                "use store.client(), store.db(n) or store.pipeline()"
            )
        check_listening(packed)
        return shape_reply(self.response_callbacks, self.encoder, args[0], self._run(packed), options)

    def set_response_callback(self, command: str, callback: Shape) -> None:
        """Has `callback` shape the replies to `command` from now on, on this handle and the pipelines it makes."""
        self.response_callbacks = {**self.response_callbacks, command.upper(): callback}

    def get_encoder(self) -> Encoder:
        """How this handle encodes and decodes."""
        return self.encoder

    def db(self, index: int) -> Database:
        """A view of another database of the same store; ResponseError if there is no such database."""
        return Database(self._core(), index, self.encoder, self.response_callbacks)

    def client(self) -> Client:
        """A handle with a session of its own, as `redis.Redis.client` gives one with a connection of its own."""
        return Client(self._core(), self.database, self.encoder, self.response_callbacks)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Collects commands and runs them together: as one transaction, unless told otherwise; see `Pipeline`."""
        return Pipeline(self._core(), self.database, self.encoder, self.response_callbacks, transaction, shard_hint)

    def pubsub(self, **kwargs: Any) -> PubSub:
        """Something that subscribes to channels and receives their messages; see `PubSub` for the arguments."""
        return PubSub(self._core(), kwargs.pop("encoder", None) or self.encoder, **kwargs)

    def monitor(self) -> Monitor:
        """Every command that is run on the store, as it is run; see `Monitor`."""
        return Monitor(self._core())

    def keyspace_notifications(
        self, key_prefix: str | bytes | None = None, ignore_subscribe_messages: bool = True
    ) -> Any:
        """redis-py's `KeyspaceNotifications` on this store; needs redis-py, and the setting notify-keyspace-events.

        key_prefix: only keys that begin with it are told, without it.
        """
        from redis.keyspace_notifications import KeyspaceNotifications

        client: Any = self
        return KeyspaceNotifications(client, key_prefix, ignore_subscribe_messages)

    def transaction(self, func: Callable[[Pipeline], Any], *watches: Any, **kwargs: Any) -> Any:
        """Calls `func(pipeline)` with `watches` watched, executes, and starts again when one of them has changed.

        watch_delay: seconds to wait before that.  value_from_callable: returns what `func` returned, instead of the
        list of results.
        """
        shard_hint = kwargs.pop("shard_hint", None)
        from_callable = kwargs.pop("value_from_callable", False)
        delay = kwargs.pop("watch_delay", None)
        with self.pipeline(True, shard_hint) as pipe:
            while True:
                try:
                    if watches:
                        pipe.watch(*watches)
                    value = func(pipe)
                    results = pipe.execute()
                    return value if from_callable else results
                except WatchError:
                    if delay is not None and delay > 0:
                        time.sleep(delay)

    def watch(self, *names: Any) -> None:
        """Does nothing but warn: a pipeline or a client can watch."""
        warnings.warn(DeprecationWarning("Call WATCH from a Pipeline object"), stacklevel=2)

    def unwatch(self) -> None:
        """Does nothing but warn, as `watch`."""
        warnings.warn(DeprecationWarning("Call UNWATCH from a Pipeline object"), stacklevel=2)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"a {type(self).__name__} can't be pickled or copied: its data live in this process; "
            "another process reaches them through libkv.Server and redis-py"
        )


class Client(StoreHandle):
    """A handle with a session of its own: its database, its name, its MULTI and WATCH belong to it alone.

    It keeps the store open.  `close`, `with` or dropping it ends the session.
    """

    _shared = False

    def __init__(self, store: StoreCore, database: int, encoder: Encoder, callbacks: dict[str, Shape]) -> None:
        self._store = store
        self._database = database
        self.encoder = encoder
        self.response_callbacks = callbacks
        self._session: Session = store.new_session(database, protocol=3, shared=self._shared)

    def _core(self) -> StoreCore:
        return self._store

    def _run(self, words: tuple[bytes, ...]) -> Any:
        return self._store.execute(words, self._session)

    @property
    def database(self) -> int:
        return self._database

    def quit(self, **kwargs: Any) -> bool:
        """Ends the session, as `close` does.  Redis: QUIT."""
        done = super().quit(**kwargs)
        self.close()
        return done

    def close(self) -> None:
        """Ends the session; the store goes on.  Calls after that raise StoreClosed."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libkv.{type(self).__name__} of database {self._database}>"


class Database(Client):
    """A view of one database of a store; shared between threads like the store itself."""

    _shared = True
