"""Runs tests/system/vrrp/inside under a kernel that has bonds and VRFs: one boot, one test here for each file there."""

from pathlib import Path

import pytest

from tests.booted import Booted

INSIDE = Path(__file__).with_name("inside")
FILES = sorted(path.stem for path in INSIDE.glob("test_*.py"))


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    return Booted(INSIDE, tmp_path_factory.mktemp("inside"), "LIBVRRP_INSIDE", seconds=560, a_test=120)


@pytest.mark.root
@pytest.mark.xdist_group("vrrp-kernel")  # one boot, whatever the number of workers
@pytest.mark.timeout(620)
@pytest.mark.parametrize("name", FILES)
def test_inside(booted, name):
    booted.passed(name)
