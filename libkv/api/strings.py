"""Strings and counters.  Redis docs: https://redis.io/docs/latest/commands/?group=string"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libkv.api.arguments import (
    Arguments,
    Handle,
    Key,
    Keys,
    Moment,
    OptionalTexts,
    Seconds,
    Text,
    Value,
    at_most_one,
    expiry,
    flags,
    flat,
    milliseconds,
    one_list,
    option,
    seconds,
)
from libkv.errors import DataError


class StringCommands(Handle):
    """Values that are one string: bytes, a number to count with."""

    def append(self, key: Key, value: Value) -> int:
        """Adds `value` at the end of the string; returns its new length in bytes.  Redis: APPEND."""
        return self.execute_command("APPEND", key, value)

    def decr(self, name: Key, amount: int = 1) -> int:
        """The same as `decrby`.  Redis: DECRBY."""
        return self.decrby(name, amount)

    def decrby(self, name: Key, amount: int = 1) -> int:
        """Subtracts `amount` from the integer at `name` (0 if absent); returns the result.  Redis: DECRBY."""
        return self.execute_command("DECRBY", name, amount)

    def get(self, name: Key) -> Text | None:
        """The string at `name`, or None if there is none.  Redis: GET."""
        return self.execute_command("GET", name)

    def __getitem__(self, name: Key) -> Text:
        """The string at `name`; KeyError if there is none."""
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def getdel(self, name: Key) -> Text | None:
        """The string at `name`, which is deleted by the same step.  Redis: GETDEL."""
        return self.execute_command("GETDEL", name)

    def getex(
        self,
        name: Key,
        ex: Seconds | None = None,
        px: Seconds | None = None,
        exat: Moment | None = None,
        pxat: Moment | None = None,
        persist: bool = False,
    ) -> Text | None:
        """The string at `name`; sets its time to live as `set` does, or takes it off (`persist`).  Redis: GETEX."""
        return self.execute_command("GETEX", name, *expiry(ex, px, exat, pxat, persist=persist))

    def getrange(self, key: Key, start: int, end: int) -> Text:
        """The bytes from `start` to `end`, both included, negative ones counted from the end.  Redis: GETRANGE."""
        return self.execute_command("GETRANGE", key, start, end)

    def getset(self, name: Key, value: Value) -> Text | None:
        """Stores `value` and returns what was there before; a time to live is gone.  Redis: GETSET."""
        return self.execute_command("GETSET", name, value)

    def incr(self, name: Key, amount: int = 1) -> int:
        """The same as `incrby`.  Redis: INCRBY."""
        return self.incrby(name, amount)

    def incrby(self, name: Key, amount: int = 1) -> int:
        """Adds `amount` to the integer at `name` (0 if absent); returns the result.  Redis: INCRBY."""
        return self.execute_command("INCRBY", name, amount)

    def incrbyfloat(self, name: Key, amount: float = 1.0) -> float:
        """Adds `amount` to the number at `name` (0 if absent); returns the result.  Redis: INCRBYFLOAT."""
        return self.execute_command("INCRBYFLOAT", name, amount)

    def lcs(
        self,
        key1: str,
        key2: str,
        len: bool = False,
        idx: bool = False,
        minmatchlen: int | None = 0,
        withmatchlen: bool = False,
    ) -> Text | int | list[Any]:
        """The longest common subsequence of two strings: its text, its length (`len`), or its places (`idx`).

        Redis: LCS.
        """
        minimum = option("MINMATCHLEN", minmatchlen or None)
        wanted = flags(len=len, idx=idx) + minimum + flags(withmatchlen=withmatchlen)
        return self.execute_command("LCS", key1, key2, *wanted)

    def mget(self, keys: Keys, *args: Value) -> OptionalTexts:
        """The strings at these keys, in their order; None for each that is absent or no string.  Redis: MGET."""
        names = one_list(keys, args)
        return self.execute_command("MGET", *names, **({} if names else {"EMPTY_RESPONSE": []}))

    def mset(self, mapping: Mapping[Any, Value]) -> bool:
        """Stores each value under its key, all in one step.  Redis: MSET."""
        return self.execute_command("MSET", *flat(mapping))

    def msetnx(self, mapping: Mapping[Any, Value]) -> bool:
        """Stores all the values if none of the keys exists; returns whether it did.  Redis: MSETNX."""
        return self.execute_command("MSETNX", *flat(mapping))

    def psetex(self, name: Key, time_ms: Seconds, value: Value) -> bool:
        """Stores `value` with a time to live in milliseconds or as a timedelta.  Redis: PSETEX."""
        return self.execute_command("PSETEX", name, milliseconds(time_ms), value)

    def set(
        self,
        name: Key,
        value: Value,
        ex: Seconds | None = None,
        px: Seconds | None = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: Moment | None = None,
        pxat: Moment | None = None,
        ifeq: Text | None = None,
        ifne: Text | None = None,
        ifdeq: str | None = None,
        ifdne: str | None = None,
    ) -> bool | Text | None:
        """Stores `value`: only if the key is absent (`nx`) or present (`xx`).

        ex, px: time to live in seconds, milliseconds, or as a timedelta.  exat, pxat: the moment it ends, in seconds or
        milliseconds since 1970, or a datetime.  keepttl: keeps the time to live the key had, else it is dropped.
        get: returns the old value.  ifeq, ifne, ifdeq, ifdne: of servers newer than 7.0, refused by this one.
        Returns True, None when a condition kept it from storing, or the old value.  Redis: SET.
        """
        end = expiry(ex, px, exat, pxat, keepttl=keepttl)
        if not at_most_one(nx, xx, ifeq is not None, ifne is not None, ifdeq is not None, ifdne is not None):
            raise DataError("``nx``, ``xx``, ``ifeq``, ``ifne``, ``ifdeq``, ``ifdne`` are mutually exclusive.")
        condition: Arguments = flags(nx=nx, xx=xx)
        condition += option("IFEQ", ifeq) + option("IFNE", ifne) + option("IFDEQ", ifdeq) + option("IFDNE", ifdne)
        if get:
            return self.execute_command("SET", name, value, *condition, "GET", *end, get=True)
        return self.execute_command("SET", name, value, *condition, *end)

    def __setitem__(self, name: Key, value: Value) -> None:
        """Stores `value` without a time to live."""
        self.set(name, value)

    def setex(self, name: Key, time: Seconds, value: Value) -> bool:
        """Stores `value` with a time to live in seconds or as a timedelta.  Redis: SETEX."""
        return self.execute_command("SETEX", name, seconds(time), value)

    def setnx(self, name: Key, value: Value) -> bool:
        """Stores `value` if the key is absent; returns whether it did.  Redis: SETNX."""
        return self.execute_command("SETNX", name, value)

    def setrange(self, name: Key, offset: int, value: Value) -> int:
        """Writes over the bytes from `offset` on, after zero bytes if it lies behind the end; returns the length.

        Redis: SETRANGE.
        """
        return self.execute_command("SETRANGE", name, offset, value)

    def strlen(self, name: Key) -> int:
        """The length of the string in bytes; 0 if absent.  Redis: STRLEN."""
        return self.execute_command("STRLEN", name)

    def substr(self, name: Key, start: int, end: int = -1) -> Text:
        """The same as `getrange`, under its oldest name.  Redis: SUBSTR."""
        return self.execute_command("SUBSTR", name, start, end)
