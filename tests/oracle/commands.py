"""Random commands, for redis-server and a store of ours to agree on.

The command table is the grammar: for every bound command of the groups below, its documented arguments say what may
stand where, and this module says which values are interesting there: few keys, so that types collide and collections
grow, values at the edges of what an encoding takes, options in any order and case, and every so often something wrong.

A program is a list of units, a unit a list of commands that belong together (MULTI ... EXEC; a draw by lot and what it
may have drawn from).  Between units no transaction is open.  Left out: what would end or mute the connection (QUIT,
CLIENT REPLY, CLIENT KILL), and what tells of the process (CLIENT ID, LIST and INFO).  Drawing without removing
(SRANDMEMBER, RANDOMKEY, ...) is compared by membership; SPOP either draws the whole set, or a program is `drawing`: one
that only our own store runs, to check that its effects repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import accumulate
from random import Random
from typing import Any

import libkv.commands  # noqa: F401  (binds the commands)
from libkv.commands.facts.row import Row, arguments
from libkv.engine.registry import commands_bound
from tests.oracle import stream_commands as streams

Command = tuple[bytes, ...]

GROUPS = (
    "generic",
    "string",
    "hash",
    "list",
    "set",
    "sorted_set",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "connection",
    "transactions",
)

# ends or mutes the connection; tells of the process; made by hand below
APART = frozenset(
    "quit client|reply client|kill client|id client|list client|info client|pause client|unpause client|no-evict "
    "client|tracking client|caching client|unblock hello auth reset multi exec discard pfdebug pfselftest wait object|help "
    "client|help dump restore migrate".split()
)
DRAWS = {"srandmember": b"SMEMBERS", "hrandfield": b"HGETALL", "zrandmember": b"ZRANGE", "randomkey": b"KEYS"}

# how often, relative to 10: what destroys is rarer than what fills
WEIGHTS = {
    "del": 3, "unlink": 2, "rename": 3, "renamenx": 4, "move": 3, "copy": 6, "getdel": 3, "keys": 2, "scan": 3, "lcs": 1,
    "sinterstore": 5, "sdiffstore": 5, "zdiffstore": 5, "zinterstore": 6, "ltrim": 5, "zremrangebylex": 4,
    "zremrangebyrank": 4, "zremrangebyscore": 4, "spop": 1, "select": 3, "touch": 2, "echo": 2, "ping": 2, "watch": 3,
    "unwatch": 2, "client|getname": 1, "client|setname": 1, "object|idletime": 1, "object|freq": 1, "object|refcount": 2,
    "randomkey": 2, "sadd": 25, "zadd": 30, "hset": 25, "rpush": 20, "lpush": 20, "set": 25, "mset": 10, "append": 12,
    "setbit": 15, "pfadd": 15, "zunionstore": 10, "object|encoding": 10, "setrange": 8, "geoadd": 25, "geosearch": 12,
    **streams.WEIGHTS,
}  # fmt: skip

# what the wrong number in the wrong place makes huge, or short-lived
UNHARMED = frozenset(
    b"setbit bitfield setrange setex psetex getex expire pexpire expireat pexpireat "
    b"srandmember hrandfield zrandmember".split()
)

POOLS = {
    "string": [b"s0", b"s1", b"s2", b"n0", b"n1", b"n2"],
    "hash": [b"h0", b"h1", b"h2", b"h3"],
    "list": [b"l0", b"l1", b"l2", b"l3"],
    "set": [b"e0", b"e1", b"e2", b"i0", b"i1", b"i2"],
    "sorted_set": [b"z0", b"z1", b"z2", b"z3", b"z0", b"z1", b"z2", b"z3", b"e0", b"i0"],
    "bitmap": [b"b0", b"b1", b"b2", b"s0"],
    "hyperloglog": [b"p0", b"p1", b"p2"],
    "geo": [b"g0", b"g1", b"g0", b"g1", b"z0"],
    "stream": streams.KEYS,
}
# Ranges by name are defined for members of one score: these keys never get another.
EVEN_KEYS = [b"x0", b"x1"]
SORTED = (b"yl", b"ys", b"yz")  # a list, a set and a sorted set, made just before they are sorted
BY_LEX = frozenset("zrangebylex zrevrangebylex zlexcount zremrangebylex".split())
EVEN_TOO = frozenset("zrem zpopmin zpopmax zcard zscore zrank zrevrank zremrangebyrank zmscore del".split())
ANY_KEY = [
    *{key for pool in POOLS.values() for key in pool},
    b"",
    b"\x00\xff\r\n",
    b"a key of more than forty-four bytes: " + b"k" * 30,
]
ANY_KEY.sort()

# settings that decide on encodings: their default, and what small data reach
LIMITS = {
    b"hash-max-listpack-entries": [b"512", b"4", b"8", b"0", b"128"],
    b"hash-max-listpack-value": [b"64", b"8", b"0", b"100"],
    b"list-max-listpack-size": [b"-2", b"4", b"1", b"128", b"-1"],
    b"set-max-intset-entries": [b"512", b"4", b"8", b"0"],
    b"zset-max-listpack-entries": [b"128", b"4", b"8", b"0"],
    b"zset-max-listpack-value": [b"64", b"8", b"0"],
    **streams.LIMITS,
}
DEFAULTS: Command = (b"CONFIG", b"SET", *(word for name, values in LIMITS.items() for word in (name, values[0])))

SMALL = [b"%d" % n for n in range(-3, 12)]
EDGE_INTS = [
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"-9223372036854775809", b"127", b"128",
    b"-128", b"-129", b"32767", b"32768", b"-32769", b"8388607", b"8388608", b"2147483647", b"2147483648", b"-2147483649",
    b"4294967296", b"4611686018427387904", b"9999", b"10000", b"12345678901234567890", b"100", b"-100",
]  # fmt: skip
NOT_INTS = [b"", b"abc", b"1.5", b"+1", b"007", b" 1", b"1 ", b"-0", b"0x10", b"1e3", b"--1", b"\x00"]
FLOATS = [
    b"0", b"-0", b"1", b"-1", b"1.5", b"2.25", b"3.0e3", b"0.1", b"-0.1", b"1e-7", b"123456.789", b"1e17", b"1e21", b"-1e300",
    b"inf", b"-inf", b"+inf", b"9007199254740993", b"3.14159265358979", b"1e308", b"5e-324", b"0.30000000000000004",
    b"1000000000000000000000", b"17", b"-17.5", b"0x1p3", b".5", b"5.", b"+2",
]  # fmt: skip
NOT_FLOATS = [b"nan", b"", b"abc", b"1.5x", b" 1", b"1 ", b"1e", b"infinit", b"--1", b"1\x00"]
TEXTS = [
    b"a", b"b", b"c", b"d", b"e", b"foo", b"bar", b"hello world", b"", b"\x00", b"\xff\xfe", b"line\r\nline", b"ohmytext",
    b"mynewtext", b"x" * 44, b"y" * 45, b"z" * 63, b"z" * 64, b"z" * 65, b"word" * 40,
]  # fmt: skip
LEX = [b"-", b"+", b"[a", b"(a", b"[c", b"(d", b"[foo", b"(foo", b"[", b"(", b"[m5", b"(m20", b"[z", b"[\xff"]
PATTERNS = [
    b"*",
    b"*",
    b"?0",
    b"[a-m]*",
    b"h*",
    b"[^s]?",
    b"m?",
    b"*5*",
    b"",
    b"\\*",
    b"[",
    b"*[",
    b"x[0-9]",
    b"k\\",
    b"m[1-3]*",
]
ENCODINGS = [
    b"u1",
    b"u8",
    b"i8",
    b"u16",
    b"i16",
    b"i5",
    b"u31",
    b"i32",
    b"u63",
    b"i64",
    b"u64",
    b"i65",
    b"u0",
    b"x8",
    b"u",
    b"I8",
]
BIT_OFFSETS = [b"4294967296", b"-1", b"9223372036854775807", b"18446744073709551616", b"abc", b""]
FAR_SECONDS, FAR_MS = 4_000_000_000, 4_000_000_000_000


def rows() -> list[tuple[str, Row]]:
    """(group, row) of every bound command that a program may contain."""
    bound = set(commands_bound())
    found = []
    for group in GROUPS:
        module = import_module(f"libkv.commands.facts.{group}")
        found += [(group, row) for row in module.ROWS if row.name in bound and row.name not in APART]
    return found


class Generator:
    """Programs from a seed.  drawing: SPOP may draw by lot (what only our own store is to run)."""

    def __init__(self, seed: int, drawing: bool = False) -> None:
        self.random = Random(seed)
        self.drawing = drawing
        table = rows()
        self.kinds = [(group, row.name, arguments(row), row) for group, row in table]
        self.weights = list(accumulate(self.weight(row) for _, row in table))
        self.group = ""
        self.name = ""
        self.many = 0  # keys or weights that a number announced
        self.pool = ANY_KEY
        self.in_multi = False
        self.stream_ms = 0  # of the newest ID
        self.stream_far = 0

    @staticmethod
    def weight(row: Row) -> int:
        if row.name in WEIGHTS:
            return WEIGHTS[row.name]
        return 10 if "denyoom" in row.flags else 5 if "write" in row.flags else 6

    # ---- programs

    def program(self, n: int) -> list[list[Command]]:
        """Units of at least n commands together."""
        units: list[list[Command]] = [self.settings()]
        count = 0
        while count < n:
            unit = self.unit()
            count += len(unit)
            units.append(unit)
        return units

    def settings(self) -> list[Command]:
        """Conversion limits that small data reach; the same on both sides."""
        r = self.random
        chosen = [(name, r.choice(values) if r.random() < 0.7 else values[0]) for name, values in LIMITS.items()]
        return [(b"CONFIG", b"SET", *(word for pair in chosen for word in pair)), (b"SELECT", b"0")]

    def unit(self) -> list[Command]:
        r = self.random
        luck = r.random()
        if luck < 0.955:
            return self.plain()
        if luck < 0.985:
            return self.transaction()
        if luck < 0.99:
            return [self.by_hand()]
        return self.with_source(self.wrong(self.plain()[0]))

    def plain(self) -> list[Command]:
        """One command, or a draw by lot and then what it was drawn from."""
        r = self.random
        group, name, args, row = r.choices(self.kinds, cum_weights=self.weights)[0]
        if "blocking" in row.flags and group != "stream" and not self.in_multi:
            return [(b"PING",)]  # it would wait for another client: tests/oracle/test_differential_clients.py
        if self.in_multi and (name in DRAWS or name in ("watch", "object|refcount")):
            return [(b"PING",)]  # values in a queue are referred to twice
        self.group, self.name, self.many = group, name, 0
        self.pool = POOLS.get(group, ANY_KEY) if name not in BY_LEX else EVEN_KEYS
        words = [self.case(word) for word in name.encode().split(b"|")]
        special = SPECIAL.get(name)
        if special is not None:
            words += special(self)
        else:
            self.fill(args, words)
        if name in ("sort", "sort_ro"):  # an earlier overflow would make Redis refuse it; this makes it forget that
            forget: Command = (b"ZADD", b"z0", b"XX", b"0.5", b"nobody")
            elements = [self.text("element") for _ in range(r.choice([1, 3, 8, 50]))]
            make = dict(zip(SORTED, (b"RPUSH", b"SADD", b"ZADD"), strict=True))[words[1]]
            if make == b"ZADD":
                elements = [word for element in elements for word in (r.choice(SMALL), element)]
            return [(b"DEL", words[1]), (make, words[1], *elements), forget, tuple(words)]
        if r.random() < 0.02:
            words = list(self.wrong(tuple(words)))
        return self.with_source(tuple(words))

    def with_source(self, command: Command) -> list[Command]:
        """The command; if it draws by lot, then also one that tells what was there to draw from."""
        name = command[0].lower().decode("latin1") if command else ""
        if name not in DRAWS:
            return [command]
        if name == "randomkey":
            return [command, (b"KEYS", b"*")]
        key = command[1] if len(command) > 1 else b"nokey"
        return [command, (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES") if name == "zrandmember" else (DRAWS[name], key)]

    def transaction(self) -> list[Command]:
        r = self.random
        unit: list[Command] = []
        if r.random() < 0.5:
            unit.append((b"WATCH", *(self.key() for _ in range(r.randint(1, 3)))))
            if r.random() < 0.6:
                unit += self.plain()
        unit.append((self.case(b"MULTI"),))
        self.in_multi = True
        for _ in range(r.randint(0, 8)):
            if r.random() < 0.04:
                unit.append(
                    r.choice([(b"MULTI",), (b"WATCH", b"s0"), (b"NOSUCH", b"a"), (b"GET",), (b"DEBUG", b"SLEEP")])
                )
            else:
                unit += self.plain()
        self.in_multi = False
        unit.append((self.case(b"EXEC"),) if r.random() < 0.85 else (b"DISCARD",))
        return unit

    def by_hand(self) -> Command:
        """Commands of no group's grammar."""
        r = self.random
        choices: list[Command] = [
            (b"DBSIZE",), (b"FLUSHDB",), (b"FLUSHDB", b"ASYNC"), (b"SWAPDB", b"0", b"1"), (b"SWAPDB", b"0", b"99"),
            (b"EXEC",), (b"DISCARD",), (b"AUTH", b"x"), (b"AUTH", b"default", b"x"), (b"HELLO", b"4"), (b"HELLO", b"x"),
            (b"HELLO", b"3", b"FOO"), (b"HELLO", b"3", b"SETNAME", b"a b"), (b"CLIENT", b"SETNAME", b"name"),
            (b"COMMAND", b"COUNT", b"x"), (b"OBJECT", b"NOSUCH", b"s0"), (b"CLIENT", b"GETNAME", b"x"), (b"DEBUG",),
            (b"DBSIZE",), (b"DBSIZE", b"x"), (b"SELECT", b"0"), (b"DEBUG", b"OBJECT", b"nokey"), (b"CONFIG", b"GET"),
        ]  # fmt: skip
        return r.choice(choices)

    def wrong(self, command: Command) -> Command:
        """The command with one thing wrong with it, perhaps."""
        r = self.random
        name = command[0].lower()
        if name in UNHARMED or (name == b"set" and len(command) > 4):
            return command  # an offset or a count too large costs gigabytes; a short life ends when the clock says
        if b"*" in command and name == b"xadd":
            return command  # the clock would decide
        words = list(command)
        at = r.randrange(len(words))
        how = r.random()
        if how < 0.25 and len(words) > 1:
            del words[max(at, 1)]
        elif how < 0.5:
            words.insert(max(at, 1), r.choice(TEXTS[:12] + NOT_INTS))
        elif how < 0.75:
            words[at if at or how < 0.55 else -1] = (
                r.choice(NOT_INTS + EDGE_INTS + NOT_FLOATS) if at else b"NO" + words[0]
            )
        elif how < 0.9:
            words.append(r.choice([b"NX", b"XX", b"LIMIT", b"COUNT", b"WITHSCORES", b"GET", b"EX", b"BYLEX", b"1"]))
        else:
            other = r.randrange(len(words))
            if at and other:
                words[at], words[other] = words[other], words[at]
        if not set(EVEN_KEYS).isdisjoint(command) or b"BYLEX" in words or name.endswith(b"scan") or name == b"spop":
            return command  # it might mix scores, hit on a cursor, or draw by lot
        if words[0].upper() in (b"EXEC", b"MULTI", b"QUIT", b"DISCARD", b"NOEXEC"):
            return command
        return tuple(words)

    # ---- the grammar

    def fill(self, args: list[dict[str, Any]], words: list[bytes]) -> None:
        """Arguments in their order; options (what has a token and may be left out) next to each other in any order."""
        i = 0
        while i < len(args):
            run = [args[i]]
            while i + 1 < len(args) and is_option(args[i]) and is_option(args[i + 1]):
                i += 1
                run.append(args[i])
            if len(run) > 1 and self.random.random() < 0.4:
                self.random.shuffle(run)
            for argument in run:
                self.argument(argument, words)
            i += 1

    def argument(self, a: dict[str, Any], words: list[bytes]) -> None:
        r = self.random
        flags = a.get("flags", ())
        kind, name = a["type"], a["name"]
        if "optional" in flags and r.random() < (0.75 if is_option(a) else 0.5):
            return
        times = self.times(name) if "multiple" in flags else 1
        if name == "weight":
            times = self.many or 1
        token = a.get("token")
        for turn in range(times):
            if token is not None and kind != "pure-token" and (turn == 0 or "multiple_token" in flags):
                words.append(self.case(token.encode()))
            if kind == "pure-token":
                words.append(self.case(token.encode()))
            elif kind == "oneof":
                self.argument(r.choice(a["arguments"]), words)
            elif kind == "block":
                self.fill(a["arguments"], words)
            else:
                words.append(self.value(kind, name))

    def times(self, name: str) -> int:
        """How many of what may repeat: few, and now and then enough to convert an encoding."""
        r = self.random
        if name == "key" and self.many:
            return self.many if r.random() < 0.98 else r.randint(1, 3)
        luck = r.random()
        if luck < 0.6:
            return 1
        if luck < 0.97 or name in ("key", "key_value", "sourcekey"):
            return r.randint(1, 4)
        return r.randint(5, 70)

    def value(self, kind: str, name: str) -> bytes:
        r = self.random
        if kind == "key":
            return self.key()
        if kind == "pattern":
            return r.choice(PATTERNS)
        if kind == "double" and self.group == "geo":
            return self.degrees(name)
        if kind == "double":
            return self.number() if name not in ("min", "max") else self.bound()
        if kind == "integer":
            return self.integer(name)
        if kind == "unix-time":
            return self.moment(FAR_SECONDS if name.endswith("seconds") and "milli" not in name else FAR_MS)
        return self.text(name)

    def key(self) -> bytes:
        r = self.random
        if self.pool is EVEN_KEYS or (self.name in EVEN_TOO and r.random() < 0.15):
            return r.choice(EVEN_KEYS)
        return r.choice(self.pool if r.random() < 0.9 else ANY_KEY)

    def case(self, word: bytes) -> bytes:
        luck = self.random.random()
        if luck < 0.6:
            return word.upper()
        return word.lower() if luck < 0.9 else word.swapcase().title()

    def integer(self, name: str) -> bytes:
        r = self.random
        luck = r.random()
        if luck < 0.02:
            return r.choice(NOT_INTS)
        if name == "numkeys":
            self.many = r.choice((1, 2, 2, 3, 4))
            return b"%d" % self.many if luck < 0.97 else r.choice(SMALL)
        if name in ("seconds", "milliseconds"):
            far = r.randrange(10**5, 10**8)
            if luck > 0.9:
                return r.choice([b"0", b"-1", b"9223372036854775807", b"9223372036854775", b"-9223372036854775808"])
            return b"%d" % (far if name == "seconds" else far * 1000)
        if name in ("destination-db", "db") or (name == "index" and self.name == "select"):
            return (
                b"%d" % r.choice((0, 0, 0, 0, 1, 1, 2, 3))
                if luck < 0.95
                else r.choice([b"16", b"-1", b"15", b"999999999999"])
            )
        if name == "offset" and self.group == "bitmap":
            return b"%d" % r.randrange(300) if luck < 0.93 else r.choice(BIT_OFFSETS)
        if name == "offset" and self.name == "setrange":
            return b"%d" % r.randrange(80) if luck < 0.95 else r.choice([b"-1", b"536870912", b"9223372036854775807"])
        if name in ("bit", "value") and self.group == "bitmap":
            return r.choice([b"0", b"1", b"1", b"1"] if luck < 0.95 else SMALL)
        if name == "count" and self.name in DRAWS:
            return b"%d" % r.randint(-6, 12)
        if name == "weight":
            return r.choice([b"1", b"2", b"-1", b"0.5", b"0", b"3.3", b"inf"] if luck < 0.95 else NOT_FLOATS)
        if self.name == "zincrby":
            return self.number()
        if luck < 0.85:
            return r.choice(SMALL)
        return b"%d" % r.randint(-200, 200) if luck < 0.94 else r.choice(EDGE_INTS)

    def moment(self, far: int) -> bytes:
        r = self.random
        luck = r.random()
        if luck < 0.94 or self.name == "set":
            return b"%d" % (far + r.randrange(10**6))
        return r.choice([b"1", b"0", b"-1", b"1000000000", b"abc", b"9223372036854775807"])

    def number(self) -> bytes:
        """A score or an increment."""
        r = self.random
        luck = r.random()
        if luck < 0.5:
            return r.choice(SMALL)
        if luck < 0.75:
            return b"%.2f" % (r.random() * 20 - 5)
        return r.choice(FLOATS if luck < 0.97 else NOT_FLOATS)

    def degrees(self, name: str) -> bytes:
        """A longitude or latitude, or the extent of a search."""
        r = self.random
        luck = r.random()
        if luck < 0.03:
            return r.choice([*NOT_FLOATS, b"181", b"-86", b"-1", b"inf"])
        if name not in ("longitude", "latitude"):
            return r.choice([b"0", b"0.5", b"100", b"1000", b"7000.25", b"20000", b"1e9"])
        if luck < 0.4:
            return r.choice([b"0", b"13.361389", b"15", b"-85.05112878", b"85.05112878", b"37.5", b"66.5"])
        if name == "longitude" and luck < 0.5:
            return r.choice([b"-180", b"180", b"179.9999"])
        return b"%.6f" % r.uniform(-85, 85)

    def bound(self) -> bytes:
        """A limit of scores."""
        r = self.random
        luck = r.random()
        if luck < 0.2:
            return r.choice([b"-inf", b"+inf", b"(inf", b"(-inf"])
        return (b"(" if luck < 0.4 else b"") + self.number()

    def text(self, name: str) -> bytes:
        r = self.random
        if self.group == "stream" and (found := streams.text(self, name)) is not None:
            return found
        luck = r.random()
        if name in ("member", "member1", "member2", "field", "element", "pivot") or self.group in ("hyperloglog",):
            if self.pool is POOLS["set"] and luck < 0.5:
                return b"%d" % r.randrange(-5, 30) if luck < 0.45 else r.choice(EDGE_INTS)
            if luck < 0.7:
                return b"m%d" % r.randrange(25)
            if luck < 0.8:
                return b"%d" % r.randrange(-10, 300)
        if name in ("min", "max"):
            return r.choice(LEX)
        if name == "encoding":
            return r.choice(ENCODINGS)
        if self.group == "string" and luck < 0.35:
            return r.choice(SMALL)
        if luck < 0.85:
            return r.choice(TEXTS)
        if luck < 0.92:
            return r.choice(EDGE_INTS + NOT_INTS + FLOATS)
        if luck < 0.995:
            return bytes(r.choices(b"abcd\x00\xff\r\n 019", k=r.randrange(40)))
        return b"%d" % r.randrange(10**9) * r.randint(1, 40)

    # ---- arguments that the table describes too loosely

    def zrange(self, store: bool) -> list[bytes]:
        r = self.random
        sort = r.choice([None, b"BYSCORE", b"BYLEX"])
        words = [self.key()] if store else []
        words.append(r.choice(EVEN_KEYS) if sort == b"BYLEX" else self.key())
        for _ in range(2):
            words.append(
                self.bound() if sort == b"BYSCORE" else r.choice(LEX) if sort == b"BYLEX" else self.integer("start")
            )
        options: list[list[bytes]] = []
        if sort is not None:
            options.append([self.case(sort)])
        if r.random() < 0.4:
            options.append([self.case(b"REV")])
        if r.random() < (0.4 if sort else 0.03):
            options.append([self.case(b"LIMIT"), self.integer("start"), self.integer("count")])
        if r.random() < (0.02 if store or sort == b"BYLEX" else 0.4):
            options.append([self.case(b"WITHSCORES")])
        r.shuffle(options)
        return words + [word for option in options for word in option]

    def zadd(self) -> list[bytes]:
        r = self.random
        words: list[bytes] = []
        if r.random() < 0.8:
            self.fill(next(args for _, name, args, _ in self.kinds if name == "zadd"), words)
            return words
        words.append(r.choice(EVEN_KEYS))
        for _ in range(self.times("score_member")):
            words += [b"0", self.text("member")]
        return words

    def scan(self) -> list[bytes]:
        """A whole scan at once: cursors differ."""
        r = self.random
        words = [] if self.name == "scan" else [self.key()]
        words.append(
            b"0"
            if r.random() < 0.97
            else r.choice([b"", b"abc", b"1.5", b" 1", b"-", b"\x00", b"99999999999999999999"])
        )
        options = [[self.case(b"COUNT"), b"1000000" if r.random() < 0.97 else r.choice([b"0", b"-1"])]]
        if r.random() < 0.4:
            options.append([self.case(b"MATCH"), r.choice(PATTERNS)])
        if r.random() < (0.4 if self.name == "scan" else 0.02):
            kinds = [b"string", b"LIST", b"set", b"zset", b"hash", b"stream", b"nothing"]
            options.append([self.case(b"TYPE"), r.choice(kinds)])
        r.shuffle(options)
        return words + [word for option in options for word in option]

    def spop(self) -> list[bytes]:
        r = self.random
        if self.drawing:
            return [self.key()] + ([r.choice(SMALL)] if r.random() < 0.5 else [])
        return [self.key(), r.choice([b"1000000", b"1000000", b"0", b"-1", b"abc"])]

    def bitop(self) -> list[bytes]:
        r = self.random
        operation = r.choice([b"AND", b"OR", b"XOR", b"NOT", b"NOP"])
        keys = 1 if operation == b"NOT" and r.random() < 0.9 else r.randint(1, 4)
        return [self.case(operation), self.key(), *(self.key() for _ in range(keys))]

    def bitfield(self, read_only: bool) -> list[bytes]:
        r = self.random
        words = [self.key()]
        for _ in range(r.randint(0, 4)):
            luck = r.random()
            if luck < 0.2 and not read_only:
                words += [self.case(b"OVERFLOW"), r.choice([b"WRAP", b"SAT", b"fail", b"NO"])]
                continue
            offset = b"%d" % r.randrange(200) if luck < 0.95 else r.choice(BIT_OFFSETS)
            field = [r.choice(ENCODINGS[:11] if luck < 0.95 else ENCODINGS), b"#" * (r.random() < 0.3) + offset]
            if luck < 0.5 or (read_only and luck < 0.97):
                words += [self.case(b"GET"), *field]
            else:
                words += [self.case(r.choice([b"SET", b"INCRBY"])), *field, r.choice(SMALL + EDGE_INTS)]
        return words

    def sort(self, store: bool) -> list[bytes]:
        """Equal elements of sets and sorted sets come in a hash table's order: those are not sorted by other keys."""
        r = self.random
        kind = r.choice(["list", "list", "list", "set", "sorted_set"])
        key = SORTED[["list", "set", "sorted_set"].index(kind)]
        storing = store and r.random() < 0.3
        patterns = [b"s*", b"n*", b"*", b"h*->m1", b"h0->*", b"#", b"h*->", b"*0", b"m*"]
        options = (
            [[self.case(b"ALPHA")]] if storing or r.random() < 0.5 else []
        )  # no numbers in what is told as an effect
        if kind == "list" and r.random() < 0.5:
            options.append([self.case(b"BY"), r.choice([*patterns, b"nosort"])])
        elif kind == "sorted_set" and r.random() < 0.4:
            options.append([self.case(b"BY"), b"nosort"])
        if r.random() < 0.4 and (kind == "list" or not options):
            options.append([self.case(b"LIMIT"), self.integer("offset"), self.integer("count")])
        if r.random() < 0.4:
            options.append([self.case(r.choice([b"ASC", b"DESC"]))])
        if kind == "list" or storing:
            options += [[self.case(b"GET"), r.choice(patterns)] for _ in range(r.choice([0, 0, 1, 2]))]
        if storing:
            options.append([self.case(b"STORE"), r.choice(POOLS["list"])])
        r.shuffle(options)
        return [key, *(word for option in options for word in option)]

    def lcs(self) -> list[bytes]:
        r = self.random
        options = [[b"LEN"], [b"IDX"], [b"MINMATCHLEN", self.integer("len")], [b"WITHMATCHLEN"], [b"FOO"]]
        chosen = [o for o, p in zip(options, (0.3, 0.5, 0.3, 0.3, 0.02), strict=True) if r.random() < p]
        r.shuffle(chosen)
        return [self.key(), self.key(), *(word for option in chosen for word in option)]


SPECIAL: dict[str, Callable[[Generator], list[bytes]]] = {
    "zrange": lambda g: g.zrange(store=False),
    "zrangestore": lambda g: g.zrange(store=True),
    "spop": Generator.spop,
    "zadd": Generator.zadd,
    "scan": Generator.scan,
    "sscan": Generator.scan,
    "hscan": Generator.scan,
    "zscan": Generator.scan,
    "bitop": Generator.bitop,
    "bitfield": lambda g: g.bitfield(read_only=False),
    "bitfield_ro": lambda g: g.bitfield(read_only=True),
    "lcs": Generator.lcs,
    **streams.SPECIAL,
    "sort": lambda g: g.sort(store=True),
    "sort_ro": lambda g: g.sort(store=False),
}


def is_option(a: dict[str, Any]) -> bool:
    """Whether it may be left out and is known by its token, wherever it stands."""
    if "optional" not in a.get("flags", ()):
        return False
    if a["type"] == "oneof":
        return all("token" in inner for inner in a["arguments"])
    return "token" in a
