"""Lists: both layouts against a Python list."""

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libkv.testing.native.list import List

values = st.one_of(
    st.integers(-300, 300).map(lambda i: b"%d" % i),
    st.sampled_from([b"", b"a", b"x" * 62, b"x" * 300, b"x" * 900, b"y" * 3000, b"z" * 9000]),
    st.binary(max_size=12),
)
FILLS = [-2, -1, -5, 1, 3, 128, 0, -9]


class ListMachine(RuleBasedStateMachine):
    """Random steps; the list is checked, and compared with the model from both ends, after each."""

    @initialize(fill=st.sampled_from(FILLS), start=st.sampled_from([0, 5, 200, 900]))
    def begin(self, fill, start):
        self.list = List(fill)
        self.model = []
        for i in range(start):
            self.list.push(b"item %d" % i)
            self.model.append(b"item %d" % i)

    def place(self, where):
        return int(where * len(self.model))

    @rule(value=values, front=st.booleans(), times=st.sampled_from([1, 1, 2, 30, 200]))
    def push(self, value, front, times):
        for i in range(times):
            item = value if i % 3 == 0 else b"n%d" % i
            self.list.push(item, front)
            self.model.insert(0 if front else len(self.model), item)

    @precondition(lambda self: self.model)
    @rule(front=st.booleans(), share=st.sampled_from([0, 0, 0.1, 0.5, 0.9]))
    def drop(self, front, share):
        count = max(1, self.place(share))
        assert self.list.end(front) == self.model[0 if front else -1]
        self.list.drop(front, count)
        self.model = self.model[count:] if front else self.model[: len(self.model) - count]

    @precondition(lambda self: self.model)
    @rule(value=values, where=st.floats(0, 0.999), after=st.booleans(), times=st.sampled_from([1, 1, 3, 40]))
    def insert(self, value, where, after, times):
        i = self.place(where)
        for _ in range(times):
            self.list.insert(i, value, after)
            self.model.insert(i + after, value)

    @precondition(lambda self: self.model)
    @rule(value=values, where=st.floats(0, 0.999))
    def set(self, value, where):
        self.list.set(self.place(where), value)
        self.model[self.place(where)] = value

    @precondition(lambda self: self.model)
    @rule(where=st.floats(0, 0.999), limit=st.sampled_from([1, 2, 50, 2**62]), backwards=st.booleans())
    def remove(self, where, limit, backwards):
        value = self.model[self.place(where)]
        places = [i for i, x in enumerate(self.model) if x == value]
        places = places[-limit:] if backwards else places[:limit]
        assert self.list.remove(value, limit, backwards) == len(places)
        for i in reversed(places):
            del self.model[i]

    @rule()
    def remove_absent(self):
        assert self.list.remove(b"this is nowhere", 5) == 0

    @precondition(lambda self: self.model)
    @rule(first=st.floats(0, 0.3), share=st.floats(0.5, 1))
    def trim(self, first, share):
        first = self.place(first)
        count = max(1, int((len(self.model) - first) * share))
        self.list.trim(first, count)
        self.model = self.model[first : first + count]

    @precondition(lambda self: self.model)
    @rule(
        where=st.floats(0, 0.999),
        start=st.floats(0, 0.999),
        backwards=st.booleans(),
        limit=st.sampled_from([1, 9, 2**63]),
    )
    def find(self, where, start, backwards, limit):
        value, start = self.model[self.place(where)], self.place(start)
        walk = self.model[start::-1] if backwards else self.model[start:]
        walk = walk[:limit]
        expected = walk.index(value) if value in walk else None
        assert self.list.find(value, start, backwards, limit) == expected

    @precondition(lambda self: self.model)
    @rule(where=st.floats(0, 0.999))
    def index(self, where):
        i = self.place(where)
        assert self.list.index(i) == self.model[i]
        assert self.list.index(i - len(self.model)) == self.model[i]
        assert self.list.values(i) == self.model[i:]
        assert self.list.values(i, backwards=True) == self.model[i::-1]
        for outside in (len(self.model), -len(self.model) - 1):
            with pytest.raises(IndexError):
                self.list.index(outside)

    @rule()
    def copy(self):
        assert self.list.copied() == self.model

    @invariant()
    def agrees(self):
        if not hasattr(self, "list"):
            return
        assert self.list.check() == 0
        assert len(self.list) == len(self.model)
        assert self.list.values() == self.model
        if self.model:
            assert self.list.values(-1, backwards=True) == self.model[::-1]


