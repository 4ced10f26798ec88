"""Memory ends anywhere in any command: the reply is an OOM error, nothing is lost, and it goes on afterwards.

The store's allocations are made to fail from the n-th on, n = 0, 1, 2, ... until the command goes through.
"""

from __future__ import annotations

import os

import pytest

import libkv
from tests.oracle.commands import Command, Generator
from tests.oracle.differential import split
from tests.resp import command, parse

SEEDS = 200 if os.environ.get("LONG") else 16
FILL = 400  # commands that make the data
TRIED = 150  # commands that run out of memory
POINTS = 2000  # allocations within a command

# Commands that take many elements, one by one: refused in the middle, they have done a part, and Redis's would have too
# had it survived.  With a single element they do all or nothing.  name -> words with one element
IN_PARTS = {
    b"hset": 4, b"hmset": 4, b"hdel": 3, b"zadd": 4, b"zrem": 3, b"sadd": 3, b"srem": 3, b"rpush": 3, b"lpush": 3,
    b"rpushx": 3, b"lpushx": 3, b"mset": 3, b"msetnx": 3, b"pfadd": 3, b"bitfield": 5, b"del": 2, b"unlink": 2,
    b"pfcount": 2, b"touch": 2, b"geoadd": 5,
}  # fmt: skip


def whole(words: Command) -> bool:
    """Whether the command does all or nothing."""
    limit = IN_PARTS.get(words[0].lower())
    return limit is None or len(words) <= limit


class Tried:
    """A store, and what became of commands that ran out of memory."""

    def __init__(self, seed: int) -> None:
        self.store = libkv.Store(seed=seed + 1, enable_debug_command="yes")
        self.store.set_clock(1_700_000_000_000)
        self.session = self.store.new_session()
        self.refused = self.done = 0

    def ask(self, *words: object) -> bytes:
        return self.session.feed(command(*words))

    def digest(self) -> bytes:
        return self.ask("DEBUG", "DIGEST")

    def limited(self, data: bytes, allocations: int) -> bytes:
        self.store.fail_allocations_after(allocations)
        try:
            return self.session.feed(data)
        finally:
            self.store.fail_allocations_after(-1)

    def until_it_goes_through(self, words: Command) -> None:
        data = command(*words)
        before = self.digest()
        allowed = 0
        while allowed < POINTS:
            reply = self.limited(data, allowed)
            self.store.check()
            if not reply.startswith(b"-OOM"):
                self.done += 1
                return
            self.refused += 1
            after = self.digest()
            assert after == before or not whole(words), f"refused with {allowed} allocations, and yet done: {words}"
            before = after
            allowed += 1 + allowed // 16
        raise AssertionError(f"never goes through: {words}")


def filled(seed: int) -> tuple[Tried, list[list[Command]]]:
    """A store with data, and units to try on it."""
    tried = Tried(seed)
    units = Generator(seed, drawing=True).program(FILL + TRIED)
    while len(units) > TRIED:
        tried.session.feed(b"".join(command(*words) for words in units.pop(0)))
    return tried, units


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_refused_command_changes_nothing(seed: int) -> None:
    tried, units = filled(seed)
    with tried.store:
        for unit in units:
            if len(unit) == 1:
                tried.until_it_goes_through(unit[0])
        assert tried.done > TRIED // 2
        assert tried.refused > TRIED // 10


@pytest.mark.parametrize("seed", range(SEEDS))
def test_transactions_and_batches_survive(seed: int) -> None:
    """Whole units and pipelines with few allocations left: each command has its reply, and no invariant breaks."""
    tried, units = filled(1000 + seed)
    with tried.store:
        for i in range(0, len(units), 3):
            batch = [words for unit in units[i : i + 3] for words in unit]
            for allowed in (0, 1, 2, 4, 9, 30, 100):
                replies = split(tried.limited(b"".join(command(*words) for words in batch), allowed))
                assert len(replies) == len(batch)
                tried.store.check()
                tried.ask("DISCARD")
                tried.ask("UNWATCH")


def test_writes_go_on_after_memory_came_back() -> None:
    tried = Tried(5)
    with tried.store as store:
        refused = 0
        for i in range(3000):
            name, value = f"key:{i}", "v" * (i % 200)
            if i % 3 == 0:
                reply = tried.limited(command("SET", name, value), i % 4)
                refused += reply.startswith(b"-OOM")
            if i % 3 or reply.startswith(b"-OOM"):
                assert tried.ask("SET", name, value) == b"+OK\r\n"
        assert refused > 100
        store.check()
        assert store.dbsize() == 3000
        assert all(len(store.get(f"key:{i}") or b"") == i % 200 for i in range(3000))


def test_a_refused_watch_watches_nothing() -> None:
    tried = Tried(6)
    with tried.store as store:
        for allowed in range(20):
            reply = tried.limited(command("WATCH", "a", "b", "c"), allowed)
            assert reply == b"+OK\r\n" or reply.startswith(b"-OOM")
            store.check()
            tried.ask("UNWATCH")
        assert reply == b"+OK\r\n"


def test_flush_and_close_need_no_memory() -> None:
    for flush in (b"FLUSHALL", b"FLUSHDB", b"UNLINK"):
        tried, _ = filled(7)
        keys = parse(tried.ask("KEYS", "*"))[0]
        words = (flush, *keys) if flush == b"UNLINK" else (flush,)
        assert not tried.limited(command(*words), 0).startswith(b"-")
        tried.store.check()
        assert tried.ask("DBSIZE") == b":0\r\n"
        tried.store.fail_allocations_after(0)
        tried.store.close()
