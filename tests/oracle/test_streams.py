"""Streams beside redis-server: replies, counters, groups, pending entries, trimming, effects."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.oracle.differential import clocked
from tests.oracle.effects import replay_on
from tests.resp import command, parse


def near(pair, *args: Any) -> Any:
    """Both sides' replies say the same, clocks aside."""
    theirs, ours = (parse(reply)[0] for reply in pair.both(*args))
    assert clocked(ours) == clocked(theirs), f"{args}\nredis {theirs!r}\nours  {ours!r}"
    return ours


def described(pair, key: str = "s") -> None:
    """Everything that is said of a stream."""
    pair.same("XLEN", key)
    pair.same("XINFO", "STREAM", key)
    near(pair, "XINFO", "STREAM", key, "FULL", "COUNT", "0")
    pair.same("XINFO", "GROUPS", key)
    pair.same("XRANGE", key, "-", "+")
    pair.same("XREVRANGE", key, "+", "-")
    pair.same("DEBUG", "DIGEST-VALUE", key)
    pair.same("TYPE", key)
    pair.same("OBJECT", "ENCODING", key)


def serialized(pair, key: str) -> None:
    """The size of the value in a file, without compression."""
    pair.real.call("CONFIG", "SET", "rdbcompression", "no")
    sizes = [int(re.search(rb"serializedlength:(\d+)", reply)[1]) for reply in pair.both("DEBUG", "OBJECT", key)]
    pair.real.call("CONFIG", "SET", "rdbcompression", "yes")
    assert sizes[0] == sizes[1]


IDS = [
    "1",
    "1-1",
    "0-1",
    "5-*",
    "0-*",
    "18446744073709551615-18446744073709551615",
    "-",
    "+",
    "*",
    "1-",
    "-1",
    "1-2-3",
    "a",
]
IDS += [
    "",
    " 1",
    "+1-1",
    "01-01",
    "1--05",
    "18446744073709551616",
    "1-18446744073709551616",
    "(1",
    "(",
    "$",
    ">",
    "1 -1",
]
IDS += ["9" * 127, "9" * 128, b"7-7\x00x", b"-\x00", "1-**", "1-*1", "99999999999999999999999999-1", "\t3-+4"]


@pytest.mark.parametrize("proto", [2, 3])
def test_ids(pair, proto):
    if proto == 3:
        pair.resp3()
    for id in IDS:
        if id not in ("*", "+1-1"):
            pair.same("XADD", f"new{proto}", id, "f", "v")
            pair.same("XLEN", f"new{proto}")
    for i in range(1, 8):
        pair.same("XADD", "s", f"{i}-{i}", "f", i)
    pair.same("XADD", "s", "9-18446744073709551615", "f", "last of 9")
    for id in ("9-*", "9", "10-*", "10-*", "10"):
        pair.same("XADD", "s", id, "f", "v")
    for low in IDS:
        for high in IDS:
            pair.same("XRANGE", "s", low, high)
            pair.same("XREVRANGE", "s", low, high, "COUNT", 2)
    for id in IDS:
        pair.same("XDEL", "copy", id)
        pair.same("XREAD", "STREAMS", "s", id)
        pair.same("XADD", "s", "MINID", id, "*")
        pair.same("XTRIM", "s", "MINID", "=", id, "LIMIT", 0)
    described(pair)


