# The one lock of a store: a pthread mutex, taken with the GIL released (or only tried with it held).

from libkv.engine.types cimport Kv

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_trylock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)

cdef int lock_new(Kv* kv) noexcept nogil                # 0, or -1 without memory
cdef void lock_delete(Kv* kv) noexcept nogil

cdef inline void lock_take(Kv* kv) noexcept nogil:
    pthread_mutex_lock(<pthread_mutex_t*>kv.lock)

cdef inline bint lock_try(Kv* kv) noexcept nogil:
    return pthread_mutex_trylock(<pthread_mutex_t*>kv.lock) == 0

cdef inline void lock_give(Kv* kv) noexcept nogil:
    pthread_mutex_unlock(<pthread_mutex_t*>kv.lock)
