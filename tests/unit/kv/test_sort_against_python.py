"""SORT against Python's sorted(), whole rows and parts of them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import libkv

ROWS = st.lists(st.integers(-50, 50), min_size=1, max_size=150)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.booleans())
def test_numbers(row: list[int], desc: bool) -> None:
    with libkv.Store() as store:
        store.rpush("l", *row)
        assert [int(x) for x in store.sort("l", desc=desc)] == sorted(row, reverse=desc)
        assert store.sort("l", alpha=True, desc=desc) == sorted((b"%d" % x for x in row), reverse=desc)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.data(), st.booleans())
def test_parts_by_other_keys(row: list[int], data: st.DataObject, desc: bool) -> None:
    """LIMIT with BY sorts only what is wanted: weights there are those of the whole row sorted."""
    start = data.draw(st.integers(0, len(row) - 1))
    count = data.draw(st.integers(0, len(row)))
    with libkv.Store() as store:
        store.rpush("l", *row)
        store.mset({f"w{x}": x * x % 17 for x in row})
        weights = store.sort("l", by="w*", get="w*", start=start, num=count, desc=desc)
        assert [int(w) for w in weights] == sorted((x * x % 17 for x in row), reverse=desc)[start : start + count]
        parts = [
            x for at in range(0, len(row), 7) for x in store.sort("l", by="w*", get="w*", start=at, num=7, alpha=True)
        ]
        assert parts == sorted(b"%d" % (x * x % 17) for x in row)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=6), min_size=1, max_size=60))
def test_stored_texts_are_compared_whole(row: list[bytes]) -> None:
    with libkv.Store() as store:
        store.rpush("l", *row)
        assert store.sort("l", alpha=True, store="d") == len(row)
        assert store.lrange("d", 0, -1) == sorted(row)
        store.check()
