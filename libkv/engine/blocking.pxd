# Sessions that wait: for a key, for acknowledgements, for the end of CLIENT PAUSE.
#
# A command that finds nothing ends with `return block_on_keys(...)`.  When one of its keys may be ready, its function is
# called again, under the waiting session, with c.ready_key set: it then looks at that key only, and either writes its
# reply and returns CALL_DONE (the session waits no longer), or writes and changes nothing and returns CALL_BLOCK (it goes
# on waiting; block_on_keys does so by itself when c.ready_key is set).
#
#   Blocking.keys: table of BlockedKeys -> a KeyQueue for each database -> Waits, first come first served
#   Blocking.heap: Blocked with a deadline, the earliest first
#   Blocking.ready: KeyQueues in the order in which their keys were signalled, each once
#   Blocking.idle, .paused: Blocked without keys (WAIT), and those that CLIENT PAUSE holds up

from libc.stdint cimport int64_t, uint32_t

from libkv.engine.types cimport Arg, Ctx, Db, Kv, Reply, Session
from libkv.structures.table cimport Table

cdef enum:
    CALL_PAUSED = 2             # call_command: CLIENT PAUSE is on, nothing was done; the command is to be called again
    # what is replied when the time is over
    LATE_NIL_ARRAY = 0
    LATE_NIL = 1
    LATE_AGAIN = 2              # what the function replies when it is called with S_DENY_BLOCKING
    # Blocked.kind
    BLOCKED_ON_KEYS = 0
    BLOCKED_IDLE = 1            # until its time is over, or blocking_retry_idle
    BLOCKED_PAUSED = 2

cdef struct BlockedKey:         # an item of Blocking.keys, key_at 8: the length-prefixed key follows
    KeyQueue* first

cdef struct KeyQueue:           # who waits for one key of one database
    BlockedKey* key
    KeyQueue* next_db           # the same key in other databases
    KeyQueue* next_ready
    Wait* first
    Wait* last
    Db* db
    uint32_t gone               # how many of them are also called when there is no such value any more
    bint ready                  # in Blocking.ready
    bint serving                # being walked: it stays, even without waits
    bint present                # the key existed when it was looked at last

cdef struct Wait:               # one session waits for one key
    Blocked* of
    KeyQueue* queue             # NULL: the key stood twice in the command
    Wait* next
    Wait* prev

cdef struct Blocked:            # session.blocked
    Session* session
    Blocked* next               # in idle or paused
    Blocked* prev
    int kind
    int type
    int late
    bint gone
    bint held                   # is not served at the moment (blocking_hold)
    int64_t deadline            # monotonic us; 0 = none
    uint32_t place              # in the heap
    void* cmd
    Arg* argv                   # copied
    int argc
    int n_waits
    Wait* waits
    size_t bytes                # of this block

cdef struct Blocking:           # kv.blocking
    Table keys
    KeyQueue* ready
    KeyQueue* ready_last
    Blocked** heap
    uint32_t heap_n
    uint32_t heap_cap
    Blocked* idle
    Blocked* idle_last
    Blocked* paused
    Blocked* paused_last
    uint32_t on_keys            # sessions of that kind: HOOK_BLOCKED is on while there are any
    uint32_t lists              # those of them that wait for lists
    uint32_t zsets
    uint32_t streams

cdef int blocking_new(Kv* kv) noexcept nogil            # 0, or -1 without memory
cdef void blocking_delete(Kv* kv) noexcept nogil

# ---- for commands
cdef bint arg_timeout(Arg* a, bint seconds, int64_t* ms, Reply* r) noexcept nogil
    # a timeout in seconds (a double) or milliseconds, 0 = for ever; False: the error is replied
cdef int block_on_keys(Ctx* c, Arg* argv, int argc, Arg* keys, int n_keys, int type, int64_t timeout_ms, int late, bint gone,
                       Reply* r) noexcept nogil
    # argv: what is to be called again (copied; XREAD puts IDs in the place of "$").  keys: an array, copied too.
    # type: TYPE_LIST, TYPE_ZSET or TYPE_STREAM: what a key must be to wake the session.  gone: also wakes it when a key
    # is deleted, flushed or becomes another type (XREADGROUP).  timeout_ms 0: none.
    # CALL_BLOCK; or CALL_DONE: inside MULTI and scripts (S_DENY_BLOCKING) the late reply is written at once, and without
    # memory an error.
cdef int block_idle(Ctx* c, Arg* argv, int argc, int64_t timeout_ms, Reply* r) noexcept nogil
    # WAIT: until blocking_retry_idle has it called again, or the time is over (LATE_AGAIN)

# ---- for the engine; lock held
cdef void blocking_tell(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil
    # by changes_tell, while HOOK_BLOCKED is on
cdef void blocking_tell_all(Kv* kv, Db* db) noexcept nogil  # db was emptied or exchanged, after it has happened
cdef void blocking_serve(Kv* kv) noexcept nogil         # kv.ready is set and kv.in_exec 0: after the outermost command
cdef void blocking_retry_idle(Kv* kv) noexcept nogil    # what WAIT waits for may have come
cdef void blocking_refuse_all(Kv* kv, const char* error) noexcept nogil
    # a change of role: all but the paused get the error, and are closed behind it
cdef bint blocking_unblock(Session* s, const char* error) noexcept nogil
    # CLIENT UNBLOCK; error NULL: as if its time were over.  False: it does not wait
cdef void blocking_forget(Session* s) noexcept nogil    # the session ends, or gives up: no reply
cdef int64_t blocking_expire(Kv* kv) noexcept nogil     # answers those whose time is over (kv.mono); the next deadline, us, or 0
cdef void blocking_shift(Kv* kv, int64_t us) noexcept nogil     # the monotonic clock has jumped
cdef void blocking_hold(Session* s) noexcept nogil      # it is not served until ...
cdef void blocking_release(Session* s) noexcept nogil   # ... now, then at once if one of its keys is ready
cdef int blocking_pause(Session* s) noexcept nogil      # S_PAUSED; 0, or -1 without memory
cdef bint pause_holds(Ctx* c, void* cmd) noexcept nogil     # kv.pause_until is set: whether this command must wait
cdef void pause_start(Kv* kv, int64_t until_ms, bint all_commands) noexcept nogil
cdef void pause_end(Kv* kv) noexcept nogil
cdef int blocking_check(Kv* kv) noexcept nogil          # 0, or which invariant is broken
