"""RDB files: every encoding of every version, built here by hand from the published format; and damaged ones."""

from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libkv
from libkv import rdb
from libkv.errors import RdbFileError, ResponseError
from libkv.testing.native.rdb import crc64
from tests.rdb_bytes import ENCODINGS, intset, length, listpack, stream, string, whole, ziplist


def load(data, **options):
    store = libkv.Store()
    done = rdb.load(store, data, **options)
    store.check()
    return store, done


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(name):
    rdb_type, value, kind, expected, first = ENCODINGS[name]
    body = b"\xfe\x00" + bytes([rdb_type]) + string(b"key") + value
    for version in range(first, 13):
        assert [(r.database, r.key, r.type, r.value) for r in rdb.read(whole(version, body))] == [
            (0, b"key", kind, expected)
        ]
    store, done = load(whole(first, body))
    assert done.keys == 1
    again = io.BytesIO()
    assert rdb.write(again, store) == 1
    (record,) = rdb.read(again.getvalue())
    assert (record.type, record.value) == (kind, expected)
    assert [r.value for r in rdb.read(whole(80, body, b"VALKEY%03d"))] == [expected]


def test_records_around_keys():
    body = b"\xfa" + string(b"redis-ver") + string(b"2.8") + b"\xfa" + string(b"unknown thing") + b"\xc0\x01"
    body += b"\xfe\x00\xfb\x05\x02"
    body += b"\xfd" + struct.pack("<i", 2000000000) + b"\x00" + string(b"seconds") + string(b"v")
    body += b"\xfc" + struct.pack("<q", 2000000000123) + b"\x00" + string(b"milliseconds") + string(b"v")
    body += b"\xf8\x40\x64\x00" + string(b"idle") + string(b"v")
    body += b"\xf9\x07\x00" + string(b"used") + string(b"v")
    body += b"\xfe\x41\x00\x00" + string(b"far") + string(b"v")
    data = whole(9, body)
    assert [(r.database, r.key, r.expire, r.idle, r.frequency) for r in rdb.read(data)] == [
        (0, b"seconds", 2000000000000, None, None),
        (0, b"milliseconds", 2000000000123, None, None),
        (0, b"idle", None, 100, None),
        (0, b"used", None, None, 7),
        (256, b"far", None, None, None),
    ]
    with pytest.raises(RdbFileError, match="database 256"):
        load(data)
    store = libkv.Store(databases=257)
    assert rdb.load(store, data).expires == 2
    assert store.pexpiretime("milliseconds") == 2000000000123


