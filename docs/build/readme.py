"""Puts the measured figures of docs/benchmarks.json between the marks of README.md.

python docs/build/readme.py            writes them
python docs/build/readme.py --check    exit status 1 when the README is not what the file says
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "README.md"
FIGURES = ROOT / "docs" / "benchmarks.json"
MARKS = re.compile(r"(<!-- figures[^\n]*-->\n).*?(<!-- end -->)", re.S)

UNMEASURED = "**Figures**: `make bench` measures them on your machine, beside its own redis-server.\n"


def throughput(figures: dict[str, Any]) -> str:
    """The geometric means of one variant, and every command that does not reach Redis."""
    variant = figures["means"][0]["variant"]
    means = [m for m in figures["means"] if m["variant"] == variant]
    told = ", ".join(f"{m['cpu_ratio']:.1f} at {m['depth']}" for m in means)
    depths = f"{means[0]['depth']} to {means[-1]['depth']}"
    text = f"Redis's server CPU time a command, divided by ours, with pipelines of {depths} commands "
    text += f"({variant}, geometric mean): {told}"
    slower = [r for r in figures["rows"] if r["cpu_ratio"] < 1]
    if slower:
        named = ", ".join(f"{r['command']} at {r['depth']} ({r['variant']}): {r['cpu_ratio']:.2f}" for r in slower)
        text += f"; dearer than Redis: {named}"
    one = figures["latency"]
    return f"{text}. One client alone waits {one['ours_us']:.0f} us for a GET (Redis {one['redis_us']:.0f})"


def memory(figures: dict[str, Any]) -> str:
    row = figures["rows"][0]
    ours, redis = row["keepkv"]["used"], row["redis"]["used"]
    return f"A key such as `key:123` with 10 bytes takes {ours:.1f} bytes (Redis {redis:.1f})"


def pauses(figures: dict[str, Any]) -> str:
    start, end = (f"{figures[k] / 1e6:g}M" for k in ("start", "end"))
    return f"The worst SET from {start} to {end} keys took {figures['embedded']['worst_us'] / 1000:.2f} ms"


def embedded(figures: dict[str, Any]) -> str:
    get, put = (next(r for r in figures["rows"] if (r["operation"], r["keys"]) == (o, "bytes")) for o in ("get", "set"))
    return (
        f"In process, `get` takes {get['store_ns']:.0f} ns and `set` {put['store_ns']:.0f}, {get['multiple']:.1f} and "
        f"{put['multiple']:.1f} look-ups in a dict (redis-py over a unix socket: {get['redis_py_ns'] / 1000:.0f} us)"
    )


def threads(figures: dict[str, Any]) -> str:
    low, high = (f(100 * r["kept"] for r in figures["rows"]) for f in (min, max))
    return f"A server keeps {low:.0f} to {high:.0f} % of its rate beside a Python thread that loops on the same store"


TOPICS = {"throughput": throughput, "memory": memory, "pauses": pauses, "embedded": embedded, "threads": threads}


def wrapped(text: str) -> str:
    """Lines of at most 120 characters."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > 119:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines) + "\n"


def figures() -> str:
    if not FIGURES.is_file():
        return UNMEASURED
    measured = json.loads(FIGURES.read_text(encoding="utf-8"))
    where = measured["machine"]
    machine = f"{where['redis']} beside it, {where['cpus']} CPUs, Python {where['python']}"
    head = f"**Figures** ({machine}; [all](docs/benchmarks.md))."
    sentences = [f"{tell(measured[topic])}." for topic, tell in TOPICS.items() if topic in measured]
    return "![server CPU time a command, and bytes a key](docs/benchmarks.svg)\n\n" + wrapped(
        " ".join([head, *sentences])
    )


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    text = MARKS.sub(lambda m: m[1] + figures() + m[2], page)
    if "--check" in sys.argv[1:]:
        if text == page and MARKS.search(page):
            return 0
        print(f"{PAGE} is not what {FIGURES} says: run python {Path(__file__).relative_to(ROOT)}", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
