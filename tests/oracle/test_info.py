"""INFO and the rest of the server group, side by side with redis-server."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.oracle.conftest import Pair
from tests.resp import parse

SECTIONS = ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats"]
SECTIONS += ["errorstats", "latencystats", "cluster", "keyspace"]
# fields whose values say the same in both, whatever they are
SAME = re.compile(
    r"redis_version|redis_git_|redis_mode|arch_bits|monotonic_clock|multiplexing_api|atomicvar_api|process_supervised|os|hz|"
    r"configured_hz|io_threads_active|cluster_|maxclients|blocked_clients|tracking_clients|clients_in_timeout_table|"
    r"maxmemory|total_system_memory|number_of_|active_defrag|loading|async_loading|current_(cow|fork|save)|"
    r"rdb_(bgsave|last_bgsave|current|saves|last_cow|last_load)|aof_|module_fork|total_net_repl|sync_|expired_keys|"
    r"evicted_|total_eviction|keyspace_|pubsub|latest_fork|total_forks|migrate|slave_expires|total_active|tracking_total|"
    r"unexpected_error|dump_payload|io_threaded|role|connected_slaves|master_failover|master_replid2|master_repl_offset|"
    r"second_repl|repl_backlog|mem_not_counted|mem_repl|mem_total_repl|mem_clients_slaves|mem_cluster|mem_aof|lazyfree"
)
VARY = {"used_memory_lua", "active_defrag_running"}
# of the redis-server that all tests share: one of them may have loaded something
VARY |= {"rdb_last_load_keys_loaded", "rdb_last_load_keys_expired"}


def sections(reply: bytes) -> dict[str, dict[str, str]]:
    """Field -> value by section, in order."""
    value = parse(reply)[0]
    assert isinstance(value, bytes)
    out: dict[str, dict[str, str]] = {}
    for part in value.decode().split("\r\n\r\n") if value else []:
        head, *lines = part.removesuffix("\r\n").split("\r\n")
        assert head.startswith("# ")
        out[head[2:]] = dict(line.split(":", 1) for line in lines)
    return out


def both(pair: Pair, *args: Any) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    theirs, ours = (sections(reply) for reply in pair.both("INFO", *args))
    return theirs, ours


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("default",),
        ("all",),
        ("everything",),
        ("ALL",),
        ("cpu", "server"),
        ("nosuch",),
        ("nosuch", "cpu", "cpu"),
        ("default", "commandstats"),
        *((name,) for name in SECTIONS),
    ],
    ids=str,
)
def test_sections_and_fields_in_order(pair: Pair, args: tuple[str, ...]) -> None:
    theirs, ours = both(pair, *args)
    assert list(ours) == list(theirs)
    for name in theirs:
        if name in ("Commandstats", "Latencystats", "Errorstats", "Keyspace"):
            continue
        fields = [field for field in ours[name] if field != "libkv_version"]
        assert fields == list(theirs[name]), name
    assert "libkv_version" in ours.get("Server", {"libkv_version": ""})


def test_values_that_mean_the_same(pair: Pair) -> None:
    theirs, ours = both(pair, "everything")
    compared = 0
    for section, fields in theirs.items():
        for field, value in fields.items():
            if SAME.match(field) and field not in VARY and not field.startswith("repl_backlog_f"):
                assert ours[section][field] == value, f"{field}: redis {value}, ours {ours[section][field]}"
                compared += 1
    assert compared > 90


def test_forms_of_values(pair: Pair) -> None:
    """The same characters' classes: numbers of as many decimals, sizes with a unit, percentages."""
    theirs, ours = both(pair, "everything")
    for section in ("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU"):
        for field, value in theirs[section].items():
            form = re.sub(r"[0-9]+", "9", value)
            if re.fullmatch(r"-?9(\.9)?%?", form):
                assert re.fullmatch(r"-?9(\.9)?%?", re.sub(r"[0-9]+", "9", ours[section][field])), field
                decimals = [v.partition(".")[2].rstrip("%") for v in (value, ours[section][field])]
                assert len(decimals[0]) == len(decimals[1]), field
            elif re.fullmatch(r"9(\.9)?[BKMGT]", form):
                assert re.fullmatch(r"[0-9]+B|[0-9]+\.[0-9]{2}[KMGTPE]", ours[section][field]), field


