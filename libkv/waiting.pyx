"""How a call of this process waits (contract: waiting.pxd).

    thread:  lock, look, unlock -> poll(eventfd, until the deadline) -> look again
    other:   a write makes the key ready -> the command is called again under the waiting session -> kick: eventfd

A signal interrupts poll: Python's handlers are then run with the session held, so that nothing is taken for a call that
ends with KeyboardInterrupt.  In the main thread, which alone runs them, the sleep is cut into seconds: a signal may
come between the last look and poll.
"""

from threading import main_thread

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport PyThread_get_thread_ident
from libc.errno cimport EINTR, errno
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

from libkv.engine.blocking cimport (
    Blocked, blocking_expire, blocking_forget, blocking_hold, blocking_pause, blocking_release,
)
from libkv.engine.clock cimport clock_monotonic, mono_ns
from libkv.engine.decode cimport decode_reply
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.registry cimport CMD_BLOCKING, Command, command_find
from libkv.engine.session cimport session_free, session_new, session_resume
from libkv.engine.types cimport S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, S_PAUSED, S_RESUME
from libkv.structures.buffer cimport buffer_insert, buffer_trim

cdef extern from "<unistd.h>" nogil:
    int close(int)
    ssize_t write(int, const void*, size_t)
    ssize_t read(int, void*, size_t)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd*, unsigned long, int)
    enum:
        POLLIN

cdef enum:
    TICK_MS = 1000              # the longest sleep of the main thread
    OUTPUT_KEEP = 65536         # bytes of an empty output buffer that are kept
    IDLE_MAX = 16               # places in IdleSessions

# Between a command that waits and its poll nothing of Python's may run: a handler would, and leave the session waiting.
cdef unsigned long main_ident = main_thread().ident


cdef void waker_kick(Session* s) noexcept nogil:
    cdef uint64_t one = 1
    write((<Waker*>s.transport).fd, &one, 8)


cdef int waker_open(Session* s) noexcept nogil:
    cdef Waker* w
    if s.transport != NULL:
        return 0
    w = <Waker*>calloc(1, sizeof(Waker))
    if w == NULL:
        return -1
    w.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if w.fd < 0:
        free(w)
        return -1
    s.transport = w
    s.kick = waker_kick
    return 0


cdef int waker_fd(Session* s) noexcept nogil:
    cdef int fd
    lock_take(s.kv)
    fd = (<Waker*>s.transport).fd if waker_open(s) == 0 else -1
    lock_give(s.kv)
    return fd


cdef void waker_close(Session* s) noexcept nogil:
    cdef Waker* w = <Waker*>s.transport
    if w == NULL:
        return
    s.kick = NULL
    s.transport = NULL
    close(w.fd)
    free(w)


cdef int wait_look(Session* s, int* ms) noexcept nogil:
    cdef Blocked* b
    cdef int64_t at
    blocking_expire(s.kv)
    if not s.flags & (S_BLOCKED | S_PAUSED):
        return WAIT_DONE
    if s.flags & S_CLOSE_ASAP:
        blocking_forget(s)
        return WAIT_CLOSED
    b = <Blocked*>s.blocked
    at = b.deadline
    if s.flags & S_PAUSED:
        at = s.kv.pause_until * 1000 if s.kv.pause_until < INT64_MAX // 1000 else 0
    ms[0] = -1
    if at and not s.kv.clock_fixed:     # a fixed clock is moved by its owner, who has everybody look again
        at = (at - clock_monotonic(s.kv) + 999) // 1000
        ms[0] = <int>(at if at < 0x7fffffff else 0x7fffffff)
    return WAIT_ON


cdef void wait_end_all(Kv* kv) noexcept nogil:
    cdef Session* s = kv.sessions
    while s != NULL:
        if s.flags & S_EMBEDDED:
            s.flags |= S_CLOSE_ASAP
            if s.kick != NULL:
                s.kick(s)
        s = s.next


