"""The chart of docs/persistence.md, as SVG: what each setting of the journal costs, and saving and loading, ours beside
Redis's."""

from __future__ import annotations

from typing import Any

from benchmarks.kv.chart import FAINT, LEFT, OUR_COLOR, REDIS_COLOR, RIGHT, WIDTH, Canvas, svg
from benchmarks.kv.subjects import OURS, REDIS

NAMES = {"no journal": "appendonly no"}
LABEL = 70  # room behind the longest bar for its figure
Pair = tuple[str, float, float]  # name, ours, redis-server's


def bars(c: Canvas, pairs: list[Pair], form: str) -> None:
    """Two bars a pair, all on one scale."""
    scale = (WIDTH - LEFT - RIGHT - LABEL) / max(max(ours, redis) for _, ours, redis in pairs)
    for name, ours, redis in pairs:
        top = c.y
        for v, color in ((ours, OUR_COLOR), (redis, REDIS_COLOR)):
            c.box(LEFT, c.y, v * scale, 10, color)
            c.text(LEFT + v * scale + 5, c.y + 9, form.format(v), 10, color=FAINT)
            c.y += 12
        c.text(LEFT - 10, (top + c.y) / 2 + 3, name, 12, "end")
        c.y += 7


def shares(c: Canvas, pairs: list[Pair]) -> None:
    """Two bars a pair, Redis's as long as the chart is wide, with the seconds behind them."""
    width = WIDTH - LEFT - RIGHT - LABEL
    most = max(1.0, *(ours / redis for _, ours, redis in pairs))
    for name, ours, redis in pairs:
        top = c.y
        for v, color in ((ours, OUR_COLOR), (redis, REDIS_COLOR)):
            share = v / redis / most
            c.box(LEFT, c.y, width * share, 10, color)
            c.text(LEFT + width * share + 5, c.y + 9, f"{v:.2f} s", 10, color=FAINT)
            c.y += 12
        c.text(LEFT - 10, (top + c.y) / 2 + 3, name, 12, "end")
        c.y += 7


def settings(c: Canvas, rows: list[dict[str, Any]]) -> None:
    legend = [(OUR_COLOR, "keepkv"), (REDIS_COLOR, "redis-server 7.0.15")]
    many = [r for r in rows if r["depth"] > 1]
    c.heading(
        "Nanoseconds of the server's CPU time a SET",
        f"10-byte values, random keys, 50 clients that send {many[0]['depth']} SETs at a time. Shorter is better.",
    )
    c.legend(legend)
    bars(c, [named(r, "cpu_ns") for r in many], "{:,.0f}")
    for depth in sorted({r["depth"] for r in rows}):
        disk = next(r["fsync_us"] for r in rows if r["depth"] == depth and r["mode"] == "always")
        c.heading(
            f"SETs a second, {together(depth)}",
            f"50 clients; a write to the disk and its fsync take {disk:.0f} us (always). Longer is better.",
        )
        bars(c, [named(r, "rate") for r in rows if r["depth"] == depth], "{:,.0f}")
    c.heading("fsyncs of 1,000 SETs, appendfsync always", "50 clients share them. Shorter is better.")
    chosen = [r for r in rows if r["mode"] == "always"]
    bars(c, [(together(r["depth"]), r[f"{OURS}_fsyncs"], r[f"{REDIS}_fsyncs"]) for r in chosen], "{:.1f}")


def together(depth: int) -> str:
    return "one at a time" if depth == 1 else f"{depth} at a time"


def named(r: dict[str, Any], what: str) -> Pair:
    return NAMES.get(r["mode"], f"appendfsync {r['mode']}"), r[f"{OURS}_{what}"], r[f"{REDIS}_{what}"]


def files(c: Canvas, rdb: dict[str, Any], loading: dict[str, Any]) -> None:
    c.heading(
        "Saving and loading",
        "Seconds of the server's CPU time, drawn as shares of redis-server's. Shorter is better.",
    )
    data = {row["name"]: f"{max(row[f'{OURS}_bytes'], row[f'{REDIS}_bytes']) / 2**20:.0f} MB" for row in rdb["rows"]}
    pairs = [
        (f"{what} {data[row['name']]} dump.rdb", row[f"{what}_{OURS}"], row[f"{what}_{REDIS}"])
        for row in rdb["rows"]
        for what in ("save", "load")
    ]
    pairs.append((f"load {loading['keys'] / 1e6:g} M SETs (AOF)", loading[OURS], loading[REDIS]))
    shares(c, pairs)
    c.y += 4
    for row in rdb["rows"]:
        c.text(LEFT, c.y + 8, f"{data[row['name']]}: {row['name']}", 11, color=FAINT)
        c.y += 15


def draw(results: dict[str, Any]) -> str:
    """The chart of a run with the topics journal and rdb."""
    c = Canvas()
    settings(c, results["journal"]["modes"])
    files(c, results["rdb"], results["journal"]["loading"])
    return svg(c)
