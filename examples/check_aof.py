#!/usr/bin/env python3
"""Checks an append-only file in the manner of redis-check-aof: a manifest with all its parts, or a single old file.

    check_aof.py [--fix | --truncate-to-timestamp SECONDS] FILE

Exit status 0: good, or made good; 1: not, and the output says where.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
from pathlib import Path

from check_rdb import Check, Progress

from libkv import __version__
from libkv.persistence.journal_scan import JournalScan
from libkv.persistence.manifest import read_manifest

USAGE = "Usage: check_aof.py [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>"


class Bad(Exception):
    """The files are not good: what is to be printed."""


def check_preamble(path: Path) -> int:
    """The RDB part that a file may begin with: its length; 0 without one."""
    with open(path, "rb") as stream:
        if stream.read(5) != b"REDIS":
            return 0
    with contextlib.chdir(path.parent):  # the file is called by its name
        check = Check(path.name, False)
        status = check.run()
    if status or check.reader is None:
        raise Bad(f"RDB preamble of AOF file {path.name} is not sane, aborting.")
    print("RDB preamble is OK, proceeding with AOF tail...")
    return check.reader.offset


def scan(path: Path, start: int, until: int) -> tuple[JournalScan, int]:
    """Looks at the commands behind `start`: the scan, and the file's size."""
    size = path.stat().st_size
    progress = Progress(size, sys.stderr)
    with open(path, "rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        done = JournalScan(data, start, until)
        while done.step():
            progress.show(done.offset)
        progress.clear()
    return done, size


def cut(path: Path, at: int) -> None:
    with open(path, "r+b") as stream:
        stream.truncate(at)
        os.fsync(stream.fileno())


def check_part(path: Path, where: str, last: bool, fix: bool, until: int) -> bool:
    """One file: prints what it is; True: it was good, False: it has been cut; Bad when it is not good and stays so."""
    name = path.name
    try:
        if path.stat().st_size == 0:
            return True
        start = check_preamble(path)
        done, size = scan(path, start, until)
    except OSError as error:
        raise Bad(f"Cannot open file {path}: {error.strerror}, aborting...") from None
    if until:
        return truncate_part(path, where, last, done, until)
    good = done.good
    if done.trouble == "":
        print(f"AOF {name} format error")
    elif done.trouble is not None:
        print(f"0x{done.trouble_offset:16x}: {done.trouble}")
    print(
        f"AOF analyzed: filename={name}, size={size}, ok_up_to={good}, ok_up_to_line={done.lines}, diff={size - good}"
    )
    if done.trouble is None:
        return True
    if not fix:
        raise Bad(f"AOF {name} is not valid. Use the --fix option to try fixing it.")
    if not last:
        raise Bad(f"Failed to truncate AOF {name} because it is not the last file")
    print(f"This will shrink the AOF {name} from {size} bytes, with {size - good} bytes, to {good} bytes")
    confirm()
    try:
        cut(path, good)
    except OSError as error:
        raise Bad(f"Failed to truncate AOF {name}: {error.strerror}") from None
    print(f"Successfully truncated AOF {name}")
    return False


def truncate_part(path: Path, where: str, last: bool, done: JournalScan, until: int) -> bool:
    if done.trouble is not None:
        raise Bad(f"AOF {path.name} is not valid from byte {done.good} on. Use the --fix option to try fixing it.")
    if done.stamped < 0:
        print(f"Truncate nothing in AOF {path.name} to timestamp {until}")
        return True
    if done.stamped == 0:
        raise Bad(f"AOF {where} has nothing before timestamp {until}, aborting...")
    if not last:
        raise Bad(
            f"Failed to truncate AOF {path.name} to timestamp {until} to offset {done.stamped} "
            + "because it is not the last file"
        )
    try:
        cut(path, done.stamped)
    except OSError as error:
        raise Bad(f"Failed to truncate AOF {path.name} to timestamp {until}: {error.strerror}") from None
    print(f"Successfully truncated AOF {path.name} to timestamp {until}")
    return False


def confirm() -> None:
    sys.stdout.write("Continue? [y/N]: ")
    sys.stdout.flush()
    if not sys.stdin.readline().lower().startswith("y"):
        raise Bad("Aborting...")


def check_manifest(path: Path, fix: bool, until: int) -> None:
    print("Start checking Multi Part AOF")
    try:
        parts = read_manifest(path.read_bytes())
    except ValueError as error:
        raise Bad(f"{path.name}: {error}") from None
    bases = [name for name, kind in parts if kind == "b"]
    increments = [name for name, kind in parts if kind == "i"]
    if bases:
        with open(path.parent / bases[0], "rb") as stream:
            form = "RDB" if stream.read(5) == b"REDIS" else "AOF"
        print(f"Start to check BASE AOF ({form} format).")
        if check_part(path.parent / bases[0], f"{path.parent}/{bases[0]}", not increments, fix, until):
            print(f"BASE AOF {bases[0]} is valid")
    if increments:
        print("Start to check INCR files.")
    for name in increments:
        if (path.parent / name).stat().st_size == 0:
            print(f"INCR AOF {name} is empty")
            continue
        if check_part(path.parent / name, f"{path.parent}/{name}", name == increments[-1], fix, until):
            print(f"INCR AOF {name} is valid")
    print("All AOF files and manifest are valid")


def check_single(path: Path, fix: bool, until: int) -> None:
    print("Start checking Old-Style AOF")
    if path.stat().st_size == 0:
        print(f"AOF {path.name} is empty")
        return
    if check_part(path, str(path), True, fix, until):
        print(f"AOF {path.name} is valid")


def main(arguments: list[str]) -> int:
    """The program; its exit status."""
    fix = until = 0
    if arguments in (["-v"], ["--version"]):
        print(f"check_aof.py {__version__}")
        return 0
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) == 2 and arguments[0] == "--fix":
        fix, name = 1, arguments[1]
    elif len(arguments) == 3 and arguments[0] == "--truncate-to-timestamp" and arguments[1].isdigit():
        until, name = int(arguments[1]), arguments[2]
    elif len(arguments) == 1:
        name = arguments[0]
    else:
        print(USAGE)
        return 1
    path = Path(name)
    try:
        with open(path, "rb") as stream:
            manifest = path.name.endswith(".manifest") or stream.read(5) == b"file "
        (check_manifest if manifest else check_single)(path, bool(fix), until)
    except Bad as error:
        print(error)
        return 1
    except OSError as error:
        print(f"Cannot open file {error.filename or name}: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "| head" ends it without a traceback
    sys.exit(main(sys.argv[1:]))
