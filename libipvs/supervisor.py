"""Pools that follow their checks: who is up gets connections, who is down does not, whatever happens to this process.

    member     a real server and its checks; up while all of them are
    pool       a virtual service and its members; has its quorum while the members that are up weigh enough:
               up -> down below quorum - hysteresis, down -> up from quorum + hysteresis (or with all members up)
    sorry      a server that stands in while the quorum is lost: then the members leave

A verdict changes the wanted table, and the plane's table is reconciled with it: only what differs is touched.
Services that others made are never changed: the owned keys are written to a file before anything is made.

Draining: weight 0, so that nothing new comes; the server is deleted when no connection is active, or at a deadline.
With persistence, clients that are known to a server of weight 0 still come back to it, unless the sysctl
expire_quiescent_template is set: that contradiction is logged.

Source: keepalived.conf(5), "Virtual server".  Deviation: a script's environment and arguments are the caller's own.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from libipvs.checks.host import Host, Timer, Watch
from libipvs.checks.kinds import BfdCheck, Check
from libipvs.errors import ForeignService, InvalidRequest, IpvsError, NoSuchServer, NoSuchService
from libipvs.model import MAX_WEIGHT, Pool, RealServer, ServerKey, ServiceKey, ServiceStatus, VirtualService
from libipvs.ownership import Ownership
from libipvs.plane import Plane
from libipvs.reconcile import plan

log = logging.getLogger("libipvs.supervisor")

RETRY_DELAY = 1.0  # seconds until a refused change is tried again
DRAIN_POLL = 0.5  # seconds between looks at a draining server's connections

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A real server of a pool.  Without checks it is always up.

    inhibit: when down it stays with weight 0 instead of leaving.  notify_up, notify_down: commands, as words.
    """

    server: RealServer
    checks: tuple[Check, ...] = ()
    inhibit: bool = False
    notify_up: Command = ()
    notify_down: Command = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", tuple(self.checks))


@dataclass(frozen=True, slots=True)
class SupervisedPool:
    """A virtual service with its members.

    quorum, hysteresis: in units of weight.  quorum_up, quorum_down: commands.  sorry: see above; sorry_inhibit: it
    stays with weight 0 while it is not needed.  alpha: members are down until their checks succeed.  omega: at the
    end the down commands are run.  ha_suspend: checks rest while the service's address is not local (see vip()).
    drain: seconds a member that is taken out of the configuration may keep its connections; 0 = none.
    """

    service: VirtualService
    members: tuple[Member, ...] = ()
    quorum: int = 1
    hysteresis: int = 0
    quorum_up: Command = ()
    quorum_down: Command = ()
    sorry: RealServer | None = None
    sorry_inhibit: bool = False
    alpha: bool = False
    omega: bool = False
    ha_suspend: bool = False
    drain: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if self.quorum < 1:
            raise InvalidRequest(f"{self.service.key}: quorum {self.quorum} must be at least 1")
        if not 0 <= self.hysteresis < self.quorum:
            raise InvalidRequest(
                f"{self.service.key}: hysteresis {self.hysteresis} must be from 0 to {self.quorum - 1} (below quorum)"
            )
        if self.drain < 0:
            raise InvalidRequest(f"{self.service.key}: drain {self.drain} must not be negative")
        everyone = [member.server for member in self.members] + ([self.sorry] if self.sorry else [])
        Pool(self.service, tuple(everyone))

    @property
    def key(self) -> ServiceKey:
        return self.service.key


@dataclass
class _Member:
    """A member at work: the watches of its checks, in their order, and what they made of it."""

    configuration: Member
    watches: list[Watch] = field(default_factory=list)
    up: bool = True

    @property
    def healthy(self) -> bool:
        return all(watch.verdict.up for watch in self.watches)

    @property
    def weight(self) -> int:
        """The configured weight, as the checks have changed it."""
        weight = base = self.configuration.server.weight
        for watch in self.watches:
            verdict = watch.verdict
            weight += verdict.weight_change
            if verdict.weight is not None:
                weight += verdict.weight - base
        return min(max(weight, 0), MAX_WEIGHT)


@dataclass
class _Drain:
    server: RealServer
    timer: Timer
    deadline: float


