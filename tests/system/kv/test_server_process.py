"""examples/server.py as a process: arguments, files, log, signals, background."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import ENVIRONMENT, OURS, Start, free_port

LINE = r"(?m)^\d+:[MC] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.\-*#] .+$"


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """examples/server.py to its end."""
    return subprocess.run(
        [*OURS, *arguments], input=stdin, capture_output=True, text=True, timeout=20, env=ENVIRONMENT, check=False
    )


def run_real(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["redis-server", *arguments], input=stdin, capture_output=True, text=True, timeout=20, check=False
    )


def test_version_and_help() -> None:
    for option in ("-v", "--version"):
        done = run(option)
        assert done.returncode == 0
        assert re.match(r"libkv server v=\S+ redis=7\.0\.15 bits=\d+", done.stdout)
    for option in ("-h", "--help"):
        done = run(option)
        assert done.returncode == 1 == run_real(option).returncode
        assert "/path/to/redis.conf" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "abc"],
        ["--port", "70000"],
        ["--foo", "bar"],
        ["--port"],
        ["--loglevel", "foo"],
        ["--maxclients", "abc"],
        ["--dir", "/nonexistent"],
        ["--daemonize", "bar"],
        ["--unixsocketperm", "999"],
        ["--logfile", "/nonexistent/log"],
    ],
)
def test_bad_options_end_it_as_redis_server(arguments: list[str]) -> None:
    ours, real = run(*arguments), run_real(*arguments)
    assert ours.returncode == real.returncode == 1
    assert ours.stderr == real.stderr


def test_bad_line_of_a_file(tmp_path: Path) -> None:
    conf = tmp_path / "redis.conf"
    conf.write_text("# a file\nport 7000\n\nmaxclients many\n")
    ours, real = run(str(conf)), run_real(str(conf))
    assert ours.returncode == real.returncode == 1
    assert ours.stderr == real.stderr
    assert "at line 4" in ours.stderr


def test_missing_file() -> None:
    done = run("/nonexistent/redis.conf")
    assert done.returncode == 1
    assert re.fullmatch(
        r"\d+:C .* # Fatal error, can't open config file '/nonexistent/redis.conf': No such file or directory\n",
        done.stdout,
    )


def test_log_and_banner(start: Start) -> None:
    ours = start("--bgsave_cpulist", "0")
    text = ours.log()
    pid = ours.popen.pid
    assert f"Port: {ours.port}" in text
    assert re.search(rf"(?m) PID: {pid}$", text)
    lines = re.findall(LINE, text)
    assert len(lines) >= 4
    assert all(line.startswith(f"{pid}:") for line in lines)
    assert lines[-1].endswith("* Ready to accept connections")
    assert "bgsave_cpulist has no effect" in text


def test_no_banner_when_it_is_not_wanted(start: Start) -> None:
    ours = start("--always-show-logo", "no")
    assert f"Running mode=standalone, port={ours.port}." in ours.log()
    assert "PID: " not in ours.log()


def test_no_file_is_worth_a_warning(tmp_path: Path) -> None:
    """The default port may be taken: then the server says so and ends."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(OURS, **pipes, env=ENVIRONMENT, cwd=tmp_path, text=True)
    assert process.stdout is not None
    text = ""
    try:
        for line in process.stdout:
            text += line
            if "Ready to accept" in line or "aborting" in line:
                break
        process.terminate()
        process.wait(10)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert "# Warning: no config file specified, using the default config." in text


def test_verbose_lines(start: Start) -> None:
    ours = start("--loglevel", "verbose")
    with ours.connect() as s:
        port = s.getsockname()[1]
        s.sendall(b"PING\r\n")
        assert s.recv(10) == b"+PONG\r\n"
    ours.wait_log(f" - Accepted 127.0.0.1:{port}")
    ours.wait_log(f" - Client closed connection id=\\d+ addr=127.0.0.1:{port} .* cmd=ping user=default redir=-1 resp=2")


