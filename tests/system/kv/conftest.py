"""Servers as processes for the tests of this directory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import OURS, Process, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(*options) runs examples/server.py; start(*options, real=True) redis-server."""
    running: list[Process] = []

    def run(*options: str, real: bool = False, ready: bool = True, **more: object) -> Process:
        if real and shutil.which("redis-server") is None:
            pytest.skip("missing redis-server (Debian package redis-server)")
        program = ["redis-server"] if real else OURS
        process = Process(program, tmp_path / ("real" if real else "ours"), *options, **more)  # type: ignore[arg-type]
        running.append(process)
        return process.wait_ready() if ready else process

    yield run
    for process in running:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait(10)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    """Our server and the real one with the same settings, for a module's tests."""
    if shutil.which("redis-server") is None:
        pytest.skip("missing redis-server (Debian package redis-server)")
    options = ("--loglevel", "verbose", "--client-query-buffer-limit", "1mb")
    ours = Process(OURS, tmp_path_factory.mktemp("ours"), *options).wait_ready()
    real = Process(["redis-server"], tmp_path_factory.mktemp("real"), *options).wait_ready()
    yield ours, real
    ours.stop()
    real.stop()
