#!/usr/bin/env python3
"""A Redis-compatible server: redis-server's command line and redis.conf in front of libkv.

The store, the network and the configuration are libraries; this program reads its arguments, writes the log, answers
signals, and puts the parts together.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
import threading
from types import FrameType

from libkv import Store, __version__
from libkv.configfile import (
    CommandLine,
    ConfigFileError,
    ConfigFileMissing,
    Line,
    apply,
    parse_command_line,
    read_command_line,
    without_effect,
)
from libkv.errors import StoreFilesError
from libkv.persistence import opening
from libkv.server import ListenError, Server
from libkv.server.configure import check_user, define_users, load_users, put_directive, read_config, set_config_file
from libkv.server.daemon import (
    daemonize,
    find_supervisor,
    process_title,
    raise_open_files,
    remove_pidfile,
    set_process_title,
    tell_supervisor,
    write_pidfile,
)
from libkv.server.log import open_log

USAGE = """\
Usage: server.py [/path/to/redis.conf] [options] [-]
       server.py - (configuration from standard input)
       server.py -v or --version
       server.py -h or --help

An option is a directive of redis.conf with two dashes in front; it comes after the file, so it wins.

Examples:
       server.py (default configuration)
       echo 'maxmemory 128mb' | server.py -
       server.py /etc/redis/6379.conf
       server.py --port 7777
       server.py --port 7777 --unixsocket /tmp/kv.sock
       server.py --metrics-port 9121 (figures for Prometheus, at 127.0.0.1; HOST:9121 for another address)
       server.py --skip-unsupported (loads what it can of the files, passes over what it can't hold and logs it)
       server.py /etc/myredis.conf --loglevel verbose -
       server.py /etc/myredis.conf --loglevel verbose
"""

BANNER = r"""
      _______
     /______/|      keepkv {version} (Redis 7.0.15) {bits} bit
    |  key  ||
    |-------||      Running in standalone mode
    | value ||      Port: {port}
    |-------||      PID: {pid}
    |  ttl  ||
    |_______|/
"""

SKIP = "--skip-unsupported"

log = logging.getLogger("libkv.server")


class Stop:
    """What a signal asks for; handlers only note it down."""

    asked = False
    loaded = False  # before that there is nothing to be saved
    server: Server | None = None

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM, SIGINT: the first one ends the server in order, another one at once."""
        if self.asked:
            log.warning("You insist... exiting now.", extra={"from_signal": True})
            os._exit(1)
        self.asked = True
        log.warning("Received %s scheduling shutdown...", signal.Signals(number).name, extra={"from_signal": True})
        if self.server is not None and self.loaded:
            directive = "shutdown-on-sigint" if number == signal.SIGINT else "shutdown-on-sigterm"
            words = self.server.store.config_get(directive)[
                directive
            ].split()  # "now": there are no replicas to wait for
            if opening.prepare_shutdown(self.server.store, "save" in words, "nosave" in words, "force" in words):
                self.server.end()
            else:
                self.asked = False
                log.warning(
                    "%s received but errors trying to shut down the server, check the logs for more information",
                    signal.Signals(number).name,
                )


def bits() -> str:
    return platform.architecture()[0].removesuffix("bit")


def load(command_line: CommandLine) -> tuple[Store, list[Line]]:
    """A store with everything set that the file, standard input and the options say."""
    lines = read_command_line(command_line, sys.stdin.buffer.read() if command_line.stdin else b"")
    counts = [line.args[0] for line in lines if line.name == "databases" and len(line.args) == 1]
    # a count that can't be is left to the directive's own check
    wanted = int(counts[-1]) if counts and counts[-1].isdigit() and 0 < int(counts[-1]) < 1 << 31 else 16
    store = Store(databases=wanted)
    file = command_line.file and os.path.abspath(command_line.file)
    others = apply(lines, lambda name, words: put_directive(store, name, words))
    check_users(store, [line for line in others if line.name == "user"])
    if file:
        set_config_file(store, os.fsencode(file))
    return store, lines


def check_users(store: Store, lines: list[Line]) -> None:
    """Raises ConfigFileError for a `user` line that can't be."""
    seen = set()
    for line in lines:
        name = line.args[0]
        why = check_user(store, list(line.args))
        if name in seen:
            why = "Duplicate user found. A user can only be defined once in config files"
        seen.add(name)
        if why is not None:
            raise ConfigFileError(f"Error in user declaration '{name.decode('utf-8', 'replace')}': {why}", line)


def make_users(store: Store, config: dict[str, str], lines: list[Line]) -> bool:
    """The users of redis.conf or of the ACL file; False: it is logged what is wrong."""
    declarations = [list(line.args) for line in lines if line.name == "user"]
    if declarations and config["aclfile"]:
        log.warning(
            "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. "
            "This setup is very likely to lead to configuration errors and security holes, please define either an ACL "
            "file or declare users directly in your redis.conf, but not both."
        )
        return False
    why, off = define_users(store, declarations)
    if why is not None:
        log.warning("%s", why)
        log.warning("Critical error while loading ACLs. Exiting.")
        return False
    for name in off:
        log.info(
            "The user '%s' is disabled (there is no 'on' modifier in the user description). "
            "Make sure this is not a configuration error.",
            name,
        )
    why = load_users(store) if config["aclfile"] else None
    if why is not None:
        log.warning("Aborting Redis startup because of ACL errors: %s", why)
    return why is None


def prepare(config: dict[str, str], has_file: bool) -> tuple[str, str]:
    """Log, supervisor, background, PID file: returns (supervisor, PID file)."""
    syslog = (config["syslog-ident"], config["syslog-facility"]) if config["syslog-enabled"] == "yes" else None
    try:
        formatter = open_log(config["logfile"], config["loglevel"], syslog=syslog)
    except OSError as error:
        raise ConfigFileError(f"Can't open the log file: {error.strerror}") from None
    supervisor = find_supervisor(config["supervised"])
    if config["daemonize"] == "yes" and not supervisor:
        daemonize()
    log.warning("libkv is starting")
    log.warning("libkv version=%s, Redis 7.0.15, bits=%s, pid=%d, just started", __version__, bits(), os.getpid())
    if has_file:
        log.warning("Configuration loaded")
    else:
        log.warning(
            "Warning: no config file specified, using the default config. "
            "In order to specify a config file use %s /path/to/redis.conf",
            sys.argv[0],
        )
    pidfile = config["pidfile"] or ("/var/run/redis.pid" if config["daemonize"] == "yes" else "")
    if pidfile:
        try:
            write_pidfile(pidfile)
        except OSError as error:
            log.warning("Failed to write PID file: %s", error.strerror)
            pidfile = ""
    formatter.role = "M"
    return supervisor, pidfile


def announce(config: dict[str, str], lines: list[Line], server: Server) -> None:
    """Title, banner, and what is worth knowing at start."""
    if config["set-proc-title"] == "yes":
        words = config["bind"].split()
        listen = f"{words[0].removeprefix('-')}:{server.port}" if server.port and words else config["unixsocket"]
        template = config["proc-title-template"]
        set_process_title(
            process_title(template, "libkv-server", listen, server.port, server.tls_port, config["unixsocket"])
        )
    chosen = any(line.name == "always-show-logo" for line in lines)
    if (
        config["always-show-logo"] == "yes"
        or (not chosen and not config["logfile"])
        or (not config["logfile"] and sys.stdout.isatty())
    ):
        banner = BANNER.format(version=__version__, bits=bits(), port=server.port, pid=os.getpid())
        log.info(banner, extra={"raw": True})
    else:
        log.info("Running mode=standalone, port=%d.", server.port)
    log.warning("Server initialized")
    for name, why in without_effect(lines):
        log.info("%s has no effect: %s", name, why)


def load_data(store: Store, stop: Stop, skip_unsupported: bool) -> bool:
    """Loads what the configuration names, in a thread: signals are answered meanwhile, a terminal sees how far it is.

    False: it can't be loaded."""
    failures: list[StoreFilesError] = []

    def work() -> None:
        try:
            opening.start(store, skip_unsupported=skip_unsupported)
        except StoreFilesError as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="load", daemon=True)
    thread.start()
    shown = False
    while thread.is_alive():
        thread.join(0.5)
        done, total = opening.progress(store)
        if thread.is_alive() and sys.stderr.isatty() and total:
            shown = True
            sys.stderr.write(f"\rLoading: {100 * done // total:3d}% of {total / 1e6:,.1f} MB")
            sys.stderr.flush()
        if stop.asked:
            log.warning("Stopped while loading: no file has been changed.")
            os._exit(0)
    if shown:
        sys.stderr.write("\r\x1b[K")
    if failures:
        log.warning("Fatal error loading the DB: %s. Exiting.", failures[0].args[-1])
        return False
    stop.loaded = True
    return True


