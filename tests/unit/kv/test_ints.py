"""The sorted buffer of integers."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libkv.testing.native.ints import Ints, validate

EDGES = [0, 1, -1, 32767, 32768, -32768, -32769, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63)]
numbers = st.one_of(st.integers(-5, 5), st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1))


def test_drawn_bytes():
    b = Ints()
    assert b.raw() == b"\x02\0\0\0\0\0\0\0"
    b.add(5)
    b.add(-1)
    assert b.raw() == b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0"
    b.add(70000)
    assert b.raw() == b"\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x05\0\0\0\x70\x11\x01\0"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), numbers), max_size=60))
def test_random_changes_against_a_set(steps):
    b, model = Ints(), set()
    for add, v in steps:
        if add:
            assert b.add(v) == (v not in model)
            model.add(v)
        else:
            assert b.remove(v) == (v in model)
            model.discard(v)
        assert b.check() == 0
        assert b.values() == sorted(model)
        assert len(b) == len(model)
        assert (v in b) == (v in model)
        for edge in EDGES:
            assert (edge in b) == (edge in model)
    if model:
        assert b.random_value() in model
        assert validate(b.raw())
        assert Ints(b.raw()).values() == sorted(model)


def test_random_value_reaches_all():
    b = Ints(seed=3)
    for i in range(20):
        b.add(i * 10)
    assert {b.random_value() for _ in range(1000)} == set(range(0, 200, 10))


def test_without_memory_nothing_changes():
    rnd = random.Random(1)
    failures = 0
    for _ in range(800):
        b = Ints()
        for _ in range(rnd.randrange(0, 300)):
            b.add(rnd.choice([rnd.randrange(100), rnd.randrange(-40000, 40000), rnd.choice(EDGES)]))
        before, used = b.raw(), b.used()
        b.fail_after(0)
        try:
            if rnd.random() < 0.5 or not len(b):
                b.add(rnd.choice([rnd.randrange(-50000, 50000), rnd.choice(EDGES)]))
            else:
                b.remove(rnd.choice(b.values()))
        except MemoryError:
            failures += 1
            assert b.raw() == before
            assert b.used() == used
        b.fail_after(-1)
        assert b.check() == 0
    assert failures > 50


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x02\0\0\0", b"\x02\0\0\0\0\0\0\0",  # an empty one is no set
        b"\x03\0\0\0\x01\0\0\0\x01\0\0", b"\x02\0\0\0\x02\0\0\0\x01\0", b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0",
        b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0", b"\x08\0\0\0\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
    ],
)  # fmt: skip
def test_torn_buffers_are_refused(raw):
    assert not validate(raw)


def test_shallow_validation_looks_at_the_frame_only():
    assert validate(b"\x02\0\0\0\x02\0\0\0\x02\0\x01\0", deep=False)
