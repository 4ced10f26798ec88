"""The hash group beside redis-server."""

from __future__ import annotations

import random

import pytest

import libkv
from tests.resp import command, parse, unordered

VALUES = [
    "",
    "0",
    "-0",
    "5",
    "007",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "3.0",
    "1e3",
    " 5",
]
VALUES += ["5 ", "inf", "nan", "x" * 64, "y" * 65, "z" * 5000, "0x10", "1e4000", "1e5000", "-1e-20"]


def same_pairs(pair, *args):
    """Fields come in the order they were set while the hash is a listpack, in any order from a hashtable."""
    encoding = pair.same("OBJECT", "ENCODING", args[1])
    return (pair.same_set if b"hashtable" in encoding else pair.same)(*args)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("value", VALUES)
def test_every_command_on_a_value(pair, value, protocol):
    if protocol == 3:
        pair.resp3()
    for args in [
        ("HGET", "k", "f"), ("HSTRLEN", "k", "f"), ("HEXISTS", "k", value), ("HINCRBY", "k", "f", "10"),
        ("HINCRBY", "k", "f", "-9223372036854775808"), ("HINCRBY", "k", "n", value), ("HINCRBY", "k", value, 3),
        ("HINCRBYFLOAT", "k", "f", "1.5"), ("HINCRBYFLOAT", "k", "n", value), ("HINCRBYFLOAT", "k", "f", value),
        ("HSETNX", "k", "f", value), ("HSETNX", "k", value, value), ("HSETNX", "n", value, value),
        ("HMGET", "k", "f", value, "g"),
        ("HMSET", "k", value, "1", "f", value), ("HDEL", "k", value), ("HDEL", "k", "f", "f", value, "g"),
        ("HRANDFIELD", "k", 5),
        ("HSCAN", "k", 0), ("HSCAN", "k", 0, "MATCH", value), ("HSCAN", "k", 0, "COUNT", value), ("HSCAN", "k", value),
        ("HRANDFIELD", "k", value), ("HRANDFIELD", "k", 3, "WITHVALUES"), ("HRANDFIELD", "k", 3, value),
        ("HSET", "k", "f"),
    ]:  # fmt: skip
        pair.same("DEL", "k", "n")
        pair.same("HSET", "k", "f", value)
        same_pairs(pair, *args)
        same_pairs(pair, "HGETALL", "k")
        same_pairs(pair, "HGETALL", "n")
    pair.finish()


COMMANDS = [
    ("HSET", "{k}", "f", "v"), ("HSET", "{k}", "f", "v", "g"), ("HMSET", "{k}", "f", "v", "g", "w"),
    ("HMSET", "{k}", "f"),
    ("HSETNX", "{k}", "f", "v"), ("HGET", "{k}", "f"), ("HMGET", "{k}", "f", "g", "h"), ("HGETALL", "{k}"),
    ("HKEYS", "{k}"),
    ("HVALS", "{k}"), ("HLEN", "{k}"), ("HSTRLEN", "{k}", "f"), ("HEXISTS", "{k}", "f"), ("HDEL", "{k}", "x", "y"),
    ("HINCRBY", "{k}", "n", "x"), ("HINCRBY", "{k}", "n", "1"), ("HINCRBYFLOAT", "{k}", "n", "x"),
    ("HINCRBYFLOAT", "{k}", "n", "1"),
    ("HINCRBYFLOAT", "{k}", "n", "inf"), ("HINCRBYFLOAT", "{k}", "n", "nan"), ("HRANDFIELD", "{k}", 0),
    ("HRANDFIELD", "{k}", "x"),
    ("HRANDFIELD", "{k}", -9223372036854775808), ("HRANDFIELD", "{k}", 9223372036854775807, "WITHVALUES"),
    ("HRANDFIELD", "{k}", 0, "WITHVALUES"), ("HRANDFIELD", "{k}", "x", "NO"), ("HRANDFIELD", "{k}", 1, "NO"),
    ("HRANDFIELD", "{k}", 1, "WITHVALUES", "x"), ("HSCAN", "{k}", "x"), ("HSCAN", "{k}", 0, "COUNT", 0),
    ("HSCAN", "{k}", 0, "TYPE", "hash"),
    ("HSCAN", "{k}", 0, "COUNT"), ("HSCAN", "{k}", 0, "MATCH", "f*", "COUNT", 1000), ("HSCAN", "{k}", -1),
    ("HSCAN", "{k}", "", "BAD"),
]  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("key", ["missing", "hash", "list", "string"])
def test_every_command_on_every_kind_of_key(pair, key, protocol):
    if protocol == 3:
        pair.resp3()
    for args in COMMANDS:
        pair.same("FLUSHALL")
        pair.same("HSET", "hash", "f", "1", "g", "2")
        pair.same("RPUSH", "list", "a")
        pair.same("SET", "string", "a")
        pair.same(*[key if a == "{k}" else a for a in args])
        pair.same("TYPE", key)
        pair.same("HGETALL", "hash")
    pair.finish()


