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

# Each operation is a loop as a program would have it, nothing between the loop and the method: test_dict's is alike.
# `name` makes a collection's key of the same type as the keys.

Name = Callable[[str], Any]


def get(c: Any, keys: list[Any], name: Name) -> None:
    f = c.get
    for k in keys:
        f(k)


def put(c: Any, keys: list[Any], name: Name) -> None:
    f = c.set
    for k in keys:
        f(k, VALUE)


def exists(c: Any, keys: list[Any], name: Name) -> None:
    f = c.exists
    for k in keys:
        f(k)


def incr(c: Any, keys: list[Any], name: Name) -> None:
    f, counter = c.incr, name("counter")
    for _ in keys:
        f(counter)


def hset(c: Any, keys: list[Any], name: Name) -> None:
    f, h = c.hset, name("hash")
    for k in keys:
        f(h, k, VALUE)


def hget(c: Any, keys: list[Any], name: Name) -> None:
    f, h = c.hget, name("hash")
    for k in keys:
        f(h, k)


def hgetall(c: Any, keys: list[Any], name: Name) -> None:
    f, h = c.hgetall, name("ten")
    for _ in keys:
        f(h)


def lpush(c: Any, keys: list[Any], name: Name) -> None:
    f, x = c.lpush, name("list")
    for _ in keys:
        f(x, VALUE)


def lpop(c: Any, keys: list[Any], name: Name) -> None:
    f, x = c.lpop, name("list")
    for _ in keys:
        f(x)


def sadd(c: Any, keys: list[Any], name: Name) -> None:
    f, s = c.sadd, name("set")
    for k in keys:
        f(s, k)


def zadd(c: Any, keys: list[Any], name: Name) -> None:
    f, z = c.zadd, name("zset")
    for k in keys:
        f(z, {k: 1})


def expire(c: Any, keys: list[Any], name: Name) -> None:
    f = c.expire
    for k in keys:
        f(k, 1000)


def delete(c: Any, keys: list[Any], name: Name) -> None:
    f = c.delete
    for k in keys:
        f(k)


OPERATIONS = {
    "get": get,
    "set": put,
    "exists": exists,
    "incr": incr,
    "hset": hset,
    "hget": hget,
    "hgetall of 10": hgetall,
    "lpush": lpush,
    "lpop": lpop,
    "sadd": sadd,
    "zadd": zadd,
    "expire": expire,
    "delete": delete,
}


def prepare(client: Any) -> None:
    client.flushall()
    for k in KEYS_BYTES:
        client.set(k, VALUE)
    client.hset("ten", mapping={f"field:{i}": "v" * 10 for i in range(10)})
    client.rpush("list", *(["x" * 16] * 1000))


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


def measure(benchmark: Any, client: Any, operation: str, kind: str, subject: str, calls: int, rounds: int) -> None:
    keys = KEYS_BYTES[:calls] if kind == "bytes" else KEYS_STR[:calls]
    name: Name = str.encode if kind == "bytes" else str
    run = OPERATIONS[operation]
    benchmark.extra_info.update(operation=operation, keys=kind, subject=subject, calls=calls)

    def refill() -> tuple[tuple[Any, list[Any], Name], dict[str, Any]]:
        put(client, keys, name)
        return (client, keys, name), {}

    if operation == "delete":
        benchmark.pedantic(run, setup=refill, rounds=rounds)
        prepare(client)
    else:
        benchmark.pedantic(run, args=(client, keys, name), rounds=rounds, warmup_rounds=2)


@pytest.mark.parametrize("kind", ["bytes", "str"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_store(benchmark: Any, store: libkv.Store, operation: str, kind: str) -> None:
    rounds = 200 if operation in ("get", "set") else 50
    if operation == "lpop":
        store.rpush("list", *(["x" * 16] * 60_000))
    measure(benchmark, store, operation, kind, "store", CALLS, rounds)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("subject", ["redis-py", "fakeredis"])
def test_others(benchmark: Any, request: pytest.FixtureRequest, subject: str, operation: str) -> None:
    client = request.getfixturevalue("wire" if subject == "redis-py" else "fake")
    measure(benchmark, client, operation, "bytes", subject, SLOW_CALLS, 8)


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
        look_up: Callable[[bytes], Any] = d.__getitem__
        close = d.clear
    else:
        s = libkv.Store()
        for k in sorted(shuffled):
            s.set(k, VALUE)
        look_up, close = s.get, s.close
    parts = itertools.cycle([shuffled[i : i + 20_000] for i in range(0, MANY, 20_000)])

    def gets(keys: list[bytes]) -> None:
        for k in keys:
            look_up(k)

    benchmark.pedantic(gets, setup=lambda: ((next(parts),), {}), rounds=50)
    close()
