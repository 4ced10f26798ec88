"""`libkv.Store`: a store in this process, with redis-py's methods."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

import libkv.commands  # noqa: F401  (binds every command, before the first store is made)
from libkv.api.aio import AsyncStore
from libkv.api.handle import StoreHandle
from libkv.api.replies import SHAPES, Shape
from libkv.api.session import HELLO3
from libkv.encode import Encoder
from libkv.store import StoreCore


class Store(StoreCore, StoreHandle):
    """An in-memory store of Redis data structures, with the methods of `redis.Redis`.

    databases: how many there are; this handle works on number 0, `db(n)` gives a view of another.
    seed: of the store's random numbers (SPOP, RANDOMKEY, ...) and hashes, for runs that can be repeated; None: from
    the system.
    decode_responses: every string in a reply is a str, by `encoding` and `encoding_errors`, else bytes.
    config: settings as in redis.conf, with "_" for "-" in their names (``maxmemory="100mb"``).  The users of an
    `aclfile` are read at once; ValueError says what is wrong in it.

    A store may be called from any thread.  It closes at the end of a `with` block, by `close`, or when the last
    reference is dropped (clients, views, pipelines and servers hold one too).  After that every call raises
    StoreClosed.  In the child of a fork a memory store is a private copy.
    """

    _keeps_files: ClassVar[bool] = False

    def __init__(
        self,
        databases: int = 16,
        seed: int | None = None,
        *,
        decode_responses: bool = False,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
        **config: Any,
    ) -> None:
        self.encoder = Encoder(encoding, encoding_errors, decode_responses)
        self.response_callbacks = SHAPES
        self.set_encoding(encoding.lower() in ("utf-8", "utf8") and encoding_errors == "strict", decode_responses)
        self.execute(HELLO3)
        if config.get("aclfile"):
            error = self.execute((b"ACL", b"LOAD"))
            if isinstance(error, Exception):
                self.close()
                raise ValueError(f"setting aclfile={config['aclfile']!r}: {error}")

    def __new__(
        cls,
        databases: int = 16,
        seed: int | None = None,
        *,
        decode_responses: bool = False,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
        **config: Any,
    ) -> Self:
        for name, value in (("databases", databases), ("seed", 0 if seed is None else seed)):
            if not hasattr(value, "__index__"):
                raise TypeError(f"{name} is {value!r}, and must be a whole number (libkv.open(directory) keeps files)")
        if not cls._keeps_files:
            for name in ("appendonly", "save"):
                if config.get(name) not in (None, False, "no", b"no", "", b""):
                    raise ValueError(
                        f"setting {name}={config[name]!r}: a Store is in memory only; libkv.open(directory) keeps files"
                    )
        return super().__new__(cls, databases, seed, **config)  # it keeps what is not about strings

    _set_with_options = StoreHandle.set  # what the compiled set() does not do itself

    def set_response_callback(self, command: str, callback: Shape) -> None:
        """Has `callback` shape the replies to `command` from now on, on this handle and what it makes."""
        super().set_response_callback(command, callback)
        if (name := command.lower()) in ("get", "set"):  # the compiled methods don't look at callbacks
            setattr(self, name, partial(getattr(StoreHandle, name), self))

    @property
    def aio(self) -> AsyncStore:
        """The same store for asyncio: every method returns an awaitable, and those that wait let the loop go on."""
        return AsyncStore(self, self.database, self.encoder, self.response_callbacks)

    def _core(self) -> StoreCore:
        return self

    def _run(self, words: tuple[bytes, ...]) -> Any:
        return self.execute(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libkv.Store at {id(self):#x}{', closed' if self.closed else ''}>"
