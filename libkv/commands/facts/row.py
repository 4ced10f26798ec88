"""One row of the command table: what is known of a command of Redis 7.0.15 besides its code.

    Row("getex", "6.2.0", -2, "write fast", "@write @string @fast",
        "summary", "complexity",
        keys=[...], tips="...", history=[...], doc="...", deprecated=(...), args="...")

- The name of a subcommand is "container|word".  A row's order: name, version that brought it, arity (the command's own
  words counted; negative: at least), flags, ACL categories, summary, complexity ("" = not told).
- `keys`: key specifications, one string each: flags, then where the first key is, then which keys follow, then a note.

      RO access @1                        the argument 1
      RM delete @1 range -1 1             from the argument 1 to the last (-1), every one; "range LAST STEP [LIMIT]"
      RO access @2 keynum 0 1 1           at 2 + 0 how many, from 2 + 1 on, every one; "keynum NUMBER FIRST STEP"
      RO access keyword STREAMS 1 ...     after STREAMS, found from 1 on (negative: backwards from the end)
      RO access unknown                   only the command's own parser knows
      RW access @1 # note

- `history`: "version what changed".  `doc`: documentation flags.  `deprecated`: version, and what to use instead.
- `args`: the arguments, one word each, the parts in this order and all but the name optional:

      name:type@spec="TOKEN"?*^since~deprecated(inner arguments)

  The type defaults to "string", or "pure-token" where there is a token; it follows the last colon of the name.  `@`:
  the key specification; `?`: optional; `*`: may repeat; `+`: may repeat, and the token with it.

The strings stay as they are until somebody asks: the compiled table reads them itself, and `key_specs()` and
`arguments()` read them for tests and documentation.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

KEY_FLAGS = ("RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags")

_ARGUMENT = r"""
    \s* (?P<head>[^\s()"=@?*+^~]+)
    (?: @ (?P<spec>\d+) )?
    (?: =" (?P<token>[^"]*) " )?
    (?P<optional>\?)? (?P<multiple>[*+])?
    (?: \^ (?P<since>[\d.]+) )?
    (?: ~ (?P<deprecated>[\d.]+) )?
    (?P<open>\()?
    """


class Row(NamedTuple):
    """The facts of one command or subcommand; the module's docstring says what each field holds."""

    name: str
    since: str
    arity: int
    flags: str
    acl: str
    summary: str
    complexity: str
    keys: Sequence[str] = ()
    tips: str = ""
    history: Sequence[str] = ()
    doc: str = ""
    deprecated: tuple[str, str] | None = None
    args: str = ""


def key_specs(row: Row) -> list[dict[str, Any]]:
    """The key specifications of a row, in the shape of COMMAND INFO's eighth field.

    Each has "flags" (a list), "begin_search" and "find_keys" (each {"type": ..., "spec": {...}}), and perhaps "notes".
    """
    return [_key_spec(text) for text in row.keys]


def _key_spec(text: str) -> dict[str, Any]:
    text, _, notes = text.partition(" # ")
    words = text.split(" ")
    n = next(i for i, word in enumerate(words) if word not in KEY_FLAGS)
    flags, rest = words[:n], words[n:]
    find: dict[str, Any] = {"type": "range", "spec": {"lastkey": 0, "keystep": 1, "limit": 0}}
    if rest[0] == "unknown":
        begin: dict[str, Any] = {"type": "unknown", "spec": {}}
        find = {"type": "unknown", "spec": {}}
        rest = rest[1:]
    elif rest[0] == "keyword":
        begin = {"type": "keyword", "spec": {"keyword": rest[1], "startfrom": int(rest[2])}}
        rest = rest[3:]
    else:
        begin = {"type": "index", "spec": {"index": int(rest[0].removeprefix("@"))}}
        rest = rest[1:]
    if rest:
        names = {"range": ("lastkey", "keystep", "limit"), "keynum": ("keynumidx", "firstkey", "keystep")}[rest[0]]
        numbers = [*map(int, rest[1:]), 0][:3]
        find = {"type": rest[0], "spec": dict(zip(names, numbers, strict=True))}
    spec = {"flags": flags, "begin_search": begin, "find_keys": find}
    return {"notes": notes, **spec} if notes else spec


def arguments(row: Row) -> list[dict[str, Any]]:
    """The arguments of a row, in the shape of COMMAND DOCS's "arguments"."""
    found, at = _arguments(row.args, 0)
    if at != len(row.args):
        raise ValueError(f"{row.name}: the arguments are not understood from {row.args[at:]!r} on")
    return found


def _arguments(text: str, at: int) -> tuple[list[dict[str, Any]], int]:
    """Reads arguments up to the end or the closing parenthesis; returns them and where that is."""
    found: list[dict[str, Any]] = []
    argument_at = re.compile(_ARGUMENT, re.VERBOSE).match  # compiled when it is wanted: importing libkv does without
    while m := argument_at(text, at):
        at = m.end()
        name, colon, kind = m["head"].rpartition(":")
        if not colon:
            name, kind = kind, "string" if m["token"] is None else "pure-token"
        argument: dict[str, Any] = {"name": name, "type": kind}
        if m["spec"]:
            argument["key_spec_index"] = int(m["spec"])
        if m["token"] is not None:
            argument["token"] = m["token"]
        if m["since"]:
            argument["since"] = m["since"]
        if m["deprecated"]:
            argument["deprecated_since"] = m["deprecated"]
        if flags := list(_argument_flags(m["optional"], m["multiple"])):
            argument["flags"] = flags
        if m["open"]:
            argument["arguments"], at = _arguments(text, at)
            if text[at : at + 1] != ")":
                raise ValueError(f"a parenthesis is not closed: {text!r}")
            at += 1
        found.append(argument)
    return found, at


def _argument_flags(optional: str | None, multiple: str | None) -> Iterator[str]:
    if optional:
        yield "optional"
    if multiple:
        yield "multiple"
    if multiple == "+":
        yield "multiple_token"
