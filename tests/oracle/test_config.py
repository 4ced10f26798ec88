"""CONFIG, SLOWLOG and configuration files, side by side with redis-server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv.configfile import ConfigFileError, ConfigFileMissing, apply, parse_command_line, read_command_line
from libkv.engine.directives import DIRECTIVES, Directive
from libkv.server.configure import put_directive, set_config_file
from tests.resp import Wire, command, parse

# what differs by how the two were started
STARTED = {"bind", "dir", "enable-debug-command", "enable-protected-configs", "logfile", "pidfile", "port", "save"}
STARTED |= {"unixsocket", "daemonize"}
# setting these makes redis-server do something to its process, its listeners or its files
DRASTIC = {"activedefrag", "appendonly", "bind", "dir", "oom-score-adj", "port", "requirepass", "tls-port"}
DRASTIC |= {"tls-cluster", "tls-replication", "watchdog-period"}
OURS = {"libkv-spin", "libkv-extensions", "libkv-script-memory"}


def split(words: str) -> list[str]:
    return words.split(" ")


BYTES = split("0 1 1023 1kb 1K 2gB 1b 1.5mb -1 5% 150% -5% 99999999999gb 18446744073709551615 9223372036854775808 x")
NUMBERS = split("0 -0 +5 007 1 -1 2 9 10 11 99 100 101 128 500 600 777 888 1000 1001 1024 65535 65536 2147483647")
NUMBERS += split("2147483648 4294967295 4294967296 9223372036854775807 9223372036854775808 0x10 1e2 1.0")
WORDS = ["", " ", "yes", "no", "YES", "local", "notice", "always", "both", "a b", "a/b", "\n", "é", "x" * 300]
FORMS: dict[str, list[str]] = {
    "save": [
        "3600 1",
        "3600 1 300",
        "a b",
        "0 1",
        "10 -1",
        "10 0",
        " 60 5",
        "60 5 30 2",
        "900 1 300 10 60 10000",
        "1  2",
    ],
    "output-limit": [
        "normal 1 2 3",
        "slave 1mb 2mb 3",
        "replica 5mb 6k 7",
        "normal 0 0 0 pubsub 1g 1 1",
        "foo 1 2 3",
        "master 1 2 3",
        "normal -1 0 0",
        "normal 1 2 x",
        "normal 1 2 -3",
        "normal 1.5 2 3",
        "normal 0 0 0 normal 1 1 1",
        "NORMAL 9 9 9",
        "normal 1 2",
    ],
    "oom-values": [
        "0 200 800",
        "1 2",
        "1 2 3 4",
        "-2001 0 0",
        "2001 0 0",
        "300 200 100",
        "-1000 0 1000",
        "a b c",
        "1 2 3x",
    ],
    "percentiles": [
        "50",
        "101",
        "-1",
        "0 100",
        "1.23456789",
        "a 50",
        "50  99",
        "99 50",
        "1e1",
        "0.1",
        "33.333333333",
        "nan",
    ],
    "events": ["KEA", "Kg$", "AKE", "g$lshzxetd", "KEAmn", "m", "n", "EK", "KEn", "Am", "dmntexzhsl$gEK", "AQ", "ka"],
    "flags": [
        "nosave",
        "SAVE",
        "nosave now force",
        "save nosave",
        "default",
        "default save",
        "save  now",
        "force save now",
        "default default",
    ],
    "title": [
        "{title}",
        "{port}",
        "{TITLE}x",
        " {port} ",
        "x{",
        "}",
        "{{title}",
        "{title}{server-mode}",
        "{}",
        "{nope} a",
        "{title} {listen-addr}:{tls-port}",
    ],
    "hostname": ["a.b-c", "a_b", "x" * 255, "x" * 256, "-", "A9"],
    "filename": ["dump2.rdb", "a/b", "/"],
}


class Two:
    """redis-server of a test's own and a libkv.Store, both letting protected directives be changed."""

    def __init__(self, home: Path) -> None:
        self.path = home / "redis.sock"
        self.conf = home / "redis.conf"
        arguments = ["redis-server", "--port", "0", "--unixsocket", str(self.path), "--dir", str(home), "--save", ""]
        arguments += ["--enable-protected-configs", "yes", "--logfile", str(home / "log")]
        self.server = subprocess.Popen(arguments)
        for _ in range(500):
            if self.path.exists():
                break
            time.sleep(0.01)
        self.real = Wire(str(self.path))
        self.store = libkv.Store(enable_protected_configs="yes", save="")
        self.session = self.store.new_session()

    def both(self, *args: Any) -> tuple[bytes, bytes]:
        return self.real.call(*args), self.session.feed(command(*args))

    def same(self, *args: Any) -> bytes:
        theirs, ours = self.both(*args)
        assert ours == theirs, f"{args}\nredis {theirs!r}\nours  {ours!r}"
        return ours

    def table(self) -> tuple[dict[str, str], dict[str, str]]:
        """CONFIG GET * of both."""
        replies = [parse(reply)[0] for reply in self.both("CONFIG", "GET", "*")]
        theirs, ours = ({k.decode(): v.decode() for k, v in zip(r[::2], r[1::2], strict=True)} for r in replies)
        return theirs, ours

    def close(self) -> None:
        self.real.close()
        self.store.close()
        self.server.terminate()
        self.server.wait(10)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    two = Two(tmp_path_factory.mktemp("config"))
    yield two
    two.close()


