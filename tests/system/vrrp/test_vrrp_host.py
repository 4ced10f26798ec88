"""Our routers against each other in network namespaces: takeovers, deaths, pauses, links, conflicts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import ROOT, VIP, VIP6, Lab, Process, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("vrrp"))
    yield lab
    lab.close()


def pair(lab, **settings):
    first, second = lab.agent(1, 200, **settings), lab.agent(2, 100, **settings)
    assert lab.wait_owner(1)
    assert until(lambda: first.state() == "Master" and second.state() == "Backup")
    return first, second


def test_graceful_stop_hands_over_and_leaves_nothing(lab):
    first, second = pair(lab)
    first.stop()
    assert lab.wait_owner(2)
    assert first.states() == ["Backup", "Master", "Initialize"]
    assert first.status()["priority_zero_sent"] == 1
    second.stop()
    assert lab.owners() == []
    assert second.status()["priority_zero_received"] == 1
    assert set(second.status()["dropped"]) <= {"router stopped or faulty"}


def test_worker_killed_the_guardian_hands_over(lab):
    first, second = pair(lab, interval=1.0, lease=False)
    guardian = first.guardian
    assert guardian and os.path.exists(f"/proc/{guardian}")
    first.kill()
    assert lab.wait_owner(2), "there is no lease that could end"
    assert until(lambda: not os.path.exists(f"/proc/{guardian}"))
    second.stop()
    assert second.status()["priority_zero_received"] == 1


def test_worker_and_guardian_killed_the_lease_ends(lab):
    first, _ = pair(lab, interval=0.3)
    os.kill(first.guardian, signal.SIGKILL)
    first.kill()
    assert lab.wait_owner(2, timeout=15)


def test_guardian_goes_with_a_graceful_stop(lab):
    first, _ = pair(lab)
    guardian = first.guardian
    first.stop()
    assert until(lambda: not os.path.exists(f"/proc/{guardian}"))


@pytest.mark.parametrize(("pause", "interval"), [(0.5, 1.2), (0.5, 0.1), (2.0, 0.2), (10.0, 0.1)])
def test_a_stopped_worker_never_puts_the_address_back_while_the_peer_is_master(lab, pause, interval):
    first = lab.agent(1, 200, preempt=False, interval=interval)
    assert lab.wait_owner(1, timeout=30)
    second = lab.agent(2, 100, preempt=False, interval=interval)
    assert until(lambda: second.state() == "Backup")
    monitor = lab.monitor(1)
    first.send(signal.SIGSTOP)
    time.sleep(pause)
    taken_over = pause > 4 * interval  # the peer's master-down time
    if pause > 1:
        assert lab.wait_owner(2), "the lease ended, the peer took over"
    mark = len(monitor.log.read_text())
    first.send(signal.SIGCONT)
    time.sleep(0.6)
    after = [x for x in monitor.log.read_text()[mark:].splitlines() if VIP in x and not x.startswith("Deleted")]
    if taken_over:
        assert after == [], "not even for one netlink message"
        assert lab.wait_owner(2) and until(lambda: first.state() == "Backup")
        first.stop()
        assert first.status()["gaps"] == 1
    else:
        assert lab.owners() == [1] and second.states() == ["Backup"], "shorter than three intervals: nothing happens"


@pytest.mark.parametrize("event", ["stop", "kill", "priority", "both killed"])
def test_a_client_without_a_memory_never_finds_two_owners(lab, event):
    """But for a host without worker and guardian: until its lease ends, and no longer."""
    first, _ = pair(lab)
    command = [sys.executable, str(Path(__file__).with_name("arp_probe.py")), "eth0", VIP, "3.5"]
    client = subprocess.Popen(["ip", "netns", "exec", lab.spaces[2], *command], stdout=subprocess.PIPE, text=True)
    time.sleep(0.8)
    if event == "stop":
        first.stop()
    elif event == "priority":
        router = {"name": "a", "interface": "eth0", "vrid": 51, "addresses": [f"{VIP}/24"], "interval": 0.1}
        first.reload([router | {"priority": 50, "garp_delay": 0}])
    else:
        if event == "both killed":
            os.kill(first.guardian, signal.SIGKILL)
        first.kill()
    seen = json.loads(client.communicate(timeout=20)[0])
    assert lab.owners() == [2]
    assert seen["asked"] > 50 and seen["answered"] > seen["asked"] // 2
    if event == "both killed":
        assert 0 < seen["double"] * 0.005 < 1.5, "from the takeover to the end of the lease of 1 s"
    else:
        assert seen["double"] == 0


def test_link_down_and_up(lab):
    first, _ = pair(lab)
    lab.link(1, False)
    assert lab.wait_owner(2)
    assert until(lambda: first.state() == "Fault")
    lab.link(1, True)
    assert lab.wait_owner(1)


def test_interface_deleted_renamed_and_created_again(tmp_path):
    lab = Lab(tmp_path, 1, tag="kr")  # of its own: it takes the interface apart
    try:
        rename_delete_create(lab)
    finally:
        lab.close()


def rename_delete_create(lab):
    first = lab.agent(1, 200)
    assert lab.wait_owner(1)
    space = lab.spaces[0]
    sh("ip", "-n", space, "link", "set", "eth0", "down")
    sh("ip", "-n", space, "link", "set", "eth0", "name", "other")
    sh("ip", "-n", space, "link", "set", "other", "up")
    there = ("ip", "-n", space, "-o", "addr", "show", "dev", "other")
    assert until(lambda: f" {VIP}/" in sh(*there)), "followed by its index"
    sh("ip", "-n", space, "link", "set", "other", "down")
    sh("ip", "-n", space, "link", "set", "other", "name", "eth0")
    sh("ip", "-n", space, "link", "del", "eth0")
    assert until(lambda: first.state() == "Fault")
    sh("ip", "link", "add", f"{lab.tag}v1", "type", "veth", "peer", "name", "eth0", "netns", space)
    sh("ip", "link", "set", f"{lab.tag}v1", "master", lab.bridge, "up")
    sh("ip", "-n", space, "link", "set", "eth0", "up")
    sh("ip", "-n", space, "addr", "add", "10.77.0.1/24", "dev", "eth0")
    sh("ip", "-n", space, "addr", "add", "fd77::1/64", "dev", "eth0", "nodad")
    sh("ip", "-n", space, "addr", "add", "fe80::7:1/64", "dev", "eth0", "nodad")
    assert lab.wait_owner(1)


def test_three_routers_and_two_virtual_routers_in_opposite_directions(lab):
    agents = [lab.agent(n, 50 * n) for n in (1, 2, 3)]
    assert lab.wait_owner(3)
    agents[2].kill()
    os.kill(agents[2].guardian, signal.SIGKILL) if os.path.exists(f"/proc/{agents[2].guardian}") else None
    assert lab.wait_owner(2)
    agents[1].stop()
    assert lab.wait_owner(1)
    lab.reset()
    for n, (one, two) in ((1, (200, 100)), (2, (100, 200))):
        lab.agents(
            n,
            [
                {
                    "name": "a",
                    "interface": "eth0",
                    "vrid": 1,
                    "addresses": [f"{VIP}/24"],
                    "priority": one,
                    "interval": 0.1,
                },
                {
                    "name": "b",
                    "interface": "eth0",
                    "vrid": 2,
                    "addresses": ["10.77.0.101/24"],
                    "priority": two,
                    "interval": 0.1,
                },
            ],
        )
    assert lab.wait_owner(1) and lab.wait_owner(2, "10.77.0.101")
    lab.processes[0].stop()
    assert lab.wait_owner(2) and lab.wait_owner(2, "10.77.0.101")


def test_ipv6(lab):
    addresses = [f"{a}/64" for a in VIP6]
    first = lab.agent(1, 200, addresses=addresses)
    lab.agent(2, 100, addresses=addresses)
    assert all(lab.wait_owner(1, a) for a in VIP6)
    shown = sh("ip", "-n", lab.spaces[0], "addr", "show", "dev", "eth0")
    assert "tentative" not in shown and "nodad" in shown
    sh("ip", "netns", "exec", lab.spaces[2], "ping", "-6", "-c", "1", "-W", "2", VIP6[1])
    first.kill()
    assert all(lab.wait_owner(2, a) for a in VIP6)


def test_unicast_peers(lab):
    first = lab.agent(1, 200, peers=["10.77.0.2"], check_peers=True)
    second = lab.agent(2, 100, peers=["10.77.0.1"], check_peers=True)
    assert lab.wait_owner(1)
    first.stop()
    assert lab.wait_owner(2)
    second.stop()
    assert second.status()["adverts_received"] >= 2


def test_an_address_that_somebody_deletes_comes_back_three_times_and_then_there_is_a_fight(lab):
    first = lab.agent(1, 200, hold_time=60)
    assert lab.wait_owner(1)
    for _ in range(3):
        sh("ip", "-n", lab.spaces[0], "addr", "del", f"{VIP}/24", "dev", "eth0")
        assert lab.wait_owner(1)
    sh("ip", "-n", lab.spaces[0], "addr", "del", f"{VIP}/24", "dev", "eth0")
    assert until(lambda: first.state() == "Fault")
    assert lab.owners() == []
    first.stop()
    assert first.status()["addresses_repaired"] == 3
    removed = [x for x in first.lines() if x[0] == "REMOVED"]
    assert len(removed) == 4 and all(x[2] == "a" and x[3]["port"] > 0 for x in removed), "and who it was"


def test_who_deletes_an_address_is_named(lab):
    """A process that goes on living, as a network manager does."""
    first = lab.agent(1, 200)
    assert lab.wait_owner(1)
    batch = subprocess.Popen(
        ["ip", "-n", lab.spaces[0], "-batch", "-"], stdin=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
    )
    batch.stdin.write(f"addr del {VIP}/24 dev eth0\n")
    batch.stdin.flush()
    assert until(lambda: any(x[0] == "REMOVED" for x in first.lines()))
    batch.stdin.close()
    assert batch.wait(5) == 0
    assert next(x[3] for x in first.lines() if x[0] == "REMOVED") == {"port": batch.pid, "process": "ip"}
    assert lab.wait_owner(1)


def test_an_address_that_was_there_before_is_not_ours_to_remove(lab):
    sh("ip", "-n", lab.spaces[0], "addr", "add", f"{VIP}/24", "dev", "eth0")
    first = lab.agent(1, 200)
    assert until(lambda: first.state() == "Master")
    first.stop()
    assert lab.owners() == [1]


@pytest.mark.parametrize("lease", [True, False])
def test_an_address_of_ours_that_somebody_changes_is_ours_nevertheless(lab, lease):
    first = lab.agent(1, 200, lease=lease)
    assert lab.wait_owner(1)
    replace = ("ip", "-n", lab.spaces[0], "addr", "replace", f"{VIP}/24", "dev", "eth0")
    sh(*replace, "valid_lft", "3000", "preferred_lft", "3000")

    def mended():
        shown = sh("ip", "-n", lab.spaces[0], "-o", "addr", "show", "dev", "eth0").splitlines()
        line = next((x for x in shown if f" {VIP}/" in x), "")
        return line and "00sec" not in line and "99sec" not in line and ("forever" in line) != lease

    assert until(mended), sh("ip", "-n", lab.spaces[0], "addr")
    sh(*replace)
    first.stop()
    assert lab.owners() == [] and first.states() == ["Backup", "Master", "Initialize"]


def test_a_start_removes_what_a_dead_life_left(lab):
    first = lab.agent(1, 200, lease=False)
    assert lab.wait_owner(1)
    os.kill(first.guardian, signal.SIGKILL)
    first.kill()
    assert lab.owners() == [1], "no lease, no guardian: left behind"
    lab.agent(2, 250)
    assert until(lambda: lab.holds(2))
    lab.agent(1, 200)
    assert lab.wait_owner(2)


def test_other_addresses_stay(lab):
    space = lab.spaces[0]
    sh("ip", "-n", space, "addr", "add", "10.77.0.55/32", "dev", "eth0")
    first, _ = pair(lab)
    sh("ip", "-n", space, "addr", "add", "10.77.0.56/32", "dev", "eth0")
    first.stop()
    assert lab.holds(1, "10.77.0.55") and lab.holds(1, "10.77.0.56") and lab.holds(1, "10.77.0.1")


def test_a_hung_owner_resigns(lab):
    """The agent never touches its heartbeat."""
    lab.agent(2, 100)
    first = lab.agent(1, 200, host={"hang_timeout": 1.0})
    assert until(lambda: "Master" in first.states())
    assert until(lambda: first.state() == "Fault")
    assert lab.wait_owner(2)


def test_an_interface_that_comes_later(lab):
    agent = lab.agent(1, 200, interface="late0", source="10.78.0.1")
    assert until(lambda: agent.state() == "Fault")
    sh("ip", "-n", lab.spaces[0], "link", "add", "late0", "type", "veth", "peer", "name", "late1")
    sh("ip", "-n", lab.spaces[0], "link", "set", "late1", "up")
    sh("ip", "-n", lab.spaces[0], "link", "set", "late0", "up")
    assert until(lambda: agent.state() == "Master")
    sh("ip", "-n", lab.spaces[0], "link", "del", "late0")
    assert until(lambda: agent.state() == "Fault")


def test_gratuitous_arp_moves_the_neighbour_entry(lab):
    first, _ = pair(lab)
    client = lab.spaces[2]
    sh("ip", "netns", "exec", client, "ping", "-c", "1", "-W", "2", VIP)
    before = sh("ip", "-n", client, "neigh", "show", VIP)
    first.stop()
    assert lab.wait_owner(2)
    assert until(lambda: sh("ip", "-n", client, "neigh", "show", VIP).split()[4] != before.split()[4], 2)


@pytest.mark.parametrize("count", [60])
def test_many_virtual_routers_take_over_together(lab, count):
    def routers(priority):
        return [
            {
                "name": f"r{i}",
                "interface": "eth0",
                "vrid": i,
                "addresses": [f"10.77.1.{i}/32"],
                "priority": priority,
                "interval": 0.3,
                "garp_delay": 0,
            }
            for i in range(1, count + 1)
        ]

    def held(n):
        shown = sh("ip", "-n", lab.spaces[n - 1], "-o", "addr", "show", "dev", "eth0")
        return sum(f" 10.77.1.{i}/" in shown for i in range(1, count + 1))

    first = lab.agents(1, routers(200))
    assert until(lambda: held(1) == count)
    lab.agents(2, routers(100))
    time.sleep(1.5)
    assert (held(1), held(2)) == (count, 0), "stable"
    first.kill()
    assert until(lambda: (held(1), held(2)) == (0, count), 15)


FORKS = """
import os, sys, time
from libvrrp.config import Address, Config, Router
from libvrrp.errors import VrrpError
from libvrrp.host import Host

