"""libipvs.kernel against the kernel itself, seen through the real ipvsadm."""

import asyncio
import errno
import os
import socket
import subprocess
import threading
import time

import pytest
from hypothesis import given
from ipvs_tables import tables

from libipvs import netlink
from libipvs.errors import (
    DaemonRefused,
    InvalidRequest,
    NoSuchServer,
    NoSuchService,
    PartiallyApplied,
    PermissionDenied,
    Refused,
    ServerExists,
    ServiceExists,
    UnknownScheduler,
)
from libipvs.kernel import BATCH, AsyncKernel, Kernel
from libipvs.model import Action, Change, RealServer, ServerKey, SyncDaemon, Timeouts, VirtualService

WEB = VirtualService.tcp("10.0.0.1", 80, "wrr", persistence=300)
HEADER = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
"""


def fill(kernel, pools):
    changes = []
    for pool in pools:
        changes.append(Change(Action.ADD_SERVICE, pool.service.key, pool.service))
        changes += [Change(Action.ADD_SERVER, pool.service.key, server=server) for server in pool.servers]
    kernel.apply(changes)


def shape(table):
    return {
        status.service.key: (status.service, {entry.server.key: entry.server for entry in status.servers})
        for status in table
    }


def test_every_attribute_as_ipvsadm_prints_it(kernel, ipvsadm):
    pools = [
        (WEB, [RealServer("10.0.1.1", 8080, "nat", 3), RealServer("127.0.0.1", 80, "local", 0)]),
        (VirtualService.udp("10.0.0.1", 53, "rr", one_packet=True), [RealServer("10.0.1.3", 53)]),
        (VirtualService.udp("10.0.0.2", 5060, persistence=60, engine="sip"), []),
        (VirtualService.sctp("10.0.0.3", 9, "lc"), []),
        (VirtualService.tcp("fd00::1", 443, "sh", flags="sh-port", persistence=60, netmask=64), []),
        (
            VirtualService.fwmark(7, "mh", flags="mh-fallback,mh-port"),
            [
                RealServer("10.0.1.4", 0, "tun", tunnel="gue", tunnel_port=6080),
                RealServer("10.0.1.5", 0, "tun", tunnel="gre", checksum="csum"),
                RealServer("fd00::6", 0, "tun", tunnel="gue", tunnel_port=6081, checksum="remcsum"),
            ],
        ),
        (VirtualService.fwmark(7, "rr", family=socket.AF_INET6, flags="flag-1,flag-3"), []),
    ]
    for service, servers in pools:
        kernel.add_service(service)
        for server in servers:
            kernel.add_server(service.key, server)
    assert (
        ipvsadm("-Sn")
        == """\
