"""The hash structure against a dict, with a failing allocation at every point of every change."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libkv.testing.native.hash import Hash

TEXT = st.one_of(
    st.binary(max_size=3),
    st.integers(-(2**63), 2**64).map(lambda v: b"%d" % v),
    st.binary(min_size=60, max_size=70),
    st.sampled_from([b"-0", b"007", b"x" * 254, b"x" * 255, b"y" * 5000]),
)


def changed_or_not(subject, change):
    """Does the change with 0, 1, 2, ... allocations allowed, until it succeeds; a failure must leave all as it was."""
    before = sorted(subject.pairs())
    allowed = 0
    while allowed < 10000:
        subject.fail_after(allowed)
        try:
            return change()
        except MemoryError:
            assert sorted(subject.pairs()) == before
            assert subject.check() == 0
        finally:
            subject.fail_after(-1)
        allowed += 1 + allowed // 8  # each of the first points, then fewer
    raise AssertionError("the change never succeeds")


class HashMachine(RuleBasedStateMachine):
    @initialize(entries=st.sampled_from([0, 3, 20, 128]), value=st.sampled_from([2, 64]), table=st.booleans())
    def start(self, entries, value, table):
        self.hash = Hash(max_entries=entries, max_value=value, table=table)
        self.entries, self.value, self.table = entries, value, table
        self.model = {}

    @rule(field=TEXT, value=TEXT)
    def set(self, field, value):
        assert changed_or_not(self.hash, lambda: self.hash.set(field, value)) == (field not in self.model)
        self.model[field] = value
        if len(self.model) > self.entries or max(len(field), len(value)) > self.value:
            self.table = True

    @rule(count=st.integers(1, 300), seed=st.integers(0, 9))
    def set_many(self, count, seed):
        source = random.Random(seed)
        for _ in range(count):
            field = b"%d" % source.randrange(1000)
            self.hash.set(field, field[:1], known=False)
            self.model[field] = field[:1]
        if len(self.model) > self.entries or (self.value < 3 and any(len(f) > 2 for f in self.model)):
            self.table = True

    @precondition(lambda self: self.model)
    @rule(data=st.data(), value=TEXT)
    def replace(self, data, value):
        field = data.draw(st.sampled_from(sorted(self.model)))
        self.set(field, value)

    @rule(field=TEXT)
    def remove_any(self, field):
        assert changed_or_not(self.hash, lambda: self.hash.remove(field)) == (field in self.model)
        self.model.pop(field, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), count=st.integers(1, 200))
    def remove_many(self, data, count):
        fields = sorted(self.model)
        first = data.draw(st.integers(0, len(fields) - 1))
        for field in fields[first : first + count]:
            assert self.hash.remove(field)
            del self.model[field]

    @rule(field=TEXT)
    def get(self, field):
        assert self.hash.get(field) == self.model.get(field)

    @precondition(lambda self: self.model)
    @rule()
    def random(self):
        field, value = self.hash.random()
        assert self.model[field] == value

    @rule()
    def scan(self):
        """Every field comes, also when the table changes its size while the scan is on its way."""
        cursor, pairs = self.hash.scan(0)
        found = dict(pairs)
        while cursor:
            cursor, pairs = self.hash.scan(cursor)
            found.update(pairs)
        assert found == self.model

    @rule()
    def to_table(self):
        changed_or_not(self.hash, self.hash.to_table)
        self.table = True

    @rule()
    def copy(self):
        changed_or_not(self.hash, self.hash.swap_with_copy)

    @invariant()
    def same(self):
        if not hasattr(self, "hash"):
            return
        assert self.hash.check() == 0
        assert len(self.hash) == len(self.model)
        pairs = self.hash.pairs()
        assert dict(pairs) == self.model
        assert self.hash.is_table() == self.table
        if not self.table:
            assert [field for field, _ in pairs] == list(self.model)

    def teardown(self):
        if not hasattr(self, "hash"):
            return
        while not self.hash.free_some(3):
            pass
        assert self.hash.left() == 0


TestHashMachine = HashMachine.TestCase
TestHashMachine.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


def test_a_scan_over_a_changing_table_misses_nothing_that_stays():
    subject = Hash(table=True)
    stay = {b"stay:%d" % i: b"1" for i in range(500)}
    for field, value in stay.items():
        subject.set(field, value)
    cursor, found, n = 0, set(), 0
    while True:
        cursor, pairs = subject.scan(cursor)
        found.update(field for field, _ in pairs)
        if cursor == 0:
            break
        for _ in range(60):
            if n < 3000:
                subject.set(b"come:%d" % n, b"2")
            elif n - 3000 < 3000:
                subject.remove(b"come:%d" % (n - 3000))
            n += 1
    assert set(stay) <= found
    assert subject.check() == 0


@pytest.mark.parametrize("table", [False, True])
def test_random_reaches_every_field(table):
    subject = Hash(table=table)
    for i in range(50):
        subject.set(b"%d" % i, b"")
    assert len({subject.random()[0] for _ in range(3000)}) == 50


def test_memory_is_told_as_the_heap_counts_it():
    for count in (10, 5000):
        subject = Hash()
        for i in range(count):
            subject.set(b"field:%d" % i, b"value:%d" % (i * i))
        assert 0.5 < subject.bytes() / subject.left() < 1.1  # 0.9 without sanitizers, whose pieces are larger
        assert 0.9 < subject.bytes(samples=5) / subject.bytes() < 1.1


def test_a_large_hash_stays_below_46_bytes_a_field():
    subject = Hash()
    for i in range(100000):
        subject.set(b"field:%06d" % i, b"v" * 10)
    assert subject.bytes() / 100000 < 46


def test_freeing_goes_in_slices():
    subject = Hash(table=True)
    for i in range(3000):
        subject.set(b"%d" % i, b"x" * (i % 2000))
    slices = 1
    while not subject.free_some(100):
        slices += 1
    assert slices > 20
