"""SORT and SORT_RO: what is sorted by what, in which order equal elements come, what is stored."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.conftest import Pair


def forget_overflow(pair: Pair) -> None:
    """redis-server's SORT takes an overflow of any earlier command for its own; reading a score makes it forget that."""
    pair.real.call("ZADD", "none", "XX", "0.5", "x")


def fill(pair: Pair) -> None:
    pair.same("RPUSH", "l", 3, 11, 2, 2, "0x10", " 5", "1e3", "-0.5", "")
    pair.same("RPUSH", "words", "b", "a", "c", "aa", "\x00x", "\x00a", "a\x00b", "a\x00a", "ä", "10", "9")
    pair.same("SADD", "ints", 5, 3, 100, -7)
    pair.same("ZADD", "z", 3, "1", 1, "3", 2, "2", 2, "11")
    for i in range(12):
        pair.same("SET", f"w{i}", (7 * i) % 5)
        pair.same("HSET", f"h{i}", "f", f"v{i % 4}", "n", i)
    pair.same("MSET", "w\x00x", "1", "str", "x", "none1", "2")
    pair.same("RPUSH", "w3000", "a list")


LINES = """
SORT l|SORT l DESC|SORT l ALPHA|SORT l ALPHA DESC|SORT l ASC DESC ASC|SORT_RO l|SORT words ALPHA|SORT words DESC ALPHA
SORT words ALPHA STORE d|SORT ints|SORT ints DESC LIMIT 1 2|SORT z|SORT_RO z ALPHA|SORT z DESC LIMIT 0 2|SORT words
SORT z BY nosort|SORT z BY nosort DESC|SORT z BY nosort DESC LIMIT 1 2|SORT z BY nosort LIMIT 1 10|SORT z BY nosort LIMIT 9 1
SORT z BY nosort LIMIT -5 2|SORT z BY nosort LIMIT 1 -1|SORT l BY nosort|SORT l BY nosort LIMIT 2 3|SORT l BY nosort DESC
SORT l BY nosort DESC LIMIT 1 3|SORT l BY nosort DESC LIMIT 7 9|SORT l BY nosort DESC GET # GET w* STORE d
SORT l BY nosort LIMIT 2 3 GET #|SORT ints BY nosort|SORT ints BY nosort LIMIT 1 2|SORT ints BY nosort STORE d
SORT l BY w* GET # GET w*|SORT l BY w* LIMIT 2 3 GET #|SORT l BY h*->n DESC GET h*->f GET #|SORT l BY h*->f ALPHA GET #
SORT l BY h*->f|SORT l BY h*-> ALPHA|SORT l BY h*->none|SORT l BY str|SORT l BY st*r|SORT l GET str GET w* GET h* GET l*
SORT l GET #x GET # GET *#|SORT l GET h*->f GET h*->n GET h*->none GET str->f GET w*->f|SORT l BY a* BY b|SORT l BY b BY a*
SORT l LIMIT 0 0|SORT l LIMIT 3 0|SORT l LIMIT -1 -1|SORT l LIMIT 100 1|SORT l LIMIT 9223372036854775807 9223372036854775807
SORT l LIMIT -9223372036854775808 3|SORT l STORE d|SORT l STORE l|SORT l GET # GET w* STORE d|SORT l LIMIT 50 1 STORE w1
SORT none|SORT none STORE w1|SORT none STORE none|SORT str|SORT str STORE d|SORT none BY|SORT none GET|SORT l LIMIT 1
SORT l LIMIT x 1|SORT l LIMIT 1 x|SORT l STORE|SORT_RO l STORE d|SORT l nonsense|SORT|SORT l ALPHA DESC LIMIT 1 2 GET # STORE d
SORT l BY w* ALPHA LIMIT 1 4|SORT l BY none* ALPHA|SORT l BY none* LIMIT 0 3|SORT l BY none* ALPHA DESC GET w* LIMIT 2 5
SORT h1|SORT w1|SORT l BY l* GET #|SORT words BY w* GET w* GET #|SORT words BY h*->n ALPHA GET #
"""


@pytest.mark.parametrize("line", [line for row in LINES.strip().splitlines() for line in row.split("|")])
@pytest.mark.parametrize("proto", [2, 3])
def test_lines(pair: Pair, line: str, proto: int) -> None:
    fill(pair)
    if proto == 3:
        pair.resp3()
    forget_overflow(pair)
    pair.same(*line.split())
    pair.finish()


@pytest.mark.parametrize(
    "value", ["1e400", "-1e400", "1e-310", "5e-324", "nan", "inf", "-inf", "5 ", "5\x00x", "x", "0x", "+5"]
)
def test_numbers(pair: Pair, value: str) -> None:
    """What is a number to SORT."""
    pair.same("RPUSH", "l", value, 7)
    forget_overflow(pair)
    pair.same("SORT", "l")
    pair.same("RPUSH", "ids", 1, 2)
    pair.same("MSET", "w1", value, "w2", 0)
    forget_overflow(pair)
    pair.same("SORT", "ids", "BY", "w*")


