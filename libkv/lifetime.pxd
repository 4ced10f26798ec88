# A store of this process, while callers may enter it.

from libkv.engine.types cimport Kv, Session as CSession
from libkv.waiting cimport IdleSessions

cdef enum:
    CRON_MS = 100               # an idle embedded store costs nothing: its cron runs along with calls

cdef object stores              # every store of the process, for fork

cdef class StoreLifetime:
    cdef Kv* kv                 # NULL once closed and left by all callers
    cdef CSession* own          # the session of calls that name none
    cdef readonly bint closed
    cdef bint forked            # in the child of a fork, and this store belongs to the parent
    cdef int users              # calls in work, counted under the GIL
    cdef long long cron_due     # monotonic ms
    cdef readonly set servers   # running servers (strong: a running server keeps its store, and this keeps nothing alive)
    cdef IdleSessions idle
    cdef object __weakref__
    cdef int enter(self) except -1
    cdef void leave(self) noexcept
    cdef int settle(self) except -1
    cdef int settle_counted(self) except -1

cdef void run_cron(StoreLifetime store) noexcept
