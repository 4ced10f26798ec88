"""DUMP, RESTORE and MIGRATE beside redis-server: replies, payloads byte for byte, and values that cross over."""

from __future__ import annotations

import random
import socket
import threading
import time

import pytest

from libkv.errors import ResponseError
from tests.resp import Wire, command, parse

YEAR_2100 = 4102444800000


def make(pair, chance, kind, n):
    """A value of a kind under the key "k" on both sides, whose layout does not depend on the store."""
    words = [
        chance.choice(["foo", f"abc{chance.randrange(100)}", "x" * chance.randrange(40), "the quick brown fox"])
        if chance.random() < 0.6
        else str(chance.randrange(-(10 ** chance.randrange(1, 15)), 10**6))
        for _ in range(n)
    ]
    if kind == "string":
        pair.same("SET", "k", "".join(words))
    elif kind == "text":
        pair.same("SET", "k", " ".join(words) * chance.choice([1, 20, 200]))
    elif kind == "bytes":
        pair.same("SET", "k", bytes(chance.choice(b"ab") for _ in range(chance.randrange(3000))))
    elif kind == "list":
        pair.same("RPUSH", "k", *words)
    elif kind == "hash":
        pair.same("HSET", "k", *(w for i, v in enumerate(words) for w in (f"f{i}", v)))
    elif kind == "stream":
        for i, word in enumerate(words):
            fields = ("a", word, "b", i) if chance.random() < 0.7 else (word or "f", "v")
            pair.same("XADD", "k", f"{i * 1000 + 1}-{i % 5}", *fields)
        pair.same("XDEL", "k", "1-0", "2001-2")
        pair.same("XGROUP", "CREATE", "k", "group", "1001-1", "ENTRIESREAD", 2)
        pair.same("XGROUP", "CREATE", "k", "other", "$")
    elif kind == "zset":
        pair.same("ZADD", "k", *(w for v in words for w in (chance.choice([1.5, 7, "inf", 1e30, "-0", "0.1"]), v)))
    else:
        pair.same("SADD", "k", *(chance.randrange(2 ** chance.choice([7, 15, 31, 60])) for _ in words))


@pytest.mark.parametrize("kind", ["string", "text", "bytes", "list", "hash", "zset", "ints", "stream"])
def test_payloads_are_the_same_bytes(pair, kind):
    chance = random.Random(kind)
    for _ in range(150):
        pair.same("DEL", "k")
        make(pair, chance, kind, chance.choice([1, 3, 10, 50, 100]))
        payload = parse(pair.same("DUMP", "k"))[0]
        pair.same("RESTORE", "again", 0, payload, "REPLACE")
        pair.same("DEBUG", "DIGEST-VALUE", "again")
        pair.same("OBJECT", "ENCODING", "again")
    pair.finish()


def test_streams_cross_over(pair):
    """With consumers and pending entries; the times in them are those of two clocks, so each payload goes to both."""
    for i in range(250):
        pair.same("XADD", "x", f"{i + 1}-1", "f", i)
    pair.same("XGROUP", "CREATE", "x", "g", 0)
    pair.same("XREADGROUP", "GROUP", "g", "alice", "COUNT", 7, "STREAMS", "x", ">")
    pair.same("XREADGROUP", "GROUP", "g", "bob", "COUNT", 100, "STREAMS", "x", ">")
    pair.same("XACK", "x", "g", "3-1")
    pair.same("XDEL", "x", "100-1")
    for payload in [parse(reply)[0] for reply in pair.both("DUMP", "x")]:
        pair.same("RESTORE", "x", 0, payload, "REPLACE")
        pair.same("DUMP", "x")
        pair.same("XPENDING", "x", "g")
        pair.same("DEBUG", "DIGEST-VALUE", "x")
        pair.same("XRANGE", "x", "-", "+")
    pair.same("XREADGROUP", "GROUP", "g", "alice", "COUNT", 3, "STREAMS", "x", ">")
    pair.same("XADD", "x", "9999-1", "f", "v")


def test_payloads_without_compression(pair):
    pair.same("SET", "k", "abc" * 100)
    long = len(pair.same("DUMP", "k"))
    pair.same("CONFIG", "SET", "rdbcompression", "no")
    assert len(pair.same("DUMP", "k")) > long
    pair.same("CONFIG", "SET", "rdbcompression", "yes")
    assert len(pair.same("DUMP", "k")) == long


