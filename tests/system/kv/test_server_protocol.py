"""Bad and unusual bytes on a connection: the answer, the end of the connection and the log are redis-server's."""

from __future__ import annotations

import random
import re
import socket
import threading

import pytest

from tests.servers import Process, Start, read_until_closed

CASES = {
    "negative bulk": b"*1\r\n$-5\r\n",
    "bulk too long": b"*1\r\n$600000000\r\n",
    "no dollar": b"*1\r\n:3\r\n",
    "no count": b"*abc\r\n",
    "count too high": b"*2000000000000\r\n",
    "no bulk length": b"*1\r\n$abc\r\n",
    "endless count": b"*" + b"1" * 70000,
    "endless inline": b"A" * 70000,
    "open quotes": b"GET 'abc\r\n",
    "nothing at all": b"*-5\r\n*0\r\n\r\n\r\nPING\r\n",
    "endless bulk length": b"*1\r\n$" + b"1" * 70000,
    "wrong line end": b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    "quit in the middle": b"PING\r\nQUIT\r\nPING\r\n",
    "inline with quotes": b'SET "a b" \'c d\'\r\nGET "a\\x20b"\r\n',
    "unknown command": b"NOSUCH a b c\r\n",
    "null bytes": b"*2\r\n$4\r\nECHO\r\n$3\r\n\0\0\0\r\n",
    "errors then good": b"GET\r\nSELECT 99\r\nPING hello\r\n",
    "garbage behind good": b"*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n",
    "http get": b"GET / HTTP/1.0\r\n",
}


@pytest.mark.parametrize("name", CASES)
def test_same_answer(both: tuple[Process, Process], name: str) -> None:
    ours, real = both
    assert ours.ask(CASES[name]) == real.ask(CASES[name])


@pytest.mark.parametrize("name", ["negative bulk", "no dollar", "no count", "endless inline", "open quotes"])
def test_protocol_errors_are_logged(both: tuple[Process, Process], name: str) -> None:
    ours, _ = both
    before = len(re.findall("Protocol error", ours.log()))
    ours.ask(CASES[name])
    ours.wait_log(f"(?s)(Protocol error.*){{{before + 1}}}")
    line = ours.log().rpartition("Protocol error")[2]
    assert re.match(
        r" \([^)]+\) from client: id=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name= age=", line
    )


def test_byte_by_byte(both: tuple[Process, Process]) -> None:
    ours, _ = both
    with ours.connect() as s:
        for byte in b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nPING\r\n":
            s.sendall(bytes([byte]))
        s.shutdown(socket.SHUT_WR)
        assert read_until_closed(s) == b"+OK\r\n$5\r\nvalue\r\n+PONG\r\n"


def test_query_buffer_limit(both: tuple[Process, Process]) -> None:
    """An unfinished command above client-query-buffer-limit ends its connection; others are served."""
    ours, _ = both
    with ours.connect() as s, pytest.raises((ConnectionResetError, BrokenPipeError)):
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4000000\r\n" + b"x" * 3_000_000)
        while s.recv(100):
            pass
        raise ConnectionResetError
    ours.wait_log("Closing client that reached max query buffer length: id=")
    assert ours.ask(b"PING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n<closed>"


def test_half_sent_command_then_gone(both: tuple[Process, Process]) -> None:
    ours, _ = both
    for end in range(1, 30):
        with ours.connect() as s:
            s.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$5\r\nvalue\r\n"[:end])
    assert ours.ask(b"EXISTS half\r\nQUIT\r\n") == b":0\r\n+OK\r\n<closed>"


def test_a_million_commands_in_one_write(start: Start) -> None:
    ours = start()
    n = 1_000_000
    with ours.connect() as s:
        sender = threading.Thread(target=s.sendall, args=(b"INCR counter\r\n" * n,))
        sender.start()
        s.settimeout(60)
        end = b":%d\r\n" % n
        tail = b""
        total = 0
        while not tail.endswith(end):
            part = s.recv(1 << 20)
            assert part, "closed early"
            total += part.count(b"\n")  # a CR and its LF may come apart
            tail = (tail + part)[-32:]
        sender.join()
    assert total == n


def test_values_of_any_bytes_and_large_ones(start: Start) -> None:
    ours = start()
    value = bytes(range(256)) * 40_000
    with ours.connect() as s:
        s.sendall(
            b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" % (len(value), value)
        )
        s.shutdown(socket.SHUT_WR)
        assert read_until_closed(s) == b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)


@pytest.mark.parametrize("seed", range(3))
def test_mutated_requests(both: tuple[Process, Process], seed: int) -> None:
    """Requests with bytes changed, dropped and doubled: an answer or an end, and everybody else is served."""
    source = random.Random(seed)
    ours, _ = both
    whole = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nbc\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n" * 4
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(source.randrange(1, 6)):
            at = source.randrange(len(data))
            kind = source.randrange(3)
            if kind == 0:
                data[at] = source.choice(b"*$:+-\r\n0129'\"x \0\xff")
            elif kind == 1:
                del data[at : at + source.randrange(1, 9)]
            else:
                data[at:at] = data[at : at + source.randrange(1, 9)]
        with ours.connect() as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = read_until_closed(s)
            assert answer == b"" or answer[:1] in b"+-$:*"
    assert ours.ask(b"PING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n<closed>"


def test_client_reply_modes_over_the_wire(both: tuple[Process, Process]) -> None:
    request = (
        b"CLIENT REPLY SKIP\r\nPING\r\nPING one\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY SKIP\r\nPING\r\n"
        b"CLIENT REPLY ON\r\nPING two\r\n"
    )
    ours, real = both
    assert ours.ask(request) == real.ask(request)
