"""A network client whose bytes come by way of Python: what the TLS host drives.

The same session as the C server's; only the transport differs.  An eventfd takes the place of the loop's wake.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport strlen

from libkv.commands.clients cimport Transport, client_line
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.parser cimport Parser
from libkv.engine.push cimport push_class
from libkv.engine.session cimport session_data, session_free, session_new, session_resume
from libkv.engine.types cimport S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_PAUSED, S_RESUME, Session
from libkv.store cimport StoreCore
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init

from libkv.errors import ResponseError, StoreClosed

cdef extern from "<unistd.h>" nogil:
    ssize_t write(int, const void*, size_t)

cdef struct ByteCarrier:        # session.transport points here
    Transport transport
    int kick_fd


cdef void byte_kick(Session* s) noexcept nogil:
    cdef uint64_t one = 1
    write((<ByteCarrier*>s.transport).kick_fd, &one, 8)


cdef class ByteSession:
    """A client: bytes in (feed), reply bytes out (take).

    kick_fd: an eventfd that is written when another thread has changed the session (CLIENT KILL).
    """

    cdef Session* s
    cdef StoreCore store
    cdef ByteCarrier* carrier

    def __cinit__(self, StoreCore store not None, str addr, str laddr, int fd, int kick_fd):
        cdef bytes peer = addr.encode()
        cdef bytes own = laddr.encode()
        cdef const char* a = peer
        cdef const char* b = own
        if store.closed or store.kv == NULL:
            raise StoreClosed("the store is closed")
        self.store = store
        self.carrier = <ByteCarrier*>calloc(1, sizeof(ByteCarrier))
        if self.carrier == NULL:
            raise MemoryError
        self.carrier.kick_fd = kick_fd
        with nogil:
            self.s = session_new(store.kv, a, b, fd, 0)
            if self.s != NULL:
                lock_take(store.kv)
                self.s.transport = self.carrier
                self.s.kick = byte_kick
                store.kv.stats.connections += 1
                lock_give(store.kv)
        if self.s == NULL:
            raise MemoryError

    def __dealloc__(self):
        self.close()

    cpdef close(self):
        """Ends the session.  Twice does no harm."""
        cdef Session* s = self.s
        if s == NULL:
            return
        self.s = NULL
        with nogil:
            lock_take(s.kv)
            s.kick = NULL
            s.transport = NULL
            lock_give(s.kv)
            session_free(s)
        free(self.carrier)
        self.carrier = NULL

    def feed(self, bytes data):
        """Runs what is complete; False: the session has ended, and what take() returns is its last."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t n = PyBytes_GET_SIZE(data)
        cdef bint goes_on
        if self.s == NULL:
            return False
        with nogil:
            goes_on = session_data(self.s, p, n)
            lock_take(self.s.kv)
            self.s.kv.stats.net_in += n
            self.s.kv.stats.reads_processed += 1
            lock_give(self.s.kv)
        return goes_on

    def resume(self):
        """Runs what has come while the session waited, when it waits no longer; returns as feed does."""
        cdef bint goes_on = True
        if self.s == NULL:
            return False
        if self.s.flags & S_RESUME and not self.s.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER):
            with nogil:
                goes_on = session_resume(self.s)
        return goes_on

    def take(self, size_t in_flight):
        """The replies that have come together; in_flight: bytes that are still to be sent from earlier."""
        cdef Buffer out
        buffer_init(&out)
        if self.s == NULL:
            return b""
        try:
            self.store.settle()         # what the replies tell is as durable as `appendfsync` says
        except ResponseError:
            return b""                  # it can't be: the server ends
        with nogil:
            lock_take(self.s.kv)
            out = self.s.out
            buffer_init(&self.s.out)
            self.carrier.transport.in_flight = in_flight
            self.s.sent += out.n
            self.s.kv.stats.net_out += out.n
            self.s.kv.stats.writes_processed += out.n != 0
            lock_give(self.s.kv)
        try:
            return PyBytes_FromStringAndSize(out.p, out.n) if out.n else b""
        finally:
            buffer_free(&out)

    @property
    def killed(self):
        """Whether it is to be closed at once, without sending the rest."""
        return self.s == NULL or (self.s.flags & S_CLOSE_ASAP) != 0

    @property
    def ending(self):
        """Whether it is to be closed when the replies are out."""
        return self.s == NULL or (self.s.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER)) != 0

    @property
    def waits(self):
        """Whether it waits for a key or the end of a pause."""
        return self.s != NULL and (self.s.flags & (S_BLOCKED | S_PAUSED)) != 0

    @property
    def output_limits(self):
        """client-output-buffer-limit of its class: hard and soft limit in bytes (0: none), seconds above the soft one."""
        cdef int kind
        if self.s == NULL:
            return 0, 0, 0
        kind = push_class(self.s)
        return (self.store.kv.settings.client_output_hard[kind], self.store.kv.settings.client_output_soft[kind],
                self.store.kv.settings.client_output_soft_seconds[kind])

    @property
    def unread(self):
        """Bytes of an unfinished command."""
        return self.s.unread.n if self.s != NULL else 0

    @property
    def idle(self):
        """Seconds since the last command."""
        return (self.s.kv.mono // 1000 - self.s.last_ms) / 1000 if self.s != NULL else 0.0

    @property
    def protocol_error(self):
        """Why the client's bytes are no requests, or None."""
        cdef const char* why = (<Parser*>self.s.parser).error if self.s != NULL else NULL
        return None if why == NULL else why[:strlen(why)].decode("utf-8", "replace")

    def line(self):
        """Its line of CLIENT LIST."""
        cdef Buffer out
        if self.s == NULL:
            return ""
        buffer_init(&out)
        with nogil:
            lock_take(self.s.kv)
            client_line(self.s, 0, &out)
            lock_give(self.s.kv)
        try:
            return out.p[:out.n].decode("utf-8", "replace")
        finally:
            buffer_free(&out)
