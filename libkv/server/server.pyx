"""The server: the loop's thread, which never takes the GIL, and its Python face.

    accept -> Client (Conn + Session) -> on_data: session_data() parses and executes -> on_round: replies are swapped out
           -> flush: one write -> on_sent                                                         (clients.pyx)

Whose thread: the loop's own for everything but the configuration's hooks (any thread, with the store's lock held) and
what the Python class calls.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport atoi, calloc, free, strtoul
from libc.string cimport strcmp

from libkv.engine.config cimport config_hook_add, config_hook_remove, config_id, config_text_set, config_value
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.settings cimport LOG_DEBUG, LOG_NOTICE, LOG_VERBOSE, LOG_WARNING
from libkv.engine.types cimport Kv
from libkv.persistence.durable cimport durable_add_waker, durable_of, durable_remove_waker
from libkv.persistence.journal cimport journal_sync_all
from libkv.server.busy cimport busy_leave, busy_serve
from libkv.server.clients cimport CRON, Server, clients_host, pthread_t, server_log, server_release_held
from libkv.server.epoll cimport (
    epoll_close_all, epoll_forget, epoll_listen, epoll_listen_stop, epoll_open, epoll_run_once, epoll_shut,
)
from libkv.server.listen cimport LISTEN_MAX, LISTEN_TCP, LISTEN_UNIX, listen_tcp, listen_unix
from libkv.server.logqueue cimport LOG_LINE, logqueue_add, logqueue_close, logqueue_open, logqueue_take
from libkv.server.loop cimport kv_atomic_get, kv_atomic_swap, loop_timer, loop_wake
from libkv.store cimport StoreCore

from libkv.errors import StoreClosed

cdef extern from "<sys/socket.h>" nogil:
    int shutdown(int, int)
    enum:
        SHUT_RDWR

cdef extern from "<unistd.h>" nogil:
    int close(int)
    int unlink(const char*)
    ssize_t write(int, const void*, size_t)
    ssize_t read(int, void*, size_t)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    enum:
        EFD_CLOEXEC

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t*)
    enum:
        SIG_SETMASK

cdef extern from "<pthread.h>" nogil:
    int pthread_create(pthread_t*, const void*, void* (*)(void*) noexcept nogil, void*)
    int pthread_join(pthread_t, void**)
    int pthread_sigmask(int, const sigset_t*, sigset_t*)
    int pthread_setname_np(pthread_t, const char*)

cdef extern from "<sys/resource.h>" nogil:
    ctypedef unsigned long rlim_t
    ctypedef struct rlimit_t "struct rlimit":
        rlim_t rlim_cur
        rlim_t rlim_max
    int getrlimit(int, rlimit_t*)
    int setrlimit(int, const rlimit_t*)
    enum:
        RLIMIT_NOFILE

cdef enum:
    RESERVED_FILES = 32         # descriptors for all but clients, as libkv.server.daemon reserves them

cdef int LOGLEVEL = config_id(b"loglevel")
cdef int MAXCLIENTS = config_id(b"maxclients")
cdef int PORT = config_id(b"port")
cdef int BIND = config_id(b"bind")


# ---------------------------------------------------------------------------------------------------------------------
# the thread

cdef void* server_main(void* host) noexcept nogil:
    cdef Server* s = <Server*>host
    cdef uint64_t one = 1
    cdef int i
    while not kv_atomic_get(&s.stopping) and not s.kv.shutdown_asked:
        if kv_atomic_get(&s.fresh_ready):
            take_fresh(s)
        epoll_run_once(&s.loop, -1, s.kv.settings.spin_us if s.spin_us < 0 else s.spin_us)
    # what is ready goes out; nobody new comes in
    epoll_listen_stop(&s.loop)
    for i in range(s.n_listeners):
        close(s.listeners[i])
    s.n_listeners = 0
    epoll_run_once(&s.loop, 0, 0)
    if s.held != NULL and journal_sync_all(durable_of(s.kv)):
        server_release_held(s)
        epoll_run_once(&s.loop, 0, 0)
    epoll_close_all(&s.loop)
    durable_remove_waker(s.kv, &s.waker)
    lock_take(s.kv)
    config_hook_remove(s.kv, s)
    busy_leave(s)
    if s.kv.server == s:
        s.kv.server = NULL
    lock_give(s.kv)
    if s.path[0]:
        server_log(s, LOG_NOTICE, b"Removing the unix socket file.")
        unlink(s.path)
    kv_atomic_swap(&s.ended, 1)
    write(s.end_fd, &one, 8)
    return NULL


cdef void server_wake(void* host) noexcept nogil:
    """The journal's keeper: held replies may go."""
    loop_wake(&(<Server*>host).loop)


