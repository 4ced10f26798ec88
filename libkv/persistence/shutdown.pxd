# What happens to the files before a server ends: children, journal, the last snapshot.

from libkv.engine.types cimport Kv

cdef bint shutdown_prepare(Kv* kv, bint save, bint nosave, bint force) noexcept nogil
    # store's lock held.  save, nosave: SHUTDOWN's words; neither: when there are save points.  False: the data can't be made
    # safe, so the server goes on (unless `force`)
