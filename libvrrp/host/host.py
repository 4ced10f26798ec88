"""Host: the virtual routers of one process, for real.

    with Host(Config((Router("web", "eth0", 51, (Address("10.0.0.100/24"),)),))) as host:
        for notice in host.follow():
            print(notice)

One thread without the GIL does all that is urgent (see worker.pyx); this class starts and stops it, and passes commands
and notices.  asyncio programs use `async with` and `async for notice in host.watch()`.
"""

import asyncio
import atexit
import os
import select
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple, Self

from libvrrp.config import Config
from libvrrp.errors import CapabilityError, ConfigError, VrrpError
from libvrrp.fsm import Node
from libvrrp.fsm.node import identity, placement
from libvrrp.host.filter import AddressFilter
from libvrrp.host.trackers import Trackers
from libvrrp.host.vmac import VirtualMacs
from libvrrp.host.worker import KIND, Worker

_CAPABILITIES = {12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW"}


class Notice(NamedTuple):
    """Something that happened.

    kind: "TRANSITION" (details old, new, cause), "STOP_SCRIPT" (details id: answer with script_done), "CONFLICT",
    "DROPPED" (details reason), "ADDRESS" (details errno: the kernel refused a change), "LINK" (details up), "SOCKET",
    "BFD_SOCKET" (details errno), "NETLINK_LOST", "BFD" (details old, new, diagnostic),
    "REMOVED" (details port, process: who deleted a master's address; process is None when it is no longer there),
    "REFUSED" (details field, reason: a datagram that is no advert; at most one in 10 s).
    at: ns of the monotonic clock.  name: the router, the interface or the BFD session.
    """

    kind: str
    at: int
    name: str
    details: dict[str, Any]


def missing_capabilities() -> list[str]:
    """Which of the capabilities that a Host needs this process lacks."""
    with open("/proc/self/status", encoding="ascii") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return [name for bit, name in _CAPABILITIES.items() if not effective >> bit & 1]


class Host:
    """Runs a configuration on this machine (in the current network namespace).

    guardian: a second process removes the addresses when this one dies.  hang_timeout: seconds without `touch` after
    which the routers resign (0: never; `async with` touches by itself).  realtime: SCHED_RR priority of the thread, 0
    for none.  lock_memory: mlockall for the process.  cpus: the thread's CPUs.

    Raises CapabilityError without CAP_NET_ADMIN and CAP_NET_RAW.  A setting that the kernel refuses (realtime, memory,
    CPUs) is in `refused` and does not stop anything.
    """

    def __init__(
        self,
        config: Config,
        *,
        guardian: bool = True,
        hang_timeout: float = 0.0,
        realtime: int = 0,
        lock_memory: bool = False,
        cpus: Iterable[int] = (),
    ) -> None:
        if not 0 <= realtime <= 99:
            raise ConfigError("host: realtime: 0 to 99")
        if not 0 <= hang_timeout <= 86400:
            raise ConfigError("host: hang_timeout: 0 to 86400 s")
        missing = missing_capabilities()
        if missing:
            raise CapabilityError(
                f"{' and '.join(missing)} missing: addresses need CAP_NET_ADMIN, adverts and ARP CAP_NET_RAW."
                " What works without them: libvrrp.packet, libvrrp.fsm, libvrrp.bfd and libvrrp.testing."
            )
        self.config = config
        self.refused: list[str] = []
        self._hang_timeout = hang_timeout
        self._realtime = realtime
        self._cpus = frozenset(cpus)
        self._guardian = guardian
        self._told = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._kept: list[Notice] = []
        self._vmacs = VirtualMacs()
        self._filter = AddressFilter()
        self._trackers = Trackers(self.tracker)
        self._changing = threading.RLock()  # a reload exchanges the worker
        self._worker = Worker(Node(config), self._told, guardian, hang_timeout)
        self._thread: threading.Thread | None = None
        self._toucher: asyncio.Task[None] | None = None
        self._closed = False
        self._owner = os.getpid()
        if lock_memory:
            self._refuse("lock_memory", self._worker.lock_memory())

    def _refuse(self, setting: str, number: int) -> None:
        if number:
            self.refused.append(f"{setting}: {os.strerror(number)}")

    def start(self) -> None:
        """Reads links and addresses, removes what an earlier life left behind, and starts all routers."""
        if self._thread is not None or self._closed:
            raise VrrpError("a Host is started once")
        try:
            self._vmacs.require(self.config.routers)
            self._filter.require(self.config.routers)
            self._worker.prepare()
        except BaseException:
            self._worker.dismiss_guardian()
            self._vmacs.close()
            self._filter.close()
            raise
        self._start_thread()
        atexit.register(self.stop)
        self._apply(KIND["start"])
        self._trackers.require(self.config.trackers)

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name="libvrrp", daemon=True)
        self._thread.start()

    def reload(self, config: Config) -> None:
        """Takes a new configuration over.  Routers of the same name, interface, family, VRID and version go on: a
        master stays master, and its addresses are touched only if they changed.  Others are stopped before, and new
        ones started.

        A wrong configuration raises before anything changes.  Adverts pause for the few milliseconds it takes.
        """
        if self._thread is None or self._closed or os.getpid() != self._owner:
            raise VrrpError("only a Host that runs can take a new configuration")
        Worker(Node(config), self._told, False, 0.0)  # what it would refuse, it refuses here
        with self._changing:
            self._exchange(config)
        self._trackers.require(config.trackers)
        os.eventfd_write(self._told, 1)

    def _exchange(self, config: Config) -> None:
        """The rest of a reload, with the lock held."""
        assert self._thread is not None
        self._vmacs.require(config.routers)
        old, node = self._worker, self._worker.node
        new = {router.name: router for router in config.routers}
        old.stop_running()
        self._thread.join()
        for router in self.config.routers:
            other = new.get(router.name)
            if other is None or identity(router) != identity(other):
                old.retire(old.slot(router.name))
            elif placement(router) != placement(other) and node.state(router.name) == "Master":
                old.withdraw(old.slot(router.name))
        self._kept += [Notice(*item) for item in old.notices()]
        actions = node.reload(config, time.monotonic_ns())
        self._worker = Worker(node, self._told, self._guardian, self._hang_timeout)
        self._worker.take_over(old)
        self.config = config
        old.dismiss_guardian()
        self._vmacs.prune(config.routers)
        self._filter.require(config.routers)
        self._worker.prepare()
        self._worker.carry_out([action for action in actions if action.kind != "DELETE"])
        self._start_thread()

    def _run(self) -> None:
        if self._realtime:
            self._refuse("realtime", self._worker.realtime(self._realtime))
        if self._cpus:
            try:
                os.sched_setaffinity(0, self._cpus)
            except OSError as error:
                self._refuse("cpus", error.errno or 0)
        self._worker.run()

    def stop(self, timeout: float = 30.0) -> None:
        """Stops all routers (stop scripts first, for at most timeout seconds): addresses away, priority 0."""
        if self._closed or os.getpid() != self._owner:
            return  # a fork of the application must not take its parent's addresses away
        self._closed = True
        atexit.unregister(self.stop)
        self._trackers.require(())
        if self._thread is not None:
            self._apply(KIND["stop"])
            end = time.monotonic() + timeout
            while time.monotonic() < end and any(
                self._worker.node.state(r.name) == "Master" for r in self.config.routers
            ):
                time.sleep(0.01)
            self._worker.dismiss_guardian()
            self._worker.goodbye()
            self._worker.stop_running()
            self._thread.join()
        else:
            self._worker.dismiss_guardian()
        self._vmacs.close()
        self._filter.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        if self._hang_timeout:
            self._toucher = asyncio.create_task(self._touch_forever())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._toucher is not None:
            self._toucher.cancel()
        await asyncio.to_thread(self.stop)

    async def _touch_forever(self) -> None:
        while True:
            self.touch()
            await asyncio.sleep(self._hang_timeout / 4)

    def __del__(self) -> None:
        if hasattr(self, "_told"):
            os.close(self._told)

    def touch(self) -> None:
        """The heartbeat: call it more often than every hang_timeout seconds."""
        self._worker.touch()

    def state(self, router: str) -> str:
        """The router's state: "Initialize", "Backup", "Master" or "Fault"."""
        return self._worker.node.state(router)

    def status(self) -> dict[str, Any]:
        """All counters and states as plain values: Node.status, with interfaces, guardian, refused settings, and
        what is wrong with trackers."""
        self._check_owner()
        with self._changing:
            return self._worker.status() | {
                "refused_settings": [*self.refused, *self._vmacs.refused, *self._filter.refused],
                "tracker_errors": self._trackers.errors(),
            }

    def _check_owner(self) -> None:
        """A fork has no thread that would ever release the locks."""
        if os.getpid() != self._owner:
            raise VrrpError("this Host belongs to the process that made it, and this is a fork of that process")

    def _apply(self, kind: int, router: int = -1, value: int = 0, id: int = 0, address: str | None = None) -> None:
        self._check_owner()
        with self._changing:
            self._worker.apply(kind, router, value, id, address)

    def start_router(self, router: str) -> None:
        """Starts a router (with its sync group) again."""
        self._apply(KIND["start"], self._worker.slot(router))

    def stop_router(self, router: str) -> None:
        """Stops a router with its sync group: addresses away, priority 0."""
        self._apply(KIND["stop"], self._worker.slot(router))

    def set_priority(self, router: str, priority: int) -> None:
        """Changes the configured priority, 1..255."""
        if not 1 <= priority <= 255:
            raise ConfigError(f"router {router}: priority: 1 to 255")
        self._apply(KIND["priority"], self._worker.slot(router), priority)

    def tracker(self, name: str, value: int) -> None:
        """A tracker's new result: script, process 0 = good; interface, BFD 1 = up; file: its number."""
        self._check_owner()
        with self._changing:
            number = self._worker.tracker(name)
            if self.config.trackers[number].kind in ("script", "process"):
                value = value == 0
            self._apply(KIND["tracker"], number, value)

    def peer_down(self, address: str) -> None:
        """A BFD session to this address went from Up to Down."""
        self._apply(KIND["peer_down"], address=address)

    def script_done(self, number: int) -> None:
        """The stop script of a STOP_SCRIPT notice has ended (its details["id"])."""
        self._apply(KIND["done"], id=number)

    def notices(self) -> list[Notice]:
        """What happened since the last call."""
        self._check_owner()
        with self._changing:
            kept, self._kept = self._kept, []
            return kept + [Notice(*item) for item in self._worker.notices()]

    def fileno(self) -> int:
        """A descriptor that is readable when there are notices (for select, poll, epoll)."""
        return self._told

    def follow(self, timeout: float | None = None) -> Iterator[Notice]:
        """Yields notices as they come, until none came for timeout seconds (None: for ever)."""
        while select.select([self.fileno()], [], [], timeout)[0]:
            yield from self.notices()

    async def watch(self) -> AsyncIterator[Notice]:
        """Yields notices as they come, in asyncio."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.fileno(), ready.set)
        try:
            while True:
                await ready.wait()
                ready.clear()
                for notice in self.notices():
                    yield notice
        finally:
            loop.remove_reader(self.fileno())
