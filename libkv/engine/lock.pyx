"""The one lock of a store (contract: lock.pxd)."""

from libc.stdlib cimport free, malloc

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t*, const void*)
    int pthread_mutex_destroy(pthread_mutex_t*)


cdef int lock_new(Kv* kv) noexcept nogil:
    kv.lock = malloc(sizeof(pthread_mutex_t))
    if kv.lock == NULL:
        return -1
    return 0 if pthread_mutex_init(<pthread_mutex_t*>kv.lock, NULL) == 0 else -1


cdef void lock_delete(Kv* kv) noexcept nogil:
    if kv.lock != NULL:
        pthread_mutex_destroy(<pthread_mutex_t*>kv.lock)
        free(kv.lock)
        kv.lock = NULL
