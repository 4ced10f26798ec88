"""Positions: the last printed digit, the order and the errors are redis-server's."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.conftest import Pair
from tests.resp import parse

SICILY = ("GEOADD", "g", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
UNITS = ("m", "km", "ft", "mi", "KM", "Mi")
ANSWERS = [[], ["WITHDIST"], ["WITHHASH"], ["WITHCOORD"], ["withcoord", "withdist", "withhash"]]


def position(r: random.Random) -> tuple[float, float]:
    """Near a few towns, on the grid's edges, at the poles, anywhere; some positions come twice."""
    luck = r.random()
    if luck < 0.5:
        lon, lat = r.choice([(15.0, 37.0), (-122.4, 37.8), (179.99, -17.0), (-179.99, -17.1), (0.0, 0.0), (20.0, 84.5)])
        spread = r.choice([0.0, 0.0001, 0.01, 1.0])
        lon, lat = lon + r.uniform(-spread, spread), lat + r.uniform(-spread, spread)
    elif luck < 0.6:
        lon, lat = r.choice([-180.0, 180.0, 0.0, 90.0]), r.choice([-85.05112878, 85.05112878, 0.0, 45.0, 66.0, -80.0])
    else:
        lon, lat = r.uniform(-180, 180), r.uniform(-85.05112878, 85.05112878)
    return max(-180.0, min(180.0, lon)), max(-85.05112878, min(85.05112878, lat))


def shape(r: random.Random) -> list[object]:
    unit = r.choice(UNITS)
    scale = 10 ** r.uniform(-2, 4.6) * (1 if unit.lower() in ("km", "mi") else 1000)
    scale = r.choice([scale, scale, scale, 0, 1e9])
    if r.random() < 0.5:
        return ["BYRADIUS", repr(scale), unit]
    return ["BYBOX", repr(scale), repr(scale * r.choice([0.1, 1, 1, 7])), unit]


def options(r: random.Random) -> list[object]:
    words: list[object] = list(r.choice(ANSWERS))
    if r.random() < 0.6:
        words.append(r.choice(["ASC", "DESC"]))
    if r.random() < 0.5:
        words += ["COUNT", r.choice([1, 2, 3, 7, 10, 50, 1000])]
        words += ["ANY"] * (r.random() < 0.4)
    return words


def fill(pair: Pair, r: random.Random, members: int) -> list[str]:
    names = [str(i) if r.random() < 0.3 else f"member:{i}" for i in range(members)]
    for at in range(0, members, 50):
        words: list[object] = []
        for name in names[at : at + 50]:
            lon, lat = position(r)
            words += [repr(lon), repr(lat), name]
        pair.same("GEOADD", "g", *words)
    return names


@pytest.mark.parametrize("seed", range(6))
def test_random_searches(pair: Pair, seed: int) -> None:
    r = random.Random(seed)
    names = fill(pair, r, r.choice([5, 40, 120, 600]))
    if seed % 2:
        pair.resp3()
    for _ in range(400):
        where: list[object] = (
            ["FROMMEMBER", r.choice(names)] if r.random() < 0.5 else ["FROMLONLAT", *(repr(v) for v in position(r))]
        )
        pair.same("GEOSEARCH", "g", *where, *shape(r), *options(r))
        if r.random() < 0.2:
            keep = [w for w in options(r) if "WITH" not in str(w).upper()]
            pair.same("GEOSEARCHSTORE", "d", "g", *where, *shape(r), *keep, *["STOREDIST"] * (r.random() < 0.5))
        if r.random() < 0.3:
            circle = [*(repr(v) for v in position(r)), repr(10 ** r.uniform(0, 7)), r.choice(UNITS)]
            pair.same(r.choice(["GEORADIUS", "GEORADIUS_RO"]), "g", *circle, *options(r))
            pair.same("GEORADIUSBYMEMBER", "g", r.choice(names), *circle[2:], *options(r))
        a, b = r.choice(names), r.choice(names)
        pair.same("GEODIST", "g", a, b, r.choice(UNITS))
        pair.same("GEOPOS", "g", a, b, "nobody")
        pair.same("GEOHASH", "g", a, b, "nobody")
    pair.finish()


