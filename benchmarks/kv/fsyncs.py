"""How often a server calls fsync and fdatasync: counted inside it, by a preloaded library (fsyncs.c).

strace would count as well, and slow every system call down by more than what is measured here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from benchmarks.table import Missing

SOURCE = Path(__file__).with_name("fsyncs.c")


class FsyncCounters:
    """The compiled library, and a counter for each server that asks for one; a context manager."""

    def __init__(self) -> None:
        compiler = shutil.which("gcc")
        if compiler is None:
            raise Missing("missing gcc (Debian package gcc)")
        self.folder = Path(tempfile.mkdtemp(prefix="keepkv-bench-"))
        self.library = self.folder / "fsyncs.so"
        try:
            subprocess.run(
                [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(self.library), str(SOURCE), "-ldl"],
                check=True,
                timeout=120,
            )
        except BaseException:
            self.close()
            raise

    def environment(self, name: str) -> dict[str, str]:
        """What a server's environment must say, so that its calls count under this name, from 0 on."""
        file = self.folder / name
        file.write_bytes(bytes(8))
        preload = " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(self.library))))
        return {"LD_PRELOAD": preload, "COUNT_FSYNCS": str(file)}

    def count(self, name: str) -> int:
        return int.from_bytes((self.folder / name).read_bytes(), "little")

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> FsyncCounters:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
