"""Sets.  Redis docs: https://redis.io/docs/latest/commands/?group=set"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from libkv.api.arguments import Handle, Key, Keys, Pattern, Text, TextList, TextSet, Value, one_list, scan_options


class SetCommands(Handle):
    """Unordered collections of different strings.  Several keys may be given as one list or one by one."""

    def sadd(self, name: Key, *values: Value) -> int:
        """Adds members; returns how many are new.  Redis: SADD."""
        return self.execute_command("SADD", name, *values)

    def scard(self, name: Key) -> int:
        """How many members there are.  Redis: SCARD."""
        return self.execute_command("SCARD", name)

    def sdiff(self, keys: Keys, *args: Key) -> TextSet:
        """The members of the first set that are in none of the others.  Redis: SDIFF."""
        return self.execute_command("SDIFF", *one_list(keys, args))

    def sdiffstore(self, dest: Key, keys: Keys, *args: Key) -> int:
        """Stores `sdiff` of these keys at `dest`; returns its size.  Redis: SDIFFSTORE."""
        return self.execute_command("SDIFFSTORE", dest, *one_list(keys, args))

    def sinter(self, keys: Keys, *args: Key) -> TextSet:
        """The members that all the sets have.  Redis: SINTER."""
        return self.execute_command("SINTER", *one_list(keys, args))

    def sintercard(self, numkeys: int, keys: list[Key], limit: int = 0) -> int:
        """How many members all the sets have; stops counting at `limit` unless that is 0.  Redis: SINTERCARD."""
        return self.execute_command("SINTERCARD", numkeys, *keys, "LIMIT", limit)

    def sinterstore(self, dest: Key, keys: Keys, *args: Key) -> int:
        """Stores `sinter` of these keys at `dest`; returns its size.  Redis: SINTERSTORE."""
        return self.execute_command("SINTERSTORE", dest, *one_list(keys, args))

    def sismember(self, name: Key, value: Value) -> int:
        """1 if `value` is a member, else 0.  Redis: SISMEMBER."""
        return self.execute_command("SISMEMBER", name, value)

    def smembers(self, name: Key) -> TextSet:
        """All the members.  Redis: SMEMBERS."""
        return self.execute_command("SMEMBERS", name)

    def smismember(self, name: Key, values: Any, *args: Value) -> list[int]:
        """1 or 0 for each of the values, as `sismember`.  Redis: SMISMEMBER."""
        return self.execute_command("SMISMEMBER", name, *one_list(values, args))

    def smove(self, src: Key, dst: Key, value: Value) -> bool:
        """Moves a member from one set to another; returns whether it was there.  Redis: SMOVE."""
        return self.execute_command("SMOVE", src, dst, value)

    def spop(self, name: Key, count: int | None = None) -> Text | TextList | None:
        """Takes a member chosen at random, or a list of up to `count`.  Redis: SPOP."""
        return self.execute_command("SPOP", name, *([] if count is None else [count]))

    def srandmember(self, name: Key, number: int | None = None) -> Text | TextList | None:
        """A member chosen at random, or a list of up to `number` different ones (with repetitions if negative).

        Redis: SRANDMEMBER.
        """
        return self.execute_command("SRANDMEMBER", name, *([] if number is None else [number]))

    def srem(self, name: Key, *values: Value) -> int:
        """Removes members; returns how many there were.  Redis: SREM."""
        return self.execute_command("SREM", name, *values)

    def sscan(
        self, name: Key, cursor: int = 0, match: Pattern | None = None, count: int | None = None
    ) -> tuple[int, TextList]:
        """One step through the members: (next cursor, members); it ends with cursor 0.  Redis: SSCAN."""
        return self.execute_command("SSCAN", name, cursor, *scan_options(match, count))

    def sscan_iter(self, name: Key, match: Pattern | None = None, count: int | None = None) -> Iterator[Text]:
        """Iterates over the members of a set of any size, a step of SSCAN at a time."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = self.sscan(name, cursor=cursor, match=match, count=count)
            yield from data

    def sunion(self, keys: Keys, *args: Key) -> TextSet:
        """The members that any of the sets has.  Redis: SUNION."""
        return self.execute_command("SUNION", *one_list(keys, args))

    def sunionstore(self, dest: Key, keys: Keys, *args: Key) -> int:
        """Stores `sunion` of these keys at `dest`; returns its size.  Redis: SUNIONSTORE."""
        return self.execute_command("SUNIONSTORE", dest, *one_list(keys, args))
