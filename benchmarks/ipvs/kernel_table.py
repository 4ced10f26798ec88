#!/usr/bin/env python3
"""Programming and reading a large table: libipvs beside ipvsadm, in one boot of a kernel with IPVS.

    tests/with-ipvs .venv/bin/python benchmarks/ipvs/kernel_table.py [SERVICES] [SERVERS]

Prints, as ratios to ipvsadm in the same boot: the table (default 1,000 services x 10 servers) from empty beside
`ipvsadm -R`, reading it and reconciling with nothing to do beside `ipvsadm -Sn`; and how many system calls the netlink
socket took.  Each figure is the best of five.  ipvsadm's times include its start (a few ms); ours do not include
Python's, as the library lives in a running process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from libipvs import Action, Change, Pool, RealServer, VirtualService, reconcile  # noqa: E402
from libipvs.kernel import Kernel  # noqa: E402

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


def main() -> None:
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    servers = int(sys.argv[2]) if len(sys.argv) > 2 else 10
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

        theirs = best(restore, kernel.flush)
    changes = changes_of(pools)
    ours = best(lambda: kernel.apply(changes), kernel.flush)
    whole = best(lambda: reconcile(kernel, pools, ()), kernel.flush)
    print(
        f"{services} services x {servers} servers, best of {REPEATS}; milliseconds, and ipvsadm's time divided by ours"
    )
    print(f"program   ipvsadm -R  {theirs * 1e3:8.1f}   apply(changes)        {ours * 1e3:8.1f}   {theirs / ours:5.1f}")
    print(f"                                reconcile from empty  {whole * 1e3:8.1f}   {theirs / whole:5.1f}")
    save = best(lambda: subprocess.run(["ipvsadm", "-Sn"], stdout=subprocess.DEVNULL, check=True))
    dump = best(kernel.table)
    nothing = best(lambda: reconcile(kernel, pools, owned))
    assert not reconcile(kernel, pools, owned)
    print(f"read      ipvsadm -Sn {save * 1e3:8.1f}   table()               {dump * 1e3:8.1f}   {save / dump:5.1f}")
    print(f"                                reconcile, no change  {nothing * 1e3:8.1f}   {save / nothing:5.1f}")
    counter = kernel._socket = Counted(kernel._socket)  # type: ignore[assignment]
    kernel.flush()
    counter.calls = 0
    kernel.apply(changes)
    programmed, counter.calls = counter.calls, 0
    kernel.table()
    print(f"system calls on the netlink socket: apply {programmed}, table {counter.calls}")
    kernel.flush()
    kernel.close()


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("missing root")
    main()
