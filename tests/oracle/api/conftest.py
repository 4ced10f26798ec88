"""libkv.Store and a redis-server behind redis-py's methods, with the same encoding."""

import shutil
import subprocess
import time

import pytest
import redis

import libkv

ENCODINGS = {
    "bytes": {},
    "str": {"decode_responses": True},
    "latin-1": {"decode_responses": True, "encoding": "latin-1", "encoding_errors": "replace"},
}


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The path of a redis-server's socket."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("missing redis-server (Debian: apt-get install redis-server)")
    path = tmp_path_factory.mktemp("redis") / "sock"
    options = {"port": 0, "unixsocket": path, "save": "", "appendonly": "no", "enable-debug-command": "yes"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen([program, *words], cwd=path.parent, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if path.exists():
                break
            time.sleep(0.05)
        yield str(path)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=ENCODINGS)
def clients(request, server, tmp_path):
    """(ours, theirs), both empty, with the same encoding."""
    options = ENCODINGS[request.param]
    with (
        redis.Redis(unix_socket_path=server, **options) as theirs,
        libkv.Store(enable_debug_command="yes", dir=str(tmp_path), **options) as ours,
    ):
        theirs.flushall()
        theirs.config_resetstat()
        yield ours, theirs