@pytest.fixture
def two(shared: Two) -> Iterator[Two]:
    """Both with the values they started with."""
    before = shared.table()
    yield shared
    for side, (old, new) in enumerate(zip(before, shared.table(), strict=True)):
        for name, value in old.items():
            if new[name] != value:
                shared.both("CONFIG", "SET", name, value)[side]
    assert shared.table() == before


def test_names_and_defaults(two: Two) -> None:
    theirs, ours = two.table()
    assert set(ours) - set(theirs) == OURS and set(theirs) <= set(ours)
    assert {name: value for name, value in ours.items() if name not in STARTED | OURS} == {
        name: value for name, value in theirs.items() if name not in STARTED
    }
    for row in DIRECTIVES:
        if row.hidden:
            two.same("CONFIG", "GET", row.name)


@pytest.mark.parametrize("row", [row for row in DIRECTIVES if row.name not in DRASTIC | OURS], ids=lambda row: row.name)
def test_every_value_of_every_directive(two: Two, row: Directive) -> None:
    """The same answer to the same value, and the same value afterwards."""
    values = WORDS + FORMS.get(row.kind, []) + list(row.words)
    if row.kind in ("integer", "octal"):
        values = WORDS + NUMBERS
    elif row.kind in ("memory", "percent"):
        values = WORDS + BYTES + NUMBERS
    if row.name == "maxclients":  # redis-server raises its limit of open files: out of its reach in most places
        values = [value for value in values if not value.isdigit() or int(value) < 1000]
    for name in filter(None, (row.name, row.alias)):
        for value in values:
            two.same("CONFIG", "SET", name, value)
            if row.name not in STARTED:
                two.same("CONFIG", "GET", name)


