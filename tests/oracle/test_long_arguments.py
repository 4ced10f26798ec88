"""Arguments of more than 32 KB, in pieces as a network brings them: read straight into what may become a value."""

from __future__ import annotations

from random import Random

import pytest

import libkv
from tests.oracle.conftest import Pair
from tests.resp import command, parse

SIZES = (32765, 32766, 32767, 40_000, 200_000)


def fed(session: libkv.session.Session, data: bytes, random: Random) -> bytes:
    """What a session answers to bytes that come in pieces of random lengths."""
    out, at = b"", 0
    while at < len(data):
        n = random.choice((1, 7, 100, 16_384, 65_536, 1_000_000))
        out += session.feed(data[at : at + n])
        at += n
    return out


@pytest.mark.parametrize("seed", range(6))
def test_programs_in_pieces(pair: Pair, seed: int) -> None:
    random = Random(seed)
    text = random.randbytes(250_000)
    for _ in range(60):
        a, b = (text[random.randrange(1000) :][: random.choice(SIZES)] for _ in range(2))
        program = [
            random.choice(
                [
                    ("SET", "k", a),
                    ("SET", "k", a, "EX", "1000", "GET"),
                    ("SETEX", "k", "1000", a),
                    ("SET", "k", a, "PXAT", "1"),
                    ("GETSET", "k", a),
                    ("MSET", "k", a, "l", b),
                    ("APPEND", "k", a[:33_000]),
                    ("SETRANGE", "k", "5", a),
                    ("ECHO", a),
                    (a, b),
                    ("SET", a, b),
                    ("SET", "k", a, b),
                    ("SET", "k", a, "XX", "NX"),
                    ("RPUSH", "list", a, "x", b),
                    ("HSET", "hash", "f", a),
                    ("GET", "k"),
                    ("STRLEN", "k"),
                    ("DEL", "k", "list"),
                    ("MULTI",),
                    ("EXEC",),
                    ("DISCARD",),
                    ("PING",),
                ]
            )
            for _ in range(random.randrange(1, 5))
        ]
        theirs = b"".join(pair.real.call(*words) for words in program)
        ours = fed(pair.ours, b"".join(command(*words) for words in program), random)
        assert ours == theirs, [[w[:20] for w in words] for words in program]
    pair.both("DISCARD")
    pair.finish()


def test_a_piece_becomes_the_value_and_its_memory_is_counted() -> None:
    store, whole = libkv.Store(seed=1), libkv.Store(seed=1)
    session = store.new_session()
    empty = store.used_memory
    for n in SIZES:
        data = command("SET", "k", b"x" * n)
        for at in range(0, len(data), 10_000):
            session.feed(data[at : at + 10_000])
        whole.set("k", b"x" * n)
        assert abs(store.used_memory - whole.used_memory) <= 16
        assert store.get("k") == b"x" * n
        store.append("k", "yy")
        assert store.strlen("k") == n + 2
        store.check()
    store.delete("k")
    assert store.used_memory <= empty + 200


def test_a_session_ends_in_the_middle() -> None:
    store = libkv.Store()
    for cut in (30, 20_000, 50_000, 100_015):
        session = store.new_session()
        session.feed(command("SET", "k", b"x" * 100_000)[:cut])
        session.close()
    store.check()


def test_a_paused_command_is_read_again() -> None:
    store = libkv.Store()
    session, other = store.new_session(), store.new_session()
    data = command("SET", "k", b"x" * 100_000) + command("GET", "k")
    session.feed(data[:50_000])
    assert other.feed(command("CLIENT", "PAUSE", "100000", "WRITE")) == b"+OK\r\n"
    assert session.feed(data[50_000:]) == b""
    assert store.get("k") is None
    assert other.feed(command("CLIENT", "UNPAUSE")) == b"+OK\r\n"
    out = session.feed(b"")
    assert out.startswith(b"+OK\r\n$100000\r\nxx") and parse(out, 5)[0] == b"x" * 100_000
    store.check()


def test_without_memory_the_value_stays() -> None:
    store = libkv.Store()
    session = store.new_session()
    store.set("k", "old")
    data = command("SET", "k", b"x" * 100_000)
    failures = 0
    while True:
        session.feed(data[:60_000])
        store.fail_allocations_after(failures)
        reply = session.feed(data[60_000:])
        store.fail_allocations_after(-1)
        if reply == b"+OK\r\n":
            break
        assert reply.startswith(b"-OOM") and store.get("k") == b"old"
        failures += 1
        store.check()
    assert failures >= 1
    assert store.get("k") == b"x" * 100_000
