"""The model takes what the kernel takes, keeps it in one form, and refuses the rest with a reason."""

import ipaddress
import socket

import pytest
from hypothesis import given
from ipvs_tables import pools

from libipvs.errors import InvalidRequest
from libipvs.model import (
    Change,
    DaemonState,
    Forward,
    Pool,
    Protocol,
    RealServer,
    ServerKey,
    SyncDaemon,
    Timeouts,
    VirtualService,
)


def test_one_form():
    one = VirtualService("tcp", "FD00:0::0001", 443, "sh", flags="sh-port,flag-3", persistence=60, netmask=64)
    assert (one.protocol, one.address, one.netmask) == (Protocol.TCP, "fd00::1", "64")
    assert one.flags == {"flag-2", "flag-3"}
    assert one == VirtualService.tcp(
        ipaddress.ip_address("fd00::1"), 443, "sh", flags=["flag-2", "flag-3"], persistence=60, netmask="64"
    )
    assert VirtualService.tcp("10.0.0.1", 80, persistence=1, netmask=24).netmask == "255.255.255.0"
    assert VirtualService.tcp("10.0.0.1", 80).netmask == "255.255.255.255"
    assert VirtualService.tcp("::ffff:1.2.3.4", 80).address == "::ffff:1.2.3.4"  # as the kernel's text has it
    assert str(one.key) == "TCP [fd00::1]:443"
    assert str(VirtualService.fwmark(7, family=socket.AF_INET6).key) == "FWM 7 IPv6"
    assert RealServer("10.0.0.2", 80, "nat").forward is Forward.NAT
    assert RealServer("10.0.0.2", 80).key == ServerKey("10.0.0.2", 80)


@given(pools())
def test_equal_means_interchangeable(pool):
    again = Pool(pool.service.with_(), tuple(server.with_() for server in pool.servers))
    assert again == pool
    assert hash(again) == hash(pool)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VirtualService.tcp("10.0.0.256", 80), "no IPv4 or IPv6 address"),
        (lambda: VirtualService.tcp("10.1", 80), "no IPv4 or IPv6 address"),
        (lambda: VirtualService.tcp("fe80::1%eth0", 80), "scope"),
        (lambda: VirtualService.tcp("10.0.0.1", 65536), "0 to 65535"),
        (lambda: VirtualService.tcp("10.0.0.1", "80"), "whole number"),
        (lambda: VirtualService.tcp("10.0.0.1", True), "whole number"),
        (lambda: VirtualService.tcp("10.0.0.1", 0), "needs persistence"),
        (lambda: VirtualService("icmp", "10.0.0.1", 1), "tcp, udp, sctp"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, one_packet=True), "UDP only"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, engine="sip", persistence=1), "UDP only"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, scheduler="a" * 16), "15"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, scheduler=""), "15"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, flags=["sh-port"]), "belongs to sh"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, flags=["flag-4"]), "flag-1"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, persistence=-1), "0 to"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, netmask="x"), "prefix length"),
        (lambda: VirtualService.tcp("fd00::1", 80, netmask=129), "1 to 128"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, mark=1), "not both"),
        (lambda: VirtualService.tcp("10.0.0.1", 80, family=socket.AF_INET6), "does not fit"),
        (lambda: VirtualService.fwmark(0), "1 to 4294967295"),
        (lambda: VirtualService.fwmark(1, family=1), "AF_INET"),
        (lambda: VirtualService.fwmark(1, address="10.0.0.1"), "neither address nor port"),
        (lambda: RealServer("10.0.0.2", 80, weight=-1), "0 to"),
        (lambda: RealServer("10.0.0.2", 80, weight=1.5), "whole number"),
        (lambda: RealServer("10.0.0.2", 80, upper=1, lower=2), "above the upper"),
        (lambda: RealServer("10.0.0.2", 80, "bridge"), "nat, local, tun, dr"),
        (lambda: RealServer("10.0.0.2", 80, tunnel="gue"), "need the forwarding method TUN"),
        (lambda: RealServer("10.0.0.2", 80, "tun", tunnel="gue"), "needs its UDP port"),
        (lambda: RealServer("10.0.0.2", 80, "tun", tunnel_port=5), "only a GUE"),
        (lambda: RealServer("10.0.0.2", 80, "tun", checksum="csum"), "no checksum"),
        (lambda: RealServer("10.0.0.2", 80, "tun", tunnel="gre", checksum="remcsum"), "GUE"),
        (lambda: SyncDaemon("master", "lo", 256), "0 to 255"),
        (lambda: SyncDaemon("master", ""), "15"),
        (lambda: SyncDaemon("slave", "lo"), "master, backup"),
        (lambda: SyncDaemon("master", "lo", group="10.0.0.1"), "multicast"),
        (lambda: Timeouts(-1, 0, 0), "0 to"),
    ],
)
def test_refused_with_the_reason(make, words):
    with pytest.raises(InvalidRequest, match=words):
        make()


def test_pool_fits_together():
    web = VirtualService.tcp("10.0.0.1", 80)
    with pytest.raises(InvalidRequest, match="listed twice"):
        Pool(web, (RealServer("10.0.0.2", 80), RealServer("10.0.0.2", 80, "nat")))
    with pytest.raises(InvalidRequest, match="another port"):
        Pool(web, (RealServer("10.0.0.2", 81),))
    with pytest.raises(InvalidRequest, match="another address family"):
        Pool(web, (RealServer("fd00::2", 80, "nat"),))
    mixed = Pool(web, (RealServer("fd00::2", 80, "tun"), RealServer("10.0.0.2", 81, "nat")))
    assert len(mixed.servers) == 2
    assert Pool(VirtualService.fwmark(1), (RealServer("10.0.0.2", 81),)).servers[0].port == 81


def test_changes_read_as_what_they_do():
    web = VirtualService.tcp("10.0.0.1", 80, "rr")
    assert str(Change("add-service", web.key, web)) == "add-service TCP 10.0.0.1:80 -s rr"
    server = RealServer("10.0.0.2", 80, weight=3)
    assert str(Change("add-server", web.key, server=server)) == (
        "add-server TCP 10.0.0.1:80 -> 10.0.0.2:80 dr weight 3"
    )
    assert DaemonState("master") is DaemonState.MASTER
