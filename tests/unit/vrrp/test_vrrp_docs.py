"""The documentation draws the machine's own table, and names every setting."""

import dataclasses
import re
from pathlib import Path

import pytest

from libvrrp.config import Address, Bfd, Config, Router, Tracker
from libvrrp.fsm import Node, diagram, listing
from libvrrp.fsm.events import DROPS

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
    for kind in (Tracker, Bfd):
        part = text[text.index(f"Of a `{kind.__name__}`") :].split("\n\nOf ")[0]
        assert {f.name for f in dataclasses.fields(kind)} - set(re.findall(r"`(\w+)`", part)) - {"name"} == set()


def test_every_counter_that_the_documentation_names_exists():
    router = Router("a", "eth0", 1, (Address("10.0.0.1"),))
    status = Node(Config((router,))).status()
    text = DOCS.read_text()
    table = text[text.index("| RFC 6527 |") :].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert named and named - status.keys() - status["routers"]["a"].keys() == set()
    assert set(re.findall(r'"([A-Za-z ]+)"', table)) - {"routers"} <= set(DROPS)
