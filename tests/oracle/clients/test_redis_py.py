"""redis-py: its own ways on a connection, synchronous and asyncio, RESP2 and RESP3."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from redis.retry import Retry

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


@PROTOCOLS
def test_transactions_are_tried_until_nobody_is_in_between(port: int, protocol: int) -> None:
    client = redis.Redis(port=port, protocol=protocol)
    other = redis.Redis(port=port)
    tries = []

    def raise_by_one(pipe: redis.client.Pipeline) -> None:
        value = int(pipe.get("n") or 0)
        tries.append(value)
        if len(tries) == 1:
            other.set("n", 10)
        pipe.multi()
        pipe.set("n", value + 1)
        pipe.get("n")

    assert client.transaction(raise_by_one, "n") == [True, b"11"]
    assert tries == [0, 10]


@PROTOCOLS
def test_a_blocked_client_is_served_in_order(port: int, protocol: int) -> None:
    got: list[tuple[int, bytes]] = []

    def wait(number: int) -> None:
        answer = redis.Redis(port=port, protocol=protocol).blpop(["a", "b"], timeout=5)
        got.append((number, answer[1]))

    client = redis.Redis(port=port)
    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        for _ in range(500):
            if client.info("clients")["blocked_clients"] == number + 1:
                break
            time.sleep(0.01)
    client.rpush("b", "x", "y", "z")
    for t in threads:
        t.join()
    assert sorted(got) == [(0, b"x"), (1, b"y"), (2, b"z")]


@PROTOCOLS
def test_messages_of_channels_and_patterns(port: int, protocol: int) -> None:
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    pubsub = client.pubsub()
    pubsub.subscribe("news", "sport")
    pubsub.psubscribe("n*")
    assert [pubsub.get_message(timeout=2)["type"] for _ in range(3)] == ["subscribe", "subscribe", "psubscribe"]
    assert client.publish("news", "hello") == 2
    assert pubsub.get_message(timeout=2) == {"type": "message", "pattern": None, "channel": "news", "data": "hello"}
    assert pubsub.get_message(timeout=2) == {"type": "pmessage", "pattern": "n*", "channel": "news", "data": "hello"}
    assert pubsub.get_message(timeout=0.05) is None
    if protocol == 2:  # in RESP3 redis-py takes PING's plain reply for a message
        pubsub.ping()
        assert pubsub.get_message(timeout=2)["type"] == "pong"
    pubsub.close()


def test_handlers_in_a_thread(port: int) -> None:
    client = redis.Redis(port=port)
    got: list[bytes] = []
    done = threading.Event()

    def handle(message: dict[str, bytes]) -> None:
        got.append(message["data"])
        if len(got) == 50:
            done.set()

    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(**{"events": handle})
    thread = pubsub.run_in_thread(sleep_time=0.01)
    while client.pubsub_numsub("events")[0][1] == 0:
        time.sleep(0.01)
    for n in range(50):
        client.publish("events", n)
    assert done.wait(5)
    thread.stop()
    thread.join()
    assert got == [b"%d" % n for n in range(50)]


def test_the_client_side_cache_is_told_of_changes(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # redis-py asks for 7.4, though what it uses is there since 6.0: the one thing changed in a client here
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.0.0")
    client = redis.Redis(port=port, protocol=3, cache_config=CacheConfig(max_size=100), decode_responses=True)
    other = redis.Redis(port=port)
    other.set("k", "one")
    assert client.get("k") == "one"
    assert client.get_cache().size == 1
    calls = other.info("commandstats")["cmdstat_get"]["calls"]
    assert client.get("k") == "one"
    assert other.info("commandstats")["cmdstat_get"]["calls"] == calls
    other.set("k", "two")
    for _ in range(200):
        if client.get("k") == "two":
            break
        time.sleep(0.01)
    assert client.get("k") == "two"
    other.flushall()
    time.sleep(0.05)
    assert client.get("k") is None


def test_users_have_their_rights(port: int) -> None:
    admin = redis.Redis(port=port)
    admin.acl_setuser(
        "ann", enabled=True, passwords=["+secret"], categories=["+@read"], keys=["a:*"], commands=["+set"]
    )
    ann = redis.Redis(port=port, username="ann", password="secret")
    assert ann.set("a:1", "x") is True and ann.get("a:1") == b"x"
    with pytest.raises(redis.exceptions.NoPermissionError):
        ann.get("b:1")
    with pytest.raises(redis.exceptions.NoPermissionError):
        ann.flushall()
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=port, username="ann", password="wrong", retry=Retry(NoBackoff(), 0)).ping()
    assert admin.acl_log()[0]["username"] == "ann"


def test_scripts_and_functions(port: int) -> None:
    client = redis.Redis(port=port)
    script = client.register_script("return {KEYS[1], redis.call('incrby', KEYS[1], ARGV[1])}")
    assert script(keys=["n"], args=[5]) == [b"n", 5]
    client.script_flush()
    assert script(keys=["n"], args=[5]) == [b"n", 10]
    with client.pipeline() as pipe:
        script(keys=["n"], args=[1], client=pipe)
        assert pipe.execute() == [[b"n", 11]]
    client.function_load(
        "#!lua name=m\nredis.register_function('f', function(k, a) return redis.call('get', k[1]) end)"
    )
    assert client.fcall("f", 1, "n") == b"11"


@PROTOCOLS
def test_streams_with_groups(port: int, protocol: int) -> None:
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    client.xgroup_create("s", "g", mkstream=True)
    ids = [client.xadd("s", {"n": str(n)}) for n in range(5)]
    answer = client.xreadgroup("g", "one", {"s": ">"}, count=2)
    entries = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))
    assert [i for i, _ in (entries if protocol == 2 else entries[0])] == ids[:2]
    assert client.xack("s", "g", ids[0]) == 1
    assert client.xpending("s", "g")["pending"] == 1
    assert client.xclaim("s", "g", "two", 0, [ids[1]]) == [(ids[1], {"n": "1"})]
    assert client.xinfo_stream("s", full=True)["groups"][0]["lag"] == 3


def test_monitor_sees_commands(port: int) -> None:
    client = redis.Redis(port=port)
    with client.monitor() as monitor:
        client.set("k", "a b")
        seen = monitor.next_command()
        while not seen["command"].upper().startswith("SET"):
            seen = monitor.next_command()
        assert seen["command"] == "SET k a b" and seen["db"] == 0 and seen["client_type"] == "tcp"


@pytest.mark.asyncio
@PROTOCOLS
async def test_asyncio(port: int, protocol: int) -> None:
    client = redis.asyncio.Redis(port=port, protocol=protocol, decode_responses=True)
    waiting = [asyncio.create_task(client.blpop([f"q{n}"], timeout=5)) for n in range(10)]
    await asyncio.sleep(0.05)
    async with client.pipeline(transaction=True) as pipe:
        for n in range(10):
            pipe.rpush(f"q{n}", n)
        assert await pipe.execute() == [1] * 10
    assert [(await task)[1] for task in waiting] == [str(n) for n in range(10)]
    pubsub = client.pubsub()
    await pubsub.subscribe("c")
    assert (await pubsub.get_message(timeout=2))["type"] == "subscribe"
    await client.publish("c", "hi")
    assert (await pubsub.get_message(timeout=2))["data"] == "hi"
    await pubsub.aclose()
    task = asyncio.create_task(client.blpop(["nobody"], timeout=5))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.rpush("nobody", "kept")
    await asyncio.sleep(0.05)
    assert await client.llen("nobody") == 1
    await client.aclose()


def test_scanning_and_pipelines_of_ten_thousand(port: int) -> None:
    client = redis.Redis(port=port)
    with client.pipeline(transaction=False) as pipe:
        for n in range(10000):
            pipe.set(f"k{n}", n)
        assert pipe.execute() == [True] * 10000
    assert len(set(client.scan_iter(count=500))) == 10000
    assert client.dbsize() == 10000
