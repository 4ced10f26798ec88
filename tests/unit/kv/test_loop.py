"""The event loop against real sockets: one thread drives it by hand, so that each step can be looked at."""

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from libkv.testing.native.loop import Echo


class Bench:
    """A loop with one listener, and clients of it."""

    def __init__(self, **settings: int) -> None:
        self.echo = Echo(**settings)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.setblocking(False)
        self.echo.listen(self.listener.fileno())
        self.clients: list[socket.socket] = []

    def client(self, **options: int) -> socket.socket:
        s = socket.socket()
        s.settimeout(5)
        if "rcvbuf" in options:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["rcvbuf"])
        s.connect(self.listener.getsockname())
        self.clients.append(s)
        return s

    def count(self, name: str) -> int:
        return int(self.echo.counters()[name])

    def turn_until(self, name: str, value: int) -> None:
        """Turns the loop until a counter has the value; a test that waits for what never comes fails."""
        for _ in range(400):
            if self.count(name) >= value:
                return
            self.echo.turn(1, timeout_us=5000)
        raise AssertionError(f"{name} stays at {self.count(name)}, {value} expected: {self.echo.counters()}")

    def close(self) -> None:
        for s in self.clients:
            s.close()
        self.echo.shut()
        self.listener.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    b = Bench()
    yield b
    b.close()


def read_all(s: socket.socket, n: int, bench: Bench) -> bytes:
    """n bytes, turning the loop meanwhile."""
    s.setblocking(False)
    got = bytearray()
    for _ in range(20000):
        try:
            part = s.recv(1 << 20)
        except BlockingIOError:
            bench.echo.turn(1, timeout_us=1000)
            continue
        if not part:
            break
        got += part
        if len(got) >= n:
            break
    s.settimeout(5)
    return bytes(got)


def test_echo(bench: Bench) -> None:
    s = bench.client()
    s.sendall(b"hello")
    bench.turn_until("sent", 1)
    assert s.recv(100) == b"hello"
    assert (bench.count("reads"), bench.count("writes")) == (1, 1)


def test_what_is_ready_together_comes_as_one_batch(bench: Bench) -> None:
    clients = [bench.client() for _ in range(20)]
    bench.turn_until("accepted", 20)
    for i, s in enumerate(clients):
        s.sendall(b"message %d" % i)
    bench.turn_until("sent", 20)
    for i, s in enumerate(clients):
        assert s.recv(100) == b"message %d" % i
    assert bench.count("batches") == 1
    assert bench.count("largest_batch") == 20
    assert bench.count("reads") == 20
    assert bench.count("writes") == 20


def test_more_than_the_read_buffer_in_one_round(bench: Bench) -> None:
    clients = [bench.client() for _ in range(6)]
    bench.turn_until("accepted", 6)
    blocks = [bytes([97 + i]) * 100_000 for i in range(6)]
    for s, block in zip(clients, blocks, strict=True):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        threading.Thread(target=s.sendall, args=(block,)).start()
    for s, block in zip(clients, blocks, strict=True):
        assert read_all(s, len(block), bench) == block


@pytest.mark.parametrize("n", [65535, 65536, 65537, 131072])
def test_input_as_long_as_a_read(bench: Bench, n: int) -> None:
    """A read that fills its room says nothing about what is left: nothing is forgotten, nothing waits for more."""
    s = bench.client()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    threading.Thread(target=s.sendall, args=(b"e" * n,)).start()
    assert read_all(s, n, bench) == b"e" * n
    bench.echo.turn(2, timeout_us=1000)
    s.sendall(b"end")
    s.shutdown(socket.SHUT_WR)
    assert read_all(s, 3, bench) == b"end"
    bench.turn_until("closed", 1)


def test_data_and_end_at_once(bench: Bench) -> None:
    s = bench.client()
    bench.turn_until("accepted", 1)
    s.sendall(b"last words")
    s.close()
    bench.turn_until("closed", 1)
    assert (bench.count("received"), bench.count("eofs")) == (10, 1)


