"""The memory plane and its schedulers: what their definitions promise, whatever the servers and weights."""

from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libipvs
from libipvs.errors import InvalidRequest, NoSuchServer, NoSuchService, ServerExists, ServiceExists, UnknownScheduler
from libipvs.memory import Memory
from libipvs.model import RealServer, Timeouts, VirtualService
from libipvs.schedulers import SCHEDULERS, siphash13_u32

WEB = VirtualService.tcp("10.0.0.1", 80, "rr")


def server(number, weight=1, **options):
    return RealServer(f"10.0.1.{number}", 80, "nat", weight, **options)


def plane_with(scheduler, weights, **options):
    plane = Memory(seed=1)
    service = VirtualService.tcp("10.0.0.1", 80, scheduler, **options)
    plane.add_service(service)
    for number, weight in enumerate(weights, 1):
        plane.add_server(service.key, server(number, weight))
    return plane


def pick(plane, client="10.9.0.1", port=1024):
    connection = plane.connect(WEB.key, client, port)
    return connection and int(connection.server.address.rpartition(".")[2])


weight_lists = st.lists(st.integers(0, 12), min_size=1, max_size=6)


@given(weight_lists, st.integers(0, 20))
def test_rr_goes_round_those_that_may(weights, skipped):
    plane = plane_with("rr", weights)
    usable = [number for number, weight in enumerate(weights, 1) if weight]
    picks = [pick(plane) for _ in range(skipped + 2 * len(usable))][skipped:]
    if not usable:
        assert pick(plane) is None
        return
    assert Counter(picks) == dict.fromkeys(usable, 2)
    assert picks[: len(usable)] == picks[len(usable) :]


@given(weight_lists)
def test_wrr_gives_each_its_share_in_every_cycle(weights):
    plane = plane_with("wrr", weights)
    if not any(weights):
        assert pick(plane) is None
        return
    picks = [pick(plane) for _ in range(2 * sum(weights))]
    share = {number: weight for number, weight in enumerate(weights, 1) if weight}
    assert Counter(picks) == {number: 2 * weight for number, weight in share.items()}


def load_least(scheduler, weights, actives):
    plane = plane_with(scheduler, weights)
    for number, active in enumerate(actives[: len(weights)], 1):
        entry = next(s for s in plane._services[WEB.key].servers if s.configuration.address == f"10.0.1.{number}")
        entry.active = active
    chosen = pick(plane)
    return [(weights[n - 1], actives[n - 1], n) for n in range(1, len(weights) + 1) if weights[n - 1]], chosen


@given(weight_lists, st.lists(st.integers(0, 30), min_size=6, max_size=6))
def test_the_least_loaded_by_each_definition(weights, actives):
    definitions = {
        "lc": lambda w, a: a,
        "wlc": lambda w, a: a / w,
        "sed": lambda w, a: (a + 1) / w,
        "fo": lambda w, a: -w,
    }
    for name, load in definitions.items():
        usable, chosen = load_least(name, weights, actives)
        if not usable:
            assert chosen is None
            continue
        (weight, active) = next((w, a) for w, a, n in usable if n == chosen)
        assert load(weight, active) == min(load(w, a) for w, a, _ in usable)
    usable, chosen = load_least("nq", weights, actives)
    idle = [n for _, a, n in usable if a == 0]
    if idle:
        assert chosen in idle
    usable, chosen = load_least("ovf", weights, actives)
    room = [(w, n) for w, a, n in usable if a <= w]
    assert chosen in [n for w, n in room if w == max(room)[0]] if room else chosen is None


@given(weight_lists, st.sampled_from(["sh", "dh", "mh"]))
def test_hashing_is_stable_and_never_gives_a_drained_server(weights, name):
    plane = plane_with(name, weights)
    for number in range(20):
        client = f"10.9.{number}.7"
        first = pick(plane, client)
        assert first == pick(plane, client, 9999)
        assert first is None or weights[first - 1] > 0
    fallback = plane_with(name, weights, flags=["flag-1"])
    if any(weights) and name != "dh":
        assert all(pick(fallback, f"10.9.{number}.7") for number in range(20))