def test_entries_of_many_kinds(pair):
    n = 1
    for fields in (1, 2, 3, 70):
        for value in (
            "",
            "a",
            1,
            -1,
            127,
            128,
            4096,
            -70000,
            2**40,
            -(2**63),
            2**63,
            "007",
            "x" * 63,
            "x" * 64,
            "y" * 5000,
        ):
            for _ in range(2):
                words = [w for k in range(fields) for w in (f"field {k}", value)]
                pair.same("XADD", "s", f"{n}-{n % 3}", *words)
                n += 1 + n % 5 * 1000
    for value in (1, 1, "abc"):
        pair.same("XADD", "s", f"{n}", value, value, 5, value)
        n += 1
    described(pair)
    pair.same("XADD", "s", "*", "odd")
    pair.same("XADD", "s", "*", "a", "b", "c")
    pair.same("XADD", "s", "5")
    pair.same("XADD", "s", "5", "a", "b")
    pair.same("XADD", "s", "0-0", "a", "b")
    pair.same("XADD", "s", "18446744073709551615-18446744073709551615", "a", "b")
    pair.same("XADD", "s", "*", "a", "b")
    pair.same("XADD", "none", "NOMKSTREAM", "1-1", "a", "b")
    pair.same("XADD", "none", "nomkstream", "nomkstream", "1-1", "a", "b")
    pair.same("EXISTS", "none")
    pair.same("SET", "str", "x")
    for words in (["XADD", "str", "*", "a", "b"], ["XLEN", "str"], ["XDEL", "str", "1"], ["XTRIM", "str", "MAXLEN", "0"],
                  ["XRANGE", "str", "-", "+"], ["XREAD", "STREAMS", "str", "0"], ["XACK", "str", "g", "1"],
                  ["XINFO", "STREAM", "str"], ["XGROUP", "CREATE", "str", "g", "$"], ["XPENDING", "str", "g"],
                  ["XCLAIM", "str", "g", "c", "0", "1"], ["XAUTOCLAIM", "str", "g", "c", "0", "1"], ["XSETID", "str", "1"],
                  ["XREADGROUP", "GROUP", "g", "c", "STREAMS", "str", ">"]):  # fmt: skip
        pair.same(*words)
    pair.finish()


def test_nodes_and_their_figures(pair):
    for i in range(1, 1200):
        pair.both("XADD", "s", f"{i * 37}-{i % 4}", "f", i)
        if i % 97 == 0:
            pair.same("XINFO", "STREAM", "s")
    serialized(pair, "s")
    for i in range(1, 1200, 3):
        pair.same("XDEL", "s", f"{i * 37}-{i % 4}", f"{i}-0")
    described(pair)
    serialized(pair, "s")
    for setting in (("stream-node-max-entries", 7), ("stream-node-max-bytes", 200), ("stream-node-max-entries", 0)):
        for side in (pair.real.call, lambda *a: pair.ours.feed(command(*a))):
            assert side("CONFIG", "SET", *setting) == b"+OK\r\n"
        for i in range(300):
            pair.both("XADD", f"t{setting[0]}{setting[1]}", f"{i + 1}", "f", i, "g", "x" * (i % 50))
        described(pair, f"t{setting[0]}{setting[1]}")


def test_counters_wider_than_a_byte(pair):
    for side in (pair.real.call, lambda *a: pair.ours.feed(command(*a))):
        assert side("CONFIG", "SET", "stream-node-max-entries", "0", "stream-node-max-bytes", "0") == b"+OK\r\n"
    for i in range(1, 400):
        pair.both("XADD", "s", f"{i}", "f", i)
    for i in range(1, 400):
        pair.same("XDEL", "s", f"{(i * 7) % 400}-0")
        if i % 50 == 0:
            described(pair)
            serialized(pair, "s")


TRIMS = [
    ["MAXLEN", "~", 100], ["MAXLEN", "=", 250], ["MAXLEN", 249], ["MAXLEN", "~", 0, "LIMIT", 99],
    ["MAXLEN", "~", 0, "LIMIT", 100], ["MINID", "~", 320], ["MINID", 330], ["MINID", "=", "330-5"],
    ["MINID", "~", 330, "LIMIT", 1], ["MAXLEN", -1], ["MAXLEN", "x"], ["MAXLEN"], ["MAXLEN", "~"], ["MAXLEN", 5, "LIMIT", 3],
    ["MAXLEN", 5, "LIMIT", 0], ["MAXLEN", "~", 5, "LIMIT", -1], ["LIMIT", 5], ["LIMIT", 0], ["MAXLEN", 5, "MINID", 5],
    ["MINID", 3, "MINID", 5], ["FOO"], [], ["MAXLEN", "=", 100, "x"], ["MINID", "~", "-"], ["maxlen", "~", 120, "limit", 0],
    ["MAXLEN", "~", 100, "LIMIT", 200, "LIMIT", 300], ["MAXLEN", 0],
]  # fmt: skip