def test_a_reader_that_is_slow_gets_everything(bench: Bench) -> None:
    s = bench.client(rcvbuf=4096)
    n = 8_000_000
    s.sendall(b"B%d." % n)
    bench.turn_until("batches", 1)
    writes = bench.count("writes")
    bench.echo.turn(5, timeout_us=1000)
    assert bench.count("writes") == writes, "a full socket is written to without being asked"
    assert bench.count("sent") == 0
    assert read_all(s, n, bench) == b"x" * n
    bench.turn_until("sent", 1)
    # the watch for room is taken back: an idle loop sleeps
    waits = bench.count("waits")
    bench.echo.turn(2, timeout_us=20000)
    assert bench.count("waits") == waits + 2
    s.sendall(b"again")
    assert read_all(s, 5, bench) == b"again"


def test_a_client_that_never_reads_holds_up_nobody(bench: Bench) -> None:
    deaf = bench.client(rcvbuf=4096)
    deaf.sendall(b"B5000000.")
    bench.turn_until("batches", 1)
    s = bench.client()
    for i in range(20):
        s.sendall(b"ping %d" % i)
        assert read_all(s, 6, bench) == b"ping %d" % i


def test_close_after_the_reply(bench: Bench) -> None:
    s = bench.client()
    s.sendall(b"Quit")
    bench.turn_until("closed", 1)
    assert s.recv(100) == b"Quit"
    assert s.recv(100) == b""
    assert bench.count("connections") == 0


def test_the_last_reply_survives_unread_input(bench: Bench) -> None:
    s = bench.client()
    s.sendall(b"Q")
    bench.turn_until("accepted", 1)
    for _ in range(3):
        bench.echo.turn(1, timeout_us=1000)
        with contextlib.suppress(OSError):
            s.sendall(b"more" * 100)
    bench.turn_until("closed", 1)
    assert s.recv(100)[:1] == b"Q"


def test_half_closed_peer_gets_its_reply(bench: Bench) -> None:
    s = bench.client(rcvbuf=4096)
    s.sendall(b"B3000000.")
    s.shutdown(socket.SHUT_WR)
    bench.turn_until("eofs", 1)
    assert bench.count("closed") == 0
    assert len(read_all(s, 3_000_000, bench)) == 3_000_000
    bench.turn_until("closed", 1)
    assert s.recv(10) == b""
    assert bench.count("eofs") == 1


def test_half_closed_peer_that_does_not_read_makes_no_noise(bench: Bench) -> None:
    s = bench.client(rcvbuf=4096)
    s.sendall(b"B3000000.")
    s.shutdown(socket.SHUT_WR)
    bench.turn_until("eofs", 1)
    bench.echo.turn(3, timeout_us=1000)
    reads = bench.count("reads")
    bench.echo.turn(10, timeout_us=1000)
    assert bench.count("reads") == reads, "end of file is read again and again"


