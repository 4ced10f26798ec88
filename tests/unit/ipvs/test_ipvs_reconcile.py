"""Reconciling: the wanted table is reached, with the fewest changes, from anywhere, whatever fails on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipvs_tables import pools, tables

from libipvs.errors import ForeignService, InvalidRequest, PartiallyApplied, Refused, ServiceExists, Unsupported
from libipvs.memory import Memory
from libipvs.model import Action, Change, Pool, RealServer, VirtualService
from libipvs.reconcile import plan, reconcile

WEB = VirtualService.tcp("10.0.0.1", 80, "rr")
ONE, TWO, THREE = (RealServer(f"10.0.1.{i}", 80) for i in (1, 2, 3))


def shape(plane):
    return {
        status.service.key: (status.service, {entry.server.key: entry.server for entry in status.servers})
        for status in plane.table()
    }


def wanted_shape(desired):
    return {pool.service.key: (pool.service, {server.key: server for server in pool.servers}) for pool in desired}


def made(desired):
    plane = Memory()
    reconcile(plane, desired, ())
    return plane


@st.composite
def two_tables(draw):
    """A table, and one that shares some of its services and servers, changed or not."""
    before = draw(tables(4, 4))
    after = {}
    for pool in before:
        fate = draw(st.sampled_from(["same", "drop", "edit", "servers"]))
        if fate == "drop":
            continue
        service = pool.service
        if fate == "edit":
            service = service.with_(scheduler=draw(st.sampled_from(["rr", "wlc", "sed"])), flags=frozenset())
        kept = []
        for server in pool.servers:
            change = draw(st.sampled_from(["same", "drop", "weight"])) if fate == "servers" else "same"
            if change != "drop":
                kept.append(server.with_(weight=7) if change == "weight" else server)
        after[service.key] = Pool(service, tuple(kept))
    for pool in draw(tables(2, 2)):
        after.setdefault(pool.service.key, pool)
    return before, list(after.values())


def smallest(before, after):
    """How many changes the difference needs, counted straight from the two shapes."""
    count = 0
    for key in before.keys() | after.keys():
        if key not in after:
            count += 1
            continue
        old_service, old_servers = before.get(key, (None, {}))
        new_service, new_servers = after[key]
        count += old_service != new_service
        count += sum(old_servers.get(name) != new_servers.get(name) for name in old_servers.keys() | new_servers.keys())
    return count


@settings(max_examples=50)
@given(two_tables())
def test_reaches_the_wanted_table_with_the_fewest_changes(both):
    before, after = both
    plane = made(before)
    start = shape(plane)
    owned = set(start)
    dry = reconcile(plane, after, owned, dry_run=True)
    assert shape(plane) == start
    done = reconcile(plane, after, owned)
    assert done == dry
    assert shape(plane) == wanted_shape(after)
    assert len(done) == smallest(start, wanted_shape(after))
    again = reconcile(plane, after, set(wanted_shape(after)))
    assert not again and str(again) == "nothing to do"
    assert len(str(dry).splitlines()) == max(len(dry), 1)


@settings(max_examples=50)
@given(two_tables(), st.data())
def test_foreign_services_stay(both, data):
    before, after = both
    plane = made(before)
    start = shape(plane)
    owned = {key for key in start if data.draw(st.booleans())}
    if any(pool.service.key in start and pool.service.key not in owned for pool in after):
        with pytest.raises(ForeignService) as caught:
            reconcile(plane, after, owned)
        assert set(caught.value.keys) == {pool.service.key for pool in after} & start.keys() - owned
        assert shape(plane) == start
        after = [pool for pool in after if pool.service.key not in start or pool.service.key in owned]
    reconcile(plane, after, owned)
    foreign = {key: value for key, value in start.items() if key not in owned}
    assert shape(plane) == {**foreign, **wanted_shape(after)}


class Breaking(Memory):
    """Fails before, or loses the answer after, the change with the given number."""

    at = None
    after = False

    def _apply_one(self, change):
        if self.at is not None:
            self.at -= 1
            if self.at < 0 and not self.after:
                raise Refused("broken here")
        super()._apply_one(change)
        if self.at is not None and self.at < 0:
            raise Refused("broken after it")


@settings(max_examples=50)
@given(two_tables(), st.integers(0, 30), st.booleans())
def test_converges_after_a_failure_anywhere(both, at, after_it):
    before, after = both
    plane = Breaking()
    reconcile(plane, before, ())
    owned = set(shape(plane)) | {pool.service.key for pool in after}
    changes = plan(after, owned, plane.table()).changes
    plane.at, plane.after = at, after_it
    try:
        reconcile(plane, after, owned)
        assert at >= len(changes)
    except PartiallyApplied as partial:
        assert partial.applied == changes[:at]
        assert partial.pending == changes[at:]
        assert [change for change, _ in partial.failures] == [changes[at]]
    except Refused as refused:
        assert len(changes) == 1 and refused.change == changes[0]
    plane.at = None
    reconcile(plane, after, owned)
    assert shape(plane) == wanted_shape(after)


def test_new_servers_come_before_old_ones_go():
    plane = made([Pool(WEB, (ONE, TWO))])
    changes = reconcile(plane, [Pool(WEB.with_(scheduler="wrr"), (TWO.with_(weight=2), THREE))], {WEB.key}).changes
    assert [change.action for change in changes] == [
        Action.ADD_SERVER,
        Action.EDIT_SERVICE,
        Action.EDIT_SERVER,
        Action.DELETE_SERVER,
    ]


def test_the_plan_is_printed_as_it_would_be_done():
    plane = made([Pool(WEB, (ONE,))])
    dns = VirtualService.udp("10.0.0.1", 53, "wlc")
    desired = [Pool(WEB, (TWO,)), Pool(dns)]
    assert str(reconcile(plane, desired, {WEB.key}, dry_run=True)) == (
        "add-service UDP 10.0.0.1:53 -s wlc\n"
        "add-server TCP 10.0.0.1:80 -> 10.0.1.2:80 dr weight 1\n"
        "delete-server TCP 10.0.0.1:80 -> 10.0.1.1:80"
    )


def test_adopting_and_bad_requests():
    plane = made([Pool(WEB, (ONE,))])
    start = shape(plane)
    adopted = reconcile(plane, [Pool(WEB, (TWO,))], (), adopt=True)
    assert adopted.adopted == (WEB.key,)
    assert list(shape(plane)[WEB.key][1]) == [TWO.key]
    with pytest.raises(InvalidRequest, match="wanted twice"):
        reconcile(plane, [Pool(WEB), Pool(WEB, (ONE,))], {WEB.key})
    assert start != shape(plane)
    sip = VirtualService.udp("10.0.0.9", 5060, persistence=60, engine="sip")
    now = shape(plane)
    with pytest.raises(Unsupported, match="persistence-engine"):
        reconcile(plane, [Pool(WEB), Pool(sip)], {WEB.key})
    assert shape(plane) == now


@given(pools())
def test_a_service_made_by_somebody_meanwhile(pool):
    plane = Memory()
    changes = plan([pool], (), plane.table()).changes
    plane.add_service(pool.service)
    with pytest.raises((PartiallyApplied, ServiceExists)):
        plane.apply(changes)
    with pytest.raises(ForeignService):
        reconcile(plane, [pool], ())


def test_one_refused_change_is_its_own_exception():
    plane = Memory()
    with pytest.raises(Refused) as caught:
        plane.apply([Change(Action.DELETE_SERVICE, WEB.key)])
    assert caught.value.change.key == WEB.key
