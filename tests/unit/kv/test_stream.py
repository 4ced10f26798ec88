"""Streams: entries, nodes, groups and pending entries against a model in Python."""

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libkv.testing.native.stream import Stream, sound

TOP = 2**64 - 1
words = st.one_of(
    st.integers(-300, 300).map(lambda i: b"%d" % i),
    st.sampled_from([b"", b"a", b"temperature", b"x" * 62, b"x" * 300, b"9" * 19, b"y" * 3000]),
    st.binary(max_size=9),
)
contents = st.one_of(
    st.lists(st.tuples(st.sampled_from([b"f", b"temperature"]), words), min_size=1, max_size=2),
    st.lists(st.tuples(words, words), min_size=1, max_size=5),
)
NODES = [(4096, 100), (0, 0), (100, 0), (4096, 1), (4096, 300), (2000, 7)]
NAMES = [b"", b"a", b"ab", b"b", b"consumer-17"]


def flat(pairs):
    return [word for pair in pairs for word in pair]


class StreamMachine(RuleBasedStateMachine):
    """Random steps; the stream is checked, and compared with the model from both ends, after each."""

    @initialize(node=st.sampled_from(NODES), start=st.sampled_from([0, 5, 250]))
    def begin(self, node, start):
        self.stream = Stream(*node)
        self.model = {}
        self.last = (0, 0)
        self.deleted = (0, 0)
        self.added = 0
        self.groups = {}
        for i in range(start):
            self.add((i + 1, i % 2), [b"f", b"value %d" % i])

    def add(self, pair, entry):
        self.stream.append(pair, entry)
        self.model[pair] = entry
        self.last = pair
        self.added += 1

    def following(self, step):
        ms, seq = self.last
        return (ms + step, 0) if step else (ms, seq + 1)

    @rule(entry=contents, step=st.sampled_from([0, 1, 1, 70, 9000, 10**9]), times=st.sampled_from([1, 1, 3, 150]))
    def append(self, entry, step, times):
        for i in range(times):
            self.add(self.following(step), flat(entry) if i % 4 == 0 else [b"f", b"%d" % i])

    @rule(entry=contents)
    def append_same_fields(self, entry):
        for i in range(6):
            self.add(self.following(i % 2), [w if k % 2 == 0 else b"%d" % (i + k) for k, w in enumerate(flat(entry))])

    @precondition(lambda self: self.model)
    @rule(seed=st.integers(0, 10**6), share=st.sampled_from([0, 0.05, 0.6]))
    def delete(self, seed, share):
        rnd = random.Random(seed)
        for pair in rnd.sample(sorted(self.model), max(1, int(share * len(self.model)))):
            assert self.stream.delete(pair)
            assert not self.stream.delete(pair)
            self.deleted = max(self.deleted, pair)
            del self.model[pair]

    @rule(share=st.sampled_from([0, 0.5, 0.9, 1]), whole=st.booleans(), limit=st.sampled_from([0, 0, 150]))
    def trim_length(self, share, whole, limit):
        wanted = int(share * len(self.model))
        gone = self.stream.trim(wanted, None, whole, limit)
        self.gone_first(gone)
        if not whole and not limit:
            assert len(self.model) == wanted
        assert len(self.model) >= wanted
        assert limit == 0 or gone <= limit

    @precondition(lambda self: self.model)
    @rule(where=st.floats(0, 1), whole=st.booleans())
    def trim_below(self, where, whole):
        keys = [*sorted(self.model), self.following(1)]
        below = keys[int(where * (len(keys) - 1))]
        self.gone_first(self.stream.trim(0, below, whole))
        if not whole:
            assert min(self.model, default=below) >= below
        assert all(pair >= below for pair in keys[:-1] if pair in self.model) or whole

    def gone_first(self, n):
        for pair in sorted(self.model)[:n]:
            del self.model[pair]

    @precondition(lambda self: self.model)
    @rule(a=st.floats(0, 1), b=st.floats(0, 1), nudge=st.integers(0, 1))
    def ranges(self, a, b, nudge):
        keys = sorted(self.model)
        low, high = keys[int(a * (len(keys) - 1))], keys[int(b * (len(keys) - 1))]
        low = (low[0], low[1] + nudge)
        expected = [(k, self.model[k]) for k in keys if low <= k <= high]
        assert self.stream.entries(low, high) == expected
        assert self.stream.entries(low, high, backwards=True) == expected[::-1]
        assert self.stream.has(low) == (low in self.model)

    # ---- groups

    @rule(name=st.sampled_from(NAMES))
    def add_group(self, name):
        if name not in self.groups:
            self.stream.group_add(name, self.last, len(name))
            self.groups[name] = (self.last, len(name), {}, {})

    @precondition(lambda self: self.groups)
    @rule(pick=st.randoms(use_true_random=False), consumer=st.sampled_from(NAMES))
    def add_consumer(self, pick, consumer):
        group = pick.choice(sorted(self.groups))
        if consumer not in self.groups[group][3]:
            self.stream.consumer_add(group, consumer, len(consumer))
            self.groups[group][3][consumer] = len(consumer)

    @precondition(lambda self: any(g[3] for g in self.groups.values()))
    @rule(pick=st.randoms(use_true_random=False), n=st.sampled_from([1, 5, 120]))
    def deliver(self, pick, n):
        group = pick.choice([name for name, g in sorted(self.groups.items()) if g[3]])
        _, _, pending, consumers = self.groups[group]
        for i in range(n):
            pair = (pick.randrange(400), pick.randrange(2))
            consumer = pick.choice(sorted(consumers))
            if pair in pending:
                self.stream.pending_give(group, pair, consumer)
                pending[pair] = (consumer, *pending[pair][1:])
            else:
                self.stream.pending_add(group, consumer, pair, i, n)
                pending[pair] = (consumer, i, n)

    @precondition(lambda self: any(g[2] for g in self.groups.values()))
    @rule(pick=st.randoms(use_true_random=False), share=st.sampled_from([0, 0.3, 1]))
    def acknowledge(self, pick, share):
        group = pick.choice([name for name, g in sorted(self.groups.items()) if g[2]])
        pending = self.groups[group][2]
        for pair in pick.sample(sorted(pending), max(1, int(share * len(pending)))):
            assert self.stream.pending_remove(group, pair)
            assert not self.stream.pending_remove(group, pair)
            del pending[pair]

    @precondition(lambda self: any(g[3] for g in self.groups.values()))
    @rule(pick=st.randoms(use_true_random=False))
    def delete_consumer(self, pick):
        group = pick.choice([name for name, g in sorted(self.groups.items()) if g[3]])
        _, _, pending, consumers = self.groups[group]
        consumer = pick.choice(sorted(consumers))
        self.stream.consumer_delete(group, consumer)
        del consumers[consumer]
        for pair in [pair for pair, p in pending.items() if p[0] == consumer]:
            del pending[pair]

    @precondition(lambda self: self.groups)
    @rule(pick=st.randoms(use_true_random=False))
    def delete_group(self, pick):
        group = pick.choice(sorted(self.groups))
        self.stream.group_delete(group)
        del self.groups[group]

    def expected_groups(self):
        found = {}
        for name, (last, read, pending, consumers) in sorted(self.groups.items()):
            own = {
                consumer: (seen, sorted(pair for pair, p in pending.items() if p[0] == consumer))
                for consumer, seen in sorted(consumers.items())
            }
            found[name] = (last, read, dict(sorted(pending.items())), own)
        return found

    @rule()
    def copy(self):
        entries, groups, counters, nodes = self.stream.copied()
        assert entries == sorted(self.model.items())
        assert groups == self.expected_groups()
        assert counters == self.stream.counters()
        assert nodes == self.stream.nodes()

    @rule()
    def load(self):
        again = Stream()
        for master, node in self.stream.nodes():
            assert again.load_node(master, node)
        last, first, deleted, added = self.stream.counters()
        assert again.load_done(len(self.model), last, deleted, added)
        assert again.counters() == (last, first, deleted, added)
        assert again.check() == 0
        assert again.entries() == sorted(self.model.items())

    @invariant()
    def agrees(self):
        if not hasattr(self, "stream"):
            return
        assert self.stream.check() == 0
        entries = sorted(self.model.items())
        assert len(self.stream) == len(entries)
        assert self.stream.entries() == entries
        assert self.stream.entries(backwards=True) == entries[::-1]
        assert [pair for pair, _ in self.stream.entries(told=False)] == sorted(self.model)
        first = min(self.model, default=(0, 0))
        assert self.stream.counters() == (self.last, first, self.deleted, self.added)
        groups = self.stream.groups()
        assert groups == self.expected_groups()
        assert list(groups) == sorted(groups)


