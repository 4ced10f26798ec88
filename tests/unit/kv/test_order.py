"""The ordered index against a sorted list, with a failing allocation at every point of every change."""

import math
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sortedcontainers import SortedList

from libkv.testing.native.order import OrderedIndex

SCORES = st.one_of(st.sampled_from([-math.inf, -1.5, -0.0, 0.0, 1.0, 2.0, math.inf]), st.floats(-100, 100))
MEMBERS = st.one_of(st.binary(max_size=3), st.binary(min_size=250, max_size=300))


def changed_or_not(index, change):
    """Does the change with 0, 1, 2, ... allocations allowed, until it succeeds; a failure must leave all as it was."""
    before = index.pairs()
    allowed = 0
    while allowed < 10000:
        index.fail_after(allowed)
        try:
            return change()
        except MemoryError:
            assert index.pairs() == before
            assert index.check() == 0
        finally:
            index.fail_after(-1)
        allowed += 1
    raise AssertionError("the change never succeeds")


class OrderMachine(RuleBasedStateMachine):
    @initialize(pointer=st.booleans())
    def start(self, pointer):
        self.index = OrderedIndex(pointer=pointer)
        self.pointer = pointer
        self.model = SortedList()
        self.scores = {}

    def put(self, score, key):
        self.index.insert(score, key)
        self.model.add((score, key))
        self.scores[key] = score

    def drop(self, score, key):
        self.model.remove((score, key))
        del self.scores[key]

    @rule(score=SCORES, member=MEMBERS, number=st.integers(1, 2**48))
    def insert(self, score, member, number):
        key = number if self.pointer else member
        if key in self.scores:
            return
        changed_or_not(self.index, lambda: self.index.insert(score, key))
        self.model.add((score, key))
        self.scores[key] = score

    @rule(
        start=st.integers(-1000, 1000),
        step=st.sampled_from([-1, 0, 1]),
        count=st.integers(1, 400),
        seed=st.integers(0, 99),
    )
    def insert_run(self, start, step, count, seed):
        source = random.Random(seed)
        for i in range(count):
            number = source.randrange(1, 2**40)
            key = number if self.pointer else b"%d" % number
            if key not in self.scores:
                self.put(float(start + i * step), key)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        score, key = self.model[data.draw(st.integers(0, len(self.model) - 1))]
        assert self.index.remove(score, key)
        self.drop(score, key)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), to=SCORES)
    def move(self, data, to):
        score, key = self.model[data.draw(st.integers(0, len(self.model) - 1))]
        changed_or_not(self.index, lambda: self.index.move(score, key, to))
        self.model.remove((score, key))
        self.model.add((to, key))
        self.scores[key] = to

    @precondition(lambda self: self.model)
    @rule(data=st.data(), number=st.integers(1, 2**48))
    def replace(self, data, number):
        score, key = self.model[data.draw(st.integers(0, len(self.model) - 1))]
        if not self.pointer:
            changed_or_not(self.index, lambda: self.index.replace(score, key))
        elif number not in self.scores:
            changed_or_not(self.index, lambda: self.index.replace(score, key, number))
            self.drop(score, key)
            self.model.add((score, number))
            self.scores[number] = score

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_range(self, data):
        rank = data.draw(st.integers(0, len(self.model) - 1))
        count = data.draw(st.integers(0, len(self.model) - rank))
        self.index.remove_range(rank, count)
        for score, key in list(self.model[rank : rank + count]):
            self.drop(score, key)

    @rule(score=SCORES, member=MEMBERS)
    def bounds(self, score, member):
        def answer(before):
            rank = sum(map(before, self.model))
            return rank, self.model[rank] if rank < len(self.model) else None

        assert self.index.bound("lower", score) == answer(lambda pair: pair[0] < score)
        assert self.index.bound("upper", score) == answer(lambda pair: pair[0] <= score)
        if not self.pointer:
            assert self.index.bound("lower_member", score, member) == answer(lambda pair: pair < (score, member))
            assert self.index.bound("upper_member", score, member) == answer(lambda pair: pair <= (score, member))

    @invariant()
    def same(self):
        if not hasattr(self, "index"):
            return
        assert self.index.check() == 0
        assert len(self.index) == len(self.model)
        assert self.index.pairs() == list(self.model)
        assert self.index.pairs(backwards=True) == list(reversed(self.model))
        for rank in {0, len(self.model) // 2, len(self.model) - 1} if self.model else ():
            assert self.index.at(rank) == self.model[rank]
            assert self.index.rank(*self.model[rank]) == rank
        assert self.index.at(len(self.model)) is None

    def teardown(self):
        if not hasattr(self, "index"):
            return
        while not self.index.free_some(70):
            pass
        assert self.index.bytes() == 0
        assert self.index.check() == 0
        assert not self.pointer or self.index.left() == 0


TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("seed", range(12))
def test_long_random_lives(seed):
    """Thousands of changes, in three moods (growing, level, shrinking) and orders, so that it gets three levels."""
    source = random.Random(seed)
    pointer = bool(seed % 2)
    index, model, keys = OrderedIndex(pointer=pointer), SortedList(), set()
    scores = source.choice([3, 50, 100000])
    for step in range(8000):
        if step % 2000 == 0:
            growing = source.choice([0.15, 0.5, 0.95])
        if step % 700 == 0:
            order = source.choice(["random", "up", "down"])
        if source.random() < growing or not model:
            score = float({"random": source.randrange(scores), "up": step, "down": -step}[order])
            number = source.randrange(1, 2**40)
            key = number if pointer else b"%d" % number
            if key not in keys:
                index.insert(score, key)
                model.add((score, key))
                keys.add(key)
        else:
            score, key = model.pop(source.randrange(len(model)))
            assert index.remove(score, key)
            keys.remove(key)
        if step % 200 == 0:
            assert index.check() == 0
            assert index.pairs() == list(model)
            if model:
                rank = source.randrange(len(model))
                assert index.rank(*model[rank]) == rank
                assert index.at(rank) == model[rank]


def test_bounds_by_member_when_all_scores_are_the_same():
    index = OrderedIndex()
    members = sorted(b"%d" % (i * 7919 % 100003) for i in range(3000))
    for member in random.Random(1).sample(members, len(members)):
        index.insert(5.0, member)
    for member in [b"", members[0], members[1500], members[1500] + b"\0", members[-1], b"\xff"]:
        assert index.bound("lower_lex", None, member)[0] == sum(m < member for m in members)
        assert index.bound("upper_lex", None, member)[0] == sum(m <= member for m in members)


@pytest.mark.parametrize(("order", "most"), [("up", 17.0), ("down", 18.0), ("random", 21.5)])
def test_leaves_are_well_filled(order, most):
    """Bytes of nodes a pair; 16 of them are the pair."""
    index = OrderedIndex(pointer=True)
    source = random.Random(2)
    for i in range(1, 60001):
        index.insert({"up": float(i), "down": float(-i), "random": source.random()}[order], i)
    assert index.check() == 0
    assert index.bytes() / len(index) < most


def test_shrinking_gives_nodes_back():
    index = OrderedIndex(pointer=True)
    source = random.Random(3)
    pairs = [(source.random(), i) for i in range(1, 20001)]
    for pair in pairs:
        index.insert(*pair)
    source.shuffle(pairs)
    for pair in pairs[200:]:
        assert index.remove(*pair)
    assert index.check() == 0
    assert index.bytes() / len(index) < 16 * 4
    index.remove_range(0, 200)
    assert index.bytes() == 0


def test_what_is_not_there():
    index = OrderedIndex(pointer=True)
    assert not index.remove(1.0, 5)
    index.insert(1.0, 5)
    assert not index.remove(2.0, 5)
    assert not index.remove(1.0, 6)
    assert index.rank(1.0, 4) is None
    with pytest.raises(MemoryError):
        index.replace(1.0, 6, 7)
    assert index.pairs() == [(1.0, 5)]


def test_moving_between_equals_needs_their_order():
    """By pointer, a new address may have to change places with pairs of the same score."""
    index = OrderedIndex(pointer=True)
    for number in range(10, 1000, 10):
        index.insert(7.0, number)
    index.replace(7.0, 500, 505)
    index.replace(7.0, 10, 999)
    index.replace(7.0, 990, 1)
    assert index.check() == 0
    expected = sorted(({*range(10, 1000, 10)} - {500, 10, 990}) | {505, 999, 1})
    assert [number for _, number in index.pairs()] == expected


@pytest.mark.parametrize("seed", range(8))
def test_many_moves(seed):
    source = random.Random(seed)
    pointer = bool(seed % 2)
    scores = [5, 10000][seed // 2 % 2]
    index, now = OrderedIndex(pointer=pointer), {}
    for number in range(1, [3, 70, 3000][seed % 3]):
        key = number if pointer else b"%d" % number
        now[key] = float(source.randrange(scores))
        index.insert(now[key], key)
    model = SortedList((score, key) for key, score in now.items())
    keys = list(now)
    for step in range(2000):
        key = source.choice(keys)
        to = float(source.randrange(scores)) if source.random() < 0.7 else now[key] + 1
        index.move(now[key], key, to)
        model.remove((now[key], key))
        model.add((to, key))
        now[key] = to
        if step % 200 == 0:
            assert index.check() == 0
            assert index.pairs() == list(model)
