"""The library's exceptions: one small tree under VrrpError."""


class VrrpError(Exception):
    """Base class of every error that libvrrp raises."""


class PacketError(VrrpError, ValueError):
    """Bytes that are not a valid packet, or values that do not fit into one.

    field: the name of the offending field, as the RFC spells it ("vrrp.checksum", "ah.length", ...).
    data: the bytes of that field (empty when they are missing).
    offset: where they start in the datagram, in bytes.
    """

    def __init__(self, field: str, reason: str, data: bytes = b"", offset: int = 0) -> None:
        self.field = field
        self.reason = reason
        self.data = data
        self.offset = offset
        where = f" (bytes {data.hex()} at offset {offset})" if data else f" (at offset {offset})"
        super().__init__(f"{field}: {reason}{where}")

    def __reduce__(self) -> tuple[type["PacketError"], tuple[str, str, bytes, int]]:
        return type(self), (self.field, self.reason, self.data, self.offset)


class ConfigError(VrrpError, ValueError):
    """A setting outside its allowed values; the message names the object, the setting and what is allowed."""


class CapabilityError(VrrpError, PermissionError):
    """The process lacks a Linux capability; the message names it and what still works without it."""


def require(condition: bool, what: str, setting: str, allowed: str) -> None:
    """Raises ConfigError unless the condition holds: which object, which setting of it, and what is allowed."""
    if not condition:
        raise ConfigError(f"{what}: {setting}: {allowed}")
