"""What is known of the 366 commands and subcommands of Redis 7.0.15: one module a Redis group, one row a command.

The facts (versions, arity, flags, categories, key positions, arguments) are those that redis-server 7.0.15 answers to
COMMAND, COMMAND INFO and COMMAND DOCS; the words are ours.  The form of a row is described in libkv.commands.facts.row.
"""

from collections.abc import Iterator

from libkv.commands.facts import (
    bitmap,
    cluster,
    connection,
    generic,
    geo,
    hash,
    hyperloglog,
    list,
    pubsub,
    scripting,
    server,
    server_containers,
    set,
    sorted_set,
    stream,
    string,
    transactions,
)
from libkv.commands.facts.row import Row, arguments, key_specs

GROUPS = (
    generic, string, list, set, hash, sorted_set, bitmap, hyperloglog, geo, stream,
    pubsub, transactions, scripting, connection, server, server_containers, cluster,
)  # fmt: skip

__all__ = ["GROUPS", "Row", "arguments", "key_specs", "rows"]


def rows() -> Iterator[tuple[str, Row]]:
    """All rows, as (group, row); a container comes directly before its subcommands."""
    for module in GROUPS:
        for row in module.ROWS:
            yield module.GROUP, row
