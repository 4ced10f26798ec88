"""RDB files beside redis-server: each loads what the other wrote, and both then hold the same data."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

import pytest

from libkv import rdb
from libkv.errors import RdbFileError
from tests.rdb_bytes import ENCODINGS, string, whole
from tests.resp import parse

MANY = 70000


def fill(pair, chance, database):
    """Keys of every type and encoding, some with an expiry."""
    pair.both("SELECT", database)
    texts = [
        b"",
        b"0",
        b"-1",
        b"007",
        b"1.5",
        b"127",
        b"128",
        b"-129",
        b"32768",
        b"-32769",
        b"2147483647",
        b"2147483648",
    ]
    texts += [b"-9223372036854775808", b"9223372036854775808", b"x" * 20, b"x" * 21, b"ab" * 40, bytes(range(256)) * 20]
    texts += [b"\0\xff\r\n", chance.randbytes(100), chance.randbytes(20000), b"y" * 20000]
    for i, text in enumerate(texts):
        pair.same("SET", f"string{i}", text)
    for n in (1, 5, 100, 600):
        numbers = [chance.randrange(-(2**bits), 2**bits) for bits in (6, 12, 15, 31, 50) for _ in range(n)]
        words = [b"%d-%s" % (v, b"z" * chance.choice([0, 1, 20, 40, 70])) for v in numbers]
        pair.same("RPUSH", f"list{n}", *numbers, *words)
        pair.same("SADD", f"ints{n}", *numbers)
        pair.same("SADD", f"set{n}", *words, "12", "012")
        pair.same("HSET", f"hash{n}", *(w for p in zip(words, numbers, strict=True) for w in p))
        pair.same("HSET", f"numbers{n}", *(w for p in zip(range(n), numbers, strict=False) for w in p))
        scores = [chance.choice([v, "1.5", "3.3333333333333335", "1e100", "-inf", "inf", "0.1", "-0"]) for v in numbers]
        pair.same("ZADD", f"zset{n}", *(w for p in zip(scores, words, strict=True) for w in p))
        pair.same("ZADD", f"scored{n}", *(w for p in zip(scores[:n], range(n), strict=True) for w in p))
    fill_streams(pair, chance)
    now = 4102444800000
    for i, key in enumerate(("string1", "list5", "ints5", "set600", "hash1", "zset100")):
        pair.same("PEXPIREAT", key, now + i)
    pair.same("SET", "key of more than twenty bytes, " * 3, 1)
    pair.same("SET", b"long" * 300, 1)


def fill_streams(pair, chance):
    """Streams of several nodes, with deleted and trimmed entries, groups, pending entries; and empty ones."""
    for n in (1, 50, 400):
        key = f"stream{n}"
        for i in range(1, n + 1):
            fields = ("a", chance.randrange(10**6), "b", "x" * chance.randrange(30))
            pair.same("XADD", key, f"{i * 1000}-{i % 3}", *(fields if chance.random() < 0.8 else fields[:2]))
        pair.same("XGROUP", "CREATE", key, "all", 0)
        pair.same("XGROUP", "CREATE", key, "late", "$", "ENTRIESREAD", n)
        pair.same("XGROUP", "CREATE", key, "none", "7-7")
        pair.same("XREADGROUP", "GROUP", "all", "alice", "COUNT", n // 2, "STREAMS", key, ">")
        pair.same("XREADGROUP", "GROUP", "all", "bob", "COUNT", n // 3, "STREAMS", key, ">")
        pair.same("XACK", key, "all", "3000-0", "4000-1")
        pair.same("XGROUP", "CREATECONSUMER", key, "late", "idle")
        if n > 1:
            pair.same("XDEL", key, "5000-2", "20000-2", "999-9")
            pair.same("XTRIM", key, "MINID", "3000")
    pair.same("XADD", "empty", "5-5", "f", "v")
    pair.same("XDEL", "empty", "5-5")
    pair.same("XGROUP", "CREATE", "made", "group", "$", "MKSTREAM")


def home_of(pair):
    return parse(pair.real.call("CONFIG", "GET", "dir"))[0][1].decode()


def save_theirs(pair):
    assert pair.real.call("SAVE") == b"+OK\r\n"
    return os.path.join(home_of(pair), "dump.rdb")


@pytest.fixture
def filled(pair):
    chance = random.Random(11)
    for database in (0, 1, 15):
        fill(pair, chance, database)
    pair.both("SELECT", 0)
    return pair


def test_they_load_ours(filled, tmp_path):
    path = os.path.join(home_of(filled), "dump.rdb")
    digest = filled.same("DEBUG", "DIGEST")
    for compression in (True, False):
        for checksum in (True, False):
            rdb.write(path, filled.store, compression=compression, checksum=checksum)
            assert filled.real.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
            assert filled.real.call("DEBUG", "DIGEST") == digest
    assert filled.finish() > 100


def test_we_load_theirs(filled):
    digest = filled.same("DEBUG", "DIGEST")
    for setting in ("yes", "no"):
        filled.real.call("CONFIG", "SET", "rdbcompression", setting)
        path = save_theirs(filled)
        filled.ours.feed(b"*1\r\n$8\r\nFLUSHALL\r\n")
        done = rdb.load(filled.store, path)
        assert done.keys > 100 and done.expires == 18 and done.expired == done.empty == done.unsupported == 0
        assert filled.same("DEBUG", "DIGEST") == digest
    filled.real.call("CONFIG", "SET", "rdbcompression", "yes")
    assert filled.finish() > 100


def test_the_same_file(filled, tmp_path):
    """Ours of theirs is the same record by record: the same keys in the same encodings."""
    theirs = save_theirs(filled)
    ours = tmp_path / "ours.rdb"
    rdb.write(ours, filled.store)

    def records(path):
        return {(r.database, r.key): (r.type, r.value, r.expire) for r in rdb.read(path)}

    left, right = records(theirs), records(ours)
    for both in (left, right):
        for kind, value, _ in both.values():
            if kind == "stream":  # times of delivery are those of two clocks
                for group in value["groups"]:
                    group["pending"] = [(*p[:2], 0, p[3]) for p in group["pending"]]
                    group["consumers"] = [c[0] for c in group["consumers"]]
    assert left == right
    assert abs(os.path.getsize(theirs) - os.path.getsize(ours)) < os.path.getsize(theirs) * 0.1


def test_check_rdb_finds_it_good(filled, tmp_path):
    if shutil.which("redis-check-rdb") is None:
        pytest.skip("missing redis-check-rdb (Debian package redis-tools)")
    path = tmp_path / "dump.rdb"
    keys = rdb.write(path, filled.store)
    done = subprocess.run(["redis-check-rdb", str(path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "RDB looks OK" in done.stdout and "Checksum OK" in done.stdout, done.stdout
    assert f"[info] {keys} keys read" in done.stdout and "[info] 18 expires" in done.stdout


def test_large_collections(pair, tmp_path):
    for start in range(0, MANY, 10000):
        part = range(start, start + 10000)
        pair.same("RPUSH", "list", *(f"element {i}" for i in part))
        pair.same("SADD", "set", *(f"member {i}" for i in part))
        pair.same("SADD", "ints", *part)
        pair.same("HSET", "hash", *(w for i in part for w in (f"field {i}", i)))
        pair.same("ZADD", "zset", *(w for i in part for w in (i * 0.37, f"member {i}")))
    digest = pair.same("DEBUG", "DIGEST")
    path = os.path.join(home_of(pair), "dump.rdb")
    rdb.write(path, pair.store)
    assert pair.real.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
    assert pair.real.call("DEBUG", "DIGEST") == digest
    save_theirs(pair)
    pair.ours.feed(b"*1\r\n$8\r\nFLUSHALL\r\n")
    assert rdb.load(pair.store, path).keys == 5
    assert pair.same("DEBUG", "DIGEST") == digest
    assert pair.finish() == 5


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_use_is_kept(pair, policy):
    """Idle times and use counters travel along when the policy goes by them."""
    pair.same("CONFIG", "SET", "maxmemory-policy", policy)
    option = ("IDLETIME", "5000") if policy == "allkeys-lru" else ("FREQ", "77")
    pair.same("SET", "source", "1")
    payload = parse(pair.same("DUMP", "source"))[0]
    pair.same("RESTORE", "key", 0, payload, *option)
    path = save_theirs(pair)
    read = {r.key: r for r in rdb.read(path)}
    word = "IDLETIME" if policy == "allkeys-lru" else "FREQ"
    told = read[b"key"].idle if policy == "allkeys-lru" else read[b"key"].frequency
    assert abs(told - int(option[1])) <= 2
    pair.ours.feed(b"*1\r\n$8\r\nFLUSHALL\r\n")
    rdb.load(pair.store, path)
    theirs, ours = (parse(reply)[0] for reply in pair.both("OBJECT", word, "key"))
    assert abs(theirs - ours) <= 2
    rdb.write(path, pair.store)
    assert pair.real.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
    theirs, ours = (parse(reply)[0] for reply in pair.both("OBJECT", word, "key"))
    assert abs(theirs - ours) <= 2


@pytest.mark.parametrize("name", [n for n in ENCODINGS if ENCODINGS[n][4] <= 10])
def test_files_by_hand(pair, name):
    """The files that other tests build by hand are what redis-server takes for such files, too."""
    rdb_type, value, _, _, first = ENCODINGS[name]
    data = whole(first, b"\xfe\x00" + bytes([rdb_type]) + string(b"key") + value)
    path = os.path.join(home_of(pair), "dump.rdb")
    with open(path, "wb") as file:
        file.write(data)
    assert pair.real.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
    rdb.load(pair.store, path)
    assert pair.same("DEBUG", "DIGEST") != b"+" + b"0" * 40 + b"\r\n"
    pair.same("OBJECT", "ENCODING", "key")
    rdb.write(path, pair.store)
    digest = pair.same("DEBUG", "DIGEST")
    assert pair.real.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
    assert pair.real.call("DEBUG", "DIGEST") == digest


LIBRARY = "#!lua name=%s\nredis.register_function('%s_f', function(keys, args) return args[1] .. '%s' end)"


def test_functions(pair):
    for name in ("alpha", "beta"):
        pair.same("FUNCTION", "LOAD", LIBRARY % (name, name, name))
    pair.same("SET", "k", "v")
    path = os.path.join(home_of(pair), "dump.rdb")
    theirs = save_theirs(pair)
    pair.ours.feed(b"*2\r\n$8\r\nFUNCTION\r\n$5\r\nFLUSH\r\n")
    pair.ours.feed(b"*1\r\n$8\r\nFLUSHALL\r\n")
    rdb.load(pair.store, theirs)
    assert pair.same("FCALL", "alpha_f", 0, "x") == b"$6\r\nxalpha\r\n"
    rdb.write(path, pair.store)
    pair.real.call("FUNCTION", "FLUSH")
    assert pair.real.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
    assert pair.same("FCALL", "beta_f", 0, "x") == b"$5\r\nxbeta\r\n"
    pair.real.call("FUNCTION", "FLUSH")


def test_a_library_that_can_not_be_loaded(pair, tmp_path):
    path = tmp_path / "bad.rdb"
    text = b"#!lua name=x\nno lua at all ("
    path.write_bytes(b"REDIS0010\xf5" + bytes([len(text)]) + text + b"\xff" + bytes(8))
    with pytest.raises(RdbFileError) as told:
        rdb.load(pair.store, path)
    assert told.value.offset == 9


def test_expired_keys(pair, tmp_path):
    pair.same("SET", "later", 1, "PXAT", 4102444800000)
    pair.same("SET", "gone", 1, "PX", 20)
    path = tmp_path / "dump.rdb"
    rdb.write(path, pair.store)
    assert {r.key for r in rdb.read(path)} == {b"later", b"gone"}
    pair.store.set_clock(4000000000000)
    pair.ours.feed(b"*1\r\n$8\r\nFLUSHALL\r\n")
    done = rdb.load(pair.store, path)
    assert (done.keys, done.expired) == (1, 1)
    pair.ours.feed(b"*1\r\n$8\r\nFLUSHALL\r\n")
    assert rdb.load(pair.store, path, keep_expired=True).keys == 2
