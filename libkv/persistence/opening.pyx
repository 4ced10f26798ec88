"""A store and its directory: what is there is loaded, the journal opened, save points watched; and the end of it.

The Python face of libkv.persistence, for libkv.open and for programs such as examples/server.py.
"""

import os

from libc.stdint cimport int64_t
from libc.stdio cimport snprintf

from libkv.disk.files cimport files_join, files_list
from libkv.engine.config cimport config_id, config_value
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.types cimport Kv
from libkv.persistence.aof cimport aof_lock, aof_open
from libkv.persistence.durable cimport (
    JOURNAL_OFF, SAVES_BY_POINTS, Durable, durable_configure, durable_of, durable_start_keeper, pthread_mutex_lock,
    pthread_mutex_unlock,
)
from libkv.persistence.journal cimport journal_sync_all, journal_take
from libkv.persistence.load cimport LOAD_CONFIGURED, load_store
from libkv.persistence.shutdown cimport shutdown_prepare
from libkv.store cimport StoreCore

from libkv.errors import StoreFilesError

cdef extern from "<stdlib.h>" nogil:
    long strtol(const char*, char**, int)

cdef extern from "<string.h>" nogil:
    int strncmp(const char*, const char*, size_t)
    int strcmp(const char*, const char*)

cdef extern from "<signal.h>" nogil:
    int kill(int, int)

cdef int APPENDONLY = config_id(b"appendonly")


cdef int remove_leftover(void* arg, const char* name) noexcept nogil:
    """A snapshot that was left unfinished: temp-PID.rdb, temp-rewriteaof-bg-PID.aof.  Nobody wants it when the process is
    no more, or when the directory is locked: then it is at most an orphan's, who does not give it its name either."""
    cdef Durable* d = <Durable*>arg
    cdef const char* number
    cdef char path[4096]
    cdef char* rest
    cdef long pid
    if strncmp(name, b"temp-rewriteaof-bg-", 19) == 0:
        number = name + 19
    elif strncmp(name, b"temp-", 5) == 0:
        number = name + 5
    else:
        return 0
    pid = strtol(number, &rest, 10)
    if rest == number or pid <= 0 or (strcmp(rest, b".rdb") != 0 and strcmp(rest, b".aof") != 0):
        return 0
    if (d.exclusive or d.lock_fd >= 0 or kill(<int>pid, 0) != 0) and files_join(path, sizeof(path), d.dir, name) == 0:
        d.files.unlink(d.files.self, path)
    return 0


cdef int begin(Kv* kv, int64_t until) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef bint journal
    cdef int error = 0
    lock_take(kv)
    durable_configure(kv)
    journal = config_value(kv, APPENDONLY).p[0] == c"y"
    if not until:
        if journal:
            error = aof_lock(d)
        if error == 0:
            files_list(d.dir, remove_leftover, d)
    lock_give(kv)
    if error == 0:
        error = load_store(kv, LOAD_CONFIGURED, until)
    if error:
        return error
    lock_take(kv)
    if until:
        kv.refusing_writes = True
        snprintf(d.head.refusal, sizeof(d.head.refusal), b"READONLY This store shows a past moment: it can't be changed.")
    else:
        d.save_mode = SAVES_BY_POINTS
        error = aof_open(kv) if journal else 0
        if error == 0:
            error = durable_start_keeper(d)
    lock_give(kv)
    return error


def start(StoreCore store not None, *, int64_t until=0, bint exclusive=False, bint skip_unsupported=False):
    """Loads what the store's configuration names, then writes there: to be called once, before the store is used.

    exclusive: the caller has locked the directory.  until: seconds of Unix time: the state at that moment; no file is
    changed, and the store refuses writes.  skip_unsupported: keys of a snapshot that the store can't hold, and commands of
    a journal that it doesn't know, are passed over, counted (INFO: last_load_dropped) and logged; else they are errors.
    StoreFilesError: the files can't be read or written; its text says which and why.
    """
    cdef int error
    store.enter()
    try:
        durable_of(store.kv).exclusive = exclusive
        durable_of(store.kv).skip_unsupported = skip_unsupported
        with nogil:
            error = begin(store.kv, until)
        if error:
            text = (<bytes>durable_of(store.kv).trouble).decode("utf-8", "surrogateescape") or os.strerror(error)
            raise StoreFilesError(error, text)
    finally:
        store.leave()


def prepare_shutdown(StoreCore store not None, bint save=False, bint nosave=False, bint force=False):
    """What SHUTDOWN does with the files: False when the data can't be made safe.  save: a snapshot in any case; nosave:
    in none; neither: when there are save points.  force: True whatever happens."""
    cdef bint good
    store.enter()
    try:
        with nogil:
            lock_take(store.kv)
            good = shutdown_prepare(store.kv, save, nosave, force)
            lock_give(store.kv)
        return good
    finally:
        store.leave()


def finish(StoreCore store not None):
    """Before the end: the journal is forced to disk; without one a snapshot, when something has changed since the last.
    False: it can't be."""
    cdef Durable* d
    cdef bint good
    cdef Kv* kv
    store.enter()
    try:
        kv = store.kv
        with nogil:
            lock_take(kv)
            d = durable_of(kv)
            good = True
            if d.save_mode == SAVES_BY_POINTS:
                good = shutdown_prepare(kv, d.state == JOURNAL_OFF and kv.dirty != d.dirty_saved, True, False)
            lock_give(kv)
        return good
    finally:
        store.leave()


def announce_loading(StoreCore store not None):
    """From now on commands are answered with -LOADING, until start() is done."""
    store.enter()
    try:
        with nogil:
            lock_take(store.kv)
            store.kv.loading = True
            lock_give(store.kv)
    finally:
        store.leave()


def progress(StoreCore store not None):
    """(bytes loaded, bytes to load) of the load that is going on."""
    cdef Durable* d = durable_of(store.kv)
    return d.loading_done, d.loading_total


def sync(StoreCore store not None):
    """Forces everything that was executed so far to disk, whatever appendfsync says.  StoreFilesError: it can't be."""
    cdef Durable* d
    cdef bint good
    store.enter()
    try:
        d = durable_of(store.kv)
        with nogil:
            lock_take(store.kv)
            journal_take(store.kv)
            lock_give(store.kv)
            good = journal_sync_all(d)
        if not good:
            error = d.broken if d.broken else d.error
            raise StoreFilesError(error, f"the journal can't be forced to disk: {os.strerror(error)}")
    finally:
        store.leave()


def state(StoreCore store not None):
    """What the journal is at, for tests and figures: offsets, fsyncs put off, the errno that broke it, ..."""
    cdef Durable* d = durable_of(store.kv)
    pthread_mutex_lock(&d.m)
    try:
        return {
            "state": d.state,
            "appended": d.appended,
            "written": d.written,
            "durable": d.durable,
            "delayed": d.delayed,
            "broken": d.broken,
            "error": d.error,
            "fatal": d.fatal,
            "syncs": d.syncs,
            "holding": d.holding,
        }
    finally:
        pthread_mutex_unlock(&d.m)
