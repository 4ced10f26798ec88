"""The power fails while ACL SAVE or CONFIG REWRITE replaces a file: the old one is left, or the new one, never less."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import libkv
from libkv.errors import ResponseError
from libkv.server.configure import set_config_file
from libkv.testing.native.disk import FSYNC, MARK, RENAME, SYNC_DIRECTORY, WRITE, NotedFiles
from libkv.testing.power import PowerCut, files_below

HOWS = ("none", "all", "prefix", "any")
Save = Callable[[libkv.Store, int], object]


def save_users(store: libkv.Store, i: int) -> object:
    """Users of several sectors, more each time."""
    for k in range(20):
        store.acl_setuser(f"user{i}-{k}", enabled=True, nopass=True, keys=["key:*"], commands=["+get", "+set"])
    return store.acl_save()


def save_configuration(store: libkv.Store, i: int) -> object:
    store.config_set("maxmemory", f"{i + 1}gb")
    return store.config_rewrite() == b"OK"


CASES = pytest.mark.parametrize(
    ("name", "text", "save"),
    [
        ("users.acl", "user default on nopass ~* &* +@all\n", save_users),
        ("redis.conf", "# a comment\n" * 200 + "maxmemory 0\n", save_configuration),
    ],
    ids=["acl save", "config rewrite"],
)


def opened(file: Path) -> libkv.Store:
    """A store that has this file, as one or the other."""
    if file.name == "users.acl":
        return libkv.Store(aclfile=str(file))
    store = libkv.Store()
    set_config_file(store, bytes(file))
    return store


@CASES
def test_a_cut_leaves_the_old_or_the_new_one(tmp_path: Path, name: str, text: str, save: Save) -> None:
    root = tmp_path / "data"
    root.mkdir()
    file = root / name
    file.write_text(text)
    file.chmod(0o640)
    before = files_below(root)
    states = [file.read_bytes()]
    with NotedFiles() as files:
        with opened(file) as store:
            for i in range(4):
                assert save(store, i) is True
                states.append(file.read_bytes())
                files.mark(i + 1)
        cut = PowerCut(root, before, files.notes())
    assert [p.name for p in root.iterdir()] == [name] and file.stat().st_mode & 0o777 == 0o640
    assert len(set(states)) == 5
    for moment in range(cut.moments):
        least = max(cut.marked(moment), 0)
        for how in HOWS:
            target = tmp_path / "left"
            shutil.rmtree(target, ignore_errors=True)
            cut.leave(moment, random.Random(f"{moment} {how}"), target, how)
            left = (target / name).read_bytes()
            assert left in states[least : least + 2], f"cut after {moment} calls, {how}"
    # and each was there when its save had answered
    assert [n[5] for n in cut.notes if n[0] == MARK] == [1, 2, 3, 4]


@CASES
@pytest.mark.parametrize("what", [WRITE, FSYNC, RENAME, SYNC_DIRECTORY], ids=["write", "fsync", "rename", "directory"])
def test_a_failure_is_told_and_leaves_no_temporary_file(
    tmp_path: Path, name: str, text: str, save: Save, what: int
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with NotedFiles() as files, opened(file) as store:
        files.fail(what, errno.EIO)
        why = "There was an error trying to save the ACLs" if name == "users.acl" else "Input/output error"
        with pytest.raises(ResponseError, match=why):
            save(store, 0)
        assert (file.read_text() == text) == (what != SYNC_DIRECTORY)  # it has its name, but perhaps not for ever
        assert [p.name for p in tmp_path.iterdir()] == [name]
        assert save(store, 1) is True
