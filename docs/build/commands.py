"""Prints docs/commands.md from the command table.

python docs/build/commands.py            writes the page
python docs/build/commands.py --check    exit status 1 when the page is not what the table says
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from libkv.commands.facts import rows  # noqa: E402  # its package binds the functions and seals the table
from libkv.commands.facts.row import Row, arguments  # noqa: E402
from libkv.engine.registry import commands_bound  # noqa: E402

PAGE = ROOT / "docs" / "commands.md"

HEAD = """\
# Commands

{served} of the {all} commands of Redis 7.0.15 (subcommands counted, their bare containers not) are here, with every
option. What is not is listed at the end, and gets Redis's own answer to an unknown command. Each is reached by the
method of redis-py's name, by `store.execute_command("NAME", ...)`, and over the wire.

*Complexity* says how the work grows. A command runs to its end under its store's lock, so one with much to do makes
everybody else wait, as it does with Redis. The last column says where that can happen: *call*: the work grows with the
number of arguments or elements that the call names; **data**: it grows with what is stored. The others are bounded, or
grow with a logarithm. What a deleted value occupied is given back in slices between commands, so that DEL of a large
collection makes nobody wait, and neither do UNLINK and FLUSHDB and FLUSHALL with ASYNC. SCAN and its relatives do a
bounded piece of work a call, set by COUNT.

This page is printed from `libkv/commands/facts` and the compiled command table by `docs/build/commands.py`.
"""

TITLES = {
    "generic": "Keys of any type",
    "string": "Strings",
    "list": "Lists",
    "set": "Sets",
    "sorted-set": "Sorted sets",
    "hash": "Hashes",
    "bitmap": "Bitmaps",
    "hyperloglog": "HyperLogLog",
    "transactions": "Transactions",
    "connection": "Connection",
    "server": "Server",
    "pubsub": "Publish and subscribe",
    "stream": "Streams",
    "geo": "Positions",
    "scripting": "Scripts and functions",
    "cluster": "Cluster",
}
# How a command's complexity begins when it doesn't grow with the data
BOUNDED = ("O(1)", "O(log N)", "n/a", "depends on", "as its subcommands", "that of")
# Their N is worked off in slices afterwards, or is the caller's own queue
UNFELT = ("shutdown", "discard", "unlink")
# Their N is how much the call names
BY_CALL = """
del exists touch mget mset msetnx lpush lpushx rpush rpushx lpop rpop lmpop sadd srem smismember spop srandmember
hset hmset hdel hmget hrandfield zadd zrem zmscore zpopmin zpopmax zmpop zrandmember pfadd pfcount pfmerge bitfield
bitfield_ro watch auth setrange command|getkeys command|getkeysandflags command|info command|docs config|get
config|set slowlog|get memory|usage
"""


def usage(argument: dict[str, Any]) -> str:
    """One argument as the usual notation writes it: [optional], a | b, several ..."""
    kind, token = argument["type"], argument.get("token")
    inner = [usage(a) for a in argument.get("arguments", ())]
    if kind == "oneof":
        text = " | ".join(inner)
    elif kind == "block":
        text = " ".join(inner)
    elif kind == "pure-token":
        text = ""
    else:
        text = argument["name"]
    flags = argument.get("flags", [])
    optional, several = "optional" in flags, "multiple" in flags
    if kind == "oneof" and not optional and (several or token or len(inner) > 1):
        text = f"<{text}>"
    once = f"{token or ''} {text}".strip()
    if several:
        again = once if "multiple_token" in flags or kind == "pure-token" else text
        once = f"{once} [{again} ...]"
    return f"[{once}]" if optional else once


def form(row: Row) -> str:
    """The command line of a row."""
    return " ".join([row.name.upper().replace("|", " "), *(usage(a) for a in arguments(row))])


def grows(row: Row) -> str:
    """What the work grows with: "call", "**data**", or "" for nothing that matters."""
    if row.name in UNFELT or not row.complexity:
        return ""
    if row.name in BY_CALL.split():
        return "call"
    return "" if row.complexity.startswith(BOUNDED) else "**data**"


def line(row: Row) -> str:
    """A row of a group's table."""
    summary = row.summary
    if row.deprecated:
        summary += f" (deprecated since {row.deprecated[0]}: use {row.deprecated[1].replace('`!', '`')})"
    cells = (f"`{form(row)}`", summary, row.complexity, grows(row))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def page() -> str:
    """The whole page."""
    served = set(commands_bound())
    table = list(rows())
    containers = {row.name.partition("|")[0] for _, row in table if "|" in row.name} - served
    table = [(group, row) for group, row in table if row.name not in containers]
    count = sum(row.name in served for _, row in table)
    parts = [HEAD.format(served=count, all=len(table))]
    missing: dict[str, list[str]] = {}
    for group, title in TITLES.items():
        mine = sorted((row for at, row in table if at == group), key=lambda row: row.name)
        here = [row for row in mine if row.name in served]
        missing[group] = [row.name.upper().replace("|", " ") for row in mine if row.name not in served]
        if here:
            parts.append(f"\n## {title}\n\n| command | what it does | complexity | grows with |\n|---|---|---|---|\n")
            parts += map(line, here)
    parts.append("\n## Not here\n\n| group | commands of Redis 7.0.15 |\n|---|---|\n")
    parts += [f"| {TITLES[group]} | {', '.join(names)} |\n" for group, names in missing.items() if names]
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
