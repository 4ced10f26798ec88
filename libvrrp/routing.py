"""Virtual routes and rules: what of routing comes and goes with a router's addresses.

The words are ip-route(8)'s and ip-rule(8)'s.  Encapsulation (`encap`) and nexthop objects (`nhid`) are left out.
"""

import ipaddress
from dataclasses import dataclass

from libvrrp.errors import ConfigError, require

ROUTE_TYPES = ("unicast", "local", "broadcast", "multicast", "throw", "blackhole", "unreachable", "prohibit")
# Numbers, but for "features" (ecn) and "congctl" (an algorithm's name).
ROUTE_METRICS = (
    "mtu",
    "window",
    "rtt",
    "rttvar",
    "ssthresh",
    "cwnd",
    "advmss",
    "reordering",
    "hoplimit",
    "initcwnd",
    "features",
    "rto_min",
    "initrwnd",
    "quickack",
    "congctl",
    "fastopen_no_cookie",
)
RULE_ACTIONS = ("lookup", "goto", "nop", "blackhole", "unreachable", "prohibit")


def _is_address(text: str) -> bool:
    """Whether it is an IP address, or empty."""
    try:
        return not text or bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _is_realms(text: str) -> bool:
    parts = text.split("/") if text else []
    return len(parts) <= 2 and all(part.isdecimal() and int(part) <= 0xFFFF for part in parts)


@dataclass(frozen=True, slots=True)
class NextHop:
    """One way of a route with several.  via: a gateway (else the network is on the link).  device: else the router's.
    weight: 1 to 256, its share of the flows.  onlink: the gateway is on the link whatever its address."""

    via: str = ""
    device: str = ""
    weight: int = 1
    onlink: bool = False

    def __post_init__(self) -> None:
        require(_is_address(self.via), "next hop", "via", "an address")
        require(1 <= self.weight <= 256, f"next hop {self.via}", "weight", "1 to 256")
        require(len(self.device.encode()) <= 15, f"next hop {self.via}", "device", "at most 15 bytes")


@dataclass(frozen=True, slots=True)
class Route:
    """A virtual route: there while the router is master.

    to: a network ("0.0.0.0/0" is the default route).  via: a gateway (of the other family, too).  device: else the
    router's.  source: preferred source address.  table: 1 up; vrf: the name of a VRF device whose table it is instead.
    type: one of ROUTE_TYPES.  scope: else as ip-route(8) chooses.  next_hops: several ways, instead of via and device.
    metrics: pairs such as ("mtu", 1400), of ROUTE_METRICS; locked: names of those that path discovery must not change.
    tos: a byte.  realms: "to" or "from/to", numbers.  preference: "low", "medium" or "high", of an IPv6 router.
    """

    to: str
    via: str = ""
    device: str = ""
    source: str = ""
    table: int = 254
    metric: int = 0
    type: str = "unicast"
    scope: str = ""
    onlink: bool = False
    next_hops: tuple[NextHop, ...] = ()
    vrf: str = ""
    tos: int = 0
    realms: str = ""
    preference: str = ""
    metrics: tuple[tuple[str, int | str], ...] = ()
    locked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        who = f"route to {self.to}"
        try:
            version = ipaddress.ip_network(self.to).version
            fits = not self.source or ipaddress.ip_address(self.source).version == version
        except ValueError as error:
            raise ConfigError(f"{who}: {error}") from None
        require(_is_address(self.via), who, "via", "an address")
        require(fits, who, "source", f"an IPv{version} address")
        for via in (self.via, *(hop.via for hop in self.next_hops)):
            cross = not via or version == 4 or ipaddress.ip_address(via).version == 6
            require(cross, who, "via", "IPv6 goes by IPv6 gateways")
        require(self.type in ROUTE_TYPES, who, "type", "one of " + ", ".join(ROUTE_TYPES))
        require(self.scope in ("", "global", "site", "link", "host"), who, "scope", "global, site, link or host")
        require(1 <= self.table <= 0xFFFFFFFF, who, "table", "1 to 4294967295")
        require(0 <= self.metric <= 0xFFFFFFFF, who, "metric", "0 to 4294967295")
        for name in (self.device, self.vrf):
            require(len(name.encode()) <= 15, who, "device, vrf", "at most 15 bytes")
        alone = not (self.next_hops and (self.via or self.device or self.onlink))
        require(alone, who, "next_hops", "instead of via, device and onlink")
        require(0 <= self.tos <= 255, who, "tos", "0 to 255")
        require(not self.tos or version == 4, who, "tos", "only IPv4 routes have one")
        require(self.preference in ("", "low", "medium", "high"), who, "preference", "low, medium or high")
        require(not self.preference or version == 6, who, "preference", "only IPv6 routes have one")
        require(_is_realms(self.realms), who, "realms", '"to" or "from/to", numbers of 0 to 65535')
        self._check_metrics(who)

    def _check_metrics(self, who: str) -> None:
        for name, value in self.metrics:
            require(name in ROUTE_METRICS, who, "metrics", "some of " + ", ".join(ROUTE_METRICS))
            if name == "congctl":
                fits = isinstance(value, str) and 0 < len(value.encode()) <= 15
            elif name == "features":
                fits = value == "ecn"
            else:
                fits = isinstance(value, int) and 0 <= value <= 0xFFFFFFFF
            allowed = {"congctl": "a name", "features": "ecn"}.get(name, "0 to 4294967295")
            require(fits, who, f"metrics {name}", allowed)
        require(set(self.locked) <= {name for name, _ in self.metrics}, who, "locked", "names of its metrics")


