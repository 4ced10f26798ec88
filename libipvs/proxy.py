"""A data plane for hosts whose kernel has no IPVS: connections are accepted here and spliced to the servers, datagrams
passed on.

The table, the schedulers, persistence, thresholds and counters are the memory plane's; the connections are real. Bytes
move in libipvs.splice (TCP) and libipvs.datagrams (UDP), compiled, without the GIL; Python is asked once a connection,
and once a UDP flow.

Its `supports` is tcp, udp, nat, local, persistence, thresholds and counters (connections and bytes).  SCTP, firewall
marks, port 0, one-packet scheduling, DR and TUN are refused by name; packet counters and rates stay 0.  A deleted
service accepts no more, but its open TCP connections go on to their end, as do those of a deleted server; UDP flows end
with their service or server, so that a client that never falls silent moves on.
A server that does not answer costs its client the connection: the health checks are there to take it out.

A TCP client's address reaches the server by a PROXY header (version 1 or 2, as in HAProxy's specification), or by
binding to it, with another port (IP_TRANSPARENT: needs CAP_NET_ADMIN, and routing that brings the answers back here).
"""

from __future__ import annotations

import errno
import functools
import os
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from libipvs.datagrams import DatagramEngine
from libipvs.errors import InvalidRequest, Refused, Unavailable, Unsupported
from libipvs.memory import Connection, Memory, MemoryServer
from libipvs.model import Action, Change, Protocol, ServerStatus, ServiceKey, ServiceStatus, Stats, Timeouts
from libipvs.schedulers import Client
from libipvs.splice import Counter, Engine

IP_FREEBIND, IPV6_FREEBIND = 15, 78
BACKLOG = 4096
UDP_BUFFER = 4 << 20  # bytes wanted; the kernel gives at most net.core.rmem_max
CLIENT_ADDRESS = ("", "proxy-v1", "proxy-v2", "transparent")
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


@functools.lru_cache(maxsize=16384)
def packed_address(family: int, address: str, port: int) -> bytes:
    """A struct sockaddr_in or sockaddr_in6."""
    if family == socket.AF_INET6:
        return struct.pack("=HHI16sI", family, socket.htons(port), 0, socket.inet_pton(family, address), 0)
    return struct.pack("=HH4s8x", family, socket.htons(port), socket.inet_pton(family, address))


def unpacked_address(packed: bytes) -> tuple[str, int]:
    """(address, port) of a struct sockaddr_in or sockaddr_in6."""
    (family,) = struct.unpack_from("=H", packed)
    (port,) = struct.unpack_from(">H", packed, 2)
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, packed[8:24]), port
    return socket.inet_ntop(family, packed[4:8]), port


def client_of(peer: bytes, destination: str) -> Client:
    """Who asks: the client with this struct sockaddr_in or sockaddr_in6, for the service at `destination`."""
    port = peer[2] << 8 | peer[3]
    if ":" in destination:
        return Client(peer[8:24], port, packed_address(socket.AF_INET6, destination, 0)[8:24])
    return Client(peer[4:8], port, packed_address(socket.AF_INET, destination, 0)[4:8])


def proxy_header(version: int, client: tuple[str, int], service: tuple[str, int]) -> bytes:
    """The PROXY header of a TCP connection from `client` to `service`."""
    six = ":" in client[0]
    if version == 1:
        kind = "TCP6" if six else "TCP4"
        return f"PROXY {kind} {client[0]} {service[0]} {client[1]} {service[1]}\r\n".encode()
    family = socket.AF_INET6 if six else socket.AF_INET
    addresses = socket.inet_pton(family, client[0]) + socket.inet_pton(family, service[0])
    body = addresses + struct.pack(">HH", client[1], service[1])
    return PROXY_V2 + struct.pack(">BBH", 0x21, 0x21 if six else 0x11, len(body)) + body


