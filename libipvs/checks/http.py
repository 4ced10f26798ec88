"""HTTP_GET and SSL_GET: a URL answers with a wanted status, and a body with a wanted digest or text.

Source: keepalived.conf(5); RFC 9112 for the messages (read by h11).  With neither digest nor regex the answer is known
when the head is; then the body is not waited for.  Deviation: regular expressions are Python's, on bytes.
"""

from __future__ import annotations

import functools
import hashlib
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import h11

from libipvs.checks.kinds import Check
from libipvs.checks.machine import Timing
from libipvs.checks.probe import Probe
from libipvs.errors import InvalidRequest

BODY_LIMIT = 16 << 20  # bytes; more is no health page
THREE_SECONDS_APART = Timing(delay_before_retry=3.0)
PROTOCOLS = ("1.0", "1.0C", "1.1")  # 1.0C: version 1.0 with "Connection: close"


@dataclass(frozen=True, slots=True)
class Url:
    """One page.  status: allowed codes, numbers or (first, last) pairs; () is 200 to 299.

    digest: the MD5 of the body, as genhash prints it; virtualhost: the Host header, else the check's.
    regex: must be found in the body (regex_no_match: must not), beginning between the two offsets (0 = no limit).
    """

    path: str = "/"
    status: tuple[int | tuple[int, int], ...] = ()
    digest: str = ""
    virtualhost: str = ""
    regex: str = ""
    regex_no_match: bool = False
    regex_flags: int = 0
    regex_min_offset: int = 0
    regex_max_offset: int = 0

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or any(character in self.path for character in " \r\n"):
            raise InvalidRequest(f"URL path {self.path!r} must begin with / and have no blanks")
        if self.digest and not re.fullmatch("[0-9a-fA-F]{32}", self.digest):
            raise InvalidRequest(f"digest {self.digest!r} must be 32 hexadecimal digits")
        try:
            re.compile(self.regex.encode(), self.regex_flags)
        except re.error as error:
            raise InvalidRequest(f"regex {self.regex!r}: {error}") from None

    def allows(self, status: int) -> bool:
        if not self.status:
            return 200 <= status <= 299
        return any(
            status == allowed if isinstance(allowed, int) else allowed[0] <= status <= allowed[1]
            for allowed in self.status
        )

    @property
    def wants_body(self) -> bool:
        return bool(self.digest or self.regex)


class HttpProbe(Probe):
    """One request and its answer.  `md5` and `body` are there for genhash."""

    __slots__ = ("body", "connection", "head", "host", "protocol", "url", "whole")

    def __init__(self, url: Url, host: str, protocol: str, whole: bool = False) -> None:
        super().__init__()
        self.url = url
        self.host = host
        self.protocol = protocol
        self.whole = whole or url.wants_body
        self.body = bytearray()
        self.head: h11.Response | None = None
        self.connection = h11.Connection(h11.CLIENT)

    @property
    def md5(self) -> str:
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest()

    def connected(self) -> bytes:
        # h11 writes version 1.1 only; it is told of the request, and the bytes are ours.
        self.connection.send(h11.Request(method="GET", target=self.url.path, headers=[("Host", self.host)]))
        self.connection.send(h11.EndOfMessage())
        close = "" if self.protocol == "1.0" else "Connection: close\r\n"
        return (
            f"GET {self.url.path} HTTP/{self.protocol[:3]}\r\nUser-Agent: libipvs\r\n{close}Host: {self.host}\r\n\r\n"
        ).encode("latin-1", "replace")

    def received(self, data: bytes) -> bytes:
        self._feed(data)
        return b""

    def closed(self) -> None:
        self._feed(b"")
        if self.outcome is None:
            self.failed("connection closed before the answer")

    def _feed(self, data: bytes) -> None:
        try:
            self.connection.receive_data(data)
            while self.outcome is None:
                event = self.connection.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._event(event)
        except h11.RemoteProtocolError as error:
            self.failed(f"no HTTP answer: {error}")

    def _event(self, event: Any) -> None:
        if isinstance(event, h11.Response):
            self.head = event
            if not self.url.allows(event.status_code) and not self.whole:
                self.failed(f"HTTP status {event.status_code}")
            elif not self.whole:
                self.succeeded(f"HTTP status {event.status_code}")
        elif isinstance(event, h11.Data):
            self.body += event.data
            if len(self.body) > BODY_LIMIT:
                self.failed(f"body above {BODY_LIMIT} bytes")
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            self._judge()

    def _judge(self) -> None:
        url, status = self.url, self.head.status_code if self.head is not None else 0
        if not url.allows(status):
            self.failed(f"HTTP status {status}")
        elif url.digest and self.md5 != url.digest.lower():
            self.failed(f"digest {self.md5} is not {url.digest.lower()}")
        elif url.regex and self._found() == url.regex_no_match:
            self.failed("regex found" if url.regex_no_match else "regex not found")
        else:
            self.succeeded(f"HTTP status {status}" + (", digest" if url.digest else ""))

    def _found(self) -> bool:
        pattern = re.compile(self.url.regex.encode(), self.url.regex_flags)
        last = self.url.regex_max_offset or len(self.body)
        found = pattern.search(bytes(self.body), self.url.regex_min_offset)
        return found is not None and found.start() <= last


@functools.cache
def unverified() -> ssl.SSLContext:
    """The context of checks that name none: any certificate will do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class HttpCheck(Check):
    """HTTP_GET, or with tls SSL_GET.

    urls: asked in turn, one in each delay_loop; all must have succeeded for the target to come up (with fast_recovery
    the first one).  virtualhost: the Host header (default: the address).  sni: the name in the TLS handshake, "" =
    none.  context: an ssl.SSLContext for client certificates or to verify the server's; by default nothing is verified,
    as real servers seldom have certificates for their own addresses.
    """

    urls: tuple[Url, ...] = (Url(),)
    virtualhost: str = ""
    protocol: str = "1.0"
    tls: bool = False
    sni: str = ""
    context: ssl.SSLContext | None = None
    fast_recovery: bool = False
    timing: Timing = THREE_SECONDS_APART
    transport: ClassVar[str] = "stream"

    def __post_init__(self) -> None:
        object.__setattr__(self, "urls", tuple(self.urls))
        if not self.urls:
            raise InvalidRequest("an HTTP_GET or SSL_GET needs a URL")
        if self.protocol not in PROTOCOLS:
            raise InvalidRequest(f"http_protocol {self.protocol!r} is unknown; known are {', '.join(PROTOCOLS)}")

    @property
    def parts(self) -> int:
        return len(self.urls)

    def probe(self, part: int) -> HttpProbe:
        return HttpProbe(self.urls[part], self.host(self.urls[part]), self.protocol)

    def host(self, url: Url) -> str:
        """The Host header of a request for the URL."""
        address = self.target.address
        return url.virtualhost or self.virtualhost or (f"[{address}]" if ":" in address else address)


def status_codes(words: Iterable[str]) -> tuple[int | tuple[int, int], ...]:
    """Codes and ranges as configuration files write them: "200", "300-399".  Raises InvalidRequest."""
    result: list[int | tuple[int, int]] = []
    for word in words:
        first, dash, last = word.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise InvalidRequest(f"status code {word!r} must be a number or a range such as 200-299")
        result.append((int(first), int(last)) if dash else int(first))
    return tuple(result)