cdef void wait_look_again(Kv* kv) noexcept nogil:
    cdef Session* s = kv.sessions
    while s != NULL:
        if s.flags & S_EMBEDDED and s.kick != NULL:
            s.kick(s)
        s = s.next


cdef void wait_forked(Kv* kv) noexcept nogil:
    """The parent has the same eventfds: the child's are made anew."""
    cdef Session* s = kv.sessions
    while s != NULL:
        if s.flags & S_EMBEDDED:
            blocking_forget(s)
            waker_close(s)
        s = s.next


cdef void wait_main_forked() noexcept:
    global main_ident
    main_ident = PyThread_get_thread_ident()


cdef bint sleep_on(int fd, int ms) noexcept nogil:
    """Sleeps until the eventfd is written, and reads it.  True: a signal has come, or nothing at all."""
    cdef pollfd p
    cdef uint64_t junk
    cdef int n
    p.fd = fd
    p.events = POLLIN
    p.revents = 0
    n = poll(&p, 1, ms)
    if n > 0:
        read(fd, &junk, 8)
    return n == 0 or (n < 0 and errno == EINTR)


cdef bint wait_named(const char* p, size_t n) noexcept nogil:
    """Few names begin so: BLPOP, XREAD, WAIT and their kin."""
    cdef char first = p[0] | 32 if n else 0
    cdef Command* cmd
    if first != c"b" and first != c"x" and first != c"w":
        return False
    cmd = command_find(p, n)
    return cmd != NULL and cmd.flags & CMD_BLOCKING != 0


cdef Session* session_borrow(IdleSessions* idle, Session* like) noexcept nogil:
    cdef Session* s
    cdef Kv* kv = like.kv
    lock_take(kv)
    if idle.n:
        idle.n -= 1
        s = idle.s[idle.n]
        lock_give(kv)
    else:
        lock_give(kv)
        s = session_new(kv, b"", b"", -1, S_EMBEDDED)
    if s != NULL:
        lock_take(kv)
        s.db = like.db
        s.proto = like.proto
        s.user = like.user
        s.authenticated = like.authenticated
        s.flags &= ~<uint32_t>S_RESUME
        lock_give(kv)
    return s


cdef void session_give_back(IdleSessions* idle, Session* s) noexcept nogil:
    cdef bint kept = False
    lock_take(s.kv)
    if idle.n < IDLE_MAX and not s.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER) and s.out.n == 0:
        idle.s[idle.n] = s
        idle.n += 1
        kept = True
    else:
        waker_close(s)
    lock_give(s.kv)
    if not kept:
        session_free(s)


cdef void no_waker(Session* s) except *:
    with nogil:
        lock_take(s.kv)
        blocking_forget(s)
        lock_give(s.kv)
    raise OSError("no descriptor or memory is left to wait with")


cdef int look_for_signals(Session* s) except -1:
    cdef bint waits
    with nogil:
        lock_take(s.kv)
        waits = s.blocked != NULL
        blocking_hold(s)
        lock_give(s.kv)
    if not waits:
        return 0                        # it has its reply, which is not to be lost: the interpreter looks soon enough
    try:
        PyErr_CheckSignals()
    except BaseException:
        with nogil:
            lock_take(s.kv)
            blocking_forget(s)
            lock_give(s.kv)
        raise
    with nogil:
        lock_take(s.kv)
        blocking_release(s)
        lock_give(s.kv)
    return 0


cdef int wait_for(Session* s) except -1:
    cdef bint in_main = PyThread_get_thread_ident() == main_ident
    cdef bint quiet = False
    cdef int ms = -1
    cdef int state = WAIT_ON
    cdef int fd = -1
    while True:
        with nogil:
            lock_take(s.kv)
            fd = (<Waker*>s.transport).fd if waker_open(s) == 0 else -1
            state = wait_look(s, &ms)
            lock_give(s.kv)
            if state == WAIT_ON and fd >= 0:
                if in_main and not 0 <= ms <= TICK_MS:
                    ms = TICK_MS
                quiet = sleep_on(fd, ms)
        if state != WAIT_ON:
            return state
        if fd < 0:
            no_waker(s)
        if quiet and in_main:
            look_for_signals(s)