def test_equal_distances_come_in_redis_order(pair: Pair) -> None:
    """Many members at few places: which of them COUNT takes follows from how Redis sorts."""
    r = random.Random(7)
    for size in (6, 7, 8, 30, 41, 100, 1000):
        pair.same("DEL", "g")
        for i in range(size):
            pair.same("GEOADD", "g", 10 + r.choice([0, 0, 1, 2]), 40, f"m{i}")
        for count in (1, 2, 5, 6, 17, 40, size - 1, size):
            for order in ("ASC", "DESC"):
                pair.same("GEOSEARCH", "g", "FROMLONLAT", 10, 40, "BYRADIUS", 500, "km", order, "COUNT", count)
                pair.same("GEOSEARCH", "g", "FROMLONLAT", 10, 40, "BYRADIUS", 500, "km", order, "COUNT", count, "ANY")


def test_positions_that_others_wrote(pair: Pair) -> None:
    """Scores that are no positions: negative, fractional, beyond 52 bits, infinite."""
    scores = [
        "1.5",
        "-1",
        "-9223372036854775809",
        "1e300",
        "inf",
        "9223372036854775808",
        "18446744073709551616",
        "-inf",
    ]
    scores += ["4503599627370496", "4503599627370495.5", "9007199254740991", "-0.5", "0", "18446744073709549568"]
    names = [f"s{i}" for i in range(len(scores))]
    pair.same("ZADD", "z", *(word for both in zip(scores, names, strict=True) for word in both))
    pair.same("GEOPOS", "z", *names)
    pair.same("GEOHASH", "z", *names)
    for name in names:
        pair.same("GEODIST", "z", name, "s0")
        for radius in ("0", "1", "1000", "30000"):
            pair.same(
                "GEOSEARCH", "z", "FROMMEMBER", name, "BYRADIUS", radius, "km", "WITHDIST", "WITHHASH", "WITHCOORD"
            )


def test_geoadd(pair: Pair) -> None:
    pair.same(*SICILY)
    pair.same(*SICILY)
    for line in (
        "CH 13.4 38.1 Palermo 1 2 new",
        "NX 14 38 Palermo",
        "XX 14 38 nobody",
        "xx ch 14 38 Palermo 1 2 nobody",
        "NX XX 1 2 a",
        "NX XX CH",
        "CH CH CH",
        "CH 1 2",
        "INCR 1 2 a",
        "1 2 a b",
        "181 2 a",
        "1 -85.06 a",
        "1 2 a 3 x b",
        "inf 0 a",
        "nan 0 a",
        "1e300 -1e300 a",
        "180 85.05112878 corner -180 -85.05112878 opposite",
        "0x10 1e1 hexadecimal",
    ):
        pair.same("GEOADD", "g", *line.split())
    pair.same("ZRANGE", "g", 0, -1, "WITHSCORES")
    pair.same("SET", "text", "x")
    pair.same("GEOADD", "text", 1, 2, "a")
    pair.same("GEOADD", "text", "x", 2, "a")
    pair.same("GEOADD", "nobody", "XX", 1, 2, "a")
    pair.same("EXISTS", "nobody")
    pair.finish()


