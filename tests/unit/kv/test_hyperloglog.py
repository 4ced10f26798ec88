"""HyperLogLog sketches against a plain array of registers and a decoder of their bytes."""

import math
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libkv
from libkv.testing.native.hyperloglog import (
    Broken,
    HyperLogLog,
    estimate,
    header_valid,
    merged,
    place,
    registers_estimate,
    validate,
)

REGISTERS = 16384
DENSE_BYTES = 16 + REGISTERS * 6 // 8
NEW = b"HYLL\x01" + bytes(11) + b"\x7f\xff"


def murmur(data, seed=0xADC83B19):
    """MurmurHash64A as its author describes it."""
    mask, m = (1 << 64) - 1, 0xC6A4A7935BD1E995
    h = seed ^ (len(data) * m & mask)
    for i in range(0, len(data) - 7, 8):
        k = struct.unpack_from("<Q", data, i)[0] * m & mask
        h = (h ^ ((k ^ (k >> 47)) * m & mask)) * m & mask
    if tail := data[len(data) // 8 * 8 :]:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ (h >> 47)) * m & mask
    return h ^ (h >> 47)


def decode(data):
    """The registers of a sketch's bytes, and the runs of a sparse one."""
    if data[4] == 0:
        bits = int.from_bytes(data[16:], "little")
        return [bits >> 6 * i & 63 for i in range(REGISTERS)], None
    registers, runs, at = [], [], 16
    while at < len(data):
        first = data[at]
        if first & 0x80:
            run = "v", (first >> 2 & 31) + 1, (first & 3) + 1
        elif first & 0x40:
            run = "Z", 0, ((first & 63) << 8 | data[at + 1]) + 1
            at += 1
        else:
            run = "z", 0, first + 1
        at += 1
        runs.append(run)
        registers += [run[1]] * run[2]
    return registers, runs


def ertl(registers):
    """The estimator, term by term from the paper's formulas."""
    m, q = len(registers), 50
    counts = [registers.count(v) for v in range(q + 2)]
    if counts[0] == m:
        return 0
    x = counts[0] / m
    sigma = x + sum(x ** (2**k) * 2.0 ** (k - 1) for k in range(1, 60))
    x = 1 - counts[q + 1] / m
    tau = (1 - x - sum((1 - x ** (2.0**-k)) ** 2 * 2.0**-k for k in range(1, 60))) / 3
    z = m * sigma + sum(counts[k] * 2.0**-k for k in range(1, q + 1)) + m * tau * 2.0**-q
    return round(m * m / (2 * math.log(2) * z))


def test_drawn_bytes():
    sketch = HyperLogLog()
    assert sketch.raw() == NEW
    assert sketch.cached() == 0
    sketch.raise_register(100, 3)
    assert sketch.raw()[16:] == b"\x40\x63\x88\x7f\x9a"  # 100 zeros, a 3, 16283 zeros
    assert sketch.cached() is None
    sketch.raise_register(101, 3)
    sketch.raise_register(0, 32)
    assert sketch.raw()[16:] == b"\xfc\x40\x62\x89\x7f\x99"
    sketch.to_dense()
    assert len(sketch.raw()) == DENSE_BYTES
    assert sketch.raw()[16:19] == b"\x20\0\0"
    sketch.raise_register(3, 33)
    assert sketch.raw()[16:19] == b"\x20\0\x84"
    sketch.raise_register(REGISTERS - 1, 51)
    assert sketch.raw()[-1] == 51 << 2
    sketch.cache(77)
    assert sketch.raw()[8:16] == b"\x4d" + bytes(7)
    assert sketch.cached() == 77
    sketch.stale()
    assert sketch.raw()[15] == 0x80


@given(st.binary(max_size=70))
def test_place_of_an_element(element):
    h = murmur(element)
    rest = h >> 14 | 1 << 50
    assert place(element) == (h % REGISTERS, (rest & -rest).bit_length())


changes = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 12), st.integers(100, 180), st.integers(0, REGISTERS - 1), st.just(REGISTERS - 1)),
        st.one_of(st.integers(1, 3), st.integers(1, 32), st.just(51)),
    ),
    max_size=80,
)


@settings(max_examples=50, deadline=None)
@given(changes, st.sampled_from([0, 24, 60, 3000]))
def test_random_changes_against_an_array(steps, most):
    sketch, model = HyperLogLog(), [0] * REGISTERS
    for index, value in steps:
        was_sparse = sketch.raw()[4]
        assert sketch.raise_register(index, value, most) == (value > model[index])
        model[index] = max(value, model[index])
        assert sketch.check() == 0
        if not was_sparse or value > 32:
            assert sketch.raw()[4] == 0
        if sketch.raw()[4]:
            assert len(sketch.raw()) <= max(most, len(NEW))
    registers, runs = decode(sketch.raw())
    assert registers == model
    assert sketch.registers() == bytes(model)
    if runs is not None:
        assert all(kind == "v" or (count > 64) == (kind == "Z") for kind, _, count in runs)
    assert abs(sketch.estimate() - ertl(model)) <= 1
    assert sketch.estimate() == registers_estimate(bytes(model)) == estimate(sketch.raw())
    assert merged(sketch.raw()) == sum(model)
    sketch.to_dense()
    assert decode(sketch.raw())[0] == model
    assert sketch.estimate() == registers_estimate(bytes(model))


