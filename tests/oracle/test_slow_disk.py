"""A slow disk under redis-server and under ours: the latency monitor tells the same events, INFO the same figures."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.servers import OURS, Process

SOURCE = Path(__file__).parents[1] / "data" / "slow_disk.c"
THRESHOLD = 30  # ms; the disk takes 40 longer


class Slow:
    """A server, whose disk becomes slow when it is told to."""

    def __init__(self, program: list[str], home: Path, library: Path) -> None:
        self.switch = home / "slow"
        preload = " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(library))))
        environment = ["env", f"LD_PRELOAD={preload}", f"SLOW_DISK={self.switch}"]
        options = [
            "--appendonly",
            "yes",
            "--latency-monitor-threshold",
            str(THRESHOLD),
            "--enable-debug-command",
            "yes",
        ]
        self.process = Process([*environment, *program], home, *options).wait_ready()
        self.client = redis.Redis(port=self.process.port, socket_timeout=60)

    def slow(self, on: bool) -> None:
        if on:
            self.switch.touch()
        else:
            self.switch.unlink()

    def events(self) -> dict[str, int]:
        """The worst time of each of the journal's events, ms."""
        latest = self.client.execute_command("LATENCY", "LATEST")
        return {e[0].decode(): e[3] for e in latest if e[0].startswith(b"aof-")}

    def until(self, name: str, act: Callable[[], object]) -> dict[str, int]:
        """Acts until this event is there: a write may have been put off."""
        for _ in range(200):
            act()
            if name in self.events():
                return self.events()
            time.sleep(0.02)
        raise AssertionError(f"{name} is never told: {self.events()}")

    def info(self) -> dict[str, object]:
        return dict(self.client.info("persistence"))

    def wait(self, field: str, value: object) -> None:
        for _ in range(3000):
            if self.info()[field] == value:
                return
            time.sleep(0.01)
        raise AssertionError(f"{field} doesn't become {value}: {self.info()}")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[list[Slow]]:
    for program in ("redis-server", "gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"missing {program} (Debian package {program})")
    library = tmp_path / "slow_disk.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True, timeout=120)
    servers: list[Slow] = []
    try:
        for name, program in (("theirs", ["redis-server"]), ("ours", OURS)):
            servers.append(Slow(program, tmp_path / name, library))
        yield servers
    finally:
        for server in servers:
            server.client.close()
            server.process.popen.kill()
            server.process.popen.wait(20)


def test_the_latency_monitor_tells_the_same_events(both: list[Slow]) -> None:
    for server in both:
        client = server.client
        client.config_set("appendfsync", "always")
        client.set("a", 0)
        client.execute_command("LATENCY", "RESET")
        server.slow(True)
        client.set("a", 1)
        seen = server.events()
        assert {"aof-write", "aof-write-alone", "aof-fsync-always"} <= set(seen), server.process.home
        assert min(seen[name] for name in ("aof-write", "aof-write-alone", "aof-fsync-always")) >= 40
        assert not {"aof-rename", "aof-write-pending-fsync", "aof-write-active-child"} & set(seen)

        server.slow(False)
        client.config_set("appendfsync", "no")
        client.execute_command("LATENCY", "RESET")
        server.slow(True)
        seen = server.until("aof-write", lambda: client.incr("a"))  # noqa: B023
        assert "aof-write-alone" in seen and "aof-fsync-always" not in seen, server.process.home

        server.slow(False)
        client.execute_command("DEBUG", "POPULATE", 3000)
        client.config_set("rdb-key-save-delay", 100_000)
        client.bgsave()
        client.execute_command("LATENCY", "RESET")
        server.slow(True)
        seen = server.until("aof-write-active-child", lambda: client.incr("a"))  # noqa: B023
        assert "aof-write" in seen, server.process.home
        server.slow(False)
        client.config_set("rdb-key-save-delay", 0)
        client.execute_command("FLUSHALL")
        server.wait("rdb_bgsave_in_progress", 0)

        client.execute_command("LATENCY", "RESET")
        server.slow(True)
        client.execute_command("BGREWRITEAOF")
        server.wait("aof_rewrite_in_progress", 0)
        assert server.events()["aof-rename"] >= 40, server.process.home
        server.slow(False)
        assert "aof-rewrite-diff-write" not in server.events()
