"""Key positions of every command beside COMMAND GETKEYSANDFLAGS of redis-server, over random arguments."""

from __future__ import annotations

import random

import pytest

from libkv.commands.facts import rows
from libkv.engine.registry import key_positions
from tests.resp import Wire, parse

WORDS = (
    "a", "b", "k1", "KEYS", "keys", "STREAMS", "streams", "STORE", "store", "StoreDist", "GET", "get", "set", "incrby",
    "overflow", "limit", "by", "group", "block", "count", "noack", "auth", "auth2", "copy", "replace", "0", "1", "2",
    "3", "-1", "2x", "10", "u8", "x", "",
)  # fmt: skip
CONTAINERS = {row.name.split("|")[0] for _, row in rows() if "|" in row.name}
ROWS = [row for _, row in rows() if row.name not in CONTAINERS]
BY_SYNTAX = [
    row for row in ROWS
    if row.name in {"set", "bitfield", "sort", "sort_ro", "migrate"} or any(
        word in spec for spec in row.keys for word in ("keyword", "keynum", "unknown")
    )
]  # fmt: skip


def expected(row, argv):
    """What COMMAND GETKEYSANDFLAGS answers if our positions are right."""
    if all(spec.startswith("not_key") for spec in row.keys):
        return ("-", b"ERR The command has no key arguments")
    if found := key_positions(row, [word.encode() for word in argv]):
        return [[argv[at].encode(), [("+", flag.encode()) for flag in flags]] for at, flags in found]
    if "no_mandatory_keys" in row.flags:
        return []
    return ("-", b"ERR Invalid arguments specified for command")


@pytest.mark.parametrize("seed", range(4))
def test_random_arguments(redis_socket, seed):
    real, chance = Wire(redis_socket), random.Random(seed)
    seen = set()
    for _ in range(3000):
        row = chance.choice(BY_SYNTAX if chance.random() < 0.6 else ROWS)
        name = row.name.split("|")
        length = abs(row.arity) + (chance.randrange(9) if row.arity < 0 else 0)
        if length < 2:
            continue  # COMMAND GETKEYS wants an argument
        argv = name + [chance.choice(WORDS) for _ in range(length - len(name))]
        assert parse(real.call("COMMAND", "GETKEYSANDFLAGS", *argv))[0] == expected(row, argv), argv
        seen.add(row.name)
    assert len(seen) > 150
    real.close()
