# maxmemory and maxmemory-clients: what goes when the store, or its clients' buffers, hold too much.
#
#   pool: up to 16 keys that were drawn from the keyspace, the best to go last; kept from one command to the next
#
# The memory that counts is the heap's exact figure and the clients' buffers (counted by the cron, so up to 100 ms old).

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Ctx, Kv, Session

cdef enum:
    EVICTION_POOL = 16
    EVICTION_KEY = 232          # bytes of a key that are kept without an allocation
    # what eviction_perform answers
    EVICT_OK = 0
    EVICT_RUNNING = 1           # its time is over before enough was freed: the cron goes on
    EVICT_FAIL = 2              # nothing (more) may go

cdef struct Candidate:
    uint64_t idle               # the larger, the sooner it goes: seconds unused, or 255 less the access counter
    int db
    size_t n
    char* key                   # in `own`, or a piece of the heap
    char own[232]

cdef struct Eviction:           # kv.eviction
    Candidate* pool[16]         # all allocated; pool[0:n] in use, by idle
    int n
    int next_db                 # random policies take the databases in turn
    bint full                   # what the gate found before the command in work: commands that need memory are refused
    bint running                # EVICT_RUNNING: the cron goes on
    uint64_t clients_bytes
    int64_t clients_scanned     # monotonic us
    bint clients_on             # maxmemory-clients is set
    uint64_t evicted_clients
    uint64_t exceeded_us        # time above maxmemory, in all; and since when it is (monotonic us; 0: it is not)
    int64_t exceeded_since

cdef int eviction_new(Kv* kv) noexcept nogil            # 0 or -1
cdef void eviction_delete(Kv* kv) noexcept nogil
cdef inline Eviction* eviction_of(Kv* kv) noexcept nogil:
    return <Eviction*>kv.eviction

cdef int eviction_perform(Kv* kv) noexcept nogil        # EVICT_*: keys go until the memory is below maxmemory
cdef bint eviction_gate(Kv* kv) noexcept nogil          # before a command, maxmemory being set: whether the store is full
cdef inline bint eviction_full(Kv* kv) noexcept nogil:
    """What the gate found before the command (or script, or transaction) in work."""
    return kv.settings.maxmemory != 0 and (<Eviction*>kv.eviction).full
cdef bint eviction_cron(Kv* kv) noexcept nogil          # True: it wants to go on soon
cdef uint64_t eviction_exceeded_us(Kv* kv) noexcept nogil       # the time above maxmemory that is not over yet
cdef uint64_t eviction_clients_limit(Kv* kv) noexcept nogil     # maxmemory-clients in bytes; 0: none
cdef void eviction_clients(Kv* kv, Session* s) noexcept nogil
    # after a batch of session s: the clients with the largest buffers are closed while all together have too much
