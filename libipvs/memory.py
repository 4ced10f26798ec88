"""A data plane in this process, for tests and simulation: the kernel's table, refusals and schedulers, no packets.

connect() asks for a server as a first packet would; the connection it gives is moved on by hand (establish, finish,
expire), and the counters, thresholds and persistence follow as in the kernel.

Deviations: byte and packet counters stay 0 (there are no packets); the rates stay 0; a persistence template ends when
its time is over and no connection holds it, without the kernel's minute of grace.
"""

from __future__ import annotations

import ipaddress
import random
import socket
import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from libipvs import schedulers
from libipvs.errors import NoSuchServer, NoSuchService, Refused, ServerExists, ServiceExists, UnknownScheduler
from libipvs.model import (
    Action,
    Change,
    Info,
    RealServer,
    ServerKey,
    ServerStatus,
    ServiceKey,
    ServiceStatus,
    Stats,
    Timeouts,
    VirtualService,
)
from libipvs.plane import Plane, partially_applied


class MemoryServer(schedulers.Backend):
    """One real server with its counters."""

    __slots__ = ("configuration", "connections", "gone", "persistent")

    def __init__(self, configuration: RealServer) -> None:
        packed = socket.inet_pton(configuration.family, configuration.address)
        super().__init__(packed, configuration.port, configuration.weight)
        self.configuration = configuration
        self.connections = 0
        self.persistent = 0
        self.gone = False

    def edit(self, wanted: RealServer) -> None:
        self.weight = wanted.weight
        if wanted.weight:
            self.last_weight = wanted.weight
        if wanted.upper == 0 or wanted.upper > self.configuration.upper:
            self.overloaded = False
        self.configuration = wanted

    def connected(self) -> None:
        self.connections += 1
        self.inactive += 1
        upper = self.configuration.upper
        if upper and self.active + self.inactive >= upper:
            self.overloaded = True

    def disconnected(self) -> None:
        """Overload ends below the lower threshold; without one, below three quarters of the upper one."""
        total = self.active + self.inactive
        upper, lower = self.configuration.upper, self.configuration.lower
        if lower:
            self.overloaded = self.overloaded and total >= lower
        else:
            self.overloaded = self.overloaded and bool(upper) and total * 4 >= upper * 3

    def status(self) -> ServerStatus:
        return ServerStatus(
            self.configuration, self.active, self.inactive, self.persistent, Stats(connections=self.connections)
        )


class _Template:
    """A client (or its network) that stays with a server until `expires`, and while connections hold it."""

    __slots__ = ("expires", "held", "server")

    def __init__(self, server: MemoryServer, expires: float) -> None:
        self.server = server
        self.expires = expires
        self.held = 0


class _Service:
    def __init__(
        self, configuration: VirtualService, scheduler: schedulers.Scheduler, servers: list[MemoryServer]
    ) -> None:
        self.configuration = configuration
        self.scheduler = scheduler
        self.servers = servers
        self.connections = 0
        self.templates: dict[bytes, _Template] = {}
        self.gone_bytes = (0, 0)  # of deleted servers, in and out; for planes that count bytes

    def find(self, key: ServerKey) -> MemoryServer | None:
        return next((server for server in self.servers if server.configuration.key == key), None)


class Connection:
    """A connection that the memory plane gave a server.  It begins inactive, as in the kernel before the handshake."""

    def __init__(self, server: MemoryServer, template: _Template | None, counted: bool) -> None:
        self.entry = server
        self._template = template
        self._state = "inactive" if counted else "over"

    @property
    def server(self) -> RealServer:
        return self.entry.configuration

    def establish(self) -> None:
        """The handshake is done: the connection is active."""
        if self._state == "inactive":
            self.entry.inactive -= 1
            self.entry.active += 1
            self._state = "active"

    def finish(self) -> None:
        """Both ends closed: inactive until it expires."""
        if self._state == "active":
            self.entry.active -= 1
            self.entry.inactive += 1
            self._state = "inactive"

    def expire(self) -> None:
        """Forgotten by the plane."""
        self.finish()
        if self._state == "inactive":
            self.entry.inactive -= 1
            self.entry.disconnected()
            self._state = "over"
            if self._template is not None:
                self._template.held -= 1


