"""The list group (without blocking) beside redis-server."""

from __future__ import annotations

import random

import pytest

from tests.oracle.effects import same_after_replay
from tests.resp import command

NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    "-3",
    "199",
    "200",
    "-200",
    "-201",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "",
    "1.0",
]


@pytest.fixture
def some(pair):
    """Lists of several sizes, and a key of another type."""
    pair.same("RPUSH", "one", "a")
    pair.same("RPUSH", "few", "a", "b", "3", "b", "", "a", "-7", "b")
    pair.same("RPUSH", "many", *[f"element {i % 50}" for i in range(200)])
    pair.same("RPUSH", "large", "x" * 9000, "y", "z" * 70000, "y" * 100)
    pair.same("SET", "text", "v")
    return pair


KEYS = ["one", "few", "many", "large", "text", "none"]


def each(pair, key, commands):
    """Each command on a fresh copy of the key."""
    for args in commands:
        pair.same("DEL", "k", "other")
        if key != "none":
            pair.same("COPY", key, "k")
        pair.same(*args)
        pair.same("LRANGE", "k", 0, -1)
        pair.same("LRANGE", "other", 0, -1)
        pair.same("EXISTS", "k", "other")


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", KEYS)
def test_pushing_and_popping(some, key, protocol):
    some.both("HELLO", protocol)
    commands = []
    for name in ["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"]:
        commands += [(name, "k"), (name, "k", "v"), (name, "k", "v", "", "5", "v" * 10000), (name,)]
    for name in ["LPOP", "RPOP"]:
        commands += [(name, "k"), (name, "k", 1, 2), (name,)] + [(name, "k", n) for n in NUMBERS]
    each(some, key, commands)
    some.finish()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", KEYS)
def test_reading(some, key, protocol):
    some.both("HELLO", protocol)
    some.same("LLEN", key)
    some.same("LLEN")
    some.same("OBJECT", "ENCODING", key)
    for n in NUMBERS:
        some.same("LINDEX", key, n)
        for m in NUMBERS:
            some.same("LRANGE", key, n, m)
    for value in ["a", "b", "element 7", "3", "03", "", "x" * 9000, "nothing"]:
        some.same("LPOS", key, value)
        for rank in ["1", "-1", "2", "-2", "100", "0", "9223372036854775807", "-9223372036854775808", "x"]:
            some.same("LPOS", key, value, "RANK", rank)
            for count in ["0", "1", "3", "-1", "x"]:
                some.same("LPOS", key, value, "rank", rank, "COUNT", count)
                some.same("LPOS", key, value, "COUNT", count, "MAXLEN", rank, "RANK", rank)
    for options in [("RANK",), ("foo", 1), ("COUNT", 1, "COUNT", 2), ("RANK", 1, "foo"), ("MAXLEN", 3), ("MAXLEN", -1)]:
        some.same("LPOS", key, "b", *options)


@pytest.mark.parametrize("key", KEYS)
def test_changing(some, key):
    commands = [("LSET", "k", 0), ("LINSERT", "k", "BEFORE", "a"), ("LREM", "k", 1), ("LTRIM", "k", 0)]
    for n in NUMBERS:
        commands += [("LSET", "k", n, "new"), ("LSET", "k", n, "n" * 20000), ("LSET", "k", n, "7")]
        commands += [("LREM", "k", n, value) for value in ["a", "b", "3", "element 7", "y", "nothing"]]
        commands += [("LTRIM", "k", n, m) for m in NUMBERS]
    for pivot in ["a", "b", "3", "element 7", "z" * 70000, "nothing", ""]:
        for where in ["BEFORE", "after", "foo"]:
            commands += [("LINSERT", "k", where, pivot, "new"), ("LINSERT", "k", where, pivot, "n" * 10000)]
    each(some, key, commands)
    some.finish()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", KEYS)
def test_moving(some, key, protocol):
    some.both("HELLO", protocol)
    sides = [
        ("LEFT", "LEFT"),
        ("left", "RIGHT"),
        ("RIGHT", "left"),
        ("RIGHT", "RIGHT"),
        ("foo", "LEFT"),
        ("LEFT", "foo"),
    ]
    for target in ["k", "other", "few", "large", "text"]:
        commands = [("RPOPLPUSH", "k", target), ("RPOPLPUSH", "k"), ("LMOVE", "k", target, "LEFT")]
        commands += [("LMOVE", "k", target, *s) for s in sides]
        each(some, key, commands)
        some.same("RPOPLPUSH", "none", target)
    some.finish()


@pytest.mark.parametrize("protocol", [2, 3])
def test_popping_from_several(some, protocol):
    some.both("HELLO", protocol)
    for keys in [("none",), ("none", "few"), ("text", "few"), ("few", "text"), ("none", "many", "few"), ("one", "few")]:
        for side in ["LEFT", "right", "foo"]:
            for options in [(), ("COUNT", 2), ("COUNT", 0), ("COUNT", -1), ("COUNT", "x"), ("COUNT",),
            ("COUNT", 2, "COUNT", 2),
                            ("COUNT", 10000), ("foo", 1)]:  # fmt: skip
                some.same("LMPOP", len(keys), *keys, side, *options)
    some.same("RPUSH", "few", "a", "b")
    for numkeys in [*NUMBERS, "3"]:
        some.same("LMPOP", numkeys, "few", "LEFT")
        some.same("LMPOP", numkeys, "none", "none2", "few", "LEFT")
    some.same("LMPOP", 1, "few")
    some.same("LMPOP", 1)
    some.finish()


