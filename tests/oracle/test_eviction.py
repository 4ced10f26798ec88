"""maxmemory and maxmemory-clients: what is refused, what goes, and how often the right key has gone."""

from __future__ import annotations

import bisect
import itertools
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import libkv
from tests.oracle.commands import Generator
from tests.oracle.conftest import Pair
from tests.resp import Wire, command, parse
from tests.servers import OURS, Process

POLICIES = "allkeys-lru allkeys-lfu allkeys-random volatile-lru volatile-lfu volatile-random volatile-ttl".split()
OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"


@pytest.fixture
def full(pair: Pair) -> Iterator[Pair]:
    """Both without room for anything; redis-server gets its settings back."""
    pair.same("SET", "here", "value")
    pair.same("CONFIG", "SET", "maxmemory", "1")
    yield pair
    for name, value in (("maxmemory", "0"), ("maxmemory-policy", "noeviction")):
        pair.real.call("CONFIG", "SET", name, value)


def test_which_commands_are_refused(full: Pair) -> None:
    for words in (
        "SET a 1|GET here|DEL none|APPEND here x|LPUSH l a|LPOP l|SADD s a|ZADD z 1 a|HSET h a b|HDEL h a|INCR n|EXPIRE here "
        "100|PERSIST here|RENAME here there|RENAME there here|COPY here b|SETRANGE here 0 x|BITOP AND d here|BITFIELD here "
        "SET u8 0 1|BITFIELD here GET u8 0|PFADD p a|PFCOUNT p|MSET a 1|GETSET here b|GETDEL none|SETBIT here 1 1|TYPE here|"
        "KEYS *|PING|ECHO x|SELECT 1|SELECT 0|CONFIG GET maxmemory|OBJECT ENCODING here|NOSUCH|SET a|LSET l 0 a"
    ).split("|"):
        full.same(*words.split())


@pytest.mark.parametrize("seed", range(2))
def test_random_programs_are_refused_alike(pair: Pair, seed: int) -> None:
    """Commands of all groups, transactions among them, on a keyspace that is full from some point on."""
    commands = [c for unit in Generator(seed).program(1500) for c in unit]
    refused = 0
    try:
        for i, words in enumerate(commands):
            if i == 500:
                pair.both("DISCARD")
                pair.same("CONFIG", "SET", "maxmemory", "1")
            theirs, ours = (b"OOM command not" in reply for reply in pair.both(*words))
            assert ours == theirs, words
            refused += ours
    finally:
        pair.both("DISCARD")
        pair.same("CONFIG", "SET", "maxmemory", "0")
    assert refused > 200


def test_transactions(full: Pair) -> None:
    for words in ("MULTI", "GET here", "EXEC", "DISCARD", "MULTI", "DISCARD", "MULTI", "PING", "EXEC", "WATCH here"):
        full.same(*words.split())


def test_a_queued_command_that_needs_memory_ends_the_transaction(full: Pair, redis_socket: str) -> None:
    other = Wire(redis_socket)

    def limit(bytes_: int) -> None:
        assert other.call("CONFIG", "SET", "maxmemory", str(bytes_)) == b"+OK\r\n"
        full.store.config_set("maxmemory", bytes_)

    for queued in ("GET here", "SET a 1"):
        limit(0)
        full.same("MULTI")
        full.same(*queued.split())
        limit(1)
        full.same("EXEC")
        full.same("EXEC")
        full.same("GET", "here")
    theirs, ours = (parse(reply)[0] for reply in full.both("INFO", "errorstats"))
    assert re.findall(rb"EXECABORT:count=\d+", ours) == re.findall(rb"EXECABORT:count=\d+", theirs)
    other.close()


def test_scripts(full: Pair) -> None:
    for script in (
        "return redis.call('set', 'a', '1')",
        "return redis.pcall('set', 'a', '1')",
        "return redis.call('get', 'here')",
        "redis.call('del', 'none') return redis.call('set', 'a', '2')",
        "#!lua\nreturn redis.call('get', 'here')",
        "#!lua flags=no-writes\nreturn redis.call('get', 'here')",
        "#!lua flags=allow-oom\nreturn redis.call('set', 'a', '1')",
    ):
        full.same("EVAL", script, "0")


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_may_go(full: Pair, policy: str) -> None:
    """Without keys with an expiry, volatile policies have none to delete; others empty the store and still are full."""
    full.same("CONFIG", "SET", "maxmemory-policy", policy)
    full.same("SET", "a", "1")
    full.same("DBSIZE")
    full.same("PING")


