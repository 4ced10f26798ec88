"""What the machine must do, told as scenarios: each is a function that drives a fresh machine and asserts.

They run with the real transition table, and again with every row of it broken in every way: a table that is wrong
anywhere must fail at least one of them.
"""

from itertools import pairwise

from libvrrp.config import Address, Config, Group, Router, Track, Tracker
from libvrrp.fsm import Node
from libvrrp.fsm import events as ev
from libvrrp.packet import Advert

MS = 1_000_000
S = 1_000_000_000


def router(name="a", **settings):
    defaults = {"interface": "eth0", "vrid": 51, "addresses": (Address("10.0.0.100/24"),), "source": "10.0.0.1"}
    return Router(name=name, **(defaults | settings))


class Bench:
    """A machine with a clock; what it does is returned as short lines of text."""

    def __init__(self, table, *routers, groups=(), trackers=(), start=True):
        self.routers = {r.name: r for r in routers}
        self.node = Node(Config(tuple(routers), tuple(groups), tuple(trackers)), table)
        self.now = 100 * S
        self.actions = []
        if start:
            self.do(ev.Start())

    def do(self, event, after=0):
        """One event, `after` ns later."""
        self.now += after
        self.actions = self.node.step(event, self.now)
        return [line(action, len(self.routers) > 1) for action in self.actions]

    def deadline(self):
        """The next deadline, exactly in time: (ns since the last event, what was done)."""
        at = self.node.next_deadline()
        assert at is not None and at >= self.now
        waited = at - self.now
        return waited, self.do(ev.Deadline(), waited)

    def advert(self, priority, source="10.0.0.2", name="a", after=0, **changes):
        r = self.routers[name]
        settings = {
            "vrid": r.vrid,
            "version": r.version,
            "priority": priority,
            "source": source,
            "addresses": [a.ip for a in r.addresses],
            "interval_cs": r.interval_cs,
        } | changes
        return self.do(ev.Received(r.interface, Advert(**settings).encode()), after)

    def id(self, kind, name=None):
        return next(a.id for a in self.actions if a.kind == kind and name in (None, a.router))

    def added(self):
        """All addresses were added."""
        out = []
        for action in [a for a in self.actions if a.kind == "ADD"]:
            out += self.do(ev.Done(action.id))
        return out

    def master(self, name="a"):
        """Lets a lone router become master, with its addresses there and the first announcements made."""
        self.deadline()
        assert self.state(name) == "Master"
        assert self.added()
        return self

    def state(self, name="a"):
        return self.node.state(name)

    def status(self, name="a"):
        return self.node.status()["routers"][name]


def line(action, named):
    words = [action.router] if named else []
    words.append(action.kind)
    if action.kind == "ADVERT":
        words.append(str(action.priority))
    elif action.kind == "ANNOUNCE":
        words.append(str(action.repeat))
    elif action.kind == "TRANSITION":
        words += [action.old, action.new, action.cause]
    elif action.kind == "DROPPED":
        words.append(action.reason)
    return " ".join(words)


def skew(priority, unit=S):
    return (256 - priority) * unit // 256


TAKEN = ["ADVERT 100", "ADD"]
DOWN = 3 * S + skew(100)


def start_waits_for_the_master_down_time(table):
    b = Bench(table, router(), start=False)
    assert b.state() == "Initialize" and b.node.next_deadline() is None
    assert b.do(ev.Start()) == ["TRANSITION Initialize Backup STARTUP"]
    assert b.do(ev.Start()) == []
    assert b.deadline() == (DOWN, ["TRANSITION Backup Master MASTER_DOWN", *TAKEN])
    assert b.added() == ["ANNOUNCE 5"]
    assert b.status()["became_master"] == 1


def version_2_counts_the_skew_in_seconds(table):
    b = Bench(table, router(version=2, interval=2.0))
    assert b.deadline()[0] == 6 * S + skew(100)
    b = Bench(table, router(interval=2.0))
    assert b.deadline()[0] == 6 * S + skew(100, 2 * S)


def down_adverts_is_a_setting(table):
    assert Bench(table, router(down_adverts=5)).deadline()[0] == 5 * S + skew(100)