VALUES = ["1", "-5", "70000", "a", "b", "c", "some words", "w" * 100, "v" * 3000, "u" * 9000, ""]


def step(pair, rnd, keys):
    """One random command on both."""
    key, other = rnd.choice(keys), rnd.choice(keys)
    value = rnd.choice(VALUES[: rnd.choice([5, 11])])
    index = rnd.choice([0, 1, -1, -2, rnd.randrange(-60, 60)])
    kind = rnd.randrange(15)
    if kind < 3:
        values = [
            rnd.choice(VALUES) if rnd.random() < 0.3 else rnd.randrange(100) for _ in range(rnd.choice([1, 2, 40]))
        ]
        pair.same(rnd.choice(["LPUSH", "RPUSH", "RPUSH", "LPUSHX"]), key, *values)
    elif kind < 5:
        pair.same(rnd.choice(["LPOP", "RPOP"]), key, *rnd.choice([(), (), (0,), (1,), (30,)]))
    elif kind == 5:
        pair.same("LMOVE", key, other, rnd.choice(["LEFT", "RIGHT"]), rnd.choice(["LEFT", "RIGHT"]))
    elif kind == 6:
        pair.same("RPOPLPUSH", key, other)
    elif kind == 7:
        pair.same("LMPOP", 2, key, other, rnd.choice(["LEFT", "RIGHT"]), "COUNT", rnd.choice([1, 3, 100]))
    elif kind == 8:
        pair.same("LINSERT", key, rnd.choice(["BEFORE", "AFTER"]), rnd.choice([value, rnd.randrange(100)]), value)
    elif kind == 9:
        pair.same("LSET", key, index, value)
    elif kind == 10:
        pair.same("LREM", key, rnd.choice([0, 1, -1, 5, -5]), rnd.choice([value, rnd.randrange(100)]))
    elif kind == 11 and rnd.random() < 0.3:
        pair.same("LTRIM", key, index, rnd.choice([-1, -10, 100]))
    elif kind == 12:
        pair.same("LRANGE", key, index, rnd.randrange(-60, 60))
    elif kind == 13:
        pair.same(
            "LPOS",
            key,
            value,
            "RANK",
            rnd.choice([1, -1, 3, -2]),
            "COUNT",
            rnd.choice([0, 1, 5]),
            "MAXLEN",
            rnd.choice([0, 50]),
        )
    else:
        pair.same(rnd.choice(["LLEN", "LLEN", "DEL", "EXISTS"]), key)
        pair.same("LINDEX", key, index)


@pytest.mark.parametrize("seed", range(12))
def test_random_commands(pair, seed):
    rnd = random.Random(seed)
    size = rnd.choice(["-2", "-1", "-5", "1", "7", "128"])
    pair.same("CONFIG", "SET", "list-max-listpack-size", size)
    pair.store.record_effects()
    keys = ["a", "b", "c", "d"][: rnd.choice([2, 4])]
    for i in range(1200):
        step(pair, rnd, keys)
        if i % 100 == 0:
            pair.store.check()
    pair.same("CONFIG", "SET", "list-max-listpack-size", "-2")
    pair.finish()
    same_after_replay(pair)


def test_effects_are_deterministic(pair):
    pair.store.record_effects()
    pair.same("RPUSH", "l", *"abcdef")
    pair.same("LMPOP", 3, "x", "l", "y", "LEFT", "COUNT", 2)
    pair.same("LMPOP", 1, "l", "RIGHT", "COUNT", 50)
    pair.same("RPOP", "l")
    pair.same("LTRIM", "l", 0, 1)
    assert same_after_replay(pair).count(b"LMPOP") == 0


def test_without_memory_a_command_changes_nothing(pair):
    """Fault injection at every allocation: OOM, and the lists as before; or the command's own reply."""
    rnd = random.Random(9)
    store = pair.store
    failed = 0

    def ours(*args):
        return pair.ours.feed(command(*args))

    for size in [3, 60, 700]:
        items = [rnd.choice(VALUES[:8]) for _ in range(size)]
        for args in [
            ("LPUSH", "k", "x" * 300), ("RPUSH", "k", *["y" * 500] * 6), ("LPUSH", "new", "a", "b" * 3000),
            ("LPOP", "k"),
            ("RPOP", "k", 2), ("LMPOP", 1, "k", "LEFT", "COUNT", 2), ("LMOVE", "k", "new", "LEFT", "LEFT"),
            ("LMOVE", "k", "k", "LEFT", "RIGHT"),
            ("RPOPLPUSH", "k", "two"), ("LSET", "k", 1, "z" * 2000), ("LINSERT", "k", "AFTER", items[1], "w" * 800),
            ("LREM", "k", 0, items[1]),
            ("LTRIM", "k", 1, 1),
        ]:  # fmt: skip
            for allowed in range(6):
                ours("DEL", "k", "two", "new")
                ours("RPUSH", "k", *items)
                ours("RPUSH", "two", "q")
                before = state(ours)
                store.fail_allocations_after(allowed)
                try:
                    reply = ours(*args)
                finally:
                    store.fail_allocations_after(-1)
                store.check()
                if reply.startswith(b"-OOM"):
                    failed += 1
                    assert state(ours) == before, (args, allowed)
                else:
                    assert not reply.startswith(b"-"), reply
    assert failed > 20


def state(ours):
    return [ours("LRANGE", key, 0, -1) for key in ("k", "two", "new")]