@pytest.mark.parametrize("n", [200, 3000])
def test_large_values_cross_over(pair, n):
    """Tables have no order of their own: the payloads differ, the values don't."""
    chance = random.Random(n)
    pair.same("CONFIG", "SET", "hash-max-listpack-entries", 128)
    words = [f"{i}-" + "y" * chance.randrange(60) for i in range(n)]
    pair.same("RPUSH", "list", *words)
    pair.same("SADD", "set", *words)
    pair.same("SADD", "ints", *range(n))
    pair.same("HSET", "hash", *(w for i, v in enumerate(words) for w in (f"f{i}", v)))
    pair.same("ZADD", "zset", *(w for i, v in enumerate(words) for w in (i * 0.3, v)))
    for key in ("list", "set", "ints", "hash", "zset"):
        theirs, ours = (parse(reply)[0] for reply in pair.both("DUMP", key))
        digest = pair.same("DEBUG", "DIGEST-VALUE", key)
        for payload in (theirs, ours):
            pair.same("RESTORE", key, 0, payload, "REPLACE")
            assert pair.same("DEBUG", "DIGEST-VALUE", key) == digest
            pair.same("OBJECT", "ENCODING", key)
    assert pair.finish() == 5


def test_restore_arguments(pair):
    pair.same("SET", "k", "value")
    payload = parse(pair.same("DUMP", "k"))[0]
    pair.same("DUMP", "absent")
    for args in [
        ("k", 0, payload),
        ("new", 0, payload),
        ("new", 0, payload, "REPLACE"),
        ("k2", "x", payload),
        ("k2", -1, payload),
        ("k2", "9" * 30, payload),
        ("k2", 0, b""),
        ("k2", 0, b"short"),
        ("k2", 0, payload[:-1]),
        ("k2", 0, payload + b"x"),
        ("k2", 0, payload[:-1] + b"\0"),
        ("k2", 0, payload, "WRONG"),
        ("k2", 0, payload, "IDLETIME"),
        ("k2", 0, payload, "IDLETIME", "x"),
        ("k2", 0, payload, "IDLETIME", "-1"),
        ("k2", 0, payload, "FREQ", "256"),
        ("k2", 0, payload, "FREQ", "-1"),
        ("k2", 0, payload, "FREQ", "1", "IDLETIME", "1"),
        ("k2", 0, payload, "IDLETIME", "1", "FREQ", "1"),
        ("k2", 0, payload, "idletime", "100", "replace", "ABSTTL"),
        ("k3", 0, payload, "FREQ", "255"),
        ("k", "x", payload),
        ("k", "x", payload, "REPLACE"),
        ("k", 0, b"wrong"),
        ("k", 0, b"wrong", "REPLACE"),
        ("t", 100000, payload),
        ("t2", YEAR_2100, payload, "ABSTTL"),
        ("t3", 1, payload, "ABSTTL"),
        ("k", 1, payload, "ABSTTL", "REPLACE"),
        ("k", 1, payload, "ABSTTL"),
        ("t4", 0, payload, "ABSTTL"),
    ]:
        pair.same("RESTORE", *args)
    pair.same("RESTORE-ASKING", "asked", 0, payload)
    pair.same("EXISTS", "k", "t3")
    pair.same("OBJECT", "FREQ", "k3")
    pair.finish()


def test_restore_effects(pair):
    """An expiry is told as an absolute time; a key that is replaced by nothing is told as deleted."""
    pair.store.record_effects()
    pair.store.set_clock(1_000_000_000_000)
    pair.ours.feed(command("SET", "k", "v"))
    payload = parse(pair.ours.feed(command("DUMP", "k")))[0]
    pair.store.take_effects()
    pair.ours.feed(command("RESTORE", "a", 5000, payload))
    at = command("RESTORE", "a", 1_000_000_005_000, payload, "ABSTTL")
    assert pair.store.take_effects().endswith(at)
    pair.ours.feed(command("RESTORE", "a", 0, payload, "REPLACE"))
    assert pair.store.take_effects().endswith(command("RESTORE", "a", 0, payload, "REPLACE"))
    pair.ours.feed(command("RESTORE", "a", 5, payload, "REPLACE", "ABSTTL"))
    assert pair.store.take_effects().endswith(command("DEL", "a"))
    pair.ours.feed(command("RESTORE", "b", 5, payload, "ABSTTL"))
    assert pair.store.take_effects() == b""


