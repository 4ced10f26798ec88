"""From a wanted table to the smallest list of changes, and its execution.

Order within a list of changes, so that no service is ever without the servers it keeps:
new services with their servers; then, service by service, new servers, the service's own options, changed servers,
unwanted servers; unwanted services last.  A service or server that is as wanted is not touched.

IPVS has no transactions.  Each change is complete in itself, and a plan is computed from the table as it is: after any
interruption, reconciling again makes what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from libipvs.errors import ForeignService, InvalidRequest
from libipvs.model import Action, Change, Pool, ServiceKey, ServiceStatus
from libipvs.plane import Plane


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that lead to the wanted table, in order; empty (and false) if nothing is to be done.

    `adopted` are the services that existed without being owned.  str() is one line a change.
    """

    changes: tuple[Change, ...] = ()
    adopted: tuple[ServiceKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes)) or "nothing to do"


def plan(
    desired: Iterable[Pool], owned: Collection[ServiceKey], current: Sequence[ServiceStatus], adopt: bool = False
) -> Plan:
    """What turns the table `current` into `desired`.

    desired: the wanted services with their servers.  owned: keys of services that were made by (or for) the caller:
    only these, and new ones, are changed or removed.  adopt: take over a foreign service that has a wanted key.
    Raises InvalidRequest (a service wanted twice) and ForeignService.
    """
    wanted: dict[ServiceKey, Pool] = {}
    for pool in desired:
        if pool.service.key in wanted:
            raise InvalidRequest(f"the virtual service {pool.service.key} is wanted twice")
        wanted[pool.service.key] = pool
    present = {status.service.key: status for status in current}
    owned = set(owned)
    foreign = tuple(key for key in wanted if key in present and key not in owned)
    if foreign and not adopt:
        raise ForeignService(
            f"made by somebody else: {', '.join(map(str, foreign))}; remove them, or reconcile with adopt=True", foreign
        )
    changes: list[Change] = []
    for key, pool in wanted.items():
        if key not in present:
            changes.append(Change(Action.ADD_SERVICE, key, pool.service))
            changes += [Change(Action.ADD_SERVER, key, server=server) for server in pool.servers]
    for key, pool in wanted.items():
        if key in present:
            changes += _within(pool, present[key])
    changes += [Change(Action.DELETE_SERVICE, key) for key in present if key in owned and key not in wanted]
    return Plan(tuple(changes), foreign)


def _within(pool: Pool, status: ServiceStatus) -> list[Change]:
    """The changes of one service that exists and is wanted."""
    key = pool.service.key
    present = {entry.server.key: entry.server for entry in status.servers}
    wanted = {server.key: server for server in pool.servers}
    changes = [Change(Action.ADD_SERVER, key, server=wanted[name]) for name in wanted if name not in present]
    if status.service != pool.service:
        changes.append(Change(Action.EDIT_SERVICE, key, pool.service))
    changes += [
        Change(Action.EDIT_SERVER, key, server=wanted[name])
        for name in wanted
        if name in present and present[name] != wanted[name]
    ]
    changes += [Change(Action.DELETE_SERVER, key, server=present[name]) for name in present if name not in wanted]
    return changes


def reconcile(
    plane: Plane,
    desired: Iterable[Pool],
    owned: Collection[ServiceKey],
    *,
    adopt: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Make the plane's table as desired, with as few changes as possible, and return them.

    dry_run: only return them (print the result).  Raises what plan() raises, and Unsupported: nothing was changed;
    Refused or PartiallyApplied: see there, and call again.
    """
    result = plan(desired, owned, plane.table(), adopt)
    plane.check(result.changes)
    if result and not dry_run:
        plane.apply(result.changes)
    return result
