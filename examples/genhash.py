#!/usr/bin/env python3
"""genhash: the digest of a page, for the `digest` of an HTTP_GET or SSL_GET check.

    genhash.py -s 192.168.8.14 -p 80 -u /index.html
    b1946ac92492d2347c6235b4d2611184

Source: the output of keepalived 2.2.7's genhash.  Deviations: the status is 1 when there is no answer (there it is 0),
and -v prints the head and the body as they are, without a hexadecimal dump.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from libipvs.checks import Host, HttpCheck, Target, Timing, Url
from libipvs.checks.http import PROTOCOLS, HttpProbe
from libipvs.errors import InvalidRequest


class Fetch(HttpCheck):
    """An HTTP_GET that takes any status, waits for the whole body, and keeps its conversation."""

    fetched: HttpProbe

    def probe(self, part: int) -> HttpProbe:
        url = self.urls[part]
        self.__dict__["fetched"] = HttpProbe(url, self.host(url), self.protocol, whole=True)
        return self.fetched


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="genhash", description="Print the MD5 digest of a page.")
    parser.add_argument("-s", "--server", required=True, metavar="IP", help="the server's address")
    parser.add_argument("-p", "--port", type=int, help="its port (default 80, with -S 443)")
    parser.add_argument("-u", "--url", default="/", metavar="PATH", help="the page (default /)")
    parser.add_argument("-S", "--use-ssl", action="store_true", help="over TLS")
    parser.add_argument("-I", "--use-sni", action="store_true", help="with the virtual host's name in the handshake")
    parser.add_argument("-V", "--use-virtualhost", default="", metavar="HOST", help="the Host header")
    parser.add_argument("-P", "--protocol", default="1.0", type=str.upper, choices=PROTOCOLS, help="version of HTTP")
    parser.add_argument("-m", "--fwmark", type=int, default=0, help="the firewall mark of the packets")
    parser.add_argument("-t", "--timeout", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the answer too")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    options = arguments(argv)
    port = options.port or (443 if options.use_ssl else 80)
    try:
        check = Fetch(
            Target(options.server, port, fwmark=options.fwmark),
            Timing(retry=0, warmup=0, alpha=True, connect_timeout=options.timeout),
            urls=(Url(options.url, status=((100, 999),)),),
            virtualhost=options.use_virtualhost,
            protocol=options.protocol,
            tls=options.use_ssl,
            sni=options.use_virtualhost if options.use_sni else "",
        )
    except InvalidRequest as error:
        print(error, file=sys.stderr)
        return 2
    started = time.monotonic()
    host = Host()
    try:
        watch = host.watch(check, lambda watch: None)
        while watch.machine.attempt == 0 or watch.attempt is not None:
            host.run_once()
    finally:
        host.close()
    probe = check.fetched
    if probe.outcome is None or not probe.outcome.ok:
        print(f"Connection failed: {probe.outcome.reason if probe.outcome else 'interrupted'}", file=sys.stderr)
        return 1
    if options.verbose and probe.head is not None:
        print(f"HTTP/{probe.head.http_version.decode()} {probe.head.status_code} {probe.head.reason.decode()}")
        for name, value in probe.head.headers.raw_items():
            print(f"{name.decode('latin-1')}: {value.decode('latin-1')}")
        print(f"\n{bytes(probe.body).decode('utf-8', 'replace')}\n")
    print(probe.md5)
    if options.verbose:
        print(f"\nGlobal response time for [{options.url}] = {(time.monotonic() - started) * 1e6:.0f} usecs")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
