"""The sorted-set structure against a dict and sorted(), with a failing allocation at every point of every change."""

import math
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libkv.testing.native.zset import SortedSet

SCORES = st.one_of(
    st.sampled_from([-math.inf, math.inf, -0.0, 0.0, 0.1, 1e17, 2.0**53 + 2, 1e300]),
    st.integers(-5, 5).map(float),
    st.floats(-100, 100, allow_nan=False),
)
MEMBERS = st.one_of(
    st.binary(max_size=2),
    st.integers(-200, 200).map(lambda v: b"%d" % v),
    st.binary(min_size=60, max_size=70),
    st.sampled_from([b"x" * 254, b"x" * 255, b"y" * 3000]),
)
FLAGS = st.sampled_from(["", "nx", "xx", "gt", "lt", "xx gt", "xx lt"])


def changed_or_not(subject, change):
    """Does the change with 0, 1, 2, ... allocations allowed, until it succeeds; a failure must leave all as it was."""
    before = subject.pairs()
    allowed = 0
    while allowed < 10000:
        subject.fail_after(allowed)
        try:
            return change()
        except MemoryError:
            assert subject.pairs() == before
            assert subject.check() == 0
        finally:
            subject.fail_after(-1)
        allowed += 1 + allowed // 8  # each of the first points, then fewer
    raise AssertionError("the change never succeeds")


class ZsetMachine(RuleBasedStateMachine):
    @initialize(entries=st.sampled_from([0, 3, 20, 128]), value=st.sampled_from([2, 64, 300]), tree=st.booleans())
    def start(self, entries, value, tree):
        self.zset = SortedSet(max_entries=entries, max_value=value, tree=tree)
        self.entries, self.value, self.tree = entries, value, tree
        self.model = {}

    def put(self, score, member):
        if member not in self.model and (len(self.model) >= self.entries or len(member) > self.value):
            self.tree = True
        self.model[member] = score

    def order(self):
        return sorted((score, member) for member, score in self.model.items())

    @rule(score=SCORES, member=MEMBERS, flags=FLAGS, incr=st.booleans())
    def add(self, score, member, flags, incr):
        names = flags.split() + ["incr"] * incr
        done, result = changed_or_not(self.zset, lambda: self.zset.add(score, member, *names))
        now = self.model.get(member)
        if now is None:
            assert done == ("refused" if "xx" in names else "added")
            if done == "added":
                assert result == score
                self.put(score, member)
            return
        target = now + score if incr else score
        if "nx" in names:
            assert done == "refused"
        elif math.isnan(target):
            assert done == "nan"
        elif ("gt" in names and target <= now) or ("lt" in names and target >= now):
            assert done == "refused"
        else:
            assert (done, result) == ("same" if target == now else "updated", target)
            self.model[member] = target

    @rule(count=st.integers(1, 300), seed=st.integers(0, 9))
    def add_many(self, count, seed):
        source = random.Random(seed)
        for _ in range(count):
            member, score = b"%d" % source.randrange(1000), float(source.randrange(50))
            self.zset.add(score, member)
            self.put(score, member)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), score=SCORES)
    def rescore(self, data, score):
        self.add(score, data.draw(st.sampled_from(sorted(self.model))), "", False)

    @rule(member=MEMBERS)
    def remove_any(self, member):
        assert changed_or_not(self.zset, lambda: self.zset.remove(member)) == (member in self.model)
        self.model.pop(member, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_range(self, data):
        first = data.draw(st.integers(0, len(self.model)))
        end = data.draw(st.integers(first, len(self.model)))
        gone = self.order()[first:end]
        changed_or_not(self.zset, lambda: self.zset.remove_range(first, end))
        for _, member in gone:
            del self.model[member]

    @rule(member=MEMBERS)
    def ask(self, member):
        assert self.zset.score(member) == self.model.get(member)
        if member in self.model:
            rank = self.order().index((self.model[member], member))
            assert self.zset.rank(member) == rank
            assert self.zset.rank(member, backwards=True) == len(self.model) - 1 - rank
        else:
            assert self.zset.rank(member) is None

    @rule(low=SCORES, high=SCORES, low_open=st.booleans(), high_open=st.booleans())
    def score_range(self, low, high, low_open, high_open):
        first, end = self.zset.score_range(low, high, low_open, high_open)
        inside = [
            pair
            for pair in self.order()
            if (pair[0] > low if low_open else pair[0] >= low) and (pair[0] < high if high_open else pair[0] <= high)
        ]
        assert self.order()[first:end] == inside

    @precondition(lambda self: self.model)
    @rule(rank=st.integers(0, 400), backwards=st.booleans())
    def walk(self, rank, backwards):
        rank = min(rank, len(self.model) - 1)
        order = self.order()
        assert self.zset.pairs(rank, backwards) == (order[rank::-1] if backwards else order[rank:])

    @precondition(lambda self: self.model)
    @rule()
    def random(self):
        score, member = self.zset.random()
        assert self.model[member] == score

    @rule()
    def scan(self):
        cursor, pairs = self.zset.scan(0)
        found = dict((member, score) for score, member in pairs)
        while cursor:
            cursor, pairs = self.zset.scan(cursor)
            found.update((member, score) for score, member in pairs)
        assert found == self.model

    @rule()
    def to_tree(self):
        changed_or_not(self.zset, self.zset.to_tree)
        self.tree = True

    @rule()
    def to_packed(self):
        changed_or_not(self.zset, self.zset.to_packed)
        self.tree = False

    @rule()
    def copy(self):
        changed_or_not(self.zset, self.zset.swap_with_copy)

    @invariant()
    def same(self):
        if not hasattr(self, "zset"):
            return
        assert self.zset.check() == 0
        assert len(self.zset) == len(self.model)
        assert self.zset.pairs() == self.order()
        assert self.zset.is_tree() == self.tree

    def teardown(self):
        if not hasattr(self, "zset"):
            return
        while not self.zset.free_some(30):
            pass
        assert self.zset.left() == 0


TestZsetMachine = ZsetMachine.TestCase
TestZsetMachine.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)

