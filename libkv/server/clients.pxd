# A server's state and its clients': shared by clients.pyx (connections) and server.pyx (the thread and its Python face).

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.commands.clients cimport Transport
from libkv.engine.types cimport Kv, Session
from libkv.persistence.durable cimport Waker
from libkv.server.listen cimport LISTEN_ERROR, LISTEN_MAX
from libkv.server.logqueue cimport LogQueue
from libkv.server.loop cimport Conn, Loop, Received
from libkv.structures.buffer cimport Buffer

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    pthread_t pthread_self()
    int pthread_equal(pthread_t, pthread_t)

cdef enum:
    # the loop's timers
    CRON = 0
    WAITS_TIMER = 1             # the next session whose time to wait is over
    PATH_ROOM = 108             # bytes of a unix socket's path

cdef struct Server

cdef struct Carrier:            # session.transport points here
    Transport transport
    Client* client

cdef struct Client:
    Conn conn                   # first: the loop's Conn* is our Client*
    Carrier carrier
    Server* server
    Session* session
    Buffer flight               # being sent
    Client* next_dirty
    Client* next_kicked
    Client* next_resumed
    Client* next_resume
    bint dirty
    bint kicked                 # lock
    bint resumed                # lock: in server.resumed
    bint ending                 # closes when the replies are out
    bint close_now              # without sending the rest
    bint resume                 # in server.resumes
    bint more                   # `out` filled while `flight` was on its way
    size_t to_send              # of this round
    bint held                   # `flight` waits for the journal to be on the disk up to session.durable_at
    Client* next_held
    int64_t soft_since_ms       # above the soft limit of pending replies since then; 0 = below

cdef struct Server:
    Loop loop
    Kv* kv
    LogQueue log
    pthread_t thread
    int stopping                # atomic
    int ended                   # atomic
    int end_fd                  # an eventfd: readable when the loop has ended
    Client* dirty               # with something to send, or to be closed
    Client* kicked              # lock: the latest first
    Client* resumed             # lock: that waited, in the order in which they were served
    Client* resumed_last        # lock
    Client* resumes             # the same, of this round: what lies in `unread` is to be run
    Client* resumes_last
    Client* held                # oldest first
    Client* held_last
    Waker waker                 # the journal's way to this loop
    bint own_kicks              # by the loop's own thread, in this round
    uint32_t n_clients
    uint32_t cron_slot
    int listeners[LISTEN_MAX]   # lock
    int tags[LISTEN_MAX]
    int n_listeners
    int64_t spin_us             # -1: the store's setting
    int fresh[LISTEN_MAX]       # lock: listeners that CONFIG SET has opened and the loop takes over
    int n_fresh
    int fresh_ready             # atomic
    int port
    int backlog
    char bind[1024]
    char path[PATH_ROOM]
    char error[LISTEN_ERROR]
    # since the last round, for kv.stats
    uint64_t accepted
    uint64_t rejected
    uint64_t received
    uint64_t reads
    uint64_t writes
    int64_t accept_error_ms     # when one was logged last
    # while a script takes long (server/busy)
    Received* batch             # what on_data is at, or NULL
    int batch_at
    int batch_n
    int busy_fd                 # an epoll of the other clients; 0: no script takes long

cdef void server_log(Server* s, int level, const char* text) noexcept nogil
cdef void server_release_held(Server* s) noexcept nogil  # sends what waited for the journal, as far as it may go
cdef void clients_host(Server* s) noexcept nogil        # makes the server the host of its loop
# for server/busy
cdef Client* client_of(Session* session) noexcept nogil         # NULL: it is none of a server's loop
cdef void client_hold(Server* s, Client* c, uint64_t offset) noexcept nogil     # its `flight` waits for the journal
cdef void client_data(Server* s, Client* c, const char* p, size_t n) noexcept nogil     # bytes have come from a client
