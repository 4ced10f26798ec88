# What popping from sorted sets shares with the commands that wait for them.

from libc.stdint cimport int64_t

from libkv.engine.types cimport Arg, Ctx, Reply

cdef struct ZsetPop:            # what ZMPOP and BZMPOP ask for
    Arg* keys
    int n_keys
    bint largest
    int64_t count

cdef bint zset_mpop_options(Arg* argv, int argc, int at, ZsetPop* o, Reply* r) noexcept nogil
cdef bint zset_mpop_key(Ctx* c, Arg* key, ZsetPop* o, Reply* r) noexcept nogil
cdef bint zset_pop_key(Ctx* c, Arg* key, bint largest, Reply* r) noexcept nogil