def owner_is_master_at_once(table):
    b = Bench(table, router(priority=255), start=False)
    assert b.do(ev.Start()) == ["TRANSITION Initialize Master STARTUP_OWNER", "ADVERT 255", "ADD"]
    assert b.added() == ["ANNOUNCE 5"]
    assert b.status()["effective_priority"] == 255
    assert Bench(table, router(priority=255, lease=False)).deadline() == (S, ["ADVERT 255"])


def starting_again_forgets_the_old_master(table):
    b = Bench(table, router())
    b.advert(200, interval_cs=1000)
    assert b.do(ev.Stop()) == ["TRANSITION Backup Initialize STOP"]
    assert b.node.next_deadline() is None
    b.do(ev.Start())
    assert b.status()["master"] is None
    assert b.deadline()[0] == DOWN
    b = Bench(table, router())
    b.advert(200, interval_cs=1000)
    b.do(ev.Stop())
    b.do(ev.SetPriority("a", 255))
    b.do(ev.Start())
    assert b.status()["master"] is None and b.state() == "Master"


def adverts_go_out_each_interval_without_drift(table):
    b = Bench(table, router(interval=0.1, lease=False, garp_delay=0)).master()
    began = b.now
    assert b.deadline() == (100 * MS, ["ADVERT 100"])
    b.do(ev.Deadline(), 130 * MS)
    assert b.deadline() == (70 * MS, ["ADVERT 100"])
    assert b.now == began + 300 * MS
    b.do(ev.Deadline(), 250 * MS)
    assert b.deadline()[0] == 100 * MS, "an advert that is a whole interval late starts a new rhythm"
    status = b.status()
    assert status["adverts_sent"] == 6 and status["lateness_max_ns"] == 150 * MS


def a_higher_advert_keeps_a_backup(table):
    b = Bench(table, router())
    assert b.advert(200, after=DOWN - 1) == []
    assert b.status()["master"] == "10.0.0.2" and b.status()["master_priority"] == 200
    b.advert(100, after=DOWN - 1)
    assert b.deadline()[0] == DOWN
    assert b.state() == "Master"


def the_masters_interval_is_learnt(table):
    b = Bench(table, router())
    b.advert(200, interval_cs=20)
    assert b.status()["master_down_ns"] == 600 * MS + skew(100, 200 * MS)
    assert b.deadline() == (600 * MS + skew(100, 200 * MS), ["TRANSITION Backup Master MASTER_DOWN", *TAKEN])
    assert b.status()["master"] is None
    assert b.status()["master_down_ns"] == DOWN, "its own interval again"


def priority_0_leaves_the_skew_time(table):
    b = Bench(table, router())
    b.advert(200)
    assert b.advert(0) == []
    assert b.deadline()[0] == skew(100)
    b = Bench(table, router())
    b.advert(200)
    b.advert(0, after=DOWN - 5)
    assert b.deadline()[0] == 5, "never later than it was"


def a_lower_advert_is_discarded_by_a_preempting_backup(table):
    b = Bench(table, router())
    assert b.advert(50, after=S) == []
    assert b.deadline()[0] == DOWN - S
    assert b.state() == "Master"


def a_lower_advert_keeps_a_backup_that_does_not_preempt(table):
    b = Bench(table, router(preempt=False))
    b.advert(50, after=S)
    assert b.deadline()[0] == DOWN


def preempt_delay_tolerates_a_lower_master_for_a_while(table):
    b = Bench(table, router(preempt_delay=5))
    b.advert(50)
    for _ in range(4):
        b.advert(50, after=S)
    assert b.status()["master"] == "10.0.0.2"
    assert b.node.next_deadline() == b.now + DOWN
    b.advert(50, after=S)
    assert b.node.next_deadline() == b.now + DOWN - S, "the delay is over: no longer held"
    b = Bench(table, router(preempt_delay=5))
    b.advert(50)
    b.advert(200, after=4 * S)
    b.advert(50, after=2 * S)
    assert b.node.next_deadline() == b.now + DOWN, "a higher master in between starts the delay anew"
    b = Bench(table, router(preempt_delay=5))
    b.advert(50, interval_cs=200)
    assert b.node.next_deadline() == b.now + 6 * S + skew(100, 2 * S), "its interval counts at once"


