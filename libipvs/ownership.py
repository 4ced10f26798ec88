"""Which services are ours: a file that is written before they are made, so that a start after a crash cleans exactly
those and nothing else.

The file is JSON, {"version": 1, "owned": [[protocol or null, address, port, mark, family], ...]}, replaced as a whole:
written beside, synced, renamed, and the directory synced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

from libipvs.errors import IpvsError
from libipvs.model import Protocol, ServiceKey

VERSION = 1


class Ownership:
    """The owned keys, in memory and in the file.  Raises IpvsError if the file is no such file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.keys: frozenset[ServiceKey] = self._read()

    def _read(self) -> frozenset[ServiceKey]:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return frozenset()
        try:
            content = json.loads(text)
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']}")
            return frozenset(
                ServiceKey(
                    None if protocol is None else Protocol(protocol), str(address), int(port), int(mark), int(family)
                )
                for protocol, address, port, mark, family in content["owned"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise IpvsError(
                f"{self.path} does not say which services are owned ({error}); "
                "compare it with the kernel's table, and remove it when nothing is left to clean"
            ) from error

    def record(self, keys: Collection[ServiceKey]) -> None:
        """From now on these are owned; on disk when this returns.  Raises OSError, and then nothing has changed."""
        wanted = frozenset(keys)
        if wanted == self.keys and self.path.exists():
            return
        beside = self.path.with_name(self.path.name + ".new")
        content = {"version": VERSION, "owned": sorted(([*key] for key in wanted), key=repr)}
        with beside.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self.keys = wanted

    def remove(self) -> None:
        """Nothing is owned any more."""
        self.path.unlink(missing_ok=True)
        self.keys = frozenset()
