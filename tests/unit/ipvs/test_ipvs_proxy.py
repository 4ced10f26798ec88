"""The proxy plane with real connections on loopback: nothing lost, nothing left, and what it cannot do is said."""

import contextlib
import hashlib
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import libipvs
from libipvs.errors import (
    InvalidRequest,
    NoSuchService,
    PartiallyApplied,
    Refused,
    ServiceExists,
    Unavailable,
    Unsupported,
)
from libipvs.model import Pool, RealServer, VirtualService
from libipvs.proxy import Proxy, packed_address, proxy_header, unpacked_address
from libipvs.reconcile import reconcile
from tests.servers import free_port


class Echo:
    """Answers each connection by `talk(peer)`, default: its name, then everything that it hears, until the end."""

    def __init__(self, name, talk=None, family=socket.AF_INET):
        self.name = name
        self.talk = talk or self.echo
        self.socket = socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family, backlog=512
        )
        self.port = self.socket.getsockname()[1]
        self.peers = []
        self.threads = []
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.peers.append(peer)
            thread = threading.Thread(target=self.run, args=(peer,))
            thread.start()
            self.threads.append(thread)

    def run(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.settimeout(20)
            self.talk(peer)

    def echo(self, peer):
        peer.sendall(self.name)
        while data := peer.recv(65536):
            peer.sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


@pytest.fixture
def plane():
    with Proxy(seed=1) as opened:
        yield opened


@pytest.fixture
def echoes():
    with contextlib.ExitStack() as stack:

        def make(name, talk=None, family=socket.AF_INET):
            echo = Echo(name, talk, family)
            stack.callback(echo.close)
            return echo

        yield make


def serve(plane, *servers, scheduler="rr", address="127.0.0.1", **options):
    """A new service with these real servers."""
    service = VirtualService.tcp(address, free_port(), scheduler, **options)
    reconcile(plane, [Pool(service, servers)], [status.service.key for status in plane.services()])
    return service


def real(echo, **options):
    return RealServer("127.0.0.1", echo.port, "nat", **options)


def dial(service, source=None):
    bound = (source, 0) if source else None
    connection = socket.create_connection((service.address, service.port), 20, source_address=bound)
    connection.settimeout(20)
    return connection


def until(done, limit=15.0):
    end = time.monotonic() + limit
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done(), "not within its time"


def cut_off(service):
    """Whether a new connection is reset, during the client's connect() or right after it."""
    try:
        with dial(service) as connection:
            return heard_of_reset(connection)
    except ConnectionResetError:
        return True


def heard_of_reset(connection):
    """Whether the other end cut the connection instead of ending it."""
    try:
        return connection.recv(10) == b"" and False
    except ConnectionResetError:
        return True


def test_round_robin_bytes_and_counters(plane, echoes):
    one, two = echoes(b"1"), echoes(b"2")
    service = serve(plane, real(one), real(two))
    names = []
    for _ in range(4):
        with dial(service) as connection:
            names.append(connection.recv(1))
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(5) == b"hello"
            assert connection.recv(5) == b""
    assert names in ([b"1", b"2"] * 2, [b"2", b"1"] * 2)
    until(lambda: plane.open_connections == 0)
    status = plane.service(service.key)
    assert (status.stats.connections, status.stats.in_bytes, status.stats.out_bytes) == (4, 20, 24)
    for entry in status.servers:
        assert (entry.active, entry.inactive, entry.stats.connections) == (0, 0, 2)
        assert (entry.stats.in_bytes, entry.stats.out_bytes) == (10, 12)
    plane.zero(service.key)
    assert plane.service(service.key).stats == libipvs.Stats()


def test_half_close_in_either_direction(plane, echoes):
    def after_the_end(peer):
        total = 0
        while data := peer.recv(65536):
            total += len(data)
        peer.sendall(b"%d" % total)

    def ends_first(peer):
        peer.shutdown(socket.SHUT_WR)
        heard.append(peer.recv(100))

    heard = []
    service = serve(plane, real(echoes(b"", after_the_end)))
    with dial(service) as connection:
        connection.sendall(bytes(100_000))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"100000"
    service = serve(plane, real(echoes(b"", ends_first)))
    with dial(service) as connection:
        assert connection.recv(100) == b""
        connection.sendall(b"still heard")
        until(lambda: heard)
    assert heard == [b"still heard"]


def test_much_data_both_ways_through_slow_ends(plane, echoes):
    """Back-pressure: the reader sleeps at first; nothing is lost, doubled or reordered."""
    service = serve(plane, real(echoes(b"")))
    data = random.Random(5).randbytes(8 << 20)
    with dial(service) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        time.sleep(0.3)
        digest, size = hashlib.sha256(), 0
        while piece := connection.recv(50_000):
            digest.update(piece)
            size += len(piece)
        sender.join()
    assert size == len(data)
    assert digest.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("seed", range(4))
def test_messages_of_all_sizes_in_any_order(plane, echoes, seed):
    """Small ones are copied, large ones spliced: every change from one to the other keeps the bytes."""
    dice = random.Random(seed)
    service = serve(plane, real(echoes(b"")))
    sent = 0
    with dial(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(60):
            size = dice.choice([1, 2, 100, 4096, 8191, 8192, 8193, 16384, 65535, 65536, 65537, 300_000])
            message = dice.randbytes(size)
            sender = threading.Thread(target=connection.sendall, args=(message,))
            sender.start()
            answer = b""
            while len(answer) < size and (piece := connection.recv(dice.choice([1000, 65536, 1 << 20]))):
                answer += piece
            sender.join()
            assert answer == message
            sent += size
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    stats = plane.service(service.key).servers[0].stats
    assert (stats.in_bytes, stats.out_bytes) == (sent, sent)


def test_many_small_writes_that_nobody_reads_yet(plane, echoes):
    """A pipe is full of pages long before it is full of bytes; nothing may be lost or forgotten then."""
    go, heard = threading.Event(), []

    def slow(peer):
        peer.sendall(b"!")
        go.wait(20)
        digest = hashlib.sha256()
        while data := peer.recv(3000):
            digest.update(data)
        heard.append(digest.digest())
        peer.sendall(digest.digest())

    service = serve(plane, real(echoes(b"", slow)))
    dice, digest, total = random.Random(1), hashlib.sha256(), 0
    with dial(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert connection.recv(1) == b"!"
        connection.setblocking(False)
        for _ in range(200_000):
            message = dice.randbytes(dice.choice([1, 7, 300, 3000]))
            try:
                count = connection.send(message)
            except BlockingIOError:
                break
            digest.update(message[:count])
            total += count
        assert total > 200_000, "more than the pipe holds"
        connection.settimeout(20)
        go.set()
        last = dice.randbytes(500_000)
        connection.sendall(last)
        digest.update(last)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == digest.digest()
    assert heard == [digest.digest()]


def test_a_client_that_does_not_read_holds_nobody_up(plane, echoes):
    def flood(peer):
        while True:
            peer.sendall(bytes(65536))

    greedy = serve(plane, real(echoes(b"", flood)))
    quiet = VirtualService.tcp("127.0.0.1", free_port(), "rr")
    plane.add_service(quiet)
    plane.add_server(quiet.key, real(echoes(b"q")))
    with dial(greedy), dial(greedy):
        time.sleep(0.2)
        stuck = plane.service(greedy.key).stats.out_bytes
        for _ in range(20):
            with dial(quiet) as connection:
                assert connection.recv(1) == b"q"
        assert plane.service(greedy.key).stats.out_bytes < stuck + (8 << 20)


def test_many_at_once(plane, echoes):
    service = serve(plane, *(real(echoes(b"%d" % i)) for i in range(3)), scheduler="lc")
    failures = []

    def client(number):
        noise = random.Random(number)
        try:
            for _ in range(6):
                payload = noise.randbytes(noise.randrange(1, 200_000))
                with dial(service) as connection:
                    connection.recv(1)
                    sender = threading.Thread(target=lambda c=connection, p=payload: (c.sendall(p), c.shutdown(1)))
                    sender.start()
                    answer = b""
                    while piece := connection.recv(65536):
                        answer += piece
                    sender.join()
                    assert answer == payload
        except Exception as error:
            failures.append(error)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert failures == []
    until(lambda: plane.open_connections == 0)
    assert plane.service(service.key).stats.connections == 72
    assert sum(entry.active + entry.inactive for entry in plane.service(service.key).servers) == 0


def test_resets_refusals_and_nobody_there(plane, echoes):
    def cut(peer):
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    service = serve(plane, real(echoes(b"", cut)))
    with dial(service) as connection:
        connection.sendall(b"x")
        assert heard_of_reset(connection)
    assert cut_off(serve(plane, RealServer("127.0.0.1", free_port(), "nat")))
    assert cut_off(serve(plane))
    until(lambda: plane.open_connections == 0)


def test_a_server_that_does_not_answer_in_time(echoes):
    with Proxy(connect_timeout=0.2) as plane, contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        service = serve(plane, RealServer("127.0.0.1", full.getsockname()[1], "nat"))
        with dial(service) as connection:
            assert heard_of_reset(connection)


def test_reload_keeps_open_connections(plane, echoes):
    one, two = echoes(b"1"), echoes(b"2")
    service = serve(plane, real(one))
    with dial(service) as held:
        assert held.recv(1) == b"1"
        reconcile(plane, [Pool(service.with_(scheduler="wlc"), (real(two),))], {service.key})
        with dial(service) as other:
            assert other.recv(1) == b"2"
        held.sendall(b"a")
        assert held.recv(1) == b"a"
        plane.delete_service(service.key)
        with pytest.raises(ConnectionRefusedError):
            dial(service)
        held.sendall(b"b")
        assert held.recv(1) == b"b"
        plane.add_service(service)  # the address is free at once
        plane.add_server(service.key, real(two))
        with dial(service) as other:
            assert other.recv(1) == b"2"
    until(lambda: plane.open_connections == 0)


def test_thresholds_persistence_and_draining(plane, echoes):
    one, two = echoes(b"1"), echoes(b"2")
    service = serve(plane, real(one, upper=1), scheduler="rr")
    with dial(service) as first:
        assert first.recv(1) == b"1"
        assert cut_off(service)
    until(lambda: plane.open_connections == 0)
    with dial(service) as third:
        assert third.recv(1) == b"1"
    service = serve(plane, real(one), real(two), persistence=60)
    names = {source: {dial_name(service, source) for _ in range(4)} for source in ("127.0.0.5", "127.0.0.6")}
    assert all(len(seen) == 1 for seen in names.values())
    assert names["127.0.0.5"] != names["127.0.0.6"]
    until(lambda: plane.open_connections == 0)
    service = serve(plane, real(one), real(two, weight=0))
    assert {dial_name(service, "127.0.0.7") for _ in range(4)} == {b"1"}


def dial_name(service, source):
    with dial(service, source) as connection:
        return connection.recv(1)


@pytest.mark.parametrize("version", [1, 2])
def test_the_clients_address_in_a_proxy_header(echoes, version):
    heads = []

    def head(peer):
        heads.append(peer.recv(200))

    with Proxy(client_address=f"proxy-v{version}") as plane:
        service = serve(plane, real(echoes(b"", head)))
        with dial(service, "127.0.0.9") as connection:
            client = connection.getsockname()
            until(lambda: heads)
    assert heads == [proxy_header(version, client, (service.address, service.port))]
    if version == 1:
        assert heads[0] == b"PROXY TCP4 127.0.0.9 127.0.0.1 %d %d\r\n" % (client[1], service.port)
    else:
        assert heads[0][:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
        assert heads[0][16:] == socket.inet_aton("127.0.0.9") + socket.inet_aton("127.0.0.1") + struct.pack(
            ">HH", client[1], service.port
        )


def test_headers_and_addresses_of_both_families():
    assert proxy_header(1, ("fd00::1", 5), ("fd00::2", 80)) == b"PROXY TCP6 fd00::1 fd00::2 5 80\r\n"
    assert len(proxy_header(2, ("fd00::1", 5), ("fd00::2", 80))) == 16 + 36
    for family, address in ((socket.AF_INET, "10.0.0.1"), (socket.AF_INET6, "fd00::1")):
        packed = packed_address(family, address, 8080)
        assert len(packed) == (16 if family == socket.AF_INET else 28)
        assert unpacked_address(packed) == (address, 8080)


@pytest.mark.skipif(os.geteuid() != 0, reason="missing root (CAP_NET_ADMIN for IP_TRANSPARENT)")
def test_transparent_servers_see_the_client(echoes):
    seen = []

    def look(peer):
        seen.append(peer.getpeername()[:2])
        peer.sendall(b"x")
        peer.recv(1)

    with Proxy(client_address="transparent") as plane:
        echo = echoes(b"", look)
        service = serve(plane, real(echo), address="127.0.0.3")
        with dial(service, "127.0.0.9") as connection:
            assert connection.recv(1) == b"x"
    assert [address for address, _ in seen] == ["127.0.0.9"]


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="missing IPv6")
def test_ipv6(plane, echoes):
    echo = echoes(b"6", family=socket.AF_INET6)
    service = serve(plane, RealServer("::1", echo.port, "nat"), address="::1")
    with dial(service) as connection:
        assert connection.recv(1) == b"6"


def test_addresses_in_use_foreign_and_free(plane, echoes):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        service = VirtualService.tcp("127.0.0.1", taken.getsockname()[1], "rr")
        with pytest.raises(Refused, match="addresses of its own") as caught:
            plane.add_service(service)
        assert caught.value.errno == 98
        assert plane.services() == []
        other = VirtualService.tcp("127.0.0.1", free_port(), "rr")
        with pytest.raises(PartiallyApplied):
            reconcile(plane, [Pool(other), Pool(service)], ())
        assert [status.service for status in plane.services()] == [other]
    early = VirtualService.tcp("203.0.113.7", free_port(), "rr")  # this host has no such address
    plane.add_service(early)
    with pytest.raises(ServiceExists):
        plane.add_service(early)


def test_what_it_cannot_do_is_refused_by_name(plane):
    for service, feature in [
        (VirtualService.udp("127.0.0.1", 53, one_packet=True), "one-packet"),
        (VirtualService.sctp("127.0.0.1", 53), "sctp"),
        (VirtualService.fwmark(1), "fwmark"),
        (VirtualService.tcp("127.0.0.1", 0, persistence=60), "port"),
    ]:
        with pytest.raises(Unsupported, match=feature):
            plane.add_service(service)
    service = serve(plane)
    for method in ("dr", "tun"):
        with pytest.raises(Unsupported, match=method):
            plane.add_server(service.key, RealServer("127.0.0.2", service.port, method))
    with pytest.raises(Unsupported, match="timeouts"):
        plane.timeouts()
    with pytest.raises(InvalidRequest, match="proxy-v1"):
        Proxy(client_address="x")
    with pytest.raises(NoSuchService):
        plane.service(VirtualService.tcp("127.0.0.1", 1).key)


def test_a_closed_proxy_refuses_by_name():
    plane = Proxy(seed=1)
    plane.close()
    with pytest.raises(Unavailable, match="closed"):
        serve(plane)


def test_nothing_is_left_behind(echoes):
    before = sorted(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    echo = Echo(b"1")
    for _ in range(3):
        plane = Proxy(seed=1)
        service = serve(plane, real(echo))
        with contextlib.ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(dial(service)).recv(1)
            plane.close()  # with thirty connections open
        plane.close()
    echo.close()
    until(lambda: threading.active_count() == threads)
    assert sorted(os.listdir("/proc/self/fd")) == before


NARROW = """
import resource, sys, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
from libipvs.model import Pool, RealServer, VirtualService
from libipvs.proxy import Proxy
from libipvs.reconcile import reconcile
plane = Proxy(seed=1)
service = VirtualService.tcp("127.0.0.1", int(sys.argv[1]), "rr")
reconcile(plane, [Pool(service, (RealServer("127.0.0.1", int(sys.argv[2]), "nat"),))], ())
print("ready", flush=True)
sys.stdin.read()
print(plane.open_connections, plane.service(service.key).servers[0].stats.connections)
plane.close()
"""


def test_without_free_descriptors_clients_wait(echoes):
    """Sixty descriptors are enough for less than ten connections: forty clients are served one after the other."""
    echo, port, clients = echoes(b"1"), free_port(), 40
    command = [sys.executable, "-c", NARROW, str(port), str(echo.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        service = VirtualService.tcp("127.0.0.1", port)
        waiting = [dial(service) for _ in range(clients)]
        served, rounds = [], 0
        while waiting and rounds < clients:
            rounds += 1
            ready = select.select(waiting, [], [], 20)[0]
            assert ready, "those who wait are served when others have left"
            for one in ready:
                assert one.recv(1) == b"1"  # and never a reset
                waiting.remove(one)
            served.append(len(ready))
            assert len(ready) <= 10
            for one in ready:
                one.close()
        assert waiting == [] and len(served) >= 4
        report, _ = process.communicate()
    assert report.split()[1] == str(clients)


def test_auto_says_what_it_picked(caplog, monkeypatch):
    with libipvs.open("proxy") as plane:
        assert plane.name == "proxy"
    caplog.set_level("INFO", logger="libipvs")
    with libipvs.open("auto") as plane:
        assert f"data plane: {plane.name}" in caplog.text
        assert plane.name in ("kernel", "proxy")


def test_a_supervised_pool_on_the_proxy(tmp_path, plane, echoes):
    """Everything together, without any kernel's help: checks, the sorry server, draining, real connections."""
    from libipvs.checks import Host, Target, TcpCheck, Timing
    from libipvs.supervisor import Member, SupervisedPool, Supervisor

    fast = Timing(delay_loop=0.1, retry=0, connect_timeout=1.0, warmup=0)
    one, two, sorry = echoes(b"1"), echoes(b"2"), echoes(b"s")
    service = VirtualService.tcp("127.0.0.1", free_port(), "rr")
    members = [Member(real(echo), (TcpCheck(Target("127.0.0.1", echo.port), fast),)) for echo in (one, two)]
    with contextlib.closing(Host(seed=1)) as host:
        supervisor = Supervisor(plane, host, tmp_path / "owned.json")
        supervisor.load([SupervisedPool(service, members, sorry=real(sorry), drain=10.0)])

        def present():
            return {entry.server.port for entry in plane.service(service.key).servers}

        def run_until(wanted):
            end = time.monotonic() + 15
            while present() != wanted and time.monotonic() < end:
                host.run_once(0.05)
            assert present() == wanted

        assert {dial_name(service, None) for _ in range(4)} == {b"1", b"2"}
        one.close()
        run_until({two.port})
        assert {dial_name(service, None) for _ in range(4)} == {b"2"}
        with dial(service) as held:
            assert held.recv(1) == b"2"
            supervisor.load([SupervisedPool(service, members[:1], sorry=real(sorry), drain=10.0)])
            assert present() == {two.port, sorry.port}  # the second drains, the first is still known to be down
            assert {dial_name(service, None) for _ in range(4)} == {b"s"}
            held.sendall(b"x")
            assert held.recv(1) == b"x"
        run_until({sorry.port})
        supervisor.stop()
        assert plane.services() == []
