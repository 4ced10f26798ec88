# A store's durable side: one struct for the journal (AOF), the snapshots (RDB) and the thread that works for both.
#
#   command --> kv.effects --take--> pending --write--> file --fsync--> durable
#                 store's lock         m         io              io
#
# Offsets count the journal's bytes since the store was made: appended >= written >= durable.
#
# Three locks, always taken in this order: the store's, `io` (the journal's descriptor: held while it is written, forced to
# disk or exchanged), `m` (everything here that several threads look at; held for moments).
#
# The keeper is a thread of this store's.  It forces the journal to disk, exchanges and closes its files, collects
# snapshot children, and looks at the save points.  It waits for nobody but the disk, and it takes the store's lock only to
# start a child.  What a command does itself is memory and, unless the disk is busy, one write.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.disk.files cimport Files
from libkv.engine.durability cimport Durability
from libkv.engine.types cimport Kv
from libkv.persistence.manifest cimport MANIFEST_NAME, Manifest
from libkv.persistence.rdb cimport rdb_libraries_each
from libkv.persistence.rdb_format cimport RdbError
from libkv.persistence.snapshot cimport Snapshot
from libkv.structures.buffer cimport Buffer

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef unsigned long pthread_t
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_trylock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int pthread_cond_signal(pthread_cond_t*)
    int pthread_cond_broadcast(pthread_cond_t*)

ctypedef int (*rdb_library)(void* arg, Kv* kv, const char* code, size_t n, RdbError* error) noexcept nogil

cdef enum:
    # appendfsync: the index into the directive's words
    FSYNC_EVERYSEC = 0
    FSYNC_ALWAYS = 1
    FSYNC_NO = 2
    # Durable.state
    JOURNAL_OFF = 0
    JOURNAL_STARTING = 1        # switched on: a rewrite writes the base, the effects go to a temporary increment
    JOURNAL_ON = 2
    # Durable.rotate
    ROTATE_NO = 0
    ROTATE_WANTED = 1           # what lies before rotate_at ends the present file; then a new one
    ROTATE_DONE = 2             # the child may be waited for
    # Durable.save_mode
    SAVES_BY_COMMAND = 0        # an embedded store in memory: nothing is written unless it is asked for
    SAVES_BY_POINTS = 1         # save points and the end of the store write snapshots, as redis-server's do
    LOG_LINES = 32
    LOG_TEXT = 320
    SAVE_POINTS = 32
    SPIKES = 7                  # kinds of them: spikes.pxd
    PATH_ROOM = 4096

cdef struct Waker:              # a server's loop: told when held replies may go
    Waker* next
    void (*wake)(void* arg) noexcept nogil
    void (*log)(void* arg, int level, const char* text) noexcept nogil
    void* arg

cdef struct SavePoint:
    int64_t seconds
    uint64_t changes

cdef struct JournalSpike:
    int64_t ms                  # 0: none
    int64_t when                # seconds of Unix time

cdef struct LogLine:
    int level
    char text[LOG_TEXT]

