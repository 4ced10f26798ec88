"""Calls of a store in the process, beside a dict, redis-py over a unix socket, and fakeredis.

Run by `python -m benchmarks embedded`, or alone: pytest benchmarks/kv/test_embedded.py.  Each benchmark makes CALLS
calls over as many keys; redis-py and fakeredis make fewer, being slower.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest
import redis

import libkv
from benchmarks.kv.subjects import REDIS, Subject

CALLS = 1000
SLOW_CALLS = 50
MANY = 1_000_000
VALUE = b"x" * 16

KEYS_BYTES = [b"key:%012d" % i for i in range(CALLS)]
KEYS_STR = [k.decode() for k in KEYS_BYTES]

#: name -> what is called with a client and a key
OPERATIONS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "get": lambda c: c.get,
    "set": lambda c: lambda k, f=c.set: f(k, VALUE),
    "exists": lambda c: c.exists,
    "incr": lambda c: lambda k, f=c.incr: f("counter"),
    "hset": lambda c: lambda k, f=c.hset: f("hash", k, VALUE),
    "hget": lambda c: lambda k, f=c.hget: f("hash", k),
    "hgetall of 10": lambda c: lambda k, f=c.hgetall: f("ten"),
    "lpush": lambda c: lambda k, f=c.lpush: f("list", VALUE),
    "lpop": lambda c: lambda k, f=c.lpop: f("list"),
    "sadd": lambda c: lambda k, f=c.sadd: f("set", k),
    "zadd": lambda c: lambda k, f=c.zadd: f("zset", {k: 1}),
    "expire": lambda c: lambda k, f=c.expire: f(k, 1000),
    "delete": lambda c: c.delete,
}


def drain(f: Callable[[Any], Any], keys: list[Any]) -> None:
    for k in keys:
        f(k)


def prepare(client: Any) -> None:
    client.flushall()
    for k in KEYS_BYTES:
        client.set(k, VALUE)
    client.hset("ten", mapping={f"field:{i}": "v" * 10 for i in range(10)})
    client.rpush("list", *(["x" * 16] * 20_000))


@pytest.fixture(scope="module")
def store() -> Iterator[libkv.Store]:
    with libkv.Store() as s:
        prepare(s)
        yield s


@pytest.fixture(scope="module")
def wire() -> Iterator[redis.Redis]:
    with Subject(REDIS, cpu=1) as server:
        client = redis.Redis(unix_socket_path=server.path)
        prepare(client)
        yield client
        client.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[redis.Redis]:
    client = fakeredis.FakeRedis()
    prepare(client)
    yield client


@pytest.mark.parametrize("kind", ["bytes", "str"])
def test_dict(benchmark: Any, kind: str) -> None:
    """The measure of all others: a look-up in a dict of these keys, by the same loop."""
    keys = KEYS_BYTES if kind == "bytes" else KEYS_STR
    d = dict.fromkeys(keys, VALUE)
    benchmark.extra_info.update(operation=f"dict[{kind}]", subject="dict", calls=CALLS)

    def look_up() -> None:
        for k in keys:
            d[k]

    benchmark.pedantic(look_up, rounds=200, warmup_rounds=5)


@pytest.mark.parametrize("kind", ["bytes", "str"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_store(benchmark: Any, store: libkv.Store, operation: str, kind: str) -> None:
    keys = KEYS_BYTES if kind == "bytes" else KEYS_STR
    f = OPERATIONS[operation](store)
    benchmark.extra_info.update(operation=operation, keys=kind, subject="store", calls=CALLS)
    if operation in ("get", "set"):
        direct(benchmark, store, operation, keys)
    elif operation == "delete":
        benchmark.pedantic(drain, setup=lambda: refill(store, f, keys), rounds=20)
        prepare(store)
    else:
        benchmark.pedantic(drain, args=(f, keys), rounds=20, warmup_rounds=2)


def refill(client: Any, f: Callable[[Any], Any], keys: list[Any]) -> tuple[tuple[Any, Any], dict[str, Any]]:
    for k in keys:
        client.set(k, VALUE)
    return (f, keys), {}


def direct(benchmark: Any, store: libkv.Store, operation: str, keys: list[Any]) -> None:
    """get and set as written in a program: no wrapper between the loop and the method, as in test_dict."""
    get, put = store.get, store.set

    def gets() -> None:
        for k in keys:
            get(k)

    def sets() -> None:
        for k in keys:
            put(k, VALUE)

    benchmark.pedantic(gets if operation == "get" else sets, rounds=200, warmup_rounds=5)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("subject", ["redis-py", "fakeredis"])
def test_others(benchmark: Any, request: pytest.FixtureRequest, subject: str, operation: str) -> None:
    client = request.getfixturevalue("wire" if subject == "redis-py" else "fake")
    keys = KEYS_BYTES[:SLOW_CALLS]
    f = OPERATIONS[operation](client)
    benchmark.extra_info.update(operation=operation, keys="bytes", subject=subject, calls=SLOW_CALLS)
    if operation == "delete":
        benchmark.pedantic(drain, setup=lambda: refill(client, f, keys), rounds=8)
    else:
        benchmark.pedantic(drain, args=(f, keys), rounds=8, warmup_rounds=1)


@pytest.fixture(scope="module")
def shuffled() -> list[bytes]:
    keys = [b"key:%012d" % i for i in range(MANY)]
    random.Random(1).shuffle(keys)
    return keys


@pytest.mark.parametrize("subject", ["dict", "store"])
def test_random_of_a_million(benchmark: Any, shuffled: list[bytes], subject: str) -> None:
    """Cache misses and all: one get after another of 1M keys at random.  The key objects are misses of their own."""
    benchmark.extra_info.update(operation="get of 1M", keys="bytes", subject=subject, calls=20_000)
    if subject == "dict":
        d = dict.fromkeys(sorted(shuffled), VALUE)
        get: Callable[[bytes], Any] = d.__getitem__
        close = d.clear
    else:
        s = libkv.Store()
        for k in sorted(shuffled):
            s.set(k, VALUE)
        get, close = s.get, s.close
    parts = itertools.cycle([shuffled[i : i + 20_000] for i in range(0, MANY, 20_000)])

    def gets(keys: list[bytes]) -> None:
        for k in keys:
            get(k)

    benchmark.pedantic(gets, setup=lambda: ((next(parts),), {}), rounds=50)
    close()
