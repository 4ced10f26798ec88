"""Positions against arithmetic in Python: no member inside a shape is missed, and none outside is found."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

import libkv

EARTH = 6372797.560856
EDGE = 85.05112878
PLACES = st.tuples(
    st.floats(-180, 180) | st.sampled_from([-180.0, 180.0, 0.0, 179.9999]),
    st.floats(-EDGE, EDGE) | st.sampled_from([-EDGE, EDGE, 0.0, 66.0, 80.5]),
)


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres on the ball."""
    lat1, lat2 = math.radians(a[1]), math.radians(b[1])
    u, v = math.sin((lat2 - lat1) / 2), math.sin((math.radians(b[0]) - math.radians(a[0])) / 2)
    return 2 * EARTH * math.asin(min(1.0, math.sqrt(u * u + math.cos(lat1) * math.cos(lat2) * v * v)))


@settings(max_examples=200, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=40), PLACES)
def test_a_position_is_kept_within_its_cell(places: list[tuple[float, float]], other: tuple[float, float]) -> None:
    """26 steps: a cell is 0.6 m wide at the equator.  At 180 degrees a score has a bit more than a double keeps."""
    with libkv.Store() as store:
        for i, (lon, lat) in enumerate(places):
            store.geoadd("g", (lon, lat, f"m{i}"))
        for i, place in enumerate(places):
            kept = store.geopos("g", f"m{i}")[0]
            assert kept is not None
            assert abs(kept[0] - place[0]) <= 2 * 360 / 2**26
            assert abs(kept[1] - place[1]) <= 2 * 171 / 2**26
        store.geoadd("g", (*other, "other"))
        a, b = store.geopos("g", "m0", "other")
        told = store.geodist("g", "m0", "other")
        assert a is not None and b is not None and told is not None and abs(told - distance(a, b)) < 0.01


@settings(max_examples=200, deadline=None)
@given(st.lists(PLACES, min_size=1, max_size=60), PLACES, st.floats(1, 2_000_000))
def test_circles(places: list[tuple[float, float]], centre: tuple[float, float], radius: float) -> None:
    """Circles that reach no pole and not over the 180th meridian: there Redis looks on one side only, and so do we."""
    up = math.degrees(radius / EARTH)
    if abs(centre[1]) + up > 80:
        return
    if abs(centre[0]) + math.degrees(radius / EARTH / math.cos(math.radians(abs(centre[1]) + up))) > 179:
        return
    with libkv.Store() as store:
        for i, (lon, lat) in enumerate(places):
            store.geoadd("g", (lon, lat, f"m{i}"))
        kept = {f"m{i}".encode(): store.geopos("g", f"m{i}")[0] for i in range(len(places))}
        apart = {name: distance(centre, at) for name, at in kept.items() if at is not None}
        found = store.geosearch("g", longitude=centre[0], latitude=centre[1], radius=radius, sort="ASC", withdist=True)
        names = {name for name, _ in found}
        assert {name for name, d in apart.items() if d < radius - 0.01} <= names
        assert names <= {name for name, d in apart.items() if d < radius + 0.01}
        assert [d for _, d in found] == sorted(d for _, d in found)
        assert all(abs(d - apart[name]) < 0.01 for name, d in found)


def test_geohash_texts() -> None:
    """The example of the Geohash article: 57.64911, 10.40744 is u4pruydqqvj; ours ends in a filler."""
    with libkv.Store() as store:
        store.geoadd("g", (10.40744, 57.64911, "Jutland"))
        assert store.geohash("g", "Jutland") == ["u4pruydqqv0"]