ERRORS = """
GEODIST g Palermo|GEODIST g Palermo Catania xx|GEODIST g Palermo Catania m m|GEODIST g Palermo nobody|GEODIST no a b
GEODIST text a b|GEODIST text a b xx|GEOPOS text a|GEOHASH text|GEOPOS no a b|GEOHASH no a b|GEOPOS g|GEOPOS no
GEOSEARCH g|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1|GEOSEARCH g FROMMEMBER Palermo BYRADIUS x y
GEOSEARCH g FROMMEMBER Palermo BYRADIUS -1 y|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 y
GEOSEARCH g FROMMEMBER Palermo BYBOX -1 x m|GEOSEARCH g FROMMEMBER Palermo BYBOX x 1 m
GEOSEARCH g FROMMEMBER Palermo BYBOX -1 -1 zz|GEOSEARCH g FROMMEMBER Palermo BYBOX 1 -1 m
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m FROMMEMBER Palermo|GEOSEARCH g FROMLONLAT 1 2 FROMLONLAT 1 2 BYRADIUS 1 m
GEOSEARCH g FROMLONLAT 1 2 FROMMEMBER Palermo BYRADIUS 1 m|GEOSEARCH g FROMMEMBER Palermo FROMLONLAT 1 2 BYRADIUS 1 m
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m BYBOX 1 1 m|GEOSEARCH g FROMMEMBER Palermo BYBOX 1 1 m BYRADIUS 1 m
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m BYRADIUS 2 m|GEOSEARCH g FROMMEMBER Palermo BYBOX 1 1 m BYBOX 2 2 m
GEOSEARCH g FROMLONLAT 1 1000 BYRADIUS 1 m|GEOSEARCH g FROMLONLAT x 1 BYRADIUS 1 m
GeoSearch g BYRADIUS 1 m ASC DESC COUNT 1|GeoSearch g FROMMEMBER Palermo ASC DESC COUNT 1
GEOSEARCH g FROMMEMBER nobody BYRADIUS 1 m|GEOSEARCH g FROMMEMBER nobody BYRADIUS 1 zz
GEOSEARCH no FROMMEMBER nobody BYRADIUS 1 m|GEOSEARCH no FROMMEMBER nobody BYRADIUS 1 zz|GEOSEARCH no FROMMEMBER a b c d
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m COUNT|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m COUNT x
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m COUNT 0|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m COUNT -1
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m ANY|GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m COUNT 9999999999999999999
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 500 km COUNT 1 COUNT 2 ASC DESC ANY ANY
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m STOREDIST|GEOSEARCH g STORE d FROMMEMBER Palermo BYRADIUS 1 m
GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 1 m WITHDIST|GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 1 m ANY
GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 1 m WITHHASH ANY|GEOSEARCHSTORE d g FROMMEMBER nobody BYRADIUS 1 m
GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 1 m STOREDIST STOREDIST|GEOSEARCHSTORE d no FROMMEMBER a BYRADIUS 1 m
GEOSEARCHSTORE d g BYRADIUS 1 m ASC WITHDIST DESC COUNT 1|GEOSEARCHSTORE d text FROMMEMBER a BYRADIUS 1 m
GEORADIUS text a b c d|GEORADIUS g a b c d|GEORADIUS g 1 1000 c d|GEORADIUS g 1 1 c d|GEORADIUS g 1 1 -1 m
GEORADIUS g 1 1 1 m WITHH|GEORADIUS no 1 1 c d|GEORADIUS no 1 1 1 m|GEORADIUS g 1 1 1 m STORE|GEORADIUS g 1 1 1 m COUNT
GEORADIUS_RO g 1 1 1 m STORE d|GEORADIUSBYMEMBER_RO g Palermo 1 m STOREDIST d|GEORADIUS g 1 1 1 m BYRADIUS 1 m
GEORADIUS g 15 37 200 km STORE d WITHDIST|GEORADIUS g 15 37 200 km ANY STORE d WITHCOORD|GEORADIUS g 15 37 9 km STORE d ANY
GEORADIUSBYMEMBER g nobody c d|GEORADIUSBYMEMBER no nobody c d|GEORADIUSBYMEMBER no a 1 m STORE
GEORADIUSBYMEMBER no a 1 m STORE b STOREDIST c WITHDIST|GEORADIUSBYMEMBER text a 1 m|GEORADIUSBYMEMBER g Palermo 1 zz
"""


@pytest.mark.parametrize("line", [line for row in ERRORS.strip().splitlines() for line in row.split("|")])
def test_errors_and_odd_options(pair: Pair, line: str) -> None:
    pair.same(*SICILY)
    pair.same("SET", "text", "x")
    pair.same(*line.split())
    pair.finish()


