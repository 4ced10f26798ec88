"""libkv.rdb from Python, and its pieces: the checksum and the compression."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libkv
from libkv import rdb
from libkv.testing.native.rdb import compress, crc64, decompress
from tests.rdb_bytes import stream_value

# ---- the pieces


def test_crc64():
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    data = bytes(range(256)) * 5
    for n in (0, 1, 7, 8, 15, 16, 17, 100, len(data)):
        assert crc64(data[n:], crc64(data[:n])) == crc64(data)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400), st.lists(st.sampled_from([b"abc", b"x", b"hello ", b"\0"]), max_size=300).map(b"".join)
    )
)
def test_lzf_round_trip(data):
    packed = compress(data, max(len(data) - 4, 0))
    if packed is not None:
        assert len(packed) <= len(data) - 4
        assert decompress(packed, len(data)) == data
        assert decompress(packed, len(data) + 1) is None
        assert decompress(packed[:-1], len(data)) is None


def test_lzf_of_long_data():
    data = (b"0123456789abcdef" * 5000) + bytes(70000) + bytes(i * i % 251 for i in range(50000))
    packed = compress(data, len(data) - 4)
    assert packed is not None and len(packed) < len(data) // 2
    assert decompress(packed, len(data)) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 300))
def test_lzf_of_noise(noise, n):
    made = decompress(noise, n)
    assert made is None or len(made) == n


# ---- reading and writing from Python


def test_write_and_read(tmp_path):
    records = [
        rdb.Record(0, b"s", "string", b"x", 2000000000000),
        rdb.Record(0, b"l", "list", [b"a", b"b"]),
        rdb.Record(5, b"s" * 1000, "set", {b"a", b"1"}),
        rdb.Record(5, b"h", "hash", {b"f": b"v" * 100}),
        rdb.Record(1000, b"z", "zset", [(b"a", -1.0), (b"b", 2.5)]),
        rdb.Record(1000, b"x", "stream", stream_value(2)),
    ]
    path = tmp_path / "x.rdb"
    for options in ({}, {"compression": False}, {"checksum": False}):
        assert rdb.write(path, records, **options) == 6
        assert list(rdb.read(path)) == records
        with open(path, "rb") as file:
            assert list(rdb.read(file)) == records
        assert list(rdb.read(path.read_bytes())) == records
    assert [p.name for p in tmp_path.iterdir()] == ["x.rdb"]


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ((0, b"k", "module", b""), ValueError),
        ((0, b"k", "list", []), ValueError),
        ((-1, b"k", "string", b""), ValueError),
        ((0, "k", "string", b""), TypeError),
        ((0, b"k", "string", "x"), TypeError),
        ((0, b"k", "hash", {b"f": 1}), TypeError),
        ((0, b"k", "zset", [(b"m", float("nan"))]), ValueError),
        ((0, b"k", "string", b"", -5), ValueError),
        ((0, b"k", "stream", {**stream_value(2), "last_id": b"1-1"}), ValueError),
        ((0, b"k", "stream", {**stream_value(2), "last_id": b"1"}), ValueError),
        ((0, b"k", "stream", {**stream_value(2), "entries": [(b"1-1", [])]}), ValueError),
        ((0, b"k", "stream", {**stream_value(2), "groups": stream_value(2)["groups"] * 2}), ValueError),
    ],
)
def test_write_refuses(tmp_path, record, error):
    path = tmp_path / "x.rdb"
    path.write_bytes(b"old")
    with pytest.raises(error):
        rdb.write(path, [record])
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_files_that_fail(tmp_path):
    class Broken(io.RawIOBase):
        def read(self, n=-1):
            raise OSError(5, "broken")

        def write(self, data):
            raise OSError(28, "full")

    with pytest.raises(OSError, match="broken"):
        list(rdb.read(Broken()))
    with pytest.raises(OSError, match="full"):
        rdb.write(Broken(), [(0, b"k", "string", b"x" * 10**6)], compression=False)
    with pytest.raises(FileNotFoundError):
        list(rdb.read(tmp_path / "absent"))


def test_libraries_are_replaced_like_keys(tmp_path):
    pytest.importorskip("lupa", reason="missing lupa")
    code = "#!lua name=lib\nredis.register_function('f', function() return %d end)"
    with libkv.Store() as store:
        store.function_load(code % 1)
        rdb.write(tmp_path / "file", store)
        store.function_load(code % 2, replace=True)
        with pytest.raises(rdb.RdbFileError, match="Library lib already exists"):
            rdb.load(store, tmp_path / "file")
        assert store.fcall("f", 0) == 2
        rdb.load(store, tmp_path / "file", replace=True)
        assert store.fcall("f", 0) == 1
