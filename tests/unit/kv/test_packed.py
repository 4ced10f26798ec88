"""The flat buffer of packed entries: its bytes, its changes, and what it makes of untrusted bytes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libkv.testing.native.packed import Packed, entry_size, validate

EDGES = [
    0, 1, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 8388607, 8388608, -8388608, -8388609,
    2147483647, 2147483648, -2147483648, -2147483649, 2**63 - 1, -(2**63),
]  # fmt: skip
NOT_INTS = [
    b"",
    b"-",
    b"-0",
    b"00",
    b"01",
    b"+1",
    b" 1",
    b"1 ",
    b"1.0",
    b"9223372036854775808",
    b"-9223372036854775809",
]
NOT_INTS += [b"18446744073709551616", b"123456789012345678901", b"1\x00", b"a", b"-a"]
LENGTHS = [0, 1, 62, 63, 64, 126, 127, 4095, 4096, 16370, 16376, 16377, 16378, 16379, 70000]

values = st.one_of(
    st.binary(max_size=8),
    st.integers(-(2**63), 2**63 - 1).map(lambda i: str(i).encode()),
    st.integers(-200, 200).map(lambda i: str(i).encode()),
    st.sampled_from([b"x" * n for n in (63, 64, 127, 128, 300)]),
)


def made(items):
    b = Packed()
    for item in items:
        b.append(item)
    return b


def holds(b, items):
    assert b.check() == 0
    assert b.values() == items
    assert b.values(backwards=True) == items[::-1]
    assert len(b) == len(items)
    assert len(b.raw()) == 7 + sum(entry_size(i) for i in items)
    return True


def test_layout_of_an_empty_buffer():
    assert Packed().raw() == b"\x07\0\0\0\0\0\xff"


def test_drawn_bytes():
    b = made([b"5", b"hi", b"-1", b"1000"])
    assert b.raw() == b"\x13\0\0\0\x04\0" + b"\x05\x01" + b"\x82hi\x03" + b"\xdf\xff\x02" + b"\xc3\xe8\x02" + b"\xff"


@pytest.mark.parametrize("v", EDGES)
def test_integers_are_kept_as_integers(v):
    b = made([b"%d" % v])
    assert b.ints() == [v]
    b.append_int(v)
    assert holds(b, [b"%d" % v] * 2)
    assert b.find(b"%d" % v, start=1) == 1


@pytest.mark.parametrize("text", NOT_INTS)
def test_what_is_not_canonical_stays_bytes(text):
    b = made([text])
    assert b.ints() == [text]
    assert b.find(text) == 0


@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(n):
    b = made([b"y" * n, b"1", b"z" * n])
    assert holds(b, [b"y" * n, b"1", b"z" * n])
    assert b.find(b"z" * n) == (2 if n else 0)
    assert validate(b.raw())


def test_find_skips_pairs():
    b = made([b"f", b"v", b"v", b"f"])
    assert b.find(b"v", skip=1) == 2
    assert b.find(b"v") == 1
    assert b.find(b"f", start=1, skip=1) == 3
    assert b.find(b"f", start=2, skip=1) == -1
    assert b.find(b"absent", start=9) == -1


def test_more_entries_than_the_count_field_holds():
    b = Packed()
    n = 65540
    b.insert(None, [b"%d" % (i % 7) for i in range(n)])
    assert len(b) == n
    assert b.check() == 0
    assert b.index(n - 1) == b"%d" % ((n - 1) % 7)
    assert b.index(-n) == b"0"
    assert b.index(n) is None
    assert b.index(-n - 1) is None
    assert b.remove_equal(b"6", n) == n // 7
    assert len(b) == n - n // 7
    b.keep(0, 3)
    assert holds(b, [b"0", b"1", b"2"])


def apply(b, model, rnd, value):
    """One random change of both; False where the buffer had no memory."""
    n = len(model)
    kind = rnd.randrange(10)
    i = rnd.randrange(n) if n else 0
    if kind == 0 or n == 0:
        b.append(value)
        model.append(value)
    elif kind == 1:
        b.prepend(value)
        model.insert(0, value)
    elif kind == 2:
        assert b.insert(i, [value, b"2", value]) == value
        model[i:i] = [value, b"2", value]
    elif kind == 3:
        assert b.insert_before(i, value) == value
        model.insert(i, value)
    elif kind == 4:
        assert b.insert_after(i, value) == value
        model.insert(i + 1, value)
    elif kind == 5:
        assert b.replace(i, value) == value
        model[i] = value
    elif kind in (6, 7):
        count = rnd.randrange(1, 4)
        follows = b.delete(i - n if rnd.random() < 0.5 else i, count)
        del model[i : i + count]
        assert follows == (model[i] if i < len(model) else None)
    elif kind == 8:
        limit, backwards = rnd.randrange(1, 3), rnd.random() < 0.5
        target = rnd.choice(model)
        gone = b.remove_equal(target, limit, backwards)
        places = [k for k, x in enumerate(model) if x == target]
        places = places[-limit:] if backwards else places[:limit]
        assert gone == len(places)
        for k in reversed(places):
            del model[k]
    else:
        end = rnd.randrange(i, n) + 1
        if end - i > n // 2:
            b.keep(i, end)
            model[:] = model[i:end]


@settings(max_examples=150, deadline=None)
@given(st.lists(values, max_size=60), st.integers(0, 2**32))
def test_random_changes_against_a_list(items, seed):
    rnd = random.Random(seed)
    b, model = Packed(), []
    for value in items:
        apply(b, model, rnd, value)
        assert holds(b, model)
        if model:
            i = rnd.randrange(-len(model), len(model))
            assert b.index(i) == model[i]
            assert b.find(model[i]) == model.index(model[i])
    assert validate(b.raw())
    assert Packed(b.raw()).raw() == b.raw()


def test_without_memory_nothing_changes():
    rnd = random.Random(5)
    failures = 0
    for _ in range(1500):
        items = [
            rnd.choice([b"7", b"abc", b"x" * rnd.choice([5, 60, 200, 700]), b"-99999"])
            for _ in range(rnd.randrange(1, 12))
        ]
        b = made(items)
        before, used = b.raw(), b.used()
        b.fail_after(0)
        try:
            apply(b, list(items), rnd, b"y" * rnd.choice([1, 9, 400, 1500]))
        except MemoryError:
            failures += 1
            assert b.raw() == before
            assert b.used() == used
        b.fail_after(-1)
        assert b.check() == 0
    assert failures > 200


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=8), st.data())
def test_mutated_bytes_are_refused_or_readable(items, data):
    raw = bytearray(made(items).raw())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if validate(bytes(raw)):
        b = Packed(bytes(raw))
        assert b.values() == b.values(backwards=True)[::-1]
    assert not validate(bytes(raw[:-1]))
    assert not validate(bytes(raw[: data.draw(st.integers(0, len(raw) - 1))]))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_random_bytes_are_refused_or_readable(body):
    raw = (len(body) + 7).to_bytes(4, "little") + b"\xff\xff" + body + b"\xff"
    assert validate(raw, deep=False)
    if validate(raw):
        assert Packed(raw).values() == Packed(raw).values(backwards=True)[::-1]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x07\0\0\0\0\0", b"\x07\0\0\0\0\0\x00", b"\x08\0\0\0\0\0\xff",
        b"\x07\0\0\0\x01\0\xff",  # one entry promised, none there
        b"\x09\0\0\0\x01\0\x05\x02\xff",  # back length too large
        b"\x0b\0\0\0\x01\0\x83ab\x03\xff",  # string longer than the buffer
        b"\x0d\0\0\0\x01\0\xf0\xff\xff\xff\xff\x05\xff",  # 4 GB string
        b"\x09\0\0\0\x01\0\xf5\x01\xff",  # no such head
        b"\x08\0\0\0\x01\0\xe0\xff",  # head cut off
    ],
)  # fmt: skip
def test_torn_buffers_are_refused(raw):
    assert not validate(raw)
