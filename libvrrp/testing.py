"""A simulated network for virtual routers: many machines, one virtual clock, every fault a real segment has.

It is what the library's own simulation runs on, and it is public: an agent that embeds `libvrrp.fsm.Node` can be tested
the same way.  Nothing waits: a simulated minute takes milliseconds, and a seed gives the same run every time.

    sim = Simulation(seed=7)
    lan = sim.segment("lan", delay=(100_000, 2_000_000))            # nanoseconds
    for number in (1, 2):
        router = Router("web", "eth0", 51, (Address("10.0.0.100/24"),), priority=100 * number)
        host = sim.host(f"h{number}", Config((router,)))
        host.attach("eth0", lan, f"10.0.0.{number}")
        host.start()
    sim.run(10 * SECOND)
    assert sim.masters("web") == ["h2"]
    sim.hosts["h2"].pause(3 * SECOND)                                # as SIGSTOP and SIGCONT would
    sim.run(2 * SECOND)

To test one's own agent, subclass Host and override `carry_out(action)`: it sees each Action when the machine asks for
it, and may do more than the default (run a script, write a file), or answer with Done and Failed at other times.

Times are nanoseconds of the simulation's own clock; a host's clock may drift from it.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from libvrrp.config import Config
from libvrrp.fsm import TABLE, Action, Event, Node, Row
from libvrrp.fsm import events as ev
from libvrrp.packet import Advert

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Change(NamedTuple):
    """A router's change of state, as it was recorded: at (ns), on which host, and why."""

    at: int
    host: str
    router: str
    old: str
    new: str
    cause: str


class Segment:
    """A broadcast segment.

    delay: (shortest, longest) in ns, drawn for each receiver.  loss, duplicate: probabilities of each delivery.
    reorder: whether a packet may overtake an earlier one.  A delivery that is cut is lost.
    """

    def __init__(self, simulation: "Simulation", name: str, delay: tuple[int, int]) -> None:
        self.simulation = simulation
        self.name = name
        self.delay = delay
        self.loss = 0.0
        self.duplicate = 0.0
        self.reorder = False
        self.ports: list[tuple[Host, str]] = []
        self._cut: set[tuple[str, str]] = set()
        self._last: dict[tuple[str, str], int] = {}

    def cut(self, sender: str, receiver: str) -> None:
        """Nothing from one host reaches the other (the other way still works)."""
        self._cut.add((sender, receiver))

    def partition(self, *sides: set[str]) -> None:
        """Hosts of different sides don't reach each other."""
        for side in sides:
            for other in sides:
                if other is not side:
                    self._cut |= {(a, b) for a in side for b in other}

    def heal(self) -> None:
        """Whole again: no cuts, no loss, no duplicates, no reordering."""
        self._cut.clear()
        self.loss = self.duplicate = 0.0
        self.reorder = False

    def send(self, sender: "Host", data: bytes, to: str | None = None) -> None:
        """Delivers an IP datagram to every other host on the segment, or to the one whose address is `to`."""
        rng = self.simulation.rng
        for host, interface in self.ports:
            if to is not None and ip_address(host._ports[interface][1]) != ip_address(to):
                continue
            if host is sender or (sender.name, host.name) in self._cut or not host.links.get(interface, False):
                continue
            if self.loss and rng.random() < self.loss:
                continue
            copies = 2 if self.duplicate and rng.random() < self.duplicate else 1
            for _ in range(copies):
                at = self.simulation.now + rng.randint(*self.delay)
                pair = (sender.name, host.name)
                if not self.reorder:
                    at = max(at, self._last.get(pair, 0))
                    self._last[pair] = at
                self.simulation.at(at, host.receive, ev.Received(interface, data))


