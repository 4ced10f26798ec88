"""The checks against real servers on loopback, honest and lying: the right verdict, and nothing left behind."""

import contextlib
import errno
import hashlib
import os
import resource
import socket
import ssl
import threading
import time
from pathlib import Path

import dns.message
import ipvs_liars as liars
import pytest

from libipvs.checks import (
    BfdCheck,
    DnsCheck,
    FileCheck,
    Host,
    HttpCheck,
    MiscCheck,
    PingCheck,
    Probe,
    SmtpCheck,
    Target,
    TcpCheck,
    Timing,
    UdpCheck,
    Url,
)
from libipvs.errors import InvalidRequest, IpvsError

# Each starts as "down" (alpha), so that a verdict of "up" is a change, and as "up", so that "down" is one.
FAST = Timing(delay_loop=0.3, retry=0, connect_timeout=0.4, warmup=0)
RISING = Timing(delay_loop=0.3, retry=0, connect_timeout=0.4, warmup=0, alpha=True)
MD5 = hashlib.md5(liars.PAGE).hexdigest()
PAGES = (Url("/", digest=MD5),)


def here(port):
    return Target("127.0.0.1", port)


@pytest.fixture
def host():
    with contextlib.closing(Host(seed=1)) as opened:
        yield opened


def run_until(host, done, limit=15.0):
    """Run the host until done() or the limit, which is far beyond every timeout here."""
    end = time.monotonic() + limit
    while not done() and time.monotonic() < end:
        host.run_once(0.05)
    assert done(), "not within its time"


def verdict(host, check):
    """The first reported verdict of a check."""
    reports = []
    watch = host.watch(check, lambda w: reports.append(w.verdict))
    run_until(host, lambda: reports)
    watch.cancel()
    return reports[0]


def falls(host, check):
    found = verdict(host, check)
    assert not found.up
    return found.reason


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (liars.wrong_page, "digest"),
        (liars.unavailable, "503"),
        (liars.silent, "timeout"),
        (liars.slow_drip, "timeout"),
        (liars.endless, "above|timeout"),
        (liars.reset, "reset"),
        (liars.half_answer, "no HTTP answer|closed"),
        (liars.gibberish, "no HTTP answer"),
    ],
)
def test_http_liars(host, behaviour, reason):
    import re

    with liars.Server(behaviour) as server:
        assert re.search(reason, falls(host, HttpCheck(here(server.port), FAST, urls=PAGES)))


def test_honest_servers_come_up(host):
    def answer(data):
        return dns.message.make_response(dns.message.from_wire(data)).to_wire()

    with (
        liars.Server(liars.honest) as web,
        liars.Server(liars.mail) as mail,
        liars.Datagrams(answer) as names,
    ):
        assert verdict(host, HttpCheck(here(web.port), RISING, urls=PAGES)).reason == "HTTP status 200, digest"
        assert verdict(host, HttpCheck(here(web.port), RISING, urls=(Url("/"), *PAGES))).up
        assert verdict(host, TcpCheck(here(web.port), RISING)).up
        assert verdict(host, SmtpCheck(here(mail.port), RISING)).up
        assert verdict(host, DnsCheck(here(names.port), RISING, name="example.org", type="A")).up
        assert verdict(host, UdpCheck(here(names.port), RISING, payload=names_query(), require_reply=True)).up
        bound = Target("127.0.0.1", web.port, bindto="127.0.0.7")
        assert verdict(host, TcpCheck(bound, RISING)).up


def names_query():
    return dns.message.make_query("example.org", "A").to_wire()


def test_refused_silent_and_unreachable(host):
    with socket.socket() as free, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert falls(host, TcpCheck(here(port), FAST)) == os.strerror(111)
        silent.bind(("127.0.0.1", 0))
        mute = silent.getsockname()[1]
        assert falls(host, DnsCheck(here(mute), FAST)) == "timeout"
        assert falls(host, UdpCheck(here(mute), FAST, require_reply=True)) == "no reply"
        assert verdict(host, UdpCheck(here(mute), RISING)).reason == "not refused"
        silent.close()
        assert falls(host, UdpCheck(here(mute), FAST)) == os.strerror(111)
    assert "assign" in falls(host, TcpCheck(Target("127.0.0.1", port, bindto="192.0.2.1"), FAST))
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # more than the backlog takes: further ones hang
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert falls(host, TcpCheck(here(full.getsockname()[1]), FAST)) == "timeout"


@pytest.mark.skipif(os.geteuid() != 0, reason="missing root (SO_BINDTODEVICE, SO_MARK)")
def test_an_interface_and_a_mark(host):
    with liars.Server(liars.honest) as web:
        assert verdict(host, TcpCheck(Target("127.0.0.1", web.port, bind_if="lo", fwmark=7), RISING)).up
        nowhere = Target("127.0.0.1", web.port, bind_if="nope0")
        assert falls(host, TcpCheck(nowhere, FAST)) == os.strerror(errno.ENODEV)


