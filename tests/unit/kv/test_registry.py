"""The compiled command table: what is bound, against redis-server 7.0.15 (tests/data/redis-commands.json)."""

import json
from pathlib import Path

import pytest

import libkv.commands  # binds the commands and seals the table
from libkv.commands.facts import rows
from libkv.engine.registry import command_row, commands_bound, key_positions

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "redis-commands.json").read_text())
REFERENCE_ROWS = {row["name"]: row for c in REFERENCE["list"] for row in [c, *c.get("subcommands", [])]}
FACTS = {row.name: row for _, row in rows()}
BOUND = commands_bound()


def test_every_module_of_commands_is_bound():
    assert libkv.commands.__name__ == "libkv.commands"
    assert {"get", "set", "command", "command|docs"} <= set(BOUND)
    assert set(BOUND) <= set(REFERENCE_ROWS)


@pytest.mark.parametrize("name", BOUND)
def test_bound_row(name):
    ours, wanted = command_row(name), REFERENCE_ROWS[name]
    assert ours["name"] == name
    assert ours["function"]
    assert ours["arity"] == wanted["arity"]
    assert ours["flags"] == wanted.get("flags", [])
    assert ["@" + category for category in ours["categories"]] == wanted["acl_categories"]
    assert ours["keys"] == (wanted["first_key"], wanted["last_key"], wanted["step"])


def test_ids_count_from_zero_without_gaps():
    names = {*BOUND, *(name.split("|")[0] for name in BOUND)}
    assert sorted(command_row(name)["id"] for name in names) == list(range(len(names)))


def test_container_holds_its_bound_subcommands():
    for container in {name.split("|")[0] for name in BOUND if "|" in name}:
        inside = [name for name in BOUND if name.startswith(container + "|")]
        assert sorted(command_row(container)["subcommands"]) == sorted(inside)


@pytest.mark.parametrize("name", BOUND)
def test_found_in_any_case_and_only_exactly(name):
    for spelled in (name, name.upper(), name.title(), name.swapcase()):
        assert command_row(spelled)["name"] == name
    for wrong in (name + "\0", "\0" + name, name + "~", name[:-1] + "\r", name + " ", name.replace(name[0], "@")):
        assert command_row(wrong) is None
    # the bit that tells upper from lower case means something else outside the letters
    for i, ch in enumerate(name):
        other = name[:i] + chr(ord(ch) ^ 0x20) + name[i + 1 :]
        assert (command_row(other) is not None) == ch.isalpha()


@pytest.mark.parametrize("name", ["", "a" * 41, "get" * 20, "|", "get|", "|get", "config|", "command|docs|x", "get|x"])
def test_no_such_command(name):
    assert command_row(name) is None


READ, CHANGE = ["RO", "access"], ["RW", "access", "update"]
MOVE = ["RW", "access", "delete"]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("get k", [(1, READ)]),
        ("mset a 1 b 2 c 3", [(i, ["OW", "update"]) for i in (1, 3, 5)]),
        ("blpop a b c 0", [(i, MOVE) for i in (1, 2, 3)]),
        ("bitop and d a b", [(2, ["OW", "update"]), (3, READ), (4, READ)]),
        ("object encoding k", [(2, ["RO"])]),
        ("set k v", [(1, ["OW", "update"])]),
        ("set k v ex 5 GET", [(1, CHANGE)]),
        ("bitfield k get u8 0", [(1, READ)]),
        ("bitfield k get u8 0 incrby u8 0 1", [(1, CHANGE)]),
        ("zunionstore d 2 a b weights 1 2", [(1, ["OW", "update"]), (3, READ), (4, READ)]),
        ("zunionstore d 3 a b", None),
        ("zunionstore d x a b", None),
        ("eval script 2 a b c", [(3, CHANGE), (4, CHANGE)]),
        ("eval script 0 a", None),
        ("sort l by store get store", [(1, READ)]),
        ("sort l store d limit 0 1 store e", [(1, READ), (8, ["OW", "update"])]),
        ("sort_ro l by w get g", [(1, READ)]),
        ("migrate h 1 k 0 10 copy", [(3, MOVE)]),
        ("migrate h 1  0 10 keys a b", [(7, MOVE), (8, MOVE)]),
        ("migrate h 1 k 0 10 keys a b", None),
        ("migrate h 1  0 10 auth keys keys a", [(9, MOVE)]),
        ("xread count 2 streams a b 0 0", [(4, READ), (5, READ)]),
        ("xreadgroup group g streams streams s >", [(5, READ)]),
        ("georadius k 1 2 3 m store d", [(1, READ), (7, ["OW", "update"])]),
        ("georadius k 1 2 3 m count 1", [(1, READ)]),
        ("spublish channel message", []),
        ("memory usage k samples 5", [(2, ["RO"])]),
        ("xgroup create k g $", [(2, ["RW", "insert"])]),
    ],
)
def test_key_positions(command, wanted):
    argv = command.split(" ")
    row = FACTS.get("|".join(argv[:2])) or FACTS[argv[0]]
    assert key_positions(row, [word.encode() for word in argv]) == wanted
