"""libkv.open: what is there after a close, a fork, a torn file, a full or broken disk."""

from __future__ import annotations

import datetime
import errno
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv.errors import ReadOnlyError, ResponseError, StoreFilesError, StoreForked
from libkv.persistence import opening
from libkv.testing.native.disk import FSYNC, FSYNCED, MARK, OPEN, RENAME, WRITE, NotedFiles

INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof"
MANIFEST = "appendonlydir/appendonly.aof.manifest"


def fill(store: libkv.Store) -> None:
    """Keys of all kinds."""
    store.set("text", "value")
    store.set("number", 12)
    store.set("expires", "x", ex=10000)
    store.append("raw", "a" * 5000)
    store.rpush("list", *range(200))
    store.sadd("ints", 1, 2, 3)
    store.sadd("set", *(f"member{i}" for i in range(300)))
    store.hset("hash", mapping={f"field{i}": i for i in range(200)})
    store.zadd("zset", {f"member{i}": i / 3 for i in range(200)})
    store.setbit("bits", 100, 1)
    store.pfadd("sketch", *range(100))
    store.db(3).set("elsewhere", "there")


def digest(store: libkv.Store) -> bytes:
    return store.execute_command("DEBUG", "DIGEST")


def wait(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it doesn't come to an end")


def rewrite(store: libkv.Store) -> None:
    store.bgrewriteaof()
    wait(lambda: not store.info("persistence")["aof_rewrite_in_progress"])


def accepted(store: libkv.Store, key: str, value: int) -> bool:
    """Sets it, unless writes are refused."""
    try:
        return store.set(key, value)
    except ResponseError:
        return False


def reopen(path: Path, **settings: Any) -> libkv.DirectoryStore:
    return libkv.open(path, enable_debug_command="yes", **settings)


@pytest.mark.parametrize("mode", ["always", "everysec", "no"])
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_what_was_written_is_there_again(tmp_path: Path, mode: str, preamble: str) -> None:
    with reopen(tmp_path, appendfsync=mode, aof_use_rdb_preamble=preamble) as store:
        fill(store)
        before = digest(store)
    with reopen(tmp_path, aof_use_rdb_preamble=preamble) as store:
        assert digest(store) == before
        rewrite(store)
        assert store.info("persistence")["aof_last_bgrewrite_status"] == "ok"
        store.incr("after")
        store.db(5).set("k", "v")
        before = digest(store)
        store.check()
    base = next((tmp_path / "appendonlydir").glob("*.base.*"))
    assert base.suffix == (".rdb" if preamble == "yes" else ".aof")
    assert len(list((tmp_path / "appendonlydir").iterdir())) == 4  # base, increment, manifest, lock
    with reopen(tmp_path) as store:
        assert digest(store) == before
        assert store.execute_command("DEBUG", "LOADAOF") and digest(store) == before


def test_snapshots(tmp_path: Path) -> None:
    with reopen(tmp_path, appendonly=False, save="") as store:
        fill(store)
        assert store.save() is True
        store.incr("more")
        assert store.bgsave() is True
        wait(lambda: not store.info("persistence")["rdb_bgsave_in_progress"])
        assert store.info("persistence")["rdb_saves"] == 2
        assert store.lastsave() <= datetime.datetime.now()
        before = digest(store)
        store.set("saved by close()", 1)
        after = digest(store)
    with reopen(tmp_path, appendonly=False) as store:
        assert digest(store) == after
        store.execute_command("DEBUG", "RELOAD")
        assert digest(store) == after != before
    assert not list(tmp_path.glob("temp-*"))


def test_a_snapshot_becomes_a_journal(tmp_path: Path) -> None:
    with reopen(tmp_path, appendonly=False) as store:
        fill(store)
        before = digest(store)
    with reopen(tmp_path) as store:
        assert digest(store) == before
    (tmp_path / "dump.rdb").unlink()
    with reopen(tmp_path) as store:
        assert digest(store) == before


def test_save_points(tmp_path: Path) -> None:
    with reopen(tmp_path, appendonly=False, save=[(1, 3)]) as store:
        store.incr("a")
        store.incr("a")
        store.incr("a")
        wait(lambda: (tmp_path / "dump.rdb").exists())


def test_switching_at_run_time(tmp_path: Path) -> None:
    with reopen(tmp_path, appendonly=False, save="") as store:
        fill(store)
        store.config_set("appendonly", "yes")
        store.incr("while it starts")
        wait(lambda: not store.info("persistence")["aof_rewrite_in_progress"])
        store.incr("afterwards")
        before = digest(store)
        copy = tmp_path / "copy"
        opening.sync(store)
        shutil.copytree(tmp_path / "appendonlydir", copy / "appendonlydir")
        store.config_set("appendonly", "no")
        store.incr("lost to the journal")
        store.config_set("appendonly", "yes")
        wait(lambda: not store.info("persistence")["aof_rewrite_in_progress"])
        after = digest(store)
    with reopen(copy) as store:
        assert digest(store) == before
    with reopen(tmp_path) as store:
        assert digest(store) == after


@pytest.mark.parametrize("words", [("FLUSHALL",), ("FLUSHDB",), ("FLUSHALL", "ASYNC")])
def test_what_came_before_the_journal_is_not_told_in_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Flushing is told even when nothing was there; with no journal to take it, the next one must not begin with it."""
    with reopen(tmp_path, appendonly=False, save="") as store:
        store.set("before", 1)
        store.execute_command(*words)
        store.set("kept", 1)
        store.config_set("appendonly", "yes")
        wait(lambda: not store.info("persistence")["aof_rewrite_in_progress"])
        store.set("after", 1)
    with reopen(tmp_path) as store:
        assert sorted(store.keys()) == [b"after", b"kept"]


def test_growth_starts_a_rewrite(tmp_path: Path) -> None:
    with reopen(tmp_path, auto_aof_rewrite_min_size="20kb") as store:
        for i in range(2000):
            store.set("key", "x" * (i % 50))
        wait(lambda: store.info("persistence")["aof_rewrites"])
        wait(lambda: (tmp_path / "appendonlydir/appendonly.aof.2.base.rdb").exists())
        before = digest(store)
    with reopen(tmp_path) as store:
        assert digest(store) == before


def test_an_old_single_file(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof").write_bytes(
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
    )
    with reopen(tmp_path) as store:
        assert store.db(2).get("a") == b"1"
        store.set("b", 2)
    assert not (tmp_path / "appendonly.aof").exists()
    assert (tmp_path / MANIFEST).read_text().startswith("file appendonly.aof seq 1 type b\nfile ")
    with reopen(tmp_path) as store:
        assert store.get("b") == b"2" and store.db(2).get("a") == b"1"


def test_a_snapshot_followed_by_commands(tmp_path: Path) -> None:
    """aof-use-rdb-preamble of Redis 4 to 6: both in one file."""
    with reopen(tmp_path, appendonly=False) as store:
        fill(store)
    data = (tmp_path / "dump.rdb").read_bytes()
    (tmp_path / "appendonly.aof").write_bytes(data + b"*3\r\n$3\r\nSET\r\n$4\r\ntail\r\n$1\r\n1\r\n")
    (tmp_path / "dump.rdb").unlink()
    with reopen(tmp_path) as store:
        assert store.get("tail") == b"1" and store.llen("list") == 200


# ---- one process at a time


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    with reopen(tmp_path) as store:
        with pytest.raises(StoreFilesError, match="is open in process"):
            libkv.open(tmp_path)
        program = (
            f"import libkv\ntry:\n libkv.open({str(tmp_path)!r})\nexcept libkv.errors.StoreFilesError as e: print(e)"
        )
        shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
        assert str(os.getpid()) in shown.stdout
        store.set("a", 1)
    with reopen(tmp_path) as store:
        assert store.get("a") == b"1"


def test_a_fork_leaves_the_store_to_the_parent(tmp_path: Path) -> None:
    with reopen(tmp_path, appendfsync="always") as store:
        store.set("a", 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.set("a", 2)
            except StoreForked:
                store.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        store.set("b", 2)
    with reopen(tmp_path) as store:
        assert store.mget("a", "b") == [b"1", b"2"]


def test_the_application_may_reap_the_snapshot_child(tmp_path: Path) -> None:
    program = f"""
import libkv, signal, time, threading
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
busy = True
def spin():
    while busy: sum(range(1000))
threads = [threading.Thread(target=spin) for _ in range(3)]
for t in threads: t.start()
with libkv.open({str(tmp_path)!r}) as store:
    for i in range(1000): store.set(f"key{{i}}", i)
    for _ in range(5):
        store.bgsave()
        for _ in range(1000):
            if not store.info("persistence")["rdb_bgsave_in_progress"]: break
            time.sleep(0.005)
        assert store.info("persistence")["rdb_last_bgsave_status"] == "ok"
    assert store.info("persistence")["rdb_saves"] == 5
busy = False
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


# ---- torn files


def test_a_journal_cut_at_every_byte_loads_a_prefix(tmp_path: Path) -> None:
    states = []
    with reopen(tmp_path) as store:
        states.append(digest(store))
        for i in range(2):
            store.rpush("list", i)
            states.append(digest(store))
            with store.pipeline() as pipe:
                pipe.incr("a")
                pipe.incr("b")
                pipe.execute()
            states.append(digest(store))
    whole = (tmp_path / INCREMENT).read_bytes()
    last = 0
    for n in range(len(whole) + 1):
        (tmp_path / INCREMENT).write_bytes(whole[:n])
        with reopen(tmp_path) as store:
            now = states.index(digest(store))
            assert now >= last, n
            last = now
        assert whole.startswith((tmp_path / INCREMENT).read_bytes())
    assert last == len(states) - 1
    (tmp_path / INCREMENT).write_bytes(whole[:-3])
    with pytest.raises(StoreFilesError, match=f"byte {whole.rindex(b'*1' + bytes((13, 10)) + b'$5')}"):
        reopen(tmp_path, aof_load_truncated="no")


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    """The format has no checksums: a changed value is not seen; but nothing breaks, and what is refused has a place."""
    with reopen(tmp_path) as store:
        fill(store)
        store.delete("set", "hash", "zset", "list", "raw", "sketch")
    whole = (tmp_path / INCREMENT).read_bytes()[-1500:]
    whole = whole[whole.index(b"*") :]
    rng = random.Random(1)
    refused = 0
    for at in range(0, len(whole), 1 if os.environ.get("LONG") else 7):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.randint(0, 7)
        (tmp_path / INCREMENT).write_bytes(bytes(changed))
        try:
            with reopen(tmp_path) as store:
                store.check()
        except StoreFilesError as error:
            refused += 1
            assert "byte" in str(error)
    assert refused


def test_nul_bytes_behind_the_end_are_cut_off(tmp_path: Path) -> None:
    with reopen(tmp_path) as store:
        store.set("a", 1)
        store.set("b", 2)
    whole = (tmp_path / INCREMENT).read_bytes()
    for torn in (b"", b"*3\r\n$3\r\nSE", b"*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$10\r\nhalf"):
        (tmp_path / INCREMENT).write_bytes(whole + torn + bytes(5000))
        with reopen(tmp_path) as store:
            assert store.mget("a", "b", "c") == [b"1", b"2", None]
        assert (tmp_path / INCREMENT).read_bytes() == whole


@pytest.mark.parametrize(
    "manifest",
    ["", "file a seq 1 type b", "file a seq 1 type x\n", "file ../a seq 1 type b\n", "file a seq 0 type b\n",
     "file a seq 1 type b\nfile b seq 2 type b\n", "file a seq 2 type i\nfile b seq 1 type i\n", "nonsense\n",
     "file " + "a" * 300 + " seq 1 type b\n", 'file "a seq 1 type b\n'],
)  # fmt: skip
def test_a_wrong_manifest_is_refused(tmp_path: Path, manifest: str) -> None:
    with reopen(tmp_path) as store:
        store.set("a", 1)
    (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(StoreFilesError, match="manifest"):
        reopen(tmp_path)


def test_a_missing_part_is_refused(tmp_path: Path) -> None:
    with reopen(tmp_path) as store:
        store.set("a", 1)
    (tmp_path / "appendonlydir/appendonly.aof.1.base.rdb").unlink()
    with pytest.raises(StoreFilesError, match=r"appendonly\.aof\.1\.base\.rdb: No such file"):
        reopen(tmp_path)


# ---- a past moment


def test_the_state_at_a_moment(tmp_path: Path) -> None:
    with reopen(tmp_path, aof_timestamp_enabled="yes") as store:
        store.set("a", "first")
    journal = (tmp_path / INCREMENT).read_bytes()
    stamp = int(journal.split(b"\r\n")[0][4:])
    journal += b"#TS:%d\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$6\r\nsecond\r\n" % (stamp + 100)
    (tmp_path / INCREMENT).write_bytes(journal + b"*3\r\n$3\r\nSET")
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    moment = datetime.datetime.fromtimestamp(stamp + 50)
    for until, value in ((moment, b"first"), (moment + datetime.timedelta(seconds=50), b"second")):
        with libkv.open(tmp_path, until=until) as store:
            assert store.get("a") == value
            with pytest.raises(ReadOnlyError):
                store.set("a", "third")
    assert files == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with reopen(tmp_path) as store:
        assert store.get("a") == b"second"


# ---- a full or broken disk


@pytest.mark.parametrize("short", [-1, 0, 7])
def test_a_full_disk_refuses_writes_until_there_is_room(tmp_path: Path, short: int) -> None:
    with NotedFiles() as files, reopen(tmp_path) as store:
        store.set("a", 1)
        if short > 0:
            files.fail(WRITE, errno.ENOSPC, times=1, path=".incr.", short=short)
        files.fail(WRITE, errno.ENOSPC, times=1000, path=".incr.")
        store.set("b", 2)
        wait(lambda: store.info("persistence")["aof_last_write_status"] == "err")
        with pytest.raises(ResponseError, match="MISCONF Errors writing to the AOF file: No space left on device"):
            for _ in range(100):
                store.set("c", 3)
                time.sleep(0.01)
        assert store.get("a") == b"1"
        files.fail_none()
        wait(lambda: accepted(store, "d", 4))
    with reopen(tmp_path) as store:
        assert store.mget("a", "b", "d") == [b"1", b"2", b"4"]


def test_a_full_disk_in_a_rewrite_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The present increment can't be ended, and so no next one begun: closing says so, and what was safe stays."""
    with NotedFiles() as files:
        store = reopen(tmp_path)
        fill(store)
        store.sync()
        before = digest(store)
        files.fail(WRITE, errno.ENOSPC, times=1_000_000, path=".incr.")
        store.set("lost", 1)
        store.bgrewriteaof()
        with pytest.raises(StoreFilesError):
            store.close()
    with reopen(tmp_path) as store:
        assert digest(store) == before


def test_a_failed_fsync_is_never_taken_for_a_good_one(tmp_path: Path) -> None:
    """everysec: writes are refused, though every later fsync would succeed; a rewrite starts a new file."""
    with NotedFiles() as files, reopen(tmp_path) as store:
        files.fail(FSYNC, errno.EIO, times=1, path=".incr.")
        store.set("a", 1)
        wait(lambda: opening.state(store)["broken"] == errno.EIO)
        with pytest.raises(ResponseError, match="MISCONF Errors writing to the AOF file: Input/output error"):
            for _ in range(100):
                store.set("b", 2)
                time.sleep(0.01)
        synced = opening.state(store)["durable"]
        time.sleep(1.2)
        assert opening.state(store)["durable"] == synced
        with pytest.raises(StoreFilesError):
            store.sync()
        rewrite(store)
        store.set("c", 3)
        store.sync()
        before = digest(store)
    with reopen(tmp_path) as store:
        assert digest(store) == before and store.get("c") == b"3"


@pytest.mark.parametrize("what", [WRITE, FSYNC])
def test_always_raises_when_it_cant_keep_its_word(tmp_path: Path, what: int) -> None:
    with NotedFiles() as files:
        store = reopen(tmp_path, appendfsync="always")
        store.set("a", 1)
        files.fail(what, errno.EIO, times=1, path=".incr.")
        with pytest.raises(ResponseError, match="Input/output error"):
            store.set("b", 2)
        with pytest.raises(ResponseError, match="MISCONF"):
            store.set("c", 3)
        with pytest.raises(StoreFilesError):
            store.close()
    with reopen(tmp_path) as store:
        assert store.get("a") == b"1" and store.get("c") is None


@pytest.mark.parametrize(("what", "path"), [(OPEN, "temp-"), (WRITE, "temp-"), (FSYNC, "temp-"), (RENAME, "dump.rdb")])
@pytest.mark.parametrize("by", ["save", "bgsave"])
def test_a_failed_snapshot_leaves_the_old_one(tmp_path: Path, what: int, path: str, by: str) -> None:
    with NotedFiles() as files, reopen(tmp_path, appendonly=False, save="3600 1") as store:
        store.set("a", 1)
        store.save()
        kept = (tmp_path / "dump.rdb").read_bytes()
        store.set("a", 2)
        files.fail(what, errno.ENOSPC, times=100, path=path)
        if by == "save":
            with pytest.raises(ResponseError):
                store.save()
        else:
            store.bgsave()
            wait(lambda: store.info("persistence")["rdb_last_bgsave_status"] == "err")
            with pytest.raises(ResponseError, match="MISCONF Redis is configured to save RDB snapshots"):
                store.set("a", 3)
            store.config_set("stop-writes-on-bgsave-error", "no")
            store.set("a", 3)
        assert (tmp_path / "dump.rdb").read_bytes() == kept
        files.fail_none()
        assert not list(tmp_path.glob("temp-*"))
        store.config_set("stop-writes-on-bgsave-error", "yes")
        store.save()
        store.set("a", 4)


@pytest.mark.parametrize(
    ("what", "path"),
    [(OPEN, "temp-rewrite"), (WRITE, "temp-rewrite"), (FSYNC, "temp-rewrite"), (OPEN, ".2.incr"), (RENAME, ".2.base"),
     (RENAME, "manifest"), (FSYNC, "manifest"), (WRITE, "manifest")],
)  # fmt: skip
def test_a_failed_rewrite_changes_nothing(tmp_path: Path, what: int, path: str) -> None:
    with NotedFiles() as files, reopen(tmp_path) as store:
        fill(store)
        files.fail(what, errno.EIO, times=100, path=path)
        store.bgrewriteaof()
        store.incr("meanwhile")
        wait(lambda: store.info("persistence")["aof_last_bgrewrite_status"] == "err")
        store.incr("afterwards")
        files.fail_none()
        before = digest(store)
        store.sync()
        shutil.copytree(tmp_path / "appendonlydir", tmp_path / "copy" / "appendonlydir")
        rewrite(store)
        assert store.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    assert not list(tmp_path.glob("temp-*")) and not list((tmp_path / "copy/appendonlydir").glob("*.2.base.*"))
    for path_now in (tmp_path, tmp_path / "copy"):
        with reopen(path_now) as store:
            assert digest(store) == before


def test_a_directory_that_cant_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreFilesError, match="can't"), NotedFiles() as files:
        files.fail(OPEN, errno.EROFS, times=100, path="temp-rewriteaof")
        reopen(tmp_path)
    with reopen(tmp_path) as store:  # the lock has been given back
        store.set("a", 1)


def test_everysec_goes_on_while_a_fsync_runs(tmp_path: Path) -> None:
    with NotedFiles() as files, reopen(tmp_path) as store:
        files.fail(FSYNC, 0, times=1, path=".incr.", slow=700_000)
        store.set("a", 0)
        wait(lambda: [n for n in files.notes() if n[0] == FSYNC and ".incr." in path_of(files, n[4])])
        for i in range(50):
            store.set("a", i)
        files.mark(1)
        wait(lambda: opening.state(store)["durable"] == opening.state(store)["appended"])
        kinds = [n[0] for n in files.notes() if n[0] in (FSYNC, FSYNCED, MARK) and n[4] in (0, journal_of(files))]
        assert kinds[:3] == [FSYNC, MARK, FSYNCED]
    with reopen(tmp_path) as store:
        assert store.get("a") == b"49"


def test_always_waits_for_the_fsync_reads_too(tmp_path: Path) -> None:
    """A second thread's GET sees the value at once, and returns when the disk has it."""
    with NotedFiles() as files, reopen(tmp_path, appendfsync="always") as store:
        files.fail(FSYNC, 0, times=1, path=".incr.", slow=500_000)
        writer = threading.Thread(target=lambda: (store.set("a", 1), files.mark(1)))
        writer.start()
        wait(lambda: journal_of(files, FSYNC))
        assert store.get("a") == b"1"
        files.mark(2)
        writer.join()
        kinds = [n[0] for n in files.notes() if n[0] in (FSYNC, FSYNCED, MARK) and n[4] in (0, journal_of(files))]
        assert kinds == [FSYNC, FSYNCED, MARK, MARK]


def path_of(files: NotedFiles, inode: int) -> str:
    return next((n[2] for n in files.notes() if n[0] == OPEN and n[4] == inode), "")


def journal_of(files: NotedFiles, kind: int = OPEN) -> int:
    """The increment's inode, once there is a note of this kind about it; 0 before."""
    inode = next((n[4] for n in files.notes() if n[0] == OPEN and ".incr." in n[2]), 0)
    return inode if any(n[0] == kind and n[4] == inode for n in files.notes()) else 0


# ---- threads


def test_always_serves_many_threads_with_few_fsyncs(tmp_path: Path) -> None:
    with reopen(tmp_path, appendfsync="always") as store:

        def work(k: int) -> None:
            for i in range(100):
                store.set(f"{k}:{i}", i)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        state = opening.state(store)
        assert state["durable"] == state["appended"] and state["syncs"] <= 800
        before = digest(store)
    with reopen(tmp_path) as store:
        assert store.dbsize() == 800 and digest(store) == before
