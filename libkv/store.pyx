"""A store as a Python object: calls in, reply objects out (libkv.api gives it redis-py's methods).

A call releases the GIL, takes the store's lock, executes into a C buffer, gives the lock back, takes the GIL, and only
then makes Python objects: nothing of Python runs under the lock, and the GIL is never waited for while it is held.
"""

import logging
import os
import weakref

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

from libkv.engine.blocking cimport blocking_expire, blocking_shift
from libkv.engine.checks cimport check_all
from libkv.engine.clock cimport clock_monotonic, mono_ns
from libkv.engine.config cimport config_put
from libkv.engine.decode cimport decode_reply
from libkv.engine.direct cimport DIRECT_DONE, DIRECT_MAX, DIRECT_NIL, direct_get, direct_set
from libkv.engine.lock cimport lock_give, lock_take, lock_try
from libkv.engine.push cimport push_listen
from libkv.engine.replay cimport replay_effects
from libkv.engine.session cimport session_data, session_free, session_new, session_run
from libkv.engine.store cimport kv_cron, kv_delete, kv_new
from libkv.engine.types cimport (
    CALL_BLOCK, CALL_DONE, EVENT_EXPIRED, HOOK_NOTIFY, S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, Arg, Kv, Reply,
)
from libkv.persistence.durable cimport (
    JOURNAL_OFF, SAVES_BY_COMMAND, Durable, LogLine, durable_attach, durable_detach, durable_forget, durable_of,
    durable_set_libraries, durable_take_line,
)
from libkv.persistence.files cimport files_default
from libkv.persistence.journal cimport journal_settle, journal_take
from libkv.scripting.script_engine cimport scripting_end_run
from libkv.scripting.libraries cimport libraries_each, libraries_load
from libkv.structures.alloc cimport heap_fail_after
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init
from libkv.structures.cell cimport Slice
from libkv.waiting cimport (
    WAIT_DONE, session_borrow, session_give_back, take_output, take_reply, wait_end_all, wait_for, wait_forked,
    wait_begin_pause, wait_look, wait_look_again, wait_named, wait_output, waker_close, waker_fd,
)

from libkv.errors import DataError, ResponseError, StoreClosed, StoreForked

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*)

cdef enum:
    ARGS_ON_STACK = 24
    CRON_MS = 100               # an idle embedded store costs nothing: its cron runs along with calls

