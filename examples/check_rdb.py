#!/usr/bin/env python3
"""Checks an RDB file in the manner of redis-check-rdb: every byte is looked at, nothing is loaded.

    check_rdb.py [--skip-unsupported] dump.rdb

Exit status 0: the file is good; 1: it is not, and the output says where.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TextIO

from libkv import __version__
from libkv.errors import RdbFileError
from libkv.persistence.records import Reader

USAGE = "Usage: check_rdb.py [--skip-unsupported] <rdb-file-name>"
BAR = 40  # characters
REDRAW = 0.1  # seconds


class Progress:
    """A bar on standard error when that is a terminal."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.total = total
        self.out = out
        self.shown = total > 0 and out.isatty()
        self.drawn_at = 0.0

    def show(self, done: int) -> None:
        now = time.monotonic()
        if self.shown and now - self.drawn_at >= REDRAW:
            self.drawn_at = now
            part = min(done / self.total, 1)
            bar = "#" * int(part * BAR)
            self.out.write(f"\r[{bar:<{BAR}}] {part:4.0%}  {done / 2**20:.0f} of {self.total / 2**20:.0f} MB")
            self.out.flush()

    def clear(self) -> None:
        if self.shown and self.drawn_at:
            self.out.write("\r" + " " * (BAR + 40) + "\r")
            self.out.flush()
            self.drawn_at = 0.0


class Check:
    """One file's check: what has been seen, and what is printed of it."""

    def __init__(self, path: str, skip_unsupported: bool) -> None:
        self.path = path
        self.skip_unsupported = skip_unsupported
        self.keys = self.expires = self.expired = self.dropped = 0
        self.doing = "start"
        self.reader: Reader | None = None
        self.progress = Progress(0, sys.stderr)

    def say(self, text: str, offset: int) -> None:
        self.progress.clear()
        print(f"[offset {offset}] {text}")

    def run(self) -> int:
        """Reads the file; the exit status."""
        self.say(f"Checking RDB file {self.path}", 0)
        try:
            self.reader = Reader(self.path, self.skip_unsupported, values=False)
            self.progress = Progress(self.reader.size, sys.stderr)
            self.read(self.reader)
        except RdbFileError as error:
            self.tell_error(error)
            return 1
        except OSError as error:
            self.progress.clear()
            print(f"Cannot open file {self.path}: {error.strerror}", file=sys.stderr)
            return 1
        self.say("\\o/ RDB looks OK! \\o/", self.reader.offset)
        self.tell_figures()
        return 0

    def read(self, reader: Reader) -> None:
        now = time.time() * 1000
        for event in reader:
            self.doing = "read-type"
            self.progress.show(reader.offset)
            if event[0] == "key":
                self.keys += 1
                if event[4] is not None:
                    self.expires += 1
                    self.expired += event[4] < now
            elif event[0] == "aux":
                name, value = (text.decode("utf-8", "backslashreplace") for text in event[1:])
                self.say(f"AUX FIELD {name} = '{value}'", reader.offset)
            elif event[0] == "database":
                self.say(f"Selecting DB ID {event[1]}", reader.offset)
            elif event[0] == "dropped":
                self.dropped += 1
                of = "" if event[1] is None else f" of key '{event[1].decode('utf-8', 'backslashreplace')}'"
                self.say(f"Unsupported: {event[2]}{of}, skipped", reader.offset)
            elif event[0] == "end":
                if event[1]:
                    self.say("Checksum OK", reader.offset)
                elif reader.version >= 5:
                    self.say("RDB file was saved with checksum disabled: no check performed.", reader.offset)

    def tell_error(self, error: RdbFileError) -> None:
        self.progress.clear()
        print("--- RDB ERROR DETECTED ---")
        print(f"[offset {error.offset}] {error.reason[:1].upper()}{error.reason[1:]}")
        if error.key is not None:
            self.doing = "read-object-value"
        elif error.reason.startswith("the checksum"):
            self.doing = "check-sum"
        print(f"[additional info] While doing: {self.doing}")
        if error.key is not None:
            print(f"[additional info] Reading key '{error.key.decode('utf-8', 'backslashreplace')}'")
        if error.key is not None and self.reader is not None:
            number, name = self.reader.encoding
            print(f"[additional info] Reading type {number} ({name})")
        self.tell_figures()

    def tell_figures(self) -> None:
        print(f"[info] {self.keys} keys read")
        print(f"[info] {self.expires} expires")
        print(f"[info] {self.expired} already expired")
        if self.dropped:
            print(f"[info] {self.dropped} unsupported, skipped")


def main(arguments: list[str]) -> int:
    if arguments in (["-v"], ["--version"]):
        print(f"check_rdb.py {__version__}")
        return 0
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    skip = "--skip-unsupported" in arguments
    names = [a for a in arguments if a != "--skip-unsupported"]
    if len(names) != 1:
        print(USAGE, file=sys.stderr)
        return 1
    return Check(names[0], skip).run()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "| head" ends it without a traceback
    sys.exit(main(sys.argv[1:]))