@pytest.mark.parametrize("adding", [False, True])
def test_trimming(pair, adding):
    for trim in TRIMS:
        pair.same("DEL", "s")
        for i in range(1, 351):
            pair.both("XADD", "s", f"{i}-0", "f", i)
        pair.same("XDEL", "s", "1", "5", "250", "101", "100")
        if adding:
            pair.same("XADD", "s", *trim, "1000-1", "a", "b")
        else:
            pair.same("XTRIM", "s", *trim)
        described(pair)
    pair.same("XTRIM", "none", "MAXLEN", 5)
    pair.finish()


def test_nodes_of_deleted_entries_only(pair):
    """MINID among deleted entries leaves a node without a living one; XSETID can then go back."""
    for id in ("5", "6"):
        pair.same("XADD", "s", id, "a", "b")
    pair.same("XDEL", "s", "6")
    pair.same("XTRIM", "s", "MINID", "6")
    described(pair)
    pair.same("XSETID", "s", "3")
    pair.same("XSETID", "s", "6", "MAXDELETEDID", "1-1")
    pair.same("XSETID", "s", "3")
    pair.same("XADD", "s", "4", "a", "c")
    pair.same("XRANGE", "s", "4", "4")
    pair.same("XREVRANGE", "s", "4", "-")
    pair.same("XADD", "s", "5", "other", "fields")
    described(pair)
    pair.same("XDEL", "s", "4", "5", "6")
    described(pair)
    for i in range(7, 120):
        pair.same("XADD", "s", i, "a", i)
    described(pair)


def test_setid(pair):
    pair.same("XSETID", "none", "1")
    for i in range(1, 6):
        pair.same("XADD", "s", i, "a", "b")
    pair.same("XDEL", "s", "5", "2")
    for words in (["4"], ["5"], ["9-9"], ["x"], ["20", "ENTRIESADDED", 2], ["20", "ENTRIESADDED", 100], ["20", "ENTRIESADDED", -1],
                  ["20", "MAXDELETEDID", "21"], ["20", "MAXDELETEDID", "20"], ["20", "MAXDELETEDID", "0-0"], ["20", "FOO"],
                  ["20", "ENTRIESADDED"], ["20", "maxdeletedid", "3", "entriesadded", "7"], ["20", "ENTRIESADDED", "x"]):  # fmt: skip
        pair.same("XSETID", "s", *words)
        described(pair)


def fill(pair, key: str = "s", n: int = 20) -> None:
    for i in range(1, n + 1):
        pair.both("XADD", key, f"{i}-{i}", "f", i, "g", "x" * i)


