# Client-side caching in BCAST mode: prefixes, the sessions that want to hear of them, and what has changed below them.
#
# Redis tells it before its loop sleeps, here it is told when a batch of commands ends: prefix by prefix in the bytes'
# order, the keys in theirs, encoded once for all sessions that have changed none of them (NOLOOP).

from libc.stdint cimport uint32_t, uint64_t

from libkv.engine.tracking cimport Prefix, SessionTracking
from libkv.engine.types cimport Arg, Kv, Session

cdef void broadcast_change(Kv* kv, Arg* key, Session* by) noexcept nogil        # by NULL: nobody's doing
cdef void broadcast_tell(Kv* kv) noexcept nogil
cdef void broadcast_forget(Session* s) noexcept nogil   # it ends: no change is its doing any more

cdef int broadcast_add(Session* s, const char* p, size_t n) noexcept nogil      # one more prefix; 0, or -1 without memory
cdef const char* broadcast_prefix(SessionTracking* st, uint32_t i, size_t* n) noexcept nogil    # its prefix number i
cdef void broadcast_leave(Kv* kv, SessionTracking* st) noexcept nogil           # all its prefixes