def take_metrics_port(arguments: list[str]) -> tuple[list[str], tuple[str, int] | None]:
    """The arguments without --metrics-port, and the address that it names; ConfigFileError when that is none."""
    if "--metrics-port" not in arguments:
        return arguments, None
    at = arguments.index("--metrics-port")
    host, _, port = arguments[at + 1].rpartition(":") if at + 1 < len(arguments) else ("", "", "")
    if not port.isdigit() or int(port) > 65535:
        raise ConfigFileError("--metrics-port needs a port (0 to 65535), or an address and a port: 127.0.0.1:9121")
    return arguments[:at] + arguments[at + 2 :], (host or "127.0.0.1", int(port))


def serve_metrics(store: Store, where: tuple[str, int]) -> bool:
    """Answers Prometheus from now on; False: it is logged why not."""
    host, port = where
    try:
        from libkv.server.metrics import MetricsServer
    except ImportError:
        log.warning("--metrics-port needs prometheus-client: pip install 'keepkv[metrics]'")
        return False
    try:
        metrics = MetricsServer(store, port, host).start()
    except OSError as error:
        log.warning("Failed listening for metrics at %s:%d: %s", host, port, error.strerror)
        return False
    log.info("Metrics are served at http://%s:%d/metrics", host, metrics.port)
    return True


