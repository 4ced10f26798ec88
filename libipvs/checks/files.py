"""Tells when files change, by inotify: a FILE_CHECK is asked at once, and not only at its next turn.

The directory is watched, not the file: it may not be there yet, and is often replaced by renaming.  A directory that is
missing, or a kernel that gives no more watches, costs only the promptness: the check's own loop reads the file anyway.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("libipvs.checks")

IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE, IN_Q_OVERFLOW = 0x8, 0x40, 0x80, 0x200, 0x4000
CHANGES = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE
HEAD = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
READ = 65536

Call = Callable[[], None]


class FileChanges:
    """Calls back when a file was written and closed, replaced or removed.  read() is due when `descriptor` can be read.

    Raises OSError if the kernel gives no inotify instance.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._calls: dict[tuple[int, bytes], list[Call]] = {}

    def follow(self, path: Path, call: Call) -> Call:
        """Call from now on; what is returned ends it.  A path that can't be followed is logged."""
        directory = os.fsencode(path.parent)
        watch: int = self._libc.inotify_add_watch(self.descriptor, directory, CHANGES)
        if watch < 0:
            number = ctypes.get_errno()
            level = logging.DEBUG if number == errno.ENOENT else logging.WARNING
            log.log(level, "%s is read in its turn only: cannot watch its directory: %s", path, os.strerror(number))
            return lambda: None
        key = (watch, os.fsencode(path.name))
        self._calls.setdefault(key, []).append(call)

        def end() -> None:
            calls = self._calls.get(key, [])
            if call in calls:
                calls.remove(call)
            if not calls:
                self._calls.pop(key, None)
            if all(other != watch for other, _ in self._calls):
                self._libc.inotify_rm_watch(self.descriptor, watch)

        return end

    def read(self) -> None:
        """Make the calls that are due, each once."""
        try:
            data = os.read(self.descriptor, READ)
        except BlockingIOError:
            return
        due: dict[Call, None] = {}
        at = 0
        while at + HEAD.size <= len(data):
            watch, mask, _, length = HEAD.unpack_from(data, at)
            at += HEAD.size
            name = data[at : at + length].rstrip(b"\0")
            at += length
            lost = mask & IN_Q_OVERFLOW
            for key, calls in self._calls.items():
                if lost or key == (watch, name):
                    due.update(dict.fromkeys(calls))
        for call in due:
            call()

    def close(self) -> None:
        os.close(self.descriptor)
