"""python -m benchmarks [names...] [--quick] [--output FOLDER]: ours beside the real thing, on this machine, now.

libkv beside redis-server: throughput commands memory pauses embedded threads rdb journal split; libvrrp beside
keepalived: outage many busy; libipvs beside ipvsadm and haproxy: kernel_table many_checks proxy_plane. All of them by
default. --quick takes some minutes, leaves out split (which builds the core anew) unless it is named, and shows the
figures only; the whole takes about three quarters of an hour and writes benchmarks.json, benchmarks.svg, benchmarks.md
and persistence.svg (the chart of persistence.md) to docs/. With names, the other topics keep the figures that the JSON
file has.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.kv import chart, durability_chart
from benchmarks.kv.subjects import ROOT
from benchmarks.kv.tables import TABLES
from benchmarks.table import Missing, Table, markdown, plain

TOPICS = {
    **{name: f"benchmarks.kv.{name}" for name in TABLES},
    "outage": "benchmarks.vrrp.outage",
    "many": "benchmarks.vrrp.many",
    "busy": "benchmarks.vrrp.busy",
    "kernel_table": "benchmarks.ipvs.kernel_table",
    "many_checks": "benchmarks.ipvs.many_checks",
    "proxy_plane": "benchmarks.ipvs.proxy_plane",
}

INTRODUCTION = """\
# Benchmarks

`make bench` writes this page from `benchmarks.json`. Ours and the real thing run in the same minutes on the same
machine. libkv and redis-server: in default configuration but for saving, the server on CPU 0, the load from CPU 1,
rounds interleaved, each figure the median of its rounds. What counts is the server's CPU time a command: other
processes of the machine disturb it least.

Machine: {cpu}, {cpus} CPUs, Linux {kernel}, Python {python}, {redis}; {when}, load average before the run {load}.

![chart](benchmarks.svg)

"""


def machine() -> dict[str, Any]:
    model = next(
        (
            x.split(":", 1)[1].strip()
            for x in Path("/proc/cpuinfo").read_text().splitlines()
            if x.startswith("model name")
        ),
        platform.machine(),
    )
    program = shutil.which("redis-server")
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout if program else ""
    release = next((w[2:] for w in text.split() if w.startswith("v=")), "missing")
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "redis": f"redis-server {release}",
        "when": time.strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 2),
    }


def page(results: dict[str, Any]) -> str:
    found = [t for name in TOPICS if name in results for t in tables_of(name, results[name])]
    return INTRODUCTION.format(**results["machine"]) + "\n".join(map(markdown, found))


def tables_of(name: str, figures: dict[str, Any]) -> list[Table]:
    make = TABLES.get(name) or importlib.import_module(TOPICS[name]).tables
    found: list[Table] = make(figures)
    return found


def write(folder: Path, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "benchmarks.json"
    if file.exists():
        results = {**json.loads(file.read_text()), **results}
    results = rounded(results)
    file.write_text(json.dumps(results, indent=1) + "\n")
    if {"journal", "rdb"} <= set(results):
        (folder / "persistence.svg").write_text(durability_chart.draw(results))
        print(f"written: {folder}/persistence.svg")
    if not {"throughput", "memory"} <= set(results):
        print(f"written: {file}; the page and its chart need throughput and memory as well")
        return
    (folder / "benchmarks.svg").write_text(chart.draw(results))
    (folder / "benchmarks.md").write_text(page(results))
    print(f"written: {folder}/benchmarks.json, .svg, .md")


def rounded(v: Any) -> Any:
    """Four digits are more than any of the figures deserves."""
    if isinstance(v, float):
        return float(f"{v:.4g}")
    if isinstance(v, dict):
        return {k: rounded(x) for k, x in v.items()}
    return [rounded(x) for x in v] if isinstance(v, list) else v


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=" ".join(TOPICS))
    parser.add_argument(
        "--quick", action="store_true", help="about two minutes; nothing is written unless --output says where"
    )
    parser.add_argument("--output", type=Path, help="folder for benchmarks.json, .svg and .md (docs, without --quick)")
    options = parser.parse_args()
    unknown = [n for n in options.names if n not in TOPICS]
    if unknown:
        parser.error(f"no topic {unknown[0]}: there are {', '.join(TOPICS)}")
    results: dict[str, Any] = {"machine": machine()}
    cpus = os.sched_getaffinity(0)
    status = 0
    for name in options.names or [n for n in TOPICS if n != "split" or not options.quick]:
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        try:
            results[name] = importlib.import_module(TOPICS[name]).run(options.quick)
        except Missing as error:
            print(f"{name} left out: {error}\n")
            continue
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            # what the others have measured is not lost for it
            print(f"{name} failed: {error}\n", file=sys.stderr)
            status = 1
            continue
        finally:
            os.sched_setaffinity(0, cpus)
        print(f"{name}: {time.monotonic() - began:.0f} s\n")
        for table in tables_of(name, results[name]):
            print(plain(table), flush=True)
    folder = options.output or (None if options.quick else ROOT / "docs")
    if folder is not None and len(results) > 1:
        write(folder, results)
    return status


if __name__ == "__main__":
    sys.exit(main())
