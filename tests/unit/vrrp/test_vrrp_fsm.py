"""The machine outside its table: which adverts are believed, trackers and priority, reload, limits, bad input."""

import json
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libvrrp.config import Address, Config, Group, Peer, Router, Track, Tracker
from libvrrp.errors import ConfigError, VrrpError
from libvrrp.fsm import STATES, TABLE, Node
from libvrrp.fsm import events as ev
from libvrrp.packet import Advert

sys.path.insert(0, os.path.dirname(__file__))
from vrrp_scenarios import DOWN, MS, Bench, S, router, skew


def dropped(bench):
    return bench.status()["dropped"]


@pytest.mark.parametrize(
    ("settings", "changes", "reason"),
    [
        ({}, {"ttl": 254}, "TTL"),
        ({"version": 2}, {"version": 3}, "version"),
        ({"version": 2}, {"version": 2, "auth_type": 1, "auth_data": b"x"}, "authentication type"),
        (
            {"version": 2, "auth_type": "PASS", "auth_pass": "a"},
            {"auth_type": 1, "auth_data": b"b"},
            "authentication data",
        ),
        ({"version": 2, "auth_type": "AH", "auth_pass": "a"}, {"auth_type": 2}, "AH digest"),
        ({"version": 2}, {"interval_cs": 200}, "advert interval"),
        ({}, {"addresses": ["10.0.0.99"]}, "address list"),
        ({}, {"addresses": ["10.0.0.100", "10.0.0.101"]}, "address list"),
        ({"peers": ("10.0.0.3",), "check_peers": True}, {"destination": "10.0.0.1"}, "not a peer"),
        ({"peers": ("10.0.0.2",), "ttl": (255, 255)}, {"ttl": 64, "destination": "10.0.0.1"}, "TTL"),
        ({"peers": (Peer("10.0.0.2", (254, 255)),)}, {"ttl": 253, "destination": "10.0.0.1"}, "TTL"),
        ({"peers": ("10.0.0.2",)}, {}, "destination"),
        ({}, {"destination": "10.0.0.1"}, "destination"),
    ],
)
def test_adverts_that_are_not_believed(settings, changes, reason):
    b = Bench(TABLE, router(**settings))
    assert b.advert(200, after=S, **changes) == [f"DROPPED {reason}"]
    assert b.advert(200, after=S, **changes) == [], "logged at most every 10 s"
    assert dropped(b) == {reason: 2} and b.status()["master"] is None
    b.node.step(ev.Deadline(), b.now)
    assert b.advert(200, after=0, **changes) == []


def test_drops_are_logged_again_after_ten_seconds():
    b = Bench(TABLE, router(preempt=False))
    lines = [b.advert(200, after=S, ttl=1) for _ in range(25)]
    assert sum(["DROPPED TTL" in x for x in lines]) == 3


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"version": 2, "auth_type": "PASS", "auth_pass": "a"}, {"auth_type": 1, "auth_data": b"a"}),
        ({"check_addresses": False}, {"addresses": ["10.0.0.99"]}),
        ({"peers": ("10.0.0.2",), "check_peers": True}, {"ttl": 64, "destination": "10.0.0.7"}),
        ({"peers": (Peer("10.0.0.2", (9, 9)),), "ttl": (64, 64)}, {"ttl": 9, "destination": "10.0.0.7"}),
        ({"peers": (Peer("10.0.0.9", (9, 9)),), "ttl": (64, 64)}, {"ttl": 64, "destination": "10.0.0.7"}),
        ({"group": "224.0.0.200"}, {"destination": "224.0.0.200"}),
        ({"addresses": (Address("10.0.0.1"), Address("10.0.0.9"))}, {"addresses": ["10.0.0.9", "10.0.0.1"]}),
        ({}, {"pseudo_header": False}),
    ],
)
def test_adverts_that_are_believed(settings, changes):
    b = Bench(TABLE, router(**{"source": "10.0.0.7"} | settings))
    assert b.advert(200, **changes) == []
    assert dropped(b) == {} and b.status()["master"] == "10.0.0.2" and b.status()["adverts_received"] == 1