TestStreamMachine = StreamMachine.TestCase
TestStreamMachine.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def filled(n, *node, step=1):
    s = Stream(*node)
    for i in range(n):
        s.append((1_700_000_000_000 + i * step, 0), [b"field", b"%d" % (i % 100)])
    return s


def test_nodes_end_where_the_settings_say():
    assert [len(filled(1000, 4096, n).nodes()) for n in (100, 1, 0, 300)] == [10, 1000, 3, 4]
    assert len(filled(1000, 200, 0).nodes()) > 50
    assert len(filled(1000, 0, 0).nodes()) == 1


def test_counters_of_a_node_grow_in_bytes():
    s = filled(20_000, 0, 0)
    assert len(s.nodes()) == 1
    for i in range(10_000):
        assert s.delete((1_700_000_000_000 + i, 0))
    assert s.check() == 0
    assert s.trim(1) == 9_999
    assert s.entries() == [((1_700_000_019_999, 0), [b"field", b"99"])]
    assert s.check() == 0


def test_memory_of_small_and_large_streams():
    assert filled(1).bytes_used() < 250
    s = filled(200_000)
    assert s.bytes_used() / 200_000 < 14
    assert s.used() / 200_000 < 14.2


def test_ids_wrap_around():
    s = Stream()
    for pair in ((1, TOP), (2, 0), (2**63 + 5, 3), (TOP, TOP)):
        s.append(pair, [b"a", b"b"])
    assert [pair for pair, _ in s.entries()] == [(1, TOP), (2, 0), (2**63 + 5, 3), (TOP, TOP)]
    assert s.entries((2, 1), backwards=True, told=False) == [((TOP, TOP), []), ((2**63 + 5, 3), [])]
    assert s.check() == 0