with Host(Config((Router("a", "eth0", 51, (Address("10.77.0.100/24"),), interval=0.1),))) as host:
    while host.state("a") != "Master":
        time.sleep(0.01)
    if os.fork() == 0:
        try:
            host.set_priority("a", 9)
        except VrrpError:
            pass
        try:
            host.status()
        except VrrpError:
            sys.exit(0)         # runs atexit and every destructor of the child
        os._exit(1)
    print("child", os.wait()[1], flush=True)
    time.sleep(0.5)
    print("guardian", os.path.exists(f"/proc/{host.status()['guardian']}"), host.state("a"), flush=True)
    time.sleep(30)
"""


def test_a_fork_of_the_application_changes_nothing(lab):
    process = Process(lab, lab.spaces[0], [sys.executable, "-c", FORKS], "forks")
    lab.processes.append(process)
    assert until(lambda: "guardian" in process.log.read_text())
    assert process.log.read_text().splitlines() == ["child 0", "guardian True Master"]
    assert lab.owners() == [1]


def test_without_capabilities_the_missing_ones_are_named():
    code = (
        "from libvrrp.config import Config\nfrom libvrrp.errors import CapabilityError\nfrom libvrrp.host import Host\n"
        "try:\n    Host(Config())\nexcept CapabilityError as error:\n    print(error)"
    )
    command = ["setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-all", sys.executable, "-c", code]
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=20, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert shown.stdout.startswith("CAP_NET_ADMIN and CAP_NET_RAW missing"), shown.stderr
    assert "libvrrp.testing" in shown.stdout


def routers_of(*vrids, **settings):
    return [
        {"name": f"r{v}", "interface": "eth0", "vrid": v, "addresses": [f"10.77.2.{v}/32"], "interval": 0.1} | settings
        for v in vrids
    ]


def test_reload_keeps_the_masters_that_stay(lab):
    agent = lab.agents(1, routers_of(1, 2))
    assert lab.wait_owner(1, "10.77.2.1") and lab.wait_owner(1, "10.77.2.2")
    guardian = agent.guardian
    monitor = lab.monitor(1)
    agent.reload([*routers_of(1, priority=150), *routers_of(3)])
    assert lab.wait_owner(1, "10.77.2.3") and lab.owners("10.77.2.2") == [] and lab.owners("10.77.2.1") == [1]
    assert [x for x in monitor.log.read_text().splitlines() if x.startswith("Deleted") and "10.77.2.1/" in x] == []
    assert agent.states("r1") == ["Backup", "Master"], "it never left"
    assert agent.states("r2") == ["Backup", "Master", "Initialize"]
    assert until(lambda: not os.path.exists(f"/proc/{guardian}")), "another guardian knows the new routers"
    changed = routers_of(1, lease=False)
    changed[0]["addresses"] = ["10.77.2.101/32"]
    agent.reload(changed)
    assert lab.wait_owner(1, "10.77.2.101")
    assert [lab.owners(f"10.77.2.{v}") for v in (1, 2, 3)] == [[], [], []]
    assert agent.states("r1") == ["Backup", "Master"]
    agent.kill()
    assert until(lambda: lab.owners("10.77.2.101") == []), "the new guardian"


def test_a_reload_that_is_wrong_changes_nothing(lab):
    agent = lab.agent(1, 100)
    assert lab.wait_owner(1)
    assert agent.reload(routers_of(1, vrid=300)) == ["REFUSED", "router r1: vrid: 1 to 255"]
    assert agent.reload(routers_of(1, interface="a-name-that-is-too-long"))[0] == "REFUSED"
    assert "exists" in agent.reload(routers_of(1, use_vmac=True, vmac_name="lo"))[1]
    assert lab.owners() == [1] and agent.states() == ["Backup", "Master"]


def test_another_claimant_of_the_address_is_a_conflict(lab):
    """Somebody adds the address elsewhere and announces it: the master sees the ARP, says so, and repeats its own."""
    agent = lab.agent(1, 100)
    assert lab.wait_owner(1)
    client = lab.spaces[1]
    code = (
        "import socket, sys\nfrom libvrrp.packet import gratuitous_arp\n"
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('eth0', 0))\n"
        f"s.send(gratuitous_arp(bytes.fromhex('020000000009'), '{VIP}'))"
    )
    sender = Process(lab, client, [sys.executable, "-c", code], "claimant")
    sender.process.wait(10)
    assert until(lambda: any(x[0] == "CONFLICT" for x in agent.lines()))
    agent.stop()
    assert agent.status()["conflicts"] == 1 and agent.states() == ["Backup", "Master", "Initialize"]


def test_another_claimant_over_ipv6(lab):
    addresses = [f"{a}/64" for a in VIP6]
    agent = lab.agent(1, 100, addresses=addresses)
    assert lab.wait_owner(1, VIP6[1])
    code = (
        "import socket, sys\nfrom libvrrp.packet import neighbour_advertisement\n"
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('eth0', 0))\n"
        f"s.send(neighbour_advertisement(bytes.fromhex('020000000009'), '{VIP6[1]}'))"
    )
    Process(lab, lab.spaces[1], [sys.executable, "-c", code], "claimant6").process.wait(10)
    assert until(lambda: any(x[0] == "CONFLICT" for x in agent.lines()))


def test_the_documentations_first_program_works(lab):
    text = (ROOT / "docs" / "libvrrp.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    assert len([x for x in code.splitlines() if x.strip()]) <= 20
    process = Process(lab, lab.spaces[0], [sys.executable, "-c", code], "docs")
    lab.processes.append(process)
    assert lab.wait_owner(1, "10.0.0.100")
    process.send(signal.SIGTERM)
    assert process.process.wait(8) == 0
    assert lab.owners("10.0.0.100") == []
    assert "'new': 'Master'" in process.log.read_text()


def test_no_takeover_while_the_process_and_all_cores_are_busy(lab):
    """A process on each core, a looping thread and large dumps in the master's own process; 0.1 s adverts, and BFD with
    10 ms x 3."""
    seconds = 60 if os.environ.get("LONG") == "1" else 6

    def session(n, other):
        addresses = {"neighbor": f"10.77.0.{other}", "source": f"10.77.0.{n}"}
        return [{"name": "s", "min_tx": 0.01, "min_rx": 0.01, "multiplier": 3} | addresses]

    def sessions(agent):
        return [x[3]["new"] for x in agent.lines() if x[0] == "BFD"]

    first = lab.agent(1, 200, host={"busy": True, "bfd": session(1, 2)})
    second = lab.agent(2, 100, host={"bfd": session(2, 1)})
    assert lab.wait_owner(1) and until(lambda: second.state() == "Backup")
    assert until(lambda: sessions(first)[-1:] == sessions(second)[-1:] == ["Up"])
    if not realtime(second):
        pytest.skip("missing CAP_SYS_NICE (SCHED_RR)")
    before = len(sessions(first)), len(sessions(second))
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(seconds)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert second.states() == ["Backup"] and first.states() == ["Backup", "Master"]
    assert lab.owners() == [1]
    assert (len(sessions(first)), len(sessions(second))) == before, "no false Down"


def realtime(agent):
    """Whether its thread got SCHED_RR."""
    return os.SCHED_RR in [os.sched_getscheduler(int(t)) for t in os.listdir(f"/proc/{agent.pid}/task")]


WRONG = """
import socket, struct, sys
from libvrrp.packet import Advert
whole = Advert(vrid=51, priority=200, addresses=["10.77.0.100"], source="10.77.0.2", interval_cs=10)
message = bytearray(whole.encode_message() + bytes(8))     # 20 bytes for one address
message[6:8] = bytes(2)
total = sum(struct.unpack("!10H", message))
message[6:8] = struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
ttl = Advert(vrid=51, priority=200, addresses=["10.77.0.100"], source="10.77.0.2", interval_cs=10, ttl=64)
other = Advert(vrid=52, priority=200, addresses=["10.77.0.100"], source="10.77.0.2", interval_cs=10)
long = bytearray(whole.encode()[:20]) + message
long[2:4] = struct.pack("!H", len(long))
bad = bytearray(whole.encode())
bad[-1] ^= 1
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
s.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.2"))
for data in (bytes(long), bytes(bad), ttl.encode(), other.encode()):
    s.sendto(data, ("224.0.0.18", 0))
