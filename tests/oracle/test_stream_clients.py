"""Streams and several clients beside redis-server: who waits, notifications, WATCH."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.resp import command

CHANGES = [
    ["XADD", "s", "1-1", "a", "b"], ["XADD", "s", "MAXLEN", 1, "2-1", "a", "b"], ["XADD", "s", "NOMKSTREAM", "3-1", "a", "b"],
    ["XADD", "none", "NOMKSTREAM", "3-1", "a", "b"], ["XTRIM", "s", "MAXLEN", 1], ["XTRIM", "s", "MAXLEN", 1], ["XDEL", "s", "9"],
    ["XGROUP", "CREATE", "s", "g", "0"], ["XGROUP", "CREATE", "s", "g", "0"], ["XGROUP", "CREATE", "m", "g", "0", "MKSTREAM"],
    ["XGROUP", "SETID", "s", "g", "0"], ["XGROUP", "CREATECONSUMER", "s", "g", "c"], ["XGROUP", "CREATECONSUMER", "s", "g", "c"],
    ["XREADGROUP", "GROUP", "g", "d", "STREAMS", "s", ">"], ["XREADGROUP", "GROUP", "g", "d", "STREAMS", "s", "0"],
    ["XREADGROUP", "GROUP", "g", "e", "NOACK", "STREAMS", "s", ">"], ["XCLAIM", "s", "g", "f", 0, "3-1"],
    ["XCLAIM", "s", "g", "h", 0, "9-1"], ["XAUTOCLAIM", "s", "g", "i", 0, "0"], ["XACK", "s", "g", "3-1"],
    ["XGROUP", "DELCONSUMER", "s", "g", "c"], ["XGROUP", "DELCONSUMER", "s", "g", "c"], ["XGROUP", "DESTROY", "s", "g"],
    ["XGROUP", "DESTROY", "s", "g"], ["XSETID", "s", "50-1"], ["XDEL", "s", "3-1", "2-1"], ["COPY", "s", "t"], ["RENAME", "t", "u"],
    ["DEL", "u"],
]  # fmt: skip


@pytest.mark.parametrize("proto", [2, 3])
def test_waiting_readers(several, proto):
    for name in "abcd":
        several.do(name, "HELLO", proto)
    several.run("""
        w: XADD s 1-1 a b
        a: XREAD BLOCK 0 STREAMS t s $ $
        b: XREAD BLOCK 0 COUNT 1 STREAMS s 5
        c: XREAD BLOCK 0 STREAMS s 1-1
        d: XREAD BLOCK 30 STREAMS s $
    """)
    several.wait(0.25)
    several.run("""
        w: XDEL s 1-1
        w: XADD s 2-1 a c
        w: MULTI
        w: XADD s 4-1 a 4
        w: XADD s 5-1 a 5
        w: XADD s 6-1 a 6
        w: EXEC
        a: XREAD BLOCK 0 STREAMS new 0
        b: XREAD BLOCK 0 STREAMS new 0
        w: SET new string
        w: DEL new
        w: XGROUP CREATE new g $ MKSTREAM
        w: RENAME s new
        c: XREAD BLOCK 0 STREAMS empty 0
        d: XREAD BLOCK 0 STREAMS empty empty 5 0
        w: XADD empty MAXLEN 0 3-3 a b
        w: XADD empty 6-6 a b
        c: XREAD BLOCK 0 STREAMS empty $
        w: XADD empty 7-7 a b
        w: XDEL empty 7-7
        w: COPY new copied
        c: XREAD BLOCK 0 STREAMS copied2 0
        w: COPY new copied2
        c: XREAD BLOCK 0 STREAMS many 0
    """)
    many = [("MULTI",), *(("XADD", "many", i, "a", "b") for i in range(1, 1200)), ("EXEC",)]
    several.raw("w", b"".join(command(*words) for words in many))
    assert several.store.execute((b"XLEN", b"many")) == 1199


@pytest.mark.parametrize("proto", [2, 3])
def test_waiting_consumers(several, proto):
    for name in "abcd":
        several.do(name, "HELLO", proto)
    several.run("""
        w: XADD s 1-1 a b
        w: XGROUP CREATE s g $
        a: XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
        b: XREADGROUP GROUP g bob BLOCK 0 NOACK STREAMS s >
        c: XREADGROUP GROUP g carol BLOCK 0 COUNT 1 STREAMS s >
        d: XREAD BLOCK 0 STREAMS s $
        w: XADD s 2-1 a b
        w: XADD s 3-1 a b
        w: MULTI
        w: XADD s 4-1 a b
        w: XADD s 5-1 a b
        w: EXEC
        w: XPENDING s g
        w: XINFO GROUPS s
        a: XREADGROUP GROUP g alice BLOCK 40 STREAMS s >
    """)
    several.wait(0.3)
    for change in ("DEL s", "SET s x", "XGROUP DESTROY s g", "FLUSHALL", "RENAME s z", "FLUSHDB", "SWAPDB 0 1", "MOVE s 1",
                   "XDEL s 1-1", "XTRIM s MAXLEN 0", "XGROUP SETID s g 0", "XADD s 99-1 a b", "XGROUP CREATE s other 0",
                   "EXPIRE s -1", "RENAME z s", "COPY z s REPLACE", "XSETID s 50-1", "CLIENT KILL ID @a"):  # fmt: skip
        several.run("""
            w: FLUSHALL
            w: XADD z 1-1 a b
            w: XADD s 1-1 a b
            w: XGROUP CREATE s g $
            a: XREADGROUP GROUP g alice BLOCK 0 STREAMS none s > >
            w: XGROUP CREATE none g $ MKSTREAM
            a: XREADGROUP GROUP g alice BLOCK 0 STREAMS none s > >
            b: XREADGROUP GROUP g bob BLOCK 0 STREAMS s >
        """)
        several.do("w", *change.split())
        several.run("""
            w: DEL s
            w: DEL none
        """)


def crowd(several, seed: int, steps: int) -> None:
    """Four clients that read, wait, write and interfere; a waiting one's further commands queue up."""
    r = random.Random(seed)
    waits = [
        ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"],
        ["XREAD", "BLOCK", 0, "COUNT", 1, "STREAMS", "t", "s", "0", "$"],
    ]
    for consumer in ("alice", "bob"):
        for more in ([], ["NOACK"], ["COUNT", 1]):
            waits.append(["XREADGROUP", "GROUP", "g", consumer, "BLOCK", 0, *more, "STREAMS", r.choice("st"), ">"])
    for newest in range(1, steps):
        luck, key, who = r.random(), r.choice("sst"), r.choice("abcd")
        words: list[Any] = r.choice(waits)
        if luck < 0.45:
            words = ["XADD", key, *(["MAXLEN", r.randrange(3)] if luck < 0.08 else []), f"{newest}-1", "a", newest]
        elif luck < 0.6:
            words = r.choice(
                [["XGROUP", "CREATE", key, "g", r.choice("$0"), "MKSTREAM"], ["XGROUP", "DESTROY", key, "g"]]
            )
        elif luck < 0.68:
            words = r.choice([["DEL", key], ["RENAME", "s", "t"], ["SET", key, 1], ["XDEL", key, f"{newest - 2}-1"]])
        elif luck < 0.72:
            words = r.choice([["MULTI"], ["EXEC"], ["XSETID", key, f"{newest}-5"], ["XPENDING", key, "g"]])
        elif luck < 0.76:
            words = ["CLIENT", "UNBLOCK", "@" + r.choice("abc"), *(["ERROR"] if luck < 0.74 else [])]
            who = "d"
        several.do(who, *words)
    for key in "st":
        several.do("w", "XRANGE", key, "-", "+")
        several.do("w", "XINFO", "GROUPS", key)


@pytest.mark.parametrize("seed", range(4))
def test_a_crowd(several, seed):
    for name in "abcd":
        several.do(name, "HELLO", 2 + seed % 2)
    crowd(several, seed, 90)


def test_notifications(several):
    several.run("""
        w: CONFIG SET notify-keyspace-events AKE
        l: PSUBSCRIBE __key*__:*
    """)
    for change in CHANGES:
        several.do("w", *change)
    several.do("w", "CONFIG", "SET", "notify-keyspace-events", "")


def test_what_aborts_a_transaction(several):
    """Redis 7.0 does not tell WATCH of changes of groups, nor of XSETID."""
    for change in CHANGES:
        several.do("a", "WATCH", "s", "m")
        several.do("w", *change)
        several.do("a", "MULTI")
        several.do("a", "PING")
        several.do("a", "EXEC")
