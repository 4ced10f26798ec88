"""The transition table: every scenario holds, and no row can be broken without a scenario that notices."""

import os
import sys

import pytest

from libvrrp.errors import VrrpError
from libvrrp.fsm import INPUTS, OPERATIONS, STATES, TABLE, Node, diagram, listing

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_scenario(scenario):
    scenario(TABLE)


def mutants(row):
    """Every way in which a row can be wrong: missing, another next state, an operation left out."""
    yield "removed", ()
    for state in STATES:
        if state != row.next:
            yield f"to {state}", (row._replace(next=state),)
    for i, operation in enumerate(row.operations):
        yield f"without {operation}", (row._replace(operations=row.operations[:i] + row.operations[i + 1 :]),)


# Pairs whose order decides what happens; other neighbours (an action and a timer, say) may change places.
ORDERED = {("LEARN", "MASTER_DOWN_TIMER"), ("FORGET", "MASTER_DOWN_TIMER"), ("DELETE", "ADVERT_ZERO")}
ORDERED |= {("CANCEL", "MASTER_DOWN_TIMER"), ("CANCEL", "HOLD"), ("ADVERT", "ADD")}


def noticed(table):
    for scenario in SCENARIOS:
        try:
            scenario(table)
        except Exception:
            return True
    return False


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.state}-{row.input}")
def test_breaking_a_row_is_noticed(row):
    others = tuple(other for other in TABLE if other is not row)
    survivors = [what for what, instead in mutants(row) if not noticed(others + instead)]
    assert survivors == []


def test_a_wrong_order_of_operations_is_noticed():
    survivors = []
    for row in TABLE:
        for first, second in ORDERED & {(a, b) for i, a in enumerate(row.operations) for b in row.operations[i + 1 :]}:
            exchanged = {first: second, second: first}
            changed = row._replace(operations=tuple(exchanged.get(o, o) for o in row.operations))
            if not noticed(tuple(changed if other is row else other for other in TABLE)):
                survivors.append((row.state, row.input, first, second))
    assert survivors == []


def test_the_table_is_well_formed():
    assert len({(row.state, row.input) for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert row.state in STATES and row.next in STATES and row.input in INPUTS
        assert set(row.operations) <= set(OPERATIONS)
    assert {row.input for row in TABLE} == set(INPUTS)
    assert {operation for row in TABLE for operation in row.operations} == set(OPERATIONS)


def test_the_drawings_hold_every_row():
    for row in TABLE:
        assert f"| {row.state} | {row.input} | {row.next} |" in listing()
        if row.state != row.next:
            arrow = next(x for x in diagram().splitlines() if x.strip().startswith(f"{row.state} --> {row.next}:"))
            assert row.input in arrow


def test_a_row_that_is_too_long_is_refused():
    from libvrrp.config import Config

    with pytest.raises(VrrpError, match="at most 8"):
        Node(Config(), (TABLE[0]._replace(operations=("CANCEL",) * 9),))
