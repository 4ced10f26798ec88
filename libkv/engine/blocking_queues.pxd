# Deadlines of those who wait, in a binary heap; and who waits for which key, first come first served (structs:
# engine/blocking).  Lock held.

from libc.stdint cimport uint32_t

from libkv.engine.blocking cimport Blocked, Blocking, KeyQueue, Wait
from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Arg, Db, Kv

cdef enum:
    BLOCKED_KEY_AT = 8          # where the key lies in a BlockedKey
    NO_PLACE = 0xffffffff       # Blocked.place of one without a deadline

cdef bint deadline_room(Blocking* k) noexcept nogil             # room for one more; False: no memory
cdef void deadline_rise(Blocking* k, uint32_t at, Blocked* b) noexcept nogil    # b comes to its place from `at` upwards
cdef void deadline_drop(Blocking* k, Blocked* b) noexcept nogil

cdef bint wait_join(Kv* kv, Blocked* b, Wait* w, Db* db, Arg* key) noexcept nogil   # last in the key's queue; False: no memory
cdef void wait_leave(Kv* kv, Wait* w) noexcept nogil
cdef KeyQueue* queue_find(Kv* kv, Db* db, Arg* key) noexcept nogil      # NULL: nobody waits for it
cdef Entry* queue_entry(Kv* kv, KeyQueue* q, Arg* key) noexcept nogil   # of its key, which is written to `key`; without effects
cdef void queue_drop(Kv* kv, KeyQueue* q) noexcept nogil        # frees a queue that nobody needs any more
cdef void queue_signal(Kv* kv, KeyQueue* q) noexcept nogil      # into Blocking.ready, unless it is there
cdef int queues_check(Kv* kv) noexcept nogil                    # 0, or 10 + n, 20 + n (blocking_check tells), 100 + n the table
