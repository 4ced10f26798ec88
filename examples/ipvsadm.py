#!/usr/bin/env python3
"""ipvsadm: administer the kernel's load balancer, with the command line and the output of ipvsadm 1.31.

Source: ipvsadm(8) and the output of the real tool, side by side (the system tests do that over random tables).
Deviations: --save keeps what the real one loses (the thresholds -x and -y, flag-3 of the schedulers sh and mh);
firewall marks above 2**31 are printed as they are, not as negative numbers; --help works without IPVS; --restore sends
its lines in batches (2 to 10 times as fast).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import libipvs
from libipvs import Action, Change, Plane, RealServer, ServiceKey, VirtualService
from libipvs.connections import connections
from libipvs.errors import DaemonRefused, InvalidRequest, IpvsError, PartiallyApplied, Refused, Unavailable
from libipvs.model import Checksum, DaemonState, Forward, Protocol, SyncDaemon, Timeouts, Tunnel
from libipvs.text import HEADS, Printer, sorted_table

VERSION = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)"
COMMANDS = {
    "A": "add-service", "E": "edit-service", "D": "delete-service", "C": "clear", "R": "restore", "S": "save",
    "a": "add-server", "e": "edit-server", "d": "delete-server", "L": "list", "l": "list", "Z": "zero",
    "set": "set", "start-daemon": "start-daemon", "stop-daemon": "stop-daemon", "h": "help", "v": "version",
}  # fmt: skip
LONG_COMMANDS = {name: name for name in COMMANDS.values()}
# name: (letter, takes an argument: 0 no, 1 yes, 2 maybe, commands that allow it)
SERVICE_COMMANDS = "add-service edit-service"
SERVER_COMMANDS = "add-server edit-server"
SELECTED = f"{SERVICE_COMMANDS} delete-service {SERVER_COMMANDS} delete-server list zero"
DAEMON = "start-daemon"
OPTIONS = {
    "tcp-service": ("t", 1, SELECTED), "udp-service": ("u", 1, SELECTED), "sctp-service": ("", 1, SELECTED),
    "fwmark-service": ("f", 1, SELECTED), "ipv6": ("6", 0, SELECTED),
    "scheduler": ("s", 1, SERVICE_COMMANDS), "persistent": ("p", 2, SERVICE_COMMANDS),
    "netmask": ("M", 1, SERVICE_COMMANDS), "ops": ("o", 0, SERVICE_COMMANDS),
    "sched-flags": ("b", 1, SERVICE_COMMANDS), "pe": ("", 1, SERVICE_COMMANDS),
    "real-server": ("r", 1, f"{SERVER_COMMANDS} delete-server"),
    "gatewaying": ("g", 0, SERVER_COMMANDS), "ipip": ("i", 0, SERVER_COMMANDS),
    "masquerading": ("m", 0, SERVER_COMMANDS),
    "weight": ("w", 1, SERVER_COMMANDS), "u-threshold": ("x", 1, SERVER_COMMANDS),
    "l-threshold": ("y", 1, SERVER_COMMANDS), "tun-type": ("", 1, SERVER_COMMANDS),
    "tun-port": ("", 1, SERVER_COMMANDS), "tun-nocsum": ("", 0, SERVER_COMMANDS), "tun-csum": ("", 0, SERVER_COMMANDS),
    "tun-remcsum": ("", 0, SERVER_COMMANDS),
    "connection": ("c", 0, "list"), "timeout": ("", 0, "list"), "daemon": ("", 0, "list"), "stats": ("", 0, "list"),
    "rate": ("", 0, "list"), "exact": ("", 0, "list"), "thresholds": ("", 0, "list"),
    "persistent-conn": ("", 0, "list"), "tun-info": ("", 0, "list"), "nosort": ("", 0, "list"),
    "numeric": ("n", 0, "list save"), "sort": ("", 0, " ".join(COMMANDS.values())),
    "syncid": ("", 1, f"{DAEMON} stop-daemon list"), "sync-maxlen": ("", 1, DAEMON),
    "mcast-interface": ("", 1, DAEMON), "mcast-group": ("", 1, DAEMON), "mcast-port": ("", 1, DAEMON),
    "mcast-ttl": ("", 1, DAEMON),
}  # fmt: skip
# Options that stand for one thing, under the name that messages use.
SAME = {"tcp-service": "service-address", "udp-service": "service-address", "sctp-service": "service-address",
        "fwmark-service": "service-address", "gatewaying": "forwarding-method", "ipip": "forwarding-method",
        "masquerading": "forwarding-method", "tun-nocsum": "tun-nocsum", "sort": "sort"}  # fmt: skip
LETTERS = {letter: name for name, (letter, _, _) in OPTIONS.items() if letter}
COMPLAINTS = {"clear": "flush"}
TRY = "Try `ipvsadm -h' or 'ipvsadm --help' for more information."

HELP = """\
Usage:
  ipvsadm -A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] [--pe engine] [-b sched-flags]
  ipvsadm -D virtual-service
  ipvsadm -C
  ipvsadm -R
  ipvsadm -S [-n]
  ipvsadm -a|e virtual-service -r server-address [options]
  ipvsadm -d virtual-service -r server-address
  ipvsadm -L|l [virtual-service] [options]
  ipvsadm -Z [virtual-service]
  ipvsadm --set tcp tcpfin udp
  ipvsadm --start-daemon {master|backup} [daemon-options]
  ipvsadm --stop-daemon {master|backup}
  ipvsadm -h

