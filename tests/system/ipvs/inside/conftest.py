"""These tests need a kernel with IPVS all to themselves: test_ipvs_kernel.py boots one and runs them in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "unit" / "ipvs"))

collect_ignore_glob = [] if os.environ.get("LIBIPVS_INSIDE") else ["test_*.py"]

# Programs start slowly in this kernel; the examples are few but each is a whole table.
settings.register_profile(
    "inside",
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
if os.environ.get("LIBIPVS_INSIDE"):
    settings.load_profile("inside")


@pytest.fixture
def kernel():
    """An open plane over an empty table."""
    from libipvs.kernel import Kernel

    with Kernel() as opened:
        opened.flush()
        yield opened
        opened.flush()


@pytest.fixture(scope="session")
def ipvsadm():
    """Runs the real ipvsadm: ipvsadm("-Ln") is its output; a failure raises with its words."""

    def run(*arguments, text=None):
        done = subprocess.run(["ipvsadm", *arguments], input=text, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"ipvsadm {' '.join(arguments)}: {done.returncode} {done.stderr}")
        return done.stdout

    return run
