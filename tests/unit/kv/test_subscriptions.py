"""Messages within one process: PubSub and Monitor of the embedded API, with threads."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import time
from typing import Any

import pytest

import libkv
from libkv.errors import ConnectionError, DataError, PubSubError, StoreClosed
from tests.resp import command


@pytest.fixture
def store() -> Any:
    with libkv.Store() as store:
        yield store
        store.check()


def test_messages(store: libkv.Store) -> None:
    with store.pubsub() as p:
        p.subscribe("a", "b")
        p.psubscribe("a*")
        p.ssubscribe("s")
        kinds = [p.get_message()["type"] for _ in range(4)]
        assert kinds == ["subscribe", "subscribe", "psubscribe", "ssubscribe"]
        assert p.get_message() is None
        assert store.publish("a", "1") == 2
        assert store.spublish("s", b"\x00") == 1
        assert store.publish("nobody", "1") == 0
        assert p.get_message() == {"type": "message", "pattern": None, "channel": b"a", "data": b"1"}
        assert p.get_message() == {"type": "pmessage", "pattern": b"a*", "channel": b"a", "data": b"1"}
        assert p.get_message() == {"type": "smessage", "pattern": None, "channel": b"s", "data": b"\x00"}
        assert store.pubsub_numsub("a", "b", "c") == [(b"a", 1), (b"b", 1), (b"c", 0)]
        assert sorted(store.pubsub_channels()) == [b"a", b"b"] and store.pubsub_channels("a*") == [b"a"]
        assert store.pubsub_numpat() == 1
        assert store.pubsub_shardchannels() == [b"s"] and store.pubsub_shardnumsub("s") == [(b"s", 1)]
        p.ping("hello")
        p.ping()
        assert [p.get_message()["data"] for _ in range(2)] == [b"hello", b""]
        p.unsubscribe("a")
        p.punsubscribe()
        p.sunsubscribe()
        assert p.subscribed
        assert [p.get_message()["type"] for _ in range(3)] == ["unsubscribe", "punsubscribe", "sunsubscribe"]
        assert p.channels == {b"b": None} and not p.patterns and not p.shard_channels
        p.unsubscribe()
        assert p.get_message()["data"] == 0
        assert not p.subscribed and p.get_message(timeout=0.01) is None
    assert store.pubsub_channels() == []


def test_handlers_and_decoding() -> None:
    got: list[Any] = []
    with libkv.Store(decode_responses=True) as store, store.pubsub(ignore_subscribe_messages=True) as p:
        p.subscribe("plain", **{"näme": got.append})
        p.psubscribe(**{"x*": got.append})
        assert p.get_message() is None and p.get_message() is None and p.get_message() is None
        store.publish("näme", "ü")
        store.publish("xy", "1")
        store.publish("plain", "2")
        assert p.get_message() is None and p.get_message() is None
        assert [(m["type"], m["channel"], m["data"]) for m in got] == [
            ("message", "näme", "ü"),
            ("pmessage", "xy", "1"),
        ]
        assert p.get_message() == {"type": "message", "pattern": None, "channel": "plain", "data": "2"}


def test_another_thread_publishes(store: libkv.Store) -> None:
    p = store.pubsub(ignore_subscribe_messages=True)
    p.subscribe("c")
    assert p.get_message() is None
    thread = threading.Timer(0.05, store.publish, ("c", "late"))
    thread.start()
    assert p.get_message(timeout=10)["data"] == b"late"
    thread.join()
    for i in range(1000):
        store.publish("c", i)
    assert [int(p.get_message(timeout=1)["data"]) for _ in range(1000)] == list(range(1000))
    p.close()


def test_many_threads(store: libkv.Store) -> None:
    """Each subscriber gets all that each publisher sends, in its order."""
    subscribers = [store.pubsub(ignore_subscribe_messages=True) for _ in range(8)]
    for p in subscribers:
        p.subscribe("c")
        assert p.get_message() is None
    each, publishers = 200, 4
    got: list[list[bytes]] = [[] for _ in subscribers]

    def read(i: int) -> None:
        for message in subscribers[i].listen():
            got[i].append(message["data"])
            if len(got[i]) == each * publishers:
                return

    def publish(i: int) -> None:
        for k in range(each):
            store.publish("c", f"{i}:{k}")

    threads = [threading.Thread(target=read, args=(i,)) for i in range(len(subscribers))]
    threads += [threading.Thread(target=publish, args=(i,)) for i in range(publishers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    for messages in got:
        for i in range(publishers):
            own = [m for m in messages if m.startswith(b"%d:" % i)]
            assert own == [b"%d:%d" % (i, k) for k in range(each)]
    assert got[0] == got[1]
    store.check()


def test_subscribe_while_another_thread_waits(store: libkv.Store) -> None:
    p = store.pubsub()
    got = []
    reader = threading.Thread(target=lambda: got.extend(p.get_message(timeout=10)["type"] for _ in range(3)))
    reader.start()
    p.subscribe("a")
    p.subscribe("b")
    store.publish("b", "x")
    reader.join(10)
    assert got == ["subscribe", "subscribe", "message"]


def test_worker_thread(store: libkv.Store) -> None:
    got: list[Any] = []
    here = threading.Event()

    def handle(message: Any) -> None:
        if message["data"] == b"bad":
            raise ValueError("bad")
        got.append(message["data"])
        here.set()

    errors: list[Any] = []
    p = store.pubsub()
    p.subscribe(c=handle)
    worker = p.run_in_thread(daemon=True, exception_handler=lambda error, *_: errors.append(error))
    store.publish("c", "bad")
    store.publish("c", "good")
    assert here.wait(10)
    worker.stop()
    worker.join(10)
    assert not worker.is_alive() and got == [b"good"] and isinstance(errors[0], ValueError)
    assert store.pubsub_channels() == []
    p.subscribe("without")
    with pytest.raises(PubSubError, match="has no handler registered"):
        p.run_in_thread()
    p.close()


def test_closing_ends_the_wait() -> None:
    store = libkv.Store()
    p = store.pubsub()
    p.subscribe("a")
    p.get_message()
    outcome: list[Any] = []

    def read() -> None:
        try:
            outcome.append(p.get_message(timeout=None))
        except StoreClosed as error:
            outcome.append(error)

    for end in (p.close, store.close):
        p.subscribe("a")
        p.get_message()
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.05)
        end()
        thread.join(10)
        assert not thread.is_alive()
    assert outcome[0] is None and isinstance(outcome[1], StoreClosed)


def test_a_subscriber_that_does_not_read() -> None:
    with libkv.Store(client_output_buffer_limit="normal 0 0 0 replica 0 0 0 pubsub 100000 0 0") as store:
        slow, quick = store.pubsub(), store.pubsub(ignore_subscribe_messages=True)
        for p in (slow, quick):
            p.subscribe("c")
            p.get_message()
        for i in range(200):
            store.publish("c", b"%05d" % i + b"x" * 1000)
            assert quick.get_message()["data"][:5] == b"%05d" % i
        assert store.pubsub_numsub("c") == [(b"c", 2)]
        with pytest.raises(ConnectionError, match="messages may be lost"):
            for _ in range(300):
                slow.get_message(timeout=0.1)
        assert slow.get_message()["type"] == "subscribe"
        store.publish("c", "again")
        assert slow.get_message()["data"] == b"again"
        store.check()


def test_thousands_come_and_go(store: libkv.Store) -> None:
    sessions = [store.new_session(protocol=3) for _ in range(3000)]
    for i, s in enumerate(sessions):
        s.send(b"SUBSCRIBE all c%d\r\nPSUBSCRIBE a*\r\nCLIENT TRACKING ON\r\nGET k%d\r\n" % (i, i % 10))
    before = store.used_memory
    store.check()
    assert store.publish("all", "x") == 6000
    assert len(sessions[0].receive(0)) == 3 + 1 + 1 + 2
    store.set("k1", "v")
    for s in sessions[::2]:
        s.close()
    store.check()
    assert store.pubsub_numsub("all") == [(b"all", 1500)]
    for s in sessions:
        s.close()
    store.check()
    assert store.pubsub_channels() == [] and store.pubsub_numpat() == 0
    assert store.used_memory < before / 4


def test_keyspace_notifications(store: libkv.Store) -> None:
    store.config_set("notify-keyspace-events", "KEA")
    with store.pubsub(ignore_subscribe_messages=True) as p:
        p.psubscribe("__key*")
        assert p.get_message() is None
        store.set("k", "v")
        got = [p.get_message() for _ in range(2)]
        assert [(m["channel"], m["data"]) for m in got] == [
            (b"__keyspace@0__:k", b"set"),
            (b"__keyevent@0__:set", b"k"),
        ]
        store.config_set("notify-keyspace-events", "")
        store.set("k", "w")
        assert p.get_message() is None


def test_redis_pys_notifications(store: libkv.Store) -> None:
    pytest.importorskip("redis.keyspace_notifications", reason="missing redis-py")
    store.config_set("notify-keyspace-events", "KEA")
    n = store.keyspace_notifications()
    n.subscribe_keyspace("k*", db=0)
    store.set("k1", "v")
    found = n.get_message(timeout=1) or n.get_message(timeout=1)  # the first was the confirmation
    assert (found.event_type, found.key) == ("set", "k1")
    n.close()


def test_expiry_is_told(store: libkv.Store) -> None:
    store.config_set("notify-keyspace-events", "Ex")
    store.set_clock(1_000_000)
    with store.pubsub(ignore_subscribe_messages=True) as p:
        p.subscribe("__keyevent@0__:expired")
        assert p.get_message() is None
        for i in range(10):
            store.set(f"k{i}", "v", px=10)
        store.set_clock(1_000_100)
        assert store.get("k3") is None
        assert p.get_message()["data"] == b"k3"
        store.cron()
        assert sorted(p.get_message()["data"] for _ in range(9)) == [b"k%d" % i for i in range(10) if i != 3]


def test_expiry_is_told_though_nobody_calls(store: libkv.Store) -> None:
    store.config_set("notify-keyspace-events", "Ex")

    async def wait() -> Any:
        async with store.aio.pubsub(ignore_subscribe_messages=True) as q:
            await q.subscribe("__keyevent@0__:expired")
            store.set("b", "v", px=20)
            return await q.get_message(timeout=10) or await q.get_message(timeout=10)

    with store.pubsub(ignore_subscribe_messages=True) as p:
        p.subscribe("__keyevent@0__:expired")
        assert p.get_message() is None
        store.set("a", "v", px=20)
        assert p.get_message(timeout=10)["data"] == b"a"
        assert p.get_message(timeout=0.05) is None
    assert asyncio.run(wait())["data"] == b"b"


def test_invalidations_by_way_of_a_subscriber(store: libkv.Store) -> None:
    with store.pubsub() as p, store.client() as reader:
        p.subscribe("__redis__:invalidate")
        p.get_message()
        reader.client_tracking_on(clientid=p.session_id)
        assert reader.client_getredir() == p.session_id
        assert reader.client_trackinginfo() == ["flags", [b"on"], "redirect", p.session_id, "prefixes", []]
        assert reader.get("k") is None
        store.set("k", "1")
        assert p.get_message() == {"type": "invalidate", "pattern": None, "channel": None, "data": [b"k"]}
        store.flushall()
        assert p.get_message()["data"] is None
        reader.client_tracking_off()


def test_a_handle_takes_no_messages(store: libkv.Store) -> None:
    with pytest.raises(DataError, match="use pubsub"):
        store.execute_command("SUBSCRIBE", "a")
    with pytest.raises(DataError, match="use pubsub"):
        store.client().execute_command("MONITOR")
    with pytest.raises(DataError, match="changes a session"):
        store.client_tracking_on()
    client = store.client()
    client.client_tracking_on(bcast=True, prefix=["k"])
    with pytest.raises(DataError):
        client.client_tracking_on(prefix=["k"])
    before = store.used_memory
    for i in range(2000):
        store.set("k", str(i))
        client.get("k")
    assert store.used_memory < before + 10000


def test_monitor(store: libkv.Store) -> None:
    with store.monitor() as m:
        store.set("k", 'v"w')
        store.get("k")
        store.client().config_get("maxmemory")
        store.mget("a", "b")
        first = m.next_command()
        assert first["command"] == 'SET k v"w' and first["db"] == 0 and first["client_type"] == "unknown"
        assert m.next_command()["command"] == "GET k"
        assert m.next_command()["command"] == "MGET a b"
        waiting = threading.Timer(0.05, m.close)
        waiting.start()
        assert list(m.listen()) == []
    store.get("k")
    with pytest.raises(RuntimeError):
        store.monitor().next_command()


@pytest.mark.parametrize(
    "words", ["SUBSCRIBE a b c", "PSUBSCRIBE a* b*", "SSUBSCRIBE s", "CLIENT TRACKING ON", "MONITOR"]
)
def test_out_of_memory(store: libkv.Store, words: str) -> None:
    """Each allocation of a command fails in turn: an error, and everything is consistent."""
    for n in range(40):
        session = store.new_session(protocol=3)
        store.fail_allocations_after(n)
        out = session.feed(words.encode() + b"\r\n")
        store.fail_allocations_after(-1)
        store.check()
        session.close()
        store.check()
        if b"-" not in out:
            break
    assert b"-" not in out


def test_tracking_without_memory(store: libkv.Store) -> None:
    """What can't be remembered is told as changed; what can't be told makes everybody forget everything."""
    session = store.new_session(protocol=3)
    session.feed(b"CLIENT TRACKING ON\r\n")
    for n in range(20):
        session.feed(b"")
        store.fail_allocations_after(n)
        out = session.feed(b"MGET a b%d c%d\r\n" % (n, n))
        store.fail_allocations_after(-1)
        store.check()
        told = session.feed(b"") + out
        for key in (b"a", b"b%d" % n, b"c%d" % n):
            store.set(key, "1")
            told += session.feed(b"")
            assert key + b"\r\n" in told or b"invalidate\r\n_" in told or out.startswith(b"-")
    other = store.new_session(protocol=3)
    other.feed(b"CLIENT TRACKING ON BCAST PREFIX a\r\n")
    for n in range(12):
        store.fail_allocations_after(n)
        done = store.new_session().feed(b"SET abc%d 1\r\n" % n)
        store.fail_allocations_after(-1)
        store.check()
        if done == b"+OK\r\n":
            assert b"invalidate" in other.feed(b"")


def test_everything_at_once(store: libkv.Store, tmp_path: Any) -> None:
    """Served and embedded sessions subscribe, cache, monitor, publish and go, in several threads."""
    path = str(tmp_path / "s")
    server = libkv.Server(store, port=None, unixsocket=path).start()
    store.config_set("notify-keyspace-events", "KEA")
    errors: list[BaseException] = []

    def client(seed: int) -> None:
        draw = random.Random(seed)
        words = [
            ("SUBSCRIBE", "c1", "c2"), ("PSUBSCRIBE", "__key*"), ("UNSUBSCRIBE",), ("PUNSUBSCRIBE",),
            ("SSUBSCRIBE", "s"),
            ("CLIENT", "TRACKING", "ON"), ("CLIENT", "TRACKING", "OFF"), ("MGET", "k1", "k2"), ("SET", "k1", "v"),
            ("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "k"), ("PUBLISH", "c1", "m"), ("SPUBLISH", "s", "m"),
            ("MULTI",), ("EXEC",), ("DEL", "k1", "k2"), ("FLUSHALL",), ("MONITOR",), ("RESET",), ("HELLO", "3"),
            ("CLIENT", "REPLY", "SKIP"), ("SET", "k2", "v", "PX", "1"), ("RPUSH", "l", "1"), ("LPOP", "l"),
        ]  # fmt: skip
        try:
            for _ in range(6):
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(path)
                    s.settimeout(0.002)
                    for _ in range(40):
                        s.sendall(b"".join(command(*draw.choice(words)) for _ in range(draw.randint(1, 8))))
                        with contextlib.suppress(TimeoutError):
                            s.recv(1 << 18)
        except BaseException as error:
            errors.append(error)

    def embedded(seed: int) -> None:
        draw = random.Random(seed)
        try:
            for _ in range(10):
                with store.pubsub() as p:
                    p.subscribe("c1", "c2")
                    p.psubscribe("__key*")
                    for i in range(20):
                        store.set(draw.choice(["k1", "k2", "k3"]), i)
                        store.publish("c2", i)
                        while p.get_message() is not None:
                            pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    threads += [threading.Thread(target=embedded, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        store.check()
        time.sleep(0.005)
    assert not errors
    server.stop()


# ---- asyncio


def test_async_messages(store: libkv.Store) -> None:
    async def program() -> None:
        async with store.aio.pubsub(ignore_subscribe_messages=True) as p:
            got: list[Any] = []

            async def handle(message: Any) -> None:
                got.append(message["data"])

            await p.subscribe("a", b=handle)
            await p.psubscribe("a*")
            assert await p.get_message() is None
            assert [await p.get_message() for _ in range(3)] == [None] * 3
            threading.Timer(0.03, store.publish, ("a", "late")).start()
            message = await p.get_message(timeout=10)
            assert message == {"type": "message", "pattern": None, "channel": b"a", "data": b"late"}
            assert (await p.get_message(timeout=10))["type"] == "pmessage"
            await store.aio.publish("b", "x")
            assert await p.get_message(timeout=1) is None and got == [b"x"]
            assert await p.get_message(timeout=0.01) is None
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(p.get_message(timeout=None), 0.02)
            await store.aio.publish("a", "y")
            assert (await p.get_message(timeout=1))["data"] == b"y"
            await p.punsubscribe()
            await p.unsubscribe()
        assert store.pubsub_channels() == []

    asyncio.run(program())


def test_async_listeners(store: libkv.Store) -> None:
    """Many tasks, and publishers in other threads."""

    async def program() -> None:
        subscribers = [store.aio.pubsub(ignore_subscribe_messages=True) for _ in range(20)]
        for p in subscribers:
            await p.subscribe("c")
        got: list[list[bytes]] = [[] for _ in subscribers]

        async def listen(i: int) -> None:
            async for message in subscribers[i].listen():
                got[i].append(message["data"])
                if len(got[i]) == 200:
                    break

        def publish() -> None:
            for i in range(100):
                store.publish("c", i)

        threads = [threading.Thread(target=publish) for _ in range(2)]
        tasks = [asyncio.create_task(listen(i)) for i in range(len(subscribers))]
        for t in threads:
            t.start()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        for t in threads:
            t.join()
        assert all(g == got[0] for g in got)
        waiting = asyncio.create_task(subscribers[0].get_message(timeout=None))
        await asyncio.sleep(0.01)
        await subscribers[0].aclose()
        assert await asyncio.wait_for(waiting, 5) is None
        for p in subscribers[1:]:
            await p.aclose()

    asyncio.run(program())


def test_async_worker(store: libkv.Store) -> None:
    async def program() -> None:
        got: list[Any] = []
        p = store.aio.pubsub()
        await p.subscribe(c=lambda message: got.append(message["data"]))
        task = asyncio.create_task(p.run())
        await store.aio.publish("c", "1")
        for _ in range(200):
            if got:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert got == [b"1"]
        await p.subscribe("without")
        with pytest.raises(PubSubError):
            await p.run()
        await p.aclose()

    asyncio.run(program())
