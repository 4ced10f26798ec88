# The journal's files: found and opened at the start, exchanged, rewritten, removed.
#
#   dir/appendonlydir/appendonly.aof.manifest          which files count (manifest.pxd)
#                     appendonly.aof.3.base.rdb        the state when rewrite 3 began
#                     appendonly.aof.3.incr.aof        what happened since
#                     appendonly.aof.lock              locked (flock) by the process that writes here
#
# A power cut at any moment leaves a manifest whose files are complete: what is new is forced to disk, with its name,
# before the manifest names it; what is old is removed after the manifest has stopped naming it.

from libkv.engine.types cimport Kv
from libkv.persistence.durable cimport Durable

# start, before anybody else knows the store or with its lock held
cdef int aof_find(Durable* d) noexcept nogil
    # reads the manifest into d.manifest, upgrades an old single file; 0 (d.manifest.n == 0: there is none) or an errno,
    # d.trouble says what
cdef int aof_lock(Durable* d) noexcept nogil            # makes and locks journal_dir; 0 or an errno, as above
cdef int aof_open(Kv* kv) noexcept nogil
    # after loading: a base where there is none, an increment to append to; the journal is on.  0 or an errno, as above
cdef void aof_close(Durable* d) noexcept nogil          # io held: gives the descriptors up

cdef int aof_exchange(Durable* d) noexcept nogil        # io held: opens the next increment; 0 or an errno
# store's lock held
cdef int aof_rewrite(Kv* kv) noexcept nogil             # starts a child that writes a new base; 0 or an errno
cdef int aof_switch_on(Kv* kv) noexcept nogil           # CONFIG SET appendonly yes; 0 or an errno
cdef void aof_switch_off(Kv* kv) noexcept nogil
cdef void aof_stop_rewrite(Kv* kv) noexcept nogil       # ends the child
# the keeper's, no lock held
cdef void aof_end_rewrite(Durable* d, bint good) noexcept nogil         # the child has ended
