"""A table as text: ipvsadm 1.31's lists, and the lines of its save that make the table again.

Source: the output of ipvsadm 1.31, side by side over random tables.  Deviations: a saved line keeps the thresholds and
flag-3 of the schedulers sh and mh, which ipvsadm loses; a firewall mark above 2**31 is printed as it is, not negative.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

from libipvs.connections import Connection
from libipvs.model import (
    Forward,
    Protocol,
    RealServer,
    ServerStatus,
    ServiceKey,
    ServiceStatus,
    Stats,
    Tunnel,
    VirtualService,
    address_family,
    endpoint,
)

T = TypeVar("T")

# The head of a list in each shape; "" is the plain one.
HEADS = {
    "": "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
    "stats": "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  -> RemoteAddress:Port",
    "rate": "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  -> RemoteAddress:Port",
    "thresholds": (
        "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  -> RemoteAddress:Port"
    ),
    "persistent-conn": (
        "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  -> RemoteAddress:Port"
    ),
    "tun-info": (
        "Prot LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn"
    ),
}


def wrapped(difference: int) -> int:
    """A difference of two 32-bit numbers as a C int."""
    return (difference + 2**31) % 2**32 - 2**31


def compare_addresses(one: str, other: str) -> int:
    """Word by word, each difference as a C int: so 10.0.0.1 follows 192.168.0.1.  IPv4 is the first of four words."""
    first, second = (socket.inet_pton(address_family(address), address).ljust(16, b"\0") for address in (one, other))
    for i in range(0, 16, 4):
        a, b = (int.from_bytes(packed[i : i + 4], "big") for packed in (first, second))
        if a != b:
            return wrapped(a - b)
    return 0


def compare_services(one: ServiceStatus, other: ServiceStatus) -> int:
    a, b = one.service.key, other.service.key
    if a.mark != b.mark:
        return wrapped(a.mark - b.mark)
    if a.family != b.family:
        return a.family - b.family
    if a.protocol is None or b.protocol is None:
        return 0
    if a.protocol != b.protocol:
        return a.protocol.number - b.protocol.number
    return compare_addresses(a.address, b.address) or a.port - b.port


def compare_servers(one: ServerStatus, other: ServerStatus) -> int:
    a, b = one.server, other.server
    return compare_addresses(a.address, b.address) or a.port - b.port


def merge_sort(items: list[T], compare: Callable[[T, T], int]) -> list[T]:
    """The C library's merge sort.  The comparison is not transitive, so the way of sorting shows."""
    if len(items) < 2:
        return items
    half = len(items) // 2
    left, right = merge_sort(items[:half], compare), merge_sort(items[half:], compare)
    merged = []
    while left and right:
        merged.append(left.pop(0) if compare(left[0], right[0]) <= 0 else right.pop(0))
    return merged + left + right


