"""libkv.server.Server inside an application: threads, several servers, fork, the interpreter's end."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import libkv
from libkv.errors import KvError, StoreForked
from libkv.server import ListenError, Server
from tests.resp import command
from tests.servers import ENVIRONMENT, read_until_closed


def connect(server: Server) -> socket.socket:
    address = server.address
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address)
    else:
        assert address is not None
        s = socket.create_connection(address)
    s.settimeout(10)
    return s


def ask(server: Server, *words: str) -> bytes:
    with connect(server) as s:
        s.sendall(command(*words) + b"QUIT\r\n")
        return read_until_closed(s).removesuffix(b"+OK\r\n")


def test_store_and_server_share_their_data() -> None:
    with libkv.Store() as store, Server(store, port=0) as server:
        assert server.running and server.port > 0
        store.set("key", "value")
        assert ask(server, "GET", "key") == b"$5\r\nvalue\r\n"
        assert ask(server, "INCR", "n") == b":1\r\n"
        assert store.get("n") == b"1"
        # CONFIG GET tells the port that is really listened at
        assert b"%d" % server.port in ask(server, "CONFIG", "GET", "port")
    assert not server.running


def test_several_servers_on_several_stores(tmp_path: Path) -> None:
    stores = [libkv.Store() for _ in range(3)]
    servers = [Server(store, port=0).start() for store in stores]
    second = Server(stores[0], port=None, unixsocket=tmp_path / "kv.sock").start()
    assert len({server.port for server in servers}) == 3
    for i, server in enumerate(servers):
        assert ask(server, "SET", "who", str(i)) == b"+OK\r\n"
    for i, server in enumerate(servers):
        assert ask(server, "GET", "who") == b"$1\r\n%d\r\n" % i
    assert second.port == 0 and second.address == str(tmp_path / "kv.sock")
    assert ask(second, "GET", "who") == b"$1\r\n0\r\n"
    second.stop()
    assert not (tmp_path / "kv.sock").exists()
    assert ask(servers[0], "PING") == b"+PONG\r\n"
    for server in servers:
        server.stop()
    for store in stores:
        store.close()


def test_stop_and_start_again() -> None:
    store = libkv.Store()
    server = Server(store, port=0)
    for i in range(5):
        server.start()
        assert ask(server, "INCR", "starts") == b":%d\r\n" % (i + 1)
        kept = connect(server)
        kept.sendall(b"PING\r\n")
        assert kept.recv(10) == b"+PONG\r\n"
        server.stop()
        server.stop()
        assert read_until_closed(kept) == b""
        kept.close()
    store.close()


def test_closing_the_store_ends_its_servers() -> None:
    store = libkv.Store()
    server = Server(store, port=0).start()
    s = connect(server)
    store.close()
    assert not server.running
    assert read_until_closed(s) == b""
    s.close()


def test_a_running_server_keeps_its_store() -> None:
    server = Server(libkv.Store(), port=0).start()
    gc.collect()
    assert ask(server, "SET", "a", "b") == b"+OK\r\n"
    server.stop()


def test_descriptors_are_given_back() -> None:
    def count() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for _ in range(3):
        with libkv.Store() as store, Server(store, port=0) as server:
            crowd = [connect(server) for _ in range(20)]
            for s in crowd:
                s.close()
    del server, store
    assert count() == before


def test_address_in_use_says_what_to_do() -> None:
    with libkv.Store() as store, Server(store, port=0) as server, libkv.Store() as other:
        with pytest.raises(ListenError) as caught:
            Server(other, port=server.port).start()
        assert isinstance(caught.value, KvError) and isinstance(caught.value, OSError)
        text = str(caught.value)
        assert f"127.0.0.1:{server.port}" in text and "Address already in use" in text and "choose another port" in text
        with pytest.raises(ListenError, match="directory"):
            Server(other, port=None, unixsocket="/nonexistent/kv.sock").start()
        with pytest.raises(ListenError, match=r"192\.0\.2\.77"):
            Server(other, host="192.0.2.77", port=0).start()
    with pytest.raises(ValueError, match="65536"):
        Server(other, port=65536)


def test_kill_from_another_thread() -> None:
    with libkv.Store() as store, Server(store, port=0) as server:
        crowd = [connect(server) for _ in range(10)]
        for s in crowd:
            s.sendall(b"PING\r\n")
            assert s.recv(10) == b"+PONG\r\n"
        victim = crowd[3].getsockname()[1]
        store.execute((b"CLIENT", b"KILL", b"ADDR", b"127.0.0.1:%d" % victim))
        assert read_until_closed(crowd[3]) == b""
        for i, s in enumerate(crowd):
            if i != 3:
                s.sendall(b"PING\r\n")
                assert s.recv(10) == b"+PONG\r\n"
        assert store.execute((b"CLIENT", b"KILL", b"TYPE", b"normal")) == 9
        for s in crowd:
            assert read_until_closed(s) == b""
            s.close()
        for _ in range(500):
            if server.clients == 0:
                break
            time.sleep(0.01)
        assert server.clients == 0


def test_kill_over_the_wire() -> None:
    with libkv.Store() as store, Server(store, port=0) as server:
        one, two = connect(server), connect(server)
        one.sendall(b"CLIENT ID\r\n")
        number = int(one.recv(100)[1:])
        two.sendall(b"CLIENT KILL ID %d\r\n" % number)
        assert two.recv(100) == b":1\r\n"
        assert read_until_closed(one) == b""
        # itself: the reply comes first
        two.sendall(b"CLIENT KILL TYPE normal SKIPME no\r\nPING\r\n")
        assert read_until_closed(two) == b":1\r\n"
        one.close()
        two.close()


def test_kill_while_clients_come_and_go() -> None:
    """Sessions end in the loop's thread while other threads look for them."""
    with libkv.Store() as store, Server(store, port=0) as server:
        stop = threading.Event()

        def visit() -> None:
            while not stop.is_set():
                with connect(server) as s:
                    s.sendall(b"SET a b\r\n" * 20)
                    with contextlib.suppress(ConnectionResetError):
                        s.recv(1000)

        def kill() -> None:
            while not stop.is_set():
                store.execute((b"CLIENT", b"KILL", b"TYPE", b"normal"))
                store.execute((b"CLIENT", b"LIST"))

        threads = [threading.Thread(target=t) for t in (visit, visit, visit, kill)]
        for t in threads:
            t.start()
        time.sleep(1)
        stop.set()
        for t in threads:
            t.join(10)
            assert not t.is_alive()
        assert ask(server, "PING") == b"+PONG\r\n"
        store.check()