def bfd_peer_down_leaves_the_skew_time(table):
    b = Bench(table, router())
    assert b.do(ev.PeerDown("10.0.0.2")) == [], "nobody is followed yet"
    assert b.node.next_deadline() == b.now + DOWN
    b.advert(200)
    b.do(ev.PeerDown("10.0.0.3"))
    assert b.node.next_deadline() == b.now + DOWN
    assert b.do(ev.PeerDown("10.0.0.2")) == []
    assert b.deadline()[0] == skew(100) and b.state() == "Master"
    b = Bench(table, router(peer_down_fast=False))
    b.advert(200)
    b.do(ev.PeerDown("10.0.0.2"))
    assert b.node.next_deadline() == b.now + DOWN


def a_master_yields_to_a_higher_advert(table):
    b = Bench(table, router()).master()
    assert b.advert(200, interval_cs=50) == ["TRANSITION Master Backup ADVERT_HIGHER", "DELETE", "CONFLICT"]
    assert b.status()["master"] == "10.0.0.2" and b.status()["conflicts"] == 1
    assert b.deadline()[0] == 1500 * MS + skew(100, 500 * MS), "no other timer runs"


def a_master_may_say_a_last_time_that_it_is_here(table):
    b = Bench(table, router(answer_higher=True)).master()
    assert b.advert(200, interval_cs=50) == [
        "TRANSITION Master Backup ADVERT_HIGHER_LOUD",
        "ADVERT 100",
        "DELETE",
        "CONFLICT",
    ]
    assert b.status()["master"] == "10.0.0.2" and b.status()["conflicts"] == 1
    assert b.deadline()[0] == 1500 * MS + skew(100, 500 * MS), "no other timer runs"


def equal_priorities_are_decided_by_the_address(table):
    b = Bench(table, router()).master()
    assert b.advert(100, source="10.0.0.2")[0] == "TRANSITION Master Backup ADVERT_HIGHER"
    b = Bench(table, router(source="10.0.0.200")).master()
    assert b.advert(100, source="10.0.0.2")[0] == "ADVERT 100"


def a_master_answers_a_lower_advert(table):
    b = Bench(table, router(lease=False, garp_delay=0)).master()
    assert b.advert(50, after=300 * MS) == ["ADVERT 100", "CONFLICT", "ANNOUNCE 5"]
    assert b.deadline() == (S, ["ADVERT 100"]), "the rhythm starts anew"
    b = Bench(table, router(lease=False, garp_delay=0, answer_lower=False)).master()
    assert b.advert(50, after=300 * MS) == ["CONFLICT", "ANNOUNCE 5"]
    assert b.deadline() == (700 * MS, ["ADVERT 100"])
    assert b.state() == "Master"


def a_master_answers_priority_0(table):
    b = Bench(table, router(lease=False, garp_delay=0)).master()
    assert b.advert(0, after=300 * MS) == ["ADVERT 100"]
    assert b.deadline() == (S, ["ADVERT 100"])
    assert b.status()["priority_zero_received"] == 1


def a_stop_deletes_the_addresses_and_then_says_priority_0(table):
    b = Bench(table, router()).master()
    assert b.do(ev.Stop()) == ["TRANSITION Master Initialize STOP", "DELETE", "ADVERT 0"]
    assert b.node.next_deadline() is None and b.status()["priority_zero_sent"] == 1
    assert b.advert(200) == [] and b.status()["dropped"] == {"router stopped or faulty": 1}


def a_stop_script_runs_before_the_addresses_go(table):
    b = Bench(table, router(stop_timeout=10, lease=False, garp_delay=0)).master()
    assert b.do(ev.Stop()) == ["STOP_SCRIPT"]
    script = b.id("STOP_SCRIPT")
    assert b.do(ev.Stop()) == []
    assert b.deadline() == (S, ["ADVERT 100"]), "still master"
    assert b.do(ev.Done(script)) == ["TRANSITION Master Initialize STOP_DONE", "DELETE", "ADVERT 0"]
    assert b.node.next_deadline() is None
    b = Bench(table, router(stop_timeout=0.5, lease=False, garp_delay=0)).master()
    b.do(ev.Stop())
    assert b.deadline() == (500 * MS, ["TRANSITION Master Initialize STOP_TIMER", "DELETE", "ADVERT 0"])
    assert b.node.next_deadline() is None
    b = Bench(table, router(stop_timeout=10))
    assert b.do(ev.Stop()) == ["TRANSITION Backup Initialize STOP"]


