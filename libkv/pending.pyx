"""A call that an event loop waits for: begun in the loop's thread, looked at again when its eventfd is readable.

What does not wait is done at once, and costs what a call of the store costs.
"""

from libc.stdint cimport uint64_t

from libkv.engine.blocking cimport blocking_forget
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.types cimport CALL_BLOCK, CALL_DONE, S_CLOSE_ASAP, Session as CSession
from libkv.fork cimport store_forking
from libkv.lifetime cimport run_cron
from libkv.session cimport Session, session_enter, session_leave
from libkv.store cimport StoreCore
from libkv.waiting cimport (
    WAIT_CLOSED, WAIT_ON, Waker, session_borrow, session_give_back, take_reply, wait_look, wait_named,
    waker_open, wait_begin_pause,
)

from libkv.errors import StoreClosed

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int, void*, size_t)


cdef class PendingCall:
    """Made by begin_call(); to be finished by poll() or cancel(), in the thread that began it."""

    cdef StoreCore store
    cdef Session session
    cdef CSession* s                # the session of the command
    cdef CSession* waiter           # the one that waits: s, or one that CLIENT PAUSE holds up in its place
    cdef bint borrowed              # s is
    cdef bint over
    cdef int ms                     # until it is to be looked at again at the latest; -1: no such time
    cdef object words
    cdef object reply

    def __dealloc__(self):
        if not self.over and self.store is not None:
            self.give_up()

    cdef void give_up(self):
        """The session waits no longer, and nothing is left behind."""
        cdef CSession* w = self.waiter
        if store_forking():             # dropped between the hooks: no lock may be waited for
            if w != NULL:
                blocking_forget(w)
            self.over = True
            self.store.users -= 1
            return
        if w != NULL:
            with nogil:
                lock_take(w.kv)
                blocking_forget(w)
                lock_give(w.kv)
        self.finish()

    cdef void finish(self):
        self.over = True
        self.drop_waiter()
        if self.borrowed:
            with nogil:
                session_give_back(&self.store.idle, self.s)
        session_leave(self.session)
        self.store.leave()

    cdef void drop_waiter(self):
        if self.waiter != NULL and self.waiter != self.s:
            with nogil:
                session_give_back(&self.store.idle, self.waiter)
        self.waiter = NULL

    cdef bint start(self) except -1:
        """Runs the command; True: it is done, and `reply` is there."""
        cdef int status = CALL_DONE
        self.reply = self.store.run(self.words, self.s, True, &status)
        if status == CALL_DONE:
            return True
        if status == CALL_BLOCK:
            self.waiter = self.s
        else:
            with nogil:
                self.waiter = session_borrow(&self.store.idle, self.s)
            if self.waiter == NULL:
                raise MemoryError("no memory for a session")
            wait_begin_pause(self.waiter)
        return False

    cdef int look(self) except -1:
        cdef CSession* w = self.waiter
        cdef int state = WAIT_CLOSED
        cdef bint failed
        cdef bint closed = self.store.closed or (self.session is not None and self.session.closed)
        cdef uint64_t junk
        with nogil:
            lock_take(w.kv)
            if closed:
                w.flags |= S_CLOSE_ASAP
            failed = waker_open(w) != 0
            if not failed:
                read((<Waker*>w.transport).fd, &junk, 8)
                state = wait_look(w, &self.ms)
            lock_give(w.kv)
        if failed:
            raise OSError("no descriptor or memory is left to wait with")
        return state

    @property
    def fd(self):
        """An eventfd, readable when poll() has news.  Another one after each poll()."""
        return (<Waker*>self.waiter.transport).fd

    @property
    def remaining(self):
        """Seconds after which poll() is to be called in any case, or None."""
        return None if self.ms < 0 else self.ms / 1000

    def poll(self):
        """(True, reply) when it is done, else (False, None); StoreClosed when the store or the session is closed."""
        cdef int state
        try:
            while True:
                state = self.look()
                if state == WAIT_ON:
                    return False, None
                if state == WAIT_CLOSED:
                    raise StoreClosed("the store or its session was closed while the call waited")
                if self.waiter == self.s:
                    self.reply = take_reply(self.s)
                    self.store.settle()
                    self.waiter = NULL
                    self.finish()
                    return True, self.reply
                self.drop_waiter()          # the pause is over
                if self.start():
                    self.finish()
                    return True, self.reply
        except BaseException:
            if not self.over:
                self.give_up()
            raise

    def cancel(self):
        """Ends it without a reply.  (True, reply): too late, the command was executed; else (False, None)."""
        cdef bint served = False
        if self.over:
            return False, None
        if self.waiter == self.s and self.s != NULL:
            with nogil:
                lock_take(self.s.kv)
                served = self.s.blocked == NULL
                blocking_forget(self.s)
                lock_give(self.s.kv)
        try:
            return (True, take_reply(self.s)) if served else (False, None)
        finally:
            self.give_up()


def begin_call(StoreCore store not None, tuple words not None, Session session=None):
    """Runs a command: (True, its reply); or, when it has to wait, (False, a PendingCall)."""
    cdef PendingCall call = PendingCall.__new__(PendingCall)
    cdef bytes name = words[0] if words else b""
    cdef CSession* s
    cdef bint shared
    store.enter()
    try:
        s = session_enter(store, session)
    except BaseException:
        store.leave()
        raise
    call.store = store
    call.session = session
    call.words = words
    call.s = s
    call.ms = -1
    try:
        run_cron(store)
        shared = session is None or session.shared
        if s.blocked != NULL:
            raise RuntimeError("another call waits in this session")
        if shared and wait_named(name, len(name)):
            with nogil:
                s = session_borrow(&store.idle, s)
            if s == NULL:
                raise MemoryError("no memory for a session")
            call.s = s
            call.borrowed = True
        if call.start():
            call.finish()
            return True, call.reply
        if call.look() == WAIT_ON:
            return False, call
    except BaseException:
        if not call.over:
            call.give_up()
        raise
    done, reply = call.poll()           # it was served, or its time was over, at once
    return (True, reply) if done else (False, call)
