# What every part of the engine shares: a command's arguments and reply, a client's session, a database, the store.
#
# One command's life is engine/call; keys and values are engine/keyspace; a client's bytes are engine/session.  A command
# is `int f(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil` and runs under its store's lock.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from libkv.engine.settings cimport Settings
from libkv.structures.alloc cimport Heap
from libkv.structures.buffer cimport Buffer
from libkv.structures.order cimport Order
from libkv.structures.random cimport Random
from libkv.structures.table cimport Table

cdef enum:
    # what a command returns
    CALL_DONE = 0               # its reply (perhaps an error) is written
    CALL_BLOCK = 1              # nothing is written: the session waits for the keys in its `blocked`
    # types of values, Redis's numbers
    TYPE_STRING = 0
    TYPE_LIST = 1
    TYPE_SET = 2
    TYPE_ZSET = 3
    TYPE_HASH = 4
    TYPE_STREAM = 6
    # event classes of changed(), the letters of notify-keyspace-events
    EVENT_GENERIC = 1 << 2      # g
    EVENT_STRING = 1 << 3       # $
    EVENT_LIST = 1 << 4         # l
    EVENT_SET = 1 << 5          # s
    EVENT_HASH = 1 << 6         # h
    EVENT_ZSET = 1 << 7         # z
    EVENT_EXPIRED = 1 << 8      # x
    EVENT_EVICTED = 1 << 9      # e
    EVENT_STREAM = 1 << 10      # t
    EVENT_MISS = 1 << 11        # m
    EVENT_NEW = 1 << 14         # n

cdef struct Arg:
    const char* p
    size_t n
    uint64_t hash               # siphash(heap.seed, p, n) when `hashed`
    bint hashed

cdef struct Reply:
    Buffer* out
    uint8_t proto               # 2 or 3
    bint push                   # this client takes RESP3 pushes
    uint32_t errors             # error replies written; call() counts a failed call by it

cdef struct Queued:             # one command of a transaction: its arguments copied
    Arg* argv
    int argc
    void* cmd                   # Command*
    char* bytes
    size_t n_bytes

cdef struct WatchedKey:         # an item of Db.watched, key_at 8: the length-prefixed key follows
    Watch* first

cdef struct Watch:              # one session watches one key (engine/watch)
    Session* session
    Watch* next_of_session
    Watch* next_of_key
    WatchedKey* key
    Db* db
    bint expired                # the key was past its time when WATCH came: its deletion is no change

cdef enum:
    # Session.flags
    S_MULTI = 1 << 0
    S_DIRTY_CAS = 1 << 1        # a watched key was touched
    S_DIRTY_EXEC = 1 << 2       # a queued command was wrong
    S_CLOSE_ASAP = 1 << 3       # close now, drop what is not sent
    S_CLOSE_AFTER = 1 << 4      # close when the replies are out
    S_REPLY_OFF = 1 << 5
    S_REPLY_SKIP = 1 << 6       # this command's reply is dropped
    S_REPLY_SKIP_NEXT = 1 << 7
    S_UNIX = 1 << 8
    S_EMBEDDED = 1 << 9         # of this process: no connection
    S_NO_EVICT = 1 << 10
    S_DENY_BLOCKING = 1 << 11
    S_ATTACK = 1 << 12          # an HTTP request: closed without an answer, and logged
    S_BLOCKED = 1 << 13         # waits (engine/blocking): what it sends meanwhile stays in `unread`
    S_PAUSED = 1 << 14          # its next command waits for the end of CLIENT PAUSE: it lies in `unread`
    S_PUBSUB = 1 << 15          # has subscriptions
    S_MONITOR = 1 << 16
    S_TRACKING = 1 << 17        # client-side caching is on
    S_SCRIPT = 1 << 18          # the session that scripts' commands run in
    S_REPLICA = 1 << 19
    S_MASTER = 1 << 20
    S_RESUME = 1 << 21          # it waits no longer: the transport runs what lies in `unread`
    S_EVICTED = 1 << 22         # closed because of maxmemory-clients
    S_LISTENS = 1 << 23         # an embedded session whose `out` somebody reads; others get no pushes

cdef struct Session:
    Kv* kv
    Session* next               # in kv.sessions
    Session* prev
    uint64_t id
    int db
    uint8_t proto
    bint authenticated
    uint32_t flags
    Buffer out                  # replies not taken by the transport yet
    Buffer unread               # an unfinished command's bytes
    void* parser                # engine/session's parse state
    Queued* queue
    int queued
    int queue_cap
    size_t queue_bytes
    Watch* watches
    char* name                  # CLIENT SETNAME; NULL = none
    size_t name_n
    char addr[80]               # "ip:port", "path:0", or "" when embedded
    char laddr[80]
    int fd                      # for CLIENT LIST; -1 = embedded
    int64_t created_ms          # monotonic
    int64_t last_ms             # monotonic, of the last command
    void* last_cmd              # Command*
    uint64_t sent               # bytes of replies handed to the transport, ever
    uint64_t received
    void* transport             # the server's connection
    void (*kick)(Session* s) noexcept nogil     # tells the transport (any thread, lock held): flags or output changed
    void* blocked               # engine/blocking: what it waits for
    void* subscriptions         # engine/pubsub
    uint32_t n_channels
    uint32_t n_patterns
    uint32_t n_shard_channels
    void* tracking              # engine/tracking
    void* user                  # engine/acl: the User it is; NULL: the process itself, which may do everything
    uint64_t durable_at         # persistence/journal: its replies wait until the journal is on disk up to here
    uint64_t commands           # run, ever
    size_t argv_bytes           # of the command in work or waited with

cdef struct Db:
    Table keys                  # entries (engine/entry)
    Order expires               # (time in ms, entry), ties by pointer
    Table watched               # WatchedKey: engine/watch
    int id
    int64_t avg_ttl             # ms, a running estimate for INFO

cdef struct CommandStats:
    uint64_t calls
    uint64_t usec_x1000         # nanoseconds
    uint64_t rejected
    uint64_t failed

cdef struct SlowEntry:          # engine/slowlog
    int64_t id
    int64_t when                # unix seconds
    int64_t usec
    int argc
    Arg* argv
    char peer[80]
    char* name
    size_t name_n

cdef struct Stats:
    uint64_t commands
    uint64_t connections
    uint64_t rejected_connections
    uint64_t net_in
    uint64_t net_out
    uint64_t hits
    uint64_t misses
    uint64_t expired
    uint64_t expired_stale_perc_x100
    uint64_t expire_cap_reached
    uint64_t expire_cycle_us
    uint64_t evicted
    uint64_t error_replies
    uint64_t unexpected_errors
    uint64_t reads_processed
    uint64_t writes_processed
    uint64_t lazyfreed
    uint64_t dirty_since_save
    uint64_t peak_memory
    uint64_t max_query_buffer
    uint64_t max_output_buffer

cdef struct ErrorStat:          # one prefix of error replies ("ERR", "WRONGTYPE"): INFO errorstats
    char name[32]
    uint64_t count

cdef struct Doomed:             # engine/keyspace: something large that is freed in slices
    Doomed* next
    uint8_t what
    uint8_t layout
    void* ptr
    Table table

