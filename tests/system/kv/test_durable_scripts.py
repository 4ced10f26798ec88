"""What scripts write and what libraries there are, after a store was closed and opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

import libkv

pytest.importorskip("lupa", reason="missing lupa (PyPI)")

LIBRARY = "#!lua name=x\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)"


def test_journal_and_base_bring_them_back(tmp_path: Path) -> None:
    store = libkv.open(tmp_path)
    assert store.eval("redis.call('set', 'a', 1) redis.call('rpush', 'l', 1, 2) return redis.call('incr', 'a')", 0) == 2
    store.function_load(LIBRARY)
    assert store.fcall("f", 1, "a") == 3
    store.close()
    store = libkv.open(tmp_path)
    assert store.get("a") == b"3"
    assert store.lrange("l", 0, -1) == [b"1", b"2"]
    assert store.fcall("f", 1, "a") == 4
    store.bgrewriteaof()
    while store.info("persistence")["aof_rewrite_in_progress"]:
        pass
    store.close()
    store = libkv.open(tmp_path)
    assert store.fcall("f", 1, "a") == 5
    assert len(store.function_list()) == 1
    store.function_flush()
    store.close()
    store = libkv.open(tmp_path)
    assert store.function_list() == []
    store.close()


def test_snapshot_brings_them_back(tmp_path: Path) -> None:
    store = libkv.Store(dir=str(tmp_path))
    store.function_load(LIBRARY)
    store.save()
    store.close()
    assert b"register_function" in (tmp_path / "dump.rdb").read_bytes() or (tmp_path / "dump.rdb").stat().st_size > 100
    store = libkv.open(tmp_path, appendonly=False)
    assert store.fcall("f", 1, "a") == 1
    store.close()
