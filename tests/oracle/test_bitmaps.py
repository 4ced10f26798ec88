"""The bitmap group beside redis-server."""

from __future__ import annotations

import random

import pytest

import libkv
from tests.oracle.effects import same_after_replay
from tests.resp import command, parse

VALUES = {
    "none": None,
    "empty": b"",
    "zeros": b"\0" * 20,
    "ones": b"\xff" * 20,
    "mixed": b"\0\0\x08\xff\xf0\x0f\0\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
    "number": b"-1234567",
    "text": b"some text that is longer than an embedded string may be, so it is raw",
    "large": bytes(range(256)) * 40,
    "list": None,
}
OFFSETS = [
    "0",
    "1",
    "7",
    "8",
    "23",
    "63",
    "64",
    "159",
    "160",
    "161",
    "400",
    "-1",
    "x",
    "",
    "1.0",
    " 1",
    "+1",
    "#1",
    "007",
]
RANGE = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "-20",
    "-21",
    "19",
    "20",
    "100",
    "x",
    "9223372036854775807",
    "-9223372036854775808",
]


@pytest.fixture(params=VALUES)
def one(request, pair):
    """(pair, a function that makes the key "k" anew)"""

    def fresh():
        pair.same("DEL", "k")
        if request.param == "list":
            pair.same("RPUSH", "k", "a")
        elif VALUES[request.param] is not None:
            pair.same("SET", "k", VALUES[request.param])

    fresh()
    return pair, fresh


def changes(pair):
    """`dirty` on both sides."""
    counts = []
    for reply in pair.both("INFO", "persistence"):
        line = next(line for line in parse(reply)[0].split(b"\r\n") if line.startswith(b"rdb_changes_since_last_save:"))
        counts.append(int(line.split(b":")[1]))
    return counts


def same_with_state(pair, *args):
    """The same reply, count of changes, value and encoding."""
    before = changes(pair)
    pair.same(*args)
    after = changes(pair)
    assert after[0] - before[0] == after[1] - before[1], args
    for key in ("k", "d"):
        if pair.same("TYPE", key) == b"+string\r\n":
            pair.same("GET", key)
            pair.same("OBJECT", "ENCODING", key)


def test_single_bits(one):
    pair, fresh = one
    for at in OFFSETS:
        pair.same("GETBIT", "k", at)
        for bit in ["0", "1", "2", "-1", "x", "", "01", "18446744073709551616"]:
            fresh()
            same_with_state(pair, "SETBIT", "k", at, bit)
            same_with_state(pair, "SETBIT", "k", at, bit)
    for args in [
        ("SETBIT",),
        ("SETBIT", "k"),
        ("SETBIT", "k", 1),
        ("SETBIT", "k", 1, 1, 1),
        ("GETBIT", "k"),
        ("GETBIT", "k", 1, 1),
    ]:
        pair.same(*args)
    pair.finish()


def test_growing_keeps_the_expiry(pair):
    pair.same("SET", "k", "abc", "EX", 1000)
    pair.same("SETBIT", "k", 1000, 1)
    pair.same("SET", "n", "12", "EX", 1000)
    pair.same("BITFIELD", "n", "SET", "u8", 800, 7)
    pair.same("SET", "t", "12", "EX", 1000)
    pair.same("BITOP", "OR", "t", "k", "n")
    pair.finish()


def test_counting(one):
    pair, _ = one
    pair.same("BITCOUNT", "k")
    for start in RANGE:
        pair.same("BITCOUNT", "k", start)
        for end in RANGE:
            pair.same("BITCOUNT", "k", start, end)
            for unit in ["BYTE", "bit", "foo", ""]:
                pair.same("BITCOUNT", "k", start, end, unit)
    pair.same("BITCOUNT")
    pair.same("BITCOUNT", "k", 0, 1, "BIT", 1)
    pair.same("BITCOUNT", "k", "x", 1, "foo", 1)


def test_searching(one):
    pair, _ = one
    for bit in ["0", "1", "2", "-1", "x", ""]:
        pair.same("BITPOS", "k", bit)
        for start in RANGE:
            pair.same("BITPOS", "k", bit, start)
            for end in RANGE:
                pair.same("BITPOS", "k", bit, start, end)
                for unit in ["byte", "BIT", "foo"]:
                    pair.same("BITPOS", "k", bit, start, end, unit)
    pair.same("BITPOS", "k")
    pair.same("BITPOS", "k", 1, 1, 1, "BIT", 1)
    pair.same("BITPOS", "k", 1, "x", 1, "foo", 1)


