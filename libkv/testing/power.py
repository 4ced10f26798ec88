"""Power cuts: what a disk may hold when the machine stops at some moment, worked out from noted calls.

The model is stricter than file systems are: until a file's fsync has returned, each write to it since the last one
may be there, missing, or torn, in any combination (what is missing below the end reads as NUL bytes); until a
directory's fsync has returned, each name made, changed or removed in it may be so or not, in any combination.

    with NotedFiles() as files:
        ...                                     # stores at work; files.mark(n) after what was acknowledged
    cut = PowerCut(root, before, files.notes())
    for place in range(cut.moments): cut.leave(place, random.Random(seed), target)
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from libkv.testing.native import disk

Call = tuple[int, int, str, int, int, int, str, str, bytes]  # a note: see NotedFiles.notes
SECTOR = 512  # bytes that a disk writes whole


class File:
    """One file's bytes: as written, as they are safe, and what was done in between."""

    def __init__(self, content: bytes = b"") -> None:
        self.now = bytearray(content)
        self.safe = bytes(content)
        self.loose: list[tuple[int, int, bytes]] = []  # (place of the note, offset or -size - 1, data)

    def write(self, place: int, data: bytes) -> None:
        self.loose.append((place, len(self.now), data))
        self.now += data

    def truncate(self, place: int, size: int) -> None:
        self.loose.append((place, -size - 1, b""))
        del self.now[size:]

    def synced(self, begun: int) -> None:
        """A fsync that began at this place has succeeded."""
        content = bytearray(self.safe)
        for place, at, data in self.loose:
            if place < begun:
                apply(content, at, data)
        self.safe = bytes(content)
        self.loose = [change for change in self.loose if change[0] >= begun]

    def left(self, rng: random.Random, how: str) -> bytes:
        """What a cut leaves; how: "none", "all", "prefix" (in order, the last torn) or "any"."""
        content = bytearray(self.safe)
        keep = len(self.loose) if how == "all" else 0 if how == "none" else rng.randint(0, len(self.loose))
        for i, (_place, at, data) in enumerate(self.loose):
            if how == "any":
                fate = rng.choice(("there", "missing", "torn"))
            else:
                fate = "there" if i < keep else "torn" if i == keep and how == "prefix" else "missing"
            if fate == "there":
                apply(content, at, data)
            elif fate == "torn" and at >= 0:
                apply(content, at, tear(rng, data, how))
        return bytes(content)


def apply(content: bytearray, at: int, data: bytes) -> None:
    if at < 0:
        del content[-at - 1 :]
        return
    if len(content) < at:
        content += bytes(at - len(content))
    content[at : at + len(data)] = data


def tear(rng: random.Random, data: bytes, how: str) -> bytes:
    """A part of a write: its beginning, or (any) some of its sectors with NUL bytes in place of the others."""
    if how == "prefix" or len(data) <= SECTOR or rng.random() < 0.5:
        return data[: rng.randint(0, len(data))]
    sectors = [data[i : i + SECTOR] for i in range(0, len(data), SECTOR)]
    return b"".join(s if rng.random() < 0.5 else bytes(len(s)) for s in sectors)


class PowerCut:
    """The calls of a run below `root`; `before`: its files when the notes began (files_below)."""

    def __init__(self, root: Path, before: dict[str, tuple[int, bytes]], notes: list[Call]) -> None:
        self.root = str(root)
        self.before = before
        self.notes = notes

    @property
    def moments(self) -> int:
        """Places where the power can be cut: before the first note, and behind each."""
        return len(self.notes) + 1

    def marked(self, moment: int, low: int = 0, high: int = 1 << 62) -> int:
        """The last mark before the cut that is from low to below high; -1: none."""
        marks = [n[5] for n in self.notes[:moment] if n[0] == disk.MARK and low <= n[5] < high]
        return marks[-1] if marks else -1

    def leave(self, moment: int, rng: random.Random, target: Path, how: str = "any") -> None:
        """Writes to `target` what a cut behind `moment` notes may leave.  how: see File.left; names likewise."""
        files: dict[int, File] = {}
        safe: dict[str, File] = {}
        now: dict[str, File] = {}
        loose: list[tuple[int, str, str, str, File | None]] = []  # place, directory, what, name, file
        for name, (inode, content) in self.before.items():
            files[inode] = safe[name] = now[name] = File(content)
        for kind, place, path, _pid, inode, number, new, _time, data in self.notes[:moment]:
            name = self._name(path)
            if kind == disk.OPEN:
                if number & 1 or inode not in files:
                    files[inode] = now[name] = File()
                    loose.append((place, os.path.dirname(name), "make", name, files[inode]))
                elif number & 2:
                    files[inode].truncate(place, 0)
            elif kind == disk.WRITE:
                files[inode].write(place, data)
            elif kind == disk.TRUNCATE:
                files[inode].truncate(place, number)
            elif kind == disk.FSYNCED:
                files[inode].synced(number)
            elif kind == disk.RENAME:
                file = now.pop(name, None)
                after = self._name(new)
                if file is not None:
                    now[after] = file
                    loose.append((place, os.path.dirname(after), name, after, file))
            elif kind == disk.UNLINK:
                now.pop(name, None)
                loose.append((place, os.path.dirname(name), "remove", name, None))
            elif kind == disk.SYNCED_DIRECTORY:
                done = [op for op in loose if op[0] < number and op[1] == name]
                loose = [op for op in loose if op not in done]
                for op in done:
                    self._rename(safe, op)
        keep = len(loose) if how == "all" else 0 if how == "none" else rng.randint(0, len(loose))
        for i, op in enumerate(loose):
            if (rng.random() < 0.5) if how == "any" else i < keep:
                self._rename(safe, op)
        target.mkdir(parents=True, exist_ok=True)
        for name, file in safe.items():
            path_left = target / name
            path_left.parent.mkdir(parents=True, exist_ok=True)
            path_left.write_bytes(file.left(rng, how))

    @staticmethod
    def _rename(names: dict[str, File], op: tuple[int, str, str, str, File | None]) -> None:
        _place, _directory, what, name, file = op
        if file is None:
            names.pop(name, None)
            return
        names[name] = file
        if what != "make":  # a rename: it was called that
            names.pop(what, None)

    def _name(self, path: str) -> str:
        return "" if path == self.root else os.path.relpath(path, self.root) if path.startswith("/") else path


def files_below(root: Path) -> dict[str, tuple[int, bytes]]:
    """What PowerCut wants as `before`."""
    return {
        str(path.relative_to(root)): (path.stat().st_ino, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }
