"""Files beside redis-server 7.0.15: either one goes on with the other's, and DEBUG DIGEST is the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import libkv
from tests.oracle.conftest import Pair
from tests.servers import ENVIRONMENT, OURS, ROOT, Process

CHECK = [sys.executable, str(ROOT / "examples" / "check_aof.py")]
INFO_NOT_COMPARED = {"rdb_last_save_time", "rdb_last_cow_size", "aof_last_cow_size"}


@pytest.fixture
def real() -> list[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    return ["redis-server"]


class Running:
    """A server process in a directory."""

    def __init__(self, program: list[str], home: Path, *options: str) -> None:
        self.process = Process(program, home, "--enable-debug-command", "yes", *options)
        self.process.wait_ready()
        self.client = redis.Redis(port=self.process.port, socket_timeout=20)
        self.wait("loading", 0)

    def wait(self, field: str, value: object) -> None:
        for _ in range(3000):
            if self.client.info("persistence")[field] == value:
                return
            time.sleep(0.01)
        raise AssertionError(f"{field} doesn't become {value}\n{self.process.log()}")

    def digest(self) -> bytes:
        return bytes(self.client.execute_command("DEBUG", "DIGEST"))

    def stop(self) -> None:
        self.client.close()
        assert self.process.stop() == 0


def fill(client: redis.Redis) -> None:
    """Every type in its encodings, several databases, expiry, a large collection."""
    for number in (0, 5):
        with client.pipeline(transaction=False) as pipe:
            pipe.execute_command("SELECT", number)
            pipe.set("text", "value").set("number", -7).set("long", "z" * 30000).append("raw", "ab")
            pipe.set("expires", "x", px=10_000_000).incrbyfloat("float", 3.25)
            pipe.rpush("list", *range(50)).rpush("long list", *("e" * 100 for _ in range(500)))
            pipe.sadd("ints", *range(100)).sadd("words", "a", "b").sadd("many", *(f"m{i}" for i in range(70_000)))
            pipe.hset("hash", mapping={"a": 1, "b": "two"}).hset("large", mapping={f"f{i}": i for i in range(600)})
            pipe.zadd("zset", {"a": 1.5, "b": -2}).zadd("scores", {f"m{i}": i / 7 for i in range(1000)})
            pipe.setbit("bits", 77, 1).pfadd("sketch", *range(200))
            pipe.expire("hash", 5000)
            pipe.execute_command("SELECT", 0)
            pipe.execute()


OPTIONS = [("--appendonly", "yes"), ("--appendonly", "yes", "--aof-use-rdb-preamble", "no"), ()]


@pytest.mark.parametrize("options", OPTIONS, ids=["journal", "commands", "snapshot"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_either_goes_on_with_the_others_files(
    tmp_path: Path, real: list[str], first: str, options: tuple[str, ...]
) -> None:
    programs = [real, OURS] if first == "theirs" else [OURS, real]
    home = tmp_path / "home"
    digest = None
    for turn in range(3):
        server = Running(programs[turn % 2], home, *options)
        if digest is not None:
            assert server.digest() == digest
        else:
            fill(server.client)
        server.client.incr("turns")
        if options and turn < 2:
            server.client.bgrewriteaof()
            server.client.lpush("during", turn)
            server.wait("aof_rewrite_in_progress", 0)
            assert server.client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
        if not options:
            assert server.client.save()
        server.client.zincrby("zset", 0.1, "a") if options else None
        digest = server.digest()
        server.stop()


def test_an_old_file_is_upgraded_as_theirs_is(tmp_path: Path, real: list[str]) -> None:
    journal = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
    lists = []
    for name, program in (("theirs", real), ("ours", OURS)):
        home = tmp_path / name
        home.mkdir()
        (home / "appendonly.aof").write_bytes(journal)
        server = Running(program, home, "--appendonly", "yes")
        assert server.client.get("a") == b"1"
        server.stop()
        lists.append(sorted(p.name for p in (home / "appendonlydir").iterdir() if p.suffix != ".lock"))
        lists.append((home / "appendonlydir/appendonly.aof.manifest").read_text())
    assert lists[:2] == lists[2:]


def test_torn_journals_are_loaded_and_refused_alike(tmp_path: Path, real: list[str]) -> None:
    whole = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n"
    cases = [
        whole,
        whole[:-1],
        whole[:-20],
        whole[:30],
        whole + b"*3\r\n$3\r\nSET",
        whole + b"nonsense\r\n",
        b"*1\r\n$3\r\nWHAT",
    ]
    for case in cases:
        outcomes = []
        for name, program in (("theirs", real), ("ours", OURS)):
            home = tmp_path / name
            shutil.rmtree(home, ignore_errors=True)
            (home / "appendonlydir").mkdir(parents=True)
            (home / "appendonlydir/a.incr").write_bytes(case)
            (home / "appendonlydir/appendonly.aof.manifest").write_text("file a.incr seq 1 type i\n")
            process = Process(program, home, "--appendonly", "yes")
            for _ in range(1000):
                if "Ready to accept" in process.log() or process.popen.poll() is not None:
                    break
                time.sleep(0.01)
            if process.popen.poll() is None:
                client = redis.Redis(port=process.port)
                values = client.mget("a", "b")
                client.close()
                assert process.stop() == 0
                left = (home / "appendonlydir/a.incr").read_bytes()
                # a torn transaction: theirs leaves its beginning in the file, and goes on writing behind it
                outcomes.append((values, left.partition(b"*1\r\n$5\r\nMULTI")[0] if left[-6:] != b"EXEC\r\n" else left))
            else:
                outcomes.append(([None, None], process.popen.returncode))
        assert outcomes[0] == outcomes[1], case


def test_the_commands_answer_alike(redis_socket: str, tmp_path: Path) -> None:
    pair = Pair(redis_socket, dir=tmp_path)
    pair.same("SET", "a", 1)
    pair.same("SAVE")
    pair.same("BGSAVE", "NONSENSE")
    pair.same("BGSAVE", "SCHEDULE", "MORE")
    pair.same("SAVE", "NOW")
    pair.same("LASTSAVE", "x")
    pair.same("DEBUG", "RELOAD", "NONSENSE")
    pair.same("DEBUG", "RELOAD")
    pair.same("GET", "a")
    pair.same("BGREWRITEAOF", "x")
    pair.same("MULTI")
    pair.same("SAVE")
    pair.same("BGSAVE")
    pair.same("BGREWRITEAOF")
    pair.same("DISCARD")
    pair.same("SHUTDOWN", "SAVE", "NOSAVE")
    pair.same("SHUTDOWN", "ABORT")
    fields = []
    for reply in pair.both("INFO", "persistence"):
        lines = reply.decode().split("\r\n")[1:]
        fields.append([line.split(":")[0] for line in lines if ":" in line])
    pair.close()
    assert fields[0] == fields[1]


def check(program: list[str], *arguments: str, answer: str = "y\n", cwd: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [*program, *arguments], input=answer, capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd, timeout=60
    )
    return done.returncode, done.stdout.splitlines()


SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
FILES = {
    "good": SET * 3,
    "empty": b"",
    "cut": SET + b"*3\r\n$3\r\nSE",
    "cut at a length": SET + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nabc",
    "text": SET + b"hello\r\n",
    "wrong prefix": SET + b"*3\r\n+OK\r\n",
    "stamps": b"#TS:100\r\n" + SET + b"#TS:200\r\n" + SET,
}


@pytest.mark.parametrize("name", FILES)
def test_check_aof_says_what_theirs_says(tmp_path: Path, name: str) -> None:
    if shutil.which("redis-check-aof") is None:
        pytest.skip("missing redis-check-aof (Debian package redis-tools)")
    results = []
    for program, folder in ((["redis-check-aof"], "theirs"), (CHECK, "ours")):
        home = tmp_path / folder
        home.mkdir()
        (home / "a.aof").write_bytes(FILES[name])
        seen = [check(program, "a.aof", cwd=home)]
        seen.append(check(program, "--fix", "a.aof", answer="n\n", cwd=home))
        seen.append(check(program, "--fix", "a.aof", cwd=home))
        seen.append(check(program, "a.aof", cwd=home))
        if name == "stamps":
            seen.append(check(program, "--truncate-to-timestamp", "150", "a.aof", cwd=home))
        results.append((seen, (home / "a.aof").read_bytes()))
    assert results[0] == results[1]


def test_check_aof_names_the_first_bad_byte(tmp_path: Path) -> None:
    """Theirs names the place where the word begins."""
    (tmp_path / "a.aof").write_bytes(SET + b"*3\r\n$3\r\nSETxx$1\r\na\r\n$1\r\n1\r\n")
    status, lines = check(CHECK, "a.aof", cwd=tmp_path)
    assert status == 1 and lines[1] == f"0x{len(SET) + 11:16x}: Expected \\r\\n, got: 7878"


def test_check_aof_checks_all_parts(tmp_path: Path) -> None:
    if shutil.which("redis-check-aof") is None:
        pytest.skip("missing redis-check-aof (Debian package redis-tools)")
    with libkv.open(tmp_path / "ours", aof_timestamp_enabled="yes") as store:
        store.set("a", 1)
        store.bgrewriteaof()
        for _ in range(1000):
            if not store.info("persistence")["aof_rewrite_in_progress"]:
                break
            time.sleep(0.005)
        store.set("b", 2)
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    for torn, arguments in (
        (b"", []),
        (b"*3\r\n$3\r\nSE", []),
        (b"", ["--fix"]),
        (b"", ["--truncate-to-timestamp", "1"]),
    ):
        results = []
        for program, folder in ((["redis-check-aof"], "theirs"), (CHECK, "ours")):
            home = tmp_path / folder / "appendonlydir"
            with open(home / "appendonly.aof.2.incr.aof", "ab") as stream:
                stream.write(torn)
            results.append(check(program, *arguments, "appendonly.aof.manifest", cwd=home))
        assert results[0] == results[1]
    for arguments in ([], ["--nonsense", "x"], ["no file"]):
        status, lines = check(["redis-check-aof"], *arguments, cwd=tmp_path)
        named = [line.replace("redis-check-aof", "check_aof.py") for line in lines]
        assert check(CHECK, *arguments, cwd=tmp_path) == (status, named)


@pytest.fixture
def slow(tmp_path: Path, real: list[str]) -> Iterator[list[Running]]:
    """Both, taking their time for each key that they save."""
    servers = []
    for name, program in (("theirs", real), ("ours", OURS)):
        servers.append(Running(program, tmp_path / name, "--appendonly", "yes"))
    yield servers
    for server in servers:
        if server.process.popen.poll() is None:
            server.stop()


def test_children_one_at_a_time(slow: list[Running]) -> None:
    """What is answered while a child is at work, and what is done afterwards."""
    seen = []
    for server in slow:
        server.client.config_set("rdb-key-save-delay", 2000)
        server.client.execute_command("DEBUG", "POPULATE", 3000)
        answers: list[object] = []
        for words in (
            ["BGSAVE"],
            ["BGSAVE"],
            ["SAVE"],
            ["BGREWRITEAOF"],
            ["BGSAVE", "SCHEDULE"],
            ["INFO", "persistence"],
        ):
            try:
                answers.append(server.client.execute_command(*words))
            except redis.ResponseError as error:
                answers.append(str(error))
        info = answers.pop()
        assert isinstance(info, dict)
        answers.append((info["rdb_bgsave_in_progress"], info["aof_rewrite_scheduled"], info["aof_rewrite_in_progress"]))
        server.client.config_set("rdb-key-save-delay", 0)
        server.wait("rdb_bgsave_in_progress", 0)
        server.wait("aof_rewrites", 1)
        seen.append(answers)
    assert seen[0] == seen[1]


def test_shutdown_saves_and_refuses_alike(tmp_path: Path, real: list[str]) -> None:
    outcomes = []
    for name, program in (("theirs", real), ("ours", OURS)):
        outcome: list[object] = []
        home = tmp_path / name
        server = Running(program, home, "--enable-protected-configs", "yes")
        server.client.config_set("save", "3600 1")
        server.client.set("a", 1)
        server.client.config_set("dbfilename", "dump.rdb")
        os.mkdir(home / "no.rdb")
        server.client.config_set("dbfilename", "no.rdb")  # a directory can't be replaced
        try:
            server.client.execute_command("SHUTDOWN")
        except redis.ResponseError as error:
            outcome.append(str(error))
        server.client.config_set("dbfilename", "dump.rdb")
        with pytest.raises(redis.ConnectionError):
            server.client.execute_command("SHUTDOWN")
        outcome.append(server.process.popen.wait(10))
        outcome.append((home / "dump.rdb").exists())
        outcome.append(
            re.findall(r"Saving the final RDB snapshot.*|DB saved on disk|Error trying to save.*", server.process.log())
        )
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]
