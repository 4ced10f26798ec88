"""The sorted-set group (but for what blocks) beside redis-server."""

from __future__ import annotations

import itertools
import random

import pytest

import libkv
from tests.resp import command, parse, unordered

SCORES = [
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "0.1",
    "1e20",
    "1e17",
    "99999999999999999",
    "-123456789.125",
    "inf",
    "-inf",
    "+inf",
    "1e400",
]
SCORES += ["4.9e-324", "9007199254740993", "0x10", "3.0", "", " 1", "1 ", "nan", "abc", "(1", "Infinity", "1e-400"]
BOUNDS = [
    "-inf",
    "+inf",
    "0",
    "1",
    "(1",
    "2",
    "(2",
    "5",
    "(inf",
    "-1",
    "",
    "(",
    " 1",
    "1x",
    "nan",
    "1e400",
    "(-inf",
    "1.5",
]
LEX = ["-", "+", "[a", "(a", "[b", "(b", "[", "(", "a", "", "[z", "-x", "+x", "[m3", "(m3", "[m"]
RANKS = [0, 1, 2, 3, -1, -2, -3, -100, 100, "x", "-9223372036854775808", "9223372036854775807", "1.5"]

COMMANDS = [
    ("ZADD", "{k}", "1", "m"), ("ZADD", "{k}", "1", "m", "x"), ("ZADD", "{k}", "x", "m"), ("ZADD", "{k}", "NX"),
    ("ZADD", "{k}", "XX", "1", "m"),
    ("ZADD", "{k}", "NX", "XX", "1", "m"), ("ZADD", "{k}", "GT", "LT", "1", "m"), ("ZADD", "{k}", "NX", "GT", "1", "m"),
    ("ZADD", "{k}", "INCR", "1", "m", "2", "n"), ("ZADD", "{k}", "INCR", "1", "a"),
    ("ZADD", "{k}", "XX", "INCR", "1", "m"),
    ("ZADD", "{k}", "CH", "5", "a", "6", "m"), ("ZADD", "{k}", "nx", "ch", "5", "a"), ("ZADD", "{k}", "1", "m", "CH"),
    ("ZADD", "{k}", "CH", "INCR"),
    ("ZADD", "{k}", "1", "a", "x", "b"), ("ZADD", "{k}", "GT", "0", "a"), ("ZADD", "{k}", "LT", "INCR", "5", "a"),
    ("ZADD", "{k}", "GT", "XX", "CH", "9", "a"),
    ("ZINCRBY", "{k}", "1", "a"), ("ZINCRBY", "{k}", "x", "a"), ("ZINCRBY", "{k}", "nx", "a"),
    ("ZINCRBY", "{k}", "inf", "a"),
    ("ZREM", "{k}", "x"), ("ZREM", "{k}", "a"), ("ZREM", "{k}", "a", "b", "a", "c"), ("ZCARD", "{k}"),
    ("ZSCORE", "{k}", "a"),
    ("ZMSCORE", "{k}", "a", "x", "b"), ("ZRANK", "{k}", "b"), ("ZRANK", "{k}", "x"), ("ZREVRANK", "{k}", "b"),
    ("ZREVRANK", "{k}", "x"),
    ("ZPOPMIN", "{k}"), ("ZPOPMAX", "{k}"), ("ZPOPMIN", "{k}", 0), ("ZPOPMAX", "{k}", 2), ("ZPOPMIN", "{k}", 100),
    ("ZPOPMIN", "{k}", -1),
    ("ZPOPMIN", "{k}", "x"), ("ZPOPMIN", "{k}", 1, 2), ("ZMPOP", 1, "{k}", "MIN"),
    ("ZMPOP", 2, "{k}", "zset", "MAX", "COUNT", 2),
    ("ZMPOP", 2, "zset", "{k}", "MAX", "COUNT", 100), ("ZMPOP", 0, "{k}", "MIN"), ("ZMPOP", "x", "{k}", "MIN"),
    ("ZMPOP", 1, "{k}"),
    ("ZMPOP", 1, "{k}", "MID"), ("ZMPOP", 2, "{k}", "MIN"), ("ZMPOP", 1, "{k}", "MIN", "COUNT"),
    ("ZMPOP", 1, "{k}", "MIN", "COUNT", 0),
    ("ZMPOP", 1, "{k}", "MIN", "COUNT", "x"), ("ZMPOP", 1, "{k}", "MIN", "COUNT", 1, "COUNT", 1),
    ("ZMPOP", 1, "{k}", "min", "bad"),
    ("ZMPOP", 2, "none", "{k}", "min"), ("ZRANDMEMBER", "{k}", 0), ("ZRANDMEMBER", "{k}", "x"),
    ("ZRANDMEMBER", "{k}", 5, "WITHSCORES"),
    ("ZRANDMEMBER", "{k}", -9223372036854775808), ("ZRANDMEMBER", "{k}", 1, "NO"),
    ("ZRANDMEMBER", "{k}", 1, "WITHSCORES", "x"),
    ("ZRANDMEMBER", "{k}", 9223372036854775807, "WITHSCORES"), ("ZRANDMEMBER", "{k}", "x", "NO"),
    ("ZRANDMEMBER", "{k}", 3),
    ("ZSCAN", "{k}", 0), ("ZSCAN", "{k}", "x"), ("ZSCAN", "{k}", 0, "COUNT", 0), ("ZSCAN", "{k}", 0, "MATCH", "[ab]"),
    ("ZSCAN", "{k}", 0, "BAD"),
    ("ZRANGE", "{k}", 0, -1), ("ZRANGE", "{k}", 0, -1, "WITHSCORES"), ("ZRANGE", "{k}", 0, -1, "REV"),
    ("ZRANGE", "{k}", 0, -1, "LIMIT", 0, 1),
    ("ZRANGE", "{k}", 0, -1, "LIMIT", 0, -1), ("ZRANGE", "{k}", "-", "+", "BYLEX", "WITHSCORES"),
    ("ZRANGE", "{k}", "x", 1), ("ZRANGE", "{k}", 0, 1, "BAD"),
    ("ZRANGE", "{k}", 0, 5, "BYSCORE", "LIMIT", 1), ("ZRANGE", "{k}", 0, 5, "BYSCORE", "BYLEX"),
    ("ZRANGE", "{k}", "x", 5, "BYSCORE"),
    ("ZRANGE", "{k}", 0, 5, "BYSCORE", "LIMIT", "x", 1),
    ("ZRANGE", "{k}", 5, 0, "REV", "BYSCORE", "WITHSCORES", "LIMIT", 1, 1),
    ("ZRANGE", "{k}", 0, 5, "BYSCORE", "REV", "REV"), ("ZREVRANGE", "{k}", 0, 1, "REV"),
    ("ZREVRANGE", "{k}", 0, 1, "WITHSCORES"),
    ("ZRANGEBYSCORE", "{k}", 0, 5, "BYSCORE"), ("ZRANGEBYSCORE", "{k}", 0, 5, "WITHSCORES", "LIMIT", 0, 2),
    ("ZRANGEBYLEX", "{k}", "-", "+", "WITHSCORES"),
    ("ZRANGEBYLEX", "{k}", "-", "x"), ("ZREVRANGEBYSCORE", "{k}", 5, "(1"),
    ("ZREVRANGEBYLEX", "{k}", "+", "-", "LIMIT", 0, 1),
    ("ZRANGESTORE", "dst", "{k}", 0, -1), ("ZRANGESTORE", "{k}", "zset", 0, 0),
    ("ZRANGESTORE", "dst", "{k}", 0, -1, "WITHSCORES"),
    ("ZRANGESTORE", "zset", "{k}", 5, 6), ("ZRANGESTORE", "dst", "{k}", 5, 0, "BYSCORE", "REV", "LIMIT", 0, 1),
    ("ZRANGESTORE", "dst", "{k}", "x", 1),
    ("ZCOUNT", "{k}", "-inf", "inf"), ("ZCOUNT", "{k}", "x", 1), ("ZLEXCOUNT", "{k}", "-", "+"),
    ("ZLEXCOUNT", "{k}", "a", "+"),
    ("ZREMRANGEBYRANK", "{k}", 0, 1), ("ZREMRANGEBYRANK", "{k}", 0, -1), ("ZREMRANGEBYRANK", "{k}", "x", -1),
    ("ZREMRANGEBYSCORE", "{k}", 2, 2),
    ("ZREMRANGEBYSCORE", "{k}", "x", 2), ("ZREMRANGEBYSCORE", "{k}", "-inf", "inf"),
    ("ZREMRANGEBYLEX", "{k}", "[b", "+"), ("ZREMRANGEBYLEX", "{k}", "b", "+"),
    ("ZUNION", 2, "zset", "{k}"), ("ZUNION", 2, "zset", "{k}", "WITHSCORES"),
    ("ZUNION", 2, "{k}", "set", "WEIGHTS", 2, 3, "WITHSCORES"),
    ("ZUNION", 0, "{k}"), ("ZUNION", "x", "{k}"), ("ZUNION", 3, "{k}", "zset"), ("ZUNION", 1, "{k}", "BAD"),
    ("ZUNION", 1, "{k}", "WEIGHTS"),
    ("ZUNION", 1, "{k}", "WEIGHTS", "x"), ("ZUNION", 1, "{k}", "AGGREGATE"), ("ZUNION", 1, "{k}", "AGGREGATE", "AVG"),
    ("ZUNION", 1, "{k}", "WEIGHTS", 1, 2),
    ("ZINTER", 2, "{k}", "set", "WITHSCORES", "AGGREGATE", "MAX"), ("ZINTER", -1, "{k}"),
    ("ZINTER", 2, "{k}", "{k}", "WITHSCORES"),
    ("ZDIFF", 2, "zset", "{k}", "WITHSCORES"), ("ZDIFF", 2, "{k}", "set"), ("ZDIFF", 1, "{k}", "WEIGHTS", 1),
    ("ZDIFF", 1, "{k}", "AGGREGATE", "SUM"),
    ("ZINTERCARD", 2, "zset", "{k}"), ("ZINTERCARD", 1, "{k}", "LIMIT", 2), ("ZINTERCARD", 1, "{k}", "LIMIT", -1),
    ("ZINTERCARD", 1, "{k}", "LIMIT"),
    ("ZINTERCARD", 1, "{k}", "LIMIT", "x"), ("ZINTERCARD", 0, "{k}"), ("ZINTERCARD", 1, "{k}", "WITHSCORES"),
    ("ZINTERCARD", 1, "{k}", "LIMIT", 0),
    ("ZUNIONSTORE", "dst", 2, "zset", "{k}"), ("ZUNIONSTORE", "{k}", 1, "zset"),
    ("ZUNIONSTORE", "dst", 1, "{k}", "WITHSCORES"),
    ("ZUNIONSTORE", "dst", 0, "{k}"), ("ZINTERSTORE", "zset", 2, "zset", "{k}"),
    ("ZINTERSTORE", "dst", 1, "{k}", "AGGREGATE", "MIN", "WEIGHTS", -1),
    ("ZDIFFSTORE", "zset", 2, "zset", "{k}"), ("ZDIFFSTORE", "dst", 2, "{k}", "none"),
    ("ZDIFFSTORE", "dst", 1, "{k}", "WEIGHTS", 1),
    ("ZUNIONSTORE", "dst", "x", "{k}"), ("ZINTERSTORE", "dst", 5, "{k}"),
]  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", ["missing", "zset", "set", "list", "string"])
def test_every_command_on_every_kind_of_key(pair, key, protocol):
    if protocol == 3:
        pair.resp3()
    for args in COMMANDS:
        pair.same("FLUSHALL")
        pair.same("ZADD", "zset", 1, "a", 2, "b", 2.5, "c")
        pair.same("SADD", "set", "a", "c")
        pair.same("RPUSH", "list", "a")
        pair.same("SET", "string", "a", "EX", 1000)
        pair.same(*[key if a == "{k}" else a for a in args])
        for name in (key, "zset", "dst"):
            pair.same("TYPE", name)
            pair.same("ZRANGE", name, 0, -1, "WITHSCORES")
    pair.finish()