class Host:
    """A machine with one process that runs a Node, and a kernel that holds addresses.

    drift: how much faster its clock runs (0.0001 = 100 ppm).  lateness: longest delay of its timers, ns.
    change_delay: (shortest, longest) time an address change takes, ns.  change_failures: their probability.
    """

    def __init__(self, simulation: "Simulation", name: str, config: Config, table: tuple[Row, ...] = TABLE) -> None:
        self.simulation = simulation
        self.name = name
        self.config = config
        self.table = table
        self.node: Node | None = None
        self.drift = 0.0
        self.lateness = 0
        self.change_delay = (0, 0)
        self.change_failures = 0.0
        self.links: dict[str, bool] = {}
        self.held: dict[str, int] = {}  # router -> when the kernel removes its addresses
        self._ports: dict[str, tuple[Segment, str]] = {}
        self._settings = {router.name: router for router in config.routers}
        self._inbox: deque[Event] = deque()
        self._paused_until = -1
        self._kernel_free = 0
        self._tick = -1
        self._life = 0

    def attach(self, interface: str, segment: Segment, address: str) -> None:
        """Connects an interface, whose own address is `address`, to a segment."""
        self._ports[interface] = (segment, address)
        self.links[interface] = True
        segment.ports.append((self, interface))

    def clock(self) -> int:
        """The host's own monotonic clock, ns."""
        return int(self.simulation.now * (1 + self.drift))

    def start(self) -> None:
        """Starts the process: a fresh Node that knows its addresses and links.  Addresses that an earlier life left
        behind are removed first, as libvrrp.host does."""
        self.node = Node(self.config, self.table)
        self.held.clear()
        self._life += 1
        self._inbox.clear()
        self._paused_until = -1
        for router in self.config.routers:
            if router.interface in self._ports:
                self.apply(ev.Primary(router.name, self._ports[router.interface][1]))
        for interface, up in self.links.items():
            if not up:
                self.apply(ev.Link(interface, False))
        self.apply(ev.Start())

    def kill(self) -> None:
        """Ends the process at once, as SIGKILL does; the kernel keeps the addresses while their lifetime lasts."""
        for name in self._settings:
            self.simulation.note(self, name, self.state(name), "Initialize", "killed")
        self.node = None
        self._tick = -1
        self._inbox.clear()

    def pause(self, duration: int) -> None:
        """Stops the process for a while, as SIGSTOP and SIGCONT do: packets wait, the kernel goes on."""
        self._paused_until = max(self._paused_until, self.simulation.now + duration)
        self.simulation.at(self._paused_until, self._wake, self._life)

    def link(self, interface: str, up: bool) -> None:
        """Takes a link down or up, and tells the process."""
        self.links[interface] = up
        self.receive(ev.Link(interface, up))

    def state(self, router: str) -> str:
        """The state of one of its routers ("Initialize" while the process is dead)."""
        return "Initialize" if self.node is None else self.node.state(router)

    def receive(self, event: Event) -> None:
        """An event for the process: handled now, or when it is no longer paused."""
        if self.node is None:
            return
        if self.simulation.now < self._paused_until:
            self._inbox.append(event)
        else:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """One step of the machine, and everything that it asks for."""
        assert self.node is not None
        for action in self.node.step(event, self.clock()):
            self.carry_out(action)
        self._schedule()

    def carry_out(self, action: Action) -> None:
        """Does what an Action asks for.  Override it to watch or to do more."""
        if action.kind == "ADVERT":
            self._advertise(action)
        elif action.kind in ("ADD", "DELETE", "REFRESH"):
            self._change_addresses(action)
        elif action.kind == "STOP_SCRIPT":
            self.simulation.at(self.simulation.now, self.receive, ev.Done(action.id))
        elif action.kind == "TRANSITION":
            self.simulation.note(self, action.router, action.old, action.new, action.cause)

    def _advertise(self, action: Action) -> None:
        router = self._settings[action.router]
        if router.interface not in self._ports or not self.links[router.interface]:
            return
        segment, address = self._ports[router.interface]
        receivers: list[str | None] = [peer.address for peer in router.peer_list]
        for peer in receivers or [None]:
            advert = Advert(
                version=router.version,
                vrid=router.vrid,
                priority=action.priority,
                interval_cs=router.interval_cs,
                addresses=[a.ip for a in router.addresses],
                source=address,
                destination=peer or router.group or None,
                ttl=router.unicast_ttl if peer else 255,
            )
            segment.send(self, advert.encode(), peer)

    def _change_addresses(self, action: Action) -> None:
        """The kernel does one change after the other, and goes on while the process is paused."""
        sim = self.simulation
        self._kernel_free = max(self._kernel_free, sim.now) + sim.rng.randint(*self.change_delay)
        failed = self.change_failures > 0 and sim.rng.random() < self.change_failures
        sim.at(self._kernel_free, self._changed, action, failed, self._life)

    def _changed(self, action: Action, failed: bool, life: int) -> None:
        name, sim = action.router, self.simulation
        if life != self._life:
            return  # it was under way when the process died, and the next start has removed what it left
        if not failed:
            if action.kind == "DELETE":
                self.held.pop(name, None)
            else:
                router = self._settings[name]
                end = sim.now + router.lease_seconds * SECOND if router.lease else 1 << 62
                self.held[name] = end
                sim.at(end, self._expire, name, end, life)
        self.receive(ev.Failed(action.id) if failed else ev.Done(action.id))

    def _expire(self, name: str, end: int, life: int) -> None:
        if self.held.get(name) == end:
            del self.held[name]
            if life == self._life:
                self.receive(ev.AddressExpired(name))

    def _wake(self, life: int) -> None:
        """Packets that waited come first: a backup that slept must hear its master before it looks at the time."""
        if life != self._life or self.node is None or self.simulation.now < self._paused_until:
            return
        while self._inbox:
            self.apply(self._inbox.popleft())
        self.apply(ev.Deadline())

    def _schedule(self) -> None:
        assert self.node is not None
        local = self.node.next_deadline()
        if local is None:
            self._tick = -1
            return
        at = max(self.simulation.now, -int(-local // (1 + self.drift)))
        if self.lateness:
            at += self.simulation.rng.randint(0, self.lateness)
        self._tick = at
        self.simulation.at(at, self._ticked, at, self._life)

    def _ticked(self, at: int, life: int) -> None:
        if (
            self.node is not None
            and at == self._tick
            and life == self._life
            and self.simulation.now >= self._paused_until
        ):
            self.apply(ev.Deadline())


class Simulation:
    """Hosts, segments and a virtual clock.  The same seed and the same calls give the same run."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = 0
        self.hosts: dict[str, Host] = {}
        self.segments: dict[str, Segment] = {}
        self.changes: list[Change] = []
        self._heap: list[tuple[int, int, Callable[..., object], tuple[object, ...]]] = []
        self._count = 0

    def segment(self, name: str, delay: tuple[int, int] = (0, MILLISECOND)) -> Segment:
        """A new broadcast segment; delay is (shortest, longest) in ns."""
        self.segments[name] = Segment(self, name, delay)
        return self.segments[name]

    def host(self, name: str, config: Config, table: tuple[Row, ...] = TABLE, kind: type[Host] = Host) -> Host:
        """A new host (not started).  kind: a subclass of Host with one's own `carry_out`."""
        self.hosts[name] = kind(self, name, config, table)
        return self.hosts[name]

    def at(self, when: int, what: Callable[..., object], *arguments: object) -> None:
        """Calls what(*arguments) at a time in ns."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what, arguments))

    def run(self, duration: int) -> None:
        """Lets `duration` ns pass."""
        end = self.now + duration
        while self._heap and self._heap[0][0] <= end:
            when, _, what, arguments = heapq.heappop(self._heap)
            self.now = max(self.now, when)
            what(*arguments)
        self.now = end

    def note(self, host: Host, router: str, old: str, new: str, cause: str) -> None:
        """Records a change of state."""
        if old != new:
            self.changes.append(Change(self.now, host.name, router, old, new, cause))

    def masters(self, router: str) -> list[str]:
        """The hosts on which the router is master now."""
        return [
            name for name, host in self.hosts.items() if router in host._settings and host.state(router) == "Master"
        ]

    def owners(self, router: str) -> list[str]:
        """The hosts whose kernel holds the router's addresses now."""
        return [name for name, host in self.hosts.items() if router in host.held]

    def heal(self) -> None:
        """Every segment is whole, every link up, nobody paused or dead, changes work: from now on bounds hold."""
        for segment in self.segments.values():
            segment.heal()
        for host in self.hosts.values():
            host.change_failures = 0.0
            for interface, up in host.links.items():
                if not up:
                    host.link(interface, True)
            if host.node is None:
                host.start()
            elif host._paused_until > self.now:
                host._paused_until = self.now
                host._wake(host._life)

    def counts(self, router: str, since: int = 0) -> list[tuple[int, int]]:
        """How many masters the router had over time: (from when, number), starting at `since`."""
        roles: dict[str, bool] = {}
        out = [(since, 0)]
        for change in self.changes:
            if change.router == router:
                roles[change.host] = change.new == "Master"
                number = sum(roles.values())
                if change.at <= since:
                    out = [(since, number)]
                elif number != out[-1][1]:
                    out.append((change.at, number))
        return out


def with_priority(config: Config, priority: int) -> Config:
    """The same configuration with another priority for all its routers."""
    return replace(config, routers=tuple(replace(router, priority=priority) for router in config.routers))