def test_tls(host, tmp_path):
    ca, context = liars.certificates(tmp_path)
    names = []
    context.sni_callback = lambda peer, name, own: names.append(name)
    trusting = ssl.create_default_context(cafile=str(ca))
    strangers = ssl.create_default_context()
    with liars.Server(liars.honest, context) as web, liars.Server(liars.honest) as plain:
        options = {"urls": PAGES, "tls": True}
        assert verdict(host, HttpCheck(here(web.port), RISING, **options)).up
        assert verdict(host, HttpCheck(here(web.port), RISING, sni="web.test", context=trusting, **options)).up
        assert names == [None, "web.test"]
        assert "CERTIFICATE" in falls(
            host, HttpCheck(here(web.port), FAST, sni="web.test", context=strangers, **options)
        )
        assert "CERTIFICATE" in falls(
            host, HttpCheck(here(web.port), FAST, sni="other.test", context=trusting, **options)
        )
        assert not verdict(host, HttpCheck(here(plain.port), FAST, **options)).up
    with liars.Server(liars.silent) as mute:
        assert falls(host, HttpCheck(here(mute.port), FAST, **options)) == "timeout"
    with liars.Server(liars.reset, context) as cut:
        assert not verdict(host, HttpCheck(here(cut.port), FAST, **options)).up


def test_scripts(host, tmp_path):
    def misc(script, timing=FAST, **options):
        return MiscCheck(command=("/bin/sh", "-c", script), timing=timing, **options)

    assert verdict(host, misc("exit 0", RISING)).up
    assert falls(host, misc("exit 1")) == "script exited with status 1"
    assert verdict(host, misc("exit 7", dynamic=True)).weight == 5
    assert "killed" in falls(host, misc("kill -9 $$"))
    assert "cannot be run" in falls(host, MiscCheck(command="/nonexistent/script", timing=FAST))
    started = tmp_path / "pids"
    assert falls(host, misc(f"sleep 77 & echo $! > {started}; wait")) == "script timed out"
    child = int(started.read_text())
    run_until(host, lambda: not alive(child))


def alive(pid):
    """Whether a process is there and not merely waiting to be reaped by somebody else."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_scripts_are_limited_in_number(tmp_path):
    log = tmp_path / "log"
    timing = Timing(delay_loop=60, retry=0, connect_timeout=10, warmup=0, delay_before_retry=0.1, alpha=True)
    script = f"echo start >> {log}; sleep 0.1; echo end >> {log}"
    with contextlib.closing(Host(seed=2, max_processes=2)) as host:
        done = []
        for _ in range(6):
            host.watch(MiscCheck(command=("/bin/sh", "-c", script), timing=timing), done.append)
        run_until(host, lambda: len(done) == 6)
    running = most = 0
    for line in log.read_text().splitlines():
        running += 1 if line == "start" else -1
        most = max(most, running)
    assert most == 2


def test_files_and_bfd(host, tmp_path):
    path = tmp_path / "track"
    path.write_text("0")
    seen = []
    timing = Timing(delay_loop=0.05, retry=0, warmup=0)
    host.watch(FileCheck(path=path, weight=-3, timing=timing), lambda w: seen.append(w.verdict.weight_change))
    run_until(host, lambda: host.watches)
    path.write_text("2")
    run_until(host, lambda: seen == [-6])
    fed = []
    bfd = host.watch(BfdCheck(name="n"), lambda w: fed.append((w.verdict.up, w.verdict.reason)))
    bfd.feed(False, "session down")
    bfd.feed(False)
    bfd.feed(True)
    assert fed == [(False, "session down"), (True, "")]
    with pytest.raises(InvalidRequest, match="asks by itself"):
        next(iter(host.watches - {bfd})).feed(True)
    bfd.suspend()
    bfd.resume()
    host.run_for(0.05)  # a check that is fed asks nothing, resumed or not
    assert bfd.machine.attempt == 0
    bfd.feed(False)
    assert fed[2:] == [(False, "")]


class Odd(TcpCheck):
    """A check of the application's own, with a mistake in it."""

    def probe(self, part):
        class Mistaken(Probe):
            def connected(self):
                return b"hello\r\n"

            def received(self, data):
                raise KeyError("mistake")

        return Mistaken()


def test_a_check_that_cannot_be_carried_out_is_down_and_the_others_go_on(host, caplog):
    with liars.Server(liars.mail) as mail, liars.Server(liars.honest, None) as web:
        assert falls(host, Odd(here(mail.port), FAST)) == "cannot be carried out: KeyError: 'mistake'"
        long = HttpCheck(here(web.port), FAST, urls=PAGES, tls=True, sni="a" * 300)
        assert falls(host, long)
        assert verdict(host, TcpCheck(here(mail.port), RISING)).up
    assert "cannot be carried out" in caplog.text
    assert host.watches == set()