@dataclass
class _Pool:
    configuration: SupervisedPool
    members: dict[ServerKey, _Member] = field(default_factory=dict)
    draining: dict[ServerKey, _Drain] = field(default_factory=dict)
    quorate: bool = True
    suspended: bool = False

    @property
    def live_weight(self) -> int:
        return sum(member.weight for member in self.members.values() if member.up)

    def wanted(self) -> Pool:
        """The pool as the plane should have it now."""
        configuration = self.configuration
        sorry = configuration.sorry
        servers = []
        for member in self.members.values():
            server = member.configuration.server
            if member.up and (self.quorate or sorry is None):
                servers.append(server.with_(weight=member.weight))
            elif not member.up and member.configuration.inhibit:
                servers.append(server.with_(weight=0))
        servers += [drain.server.with_(weight=0) for key, drain in self.draining.items() if key not in self.members]
        if sorry is not None and not self.quorate:
            servers.append(sorry)
        elif sorry is not None and configuration.sorry_inhibit:
            servers.append(sorry.with_(weight=0))
        return Pool(configuration.service, tuple(servers))


class Supervisor:
    """Keeps a plane's table true to the checks.

    plane: where the services are.  host: runs the checks; all methods belong to its thread, or to the time before it
    runs.  state_file: where the owned keys are written.  run: runs a command (default: as a process, not waited for).
    """

    def __init__(
        self,
        plane: Plane,
        host: Host,
        state_file: str | os.PathLike[str],
        run: Callable[[Command], None] | None = None,
    ) -> None:
        self.plane = plane
        self.host = host
        self.ownership = Ownership(state_file)
        self._pools: dict[ServiceKey, _Pool] = {}
        self._run = run or self._run_process
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._retry: Timer | None = None
        self._local: set[str] | None = None

    # -- configuration

    def load(self, pools: Iterable[SupervisedPool], adopt: bool = False) -> None:
        """Start with, or change to, these pools.

        What did not change is not touched, and keeps its check states.  Services recorded by an earlier life that are
        not wanted are removed.  adopt: take over services that somebody else made.
        Raises InvalidRequest, ForeignService, Unsupported (nothing was changed); OSError (the state file); Refused or
        PartiallyApplied (it is tried again every second; calling again does so too).
        """
        pools = list(pools)
        wanted = {pool.key: pool for pool in pools}
        if len(wanted) != len(pools):
            raise InvalidRequest("a virtual service is configured twice")
        table = self.plane.table()
        owned = self.ownership.keys
        foreign = [status.service.key for status in table if status.service.key in wanted.keys() - owned]
        if foreign and not adopt:
            raise ForeignService(
                f"made by somebody else: {', '.join(map(str, foreign))}; remove them, or load with adopt=True", foreign
            )
        # What would be refused is found before anything is recorded or changed.
        fresh = [Pool(pool.service, tuple(member.server for member in pool.members)) for pool in pools]
        self.plane.check(plan(fresh, wanted.keys(), ()).changes)
        self.ownership.record(owned | wanted.keys())
        for key in [key for key in self._pools if key not in wanted]:
            self._forget(self._pools.pop(key))
        for key, pool in wanted.items():
            self._pools[key] = self._renewed(self._pools.get(key), pool)
            self._warn(pool)
        self._apply(table)
        self.ownership.record(wanted.keys())

    def _renewed(self, old: _Pool | None, configuration: SupervisedPool) -> _Pool:
        """A pool for the configuration, with the members (and their verdicts) of the old one that did not change."""
        pool = old or _Pool(configuration, quorate=not configuration.alpha)
        pool.configuration = configuration
        before, pool.members = pool.members, {}
        for wanted in configuration.members:
            key = wanted.server.key
            member = before.pop(key, None)
            if member is not None and member.configuration.checks == wanted.checks:
                member.configuration = wanted
            else:
                if member is not None:
                    self._cancel(member)
                member = self._new_member(pool, wanted)
            pool.members[key] = member
            if key in pool.draining:
                pool.draining.pop(key).timer.cancel()
        for member in before.values():
            self._cancel(member)
            if configuration.drain:
                self._start_drain(pool, member.configuration.server, configuration.drain)
        self._judge_quorum(pool)
        self._follow_vip(pool)
        return pool

    def _new_member(self, pool: _Pool, configuration: Member) -> _Member:
        member = _Member(configuration)
        for check in configuration.checks:
            if pool.configuration.alpha:
                check = replace(check, timing=replace(check.timing, alpha=True))
            member.watches.append(self.host.watch(check, lambda watch: self._verdict(pool, member, watch)))
        member.up = member.healthy
        return member

    def _cancel(self, member: _Member) -> None:
        for watch in member.watches:
            watch.cancel()

    def _forget(self, pool: _Pool) -> None:
        for member in pool.members.values():
            self._cancel(member)
        for drain in pool.draining.values():
            drain.timer.cancel()

    def _warn(self, pool: SupervisedPool) -> None:
        if pool.service.persistence and not self._expires_quiescent():
            log.warning(
                "%s is persistent: clients it knows keep coming to a server of weight 0 (inhibited or draining) unless "
                "expire_quiescent_template is set (kernel: the sysctl net.ipv4.vs.expire_quiescent_template; other "
                "planes: an argument)",
                pool.key,
            )

    def _expires_quiescent(self) -> bool:
        """Whether a persistent client leaves a server of weight 0."""
        setting = getattr(self.plane, "setting", None)
        if setting is None:
            return bool(getattr(self.plane, "expire_quiescent_template", True))
        try:
            return bool(setting("expire_quiescent_template"))
        except InvalidRequest:
            log.debug("this kernel has no expire_quiescent_template")
            return True

    def stop(self) -> None:
        """Remove what is owned, run the omega commands, forget the state file.  Raises Refused, PartiallyApplied."""
        if self._retry is not None:
            self._retry.cancel()
        for pool in self._pools.values():
            self._forget(pool)
            if pool.configuration.omega:
                for member in pool.members.values():
                    if member.up and member.configuration.notify_down:
                        self._run(member.configuration.notify_down)
                if pool.quorate and pool.configuration.quorum_down:
                    self._run(pool.configuration.quorum_down)
        self._pools.clear()
        self._apply(self.plane.table())
        self.ownership.remove()

    # -- following the checks

    def _verdict(self, pool: _Pool, member: _Member, watch: Watch) -> None:
        key, server = pool.configuration.key, member.configuration.server.key
        verdict = watch.verdict
        log.info(
            "%s of %s for %s %s: %s", watch.check, server, key, "succeeded" if verdict.up else "failed", verdict.reason
        )
        if member.healthy != member.up:
            member.up = member.healthy
            configuration = member.configuration
            log.info(
                "%s service %s %s %s",
                *(("Adding", server, "to", key) if member.up else ("Removing", server, "from", key)),
            )
            command = configuration.notify_up if member.up else configuration.notify_down
            if command:
                self._run(command)
        self._judge_quorum(pool)
        self._apply_later_if_refused([pool])

    def _judge_quorum(self, pool: _Pool) -> None:
        configuration = pool.configuration
        weight = pool.live_weight
        if pool.quorate:
            quorate = weight >= configuration.quorum - configuration.hysteresis
        else:
            quorate = weight >= configuration.quorum + configuration.hysteresis
        # Where the quorum can never be exceeded by the hysteresis, all members up are enough.
        if not quorate and pool.members and all(member.up for member in pool.members.values()):
            quorate = weight >= configuration.quorum
        if quorate == pool.quorate:
            return
        pool.quorate = quorate
        log.info("%s quorum %s (weight %d, quorum %d)", configuration.key, "gained" if quorate else "lost", weight,
                 configuration.quorum)  # fmt: skip
        command = configuration.quorum_up if quorate else configuration.quorum_down
        if command:
            self._run(command)

    # -- the table

    def _apply(self, table: Sequence[ServiceStatus]) -> None:
        """Make the whole table as wanted; if the plane refuses, try again in a while, and raise."""
        owned = self.ownership.keys
        changes = plan([pool.wanted() for pool in self._pools.values()], owned, table).changes
        if not changes:
            return
        try:
            self.plane.apply(changes)
        except IpvsError:
            self._try_again()
            raise

    def _apply_later_if_refused(self, pools: Sequence[_Pool]) -> None:
        """Make some pools as wanted, reading only those from the plane; refusals are logged and tried again."""
        try:
            table = []
            for pool in pools:
                try:
                    table.append(self.plane.service(pool.configuration.key))
                except NoSuchService:
                    log.warning("%s was deleted by somebody else and is made again", pool.configuration.key)
            changes = plan([pool.wanted() for pool in pools], self.ownership.keys, table).changes
            if changes:
                self.plane.apply(changes)
        except IpvsError as error:
            log.error("%s; trying again in %s s", error, RETRY_DELAY)
            self._try_again()

    def _try_again(self) -> None:
        def again() -> None:
            self._retry = None
            try:
                self._apply(self.plane.table())
                self.ownership.record(self._pools.keys())
            except IpvsError as error:
                log.error("%s; trying again in %s s", error, RETRY_DELAY)

        if self._retry is None:
            self._retry = self.host.call_later(RETRY_DELAY, again)

    # -- draining

    def drain(self, key: ServiceKey, server: ServerKey, deadline: float) -> None:
        """Take a member out gently: no new connections, and when none is active, or after `deadline` seconds, it is
        deleted.  Loading a configuration that still has it brings it back.  Raises NoSuchService, NoSuchServer."""
        pool = self._pools.get(key)
        if pool is None:
            raise NoSuchService(f"{key} is not supervised")
        member = pool.members.pop(server, None)
        if member is None:
            raise NoSuchServer(f"{key} has no member {server}")
        self._cancel(member)
        self._start_drain(pool, member.configuration.server, deadline)
        self._judge_quorum(pool)
        self._apply_later_if_refused([pool])

    def draining(self, key: ServiceKey) -> tuple[ServerKey, ...]:
        """The servers of a pool that are being drained."""
        return tuple(self._pools[key].draining) if key in self._pools else ()

    def _start_drain(self, pool: _Pool, server: RealServer, seconds: float) -> None:
        deadline = self.host.clock() + seconds
        timer = self.host.call_later(min(DRAIN_POLL, seconds), lambda: self._look_at_drain(pool, server.key))
        pool.draining[server.key] = _Drain(server, timer, deadline)

    def _look_at_drain(self, pool: _Pool, server: ServerKey) -> None:
        drain = pool.draining.get(server)
        if drain is None:
            return
        try:
            active = self.plane.server(pool.configuration.key, server).active
        except (NoSuchService, NoSuchServer):
            active = 0
        left = drain.deadline - self.host.clock()
        if active and left > 0:
            drain.timer = self.host.call_later(min(DRAIN_POLL, left), lambda: self._look_at_drain(pool, server))
            return
        if active:
            log.warning(
                "%s of %s still has %d active connections at its deadline", server, pool.configuration.key, active
            )
        del pool.draining[server]
        self._apply_later_if_refused([pool])

    # -- the address

    def vip(self, addresses: Iterable[str]) -> None:
        """The addresses that are local now: pools with ha_suspend are checked only while theirs is among them."""
        self._local = set(addresses)
        for pool in self._pools.values():
            self._follow_vip(pool)

    def _follow_vip(self, pool: _Pool) -> None:
        configuration = pool.configuration
        address = configuration.service.address
        suspend = bool(configuration.ha_suspend and address and self._local is not None and address not in self._local)
        if suspend == pool.suspended and not suspend:
            return
        pool.suspended = suspend
        for member in pool.members.values():
            for watch in member.watches:
                if suspend:
                    watch.suspend()
                else:
                    watch.resume()

    def bfd(self, name: str, up: bool) -> None:
        """A BFD session has come up or gone down: every BFD_CHECK of that name follows."""
        for pool in list(self._pools.values()):
            for member in list(pool.members.values()):
                for watch in member.watches:
                    if isinstance(watch.check, BfdCheck) and watch.check.name == name:
                        watch.feed(up, f"BFD session {name} {'up' if up else 'down'}")

    # -- what it is like

    def state(self) -> dict[ServiceKey, dict[ServerKey, bool]]:
        """Which members are up, by service."""
        return {key: {name: member.up for name, member in pool.members.items()} for key, pool in self._pools.items()}

    def quorate(self, key: ServiceKey) -> bool:
        """Whether a pool has its quorum.  Raises NoSuchService."""
        if key not in self._pools:
            raise NoSuchService(f"{key} is not supervised")
        return self._pools[key].quorate

    # -- commands

    def _run_process(self, command: Command) -> None:
        """Start a command and reap it when it ends."""
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        except (OSError, ValueError) as error:
            log.error("cannot run %s: %s", command[0], getattr(error, "strerror", None) or error)
            return
        descriptor = os.pidfd_open(process.pid)
        self._processes[descriptor] = process

        def ended() -> None:
            status = process.wait()
            self.host.remove_reader(descriptor)
            os.close(descriptor)
            del self._processes[descriptor]
            if status:
                log.warning("%s ended with status %d", command[0], status)

        self.host.add_reader(descriptor, ended)
