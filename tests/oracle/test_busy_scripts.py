"""Scripts that take long: what other clients may do meanwhile, and how a script is ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import libkv
from libkv.server import Server
from tests.resp import Wire, command

FOR_EVER = {
    "loop": "while true do end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "xpcall": "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "coroutine": "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "wrap": "while true do pcall(coroutine.wrap(function() while true do end end)) end",
    "nested": "local function f() return pcall(coroutine.wrap(function() while true do pcall(f) end end)) end while true do f() end",
    "load": "while true do load(function() while true do end end) end",
    "metamethod": "local t = setmetatable({}, {__index = function() while true do end end}) while true do pcall(function() return t.x end) end",
    "gsub": "while true do pcall(string.gsub, ('x'):rep(100), '.', function() while true do end end) end",
    "sort": "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
    "commands": "while true do redis.pcall('get', 'x') end",
}
ENDED = b"-ERR Script killed by user with SCRIPT KILL... script: "


class Sides:
    """redis-server and a server of ours, both with a threshold of 50 ms; two connections each."""

    def __init__(self, real: str, ours: str) -> None:
        self.paths = {"redis": real, "ours": ours}
        self.one = {side: Wire(path) for side, path in self.paths.items()}
        self.two = {side: Wire(path) for side, path in self.paths.items()}
        for wire in self.two.values():
            wire.call("CONFIG", "SET", "busy-reply-threshold", 50)
            wire.call("FUNCTION", "FLUSH")
            wire.call("FLUSHALL")

    def begin(self, *args: Any) -> None:
        """Sends a script on the first connections, and waits until others are told BUSY."""
        for wire in self.one.values():
            wire.socket.sendall(command(*args))
        for side, wire in self.two.items():
            end = time.monotonic() + 20
            while not wire.call("PING").startswith(b"-BUSY"):
                assert time.monotonic() < end, f"{side} is never busy"

    def same(self, *args: Any) -> bytes:
        replies = {side: wire.call(*args) for side, wire in self.two.items()}
        assert replies["ours"] == replies["redis"], args
        return replies["ours"]

    def ended(self) -> bytes:
        replies = {side: wire.reply() for side, wire in self.one.items()}
        assert replies["ours"] == replies["redis"]
        return replies["ours"]

    def close(self) -> None:
        for wire in [*self.one.values(), *self.two.values()]:
            wire.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[libkv.Store, str]]:
    store = libkv.Store(busy_reply_threshold=50)
    path = str(tmp_path / "kv.sock")
    server = Server(store, port=None, unixsocket=path)
    server.start()
    yield store, path
    server.stop()
    store.close()


@pytest.fixture
def sides(redis_socket: str, served: tuple[libkv.Store, str]) -> Iterator[Sides]:
    both = Sides(redis_socket, served[1])
    yield both
    both.close()
    wire = Wire(redis_socket)
    wire.call("SCRIPT", "KILL")
    wire.call("FUNCTION", "KILL")
    wire.call("CONFIG", "SET", "busy-reply-threshold", 5000)
    wire.call("FUNCTION", "FLUSH")
    wire.close()


@pytest.mark.parametrize("how", ["loop", "pcall", "coroutine"])
def test_killed_as_in_redis(sides: Sides, how: str) -> None:
    sides.begin("EVAL", FOR_EVER[how], 0)
    for words in ("PING", "GET a", "FUNCTION KILL", "FUNCTION STATS", "CLIENT ID", "NOSUCH", "EVAL x 0", "AUTH x"):
        sides.same(*words.split())
    for words in ("MULTI", "SET a b", "EXEC", "PING", "UNWATCH", "SHUTDOWN", "SHUTDOWN SAVE"):
        sides.same(*words.split())
    sides.same("SCRIPT", "KILL")
    assert sides.ended().startswith(ENDED)
    sides.same("PING")
    sides.same("SCRIPT", "KILL")
    sides.same("SET", "a", "1")


@pytest.mark.parametrize("how", sorted(FOR_EVER))
def test_nothing_outlives_its_end(served: tuple[libkv.Store, str], how: str) -> None:
    one, two = Wire(served[1]), Wire(served[1])
    one.socket.sendall(command("EVAL", FOR_EVER[how], 0))
    while two.call("SCRIPT", "KILL") != b"+OK\r\n":
        pass
    assert one.reply().startswith(ENDED)
    assert one.call("EVAL", "return 1", 0) == b":1\r\n"
    assert one.call("EVAL", "return pcall(error, 'x')", 0) == b"$-1\r\n"
    one.close()
    two.close()


def test_not_killed_after_a_write(sides: Sides) -> None:
    until = f"redis.call('time')[1] + 0 < {time.time() + 4}"  # neither may end before the other has been asked
    sides.begin("EVAL", f"redis.call('set', 'k', 'v') while {until} do end return 'done'", 0)
    assert sides.same("SCRIPT", "KILL").startswith(b"-UNKILLABLE")
    assert sides.ended() == b"$4\r\ndone\r\n"
    sides.same("GET", "k")


def test_functions(sides: Sides) -> None:
    sides.same("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('f', function() while true do end end)")
    sides.begin("FCALL", "f", 1, "key", "argument")
    sides.same("PING")
    sides.same("SCRIPT", "KILL")
    replies = {side: wire.call("FUNCTION", "STATS") for side, wire in sides.two.items()}
    for reply in replies.values():
        assert b"$5\r\nFCALL\r\n$1\r\nf\r\n$1\r\n1\r\n$3\r\nkey\r\n$8\r\nargument\r\n" in reply
    sides.same("FUNCTION", "KILL")
    assert sides.ended().startswith(ENDED)
    sides.same("FUNCTION", "STATS")


def test_replies_keep_their_order(served: tuple[libkv.Store, str]) -> None:
    """What comes with the script's command, before and behind it, and from others in the same moment."""
    one, others = Wire(served[1]), [Wire(served[1]) for _ in range(20)]
    admin = Wire(served[1])
    for n, wire in enumerate(others):
        wire.socket.sendall(command("SET", f"k{n}", n) + command("GET", f"k{n}"))
    slow = command("EVAL", FOR_EVER["loop"], 0)
    one.socket.sendall(command("SET", "before", 1) + slow + command("GET", "before") + command("PING"))
    for n, wire in enumerate(others):
        wire.socket.sendall(command("GET", f"k{n}") * 3)
    while admin.call("SCRIPT", "KILL") != b"+OK\r\n":
        pass
    assert one.reply() == b"+OK\r\n"
    assert one.reply().startswith(ENDED)
    assert one.reply() == b"$1\r\n1\r\n"
    assert one.reply() == b"+PONG\r\n"
    for n, wire in enumerate(others):
        value = f"${len(str(n))}\r\n{n}\r\n".encode()
        replies = [wire.reply() for _ in range(5)]
        assert all(reply in (b"+OK\r\n", value, b"$-1\r\n") or reply.startswith(b"-BUSY") for reply in replies)
        assert wire.call("PING") == b"+PONG\r\n"
        wire.close()
    one.close()
    admin.close()


