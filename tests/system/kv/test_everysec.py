"""appendfsync everysec on a slow disk: when replies wait, what a power cut takes, when no fsync comes at all."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import libkv
from libkv.persistence import opening
from libkv.testing.native.disk import FSYNC, FSYNCED, MARK, OPEN, NotedFiles
from libkv.testing.power import PowerCut
from tests.resp import command

S = 1_000_000  # us
#: us that the journal's fsyncs take, one after another; those behind them are quick.
FSYNCS = (S // 2, 3 * S // 2, 4 * S, 4 * S)
STUCK = 2  # the first that takes too long
#: What docs/persistence.md says a cut may take of what was answered, and what a busy machine may add to it.
LEAST_KEPT = 3 * S
GRACE = 2 * S
CUTS = 2000 if os.environ.get("LONG") else 40

Note = tuple[int, int, str, int, int, int, str, str, bytes]


def wait(condition: Callable[[], object]) -> None:
    for _ in range(8000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it doesn't come to an end")


def when(note: Note) -> int:
    return int(note[7])


@dataclass
class Load:
    """A store that counted up while its disk took long; the mark n: the reply to n was there."""

    root: Path
    notes: list[Note]
    executed_while_held: int
    replies_while_held: bytes
    replies: bytes = b""
    delayed: int = 0
    fsyncs: list[Note] = field(default_factory=list)
    fsynced: list[Note] = field(default_factory=list)

    def marks(self, after: int, before: int) -> list[Note]:
        return [n for n in self.notes if n[0] == MARK and after < when(n) < before]


def notes_of(files: NotedFiles) -> list[Note]:
    """The notes so far, while other threads write more."""
    for _ in range(1000):
        with contextlib.suppress(RuntimeError):  # one is just being written
            return files.notes()
    raise AssertionError("a note is written for ever")


def journal(files: NotedFiles, name: str = ".1.incr.") -> int:
    """The increment's inode."""
    return next(n[4] for n in notes_of(files) if n[0] == OPEN and name in n[2])


def count_up(store: libkv.Store, files: NotedFiles, stop: threading.Event) -> None:
    while not stop.is_set():
        files.mark(store.incr("n"))
        time.sleep(0.002)


def received(s: socket.socket) -> bytes:
    try:
        return s.recv(65536)
    except BlockingIOError:
        return b""


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    root = tmp_path_factory.mktemp("everysec") / "data"
    root.mkdir()
    stop = threading.Event()
    with NotedFiles() as files, libkv.open(root, appendfsync="everysec") as store:
        server = libkv.Server(store, port=0).start()
        for slow in FSYNCS:
            files.fail(FSYNC, 0, path=".incr.", slow=slow)
        writer = threading.Thread(target=count_up, args=(store, files, stop))
        writer.start()
        inode = journal(files)

        def seen(kind: int) -> list[Note]:
            return [n for n in notes_of(files) if n[0] == kind and n[4] == inode]

        with socket.create_connection(("127.0.0.1", server.port)) as s:
            wait(lambda: opening.state(store)["holding"] or len(seen(FSYNCED)) == len(FSYNCS))
            s.setblocking(False)
            before = opening.state(store)["appended"]
            s.sendall(command("INCR", "other") * 3)
            wait(lambda: opening.state(store)["appended"] > before)
            replies_while_held = received(s)
            # the stuck ones are not through: the writer's and this client's replies wait for them
            executed = len(seen(FSYNCED)) < len(FSYNCS) and opening.state(store)["appended"] - before
            s.setblocking(True)
            s.settimeout(60)
            replies = replies_while_held or s.recv(65536)
        wait(lambda: len(seen(FSYNCED)) > len(FSYNCS))
        stop.set()
        writer.join()
        done = Load(root, [], int(executed), replies_while_held, replies)
        done.fsyncs, done.fsynced = seen(FSYNC), seen(FSYNCED)
        done.notes = files.notes()
        done.delayed = store.info("persistence")["aof_delayed_fsync"]
        server.stop()
    yield done


def test_the_first_two_seconds_of_a_stuck_fsync_are_not_felt(load: Load) -> None:
    begun = when(load.fsyncs[STUCK])
    assert len(load.marks(begun, begun + 2 * S)) >= 20


def test_then_replies_wait_and_commands_go_on(load: Load) -> None:
    begun, ended = when(load.fsyncs[STUCK]), when(load.fsynced[STUCK + 1])
    assert load.executed_while_held > 0 and load.replies_while_held == b""
    assert load.marks(begun + LEAST_KEPT + GRACE, ended) == []
    assert load.replies.startswith(b":") and load.marks(ended, 1 << 62)  # when it has ended they come
    assert 1 <= load.delayed <= len([slow for slow in FSYNCS if slow >= S])


def test_a_power_cut_takes_a_bounded_end(load: Load, tmp_path: Path) -> None:
    """Whenever it comes: a prefix is left, and of what was answered no more is missing than LEAST_KEPT's worth."""
    cut = PowerCut(load.root, {}, load.notes)
    rng = random.Random(5)
    opened = next(i for i, n in enumerate(load.notes) if n[0] == MARK)
    # at random; and where most is at stake: right before a fsync succeeds
    moments = [i for i, n in enumerate(load.notes) if n[0] == FSYNCED and i > opened]
    moments += [rng.randrange(opened, cut.moments) for _ in range(CUTS)]
    answered = {n[5]: when(n) for n in load.notes if n[0] == MARK}
    worst = 0
    for moment in moments:
        for how in ("none", "prefix"):
            target = tmp_path / "left"
            shutil.rmtree(target, ignore_errors=True)
            cut.leave(moment, rng, target, how)
            with libkv.open(target) as store:
                kept = int(store.get("n") or 0)
            last = cut.marked(moment)
            assert kept <= last + 1, f"{kept} is left, and only {last} was answered"
            if kept < last:
                worst = max(worst, answered[last] - answered[kept + 1])
    assert S // 2 < worst < LEAST_KEPT + GRACE  # it is no use when nothing is at stake


def test_no_appendfsync_on_rewrite(tmp_path: Path) -> None:
    """yes: no fsync while a child writes, whatever the mode; no: they go on."""
    with NotedFiles() as files, libkv.open(tmp_path, no_appendfsync_on_rewrite="yes") as store:
        store.mset({f"key{i}": i for i in range(100_000)})
        store.config_set("rdb-key-save-delay", 10_000)  # us each key: the child is there until the store is closed
        store.bgrewriteaof()
        wait(lambda: any(n[0] == OPEN and ".2.incr." in n[2] for n in notes_of(files)))
        inode = journal(files, ".2.incr.")

        def fsyncs() -> int:
            store.incr("n")
            return sum(1 for n in notes_of(files) if n[0] == FSYNC and n[4] == inode)

        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert fsyncs() == 0
            time.sleep(0.05)
        store.config_set("appendfsync", "always")
        assert fsyncs() == 0
        store.config_set("no-appendfsync-on-rewrite", "no")
        assert fsyncs() >= 1
        before = fsyncs()
        store.config_set("appendfsync", "everysec")
        wait(lambda: fsyncs() >= before + 2)
        assert store.info("persistence")["aof_rewrite_in_progress"] == 1
