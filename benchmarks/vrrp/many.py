"""Many virtual routers on one link: CPU time, stability and the takeover of all, beside keepalived in the same run.

    python -m benchmarks.vrrp.many [--routers 200] [--interval 0.1] [--seconds 20]

CPU is user + system of all processes of master and backup, in per cent of one CPU, while nothing happens (ours with
leases, announcements and the guardian).  Takeover is the time from pulling the master's cable until the backup's kernel
holds every address; `protocol` is the master-down time of the backup.  Needs root and keepalived.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "system" / "vrrp"))
from vrrp_lab import Lab, missing, sh, until

from benchmarks.table import Missing, Table, verdict

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


def measure(count, interval, seconds, say=print):
    """Rows of figures, ours and keepalived's."""
    rows = []
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
                while time.monotonic() < began + seconds:
                    time.sleep(1)
                    flaps += (held(lab, 1), held(lab, 2)) != (count, 0)
                used = (cpu(lab) - before) / (time.monotonic() - began) * 100
                lab.link(1, False)
                cut = time.monotonic()
                complete = until(lambda: held(lab, 2) == count, 10, 0.005)
                took = (time.monotonic() - cut) * 1000
                rows.append(
                    {"which": name, "cpu": used, "unstable": flaps, "takeover": took, "complete": bool(complete)}
                )
                say(
                    f"{name:11} {count} routers at {interval:g} s: CPU {used:5.1f} %, unstable samples {flaps},"
                    f" takeover {took:.0f} ms (protocol {protocol(interval):.0f} ms){'' if complete else ' INCOMPLETE'}"
                )
                lab.reset()
        finally:
            lab.close()
    return rows


def protocol(interval):
    """The backup's master-down time in ms."""
    return (3 + 156 / 256) * interval * 1000


def need():
    """Raises Missing when something is not there."""
    lacking = missing() or ("" if shutil.which("keepalived") else "keepalived (package keepalived)")
    if lacking:
        raise Missing(f"missing {lacking}")


def run(quick):
    """For python -m benchmarks: 200 routers, watched for a minute."""
    need()
    count, interval, seconds = (50, 0.1, 10) if quick else (200, 0.1, 60)
    return {"count": count, "interval": interval, "seconds": seconds, "rows": measure(count, interval, seconds)}


def tables(figures):
    o, k = figures["rows"]
    bound = protocol(figures["interval"]) + 200
    aims = {
        "CPU, % of one": (f"{o['cpu']:.1f}", f"{k['cpu']:.1f}", "<= 1.5 x", o["cpu"] <= 1.5 * k["cpu"]),
        "unstable samples": (str(o["unstable"]), str(k["unstable"]), "0", o["unstable"] == 0),
        "takeover of all, ms": (
            f"{o['takeover']:.0f}",
            f"{k['takeover']:.0f}",
            f"<= {bound:.0f}",
            o["complete"] and o["takeover"] <= bound,
        ),
    }
    return [
        Table(
            f"{figures['count']} virtual routers at {figures['interval']:g} s adverts",
            f"Master and backup together, {figures['seconds']:g} s; ours with leases and guardian.",
            ["", "ours", "keepalived", "target", ""],
            [[name, *cells, verdict(good)] for name, (*cells, good) in aims.items()],
        )
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routers", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    measure(options.routers, options.interval, options.seconds)


if __name__ == "__main__":
    main()
