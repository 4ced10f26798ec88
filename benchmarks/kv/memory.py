"""Bytes a key (or an element): by used_memory of INFO, and by the process's resident growth (anonymous pages).

Each row has a fresh server of each kind; both get the same bytes.  What is measured is settled: used_memory stands
still (tables rehash in the background), or ten seconds are over.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.kv.subjects import LOAD_CPU, OURS, REDIS, Subject, encode, pin

CHUNK = 20_000  # commands a write


@dataclass(frozen=True)
class Row:
    """What is stored, and per what the bytes are counted.

    valkey: bytes by used_memory of valkey 9.1.2 for the same kind of row, measured once, as a mark to aim at.
    """

    name: str
    kind: str
    unit: str
    valkey: float | None = None


ROWS = (
    Row("key:%d -> 10 bytes", "plain", "key", 57.5),
    Row("key:%d -> 10 bytes, with TTL", "ttl", "key", 92.0),
    Row("key:%d -> integer", "int", "key", 49.5),
    Row("16-byte key -> 64 bytes", "wide", "key", 113.6),
    Row("hash of 10", "hash", "key", 209),
    Row("list of 10", "list", "key", 161),
    Row("set of 10", "set", "key", 161),
    Row("sorted set of 10", "zset", "key", 177),
    Row("big hash", "big hash", "element", 46),
    Row("big set", "big set", "element", 30),
    Row("big sorted set", "big zset", "element", 67),
    Row("big list", "big list", "element", 15.8),
    Row("big stream", "big stream", "element", 21.5),
)
#: used_memory of the first row, bytes a key
TARGET_PLAIN = 57
TARGET_RESIDENT = 0.65  # of redis-server's growth
TARGET_HONEST = 1.10  # resident growth / used_memory's


def ten(i: int) -> str:
    """A value of 10 bytes that is no number."""
    return f"v{i:09}"


def commands(kind: str, start: int, end: int) -> Iterator[bytes]:
    """The commands that store keys (or elements) start..end-1."""
    words: tuple[str | int, ...]
    for i in range(start, end):
        # the frequent ones by hand: encode() would take most of the run
        if kind == "plain":
            key = f"key:{i}"
            yield b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$10\r\nv%09d\r\n" % (len(key), key.encode(), i)
            continue
        if kind == "wide":
            yield b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$64\r\n%064d\r\n" % (i, i)
            continue
        if kind == "ttl":
            words = ("SET", f"key:{i}", ten(i), "EX", 1_000_000 + i % 1000)
        elif kind == "int":
            words = ("SET", f"key:{i}", 1_000_000 + i)
        elif kind == "hash":
            words = ("HSET", f"key:{i}", *(w for k in range(10) for w in (f"f{k}", f"v{k:07}")))
        elif kind == "list":
            words = ("RPUSH", f"key:{i}", *(ten(k) for k in range(10)))
        elif kind == "set":
            words = ("SADD", f"key:{i}", *(ten(k) for k in range(10)))
        elif kind == "zset":
            words = ("ZADD", f"key:{i}", *(w for k in range(10) for w in (k, f"m{k:07}")))
        elif kind == "big hash":
            words = ("HSET", "big", f"field:{i}", ten(i))
        elif kind == "big set":
            words = ("SADD", "big", f"member:{i}")
        elif kind == "big zset":
            words = ("ZADD", "big", i * 7919 % 10_000_019, f"member:{i}")
        elif kind == "big stream":
            words = ("XADD", "big", f"{1_700_000_000_000 + i}-0", "field", i)
        else:
            words = ("RPUSH", "big", f"element:{i}")
        yield encode(*words)


def fill(streams: list[socket.socket], kind: str, start: int, end: int) -> None:
    """Sends the same commands to all servers, without replies, and waits until they are carried out."""
    for s in streams:
        s.sendall(encode("CLIENT", "REPLY", "OFF"))
    for i in range(start, end, CHUNK):
        data = b"".join(commands(kind, i, min(i + CHUNK, end)))
        for s in streams:
            s.sendall(data)
    for s in streams:
        s.sendall(encode("CLIENT", "REPLY", "ON"))
        if s.recv(16) != b"+OK\r\n":
            raise RuntimeError("a server did not carry out what it got")


def settled(server: Subject) -> tuple[int, int]:
    """(used_memory, resident) once used_memory stands still."""
    before = -1
    used = server.used_memory()
    deadline = time.monotonic() + 10
    while abs(used - before) > 4096 and time.monotonic() < deadline:
        time.sleep(0.4)
        before, used = used, server.used_memory()
    return used, server.resident()


def check(server: Subject, row: Row, n: int) -> None:
    if row.unit == "key":
        reply = server.call("DBSIZE")
    else:
        length = {
            "big hash": "HLEN",
            "big set": "SCARD",
            "big zset": "ZCARD",
            "big list": "LLEN",
            "big stream": "XLEN",
        }[row.kind]
        reply = server.call(length, "big")
    if reply != b":%d" % n:
        raise RuntimeError(f"{server.kind} holds {reply.decode()} {row.unit}s, not {n}")


def measure(row: Row, sizes: list[int]) -> list[dict[str, Any]]:
    result = []
    with Subject(OURS) as ours, Subject(REDIS) as redis:
        servers = (ours, redis)
        for server in servers:
            server.call("SET", "warm", "up")  # what is made at the first command belongs to nobody's key
            server.call("DEL", "warm")
        start = [settled(s) for s in servers]
        streams = [s.connect() for s in servers]
        done = 0
        for n in sizes:
            fill(streams, row.kind, done, n)
            done = n
            figures: dict[str, Any] = {"row": row.name, "unit": row.unit, "n": n, "valkey": row.valkey}
            for server, (used0, resident0) in zip(servers, start, strict=True):
                check(server, row, n)
                used, resident = settled(server)
                figures[server.kind] = {"used": (used - used0) / n, "resident": (resident - resident0) / n}
            o, r = figures[OURS], figures[REDIS]
            figures["used_ratio"] = o["used"] / r["used"]
            figures["resident_ratio"] = o["resident"] / r["resident"]
            figures["honest"] = o["resident"] / o["used"]
            figures["target"] = TARGET_PLAIN if row.kind == "plain" else r["used"]
            result.append(figures)
        for s in streams:
            s.close()
    return result


def sizes_of(row: Row, quick: bool) -> list[int]:
    if row.kind in ("plain", "ttl", "int", "wide"):
        return [1_000_000 if row.kind == "plain" else 300_000] if quick else [1_000_000, 5_000_000]
    if row.unit == "key":
        return [20_000] if quick else [100_000]
    return [200_000] if quick else [1_000_000]


def run(quick: bool) -> dict[str, Any]:
    pin(LOAD_CPU)
    rows = [figures for row in ROWS for figures in measure(row, sizes_of(row, quick))]
    return {"rows": rows, "targets": {"plain": TARGET_PLAIN, "resident": TARGET_RESIDENT, "honest": TARGET_HONEST}}