def test_threads_and_clients_lose_no_increment() -> None:
    with libkv.Store() as store, Server(store, port=0) as server:
        n = 3000

        def inside() -> None:
            for _ in range(n):
                store.incr("counter")

        def outside() -> None:
            with connect(server) as s:
                stream = s.makefile("rb")
                for _ in range(n // 50):
                    s.sendall(b"INCR counter\r\n" * 50)
                    for _ in range(50):
                        assert stream.readline()[:1] == b":"

        threads = [threading.Thread(target=t) for t in (inside, outside, inside, outside)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert store.get("counter") == b"%d" % (4 * n)


def test_wait_ends_with_shutdown() -> None:
    store = libkv.Store()
    server = Server(store, port=0).start()
    assert server.wait(0.01) is False
    with connect(server) as s:
        s.sendall(b"SHUTDOWN NOSAVE\r\n")
        assert read_until_closed(s) == b""
    assert server.wait(10) is True
    assert not server.running
    assert store.set("still", "usable")
    server.start()
    assert ask(server, "GET", "still") == b"$6\r\nusable\r\n"
    server.stop()
    store.close()


def test_fork_leaves_the_server_to_the_parent() -> None:
    with libkv.Store() as store, Server(store, port=0) as server:
        s = connect(server)
        s.sendall(b"PING\r\n")
        assert s.recv(10) == b"+PONG\r\n"
        descriptors = len(os.listdir("/proc/self/fd"))
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            report = b"no error"
            try:
                store.get("a")
            except StoreForked:
                report = b"StoreForked %d" % len(os.listdir("/proc/self/fd"))
            os.write(w, report)
            os._exit(0)
        os.close(w)
        report = os.read(r, 100)
        os.close(r)
        os.waitpid(pid, 0)
        assert report.startswith(b"StoreForked ")
        # listener, epoll, wake, reserve, end, log and the connection are closed there
        assert int(report.split()[1]) <= descriptors + 2 - 5
        s.sendall(b"PING\r\n")
        assert s.recv(10) == b"+PONG\r\n"
        s.close()
    # the port is free again although a child once had a copy
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def run_script(text: str, *, interrupt: bool = False) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    )
    if interrupt:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


START = """
import libkv
from libkv.server import Server
server = Server(libkv.Store(), port=0).start()
print(server.port, flush=True)
"""


def test_the_interpreter_ends_with_servers_running() -> None:
    done = run_script(START)
    assert (done.returncode, done.stderr) == (0, "")
    client = "import socket; s = socket.create_connection(server.address); s.send(b'PING\\r\\n'); raise SystemExit(3)"
    done = run_script(START + client)
    assert (done.returncode, done.stderr) == (3, "")


def test_ctrl_c_interrupts_wait() -> None:
    done = run_script(START + "server.wait()", interrupt=True)
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_no_signal_handlers_and_no_output() -> None:
    done = run_script(
        "import signal; before = [signal.getsignal(n) for n in (2, 15)]\n"
        + START
        + "assert [signal.getsignal(n) for n in (2, 15)] == before\nserver.stop()"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+\n", done.stdout)


def test_memory_of_idle_clients_is_given_back() -> None:
    with libkv.Store() as store, Server(store, port=0) as server, connect(server) as s, connect(server) as other:
        store.set("big", b"x" * 10_000)
        s.sendall(b"GET big\r\n")
        assert len(s.recv(10_010, socket.MSG_WAITALL)) == 10_010
        address = f"addr=127.0.0.1:{s.getsockname()[1]} "
        sizes = []
        for _ in range(100):
            other.sendall(b"CLIENT LIST\r\n")
            line = next(line for line in other.recv(10_000).decode().splitlines() if address in line)
            sizes.append(int(re.findall(r" rbs=(\d+) ", line)[0]))
            if sizes[-1] == 0:
                break
            time.sleep(0.1)
        assert sizes[0] >= 10_000 and sizes[-1] == 0
