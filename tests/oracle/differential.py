"""Running one program on redis-server and on a store of ours, and finding the first command they disagree about.

Redis gets a chunk of commands in one write; ours gets the same chunk in batches of 1, 2 or 32, through a server's unix
socket or through session.feed.  Replies are compared as bytes; only where Redis's order is free, or a clock or a lot
decides, they are read and compared by what they say.  After every few chunks the digests of both keyspaces must be equal,
and every key's type and encoding.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libkv
from tests.oracle.commands import DEFAULTS, DRAWS, LIMITS, SORTED, Command
from tests.oracle.script_programs import crosses, with_payload
from tests.resp import Wire, command, parse, reply_end, unordered

Unit = list[Command]

CHUNK = 32  # commands that redis-server gets at once
DIGEST_EVERY = 4  # chunks
KEYS_EVERY = 32
CLOCK_SLACK = 5000  # ms, or s: what may lie between two clocks
DATABASES = 4  # that programs use

MEMBERS = frozenset(b"smembers sunion sdiff sinter keys hkeys hvals spop".split())
PAIRS = frozenset(b"hgetall".split())
SCANS = {b"scan": 1, b"sscan": 1, b"hscan": 2, b"zscan": 2}
CLOCKS = frozenset(b"ttl pttl expiretime pexpiretime object".split())
TOLD_TIMES = frozenset(b"xinfo xpending".split())
SCRIPTS = frozenset(b"eval eval_ro evalsha evalsha_ro fcall fcall_ro function".split())


TAKEN = re.compile(rb"ERR (Function|Library) \w+ already exists")  # of several, any is told


class Disagreement(AssertionError):
    """What differs; `unit`: the index of the unit it was seen in or soon after."""

    def __init__(self, text: str, unit: int) -> None:
        super().__init__(text)
        self.unit = unit


class Feed:
    """A store by session.feed."""

    def __init__(self, seed: int, path: str) -> None:
        self.store = libkv.Store(seed=seed + 1, enable_debug_command="yes")
        self.session = self.store.new_session()

    def ask(self, commands: list[Command]) -> bytes:
        return self.session.feed(b"".join(command(*words) for words in commands))

    def close(self) -> None:
        self.store.close()


class Served:
    """A store by a server's unix socket."""

    def __init__(self, seed: int, path: str) -> None:
        self.store = libkv.Store(seed=seed + 1, enable_debug_command="yes")
        self.server = libkv.Server(self.store, port=None, unixsocket=path).start()
        self.wire = Wire(path)

    def ask(self, commands: list[Command]) -> bytes:
        return ask_wire(self.wire, commands)

    def close(self) -> None:
        self.wire.close()
        self.server.stop()
        self.store.close()


Side = Feed | Served


def ask_wire(wire: Wire, commands: list[Command]) -> bytes:
    """Sends the commands in one write and takes as many replies."""
    wire.send(b"".join(command(*words) for words in commands))
    data = wire.buffer
    at, missing = 0, len(commands)
    while missing:
        end = reply_end(data, at) if len(data) > at else -1
        if end >= 0:
            at, missing = end, missing - 1
            continue
        more = wire.socket.recv(1 << 20)
        if not more:
            raise EOFError(f"closed after {data[at:]!r}, {missing} replies are missing; sent {commands}")
        data += more
    wire.buffer = data[at:]
    return data[:at]


def split(data: bytes) -> list[bytes]:
    """The replies one by one."""
    found = []
    at = 0
    while at < len(data):
        end = reply_end(data, at)
        if end < 0:
            found.append(data[at:])
            break
        found.append(data[at:end])
        at = end
    return found


# ---- one reply


def leaves(value: Any) -> Iterator[Any]:
    """Every element of a reply that is no container."""
    if isinstance(value, tuple) and isinstance(value[1], list):
        value = value[1]
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def pairs(items: list[Any]) -> list[Any]:
    return sorted(zip(items[::2], items[1::2], strict=True), key=repr)


def is_error(value: Any) -> bool:
    return isinstance(value, tuple) and value[0] in "-!"


