"""The chart of the docs page, as SVG: server CPU time a command, and bytes a key, ours beside Redis's."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from benchmarks.kv.subjects import OURS, REDIS

WIDTH = 920
LEFT = 190
RIGHT = 80
BAR = 9
FONT = "font-family='Helvetica, Arial, sans-serif'"
COLORS = {1: "#9ecae1", 16: "#4292c6", 64: "#084594"}
OUR_COLOR = "#4292c6"
REDIS_COLOR = "#d0d0d0"
INK = "#222"
FAINT = "#777"


class Canvas:
    """SVG text as it grows downwards."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 0.0

    def text(
        self, x: float, y: float, s: str, size: int = 12, anchor: str = "start", color: str = INK, bold: bool = False
    ) -> None:
        style = f"font-size='{size}' text-anchor='{anchor}' fill='{color}'" + (" font-weight='bold'" if bold else "")
        self.parts.append(f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(s)}</text>")

    def box(self, x: float, y: float, w: float, h: float, color: str) -> None:
        self.parts.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(w, 0.5):.1f}' height='{h:.1f}' fill='{color}'/>")

    def rule(self, x: float, y0: float, y1: float, color: str = "#ccc", dash: str = "") -> None:
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        self.parts.append(f"<line x1='{x:.1f}' y1='{y0:.1f}' x2='{x:.1f}' y2='{y1:.1f}' stroke='{color}'{dashes}/>")

    def heading(self, title: str, note: str) -> None:
        self.y += 30
        self.text(20, self.y, title, 16, bold=True)
        self.y += 18
        self.text(20, self.y, note, 12, color=FAINT)
        self.y += 14

    def legend(self, entries: list[tuple[str, str]]) -> None:
        x = float(LEFT)
        self.y += 4
        for color, label in entries:
            self.box(x, self.y, 12, 12, color)
            self.text(x + 17, self.y + 10, label, 12)
            x += 30 + 7 * len(label)
        self.y += 24


def ratios(c: Canvas, figures: dict[str, Any]) -> None:
    """Bars of the CPU ratio, a group a command, one bar a depth; the line is Redis."""
    variant = figures["rows"][0]["variant"]
    rows = [r for r in figures["rows"] if r["variant"] == variant]
    names = list(dict.fromkeys(r["command"] for r in rows))
    depths = sorted({r["depth"] for r in rows})
    most = max(r["cpu_ratio"] for r in rows)
    scale = (WIDTH - LEFT - RIGHT) / most
    c.heading(
        "Commands a second of server CPU time, redis-server 7.0.15 = 1",
        "1,000,000 random keys, 16-byte values, 50 clients; P commands are sent at a time. Longer is better.",
    )
    c.legend([(COLORS[d], f"P={d}") for d in depths])
    top = c.y
    for name in [*names, "geometric mean"]:
        group = c.y
        for d in depths:
            if name == "geometric mean":
                chosen = [m["cpu_ratio"] for m in figures["means"] if m["variant"] == variant and m["depth"] == d]
            else:
                chosen = [r["cpu_ratio"] for r in rows if r["command"] == name and r["depth"] == d]
            for v in chosen:
                c.box(LEFT, c.y, v * scale, BAR, COLORS[d])
                c.text(LEFT + v * scale + 5, c.y + BAR - 0.5, f"{v:.1f}x", 10, color=FAINT)
            c.y += BAR + 1
        c.text(LEFT - 10, (group + c.y) / 2 + 4, name, 12, "end", bold=name == "geometric mean")
        c.y += 7
    c.rule(LEFT + scale, top - 4, c.y - 4, "#b22", "4 3")
    c.text(LEFT + scale, c.y + 8, "Redis", 11, "middle", "#b22")
    c.y += 16


def bytes_a_key(c: Canvas, figures: dict[str, Any]) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for r in figures["rows"]:
        rows.setdefault(r["row"], r)  # the smaller number of keys, as every row has it
    for kind, title in (("key", "Bytes a key"), ("element", "Bytes an element of a big collection")):
        chosen = [r for r in rows.values() if r["unit"] == kind]
        most = max(max(r[OURS]["used"], r[REDIS]["used"]) for r in chosen)
        scale = (WIDTH - LEFT - RIGHT) / most
        c.heading(title, "used_memory. Shorter is better.")
        if kind == "key":
            c.legend([(OUR_COLOR, "keepkv"), (REDIS_COLOR, "redis-server 7.0.15")])
        for r in chosen:
            group = c.y
            for who, color in ((OURS, OUR_COLOR), (REDIS, REDIS_COLOR)):
                v = r[who]["used"]
                c.box(LEFT, c.y, v * scale, BAR + 1, color)
                c.text(LEFT + v * scale + 5, c.y + BAR, f"{v:.0f}", 10, color=FAINT)
                c.y += BAR + 2
            c.text(LEFT - 10, (group + c.y) / 2 + 4, r["row"].replace(", with TTL", ", TTL"), 12, "end")
            c.y += 7


def draw(results: dict[str, Any]) -> str:
    """The chart of a run with the topics throughput and memory."""
    c = Canvas()
    ratios(c, results["throughput"])
    bytes_a_key(c, results["memory"])
    return svg(c)


def svg(c: Canvas) -> str:
    """The picture as a file's text, on white: pages may be dark."""
    height = c.y + 20
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:.0f}' "
        f"viewBox='0 0 {WIDTH} {height:.0f}' {FONT}>\n"
        f"<rect width='{WIDTH}' height='{height:.0f}' fill='white'/>\n" + "\n".join(c.parts) + "\n</svg>\n"
    )
