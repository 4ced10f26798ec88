"""The generic and transactions groups beside redis-server."""

from __future__ import annotations

import pytest


@pytest.fixture
def some(pair):
    """One key of each type, some with an expiry."""
    pair.same("SET", "s", "abc")
    pair.same("SET", "i", "12345")
    pair.same("RPUSH", "l", *range(200))
    pair.same("SADD", "set", *"abcdef")
    pair.same("SADD", "ints", *range(20))
    pair.same("HSET", "h", "f", "v", "g", "w")
    pair.same("ZADD", "z", 1, "a", 2.5, "b")
    pair.same("EXPIRE", "s", 1000)
    pair.same("PEXPIRE", "z", 1000000)
    return pair


KEYS = ["s", "i", "l", "set", "ints", "h", "z", "none"]


@pytest.mark.parametrize("key", KEYS)
def test_one_key(some, key):
    for args in [
        ("EXISTS", key, key, "none"), ("TYPE", key), ("OBJECT", "ENCODING", key), ("OBJECT", "REFCOUNT", key), ("TOUCH", key, "s"),
        ("OBJECT", "FREQ", key), ("OBJECT", "foo", key), ("OBJECT", "ENCODING"), ("COPY", key, "copy"), ("COPY", key, "copy"),
        ("COPY", key, "copy", "REPLACE"), ("COPY", key, key), ("COPY", key, key, "DB", 3), ("COPY", key, "x", "DB", 16), ("COPY", key, "x", "DB"),
        ("COPY", key, "x", "DB", "a"), ("RENAME", key, "new"), ("RENAME", "new", key), ("RENAMENX", key, "s"), ("RENAMENX", key, "other"),
        ("RENAME", "other", key), ("RENAME", key, key), ("RENAMENX", key, key), ("MOVE", key, 0), ("MOVE", key, 99), ("MOVE", key, "a"),
        ("MOVE", key, -1), ("MOVE", key, 5), ("MOVE", key, 5), ("PERSIST", key), ("UNLINK", key, "s"), ("DEL", key, "i", "none"),
    ]:  # fmt: skip
        some.same(*args)
    some.finish()


@pytest.mark.parametrize("command", ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
def test_expire(some, command):
    for when in [
        "100000",
        "9999999999",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775",
        "x",
        "1e3",
    ]:
        for options in [(), ("NX",), ("XX",), ("GT",), ("LT",), ("XX", "GT"), ("NX", "GT"), ("GT", "LT"), ("foo",)]:
            for key in ["s", "i", "none"]:
                some.same(command, key, when, *options)
                some.same("EXISTS", key)
                some.same("SET", key, "v", *(("PXAT", "9000000000000") if key == "s" else ()))
    some.same("DEL", "none")
    some.finish()


def test_ttl(some):
    some.same("PEXPIREAT", "s", "99999999999999")
    for command in ["TTL", "PERSIST", "EXPIRETIME", "PEXPIRETIME", "PTTL", "EXPIRETIME"]:
        for key in ["i", "none"]:
            some.same(command, key)
    for command in ["EXPIRETIME", "PEXPIRETIME"]:
        some.same(command, "s")
    some.finish()


def test_keys_and_scan(some):
    for pattern in [
        "*",
        "",
        "?",
        "[a-i]",
        "[^s]*",
        "[i-a]",
        "se\\t",
        "s*t*",
        "[",
        "[a",
        "\\",
        "*\\",
        "[]",
        "[^]",
        "i[n]ts",
        "**s**",
    ]:
        some.same_set("KEYS", pattern)
    some.same_set("SCAN", 0, "COUNT", 1000)
    for args in [
        ("SCAN", "x"),
        ("SCAN", 0, "COUNT", 0),
        ("SCAN", 0, "COUNT"),
        ("SCAN", 0, "COUNT", "a"),
        ("SCAN", 0, "foo"),
        ("SCAN", "-1x"),
    ]:
        some.same(*args)
    for extra in [("TYPE", "hash"), ("TYPE", "foo"), ("MATCH", "i*"), ("MATCH", "i*", "TYPE", "set"), ("TYPE", "LIST")]:
        some.same_set("SCAN", 0, "COUNT", 1000, *extra)


def test_transactions(some):
    for args in [
        ("EXEC",), ("DISCARD",), ("MULTI",), ("GET", "s"), ("MULTI",), ("WATCH", "s"), ("INCR", "s"), ("SET", "q"), ("EXEC",), ("MULTI",),
        ("foo", "bar\r\nbaz"), ("PING",), ("EXEC",), ("MULTI",), ("SET", "q", 1), ("SELECT", 3), ("SET", "q", 2), ("EXEC",), ("GET", "q"),
        ("SELECT", 0), ("MULTI",), ("DISCARD",), ("WATCH", "q", "q"), ("SET", "q", 3), ("MULTI",), ("SET", "q", 4), ("EXEC",), ("GET", "q"),
        ("WATCH", "q"), ("UNWATCH",), ("SET", "q", 3), ("MULTI",), ("GET", "q"), ("EXEC",), ("WATCH", "q"), ("MULTI",), ("GET", "q"), ("EXEC",),
        ("WATCH", "z"), ("DEL", "z"), ("MULTI",), ("EXEC",), ("MULTI",), ("EXEC",), ("UNWATCH",), ("WATCH",), ("MULTI", "x"),
        ("WATCH", "new"), ("RENAME", "l", "new"), ("MULTI",), ("EXEC",), ("WATCH", "new"), ("FLUSHDB",), ("MULTI",), ("EXEC",), ("WATCH", "none"),
        ("FLUSHALL",), ("MULTI",), ("EXEC",), ("MULTI",), ("OBJECT", "foo"), ("EXEC",), ("MULTI",), ("RESET",), ("EXEC",), ("MULTI",), ("QUIT",),
    ]:  # fmt: skip
        some.same(*args)


def test_unknown_commands(pair):
    for args in [
        ("foo",), ("foo", "bar"), ("f" * 200, "b" * 200), ("foo", *["x" * 30] * 9), ("", "a"), ("fo\r\no", "a\nb"), ("CONFIG",), ("CONFIG", "foo"),
        ("config", "GeT"), ("OBJECT", "x" * 200, "y"), ("GET",), ("get", "a", "b"), ("foo\x00bar", "a\x00b"),
    ]:  # fmt: skip
        pair.same(*args)


def test_patterns_and_the_empty_key(pair):
    """A lone star is every key; else nothing but the empty pattern takes the empty name."""
    for words in (
        ("SET", "", "x"),
        ("SADD", "s", "", "a"),
        ("HSET", "h", "", "1", "a", "2"),
        ("ZADD", "z", 1, "", 2, "a"),
    ):
        pair.same(*words)
    for pattern in ("*", "**", "?", "", "*a", "[^b]", "\\\\"):
        pair.same_set("KEYS", pattern)
        pair.same_set("SCAN", 0, "MATCH", pattern, "COUNT", 1000)
        for key in "shz":
            pair.same_set({"s": "SSCAN", "h": "HSCAN", "z": "ZSCAN"}[key], key, 0, "MATCH", pattern)
