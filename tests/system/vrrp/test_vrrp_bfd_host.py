"""BFD for real: ours against ours, FRR's bfdd and keepalived, and what it does for a takeover."""

import json
import os
import shutil
import signal
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import VIP, Lab, Process, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")
needs_frr = pytest.mark.skipif(not os.path.exists("/usr/lib/frr/bfdd"), reason="missing bfdd (package frr)")
needs_keepalived = pytest.mark.skipif(not shutil.which("keepalived"), reason="missing keepalived (package keepalived)")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("bfd"), count=2, tag="kb")
    yield lab
    lab.close()


def session(n, other, **settings):
    """A session from the n-th namespace to another."""
    return {
        "name": "s",
        "neighbor": f"10.77.0.{other}",
        "source": f"10.77.0.{n}",
        "min_tx": 0.05,
        "min_rx": 0.05,
    } | settings


def bfd_state(agent):
    seen = [x[3]["new"] for x in agent.lines() if x[0] == "BFD"]
    return seen[-1] if seen else "Down"


def both(lab, **settings):
    first = lab.agent(1, 200, host={"bfd": [session(1, 2, **settings)]})
    second = lab.agent(2, 100, host={"bfd": [session(2, 1, **settings)]})
    assert lab.wait_owner(1)
    assert until(lambda: bfd_state(first) == bfd_state(second) == "Up")
    return first, second


def test_the_masters_death_is_noticed_by_bfd_long_before_the_adverts_are_missed(lab):
    settings = {"version": 3, "interval": 3.0, "lease": True}
    host = {"guardian": False}
    first = lab.agent(1, 255, host=host | {"bfd": [session(1, 2)]}, **settings)
    second = lab.agent(2, 100, host=host | {"bfd": [session(2, 1)]}, **settings)
    assert until(lambda: bfd_state(second) == "Up" and second.state() == "Backup" and lab.holds(1))
    time.sleep(3.2)
    first.kill()
    assert until(lambda: second.state() == "Master", 20)
    down = next(x[1] for x in second.lines() if x[0] == "BFD" and x[3]["new"] == "Down")
    master = next(x[1] for x in second.lines() if x[0] == "TRANSITION" and x[3]["new"] == "Master")
    assert master - down < 5e9, "a skew time of 1.8 s, not the 7.8 s and more of the master-down time"


def test_a_graceful_stop_is_admin_down(lab):
    first, second = both(lab)
    first.stop()
    assert until(lambda: bfd_state(second) == "Down")
    second.stop()
    down = [x for x in second.lines() if x[0] == "BFD"][-1 - (bfd_state(second) == "AdminDown")]
    assert down[3]["diagnostic"] == 3


def test_a_tracker_follows_the_session(lab):
    trackers = {"trackers": [{"name": "t", "kind": "bfd", "initial": False}]}
    router = {"tracks": [{"tracker": "t", "weight": 60}]}
    first = lab.agent(1, 120, host={"bfd": [session(1, 2)]})
    lab.agent(2, 100, host={"bfd": [session(2, 1, tracker="t")]} | trackers, **router)
    assert lab.wait_owner(2), "100 + 60 while the session is up"
    first.stop()
    again = lab.agent(1, 120)
    assert lab.wait_owner(1), "100 once it is down"
    assert again.state() == "Master"


def test_a_session_goes_on_over_a_reload(lab):
    first, second = both(lab)
    router = {"name": "a", "interface": "eth0", "vrid": 51, "addresses": [f"{VIP}/24"], "interval": 0.1}
    first.reload([router | {"priority": 210}])
    time.sleep(0.5)
    assert bfd_state(first) == bfd_state(second) == "Up"
    assert [x[3]["new"] for x in second.lines() if x[0] == "BFD"].count("Down") == 0


def test_multihop_and_ipv6(lab):
    first, second = both(lab, multihop=True, min_ttl=250)
    first.stop()
    second.stop()
    lab.reset()
    for n, other in ((1, 2), (2, 1)):
        lab.agent(n, 100 * n, host={"bfd": [session(n, other, neighbor=f"fd77::{other}", source=f"fd77::{n}")]})
    assert until(lambda: all(bfd_state(p) == "Up" for p in lab.processes))


@needs_frr
def test_frrs_bfdd(lab):
    path = lab.path / "bfdd"
    path.mkdir(exist_ok=True)
    for part in (path, *path.parents):
        if part == lab.path.parents[2]:
            break
        part.chmod(0o777)
    shutil.chown(path, "frr", "frr")
    conf = path / "frr.conf"
    conf.write_text("bfd\n peer 10.77.0.2\n  receive-interval 50\n  transmit-interval 50\n  detect-multiplier 3\n")
    for name, config in (("zebra", "/dev/null"), ("bfdd", str(conf))):
        command = [
            f"/usr/lib/frr/{name}",
            "-i",
            f"{path}/{name}.pid",
            "-z",
            f"{path}/zserv.api",
            "--vty_socket",
            str(path),
        ]
        command += ["-f", config] + (["--bfdctl", f"{path}/bfdd.sock"] if name == "bfdd" else [])
        lab.processes.append(Process(lab, lab.spaces[0], command, name))
        until(lambda vty=path / f"{name}.vty": vty.exists())

    def theirs():
        shown = sh("vtysh", "--vty_socket", str(path), "-c", "show bfd peers json", check=False)
        try:
            return json.loads(shown)[0]
        except (ValueError, LookupError):
            return {}

    ours = lab.agent(2, 100, host={"bfd": [session(2, 1)]})
    assert until(lambda: bfd_state(ours) == "Up" and theirs().get("status") == "up"), theirs()
    lab.processes[1].send(signal.SIGKILL)
    assert until(lambda: bfd_state(ours) == "Down")
    assert [x for x in ours.lines() if x[0] == "BFD"][-1][3]["diagnostic"] == 1


@needs_keepalived
def test_keepaliveds_bfd(lab):
    conf = lab.path / "kbfd.conf"
    conf.write_text(
        "bfd_instance s {\n neighbor_ip 10.77.0.2\n source_ip 10.77.0.1\n min_rx 50\n min_tx 50\n multiplier 3\n}\n"
        "vrrp_instance V {\n state BACKUP\n interface eth0\n virtual_router_id 9\n priority 100\n"
        " virtual_ipaddress {\n 10.77.0.99/24\n }\n track_bfd {\n s\n }\n}\n"
    )
    run = [str(lab.path / f"kb.{x}") for x in ("pid", "vrrp", "check", "bfd")]
    command = ["keepalived", "-n", "-l", "-D", "-f", str(conf), "-p", run[0], "-r", run[1], "-c", run[2], "-b", run[3]]
    theirs = Process(lab, lab.spaces[0], command, "keepalived-bfd")
    lab.processes.append(theirs)
    ours = lab.agent(2, 100, host={"bfd": [session(2, 1)]})
    assert until(lambda: bfd_state(ours) == "Up"), theirs.log.read_text()
    assert until(lambda: lab.holds(1, "10.77.0.99")), "keepalived's router is not in Fault: it sees us"
    ours.kill()
    assert until(lambda: not lab.holds(1, "10.77.0.99")), "and now it is"
