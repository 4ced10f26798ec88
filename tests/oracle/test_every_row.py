"""Every row of the command table is called, with few and many, good and odd arguments: redis-server's answer is ours."""

from __future__ import annotations

import random

import pytest

from libkv.commands.facts import rows
from tests.oracle.conftest import Pair
from tests.resp import parse, unordered

# ends, mutes or takes over the connection, or the server; waits; writes files; is told by a test of its own
APART = frozenset(
    "shutdown monitor psync sync subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe quit reset wait "
    "client|reply client|kill client|pause replicaof slaveof failover replconf debug script|debug migrate bgsave save "
    "bgrewriteaof config|set config|rewrite acl|save acl|load auth hello select multi exec discard".split()
)
# tells of a process, of time, or of chance: only the kind of reply is the same
OWN = frozenset(
    "client|id client|list client|info info time lastsave memory|stats memory|usage memory|doctor memory|malloc-stats "
    "lolwut acl|genpass acl|log latency|doctor latency|histogram command command|info command|docs command|list "
    "config|get slowlog|get slowlog|len role randomkey xadd object|freq object|idletime object|refcount dump function|dump "
    "function|stats scan".split()
)
WORDS = ["a", "b", "1", "0", "-1", "x", "10", "k", "*", "5.5", "COUNT", "LIMIT", "WITHSCORES", ""]
ROWS = [row for _, row in rows() if row.name not in APART and "blocking" not in row.flags]


def test_nearly_every_row_is_here() -> None:
    assert len(ROWS) > 290


@pytest.mark.parametrize("seed", range(8))
def test_every_row(pair: Pair, seed: int) -> None:
    r = random.Random(seed)
    whole = ("ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all")
    for words in (("ACL", "DELUSER", *WORDS), whole, ("FUNCTION", "FLUSH"), ("SLOWLOG", "RESET")):  # of an earlier test
        pair.both(*words)
    for row in r.sample(ROWS, len(ROWS)):
        words = (*row.name.split("|"), *(r.choice(WORDS) for _ in range(r.randint(0, 5))))
        theirs, ours = pair.both(*words)
        if theirs == ours:
            continue
        if row.name in OWN or row.name.endswith("|help"):
            assert theirs[:1] == ours[:1], f"{words}\nredis {theirs!r}\nours  {ours!r}"
            continue
        assert unordered(parse(theirs)[0]) == unordered(parse(ours)[0]), f"{words}\nredis {theirs!r}\nours  {ours!r}"
