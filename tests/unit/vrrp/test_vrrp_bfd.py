"""The BFD session: the state table of RFC 5880 section 6.8.6, intervals, jitter, Poll Sequences, detection."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libvrrp.bfd import Changed, Send, Session
from libvrrp.errors import ConfigError
from libvrrp.packet import ControlPacket

MS = 1_000_000
S = 1_000_000_000


def packet(state, yours=1, **changes):
    values = {"desired_min_tx_us": 10_000, "required_min_rx_us": 10_000, "detect_mult": 3} | changes
    return ControlPacket(state=state, my_discriminator=7, your_discriminator=yours, **values)


def up(now=0, **changes):
    """A session that is Up, with its Poll Sequence finished."""
    s = Session(1, **({"multiplier": 3} | changes))
    s.step_packet(packet("Down", yours=0), now)
    s.step_packet(packet("Up"), now)
    s.step_packet(packet("Up", final=True), now)
    assert s.state == "Up" and not s.status()["polling"]
    return s


def brought_to(state):
    s = Session(1)
    if state == "AdminDown":
        s.step_enable(False, 0)
    if state in ("Init", "Up"):
        s.step_packet(packet("Down", yours=0), 0)
    if state == "Up":
        s.step_packet(packet("Init"), 0)
    assert s.state == state
    return s


@pytest.mark.parametrize(
    ("state", "received", "after", "diagnostic", "peer_down"),
    [
        ("Down", "Down", "Init", 0, False),
        ("Down", "Init", "Up", 0, False),
        ("Down", "Up", "Down", 0, False),
        ("Down", "AdminDown", "Down", 0, False),
        ("Init", "Down", "Init", 0, False),
        ("Init", "Init", "Up", 0, False),
        ("Init", "Up", "Up", 0, False),
        ("Init", "AdminDown", "Down", 3, False),
        ("Up", "Init", "Up", 0, False),
        ("Up", "Up", "Up", 0, False),
        ("Up", "Down", "Down", 3, True),
        ("Up", "AdminDown", "Down", 3, False),
        ("AdminDown", "Down", "AdminDown", 7, False),
        ("AdminDown", "Up", "AdminDown", 7, False),
    ],
)
def test_state_table(state, received, after, diagnostic, peer_down):
    s = brought_to(state)
    results = s.step_packet(packet(received), 1)
    assert (s.state, s.status()["diagnostic"]) == (after, diagnostic)
    changes = [r for r in results if isinstance(r, Changed)]
    assert changes == ([Changed(state, after, diagnostic, peer_down)] if state != after else [])
    if changes:
        sent = [r.packet for r in results if isinstance(r, Send)]
        assert [p.state for p in sent] == [after], "a change is told at once"
        assert sent[0].your_discriminator == 7 and sent[0].diagnostic == diagnostic


def test_packets_of_another_session_are_discarded():
    s = Session(1)
    assert s.step_packet(packet("Down", yours=2), 0) == [] and s.state == "Down"
    assert s.status()["discarded"] == 1


def test_not_up_sends_at_most_once_a_second_with_jitter():
    s = Session(1, min_tx=10_000)
    now, times = 0, []
    for _ in range(200):
        now = s.next_deadline()
        results = s.step_deadline(now)
        assert [r.packet.desired_min_tx_us for r in results] == [1_000_000]
        times.append(now)
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) >= 750 * MS and max(gaps) <= S
    assert max(gaps) - min(gaps) > 150 * MS, "jitter"


def test_a_multiplier_of_1_leaves_ten_percent():
    s = Session(1, multiplier=1)
    now = 0
    for _ in range(200):
        later = s.next_deadline()
        s.step_deadline(later)
        assert now == 0 or 750 * MS <= later - now <= 900 * MS
        now = later


def test_up_sends_at_the_slower_of_both_intervals():
    s = up(min_tx=20_000)
    assert s.status()["transmit_us"] == 20_000
    s.step_packet(packet("Up", required_min_rx_us=50_000, detect_mult=9), 5)
    assert s.status()["transmit_us"] == 50_000
    assert 5 + 37 * MS <= s.next_deadline() <= 5 + 50 * MS
    s.step_packet(packet("Up", required_min_rx_us=0), 6)
    s.step_packet(packet("Up", required_min_rx_us=0), 7)
    assert s.next_deadline() == 7 + 30 * MS, "it wants none: only the detection time runs"


def test_detection_time():
    s = up()
    assert s.status()["detection_us"] == 30_000
    s.step_packet(packet("Up", desired_min_tx_us=40_000, detect_mult=5), 10)
    assert s.status()["detection_us"] == 200_000
    now = 10
    while True:
        now = s.next_deadline()
        results = s.step_deadline(now)
        if s.state != "Up":
            break
    assert now == 10 + 200 * MS
    assert results[0] == Changed("Up", "Down", 1, True)
    assert results[1].packet.your_discriminator == 0
    assert s.status()["downs"] == 1


def test_init_that_hears_nothing_more_goes_down_without_peer_down():
    s = Session(1)
    s.step_packet(packet("Down", yours=0), 0)
    while s.state == "Init":
        results = s.step_deadline(s.next_deadline())
    assert results[0] == Changed("Init", "Down", 1, False)


def test_a_poll_is_answered_at_once():
    s = up()
    results = s.step_packet(packet("Up", poll=True), 9)
    assert [(r.packet.final, r.packet.poll) for r in results] == [(True, False)]


def test_going_up_polls_until_the_final():
    s = Session(1)
    s.step_packet(packet("Down", yours=0), 0)
    results = s.step_packet(packet("Up"), 0)
    assert results[1].packet.poll and results[1].packet.desired_min_tx_us == 10_000
    assert s.step_deadline(s.next_deadline())[0].packet.poll
    s.step_packet(packet("Up", final=True), 0)
    assert not s.step_deadline(s.next_deadline())[0].packet.poll


def test_while_up_an_increase_of_tx_and_a_decrease_of_rx_wait_for_the_final():
    s = up(min_rx=20_000)
    assert s.status()["detection_us"] == 60_000
    s.step_intervals(50_000, 10_000, 3, 0)
    assert (s.status()["transmit_us"], s.status()["detection_us"]) == (10_000, 60_000)
    assert s.step_deadline(s.next_deadline())[0].packet.desired_min_tx_us == 50_000
    s.step_packet(packet("Up", final=True), 0)
    assert (s.status()["transmit_us"], s.status()["detection_us"]) == (50_000, 30_000)
    s.step_intervals(20_000, 40_000, 3, 0)
    assert (s.status()["transmit_us"], s.status()["detection_us"]) == (20_000, 120_000), "the other ways at once"


def test_passive_waits_for_the_peer():
    s = Session(1, passive=True)
    assert s.next_deadline() is None
    assert s.step_packet(packet("Down", yours=0), 0)[1].packet.state == "Init"
    assert s.next_deadline() is not None


def test_a_peer_in_demand_mode_gets_no_periodic_packets():
    s = up()
    s.step_packet(packet("Up", demand=True, required_min_rx_us=11_000), 0)
    assert s.next_deadline() == 30 * MS
    assert s.step_packet(packet("Up", demand=True, poll=True), 0)[0].packet.final


def test_admin_down_says_so_and_comes_back():
    s = up()
    results = s.step_enable(False, 5)
    assert results[0] == Changed("Up", "AdminDown", 7, False) and results[1].packet.state == "AdminDown"
    assert s.step_enable(False, 6) == []
    assert s.step_enable(True, 7)[0] == Changed("AdminDown", "Down", 0, False)
    assert s.step_enable(True, 8) == []


@pytest.mark.parametrize(
    "wrong", [{"min_tx": 0}, {"min_rx": 2**32}, {"multiplier": 0}, {"multiplier": 256}, {"idle_tx": 999_999}]
)
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError):
        Session(1, **wrong)
    with pytest.raises(ConfigError):
        Session(0)


def run_pair(seed, loss=0.0, delay=2 * MS, until=20 * S, cut=None):
    """Two sessions and a path that loses but never reorders; returns them and what changed, with times."""
    rng = random.Random(seed)
    sessions = {
        1: Session(1, multiplier=3, seed=seed),
        2: Session(2, multiplier=3, seed=seed + 1, passive=seed % 2 == 0),
    }
    flying, changes, now, last = [], [], 0, {1: 0, 2: 0}
    while now < until:
        due = [(s.next_deadline(), "deadline", k, None) for k, s in sessions.items() if s.next_deadline() is not None]
        due += [(at, "packet", k, p) for at, k, p in flying]
        now, what, k, p = min(due, key=lambda item: (item[0], item[1] == "deadline"))
        if what == "packet":
            flying.remove((now, k, p))
            results = sessions[k].step_packet(ControlPacket.decode(p), now)
        else:
            results = sessions[k].step_deadline(now)
        for r in results:
            if isinstance(r, Changed):
                changes.append((now, k, r))
            elif rng.random() >= loss and not (cut and now >= cut):
                last[k] = max(last[k] + 1, now + rng.randrange(delay))
                flying.append((last[k], 3 - k, r.packet.encode()))
    return sessions, changes


@pytest.mark.parametrize("seed", range(6))
def test_two_sessions_come_up_and_stay_up(seed):
    sessions, changes = run_pair(seed, until=6 * S)
    assert [s.state for s in sessions.values()] == ["Up", "Up"]
    assert all(not r.peer_down for _, _, r in changes)
    assert all(s.status()["transmit_us"] == 10_000 and not s.status()["polling"] for s in sessions.values())


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_path_is_noticed_within_the_detection_time(seed):
    _, changes = run_pair(seed, cut=5 * S, until=7 * S)
    downs = [(at, r) for at, _, r in changes if r.peer_down]
    assert len(downs) == 2
    assert all(5 * S <= at <= 5 * S + 30 * MS + 2 * MS for at, _ in downs)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["packet", "deadline", "disable", "enable", "intervals"]),
            st.sampled_from(["AdminDown", "Down", "Init", "Up"]),
            st.integers(0, 2 * S),
            st.integers(0, 2),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.booleans(),
)
@settings(max_examples=150)
def test_random_events_keep_the_session_whole(events, passive):
    s = Session(1, passive=passive)
    now = 0
    for kind, state, after, yours, flag in events:
        now += after
        before = s.state
        if kind == "packet" and not (yours == 0 and state in ("Init", "Up")):
            results = s.step_packet(packet(state, yours=yours, poll=flag), now)
        elif kind == "deadline":
            results = s.step_deadline(now)
        elif kind == "intervals":
            results = s.step_intervals(after % 9 + 1, after % 7 + 1, after % 255 + 1, now)
        else:
            results = s.step_enable(kind == "enable", now)
        for r in results:
            if isinstance(r, Send):
                assert ControlPacket.decode(r.packet.encode()).state == s.state
            else:
                assert (r.old, r.new) == (before, s.state) and r.old != r.new
                assert not r.peer_down or (r.old, r.new) == ("Up", "Down")
        if kind == "deadline" and s.next_deadline() is not None:
            assert s.next_deadline() > now
