# The one lock of a store: a pthread mutex, taken with the GIL released (or only tried with it held).

from libkv.engine.types cimport Kv

cdef int lock_new(Kv* kv) noexcept nogil
cdef void lock_delete(Kv* kv) noexcept nogil
cdef void lock_take(Kv* kv) noexcept nogil
cdef bint lock_try(Kv* kv) noexcept nogil
cdef void lock_give(Kv* kv) noexcept nogil
