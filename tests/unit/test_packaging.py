"""What a source distribution and an installation are made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("libkv", "libvrrp", "libipvs")
SOURCES = {".py", ".pyx", ".pxd", ".pxi", ".pyi", ".typed", ".h"}


def test_a_source_distribution_has_all_sources_and_nothing_built(tmp_path: Path) -> None:
    words = [sys.executable, "setup.py", "egg_info", "--egg-base", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = set((tmp_path / "keepkv.egg-info" / "SOURCES.txt").read_text().split("\n"))
    here = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in ROOT.joinpath(package).rglob("*")
        if file.suffix in SOURCES
    }
    assert len([name for name in here if name.endswith(".pyx")]) > 150
    assert here - listed == set()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "setup.py"} - listed == set()
    assert [name for name in listed if name.endswith((".so", ".pyc")) or "node_modules" in name] == []
