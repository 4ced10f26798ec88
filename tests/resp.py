"""RESP as bytes: requests made, replies cut out of a stream and read, without a client in between."""

from __future__ import annotations

import socket
from typing import Any


def command(*args: Any) -> bytes:
    """One request, as a client sends it."""
    words = [a if isinstance(a, bytes) else str(a).encode("utf-8", "surrogateescape") for a in args]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def reply_end(data: bytes, at: int = 0) -> int:
    """Where the reply that starts at `at` ends; -1 when it is not complete."""
    eol = data.find(b"\r\n", at)
    if eol < 0:
        return -1
    kind, rest, at = data[at : at + 1], data[at + 1 : eol], eol + 2
    if kind in b"$=!":
        n = int(rest)
        if n < 0:
            return at
        return at + n + 2 if len(data) >= at + n + 2 else -1
    if kind in b"*%~>|":
        for _ in range(max(int(rest), 0) * (2 if kind in b"%|" else 1)):
            at = reply_end(data, at)
            if at < 0:
                return -1
    return at


def parse(data: bytes, at: int = 0) -> tuple[Any, int]:
    """A reply as nested Python values, with its type's first byte where that matters: ("-", text) for an error,
    ("%", pairs) and ("~", members) for RESP3's; and where it ends."""
    eol = data.index(b"\r\n", at)
    kind, rest, at = data[at : at + 1], data[at + 1 : eol], eol + 2
    if kind in b"$=":
        n = int(rest)
        return (None, at) if n < 0 else (data[at : at + n], at + n + 2)
    if kind in b"*%~>":
        if int(rest) < 0:
            return None, at
        items = []
        for _ in range(int(rest) * (2 if kind == b"%" else 1)):
            item, at = parse(data, at)
            items.append(item)
        return (items if kind == b"*" else (kind.decode(), items)), at
    if kind == b":":
        return int(rest), at
    if kind == b"_":
        return None, at
    return (kind.decode(), rest), at


def unordered(value: Any) -> Any:
    """The value with every list sorted, for replies whose order is free."""
    if isinstance(value, list):
        return sorted((unordered(v) for v in value), key=repr)
    if isinstance(value, tuple) and isinstance(value[1], list):
        if value[0] == "%":
            pairs = zip(value[1][::2], value[1][1::2], strict=True)
            return ("%", sorted(([k, unordered(v)] for k, v in pairs), key=repr))
        return (value[0], unordered(value[1]))
    return value


class Wire:
    """A connection that speaks RESP: to redis-server, or to a server of ours."""

    def __init__(self, address: str | tuple[str, int], timeout: float = 30) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """The next reply's bytes; EOFError when the other side closes."""
        while True:
            end = reply_end(self.buffer)
            if end >= 0:
                out, self.buffer = self.buffer[:end], self.buffer[end:]
                return out
            more = self.socket.recv(1 << 20)
            if not more:
                raise EOFError(self.buffer)
            self.buffer += more

    def call(self, *args: Any) -> bytes:
        self.send(command(*args))
        return self.reply()

    def close(self) -> None:
        self.socket.close()
