"""The set group beside redis-server."""

from __future__ import annotations

import random

import pytest

from tests.oracle.effects import same_after_replay
from tests.resp import command, parse, unordered

NUMBERS = ["0", "1", "-1", "3", "-3", "600", "9223372036854775807", "-9223372036854775808", "x", "", "1.0"]
POINTS = [str(i) for i in (1, 2, 5, -9, 70000, 2**40)]


@pytest.fixture
def some(pair):
    """Sets in every layout, and a key of another type."""
    pair.same("SADD", "ints", *POINTS)
    pair.same("SADD", "words", "a", "b", "c", "5", "")
    pair.same("SADD", "range", *range(512))
    pair.same("SADD", "table", *[f"m{i}" for i in range(600)])
    pair.same("SADD", "long", "x" * 100, "a")
    pair.same("SET", "text", "v")
    return pair


KEYS = ["ints", "words", "range", "table", "long", "text", "none"]


def fresh(pair, key):
    pair.same("DEL", "k", "other")
    if key != "none":
        pair.same("COPY", key, "k")


@pytest.mark.parametrize("key", KEYS)
def test_adding_and_removing(some, key):
    commands = [("SADD", "k"), ("SREM", "k"), ("SADD",), ("SMOVE", "k", "other")]
    for name in ["SADD", "SREM"]:
        for members in [
            ("5",),
            ("a",),
            ("5", "a", "a", "new"),
            ("513",),
            ("x" * 100,),
            (2**62, "-0"),
            POINTS,
            ("a", "b", "c", "", "5"),
        ]:
            commands.append((name, "k", *members))
    for target in ["other", "k", "ints", "words", "text"]:
        commands += [("SMOVE", "k", target, m) for m in ["5", "a", "m7", "nothing"]]
    for args in commands:
        fresh(some, key)
        some.same(*args)
        some.same("OBJECT", "ENCODING", "k")
        some.same("OBJECT", "ENCODING", "other")
        for left in ["k", "other", "ints", "words"]:
            some.same_set("SMEMBERS", left)
    some.finish()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", KEYS)
def test_asking(some, key, protocol):
    some.both("HELLO", protocol)
    some.same("SCARD", key)
    some.same("SCARD")
    for member in ["5", "05", "a", "m7", "", "x" * 100, "nothing"]:
        some.same("SISMEMBER", key, member)
    some.same("SMISMEMBER", key, "5", "a", "5", "m7", "nothing", *[f"m{i}" for i in range(590, 610)])
    some.same("SMISMEMBER", key)
    some.same("SISMEMBER", key, "a", "b")
    some.same_set("SMEMBERS", key)
    if key in ("ints", "range"):
        some.same("SMEMBERS", key)
        some.same("SINTER", key)
        some.same("SUNION", key, "none")
        some.same("SDIFF", key)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", KEYS)
def test_scanning(some, key, protocol):
    some.both("HELLO", protocol)
    for args in [
        ("x",), ("0", "COUNT", "0"), ("0", "COUNT", "x"), ("0", "COUNT"), ("0", "foo"), ("0", "MATCH"),
        ("0", "TYPE", "set"), ("-1x",),
        ("0", "COUNT", "-5"), (),
    ]:  # fmt: skip
        some.same("SSCAN", key, *args)
    if key == "text":
        some.same("SSCAN", key, "0")
        return
    for options in [
        (),
        ("COUNT", 5),
        ("COUNT", 5000),
        ("MATCH", "*"),
        ("MATCH", "m1*"),
        ("MATCH", "*5*", "COUNT", 1),
        ("MATCH", "zz"),
    ]:
        found = []
        for call in (some.real.call, lambda *args: some.ours.feed(command(*args))):
            cursor, seen = b"0", []
            for _ in range(2000):
                (cursor, page), _ = parse(call("SSCAN", key, cursor, *options))
                seen += page
                if cursor == b"0":
                    break
            found.append(sorted(set(seen)))
        assert found[0] == found[1]
    if key in ("ints", "range"):
        some.same("SSCAN", key, 0)
        some.same("SSCAN", key, 17, "MATCH", "*1*")


