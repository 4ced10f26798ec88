"""The memory plane picks what the kernel picks: real TCP connections through the kernel's IPVS, the same in memory.

Packets are marked by SO_MARK, so one firewall-mark service takes connections to any destination address; the real
servers are addresses of this machine, behind one listening socket, which tells where each connection went.
"""

import contextlib
import random
import socket
import subprocess
import time
from collections import Counter

import pytest

from libipvs.checks import Host, Target, TcpCheck, Timing
from libipvs.memory import Memory
from libipvs.model import RealServer, VirtualService

MARK = 5
PORT = 8000


@pytest.fixture(scope="module")
def listener():
    """One socket for every server address: all of 10.0.0.0/8 is local here."""
    subprocess.run(["ip", "route", "replace", "local", "10.0.0.0/8", "dev", "lo"], check=True)
    with socket.socket() as opened:
        opened.bind(("0.0.0.0", PORT))
        opened.listen(512)
        opened.settimeout(10)
        yield opened


class Both:
    """The kernel and the memory plane with the same service; every step is done to both and compared."""

    made = 0

    def __init__(self, kernel, listener, service, seed):
        self.kernel = kernel
        self.memory = Memory(clock=lambda: 0.0)
        self.listener = listener
        self.service = service
        self.random = random.Random(seed)
        self.open = []
        self.finished = []
        self.number = 0
        # The kernel keeps a deleted server while connections name it, and would revive it with its counters.
        Both.made += 1
        self.network = f"10.60.{Both.made}"
        for plane in self.planes:
            plane.add_service(service)

    @property
    def planes(self):
        return (self.kernel, self.memory)

    def servers(self):
        return [entry.server for entry in self.memory.service(self.service.key).servers]

    def add(self, weight=None):
        self.number += 1
        server = RealServer(f"{self.network}.{self.number}", PORT, "nat", self.weight() if weight is None else weight)
        for plane in self.planes:
            plane.add_server(self.service.key, server)

    def weight(self):
        return self.random.choice([0, 1, 1, 2, 3, 5, 8])

    def edit(self):
        server = self.random.choice(self.servers()).with_(weight=self.weight())
        for plane in self.planes:
            plane.edit_server(self.service.key, server)

    def remove(self):
        servers = self.servers()
        used = {connection.server.key for _, _, connection in self.open}
        free = [server for server in servers if server.key not in used]
        if len(servers) > 2 and free:
            server = self.random.choice(free)
            for plane in self.planes:
                plane.delete_server(self.service.key, server.key)

    def connect(self):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        client.settimeout(10)
        source = f"10.70.{self.random.randrange(3)}.{self.random.randrange(1, 250)}"
        target = f"10.50.0.{self.random.randrange(1, 12)}"
        client.bind((source, 0))
        expected = self.memory.connect(self.service.key, source, client.getsockname()[1], target)
        try:
            client.connect((target, PORT))
        except OSError:
            client.close()
            assert expected is None, f"the kernel refuses, memory gives {expected.server}"
            return
        peer, _ = self.listener.accept()
        where = peer.getsockname()[0]
        if expected is None:
            raise AssertionError(f"the kernel gives {where}, memory refuses")
        assert where == expected.server.address, self.servers()
        expected.establish()
        self.open.append((client, peer, expected))

    def close(self):
        if self.open:
            client, peer, connection = self.open.pop(self.random.randrange(len(self.open)))
            client.close()
            assert peer.recv(1) == b""
            peer.close()
            connection.finish()

    def compare(self):
        counts = [
            [(e.server, e.active, e.inactive) for e in plane.service(self.service.key).servers] for plane in self.planes
        ]
        assert counts[0] == counts[1]

    def run(self, steps):
        for _ in range(3):
            self.add()
        for _ in range(steps):
            step = self.random.choices(
                [self.connect, self.close, self.edit, self.add, self.remove], [10, 3, 1, 0.3, 0.3]
            )[0]
            step()
            self.compare()
        while self.open:
            self.close()
        self.compare()


CASES = [
    *((name, ()) for name in ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "lblc", "lblcr")),
    *((name, flags) for name in ("sh", "mh") for flags in (["flag-1"], ["flag-2"], ["flag-1", "flag-2"])),
]


@pytest.mark.parametrize(("name", "flags"), CASES, ids=lambda case: "+".join([case] if isinstance(case, str) else case))
def test_same_choice(kernel, listener, name, flags):
    for seed in range(8):
        kernel.flush()
        service = VirtualService.fwmark(MARK, name, flags=frozenset(flags))
        Both(kernel, listener, service, f"{name} {flags} {seed}").run(60)


def test_thresholds_follow_the_kernel(kernel, listener):
    service = VirtualService.fwmark(MARK, "rr")
    both = Both(kernel, listener, service, "thresholds")
    for number, (upper, lower) in enumerate([(2, 0), (3, 2), (0, 0)], 1):
        server = RealServer(f"{both.network}.{number}", PORT, "nat", 1, upper, lower)
        for plane in both.planes:
            plane.add_server(service.key, server)
    for _ in range(12):
        both.connect()
        both.compare()
    share = Counter(connection.server.address for _, _, connection in both.open)
    assert share == {f"{both.network}.{number}": count for number, count in [(1, 2), (2, 3), (3, 7)]}
    while both.open:
        both.close()


def test_persistence_sticks_as_in_the_kernel(kernel, listener):
    service = VirtualService.fwmark(MARK, "rr", persistence=600, netmask="255.255.255.0")
    both = Both(kernel, listener, service, "persistence")
    for _ in range(5):
        both.add(1)
    for _ in range(40):
        both.connect()
    drained = both.open[0][2].server.with_(weight=0)
    for plane in both.planes:
        plane.edit_server(service.key, drained)
    for _ in range(40):
        both.connect()
    counts = [[e.persistent for e in plane.service(service.key).servers] for plane in both.planes]
    assert sum(counts[0]) == 3  # one for each client network
    assert counts[0] == counts[1]
    while both.open:
        both.close()


def test_a_check_with_a_mark_goes_where_the_mark_leads(kernel, listener):
    service = VirtualService.fwmark(MARK, "rr")
    kernel.add_service(service)
    kernel.add_server(service.key, RealServer("10.61.0.1", PORT, "nat"))
    timing = Timing(delay_loop=3600, retry=0, warmup=0, alpha=True)
    for mark, where in ((MARK, "10.61.0.1"), (0, "10.50.0.77")):
        with contextlib.closing(Host(seed=1)) as host:
            watch = host.watch(TcpCheck(Target("10.50.0.77", PORT, fwmark=mark), timing), lambda watch: None)
            end = time.monotonic() + 10
            while not watch.verdict.up and time.monotonic() < end:
                host.run_once(0.05)
            assert watch.verdict.up
        peer, _ = listener.accept()
        with peer:
            assert peer.getsockname()[0] == where
