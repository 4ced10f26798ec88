# The one lock of a store: a pthread mutex, taken with the GIL released (or only tried with it held), after a short spin.

from libkv.engine.types cimport Kv

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_trylock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)

cdef int lock_new(Kv* kv) noexcept nogil                # 0, or -1 without memory
cdef void lock_delete(Kv* kv) noexcept nogil

cdef extern from *:
    """
    #if defined(__x86_64__)
    #define KV_PAUSE() __builtin_ia32_pause()
    #else
    #define KV_PAUSE() __asm__ volatile("" ::: "memory")
    #endif
    """
    void pause "KV_PAUSE"() noexcept nogil

cdef enum:
    LOCK_SPINS = 100            # tries before sleeping: most holders are done within a microsecond, a sleep costs ten

cdef inline bint lock_try(Kv* kv) noexcept nogil:
    """Tries for about a microsecond; True: taken.  For callers that hold the GIL."""
    cdef int _i
    for _i in range(LOCK_SPINS):
        if pthread_mutex_trylock(<pthread_mutex_t*>kv.lock) == 0:
            return True
        pause()
    return False

cdef inline void lock_take(Kv* kv) noexcept nogil:
    if not lock_try(kv):
        pthread_mutex_lock(<pthread_mutex_t*>kv.lock)

cdef inline void lock_give(Kv* kv) noexcept nogil:
    pthread_mutex_unlock(<pthread_mutex_t*>kv.lock)