TestListMachine = ListMachine.TestCase
TestListMachine.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def filled(n, fill=-2, size=10):
    a = List(fill)
    for i in range(n):
        a.push(b"%0*d" % (size, i) + b".")
    return a


def test_layouts_change_with_size():
    a = List()
    for i in range(2000):
        a.push(b"element %d" % i)
    assert a.chunks() > 2
    a.drop(True, 1990)
    assert a.chunks() == 0
    assert a.check() == 0
    assert a.values() == [b"element %d" % i for i in range(1990, 2000)]


def test_chunks_are_bounded_by_the_setting():
    for fill, entries in ((-1, 4096 // 14), (-2, 8192 // 14), (-5, 65536 // 14), (100, 100), (1, 1)):
        n = entries * 6
        a = filled(n + 200, fill)
        assert n // (entries + 1) <= a.chunks() <= (n + 200) // (entries * 0.9) + 3
        assert a.check() == 0


def test_a_large_element_has_a_chunk_of_its_own():
    a = List()
    for value in (b"a", b"x" * 100_000, b"b", b"c", b"y" * 8192):
        a.push(value)
    assert a.chunks() == 4
    a.set(1, b"small")
    assert a.bytes_used() < 30_000
    a.insert(1, b"z" * 100_000, after=True)
    assert a.values() == [b"a", b"small", b"z" * 100_000, b"b", b"c", b"y" * 8192]
    assert a.check() == 0


def test_a_queue_stays_small():
    a = List()
    for front in (True, False):
        for i in range(300):
            a.push(b"warm up %d" % i, front)
        for i in range(30_000):
            a.push(b"job %d" % i, front)
            assert a.end(not front)[:4] in (b"warm", b"job ")
            a.drop(not front)
        assert a.chunks() <= 3
        assert a.bytes_used() < 30_000
        a.drop(True, 290)
        assert a.check() == 0


def test_pushes_at_both_ends_in_turn():
    a, model = List(), []
    for i in range(5000):
        a.push(b"%d" % i, i % 2 == 0)
        model.insert(0 if i % 2 == 0 else len(model), b"%d" % i)
        if i % 3 == 0:
            a.drop(i % 4 == 0)
            model.pop(0 if i % 4 == 0 else -1)
    assert a.values() == model
    assert a.check() == 0


def test_memory_of_small_and_large_lists():
    assert filled(10, size=8).bytes_used() <= 7 + 10 * 11 + 7
    a = filled(200_000, size=9)
    assert a.bytes_used() / 200_000 < 12.5
    assert a.used() / 200_000 < 12.6


def test_freed_in_slices():
    a = filled(20_000)
    used, calls = a.used(), 0
    while not a.free_some(5):
        calls += 1
        assert a.used() < used
        used = a.used()
    assert calls >= 5
    assert a.used() < 10_000


def step(a, model, rnd):
    kind = rnd.randrange(7)
    value = rnd.choice([b"7", b"v" * 20, b"v" * 500, b"v" * 5000, b"v" * 9000])
    i = rnd.randrange(len(model))
    if kind == 0:
        a.push(value, True)
    elif kind == 1:
        a.push(value, False)
    elif kind == 2:
        a.insert(i, value, rnd.random() < 0.5)
    elif kind == 3:
        a.set(i, value)
    elif kind == 4:
        a.remove(model[i], 3)
    elif kind == 5:
        a.trim(i, max(1, (len(model) - i) // 2))
    else:
        a.copied()


def test_without_memory_nothing_changes():
    rnd = random.Random(11)
    failures = 0
    for _ in range(1200):
        model = [rnd.choice([b"1", b"some text", b"x" * 400, b"y" * 3000]) for _ in range(rnd.choice([1, 3, 60, 400]))]
        a = List(rnd.choice(FILLS))
        for item in model:
            a.push(item)
        for allowed in range(4):
            used = a.used()
            a.fail_after(allowed)
            try:
                step(a, model, rnd)
            except MemoryError:
                failures += 1
                assert a.values() == model
                if not a.chunks():
                    assert a.used() == used
            a.fail_after(-1)
            assert a.check() == 0
            model = a.values()
            if not model:
                break
    assert failures > 200
