"""Reconciling the kernel's own table, with the netlink socket failing between any two messages."""

import pytest
from ipvs_tables import tables

import libipvs.kernel
from libipvs.errors import ForeignService, PartiallyApplied
from libipvs.model import Pool, RealServer, VirtualService
from libipvs.reconcile import plan, reconcile


def shape(plane):
    return {
        status.service.key: (status.service, {entry.server.key: entry.server for entry in status.servers})
        for status in plane.table()
    }


def wanted_shape(desired):
    return {pool.service.key: (pool.service, {server.key: server for server in pool.servers}) for pool in desired}


class CutSocket:
    """The kernel's socket, which fails at the given send: before it, or instead of its answer."""

    def __init__(self, inner, at, lose_answer):
        self.inner = inner
        self.left = at
        self.lose_answer = lose_answer

    def send(self, data):
        self.left -= 1
        if self.left < 0 and not self.lose_answer:
            raise OSError(105, "cut before the message")
        return self.inner.send(data)

    def recv(self, size):
        if self.left < 0:
            raise OSError(105, "cut before the answer")
        return self.inner.recv(size)


WEB = VirtualService.tcp("10.0.0.1", 80, "rr")
OTHER = VirtualService.tcp("10.0.0.2", 80, "wlc", persistence=50)
GONE = VirtualService.udp("10.0.0.3", 53, "sh")
NEW = VirtualService.tcp("fd00::4", 80, "mh")
FOREIGN = VirtualService.tcp("10.9.9.9", 9, "lc")
A, B, C, D = (RealServer(f"10.0.1.{i}", 80, "nat", i) for i in range(1, 5))
BEFORE = [Pool(WEB, (A, B)), Pool(OTHER, (A,)), Pool(GONE, ())]
AFTER = [
    Pool(WEB.with_(scheduler="wrr"), (B.with_(weight=9), C, D)),
    Pool(OTHER, (A,)),
    Pool(NEW, (RealServer("fd00::5", 80, "nat"), RealServer("fd00::6", 80, "nat"))),
]


@pytest.mark.parametrize("lose_answer", [False, True])
def test_cut_between_any_two_messages(kernel, ipvsadm, monkeypatch, lose_answer):
    monkeypatch.setattr(libipvs.kernel, "BATCH", 1)
    kernel.add_service(FOREIGN)
    kernel.add_server(FOREIGN.key, RealServer("10.9.9.8", 9, upper=7))
    foreign = ipvsadm("-Ln", "-t", "10.9.9.9:9")
    real = kernel._socket
    owned = {pool.service.key for pool in (*BEFORE, *AFTER)}
    reconcile(kernel, BEFORE, owned)
    total = len(plan(AFTER, owned, kernel.table()))
    assert total > 8
    for at in range(total):
        reconcile(kernel, BEFORE, owned)
        changes = plan(AFTER, owned, kernel.table()).changes
        kernel._socket = CutSocket(real, at, lose_answer)
        with pytest.raises(PartiallyApplied) as caught:
            kernel.apply(changes)
        kernel._socket = real
        # A change whose answer was lost counts as not made; the kernel may have made it.
        assert caught.value.applied == changes[:at]
        assert caught.value.pending == changes[at:]
        reconcile(kernel, AFTER, owned)
        foreign_entry = {key: value for key, value in shape(kernel).items() if key == FOREIGN.key}
        assert shape(kernel) == {**foreign_entry, **wanted_shape(AFTER)}
    assert not reconcile(kernel, AFTER, owned)
    assert ipvsadm("-Ln", "-t", "10.9.9.9:9") == foreign
    with pytest.raises(ForeignService, match=r"10\.9\.9\.9:9"):
        reconcile(kernel, [*AFTER, Pool(FOREIGN)], owned)
    reconcile(kernel, [], owned)
    assert list(shape(kernel)) == [FOREIGN.key]
    reconcile(kernel, [Pool(FOREIGN)], (), adopt=True)
    assert shape(kernel) == {FOREIGN.key: (FOREIGN, {})}


def test_random_tables_converge_on_the_kernel(kernel):
    from hypothesis import given

    @given(before=tables(4, 3), after=tables(4, 3))
    def check(before, after):
        kernel.flush()
        owned = {pool.service.key for pool in (*before, *after)}
        for wanted in (before, after, before):
            reconcile(kernel, wanted, owned)
            assert shape(kernel) == wanted_shape(wanted)
            assert not reconcile(kernel, wanted, owned)

    check()


def test_an_untouched_service_keeps_its_counters_and_connections(kernel):
    import socket

    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.10", 8080))
        listener.listen()
        web = VirtualService.tcp("127.0.0.9", 8080, "rr")
        server = RealServer("127.0.0.10", 8080, "nat")
        reconcile(kernel, [Pool(web, (server,)), Pool(WEB, (A,))], ())
        client.settimeout(10)
        client.connect(("127.0.0.9", 8080))
        peer, _ = listener.accept()
        owned = {web.key, WEB.key}
        reconcile(kernel, [Pool(web, (server,)), Pool(OTHER, (B,))], owned)
        (entry,) = kernel.service(web.key).servers
        assert entry.active == 1
        client.sendall(b"still here")
        assert peer.recv(100) == b"still here"
        peer.close()
