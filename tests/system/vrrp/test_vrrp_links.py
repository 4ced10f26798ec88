"""What happens to the interface below a router: carrier that comes and goes, other MACs and names, bridges; and how
adverts and announcements leave it."""

import errno
import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import VIP, VIP6, Lab, Process, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("links"), tag="ki")
    yield lab
    lab.close()


def links(agent):
    return [x[3]["up"] for x in agent.lines() if x[0] == "LINK"]


def owner(lab, **settings):
    """An agent whose router is master at once, and stays so unless something is wrong."""
    host = settings.pop("host", {})
    agent = lab.agent(1, 255, interval=10.0, host=host, **settings)
    assert lab.wait_owner(1)
    return agent


def test_a_flap_that_is_shorter_than_the_delay_changes_nothing(lab):
    agent = owner(lab, host={"interfaces": [{"name": "eth0", "down_delay": 15, "up_delay": 15}]})
    for _ in range(5):
        lab.link(1, False)
        lab.link(1, True)
    until(lambda: False, 1)
    assert links(agent) == [] and agent.states() == ["Master"]
    shown = agent.end()["interfaces"]["eth0"]
    assert shown["carrier"] and shown["running"]


def test_without_a_delay_every_flap_counts(lab):
    agent = owner(lab)
    for _ in range(3):
        before = len(links(agent))
        lab.link(1, False)
        assert until(lambda before=before: len(links(agent)) > before)
        lab.link(1, True)
        assert until(lambda before=before: len(links(agent)) > before + 1)
    assert links(agent) == [False, True] * 3
    assert agent.states() == ["Master", *["Fault", "Master"] * 3]


def test_a_loss_that_lasts_counts_after_the_delay_and_so_does_what_comes_back(lab):
    agent = owner(lab, host={"interfaces": [{"name": "eth0", "down_delay": 0.5, "up_delay": 2}]})
    lab.link(1, False)
    assert until(lambda: agent.state() == "Fault") and lab.owners() == []
    lab.link(1, True)
    assert until(lambda: agent.state() == "Master")
    down, up = [x[1] for x in agent.lines() if x[0] == "LINK"]
    assert up - down >= 2_000_000_000, "not before the delay"
    shown = agent.end()["interfaces"]["eth0"]
    assert shown["carrier"] and shown["running"] and links(agent) == [False, True]


def test_a_flap_while_waiting_to_come_back_starts_the_wait_anew(lab):
    agent = owner(lab, host={"interfaces": [{"name": "eth0", "up_delay": 2}]})
    lab.link(1, False)
    assert until(lambda: agent.state() == "Fault")
    for _ in range(4):
        lab.link(1, True)
        until(lambda: False, 0.3)
        lab.link(1, False)
    until(lambda: False, 2.2)
    assert links(agent) == [False]
    lab.link(1, True)
    assert until(lambda: agent.state() == "Master")


def test_an_administrators_down_counts_at_once(lab):
    agent = owner(lab, host={"interfaces": [{"name": "eth0", "down_delay": 19}]})
    sh("ip", "-n", lab.spaces[0], "link", "set", "eth0", "down")
    assert until(lambda: agent.state() == "Fault")
    sh("ip", "-n", lab.spaces[0], "link", "set", "eth0", "up")
    assert until(lambda: agent.state() == "Master")