def test_lag_and_reads():
    s = Stream()
    s.group_add(b"g", (0, 0), 0)
    assert s.lag(b"g") == 0
    for i in range(1, 11):
        s.append((i, 0), [b"a", b"b"])
    assert s.lag(b"g") == 10
    assert [s.read_estimate((i, 0)) for i in (0, 1, 5, 10, 11)] == [0, 1, -1, 10, -1]
    s.delete((4, 0))
    assert s.lag(b"g") is None
    s.trim(3)
    assert s.lag(b"g") == 10
    assert s.read_estimate((7, 9)) == 7
    s.trim(0)
    assert s.read_estimate((5, 0)) == 10


def trie_nodes(keys):
    """Nodes of a radix tree of byte strings, built as one."""
    if not keys:
        return 1

    def below(part, depth):
        if len(part) == 1:
            return 1 + (depth < 16)
        run = 0
        while len({key[depth + run] for key in part}) == 1:
            run += 1
        children = {}
        for key in part:
            children.setdefault(key[depth + run], []).append(key)
        return (run > 0) + 1 + sum(below(child, depth + run + 1) for child in children.values())

    return below(keys, 0)


@pytest.mark.parametrize("seed", range(6))
def test_nodes_of_a_radix_tree(seed):
    rnd = random.Random(seed)
    s = Stream(4096, 1)
    keys = set()
    for _ in range(rnd.choice([0, 1, 2, 40, 400])):
        keys.add((rnd.randrange(rnd.choice([3, 300, 2**63])), rnd.choice([1, 256, 257, 65536, 2**63])))
    for pair in sorted(keys):
        s.append(pair, [b"a", b"b"])
    text = sorted(ms.to_bytes(8, "big") + seq.to_bytes(8, "big") for ms, seq in keys)
    assert s.radix_nodes() == trie_nodes(text)