"""


def test_wrong_packets_are_counted_named_and_change_nothing(lab):
    agent = lab.agent(1, 100)
    assert lab.wait_owner(1)
    sender = Process(lab, lab.spaces[1], [sys.executable, "-c", WRONG], "wrong")
    assert sender.process.wait(10) == 0, sender.log.read_text()
    assert until(lambda: any(x[0] == "REFUSED" for x in agent.lines()))
    agent.stop()
    whole = next(x[1] for x in agent.lines() if x[0] == "STATUS")
    assert whole["refused"] == {"vrrp.length": 1, "vrrp.checksum": 1} and whole["unknown_vrid"] == 1
    shown = whole["routers"]["a"]
    assert shown["dropped"] == {"TTL": 1} and shown["protocol_error"] == "TTL"
    assert shown["refused"] == {"vrrp.length": 1, "vrrp.checksum": 1}, "they name its VRID"
    assert [x[3]["field"] for x in agent.lines() if x[0] == "REFUSED"] == ["vrrp.length"], "one in ten seconds"
    assert agent.states() == ["Backup", "Master", "Initialize"]


ASYNC = """
import asyncio, sys, time
from libvrrp.config import Address, Config, Router
from libvrrp.host import Host

async def main():
    router = Router("a", "eth0", 51, (Address("10.77.0.100/24"),), interval=0.1, garp_delay=0)
    async with Host(Config((router,)), hang_timeout=1.0) as host:
        masters = 0
        async for notice in host.watch():
            print(notice.kind, notice.details.get("new"), notice.details.get("cause"), flush=True)
            if notice.details.get("new") == "Master":
                masters += 1
                await asyncio.sleep(1.5)                # the loop runs: the heartbeat goes on
                print("state", host.state("a"), flush=True)
                if masters == 2:
                    break
                time.sleep(1.5)                         # the loop hangs
                print("state", host.state("a"), flush=True)

asyncio.run(main())
"""


def test_asyncio_and_a_loop_that_hangs(lab):
    process = Process(lab, lab.spaces[0], [sys.executable, "-c", ASYNC], "async")
    lab.processes.append(process)
    assert process.process.wait(20) == 0, process.log.read_text()
    assert process.log.read_text().splitlines() == [
        "TRANSITION Backup STARTUP",
        "TRANSITION Master MASTER_DOWN",
        "state Master",
        "state Fault",
        "TRANSITION Fault FAULT",
        "TRANSITION Backup CLEAR",
        "TRANSITION Master MASTER_DOWN",
        "state Master",
    ]
    assert lab.owners() == []