def test_every_range_of_bits(pair):
    rnd = random.Random(5)
    pair.same("SET", "k", bytes(rnd.choice([0, 255, 16, rnd.randrange(256)]) for _ in range(60)))
    for _ in range(1500):
        start, end = rnd.randrange(-500, 500), rnd.randrange(-500, 500)
        pair.same("BITCOUNT", "k", start, end, "BIT")
        pair.same("BITPOS", "k", rnd.randrange(2), start, end, "BIT")


def test_combining(pair):
    for name, value in VALUES.items():
        if value is not None:
            pair.same("SET", name, value)
    pair.same("RPUSH", "list", "a")
    sources = [
        ("mixed", "text"),
        ("text", "mixed", "number"),
        ("none",),
        ("empty", "none"),
        ("number", "number"),
        ("large",),
    ]
    sources += [
        ("text", "none"),
        ("list",),
        ("text", "list"),
        ("none", "list"),
        ("d",),
        ("d", "large", "d"),
        ("ones", "d"),
    ]
    for before in [
        None,
        ("SET", "d", "old", "EXAT", 9_999_999_999),
        ("SET", "d", b"\xff\x0f" * 30),
        ("RPUSH", "d", "a"),
    ]:
        for op in ["AND", "or", "Xor", "NOT", "nand", ""]:
            for keys in sources:
                pair.same("DEL", "d")
                if before:
                    pair.same(*before)
                same_with_state(pair, "BITOP", op, "d", *keys)
                pair.same("EXPIRETIME", "d")
                pair.same("TYPE", "d")
    pair.same("DEL", "d")
    pair.same("SET", "same", "\x00\x01")
    same_with_state(pair, "BITOP", "XOR", "d", "number", "number")
    pair.same("SET", "digits", "12")
    same_with_state(pair, "BITOP", "AND", "d", "digits", "digits")
    pair.same("BITOP", "AND", "number", "number")
    pair.same("OBJECT", "ENCODING", "number")
    for args in [("BITOP",), ("BITOP", "AND"), ("BITOP", "AND", "d"), ("BITOP", "NOT", "d", "text", "mixed")]:
        pair.same(*args)
    pair.finish()


def test_combining_long_strings(pair):
    """Several blocks, with ends that are no multiple of anything."""
    rnd = random.Random(2)
    for i, size in enumerate([1, 7, 16383, 16385, 40001, 50000]):
        pair.same("SET", f"s{i}", rnd.randbytes(size))
    for _ in range(40):
        op = rnd.choice(["AND", "OR", "XOR", "NOT"])
        keys = [f"s{rnd.randrange(6)}" for _ in range(1 if op == "NOT" else rnd.randrange(1, 5))]
        pair.same("BITOP", op, "d", *keys)
        pair.same("GET", "d")
        pair.same("BITCOUNT", "d")


TYPES = [
    "u1",
    "i1",
    "u7",
    "u8",
    "i8",
    "u63",
    "i64",
    "i33",
    "u64",
    "i65",
    "u0",
    "i0",
    "x8",
    "u",
    "",
    "u-1",
    "u08",
    "u8\x00x",
    "I8",
    "u99999999999999999999",
]
FITTING = ["u1", "i1", "u7", "u8", "i8", "u63", "i64", "i33"]
FIELD_OFFSETS = [
    "0",
    "5",
    "100",
    "159",
    "160",
    "#0",
    "#3",
    "#",
    "#x",
    "#-1",
    "-1",
    "x",
    "",
    "##1",
    "4294967296",
    "#536870912",
]
NUMBERS = [
    "0",
    "1",
    "-1",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "",
    "1.5",
]


def test_fields(one):
    pair, fresh = one
    for kind in TYPES:
        for at in ["0", "5", "#3", "150"]:
            pair.same("BITFIELD", "k", "GET", kind, at)
            pair.same("BITFIELD_RO", "k", "GET", kind, at)
        for step in ["SET", "INCRBY"]:
            for number in NUMBERS if kind in FITTING else NUMBERS[:1]:
                for overflow in [(), ("OVERFLOW", "wrap"), ("overflow", "SAT"), ("OVERFLOW", "FAIL")]:
                    fresh()
                    same_with_state(pair, "BITFIELD", "k", *overflow, step, kind, "13", number)
                    same_with_state(pair, "BITFIELD", "k", *overflow, step, kind, "13", number)
    pair.finish()


