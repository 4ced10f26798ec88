"""Tests that need another kernel: it is booted once for a directory (tests/with-ipvs), and pytest runs it inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.servers import ROOT


class Booted:
    """The one run of all files of a directory.

    variable: set in the environment of that run; the directory's conftest.py collects nothing without it.
    seconds: for all of it; a_test: for one test."""

    def __init__(self, directory: Path, reports: Path, variable: str, seconds: int, a_test: int) -> None:
        if os.geteuid() != 0:
            pytest.skip("missing root (a kernel is booted on this machine's file system)")
        report = reports / "report.xml"
        environment = {
            **os.environ,
            variable: "1",
            "WITH_IPVS_TIMEOUT": str(seconds),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
        }
        command = [
            str(ROOT / "tests/with-ipvs"), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            f"--timeout={a_test}", "-o", "junit_family=xunit1", f"--junitxml={report}", "--rootdir", str(ROOT),
            "-c", str(ROOT / "pyproject.toml"), str(directory),
        ]  # fmt: skip
        run = subprocess.run(
            command, cwd=reports, env=environment, capture_output=True, text=True, timeout=seconds + 20, check=False
        )
        if run.returncode == 125 and "missing packages" in run.stderr:
            pytest.skip(run.stderr.strip())
        assert report.exists(), f"status {run.returncode}\n{run.stdout[-4000:]}\n{run.stderr[-4000:]}"
        self.output = run.stdout[-20000:]
        self.cases: dict[str, list[ElementTree.Element]] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            self.cases.setdefault(Path(case.get("file", "")).stem, []).append(case)

    def passed(self, name: str) -> None:
        """Fails when the file of this name ran no test there, or one that failed."""
        cases = self.cases.get(name)
        assert cases, f"{name} ran no test\n{self.output}"
        bad = [str(c.get("name")) for c in cases if c.find("failure") is not None or c.find("error") is not None]
        assert not bad, f"{name}: {', '.join(bad)}\n{self.output}"
