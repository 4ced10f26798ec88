"""Prints docs/configuration.md from the table of directives.

python docs/build/configuration.py            writes the page
python docs/build/configuration.py --check    exit status 1 when the page is not what the table says
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from libkv.engine.directives import DIRECTIVES, FILE_WORDS, Directive  # noqa: E402

PAGE = ROOT / "docs" / "configuration.md"

HEAD = """\
# Configuration

The server takes redis-server's configuration: a `redis.conf`, `-` for standard input, and options on the command line
(`--port 7000 --save ""`), the last one winning. A store inside an application takes the same directives as keyword
arguments, with `_` for `-`. At run time they are read and changed with `CONFIG GET` and `CONFIG SET`, and written
back to the file with `CONFIG REWRITE`.

Every directive of Redis 7.0.15 is accepted, checked, kept and shown. One that does nothing here says why in the last
column; when a configuration sets it to other than its default, the server logs that once at start.

Sizes are bytes, or take a unit: `1k` is 1000, `1kb` 1024, and so on with `m`, `mb`, `g`, `gb`. *start* means that the
directive can only be given in the file or on the command line.

This page is printed from `libkv/engine/directives.py` by `docs/build/configuration.py`.
"""

KINDS = {
    "bool": "yes, no",
    "octal": "octal number",
    "percent": "size, or percent of maxmemory",
    "string": "text",
    "save": "pairs of seconds and changes",
    "output-limit": "class, hard, soft, seconds",
    "oom-values": "three numbers, -2000 to 2000",
    "percentiles": "numbers, 0 to 100",
    "bind": "up to 16 addresses",
    "events": "letters of `Ag$lshzxeKEtmdn`",
    "dir": "directory",
    "replicaof": "host and port",
    "title": "text with {title}, {listen-addr}, {server-mode}, {port}, {tls-port}, {unixsocket}, {config-file}",
    "hostname": "host name",
    "filename": "file name without a path",
    "defrag": "no",
}
LARGEST = {2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1}


def size(number: int) -> str:
    """A number of bytes in the largest unit that divides it."""
    for unit, name in ((1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")):
        if number and number % unit == 0:
            return f"{number // unit}{name}"
    return str(number)


def values(row: Directive) -> str:
    """What a value may be."""
    if row.kind in ("enum", "flags"):
        return ", ".join(row.words)
    if row.kind in ("integer", "memory"):
        form = size if row.kind == "memory" else str
        word = "size" if row.kind == "memory" else "number"
        if row.low == -(2**31):
            return word
        return f"{word} from {form(row.low)}" + ("" if row.high in LARGEST else f" to {form(row.high)}")
    return KINDS[row.kind]


def line(row: Directive) -> str:
    """A row of the page's table."""
    name = f"`{row.name}`" + (f" (also `{row.alias}`)" if row.alias else "")
    default = size(int(row.default)) if row.kind == "memory" else row.default
    when = "start" if row.immutable else "needs enable-protected-configs" if row.protected else ""
    effect = f"no effect: {row.no_effect}" if row.no_effect else ""
    cells = (name, f"`{default}`" if default else "", values(row), when, row.about, effect)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for section in dict.fromkeys(row.section for row in DIRECTIVES):
        parts.append(f"\n## {section}\n\n| directive | default | values | changed at | what it does | effect |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts += [line(row) + "\n" for row in DIRECTIVES if row.section == section]
    parts.append("\n## Words of the file that are no settings\n\n| word | arguments | what it does | effect |\n")
    parts.append("|---|---|---|---|\n")
    for word in FILE_WORDS:
        effect = f"no effect: {word.no_effect}" if word.no_effect else ""
        parts.append(f"| `{word.name}` | {word.arguments} | {word.about} | {effect} |\n")
    return "".join(parts)


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} is not what the table says: run python {Path(__file__).relative_to(ROOT)}", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
