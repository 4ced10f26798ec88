"""The kernel's load balancer over generic netlink.

Source: Linux <linux/ip_vs.h>; measured on Linux 6.1 and compared with ipvsadm 1.31.  The messages are made and read by
libipvs.netlink (compiled); pyroute2 opens the socket and looks the family up.

A request is executed by the kernel within the send call that carries it, and its answers are queued before that call
returns.  So a call here takes some microseconds of system time and never waits for anybody: it may be made inside a
running asyncio loop.  (Deleting waits for an RCU grace period, some ms; loading a scheduler module waits for modprobe.
AsyncKernel moves the calls to a thread for those who mind.)

Only the last request of a batch asks for an acknowledgement: refusals come unasked, and the kernel works in order, so
the last answer closes the batch.  One batch is at most 128 requests, so that even 128 refusals fit the receive buffer.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeVar

from libipvs import netlink
from libipvs.errors import (
    DaemonRefused,
    InvalidRequest,
    NoSuchServer,
    NoSuchService,
    PermissionDenied,
    Refused,
    ServerExists,
    ServiceExists,
    Unavailable,
    UnknownScheduler,
)
from libipvs.model import (
    Action,
    Change,
    DaemonState,
    Info,
    ServerStatus,
    ServiceKey,
    ServiceStatus,
    SyncDaemon,
    Timeouts,
)
from libipvs.plane import Plane, partially_applied

BATCH = 128
RECEIVE = 65536
ANSWER_TIMEOUT = 30.0  # seconds; answers are there at once, a lost one must not hang the caller
DUMP_ATTEMPTS = 5
SYSCTLS = Path("/proc/sys/net/ipv4/vs")
NETLINK_CAP_ACK, NETLINK_EXT_ACK = 10, 11

Setting = int | tuple[int, ...]
T = TypeVar("T")

COMMANDS = {
    Action.ADD_SERVICE: netlink.NEW_SERVICE,
    Action.EDIT_SERVICE: netlink.SET_SERVICE,
    Action.DELETE_SERVICE: netlink.DEL_SERVICE,
    Action.ADD_SERVER: netlink.NEW_DEST,
    Action.EDIT_SERVER: netlink.SET_DEST,
    Action.DELETE_SERVER: netlink.DEL_DEST,
}


class Kernel(Plane):
    """The IPVS table of the network namespace that the calling thread is in when this is made.

    Safe to use from several threads.  Raises Unavailable if the kernel has no IPVS; PermissionDenied on the first
    request if the process lacks CAP_NET_ADMIN.
    """

    name: ClassVar[str] = "kernel"
    supports: ClassVar[frozenset[str]] = frozenset(
        """tcp udp sctp fwmark nat dr tun local persistence persistence-engine one-packet thresholds timeouts
        sync-daemon counters packet-counters""".split()  # noqa: SIM905
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._socket, self._family = _open_socket()

    # -- reading

    def services(self) -> list[ServiceStatus]:
        return self._dump(netlink.GET_SERVICE)

    def service(self, key: ServiceKey) -> ServiceStatus:
        status = self._ask(netlink.GET_SERVICE, key=key)
        return ServiceStatus(status.service, status.stats, tuple(self.servers(key)))

    def servers(self, key: ServiceKey) -> list[ServerStatus]:
        """The real servers of one service, newest first as the kernel holds them; [] if it does not exist."""
        return self._dump(netlink.GET_DEST, key=key)

    def table(self) -> list[ServiceStatus]:
        return [
            ServiceStatus(status.service, status.stats, tuple(self.servers(status.service.key)))
            for status in self.services()
        ]

    def info(self) -> Info:
        info: Info = self._ask(netlink.GET_INFO)
        return info

    def timeouts(self) -> Timeouts:
        timeouts: Timeouts = self._ask(netlink.GET_CONFIG)
        return timeouts

    def daemons(self) -> list[SyncDaemon]:
        return self._dump(netlink.GET_DAEMON)

    # -- changing

    def apply(self, changes: Iterable[Change]) -> None:
        changes = list(changes)
        self.check(changes)
        done = [False] * len(changes)
        failures: list[tuple[Change, Refused]] = []
        with self._lock:
            for start in range(0, len(changes), BATCH):
                batch = changes[start : start + BATCH]
                try:
                    answers = self._send_changes(batch)
                except OSError as error:
                    raise partially_applied(
                        changes, done, failures, f"the kernel's answer was lost ({error})"
                    ) from error
                for index, (change, answer) in enumerate(zip(batch, answers, strict=True)):
                    if answer is None:
                        done[start + index] = True
                    else:
                        failures.append((change, _refusal(change, *answer)))
                if failures:
                    break
        if failures and len(changes) == 1:
            raise failures[0][1]
        if failures:
            raise partially_applied(changes, done, failures, "the kernel refused") from failures[0][1]

    def _send_changes(self, batch: Sequence[Change]) -> list[tuple[int, str] | None]:
        """Send one batch.  For each change None if it was made, else (errno, the kernel's words)."""
        first = self._next(len(batch))
        last = first + len(batch) - 1
        parts = []
        for sequence, change in enumerate(batch, first):
            flags = netlink.REQUEST | (netlink.ACK if sequence == last else 0)
            command = COMMANDS[change.action]
            key = None if change.service is not None else change.key
            parts.append(netlink.encode(self._family, command, flags, sequence, key, change.service, change.server))
        _, errors = self._exchange(b"".join(parts), first, last)
        answers: list[tuple[int, str] | None] = []
        for sequence in range(first, last + 1):
            number, text = errors.get(sequence, (0, ""))
            answers.append((number, text) if number else None)
        if any(answer is not None and answer[0] == errno.EPERM for answer in answers):
            raise _no_permission()
        return answers

    def flush(self) -> None:
        self._command(netlink.FLUSH)

    def zero(self, key: ServiceKey | None = None) -> None:
        self._command(netlink.ZERO, key=key)

    def set_timeouts(self, timeouts: Timeouts) -> None:
        self._command(netlink.SET_CONFIG, timeouts=timeouts)

    def start_daemon(self, daemon: SyncDaemon) -> None:
        self._command(netlink.NEW_DAEMON, daemon=daemon)

    def stop_daemon(self, state: DaemonState | Literal["master", "backup"]) -> None:
        # A daemon stopped before it first ran (its thread's exit is then EINTR) stops without an acknowledgement.
        # So a second request, which is always answered, closes the batch.
        daemon = SyncDaemon(state, "any")
        with self._lock:
            sequence = self._next(2)
            flags = netlink.REQUEST | netlink.ACK
            request = netlink.encode(self._family, netlink.DEL_DAEMON, flags, sequence, daemon=daemon)
            request += netlink.encode(self._family, netlink.GET_INFO, flags, sequence + 1)
            _, errors = self._exchange(request, sequence, sequence + 1)
        number, text = errors.get(sequence, (0, ""))
        if number:
            raise _command_refusal(netlink.DEL_DAEMON, number, text, {"daemon": daemon})

    # -- sysctls

    def settings(self) -> dict[str, Setting]:
        """All of /proc/sys/net/ipv4/vs in the calling thread's network namespace: name -> number, or several."""
        return {path.name: _read_setting(path) for path in sorted(SYSCTLS.iterdir()) if path.stat().st_mode & 0o400}

    def setting(self, name: str) -> Setting:
        """One of them.  Raises InvalidRequest if this kernel has no such setting."""
        return _read_setting(_setting_path(name))

    def set_setting(self, name: str, value: Setting) -> None:
        """Set one.  Raises InvalidRequest (no such setting, or a value the kernel refuses), PermissionDenied."""
        path = _setting_path(name)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        try:
            path.write_text(text + "\n")
        except PermissionError as error:
            raise _no_permission() from error
        except OSError as error:
            raise InvalidRequest(f"the kernel refuses {text} for {path}: {error.strerror}") from error

    # -- transport

    def close(self) -> None:
        self._socket.close()

    def _next(self, count: int) -> int:
        """The first of `count` consecutive sequence numbers; never 0, never wrapping inside a batch."""
        if self._sequence > 0x7FFFFFFF - count:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def _exchange(
        self, request: bytes, first: int, last: int, family: int = 0
    ) -> tuple[list[Any], dict[int, tuple[int, str]]]:
        """Send, and read answers until the request numbered `last` is acknowledged, refused or its dump is done."""
        values: list[Any] = []
        errors: dict[int, tuple[int, str]] = {}
        try:
            self._socket.send(request)
        except PermissionError as error:
            raise _no_permission() from error
        while last not in errors:
            seen = netlink.decode(self._socket.recv(RECEIVE), first, last, values, errors, family)
            if seen & netlink.DUMP_INTERRUPTED:
                errors.setdefault(last, (errno.EINTR, "the table changed while it was read"))
        return values, errors

    def _command(self, command: int, **fields: Any) -> list[Any]:
        with self._lock:
            sequence = self._next(1)
            request = netlink.encode(self._family, command, netlink.REQUEST | netlink.ACK, sequence, **fields)
            values, errors = self._exchange(request, sequence, sequence)
        number, text = errors[sequence]
        if number:
            raise _command_refusal(command, number, text, fields)
        return values

    def _ask(self, command: int, **fields: Any) -> Any:
        values = self._command(command, **fields)
        if not values:
            raise Refused(f"the kernel answered command {command} with nothing")
        return values[0]

    def _dump(self, command: int, key: ServiceKey | None = None) -> list[Any]:
        family = key.family if key is not None else 0
        number, text = 0, ""
        for _ in range(DUMP_ATTEMPTS):
            with self._lock:
                sequence = self._next(1)
                request = netlink.encode(self._family, command, netlink.REQUEST | netlink.DUMP, sequence, key)
                try:
                    values, errors = self._exchange(request, sequence, sequence, family)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    number, text = errno.ENOBUFS, "the receive buffer overflowed"
                    continue
            number, text = errors[sequence]
            if number != errno.EINTR:
                break
        if number:
            raise _command_refusal(command, number, text, {"key": key})
        return values


def _open_socket() -> tuple[socket.socket, int]:
    """A blocking netlink socket and the family's number.

    pyroute2's sockets run an asyncio loop of their own, which fails inside a running one: so in a thread, which starts
    in its maker's network namespace.  Its descriptor is kept, all else of it is let go.
    """
    result: list[tuple[socket.socket, int]] = []
    failure: list[BaseException] = []

    def run() -> None:
        from pyroute2.netlink import genlmsg  # type: ignore[import-untyped]
        from pyroute2.netlink.generic import GenericNetlinkSocket  # type: ignore[import-untyped]

        opened = None
        try:
            opened = GenericNetlinkSocket()
            opened.asyncore.module_err_level = "debug"
            opened.bind("IPVS", genlmsg)
            result.append((socket.socket(fileno=os.dup(opened.fileno())), opened.prid))
        except BaseException as error:
            failure.append(error)
        finally:
            if opened is not None:
                opened.close()

    thread = threading.Thread(target=run, name="libipvs-open")
    thread.start()
    thread.join()
    if failure:
        code = getattr(failure[0], "code", None)
        if code in (errno.ENOENT, errno.ENOTSUP, errno.EPROTONOSUPPORT):
            raise Unavailable(
                "this kernel has no IPVS: load it (modprobe ip_vs), or take a kernel that has it (CONFIG_IP_VS)"
            ) from failure[0]
        raise Unavailable(f"the IPVS netlink family cannot be opened: {failure[0]}") from failure[0]
    opened_socket, family = result[0]
    opened_socket.settimeout(ANSWER_TIMEOUT)
    opened_socket.connect((0, 0))  # answers of the kernel only
    for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
        opened_socket.setsockopt(270, option, 1)  # SOL_NETLINK: short refusals, with words
    return opened_socket, family


def _setting_path(name: str) -> Path:
    path = SYSCTLS / name
    if "/" in name or name.startswith(".") or not path.is_file():
        known = ", ".join(sorted(entry.name for entry in SYSCTLS.iterdir())) if SYSCTLS.is_dir() else "none"
        raise InvalidRequest(f"this kernel has no setting {name!r} in {SYSCTLS}; it has: {known}")
    return path


def _read_setting(path: Path) -> Setting:
    numbers = tuple(map(int, path.read_text().split()))
    return numbers[0] if len(numbers) == 1 else numbers


def _no_permission() -> PermissionDenied:
    return PermissionDenied(
        errno.EPERM, "changing or reading IPVS needs CAP_NET_ADMIN in this network namespace: run as root, or grant it"
    )


def _words(number: int, text: str) -> str:
    return f"{os.strerror(number)}{': ' + text if text else ''} (errno {number})"


def _refusal(change: Change, number: int, text: str) -> Refused:
    """The kernel's error number as an exception; the same number means different things in different commands."""
    key, server, service = change.key, change.server, change.service
    if number == errno.ESRCH:
        return NoSuchService(f"there is no virtual service {key}", number, change)
    if number == errno.EEXIST and server is not None:
        return ServerExists(f"{key} has the real server {server.key} already", number, change)
    if number == errno.EEXIST:
        return ServiceExists(f"the virtual service {key} exists already", number, change)
    if number == errno.ENOENT and server is not None:
        return NoSuchServer(f"{key} has no real server {server.key}", number, change)
    if number == errno.ENOENT and service is not None:
        engine = f" or no persistence engine {service.engine!r}" if service.engine else ""
        return UnknownScheduler(
            f"{key}: this kernel has no scheduler {service.scheduler!r}{engine}; "
            f"look for the module ip_vs_{service.scheduler} (twos needs Linux 6.3)",
            number,
            change,
        )
    if number == errno.EINVAL and server is not None:
        return Refused(
            f"{change}: {_words(number, text)}; the address must be unicast, not local to another zone, "
            "and of the service's family unless TUN",
            number,
            change,
        )
    return Refused(f"{change}: {_words(number, text)}", number, change)


def _command_refusal(command: int, number: int, text: str, fields: dict[str, Any]) -> Exception:
    if number == errno.EPERM:
        return _no_permission()
    if number == errno.ESRCH and command == netlink.DEL_DAEMON:
        return DaemonRefused("no such sync daemon is running", number)
    if number == errno.ESRCH:
        return NoSuchService(f"there is no virtual service {fields.get('key')}", number)
    if command in (netlink.NEW_DAEMON, netlink.DEL_DAEMON):
        daemon = fields["daemon"]
        meaning = {
            errno.EEXIST: f"a {daemon.state} sync daemon is running already",
            errno.ENODEV: f"there is no interface {daemon.interface!r}",
            errno.EINVAL: f"interface {daemon.interface!r} cannot do multicast, or an option does not fit it",
        }.get(number, _words(number, text))
        return DaemonRefused(meaning, number)
    return Refused(f"netlink command {command}: {_words(number, text)}", number)


class AsyncKernel:
    """A Kernel whose calls run in a thread, one after the other: `await kernel.run(Kernel.table)`.

    For loops that must not stall while a deletion waits for the kernel's grace period or a scheduler is loaded.
    `async with AsyncKernel() as kernel` opens and closes it.
    """

    def __init__(self) -> None:
        self._kernel: Kernel | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._kernel = await asyncio.to_thread(Kernel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._turn:
            if self._kernel is not None:
                self._kernel.close()
                self._kernel = None

    async def run(self, method: Callable[..., T], *arguments: Any) -> T:
        """Call a method of Kernel (`Kernel.table`, `Kernel.apply`, ...) with the arguments, in a thread."""
        async with self._turn:
            if self._kernel is None:
                raise RuntimeError("the AsyncKernel is not open: use `async with`")
            return await asyncio.to_thread(method, self._kernel, *arguments)
