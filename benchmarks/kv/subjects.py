"""The servers under test: examples/server.py and redis-server, each a process on CPU 0, in default configuration but
for saving, listening on loopback and on a unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from benchmarks.table import Missing

ROOT = Path(__file__).resolve().parents[2]
SERVER_CPU = 0
LOAD_CPU = 1
OURS = "keepkv"
REDIS = "redis"


def encode(*words: bytes | str | int) -> bytes:
    """A command as RESP."""
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def pin(cpu: int) -> None:
    """This thread (and what it starts) on one CPU, when there are two."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {cpu})


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Subject:
    """A running server, of kind OURS or REDIS; a context manager.

    env: what its environment has beside this process's.
    cpu(): its CPU time so far in seconds, of all its threads, those that have ended too.
    """

    def __init__(self, kind: str, *options: str, cpu: int = SERVER_CPU, env: dict[str, str] | None = None) -> None:
        self.kind = kind
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="keepkv-bench-")
        self.path = os.path.join(self.dir, "s")
        arguments = ["--port", str(self.port), "--unixsocket", self.path, "--save", "", "--dir", self.dir, *options]
        if kind == OURS:
            command = [sys.executable, str(ROOT / "examples" / "server.py")]
        else:
            program = shutil.which("redis-server")
            if program is None:
                raise Missing("missing redis-server (Debian package redis-server)")
            command = [program]
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.dir,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
                preexec_fn=lambda: pin(cpu),
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError, ConnectionError):
                if self.call("PING") == b"+PONG":
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        text = Path(self.dir, "log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"{self.kind} does not start:\n{text}")

    def connect(self, unix: bool = False) -> socket.socket:
        if unix:
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.path)
        else:
            s = socket.create_connection(("127.0.0.1", self.port))
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(120)
        return s

    def call(self, *words: bytes | str | int) -> bytes:
        """One command whose reply is a line or a bulk string: the line, or the string."""
        with self.connect() as s, s.makefile("rb") as f:
            s.sendall(encode(*words))
            line = f.readline().rstrip(b"\r\n")
            if line[:1] == b"$":
                return f.read(int(line[1:])) if line != b"$-1" else b""
            if line[:1] in (b"-", b""):
                raise ConnectionError(f"{self.kind} {words}: {line.decode()}")
            return line

    def info(self, section: str) -> dict[str, str]:
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def used_memory(self) -> int:
        return int(self.info("memory")["used_memory"])

    def resident(self) -> int:
        """Bytes of the process that are in memory, anonymous pages only."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon in /proc")

    def cpu(self) -> float:
        # the process's CPU clock, as clock_getcpuclockid(3) makes it of a process ID
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
