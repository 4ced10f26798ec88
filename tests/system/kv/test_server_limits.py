"""Limits: clients, memory of clients, silence; and protected mode.  Texts are compared with redis-server's."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import time

import pytest

from tests.servers import Process, Start, read_until_closed

#: Connections of the crowd test; LONG=1 asks for the full number.
CROWD = 10_000 if os.environ.get("LONG") == "1" else 2_000


def test_maxclients(start: Start) -> None:
    ours, real = start("--maxclients", "2"), start("--maxclients", "2", real=True)
    answers = []
    for server in (ours, real):
        kept = [server.connect(), server.connect()]
        for s in kept:
            s.sendall(b"PING\r\n")
            assert s.recv(100) == b"+PONG\r\n"
        answers.append(server.ask(b""))
        kept.pop().close()
        for _ in range(100):
            if server.ask(b"PING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n<closed>":
                break
        else:
            raise AssertionError("a place that became free is not given away")
        kept.pop().close()
    assert answers[0] == answers[1] == b"-ERR max number of clients reached\r\n<closed>"


def outside_address() -> str:
    """An address of this machine that is not loopback."""
    addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return next((a for a in addresses if ":" not in a), "")


def test_protected_mode(start: Start) -> None:
    address = outside_address()
    if not address:
        pytest.skip("missing a network interface besides loopback")
    ours, real = start("--bind", "*"), start("--bind", "*", real=True)
    text = real.ask(b"PING\r\n", address)
    assert text.startswith(b"-DENIED Redis is running in protected mode")
    assert ours.ask(b"PING\r\n", address) == text
    assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG\r\n")
    # a password, or protected-mode no, opens it
    assert ours.ask(b"CONFIG SET requirepass secret\r\nQUIT\r\n").startswith(b"+OK\r\n")
    assert ours.ask(b"PING\r\nQUIT\r\n", address) == b"-NOAUTH Authentication required.\r\n+OK\r\n<closed>"
    with_password = b"AUTH secret\r\nPING\r\nCONFIG SET requirepass ''\r\nQUIT\r\n"
    assert ours.ask(with_password, address).startswith(b"+OK\r\n+PONG\r\n")
    assert ours.ask(b"PING\r\n", address) == text
    assert ours.ask(b"CONFIG SET protected-mode no\r\nQUIT\r\n").startswith(b"+OK\r\n")
    assert ours.ask(b"PING\r\nQUIT\r\n", address).startswith(b"+PONG\r\n")


def test_idle_clients_are_closed(start: Start) -> None:
    ours = start("--timeout", "1", "--loglevel", "verbose")
    with ours.connect() as idle, ours.connect() as busy:
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            busy.sendall(b"PING\r\n")
            assert busy.recv(100) == b"+PONG\r\n"
            time.sleep(0.1)
        assert read_until_closed(idle) == b""
    ours.wait_log("- Closing idle client")


def test_output_limit_hard(start: Start) -> None:
    ours = start("--client-output-buffer-limit", "normal 1000000 0 0")
    with ours.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$50000\r\n" + b"x" * 50000 + b"\r\n")
        assert s.recv(100) == b"+OK\r\n"
        s.sendall(b"GET a\r\n" * 200)
        got = read_until_closed(s)
    assert len(got) < 200 * 50000
    line = ours.wait_log(r"# Client id=.* scheduled to be closed ASAP for overcoming of output buffer limits\.")
    assert int(re.findall(r" omem=(\d+) ", line)[0]) > 900_000
    assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG")


def test_output_limit_soft(start: Start) -> None:
    ours = start("--client-output-buffer-limit", "normal 0 100000 1")
    with ours.connect() as s, ours.connect() as other:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$50000\r\n" + b"x" * 50000 + b"\r\n")
        assert s.recv(100) == b"+OK\r\n"
        s.sendall(b"GET a\r\n" * 400)
        ours.wait_log("scheduled to be closed ASAP for overcoming of output buffer limits")
        other.sendall(b"CLIENT LIST\r\n")
        assert other.recv(10000).count(b"id=") == 1


def test_clients_that_never_read(start: Start) -> None:
    """They fill their own buffers; nobody else waits for them."""
    ours = start()
    with ours.connect() as setter:
        setter.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n" + b"x" * 100000 + b"\r\n")
        assert setter.recv(100) == b"+OK\r\n"
    deaf = [ours.connect() for _ in range(10)]
    for s in deaf:
        s.sendall(b"GET a\r\n" * 100)
    with ours.connect() as s:
        for i in range(50):
            s.sendall(b"ECHO %d\r\n" % i)
            assert s.recv(100) == b"$%d\r\n%d\r\n" % (len(str(i)), i)
        s.sendall(b"CLIENT LIST\r\n")
        lines = s.recv(100_000).decode().splitlines()
    pending = [int(n) for n in re.findall(r" omem=(\d+) ", "\n".join(lines))]
    assert max(pending) > 1_000_000
    assert any("events=rw" in line for line in lines)
    for s in deaf:
        s.close()


def crowd_of(ours: Process, n: int) -> None:
    crowd = [ours.connect() for _ in range(n)]
    for i, s in enumerate(crowd):
        s.sendall(b"ECHO %05d\r\n" % i)
    for i, s in enumerate(crowd):
        assert s.recv(100) == b"$5\r\n%05d\r\n" % i
    assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG")
    for s in crowd:
        s.close()


def test_a_crowd(start: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = min(CROWD, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(n + 200, hard), hard))
    try:
        ours = start("--maxclients", str(CROWD + 10))
        crowd_of(ours, n)
        for _ in range(200):
            if ours.ask(b"CLIENT LIST\r\nQUIT\r\n").count(b"id=") == 1:
                break
        else:
            raise AssertionError("closed connections are still listed")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_low_limit_of_open_files(start: Start, tmp_path: object) -> None:
    """maxclients sinks to what the system allows, and the log says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if os.geteuid() == 0:
        # root may raise the hard limit: only the soft one is low
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    else:
        pytest.skip("missing root, to lower a limit and get it back")
    try:
        ours = start("--maxclients", "5000")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ours.wait_log(r"# Increased maximum number of open files to 5032 \(it was originally set to 256\)")


def test_more_clients_than_descriptors(start: Start) -> None:
    """No process may have 2**31 descriptors (redis-server tries each number below it); a thousand it may."""
    ours = start("--maxclients", "100")
    words = b"CONFIG SET maxclients 2147483600\r\nCONFIG SET maxclients 1100\r\nCONFIG GET maxclients\r\nQUIT\r\n"
    refused, *others = ours.ask(words).split(b"\r\n")
    assert refused.startswith(
        b"-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to "
        b"handle the specified number of clients, try with "
    )
    assert others == [b"+OK", b"*2", b"$10", b"maxclients", b"$4", b"1100", b"+OK", b"<closed>"]