class Proxy(Memory):
    """The user-space data plane.  Safe to use from several threads; close() ends its connections.

    client_address: "" (servers see this host), "proxy-v1", "proxy-v2" or "transparent" (TCP only).  connect_timeout:
    seconds a server has to accept.  udp_timeout: seconds until a silent UDP flow is forgotten.  clock, seed,
    expire_quiescent_template: as in Memory.
    """

    name: ClassVar[str] = "proxy"
    supports: ClassVar[frozenset[str]] = frozenset(
        ("tcp", "udp", "nat", "local", "persistence", "thresholds", "counters")
    )

    def __init__(
        self,
        client_address: str = "",
        connect_timeout: float = 5.0,
        udp_timeout: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
        expire_quiescent_template: bool = False,
    ) -> None:
        if client_address not in CLIENT_ADDRESS:
            raise InvalidRequest(f"client_address {client_address!r} must be one of {', '.join(CLIENT_ADDRESS)}")
        super().__init__(clock, seed if seed is not None else random.getrandbits(32), expire_quiescent_template)
        self.client_address = client_address
        self._lock = threading.RLock()
        self._listeners: dict[ServiceKey, int] = {}
        self._keys: dict[int, ServiceKey] = {}
        self._counters: dict[MemoryServer, Counter] = {}
        self._numbers = 0
        self._closed = False
        _raise_descriptor_limit()
        self._engine = Engine(self._choose, Connection.establish, self._over, connect_timeout)
        self._datagrams = DatagramEngine(self._choose_for_flow, self._over, udp_timeout)
        self._threads = [
            threading.Thread(target=self._engine.run, name="libipvs-proxy-tcp", daemon=True),
            threading.Thread(target=self._datagrams.run, name="libipvs-proxy-udp", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def open_connections(self) -> int:
        """TCP connections now."""
        return self._engine.open_links

    @property
    def open_flows(self) -> int:
        """UDP flows now."""
        return self._datagrams.open_flows

    # -- the table

    def services(self) -> list[ServiceStatus]:
        with self._lock:
            return [ServiceStatus(status.service, status.stats) for status in self.table()]

    def table(self) -> list[ServiceStatus]:
        with self._lock:
            return [self.service(key) for key in self._services]

    def service(self, key: ServiceKey) -> ServiceStatus:
        with self._lock:
            status = super().service(key)
            service = self._find(key)
            up = down = 0
            servers = []
            for entry, server in zip(status.servers, service.servers, strict=True):
                counter = self._counters[server]
                up, down = up + counter.up, down + counter.down
                stats = Stats(entry.stats.connections, in_bytes=counter.up, out_bytes=counter.down)
                servers.append(ServerStatus(entry.server, entry.active, entry.inactive, entry.persistent, stats))
            # A service's own bytes include those of servers that are gone.
            gone_up, gone_down = service.gone_bytes
            stats = Stats(status.stats.connections, in_bytes=up + gone_up, out_bytes=down + gone_down)
            return ServiceStatus(status.service, stats, tuple(servers))

    def check(self, changes: Any) -> None:
        super().check(changes)
        for change in changes:
            if change.key.port == 0 or (change.server is not None and change.server.port == 0):
                raise Unsupported(f"{change.key}: the proxy plane needs a port: it cannot listen on all of them")

    def apply(self, changes: Iterable[Change]) -> None:
        with self._lock:
            if self._closed:
                raise Unavailable("the proxy is closed: it passes nothing on any more")
            super().apply(changes)

    def _apply_one(self, change: Change) -> None:
        key = change.key
        if change.action is Action.ADD_SERVICE and key not in self._services:
            opened = self._open(key)
            try:
                super()._apply_one(change)
            except BaseException:
                opened.close()
                raise
            self._numbers += 1
            self._listeners[key] = self._numbers
            self._keys[self._numbers] = key
            self._engine_of(key).listen(opened.detach(), self._numbers)
            return
        leaving = list(self._services[key].servers) if key in self._services else []
        super()._apply_one(change)
        if change.action is Action.DELETE_SERVICE:
            number = self._listeners.pop(key)
            del self._keys[number]
            self._engine_of(key).remove(number)
        staying = self._services[key].servers if key in self._services else []
        for server in leaving:
            if server not in staying:
                counter = self._counters.pop(server)
                self._datagrams.drop(counter)
                if key in self._services:
                    gone = self._services[key].gone_bytes
                    self._services[key].gone_bytes = (gone[0] + counter.up, gone[1] + counter.down)
        for server in staying:
            if server not in self._counters:
                self._counters[server] = Counter()

    def _engine_of(self, key: ServiceKey) -> Engine | DatagramEngine:
        return self._datagrams if key.protocol is Protocol.UDP else self._engine

    def _open(self, key: ServiceKey) -> socket.socket:
        """Listen at the service's address, even if this host has it not (IP_FREEBIND): a backup listens early."""
        udp = key.protocol is Protocol.UDP
        opened = socket.socket(key.family, (socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) | socket.SOCK_NONBLOCK)
        try:
            if not udp:  # two UDP sockets would share the port
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if key.family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            else:
                opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            opened.bind((key.address, key.port))
            if udp:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
            else:
                # The clients' sockets have these from their listener.
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            advice = {
                errno.EADDRINUSE: "; another server has this address and port, or all addresses of this port: "
                "give it addresses of its own",
                errno.EACCES: "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
            }.get(error.errno or 0, "")
            raise Refused(f"{key}: {os.strerror(error.errno or 0)}{advice}", error.errno or 0) from error
        return opened

    def timeouts(self) -> Timeouts:
        raise self._unsupported("timeouts")

    def set_timeouts(self, timeouts: Timeouts) -> None:
        raise self._unsupported("timeouts")

    def zero(self, key: ServiceKey | None = None) -> None:
        with self._lock:
            super().zero(key)
            for service in [self._find(key)] if key is not None else self._services.values():
                service.gone_bytes = (0, 0)
                for server in service.servers:
                    self._counters[server].zero()

    def connect(
        self, key: ServiceKey, client: str, client_port: int = 1024, destination: str | None = None
    ) -> Connection | None:
        with self._lock:
            return super().connect(key, client, client_port, destination)

    # -- asked by the engine

    def _choose(self, number: int, peer: bytes) -> tuple[Connection, Counter, bytes, bytes, bytes] | None:
        with self._lock:
            key = self._keys.get(number)
            if key is None:
                return None
            connection = self._connect(self._services[key], client_of(peer, key.address))
            if connection is None:
                return None
            server = connection.server
            own = head = b""
            if self.client_address == "transparent":
                own = packed_address(key.family, unpacked_address(peer)[0], 0)
            elif self.client_address:
                head = proxy_header(int(self.client_address[-1]), unpacked_address(peer), (key.address, key.port))
            counter = self._counters[connection.entry]
            return connection, counter, packed_address(server.family, server.address, server.port), own, head

    def _choose_for_flow(self, number: int, peer: bytes) -> tuple[Connection, Counter, bytes] | None:
        with self._lock:
            key = self._keys.get(number)
            if key is None:
                return None
            connection = self._connect(self._services[key], client_of(peer, key.address))
            if connection is None:
                return None
            server = connection.server
            return (
                connection,
                self._counters[connection.entry],
                packed_address(server.family, server.address, server.port),
            )

    def _over(self, connection: Connection) -> None:
        with self._lock:
            connection.expire()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        engines = (self._engine, self._datagrams)
        for engine in engines:
            engine.stop()
        for thread in self._threads:
            thread.join()
        for engine in engines:
            engine.close()


def _raise_descriptor_limit() -> None:
    """A connection takes six descriptors; the soft limit is raised to the hard one.  Beyond it, clients wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