# ---- the store alone


def filled(policy: str, room: int, **settings: Any) -> libkv.Store:
    # what a slow machine writes down of its slow commands is memory too
    store = libkv.Store(seed=7, maxmemory_policy=policy, slowlog_log_slower_than=-1, **settings)
    store.config_set("maxmemory", store.used_memory + room)
    return store


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", ["small", "large", "collections"])
def test_memory_stays_below_the_limit(policy: str, kind: str) -> None:
    room = {"small": 100_000, "large": 400_000, "collections": 150_000}[kind]
    store = filled(policy, room, maxmemory_eviction_tenacity=100)
    limit = int(store.config_get("maxmemory")["maxmemory"])
    random = Random(1)
    for i in range(3000):
        key = f"k{random.randrange(2000)}"
        if kind == "small":
            store.set(key, "x" * random.randrange(200))
        elif kind == "large":
            store.set(key, "x" * random.randrange(20000))
        else:
            store.delete(key)
            store.rpush(key, *range(random.randrange(1, 600)))
        if policy.startswith("volatile"):
            store.expire(key, random.randrange(1000, 100000))
        if i % 100 == 0:
            store.ping()
            assert store.used_memory <= limit
    assert store.info("stats")["evicted_keys"] > 100
    assert store.dbsize() > 10
    store.check()


def test_volatile_policies_leave_other_keys_alone() -> None:
    for policy in POLICIES[3:]:
        store = filled(policy, 300_000)
        for i in range(500):
            store.set(f"stays{i}", "x" * 50)
        for i in range(5000):
            store.set(f"goes{i}", "x" * 50, ex=10000 - i)
        assert sum(store.exists(f"stays{i}") for i in range(500)) == 500
        assert store.info("stats")["evicted_keys"] > 1000
        with pytest.raises(libkv.errors.OutOfMemoryError):
            for i in range(20000):
                store.set(f"stays-too{i}", "x" * 50)


def test_volatile_ttl_takes_the_next_to_expire() -> None:
    store = filled("volatile-ttl", 200_000)
    for i in range(4000):
        store.set(f"k{i}", "x" * 50, ex=100000 - i)
    left = [i for i in range(4000) if store.exists(f"k{i}")]
    assert left[0] == 0 and len(left) > 500
    assert left[:1000] == list(range(1000))


def test_lru_keeps_what_is_used_and_lfu_what_is_used_often() -> None:
    for policy in ("allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-lfu"):
        store = filled(policy, 300_000)
        now = 1_700_000_000_000
        for i in range(4000):
            now += 1000
            store.set_clock(now)
            store.set(f"k{i}", "x" * 60, ex=10**6)
            for hot in range(20):
                store.get(f"k{hot}")
        assert sum(store.exists(f"k{i}") for i in range(20)) == 20, policy
        assert store.info("stats")["evicted_keys"] > 1000


def test_direct_calls_respect_the_limit() -> None:
    store = filled("allkeys-lru", 100_000)
    for i in range(5000):
        assert store.set(f"k{i}", "x" * 50) is True
    assert store.dbsize() < 2000 and store.info("stats")["evicted_keys"] > 3000
    store.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(libkv.errors.OutOfMemoryError):
        for i in range(5000):
            store.set(f"n{i}", "x" * 50)


@pytest.mark.parametrize(("lazy", "word"), [("no", b"DEL"), ("yes", b"UNLINK")])
def test_an_eviction_is_part_of_the_effects(lazy: str, word: bytes) -> None:
    store = filled("allkeys-random", 100_000, lazyfree_lazy_eviction=lazy)
    store.record_effects()
    for i in range(3000):
        store.execute_command("SET", f"k{i}", "x" * 50)
        store.execute_command("RPUSH", f"l{i % 7}", "y" * 300)
    evicted = store.info("stats")["evicted_keys"]  # any command may evict
    effects = store.take_effects()
    assert effects.count(word + b"\r\n") == evicted > 1000
    twin = libkv.Store()
    twin.replay(effects)
    assert sorted(twin.keys()) == sorted(store.keys())


