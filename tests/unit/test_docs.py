"""The documents: generated pages are what their sources say, links lead somewhere, and the README's code runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kv import durability_chart

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PROGRAMS = sorted(p.name for p in ROOT.glob("docs/build/*.py"))
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its blocks of code and its `code`, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```", "", page.read_text()))


def anchors(page: Path) -> set[str]:
    """What a link may point to in a page: its headings as the usual renderers name them."""
    titles = re.findall(r"(?m)^#+ +(.+?) *$", re.sub(r"(?ms)^```.*?^```", "", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def run(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, cwd=cwd, env=environment, check=False
    )


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "all.py"])
def test_generated_pages_are_up_to_date(program: str) -> None:
    done = run(ROOT / "docs" / "build" / program, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), f"{target}: no such file"
        assert goal.is_relative_to(ROOT), f"{target}: not in the project"
        assert not anchor or anchor in anchors(goal), f"{target}: no such heading"


def test_the_chart_of_the_journal_is_drawn_from_the_published_figures() -> None:
    figures = json.loads((ROOT / "docs" / "benchmarks.json").read_text())
    assert (ROOT / "docs" / "persistence.svg").read_text() == durability_chart.draw(figures)


@pytest.mark.parametrize("package", ["libkv/structures", "libkv/engine"])
def test_the_architecture_names_every_module(package: str) -> None:
    modules = {p.stem for kind in ("*.pyx", "*.pxd", "*.py") for p in ROOT.joinpath(package).glob(kind)} - {"__init__"}
    named = re.findall(r"`(\w+)`", (ROOT / "docs" / "architecture.md").read_text())
    assert len(modules) > 15 and modules - set(named) == set()


def test_the_readme_s_code_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / "README.md").read_text())
    programs = [block for block in blocks if "def test_" not in block]
    tests = [block for block in blocks if "def test_" in block]
    assert programs and tests
    (tmp_path / "readme.py").write_text("\n".join(programs))
    done = run(tmp_path / "readme.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "test_readme.py").write_text("\n".join(tests))
    words = ("-m", "pytest", "-p", "libkv.testing.plugin", "-q", "--rootdir", tmp_path, "test_readme.py")
    done = run(*words, cwd=tmp_path)
    assert f"{len(tests)} passed" in done.stdout, done.stdout + done.stderr