-A -t 10.0.0.1:80 -s wrr -p 300
-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3
-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 0
-A -u 10.0.0.1:53 -s rr -o
-a -u 10.0.0.1:53 -r 10.0.1.3:53 -g -w 1
-A -u 10.0.0.2:5060 -s wlc -p 60 --pe sip
-A --sctp-service 10.0.0.3:9 -s lc
-A -t [fd00::1]:443 -s sh -p 60 -M 64 -b sh-port
-A -f 7 -s mh -b mh-fallback,mh-port
-a -f 7 -r [fd00::6]:0 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum
-a -f 7 -r 10.0.1.4:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -f 7 -r 10.0.1.5:0 -i -w 1 --tun-type gre --tun-csum
-A -f 7 -6 -s rr -b flag-1,flag-3
"""
    )
    assert shape(kernel.table()) == {
        service.key: (service, {server.key: server for server in servers}) for service, servers in pools
    }
    assert kernel.info().version == (1, 2, 1)
    assert kernel.info().table_size == 4096
    assert ipvsadm("-Ln").startswith(HEADER)


def test_thresholds_and_edits(kernel, ipvsadm):
    kernel.add_service(WEB)
    server = RealServer("10.0.1.1", 80, "nat", 3, 100, 50)
    kernel.add_server(WEB.key, server)
    assert "10.0.1.1:80                  100        50 " in ipvsadm("-Ln", "--thresholds")
    changed = server.with_(weight=0, upper=9, lower=0, forward="tun", tunnel="gue", tunnel_port=9000, checksum="csum")
    kernel.edit_server(WEB.key, changed)
    assert kernel.server(WEB.key, server.key).server == changed
    edited = WEB.with_(scheduler="sh", flags=["sh-port"], persistence=0)
    kernel.edit_service(edited)
    status = kernel.service(WEB.key)
    assert status.service == edited
    assert [entry.server for entry in status.servers] == [changed]
    kernel.delete_server(WEB.key, server.key)
    assert kernel.service(WEB.key).servers == ()
    kernel.delete_service(WEB.key)
    assert ipvsadm("-Sn") == ""


@given(pools=tables())
def test_random_tables_there_and_back(kernel, ipvsadm, pools):
    kernel.flush()
    fill(kernel, pools)
    wanted = {pool.service.key: (pool.service, {s.key: s for s in pool.servers}) for pool in pools}
    assert shape(kernel.table()) == wanted
    for status in kernel.table():  # newest first
        order = [entry.server for entry in status.servers]
        assert order == list(reversed(wanted[status.service.key][1].values()))
    saved = ipvsadm("-Sn")
    kernel.flush()
    ipvsadm("-R", text=saved)
    # ipvsadm's save forgets thresholds.
    for _, servers in wanted.values():
        for key, server in servers.items():
            servers[key] = server.with_(upper=0, lower=0)
    assert shape(kernel.table()) == wanted


def refusal(kind, function, *arguments):
    with pytest.raises(kind) as caught:
        function(*arguments)
    assert type(caught.value) is kind
    return caught.value


def test_refusals_have_the_kernels_meaning(kernel):
    other = WEB.with_(port=81)
    server = RealServer("10.0.1.1", 80)
    kernel.add_service(WEB)
    kernel.add_server(WEB.key, server)
    assert refusal(ServiceExists, kernel.add_service, WEB).errno == errno.EEXIST
    assert "10.0.1.1:80" in str(refusal(ServerExists, kernel.add_server, WEB.key, server))
    refusal(NoSuchService, kernel.edit_service, other)
    refusal(NoSuchService, kernel.delete_service, other.key)
    refusal(NoSuchService, kernel.service, other.key)
    refusal(NoSuchService, kernel.zero, other.key)
    refusal(NoSuchService, kernel.add_server, other.key, RealServer("10.0.1.1", 81))
    refusal(NoSuchServer, kernel.edit_server, WEB.key, RealServer("10.0.1.2", 80))
    refusal(NoSuchServer, kernel.delete_server, WEB.key, ServerKey("10.0.1.2", 80))
    refusal(NoSuchServer, kernel.server, WEB.key, ServerKey("10.0.1.2", 80))
    missing = refusal(UnknownScheduler, kernel.add_service, other.with_(scheduler="twos"))
    assert "twos" in str(missing) and missing.change.service.scheduler == "twos"
    refusal(Refused, kernel.add_server, WEB.key, RealServer("224.0.0.1", 80))
    # Refused before the kernel is asked: nothing of the list is done.
    with pytest.raises(InvalidRequest):
        kernel.apply(
            [
                Change(Action.ADD_SERVICE, other.key, other),
                Change(Action.ADD_SERVER, other.key, server=RealServer("fd00::1", 81)),
            ]
        )
    assert [status.service for status in kernel.services()] == [WEB]


def test_batches_say_what_was_done(kernel):
    services = [VirtualService.tcp("10.3.0.1", port, "rr") for port in range(1, BATCH * 2 + 20)]
    changes = [Change(Action.ADD_SERVICE, service.key, service) for service in services]
    kernel.apply(changes)
    assert len(kernel.services()) == len(services)
    kernel.delete_service(services[3].key)
    with pytest.raises(PartiallyApplied) as caught:
        kernel.apply(changes)
    partial = caught.value
    assert partial.applied == (changes[3],)
    assert partial.pending == (*changes[:3], *changes[4:])
    # The batch in which it happened is executed to its end; the following ones are not sent.
    assert [change for change, _ in partial.failures] == [*changes[:3], *changes[4:BATCH]]
    assert {type(error) for _, error in partial.failures} == {ServiceExists}
    # A whole batch of refusals fits the receive buffer, and leaves the socket in step.
    assert len(kernel.services()) == len(services)


def test_timeouts_info_zero_and_flush(kernel, ipvsadm):
    before = kernel.timeouts()
    kernel.set_timeouts(Timeouts(100, 0, 50))
    assert ipvsadm("-L", "--timeout") == f"Timeout (tcp tcpfin udp): 100 {before.tcp_fin} 50\n"
    assert kernel.timeouts() == Timeouts(100, before.tcp_fin, 50)
    kernel.set_timeouts(before)
    assert kernel.timeouts() == before
    echo = VirtualService.udp("127.0.0.9", 9999, "rr")
    kernel.add_service(echo)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.10", 9999))
        receiver.settimeout(5)
        kernel.add_server(echo.key, RealServer("127.0.0.10", 9999, "nat"))
        sender.sendto(b"12345", ("127.0.0.9", 9999))
        assert receiver.recv(100) == b"12345"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:  # the kernel sums its counters up every 2 s
            (entry,) = kernel.service(echo.key).servers
            if entry.stats.connections:
                break
            time.sleep(0.1)
        assert (entry.inactive, entry.stats.connections) == (1, 1)
        assert (entry.stats.in_packets, entry.stats.in_bytes) == (1, 33)
    kernel.zero(echo.key)
    assert kernel.service(echo.key).stats.in_packets == 0
    kernel.zero()
    kernel.flush()
    assert kernel.services() == []


def test_sync_daemons(kernel, ipvsadm):
    assert kernel.daemons() == []
    refusal(DaemonRefused, kernel.stop_daemon, "master")
    kernel.start_daemon(SyncDaemon("master", "lo", 5, 1400, "224.0.0.99", 9000, 3))
    assert ipvsadm("-L", "--daemon") == (
        "master sync daemon (mcast=lo, syncid=5, maxlen=1400, group=224.0.0.99, port=9000, ttl=3)\n"
    )
    kernel.start_daemon(SyncDaemon("backup", "lo", group="ff02::99"))
    master, backup = kernel.daemons()
    assert master == SyncDaemon("master", "lo", 5, 1400, "224.0.0.99", 9000, 3)
    assert (backup.state, backup.group, backup.port) == ("backup", "ff02::99", 8848)
    assert "running already" in str(refusal(DaemonRefused, kernel.start_daemon, SyncDaemon("master", "lo")))
    kernel.stop_daemon("master")
    kernel.stop_daemon("backup")
    assert "nope" in str(refusal(DaemonRefused, kernel.start_daemon, SyncDaemon("master", "nope")))
    for _ in range(20):  # stopped before its thread ever ran
        kernel.start_daemon(SyncDaemon("master", "lo"))
        kernel.stop_daemon("master")
    assert kernel.daemons() == []


def test_settings(kernel):
    settings = kernel.settings()
    assert {"conn_reuse_mode", "expire_nodest_conn", "expire_quiescent_template", "conntrack"} <= set(settings)
    assert settings["sync_threshold"] == (3, 50)
    assert kernel.setting("expire_nodest_conn") == 0
    kernel.set_setting("expire_nodest_conn", 1)
    assert kernel.setting("expire_nodest_conn") == 1
    kernel.set_setting("expire_nodest_conn", 0)
    kernel.set_setting("sync_threshold", (4, 60))
    assert kernel.setting("sync_threshold") == (4, 60)
    kernel.set_setting("sync_threshold", (3, 50))
    with pytest.raises(InvalidRequest, match="conntrack"):
        kernel.setting("conn_track")
    with pytest.raises(InvalidRequest, match="no setting"):
        kernel.set_setting("../../ip_forward", 1)
    with pytest.raises(InvalidRequest, match="sync_threshold"):
        kernel.set_setting("sync_threshold", (60, 4))


def test_inside_a_running_loop(kernel):
    async def main():
        with Kernel() as mine:
            mine.add_service(WEB)
            async with AsyncKernel() as other:
                table = await other.run(Kernel.table)
                await asyncio.gather(
                    *(other.run(Kernel.add_server, WEB.key, RealServer(f"10.0.1.{i}", 80)) for i in range(1, 9))
                )
            with pytest.raises(RuntimeError, match="not open"):
                await other.run(Kernel.table)
            return table, mine.table()

    before, after = asyncio.run(main())
    assert [status.service for status in before] == [WEB]
    assert len(after[0].servers) == 8


def test_from_many_threads(kernel):
    errors = []

    def work(number):
        try:
            for i in range(30):
                service = VirtualService.tcp(f"10.4.{number}.1", 1000 + i, "rr")
                kernel.add_service(service)
                assert kernel.service(service.key).service == service
                if i % 3 == 0:
                    kernel.delete_service(service.key)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(kernel.services()) == 4 * 20


def test_without_permission(kernel):
    code = (
        "import os; from libipvs.kernel import Kernel; from libipvs.errors import PermissionDenied\n"
        "k = Kernel(); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "for f in (k.services, k.flush, lambda: k.set_setting('conntrack', 1)):\n"
        "    try: f(); print('no error')\n"
        "    except PermissionDenied as e: print('CAP_NET_ADMIN' in str(e))\n"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout == "True\nTrue\nTrue\n", done.stderr
    assert issubclass(PermissionDenied, PermissionError)


def test_a_service_stranger_than_the_model_is_shown(kernel):
    strange = VirtualService.tcp("10.0.0.1", 80, "rr")
    object.__setattr__(strange, "port", 0)  # the kernel takes port 0 without persistence
    raw = netlink.encode(kernel._family, netlink.NEW_SERVICE, 5, 1, service=strange)
    _, answers = kernel._exchange(raw, 1, 1)
    assert answers == {1: (0, "")}
    (status,) = kernel.services()
    assert (status.service.port, status.service.persistence) == (0, 0)
    kernel.delete_service(status.service.key)
    assert kernel.services() == []