def test_places_of_fields(one):
    pair, fresh = one
    pair.same("CONFIG", "SET", "proto-max-bulk-len", 1 << 20)
    for at in [
        *FIELD_OFFSETS,
        str((1 << 23) - 1),
        str(1 << 23),
        "#1048575",
        "#1048576",
        "#1152921504606846976",
        "#2305843009213693952",
    ]:
        for step in [("GET",), ("SET", "9"), ("INCRBY", "9")]:
            fresh()
            pair.same("BITFIELD", "k", step[0], "u8", at, *step[1:])
            pair.same("STRLEN", "k")
    pair.same("SETBIT", "k", (1 << 23) - 1, 1)
    pair.same("SETBIT", "k", 1 << 23, 1)
    pair.same("GETBIT", "k", 1 << 23)
    pair.same("STRLEN", "k")
    pair.same("CONFIG", "SET", "proto-max-bulk-len", 512 << 20)


def test_grammar_of_bitfield(one):
    pair, fresh = one
    for words in [
        "", "GET", "GET u8", "GET u8 0 SET", "SET u8 0", "SET u8 0 1 2", "INCRBY u8 0", "OVERFLOW", "OVERFLOW foo",
        "OVERFLOW SAT",
        "OVERFLOW SAT OVERFLOW FAIL", "foo", "GET u8 0 foo", "GET x8 0 foo", "SET u8 x 1", "SET x8 x x",
        "SET u8 x x", "GET u8 0 GET u8 #1",
        "SET u8 0 1 GET u8 0 INCRBY u8 0 255",
        "OVERFLOW FAIL INCRBY u2 100 5 OVERFLOW SAT INCRBY u2 100 5 OVERFLOW WRAP INCRBY u2 100 5",
        "OVERFLOW FAIL SET u2 900 5", "OVERFLOW FAIL SET u2 900 5 GET u8 0", "OVERFLOW SAT GET u8 0",
        "SET u8 900 0", "SET u8 900 0 SET u8 0 0",
        "INCRBY i64 0 9223372036854775807 INCRBY i64 0 1",
        "OVERFLOW SAT INCRBY i64 0 9223372036854775807 INCRBY i64 0 1",
        "OVERFLOW SAT INCRBY i64 0 -9223372036854775808 INCRBY i64 0 -9223372036854775808",
        "OVERFLOW SAT INCRBY u63 0 -9223372036854775808", "OVERFLOW SAT SET u63 1 -1 INCRBY u63 1 1",
        "get u8 0 set u8 0 1 incrby u8 0 1",
    ]:  # fmt: skip
        for name in ["BITFIELD", "BITFIELD_RO"]:
            fresh()
            same_with_state(pair, name, "k", *words.split())
    pair.same("BITFIELD")
    pair.same("BITFIELD_RO")


def step(pair, rnd, keys):
    """One random command on both."""
    key, other = rnd.choice(keys), rnd.choice(keys)
    at = rnd.choice([rnd.randrange(64), rnd.randrange(2000), rnd.randrange(60000)])
    kind = rnd.randrange(10)
    if kind < 3:
        pair.same("SETBIT", key, at, rnd.randrange(2))
    elif kind == 3:
        pair.same("GETBIT", key, at)
    elif kind == 4:
        part = [rnd.randrange(-200, 200), rnd.randrange(-200, 200), rnd.choice(["BYTE", "BIT"])]
        pair.same("BITCOUNT", key, *part)
        pair.same("BITPOS", key, rnd.randrange(2), *part[: rnd.randrange(4)])
    elif kind == 5:
        op = rnd.choice(["AND", "OR", "XOR", "NOT"])
        pair.same("BITOP", op, key, *[rnd.choice(keys) for _ in range(1 if op == "NOT" else rnd.randrange(1, 4))])
    elif kind < 9:
        words = []
        for _ in range(rnd.randrange(1, 5)):
            words += ["OVERFLOW", rnd.choice(["WRAP", "SAT", "FAIL"])] if rnd.random() < 0.5 else []
            width = rnd.randrange(1, 64)
            what = [rnd.choice("ui") + str(width), rnd.choice([at, f"#{at // width}", rnd.randrange(16)])]
            number = rnd.choice([1, -1, rnd.randrange(-(1 << width), 1 << width), rnd.randrange(-(1 << 63), 1 << 63)])
            words += rnd.choice([["GET", *what], ["SET", *what, number], ["INCRBY", *what, number]])
        pair.same("BITFIELD", key, *words)
    else:
        pair.same(
            *rnd.choice(
                [
                    ("SET", key, 1234),
                    ("DEL", key),
                    ("APPEND", key, "x" * 50),
                    ("COPY", key, other, "REPLACE"),
                    ("STRLEN", key),
                ]
            )
        )


