"""`libkv.open`: a store that keeps its data in a directory."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import fcntl
import os
import weakref
from collections.abc import Iterable
from typing import Any, ClassVar

from libkv.api.store import Store
from libkv.errors import StoreFilesError, StoreForked
from libkv.persistence import opening

LOCK_NAME = "libkv.lock"

_open_stores: weakref.WeakSet[DirectoryStore] = weakref.WeakSet()


class DirectoryStore(Store):
    """A store whose data are in a directory, too; made by `libkv.open`.

    `close` leaves everything on the disk: the journal forced to it, or a snapshot when there is no journal.
    """

    directory: str
    _keeps_files: ClassVar[bool] = True
    _lock_fd: int = -1

    def sync(self) -> None:
        """Forces everything that was executed so far to disk, whatever `appendfsync` says.

        StoreFilesError: it can't be."""
        opening.sync(self)

    def close(self) -> None:
        """Ends the store with its data on the disk.  Twice does no harm.

        StoreFilesError: the data could not be written; the store is closed nevertheless."""
        if self.closed:
            return
        safe = True
        try:
            for server in list(self.servers):
                server.stop()
            with contextlib.suppress(StoreForked):
                safe = opening.finish(self)
        finally:
            super().close()
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
                self._lock_fd = -1
        if not safe:
            raise StoreFilesError(5, f"the last changes could not be written in {self.directory}: its log says why")


def open(
    directory: str | os.PathLike[str],
    *,
    appendonly: bool = True,
    appendfsync: str = "everysec",
    save: str | Iterable[tuple[int, int]] | None = None,
    until: datetime.datetime | None = None,
    skip_unsupported: bool = False,
    databases: int = 16,
    **config: Any,
) -> DirectoryStore:
    """Opens the store in a directory, which is made when it is not there; the files are Redis's.

    appendonly: every change goes to a journal (appendonlydir); else only snapshots are written (dump.rdb).
    appendfsync: when the journal is forced to disk: "always": before each call returns; "everysec": once a second;
    "no": when the system likes.
    save: save points, ``"3600 1 300 100"`` or pairs of (seconds, changes); "": none.  None: none with a journal,
    else Redis's default.
    until: the state at a moment, from a journal with times (aof-timestamp-enabled).  No file is changed, and the
    store refuses writes.  A datetime without a zone is local time.
    skip_unsupported: keys that no store here can hold (modules' types, hashes whose fields expire) and commands that
    it doesn't know are passed over when the files are loaded, counted (``info()["last_load_dropped"]``) and logged;
    the next rewrite or snapshot is without them.  Otherwise they are errors.
    databases, config: as for `Store`.

    StoreFilesError: another process has the directory open, its files can't be read or written, or (until) the journal
    does not reach back so far; then the text says how far it does.
    """
    path = os.path.abspath(os.fspath(directory))
    if until is not None and not isinstance(until, datetime.datetime):
        raise TypeError(f"until is {until!r}, and must be a datetime.datetime")
    if until is None:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise StoreFilesError(error.errno, f"{path} can't be a store's directory: {error.strerror}") from None
    elif not os.path.isdir(path):
        raise StoreFilesError(2, f"there is no directory {path}")
    points = save if save is None or isinstance(save, str) else " ".join(_point(point) for point in save)
    if points is None:
        points = "" if appendonly else "3600 1 300 100 60 10000"
    lock = -1 if until else _lock(path)
    try:
        store = DirectoryStore(
            databases, dir=path, appendonly=appendonly, appendfsync=appendfsync, save=points, **config
        )
        store.directory = path
        try:
            moment = int(until.timestamp()) if until else 0
            opening.start(store, until=moment, exclusive=lock >= 0, skip_unsupported=skip_unsupported)
        except BaseException:
            Store.close(store)
            raise
    except BaseException:
        if lock >= 0:
            os.close(lock)
        raise
    store._lock_fd = lock
    _open_stores.add(store)
    return store


def _point(point: tuple[int, int]) -> str:
    try:
        seconds, changes = point
        return f"{seconds:d} {changes:d}"
    except (TypeError, ValueError):
        raise ValueError(f"save holds {point!r}, and must be pairs of (seconds, changes), or text") from None


def _lock(directory: str) -> int:
    """The directory is this process's until the descriptor is closed."""
    path = os.path.join(directory, LOCK_NAME)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreFilesError(error.errno, f"can't open {path}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(fd, 32, 0).strip().decode(errors="replace")
        os.close(fd)
        raise StoreFilesError(
            error.errno,
            f"{directory} is open in {'process ' + owner if owner else 'another process'}: close it there, or choose "
            "another directory (several processes share a store through libkv.Server)",
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return fd


def _close_all() -> None:
    for store in list(_open_stores):
        with contextlib.suppress(StoreFilesError):
            store.close()


def _forget_all() -> None:
    """In the child of a fork: the lock is the parent's."""
    for store in list(_open_stores):
        if store._lock_fd >= 0:
            os.close(store._lock_fd)
            store._lock_fd = -1


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