def a_link_that_goes_down_is_a_fault(table):
    b = Bench(table, router()).master()
    assert b.do(ev.Link("eth0", False)) == ["TRANSITION Master Fault FAULT", "DELETE"], "no advert into a dead link"
    assert b.node.next_deadline() is None and b.status()["faults"] == ["link"]
    assert b.do(ev.Link("eth0", True)) == ["TRANSITION Fault Backup CLEAR"]
    assert b.deadline()[0] == DOWN and b.state() == "Master"
    b = Bench(table, router())
    assert b.do(ev.Link("eth0", False)) == ["TRANSITION Backup Fault FAULT"]
    assert b.node.next_deadline() is None
    b.advert(200)
    assert b.do(ev.Stop()) == ["TRANSITION Fault Initialize STOP"]
    b = Bench(table, router(track_link=False)).master()
    assert b.do(ev.Link("eth0", False)) == []


def a_fault_that_clears_forgets_the_old_master(table):
    b = Bench(table, router())
    b.advert(200, interval_cs=1000)
    b.do(ev.Link("eth0", False))
    b.do(ev.Link("eth0", True))
    assert b.status()["master"] is None
    assert b.deadline()[0] == DOWN, "its own interval again"
    b = Bench(table, router())
    b.advert(200, interval_cs=1000)
    b.do(ev.Link("eth0", False))
    b.do(ev.SetPriority("a", 255))
    assert b.do(ev.Link("eth0", True)) == ["TRANSITION Fault Master CLEAR_OWNER", "ADVERT 255", "ADD"]
    assert b.status()["master"] is None
    assert b.added() == ["ANNOUNCE 5"]
    b = Bench(table, router(lease=False, garp_delay=0))
    b.do(ev.Link("eth0", False))
    b.do(ev.SetPriority("a", 255))
    b.do(ev.Link("eth0", True))
    assert b.deadline() == (S, ["ADVERT 255"])


def a_router_may_start_faulty(table):
    b = Bench(table, router(), start=False)
    b.do(ev.Link("eth0", False))
    assert b.do(ev.Start()) == ["TRANSITION Initialize Fault FAULT"]
    assert b.do(ev.Link("eth0", True)) == ["TRANSITION Fault Backup CLEAR"]


def a_tracker_without_weight_is_a_fault(table):
    b = Bench(table, router(tracks=(Track("t"),)), trackers=(Tracker("t", fall=2, rise=2),)).master()
    assert b.do(ev.TrackerValue("t", 1)) == []
    assert b.do(ev.TrackerValue("t", 1)) == ["TRANSITION Master Fault FAULT", "DELETE", "ADVERT 0"]
    assert b.node.next_deadline() is None
    assert b.do(ev.TrackerValue("t", 0)) == []
    assert b.do(ev.TrackerValue("t", 1)) == []
    assert b.do(ev.TrackerValue("t", 0)) == []
    assert b.do(ev.TrackerValue("t", 0)) == ["TRANSITION Fault Backup CLEAR"]


def a_hung_owner_resigns(table):
    b = Bench(table, router()).master()
    assert b.do(ev.Hung(True)) == ["TRANSITION Master Fault FAULT", "DELETE", "ADVERT 0"]
    assert b.status()["faults"] == ["hung"]
    assert b.do(ev.Hung(False)) == ["TRANSITION Fault Backup CLEAR"]


def addresses_are_announced_after_the_kernels_answer(table):
    b = Bench(table, router(lease=False, garp_delay=0.5, garp_repeat=3, garp_refresh=2, garp_refresh_repeat=2))
    b.deadline()
    add = b.id("ADD")
    assert b.do(ev.Done(add - 1)) == [] and b.do(ev.Done(0)) == []
    assert b.do(ev.Done(add), 10 * MS) == ["ANNOUNCE 3"]
    assert b.do(ev.Done(add)) == [], "once"
    assert b.deadline() == (500 * MS, ["ANNOUNCE 3"])
    assert b.deadline() == (490 * MS, ["ADVERT 100"])
    b.deadline()
    assert b.deadline() == (510 * MS, ["ANNOUNCE 2"]), "2 s after the delayed ones"
    assert b.do(ev.Stop())[0].startswith("TRANSITION")
    b = Bench(table, router())
    b.deadline()
    add = b.id("ADD")
    b.advert(200)
    assert b.do(ev.Done(add)) == [], "no longer master"


