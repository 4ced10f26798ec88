# What commands on sorted sets share.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.zset cimport zset_add
from libkv.structures.zset_ranges cimport LexBound, ScoreRange

cdef void zset_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil
    # writes the cell back, tells that n > 0 members went, and deletes the key with the last one
cdef bint zset_stored(Ctx* c, Arg* key, Cell* cell, const char* event, Reply* r) noexcept nogil
    # the end of a ...STORE command: the result in `cell` takes the key's place, or deletes it when empty; replies the
    # number of members.  Takes the cell.  False: no memory, which is replied
cdef int cmd_zadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
# a range's two bounds; False: Redis's error is replied
cdef bint arg_score_range(Arg* low, Arg* high, ScoreRange* range, Reply* r) noexcept nogil
cdef bint arg_lex_range(Arg* low, Arg* high, LexBound* a, LexBound* b, Reply* r) noexcept nogil

cdef inline int zset_put(Ctx* c, Cell* cell, double* score, const char* p, size_t n, uint64_t hash, int flags) noexcept nogil:
    """zset_add with the store's limits of a flat buffer."""
    return zset_add(c.heap, cell, score, p, n, hash, flags, <uint64_t>c.kv.settings.zset_max_listpack_entries,
                    <uint64_t>c.kv.settings.zset_max_listpack_value)
