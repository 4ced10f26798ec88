"""A store as a Python object: calls in, reply objects out (libkv.api gives it redis-py's methods).

A call releases the GIL, takes the store's lock, executes into a C buffer, gives the lock back, takes the GIL, and only
then makes Python objects: nothing of Python runs under the lock, and the GIL is never waited for while it is held.
"""

import os
import weakref

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from libkv.engine.checks cimport check_all
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport config_put
from libkv.engine.decode cimport decode_reply
from libkv.engine.direct cimport DIRECT_DONE, DIRECT_MAX, DIRECT_NIL, direct_get, direct_set
from libkv.engine.lock cimport lock_give, lock_take, lock_try
from libkv.engine.replay cimport replay_effects
from libkv.engine.session cimport session_data, session_free, session_new, session_run
from libkv.engine.store cimport kv_cron, kv_delete, kv_new
from libkv.engine.types cimport S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, Arg, Kv, Reply
from libkv.structures.alloc cimport heap_fail_after
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init, buffer_trim
from libkv.structures.cell cimport Slice

from libkv.errors import DataError, ResponseError, StoreClosed, StoreForked

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*)

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

        bytes for bulk and simple strings, int, None, list; with RESP3 (HELLO 3) also dict, float, bool.
        """
        cdef CSession* s
        self.enter()
        try:
            s = session_enter(self, session)
            try:
                run_cron(self)
                return self.run(args, s)
            finally:
                session_leave(session)
        finally:
            self.leave()

    def execute_many(self, commands, Session session=None):
        """Runs commands in order and returns the list of their replies."""
        cdef CSession* s
        self.enter()
        try:
            s = session_enter(self, session)
            try:
                run_cron(self)
                return [self.run(args, s) for args in commands]
            finally:
                session_leave(session)
        finally:
            self.leave()

    def new_session(self, database=0, protocol=2):
        """A session of its own: database, MULTI, WATCH, name, protocol (2 or 3)."""
        return Session(self, database, protocol)

    # ---- hot methods: compiled, with the GIL held while the lock is free (a bounded command each)

    def set_encoding(self, bint utf8, bint decodes):
        """How get() and set() treat str: utf8: strict UTF-8, else they leave it to the general way; decodes: replies
        are str."""
        self.utf8 = utf8
        self.decodes = decodes

    def get(self, name):
        """The string value of a key, or None; ResponseError when the key holds something else.  Redis: GET."""
        cdef const char* p
        cdef Py_ssize_t n
        cdef Slice value
        cdef char scratch[24]
        cdef int found
        if self.closed or self.forked or not text(self, name, &p, &n) or not lock_try(self.kv):
            return self.execute_command("GET", name)
        found = direct_get(self.kv, p, n, scratch, &value)
        if found == DIRECT_DONE:
            out = PyBytes_FromStringAndSize(value.p, value.n) if value.n <= DIRECT_MAX else None
            lock_give(self.kv)
            if out is not None:
                return (<bytes>out).decode("utf-8") if self.decodes else out
            return self.execute_command("GET", name)
        lock_give(self.kv)
        return None if found == DIRECT_NIL else self.execute_command("GET", name)

    def set(self, name, value, ex=None, px=None, nx=False, xx=False, keepttl=False, get=False, exat=None, pxat=None,
            ifeq=None, ifne=None, ifdeq=None, ifdne=None):
        """Sets a key to a string; True, or None when nx or xx forbids it.  Redis: SET.

        ex, px: expiry in seconds or milliseconds (int or timedelta); exat, pxat: as Unix time (int or datetime).
        nx, xx: only when the key is absent, or present.  keepttl: the present expiry stays.  get: returns the value
        that was there before.
        """
        cdef const char* p
        cdef Py_ssize_t n
        cdef const char* v
        cdef Py_ssize_t v_n
        cdef int done
        if (ex is None and px is None and nx is False and xx is False and keepttl is False and get is False
                and exat is None and pxat is None and ifeq is None and ifne is None and ifdeq is None and ifdne is None
                and not self.closed and not self.forked and text(self, name, &p, &n) and text(self, value, &v, &v_n)
                and lock_try(self.kv)):
            done = direct_set(self.kv, p, n, v, v_n)
            lock_give(self.kv)
            if done == DIRECT_DONE:
                return True
        return self._set_with_options(name, value, ex, px, nx, xx, keepttl, get, exat, pxat, ifeq, ifne, ifdeq, ifdne)

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
        cdef size_t used
        self.enter()
        try:
            with nogil:
                lock_take(self.kv)
                used = self.kv.heap.used
                lock_give(self.kv)
            return used
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


cdef inline bint text(StoreCore store, value, const char** p, Py_ssize_t* n) noexcept:
    """The bytes of a bytes, or of a str in UTF-8; False: something else, or the encoding is another."""
    if type(value) is bytes:
        p[0] = PyBytes_AS_STRING(<bytes>value)
        n[0] = PyBytes_GET_SIZE(<bytes>value)
        return True
    if type(value) is str and store.utf8:
        p[0] = PyUnicode_AsUTF8AndSize(value, n)
        if p[0] == NULL:
            PyErr_Clear()               # the general way raises it
        return p[0] != NULL
    return False


cdef list words(value):
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, (list, tuple)):
        return [str(v) for v in value]
    return [str(value)]


cdef void end(StoreCore store) noexcept:
    """Frees what a closed store holds; its handles look at `closed` before they touch their session."""
    if store.kv == NULL:
        return
    cdef Kv* kv = store.kv
    store.kv = NULL
    store.own = NULL
    with nogil:
        while kv.sessions != NULL:
            session_free(kv.sessions)
        kv_delete(kv)


cdef CSession* session_enter(StoreCore store, Session session) except NULL:
    """The session a call runs in; until session_leave it is not freed."""
    if session is None:
        return store.own
    if session.closed:
        raise StoreClosed("the session is closed")
    if session.store is not store:
        raise ValueError("the session belongs to another store")
    session.users += 1
    return session.s


cdef void session_leave(Session session) noexcept:
    if session is None:
        return
    session.users -= 1
    if session.s != NULL and session.s.flags & (S_CLOSE_AFTER | S_CLOSE_ASAP):
        session.closed = True           # QUIT
    if session.closed and session.users == 0:
        session_end(session)


cdef void session_end(Session session) noexcept:
    global parked
    cdef CSession* s = session.s
    session.s = NULL
    if s == NULL or session.store.kv == NULL or session.store.forked:
        return
    if forking:
        s.transport = parked
        parked = s
        return
    session.store.users += 1            # end() frees sessions too: not while this one is being freed
    with nogil:
        session_free(s)
    session.store.leave()


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

    def __cinit__(self, StoreCore store, database=0, protocol=2):
        self.closed = True
        self.store = store
        if protocol not in (2, 3):
            raise ValueError(f"protocol is {protocol!r}, and must be 2 or 3")
        store.enter()
        try:
            if not 0 <= database < store.kv.n_dbs:
                raise ResponseError("DB index is out of range")
            with nogil:
                self.s = session_new(store.kv, b"", b"", -1, S_EMBEDDED)
            if self.s == NULL:
                raise MemoryError("no memory for a session")
            self.s.db = database
            self.s.proto = protocol
            self.closed = False
        finally:
            store.leave()

    def __dealloc__(self):
        self.closed = True
        session_end(self)

    @property
    def database(self):
        """The number of the selected database; -1: closed."""
        return -1 if self.closed or self.store.closed or self.s == NULL else self.s.db

    def feed(self, bytes data):
        """Requests as RESP (or inline) bytes in, replies as bytes out; b"" while a command is unfinished."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t n = PyBytes_GET_SIZE(data)
        cdef CSession* s
        self.store.enter()
        try:
            s = session_enter(self.store, self)
            try:
                if self.feeding:
                    raise RuntimeError("another thread feeds this session: one stream of bytes has one writer")
                self.feeding = True
                with nogil:
                    session_data(s, p, n)
                self.feeding = False
                out = PyBytes_FromStringAndSize(s.out.p, s.out.n)
                buffer_trim(&s.out, 65536)
                return out
            finally:
                session_leave(self)
        finally:
            self.store.leave()

    def close(self):
        """Ends the session; its WATCHes and queued commands go.  Twice does no harm."""
        self.closed = True
        if self.users == 0:
            session_end(self)