def test_an_owners_address_list_is_believed():
    b = Bench(TABLE, router())
    b.advert(255, addresses=["10.0.0.99"])
    assert dropped(b) == {} and b.status()["master_priority"] == 255


def test_own_packets_and_unknown_routers_are_counted():
    b = Bench(TABLE, router())
    assert b.advert(200, source="10.0.0.1") == [] and dropped(b) == {"own packet": 1}
    b.advert(200, vrid=52)
    assert b.node.status()["unknown_vrid"] == 1
    b.do(ev.Primary("a", "10.0.0.2"))
    assert b.advert(200) == [] and dropped(b) == {"own packet": 2}


def test_refused_datagrams_are_counted_by_field():
    b = Bench(TABLE, router())
    good = Advert(vrid=51, priority=200, addresses=["10.0.0.100"], source="10.0.0.2").encode()
    for n in (5, 20, 27):
        assert b.do(ev.Received("eth0", good[:n])) == []
    assert b.do(ev.Received("eth0", good[:-1] + b"\0")) == []
    assert b.node.status()["refused"] == {"ip.header": 1, "ip.total_length": 2, "vrrp.checksum": 1}


def ah(sequence, source="10.0.0.2", **changes):
    settings = {"version": 2, "vrid": 51, "priority": 200, "addresses": ["10.0.0.100"], "auth_type": 2} | changes
    return ev.Received("eth0", Advert(source=source, sequence=sequence, **settings).encode(b"key"))


