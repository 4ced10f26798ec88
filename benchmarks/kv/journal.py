"""The journal (AOF): what a SET costs in each mode of appendfsync, what loading it costs, and what a fork does.

SET, random keys, 10-byte values, 50 connections.  everysec at P=16 by the server's CPU time a command; always at P=1 by
the rate and by the fsyncs that 1,000 writes take, beside the time of one fdatasync of the disk.  Loading is the CPU
time of a start with the journal less one without.  The fork: a background save of many keys while SETs run; the fork
call as INFO tells it, the longest SET.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.kv.fsyncs import FsyncCounters
from benchmarks.kv.memory import fill
from benchmarks.kv.subjects import LOAD_CPU, OURS, REDIS, Subject, encode, pin
from benchmarks.kv.throughput import connections
from libkv.testing.native import load

#: appendfsync, commands a client sends at a time, requests in multiples of 100,000
MODES = (
    ("no journal", 1, 2),
    ("everysec", 1, 2),
    ("always", 1, 1),
    ("no journal", 16, 20),
    ("no", 16, 20),
    ("everysec", 16, 20),
    ("always", 16, 4),
)
KINDS = (OURS, REDIS)
CPU_TARGET = 0.6  # of Redis's CPU time: SET at P=16 with everysec, and loading
ROUNDS = 3
REQUEST = encode("SET", "key:__rand_int__", "0123456789")


def fsync_us(folder: str) -> float:
    """Median time of a write of 64 bytes and fdatasync, microseconds."""
    times = []
    fd = os.open(os.path.join(folder, "probe"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(200):
            began = time.perf_counter()
            os.write(fd, b"x" * 64)
            os.fdatasync(fd)
            times.append((time.perf_counter() - began) * 1e6)
    finally:
        os.close(fd)
    return statistics.median(times)


def drive(server: Subject, requests: int, depth: int) -> tuple[float, float]:
    """(commands a second, server CPU in ns a command)."""
    with connections(server) as fds:
        before = server.cpu()
        r = load.run(fds, REQUEST, requests, pipeline=depth, numbers=1_000_000, seconds=20)
        cpu = server.cpu() - before
    if r["errors"]:
        raise RuntimeError(f"{server.kind}: {r['error']}")
    return r["requests"] / r["seconds"], cpu / r["requests"] * 1e9


def modes(quick: bool, counters: FsyncCounters) -> list[dict[str, Any]]:
    rows = []
    for mode, depth, n in MODES:
        requests = n * (20_000 if quick else 100_000)
        options = ("--appendonly", "no" if mode == "no journal" else "yes", "--auto-aof-rewrite-percentage", "0")
        options += () if mode == "no journal" else ("--appendfsync", mode)
        rates: dict[str, list[float]] = {k: [] for k in KINDS}
        cpus: dict[str, list[float]] = {k: [] for k in KINDS}
        fsyncs = dict.fromkeys(KINDS, 0)
        environment = {k: counters.environment(k) for k in KINDS}
        with (
            Subject(OURS, *options, env=environment[OURS]) as ours,
            Subject(REDIS, *options, env=environment[REDIS]) as redis,
        ):
            probe = fsync_us(ours.dir)
            for _ in range(ROUNDS):
                for server in (ours, redis):
                    before = counters.count(server.kind)
                    rate, cpu = drive(server, requests, depth)
                    fsyncs[server.kind] += counters.count(server.kind) - before
                    rates[server.kind].append(rate)
                    cpus[server.kind].append(cpu)
        row: dict[str, Any] = {"mode": mode, "depth": depth, "fsync_us": probe}
        for kind in KINDS:
            row[f"{kind}_rate"] = statistics.median(rates[kind])
            row[f"{kind}_cpu_ns"] = statistics.median(cpus[kind])
            row[f"{kind}_fsyncs"] = fsyncs[kind] / (ROUNDS * requests) * 1000  # a thousand writes
        rows.append(row)
    return rows


def started(kind: str, folder: Path | None) -> tuple[float, bytes]:
    """CPU seconds of a start with this journal, and DBSIZE."""
    home = tempfile.mkdtemp(prefix="keepkv-bench-")
    try:
        if folder is not None:
            shutil.copytree(folder, Path(home, "appendonlydir"))
        with Subject(kind, "--dir", home, "--appendonly", "yes") as server:
            while b"LOADING" in ping(server):
                time.sleep(0.05)
            return server.cpu(), server.call("DBSIZE")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def ping(server: Subject) -> bytes:
    try:
        return server.call("DBSIZE")
    except ConnectionError as error:
        return str(error).encode()


def loading(quick: bool) -> dict[str, Any]:
    keys = 100_000 if quick else 1_000_000
    folder = Path(tempfile.mkdtemp(prefix="keepkv-bench-"))
    options = ("--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
    figures: dict[str, Any] = {"keys": keys}
    times: dict[str, list[float]] = {k: [] for k in KINDS}
    try:
        with Subject(REDIS, *options) as redis:
            streams = [redis.connect()]
            fill(streams, "plain", 0, keys)
            streams[0].close()
            shutil.copytree(Path(redis.dir, "appendonlydir"), folder / "journal")
        counts = set()
        for _ in range(ROUNDS):
            for kind in KINDS:
                cpu, count = started(kind, folder / "journal")
                counts.add(count)
                times[kind].append(cpu - started(kind, None)[0])
        if len(counts) != 1:
            raise RuntimeError(f"the numbers of keys differ: {counts}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for kind in KINDS:
        figures[kind] = statistics.median(times[kind])
    return figures


def forking(quick: bool) -> dict[str, Any]:
    """A background save of many keys while one client sends SETs one by one."""
    keys = 200_000 if quick else 1_000_000
    figures: dict[str, Any] = {"keys": keys}
    for kind in KINDS:
        with Subject(kind) as server:
            streams = [server.connect()]
            fill(streams, "plain", 0, keys)
            s = streams[0]
            worst = 0.0
            server.call("BGSAVE")
            until = time.monotonic() + 20
            while time.monotonic() < until:
                for _ in range(200):
                    began = time.perf_counter()
                    s.sendall(encode("SET", "key:1", "0123456789"))
                    s.recv(16)
                    worst = max(worst, time.perf_counter() - began)
                if server.info("persistence")["rdb_bgsave_in_progress"] == "0":
                    break
            figures[f"{kind}_fork_us"] = int(server.info("stats")["latest_fork_usec"])
            figures[f"{kind}_worst_us"] = worst * 1e6
            figures[f"{kind}_copied"] = int(server.info("persistence")["rdb_last_cow_size"])
            s.close()
    return figures


def run(quick: bool) -> dict[str, Any]:
    pin(LOAD_CPU)
    with FsyncCounters() as counters:
        rows = modes(quick, counters)
    return {"modes": rows, "loading": loading(quick), "forking": forking(quick)}