def test_files_are_read_when_they_change(host, tmp_path):
    """The next turn is an hour away: only the change itself can tell."""
    timing = Timing(delay_loop=3600, retry=0, warmup=0)
    path, seen, gone = tmp_path / "track", [], []
    watch = host.watch(FileCheck(path=path, weight=1, timing=timing), lambda w: seen.append(w.verdict.weight_change))
    other = host.watch(FileCheck(path=path, weight=2, timing=timing), lambda w: gone.append(w.verdict.weight_change))
    host.watch(FileCheck(path=tmp_path / "none" / "here", timing=timing), seen.append)
    run_until(host, lambda: watch.machine.attempt and other.machine.attempt)
    path.write_text("5")
    run_until(host, lambda: seen == [5] and gone == [10])
    other.cancel()
    (tmp_path / "new").write_text("-7")
    (tmp_path / "new").rename(path)
    run_until(host, lambda: seen == [5, -7])
    watch.suspend()
    path.write_text("9")
    host.run_for(0.1)
    assert seen == [5, -7]
    watch.resume()
    run_until(host, lambda: seen == [5, -7, 9])
    path.unlink()
    run_until(host, lambda: seen == [5, -7, 9, 0])
    assert gone == [10]
    watch.cancel()
    path.write_text("1")
    host.run_for(0.05)
    assert seen == [5, -7, 9, 0]


@pytest.mark.skipif(os.geteuid() != 0, reason="missing root (a raw ICMP socket)")
def test_ping(host):
    assert verdict(host, PingCheck(Target("127.0.0.1"), RISING)).up
    if os.path.exists("/proc/net/if_inet6"):
        assert verdict(host, PingCheck(Target("::1"), RISING)).up
    assert not verdict(host, PingCheck(Target("127.0.0.1", bindto="192.0.2.1"), FAST)).up


def test_a_thread_of_its_own_submitting_and_suspending():
    with liars.Server(liars.honest) as web, contextlib.closing(Host(seed=3)) as host:
        host.start()
        up, watches = threading.Event(), []
        timing = Timing(delay_loop=0.05, retry=0, warmup=0, alpha=True)

        def begin():
            watches.append(host.watch(TcpCheck(here(web.port), timing), lambda w: up.set()))

        host.submit(begin)
        assert up.wait(10)
        host.submit(watches[0].suspend)
        ticks = []
        asked = watches[0].machine.attempt
        host.submit(lambda: host.call_later(0.3, lambda: ticks.append(watches[0].machine.attempt)))
        deadline = time.monotonic() + 10
        while not ticks and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ticks[0] <= asked + 1
        resumed = threading.Event()
        watches[0].report = lambda w: resumed.set()
        host.submit(watches[0].resume)
        web.__exit__()
        assert resumed.wait(10)
        assert not watches[0].verdict.up
        host.submit(lambda: 1 / 0)  # an application's mistake does not end the host
        finished = threading.Event()
        host.submit(finished.set)
        assert finished.wait(10)
        host.stop()


def test_more_checks_than_descriptors_is_said(host):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (80, 100))
            timing = Timing(warmup=3600)
            for _ in range(36):
                host.watch(TcpCheck(here(9), timing), lambda w: None)
            raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 80
            try:
                host.watch(TcpCheck(here(9), timing), lambda w: None)
            except IpvsError as error:
                status = 0 if raised and "ulimit" in str(error) else 3
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def children():
    """The processes that this one's threads started and have not reaped."""
    lists = [Path(f"/proc/self/task/{task}/children") for task in os.listdir("/proc/self/task")]
    return {pid for path in lists if path.exists() for pid in path.read_text().split()}


def test_no_socket_or_process_is_left_behind(tmp_path):
    """Many rounds of everything, most of it cut off in the middle."""
    before, started_before = sorted(os.listdir("/proc/self/fd")), children()
    _, context = liars.certificates(tmp_path)
    timing = Timing(delay_loop=0.01, retry=0, delay_before_retry=0, connect_timeout=0.03, warmup=0.01)
    behaviours = [
        liars.honest,
        liars.silent,
        liars.reset,
        liars.half_answer,
        liars.gibberish,
        liars.unavailable,
    ]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(liars.Server(behaviour)) for behaviour in behaviours]
        tls = stack.enter_context(liars.Server(liars.honest, context))
        host = stack.enter_context(contextlib.closing(Host(seed=4)))
        watches = []
        for server in servers:
            watches.append(host.watch(HttpCheck(here(server.port), timing, urls=PAGES), lambda w: None))
            watches.append(host.watch(HttpCheck(here(server.port), timing, tls=True), lambda w: None))
            watches.append(host.watch(UdpCheck(here(server.port), timing), lambda w: None))
        watches.append(host.watch(HttpCheck(here(tls.port), timing, tls=True), lambda w: None))
        watches.append(host.watch(MiscCheck(command="/bin/sleep 0.02", timing=timing), lambda w: None))
        run_until(host, lambda: sum(watch.machine.attempt for watch in watches) > 800)
        assert len(os.listdir("/proc/self/fd")) < len(before) + 200
        assert min(watch.machine.attempt for watch in watches) > 3
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert children() == started_before
