"""mypy finds nothing in the three packages, and the hand-written stubs say what the compiled modules have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("libkv", "libvrrp", "libipvs")
STUBS = sorted(p for name in PACKAGES for p in ROOT.joinpath(name).rglob("*.pyi") if p.with_suffix(".pyx").is_file())

# names that Cython adds to modules and classes; and constructors with keywords only, of which the compiled class
# says *args and **kwargs
ALLOWED = r"""
.*\.__(reduce|setstate)_cython__
.*\.__test__
.*\.__pyx_capi__
libvrrp\.packet\.advert\.Advert\.__init__
libvrrp\.packet\.control\.ControlPacket\.__init__
"""

USERS_PROGRAM = """
import libkv
from libipvs import Pool, RealServer, SyncDaemon, VirtualService, open, reconcile
from libvrrp.config import Address, Config, Router

with libkv.Store(maxmemory="100mb") as store, store.pipeline() as pipe:
    pipe.incr("visits").lpush("latest", "ann").execute()
    balance = int(pipe.get("balance") or 0) + store.incr("n")
    store.set("a", None)  # wrong
    store.gett("a")  # wrong
    pipe.sett("a", 1)  # wrong
    pipe.set("a")  # wrong
libkv.Store("data")  # wrong


async def worker() -> None:
    async with store.aio.pipeline() as queued:
        await queued.incr("n").get("n").execute()
    async with store.aio.lock("name", timeout=5):
        await store.aio.blpop("jobs")


web = VirtualService.tcp("192.168.8.100", 80, scheduler="wrr", flags="flag-1")
plane = open("memory")
print(reconcile(plane, [Pool(web, (RealServer("192.168.8.14", 80, "nat", 2),))], owned=set(), dry_run=True))
plane.start_daemon(SyncDaemon("master", "eth0", sync_id=5))
plane.stop_daemon("master")
RealServer("192.168.8.14", 80, "natt")  # wrong
Config((Router(name="web", interface="eth0", vrid=51, addresses=(Address("10.0.0.100/24"),), interval=0.1),))
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


def test_a_users_program(tmp_path: Path) -> None:
    """What the pages show passes mypy --strict in a program of a user's, and mistakes are found."""
    program = tmp_path / "program.py"
    program.write_text(USERS_PROGRAM)
    words = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    found = re.findall(r"program\.py:(\d+): error", done.stdout)
    wrong = [str(n) for n, line in enumerate(USERS_PROGRAM.splitlines(), 1) if line.endswith("# wrong")]
    assert found == wrong, done.stdout + done.stderr
