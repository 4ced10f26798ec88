"""accept=False: packets to the virtual addresses are dropped, except neighbour discovery (RFC 9568 section 6.1).

An nftables table of its own for each family, written as raw netlink (no nft program is needed).  It belongs to the
netlink socket that made it (NFT_TABLE_F_OWNER, Linux 5.12), so the kernel removes it when the process ends, however.
The rules name the addresses whether they are held or not: an address that is not held gets no packets anyway.
"""

import os
import socket
import struct

from libvrrp.config import Router

_NETFILTER, _SUBSYSTEM = 12, 10
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_BEGIN, _END, _ERROR = 0x10, 0x11, 2
_REQUEST, _ACK, _CREATE, _APPEND = 0x01, 0x04, 0x400, 0x800
_OWNER = 2
_LOCAL_IN, _DROP, _ACCEPT = 1, 0, 1
_NETWORK_HEADER, _TRANSPORT_HEADER, _L4PROTO = 1, 2, 16


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _nested(kind: int, *attributes: bytes) -> bytes:
    return _attribute(kind | 0x8000, b"".join(attributes))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _expression(name: str, *attributes: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *attributes))


def _load(base: int, offset: int, length: int) -> bytes:
    """Bytes of a header into register 1."""
    return _expression("payload", _number(1, 1), _number(2, base), _number(3, offset), _number(4, length))


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _number(1, 1), _number(2, 0), _nested(3, _attribute(1, value)))


def _verdict(code: int) -> bytes:
    return _expression("immediate", _number(1, 0), _nested(2, _nested(2, _number(1, code))))


class AddressFilter:
    """The tables of a Host."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._name = f"libvrrp_{os.getpid()}"
        self._socket: socket.socket | None = None
        self._families: set[int] = set()

    def require(self, routers: tuple[Router, ...]) -> None:
        """Drops packets to the addresses of the routers that don't accept them, and to no others."""
        wanted: dict[int, list[bytes]] = {}
        for router in routers:
            if not router.accept and router.priority != 255:
                for address in (*router.addresses, *router.excluded):
                    wanted.setdefault(address.ip.version, []).append(address.ip.packed)
        if not wanted and not self._families:
            return
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
            self._socket.bind((0, 0))
            self._socket.settimeout(2)
        messages = [self._message(_DELTABLE, 0, version, _text(1, self._name)) for version in sorted(self._families)]
        for version, addresses in wanted.items():
            messages += self._table(version, addresses)
        number = self._commit(messages)
        if number:
            self.refused.append(f"accept=False: nftables: {os.strerror(number)}")
        else:
            self._families = set(wanted)

    def close(self) -> None:
        """Everything is accepted again: the tables go with their socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._families.clear()

    def _message(self, command: int, flags: int, version: int, attributes: bytes) -> bytes:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        body = struct.pack("!BBH", family, 0, 0) + attributes
        kind = _SUBSYSTEM << 8 | command
        return struct.pack("=IHHII", len(body) + 16, kind, _REQUEST | _ACK | flags, 1, 0) + body

    def _table(self, version: int, addresses: list[bytes]) -> list[bytes]:
        table, chain = _text(1, self._name), "input"
        hook = _nested(4, _number(1, _LOCAL_IN), _number(2, 0))
        rules = []
        if version == 6:
            for kind in (135, 136):  # neighbour solicitation and advertisement
                protocol = _expression("meta", _number(1, 1), _number(2, _L4PROTO)) + _equals(bytes([58]))
                rules.append(protocol + _load(_TRANSPORT_HEADER, 0, 1) + _equals(bytes([kind])) + _verdict(_ACCEPT))
        offset, length = (16, 4) if version == 4 else (24, 16)
        rules += [_load(_NETWORK_HEADER, offset, length) + _equals(a) + _verdict(_DROP) for a in addresses]
        out = [self._message(_NEWTABLE, _CREATE, version, table + _number(2, _OWNER))]
        chain_attributes = table + _text(3, chain) + hook + _number(5, _ACCEPT) + _text(7, "filter")
        out.append(self._message(_NEWCHAIN, _CREATE, version, chain_attributes))
        for rule in rules:
            attributes = table + _text(2, chain) + _nested(4, rule)
            out.append(self._message(_NEWRULE, _CREATE | _APPEND, version, attributes))
        return out

    def _commit(self, messages: list[bytes]) -> int:
        """One transaction: all or nothing.  Returns the first errno, or 0."""
        assert self._socket is not None
        head = struct.pack("!BBH", 0, 0, _SUBSYSTEM)
        begin = struct.pack("=IHHII", 20, _BEGIN, _REQUEST, 1, 0) + head
        end = struct.pack("=IHHII", 20, _END, _REQUEST, 1, 0) + head
        try:
            self._socket.send(begin + b"".join(messages) + end)
            answers = 0
            while answers < len(messages):
                data = self._socket.recv(65536)
                at = 0
                while at + 20 <= len(data):
                    length, kind = struct.unpack_from("=IH", data, at)
                    number = struct.unpack_from("=i", data, at + 16)[0] if kind == _ERROR else 0
                    if number:
                        return -int(number)
                    answers += 1
                    at += (length + 3) & ~3
        except OSError as error:
            return error.errno or 1
        return 0
