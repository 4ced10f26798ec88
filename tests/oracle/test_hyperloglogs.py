"""The HyperLogLog group beside redis-server: the same replies, and the same bytes in the keys."""

from __future__ import annotations

import random

import pytest

import libkv
from tests.oracle.effects import same_after_replay
from tests.oracle.test_bitmaps import changes
from tests.resp import command

HEADER = b"HYLL\x01" + bytes(11)
NEW = HEADER + b"\x7f\xff"
DENSE = b"HYLL\x00" + bytes(11) + bytes(12288)


def same_key(pair, *keys):
    """Bytes, encodings and the form of sketches."""
    for key in keys:
        if pair.same("TYPE", key) == b"+string\r\n":
            pair.same("GET", key)
            pair.same("OBJECT", "ENCODING", key)


def with_changes(pair, *args):
    before = changes(pair)
    pair.same(*args)
    after = changes(pair)
    assert after[0] - before[0] == after[1] - before[1], args


@pytest.mark.parametrize("most", [0, 20, 100, 3000, 12000, 100000])
@pytest.mark.parametrize("several", [1, 7, 300])
def test_adding(pair, most, several):
    rnd = random.Random(most + several)
    pair.same("CONFIG", "SET", "hll-sparse-max-bytes", most)
    for i in range(60 if several == 300 else 120):
        n = 10 ** rnd.randrange(1, 7)
        elements = [rnd.choice([rnd.randrange(n), f"element number {rnd.randrange(n)}"]) for _ in range(several)]
        with_changes(pair, "PFADD", "k", *elements)
        same_key(pair, "k")
        if i % 10 == 0:
            with_changes(pair, "PFCOUNT", "k")
            same_key(pair, "k")
            with_changes(pair, "PFCOUNT", "k")
            pair.same("PFDEBUG", "ENCODING", "k")
            pair.same("PFDEBUG", "DECODE", "k")
    pair.same("CONFIG", "SET", "hll-sparse-max-bytes", 3000)
    pair.finish()


def test_elements_of_all_lengths(pair):
    rnd = random.Random(3)
    for n in [*range(40), 63, 64, 65, 1000, 70001]:
        pair.same("PFADD", "k", rnd.randbytes(n), b"\xff" * n, b"\0" * n)
    pair.same("PFADD", "k", "")
    same_key(pair, "k")


def test_large_sets(pair):
    """Into the range where no register is 0."""
    for i in range(60):
        pair.same("PFADD", "k", *range(i * 5000, i * 5000 + 5000))
        pair.same("PFCOUNT", "k")
    same_key(pair, "k")
    pair.same("PFADD", "other", *range(290000, 310000))
    pair.same("PFCOUNT", "k", "other", "none")
    pair.same("PFDEBUG", "GETREG", "k")


def test_creation_and_access(pair):
    with_changes(pair, "PFADD", "k")
    same_key(pair, "k")
    with_changes(pair, "PFADD", "k")
    with_changes(pair, "PFCOUNT", "k")
    same_key(pair, "k")
    with_changes(pair, "PFCOUNT", "none")
    with_changes(pair, "PFCOUNT", "none", "none2")
    pair.same("EXPIRE", "k", 1000)
    with_changes(pair, "PFADD", "k", *range(50))
    with_changes(pair, "PFADD", "k", *range(5000))
    with_changes(pair, "PFMERGE", "k", "none")
    pair.same("SET", "short", NEW, "EX", 500)
    pair.same("OBJECT", "ENCODING", "short")
    with_changes(pair, "PFCOUNT", "short")
    pair.same("OBJECT", "ENCODING", "short")
    pair.same("SET", "short", NEW)
    with_changes(pair, "PFADD", "short")
    pair.same("OBJECT", "ENCODING", "short")
    pair.same("SET", "short", NEW)
    with_changes(pair, "PFCOUNT", "short", "short")
    pair.same("OBJECT", "ENCODING", "short")
    pair.same("RPUSH", "list", "a")
    pair.same("SET", "text", "hello")
    pair.same("SET", "number", 7)
    for key in ("list", "text", "number"):
        for args in [("PFADD", key), ("PFADD", key, "a"), ("PFCOUNT", key), ("PFCOUNT", "k", key),
                     ("PFCOUNT", key, "k"), ("PFMERGE", key),
                     ("PFMERGE", "k", key), ("PFMERGE", "new", "k", key), ("PFMERGE", key, "k"),
                     ("PFDEBUG", "ENCODING", key)]:  # fmt: skip
            with_changes(pair, *args)
            pair.same("OBJECT", "ENCODING", key)
    for args in [("PFADD",), ("PFCOUNT",), ("PFMERGE",), ("PFSELFTEST", "x")]:
        pair.same(*args)
    pair.same("PFSELFTEST")
    pair.finish()


