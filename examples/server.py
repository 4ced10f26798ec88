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
import time
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

from libkv import Store
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
from libkv.server import ListenError, Server, read_config
from libkv.server.configure import put_directive, set_config_file
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

log = logging.getLogger("libkv.server")


class Terminated(Exception):
    """SIGTERM or SIGINT has come."""


def keepkv_version() -> str:
    try:
        return version("keepkv")
    except PackageNotFoundError:
        return "(not installed)"


def bits() -> str:
    return platform.architecture()[0].removesuffix("bit")


def on_signal(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL or on_signal.__dict__.setdefault("seen", False):
        os.write(1, b"You insist... exiting now.\n")
        os._exit(1)
    on_signal.__dict__["seen"] = True
    name = signal.Signals(number).name
    os.write(log_descriptor(), b"%d:signal-handler (%d) Received %s scheduling shutdown...\n"
             % (os.getpid(), int(time.time()), name.encode()))
    raise Terminated