@pytest.mark.parametrize("entries", [128, 0])
@pytest.mark.parametrize("protocol", [2, 3])
def test_scores_in_and_out(pair, entries, protocol):
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", entries)
    if protocol == 3:
        pair.resp3()
    for score in SCORES:
        for args in [
            ("ZADD", "k", score, "m"), ("ZINCRBY", "k", score, "a"), ("ZINCRBY", "k", score, "i"),
            ("ZADD", "k", "INCR", "CH", score, "i"),
            ("ZCOUNT", "k", score, "inf"), ("ZRANGEBYSCORE", "k", "(" + score, "+inf", "WITHSCORES"),
            ("ZADD", "k", "GT", "CH", score, "a"),
            ("ZUNION", 1, "k", "WEIGHTS", score, "WITHSCORES"),
            ("ZUNION", 2, "k", "o", "WEIGHTS", "-1", score, "WITHSCORES"),
            ("ZADD", "k", "LT", "CH", score, "a", "7", "b"),
            ("ZINTER", 2, "k", "o", "WEIGHTS", score, "2", "WITHSCORES"),
            ("ZINTER", 2, "o", "k", "WEIGHTS", score, score, "AGGREGATE", "MIN", "WITHSCORES"),
        ]:  # fmt: skip
            pair.same("DEL", "k", "o")
            pair.same("ZADD", "k", "0", "a", "inf", "i", "-inf", "j", "0.1", "b")
            pair.same("ZADD", "o", "-inf", "i", "3", "a", "0", "j", "0.2", "b")
            pair.same(*args)
            for member in "aijm":
                pair.same("ZSCORE", "k", member)
            pair.same("ZRANGE", "k", 0, -1, "WITHSCORES")
            pair.same("OBJECT", "ENCODING", "k")
            pair.same_set("ZSCAN", "k", 0)
            pair.same("ZUNIONSTORE", "k", 1, "k")
            pair.same("ZRANGE", "k", 0, -1, "WITHSCORES")
    pair.finish()
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", 128)


