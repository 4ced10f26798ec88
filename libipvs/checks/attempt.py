"""One attempt with a socket or a process under it: a probe's conversation, carried out without waiting.

An attempt registers its descriptor with the host's epoll, is called back by ready(), and tells the host when it is
over.  It never blocks and never raises for what the peer does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from libipvs.checks.http import HttpCheck, unverified
from libipvs.checks.kinds import Check, ProcessProbe
from libipvs.checks.probe import Probe, Target

if TYPE_CHECKING:
    from libipvs.checks.host import Watch

RECEIVE = 65536
# Errors that say something of this host, not of the target.
LOCAL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN)
SO_BINDTODEVICE = 25


class LocalShortage(Exception):
    """This host lacks what the attempt needs (descriptors, memory, processes)."""


def open_socket(target: Target, kind: int, protocol: int = 0) -> socket.socket:
    """A non-blocking socket, bound as the target wants it.  Raises OSError, LocalShortage."""
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    try:
        opened = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        if error.errno in LOCAL:
            raise LocalShortage(str(error)) from error
        raise
    try:
        if target.bind_if:
            opened.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, target.bind_if.encode() + b"\0")
        if target.fwmark:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, target.fwmark)
        if target.bindto or target.bind_port:
            if target.bind_port:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((target.bindto or ("::" if family == socket.AF_INET6 else "0.0.0.0"), target.bind_port))
    except OSError:
        opened.close()
        raise
    return opened


class Attempt:
    """The base: its number in the machine, its probe, its watch; close() lets go of everything."""

    descriptor = -1

    def __init__(self, watch: Watch, number: int, probe: Probe) -> None:
        self.watch = watch
        self.number = number
        self.probe = probe

    def begin(self) -> None:
        """Start.  Raises LocalShortage; other troubles become the probe's outcome."""

    def ready(self, mask: int) -> None:
        """The descriptor is ready for something."""

    def close(self) -> None:
        """Let go of descriptors and processes.  May be called again."""


class StreamAttempt(Attempt):
    """TCP, with TLS if the check wants it."""

    def __init__(self, watch: Watch, number: int, probe: Probe) -> None:
        super().__init__(watch, number, probe)
        self.socket: socket.socket | None = None
        self.connecting = True
        self.handshaking = False
        self.unsent = b""
        self.tls: ssl.SSLObject | None = None
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def begin(self) -> None:
        target = self.watch.check.target
        try:
            self.socket = open_socket(target, socket.SOCK_STREAM)
            error = self.socket.connect_ex((target.address, target.port))
        except OSError as trouble:
            self.probe.failed(trouble.strerror or str(trouble))
            return
        if error not in (0, errno.EINPROGRESS):
            if error in LOCAL:
                raise LocalShortage(os.strerror(error))
            self.probe.failed(os.strerror(error))
            return
        self.descriptor = self.socket.fileno()
        self.watch.host.register(self, select.EPOLLOUT)

    def ready(self, mask: int) -> None:
        if self.socket is None:
            return
        try:
            if self.connecting:
                self._connected()
            else:
                if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    self._read()
                if mask & select.EPOLLOUT and self.probe.outcome is None:
                    self._send(b"")
        except ssl.SSLError as error:
            self.probe.failed(f"TLS: {error.reason or error}")
        except OSError as error:
            self.probe.failed(error.strerror or str(error))

    def _connected(self) -> None:
        assert self.socket is not None
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.probe.failed(os.strerror(error))
            return
        self.connecting = False
        self.watch.connected(self)
        check = self.watch.check
        if isinstance(check, HttpCheck) and check.tls:
            context = check.context or unverified()
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=check.sni or None)
            self.handshaking = True
            self._handshake()
        else:
            self._send(self.probe.connected())
        if self.probe.outcome is None and not self.unsent:
            self.watch.host.modify(self, select.EPOLLIN)

    def _handshake(self) -> None:
        assert self.tls is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_raw(self.outgoing.read())
            return
        self.handshaking = False
        self._send(self.probe.connected())

    def _read(self) -> None:
        assert self.socket is not None
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            return
        if self.tls is None:
            if data:
                self._send(self.probe.received(data))
            else:
                self.probe.closed()
            return
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        if self.handshaking:
            self._handshake()
        while self.probe.outcome is None and not self.handshaking:
            try:
                plain = self.tls.read(RECEIVE)
            except ssl.SSLWantReadError:
                return
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                plain = b""
            if not plain:
                self.probe.closed()
                return
            self._send(self.probe.received(plain))

    def _send(self, data: bytes) -> None:
        if self.tls is not None:
            if data:
                self.tls.write(data)
            data = self.outgoing.read()
        self._send_raw(data)

    def _send_raw(self, data: bytes) -> None:
        self.unsent += data
        if not self.unsent or self.socket is None:
            return
        try:
            sent = self.socket.send(self.unsent)
        except BlockingIOError:
            sent = 0
        self.unsent = self.unsent[sent:]
        self.watch.host.modify(self, select.EPOLLIN | (select.EPOLLOUT if self.unsent else 0))

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()  # leaves the epoll set by itself
            self.socket = None


