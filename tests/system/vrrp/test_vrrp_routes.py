"""Everything that virtual routes and rules can say, as the kernel shows it; and that all of it goes again."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_lab import VIP, Lab, missing, sh, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"missing {missing()}")


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("routes"), count=1, tag="ko")
    for command in (
        "link add side0 type veth peer name side1",
        "addr add 10.78.0.1/24 dev side0",
        "addr add fd78::1/64 dev side0 nodad",
        "link set side1 up",
        "link set side0 up",
    ):
        sh("ip", "-n", lab.spaces[0], *command.split())
    yield lab
    lab.close()


def shown(lab):
    commands = ("route show table all", "-6 route show table all", "rule", "-6 rule")
    lines = "".join(sh("ip", "-n", lab.spaces[0], *x.split()) for x in commands)
    return " ".join(lines.split())


HOPS4 = [{"via": "10.77.0.3", "weight": 3}, {"via": "10.78.0.9", "device": "side0"}]
HOPS6 = [{"via": "fd77::3", "device": "eth0"}, {"via": "fd78::9", "device": "side0", "weight": 2}]
ROUTES = {
    "several ways": (
        {"to": "10.99.1.0/24", "next_hops": HOPS4},
        "10.99.1.0/24 proto 112 nexthop via 10.77.0.3 dev eth0 weight 3 nexthop via 10.78.0.9 dev side0 weight 1",
    ),
    "several ways, one on the link": (
        {"to": "10.99.2.0/24", "next_hops": [{"via": "10.99.9.9", "device": "eth0", "onlink": True}, {}]},
        "10.99.2.0/24 proto 112 nexthop via 10.99.9.9 dev eth0 weight 1 onlink nexthop dev eth0 weight 1",
    ),
    "several ways over IPv6": (
        {"to": "fd99:1::/64", "next_hops": HOPS6, "metric": 7},
        "fd99:1::/64 proto 112 metric 7 pref medium nexthop via fd77::3 dev eth0 weight 1 nexthop via fd78::9 dev side0"
        " weight 2",
    ),
    "an IPv6 gateway": (
        {"to": "10.99.3.0/24", "via": "fd77::3"},
        "10.99.3.0/24 via inet6 fd77::3 dev eth0 proto 112",
    ),
    "several ways, one by an IPv6 gateway": (
        {"to": "10.99.4.0/24", "next_hops": [{"via": "fd77::3", "device": "eth0"}, {"via": "10.78.0.9"}]},
        "10.99.4.0/24 proto 112 nexthop via inet6 fd77::3 dev eth0 weight 1 nexthop via 10.78.0.9 dev side0 weight 1",
    ),
    "metrics": (
        {
            "to": "10.99.5.0/24",
            "via": "10.77.0.3",
            "metrics": [
                ["mtu", 1400],
                ["advmss", 1360],
                ["hoplimit", 9],
                ["initcwnd", 20],
                ["initrwnd", 30],
                ["rto_min", 50],
                ["quickack", 1],
                ["features", "ecn"],
                ["congctl", "reno"],
                ["reordering", 5],
                ["window", 1000],
                ["cwnd", 15],
                ["ssthresh", 16],
                ["fastopen_no_cookie", 1],
            ],
            "locked": ["mtu"],
        },
        "10.99.5.0/24 via 10.77.0.3 dev eth0 proto 112 mtu lock 1400 window 1000 ssthresh 16 cwnd 15 advmss 1360"
        " reordering 5 hoplimit 9 initcwnd 20 features ecn rto_min 50ms initrwnd 30 quickack 1 congctl reno"
        " fastopen_no_cookie 1",
    ),
    "tos and scope": (
        {"to": "10.99.6.0/24", "tos": 16, "scope": "link", "table": 300, "metric": 9},
        "10.99.6.0/24 tos 0x10 dev eth0 table 300 proto 112 scope link metric 9",
    ),
    "local": ({"to": "10.99.7.0/24", "type": "local"}, "local 10.99.7.0/24 dev eth0 proto 112 scope host"),
    "broadcast": ({"to": "10.99.8.255", "type": "broadcast"}, "broadcast 10.99.8.255 dev eth0 proto 112 scope link"),
    "throw": ({"to": "10.99.9.0/24", "type": "throw", "table": 300}, "throw 10.99.9.0/24 table 300 proto 112"),
    "prohibit": ({"to": "fd99:2::/64", "type": "prohibit", "metric": 5}, "prohibit fd99:2::/64 dev lo proto 112"),
    "preference": (
        {"to": "fd99:3::/64", "via": "fd77::3", "preference": "high"},
        "fd99:3::/64 via fd77::3 dev eth0 proto 112 metric 1024 pref high",
    ),
    "a default route on another interface with a source": (
        {"to": "0.0.0.0/0", "via": "10.78.0.9", "device": "side0", "source": VIP, "table": 301},
        f"default via 10.78.0.9 dev side0 table 301 proto 112 src {VIP}",
    ),
}


@pytest.mark.parametrize("name", ROUTES)
def test_a_route(lab, name):
    given, expected = ROUTES[name]
    agent = lab.agent(1, 255, routes=[given])
    assert until(lambda: expected in shown(lab)), shown(lab) + "".join(map(str, agent.lines()))
    agent.kill()
    assert until(lambda: "proto 112" not in shown(lab)), f"the guardian: {shown(lab)}"
    agent = lab.agent(1, 255, routes=[given])
    assert until(lambda: expected in shown(lab))
    agent.stop()
    assert "proto 112" not in shown(lab)


RULES = {
    "ports and protocol": (
        {"table": 5, "preference": 500, "protocol": 6, "sport": [1000, 2000], "dport": [80, 80], "to": "10.0.0.0/8"},
        "500: from all to 10.0.0.0/8 ipproto tcp sport 1000-2000 dport 80 lookup 5 proto 112",
    ),
    "a mark with a mask": (
        {"table": 5, "preference": 501, "fwmark": 16, "fwmask": 240},
        "501: from all fwmark 0x10/0xf0 lookup 5 proto 112",
    ),
    "not": (
        {"table": 5, "preference": 502, "source": "10.0.0.0/8", "invert": True, "oif": "eth0", "tos": 16},
        "502: not from 10.0.0.0/8 tos 0x10 oif eth0 lookup 5 proto 112",
    ),
    "goto": (
        {"table": 0, "preference": 503, "action": "goto", "goto": 32766},
        "503: from all goto 32766 proto 112",
    ),
    "prohibit": (
        {"table": 0, "preference": 504, "action": "prohibit", "source": "fd99::/64"},
        "504: from fd99::/64 prohibit proto 112",
    ),
    "users": ({"table": 5, "preference": 505, "uids": [7, 9]}, "505: from all uidrange 7-9 lookup 5 proto 112"),
    "suppressors": (
        {"table": 5, "preference": 506, "suppress_prefix_length": 0, "suppress_group": 4},
        "506: from all lookup 5 suppress_prefixlength 0 suppress_ifgroup 4 proto 112",
    ),
    "a tunnel": ({"table": 5, "preference": 507, "tunnel": 77}, "507: from all tun_id 77 lookup 5 proto 112"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule(lab, name):
    given, expected = RULES[name]
    agent = lab.agent(1, 255, rules=[given])
    assert until(lambda: expected in shown(lab)), shown(lab) + "".join(map(str, agent.lines()))
    agent.stop()
    assert "proto 112" not in shown(lab)


def test_a_way_that_goes_with_its_interface_does_not_keep_the_others(lab):
    """The kernel keeps a route with several ways until the last one is gone."""
    space = lab.spaces[0]
    sh("ip", "-n", space, "link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
    sh("ip", "-n", space, "addr", "add", "10.79.0.1/24", "dev", "gone0")
    sh("ip", "-n", space, "link", "set", "gone1", "up")
    sh("ip", "-n", space, "link", "set", "gone0", "up")
    hops = [{"via": "10.77.0.3", "device": "eth0"}, {"via": "10.79.0.9", "device": "gone0"}]
    agent = lab.agent(1, 255, routes=[{"to": "10.99.1.0/24", "next_hops": hops}])
    assert until(lambda: "10.99.1.0/24 proto 112 nexthop" in shown(lab))
    sh("ip", "-n", space, "link", "del", "gone0")
    agent.stop()
    assert "10.99.1.0/24" not in shown(lab) and lab.owners() == []