class Printer:
    """The table as text.  numeric: no look-up of names; exact: no K, M, G, T."""

    def __init__(self, numeric: bool, exact: bool = False) -> None:
        self.numeric = numeric
        self.exact = exact
        self.host = functools.cache(self._host)
        self.port = functools.cache(self._port)

    def _host(self, address: str) -> str:
        try:
            return socket.gethostbyaddr(address)[0]
        except OSError:
            return address

    def _port(self, port: int, protocol: str) -> str:
        try:
            return socket.getservbyport(port, protocol)
        except OSError:
            return str(port)

    def place(self, address: str, port: int, protocol: Protocol | None) -> str:
        if self.numeric:
            return endpoint(address, port)
        host, name = self.host(address), self.port(port, protocol or "tcp") if port else "0"
        return f"[{host}]:{name}" if ":" in address else f"{host}:{name}"

    def service_name(self, key: ServiceKey) -> str:
        if key.protocol is None:
            return f"FWM  {key.mark}" + (" IPv6" if key.family == socket.AF_INET6 else "")
        return f"{key.protocol.upper():4} {self.place(key.address, key.port, key.protocol)}"

    def flags(self, service: VirtualService) -> str:
        names = {
            "sh": {"flag-1": "sh-fallback", "flag-2": "sh-port"},
            "mh": {"flag-1": "mh-fallback", "flag-2": "mh-port"},
        }
        own = names.get(service.scheduler, {})
        return ",".join(own.get(name, name) for name in sorted(service.flags))

    def number(self, value: int) -> str:
        if self.exact or value < 100_000_000:
            return f" {value:8}"
        for unit, size in (("K", 10**3), ("M", 10**6), ("G", 10**9)):
            if value < size * 100_000_000:
                return f" {value // size:7}{unit}"
        return f" {value // 10**12:7}T"

    def counters(self, stats: Stats, rate: bool) -> str:
        values = (
            (
                stats.connection_rate,
                stats.in_packet_rate,
                stats.out_packet_rate,
                stats.in_byte_rate,
                stats.out_byte_rate,
            )
            if rate
            else (stats.connections, stats.in_packets, stats.out_packets, stats.in_bytes, stats.out_bytes)
        )
        return "".join(map(self.number, values))

    def service(self, status: ServiceStatus, shape: str) -> str:
        service = status.service
        name = self.service_name(service.key)
        if shape in ("stats", "rate"):
            return f"{name:33}{self.counters(status.stats, shape == 'rate')}"
        line = f"{name} {service.scheduler}"
        if service.flags:
            line += f" ({self.flags(service)})"
        if service.persistence:
            line += f" persistent {service.persistence}"
            line += f" mask {service.netmask}" if service.netmask not in ("255.255.255.255", "128") else ""
        line += f" pe {service.engine}" if service.engine else ""
        return line + (" ops" if service.one_packet else "")

    def server(self, status: ServerStatus, shape: str, protocol: Protocol | None) -> str:
        server = status.server
        start = f"  -> {self.place(server.address, server.port, protocol):28}"
        tail = f" {status.active:<10} {status.inactive:<10}"
        if shape in ("stats", "rate"):
            return start + self.counters(status.stats, shape == "rate")
        if shape == "thresholds":
            return f"{start} {server.upper:<10} {server.lower:<10}{tail}"
        if shape == "persistent-conn":
            return f"{start} {server.weight:<9} {status.persistent:<11}{tail}"
        word = {"nat": "Masq", "local": "Local", "tun": "Tunnel", "dr": "Route"}[server.forward]
        if shape == "tun-info":
            return f"{start} {word:7} {tunnel_info(server):13} {server.weight:<6}{tail}"
        return f"{start} {word:7} {server.weight:<6}{tail}"

    def connection(self, entry: Connection, engine: bool) -> str:
        protocol = Protocol(entry.protocol.lower()) if entry.protocol in ("TCP", "UDP", "SCTP") else None
        ends = [
            self.place(entry.client, entry.client_port, protocol),
            self.place(entry.virtual, entry.virtual_port, protocol),
            self.place(entry.server, entry.server_port, protocol),
        ]
        line = f"{entry.protocol:3} {entry.expires // 60:02}:{entry.expires % 60:02}  {entry.state:11} "
        if engine and entry.engine:
            return f"{line}{ends[0]:18} {ends[1]:18} {ends[2]:18} {entry.engine:16} {entry.engine_data}"
        return f"{line}{ends[0]:18} {ends[1]:18} {ends[2]}"

    def save(self, status: ServiceStatus) -> Iterator[str]:
        """The lines that restore a service and its servers."""
        service = status.service
        key = service.key
        if key.protocol is None:
            name = f"-f {key.mark}" + (" -6" if key.family == socket.AF_INET6 else "")
        else:
            option = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[key.protocol]
            name = f"{option} {self.place(key.address, key.port, key.protocol)}"
        line = f"-A {name} -s {service.scheduler}"
        if service.persistence:
            line += f" -p {service.persistence}"
            line += f" -M {service.netmask}" if service.netmask not in ("255.255.255.255", "128") else ""
        line += f" --pe {service.engine}" if service.engine else ""
        line += " -o" if service.one_packet else ""
        yield line + (f" -b {self.flags(service)}" if service.flags else "")
        for entry in status.servers:
            yield self.save_server(name, entry.server, key.protocol)

    def save_server(self, name: str, server: RealServer, protocol: Protocol | None) -> str:
        letter = {"nat": "-m", "tun": "-i"}.get(server.forward, "-g")
        line = f"-a {name} -r {self.place(server.address, server.port, protocol)} {letter} -w {server.weight}"
        line += f" -x {server.upper}" if server.upper else ""
        line += f" -y {server.lower}" if server.lower else ""
        if server.forward is Forward.TUN:
            line += f" --tun-type {server.tunnel}"
            line += f" --tun-port {server.tunnel_port}" if server.tunnel is Tunnel.GUE else ""
            line += f" --tun-{server.checksum}" if server.tunnel is not Tunnel.IPIP else ""
        return line


def tunnel_info(server: RealServer) -> str:
    if server.forward is not Forward.TUN:
        return "n/a"
    sign = {"nocsum": "-c", "csum": "+c", "remcsum": "r+c"}[server.checksum]
    if server.tunnel is Tunnel.IPIP:
        return "ipip"
    return f"gue:{server.tunnel_port}:{sign}" if server.tunnel is Tunnel.GUE else f"gre:{sign}"


def sorted_table(table: list[ServiceStatus]) -> list[ServiceStatus]:
    """The services, and the servers of each, in ipvsadm's order."""
    return [
        ServiceStatus(status.service, status.stats, tuple(merge_sort(list(status.servers), compare_servers)))
        for status in merge_sort(table, compare_services)
    ]