def test_layouts_change_where_redis_changes_them(pair):
    for entries, value in [(128, 64), (3, 5), (0, 64), (128, 0)]:
        for setting, number in [("entries", entries), ("value", value)]:
            pair.same("CONFIG", "SET", f"hash-max-listpack-{setting}", number)
        for key, fields in [("a", 1), ("b", entries), ("c", entries + 1)]:
            for i in range(fields):
                pair.same("HSET", key, i, i)
                pair.same("OBJECT", "ENCODING", key)
        for n in (value, value + 1):
            pair.same("HSET", f"f{n}", "f" * n, "1", "x", "y")
            pair.same("HSET", f"v{n}", "1", "v" * n, "x", "y")
            pair.same("HSETNX", f"w{n}", "1", "v" * n)
            pair.same("HINCRBY", f"i{n}", "f" * n, 1)
            pair.same("HINCRBYFLOAT", f"d{n}", "f", "1" * n + "5")
            for key in "fvwid":
                pair.same("OBJECT", "ENCODING", f"{key}{n}")
        pair.finish()
        pair.same("FLUSHALL")
    pair.same("CONFIG", "SET", "hash-max-listpack-entries", 128, "hash-max-listpack-value", 64)


@pytest.mark.parametrize("fields", [0, 1, 5, 100, 500])
@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
def test_drawn_fields(pair, fields, values, protocol):
    """As many, as different and as shaped as Redis's, and all of them the hash's."""
    if protocol == 3:
        pair.resp3()
    for i in range(fields):
        pair.same("HSET", "h", f"f{i}", f"v{i}")
    for count in (0, 1, 2, 3, 100, 200, 1000, -1, -3, -700):
        replies = [parse(reply)[0] for reply in pair.both("HRANDFIELD", "h", count, *["WITHVALUES"] * values)]
        for reply in replies:
            if values and protocol == 2:
                reply[:] = [list(p) for p in zip(reply[::2], reply[1::2], strict=True)]
            assert all(v == b"v" + f[1:] for f, v in reply) if values else all(f[:1] == b"f" for f in reply)
        theirs, ours = replies
        assert len(ours) == len(theirs)
        if count >= 0:
            assert len({repr(f) for f in ours}) == len(ours)
        elif fields > 1 and count < -100:
            assert len({repr(f) for f in ours}) > 1
    reply = parse(pair.both("HRANDFIELD", "h")[1])[0]
    assert (reply is None) if fields == 0 else reply[:1] == b"f"


def test_scanning_a_large_hash_sees_every_field(pair):
    for i in range(0, 3000, 3):
        pair.same("HSET", "h", f"f{i}", i, f"f{i + 1}", i + 1, f"f{i + 2}", i + 2)
    for options in [(), ("COUNT", 100), ("COUNT", 1), ("MATCH", "f*7", "COUNT", 50)]:
        seen, cursor, pages = {}, b"0", 0
        while True:
            cursor, page = parse(pair.ours.feed(command("HSCAN", "h", cursor, *options)))[0]
            seen.update(zip(page[::2], page[1::2], strict=True))
            pages += 1
            if cursor == b"0":
                break
        wanted = {b"f%d" % i: b"%d" % i for i in range(3000) if "MATCH" not in options or i % 10 == 7}
        assert seen == wanted
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
        ask = command("HGETALL", key)
        reply = unordered(parse(ours.feed(ask))[0])
        assert unordered(parse(theirs.feed(ask))[0]) == reply
        assert unordered(parse(pair.real.call("HGETALL", key))[0]) == reply


@pytest.mark.parametrize("seed", range(6))
def test_random_commands(pair, seed):
    source = random.Random(seed)
    pair.store.record_effects()
    if seed % 2:
        pair.resp3()
    pair.same("CONFIG", "SET", "hash-max-listpack-entries", [128, 4, 16][seed % 3])
    fields = [f"f{i}" for i in range([6, 40, 300][seed % 3])] + ["", "12", "-7", "q" * 70, "1" * 25, b"\x00\xff\r\n"]
    for _ in range(1500):
        key = source.choice(["a", "b", "c", "d", "string"])
        field, other, value = source.choice(fields), source.choice(fields), source.choice([*VALUES, "1", "2.5", "-3"])
        pair.same(*source.choice([
            ("HSET", key, field, value), ("HSET", key, field, value, other, "7"), ("HSET", key, other, value),
            ("HMSET", key, field, value, field, other), ("HSETNX", key, field, value), ("HGET", key, field),
            ("HGET", key, other),
            ("HMGET", key, field, other), ("HLEN", key), ("HSTRLEN", key, field), ("HEXISTS", key, other),
            ("HDEL", key, field),
            ("HDEL", key, field, other, "f1", "f2", "f3"), ("HINCRBY", key, field, source.randrange(-9, 9)),
            ("HINCRBYFLOAT", key, field, source.uniform(-9, 9)), ("DEL", source.choice("abcd")), ("TYPE", key),
            ("OBJECT", "ENCODING", key), ("SET", "string", 1), ("COPY", key, source.choice("abcd"), "REPLACE"),
        ]))  # fmt: skip
        same_pairs(pair, *source.choice([("HGETALL", key), ("HKEYS", key), ("HVALS", key)]))
    pair.finish()
    same_after_replay(pair)
    pair.same("CONFIG", "SET", "hash-max-listpack-entries", 128)