@pytest.mark.parametrize(
    "args",
    [
        ("hz",),
        ("hz", "10", "a"),
        ("nosuch", "1"),
        ("nosuch", "1", "nope", "2"),
        ("HZ", "10", "hz", "20"),
        ("hz", "10", "HZ", "20", "databases", "3"),
        ("HZ", "x"),
        ("hz", "12", "timeout", "zz"),
        ("timeout", "5", "nosuch", "1", "hz", "zz"),
        ("timeout", "5", "DATABASES", "3", "nosuch", "1"),
        ("databases", "3", "nosuch", "3"),
        ("hz", "10", "hz", "20", "nosuch", "1"),
        ("slave-priority", "5", "replica-priority", "7"),
        ("lua-time-limit", "10", "busy-reply-threshold", "11"),
        ("", ""),
        ("rename-command", "x"),
        ("include", "x"),
        ("user", "x"),
        ("no\nsuch", "1"),
        ("unixsocketperm", "777"),
        ("timeout", "7", "hz", "33", "save", "5 5"),
        ("appendonly", "maybe"),
        ("activedefrag", "yes"),
        ("dir", "/nonexistent"),
        ("dir", "/etc/passwd"),
        ("dir", ""),
    ],
    ids=str,
)
def test_set_of_several(two: Two, args: tuple[str, ...]) -> None:
    two.same("CONFIG", "SET", *args)
    for name in ("hz", "timeout", "replica-priority", "slave-priority", "busy-reply-threshold", "lua-time-limit"):
        two.same("CONFIG", "GET", name)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("HZ",),
        ("hz", "HZ", "h[z]"),
        ("nosuch",),
        ("",),
        ("SET-max-intset-entries", "set-max*"),
        ("key-load*",),
        ("key-load-delay",),
        ("replicaof",),
        ("rename-command",),
        ("a", "b", "ma?master"),
    ],
    ids=str,
)
def test_get(two: Two, args: tuple[str, ...]) -> None:
    two.same("CONFIG", "GET", *args)
    two.both("HELLO", "3")
    two.same("CONFIG", "GET", *args)
    two.both("HELLO", "2")


@pytest.mark.parametrize("pattern", ["*max*", "*", "?z", "tls-*", "*-[m-n]*", "[^a-s]*"])
def test_get_of_many(two: Two, pattern: str) -> None:
    theirs, ours = (parse(reply)[0] for reply in two.both("CONFIG", "GET", pattern))
    assert sorted(set(ours[::2]) - {name.encode() for name in OURS}) == sorted(theirs[::2])


@pytest.mark.parametrize(
    "args",
    [
        ("CONFIG",),
        ("CONFIG", "FOO"),
        ("CONFIG", "HELP"),
        ("CONFIG", "HELP", "x"),
        ("CONFIG", "RESETSTAT"),
        ("CONFIG", "RESETSTAT", "x"),
        ("CONFIG", "REWRITE"),
        ("CONFIG", "REWRITE", "x"),
        ("SLOWLOG",),
        ("SLOWLOG", "HELP"),
        ("SLOWLOG", "GET", "x"),
        ("SLOWLOG", "GET", "-2"),
        ("SLOWLOG", "GET", "1", "2"),
        ("SLOWLOG", "LEN", "x"),
        ("SLOWLOG", "FOO"),
        ("SLOWLOG", "RESET"),
    ],
    ids=str,
)
def test_the_rest(two: Two, args: tuple[str, ...]) -> None:
    two.same(*args)


def test_slow_log_entries(two: Two) -> None:
    two.both("CONFIG", "SET", "slowlog-log-slower-than", "0")
    two.both("SLOWLOG", "RESET")
    two.both("SET", "key", "x" * 128)
    two.both("SET", "key", "x" * 129)
    two.both("ECHO", "\0\n\xff")
    two.both("MSET", *range(30))
    two.both("MSET", *range(32))
    two.both("CONFIG", "SET", "masterauth", "secret", "hz", "x")
    two.both("NOSUCH", "a")
    two.both("GET")
    two.both("MULTI")
    two.both("GET", "key")
    two.both("EXEC")
    theirs, ours = (parse(reply)[0] for reply in two.both("SLOWLOG", "GET", "-1"))
    assert [entry[3] for entry in ours] == [entry[3] for entry in theirs]
    assert [entry[0] - ours[0][0] for entry in ours] == [entry[0] - theirs[0][0] for entry in theirs]
    assert all(len(entry) == 6 for entry in ours)


# ---- files


def report_of_redis(home: Path, arguments: list[str], stdin: bytes) -> str:
    """What redis-server says about a configuration it refuses; "" when it would start."""
    done = subprocess.run(
        ["redis-server", *arguments],
        cwd=home,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=20,
    )
    text = done.stdout.decode("utf-8", "replace")
    if "*** FATAL" in text:
        return text[text.index("*** FATAL") :].rstrip("\n")
    if "Fatal error, can't open" in text:
        return text[text.index("Fatal error") :].splitlines()[0]
    return ""


