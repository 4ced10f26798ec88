# WATCH: which sessions care for which keys.

from libkv.engine.types cimport Arg, Db, Kv, Session, Watch, WatchedKey

cdef int watch_add(Session* s, Db* db, Arg* key, bint expired) noexcept nogil   # 0, or -1 without memory
cdef void watch_clear(Session* s) noexcept nogil                # UNWATCH; does not touch S_DIRTY_CAS
cdef void watch_touch(Kv* kv, Db* db, Arg* key) noexcept nogil  # the key changed: its watchers' EXEC will fail
cdef void watch_touch_all(Kv* kv, Db* db, Db* other) noexcept nogil
    # db is emptied (other NULL) or swapped with other: every watched key that is in either has changed
cdef bint watch_any_expired(Session* s, long long now) noexcept nogil   # a watched key is past its time but not deleted yet
