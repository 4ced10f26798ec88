"""The kernel's connection table, which netlink does not show: /proc/net/ip_vs_conn, read and decoded.

A line: Pro FromIP FPrt ToIP TPrt DestIP DPrt State Expires PEName PEData; IPv4 addresses as 8 hex digits, IPv6
in full with colons, ports as 4 hex digits, Expires in seconds.  A persistence template has client port 0.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

TABLE = Path("/proc/thread-self/net/ip_vs_conn")


class Connection(NamedTuple):
    """One entry: the protocol as the kernel writes it ("TCP"), three endpoints, state, seconds left, engine, data."""

    protocol: str
    client: str
    client_port: int
    virtual: str
    virtual_port: int
    server: str
    server_port: int
    state: str
    expires: int
    engine: str = ""
    engine_data: str = ""


def _address(text: str) -> str:
    if ":" in text:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text.strip("[]")))
    return socket.inet_ntoa(bytes.fromhex(text))


def parse(text: str) -> list[Connection]:
    """The entries of the file's text."""
    entries = []
    for line in text.splitlines()[1:]:
        field = line.split()
        if len(field) < 9:
            continue
        engine = field[9] if len(field) > 9 else ""
        data = field[10] if len(field) > 10 else ""
        client, virtual, server = map(_address, field[1:7:2])
        client_port, virtual_port, server_port = (int(port, 16) for port in field[2:7:2])
        entries.append(
            Connection(
                field[0],
                client,
                client_port,
                virtual,
                virtual_port,
                server,
                server_port,
                field[7],
                int(field[8]),
                engine,
                data,
            )
        )
    return entries


def connections() -> list[Connection]:
    """The connections of the calling thread's network namespace.  Needs root; [] where there is no IPVS."""
    try:
        return parse(TABLE.read_text())
    except FileNotFoundError:
        return []
