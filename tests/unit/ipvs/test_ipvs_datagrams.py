"""The proxy plane with real datagrams on loopback: flows stay together, end, and keep their answers apart."""

import contextlib
import os
import socket
import threading
import time

import pytest

from libipvs.errors import Refused
from libipvs.model import Pool, RealServer, VirtualService
from libipvs.proxy import Proxy
from libipvs.reconcile import reconcile


@pytest.fixture
def plane():
    with Proxy(seed=1) as opened:
        yield opened


def until(done, limit=15.0):
    end = time.monotonic() + limit
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done(), "not within its time"


def real(server):
    return RealServer("127.0.0.1", server.port, "nat")


class Answers:
    """A UDP server that puts its name before what it hears."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.stopping = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stopping:
            with contextlib.suppress(TimeoutError):
                data, peer = self.socket.recvfrom(65536)
                self.socket.sendto(self.name + data, peer)

    def close(self):
        self.stopping = True
        self.thread.join()
        self.socket.close()


@pytest.fixture
def answers():
    with contextlib.ExitStack() as stack:

        def make(name):
            made = Answers(name)
            stack.callback(made.close)
            return made

        yield make


def udp_client(stack, source="127.0.0.1"):
    client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.bind((source, 0))
    client.settimeout(10)
    return client


def ask(client, service, data=b"?"):
    client.sendto(data, (service.address, service.port))
    answer, peer = client.recvfrom(65536)
    assert peer == (service.address, service.port)
    return answer


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_udp_flows(plane, answers):
    one, two = answers(b"1"), answers(b"2")
    service = VirtualService.udp("127.0.0.1", free_udp_port(), "rr")
    reconcile(plane, [Pool(service, (real(one), real(two)))], ())
    with contextlib.ExitStack() as stack:
        clients = [udp_client(stack) for _ in range(4)]
        names = [ask(client, service) for client in clients]
        assert sorted(names) == [b"1?", b"1?", b"2?", b"2?"]
        assert [ask(client, service) for client in clients] == names  # a flow stays with its server
        assert plane.open_flows == 4
        big = os.urandom(60_000)
        assert ask(clients[0], service, big)[1:] == big
        assert ask(clients[0], service, b"")[1:] == b""
        until(lambda: plane.service(service.key).stats.out_bytes == 16 + 60_002)
        status = plane.service(service.key)
        assert (status.stats.connections, status.stats.in_bytes) == (4, 8 + 60_000)
        # A server that leaves takes its flows with it: the clients move on with their next datagram.
        plane.delete_server(service.key, real(one).key)
        until(lambda: plane.open_flows == 2)
        assert [ask(client, service) for client in clients] == [b"2?"] * 4
        plane.delete_service(service.key)
        until(lambda: plane.open_flows == 0)
        again = VirtualService.udp("127.0.0.1", service.port, "rr")
        plane.add_service(again)
        with pytest.raises(Refused, match="in use"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            plane.add_service(VirtualService.udp("127.0.0.1", taken.getsockname()[1], "rr"))


def test_silent_udp_flows_are_forgotten_and_refusals_survived(answers):
    before = sorted(os.listdir("/proc/self/fd"))
    with Proxy(udp_timeout=0.3, seed=1) as plane, contextlib.ExitStack() as stack:
        one = answers(b"1")
        service = VirtualService.udp("127.0.0.1", free_udp_port(), "rr", persistence=60)
        reconcile(plane, [Pool(service, (real(one),))], ())
        clients = [udp_client(stack, f"127.0.0.{i}") for i in range(2, 30)]
        assert {ask(client, service) for client in clients} == {b"1?"}
        assert plane.open_flows == 28
        until(lambda: plane.open_flows == 0)
        assert sum(entry.active + entry.inactive for entry in plane.service(service.key).servers) == 0
        dead = VirtualService.udp("127.0.0.1", free_udp_port(), "rr")
        plane.add_service(dead)
        client = clients[0]
        client.sendto(b"x", (dead.address, dead.port))  # nobody may take it: dropped
        plane.add_server(dead.key, RealServer("127.0.0.1", free_udp_port(), "nat"))
        for _ in range(3):
            client.sendto(b"x", (dead.address, dead.port))  # refused by ICMP
            time.sleep(0.05)
        assert ask(client, service) == b"1?"
    until(lambda: len(os.listdir("/proc/self/fd")) == len(before) + 1)  # the server's own


def test_many_udp_flows_keep_their_answers_apart(plane, answers):
    service = VirtualService.udp("127.0.0.1", free_udp_port(), "sh", flags=["sh-port"])
    reconcile(plane, [Pool(service, tuple(real(answers(b"%d" % i)) for i in range(3)))], ())
    with contextlib.ExitStack() as stack:
        clients = [udp_client(stack, f"127.0.{i // 100}.{1 + i % 100}") for i in range(300)]
        for turn in range(3):
            for start in range(0, 300, 50):  # more at once may overflow a small receive buffer
                group = list(enumerate(clients))[start : start + 50]
                for number, client in group:
                    client.sendto(b"%d/%d" % (number, turn), (service.address, service.port))
                for number, client in group:
                    assert client.recvfrom(100)[0][1:] == b"%d/%d" % (number, turn)
        assert plane.open_flows == 300