A virtual service is one of
  -t, --tcp-service HOST[:PORT]    -u, --udp-service HOST[:PORT]    --sctp-service HOST[:PORT]
  -f, --fwmark-service MARK        (with -6, --ipv6 for IPv6 packets)

Of a virtual service: -s, --scheduler NAME (default wlc); -p, --persistent [SECONDS] (default 360); -M, --netmask MASK;
  --pe sip; -o, --ops (one-packet scheduling, UDP); -b, --sched-flags FLAG,... (flag-1..3, sh-fallback, sh-port,
  mh-fallback, mh-port)
Of a real server: -r, --real-server HOST[:PORT]; -g, --gatewaying (default), -i, --ipip, -m, --masquerading;
  -w, --weight N (default 1); -x, --u-threshold N; -y, --l-threshold N; --tun-type ipip|gue|gre; --tun-port N;
  --tun-nocsum, --tun-csum, --tun-remcsum
Of a list: -n, --numeric; -c, --connection; --timeout; --daemon; --stats; --rate; --exact; --thresholds;
  --persistent-conn; --tun-info; --nosort; --sort (the default)
Of a daemon: --mcast-interface IF; --syncid N; --sync-maxlen N; --mcast-group ADDRESS; --mcast-port N; --mcast-ttl N
"""


class Stop(Exception):
    """Ends the command: words for stderr, and the exit status."""

    def __init__(self, words: str, status: int = 2) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


# ---- the command line


@dataclass
class Request:
    command: str
    options: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return name in self.options

    def names(self) -> set[str]:
        return {SAME.get(name, name) for name in self.options}


class Words:
    """The command line, taken option by option."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.left = list(argv)
        self.cluster = ""  # the rest of a word of short options

    def next(self) -> tuple[str, str | None, str]:
        """An option as (name, attached value or None, as written); any other word as ("", None, word)."""
        if not self.cluster:
            word = self.left.pop(0)
            if word.startswith("--") and len(word) > 2:
                name, has_value, value = word[2:].partition("=")
                return name, value if has_value else None, f"--{name}"
            if not word.startswith("-") or len(word) < 2:
                return "", None, word
            self.cluster = word[1:]
        letter, self.cluster = self.cluster[0], self.cluster[1:]
        name = LETTERS.get(letter, letter)
        if OPTIONS.get(name, ("", 0, ""))[1] and self.cluster:
            attached, self.cluster = self.cluster, ""
            return name, attached, f"-{letter}"
        return name, None, f"-{letter}"

    def argument(self, must: bool) -> str | None:
        """The following word, as an option's argument.  One that may be left out does not begin with a dash."""
        if not self.left or self.cluster or (not must and self.left[0].startswith("-")):
            return None
        return self.left.pop(0)

    def __bool__(self) -> bool:
        return bool(self.left or self.cluster)


