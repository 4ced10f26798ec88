"""The hand-written stubs say what the compiled modules have."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CYTHON_S = "libkv\\..*__(reduce|setstate)_cython__\nlibkv\\..*__test__\n"  # names that Cython adds to every module


@pytest.mark.parametrize("module", ["libkv.store"])
def test_stub(module, tmp_path):
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n")
    (tmp_path / "allowed").write_text(CYTHON_S)
    words = ["--mypy-config-file", str(tmp_path / "mypy.ini"), "--allowlist", str(tmp_path / "allowed")]
    words += ["--ignore-unused-allowlist", module]
    done = subprocess.run([sys.executable, "-m", "mypy.stubtest", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
