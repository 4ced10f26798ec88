"""False takeovers while the machine is busy, beside keepalived in the same run.

    python -m benchmarks.vrrp.busy [--seconds 20] [--intervals 0.1,0.03,0.01]

Two routers, a process that loops on each CPU, and in our master's own process a looping Python thread and large dumps
(`busy`).  Counted: how often the backup's kernel got the address, though the master was alive all the time.  Ours runs
with SCHED_RR, as its settings offer; keepalived both as it is by default and with vrrp_rt_priority.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "system" / "vrrp"))
from vrrp_lab import VIP, Lab, until

from benchmarks.table import Table, verdict
from benchmarks.vrrp.many import need

INTERVALS = (0.1, 0.03, 0.01)
VIPS = f"virtual_ipaddress {{\n {VIP}/24\n}}"


def ours(lab, n, interval):
    return lab.agent(n, 200 if n == 1 else 100, host={"busy": n == 1}, version=3, interval=interval)


def default(lab, n, interval):
    return lab.keepalived(n, f"version 3\nadvert_int {interval:g}\n{VIPS}", 200 if n == 1 else 100)


def realtime(lab, n, interval):
    return lab.keepalived(
        n, f"version 3\nadvert_int {interval:g}\n{VIPS}", 200 if n == 1 else 100, globals_="vrrp_rt_priority 20"
    )


SUBJECTS = {"ours": ours, "keepalived": default, "keepalived, real-time": realtime}


def takeovers(lab, start, interval, seconds):
    """How often the second namespace got the address while everything was busy."""
    start(lab, 1, interval)
    if not until(lambda: lab.holds(1), 12):
        raise RuntimeError("no master")
    start(lab, 2, interval)
    time.sleep(2)
    monitor = lab.monitor(2)
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(seconds)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    lines = monitor.log.read_text().splitlines()
    lab.reset()
    return sum(VIP in line and not line.startswith("Deleted") and "valid_lft" in line for line in lines)


def measure(intervals, seconds, say=print):
    rows = []
    with tempfile.TemporaryDirectory() as path:
        lab = Lab(Path(path), 2, tag="bb")
        try:
            for interval in intervals:
                row = {name: takeovers(lab, start, interval, seconds) for name, start in SUBJECTS.items()}
                rows.append({"interval": interval, **row})
                say(f"{interval:g} s: " + ", ".join(f"{name} {count}" for name, count in row.items()))
        finally:
            lab.close()
    return rows


def run(quick):
    """For python -m benchmarks."""
    need()
    seconds = 5 if quick else 20
    return {"seconds": seconds, "rows": measure(INTERVALS[-1:] if quick else INTERVALS, seconds)}


def tables(figures):
    rows = []
    for r in figures["rows"]:
        good = r["ours"] == 0 if r["interval"] >= 0.1 else r["ours"] <= r["keepalived"]
        aim = "0" if r["interval"] >= 0.1 else "<= keepalived"
        rows.append([f"{r['interval']:g} s", *(str(r[name]) for name in SUBJECTS), aim, verdict(good)])
    return [
        Table(
            "False takeovers on a busy machine",
            f"A looping process on each CPU, and a looping thread and large dumps in our master's own process, for "
            f"{figures['seconds']} s: how often the backup took the address.",
            ["adverts", *SUBJECTS, "target", ""],
            rows,
        )
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--intervals", default=",".join(map(str, INTERVALS)))
    options = parser.parse_args()
    measure([float(i) for i in options.intervals.split(",")], options.seconds)


if __name__ == "__main__":
    main()
