"""Client-side caching beside redis-server: who is told what, when, and in which bytes."""

from __future__ import annotations

import random
import select
from typing import Any

import pytest

from tests.oracle.test_pubsub import info
from tests.resp import command


def test_options(several: Any) -> None:
    several.do("a", "HELLO", "3")
    for (
        words
    ) in """ON; ON NOLOOP; ON OPTIN; ON OPTOUT; ON OPTIN OPTOUT; OFF; ON OPTIN OPTOUT; ON BCAST OPTIN; ON PREFIX a;
            ON BCAST PREFIX a PREFIX ab; ON BCAST PREFIX foo PREFIX bar; ON BCAST PREFIX fo; ON BCAST PREFIX foo;
            ON BCAST PREFIX baz; ON; OFF; ON BCAST; ON BCAST PREFIX a; OFF; ON REDIRECT 99999; ON REDIRECT x; ON REDIRECT;
            ON REDIRECT 99999 REDIRECT 1; ON FOO; FOO; FOO BCAST; ON OPTIN; ON OPTOUT; OFF x; OFF BCAST; OFF NOLOOP; OFF;
            ON BCAST PREFIX prefix PREFIX redirect PREFIX bcast; OFF; ON OPTOUT NOLOOP; ON NOLOOP;
            ON BCAST NOLOOP; OFF; ON BCAST NOLOOP PREFIX a; ON PREFIX; OFF""".split(";"):
        several.do("a", "CLIENT", "TRACKING", *words.split())
        several.do("a", "CLIENT", "TRACKINGINFO")
        several.do("a", "CLIENT", "GETREDIR")
        several.do("b", "CLIENT", "LIST")
    several.do("b", "CLIENT", "TRACKING", "ON", "OPTIN")
    several.do("b", "CLIENT", "TRACKINGINFO")
    several.do("b", "RESET")
    several.do("b", "CLIENT", "TRACKINGINFO")
    several.do("b", "CLIENT", "TRACKING")


def test_optin_and_optout(several: Any) -> None:
    several.run("""
        a: HELLO 3
        a: CLIENT CACHING YES
        a: CLIENT CACHING NO
        a: CLIENT CACHING x
        a: CLIENT CACHING
        a: CLIENT TRACKING ON OPTIN
        a: CLIENT CACHING NO
        a: CLIENT CACHING YES
        a: CLIENT TRACKINGINFO
        a: CLIENT TRACKINGINFO
        a: CLIENT CACHING x
        a: GET k
        b: SET k 1
        a: CLIENT CACHING YES
        a: GET
        a: GET k
        b: SET k 1
        a: CLIENT CACHING YES
        a: NOSUCH
        a: GET k
        b: SET k 1
        a: CLIENT CACHING YES
        a: GET k
        a: GET l
        b: MSET k 1 l 2
        b: SET k 1
        a: CLIENT CACHING YES
        a: MULTI
        a: GET k
        a: GET k2
        a: EXEC
        a: GET k3
        b: MSET k 1 k2 1 k3 1
        a: MULTI
        a: CLIENT CACHING YES
        a: GET k
        a: GET k2
        a: EXEC
        a: GET k3
        b: MSET k 1 k2 1 k3 1
        a: CLIENT TRACKING OFF
        a: CLIENT TRACKING ON OPTOUT
        a: CLIENT CACHING YES
        a: CLIENT CACHING NO
        a: CLIENT TRACKINGINFO
        a: GET k
        a: GET k2
        b: MSET k 1 k2 1
    """)


