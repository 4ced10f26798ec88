"""Servers as processes: ours (examples/server.py) and, beside it, the real one."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = [sys.executable, str(ROOT / "examples" / "server.py")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# of programs that are not ours: a sanitizer's run-time would end them for faults that are theirs
REAL_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A TCP (or SOCK_DGRAM: UDP) port of 127.0.0.1 that nobody has.

    It lies below those that the kernel gives to connections: one of them could take it before the server does."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(min(10_000, first - 1000), first)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as s:
            s.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port below {first}")


def read_until_closed(s: socket.socket) -> bytes:
    """All that comes until the peer closes (or resets)."""
    got = bytearray()
    while True:
        try:
            part = s.recv(1 << 20)
        except ConnectionResetError:
            return bytes(got)
        if not part:
            return bytes(got)
        got += part


class Process:
    """A server process on a port of its own, its log collected in a file."""

    def __init__(
        self, program: list[str], home: Path, *options: str, port: int | None = None, stdin: bytes = b""
    ) -> None:
        self.port = free_port() if port is None else port
        home.mkdir(exist_ok=True)
        self.home = home
        self.log_path = home / f"log-{self.port}"
        arguments = [*options, "--port", str(self.port), "--save", "", "--dir", str(home)]
        if options and options[-1] == "-":
            arguments = [*options[:-1], "--port", str(self.port), "--save", "", "--dir", str(home), "-"]
        with open(self.log_path, "wb") as log:
            environment = ENVIRONMENT if OURS[0] in program else REAL_ENVIRONMENT
            self.popen = subprocess.Popen(
                [*program, *arguments], stdout=log, stderr=log, stdin=subprocess.PIPE, env=environment, cwd=home
            )
        assert self.popen.stdin is not None
        self.popen.stdin.write(stdin)
        self.popen.stdin.close()

    def wait_ready(self) -> Process:
        """Until it accepts connections; fails with its log when it ends instead."""
        for _ in range(1000):
            if "eady to accept connections" in self.log():
                return self
            if self.popen.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the server does not start:\n{self.log()}")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern: str) -> str:
        """Until a line of the log matches; returns it."""
        for _ in range(500):
            found = re.search(pattern, self.log())
            if found:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"{pattern!r} is not in the log:\n{self.log()}")

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        s = socket.create_connection((host, self.port))
        s.settimeout(10)
        return s

    def ask(self, request: bytes, host: str = "127.0.0.1") -> bytes:
        """What a connection gets for these bytes until it is closed, or until nothing has come for a moment."""
        with self.connect(host) as s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(request)
            s.settimeout(0.4)
            got = bytearray()
            while True:
                try:
                    part = s.recv(1 << 20)
                except (TimeoutError, ConnectionResetError) as error:
                    return bytes(got) + (b"" if isinstance(error, TimeoutError) else b"<closed>")
                if not part:
                    return bytes(got) + b"<closed>"
                got += part

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal; its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(10)


Start = Callable[..., Process]