def test_a_tracked_interface_has_its_delay_too(lab):
    space = lab.spaces[0]
    sh("ip", "-n", space, "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    sh("ip", "-n", space, "link", "set", "up1", "up")
    sh("ip", "-n", space, "link", "set", "up0", "up")
    agent = owner(
        lab,
        tracks=[{"tracker": "t"}],
        host={
            "trackers": [{"name": "t", "kind": "interface", "interface": "up0"}],
            "interfaces": [{"name": "up0", "down_delay": 5}],
        },
    )
    for _ in range(3):
        sh("ip", "-n", space, "link", "set", "up1", "down")
        sh("ip", "-n", space, "link", "set", "up1", "up")
    until(lambda: False, 0.5)
    assert agent.states() == ["Master"]
    sh("ip", "-n", space, "link", "set", "up1", "down")
    assert until(lambda: agent.state() == "Fault", 15)
    agent.stop()
    sh("ip", "-n", space, "link", "del", "up0")


def test_a_reload_does_not_forget_a_flap_or_a_name(lab):
    """The interface is followed by its index over a reload, and a carrier that is lost for a moment is not a fault."""
    space = lab.spaces[0]
    agent = owner(lab, host={"interfaces": [{"name": "eth0", "down_delay": 15}]})
    router = {"name": "a", "interface": "eth0", "vrid": 51, "addresses": [f"{VIP}/24"], "priority": 255}
    router |= {"interval": 10.0, "garp_delay": 0}
    sh("ip", "-n", space, "link", "set", "eth0", "down")
    sh("ip", "-n", space, "link", "set", "eth0", "name", "other")
    sh("ip", "-n", space, "link", "set", "other", "up")
    try:
        assert until(lambda: agent.state() == "Master" and "Fault" in agent.states())
        seen = links(agent)
        lab.link(1, False)
        until(lambda: False, 0.5)
        assert agent.reload([router | {"garp_repeat": 2}])[0] == "RELOADED"
        lab.link(1, True)
        until(lambda: False, 0.5)
        assert agent.state() == "Master" and links(agent) == seen
        agent.stop()
        assert f" {VIP}/" not in sh("ip", "-n", space, "-o", "addr", "show", "dev", "other")
    finally:
        sh("ip", "-n", space, "link", "set", "other", "down")
        sh("ip", "-n", space, "link", "set", "other", "name", "eth0")
        sh("ip", "-n", space, "link", "set", "eth0", "up")
        for address in ("fd77::1/64", "fe80::7:1/64"):
            sh("ip", "-n", space, "addr", "replace", address, "dev", "eth0", "nodad")


def test_a_port_that_leaves_a_bridge_is_still_there(lab):
    """The kernel says so with an RTM_DELLINK of the bridge's family."""
    space = lab.spaces[0]
    agent = owner(lab)
    sh("ip", "-n", space, "link", "add", "br9", "type", "bridge")
    for _ in range(3):
        sh("ip", "-n", space, "link", "set", "eth0", "master", "br9")
        sh("ip", "-n", space, "link", "set", "eth0", "nomaster")
    until(lambda: False, 0.5)
    sh("ip", "-n", space, "link", "del", "br9")
    assert links(agent) == [] and agent.states() == ["Master"] and lab.owners() == [1]


def test_another_mac_is_announced(lab):
    """As when a bond takes its new active slave's."""
    space, client = lab.spaces[0], lab.spaces[2]
    owner(lab)
    sh("ip", "netns", "exec", client, "ping", "-c", "1", "-W", "2", VIP)
    before = sh("ip", "-n", space, "-o", "link", "show", "eth0").split("link/ether ")[1].split()[0]
    sh("ip", "-n", space, "link", "set", "eth0", "address", "02:00:00:00:77:01")
    try:
        assert until(lambda: "02:00:00:00:77:01" in sh("ip", "-n", client, "neigh", "show", VIP))
    finally:
        sh("ip", "-n", space, "link", "set", "eth0", "address", before)


IOCTL = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"eth0:vip", 0))     # SIOCSIFFLAGS without IFF_UP
"""


def test_an_address_that_ioctl_deletes_comes_back(lab):
    """The kernel signs that deletion itself, as it does the end of a lifetime."""
    agent = lab.agent(1, 255, addresses=[{"address": f"{VIP}/24", "label": "eth0:vip"}])
    assert lab.wait_owner(1)
    monitor = lab.monitor(1)
    assert Process(lab, lab.spaces[0], [sys.executable, "-c", IOCTL], "ioctl").process.wait(10) == 0
    assert until(lambda: f"Deleted 2: eth0    inet {VIP}/" in monitor.log.read_text() or VIP in monitor.log.read_text())
    assert lab.wait_owner(1) and agent.states() == ["Master"]


def addresses_of(family):
    return [f"{a}/64" for a in VIP6] if family == 6 else [f"{VIP}/24"]


@pytest.mark.parametrize("family", [4, 6])
def test_unicast_adverts_have_their_own_ttl(lab, family):
    one, two, three = [f"fe80::7:{n}" if family == 6 else f"10.77.0.{n}" for n in (1, 2, 3)]
    settings = {"addresses": addresses_of(family)}
    first = lab.agent(1, 200, peers=[[two, [255, 255]], three], unicast_ttl=42, **settings)
    assert lab.wait_owner(1, VIP6[1] if family == 6 else VIP)
    second = lab.agent(2, 100, peers=[[one, [42, 42]]], check_peers=True, **settings)
    third = lab.agent(3, 100, peers=[[one, [43, 255]]], **settings)
    assert until(lambda: third.state() == "Master"), "it believes nothing below 43"
    assert until(lambda: "Master" in second.states(), 1) is False and second.state() == "Backup"
    for agent in (second, third, first):
        agent.stop()
    status = second.status()
    assert status["adverts_received"] > 3 and set(status["dropped"]) <= {"router stopped or faulty", "not a peer"}
    assert third.status()["dropped"]["TTL"] > 3 and third.status()["protocol_error"] == "TTL"
    assert first.status()["send_errors"] == 0 and first.status()["send_errno"] is None


def test_another_multicast_group(lab):
    """Also keepalived's, in both roles; a router of the usual group hears nothing of it."""
    body = f" version 3\n advert_int 0.1\n virtual_ipaddress {{\n {VIP}/24\n }}"
    lab.keepalived(1, body, priority=200, globals_="vrrp_mcast_group4 224.0.0.200")
    assert lab.wait_owner(1)
    ours = lab.agent(2, 100, group="224.0.0.200")
    usual = lab.agent(3, 50, addresses=["10.77.0.111/24"])
    assert until(lambda: usual.state() == "Master" and ours.state() == "Backup")
    until(lambda: False, 1)
    assert ours.states() == ["Backup"]
    lab.processes[0].stop()
    assert lab.wait_owner(2)
    lab.keepalived(1, body, priority=50, globals_="vrrp_mcast_group4 224.0.0.200")
    until(lambda: False, 1.5)
    assert lab.owners() == [2]
    usual.stop()
    assert usual.status()["adverts_received"] == 0 and "address list" not in usual.status()["dropped"]