def test_sparse_of_any_order_fits_its_room():
    """Every other register, then all: the most runs there can be."""
    rnd = random.Random(4)
    sketch, model = HyperLogLog(), [0] * REGISTERS
    order = list(range(0, REGISTERS, 2)) + list(range(REGISTERS))
    rnd.shuffle(order)
    for i in order[:3000]:
        value = rnd.choice([1, 2, 9])
        sketch.raise_register(i, value, 10**6)
        model[i] = max(model[i], value)
    assert sketch.check() == 0
    assert decode(sketch.raw())[0] == model
    # written by somebody else: each zero in two bytes
    sketch = HyperLogLog(NEW[:16] + b"\x40\x00" * REGISTERS)
    assert sketch.check() == 0
    for i in order[:200]:
        sketch.raise_register(i, 5, 10**6)
        assert sketch.check() == 0
    assert sum(sketch.registers()) == 5 * len(set(order[:200]))


def test_estimates():
    """Within six standard errors of the truth, and as the paper's formula gives them."""
    sketch = HyperLogLog()
    for n in range(1, 200_001):
        sketch.add(b"element %d" % n)
        if n in (1, 10, 100, 1000, 10_000, 50_000, 200_000):
            assert abs(sketch.estimate() - n) <= 1 + 6 * 1.04 / 128 * n
            assert abs(sketch.estimate() - ertl(list(sketch.registers()))) <= 1
    assert registers_estimate(bytes(REGISTERS)) == 0
    assert registers_estimate(bytes([51]) * REGISTERS) == registers_estimate(bytes([50]) * REGISTERS) == 2**63
    for registers in (
        bytes([51]) * 100 + bytes(REGISTERS - 100),
        bytes([45]) * REGISTERS,
        bytes([51]) * (REGISTERS - 1) + b"\1",
    ):
        assert registers_estimate(registers) == pytest.approx(ertl(list(registers)), rel=1e-6)


def test_headers():
    dense = b"HYLL\0" + bytes(DENSE_BYTES - 5)
    assert header_valid(NEW)
    assert header_valid(dense)
    for bad in (
        b"",
        b"HYLL",
        NEW[:15],
        b"hYLL" + NEW[4:],
        b"HYLL\2" + NEW[5:],
        dense[:-1],
        dense + b"\0",
        b"HYLL\0" + NEW[5:],
    ):
        assert not header_valid(bad)
        assert validate(bad) == 1
    assert validate(NEW) == validate(dense) == 0
    assert validate(NEW[:-1]) == 2
    assert validate(NEW + b"\0") == 3
    assert validate(NEW[:16]) == 3
    assert validate(dense[:-1] + b"\xff") == 4


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), changes, st.data())
def test_broken_sketches(junk, steps, data):
    """Bytes changed, cut off or added: reading says so or gives the runs; writing leaves it valid or untouched."""
    whole = HyperLogLog()
    for index, value in steps:
        whole.raise_register(index, min(value, 32))
    raw = bytearray(whole.raw())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(16, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = bytes(raw[: data.draw(st.integers(16, len(raw)))]) + junk
    found = validate(raw)
    if found == 0:
        assert estimate(raw) == registers_estimate(bytes(decode(raw)[0]))
    elif found == 3:
        assert estimate(raw) == merged(raw) == -1
    for index in (0, 101, 9000, REGISTERS - 1):
        for value in (1, 32, 40):
            sketch = HyperLogLog(raw)
            try:
                changed = sketch.raise_register(index, value, data.draw(st.sampled_from([0, 30, 3000])))
            except Broken:
                assert sketch.raw() == raw
                assert found != 0
                continue
            assert changed or sketch.raw() == raw
            if found == 0:
                assert sketch.check() == 0
                assert sketch.registers()[index] >= value


def test_a_sketch_longer_than_any_can_be_is_broken():
    raw = NEW[:16] + b"\0" * 40000
    assert validate(raw) == 3
    assert estimate(raw) == -1
    with libkv.Store() as store:
        store.set("k", raw)
        for call in (
            lambda: store.pfadd("k", "x"),
            lambda: store.pfmerge("k", "other"),
            lambda: store.pfcount("k", "k"),
        ):
            with pytest.raises(libkv.errors.ResponseError, match="Corrupted HLL object"):
                call()
        assert store.get("k") == raw
        store.check()