def addresses_that_cannot_be_added_are_a_fault_for_a_while(table):
    b = Bench(table, router(hold_time=7))
    b.deadline()
    lines = b.do(ev.Failed(b.id("ADD")))
    assert lines == ["TRANSITION Master Fault ADD_FAILED", "DELETE", "ADVERT 0"]
    assert b.status()["faults"] == ["address"]
    assert b.deadline() == (7 * S, ["TRANSITION Fault Backup CLEAR"])
    assert b.node.next_deadline() == b.now + DOWN
    b.deadline()
    b.do(ev.Failed(b.id("ADD")))
    b.do(ev.Stop())
    assert b.node.next_deadline() is None
    assert b.do(ev.Start()) == ["TRANSITION Initialize Backup STARTUP"]


def a_failed_delete_is_repeated_each_interval(table):
    events = {"Initialize": ev.Stop(), "Fault": ev.Link("eth0", False), "Backup": None}
    for state, event in events.items():
        b = Bench(table, router()).master()
        if event:
            b.do(event)
        else:
            b.advert(200)
        for _ in range(2):
            assert b.do(ev.Failed(b.id("DELETE"))) == [] and b.state() == state
            assert b.deadline() == (S, ["DELETE"]) and b.state() == state
        b.do(ev.Done(b.id("DELETE")))
        assert b.node.next_deadline() == (b.now + DOWN - 2 * S if state == "Backup" else None)
        b = Bench(table, router()).master()
        b.advert(200)
        b.do(ev.Failed(b.id("DELETE")))
        b.do(ev.Stop())
        assert b.deadline() == (S, ["DELETE"]), "also after another change of state"


def an_address_that_somebody_deletes_is_repaired_three_times(table):
    b = Bench(table, router(lease=False, garp_delay=0)).master()
    for _ in range(3):
        assert b.do(ev.AddressLost("a"), 10 * MS) == ["ADD"]
        assert b.added() == ["ANNOUNCE 5"]
    lines = b.do(ev.AddressLost("a"), 10 * MS)
    assert lines == ["TRANSITION Master Fault ADDRESS_FIGHT", "DELETE", "ADVERT 0"]
    assert b.status()["faults"] == ["address"] and b.status()["addresses_repaired"] == 3
    assert b.deadline() == (10 * S, ["TRANSITION Fault Backup CLEAR"])
    b.master()
    for _ in range(8):
        assert b.do(ev.AddressLost("a"), 4 * S)[-1:] != ["ADVERT 0"], "not more than 3 in 10 s"
        if b.state() != "Master":
            b.master()
    b = Bench(table, router())
    assert b.do(ev.AddressLost("a")) == [], "it is not ours now"


def an_expired_address_is_not_repaired(table):
    b = Bench(table, router()).master()
    assert b.do(ev.AddressExpired("a")) == [] and b.status()["addresses_expired"] == 1


def a_claim_of_the_address_is_a_conflict(table):
    b = Bench(table, router()).master()
    assert b.do(ev.Claimed("a")) == ["CONFLICT", "ANNOUNCE 5"] and b.state() == "Master"
    assert Bench(table, router()).do(ev.Claimed("a")) == []


def a_conflict_is_followed_by_announcements_now_and_after_a_delay(table):
    settings = {"lease": False, "garp_delay": 0, "garp_lower_delay": 0.5, "garp_lower_repeat": 2, "garp_refresh": 60}
    b = Bench(table, router(interval=10.0, **settings)).master()
    assert b.do(ev.Claimed("a"), S) == ["CONFLICT", "ANNOUNCE 2"]
    assert b.do(ev.Claimed("a"), 300 * MS) == ["CONFLICT", "ANNOUNCE 2"], "which does not put off the delayed ones"
    assert b.deadline() == (200 * MS, ["ANNOUNCE 2"])
    for _ in range(6):
        assert b.deadline()[1] == ["ADVERT 100"]
    assert b.deadline()[1] == ["ANNOUNCE 1"], "the periodic ones go on"
    b = Bench(table, router(lease=False, garp_delay=0.9, garp_lower_delay=0.1, garp_repeat=3)).master()
    assert b.do(ev.Claimed("a"), 500 * MS) == ["CONFLICT", "ANNOUNCE 5"]
    assert b.deadline() == (400 * MS, ["ANNOUNCE 3"]), "the new master's second set is to come anyway"


