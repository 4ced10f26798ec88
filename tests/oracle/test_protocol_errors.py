"""What redis-server answers to bytes that are no RESP, ours answers too, and both hang up at the same point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import libkv
from tests.resp import Wire, command

PING = b"*1\r\n$4\r\nPING\r\n"

MALFORMED = {
    "a count that is no number": b"*x\r\n",
    "a count with a plus": b"*+1\r\n$4\r\nPING\r\n",
    "a count with a zero in front": b"*01\r\n$4\r\nPING\r\n",
    "a count with a blank": b"* 1\r\n$4\r\nPING\r\n",
    "a count with text behind": b"*1x\r\n$4\r\nPING\r\n",
    "no count": b"*\r\n",
    "an empty array": b"*0\r\n" + PING,
    "a nil array": b"*-1\r\n" + PING,
    "a very negative count": b"*-2147483648\r\n" + PING,
    "a count below 32 bits": b"*-2147483649\r\n" + PING,
    "a count above the limit": b"*1048577\r\n" + PING[:-6],
    "a count of 2**31": b"*2147483648\r\n",
    "a count of 2**63": b"*9223372036854775808\r\n",
    "a count of forty digits": b"*" + b"9" * 40 + b"\r\n",
    "a long line of digits": b"*" + b"1" * 70000,
    "no bulk": b"*1\r\nPING\r\n",
    "a simple string for a bulk": b"*1\r\n+PING\r\n",
    "an integer for a bulk": b"*1\r\n:5\r\n",
    "an array for a bulk": b"*1\r\n*1\r\n$4\r\nPING\r\n",
    "a blank for a bulk": b"*1\r\n $4\r\nPING\r\n",
    "a line end for a bulk": b"*1\r\n\r\n$4\r\nPING\r\n",
    "a nul for a bulk": b"*1\r\n\x00",
    "a nul for a bulk, and a line end": b"*1\r\n\x00\r\n",
    "a high byte for a bulk, without a line end": b"*1\r\n\xff",
    "a high byte for a bulk": b"*1\r\n\xff\r\n",
    "a newline for a bulk": b"*1\r\n\n\r\n",
    "the most negative count": b"*-9223372036854775808\r\n" + PING,
    "a length that is no number": b"*1\r\n$x\r\n",
    "no length": b"*1\r\n$\r\n",
    "a negative length": b"*1\r\n$-1\r\n",
    "a length with a plus": b"*1\r\n$+4\r\nPING\r\n",
    "a length with a zero in front": b"*1\r\n$04\r\nPING\r\n",
    "a length above the limit": b"*2\r\n$4\r\nECHO\r\n$536870913\r\n",
    "a length of 2**63": b"*1\r\n$9223372036854775808\r\n",
    "a long line of a length": b"*1\r\n$" + b"1" * 70000,
    "a bulk that is longer than said": b"*1\r\n$3\r\nPING\r\n" + PING,
    "a bulk that is shorter than said": b"*1\r\n$5\r\nPING\r\n" + PING + PING,
    "a bulk without its line end": b"*1\r\n$4\r\nPINGxx" + PING,
    "an empty name": b"*1\r\n$0\r\n\r\n" + PING,
    "an empty line": b"\r\n\r\n\n" + PING,
    "blanks": b"   \r\n" + PING,
    "an inline command": b"PING\r\n",
    "an inline command without a carriage return": b"PING\n" + PING,
    "an inline command with blanks": b"  ECHO \t hello  \r\n",
    "inline quotes": b'ECHO "a\\x41\\n\\r\\t\\a\\b\\q\\"" \r\n',
    "inline apostrophes": b"ECHO 'a\\'b\\n'\r\n",
    "an inline empty string": b'ECHO ""\r\n',
    "an open quote": b'ECHO "abc\r\n',
    "an open apostrophe": b"ECHO 'abc\r\n",
    "text behind a quote": b'ECHO "abc"d\r\n',
    "a quote inside a word": b'ECHO ab"cd"\r\n',
    "an unfinished escape": b'ECHO "\\x4"\r\n',
    "an inline command that is too long": b"A" * 70000,
    "a nul inside an inline command": b"PI\x00NG\r\n" + PING,
    "high bytes inline": b"\xff\xfe\x80\r\n" + PING,
    "an unknown inline command": b"nosuch a b\r\n",
    "a dollar": b"$4\r\nPING\r\n",
    "HTTP GET": b"GET / HTTP/1.1\r\n\r\n",
    "what an attacker's browser sends": b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a b\r\n",
    "a Host header": b"Host: localhost\r\n" + PING,
    "good, then bad": PING + PING + b"*1\r\n!4\r\n" + PING,
    "bad inside a transaction": command("MULTI") + command("SET", "a", "b") + b"*1\r\n:1\r\n",
    "an unknown command with many arguments": command("nosuch", *(["argument"] * 40)),
    "an unknown command with line ends": command("no\r\nsuch", "a\r\nb"),
    "a name with a nul": command("PI\x00NG", "a"),
    "a very long name": command("x" * 500, "y" * 500),
    "TLS's first bytes": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
}  # fmt: skip

# before AUTH, with a password set
UNTRUSTED = {
    "ten arguments": command(*["PING"] * 10),
    "eleven arguments": command(*["PING"] * 11),
    "sixteen KB": command("ECHO", "x" * 16384),
    "more than sixteen KB": command("ECHO", "x" * 16385),
    "a command": command("GET", "a"),
    "an unknown command": command("nosuch", "a"),
    "a wrong number of arguments": command("GET"),
    "commands that are open to all": command("HELLO", "2") + command("RESET") + command("QUIT"),
    "AUTH, then more": command("AUTH", "wrong") + command("AUTH", "secret") + command("ECHO", "x" * 20000),
    "a long pipeline": command("AUTH", "secret") + command("MGET", *range(30)) + command("PING"),
}


def conversation(path: str, data: bytes, split: int = 0) -> tuple[bytes, bool]:
    """Sends the bytes, perhaps in pieces; all that comes back, and whether the other side hung up on us.

    HELLO's reply has the connection's number in it, which is cut out."""
    wire = Wire(path)
    try:
        try:
            if split:
                for at in range(0, len(data), split):
                    wire.send(data[at : at + split])
            else:
                wire.send(data)
            wire.socket.shutdown(1)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass
        got = b""
        try:
            while more := wire.socket.recv(65536):
                got += more
        except ConnectionResetError:
            pass
        head, found, tail = got.partition(b"$2\r\nid\r\n:")
        return (head + found + tail.partition(b"\r\n")[2] if found else got), got.startswith(b"-ERR Protocol")
    finally:
        wire.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = str(tmp_path_factory.mktemp("kv") / "s")
    with libkv.Store() as store, libkv.Server(store, port=None, unixsocket=path):
        yield path
        store.check()


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_input(redis_socket: str, served: str, name: str) -> None:
    data = MALFORMED[name]
    theirs = conversation(redis_socket, data)
    assert conversation(served, data) == theirs
    if len(data) < 200:
        assert conversation(served, data, split=1) == theirs
        assert conversation(served, data, split=3) == theirs


@pytest.fixture
def guarded(redis_socket: str, tmp_path: str) -> Iterator[tuple[str, str]]:
    """Both, with a password."""
    wire = Wire(redis_socket)
    wire.call("CONFIG", "SET", "requirepass", "secret")
    path = str(tmp_path) + "/s"
    try:
        with libkv.Store(requirepass="secret") as store, libkv.Server(store, port=None, unixsocket=path):
            yield redis_socket, path
    finally:
        wire.call("AUTH", "secret")
        assert wire.call("CONFIG", "SET", "requirepass", "") == b"+OK\r\n"
        wire.close()


def test_limits_before_a_password(guarded: tuple[str, str]) -> None:
    for name, data in UNTRUSTED.items():
        theirs, ours = conversation(guarded[0], data), conversation(guarded[1], data)
        assert ours == theirs, name
        if len(data) < 500:
            assert conversation(guarded[1], data, split=1) == theirs, name
