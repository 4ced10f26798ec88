"""Values are encoded and decoded as redis-py does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers.encoders import Encoder as TheirEncoder

from libkv.encode import Encoder

VALUES = st.one_of(
    st.binary(),
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary().map(bytearray),
    st.binary().map(memoryview),
    st.lists(st.integers(), max_size=2),
    st.tuples(),
    st.complex_numbers(),
)


def result(function, *args):
    try:
        value = function(*args)
    except Exception as error:
        return type(error).__name__, str(error)
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


@given(VALUES, st.sampled_from(["utf-8", "latin-1", "utf-16"]), st.sampled_from(["strict", "replace", "ignore"]))
def test_encode(value, encoding, how):
    theirs = TheirEncoder(encoding, how, False)
    assert result(Encoder(encoding, how).encode, value) == result(theirs.encode, value)


@given(st.binary(), st.sampled_from(["strict", "replace"]), st.booleans(), st.booleans())
def test_decode(value, how, decodes, force):
    ours, theirs = Encoder("utf-8", how, decodes), TheirEncoder("utf-8", how, decodes)
    assert result(ours.decode, value, force) == result(theirs.decode, value, force)


def test_decode_reply_goes_into_everything():
    encoder = Encoder(decode_responses=True)
    reply = [b"a", 1, None, 2.5, [b"b", {b"c": [b"d"]}], True]
    assert encoder.decode_reply(reply) == ["a", 1, None, 2.5, ["b", {"c": ["d"]}], True]
    assert reply[0] == b"a", "the reply itself is not changed"


@pytest.mark.parametrize("name", ["CONFIG GET", b"CONFIG GET"])
def test_names_of_two_words(name):
    assert Encoder().encode_command([name, "a b"]) == (b"CONFIG", b"GET", b"a b")


def test_no_command():
    with pytest.raises(IndexError):
        Encoder().encode_command([])