def test_ah_replays_are_refused_until_the_sender_was_silent():
    b = Bench(TABLE, router(version=2, auth_type="AH", auth_pass="key"))
    for sequence in (10, 11, 13, 12):
        assert b.do(ah(sequence), S // 2) == []
    assert b.do(ah(12), S) == ["DROPPED AH replay"]
    assert b.do(ah(10), S // 2) == [] and dropped(b) == {"AH replay": 2}
    assert b.do(ah(7, source="10.0.0.3"), S // 4) == [] and dropped(b) == {"AH replay": 2}, "another sender's window"
    assert b.do(ah(13), S // 4) == [] and dropped(b) == {"AH replay": 3}, "and the first one's is still there"
    assert b.do(ah(1), 3 * S) == [] and dropped(b) == {"AH replay": 3}, "after three intervals it may start again"


def tracked(tracks, trackers, **settings):
    return Bench(TABLE, router(tracks=tracks, **settings), trackers=trackers)


@pytest.mark.parametrize(
    ("weight", "reverse", "good", "bad"),
    [(20, False, 120, 100), (-20, False, 100, 80), (20, True, 80, 100), (-20, True, 100, 120), (253, False, 254, 100)],
)
def test_weights(weight, reverse, good, bad):
    b = tracked((Track("t", weight, reverse),), (Tracker("t"),))
    assert b.status()["effective_priority"] == good
    b.do(ev.TrackerValue("t", 1))
    assert b.status()["effective_priority"] == bad
    b.do(ev.TrackerValue("t", 0))
    assert b.status()["effective_priority"] == good
    assert b.status()["priority"] == 100


def test_priority_stays_within_1_to_254_and_an_owner_is_never_adjusted():
    b = tracked((Track("t", -253),), (Tracker("t", initial=False),))
    assert b.status()["effective_priority"] == 1
    b = tracked((Track("t", -253),), (Tracker("t", initial=False),), priority=255)
    assert b.status()["effective_priority"] == 255


def test_rise_and_fall():
    b = tracked((Track("t", 10),), (Tracker("t", rise=3, fall=2, initial=False),))
    seen = []
    for result in (0, 0, 1, 0, 0, 0, 1, 0, 1, 1):
        b.do(ev.TrackerValue("t", result))
        seen.append(b.status()["effective_priority"])
    assert seen == [100, 100, 100, 100, 100, 110, 110, 110, 110, 100]


def test_a_file_weighs_its_number():
    b = tracked((Track("f", 2), Track("g", -1)), (Tracker("f", kind="file"), Tracker("g", kind="file")))
    b.do(ev.TrackerValue("f", 10))
    b.do(ev.TrackerValue("g", 5))
    assert b.status()["effective_priority"] == 115
    b.do(ev.TrackerValue("f", 2**40))
    assert b.status()["effective_priority"] == 254
    assert b.do(ev.TrackerValue("f", -200)) == ["TRANSITION Backup Fault FAULT"], "below -253"
    b = tracked((Track("f"),), (Tracker("f", kind="file"),))
    assert b.do(ev.TrackerValue("f", 3)) == ["TRANSITION Backup Fault FAULT"]
    b = tracked((Track("f", 0, True),), (Tracker("f", kind="file"),))
    assert b.state() == "Fault"


def test_weight_0_in_reverse_is_a_fault_while_it_is_good():
    b = tracked((Track("i", 0, True),), (Tracker("i", kind="interface", initial=False),))
    assert b.state() == "Backup"
    assert b.do(ev.TrackerValue("i", 1)) == ["TRANSITION Backup Fault FAULT"]


def test_groups_and_weights():
    def bench(tracking_weight):
        routers = (
            router("a", tracks=(Track("own", 10),)),
            router("b", interface="eth1", vrid=52, addresses=(Address("10.1.0.9/24"),)),
        )
        groups = (Group("g", ("a", "b"), (Track("shared", 5),), tracking_weight),)
        return Bench(TABLE, *routers, groups=groups, trackers=(Tracker("own"), Tracker("shared")))

    b = bench(False)
    assert [b.status(x)["effective_priority"] for x in "ab"] == [105, 105]
    b = bench(True)
    assert [b.status(x)["effective_priority"] for x in "ab"] == [115, 105]


def test_a_changed_priority_is_in_the_next_advert():
    b = Bench(TABLE, router(lease=False, garp_delay=0)).master()
    b.do(ev.SetPriority("a", 40))
    assert b.deadline()[1] == ["ADVERT 40"]
    for bad in (0, 256):
        with pytest.raises(ConfigError):
            b.do(ev.SetPriority("a", bad))


def test_ipv6():
    b = Bench(TABLE, router(addresses=(Address("fe80::1/64"), Address("fd00::1/64")), source="fe80::a"))
    assert b.advert(200, source="fe80::b") == [] and b.status()["master"] == "fe80::b"
    b.do(ev.PeerDown("fe80::b"))
    assert b.deadline()[0] == skew(100)
    assert b.advert(100, source="fe80::b")[0] == "TRANSITION Master Backup ADVERT_HIGHER"
    assert b.advert(100, source="10.0.0.2", addresses=["10.0.0.1"]) == []
    assert b.node.status()["unknown_vrid"] == 1, "the same VRID of the other family is another router"


def test_reload_keeps_what_stays():
    a = router("a", lease=False, garp_delay=0)
    b = Bench(TABLE, a, router("b", vrid=52)).master()
    other = router("a", lease=False, garp_delay=0, priority=150, interval=2.0)
    lines = b.node.reload(Config((other, router("c", vrid=53))), b.now)
    assert [(x.kind, x.router, x.new) for x in lines if x.kind == "TRANSITION"] == [
        ("TRANSITION", "b", "Initialize"),
        ("TRANSITION", "c", "Backup"),
    ]
    assert b.node.state("a") == "Master" and b.node.status()["routers"]["a"]["effective_priority"] == 150
    with pytest.raises(VrrpError, match="no router is named 'b'"):
        b.node.state("b")
    lines = b.node.reload(Config((router("a", addresses=(Address("10.0.0.200/24"),)),)), b.now)
    assert [x.kind for x in lines if x.router == "a"] == ["DELETE", "ADD"]
    added = next(x.id for x in lines if x.kind == "ADD")
    assert [x.kind for x in b.node.step(ev.Done(added), b.now)] == ["ANNOUNCE"]
    lines = b.node.reload(Config((router("a", vrid=9, addresses=(Address("10.0.0.200/24"),)),)), b.now)
    assert [(x.kind, x.new) for x in lines if x.router == "a" and x.new] == [
        ("TRANSITION", "Initialize"),
        ("TRANSITION", "Backup"),
    ]
    assert b.node.reload(Config(), b.now)[0].new == "Initialize"
    assert b.node.next_deadline() is None


def test_reload_keeps_tracker_results_and_groups():
    trackers = (Tracker("t"),)
    b = Bench(TABLE, router(tracks=(Track("t", -30),)), trackers=trackers)
    b.do(ev.TrackerValue("t", 1))
    routers = (router("n", vrid=9), router(tracks=(Track("t", -40),)))
    b.node.reload(Config(routers, (Group("g", ("a", "n"), tracking_weight=True),), (Tracker("u"), Tracker("t"))), b.now)
    assert b.status()["effective_priority"] == 60


def test_255_routers_on_a_link_and_200_in_one_process_take_over_together():
    routers = [router(f"r{i}", vrid=i, addresses=(Address(f"10.0.{i}.100/24"),)) for i in range(1, 256)]
    node = Node(Config(tuple(routers)))
    node.step(ev.Start(), 0)
    actions = node.step(ev.Deadline(), DOWN)
    assert len([a for a in actions if a.kind == "ADD"]) == 255
    assert all(node.state(f"r{i}") == "Master" for i in range(1, 256))
    with pytest.raises(ConfigError, match="already router"):
        Config((*routers, router("more", vrid=255, version=2)))


def test_255_routers_of_each_family_on_one_interface():
    v4 = [router(f"a{i}", vrid=i, version=2 + i % 2, addresses=(Address(f"10.0.{i}.1"),)) for i in range(1, 256)]
    v6 = [router(f"b{i}", vrid=i, addresses=(Address(f"fe80::{i:x}"),), source="") for i in range(1, 256)]
    node = Node(Config((*v4, *v6)))
    node.step(ev.Start(), 0)
    node.step(ev.Deadline(), 4 * S)
    assert {node.state(r.name) for r in (*v4, *v6)} == {"Master"}
    for version in (2, 3):
        with pytest.raises(ConfigError, match="VRRPv2 and v3 share it"):
            Config((*v4, *v6, router("more", vrid=7, version=version)))
    other = Config((*v4, *v6, router("more", vrid=7, interface="eth1")))
    assert len(other.routers) == 511, "another interface has its own"


def test_the_reason_for_being_master_is_rfc_6527s():
    def reason(b):
        return b.status()["new_master_reason"]

    b = Bench(TABLE, router(lease=False, garp_delay=0))
    assert reason(b) == "not master" and b.status()["started_at_ns"] == 100 * S
    assert b.master() and reason(b) == "master no response"
    b.advert(200)
    assert reason(b) == "not master"
    b.advert(0)
    b.deadline()
    assert reason(b) == "priority", "the master resigned"
    b.advert(200)
    b.do(ev.SetPriority("a", 250))
    for _ in range(8):
        b.advert(200, after=S // 2)
        b.do(ev.Deadline())
    assert b.state() == "Master" and reason(b) == "preempted"
    b.do(ev.Stop("a"))
    assert reason(b) == "not master" and b.status()["started_at_ns"] is None
    assert reason(Bench(TABLE, router(priority=255))) == "priority", "an owner"


def test_all_leases_are_refreshed_in_one_step():
    routers = [router(f"r{i}", vrid=i, priority=i, interval=2.0, garp_delay=0) for i in range(1, 21)]
    node = Node(Config(tuple(routers)))
    node.step(ev.Start(), 0)
    while any(node.state(f"r{i}") != "Master" for i in range(1, 21)):
        node.step(ev.Deadline(), node.next_deadline())
    while True:
        actions = node.step(ev.Deadline(), node.next_deadline())
        refreshed = [a for a in actions if a.kind == "REFRESH"]
        if refreshed:
            assert len(refreshed) == 20
            break


def test_a_clock_that_goes_back_stands_still():
    b = Bench(TABLE, router())
    b.node.step(ev.Deadline(), b.now - 50 * S)
    assert b.deadline()[0] == DOWN


def test_status_is_json():
    b = Bench(TABLE, router(), trackers=(Tracker("t"),)).master()
    b.advert(1, source="10.0.0.9")
    b.advert(200, ttl=3)
    status = json.loads(json.dumps(b.node.status()))
    assert status["routers"]["a"]["last_transition"] == {
        "from": "Backup",
        "to": "Master",
        "cause": "MASTER_DOWN",
        "at_ns": 100 * S + DOWN,
    }
    assert status["trackers"] == {"t": {"up": True, "value": 0}}


def test_lateness_quantile():
    b = Bench(TABLE, router(interval=1.0, lease=False, garp_delay=0)).master()
    assert b.status()["lateness_p99_ns"] == 0
    for _ in range(300):
        b.deadline()
    b.do(ev.Deadline(), S + 100 * MS)
    status = b.status()
    assert status["lateness_max_ns"] == 100 * MS and status["lateness_p99_ns"] <= 2
    for _ in range(10):
        b.do(ev.Deadline(), b.node.next_deadline() - b.now + 50 * MS)
    assert 50 * MS <= b.status()["lateness_p99_ns"] <= 100 * MS


@pytest.mark.parametrize(
    "event",
    [
        ev.Link("eth9", True),
        ev.Received("eth9", b""),
        ev.Start("x"),
        ev.Stop("x"),
        ev.TrackerValue("x", 1),
        ev.AddressLost("x"),
        ev.SetPriority("x", 1),
        "nonsense",
    ],
)
def test_unknown_names_raise(event):
    with pytest.raises(VrrpError):
        Bench(TABLE, router()).do(event)


def test_a_node_is_initialised_once():
    node = Node(Config())
    with pytest.raises(VrrpError, match="reload"):
        node.__init__(Config())
    with pytest.raises(ConfigError):
        Node("x")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"vrid": 0}, "vrid"),
        ({"vrid": 256}, "vrid"),
        ({"priority": 0}, "priority"),
        ({"interval": 0.001}, "interval"),
        ({"interval": 41}, "interval"),
        ({"version": 2, "interval": 0.5}, "interval"),
        ({"version": 4}, "version"),
        ({"version": 2, "addresses": (Address("fd00::1"),)}, "version"),
        ({"addresses": ()}, "addresses"),
        ({"addresses": (Address("fd00::1"), Address("10.0.0.1"))}, "addresses"),
        ({"auth_type": "PASS", "auth_pass": "x"}, "auth_type"),
        ({"version": 2, "auth_type": "MD5"}, "auth_type"),
        ({"version": 2, "auth_type": "PASS"}, "auth_pass"),
        ({"version": 2, "auth_type": "PASS", "auth_pass": "123456789"}, "auth_pass"),
        ({"preempt_delay": -1}, "preempt_delay"),
        ({"ttl": (5, 4)}, "ttl"),
        ({"down_adverts": 0}, "down_adverts"),
        ({"garp_repeat": -1}, "garp_repeat"),
        ({"garp_delay": 1e9}, "garp_delay"),
        ({"peers": ("fd00::1",)}, "peers"),
        ({"source": "x"}, "source"),
        ({"strict": True}, "strict"),
        ({"strict": True, "accept": False, "peers": ("10.0.0.2",)}, "strict"),
        ({"strict": True, "accept": False, "addresses": (Address("fd00::1"),), "source": ""}, "strict"),
    ],
)
def test_settings_are_checked(changes, word):
    with pytest.raises(ConfigError, match=rf"^router a: [a-z_, ]*{word}"):
        router(**changes)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Address("x"),
        lambda: Address("10.0.0.1", label="sixteen-letters-"),
        lambda: Address("fd00::1", label="x"),
        lambda: Address("10.0.0.1", scope="moon"),
        lambda: Address("10.0.0.1", broadcast="x"),
        lambda: Track("t", 254),
        lambda: Tracker("t", kind="x"),
        lambda: Tracker("t", rise=0),
        lambda: Tracker("t", kind="file", command=("true",)),
        lambda: Tracker("t", command="true"),
        lambda: Tracker("t", path="/x"),
        lambda: Tracker("t", process="x"),
        lambda: Tracker("t", kind="process", process="a-name-of-sixteen"),
        lambda: Tracker("t", kind="interface", interface="eth0", rise=2),
        lambda: Tracker("t", interval=0),
        lambda: Tracker("t", timeout=-1),
        lambda: Group("g", ()),
        lambda: Group("g", ("a", "a")),
        lambda: Config((router(), router())),
        lambda: Config((router(),), (Group("g", ("b",)),)),
        lambda: Config((router(),), (Group("g", ("a",)), Group("h", ("a",)))),
        lambda: Config((router(tracks=(Track("t"),)),)),
    ],
)
def test_other_settings_are_checked(build):
    with pytest.raises(ConfigError):
        build()


