"""examples/genhash.py beside keepalived's genhash, on the same pages."""

import hashlib
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = {"/": b"hello\n", "/empty": b"", "/big": bytes(range(256)) * 4000, "/gone": b"no such page"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = PAGES[self.path] + (self.headers["Host"].encode() if self.path == "/gone" else b"")
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Silence."""


@pytest.fixture(scope="module")
def port():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ours(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "examples/genhash.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.skipif(not shutil.which("keepalived"), reason="missing keepalived")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("protocol", ["1.0", "1.1"])
def test_the_same_digest(port, page, protocol):
    arguments = ["-s", "127.0.0.1", "-p", str(port), "-u", page, "-P", protocol, "-V", "www.example"]
    real = subprocess.run(["keepalived", "--genhash", *arguments], capture_output=True, text=True, timeout=60)
    assert ours(*arguments).stdout == real.stdout
    if page != "/gone":
        assert real.stdout.strip() == hashlib.md5(PAGES[page]).hexdigest()


def test_verbose_and_failures(port):
    done = ours("-s", "127.0.0.1", "-p", str(port), "-v")
    assert (
        "HTTP/1.0 200 OK" in done.stdout
        and "hello" in done.stdout
        and hashlib.md5(b"hello\n").hexdigest() in done.stdout
    )
    nobody = ours("-s", "127.0.0.1", "-p", "1")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "refused" in nobody.stderr
    bad = ours("-s", "nowhere")
    assert bad.returncode == 2 and "nowhere" in bad.stderr