cdef void server_log_durable(void* host, int level, const char* text) noexcept nogil:
    server_log(<Server*>host, level, text)


cdef int server_thread(Server* s) noexcept nogil:
    """Starts it with every signal blocked: they are for the application's threads.  0 or an errno."""
    cdef sigset_t every, before
    cdef int error
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    error = pthread_create(&s.thread, NULL, server_main, s)
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    if error == 0:
        pthread_setname_np(s.thread, b"kv-server")
    return error


# ---------------------------------------------------------------------------------------------------------------------
# CONFIG SET of what the server holds

cdef const char* loglevel_changed(Kv* kv, void* owner, int directive) noexcept nogil:
    cdef Server* s = <Server*>owner
    cdef const char* p = config_value(kv, LOGLEVEL).p
    # debug, verbose, notice, warning: their first letters tell
    kv_atomic_swap(&s.log.level, LOG_DEBUG if p[0] == c"d" else LOG_VERBOSE if p[0] == c"v"
                   else LOG_NOTICE if p[0] == c"n" else LOG_WARNING)
    return NULL


cdef const char* listening_changed(Kv* kv, void* owner, int directive) noexcept nogil:
    """CONFIG SET port or bind: opens the new sockets here, so that a failure is an error reply; the loop takes over."""
    cdef Server* s = <Server*>owner
    cdef int port = atoi(config_value(kv, PORT).p)
    cdef const char* bind = config_value(kv, BIND).p
    cdef int i
    if port == s.port and strcmp(bind, s.bind) == 0:
        return NULL
    # An address can't be bound a second time: the present sockets stop listening first.  They stay open, as they are
    # the loop's, until it takes the new ones.
    for i in range(s.n_listeners):
        if s.tags[i] == LISTEN_TCP:
            shutdown(s.listeners[i], SHUT_RDWR)
    if open_fresh(s, bind, port):
        snprintf(s.bind, sizeof(s.bind), b"%s", bind)
        s.port = port
        return NULL
    server_log(s, LOG_WARNING, s.error)
    open_fresh(s, s.bind, s.port)
    if directive == BIND:
        return b"Failed to bind to specified addresses."
    return b"Unable to listen on this port. Check server logs."


cdef const char* maxclients_changed(Kv* kv, void* owner, int directive) noexcept nogil:
    """CONFIG SET maxclients: each client takes a descriptor; the process's soft limit goes up with it."""
    cdef Server* s = <Server*>owner
    cdef rlim_t wanted = strtoul(config_value(kv, MAXCLIENTS).p, NULL, 10) + RESERVED_FILES
    cdef rlimit_t limit
    cdef rlim_t most
    if getrlimit(RLIMIT_NOFILE, &limit) != 0 or wanted <= limit.rlim_cur:
        return NULL
    most = limit.rlim_max
    limit.rlim_cur = wanted
    limit.rlim_max = max(wanted, most)  # what root may raise, too
    if setrlimit(RLIMIT_NOFILE, &limit) == 0:
        return NULL
    snprintf(s.error, sizeof(s.error), b"The operating system is not able to handle the specified number of clients, "
             b"try with %lld", <long long>most - RESERVED_FILES)
    return s.error


cdef bint open_fresh(Server* s, const char* bind, int port) noexcept nogil:
    cdef int i
    cdef int n = 0
    for i in range(s.n_fresh):
        close(s.fresh[i])
    s.n_fresh = 0
    if port:
        n = listen_tcp(bind, &port, s.backlog, s.fresh, LISTEN_MAX - 1, s.error)
    if n >= 0:
        s.n_fresh = n
        kv_atomic_swap(&s.fresh_ready, 1)
        loop_wake(&s.loop)
    return n >= 0


