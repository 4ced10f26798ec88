# Every invariant of a store at once.

from libkv.engine.types cimport Kv

cdef int check_all(Kv* kv) noexcept nogil
    # 0; 1-99 the heap (heap_check), 100-399 the keyspace (keyspace_check), 1000 * (type + 1) + n a value's structure
