"""MONITOR beside redis-server: which commands are shown, how, and in which order."""

from __future__ import annotations

from typing import Any

import pytest


def test_lines(several: Any) -> None:
    several.run("""
        m: MONITOR
        m: CLIENT INFO
        b: SELECT 3
        b: SET k v
        b: AUTH x
        b: AUTH x y
        b: AUTH x y z
        b: CONFIG GET maxmemory
        b: CLIENT LIST
        b: CLIENT SETNAME n
        b: HELLO 3 SETNAME foo
        b: HELLO 3 AUTH default x
        b: HELLO 3 AUTH default x SETNAME y
        b: NOSUCH
        b: GET
        b: set A b c d
        b: DEBUG SLEEP 0
        b: SLOWLOG GET
        b: EXPIRE k 1000
        b: GETEX k EX 1000
        b: INCRBYFLOAT f 1.5
        b: SUBSCRIBE x
        b: UNSUBSCRIBE
        b: PUBLISH x 1
        b: DBSIZE
        b: RESET
        b: COMMAND COUNT
        b: FLUSHALL
        b: CLIENT TRACKING OFF
        b: PING
        b: ECHO x
        b: QUIT
    """)
    several.do("c", "SET", b'a\x00b\r\n"q"\\\x07\x08\t\xff\x7f ', "\u00e4")


def test_transactions(several: Any) -> None:
    several.run("""
        m: MONITOR
        b: MULTI
        b: SET x 1
        b: GET x
        b: LPUSH x 1
        b: EXEC
        b: MULTI
        b: DISCARD
        b: MULTI
        b: NOSUCH
        b: EXEC
        b: EXEC
        b: WATCH x
        b: MULTI
        b: SET x 2
        c: SET x 3
        b: EXEC
        b: UNWATCH
    """)


def test_a_monitor_is_a_client(several: Any) -> None:
    several.run("""
        n: MONITOR
        m: MONITOR
        m: MONITOR
        m: MONITOR x
        m: GET x
        m: SET x 1
        m: PUBLISH a b
        m: PING
        m: SUBSCRIBE a
        b: PUBLISH a xx
        m: MONITOR
        m: PING
        m: UNSUBSCRIBE
        m: MULTI
        m: PING
        m: MONITOR
        m: EXEC
        m: MULTI
        m: GET x
        m: EXEC
        m: DISCARD
        m: CLIENT LIST
        b: CLIENT LIST TYPE replica
        b: CLIENT LIST TYPE normal
        m: CLIENT REPLY OFF
        b: PING
        m: CLIENT REPLY SKIP
        m: CLIENT REPLY ON
        m: CLIENT REPLY SKIP
        m: PING
        m: PING
        m: RESET
        m: PING
        m: MONITOR
        m: QUIT
        b: MULTI
        b: MONITOR
        b: EXEC
    """)
    several.leave("n")
    several.do("b", "PING")


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_beside_messages(several: Any, protocol: str) -> None:
    several.do("m", "HELLO", protocol)
    several.run("""
        m: MONITOR
        m: SUBSCRIBE a
        m: PING
        b: PUBLISH a 1
        m: UNSUBSCRIBE
    """)


def test_waiting_commands(several: Any) -> None:
    """Shown once, when they come."""
    several.run("""
        m: MONITOR
        b: BLPOP l 0
        c: RPUSH l 1
        b: BLPOP l 0.4
    """)
    several.wait(0.8)
    several.do("b", "PING")


def test_scripts(several: Any) -> None:
    """A script's line stands before those of its commands."""
    several.do("m", "MONITOR")
    several.do("b", "SELECT", "3")
    several.do("b", "EVAL", 'redis.call("set","k","v"); return redis.call("GET",KEYS[1])', "1", "k")
    several.do("b", "EVAL", "return 1", "x")
    several.do("b", "EVALSHA", "x", "0")
    several.do("b", "MULTI")
    several.do("b", "EVAL", 'return redis.call("get","k")', "0")
    several.do("b", "EXEC")
