"""A store as a Python object: calls in, reply objects out (libkv.api gives it redis-py's methods).

A call releases the GIL, takes the store's lock, executes into a C buffer, gives the lock back, takes the GIL, and only
then makes Python objects: nothing of Python runs under the lock, and the GIL is never waited for while it is held.
"""

import os
import weakref

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from libkv.engine.checks cimport check_all
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport config_put
from libkv.engine.decode cimport decode_reply
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.replay cimport replay_effects
from libkv.engine.session cimport session_data, session_free, session_new, session_run
from libkv.engine.store cimport kv_cron, kv_delete, kv_new
from libkv.engine.types cimport S_EMBEDDED, Arg, Reply
from libkv.structures.alloc cimport heap_fail_after
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init, buffer_trim

from libkv.errors import DataError, KvError, ResponseError, StoreClosed, StoreForked

cdef enum:
    ARGS_ON_STACK = 24
    CRON_MS = 100               # an idle embedded store costs nothing: its cron runs along with calls

stores = weakref.WeakSet()      # every store of the process, for fork


cdef class StoreCore:
    """A store, and the plain way to call it.

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
        if "databases" not in config:
            config_put(self.kv, "databases", [str(databases)])
        for name, value in config.items():
            error = config_put(self.kv, name.replace("_", "-"), words(value))
            if error is not None:
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

    cdef object run(self, args, CSession* session):
        cdef Arg room[ARGS_ON_STACK]
        cdef Arg* argv = room
        cdef tuple words = args if type(args) is tuple else tuple(args)
        cdef Py_ssize_t n = len(words)
        cdef Py_ssize_t i
        cdef Buffer out
        cdef Reply r
        cdef const char* after
        cdef bytes word
        if n == 0:
            raise DataError("a command needs a name")
        if n > ARGS_ON_STACK:
            argv = <Arg*>malloc(n * sizeof(Arg))
            if argv == NULL:
                raise MemoryError()
        try:
            for i in range(n):
                word = words[i]
                argv[i].p = PyBytes_AS_STRING(word)
                argv[i].n = PyBytes_GET_SIZE(word)
                argv[i].hashed = False
            buffer_init(&out)
            r.out = &out
            with nogil:
                lock_take(self.kv)
                session_run(session, argv, <int>n, &r)
                lock_give(self.kv)
        finally:
            if argv != room:
                free(argv)
        try:
            if out.failed:
                raise MemoryError("no memory for the reply")
            return decode_reply(out.p, out.p + out.n, &after) if out.n else None
        finally:
            buffer_free(&out)

    def execute(self, args, Session session=None):
        """Runs one command (a tuple of bytes) and returns its reply; an error reply is returned, not raised.

        bytes for bulk and simple strings, int, None, list; with RESP3 (HELLO 3) also dict, set, float, bool.
        """
        cdef CSession* s = session_of(self, session)
        self.enter()
        try:
            run_cron(self)
            return self.run(args, s)
        finally:
            self.leave()

    def execute_many(self, commands, Session session=None):
        """Runs commands in order and returns the list of their replies."""
        cdef CSession* s = session_of(self, session)
        self.enter()
        try:
            run_cron(self)
            return [self.run(args, s) for args in commands]
        finally:
            self.leave()

    def new_session(self, database=0):
        """A session of its own: database, MULTI, WATCH, name, protocol."""
        return Session(self, database)

    def close(self):
        """Ends the store: servers stop, sessions end, memory goes back.  Calls in work finish.  Twice does no harm."""
        if self.closed:
            return
        for server in list(self.servers):
            server.stop()
        self.closed = True
        if self.users == 0:
            end(self)

    def set_clock(self, unix_ms):
        """Fixes the store's clock at a time (milliseconds of Unix time), or lets it run again: None.  For tests.

        The monotonic clock moves along with a fixed one."""
        cdef int64_t ms
        self.enter()
        try:
            if unix_ms is None:
                self.kv.clock_fixed = False
            else:
                ms = unix_ms
                if ms < 0:
                    raise ValueError(f"unix_ms is {ms}, and must not be negative")
                self.kv.clock_wall = ms
                self.kv.clock_mono = ms * 1000
                self.kv.clock_fixed = True
        finally:
            self.leave()

    def cron(self):
        """Runs the store's periodic work now: active expiry, rehash steps, freeing.  A server does it by itself."""
        self.enter()
        try:
            with nogil:
                kv_cron(self.kv)
        finally:
            self.leave()

    @property
    def used_memory(self):
        """Bytes that the store's data and their administration occupy: size classes, tables, slab headers."""
        self.enter()
        try:
            return self.kv.heap.used
        finally:
            self.leave()

    # ---- for tests

    def check(self):
        """Asserts every invariant of every structure; AssertionError names the broken one.  O(n), under the lock."""
        cdef int broken
        self.enter()
        try:
            with nogil:
                lock_take(self.kv)
                broken = check_all(self.kv)
                lock_give(self.kv)
            assert broken == 0, f"invariant {broken} of the store is broken"
        finally:
            self.leave()

    def fail_allocations_after(self, n):
        """Fault injection: n more allocations succeed, then none; -1 ends it."""
        cdef int64_t count = n
        self.enter()
        try:
            with nogil:
                lock_take(self.kv)
                heap_fail_after(self.kv.heap, count)
                lock_give(self.kv)
        finally:
            self.leave()

    def record_effects(self, on=True):
        """Starts (or ends) collecting the effect stream: RESP commands that repeat every change."""
        cdef bint wanted = on
        self.enter()
        try:
            with nogil:
                lock_take(self.kv)
                self.kv.effects_on = wanted
                self.kv.effects_db = -1
                lock_give(self.kv)
        finally:
            self.leave()

    def take_effects(self):
        """What has been collected since the last call, as bytes."""
        cdef Buffer taken
        self.enter()
        try:
            with nogil:
                lock_take(self.kv)
                taken = self.kv.effects
                buffer_init(&self.kv.effects)
                lock_give(self.kv)
            try:
                return PyBytes_FromStringAndSize(taken.p, taken.n)
            finally:
                buffer_free(&taken)
        finally:
            self.leave()

    def replay(self, bytes effects):
        """Applies an effect stream; ValueError names the offset of the first byte that can't be."""
        cdef const char* p = PyBytes_AS_STRING(effects)
        cdef size_t n = PyBytes_GET_SIZE(effects)
        cdef size_t taken
        self.enter()
        try:
            with nogil:
                taken = replay_effects(self.kv, p, n)
            if taken != n:
                raise ValueError(f"the effect stream can't be applied from byte {taken} on")
        finally:
            self.leave()


