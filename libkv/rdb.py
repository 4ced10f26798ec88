"""RDB files: a file's keys one by one, and files made from keys or from a store.

    for record in libkv.rdb.read("dump.rdb"):
        print(record.database, record.key, record.type, record.value, record.expire)

    libkv.rdb.write("dump.rdb", store)
    libkv.rdb.write("dump.rdb", (r for r in libkv.rdb.read("old.rdb") if r.database == 0))
    libkv.rdb.load(store, "dump.rdb")

Read is what Redis 1.0 to 8 and Valkey 8 and 9 write (versions 1 to 12, VALKEY 80), written is version 10, which
Redis 7.0 and later load.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from libkv.errors import RdbFileError
from libkv.persistence.records import Reader, Writer, load_store, save_store
from libkv.store import StoreCore

__all__ = ["Loaded", "RdbFileError", "Record", "load", "read", "write"]


class Record(NamedTuple):
    """One key of a file.

    expire: milliseconds of Unix time, None without.  idle (seconds) and frequency (a counter up to 255): what the file
    says of the key's use, None when it says nothing.  type and value:

        "string"    bytes
        "list"      list of bytes
        "set"       set of bytes
        "zset"      list of (member, score), in order
        "hash"      dict of bytes
        "stream"    dict of entries, last_id, max_deleted_id, entries_added and groups:
                        entries   (id, [(field, value), ...]); an id is b"milliseconds-sequence"
                        groups    dict of name, last_id, entries_read (None: not known),
                                  pending: (id, consumer, delivered at ms, deliveries), consumers: (name, seen at ms)
    """

    database: int
    key: bytes
    type: str
    value: Any
    expire: int | None = None
    idle: int | None = None
    frequency: int | None = None


@dataclass(frozen=True)
class Loaded:
    """What load() did: keys added, of these with an expiry; not added: past their time, empty, unsupported."""

    keys: int
    expires: int
    expired: int
    empty: int
    unsupported: int


def read(source: str | os.PathLike[str] | bytes | IO[bytes], *, skip_unsupported: bool = False) -> Iterator[Record]:
    """The keys of an RDB file, in its order, expired ones too, without loading the file into memory.

    source: a path, a file opened for reading bytes, or the bytes themselves.  skip_unsupported: keys that a store here
    can't hold (modules' types, hashes whose fields expire) are left out; otherwise they raise.

    Raises RdbFileError (a ValueError) with the offset and the key when the file is damaged, truncated or unsupported,
    at the end when its checksum is wrong; OSError.
    """
    reader = Reader(source, skip_unsupported)
    try:
        for event in reader:
            if event[0] == "key":
                yield Record(reader.database, *event[1:])
    finally:
        reader.close()


def write(
    target: str | os.PathLike[str] | IO[bytes],
    source: StoreCore | Iterable[Record],
    *,
    compression: bool = True,
    checksum: bool = True,
) -> int:
    """Writes an RDB file (version 10) from a store's data or from records; the number of keys.

    target: a path (written beside, forced to disk, then renamed), or a file opened for writing bytes.  source: a store,
    whose lock is held meanwhile, or records: tuples of database, key, type, value and perhaps expire, those of one
    database best in a row.  compression: strings of more than 20 bytes as LZF; checksum: a CRC-64 at the end.

    Raises OSError, ValueError or TypeError for records that can't be keys; then the target is as it was.
    """
    if hasattr(target, "write"):
        return _write_file(target, source, compression, checksum)
    path = Path(target)
    with _beside(path) as file:
        return _write_file(file, source, compression, checksum)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    """A file that is called `path` when it is whole and on the disk.  Before that it has no name where the system can
    do so (Linux; not on every file system), so that nothing is left of it however the process ends."""
    beside = path.parent / f"{path.name}.{secrets.token_hex(8)}"
    try:
        fd, named = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), False
    except (AttributeError, OSError):  # no such flag, or no such files here
        fd, named = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666), True
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(fd)
            if not named:
                # linkat(2), which follows the symbolic link; without a descriptor it would be link(2), which doesn't
                os.link(f"/proc/self/fd/{fd}", beside, src_dir_fd=fd, follow_symlinks=True)
                named = True
        os.replace(beside, path)
    except BaseException:
        if named:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_file(file: Any, source: StoreCore | Iterable[Record], compression: bool, checksum: bool) -> int:
    if isinstance(source, StoreCore):
        with tempfile.TemporaryFile() as own:  # under a store's lock nothing of Python's may be called
            keys: int = save_store(source, own.fileno(), compression, checksum)
            own.seek(0)
            shutil.copyfileobj(own, file)
        return keys
    writer = Writer(file, compression, checksum)
    keys = 0
    for record in source:
        database, key, kind, value, *rest = record
        writer.put(database, key, kind, value, rest[0] if rest else None)
        keys += 1
    writer.finish()
    return keys


def load(
    store: StoreCore,
    source: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    replace: bool = False,
    skip_unsupported: bool = False,
    keep_expired: bool = False,
) -> Loaded:
    """Adds the keys of an RDB file to a store; its lock is held meanwhile.

    replace: a key (a function library) that is there already is replaced; otherwise it raises.  skip_unsupported: as
    for read().  keep_expired: keys past their time are added too.

    Raises RdbFileError; the keys before the place it names have been added then.  The changes are not told to
    replicas, journals or subscribers: it is meant for a store that is being filled.
    """
    with contextlib.ExitStack() as stack:
        file: IO[bytes]
        if isinstance(source, (str, os.PathLike)):
            file = stack.enter_context(open(source, "rb", buffering=0))
        else:
            file = stack.enter_context(tempfile.TemporaryFile())
            if isinstance(source, bytes):
                file.write(source)
            else:
                shutil.copyfileobj(source, file)
            file.seek(0)
        return Loaded(**load_store(store, file.fileno(), replace, skip_unsupported, keep_expired))