# ---- fork: a memory store goes on as a private copy; a served or durable one belongs to the parent

cdef list held = []
cdef bint forking = False       # between the hooks: nobody may wait for a lock that this thread holds
cdef CSession* parked = NULL    # sessions dropped meanwhile, linked by `transport`


def before_fork():
    """Takes every store's lock, so that the child gets whole structures.

    All or none, tried with the GIL kept: a thread that waits for the GIL while it holds a lock, and one that waits for
    that lock while it holds the GIL, would wait for ever."""
    global forking
    cdef StoreCore store
    while True:
        for store in list(stores):
            if store.closed or store.kv == NULL:
                continue
            if lock_try(store.kv):
                held.append(store)
                continue
            give_held()
            store.users += 1            # it is not freed while we wait for it
            with nogil:
                lock_take(store.kv)
                lock_give(store.kv)
            store.leave()
            break
        else:
            forking = True
            return


cdef void give_held() noexcept:
    cdef StoreCore store
    while held:
        store = held.pop()
        lock_give(store.kv)


cdef void free_parked() noexcept:
    global forking, parked
    cdef CSession* s
    forking = False
    while parked != NULL:
        s = parked
        parked = <CSession*>s.transport
        session_free(s)


def after_fork_in_parent():
    give_held()
    free_parked()


def after_fork_in_child():
    cdef StoreCore store
    for store in held:
        store.users = 0                 # the other threads, and their calls, are not here
        if store.servers:
            store.forked = True
            store.servers.clear()
    give_held()
    free_parked()


os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)
