"""Runs tests/system/ipvs/inside under a kernel that has IPVS: one boot for all, one test here for each file there."""

from pathlib import Path

import pytest

from tests.booted import Booted

INSIDE = Path(__file__).with_name("inside")
FILES = sorted(path.stem for path in INSIDE.glob("test_*.py"))


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    return Booted(INSIDE, tmp_path_factory.mktemp("inside"), "LIBIPVS_INSIDE", seconds=280, a_test=60)


@pytest.mark.root
@pytest.mark.xdist_group("ipvs-kernel")  # one boot, whatever the number of workers
@pytest.mark.timeout(320)
@pytest.mark.parametrize("name", FILES)
def test_inside(booted, name):
    booted.passed(name)
