"""Side by side with redis-server: `pair` runs each command on both and compares the bytes of the replies."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from tests.oracle.several import Several
from tests.resp import Wire, command, parse, reply_end, unordered
from tests.servers import REAL_ENVIRONMENT


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The unix socket of a redis-server 7.0.15 of this test run's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    home = tmp_path_factory.mktemp("redis")
    path = str(home / "redis.sock")
    words = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        path,
        "--dir",
        str(home),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    words += ["--enable-debug-command", "yes", "--logfile", str(home / "log")]
    server = subprocess.Popen(words, env=REAL_ENVIRONMENT)
    for _ in range(500):
        if Path(path).exists():
            break
        time.sleep(0.01)
    yield path
    server.terminate()
    server.wait(10)


DEFAULTS = [
    "hash-max-listpack-entries 128 hash-max-listpack-value 64 zset-max-listpack-entries 128 zset-max-listpack-value 64",
    "set-max-intset-entries 512 list-max-listpack-size -2 list-compress-depth 0 hll-sparse-max-bytes 3000",
    "slowlog-log-slower-than 10000 maxmemory 0 maxmemory-policy noeviction proto-max-bulk-len 536870912 timeout 0",
    "stream-node-max-entries 100 stream-node-max-bytes 4096",
]


class Pair:
    """redis-server and a libkv.Store, each with one session, given the same commands."""

    def __init__(self, redis_socket: str, **settings: Any) -> None:
        self.real = Wire(redis_socket)
        self.real.call("RESET")
        for words in ("FLUSHALL", "SCRIPT FLUSH", "FUNCTION FLUSH", "CONFIG RESETSTAT"):
            self.real.call(*words.split())
        for setting in DEFAULTS:  # a test may have changed them, and the server is shared
            assert self.real.call("CONFIG", "SET", *setting.split()) == b"+OK\r\n"
        self.store = libkv.Store(enable_debug_command="yes", **settings)
        self.ours = self.store.new_session()
        self.log: list[tuple[Any, ...]] = []

    def both(self, *args: Any) -> tuple[bytes, bytes]:
        """The two replies' bytes: redis-server's, ours."""
        self.log.append(args)
        theirs = self.real.call(*args)
        ours = self.ours.feed(command(*args))
        assert reply_end(ours) == len(ours), f"{args}: not one whole reply: {ours!r}"
        return theirs, ours

    def same(self, *args: Any) -> bytes:
        """Runs a command on both, asserts equal bytes, returns them."""
        theirs, ours = self.both(*args)
        assert ours == theirs, f"{args}\nredis {theirs!r}\nours  {ours!r}"
        return ours

    def same_set(self, *args: Any) -> Any:
        """The same for replies whose order is free: compares them as sets; returns the parsed reply, sorted."""
        theirs, ours = self.both(*args)
        assert unordered(parse(ours)[0]) == unordered(parse(theirs)[0]), f"{args}\nredis {theirs!r}\nours  {ours!r}"
        return unordered(parse(ours)[0])

    def resp3(self) -> None:
        """Goes on in RESP3 on both sides."""
        self.both("HELLO", "3")

    def resp2(self) -> None:
        self.both("HELLO", "2")

    def finish(self, ttl_slack_ms: int = 20_000) -> int:
        """Compares the whole keyspaces (types, encodings, values, expiry) and every invariant; returns the number of keys."""
        self.store.check()
        self.resp2()
        total = 0
        for db in range(16):
            self.both("SELECT", str(db))
            keys = self.same_set("KEYS", "*")
            total += len(keys)
            for key in keys:
                self.same_key(key, ttl_slack_ms)
        self.both("SELECT", "0")
        return total

    def same_key(self, key: bytes, ttl_slack_ms: int) -> None:
        kind = parse(self.same("TYPE", key))[0][1]
        self.same("OBJECT", "ENCODING", key)
        theirs, ours = (parse(reply)[0] for reply in self.both("PTTL", key))
        assert (theirs < 0) == (ours < 0) and abs(theirs - ours) <= ttl_slack_ms, f"PTTL {key!r}: {theirs} {ours}"
        if kind == b"string":
            self.same("GET", key)
        elif kind == b"list":
            self.same("LRANGE", key, 0, -1)
        elif kind == b"set":
            self.same_set("SMEMBERS", key)
        elif kind == b"zset":
            self.same("ZRANGE", key, 0, -1, "WITHSCORES")
        elif kind == b"stream":
            self.same("XINFO", "STREAM", key)
            self.same("XINFO", "GROUPS", key)
            self.same("XRANGE", key, "-", "+")
        elif kind == b"hash":
            theirs, ours = (parse(reply)[0] for reply in self.both("HGETALL", key))
            pairs = [sorted(zip(r[::2], r[1::2], strict=True)) for r in (theirs, ours)]
            assert pairs[0] == pairs[1], f"HGETALL {key!r}"

    def close(self) -> None:
        self.real.close()
        self.store.close()


@pytest.fixture
def pair(redis_socket: str) -> Iterator[Pair]:
    """Both, empty, in RESP2."""
    both = Pair(redis_socket)
    yield both
    both.close()


@pytest.fixture
def several(redis_socket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    """Both, each served, for tests with several clients."""
    # not tmp_path, which has the test's name in it: what clients are shown of a socket's path is cut off
    both = Several(redis_socket, str(tmp_path_factory.mktemp("s") / "ours.sock"))
    yield both
    both.close()