def test_strict_accepts_what_the_rfcs_say():
    assert router(strict=True, accept=False).strict
    assert router(strict=True, priority=255).strict


def test_lease_formula():
    leases = {0.01: 1, 0.1: 1, 1.0: 1, 2.0: 4, 10.0: 28, 40.0: 118}
    assert {t: router(interval=t).lease_seconds for t in leases} == leases


names = st.sampled_from(["a", "b", "c"])
random_events = st.one_of(
    st.just(ev.Deadline()),
    st.builds(ev.Link, st.sampled_from(["eth0", "eth1"]), st.booleans()),
    st.builds(ev.Done, st.integers(0, 60)),
    st.builds(ev.Failed, st.integers(0, 60)),
    st.builds(ev.AddressLost, names),
    st.builds(ev.AddressExpired, names),
    st.builds(ev.Claimed, names),
    st.builds(ev.TrackerValue, st.sampled_from(["t", "f"]), st.integers(-5, 5)),
    st.builds(ev.PeerDown, st.just("10.0.0.2")),
    st.builds(ev.Start, st.none() | names),
    st.builds(ev.Stop, st.none() | names),
    st.builds(ev.SetPriority, names, st.integers(1, 255)),
    st.builds(ev.Hung, st.booleans()),
    st.builds(
        lambda priority, vrid, interface, source: ev.Received(
            interface,
            Advert(vrid=vrid, priority=priority, addresses=["10.0.0.100"], source=f"10.0.0.{source}").encode(),
        ),
        st.integers(0, 255),
        st.sampled_from([51, 52]),
        st.sampled_from(["eth0", "eth1"]),
        st.integers(1, 4),
    ),
    st.builds(ev.Received, st.just("eth0"), st.binary(max_size=60)),
)