def test_loglevel_at_run_time(start: Start) -> None:
    ours = start()
    ours.ask(b"PING\r\nQUIT\r\n")
    assert "Accepted" not in ours.log()
    ours.ask(b"CONFIG SET loglevel verbose\r\nQUIT\r\n")
    ours.ask(b"PING\r\nQUIT\r\n")
    ours.wait_log("Accepted 127.0.0.1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(start: Start, number: signal.Signals) -> None:
    ours = start("--unixsocket", "kv.sock")
    assert (ours.home / "kv.sock").exists()
    assert ours.stop(number) == 0
    text = ours.log()
    assert re.search(rf"{ours.popen.pid}:signal-handler \(\d+\) Received {number.name} scheduling shutdown\.\.\.", text)
    assert "# User requested shutdown..." in text
    assert "* Removing the unix socket file." in text
    assert text.endswith("is now ready to exit, bye bye...\n")
    assert not (ours.home / "kv.sock").exists()


def test_shutdown_command(start: Start) -> None:
    ours = start("--pidfile", "kv.pid")
    assert (ours.home / "kv.pid").read_text() == f"{ours.popen.pid}\n"
    assert ours.ask(b"SHUTDOWN NOSAVE\r\n") == b"<closed>"
    assert ours.popen.wait(10) == 0
    assert "# User requested shutdown..." in ours.log()
    assert not (ours.home / "kv.pid").exists()


def test_port_in_use(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ours = start("--bind", "127.0.0.1", ready=False, port=port)
        assert ours.popen.wait(10) == 1
    assert f"127.0.0.1:{port}: bind: Address already in use" in ours.log()
    assert f"Failed listening on port {port}" in ours.log()


def test_unix_socket_that_cannot_be(start: Start) -> None:
    ours = start("--unixsocket", "missing/kv.sock", ready=False)
    assert ours.popen.wait(10) == 1
    assert f"# Failed opening Unix socket: {ours.home}/missing/kv.sock: bind: No such file or directory\n" in ours.log()
    assert "Failed listening" not in ours.log()


def test_bind(start: Start) -> None:
    ours = start("--bind", "127.0.0.1", "-::1", "-192.0.2.77")
    assert ours.ask(b"PING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n<closed>"
    if socket.has_ipv6 and Path("/proc/net/if_inet6").read_text():
        assert b"laddr=[::1]:%d" % ours.port in ours.ask(b"CLIENT INFO\r\nQUIT\r\n", "::1")
    other = start("--bind", "192.0.2.77", ready=False)
    assert other.popen.wait(10) == 1
    assert "Cannot assign requested address" in other.log()


def test_unix_socket(start: Start) -> None:
    ours = start("--unixsocket", "kv.sock", "--unixsocketperm", "700")
    path = ours.home / "kv.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"CLIENT INFO\r\n")
        assert f"addr={path}:0 laddr={path}:0" in s.recv(1000).decode()
        s.sendall(b"CLIENT INFO\r\n")
        assert " flags=U " in s.recv(1000).decode()
    ours.wait_log("The server is now ready to accept connections at ")


def test_configuration_from_standard_input(start: Start) -> None:
    ours = start("-", stdin=b"maxclients 77\nrequirepass secret\n")
    assert ours.ask(b"AUTH secret\r\nCONFIG GET maxclients\r\nQUIT\r\n") == (
        b"+OK\r\n*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n+OK\r\n<closed>"
    )


def test_file_and_options(start: Start, tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("maxclients 100\ntimeout 55\n")
    conf = tmp_path / "redis.conf"
    conf.write_text(f"include {tmp_path}/more.conf\nmaxclients 200\ndatabases 4\n")
    ours = start(str(conf), "--maxclients", "300")
    answer = ours.ask(b"CONFIG GET maxclients\r\nCONFIG GET timeout\r\nSELECT 3\r\nSELECT 4\r\nQUIT\r\n")
    assert b"$3\r\n300\r\n" in answer and b"$2\r\n55\r\n" in answer
    assert b"+OK\r\n-ERR DB index is out of range\r\n" in answer


def test_daemonize(start: Start) -> None:
    ours = start("--daemonize", "yes", "--pidfile", "kv.pid", "--logfile", "kv.log", ready=False)
    assert ours.popen.wait(10) == 0
    for _ in range(500):
        if "Ready to accept" in (ours.home / "kv.log").read_text() if (ours.home / "kv.log").exists() else False:
            break
        time.sleep(0.01)
    pid = int((ours.home / "kv.pid").read_text())
    try:
        assert os.getsid(pid) == pid
        assert ours.ask(b"SET a b\r\nGET a\r\nSHUTDOWN\r\n") == b"+OK\r\n$1\r\nb\r\n<closed>"
        for _ in range(500):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.01)
        assert not Path(f"/proc/{pid}").exists()
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
    text = (ours.home / "kv.log").read_text()
    assert "bye bye" in text
    assert "Traceback" not in text
    assert not (ours.home / "kv.pid").exists()
    assert ours.log() == "", "a daemon writes to its log file only"


def test_systemd_is_told(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        monkeypatch.setitem(ENVIRONMENT, "NOTIFY_SOCKET", str(tmp_path / "notify"))
        ours = start("--supervised", "systemd")
        assert notify.recv(1000) == b"STATUS=Ready to accept connections\n"
        assert notify.recv(1000) == b"READY=1\n"
        assert ours.stop() == 0
        assert notify.recv(1000) == b"STOPPING=1\n"


def test_process_title(start: Start) -> None:
    ours = start("--bind", "127.0.0.1")
    assert Path(f"/proc/{ours.popen.pid}/cmdline").read_bytes().startswith(b"libkv-server 127.0.0.1:%d\0" % ours.port)


def test_port_and_bind_at_run_time(start: Start) -> None:
    ours = start("--bind", "127.0.0.1")
    old, new = ours.port, free_port()
    with ours.connect() as s:
        s.sendall(b"CONFIG SET port %d\r\n" % new)
        assert s.recv(100) == b"+OK\r\n"
        ours.port = new
        assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", old)).close()
        # a port that is taken: an error, and the old one goes on
        with socket.create_server(("127.0.0.1", 0)) as taken:
            s.sendall(b"CONFIG SET port %d\r\n" % taken.getsockname()[1])
            assert b"Unable to listen on this port" in s.recv(200)
        assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG")
        s.sendall(b"CONFIG SET bind 192.0.2.77\r\n")
        assert b"'bind') - Failed to bind to specified addresses." in s.recv(200)
        assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG")
        s.sendall(b"CONFIG SET bind 127.0.0.2\r\n")
        assert s.recv(100) == b"+OK\r\n"
    assert ours.ask(b"PING\r\nQUIT\r\n", "127.0.0.2").startswith(b"+PONG")


def test_nothing_to_listen_at() -> None:
    done = run("--port", "0")
    assert done.returncode == 1
    assert "Configured to not listen anywhere, exiting." in done.stdout


def test_a_distributions_file(start: Start) -> None:
    """Debian's redis.conf, with only paths and port replaced by options."""
    conf = Path("/etc/redis/redis.conf")
    if not conf.exists():
        pytest.skip("missing /etc/redis/redis.conf (Debian package redis-server)")
    ours = start(str(conf), "--daemonize", "no", "--logfile", "", "--pidfile", "kv.pid", "--supervised", "no")
    assert ours.ask(b"PING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n<closed>"
    assert sys.executable in " ".join(ours.popen.args)  # type: ignore[arg-type]
