"""examples/server.py and its files: loading while clients come, full and broken disks, signals."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

import libkv
from libkv.errors import StoreFilesError
from tests.resp import command, reply_end
from tests.servers import ENVIRONMENT, OURS, Process, Start, free_port


def client_of(server: Process) -> redis.Redis:
    return redis.Redis(port=server.port, socket_timeout=20)


def wait_end(server: Process) -> int:
    return server.popen.wait(20)


def read_reply(s: socket.socket) -> bytes:
    data = b""
    while reply_end(data) < 0:
        part = s.recv(1) if len(data) < 64 else s.recv(reply_size(data) - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def reply_size(data: bytes) -> int:
    """Of a bulk string whose first line is there."""
    line = data.partition(b"\r\n")[0]
    return len(line) + 2 + int(line[1:]) + 2


def test_loading_is_answered(start: Start, tmp_path: Path) -> None:
    """-LOADING until all is there; PING and INFO as redis-server's."""
    home = tmp_path / "ours"
    (home / "appendonlydir").mkdir(parents=True)
    with open(home / "appendonlydir/big.aof", "wb") as stream:
        block = b"".join(command("SET", f"key:0000:{k}", "x" * 30) for k in range(2000))
        for i in range(500):
            stream.write(block.replace(b"key:0000:", b"key:%04d:" % i))
    (home / "appendonlydir/appendonly.aof.manifest").write_text("file big.aof seq 1 type i\n")
    server = start("--appendonly", "yes", ready=False)
    replies: list[bytes] = []
    for _ in range(2000):
        with contextlib.suppress(OSError), server.connect() as s:
            while not replies or replies[-1] != b"+PONG\r\n":
                s.sendall(command("PING") + command("GET", "key:0001:1") + command("INFO", "persistence"))
                replies.append(read_reply(s))
                replies.append(read_reply(s))
                figures = read_reply(s)
                replies.append(replies[-2])
                if b"loading:1" in figures:
                    total = int(re.findall(rb"loading_total_bytes:(\d+)", figures)[0])
                    done = int(re.findall(rb"loading_loaded_bytes:(\d+)", figures)[0])
                    assert 0 <= done <= total and (total == 0 or total > 10_000_000)
            break
        time.sleep(0.002)
    refusal = b"-LOADING Redis is loading the dataset in memory\r\n"
    assert replies[0] == refusal and replies[-1] == b"+PONG\r\n"
    client = client_of(server)
    assert client.dbsize() == 1_000_000
    client.close()
    assert re.search(r"DB loaded from incr file big\.aof: \d+\.\d+ seconds", server.log())


