"""The host's settings and what the machine around it may do: lost notifications, read-only settings, missing
capabilities, wall-clock jumps, a full interface."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import ROOT, VIP, Lab, Process, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("limits"), count=2, tag="kl")
    yield lab
    lab.close()


def program(body, **host):
    """A program of its own that runs one owner's router, and prints what the body says."""
    return (
        "import os, sys, time, json, threading\nfrom libvrrp.config import Address, Config, Router\n"
        "from libvrrp.host import Host\n"
        f"router = Router('a', 'eth0', 51, (Address('{VIP}/24'),), priority=255, interval=0.1, use_vmac=USE)\n"
        f"with Host(Config((router,)), **{host!r}) as host:\n" + "".join(f"    {x}\n" for x in body)
    )


def run(space, code, *before):
    done = subprocess.run(
        ["ip", "netns", "exec", space, *before, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


THREAD = [
    "while host.state('a') != 'Master': time.sleep(0.01)",
    "task = next(t.native_id for t in threading.enumerate() if t.name == 'libvrrp')",
    "locked = next(x.split()[1] for x in open('/proc/self/status') if x.startswith('VmLck'))",
    "print(sorted(os.sched_getaffinity(task)), os.sched_getscheduler(task) == os.SCHED_RR, int(locked) > 0)",
    "print(os.sched_getscheduler(0) == os.SCHED_OTHER, len(os.sched_getaffinity(0)) == os.cpu_count())",
    "print(json.dumps(host.status()['refused_settings']))",
]


def test_realtime_cpus_and_locked_memory(lab):
    code = program(THREAD, realtime=10, cpus=[0], lock_memory=True).replace("USE", "False")
    assert run(lab.spaces[0], code) == ["[0] True True", "True True", "[]"], "the thread only, not the application"


def test_settings_that_the_kernel_refuses_are_said_and_stop_nothing(lab):
    code = program(THREAD, realtime=10, cpus=[1000], lock_memory=True).replace("USE", "False")
    weak = ["setpriv", "--bounding-set=-sys_nice,-ipc_lock,-sys_resource", "--inh-caps=-all"]
    lines = run(lab.spaces[0], code, "prlimit", "--memlock=65536", "--rtprio=0", *weak)
    assert lines[0].endswith("False False")
    for setting in ("realtime", "cpus", "lock_memory"):
        assert f'"{setting}: ' in lines[2]


def test_read_only_sysctls_are_named(lab):
    """As in a container: the virtual MAC works as far as the settings there allow."""
    body = ["while host.state('a') != 'Master': time.sleep(0.01)", "print(host.status()['refused_settings'])"]
    code = program(body).replace("USE", "True")
    script = 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"'
    lines = run(lab.spaces[0], code, "unshare", "--mount", "sh", "-c", script, "-")
    assert "sysctl net.ipv4.conf.eth0.arp_ignore=1: Read-only file system" in lines[0]
    assert "vrrp" not in sh("ip", "-n", lab.spaces[0], "link", "show")


@pytest.mark.parametrize("lacking", ["net_admin", "net_raw"])
def test_each_missing_capability_is_named(lacking):
    code = (
        "from libvrrp.config import Config\nfrom libvrrp.errors import CapabilityError\nfrom libvrrp.host import Host\n"
        "try:\n    Host(Config())\nexcept CapabilityError as error:\n    print(error)"
    )
    command = ["setpriv", f"--bounding-set=-{lacking}", "--inh-caps=-all", sys.executable, "-c", code]
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=20, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert shown.stdout.startswith(f"CAP_{lacking.upper()} missing"), shown.stderr


def flood(space):
    """More notifications than the monitor's buffer holds."""
    lines = "".join(f"addr {what} 10.88.0.1/32 dev lo\n" for _ in range(20_000) for what in ("add", "del"))
    subprocess.run(["ip", "-n", space, "-batch", "-"], input=lines, text=True, check=True, timeout=60)


def test_what_a_lost_notification_said_is_found_by_comparison(lab):
    agent = lab.agent(1, 255, interval=20.0)
    assert lab.wait_owner(1)
    agent.send(signal.SIGSTOP)
    flood(lab.spaces[0])
    sh("ip", "-n", lab.spaces[0], "addr", "del", f"{VIP}/24", "dev", "eth0")
    agent.send(signal.SIGCONT)
    assert lab.wait_owner(1), "the notification of the deletion was lost"
    assert until(lambda: any(x[0] == "NETLINK_LOST" for x in agent.lines()))
    assert agent.end()["routers"]["a"]["addresses_repaired"] == 1


def test_a_lost_interface_is_found_by_comparison(lab):
    space = lab.spaces[0]

    def create():
        sh("ip", "-n", space, "link", "add", "lost0", "type", "veth", "peer", "name", "lost1")
        sh("ip", "-n", space, "link", "set", "lost1", "up")
        sh("ip", "-n", space, "link", "set", "lost0", "up")

    create()
    agent = lab.agent(1, 255, interface="lost0", source="10.78.0.1", interval=20.0)
    assert until(lambda: agent.state() == "Master")
    agent.send(signal.SIGSTOP)
    flood(space)
    sh("ip", "-n", space, "link", "del", "lost0")
    create()
    agent.send(signal.SIGCONT)
    assert until(lambda: f" {VIP}/" in sh("ip", "-n", space, "-o", "addr", "show", "dev", "lost0"), 15)
    assert until(lambda: any(x[0] == "NETLINK_LOST" for x in agent.lines()))
    agent.stop()
    sh("ip", "-n", space, "link", "del", "lost0")


def test_all_flags_of_addresses_stay_over_refreshes(lab):
    space = lab.spaces[0]
    addresses = [{"address": f"{VIP}/24", "broadcast": "+", "label": "eth0:vip", "deprecated": True}]
    excluded = [
        {"address": "fd77::200/64", "deprecated": True},
        {"address": "10.77.0.201/32", "device": "lo", "scope": "link"},
    ]
    agent = lab.agent(1, 255, addresses=addresses, excluded=excluded)
    assert lab.wait_owner(1)
    until(lambda: False, 1.6)  # a lifetime of 1 s was refreshed several times
    shown = sh("ip", "-n", space, "-o", "addr", "show")
    line = next(x for x in shown.splitlines() if f" {VIP}/" in x)
    assert all(x in line for x in ("brd 10.77.0.255", "eth0:vip", "deprecated"))
    line = next(x for x in shown.splitlines() if " fd77::200/" in x)
    assert all(x in line for x in ("nodad", "deprecated")) and "tentative" not in line
    assert " 10.77.0.201/32 scope link" in sh("ip", "-n", space, "-o", "addr", "show", "dev", "lo")
    agent.stop()
    shown = sh("ip", "-n", space, "-o", "addr", "show")
    assert [x for x in (VIP, "fd77::200", "10.77.0.201") if f" {x}/" in shown] == []


JUMPS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
/* A wall clock that jumps a day forward or back with every second of the monotonic one. */
static time_t jump(void) {
    static int (*real)(clockid_t, struct timespec *);
    struct timespec now;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_MONOTONIC, &now);
    return now.tv_sec % 2 ? 86400 : -86400;
}
int clock_gettime(clockid_t which, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, t);
    if (!result && which == CLOCK_REALTIME) t->tv_sec += jump();
    return result;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="missing cc (package gcc)")
