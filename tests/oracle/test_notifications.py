"""Keyspace notifications beside redis-server: the same events in the same order, for programs of all groups."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

import libkv
from tests.oracle.commands import DRAWS, Generator
from tests.resp import Wire, command, parse


def test_classes(several: Any) -> None:
    several.do("b", "CONFIG", "SET", "notify-keyspace-events", "KEAmn")
    several.run("""
        a: PSUBSCRIBE __key*
        b: GET q
        b: OBJECT ENCODING q
        b: EXISTS q
        b: TTL q
        b: TYPE q
        b: TOUCH q
        b: SET q 1
        b: SET q 1
        b: RENAME q r
        b: SET q 2
        b: RENAME q r
        b: RENAMENX r t
        b: COPY t s
        b: COPY t s REPLACE
        b: MOVE s 1
        b: LPUSH l 1
        b: LPOP l
        b: MGET q w
        b: LRANGE q 0 -1
        b: STRLEN q
        b: SETRANGE q 0 x
        b: EXPIRE q 100
        b: PERSIST q
        b: GETDEL q
        b: SADD s1 a b
        b: SUNIONSTORE s2 s1
        b: SUNIONSTORE s2 s1
        b: SINTERSTORE s2 none
        b: ZADD z 1 a 2 b
        b: ZUNIONSTORE z2 1 z
        b: ZPOPMIN z 2
        b: HSET h f 1
        b: HINCRBY h f 1
        b: HDEL h f
        b: BITOP NOT n1 z9
        b: PFADD p a
        b: PFMERGE p2 p
        b: GEOADD g 1 1 a
        b: GEOSEARCHSTORE g2 g FROMMEMBER a BYRADIUS 1 m
        b: XADD x 1-1 a b
        b: XGROUP CREATE x g 0
        b: XTRIM x MAXLEN 0
        b: SORT l STORE l2
        b: RPUSH l 2 1
        b: SORT l STORE l2
        b: SELECT 1
        b: DEL s
        b: FLUSHALL
    """)


@pytest.mark.parametrize("classes", ["K$", "El", "Kg", "Es", "KEh", "Ez", "Kx", "Km", "En", "Kt", "KEA", "A", "E", ""])
def test_setting(several: Any, classes: str) -> None:
    several.do("b", "CONFIG", "SET", "notify-keyspace-events", classes)
    several.do("b", "CONFIG", "GET", "notify-keyspace-events")
    several.do("a", "PSUBSCRIBE", "__key*")
    several.run("""
        b: DEBUG SET-ACTIVE-EXPIRE 0
        b: SET k v
        b: RPUSH l 1
        b: SADD s 1
        b: HSET h f v
        b: ZADD z 1 m
        b: GET none
        b: SET e v PX 1
        b: XADD x 1-1 f v
        b: DEL k l s h z x
    """)
    several.wait(0.02)
    several.do("b", "GET", "e")
    several.do("b", "DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_a_client_hears_of_itself(several: Any) -> None:
    """Before the reply when nothing of it is written yet, else behind it."""
    several.do("b", "CONFIG", "SET", "notify-keyspace-events", "KEA")
    several.run("""
        a: HELLO 3
        a: SUBSCRIBE __keyevent@0__:set __keyevent@0__:del __keyevent@0__:expired __keyevent@0__:rename_to
        a: SET a 1
        a: DEL a
        a: MSET a 1 b 2
        a: RENAME a b
        a: MULTI
        a: SET a 1
        a: DEL a b
        a: EXEC
        a: CLIENT REPLY OFF
        a: SET a 1
        a: CLIENT REPLY ON
    """)


def test_expired(several: Any) -> None:
    several.do("b", "CONFIG", "SET", "notify-keyspace-events", "Exg$")
    several.do("a", "PSUBSCRIBE", "__key*")
    several.do("b", "DEBUG", "SET-ACTIVE-EXPIRE", "0")
    several.do("b", "SET", "e", "1", "PX", "20")
    several.wait(0.04)
    several.do("b", "GET", "e")
    several.do("b", "SET", "e", "1", "PX", "20")
    several.wait(0.04)
    several.do("b", "SET", "e", "2")
    several.do("b", "EXPIRE", "e", "-1")
    several.do("b", "DEBUG", "SET-ACTIVE-EXPIRE", "1")
    several.do("b", "SET", "e", "1", "PX", "20")
    several.wait(0.3)


class Listener:
    """A server with a subscriber to everything, and a client."""

    def __init__(self, path: str) -> None:
        self.client, self.subscriber = Wire(path), Wire(path)
        for words in (["FLUSHALL"], ["CONFIG", "SET", "notify-keyspace-events", "KEAmn"]):
            self.client.call(*words)
        self.subscriber.call("PSUBSCRIBE", "__key*")

    def events(self, commands: list[Any]) -> list[tuple[bytes, bytes]]:
        """Runs commands; the events that they led to, without expiries, which are a matter of clocks."""
        self.client.send(b"".join(command(*words) for words in commands))
        for _ in commands:
            self.client.reply()
        self.client.call("PUBLISH", "__key-end", "")
        found = []
        while True:
            message = parse(self.subscriber.reply())[0]
            if message[2] == b"__key-end":
                return found
            found.append((message[2], message[3]))

    def close(self) -> None:
        self.client.call("CONFIG", "SET", "notify-keyspace-events", "")
        self.client.close()
        self.subscriber.close()


def deterministic(words: Any) -> bool:
    """Not drawn by lot, no clocks, and no change of what is compared."""
    name = words[0].lower().decode("latin1")
    if name in DRAWS or name in (
        "spop",
        "config",
        "hello",
        "debug",
        "reset",
        "quit",
        "select",
        "swapdb",
        "client",
        "move",
    ):
        return False
    text = [w.lower() for w in words]
    return not (
        "expire" in name
        or name in ("psetex", "setex", "object", "memory", "scan", "restore", "sscan", "hscan", "zscan")
        or any(w in text for w in (b"ex", b"px", b"exat", b"pxat"))
    )


@pytest.mark.parametrize("seed", range(3))
def test_random_programs(redis_socket: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as home, libkv.Store(seed=seed + 1) as store:
        path = str(Path(home) / "s")
        server = libkv.Server(store, port=None, unixsocket=path).start()
        sides = Listener(redis_socket), Listener(path)
        try:
            done = 0
            for unit in Generator(seed + 100).program(4000):
                if not unit or not all(deterministic(words) for words in unit):
                    continue
                real, ours = (side.events(unit) for side in sides)
                assert ours == real, f"{unit}\nredis {real}\nours  {ours}"
                done += len(real)
            assert done > 1000
        finally:
            for side in sides:
                side.close()
            server.stop()
