"""Server CPU time of what is more than a point command: streams, ranges, publishing, transactions, scripts.

As in throughput.py: Redis's CPU time divided by ours, rounds interleaved, each figure the median of its rounds.
PUBLISH goes to 100 subscribers, which a process on the load's CPU reads.  A script's row "busy" is our server in a
process whose Python thread loops all the time (on the other CPU); the time counted is the server thread's own.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kv.subjects import LOAD_CPU, OURS, REDIS, ROOT, Subject, encode, pin
from benchmarks.kv.throughput import CLIENTS, KINDS, connections
from libkv.testing.native import load

SLOT = "__rand_int__"
NUMBERS = 100_000
SUBSCRIBERS = 100
THREE_CALLS = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('INCR', KEYS[2]) return redis.call('GET', KEYS[1])"
DRAIN = """
import selectors, socket, sys
chosen, port = selectors.DefaultSelector(), int(sys.argv[1])
for _ in range(int(sys.argv[2])):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"*2\\r\\n$9\\r\\nSUBSCRIBE\\r\\n$4\\r\\nnews\\r\\n")
    s.recv(100)
    chosen.register(s, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        if not key.fileobj.recv(1 << 18):
            sys.exit()
"""


@dataclass(frozen=True)
class Case:
    """request: the bytes of one request (perhaps several commands, with so many replies); fill: commands beforehand,
    as (request, how often)."""

    name: str
    request: bytes
    target: float
    n: int
    pipeline: int = 16
    replies: int = 1
    fill: tuple[tuple[bytes, int], ...] = ()
    subscribers: int = 0


LIST = ((encode("RPUSH", "list", "x" * 16), 600),)
TEN = b"".join(encode("SET", f"key:{SLOT}", "x" * 16) for _ in range(10))
CASES = (
    Case("XADD", encode("XADD", "stream", "*", "field", "x" * 16), 1.3, 200_000),
    Case(
        "XRANGE of 10",
        encode("XRANGE", "stream", "1-0", "+", "COUNT", "10"),
        1.3,
        100_000,
        fill=((encode("XADD", "stream", "*", "field", "x" * 16), 1000),),
    ),
    Case(
        "LRANGE of 100",
        encode("LRANGE", "list", "0", "99"),
        1.3,
        60_000,
        fill=((encode("RPUSH", "list", "x" * 16), 600),),
    ),
    Case(
        "LRANGE of 600",
        encode("LRANGE", "list", "0", "599"),
        1.3,
        12_000,
        fill=((encode("RPUSH", "list", "x" * 16), 600),),
    ),
    Case(
        "ZRANGE BYSCORE of 100",
        encode("ZRANGE", "zset", "1000", "+inf", "BYSCORE", "LIMIT", "0", "100"),
        1.3,
        60_000,
        fill=((encode("ZADD", "zset", SLOT, f"member:{SLOT}"), 20_000),),
    ),
    Case("PUBLISH to 100", encode("PUBLISH", "news", "x" * 16), 1.3, 6_000, subscribers=SUBSCRIBERS),
    Case("MULTI of 10 SET", encode("MULTI") + TEN + encode("EXEC"), 1.3, 30_000, 4, 12),
    Case("EVAL, three calls", encode("EVAL", THREE_CALLS, "2", f"key:{SLOT}", "counter", "x" * 16), 0.5, 40_000),
    Case("MSET of 10", encode("MSET", *(w for _ in range(10) for w in (f"key:{SLOT}", "x" * 16))), 2.0, 60_000),
    Case("SADD", encode("SADD", "set", f"element:{SLOT}"), 2.0, 300_000),
    Case("HSET", encode("HSET", "hash", f"element:{SLOT}", "x" * 16), 2.0, 300_000),
)


@contextlib.contextmanager
def subscribed(port: int, n: int) -> Iterator[None]:
    """n subscribers of "news" in a process that reads and forgets."""
    if n == 0:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", DRAIN, str(port), str(n)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def cpu_of_a_command(cpu: Callable[[], float], fds: list[int], case: Case, seed: int) -> float:
    """Nanoseconds."""

    def ask(n: int, seed: int) -> Any:
        return load.run(fds, case.request, n, pipeline=case.pipeline, replies=case.replies, numbers=NUMBERS, seed=seed)

    ask(CLIENTS * case.pipeline, seed + 99)
    before = cpu()
    r = ask(case.n, seed)
    used = cpu() - before
    if r["errors"]:
        raise RuntimeError(f"{case.name}: {r['error']}")
    return used / r["requests"] * 1e9


def prepare(server: Subject, case: Case) -> None:
    server.call("FLUSHALL")
    with connections(server, 4) as fds:
        for request, n in case.fill:
            load.run(fds, request, n, pipeline=16, numbers=NUMBERS)


def compare(servers: dict[str, Subject], case: Case, rounds: int) -> dict[str, Any]:
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        prepare(servers[kind], case)
    for i in range(rounds):
        for kind in KINDS:
            server = servers[kind]
            with subscribed(server.port, case.subscribers), connections(server) as fds:
                taken[kind].append(cpu_of_a_command(server.cpu, fds, case, i + 1))
    ours, redis = (statistics.median(taken[kind]) for kind in KINDS)
    return {"command": case.name, "ours_ns": ours, "redis_ns": redis, "ratio": redis / ours, "target": case.target}


def thread_cpu(pid: int) -> Callable[[], float]:
    """CPU seconds of the server thread of a process."""
    tasks = Path(f"/proc/{pid}/task")
    tid = next(t.name for t in tasks.iterdir() if (t / "comm").read_text().startswith("kv-server"))

    def cpu() -> float:
        return int((tasks / tid / "schedstat").read_text().split()[0]) / 1e9

    return cpu


def beside_python(case: Case, rounds: int) -> float:
    """Our server thread's time for a command while a Python thread of its process loops."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.kv.host", "0", str(LOAD_CPU)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: pin(0),
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = int(process.stdout.readline())
        process.stdin.write("loop\n")
        process.stdin.flush()
        cpu = thread_cpu(process.pid)
        with contextlib.ExitStack() as stack:
            import socket

            fds = [stack.enter_context(socket.create_connection(("127.0.0.1", port))).fileno() for _ in range(CLIENTS)]
            return statistics.median(cpu_of_a_command(cpu, fds, case, i) for i in range(1, rounds + 1))
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def run(quick: bool) -> dict[str, Any]:
    """Measures and returns the figures as a JSON-able dict."""
    pin(LOAD_CPU)
    rounds = 2 if quick else 5
    rows = []
    with Subject(OURS) as ours, Subject(REDIS) as redis:
        for case in CASES:
            rows.append(compare({OURS: ours, REDIS: redis}, case, rounds))
    script = next(case for case in CASES if case.name.startswith("EVAL"))
    theirs = next(row["redis_ns"] for row in rows if row["command"] == script.name)
    if (os.cpu_count() or 1) > 1:
        busy = beside_python(script, rounds)
        rows.append(
            {
                "command": f"{script.name}, busy",
                "ours_ns": busy,
                "redis_ns": theirs,
                "ratio": theirs / busy,
                "target": script.target,
            }
        )
    return {"rows": rows}
