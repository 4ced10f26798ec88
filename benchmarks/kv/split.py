"""What it costs that the core is many extension modules, whose calls of each other go through pointers.

The same sources are built a second time as one translation unit (one_unit.py).  Both are fed the same bytes without a
network, 64 commands a read, keys at random, in processes of their own that take turns; a figure is the least CPU time
of its rounds.  Without the network's share this shows the cost larger than a client sees it.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.kv import one_unit
from benchmarks.kv.subjects import ROOT, SERVER_CPU, encode, pin
from benchmarks.kv.throughput import CASES, SLOT

DEPTH = 64
TARGET = 0.03
NOTE = (
    "Nanoseconds of CPU time a command, in process, 64 commands at a time, {keys:,} random keys, 16-byte values; "
    "least of {rounds} rounds. The network is left out, so a client sees less of it."
)


def pieces(request: bytes, n: int, keys: int, seed: int) -> list[bytes]:
    """n requests, DEPTH a piece, with random digits in the slots; seed 0: one number after the other."""
    digits = random.Random(seed)
    parts = request.split(SLOT.encode())
    made = []
    number = 0
    for _ in range(max(n // DEPTH, 1)):
        words = []
        for _ in range(DEPTH):
            words.append(parts[0])
            for part in parts[1:]:
                words.append(b"%012d" % (digits.randrange(keys) if seed else number))
                words.append(part)
            number += 1
        made.append(b"".join(words))
    return made


def child(file: str, keys: int, n: int) -> dict[str, float]:
    """Nanoseconds a command for the extension in this file; replies are compared by the caller."""
    name = one_unit.NAME if one_unit.NAME in Path(file).name else one_unit.LAST
    if name == one_unit.LAST:
        import libkv.commands  # noqa: F401  (binds the commands)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    store = module.Feed()
    value = "x" * 16
    members = keys // 4
    for request, count in (
        (encode("SET", f"key:{SLOT}", value), keys),
        (encode("SET", f"counter:{SLOT}", "1000"), keys),
        (encode("SADD", "myset", f"element:{SLOT}"), members),
        (encode("HSET", "myhash", f"element:{SLOT}", value), members),
        (encode("ZADD", "myzset", "0", f"element:{SLOT}"), members),
        (encode("RPUSH", "range", value), 640),
    ):
        store.run(pieces(request, count, keys, 0))
    store.cron()
    figures = {}
    for case in CASES:
        count = n // 10 if case.name in ("MSET", "LRANGE_100") else n
        numbers = members if case.name in ("SADD", "HSET", "ZADD") else keys
        best = 1e18
        for seed in (1, 2, 3):
            made = pieces(case.request(False, 16), count, numbers, seed)
            ns, replied, last = store.run(made)
            if last[:1] in (b"-", b"") or replied == 0:
                raise RuntimeError(f"{case.name}: {last!r}")
            best = min(best, ns / (len(made) * DEPTH))
        figures[case.name] = best
        figures[f"replied {case.name}"] = replied
    return figures


def one(file: Path, keys: int, n: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kv.split", str(file), str(keys), str(n)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=lambda: pin(SERVER_CPU),
    )
    if done.returncode:
        raise RuntimeError("a round of the split's benchmark failed:\n" + done.stderr[-3000:])
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run(quick: bool) -> dict[str, Any]:
    rounds, keys, n = (2, 200_000, 64_000) if quick else (5, 1_000_000, 192_000)
    unit = one_unit.build()
    modules = next((ROOT / "libkv" / "testing" / "native").glob("feed.*.so"))
    taken: dict[str, list[dict[str, float]]] = {"split": [], "one": []}
    for _ in range(rounds):
        taken["split"].append(one(modules, keys, n))
        taken["one"].append(one(unit, keys, n))
    rows: list[dict[str, Any]] = []
    for case in CASES:
        if {r[f"replied {case.name}"] for kind in taken.values() for r in kind} != {
            taken["one"][0][f"replied {case.name}"]
        }:
            raise RuntimeError(f"{case.name}: the two builds do not answer the same")
        split, whole = (min(r[case.name] for r in taken[kind]) for kind in ("split", "one"))
        rows.append({"command": case.name, "split_ns": split, "one_ns": whole, "cost": split / whole - 1})
    return {
        "rows": rows,
        "cost": statistics.geometric_mean(r["split_ns"] / r["one_ns"] for r in rows) - 1,
        "target": TARGET,
        "note": re.sub(r"\s+", " ", NOTE.format(keys=keys, rounds=rounds)),
    }


if __name__ == "__main__":
    print(json.dumps(child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