@pytest.mark.parametrize("settings", [{}, {"version": 2, "interval": 1, "auth_type": "AH", "auth_pass": "k"}])
def test_a_wall_clock_that_jumps_changes_nothing(lab, tmp_path, settings):
    (tmp_path / "jumps.c").write_text(JUMPS)
    library = tmp_path / "jumps.so"
    build = ["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "jumps.c"), "-ldl"]
    subprocess.run(build, check=True, timeout=60)
    os.environ["LD_PRELOAD"] = str(library)
    try:
        first = lab.agent(1, 200, **settings)
        assert lab.wait_owner(1)
        second = lab.agent(2, 100, **settings)
        code = (
            "import time\na, end = time.time(), time.monotonic() + 20\n"
            "while abs(time.time() - a) < 80000 and time.monotonic() < end: time.sleep(0.1)\n"
            "print(time.monotonic() < end)"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40).stdout
    finally:
        del os.environ["LD_PRELOAD"]
    assert shown == "True\n", "the clock does jump"
    assert not until(lambda: first.states() != ["Backup", "Master"] or second.states() != ["Backup"], 4)
    assert lab.owners() == [1]
    first.kill()
    assert lab.wait_owner(2)
    status = second.end()["routers"]["a"]
    assert status["adverts_received"] >= 4 and set(status["dropped"]) <= {"router stopped or faulty"}


def test_255_routers_of_each_family_on_an_interface(lab):
    routers = [
        {
            "name": f"{family}-{v}",
            "interface": "eth0",
            "vrid": v,
            "addresses": [f"10.77.3.{v}/32"] if family == 4 else [f"fe80::77:{v:x}/64", f"fd77::77:{v:x}/64"],
            "priority": 255,
            "interval": 1.0,
            "garp_delay": 0,
            "garp_repeat": 1,
        }
        for v in range(1, 256)
        for family in (4, 6)
    ]
    agent = lab.agents(1, routers)

    def held():
        shown = sh("ip", "-n", lab.spaces[0], "-o", "addr", "show", "dev", "eth0")
        return shown.count(" 10.77.3."), shown.count(" fe80::77:"), shown.count(" fd77::77:")

    assert until(lambda: held() == (255, 255, 255)), held()
    until(lambda: False, 3)
    assert held() == (255, 255, 255), "three lifetimes later"
    guardian = agent.guardian
    agent.kill()
    assert until(lambda: held() == (0, 0, 0) and not os.path.exists(f"/proc/{guardian}"), 20), held()


def test_two_clusters_with_one_vrid_on_a_link_say_so(lab):
    """A VRID that somebody else uses: neither believes the other, both say why."""
    first = lab.agent(1, 200)
    second = lab.agent(2, 100, addresses=["10.77.0.111/24"])
    assert lab.wait_owner(1) and lab.wait_owner(2, "10.77.0.111")
    for agent in (first, second):
        assert until(
            lambda agent=agent: any(x[0] == "DROPPED" and x[3]["reason"] == "address list" for x in agent.lines())
        )


def test_a_macvlan_comes_back_with_its_interface(lab):
    space = lab.spaces[0]

    def create():
        sh("ip", "-n", space, "link", "add", "below0", "type", "veth", "peer", "name", "below1")
        sh("ip", "-n", space, "link", "set", "below1", "up")
        sh("ip", "-n", space, "link", "set", "below0", "up")

    def held():
        return f" {VIP}/" in sh("ip", "-n", space, "-o", "addr", "show", "dev", "vrrp.51", check=False)

    agent = lab.agent(1, 100, interface="below0", source="10.78.0.1", use_vmac=True, lease=False)
    assert until(lambda: agent.state() == "Fault"), "nothing is there yet"
    create()
    assert until(held) and until(lambda: agent.state() == "Master")
    ignore = ("ip", "netns", "exec", space, "cat", "/proc/sys/net/ipv4/conf/below0/arp_ignore")
    assert sh(*ignore).strip() == "1"
    sh("ip", "-n", space, "link", "del", "below0")
    assert until(lambda: agent.state() == "Fault")
    create()
    assert until(held) and sh(*ignore).strip() == "1"
    assert until(lambda: agent.state() == "Master")
    sh("ip", "-n", space, "link", "del", "vrrp.51")
    assert until(lambda: held() and agent.state() == "Master"), "somebody deleted it"
    until(lambda: False, 1)  # what was lost has been seen by now
    assert until(lambda: held() and agent.state() == "Master")
    agent.kill()
    assert until(lambda: not held()), "the guardian knows the new macvlan"
    Process(lab, space, ["ip", "link", "del", "vrrp.51"], "clean").process.wait(5)
    sh("ip", "-n", space, "link", "del", "below0")


def test_a_pause_longer_than_the_lease_and_shorter_than_a_takeover_is_mended(lab):
    """A lease of 1 s: then the address and the routes that use it are gone, and the backup waits for 3.3 s and more."""
    space = lab.spaces[0]
    routes = [{"to": "10.99.8.0/24", "via": "10.77.0.2", "source": VIP}]
    first = lab.agent(1, 200, interval=1.09, routes=routes)
    assert lab.wait_owner(1)
    second = lab.agent(2, 100, interval=1.09)
    assert until(lambda: second.state() == "Backup")

    def routed():
        return "10.99.8.0/24" in sh("ip", "-n", space, "route")

    first.send(signal.SIGSTOP)
    gone = until(lambda: lab.owners() == [] and not routed())
    first.send(signal.SIGCONT)
    assert gone and until(lambda: lab.owners() == [1] and routed())
    assert first.states() == ["Backup", "Master"] and second.states() == ["Backup"]


STOPPING = [
    "while host.state('a') != 'Master': time.sleep(0.01)",
    "threading.Thread(target=host.stop).start()",
    "notice = next(n for n in host.follow(5) if n.kind == 'STOP_SCRIPT')",
    "time.sleep(0.3)",
    "print(host.state('a'), f' {VIP}/' in os.popen('ip -o addr show dev eth0').read())",
    "if DONE: host.script_done(notice.details['id'])",
    "end = time.monotonic() + 5",
    "while host.state('a') == 'Master' and time.monotonic() < end: time.sleep(0.01)",
    "print(host.state('a'), host.status()['routers']['a']['last_transition']['cause'])",
    "print(f' {VIP}/' in os.popen('ip -o addr show dev eth0').read())",
]


@pytest.mark.parametrize("done", [True, False])
def test_the_stop_script_runs_before_the_addresses_go(lab, done):
    """Until it says that it is done, or for stop_timeout."""
    code = program(STOPPING).replace("use_vmac=USE", f"stop_timeout={60 if done else 1}").replace("DONE", str(done))
    code = f"VIP = '{VIP}'\n{code}"
    cause = "STOP_DONE" if done else "STOP_TIMER"
    assert run(lab.spaces[0], code) == ["Master True", f"Initialize {cause}", "False"]


def test_an_interface_that_only_holds_addresses_is_not_a_routers_link(lab):
    space = lab.spaces[0]
    sh("ip", "-n", space, "link", "add", "side0", "type", "veth", "peer", "name", "side1")
    sh("ip", "-n", space, "link", "set", "side1", "up")
    sh("ip", "-n", space, "link", "set", "side0", "up")
    agent = lab.agent(1, 100, excluded=[{"address": "10.77.9.1/32", "device": "side0"}])
    assert lab.wait_owner(1) and lab.holds(1)
    sh("ip", "-n", space, "link", "set", "side0", "down")
    until(lambda: False, 0.5)
    sh("ip", "-n", space, "link", "set", "side0", "up")
    until(lambda: False, 0.5)
    assert agent.states() == ["Backup", "Master"]
    assert [x for x in agent.lines() if x[0] == "LINK"] == []
    shown = agent.end()["interfaces"]["side0"]
    assert shown["running"] and shown["link"]
    sh("ip", "-n", space, "link", "del", "side0")


COUNT = """
import collections, socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)       # SO_RCVBUFFORCE
s.bind(("eth0", 0x0806))
s.settimeout(0.5)
print("ready", flush=True)
seen, end = collections.Counter(), time.monotonic() + 12
while time.monotonic() < end and (len(seen) < 200 or min(seen.values()) < 3):
    try:
        frame = s.recv(2048)
    except TimeoutError:
        continue
    if frame[28:31] == bytes((10, 77, 4)) and frame[28:32] == frame[38:42]:
        seen[frame[31]] += 1
print(len(seen), min(seen.values()), flush=True)
"""


def test_the_announcements_of_hundreds_of_addresses_all_arrive(lab):
    listener = Process(lab, lab.spaces[1], [sys.executable, "-c", COUNT], "listener")
    lab.processes.append(listener)
    assert until(lambda: "ready" in listener.log.read_text())
    settings = {"interface": "eth0", "priority": 255, "interval": 1.0, "garp_delay": 0, "garp_repeat": 3}
    lab.agents(1, [{"name": f"r{v}", "vrid": v, "addresses": [f"10.77.4.{v}/32"]} | settings for v in range(1, 201)])
    listener.process.wait(15)
    assert listener.log.read_text().splitlines()[-1] == "200 3"