@pytest.mark.parametrize("protocol", [2, 3])
def test_algebra(some, protocol):
    some.both("HELLO", protocol)
    some.same("SADD", "words2", "a", "c", "zz", "70000")
    some.same("SADD", "some ints", "1", "2", "3", "70000")
    groups = [(k,) for k in KEYS] + [
        ("ints", "some ints"), ("words", "words2"), ("ints", "words"), ("table", "words"), ("words", "table"),
        ("table", "table"),
        ("none", "words"), ("words", "none"), ("none", "text"), ("text", "none"), ("words", "text"),
        ("words", "words", "words2"),
        ("range", "ints", "words"), ("range", "some ints", "table"), ("long", "words", "words2", "none"),
        ("words2", "words", "words2"),
        ("none", "none"), ("ints", "range", "some ints", "words", "table"), tuple(["words", "words2"] * 20),
        ("some ints", "words"),
    ]  # fmt: skip
    for keys in groups:
        for name in ["SINTER", "SUNION", "SDIFF"]:
            some.same_set(name, *keys)
            for target in ["to", "text2", "words2"]:
                some.same("SET", "text2", "v")
                some.same("COPY", "words2", "saved")
                some.same(name + "STORE", target, *keys)
                some.same_set("SMEMBERS", target)
                some.same("OBJECT", "ENCODING", target)
                some.same("COPY", "saved", "words2", "REPLACE")
        for limit in [(), ("LIMIT", 0), ("LIMIT", 2), ("limit", 1000)]:
            some.same("SINTERCARD", len(keys), *keys, *limit)
    for name in ["SINTER", "SUNION", "SDIFF", "SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "SINTERCARD", "SMEMBERS"]:
        some.same(name)
        some.same(name, "x")
    some.same("SMEMBERS", "a", "b")
    for numkeys in NUMBERS:
        some.same("SINTERCARD", numkeys, "words")
        some.same("SINTERCARD", numkeys, "words", "table", "words2")
        some.same("SINTERCARD", 1, "words", "LIMIT", numkeys)
    for options in [("LIMIT",), ("foo", 1), ("LIMIT", 1, "foo"), ("LIMIT", 1, "LIMIT", 2)]:
        some.same("SINTERCARD", 1, "words", *options)
    some.finish()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", KEYS)
def test_drawing(some, key, protocol):
    """What the two answer is random; its type, its number and that it was there are compared."""
    some.both("HELLO", protocol)
    for name in ["SPOP", "SRANDMEMBER"]:
        some.same(name)
        some.same(name, key, 1, 2)
        for n in ["0", "-9223372036854775808", "x", "", "1.0"]:
            some.same(name, key, n)
    some.same("SPOP", key, "-1")
    if key in ("text", "none"):
        for n in [(), ("5",), ("-5",)]:
            some.same("SRANDMEMBER", key, *n)
            some.same("SPOP", key, *n)
        return
    card = parse(some.same("SCARD", key))[0]
    members = set(
        parse(some.ours.feed(command("SUNION", key)))[0][1]
        if protocol == 3
        else parse(some.ours.feed(command("SUNION", key)))[0]
    )
    for n in [1, 2, 5, 100, 511, 599, 600, 5000, -1, -3, -700]:
        theirs, ours = some.both("SRANDMEMBER", key, n)
        assert ours[: ours.index(b"\n")] == theirs[: theirs.index(b"\n")]
        drawn = parse(ours)[0]
        assert set(drawn) <= members
        if n > 0:
            assert len(set(drawn)) == len(drawn) == min(n, card)
    assert {parse(some.ours.feed(command("SRANDMEMBER", key)))[0] for _ in range(card * 20)} == members
    for n in [1, 2, card // 2, 3, 10000]:
        fresh(some, key)
        theirs, ours = some.both("SPOP", "k", n)
        assert ours[: ours.index(b"\n")] == theirs[: theirs.index(b"\n")]
        drawn = parse(ours)[0][1] if protocol == 3 else parse(ours)[0]
        assert len(set(drawn)) == len(drawn)
        some.same("SCARD", "k")
        some.same("OBJECT", "ENCODING", "k")
        left = some.ours.feed(command("SUNION", "k"))
        left = parse(left)[0][1] if protocol == 3 else parse(left)[0]
        assert set(left) | set(drawn) == members and not set(left) & set(drawn)
    fresh(some, key)
    for _ in range(card):
        theirs, ours = some.both("SPOP", "k")
        assert parse(ours)[0] in members
        some.same("SCARD", "k")
    some.same("EXISTS", "k")
    some.store.check()


def step(pair, rnd, keys):
    key, other, third = (rnd.choice(keys) for _ in range(3))
    spread = rnd.choice([8, 200, 2000])
    members = [
        rnd.randrange(spread) if rnd.random() < 0.8 else f"m{rnd.randrange(spread)}"
        for _ in range(rnd.choice([1, 1, 3, 100]))
    ]
    if key in ("a", "b"):
        members = [m for m in members if isinstance(m, int)] or [7]
    kind = rnd.randrange(14)
    if kind < 4:
        pair.same("SADD", key, *members)
    elif kind < 6:
        pair.same("SREM", key, *members)
    elif kind == 6:
        pair.same("SMOVE", key, other, members[0])
    elif kind == 7:
        pair.same("SMISMEMBER", key, *members)
        pair.same("SISMEMBER", key, members[0])
    elif kind == 8:
        pair.same_set(rnd.choice(["SINTER", "SUNION", "SDIFF"]), key, other, third)
    elif kind == 9:
        pair.same(
            rnd.choice(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), rnd.choice(["a", "d", "e"]), key, other, third
        )
    elif kind == 10:
        pair.same("SINTERCARD", 2, key, other, "LIMIT", rnd.choice([0, 3]))
    elif kind == 11:
        pop(pair, key, rnd.choice([None, 1, 3, 50, 1500]))
    elif kind == 12:
        pair.same("OBJECT", "ENCODING", key)
        pair.same("SCARD", key)
    elif rnd.random() < 0.2:
        pair.same("DEL", key)


def pop(pair, key, count):
    """SPOP here; there the same members leave by SREM."""
    before = parse(pair.same("SCARD", key))[0]
    reply = parse(pair.ours.feed(command("SPOP", key, *([] if count is None else [count]))))[0]
    drawn = reply if isinstance(reply, list) else [reply] if reply is not None else []
    assert len(set(drawn)) == len(drawn) == min(before, 1 if count is None else count)
    if drawn:
        assert pair.real.call("SREM", key, *drawn) == b":%d\r\n" % len(drawn)
    pair.same("SCARD", key)


@pytest.mark.parametrize("seed", range(12))
def test_random_commands(pair, seed):
    rnd = random.Random(seed)
    limit = rnd.choice(["512", "0", "16"])
    pair.same("CONFIG", "SET", "set-max-intset-entries", limit)
    pair.store.record_effects()
    keys = ["a", "b", "c", "d", "e"]
    for i in range(1000):
        step(pair, rnd, keys)
        if i % 100 == 0:
            pair.store.check()
    pair.same("CONFIG", "SET", "set-max-intset-entries", "512")
    pair.finish()
    effects = same_after_replay(pair)
    assert effects.count(b"SPOP") == 0


def test_without_memory_a_command_changes_nothing(pair):
    """Fault injection at every allocation: OOM, and the sets as before; or the command's own reply."""
    store = pair.store
    failed = 0

    def ours(*args):
        return pair.ours.feed(command(*args))

    sizes = [
        ["1", "2", "3"],
        ["a", "b"],
        [str(i) for i in range(512)],
        [f"m{i}" for i in range(128)],
        [f"m{i}" for i in range(500)],
    ]
    for members in sizes:
        for args in [
            ("SADD", "k", "new"), ("SADD", "k", *[f"n{i}" for i in range(40)]), ("SADD", "new", *"abc"),
            ("SADD", "k", "9" * 15, "x" * 99),
            ("SREM", "k", members[0]), ("SMOVE", "k", "two", members[1]), ("SMOVE", "k", "new", members[1]),
            ("SPOP", "k"),
            ("SINTERSTORE", "new", "k", "k"), ("SUNIONSTORE", "two", "k", "two"), ("SDIFFSTORE", "k", "k", "two"),
            ("SUNION", "k", "two"),
            ("SDIFF", "k", "two"), ("SRANDMEMBER", "k", "2"),
        ]:  # fmt: skip
            for allowed in range(7):
                ours("DEL", "k", "two", "new")
                ours("SADD", "k", *members)
                ours("SADD", "two", "q", "1")
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
    assert failed > 40


def state(ours):
    return [unordered(parse(ours("SMEMBERS", key))[0]) for key in ("k", "two", "new")]
