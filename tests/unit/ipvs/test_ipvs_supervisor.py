"""Pools follow their checks: driven by BFD checks (fed by hand) over the memory plane, without any waiting."""

import contextlib
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libipvs.checks import BfdCheck, FileCheck, Host, MiscCheck, TcpCheck, Timing
from libipvs.errors import ForeignService, InvalidRequest, IpvsError, NoSuchServer, NoSuchService, Refused, Unsupported
from libipvs.memory import Memory
from libipvs.model import RealServer, ServiceKey, VirtualService
from libipvs.ownership import Ownership
from libipvs.supervisor import Member, SupervisedPool, Supervisor

WEB = VirtualService.tcp("10.0.0.1", 80, "wrr")
OTHER = VirtualService.tcp("10.0.0.2", 80, "rr")
FOREIGN = VirtualService.tcp("10.9.9.9", 9, "lc")
SORRY = RealServer("10.0.1.99", 80, "nat")
NEVER = Timing(warmup=3600)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Setting(Memory):
    """A plane with the one sysctl that matters here, and refusals on demand."""

    refusing = 0

    def setting(self, name):
        assert name == "expire_quiescent_template"
        return int(self.expire_quiescent_template)

    def _apply_one(self, change):
        if self.refusing:
            self.refusing -= 1
            raise Refused("not now")
        super()._apply_one(change)


class Rig:
    def __init__(self, tmp_path, plane=None):
        self.clock = Clock()
        self.host = Host(clock=self.clock, seed=1)
        self.plane = plane or Setting()
        self.ran = []
        self.path = tmp_path / "owned.json"
        self.restart()

    def restart(self):
        """A new life of the supervisor, after a crash: only the plane and the file are left."""
        self.supervisor = Supervisor(
            self.plane, self.host, self.path, lambda command: self.ran.append(" ".join(command))
        )

    def servers(self, service=WEB):
        return {
            entry.server.address[-2:].lstrip("."): entry.server.weight
            for entry in self.plane.service(service.key).servers
        }

    def up(self, *names):
        for name in names:
            self.supervisor.bfd(name, True)

    def down(self, *names):
        for name in names:
            self.supervisor.bfd(name, False)

    def pass_time(self, seconds):
        self.clock.now += seconds
        self.host.run_once(0)


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    with contextlib.closing(made.host):
        yield made


def member(number, weight=1, **options):
    server = RealServer(f"10.0.1.{number}", 80, "nat", weight)
    return Member(server, (BfdCheck(name=str(number)),), **options)


def pool(*members, service=WEB, **options):
    return SupervisedPool(service, members, **options)


def test_members_come_and_go(rig):
    rig.supervisor.load([pool(
        member(1, 3, notify_up=("up", "1"), notify_down=("down", "1")), member(2, inhibit=True), member(3)
    )])  # fmt: skip
    assert rig.servers() == {"1": 3, "2": 1, "3": 1}
    rig.down("1", "2")
    assert rig.servers() == {"2": 0, "3": 1}
    assert rig.supervisor.state()[WEB.key][RealServer("10.0.1.1", 80).key] is False
    rig.up("1", "2")
    assert rig.servers() == {"1": 3, "2": 1, "3": 1}
    assert rig.ran == ["down 1", "up 1"]


def test_quorum_hysteresis_and_sorry_server(rig):
    rig.supervisor.load([pool(*(member(i) for i in range(1, 6)), quorum=3, hysteresis=1, sorry=SORRY,
                              quorum_up=("quorum", "up"), quorum_down=("quorum", "down"))])  # fmt: skip
    rig.down("1", "2", "3")
    assert rig.servers() == {"4": 1, "5": 1}  # two is not below 3 - 1
    assert rig.supervisor.quorate(WEB.key)
    rig.down("4")
    assert rig.servers() == {"99": 1}
    assert rig.ran == ["quorum down"]
    rig.up("1", "2")
    assert rig.servers() == {"99": 1}  # three is below 3 + 1
    rig.up("3")
    assert rig.servers() == {"1": 1, "2": 1, "3": 1, "5": 1}
    assert rig.ran == ["quorum down", "quorum up"]


