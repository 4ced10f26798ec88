#!/usr/bin/env python3
"""Programming and reading a large table: libipvs beside ipvsadm, in one boot of a kernel with IPVS.

    tests/with-ipvs .venv/bin/python -m benchmarks.ipvs.kernel_table [SERVICES] [SERVERS]

Measures, as ratios to ipvsadm in the same boot: the table (default 1,000 services x 10 servers) from empty beside
`ipvsadm -R`, reading it and reconciling with nothing to do beside `ipvsadm -Sn`; and how many system calls the netlink
socket took.  Each figure is the best of five.  ipvsadm's times include its start (a few ms); ours do not include
Python's, as the library lives in a running process.  Prints JSON; `python -m benchmarks kernel_table` makes a table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.table import Missing, Table, verdict
from libipvs import Action, Change, Pool, RealServer, VirtualService, reconcile
from libipvs.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 5


def best(run: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The shortest of a few runs, in seconds."""
    times = []
    for _ in range(REPEATS):
        before()
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def table(services: int, servers: int) -> list[Pool]:
    return [
        Pool(
            VirtualService.tcp(f"10.{1 + i // 250}.{i % 250}.1", 80, "wrr"),
            tuple(RealServer(f"192.168.{j // 250}.{1 + j % 250}", 80, "nat", 1 + j % 5) for j in range(servers)),
        )
        for i in range(services)
    ]


def changes_of(pools: list[Pool]) -> list[Change]:
    changes = []
    for pool in pools:
        changes.append(Change(Action.ADD_SERVICE, pool.service.key, pool.service))
        changes += [Change(Action.ADD_SERVER, pool.service.key, server=server) for server in pool.servers]
    return changes


class Counted:
    """The netlink socket, counting its system calls."""

    def __init__(self, inner: object) -> None:
        self.inner = inner
        self.calls = 0

    def send(self, data: bytes) -> int:
        self.calls += 1
        return self.inner.send(data)  # type: ignore[attr-defined,no-any-return]

    def recv(self, size: int) -> bytes:
        self.calls += 1
        return self.inner.recv(size)  # type: ignore[attr-defined,no-any-return]

    def close(self) -> None:
        self.inner.close()  # type: ignore[attr-defined]


def measure(services: int, servers: int) -> dict[str, Any]:
    """Seconds and system calls; run in a kernel with IPVS."""
    kernel = Kernel()
    kernel.flush()
    pools = table(services, servers)
    owned = {pool.service.key for pool in pools}
    reconcile(kernel, pools, ())
    saved = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(saved)
        file.flush()

        def restore() -> None:
            with open(file.name) as lines:
                subprocess.run(["ipvsadm", "-R"], stdin=lines, check=True)

        figures: dict[str, Any] = {"services": services, "servers": servers, "restore": best(restore, kernel.flush)}
    changes = changes_of(pools)
    figures["apply"] = best(lambda: kernel.apply(changes), kernel.flush)
    figures["reconcile"] = best(lambda: reconcile(kernel, pools, ()), kernel.flush)
    figures["save"] = best(lambda: subprocess.run(["ipvsadm", "-Sn"], stdout=subprocess.DEVNULL, check=True))
    figures["table"] = best(kernel.table)
    figures["nothing"] = best(lambda: reconcile(kernel, pools, owned))
    assert not reconcile(kernel, pools, owned)
    counter = kernel._socket = Counted(kernel._socket)  # type: ignore[assignment]
    kernel.flush()
    for name, call in (("apply_calls", lambda: kernel.apply(changes)), ("table_calls", kernel.table)):
        counter.calls = 0
        call()
        figures[name] = counter.calls
    kernel.flush()
    kernel.close()
    return figures


def run(quick: bool) -> dict[str, Any]:
    """For python -m benchmarks: boots the kernel and measures in it."""
    if os.geteuid() != 0:
        raise Missing("missing root")
    size = ["200", "10"] if quick else ["1000", "10"]
    command = [str(ROOT / "tests" / "with-ipvs"), sys.executable, "-m", "benchmarks.ipvs.kernel_table", *size]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"a kernel with IPVS: {done.stderr.strip()[-300:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def tables(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for what, ours, theirs, name, aim in (
        ("program all changes", "apply", "restore", "ipvsadm -R", 2.0),
        ("reconcile from empty", "reconcile", "restore", "ipvsadm -R", 2.0),
        ("read the table", "table", "save", "ipvsadm -Sn", 1.0),
        ("reconcile, nothing to do", "nothing", "save", "ipvsadm -Sn", 1.0),
    ):
        ratio = figures[theirs] / figures[ours]
        cells = [f"{figures[ours] * 1e3:.1f}", name, f"{figures[theirs] * 1e3:.1f}", f"{ratio:.1f}", f">= {aim:g}"]
        calls = str(figures.get(f"{ours}_calls", ""))
        rows.append([what, *cells, calls, verdict(ratio >= aim)])
    return [
        Table(
            f"A table of {figures['services']:,} services x {figures['servers']} servers",
            "In one boot of a user-mode kernel with IPVS, best of five; ratio: ipvsadm's time divided by ours. "
            "System calls are those on the netlink socket.",
            ["", "libipvs, ms", "beside", "ms", "ratio", "target", "system calls", ""],
            rows,
        )
    ]


def main() -> None:
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    servers = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    print(json.dumps(measure(services, servers)))


if __name__ == "__main__":
    main()
