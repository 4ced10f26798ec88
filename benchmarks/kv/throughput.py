"""Commands a second, and server CPU time a command, at three depths of pipelining.

Both servers run in default configuration but for saving, on CPU 0; the load comes from CPU 1, 50 connections over
loopback.  Rounds are interleaved (ours, Redis, ours, Redis, ...) and a figure is the median of its rounds.

"CPU ratio" is Redis's server CPU time a command divided by ours: it holds on a machine that others use too, the wall
clock does not.  The load is our own lean client (libkv.testing.native.load), which needs less CPU time than either
server, so that the server is what is busy; redis-benchmark gives the wall clock at P=1 as others would measure it.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.kv.subjects import LOAD_CPU, OURS, REDIS, Missing, Subject, encode, pin
from libkv.testing.native import load

CLIENTS = 50
KEYS = 1_000_000
DEPTHS = (1, 16, 64)
SLOT = "__rand_int__"
LARGE = 1024  # bytes of a value from which there are fewer requests
KINDS = (OURS, REDIS)

#: CPU ratio Redis/ours to reach, by depth: geometric means (random keys, 16-byte values), and each single command
TARGETS = {1: 1.1, 16: 1.8, 64: 2.5}
TARGET_EACH = {1: 1.0, 16: 1.2, 64: 1.2}
#: and more of these with random keys and 16-byte values, where the cache misses of a pipeline overlap
TARGET_COMMAND = {(64, "GET"): 3.5, (64, "SET"): 2.2}
TARGET_VARIANT = "random 16 B"


@dataclass(frozen=True)
class Case:
    """A command of redis-benchmark's, with its slot for random digits."""

    name: str
    words: tuple[str, ...]
    value: bool = False  # a word "VALUE" stands for the value

    def request(self, hot: bool, size: int) -> bytes:
        value = "x" * size
        words = [value if w == "VALUE" else w for w in self.words]
        return encode(*(w.replace(SLOT, "000000000007") if hot else w for w in words))


MSET = ("MSET", *(w for _ in range(10) for w in (f"key:{SLOT}", "VALUE")))
CASES = (
    Case("SET", ("SET", f"key:{SLOT}", "VALUE"), True),
    Case("GET", ("GET", f"key:{SLOT}"), True),
    Case("INCR", ("INCR", f"counter:{SLOT}")),
    Case("LPUSH", ("LPUSH", "mylist", "VALUE"), True),
    Case("LPOP", ("LPOP", "mylist"), True),
    Case("SADD", ("SADD", "myset", f"element:{SLOT}")),
    Case("HSET", ("HSET", "myhash", f"element:{SLOT}", "VALUE"), True),
    Case("ZADD", ("ZADD", "myzset", "0", f"element:{SLOT}")),
    Case("MSET", MSET, True),
    Case("LRANGE_100", ("LRANGE", "range", "0", "99"), True),
)
#: commands of one batch of 50 clients would take too long otherwise
WEIGHT = {"MSET": 6, "LRANGE_100": 8}


@dataclass(frozen=True)
class Variant:
    """Which keys, and values of which size in bytes."""

    keys: str  # "random" or "hot"
    size: int

    @property
    def name(self) -> str:
        return f"{self.keys} {self.size} B"


@contextlib.contextmanager
def connections(server: Subject, n: int = CLIENTS) -> Iterator[list[int]]:
    sockets = [server.connect() for _ in range(n)]
    try:
        yield [s.fileno() for s in sockets]
    finally:
        for s in sockets:
            s.close()


def prefill(server: Subject, size: int) -> None:
    """key:000000000000 to key:000000999999, counters and members likewise, and a list for LRANGE.

    With large values the hash starts empty, so that a gigabyte is enough for each server.
    """
    server.call("FLUSHALL")
    value = "x" * size
    with connections(server, 4) as fds:
        load.run(fds, encode("SET", f"key:{SLOT}", value), KEYS, pipeline=64, numbers=KEYS, in_order_from=0)
        members = (
            ("SET", f"counter:{SLOT}", "1000"),
            ("SADD", "myset", f"element:{SLOT}"),
            ("HSET", "myhash", f"element:{SLOT}", value),
            ("ZADD", "myzset", "0", f"element:{SLOT}"),
        )
        for words in members if size < LARGE else ():
            load.run(fds, encode(*words), KEYS, pipeline=64, numbers=KEYS, in_order_from=0)
        load.run(fds, encode("RPUSH", "range", value), 600, pipeline=16)
    if int(server.call("DBSIZE")[1:]) < KEYS:
        raise RuntimeError(f"{server.kind} does not hold what was put in")


def requests_of(case: Case, depth: int, size: int, scale: float) -> int:
    n = {1: 60_000, 16: 400_000, 64: 800_000}[depth] * scale / WEIGHT.get(case.name, 1)
    if size >= LARGE:
        n /= 4
    return max(int(n), CLIENTS * depth * 4)


