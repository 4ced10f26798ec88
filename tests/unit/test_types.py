"""mypy finds nothing in the three packages, and the hand-written stubs say what the compiled modules have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("libkv", "libvrrp", "libipvs")
STUBS = sorted(p for name in PACKAGES for p in ROOT.joinpath(name).rglob("*.pyi"))

# names that Cython adds to modules and classes; and constructors with keywords only, of which the compiled class
# says *args and **kwargs
ALLOWED = r"""
.*\.__(reduce|setstate)_cython__
.*\.__test__
.*\.__pyx_capi__
libvrrp\.packet\.advert\.Advert\.__init__
libvrrp\.packet\.control\.ControlPacket\.__init__
"""


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_packages_are_marked_as_typed() -> None:
    for name in PACKAGES:
        assert (ROOT / name / "py.typed").is_file()


def test_every_compiled_module_with_a_python_side_has_a_stub() -> None:
    """A function, class or upper-case constant of Python's at the top level of a .pyx."""
    sources = [p for name in PACKAGES for p in ROOT.joinpath(name).rglob("*.pyx")]
    public = [p for p in sources if re.search(r"(?m)^(def|class|cdef class|cpdef) (?!_)", p.read_text())]
    assert len(public) > 10
    assert [str(p) for p in public if not p.with_suffix(".pyi").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_mypy(package: str) -> None:
    words = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), package]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_stubs(package: str, tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n")
    (tmp_path / "allowed").write_text(ALLOWED)
    words = ["--mypy-config-file", str(tmp_path / "mypy.ini"), "--allowlist", str(tmp_path / "allowed")]
    words += ["--ignore-unused-allowlist", "--concise"]
    words += [name for name in map(module, STUBS) if name.split(".")[0] == package]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