def report_of_ours(arguments: list[str], stdin: bytes) -> str:
    store = libkv.Store()
    try:
        lines = read_command_line(parse_command_line(arguments), stdin)
        apply(lines, lambda name, words: put_directive(store, name, words))
    except (ConfigFileError, ConfigFileMissing) as error:
        return str(error)
    finally:
        store.close()
    return ""


# each with "port 0" so that a redis-server that would start ends at once: it has nothing to listen on
FILES = [
    b"",
    b"foo bar",
    b"port",
    b'hz "ab',
    b'bind 1 "x"y',
    b"databases 0",
    b"databases 1.0",
    b"include nosuch.conf",
    b"include no*.conf\nhz a",
    b"port 1 2",
    b"user",
    b"rename-command x",
    b"sentinel monitor a 1 2 3",
    b"replicaof a b c",
    b"replicaof a 99999999",
    b"slaveof no one\nhz x",
    b"save 1",
    b"save a b",
    b'save "" 3 3',
    b'save "60 5"\nhz x',
    b"client-output-buffer-limit normal 1",
    b"client-output-buffer-limit bulk 1 1 1",
    b"list-max-ziplist-value 5",
    b"list-max-ziplist-value 5 6",
    b"bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    b"maxclients 4294967296",
    b"maxclients -1",
    b"unixsocketperm 999",
    b"unixsocketperm 7777",
    b"unixsocketperm -1",
    b"appendfilename a/b",
    b"dbfilename a/b",
    b'appendfilename ""',
    b'appenddirname ""',
    b"appenddirname a/b",
    b"requirepass",
    b'proc-title-template "{x}"',
    b"oom-score-adj-values 1 2",
    b"latency-tracking-info-percentiles 1 101",
    b"shutdown-on-sigint save nosave",
    b"shutdown-on-sigint now save\nhz x",
    b"dir /nonexistent",
    b'dir ""',
    b"notify-keyspace-events",
    b"notify-keyspace-events Q",
    b"supervised maybe",
    b"   \n\t\n # x\r\n\r\nhz x\r\n",
    b"'hz' \"x\"",
    b"HZ x",
    b"socket-mark-id -5",
    b"loglevel a b",
    b"hz 5\xff",
]


