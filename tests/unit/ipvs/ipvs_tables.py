"""Random tables: hypothesis strategies for services, servers and pools that the kernel would take."""

import socket

from hypothesis import strategies as st

from libipvs.model import Checksum, Forward, Pool, Protocol, RealServer, SyncDaemon, Timeouts, Tunnel, VirtualService

SCHEDULERS = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "fo", "ovf", "sed", "nq", "mh"]

ipv4 = st.tuples(st.integers(1, 200), st.integers(0, 3), st.integers(1, 3)).map(lambda t: f"10.{t[0]}.{t[1]}.{t[2]}")
ipv6 = st.integers(1, 0xFFFF).map(lambda n: f"fd00::{n:x}")
ports = st.integers(1, 65535)
flags = st.frozensets(st.sampled_from(["flag-1", "flag-2", "flag-3"]), max_size=2)
hash_flags = st.frozensets(st.sampled_from(["flag-1", "flag-2"]))  # ipvsadm's save of sh and mh has no word for flag-3


@st.composite
def services(draw, schedulers=SCHEDULERS):
    kind = draw(st.sampled_from(["tcp", "udp", "sctp", "mark"]))
    family = draw(st.sampled_from([socket.AF_INET, socket.AF_INET6]))
    persistence = draw(st.sampled_from([0, 0, 1, 50, 300, 86400]))
    if family == socket.AF_INET6:
        netmask = draw(st.sampled_from([None, 64, 1, 127])) if persistence else None
    else:
        netmask = draw(st.sampled_from([None, "255.255.255.0", 16, "255.0.255.0"])) if persistence else None
    scheduler = draw(st.sampled_from(schedulers))
    options = {
        "scheduler": scheduler,
        "flags": draw(hash_flags if scheduler in ("sh", "mh") else flags),
        "persistence": persistence,
        "netmask": netmask,
    }
    if kind == "mark":
        return VirtualService.fwmark(draw(st.integers(1, 0x7FFFFFFF)), family=family, **options)
    if kind == "udp":
        options["one_packet"] = draw(st.booleans())
    port = draw(ports) if not persistence else draw(st.one_of(st.just(0), ports))
    address = draw(ipv4 if family == socket.AF_INET else ipv6)
    return VirtualService(Protocol(kind), address, port, **options)


@st.composite
def servers(draw, service):
    forward = draw(st.sampled_from([Forward.NAT, Forward.DR, Forward.TUN]))
    tunnel, tunnel_port, checksum, family = Tunnel.IPIP, 0, Checksum.NONE, service.family
    if forward is Forward.TUN:
        tunnel = draw(st.sampled_from(list(Tunnel)))
        family = draw(st.sampled_from([socket.AF_INET, socket.AF_INET6]))
        if tunnel is Tunnel.GUE:
            tunnel_port = draw(ports)
            checksum = draw(st.sampled_from(list(Checksum)))
        elif tunnel is Tunnel.GRE:
            checksum = draw(st.sampled_from([Checksum.NONE, Checksum.FULL]))
    port = service.port
    if forward is Forward.NAT:
        port = draw(ports)
    upper = draw(st.sampled_from([0, 0, 1, 100]))
    return RealServer(
        draw(ipv4 if family == socket.AF_INET else ipv6),
        port,
        forward,
        draw(st.sampled_from([0, 1, 1, 2, 3, 100, 65535])),
        upper,
        draw(st.integers(0, upper)),
        tunnel,
        tunnel_port,
        checksum,
    )


@st.composite
def pools(draw, schedulers=SCHEDULERS, max_servers=5):
    service = draw(services(schedulers))
    chosen = draw(st.lists(servers(service), max_size=max_servers, unique_by=lambda server: server.key))
    return Pool(service, tuple(chosen))


def tables(max_size=5, max_servers=5, schedulers=SCHEDULERS):
    """Lists of pools with distinct keys."""
    return st.lists(pools(schedulers, max_servers), max_size=max_size, unique_by=lambda pool: pool.service.key)


@st.composite
def daemons(draw):
    return SyncDaemon(
        draw(st.sampled_from(["master", "backup"])),
        draw(st.sampled_from(["lo", "eth0", "a-long-name1234"])),
        draw(st.integers(0, 255)),
        draw(st.sampled_from([0, 1, 1400, 65507])),
        draw(st.sampled_from(["", "224.0.0.99", "ff02::99"])),
        draw(st.sampled_from([0, 1, 65535])),
        draw(st.sampled_from([0, 1, 255])),
    )


timeouts = st.builds(Timeouts, *(st.integers(0, 2**31 // 1000 - 1),) * 3)
