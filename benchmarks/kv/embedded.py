"""In-process time a call, as a multiple of a dict look-up in the same run (the benchmarks: test_embedded.py)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.kv.subjects import LOAD_CPU, ROOT, pin

#: multiples of a dict look-up to stay under
TARGETS = {("get", "bytes"): 5.0, ("set", "bytes"): 5.0, ("get", "str"): 7.0, ("set", "str"): 7.0}


def run(quick: bool) -> dict[str, Any]:
    pin(LOAD_CPU)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "benchmark.json")
        tests = str(ROOT / "benchmarks" / "kv" / "test_embedded.py")
        options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", f"--benchmark-json={file}", "--benchmark-quiet"]
        choice = ["-k", "not million"] if quick else []
        done = subprocess.run(
            [sys.executable, "-m", "pytest", tests, *options, *choice],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise RuntimeError("the embedded benchmarks failed:\n" + done.stdout[-3000:] + done.stderr[-1000:])
        taken = json.loads(file.read_text())["benchmarks"]
    ns: dict[tuple[str, str, str], float] = {}
    for b in taken:
        info = b["extra_info"]
        ns[info["operation"], info.get("keys", ""), info["subject"]] = b["stats"]["median"] / info["calls"] * 1e9
    look_up = {kind: ns[f"dict[{kind}]", "", "dict"] for kind in ("bytes", "str")}
    rows = []
    for (operation, kind, subject), t in ns.items():
        if subject != "store":
            continue
        base = ns[operation, kind, "dict"] if operation == "get of 1M" else look_up[kind]
        rows.append(
            {
                "operation": operation,
                "keys": kind,
                "store_ns": t,
                "dict_ns": base,
                "multiple": t / base,
                "redis_py_ns": ns.get((operation, "bytes", "redis-py")),
                "fakeredis_ns": ns.get((operation, "bytes", "fakeredis")),
                "target": TARGETS.get((operation, kind)),
            }
        )
    return {"dict_ns": look_up, "rows": rows}
