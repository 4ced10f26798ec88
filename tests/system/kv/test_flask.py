"""A Flask application (examples/flask_sessions.py) and its sessions: on our server in database 4, or in its process."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
import redis

import libkv
import libkv.testing
from examples.flask_sessions import DATABASE, make_app
from tests.servers import ENVIRONMENT, ROOT, Process, Start, free_port

APPLICATION = ROOT / "examples" / "flask_sessions.py"


class Browser:
    """A visitor with cookies of its own."""

    def __init__(self, port: int) -> None:
        self.site = f"http://127.0.0.1:{port}"
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open

    def get(self, path: str) -> str:
        with self.open(self.site + path, timeout=10) as answer:
            return str(answer.read().decode().strip())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """serve(argument, ...) runs the application; a browser at its door."""
    running = []

    def run(*arguments: str) -> Browser:
        port = free_port()
        with open(tmp_path / "application.log", "ab") as log:
            words = [sys.executable, str(APPLICATION), "--port", str(port), *arguments]
            process = subprocess.Popen(words, stdout=log, stderr=log, env=ENVIRONMENT, cwd=tmp_path)
        running.append(process)
        browser = Browser(port)
        for _ in range(100):
            try:
                browser.get("/get/nothing")
                return browser
            except urllib.error.URLError:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
        raise AssertionError((tmp_path / "application.log").read_text())

    yield run
    for process in running:
        process.terminate()
        process.wait(10)


def visit(browser: Browser, other: Browser) -> None:
    """What two visitors do, and see."""
    assert browser.get("/set/name/ann") == '{"name":"ann"}'
    assert other.get("/get/name") == ""
    assert other.get("/set/name/bob") == '{"name":"bob"}'
    assert browser.get("/set/cart/7") == '{"cart":"7","name":"ann"}'
    assert browser.get("/pop/cart") == "7"
    assert browser.get("/get/cart") == ""
    assert browser.get("/get/name") == "ann"


def test_sessions_on_the_server(start: Start, serve: Callable[..., Browser]) -> None:
    server: Process = start()
    url = f"redis://127.0.0.1:{server.port}/{DATABASE}"
    browser = serve(url)
    visit(browser, Browser(int(browser.site.rpartition(":")[2])))
    with redis.Redis(port=server.port, db=DATABASE) as data:
        keys = data.keys()
        assert len(keys) == 2 and all(key.startswith(b"session:") for key in keys)
        assert all(0 < data.ttl(key) <= 31 * 24 * 3600 for key in keys)

        again = serve(url)  # another process of the application knows the same visitors
        browser.site = again.site
        assert browser.get("/get/name") == "ann"
        assert "ann" not in browser.get("/clear")
        assert browser.get("/get/name") == ""
        assert data.dbsize() == 1
    with redis.Redis(port=server.port) as data:
        assert data.info("keyspace").keys() == {"db4"}


def test_sessions_in_the_process(serve: Callable[..., Browser]) -> None:
    browser = serve()
    visit(browser, Browser(int(browser.site.rpartition(":")[2])))


def test_sessions_in_a_store_of_ours() -> None:
    with libkv.Store() as store:
        clock = libkv.testing.Clock(store)
        client = make_app(libkv.redis_client(store, db=DATABASE)).test_client()
        client.get("/set/name/ann")
        assert client.get("/get/name").text == "ann"
        (key,) = store.db(DATABASE).keys()
        assert key.startswith(b"session:") and store.dbsize() == 0
        clock.advance(31 * 24 * 3600 + 1)
        assert client.get("/get/name").text == ""
