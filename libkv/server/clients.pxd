# A server's state and its clients': shared by clients.pyx (connections) and server.pyx (the thread and its Python face).

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.commands.connection cimport Transport
from libkv.engine.types cimport Kv, Session
from libkv.server.listen cimport LISTEN_ERROR, LISTEN_MAX
from libkv.server.logqueue cimport LogQueue
from libkv.server.loop cimport Conn, Loop
from libkv.structures.buffer cimport Buffer

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t

cdef enum:
    CRON = 0                    # the loop's timer for it
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
    bint dirty
    bint kicked                 # lock
    bint ending                 # closes when the replies are out
    bint close_now              # without sending the rest
    bint more                   # `out` filled while `flight` was on its way
    size_t to_send              # of this round
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
    Client* kicked              # lock
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

cdef void server_log(Server* s, int level, const char* text) noexcept nogil
cdef void clients_host(Server* s) noexcept nogil        # makes the server the host of its loop
