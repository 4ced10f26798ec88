"""The documentation draws the machine's own table, and names every setting."""

import dataclasses
import re
from pathlib import Path

import pytest

from libvrrp.config import Router
from libvrrp.fsm import diagram, listing

DOCS = Path(__file__).parents[3] / "docs" / "libvrrp.md"


@pytest.mark.parametrize(
    ("name", "text"),
    [("diagram", f"```mermaid\n{diagram()}\n```"), ("listing", listing())],
)
def test_generated_parts_are_up_to_date(name, text):
    found = re.search(rf"<!-- {name}: .*? -->\n(.*?)\n?<!-- end -->", DOCS.read_text(), re.S)
    assert found and found[1] == text, f"put this between the marks of {name}:\n{text}"


def test_every_setting_is_described():
    text = DOCS.read_text()
    described = set(re.findall(r"`(\w+)`", "\n".join(x for x in text.splitlines() if x.startswith("| `"))))
    assert {f.name for f in dataclasses.fields(Router)} - described == set()