def leases_are_refreshed_at_a_third(table):
    b = Bench(table, router(interval=2.0, garp_delay=0, preempt=False)).master()
    assert b.status()["lease_ns"] == 4 * S
    seen = []
    for _ in range(12):
        b.deadline()
        seen += [b.now for a in b.actions if a.kind == "REFRESH"]
    assert len(seen) >= 3
    third = 4 * S // 3
    assert all(later - earlier == third for earlier, later in pairwise(seen))
    refresh = b.id("REFRESH") if any(a.kind == "REFRESH" for a in b.actions) else None
    while refresh is None:
        b.deadline()
        refresh = next((a.id for a in b.actions if a.kind == "REFRESH"), None)
    assert b.do(ev.Failed(refresh)) == ["ADD"] and b.state() == "Master"
    assert b.added() == ["ANNOUNCE 5"]


def a_short_gap_adds_the_addresses_again(table):
    b = Bench(table, router(garp_delay=0)).master()
    assert b.status()["lease_ns"] == S
    b.do(ev.Deadline(), 0)
    lines = b.do(ev.Deadline(), 2 * S)
    assert lines == ["ADD", "ADVERT 100"] and b.state() == "Master"
    assert b.added() == ["ANNOUNCE 5"]
    assert b.node.next_deadline() <= b.now + S // 3, "and the lease goes on"


def a_gap_of_three_intervals_ends_the_mastership_first(table):
    for event in (ev.Deadline(), ev.Claimed("a"), ev.AddressLost("a"), ev.Done(1), ev.Link("eth0", True)):
        b = Bench(table, router()).master()
        assert b.do(event, 3 * S) == ["TRANSITION Master Backup GAP", "DELETE"]
        assert b.status()["gaps"] == 1
        assert b.node.next_deadline() == b.now + DOWN
    b = Bench(table, router()).master()
    b.do(ev.Claimed("a"), 3 * S - 1)
    assert b.state() == "Master"


def two(table, start=True, **settings):
    """A sync group of two routers on two links."""
    routers = (
        router("a", **settings),
        router("b", interface="eth1", vrid=52, addresses=(Address("10.1.0.100/24"),), source="10.1.0.1", **settings),
    )
    return Bench(table, *routers, groups=(Group("g", ("a", "b")),), start=start)


def a_group_becomes_master_when_all_its_members_would(table):
    b = two(table, lease=False, garp_delay=0)
    b.advert(200, source="10.1.0.2", name="b", after=S)
    assert b.deadline() == (DOWN - S, []), "a would, b hears a master"
    assert b.state("a") == "Backup" and b.node.next_deadline() == b.now + S
    b.advert(200, source="10.1.0.2", name="b")
    assert b.deadline() == (
        DOWN,
        [
            "a TRANSITION Backup Master MASTER_DOWN",
            "a ADVERT 100",
            "a ADD",
            "b TRANSITION Backup Master MASTER_DOWN",
            "b ADVERT 100",
            "b ADD",
        ],
    )


def a_member_that_hears_a_master_no_longer_would(table):
    b = two(table)
    b.advert(200, source="10.1.0.2", name="b", after=S)
    b.deadline()
    b.advert(200, name="a")
    b.deadline()
    assert b.state("a") == b.state("b") == "Backup"
    b = two(table)
    b.advert(200, source="10.1.0.2", name="b", after=S)
    b.deadline()
    b.advert(0, name="a")
    assert b.node.next_deadline() == b.now + S, "priority 0 does not arm a member that would be master already"