def test_default_mode(several: Any) -> None:
    several.run("""
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: GET k
        a: SET k 2
        a: GET k
        a: MULTI
        a: SET k 3
        a: GET k
        a: SET k 4
        a: EXEC
        a: GET k
        b: FLUSHALL
        a: FLUSHALL
        a: FLUSHDB
        a: MULTI
        a: GET q
        a: FLUSHALL
        a: SET q 1
        a: EXEC
        a: SWAPDB 0 1
        b: SELECT 5
        b: FLUSHDB
        a: GET z
        b: SET z 1
        b: SET z 2
        a: GET z
        a: GET z
        b: INCR z
        a: HGETALL h
        a: LRANGE l 0 -1
        a: ZRANGE s 0 -1
        a: SMEMBERS m
        a: EXISTS x1 x2
        a: TYPE t
        a: OBJECT ENCODING o
        a: STRLEN str
        b: SELECT 0
        b: HSET h f v
        b: RPUSH l 1 2 3
        b: ZADD s 1 a
        b: SADD m 1
        b: MSET x1 1 x2 2 t 3 o 4 str 5
        a: LRANGE l 0 -1
        b: LPOP l 3
        a: GET x1
        b: RENAME x1 x3
        a: GET x3
        a: GET x4
        b: COPY x3 x4
        b: DEL x3
        a: GET x4
        b: EXPIRE x4 100
        a: GET x4
        b: GETEX x4 PERSIST
        a: GET x4
        b: TOUCH x4
        b: MOVE x4 3
        a: CLIENT REPLY OFF
        a: GET q
        b: SET q 1
        a: GET q
        a: SET q 1
        a: CLIENT REPLY ON
        a: HELLO 2
        a: GET q
        b: SET q 2
        a: HELLO 3
        a: GET q
        b: SET q 2
    """)
    several.raw("a", command("GET", "q") + command("SET", "q", "1") + command("GET", "q") + command("SET", "q", "2"))


def test_noloop(several: Any) -> None:
    several.run("""
        a: HELLO 3
        a: CLIENT TRACKING ON NOLOOP
        a: GET k
        a: SET k 1
        b: SET k 1
        a: GET k
        b: SET k 1
        a: MULTI
        a: GET k
        a: SET k 2
        a: EXEC
        b: SET k 1
    """)


def test_broadcast(several: Any) -> None:
    several.run("""
        a: HELLO 3
        c: HELLO 3
        a: CLIENT TRACKING ON BCAST PREFIX us: PREFIX k
        c: CLIENT TRACKING ON BCAST NOLOOP
        a: CLIENT TRACKINGINFO
        b: CLIENT LIST
        b: MSET us:1 1 k 1 q 1 k2 3
        a: SET k 2
        c: SET k 2
        c: MSET us:4 5 k 1
        b: FLUSHALL
        a: FLUSHALL
        a: MULTI
        a: SET k 1
        a: GET k
        a: SET kk 1
        a: EXEC
        c: CLIENT TRACKING OFF
        b: SET k 1
    """)
    several.raw("b", b"".join(command("SET", k, "1") for k in ("k", "k", "kz", "ka", "us:1")))
    several.raw("a", command("SET", "k", "1") + command("GET", "k"))
    several.leave("a")
    several.do("b", "SET", "k", "3")
    several.store.check()


def test_redirection(several: Any) -> None:
    several.do("a", "HELLO", "3")
    several.do("r", "PING")
    several.do("a", "CLIENT", "TRACKING", "ON", "REDIRECT", "@r")
    for side in several.sides:
        side.clients["a"].take()
        assert side.ids[side.ask("a", "CLIENT", "GETREDIR")[1:-2]] == b"<r>"
    several.run("""
        a: CLIENT TRACKINGINFO
        a: GET k
        b: SET k 1
        r: SUBSCRIBE __redis__:invalidate
        b: GET k
        a: GET k
        b: SET k 1
        a: GET k
        a: SET k 1
        b: FLUSHALL
        a: FLUSHALL
        a: GET k
        r: UNSUBSCRIBE
        r: SUBSCRIBE other
        b: SET k 1
        b: CLIENT LIST
        a: GET k
        a: MULTI
        a: SET k 1
        a: GET k
        a: SET k 3
        a: EXEC
    """)
    several.leave("r")
    several.run("""
        a: GET k
        b: SET k 1
        a: CLIENT TRACKINGINFO
        b: CLIENT LIST
        a: GET k
        b: FLUSHALL
        a: GET k
        b: SET k 1
        a: CLIENT TRACKING ON
        a: CLIENT TRACKINGINFO
    """)