@dataclass(frozen=True, slots=True)
class Rule:
    """A virtual rule: packets that fit everything given are dealt with by its action, while the router is master.

    action: "lookup" (in `table`; with l3mdev in the VRF's), "goto" (the rule of preference `goto`), "nop", "blackhole",
    "unreachable" or "prohibit".  fwmask: the bits of the mark that count.  uids, sport, dport: (lowest, highest).
    protocol: an IP protocol's number.  invert: packets that do not fit.  suppress_prefix_length: a result with a prefix
    no longer than this is ignored (-1: none).  suppress_group: one by an interface of this group (-1: none).
    realms: "to" or "from/to", numbers.
    """

    table: int
    preference: int
    source: str = ""
    to: str = ""
    iif: str = ""
    oif: str = ""
    fwmark: int = 0
    fwmask: int = 0xFFFFFFFF
    action: str = "lookup"
    goto: int = 0
    tos: int = 0
    l3mdev: bool = False
    uids: tuple[int, int] | None = None
    protocol: int = 0
    sport: tuple[int, int] | None = None
    dport: tuple[int, int] | None = None
    invert: bool = False
    suppress_prefix_length: int = -1
    suppress_group: int = -1
    realms: str = ""
    tunnel: int = 0

    def __post_init__(self) -> None:
        who = f"rule {self.preference}"
        try:
            versions = {ipaddress.ip_network(network).version for network in (self.source, self.to) if network}
        except ValueError as error:
            raise ConfigError(f"{who}: {error}") from None
        require(len(versions) <= 1, who, "source, to", "networks of one family")
        require(self.action in RULE_ACTIONS, who, "action", "one of " + ", ".join(RULE_ACTIONS))
        looks = self.action == "lookup" and not self.l3mdev
        lowest, highest = (1, 0xFFFFFFFF) if looks else (0, 0)
        require(lowest <= self.table <= highest, who, "table", "1 to 4294967295, or 0 with another action or l3mdev")
        require(1 <= self.preference <= 0xFFFFFFFF, who, "preference", "1 to 4294967295")
        require((self.goto > self.preference) == (self.action == "goto"), who, "goto", "a later preference, with goto")
        for name in ("fwmark", "fwmask", "goto"):
            require(0 <= getattr(self, name) <= 0xFFFFFFFF, who, name, "0 to 4294967295")
        for name in ("tos", "protocol"):
            require(0 <= getattr(self, name) <= 255, who, name, "0 to 255")
        for name, highest in (("uids", 0xFFFFFFFF), ("sport", 0xFFFF), ("dport", 0xFFFF)):
            low, high = getattr(self, name) or (0, 0)
            require(0 <= low <= high <= highest, who, name, f"(lowest, highest), at most {highest}")
        require(-1 <= self.suppress_prefix_length <= 128, who, "suppress_prefix_length", "-1 to 128")
        require(-1 <= self.suppress_group <= 0x7FFFFFFF, who, "suppress_group", "-1 to 2147483647")
        require(0 <= self.tunnel < 1 << 64, who, "tunnel", "0 to 18446744073709551615")
        require(_is_realms(self.realms), who, "realms", '"to" or "from/to", numbers of 0 to 65535')
        require(max(len(self.iif.encode()), len(self.oif.encode())) <= 15, who, "iif, oif", "at most 15 bytes")