@pytest.mark.parametrize("entries", [128, 0])
def test_every_pair_of_bounds(pair, entries):
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", entries)
    for i in range(7):
        pair.same("ZADD", "z", i // 2, f"m{i}")
        pair.same("ZADD", "l", 0, f"m{i}", 0, "a", 0, "b", 0, "")
    for low, high in itertools.product(BOUNDS, repeat=2):
        pair.same("ZRANGEBYSCORE", "z", low, high, "WITHSCORES")
        pair.same("ZREVRANGEBYSCORE", "z", low, high)
        pair.same("ZRANGE", "z", low, high, "BYSCORE", "REV", "LIMIT", 1, 2)
        pair.same("ZCOUNT", "z", low, high)
        pair.same("ZRANGESTORE", "d", "z", low, high, "BYSCORE")
        pair.same("ZREMRANGEBYSCORE", "d", low, high)
    for low, high in itertools.product(LEX, repeat=2):
        pair.same("ZRANGEBYLEX", "l", low, high)
        pair.same("ZREVRANGEBYLEX", "l", low, high)
        pair.same("ZRANGE", "l", low, high, "BYLEX", "LIMIT", 1, 2)
        pair.same("ZLEXCOUNT", "l", low, high)
        pair.same("ZRANGESTORE", "d", "l", low, high, "BYLEX")
        pair.same("ZREMRANGEBYLEX", "d", low, high)
    for low, high in itertools.product(RANKS, repeat=2):
        pair.same("ZRANGE", "z", low, high, "WITHSCORES")
        pair.same("ZREVRANGE", "z", low, high)
        pair.same("ZRANGESTORE", "d", "z", low, high)
        pair.same("ZREMRANGEBYRANK", "d", low, high)
    for offset, limit in itertools.product(
        [0, 1, 3, 100, -1, "x", "-9223372036854775808"], [0, 1, 3, 100, -1, -5, "x"]
    ):
        for args in [
            ("ZRANGEBYSCORE", "z", 1, 3), ("ZREVRANGEBYSCORE", "z", 3, 1), ("ZRANGE", "l", "[a", "[m5", "BYLEX"),
            ("ZREVRANGEBYLEX", "l", "+", "[b"), ("ZRANGESTORE", "d", "z", 1, 3, "BYSCORE"), ("ZRANGE", "z", 0, -1),
        ]:  # fmt: skip
            pair.same(*args, "LIMIT", offset, limit)
            pair.same("ZRANGE", "d", 0, -1)
    pair.finish()
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", 128)


def test_lexical_ranges_over_a_listpack_of_mixed_scores(pair):
    source = random.Random(1)
    for _ in range(30):
        pair.same("ZADD", "z", source.randrange(4), f"m{source.randrange(40)}")
    for low, high in itertools.product(["-", "+", "[m1", "(m2", "[m25", "(m3", "[m39"], repeat=2):
        pair.same("ZRANGEBYLEX", "z", low, high)
        pair.same("ZREVRANGEBYLEX", "z", low, high)
        pair.same("ZLEXCOUNT", "z", low, high)


def test_layouts_change_where_redis_changes_them(pair):
    for entries, value in [(128, 64), (3, 5), (0, 64), (128, 0)]:
        for setting, number in [("entries", entries), ("value", value)]:
            pair.same("CONFIG", "SET", f"zset-max-listpack-{setting}", number)
        for key, members in [("a", 1), ("b", entries), ("c", entries + 1)]:
            for i in range(members):
                pair.same("ZADD", key, i, i)
                pair.same("OBJECT", "ENCODING", key)
        for n in (value, value + 1):
            pair.same("ZADD", f"v{n}", 1, "v" * n, 2, "x")
            pair.same("ZADD", f"w{n}", 1, "x", 1, "v" * n)
            pair.same("ZINCRBY", f"x{n}", 1, "v" * n)
        for key in ("a", "b", "c", f"v{value}", f"w{value + 1}"):
            pair.same("ZRANGESTORE", "d", key, 0, -1)
            pair.same("OBJECT", "ENCODING", "d")
            pair.same("ZRANGESTORE", "d", key, "-inf", "inf", "BYSCORE")
            pair.same("OBJECT", "ENCODING", "d")
            for name, count in [("ZUNIONSTORE", 2), ("ZINTERSTORE", 1), ("ZDIFFSTORE", 1)]:
                pair.same(name, "d", count, key, *["a"] * (count - 1))
                pair.same("OBJECT", "ENCODING", "d")
        pair.finish()
        pair.same("FLUSHALL")
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", 128, "zset-max-listpack-value", 64)


@pytest.mark.parametrize("members", [0, 1, 5, 100, 500])
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
def test_drawn_members(pair, members, scores, protocol):
    """As many, as different and as shaped as Redis's, and all of them the sorted set's."""
    if protocol == 3:
        pair.resp3()
    for i in range(members):
        pair.same("ZADD", "z", i, f"m{i}")
    for count in (0, 1, 2, 3, 100, 200, 1000, -1, -3, -700):
        replies = [parse(reply)[0] for reply in pair.both("ZRANDMEMBER", "z", count, *["WITHSCORES"] * scores)]
        for reply in replies:
            if scores and protocol == 2:
                reply[:] = [list(p) for p in zip(reply[::2], reply[1::2], strict=True)]
            if scores:
                assert all((s if protocol == 2 else s[1]) == m[1:] for m, s in reply)
            assert len({repr(m) for m in reply}) <= members
        theirs, ours = replies
        assert len(ours) == len(theirs)
        if count >= 0:
            assert len({repr(m) for m in ours}) == len(ours)
        elif members > 1 and count < -100:
            assert len({repr(m) for m in ours}) > 1
    reply = parse(pair.both("ZRANDMEMBER", "z")[1])[0]
    assert (reply is None) if members == 0 else reply[:1] == b"m"


def test_scanning_a_large_sorted_set_sees_every_member(pair):
    for i in range(0, 3000, 2):
        pair.same("ZADD", "z", i, f"m{i}", i + 1, f"m{i + 1}")
    for options in [(), ("COUNT", 100), ("COUNT", 1), ("MATCH", "m*7", "COUNT", 50)]:
        seen, cursor, pages = {}, b"0", 0
        while True:
            cursor, page = parse(pair.ours.feed(command("ZSCAN", "z", cursor, *options)))[0]
            seen.update(zip(page[::2], page[1::2], strict=True))
            pages += 1
            if cursor == b"0":
                break
        assert seen == {b"m%d" % i: b"%d" % i for i in range(3000) if "MATCH" not in options or i % 10 == 7}
        assert pages > 3


def same_after_replay(pair):
    """What was told as effects makes the same keys in an empty store, and in redis-server."""
    effects = pair.store.take_effects()
    copy = libkv.Store()
    copy.replay(effects)
    ours, theirs = pair.store.new_session(), copy.new_session()
    pair.real.call("FLUSHALL")
    pair.resp2()
    pair.real.send(effects + command("ECHO", "done"))
    while pair.real.reply() != b"$4\r\ndone\r\n":
        pass
    for key in "abcd":
        ask = command("ZRANGE", key, 0, -1, "WITHSCORES")
        reply = unordered(parse(ours.feed(ask))[0])
        assert unordered(parse(theirs.feed(ask))[0]) == reply
        assert unordered(parse(pair.real.call("ZRANGE", key, 0, -1, "WITHSCORES"))[0]) == reply


@pytest.mark.parametrize("seed", range(8))
def test_random_commands(pair, seed):
    source = random.Random(seed)
    pair.store.record_effects()
    if seed % 2:
        pair.resp3()
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", [128, 4, 16][seed % 3])
    members = [f"m{i}" for i in range([8, 60, 400][seed % 3])] + ["", "12", "-7", "q" * 70, b"\x00\xff\r\n"]
    keys = ["a", "b", "c", "d"]
    for _ in range(2000):
        key, other = source.choice([*keys, "set"]), source.choice(keys)
        one, two = source.choice(members), source.choice(members)
        low, high = sorted(source.choices(range(-10, 11), k=2))
        score = source.choice([source.randrange(-9, 10), source.uniform(-9, 9), "inf", "-inf", 1e18, "nan"])
        rank, end = source.randrange(-12, 12), source.randrange(-12, 12)
        flags = source.sample(["NX", "XX", "GT", "LT", "CH", "INCR"], source.choice([0, 1, 1, 2]))
        weights = ["WEIGHTS", source.choice([1, -1, 0.5, "inf"]), 2] if source.random() < 0.5 else []
        weights += ["AGGREGATE", source.choice(["SUM", "MIN", "MAX"])] if source.random() < 0.5 else []
        pair.same(*source.choice([
            ("ZADD", key, score, one), ("ZADD", key, *flags, score, one),
            ("ZADD", key, *flags, 1, one, score, two, 2, one),
            ("ZADD", key, low, one, high, two), ("ZADD", key, low, two), ("ZINCRBY", key, score, one),
            ("ZREM", key, one, two), ("ZREM", key, one),
            ("ZCARD", key), ("ZSCORE", key, one), ("ZMSCORE", key, one, two), ("ZRANK", key, one),
            ("ZREVRANK", key, one),
            ("ZCOUNT", key, low, f"({high}"), ("ZRANGE", key, rank, end, "WITHSCORES"), ("ZREVRANGE", key, rank, end),
            ("ZRANGEBYSCORE", key, f"({low}", high, "LIMIT", 1, 4), ("ZREVRANGEBYSCORE", key, high, low, "WITHSCORES"),
            ("ZRANGESTORE", other, key, rank, end), ("ZRANGESTORE", other, key, low, high, "BYSCORE"), ("ZPOPMIN", key),
            ("ZPOPMAX", key, 2),
            ("ZMPOP", 2, key, other, source.choice(["MIN", "MAX"]), "COUNT", 3),
            ("ZREMRANGEBYRANK", key, rank, rank + 1),
            ("ZREMRANGEBYSCORE", key, low, low + 1), ("ZUNIONSTORE", source.choice(keys), 2, key, other, *weights),
            ("ZINTERSTORE", source.choice(keys), 2, key, other, *weights),
            ("ZDIFFSTORE", source.choice(keys), 2, key, other),
            ("ZUNION", 2, key, other, *weights, "WITHSCORES"), ("ZINTER", 2, key, other, *weights, "WITHSCORES"),
            ("ZDIFF", 2, key, other),
            ("ZINTERCARD", 2, key, other), ("OBJECT", "ENCODING", key),
            ("DEL", other) if source.random() < 0.2 else ("ZCARD", other),
            ("SADD", "set", one) if source.random() < 0.9 else ("DEL", "set"), ("COPY", key, other, "REPLACE"),
        ]))  # fmt: skip
        if source.random() < 0.2:
            pair.same("ZRANGE", key, 0, -1, "WITHSCORES")
    pair.finish()
    same_after_replay(pair)
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", 128)


@pytest.mark.parametrize("members", [0, 200])
def test_minus_zero(pair, members):
    """A listpack keeps -0 as the integer 0, a skiplist keeps the sign; which of them a result is shows."""
    for i in range(members):
        pair.same("ZADD", "z", i, f"m{i}")
    pair.same("ZADD", "z", "-0", "a", "0", "b", "-0.0", "c")
    for args in [
        ("ZRANGESTORE", "d", "z", 0, -1), ("ZRANGESTORE", "d", "z", "-inf", "+inf", "BYSCORE", "LIMIT", 0, 3), ("ZUNIONSTORE", "d", 1, "z"),
        ("ZUNIONSTORE", "d", 1, "z", "WEIGHTS", "-1"), ("ZINTERSTORE", "d", 2, "z", "z"), ("ZDIFFSTORE", "d", 2, "z", "x"),
        ("COPY", "z", "d", "REPLACE"), ("ZINCRBY", "z", "-0", "b"), ("ZADD", "z", "XX", "-0", "b"),
    ]:  # fmt: skip
        pair.same(*args)
        for key in ("z", "d"):
            pair.same("OBJECT", "ENCODING", key)
            pair.same("ZRANGE", key, 0, -1, "WITHSCORES")
            pair.same("DEBUG", "DIGEST-VALUE", key)
    pair.finish()