cdef void take_fresh(Server* s) noexcept nogil:
    """The loop's part of it: the unix socket stays, the others are replaced."""
    cdef int i
    cdef int kept = 0
    lock_take(s.kv)
    kv_atomic_swap(&s.fresh_ready, 0)
    epoll_listen_stop(&s.loop)
    for i in range(s.n_listeners):
        if s.tags[i] == LISTEN_UNIX:
            s.listeners[kept] = s.listeners[i]
            s.tags[kept] = LISTEN_UNIX
            kept += 1
        else:
            close(s.listeners[i])
    for i in range(s.n_fresh):
        s.listeners[kept] = s.fresh[i]
        s.tags[kept] = LISTEN_TCP
        kept += 1
    s.n_listeners = kept
    s.n_fresh = 0
    for i in range(kept):
        epoll_listen(&s.loop, s.listeners[i], s.tags[i])
    lock_give(s.kv)


# ---------------------------------------------------------------------------------------------------------------------
# the Python side of it

cdef class NativeServer:
    """The C server of one store; libkv.server.Server is its public face.

    store: kept alive until this object goes.  spin: microseconds, -1: the store's libkv-spin.
    """

    cdef Server* s
    cdef StoreCore store
    cdef bint started
    cdef bint joined

    def __cinit__(self, StoreCore store not None, *, int64_t spin=-1):
        cdef int error
        if store.closed or store.kv == NULL:
            raise StoreClosed("the store is closed")
        self.store = store
        self.s = <Server*>calloc(1, sizeof(Server))
        if self.s == NULL:
            raise MemoryError
        self.s.kv = store.kv
        self.s.spin_us = spin
        self.s.end_fd = self.s.log.fd = self.s.loop.wake_fd = -1
        clients_host(self.s)
        error = logqueue_open(&self.s.log)
        if error == 0:
            error = epoll_open(&self.s.loop)
        if error:
            raise OSError(error, "the server's event loop can't be made")
        self.s.end_fd = eventfd(0, EFD_CLOEXEC)
        if self.s.end_fd < 0:
            raise OSError("no descriptor is left for the server")

    def __dealloc__(self):
        cdef Server* s = self.s
        cdef int i
        if s == NULL:
            return
        if self.started and not self.joined:
            with nogil:
                server_stop(s)
        epoll_shut(&s.loop)
        for i in range(s.n_listeners):
            close(s.listeners[i])
        if s.end_fd >= 0:
            close(s.end_fd)
        if s.log.ring != NULL:
            logqueue_close(&s.log)
        free(s)

    cdef int add(self, int fd, int tag) except -1:
        cdef int error = epoll_listen(&self.s.loop, fd, tag)
        if error:
            close(fd)
            raise OSError(error, "too many addresses to listen at")
        self.s.listeners[self.s.n_listeners] = fd
        self.s.tags[self.s.n_listeners] = tag
        self.s.n_listeners += 1
        return 0

    def listen(self, str bind, int port, int backlog):
        """Listens at the addresses (blanks between them); returns the port.  OSError: its text says where and why."""
        cdef int fds[LISTEN_MAX]
        cdef bytes addresses = bind.encode()
        cdef const char* p = addresses
        cdef int n, i
        with nogil:
            n = listen_tcp(p, &port, backlog, fds, LISTEN_MAX - 1, self.s.error)
        if n < 0:
            raise OSError(self.s.error.decode())
        for i in range(n):
            self.add(fds[i], LISTEN_TCP)
        snprintf(self.s.bind, sizeof(self.s.bind), b"%s", p)
        self.s.port = port
        self.s.backlog = backlog
        return port

    def listen_unix(self, str path, int mode, int backlog):
        """Listens at a unix socket that is made anew; mode 0: what the umask leaves.  OSError as in listen()."""
        cdef bytes name = path.encode()
        cdef int fd = listen_unix(name, mode, backlog, self.s.error)
        if fd < 0:
            raise OSError(self.s.error.decode())
        self.add(fd, LISTEN_UNIX)
        snprintf(self.s.path, sizeof(self.s.path), b"%s", <const char*>name)

    def follow_config(self):
        """CONFIG SET port, bind, maxclients and loglevel reach this server, when it is the store's first."""
        cdef Kv* kv = self.s.kv
        with nogil:
            lock_take(kv)
            loglevel_changed(kv, self.s, LOGLEVEL)
            config_hook_add(kv, b"port", listening_changed, self.s)
            config_hook_add(kv, b"bind", listening_changed, self.s)
            config_hook_add(kv, b"loglevel", loglevel_changed, self.s)
            config_hook_add(kv, b"maxclients", maxclients_changed, self.s)
            lock_give(kv)

    def tell_config(self, str name, str value):
        """What CONFIG GET shows, when the server was told otherwise than the configuration says."""
        cdef bytes directive = name.encode()
        cdef bytes text = value.encode()
        cdef const char* p = directive
        cdef const char* v = text
        cdef size_t n = len(text)
        cdef const char* error
        with nogil:
            lock_take(self.s.kv)
            error = config_text_set(self.s.kv, p, v, n)
            lock_give(self.s.kv)
        if error != NULL:
            raise ValueError(f"{name} {value!r}: {error.decode()}")

    def start(self):
        cdef int error
        self.store.enter()              # a running server uses its store until stop()
        with nogil:
            lock_take(self.s.kv)
            self.s.kv.shutdown_asked = False
            if self.s.kv.server == NULL:
                self.s.kv.server = self.s
            lock_give(self.s.kv)
            busy_serve(self.s)
        loop_timer(&self.s.loop, CRON, 1)
        self.s.waker.wake = server_wake
        self.s.waker.log = server_log_durable
        self.s.waker.arg = self.s
        durable_add_waker(self.s.kv, &self.s.waker)
        error = server_thread(self.s)
        if error:
            durable_remove_waker(self.s.kv, &self.s.waker)
            self.store.leave()
            raise OSError(error, "the server's thread can't be started")
        self.started = True

    def end(self):
        """Makes the thread end, and does not wait for it."""
        if self.started and not self.joined:
            kv_atomic_swap(&self.s.stopping, 1)
            loop_wake(&self.s.loop)

    def stop(self):
        """Ends the thread and waits for it; all its sessions are gone then.  May be called again."""
        if not self.started or self.joined:
            return
        self.joined = True
        with nogil:
            server_stop(self.s)
        self.store.leave()

    @property
    def ended(self):
        """Whether the thread has ended, or never ran."""
        return not self.started or kv_atomic_get(&self.s.ended) != 0

    @property
    def clients(self):
        """Connections being served."""
        return self.s.n_clients

    @property
    def port(self):
        """The TCP port, 0 when there is none."""
        return self.s.port

    @property
    def end_fd(self):
        """Readable when the thread has ended."""
        return self.s.end_fd

    @property
    def log_level(self):
        """The least level that is logged: 0 debug, 1 verbose, 2 notice, 3 warning."""
        return kv_atomic_get(&self.s.log.level)

    @property
    def log_fd(self):
        """An eventfd, readable when take_log() has something."""
        return self.s.log.fd

    def take_log(self):
        """All lines that wait: a list of (level, Unix time in ms, text); a last line tells how many were lost."""
        cdef char text[LOG_LINE]
        cdef int level = 0
        cdef int64_t when = 0
        cdef uint64_t lost = 0
        cdef uint64_t gone = 0
        cdef uint64_t junk
        cdef size_t n
        cdef list lines = []
        read(self.s.log.fd, &junk, 8)
        while True:
            n = logqueue_take(&self.s.log, text, &level, &when, &lost)
            gone += lost
            if n == 0:
                break
            lines.append((level, when, text[:n].decode("utf-8", "replace")))
        if gone:
            lines.append((LOG_WARNING, when, f"{gone} log lines were lost: they came faster than they could be written"))
        return lines

    def log(self, int level, str text):
        """A line of the server's own, in order with the loop's."""
        cdef bytes line = text.encode()
        logqueue_add(&self.s.log, level, line, len(line))

    def forget(self):
        """In a forked child: gives up the copies of all descriptors.  The thread exists only in the parent."""
        cdef int i
        for i in range(self.s.n_listeners):
            close(self.s.listeners[i])
        self.s.n_listeners = 0
        epoll_forget(&self.s.loop)
        close(self.s.end_fd)
        close(self.s.log.fd)
        self.joined = True
        self.started = False
        # the store, its lock and the clients' memory may be in any state: nothing of the struct is touched again
        self.s = NULL


cdef void server_stop(Server* s) noexcept nogil:
    kv_atomic_swap(&s.stopping, 1)
    loop_wake(&s.loop)
    pthread_join(s.thread, NULL)
