"""A small network in one kernel: a client, two real servers, and the director in between (the namespace we are in).

    client 10.20.0.9 fd20::9 --+-- bridge "lan" 10.20.0.1 fd20::1 (director) --+-- rs1 10.20.0.11 fd20::11
           10.21.0.9 fd21::9 --|-- "far" 10.21.0.1 fd21::1                     +-- rs2 10.20.0.12 fd20::12

The VIPs are 10.20.0.100 and fd20::100 (on the lan, for DR and TUN: the servers answer the client themselves) and
10.21.0.100 and fd21::100 (on the far side, for NAT: the servers answer through the director).
Sockets are opened in a namespace by a thread that enters it; after that any thread may use them.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
VIPS = {("nat", 4): "10.21.0.100", ("nat", 6): "fd21::100", ("lan", 4): "10.20.0.100", ("lan", 6): "fd20::100"}

SCRIPT = """\
set -e
ip link add lan type bridge; ip link set lan up
ip addr add 10.20.0.1/24 dev lan; ip addr add 10.20.0.100/32 dev lan
# preferred_lft 0: never the source of a tunnel's packets, which a server with the same address would drop
ip addr add fd20::1/64 dev lan nodad; ip addr add fd20::100/128 dev lan nodad preferred_lft 0
for host in client rs1 rs2; do
    ip netns add $host
    ip link add $host type veth peer name eth0 netns $host
    ip link set $host master lan up
    ip -n $host link set lo up; ip -n $host link set eth0 up
done
ip link add far type veth peer name eth1 netns client
ip link set far up; ip -n client link set eth1 up
ip addr add 10.21.0.1/24 dev far; ip addr add 10.21.0.100/32 dev far
ip addr add fd21::1/64 dev far nodad; ip addr add fd21::100/128 dev far nodad
ip -n client addr add 10.20.0.9/24 dev eth0; ip -n client addr add fd20::9/64 dev eth0 nodad
ip -n client addr add 10.21.0.9/24 dev eth1; ip -n client addr add fd21::9/64 dev eth1 nodad
modprobe -a ipip sit ip6_tunnel ip_gre fou
number=11
for host in rs1 rs2; do
    ip -n $host addr add 10.20.0.$number/24 dev eth0; ip -n $host addr add fd20::$number/64 dev eth0 nodad
    ip -n $host route add default via 10.20.0.1; ip -n $host -6 route add default via fd20::1
    ip -n $host link add six type ip6tnl mode any local fd20::$number remote fd20::1
    ip netns exec $host sh -c '
        for one in all default eth0 tunl0 six gre0 lo; do
            echo 0 > /proc/sys/net/ipv4/conf/$one/rp_filter
            echo 1 > /proc/sys/net/ipv4/conf/$one/arp_ignore
            echo 2 > /proc/sys/net/ipv4/conf/$one/arp_announce
        done'
    ip -n $host addr add 10.20.0.100/32 dev lo; ip -n $host addr add fd20::100/128 dev lo nodad
    for tunnel in tunl0 sit0 six gre0; do ip -n $host link set $tunnel up; done
    ip -n $host fou add port 6080 gue
    number=$((number + 1))
done
echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
for one in all lan far; do echo 0 > /proc/sys/net/ipv4/conf/$one/send_redirects; done
"""


def build():
    subprocess.run(["bash", "-c", SCRIPT], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def gre_with_checksum():
    """The servers take GRE packets with checksums, and only those: a device takes either kind."""
    for number, host in ((11, "rs1"), (12, "rs2")):
        ends = f"local 10.20.0.{number} remote 10.20.0.1"
        script = (
            f"ip link add sums type gre {ends} csum; ip link set sums up; sysctl -q -w net.ipv4.conf.sums.rp_filter=0"
        )
        subprocess.run(["ip", "netns", "exec", host, "sh", "-ec", script], check=True)
    try:
        yield
    finally:
        for host in ("rs1", "rs2"):
            subprocess.run(["ip", "-n", host, "link", "del", "sums"], check=True)


def tear_down():
    for host in ("client", "rs1", "rs2"):
        subprocess.run(["ip", "netns", "del", host], check=False, capture_output=True)
    for link in ("lan", "far"):
        subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)


def inside(namespace, function):
    """What function() returns when called in the network namespace."""
    result = []

    def run():
        descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            result.append(function())
        except BaseException as error:
            result.append(error)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


class Web:
    """An HTTP server in a namespace, for IPv4 and IPv6, whose page is the namespace's name."""

    def __init__(self, namespace, port=80):
        self.name = namespace
        self.port = port
        self.start()

    def start(self):
        self.listener = inside(self.name, self.listen) if self.name != "director" else self.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def listen(self):
        opened = socket.create_server(("", self.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
        opened.settimeout(0.1)
        return opened

    def serve(self):
        listener = self.listener
        while listener.fileno() >= 0:
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self.answer, args=(peer,)).start()

    def answer(self, peer):
        body = self.name.encode()
        with contextlib.suppress(OSError), peer:
            peer.settimeout(20)
            while peer.recv(4096):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def stop(self):
        self.listener.close()
        self.thread.join()


REQUEST = b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n"


def connect(address, port=80, source=None):
    """A connection from the client's namespace."""

    def run():
        bound = (source, 0) if source else None
        return socket.create_connection((address, port), 5, source_address=bound)

    return inside("client", run)


def ask(connection):
    """The name of the server at the other end."""
    connection.sendall(REQUEST)
    return connection.recv(4096).rpartition(b"\r\n\r\n")[2].decode()


def get(address, port=80, source=None):
    """One request on a connection of its own; "" if there is no answer."""
    try:
        with connect(address, port, source) as connection:
            return ask(connection)
    except OSError:
        return ""
