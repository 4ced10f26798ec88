# The Python side of a store.

from libkv.engine.types cimport Kv, Session as CSession
from libkv.waiting cimport IdleSessions

cdef class StoreCore:
    cdef Kv* kv                 # NULL once closed and left by all callers
    cdef CSession* own          # the session of calls that name none
    cdef readonly bint closed
    cdef bint forked            # in the child of a fork, and this store belongs to the parent
    cdef int users              # calls in work, counted under the GIL
    cdef long long cron_due     # monotonic ms
    cdef readonly set servers   # running servers (strong: a running server keeps its store, and this keeps nothing alive)
    cdef bint utf8              # str arguments are strict UTF-8
    cdef bint decodes           # replies are str
    cdef IdleSessions idle
    cdef object __weakref__
    cdef int enter(self) except -1
    cdef void leave(self) noexcept
    cdef object run(self, args, CSession* session, bint waits, int* status)
    cdef object call(self, args, CSession* s, Session session, bint waits)
    cdef object call_in(self, args, CSession* s, Session session, bint waits)
    cdef int wait_in(self, CSession* s, Session session) except -1
    cdef int settle(self) except -1
    cdef int settle_counted(self) except -1

cdef class Session:
    cdef CSession* s
    cdef readonly StoreCore store
    cdef readonly bint closed
    cdef int users              # calls in work, counted under the GIL
    cdef bint feeding
    cdef int waiting            # calls of wait() in work
    cdef bint shared            # several callers use it: what waits, waits in a session of its own
    cdef object __weakref__

cdef CSession* session_enter(StoreCore store, Session session) except NULL
    # the session a call runs in (None: the store's own); until session_leave it is not freed
cdef void session_leave(Session session) noexcept
cdef void run_cron(StoreCore store) noexcept
cdef bint store_forking() noexcept          # between the hooks of a fork: this thread holds every store's lock