def test_redirection_to_resp3(several: Any) -> None:
    several.do("r", "HELLO", "3")
    several.do("a", "CLIENT", "TRACKING", "ON", "REDIRECT", "@r")
    several.run("""
        a: GET k
        b: SET k 1
        a: GET k
        r: SET k 1
        a: GET k
        a: MGET k j
        r: MULTI
        r: GET a
        r: SET k 1
        r: MSET k 1 j 2
        r: EXEC
        b: FLUSHALL
        a: CLIENT TRACKING ON
        a: CLIENT TRACKINGINFO
        a: GET k
        b: SET k 1
    """)
    several.do("a", "CLIENT", "TRACKING", "ON", "REDIRECT", "@a")
    several.do("a", "CLIENT", "TRACKING", "ON", "REDIRECT", "@a", "REDIRECT", "@b")
    several.do("a", "GET", "k")
    several.do("b", "SET", "k", "1")
    several.leave("a")
    several.do("b", "SET", "k", "1")
    several.store.check()


def test_expiry(several: Any) -> None:
    several.run("""
        b: DEBUG SET-ACTIVE-EXPIRE 0
        a: HELLO 3
        a: CLIENT TRACKING ON
        b: SET e 1 PX 40
        a: GET e
    """)
    several.wait(0.06)
    several.do("a", "GET", "e")
    several.do("b", "SET", "e", "1", "PX", "40")
    several.do("a", "GET", "e")
    several.wait(0.06)
    several.do("a", "MGET", "x", "e", "y")
    several.do("b", "SET", "e", "1", "PX", "40")
    several.do("a", "GET", "e")
    several.wait(0.06)
    several.do("b", "GET", "e")
    several.do("a", "CLIENT", "TRACKING", "ON", "NOLOOP")
    several.do("b", "SET", "e", "1", "PX", "40")
    several.do("a", "GET", "e")
    several.wait(0.06)
    several.do("a", "GET", "e")
    several.do("a", "CLIENT", "TRACKING", "OFF")
    several.do("a", "CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP")
    several.do("b", "SET", "e", "1", "PX", "40")
    several.wait(0.06)
    several.do("a", "GET", "e")
    several.do("b", "SET", "e", "1", "PX", "40")
    several.do("b", "DEBUG", "SET-ACTIVE-EXPIRE", "1")
    for side in several.sides:
        client = side.client("a")
        assert wait_for(client, b"e\r\n") == b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\ne\r\n"


def wait_for(client: Any, end: bytes) -> bytes:
    for _ in range(300):
        if client.got.endswith(end):
            break
        select.select([client.socket], [], [], 0.01)
        client.read()
    return bytes(client.take())


def test_table_limit(several: Any) -> None:
    """Which keys go is drawn by lot: as many are told as there are too many."""
    several.do("b", "CONFIG", "SET", "tracking-table-max-keys", "3")
    try:
        several.do("a", "HELLO", "3")
        several.do("a", "CLIENT", "TRACKING", "ON")
        for side in several.sides:
            side.send("a", command("MGET", *"12345"))
            side.settle(None)
            side.send("a", command("PING"))
            side.settle(None)
            got = side.clients["a"].take()
            assert got.count(b"invalidate") == 2, got
            assert info(side)["tracking_total_keys"] == b"3"
            assert info(side)["tracking_total_items"] == b"3"
    finally:
        several.do("b", "CONFIG", "SET", "tracking-table-max-keys", "1000000")