@pytest.mark.parametrize("seed", range(4))
def test_random_rows(pair: Pair, seed: int) -> None:
    """Rows with many equal weights, and keys of them missing: the order of equal ones is Redis's."""
    r = random.Random(seed)
    for _ in range(15):
        pair.same("FLUSHALL")
        size = r.choice([3, 6, 7, 8, 40, 41, 130, 500])
        pair.same("RPUSH", "l", *(r.randrange(size) for _ in range(size)))
        for i in r.sample(range(size), size * 2 // 3):
            pair.same("SET", f"w{i}", r.choice(["a", "b", "c", "\x00", "a\x00z", f"{i}"]))
            pair.same("SET", f"n{i}", r.choice([1, 2, "2.0", -1, i]))
        for _ in range(12):
            words = r.choice([["BY", "w*", "ALPHA"], ["BY", "n*"], [], ["ALPHA"], ["BY", "n*", "ALPHA"]])
            words = words + r.choice(
                [[], ["LIMIT", r.randrange(size), r.randrange(-1, size)], ["LIMIT", 0, r.randrange(9)]]
            )
            words += (
                r.choice([[], ["DESC"]]) + r.choice([[], ["GET", "#", "GET", "w*"]]) + r.choice([[], ["STORE", "d"]])
            )
            forget_overflow(pair)
            pair.same("SORT", "l", *words)
    pair.finish()


def test_a_sorted_set_becomes_a_tree(pair: Pair) -> None:
    pair.same("ZADD", "z", 1, "1")
    pair.same("OBJECT", "ENCODING", "z")
    pair.same("SORT_RO", "z")
    pair.same("OBJECT", "ENCODING", "z")


def test_expired_keys_are_not_there(pair: Pair) -> None:
    pair.same("RPUSH", "l", 1, 2, 3)
    pair.same("MSET", "w1", 5, "w2", 4, "w3", 3)
    pair.same("PEXPIREAT", "w1", 1)
    pair.same("SORT", "l", "BY", "w*", "GET", "w*")
    pair.finish()


def test_store_is_one_change_that_is_told_whole(pair: Pair) -> None:
    pair.store.record_effects(True)
    pair.both("RPUSH", "l", 3, 1, 2)
    pair.both("SORT", "l", "STORE", "d")
    pair.both("SORT", "l")
    pair.both("SORT", "none", "STORE", "d")
    pair.both("SORT", "none", "STORE", "d")
    effects = bytes(pair.store.take_effects())
    assert effects.count(b"SORT") == 2 and b"$5\r\nSTORE\r\n$1\r\nd\r\n" in effects


RULES = ["~*", "~l ~w*", "%R~*", "%W~* ~l", "~l (~* +sort)", "~l (~* +get)", "~l (%R~* +sort_ro)"]


@pytest.mark.parametrize("rules", RULES)
def test_patterns_are_for_users_who_may_read_all(pair: Pair, rules: str) -> None:
    words = "(" + rules.partition("(")[2] if "(" in rules else ""
    plain = rules.partition(" (")[0].split()
    pair.same("RPUSH", "l", 2, 1)
    pair.same("ACL", "SETUSER", "sorter", "reset", "on", "nopass", "+@all", *plain, *([words] if words else []))
    pair.same("AUTH", "sorter", "x")
    for line in (
        "SORT l BY w*|SORT l BY nosort|SORT l BY nosort GET #|SORT l GET w*|SORT_RO l BY w* GET #|SORT l BY w* nonsense|"
        "SORT l GET w* BY|SORT l nonsense BY w*|SORT l BY w* STORE l"
    ).split("|"):
        pair.same(*line.split())
    pair.both("RESET")
    pair.both("ACL", "DELUSER", "sorter")


WORDS = st.sampled_from(
    "ASC DESC ALPHA LIMIT BY GET STORE # w* h*->f h*->n * -> *-> ** nosort d l 0 1 2 -1 5 x 9223372036854775807 w*->x str".split()
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["SORT", "SORT_RO"]),
    st.sampled_from(["l", "z", "ints", "none", "str"]),
    st.lists(WORDS, max_size=9),
)
def test_any_options(pair: Pair, name: str, key: str, words: list[str]) -> None:
    pair.same("FLUSHALL")
    fill(pair)
    forget_overflow(pair)
    theirs, ours = pair.both(name, key, *words)
    if key in ("z", "ints") and "BY" in words:  # equal ones come in the order of a hash table there
        assert sorted(theirs) == sorted(ours) or "LIMIT" in words
    else:
        assert theirs == ours
