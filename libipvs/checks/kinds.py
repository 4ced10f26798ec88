"""The kinds of checks but HTTP: what each is configured by, and the conversation of one attempt.

Source: keepalived.conf(5); RFC 5321 (SMTP), RFC 1035 (DNS), RFC 792 and 4443 (echo).  Deviations: MISC_CHECK's command
is split like a shell's words but run without a shell; FILE_CHECK reads its file every delay_loop too, not only
when it has changed.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from libipvs.checks.machine import Timing
from libipvs.checks.probe import Probe, Target
from libipvs.errors import InvalidRequest
from libipvs.model import endpoint

DNS_TYPES = ("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA")
ANSWER_LIMIT = 65536  # bytes of an SMTP answer; more is no mail server


NOWHERE = Target("::")  # of checks that go nowhere: a script, a file, a BFD session
ONCE_A_MINUTE = Timing()
PATIENT = Timing(retry=3)
AT_ONCE = Timing(retry=0)
EVERY_SECOND = Timing(delay_loop=1.0, retry=0, warmup=0)


@dataclass(frozen=True, slots=True)
class Check:
    """What all kinds share: the target, the timing, and how the host carries an attempt out."""

    target: Target = NOWHERE
    timing: Timing = ONCE_A_MINUTE
    transport: ClassVar[str] = "stream"

    @property
    def parts(self) -> int:
        """How many things are asked in turn."""
        return 1

    def probe(self, part: int) -> Probe:
        """A fresh attempt."""
        return Probe()

    def __str__(self) -> str:
        name = type(self).__name__.removesuffix("Check").upper()
        if self.target is NOWHERE:
            return name
        return f"{name} {endpoint(self.target.address, self.target.port)}"


class _Connect(Probe):
    __slots__ = ()

    def connected(self) -> bytes:
        self.succeeded("connected")
        return b""


@dataclass(frozen=True, slots=True)
class TcpCheck(Check):
    """TCP_CHECK: the target accepts a connection."""

    def probe(self, part: int) -> Probe:
        return _Connect()


class _Smtp(Probe):
    """220 -> HELO; 250 -> QUIT; 221 or the end of the connection -> fine."""

    __slots__ = ("expected", "helo_name", "text")

    def __init__(self, helo_name: str) -> None:
        super().__init__()
        self.helo_name = helo_name
        self.expected = "220"
        self.text = b""

    def received(self, data: bytes) -> bytes:
        self.text += data
        while b"\n" in self.text and self.outcome is None:
            line, _, self.text = self.text.partition(b"\n")
            if line[3:4] == b"-":
                continue  # a longer answer; its last line has a blank there
            answer = self._answer(line.decode("ascii", "replace").strip())
            if answer:
                return answer
        if len(self.text) > ANSWER_LIMIT:
            self.failed("the answer does not end")
        return b""

    def _answer(self, line: str) -> bytes:
        if line[:3] != self.expected:
            self.failed(f"expected {self.expected}, got {line[:80]!r}")
            return b""
        if self.expected == "220":
            self.expected = "250"
            return b"HELO " + self.helo_name.encode("ascii", "replace") + b"\r\n"
        if self.expected == "250":
            self.expected = "221"
            return b"QUIT\r\n"
        self.succeeded("mail server answers")
        return b""

    def closed(self) -> None:
        if self.expected == "221":
            self.succeeded("mail server answers")
        else:
            self.failed(f"connection closed while waiting for {self.expected}")


@dataclass(frozen=True, slots=True)
class SmtpCheck(Check):
    """SMTP_CHECK: greets, answers HELO and QUIT."""

    helo_name: str = "localhost"

    def probe(self, part: int) -> Probe:
        return _Smtp(self.helo_name)


class _Dns(Probe):
    __slots__ = ("query",)

    def __init__(self, name: str, kind: str) -> None:
        super().__init__()
        self.query = dns.message.make_query(name, kind)

    def connected(self) -> bytes:
        return self.query.to_wire()

    def received(self, data: bytes) -> bytes:
        try:
            answer = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError, struct.error):
            return b""  # noise, or somebody else's: the true answer may still come
        if not self.query.is_response(answer):
            return b""
        if answer.rcode() != dns.rcode.NOERROR:
            self.failed(f"DNS answer {dns.rcode.to_text(answer.rcode())}")
        else:
            self.succeeded("DNS answer NOERROR")
        return b""


@dataclass(frozen=True, slots=True)
class DnsCheck(Check):
    """DNS_CHECK over UDP: a query for `name` and `type` is answered without an error."""

    name: str = "."
    type: str = "SOA"
    timing: Timing = PATIENT
    transport: ClassVar[str] = "datagram"

    def __post_init__(self) -> None:
        if self.type not in DNS_TYPES:
            raise InvalidRequest(f"DNS type {self.type!r} is unknown; known are {', '.join(DNS_TYPES)}")
        try:
            dns.message.make_query(self.name, self.type)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise InvalidRequest(f"DNS name {self.name!r} cannot be asked for: {error}") from error

    def probe(self, part: int) -> Probe:
        return _Dns(self.name, self.type)


class _Udp(Probe):
    __slots__ = ("check",)

    def __init__(self, check: UdpCheck) -> None:
        super().__init__()
        self.check = check

    def connected(self) -> bytes:
        return self.check.payload

    def received(self, data: bytes) -> bytes:
        if not self.check.require_reply:
            self.succeeded("replied")
        elif not self.check.min_reply_length <= len(data) <= self.check.max_reply_length:
            self.failed(f"reply of {len(data)} bytes")
        elif not matches(data, self.check.reply):
            self.failed("reply does not match")
        else:
            self.succeeded("replied")
        return b""

    def expired(self) -> None:
        if self.check.require_reply:
            self.failed("no reply")
        else:
            self.succeeded("not refused")


def matches(data: bytes, pattern: str) -> bool:
    """Whether data begins with the pattern: hexadecimal digits, x for any."""
    digits = data.hex()
    return len(digits) >= len(pattern) and all(p in ("x", d) for p, d in zip(pattern, digits, strict=False))


@dataclass(frozen=True, slots=True)
class UdpCheck(Check):
    """UDP_CHECK: a datagram is not refused (by ICMP) within connect_timeout, or with require_reply is answered.

    reply: how the answer must begin, in hexadecimal digits with x for any.
    """

    payload: bytes = b""
    require_reply: bool = False
    reply: str = ""
    min_reply_length: int = 0
    max_reply_length: int = 65535
    transport: ClassVar[str] = "datagram"

    def __post_init__(self) -> None:
        object.__setattr__(self, "reply", self.reply.lower().replace(" ", ""))
        if set(self.reply) - set("0123456789abcdefx"):
            raise InvalidRequest(f"reply {self.reply!r} must be hexadecimal digits, with x for any")
        if self.reply and not self.require_reply:
            raise InvalidRequest("a reply pattern needs require_reply")

    def probe(self, part: int) -> Probe:
        return _Udp(self)


class _Ping(Probe):
    __slots__ = ()

    def connected(self) -> bytes:
        return b"libipvs health check"

    def received(self, data: bytes) -> bytes:
        self.succeeded("echo reply")
        return b""


@dataclass(frozen=True, slots=True)
class PingCheck(Check):
    """PING_CHECK: an ICMP echo is answered.  Needs root, or net.ipv4.ping_group_range."""

    transport: ClassVar[str] = "echo"

    def probe(self, part: int) -> Probe:
        return _Ping()


class ProcessProbe(Probe):
    """The host runs `command` and reports its exit status."""

    __slots__ = ("command", "dynamic")

    def __init__(self, command: tuple[str, ...], dynamic: bool) -> None:
        super().__init__()
        self.command = command
        self.dynamic = dynamic

    def exited(self, status: int) -> None:
        """Status 0 is fine, 1 is not; 2 to 255 are fine with the weight status - 2, if dynamic."""
        if status == 0:
            self.succeeded("script succeeded")
        elif self.dynamic and 2 <= status <= 255:
            self.succeeded(f"script exited with status {status}", weight=status - 2)
        elif status < 0:
            self.failed(f"script killed by signal {-status}")
        else:
            self.failed(f"script exited with status {status}")

    def expired(self) -> None:
        self.failed("script timed out")


@dataclass(frozen=True, slots=True)
class MiscCheck(Check):
    """MISC_CHECK: a script exits with status 0 within connect_timeout (misc_timeout), or, if dynamic, above 1."""

    command: tuple[str, ...] | str = ()
    dynamic: bool = False
    timing: Timing = AT_ONCE
    transport: ClassVar[str] = "process"

    def __post_init__(self) -> None:
        words = shlex.split(self.command) if isinstance(self.command, str) else tuple(self.command)
        object.__setattr__(self, "command", tuple(words))
        if not words:
            raise InvalidRequest("a MISC_CHECK needs a command")
        if any("\0" in word for word in words):
            raise InvalidRequest(f"the command {words!r} of a MISC_CHECK has a NUL byte, which no program can be given")

    def probe(self, part: int) -> Probe:
        return ProcessProbe(tuple(self.command), self.dynamic)


class FileProbe(Probe):
    """The host calls look(): reading a file does not wait."""

    __slots__ = ("check",)

    def __init__(self, check: FileCheck) -> None:
        super().__init__()
        self.check = check

    def look(self, read: Callable[[], str]) -> None:
        try:
            value = int(read().split()[0])
        except (OSError, ValueError, IndexError):
            value = 0  # an absent or empty file changes nothing
        change = value * self.check.weight
        if self.check.weight == 0 and value:
            self.failed(f"track file value {value}")
        elif self.check.weight and change <= -254:
            self.failed(f"track file value {value} gives weight {change}")
        else:
            self.succeeded(f"track file value {value}", weight_change=change)


@dataclass(frozen=True, slots=True)
class FileCheck(Check):
    """FILE_CHECK: the number in a file times `weight` is added to the server's weight; -254 or less is down.

    The file is read when it has been written and closed, replaced or removed, and every delay_loop.
    weight 0: any number but 0 is down.
    """

    path: Path = Path()
    weight: int = 1
    timing: Timing = EVERY_SECOND
    transport: ClassVar[str] = "file"

    def probe(self, part: int) -> Probe:
        return FileProbe(self)


@dataclass(frozen=True, slots=True)
class BfdCheck(Check):
    """BFD_CHECK: follows a BFD session; whoever runs it calls Watch.feed(up).  The host asks nothing."""

    name: str = ""
    timing: Timing = AT_ONCE
    transport: ClassVar[str] = "external"