UNSUPPORTED = {
    "a hash with fields' expiries (7.4)": (24, struct.pack("<q", 1) + b"\x01\x05" + string(b"f") + string(b"v"), 12),
    "the same as listpack": (25, struct.pack("<q", 1) + string(b"anything"), 12),
    "the same of a release candidate": (22, b"\x01\x05" + string(b"f") + string(b"v"), 12),
    "that as listpack": (23, string(b"anything"), 12),
    "of Valkey": (22, b"\x01" + string(b"f") + string(b"v") + struct.pack("<q", -1), 80),
    "a module's type": (
        7,
        b"\x81"
        + struct.pack(">Q", 0x1234567890ABCDEF)
        + b"\x01\x05\x02\x06\x03abcd\x04abcdefgh\x05"
        + string(b"x")
        + b"\x00",
        9,
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_values(name):
    rdb_type, value, version = UNSUPPORTED[name]
    body = b"\xfe\x00\x00" + string(b"a") + string(b"1") + bytes([rdb_type]) + string(b"odd") + value
    data = whole(
        version, body + b"\x00" + string(b"z") + string(b"2"), b"VALKEY%03d" if version == 80 else b"REDIS%04d"
    )
    with pytest.raises(RdbFileError) as told:
        list(rdb.read(data))
    assert told.value.key == b"odd" and told.value.kind == "unsupported" and told.value.offset >= 9 + 6
    assert "odd" in str(told.value)
    with pytest.raises(RdbFileError):
        load(data)
    assert [r.key for r in rdb.read(data, skip_unsupported=True)] == [b"a", b"z"]
    store, done = load(data, skip_unsupported=True)
    assert (done.keys, done.unsupported, store.dbsize()) == (2, 1, 2)


@pytest.mark.parametrize(
    "record",
    [
        b"\xf7\x81" + struct.pack(">Q", 77 << 10) + b"\x02\x01\x05" + string(b"data") + b"\x00",
        b"\xf4\x01\x02\x03",
    ],
)
def test_unsupported_records(record):
    data = whole(12, record + b"\xfe\x00\x00" + string(b"a") + string(b"1"))
    with pytest.raises(RdbFileError) as told:
        load(data)
    assert told.value.kind == "unsupported" and told.value.key is None
    assert load(data, skip_unsupported=True)[1].unsupported == 1


@pytest.mark.parametrize(
    ("data", "kind", "offset"),
    [
        (b"", "truncated", 0),
        (b"REDIS000", "truncated", 0),
        (b"NOTREDIS0001", "damaged", 0),
        (b"REDIS00x1\xff", "damaged", 5),
        (b"REDIS0000\xff", "unsupported", 5),
        (b"REDIS0013\xff", "unsupported", 5),
        (b"VALKEY081\xff", "unsupported", 6),
        (b"REDIS0001", "truncated", 9),
        (b"REDIS0001\x63", "damaged", 9),
        (b"REDIS0001\xf6", "unsupported", 10),
        (b"REDIS0009\xff1234567", "truncated", 10),
        (b"REDIS0009\xff12345678", "damaged", 10),
        (b"REDIS0001\x00\xc5", "damaged", 10),
        (b"REDIS0001\x00\x82", "damaged", 10),
        (b"REDIS0001\xfe\x10", "damaged", 11),
    ],
)
def test_where_it_is_wrong(data, kind, offset):
    with pytest.raises(RdbFileError) as told:
        load(data)
    assert (told.value.kind, told.value.offset) == (kind, offset), str(told.value)
    assert str(told.value).startswith(f"at byte {offset}")


def damaged(rdb_type, value, version=11):
    return whole(version, b"\xfe\x00" + bytes([rdb_type]) + string(b"k") + value)


@pytest.mark.parametrize(
    ("rdb_type", "value"),
    [
        (2, length(2) + string(b"a") * 2),  # the same member twice
        (2, length(2**40) + string(b"a")),  # more than there is
        (4, length(2) + (string(b"f") + string(b"v")) * 2),
        (5, length(2) + (string(b"m") + struct.pack("<d", 1)) * 2),
        (5, length(1) + string(b"m") + struct.pack("<d", float("nan"))),
        (3, length(1) + string(b"m") + b"\xfd"),
        (3, length(1) + string(b"m") + b"\x03abc"),
        (0, b"\xc3\x05\x0aabcde"),  # no LZF
        (0, b"\xc3\x02\x81" + struct.pack(">Q", 2**60) + b"ab"),  # a length that can't be
        (0, b"\x81" + struct.pack(">Q", 2**63) + b"ab"),
        (9, string(b"\x01\x01f\x05\x00v\xff")),
        (9, string(b"\x01\x01f\xff")),
        (9, string(b"\x02\x01f\x01\x00v\xff")),
        (9, string(b"\x01\x01f\x01\x00v")),
        (10, string(ziplist([b"a", b"b"])[:-1])),
        (10, string(ziplist([b"a", b"b"])[:-1] + b"\x00")),
        (10, string(b"\xff" * 11)),
        (10, string(struct.pack("<IIH", 13, 10, 1) + b"\x00\x05\xff")),
        (10, string(struct.pack("<IIH", 13, 10, 2) + b"\x00\xf1\xff")),
        (10, string(struct.pack("<IIH", 13, 11, 1) + b"\x00\xf1\xff")),
        (10, string(struct.pack("<IIH", 13, 10, 1) + b"\x01\xf1\xff")),
        (11, string(intset([2, 1], 2))),
        (11, string(intset([1, 1], 2))),
        (11, string(intset([1, 2], 2)[:-1])),
        (11, string(struct.pack("<II", 3, 1) + b"abc")),
        (11, string(struct.pack("<II", 2, 0))),
        (12, string(ziplist([b"m", 1, b"n"]))),
        (12, string(ziplist([b"m", 1, b"n", 0]))),
        (12, string(ziplist([b"m", 1, b"m", 2]))),
        (12, string(ziplist([b"m", b"x"]))),
        (12, string(ziplist([b"m", b"nan"]))),
        (13, string(ziplist([b"f", 1, b"f", 2]))),
        (13, string(ziplist([b"f"]))),
        (16, string(listpack([b"f", 1, b"f", 2]))),
        (16, string(listpack([b"5", 1, 5, 2]))),
        (16, string(listpack([b"f", 1])[:-1] + b"\x00")),
        (17, string(listpack([b"b", 1, b"a", 1]))),
        (18, length(1) + b"\x03" + string(listpack([b"a"]))),
        (18, length(1) + b"\x02" + string(b"\xff" * 7)),
        (20, string(listpack([b"a", b"a"]))),
        (19, stream(2).replace(b"\x02\x02\x05", b"\x03\x02\x05")),  # a length that the nodes don't have
        (19, stream(2).replace(b"\x02\x02\x05", b"\x02\x01\x05")),  # a last ID below the last entry's
        (19, stream(2)[:-16] + struct.pack(">QQ", 1, 2)),  # a consumer's entry that is not pending
        (19, stream(2)[:-17] + b"\x00"),  # a pending entry without consumer
        (19, b"\x01" + string(b"short") + string(listpack([0, 0, 1, b"f", 0]))),
        (19, stream(2).replace(b"\x81v\x02", b"\x82v\x02")),
    ],
)
def test_values_that_can_not_be(rdb_type, value):
    with pytest.raises(RdbFileError) as told:
        load(damaged(rdb_type, value))
    assert told.value.key == b"k" and told.value.kind in ("damaged", "truncated")


def test_the_same_key_twice():
    key = b"\x00" + string(b"twin") + string(b"1")
    data = whole(9, b"\xfe\x00" + key + key)
    with pytest.raises(RdbFileError, match="there already") as told:
        load(data)
    assert told.value.key == b"twin"
    assert load(data, replace=True)[0].get("twin") == b"1"


def test_empty_collections_are_left_out():
    body = b"\xfe\x00" + b"".join(bytes([t]) + string(b"k%d" % t) + b"\x00" for t in (1, 2, 3, 4, 5, 14, 18))
    body += b"\x0a" + string(b"z") + string(ziplist([])) + b"\x10" + string(b"h") + string(listpack([]))
    _, done = load(whole(10, body + b"\x00" + string(b"a") + string(b"1")))
    assert (done.keys, done.empty) == (1, 9)


# ---- every byte of a small file


def small_file():
    store = libkv.Store()
    store.set("s", "text")
    store.set("c", "abc" * 30)
    store.set("n", 12345, px=10**12)
    store.rpush("l", "a", 1, "bb" * 30)
    store.sadd("i", 1, 2, 70000)
    store.sadd("m", "x", "y")
    store.hset("h", mapping={"f": "v", "g": 3})
    store.zadd("z", {"a": 1, "b": 2.5})
    store.execute_command("XADD", "x", "1-1", "f", "v")
    store.execute_command("XADD", "x", "2-1", "f", "w")
    store.execute_command("XGROUP", "CREATE", "x", "g", "0")
    store.execute_command("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "x", ">")
    store.db(2).hset("t", mapping={f"f{i}": "v" * (70 if i == 0 else 1) for i in range(4)})
    store.db(2).zadd("u", {"w" * 70: 1, "b": 2})
    out = io.BytesIO()
    rdb.write(out, store)
    return out.getvalue(), {(r.database, r.key): (r.type, r.value) for r in rdb.read(out.getvalue())}


def test_cut_at_every_byte():
    data, keys = small_file()
    for n in range(len(data)):
        store = libkv.Store()
        with pytest.raises(RdbFileError) as told:
            rdb.load(store, data[:n])
        assert told.value.kind in ("truncated", "damaged") and told.value.offset <= n
        store.check()
        again = io.BytesIO()
        rdb.write(again, store)
        for r in rdb.read(again.getvalue()):
            assert keys[r.database, r.key] == (r.type, r.value)


@pytest.mark.parametrize("checked", [True, False])
def test_every_byte_flipped(checked):
    """With its checksum every flip is found; without it, a value may change, and nothing worse."""
    data, _ = small_file()
    if not checked:
        data = data[:-8] + bytes(8)
    for i in range(len(data)):
        for mask in (0xFF, 0x01, 0x80, 0x10):
            flipped = data[:i] + bytes([data[i] ^ mask]) + data[i + 1 :]
            store = libkv.Store()
            try:
                rdb.load(store, flipped, keep_expired=True)
                assert not checked, (i, mask)
            except RdbFileError as error:
                assert error.offset <= len(data)
            store.check()


# ---- DUMP's payloads, mutated


def payloads():
    store = libkv.Store()
    rdb.load(store, small_file()[0], keep_expired=True)
    return [database.dump(key) for database in (store.db(0), store.db(2)) for key in database.scan_iter()]


SEALED = st.sampled_from(payloads())


@settings(max_examples=400, deadline=None)
@given(SEALED, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6), st.integers(0, 40))
def test_restore_of_mutated_payloads(payload, changes, cut):
    body = bytearray(payload[:-10])
    for place, byte in changes:
        body[place % len(body)] = byte
    body = bytes(body[: len(body) - cut] if cut < len(body) and cut % 3 == 0 else body) + b"\x0a\x00"
    store = libkv.Store()
    try:
        store.restore("k", 0, body + struct.pack("<Q", crc64(body)))
        assert store.dump("k") is not None
        assert store.copy("k", "twin")
        store.check()
        for write in ("APPEND k x", "RPUSH k x", "SADD k x", "HSET k x y", "ZADD k 1 x", "XADD k * x y"):
            with contextlib.suppress(ResponseError):
                store.execute_command(*write.split())
    except ResponseError as error:
        assert "Bad data format" in str(error)
    store.check()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([t for t in range(22) if t not in (6, 7, 8)]), st.binary(max_size=60))
def test_restore_of_noise(rdb_type, noise):
    body = bytes([rdb_type]) + noise + b"\x0a\x00"
    store = libkv.Store()
    try:
        store.restore("k", 0, body + struct.pack("<Q", crc64(body)))
    except ResponseError as error:
        assert "Bad data format" in str(error)
    store.check()


# ---- out of memory


def test_each_allocation_fails_in_turn():
    """A load without memory raises, keeps what came before, and leaks nothing of the rest."""
    data, _ = small_file()
    for n in range(0, 400):
        store = libkv.Store(seed=1)
        before = store.used_memory
        store.fail_allocations_after(n)
        try:
            rdb.load(store, data, keep_expired=True)
            done = True
        except MemoryError:
            done = False
        store.fail_allocations_after(-1)
        store.check()
        store.flushall()
        assert store.used_memory <= before + 70000
        if done:
            return
    raise AssertionError("400 allocations, and no end")


def test_restore_without_memory_changes_nothing():
    payload = payloads()
    for options in ((), ("REPLACE",)):
        for data in payload:
            for n in range(0, 100):
                store = libkv.Store(seed=1)
                store.rpush("k", "old") if options else store.rpush("other", "old")
                before = store.execute_command("DUMP", "k")
                store.fail_allocations_after(n)
                try:
                    store.execute_command("RESTORE", "k", 10**10, data, *options)
                    done = True
                except ResponseError as error:
                    assert "OOM" in str(error) or "memory" in str(error)
                    done = False
                store.fail_allocations_after(-1)
                store.check()
                if done:
                    assert store.pttl("k") > 0
                    break
                assert store.execute_command("DUMP", "k") == before
            else:
                raise AssertionError("100 allocations, and no end")
