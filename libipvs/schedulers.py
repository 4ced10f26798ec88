"""The kernel's schedulers, in Python: given the same servers, counters and clients, the same choice.

Source: the module documentation and the papers behind them (SED and NQ: Weinrib and Shenker 1988; LBLC: Zhang 1998;
mh: Eisenbud et al., Maglev, NSDI 2016), and the choices that Linux 6.1 was seen to make.

`servers` is the service's list as the kernel holds it: newest first.  Walks start where the last one stopped, or at
the front.  A server is passed over when its weight is 0 or its threshold overloads it, unless said otherwise.

    name    chooses
    rr      the next in the list                    wrr    the next, in proportion to weights
    lc      fewest connections                      wlc    fewest connections by weight
    sed     least (active + 1) by weight            nq     an idle one, else as sed
    fo      the heaviest                            ovf    the heaviest with active <= weight
    sh, mh  a hash of the client's address          dh     a hash of the destination address
    lblc    the destination's last server while it is not overloaded, else as wlc
    lblcr   likewise with a set of servers that grows and, after 24 minutes of quiet, shrinks
    twos    the less loaded of two random ones

An "overhead" is 256 * active + inactive connections, except for sed and nq.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from libipvs.errors import UnknownScheduler

WORD = 0xFFFFFFFF
LBLCR_QUIET = 24 * 60  # seconds until a destination's set of servers shrinks by its most loaded one


class Backend:
    """A real server as a scheduler sees it.  `last_weight` is the last weight that was not 0 (mh keeps its table)."""

    __slots__ = ("active", "address", "inactive", "last_weight", "overloaded", "port", "weight")

    def __init__(self, address: bytes, port: int, weight: int) -> None:
        self.address = address
        self.port = port
        self.weight = self.last_weight = weight
        self.active = self.inactive = 0
        self.overloaded = False

    @property
    def usable(self) -> bool:
        return self.weight > 0 and not self.overloaded

    @property
    def overhead(self) -> int:
        return 256 * self.active + self.inactive


class Client(NamedTuple):
    """Who asks for what: addresses as packed bytes (4 or 16)."""

    source: bytes
    source_port: int
    destination: bytes


class Scheduler(ABC):
    """Chooses among `servers`, a list that its owner changes and reports by changed() or removed()."""

    def __init__(self, servers: Sequence[Backend], flags: frozenset[str] = frozenset()) -> None:
        self.servers = servers
        self.set_flags(flags)
        self.changed()

    def set_flags(self, flags: frozenset[str]) -> None:
        """flag-1 is the fallback, flag-2 the port's part in the hash (sh and mh; the others have no flags)."""
        self.fallback = "flag-1" in flags
        self.by_port = "flag-2" in flags

    def changed(self) -> None:  # noqa: B027 (most schedulers hold nothing to renew)
        """A server was added or has another weight."""

    def removed(self, server: Backend, index: int) -> None:
        """`server` is gone from position `index`."""
        self.changed()

    @abstractmethod
    def schedule(self, client: Client) -> Backend | None:
        """The server for a new connection, or None if none may take it."""


class RoundRobin(Scheduler):
    """Remembers the last server; None is the list's head, before the first."""

    def __init__(self, servers: Sequence[Backend], flags: frozenset[str] = frozenset()) -> None:
        self.last: Backend | None = None
        super().__init__(servers, flags)

    def removed(self, server: Backend, index: int) -> None:
        if self.last is server:
            self.last = self.servers[index - 1] if index else None

    def schedule(self, client: Client) -> Backend | None:
        start = self.servers.index(self.last) + 1 if self.last is not None else 0
        for server in (*self.servers[start:], *self.servers[:start]):
            if server.usable:
                self.last = server
                return server
        return None


