"""The checks against nginx (plain HTTP and TLS), a mail server and a name server, which start and stop; ten thousand
rounds without a leak; and a machine without IPVS."""

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "ipvs"))

import ipvs_liars as liars

from libipvs.checks import DnsCheck, Host, HttpCheck, MiscCheck, SmtpCheck, Target, TcpCheck, Timing, UdpCheck, Url
from libipvs.checks.kinds import DNS_TYPES
from libipvs.errors import Unavailable
from libipvs.kernel import Kernel
from tests.servers import free_port

FAST = Timing(delay_loop=0.2, retry=1, delay_before_retry=0.1, connect_timeout=2.0, warmup=0)
PAGE = b"<h1>nginx-RS1</h1>\n"


def run_until(host, done):
    end = time.monotonic() + 20
    while not done() and time.monotonic() < end:
        host.run_once(0.05)
    assert done(), "not within its time"


@pytest.fixture
def nginx(tmp_path):
    """Starts and stops nginx: (start, stop, http port, https port, CA)."""
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("missing nginx")
    ca, _ = liars.certificates(tmp_path)
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_processes 1; user root;
        events {{}}
        http {{
            access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;
            fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{
                listen 127.0.0.1:{ports[0]}; listen 127.0.0.1:{ports[1]} ssl; root {tmp_path};
                ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.pem;
                location /busy {{ return 503; }}
            }}
        }}""")
    running = []

    def start():
        command = ["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))

    def stop():
        if running:
            process = running.pop()
            process.terminate()
            process.wait()

    yield start, stop, *ports, ca
    stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="missing root (nginx runs as root here)")
def test_nginx_comes_and_goes(nginx):
    start, stop, port, tls_port, ca = nginx
    digest = hashlib.md5(PAGE).hexdigest()
    context = ssl.create_default_context(cafile=str(ca))
    with contextlib.closing(Host(seed=1)) as host:
        quiet = lambda watch: None  # noqa: E731
        good = [
            host.watch(
                HttpCheck(Target("127.0.0.1", port), FAST, urls=(Url("/", digest=digest),), protocol=version), quiet
            )
            for version in ("1.0", "1.0C", "1.1")
        ]
        good.append(
            host.watch(
                HttpCheck(
                    Target("127.0.0.1", tls_port), FAST, urls=(Url("/", regex="nginx-RS."),), tls=True, sni="web.test",
                    context=context,
                ),
                quiet,
            )
        )  # fmt: skip
        busy = host.watch(HttpCheck(Target("127.0.0.1", port), FAST, urls=(Url("/busy"),)), quiet)
        for _ in range(2):
            run_until(host, lambda: not any(watch.verdict.up for watch in good))
            start()
            run_until(host, lambda: all(watch.verdict.up for watch in good))
            run_until(host, lambda: busy.verdict.reason == "HTTP status 503")
            stop()


def comes_and_goes(command, checks, never):
    """The checks are up while the server runs, and down before and after; `never` is down all the time."""
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
    with contextlib.closing(Host(seed=1)) as host:
        watches = [host.watch(check, lambda watch: None) for check in checks]
        wrong = host.watch(never, lambda watch: None)
        for _ in range(2):
            run_until(host, lambda: not any(watch.verdict.up for watch in watches))
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                run_until(host, lambda: all(watch.verdict.up for watch in watches))
                run_until(host, lambda: not wrong.verdict.up)
            finally:
                process.terminate()
                process.wait()


@pytest.mark.skipif(not shutil.which("msmtpd"), reason="missing msmtpd (package msmtp-mta)")
def test_a_mail_server_comes_and_goes():
    port = free_port()
    command = ["msmtpd", "--interface=127.0.0.1", f"--port={port}", "--command=true"]
    checks = [SmtpCheck(Target("127.0.0.1", port), FAST, helo_name=name) for name in ("localhost", "lb.test")]
    comes_and_goes(command, checks, HttpCheck(Target("127.0.0.1", port), FAST))


RECORDS = """\
test. SOA ns.test. root.test. 1 2 3 4 5
test. NS ns.test.
test. MX 10 mail.test.
web.test. A 10.0.0.1
web.test. AAAA fd00::1
web.test. TXT hello
alias.test. CNAME web.test.
"""


@pytest.mark.skipif(
    not shutil.which("unbound", path=os.environ["PATH"] + ":/usr/sbin"), reason="missing unbound (package unbound)"
)
def test_a_name_server_comes_and_goes(tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    records = "".join(f'  local-data: "{line}"\n' for line in RECORDS.splitlines())
    (tmp_path / "unbound.conf").write_text(
        f'server:\n  interface: 127.0.0.1\n  port: {port}\n  username: ""\n  chroot: ""\n  directory: "{tmp_path}"\n'
        f'  pidfile: ""\n  local-zone: "test." static\n{records}remote-control:\n  control-enable: no\n'
    )
    target = Target("127.0.0.1", port)
    kinds = {line.split()[1]: line.split()[0] for line in RECORDS.splitlines()}
    assert set(kinds) == set(DNS_TYPES)
    checks = [DnsCheck(target, FAST, name, kind) for kind, name in kinds.items()]
    command = ["unbound", "-d", "-c", str(tmp_path / "unbound.conf")]
    comes_and_goes(command, checks, DnsCheck(target, FAST, "nobody.test.", "A"))


def test_ten_thousand_rounds_leave_nothing_behind(tmp_path):
    _, context = liars.certificates(tmp_path)
    before = sorted(os.listdir("/proc/self/fd"))
    timing = Timing(delay_loop=0.01, retry=0, delay_before_retry=0, connect_timeout=0.03, warmup=0.01)
    behaviours = [
        liars.honest,
        liars.silent,
        liars.slow_drip,
        liars.reset,
        liars.half_answer,
        liars.gibberish,
        liars.mail,
    ]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(liars.Server(behaviour)) for behaviour in behaviours]
        tls = stack.enter_context(liars.Server(liars.honest, context))
        host = stack.enter_context(contextlib.closing(Host(seed=4)))
        watches = []
        for server in [*servers, tls]:
            target = Target("127.0.0.1", server.port)
            checks = [HttpCheck(target, timing), HttpCheck(target, timing, tls=True), SmtpCheck(target, timing)]
            checks += [UdpCheck(target, timing), TcpCheck(target, timing), TcpCheck(target, timing)]
            watches += [host.watch(check, lambda watch: None) for check in checks]
        watches.append(host.watch(MiscCheck(command="/bin/sleep 0.02", timing=timing), lambda watch: None))
        end = time.monotonic() + 120
        while sum(watch.machine.attempt for watch in watches) < 10_000 and time.monotonic() < end:
            host.run_once(0.05)
        assert sum(watch.machine.attempt for watch in watches) >= 10_000
        assert all(watch.machine.attempt > 20 for watch in watches)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_kernel_without_ipvs_is_said():
    try:
        Kernel().close()
    except Unavailable as error:
        assert "modprobe ip_vs" in str(error)
    else:
        pytest.skip("missing a kernel without IPVS (this one has it)")
