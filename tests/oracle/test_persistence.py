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
from tests.resp import command
from tests.servers import ENVIRONMENT, OURS, ROOT, Process

CHECK = [sys.executable, str(ROOT / "examples" / "check_aof.py")]
MANY = 70_000
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
            pipe.sadd("ints", *range(100)).sadd("words", "a", "b").sadd("many", *(f"m{i}" for i in range(2000)))
            pipe.hset("hash", mapping={"a": 1, "b": "two"}).hset("large", mapping={f"f{i}": i for i in range(600)})
            pipe.zadd("zset", {"a": 1.5, "b": -2}).zadd("scores", {f"m{i}": i / 7 for i in range(1000)})
            pipe.setbit("bits", 77, 1).pfadd("sketch", *range(200))
            pipe.expire("hash", 5000)
            pipe.execute_command("SELECT", 0)
            pipe.execute()


def fill_large(client: redis.Redis) -> None:
    """70,000 elements of each kind."""
    for start in range(0, MANY, 10_000):
        part = range(start, start + 10_000)
        with client.pipeline(transaction=False) as pipe:
            pipe.rpush("large list", *(f"element {i}" for i in part))
            pipe.sadd("large set", *(f"member {i}" for i in part)).sadd("large ints", *part)
            pipe.hset("large hash", mapping={f"field {i}": i for i in part})
            pipe.zadd("large zset", {f"member {i}": i * 0.37 for i in part})
            pipe.execute()


def fill_streams(client: redis.Redis) -> None:
    """Several nodes, deleted and trimmed entries, groups with pending entries; an empty one; one that was only made."""
    with client.pipeline(transaction=False) as pipe:
        for i in range(1, 1001):
            pipe.xadd("stream", {"a": i, "b": "x" * (i % 30)} if i % 3 else {"other": i}, id=f"{i * 1000}-{i % 3}")
        pipe.xgroup_create("stream", "all", 0).xgroup_create("stream", "late", "$", entries_read=1000)
        pipe.xgroup_create("stream", "none", "7-7")
        pipe.xreadgroup("all", "alice", {"stream": ">"}, count=300).xreadgroup("all", "bob", {"stream": ">"}, count=50)
        pipe.xack("stream", "all", "3000-0", "4000-1").xgroup_createconsumer("stream", "late", "idle")
        pipe.xclaim("stream", "all", "carol", 0, ["7000-1"], idle=5000, retrycount=7)
        pipe.xdel("stream", "5000-2", "20000-2", "999000-0").xtrim("stream", minid="3000")
        pipe.xadd("empty", {"f": "v"}, id="5-5").xdel("empty", "5-5")
        pipe.xgroup_create("made", "group", "$", mkstream=True)
        pipe.execute()


def fill_functions(client: redis.Redis) -> None:
    for name in ("alpha", "beta"):
        body = "function(keys, args) return redis.call('INCR', keys[1]) end"
        client.function_load(f"#!lua name={name}\nredis.register_function('{name}_f', {body})")
    client.fcall("beta_f", 1, "counted by a function")


def stream_of(client: redis.Redis, key: bytes) -> object:
    """Everything but how it lies in memory, and when consumers were last seen, which a journal doesn't tell."""

    def plain(value: object) -> object:
        if isinstance(value, list) and len(value) % 2 == 0 and all(isinstance(word, bytes) for word in value[::2]):
            value = dict(zip(value[::2], map(plain, value[1::2]), strict=True))
        if isinstance(value, dict):
            named = {k.decode() if isinstance(k, bytes) else k: plain(v) for k, v in value.items()}
            return {k: v for k, v in named.items() if k not in ("seen-time", "radix-tree-keys", "radix-tree-nodes")}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return plain(client.xinfo_stream(key, full=True))


def contents(client: redis.Redis, large: bool) -> dict[object, object]:
    """Every key's type, value and expiry, by database and name; and the libraries.  large: the large keys, too."""
    found: dict[object, object] = {
        "libraries": sorted(map(repr, client.execute_command("FUNCTION", "LIST", "WITHCODE")))
    }
    for number in range(16):
        client.execute_command("SELECT", number)
        for key in client.execute_command("KEYS", "*"):
            if key.startswith(b"large ") and not large:
                continue
            kind = client.type(key)
            value: object
            if kind == b"string":
                value = client.get(key)
            elif kind == b"list":
                value = client.lrange(key, 0, -1)
            elif kind == b"set":
                value = client.smembers(key)
            elif kind == b"zset":
                value = client.zrange(key, 0, -1, withscores=True)
            elif kind == b"hash":
                value = client.hgetall(key)
            else:
                value = stream_of(client, key)
            found[number, key] = (kind, client.object("ENCODING", key), client.pexpiretime(key), value)
    client.execute_command("SELECT", 0)
    return found


