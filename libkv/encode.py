"""Python values to the bytes of a command, and the bytes of a reply to str: redis-py's rules.

bytes, bytearray and memoryview are sent as they are, str in the store's encoding, int and float as `repr` prints
them; everything else (bool and None too) is a DataError, because guessing an encoding loses data silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from libkv.errors import DataError

Encodable = bytes | bytearray | memoryview | str | int | float


class Encoder:
    """How one handle of a store turns values into bytes and back.

    encoding, errors: as for `str.encode`.
    decode_responses: whether every string in a reply becomes str (else bytes).
    """

    __slots__ = ("decode_responses", "encoding", "encoding_errors")

    def __init__(
        self, encoding: str = "utf-8", encoding_errors: str = "strict", decode_responses: bool = False
    ) -> None:
        self.encoding = encoding
        self.encoding_errors = encoding_errors
        self.decode_responses = decode_responses

    def encode(self, value: Encodable) -> bytes:
        """The bytes of one argument; DataError for a type that has no obvious ones."""
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return value.encode(self.encoding, self.encoding_errors)
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return repr(value).encode()
        raise DataError(
            f"Invalid input of type: '{type(value).__name__}'. Convert to a bytes, string, int or float first."
        )

    def encode_command(self, args: Iterable[Any]) -> tuple[bytes, ...]:
        """A whole command.  A name of two words (``"CONFIG GET"``) becomes two arguments, as on the wire."""
        how = self.encoding, self.encoding_errors
        packed = tuple([a if type(a) is bytes else a.encode(*how) if type(a) is str else self.encode(a) for a in args])
        if b" " in packed[0]:
            return (*packed[0].split(), *packed[1:])
        return packed

    def decode(self, value: Any, force: bool = False) -> Any:
        """One string as str if this handle decodes (or `force`); anything else as it is."""
        if self.decode_responses or force:
            if isinstance(value, memoryview):
                value = value.tobytes()
            if isinstance(value, bytes):
                return value.decode(self.encoding, self.encoding_errors)
        return value

    def decode_reply(self, reply: Any) -> Any:
        """A whole reply with every string in it decoded; containers are new ones."""
        if isinstance(reply, bytes):
            return reply.decode(self.encoding, self.encoding_errors)
        if isinstance(reply, list):
            return [self.decode_reply(item) for item in reply]
        if isinstance(reply, dict):
            return {self.decode_reply(key): self.decode_reply(value) for key, value in reply.items()}
        return reply
