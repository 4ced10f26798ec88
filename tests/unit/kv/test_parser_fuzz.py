"""The protocol parser under hostile input, through session.feed: however a stream is cut, its replies are the same; and
whatever bytes come, the answer is a reply or one protocol error, and the store is whole.
"""

from __future__ import annotations

import contextlib
import random
import resource
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import libkv
from libkv.errors import StoreClosed
from tests.oracle.commands import Generator
from tests.resp import Wire, command, parse, reply_end

PROTOCOL_ERRORS = (
    b"invalid multibulk length", b"invalid bulk length", b"too big mbulk count string", b"too big bulk count string",
    b"too big inline request", b"unbalanced quotes in request", b"expected '$', got '",
    b"unauthenticated multibulk length", b"unauthenticated bulk length",
)  # fmt: skip


def replies(pieces: list[bytes], **settings: Any) -> bytes:
    """What a fresh store answers to the pieces, one after the other, until it hangs up."""
    out = b""
    with libkv.Store(seed=7, **settings) as store:
        store.set_clock(1_700_000_000_000)
        session = store.new_session()
        for piece in pieces:
            try:
                out += session.feed(piece)
            except StoreClosed:
                break
        store.check()
    return out


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(p % (len(data) + 1) for p in places)})
    return [data[a:b] for a, b in pairwise(at)]


def stream(seed: int, n: int = 40) -> bytes:
    """Commands of all groups, some of them inline."""
    r = random.Random(seed)
    out = b""
    for unit in Generator(seed).program(n):
        for words in unit:
            plain = all(word.isalnum() for word in words)
            out += b" ".join(words) + r.choice([b"\r\n", b"\n"]) if plain and r.random() < 0.3 else command(*words)
            if r.random() < 0.05:
                out += r.choice([b"\r\n", b"*0\r\n", b"*-1\r\n", b"  \r\n"])
    return out


def check_replies(out: bytes) -> None:
    """A sequence of whole replies; a protocol error only as the last of them."""
    at = 0
    while at < len(out):
        end = reply_end(out, at)
        assert end > at, f"not a whole reply: {out[at : at + 100]!r}"
        reply = out[at:end]
        if reply.startswith(b"-ERR Protocol error: "):
            assert end == len(out), "it goes on behind a protocol error"
            assert reply[21:].startswith(PROTOCOL_ERRORS), reply
        at = end


# ---- cut anywhere


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), max_size=20))
def test_a_stream_may_come_in_any_pieces(seed: int, places: list[int]) -> None:
    data = stream(seed)
    assert replies(cut(data, places)) == replies([data])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_small_pieces(size: int) -> None:
    for seed in range(4):
        data = stream(seed)
        assert replies([data[i : i + size] for i in range(0, len(data), size)]) == replies([data])


@pytest.mark.parametrize("seed", range(12))
def test_batch_sizes_give_the_same_replies(seed: int) -> None:
    commands = [words for unit in Generator(seed).program(400) for words in unit]
    wanted = replies([command(*words) for words in commands])
    for size in (2, 3, 31, 32, 33, 64, len(commands)):
        batches = [b"".join(command(*words) for words in commands[i : i + size]) for i in range(0, len(commands), size)]
        assert replies(batches) == wanted, f"at {size} a batch"