@given(st.lists(st.tuples(random_events, st.integers(0, 2 * S)), max_size=80), st.booleans())
@settings(max_examples=150, deadline=None)
def test_random_events_keep_the_machine_whole(events, stop_script):
    routers = (
        Router("a", "eth0", 51, (Address("10.0.0.100"),), source="10.0.0.1", stop_timeout=2.0 if stop_script else 0),
        Router("b", "eth1", 52, (Address("10.0.0.100"),), source="10.0.0.1", tracks=(Track("t"), Track("f", 3))),
        Router("c", "eth1", 51, (Address("10.0.0.100"),), source="10.0.0.1", preempt_delay=3),
    )
    trackers = (Tracker("t", fall=2), Tracker("f", kind="file"))
    node = Node(Config(routers, (Group("g", ("a", "b")),), trackers))
    now, held = 0, {"a": False, "b": False, "c": False}
    last_id = 0
    for event, after in [(ev.Start(), 0), *events]:
        now += after
        actions = node.step(event, now)
        for action in actions:
            assert action.id > last_id, "ids rise"
            last_id = action.id
            if action.kind in ("ADD", "DELETE"):
                held[action.router] = action.kind == "ADD"
            if action.kind == "ANNOUNCE":
                assert held[action.router]
        states = {name: node.state(name) for name in held}
        assert set(states.values()) <= set(STATES)
        for name, state in states.items():
            assert held[name] == (state == "Master"), "a master holds its addresses, nobody else does"
        assert states["a"] == states["b"], "a group's members are in the same state"
        deadline = node.next_deadline()
        if deadline is not None and isinstance(event, ev.Deadline):
            assert deadline > now, "a deadline that was served is not due again"
        if any(state in ("Backup", "Master") for state in (states["a"], states["c"])):
            assert deadline is not None
