"""A guest in the process: fork in a threaded application, Ctrl-C, and the interpreter's end with servers running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import libkv
from libkv.errors import StoreForked
from tests.resp import Wire, command

ROOT = Path(__file__).resolve().parents[3]


def in_child(job: Callable[[], object]) -> int:
    """Forks, runs the job there, and returns the child's exit status: 0 when it went through."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(60)
            job()
            status = 0
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Busy:
    """Threads that never leave a store alone, while the block runs."""

    def __init__(self, store: libkv.Store, path: str | None = None) -> None:
        self.over = threading.Event()
        self.store = store
        self.done = 0
        self.threads = [threading.Thread(target=self.work), threading.Thread(target=self.sessions)]
        if path is not None:
            self.threads.append(threading.Thread(target=self.remote, args=(path,)))

    def work(self) -> None:
        while not self.over.is_set():
            self.store.incr("n")
            self.done += 1
            self.store.hset("h", f"f{self.done % 300}", "v" * 50)
            self.store.hgetall("h")

    def sessions(self) -> None:
        while not self.over.is_set():
            session = self.store.new_session()
            session.feed(command("WATCH", "n") + command("LPUSH", "l", "x") + command("LTRIM", "l", 0, 50))
            session.feed(command("GET", "n")[:-3])
            del session

    def remote(self, path: str) -> None:
        while not self.over.is_set():
            wire = Wire(path)
            for _ in range(20):
                wire.call("SADD", "s", self.done)
            wire.close()

    def __enter__(self) -> Busy:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread hangs"


# ---- fork


def test_a_memory_store_is_a_private_copy_in_the_child() -> None:
    with libkv.Store() as store, Busy(store) as busy:
        for turn in range(25):
            store.set("turn", turn)

            def job(turn: int = turn) -> None:
                store.check()
                assert store.get("turn") == b"%d" % turn
                store.set("turn", "child")
                n = int(store.get("n") or 0)
                assert store.incr("n", 5) == n + 5  # nobody else is here
                store.new_session().feed(command("FLUSHALL"))
                assert store.dbsize() == 0
                store.close()

            assert in_child(job) == 0
            assert store.get("turn") == b"%d" % turn
    assert busy.done > 0


def test_several_stores_are_whole_in_the_child() -> None:
    stores = [libkv.Store() for _ in range(4)]
    with Busy(stores[0]), Busy(stores[1]), Busy(stores[2]):
        for _ in range(10):

            def job() -> None:
                for store in stores:
                    store.check()
                    store.set("k", "v")

            assert in_child(job) == 0
    for store in stores:
        assert not store.exists("k")
        store.check()
        store.close()