def equal(words: Command, theirs: Any, ours: Any, after: Any) -> bool:
    """Whether two parsed replies that are not the same bytes still say the same.  after: our next reply."""
    if type(theirs) is not type(ours):
        return False
    if is_error(theirs) or is_error(ours):
        return all(is_error(v) and TAKEN.fullmatch(v[1]) for v in (theirs, ours))
    if isinstance(theirs, tuple) and theirs[0] != ours[0]:
        return False
    name = words[0].lower()
    a, b = (value[1] if isinstance(value, tuple) else value for value in (theirs, ours))
    if name in SCRIPTS:
        if name == b"function":  # a library's functions are a hash table's
            return isinstance(a, list) and bool(unordered(a) == unordered(b))
        return bool(maps_unordered(theirs) == maps_unordered(ours))
    if name in MEMBERS:
        return isinstance(a, list) and bool(unordered(a) == unordered(b))
    if name in (b"sort", b"sort_ro") and words[1] != SORTED[0]:  # bytes behind a NUL don't count in their order
        return isinstance(a, list) and bool(unordered(a) == unordered(b))
    if name in PAIRS:
        return len(a) == len(b) and pairs(a) == pairs(b)
    if name in SCANS:
        arrange = pairs if SCANS[name] == 2 else sorted
        return bool(a[0] == b[0]) and arrange(a[1]) == arrange(b[1])
    if name == b"object" and words[1].lower() == b"refcount":
        return isinstance(a, int) and min(a, b) == 1  # whether Redis shares a small number depends on how it came about
    if name in TOLD_TIMES:
        return bool(clocked(a) == clocked(b))
    if name in CLOCKS:
        return isinstance(a, int) and a >= 0 <= b and abs(a - b) <= CLOCK_SLACK
    if name == b"hello":
        return len(a) == len(b) and all(x == y for x, y, k in zip(a[1::2], b[1::2], a[::2], strict=True) if k != b"id")
    if name.decode("latin1") in DRAWS:
        return drawn(words, a, b, after)
    return False


def maps_unordered(value: Any) -> Any:
    """The value with its maps and sets sorted: they come in the order of a Lua table."""
    if isinstance(value, tuple) and isinstance(value[1], list):
        items = [maps_unordered(item) for item in value[1]]
        return value[0], pairs(items) if value[0] == "%" else sorted(items, key=repr) if value[0] == "~" else items
    return [maps_unordered(item) for item in value] if isinstance(value, list) else value


def clocked(value: Any) -> Any:
    """A reply of XINFO or XPENDING with what a clock said replaced."""
    if isinstance(value, tuple) and isinstance(value[1], list):
        return value[0], clocked(value[1])
    if not isinstance(value, list):
        return value
    out = [clocked(item) for item in value]
    for i in range(1, len(out)):
        if out[i - 1] in (b"idle", b"seen-time") and isinstance(out[i], int):
            out[i] = "time"
    if len(out) in (3, 4) and isinstance(out[0], bytes) and isinstance(out[-2], int) and isinstance(out[-1], int):
        out[-2] = "time"  # (ID, consumer, time, deliveries), or without the consumer
    return out


def drawn(words: Command, theirs: Any, ours: Any, after: Any) -> bool:
    """As many as Redis drew, all from what there is, and no two the same where that is promised."""
    if isinstance(theirs, list) != isinstance(ours, list):
        return False
    own = list(leaves(ours))
    if isinstance(theirs, list) and (len(theirs) != len(ours) or len(list(leaves(theirs))) != len(own)):
        return False
    if not set(own) <= set(leaves(after)):
        return False
    if len(words) > 2 and not words[2].startswith(b"-"):
        names = own[::2] if len(words) > 3 else own
        return len(set(names)) == len(names)
    return True


def first_difference(commands: list[Command], theirs: bytes, ours: bytes) -> tuple[int, bytes, bytes] | None:
    """The first command the replies to which say different things: its index and both replies."""
    if theirs == ours:
        return None
    left, right = split(theirs), split(ours)
    queue: list[Command] = []
    for i, words in enumerate(commands):
        a = left[i] if i < len(left) else b"(no reply)"
        b = right[i] if i < len(right) else b"(no reply)"
        if a != b:
            try:
                same = equal_bytes(words, a, b, right[i + 1] if i + 1 < len(right) else b"_\r\n", queue)
            except (IndexError, ValueError, TypeError):
                same = False
            if not same:
                return i, a, b
        name = words[0].lower()
        if name in (b"multi", b"discard", b"exec"):
            queue = queue if name == b"multi" and a.startswith(b"-") else []
        elif a == b"+QUEUED\r\n":
            queue.append(words)
    return None if len(left) == len(right) == len(commands) else (len(commands), theirs, ours)


def equal_bytes(words: Command, a: bytes, b: bytes, after: bytes, queue: list[Command]) -> bool:
    theirs, ours = parse(a)[0], parse(b)[0]
    if words[0].lower() != b"exec":
        return equal(words, theirs, ours, parse(after)[0])
    if not isinstance(theirs, list) or not isinstance(ours, list) or not len(theirs) == len(ours) == len(queue):
        return False
    return all(x == y or equal(w, x, y, None) for w, x, y in zip(queue, theirs, ours, strict=True))


# ---- a run


