"""A bond of two interfaces, active-backup, that loses and changes its slaves.

bond0 10.77.0.1 = eth0 + eth9 --+-- bridge --+-- eth0 10.77.0.2
                                +            +-- eth0 10.77.0.3 (client)
"""

import pytest
from vrrp_lab import VIP, Lab, ip_batch, sh, until


class Bonded(Lab):
    """The first namespace's interface is a bond; `slave(n, up)` takes the n-th slave's cable out, or puts it in."""

    def __init__(self, path):
        super().__init__(path, 3, tag="kb")
        space = self.spaces[0]
        ip_batch(
            f"link add {self.tag}w type veth peer name eth9 netns {space};link set {self.tag}w master {self.bridge} up"
        )
        ip_batch(
            "link add bond0 type bond mode active-backup miimon 20 fail_over_mac active num_grat_arp 0;"
            "link set eth0 down;link set eth0 master bond0;link set eth9 down;link set eth9 master bond0;"
            "link set bond0 up;link set eth0 up;link set eth9 up;addr flush dev eth0;addr add 10.77.0.1/24 dev bond0",
            space,
        )
        self.bridge_ports = (f"{self.tag}v1", f"{self.tag}w")

    def slave(self, n, up):
        sh("ip", "link", "set", self.bridge_ports[n - 1], "up" if up else "down")

    def carrier(self):
        return "LOWER_UP" in sh("ip", "-n", self.spaces[0], "-o", "link", "show", "bond0")

    def active(self):
        shown = sh("ip", "-n", self.spaces[0], "-d", "-o", "link", "show", "bond0")
        return shown.split("active_slave ")[1].split()[0]

    def bond_holds(self):
        return f" {VIP}/" in sh("ip", "-n", self.spaces[0], "-o", "addr", "show", "dev", "bond0")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    made = Bonded(tmp_path_factory.mktemp("bond"))
    yield made
    made.close()


@pytest.fixture
def lab(shared_lab):
    assert until(lambda: shared_lab.carrier() and not shared_lab.bond_holds())
    yield shared_lab
    shared_lab.slave(1, True)
    shared_lab.slave(2, True)
    shared_lab.reset()


def pair(lab, interfaces=(), interval=1.0):
    """Ours on the bond, master; ours on the second host, backup."""
    first = lab.agent(1, 200, host={"interfaces": list(interfaces)}, interface="bond0", interval=interval)
    assert until(lambda: first.state() == "Master", 20)
    second = lab.agent(2, 100, interval=interval)
    assert until(lambda: second.state() == "Backup")
    return first, second


def links(agent):
    return [x[3]["up"] for x in agent.lines() if x[0] == "LINK"]


def test_another_active_slave_is_no_change_of_role_and_its_mac_is_announced(lab):
    first, second = pair(lab)
    client = lab.spaces[2]
    for number in (1, 2):
        sh("ip", "netns", "exec", client, "ping", "-c", "1", "-W", "5", VIP)
        before = lab.active()
        known = sh("ip", "-n", client, "neigh", "show", VIP).split()[4]
        lab.slave(1 if before == "eth0" else 2, False)
        assert until(lambda before=before: lab.active() != before)
        assert until(lambda known=known: sh("ip", "-n", client, "neigh", "show", VIP).split()[4] != known), number
        lab.slave(1, True)
        lab.slave(2, True)
        until(lambda: False, 0.5)
    assert first.states() == ["Backup", "Master"] and second.states() == ["Backup"]
    assert links(first) == [] and lab.bond_holds()


def test_without_a_delay_a_flap_of_the_bond_is_a_fault(lab):
    first, _ = pair(lab)
    lab.slave(1, False)
    lab.slave(2, False)
    assert until(lambda: not lab.carrier())
    lab.slave(2, True)
    assert until(lambda: first.states()[-2:] == ["Fault", "Backup"])
    assert links(first)[:2] == [False, True]


def test_a_flap_of_the_bond_within_the_delay_changes_no_role(lab):
    """Every slave loses its carrier, and another one comes back: shorter than the delay."""
    first, second = pair(lab, [{"name": "bond0", "down_delay": 3.9}], 2.0)
    for slave in (2, 1):
        lab.slave(1, False)
        lab.slave(2, False)
        assert until(lambda: not lab.carrier())
        lab.slave(slave, True)
        assert until(lab.carrier)
    lab.slave(2, True)
    until(lambda: False, 7)  # more than a takeover would take
    assert first.states() == ["Backup", "Master"] and second.states() == ["Backup"]
    assert links(first) == [] and lab.bond_holds() and not lab.holds(2)


def test_a_bond_that_stays_without_carrier_hands_over_and_comes_back_after_the_delay(lab):
    first, _ = pair(lab, [{"name": "bond0", "down_delay": 1, "up_delay": 2}])
    lab.slave(1, False)
    lab.slave(2, False)
    assert until(lambda: first.state() == "Fault" and not lab.bond_holds())
    assert until(lambda: lab.holds(2), 20)
    lab.slave(2, True)
    assert until(lambda: first.state() == "Master" and lab.bond_holds() and not lab.holds(2), 30)
    down, up = [x[1] for x in first.lines() if x[0] == "LINK"]
    assert up - down >= 2_000_000_000 and links(first) == [False, True]