def test_info_fields(several: Any) -> None:
    fields = ["tracking_total_keys", "tracking_total_items", "tracking_total_prefixes", "tracking_clients"]

    def same() -> list[bytes]:
        real, ours = ([info(side)[f] for f in fields] for side in several.sides)
        assert ours == real
        return real

    several.run("""
        a: HELLO 3
        b: HELLO 3
        a: CLIENT TRACKING ON
        b: CLIENT TRACKING ON
        a: MGET 1 2 3 4
        b: MGET 3 4 5
        d: CLIENT TRACKING ON BCAST PREFIX x PREFIX y
    """)
    assert same() == [b"5", b"7", b"2", b"3"]
    several.do("c", "SET", "3", "x")
    assert same() == [b"4", b"5", b"2", b"3"]
    several.leave("b")
    same()
    several.do("c", "SET", "5", "x")
    same()
    several.do("c", "SELECT", "3")
    several.do("c", "FLUSHDB")
    same()
    several.do("a", "MGET", "1", "2")
    several.do("a", "CLIENT", "TRACKING", "OFF")
    same()
    several.do("c", "SET", "1", "2")
    same()
    several.leave("d")
    same()
    several.do("a", "CLIENT", "TRACKING", "ON")
    several.do("c", "SET", "2", "2")
    same()


@pytest.mark.parametrize("seed", range(2))
def test_random_programs(several: Any, seed: int) -> None:
    """Clients of all modes read and write the same few keys."""
    draw = random.Random(seed)
    several.do("r", "HELLO", "3")
    several.run("""
        a: HELLO 3
        b: HELLO 3
        c: HELLO 3
        a: CLIENT TRACKING ON
        b: CLIENT TRACKING ON NOLOOP
        c: CLIENT TRACKING ON BCAST PREFIX 1 PREFIX 2
    """)
    several.do("d", "CLIENT", "TRACKING", "ON", "REDIRECT", "@r")
    for step in range(150):
        name = draw.choice("abcdre")
        keys = [draw.choice("12345") + draw.choice(["", "1"]) for _ in range(draw.randint(1, 3))]
        kind = draw.randrange(6)
        if kind < 3:
            several.do(name, "MGET", *keys)
        elif kind == 3:
            several.do(name, "SET", keys[0], step)
        elif kind == 4:
            several.do(name, "DEL", *keys)
        else:
            several.do(name, "MULTI")
            several.do(name, "MGET", *keys)
            several.do(name, "MSET", *(w for k in keys for w in (k, step)))
            several.do(name, "EXEC")
    several.store.check()


def test_scripts(several: Any) -> None:
    """The caller has read what its script reads; what it writes is told behind the script's reply."""
    read, write = 'return redis.call("get",KEYS[1])', 'redis.call("set",KEYS[1],1); return {1,2}'
    several.do("a", "HELLO", "3")
    several.do("a", "CLIENT", "TRACKING", "ON")
    several.do("a", "EVAL", read, "1", "k")
    several.do("b", "SET", "k", "1")
    several.do("a", "EVAL_RO", read, "1", "k")
    several.do("b", "EVAL", write, "1", "k")
    several.do("a", "GET", "k")
    several.do("a", "EVAL", write, "1", "k")
    several.do("a", "CLIENT", "TRACKING", "OFF")
    several.do("a", "CLIENT", "TRACKING", "ON", "NOLOOP")
    several.do("a", "GET", "k")
    several.do("a", "EVAL", write, "1", "k")
    several.do("b", "SET", "k", "1")
    several.do("a", "CLIENT", "TRACKING", "OFF")
    several.do("a", "CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP")
    several.do("a", "EVAL", write, "1", "k")
    several.do("a", "SUBSCRIBE", "c")
    several.do("a", "EVAL", 'redis.call("publish","c","m"); return 1', "0")
    several.do("a", "EVAL", 'return redis.pcall("subscribe","c")', "0")


def test_turned_off_in_the_middle(several: Any) -> None:
    several.run("""
        a: HELLO 3
        c: HELLO 3
        a: CLIENT TRACKING ON
        a: GET k
        a: MULTI
        a: CLIENT TRACKING OFF
        a: SET k 1
        a: EXEC
        c: CLIENT TRACKING ON
        c: GET k
        c: SET k 2
        c: PING
    """)
