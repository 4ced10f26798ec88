"""A pytest plugin: a fresh store, server, client and clock for each test that asks for them.

It is found by pytest as soon as the distribution is installed; nothing needs to be declared.

    def test_login(kv_store, kv_clock):
        login(kv_store, "ann")
        kv_clock.advance(3600)
        assert not logged_in(kv_store, "ann")

The imports are inside the fixtures, so that a test run which uses none of them loads none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import redis

    from libkv import Server, Store
    from libkv.testing.clock import Clock


@pytest.fixture
def kv_store() -> Iterator[Store]:
    """An empty `libkv.Store`, the same random numbers in every run; closed after the test."""
    from libkv import Store

    with Store(seed=1) as store:
        yield store


@pytest.fixture
def kv_clock(kv_store: Store) -> Iterator[Clock]:
    """The clock of `kv_store`, standing still; the test moves it: see `libkv.testing.clock.Clock`."""
    from libkv.testing.clock import Clock

    clock = Clock(kv_store)
    yield clock
    clock.release()


@pytest.fixture
def kv_server(kv_store: Store) -> Iterator[Server]:
    """A server for `kv_store` on a free port of 127.0.0.1 (`kv_server.port`); stopped after the test."""
    from libkv import Server

    with Server(kv_store, host="127.0.0.1", port=0) as server:
        yield server


@pytest.fixture
def kv_redis(kv_server: Server) -> Iterator[redis.Redis]:
    """A `redis.Redis` connected to `kv_server` over TCP."""
    import redis

    with redis.Redis(host="127.0.0.1", port=kv_server.port) as client:
        yield client