def test_merging(pair):
    rnd = random.Random(1)
    sizes = {"a": 5, "b": 60, "c": 900, "d": 3000, "e": 20000}
    for key, n in sizes.items():
        pair.same("PFADD", key, *[rnd.randrange(4 * n) for _ in range(n)])
    pair.same("PFADD", "few", 1, 2)
    pair.same("PFDEBUG", "TODENSE", "few")
    for target in [None, "a", "b", "few", "e"]:
        for sources in [
            (),
            ("none",),
            ("a",),
            ("a", "b"),
            ("b", "c"),
            ("c", "d"),
            ("few",),
            ("e", "a"),
            ("a", "none", "few"),
            ("t",),
        ]:
            pair.same("DEL", "t")
            if target:
                pair.same("COPY", target, "t")
                pair.same("EXPIRE", "t", 500)
            with_changes(pair, "PFCOUNT", "t", *sources)
            with_changes(pair, "PFMERGE", "t", *sources)
            same_key(pair, "t", *sources)
            with_changes(pair, "PFCOUNT", "t")
    pair.finish()


def test_pfdebug(pair):
    for key, n in {"a": 0, "b": 40, "c": 20000}.items():
        pair.same("PFADD", key, *range(n))
    for key in ["none", "a", "b", "c"]:
        for word in ["DECODE", "encoding", "foo", "", "TODENSE", "todense", "GetReg", "DECODE"]:
            with_changes(pair, "PFDEBUG", word, key)
            same_key(pair, key)
    pair.same("PFADD", "d", "x")
    with_changes(pair, "PFDEBUG", "GETREG", "d")
    same_key(pair, "d")
    pair.same("PFDEBUG", "ENCODING")
    pair.same("PFDEBUG", "ENCODING", "a", "b")
    pair.same("PFDEBUG", "foo%s\r\nbar", "a")
    pair.finish()


def cut(data):
    """Whether the last run lacks its second byte: there redis-server writes over the string's end."""
    at = 16
    while at < len(data):
        at += 2 if data[at] & 0xC0 == 0x40 else 1
    return at > len(data)


def test_strings_from_outside(pair):
    """Right and broken ones, that redis-server survives."""
    rnd = random.Random(8)
    pair.same("PFADD", "real", *range(200))
    real = pair.real.call("GET", "real").split(b"\r\n", 1)[1][:-2]
    full = DENSE[:16] + b"\xff" * 12288
    mostly = DENSE[:16] + bytes.fromhex("f33ccf") * 4096
    sketches = [NEW, DENSE, full, mostly, real, HEADER, HEADER[:15], DENSE[:-1], DENSE + b"\0",
                b"HYLL\x02" + NEW[5:], NEW + b"\0", NEW + b"\x80",
                HEADER + b"\x7f\xfe\0", HEADER + b"\x7f\xfe\x80", HEADER + b"\x7f\xfe",
                HEADER + b"\xff" * 4096, HEADER + b"\xff" * 4097,
                HEADER + b"\x40\x00" * 16384, HEADER + b"\x00" * 16384, HEADER + b"\x00" * 16383,
                b"HYLL\x01\1\2\3" + b"\x05" + bytes(7) + b"\x7f\xff",
                b"HYLL\x01\1\2\3" + b"\x05" + bytes(6) + b"\x80\x7f\xff"]  # fmt: skip
    for _ in range(300):
        data = bytearray(real)
        for _ in range(rnd.randrange(1, 4)):
            data[rnd.randrange(16, len(data))] = rnd.randrange(256)
        if not cut(data):
            sketches.append(bytes(data))
    for data in sketches:
        for args in [("PFADD", "k", rnd.randrange(1000)), ("PFADD", "k"), ("PFCOUNT", "k"),
                     ("PFCOUNT", "k", "real"), ("PFMERGE", "k", "real"),
                     ("PFMERGE", "t", "k"), ("PFDEBUG", "TODENSE", "k"), ("PFDEBUG", "DECODE", "k"),
                     ("PFDEBUG", "ENCODING", "k")]:  # fmt: skip
            pair.same("DEL", "t")
            pair.same("SET", "k", data)
            with_changes(pair, *args)
            same_key(pair, "k", "t")
    pair.store.check()


