# A point in time of a store, written to a file while the store goes on.
#
# The interface knows no fork: start, look, end.  The implementation here is fork(2): the child has the memory as it was,
# and writes it with C code alone.  Before the fork everything it needs is allocated; it closes the application's
# descriptors, touches no Python, and ends with _exit.  It reports through a pipe, whose end tells the parent the truth:
# the application may reap the child itself, or have SIGCHLD ignored.
#
#   child:  progress*  result  _exit          report, 32 bytes: | kind (8) | value (8) | keys (8) | copied (8) |

from libc.stdint cimport int64_t, uint64_t

from libkv.disk.files cimport Files
from libkv.engine.types cimport Kv
from libkv.persistence.rdb cimport rdb_libraries_each
from libkv.persistence.rio cimport Sink

cdef enum:
    # what is written
    SNAPSHOT_RDB = 0            # dump.rdb
    SNAPSHOT_BASE = 1           # a journal's base as RDB
    SNAPSHOT_COMMANDS = 2       # the same as commands
    # snapshot_look()
    SNAPSHOT_NONE = 0
    SNAPSHOT_RUNNING = 1
    SNAPSHOT_DONE = 2           # the file is complete and on the disk, under its temporary name
    SNAPSHOT_FAILED = 3         # `error`: an errno, or 0: the child died; `signal`: by which signal, 0 unknown
    SNAPSHOT_PATH = 4096

cdef struct SnapshotFile:       # where the writer's bytes go: the argument of its Sink
    Files* files
    int fd
    bint incremental            # force to disk every few megabytes, so that the end has little to do
    uint64_t loose              # bytes since that was done
    int64_t key_delay           # us after each key
    int parent                  # process number; 0: in the foreground
    int pipe
    const char* path
    int64_t told_at             # monotonic us

cdef struct Snapshot:
    int kind
    int pid                     # 0 = none
    int pidfd                   # -1 = none
    int unreaped                # a child that has reported and may still be a zombie; 0 = none
    int pipe
    Sink sink
    SnapshotFile file
    char path[SNAPSHOT_PATH]    # of the temporary file
    int64_t began               # monotonic us
    uint64_t keys               # written so far
    uint64_t keys_total
    uint64_t copied             # bytes of memory that parent and child no longer share
    uint64_t copied_peak
    int64_t copied_at           # monotonic us of that figure
    int error
    int signal
    int64_t fork_us             # what the fork call took

cdef struct SnapshotPlan:
    int kind                    # SNAPSHOT_*
    rdb_libraries_each libraries
    const char* directory
    const char* name            # with one %d for the writer's process number
    bint checksum
    bint compress
    bint incremental_fsync
    int64_t key_delay           # us after each key: tests
    Files* files

# store's lock held; any thread.  0, or an errno
cdef int snapshot_start(Kv* kv, Snapshot* s, SnapshotPlan* plan) noexcept nogil
cdef int snapshot_look(Snapshot* s) noexcept nogil      # SNAPSHOT_*; after DONE or FAILED the snapshot is over
cdef void snapshot_end(Snapshot* s) noexcept nogil      # ends the child and removes its file
cdef void snapshot_reap(Snapshot* s) noexcept nogil     # a child that has reported earlier
# the same in the foreground: writes `path`, complete and on the disk when it returns; 0, or an errno
cdef int snapshot_write(Kv* kv, SnapshotPlan* plan, const char* path, uint64_t* keys) noexcept nogil
