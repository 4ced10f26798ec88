"""Users in redis.conf and in ACL files, side by side with redis-server as a process."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from tests.oracle.acl_listing import sorted_commands
from tests.resp import command, parse
from tests.servers import OURS, Process

Start = Callable[..., Process]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Start]:
    """Starts a server (theirs or ours) on files of its own."""
    started: list[Process] = []

    def start(program: list[str], name: str, *options: str, **files: str) -> Process:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        for file, text in files.items():
            (home / file).write_text(text)
        words = [str(home / "conf")] if "conf" in files else []
        if "users" in files:
            words += ["--aclfile", str(home / "users")]
        started.append(Process(program, home, *words, *options))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def users_of(process: Process, *auth: bytes) -> list[bytes]:
    with process.connect() as s:
        return [sorted_commands(u) for u in parse(ask(s, "ACL", "LIST"))[0]]


def ask(s: socket.socket, *words: str) -> bytes:
    s.sendall(command(*words))
    got = b""
    while True:
        got += s.recv(65536)
        try:
            parse(got)
        except (ValueError, IndexError):
            continue
        return got


BOTH_PROGRAMS = (("theirs", ["redis-server"]), ("ours", OURS))


def test_users_of_redis_conf(run: Start) -> None:
    conf = "user a on +get (~x +set)\nuser b off\nuser default on nopass ~* +@all\n"
    seen = []
    for name, program in BOTH_PROGRAMS:
        process = run(program, name, conf=conf).wait_ready()
        process.wait_log("The user 'b' is disabled")
        seen.append(users_of(process))
        with process.connect() as s:
            assert ask(s, "ACL", "SETUSER", "c", "on", "~c*") == b"+OK\r\n"
            assert ask(s, "ACL", "DELUSER", "b") == b":1\r\n"
            assert ask(s, "CONFIG", "REWRITE") == b"+OK\r\n"
        lines = (process.home / "conf").read_text().splitlines()
        seen[-1] += [line.encode() for line in lines if line.startswith("user ")]
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "conf", ["user a on bla\n", "user a on +foo\n", "user a on\nuser a off\n", 'user "a b" on\n', "user\n"]
)
def test_wrong_users_of_redis_conf(run: Start, conf: str) -> None:
    logs = []
    for name, program in BOTH_PROGRAMS:
        process = run(program, name, conf=conf)
        assert process.popen.wait(10) == 1
        lines = process.log().splitlines()
        logs.append([re.sub(r"^\d+:\w \S+ \S+ \S+ \S+ . ", "", line) for line in lines])
    for line in logs[0]:
        if re.search("ACL|user|modifier|FATAL", line):
            assert line in logs[1]


def test_users_and_a_file_are_too_much(run: Start) -> None:
    for name, program in BOTH_PROGRAMS:
        process = run(program, name, conf="user a on\n", users="user b on\n")
        assert process.popen.wait(10) == 1
        assert "please define either an ACL file or declare users directly in your redis.conf" in process.log()


def test_acl_file(run: Start) -> None:
    texts = [
        "user a on +@all ~x\nuser b on >p (~y +get)\n\n   user c on nopass\r\n",
        "user a on +foo bla ~a b\nusr b\nuser\nuser a b\nuser x on bla\n\nuser  y on\nUSER z on\n",
        "user q on (+get)\nuser w on ( +get ~a ) on\n  user v on\t+get\n",
        "user q on\n# a comment\n",
        "user default on nopass +@all\nuser r on >a >b (~x) +select|0",
        "",
    ]
    seen = []
    for name, program in BOTH_PROGRAMS:
        process = run(program, name, users="user a on nopass +get\n").wait_ready()
        answers: list[Any] = [users_of(process)]
        with process.connect() as own, process.connect() as other:
            assert ask(other, "AUTH", "a", "x") == b"+OK\r\n"
            for text in texts:
                (process.home / "users").write_text(text, newline="")
                answers.append(ask(own, "ACL", "LOAD").replace(str(process.home).encode(), b"HOME"))
                answers.append(users_of(process))
            assert other.recv(100) == b""
            ask(own, "ACL", "SETUSER", "fresh", "on", ">p", "~k*", "+@read")
            assert ask(own, "ACL", "SAVE") == b"+OK\r\n"
            answers.append(sorted_commands((process.home / "users").read_bytes()))
        seen.append(answers)
    assert seen[0] == seen[1]


def test_wrong_acl_file_at_start(run: Start) -> None:
    for text in ("user a on +foo\n", "user a on\nuser a off\n"):
        logs = []
        for name, program in BOTH_PROGRAMS:
            process = run(program, name, users=text)
            assert process.popen.wait(10) == 1
            found = re.search("Aborting Redis startup because of ACL errors: .*", process.log())
            assert found is not None, process.log()
            logs.append(found[0].replace(str(process.home), "HOME"))
        assert logs[0] == logs[1]
    process = run(OURS, "ours", "--aclfile", "nosuch")
    assert process.popen.wait(10) == 1
    assert "opening file 'nosuch': No such file or directory" in process.log()


def test_acl_file_of_an_embedded_store(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("user default off\nuser a on >p ~* +@all\n")
    with libkv.Store(aclfile=str(users)) as store:
        assert store.acl_users() == ["a", "default"]
        assert store.set("k", "v") is True
        other = store.client()
        with pytest.raises(libkv.errors.AuthenticationError):
            other.auth("x", "a")
        assert other.auth("p", "a") and other.acl_whoami() == "a"
        store.acl_setuser("b", enabled=True, nopass=True)
        assert store.acl_save() and users.read_text().startswith("user a on #")
        assert [p.name for p in tmp_path.iterdir()] == ["users"]
    users.write_text("user a on +nosuch\n")
    with pytest.raises(ValueError, match="Unknown command"):
        libkv.Store(aclfile=str(users))


def test_network_clients_begin_as_default(run: Start) -> None:
    answers = []
    for name, program in BOTH_PROGRAMS:
        process = run(program, name, conf="user default off\nuser a on >p ~* +@all\n").wait_ready()
        with process.connect() as s, process.connect() as late:
            got = [ask(s, *words.split()) for words in ("PING", "AUTH x", "ACL WHOAMI", "AUTH a x", "AUTH a p", "PING")]
            got += [ask(s, *w.split()) for w in ("ACL WHOAMI", "ACL SETUSER default on nopass -get", "RESET", "PING")]
            got += [ask(late, *w.split()) for w in ("PING", "GET a", "HELLO 2 AUTH a p", "GET a")]
        answers.append([re.sub(rb"\$2\r\nid\r\n:\d+", b"", a) for a in got])
    assert answers[0] == answers[1]
