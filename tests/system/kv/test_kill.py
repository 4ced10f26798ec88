"""kill -9 under load, again and again: `always` loses no answered write, `everysec` keeps a prefix of each client's.

LONG=1: 500 rounds.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

import libkv
from tests.resp import command, reply_end
from tests.servers import OURS, Process

ROUNDS = 250 if os.environ.get("LONG") else 4  # of each mode
CLIENTS = 6
pytestmark = pytest.mark.timeout(3600 if os.environ.get("LONG") else 120)


class Writer(threading.Thread):
    """Counts its own key up, pipelined, and notes what was answered."""

    def __init__(self, port: int, number: int, first: int, pipelined: int) -> None:
        super().__init__()
        self.port = port
        self.number = number
        self.sent = self.answered = first
        self.pipelined = pipelined

    def run(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                data = b""
                while True:
                    request = b""
                    for _ in range(self.pipelined):
                        self.sent += 1
                        request += command("RPUSH", f"list:{self.number}", self.sent)
                    s.sendall(request)
                    expected = self.sent
                    while self.answered < expected:
                        part = s.recv(65536)
                        if not part:
                            return
                        data += part
                        while (end := reply_end(data)) > 0:
                            data = data[end:]
                            self.answered += 1
        except OSError:
            return


@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_kill_9_keeps_what_was_promised(tmp_path: Path, mode: str) -> None:
    rng = random.Random(mode)
    home = tmp_path / "home"
    kept = [0] * CLIENTS
    options = ("--appendonly", "yes", "--appendfsync", mode, "--auto-aof-rewrite-min-size", "20kb")
    for round_ in range(ROUNDS):
        server = Process(OURS, home, *options).wait_ready()
        writers = [Writer(server.port, n, kept[n], rng.choice((1, 1, 5, 40))) for n in range(CLIENTS)]
        for writer in writers:
            writer.start()
        time.sleep(rng.random() * 0.4)
        if rng.random() < 0.5:
            server.ask(command("BGSAVE") if rng.random() < 0.5 else command("BGREWRITEAOF"))
            time.sleep(rng.random() * 0.05)
        server.popen.send_signal(signal.SIGKILL)
        server.popen.wait(10)
        for writer in writers:
            writer.join(20)
            assert not writer.is_alive()
        with libkv.open(home) as store:
            for n, writer in enumerate(writers):
                values = [int(v) for v in store.lrange(f"list:{n}", 0, -1)]
                assert values == list(range(1, len(values) + 1)), f"round {round_}: not a prefix"
                least = writer.answered if mode == "always" else kept[n]
                assert least <= len(values) <= writer.sent, f"round {round_}: client {n}"
                kept[n] = len(values)
    assert sum(kept) > 100
    time.sleep(0.3)  # a child of the last round may have been at work
    libkv.open(home).close()
    for left in home.rglob("temp-*"):
        raise AssertionError(f"{left} was left behind")
