"""Prints docs/README.md: the pages that there are, and whom they are for.

python docs/build/index.py            writes the page
python docs/build/index.py --check    exit status 1 when a page is missing in it
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "README.md"

# in the order of the index; a page that is not here comes last, with its own title
ABOUT = {
    "embedding": "a store inside your process: handles, pipelines, exceptions, tests, differences from redis-py",
    "commands": "what there is, how the work of each grows (generated)",
    "configuration": "every directive of redis.conf, its values and effect (generated)",
    "security": "users and their rights; maxmemory, eviction and the limits of clients",
    "rdb": "dump.rdb: what is read and written, from Python too; checking a file; damaged files",
    "benchmarks": "what it costs, measured beside the real thing (generated)",
    "libvrrp": "a virtual address on exactly one router: tutorial, state diagrams, settings, faults",
    "libipvs": "the kernel's load balancer and health checks: tutorial, check types, draining, caveats",
    "architecture": "how libkv is built, and how to add to it",
    "roadmap": "what is done, what comes next, known gaps",
}

FOOT = """
`make docs` prints the generated pages anew from the tables and figures they come from; the programs are in
`docs/build/`.
"""


def page() -> str:
    """The whole index."""
    there = {p.stem: p for p in sorted(PAGE.parent.glob("*.md")) if p != PAGE}
    names = [name for name in ABOUT if name in there] + [name for name in there if name not in ABOUT]
    rows = []
    for name in names:
        about = ABOUT.get(name) or there[name].read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        rows.append(f"| [{name}]({name}.md) | {about} |\n")
    return "# keepkv's pages\n\n| page | for |\n|---|---|\n" + "".join(rows) + FOOT


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} does not have the pages: run python {Path(__file__).relative_to(ROOT)}", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
