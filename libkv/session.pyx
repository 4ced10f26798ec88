"""A session of an embedded store as a Python object: its database, MULTI and WATCH, bytes in and bytes out."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from libkv.engine.clock cimport mono_ns
from libkv.engine.decode cimport decode_reply
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.push cimport push_listen
from libkv.engine.session cimport session_data, session_free, session_new
from libkv.engine.types cimport (
    EVENT_EXPIRED, HOOK_NOTIFY, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, Kv, Session as CSession,
)
from libkv.fork cimport fork_park, store_forking
from libkv.lifetime cimport CRON_MS, StoreLifetime, run_cron
from libkv.waiting cimport take_output, wait_look, wait_output, waker_close, waker_fd

from libkv.errors import ResponseError, StoreClosed


cdef CSession* session_enter(StoreLifetime store, Session session) except NULL:
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
    cdef CSession* s = session.s
    session.s = NULL
    if s == NULL or session.store.kv == NULL or session.store.forked:
        return
    if store_forking():
        fork_park(s)
        return
    session.store.users += 1            # the end of the store frees sessions too: not while this one is being freed
    with nogil:
        lock_take(s.kv)
        waker_close(s)
        lock_give(s.kv)
        session_free(s)
    session.store.leave()


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


cdef int take_input(Session session, CSession* s, bytes data, bint received) except -1:
    """Runs requests; `received`: another thread may wait in receive() for what they answer."""
    cdef const char* p = PyBytes_AS_STRING(data)
    cdef size_t n = PyBytes_GET_SIZE(data)
    if session.feeding:
        raise RuntimeError("another thread feeds this session: one stream of bytes has one writer")
    session.feeding = True
    with nogil:
        push_listen(s)
        session_data(s, p, n)
        if received:
            lock_take(s.kv)
            if s.kick != NULL:
                s.kick(s)
            lock_give(s.kv)
    session.feeding = False
    session.store.settle()
    return 0


cdef class Session:
    """A session of an embedded store; made by StoreCore.new_session."""

    def __cinit__(self, StoreLifetime store, database=0, protocol=2):
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
        cdef CSession* s
        self.store.enter()
        try:
            s = session_enter(self.store, self)
            try:
                take_input(self, s, data, False)
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
        cdef CSession* s
        self.store.enter()
        try:
            s = session_enter(self.store, self)
            try:
                take_input(self, s, data, True)
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