def one(server: Subject, case: Case, variant: Variant, depth: int, n: int, seed: int) -> dict[str, float]:
    """One measurement: CPU time a command (ns), commands a second, and how busy the load generator was."""
    request = case.request(variant.keys == "hot", variant.size)
    with connections(server) as fds:
        if case.name == "LPOP":
            filled = encode("RPUSH", "mylist", "x" * variant.size)
            load.run(fds[:4], filled, n + CLIENTS * depth, pipeline=64)
        load.run(fds, request, CLIENTS * depth, pipeline=depth, seed=seed + 999)
        cpu = server.cpu()
        r = load.run(fds, request, n, pipeline=depth, numbers=KEYS, seed=seed, seconds=20)
        cpu = server.cpu() - cpu
        if case.name in ("LPUSH", "LPOP"):
            server.call("DEL", "mylist")
    if r["errors"]:
        raise RuntimeError(f"{server.kind} {case.name}: {r['error']}")
    if case.name in ("GET", "LPOP") and r["nils"] > r["requests"] // 50:
        raise RuntimeError(f"{server.kind} {case.name}: {r['nils']} misses of {r['requests']}")
    return {
        "cpu_ns": cpu / r["requests"] * 1e9,
        "rps": r["requests"] / r["seconds"],
        "load_busy": r["cpu"] / r["seconds"],
        "server_busy": cpu / r["seconds"],
    }


def target(variant: Variant, depth: int, case: Case) -> float:
    if variant.name == TARGET_VARIANT:
        return TARGET_COMMAND.get((depth, case.name), TARGET_EACH[depth])
    return TARGET_EACH[depth]


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}


def measure(
    servers: dict[str, Subject], variant: Variant, cases: list[Case], rounds: int, scale: float
) -> list[dict[str, Any]]:
    """All commands at all depths on one filling of both servers."""
    rows = []
    for depth in DEPTHS:
        for case in cases:
            n = requests_of(case, depth, variant.size, scale)
            taken: dict[str, list[dict[str, float]]] = {k: [] for k in KINDS}
            for i in range(rounds):
                for kind in KINDS:
                    taken[kind].append(one(servers[kind], case, variant, depth, n, i + 1))
            ours, redis = medians(taken[OURS]), medians(taken[REDIS])
            pairs = zip(taken[OURS], taken[REDIS], strict=True)
            rows.append(
                {
                    "variant": variant.name,
                    "depth": depth,
                    "command": case.name,
                    "ours": ours,
                    "redis": redis,
                    "cpu_ratio": statistics.median(r["cpu_ns"] / o["cpu_ns"] for o, r in pairs),
                    "wall_ratio": ours["rps"] / redis["rps"],
                    "target": target(variant, depth, case),
                }
            )
    return rows


def latency(servers: dict[str, Subject], rounds: int) -> dict[str, Any]:
    """A single client's median time from request to reply, GET of one key."""
    taken: dict[str, list[float]] = {k: [] for k in KINDS}
    request = encode("GET", "key:000000000007")
    for _ in range(rounds):
        for kind in KINDS:
            with connections(servers[kind], 1) as fds:
                load.run(fds, request, 500)
                taken[kind].append(load.run(fds, request, 8000, seconds=10)["p50"] * 1e6)
    ours, redis = (statistics.median(taken[k]) for k in KINDS)
    return {"ours_us": ours, "redis_us": redis, "ratio": ours / redis, "target": 0.6}


def redis_benchmark(servers: dict[str, Subject], rounds: int, requests: int) -> list[dict[str, Any]]:
    """Wall clock as redis-benchmark sees it, P=1, random keys, 16-byte values."""
    program = shutil.which("redis-benchmark")
    if program is None:
        raise Missing("missing redis-benchmark (Debian package redis-tools)")
    names = [c.name.lower() for c in CASES]
    taken: dict[str, dict[str, list[float]]] = {k: {n: [] for n in names} for k in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            port = str(servers[kind].port)
            options = ["-c", str(CLIENTS), "-n", str(requests), "-r", str(KEYS), "-d", "16", "-P", "1", "--csv"]
            text = subprocess.run(
                [program, "-p", port, *options, "-t", ",".join(names)],
                capture_output=True,
                text=True,
                timeout=300,
                check=True,
            ).stdout
            for line in csv.DictReader(text.splitlines()):
                name = line["test"].split()[0].lower()
                if name in taken[kind] and "needed" not in line["test"]:
                    taken[kind][name].append(float(line["rps"]))
            servers[kind].call("DEL", "mylist")
    rows = []
    for case, name in zip(CASES, names, strict=True):
        ours, redis = (statistics.median(taken[k][name]) for k in KINDS)
        rows.append({"command": case.name, "ours_rps": ours, "redis_rps": redis, "ratio": ours / redis, "target": 1.0})
    return rows


def run(quick: bool) -> dict[str, Any]:
    """Measures and returns the figures as a JSON-able dict."""
    pin(LOAD_CPU)
    rounds, scale = (2, 0.4) if quick else (3, 0.5)
    variants = [Variant("random", 16)] if quick else [Variant(k, s) for s in (16, 1024) for k in ("random", "hot")]
    rows: list[dict[str, Any]] = []
    with Subject(OURS) as ours, Subject(REDIS) as redis:
        servers = {OURS: ours, REDIS: redis}
        for kind in KINDS:
            prefill(servers[kind], 16)
        result: dict[str, Any] = {"latency": latency(servers, rounds)}
        result["redis_benchmark"] = redis_benchmark(servers, rounds, 10_000 if quick else 100_000)
        size = 16
        for variant in variants:
            if variant.size != size:
                size = variant.size
                for kind in KINDS:
                    prefill(servers[kind], size)
            cases = [c for c in CASES if c.value or size == 16]
            rows += measure(servers, variant, cases, rounds, scale)
    result["rows"] = rows
    result["means"] = [
        {
            "variant": v.name,
            "depth": d,
            "cpu_ratio": statistics.geometric_mean(chosen),
            "target": TARGETS[d] if v.name == TARGET_VARIANT else None,
        }
        for v in variants
        for d in DEPTHS
        if (chosen := [r["cpu_ratio"] for r in rows if r["variant"] == v.name and r["depth"] == d])
    ]
    return result
