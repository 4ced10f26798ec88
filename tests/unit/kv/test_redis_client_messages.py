"""redis-py's own PubSub, Monitor and client-side cache on a session of the process, synchronous and asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

redis = pytest.importorskip("redis", reason="missing redis-py")

from redis.cache import CacheConfig  # noqa: E402

import libkv  # noqa: E402

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


@pytest.fixture
def store() -> Any:
    with libkv.Store() as store:
        yield store
        store.check()


@PROTOCOLS
def test_pubsub(store: libkv.Store, protocol: int) -> None:
    client = libkv.redis_client(store, protocol=protocol)
    p = client.pubsub(ignore_subscribe_messages=True)
    p.subscribe("a")
    p.psubscribe("a*")
    for _ in range(2):
        assert p.get_message(timeout=0.1) is None
    threading.Timer(0.05, store.publish, ("a", "late")).start()
    assert p.get_message(timeout=10)["data"] == b"late"
    assert p.get_message(timeout=10)["type"] == "pmessage"
    assert client.publish("a", "1") == 2
    assert p.get_message(timeout=10) == {"type": "message", "pattern": None, "channel": b"a", "data": b"1"}
    p.close()
    client.close()


@PROTOCOLS
def test_worker_thread(store: libkv.Store, protocol: int) -> None:
    client = libkv.redis_client(store, protocol=protocol)
    got: list[bytes] = []
    here = threading.Event()
    p = client.pubsub()
    p.subscribe(c=lambda message: (got.append(message["data"]), here.set()))
    worker = p.run_in_thread(sleep_time=0.05, daemon=True)
    for _ in range(500):
        if store.publish("c", "x"):
            break
        time.sleep(0.01)
    assert here.wait(10)
    worker.stop()
    worker.join(10)
    assert got[0] == b"x"


@PROTOCOLS
def test_asyncio(store: libkv.Store, protocol: int) -> None:
    async def program() -> None:
        client = libkv.aio_redis_client(store, protocol=protocol)
        async with client.pubsub(ignore_subscribe_messages=True) as p:
            await p.subscribe("a")
            assert await p.get_message(timeout=0.1) is None
            threading.Timer(0.03, store.publish, ("a", "late")).start()
            message = None
            while message is None:
                message = await p.get_message(timeout=10)
            assert message["data"] == b"late"
        await client.aclose()

    asyncio.run(asyncio.wait_for(program(), 30))


def test_monitor(store: libkv.Store) -> None:
    client = libkv.redis_client(store)
    with client.monitor() as m:
        store.get("k")
        while (command := m.next_command())["command"] != "GET k":
            pass
        assert command["db"] == 0


def test_client_side_cache(store: libkv.Store) -> None:
    client = libkv.redis_client(store, protocol=3, cache_config=CacheConfig(max_size=100))
    store.set("k", "one")
    assert client.get("k") == b"one"
    calls = store.info("commandstats")["cmdstat_get"]["calls"]
    assert client.get("k") == b"one"
    assert store.info("commandstats")["cmdstat_get"]["calls"] == calls
    store.set("k", "two")
    assert client.get("k") == b"two"
    store.flushall()
    assert client.get("k") is None
    client.close()
