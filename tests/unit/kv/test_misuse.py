"""What a mistaken call says: the error names the argument, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv.errors import StoreFilesError


def test_a_store_in_memory_does_not_pretend_to_keep_files() -> None:
    for setting in ({"appendonly": True}, {"appendonly": "yes"}, {"save": "60 1"}):
        with pytest.raises(ValueError, match=r"in memory only; libkv\.open\(directory\)"):
            libkv.Store(**setting)
    with libkv.Store(appendonly=False, save="") as store:
        assert store.config_get("appendonly", "save") == {"appendonly": "no", "save": ""}


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: libkv.Store("data"), TypeError, "databases is 'data'"),  # type: ignore[arg-type]
        (lambda: libkv.Store(seed="x"), TypeError, "seed is 'x'"),  # type: ignore[arg-type]
        (lambda: libkv.Store(host="db.example"), ValueError, "setting host='db.example'"),
        (lambda: libkv.Server("db.example"), TypeError, "serves a libkv.Store, not 'db.example'"),  # type: ignore[arg-type]
        (lambda: libkv.Server(libkv.Store(), port="6379"), ValueError, "port is '6379'"),  # type: ignore[arg-type]
        (lambda: libkv.open("d", until="today"), TypeError, "until is 'today'"),  # type: ignore[arg-type]
        (lambda: libkv.open("d", save=[(1,)]), ValueError, r"save holds \(1,\)"),  # type: ignore[list-item]
        (lambda: libkv.open("d", save=["60 1"]), ValueError, "save holds '60 1'"),  # type: ignore[list-item]
        (lambda: libkv.open("d", appendfsync="often"), ValueError, "everysec, always, no"),
    ],
)
def test_wrong_arguments(
    call: Callable[[], Any], kind: type[Exception], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=says):
        call()


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreFilesError, match=re.escape(f"{wrong} can't be a store's directory")):
            libkv.open(wrong)


def test_a_damaged_snapshot_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "dump.rdb").write_bytes(b"garbage")
    says = f"{tmp_path}/dump.rdb: at byte 0: "
    with pytest.raises(StoreFilesError, match=re.escape(says)):
        libkv.open(tmp_path)
    assert [record.getMessage().startswith(says) for record in caplog.records] == [True]


def test_a_client_of_something_else() -> None:
    pytest.importorskip("redis", reason="missing redis-py")
    for make in (libkv.redis_client, libkv.aio_redis_client):
        with pytest.raises(TypeError, match=r"libkv\.Store can't be made of 'x'"):
            make("x")  # type: ignore[arg-type]