cdef struct Kv:
    Heap* heap
    Db* dbs
    int n_dbs
    void* lock                  # engine/lock
    Random random
    Settings* settings
    # time
    bint clock_fixed            # tests set the clock
    int64_t clock_wall          # ms, when fixed
    int64_t clock_mono          # us, when fixed
    int64_t now                 # wall clock in ms, read once a batch
    int64_t mono                # monotonic us, read once a batch
    uint32_t lru_clock          # 24 bits; seconds
    uint64_t read_at            # ticks() when the clocks were read
    # sessions
    Session* sessions
    uint64_t n_sessions
    uint64_t next_session_id
    uint64_t watchers           # sessions that watch something
    # effects
    bint effects_on             # somebody (a journal, replicas, a test) takes the effect stream
    Buffer effects              # RESP commands not taken yet
    int effects_db              # the database the stream is in; -1 = needs SELECT
    Buffer unit                 # effects of the command (or transaction) in work
    int unit_effects            # commands in `unit`
    int in_exec                 # depth of EXEC (later: scripts)
    bint loading
    bint active_expire          # DEBUG SET-ACTIVE-EXPIRE
    bint cron_paused            # DEBUG PAUSE-CRON
    # counters
    uint64_t dirty              # changes, ever
    Stats stats
    CommandStats* command_stats  # by Command.id
    int n_command_stats
    ErrorStat errors[128]
    int n_errors
    SlowEntry* slow             # newest first, ring
    int slow_cap
    int slow_head
    int slow_n
    int64_t slow_next_id
    Doomed* doomed
    uint64_t n_doomed           # objects in it, for INFO lazyfree_pending_objects
    int64_t started_ms          # wall
    int64_t started_mono        # us
    char run_id[41]
    bint shutdown_asked
    bint shutdown_nosave
    bint shutdown_force
    bint refusing_writes        # durability lost: writes answer -MISCONF
    # what hangs in the engine's choke points; each belongs to the module that is named
    uint32_t hooks              # HOOK_*: what a change of a key has to tell (engine/changes)
    bint ready                  # engine/blocking: a key that somebody waits for may be ready
    uint32_t n_blocked          # sessions with S_BLOCKED
    uint32_t n_monitors         # with S_MONITOR
    uint32_t n_tracking         # with S_TRACKING
    uint32_t n_pubsub           # with S_PUBSUB
    void* blocking              # engine/blocking
    void* pubsub                # engine/pubsub
    void* tracking              # engine/tracking
    void* acl                   # engine/acl
    void* scripting             # libkv/scripting
    void* latency               # engine/latency
    void* eviction              # engine/eviction
    void* journal               # persistence/journal
    void* snapshot              # persistence/snapshot
    void* replication
    int script_busy             # atomic: a script runs longer than busy-reply-threshold: others get -BUSY
    int64_t pause_until         # CLIENT PAUSE: monotonic ms; 0 = none
    bint pause_all              # all commands, not only writes
    void* server                # the Server that serves it, or NULL: engine knows it only as a pointer
    void* owner                 # the Python Store object (borrowed)

cdef struct Ctx:
    Kv* kv
    Heap* heap                  # kv.heap
    Session* session
    Db* db                      # the session's database
    void* cmd                   # Command*: the row in work
    int64_t now                 # wall clock, ms; frozen through a transaction
    uint64_t dirty0             # kv.dirty when the command began
    int effect                  # how this command's effect is told: EFFECT_*
    bint replay                 # commands of the effect stream or a file: no second check, no stats
    Arg* ready_key              # a blocked command is tried again, because of this key; NULL: its first time

cdef enum:
    EFFECT_VERBATIM = 0         # when it changed something: as it was called
    EFFECT_REPLACED = 1         # propagate() has told it
    EFFECT_NONE = 2

cdef enum:
    # Kv.hooks
    HOOK_WATCH = 1 << 0         # some session watches some key
    HOOK_NOTIFY = 1 << 1        # notify-keyspace-events is not empty
    HOOK_TRACKING = 1 << 2      # some client caches
    HOOK_BLOCKED = 1 << 3       # some session waits for a key
    # these only keep commands from the short cuts past the gates
    HOOK_PAUSED = 1 << 4        # CLIENT PAUSE is on
    HOOK_BUSY = 1 << 5          # a script runs longer than busy-reply-threshold
    HOOK_LIMITED = 1 << 6       # a session of the process itself is a user
    # DEBUG's levers
    HOOK_ANY_IN_SCRIPTS = 1 << 7    # SET-DISABLE-DENY-SCRIPTS: scripts may call what they otherwise must not
    HOOK_NO_CHECKSUM = 1 << 8   # SET-SKIP-CHECKSUM-VALIDATION: RESTORE takes payloads whose checksum is wrong

ctypedef int (*command_fn)(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