def test_reset(bench: Bench) -> None:
    s = bench.client(rcvbuf=4096)
    s.sendall(b"B3000000.")
    bench.turn_until("batches", 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    s.close()
    bench.turn_until("closed", 1)
    assert bench.count("errors") == 1
    assert bench.count("connections") == 0
    other = bench.client()
    other.sendall(b"still here")
    assert read_all(other, 10, bench) == b"still here"


def test_stop_and_start_reading(bench: Bench) -> None:
    s = bench.client()
    s.sendall(b"Stop")
    assert read_all(s, 4, bench) == b"Stop"
    bench.echo.turn(1, timeout_us=1000)
    batches = bench.count("batches")
    s.sendall(b"later")
    bench.echo.turn(5, timeout_us=1000)
    assert bench.count("batches") == batches
    bench.echo.wake()
    assert read_all(s, 5, bench) == b"later"


def test_connections_closed_by_another_ones_data(bench: Bench) -> None:
    clients = [bench.client() for _ in range(10)]
    bench.turn_until("accepted", 10)
    for s in clients:
        s.sendall(b"Kill")
    bench.turn_until("closed", 9)
    bench.echo.turn(3, timeout_us=1000)
    assert bench.count("closed") in (9, 10)
    # the slots are used again, with other generations
    again = [bench.client() for _ in range(10)]
    for i, s in enumerate(again):
        s.sendall(b"%d" % i)
    for i, s in enumerate(again):
        assert read_all(s, 1, bench) == b"%d" % i


def test_a_forked_copy_of_a_closed_connection_meets_nobody(bench: Bench) -> None:
    """A child that holds the descriptor keeps the socket alive; its events must not reach the slot's next owner."""
    s = bench.client()
    bench.turn_until("accepted", 1)
    hold_read, hold_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(hold_write)
        os.read(hold_read, 1)
        os._exit(0)
    os.close(hold_read)
    try:
        s.sendall(b"Q")
        bench.turn_until("closed", 1)
        s.sendall(b"for nobody")
        other = bench.client()
        bench.turn_until("accepted", 2)
        batches = bench.count("batches")
        bench.echo.turn(3, timeout_us=1000)
        assert bench.count("batches") == batches
        other.sendall(b"mine")
        assert read_all(other, 4, bench) == b"mine"
    finally:
        os.close(hold_write)
        os.waitpid(pid, 0)


def test_refused_connection_is_closed(bench: Bench) -> None:
    bench.echo.refuse(True)
    s = bench.client()
    bench.echo.turn(3, timeout_us=1000)
    assert s.recv(10) == b""
    assert bench.count("connections") == 0


def test_out_of_descriptors(bench: Bench) -> None:
    before = bench.client()
    bench.turn_until("accepted", 1)
    waiting = [bench.client() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # a limit at the present number: accept has none left
    in_use = max(map(int, os.listdir("/proc/self/fd"))) + 1
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 8, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(10):
            bench.echo.turn(1, timeout_us=1000)
        for s in waiting:
            assert s.recv(10) == b"", "the client is left waiting"
        before.sendall(b"served")
        assert read_all(before, 6, bench) == b"served"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fillers:
            os.close(fd)
    assert bench.count("last_error") in (23, 24)
    after = bench.client()
    after.sendall(b"after")
    assert read_all(after, 5, bench) == b"after"


def test_timer() -> None:
    b = Bench(tick_us=2000)
    began = time.monotonic()
    b.turn_until("ticks", 5)
    assert time.monotonic() - began >= 0.0099
    b.close()


def test_wakes_from_many_threads() -> None:
    b = Bench()
    loop = threading.Thread(target=b.echo.run)
    loop.start()

    def wake_often() -> None:
        for _ in range(2000):
            b.echo.wake()

    threads = [threading.Thread(target=wake_often) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    b.echo.stop()
    loop.join(5)
    assert not loop.is_alive(), "the last wake was lost"
    assert b.count("wakes") >= 1
    b.close()


def test_watched_descriptor(bench: Bench) -> None:
    r, w = os.pipe()
    bench.echo.watch(r)
    bench.echo.turn(2, timeout_us=1000)
    assert bench.count("fd_events") == 0
    os.write(w, b"x")
    bench.turn_until("fd_events", 1)
    bench.echo.turn(2, timeout_us=1000)
    assert bench.count("fd_events") == 1
    os.close(r)
    os.close(w)


def run_ping_pong(b: Bench, rounds: int, pause: float) -> None:
    loop = threading.Thread(target=b.echo.run)
    loop.start()
    s = b.client()
    for _ in range(rounds):
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        if pause:
            time.sleep(pause)
    b.echo.stop()
    loop.join(5)
    b.close()


def test_spinning_stays_off_when_it_does_not_pay() -> None:
    """With requests 20 ms apart, polling for 1 ms never meets one."""
    b = Bench(spin_us=1000)
    run_ping_pong(b, 20, 0.02)
    assert b.count("gap_us") > 1000
    b2 = Bench(spin_us=0)
    run_ping_pong(b2, 5, 0)
    assert b2.count("spins") == 0


def test_spinning_when_it_pays() -> None:
    b = Bench(spin_us=20000)
    run_ping_pong(b, 300, 0)
    assert b.count("gap_us") < 20000
    assert b.count("spins") > 0


def test_many_connections_at_once(bench: Bench) -> None:
    clients = [bench.client() for _ in range(400)]
    bench.turn_until("accepted", 400)
    for i, s in enumerate(clients):
        s.sendall(b"%d" % i)
    bench.turn_until("sent", 400)
    for i, s in enumerate(clients):
        assert s.recv(10) == b"%d" % i
    for s in clients:
        s.close()
    bench.turn_until("closed", 400)
    assert bench.count("connections") == 0