def test_stores(pair: Pair) -> None:
    """STORE and STOREDIST: scores, encodings, deletion by an empty result, any type replaced."""
    pair.same(*SICILY)
    pair.same("SET", "d", "x")
    pair.same("GEORADIUS", "g", 15, 37, 200, "km", "STORE", "d")
    pair.same("GEORADIUS", "g", 15, 37, 200, "km", "STORE", "a", "STOREDIST", "b", "COUNT", 1)
    pair.same("GEORADIUSBYMEMBER", "g", "Palermo", 200, "mi", "STOREDIST", "e", "DESC")
    pair.same("GEOSEARCHSTORE", "g", "g", "FROMMEMBER", "Palermo", "BYBOX", 400, 400, "km")
    pair.same("GEORADIUS", "g", 1, 1, 1, "m", "STORE", "d")
    pair.same("GEORADIUS", "no", 1, 1, 1, "m", "STORE", "e")
    pair.same("GEOSEARCHSTORE", "b", "no", "FROMMEMBER", "a", "BYRADIUS", 1, "m")
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", 1)
    pair.same("GEOSEARCHSTORE", "tree", "g", "FROMMEMBER", "Palermo", "BYBOX", 400, 400, "km", "STOREDIST")
    pair.same("CONFIG", "SET", "zset-max-listpack-entries", 128)
    pair.same("CONFIG", "SET", "zset-max-listpack-value", 6)
    pair.same("GEOSEARCHSTORE", "long", "g", "FROMMEMBER", "Palermo", "BYBOX", 400, 400, "km", "STOREDIST")
    pair.finish()


def test_the_effect_of_geoadd_is_a_zadd(pair: Pair) -> None:
    pair.store.record_effects(True)
    pair.both("GEOADD", "g", "CH", 1, 2, "a", 3, 4, "b")
    pair.both("GEOADD", "g", "NX", 1, 2, "a")
    effect = bytes(pair.store.take_effects())
    assert (
        b"$4\r\nZADD\r\n$1\r\ng\r\n$2\r\nCH\r\n$16\r\n3378080408407459\r\n$1\r\na\r\n$16\r\n3379626039612548\r\n$1\r\nb"
        in effect
    )
    assert effect.count(b"ZADD") == 1


WORDS = st.sampled_from(
    "g no FROMMEMBER FROMLONLAT BYRADIUS BYBOX ASC DESC COUNT ANY WITHDIST WITHCOORD WITHHASH STORE STOREDIST NX XX CH "
    "Palermo Catania nobody m km ft mi d 1 0 -1 200 15 37 1e9 inf nan 1e400 -180 85.05112878 0.1 x".split()
)
NUMBERS = st.floats().map(repr) | st.integers(-(10**19), 10**19).map(str)
NAMES = "GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUS_RO GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEOSEARCH GEOSEARCHSTORE"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(NAMES.split()),
    st.lists(WORDS | NUMBERS | st.binary(max_size=12), max_size=12),
    st.booleans(),
)
def test_any_arguments(pair: Pair, name: str, words: list[str | bytes], plausible: bool) -> None:
    """Whatever the words: the same answer, and never a crash."""
    pair.same("DEL", "g", "d")
    pair.same(*SICILY)
    start = {"GEOSEARCH": "g FROMMEMBER Palermo BYRADIUS 200 km", "GEORADIUS": "g 15 37 200 km", "GEOADD": "g"}
    pair.same(name, *(start.get(name, "g").split() if plausible else ()), *words)


def test_distances_are_on_the_ball(pair: Pair) -> None:
    """Not only Redis's answer: a quarter of the equator is a quarter of the ball's circumference."""
    pair.same("GEOADD", "g", 0, 0, "a", 90, 0, "b")
    metres = float(parse(pair.same("GEODIST", "g", "a", "b"))[0])
    assert abs(metres - math.pi * 6372797.560856 / 2) < 1
