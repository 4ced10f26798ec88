"""A store by itself: CLUSTER, MODULE and the commands of replication answer as redis-server does with none configured."""

from __future__ import annotations

import pytest

import libkv
import libkv.errors
from libkv.commands.facts import cluster
from tests.oracle.conftest import Pair
from tests.resp import command, parse

LINES = """
ASKING|ASKING x|READONLY|READONLY x|READWRITE|CLUSTER|CLUSTER nosuch|CLUSTER nosuch x|CLUSTER info x|CLUSTER keyslot
MODULE|MODULE LIST|MODULE LIST x|MODULE LOAD|MODULE LOAD x|MODULE LOAD a b c|MODULE LOADEX|MODULE LOADEX x
MODULE LOADEX x CONFIG a b|MODULE UNLOAD|MODULE UNLOAD x|MODULE nosuch
REPLICAOF|REPLICAOF NO ONE|replicaof no one|SLAVEOF no one|REPLICAOF no two|REPLICAOF a b|REPLICAOF a 99999999999999999999
REPLICAOF a 70000|REPLICAOF a 65536|REPLICAOF a -1|REPLICAOF no one 1|SLAVEOF a x|ROLE|ROLE x|PSYNC a b|PSYNC a
REPLCONF|REPLCONF a|REPLCONF a b|REPLCONF listening-port 1|REPLCONF listening-port x|REPLCONF ip-address 1.2.3.4
REPLCONF capa eof capa psync2|REPLCONF rdb-only 1|REPLCONF rdb-only 2|REPLCONF rdb-only x|REPLCONF rdb-filter-only foo
REPLCONF rdb-filter-only functions|REPLCONF version 7|REPLCONF capa x listening-port 1 nosuch 2|REPLCONF capa
REPLCONF listening-port 99999999999999999999|REPLCONF ack 1 capa
FAILOVER|FAILOVER ABORT|FAILOVER TO a 1|FAILOVER TO a 1 FORCE|FAILOVER TO a x FORCE TIMEOUT 1|FAILOVER TIMEOUT -1|FAILOVER TIMEOUT x
FAILOVER FORCE|FAILOVER nosuch|FAILOVER ABORT TO a 1|FAILOVER TIMEOUT 10 TIMEOUT 10|FAILOVER TO|FAILOVER TO a|FAILOVER TIMEOUT 0
FAILOVER FORCE FORCE|FAILOVER Timeout 5 To h 1|FAILOVER ABORT ABORT|FAILOVER TO a 99999999999999|FAILOVER TIMEOUT
"""


@pytest.mark.parametrize("line", [line for row in LINES.strip().splitlines() for line in row.split("|")])
def test_lines(pair: Pair, line: str) -> None:
    pair.same(*line.split())
    pair.same("MULTI")
    pair.same(*line.split())
    pair.same("EXEC")


def test_replconf_with_spaces(pair: Pair) -> None:
    pair.same("REPLCONF", "rdb-filter-only", "")
    pair.same("REPLCONF", "rdb-filter-only", "functions foo")


@pytest.mark.parametrize("row", [row for row in cluster.ROWS if "|" in row.name], ids=lambda row: row.name)
def test_each_subcommand_of_cluster(pair: Pair, row: object) -> None:
    words = row.name.split("|")  # type: ignore[attr-defined]
    arity = row.arity  # type: ignore[attr-defined]
    for n in range(5):
        pair.same(*words, *"abcd"[:n])
    assert abs(arity) - len(words) <= 4


@pytest.mark.parametrize("name", ["MODULE", "LATENCY"])
def test_help_names_the_same_subcommands(pair: Pair, name: str) -> None:
    """In our own words."""
    theirs, ours = ([line for _, line in parse(reply)[0] if line[:1] != b" "] for reply in pair.both(name, "HELP"))
    assert theirs == ours


def test_what_replicas_say_is_not_answered(pair: Pair) -> None:
    for words in (("REPLCONF", "ack", "0"), ("REPLCONF", "GETACK", "*"), ("REPLCONF", "capa", "eof", "ack", "1")):
        assert pair.ours.feed(command(*words) + command("PING")) == b"+PONG\r\n"
        pair.real.send(command(*words))
        assert pair.real.call("PING") == b"+PONG\r\n"


@pytest.mark.parametrize("words", [("REPLICAOF", "127.0.0.1", "6379"), ("PSYNC", "?", "-1"), ("SYNC",)])
def test_replication_is_refused_with_a_reason(pair: Pair, words: tuple[str, ...]) -> None:
    assert pair.ours.feed(command(*words)).startswith(b"-ERR this store has no replication")
    assert b"\r\nrole:master\r\n" in pair.ours.feed(command("INFO", "replication"))


def test_modules_may_be_asked_for_where_allowed(pair: Pair) -> None:
    with libkv.Store(enable_module_command="local") as store:
        ours = store.new_session()
        assert ours.feed(command("MODULE", "LOAD", "/x.so")).startswith(b"-ERR Error loading the extension.")
        assert ours.feed(command("MODULE", "UNLOAD", "x")).startswith(b"-ERR Error unloading module: no such module")


def test_replication_raises_in_the_api() -> None:
    with libkv.Store() as store:
        with pytest.raises(libkv.errors.ResponseError, match="this store has no replication"):
            store.replicaof("127.0.0.1", 6379)
        assert store.role() == [b"master", 0, []]
