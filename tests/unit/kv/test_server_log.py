"""The server's log and what a server process does around it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import libkv
from libkv.server import Server
from libkv.server.daemon import find_supervisor, process_title, remove_pidfile, write_pidfile
from libkv.server.log import VERBOSE, RedisFormatter
from libkv.server.server import NativeServer
from tests.servers import ENVIRONMENT


def line(level: int, text: str, role: str = "M", created: float = 1763816400.123, **extra: object) -> str:
    record = logging.LogRecord("libkv.server", level, "", 0, text, (), None)
    record.created = created
    record.__dict__.update(extra)
    return RedisFormatter(role).format(record)


@pytest.mark.parametrize(
    ("level", "mark"), [(logging.DEBUG, "."), (VERBOSE, "-"), (logging.INFO, "*"), (logging.WARNING, "#"), (50, "#")]
)
def test_line_format(level: int, mark: str) -> None:
    pattern = rf"{os.getpid()}:M \d\d Nov 2025 \d\d:\d\d:00\.123 {re.escape(mark)} some text"
    assert re.fullmatch(pattern, line(level, "some text"))


def test_other_lines() -> None:
    assert line(logging.INFO, "art", raw=True) == "art"
    assert (
        line(30, "Received SIGTERM", from_signal=True) == f"{os.getpid()}:signal-handler (1763816400) Received SIGTERM"
    )
    assert line(30, "x", role="C").startswith(f"{os.getpid()}:C ")


def test_queue_keeps_order_and_counts_what_it_loses() -> None:
    native = NativeServer(libkv.Store())
    for i in range(3):
        native.log(2, f"line {i}")
    native.log(1, "below the level")
    assert [(level, text) for level, _, text in native.take_log()] == [(2, "line 0"), (2, "line 1"), (2, "line 2")]
    assert native.take_log() == []
    for i in range(5000):
        native.log(3, f"{i} " + "x" * 100)
    lines = native.take_log()
    assert [text.split()[0] for _, _, text in lines[:-1]] == [str(i) for i in range(len(lines) - 1)]
    lost = 5000 - (len(lines) - 1)
    assert lost > 0
    assert lines[-1][2].startswith(f"{lost} log lines were lost")
    # the ring goes round
    for i in range(2000):
        native.log(3, "y" * (i % 300 + 1))
        assert [text for _, _, text in native.take_log()] == ["y" * (i % 300 + 1)]
    native.log(3, "z" * 10_000)
    assert native.take_log()[0][2] == "z" * 2048


def test_an_application_gets_the_lines_by_logging(caplog: pytest.LogCaptureFixture) -> None:
    store = libkv.Store(loglevel="verbose")
    with caplog.at_level(logging.DEBUG, logger="libkv.server"), Server(store, port=0) as server:
        store.execute((b"CLIENT", b"LIST"))
        subprocess.run(
            [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {server.port}))"],
            check=True,
            env=ENVIRONMENT,
        )
        server.stop()
    assert any(record.getMessage().startswith("Accepted 127.0.0.1:") for record in caplog.records)
    assert {record.name for record in caplog.records} == {"libkv.server"}


def test_process_title() -> None:
    assert process_title("{title} {listen-addr} {server-mode}", "kv", "*:1", 1, 0, "") == "kv *:1"
    assert process_title("{port} {tls-port} {unixsocket}", "kv", "*:1", 1, 2, "/a") == "1 2 /a"


def test_supervisors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSTART_JOB", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert find_supervisor("auto") == find_supervisor("systemd") == ""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    assert find_supervisor("auto") == find_supervisor("systemd") == "systemd"
    assert find_supervisor("upstart") == find_supervisor("no") == ""
    monkeypatch.setenv("UPSTART_JOB", "kv")
    assert find_supervisor("auto") == find_supervisor("upstart") == "upstart"


def test_pidfile(tmp_path: Path) -> None:
    path = tmp_path / "kv.pid"
    write_pidfile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    remove_pidfile(str(path))
    remove_pidfile(str(path))
    assert not path.exists()
    with pytest.raises(OSError, match="No such file"):
        write_pidfile(str(tmp_path / "none" / "kv.pid"))
