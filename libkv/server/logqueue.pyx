"""Log lines from threads without the GIL to Python's logging (contract: logqueue.pxd)."""

from libc.errno cimport ENOMEM, errno
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from libkv.engine.clock cimport wall_us
from libkv.engine.settings cimport LOG_NOTICE

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t*, const void*)
    int pthread_mutex_destroy(pthread_mutex_t*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

cdef extern from "<unistd.h>" nogil:
    ssize_t write(int, const void*, size_t)
    int close(int)

cdef enum:
    LOG_HEAD = 11               # bytes in front of a line's text


cdef int logqueue_open(LogQueue* q) noexcept nogil:
    cdef int error = ENOMEM
    memset(q, 0, sizeof(LogQueue))
    q.level = LOG_NOTICE
    q.fd = -1
    q.ring = <char*>malloc(LOG_RING)
    q.mutex = malloc(sizeof(pthread_mutex_t))
    if q.ring != NULL and q.mutex != NULL:
        pthread_mutex_init(<pthread_mutex_t*>q.mutex, NULL)
        q.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if q.fd >= 0:
            return 0
        error = errno
    logqueue_close(q)
    return error


cdef void logqueue_close(LogQueue* q) noexcept nogil:
    if q.fd >= 0:
        close(q.fd)
    free(q.ring)
    if q.mutex != NULL:
        pthread_mutex_destroy(<pthread_mutex_t*>q.mutex)
        free(q.mutex)
    memset(q, 0, sizeof(LogQueue))
    q.fd = -1


cdef void logqueue_put(LogQueue* q, const void* p, size_t n) noexcept nogil:
    cdef size_t at = (q.head + q.used) % LOG_RING
    cdef size_t first = LOG_RING - at if n > LOG_RING - at else n
    memcpy(q.ring + at, p, first)
    memcpy(q.ring, <const char*>p + first, n - first)
    q.used += n


cdef void logqueue_get(LogQueue* q, void* p, size_t n) noexcept nogil:
    cdef size_t first = LOG_RING - q.head if n > LOG_RING - q.head else n
    memcpy(p, q.ring + q.head, first)
    memcpy(<char*>p + first, q.ring, n - first)
    q.head = (q.head + n) % LOG_RING
    q.used -= n


cdef void logqueue_add(LogQueue* q, int level, const char* p, size_t n) noexcept nogil:
    cdef uint16_t size = <uint16_t>(n if n < LOG_LINE else <size_t>LOG_LINE)
    cdef uint8_t kind = <uint8_t>level
    cdef int64_t when = wall_us() // 1000
    cdef uint64_t one = 1
    cdef bint first
    if not logqueue_wants(q, level) or size == 0:
        return
    pthread_mutex_lock(<pthread_mutex_t*>q.mutex)
    first = q.used == 0
    if q.used + LOG_HEAD + size > LOG_RING:
        q.lost += 1
    else:
        logqueue_put(q, &size, 2)
        logqueue_put(q, &kind, 1)
        logqueue_put(q, &when, 8)
        logqueue_put(q, p, size)
    pthread_mutex_unlock(<pthread_mutex_t*>q.mutex)
    if first:
        write(q.fd, &one, 8)


cdef size_t logqueue_take(LogQueue* q, char* text, int* level, int64_t* when_ms, uint64_t* lost) noexcept nogil:
    cdef uint16_t size = 0
    cdef uint8_t kind
    pthread_mutex_lock(<pthread_mutex_t*>q.mutex)
    lost[0] = q.lost
    q.lost = 0
    if q.used:
        logqueue_get(q, &size, 2)
        logqueue_get(q, &kind, 1)
        logqueue_get(q, when_ms, 8)
        logqueue_get(q, text, size)
        level[0] = kind
    pthread_mutex_unlock(<pthread_mutex_t*>q.mutex)
    return size