def parse(argv: Sequence[str]) -> Request:
    """The command and its options.  Raises Stop as the real tool complains."""
    if not argv:
        return Request("list")
    words = Words(argv)
    name, value, _ = words.next()
    command = COMMANDS.get(name) or LONG_COMMANDS.get(name)
    if command is None or value is not None:
        raise Stop(TRY, 255)
    request = Request(command)
    if command in ("start-daemon", "stop-daemon") and not words:
        raise Stop(TRY, 255)
    while words:
        name, value, written = words.next()
        if not name:
            request.arguments.append(written)
            continue
        if name in COMMANDS or name in LONG_COMMANDS:
            raise Stop(f"invalid option `-{name if len(name) == 1 else '-' + name}'")
        if name not in OPTIONS:
            raise Stop(TRY if len(written) == 2 else f"{written}: unknown option", 255)
        wants = OPTIONS[name][1]
        if wants and value is None:
            value = words.argument(wants == 1)
        if wants == 1 and value is None:
            raise Stop(f"{written}: missing argument", 255)
        if name == "ipv6" and "fwmark-service" not in request.options:
            raise Stop("-6 used before -f\n")
        meaning = SAME.get(name, name)
        if meaning in request.names() and name not in ("sort", "ipv6"):
            raise Stop(f"multiple '{meaning}' options specified")
        request.options[name] = value or ""
    check(request)
    return request


def check(request: Request) -> None:
    """Which options each command allows and needs."""
    command, names = request.command, request.names()
    expected = {"set": 3, "start-daemon": 1, "stop-daemon": 1}.get(command, 0)
    if command == "set" and len(request.arguments) != 3:
        raise Stop("--set option requires 3 timeout values")
    if len(request.arguments) > expected:
        raise Stop(f"unexpected argument {request.arguments[expected]}")
    needs = {"service-address": f"{SERVICE_COMMANDS} delete-service {SERVER_COMMANDS} delete-server",
             "real-server": f"{SERVER_COMMANDS} delete-server"}  # fmt: skip
    for need, commands in needs.items():
        if command in commands.split() and need not in names:
            raise Stop(f"You need to supply the '{need}' option for the '{command}' command")
    for name, (_, _, commands) in OPTIONS.items():
        if name in request.options and command not in commands.split():
            raise Stop(f"Illegal '{SAME.get(name, name)}' option with the '{COMPLAINTS.get(command, command)}' command")
    if command == "list":
        check_list(request)


def check_list(request: Request) -> None:
    modes = [name for name in ("connection", "timeout", "daemon") if request.has(name)]
    if len(modes) > 1:
        raise Stop(f"The option '{modes[1]}' conflicts with the '{modes[0]}' option in the 'list' command")
    shapes = [name for name in ("stats", "rate", "thresholds", "persistent-conn", "tun-info") if request.has(name)]
    if modes and "service-address" in request.names():
        first, second = (
            ("connection", "service-address")[::-1] if modes == ["connection"] else (modes[0], "service-address")
        )
        raise Stop(f"The option '{first}' conflicts with the '{second}' option in the 'list' command")
    if modes and [shape for shape in shapes if (modes[0], shape) != ("connection", "persistent-conn")]:
        raise Stop("options conflicts in the list command")


def number(text: str, low: int, high: int, complaint: str) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Stop(complaint)
    return int(text)


def host_and_port(text: str, protocol: str, what: str) -> tuple[str, int]:
    """HOST, HOST:PORT, or [IPv6]:PORT, or IPv6; names are resolved."""
    complaint = f"illegal {what} address[:port] specified"
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or not rest.startswith(":"):
            raise Stop(complaint)
        port = rest[1:]
    elif text.count(":") > 1:
        host, port = text, "0"
    else:
        host, _, port = text.partition(":")
        port = port if ":" in text else "0"
    try:
        where = int(port) if port.isdigit() else socket.getservbyname(port, protocol)
        address = resolve(host)
    except OSError:
        raise Stop(complaint) from None
    if not 0 <= where <= 65535:
        raise Stop(complaint)
    return address, where


