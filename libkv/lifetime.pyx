"""The life of a store in this process: made, entered and left by calls, closed, and freed behind the last of them.

libkv.store adds the calls, libkv.session the sessions; libkv.fork knows what becomes of a store when the process forks.
A counter says how many callers are inside: closing forbids new ones, and whoever leaves last frees the memory.
"""

import logging
import os
import weakref

from cpython.exc cimport PyErr_Clear
from libc.stdint cimport uint64_t

from libkv.disk.files cimport files_default
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport config_put
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.session cimport session_free, session_new
from libkv.engine.store cimport kv_cron, kv_delete, kv_new
from libkv.engine.types cimport Kv, S_EMBEDDED
from libkv.persistence.durable cimport (
    JOURNAL_OFF, Durable, LogLine, durable_attach, durable_detach, durable_of, durable_set_libraries, durable_take_line,
)
from libkv.persistence.journal cimport journal_settle, journal_take
from libkv.scripting.script_engine cimport scripting_end_run
from libkv.scripting.libraries cimport libraries_each, libraries_load
from libkv.waiting cimport wait_end_all, waker_close

from libkv.errors import ResponseError, StoreClosed, StoreForked

log = logging.getLogger("libkv")

stores = weakref.WeakSet()


cdef class StoreLifetime:
    """A store that callers enter and leave.

    databases: 1 to 2**31 - 1.  seed: of the store's random numbers and hash key, for repeatable runs; None: from the
    system.  config: directives of redis.conf with "_" for "-".
    """

    def __cinit__(self, databases=16, seed=None, **config):
        if not 1 <= databases <= 0x7fffffff:
            raise ValueError(f"databases is {databases!r}, and must be from 1 to 2147483647")
        if seed is not None and not 1 <= seed < 2**64:
            raise ValueError(f"seed is {seed!r}, and must be from 1 to 2**64 - 1, or None")
        self.servers = set()
        self.kv = kv_new(databases, 0 if seed is None else seed)
        if self.kv == NULL:
            raise MemoryError("no memory for a store")
        self.kv.owner = <void*>self
        if durable_attach(self.kv, files_default()) != 0:
            kv_delete(self.kv)
            self.kv = NULL
            raise MemoryError("no memory for a store")
        durable_set_libraries(self.kv, libraries_each, libraries_load, NULL)
        if "databases" not in config:
            config_put(self.kv, "databases", [str(databases)])
        for name, value in config.items():
            error = config_put(self.kv, name.replace("_", "-"), words(value))
            if error is not None:
                with nogil:
                    durable_detach(self.kv)
                    kv_delete(self.kv)
                self.kv = NULL
                raise ValueError(f"setting {name}={value!r}: {error}")
        self.own = session_new(self.kv, b"", b"", -1, S_EMBEDDED)
        if self.own == NULL:
            raise MemoryError("no memory for a session")
        stores.add(self)

    def __init__(self, databases=16, seed=None, **config):
        pass

    def __dealloc__(self):
        self.closed = True
        end(self)

    cdef int enter(self) except -1:
        if self.closed:
            raise StoreClosed("the store is closed")
        if self.forked:
            raise StoreForked("this store is served or durable in the parent process: the child of a fork can't use it")
        self.users += 1
        return 0

    cdef void leave(self) noexcept:
        self.users -= 1
        if self.closed and self.users == 0:
            end(self)

    cdef int settle(self) except -1:
        """With `appendfsync always`: waits until what the caller has seen is on the disk.  Raises when it can't be."""
        cdef Durable* d = durable_of(self.kv)
        cdef uint64_t offset
        cdef int error
        if d == NULL or d.state == JOURNAL_OFF:
            return 0
        with nogil:
            lock_take(self.kv)
            offset = journal_take(self.kv)
            lock_give(self.kv)
            error = journal_settle(d, offset)
        if error:
            raise ResponseError(
                f"MISCONF Errors writing to the AOF file: {os.strerror(error)}; the command was executed, and may be lost"
            )
        return 0

    cdef int settle_counted(self) except -1:
        """The same for a caller that has not entered: the store is not freed meanwhile."""
        self.users += 1
        try:
            return self.settle()
        finally:
            self.leave()

    def close(self):
        """Ends the store: servers stop, sessions end, memory goes back.  Calls in work finish.  Twice does no harm."""
        if self.closed:
            return
        for server in list(self.servers):
            server.stop()
        self.closed = True
        if self.users == 0:
            end(self)
            return
        scripting_end_run(self.kv)          # a script that takes long ends, others finish
        self.users += 1                 # so that the last call to leave does not end the store meanwhile
        with nogil:
            lock_take(self.kv)
            wait_end_all(self.kv)       # calls that wait raise StoreClosed
            lock_give(self.kv)
        self.leave()


cdef list words(value):
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, (list, tuple)):
        return [str(v) for v in value]
    return [str(value)]


cdef void end(StoreLifetime store) noexcept:
    """Frees what a closed store holds; its handles look at `closed` before they touch their session."""
    if store.kv == NULL:
        return
    cdef Kv* kv = store.kv
    if durable_of(kv) != NULL:
        tell_log(store)
    store.kv = NULL
    store.own = NULL
    with nogil:
        durable_detach(kv)
        while kv.sessions != NULL:
            if kv.sessions.flags & S_EMBEDDED:
                waker_close(kv.sessions)
            session_free(kv.sessions)
        kv_delete(kv)


cdef void tell_log(StoreLifetime store) noexcept:
    """What the durable side has to say while no server takes it."""
    cdef LogLine line
    while durable_take_line(durable_of(store.kv), &line):
        try:
            log.log((10, 15, 20, 30)[line.level & 3], "%s", line.text.decode("utf-8", "replace"))
        except Exception:
            PyErr_Clear()


cdef void run_cron(StoreLifetime store) noexcept:
    """Expiry and freeing for a store that no server keeps going."""
    cdef long long now = mono_ns() // 1000000
    if now < store.cron_due:
        return
    store.cron_due = now + CRON_MS
    if not store.servers:
        with nogil:
            kv_cron(store.kv)
    if durable_of(store.kv) != NULL and durable_of(store.kv).n_lines:
        tell_log(store)
