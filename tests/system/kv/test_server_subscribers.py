"""Subscribers that do not read: client-output-buffer-limit for pubsub, hard and soft; and many that come and go."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

import libkv
from tests.resp import Wire, command, parse


def served(tmp_path: Path, limits: str) -> tuple[libkv.Store, libkv.Server, str]:
    path = str(tmp_path / "s")
    store = libkv.Store(client_output_buffer_limit=limits)
    return store, libkv.Server(store, port=None, unixsocket=path).start(), path


def closed_within(wire: Wire, seconds: float) -> bool:
    """Whether the server closes this connection, which has not been read, in that time."""
    end = time.monotonic() + seconds
    wire.socket.settimeout(0.05)
    while time.monotonic() < end:
        try:
            wire.socket.send(b"PING\r\n")  # to a closed peer: an error, sooner or later
        except TimeoutError:
            continue
        except OSError:
            return True
        time.sleep(0.02)
    return False


def listeners(wire: Wire) -> int:
    return int(parse(wire.call("PUBSUB", "NUMSUB", "c"))[0][1])


@pytest.mark.parametrize("protocol", ["2", "3"])
def test_hard_limit(tmp_path: Path, protocol: str) -> None:
    store, server, path = served(tmp_path, "normal 0 0 0 replica 0 0 0 pubsub 300000 0 0")
    slow, quick, publisher = Wire(path), Wire(path), Wire(path)
    for wire in (slow, quick):
        wire.call("HELLO", protocol)
        wire.call("SUBSCRIBE", "c")
    for i in range(2000):
        publisher.call("PUBLISH", "c", b"%05d" % i + b"x" * 1000)
        assert b"%05d" % i in quick.reply()
        if listeners(publisher) == 1:
            break
    assert listeners(publisher) == 1 and 300 < i < 1999
    publisher.call("PUBLISH", "c", "end")
    assert b"end" in quick.reply()
    assert closed_within(slow, 5)
    store.check()
    for wire in (slow, quick, publisher):
        wire.close()
    server.stop()
    store.close()


def test_soft_limit(tmp_path: Path) -> None:
    store, server, path = served(tmp_path, "normal 0 0 0 replica 0 0 0 pubsub 0 100000 1")
    slow, publisher = Wire(path), Wire(path)
    slow.call("SUBSCRIBE", "c")
    for _ in range(800):
        publisher.call("PUBLISH", "c", b"x" * 1000)
    assert listeners(publisher) == 1
    for _ in range(100):
        if listeners(publisher) == 0:
            break
        time.sleep(0.05)
    assert listeners(publisher) == 0
    slow.close()
    publisher.close()
    server.stop()
    store.close()


def test_normal_clients_have_their_own_limit(tmp_path: Path) -> None:
    store, server, path = served(tmp_path, "normal 0 0 0 replica 0 0 0 pubsub 10000 0 0")
    wire = Wire(path)
    store.set("big", b"x" * 100_000)
    assert len(wire.call("GET", "big")) > 100_000
    wire.close()
    server.stop()
    store.close()


def test_thousands_disconnect(tmp_path: Path) -> None:
    store, server, path = served(tmp_path, "normal 0 0 0 replica 0 0 0 pubsub 0 0 0")
    publisher = Wire(path)
    clients = []
    for i in range(900):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.sendall(command("SUBSCRIBE", "c", f"c{i}") + command("PSUBSCRIBE", "p*"))
        clients.append(s)
    for _ in range(200):
        if listeners(publisher) == 900:
            break
        time.sleep(0.02)
    assert parse(publisher.call("PUBLISH", "c", "m"))[0] == 900
    for s in clients:
        s.close()
    for _ in range(200):
        if parse(publisher.call("PUBSUB", "NUMPAT"))[0] == 0:
            break
        time.sleep(0.02)
    assert parse(publisher.call("PUBSUB", "CHANNELS"))[0] == []
    store.check()
    publisher.close()
    server.stop()
    store.close()
