"""Lists.  Redis docs: https://redis.io/docs/latest/commands/?group=list"""

# mypy: no-warn-return-any

from __future__ import annotations

from typing import Any

from libkv.api.arguments import Handle, Key, Keys, Text, TextList, Value, one_list, option


class ListCommands(Handle):
    """Sequences that grow and shrink at both ends.  Index 0 is the first element, -1 the last.

    The methods with a `timeout` (seconds, 0 or None: for ever) wait while there is nothing: the calling thread sleeps
    without the GIL until somebody pushes, in this process or through a server; Ctrl-C ends the wait.
    """

    def blmove(
        self, first_list: Key, second_list: Key, timeout: float, src: str = "LEFT", dest: str = "RIGHT"
    ) -> Text | None:
        """As `lmove`, and waits up to `timeout` seconds for an element; None if none came.  Redis: BLMOVE."""
        return self.execute_command("BLMOVE", first_list, second_list, src, dest, timeout)

    def blmpop(
        self, timeout: float, numkeys: int, *args: Key, direction: str, count: int | None = 1
    ) -> list[Any] | None:
        """As `lmpop`, and waits up to `timeout` seconds for one of the lists; None if none came.  Redis: BLMPOP."""
        return self.execute_command("BLMPOP", timeout, numkeys, *args, direction, "COUNT", count)

    def blpop(self, keys: Keys, timeout: float | None = 0) -> tuple[Text, Text] | None:
        """Takes the first element of the first of these lists that has one; waits up to `timeout` seconds for it.

        Returns (key, element), or None if none came.  Redis: BLPOP.
        """
        return self.execute_command("BLPOP", *one_list(keys, [0 if timeout is None else timeout]))

    def brpop(self, keys: Keys, timeout: float | None = 0) -> tuple[Text, Text] | None:
        """As `blpop`, from the end of the list.  Redis: BRPOP."""
        return self.execute_command("BRPOP", *one_list(keys, [0 if timeout is None else timeout]))

    def brpoplpush(self, src: Key, dst: Key, timeout: float | None = 0) -> Text | None:
        """As `rpoplpush`, and waits up to `timeout` seconds for an element; None if none came.  Redis: BRPOPLPUSH."""
        return self.execute_command("BRPOPLPUSH", src, dst, 0 if timeout is None else timeout)

    def lindex(self, name: Key, index: int) -> Text | None:
        """The element at `index`, or None.  Redis: LINDEX."""
        return self.execute_command("LINDEX", name, index)

    def linsert(self, name: Key, where: str, refvalue: Value, value: Value) -> int:
        """Puts `value` BEFORE or AFTER the first element equal to `refvalue`.

        Returns the new length; -1 if there is no such element, 0 if there is no list.  Redis: LINSERT.
        """
        return self.execute_command("LINSERT", name, where, refvalue, value)

    def llen(self, name: Key) -> int:
        """How many elements there are.  Redis: LLEN."""
        return self.execute_command("LLEN", name)

    def lmove(self, first_list: Key, second_list: Key, src: str = "LEFT", dest: str = "RIGHT") -> Text | None:
        """Moves an element from one end of a list to an end of another (or the same), and returns it.  Redis: LMOVE."""
        return self.execute_command("LMOVE", first_list, second_list, src, dest)

    def lmpop(self, num_keys: int, *args: Key, direction: str, count: int | None = 1) -> list[Any] | None:
        """Takes up to `count` elements from the LEFT or RIGHT end of the first of these lists that has any.

        Returns [key, [element, ...]] or None.  Redis: LMPOP.
        """
        wanted = [] if count == 1 else ["COUNT", count]
        return self.execute_command("LMPOP", num_keys, *args, direction, *wanted)

    def lpop(self, name: Key, count: int | None = None) -> Text | TextList | None:
        """Takes the first element, or a list of the first `count`; None if there is no list.  Redis: LPOP."""
        return self.execute_command("LPOP", name, *([] if count is None else [count]))

    def lpos(
        self, name: Key, value: Value, rank: int | None = None, count: int | None = None, maxlen: int | None = None
    ) -> int | list[int] | None:
        """The index of the first element equal to `value`, or None.

        rank: the how manieth match to start with, from the end if negative.  count: a list of up to so many indices
        (0: all).  maxlen: compares so many elements at most (0: all).  Redis: LPOS.
        """
        wanted = option("RANK", rank) + option("COUNT", count) + option("MAXLEN", maxlen)
        return self.execute_command("LPOS", name, value, *wanted)

    def lpush(self, name: Key, *values: Value) -> int:
        """Puts values in front, one after the other; returns the new length.  Redis: LPUSH."""
        return self.execute_command("LPUSH", name, *values)

    def lpushx(self, name: Key, *values: Value) -> int:
        """As `lpush`, if the list exists.  Redis: LPUSHX."""
        return self.execute_command("LPUSHX", name, *values)

    def lrange(self, name: Key, start: int, end: int) -> TextList:
        """The elements from `start` to `end`, both included.  Redis: LRANGE."""
        return self.execute_command("LRANGE", name, start, end)

    def lrem(self, name: Key, count: int, value: Value) -> int:
        """Removes the first `count` elements equal to `value` (the last -count if negative, all if 0).

        Returns how many were removed.  Redis: LREM.
        """
        return self.execute_command("LREM", name, count, value)

    def lset(self, name: Key, index: int, value: Value) -> bool:
        """Replaces the element at `index`.  Redis: LSET."""
        return self.execute_command("LSET", name, index, value)

    def ltrim(self, name: Key, start: int, end: int) -> bool:
        """Keeps the elements from `start` to `end`, both included, and removes the others.  Redis: LTRIM."""
        return self.execute_command("LTRIM", name, start, end)

    def rpop(self, name: Key, count: int | None = None) -> Text | TextList | None:
        """Takes the last element, or a list of the last `count`; None if there is no list.  Redis: RPOP."""
        return self.execute_command("RPOP", name, *([] if count is None else [count]))

    def rpoplpush(self, src: Key, dst: Key) -> Text | None:
        """Moves the last element of `src` to the front of `dst`, and returns it.  Redis: RPOPLPUSH."""
        return self.execute_command("RPOPLPUSH", src, dst)

    def rpush(self, name: Key, *values: Value) -> int:
        """Puts values at the end; returns the new length.  Redis: RPUSH."""
        return self.execute_command("RPUSH", name, *values)

    def rpushx(self, name: Key, *values: Value) -> int:
        """As `rpush`, if the list exists.  Redis: RPUSHX."""
        return self.execute_command("RPUSHX", name, *values)
