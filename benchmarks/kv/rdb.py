"""dump.rdb: the server's CPU time for SAVE, and for loading the file at start, ours and Redis's.

Two data sets: small keys (10-byte values), and a mixture of all types, small and large.  Both servers get the same
commands.  A load is the CPU time of a start with the file less that of a start without one; each loads its own file.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.kv.memory import CHUNK, fill, ten
from benchmarks.kv.subjects import LOAD_CPU, OURS, REDIS, Subject, encode, pin

SAVE_TARGET = 0.5  # of Redis's CPU time
LOAD_TARGET = 0.6
ROUNDS = 3
MIXED_BYTES = 1200  # about, of one round of all types as a file


def mixture(i: int) -> Iterator[bytes]:
    """One round of all types: about MIXED_BYTES in a file."""
    text = f"the value of element {i} and some more"
    yield encode("SET", f"string:{i}", text * (1 + i % 8))
    yield encode("SET", f"number:{i}", i * 7919, "PX", 10**10 + i)
    yield encode("RPUSH", f"list:{i}", *(f"{text} {k}" for k in range(20)))
    yield encode("SADD", f"integers:{i}", *(i * k for k in range(1, 30)))
    yield encode("SADD", f"words:{i}", *(f"word {k * i}" for k in range(1, 20)))
    yield encode("HSET", f"hash:{i}", *(w for k in range(15) for w in (f"field:{k}", ten(i * k))))
    yield encode("ZADD", f"zset:{i}", *(w for k in range(15) for w in (k * 0.5 + i, f"member:{k}")))
    for k in range(5):
        yield encode("XADD", f"stream:{i}", f"{i + 1}-{k + 1}", "sensor", k, "temperature", 20 + k)
    yield encode("HSET", f"large hash:{i % 20}", f"field:{i}", text)
    yield encode("SADD", f"large set:{i % 20}", f"member:{i}")
    yield encode("ZADD", f"large zset:{i % 20}", i * 7919 % 1_000_003, f"member:{i}")
    yield encode("RPUSH", f"large list:{i % 20}", text)


def fill_mixture(servers: list[Subject], rounds: int) -> None:
    streams = [s.connect() for s in servers]
    for s in streams:
        s.sendall(encode("CLIENT", "REPLY", "OFF"))
    step = CHUNK // 50
    for start in range(0, rounds, step):
        data = b"".join(c for i in range(start, min(start + step, rounds)) for c in mixture(i))
        for s in streams:
            s.sendall(data)
    for s in streams:
        s.sendall(encode("CLIENT", "REPLY", "ON"))
        if s.recv(16) != b"+OK\r\n":
            raise RuntimeError("a server did not carry out what it got")
        s.close()


def saved(server: Subject) -> float:
    """CPU seconds of one SAVE."""
    before = server.cpu()
    server.call("SAVE")
    return server.cpu() - before


def started(kind: str, file: Path | None) -> tuple[float, bytes]:
    """CPU seconds of a start in a folder with this file, and DBSIZE."""
    home = tempfile.mkdtemp(prefix="keepkv-bench-")
    try:
        if file is not None:
            os.link(file, Path(home, "dump.rdb"))
        with Subject(kind, "--dir", home) as server:
            return server.cpu(), server.call("DBSIZE")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(name: str, store: Any) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="keepkv-bench-"))
    figures: dict[str, Any] = {"name": name}
    try:
        with Subject(OURS) as ours, Subject(REDIS) as redis:
            store([ours, redis])
            saves: dict[str, list[float]] = {OURS: [], REDIS: []}
            for _ in range(ROUNDS):
                for server in (ours, redis):
                    saves[server.kind].append(saved(server))
            for server in (ours, redis):
                shutil.copy(Path(server.dir, "dump.rdb"), folder / server.kind)
                figures[f"{server.kind}_bytes"] = os.path.getsize(folder / server.kind)
            keys = {ours.call("DBSIZE"), redis.call("DBSIZE")}
        loads: dict[str, list[float]] = {OURS: [], REDIS: []}
        for _ in range(ROUNDS):
            for kind in (OURS, REDIS):
                with_file, count = started(kind, folder / kind)
                loads[kind].append(with_file - started(kind, None)[0])
                keys.add(count)
        if len(keys) != 1:
            raise RuntimeError(f"{name}: the numbers of keys differ: {keys}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what, times in (("save", saves), ("load", loads)):
        for kind in (OURS, REDIS):
            figures[f"{what}_{kind}"] = statistics.median(times[kind])
        figures[f"{what}_ratio"] = figures[f"{what}_{OURS}"] / figures[f"{what}_{REDIS}"]
    return figures


def run(quick: bool) -> dict[str, Any]:
    pin(LOAD_CPU)
    keys = 200_000 if quick else 1_000_000
    rounds = (50 if quick else 500) * 2**20 // MIXED_BYTES

    def small(servers: list[Subject]) -> None:
        streams = [s.connect() for s in servers]
        fill(streams, "plain", 0, keys)
        for s in streams:
            s.close()

    return {
        "rows": [
            measure(f"{keys:,} keys with 10-byte values", small),
            measure("a mixture of all types", lambda servers: fill_mixture(servers, rounds)),
        ]
    }