def test_many_arguments_in_pieces() -> None:
    """More arguments than a batch has room for, alone and among others."""
    for n in (1, 100, 510, 511, 512, 513, 5000):
        data = command("PING") * 3 + command("RPUSH", "l", *range(n)) + command("LLEN", "l") + command("PING")
        wanted = b"+PONG\r\n" * 3 + b":%d\r\n" % n * 2 + b"+PONG\r\n"
        assert replies([data]) == wanted
        assert replies(cut(data, [len(data) // 3, len(data) // 2, len(data) - 5])) == wanted
        assert replies([data[i : i + 4096] for i in range(0, len(data), 4096)]) == wanted


def test_large_values_in_pieces() -> None:
    value = bytes(range(256)) * 4096
    data = command("SET", "k", value) + command("STRLEN", "k") + command("GET", "k")
    wanted = b"+OK\r\n:%d\r\n$%d\r\n%s\r\n" % (len(value), len(value), value)
    assert replies([data]) == wanted
    assert replies([data[i : i + 5000] for i in range(0, len(data), 5000)]) == wanted
    assert replies(cut(data, [20, 40, 60, len(data) - 1])) == wanted


def test_a_hundred_thousand_commands_in_one_write() -> None:
    n = 100_000
    with libkv.Store() as store:
        out = store.new_session().feed(command("INCR", "n") * n)
        assert out.count(b"\r\n") == n and out.endswith(b":%d\r\n" % n)


# ---- bytes that are no requests


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5))
@example(b"*1\r\n$4\r\nPING", [])
@example(b"*" + b"9" * 30 + b"\r\n", [3])
def test_any_bytes(data: bytes, places: list[int]) -> None:
    out = replies([data])
    check_replies(out)
    assert replies(cut(data, places)) == out


FRAGMENTS = [
    b"*", b"$", b"\r\n", b"\n", b"\r", b"0", b"1", b"3", b"-1", b"-", b"+", b" ", b"PING", b"GET", b"SET", b"\x00",
    b"\xff", b'"', b"'", b"\\", b"\\x4", b"*1\r\n", b"*3\r\n", b"$4\r\n", b"$1\r\n", b"536870913", b"2147483648",
    b"9223372036854775808", b"a", b"*1\r\n$4\r\nPING\r\n", b"MULTI\r\n", b"EXEC\r\n", b"*2147483647\r\n",
    b"*1000000\r\n", b"$536870912\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30), st.lists(st.integers(0, 400), max_size=5))
def test_fragments_of_the_protocol(parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    out = replies([data])
    check_replies(out)
    assert replies(cut(data, places)) == out


@given(st.integers(0, 10**6), st.integers(0, 10**9))
def test_mutated_streams(seed: int, luck: int) -> None:
    r = random.Random(luck)
    data = bytearray(stream(seed, 15))
    for _ in range(r.randint(1, 6)):
        at = r.randrange(len(data))
        how = r.random()
        if how < 0.3:
            data[at] = r.randrange(256)
        elif how < 0.5:
            del data[at : at + r.randint(1, 10)]
        elif how < 0.7:
            data[at:at] = r.choice(FRAGMENTS)
        elif how < 0.85:
            del data[at:]  # truncated
            data = data or bytearray(b"*")
        else:
            other = r.randrange(len(data))
            data[at:at] = data[other : other + r.randint(1, 30)]
    out = replies([bytes(data)])
    check_replies(out)
    assert replies(cut(bytes(data), [r.randrange(10**6) for _ in range(4)])) == out


def test_after_a_protocol_error_nothing_runs() -> None:
    with libkv.Store() as store:
        session = store.new_session()
        out = session.feed(command("SET", "a", 1) + b"*1\r\n:1\r\n" + command("SET", "b", 1))
        assert out == b"+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n"
        with contextlib.suppress(StoreClosed):
            assert session.feed(command("SET", "c", 1)) == b""
        assert store.keys() == [b"a"]


# ---- lengths that promise too much


@pytest.mark.parametrize(
    "data",
    [
        b"*2147483647\r\n",
        b"*2147483647\r\n$1\r\na\r\n",
        b"*1000000\r\n$536870912\r\n",
        b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc",
        b"MULTI\r\n*1048576\r\n" + b"$0\r\n\r\n" * 1000,
    ],
)
def test_what_is_announced_is_not_allocated(data: bytes) -> None:
    """A hundred sessions that announce gigabytes each: the process does not grow by them."""
    with libkv.Store() as store:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = store.used_memory
        sessions = [store.new_session() for _ in range(100)]
        for session in sessions:
            out = session.feed(data)
            assert out in (b"", b"+OK\r\n") or out.startswith(b"-ERR Protocol error")
        assert store.used_memory - used < 1 << 20
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KB
        assert grown < 200 << 10
        store.set("k", "v")
        store.check()


def test_before_a_password_little_is_taken() -> None:
    for data, error in (
        (b"*11\r\n", b"unauthenticated multibulk length"),
        (b"*2\r\n$3\r\nGET\r\n$16385\r\n", b"unauthenticated bulk length"),
    ):
        with libkv.Store(requirepass="secret") as store, libkv.Server(store, port=0) as server:
            wire = Wire(("127.0.0.1", server.port))
            wire.send(data)
            assert wire.reply() == b"-ERR Protocol error: " + error + b"\r\n"
            with pytest.raises((EOFError, ConnectionError)):
                wire.reply()
            wire.close()


def test_replies_are_read_back_as_sent() -> None:
    """Any bytes in a key, a field and a value come back as they are."""
    for seed in range(50):
        blob = random.Random(seed).randbytes(seed * 7)
        out = replies([command("HSET", blob, blob, blob) + command("HGETALL", blob) + command("ECHO", blob)])
        assert parse(out, 4)[0] == [blob, blob]
