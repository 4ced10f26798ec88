"""Types of the arguments, and the options that several commands share, spelled as the server wants them.

The texts of the DataErrors are redis-py's, so that code and tests that look at them go on working.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from libkv.encode import Encodable
from libkv.errors import DataError

Text = bytes | str  # a string in a reply: bytes, or str on a handle with decode_responses
Key = bytes | str | memoryview
Keys = Key | Iterable[Key]
Value = Encodable
Pattern = bytes | str | memoryview
Seconds = int | datetime.timedelta
Moment = int | datetime.datetime
Bound = float | str  # a score, or a str with a "(" in front: excluded; "-inf", "+inf"
Arguments = list[Any]
TextList = list[Text]
TextSet = set[Text]
OptionalTexts = list[Text | None]


class Handle:
    """What the groups of commands are mixed into: something that runs a command and shapes its reply."""

    if TYPE_CHECKING:

        def execute_command(self, *args: Any, **options: Any) -> Any:
            """Runs (or queues) one command; `options` go to what shapes the reply."""


def one_list(first: Any, rest: Iterable[Any]) -> Arguments:
    """The arguments of ``f(keys, *args)``, where `keys` may be one key or an iterable of keys."""
    if isinstance(first, bytes | str | bytearray | memoryview) or not hasattr(first, "__iter__"):
        return [first, *rest]
    return [*first, *rest]


def flat(mapping: Mapping[Any, Any]) -> Arguments:
    """A mapping as key, value, key, value, ..."""
    return [item for pair in mapping.items() for item in pair]


def option(word: str, *values: Any) -> Arguments:
    """An option and its values, or nothing when the first value is None."""
    return [] if values and values[0] is None else [word, *values]


def flags(**given: bool | None) -> Arguments:
    """The words of the options that are set, in capitals and in the order given."""
    return [word.upper() for word, on in given.items() if on]


def at_most_one(*given: object) -> bool:
    """Whether no more than one of these is truthy."""
    return sum(map(bool, given)) <= 1


def seconds(time: Seconds | Any) -> Any:
    """A duration in whole seconds."""
    return int(time.total_seconds()) if isinstance(time, datetime.timedelta) else time


def milliseconds(time: Seconds | Any) -> Any:
    """A duration in whole milliseconds."""
    return int(time.total_seconds() * 1000) if isinstance(time, datetime.timedelta) else time


def unix_seconds(when: Moment | Any) -> Any:
    """A point in time in seconds since 1970."""
    return int(when.timestamp()) if isinstance(when, datetime.datetime) else when


def unix_milliseconds(when: Moment | Any) -> Any:
    """A point in time in milliseconds since 1970."""
    return int(when.timestamp() * 1000) if isinstance(when, datetime.datetime) else when


def expiry(ex: Seconds | None, px: Seconds | None, exat: Moment | None, pxat: Moment | None, **keep: bool) -> Arguments:
    """EX, PX, EXAT or PXAT, or the one word in `keep` (KEEPTTL, PERSIST): they exclude each other."""
    ((word, kept),) = keep.items()
    if ex is None and px is None and exat is None and pxat is None:  # nearly always
        return [word.upper()] if kept else []
    if not at_most_one(ex is not None, px is not None, exat is not None, pxat is not None, kept):
        raise DataError(f"``ex``, ``px``, ``exat``, ``pxat``, and ``{word}`` are mutually exclusive.")
    if ex is not None:
        if isinstance(ex, str) and ex.isdigit():
            return ["EX", int(ex)]
        if not isinstance(ex, int | datetime.timedelta):
            raise DataError("ex must be datetime.timedelta or int")
        return ["EX", seconds(ex)]
    if px is not None:
        if not isinstance(px, int | datetime.timedelta):
            raise DataError("px must be datetime.timedelta or int")
        return ["PX", milliseconds(px)]
    if exat is not None:
        return ["EXAT", unix_seconds(exat)]
    return ["PXAT", unix_milliseconds(pxat)]


def limit(start: int | None, num: int | None) -> Arguments:
    """LIMIT start num; both or neither."""
    if (start is None) != (num is None):
        raise DataError("``start`` and ``num`` must both be specified")
    return option("LIMIT", start, num)


def scan_options(match: Pattern | None, count: int | None) -> Arguments:
    """MATCH and COUNT of the SCAN family."""
    return option("MATCH", match) + option("COUNT", count)
