"""Positions and SORT when memory ends at any point: an error and nothing changed, never a broken store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import libkv
from tests.resp import command

PLACES = [word for i in range(140) for word in (f"{i % 90}.5", f"{i % 80}.25", f"m{i}")]
STATE = [
    ("GEOADD", "g", "13.36", "38.11", "Palermo", "15.08", "37.50", "Catania", "15.08", "37.50", "12"),
    ("GEOADD", "G", *PLACES),
    ("RPUSH", "l", *(i * 7 % 200 for i in range(200))),
    ("MSET", *(word for i in range(200) for word in (f"w{i}", i % 9))),
    ("HSET", "h1", "f", "x"),
    ("SADD", "s", "a", "b", "12"),
    ("ZADD", "z", 1, "1", 2, "2"),
]
COMMANDS = [
    ("GEOADD", "g", "1", "2", "new"), ("GEOADD", "new", "1", "2", "new"), ("GEOADD", "g", "1", "2", "n" * 70),
    ("GEOSEARCH", "G", "FROMLONLAT", "40", "40", "BYRADIUS", "9000", "km", "ASC", "COUNT", "7"),
    ("GEOSEARCH", "G", "FROMLONLAT", "40", "40", "BYBOX", "9000", "9000", "km", "WITHCOORD", "WITHDIST", "DESC"),
    ("GEOSEARCHSTORE", "new", "G", "FROMLONLAT", "40", "40", "BYRADIUS", "9000", "km"),
    ("GEOSEARCHSTORE", "s", "g", "FROMMEMBER", "Palermo", "BYRADIUS", "9000", "km", "STOREDIST"),
    ("GEORADIUS", "g", "15", "37", "500", "km", "STORE", "g"), ("GEORADIUSBYMEMBER", "g", "12", "1", "km"),
    ("SORT", "l"), ("SORT", "l", "ALPHA", "DESC", "LIMIT", "3", "5"),
    ("SORT", "l", "BY", "w*", "GET", "#", "GET", "w*"), ("SORT", "l", "STORE", "l"),
    ("SORT", "l", "BY", "w*", "LIMIT", "0", "9"), ("SORT", "l", "BY", "w*", "STORE", "new"),
    ("SORT", "l", "GET", "h*->f", "ALPHA", "STORE", "s"), ("SORT", "s", "ALPHA"), ("SORT_RO", "s", "BY", "nosort"),
]  # fmt: skip


def contents(session: Any) -> list[list[bytes]]:
    keys: list[tuple[Any, ...]] = [("ZRANGE", key, 0, -1, "WITHSCORES") for key in ("g", "G", "new", "z")]
    keys += [("LRANGE", "l", 0, -1), ("LRANGE", "new", 0, -1), ("SMEMBERS", "s"), ("TYPE", "new"), ("TYPE", "s")]
    return [sorted(session.feed(command(*key)).split(b"\r\n")) for key in keys]


def attempts(args: tuple[str, ...]) -> Iterator[tuple[bool, Any, Any]]:
    """Runs the command on a fresh state with 0, 1, 2, ... allocations allowed until it is not refused."""
    allowed = 0
    while allowed < 5000:
        with libkv.Store() as store:
            session = store.new_session()
            for state in STATE:
                session.feed(command(*state))
            before = contents(session)
            store.fail_allocations_after(allowed)
            reply = session.feed(command(*args))
            store.fail_allocations_after(-1)
            store.check()
            refused = reply.startswith(b"-OOM")
            yield refused, before, contents(session)
        if not refused:
            assert not reply.startswith(b"-"), reply
            return
        allowed += 1 + allowed // 16  # each of the first points, then fewer
    raise AssertionError("the command never succeeds")


@pytest.mark.parametrize("args", COMMANDS, ids=lambda args: "-".join(args)[:40])
def test_refused_means_unchanged(args: tuple[str, ...]) -> None:
    tried = list(attempts(args))
    assert all(after == before for refused, before, after in tried if refused)
    assert tried[-1][0] is False
