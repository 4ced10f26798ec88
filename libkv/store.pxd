# The Python side of a store.

from libkv.engine.types cimport Kv, Session as CSession

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
    cdef object __weakref__
    cdef int enter(self) except -1
    cdef void leave(self) noexcept
    cdef object run(self, args, CSession* session)

cdef class Session:
    cdef CSession* s
    cdef readonly StoreCore store
    cdef readonly bint closed
    cdef int users              # calls in work, counted under the GIL
    cdef bint feeding
    cdef object __weakref__
