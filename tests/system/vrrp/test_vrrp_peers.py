"""Our routers beside keepalived's and FRR's, in both roles."""

import json
import os
import shutil
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import VIP, VIP6, Lab, Process, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")
needs_keepalived = pytest.mark.skipif(not shutil.which("keepalived"), reason="missing keepalived (package keepalived)")
needs_frr = pytest.mark.skipif(not os.path.exists("/usr/lib/frr/vrrpd"), reason="missing vrrpd (package frr)")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("peers"), count=2, tag="kp")
    yield lab
    lab.close()


V4 = f"virtual_ipaddress {{\n {VIP}/24\n}}"
V6 = "virtual_ipaddress {\n" + "".join(f" {a}/64\n" for a in VIP6) + "}"
PASS = "authentication {\n auth_type PASS\n auth_pass s3cret\n}"
AH = "authentication {\n auth_type AH\n auth_pass s3cret\n}"
V3 = "version 3\nadvert_int 0.1"

KINDS = {
    "v2": (f"version 2\nadvert_int 1\n{V4}", {"version": 2, "interval": 1.0}),
    "v2-PASS": (
        f"version 2\nadvert_int 1\n{PASS}\n{V4}",
        {"version": 2, "interval": 1.0, "auth_type": "PASS", "auth_pass": "s3cret"},
    ),
    "v2-AH": (
        f"version 2\nadvert_int 1\n{AH}\n{V4}",
        {"version": 2, "interval": 1.0, "auth_type": "AH", "auth_pass": "s3cret"},
    ),
    "v3": (f"{V3}\n{V4}", {}),
    "v3-unicast": (
        V3
        + "\nunicast_src_ip 10.77.0.{kn}\nunicast_peer {{\n 10.77.0.{on}\n}}\n"
        + V4.replace("{", "{{").replace("}", "}}"),
        {"peers": ["10.77.0.{kn}"], "check_peers": True},
    ),
    "v3-ipv6": (f"{V3}\n{V6}", {"addresses": [f"{a}/64" for a in VIP6]}),
}


def prepared(kind, ours, theirs):
    body, settings = KINDS[kind]
    if kind == "v3-unicast":
        body = body.format(kn=theirs, on=ours)
        settings = settings | {"peers": [f"10.77.0.{theirs}"]}
    return body, settings


@pytest.mark.parametrize("kind", KINDS)
def test_ours_against_ours(lab, kind):
    address = VIP6[1] if kind == "v3-ipv6" else VIP
    first = lab.agent(1, 200, **prepared(kind, 1, 2)[1])
    assert lab.wait_owner(1, address)
    second = lab.agent(2, 100, **prepared(kind, 2, 1)[1])
    assert not until(lambda: second.state() == "Master", 2.5 if "v2" in kind else 1.2)
    first.kill()
    assert lab.wait_owner(2, address)
    second.stop()
    status = second.status()
    assert status["adverts_received"] >= 2 and status["priority_zero_received"] == 1
    assert set(status["dropped"]) <= {"router stopped or faulty"}


@needs_keepalived
@pytest.mark.parametrize("kind", KINDS)
def test_ours_is_master_and_keepalived_takes_over(lab, kind):
    body, settings = prepared(kind, 1, 2)
    address = VIP6[1] if kind == "v3-ipv6" else VIP
    ours = lab.agent(1, 200, **settings)
    assert lab.wait_owner(1, address)
    lab.keepalived(2, body, priority=100)
    assert not until(lambda: lab.owners(address) != [1], 2.5 if "v2" in kind else 1.2), (
        "keepalived believes our adverts"
    )
    ours.stop()
    assert lab.wait_owner(2, address), "a graceful stop"
    assert set(ours.status()["dropped"]) <= {"router stopped or faulty"} and ours.status()["conflicts"] == 0


@needs_keepalived
@pytest.mark.parametrize("kind", KINDS)
def test_keepalived_is_master_and_ours_takes_over(lab, kind):
    body, settings = prepared(kind, 2, 1)
    address = VIP6[1] if kind == "v3-ipv6" else VIP
    theirs = lab.keepalived(1, body, priority=200)
    assert until(lambda: lab.owners(address) == [1])
    ours = lab.agent(2, 100, **settings)
    assert not until(lambda: lab.owners(address) != [1], 2.5 if "v2" in kind else 1.2), (
        "we believe keepalived's adverts"
    )
    theirs.stop()
    assert lab.wait_owner(2, address)
    ours.stop()
    status = ours.status()
    assert status["priority_zero_received"] >= 1 and status["adverts_received"] >= 2
    assert set(status["dropped"]) <= {"router stopped or faulty"}, "every one of keepalived's adverts is believed"


