"""Hashes: fields and values under one key.  Redis docs: https://redis.io/docs/latest/commands/?group=hash"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from libkv.api.arguments import (
    Arguments,
    Handle,
    Key,
    OptionalTexts,
    Pattern,
    Text,
    TextList,
    Value,
    flags,
    flat,
    one_list,
    scan_options,
)
from libkv.errors import DataError


class HashCommands(Handle):
    """Small dictionaries of strings."""

    def hdel(self, name: Key, *keys: Value) -> int:
        """Deletes fields; returns how many there were.  Redis: HDEL."""
        return self.execute_command("HDEL", name, *keys)

    def hexists(self, name: Key, key: Value) -> bool:
        """Whether the field exists.  Redis: HEXISTS."""
        return self.execute_command("HEXISTS", name, key)

    def hget(self, name: Key, key: Value) -> Text | None:
        """The value of one field, or None.  Redis: HGET."""
        return self.execute_command("HGET", name, key)

    def hgetall(self, name: Key) -> dict[Text, Text]:
        """All fields with their values; empty if the key is absent.  Redis: HGETALL."""
        return self.execute_command("HGETALL", name)

    def hincrby(self, name: Key, key: Value, amount: int = 1) -> int:
        """Adds `amount` to the integer in a field (0 if absent); returns the result.  Redis: HINCRBY."""
        return self.execute_command("HINCRBY", name, key, amount)

    def hincrbyfloat(self, name: Key, key: Value, amount: float = 1.0) -> float:
        """Adds `amount` to the number in a field (0 if absent); returns the result.  Redis: HINCRBYFLOAT."""
        return self.execute_command("HINCRBYFLOAT", name, key, amount)

    def hkeys(self, name: Key) -> TextList:
        """The names of all fields.  Redis: HKEYS."""
        return self.execute_command("HKEYS", name)

    def hlen(self, name: Key) -> int:
        """How many fields there are.  Redis: HLEN."""
        return self.execute_command("HLEN", name)

    def hmget(self, name: Key, keys: Any, *args: Value) -> OptionalTexts:
        """The values of these fields, in their order; None for each that is absent.  Redis: HMGET."""
        return self.execute_command("HMGET", name, *one_list(keys, args))

    def hmset(self, name: Key, mapping: Mapping[Any, Value]) -> bool:
        """Sets each field of the mapping; `hset` does that too and counts the new ones.  Redis: HMSET."""
        if not mapping:
            raise DataError("'hmset' with 'mapping' of length 0")
        return self.execute_command("HMSET", name, *flat(mapping))

    def hrandfield(self, key: Key, count: int | None = None, withvalues: bool = False) -> Text | TextList | None:
        """A field chosen at random, or a list of `count` different ones (with repetitions if `count` is negative).

        withvalues: each is followed by its value.  Redis: HRANDFIELD.
        """
        wanted = ([] if count is None else [count]) + flags(withvalues=withvalues)
        return self.execute_command("HRANDFIELD", key, *wanted, withvalues=withvalues)

    def hscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Pattern | None = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> tuple[int, Any]:
        """One step through the fields: (next cursor, {field: value}); it ends with cursor 0.

        no_values: fields only, as a list: an option of servers newer than 7.0, refused by this one.  Redis: HSCAN.
        """
        words = scan_options(match, count) + ([] if no_values is None else ["NOVALUES"])
        return self.execute_command("HSCAN", name, cursor, *words, no_values=no_values)

    def hscan_iter(
        self, name: Key, match: Pattern | None = None, count: int | None = None, no_values: bool | None = None
    ) -> Iterator[Any]:
        """Iterates over (field, value) of a hash of any size, a step of HSCAN at a time."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = self.hscan(name, cursor=cursor, match=match, count=count, no_values=no_values)
            yield from data if no_values else data.items()

    def hset(
        self,
        name: Key,
        key: Value | None = None,
        value: Value | None = None,
        mapping: Mapping[Any, Value] | None = None,
        items: Arguments | None = None,
    ) -> int:
        """Sets fields, given as one pair, as a mapping, as a flat list, or all together; returns how many are new.

        Redis: HSET.
        """
        if key is None and not mapping and not items:
            raise DataError("'hset' with no key value pairs")
        pair = [] if key is None else [key, value]
        return self.execute_command("HSET", name, *(items or []), *pair, *flat(mapping or {}))

    def hsetnx(self, name: Key, key: Value, value: Value) -> int:
        """Sets one field if it is absent; returns 1 if it did, else 0.  Redis: HSETNX."""
        return self.execute_command("HSETNX", name, key, value)

    def hstrlen(self, name: Key, key: Value) -> int:
        """The length of a field's value in bytes; 0 if absent.  Redis: HSTRLEN."""
        return self.execute_command("HSTRLEN", name, key)

    def hvals(self, name: Key) -> TextList:
        """The values of all fields.  Redis: HVALS."""
        return self.execute_command("HVALS", name)
