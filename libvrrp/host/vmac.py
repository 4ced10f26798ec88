"""Virtual MACs: a macvlan interface for each router that wants one (RFC 9568 section 7.3), and the sysctls it needs.

The macvlan is in bridge mode: in private mode the kernel would give a peer's adverts, whose source is the same virtual
MAC, to the macvlan instead of the interface that the routers listen on.

Sysctls, recorded before and restored at the end unless somebody else changed them meanwhile:
    arp_ignore=1 on both    an address is answered only by the interface that holds it: else the interface itself would
                            answer for the virtual address, and the macvlan, with the virtual MAC, for the real one
    arp_announce=2 below    replies from the virtual address leave through the interface itself: its own ARP requests
                            must not say that the virtual address is at the real MAC
    rp_filter=0, accept_local=1 on the macvlan    what arrives there is routed back by the interface
    accept_ra=0, autoconf=0 on the macvlan        it has virtual addresses only
"""

import contextlib
import os
import select
import socket
import struct
import sys
import threading
from pathlib import Path

from libvrrp.config import Router
from libvrrp.errors import VrrpError
from libvrrp.packet import virtual_mac

_NEWLINK, _DELLINK, _GETLINK, _ERROR = 16, 17, 18, 2
_REQUEST_ACK, _CREATE_EXCL = 0x05, 0x600
_UP, _LINKS = 1, 1  # IFF_UP, RTMGRP_LINK
_ADDRESS, _NAME, _LINK, _MASTER, _LINKINFO, _AF_SPEC = 1, 3, 5, 10, 18, 26
_INFO_KIND, _INFO_DATA, _MACVLAN_MODE, _MODE_BRIDGE, _ADDR_GEN_MODE = 1, 2, 1, 4, 8


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _link_message(kind: int, flags: int, index: int, change: int, attributes: bytes) -> bytes:
    body = struct.pack("=BxHiII", 0, 0, index, change, change) + attributes
    return struct.pack("=IHHII", len(body) + 16, kind, _REQUEST_ACK | flags, 1, 0) + body


def _ask(message: bytes) -> int:
    """Sends one request; returns the kernel's errno, or 0."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.bind((0, 0))
        s.settimeout(2)
        s.send(message)
        answer = s.recv(65536)
    kind = struct.unpack_from("=H", answer, 4)[0]
    return -int(struct.unpack_from("=i", answer, 16)[0]) if kind == _ERROR else 0


def _attributes(data: bytes) -> dict[int, bytes]:
    out, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        out[kind & 0x3FFF] = data[at + 4 : at + length]
        at += length + -length % 4
    return out


def _link(index: int) -> dict[int, bytes]:
    """The attributes of a link; none when there is no such link."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.bind((0, 0))
        s.settimeout(2)
        s.send(_link_message(_GETLINK, 0, index, 0, b""))
        answer = s.recv(65536)
    length, kind = struct.unpack_from("=IH", answer)
    return _attributes(answer[32:length]) if kind == _NEWLINK else {}