def test_a_lower_limit_takes_effect_by_itself() -> None:
    store = libkv.Store(maxmemory_policy="allkeys-lru")
    for i in range(5000):
        store.set(f"k{i}", "x" * 50)
    store.config_set("maxmemory", store.used_memory - 100_000)
    for _ in range(200):
        store.cron()
    assert store.used_memory <= int(store.config_get("maxmemory")["maxmemory"])


def test_time_above_the_limit_is_counted() -> None:
    store = libkv.Store()
    store.set_clock(1_700_000_000_000)
    store.config_set("maxmemory", 1)
    with pytest.raises(libkv.errors.OutOfMemoryError):
        store.execute_command("SET", "a", "1")
    store.set_clock(1_700_000_005_000)
    stats = store.info("stats")
    assert stats["current_eviction_exceeded_time"] == stats["total_eviction_exceeded_time"] == 5000
    store.config_set("maxmemory", 0)
    store.cron()
    stats = store.info("stats")
    assert (stats["current_eviction_exceeded_time"], stats["total_eviction_exceeded_time"]) == (0, 5000)


# ---- hit rates: a cache's trace on both


def trace(seed: int, keys: int, n: int) -> list[int]:
    """Keys drawn by Zipf's law (exponent 1)."""
    random = Random(seed)
    heights = list(itertools.accumulate(1 / (i + 1) for i in range(keys)))
    order = list(range(keys))
    random.shuffle(order)
    return [order[bisect.bisect(heights, random.random() * heights[-1])] for _ in range(n)]


def hits(ask: Any, keys: list[int]) -> int:
    """A cache before something slow: what is not there is put in."""
    found = 0
    for at in range(0, len(keys), 50):
        part = keys[at : at + 50]
        got = ask([("GET", f"key:{k}") for k in part])
        missing = {k for k, value in zip(part, got, strict=True) if value is None}
        found += sum(value is not None for value in got)
        ask([("SET", f"key:{k}", "v" * 100) for k in missing])
    return found


class Asker:
    """Sends many commands at once over a socket, or to a session of the store."""

    def __init__(self, wire: Wire | None, session: Any = None) -> None:
        self.wire, self.session = wire, session

    def __call__(self, commands: list[tuple[str, ...]]) -> list[Any]:
        if not commands:
            return []
        if self.wire is not None:
            return [parse(self.wire.call(*words))[0] for words in commands]
        data, at, out = self.session.feed(b"".join(command(*words) for words in commands)), 0, []
        for _ in commands:
            value, at = parse(data, at)
            out.append(value)
        return out


@pytest.mark.parametrize("policy", ["allkeys-lfu", "allkeys-lru"])
def test_hit_rate_beside_redis(pair: Pair, policy: str) -> None:
    """The same number of keys fits on both; LRU needs seconds to tell keys apart, so its trace is a few rounds."""
    rounds, count, capacity = (1, 30_000, 2000) if policy.endswith("lfu") else (5, 4000, 1000)
    keys = trace(5, 10 * capacity, rounds * count)
    rates = []
    for side in ("theirs", "ours"):
        ask = Asker(pair.real) if side == "theirs" else Asker(None, pair.ours)
        ask([("CONFIG", "SET", "maxmemory-policy", policy)])
        before = memory(ask)
        ask([("SET", f"filler:{i}", "v" * 100) for i in range(capacity)])
        each = (memory(ask) - before) / capacity
        ask([("FLUSHALL",)])
        ask([("CONFIG", "SET", "maxmemory", str(int(memory(ask) + capacity * each)))])
        found = 0
        for i in range(rounds):
            if i:
                time.sleep(1.05)
            found += hits(ask, keys[i * count : (i + 1) * count])
        rates.append(found / len(keys))
        size = ask([("DBSIZE",)])[0]
        assert 0.7 * capacity < size < 1.3 * capacity, side
        ask([("CONFIG", "SET", "maxmemory", "0")])
    pair.real.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert rates[1] > rates[0] - 0.03, rates


