"""The worst single SET while a store grows from 1M to 5M keys: growing the table must not stop anybody.

Three views:
- in process, by the thread's CPU clock around each call of an embedded store.  The host of a virtual machine takes the
  CPU away for milliseconds, and the clock of a guest counts that; so the same growth is measured several times, from
  the same seed, and of each of its 4M calls the shortest time counts: what is left is what the store itself does there.
- the server's own clock around the command: the longest entry of SLOWLOG, ours and Redis's.
- from outside: the longest of all batches of 16 SETs of one client, ours and Redis's.
"""

from __future__ import annotations

import gc
import re
import time
from array import array
from typing import Any

from benchmarks.kv.subjects import LOAD_CPU, OURS, REDIS, Subject, encode, pin
from libkv.testing.native import load

REQUEST = encode("SET", "key:__rand_int__", "x" * 16)
TARGET_US = 1000


def in_process(start: int, end: int) -> array[int]:
    """CPU time (ns) of each SET from the start-th to the end-th key, of a new store."""
    from libkv import Store

    store = Store(seed=1)
    run = store.execute
    for i in range(start):
        run((b"SET", b"key:%012d" % i, b"xxxxxxxxxxxxxxxx"))
    times = array("I", bytes(4 * (end - start)))
    clock = time.thread_time_ns
    gc.disable()
    try:
        for i in range(start, end):
            key = b"key:%012d" % i
            began = clock()
            run((b"SET", key, b"xxxxxxxxxxxxxxxx"))
            times[i - start] = clock() - began
    finally:
        gc.enable()
    store.close()
    return times


def embedded(start: int, end: int, repeats: int) -> dict[str, float]:
    every = [in_process(start, end) for _ in range(repeats)]
    least = [min(at) for at in zip(*every, strict=True)]
    least.sort()
    return {
        "worst_us": least[-1] / 1e3,
        "p9999_us": least[len(least) * 9999 // 10000] / 1e3,
        "p50_us": least[len(least) // 2] / 1e3,
        "worst_of_one_run_us": min(max(times) for times in every) / 1e3,
        "repeats": repeats,
    }


def served(kind: str, start: int, end: int) -> dict[str, float]:
    """The server's worst SET by its own SLOWLOG, and one client's worst batch of 16."""
    with Subject(kind) as server:
        for name, value in (("slowlog-log-slower-than", "100"), ("slowlog-max-len", "10000")):
            server.call("CONFIG", "SET", name, value)
        with server.connect() as s:
            load.run([s.fileno()], REQUEST, start, pipeline=64, in_order_from=0)
            server.call("SLOWLOG", "RESET")
            r = load.run([s.fileno()], REQUEST, end - start, pipeline=16, in_order_from=start, seconds=120)
            if r["errors"] or r["requests"] != end - start:
                raise RuntimeError(f"{kind}: {r}")
            s.sendall(encode("SLOWLOG", "GET", "10000"))
            time.sleep(0.2)
            text = s.recv(1 << 24)
    # each entry begins: an array of 6 with its number, Unix time, and microseconds
    longest = [int(m) for m in re.findall(rb"\*6\r\n:\d+\r\n:\d+\r\n:(\d+)\r\n", text)]
    return {
        "slowlog_worst_us": max(longest, default=0),
        "over_100_us": len(longest),
        "batch_worst_us": r["worst"] * 1e6,
    }


def run(quick: bool) -> dict[str, Any]:
    pin(LOAD_CPU)
    start, end = (200_000, 1_000_000) if quick else (1_000_000, 5_000_000)
    return {
        "start": start,
        "end": end,
        "embedded": embedded(start, end, 2 if quick else 3),
        "ours": served(OURS, start, end),
        "redis": served(REDIS, start, end),
        "target_us": TARGET_US,
    }
