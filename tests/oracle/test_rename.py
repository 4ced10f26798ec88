"""rename-command: the same configuration file, on redis-server and on ours."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import libkv
from tests.resp import Wire, parse
from tests.servers import OURS, Process

FILE = """
port 0
unixsocket {home}/sock
rename-command GET MyGet
rename-command SET ""
rename-command config CFG
rename-command MULTI Mul
rename-command LPUSH lpush
rename-command "client" "cli ent"
rename-command RPUSH first
rename-command first second
"""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[list[Wire]]:
    """redis-server and ours."""
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    started, wires = [], []
    for name, program in (("theirs", ["redis-server"]), ("ours", OURS)):
        home = tmp_path / name
        home.mkdir()
        (home / "redis.conf").write_text(FILE.format(home=home))
        started.append(Process(program, home, str(home / "redis.conf"), port=0))
    try:
        for process in started:
            process.wait_ready()
            wires.append(Wire(str(process.home / "sock")))
        yield wires
    finally:
        for wire in wires:
            wire.close()
        for process in started:
            process.stop()


LINES = """
get a|set a b|MSET a b|myget|myget a|MYGET a|config get port|CFG get port|cfg|cfg nosuch|Cfg get|lpush l x|rpush l y|first l y
second l y|mul|ping|myget a|exec|mul|get a|exec|client id|command info get set config|command list filterby pattern my*
command getkeys myget a|command getkeys get a|command getkeys second a b|command docs get|command list filterby pattern set
command info config|get|config|get|multi|lrange l 0 -1
"""


def test_names(both: list[Wire]) -> None:
    lines = [line.split() for row in LINES.strip().splitlines() for line in row.split("|")]
    lines += [
        ["cli ent", "getname"],
        ["cli ent", "nope"],
        ["CLI ENT"],
        ["command", "info", "config|get", "cli ent|getname"],
    ]
    for words in lines:
        theirs, ours = (wire.call(*words) for wire in both)
        assert theirs == ours, f"{words}\nredis {theirs!r}\nours  {ours!r}"
    for words, size in (
        (("command", "info", "myget", "cfg|get", "second"), 3),
        (("command", "docs", "myget", "second"), None),
    ):
        theirs, ours = (wire.call(*words) for wire in both)
        assert theirs[:4] == ours[:4] and b"get" in ours and b"rpush" in ours, size
    theirs, ours = (parse(wire.call("COMMAND", "COUNT"))[0] for wire in both)
    with libkv.Store() as store:
        assert theirs == 239 and ours == store.execute((b"COMMAND", b"COUNT")) - 1
    theirs, ours = (wire.call("INFO", "commandstats") for wire in both)
    calls = [re.findall(rb"cmdstat_(get|rpush|myget|second):calls=(\d+)", text) for text in (theirs, ours)]
    assert sorted(calls[0]) == sorted(calls[1]) and {name for name, _ in calls[0]} == {b"get", b"rpush"}


@pytest.mark.parametrize(
    "lines",
    [
        "rename-command NOSUCH x",
        "rename-command GET SET",
        "rename-command GET a\nrename-command DEL A",
        "rename-command GET",
    ],
)
def test_bad_lines(tmp_path: Path, lines: str) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    told = []
    for name, program in (("theirs", ["redis-server"]), ("ours", OURS)):
        home = tmp_path / name
        home.mkdir()
        (home / "redis.conf").write_text(lines + "\n")
        process = Process(program, home, str(home / "redis.conf"))
        assert process.popen.wait(10) == 1
        told.append(process.log().partition("Reading the configuration file")[2])
    assert told[0] == told[1] and told[0]
