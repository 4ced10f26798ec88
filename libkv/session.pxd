# A session of an embedded store.

from libkv.engine.types cimport Session as CSession
from libkv.lifetime cimport StoreLifetime

cdef class Session:
    cdef CSession* s
    cdef readonly StoreLifetime store
    cdef readonly bint closed
    cdef int users              # calls in work, counted under the GIL
    cdef bint feeding
    cdef int waiting            # calls of wait() in work
    cdef bint shared            # several callers use it: what waits, waits in a session of its own
    cdef object __weakref__

cdef CSession* session_enter(StoreLifetime store, Session session) except NULL
    # the session a call runs in (None: the store's own); until session_leave it is not freed
cdef void session_leave(Session session) noexcept