def resolve(host: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, host))
        except OSError:
            continue
    return str(socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0])


def service_key(request: Request) -> ServiceKey:
    for protocol in Protocol:
        name = f"{protocol}-service"
        if request.has(name):
            address, port = host_and_port(request.options[name], protocol, "virtual server")
            return ServiceKey(protocol, address, port, 0, socket.AF_INET6 if ":" in address else socket.AF_INET)
    text = request.options["fwmark-service"]
    mark = number(text, 1, 0xFFFFFFFF, f"invalid fwmark value `{text}' specified")
    return ServiceKey(None, "", 0, mark, socket.AF_INET6 if request.has("ipv6") else socket.AF_INET)


def service_of(request: Request) -> VirtualService:
    key, options = service_key(request), request.options
    scheduler = options.get("scheduler", "wlc")
    persistence = 0
    if "persistent" in options:
        text = options["persistent"] or "360"
        persistence = number(text, 1, 31 * 24 * 3600, f"invalid timeout value `{text}' specified")
    if key.protocol is not None and key.port == 0 and not persistence:
        raise Stop("Zero port specified for non-persistent service")
    if "ops" in options and key.protocol not in (None, Protocol.UDP):
        raise Stop("One-Packet Scheduling is only for UDP virtual services")
    if len(scheduler) > 15 or len(options.get("pe", "")) > 15:
        raise Stop("Scheduler or persistence engine not found", 255)
    return VirtualService(
        key.protocol, key.address, key.port, scheduler, sched_flags(options.get("sched-flags", ""), scheduler),
        persistence, netmask(options.get("netmask"), key.family), options.get("pe", ""), "ops" in options, key.mark,
        key.family,
    )  # fmt: skip


def sched_flags(text: str, scheduler: str) -> frozenset[str]:
    for name in filter(None, text.split(",")):
        if name not in ("flag-1", "flag-2", "flag-3", "sh-fallback", "sh-port", "mh-fallback", "mh-port"):
            raise Stop(f"invalid scheduler flag `{name}'")
        if not name.startswith("flag-") and name[:2] != scheduler:
            raise Stop(f"incompatible scheduler flag `{name}'")
    return frozenset(filter(None, text.split(",")))


def netmask(text: str | None, family: int) -> str:
    if text is None:
        return ""
    if family == socket.AF_INET6:
        return str(number(text, 1, 128, "illegal ipv6 netmask specified"))
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        raise Stop("illegal virtual server persistent mask specified") from None


def server_of(request: Request, key: ServiceKey) -> RealServer:
    options = request.options
    protocol = key.protocol or Protocol.TCP
    address, port = host_and_port(options["real-server"], protocol, "real server")
    forward = Forward.NAT if "masquerading" in options else Forward.TUN if "ipip" in options else Forward.DR
    port = port or key.port
    if request.command == "delete-server":
        return RealServer(address, port)
    if key.protocol is not None and forward is not Forward.NAT:
        port = key.port  # what is only routed or tunnelled keeps its port, whatever was asked for
    if (":" in address) != (key.family == socket.AF_INET6) and forward is not Forward.TUN:
        raise Stop("Different address family is allowed only for tunneling servers")
    weight = number(options.get("weight", "1"), 0, 0x7FFFFFFF, "illegal weight specified")
    upper = number(options.get("u-threshold", "0"), 0, 0x7FFFFFFF, "illegal u_threshold specified")
    lower = number(options.get("l-threshold", "0"), 0, 0x7FFFFFFF, "illegal l_threshold specified")
    if lower > upper:
        raise Stop("Numerical result out of range", 255)
    return RealServer(address, port, forward, weight, upper, lower, *tunnel_of(request))