def test_clients_come_and_go_meanwhile(served: tuple[libkv.Store, str]) -> None:
    one = Wire(served[1])
    one.socket.sendall(command("EVAL", FOR_EVER["loop"], 0))
    for _ in range(20):
        visitor = Wire(served[1])
        visitor.socket.sendall(command("PING") + command("QUIT"))
        visitor.close()
    leaving = Wire(served[1])
    assert leaving.call("PING").startswith(b"-BUSY") or leaving.call("PING")
    leaving.close()
    admin = Wire(served[1])
    while admin.call("SCRIPT", "KILL") != b"+OK\r\n":
        pass
    assert one.reply().startswith(ENDED)
    one.close()
    assert admin.call("CLIENT", "LIST").count(b"id=") <= 3
    admin.close()


def test_the_scripts_own_client_may_go(served: tuple[libkv.Store, str]) -> None:
    one, admin = Wire(served[1]), Wire(served[1])
    one.socket.sendall(command("EVAL", FOR_EVER["loop"], 0))
    while not admin.call("PING").startswith(b"-BUSY"):
        pass
    one.close()
    while admin.call("SCRIPT", "KILL") != b"+OK\r\n":
        pass
    while admin.call("PING") != b"+PONG\r\n":
        pass
    admin.close()


def test_server_and_store_end_although_a_script_runs(tmp_path: Path) -> None:
    store = libkv.Store(busy_reply_threshold=20)
    path = str(tmp_path / "kv.sock")
    server = Server(store, port=None, unixsocket=path)
    server.start()
    one = Wire(path)
    one.socket.sendall(command("EVAL", FOR_EVER["pcall"], 0))
    other = Wire(path)
    while not other.call("PING").startswith(b"-BUSY"):
        pass
    server.stop()
    assert store.execute_command("EVAL", "return 7", 0) == 7
    store.close()
    one.close()
    other.close()


def test_shutdown_nosave_ends_a_script(tmp_path: Path) -> None:
    store = libkv.Store(busy_reply_threshold=20)
    path = str(tmp_path / "kv.sock")
    server = Server(store, port=None, unixsocket=path)
    server.start()
    one, other = Wire(path), Wire(path)
    one.socket.sendall(command("EVAL", "redis.call('set','a',1) while true do end", 0))
    while not other.call("PING").startswith(b"-BUSY"):
        pass
    other.socket.sendall(command("SHUTDOWN", "NOSAVE"))
    server.wait(10)
    server.stop()
    store.close()


def test_embedded_store() -> None:
    """Threads instead of clients."""
    store = libkv.Store(busy_reply_threshold=20)
    outcome: list[Any] = []

    def run() -> None:
        try:
            store.execute_command("EVAL", FOR_EVER["pcall"], 0)
        except libkv.errors.ResponseError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    seen = set()
    while True:
        try:
            store.get("x")
            store.set("x", 1)
        except libkv.errors.ResponseError as error:
            seen.add(str(error))
            break
    assert seen == {"Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."} or seen == {
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    }
    store.execute_command("SCRIPT", "KILL")
    thread.join(30)
    assert not thread.is_alive()
    assert "Script killed by user" in outcome[0]
    assert store.get("x") in (None, b"1")
    store.check()
    store.close()


def test_closing_an_embedded_store_ends_its_script() -> None:
    store = libkv.Store(busy_reply_threshold=20)
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            store.execute_command("EVAL", FOR_EVER["loop"], 0)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while True:
        try:
            store.execute_command("PING")
        except libkv.errors.ResponseError:
            break
    store.close()
    thread.join(30)
    assert not thread.is_alive() and len(outcome) == 1
