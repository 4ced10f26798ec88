"""A store as a Python object: calls in, reply objects out (libkv.api gives it redis-py's methods).

A call releases the GIL, takes the store's lock, executes into a C buffer, gives the lock back, takes the GIL, and only
then makes Python objects: nothing of Python runs under the lock, and the GIL is never waited for while it is held.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

from libkv.engine.blocking cimport blocking_expire, blocking_shift
from libkv.engine.checks cimport check_all
from libkv.engine.clock cimport clock_monotonic
from libkv.engine.decode cimport decode_reply
from libkv.engine.direct cimport DIRECT_DONE, DIRECT_MAX, DIRECT_NIL, direct_get, direct_set
from libkv.engine.lock cimport lock_give, lock_take, lock_try
from libkv.engine.replay cimport replay_effects
from libkv.engine.session cimport session_run
from libkv.engine.store cimport kv_cron
from libkv.engine.types cimport CALL_BLOCK, CALL_DONE, S_BLOCKED, S_CLOSE_ASAP, Arg, Reply, Session as CSession
from libkv.lifetime cimport StoreLifetime, run_cron
from libkv.persistence.durable cimport JOURNAL_OFF, durable_of
from libkv.persistence.journal cimport journal_settle, journal_take
from libkv.session cimport Session, session_enter, session_leave
from libkv.structures.alloc cimport heap_fail_after
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init
from libkv.structures.cell cimport Slice
from libkv.waiting cimport (
    WAIT_DONE, session_borrow, session_give_back, take_reply, wait_begin_pause, wait_for, wait_look_again, wait_named,
)

from libkv.errors import DataError, ResponseError, StoreClosed

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*)

cdef enum:
    ARGS_ON_STACK = 24


cdef class StoreCore(StoreLifetime):
    """A store, and the plain way to call it."""

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
