"""Clients in Node: ioredis, and BullMQ, a queue made of Lua scripts.  Their versions are pinned in node/package-lock.json."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"


@pytest.mark.parametrize("program", ["ioredis.mjs", "bullmq.mjs"])
def test_program(port: int, program: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("missing node (Debian package nodejs)")
    if not (NODE / "node_modules").is_dir():
        pytest.skip(f"missing {NODE / 'node_modules'} (npm install, which make test runs)")
    done = subprocess.run(["node", program, str(port)], cwd=NODE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "good\n"