def step(pair, rnd, keys):
    """One random command on both."""
    key, other = rnd.choice(keys), rnd.choice(keys)
    kind = rnd.randrange(12)
    if kind < 6:
        pair.same(
            "PFADD", key, *[rnd.randrange(10 ** rnd.randrange(1, 7)) for _ in range(rnd.choice([0, 1, 1, 5, 50]))]
        )
    elif kind < 8:
        pair.same("PFCOUNT", key)
    elif kind == 8:
        pair.same("PFCOUNT", *[rnd.choice(keys) for _ in range(rnd.randrange(2, 4))])
    elif kind == 9:
        pair.same("PFMERGE", key, *[rnd.choice(keys) for _ in range(rnd.randrange(3))])
    elif kind == 10:
        pair.same(*rnd.choice([("DEL", key), ("COPY", key, other, "REPLACE"), ("PERSIST", key), ("EXPIRE", key, 1000)]))
    else:
        pair.same("PFDEBUG", rnd.choice(["ENCODING", "DECODE", "TODENSE"] if rnd.random() < 0.1 else ["ENCODING"]), key)
    pair.same("GET", key)


@pytest.mark.parametrize("seed", range(6))
def test_random_commands(pair, seed):
    rnd = random.Random(seed)
    most = rnd.choice([3000, 200, 1500])
    pair.same("CONFIG", "SET", "hll-sparse-max-bytes", most)
    pair.store.record_effects()
    before = changes(pair)
    for i in range(800):
        step(pair, rnd, ["a", "b", "c", "d"])
        if i % 100 == 0:
            pair.store.check()
            after = changes(pair)
            assert after[0] - before[0] == after[1] - before[1]
    pair.same("CONFIG", "SET", "hll-sparse-max-bytes", 3000)
    pair.finish()


@pytest.mark.parametrize("seed", range(3))
def test_replayed_effects(pair, seed):
    rnd = random.Random(seed)
    pair.store.record_effects()
    for _ in range(300):
        step(pair, rnd, ["a", "b", "c"])
    pair.finish()
    same_after_replay(pair)


def test_effects(pair):
    pair.store.record_effects()
    for args, told in [
        (("PFADD", "k"), 1), (("PFADD", "k"), 0), (("PFADD", "k", "x"), 1), (("PFADD", "k", "x"), 0),
        (("PFCOUNT", "k"), 1), (("PFCOUNT", "k"), 0),
        (("PFCOUNT", "k", "k"), 0), (("PFMERGE", "k", "none"), 1), (("PFMERGE", "new"), 1),
        (("PFDEBUG", "ENCODING", "k"), 0),
        (("PFDEBUG", "TODENSE", "k"), 1), (("PFDEBUG", "TODENSE", "k"), 0), (("PFSELFTEST",), 0),
    ]:  # fmt: skip
        pair.same(*args)
        assert pair.store.take_effects().count(args[0].encode()) == told, args


def test_watched_keys(pair):
    for args in [("PFADD", "k"), ("PFADD", "k"), ("PFCOUNT", "k"), ("PFCOUNT", "k"), ("PFADD", "k", "a"),
                 ("PFADD", "k", "a"), ("PFMERGE", "k"),
                 ("PFCOUNT", "k", "none"), ("PFCOUNT", "k")]:  # fmt: skip
        pair.same("WATCH", "k")
        pair.same(*args)
        pair.same("MULTI")
        pair.same("PING")
        pair.same("EXEC")


def test_without_memory_a_command_changes_nothing():
    commands = [
        ("PFADD", "new"), ("PFADD", "new", "a", "b"), ("PFADD", "small", *"abcdefgh"),
        ("PFADD", "long", *range(1000, 1050)),
        ("PFADD", "small", *range(3000)), ("PFMERGE", "new", "small"), ("PFMERGE", "small", "dense"),
        ("PFMERGE", "new", "dense"),
        ("PFDEBUG", "TODENSE", "small"), ("PFDEBUG", "GETREG", "long"), ("PFCOUNT", "small"),
        ("PFCOUNT", "small", "long"),
        ("PFADD", "dense", "z"),
    ]  # fmt: skip
    refused = 0
    for args in commands:
        for allowed in range(5):
            store = libkv.Store()
            session = store.new_session()
            for before in [
                ("PFADD", "small", 1),
                ("EXPIRE", "small", 100),
                ("PFADD", "long", *range(1000)),
                ("PFADD", "dense", *range(9000)),
            ]:
                session.feed(command(*before))
            reads = [
                (read, key) for key in ("small", "long", "dense", "new") for read in ("GET", "EXPIRETIME", "EXISTS")
            ]
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
    assert refused > 8