def tunnel_of(request: Request) -> tuple[Tunnel, int, Checksum]:
    given = [name for name in request.options if name.startswith("tun-")]
    if given and not request.has("ipip"):
        raise Stop("Tunnel options conflict with forward method")
    kind = request.options.get("tun-type", "ipip")
    if kind not in list(Tunnel):
        raise Stop("illegal tunnel type specified")
    allowed = {
        "ipip": [],
        "gre": ["tun-nocsum", "tun-csum"],
        "gue": ["tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"],
    }
    for name in given:
        if name != "tun-type" and name not in allowed[kind]:
            raise Stop(f"Illegal '{name}' option with the '{kind}' tunnel type")
    if kind == "gue" and "tun-port" not in given:
        raise Stop("You need to supply the 'tun-port' option for the 'gue' tunnel type")
    port = number(request.options["tun-port"], 1, 65535, "illegal tunnel port specified") if kind == "gue" else 0
    checksum = Checksum.FULL if "tun-csum" in given else Checksum.REMOTE if "tun-remcsum" in given else Checksum.NONE
    return Tunnel(kind), port, checksum


def change_of(request: Request) -> Change | None:
    """The change a command asks for; None if it is no change of the table."""
    command = request.command
    if command in ("add-service", "edit-service"):
        service = service_of(request)
        return Change(Action(command), service.key, service)
    if command == "delete-service":
        return Change(Action.DELETE_SERVICE, service_key(request))
    if command in ("add-server", "edit-server", "delete-server"):
        key = service_key(request)
        return Change(Action(command), key, server=server_of(request, key))
    return None


def daemon_of(request: Request) -> SyncDaemon:
    if not request.arguments or request.arguments[0] not in ("master", "backup"):
        raise Stop("illegal start-daemon parameter specified")
    options = request.options
    group = options.get("mcast-group", "")
    if group and not (group.lower().startswith("ff") if ":" in group else 224 <= int(group.split(".")[0] or 0) < 240):
        raise Stop(f"invalid {'IPv6' if ':' in group else 'IPv4'} mcast-group `{group}'")
    return SyncDaemon(
        DaemonState(request.arguments[0]),
        options.get("mcast-interface") or "-",
        number(options.get("syncid", "0"), 0, 255, "illegal syncid specified"),
        number(options["sync-maxlen"], 1, 65507, "illegal sync-maxlen specified") if "sync-maxlen" in options else 0,
        group,
        number(options["mcast-port"], 1, 65535, "illegal mcast-port specified") if "mcast-port" in options else 0,
        number(options["mcast-ttl"], 1, 255, "illegal mcast-ttl specified") if "mcast-ttl" in options else 0,
    )


# ---- printing


def list_text(plane: Plane, request: Request) -> Iterator[str]:
    printer = Printer(request.has("numeric"), request.has("exact"))
    if request.has("connection"):
        engine = request.has("persistent-conn")
        yield "IPVS connection entries"
        head = "pro expire state       source             virtual            destination"
        yield head + ("        pe name          pe_data" if engine else "")
        yield from (printer.connection(entry, engine) for entry in connections())
        return
    if request.has("timeout"):
        timeouts = plane.timeouts()
        yield f"Timeout (tcp tcpfin udp): {timeouts.tcp} {timeouts.tcp_fin} {timeouts.udp}"
        return
    if request.has("daemon"):
        for daemon in plane.daemons():
            yield (
                f"{daemon.state} sync daemon (mcast={daemon.interface}, syncid={daemon.sync_id}, "
                f"maxlen={daemon.max_length}, group={daemon.group}, port={daemon.port}, ttl={daemon.ttl})"
            )
        return
    shape = next(
        (name for name in ("stats", "rate", "thresholds", "persistent-conn", "tun-info") if request.has(name)), ""
    )
    if "service-address" in request.names():
        try:
            table = [plane.service(service_key(request))]
        except Refused:
            raise Stop("No such service", 1) from None
    else:
        info = plane.info()
        yield f"IP Virtual Server version {'.'.join(map(str, info.version))} (size={info.table_size})"
        table = plane.table()
    yield HEADS[shape]
    for status in table if request.has("nosort") else sorted_table(table):
        yield printer.service(status, shape)
        protocol = status.service.protocol
        yield from (printer.server(entry, shape, protocol) for entry in status.servers)


