# How a call of this process waits: a session's kick writes an eventfd, and the waiting thread (or event loop) looks again.

from libkv.commands.clients cimport Transport
from libkv.engine.types cimport Kv, Session

cdef enum:
    WAIT_DONE = 0               # the session waits no longer: its reply is in `out`
    WAIT_CLOSED = 1             # it was ended meanwhile (S_CLOSE_ASAP), and does not wait any more
    WAIT_ON = 2

cdef struct Waker:              # session.transport of an embedded session that has waited once
    Transport transport
    int fd                      # an eventfd

# lock held
cdef int waker_open(Session* s) noexcept nogil          # makes it, unless it is there; 0, or -1: no descriptor or no memory
cdef void waker_close(Session* s) noexcept nogil        # gives it back; without a waker nothing
cdef int wait_look(Session* s, int* ms) noexcept nogil  # WAIT_*; ms: how long to sleep at most, -1 = for ever
cdef void wait_end_all(Kv* kv) noexcept nogil           # the store closes: every embedded session that waits is ended
cdef void wait_look_again(Kv* kv) noexcept nogil        # the clock is another: every embedded session that waits looks
cdef void wait_forked(Kv* kv) noexcept nogil            # in a forked child: those who waited are not here

cdef void wait_main_forked() noexcept                   # in a forked child: the thread that forked is the main one

cdef int waker_fd(Session* s) noexcept nogil             # takes the lock: its eventfd, made if need be, or -1
cdef bint wait_named(const char* p, size_t n) noexcept nogil    # whether this is the name of a command that may wait

cdef struct IdleSessions:       # sessions that calls through shared handles have waited in, for the next that wait
    Session* s[16]
    int n

# take the lock themselves
cdef Session* session_borrow(IdleSessions* idle, Session* like) noexcept nogil
    # one that nobody else uses, with the database, protocol and user of `like`; NULL without memory
cdef void session_give_back(IdleSessions* idle, Session* s) noexcept nogil
cdef int wait_begin_pause(Session* s) except -1         # a borrowed session waits for the end of CLIENT PAUSE (wait_for)
cdef object take_reply(Session* s)                      # the reply of a command that has waited; pushes stay in s.out
cdef int wait_for(Session* s) except -1
    # until it waits no longer: WAIT_DONE or WAIT_CLOSED.  Raises what a signal's handler raises (KeyboardInterrupt): then the
    # session does not wait any more, and nothing was taken for it
cdef bint wait_output(Session* s, double seconds, bint* feeding) except -1
    # until something is in s.out (True), the session has ended, or the time is over (< 0: never); runs what came after a
    # command that waited, unless *feeding: another thread runs what comes in (read and written with the GIL held)
cdef bytes take_output(Session* s)                      # what is in s.out