def test_a_quorum_that_only_all_can_reach(rig):
    rig.supervisor.load([pool(member(1), member(2), quorum=2, hysteresis=1)])
    rig.down("1", "2")
    assert not rig.supervisor.quorate(WEB.key)
    rig.up("1", "2")
    assert rig.supervisor.quorate(WEB.key)


def test_sorry_server_inhibited_and_without_quorum_all_members_stay(rig):
    rig.supervisor.load([pool(member(1), member(2), sorry=SORRY, sorry_inhibit=True)])
    assert rig.servers() == {"1": 1, "2": 1, "99": 0}
    rig.down("1", "2")
    assert rig.servers() == {"99": 1}
    rig.supervisor.load([pool(member(1), member(2), quorum=2)])
    rig.up("1")
    assert rig.servers() == {"1": 1}  # no sorry server: better one than none


def test_alpha_starts_down_and_omega_ends_with_the_commands(rig):
    rig.supervisor.load([pool(member(1, notify_up=("up",), notify_down=("down",)), alpha=True, omega=True, sorry=SORRY,
                              quorum_up=("q-up",), quorum_down=("q-down",))])  # fmt: skip
    assert rig.servers() == {"99": 1}
    rig.up("1")
    assert rig.servers() == {"1": 1}
    rig.supervisor.stop()
    assert rig.ran == ["up", "q-up", "down", "q-down"]
    assert rig.plane.table() == []
    assert not rig.path.exists()


def test_dynamic_weights(rig, tmp_path):
    track = tmp_path / "track"
    track.write_text("0")
    fast = Timing(delay_loop=1, retry=0, warmup=0)
    checks = (FileCheck(path=track, weight=2, timing=fast), MiscCheck(command="never", timing=NEVER))
    rig.supervisor.load([pool(Member(RealServer("10.0.1.1", 80, "nat", 10), checks), member(2))])
    for text, weight in (("3", 16), ("-4", 2), ("-9", 0), ("0", 10)):
        track.write_text(text)
        rig.pass_time(1.1)
        assert rig.servers()["1"] == weight
    track.write_text("-200")
    rig.pass_time(1.1)
    assert "1" not in rig.servers()


def test_reload_keeps_what_did_not_change(rig):
    checked = Member(RealServer("10.0.1.7", 80, "nat"), (TcpCheck(timing=NEVER),))
    rig.supervisor.load([pool(member(1), member(2), checked), pool(member(5), service=OTHER)])
    rig.down("1", "5")
    entry = rig.supervisor._pools[WEB.key].members[checked.server.key]
    connection = rig.plane.connect(WEB.key, "10.5.0.1")
    connection.establish()
    rig.supervisor.load([pool(member(1), member(2, 4), member(3), checked), pool(member(5), service=OTHER)])
    assert rig.servers() == {"2": 4, "3": 1, "7": 1}  # 1 is still known to be down
    assert rig.servers(OTHER) == {}
    assert rig.supervisor._pools[WEB.key].members[checked.server.key] is entry
    assert sum(status.active for status in rig.plane.service(WEB.key).servers) == 1
    before = len(rig.host.watches)
    rig.supervisor.load([pool(member(1), member(2, 4), service=WEB.with_(scheduler="rr"))])
    assert [status.service for status in rig.plane.services()] == [WEB.with_(scheduler="rr")]
    assert len(rig.host.watches) == before - 3
    changed = Member(member(1).server, (TcpCheck(timing=NEVER),))
    rig.supervisor.load([pool(changed, member(2))])
    assert rig.servers() == {"1": 1, "2": 1}  # other checks: its state begins anew


def test_foreign_services_are_never_touched(rig):
    rig.plane.add_service(FOREIGN)
    rig.plane.add_server(FOREIGN.key, RealServer("10.9.9.8", 9))
    foreign = rig.plane.service(FOREIGN.key)
    rig.supervisor.load([pool(member(1))])
    with pytest.raises(ForeignService):
        rig.supervisor.load([pool(member(1)), pool(member(2), service=FOREIGN)])
    assert rig.servers() == {"1": 1}
    assert Ownership(rig.path).keys == {WEB.key}
    rig.supervisor.load([])
    rig.supervisor.stop()
    assert rig.plane.table() == [foreign]
    rig.supervisor.load([pool(member(2), service=FOREIGN)], adopt=True)
    assert rig.servers(FOREIGN) == {"2": 1}