class DatagramAttempt(Attempt):
    """A connected UDP socket: an ICMP refusal comes back as an error."""

    def __init__(self, watch: Watch, number: int, probe: Probe) -> None:
        super().__init__(watch, number, probe)
        self.socket: socket.socket | None = None

    def begin(self) -> None:
        target = self.watch.check.target
        try:
            self.socket = open_socket(target, socket.SOCK_DGRAM)
            self.socket.connect((target.address, target.port))
            self.descriptor = self.socket.fileno()
            self.watch.host.register(self, select.EPOLLIN)
            self.socket.send(self.probe.connected())
        except OSError as error:
            self.probe.failed(error.strerror or str(error))

    def ready(self, mask: int) -> None:
        if self.socket is None:
            return
        try:
            answer = self.probe.received(self.socket.recv(RECEIVE))
            if answer:
                self.socket.send(answer)
        except BlockingIOError:
            return
        except OSError as error:
            self.probe.failed(error.strerror or str(error))

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class EchoAttempt(DatagramAttempt):
    """ICMP echo.  A datagram socket where the kernel allows one (it numbers and filters), else a raw one."""

    def begin(self) -> None:
        target = self.watch.check.target
        self.six = ":" in target.address
        self.identifier = self.number & 0xFFFF
        self.sequence = id(self) >> 4 & 0xFFFF
        protocol = socket.IPPROTO_ICMPV6 if self.six else socket.IPPROTO_ICMP
        try:
            try:
                self.socket = open_socket(target, socket.SOCK_DGRAM, protocol)
                self.raw = False
            except PermissionError:
                self.socket = open_socket(target, socket.SOCK_RAW, protocol)
                self.raw = True
            self.socket.connect((target.address, 0))
            self.descriptor = self.socket.fileno()
            self.watch.host.register(self, select.EPOLLIN)
            self.socket.send(self._request(self.probe.connected()))
        except OSError as error:
            self.probe.failed(error.strerror or str(error))

    def _request(self, payload: bytes) -> bytes:
        kind = 128 if self.six else 8
        head = struct.pack(">BBHHH", kind, 0, 0, self.identifier, self.sequence)
        # The kernel fills in an IPv6 checksum by itself.
        total = 0 if self.six else checksum(head + payload)
        return struct.pack(">BBHHH", kind, 0, total, self.identifier, self.sequence) + payload

    def ready(self, mask: int) -> None:
        if self.socket is None:
            return
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            self.probe.failed(error.strerror or str(error))
            return
        if self.raw and not self.six:
            data = data[(data[0] & 15) * 4 :] if data else b""
        if len(data) < 8:
            return
        kind, _, _, identifier, sequence = struct.unpack(">BBHHH", data[:8])
        if (
            kind == (129 if self.six else 0)
            and sequence == self.sequence
            and (not self.raw or identifier == self.identifier)
        ):
            self.probe.received(data[8:])


class ProcessAttempt(Attempt):
    """A script in a session of its own, so that all it started can be ended with it."""

    def __init__(self, watch: Watch, number: int, probe: Probe) -> None:
        super().__init__(watch, number, probe)
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        assert isinstance(self.probe, ProcessProbe)
        try:
            self.process = subprocess.Popen(
                self.probe.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.descriptor = os.pidfd_open(self.process.pid)
        except OSError as error:
            if error.errno in LOCAL:
                self.close()
                raise LocalShortage(str(error)) from error
            self.probe.failed(f"script cannot be run: {error.strerror}")
            return
        self.watch.host.register(self, select.EPOLLIN)

    def ready(self, mask: int) -> None:
        assert isinstance(self.probe, ProcessProbe)
        if self.process is not None:
            status = self.process.poll()
            if status is not None:
                self.probe.exited(status)

    def close(self) -> None:
        if self.process is not None:
            if self.process.returncode is None:
                end_group(self.process)
            self.process = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its session's group, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


KINDS: dict[str, Callable[[Watch, int, Probe], Attempt]] = {
    "stream": StreamAttempt,
    "datagram": DatagramAttempt,
    "echo": EchoAttempt,
    "process": ProcessAttempt,
}


def make(watch: Watch, check: Check, number: int, probe: Probe) -> Attempt:
    return KINDS[check.transport](watch, number, probe)
