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
option{rest}. Each is reached by the method of redis-py's name, by `store.execute_command("NAME", ...)`, and over the
wire.

*Complexity* says how the work grows. A command runs to its end under its store's lock, so one with much to do makes
everybody else wait, as it does with Redis. The last column says where that can happen: *call*: the work grows with the
number of arguments or elements that the call names; **data**: it grows with what is stored. The others are bounded, or
grow with a logarithm. What a deleted value occupied is given back in slices between commands, so that DEL of a large
collection makes nobody wait, and neither do UNLINK and FLUSHDB and FLUSHALL with ASYNC. SCAN and its relatives do a
bounded piece of work a call, set by COUNT.

*Since* is the version of Redis that brought the command. Replies, errors and effects are those of redis-server 7.0.15
wherever a client can see them; what differs, and why, stands under [Where they differ](#where-they-differ).

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
geoadd geohash geopos latency|histogram latency|reset
del exists touch mget mset msetnx lpush lpushx rpush rpushx lpop rpop lmpop sadd srem smismember spop srandmember
hset hmset hdel hmget hrandfield zadd zrem zmscore zpopmin zpopmax zmpop zrandmember pfadd pfcount pfmerge bitfield
bitfield_ro watch auth setrange command|getkeys command|getkeysandflags command|info command|docs config|get
config|set slowlog|get memory|usage
"""


#: Names of rows, what a client sees that redis-server 7.0.15 does not answer, and the reason.
DIFFERENCES: tuple[tuple[str, str, str], ...] = (
    (
        "replicaof slaveof psync sync replconf",
        "REPLICAOF of a host, PSYNC and SYNC are refused; what a replica tells about itself is checked and forgotten",
        "a store has no replication yet",
    ),
    (
        "module|load module|loadex module|unload",
        "no module can be loaded",
        "modules are compiled for redis-server alone",
    ),
    (
        "script|debug",
        "YES and SYNC are refused",
        "there is no debugger",
    ),
    (
        "debug",
        "what crashes, restarts or leaks on purpose is left out, and so are AOF-FLUSH-SLEEP, CHANGE-REPL-ID, "
        "DROP-CLUSTER-PACKET-FILTER and MALLCTL; REPLYBUFFER and QUICKLIST-PACKED-THRESHOLD are checked and change "
        "nothing; SET-SKIP-CHECKSUM-VALIDATION is about RESTORE alone; insides are our own",
        "a store is a guest in its process, and laid out differently",
    ),
    (
        "subscribe psubscribe exec",
        "a message that a client's own command brings it comes behind the reply, never between the reply's elements",
        "redis-server puts it into the middle of the array, where no client can read it",
    ),
    (
        "shutdown",
        "ends the server, never the process; refused by a store that nobody serves",
        "a store is a guest in its process",
    ),
    (
        "client|list client|kill",
        "a client of the network does not see the sessions of the process itself; an embedded one sees itself as well",
        "they have no address",
    ),
    (
        "memory|usage memory|stats memory|malloc-stats memory|doctor",
        "figures and advice are our own",
        "memory is laid out differently",
    ),
    (
        "info latency|histogram",
        "times are counted in nanoseconds, so percentiles below a microsecond are told; fields about jemalloc repeat "
        "the heap's own figure",
        "nothing is gained by rounding first",
    ),
    ("latency|doctor", "advises in our own words; the lines of figures are the same", "prose is not a protocol"),
    ("lolwut", "answers with the version alone", "art is not a protocol"),
    (
        "sort sort_ro",
        "an overflow in an earlier command does not make a number invalid",
        "in redis-server errno is kept from one command to the next",
    ),
    (
        "command|docs",
        "summaries and complexities are our own words; the order of commands is the table's",
        "theirs is the order of a hash table",
    ),
    (
        "keys scan sscan hscan zscan smembers sunion sinter sdiff hgetall hkeys hvals randomkey srandmember spop",
        "the order of large sets and hashes and of keys, cursors, and what is drawn by lot",
        "Redis leaves them open, too",
    ),
    ("object|freq", "the counter grows by lot", "it does in Redis, too"),
    (
        "acl|help client|help command|help function|help latency|help memory|help module|help object|help pubsub|help "
        "script|help xgroup|help xinfo|help",
        "explain in our own words",
        "the same subcommands are named",
    ),
)


#: What is to be said of a whole group.
NOTES = {
    "cluster": """\
A store is not part of a cluster: each of these answers that cluster support is disabled, as redis-server does without
`cluster-enabled`.

""",
}


def differing() -> set[str]:
    """The rows that DIFFERENCES is about."""
    return {name for names, _, _ in DIFFERENCES for name in names.split()}


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
    once = f"{token or ''} {text}".strip() or '""'
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


def line(row: Row, group: str) -> str:
    """A row of a group's table."""
    summary = row.summary
    if row.deprecated:
        summary += f" (deprecated since {row.deprecated[0]}: use {row.deprecated[1].replace('`!', '`')})"
    mark = " (differs)" if row.name in differing() else ""
    cells = (f"`{form(row)}`{mark}", summary, row.since, row.complexity, grows(row) if group not in NOTES else "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def page() -> str:
    """The whole page."""
    served = set(commands_bound())
    table = list(rows())
    containers = {row.name.partition("|")[0] for _, row in table if "|" in row.name} - served
    table = [(group, row) for group, row in table if row.name not in containers]
    count = sum(row.name in served for _, row in table)
    parts = [
        HEAD.format(
            served=count,
            all=len(table),
            rest="" if count == len(table) else "; the others are listed at the end, and answered as unknown commands",
        )
    ]
    missing: dict[str, list[str]] = {}
    for group, title in TITLES.items():
        mine = sorted((row for at, row in table if at == group), key=lambda row: row.name)
        here = [row for row in mine if row.name in served]
        missing[group] = [row.name.upper().replace("|", " ") for row in mine if row.name not in served]
        if here:
            parts.append(f"\n## {title}\n\n{NOTES.get(group, '')}")
            parts.append("| command | what it does | since | complexity | grows with |\n|---|---|---|---|---|\n")
            parts += [line(row, group) for row in here]
    unknown = differing() - {row.name for _, row in rows()}
    assert not unknown, f"no such commands: {unknown}"
    parts.append("\n## Where they differ\n\n| commands | how | why |\n|---|---|---|\n")
    for names, how, why in DIFFERENCES:
        listed = ", ".join(name.upper().replace("|", " ") for name in names.split())
        parts.append(f"| {listed} | {how} | {why} |\n")
    if any(missing.values()):
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