def test_counts_of_a_known_load(pair: Pair) -> None:
    pair.both("SET", "a", "1")
    pair.both("SET", "b", "1", "EX", "1000")
    pair.both("GET", "a")
    pair.both("GET", "none")
    pair.both("GET")
    pair.both("INCR", "b", "c")
    pair.both("LPUSH", "a", "x")
    pair.both("NOSUCH")
    pair.both("AUTH", "wrong", "user")
    pair.both("CONFIG", "GET", "hz")
    theirs, ours = both(pair, "all")
    assert {k: v for k, v in ours["Errorstats"].items()} == theirs["Errorstats"]
    assert list(ours["Errorstats"]) == list(theirs["Errorstats"])
    for field in (
        "keyspace_hits",
        "keyspace_misses",
        "total_error_replies",
        "expired_keys",
        "unexpected_error_replies",
    ):
        assert ours["Stats"][field] == theirs["Stats"][field], field
    strip = re.compile(r"usec=[0-9]+,usec_per_call=[0-9]+\.[0-9]{2},")
    stats = [{k: strip.sub("", v) for k, v in side["Commandstats"].items()} for side in (theirs, ours)]
    for name in ("get", "set", "incr", "lpush", "auth", "config|get"):
        assert stats[1][f"cmdstat_{name}"] == stats[0][f"cmdstat_{name}"], name
    assert all(strip.search(value) for value in ours["Commandstats"].values())
    keyspace = [re.sub(r"avg_ttl=[0-9]+", "avg_ttl", side["Keyspace"]["db0"]) for side in (theirs, ours)]
    assert keyspace[0] == keyspace[1]
    assert ours["Persistence"]["rdb_changes_since_last_save"] == "2"


def test_resetstat(pair: Pair) -> None:
    pair.both("NOSUCH")
    pair.both("GET", "a")
    pair.same("CONFIG", "RESETSTAT")
    theirs, ours = both(pair, "stats", "commandstats", "errorstats")
    assert ours["Errorstats"] == theirs["Errorstats"] == {}
    for field in ("keyspace_misses", "total_commands_processed", "total_error_replies"):
        assert ours["Stats"][field] == theirs["Stats"][field], field
    assert list(ours["Commandstats"]) == list(theirs["Commandstats"]) == ["cmdstat_config|resetstat"]


def test_memory_is_counted(pair: Pair) -> None:
    before = sections(pair.both("INFO", "memory")[1])["Memory"]
    for i in range(2000):
        pair.both("SET", f"key:{i}", "x" * 100)
    after = sections(pair.both("INFO", "memory")[1])["Memory"]
    grown = int(after["used_memory"]) - int(before["used_memory"])
    assert 2000 * 110 < grown < 2000 * 250
    assert int(after["used_memory_dataset"]) > 2000 * 100
    assert int(after["used_memory"]) == int(after["used_memory_overhead"]) + int(after["used_memory_dataset"])
    assert int(after["used_memory_peak"]) >= int(after["used_memory"])
    stats = parse(pair.both("MEMORY", "STATS")[1])[0]
    figures = dict(zip(stats[::2], stats[1::2], strict=True))
    assert figures[b"keys.count"] == 2000 and figures[b"db.0"][::2] == [
        b"overhead.hashtable.main",
        b"overhead.hashtable.expires",
        b"overhead.hashtable.slot-to-keys",
    ]
    pair.both("FLUSHALL")
    emptied = sections(pair.both("INFO", "memory")[1])["Memory"]
    assert int(emptied["used_memory"]) - int(before["used_memory"]) < grown // 2


def test_memory_stats_names(pair: Pair) -> None:
    pair.both("SET", "a", "1")
    pair.both("SELECT", "3")
    pair.both("SET", "a", "1", "EX", "100")
    pair.both("SELECT", "0")
    theirs, ours = (parse(reply)[0] for reply in pair.both("MEMORY", "STATS"))
    assert ours[::2] == theirs[::2]
    pair.resp3()
    theirs, ours = (parse(reply)[0] for reply in pair.both("MEMORY", "STATS"))
    assert ours[0] == theirs[0] == "%" and [type(v) for v in ours[1]] == [type(v) for v in theirs[1]]


def test_memory_usage_follows_the_size(pair: Pair) -> None:
    sizes = []
    for n in (1, 100, 10_000, 1_000_000):
        pair.both("SET", "key", "x" * n)
        sizes.append(parse(pair.both("MEMORY", "USAGE", "key")[1])[0])
    assert sizes == sorted(sizes) and 1_000_000 < sizes[-1] < 1_100_000 and sizes[0] < 60
    pair.both("RPUSH", "list", *range(5000))
    assert 5000 < parse(pair.both("MEMORY", "USAGE", "list", "SAMPLES", "0")[1])[0] < 100_000