cdef list words(value):
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, (list, tuple)):
        return [str(v) for v in value]
    return [str(value)]


cdef void end(StoreCore store) noexcept:
    """Frees what a closed store holds; its handles look at `closed` before they touch their session."""
    cdef CSession* s
    if store.kv == NULL:
        return
    while store.kv.sessions != NULL:
        s = store.kv.sessions
        session_free(s)
    kv_delete(store.kv)
    store.kv = NULL
    store.own = NULL


cdef CSession* session_of(StoreCore store, Session session) except NULL:
    if store.closed:
        raise StoreClosed("the store is closed")
    if session is None:
        return store.own
    if session.closed:
        raise StoreClosed("the session is closed")
    if session.store is not store:
        raise ValueError("the session belongs to another store")
    return session.s


cdef void run_cron(StoreCore store) noexcept:
    """Expiry and freeing for a store that no server keeps going."""
    cdef long long now = mono_ns() // 1000000
    if now < store.cron_due:
        return
    store.cron_due = now + CRON_MS
    if not store.servers:
        with nogil:
            kv_cron(store.kv)


cdef class Session:
    """A session of an embedded store; made by StoreCore.new_session."""

    def __cinit__(self, StoreCore store, database=0):
        self.closed = True
        self.store = store
        store.enter()
        try:
            with nogil:
                self.s = session_new(store.kv, b"", b"", -1, S_EMBEDDED)
            if self.s == NULL:
                raise MemoryError("no memory for a session")
            self.closed = False
            if not 0 <= database < store.kv.n_dbs:
                raise ResponseError("DB index is out of range")
            self.s.db = database
        finally:
            store.leave()

    def __dealloc__(self):
        if self.s != NULL and not self.closed and not self.store.closed:
            session_free(self.s)

    @property
    def database(self):
        """The number of the selected database."""
        return -1 if self.closed or self.store.closed else self.s.db

    def feed(self, bytes data):
        """Requests as RESP (or inline) bytes in, replies as bytes out; b"" while a command is unfinished."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t n = PyBytes_GET_SIZE(data)
        cdef bint goes_on
        session_of(self.store, self)
        self.store.enter()
        try:
            with nogil:
                goes_on = session_data(self.s, p, n)
            out = PyBytes_FromStringAndSize(self.s.out.p, self.s.out.n)
            buffer_trim(&self.s.out, 65536)
        finally:
            self.store.leave()
        if not goes_on:
            self.close()
        return out

    def close(self):
        """Ends the session; its WATCHes and queued commands go.  Twice does no harm."""
        if self.closed:
            return
        self.closed = True
        if not self.store.closed:
            session_free(self.s)
        self.s = NULL


# ---- fork: a memory store goes on as a private copy; a served or durable one belongs to the parent

cdef list held = []


def before_fork():
    """Takes every store's lock, so that the child gets whole structures."""
    cdef StoreCore store
    for store in list(stores):
        if not store.closed and store.kv != NULL:
            held.append(store)
            with nogil:
                lock_take(store.kv)


def after_fork_in_parent():
    cdef StoreCore store
    while held:
        store = held.pop()
        lock_give(store.kv)


def after_fork_in_child():
    cdef StoreCore store
    while held:
        store = held.pop()
        lock_give(store.kv)
        if store.servers:
            store.forked = True
            store.servers.clear()


os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)
