"""Snapshots by fork: what the child takes along and what it costs; files that are read without being loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv import rdb
from libkv.testing.native.disk import FSYNC, OPEN, NotedFiles

MB = 1 << 20


def wait(condition: Callable[[], Any]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it doesn't come to an end")


def opened(path: Path, **settings: Any) -> libkv.DirectoryStore:
    return libkv.open(path, appendonly=False, save="", enable_debug_command="yes", **settings)


def saved(store: libkv.Store) -> dict[str, Any]:
    wait(lambda: not store.info("persistence")["rdb_bgsave_in_progress"])
    info = store.info("persistence")
    assert info["rdb_last_bgsave_status"] == "ok"
    return info


def test_the_child_holds_no_descriptor_of_the_application(tmp_path: Path) -> None:
    """A peer sees the end when the application closes its side, though the child goes on for long."""
    with opened(tmp_path, rdb_key_save_delay=1000) as store:
        store.execute_command("DEBUG", "POPULATE", 60_000)
        peer, own = os.pipe()
        store.bgsave()
        os.close(own)
        assert os.read(peer, 1) == b""  # else it waits for the child
        assert store.info("persistence")["rdb_bgsave_in_progress"] == 1
        os.close(peer)


def test_what_the_parent_copies_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.execute_command("DEBUG", "POPULATE", 6000, "key", 4000)
        store.config_set("rdb-key-save-delay", 300)  # us each key
        store.bgsave()
        quiet = saved(store)["rdb_last_cow_size"]
        store.bgsave()
        for i in range(6000):
            store.setrange(f"key:{i}", 0, "changed")
        busy = saved(store)["rdb_last_cow_size"]
    assert busy > quiet + 10 * MB  # 24 MB were changed


@pytest.mark.parametrize(("setting", "least", "most"), [("yes", 3, 6), ("no", 1, 1)])
def test_a_snapshot_goes_to_the_disk_piece_by_piece(tmp_path: Path, setting: str, least: int, most: int) -> None:
    with NotedFiles() as files, opened(tmp_path, rdb_save_incremental_fsync=setting, rdbcompression="no") as store:
        store.execute_command("DEBUG", "POPULATE", 4000, "key", 4000)
        store.bgsave()
        saved(store)
        file = next(n[4] for n in files.notes() if n[0] == OPEN and "/temp-" in n[2])
        assert least <= sum(1 for n in files.notes() if n[0] == FSYNC and n[4] == file) <= most


def test_reading_a_file_does_not_load_it(tmp_path: Path) -> None:
    """What it takes is the same for a key and for 60 MB."""
    rdb.write(tmp_path / "small.rdb", [(0, b"key", "string", b"value")])
    records = ((0, b"key %d" % i, "string", b"x" * 1000) for i in range(60_000))
    assert rdb.write(tmp_path / "large.rdb", records, compression=False) == 60_000
    program = (
        "import resource, sys; from libkv import rdb; n = sum(1 for _ in rdb.read(sys.argv[1]));"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = {}
    for name in ("small", "large"):
        words = [sys.executable, "-c", program, str(tmp_path / f"{name}.rdb")]
        shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout.split()
        peaks[int(shown[0])] = int(shown[1]) * 1024
    assert peaks[60_000] - peaks[1] < 20 * MB


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_that_is_written_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    """While it is written it has no name where that can be; then only its own, and the mode that umask leaves."""
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    path = tmp_path / "dump.rdb"
    path.write_bytes(b"old")
    seen: list[int] = []

    def records(good: bool) -> Iterator[tuple[int, bytes, str, bytes]]:
        yield 0, b"key", "string", b"value"
        seen.append(len(list(tmp_path.iterdir())))
        if not good:
            raise KeyError

    with pytest.raises(KeyError):
        rdb.write(path, records(False))
    assert path.read_bytes() == b"old"
    assert rdb.write(path, records(True)) == 1
    assert seen == [1 if nameless else 2] * 2 and list(tmp_path.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
