"""The house of docs/architecture.md: what lies lower knows nothing of what lies above it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: from below; a package takes from itself and from those before it
LAYERS = ["structures", "disk", "engine", "persistence", "scripting", "commands"]
TAKES = re.compile(r"^from (libkv\.[\w.]+) c?import", re.M)
#: what is said in so many words: the engine's two interfaces are data (the other one, durability, is its own), Python's
#: side of a store lies beside what it opens, and exceptions are everybody's
SAID = {
    ("libkv/engine/info.pyx", "libkv.scripting.script_engine"),
    ("libkv/engine/store.pyx", "libkv.scripting.script_engine"),
    ("libkv/persistence/opening.pyx", "libkv.store"),
    ("libkv/persistence/records.pyx", "libkv.store"),
}


def above() -> set[tuple[str, str]]:
    """(file, module) of everything that is taken from above."""
    found = set()
    for rank, layer in enumerate(LAYERS):
        for file in sorted((ROOT / "libkv" / layer).glob("*.p[xy][xd]")):
            for module in TAKES.findall(file.read_text()):
                package = module.split(".")[1]
                if package != "errors" and package not in LAYERS[: rank + 1]:
                    found.add((str(file.relative_to(ROOT)), module))
    return found


def test_arrows_point_downwards() -> None:
    assert above() - SAID == set()
    assert SAID - above() == set(), "said, but not done any more"


def test_the_house_is_drawn_so() -> None:
    drawing = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    heights = {layer: drawing.index(f"libkv.{layer}") for layer in LAYERS}
    lines = [drawing.count("\n", 0, heights[layer]) for layer in LAYERS]
    assert lines == sorted(lines, reverse=True)
    assert len(set(lines)) >= len(LAYERS) - 1  # two of them may stand side by side
