# Hints ahead of a batch: the cache misses of its commands overlap.  Never more than hints: a batch of one gives the
# same replies.

from libkv.engine.registry cimport Command
from libkv.engine.types cimport Arg, Ctx, Db, Kv

cdef enum:
    PREFETCH_MAX = 32           # commands, or keys of one command, at a time

cdef struct Job:                # one parsed command
    Arg* argv
    int argc
    Command* cmd                # NULL: unknown

cdef void prefetch_batch(Kv* kv, Db* db, Job* jobs, int n) noexcept nogil       # n <= PREFETCH_MAX; first keys are hashed
cdef void prefetch_keys(Ctx* c, Arg* argv, int argc, int first, int step) noexcept nogil    # of MGET, MSET, DEL
