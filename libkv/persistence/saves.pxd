# Snapshots of a store to dump.rdb: at once, in the background, at the save points.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Kv
from libkv.persistence.durable cimport Durable
from libkv.persistence.snapshot cimport SnapshotPlan

# store's lock held
cdef void plan_fill(Kv* kv, SnapshotPlan* plan, int kind) noexcept nogil       # SNAPSHOT_*
cdef int save_now(Kv* kv) noexcept nogil                # SAVE; 0 or an errno
cdef int save_background(Kv* kv) noexcept nogil         # BGSAVE; 0 or an errno
cdef void save_stop(Kv* kv) noexcept nogil              # ends the child; its file takes no name any more
cdef void save_flushed(Kv* kv) noexcept nogil           # FLUSHALL: what is saved of the old keys goes, too
cdef bint save_due(Kv* kv, int64_t now) noexcept nogil     # a save point is reached; now: unix s
cdef bint save_wanted_at_end(Kv* kv) noexcept nogil     # SHUTDOWN without a word saves
# the keeper's, only `io` held, which it gives back
cdef void save_ended(Durable* d, bint good, int64_t began) noexcept nogil      # began: the child's Snapshot.began
