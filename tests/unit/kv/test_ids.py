"""The index by ID against a dict and a sorted list."""

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from libkv.testing.native.ids import Ids

numbers = st.one_of(st.integers(0, 60), st.sampled_from([2**63, 2**64 - 1, 2**32]))
pairs = st.tuples(numbers, numbers)


class IdsMachine(RuleBasedStateMachine):
    """Random steps; the index is checked, and compared with the model from both ends, after each."""

    @initialize(start=st.sampled_from([0, 3, 41, 42, 500, 2000]))
    def begin(self, start):
        self.ids = Ids()
        self.model = {}
        for i in range(start):
            self.add((i // 3, i % 3))

    def add(self, pair):
        value = len(self.model) + 1
        assert self.ids.insert(pair, value) == (pair not in self.model)
        self.model.setdefault(pair, value)

    @rule(pair=pairs)
    def insert(self, pair):
        self.add(pair)

    @rule(seed=st.integers(0, 10**6), n=st.sampled_from([5, 60, 400]))
    def insert_many(self, seed, n):
        rnd = random.Random(seed)
        for _ in range(n):
            self.add((rnd.randrange(200), rnd.randrange(40)))

    @rule(n=st.sampled_from([1, 50, 300]))
    def append(self, n):
        ms = max(self.model, default=(0, 0))[0]
        for i in range(n):
            if ms < 2**64 - 1:
                self.add((ms + 1, i))

    @rule(pair=pairs)
    def remove(self, pair):
        assert self.ids.remove(pair) == self.model.pop(pair, 0)

    @rule(seed=st.integers(0, 10**6), share=st.sampled_from([0.1, 0.5, 0.9, 1]))
    def remove_many(self, seed, share):
        rnd = random.Random(seed)
        for pair in rnd.sample(sorted(self.model), int(share * len(self.model))):
            assert self.ids.remove(pair) == self.model.pop(pair)

    @rule(share=st.sampled_from([0.2, 0.8]), front=st.booleans())
    def remove_end(self, share, front):
        keys = sorted(self.model, reverse=not front)
        for pair in keys[: int(share * len(keys))]:
            assert self.ids.remove(pair) == self.model.pop(pair)

    @rule(pair=pairs)
    def bounds(self, pair):
        assert self.ids.find(pair) == self.model.get(pair, 0)
        assert self.ids.values(pair) == sorted(item for item in self.model.items() if item[0] >= pair)
        below = sorted((item for item in self.model.items() if item[0] <= pair), reverse=True)
        assert self.ids.values(pair, backwards=True) == below

    @invariant()
    def agrees(self):
        if not hasattr(self, "ids"):
            return
        assert self.ids.check() == 0
        assert len(self.ids) == len(self.model)
        assert self.ids.values() == sorted(self.model.items())
        assert self.ids.values(backwards=True) == sorted(self.model.items(), reverse=True)


TestIdsMachine = IdsMachine.TestCase
TestIdsMachine.settings = settings(
    max_examples=50, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def filled(n):
    ids = Ids()
    for i in range(n):
        ids.insert((i, 0), i + 1)
    return ids


def test_appends_fill_the_leaves():
    ids = filled(100_000)
    assert ids.bytes_used() / 100_000 < 25.5
    assert ids.height() == 3


def test_one_costs_little():
    assert filled(1).bytes_used() == 48
    ids = filled(41)
    for i in range(40):
        ids.remove((i, 0))
    assert ids.bytes_used() < 250


def test_few_left_over_do_not_hold_many_nodes():
    ids = filled(41 * 200)
    for i in range(41 * 200):
        if i % 41:
            assert ids.remove((i, 0)) == i + 1
    assert len(ids) == 200
    assert ids.check() == 0
    assert ids.bytes_used() < 200 * 24 * 5


def test_freed_in_slices():
    ids = filled(5000)
    calls = total = 0
    while True:
        gone, freed = ids.free_some(70)
        calls += 1
        total += freed
        if gone:
            break
    assert total == 5000 * 5001 // 2
    assert calls == 72
    assert len(ids) == 0 and ids.check() == 0


def test_without_memory_nothing_changes():
    rnd = random.Random(5)
    failures = 0
    for _ in range(300):
        ids = filled(rnd.choice([0, 1, 2, 7, 41, 41 * 41, 41 * 42]))
        for _ in range(60):
            before = ids.values()
            ids.fail_after(rnd.randrange(2))
            pair = (rnd.choice([0, len(ids), len(ids) + 5]), rnd.randrange(3))
            try:
                ids.insert(pair, 7)
            except MemoryError:
                failures += 1
                assert ids.values() == before
            ids.fail_after(0)
            if len(ids):
                ids.remove(rnd.choice(before)[0] if before else pair)
            ids.fail_after(-1)
            assert ids.check() == 0
    assert failures > 100
