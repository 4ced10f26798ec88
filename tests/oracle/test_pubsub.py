"""Publish and subscribe beside redis-server: what every client gets, in bytes and order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.resp import command


def test_subscriber_context(several: Any) -> None:
    several.run("""
        a: SUBSCRIBE x y x
        a: PSUBSCRIBE x*
        a: SSUBSCRIBE s1 x
        a: GET k
        a: PING
        a: PING hi
        a: PING a b
        a: CLIENT INFO
        a: NOSUCH
        a: GET
        a: MULTI
        a: HELLO 3
        a: PUBLISH x 1
        a: AUTH x y
        b: PUBLISH x m
        b: SPUBLISH x m
        b: SPUBLISH y m
        b: PUBLISH xyz m
        b: CLIENT LIST TYPE pubsub
        b: CLIENT LIST TYPE normal
        b: CLIENT LIST
        b: PUBSUB NUMSUB x q y
        b: PUBSUB NUMPAT
        b: PUBSUB SHARDNUMSUB x s1 y
        a: UNSUBSCRIBE y
        a: UNSUBSCRIBE
        a: UNSUBSCRIBE
        a: UNSUBSCRIBE nope x
        a: PUNSUBSCRIBE
        a: PUNSUBSCRIBE q
        a: SUNSUBSCRIBE x
        a: SUNSUBSCRIBE
        a: SUNSUBSCRIBE
        a: GET k
        a: SUBSCRIBE x
        a: RESET
        a: GET k
        b: PUBLISH x gone
        a: SUBSCRIBE x
        a: QUIT
        b: PUBLISH x gone
    """)


def test_the_empty_channel(several: Any) -> None:
    """No pattern takes it but the empty one."""
    several.do("a", "PSUBSCRIBE", "*", "**", "?", "")
    several.do("b", "SUBSCRIBE", "")
    for _ in range(2):
        several.do("w", "PUBLISH", "", "m")
        several.do("w", "PUBSUB", "CHANNELS", "*")
        several.do("w", "PUBSUB", "CHANNELS")


def test_exec_that_is_refused_ends_its_transaction(several: Any) -> None:
    """Whatever refuses EXEC, and also where there is no transaction."""
    several.run("""
        a: EXEC x
        a: MULTI
        a: SET k v
        a: EXEC x
        a: EXEC
        a: SUBSCRIBE x
        a: EXEC
        a: RESET
        a: MULTI
        a: SUBSCRIBE x
        a: EXEC
        a: EXEC
        a: RESET
        a: ACL SETUSER limited on nopass ~* +@all -exec
        a: AUTH limited x
        a: EXEC
        a: MULTI
        a: SET k v
        a: EXEC
        a: DISCARD
        a: RESET
        a: ACL DELUSER limited
        a: GET k
    """)


def test_what_waited_goes_on_in_the_order_it_was_served(several: Any) -> None:
    """Also when those that waited have been told something else before: messages."""
    several.run("""
        a: HELLO 3
        a: SUBSCRIBE x
        b: HELLO 3
        b: SUBSCRIBE x
        c: HELLO 3
        c: SUBSCRIBE x
        d: SUBSCRIBE out
    """)
    for order in ("abc", "cba", "bca"):
        for name in order:
            several.do(name, "BLPOP", "l", 0)
            several.do(name, "PUBLISH", "out", f"from {name}")
        several.raw("w", command("PUBLISH", "x", "m") + command("RPUSH", "l", *"123"))


def test_resp3(several: Any) -> None:
    several.do("a", "HELLO", "2")
    several.do("b", "HELLO", "2")
    several.run("""
        a: HELLO 3 SETNAME a
        a: SUBSCRIBE x
        a: PSUBSCRIBE x*
        a: SSUBSCRIBE x
        a: PING
        a: PING u
        a: GET k
        a: PUBLISH x self
        a: SPUBLISH x self
        a: MULTI
        a: GET a
        a: PUBLISH x tx
        a: GET b
        a: UNSUBSCRIBE x
        a: SUBSCRIBE x
        a: EXEC
        a: CLIENT INFO
        b: SUBSCRIBE x
        c: PUBLISH x both
        a: UNSUBSCRIBE
        a: UNSUBSCRIBE
        a: PUNSUBSCRIBE
        a: PUNSUBSCRIBE
        a: HELLO 2
        a: GET k
        a: SUNSUBSCRIBE
        a: SUNSUBSCRIBE
        a: GET k
    """)
    several.raw("c", command("PUBLISH", "x", "1") + command("GET", "k") + command("PUBLISH", "x", "2"))


def test_in_a_transaction(several: Any) -> None:
    several.run("""
        a: MULTI
        a: SUBSCRIBE x y
        a: PUBLISH x 1
        a: GET k
        a: UNSUBSCRIBE y x
        a: PING
        a: EXEC
        a: MULTI
        a: SSUBSCRIBE x
        a: SPUBLISH x 1
        a: SPUBLISH y 1
        a: EXEC
        a: MULTI
        a: SUBSCRIBE x
        a: EXEC
        a: MULTI
        b: PUBLISH x 1
    """)


def test_errors_and_empty_answers(several: Any) -> None:
    several.run("""
        a: PUBSUB
        a: PUBSUB NOPE
        a: PUBSUB CHANNELS
        a: PUBSUB CHANNELS a b
        a: PUBSUB SHARDCHANNELS a b
        a: PUBSUB SHARDCHANNELS
        a: PUBSUB NUMPAT x
        a: PUBSUB NUMSUB
        a: PUBSUB SHARDNUMSUB
        a: SUBSCRIBE
        a: PSUBSCRIBE
        a: SSUBSCRIBE
        a: PUBLISH x
        a: SPUBLISH x y z
        a: PUBLISH x y
        a: SUBSCRIBE ''
        b: PUBLISH '' ''
        b: PUBSUB NUMSUB ''
    """)


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_client_reply(several: Any, protocol: str) -> None:
    """What is pushed comes although replies are off."""
    several.do("a", "HELLO", protocol)
    several.run("""
        a: CLIENT REPLY OFF
        a: SUBSCRIBE x
        b: PUBLISH x 1
        a: SUBSCRIBE y
        a: PUNSUBSCRIBE
        a: PING
        a: PUBLISH x 2
        a: CLIENT REPLY ON
        a: CLIENT REPLY SKIP
        b: PUBLISH x 3
        a: PUBLISH x 4
        a: PING
        a: UNSUBSCRIBE x y
        a: CLIENT REPLY ON
        a: CLIENT REPLY SKIP
        a: SUBSCRIBE x
        a: SUBSCRIBE x
    """)


def test_many_names(several: Any) -> None:
    names = [f"channel:{i}" for i in range(300)]
    several.do("a", "HELLO", "3")
    several.do("a", "SUBSCRIBE", *names)
    several.do("b", "SUBSCRIBE", *names[::2])
    for name in ("channel:0", "channel:299", "channel:300", "channel:128"):
        several.do("c", "PUBLISH", name, "m")
        several.do("c", "PUBSUB", "NUMSUB", name)
    several.do("c", "PUBSUB", "CHANNELS", "channel:29?", unordered=True)
    several.do("c", "PUBLISH", names[7], b"\x00\xff" * 40000)
    several.do("a", "UNSUBSCRIBE", *names[:299])
    several.leave("b")
    several.do("c", "PUBSUB", "CHANNELS")
    several.leave("a")
    several.do("c", "PUBSUB", "CHANNELS")


def test_random_programs(several: Any) -> None:
    """Four clients, two of each protocol, subscribe, leave and publish at random."""
    draw = random.Random(7)
    names = ["a", "b", "c", "d"]
    channels = ["x", "xx", "y", "[z]", "z"]
    patterns = ["*", "x*", "?", "[[]z]", "y"]
    for name in names[:2]:
        several.do(name, "HELLO", "3")
    for _ in range(200):
        name = draw.choice(names)
        word = draw.choice(["SUBSCRIBE", "UNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE"])
        several.do(name, word, *draw.choices(patterns if "P" in word else channels, k=draw.randint(1, 2)))
        several.do("e", draw.choice(["PUBLISH", "SPUBLISH"]), draw.choice(channels), "m", unordered=True)
    several.do("e", "PUBSUB", "NUMSUB", *channels)
    several.do("e", "PUBSUB", "SHARDNUMSUB", *channels)
    several.do("e", "PUBSUB", "NUMPAT")
    several.store.check()
    for name in names:
        several.leave(name)
    several.store.check()


def test_info_fields(several: Any) -> None:
    several.do("a", "SUBSCRIBE", "x", "y")
    several.do("a", "PSUBSCRIBE", "p*")
    several.do("a", "SSUBSCRIBE", "s")
    for field in ("pubsub_channels", "pubsub_patterns", "pubsubshard_channels"):
        real, ours = (info(side)[field] for side in several.sides)
        assert ours == real != b"0"


def info(side: Any) -> dict[str, bytes]:
    """INFO's fields."""
    side.client("control").take()
    lines = side.ask("control", "INFO").split(b"\r\n")
    return {name.decode(): value for name, _, value in (line.partition(b":") for line in lines) if value}
