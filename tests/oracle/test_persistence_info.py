"""INFO persistence beside redis-server's: every field, at each step of the same life; and what FLUSHALL does to snapshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.oracle.test_persistence import Running
from tests.servers import OURS

#: what two processes never have the same: moments, durations, memory, how far a child is, whether a fsync is just due
MEASURED = {
    "rdb_last_save_time",
    "rdb_last_bgsave_time_sec",
    "rdb_current_bgsave_time_sec",
    "aof_last_rewrite_time_sec",
    "aof_current_rewrite_time_sec",
    "current_cow_peak",
    "current_cow_size",
    "current_cow_size_age",
    "current_fork_perc",
    "current_save_keys_processed",
    "rdb_last_cow_size",
    "aof_last_cow_size",
    "aof_pending_bio_fsync",
    "aof_current_size",
    "aof_base_size",
}


@pytest.fixture
def both(tmp_path: Path) -> Iterator[list[Running]]:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    servers: list[Running] = []
    try:
        for name, program in (("theirs", ["redis-server"]), ("ours", OURS)):
            servers.append(Running(program, tmp_path / name))
        yield servers
    finally:
        for server in servers:
            server.client.close()
            server.process.popen.kill()
            server.process.popen.wait(20)


def same(servers: list[Running], step: str) -> list[dict[str, Any]]:
    """Both tell the same fields in the same order, with the same values where they can be; what each has told."""
    told = [server.client.info("persistence") for server in servers]
    theirs, ours = ([(k, v) for k, v in info.items() if k not in MEASURED] for info in told)
    assert list(told[0]) == list(told[1]), step
    assert ours == theirs, step
    for info in told:
        for k, v in info.items():
            assert k not in MEASURED or float(v) >= -1, (step, k)
        if "aof_base_size" in info:
            info["increments"] = info["aof_current_size"] - info["aof_base_size"]
    assert told[0].get("increments") == told[1].get("increments"), step
    return told


def slowly(servers: list[Running], us: int) -> None:
    """A child waits so long for each key that it saves."""
    for server in servers:
        server.client.config_set("rdb-key-save-delay", us)


def test_every_field_in_the_same_life(both: list[Running]) -> None:
    clients = [server.client for server in both]

    def all_do(*words: object) -> None:
        for client in clients:
            client.execute_command(*words)

    def all_wait(field: str, value: object) -> None:
        for server in both:
            server.wait(field, value)

    same(both, "fresh")
    all_do("SET", "a", 1)
    all_do("DEBUG", "POPULATE", 3000)
    same(both, "written")
    slowly(both, 1_000_000)
    all_do("BGSAVE")
    all_do("SET", "b", 1)
    for info in same(both, "while it is saved"):
        assert info["rdb_bgsave_in_progress"] == info["rdb_saves"] == 1 and info["rdb_current_bgsave_time_sec"] >= 0
        assert info["current_save_keys_total"] == 3001
    all_do("BGREWRITEAOF")
    same(both, "a rewrite waits for it")
    all_do("FLUSHALL")
    all_wait("rdb_bgsave_in_progress", 0)
    slowly(both, 0)
    all_wait("aof_rewrites", 1)
    all_wait("aof_rewrite_in_progress", 0)
    same(both, "given up for FLUSHALL, and rewritten")
    all_do("SAVE")
    same(both, "saved")
    all_do("CONFIG", "SET", "appendonly", "yes")
    all_wait("aof_rewrites", 2)
    all_wait("aof_rewrite_in_progress", 0)
    all_do("SET", "c", "journal")
    for info in same(both, "with a journal"):
        assert info["increments"] > 0
    all_do("DEBUG", "POPULATE", 3000)
    slowly(both, 1_000_000)
    all_do("BGREWRITEAOF")
    for info in same(both, "while it is rewritten"):
        assert info["aof_rewrite_in_progress"] == 1 and info["aof_rewrites"] == 3
    all_do("CONFIG", "SET", "appendonly", "no")
    all_wait("aof_rewrite_in_progress", 0)
    slowly(both, 0)
    same(both, "without a journal again")
    all_do("CONFIG", "RESETSTAT")
    for info in same(both, "counted anew"):
        assert info["rdb_saves"] == info["aof_rewrites"] == 0


def test_saves_that_fail(both: list[Running]) -> None:
    for server in both:
        server.client.set("a", 1)
        (server.process.home / "dump.rdb" / "in the way").mkdir(parents=True)
        with pytest.raises(redis.ResponseError):
            server.client.save()
        server.client.bgsave()
        server.wait("rdb_last_bgsave_status", "err")
    for info in same(both, "neither worked"):
        assert info["rdb_saves"] == 2 and info["rdb_changes_since_last_save"] == 1
    for server in both:
        shutil.rmtree(server.process.home / "dump.rdb")
        server.client.save()
    same(both, "it works again")


def test_flushall_with_save_points(both: list[Running]) -> None:
    """The snapshot on the disk is without keys at once; FLUSHDB leaves it alone."""
    for server in both:
        server.client.config_set("save", "3600 1000")
        server.client.execute_command("DEBUG", "POPULATE", 3000)
        server.client.save()
        server.client.flushdb()
    full = [(server.process.home / "dump.rdb").stat().st_size for server in both]
    assert min(full) > 10_000
    same(both, "FLUSHDB")
    for server in both:
        server.client.execute_command("DEBUG", "POPULATE", 3000)
        server.client.config_set("rdb-key-save-delay", 1_000_000)
        server.client.bgsave()
        server.client.flushall()
        server.wait("rdb_bgsave_in_progress", 0)
        assert (server.process.home / "dump.rdb").stat().st_size < 200
        assert sorted(name for name in os.listdir(server.process.home) if not name.startswith("log")) == ["dump.rdb"]
    for info in same(both, "FLUSHALL"):
        assert info["rdb_changes_since_last_save"] == 0
