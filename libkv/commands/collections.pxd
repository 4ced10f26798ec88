# What commands on several types of collections share: hashes, sets and sorted sets, whose members lie in tables.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.structures.cell cimport Cell
from libkv.structures.table cimport Table

cdef enum:
    MEMBERS_AHEAD = 16          # members (or fields) whose places are fetched ahead

cdef inline uint64_t member_hash(Arg* a) noexcept nogil:
    """The hash of a member if the argument has one already; 0: it is to be made where it is needed."""
    return a.hash if a.hashed else 0

cdef void members_prefetch_slow(Ctx* c, Table* t, Arg* argv, int n, int step) noexcept nogil

cdef inline void members_prefetch(Ctx* c, Table* t, Arg* argv, int n, int step) noexcept nogil:
    """A hint: the members argv[0], argv[step], ... below n, up to MEMBERS_AHEAD of them, are about to be looked for.
    t: the collection's table, NULL when it is small."""
    if t != NULL and n > step:
        members_prefetch_slow(c, t, argv, n, step)

ctypedef uint64_t (*length_fn)(Cell* cell) noexcept nogil

cdef int collection_length(Ctx* c, Arg* argv, Reply* r, int type, length_fn length) noexcept nogil
    # LLEN, HLEN, SCARD, ZCARD
cdef void propagate_so_far(Ctx* c, Arg* argv, int n) noexcept nogil
    # the effect of a command that ended before argv[n]: itself up to there
cdef bint arg_draw(Arg* argv, int argc, const char* word, size_t word_n, int64_t* count, Reply* r) noexcept nogil
    # HRANDFIELD's and ZRANDMEMBER's arguments behind the key: a count, and perhaps the word, which doubles the reply; False:
    # Redis's error is replied
