"""Several clients at once, on redis-server and on a served store of ours: after each command everything that any client
has received must be the same, bytes and order."""

from __future__ import annotations

import fcntl
import os
import re
import select
import socket
import struct
import termios
import time
from pathlib import Path
from typing import Any

import libkv
from tests.resp import command, parse, reply_end
from tests.resp import unordered as free

LATE = 0.1  # s that a reply may take
QUIET = 0.004  # s without news from redis-server: it has said all
PATIENCE = 2.0  # s that ours may take to say as much

CLOCKS = re.compile(rb"^\+\d+\.\d{6} ", re.M)
VARYING = re.compile(rb"(fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem)=\d+")
LENGTH = re.compile(rb"^([$=])\d+\r\n(?=(txt:)?id=)", re.M)


class Client:
    """One connection to one of the two."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.got = b""
        self.closed = False

    def read(self) -> bool:
        """Takes what has come; whether anything has."""
        try:
            part = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            part = b""
        if part:
            self.got += part
            return True
        news = not self.closed
        self.closed = True
        return news

    def unread(self) -> int:
        """Bytes that the server has not taken yet."""
        n: int = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        return n

    def server(self) -> int:
        """The number of the server's process."""
        number: int = struct.unpack("3i", self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return number

    def take(self) -> bytes:
        out, self.got = self.got + (b"<closed>" if self.closed else b""), b""
        return out


class Side:
    """The clients of one server, by name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.clients: dict[str, Client] = {}
        self.ids: dict[bytes, bytes] = {}  # the server's number of a client -> its name

    def client(self, name: str) -> Client:
        if name not in self.clients:
            self.clients[name] = Client(self.path)
            number = self.ask(name, "CLIENT", "ID")[1:-2]
            self.ids[number] = b"<" + name.encode() + b">"
        return self.clients[name]

    def send(self, name: str, data: bytes) -> None:
        self.client(name).socket.sendall(data)

    def ask(self, name: str, *args: Any) -> bytes:
        """One command of a client that nothing else is sent to."""
        client = self.clients[name]
        client.socket.sendall(command(*args))
        end = time.monotonic() + PATIENCE
        while reply_end(client.got) < 0 and time.monotonic() < end:
            select.select([client.socket], [], [], 0.1)
            client.read()
        return client.take()

    def idle(self) -> bool:
        """Whether the server has nothing to do: it took all it was sent, and (when it is another process) sleeps."""
        clients = [c for c in self.clients.values() if not c.closed]
        if any(c.unread() for c in clients):
            return False
        server = clients[0].server() if clients else os.getpid()
        stat = Path(f"/proc/{server}/stat")
        return server == os.getpid() or not stat.exists() or stat.read_text().rpartition(") ")[2][0] == "S"

    def settle(self, sizes: dict[str, int] | None, asked: str | None = None) -> None:
        """Reads until nothing comes for a moment; or until every client has as many bytes, then looks once more.

        asked: a client that a reply is expected for; not every command has one."""
        end = time.monotonic() + PATIENCE
        client = self.clients.get(asked or "")
        if client is not None and not client.got:
            select.select([client.socket], [], [], LATE)
        while True:
            enough = sizes is None or all(len(c.got) >= sizes[name] for name, c in self.clients.items())
            open_ = [c.socket for c in self.clients.values() if not c.closed]
            pause = 0.02 if not enough else QUIET if sizes is None else 0.001
            ready, _, _ = select.select(open_, [], [], pause)
            for c in self.clients.values():
                if c.socket in ready:
                    c.read()
            if not ready and ((enough and (sizes is not None or self.idle())) or time.monotonic() > end):
                return

    def received(self, unordered: bool) -> dict[str, Any]:
        """What each client has got since the last time, with what differs between servers taken out."""
        out: dict[str, Any] = {}
        for name, client in self.clients.items():
            data = client.take()
            data = data.replace(self.path.encode(), b"<path>")
            data = CLOCKS.sub(b"+<time> ", data)
            data = LENGTH.sub(rb"\1<n>\r\n", VARYING.sub(rb"\1=<n>", data))
            for number, who in self.ids.items():
                data = re.sub(
                    rb"(\bid=|\bredir=|-broken\r\n:|redirect\r\n:|\bid\r\n:)%s(?=\s)" % number, rb"\1" + who, data
                )
            out[name] = sorted((free(parse(r)[0]) for r in split(data)), key=repr) if unordered else data
        return out

    def close(self) -> None:
        for client in self.clients.values():
            client.socket.close()


def split(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        end = reply_end(data, at)
        if end < 0:
            return [*found, data[at:]]
        found.append(data[at:end])
        at = end
    return found


class Several:
    """Named clients, each on both servers.  Store: of ours."""

    def __init__(self, redis_socket: str, own_socket: str) -> None:
        self.store = libkv.Store(enable_debug_command="yes")
        self.server = libkv.Server(self.store, port=None, unixsocket=own_socket).start()
        self.sides = [Side(redis_socket), Side(own_socket)]
        for words in ("FLUSHALL", "CONFIG SET slowlog-log-slower-than 60000000", "SLOWLOG RESET", "CONFIG RESETSTAT"):
            self.do("control", *words.split())
        self.do("control", "CONFIG", "SET", "notify-keyspace-events", "")

    def raw(self, name: str, data: bytes, *, unordered: bool = False) -> dict[str, Any]:
        """Sends bytes from this client on both, and compares what all clients get."""
        real, ours = self.sides
        for side in self.sides:
            side.client(name)
        real.send(name, data)
        real.settle(None, name)
        sizes = {n: len(c.got) for n, c in real.clients.items()}
        ours.send(name, data)
        tells_ids = any(re.search(rb"\bid=|redir|\bid\r", c.got) for c in real.clients.values())  # of other lengths
        ours.settle(None if tells_ids else sizes, name)
        if not tells_ids and any(len(c.got) > sizes[n] for n, c in ours.clients.items()):  # theirs is the later one
            real.settle({n: len(c.got) for n, c in ours.clients.items()})
        a, b = real.received(unordered), ours.received(unordered)
        assert b == a, f"{name}: {data!r}\nredis {a}\nours  {b}"
        return b

    def do(self, name: str, *args: Any, unordered: bool = False) -> dict[str, Any]:
        """One command; `@name` in an argument stands for the number of that client."""
        if not any(isinstance(a, str) and a.startswith("@") for a in args):
            return self.raw(name, command(*args), unordered=unordered)
        for side in self.sides:
            side.client(name)
            numbers = {who: n for n, who in side.ids.items()}
            words = [numbers[b"<" + a[1:].encode() + b">"] if isinstance(a, str) and a[:1] == "@" else a for a in args]
            side.send(name, command(*words))
            side.settle(None, name)
        a, b = (side.received(unordered) for side in self.sides)
        assert b == a, f"{name}: {args!r}\nredis {a}\nours  {b}"
        return b

    def run(self, script: str) -> None:
        """A line a command: the client's name, a colon, the words; empty lines and those with # are passed over."""
        for line in script.splitlines():
            if not line.strip() or line.strip().startswith("#"):
                continue
            name, words = line.strip().split(":", 1)
            self.do(name, *(w.replace("''", "") for w in words.split()))

    def wait(self, seconds: float) -> dict[str, Any]:
        """Lets time pass on both, then compares what has come."""
        time.sleep(seconds)
        for side in self.sides:
            side.settle(None)
        a, b = (side.received(False) for side in self.sides)
        assert b == a, f"redis {a}\nours  {b}"
        return b

    def leave(self, name: str) -> None:
        """Closes this client's connections."""
        for side in self.sides:
            side.clients.pop(name).socket.close()
        self.wait(0.02)

    def close(self) -> None:
        for side in self.sides:
            side.close()
        self.store.check()
        self.server.stop()
        self.store.close()
