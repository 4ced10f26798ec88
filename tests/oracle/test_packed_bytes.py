"""The bytes of packed and integer buffers, compared with those that redis-server holds (as its DUMP shows them)."""

import random
import shutil
import subprocess
import time

import pytest
import redis

from libkv.testing.native.ints import Ints
from libkv.testing.native.packed import Packed

QUICKLIST_2, PACKED_NODE, HASH_LISTPACK, ZSET_LISTPACK, SET_INTSET = 18, 2, 16, 17, 11


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server")
    directory = tmp_path_factory.mktemp("redis")
    path = str(directory / "socket")
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", str(directory),
         "--list-max-listpack-size", "-5", "--rdbcompression", "no",
         "--hash-max-listpack-entries", "70000", "--hash-max-listpack-value", "70000"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    client = redis.Redis(unix_socket_path=path, socket_timeout=240)
    try:
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(60)


def length(data, at):
    """A length as RDB writes it, and where it ends."""
    kind = data[at] >> 6
    if kind == 0:
        return data[at] & 63, at + 1
    if kind == 1:
        return (data[at] & 63) << 8 | data[at + 1], at + 2
    assert data[at] == 0x80
    return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5


def payload(client, key, expected_type):
    """The buffer inside a DUMP (its type, version and checksum taken off)."""
    data = client.dump(key)
    assert data[0] == expected_type
    at = 1
    if expected_type == QUICKLIST_2:
        assert data[1:3] == bytes([1, PACKED_NODE])  # one node
        at = 3
    n, at = length(data, at)
    assert at + n == len(data) - 10
    return data[at : at + n]


def values(rnd, n):
    for _ in range(n):
        kind = rnd.randrange(6)
        if kind == 0:
            yield b"%d" % rnd.randrange(-200, 200)
        elif kind == 1:
            yield b"%d" % (rnd.choice([-1, 1]) * rnd.randrange(2 ** rnd.randrange(1, 63)))
        elif kind == 2:
            yield b"%d" % (rnd.choice([-1, 1]) * (2 ** rnd.randrange(6, 63) + rnd.randrange(-1, 2)))
        elif kind == 3:
            yield rnd.choice([b"", b"-", b"-0", b"007", b"+5", b"1e3", b"9223372036854775808", b"-9223372036854775808"])
        else:
            yield rnd.randbytes(rnd.choice([1, 3, 20, 62, 63, 64, 65, 126, 127, 128, 200]))


@pytest.mark.parametrize("seed", range(60))
def test_lists(server, seed):
    rnd = random.Random(seed)
    b = Packed()
    server.delete("k")
    for value in values(rnd, rnd.randrange(1, 60)):
        if rnd.random() < 0.3:
            server.lpush("k", value)
            b.prepend(value)
        else:
            server.rpush("k", value)
            b.append(value)
    assert payload(server, "k", QUICKLIST_2) == b.raw()
    for _ in range(10):
        n, i = len(b), rnd.randrange(len(b))
        value = next(values(rnd, 1))
        kind = rnd.randrange(4)
        if kind == 0:
            server.lset("k", i, value)
            b.replace(i, value)
        elif kind == 1 and n > 4:
            server.lrem("k", 1, b.index(i))
            b.remove_equal(b.index(i), 1)
        elif kind == 2:
            pivot = b.index(i)
            server.linsert("k", "after", pivot, value)
            b.insert_after(b.find(pivot), value)
        elif n > 8:
            server.ltrim("k", 1, -2)
            b.keep(1, n - 1)
    assert payload(server, "k", QUICKLIST_2) == b.raw()


@pytest.mark.parametrize("n", [4090, 4094, 4095, 4096, 16370, *range(16374, 16384), 20000])
def test_long_strings(server, n):
    """Where a head or a back length gains a byte."""
    server.delete("k")
    server.rpush("k", b"a", b"v" * n, b"1")
    b = Packed()
    b.insert(None, [b"a", b"v" * n, b"1"])
    assert payload(server, "k", QUICKLIST_2) == b.raw()


def test_huge_strings(server):
    for n in (2097140, 2097145, 2097146, 2097147, 2097150, 2097160):
        server.delete("k")
        server.config_set("hash-max-listpack-value", 4_000_000)
        server.hset("k", "f", b"v" * n)
        b = Packed()
        b.insert(None, [b"f", b"v" * n])
        assert payload(server, "k", HASH_LISTPACK) == b.raw()


def test_more_entries_than_the_count_field_holds(server):
    server.delete("k")
    pipe = server.pipeline()
    for i in range(33_000):
        pipe.hset("k", b"%d" % i, b"%d" % (i % 100))
    pipe.execute()
    b = Packed()
    b.insert(None, [x for i in range(33_000) for x in (b"%d" % i, b"%d" % (i % 100))])
    assert payload(server, "k", HASH_LISTPACK) == b.raw()


@pytest.mark.parametrize("seed", range(20))
def test_integer_sets(server, seed):
    rnd = random.Random(seed)
    b = Ints()
    server.delete("k")
    span = rnd.choice([100, 40_000, 2**33])
    for _ in range(rnd.randrange(1, 300)):
        v = rnd.randrange(-span, span)
        assert server.sadd("k", v) == b.add(v)
        if rnd.random() < 0.3:
            v = rnd.choice(b.values())
            if len(b) > 1:
                assert server.srem("k", v) == b.remove(v)
    assert payload(server, "k", SET_INTSET) == b.raw()
