"""Positions in sorted sets.  Redis docs: https://redis.io/docs/latest/commands/?group=geo

Longitudes and latitudes are degrees; a unit is "m", "km", "mi" or "ft".
"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libkv.api.arguments import Arguments, Handle, Key, Value, flags, option
from libkv.errors import DataError

UNITS = ("m", "km", "mi", "ft")


class GeoCommands(Handle):
    """Members of sorted sets whose scores are positions on the earth."""

    def geoadd(self, name: Key, values: Sequence[Value], nx: bool = False, xx: bool = False, ch: bool = False) -> int:
        """Adds or moves members: longitude, latitude, member, longitude, ...; returns how many are new.

        nx: only new members.  xx: only members that exist.  ch: returns how many are new or moved.  Redis: GEOADD.
        """
        if nx and xx:
            raise DataError("GEOADD allows either 'nx' or 'xx', not both")
        if len(values) % 3 != 0:
            raise DataError("GEOADD requires places with lon, lat and name values")
        return self.execute_command("GEOADD", name, *flags(nx=nx, xx=xx, ch=ch), *values)

    def geodist(self, name: Key, place1: Value, place2: Value, unit: str | None = None) -> float | None:
        """The distance of two members, in metres or the unit; None if one is not there.  Redis: GEODIST."""
        if unit and unit not in UNITS:
            raise DataError("GEODIST invalid unit")
        return self.execute_command("GEODIST", name, place1, place2, *([unit] if unit else []))

    def geohash(self, name: Key, *values: Value) -> list[str]:
        """The members' positions as Geohash texts of 11 characters.  Redis: GEOHASH."""
        return self.execute_command("GEOHASH", name, *values)

    def geopos(self, name: Key, *values: Value) -> list[tuple[float, float] | None]:
        """The members' (longitude, latitude); None for one that is not there.  Redis: GEOPOS."""
        return self.execute_command("GEOPOS", name, *values)

    def georadius(
        self,
        name: Key,
        longitude: float,
        latitude: float,
        radius: float,
        unit: str | None = None,
        withdist: bool = False,
        withcoord: bool = False,
        withhash: bool = False,
        count: int | None = None,
        sort: str | None = None,
        store: Key | None = None,
        store_dist: Key | None = None,
        any: bool = False,
    ) -> list[Any] | int:
        """The members within `radius` of a position; the options are those of `geosearch`.

        store, store_dist: puts them into a sorted set, with their positions or distances as scores; returns how many.
        Redis: GEORADIUS.
        """
        return self._around(
            "GEORADIUS",
            [name, longitude, latitude, radius],
            unit,
            (withdist, withcoord, withhash),
            (count, any, sort),
            (store, store_dist),
        )

    def georadiusbymember(
        self,
        name: Key,
        member: Value,
        radius: float,
        unit: str | None = None,
        withdist: bool = False,
        withcoord: bool = False,
        withhash: bool = False,
        count: int | None = None,
        sort: str | None = None,
        store: Key | None = None,
        store_dist: Key | None = None,
        any: bool = False,
    ) -> list[Any] | int:
        """As `georadius`, around a member.  Redis: GEORADIUSBYMEMBER."""
        return self._around(
            "GEORADIUSBYMEMBER",
            [name, member, radius],
            unit,
            (withdist, withcoord, withhash),
            (count, any, sort),
            (store, store_dist),
        )

    def _around(
        self,
        command: str,
        words: Arguments,
        unit: str | None,
        answers: tuple[bool, bool, bool],
        wanted: tuple[int | None, bool, str | None],
        stores: tuple[Key | None, Key | None],
    ) -> Any:
        distance, position, score = answers
        count, any_, sort = wanted
        store, store_dist = stores
        if unit and unit not in UNITS:
            raise DataError("GEORADIUS invalid unit")
        if any_ and count is None:
            raise DataError("``any`` can't be provided without ``count``")
        if sort and sort not in ("ASC", "DESC"):
            raise DataError("GEORADIUS invalid sort")
        if store and store_dist:
            raise DataError("GEORADIUS store and store_dist can't be set together")
        words = [*words, unit or "m", *flags(withdist=distance, withcoord=position, withhash=score)]
        words += option("COUNT", count) + flags(any=any_) + ([sort] if sort else [])
        words += option("STORE", store or None) + option("STOREDIST", store_dist or None)
        shape = {"withdist": distance, "withcoord": position, "withhash": score}
        return self.execute_command(command, *words, store=store, store_dist=store_dist, **shape)

    def geosearch(
        self,
        name: Key,
        member: Value | None = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        withcoord: bool = False,
        withdist: bool = False,
        withhash: bool = False,
    ) -> list[Any]:
        """The members in a circle (radius) or a box (width, height) around a member or a position.

        sort: "ASC" nearest first, "DESC" farthest first.  count: so many; with `any` those that are found first.
        withdist, withhash, withcoord: each member as [member, distance, score, (longitude, latitude)], as asked for.
        Redis: GEOSEARCH.
        """
        words = [name, *centre(member, longitude, latitude), *extent(radius, width, height, unit)]
        words += order(sort, count, any) + flags(withdist=withdist, withcoord=withcoord, withhash=withhash)
        shape = {"withdist": withdist, "withcoord": withcoord, "withhash": withhash}
        return self.execute_command("GEOSEARCH", *words, store=None, store_dist=None, **shape)

    def geosearchstore(
        self,
        dest: Key,
        name: Key,
        member: Value | None = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        storedist: bool = False,
    ) -> int:
        """Puts the members that `geosearch` would find into the sorted set `dest`; returns how many.

        storedist: their scores are the distances.  Redis: GEOSEARCHSTORE.
        """
        words = [dest, name, *centre(member, longitude, latitude), *extent(radius, width, height, unit)]
        words += order(sort, count, any) + flags(storedist=storedist)
        return self.execute_command("GEOSEARCHSTORE", *words)


def centre(member: Value | None, longitude: float | None, latitude: float | None) -> Arguments:
    if member is None and (longitude is None or latitude is None):
        raise DataError("GEOSEARCH must have member or longitude and latitude")
    if member and (longitude or latitude):
        raise DataError("GEOSEARCH member and longitude or latitude can't be set together")
    words = ["FROMMEMBER", member] if member else []
    if longitude is not None and latitude is not None:
        words += ["FROMLONLAT", longitude, latitude]
    return words


def extent(radius: float | None, width: float | None, height: float | None, unit: str | None) -> Arguments:
    if radius is None and (width is None or height is None):
        raise DataError("GEOSEARCH must have radius or width and height")
    if unit is None:
        raise DataError("GEOSEARCH must have unit")
    if unit.lower() not in UNITS:
        raise DataError("GEOSEARCH invalid unit")
    if radius and (width or height):
        raise DataError("GEOSEARCH radius and width or height can't be set together")
    words: Arguments = ["BYRADIUS", radius, unit] if radius else []
    if width and height:
        words += ["BYBOX", width, height, unit]
    return words


def order(sort: str | None, count: int | None, any_: bool) -> Arguments:
    if sort and sort.upper() not in ("ASC", "DESC"):
        raise DataError("GEOSEARCH invalid sort")
    if any_ and not count:
        raise DataError("GEOSEARCH ``any`` can't be provided without count")
    return [*([sort.upper()] if sort else []), *option("COUNT", count or None), *flags(any=any_)]
