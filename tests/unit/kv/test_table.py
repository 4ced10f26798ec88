"""The hash table: against Python's set, through growing, shrinking and lost memory."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from libkv.testing.native.table import Keys, siphash_of

KEYS = (
    st.integers(0, 400).map(lambda i: b"k%d" % i)
    | st.binary(max_size=8)
    | st.integers(250, 260).map(lambda n: b"x" * n)
)


class TableMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.table = Keys(seed=7)
        self.model: set[bytes] = set()

    @rule(keys=st.lists(KEYS, max_size=60))
    def add(self, keys):
        for key in keys:
            assert (key in self.table) == (key in self.model)
            if key not in self.model:
                self.table.add(key)
                self.model.add(key)

    @rule(keys=st.lists(KEYS, max_size=60))
    def remove(self, keys):
        for key in keys:
            if key in self.model:
                self.table.remove(key)
                self.model.discard(key)
            assert key not in self.table

    @rule(n=st.integers(1, 20))
    def step(self, n):
        self.table.fit()
        self.table.step(n)

    @rule(n=st.integers(0, 3), keys=st.lists(KEYS, max_size=30))
    def lose_memory(self, n, keys):
        self.table.fail_after(n)
        for key in keys:
            if key not in self.model:
                try:
                    self.table.add(key)
                    self.model.add(key)
                except MemoryError:
                    assert key not in self.table
            self.table.step(1)
        self.table.fail_after(-1)

    @rule()
    def scan_all(self):
        cursor, found = self.table.scan(0)
        while cursor:
            cursor, more = self.table.scan(cursor)
            found += more
        assert set(found) == self.model

    @invariant()
    def same(self):
        self.table.check()
        assert len(self.table) == len(self.model)
        assert sorted(self.table.keys()) == sorted(self.model)


TestTableMachine = TableMachine.TestCase
TestTableMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("seed", range(5))
def test_scan_misses_nothing_that_stays(seed):
    """SCAN's promise: keys that are there from its first call to its last are returned, whatever the table does."""
    rng = random.Random(seed)
    table = Keys(seed=seed + 1)
    stay = {b"stay:%d" % i for i in range(500)}
    for key in stay:
        table.add(key)
    other: list[bytes] = []
    found: set[bytes] = set()
    cursor, started, number = 0, False, 0
    while cursor or not started:
        started = True
        cursor, keys = table.scan(cursor)
        found.update(keys)
        for _ in range(rng.randrange(120)):
            if rng.random() < (0.8 if number < 4000 else 0.1) or not other:
                other.append(b"other:%d" % number)
                table.add(other[-1])
                number += 1
            else:
                table.remove(other.pop(rng.randrange(len(other))))
        table.fit()
        table.step(rng.randrange(1, 5))
    table.check()
    assert stay <= found


def test_grows_and_shrinks_step_by_step():
    table = Keys()
    for i in range(10000):
        table.add(b"%d" % i)
        assert len(table.buckets) <= 2
    while table.step(100):
        pass
    assert table.buckets == (2048,)
    for i in range(9900):
        table.remove(b"%d" % i)
    table.fit()
    assert table.rehashing
    while table.step(100):
        assert b"9950" in table
    table.check()
    assert table.buckets[0] <= 64 and len(table) == 100


def test_random_keys_are_spread():
    table = Keys(seed=3)
    for i in range(1000):
        table.add(b"%d" % i)
    drawn = Counter(table.random_key() for _ in range(20000))
    assert len(drawn) > 980 and max(drawn.values()) < 120
    assert Keys().random_key() is None


@pytest.mark.parametrize("budget", [1, 7, 1000])
def test_freed_in_slices(budget):
    table = Keys()
    empty = table.used
    for i in range(3000):
        table.add(b"%d" % i)
    slices = 1
    while not table.free_some(budget):
        slices += 1
    assert slices >= 3000 // (budget + 7)
    assert table.used - empty <= 64 * 8 and table.bytes == 0  # an empty slab a class


def test_siphash():
    values = {siphash_of(1, 2, bytes(range(n))) for n in range(64)}
    assert len(values) == 64
    assert siphash_of(1, 2, b"abc") != siphash_of(1, 3, b"abc") != siphash_of(2, 2, b"abc")
    for n in range(1, 40):
        assert siphash_of(0, 0, bytes(n)) == python_siphash13(0, 0, bytes(n))
        assert siphash_of(1 << 63, 77, b"\xff" * n) == python_siphash13(1 << 63, 77, b"\xff" * n)


def python_siphash13(k0: int, k1: int, data: bytes) -> int:
    """The paper's algorithm, word by word, with one compression and three finalisation rounds."""
    mask = (1 << 64) - 1
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(x: int, bits: int) -> int:
        return ((x << bits) | (x >> (64 - bits))) & mask

    def round_() -> None:
        v[0] = (v[0] + v[1]) & mask
        v[1] = rotated(v[1], 13) ^ v[0]
        v[0] = rotated(v[0], 32)
        v[2] = (v[2] + v[3]) & mask
        v[3] = rotated(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & mask
        v[3] = rotated(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & mask
        v[1] = rotated(v[1], 17) ^ v[2]
        v[2] = rotated(v[2], 32)

    tail = len(data) & ~7
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, tail, 8)]
    words.append(int.from_bytes(data[tail:], "little") | (len(data) & 255) << 56)
    for word in words:
        v[3] ^= word
        round_()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        round_()
    return v[0] ^ v[1] ^ v[2] ^ v[3]
