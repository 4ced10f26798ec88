"""Prints every generated page of the documentation: runs the other programs of this directory.

python docs/build/all.py            writes the pages
python docs/build/all.py --check    exit status 1 when a page is not what its source says
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    programs = sorted(p for p in HERE.glob("*.py") if p.name != "all.py")
    failed = [p.name for p in programs if subprocess.run([sys.executable, p, *sys.argv[1:]]).returncode]
    if failed:
        print("failed: " + ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
