"""The latency monitor sees what the journal's disk takes long for, though it is written outside the store's lock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import libkv
from libkv.testing.native.disk import FSYNC, RENAME, WRITE, NotedFiles

SLOW = 30_000  # us that a slow call takes longer


def wait(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it doesn't come to an end")


def events(store: libkv.Store) -> dict[str, int]:
    """The worst time of each of the journal's events, ms."""
    return {
        name.decode(): worst
        for name, _when, _last, worst in store.execute_command("LATENCY", "LATEST")
        if name.startswith(b"aof-")
    }


def opened(path: Path, **settings: object) -> libkv.DirectoryStore:
    return libkv.open(path, latency_monitor_threshold=20, **settings)


def test_always(tmp_path: Path) -> None:
    with NotedFiles() as files, opened(tmp_path, appendfsync="always") as store:
        files.fail(WRITE, 0, path=".incr.", slow=SLOW)
        files.fail(FSYNC, 0, path=".incr.", slow=SLOW)
        began = int(time.time())
        store.set("a", 1)  # has waited for both: the monitor knows them at once
        seen = events(store)
        assert {"aof-write", "aof-write-alone", "aof-fsync-always"} <= set(seen)
        assert "aof-write-pending-fsync" not in seen
        assert all(seen[name] >= SLOW // 1000 for name in ("aof-write", "aof-write-alone", "aof-fsync-always"))
        (when, ms), *more = store.latency_history("aof-fsync-always")
        assert not more and began <= when <= time.time() and ms == seen["aof-fsync-always"]
        assert "aof: the disk is slow" in store.execute_command("LATENCY", "DOCTOR").decode()
        assert store.latency_reset("aof-fsync-always") == 1 and "aof-fsync-always" not in events(store)


def test_a_threshold_of_zero_measures_nothing(tmp_path: Path) -> None:
    with NotedFiles() as files, opened(tmp_path, appendfsync="always") as store:
        store.config_set("latency-monitor-threshold", 0)
        store.latency_reset()
        files.fail(FSYNC, 0, path=".incr.", slow=SLOW)
        store.set("a", 1)
        assert events(store) == {}
        store.config_set("latency-monitor-threshold", 20)
        files.fail(FSYNC, 0, path=".incr.", slow=SLOW)
        store.set("a", 2)
        assert "aof-fsync-always" in events(store)


def test_beside_a_child_and_in_a_rewrite(tmp_path: Path) -> None:
    with NotedFiles() as files, opened(tmp_path, appendfsync="no") as store:
        store.mset({f"key{i}": i for i in range(5000)})
        store.config_set("rdb-key-save-delay", 1_000_000)  # us each key: the child is there until the store is closed
        assert store.bgsave() is True
        files.fail(WRITE, 0, path=".incr.", slow=SLOW)
        store.set("a", 1)
        seen = events(store)
        assert seen["aof-write-active-child"] >= SLOW // 1000
    with NotedFiles() as files, opened(tmp_path / "rewrite") as store:
        files.fail(RENAME, 0, path=".base.", slow=SLOW)
        store.bgrewriteaof()
        wait(lambda: not store.info("persistence")["aof_rewrite_in_progress"])
        assert events(store)["aof-rename"] >= SLOW // 1000


def test_replies_that_a_late_fsync_holds_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They wait from its third second on; what came meanwhile is written behind it."""
    caplog.set_level(logging.INFO, "libkv")
    with NotedFiles() as files, opened(tmp_path) as store:
        files.fail(FSYNC, 0, path=".incr.", slow=4_000_000)
        start = len(files.notes())
        store.set("a", 0)
        wait(lambda: any(n[0] == FSYNC for n in files.notes()[start:]))
        assert store.info("persistence")["aof_pending_bio_fsync"] == 1
        store.set("a", 1)
        assert store.info("persistence")["aof_delayed_fsync"] == 0
        wait(lambda: store.info("persistence")["aof_delayed_fsync"])
        assert store.info("persistence")["aof_delayed_fsync"] == 1
        seen = events(store)
        assert "aof-write-pending-fsync" in seen and seen["aof-write-pending-fsync"] >= 20
    assert "fsync is taking too long (disk is busy?)" in caplog.text
