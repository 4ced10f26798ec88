"""Streams.  Redis docs: https://redis.io/docs/latest/commands/?group=stream

An ID is "ms-seq", or ms alone; "-" and "+" stand for the ends of a stream, "(" in front excludes a bound, "*" is a new
entry's ID, "$" the last one, ">" what no consumer of a group has been given yet.  An entry is (ID, {field: value}).
What Redis 7.0 does not know (`ref_policy`, `idmp`, `max_count`, ...) is sent as redis-py sends it, and refused.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from libkv.api.arguments import Arguments, Handle, Key, Text, TextList, Value, flags, option
from libkv.errors import DataError

StreamId = bytes | str | int | memoryview
Entry = tuple[Text | None, dict[Text, Text] | None]
Policy = Literal["KEEPREF", "DELREF", "ACKED"]


class StreamCommands(Handle):
    """Entries of fields and values in order of their IDs, and groups of consumers that share them out."""

    def xack(self, name: Key, groupname: Key, *ids: StreamId) -> int:
        """Marks entries as done by the group; returns how many were pending.  Redis: XACK."""
        return self.execute_command("XACK", name, groupname, *ids)

    def xadd(
        self,
        name: Key,
        fields: dict[Any, Value],
        id: StreamId = "*",
        maxlen: int | None = None,
        approximate: bool = True,
        nomkstream: bool = False,
        minid: StreamId | None = None,
        limit: int | None = None,
        ref_policy: Policy | None = None,
        idmpauto: str | None = None,
        idmp: tuple[str, bytes] | None = None,
    ) -> Text | None:
        """Appends an entry; returns its ID, or None when `nomkstream` forbids to make the stream.

        maxlen, minid: then removes the oldest entries beyond so many, or below this ID; `approximate` ones may stay
        until a whole node of entries can go, and at most `limit` are removed.
        Redis: XADD.
        """
        if maxlen is not None and minid is not None:
            raise DataError("Only one of ```maxlen``` or ```minid``` may be specified")
        if idmpauto is not None and idmp is not None:
            raise DataError("Only one of ```idmpauto``` or ```idmp``` may be specified")
        if (idmpauto is not None or idmp is not None) and id != "*":
            raise DataError("IDMPAUTO and IDMP can only be used with id='*'")
        words = [*flags(nomkstream=nomkstream), *policy(ref_policy, "XADD"), *option("IDMPAUTO", idmpauto)]
        if idmp is not None:
            if not isinstance(idmp, tuple) or len(idmp) != 2:
                raise DataError("XADD idmp must be a tuple of (producer_id, idempotent_id)")
            words += ["IDMP", *idmp]
        if maxlen is not None and (not isinstance(maxlen, int) or maxlen < 0):
            raise DataError("XADD maxlen must be non-negative integer")
        about = flags(**{"~": approximate})
        for word, value in (("MAXLEN", maxlen), ("MINID", minid)):
            words += [word, *about, value] if value is not None else []
        words += option("LIMIT", limit)
        if not isinstance(fields, dict) or not fields:
            raise DataError("XADD fields must be a non-empty dict")
        return self.execute_command("XADD", name, *words, id, *(word for pair in fields.items() for word in pair))

    def xautoclaim(
        self,
        name: Key,
        groupname: Key,
        consumername: Key,
        min_idle_time: int,
        start_id: StreamId = "0-0",
        count: int | None = None,
        justid: bool = False,
    ) -> list[Any]:
        """Makes a consumer the owner of up to `count` entries that were pending for `min_idle_time` ms, as a scan.

        Returns [ID to go on from ("0-0": all were looked at), entries, IDs of pending ones that are deleted];
        with `justid` only the IDs of the claimed.  Redis: XAUTOCLAIM.
        """
        if negative(min_idle_time):
            raise DataError("XAUTOCLAIM min_idle_time must be a nonnegative integer")
        if negative(count):
            raise DataError("XPENDING count must be a integer >= 0")
        words = [name, groupname, consumername, min_idle_time, start_id, *option("COUNT", count)]
        shape = {"parse_justid": True} if justid else {}
        return self.execute_command("XAUTOCLAIM", *words, *flags(justid=justid), **shape)

    def xclaim(
        self,
        name: Key,
        groupname: Key,
        consumername: Key,
        min_idle_time: int,
        message_ids: list[StreamId] | tuple[StreamId],
        idle: int | None = None,
        time: int | None = None,
        retrycount: int | None = None,
        force: bool = False,
        justid: bool = False,
    ) -> list[Any]:
        """Makes a consumer the owner of entries that were pending for `min_idle_time` ms; returns them.

        idle, time: sets how long ago (ms), or when (ms since 1970), they were delivered last.  retrycount: how often.
        force: also entries that were not pending.  justid: returns IDs only, and counts no delivery.
        Redis: XCLAIM.
        """
        if not isinstance(min_idle_time, int) or min_idle_time < 0:
            raise DataError("XCLAIM min_idle_time must be a non negative integer")
        if not isinstance(message_ids, list | tuple) or not message_ids:
            raise DataError("XCLAIM message_ids must be a non empty list or tuple of message IDs to claim")
        words: Arguments = [name, groupname, consumername, str(min_idle_time), *message_ids]
        for option_name, value in (("idle", idle), ("time", time), ("retrycount", retrycount)):
            if value is not None and not isinstance(value, int):
                raise DataError(f"XCLAIM {option_name} must be an integer")
            words += option(option_name.upper(), value)
        for option_name, on in (("force", force), ("justid", justid)):
            if on and not isinstance(on, bool):
                raise DataError(f"XCLAIM {option_name} must be a boolean")
        shape = {"parse_justid": True} if justid else {}
        return self.execute_command("XCLAIM", *words, *flags(force=force, justid=justid), **shape)

    def xdel(self, name: Key, *ids: StreamId) -> int:
        """Deletes entries; returns how many there were.  Redis: XDEL."""
        return self.execute_command("XDEL", name, *ids)

    def xgroup_create(
        self, name: Key, groupname: Key, id: StreamId = "$", mkstream: bool = False, entries_read: int | None = None
    ) -> bool:
        """Makes a group that is given the entries after `id`; ResponseError (BUSYGROUP) if there is one.

        mkstream: makes the stream too.  entries_read: how many entries there were up to `id`, for its lag.
        Redis: XGROUP CREATE.
        """
        words = [*flags(mkstream=mkstream), *option("ENTRIESREAD", entries_read)]
        return self.execute_command("XGROUP CREATE", name, groupname, id, *words)

    def xgroup_createconsumer(self, name: Key, groupname: Key, consumername: Key) -> int:
        """Makes a consumer; returns 0 if there is one.  Redis: XGROUP CREATECONSUMER."""
        return self.execute_command("XGROUP CREATECONSUMER", name, groupname, consumername)

    def xgroup_delconsumer(self, name: Key, groupname: Key, consumername: Key) -> int:
        """Deletes a consumer; returns how many entries were pending for it.  Redis: XGROUP DELCONSUMER."""
        return self.execute_command("XGROUP DELCONSUMER", name, groupname, consumername)

    def xgroup_destroy(self, name: Key, groupname: Key) -> bool:
        """Deletes a group; returns whether there was one.  Redis: XGROUP DESTROY."""
        return self.execute_command("XGROUP DESTROY", name, groupname)

    def xgroup_setid(self, name: Key, groupname: Key, id: StreamId, entries_read: int | None = None) -> bool:
        """Has the group given the entries after `id` from now on.  Redis: XGROUP SETID."""
        return self.execute_command("XGROUP SETID", name, groupname, id, *option("ENTRIESREAD", entries_read))

    def xinfo_consumers(self, name: Key, groupname: Key) -> list[dict[str, Any]]:
        """What is known of each consumer: name, pending, idle (ms).  Redis: XINFO CONSUMERS."""
        return self.execute_command("XINFO CONSUMERS", name, groupname)

    def xinfo_groups(self, name: Key) -> list[dict[str, Any]]:
        """What is known of each group: name, consumers, pending, last-delivered-id, lag, ...  Redis: XINFO GROUPS."""
        return self.execute_command("XINFO GROUPS", name)

    def xinfo_stream(self, name: Key, full: bool = False) -> dict[str, Any]:
        """What is known of a stream; `full`: with its first entries, and all of its groups.  Redis: XINFO STREAM."""
        shape = {"full": full} if full else {}
        return self.execute_command("XINFO STREAM", name, *flags(full=full), **shape)

    def xlen(self, name: Key) -> int:
        """How many entries there are.  Redis: XLEN."""
        return self.execute_command("XLEN", name)

    def xpending(self, name: Key, groupname: Key) -> dict[str, Any]:
        """How many entries are pending, from which to which ID, and how many for each consumer.  Redis: XPENDING."""
        return self.execute_command("XPENDING", name, groupname)

    def xpending_range(
        self,
        name: Key,
        groupname: Key,
        min: StreamId,
        max: StreamId,
        count: int,
        consumername: Key | None = None,
        idle: int | None = None,
    ) -> Any:
        """Up to `count` pending entries from `min` to `max`, of all consumers or of one, idle for `idle` ms at least.

        Returns dicts of message_id, consumer, time_since_delivered (ms) and times_delivered; with neither `min`, `max`
        nor `count` the same as `xpending`.  Redis: XPENDING.
        """
        if min is None and max is None and count is None:
            if idle is not None or consumername is not None:
                raise DataError(
                    "if XPENDING is provided with idle time or consumername, it must be provided with min, max and "
                    "count parameters"
                )
            return self.xpending(name, groupname)
        if min is None or max is None or count is None:
            raise DataError("XPENDING must be provided with min, max and count parameters, or none of them.")
        if negative(idle):
            raise DataError("XPENDING idle must be a integer >= 0")
        if negative(count):
            raise DataError("XPENDING count must be a integer >= 0")
        words = [*option("IDLE", idle), min, max, count, *([consumername] if consumername else [])]
        return self.execute_command("XPENDING", name, groupname, *words, parse_detail=True)

    def xrange(
        self, name: Key, min: StreamId = "-", max: StreamId = "+", count: int | None = None
    ) -> list[Entry] | None:
        """Up to `count` entries from `min` to `max`.  Redis: XRANGE."""
        return self.execute_command("XRANGE", name, min, max, *positive("XRANGE", count=count))

    def xread(
        self,
        streams: Mapping[Any, StreamId],
        count: int | None = None,
        block: int | None = None,
        max_count: int | None = None,
        max_size: int | None = None,
    ) -> list[list[Any]]:
        """Up to `count` entries of each stream that come after an ID, given as {stream: ID}.

        Returns [[stream, entries], ...] of those that have any.  block: waits so many ms (0: for ever) for one.
        Redis: XREAD.
        """
        words = [*waiting("XREAD", block), *read_limits("XREAD", count, max_count, max_size)]
        return self.execute_command("XREAD", *words, *read_streams("XREAD", streams))

    def xreadgroup(
        self,
        groupname: Key,
        consumername: Key,
        streams: Mapping[Any, StreamId],
        count: int | None = None,
        block: int | None = None,
        noack: bool = False,
        claim_min_idle_time: int | None = None,
        max_count: int | None = None,
        max_size: int | None = None,
    ) -> list[list[Any]]:
        """As `xread`, for a consumer of a group: with the ID ">" entries that no consumer has been given yet, which are
        pending for this one then (unless `noack`); with any other the consumer's own pending ones after it.
        Redis: XREADGROUP.
        """
        words = ["GROUP", groupname, consumername, *read_limits("XREADGROUP", count, max_count, max_size)]
        words += [*waiting("XREADGROUP", block), *flags(noack=noack)]
        shape = {}
        if claim_min_idle_time is not None:
            if not isinstance(claim_min_idle_time, int) or claim_min_idle_time < 0:
                raise DataError("XREADGROUP claim_min_idle_time must be a non-negative integer")
            words += ["CLAIM", claim_min_idle_time]
            shape["claim_min_idle_time"] = claim_min_idle_time
        return self.execute_command("XREADGROUP", *words, *read_streams("XREADGROUP", streams), **shape)

    def xrevrange(
        self, name: Key, max: StreamId = "+", min: StreamId = "-", count: int | None = None
    ) -> list[Entry] | None:
        """Up to `count` entries from `max` down to `min`.  Redis: XREVRANGE."""
        return self.execute_command("XREVRANGE", name, max, min, *positive("XREVRANGE", count=count))

    def xtrim(
        self,
        name: Key,
        maxlen: int | None = None,
        approximate: bool = True,
        minid: StreamId | None = None,
        limit: int | None = None,
        ref_policy: Policy | None = None,
    ) -> int:
        """Removes the oldest entries beyond `maxlen`, or below `minid`; returns how many.

        approximate: only whole nodes of entries, at most `limit` entries.  Redis: XTRIM.
        """
        if maxlen is not None and minid is not None:
            raise DataError("Only one of ``maxlen`` or ``minid`` may be specified")
        if maxlen is None and minid is None:
            raise DataError("One of ``maxlen`` or ``minid`` must be specified")
        refs = policy(ref_policy, "XTRIM")
        words = ["MAXLEN" if maxlen is not None else "MINID", *flags(**{"~": approximate})]
        return self.execute_command(
            "XTRIM", name, *words, maxlen if maxlen is not None else minid, *option("LIMIT", limit), *refs
        )


def negative(number: Any) -> bool:
    """Whether it is a number, also as text, below 0."""
    try:
        return int(number) < 0
    except TypeError:
        return False


def policy(word: str | None, command: str) -> TextList:
    """What becomes of a removed entry's pending ones."""
    if word is None:
        return []
    if word not in ("KEEPREF", "DELREF", "ACKED"):
        raise DataError(f"{command} ref_policy must be one of: KEEPREF, DELREF, ACKED")
    return [word]


def positive(command: str, **options: int | None) -> Arguments:
    """Options with a number above 0; a name of several words is one word for the server."""
    words: Arguments = []
    for name, value in options.items():
        if value is not None:
            if not isinstance(value, int) or value < 1:
                raise DataError(f"{command} {name} must be a positive integer")
            words += [name.replace("_", "").upper(), value]
    return words


def waiting(command: str, block: int | None) -> Arguments:
    """BLOCK and how long, in ms."""
    if block is not None and (not isinstance(block, int) or block < 0):
        raise DataError(f"{command} block must be a non-negative integer")
    return option("BLOCK", block)


def read_limits(command: str, count: int | None, max_count: int | None, max_size: int | None) -> Arguments:
    words = positive(command, count=count, max_count=max_count)
    if count is not None and max_count is not None and max_count < count:
        raise DataError(f"{command} max_count must be greater than or equal to count")
    return words + positive(command, max_size=max_size)


def read_streams(command: str, streams: Mapping[Any, StreamId]) -> Arguments:
    """STREAMS, their names, their IDs."""
    if not isinstance(streams, dict) or not streams:
        raise DataError(f"{command} streams must be a non empty dict")
    return ["STREAMS", *streams, *streams.values()]