LEX = [b"-", b"+", b"[", b"(", b"[b", b"(b", b"[m5", b"(m5", b"[m50", b"(m50", b"[z", b"(z"]


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("low", LEX)
@pytest.mark.parametrize("high", LEX)
def test_lexical_ranges(tree, low, high):
    members = sorted([b"", b"b", *(b"m%d" % i for i in range(100))])
    zset = SortedSet(tree=tree)
    for member in members:
        zset.add(3.0, member)

    def inside(member):
        above = {b"-": True, b"+": False, b"[": member >= low[1:], b"(": member > low[1:]}[low[:1]]
        below = {b"-": False, b"+": True, b"[": member <= high[1:], b"(": member < high[1:]}[high[:1]]
        return above and below

    for backwards in (False, True):
        first, end = zset.lex_range(low, high, backwards)
        assert members[first:end] == [member for member in members if inside(member)]


@pytest.mark.parametrize("tree", [False, True])
def test_lexical_ranges_over_mixed_scores_are_some_run(tree):
    source = random.Random(5)
    zset = SortedSet(tree=tree)
    for _ in range(100):
        zset.add(float(source.randrange(9)), b"%d" % source.randrange(1000))
    for low in LEX:
        for high in LEX:
            for backwards in (False, True):
                first, end = zset.lex_range(low, high, backwards)
                assert 0 <= first <= end <= len(zset)


def test_scores_in_a_flat_buffer_are_the_doubles_they_were():
    zset = SortedSet(max_entries=1000)
    scores = [
        0.1,
        1e17,
        -1e17,
        99999999999999984.0,
        5e-324,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
        2.0**63,
        12345.0,
    ]
    for i, score in enumerate(scores):
        zset.add(score, b"%d" % i)
    assert [zset.score(b"%d" % i) for i in range(len(scores))] == scores
    zset.add(-0.0, b"zero")
    assert math.copysign(1, zset.score(b"zero")) == 1
    zset.to_tree()
    zset.add(-0.0, b"another")
    assert math.copysign(1, zset.score(b"another")) == -1


def test_a_pair_longer_than_a_step_changes_places():
    zset = SortedSet(max_value=2000)
    for i in range(5):
        zset.add(float(i), b"%d" % i * 900)
    for member in (b"0" * 900, b"4" * 900, b"2" * 900):
        for score in (2.5, 10.0, -10.0, 1.5):
            zset.add(score, member)
            assert zset.check() == 0
            assert zset.score(member) == score
    assert not zset.is_tree()
    assert len(zset) == 5


def test_memory_is_told_as_the_heap_counts_it():
    for count in (10, 5000):
        zset = SortedSet()
        for i in range(count):
            zset.add(i * 0.5, b"member:%d" % i)
        assert 0.5 < zset.bytes() / zset.left() < 1.1  # 0.9 without sanitizers, whose pieces are larger
        assert 0.9 < zset.bytes(samples=5) / zset.bytes() < 1.1


def test_a_large_sorted_set_stays_below_67_bytes_a_member():
    zset = SortedSet()
    source = random.Random(4)
    for i in range(100000):
        zset.add(source.random(), b"member:%06d" % i)
    assert zset.check() == 0
    assert zset.bytes() / 100000 < 67


def test_freeing_goes_in_slices():
    zset = SortedSet(tree=True)
    for i in range(3000):
        zset.add(float(i), b"%d" % i)
    slices = 1
    while not zset.free_some(100):
        slices += 1
    assert slices > 40