def serve(
    store: Store,
    lines: list[Line],
    has_file: bool,
    stop: Stop,
    metrics: tuple[str, int] | None = None,
    skip_unsupported: bool = False,
) -> int:
    """Runs the server until SHUTDOWN or a signal; the exit status."""
    config = read_config(store)
    supervisor, pidfile = prepare(config, has_file)
    if config["port"] == "0" and config["tls-port"] == "0" and not config["unixsocket"]:
        log.warning("Configured to not listen anywhere, exiting.")
        return 1
    if not make_users(store, config, lines):
        return 1
    room, notes = raise_open_files(int(config["maxclients"]))
    for note in notes:
        log.warning(note)
    put_directive(store, "maxclients", [str(room)])
    opening.announce_loading(store)
    try:
        server = stop.server = Server.from_config(store).start()
    except ListenError as error:
        if error.where.startswith("/"):
            log.warning("Failed opening Unix socket: %s", error.where)
        else:
            log.warning("Warning: Could not create server TCP listening socket %s", error.where)
            log.warning("Failed listening on port %s (TCP), aborting.", config["port"])
        return 1
    except ValueError as error:
        log.warning("Failed to configure TLS. %s", error)
        return 1
    announce(config, lines, server)
    if metrics is not None and not serve_metrics(store, metrics):
        server.stop()
        return 1
    if not load_data(store, stop, skip_unsupported):
        server.stop()
        return 0 if stop.asked else 1
    if config["unixsocket"]:
        log.info("The server is now ready to accept connections at %s", config["unixsocket"])
    log.info("Ready to accept connections")
    tell_supervisor(supervisor, "STATUS=Ready to accept connections")
    tell_supervisor(supervisor, "READY=1")
    # a signal that comes right before wait() goes to sleep does not wake it: Python's handler runs when it is back
    while not stop.asked and not server.wait(1):
        pass
    tell_supervisor(supervisor, "STOPPING=1")
    server.stop()
    broken = bool(opening.state(store)["fatal"])
    if pidfile:
        log.info("Removing the pid file.")
        remove_pidfile(pidfile)
    log.warning("libkv is now ready to exit, bye bye...")
    return 1 if broken else 0


def main(arguments: list[str]) -> int:
    """The program; returns its exit status."""
    try:
        arguments, metrics = take_metrics_port(arguments)
        skip_unsupported = SKIP in arguments
        arguments = [word for word in arguments if word != SKIP]
    except ConfigFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    command_line = parse_command_line(arguments)
    if command_line.action == "version":
        print(f"libkv server v={__version__} redis=7.0.15 bits={bits()} python={platform.python_version()}")
        return 0
    if command_line.action == "help":
        sys.stderr.write(USAGE)
        return 1
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.on_signal)
    signal.signal(signal.SIGINT, stop.on_signal)
    try:
        if command_line.sentinel:
            raise ConfigFileError("server.py serves a store; Sentinel is a program of its own")
        store, lines = load(command_line)
        has_file = bool(command_line.file or command_line.stdin or command_line.options)
        return serve(store, lines, has_file, stop, metrics, skip_unsupported)
    except ConfigFileMissing as error:
        open_log("", "notice")
        log.warning("%s", error)
    except ConfigFileError as error:
        sys.stderr.write(f"\n{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