@pytest.mark.parametrize("proto", [2, 3])
def test_reading(pair, proto):
    if proto == 3:
        pair.resp3()
    fill(pair)
    fill(pair, "t", 3)
    pair.same("SET", "str", "x")
    for words in (["STREAMS", "s", "t", "0", "0"], ["COUNT", 2, "STREAMS", "s", "t", "0", "0"], ["STREAMS", "s", "t", "18", "$"],
                  ["STREAMS", "none", "0"], ["STREAMS", "s", "$"], ["COUNT", -1, "STREAMS", "s", "19"], ["STREAMS", "s", "20-20"],
                  ["COUNT", "x", "STREAMS", "s", "0"], ["STREAMS"], ["STREAMS", "s"], ["STREAMS", "s", "t", "0"], ["COUNT", "1"],
                  ["STREAMS", "s", ">"], ["GROUP", "g", "c", "STREAMS", "s", "0"], ["NOACK", "STREAMS", "s", "0"], ["FOO"],
                  ["STREAMS", "s", "str", "0", "0"], ["BLOCK", -1, "STREAMS", "s", "0"], ["BLOCK", "x", "STREAMS", "s", "0"],
                  ["BLOCK", "1.5", "STREAMS", "s", "0"], ["BLOCK", 5, "STREAMS", "s", "0-1"], ["STREAMS", "s", "s", "18", "19"],
                  ["BLOCK", 5, "COUNT", 1, "STREAMS", "none", "s", "$", "3"], ["STREAMS", "s", "+"], ["STREAMS", "s", "-"]):  # fmt: skip
        pair.same("XREAD", *words)
    pair.same("MULTI")
    pair.same("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    pair.same("EXEC")


@pytest.mark.parametrize("proto", [2, 3])
def test_groups(pair, proto):
    if proto == 3:
        pair.resp3()
    pair.same("XGROUP", "HELP")
    pair.same("XINFO", "HELP")
    for words in (["CREATE", "s", "g", "$"], ["CREATE", "m", "g", "$", "MKSTREAM"], ["CREATE", "m", "g", "0"], ["SETID", "s", "g", "0"],
                  ["CREATE", "m", "h", "x"], ["CREATE", "m", "h", "0", "FOO"], ["CREATE", "m", "h", "0", "ENTRIESREAD", "x"],
                  ["CREATE", "m", "h", "0", "ENTRIESREAD", "-2"], ["CREATE", "m", "h", "0", "ENTRIESREAD", "5"], ["CREATE", "m", "h"],
                  ["CREATE", "m", "i", "3-3", "MKSTREAM", "ENTRIESREAD", "-1"], ["CREATE", "m", "j", "0", "ENTRIESREAD"],
                  ["CREATE", "m", "j", "1", "MKSTREAM", "MKSTREAM", "MKSTREAM"], ["CREATE", "m", "k", "1", *["MKSTREAM"] * 4],
                  ["CREATECONSUMER", "m", "g", "c"], ["CREATECONSUMER", "m", "g", "c"], ["CREATECONSUMER", "m", "no", "c"],
                  ["CREATECONSUMER", "none", "g", "c"], ["DELCONSUMER", "m", "g", "c"], ["DELCONSUMER", "m", "g", "c"],
                  ["DELCONSUMER", "m", "no", "c"], ["DESTROY", "m", "j"], ["DESTROY", "m", "j"], ["DESTROY", "none", "g"],
                  ["SETID", "m", "g", "7-7"], ["SETID", "m", "g", "$", "ENTRIESREAD", "3"], ["SETID", "m", "no", "$"],
                  ["SETID", "m", "g", "$", "ENTRIESREAD", "1", "ENTRIESREAD", "2"], ["SETID", "m", "g", "$", "MKSTREAM"],
                  ["NOSUCH", "m"], ["CREATE"], ["DESTROY", "m"], ["CREATE", "m", "", "0"], ["CREATECONSUMER", "m", "", ""]):  # fmt: skip
        pair.same("XGROUP", *words)
    near(pair, "XINFO", "STREAM", "m", "FULL")
    near(pair, "XINFO", "CONSUMERS", "m", "g")
    for words in (["STREAM", "none"], ["GROUPS", "none"], ["CONSUMERS", "m", "no"], ["CONSUMERS", "none", "g"], ["CONSUMERS", "m"],
                  ["STREAM", "m", "FOO"], ["STREAM", "m", "FULL", "COUNT"], ["STREAM", "m", "FULL", "COUNT", "x"],
                  ["STREAM", "m", "FULL", "FOO", "1"], ["STREAM", "m", "FULL", "COUNT", "1", "x"], ["GROUPS", "m", "x"], ["NOSUCH"],
                  ["CONSUMERS", "a\r\nb", "c\r\nd"], ["CONSUMERS", "m", "c\r\nd" + "e" * 200]):  # fmt: skip
        pair.same("XINFO", *words)
    pair.same("DEL", "m")


@pytest.mark.parametrize("proto", [2, 3])
def test_reading_as_a_consumer(pair, proto):
    if proto == 3:
        pair.resp3()
    fill(pair)
    for group, start in (("g", "0"), ("h", "$"), ("i", "10-10")):
        pair.same("XGROUP", "CREATE", "s", group, start)
    for words in (
        ["GROUP", "g", "alice", "COUNT", 3, "STREAMS", "s", ">"], ["GROUP", "g", "bob", "COUNT", 2, "STREAMS", "s", ">"],
        ["GROUP", "g", "alice", "STREAMS", "s", "0"], ["GROUP", "g", "alice", "COUNT", 1, "STREAMS", "s", "1-1"],
        ["GROUP", "g", "carol", "STREAMS", "s", "0"], ["GROUP", "g", "alice", "NOACK", "COUNT", 2, "STREAMS", "s", ">"],
        ["GROUP", "h", "dan", "STREAMS", "s", ">"], ["GROUP", "i", "dan", "STREAMS", "s", ">"], ["STREAMS", "s", ">"],
        ["GROUP", "g", "STREAMS", "s", ">"], ["GROUP", "no", "c", "STREAMS", "s", ">"], ["GROUP", "g", "c", "STREAMS", "none", ">"],
        ["GROUP", "g", "c", "STREAMS", "s", "$"], ["GROUP", "g", "c", "STREAMS", "s", "x"], ["GROUP", "g", "c", "COUNT", 1],
        ["GROUP", "g", "c", "STREAMS", "s", "s", ">"], ["GROUP", "g", "erin", "COUNT", 1, "STREAMS", "s", "s", ">", "0"],
        ["GROUP", "g", "f", "BLOCK", 1, "STREAMS", "s", "18446744073709551615-18446744073709551615"],
        ["GROUP", "g", "c", "STREAMS", "a" * 200, "b\r\nc", ">", ">"], ["GROUP", "g", "c", "FOO", "STREAMS", "s", ">"],
    ):  # fmt: skip
        pair.same("XREADGROUP", *words)
        near(pair, "XINFO", "STREAM", "s", "FULL", "COUNT", 0)
    pair.same("XDEL", "s", "2-2", "4-4", "12-12")
    for words in (
        ["GROUP", "g", "alice", "STREAMS", "s", "0"], ["GROUP", "g", "bob", "STREAMS", "s", ">"],
        ["GROUP", "g", "bob", "STREAMS", "s", ">"],
    ):  # fmt: skip
        pair.same("XREADGROUP", *words)
        near(pair, "XINFO", "STREAM", "s", "FULL", "COUNT", 0)
        pair.same("XINFO", "GROUPS", "s")
    for words in (["g"], ["h"], ["no"], ["g", "-", "+", 10], ["g", "-", "+", 10, "alice"], ["g", "-", "+", 10, "nobody"],
                  ["g", "(1-1", "(5-5", 10], ["g", "-", "+", 0], ["g", "-", "+", -1], ["g", "-", "+", "x"], ["g", "x", "+", 1],
                  ["g", "IDLE", 0, "-", "+", 10], ["g", "IDLE", 100000, "-", "+", 10], ["g", "IDLE", 0, "-", "+", 10, "bob"],
                  ["g", "IDLE", "x", "-", "+", 10], ["g", "IDLE", 0, "-", "+"], ["g", "-"], ["g", "-", "+"], ["g", "(-", "+", 1],
                  ["g", "-", "+", 10, "a", "b", "c", "d"], ["g", "-", "+", 10, "alice", "x"], ["g", "+", "-", 5],
                  ["g", "(18446744073709551615-18446744073709551615", "+", 1], ["g", "-", "(0-0", 1]):  # fmt: skip
        near(pair, "XPENDING", "s", *words)
    near(pair, "XPENDING", "none", "g")
    for words in (
        ["g", "1-1"],
        ["g", "1-1"],
        ["g", "3-3", "5-5", "99"],
        ["g", "x"],
        ["g", "3-3", "x"],
        ["no", "1"],
        ["h", "1-1"],
    ):
        pair.same("XACK", "s", *words)
    pair.same("XACK", "none", "g", "1")
    for group in ("g", "h", "i"):
        near(pair, "XINFO", "CONSUMERS", "s", group)
        pair.same("XGROUP", "DELCONSUMER", "s", group, "bob")
        pair.same("XGROUP", "DELCONSUMER", "s", group, "dan")
    described(pair)
    pair.same("COPY", "s", "t")
    described(pair, "t")
    serialized(pair, "t")
    pair.same("RENAME", "t", "u")
    pair.same("XGROUP", "DESTROY", "s", "g")
    described(pair)
    near(pair, "XINFO", "STREAM", "u", "FULL", "COUNT", 0)
    pair.finish()


@pytest.mark.parametrize("proto", [2, 3])
def test_claiming(pair, proto):
    if proto == 3:
        pair.resp3()
    fill(pair)
    pair.same("XGROUP", "CREATE", "s", "g", "0")
    pair.same("XREADGROUP", "GROUP", "g", "alice", "COUNT", 12, "STREAMS", "s", ">")
    pair.same("XDEL", "s", "3-3", "7-7", "8-8")
    for words in (["bob", 0, "1-1"], ["bob", 0, "1-1", "2-2", "JUSTID"], ["carol", 100000, "1-1"], ["carol", -5, "4-4", "FORCE"],
                  ["carol", 0, "3-3"], ["carol", 0, "15-15"], ["carol", 0, "15-15", "FORCE"], ["dan", 0, "15-15", "FORCE", "JUSTID"],
                  ["dan", 0, "16-16", "FORCE", "RETRYCOUNT", 7], ["dan", 0, "16-16", "RETRYCOUNT", -1], ["dan", 0, "5-5", "IDLE", 1000],
                  ["dan", 0, "5-5", "IDLE", -1000], ["dan", 0, "5-5", "TIME", 5], ["dan", 0, "5-5", "TIME", -5],
                  ["dan", 0, "5-5", "TIME", 10**18], ["dan", 0, "6-6", "LASTID", "13-13"], ["dan", 0, "6-6", "LASTID", "1-1"],
                  ["dan", 0, "LASTID", "14-14"], ["dan", 0, "6-6", "FOO"], ["dan", 0, "x"], ["dan", "x", "6-6"],
                  ["dan", 0, "6-6", "IDLE"], ["dan", 0, "6-6", "IDLE", "x"], ["dan", 0, "6-6", "TIME", "x"],
                  ["dan", 0, "6-6", "RETRYCOUNT", "x"], ["dan", 0, "6-6", "LASTID", "x"], ["eve", 0, "99-99", "FORCE"],
                  ["dan", 0, "6-6", "9-9", "retrycount", "3", "justid"], ["dan", 0, "FORCE", "9-9"]):  # fmt: skip
        pair.same("XCLAIM", "s", "g", *words)
        near(pair, "XINFO", "STREAM", "s", "FULL", "COUNT", 0)
    for words in (["auto", 0, "-"], ["auto", 0, "0", "COUNT", 2], ["auto", 0, "2-2", "COUNT", 3, "JUSTID"], ["auto", 10**6, "0"],
                  ["auto", 0, "(2-2", "COUNT", 1], ["auto", "x", "0"], ["auto", 0, "x"], ["auto", 0, "0", "COUNT", 0],
                  ["auto", 0, "0", "COUNT", "x"], ["auto", 0, "0", "FOO"], ["auto", 0, "0", "COUNT"], ["late", 0, "+"],
                  ["late", -1, "16-16"], ["auto", 0, "(18446744073709551615-18446744073709551615"],
                  ["auto", 0, "0", "COUNT", "9223372036854775807"], ["auto", 0, "0", "COUNT", "576460752303423487"]):  # fmt: skip
        pair.same("XAUTOCLAIM", "s", "g", *words)
        near(pair, "XINFO", "STREAM", "s", "FULL", "COUNT", 0)
    for words in (["XCLAIM", "none", "g", "c", "0", "1"], ["XCLAIM", "s", "no", "c", "0", "1"], ["XAUTOCLAIM", "none", "g", "c", "0", "1"],
                  ["XAUTOCLAIM", "s", "no\r\n", "c", "0", "1"]):  # fmt: skip
        pair.same(*words)
    described(pair)


def test_scanning_claims_deleted_entries(pair):
    fill(pair, n=60)
    pair.same("XGROUP", "CREATE", "s", "g", "0")
    pair.same("XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", ">")
    for i in range(1, 60, 2):
        pair.same("XDEL", "s", f"{i}-{i}")
    cursor: Any = "0"
    for _ in range(20):
        pair.same("XAUTOCLAIM", "s", "g", "b", "100000", "0", "COUNT", "1")
        cursor = parse(pair.same("XAUTOCLAIM", "s", "g", "b", "0", cursor, "COUNT", "7"))[0][0]
        near(pair, "XINFO", "STREAM", "s", "FULL", "COUNT", 0)
        if cursor == b"0-0":
            break
    near(pair, "XPENDING", "s", "g", "-", "+", 100)


def test_reads_and_lag(pair):
    """entries-read and lag through deletions, trimming and moved groups."""
    fill(pair, n=12)
    pair.same("XGROUP", "CREATE", "s", "g", "0", "ENTRIESREAD", "0")
    pair.same("XGROUP", "CREATE", "s", "h", "5-5")
    pair.same("XGROUP", "CREATE", "s", "i", "$")

    def read(group: str, n: int) -> None:
        pair.same("XREADGROUP", "GROUP", group, "c", "COUNT", n, "STREAMS", "s", ">")
        pair.same("XINFO", "GROUPS", "s")

    for group in "ghi":
        read(group, 2)
    for id in ("1-1", "9-9", "12-12"):
        pair.same("XDEL", "s", id)
        pair.same("XINFO", "GROUPS", "s")
    for group in "ghig":
        read(group, 3)
    pair.same("XTRIM", "s", "MAXLEN", 2)
    pair.same("XINFO", "GROUPS", "s")
    pair.same("XADD", "s", "50-1", "a", "b")
    for group in "ghigh":
        read(group, 1)
    pair.same("XGROUP", "SETID", "s", "g", "11-11")
    pair.same("XGROUP", "SETID", "s", "h", "10-10", "ENTRIESREAD", "4")
    pair.same("XINFO", "GROUPS", "s")
    for group in "gh":
        read(group, 1)
    pair.same("XTRIM", "s", "MAXLEN", 0)
    pair.same("XINFO", "GROUPS", "s")
    pair.same("XSETID", "s", "100-1", "ENTRIESADDED", "70", "MAXDELETEDID", "60-1")
    pair.same("XGROUP", "CREATE", "s", "j", "100-1")
    pair.same("XGROUP", "CREATE", "s", "k", "3-3")
    pair.same("XINFO", "GROUPS", "s")
    pair.same("XADD", "s", "101-1", "a", "b")
    for group in "ghijk":
        read(group, 5)


# ---- effects


def groups_of(call: Any, key: str) -> Any:
    return clocked(parse(call("XINFO", "STREAM", key, "FULL", "COUNT", "0"))[0])


def test_effects_repeat_groups(pair):
    pair.store.record_effects(True)

    def run(*words: Any) -> None:
        pair.ours.feed(command(*words))

    for i in range(1, 41):
        run("XADD", "s", "*" if i % 2 else f"{10**14 + i}-*" if i == 40 else "*", "f", i)
    run("XADD", "s", "MAXLEN", "~", 10, "LIMIT", 20, "*", "f", "v")
    run("XGROUP", "CREATE", "s", "g", "0")
    run("XGROUP", "CREATE", "s", "h", "$", "ENTRIESREAD", 40)
    run("XREADGROUP", "GROUP", "g", "alice", "COUNT", 9, "STREAMS", "s", ">")
    run("XREADGROUP", "GROUP", "g", "bob", "NOACK", "COUNT", 3, "STREAMS", "s", ">")
    run("XREADGROUP", "GROUP", "g", "carol", "NOACK", "STREAMS", "s", "0")
    ids = [entry[0] for entry in parse(pair.ours.feed(command("XRANGE", "s", "-", "+")))[0]]
    run("XCLAIM", "s", "g", "bob", 0, ids[0], ids[1], "IDLE", 5000, "JUSTID")
    run("XCLAIM", "s", "g", "carol", 0, ids[20], "FORCE", "RETRYCOUNT", 9, "LASTID", ids[21])
    run("XDEL", "s", ids[2], ids[3])
    run("XCLAIM", "s", "g", "carol", 0, ids[2])
    run("XAUTOCLAIM", "s", "g", "bob", 0, "0", "COUNT", 4)
    run("XACK", "s", "g", ids[5])
    run("XGROUP", "DELCONSUMER", "s", "h", "nobody")
    run("XTRIM", "s", "MINID", "~", ids[4])
    run("XTRIM", "s", "MAXLEN", 30)
    effects = bytes(pair.store.take_effects())
    assert (
        b"LIMIT" not in effects
        and b"~" not in effects
        and b"XREADGROUP" not in effects
        and b"XAUTOCLAIM" not in effects
    )
    expected = groups_of(lambda *args: pair.ours.feed(command(*args)), "s")
    again = type(pair.store)()
    again.replay(effects)
    session = again.new_session()
    assert groups_of(lambda *args: session.feed(command(*args)), "s") == expected
    again.check()
    again.close()
    replay_on(pair.real, effects)
    assert groups_of(pair.real.call, "s") == expected


def test_effects_are_redis_own_words(pair):
    """Word for word what redis-server appends to its file (found by reading one)."""
    pair.store.record_effects(True)
    for words in (["XADD", "s", "MAXLEN", "~", 100, "5-*", "a", "b"], ["XADD", "s", "NOMKSTREAM", "MAXLEN", 5, "6-0", "a", "b"],
                  ["XGROUP", "CREATE", "s", "g", "0"], ["XREADGROUP", "GROUP", "g", "c", "NOACK", "STREAMS", "s", ">"],
                  ["XTRIM", "s", "MAXLEN", "~", 10], ["XTRIM", "s", "MINID", "6"], ["XCLAIM", "s", "g", "c", 0, "6-0"],
                  ["XCLAIM", "s", "g", "c", 0, "6-0", "FORCE", "TIME", 5000]):  # fmt: skip
        pair.ours.feed(command(*words))
    told, at, effects = [], 0, bytes(pair.store.take_effects())
    while at < len(effects):
        words, at = parse(effects, at)
        told.append(b" ".join(words))
    assert told == [
        b"SELECT 0",
        b"XADD s MAXLEN = 1 5-0 a b",
        b"XADD s NOMKSTREAM MAXLEN 5 6-0 a b",
        b"XGROUP CREATE s g 0",
        b"MULTI",
        b"XGROUP CREATECONSUMER s g c",
        b"XGROUP SETID s g 6-0 ENTRIESREAD 2",
        b"EXEC",
        b"XTRIM s MINID 6",
        b"XCLAIM s g c 0 6-0 TIME 5000 RETRYCOUNT 2 FORCE JUSTID LASTID 6-0",
    ]
