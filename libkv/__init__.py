"""libkv: a compiled Redis-compatible data-structure store, in process or on the wire.

    import libkv

    store = libkv.Store()
    store.set("greeting", "hello", ex=60)
    store.get("greeting")                       # b'hello'

    with libkv.Server(store, port=6379):        # the same data for redis-cli, redis-py and everybody else
        ...

What is named below is imported at its first use, so that pytest, which loads this package's plugin in every run,
doesn't load the store with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from libkv import errors

if TYPE_CHECKING:
    from libkv.api.directory import DirectoryStore as DirectoryStore
    from libkv.api.directory import open as open
    from libkv.api.handle import Client as Client
    from libkv.api.handle import Database as Database
    from libkv.api.pipeline import Pipeline as Pipeline
    from libkv.api.store import Store as Store
    from libkv.client import aio_redis_client as aio_redis_client
    from libkv.client import redis_client as redis_client
    from libkv.server import Server as Server

__version__ = "0.1.0"

_HOME = {
    "Client": "libkv.api.handle",
    "Database": "libkv.api.handle",
    "DirectoryStore": "libkv.api.directory",
    "Pipeline": "libkv.api.pipeline",
    "Server": "libkv.server",
    "Store": "libkv.api.store",
    "aio_redis_client": "libkv.client",
    "open": "libkv.api.directory",
    "redis_client": "libkv.client",
}

__all__ = ["__version__", "errors", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'libkv' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
