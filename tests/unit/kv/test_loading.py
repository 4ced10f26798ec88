"""What a store loads: past moments, what it can't hold, how far it is; and nothing of it is told again."""

from __future__ import annotations

import datetime
import errno
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv import rdb
from libkv.errors import RdbFileError, StoreFilesError
from libkv.persistence import opening
from libkv.persistence.records import Reader
from libkv.testing.native.disk import READ, NotedFiles
from tests.rdb_bytes import string, whole
from tests.resp import command

INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof"
BASE = "appendonlydir/appendonly.aof.1.base.rdb"


def wait(condition: Callable[[], Any]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it doesn't come to an end")


def files_of(directory: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def made(base: Path) -> int:
    """When a snapshot was made, by its own word."""
    fields = {event[1]: event[2] for event in Reader(str(base), False) if event[0] == "aux"}
    return int(fields[b"ctime"])


def at(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds)


# ---- nothing is told again


def test_what_was_loaded_is_not_written_again(tmp_path: Path) -> None:
    """A FLUSHALL of the journal, told again behind the next change, would take everything."""
    with libkv.open(tmp_path) as store:
        store.set("a", 1)
        store.flushall()
        store.db(2).set("b", 1)
        store.db(2).flushdb()
        store.set("kept", 1)
    with libkv.open(tmp_path, enable_debug_command="yes") as store:
        store.set("new", 1)
        store.sync()
        assert (tmp_path / INCREMENT).read_bytes().count(b"FLUSH") == 2
        assert store.execute_command("DEBUG", "LOADAOF")
        store.set("newer", 1)
    with libkv.open(tmp_path) as store:
        assert store.mget("kept", "new", "newer") == [b"1", b"1", b"1"]
    assert (tmp_path / INCREMENT).read_bytes().count(b"FLUSH") == 2


# ---- a disk that can't be read


@pytest.mark.parametrize("part", [".base.", ".incr."])
def test_a_file_that_cant_be_read(tmp_path: Path, part: str) -> None:
    """It is refused with the error, and stays as it is."""
    with libkv.open(tmp_path) as store:
        store.mset({f"key{i}": "x" * 1000 for i in range(2000)})
    before = files_of(tmp_path)
    with NotedFiles() as files:
        files.fail(READ, errno.EIO, after=2 if part == ".incr." else 0, times=1000, path=part)
        with pytest.raises(StoreFilesError, match="Input/output error") as told:
            libkv.open(tmp_path)
        assert told.value.errno == errno.EIO and part in str(told.value)
    assert files_of(tmp_path) == before
    with libkv.open(tmp_path) as store:
        assert store.dbsize() == 2000


# ---- a past moment


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_a_moment_before_the_base_is_refused(tmp_path: Path, preamble: str) -> None:
    settings = {"aof_timestamp_enabled": "yes", "aof_use_rdb_preamble": preamble}
    with libkv.open(tmp_path, **settings) as store:
        store.set("a", 1)
        store.bgrewriteaof()
        wait(lambda: not store.info("persistence")["aof_rewrite_in_progress"])
        store.set("b", 2)
    base = next((tmp_path / "appendonlydir").glob("*.2.base.*"))
    oldest = made(base) if preamble == "yes" else int(base.read_bytes().split(b"\r\n")[0][4:])
    before = files_of(tmp_path)
    with pytest.raises(StoreFilesError, match=rf"reaches back to {at(oldest)} .*\(Unix time {oldest}\)") as told:
        libkv.open(tmp_path, until=at(oldest - 1))
    assert str(at(oldest - 1)) in str(told.value)
    with libkv.open(tmp_path, until=at(oldest + 10)) as store:
        assert store.mget("a", "b") == [b"1", b"2"]
    assert files_of(tmp_path) == before


def test_commands_of_unknown_times(tmp_path: Path) -> None:
    """What stands in front of the first annotation is older than it, and nobody knows how much."""
    with libkv.open(tmp_path) as store:
        store.set("a", 1)
    with pytest.raises(StoreFilesError, match="tells no times: it was written without aof-timestamp-enabled"):
        libkv.open(tmp_path, until=datetime.datetime.now())
    with libkv.open(tmp_path, aof_timestamp_enabled="yes") as store:
        store.set("a", 2)
    journal = (tmp_path / INCREMENT).read_bytes()
    stamp = int(journal.partition(b"#TS:")[2].split(b"\r\n")[0])
    (tmp_path / INCREMENT).write_bytes(journal.replace(b"#TS:%d" % stamp, b"#TS:%d" % (stamp + 100)))
    with pytest.raises(StoreFilesError, match=rf"\(Unix time {stamp + 100}\)$"):
        libkv.open(tmp_path, until=at(stamp + 99))
    with libkv.open(tmp_path, until=at(stamp + 100)) as store:
        assert store.get("a") == b"2"


def test_a_past_moment_needs_a_journal(tmp_path: Path) -> None:
    with libkv.open(tmp_path, appendonly=False) as store:
        store.set("a", 1)
    before = files_of(tmp_path)
    for journal in (True, False):
        with pytest.raises(StoreFilesError, match=r"there is no journal in .*appendonlydir"):
            libkv.open(tmp_path, until=datetime.datetime.now(), appendonly=journal)
    assert files_of(tmp_path) == before and not (tmp_path / "appendonlydir").exists()


def test_a_past_moment_of_an_old_single_file(tmp_path: Path) -> None:
    """It is read where it is: a look back moves nothing."""
    old = b"#TS:1000\r\n" + command("SET", "a", 1) + b"#TS:2000\r\n" + command("SET", "a", 2)
    (tmp_path / "appendonly.aof").write_bytes(old)
    for moment, value in ((1500, b"1"), (2000, b"2")):
        with libkv.open(tmp_path, until=at(moment)) as store:
            assert store.get("a") == value
    with pytest.raises(StoreFilesError, match=r"\(Unix time 1000\)$"):
        libkv.open(tmp_path, until=at(999))
    assert files_of(tmp_path) == {tmp_path / "appendonly.aof": old}


# ---- what a store can't hold

FIELD = b"\x01f\x01v"
ODD = b"\x18%s" + bytes(8) + b"\x01\x05" + FIELD  # a hash with a field that expires


def with_odd_keys(odd: int, path: Path) -> None:
    """A snapshot with two good keys, and so many that no store here can hold."""
    body = b"\xfe\x00" + b"\x00\x01a\x011"
    body += b"".join(ODD % string(b"odd %d" % i) for i in range(odd))
    path.write_bytes(whole(12, body + b"\xfe\x03" + ODD % string(b"\x00other") + b"\x00\x01b\x012"))


def test_skip_unsupported_drops_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_odd_keys(50, tmp_path / "dump.rdb")
    with pytest.raises(StoreFilesError, match="key 'odd 0'"):
        libkv.open(tmp_path)
    with pytest.raises(RdbFileError):
        list(rdb.read(tmp_path / "dump.rdb"))
    caplog.set_level(logging.INFO, "libkv")
    with libkv.open(tmp_path, skip_unsupported=True) as store:
        assert store.info("persistence")["last_load_dropped"] == 51
        assert store.get("a") == b"1" and store.db(3).get("b") == b"2"
        assert store.dbsize() == 1
    lines = [line for line in caplog.messages if "assed over" in line]
    assert "this store can't hold it: hash-listpack-ttl of key 'odd 0'" in lines[0] or "of key 'odd 0'" in lines[0]
    assert len(lines) == 22 and "51 keys" in lines[-1]  # twenty by name, and two of the rest
    with libkv.open(tmp_path) as store:  # the journal's base is without them
        assert "last_load_dropped" not in store.info("persistence") and store.get("a") == b"1"


def test_skip_unsupported_passes_over_unknown_commands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with libkv.open(tmp_path) as store:
        store.set("a", 1)
    with open(tmp_path / INCREMENT, "ab") as stream:
        stream.write(command("JSON.SET", "doc", "$", "{}") + command("SET", "b", 2))
    with pytest.raises(StoreFilesError, match=r"Unknown command 'JSON\.SET'"):
        libkv.open(tmp_path)
    with libkv.open(tmp_path, skip_unsupported=True) as store:
        assert store.mget("a", "b") == [b"1", b"2"]
        assert store.info("persistence")["last_load_dropped"] == 1
    assert "the command 'JSON.SET'" in caplog.text


# ---- figures


def test_info_tells_how_far_a_load_is(tmp_path: Path) -> None:
    """The size of the server that wrote the file, too."""
    store = libkv.Store(enable_debug_command="yes", rdbcompression="no")
    store.execute_command("DEBUG", "POPULATE", 50_000, "key", 100)
    rdb.write(tmp_path / "dump.rdb", store, compression=False)
    store.close()
    used = {e[1]: e[2] for e in Reader(str(tmp_path / "dump.rdb"), False) if e[0] == "aux"}[b"used-mem"]
    with NotedFiles() as files:
        files.fail(READ, 0, times=1_000_000, path="dump.rdb", slow=50_000)
        loading = libkv.Store(dir=str(tmp_path))
        opening.announce_loading(loading)
        thread = threading.Thread(target=opening.start, args=(loading,))
        thread.start()
        seen: list[dict[str, Any]] = []
        while thread.is_alive():
            seen.append(loading.info("persistence"))
            time.sleep(0.01)
        thread.join()
        size = (tmp_path / "dump.rdb").stat().st_size
        under_way = [i for i in seen if i["loading"] and i.get("loading_loaded_bytes")]
        assert under_way and loading.info("persistence")["loading"] == 0
        for info in under_way:
            assert info["loading_total_bytes"] == size and info["loading_rdb_used_mem"] == int(used) > 0
            assert 0 < info["loading_loaded_bytes"] <= size and 0 < info["loading_loaded_perc"] <= 100
            assert abs(info["loading_start_time"] - time.time()) < 600 and info["loading_eta_seconds"] >= 0
        done = [i["loading_loaded_bytes"] for i in under_way]
        assert done == sorted(done) and loading.dbsize() == 50_000
        loading.close()
