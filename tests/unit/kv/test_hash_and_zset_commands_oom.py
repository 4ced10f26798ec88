"""Hash and sorted-set commands when memory ends at any point: an error and nothing changed, never a broken store."""

from __future__ import annotations

import pytest

import libkv
from tests.resp import command

STATE = [
    ("ZADD", "z", 1, "a", 2, "b", 2.5, "c", 3, "12"),
    ("HSET", "h", "f", "1", "g", "2", "12", "x"),
    ("SADD", "s", "a", "c"),
]
LARGE = [
    ("ZADD", "Z", *[w for i in range(140) for w in (i, f"m{i}")]),
    ("HSET", "H", *[w for i in range(140) for w in (f"m{i}", i)]),
]

WHOLE = [
    ("HSET", "{h}", "f", "a longer value than it was"), ("HSET", "new", "f", "v"), ("HSET", "{h}", "f", "v" * 70),
    ("HSETNX", "{h}", "n", "v"),
    ("HSETNX", "new", "n", "v"), ("HINCRBY", "{h}", "f", 12345), ("HINCRBY", "new", "f", 1),
    ("HINCRBYFLOAT", "{h}", "g", "0.1"),
    ("HINCRBYFLOAT", "new", "g", "0.1"), ("HDEL", "{h}", "f"), ("HRANDFIELD", "{h}", 50), ("HRANDFIELD", "{h}", -5),
    ("ZADD", "{z}", 5, "n"), ("ZADD", "{z}", 9, "a"), ("ZADD", "{z}", "INCR", 0.25, "a"), ("ZADD", "new", 5, "n"),
    ("ZADD", "{z}", 5, "n" * 70),
    ("ZINCRBY", "{z}", 100, "b"), ("ZREM", "{z}", "a"), ("ZPOPMIN", "{z}"), ("ZPOPMAX", "{z}", 2),
    ("ZMPOP", 1, "{z}", "MIN", "COUNT", 2),
    ("ZRANDMEMBER", "{z}", 50), ("ZRANGESTORE", "new", "{z}", 0, 5), ("ZRANGESTORE", "{z}", "{z}", 1, 2),
    ("ZREMRANGEBYRANK", "{z}", 1, 2),
    ("ZREMRANGEBYSCORE", "{z}", 2, 3), ("ZREMRANGEBYLEX", "{z}", "-", "+"), ("ZUNION", 2, "{z}", "s", "WITHSCORES"),
    ("ZDIFF", 2, "{z}", "s"),
    ("ZUNIONSTORE", "new", 2, "{z}", "s"), ("ZINTERSTORE", "{z}", 2, "{z}", "s"), ("ZDIFFSTORE", "s", 2, "{z}", "s"),
    ("ZINTERCARD", 2, "{z}", "s"),
]  # fmt: skip
IN_PARTS = [
    ("HSET", "{h}", "f", "v" * 30, "n", "v", "o", "w"), ("HMSET", "new", "a", "v", "b", "w", "c", "x" * 70),
    ("HDEL", "{h}", "f", "g", "12"),
    ("ZADD", "{z}", 5, "n", 6, "o", 7, "a" * 70), ("ZADD", "new", 5, "n", 6, "o"), ("ZREM", "{z}", "a", "b", "c"),
]  # fmt: skip


def contents(session):
    keys = [("HGETALL", "h"), ("HGETALL", "H"), ("HGETALL", "new"), ("SMEMBERS", "s"), ("TYPE", "new"), ("TYPE", "s")]
    keys += [("ZRANGE", key, 0, -1, "WITHSCORES") for key in ("z", "Z", "new", "s")]
    return [sorted(session.feed(command(*key)).split(b"\r\n")) for key in keys]


def attempts(args, large):
    """Runs the command on a fresh state with 0, 1, 2, ... allocations allowed until it is not refused."""
    args = [{"{h}": "H" if large else "h", "{z}": "Z" if large else "z"}.get(a, a) for a in args]
    allowed = 0
    while allowed < 5000:
        store = libkv.Store(hash_max_listpack_entries=128)
        session = store.new_session()
        for state in STATE + LARGE:
            session.feed(command(*state))
        before = contents(session)
        store.fail_allocations_after(allowed)
        reply = session.feed(command(*args))
        store.fail_allocations_after(-1)
        store.check()
        refused = reply.startswith(b"-OOM")
        yield refused, before, contents(session)
        store.close()
        if not refused:
            assert not reply.startswith(b"-")
            return
        allowed += 1 + allowed // 16  # each of the first points, then fewer
    raise AssertionError("the command never succeeds")


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("args", WHOLE, ids=lambda args: "-".join(map(str, args))[:40])
def test_refused_means_unchanged(args, large):
    for refused, before, after in attempts(args, large):
        assert not refused or after == before


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("args", IN_PARTS, ids=lambda args: "-".join(map(str, args))[:40])
def test_a_command_that_ends_halfway_leaves_a_sound_store(args, large):
    refusals = sum(refused for refused, _, _ in attempts(args, large))
    assert refusals > 0 or (large and args[0] in ("HDEL", "ZREM"))  # out of a table without memory
