"""A store fed with ready-made requests and timed without Python in between: what the core costs, and nothing else.

The source is written so that it also compiles as the last part of the core in one translation unit
(benchmarks/kv/one_unit.py).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from libkv.engine.session cimport session_data, session_new
from libkv.engine.store cimport kv_cron, kv_delete, kv_new
from libkv.engine.types cimport Kv, S_EMBEDDED, Session as FeedSession

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec*)
    enum:
        CLOCK_THREAD_CPUTIME_ID


cdef class Feed:
    """A store with one session.  seed: of its hash key and random numbers."""

    cdef Kv* kv
    cdef FeedSession* session

    def __cinit__(self, int64_t seed=1):
        self.kv = kv_new(16, <unsigned long>seed)
        if self.kv == NULL:
            raise MemoryError
        self.session = session_new(self.kv, b"", b"", -1, S_EMBEDDED)
        if self.session == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.kv != NULL:
            kv_delete(self.kv)

    def run(self, list pieces not None):
        """Feeds the pieces (bytes; each what one read would bring) one after another.

        Returns (nanoseconds of this thread's CPU time, bytes of the replies, the first 80 bytes of the last reply).
        """
        cdef Py_ssize_t n = len(pieces)
        cdef const char** starts = <const char**>malloc((n + 1) * sizeof(char*))
        cdef size_t* lengths = <size_t*>malloc((n + 1) * sizeof(size_t))
        cdef Py_ssize_t i
        cdef int64_t replied = 0
        cdef timespec began, ended
        cdef bytes piece
        cdef bytes last = b""
        if starts == NULL or lengths == NULL:
            free(starts)
            free(lengths)
            raise MemoryError
        for i in range(n):
            piece = pieces[i]
            starts[i] = PyBytes_AS_STRING(piece)
            lengths[i] = <size_t>PyBytes_GET_SIZE(piece)
        with nogil:
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began)
            for i in range(n):
                self.session.out.n = 0
                session_data(self.session, starts[i], lengths[i])
                replied += <int64_t>self.session.out.n
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended)
        if n:
            last = self.session.out.p[:self.session.out.n if self.session.out.n < 80 else 80]
        free(starts)
        free(lengths)
        return (ended.tv_sec - began.tv_sec) * 1000000000 + ended.tv_nsec - began.tv_nsec, replied, last

    def cron(self):
        """The store's periodic work, until a rehash that goes on is over."""
        cdef int _i
        with nogil:
            for _i in range(200):
                kv_cron(self.kv)