def test_a_start_after_a_crash_cleans_exactly_what_was_owned(rig):
    rig.plane.add_service(FOREIGN)
    rig.supervisor.load([pool(member(1)), pool(member(5), service=OTHER)])
    rig.restart()
    rig.supervisor.load([pool(member(2))])
    assert {status.service for status in rig.plane.services()} == {FOREIGN, WEB}
    assert rig.servers() == {"2": 1}
    rig.restart()
    rig.supervisor.stop()
    assert [status.service for status in rig.plane.services()] == [FOREIGN]


@given(st.integers(0, 6), st.booleans())
def test_keys_are_recorded_before_anything_is_made(tmp_path_factory, at, restart):
    """Killed at any change: what exists is on record."""
    plane = Setting()
    rig = Rig(tmp_path_factory.mktemp("crash"), plane)
    with contextlib.closing(rig.host):
        real = plane._apply_one
        count = 0

        class Killed(BaseException):
            """Ends the process."""

        def counted(change):
            nonlocal count
            if count == at:
                raise Killed
            count += 1
            real(change)

        plane._apply_one = counted
        with contextlib.suppress(Killed):
            rig.supervisor.load([pool(member(1), member(2)), pool(member(5), service=OTHER)])
        plane._apply_one = real
        recorded = Ownership(rig.path).keys
        assert {status.service.key for status in plane.services()} <= recorded
        rig.restart()
        if restart:
            rig.supervisor.load([pool(member(1), member(2)), pool(member(5), service=OTHER)])
            assert rig.servers() == {"1": 1, "2": 1}
        else:
            rig.supervisor.stop()
            assert plane.services() == []


def test_draining(rig, caplog):
    rig.supervisor.load([pool(member(1), member(2), drain=30.0)])
    connections = [rig.plane.connect(WEB.key, "10.5.0.1") for _ in range(2)]
    for connection in connections:
        connection.establish()
    one = next(c for c in connections if c.server.address == "10.0.1.1")
    rig.supervisor.load([pool(member(2), drain=30.0)])
    assert rig.servers() == {"1": 0, "2": 1}
    assert rig.supervisor.draining(WEB.key) == (one.server.key,)
    rig.pass_time(5)
    assert rig.servers() == {"1": 0, "2": 1}
    one.finish()
    rig.pass_time(1)
    assert rig.servers() == {"2": 1}
    with pytest.raises(NoSuchServer):
        rig.supervisor.drain(WEB.key, one.server.key, 1)
    with pytest.raises(NoSuchService):
        rig.supervisor.drain(OTHER.key, one.server.key, 1)
    # A deadline; and coming back from draining.
    rig.supervisor.load([pool(member(1), member(2))])
    two = next(c for c in connections if c.server.address == "10.0.1.2")
    rig.supervisor.drain(WEB.key, two.server.key, 10.0)
    assert rig.servers() == {"1": 1, "2": 0}
    for _ in range(30):
        rig.pass_time(0.5)
    assert rig.servers() == {"1": 1}
    assert "1 active" in caplog.text
    rig.supervisor.load([pool(member(1), member(2))])
    assert rig.servers() == {"1": 1, "2": 1}
    rig.supervisor.drain(WEB.key, two.server.key, 10.0)
    rig.supervisor.load([pool(member(1), member(2))])
    rig.pass_time(60)
    assert rig.servers() == {"1": 1, "2": 1}


def test_a_contradicting_sysctl_is_said(rig, caplog):
    sticky = pool(member(1), service=WEB.with_(persistence=60))
    with caplog.at_level(logging.WARNING):
        rig.supervisor.load([sticky])
    assert "expire_quiescent_template" in caplog.text
    caplog.clear()
    for other, said in ((Memory(), True), (Memory(expire_quiescent_template=True), False)):
        caplog.clear()
        Supervisor(other, rig.host, rig.path.with_name("other.json"), print).load([sticky])
        assert ("expire_quiescent_template" in caplog.text) is said
    caplog.clear()
    rig.plane.expire_quiescent_template = True
    rig.supervisor.load([sticky])
    assert caplog.text == ""


