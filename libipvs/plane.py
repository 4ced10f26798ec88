"""The one interface of all data planes: read the table, change it, watch its counters.

A plane is the kernel (libipvs.kernel) or a table in this process (libipvs.memory).  Every change is a Change; the named
methods (add_service, ...) make one.  What a plane cannot do is refused with Unsupported, naming the feature of
`supports`; it is never passed over in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import ClassVar, Literal, Self

from libipvs.errors import NoSuchServer, PartiallyApplied, Refused, Unsupported
from libipvs.model import (
    Action,
    Change,
    DaemonState,
    Info,
    RealServer,
    ServerKey,
    ServerStatus,
    ServiceKey,
    ServiceStatus,
    SyncDaemon,
    Timeouts,
    VirtualService,
    check_fit_key,
)


class Plane(ABC):
    """A table of virtual services with their real servers.

    `name` is the plane's kind, `supports` the set of its features: tcp udp sctp fwmark, nat dr tun local, persistence
    persistence-engine one-packet thresholds, timeouts sync-daemon counters packet-counters.
    """

    name: ClassVar[str]
    supports: ClassVar[frozenset[str]]

    # -- reading

    @abstractmethod
    def services(self) -> list[ServiceStatus]:
        """All virtual services, without their servers, in the plane's own order."""

    @abstractmethod
    def service(self, key: ServiceKey) -> ServiceStatus:
        """One virtual service with its servers.  Raises NoSuchService."""

    def table(self) -> list[ServiceStatus]:
        """All virtual services with their servers.  Read piece by piece: not a snapshot of one moment."""
        return [self.service(status.service.key) for status in self.services()]

    def server(self, key: ServiceKey, server: ServerKey) -> ServerStatus:
        """One real server.  Raises NoSuchService, NoSuchServer."""
        for status in self.service(key).servers:
            if status.server.key == server:
                return status
        raise NoSuchServer(f"{key} has no real server {server}")

    @abstractmethod
    def info(self) -> Info:
        """The plane's version and the size of its connection table."""

    # -- changing

    @abstractmethod
    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes in order.  All are checked first.

        Raises InvalidRequest or Unsupported (nothing was changed); Refused when a single change was asked for;
        else PartiallyApplied, which lists what was done.
        """

    def add_service(self, service: VirtualService) -> None:
        """Raises ServiceExists, UnknownScheduler, Refused."""
        self.apply([Change(Action.ADD_SERVICE, service.key, service)])

    def edit_service(self, service: VirtualService) -> None:
        """Give the service with this key these options.  Raises NoSuchService, UnknownScheduler, Refused."""
        self.apply([Change(Action.EDIT_SERVICE, service.key, service)])

    def delete_service(self, key: ServiceKey) -> None:
        """Delete a service and its servers; its connections end with their next packet.  Raises NoSuchService."""
        self.apply([Change(Action.DELETE_SERVICE, key)])

    def add_server(self, key: ServiceKey, server: RealServer) -> None:
        """Raises NoSuchService, ServerExists, InvalidRequest when the server does not fit the service."""
        self.apply([Change(Action.ADD_SERVER, key, server=server)])

    def edit_server(self, key: ServiceKey, server: RealServer) -> None:
        """Raises NoSuchService, NoSuchServer, InvalidRequest."""
        self.apply([Change(Action.EDIT_SERVER, key, server=server)])

    def delete_server(self, key: ServiceKey, server: RealServer | ServerKey) -> None:
        """Raises NoSuchService, NoSuchServer.  Open connections end, unless weight 0 drained them before."""
        if isinstance(server, ServerKey):
            server = RealServer(server.address, server.port)
        self.apply([Change(Action.DELETE_SERVER, key, server=server)])

    @abstractmethod
    def flush(self) -> None:
        """Delete every service, whoever made it."""

    @abstractmethod
    def zero(self, key: ServiceKey | None = None) -> None:
        """Set the counters of one service (or of all, and the totals) to 0.  Raises NoSuchService."""

    # -- what only some planes have

    def timeouts(self) -> Timeouts:
        """Seconds that idle connections are kept."""
        raise self._unsupported("timeouts")

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """Set those that are not 0."""
        raise self._unsupported("timeouts")

    def daemons(self) -> list[SyncDaemon]:
        """The running sync daemons: at most one master and one backup."""
        raise self._unsupported("sync-daemon")

    def start_daemon(self, daemon: SyncDaemon) -> None:
        """Raises DaemonRefused."""
        raise self._unsupported("sync-daemon")

    def stop_daemon(self, state: DaemonState | Literal["master", "backup"]) -> None:
        """Raises DaemonRefused if none runs."""
        raise self._unsupported("sync-daemon")

    # -- life

    @abstractmethod
    def close(self) -> None:
        """Give back what the plane holds in this process.  The kernel's table stays."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- for planes

    def _unsupported(self, feature: str) -> Unsupported:
        return Unsupported(f"the {self.name} plane has no {feature}; it has {', '.join(sorted(self.supports))}")

    def check(self, changes: Sequence[Change]) -> None:
        """Raise InvalidRequest or Unsupported if any of the changes can be told to fail before it is tried."""
        for change in changes:
            for feature in _features(change):
                if feature not in self.supports:
                    raise self._unsupported(feature)
            if change.server is not None and change.action is not Action.DELETE_SERVER:
                check_fit_key(change.key, change.server)


def _features(change: Change) -> list[str]:
    service, server = change.service, change.server
    wanted = [change.key.protocol.value if change.key.protocol is not None else "fwmark"]
    if service is not None:
        wanted += ["persistence"] if service.persistence else []
        wanted += ["persistence-engine"] if service.engine else []
        wanted += ["one-packet"] if service.one_packet else []
    if server is not None and change.action is not Action.DELETE_SERVER:
        wanted.append(server.forward.value)
        wanted += ["thresholds"] if server.upper else []
    return wanted


def partially_applied(
    changes: Sequence[Change], done: Sequence[bool], failures: Sequence[tuple[Change, Refused]], reason: str
) -> PartiallyApplied:
    """The exception for a list of changes of which done[i] tells whether changes[i] was made."""
    applied = [change for change, made in zip(changes, done, strict=True) if made]
    pending = [change for change, made in zip(changes, done, strict=True) if not made]
    first = f"; first refused: {failures[0][0]}: {failures[0][1]}" if failures else ""
    message = f"{reason}: {len(applied)} of {len(changes)} changes were made, {len(pending)} were not{first}"
    return PartiallyApplied(message, applied, pending, failures)
