"""What a Python thread that loops on store.get costs a server of the same process (P=1, 50 connections, GET).

With two CPUs there are three busy threads: the server's, the Python thread, and the load generator's.  The generator is
always on CPU 1; where the others may run is part of the result:

    shared      server and Python thread on CPU 0: half a CPU each is what the kernel gives
    apart       server on CPU 0, Python thread on CPU 1 beside the load generator
    free        both on either CPU, as an application runs that pins nothing
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from benchmarks.kv.subjects import LOAD_CPU, ROOT, encode, pin
from benchmarks.kv.throughput import CLIENTS
from libkv.testing.native import load

PLACES = {"shared": ("0", "0"), "apart": ("0", "1"), "free": ("0,1", "0,1")}
TARGET = 0.5  # of the throughput alone


def connect(port: int) -> list[Any]:
    import socket

    sockets = []
    for _ in range(CLIENTS):
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(s)
    return sockets


def one(place: str, seconds: float, rounds: int) -> dict[str, Any]:
    server_cpus, python_cpus = PLACES[place]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.kv.host", server_cpus, python_cpus],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: pin(0),
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = int(process.stdout.readline())
        sockets = connect(port)
        fds = [s.fileno() for s in sockets]
        load.run(fds, encode("SET", "key:000000000007", "x" * 16), CLIENTS)
        request = encode("GET", "key:000000000007")
        alone, mixed, calls = [], [], []
        for _ in range(rounds):
            r = load.run(fds, request, 10_000_000, seconds=seconds)
            alone.append(r["requests"] / r["seconds"])
            process.stdin.write("loop\n")
            process.stdin.flush()
            r = load.run(fds, request, 10_000_000, seconds=seconds)
            mixed.append(r["requests"] / r["seconds"])
            process.stdin.write("idle\n")
            process.stdin.flush()
            made, spent = process.stdout.readline().split()
            calls.append(int(made) / float(spent))
        for s in sockets:
            s.close()
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return {
        "place": place,
        "alone_rps": statistics.median(alone),
        "mixed_rps": statistics.median(mixed),
        "kept": statistics.median(m / a for m, a in zip(mixed, alone, strict=True)),
        "python_calls_per_second": statistics.median(calls),
        "target": TARGET,
    }


def run(quick: bool) -> dict[str, Any]:
    pin(LOAD_CPU)
    seconds, rounds = (0.5, 2) if quick else (1.0, 5)
    return {"rows": [one(place, seconds, rounds) for place in PLACES]}
