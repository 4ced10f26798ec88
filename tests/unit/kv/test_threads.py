"""Many threads and network clients on one store: nothing lost, nothing half seen, nothing that brings the process down.

These run under ThreadSanitizer too, so they neither fork nor start processes: test_processes.py does.
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv.errors import StoreClosed
from tests.resp import Wire, command, parse

SCALE = 10 if os.environ.get("LONG") else 1
if os.environ.get("KEEPKV_SANITIZE"):
    SCALE = 0.2


def times(n: int) -> int:
    return max(int(n * SCALE), 5)


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Runs each job in a thread of its own, all at the same time; their results, or the first exception."""
    start = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)
    errors: list[BaseException] = []

    def run(i: int, job: Callable[[], Any]) -> None:
        try:
            start.wait(60)
            results[i] = job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i, job), daemon=True) for i, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


@pytest.fixture
def store() -> Iterator[libkv.Store]:
    with libkv.Store() as store:
        yield store
        if not store.closed:
            store.check()


@pytest.fixture
def path(store: libkv.Store, tmp_path: Path) -> Iterator[str]:
    """A unix socket where the store is served."""
    address = str(tmp_path / "s")
    with libkv.Server(store, port=None, unixsocket=address):
        yield address


def on_wire(path: str, job: Callable[[Wire], Any]) -> Callable[[], Any]:
    """The job with a connection of its own."""

    def run() -> Any:
        wire = Wire(path)
        try:
            return job(wire)
        finally:
            wire.close()

    return run


# ---- history