class Memory(Plane):
    """An empty table.

    clock: gives seconds (persistence, lblcr).  seed: for the scheduler twos.
    expire_quiescent_template: as the sysctl: clients leave a server of weight 0 in spite of their persistence.
    """

    name: ClassVar[str] = "memory"
    supports: ClassVar[frozenset[str]] = frozenset(
        """tcp udp sctp fwmark nat dr tun local persistence one-packet thresholds
        timeouts counters""".split()  # noqa: SIM905
    )

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
        expire_quiescent_template: bool = False,
    ) -> None:
        self._services: dict[ServiceKey, _Service] = {}
        self._timeouts = Timeouts(900, 120, 300)
        self._clock = clock
        self._random = random.Random(seed)
        self.expire_quiescent_template = expire_quiescent_template

    # -- reading

    def services(self) -> list[ServiceStatus]:
        return [
            ServiceStatus(service.configuration, Stats(connections=service.connections))
            for service in self._services.values()
        ]

    def service(self, key: ServiceKey) -> ServiceStatus:
        service = self._find(key)
        self._forget_templates(service)
        servers = tuple(server.status() for server in service.servers)
        return ServiceStatus(service.configuration, Stats(connections=service.connections), servers)

    def info(self) -> Info:
        return Info((1, 2, 1), 4096)

    def timeouts(self) -> Timeouts:
        return self._timeouts

    # -- changing

    def apply(self, changes: Iterable[Change]) -> None:
        changes = list(changes)
        self.check(changes)
        done = [False] * len(changes)
        for index, change in enumerate(changes):
            try:
                self._apply_one(change)
            except Refused as refused:
                refused.change = change
                if len(changes) == 1:
                    raise
                raise partially_applied(changes, done, [(change, refused)], "the plane refused") from refused
            done[index] = True

    def _apply_one(self, change: Change) -> None:
        key, service, server = change.key, change.service, change.server
        if change.action is Action.ADD_SERVICE and service is not None:
            if key in self._services:
                raise ServiceExists(f"the virtual service {key} exists already", 17)
            servers: list[MemoryServer] = []
            self._services[key] = _Service(service, self._scheduler(service, servers), servers)
            return
        found = self._find(key)
        if change.action is Action.EDIT_SERVICE and service is not None:
            if found.configuration.scheduler != service.scheduler:
                found.scheduler = self._scheduler(service, found.servers)
            found.scheduler.set_flags(service.flags)
            found.configuration = service
        elif change.action is Action.DELETE_SERVICE:
            for entry in found.servers:
                entry.gone = True
            del self._services[key]
        elif server is not None:
            self._apply_to_server(change.action, found, server)

    def _apply_to_server(self, action: Action, service: _Service, server: RealServer) -> None:
        key = service.configuration.key
        entry = service.find(server.key)
        if action is Action.ADD_SERVER:
            if entry is not None:
                raise ServerExists(f"{key} has the real server {server.key} already", 17)
            service.servers.insert(0, MemoryServer(server))
            service.scheduler.changed()
            return
        if entry is None:
            raise NoSuchServer(f"{key} has no real server {server.key}", 2)
        if action is Action.EDIT_SERVER:
            entry.edit(server)
            service.scheduler.changed()
        else:
            index = service.servers.index(entry)
            del service.servers[index]
            entry.gone = True
            service.scheduler.removed(entry, index)

    def flush(self) -> None:
        for key in list(self._services):
            self.delete_service(key)

    def zero(self, key: ServiceKey | None = None) -> None:
        for service in [self._find(key)] if key is not None else self._services.values():
            service.connections = 0
            for server in service.servers:
                server.connections = 0

    def set_timeouts(self, timeouts: Timeouts) -> None:
        old = self._timeouts
        self._timeouts = Timeouts(timeouts.tcp or old.tcp, timeouts.tcp_fin or old.tcp_fin, timeouts.udp or old.udp)

    def close(self) -> None:
        """Nothing is held outside."""

    # -- traffic

    def connect(
        self, key: ServiceKey, client: str, client_port: int = 1024, destination: str | None = None
    ) -> Connection | None:
        """What a client's first packet gets: a connection to some server, or None if no server may take it.

        destination: the packet's destination address, for a firewall-mark service (default: the service's, or
        the unspecified one).  Raises NoSuchService.
        """
        service = self._find(key)
        configuration = service.configuration
        source = socket.inet_pton(configuration.family, client)
        target = (
            destination or configuration.address or ("::" if configuration.family == socket.AF_INET6 else "0.0.0.0")
        )
        return self._connect(
            service, schedulers.Client(source, client_port, socket.inet_pton(configuration.family, target))
        )

    def _connect(self, service: _Service, who: schedulers.Client) -> Connection | None:
        configuration = service.configuration
        template = self._template(service, who) if configuration.persistence else None
        if configuration.persistence:
            server: schedulers.Backend | None = template.server if template is not None else None
        else:
            server = service.scheduler.schedule(who)
        if not isinstance(server, MemoryServer):
            return None
        service.connections += 1
        if configuration.one_packet:
            server.connections += 1
            return Connection(server, None, counted=False)
        server.connected()
        if template is not None:
            template.held += 1
        return Connection(server, template, counted=True)

    def _template(self, service: _Service, who: schedulers.Client) -> _Template | None:
        """The client's template, renewed; a new one where there is none or its server may not be used."""
        self._forget_templates(service)
        configuration = service.configuration
        network = _masked(who.source, configuration.netmask)
        template = service.templates.get(network)
        if template is not None:
            quiescent = self.expire_quiescent_template and template.server.weight == 0
            if not template.server.gone and not quiescent:
                template.expires = self._clock() + configuration.persistence
                return template
            template.server.persistent -= 1
            del service.templates[network]
        server = service.scheduler.schedule(who)
        if not isinstance(server, MemoryServer):
            return None
        server.persistent += 1
        template = service.templates[network] = _Template(server, self._clock() + configuration.persistence)
        return template

    def _forget_templates(self, service: _Service) -> None:
        now = self._clock()
        for network, template in list(service.templates.items()):
            if template.held == 0 and template.expires <= now:
                template.server.persistent -= 1
                del service.templates[network]

    # -- inside

    def _find(self, key: ServiceKey) -> _Service:
        if key not in self._services:
            raise NoSuchService(f"there is no virtual service {key}", 3)
        return self._services[key]

    def _scheduler(self, service: VirtualService, servers: list[MemoryServer]) -> schedulers.Scheduler:
        try:
            return schedulers.make(service.scheduler, servers, service.flags, self._clock, self._random)
        except UnknownScheduler as error:
            raise UnknownScheduler(f"{service.key}: {error}", 2) from None


def _masked(address: bytes, netmask: str) -> bytes:
    """The network of a client's address, by the service's mask (IPv4 dotted, IPv6 a prefix length)."""
    if len(address) == 4:
        mask = ipaddress.IPv4Address(netmask).packed
    else:
        prefix = int(netmask)
        mask = ((2**128 - 1) << 128 - prefix & 2**128 - 1).to_bytes(16, "big")
    return bytes(part & keep for part, keep in zip(address, mask, strict=True))
