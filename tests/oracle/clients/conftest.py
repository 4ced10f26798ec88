"""Clients of other people, unmodified, on a server of ours and on redis-server: the second shows that the test is right."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import OURS, Process


@pytest.fixture(params=["redis-server", "ours"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """The port of a fresh server."""
    if request.param == "redis-server" and shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    program = OURS if request.param == "ours" else ["redis-server"]
    server = Process(program, tmp_path / "server", "--enable-debug-command", "yes")
    try:
        server.wait_ready()
        yield server.port
    finally:
        server.stop()
