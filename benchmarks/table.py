"""A table of figures: one form for the terminal and for the docs page."""

from __future__ import annotations

from dataclasses import dataclass


class Missing(Exception):
    """Something that a benchmark needs is not there; the text names it."""


@dataclass(frozen=True)
class Table:
    """title, a sentence on how to read it, column names, and rows of text."""

    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def plain(table: Table) -> str:
    """For the terminal: columns aligned, numbers to the right."""
    cells = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]

    def line(row: list[str]) -> str:
        parts = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(parts).rstrip()

    text = [table.title, "=" * len(table.title)]
    if table.note:
        text.append(table.note)
    return "\n".join([*text, "", line(table.columns), "  ".join("-" * w for w in widths), *map(line, table.rows), ""])


def markdown(table: Table) -> str:
    def line(row: list[str]) -> str:
        return "| " + " | ".join(row) + " |"

    rule = line(["---", *(["---:"] * (len(table.columns) - 1))])
    parts = [f"## {table.title}", ""]
    if table.note:
        parts += [table.note, ""]
    return "\n".join([*parts, line(table.columns), rule, *map(line, table.rows), ""])