def test_freed_in_slices():
    s = filled(20_000)
    for group in (b"g", b"h"):
        s.group_add(group, (0, 0))
        for consumer in (b"one", b"two"):
            s.consumer_add(group, consumer)
        for i in range(1000):
            s.pending_add(group, (b"one", b"two")[i % 2], (i, 0))
    calls, used = 0, s.used()
    while not s.free_some(50):
        calls += 1
        assert s.used() <= used
        used = s.used()
    assert calls > 60
    assert s.used() < 66_000  # a slab and nothing in it


def node_of(n):
    s = Stream()
    for i in range(n):
        s.append((5, i), [b"f", b"%d" % i] if i % 3 else [b"other", b"value", b"2", b"x" * 70])
    s.delete((5, 1))
    return s.nodes()[0][1]


def test_foreign_nodes_are_examined():
    node = node_of(20)
    assert sound(node, (5, 0))
    assert sound(node, (5, 0), (4, 9)) and not sound(node, (5, 0), (5, 0))
    rnd = random.Random(3)
    accepted = 0
    for _ in range(20_000):
        changed = bytearray(node)
        for _ in range(rnd.choice([1, 1, 2, 5])):
            changed[rnd.randrange(len(changed))] = rnd.choice(
                [0, 1, 127, 128, 0xC0, 0xF0, 0xF4, 0xFF, rnd.randrange(256)]
            )
        if rnd.random() < 0.2:
            del changed[rnd.randrange(len(changed)) :]
            changed[:4] = len(changed).to_bytes(4, "little") if len(changed) >= 4 else changed[:4]
        s = Stream()
        if s.load_node((5, 0), bytes(changed)):
            accepted += 1
            n = len(s.entries())
            assert s.load_done(n, (TOP, TOP), (0, 0), n)
            assert len(s.entries(backwards=True)) == n
            assert s.check() in (0, 37)  # a number may stand as text in foreign bytes
            s.trim(n // 2)
            s.append((TOP, TOP), [b"f", b"v"])
            assert len(s.entries()) == n // 2 + 1
    assert 100 < accepted < 10_000
    assert not Stream().load_node((5, 0), b"")


def step(s, rnd):
    """One random change that may fail."""
    kind = rnd.randrange(9)
    last = s.counters()[0]
    keys = [pair for pair, _ in s.entries(told=False)]
    if kind == 0:
        s.append((last[0] + 1, 0), [b"f", rnd.choice([b"1", b"v" * 40, b"v" * 5000])])
    elif kind == 1:
        s.append((last[0], last[1] + 1), [b"other", b"1", b"field", b"2"])
    elif kind == 2 and keys:
        s.delete(rnd.choice(keys))
    elif kind == 3:
        s.trim(len(keys) // 2)
    elif kind == 4:
        s.copied()
    elif kind == 5:
        s.group_add(b"new", last)
    elif kind == 6:
        s.consumer_add(b"g", b"new")
    elif kind == 7:
        s.pending_add(b"g", b"one", (10**6, rnd.randrange(10**6)))
    else:
        s.pending_give(b"g", (3, 0), b"two")


def test_without_memory_nothing_changes():
    rnd = random.Random(8)
    failures = 0
    for _ in range(700):
        s = filled(rnd.choice([0, 1, 2, 127, 128, 129, 300]), *rnd.choice(NODES))
        s.group_add(b"g", (0, 0))
        s.consumer_add(b"g", b"one")
        s.consumer_add(b"g", b"two")
        for i in range(rnd.choice([4, 41, 100])):
            s.pending_add(b"g", b"one", (i, 0))
        for allowed in range(4):
            before = (s.entries(), s.counters(), s.nodes(), s.groups())
            used = s.used()
            s.fail_after(allowed)
            try:
                step(s, rnd)
            except MemoryError:
                failures += 1
                assert (s.entries(), s.counters(), s.nodes(), s.groups()) == before
                assert abs(s.used() - used) < 2 * 65536 + 2048  # a grown list, an opened slab
            s.fail_after(-1)
            assert s.check() == 0
            if b"new" in s.groups():
                s.group_delete(b"new")
            if b"new" in s.groups()[b"g"][3]:
                s.consumer_delete(b"g", b"new")
    assert failures > 300
