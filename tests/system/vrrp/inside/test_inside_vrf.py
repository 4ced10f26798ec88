"""Routers on interfaces that belong to a VRF: adverts, addresses, virtual MACs and routes are the VRF's."""

import pytest
from vrrp_lab import VIP, VIP6, Lab, ip_batch, sh, until


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("vrf"), 3, tag="kf")
    for n, space in enumerate(made.spaces[:2], 1):
        ip_batch(
            "link add blue type vrf table 10;link set blue up;link set eth0 master blue;"
            f"addr replace fd77::{n}/64 dev eth0 nodad;addr replace fe80::7:{n}/64 dev eth0 nodad",
            space,
        )
    yield made
    made.close()


@pytest.fixture
def lab(shared_lab):
    yield shared_lab
    shared_lab.reset()


def reaches(lab, address):
    shown = sh("ip", "netns", "exec", lab.spaces[2], "ping", "-c", "1", "-W", "5", address, check=False)
    return " 0% packet loss" in shown


@pytest.mark.parametrize("family", [4, 6])
def test_a_takeover_in_a_vrf(lab, family):
    address = VIP6[1] if family == 6 else VIP
    settings = {"addresses": [f"{a}/64" for a in VIP6]} if family == 6 else {}
    to = "fd99::/64" if family == 6 else "10.99.0.0/16"
    gateway = "fd77::3" if family == 6 else "10.77.0.3"
    settings["lease"] = False
    settings["routes"] = [{"to": to, "via": gateway, "vrf": "blue"}]
    first = lab.agent(1, 200, interval=0.5, **settings)
    second = lab.agent(2, 100, interval=0.5, **settings)
    assert lab.wait_owner(1, address, 20)

    def routed(n):
        shown = [("ip", "-n", lab.spaces[n - 1], f"-{family}", "route", "show", *x) for x in (("table", "10"), ())]
        return [f"{to} via {gateway} dev eth0" in sh(*command) for command in shown]

    assert until(lambda: routed(1) == [True, False] and routed(2) == [False, False])
    assert second.states() == ["Backup"] and reaches(lab, address)
    first.stop()
    assert lab.wait_owner(2, address, 20) and until(lambda: routed(2) == [True, False])
    assert routed(1) == [False, False] and reaches(lab, address)
    second.kill()
    assert until(lambda: lab.owners(address) == [] and routed(2) == [False, False], 20), "the guardian"


def test_a_virtual_mac_in_a_vrf(lab):
    first = lab.agent(1, 200, interval=0.5, use_vmac=True)
    second = lab.agent(2, 100, interval=0.5, use_vmac=True)
    assert until(lambda: first.state() == "Master" and second.state() == "Backup", 20)
    assert "master blue" in sh("ip", "-n", lab.spaces[0], "-o", "link", "show", "vrrp.51")
    assert reaches(lab, VIP)
    assert "00:00:5e:00:01:33" in sh("ip", "-n", lab.spaces[2], "neigh", "show", VIP)
    first.stop()
    assert until(lambda: second.state() == "Master") and until(lambda: reaches(lab, VIP))


def test_a_route_of_a_vrf_that_is_not_there_is_a_fault(lab):
    agent = lab.agent(1, 200, routes=[{"to": "10.99.0.0/16", "via": "10.77.0.3", "vrf": "red"}])
    assert until(lambda: agent.state() == "Fault", 20) and lab.owners() == []
