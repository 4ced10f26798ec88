# The event loop's interface: completions of accepts, reads and writes, whatever the kernel's mechanism is.
#
# A host (the server, a test) fills a LoopHost with its functions and owns the connections: its own struct begins with a
# Conn.  It *asks* (functions loop_*: they only note the wish down in Loop and Conn) and a backend *does*, inside
# run_once, and tells by the host's on_* functions what is complete.  So a backend (epoll.pyx now, io_uring another day)
# is one file, chosen once an iteration and not by a pointer an operation.
#
# One iteration (run_once):
#   1. waits: at most `timeout`; polls up to `spin` microseconds first when that has paid lately
#   2. on_accept, on_data (of all that was readable, as a batch), on_eof, on_error, on_sent, on_fd, on_wake, on_timer
#   3. on_round: the host takes what its clients have to be sent, and queues it
#   4. the flush: one write a queued connection; on_sent
#   5. on_closed for connections that were asked to close: the only place where a connection may be freed
#
# Rules:
# - on_data's bytes are borrowed until it returns.  It may come for a connection after loop_recv_stop or loop_close.
# - A buffer given to loop_send is the loop's until on_sent or on_closed: the host neither frees nor grows it (it fills
#   another one, and swaps).
# - The loop makes sockets non-blocking.  Everything but loop_wake is for the loop's own thread.
# - Events carry a slot and the slot's generation, so that what the kernel reports late about a closed descriptor (one
#   that a forked child still has open) meets nobody else's connection.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    static inline int kv_atomic_swap(int *p, int v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
    static inline int kv_atomic_get(int *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    """
    int kv_atomic_swap(int* p, int v) nogil
    int kv_atomic_get(int* p) nogil

cdef extern from "<unistd.h>" nogil:
    ssize_t loop_c_write "write"(int, const void*, size_t)

cdef enum:
    # Conn.state
    CONN_READ = 1               # the host wants data
    CONN_IN = 2                 # the backend watches for data
    CONN_OUT = 4                # the backend watches for room to send
    CONN_SENDING = 8            # out..out + out_n is the loop's
    CONN_LISTED = 16            # in loop.sends
    CONN_CHANGED = 32           # in loop.changes
    CONN_CLOSING = 64           # loop_close was called
    CONN_EOF = 128              # the peer sends no more
    CONN_MORE = 256             # in loop.mores
    LOOP_TIMERS = 4
    LOOP_LISTENERS = 32
    LOOP_FDS = 16
    LOOP_OPEN_WORDS = 1024      # of the set of open connections' descriptors: 65536

cdef struct Conn:               # the host's connection begins with it
    Conn* next_send
    Conn* next_change
    Conn* next_close
    Conn* next_more
    int fd
    uint32_t slot               # index into loop.slots
    uint32_t state
    const char* out             # in flight
    size_t out_n
    size_t out_at               # bytes of it that the kernel has

cdef struct Received:
    Conn* conn
    const char* p
    size_t n

cdef struct LoopHost:
    void* host                  # first argument of all of these
    Conn* (*on_accept)(void* host, int tag, int fd, const void* addr, uint32_t addr_n) noexcept nogil
        # a connection for the socket, its Conn all zeros (then reading starts), or NULL: the loop closes the socket.
        # Nothing may be asked of the loop for this connection before on_accept has returned.
    void (*on_accept_error)(void* host, int tag, int error) noexcept nogil
    void (*on_data)(void* host, Received* batch, int n) noexcept nogil
    void (*on_eof)(void* host, Conn* c) noexcept nogil          # no more data; sending still works; the host closes
    void (*on_error)(void* host, Conn* c, int error) noexcept nogil     # broken: the loop closes it
    void (*on_round)(void* host) noexcept nogil
    void (*on_sent)(void* host, Conn* c) noexcept nogil         # all of the buffer is out: it is the host's again
    void (*on_closed)(void* host, Conn* c) noexcept nogil
    void (*on_timer)(void* host, int timer) noexcept nogil
    void (*on_wake)(void* host) noexcept nogil
    void (*on_fd)(void* host, int fd, uint32_t events) noexcept nogil   # events: EPOLLIN, ...

cdef struct Slot:
    Conn* conn                  # NULL: free
    uint32_t generation
    uint32_t next_free

cdef struct Loop:
    LoopHost on
    void* backend               # the backend's own
    int wake_fd                 # an eventfd
    int woken                   # atomic: 1 = wake_fd is written and not read yet
    Slot* slots                 # connections by number
    uint32_t n_slots            # made
    uint32_t n_conns            # in use
    Conn* sends                 # queued for the flush
    Conn* changes               # whose reading was started or stopped
    Conn* closes
    Conn* mores                 # read as far as the buffer went: they are read again before the next wait
    int64_t now_us              # monotonic, read once an iteration
    int64_t timers[LOOP_TIMERS]  # when due, monotonic us; 0 = off
    int64_t gap_us              # running mean of the time from "nothing to do" to the next event
    int listeners[LOOP_LISTENERS]
    int n_listeners
    int fds[LOOP_FDS]           # watched: see loop_watch_fd of the backend
    int n_fds
    bint again                  # the host has more to do: the next wait is none
    uint64_t open_fds[LOOP_OPEN_WORDS]  # one bit a connection's descriptor, for epoll_forget
    # counters, for INFO and tests
    uint64_t reads
    uint64_t writes
    uint64_t waits
    uint64_t spins              # polls that found nothing


cdef inline void loop_send(Loop* l, Conn* c, const char* p, size_t n) noexcept nogil:
    """Queues n > 0 bytes; the connection must not be sending.  They are the loop's until on_sent or on_closed."""
    c.out = p
    c.out_n = n
    c.out_at = 0
    c.state |= CONN_SENDING
    if not c.state & CONN_LISTED:
        c.state |= CONN_LISTED
        c.next_send = l.sends
        l.sends = c

cdef inline void loop_recv(Loop* l, Conn* c, bint on) noexcept nogil:
    """Starts or stops reading."""
    if on:
        c.state |= CONN_READ
    else:
        c.state &= ~<uint32_t>CONN_READ
    if not c.state & CONN_CHANGED:
        c.state |= CONN_CHANGED
        c.next_change = l.changes
        l.changes = c

cdef inline void loop_close(Loop* l, Conn* c) noexcept nogil:
    """Closes at the end of this iteration; on_closed follows.  May be called again."""
    if not c.state & CONN_CLOSING:
        c.state |= CONN_CLOSING
        c.next_close = l.closes
        l.closes = c

cdef inline void loop_timer(Loop* l, int timer, int64_t at_us) noexcept nogil:
    """on_timer(timer) at this monotonic time, once; 0 takes it back."""
    l.timers[timer] = at_us

cdef inline void loop_wake(Loop* l) noexcept nogil:
    """on_wake in the loop's thread, soon.  From any thread; many calls may become one on_wake."""
    cdef uint64_t one = 1
    if kv_atomic_swap(&l.woken, 1) == 0:
        loop_c_write(l.wake_fd, &one, 8)

cdef inline size_t loop_in_flight(Conn* c) noexcept nogil:
    """Bytes that the loop still has to send."""
    return c.out_n - c.out_at if c.state & CONN_SENDING else 0