def test_mh_shares_by_weight_and_moves_few_clients():
    plane = plane_with("mh", [10, 20, 10])
    clients = [f"10.{i // 200}.{i % 200}.1" for i in range(2000)]
    before = {client: pick(plane, client) for client in clients}
    count = Counter(before.values())
    assert 850 < count[2] < 1150
    plane.delete_server(WEB.key, server(3).key)
    moved = [client for client in clients if before[client] != 3 and pick(plane, client) != before[client]]
    assert len(moved) < 300


def test_hsiphash_is_deterministic_and_spread():
    values = [siphash13_u32(i, (2654435761, 2654435761)) for i in range(4000)]
    assert len(set(values)) > 3990
    assert 0.47 < fmean(values) / 2**32 < 0.53


def test_lblc_stays_until_overloaded_and_lblcr_adds_a_server():
    for name in ("lblc", "lblcr"):
        plane = plane_with(name, [2, 2])
        first = pick(plane)
        held = []
        for _ in range(3):
            connection = plane.connect(WEB.key, "10.9.0.1")
            connection.establish()
            held.append(connection)
        assert {int(c.server.address[-1]) for c in held} == {first}
        assert pick(plane) != first  # three active on weight 2, while the other idles
        for connection in held:
            connection.expire()
        expected = first if name == "lblcr" else 3 - first
        assert pick(plane) in (expected, 3 - first)


def test_twos_prefers_the_less_loaded():
    plane = plane_with("twos", [1, 1, 1])
    busy = next(entry for entry in plane._services[WEB.key].servers if entry.configuration.address == "10.0.1.1")
    busy.active = 1000
    count = Counter(pick(plane) for _ in range(9000))
    # 1 is chosen only when both draws hit it: one ninth.
    assert 800 < count[1] < 1200
    assert plane_with("twos", [0, 0]).connect(WEB.key, "10.9.0.1") is None


def test_thresholds_stop_and_start_a_server():
    plane = Memory()
    plane.add_service(WEB)
    plane.add_server(WEB.key, server(1, upper=3, lower=2))
    held = [plane.connect(WEB.key, "10.9.0.1") for _ in range(3)]
    assert plane.connect(WEB.key, "10.9.0.1") is None
    held.pop().expire()
    assert plane.connect(WEB.key, "10.9.0.1") is None  # two are not below the lower threshold
    held.pop().expire()
    assert plane.connect(WEB.key, "10.9.0.1") is not None
    plane.edit_server(WEB.key, server(1, upper=4))
    held = [plane.connect(WEB.key, "10.9.0.1") for _ in range(2)]
    assert plane.connect(WEB.key, "10.9.0.1") is None
    held.pop().expire()  # three of four: not below three quarters
    assert plane.connect(WEB.key, "10.9.0.1") is None
    held.pop().expire()
    assert plane.connect(WEB.key, "10.9.0.1") is not None


def test_counters_follow_a_connection():
    plane = plane_with("rr", [1])

    def counts():
        (entry,) = plane.service(WEB.key).servers
        return entry.active, entry.inactive, entry.stats.connections

    connection = plane.connect(WEB.key, "10.9.0.1")
    assert counts() == (0, 1, 1)
    connection.establish()
    assert counts() == (1, 0, 1)
    connection.finish()
    assert counts() == (0, 1, 1)
    connection.expire()
    connection.expire()
    assert counts() == (0, 0, 1)
    assert plane.services()[0].stats.connections == 1
    plane.zero(WEB.key)
    assert counts() == (0, 0, 0)


