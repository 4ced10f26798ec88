"""What goes into a Node (events) and what comes out (actions), as Python sees it.

Times are nanoseconds of one monotonic clock.  Routers, trackers and interfaces go by their configured names.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from libvrrp.packet import Advert

KINDS = ("ADVERT", "ADD", "DELETE", "REFRESH", "ANNOUNCE", "TRANSITION", "STOP_SCRIPT", "CONFLICT", "DROPPED")
DROPS = (
    "",
    "own packet",
    "TTL",
    "version",
    "authentication type",
    "authentication data",
    "AH digest",
    "AH replay",
    "advert interval",
    "address list",
    "not a peer",
    "router stopped or faulty",
    "destination",
)
REASONS = ("not master", "priority", "preempted", "master no response")  # RFC 6527: NewMasterReason
PROTOCOL_ERRORS = ("none", "TTL", "version", "checksum")  # RFC 6527: ProtoErrReason
FAULTS = ("link", "tracker", "address", "hung", "group")


class Deadline(NamedTuple):
    """The time that `next_deadline` named has come (or any other moment: early is harmless)."""


class Received(NamedTuple):
    """An advert on an interface: an Advert, or the bytes of an IP datagram (refused ones are counted)."""

    interface: str
    packet: Advert | bytes


class Link(NamedTuple):
    """The interface's link is up, or not."""

    interface: str
    up: bool


class Done(NamedTuple):
    """The action with this id was carried out."""

    id: int


class Failed(NamedTuple):
    """The action with this id could not be carried out."""

    id: int


class AddressLost(NamedTuple):
    """Somebody else deleted an address of the router."""

    router: str


class AddressExpired(NamedTuple):
    """The kernel deleted an address whose lifetime had ended."""

    router: str


class Claimed(NamedTuple):
    """An ARP or neighbour-discovery packet claims an address of the router from another MAC."""

    router: str


class TrackerValue(NamedTuple):
    """A tracker's new result: script, process 0 = good; interface, BFD 1 = up; file: its number."""

    tracker: str
    value: int


class PeerDown(NamedTuple):
    """The BFD session to this address went from Up to Down."""

    address: str | IPv4Address | IPv6Address


class Start(NamedTuple):
    """Start a router (with its whole sync group), or all."""

    router: str | None = None


class Stop(NamedTuple):
    """Stop a router (with its whole sync group), or all: addresses away, priority 0."""

    router: str | None = None


class SetPriority(NamedTuple):
    """Change the configured priority, 1..255."""

    router: str
    priority: int


class Hung(NamedTuple):
    """The process that owns the routers does not answer (True), or does again (False)."""

    hung: bool


class Primary(NamedTuple):
    """The router's own source address on its interface."""

    router: str
    address: str | IPv4Address | IPv6Address


Event = (
    Deadline
    | Received
    | Link
    | Done
    | Failed
    | AddressLost
    | AddressExpired
    | Claimed
    | TrackerValue
    | PeerDown
    | Start
    | Stop
    | SetPriority
    | Hung
    | Primary
)


class Action(NamedTuple):
    """What the host has to do now, in the order given.

    kind: one of KINDS.  router: its name.  priority: of an ADVERT.  repeat: of an ANNOUNCE, how many for each address.
    old, new, cause: of a TRANSITION (states, and the input that caused it).  reason: of a DROPPED.
    id: to be given back in Done or Failed for ADD, DELETE, REFRESH and STOP_SCRIPT.
    """

    id: int
    kind: str
    router: str
    priority: int = 0
    repeat: int = 0
    old: str = ""
    new: str = ""
    cause: str = ""
    reason: str = ""
