"""COMMAND and its subcommands beside redis-server: every row we have, in RESP2 and RESP3."""

from __future__ import annotations

from typing import Any

import pytest

import libkv.commands  # noqa: F401  (binds the commands)
from libkv.engine.registry import commands_bound
from tests.resp import parse

WORDS = (b"summary", b"complexity")  # ours are our own
OURS = set(commands_bound()) | {name.split("|")[0] for name in commands_bound()}


@pytest.fixture(params=[2, 3])
def both(request, pair):
    if request.param == 3:
        pair.resp3()
    return pair


def elements(reply: Any) -> Any:
    """An aggregate's elements, whatever its type: sets and maps are marked in RESP3."""
    return reply[1] if isinstance(reply, tuple) else reply


def pairs(reply: Any) -> dict[Any, Any]:
    items = elements(reply)
    return dict(zip(items[::2], items[1::2], strict=True))


def row(info: Any) -> Any:
    """A row of COMMAND without the subcommands that we don't have, those left sorted by name."""
    if info is None:
        return None
    mark = info[9][0] if isinstance(info[9], tuple) else "*"
    inner = [row(sub) for sub in elements(info[9]) if sub[0].decode() in OURS]
    return [*info[:9], mark if inner else None, sorted(inner, key=lambda sub: sub[0])]


def docs(reply: Any) -> Any:
    """A value of COMMAND DOCS without our own words, and without the subcommands that we don't have."""
    told = []
    for field, value in pairs(reply).items():
        if field in WORDS:
            value = bool(value)
        elif field == b"history":
            value = [type(value), [entry[0] for entry in elements(value)]]
        elif field == b"subcommands":
            value = {name: docs(sub) for name, sub in pairs(value).items() if name.decode() in OURS}
            if not value:
                continue
        told.append((field, value))
    return [isinstance(reply, tuple), told]


@pytest.mark.parametrize("command", ["COMMAND", "COMMAND INFO"])
def test_rows(both, command):
    theirs, ours = (parse(reply)[0] for reply in both.both(*command.split()))
    theirs = {info[0]: row(info) for info in theirs if info[0].decode() in OURS}
    ours = {info[0]: row(info) for info in ours}
    assert {name.decode() for name in ours} == {name for name in OURS if "|" not in name}
    for name in ours:
        assert ours[name] == theirs[name]


def test_rows_by_name(both):
    for name in sorted(OURS):
        for spelled in (name, name.upper()):
            theirs, ours = (parse(reply)[0] for reply in both.both("COMMAND", "INFO", spelled))
            assert [row(info) for info in ours] == [row(info) for info in theirs]
    both.same("COMMAND", "INFO", "nosuch", "", "get|x", "config|", "|get", "command|docs|x")


def test_rows_without_subcommands_byte_for_byte(both):
    containers = {name.split("|")[0] for name in OURS if "|" in name}
    for name in sorted(OURS - containers):
        both.same("COMMAND", "INFO", name, name)


def test_docs(both):
    theirs, ours = (pairs(parse(reply)[0]) for reply in both.both("COMMAND", "DOCS"))
    assert {name.decode() for name in ours} == {name for name in OURS if "|" not in name}
    for name, told in ours.items():
        assert docs(told) == docs(theirs[name])
        assert pairs(told)[b"summary"] != pairs(theirs[name])[b"summary"]


def test_docs_by_name(both):
    for name in sorted(OURS):
        theirs, ours = (parse(reply)[0] for reply in both.both("COMMAND", "DOCS", name.title(), "nosuch", name))
        assert [docs(told) for told in elements(ours)[1::2]] == [docs(told) for told in elements(theirs)[1::2]]
        assert elements(ours)[::2] == elements(theirs)[::2]
    both.same("COMMAND", "DOCS", "nosuch")


@pytest.mark.parametrize(
    "command",
    [
        "LIST", "LIST FILTERBY ACLCAT string", "LIST FILTERBY aclcat DANGEROUS", "LIST FILTERBY PATTERN x*",
        "LIST FILTERBY PATTERN C*", "LIST FILTERBY pattern get", "LIST FILTERBY PATTERN *|*",
    ],
)  # fmt: skip
def test_list(both, command):
    theirs, ours = (parse(reply)[0] for reply in both.both("COMMAND", *command.split()))
    assert sorted(ours) == sorted(name for name in theirs if name.decode() in OURS)


@pytest.mark.parametrize(
    "command",
    [
        "FOO", "foo bar", "COUNT x", "LIST FILTERBY", "LIST FOO", "LIST FILTERBY X y", "LIST FILTERBY ACLCAT @hash",
        "LIST FILTERBY ACLCAT foo", "LIST FILTERBY MODULE x", "LIST FILTERBY PATTERN x y", "HELP x", "GETKEYS",
        "GETKEYS get", "GETKEYS nosuch x", "GETKEYS get a b", "GETKEYS ping x", "GETKEYS command info x",
        "GETKEYS command|info x", "GETKEYS command nosuch x", "GETKEYS mset a 1 b 2", "GETKEYS MSET a 1 b",
        "GETKEYS object encoding x", "GETKEYS object encoding", "GETKEYS set a b", "GETKEYSANDFLAGS set a b",
        "GETKEYSANDFLAGS set a b get", "GETKEYSANDFLAGS set a b EX get", "GETKEYSANDFLAGS set a", "GETKEYSANDFLAGS get",
        "GETKEYSANDFLAGS getex a persist", "GETKEYSANDFLAGS mget a b c", "GETKEYSANDFLAGS del a b",
    ],
)  # fmt: skip
def test_same_reply(both, command):
    both.same("COMMAND", *command.split())


def test_many_keys(both):
    both.same("COMMAND", "GETKEYSANDFLAGS", "DEL", *(f"key:{i}" for i in range(1000)))


def test_count(pair):
    _, ours = pair.both("COMMAND", "COUNT")
    assert parse(ours)[0] == len({name for name in OURS if "|" not in name})


def test_help(pair):
    theirs, ours = (parse(reply)[0] for reply in pair.both("COMMAND", "HELP"))
    assert ours[0] == theirs[0]
    assert ours[-2:] == theirs[-2:]
    words = {line[1].split()[0] for line in theirs[2:-2] if not line[1].startswith(b" ")}
    assert words <= {line[1].split()[0] for line in ours}