def same(one: dict[object, object], other: dict[object, object]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert other[name] == value, name


OPTIONS = [("--appendonly", "yes"), ("--appendonly", "yes", "--aof-use-rdb-preamble", "no"), ()]


@pytest.mark.parametrize("options", OPTIONS, ids=["journal", "commands", "snapshot"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_either_goes_on_with_the_others_files(
    tmp_path: Path, real: list[str], first: str, options: tuple[str, ...]
) -> None:
    """Turn by turn, each writing more and rewriting; at each turn both load the same files, and have the same in them."""
    programs = [real, OURS] if first == "theirs" else [OURS, real]
    home = tmp_path / "home"
    digest = None
    for turn in range(3):
        if digest is not None:
            shutil.copytree(home, tmp_path / f"copy {turn}")
            witness = Running(programs[(turn + 1) % 2], tmp_path / f"copy {turn}", *options)
        server = Running(programs[turn % 2], home, *options)
        if digest is None:
            fill(server.client)
            fill_large(server.client)
            fill_streams(server.client)
            fill_functions(server.client)
        else:
            assert server.digest() == witness.digest() == digest
            same(contents(server.client, turn == 1), contents(witness.client, turn == 1))
            witness.stop()
        server.client.incr("turns")
        if options and turn < 2:
            server.client.bgrewriteaof()
            server.client.lpush("during", turn)
            server.client.xadd("stream", {"turn": turn})
            server.client.xreadgroup("all", f"consumer {turn}", {"stream": ">"}, count=2)
            server.client.fcall("alpha_f", 1, "counted by a function")
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


@pytest.fixture(scope="module")
def debugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Both, with a journal."""
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    home = tmp_path_factory.mktemp("debugged")
    servers = [Running(p, home / n, "--appendonly", "yes") for n, p in (("theirs", ["redis-server"]), ("ours", OURS))]
    yield servers
    for server in servers:
        server.stop()


RELOADS = ["RELOAD", "RELOAD NOSAVE", "RELOAD MERGE", "RELOAD NOFLUSH MERGE", "LOADAOF"]


@pytest.mark.parametrize("how", RELOADS)
@pytest.mark.parametrize("key", ["there", "absent", "in the snapshot only"])
def test_reloading_and_watched_keys(debugged: list[Running], how: str, key: str) -> None:
    outcomes = []
    for server in debugged:
        server.client.flushall()
        if key != "absent":
            server.client.set("watched", 1)
        server.client.save()
        if key == "in the snapshot only":
            server.client.delete("watched")
        with redis.Redis(port=server.process.port, single_connection_client=True) as other:
            other.execute_command("WATCH", "watched", "another")
            assert server.client.execute_command("DEBUG", *how.split())
            other.execute_command("MULTI")
            other.execute_command("PING")
            outcomes.append((other.execute_command("EXEC"), server.client.keys()))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("how", RELOADS)
def test_reloading_and_tracked_keys(debugged: list[Running], how: str) -> None:
    """Who caches keys is told to forget them all."""
    outcomes = []
    for server in debugged:
        server.client.flushall()
        server.client.set("tracked", 1)
        server.client.save()
        with server.process.connect() as s:
            s.sendall(command("HELLO", 3) + command("CLIENT", "TRACKING", "ON") + command("GET", "tracked"))
            data = b""
            while not data.endswith(b"$1\r\n1\r\n"):
                data += s.recv(65536)
            assert server.client.execute_command("DEBUG", *how.split())
            s.sendall(command("PING"))
            data = b""
            while not data.endswith(b"+PONG\r\n"):
                data += s.recv(65536)
            outcomes.append(data)
    # how often, when a journal has several FLUSHALL, is no matter
    assert [b"invalidate\r\n_\r\n" in data for data in outcomes] == [how != "RELOAD NOFLUSH MERGE"] * 2


@pytest.mark.parametrize("how", [*RELOADS, "RELOAD NOFLUSH", "RELOAD NOSAVE NOFLUSH"])
def test_reloading_and_libraries(debugged: list[Running], how: str) -> None:
    """The libraries go with the keys, and come again from the file; they are in the way of the file's when they stay."""
    outcomes = []
    for server in debugged:
        server.client.flushall()
        server.client.function_flush()
        server.client.function_load("#!lua name=kept\nredis.register_function('f', function() return 1 end)")
        server.client.save()
        server.client.function_load("#!lua name=later\nredis.register_function('g', function() return 2 end)")
        try:
            answer = server.client.execute_command("DEBUG", *how.split())
        except redis.ResponseError as error:
            answer = str(error)
        names = sorted(library[1] for library in server.client.function_list())
        outcomes.append((answer, names, server.client.fcall("f", 0)))
        server.client.function_flush()
    assert outcomes[0] == outcomes[1]
