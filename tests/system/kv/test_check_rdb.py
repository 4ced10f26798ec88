"""examples/check_rdb.py beside redis-check-rdb: output and exit status, for good files and bad ones."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import libkv
from libkv import rdb
from tests.resp import command
from tests.servers import ENVIRONMENT, ROOT

PROGRAM = [sys.executable, str(ROOT / "examples" / "check_rdb.py")]


def check(path, *options):
    done = subprocess.run(
        [*PROGRAM, *options, str(path)], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False
    )
    return done.returncode, done.stdout


def check_theirs(path):
    if shutil.which("redis-check-rdb") is None:
        pytest.skip("missing redis-check-rdb (Debian package redis-tools)")
    done = subprocess.run(["redis-check-rdb", str(path)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def file(tmp_path):
    store = libkv.Store()
    store.set("a", "1", px=10**12)
    store.set("gone", "1", px=1)
    store.rpush("l", *range(100))
    store.db(3).hset("h", mapping={f"f{i}": "v" * 70 for i in range(5)})
    path = tmp_path / "dump.rdb"
    rdb.write(path, store)
    return path


def test_a_good_file(file):
    assert check(file) == check_theirs(file)
    status, text = check(file)
    assert status == 0 and "[info] 4 keys read\n[info] 2 expires\n[info] 1 already expired\n" in text


def test_a_file_without_checksum(file, tmp_path):
    path = tmp_path / "plain.rdb"
    rdb.write(path, rdb.read(file), checksum=False)
    assert check(path) == check_theirs(path)
    assert "checksum disabled" in check(path)[1]


def test_bad_files(file, tmp_path):
    data = file.read_bytes()
    at = data.index(b"\x02f1")  # a field's length
    for name, bad, words in [
        ("cut", data[:-60], ("Reading key 'h'", "Reading type 4 (hash-hashtable)", "While doing: read-object-value")),
        ("flipped", data[:at] + b"\xff" + data[at + 1 :], ("--- RDB ERROR DETECTED ---", "Reading key 'h'")),
        ("checksum", data[:-1] + bytes([data[-1] ^ 1]), ("While doing: check-sum", "[info] 4 keys read")),
        ("other", b"something else", ("While doing: start", "[info] 0 keys read")),
        ("newer", b"REDIS0099\xff", ("While doing: start",)),
        ("empty", b"", ("[offset 0] ",)),
    ]:
        path = tmp_path / f"{name}.rdb"
        path.write_bytes(bad)
        ours, theirs = check(path), check_theirs(path)
        assert ours[0] == theirs[0] == 1
        for word in words:
            assert word in ours[1] and word in theirs[1], (name, word, ours[1], theirs[1])


def test_usage(tmp_path):
    for arguments in ([], ["a", "b"], [str(tmp_path / "absent")]):
        done = subprocess.run([*PROGRAM, *arguments], capture_output=True, env=ENVIRONMENT, timeout=60, check=False)
        assert done.returncode == 1 and (b"Usage" in done.stderr or b"No such file" in done.stderr)


@pytest.mark.parametrize("program", ["check_rdb.py", "check_aof.py"])
def test_help(program):
    command = [sys.executable, str(ROOT / "examples" / program), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 0 and program in done.stdout and "Exit status" in done.stdout


@pytest.mark.parametrize("program", ["check_rdb.py", "check_aof.py"])
def test_a_reader_that_goes_away(program):
    """`check_rdb.py ... | head` ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(ROOT / "examples" / program), "--help"]
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False)
    assert done.stderr == b"" and done.returncode == -signal.SIGPIPE


def test_unsupported_keys(tmp_path):
    path = tmp_path / "new.rdb"
    field = b"\x01f\x01v"
    body = b"\xfe\x00\x18\x03odd" + bytes(8) + b"\x01\x05" + field + b"\x00\x01a\x011"
    path.write_bytes(b"REDIS0012" + body + b"\xff" + bytes(8))
    status, text = check(path)
    assert status == 1 and "Reading key 'odd'" in text
    status, text = check(path, "--skip-unsupported")
    assert status == 0 and "key 'odd', skipped" in text and "[info] 1 unsupported, skipped" in text


def drawn_by(program, output):
    """What a program draws on a terminal, its standard error; its standard output goes to a file."""
    ours, theirs = pty.openpty()
    with open(output, "wb") as out:
        process = subprocess.Popen(program, stdout=out, stderr=theirs, env=ENVIRONMENT)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not part:
            break
        drawn += part
    os.close(ours)
    assert process.wait(30) == 0
    return drawn


def test_progress_on_a_terminal(tmp_path):
    path = tmp_path / "large.rdb"
    rdb.write(path, ((0, b"key %d" % i, "string", b"x" * 50) for i in range(200000)), compression=False)
    drawn = drawn_by([*PROGRAM, str(path)], tmp_path / "out")
    assert b"of 12 MB" in drawn and b"%" in drawn
    assert "RDB looks OK" in Path(tmp_path / "out").read_text()


def test_check_aof_draws_its_progress(tmp_path):
    path = tmp_path / "large.aof"
    path.write_bytes(command("SET", "key", "x" * 50) * 200_000)
    program = [sys.executable, str(ROOT / "examples" / "check_aof.py"), str(path)]
    drawn = drawn_by(program, tmp_path / "out")
    assert b"of %d MB" % round(path.stat().st_size / 2**20) in drawn and b"%" in drawn and drawn.endswith(b" \r")
    assert "AOF large.aof is valid" in Path(tmp_path / "out").read_text()
