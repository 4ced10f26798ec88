#!/usr/bin/env python3
"""The proxy plane beside haproxy (TCP mode, one thread), on loopback with nginx behind, in the same run.

    .venv/bin/python -m benchmarks.ipvs.proxy_plane [SECONDS]

Three loads: 64-KB responses on kept connections, a new connection for each small response, and one small request at a
time (latency, also without any proxy).  Printed: requests a second as the Python client gets them, and the proxy's own
CPU time a request, which says more where client, proxy and server share few cores.  The two take turns in short rounds,
each first in every other one, so that whatever else the machine does meets both; the figures are the rounds' medians.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import Missing, Table, plain, verdict

ROUNDS = 6
ROOT = Path(__file__).resolve().parents[2]
REQUEST = b"GET /%s HTTP/1.1\r\nHost: bench\r\n\r\n"
OURS = """
import sys, threading
from libipvs import Pool, RealServer, VirtualService, reconcile
from libipvs.proxy import Proxy
plane = Proxy()
service = VirtualService.tcp("127.0.0.1", int(sys.argv[1]), "rr")
reconcile(plane, [Pool(service, (RealServer("127.0.0.1", int(sys.argv[2]), "nat"),))], ())
print("ready", flush=True)
threading.Event().wait()
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """A process that listens on the port; its pid."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"] + ":/usr/sbin"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_answer(connection: socket.socket, buffer: bytearray) -> None:
    """One response, by its Content-Length."""
    size = connection.recv_into(buffer)
    head, _, _ = bytes(buffer[:600]).partition(b"\r\n\r\n")
    left = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) + len(head) + 4 - size
    while left > 0:
        left -= connection.recv_into(buffer)


def load(kind: str, port: int, seconds: float) -> tuple[int, list[float]]:
    """Requests done, and for "latency" the seconds that each took."""
    buffer = bytearray(1 << 17)
    page = b"small" if kind != "large" else b"large"
    done, times = 0, []
    end = time.perf_counter() + seconds
    connection = socket.create_connection(("127.0.0.1", port))
    while (start := time.perf_counter()) < end:
        if kind == "connections":
            connection.close()
            connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(REQUEST % page)
        read_answer(connection, buffer)
        done += 1
        if kind == "latency":
            times.append(time.perf_counter() - start)
    connection.close()
    return done, times


def worker(kind: str, port: int, seconds: float, threads: int, result: multiprocessing.Queue[int]) -> None:
    counts: list[int] = []
    clients = [threading.Thread(target=lambda: counts.append(load(kind, port, seconds)[0])) for _ in range(threads)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    result.put(sum(counts))


def measure(kind: str, port: int, pid: int, seconds: float) -> tuple[float, float]:
    """(requests a second, the proxy's CPU microseconds a request)."""
    result: multiprocessing.Queue[int] = multiprocessing.Queue()
    before, start = cpu_seconds(pid), time.perf_counter()
    process = multiprocessing.Process(target=worker, args=(kind, port, seconds, 4, result))
    process.start()
    done = result.get()
    process.join()
    wall, cpu = time.perf_counter() - start, cpu_seconds(pid) - before
    return done / wall, cpu / done


def in_turn(kind: str, proxies: dict[str, tuple[int, int]], seconds: float) -> dict[str, tuple[float, float]]:
    """The medians of measure() for each of the proxies (port, process)."""
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in proxies}
    for number in range(ROUNDS):
        for name in sorted(proxies, reverse=bool(number % 2)):
            rounds[name].append(measure(kind, *proxies[name], seconds / ROUNDS))
    return {
        name: (statistics.median(rate for rate, _ in taken), statistics.median(cpu for _, cpu in taken))
        for name, taken in rounds.items()
    }


def latencies(paths: dict[str, int], seconds: float) -> dict[str, list[float]]:
    """For each path (its port) the medians of the rounds' p50 and p99."""
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    for number in range(ROUNDS):
        for name in sorted(paths, reverse=bool(number % 2)):
            times = sorted(load("latency", paths[name], seconds / ROUNDS)[1])
            rounds[name].append((times[len(times) // 2], times[len(times) * 99 // 100]))
    return {name: [statistics.median(column) for column in zip(*taken, strict=True)] for name, taken in rounds.items()}


def compare(seconds: float) -> dict[str, Any]:
    """Rates, CPU seconds a request and latencies of haproxy and of the proxy plane."""
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [name for name in ("nginx", "haproxy") if not shutil.which(name, path=path)]
    if missing:
        raise Missing(f"missing {', '.join(missing)}")
    web, haproxy, ours = free_ports(3)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        os.chmod(directory, 0o755)
        (directory / "small").write_bytes(b"x" * 100)
        (directory / "large").write_bytes(b"x" * 65536)
        (directory / "nginx.conf").write_text(
            f"daemon off; pid {directory}/pid; error_log /dev/null; worker_processes 1;"
            "events { worker_connections 4096; }"
            f"http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000;"
            f"server {{ listen 127.0.0.1:{web} backlog=4096; root {directory}; }} }}"
        )
        (directory / "haproxy.cfg").write_text(
            "global\n nbthread 1\n maxconn 4096\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n"
            " timeout server 60s\n"
            f"listen bench\n bind 127.0.0.1:{haproxy} backlog 4096\n server one 127.0.0.1:{web}\n"
        )
        stack.enter_context(running(["nginx", "-c", f"{directory}/nginx.conf", "-p", name], web))
        theirs_pid = stack.enter_context(running(["haproxy", "-db", "-f", f"{directory}/haproxy.cfg"], haproxy))
        ours_pid = stack.enter_context(running([sys.executable, "-c", OURS, str(ours), str(web)], ours))
        proxies = {"haproxy": (haproxy, theirs_pid), "proxy": (ours, ours_pid)}
        loads = {"large": "64-KB responses", "connections": "a connection for each small response"}
        rates = [{"load": title, **in_turn(kind, proxies, seconds)} for kind, title in loads.items()]
        latency = latencies({"direct": web, "haproxy": haproxy, "proxy": ours}, seconds / 2)
    return {"rates": rates, "latency": latency}


def run(quick: bool) -> dict[str, Any]:
    """For python -m benchmarks."""
    return compare(1.0 if quick else 4.0)


def tables(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rates"]:
        (theirs, theirs_cpu), (mine, mine_cpu) = r["haproxy"], r["proxy"]
        cpu = [f"{mine_cpu * 1e6:.0f}", f"{theirs_cpu * 1e6:.0f}"]
        ratio = mine / theirs
        rows.append([r["load"], f"{mine:.0f}", f"{theirs:.0f}", f"{ratio:.2f}", ">= 0.9", *cpu, verdict(ratio >= 0.9)])
    direct = figures["latency"]["direct"]
    latency = []
    for name, times in figures["latency"].items():
        added = [f"{(t - d) * 1e6:+.0f}" for t, d in zip(times, direct, strict=True)]
        latency.append([name, *(f"{t * 1e6:.0f}" for t in times), *added])
    return [
        Table(
            "The user-space plane beside haproxy",
            "TCP mode, one thread, loopback, nginx behind; four clients, connections kept or new each time; in turn.",
            ["load", "ours/s", "haproxy/s", "ratio", "target", "ours, us CPU", "haproxy, us CPU", ""],
            rows,
        ),
        Table(
            "Latency that a proxy adds",
            "One small request at a time, microseconds.",
            ["path", "p50", "p99", "p50 added", "p99 added"],
            latency,
        ),
    ]


def main() -> None:
    for table in tables(compare(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)):
        print(plain(table))


if __name__ == "__main__":
    main()
