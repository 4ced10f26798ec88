"""The effect stream of a store, applied to an empty store and to redis-server, must lead to the same data."""

from __future__ import annotations

from typing import Any

import libkv
from tests.resp import Wire, command, parse, unordered


def contents(call: Any) -> dict[bytes, Any]:
    """Every list, set and string of database 0; `call` sends a command and returns its reply's bytes."""
    found = {}
    for key in parse(call("KEYS", "*"))[0]:
        kind = parse(call("TYPE", key))[0][1]
        if kind == b"list":
            found[key] = parse(call("LRANGE", key, 0, -1))[0]
        elif kind == b"set":
            found[key] = unordered(parse(call("SMEMBERS", key))[0])
        else:
            found[key] = call("GET", key)
    return found


def same_after_replay(pair: Any) -> bytes:
    """Takes the effects that pair's store has recorded since the beginning; returns them."""
    effects = bytes(pair.store.take_effects())
    expected = contents(lambda *args: pair.ours.feed(command(*args)))
    again = libkv.Store()
    try:
        again.replay(effects)
        session = again.new_session()
        assert contents(lambda *args: session.feed(command(*args))) == expected
        again.check()
    finally:
        again.close()
    replay_on(pair.real, effects)
    assert contents(pair.real.call) == expected
    return effects


def replay_on(wire: Wire, effects: bytes) -> None:
    wire.call("FLUSHALL")
    at = 0
    while at < len(effects):
        words, at = parse(effects, at)
        reply = wire.call(*words)
        assert not reply.startswith(b"-"), (words, reply)
    wire.call("SELECT", 0)
