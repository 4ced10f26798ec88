"""libipvs: the kernel's load balancer from Python.

    from libipvs import RealServer, VirtualService, open
    with open("kernel") as plane:
        web = VirtualService.tcp("10.0.0.1", 80, scheduler="rr")
        plane.add_service(web)
        plane.add_server(web.key, RealServer("10.0.1.1", 80, "nat"))

`open(plane)` gives the data plane by its name; it never falls back to another one unless asked to ("auto").
"""

from __future__ import annotations

import logging

from libipvs.errors import InvalidRequest, IpvsError, Unavailable
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

log = logging.getLogger("libipvs")


def open(plane: str = "kernel") -> Plane:
    """A data plane; its `name` says which.

    "kernel": IPVS in this network namespace.  "proxy": TCP and UDP in this process.  "memory": a table without traffic.
    "auto": the kernel's, or where the kernel has no IPVS the proxy; the choice is logged.
    Raises InvalidRequest for another name, Unavailable if "kernel" is wanted and the kernel has no IPVS.
    """
    if plane == "auto":
        try:
            chosen = open("kernel")
        except Unavailable as reason:
            chosen = open("proxy")
            log.warning("data plane: proxy (%s)", reason)
        else:
            log.info("data plane: kernel")
        return chosen
    if plane == "proxy":
        from libipvs.proxy import Proxy

        return Proxy()
    if plane == "kernel":
        from libipvs.kernel import Kernel  # imports pyroute2's modules: only where wanted

        return Kernel()
    if plane == "memory":
        from libipvs.memory import Memory

        return Memory()
    raise InvalidRequest(f"there is no data plane {plane!r}; there are kernel, proxy, memory and auto")


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
    "Unavailable",
    "VirtualService",
    "open",
    "plan",
    "reconcile",
]
