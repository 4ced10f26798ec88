# A store that can be called.

from libkv.engine.types cimport Session as CSession
from libkv.lifetime cimport StoreLifetime
from libkv.session cimport Session

cdef class StoreCore(StoreLifetime):
    cdef bint utf8              # str arguments are strict UTF-8
    cdef bint decodes           # replies are str
    cdef object run(self, args, CSession* session, bint waits, int* status)
    cdef object call(self, args, CSession* s, Session session, bint waits)
    cdef object call_in(self, args, CSession* s, Session session, bint waits)
    cdef int wait_in(self, CSession* s, Session session) except -1
