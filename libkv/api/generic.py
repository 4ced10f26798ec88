"""Keys of any type.  Redis docs: https://redis.io/docs/latest/commands/?group=generic"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from libkv.api.arguments import (
    Arguments,
    Handle,
    Key,
    Keys,
    Moment,
    Pattern,
    Seconds,
    Text,
    TextList,
    Value,
    flags,
    limit,
    milliseconds,
    one_list,
    option,
    scan_options,
    seconds,
    unix_milliseconds,
    unix_seconds,
)
from libkv.errors import DataError


def _whole(value: Any, otherwise: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise DataError(otherwise) from None


class GenericCommands(Handle):
    """Finding, naming, copying, deleting keys, and how long they live.

    The four conditions of the expire family: nx: only if the key has no time to live, xx: only if it has one,
    gt, lt: only if the new one is longer, shorter.
    """

    def __contains__(self, name: Key) -> bool:
        """Whether the key exists."""
        return bool(self.exists(name))

    def __delitem__(self, name: Key) -> None:
        """Deletes the key; no error if there is none."""
        self.delete(name)

    def copy(self, source: Key, destination: Key, destination_db: Any = None, replace: bool = False) -> bool:
        """Copies a value, into another database with `destination_db`, over what is there with `replace`.

        Returns whether it was copied.  Redis: COPY.
        """
        words = option("DB", destination_db) + flags(replace=replace)
        return self.execute_command("COPY", source, destination, *words)

    def delete(self, *names: Key) -> int:
        """Deletes keys; returns how many there were.  Redis: DEL."""
        return self.execute_command("DEL", *names)

    def dump(self, name: Key) -> bytes | None:
        """The value as opaque bytes for `restore`, here or in a Redis; None without the key.  Redis: DUMP."""
        return self.execute_command("DUMP", name, NEVER_DECODE=True)

    def exists(self, *names: Key) -> int:
        """How many of these keys exist; one given twice counts twice.  Redis: EXISTS."""
        return self.execute_command("EXISTS", *names)

    def expire(
        self, name: Key, time: Seconds, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> bool:
        """Lets the key end in `time` seconds (or a timedelta); returns whether that was set.  Redis: EXPIRE."""
        return self.execute_command("EXPIRE", name, seconds(time), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    def expireat(
        self, name: Key, when: Moment, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> bool:
        """Lets the key end at `when`, in seconds since 1970 or a datetime; else as `expire`.  Redis: EXPIREAT."""
        return self.execute_command("EXPIREAT", name, unix_seconds(when), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    def expiretime(self, key: Key) -> int:
        """When the key ends, in seconds since 1970; -1: never, -2: there is no such key.  Redis: EXPIRETIME."""
        return self.execute_command("EXPIRETIME", key)

    def keys(self, pattern: Pattern = "*", **kwargs: Any) -> TextList:
        """All keys that match a pattern, in one go: see `scan_iter` for large stores.  Redis: KEYS."""
        return self.execute_command("KEYS", pattern, **kwargs)

    def move(self, name: Key, db: int) -> bool:
        """Moves a key to another database, unless one of this name is there; returns whether it did.  Redis: MOVE."""
        return self.execute_command("MOVE", name, db)

    def object(self, infotype: str, key: Key, **kwargs: Any) -> Any:
        """What is known about a value: its ENCODING, REFCOUNT, IDLETIME in seconds, or FREQ.  Redis: OBJECT."""
        return self.execute_command("OBJECT", infotype, key, infotype=infotype, **kwargs)

    def migrate(
        self,
        host: str,
        port: int,
        keys: Keys,
        destination_db: int,
        timeout: int,
        copy: bool = False,
        replace: bool = False,
        auth: str | None = None,
        **kwargs: Any,
    ) -> Text:
        """Moves keys to another server, waiting at most `timeout` milliseconds for each step; the store stands still.

        copy: they stay here too; replace: over what is there; auth: that server's password.  Returns b"OK", or b"NOKEY"
        when none of the keys exists.  Redis: MIGRATE.
        """
        names = one_list(keys, [])
        if not names:
            raise DataError("MIGRATE requires at least one key")
        words = [*flags(copy=copy, replace=replace), *(["AUTH", auth] if auth else []), "KEYS", *names]
        return self.execute_command("MIGRATE", host, port, "", destination_db, timeout, *words, **kwargs)

    def persist(self, name: Key) -> bool:
        """Takes the time to live off a key; returns whether it had one.  Redis: PERSIST."""
        return self.execute_command("PERSIST", name)

    def pexpire(
        self, name: Key, time: Seconds, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> bool:
        """As `expire`, in milliseconds.  Redis: PEXPIRE."""
        return self.execute_command("PEXPIRE", name, milliseconds(time), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    def pexpireat(
        self, name: Key, when: Moment, nx: bool = False, xx: bool = False, gt: bool = False, lt: bool = False
    ) -> bool:
        """As `expireat`, in milliseconds.  Redis: PEXPIREAT."""
        return self.execute_command("PEXPIREAT", name, unix_milliseconds(when), *flags(nx=nx, xx=xx, gt=gt, lt=lt))

    def pexpiretime(self, key: Key) -> int:
        """As `expiretime`, in milliseconds.  Redis: PEXPIRETIME."""
        return self.execute_command("PEXPIRETIME", key)

    def pttl(self, name: Key) -> int:
        """As `ttl`, in milliseconds.  Redis: PTTL."""
        return self.execute_command("PTTL", name)

    def randomkey(self, **kwargs: Any) -> Text | None:
        """A key chosen at random, or None if there is none.  Redis: RANDOMKEY."""
        return self.execute_command("RANDOMKEY", **kwargs)

    def rename(self, src: Key, dst: Key) -> bool:
        """Renames a key, over what is there.  Redis: RENAME."""
        return self.execute_command("RENAME", src, dst)

    def renamenx(self, src: Key, dst: Key) -> bool:
        """Renames a key if the new name is free; returns whether it did.  Redis: RENAMENX."""
        return self.execute_command("RENAMENX", src, dst)

    def restore(
        self,
        name: Key,
        ttl: float,
        value: Value,
        replace: bool = False,
        absttl: bool = False,
        idletime: int | None = None,
        frequency: int | None = None,
    ) -> Text:
        """Makes a key from the bytes of a `dump`; ttl: milliseconds to live, 0 without.

        replace: over what is there, else that is an error; absttl: `ttl` is a Unix time in milliseconds; idletime (s),
        frequency: as if the key had been used so.  Redis: RESTORE.
        """
        words = flags(replace=replace, absttl=absttl)
        if idletime is not None:
            words += option("IDLETIME", _whole(idletime, "idletimemust be an integer"))
        if frequency is not None:
            words += option("FREQ", _whole(frequency, "frequency must be an integer"))
        return self.execute_command("RESTORE", name, ttl, value, *words)

    def scan(
        self,
        cursor: int = 0,
        match: Pattern | None = None,
        count: int | None = None,
        _type: str | None = None,
        **kwargs: Any,
    ) -> tuple[int, TextList]:
        """One step through the keys: (next cursor, keys); it ends with cursor 0.

        match: a pattern.  count: about how many to look at.  _type: only keys of this type.  What exists from the first
        to the last step is given at least once, whatever is added and deleted meanwhile.  Redis: SCAN.
        """
        words: Arguments = scan_options(match, count) + option("TYPE", _type)
        return self.execute_command("SCAN", cursor, *words, **kwargs)

    def scan_iter(
        self, match: Pattern | None = None, count: int | None = None, _type: str | None = None, **kwargs: Any
    ) -> Iterator[Text]:
        """Iterates over the keys, a step of SCAN at a time; a key may come twice."""
        cursor: Any = "0"
        while cursor != 0:
            cursor, data = self.scan(cursor=cursor, match=match, count=count, _type=_type, **kwargs)
            yield from data

    def sort(
        self,
        name: Key,
        start: int | None = None,
        num: int | None = None,
        by: str | None = None,
        get: list[str] | None = None,
        desc: bool = False,
        alpha: bool = False,
        store: str | None = None,
        groups: bool | None = False,
    ) -> Any:
        """The elements of a list, set or sorted set in order; `start` and `num`: only some of them.

        by: a key's name with a "*" for the element, whose value it is sorted by; "name->field": a hash's field;
        without a "*" nothing is sorted.  get: a key's name, or several, whose values are answered for each element; "#"
        is the element itself.  groups: as tuples, one for each element.  alpha: as texts, not as numbers.
        store: puts the result into a list, and returns its length.  Redis: SORT.
        """
        words = self._sort_words(start, num, by, get, desc, alpha) + option("STORE", store)
        if not groups:
            return self.execute_command("SORT", name, *words)
        if not get or isinstance(get, bytes | str) or len(get) < 2:
            raise DataError('when using "groups" the "get" argument must be specified and contain at least two keys')
        return self.execute_command("SORT", name, *words, groups=len(get))

    def sort_ro(
        self,
        key: str,
        start: int | None = None,
        num: int | None = None,
        by: str | None = None,
        get: list[str] | None = None,
        desc: bool = False,
        alpha: bool = False,
    ) -> TextList:
        """As `sort`, without storing.  Redis: SORT_RO."""
        return self.execute_command("SORT_RO", key, *self._sort_words(start, num, by, get, desc, alpha))

    @staticmethod
    def _sort_words(
        start: int | None,
        num: int | None,
        by: str | None,
        get: list[str] | None,
        desc: bool,
        alpha: bool,
    ) -> Arguments:
        words = option("BY", by) + limit(start, num)
        patterns = [] if get is None else [get] if isinstance(get, bytes | str) else get
        words += [word for pattern in patterns for word in ("GET", pattern)]
        return words + flags(desc=desc, alpha=alpha)

    def touch(self, *args: Key) -> int:
        """Marks keys as used just now; returns how many there were.  Redis: TOUCH."""
        return self.execute_command("TOUCH", *args)

    def ttl(self, name: Key) -> int:
        """The time to live in seconds; -1: without end, -2: there is no such key.  Redis: TTL."""
        return self.execute_command("TTL", name)

    def type(self, name: Key) -> Text:
        """string, list, set, zset, hash, stream, or none.  Redis: TYPE."""
        return self.execute_command("TYPE", name)

    def unlink(self, *names: Key) -> int:
        """As `delete`; large values are freed little by little afterwards.  Redis: UNLINK."""
        return self.execute_command("UNLINK", *names)
