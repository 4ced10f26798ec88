# The Python side of a store.

from libkv.engine.types cimport Kv, Session as CSession

cdef class StoreCore:
    cdef Kv* kv                 # NULL once closed and left by all callers
    cdef CSession* own          # the session of calls that name none
    cdef readonly bint closed
    cdef bint forked            # in the child of a fork, and this store belongs to the parent
    cdef int users              # calls in work, counted under the GIL
    cdef long long cron_due     # monotonic ms
    cdef bint started           # a server or a journal works on it: a fork's child may not
    cdef readonly set servers   # running servers (strong: a running server keeps its store, and this keeps nothing alive)
    cdef object __weakref__
    cdef int enter(self) except -1
    cdef void leave(self) noexcept
    cdef object run(self, args, CSession* session)

cdef class Session:
    cdef CSession* s
    cdef readonly StoreCore store
    cdef readonly bint closed
    cdef object __weakref__
