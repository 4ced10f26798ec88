"""Bits and small integers inside strings.  Redis docs: https://redis.io/docs/latest/commands/?group=bitmap"""

# mypy: no-warn-return-any

from __future__ import annotations

from libkv.api.arguments import Arguments, Handle, Key
from libkv.errors import DataError

Offset = int | str  # bits from the start, or "#3": the third integer of this width


class BitFieldOperation:
    """A BITFIELD command under construction: each call adds one step, `execute` runs them all at once.

    fmt: "u8" for an unsigned, "i16" for a signed integer of so many bits.
    """

    def __init__(self, client: Handle, key: Key, default_overflow: str | None = None) -> None:
        self.client = client
        self.key = key
        self._default_overflow = default_overflow
        self.operations: list[Arguments] = []
        self.reset()

    def reset(self) -> None:
        """Drops the steps collected so far."""
        self.operations = []
        self._overflow = "WRAP"  # what the server starts every BITFIELD with
        self.overflow(self._default_overflow or "WRAP")

    def overflow(self, overflow: str) -> BitFieldOperation:
        """What later steps do when a result doesn't fit: WRAP (around), SAT (stop at the limit), FAIL (give None)."""
        wanted = overflow.upper()
        if wanted != self._overflow:
            self._overflow = wanted
            self.operations.append(["OVERFLOW", wanted])
        return self

    def incrby(self, fmt: str, offset: Offset, increment: int, overflow: str | None = None) -> BitFieldOperation:
        """Adds to one integer; its step of the result is the sum."""
        if overflow is not None:
            self.overflow(overflow)
        self.operations.append(["INCRBY", fmt, offset, increment])
        return self

    def get(self, fmt: str, offset: Offset) -> BitFieldOperation:
        """Reads one integer."""
        self.operations.append(["GET", fmt, offset])
        return self

    def set(self, fmt: str, offset: Offset, value: int) -> BitFieldOperation:
        """Writes one integer; its step of the result is the old one."""
        self.operations.append(["SET", fmt, offset, value])
        return self

    @property
    def command(self) -> Arguments:
        """The command as it stands."""
        return ["BITFIELD", self.key, *(word for step in self.operations for word in step)]

    def execute(self) -> list[int | None]:
        """Runs the steps and forgets them; one result for each but OVERFLOW."""
        command = self.command
        self.reset()
        return self.client.execute_command(*command)


class BitmapCommands(Handle):
    """Strings seen as rows of bits; bit 0 is the highest one of the first byte."""

    def bitcount(self, key: Key, start: int | None = None, end: int | None = None, mode: str | None = None) -> int:
        """How many bits are set: in all, or from byte `start` to `end` (bits, with `mode` "BIT").  Redis: BITCOUNT."""
        if (start is None) != (end is None):
            raise DataError("Both start and end must be specified")
        part = [] if start is None else [start, end]
        return self.execute_command("BITCOUNT", key, *part, *([] if mode is None else [mode]))

    def bitfield(self, key: Key, default_overflow: str | None = None) -> BitFieldOperation:
        """Starts a BITFIELD command; see `BitFieldOperation`.  Redis: BITFIELD."""
        return BitFieldOperation(self, key, default_overflow=default_overflow)

    def bitfield_ro(
        self, key: Key, encoding: str, offset: Offset, items: list[tuple[str, Offset]] | None = None
    ) -> list[int]:
        """Reads an integer at `offset`, and one for each further (encoding, offset) in `items`.  Redis: BITFIELD_RO."""
        reads = [word for fmt, place in [(encoding, offset), *(items or [])] for word in ("GET", fmt, place)]
        return self.execute_command("BITFIELD_RO", key, *reads)

    def bitop(self, operation: str, dest: Key, *keys: Key) -> int:
        """Stores the AND, OR, XOR or NOT of strings at `dest`; returns its length in bytes.  Redis: BITOP."""
        return self.execute_command("BITOP", operation, dest, *keys)

    def bitpos(
        self, key: Key, bit: int, start: int | None = None, end: int | None = None, mode: str | None = None
    ) -> int:
        """The place of the first bit that is `bit`, or -1; start, end and mode as in `bitcount`.  Redis: BITPOS."""
        if bit not in (0, 1):
            raise DataError("bit must be 0 or 1")
        if start is None and end is not None:
            raise DataError("start argument is not set, when end is specified")
        part = [place for place in (start, end, mode) if place is not None]
        return self.execute_command("BITPOS", key, bit, *part)

    def getbit(self, name: Key, offset: int) -> int:
        """The bit at `offset`; 0 behind the end.  Redis: GETBIT."""
        return self.execute_command("GETBIT", name, offset)

    def setbit(self, name: Key, offset: int, value: int) -> int:
        """Sets the bit at `offset` if `value` is true, else clears it; returns the old one.  Redis: SETBIT."""
        return self.execute_command("SETBIT", name, offset, 1 if value else 0)