def test_what_cant_be_loaded_ends_the_server(start: Start, tmp_path: Path) -> None:
    home = tmp_path / "ours"
    home.mkdir()
    (home / "dump.rdb").write_bytes(b"REDIS0010nonsense")
    server = start(ready=False)
    assert wait_end(server) == 1
    assert "Fatal error loading the DB" in server.log()
    assert (home / "dump.rdb").read_bytes() == b"REDIS0010nonsense"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("missing privilege: mounting a tmpfs needs root")
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("missing privilege: a tmpfs can't be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """everysec: writes are refused while it is full, and go on afterwards; nothing of before is lost."""
    home = small_disk / "home"
    home.mkdir()
    (home / "ballast").write_bytes(bytes(300_000))
    server = Process(OURS, home, "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
    client = client_of(server.wait_ready())
    written = 0
    with pytest.raises(redis.ResponseError, match="MISCONF Errors writing to the AOF file: No space left on device"):
        for i in range(10_000):
            client.set(f"key{i}", "x" * 1000)
            written = i
            time.sleep(0.0005)
    assert client.get("key0") == b"x" * 1000
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        client.ping()
    (home / "ballast").unlink()
    for _ in range(400):
        with contextlib.suppress(redis.ResponseError):
            client.set("afterwards", 1)
            break
        time.sleep(0.01)
    assert client.get("afterwards") == b"1"
    client.close()
    assert server.stop() == 0
    again = Process(OURS, home, "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
    client = client_of(again.wait_ready())
    assert client.exists("key0", f"key{written - 1}", "afterwards") == 3
    client.close()
    again.stop()


def test_always_on_a_full_disk_ends_the_server(small_disk: Path) -> None:
    home = small_disk / "home"
    home.mkdir()
    server = Process(OURS, home, "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
    client = client_of(server.wait_ready())
    answered = -1
    with pytest.raises(redis.ConnectionError):
        for i in range(10_000):
            client.set(f"key{i}", "x" * 1000)
            answered = i
    client.close()
    assert wait_end(server) == 1
    assert "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..." in server.log()
    (home / f"log-{server.port}").unlink()
    again = Process(OURS, home, "--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
    client = client_of(again.wait_ready())
    assert client.exists("key0", f"key{answered}") == 2
    client.close()
    again.popen.kill()
    again.popen.wait(10)


def test_sigterm_saves(start: Start, tmp_path: Path) -> None:
    server = start()
    client = client_of(server)
    client.config_set("save", "3600 1")
    client.set("a", 1)
    client.close()
    assert server.stop(signal.SIGTERM) == 0
    lines = [line.rpartition(" * ")[2].rpartition(" # ")[2] for line in server.log().splitlines()[-4:]]
    assert lines[:3] == [
        "User requested shutdown...",
        "Saving the final RDB snapshot before exiting.",
        "DB saved on disk",
    ]
    assert (tmp_path / "ours" / "dump.rdb").exists()


@pytest.mark.parametrize(("words", "saved"), [("save", True), ("nosave now", False), ("default", False)])
def test_a_signal_does_what_the_directive_says(start: Start, tmp_path: Path, words: str, saved: bool) -> None:
    server = start("--shutdown-on-sigint", *words.split())
    assert server.ask(b"SET k v\r\n") == b"+OK\r\n"
    assert server.stop(signal.SIGINT) == 0
    assert (tmp_path / "ours" / "dump.rdb").exists() == saved


def test_sigterm_is_refused_when_the_data_cant_be_saved(start: Start, tmp_path: Path) -> None:
    server = start()
    client = client_of(server)
    client.set("a", 1)
    client.config_set("save", "3600 1")
    (tmp_path / "ours" / "dump.rdb").mkdir()
    server.popen.send_signal(signal.SIGTERM)
    server.wait_log("SIGTERM received but errors trying to shut down the server")
    assert client.get("a") == b"1"
    (tmp_path / "ours" / "dump.rdb").rmdir()
    client.close()
    assert server.stop() == 0
    assert (tmp_path / "ours" / "dump.rdb").is_file()


def test_skip_unsupported(start: Start, tmp_path: Path) -> None:
    home = tmp_path / "ours"
    home.mkdir()
    odd = b"\x18\x03odd" + bytes(8) + b"\x01\x05\x01f\x01v"  # a hash with a field that expires
    (home / "dump.rdb").write_bytes(b"REDIS0012\xfe\x00\x00\x01a\x011" + odd + b"\xff" + bytes(8))
    server = start(ready=False)
    assert wait_end(server) == 1 and "key 'odd'" in server.log()
    server = start("--skip-unsupported")
    client = client_of(server)
    assert client.keys() == [b"a"] and client.info("persistence")["last_load_dropped"] == 1
    client.close()
    server.wait_log("Passed over, as this store can't hold it: .* of key 'odd'")


def drawn(master: int, words: bytes) -> bytes:
    """What comes on a terminal until it holds these words; fails when its other end is closed before."""
    seen = b""
    while words not in seen:
        assert select.select([master], [], [], 60)[0], seen
        seen += os.read(master, 65536)
    return seen


def test_a_terminal_sees_how_far_loading_is(tmp_path: Path) -> None:
    """The middle part is a pipe that gives nothing: loading stands still at the first one's end."""
    files = tmp_path / "appendonlydir"
    files.mkdir()
    block = command("SET", "key", "x" * 1000) * 3000
    (files / "1.aof").write_bytes(block)
    os.mkfifo(files / "2.aof")
    (files / "3.aof").write_bytes(block)
    parts = "".join(f"file {n}.aof seq {n} type i\n" for n in (1, 2, 3))
    (files / "appendonly.aof.manifest").write_text(parts)
    pipe = os.open(files / "2.aof", os.O_RDWR)
    master, slave = pty.openpty()
    options = ["--port", str(free_port()), "--dir", str(tmp_path), "--appendonly", "yes"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([*OURS, *options], stdout=log, stderr=slave, stdin=slave, env=ENVIRONMENT)
    os.close(slave)
    try:
        drawn(master, f"\rLoading:  50% of {2 * len(block) / 1e6:.1f} MB".encode())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
        os.close(master)
        os.close(pipe)
    assert "Stopped while loading: no file has been changed." in (tmp_path / "log").read_text()
    assert (files / "appendonly.aof.manifest").read_text() == parts


def left_over(home: Path) -> list[str]:
    return sorted(p.name for p in home.rglob("temp-*"))


def fails_with(call: Callable[[], object], server: Process, line: str, field: str) -> None:
    """A save in the background that fails: INFO says so, and the log why."""
    call()
    client = client_of(server)
    for _ in range(2000):
        if client.info("persistence")[field] == "err":
            break
        time.sleep(0.01)
    client.close()
    server.wait_log(line)


def test_saves_and_rewrites_on_a_full_disk(small_disk: Path) -> None:
    """Neither leaves a piece of a file; what was there stays; both succeed when there is room again."""
    home = small_disk / "home"
    home.mkdir()
    server = Process(OURS, home, "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--rdbcompression", "no")
    client = client_of(server.wait_ready())
    client.mset({f"key{i}": "x" * 1000 for i in range(100)})
    assert client.save()
    snapshot = (home / "dump.rdb").read_bytes()
    parts = sorted(p.name for p in (home / "appendonlydir").iterdir())
    client.mset({f"more{i}": "x" * 1000 for i in range(200)})
    room = os.statvfs(home)
    (home / "ballast").write_bytes(bytes(max(room.f_bavail * room.f_frsize - 100_000, 0)))
    with pytest.raises(redis.ResponseError):
        client.save()
    fails_with(client.bgsave, server, "Background saving error: No space left on device", "rdb_last_bgsave_status")
    fails_with(
        client.bgrewriteaof,
        server,
        "Background AOF rewrite terminated with error: No space",
        "aof_last_bgrewrite_status",
    )
    assert left_over(home) == [] and (home / "dump.rdb").read_bytes() == snapshot
    assert set(parts) <= {p.name for p in (home / "appendonlydir").iterdir()}
    (home / "ballast").unlink()
    assert client.save()
    client.bgrewriteaof()
    for _ in range(2000):
        if client.info("persistence")["aof_last_bgrewrite_status"] == "ok":
            break
        time.sleep(0.01)
    digest = client.dbsize()
    client.close()
    assert server.stop() == 0 and left_over(home) == []
    again = Process(OURS, home, "--appendonly", "yes")
    client = client_of(again.wait_ready())
    assert client.dbsize() == digest == 300
    client.close()
    again.stop()


def read_only(path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)


def test_a_read_only_directory(small_disk: Path) -> None:
    """No snapshot, no journal; a start with one ends as redis-server's does; without one what is there is served."""
    home = small_disk / "home"
    home.mkdir()
    with libkv.open(home, appendonly=False, save="") as store:
        store.set("a", 1)
    (home / "libkv.lock").unlink()
    outside = small_disk.parent
    log_of = {name: outside / name for name in ("serves", "ends")}
    for path in log_of.values():
        path.mkdir()
    read_only(small_disk)
    # the log is elsewhere: Process keeps it in its home
    server = Process(OURS, log_of["serves"], "--enable-protected-configs", "yes", "--appendonly", "no")
    client = client_of(server.wait_ready())
    client.config_set("dir", str(home))
    with pytest.raises(redis.ResponseError):
        client.save()
    server.wait_log("Error saving the DB to .*dump.rdb: Read-only file system")
    fails_with(client.bgsave, server, "Background saving error: Read-only file system", "rdb_last_bgsave_status")
    with pytest.raises(redis.ResponseError, match="Unable to turn on AOF"):
        client.config_set("appendonly", "yes")
    assert client.config_get("appendonly") == {"appendonly": "no"}
    client.set("b", 2)
    assert client.get("b") == b"2"
    client.close()
    assert server.stop() == 0
    process = subprocess.run(
        [*OURS, "--port", str(free_port()), "--dir", str(home), "--appendonly", "yes"],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 1 and "Read-only file system" in process.stdout
    with pytest.raises(StoreFilesError, match="Read-only file system"):
        libkv.open(home)
