"""Sorted sets.  Redis docs: https://redis.io/docs/latest/commands/?group=sorted-set

Bounds of scores are numbers, or "(1.5" for one that is excluded itself; bounds of members (`bylex`) are "[a" and "(a",
and "-" and "+" for the ends.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from libkv.api.arguments import (
    Arguments,
    Bound,
    Handle,
    Key,
    Keys,
    Pattern,
    Text,
    TextList,
    Value,
    flags,
    limit,
    one_list,
    scan_options,
)
from libkv.errors import DataError

Cast = type | Callable[..., Any]  # makes a score of the bytes of one; float unless told otherwise
Members = TextList | list[tuple[Text, Any]]  # members, or (member, score) with withscores
Weighted = Sequence[Key] | Mapping[Any, float]  # keys, or keys with the factors of their scores


class SortedSetCommands(Handle):
    """Sets whose members have a score, and are ordered by it, then by their bytes."""

    def zadd(
        self,
        name: Key,
        mapping: Mapping[Any, Value],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> int | float | None:
        """Adds or updates {member: score}; returns how many are new (with `ch`: new or changed).

        nx: only new members.  xx: only members that exist.  gt, lt: only if the new score is greater, less.
        incr: adds to the score of the one member given; returns the result, or None when a condition forbade it.
        Redis: ZADD.
        """
        if not mapping:
            raise DataError("ZADD requires at least one element/score pair")
        if nx and xx:
            raise DataError("ZADD allows either 'nx' or 'xx', not both")
        if gt and lt:
            raise DataError("ZADD allows either 'gt' or 'lt', not both")
        if incr and len(mapping) != 1:
            raise DataError("ZADD option 'incr' only works when passing a single element/score pair")
        if nx and (gt or lt):
            raise DataError("Only one of 'nx', 'lt', or 'gr' may be defined.")
        words = flags(nx=nx, xx=xx, ch=ch, incr=incr, gt=gt, lt=lt)
        scores = [item for member, score in mapping.items() for item in (score, member)]
        return self.execute_command("ZADD", name, *words, *scores)

    def zcard(self, name: Key) -> int:
        """How many members there are.  Redis: ZCARD."""
        return self.execute_command("ZCARD", name)

    def zcount(self, name: Key, min: Bound, max: Bound) -> int:
        """How many members have a score from `min` to `max`.  Redis: ZCOUNT."""
        return self.execute_command("ZCOUNT", name, min, max)

    def zdiff(self, keys: Sequence[Key], withscores: bool = False) -> TextList:
        """The members of the first set that are in none of the others.

        withscores: each is followed by its score, as bytes.  Redis: ZDIFF.
        """
        words = flags(withscores=withscores)
        return self.execute_command("ZDIFF", len(keys), *keys, *words, withscores=withscores)

    def zdiffstore(self, dest: Key, keys: Sequence[Key]) -> int:
        """Stores `zdiff` of these keys at `dest`; returns its size.  Redis: ZDIFFSTORE."""
        return self.execute_command("ZDIFFSTORE", dest, len(keys), *keys)

    def zincrby(self, name: Key, amount: float, value: Value) -> float:
        """Adds `amount` to the score of a member (0 if absent); returns the result.  Redis: ZINCRBY."""
        return self.execute_command("ZINCRBY", name, amount, value)

    def zinter(self, keys: Weighted, aggregate: str | None = None, withscores: bool = False) -> Members:
        """The members that all the sets have; see `zunion`.  Redis: ZINTER."""
        return self._aggregate("ZINTER", [], keys, aggregate, withscores=withscores)

    def zintercard(self, numkeys: int, keys: Sequence[Key], limit: int = 0) -> int:
        """How many members all the sets have; stops counting at `limit` unless that is 0.  Redis: ZINTERCARD."""
        return self.execute_command("ZINTERCARD", numkeys, *keys, "LIMIT", limit)

    def zinterstore(self, dest: Key, keys: Weighted, aggregate: str | None = None) -> int:
        """Stores `zinter` of these keys at `dest`; returns its size.  Redis: ZINTERSTORE."""
        return self._aggregate("ZINTERSTORE", [dest], keys, aggregate)

    def zlexcount(self, name: Key, min: Value, max: Value) -> int:
        """How many members lie from `min` to `max` by their bytes, all scores being the same.  Redis: ZLEXCOUNT."""
        return self.execute_command("ZLEXCOUNT", name, min, max)

    def bzmpop(
        self,
        timeout: float,
        numkeys: int,
        keys: list[Any],
        min: bool | None = False,
        max: bool | None = False,
        count: int | None = 1,
    ) -> list[Any] | None:
        """As `zmpop`, and waits up to `timeout` seconds (0: for ever) for one of the sets.  Redis: BZMPOP."""
        if bool(min) == bool(max):
            raise DataError("Either min or max, but not both must be set")
        return self.execute_command("BZMPOP", timeout, numkeys, *keys, "MIN" if min else "MAX", "COUNT", count)

    def bzpopmax(self, keys: Keys, timeout: float | None = 0) -> tuple[Text, Text, float] | None:
        """Takes the highest member of the first of these sets that has any; waits up to `timeout` seconds for it.

        Returns (key, member, score), or None if none came.  timeout 0 or None: for ever.  Redis: BZPOPMAX.
        """
        return self.execute_command("BZPOPMAX", *one_list(keys, [0 if timeout is None else timeout]))

    def bzpopmin(self, keys: Keys, timeout: float | None = 0) -> tuple[Text, Text, float] | None:
        """As `bzpopmax`, for the lowest member.  Redis: BZPOPMIN."""
        return self.execute_command("BZPOPMIN", *one_list(keys, [0 if timeout is None else timeout]))

    def zmpop(
        self, num_keys: int, keys: list[Any], min: bool | None = False, max: bool | None = False, count: int | None = 1
    ) -> list[Any] | None:
        """Takes the `count` members with the lowest (`min`) or highest (`max`) scores of the first set that has any.

        Returns [key, [[member, score as bytes], ...]] or None.  Redis: ZMPOP.
        """
        if bool(min) == bool(max):
            raise DataError
        wanted = [] if count == 1 else ["COUNT", count]
        return self.execute_command("ZMPOP", num_keys, *keys, "MIN" if min else "MAX", *wanted)

    def zmscore(self, key: Key, members: list[Any]) -> list[float | None]:
        """The scores of these members, in their order; None for each that is absent.  Redis: ZMSCORE."""
        if not members:
            raise DataError("ZMSCORE members must be a non-empty list")
        return self.execute_command("ZMSCORE", key, *members)

    def zpopmax(self, name: Key, count: int | None = None) -> list[tuple[Text, float]]:
        """Takes the member with the highest score, or the highest `count`.  Redis: ZPOPMAX."""
        return self.execute_command("ZPOPMAX", name, *([] if count is None else [count]), withscores=True)

    def zpopmin(self, name: Key, count: int | None = None) -> list[tuple[Text, float]]:
        """Takes the member with the lowest score, or the lowest `count`.  Redis: ZPOPMIN."""
        return self.execute_command("ZPOPMIN", name, *([] if count is None else [count]), withscores=True)

    def zrandmember(self, key: Key, count: int | None = None, withscores: bool = False) -> Text | TextList | None:
        """A member chosen at random, or a list of `count` different ones (with repetitions if `count` is negative).

        withscores: each is followed by its score, as bytes.  Redis: ZRANDMEMBER.
        """
        words = ([] if count is None else [count]) + flags(withscores=withscores)
        return self.execute_command("ZRANDMEMBER", key, *words, withscores=withscores)

    def zrange(
        self,
        name: Key,
        start: Value,
        end: Value,
        desc: bool = False,
        withscores: bool = False,
        score_cast_func: Cast = float,
        byscore: bool = False,
        bylex: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Members:
        """The members from `start` to `end`, both included: by rank, by score (`byscore`) or by bytes (`bylex`).

        desc: from the highest to the lowest (bounds too).  offset, num: this part of the result.
        withscores: (member, score) pairs, the scores made by `score_cast_func`.  Redis: ZRANGE.
        """
        if desc and not byscore and not bylex and offset is None and num is None:
            return self.zrevrange(name, start, end, withscores, score_cast_func)
        words = _range(name, start, end, desc, byscore, bylex, offset, num, withscores)
        return self.execute_command("ZRANGE", *words, withscores=withscores, score_cast_func=score_cast_func)

    def zrangestore(
        self,
        dest: Key,
        name: Key,
        start: Value,
        end: Value,
        byscore: bool = False,
        bylex: bool = False,
        desc: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> int:
        """Stores `zrange` at `dest`; returns its size.  Redis: ZRANGESTORE."""
        return self.execute_command("ZRANGESTORE", dest, *_range(name, start, end, desc, byscore, bylex, offset, num))

    def zrangebylex(
        self, name: Key, min: Value, max: Value, start: int | None = None, num: int | None = None
    ) -> TextList:
        """The members from `min` to `max` by their bytes, all scores being the same.  Redis: ZRANGEBYLEX."""
        return self.execute_command("ZRANGEBYLEX", name, min, max, *limit(start, num))

    def zrangebyscore(
        self,
        name: Key,
        min: Bound,
        max: Bound,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Members:
        """The members with a score from `min` to `max`, of which `num` after the first `start`.

        Redis: ZRANGEBYSCORE.
        """
        words = limit(start, num) + flags(withscores=withscores)
        shape = {"withscores": withscores, "score_cast_func": score_cast_func}
        return self.execute_command("ZRANGEBYSCORE", name, min, max, *words, **shape)

    def zrank(
        self, name: Key, value: Value, withscore: bool = False, score_cast_func: Cast = float
    ) -> int | list[Any] | None:
        """How many members have a lower score; None if `value` is no member.

        withscore: [rank, score]: an option of servers newer than 7.0, refused by this one.  Redis: ZRANK.
        """
        shape = {"withscore": withscore, "score_cast_func": score_cast_func}
        return self.execute_command("ZRANK", name, value, *flags(withscore=withscore), **shape)

    def zrem(self, name: Key, *values: Value) -> int:
        """Removes members; returns how many there were.  Redis: ZREM."""
        return self.execute_command("ZREM", name, *values)

    def zremrangebylex(self, name: Key, min: Value, max: Value) -> int:
        """Removes what `zrangebylex` would give; returns how many.  Redis: ZREMRANGEBYLEX."""
        return self.execute_command("ZREMRANGEBYLEX", name, min, max)

    def zremrangebyrank(self, name: Key, min: int, max: int) -> int:
        """Removes the members with ranks from `min` to `max`; returns how many.  Redis: ZREMRANGEBYRANK."""
        return self.execute_command("ZREMRANGEBYRANK", name, min, max)

    def zremrangebyscore(self, name: Key, min: Bound, max: Bound) -> int:
        """Removes the members with a score from `min` to `max`; returns how many.  Redis: ZREMRANGEBYSCORE."""
        return self.execute_command("ZREMRANGEBYSCORE", name, min, max)

    def zrevrange(
        self, name: Key, start: Value, end: Value, withscores: bool = False, score_cast_func: Cast = float
    ) -> Members:
        """As `zrange` by rank, the highest score first.  Redis: ZREVRANGE."""
        shape = {"withscores": withscores, "score_cast_func": score_cast_func}
        return self.execute_command("ZREVRANGE", name, start, end, *flags(withscores=withscores), **shape)

    def zrevrangebylex(
        self, name: Key, max: Value, min: Value, start: int | None = None, num: int | None = None
    ) -> TextList:
        """As `zrangebylex`, backwards.  Redis: ZREVRANGEBYLEX."""
        return self.execute_command("ZREVRANGEBYLEX", name, max, min, *limit(start, num))

    def zrevrangebyscore(
        self,
        name: Key,
        max: Bound,
        min: Bound,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Members:
        """As `zrangebyscore`, the highest score first.  Redis: ZREVRANGEBYSCORE."""
        words = limit(start, num) + flags(withscores=withscores)
        shape = {"withscores": withscores, "score_cast_func": score_cast_func}
        return self.execute_command("ZREVRANGEBYSCORE", name, max, min, *words, **shape)

    def zrevrank(
        self, name: Key, value: Value, withscore: bool = False, score_cast_func: Cast = float
    ) -> int | list[Any] | None:
        """How many members have a higher score; else as `zrank`.  Redis: ZREVRANK."""
        shape = {"withscore": withscore, "score_cast_func": score_cast_func}
        return self.execute_command("ZREVRANK", name, value, *flags(withscore=withscore), **shape)

    def zscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Pattern | None = None,
        count: int | None = None,
        score_cast_func: Cast = float,
    ) -> tuple[int, list[tuple[Text, Any]]]:
        """One step through the members: (next cursor, [(member, score), ...]); it ends with cursor 0.  Redis: ZSCAN."""
        words = scan_options(match, count)
        return self.execute_command("ZSCAN", name, cursor, *words, score_cast_func=score_cast_func)

    def zscan_iter(
        self, name: Key, match: Pattern | None = None, count: int | None = None, score_cast_func: Cast = float
    ) -> Iterator[tuple[Text, Any]]:
        """Iterates over (member, score) of a sorted set of any size, a step of ZSCAN at a time."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = self.zscan(name, cursor, match, count, score_cast_func)
            yield from data

    def zscore(self, name: Key, value: Value) -> float | None:
        """The score of a member, or None.  Redis: ZSCORE."""
        return self.execute_command("ZSCORE", name, value)

    def zunion(
        self, keys: Weighted, aggregate: str | None = None, withscores: bool = False, score_cast_func: Cast = float
    ) -> Members:
        """The members that any of the sets has, their scores added up (or the MIN or MAX, with `aggregate`).

        keys: a mapping gives each set's scores a factor.  withscores: as in `zrange`.  Redis: ZUNION.
        """
        shape = {"withscores": withscores, "score_cast_func": score_cast_func}
        return self._aggregate("ZUNION", [], keys, aggregate, **shape)

    def zunionstore(self, dest: Key, keys: Weighted, aggregate: str | None = None) -> int:
        """Stores `zunion` of these keys at `dest`; returns its size.  Redis: ZUNIONSTORE."""
        return self._aggregate("ZUNIONSTORE", [dest], keys, aggregate)

    def _aggregate(self, command: str, dest: Arguments, keys: Weighted, aggregate: str | None, **shape: Any) -> Any:
        words: Arguments = []
        if isinstance(keys, Mapping) and keys:
            words = ["WEIGHTS", *keys.values()]
        if aggregate:
            if aggregate.upper() not in ("SUM", "MIN", "MAX", "COUNT"):
                raise DataError("aggregate can be sum, min, max or count.")
            words += ["AGGREGATE", aggregate]
        words += flags(withscores=shape.get("withscores"))
        return self.execute_command(command, *dest, len(keys), *keys, *words, **shape)


def _range(
    name: Key,
    start: Value,
    end: Value,
    desc: bool,
    byscore: bool,
    bylex: bool,
    offset: int | None,
    num: int | None,
    withscores: bool = False,
) -> Arguments:
    """What follows ZRANGE and ZRANGESTORE."""
    if byscore and bylex:
        raise DataError("``byscore`` and ``bylex`` can not be specified together.")
    if (offset is None) != (num is None):
        raise DataError("``offset`` and ``num`` must both be specified.")
    if bylex and withscores:
        raise DataError("``withscores`` not supported in combination with ``bylex``.")
    order = flags(byscore=byscore, bylex=bylex, rev=desc)
    return [name, start, end, *order, *limit(offset, num), *flags(withscores=withscores)]
