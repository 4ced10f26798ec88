"""The power fails at any call: what is on the disk then is loaded, and the promises of docs/persistence.md are checked.

One run of a store is noted call by call; then cuts at many places, each with several things a disk may have kept.
LONG=1: every place, more seeds.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import libkv
from libkv.errors import StoreFilesError
from libkv.testing.native.disk import NotedFiles
from libkv.testing.power import PowerCut, files_below

LONG = bool(os.environ.get("LONG"))
HOWS = ("none", "all", "prefix", "any")
CUTS = 10_000 if LONG else 120
SYNCED = 1_000_000  # marks from here on: all of that many states was forced to disk
JOURNAL = "appendonlydir/appendonly.aof"
Files = dict[str, tuple[int, bytes]]


class Run:
    """A store in a directory, its state's digest after each change."""

    def __init__(self, root: Path, files: NotedFiles, **settings: object) -> None:
        self.root = root
        self.files = files
        self.settings = settings
        self.digests: list[bytes] = []
        self.store = self.open()
        self.note()

    def open(self) -> libkv.DirectoryStore:
        return libkv.open(self.root, enable_debug_command="yes", **self.settings)

    def note(self) -> None:
        """The present state is acknowledged."""
        self.digests.append(self.store.execute_command("DEBUG", "DIGEST"))
        self.files.mark(len(self.digests) - 1)

    def sync(self) -> None:
        self.store.sync()
        self.files.mark(SYNCED + len(self.digests) - 1)

    def work(self, n: int, seed: int = 1) -> None:
        """n changes, each one effect or one transaction."""
        rng = random.Random(seed)
        for i in range(n):
            key = f"key{rng.randint(0, 20)}"
            choice = rng.randint(0, 6)
            if choice == 0:
                # below a sector: a hole inside a longer value would go unseen, as the format has no checksums
                self.store.set(f"s{key}", "x" * rng.choice((1, 10, 300)))
            elif choice == 1:
                self.store.rpush(f"l{key}", i, "element")
            elif choice == 2:
                self.store.hset(f"h{key}", f"field{i}", i)
            elif choice == 3:
                self.store.zadd(f"z{key}", {f"m{i}": i})
            elif choice == 4:
                self.store.delete(f"s{key}", f"l{key}", f"h{key}")
            elif choice == 5:
                with self.store.pipeline() as pipe:
                    pipe.incr("a")
                    pipe.incr("b")
                    pipe.execute()
            else:
                self.store.incr("counter")
            self.note()

    def wait(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            time.sleep(0.005)
        raise AssertionError("it doesn't come to an end")

    def rewrite(self) -> None:
        self.store.bgrewriteaof()
        self.work(15, seed=2)
        self.wait(lambda: not self.store.info("persistence")["aof_rewrite_in_progress"])
        self.wait(lambda: ".1.base" not in (self.root / f"{JOURNAL}.manifest").read_text())


def recover(target: Path) -> bytes:
    """Opens what a cut has left (cut as --fix does when its end is scrambled, not just torn); the state's digest."""
    for _ in range(20):
        try:
            with libkv.open(target, enable_debug_command="yes") as store:
                store.check()
                return store.execute_command("DEBUG", "DIGEST")
        except StoreFilesError as error:
            # never silently: the place is named, and it is in the last increment
            found = re.search(r"append only file (\S+), byte (\d+)", str(error))
            assert found, error
            parts = sorted((target / "appendonlydir").glob("*.incr.aof"), key=lambda p: int(p.name.split(".")[2]))
            manifest = (target / f"{JOURNAL}.manifest").read_text()
            named = [p for p in parts if p.name in manifest]
            assert found[1] == named[-1].name, (error, manifest)
            os.truncate(named[-1], int(found[2]))
    raise AssertionError("cutting at the first bad byte does not help")


def cuts(cut: PowerCut) -> list[tuple[int, int, str]]:
    """(moment, seed, how) of the cuts that are tried."""
    every = list(itertools.product(range(cut.moments), range(3 if LONG else 1), HOWS))
    if len(every) <= CUTS:
        return every
    return random.Random(7).sample(every, CUTS)


def check(tmp_path: Path, run: Run, before: Files, least: Callable[[PowerCut, int], int]) -> None:
    """Every cut leaves one of the states, none older than least(cut, moment)."""
    cut = PowerCut(run.root, before, run.files.notes())
    places = {digest: i for i, digest in enumerate(run.digests)}
    for moment, seed, how in cuts(cut):
        target = tmp_path / "left"
        shutil.rmtree(target, ignore_errors=True)
        cut.leave(moment, random.Random(f"{moment} {seed}"), target, how)
        digest = recover(target)
        text = f"cut after {moment} calls, seed {seed}, {how}"
        assert digest in places, f"{text}: a state that never was"
        assert places[digest] >= least(cut, moment), f"{text}: {places[digest]} of {least(cut, moment)} are left"


def acknowledged(cut: PowerCut, moment: int) -> int:
    return cut.marked(moment, high=SYNCED)


def synced(cut: PowerCut, moment: int) -> int:
    return max(cut.marked(moment, low=SYNCED) - SYNCED, -1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.mark.parametrize("rewriting", [False, True])
def test_always_keeps_every_acknowledged_write(tmp_path: Path, root: Path, rewriting: bool) -> None:
    with NotedFiles() as files:
        run = Run(root, files, appendfsync="always")
        run.work(25)
        if rewriting:
            run.rewrite()
        run.work(10, seed=3)
        run.store.close()
    check(tmp_path, run, {}, acknowledged)


@pytest.mark.parametrize("rewriting", [False, True])
def test_everysec_keeps_a_prefix(tmp_path: Path, root: Path, rewriting: bool) -> None:
    with NotedFiles() as files:
        run = Run(root, files, appendfsync="everysec")
        run.work(25)
        run.sync()
        run.work(10, seed=4)
        if rewriting:
            run.rewrite()
            run.sync()
        run.work(10, seed=3)
        run.store.close()
    check(tmp_path, run, {}, synced)


def test_a_start_and_an_upgrade_can_be_cut(tmp_path: Path, root: Path) -> None:
    """An old single file, moved to its new place: it is never lost on the way."""
    (root / "appendonly.aof").write_bytes(b"*3\r\n$3\r\nSET\r\n$3\r\nold\r\n$5\r\nvalue\r\n")
    before = files_below(root)
    with NotedFiles() as files:
        run = Run(root, files, appendfsync="always")
        run.work(5)
        run.store.close()
    files.mark(len(run.digests) - 1)
    check(tmp_path, run, before, lambda cut, moment: max(0, acknowledged(cut, moment)))


def test_a_snapshot_is_the_old_or_the_new_one(tmp_path: Path, root: Path) -> None:
    with NotedFiles() as files:
        run = Run(root, files, appendonly=False, save="")
        run.work(10)
        saved = []
        for _ in range(3):
            run.store.save()
            files.mark(1000 + len(run.digests) - 1)
            saved.append(len(run.digests) - 1)
            run.work(5, seed=len(saved))
        run.store.bgsave(schedule=False)
        saved.append(len(run.digests) - 1)
        run.wait(lambda: not run.store.info("persistence")["rdb_bgsave_in_progress"])
        files.mark(1000 + len(run.digests) - 1)
        libkv.Store.close(run.store)
    cut = PowerCut(root, {}, files.notes())
    empty = libkv.Store(enable_debug_command="yes").execute_command("DEBUG", "DIGEST")
    states = [empty] + [run.digests[i] for i in saved]
    for moment, seed, how in cuts(cut):
        target = tmp_path / "left"
        shutil.rmtree(target, ignore_errors=True)
        cut.leave(moment, random.Random(f"{moment} {seed}"), target, how)
        least = sum(1 for n in cut.notes[:moment] if n[0] == 12 and n[5] >= 1000)
        with libkv.open(target, appendonly=False, save="", enable_debug_command="yes") as store:
            digest = store.execute_command("DEBUG", "DIGEST")
        assert digest in states[least : least + 2], f"cut after {moment} calls, seed {seed}, {how}"


def test_switching_the_journal_on_can_be_cut(tmp_path: Path, root: Path) -> None:
    with NotedFiles() as files:
        run = Run(root, files, appendonly=False, save="", appendfsync="always")
        run.work(10)
        run.store.config_set("appendonly", "yes")
        run.work(10, seed=2)
        run.wait(lambda: not run.store.info("persistence")["aof_rewrite_in_progress"])
        on = len(run.digests)
        run.note()
        run.work(10, seed=3)
        run.store.config_set("appendonly", "no")
        run.work(3, seed=4)
        run.store.config_set("appendonly", "yes")
        run.wait(lambda: not run.store.info("persistence")["aof_rewrite_in_progress"])
        run.note()
        libkv.Store.close(run.store)
    run.digests.insert(0, libkv.Store(enable_debug_command="yes").execute_command("DEBUG", "DIGEST"))
    off = on + 11

    def least(cut: PowerCut, moment: int) -> int:
        mark = acknowledged(cut, moment)
        return 0 if mark < on else min(mark, off - 1) + 1 if mark < len(run.digests) - 2 else mark + 1

    check(tmp_path, run, {}, least)