def whole(ask: Callable[[list[Command]], bytes]) -> dict[tuple[int, bytes], tuple[bytes, bytes]]:
    """(database, key) -> type and encoding, of every key.  Leaves the session in database 0."""
    found = {}
    for db in range(DATABASES):
        ask([(b"SELECT", b"%d" % db)])
        keys = sorted(parse(ask([(b"KEYS", b"*")]))[0])
        asked = [(b"TYPE", key) for key in keys] + [(b"OBJECT", b"ENCODING", key) for key in keys]
        told = split(ask(asked)) if asked else []
        found.update({(db, key): (told[i], told[i + len(keys)]) for i, key in enumerate(keys)})
        for key in keys:
            if found[db, key][0] == b"+stream\r\n":
                whole = parse(ask([(b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0")]))[0]
                found[db, key] = (repr(clocked(whole)).encode(), b"")
    ask([(b"SELECT", b"0")])
    return found


class Run:
    """One program against redis-server: `redis` a Wire, `make` Feed or Served, `batch` how ours gets the commands."""

    def __init__(self, redis: Wire, make: Callable[[int, str], Side], seed: int, batch: int, proto: int) -> None:
        self.redis = redis
        self.batch = batch
        self.done = 0
        self.home = tempfile.TemporaryDirectory(prefix="kv-")
        self.side = make(seed, str(Path(self.home.name) / "s"))
        self.side.store.record_effects(True)
        first: list[Command] = [(b"RESET",), (b"FLUSHALL",), (b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"), DEFAULTS]
        first += [(b"SCRIPT", b"FLUSH"), (b"FUNCTION", b"FLUSH")]
        first.append((b"HELLO", b"%d" % proto))
        ask_wire(redis, first)
        self.side.ask(first)

    def theirs(self, commands: list[Command]) -> bytes:
        return ask_wire(self.redis, commands)

    def ours(self, commands: list[Command]) -> bytes:
        n = self.batch
        return b"".join(self.side.ask(commands[i : i + n]) for i in range(0, len(commands), n))

    def chunk(self, commands: list[Command], unit: int) -> None:
        self.compare(commands, self.theirs(commands), self.ours(commands), unit)

    def cross(self, commands: list[Command], unit: int) -> None:
        """A dump, then commands in which each side finds the other's payload."""
        dump, rest = commands[:1], commands[1:]
        theirs, ours = (parse(ask(dump))[0] for ask in (self.theirs, self.ours))
        if type(theirs) is not type(ours) or is_error(theirs):
            raise Disagreement(f"{dump}\nredis {theirs!r}\nours  {ours!r}", unit)
        self.compare(rest, self.theirs(with_payload(rest, ours)), self.ours(with_payload(rest, theirs)), unit)

    def compare(self, commands: list[Command], theirs: bytes, ours: bytes, unit: int) -> None:
        self.done += len(commands)
        found = first_difference(commands, theirs, ours)
        if found:
            at, a, b = found
            told = commands[at] if at < len(commands) else "more replies than commands"
            raise Disagreement(f"{told}\nredis {a[:2000]!r}\nours  {b[:2000]!r}", unit)

    def digest(self, unit: int) -> bytes:
        theirs, ours = (ask([(b"DEBUG", b"DIGEST")]) for ask in (self.theirs, self.side.ask))
        if theirs != ours:
            raise Disagreement(f"DEBUG DIGEST\nredis {theirs!r}\nours  {ours!r}\n{self.contents()}", unit)
        return ours

    def contents(self) -> str:
        """Which values differ."""
        told = []
        for db in range(DATABASES):
            theirs, ours = ({}, {})  # type: tuple[dict[bytes, bytes], dict[bytes, bytes]]
            for ask, found in ((self.theirs, theirs), (self.side.ask, ours)):
                ask([(b"SELECT", b"%d" % db)])
                for key in parse(ask([(b"KEYS", b"*")]))[0]:
                    found[key] = ask([(b"DEBUG", b"DIGEST-VALUE", key)])
            told += [f"db {db} key {k!r}" for k in {*theirs, *ours} if theirs.get(k) != ours.get(k)]
        return "different: " + ", ".join(told)

    def keys(self, unit: int) -> None:
        self.side.store.check()
        theirs, ours = whole(self.theirs), whole(self.side.ask)
        if theirs != ours:
            wrong = [(k, theirs.get(k), ours.get(k)) for k in sorted({*theirs, *ours}) if theirs.get(k) != ours.get(k)]
            raise Disagreement(f"keys, types or encodings: {wrong[:5]}", unit)

    def program(self, units: list[Unit], stepwise: bool = False) -> None:
        """Raises Disagreement.  stepwise: every unit by itself, and everything compared after it."""
        waiting: list[Command] = []
        chunks = 0
        for i, unit in enumerate(units):
            if crosses(unit):
                self.chunk(waiting, i)
                waiting = []
                self.cross(unit, i)
                continue
            waiting += unit
            if len(waiting) < CHUNK and not stepwise:
                continue
            self.chunk(waiting, i)
            waiting = []
            chunks += 1
            if stepwise or chunks % DIGEST_EVERY == 0:
                self.digest(i)
            if chunks % KEYS_EVERY == 0:
                self.keys(i)
        self.chunk(waiting, len(units) - 1)
        self.digest(len(units) - 1)
        self.keys(len(units) - 1)

    def replay(self) -> None:
        """The effects, in an empty store and in redis-server, make the same data."""
        replay_effects(self.side.store, self.redis)

    def close(self) -> None:
        self.side.close()
        self.home.cleanup()


def replay_effects(store: libkv.Store, redis: Wire) -> None:
    """Applies all that `store` recorded to an empty store and to redis-server, and compares the three digests."""
    effects = bytes(store.take_effects())
    expected = store.execute((b"DEBUG", b"DIGEST"))
    with libkv.Store(enable_debug_command="yes") as again:
        told = store.execute((b"CONFIG", b"GET", *LIMITS))
        limits = tuple(word for pair in told.items() for word in pair)
        again.execute((b"CONFIG", b"SET", *limits))
        ask_wire(redis, [(b"RESET",), (b"FLUSHALL",), (b"FUNCTION", b"FLUSH"), (b"CONFIG", b"SET", *limits)])
        again.replay(effects)
        again.check()
        found = again.execute((b"DEBUG", b"DIGEST"))
        assert found == expected, f"the effects give {found!r} in an empty store, not {expected!r}"
    mark = b"the effects end here"
    redis.send(effects + command(b"ECHO", mark))
    replies = redis.buffer
    while not replies.endswith(mark + b"\r\n"):
        more = redis.socket.recv(1 << 20)
        assert more, "redis-server closed the connection"
        replies += more
    parsed = [parse(reply)[0] for reply in split(replies)]
    errors = [reply for reply in parsed if is_error(reply) or (isinstance(reply, list) and any(map(is_error, reply)))]
    assert not errors, f"redis-server refuses effects: {errors[:3]}"
    ask_wire(redis, [(b"SELECT", b"0")])
    told = parse(ask_wire(redis, [(b"DEBUG", b"DIGEST")]))[0][1]
    text = expected if isinstance(expected, bytes) else str(expected).encode()
    assert told == text, f"the effects give {told!r} in redis-server, not {text!r}"


# ---- a failing program made small


def step_by_step(redis: Wire, units: list[Unit], seed: int, proto: int) -> Disagreement | None:
    """Through session.feed, everything compared after each unit: what is the first difference?"""
    run = Run(redis, Feed, seed, 1, proto)
    try:
        run.program(units, stepwise=True)
    except Disagreement as found:
        return found
    finally:
        run.close()
    return None


def by_effects(redis: Wire, units: list[Unit], seed: int) -> Disagreement | None:
    """What is wrong with the effects of a program, in the end?"""
    side = Feed(seed, "")
    side.store.record_effects(True)
    try:
        whole: list[Unit] = [[DEFAULTS], *units, [(b"RESET",)]]
        for unit in whole:
            if crosses(unit):
                side.ask(with_payload(unit[1:], parse(side.ask(unit[:1]))[0]))
            else:
                side.ask(unit)
        replay_effects(side.store, redis)
    except AssertionError as found:
        return Disagreement(str(found), len(units) - 1)
    finally:
        side.close()
    return None


Check = Callable[[list[Unit]], Disagreement | None]


def shrink(check: Check, units: list[Unit], tries: int = 300) -> tuple[list[Unit], Disagreement] | None:
    """A program as short as can be found in so many tries that `check` finds fault with; None: not even the whole."""
    found = check(units)
    if found is None:
        return None
    units = units[: found.unit + 1]
    size = max(len(units) // 2, 1)
    while tries > 0:
        at = 0
        while at < len(units) - 1 and tries > 0:
            tries -= 1
            shorter = units[:at] + units[min(at + size, len(units) - 1) :]
            less = check(shorter)
            if less is None:
                at += size
            else:
                found, units = less, shorter[: less.unit + 1]
        if size == 1:
            break
        size //= 2
    return units, found


def explain(redis: Wire, units: list[Unit], seed: int, proto: int, error: BaseException) -> str:
    """The message of a failing seed: the difference, and the shortest program that shows one."""
    small = shrink(lambda part: step_by_step(redis, part, seed, proto), units)
    small = small or shrink(lambda part: by_effects(redis, part, seed), units)
    if small is None:
        return f"seed {seed}: {error}\n(not step by step: it takes the batches)"
    return "\n".join([f"seed {seed}: {small[1]}", "after", *(str(words) for unit in small[0] for words in unit)])