@pytest.mark.parametrize("seed", range(8))
def test_random_commands(pair, seed):
    rnd = random.Random(seed)
    pair.store.record_effects()
    before = changes(pair)
    for i in range(1200):
        step(pair, rnd, ["a", "b", "c"])
        if i % 100 == 0:
            pair.store.check()
            after = changes(pair)
            assert after[0] - before[0] == after[1] - before[1]
    pair.finish()
    same_after_replay(pair)


def test_effects(pair):
    pair.store.record_effects()
    pair.same("SETBIT", "k", 9, 1)
    assert pair.store.take_effects().count(b"SETBIT") == 1
    for args in [("SETBIT", "k", 9, 1), ("GETBIT", "k", 9), ("BITFIELD", "k", "GET", "u8", 0),
                 ("BITFIELD_RO", "k", "GET", "u8", 0),
                 ("BITCOUNT", "k"), ("BITFIELD", "k", "SET", "u1", 9, 1), ("BITOP", "AND", "none", "none"),
                 ("BITFIELD", "k", "OVERFLOW", "FAIL", "SET", "u1", 9, 2)]:  # fmt: skip
        pair.same(*args)
        assert pair.store.take_effects() == b"", args
    pair.same("BITFIELD", "new", "OVERFLOW", "FAIL", "SET", "u4", 20, 16)
    assert pair.store.take_effects().count(b"BITFIELD") == 1
    pair.same("BITOP", "AND", "k", "none")
    assert b"BITOP" in pair.store.take_effects()


def test_watched_keys(pair):
    """What is no change does not fail a transaction."""
    for args in [("SETBIT", "k", 1, 1), ("SETBIT", "k", 1, 1), ("BITFIELD", "k", "SET", "u8", 0, 64),
                 ("BITFIELD", "k", "SET", "u8", 0, 65),
                 ("BITFIELD", "k", "GET", "u8", 0), ("BITOP", "NOT", "k", "k"), ("BITOP", "AND", "k", "none"),
                 ("BITOP", "AND", "k", "none"),
                 ("BITFIELD", "k", "OVERFLOW", "FAIL", "SET", "u8", 0, 300)]:  # fmt: skip
        pair.same("WATCH", "k")
        pair.same(*args)
        pair.same("MULTI")
        pair.same("PING")
        pair.same("EXEC")


def test_without_memory_a_command_changes_nothing():
    commands = [
        ("SETBIT", "short", 50000, 1), ("SETBIT", "number", 3, 1), ("SETBIT", "new", 3, 1),
        ("SETBIT", "long", 200000, 1),
        ("BITOP", "OR", "short", "long", "number"), ("BITOP", "NOT", "new", "long"),
        ("BITOP", "AND", "list", "short"),
        ("BITFIELD", "short", "SET", "u8", 4000, 255), ("BITFIELD", "new", "SET", "u8", 4000, 255),
        ("BITFIELD", "long", "GET", "u8", 4000),
        ("BITOP", "AND", "new", "digits", "digits"),
    ]  # fmt: skip
    refused = 0
    for args in commands:
        for allowed in range(8):
            store = libkv.Store()
            session = store.new_session()
            for before in [
                ("SET", "short", "abc", "EX", 1000),
                ("SET", "number", 7),
                ("SET", "long", "x" * 9000),
                ("RPUSH", "list", "a"),
                ("SET", "digits", 77),
            ]:
                session.feed(command(*before))
            reads = [("GET", key) for key in ("short", "number", "long", "new", "digits")] + [("LRANGE", "list", 0, -1)]
            state = [session.feed(command(*read)) for read in reads]
            store.fail_allocations_after(allowed)
            reply = session.feed(command(*args))
            store.fail_allocations_after(-1)
            store.check()
            if reply.startswith(b"-OOM"):
                refused += 1
                assert [session.feed(command(*read)) for read in reads] == state, (args, allowed)
            else:
                assert not reply.startswith(b"-"), reply
            store.close()
    assert refused > 15