def test_persistence_sticks_renews_and_ends():
    now = 0.0
    plane = Memory(clock=lambda: now)
    sticky = WEB.with_(persistence=50, netmask="255.255.255.0")
    plane.add_service(sticky)
    for number in (1, 2, 3):
        plane.add_server(sticky.key, server(number))
    first = pick(plane, "10.9.0.1")
    held = plane.connect(sticky.key, "10.9.0.200")
    assert {pick(plane, f"10.9.0.{i}") for i in range(1, 30)} == {first}
    assert {pick(plane, f"10.9.{i}.1") for i in range(1, 4)} == {1, 2, 3}
    plane.edit_server(sticky.key, server(first, 0))  # drained: those it knows still come
    assert pick(plane, "10.9.0.9") == first
    plane.expire_quiescent_template = True
    other = pick(plane, "10.9.0.9")
    assert other != first
    plane.delete_server(sticky.key, server(other).key)
    assert pick(plane, "10.9.0.9") not in (first, other)
    assert sum(entry.persistent for entry in plane.service(sticky.key).servers) >= 1
    held.expire()


def test_persistence_ends_when_its_time_is_over():
    now = 0.0
    plane = Memory(clock=lambda: now)
    sticky = WEB.with_(persistence=50)
    plane.add_service(sticky)
    plane.add_server(sticky.key, server(1))
    plane.add_server(sticky.key, server(2))
    connection = plane.connect(sticky.key, "10.9.0.1")
    now = 60.0  # held by its connection
    assert sum(entry.persistent for entry in plane.service(sticky.key).servers) == 1
    connection.expire()
    assert sum(entry.persistent for entry in plane.service(sticky.key).servers) == 0


def test_refusals_and_the_rest_of_the_interface():
    plane = libipvs.open("memory")
    with pytest.raises(InvalidRequest, match="kernel, proxy, memory and auto"):
        libipvs.open("cloud")
    plane.add_service(WEB)
    for kind, call in [
        (ServiceExists, lambda: plane.add_service(WEB)),
        (UnknownScheduler, lambda: plane.add_service(VirtualService.tcp("10.0.0.1", 81, "none"))),
        (UnknownScheduler, lambda: plane.edit_service(WEB.with_(scheduler="none"))),
        (NoSuchService, lambda: plane.delete_service(WEB.with_(port=81).key)),
        (NoSuchService, lambda: plane.connect(WEB.with_(port=81).key, "10.9.0.1")),
        (NoSuchServer, lambda: plane.edit_server(WEB.key, server(1))),
        (NoSuchServer, lambda: plane.server(WEB.key, server(1).key)),
    ]:
        with pytest.raises(kind):
            call()
    plane.add_server(WEB.key, server(1))
    with pytest.raises(ServerExists):
        plane.add_server(WEB.key, server(1))
    assert plane.server(WEB.key, server(1).key).server == server(1)
    plane.set_timeouts(Timeouts(5, 0, 7))
    assert plane.timeouts() == Timeouts(5, 120, 7)
    assert plane.info().version == (1, 2, 1)
    plane.flush()
    assert plane.table() == []
    with plane, pytest.raises(libipvs.IpvsError, match="sync-daemon"):
        plane.daemons()
    assert set(SCHEDULERS) == set(libipvs.model.SCHEDULERS)


def test_one_packet_keeps_no_connection_and_marks_hash_the_packets_destination():
    plane = Memory()
    dns = VirtualService.udp("10.0.0.1", 53, "rr", one_packet=True)
    plane.add_service(dns)
    plane.add_server(dns.key, RealServer("10.0.1.1", 53, "nat"))
    for _ in range(3):
        plane.connect(dns.key, "10.9.0.1").establish()
    (entry,) = plane.service(dns.key).servers
    assert (entry.active, entry.inactive, entry.stats.connections) == (0, 0, 3)
    mark = VirtualService.fwmark(1, "dh")
    plane.add_service(mark)
    for number in range(1, 9):
        plane.add_server(mark.key, RealServer(f"10.0.1.{number}", 0, "nat"))
    seen = {plane.connect(mark.key, "10.9.0.1", destination=f"10.5.{i}.1").server.address for i in range(50)}
    assert len(seen) > 4
