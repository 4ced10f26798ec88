"""Random commands of several clients at once: transactions that interleave, commands that wait for each other's keys,
and clients that subscribe, in both protocols, to each other's messages and to what happens to the keys.

Each step is one command (or a few in one write) of one client, sent to redis-server and to a served store of ours; then
everything that any client has received must be the same.  What a waiting client sends is run when it is done.  That a step
is over is known without a clock: another client's PING, sent three times, is answered behind it.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv.engine.registry import commands_bound
from tests.oracle.differential import replay_effects
from tests.resp import Wire, command, parse

CLIENTS = 6
STEPS = 3000
SEEDS = 12
FIRST = 500
SUBSCRIBER_REGRESSIONS = [992672034]
PATIENCE = 10.0  # s that ours may be behind, or before
if os.environ.get("KEEPKV_SANITIZE"):
    SEEDS = 3
if os.environ.get("LONG"):
    SEEDS, FIRST = 200, random.SystemRandom().randrange(10**6, 10**9)

Words = tuple[Any, ...]

LISTS = ["k0", "k1", "k2", "l0", "l1"]
ZSETS = ["k0", "k1", "k2", "z0", "z1"]
KEYS = ["k0", "k1", "k2", "l0", "l1", "z0", "z1", "s0"]


class Side:
    """The clients of one server."""

    def __init__(self, path: str) -> None:
        self.control = Wire(path)
        self.clients = [Wire(path) for _ in range(CLIENTS)]
        self.numbers = [wire.call("CLIENT", "ID")[1:-2] for wire in self.clients]
        for wire in self.clients:
            wire.socket.setblocking(False)

    def send(self, who: int, commands: list[Words]) -> None:
        # @n stands for the number that this server has given to client n
        told = [
            [self.numbers[int(w[1:])] if isinstance(w, str) and w[:1] == "@" else w for w in words]
            for words in commands
        ]
        self.clients[who].send(b"".join(command(*words) for words in told))

    def settled(self) -> list[bytes]:
        """What each client has received."""
        for _ in range(3):
            self.control.call("PING")
        return [take(wire.socket) for wire in self.clients]

    def close(self) -> None:
        for wire in (self.control, *self.clients):
            wire.close()


def take(s: socket.socket) -> bytes:
    got = b""
    while True:
        try:
            part = s.recv(1 << 16)
        except BlockingIOError:
            return got
        if not part:
            return got + b"<closed>"
        got += part


class Program:
    """Steps from a seed.  The last client never waits, and wakes the others."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.scripts = "eval" in commands_bound()
        self.count = 0
        self.silent: set[int] = set()  # clients that wait, as far as can be seen

    def step(self) -> tuple[int, list[Words]]:
        r = self.random
        who = r.randrange(CLIENTS)
        if who in self.silent and r.random() < 0.8:  # a few may send on while they wait
            who = CLIENTS - 1
        n = 1 if r.random() < 0.9 else r.randint(2, 4)
        return who, [self.command(who) for _ in range(n)]

    def told(self, who: int, replies: list[bytes]) -> None:
        """What came of a step."""
        self.silent.add(who)
        self.silent -= {i for i, reply in enumerate(replies) if reply}

    def command(self, who: int) -> Words:
        r = self.random
        if who != CLIENTS - 1 and r.random() < 0.4:
            return self.waiting()
        if who == CLIENTS - 1 and self.silent and r.random() < 0.1:
            return "CLIENT", "UNBLOCK", f"@{r.choice(sorted(self.silent))}", r.choice(["TIMEOUT", "ERROR"])
        kind = r.choice(
            ["write", "write", "write", "write", "take", "look", "change", "change", "transaction", "session"]
        )
        return getattr(self, kind)(who)  # type: ignore[no-any-return]

    def value(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def side(self) -> str:
        return self.random.choice(["LEFT", "RIGHT"])

    def some(self, keys: list[str]) -> list[str]:
        return self.random.choices(keys, k=self.random.choice([1, 1, 2, 3]))

    def waiting(self) -> Words:
        r = self.random
        timeout = r.choice([0, 0, 0, 1000, 2000.5, "0x7d0"])
        lists, zsets = self.some(LISTS), self.some(ZSETS)
        count = [] if r.random() < 0.5 else ["COUNT", r.randint(1, 4)]
        return r.choice(
            [
                ("BLPOP", *lists, timeout),
                ("BRPOP", *lists, timeout),
                ("BLMPOP", timeout, len(lists), *lists, self.side(), *count),
                ("BLMOVE", r.choice(LISTS), r.choice(LISTS), self.side(), self.side(), timeout),
                ("BRPOPLPUSH", r.choice(LISTS), r.choice(LISTS), timeout),
                ("BZPOPMIN", *zsets, timeout),
                ("BZPOPMAX", *zsets, timeout),
                ("BZMPOP", timeout, len(zsets), *zsets, r.choice(["MIN", "MAX"]), *count),
                ("WAIT", r.choice([0, 1]), 100000),
            ]
        )

    def write(self, who: int) -> Words:
        r = self.random
        several = [self.value() for _ in range(r.randint(1, 4))]
        pairs = [w for v in several for w in (r.choice([1, 2, 2.5, "-inf", 1e10]), v)]
        script = "redis.call('rpush', KEYS[1], ARGV[1]); redis.call('zadd', KEYS[2], 1, ARGV[1]); return redis.call('exists', KEYS[1])"
        return r.choice(
            [
                (r.choice(["RPUSH", "LPUSH"]), r.choice(LISTS), *several),
                (r.choice(["RPUSH", "LPUSH"]), r.choice(LISTS), several[0]),
                ("ZADD", r.choice(ZSETS), *pairs),
                ("ZADD", r.choice(ZSETS), *pairs[:2]),
                ("LPUSHX", r.choice(LISTS), *several),
                ("EVAL", script, 2, r.choice(LISTS), r.choice(ZSETS), several[0])
                if self.scripts
                else ("ZINCRBY", r.choice(ZSETS), 1, several[0]),
                ("SET", r.choice(["s0", "k0"]), several[0]),
            ]
        )

    def take(self, who: int) -> Words:
        r = self.random
        return r.choice(
            [
                ("LPOP", r.choice(LISTS)),
                ("LMOVE", r.choice(LISTS), r.choice(LISTS), self.side(), self.side()),
                ("LMPOP", 2, r.choice(LISTS), r.choice(LISTS), self.side()),
                ("ZPOPMIN", r.choice(ZSETS)),
                ("LTRIM", r.choice(LISTS), 1, -1),
                ("DEL", *self.some(KEYS)),
                ("UNLINK", *self.some(KEYS)),
            ]
        )

    def look(self, who: int) -> Words:
        r = self.random
        return r.choice(
            [
                ("LRANGE", r.choice(LISTS), 0, -1),
                ("ZRANGE", r.choice(ZSETS), 0, -1, "WITHSCORES"),
                ("EXISTS", *KEYS),
                ("TYPE", r.choice(KEYS)),
                ("GET", "s0"),
                ("DBSIZE",),
            ]
        )

    def change(self, who: int) -> Words:
        r = self.random
        a, b = r.choice(KEYS), r.choice(KEYS)
        return r.choice(
            [
                ("RENAME", a, b),
                ("RENAMENX", a, b),
                ("COPY", a, b),
                ("COPY", a, b, "REPLACE"),
                ("COPY", a, b, "DB", 1),
                ("MOVE", a, r.choice([0, 1])),
                ("ZUNIONSTORE", r.choice(ZSETS), 2, r.choice(ZSETS), r.choice(ZSETS)),
                ("ZRANGESTORE", r.choice(ZSETS), r.choice(ZSETS), 0, 3),
                ("FLUSHDB",),
            ]
        )

    def transaction(self, who: int) -> Words:
        r = self.random
        return r.choice(
            [("MULTI",), ("MULTI",), ("EXEC",), ("EXEC",), ("EXEC",), ("DISCARD",), ("WATCH", *self.some(KEYS))]
        )

    def session(self, who: int) -> Words:
        r = self.random
        return r.choice([("SELECT", 0), ("SELECT", r.choice([0, 1])), ("PING",), ("RESET",)])


CHANNELS = ["news", "news.a", "news.b", "", "a channel of more bytes than fit into one word", "\xff\r\n", "*"]
PATTERNS = ["*", "news*", "n?ws.[ab]", "news.\\a", "__key*__:*", "__keyspace@0__:l*", "__keyevent@?__:*", "[", "", "x"]
EVENTS = ["", "KEA", "Kl", "Ez", "KE$xeg", "AKEnm", "Kgxe"]


class Subscribers(Program):
    """A program in which clients subscribe and publish, too."""

    def command(self, who: int) -> Words:
        r = self.random
        luck = r.random()
        if luck < 0.25 and who != CLIENTS - 1:
            return self.subscribing()
        if luck < 0.55:
            return self.publishing()
        if luck < 0.6:
            return self.changing()
        if luck < 0.65 and who == CLIENTS - 1:
            return "CONFIG", "SET", "notify-keyspace-events", r.choice(EVENTS)
        return super().command(who)

    def names(self, of: list[str]) -> list[str]:
        return self.random.choices(of, k=self.random.choice([1, 1, 2, 3]))

    def subscribing(self) -> Words:
        r = self.random
        return r.choice(
            [
                ("SUBSCRIBE", *self.names(CHANNELS)),
                ("SUBSCRIBE", *self.names(CHANNELS)),
                ("PSUBSCRIBE", *self.names(PATTERNS)),
                ("PSUBSCRIBE", *self.names(PATTERNS)),
                ("SSUBSCRIBE", *self.names(CHANNELS)),
                ("UNSUBSCRIBE", *self.names(CHANNELS)),
                ("PUNSUBSCRIBE", *self.names(PATTERNS)),
                ("SUNSUBSCRIBE", *self.names(CHANNELS)),
                (r.choice(["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"]),),
                (r.choice(["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "PUBLISH"]),),
            ]
        )

    def publishing(self) -> Words:
        r = self.random
        channel = r.choice(CHANNELS)
        script = "return {redis.call('publish', ARGV[1], 'p'), redis.call('spublish', ARGV[1], 's')}"
        return r.choice(
            [
                ("PUBLISH", channel, self.value()),
                ("PUBLISH", channel, self.value()),
                ("PUBLISH", channel, self.value()),
                ("SPUBLISH", channel, self.value()),
                ("PUBSUB", "NUMSUB", *self.names(CHANNELS)),
                ("PUBSUB", "SHARDNUMSUB", *self.names(CHANNELS)),
                ("PUBSUB", "NUMPAT"),
                ("EVAL", script, 0, channel) if self.scripts else ("PUBLISH", channel, "x"),
            ]
        )

    def changing(self) -> Words:
        """Of protocol and of what a connection is."""
        r = self.random
        return r.choice([("HELLO", 3), ("HELLO", 3), ("RESET",), ("PING", "x"), ("PING",), ("GET", "s0")])


NUMBER = re.compile(rb"(\$2\r\nid\r\n:)\d+")


def take_apart(data: bytes, at: int, inside: list[Any]) -> tuple[Any, int]:
    """A reply and where it ends.  inside: gets the messages that redis-server puts between a reply's elements when a
    client's own command is what it listens to; a client can't read them there, and ours come behind the reply."""
    kind, eol = data[at : at + 1], data.index(b"\r\n", at)
    if kind not in (b"*", b"%", b"~") or data[at + 1 : at + 2] == b"-":
        return parse(data, at)
    n = int(data[at + 1 : eol]) * (2 if kind == b"%" else 1)
    at = eol + 2
    items: list[Any] = []
    while len(items) < n:
        item, after = take_apart(data, at, inside)
        words = item[1] if isinstance(item, tuple) else item
        message = isinstance(words, list) and words[:1] in ([b"message"], [b"pmessage"], [b"smessage"])
        (inside if message else items).append(item)
        at = after
    return (items if kind == b"*" else (kind.decode(), items)), at


def values(data: bytes) -> list[Any]:
    """Replies and messages in their order; but messages of what happens to keys come last: those of a client's own
    command come before or behind its reply, as the command's code has it."""
    found: list[Any] = []
    events: list[Any] = []
    at = 0
    while at < len(data):
        inside: list[Any] = []
        value, at = take_apart(data, at, inside)
        for one in (value, *inside):
            items = one[1] if isinstance(one, tuple) else one
            event = isinstance(items, list) and len(items) > 2 and str(items[-2])[2:7] == "__key"
            (events if event else found).append(one)
    return found + events


def ordered(data: bytes) -> list[Any]:
    """The replies one by one.  A message to several patterns comes in any order of these, and so does the end of all
    subscriptions at once: there the names are sorted."""
    out: list[Any] = []
    for value in values(NUMBER.sub(rb"\g<1>0", data.removesuffix(b"<closed>"))):
        items = value[1] if isinstance(value, tuple) else value
        kind = items[0] if isinstance(items, list) and items else None
        key: tuple[Any, ...]
        rest: tuple[Any, ...]
        if kind == b"pmessage":
            key, what, rest = (b"", items[2], items[3]), items[1], ()
        elif isinstance(kind, bytes) and kind.endswith(b"unsubscribe"):
            key, what, rest = (kind,), items[1], (items[2],)
        else:
            out.append((value,))
            continue
        if out and out[-1][0] == key:
            out[-1][1].append(what)
            out[-1][1].sort(key=repr)
            out[-1][2].append(rest)
        else:
            out.append((key, [what], [rest]))
    return out


def loose(data: bytes) -> list[str]:
    """All that was received, in no order: when SUBSCRIBE of several channels stands in a transaction, each is told, but
    EXEC's array counts commands, so that nobody knows where it ends."""
    out: list[Any] = []
    for value in values(NUMBER.sub(rb"\g<1>0", data.removesuffix(b"<closed>"))):
        nested = isinstance(value, list) and any(isinstance(item, list | tuple) for item in value)
        for item in value if nested else [value]:
            words = item[1] if isinstance(item, tuple) else item
            if isinstance(words, list) and str(words[:1]).endswith("unsubscribe']"):
                out += [words[:2], words[::2]]
            else:
                out.append(item)
    return sorted(map(repr, out))


def agree(theirs: bytes, ours: bytes) -> bool:
    """Whether two clients have received the same."""
    if theirs == ours:
        return True
    try:
        if theirs.endswith(b"<closed>") != ours.endswith(b"<closed>"):
            return False
        return ordered(theirs) == ordered(ours) or (b"subscribe\r\n" in theirs and loose(theirs) == loose(ours))
    except (ValueError, IndexError):
        return False


@pytest.fixture
def own_socket(tmp_path: Path) -> Iterator[tuple[libkv.Store, str]]:
    with libkv.Store(enable_debug_command="yes") as store:
        store.record_effects(True)
        path = str(tmp_path / "ours.sock")
        server = libkv.Server(store, port=None, unixsocket=path).start()
        yield store, path
        server.stop()


def run(sides: list[Side], store: libkv.Store, seed: int, kind: type[Program]) -> None:
    program = kind(seed)
    done: list[str] = []
    for n in range(STEPS):
        who, commands = program.step()
        done.append(f"{who}: {commands}")
        for side in sides:
            side.send(who, commands)
        theirs, ours = (side.settled() for side in sides)
        end = time.monotonic() + PATIENCE
        # a busy machine, or a client with much to run on waking
        while not all(map(agree, theirs, ours)) and time.monotonic() < end:
            theirs, ours = (
                [a + b for a, b in zip(x, side.settled(), strict=True)]
                for x, side in zip((theirs, ours), sides, strict=True)
            )
        program.told(who, theirs)
        differ = [
            f"{i}: redis {a!r}\n   ours  {b!r}"
            for i, (a, b) in enumerate(zip(theirs, ours, strict=True))
            if not agree(a, b)
        ]
        assert not differ, f"seed {seed}, step {n}\n" + "\n".join(done[-40:] + differ)
        if n % 50 == 0:
            store.check()
            digests = [side.control.call("DEBUG", "DIGEST") for side in sides]
            assert digests[0] == digests[1], f"seed {seed}, step {n}\n" + "\n".join(done[-60:])


def compare(redis_socket: str, own_socket: tuple[libkv.Store, str], seed: int, kind: type[Program]) -> None:
    store, path = own_socket
    real = Side(redis_socket)
    real.control.call("FLUSHALL")
    sides = [real, Side(path)]
    try:
        run(sides, store, seed, kind)
    finally:
        real.control.call("CONFIG", "SET", "notify-keyspace-events", "")
        for side in sides:
            side.close()
    wire = Wire(redis_socket)
    try:
        replay_effects(store, wire)
    finally:
        wire.close()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_clients(redis_socket: str, own_socket: tuple[libkv.Store, str], seed: int) -> None:
    compare(redis_socket, own_socket, seed, Program)


@pytest.mark.parametrize("seed", [*SUBSCRIBER_REGRESSIONS, *range(FIRST, FIRST + SEEDS)])
def test_subscribers(redis_socket: str, own_socket: tuple[libkv.Store, str], seed: int) -> None:
    compare(redis_socket, own_socket, seed, Subscribers)
