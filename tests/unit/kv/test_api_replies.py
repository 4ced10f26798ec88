"""Replies in RESP3's shapes become what redis-py's default client returns; the oracle test does it with real ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers.response_callbacks import get_response_callbacks

from libkv.api.replies import SHAPES, ok, pong, set_reply, truth

THEIRS = get_response_callbacks(None, True)
LATER = (
    "ACL ARINFO ASKING BG BL BR BZ CLUSTER FUNCTION GEO HIMPORT LASTSAVE MEMORY MODULE PUBSUB READ SAVE SCRIPT SENTINEL"
)
LATER += (
    " SLAVEOF SORT STRALGO X"  # the groups that tests/data/api_gaps.py lists, by the first letters of their commands
)
LATER_OF_CLIENT = {"CLIENT PAUSE", "CLIENT TRACKINGINFO", "CLIENT UNBLOCK"}


def outcome(shape, *args, **options):
    try:
        return shape(*args, **options)
    except Exception as error:
        return type(error).__name__


def test_no_shape_is_forgotten():
    groups = tuple(LATER.split())
    assert {n for n in THEIRS if not n.startswith(groups)} - LATER_OF_CLIENT - set(SHAPES) == set()
    assert set(SHAPES) - set(THEIRS) == set()


FIELD = st.text("abc:=,.1#- \n", max_size=12)
LINES = st.lists(st.tuples(FIELD, FIELD).map(":".join), max_size=6).map("\r\n".join)


@given(st.one_of(LINES, st.just("cmdstat_host::calls=1"), st.just("module:name=a,ver=1\nmodule:b=2")))
def test_info(reply):
    assert outcome(SHAPES["INFO"], reply.encode()) == outcome(THEIRS["INFO"], reply.encode())


@pytest.mark.parametrize("name", ["CLIENT LIST"])
@given(st.lists(st.lists(st.sampled_from(["id=1", "addr=/tmp/a", "b", "name=", "cmd=x=y"]), min_size=1), max_size=3))
def test_client_list(name, lines):
    reply = "\n".join(" ".join(["id=7", *line]) for line in lines).encode()
    assert outcome(SHAPES[name], reply) == outcome(THEIRS[name], reply)


SCORES = st.floats(allow_nan=False)
PAIRS = st.lists(st.tuples(st.binary(max_size=3), SCORES).map(list), max_size=4)
OPTIONS = st.fixed_dictionaries(
    {}, optional={"withscores": st.booleans(), "score_cast_func": st.sampled_from([float, int, str, repr, bytes])}
)


@pytest.mark.parametrize("name", ["ZRANGE", "ZUNION", "ZDIFF", "ZRANDMEMBER", "ZPOPMIN"])
@given(PAIRS, OPTIONS)
def test_scores(name, reply, options):
    if name == "ZPOPMIN":
        options["withscores"] = True  # as its method says
    assert outcome(SHAPES[name], reply, **options) == outcome(THEIRS[name], reply, **options)


@given(st.lists(st.tuples(st.binary(max_size=2), SCORES.map(lambda x: repr(x).encode())), max_size=4), OPTIONS)
def test_zscan(items, options):
    reply = [b"12", [part for item in items for part in item]]
    assert outcome(SHAPES["ZSCAN"], reply, **options) == outcome(THEIRS["ZSCAN"], reply, **options)


PLAIN = sorted(name for name, shape in SHAPES.items() if shape in (ok, truth, pong, set_reply))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("reply", [b"OK", "OK", b"QUEUED", None, 0, 1, b"PONG", "PONG", b"\xff"], ids=repr)
def test_plain_replies(name, reply):
    mine, wanted = SHAPES[name](reply), THEIRS[name](reply)
    assert (mine, type(mine)) == (wanted, type(wanted))