log = logging.getLogger("libkv")

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

    cdef object run(self, args, CSession* session, bint waits, int* status):
        cdef Arg room[ARGS_ON_STACK]
        cdef Arg* argv = room
        cdef tuple words = args if type(args) is tuple else tuple(args)
        cdef Py_ssize_t n = len(words)
        cdef Py_ssize_t i
        cdef Buffer out
        cdef Reply r
        cdef const char* after
        cdef bytes word
        cdef uint64_t offset
        cdef int error = 0
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
                status[0] = session_run(session, argv, <int>n, &r)
                offset = journal_take(self.kv)
                lock_give(self.kv)
                if offset and waits:
                    error = journal_settle(durable_of(self.kv), offset)
        finally:
            if argv != room:
                free(argv)
        try:
            if error:
                raise ResponseError(
                    f"MISCONF Errors writing to the AOF file: {os.strerror(error)}; the command was executed, and may be lost"
                )
            if out.failed:
                raise MemoryError("no memory for the reply")
            return decode_reply(out.p, out.p + out.n, &after) if out.n else None
        finally:
            buffer_free(&out)

    cdef object call(self, args, CSession* s, Session session, bint waits):
        """run, and what it may have to wait for; a session that others use too is not waited in."""
        cdef CSession* own
        if not ((session is None or session.shared) and may_wait(args)):
            return self.call_in(args, s, session, waits)
        with nogil:
            own = session_borrow(&self.idle, s)
        if own == NULL:
            raise MemoryError("no memory for a session")
        try:
            return self.call_in(args, own, session, waits)
        finally:
            with nogil:
                session_give_back(&self.idle, own)

    cdef object call_in(self, args, CSession* s, Session session, bint waits):
        cdef int status = CALL_DONE
        cdef CSession* own
        while True:
            if s.flags & S_BLOCKED:
                raise RuntimeError("another thread waits in this session")
            reply = self.run(args, s, waits, &status)
            if status == CALL_DONE:
                return reply
            if status == CALL_BLOCK:
                self.wait_in(s, session)
                return take_reply(s)
            with nogil:
                own = session_borrow(&self.idle, s)
            if own == NULL:
                raise MemoryError("no memory for a session")
            try:
                wait_begin_pause(own)
                self.wait_in(own, session)
            finally:
                with nogil:
                    session_give_back(&self.idle, own)

    cdef int wait_in(self, CSession* s, Session session) except -1:
        """wait_for; what was closed before the session began to wait ends it too."""
        if self.closed or (session is not None and session.closed):
            with nogil:
                lock_take(s.kv)
                s.flags |= S_CLOSE_ASAP
                lock_give(s.kv)
        if wait_for(s) != WAIT_DONE:
            raise StoreClosed("the store or its session was closed while the call waited")
        return 0

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
                return self.call(args, s, session, True)
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
                replies = [self.call(args, s, session, False) for args in commands]
                self.settle()
                return replies
            finally:
                session_leave(session)
        finally:
            self.leave()

    def new_session(self, database=0, protocol=2, bint shared=False):
        """A session of its own: database, MULTI, WATCH, name, protocol (2 or 3).

        shared: several callers use it at the same time, so that a command that waits does so in a session of its own."""
        cdef Session session = Session(self, database, protocol)
        session.shared = shared
        return session

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
                if durable_of(self.kv) != NULL and durable_of(self.kv).state != JOURNAL_OFF:
                    self.settle_counted()
                return (<bytes>out).decode("utf-8") if self.decodes else out
            return self.execute_command("GET", name)
        lock_give(self.kv)
        if found == DIRECT_NIL and durable_of(self.kv) != NULL and durable_of(self.kv).state != JOURNAL_OFF:
            self.settle_counted()
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
                if durable_of(self.kv) != NULL and durable_of(self.kv).state != JOURNAL_OFF:
                    self.settle_counted()
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
            return
        scripting_end_run(self.kv)          # a script that takes long ends, others finish
        self.users += 1                 # so that the last call to leave does not end the store meanwhile
        with nogil:
            lock_take(self.kv)
            wait_end_all(self.kv)       # calls that wait raise StoreClosed
            lock_give(self.kv)
        self.leave()

    def set_clock(self, unix_ms):
        """Fixes the store's clock at a time (milliseconds of Unix time), or lets it run again: None.  For tests.

        The monotonic clock moves along with a fixed one."""
        cdef int64_t ms = 0
        cdef bint fixed = unix_ms is not None
        cdef bint was
        cdef int64_t before
        self.enter()
        try:
            if fixed:
                ms = unix_ms
                if ms < 0:
                    raise ValueError(f"unix_ms is {ms}, and must not be negative")
            with nogil:
                lock_take(self.kv)
                was = self.kv.clock_fixed
                before = clock_monotonic(self.kv)
                self.kv.clock_wall = ms
                self.kv.clock_mono = ms * 1000
                self.kv.clock_fixed = fixed
                if was != fixed:        # another time scale: who waits, waits as long as before
                    blocking_shift(self.kv, clock_monotonic(self.kv) - before)
                    wait_look_again(self.kv)
                blocking_expire(self.kv)
                lock_give(self.kv)
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


cdef bint may_wait(args):
    """Whether these words, all bytes, are a command that may wait."""
    cdef bytes name = args[0] if args else b""
    return wait_named(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))


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
        waker_close(s)                  # we hold the lock
        s.transport = parked
        parked = s
        return
    session.store.users += 1            # end() frees sessions too: not while this one is being freed
    with nogil:
        lock_take(s.kv)
        waker_close(s)
        lock_give(s.kv)
        session_free(s)
    session.store.leave()


cdef void tell_log(StoreCore store) noexcept:
    """What the durable side has to say while no server takes it."""
    cdef LogLine line
    while durable_take_line(durable_of(store.kv), &line):
        try:
            log.log((10, 15, 20, 30)[line.level & 3], "%s", line.text.decode("utf-8", "replace"))
        except Exception:
            PyErr_Clear()


cdef void run_cron(StoreCore store) noexcept:
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