cdef struct Durable:
    Durability head             # first: the engine knows only that
    Kv* kv
    Files* files
    pthread_mutex_t m
    pthread_mutex_t io
    pthread_mutex_t log_m
    pthread_cond_t work         # the keeper waits for it
    pthread_cond_t done         # callers of an embedded store wait for it
    pthread_t keeper
    bint running                # the keeper exists
    bint stop                   # m: it shall end
    bint asleep                 # m: it waits for longer than a second
    Waker* wakers               # m
    # settings, copied from the configuration (durable_configure; store's lock and m)
    int fsync_mode              # FSYNC_*
    bint lazy_on_rewrite        # no-appendfsync-on-rewrite
    bint timestamps
    bint rdb_base               # aof-use-rdb-preamble
    bint keep_history           # aof-disable-auto-gc
    int64_t growth              # auto-aof-rewrite-percentage
    int64_t growth_min          # auto-aof-rewrite-min-size, bytes
    bint stop_writes            # stop-writes-on-bgsave-error
    rdb_libraries_each libraries        # function libraries, when there are any: durable_set_libraries
    rdb_library library
    void* library_arg
    SavePoint points[SAVE_POINTS]
    int n_points
    int save_mode
    bint exclusive              # the directory is this process's
    char dir[PATH_ROOM]         # absolute
    char journal_dir[PATH_ROOM]         # dir/appenddirname
    char journal_name[MANIFEST_NAME]    # appendfilename
    char snapshot_name[MANIFEST_NAME]   # dbfilename
    # the journal
    int state                   # JOURNAL_*; changed under the store's lock and m
    int fd                      # io: the increment that is written; -1 = none
    int lock_fd                 # of the lock in journal_dir
    Manifest manifest           # io
    Buffer pending              # m
    int64_t pending_since       # m: monotonic us when the oldest byte of it came
    bint put_off                # m: some of it waits because the disk was busy
    Buffer writing              # io: being written, from writing_at on
    size_t writing_at
    uint64_t appended           # m
    uint64_t written            # m, changed with io held
    uint64_t durable            # m
    int64_t last_sync           # monotonic us
    int64_t last_stamp          # seconds of the last #TS annotation
    bint sync_busy              # m: a fsync runs
    uint64_t syncs              # fsyncs of the journal, ever
    uint64_t delayed            # writes whose replies had to wait for a late fsync (everysec)
    uint32_t holding            # m: replies and callers that wait
    uint32_t joined             # m: of these, since the last fsync began
    uint32_t company            # m: how many the next fsync waits for
    int64_t sync_us             # running mean of a fsync's time
    int64_t gather_until        # m: ... at most till then; 0 = it doesn't
    int gather_off              # fsyncs that don't wait: it didn't pay
    int rotate                  # m
    bint aside                  # io: the new increment has a temporary name until the base is there
    uint64_t rotate_at          # m
    uint64_t size               # io: bytes of the increment that is written
    uint64_t base_size          # of base and increments after the last rewrite (or start)
    uint64_t whole_size         # of base and increments now
    int error                   # m: errno of the last failed write (0: none), which will be tried again
    int64_t error_at            # monotonic us of it
    int broken                  # m: errno of a failed fsync (or of any failure with `always`): only a new base heals it
    bint fatal                  # m: `broken` where redis-server would exit
    # m: for the latency monitor (spikes.pxd)
    int64_t spike_least         # latency-monitor-threshold, ms; 0 = off
    JournalSpike spikes[SPIKES]         # the worst of each kind that it doesn't know yet
    bint spiked                 # there are some
    # rewriting
    bint rewriting              # a child writes a base
    bint rewrite_scheduled
    int rewrite_failures        # one after another
    int64_t rewrite_retry_at    # monotonic us
    int64_t rewrite_began       # unix s
    int64_t rewrite_seconds     # of the last one, -1
    bint rewrite_ok
    uint64_t rewrites
    uint64_t rewrite_cow
    # snapshots
    Snapshot snapshot
    bint saving                 # a child writes an RDB file
    bint save_scheduled
    char save_path[PATH_ROOM]   # of the snapshot that the child writes: `dir` may change meanwhile
    uint64_t dirty_saved        # kv.dirty at the last save that succeeded
    uint64_t dirty_forked       # kv.dirty when the present child began
    int64_t last_save           # unix s
    int64_t last_try            # unix s, of a background save
    bint save_ok
    int64_t save_began          # unix s
    int64_t save_seconds        # of the last background save, -1
    uint64_t saves
    uint64_t save_cow
    # loading
    int64_t loading_began       # unix s
    uint64_t loading_total      # bytes
    uint64_t loading_done       # atomic
    uint64_t load_keys
    uint64_t load_expired
    # log lines that no server takes
    LogLine lines[LOG_LINES]
    int first_line
    int n_lines
    char trouble[5120]          # why the last start failed
    int64_t loose_since         # m: monotonic us, at the latest when the oldest byte came that is not forced to disk
    int64_t load_used_mem       # of the server that wrote the snapshot that was loaded last: bytes
    uint64_t load_dropped       # keys and commands that the last load has passed over
    bint skip_unsupported       # what the store can't hold is passed over when files are loaded

cdef inline Durable* durable_of(Kv* kv) noexcept nogil:
    return <Durable*>kv.journal

cdef int durable_attach(Kv* kv, Files* files) noexcept nogil            # 0 or -1
cdef void durable_detach(Kv* kv) noexcept nogil
    # without the store's lock: everything written is made durable, the keeper ended, files closed.  Saves nothing
cdef void durable_forget(Kv* kv) noexcept nogil         # in a forked child: gives up descriptors, touches nothing else
cdef void durable_configure(Kv* kv) noexcept nogil      # store's lock held: copies the settings
cdef int durable_start_keeper(Durable* d) noexcept nogil        # 0 or an errno; does nothing when it is there
cdef void durable_call_keeper(Durable* d) noexcept nogil        # m held: there is work
cdef void durable_wake(Durable* d) noexcept nogil       # m held: held replies and waiting callers look again
cdef void durable_add_waker(Kv* kv, Waker* w) noexcept nogil
cdef void durable_remove_waker(Kv* kv, Waker* w) noexcept nogil
cdef void durable_refuse(Durable* d) noexcept nogil     # store's lock held: sets kv.refusing_writes and the text from the state
cdef void durable_set_libraries(Kv* kv, rdb_libraries_each each, rdb_library load, void* arg) noexcept nogil
    # what snapshots hold besides keys (rdb.pxd); store's lock held
cdef int64_t durable_now() noexcept nogil               # monotonic us
cdef int64_t durable_wall() noexcept nogil              # unix s
cdef int durable_child_active(Durable* d) noexcept nogil

# level: LOG_... (settings.pxd)
cdef void durable_log(Durable* d, int level, const char* format, const char* a, const char* b) noexcept nogil  # two %s
cdef void durable_log_n(Durable* d, int level, const char* format, int64_t a, int64_t b) noexcept nogil        # two %lld
cdef bint durable_take_line(Durable* d, LogLine* line) noexcept nogil       # the oldest line that no server has taken
