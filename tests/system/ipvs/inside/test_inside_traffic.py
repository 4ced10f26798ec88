"""Real connections through the kernel's load balancer, as libipvs set it up, and pools that follow real servers."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import ipvs_laboratory
import pytest

from libipvs.checks import Host, HttpCheck, Target, TcpCheck, Timing, Url
from libipvs.connections import connections
from libipvs.model import Pool, RealServer, VirtualService
from libipvs.reconcile import reconcile
from libipvs.supervisor import Member, SupervisedPool, Supervisor

FAST = Timing(delay_loop=0.3, retry=1, delay_before_retry=0.1, connect_timeout=1.0, warmup=0)


@pytest.fixture(scope="module")
def servers():
    ipvs_laboratory.build()
    webs = {name: ipvs_laboratory.Web(name) for name in ("rs1", "rs2")}
    yield webs
    for web in webs.values():
        web.stop()
    ipvs_laboratory.tear_down()


def real(number, method, family):
    # IPv6 in tunnels goes over IPv4: the families may differ there.
    address = f"10.20.0.1{number}" if family == 4 or method == "tun" else f"fd20::1{number}"
    return RealServer(address, 80, method)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("method", ["nat", "dr", "tun"])
def test_forwarding(kernel, servers, method, family):
    vip = ipvs_laboratory.VIPS["nat" if method == "nat" else "lan", family]
    service = VirtualService.tcp(vip, 80, "rr")
    one, two = real(1, method, family), real(2, method, family)
    reconcile(kernel, [Pool(service, (one, two))], ())
    seen = [ipvs_laboratory.get(vip) for _ in range(6)]
    assert set(seen) == {"rs1", "rs2"}
    assert seen[0::2] == [seen[0]] * 3 and seen[1::2] == [seen[1]] * 3
    reconcile(kernel, [Pool(service.with_(scheduler="wrr"), (one.with_(weight=2), two))], {service.key})
    assert Counter(ipvs_laboratory.get(vip) for _ in range(9)) == {"rs1": 6, "rs2": 3}
    table = kernel.service(service.key)
    assert sum(entry.active + entry.inactive for entry in table.servers) >= 15
    ours = [entry for entry in connections() if entry.virtual == vip]
    assert len(ours) >= 15
    assert {entry.server for entry in ours} >= {one.address, two.address}


TUNNELS = {
    "ipip": {},
    "gre": {"tunnel": "gre"},
    "gre, checksum": {"tunnel": "gre", "checksum": "csum"},
    "gue": {"tunnel": "gue", "tunnel_port": 6080},
    "gue, checksum": {"tunnel": "gue", "tunnel_port": 6080, "checksum": "csum"},
    "gue, remote checksum": {"tunnel": "gue", "tunnel_port": 6080, "checksum": "remcsum"},
}


# over IPv6 only IPIP: what a server must set up for the others there is the same as over IPv4
@pytest.mark.parametrize(("outer", "name"), [*((4, name) for name in TUNNELS), (6, "ipip")])
@pytest.mark.parametrize("family", [4, 6])
def test_tunnels(kernel, servers, name, family, outer):
    vip = ipvs_laboratory.VIPS["lan", family]
    service = VirtualService.tcp(vip, 80, "rr")
    addresses = ("10.20.0.11", "10.20.0.12") if outer == 4 else ("fd20::11", "fd20::12")
    reals = tuple(RealServer(address, 80, "tun", **TUNNELS[name]) for address in addresses)
    reconcile(kernel, [Pool(service, reals)], ())
    with ipvs_laboratory.gre_with_checksum() if name == "gre, checksum" else contextlib.nullcontext():
        assert Counter(ipvs_laboratory.get(vip) for _ in range(6)) == {"rs1": 3, "rs2": 3}


def test_persistence_sticks(kernel, servers):
    vip = ipvs_laboratory.VIPS["nat", 4]
    service = VirtualService.tcp(vip, 80, "rr", persistence=60)
    reconcile(kernel, [Pool(service, (real(1, "nat", 4), real(2, "nat", 4)))], ())
    assert len({ipvs_laboratory.get(vip) for _ in range(6)}) == 1
    assert sum(entry.persistent for entry in kernel.service(service.key).servers) == 1


class Following:
    """A supervisor over the kernel, run in this thread until something is so."""

    def __init__(self, kernel, path):
        self.host = Host(seed=1)
        self.supervisor = Supervisor(kernel, self.host, path)

    def until(self, done, what):
        end = time.monotonic() + 15
        while not done():
            assert time.monotonic() < end, f"not within its time: {what}"
            self.host.run_once(0.05)


def http_member(number, method="nat", **options):
    server = real(number, method, 4)
    check = HttpCheck(Target(server.address, 80), FAST, urls=(Url("/", regex=f"rs{number}"),), protocol="1.1")
    return Member(server, (check, TcpCheck(Target(server.address, 80), FAST)), **options)


@pytest.fixture
def following(kernel, tmp_path):
    made = Following(kernel, tmp_path / "owned.json")
    with contextlib.closing(made.host):
        yield made


def test_a_pool_follows_its_servers(kernel, ipvsadm, servers, following):
    vip = ipvs_laboratory.VIPS["nat", 4]
    foreign = VirtualService.tcp("10.99.0.1", 99, "lc")
    kernel.add_service(foreign)
    kernel.add_server(foreign.key, RealServer("10.99.0.2", 99, upper=5))
    before = ipvsadm("-Ln", "-t", "10.99.0.1:99")
    service = VirtualService.tcp(vip, 80, "rr")
    web = ipvs_laboratory.Web("director", 8088)
    sorry = RealServer("10.20.0.1", 8088, "nat")
    pool = SupervisedPool(service, (http_member(1), http_member(2)), sorry=sorry)
    following.supervisor.load([pool])

    def present():
        return {entry.server.address for entry in kernel.service(service.key).servers}

    one, two = "10.20.0.11", "10.20.0.12"
    try:
        following.host.run_for(0.8)
        assert present() == {one, two}
        assert Counter(ipvs_laboratory.get(vip) for _ in range(6)) == {"rs1": 3, "rs2": 3}
        servers["rs1"].stop()
        following.until(lambda: present() == {two}, "the dead server leaves")
        assert {ipvs_laboratory.get(vip) for _ in range(4)} == {"rs2"}
        servers["rs2"].stop()
        following.until(lambda: present() == {sorry.address}, "the sorry server takes over")
        assert ipvs_laboratory.get(vip) == "director"
        servers["rs1"].start()
        following.until(lambda: present() == {one}, "the first server returns")
        assert {ipvs_laboratory.get(vip) for _ in range(4)} == {"rs1"}
    finally:
        web.stop()
        for server in servers.values():
            if server.listener.fileno() < 0:
                server.start()
    following.until(lambda: present() == {one, two}, "both are back")
    following.supervisor.stop()
    assert [status.service for status in kernel.services()] == [foreign]
    assert ipvsadm("-Ln", "-t", "10.99.0.1:99") == before


def test_draining_keeps_open_connections(kernel, servers, following):
    # A port of its own: the kernel revives a server that old connections still name, with their count.
    vip = ipvs_laboratory.VIPS["lan", 4]
    service = VirtualService.tcp(vip, 81, "rr")
    members = [Member(real(number, "dr", 4).with_(port=81)) for number in (1, 2)]
    following.supervisor.load([SupervisedPool(service, members, drain=20.0)])
    with contextlib.ExitStack() as stack:
        for name in ("rs1", "rs2"):
            stack.callback(ipvs_laboratory.Web(name, 81).stop)
        held = [stack.enter_context(ipvs_laboratory.connect(vip, 81)) for _ in range(2)]
        names = [ipvs_laboratory.ask(connection) for connection in held]
        assert sorted(names) == ["rs1", "rs2"]
        following.supervisor.load([SupervisedPool(service, members[1:], drain=20.0)])
        assert {ipvs_laboratory.get(vip, 81) for _ in range(4)} == {"rs2"}
        following.host.run_for(1.2)
        assert [ipvs_laboratory.ask(connection) for connection in held] == names
        assert len(following.supervisor.draining(service.key)) == 1
        held[names.index("rs1")].close()
        following.until(lambda: following.supervisor.draining(service.key) == (), "the drained server is deleted")
        assert [entry.server for entry in kernel.service(service.key).servers] == [members[1].server]
        assert ipvs_laboratory.ask(held[names.index("rs2")]) == "rs2"


CHILD = """
import sys
from libipvs.checks import Host
from libipvs.kernel import Kernel
from libipvs.model import RealServer, VirtualService
from libipvs.supervisor import Member, SupervisedPool, Supervisor
host = Host()
supervisor = Supervisor(Kernel(), host, sys.argv[1])
pools = [SupervisedPool(VirtualService.tcp("10.98.0.1", port, "rr"), (Member(RealServer("10.98.0.2", port)),))
         for port in (80, 81, 82)]
supervisor.load(pools)
print("loaded", flush=True)
host.run()
"""


def test_kill_9_and_a_start_that_cleans(kernel, ipvsadm, tmp_path, following):
    foreign = VirtualService.tcp("10.99.0.1", 99, "lc")
    kernel.add_service(foreign)
    before = ipvsadm("-Ln", "-t", "10.99.0.1:99")
    path = tmp_path / "owned.json"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "loaded\n"
    assert len(kernel.services()) == 4
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert len(kernel.services()) == 4
    supervisor = Supervisor(kernel, following.host, path)
    kept = VirtualService.tcp("10.98.0.1", 81, "rr")
    supervisor.load([SupervisedPool(kept, (Member(RealServer("10.98.0.3", 81)),))])
    assert {status.service for status in kernel.services()} == {foreign, kept}
    supervisor.stop()
    assert [status.service for status in kernel.services()] == [foreign]
    assert ipvsadm("-Ln", "-t", "10.99.0.1:99") == before
