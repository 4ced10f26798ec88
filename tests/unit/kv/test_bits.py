"""Rows of bits against Python's integers."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libkv.testing.native.bits import Bits, add_signed, add_unsigned, combine, signed

AND, OR, XOR, NOT = range(4)
WRAP, SATURATE, FAIL = range(3)

rows = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([b"\0" * 9, b"\xff" * 9, b"\0", b"\xff", b"\x10"]), max_size=12).map(b"".join),
)
widths = st.integers(1, 64)
EDGES = [0, 1, -1, 127, -128, 2**31, 2**62, 2**63 - 1, -(2**63), -(2**63) + 1]
numbers = st.one_of(st.sampled_from(EDGES), st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))


def text(data):
    """The row as a string of 0 and 1."""
    return "".join(f"{byte:08b}" for byte in data)


def test_bit_0_is_the_highest_of_the_first_byte():
    row = Bits(b"\x80\x01")
    assert [i for i in range(20) if row.get(i)] == [0, 15]
    row.set(1, True)
    row.set(0, False)
    assert row.raw() == b"\x40\x01"
    row.set_field(4, 8, 0xAB)
    assert row.raw() == b"\x4a\xb1"
    assert row.field(4, 8) == 0xAB
    assert row.field(12, 8) == 0x10  # zeros behind the end
    with pytest.raises(IndexError):
        row.set(16, True)


@settings(max_examples=300, deadline=None)
@given(rows, st.data())
def test_counting_and_searching(data, draw):
    row, bits = Bits(data), text(data)
    assert row.count() == bits.count("1")
    if not data:
        return
    for _ in range(8):
        first = draw.draw(st.integers(0, len(bits) - 1))
        last = draw.draw(st.integers(first, len(bits) - 1))
        assert row.count_range(first, last) == bits[first : last + 1].count("1")
        for bit in (False, True):
            assert row.find(first, last, bit) == bits.find(str(int(bit)), first, last + 1)


@pytest.mark.parametrize("size", [0, 7, 8, 31, 32, 33, 1000, 100_003])
def test_counting_long_rows(size):
    data = random.Random(size).randbytes(size)
    assert Bits(data).count() == int.from_bytes(data).bit_count()


@settings(max_examples=300, deadline=None)
@given(rows, st.lists(st.tuples(st.booleans(), st.integers(0, 700), widths, st.integers(0, 2**64 - 1)), max_size=20))
def test_fields(data, steps):
    row, bits = Bits(data), text(data)
    for write, at, width, value in steps:
        value &= (1 << width) - 1
        if write and at + width <= len(bits):
            row.set_field(at, width, value)
            bits = bits[:at] + f"{value:0{width}b}" + bits[at + width :]
        assert text(row.raw()) == bits
        assert row.field(at, width) == int(bits[at : at + width].ljust(width, "0"), 2)
        assert row.get(at) == (bits[at : at + 1] == "1")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(rows, st.integers(1, 600)), min_size=1, max_size=5), st.sampled_from([AND, OR, XOR, NOT]))
def test_combining(parts, op):
    """Rows of up to a few blocks, each a pattern repeated."""
    sources = [pattern * times for pattern, times in (parts[:1] if op == NOT else parts)]
    n = max(map(len, sources))
    values = [int.from_bytes(source.ljust(n, b"\0")) for source in sources]
    expected = values[0]
    for value in values[1:]:
        expected = {AND: expected & value, OR: expected | value, XOR: expected ^ value}[op]
    if op == NOT:
        expected ^= (1 << 8 * n) - 1
    assert combine(op, [Bits(source) for source in sources], n) == expected.to_bytes(n)


def test_signed():
    assert [signed(v, 2) for v in range(4)] == [0, 1, -2, -1]
    assert signed(2**64 - 1, 64) == -1
    assert signed(2**63, 64) == -(2**63)
    assert signed(1, 1) == -1


def limited(total, low, high, overflow):
    if low <= total <= high:
        return True, total
    if overflow == WRAP:
        return False, (total - low) % (high - low + 1) + low
    return False, 0 if overflow == FAIL else min(max(total, low), high)


@settings(max_examples=500, deadline=None)
@given(widths, numbers, numbers, st.sampled_from([WRAP, SATURATE, FAIL]))
def test_adding_to_a_signed_field(width, value, by, overflow):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    value = signed(value & ((1 << width) - 1), width)
    assert add_signed(value, by, width, overflow) == limited(value + by, low, high, overflow)


@settings(max_examples=500, deadline=None)
@given(widths, numbers, st.sampled_from([WRAP, SATURATE, FAIL]))
@example(8, -(2**63), SATURATE)
@example(8, -(2**63) + 127, SATURATE)
@example(8, -(2**63) + 128, SATURATE)
def test_setting_a_signed_field(width, value, overflow):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    expected = limited(value, low, high, overflow)
    if overflow == SATURATE and width < 64 and high - value >= 2**63:
        expected = False, high  # so far below the field that Redis takes it for above
    assert add_signed(value, 0, width, overflow) == expected


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 63), numbers, numbers, st.booleans(), st.sampled_from([WRAP, SATURATE, FAIL]))
def test_adding_to_an_unsigned_field(width, value, by, set_only, overflow):
    high = (1 << width) - 1
    value = value % 2**64 if set_only else value & high  # a negative number that is set is a large one
    by = 0 if set_only else by
    assert add_unsigned(value, by, width, overflow) == limited(value + by, 0, high, overflow)