def test_no_increment_is_lost(store: libkv.Store, path: str) -> None:
    n = times(2000)

    def embedded() -> None:
        for i in range(n):
            store.incr("a")
            store.hincrby("h", f"f{i % 40}", 1)

    def one_by_one(wire: Wire) -> None:
        for _ in range(n):
            assert wire.call("INCR", "a").startswith(b":")
            wire.call("HINCRBY", "h", "wire", 1)

    def pipelined(wire: Wire) -> None:
        for _ in range(n // 5):
            wire.send(command("INCR", "a") * 5)
            for _ in range(5):
                assert wire.reply().startswith(b":")

    def fed() -> None:
        session = store.new_session()
        for _ in range(n // 5):
            assert session.feed(command("INCR", "a") * 5).count(b":") == 5

    together(embedded, embedded, fed, fed, *[on_wire(path, job) for job in (one_by_one, pipelined, pipelined)])
    assert store.get("a") == b"%d" % (n * 3 + n // 5 * 5 * 4)
    counts = store.hgetall("h")
    assert counts.pop(b"wire") == b"%d" % n
    assert sum(map(int, counts.values())) == 2 * n


def test_each_increment_is_told_once(store: libkv.Store, path: str) -> None:
    n = times(1500)

    def embedded() -> list[int]:
        return [store.incr("n") for _ in range(n)]

    def remote(wire: Wire) -> list[int]:
        return [parse(wire.call("INCR", "n"))[0] for _ in range(n)]

    told = together(embedded, embedded, on_wire(path, remote), on_wire(path, remote))
    for seen in told:
        assert seen == sorted(seen)  # to one caller they come in order
    assert sorted(v for seen in told for v in seen) == list(range(1, 4 * n + 1))


def test_list_elements_are_conserved(store: libkv.Store, path: str) -> None:
    n = times(1500)
    everything = [b"%d" % i for i in range(300)]
    lists = ["l0", "l1", "l2"]
    store.rpush("l0", *everything)

    def embedded(turn: int) -> Callable[[], None]:
        def run() -> None:
            for i in range(n):
                a, b = lists[(i + turn) % 3], lists[(i * 7 + turn) % 3]
                if i % 3:
                    store.lmove(a, b, "LEFT" if i % 2 else "RIGHT", "RIGHT")
                elif (taken := store.rpop(a)) is not None:
                    store.lpush(b, taken)
                if i % 50 == 0:
                    assert len(store.lrange(a, 0, -1)) <= len(everything)

        return run

    def remote(wire: Wire) -> None:
        for i in range(n):
            a, b = lists[i % 3], lists[(i * 5 + 1) % 3]
            if i % 4 == 0:
                taken = parse(wire.call("LPOP", a, 3))[0]
                if taken:
                    wire.call("RPUSH", b, *taken)
            else:
                wire.call("RPOPLPUSH", a, b)

    together(embedded(0), embedded(1), embedded(2), on_wire(path, remote), on_wire(path, remote))
    found = [element for name in lists for element in store.lrange(name, 0, -1)]
    assert sorted(found) == sorted(everything)


def test_set_members_move_whole(store: libkv.Store, path: str) -> None:
    """SMOVE is one step: who looks at both sets at once sees each member exactly once."""
    n = times(1000)
    members = [b"m%d" % i for i in range(60)]
    store.sadd("here", *members)

    def move(here: str, there: str) -> Callable[[], None]:
        def run() -> None:
            for i in range(n):
                store.smove(here, there, members[i * 7 % 60])

        return run

    def look(wire: Wire) -> None:
        for _ in range(n // 4):
            wire.send(command("MULTI") + command("SCARD", "here") + command("SCARD", "there") + command("EXEC"))
            replies = [wire.reply() for _ in range(4)]
            assert sum(parse(replies[3])[0]) == len(members)

    def unite() -> None:
        for _ in range(n // 4):
            assert len(store.sunion("here", "there")) == len(members)

    together(move("here", "there"), move("there", "here"), on_wire(path, look), unite)
    assert Counter([*store.smembers("here"), *store.smembers("there")]) == Counter(members)


def test_transactions_are_seen_whole(store: libkv.Store, path: str) -> None:
    n = times(800)
    store.mset({"a": 0, "b": 0, "c": 0})

    def write() -> None:
        for i in range(n):
            with store.pipeline() as pipe:
                pipe.set("a", i).set("b", i).set("c", i).execute()

    def write_remote(wire: Wire) -> None:
        for i in range(n):
            wire.send(b"".join([command("MULTI"), *(command("SET", k, -i) for k in "abc"), command("EXEC")]))
            assert [wire.reply() for _ in range(5)][4] == b"*3\r\n" + b"+OK\r\n" * 3

    def read() -> None:
        for _ in range(n):
            assert len(set(store.mget("a", "b", "c"))) == 1

    def read_remote(wire: Wire) -> None:
        for _ in range(n):
            values = parse(wire.call("MGET", "a", "b", "c"))[0]
            assert len(set(values)) == 1, values

    together(write, on_wire(path, write_remote), read, on_wire(path, read_remote))


def test_compare_and_set_counters_are_exact(store: libkv.Store, path: str) -> None:
    n = times(150)
    store.set("n", 0)

    def embedded() -> int:
        retries = 0

        def add(pipe: Any) -> None:
            nonlocal retries
            retries += 1
            value = int(pipe.get("n"))
            pipe.multi()
            pipe.set("n", value + 1)

        for _ in range(n):
            store.transaction(add, "n")
        return retries

    def remote(wire: Wire) -> int:
        done = tries = 0
        while done < n:
            tries += 1
            assert tries < 1000 * n
            assert wire.call("WATCH", "n") == b"+OK\r\n"
            value = int(parse(wire.call("GET", "n"))[0])
            wire.send(command("MULTI") + command("SET", "n", value + 1) + command("EXEC"))
            replies = [wire.reply() for _ in range(3)]
            done += parse(replies[2])[0] is not None
        return tries

    tries = together(embedded, embedded, on_wire(path, remote), on_wire(path, remote))
    assert store.get("n") == b"%d" % (4 * n)
    assert all(t >= n for t in tries)


def test_everything_at_once_keeps_every_invariant(store: libkv.Store, path: str) -> None:
    """Types collide, keys go, databases are swapped and flushed, while others check the invariants."""
    n = times(400)

    def mix(turn: int) -> Callable[[], None]:
        def run() -> None:
            session = store.new_session(turn % 3)
            for i in range(n):
                k = f"k{(i * 13 + turn) % 20}"
                session.feed(
                    command("SADD", k, *range(i % 30))
                    + command("ZADD", k, i, "m", 2, f"m{i % 50}")
                    + command("HSET", k, f"f{i % 50}", "v" * (i % 80))
                    + command("RPUSH", k, *["e" * (i % 90)] * 5)
                    + command("APPEND", k, "x")
                    + command("EXPIRE", k, i % 3)
                    + command("COPY", k, f"k{i % 20}", "REPLACE")
                    + (command("DEL", k) if i % 3 else command("UNLINK", f"k{i % 20}"))
                )
                if i % 100 == turn:
                    session.feed(command("SWAPDB", 0, 1) + command("FLUSHDB", "ASYNC"))

        return run

    def look(wire: Wire) -> None:
        for i in range(n):
            wire.send(command("SCAN", 0) + command("INFO") + command("KEYS", "*") + command("SELECT", i % 3))
            for _ in range(4):
                assert not wire.reply().startswith(b"-")

    def check() -> None:
        for _ in range(times(30)):
            store.check()
            store.cron()
            assert store.used_memory > 0

    together(mix(0), mix(1), mix(2), on_wire(path, look), check)


# ---- Python objects that call back


def test_finalizers_call_the_store_while_it_answers(store: libkv.Store) -> None:
    """A garbage collection in the middle of building a reply runs __del__ and weakref callbacks that use the store."""
    fields = {b"f%d" % i: b"v" for i in range(500)}
    store.hset("h", mapping=fields)
    store.rpush("l", *range(500))
    calls = Counter[str]()

    class Node:
        def __init__(self) -> None:
            self.me = self  # only the collector can free it

        def __del__(self) -> None:
            calls["del"] += 1
            assert len(store.hgetall("h")) == len(fields)
            store.incr("deleted")

    def gone(_: Any) -> None:
        calls["weak"] += 1
        assert store.hget("h", "f1") == b"v"
        store.new_session().feed(command("INCR", "gone"))

    kept: list[Any] = []

    def work() -> None:
        for _ in range(times(60)):
            node = Node()
            kept.append(weakref.ref(node, gone))
            del node
            assert store.hgetall("h") == fields
            assert len(store.lrange("l", 0, -1)) == 500
            with store.pipeline() as pipe:
                pipe.hgetall("h").smembers("none").execute()

    before = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        together(work, work, work)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert calls["del"] == calls["weak"] == 3 * times(60)
    assert store.get("deleted") == store.get("gone") == b"%d" % calls["del"]


def test_a_finalizer_closes_the_store_it_is_called_from() -> None:
    store = libkv.Store()
    store.rpush("l", *range(2000))

    class Closer:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            store.close()

    before = gc.get_threshold()
    Closer()
    gc.set_threshold(1, 1, 1)
    try:
        with pytest.raises(StoreClosed):
            for _ in range(1000):
                assert len(store.lrange("l", 0, -1)) == 2000
                assert store.execute((b"COMMAND",))
    finally:
        gc.set_threshold(*before)
    assert store.closed


# ---- ends


def test_close_while_others_call(tmp_path: Path) -> None:
    for turn in range(times(20)):
        store = libkv.Store()
        path = str(tmp_path / f"s{turn}")
        server = libkv.Server(store, port=None, unixsocket=path).start()
        wire = Wire(path)
        store.rpush("l", *range(100))
        calls = Counter[str]()
        busy = threading.Event()

        def hammer(store: libkv.Store = store, calls: Counter[str] = calls, busy: threading.Event = busy) -> None:
            with pytest.raises(StoreClosed):
                session = store.new_session()
                for i in range(10**7):
                    store.incr("n")
                    assert len(store.lrange("l", 0, -1)) == 100
                    session.feed(command("HSET", "h", i, i) + command("HGETALL", "h") + command("DEL", "h"))
                    if i == 20:
                        calls["busy"] += 1
                        busy.set()

        def remote(wire: Wire = wire) -> None:
            with pytest.raises((EOFError, ConnectionError)):
                for _ in range(10**7):
                    wire.call("LRANGE", "l", 0, -1)

        def close(store: libkv.Store = store, busy: threading.Event = busy) -> None:
            busy.wait(60)
            store.close()

        together(hammer, hammer, remote, close)
        wire.close()
        assert calls["busy"] >= 1
        assert store.closed and not server.running
        with pytest.raises(StoreClosed):
            store.get("n")


def test_sessions_end_while_used(store: libkv.Store) -> None:
    for _ in range(times(60)):
        session = store.new_session()
        busy = threading.Event()

        def feed(session: Any = session, busy: threading.Event = busy) -> None:
            with pytest.raises(StoreClosed):
                for i in range(10**7):
                    reply = session.feed(
                        command("WATCH", f"w{i % 5}") + command("INCR", "n") + command("MULTI") + command("INCR", "n")
                    )
                    assert reply.count(b"\r\n") == 4
                    session.feed(command("EXEC"))
                    if i == 5:
                        busy.set()

        def execute(session: Any = session) -> None:
            with pytest.raises(StoreClosed):
                for i in range(10**7):
                    store.execute((b"SADD", b"s", b"%d" % i), session)

        def close(session: Any = session, busy: threading.Event = busy) -> None:
            busy.wait(60)
            session.close()

        together(feed, execute, close)


def test_two_threads_feed_one_session(store: libkv.Store) -> None:
    """One stream of bytes has one writer: the second is told so, and nothing breaks."""
    session = store.new_session()
    refused = Counter[str]()
    n = times(500)

    def feed() -> int:
        done = 0
        for _ in range(n):
            try:
                done += session.feed(command("INCR", "n") * 20).count(b":")
            except RuntimeError:
                refused["n"] += 1
        return done

    done = sum(together(feed, feed, feed))
    assert store.get("n") == b"%d" % done
    assert done == (3 * n - refused["n"]) * 20


def test_several_threads_take_a_session_s_output(store: libkv.Store) -> None:
    """What comes out is taken by one of them, whole and once."""
    session = store.new_session()
    n = times(500)
    over = threading.Event()

    def feed() -> int:
        try:
            return sum(len(session.feed(command("PING") * 20)) for _ in range(n))
        finally:
            over.set()

    def take() -> int:
        taken = 0
        while not over.is_set():
            taken += len(session.wait(0))
        return taken

    taken = sum(together(feed, take, take))
    assert taken + len(session.wait(0)) == n * 20 * len(b"+PONG\r\n")


def test_servers_come_and_go(store: libkv.Store, tmp_path: Path) -> None:
    """Servers start and stop on a store in use; connections open and close all the time."""
    n = times(15)
    over = threading.Event()

    def serve() -> None:
        try:
            for i in range(n):
                address = str(tmp_path / f"t{i}")
                with libkv.Server(store, port=None, unixsocket=address):
                    wires = [Wire(address) for _ in range(5)]
                    for wire in wires:
                        wire.send(command("WATCH", "n") + command("MULTI") + command("INCR", "n"))
                        assert wire.reply() == b"+OK\r\n"
                    for wire in wires[:3]:
                        wire.close()
                for wire in wires:
                    wire.close()
        finally:
            over.set()

    def work() -> None:
        while not over.is_set():
            store.incr("m")
            store.execute((b"CLIENT", b"LIST"))
            store.info()

    together(serve, work, work)
    assert store.get("n") is None
    assert store.execute((b"CLIENT", b"LIST")).count(b"\n") >= 1


def test_ten_stores_are_independent() -> None:
    stores = [libkv.Store() for _ in range(10)]
    n = times(500)

    def work(i: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(n):
                stores[i].incr("n", i + 1)
                stores[i].config_set("hz", 10 + i)

        return run

    together(*[work(i) for i in range(10)])
    for i, store in enumerate(stores):
        assert store.get("n") == b"%d" % (n * (i + 1))
        assert store.config_get("hz") == {"hz": str(10 + i)}
        store.close()
