"""Stream commands when memory ends at any point: nothing changed, or a part of it; never a broken store."""

from __future__ import annotations

import pytest

import libkv
from tests.resp import command

STATE = [
    *[("XADD", "s", f"{n}-1", "f", n) for n in range(1, 5)],
    ("XGROUP", "CREATE", "s", "g", "0"),
    ("XREADGROUP", "GROUP", "g", "alice", "COUNT", 2, "STREAMS", "s", ">"),
    ("XADD", "old", "1-1", "a", "b"),
    *[("XADD", "S", f"{n}-1", "f", n) for n in range(1, 300)],
    ("XGROUP", "CREATE", "S", "g", "0"),
    ("XREADGROUP", "GROUP", "g", "alice", "COUNT", 123, "STREAMS", "S", ">"),
]
WHOLE = [
    ("XADD", "{s}", "9999-1", "f", "v"), ("XADD", "{s}", "9999-1", "other", "v" * 5000, "g", "x"),
    ("XADD", "new", "1-1", "f", "v"), ("XADD", "{s}", "9999-1", *["w"] * 300), ("XADD", "old", "*", "a", "c"),
    ("XDEL", "{s}", "2-1"), ("XDEL", "old", "1-1"), ("XTRIM", "{s}", "MAXLEN", 1), ("XTRIM", "{s}", "MINID", "3-1"),
    ("XGROUP", "CREATE", "{s}", "h", "$"), ("XGROUP", "CREATE", "new", "h", "$", "MKSTREAM"),
    ("XGROUP", "CREATECONSUMER", "{s}", "g", "bob"), ("XGROUP", "DELCONSUMER", "{s}", "g", "alice"),
    ("XREADGROUP", "GROUP", "g", "alice", "COUNT", 1, "STREAMS", "{s}", ">"), ("XACK", "{s}", "g", "1-1"),
    ("XCLAIM", "{s}", "g", "alice", 0, "4-1", "FORCE"),
    ("XCLAIM", "{s}", "g", "alice", 0, *[f"{n}-9" for n in range(70)]),
    ("COPY", "{s}", "new"), ("XRANGE", "{s}", "-", "+"), ("XINFO", "STREAM", "{s}", "FULL"), ("XPENDING", "{s}", "g"),
    ("XREAD", "STREAMS", *["{s}"] * 40, *["0"] * 40), ("XACK", "{s}", "g", *[f"{n}-9" for n in range(70)]),
]  # fmt: skip
IN_PARTS = [
    ("XADD", "{s}", "MAXLEN", 2, "9999-1", "f", "v"), ("XREADGROUP", "GROUP", "g", "bob", "STREAMS", "{s}", ">"),
    ("XCLAIM", "{s}", "g", "bob", 0, "1-1", "2-1"), ("XAUTOCLAIM", "{s}", "g", "bob", 0, "0"),
    ("XREADGROUP", "GROUP", "g", "bob", "NOACK", "STREAMS", "{s}", ">"), ("XDEL", "{s}", "1-1", "2-1", "3-1"),
]  # fmt: skip


def contents(session):
    keys = [("XRANGE", key, "-", "+") for key in ("s", "S", "old", "new")]
    keys += [("XINFO", what, key) for key in ("s", "S", "old", "new") for what in ("STREAM", "GROUPS")]
    keys += [("XPENDING", key, "g") for key in ("s", "S")]
    return [session.feed(command(*key)) for key in keys]


def attempts(args, large, node_entries):
    """Runs the command on a fresh state with 0, 1, 2, ... allocations allowed until it is not refused."""
    args = ["S" if large and a == "{s}" else "s" if a == "{s}" else a for a in args]
    allowed = 0
    while allowed < 5000:
        store = libkv.Store(stream_node_max_entries=node_entries)
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
        store.close()
        if not refused and allowed > 12:
            assert not reply.startswith(b"-"), reply
            return
        allowed += 1 + allowed // 16  # each of the first points, then fewer
    raise AssertionError("the command never succeeds")


@pytest.mark.parametrize("node_entries", [100, 4, 0])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("args", WHOLE, ids=lambda args: "-".join(map(str, args))[:40])
def test_refused_means_unchanged(args, large, node_entries):
    for refused, before, after in attempts(args, large, node_entries):
        assert not refused or after == before


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("args", IN_PARTS, ids=lambda args: "-".join(map(str, args))[:40])
def test_a_command_that_ends_halfway_leaves_a_sound_store(args, large):
    states = [(before, after) for _, before, after in attempts(args, large, 100)]
    assert states[-1][0] != states[-1][1]


@pytest.mark.parametrize("allowed", range(12))
def test_what_was_not_trimmed_is_not_told_as_trimmed(allowed):
    """XADD with MAXLEN whose trimming finds no memory: the effect must not trim elsewhere either."""
    store = libkv.Store(stream_node_max_entries=0, stream_node_max_bytes=0)
    session = store.new_session()
    store.record_effects(True)
    for n in range(1, 130):
        session.feed(command("XADD", "s", f"{n}-1", "f", n))
    store.fail_allocations_after(allowed)
    session.feed(command("XADD", "s", "MAXLEN", 1, "999-1", "f", "v" * 100))
    store.fail_allocations_after(-1)
    store.check()
    again = libkv.Store(stream_node_max_entries=0, stream_node_max_bytes=0)
    words = (b"XRANGE", b"s", b"-", b"+")
    again.replay(bytes(store.take_effects()))
    assert again.execute(words) == store.execute(words)
    again.close()
    store.close()
