"""Virtual MACs, virtual routes and rules, and routers that do not accept packets."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import VIP, VIP6, Lab, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("network"), tag="kn")
    yield lab
    lab.close()


def routers_of(*vrids, **settings):
    return [
        {"name": f"r{v}", "interface": "eth0", "vrid": v, "addresses": [f"10.77.2.{v}/32"], "interval": 0.1} | settings
        for v in vrids
    ]


def sysctl(lab, n, name):
    return sh("ip", "netns", "exec", lab.spaces[n - 1], "cat", f"/proc/sys/net/{name}").strip()


@pytest.mark.parametrize("family", [4, 6])
def test_the_virtual_mac_stays_when_the_router_changes(lab, family):
    settings = {"use_vmac": True, "lease": False} | ({"addresses": [f"{a}/64" for a in VIP6]} if family == 6 else {})
    address, device = (VIP6[1], "vrrp6.51") if family == 6 else (VIP, "vrrp.51")
    mac = "00:00:5e:00:02:33" if family == 6 else "00:00:5e:00:01:33"
    before = sysctl(lab, 1, "ipv4/conf/eth0/arp_ignore")

    def held(n):
        return f" {address}/" in sh("ip", "-n", lab.spaces[n - 1], "-o", "addr", "show")

    def neighbour():
        sh("ip", "netns", "exec", lab.spaces[2], "ping", "-c", "1", "-W", "2", address)
        return sh("ip", "-n", lab.spaces[2], "neigh", "show", address).split()[4]

    first = lab.agent(1, 200, **settings)
    second = lab.agent(2, 100, **settings)
    assert until(lambda: held(1) and second.state() == "Backup")
    assert f" {address}/" in sh("ip", "-n", lab.spaces[0], "-o", "addr", "show", "dev", device)
    assert neighbour() == mac and sysctl(lab, 1, "ipv4/conf/eth0/arp_ignore") == "1"
    learnt = sh("bridge", "fdb", "show", "br", lab.bridge)
    assert f"{mac} dev {lab.tag}v1" in learnt, "the switch learnt the virtual MAC from the adverts"
    first.stop()
    assert until(lambda: held(2))
    assert until(lambda: neighbour() == mac), "the same MAC, on another port"
    assert "vrrp" not in sh("ip", "-n", lab.spaces[0], "link", "show")
    assert sysctl(lab, 1, "ipv4/conf/eth0/arp_ignore") == before
    second.kill()
    assert until(lambda: not held(2)), "the guardian"
    again = lab.agent(2, 100, **settings)
    assert until(lambda: held(2)), "a macvlan that was left behind is replaced"
    again.stop()
    assert "vrrp" not in sh("ip", "-n", lab.spaces[1], "link", "show")


def test_reload_to_a_virtual_mac_and_back(lab):
    agent = lab.agents(1, routers_of(1))
    assert lab.wait_owner(1, "10.77.2.1")
    agent.reload(routers_of(1, use_vmac=True))
    where = ("ip", "-n", lab.spaces[0], "-o", "addr", "show", "dev")
    assert until(lambda: " 10.77.2.1/" in sh(*where, "vrrp.1")) and lab.owners("10.77.2.1") == []
    agent.reload(routers_of(1))
    assert lab.wait_owner(1, "10.77.2.1")
    assert "vrrp.1" not in sh("ip", "-n", lab.spaces[0], "link", "show")
    assert agent.states("r1") == ["Backup", "Master"]


def test_routes_and_rules_come_and_go_with_the_address(lab):
    space = lab.spaces[0]
    sh("ip", "-n", space, "route", "add", "10.99.4.0/24", "via", "10.77.0.3")
    sh("ip", "-n", space, "rule", "add", "pref", "700", "from", "10.98.0.0/16", "table", "77")
    routes = [
        {"to": "10.99.1.0/24", "via": "10.77.0.3", "source": VIP},
        {"to": "10.99.2.0/24", "table": 1000, "metric": 5},
        {"to": "10.99.3.0/24", "type": "blackhole"},
        {"to": "fd99::/64", "via": "fd77::3"},
        {"to": "10.99.4.0/24", "via": "10.77.0.3"},
    ]
    rules = [
        {"table": 1000, "preference": 500, "source": "10.97.0.0/16", "iif": "eth0"},
        {"table": 1000, "preference": 600, "to": "fd97::/64", "fwmark": 7},
        {"table": 77, "preference": 700, "source": "10.98.0.0/16"},
    ]

    def shown():
        out = [sh("ip", "-n", space, *x.split()) for x in ("route show table all", "-6 route", "rule", "-6 rule")]
        return "".join(out)

    first = lab.agent(1, 200, routes=routes, rules=rules, lease=False)
    assert lab.wait_owner(1)
    there = [
        f"10.99.1.0/24 via 10.77.0.3 dev eth0 proto 112 src {VIP}",
        "10.99.2.0/24 dev eth0 table 1000 proto 112 scope link metric 5",
        "blackhole 10.99.3.0/24 proto 112",
        "fd99::/64 via fd77::3 dev eth0 proto 112",
        "500:\tfrom 10.97.0.0/16 iif eth0 lookup 1000 proto 112",
        "600:\tfrom all to fd97::/64 fwmark 0x7 lookup 1000 proto 112",
    ]
    foreign = ["10.99.4.0/24 via 10.77.0.3 dev eth0", "700:\tfrom 10.98.0.0/16 lookup 77"]
    now = shown()
    assert [x for x in there + foreign if x not in now] == []
    first.kill()
    assert until(lambda: not any(x in shown() for x in there)), "the guardian"
    assert [x for x in foreign if x not in shown()] == [], "what somebody else made stays"
    again = lab.agent(1, 200, routes=routes, rules=rules)
    assert lab.wait_owner(1) and [x for x in there if x not in shown()] == []
    again.stop()
    assert not any(x in shown() for x in there)
    assert [x for x in foreign if x not in shown()] == []
    sh("ip", "-n", space, "rule", "del", "pref", "700")
    sh("ip", "-n", space, "route", "del", "10.99.4.0/24")


def test_a_route_that_the_kernel_refuses_is_a_fault(lab):
    agent = lab.agent(1, 200, routes=[{"to": "10.99.1.0/24", "via": "192.0.2.1"}])
    assert until(lambda: agent.state() == "Fault")
    assert lab.owners() == [] and any(x[0] == "ADDRESS" and x[3]["errno"] for x in agent.lines())


@pytest.mark.parametrize("family", [4, 6])
def test_a_router_that_does_not_accept_answers_for_its_address_but_takes_no_packets(lab, family):
    settings = {"addresses": [f"{a}/64" for a in VIP6]} if family == 6 else {}
    address = VIP6[1] if family == 6 else VIP
    client = lab.spaces[2]

    def ping(to):
        sh("ip", "netns", "exec", client, "ping", "-c", "1", "-W", "1", to, check=False)
        shown = sh("ip", "netns", "exec", client, "ping", "-c", "1", "-W", "1", to, check=False)
        return " 0% packet loss" in shown

    def reachable():
        return any(x in sh("ip", "-n", client, "neigh", "show", address) for x in ("REACHABLE", "STALE", "DELAY"))

    agent = lab.agent(1, 100, accept=False, **settings)
    assert lab.wait_owner(1, address)
    assert not ping(address) and reachable(), "ARP or neighbour discovery is answered, nothing else"
    assert ping("fd77::1" if family == 6 else "10.77.0.1")
    router = {"name": "a", "interface": "eth0", "vrid": 51, "addresses": [f"{VIP}/24"], "interval": 0.1} | settings
    agent.reload([router])
    assert ping(address)
    agent.reload([router | {"accept": False}])
    assert not ping(address)
    agent.stop()
    prefix, more = (24, ()) if family == 4 else (64, ("nodad",))
    sh("ip", "-n", lab.spaces[0], "addr", "add", f"{address}/{prefix}", "dev", "eth0", *more)
    assert ping(address), "the filter went with the process"
