#!/usr/bin/env python3
"""Ten thousand TCP checks in one process: its share of a core, and how late their deadlines are served.

    .venv/bin/python benchmarks/ipvs/many_checks.py [CHECKS] [SECONDS]

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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from libipvs.checks import Host, Target, TcpCheck, Timing  # noqa: E402
from libipvs.checks.host import Watch  # noqa: E402
from libipvs.checks.machine import Event  # noqa: E402

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


def measure(name: str, port: int, checks: int, seconds: float, timeout: float) -> None:
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
        print(
            f"{name:12} {checks} checks, {attempts / wall:7.0f} attempts/s, {cpu / wall * 100:5.1f} % of a core, "
            f"late p50 {late[len(late) // 2] * 1e3:.1f} ms, p99 {late[len(late) * 99 // 100] * 1e3:.1f} ms, "
            f"{up} up"
        )


def main() -> None:
    checks = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        measure("answering", int(server.stdout.readline()), checks, seconds, 5.0)
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
        measure("hanging", full.getsockname()[1], checks, seconds, 4.5)


if __name__ == "__main__":
    main()