# ---- doing it


def kernel_words(error: IpvsError) -> str:
    """The real tool's words for a refusal."""
    if isinstance(error, DaemonRefused):
        return {errno.EEXIST: "Daemon has already run", errno.ESRCH: "No daemon is running"}.get(
            error.errno, general_words(error.errno)
        )
    if not isinstance(error, Refused):
        return str(error)
    server = error.change is not None and error.change.server is not None
    words = {
        errno.EEXIST: "Destination already exists" if server else "Service already exists",
        errno.ENOENT: "No such destination" if server else "Scheduler or persistence engine not found",
        errno.ESRCH: "Service not defined" if server else "No such service",
    }
    return words.get(error.errno) or general_words(error.errno)


def general_words(number: int) -> str:
    if number == errno.EINVAL:
        return "Invalid operation.  Possibly wrong module version, address not unicast, ..."
    return os.strerror(number)


def apply(plane: Plane, changes: Sequence[Change]) -> int:
    """Make them all, past refusals, which are told.  Returns the status of the last one."""
    status = 0
    while changes:
        last = changes[-1]
        try:
            plane.apply(changes)
            return 0
        except PartiallyApplied as partial:
            refused = [change for change, _ in partial.failures]
            for _, error in partial.failures:
                print(kernel_words(error), file=sys.stderr)
            changes = [change for change in partial.pending if change not in refused]
            status = 255 if last in refused else 0
        except Refused as error:
            print(kernel_words(error), file=sys.stderr)
            return 255
    return status


def restore(plane: Plane, lines: Iterable[str]) -> int:
    """Run the lines: changes are gathered and sent together, in their order."""
    gathered: list[Change] = []
    status = 0
    try:
        for line in lines:
            words = line.split()
            if words[:1] == ["ipvsadm"]:
                del words[0]
            if not words:
                continue
            request = parse(words)
            change = change_of(request)
            if change is not None:
                gathered.append(change)
                continue
            apply(plane, gathered)
            gathered = []
            status = run(plane, request)
    except (Stop, InvalidRequest):
        apply(plane, gathered)
        raise
    return apply(plane, gathered) if gathered else status


def run(plane: Plane, request: Request) -> int:
    command = request.command
    change = change_of(request)
    if change is not None:
        return apply(plane, [change])
    if command == "list":
        for line in list_text(plane, request):
            print(line)
    elif command == "save":
        printer = Printer(request.has("numeric"))
        for status in sorted_table(plane.table()):
            print("\n".join(printer.save(status)))
    elif command == "clear":
        plane.flush()
    elif command == "zero":
        plane.zero(service_key(request) if "service-address" in request.names() else None)
    elif command == "set":
        values = [
            number(text, 0, 2**31 // 1000, f"invalid timeout value `{text}' specified") for text in request.arguments
        ]
        plane.set_timeouts(Timeouts(*values))
    elif command == "start-daemon":
        plane.start_daemon(daemon_of(request))
    elif command == "stop-daemon":
        if not request.arguments or request.arguments[0] not in ("master", "backup"):
            raise Stop("illegal start_daemon specified")
        plane.stop_daemon(DaemonState(request.arguments[0]))
    elif command == "restore":
        return restore(plane, sys.stdin)
    return 0


def main(argv: Sequence[str]) -> int:
    try:
        request = parse(argv)
        if request.command in ("help", "version"):
            print(VERSION)
            print(HELP if request.command == "help" else "", end="")
            return 0
        with libipvs.open("kernel") as plane:
            return run(plane, request)
    except Stop as stop:
        print(stop.words, file=sys.stderr)
        return stop.status
    except InvalidRequest as error:
        print(error, file=sys.stderr)
        return 2
    except Unavailable as error:
        print(f"Can't initialize ipvs: {error}", file=sys.stderr)
        return 2
    except IpvsError as error:
        print(kernel_words(error), file=sys.stderr)
        return 255


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        sys.exit(1)
