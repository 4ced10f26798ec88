"""What a client sees when a master goes: ours and keepalived in the same run, the same random phases for both.

    python benchmarks/vrrp/outage.py [--rounds N] [--modes v3-0.1,v2-1] [--kinds stop,kill,killall,link] [--json FILE]

Needs root and keepalived.  Two routers (priorities 200 and 100) and a client in network namespaces; the client pings
the virtual address every 5 ms.  Figures are milliseconds.  Kinds:

    stop      the master is told to stop
    kill      SIGKILL for the master's processes, the link stays up (ours: the guardian lives)
    killall   the same, and the guardian too
    link      the cable is pulled

After kill and killall the dead host's kernel may go on answering: what matters there is `owners`, how many seconds two
hosts held the address at once (sampled every few ms, for at most 6 s or the takeover time and 1.5 s).  A link takeover
earlier than the protocol's shortest is reported as EARLY.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "system" / "vrrp"))
from vrrp_lab import VIP, Lab, until

MODES = {"v2-1": (2, 1.0), "v3-0.1": (3, 0.1), "v3-0.03": (3, 0.03), "v3-0.01": (3, 0.01)}
PROBE = Path(__file__).with_name("probe.py")
VIPS = f"virtual_ipaddress {{\n {VIP}/24\n}}"


def start(lab, which, n, priority, version, interval):
    if which == "ours":
        return lab.agent(n, priority, version=version, interval=interval)
    return lab.keepalived(n, f"version {version}\nadvert_int {interval:g}\n{VIPS}", priority)


def children(pid):
    try:
        return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill_hard(process, which, guardian):
    """SIGKILL for everything; keepalived's children would send priority 0 if they outlived their parent."""
    if which == "ours":
        if guardian and process.guardian:
            os.kill(process.guardian, signal.SIGKILL)
        process.process.kill()
        return
    pid = process.pid
    process.send(signal.SIGSTOP)
    for child in children(pid):
        os.kill(child, signal.SIGKILL)
    process.process.kill()


def one_round(lab, which, mode, kind, phase):
    """(outage in ms, how long two hosts owned the address in s)."""
    version, interval = MODES[mode]
    master = start(lab, which, 1, 200, version, interval)
    if not until(lambda: lab.holds(1), 12):
        raise RuntimeError(f"{which} never became master")
    start(lab, which, 2, 100, version, interval)
    time.sleep(1.5 + phase * interval)
    takeover = 3 * interval + interval
    client = subprocess.Popen(
        ["ip", "netns", "exec", lab.spaces[2], sys.executable, str(PROBE), VIP, f"{2.8 + takeover:g}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(1.7)  # a neighbour entry younger than a second takes no gratuitous ARP (arp_locktime)
    if kind == "stop":
        master.send(signal.SIGTERM)
    elif kind == "link":
        lab.link(1, False)
    else:
        kill_hard(master, which, kind == "killall")
    both = 0.0
    if kind in ("kill", "killall"):
        last, end = time.monotonic(), time.monotonic() + min(6.0, takeover + 1.5)
        while (now := time.monotonic()) < end:
            if len(lab.owners()) > 1:
                both += now - last
            last = now
            time.sleep(0.02)
    out = client.communicate(timeout=60)[0].split()
    lab.reset()
    return float(out[0]), both


def shortest(mode, kind):
    """The protocol's shortest takeover in ms: the master's last advert may be almost an interval old."""
    version, interval = MODES[mode]
    skew = 156 / 256 * (1.0 if version == 2 else interval)
    return (2 * interval + skew) * 1000 if kind == "link" else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--modes", default="v2-1,v3-0.1,v3-0.03,v3-0.01")
    parser.add_argument("--kinds", default="stop,kill,killall,link")
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as path:
        lab = Lab(Path(path), 3, tag="ob")
        try:
            print(f"{'mode':8} {'kind':8} {'':11} {'median':>7} {'p95':>7} {'max':>7} {'owners s':>9}")
            for mode in options.modes.split(","):
                for kind in options.kinds.split(","):
                    phases = [random.Random(f"{mode}{kind}{i}").random() for i in range(options.rounds)]
                    for which in ("ours", "keepalived"):
                        seen = [one_round(lab, which, mode, kind, phase) for phase in phases]
                        outages = sorted(x for x, _ in seen)
                        p95 = outages[min(len(outages) - 1, int(len(outages) * 0.95))]
                        early = " EARLY" if outages[0] < shortest(mode, kind) else ""
                        owners = max(x for _, x in seen)
                        row = [mode, kind, which, statistics.median(outages), p95, outages[-1], round(owners, 2)]
                        rows.append(row)
                        figures = " ".join(f"{x:7.1f}" for x in row[3:6])
                        print(f"{mode:8} {kind:8} {which:11} {figures} {row[6]:9.2f}{early}", flush=True)
        finally:
            lab.close()
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
