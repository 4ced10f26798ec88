"""Trackers that the host measures itself: a script, a file, a process, an interface."""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import ROOT, VIP, Lab, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("trackers"), count=1, tag="kt")
    yield lab
    lab.close()


def tracked(lab, weight=0, **tracker):
    return lab.agent(1, 100, tracks=[{"tracker": "t", "weight": weight}], host={"trackers": [{"name": "t"} | tracker]})


def test_a_script_decides(lab, tmp_path):
    good = tmp_path / "good"
    agent = tracked(lab, command=["test", "-e", str(good)], interval=0.05, initial=False, rise=2, fall=2)
    assert until(lambda: agent.state() == "Fault")
    good.touch()
    assert lab.wait_owner(1)
    good.unlink()
    assert until(lambda: agent.state() == "Fault") and lab.owners() == []
    assert agent.end()["tracker_errors"] == {}, "they end with the host"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["sh", "-c", f"sleep 77.{os.getpid()} & sleep 77.{os.getpid()}"], "timeout"),
        (["/nonexistent/check"], "No such file"),
        (["sh", "-c", "exit 3"], "exit status 3"),
    ],
)
def test_a_script_that_hangs_is_missing_or_fails_is_a_bad_result_with_a_reason(lab, tmp_path, command, error):
    code = (
        "import sys, time\nfrom libvrrp.config import Address, Config, Router, Track, Tracker\n"
        "from libvrrp.host import Host\n"
        f"tracker = Tracker('t', command={tuple(command)!r}, interval=0.2, timeout=0.1)\n"
        f"router = Router('a', 'eth0', 51, (Address('{VIP}/24'),), tracks=(Track('t'),))\n"
        "with Host(Config((router,), (), (tracker,))) as host:\n"
        "    end = time.monotonic() + 8\n"
        "    while not host.status()['tracker_errors'] and time.monotonic() < end:\n        time.sleep(0.01)\n"
        "    print(host.status()['tracker_errors'], host.state('a'))\n"
    )
    done = subprocess.run(
        ["ip", "netns", "exec", lab.spaces[0], sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert error in done.stdout and "Fault" in done.stdout, done
    left = subprocess.run(["pgrep", "-f", f"sleep 77.{os.getpid()}"], capture_output=True, text=True).stdout
    assert left == "", "what the script started was killed with it"


def test_a_files_number_is_added_to_the_priority(lab, tmp_path):
    number = tmp_path / "number"
    number.write_text("30\n")
    agent = tracked(lab, weight=2, kind="file", path=str(number), interval=0.05)
    assert lab.wait_owner(1)
    until(lambda: False, 0.3)
    assert agent.end()["routers"]["a"]["effective_priority"] == 160
    agent = tracked(lab, weight=2, kind="file", path=str(tmp_path / "none"), interval=0.05)
    assert lab.wait_owner(1)
    until(lambda: False, 0.3)
    assert agent.end()["routers"]["a"]["effective_priority"] == 100, "a missing file is 0"


def test_a_process_must_live(lab, tmp_path):
    program = tmp_path / "vrrp-tracked"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "100"])
    try:
        agent = tracked(lab, kind="process", process="vrrp-tracked", interval=0.05)
        assert lab.wait_owner(1)
    finally:
        child.kill()
    assert until(lambda: agent.state() == "Fault"), "a zombie is not alive"
    child.wait()


def test_an_interface_is_followed_at_once(lab):
    space = lab.spaces[0]
    agent = tracked(lab, kind="interface", interface="up0", initial=False)
    assert until(lambda: agent.state() == "Fault"), "it does not exist"
    sh("ip", "-n", space, "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    sh("ip", "-n", space, "link", "set", "up1", "up")
    sh("ip", "-n", space, "link", "set", "up0", "up")
    assert lab.wait_owner(1)
    sh("ip", "-n", space, "link", "set", "up0", "down")
    assert until(lambda: agent.state() == "Fault")
    sh("ip", "-n", space, "link", "set", "up0", "up")
    assert lab.wait_owner(1)
    sh("ip", "-n", space, "link", "del", "up0")
    assert until(lambda: agent.state() == "Fault")


def test_a_reload_exchanges_trackers(lab, tmp_path):
    """The reload of the agent keeps its trackers: their results, and their threads, go on."""
    good = tmp_path / "good"
    good.touch()
    agent = tracked(lab, command=["test", "-e", str(good)], interval=0.05)
    assert lab.wait_owner(1)
    router = {"name": "a", "interface": "eth0", "vrid": 51, "addresses": [f"{VIP}/24"], "interval": 0.1}
    assert agent.reload([router | {"tracks": [{"tracker": "t"}]}])[0] == "RELOADED"
    assert lab.owners() == [1]
    good.unlink()
    assert until(lambda: agent.state() == "Fault")
    assert agent.reload([router])[0] == "RELOADED"
    good.touch()
    assert lab.wait_owner(1), "nobody looks at the tracker any more"