def _vrf_of(index: int) -> int:
    """The index of the VRF that a link belongs to, or 0."""
    master = int.from_bytes(_link(index).get(_MASTER, b""), sys.byteorder)
    kind = _attributes(_link(master).get(_LINKINFO, b"")).get(_INFO_KIND, b"") if master else b""
    return master if kind.rstrip(b"\0") == b"vrf" else 0


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _mac(name: str) -> str:
    """The interface's MAC.  /sys shows the namespace it was mounted in, so the kernel is asked by ioctl."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        answer = fcntl.ioctl(s.fileno(), 0x8927, struct.pack("256s", name.encode()))  # SIOCGIFHWADDR
    return answer[18:24].hex(":")


class VirtualMacs:
    """The macvlans of a Host, by name, and the sysctls as they were.

    A macvlan goes with the interface below it.  A thread of its own (Python: it is not urgent, the routers are in Fault
    meanwhile) hears of new interfaces and makes the macvlan again, or for the first time.
    """

    def __init__(self) -> None:
        self._made: dict[str, str] = {}  # name -> interface below
        self._before: dict[str, tuple[str, str]] = {}  # path -> (before, ours)
        self.refused: list[str] = []
        self._routers: tuple[Router, ...] = ()
        self._lock = threading.RLock()
        self._wake = -1

    def require(self, routers: tuple[Router, ...]) -> None:
        """Makes what the routers need and is not there.  Raises VrrpError for a name that something else has."""
        with self._lock:
            for router in routers:
                if router.use_vmac and router.device not in self._made:
                    self._make(router.device, router)
            self._routers = tuple(router for router in routers if router.use_vmac)
        if self._routers and self._wake < 0:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC)
            threading.Thread(target=self._follow, args=(self._wake,), name="libvrrp-links", daemon=True).start()

    def prune(self, routers: tuple[Router, ...]) -> None:
        """Removes what the routers do not need."""
        wanted = {router.device for router in routers if router.use_vmac}
        with self._lock:
            for name in [name for name in self._made if name not in wanted]:
                self._remove(name)

    def close(self) -> None:
        """Removes every macvlan and restores the sysctls."""
        with self._lock:
            self._routers = ()
            for name in list(self._made):
                self._remove(name)
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)
            self._wake = -1
        for path, (before, ours) in self._before.items():
            file = Path(path)
            if file.exists() and file.read_text().strip() == ours:
                file.write_text(before)
        self._before.clear()

    def _follow(self, wake: int) -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
            s.bind((0, _LINKS))
            self._restore()
            while wake not in select.select([s.fileno(), wake], [], [])[0]:
                with contextlib.suppress(OSError):  # ENOBUFS: what was lost does not matter, all is looked at
                    s.recv(65536)
                self._restore()
        os.close(wake)

    def _restore(self) -> None:
        """Makes what is wanted and not there."""
        with self._lock:
            for router in self._routers:
                if _index(router.interface) and not _index(router.device):
                    self._made.pop(router.device, None)
                    try:
                        self._make(router.device, router)
                    except VrrpError as error:
                        self._refuse(str(error))

    def _refuse(self, what: str) -> None:
        if what not in self.refused:
            self.refused.append(what)

    def _make(self, name: str, router: Router) -> None:
        mac, below = virtual_mac(router.vrid, router.family), _index(router.interface)
        if not below:
            self._refuse(f"{name}: interface {router.interface} does not exist")
            return
        existing = _index(name)
        if existing:
            if _mac(name) != mac.hex(":"):
                raise VrrpError(f"router {router.name}: vmac_name: {name} exists and is not its virtual MAC's")
            _ask(_link_message(_DELLINK, 0, existing, 0, b""))  # an earlier life left it behind
        data = _attribute(_INFO_DATA, _attribute(_MACVLAN_MODE, struct.pack("=I", _MODE_BRIDGE)))
        attributes = _attribute(_NAME, name.encode() + b"\0")
        attributes += _attribute(_LINK, struct.pack("=I", below)) + _attribute(_ADDRESS, mac)
        attributes += _attribute(_LINKINFO, _attribute(_INFO_KIND, b"macvlan") + data)
        vrf = _vrf_of(below)
        if vrf:  # what arrives at the virtual MAC belongs to the same VRF
            attributes += _attribute(_MASTER, struct.pack("=I", vrf))
        number = _ask(_link_message(_NEWLINK, _CREATE_EXCL, 0, 0, attributes))
        if number:
            raise VrrpError(f"router {router.name}: the macvlan {name} on {router.interface}: {os.strerror(number)}")
        self._made[name] = router.interface
        self.refused = [what for what in self.refused if not what.startswith(f"{name}: ")]
        self._set(f"ipv4/conf/{router.interface}/arp_ignore", "1")
        self._set(f"ipv4/conf/{router.interface}/arp_announce", "2")
        for path, value in (
            (f"ipv4/conf/{name}/arp_ignore", "1"),
            (f"ipv4/conf/{name}/rp_filter", "0"),
            (f"ipv4/conf/{name}/accept_local", "1"),
            (f"ipv6/conf/{name}/accept_ra", "0"),
            (f"ipv6/conf/{name}/autoconf", "0"),
        ):
            self._set(path, value, restore=False)
        no_addresses = _attribute(_AF_SPEC, _attribute(socket.AF_INET6, _attribute(_ADDR_GEN_MODE, b"\1")))
        _ask(_link_message(_NEWLINK, 0, _index(name), 0, no_addresses))  # refused where there is no IPv6: no matter
        _ask(_link_message(_NEWLINK, 0, _index(name), _UP, b""))

    def _remove(self, name: str) -> None:
        del self._made[name]
        index = _index(name)
        if index:
            _ask(_link_message(_DELLINK, 0, index, 0, b""))

    def _set(self, what: str, value: str, restore: bool = True) -> None:
        """Sets a sysctl; one that can't be written (a read-only /proc in a container) is reported in `refused`."""
        path = Path("/proc/sys/net", what)
        try:
            before = path.read_text().strip()
            if before != value:
                path.write_text(value)
                if restore:
                    self._before.setdefault(str(path), (before, value))
        except OSError as error:
            self._refuse(f"sysctl net.{what.replace('/', '.')}={value}: {error.strerror}")
