"""Every exception of libipvs: one tree below IpvsError, each saying what, where and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libipvs.model import Change


class IpvsError(Exception):
    """The root: `except IpvsError` catches all that the library raises on purpose."""


class InvalidRequest(IpvsError, ValueError):
    """A value that no plane would take (a weight out of range, a port 0 without persistence, ...)."""


class Unsupported(IpvsError):
    """The plane cannot do what was asked; the message names the feature."""


class Unavailable(IpvsError):
    """There is no IPVS to talk to: the kernel lacks it, or the module cannot be loaded; or the proxy is closed."""


class PermissionDenied(IpvsError, PermissionError):
    """The process lacks CAP_NET_ADMIN in this network namespace."""


class Refused(IpvsError):
    """The plane refused one request.  `errno` is the kernel's error number, `change` the request if it was one."""

    def __init__(self, message: str, errno: int = 0, change: Change | None = None) -> None:
        super().__init__(message)
        self.errno = errno
        self.change = change


class ServiceExists(Refused):
    """A virtual service with this key is there already."""


class NoSuchService(Refused):
    """There is no virtual service with this key."""


class ServerExists(Refused):
    """The virtual service has this real server already."""


class NoSuchServer(Refused):
    """The virtual service has no such real server."""


class UnknownScheduler(Refused):
    """The plane has no such scheduler (or persistence engine)."""


class DaemonRefused(Refused):
    """The sync daemon could not be started or stopped."""


class ForeignService(IpvsError):
    """A wanted service exists and is not owned.  `keys` lists them; adopt=True takes them over."""

    def __init__(self, message: str, keys: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.keys = tuple(keys)


class PartiallyApplied(IpvsError):
    """Some changes were made and some were not: IPVS has no transactions.

    `applied` and `pending` are the changes done and not done, in order; `failures` pairs each refused change with its
    Refused (a pending change without one was never sent, or its answer was lost).  Reconciling again converges.
    """

    def __init__(
        self,
        message: str,
        applied: Sequence[Change],
        pending: Sequence[Change],
        failures: Sequence[tuple[Change, Refused]] = (),
    ) -> None:
        super().__init__(message)
        self.applied = tuple(applied)
        self.pending = tuple(pending)
        self.failures = tuple(failures)
