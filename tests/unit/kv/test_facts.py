"""The facts of every command, against what redis-server 7.0.15 answers (tests/data/redis-commands.json)."""

import json
from pathlib import Path

import pytest

from libkv.commands.facts import GROUPS, arguments, key_specs, rows
from libkv.commands.facts.row import KEY_FLAGS

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "redis-commands.json").read_text())
FLAGS_IN_ORDER = {flag: i for i, flag in enumerate(KEY_FLAGS)}


def reference_rows():
    for command in REFERENCE["list"]:
        for row in [command, *command.get("subcommands", [])]:
            yield row["name"], {key: value for key, value in row.items() if key != "subcommands"}


REFERENCE_ROWS = dict(reference_rows())
OURS = {row.name: (group, row) for group, row in rows()}


def flattened(spec):
    """A key specification of the reference with its flags as a plain list: a set of them was read as a map."""
    flags = spec["flags"]
    if isinstance(flags, dict):
        flags = [word for pair in flags.items() for word in pair]
    unknown = {"type": "unknown", "spec": {}}
    return {
        **spec,
        "flags": sorted(flags, key=FLAGS_IN_ORDER.__getitem__),
        **({"begin_search": unknown, "find_keys": unknown} if spec["begin_search"]["type"] == "unknown" else {}),
    }


def legacy_triple(row):
    """First key, last key and step as COMMAND INFO tells them, from the key specifications.

    Specifications by index and range that follow one another are one range; a negative last key stays relative.
    """
    first = last = step = 0
    for spec in key_specs(row):
        begin, find = spec["begin_search"], spec["find_keys"]
        if begin["type"] != "index" or find["type"] != "range":
            continue
        index, end = begin["spec"]["index"], find["spec"]["lastkey"]
        end = index + end if end >= 0 else end
        if first and (last < 0 or index != last + 1):
            continue
        first, last, step = first or index, end, find["spec"]["keystep"]
    return first, last, step


def test_every_command_and_no_other():
    assert sorted(OURS) == sorted(REFERENCE_ROWS)
    assert len(OURS) == REFERENCE["commands"] + REFERENCE["subcommands"] == sum(len(m.ROWS) for m in GROUPS) == 366


@pytest.mark.parametrize("name", REFERENCE_ROWS)
def test_row(name):
    wanted = REFERENCE_ROWS[name]
    group, row = OURS[name]
    assert group == wanted["group"]
    assert row.since == wanted["since"]
    assert row.arity == wanted["arity"]
    # a server keeps may_replicate to itself: no COMMAND reply tells of it
    assert [flag for flag in row.flags.split() if flag != "may_replicate"] == wanted.get("flags", [])
    assert row.acl.split() == wanted["acl_categories"]
    assert row.tips.split() == wanted.get("tips", [])
    assert [entry.split(" ")[0] for entry in row.history] == wanted.get("history", [])
    assert row.doc.split() == wanted.get("doc_flags", [])
    assert (row.deprecated or (None, None)) == (wanted.get("deprecated_since"), wanted.get("replaced_by"))
    assert key_specs(row) == [flattened(spec) for spec in wanted.get("key_specs", [])]
    assert arguments(row) == wanted.get("arguments", [])
    assert legacy_triple(row) == (wanted["first_key"], wanted["last_key"], wanted["step"])


@pytest.mark.parametrize("name", REFERENCE_ROWS)
def test_words(name):
    _, row = OURS[name]
    assert row.summary and not row.summary.endswith(".")
    assert all(len(entry.split(" ", 1)[1]) > 0 for entry in row.history)
    assert row.complexity or name in {"lolwut", "monitor", "psync", "sync"}


def test_subcommands_follow_their_container():
    container = None
    for _, row in rows():
        head, bar, word = row.name.partition("|")
        assert head == (container if bar else row.name)
        assert not bar or word
        container = head