def test_a_served_store_belongs_to_the_parent(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with libkv.Store() as store, libkv.Server(store, port=None, unixsocket=path) as server:
        wire = Wire(path)
        wire.call("SET", "k", "parent")
        with Busy(store, path):
            for _ in range(15):

                def job() -> None:
                    for call in (lambda: store.get("k"), lambda: store.set("k", 1), store.new_session, store.check):
                        with pytest.raises(StoreForked):
                            call()
                    assert not server.running
                    with libkv.Store() as own:  # a new one is the child's
                        own.set("k", "child")
                        with libkv.Server(own, port=None, unixsocket=path + "-child"):
                            assert Wire(path + "-child").call("GET", "k") == b"$5\r\nchild\r\n"

                assert in_child(job) == 0
                assert wire.call("GET", "k") == b"$6\r\nparent\r\n"
        assert server.running
        store.check()
        wire.close()


def test_the_child_does_not_hold_the_parents_connections(tmp_path: Path) -> None:
    """A client sees its connection end with the parent's server, though a child still lives."""
    path = str(tmp_path / "s")
    with libkv.Store() as store:
        server = libkv.Server(store, port=None, unixsocket=path).start()
        wire = Wire(path, timeout=20)
        assert wire.call("PING") == b"+PONG\r\n"
        gate, release = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(release)
            os.read(gate, 1)  # until the parent lets go
            os._exit(0)
        os.close(gate)
        try:
            server.stop()
            with pytest.raises((EOFError, ConnectionError)):
                wire.call("PING")
        finally:
            os.close(release)
            os.waitpid(pid, 0)
            wire.close()


# ---- Ctrl-C


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_ctrl_c_during_a_long_call() -> None:
    with libkv.Store(enable_debug_command="yes") as store:
        store.set("k", "v")
        timer = interrupt_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            for _ in range(300):
                store.execute_command("DEBUG", "SLEEP", "0.2")
        timer.join()
        assert store.get("k") == b"v"
        store.check()


def test_ctrl_c_between_many_calls() -> None:
    with libkv.Store() as store:
        for _ in range(5):
            timer = interrupt_after(0.05)
            with pytest.raises(KeyboardInterrupt):
                for i in range(10**8):
                    store.rpush("l", i)
                    store.lrange("l", 0, 10)
            timer.join()
            store.check()
        assert store.llen("l") > 0


def test_ctrl_c_while_waiting_for_a_server(tmp_path: Path) -> None:
    with libkv.Store() as store, libkv.Server(store, port=None, unixsocket=str(tmp_path / "s")) as server:
        timer = interrupt_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            server.wait(60)
        timer.join()
        assert server.running


# ---- the end of the interpreter


def script(text: str, tmp_path: Path, *, interrupt: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a program that has a path for a socket in `path`; it must end by itself in good time."""
    start = "import sys, threading, libkv\nfrom tests.resp import Wire, command\n"
    program = f"{start}path = {str(tmp_path / 's')!r}\n{text}"
    child = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", program],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if interrupt:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            time.sleep(0.1)
            child.send_signal(signal.SIGINT)
        out, error = child.communicate(timeout=60)
    except BaseException:
        child.kill()
        child.communicate()
        raise
    return subprocess.CompletedProcess(child.args, child.returncode, out, error)


ENDINGS = {
    "a server nobody stops": """
store = libkv.Store()
server = libkv.Server(store, port=None, unixsocket=path).start()
wire = Wire(path)
assert wire.call("PING") == b"+PONG\\r\\n"
""",
    "several servers and stores": """
kept = []
for i in range(5):
    store = libkv.Store()
    kept.append(libkv.Server(store, port=0, unixsocket=path + str(i)).start())
    wires = [Wire(path + str(i)) for _ in range(10)]
    wires[0].send(command("SET", "k", "v") * 5000)
""",
    "daemon threads that call on": """
store = libkv.Store()
server = libkv.Server(store, port=None, unixsocket=path).start()
def work():
    while True:
        store.incr("n")
        store.hset("h", "f", "v")
        store.hgetall("h")
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
while int(store.get("n") or 0) < 1000:
    pass
""",
    "a thread that is joined at exit": """
store = libkv.Store()
server = libkv.Server(store, port=None, unixsocket=path).start()
def work():
    wire = Wire(path)
    for _ in range(2000):
        wire.call("INCR", "n")
threading.Thread(target=work).start()
""",
    "sys.exit with a transaction open": """
store = libkv.Store()
session = store.new_session()
session.feed(command("WATCH", "k") + command("MULTI") + command("SET", "k", "v"))
server = libkv.Server(store, port=None, unixsocket=path).start()
wire = Wire(path)
wire.send(command("MULTI") + command("SET", "k", "v")[:-4])
sys.exit(0)
""",
    "the store closed, its objects still there": """
store = libkv.Store()
pipe = store.pipeline()
client = store.client()
session = store.new_session()
server = libkv.Server(store, port=None, unixsocket=path).start()
store.close()
""",
    "a finalizer at the very end": """
store = libkv.Store()
class Late:
    def __del__(self):
        try:
            store.incr("n")
        except Exception:
            pass
late = Late()
late.me = late
server = libkv.Server(store, port=None, unixsocket=path).start()
""",
    "forked children": """
import os
store = libkv.Store()
server = libkv.Server(store, port=None, unixsocket=path).start()
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_interpreter_ends_cleanly(name: str, tmp_path: Path) -> None:
    done = script(ENDINGS[name], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir()), "a unix socket is left"


def test_ctrl_c_ends_an_application_with_a_server(tmp_path: Path) -> None:
    done = script(
        """
store = libkv.Store()
with libkv.Server(store, port=None, unixsocket=path) as server:
    print("ready", flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        print("interrupted")
""",
        tmp_path,
        interrupt=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
