"""libipvs: the kernel's load balancer from Python.

    from libipvs import RealServer, VirtualService, open
    with open("kernel") as plane:
        web = VirtualService.tcp("10.0.0.1", 80, scheduler="rr")
        plane.add_service(web)
        plane.add_server(web.key, RealServer("10.0.1.1", 80, "nat"))

`open(plane)` gives the data plane by its name and nothing else: it never falls back to another one.
"""

from __future__ import annotations

from libipvs.errors import InvalidRequest, IpvsError
from libipvs.model import (
    Action,
    Change,
    Checksum,
    DaemonState,
    Forward,
    Info,
    Pool,
    Protocol,
    RealServer,
    ServerKey,
    ServerStatus,
    ServiceKey,
    ServiceStatus,
    Stats,
    SyncDaemon,
    Timeouts,
    Tunnel,
    VirtualService,
)
from libipvs.plane import Plane
from libipvs.reconcile import Plan, plan, reconcile


def open(plane: str = "kernel") -> Plane:
    """A data plane: "kernel" (IPVS in this network namespace) or "memory" (in this process, without packets).

    Raises InvalidRequest for another name, Unavailable if the kernel has no IPVS.
    """
    if plane == "kernel":
        from libipvs.kernel import Kernel  # imports pyroute2's modules: only where wanted

        return Kernel()
    if plane == "memory":
        from libipvs.memory import Memory

        return Memory()
    raise InvalidRequest(f"there is no data plane {plane!r}; there are kernel and memory")


__all__ = [
    "Action",
    "Change",
    "Checksum",
    "DaemonState",
    "Forward",
    "Info",
    "InvalidRequest",
    "IpvsError",
    "Plan",
    "Plane",
    "Pool",
    "Protocol",
    "RealServer",
    "ServerKey",
    "ServerStatus",
    "ServiceKey",
    "ServiceStatus",
    "Stats",
    "SyncDaemon",
    "Timeouts",
    "Tunnel",
    "VirtualService",
    "open",
    "plan",
    "reconcile",
]