def a_higher_advert_on_one_member_takes_the_whole_group_back(table):
    b = two(table)
    b.deadline()
    for name in ("a", "b"):
        assert b.state(name) == "Master"
    lines = b.advert(200, source="10.1.0.2", name="b")
    assert lines == [
        "b TRANSITION Master Backup ADVERT_HIGHER",
        "b DELETE",
        "b CONFLICT",
        "a TRANSITION Master Backup GROUP_BACKUP",
        "a DELETE",
        "a ADVERT 0",
    ]
    assert (b.state("a"), b.state("b")) == ("Backup", "Backup")


def the_timer_of_a_member_taken_back_runs(table):
    b = two(table)
    b.deadline()
    b.advert(200, source="10.1.0.2", name="b")
    b.advert(200, source="10.1.0.2", name="b", after=S)
    assert b.node.next_deadline() == b.now + DOWN - S, "a's"
    b.do(ev.Deadline(), DOWN - S)
    assert b.node.next_deadline() == b.now + S, "b's"


def the_gap_is_as_long_as_the_others_wait(table):
    for adverts, gap in ((1, 1500 * MS), (2, 2 * S), (5, 5 * S)):
        for pause, state in ((gap - 1, "Master"), (gap, "Backup")):
            b = Bench(table, router(down_adverts=adverts, garp_delay=0)).master()
            while b.deadline()[1] != ["ADVERT 100"]:
                pass
            b.do(ev.Deadline(), pause)
            assert b.state() == state, (adverts, pause)


def a_gap_takes_the_whole_group(table):
    b = two(table)
    b.deadline()
    lines = b.do(ev.Deadline(), 3 * S)
    assert [x for x in lines if "TRANSITION" in x] == [
        "a TRANSITION Master Backup GAP",
        "b TRANSITION Master Backup GROUP_BACKUP",
    ]


def a_fault_of_one_member_is_the_groups(table):
    b = two(table)
    b.deadline()
    lines = b.do(ev.Link("eth1", False))
    assert [x for x in lines if "TRANSITION" in x] == [
        "a TRANSITION Master Fault FAULT",
        "b TRANSITION Master Fault FAULT",
    ]
    assert b.status("a")["faults"] == ["group"] and b.status("b")["faults"] == ["link"]
    lines = b.do(ev.Link("eth1", True))
    assert lines == ["a TRANSITION Fault Backup CLEAR", "b TRANSITION Fault Backup CLEAR"]
    b.deadline()
    b.do(ev.Failed(b.id("ADD", "b")))
    assert (b.state("a"), b.state("b")) == ("Fault", "Fault")


def a_group_stops_together(table):
    b = two(table)
    b.deadline()
    lines = b.do(ev.Stop("b"))
    assert [x for x in lines if "TRANSITION" in x] == [
        "a TRANSITION Master Initialize STOP",
        "b TRANSITION Master Initialize STOP",
    ]
    b = two(table, stop_timeout=5)
    b.deadline()
    assert b.do(ev.Stop("b")) == ["a STOP_SCRIPT", "b STOP_SCRIPT"]
    first, second = b.id("STOP_SCRIPT", "a"), b.id("STOP_SCRIPT", "b")
    assert b.do(ev.Done(first)) == [], "the other one still runs"
    assert len([x for x in b.do(ev.Failed(second)) if "STOP_DONE" in x]) == 2
    assert (b.state("a"), b.state("b")) == ("Initialize", "Initialize")
    b.do(ev.Start("a"))
    assert (b.state("a"), b.state("b")) == ("Backup", "Backup")


def a_group_owns_only_as_a_whole(table):
    b = two(table, start=False, priority=255)
    lines = b.do(ev.Start())
    assert len([x for x in lines if "STARTUP_OWNER" in x]) == 2
    routers = (
        router("a", priority=255),
        router("b", interface="eth1", vrid=52, addresses=(Address("10.1.0.100/24"),), source="10.1.0.1"),
    )
    b = Bench(table, *routers, groups=(Group("g", ("a", "b")),))
    assert (b.state("a"), b.state("b")) == ("Backup", "Backup")


SCENARIOS = [
    value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", "") == __name__
    and isinstance(value, type(line))
    and value.__code__.co_varnames[: value.__code__.co_argcount] == ("table",)
]
assert len(SCENARIOS) >= 35
