# Loading: a snapshot, or a journal's parts one after another.
#
# A torn end of the last part (the process or the machine stopped in the middle of a write) is cut off, when
# aof-load-truncated allows it: an unfinished command or transaction, and what may follow it of NUL bytes, as some file
# systems leave them.  Anything else that can't be read is refused, with its offset.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Kv

cdef enum:
    # of what, for load_store
    LOAD_CONFIGURED = 0         # as redis-server: the journal when appendonly is yes, else dump.rdb
    LOAD_JOURNAL = 1            # DEBUG LOADAOF
    LOAD_SNAPSHOT = 2           # DEBUG RELOAD

# Takes the store's lock, and gives it away now and then (kv.loading keeps others from the data).  until: seconds of Unix
# time, effects stamped later are not applied and no file is changed; 0: all.  0, or an errno and d.trouble: what was read
# before the trouble is in the store.
cdef int load_store(Kv* kv, int what, int64_t until) noexcept nogil
cdef int load_locked(Kv* kv, int what, int64_t until, bint merge) noexcept nogil        # the same with the lock held, and kept