@pytest.mark.parametrize("text", FILES, ids=repr)
def test_reports_about_files(tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.conf").write_bytes(b"port 0\n" + text)
    assert report_of_ours(["test.conf"], b"") == report_of_redis(tmp_path, ["test.conf"], b"")


COMMAND_LINES = [
    (["--hz"], b""),
    (["--hz", "a"], b""),
    (["--hz", "10", "20"], b""),
    (["--hz a"], b""),
    (["--nosuch"], b""),
    (["--save", "", "hz"], b""),
    (["--save", "--hz", "x"], b""),
    (["--save"], b""),
    (["--save", "--save", "--hz", "y"], b""),
    (["--requirepass", "--secret", "--hz", "x"], b""),
    (["--loglevel", "bad", "--hz", "x"], b""),
    (["--hz", "1", "--hz", "-"], b"hz zz"),
    (["--hz", "1", "-"], b"hz zz\n"),
    (["--bind", "127.0.0.1", "::1", "--hz", "x"], b""),
    (["--client-output-buffer-limit", "normal 1 1 1", "pubsub"], b""),
    (["--requirepass", 'a"b', "--hz", "x"], b""),
    (["hz", "10"], b""),
    (["--include", "nosuch.conf"], b""),
    (["--port"], b""),
]


@pytest.mark.parametrize("with_file", [False, True])
@pytest.mark.parametrize(("arguments", "stdin"), COMMAND_LINES, ids=str)
def test_reports_about_command_lines(
    tmp_path: Path, arguments: list[str], stdin: bytes, with_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.conf").write_text("port 0\n")
    whole = (["test.conf"] if with_file else ["--port", "0"]) + arguments
    theirs = report_of_redis(tmp_path, whole, stdin)
    ours = report_of_ours(whole, stdin)
    assert ours.replace("'nosuch.conf'", f"'{tmp_path}/nosuch.conf'") == theirs or ours == theirs


# a server started with these does something that a test can't have
NOT_STARTED = {
    "port",
    "unixsocket",
    "logfile",
    "pidfile",
    "dir",
    "replicaof",
    "bind",
    "supervised",
    "aclfile",
    "daemonize",
}
NOT_STARTED |= {
    "oom-score-adj",
    "socket-mark-id",
    "appendonly",
    "activedefrag",
    "requirepass",
    "syslog-enabled",
    "io-threads",
}
NOT_STARTED |= {
    "io-threads-do-reads",
    "watchdog-period",
    "disable-thp",
    "proc-title-template",
    "enable-protected-configs",
}


def another_value(row: Directive) -> str:
    """A value that is not the default."""
    if row.kind == "bool":
        return "no" if row.default == "yes" else "YES"
    if row.kind in ("enum", "flags"):
        return next(word for word in reversed(row.words) if word != row.default)
    if row.kind == "integer":
        return str(int(row.default) + 1 if int(row.default) < row.high else row.low)
    named = {
        "memory": "77mb",
        "percent": "7%",
        "octal": "700",
        "save": '"60 5 30 7"',
        "output-limit": "replica 5mb 6k 7",
    }
    named |= {"oom-values": "3 2 1", "percentiles": "10 20.5", "events": "xKA", "hostname": "a.b", "filename": "other"}
    return named.get(row.kind, "a\\x20b")


def test_values_from_a_file(tmp_path: Path) -> None:
    """A file that sets everything to something else: CONFIG GET * shows the same on both."""
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    rows = [row for row in DIRECTIVES if row.name not in NOT_STARTED | OURS]
    rows = [
        row for row in rows if not row.name.startswith(("tls-", "cluster-e", "cluster-p")) and "cpulist" not in row.name
    ]
    text = "".join(f"{row.name} {another_value(row)}\n" for row in rows)
    text += "save 5 5\nclient-output-buffer-limit pubsub 1 2 3 normal 4 5 6\nslave-priority 9\n"
    text += "hz 600\nrepl-backlog-size 5\n"
    file = tmp_path / "test.conf"
    file.write_text(f"{text}port 0\nunixsocket {tmp_path}/sock\ndir {tmp_path}\n")
    server = subprocess.Popen(["redis-server", str(file)], stdout=subprocess.DEVNULL)
    store = libkv.Store()
    try:
        for _ in range(500):
            if (tmp_path / "sock").exists():
                break
            time.sleep(0.01)
        lines = read_command_line(parse_command_line([str(file)]))
        apply(lines, lambda name, words: put_directive(store, name, words))
        real = Wire(str(tmp_path / "sock"))
        theirs = parse(real.call("CONFIG", "GET", "*"))[0]
        ours = parse(store.new_session().feed(command("CONFIG", "GET", "*")))[0]
        real.close()
    finally:
        store.close()
        server.terminate()
        server.wait(10)
    tables = [dict(zip(reply[::2], reply[1::2], strict=True)) for reply in (theirs, ours)]
    different = {name: (value, tables[1][name]) for name, value in tables[0].items() if tables[1][name] != value}
    assert different == {} and len(rows) > 120


# ---- CONFIG REWRITE

REWRITES = [
    (
        "# my file\n   # indented\n\n\n  \nhz 20\nhz 30\nsave 60 10000\nsave 30 5\nmaxmemory 5000000\n"
        "client-output-buffer-limit slave 2mb 1mb 60\nslave-priority 50\nreplica-priority 60\nlist-max-ziplist-size -3"
        "\nTimeOut  77\nappendonly no\nmaxmemory-policy allkeys-lru\nhash-max-ziplist-entries 511\n"
        'masterauth "a b\\"c\\n"\n',
        {"maxmemory": "100mb", "hz": "10", "repl-backlog-size": "3mb", "notify-keyspace-events": "KEA", "timeout": "0"}
        | {"oom-score-adj-values": "1 2 3", "maxmemory-clients": "5%", "list-max-listpack-size": "-2"},
    ),
    (
        'list-max-ziplist-value 5\naclfile ""\nunixsocketperm 755\nshutdown-on-sigint now save\nmaxmemory 0\n'
        'notify-keyspace-events ""\nclient-output-buffer-limit normal 0 0 0\n"masterauth" x\nbind * -::*\n\n\n\n',
        {"save": "", "client-output-buffer-limit": "normal 1gb 5 5", "masterauth": "", "slowlog-max-len": "5"},
    ),
    (
        'slave-priority 7\nreplica-priority 8\nsave ""\n# Generated by CONFIG REWRITE\nhz 7\nhz 8\n'
        'rename-command DEBUG ""\ncluster-config-file x\nhll-sparse-max-bytes 1025\nreplicaof no one\n'
        'proc-title-template "{title} {listen-addr} {server-mode}"\nlatency-tracking-info-percentiles 50 99 99.9',
        {"latency-tracking-info-percentiles": "", "dynamic-hz": "no", "oom-score-adj-values": "3 3 4", "hz": "9"}
        | {"client-output-buffer-limit": "normal 1025 1 1 slave 1 1 1", "shutdown-on-sigint": "now save"},
    ),
    ("", {"hz": "11"}),
]


DEBIAN = Path("/etc/redis/redis.conf")


@pytest.mark.parametrize(("text", "changes"), REWRITES, ids=["mixed", "empty values", "signed", "empty file"])
def test_rewrite(tmp_path: Path, text: str, changes: dict[str, str]) -> None:
    """Both rewrite the same file twice: the same lines, the appended ones in any order."""
    rewrite_both(tmp_path, text, changes)


def test_rewrite_of_a_distributions_file(tmp_path: Path) -> None:
    if not DEBIAN.is_file():
        pytest.skip(f"missing {DEBIAN} (Debian package redis-server)")
    text = DEBIAN.read_text() + 'daemonize no\nlogfile ""\npidfile ""\nbind 127.0.0.1\n'
    rewrite_both(tmp_path, text, {"maxmemory": "1gb", "bind": "127.0.0.1 -::1", "save": "60 1", "appendfsync": "no"})


def rewrite_both(tmp_path: Path, text: str, changes: dict[str, str]) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    home = tmp_path / "redis"
    home.mkdir()
    files = [home / "theirs.conf", tmp_path / "ours.conf"]
    for file in files:
        file.write_text(f"{text}\nport 0\nunixsocket {home}/sock\ndir {home}\n")
    server = subprocess.Popen(["redis-server", str(files[0])], stdout=subprocess.DEVNULL)
    store = libkv.Store()
    try:
        real = connected(str(home / "sock"))
        apply(
            read_command_line(parse_command_line([str(files[1])])),
            lambda name, words: put_directive(store, name, words),
        )
        set_config_file(store, bytes(files[1]))
        session = store.new_session()
        for step in (["CONFIG", "SET", *sum(changes.items(), ())], ["CONFIG", "REWRITE"], ["CONFIG", "REWRITE"]):
            assert session.feed(command(*step)) == real.call(*step) == b"+OK\r\n"
            if step[1] == "REWRITE":
                theirs, ours = (file.read_text().split("\n") for file in files)
                assert comparable(ours) == comparable(theirs)
        real.close()
    finally:
        store.close()
        server.terminate()
        server.wait(10)


def connected(path: str) -> Wire:
    """As soon as it listens, which is after the socket's file is there."""
    for _ in range(2000):
        with contextlib.suppress(OSError):
            return Wire(path)
        time.sleep(0.01)
    raise AssertionError(f"nobody listens at {path}")


def comparable(lines: list[str]) -> tuple[list[str], list[str]]:
    """Lines up to the signature in order, those behind it sorted: redis-server appends in random order."""
    sign = "# Generated by CONFIG REWRITE"
    at = lines.index(sign) if sign in lines else len(lines)
    return lines[:at], sorted(line for line in lines[at:] if line)
