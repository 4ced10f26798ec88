"""The string group beside redis-server."""

from __future__ import annotations

import pytest

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
    "x" * 44,
]
VALUES += ["x" * 45, "y" * 300, "z" * 5000, " 5", "5 ", "1e3", "inf"]


@pytest.mark.parametrize("value", VALUES)
def test_every_command_on_a_value(pair, value):
    for args in [
        ("GET", "k"), ("STRLEN", "k"), ("OBJECT", "ENCODING", "k"), ("INCR", "k"), ("DECR", "k"), ("INCRBY", "k", "10"),
        ("DECRBY", "k", "-9223372036854775808"), ("INCRBYFLOAT", "k", "1.5"), ("OBJECT", "ENCODING", "k"), ("APPEND", "k", "12"),
        ("OBJECT", "ENCODING", "k"), ("GETRANGE", "k", 1, -2), ("GETRANGE", "k", -3, -1), ("SUBSTR", "k", 0, 100),
        ("SETRANGE", "k", 3, "abc"), ("GETSET", "k", value), ("OBJECT", "ENCODING", "k"), ("SETNX", "k", "n"), ("GETDEL", "k"),
        ("GETDEL", "k"), ("SETRANGE", "k", 4, value), ("GETEX", "k", "PX", 100000), ("GETEX", "k", "PERSIST"), ("TTL", "k"),
    ]:  # fmt: skip
        pair.same("SET", "k", value)
        pair.same(*args)
        pair.same("GET", "k")
        pair.same("OBJECT", "ENCODING", "k")
    pair.finish()


@pytest.mark.parametrize(
    "options",
    [
        (), ("NX",), ("XX",), ("GET",), ("NX", "GET"), ("XX", "GET"), ("KEEPTTL",), ("EX", "100"), ("PX", "100000"), ("EX", "0"),
        ("EX", "-1"), ("EX", "9223372036854775807"), ("PX", "9223372036854775807"), ("EX", "a"), ("EX",), ("NX", "XX"),
        ("EX", "10", "PX", "10"), ("EX", "10", "KEEPTTL"), ("EXAT", "9999999999"), ("PXAT", "9999999999999"), ("EXAT", "1"),
        ("foo",), ("NX", "EX", "100"), ("nx", "ex", "100", "get"), ("PERSIST",),
    ],
)  # fmt: skip
def test_set_options(pair, options):
    for before in [None, "SET", "EXPIRE", "LPUSH"]:
        pair.same("DEL", "k")
        if before == "LPUSH":
            pair.same("LPUSH", "k", "a")
        elif before:
            pair.same("SET", "k", "old")
        if before == "EXPIRE":
            pair.same("EXPIRE", "k", 1000)
        pair.same("SET", "k", "new", *options)
        pair.same("TYPE", "k")
        pair.same("GETEX", "k", *options)
    pair.finish()


def test_many_keys_and_errors(pair):
    for args in [
        ("MSET", "a", 1, "b", 2), ("MSET", "a"), ("MSET", "a", 1, "b"), ("MSETNX", "a", 1, "c", 2), ("MSETNX", "d", 1, "e", 2),
        ("MGET", "a", "b", "nope"), ("SETEX", "a", 0, "x"), ("SETEX", "a", "x", "x"), ("PSETEX", "a", 100000, "x"), ("INCR", "a"),
        ("INCRBY", "b", "x"), ("INCRBYFLOAT", "b", "nan"), ("INCRBYFLOAT", "b", "inf"), ("INCRBYFLOAT", "b", "1e400"),
        ("INCRBYFLOAT", "b", "0.1"), ("INCRBYFLOAT", "b", "-3.00"), ("LPUSH", "l", 1), ("GET", "l"), ("APPEND", "l", 1), ("STRLEN", "l"),
        ("SETRANGE", "l", 0, "x"), ("SETRANGE", "n", -1, "x"), ("SETRANGE", "n", 536870911, "xx"), ("SETRANGE", "n", 5, ""),
        ("GETRANGE", "l", 0, 1), ("GETRANGE", "a", "x", 1), ("MGET", "l", "a"), ("GETSET", "l", 1), ("GETDEL", "l"), ("LCS", "a", "l"),
    ]:  # fmt: skip
        pair.same(*args)
    pair.finish()


@pytest.mark.parametrize(
    "options", [(), ("LEN",), ("IDX",), ("IDX", "MINMATCHLEN", 4), ("IDX", "WITHMATCHLEN"), ("LEN", "IDX"), ("foo",)]
)
@pytest.mark.parametrize(
    "a,b", [("ohmytext", "mynewtext"), ("", "abc"), ("aaaa", "aa"), ("abcxyzabc", "xyzabcxyz"), ("12345", "345")]
)
def test_lcs(pair, a, b, options):
    pair.same("MSET", "a", a, "b", b)
    pair.same("LCS", "a", "b", *options)
    pair.resp3()
    pair.same("LCS", "a", "b", *options)
