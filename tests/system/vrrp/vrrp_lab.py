"""Network namespaces on a bridge, and the routers that run in them: ours, keepalived's, FRR's."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VIP = "10.77.0.100"
VIP6 = ("fe80::7:100", "fd77::100")


def sh(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def ip_batch(commands, space=None):
    """Runs commands of ip(8), separated by semicolons, in one process."""
    command = ["ip", *(["-n", space] if space else []), "-batch", "-"]
    text = "\n".join(x.strip() for x in commands.split(";"))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{commands}: {done.stderr.strip()}")


def until(condition, timeout=8.0, step=0.01):
    """Waits for a condition; its last value."""
    end = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(step)
    return value


class Process:
    """A process in a namespace whose standard output is collected in a file."""

    def __init__(self, lab, space, command, name):
        self.lab, self.space, self.name = lab, space, name
        self.log = lab.path / f"{name}.log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", space, *command],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        self.pid = self.process.pid

    def send(self, number):
        os.kill(self.pid, number)

    def stop(self, timeout=8):
        """SIGTERM, and SIGKILL when that is not enough."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
                self.send(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait(5)


class Agent(Process):
    """A router of ours."""

    def __init__(self, lab, space, name, routers, **host):
        self.reload_file = lab.path / f"{name}.json"
        settings = json.dumps({"routers": routers, "host": host, "reload": str(self.reload_file)})
        super().__init__(lab, space, [sys.executable, str(Path(__file__).with_name("vrrp_agent.py")), settings], name)

    def lines(self):
        out = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                out.append(json.loads(line))
        return out

    def ready(self):
        if not until(lambda: any(line[0] == "READY" for line in self.lines())):
            raise RuntimeError(self.log.read_text())
        return self

    def end(self):
        """Stops it; the status it leaves with."""
        self.stop()
        return next(line[1] for line in self.lines() if line[0] == "STATUS")

    @property
    def guardian(self):
        return next(line[1] for line in self.lines() if line[0] == "READY")

    def reload(self, routers):
        """A new configuration; waits for the answer: ["RELOADED", guardian] or ["REFUSED", why]."""

        def answers():
            return [line for line in self.lines() if line[0] in ("RELOADED", "REFUSED")]

        before = len(answers())
        self.reload_file.write_text(json.dumps(routers))
        self.send(signal.SIGHUP)
        if not until(lambda: len(answers()) > before):
            raise RuntimeError(self.log.read_text())
        return answers()[-1]

    def states(self, router="a"):
        return [x[3]["new"] for x in self.lines() if x[0] == "TRANSITION" and x[2] == router]

    def state(self, router="a"):
        return self.states(router)[-1] if self.states(router) else "Initialize"

    def status(self, router="a"):
        return next(line[1] for line in self.lines() if line[0] == "STATUS")["routers"][router]


class Lab:
    """`count` namespaces with an interface eth0 each, 10.77.0.N/24 and fd77::N/64, on one bridge."""

    def __init__(self, path, count=3, tag="kv"):
        self.path = path
        self.tag = f"{tag}{os.getpid() % 10000}"
        self.bridge = f"{self.tag}b"
        self.spaces = [f"{self.tag}n{n}" for n in range(1, count + 1)]
        self.processes = []
        sh("ip", "link", "add", self.bridge, "type", "bridge", "mcast_snooping", "0")
        sh("ip", "link", "set", self.bridge, "up")
        for n, space in enumerate(self.spaces, 1):
            sh("ip", "netns", "add", space)
            ip_batch(
                f"link add {self.tag}v{n} type veth peer name eth0 netns {space};"
                f"link set {self.tag}v{n} master {self.bridge} up"
            )
            ip_batch(
                f"link set lo up;addr add 10.77.0.{n}/24 dev eth0;addr add fd77::{n}/64 dev eth0 nodad"
                f";addr add fe80::7:{n}/64 dev eth0 nodad;link set eth0 addrgenmode none;link set eth0 up",
                space,
            )

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        for space in self.spaces:
            for pid in sh("ip", "netns", "pids", space, check=False).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            sh("ip", "netns", "del", space, check=False)
        sh("ip", "link", "del", self.bridge, check=False)

    def reset(self):
        """Ends all processes, puts the links up and removes VIPs: the next test starts clean."""
        for process in reversed(self.processes):
            process.stop()
        self.processes.clear()
        for n, space in enumerate(self.spaces, 1):
            for pid in sh("ip", "netns", "pids", space, check=False).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            sh("ip", "link", "set", f"{self.tag}v{n}", "up")
            for line in sh("ip", "-n", space, "-o", "addr", "show", "dev", "eth0").splitlines():
                address = line.split()[3]
                if address.split("/")[0] not in (f"10.77.0.{n}", f"fd77::{n}", f"fe80::7:{n}"):
                    sh("ip", "-n", space, "addr", "del", address, "dev", "eth0", check=False)

    def link(self, n, up):
        """Takes the cable of the n-th namespace (from 1) out, or puts it in."""
        sh("ip", "link", "set", f"{self.tag}v{n}", "up" if up else "down")

    def agent(self, n, priority=100, name=None, host=None, **settings):
        """A router of ours in the n-th namespace (from 1), running."""
        router = {"name": "a", "interface": "eth0", "vrid": 51, "addresses": [f"{VIP}/24"], "priority": priority}
        router |= {"interval": 0.1, "garp_delay": 0} | settings
        return self.agents(n, [router], name, **(host or {}))

    def agents(self, n, routers, name=None, **host):
        """Several routers in one process.  Its thread is SCHED_RR where that is allowed: tests run beside others."""
        host.setdefault("realtime", 20)
        agent = Agent(self, self.spaces[n - 1], name or f"agent{n}-{len(self.processes)}", routers, **host)
        self.processes.append(agent)
        return agent.ready()

    def keepalived(self, n, body, priority=100, vrid=51, quiet=False, globals_=""):
        """keepalived in the n-th namespace with one instance.  quiet: without its detailed log; globals_: more lines of
        its global_defs."""
        conf = self.path / f"keepalived{n}.conf"
        conf.write_text(
            f"global_defs {{\n vrrp_garp_master_delay 1\n {globals_}\n}}\n"
            f"vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n"
            f" priority {priority}\n{body}\n}}\n"
        )
        run = [self.path / f"k{n}.{x}" for x in ("pid", "vrrp", "check")]
        command = ["keepalived", "--vrrp", "-n", "-l", *([] if quiet else ["-D"]), "-f", str(conf)]
        command += ["-p", str(run[0]), "-r", str(run[1]), "-c", str(run[2])]
        process = Process(self, self.spaces[n - 1], command, f"keepalived{n}-{len(self.processes)}")
        self.processes.append(process)
        return process

    def holds(self, n, address=VIP):
        """Whether the n-th namespace's kernel holds the address."""
        return f" {address}/" in sh("ip", "-n", self.spaces[n - 1], "-o", "addr", "show", "dev", "eth0")

    def owners(self, address=VIP):
        return [n for n in range(1, len(self.spaces) + 1) if self.holds(n, address)]

    def wait_owner(self, n, address=VIP, timeout=8.0):
        """Waits until the n-th namespace alone holds the address."""
        until(lambda: self.owners(address) == [n], timeout)
        return self.owners(address) == [n]

    def monitor(self, n):
        """Every change of an address in the n-th namespace, as lines."""
        process = Process(self, self.spaces[n - 1], ["ip", "-o", "monitor", "address"], f"monitor{n}")
        self.processes.append(process)
        time.sleep(0.1)
        return process


def missing():
    """What these tests need and this machine lacks, or an empty string."""
    if os.geteuid() != 0:
        return "root (namespaces, raw sockets)"
    if not shutil.which("ip"):
        return "ip (package iproute2)"
    return ""
