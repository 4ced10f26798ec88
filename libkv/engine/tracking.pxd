# Client-side caching (https://redis.io/docs/latest/develop/reference/client-side-caching/).
#
#   default mode   Tracking.keys: key -> ids of the sessions that have read it.  A change tells them once, and forgets
#                  the key.  An id outlives its session: it is dropped with its key, as in Redis.
#   BCAST          Tracking.prefixes: prefix -> its sessions, and the keys that have changed since the last broadcast,
#                  told when the batch of commands ends (Redis: before its loop sleeps).
#
# Databases share one table, as in Redis: a key is its name.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.registry cimport Command
from libkv.engine.types cimport Arg, Ctx, Kv, Session
from libkv.structures.alloc cimport Heap
from libkv.structures.buffer cimport Buffer
from libkv.structures.table cimport Table

cdef enum:
    # SessionTracking.mode
    TRACK_BCAST = 1 << 0
    TRACK_OPTIN = 1 << 1
    TRACK_OPTOUT = 1 << 2
    TRACK_NOLOOP = 1 << 3
    TRACK_CACHING = 1 << 4      # CLIENT CACHING: the next command (or transaction) is an exception
    TRACK_BROKEN = 1 << 5       # the session that messages go to has ended

cdef struct TrackedKey:         # an item of Tracking.keys; the key follows
    uint64_t* ids
    uint32_t n
    uint32_t cap

cdef struct Prefix:             # an item of Tracking.prefixes; the prefix follows
    Table changed               # ChangedKey
    SessionTracking** clients
    uint32_t n
    uint32_t cap

cdef struct ChangedKey:         # the key follows at byte 8
    Session* by                 # who changed it last, only compared; NULL: nobody (expiry), or a script

cdef struct SessionTracking:    # session.tracking; an item of Tracking.clients: the 8-byte id follows
    Session* session
    SessionTracking* next
    SessionTracking* before
    Prefix** prefixes           # of BCAST, in the bytes' order
    int64_t redirect            # the id of the session that gets the messages; 0: itself
    Session* target             # that session; NULL: none, or it has ended
    uint32_t mode
    uint32_t n_prefixes

cdef struct Tracking:           # kv.tracking
    Table keys
    Table clients               # SessionTracking by id
    Table prefixes
    uint64_t items              # ids in all keys
    SessionTracking* first
    uint32_t n_redirecting
    bint changed                # some prefix has something to tell
    bint lost                   # and something was lost for want of memory: everything is to be forgotten
    Buffer pending              # for the client whose request is in work: (length, key) or (-1) for everything

cdef int tracking_new(Kv* kv) noexcept nogil
cdef void tracking_delete(Kv* kv) noexcept nogil
cdef void tracking_forget(Session* s) noexcept nogil    # the session ends
cdef SessionTracking* tracking_of(Session* s) noexcept nogil            # NULL: it does not track
cdef int tracking_on(Session* s, uint32_t mode, Session* target) noexcept nogil        # 0, or -1 without memory
cdef void tracking_off(Session* s) noexcept nogil

cdef void tracking_read(Ctx* c, Session* s, Command* cmd, Arg* argv, int argc) noexcept nogil
    # the session has read these keys: remembered, as its mode says
cdef void tracking_changed(Ctx* c, Arg* key, bint by_itself) noexcept nogil
    # a key has changed; by_itself: expired or evicted
cdef void tracking_flushed(Kv* kv) noexcept nogil       # a database (or every one) was emptied
cdef void tracking_command_end(Session* s, Command* cmd) noexcept nogil         # CLIENT CACHING was for one command
cdef void tracking_request_end(Session* s) noexcept nogil       # what waited for the end of its request is told
cdef void tracking_batch_end(Kv* kv) noexcept nogil             # broadcasts
cdef int tracking_check(Kv* kv) noexcept nogil

# shared with engine/broadcast
cdef void* tracking_item(Heap* h, Table* t, const char* p, size_t n) noexcept nogil     # of one of the tables, or NULL
cdef void tracking_take_out(Heap* h, Table* t, const char* p, size_t n) noexcept nogil
cdef void tracking_put(Buffer* b, char kind, const char* p, size_t n) noexcept nogil    # p NULL: a header of n elements
cdef void tracking_tell(SessionTracking* st, const char* resp, size_t n) noexcept nogil     # RESP: keys, or a null
cdef void tracking_tell_everything(SessionTracking* st) noexcept nogil                  # it has to forget all keys
