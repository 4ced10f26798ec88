"""Many virtual routers on one link: CPU time, stability and the takeover of all, beside keepalived in the same run.

    python benchmarks/vrrp/many.py [--routers 200] [--interval 0.1] [--seconds 20]

CPU is user + system of all processes of master and backup, in per cent of one CPU, while nothing happens (ours with
leases, announcements and the guardian).  Takeover is the time from pulling the master's cable until the backup's kernel
holds every address; `protocol` is the master-down time of the backup.  Needs root and keepalived.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "system" / "vrrp"))
from vrrp_lab import Lab, sh, until

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(lab):
    """Seconds of CPU time used by every process in the first two namespaces."""
    total = 0
    for space in lab.spaces[:2]:
        for pid in sh("ip", "netns", "pids", space).split():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def ours(lab, n, count, priority, interval):
    routers = [
        {
            "name": f"r{i}",
            "interface": "eth0",
            "vrid": i,
            "addresses": [f"10.77.9.{i}/32"],
            "priority": priority,
            "interval": interval,
        }
        for i in range(1, count + 1)
    ]
    return lab.agents(n, routers)


def keepalived(lab, n, count, priority, interval):
    instances = "".join(
        f"vrrp_instance r{i} {{\n version 3\n state BACKUP\n interface eth0\n virtual_router_id {i}\n"
        f" priority {priority}\n advert_int {interval:g}\n virtual_ipaddress {{\n 10.77.9.{i}/32\n }}\n}}\n"
        for i in range(2, count + 1)
    )
    body = f"version 3\nadvert_int {interval:g}\nvirtual_ipaddress {{\n 10.77.9.1/32\n}}\n}}\n{instances}"
    return lab.keepalived(n, body.rstrip().removesuffix("}"), priority, vrid=1, quiet=True)


def held(lab, n):
    return sh("ip", "-n", lab.spaces[n - 1], "-o", "addr", "show", "dev", "eth0").count(" 10.77.9.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routers", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    count, interval = options.routers, options.interval
    protocol = (3 + 156 / 256) * interval
    with tempfile.TemporaryDirectory() as path:
        lab = Lab(Path(path), 2, tag="mb")
        try:
            for name, start in (("ours", ours), ("keepalived", keepalived)):
                start(lab, 1, count, 200, interval)
                until(lambda: held(lab, 1) == count, 20)
                start(lab, 2, count, 100, interval)
                time.sleep(8)
                before, began = cpu(lab), time.monotonic()
                flaps = 0
                while time.monotonic() < began + options.seconds:
                    time.sleep(1)
                    flaps += (held(lab, 1), held(lab, 2)) != (count, 0)
                used = (cpu(lab) - before) / (time.monotonic() - began) * 100
                lab.link(1, False)
                cut = time.monotonic()
                all_there = until(lambda: held(lab, 2) == count, 10, 0.005)
                took = time.monotonic() - cut
                print(
                    f"{name:11} {count} routers at {interval:g} s: CPU {used:5.1f} %, unstable samples {flaps},"
                    f" takeover {took * 1000:.0f} ms (protocol {protocol * 1000:.0f} ms)"
                    f"{'' if all_there else ' INCOMPLETE'}",
                    flush=True,
                )
                lab.reset()
        finally:
            lab.close()


if __name__ == "__main__":
    main()