@needs_keepalived
def test_a_higher_router_of_ours_preempts_keepalived(lab):
    lab.keepalived(1, KINDS["v3"][0], priority=100)
    assert until(lambda: lab.owners() == [1])
    ours = lab.agent(2, 200)
    assert lab.wait_owner(2)
    lab.processes[0].stop()
    assert ours.state() == "Master"


@needs_keepalived
def test_a_higher_keepalived_preempts_us(lab):
    ours = lab.agent(1, 100)
    assert lab.wait_owner(1)
    lab.keepalived(2, KINDS["v3"][0], priority=200)
    assert lab.wait_owner(2)
    assert until(lambda: ours.state() == "Backup")


@needs_keepalived
def test_our_worker_killed_beside_keepalived(lab):
    ours = lab.agent(1, 200, **KINDS["v2"][1])
    assert lab.wait_owner(1)
    peer = lab.keepalived(2, KINDS["v2"][0], priority=100)
    until(lambda: False, 2.0)
    ours.kill()
    assert until(lambda: lab.owners() == [2])
    assert "priority 0" in peer.log.read_text(), "the guardian's, believed by keepalived"


@needs_keepalived
@pytest.mark.parametrize("ours_first", [True, False])
def test_virtual_macs_of_both(lab, ours_first):
    """keepalived with use_vmac and ours with use_vmac hand the address to each other."""
    body = f"{V3}\nuse_vmac\n{V4}"

    def held(n):
        return f" {VIP}/" in sh("ip", "-n", lab.spaces[n - 1], "-o", "addr", "show")

    if ours_first:
        first = lab.agent(1, 200, use_vmac=True)
        assert until(lambda: held(1))
        lab.keepalived(2, body, priority=100)
    else:
        first = lab.keepalived(1, body, priority=200)
        assert until(lambda: held(1))
        second = lab.agent(2, 100, use_vmac=True)
    assert not until(lambda: held(2), 2.0)
    first.stop()
    assert until(lambda: held(2) and not held(1))
    if not ours_first:
        second.stop()
        status = second.status()
        assert set(status["dropped"]) <= {"router stopped or faulty"} and status["adverts_received"] >= 5


FRR_KINDS = {
    "v2": {"addresses": [VIP], "settings": {"version": 2, "interval": 1.0}},
    "v3": {"addresses": [VIP], "settings": {}},
    "v3-ipv6": {"addresses": VIP6, "settings": {"addresses": [f"{a}/64" for a in VIP6]}},
}


class Frr:
    """zebra and vrrpd with one virtual router, in the first namespace of a lab.  kind: "v2", "v3" or "v3-ipv6"."""

    def __init__(self, lab, priority, kind):
        self.lab, self.space, self.kind = lab, lab.spaces[0], kind
        self.path = lab.path / f"frr-{kind}-{priority}"
        self.path.mkdir(exist_ok=True)
        conf = self.path / "frr.conf"
        conf.write_text(
            f"interface eth0\n vrrp 51 version {kind[1]}\n vrrp 51 priority {priority}\n"
            f" vrrp 51 advertisement-interval {1000 if kind == 'v2' else 100}\n"
            + "".join(f" vrrp 51 {'ipv6' if kind == 'v3-ipv6' else 'ip'} {a}\n" for a in FRR_KINDS[kind]["addresses"])
        )
        for part in (self.path, *self.path.parents):
            if part == lab.path.parents[2]:
                break
            part.chmod(0o777)
        shutil.chown(self.path, "frr", "frr")
        ip = ("ip", "-n", self.space)
        self.device, mac = ("vrrp6-51", "02:33") if kind == "v3-ipv6" else ("vrrp4-51", "01:33")
        sh(*ip, "link", "add", self.device, "link", "eth0", "type", "macvlan", "mode", "bridge")
        sh(*ip, "link", "set", self.device, "address", f"00:00:5e:00:{mac}")
        sh(*ip, "link", "set", self.device, "addrgenmode", "none")
        for address in FRR_KINDS[kind]["addresses"]:
            length = ("/64", "nodad") if kind == "v3-ipv6" else ("/24",)
            sh(*ip, "addr", "add", f"{address}{length[0]}", "dev", self.device, *length[1:])
        sh(*ip, "link", "set", self.device, "up")
        self.processes = []
        for name, config in (("zebra", "/dev/null"), ("vrrpd", str(conf))):
            command = [f"/usr/lib/frr/{name}", "-i", f"{self.path}/{name}.pid", "-z", f"{self.path}/zserv.api"]
            command += ["--vty_socket", str(self.path), "-f", config]
            self.processes.append(Process(lab, self.space, command, f"{name}-{len(lab.processes)}"))
            lab.processes.append(self.processes[-1])
            until(lambda vty=self.path / f"{name}.vty": vty.exists())

    def shown(self):
        text = sh("vtysh", "--vty_socket", str(self.path), "-c", "show vrrp json", check=False)
        try:
            return json.loads(text)[0]["v6" if self.kind == "v3-ipv6" else "v4"]
        except (ValueError, LookupError):
            return {}

    def state(self):
        return self.shown().get("status")

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        sh("ip", "-n", self.space, "link", "del", self.device, check=False)