@pytest.mark.parametrize(
    "args",
    [
        ("DBSIZE",),
        ("DBSIZE", "x"),
        ("FLUSHDB", "x"),
        ("FLUSHDB", "ASYNC", "SYNC"),
        ("FLUSHDB", "sync"),
        ("FLUSHALL", "x"),
        ("FLUSHALL", "async"),
        ("FLUSHALL",),
        ("SWAPDB",),
        ("SWAPDB", "0", "99"),
        ("SWAPDB", "a", "b"),
        ("SWAPDB", "0", "b"),
        ("SWAPDB", "0", "-1"),
        ("SWAPDB", "0", "0"),
        ("SWAPDB", "99", "99"),
        ("TIME", "x"),
        ("ROLE",),
        ("ROLE", "x"),
        ("LOLWUT",),
        ("LOLWUT", "VERSION", "7"),
        ("LOLWUT", "VERSION", "x"),
        ("LOLWUT", "VERSION", "5", "x"),
        ("LOLWUT", "VERSION"),
        ("LOLWUT", "x"),
        ("SHUTDOWN", "x"),
        ("SHUTDOWN", "ABORT"),
        ("SHUTDOWN", "SAVE", "NOSAVE"),
        ("SHUTDOWN", "NOSAVE", "ABORT"),
        ("SHUTDOWN", "NOSAVE", "NOW", "FORCE", "x"),
        ("MEMORY",),
        ("MEMORY", "FOO"),
        ("MEMORY", "HELP"),
        ("MEMORY", "DOCTOR"),
        ("MEMORY", "DOCTOR", "x"),
        ("MEMORY", "PURGE"),
        ("MEMORY", "STATS", "x"),
        ("MEMORY", "USAGE"),
        ("MEMORY", "USAGE", "none"),
        ("MEMORY", "USAGE", "none", "SAMPLES"),
        ("MEMORY", "USAGE", "none", "SAMPLES", "-1"),
        ("MEMORY", "USAGE", "none", "SAMPLES", "x"),
        ("MEMORY", "USAGE", "none", "SAMPLES", "0"),
        ("MEMORY", "USAGE", "none", "x", "1"),
    ],
    ids=str,
)
def test_same_reply(pair: Pair, args: tuple[str, ...]) -> None:
    pair.same(*args)
    pair.resp3()
    pair.same(*args)
    pair.resp2()


def test_databases(pair: Pair) -> None:
    pair.same("MSET", "a", "1", "b", "2")
    pair.same("EXPIRE", "a", "1000")
    pair.same("SWAPDB", "0", "3")
    pair.same("DBSIZE")
    pair.same("SELECT", "3")
    pair.same("DBSIZE")
    pair.same("GET", "a")
    pair.same("SET", "c", "3")
    pair.same("SELECT", "0")
    pair.same("SET", "other", "x")
    pair.same("FLUSHDB")
    pair.same("DBSIZE")
    assert pair.finish() == 3
    pair.same("FLUSHALL", "ASYNC")
    assert pair.finish() == 0


@pytest.mark.parametrize("command", [("FLUSHDB",), ("FLUSHALL",), ("SWAPDB", "0", "1"), ("SWAPDB", "1", "0")], ids=str)
@pytest.mark.parametrize("before", [None, "0", "1"])
def test_watched_keys(pair: Pair, command: tuple[str, ...], before: str | None) -> None:
    """A flush or a swap touches watched keys that are there before or after it, and no others."""
    if before is not None:
        pair.same("SELECT", before)
        pair.same("SET", "key", "x")
        pair.same("SELECT", "0")
    pair.same("WATCH", "key")
    pair.same(*command)
    pair.same("MULTI")
    pair.same("DBSIZE")
    pair.same("EXEC")
    pair.finish()


def test_effects_of_flushes_and_swaps(pair: Pair) -> None:
    """They are told even when nothing was there."""
    pair.store.record_effects()
    for args in (("FLUSHDB",), ("FLUSHALL", "ASYNC"), ("SWAPDB", "0", "1"), ("DBSIZE",), ("MEMORY", "PURGE")):
        pair.same(*args)
    told = pair.store.take_effects()
    assert [word for word in (b"FLUSHDB", b"FLUSHALL", b"SWAPDB", b"DBSIZE", b"MEMORY") if word in told] == [
        b"FLUSHDB",
        b"FLUSHALL",
        b"SWAPDB",
    ]


def test_time_moves_on_and_can_be_set(pair: Pair) -> None:
    theirs, ours = (parse(reply)[0] for reply in pair.both("TIME"))
    assert abs(int(theirs[0]) - int(ours[0])) <= 2 and 0 <= int(ours[1]) < 1_000_000
    pair.store.set_clock(1_700_000_000_123)
    assert parse(pair.both("TIME")[1])[0] == [b"1700000000", b"123000"]
    pair.store.set_clock(None)


def test_shutdown_without_a_server_is_refused(pair: Pair) -> None:
    assert parse(pair.ours.feed(b"SHUTDOWN NOSAVE\r\n"))[0] == (
        "-",
        b"ERR SHUTDOWN ends a server, and none serves this store",
    )
    pair.same("PING")
