"""The heap: pieces do not overlap, counts are exact, everything comes back."""

from __future__ import annotations

import random

import pytest

from libkv.testing.native.table import Pieces, size_of, slabs

SIZES = [1, 7, 8, 9, 24, 63, 64, 65, 255, 512, 1016, 1023, 1024, 1025, 2000, 4096, 65536, 300_000]


@pytest.mark.parametrize("seed", range(6))
def test_random_life(seed):
    rng = random.Random(seed)
    heap = Pieces()
    empty = heap.used
    live: list[int] = []
    zeroes: set[int] = set()
    for number in range(3000):
        action = rng.random()
        if action < 0.5 or not live:
            zeroed = rng.random() < 0.1
            heap.alloc(
                number, rng.choice([64, 128, 1024, 2048, 65536, 1 << 19]) if zeroed else rng.choice(SIZES), zeroed
            )
            live.append(number)
            if zeroed:
                zeroes.add(number)
        elif action < 0.7:
            number = rng.choice(live)
            if number not in zeroes:
                heap.resize(number, rng.choice(SIZES))
        else:
            heap.free(live.pop(rng.randrange(len(live))))
        if number % 100 == 0:
            heap.check()
    while live:
        heap.free(live.pop())
    heap.check()
    # what stays is at most one empty slab's header a size class
    assert heap.used - empty <= 64 * 129


def test_used_counts_size_classes():
    if not slabs():
        pytest.skip("missing slabs: this is a sanitizers' build")
    heap = Pieces()
    heap.alloc(0, 17)
    before = heap.used
    heap.alloc(1, 20)
    assert heap.used - before == size_of(20) == 24
    heap.free(1)
    assert heap.used == before


def test_dense_pieces_cost_no_header():
    if not slabs():
        pytest.skip("missing slabs: this is a sanitizers' build")
    heap = Pieces()
    before = heap.used
    for number in range(20000):
        heap.alloc(number, 40)
    assert heap.used - before <= 20000 * 40 * 1.002 + 64


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_fault_injection_counts(n):
    heap = Pieces()
    heap.alloc(0, 40)
    heap.fail_after(n)
    for number in range(1, n + 1):
        heap.alloc(number, 40 + 500 * number)
    for size in (8, 40, 2000):
        with pytest.raises(MemoryError):
            heap.alloc(99, size)
    with pytest.raises(MemoryError):
        heap.alloc(99, 64, True)
    heap.fail_after(-1)
    for number in range(100, 3000):
        heap.alloc(number, 8 * (number % 90 + 1))
    heap.check()
    for number in range(100, 3000):
        heap.free(number)
    heap.check()