def test_restore_touches_watchers(pair):
    pair.same("SET", "k", "v")
    payload = parse(pair.same("DUMP", "k"))[0]
    pair.same("WATCH", "k")
    other = pair.store.new_session()
    assert other.feed(command("RESTORE", "k", 0, payload, "REPLACE")) == b"+OK\r\n"
    pair.ours.feed(command("MULTI"))
    assert pair.ours.feed(command("EXEC")) == b"*-1\r\n"
    pair.real.call("UNWATCH")


# ---- MIGRATE: from each of the two stores to a server that records what it gets, and to a real one


@pytest.fixture
def target(tmp_path):
    """A second redis-server: its port and a connection."""
    import subprocess

    from tests.servers import free_port

    port = free_port()
    words = [
        "redis-server",
        "--port",
        str(port),
        "--save",
        "",
        "--dir",
        str(tmp_path),
        "--logfile",
        str(tmp_path / "log"),
    ]
    server = subprocess.Popen([*words, "--enable-debug-command", "yes"])
    wire = None
    for _ in range(500):
        try:
            wire = Wire(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.01)
    assert wire is not None
    yield port, wire
    wire.close()
    server.terminate()
    server.wait(10)


def fill_migrate(pair):
    pair.same("SET", "a", "1")
    pair.same("SET", "b", "2", "PXAT", YEAR_2100)
    pair.same("RPUSH", "l", "x", "y")
    pair.same("HSET", "h", "f", "v")


def both_migrate(pair, target, *args):
    """The same MIGRATE from both, the target emptied between; asserts equal replies and equal effects there."""
    port, wire = target
    results = []
    for call in (pair.real.call, lambda *a: pair.ours.feed(command(*a))):
        wire.call("FLUSHALL")
        wire.call("SET", "taken", "old")
        reply = call("MIGRATE", "127.0.0.1", port, *args)
        wire.call("SELECT", 3)
        results.append((reply, wire.call("DEBUG", "DIGEST"), parse(wire.call("PEXPIRETIME", "b"))[0] > 0))
        wire.call("SELECT", 0)
    assert results[0] == results[1], args
    return results[0][0]


def test_migrate(pair, target):
    fill_migrate(pair)
    pair.same("SET", "taken", "new")
    assert both_migrate(pair, target, "absent", 0, 1000) == b"+NOKEY\r\n"
    assert both_migrate(pair, target, "a", 0, 1000, "COPY") == b"+OK\r\n"
    pair.same("EXISTS", "a")
    assert both_migrate(pair, target, "a", 3, 1000) == b"+OK\r\n"
    pair.same("EXISTS", "a")
    assert both_migrate(pair, target, "taken", 0, 1000).startswith(b"-ERR Target instance replied with error: BUSYKEY")
    pair.same("EXISTS", "taken")
    assert both_migrate(pair, target, "taken", 0, 1000, "COPY", "REPLACE") == b"+OK\r\n"
    assert both_migrate(pair, target, "", 3, 0, "KEYS", "b", "absent", "l", "h") == b"+OK\r\n"
    pair.same("DBSIZE")
    fill_migrate(pair)
    both_migrate(pair, target, "", 0, 1000, "KEYS", "a", "taken", "b")
    pair.same("EXISTS", "a", "taken", "b")
    pair.same("SET", "a", "1")
    for args in [
        ("a", 0, "x"),
        ("a", "x", 1000),
        ("a", 0, 1000, "WRONG"),
        ("a", 0, 1000, "AUTH"),
        ("a", 0, 1000, "AUTH2", "user"),
        ("a", 0, 1000, "KEYS", "a"),
        ("", 0, 1000, "KEYS"),
        ("a", 99, 1000),
        ("a", 0, 1000, "AUTH", "secret"),
        ("a", 0, 1000, "AUTH2", "user", "secret"),
    ]:
        both_migrate(pair, target, *args)
    pair.finish()


def test_migrate_with_a_password(pair, target):
    port, wire = target
    wire.call("CONFIG", "SET", "requirepass", "secret")
    fill_migrate(pair)
    for args in [("a", 0, 1000), ("a", 0, 1000, "AUTH", "wrong"), ("a", 0, 1000, "AUTH2", "default", "wrong")]:
        assert pair.same("MIGRATE", "127.0.0.1", port, *args).startswith(b"-ERR Target instance replied with error: ")
    pair.same("MIGRATE", "127.0.0.1", port, "a", 0, 1000, "COPY", "REPLACE", "AUTH", "secret")
    pair.same("MIGRATE", "127.0.0.1", port, "b", 0, 1000, "COPY", "REPLACE", "AUTH2", "default", "secret")
    wire.call("AUTH", "secret")
    assert wire.call("EXISTS", "a", "b") == b":2\r\n"


