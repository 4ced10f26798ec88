"""Sets: all three layouts against a Python set."""

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libkv.testing.native.set import Set, slabs

members = st.one_of(
    st.integers(-40, 40).map(lambda i: b"%d" % i),
    st.sampled_from([b"%d" % (2**63 - 1), b"-9223372036854775808", b"9223372036854775808", b"-0", b"", b"m" * 64]),
    st.integers(0, 60).map(lambda i: b"m%d" % i),
    st.binary(max_size=6),
)
ORDER = ["ints", "packed", "table"]


class SetMachine(RuleBasedStateMachine):
    """Random steps; the set is checked and compared with the model after each."""

    @initialize(
        first=st.sampled_from([None, b"1", b"one", b"o" * 65]),
        max_ints=st.sampled_from([512, 0, 5, 300]),
        start=st.sampled_from([0, 3, 127, 600]),
        text=st.booleans(),
    )
    def begin(self, first, max_ints, start, text):
        self.set = Set(first, max_ints)
        self.model = set()
        self.layout = 0
        for i in range(start):
            self.add(b"t%d" % i if text else b"%d" % i, False)

    @rule(value=members, hashed=st.booleans())
    def add(self, value, hashed):
        assert self.set.add(value, hashed) == (value not in self.model)
        self.model.add(value)

    @rule(value=st.sampled_from([b"l" * 65, b"k" * 300, b"j" * 70000]))
    def add_long(self, value):
        assert self.set.add(value) == (value not in self.model)
        self.model.add(value)
        assert self.set.layout() == "table"

    @rule(value=members)
    def remove(self, value):
        assert self.set.remove(value) == (value in self.model)
        self.model.discard(value)

    @precondition(lambda self: self.model)
    @rule(times=st.sampled_from([1, 1, 5, 100]))
    def pop(self, times):
        for _ in range(min(times, len(self.model))):
            value = self.set.pop()
            assert value in self.model
            self.model.discard(value)

    @rule(value=members)
    def contains(self, value):
        assert (value in self.set) == (value in self.model)

    @precondition(lambda self: self.model)
    @rule()
    def random_member(self):
        assert self.set.random_member() in self.model

    @rule()
    def to_table(self):
        self.set.to_table()

    @rule()
    def copy(self):
        assert sorted(self.set.copied()) == sorted(self.model)

    @rule()
    def scan(self):
        cursor, seen = self.set.scan(0)
        while cursor:
            cursor, more = self.set.scan(cursor)
            seen += more
        assert set(seen) == self.model

    @invariant()
    def agrees(self):
        if not hasattr(self, "set"):
            return
        assert self.set.check() == 0
        assert len(self.set) == len(self.model)
        listed = self.set.values()
        assert len(listed) == len(self.model)
        assert set(listed) == self.model
        assert ORDER.index(self.set.layout()) >= self.layout
        self.layout = ORDER.index(self.set.layout())


TestSetMachine = SetMachine.TestCase
TestSetMachine.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize(
    "values, layout",
    [
        ([b"%d" % i for i in range(512)], "ints"),
        ([b"%d" % i for i in range(513)], "table"),
        ([b"m%d" % i for i in range(128)], "packed"),
        ([b"m%d" % i for i in range(129)], "table"),
        ([b"m" * 64], "packed"),
        ([b"m" * 65], "table"),
        ([b"%d" % i for i in range(127)] + [b"x"], "packed"),
        ([b"%d" % i for i in range(128)] + [b"x"], "table"),
        ([b"1", b"x" * 65], "table"),
    ],
)
def test_layouts(values, layout):
    s = Set(values[0])
    for value in values:
        assert s.add(value) == 1
    assert s.layout() == layout
    assert s.check() == 0
    assert sorted(s.values()) == sorted(values)


def test_integers_beyond_the_setting_become_packed_when_few():
    s = Set(b"1", max_ints=4)
    for i in range(5):
        s.add(b"%d" % i)
    assert s.layout() == "packed"
    assert sorted(s.values()) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("n", [20, 100, 700])
@pytest.mark.parametrize("text", [b"%d", b"t%d"])
def test_random_members_reach_all(n, text):
    s = Set(text % 0, seed=4)
    for i in range(n):
        s.add(text % i)
    counts = {}
    for _ in range(n * 60):
        m = s.random_member()
        counts[m] = counts.get(m, 0) + 1
    assert len(counts) == n
    assert max(counts.values()) < 60 * 8


def test_scan_misses_nothing_while_the_table_changes():
    for seed in range(1, 6):
        s = Set(members=1, seed=seed)
        rnd = random.Random(seed)
        stay = [b"stay%d" % i for i in range(400)]
        for m in stay:
            s.add(m)
        extra, seen, cursor = [], set(), 0
        while True:
            cursor, page = s.scan(cursor)
            seen.update(page)
            if cursor == 0:
                break
            if rnd.random() < 0.5:
                for _ in range(100):
                    extra.append(b"extra%d" % rnd.randrange(10**9))
                    s.add(extra[-1])
            else:
                for m in extra[:150]:
                    s.remove(m)
                del extra[:150]
        assert seen >= set(stay)


def test_memory_of_small_and_large_sets():
    s = Set(b"member")
    for i in range(10):
        s.add(b"member:%d" % i)
    assert s.bytes_used() <= 7 + 10 * 10 + 7
    s = Set(members=100_000)
    empty = s.used()
    for i in range(100_000):
        s.add(b"m%d" % i)
    assert (s.used() - empty) / 100_000 < (12 if slabs() else 50)
    assert abs(s.bytes_used() - s.used()) < s.used() * (0.03 if slabs() else 0.8)
    assert abs(s.bytes_used(samples=5) - s.bytes_used()) < s.used() * 0.1


def test_freed_in_slices():
    s = Set(members=1)
    for i in range(20_000):
        s.add(b"member %d" % i)
    calls = 1
    while not s.free_some(500):
        calls += 1
    assert calls > 30
    assert s.used() < 3000


def test_without_memory_nothing_changes():
    rnd = random.Random(2)
    failures = 0
    starts = [
        [b"%d" % i for i in range(n)] for n in (1, 60, 128, 300, 512)
    ] + [[b"m%d" % i for i in range(n)] for n in (1, 50, 128, 129, 400)]  # fmt: skip
    for values in starts * 12:
        s = Set(values[0])
        for v in values:
            s.add(v)
        for allowed in range(8):
            model = sorted(s.values())
            if not model:
                break
            s.fail_after(allowed)
            try:
                kind = rnd.randrange(5)
                if kind == 0:
                    s.add(rnd.choice([b"new", b"-99999", b"x" * 100, b"12345678901234"]))
                elif kind == 1:
                    s.remove(rnd.choice(model))
                elif kind == 2:
                    s.to_table()
                elif kind == 3:
                    s.copied()
                else:
                    s.pop()
            except MemoryError:
                failures += 1
                assert sorted(s.values()) == model
            s.fail_after(-1)
            assert s.check() == 0
    assert failures > 50
