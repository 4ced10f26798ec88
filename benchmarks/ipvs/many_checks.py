#!/usr/bin/env python3
"""Ten thousand TCP checks in one process: its share of a core, and how late their deadlines are served.

    .venv/bin/python -m benchmarks.ipvs.many_checks [CHECKS] [SECONDS]

The targets are CHECKS addresses of 127.0.0.0/8 behind one listener in another process; delay_loop is 5 s, the starts
are spread over it.  The second run has targets that never answer (a full backlog), so that every attempt hangs until
its timeout.  Lateness: from a check's deadline to the moment it is served.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import time
from typing import Any

from benchmarks.table import Table, plain, verdict
from libipvs.checks import Host, Target, TcpCheck, Timing
from libipvs.checks.host import Watch
from libipvs.checks.machine import Event

SERVER = """
import socket, sys
listener = socket.create_server(("0.0.0.0", 0), backlog=4096)
print(listener.getsockname()[1], flush=True)
while True:
    peer, _ = listener.accept()
    peer.close()
"""


class Measured(Host):
    """A host that notes how late each deadline is."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.late: list[float] = []

    def advance(self, watch: Watch, event: Event, *rest: object) -> None:  # type: ignore[override]
        if event is Event.DEADLINE:
            self.late.append(self.clock() - watch.machine.next_deadline)
        super().advance(watch, event, *rest)  # type: ignore[arg-type]


def measure(name: str, port: int, checks: int, seconds: float, timeout: float) -> dict[str, Any]:
    timing = Timing(delay_loop=5.0, retry=0, connect_timeout=timeout, warmup=5.0)
    verdicts = {True: 0, False: 0}

    def report(watch: Watch) -> None:
        verdicts[watch.verdict.up] += 1

    with contextlib.closing(Measured()) as host:
        watches = []
        for number in range(checks):
            address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
            watches.append(host.watch(TcpCheck(Target(address, port), timing), report))
        host.run_for(5.0)  # every check has begun
        host.late.clear()
        before = resource.getrusage(resource.RUSAGE_SELF)
        attempts = sum(watch.machine.attempt for watch in watches)
        start = time.monotonic()
        host.run_for(seconds)
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        attempts = sum(watch.machine.attempt for watch in watches) - attempts
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        late = sorted(host.late) or [0.0]
        up = sum(watch.verdict.up for watch in watches)
        return {
            "name": name,
            "checks": checks,
            "attempts": attempts / wall,
            "core": cpu / wall,
            "p50": late[len(late) // 2] * 1e3,
            "p99": late[len(late) * 99 // 100] * 1e3,
            "up": up,
        }


def both(checks: int, seconds: float) -> list[dict[str, Any]]:
    """Targets that answer, and targets that never do."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        rows = [measure("answering", int(server.stdout.readline()), checks, seconds, 5.0)]
    finally:
        server.kill()
        server.wait()
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("0.0.0.0", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", full.getsockname()[1]))
        rows.append(measure("hanging until the timeout", full.getsockname()[1], checks, seconds, 4.5))
    return rows


def run(quick: bool) -> dict[str, Any]:
    """For python -m benchmarks."""
    return {"rows": both(1000, 6.0) if quick else both(10_000, 15.0)}


def tables(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rows"]:
        good = r["core"] < 0.6 and r["p99"] < 100
        cells = [f"{r['attempts']:.0f}", f"{r['core'] * 100:.0f} %", f"{r['p50']:.1f}", f"{r['p99']:.1f}"]
        rows.append([r["name"], *cells, "< 60 %, < 100 ms", verdict(good)])
    return [
        Table(
            f"{figures['rows'][0]['checks']:,} TCP checks in one process",
            "Distinct targets in 127.0.0.0/8, a delay_loop of 5 s, starts spread over it. Late: from a check's "
            "deadline to the moment it is served.",
            ["targets", "attempts/s", "of a core", "late p50, ms", "late p99, ms", "target", ""],
            rows,
        )
    ]


def main() -> None:
    checks = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    for table in tables({"rows": both(checks, seconds)}):
        print(plain(table))


if __name__ == "__main__":
    main()
