"""Commands that wait, several clients at once: who is served when, with what, and what is left, as by redis-server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resp import command


@pytest.fixture(autouse=True)
def unpaused(several: Any) -> Any:
    """Nothing that one test has paused holds the next one up."""
    yield
    for side in several.sides:
        side.client("at the end")
        side.ask("at the end", "CLIENT", "UNPAUSE")


def same_clients(several: Any) -> list[str]:
    """Who is there, with flags, database, transaction and command.  (The order is free: Redis turns its list round.)"""
    told = []
    for side in several.sides:
        lines = side.ask("control", "CLIENT", "LIST").decode().splitlines()
        facts = [dict(word.partition("=")[::2] for word in line.split()) for line in lines if line.startswith("id=")]
        names = {number.decode(): name.decode() for number, name in side.ids.items()}
        told.append(sorted(f"{names[f['id']]} {f['flags']} db={f['db']} multi={f['multi']} {f['cmd']}" for f in facts))
    assert told[0] == told[1]
    return told[1]


POPS = ["BLPOP k 0", "BRPOP k 0", "BLMPOP 0 1 k LEFT", "BLMOVE k dst LEFT RIGHT 0", "BRPOPLPUSH k dst 0"]
ZPOPS = ["BZPOPMIN k 0", "BZPOPMAX k 0", "BZMPOP 0 1 k MAX"]


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("pop", POPS)
def test_lists(several: Any, pop: str, proto: int) -> None:
    several.do("a", "HELLO", proto)
    several.run(f"""
        w: RPUSH k 1 2 3
        a: {pop}
        a: {pop}
        a: {pop}
        a: {pop}
        w: RPUSH k x y
        w: LRANGE k 0 -1
        w: LRANGE dst 0 -1
        a: PING
    """)


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("pop", ZPOPS)
def test_sorted_sets(several: Any, pop: str, proto: int) -> None:
    several.do("a", "HELLO", proto)
    several.run(f"""
        w: ZADD k 1 a 2.5 b
        a: {pop}
        a: {pop}
        a: {pop}
        w: ZADD k 3 x 4 y -inf z
        w: ZRANGE k 0 -1 WITHSCORES
        a: PING
    """)


def test_arguments(several: Any) -> None:
    several.do("w", "SET", "s", "x")
    several.do("w", "RPUSH", "l", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    several.do("w", "ZADD", "z", *(w for i in range(9) for w in (i, f"m{i}")))
    for (
        words
    ) in """BLPOP; BLPOP k; BLPOP k x; BLPOP k -1; BLPOP k inf; BLPOP k -inf; BLPOP k nan; BLPOP k 1e400; BLPOP k 9e18
            BLPOP k 92233720368547758; BLPOP k 1x; BRPOP k ''; BLPOP s 0
            BLPOP nosuch s 0; BLPOP s l 0; BLPOP l s 0; BLPOP l l 0; BRPOP nosuch l s 0; BLPOP z 0; BZPOPMIN l 0
            BLMOVE l d LEFT RIGHT x; BLMOVE l d LEFT up x; BLMOVE l d up LEFT 0; BLMOVE l s LEFT RIGHT 0; BLMOVE s l LEFT LEFT 0
            BLMOVE l l LEFT RIGHT 0; BLMOVE l d right left 0; BRPOPLPUSH l d; BRPOPLPUSH l d x
            BRPOPLPUSH l d -1; BRPOPLPUSH l l 0; BRPOPLPUSH s l 0; BRPOPLPUSH l s 0; BLMPOP; BLMPOP 0 1 l; BLMPOP x 0 l LEFT
            BLMPOP x 1 l up; BLMPOP 0 2 l LEFT; BLMPOP 0 x l LEFT; BLMPOP -1 1 l LEFT; BLMPOP 0 1 l LEFT COUNT
            BLMPOP 0 1 l LEFT COUNT 0; BLMPOP 0 1 l LEFT COUNT 2 COUNT 2; BLMPOP 0 1 l LEFT COUNT 2; BLMPOP 0 2 n l right COUNT 2
            BLMPOP 0 1 s LEFT; BZPOPMIN z; BZPOPMIN z x; BZPOPMAX z -1; BZPOPMIN z 0; BZPOPMAX n z 0; BZPOPMAX s z 0
            BZMPOP x 0 z MIN; BZMPOP 0 1 z up; BZMPOP 0 1 z MIN COUNT 0; BZMPOP 0 1 z MIN COUNT 2; BZMPOP 0 2 n z MAX
            BZMPOP -1 1 z MAX; BZMPOP 0 1 s MAX; WAIT; WAIT 0; WAIT x 0; WAIT 0 x; WAIT 0 -1; WAIT 0 0; WAIT -1 0; WAIT 1 1.5
            WAIT 1 99999999999999999999; WAIT 0 10 1; LRANGE l 0 -1; LRANGE d 0 -1; ZRANGE z 0 -1""".replace(
        "\n", ";"
    ).split(";"):
        several.do("a", *(w.replace("''", "") for w in words.split()))
    several.wait(0.15)


@pytest.mark.parametrize("proto", [2, 3])
def test_time_is_over(several: Any, proto: int) -> None:
    several.do("a", "HELLO", proto)
    for words in [*POPS, *ZPOPS]:
        several.do("a", *words.replace(" 0", " 0.01", 1).split())
        several.wait(0.15)
    for words in ["BLPOP k 0.0001", "BLPOP k +0.001", "BLPOP k 0x0.01", "BLMOVE k none LEFT LEFT 1e-2", "WAIT 1 10"]:
        several.do("a", *words.split())
        several.wait(0.15)
    several.do("a", "MULTI")
    for words in [*POPS, *ZPOPS, "WAIT 1 0"]:
        several.do("a", *words.split())
    several.do("a", "EXEC")


WAKING = {
    "LPUSH": "LPUSH k v",
    "RENAME": "RENAME other k",
    "RENAMENX": "RENAMENX other k",
    "RENAME over": "SET k x; RENAME other k",
    "COPY": "COPY other k",
    "COPY REPLACE": "SET k x; COPY other k REPLACE",
    "MOVE": "SELECT 1; RPUSH k v; MOVE k 0",
    "SWAPDB": "SELECT 1; RPUSH k v; SWAPDB 0 1",
    "LMOVE": "LMOVE other k LEFT LEFT",
    "RPOPLPUSH": "RPOPLPUSH other k",
    "LPUSHX": "LPUSHX k v; LPUSH k v",
    "EXEC": "MULTI; RPUSH k v; EXEC",
    "EXEC in vain": "MULTI; RPUSH k v; DEL k; EXEC; RPUSH k w",
    "SET": "SET k v; DEL k; RPUSH k v",
    "another type": "ZADD k 1 m; DEL k; RPUSH k v",
    "another database": "SELECT 1; RPUSH k v; SELECT 0; RPUSH k v",
    "LINSERT": "LINSERT k BEFORE a b; RPUSH k v",
    "SORT STORE": "SORT other ALPHA STORE k",
    "SORT STORE over": "SET k x; SORT other ALPHA STORE k; RPUSH k v; DEL k; RPUSH k v",
    "RESTORE": "RESTORE k 0 @list",
    "RESTORE REPLACE": "SET k x; RESTORE k 0 @list REPLACE",
    "EVAL": "EVAL @script 1 k",
}


@pytest.mark.parametrize("way", WAKING)
def test_waking_lists(several: Any, way: str) -> None:
    several.run("w: RPUSH other o1 o2")
    payload = several.sides[0].ask("w", "DUMP", "other")
    dump = payload[payload.index(b"\r\n") + 2 : -2]
    several.run("a: BLPOP k 0")
    several.run("b: BRPOP j k 0")
    for step in WAKING[way].split(";"):
        places = {
            "@list": dump,
            "@script": "redis.call('rpush', KEYS[1], 'v', 'w'); return redis.call('llen', KEYS[1])",
        }
        several.do("w", *(places.get(w, w) for w in step.split()))
    several.do("w", "SELECT", 0)
    several.do("w", "KEYS", "*", unordered=True)
    several.run("""
        w: DEL k
        w: RPUSH k last last
        w: LRANGE k 0 -1
    """)


@pytest.mark.parametrize(
    "way",
    ["ZADD k 1 m", "ZINCRBY k 2 m", "ZUNIONSTORE k 1 other", "ZINTERSTORE k 1 other", "ZDIFFSTORE k 1 other",
     "ZRANGESTORE k other 0 -1", "RENAME other k", "COPY other k", "SET k x;ZUNIONSTORE k 1 other;ZADD k 3 n;DEL k;ZADD k 1 p",
     "GEOADD k 1 1 place", "RPUSH k x;DEL k;ZADD k 1 m", "ZADD k XX 1 m;ZADD k NX 1 m"],
)  # fmt: skip
def test_waking_sorted_sets(several: Any, way: str) -> None:
    several.run("""
        w: ZADD other 1 o1 2 o2
        a: BZPOPMIN k 0
        b: BZMPOP 0 2 j k MAX COUNT 5
    """)
    for step in way.split(";"):
        several.do("w", *step.split())
    several.run("""
        w: DEL k
        w: ZADD k 1 last
        w: ZADD k 2 last
        w: EXISTS k
    """)


def test_order(several: Any) -> None:
    """The keys as they come into being, the clients as they came."""
    several.run("""
        a: BLPOP k1 k2 0
        b: BLPOP k2 k1 0
        c: BRPOP k1 k2 0
        d: BLPOP k3 0
        w: MULTI
        w: RPUSH k3 z
        w: RPUSH k2 x1 x2
        w: RPUSH k1 y1
        w: LPUSH k2 x0
        w: EXEC
        w: EXISTS k1 k2 k3
        a: BLPOP k1 k1 k2 k1 0
        b: BLPOP k1 0
        c: BLPOP k1 0
        w: RPUSH k1 1 2 3 4 5
        w: LRANGE k1 0 -1
        a: BLMPOP 0 1 q LEFT COUNT 2
        b: BLMPOP 0 1 q RIGHT COUNT 2
        c: BLPOP q 0
        w: RPUSH q 1 2 3
        w: RPUSH q 4
    """)


def test_chains(several: Any) -> None:
    several.run("""
        a: BLMOVE k1 k2 LEFT RIGHT 0
        b: BLMOVE k2 k3 LEFT RIGHT 0
        c: BRPOPLPUSH k3 k4 0
        d: BLPOP k4 0
        w: RPUSH k1 x y
        w: LRANGE k1 0 -1
        a: BLMOVE ring ring LEFT RIGHT 0
        b: BLMOVE ring ring LEFT RIGHT 0
        w: RPUSH ring 1 2 3
        w: LRANGE ring 0 -1
        a: BLMOVE one two LEFT LEFT 0
        b: BLMOVE two one LEFT LEFT 0
        c: BLPOP two 0
        d: BLPOP one 0
        w: RPUSH one ball
        w: RPUSH two ball
        w: EXISTS one two ring k1 k2 k3 k4
    """)


def test_wrong_destination(several: Any) -> None:
    """The element stays, and the next one is served."""
    several.run("""
        a: BLMOVE k dst LEFT LEFT 0
        b: BLPOP k 0
        w: SET dst x
        w: RPUSH k v
        w: EXISTS k
        w: INFO errorstats
    """)


def test_types_that_others_wait_for(several: Any) -> None:
    several.run("""
        a: BLPOP k 0
        b: BZPOPMIN k 0
        c: BLPOP k 0
        w: ZADD k 1 m
        w: RPUSH k v
        w: SET k x
        w: DEL k
        w: MULTI
        w: ZADD k 1 m
        w: DEL k
        w: RPUSH k v
        w: EXEC
        w: RPUSH k v
    """)


def test_pipelined(several: Any) -> None:
    """What comes after a command that waits is run when it is done; others are not held up."""
    several.raw("a", b"".join(command(*w.split()) for w in ["SET x 1", "BLPOP k 0", "GET x", "BLPOP k 0", "INCR x"]))
    several.run("""
        b: INCR x
        b: RPUSH k v
        b: RPUSH k w
        b: GET x
    """)
    several.raw("a", command("BLPOP", "k", 0) + command("SET", "half", "y" * 100)[:50])
    several.raw("a", command("SET", "half", "y" * 100)[50:90])
    several.do("b", "RPUSH", "k", "v")
    several.raw("a", command("SET", "half", "y" * 100)[90:])
    several.raw("a", b"BLPOP k 0\r\nPING\r\n" + command("MSET", *(f"w{i}" for i in range(1200))) + b"EXISTS w0")
    several.do("b", "RPUSH", "k", "v")
    several.raw("a", b"\r\n")
    several.raw("a", command("BLPOP", "k", 0) + command("MULTI") + command("INCR", "x") + command("EXEC") + b"*x\r\n")
    several.do("b", "RPUSH", "k", "v")


def test_reply_off_and_skip(several: Any) -> None:
    several.raw("a", command("CLIENT", "REPLY", "SKIP") + command("BLPOP", "k", 0) + command("PING"))
    several.do("b", "RPUSH", "k", "v")
    several.do("b", "EXISTS", "k")
    several.raw("a", command("CLIENT", "REPLY", "OFF") + command("BLPOP", "k", 0) + command("CLIENT", "REPLY", "ON"))
    several.do("b", "RPUSH", "k", "v")
    several.raw("a", command("CLIENT", "REPLY", "SKIP") + command("BLPOP", "k", 0.01) + command("PING"))
    several.wait(0.15)


def test_clients_that_leave(several: Any) -> None:
    several.run("""
        a: BLPOP k 0
        b: BLPOP k 0
        c: BLPOP k 0
    """)
    several.leave("a")
    several.run("""
        w: RPUSH k 1
        w: CLIENT KILL ID @c
        w: RPUSH k 2
        w: LRANGE k 0 -1
        d: BLPOP nothing 0
    """)
    assert "<d> bU db=0 multi=-1 blpop" in same_clients(several)
    several.leave("d")
    assert several.store.execute((b"INFO", b"clients")).count(b"blocked_clients:0") == 1


def test_unblock(several: Any) -> None:
    several.run("""
        a: BLPOP k 0
        w: CLIENT UNBLOCK @a
        w: CLIENT UNBLOCK @a
        a: BLPOP k 0
        w: CLIENT UNBLOCK @a timeout
        a: BZPOPMIN k 0
        w: CLIENT UNBLOCK @a error
        a: WAIT 1 0
        w: CLIENT UNBLOCK @a
        a: WAIT 1 0
        w: CLIENT UNBLOCK @a ERROR
        w: CLIENT UNBLOCK @w
        w: CLIENT UNBLOCK 999999
        w: CLIENT UNBLOCK -1
        w: CLIENT UNBLOCK x
        w: CLIENT UNBLOCK @a x
        w: CLIENT UNBLOCK @a ERROR x
        w: CLIENT UNBLOCK
        w: RPUSH k v
        w: EXISTS k
        w: INFO errorstats
    """)


def calls(several: Any, side: int) -> dict[str, str]:
    """commandstats without the times."""
    text = several.sides[side].ask("w", "INFO", "commandstats").decode()
    lines = [line.split(":", 1) for line in text.splitlines() if line.startswith("cmdstat_")]
    return {
        name.lower(): ",".join(f for f in facts.split(",") if not f.startswith("usec"))
        for name, facts in lines
        if "info" not in name and "client" not in name and "config" not in name
    }


def test_figures(several: Any) -> None:
    several.run("""
        a: BLPOP k 0
        b: BLMOVE k dst LEFT LEFT 0
        c: BLPOP k 0
        w: SET dst x
        w: RPUSH k 1
        w: RPUSH k 2
        c: BLPOP none 0
        w: CLIENT UNBLOCK @c
        c: BLPOP none 0
        w: CLIENT UNBLOCK @c ERROR
        c: BLPOP none 0.01
    """)
    several.wait(0.15)
    assert calls(several, 1) == calls(several, 0)
    several.run("""
        a: BLPOP none 100
        b: BLPOP none 0
        w: INFO errorstats
    """)
    facts = []
    for side in several.sides:
        lines = side.ask("w", "INFO", "clients").decode().splitlines()
        facts.append([line for line in lines if line.startswith(("blocked_clients", "clients_in_timeout_table"))])
    assert facts[0] == facts[1] == ["blocked_clients:2", "clients_in_timeout_table:1"]


def test_slow_log(several: Any) -> None:
    """A command that waited stands in it when it is done, after the one that woke it."""
    several.run("""
        w: CONFIG SET slowlog-log-slower-than 0
        w: SLOWLOG RESET
        a: BLPOP k 0
        w: RPUSH k v
        w: CONFIG SET slowlog-log-slower-than 10000
    """)
    names = []
    for side in several.sides:
        text = side.ask("w", "SLOWLOG", "GET")
        names.append([word for word in text.split(b"\r\n") if word in (b"BLPOP", b"RPUSH", b"RESET", b"CONFIG")])
    assert names[0] == names[1]
    several.do("w", "SLOWLOG", "RESET")


def test_expiry(several: Any) -> None:
    """A key that is past its time wakes nobody."""
    several.run("""
        w: DEBUG SET-ACTIVE-EXPIRE 0
        w: RPUSH other v
        w: PEXPIRE other 20
    """)
    several.wait(0.06)
    several.run("""
        a: BLPOP k 0
        w: RENAME other k
        w: EXISTS k
        w: MULTI
        w: RPUSH k v
        w: PEXPIREAT k 1
        w: EXEC
        w: RPUSH k w
        w: DEBUG SET-ACTIVE-EXPIRE 1
    """)


# ---- CLIENT PAUSE


def test_pause_arguments(several: Any) -> None:
    for (
        words
    ) in """PAUSE; PAUSE x; PAUSE -1; PAUSE 1.5; PAUSE 1 x; PAUSE 1 WRITE x; PAUSE 99999999999999999999; UNPAUSE x;
            PAUSE 0; PAUSE 0 ALL; PAUSE 0 write; UNPAUSE; UNPAUSE""".split(";"):
        several.do("w", "CLIENT", *words.split())


def test_pause_writes(several: Any) -> None:
    several.run("""
        w: SET x 1
        w: CLIENT PAUSE 100000 WRITE
        a: SET x 2
        b: GET x
        c: MULTI
        c: GET x
        c: EXEC
        c: MULTI
        c: SET y 1
        d: PING
        d: PFCOUNT hll
        e: BLPOP k 0
    """)
    assert "<c> xbU db=0 multi=0 set" in same_clients(several)
    several.run("""
        w: CLIENT UNPAUSE
        c: EXEC
        w: MGET x y
    """)
    several.raw(
        "a", command("GET", "x") + command("CLIENT", "PAUSE", 100, "WRITE") + command("INCR", "x") + command("GET", "x")
    )
    several.wait(0.3)
    several.run("""
        f: MULTI
        f: INCR x
        w: CLIENT PAUSE 100000 WRITE
        f: EXEC
        w: GET x
        w: CLIENT UNPAUSE
        w: GET x
    """)


def test_pause_all(several: Any) -> None:
    several.run("""
        w: CLIENT PAUSE 300
        a: PING
        b: SET x 1
        w: CLIENT UNPAUSE
    """)
    several.wait(0.6)
    several.run("""
        w: GET x
        a: GET x
    """)


def test_pause_is_made_longer_or_another(several: Any) -> None:
    several.run("""
        w: CLIENT PAUSE 500 WRITE
        w: CLIENT PAUSE 10 ALL
        a: GET x
        b: SET x 1
    """)
    several.wait(0.8)
    several.run("""
        w: CLIENT PAUSE 400 ALL
        w: CLIENT UNPAUSE
    """)
    several.wait(0.7)
    several.run("w: GET x")


def test_nothing_expires_while_paused(several: Any) -> None:
    several.run("""
        w: SET e 1 PX 60
        w: SET f 1
        w: PEXPIRE f 60
        w: CLIENT PAUSE 100000 WRITE
    """)
    several.wait(0.2)
    several.run("""
        w: GET e
        w: EXISTS e f
        w: TTL e
        w: DBSIZE
        w: CLIENT UNPAUSE
        w: GET e
        w: GET f
        w: DBSIZE
    """)


def test_the_paused_come_in_order(several: Any) -> None:
    several.run("""
        w: CLIENT PAUSE 100000 WRITE
        b: RPUSH order b
        c: RPUSH order c
        a: RPUSH order a
        d: RPUSH order d
        w: CLIENT UNPAUSE
        w: LRANGE order 0 -1
    """)


def test_too_much_is_sent_meanwhile(several: Any) -> None:
    """client-query-buffer-limit holds for what lies behind a command that waits."""
    several.run("""
        w: CONFIG SET client-query-buffer-limit 1048576
        a: BLPOP k 0
        b: BLPOP k 0
    """)
    for _ in range(10):
        several.raw("a", command("SET", "x", "y" * 100_000))
    several.raw("a", command("SET", "x", "y" * 100_000))
    several.run("""
        w: RPUSH k v
        w: EXISTS k
        w: CONFIG SET client-query-buffer-limit 1073741824
    """)