@pytest.fixture
def frr(lab):
    running = []

    def start(priority, kind):
        running.append(Frr(lab, priority, kind))
        return running[0]

    yield start
    for one in running:
        one.close()


@needs_frr
@pytest.mark.parametrize("kind", FRR_KINDS)
def test_frr_is_master_and_ours_takes_over(lab, frr, kind):
    theirs = frr(200, kind)
    assert until(lambda: theirs.state() == "Master"), theirs.shown()
    ours = lab.agent(2, 100, **FRR_KINDS[kind]["settings"])
    assert not until(lambda: ours.state() == "Master", 4.5 if kind == "v2" else 1.5)
    theirs.processes[1].send(signal.SIGTERM)
    assert until(lambda: ours.state() == "Master")
    ours.stop()
    assert ours.status()["adverts_received"] > (3 if kind == "v2" else 10)
    assert set(ours.status()["dropped"]) <= {"router stopped or faulty"}


@needs_frr
@pytest.mark.parametrize("kind", FRR_KINDS)
def test_ours_is_master_and_frr_takes_over(lab, frr, kind):
    ours = lab.agent(2, 200, **FRR_KINDS[kind]["settings"])
    assert until(lambda: ours.state() == "Master")
    theirs = frr(100, kind)
    assert until(lambda: theirs.state() == "Backup"), theirs.shown()
    assert not until(lambda: theirs.state() == "Master", 4.5 if kind == "v2" else 1.5), "FRR believes our adverts"
    ours.stop()
    assert until(lambda: theirs.state() == "Master")
    assert ours.status()["conflicts"] <= 1


FRAMES = """
import select, socket, time
from libvrrp.packet import Advert
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 3))
sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.2"))

def listen(seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not select.select([s], [], [], left)[0]:
            return
        frame = s.recv(2048)
        if frame[12:14] == b"\\x08\\x00" and frame[23] == 112:
            print("advert", frame[29], frame[36], flush=True)
        elif frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42] == socket.inet_aton("10.77.0.100"):
            print("arp", frame[22:42].hex(), flush=True)

print("ready", flush=True)
while (frame := s.recv(2048))[12:14] != b"\\x08\\x00" or frame[23] != 112:
    pass
print("advert", frame[29], frame[36], flush=True)
listen(1.5)
for priority in (50, 200):
    advert = Advert(vrid=51, priority=priority, addresses=["10.77.0.100"], source="10.77.0.2", interval_cs=100)
    sender.sendto(advert.encode(), ("224.0.0.18", 0))
    listen(2.5)
print("end", flush=True)
"""


@needs_keepalived
def test_the_same_frames_as_keepalived_when_others_act_as_master(lab):
    """A master hears a lower advert, answers and announces at once and after a delay; then a higher one, and yields."""

    def seen(start):
        listener = Process(lab, lab.spaces[1], [sys.executable, "-c", FRAMES], f"frames{len(lab.processes)}")
        lab.processes.append(listener)
        assert until(lambda: "ready" in listener.log.read_text())
        start()
        assert until(lambda: "end" in listener.log.read_text(), 40)
        lab.reset()
        lines = [x.split() for x in listener.log.read_text().splitlines()]
        frames = [[x[0], x[1][12:]] if x[0] == "arp" else x for x in lines]  # the MAC is the namespace's
        # Its regular adverts are left out: one counts where it is the answer to another's.
        own = ["advert", "1", "100"]
        return [x for i, x in enumerate(frames) if x != own or frames[i - 1][:2] == ["advert", "2"]]

    body = (
        " version 3\n advert_int 1\n higher_prio_send_advert\n garp_lower_prio_repeat 2\n garp_lower_prio_delay 1\n"
        f" garp_master_delay 0\n virtual_ipaddress {{\n {VIP}/24\n }}"
    )
    theirs = seen(lambda: lab.keepalived(1, body, priority=100))
    settings = {"interval": 1.0, "answer_higher": True, "garp_lower_repeat": 2, "garp_lower_delay": 1}
    ours = seen(lambda: lab.agent(1, 100, **settings))
    assert theirs.count(["advert", "1", "100"]) == 2 and ["advert", "2", "50"] in theirs
    assert [x[0] for x in theirs].count("arp") == 5 + 2 + 2
    assert ours == theirs