def test_secrets_stay_out_of_the_slow_log(pair):
    for call in (pair.real.call, lambda *a: pair.ours.feed(command(*a))):
        call("CONFIG", "SET", "slowlog-log-slower-than", 0)
        call("SLOWLOG", "RESET")
    pair.same("MIGRATE", "127.0.0.1", 1, "absent", 0, 10, "AUTH", "secret")
    pair.same("MIGRATE", "127.0.0.1", 1, "absent", 0, 10, "COPY", "AUTH2", "user", "secret")
    pair.same("MIGRATE", "127.0.0.1", 1, "absent", 0, 10, "AUTH", "secret", "WRONG")
    logs = [[entry[3] for entry in parse(reply)[0]] for reply in pair.both("SLOWLOG", "GET")]
    assert logs[0][:3] == logs[1][:3] and all(b"secret" not in words for words in logs[1])
    for call in (pair.real.call, lambda *a: pair.ours.feed(command(*a))):
        call("CONFIG", "SET", "slowlog-log-slower-than", 10000)


def test_migrate_to_nobody(pair):
    fill_migrate(pair)
    with socket.create_server(("127.0.0.1", 0)) as s:
        closed = s.getsockname()[1]
    assert pair.same("MIGRATE", "127.0.0.1", closed, "a", 0, 100).startswith(b"-IOERR error or timeout writing")
    pair.same("EXISTS", "a")


def test_migrate_to_someone_silent(pair):
    """A target that takes the bytes and says nothing, and one that hangs up."""
    fill_migrate(pair)
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        assert pair.same("MIGRATE", "127.0.0.1", port, "a", 0, 100).startswith(b"-IOERR error or timeout reading")

        def hang_up():
            for _ in range(4):  # both stores try twice
                connection, _ = s.accept()
                connection.recv(65536)
                connection.close()

        s.settimeout(10)
        for _ in range(2):  # the connections of the silent part
            s.accept()[0].close()
        thread = threading.Thread(target=hang_up)
        thread.start()
        pair.same("MIGRATE", "127.0.0.1", port, "a", 0, 5000)
        thread.join(20)
        assert not thread.is_alive()
    pair.same("EXISTS", "a")


def test_migrate_sends_and_tells(pair):
    """What the target gets, and that the keys' deletion is the effect."""
    pair.store.set_clock(1_000_000_000_000)
    pair.ours.feed(command("SET", "a", "1", "PX", 5000))
    pair.ours.feed(command("SET", "b", "2"))
    payloads = [parse(pair.ours.feed(command("DUMP", key)))[0] for key in ("a", "b")]
    pair.store.record_effects()
    got = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as s:
        expected = (
            command("SELECT", 7) + command("RESTORE", "a", 5000, payloads[0]) + command("RESTORE", "b", 0, payloads[1])
        )

        def answer():
            connection, _ = s.accept()
            with connection:
                while len(got) < len(expected):
                    got.extend(connection.recv(65536))
                connection.sendall(b"+OK\r\n+OK\r\n-ERR no\r\n")
                connection.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        port = s.getsockname()[1]
        reply = pair.ours.feed(command("MIGRATE", "127.0.0.1", port, "", 7, 5000, "KEYS", "a", "b"))
        thread.join(10)
    assert bytes(got) == expected
    assert reply == b"-ERR Target instance replied with error: ERR no\r\n"
    assert pair.store.take_effects().endswith(command("DEL", "a"))
    assert pair.ours.feed(command("EXISTS", "a", "b")) == b":1\r\n"


def test_methods(pair):
    store = pair.store
    store.set("k", b"\xff")
    payload = store.dump("k")
    assert store.dump("absent") is None
    assert store.restore("copy", 0, payload) is True or store.get("copy") == b"\xff"
    with pytest.raises(ResponseError, match="Target key name already exists"):
        store.restore("copy", 0, payload)
    store.restore("copy", YEAR_2100, payload, replace=True, absttl=True, idletime=5)
    assert store.pexpiretime("copy") == YEAR_2100
    assert store.migrate("127.0.0.1", 1, "absent", 0, 100) is not None
