"""The server's log: lines of threads without the GIL brought to Python's logging, and redis-server's line format.

The loggers are "libkv.server" and its children; an application decides what becomes of them (nothing, by default).
redis-server's levels map to logging's: debug 10, verbose 15, notice 20, warning 30.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

VERBOSE = 15
#: redis-server's levels, least important first, as logging's.
LEVELS = {"debug": logging.DEBUG, "verbose": VERBOSE, "notice": logging.INFO, "warning": logging.WARNING}
#: The same by number: the C side's levels.
LEVEL_NUMBERS = tuple(LEVELS.values())
_MARKS = ((logging.WARNING, "#"), (logging.INFO, "*"), (VERBOSE, "-"), (0, "."))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

#: Whether the process is a server's own (open_log): then the store's loglevel is the logger's too.
_follows_loglevel = False

logger = logging.getLogger("libkv.server")
logger.addHandler(logging.NullHandler())


class RedisFormatter(logging.Formatter):
    """Lines as redis-server writes them: ``PID:M 22 Nov 2026 13:00:00.123 * message``.

    role: a letter behind the PID: M a master, S a replica, C a start-up (or child) process, X a Sentinel.
    A record with `raw` is written as it is, one with `from_signal` as redis-server writes in its signal handler.
    """

    def __init__(self, role: str = "M") -> None:
        super().__init__()
        self.role = role

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, "raw", False):
            return record.getMessage()
        if getattr(record, "from_signal", False):
            return f"{os.getpid()}:signal-handler ({int(record.created)}) {record.getMessage()}"
        t = time.localtime(record.created)
        mark = next(mark for level, mark in _MARKS if record.levelno >= level)
        ms = int(record.created * 1000) % 1000
        day = f"{t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year}"
        clock = f"{day} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{ms:03d}"
        return f"{os.getpid()}:{self.role} {clock} {mark} {record.getMessage()}"


def open_log(logfile: str, level: str, *, syslog: tuple[str, str] | None = None) -> RedisFormatter:
    """Sends the server's log where redis.conf says; returns the formatter, whose role may change.

    logfile: a path that is appended to (and opened anew when it has been moved away), "" for standard output.
    level: the least important level that is written.  syslog: (ident, facility), or None.  OSError: the file can't be
    opened.
    """
    global _follows_loglevel
    _follows_loglevel = True
    formatter = RedisFormatter("C")
    handler: logging.Handler
    handler = logging.handlers.WatchedFileHandler(logfile) if logfile else logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    if syslog is not None:
        ident, facility = syslog
        to_syslog = logging.handlers.SysLogHandler("/dev/log", facility=facility)
        to_syslog.ident = f"{ident}[{os.getpid()}]: "
        logger.addHandler(to_syslog)
    logger.propagate = False
    logger.setLevel(LEVELS[level])
    return formatter


class LogSource(Protocol):
    """What the pump reads from: libkv.server.server.NativeServer."""

    @property
    def log_fd(self) -> int: ...

    @property
    def end_fd(self) -> int: ...

    @property
    def log_level(self) -> int: ...

    def take_log(self) -> list[tuple[int, int, str]]: ...


class LogPump(threading.Thread):
    """Hands a server's lines to logging until the server has ended; then calls `ended`."""

    def __init__(self, source: LogSource, ended: Callable[[], None]) -> None:
        super().__init__(name="kv-log", daemon=True)
        self._source = source
        self._ended = ended

    def run(self) -> None:
        ready: list[int] = []
        while self._source.end_fd not in ready:
            ready = select.select([self._source.log_fd, self._source.end_fd], [], [])[0]
            self.pass_on()
        self._ended()

    def pass_on(self) -> None:
        """Logs all lines that wait, with their own times."""
        if _follows_loglevel:
            logger.setLevel(LEVEL_NUMBERS[self._source.log_level])
        for level, when_ms, text in self._source.take_log():
            number = LEVEL_NUMBERS[level]
            if logger.isEnabledFor(number):
                record = logger.makeRecord(logger.name, number, "", 0, text, (), None)
                record.created = when_ms / 1000
                record.msecs = when_ms % 1000
                logger.handle(record)
