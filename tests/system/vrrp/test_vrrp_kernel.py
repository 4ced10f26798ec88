"""Runs tests/system/vrrp/inside under a kernel that has bonds and VRFs: one boot, one test here for each file there."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FILES = sorted(path.stem for path in (HERE / "inside").glob("test_*.py"))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """(junit report by file, output) of the one run."""
    if os.geteuid() != 0:
        pytest.skip("missing root (a kernel is booted on this machine's file system)")
    directory = tmp_path_factory.mktemp("inside")
    report = directory / "report.xml"
    environment = {
        **os.environ,
        "LIBVRRP_INSIDE": "1",
        "WITH_IPVS_TIMEOUT": "560",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [
        str(ROOT / "tests/with-ipvs"), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=120",
        "-o", "junit_family=xunit1", f"--junitxml={report}", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"),
        str(HERE / "inside"),
    ]  # fmt: skip
    run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=600)
    if run.returncode == 125 and "missing packages" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert report.exists(), f"status {run.returncode}\n{run.stdout[-4000:]}\n{run.stderr[-4000:]}"
    cases = {}
    for case in ElementTree.parse(report).iter("testcase"):
        cases.setdefault(Path(case.get("file")).stem, []).append(case)
    return cases, run.stdout[-20000:]


@pytest.mark.root
@pytest.mark.xdist_group("vrrp-kernel")  # one boot, whatever the number of workers
@pytest.mark.timeout(620)
@pytest.mark.parametrize("name", FILES)
def test_inside(outcome, name):
    cases, output = outcome
    assert cases.get(name), f"{name} ran no test\n{output}"
    bad = [
        case.get("name") for case in cases[name] if case.find("failure") is not None or case.find("error") is not None
    ]
    assert not bad, f"{name}: {', '.join(bad)}\n{output}"