cdef int with_push_listen(Session session) except -1:
    cdef CSession* s
    session.store.enter()
    try:
        s = session_enter(session.store, session)
        with nogil:
            push_listen(s)
        session_leave(session)
    finally:
        session.store.leave()
    return 0


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
                    push_listen(s)
                    session_data(s, p, n)
                self.feeding = False
                self.store.settle()
                return take_output(s)
            finally:
                session_leave(self)
        finally:
            self.store.leave()

    def wait(self, timeout=None):
        """Waits for bytes that no feed() returned: the reply of a command that waits, messages; b"": the time is over, or
        the session has ended.  timeout: seconds, None: for ever.  Other threads and event loops go on; Ctrl-C ends it."""
        cdef double seconds = -1.0 if timeout is None else max(timeout, 0.0)
        cdef CSession* s
        self.store.enter()
        try:
            s = session_enter(self.store, self)
            try:
                self.waiting += 1
                try:
                    wait_output(s, seconds, &self.feeding)
                finally:
                    self.waiting -= 1
                return take_output(s)
            finally:
                session_leave(self)
        finally:
            self.store.leave()

    def fileno(self):
        """An eventfd that becomes readable when wait(0) may have something; for an event loop."""
        cdef CSession* s
        cdef int fd
        self.store.enter()
        try:
            s = session_enter(self.store, self)
            try:
                fd = waker_fd(s)
                if fd < 0:
                    raise OSError("no descriptor or memory is left to wait with")
                return fd
            finally:
                session_leave(self)
        finally:
            self.store.leave()

    @property
    def remaining(self):
        """Seconds after which wait(0) has something in any case (the time of a command that waits is over), or None."""
        cdef int ms = -1
        if self.s == NULL or self.closed or self.store.closed:
            return None
        self.store.enter()
        try:
            with nogil:
                lock_take(self.s.kv)
                wait_look(self.s, &ms)
                lock_give(self.s.kv)
        finally:
            self.store.leave()
        return None if ms < 0 else ms / 1000

    def send(self, bytes data):
        """Requests as feed() takes them; what they answer is left for receive(), behind what has come before."""
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
                    push_listen(s)
                    session_data(s, p, n)
                    lock_take(s.kv)
                    if s.kick != NULL:
                        s.kick(s)       # who waits in receive() looks
                    lock_give(s.kv)
                self.feeding = False
                self.store.settle()
            finally:
                session_leave(self)
        finally:
            self.store.leave()

    def receive(self, timeout=None):
        """Waits as wait() does; the list of the replies and pushes that have come, each as execute() gives a reply."""
        cdef bytes out = b""
        cdef const char* at
        cdef const char* end
        cdef double until = mono_ns() / 1e9 + (timeout if timeout is not None else 0.0)
        cdef double left
        with_push_listen(self)
        while True:
            left = max(until - mono_ns() / 1e9, 0.0)
            if not self.ticks:
                out = self.wait(None if timeout is None else left)
                break
            out = self.wait(CRON_MS / 1000.0 if timeout is None or left > CRON_MS / 1000.0 else left)
            if out or self.closed or (timeout is not None and until <= mono_ns() / 1e9):
                break
        at = PyBytes_AS_STRING(out)
        end = at + PyBytes_GET_SIZE(out)
        found = []
        while at < end:
            found.append(decode_reply(at, end, &at))
        return found

    @property
    def ticks(self):
        """Whether expiries are told as messages and nobody else keeps the store going: then who waits for messages looks
        every 100 ms.  Looking is what runs the store's periodic work."""
        cdef Kv* kv
        if self.closed or self.store.closed or self.store.kv == NULL or self.store.servers:
            return False
        kv = self.store.kv
        run_cron(self.store)
        return kv.hooks & HOOK_NOTIFY != 0 and kv.settings.notify_keyspace_events & EVENT_EXPIRED != 0

    @property
    def waits(self):
        """Whether its last command waits (for a key, or the end of CLIENT PAUSE)."""
        return not self.closed and not self.store.closed and self.s != NULL and self.s.blocked != NULL

    def close(self):
        """Ends the session; its WATCHes and queued commands go.  Twice does no harm."""
        self.closed = True
        if self.users == 0:
            session_end(self)
        elif self.s != NULL and not self.store.forked:
            self.users += 1
            self.store.users += 1
            with nogil:                 # a call that waits in it raises StoreClosed
                lock_take(self.s.kv)
                if self.waiting or self.s.blocked != NULL:
                    self.s.flags |= S_CLOSE_ASAP
                if self.s.kick != NULL:
                    self.s.kick(self.s)
                lock_give(self.s.kv)
            session_leave(self)
            self.store.leave()


# ---- fork: a memory store goes on as a private copy; a served or durable one belongs to the parent

cdef list held = []
cdef bint forking = False       # between the hooks: nobody may wait for a lock that this thread holds
cdef CSession* parked = NULL    # sessions dropped meanwhile, linked by `transport`


cdef bint store_forking() noexcept:
    return forking


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
    cdef Durable* d
    cdef bint durable
    for store in held:
        store.users = 0                 # the other threads, and their calls, are not here
        wait_forked(store.kv)
        d = durable_of(store.kv)
        durable = d != NULL and (d.state != JOURNAL_OFF or d.save_mode != SAVES_BY_COMMAND)
        durable_forget(store.kv)
        if not durable and not store.servers:
            if durable_attach(store.kv, files_default()) == 0:
                durable_set_libraries(store.kv, libraries_each, libraries_load, NULL)
        if store.servers or durable:
            store.forked = True
            store.servers.clear()
    give_held()
    free_parked()


os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)