cdef int wait_begin_pause(Session* s) except -1:
    cdef int failed = 0
    with nogil:
        lock_take(s.kv)
        if s.kv.pause_until != 0:
            failed = blocking_pause(s)
        lock_give(s.kv)
    if failed:
        raise MemoryError("no memory to wait with")
    return 0


cdef bint wait_output(Session* s, double seconds, bint* feeding) except -1:
    cdef bint in_main = PyThread_get_thread_ident() == main_ident
    cdef int64_t end = mono_ns() + <int64_t>(seconds * 1e9) if 0 <= seconds < 1e9 else 0
    cdef int64_t left
    cdef int ms
    cdef bint here, over, resumed
    cdef uint64_t junk
    cdef int fd
    while True:
        with nogil:
            lock_take(s.kv)
            fd = (<Waker*>s.transport).fd if waker_open(s) == 0 else -1
            ms = -1
            if fd >= 0:
                read(fd, &junk, 8)      # what it told is looked at now
            wait_look(s, &ms)
            resumed = s.flags & S_RESUME != 0
            over = s.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER) != 0
            here = s.out.n != 0
            lock_give(s.kv)
            if not resumed and not here and not over and fd >= 0:
                if end:
                    left = (end - mono_ns() + 999999) // 1000000
                    over = left <= 0
                    if ms < 0 or left < ms:
                        ms = <int>(left if left < 0x7fffffff else 0x7fffffff)
                if not over:
                    if in_main and not 0 <= ms <= TICK_MS:
                        ms = TICK_MS
                    sleep_on(fd, ms)
        if resumed and not over and not feeding[0]:
            feeding[0] = True
            with nogil:
                session_resume(s)
            feeding[0] = False
            continue
        if here or over:
            return here
        if resumed:
            with nogil:
                sleep_on(fd, 1)         # until the other thread has gone through it
        if fd < 0:
            no_waker(s)
        if in_main:
            PyErr_CheckSignals()


cdef bytes take_output(Session* s):
    """In two steps: no object is made under the lock.  What comes between them stays behind, and what another thread has
    taken meanwhile is missing."""
    cdef size_t room
    cdef size_t n
    with nogil:
        lock_take(s.kv)
        room = s.out.n
        lock_give(s.kv)
    if room == 0:
        return b""
    cdef bytes out = PyBytes_FromStringAndSize(NULL, room)
    cdef char* to = PyBytes_AS_STRING(out)
    with nogil:
        lock_take(s.kv)
        n = min(room, s.out.n)
        if n:
            memcpy(to, s.out.p, n)
        s.out.n -= n
        if s.out.n:
            memmove(s.out.p, s.out.p + n, s.out.n)
        else:
            buffer_trim(&s.out, OUTPUT_KEEP)
        lock_give(s.kv)
    return out if n == room else out[:n]


cdef object take_reply(Session* s):
    cdef bytes out = take_output(s)
    cdef const char* p = PyBytes_AS_STRING(out)
    cdef const char* end = p + len(out)
    cdef const char* at = p
    cdef const char* after
    cdef size_t n
    while at < end and at[0] == c">":
        decode_reply(at, end, &after)
        at = after
    if at >= end:
        raise MemoryError("no memory for the reply")
    reply = decode_reply(at, end, &after)
    if at != p or after != end:
        with nogil:
            lock_take(s.kv)
            n = end - after
            buffer_insert(&s.out, 0, after, n)
            n = at - p
            buffer_insert(&s.out, 0, p, n)
            lock_give(s.kv)
    return reply