@pytest.mark.parametrize(("base", "mac"), [(False, "00:00:5e:00:01:33"), (True, None)])
def test_adverts_of_a_virtual_mac_may_carry_the_interfaces_own(lab, base, mac):
    lab.agent(1, 255, use_vmac=True, vmac_xmit_base=base, group="224.0.1.18")
    own = sh("ip", "-n", lab.spaces[0], "-o", "link", "show", "eth0").split("link/ether ")[1].split()[0]
    code = (
        "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))\n"
        "s.bind(('eth0', 0x0800))\n"
        "s.settimeout(8)\nwhile (f := s.recv(2048))[23] != 112: pass\nprint(f[:6].hex(':'), f[6:12].hex(':'))"
    )
    listener = Process(lab, lab.spaces[1], [sys.executable, "-c", code], f"mac{base}")
    assert listener.process.wait(15) == 0, listener.log.read_text()
    assert listener.log.read_text().split() == ["01:00:5e:00:01:12", mac or own]


@pytest.mark.skipif(not shutil.which("nft"), reason="missing nft (package nftables)")
def test_adverts_that_a_firewall_keeps_back_are_counted(lab):
    """A master that nobody hears: its own counters say so."""
    inside = ("ip", "netns", "exec", lab.spaces[0], "nft")
    sh(*inside, "add table ip t; add chain ip t o { type filter hook output priority 0; }")
    sh(*inside, "add rule ip t o ip protocol 112 drop")
    agent = lab.agent(1, 255)
    assert lab.wait_owner(1)
    until(lambda: False, 0.5)
    agent.stop()
    sh(*inside, "delete table ip t")
    status = agent.status()
    assert status["send_errors"] == status["adverts_sent"] > 1 and status["send_errno"] == errno.EPERM


PACE = """
import socket, struct, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.setsockopt(socket.SOL_SOCKET, 35, 1)             # SO_TIMESTAMPNS: when the kernel had it
s.bind(("eth0", 0x0806))
s.settimeout(15)
print("ready", flush=True)
seen = {}
while len(seen) < 20:
    frame, control, _, _ = s.recvmsg(2048, 256)
    if frame[28:31] == bytes((10, 77, 5)) and frame[28:32] == frame[38:42]:
        seconds, ns = struct.unpack("qq", control[0][2])
        seen.setdefault(frame[31], seconds + ns / 1e9)
times = sorted(seen.values())
print(times[-1] - times[0], flush=True)
"""


def test_announcements_keep_an_interfaces_own_pace(lab):
    listener = Process(lab, lab.spaces[1], [sys.executable, "-c", PACE], "pace")
    lab.processes.append(listener)
    assert until(lambda: "ready" in listener.log.read_text())
    addresses = [f"10.77.5.{n}/32" for n in range(1, 21)]
    pace = [{"name": "eth0", "garp_interval": 0.05}]
    lab.agent(1, 255, addresses=addresses, garp_repeat=1, host={"interfaces": pace})
    assert listener.process.wait(20) == 0, listener.log.read_text()
    assert float(listener.log.read_text().split()[1]) >= 0.9 * 19 * 0.05


def test_a_peer_and_flags_of_addresses_reach_the_kernel(lab):
    space = lab.spaces[0]
    excluded = [
        {"address": "10.77.6.1/32", "peer": "10.77.6.2", "flags": ["noprefixroute"]},
        {"address": "fd77::6:1/64", "flags": ["home", "noprefixroute"]},
        {"address": "fd77::6:9/128", "peer": "fd77::6:a"},
    ]
    agent = lab.agent(1, 255, excluded=excluded)
    assert lab.wait_owner(1)
    until(lambda: False, 1.6)  # several refreshes
    shown = sh("ip", "-n", space, "-o", "addr", "show", "dev", "eth0").splitlines()
    four = next(x for x in shown if " 10.77.6.1 " in x)
    assert "peer 10.77.6.2/32" in four and "noprefixroute" in four
    six = next(x for x in shown if " fd77::6:1/" in x)
    assert all(x in six for x in ("home", "noprefixroute", "nodad"))
    assert any(" fd77::6:9 peer fd77::6:a/128" in x for x in shown)
    agent.stop()
    shown = sh("ip", "-n", space, "-o", "addr", "show", "dev", "eth0")
    assert "10.77.6.1" not in shown and "fd77::6:" not in shown