class WeightedRoundRobin(Scheduler):
    """Interleaved: rounds with a falling limit; in each round the servers of at least that weight are used.

    limit falls from the greatest weight by the greatest common divisor of all, down to (but not below) 1.
    """

    def __init__(self, servers: Sequence[Backend], flags: frozenset[str] = frozenset()) -> None:
        self.limit = 0
        self.last: Backend | None = None
        super().__init__(servers, flags)

    def changed(self) -> None:
        self.last = None
        weights = [server.weight for server in self.servers if server.weight > 0]
        self.step = math.gcd(*weights) if weights else 1
        self.top = max(weights, default=0) - (self.step - 1)
        if self.limit == 0 or self.limit > self.top:
            self.limit = self.top
        elif self.step > 1:
            self.limit = self.limit // self.step * self.step + 1

    def schedule(self, client: Client) -> Backend | None:
        if self.top <= 0:
            return None
        position = self.servers.index(self.last) + 1 if self.last is not None else 0
        # Every limit is tried once for the servers after the last one, and once for those up to it.
        for _ in range(2 * (self.top // self.step + 2)):
            for server in self.servers[position:]:
                if server.weight >= self.limit and not server.overloaded:
                    self.last = server
                    return server
            position = 0
            self.limit -= self.step
            if self.limit <= 0:
                self.limit = self.top
        return None


def _least(servers: Sequence[Backend], load: Callable[[Backend], int]) -> Backend | None:
    """The usable server with the least load by weight; the first in the list of those with equal ones."""
    best = None
    for server in servers:
        if server.usable and (best is None or load(best) * server.weight > load(server) * best.weight):
            best = server
    return best


class LeastConnection(Scheduler):
    def schedule(self, client: Client) -> Backend | None:
        usable = [server for server in self.servers if server.usable]
        return min(usable, key=lambda server: server.overhead, default=None)


class WeightedLeastConnection(Scheduler):
    def schedule(self, client: Client) -> Backend | None:
        return _least(self.servers, lambda server: server.overhead)


class ShortestExpectedDelay(Scheduler):
    def schedule(self, client: Client) -> Backend | None:
        return _least(self.servers, lambda server: server.active + 1)


class NeverQueue(Scheduler):
    def schedule(self, client: Client) -> Backend | None:
        for server in self.servers:
            if server.usable and server.active == 0:
                return server
        return _least(self.servers, lambda server: server.active + 1)


class Failover(Scheduler):
    def schedule(self, client: Client) -> Backend | None:
        return max((server for server in self.servers if server.usable), key=lambda server: server.weight, default=None)


class Overflow(Scheduler):
    def schedule(self, client: Client) -> Backend | None:
        fitting = [server for server in self.servers if server.usable and server.active <= server.weight]
        return max(fitting, key=lambda server: server.weight, default=None)


def fold(address: bytes) -> int:
    """32 bits of an address: IPv4 as a number, IPv6 the exclusive or of its four words."""
    value = 0
    for i in range(0, len(address), 4):
        value ^= int.from_bytes(address[i : i + 4], "big")
    return value


def hash_32(value: int, bits: int) -> int:
    """The kernel's multiplicative hash (the golden ratio of 2**32): the upper `bits` of the product."""
    return (value & WORD) * 0x61C88647 % 2**32 >> 32 - bits


class DestinationHash(Scheduler):
    """256 places, given to the servers in turn, whatever their weights."""

    def changed(self) -> None:
        self.places = [self.servers[i % len(self.servers)] for i in range(256)] if self.servers else []

    def schedule(self, client: Client) -> Backend | None:
        server = self.places[hash_32(fold(client.destination), 8)] if self.places else None
        return server if server is not None and server.usable else None


class SourceHash(Scheduler):
    """256 places; a server gets as many in a row as its weight, at least one.  sh-fallback looks for another place."""

    def changed(self) -> None:
        self.places: list[Backend] = []
        while self.servers and len(self.places) < 256:
            for server in self.servers:
                self.places += [server] * max(server.weight, 1)
                if len(self.places) >= 256:
                    break

    def _place(self, client: Client, offset: int) -> int:
        port = client.source_port if self.by_port else 0
        return (offset + hash_32(port + fold(client.source), 8)) % 256

    def schedule(self, client: Client) -> Backend | None:
        if not self.places:
            return None
        first = self._place(client, 0)
        if self.places[first].usable:
            return self.places[first]
        for offset in range(256 if self.fallback else 0):
            server = self.places[self._place(client, (offset + first) % 256)]
            if server.usable:
                return server
        return None


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & 0xFFFFFFFFFFFFFFFF


def siphash13_u32(value: int, key: tuple[int, int]) -> int:
    """SipHash-1-3 of one 32-bit word, cut to 32 bits: the kernel's hsiphash on 64-bit machines."""
    mask = 0xFFFFFFFFFFFFFFFF
    v0, v1 = key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D
    v2, v3 = key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573
    word = 4 << 56 | value & WORD
    v3 ^= word
    for step in range(4):
        if step == 1:
            v0 ^= word
            v2 ^= 0xFF
        v0 = v0 + v1 & mask
        v1 = _rotate(v1, 13) ^ v0
        v0 = _rotate(v0, 32)
        v2 = v2 + v3 & mask
        v3 = _rotate(v3, 16) ^ v2
        v0 = v0 + v3 & mask
        v3 = _rotate(v3, 21) ^ v0
        v2 = v2 + v1 & mask
        v1 = _rotate(v1, 17) ^ v2
        v2 = _rotate(v2, 32)
    return (v0 ^ v1 ^ v2 ^ v3) & WORD


class _Walk:
    """One server's way through the Maglev table: its place, its skip, and the places it takes in each round."""

    __slots__ = ("place", "server", "skip", "turns")

    def __init__(self, server: Backend, divisor: int, shift: int) -> None:
        seed = server.port + fold(server.address)
        self.server = server
        self.turns = (server.last_weight // divisor >> shift) or int(server.last_weight != 0)
        self.place = siphash13_u32(seed, Maglev.KEY_1) % Maglev.SIZE
        self.skip = siphash13_u32(seed, Maglev.KEY_2) % (Maglev.SIZE - 1) + 1


class Maglev(Scheduler):
    """The Maglev table of 4093 places (Debian's CONFIG_IP_VS_MH_TAB_INDEX=12), filled by the servers' permutations."""

    SIZE = 4093
    HALF_INDEX = 6  # weights above 2**6 of the table are scaled down
    KEY_1 = (2654435761, 2654435761)
    KEY_2 = (2654446892, 2654446892)

    def changed(self) -> None:
        self.stale = True  # filling takes milliseconds: done when the next connection comes

    def _fill(self) -> None:
        self.stale = False
        self.places: list[Backend | None] = [None] * self.SIZE
        weights = [server.last_weight for server in self.servers]
        divisor = math.gcd(*weights)
        if divisor < 1:
            self.places = []
            return
        shift = max((max(weights) // divisor).bit_length() - self.HALF_INDEX, 0)
        walks = [_Walk(server, divisor, shift) for server in self.servers]
        left = self.SIZE
        while left:
            for walk in walks:
                for _ in range(min(walk.turns, left)):
                    while self.places[walk.place] is not None:
                        walk.place = (walk.place + walk.skip) % self.SIZE
                    self.places[walk.place] = walk.server
                    left -= 1

    def _place(self, client: Client, offset: int) -> int:
        port = client.source_port if self.by_port else 0
        return siphash13_u32(offset + port + fold(client.source), self.KEY_1) % self.SIZE

    def schedule(self, client: Client) -> Backend | None:
        if self.stale:
            self._fill()
        if not self.places:
            return None
        first = self._place(client, 0)
        server = self.places[first]
        if server is not None and server.usable:
            return server
        for offset in range(self.SIZE if self.fallback else 0):
            server = self.places[self._place(client, (offset + first) % self.SIZE)]
            if server is not None and server.usable:
                return server
        return None


class Locality(Scheduler):
    """lblc: remembers a server for each destination address."""

    def __init__(self, servers: Sequence[Backend], flags: frozenset[str] = frozenset()) -> None:
        self.cache: dict[bytes, Backend] = {}
        super().__init__(servers, flags)

    def removed(self, server: Backend, index: int) -> None:
        self.cache = {destination: kept for destination, kept in self.cache.items() if kept is not server}

    def swamped(self, server: Backend) -> bool:
        """More active connections than its weight, while another has fewer than half of its own."""
        return server.active > server.weight and any(other.active * 2 < other.weight for other in self.servers)

    def schedule(self, client: Client) -> Backend | None:
        kept = self.cache.get(client.destination)
        if kept is not None and kept.weight > 0 and not self.swamped(kept):
            return kept
        server = _least(self.servers, lambda server: server.overhead)
        if server is not None:
            self.cache[client.destination] = server
        return server


class ReplicatedLocality(Locality):
    """lblcr: remembers a set of servers for each destination address.  `clock` gives seconds."""

    def __init__(
        self,
        servers: Sequence[Backend],
        flags: frozenset[str] = frozenset(),
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.sets: dict[bytes, list[Backend]] = {}
        self.modified: dict[bytes, float] = {}
        self.clock = clock
        super().__init__(servers, flags)

    def removed(self, server: Backend, index: int) -> None:
        for kept in self.sets.values():
            if server in kept:
                kept.remove(server)

    def schedule(self, client: Client) -> Backend | None:
        kept = self.sets.setdefault(client.destination, [])
        chosen = _least(kept, lambda server: server.overhead)
        quiet = self.clock() - self.modified.get(client.destination, 0.0) > LBLCR_QUIET
        if len(kept) > 1 and quiet:
            worst = max(kept, key=lambda server: server.overhead / max(server.weight, 1))
            kept.remove(worst)
            self.modified[client.destination] = self.clock()
        if chosen is not None and not self.swamped(chosen):
            return chosen
        chosen = _least(self.servers, lambda server: server.overhead)
        if chosen is not None and chosen not in kept:
            kept.insert(0, chosen)
            self.modified[client.destination] = self.clock()
        return chosen


class PowerOfTwo(Scheduler):
    """Two servers drawn at random in proportion to their weights; the one with less overhead by weight."""

    def __init__(
        self,
        servers: Sequence[Backend],
        flags: frozenset[str] = frozenset(),
        source: random.Random | None = None,
    ) -> None:
        self.random = source or random.Random()
        super().__init__(servers, flags)

    def schedule(self, client: Client) -> Backend | None:
        usable = [server for server in self.servers if server.usable]
        if not usable:
            return None
        first, second = self.random.choices(usable, [server.weight for server in usable], k=2)
        return second if second.weight * first.overhead > first.weight * second.overhead else first


SCHEDULERS: dict[str, type[Scheduler]] = {
    "rr": RoundRobin,
    "wrr": WeightedRoundRobin,
    "lc": LeastConnection,
    "wlc": WeightedLeastConnection,
    "sed": ShortestExpectedDelay,
    "nq": NeverQueue,
    "fo": Failover,
    "ovf": Overflow,
    "dh": DestinationHash,
    "sh": SourceHash,
    "mh": Maglev,
    "lblc": Locality,
    "lblcr": ReplicatedLocality,
    "twos": PowerOfTwo,
}


def make(
    name: str,
    servers: Sequence[Backend],
    flags: frozenset[str] = frozenset(),
    clock: Callable[[], float] = lambda: 0.0,
    source: random.Random | None = None,
) -> Scheduler:
    """A scheduler by its name.  Raises UnknownScheduler."""
    if name == "lblcr":
        return ReplicatedLocality(servers, flags, clock)
    if name == "twos":
        return PowerOfTwo(servers, flags, source)
    if name not in SCHEDULERS:
        raise UnknownScheduler(f"there is no scheduler {name!r}; there are {', '.join(sorted(SCHEDULERS))}", 2)
    return SCHEDULERS[name](servers, flags)