def test_ha_suspend_follows_the_address(rig):
    checked = Member(RealServer("10.0.1.7", 80, "nat"), (TcpCheck(timing=NEVER),))
    rig.supervisor.load([pool(checked, ha_suspend=True)])
    (watch,) = rig.host.watches
    rig.supervisor.vip(["10.0.0.5"])
    assert watch.machine.next_deadline == float("inf")
    rig.supervisor.vip(["10.0.0.5", "10.0.0.1"])
    assert watch.machine.next_deadline == rig.clock.now
    rig.supervisor.load([pool(checked, member(2), ha_suspend=True)])
    rig.supervisor.vip([])
    rig.supervisor.vip(["10.0.0.1"])
    rig.pass_time(1.0)  # a BFD check is fed, and asks nothing when it is resumed
    rig.down("2")
    assert rig.servers() == {"7": 1}


def test_refusals_are_tried_again(rig, caplog):
    rig.supervisor.load([pool(member(1), member(2))])
    rig.plane.refusing = 2
    rig.down("1")
    assert rig.servers() == {"1": 1, "2": 1}
    rig.pass_time(1.1)
    assert rig.servers() == {"1": 1, "2": 1}
    rig.pass_time(1.1)
    assert rig.servers() == {"2": 1}
    rig.plane.delete_service(WEB.key)  # by somebody else
    rig.up("1")
    assert rig.servers() == {"1": 1, "2": 1}
    rig.plane.refusing = 1
    with pytest.raises(Refused):
        rig.supervisor.load([])
    rig.pass_time(1.1)
    assert rig.plane.services() == []
    assert Ownership(rig.path).keys == frozenset()


def test_bad_configurations_change_nothing(rig):
    rig.supervisor.load([pool(member(1))])
    sip = VirtualService.udp("10.0.0.3", 5060, persistence=60, engine="sip")
    with pytest.raises(Unsupported, match="persistence-engine"):
        rig.supervisor.load([pool(service=sip)])
    with pytest.raises(InvalidRequest, match="twice"):
        rig.supervisor.load([pool(member(1)), pool(member(2))])
    assert rig.servers() == {"1": 1}
    assert Ownership(rig.path).keys == {WEB.key}
    for options in ({"quorum": 0}, {"hysteresis": 1}, {"drain": -1.0}, {"sorry": member(1).server}):
        with pytest.raises(InvalidRequest):
            pool(member(1), **options)


def test_the_file_of_owned_keys(tmp_path):
    path = tmp_path / "owned.json"
    owned = Ownership(path)
    assert owned.keys == frozenset()
    mark = VirtualService.fwmark(7, family=10)
    owned.record({WEB.key, mark.key})
    again = Ownership(path)
    assert again.keys == {WEB.key, mark.key}
    assert all(isinstance(key, ServiceKey) for key in again.keys)
    assert json.loads(path.read_text())["version"] == 1
    for text in ("", "{}", '{"version": 2, "owned": []}', '{"version": 1, "owned": [["tcp"]]}'):
        path.write_text(text)
        with pytest.raises(IpvsError, match="which services are owned"):
            Ownership(path)
    owned.remove()
    owned.remove()
    assert not path.exists()


def test_commands_are_run_and_reaped(tmp_path):
    with contextlib.closing(Host(seed=1)) as host:
        supervisor = Supervisor(Memory(), host, tmp_path / "owned.json")
        mark = tmp_path / "mark"
        down = ("/bin/sh", "-c", f"echo down > {mark}; exit 3")
        supervisor.load([pool(member(1, notify_down=down, notify_up=("/nonexistent",)))])
        supervisor.bfd("1", False)
        host.run_for(0.01)
        for _ in range(1000):
            if not supervisor._processes:
                break
            host.run_once(0.05)
        assert mark.read_text() == "down\n"
        assert supervisor._processes == {}
        supervisor.bfd("1", True)  # cannot be run: logged
        supervisor.load([pool(member(1, notify_down=("/bin/true", "\0")))])
        supervisor.bfd("1", False)  # nor this
        assert supervisor.plane.service(WEB.key).servers == ()
        assert supervisor._processes == {}