def memory(ask: Asker) -> int:
    found = re.search(rb"used_memory:(\d+)", ask([("INFO", "memory")])[0])
    assert found is not None
    return int(found[1])


# ---- clients' buffers


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Process]:
    process = Process(OURS, tmp_path / "ours").wait_ready()
    yield process
    process.stop()


def ask(s: socket.socket, *words: str) -> bytes:
    s.sendall(command(*words))
    got = b""
    while True:
        part = s.recv(65536)
        assert part, "closed"
        got += part
        try:
            parse(got)
        except (ValueError, IndexError):
            continue
        return got


def test_the_largest_client_goes(served: Process) -> None:
    with served.connect() as own, served.connect() as big, served.connect() as bigger, served.connect() as safe:
        assert ask(safe, "CLIENT", "NO-EVICT", "on") == b"+OK\r\n"
        for s, n in ((big, 100_000), (bigger, 400_000), (safe, 600_000)):
            s.sendall(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (n + 10) + b"x" * n)
        for _ in range(100):
            if ask(own, "CLIENT", "LIST").count(b"qbuf=0 ") == 1:
                break
            time.sleep(0.02)
        sizes = [int(n) for n in re.findall(rb"tot-mem=(\d+)", ask(own, "CLIENT", "LIST"))]
        limit = sum(sizes) - sorted(sizes)[-2] // 2
        assert ask(own, "CONFIG", "SET", "maxmemory-clients", str(limit)) == b"+OK\r\n"
        for _ in range(100):
            if b"evicted_clients:1" in ask(own, "INFO", "stats"):
                break
            time.sleep(0.02)
        assert bigger.recv(10) == b""
        served.wait_log("Evicting client: id=")
        assert ask(own, "CONFIG", "SET", "maxmemory-clients", "0") == b"+OK\r\n"
        assert b"evicted_clients:1" in ask(own, "INFO", "stats")
        for s in (big, safe):
            s.sendall(b"y" * 10 + b"\r\n")
            assert s.recv(1) == b"$"


def test_a_client_goes_while_nobody_says_a_word(served: Process) -> None:
    with served.connect() as own, served.connect() as big:
        assert ask(own, "CONFIG", "SET", "maxmemory-clients", "300000") == b"+OK\r\n"
        big.sendall(b"*2\r\n$4\r\nECHO\r\n$500000\r\n" + b"x" * 10_000)
        assert big.recv(10) == b""
        assert ask(own, "PING") == b"+PONG\r\n"


def test_no_evict_words(pair: Pair) -> None:
    for word in ("on", "OFF", "maybe"):
        pair.same("CLIENT", "NO-EVICT", word)
    pair.same("CLIENT", "NO-EVICT")


ATTENTIVE = {
    "watch": lambda i: ("WATCH", *(f"key:{i}:{j}" for j in range(200))),
    "channels": lambda i: ("SUBSCRIBE", *(f"channel:{i}:{j}" for j in range(200))),
    "patterns": lambda i: ("PSUBSCRIBE", *(f"pattern:{i}:{j}*" for j in range(200))),
    "prefixes": lambda i: ("CLIENT", "TRACKING", "ON", "BCAST", *prefixes(i)),
}


def prefixes(i: int) -> list[str]:
    return [word for j in range(200) for word in ("PREFIX", f"{i:03}:{j:04}:")]


@pytest.mark.parametrize("kind", ATTENTIVE)
def test_what_a_client_is_told_about_counts_as_its_memory(several, kind):
    """maxmemory-clients ends a client that watches or listens without end, whose buffers are small."""
    for side in several.sides:
        control, client = Wire(side.path), Wire(side.path)
        try:
            control.call("CLIENT", "NO-EVICT", "ON")
            client.call("HELLO", 3)
            control.call("CONFIG", "SET", "maxmemory-clients", "300kb")
            with pytest.raises((EOFError, OSError)):
                for i in range(200):
                    client.send(command(*ATTENTIVE[kind](i)) + command("PING"))
                    while client.reply() != b"+PONG\r\n":
                        pass
            assert control.call("PING") == b"+PONG\r\n"
        finally:
            control.call("CONFIG", "SET", "maxmemory-clients", 0)
            control.close()
            client.close()
