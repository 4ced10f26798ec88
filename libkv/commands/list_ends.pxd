# What commands on lists share, the blocking ones too.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.entry cimport Entry
from libkv.engine.reply cimport reply_bulk, reply_int_bulk
from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.packed cimport packed_read

cdef struct ListPop:            # what LMPOP and BLMPOP ask for
    Arg* keys
    int n_keys
    bint front
    int64_t count

cdef bint list_mpop_options(Arg* argv, int argc, int at, ListPop* o, Reply* r) noexcept nogil
cdef bint list_mpop_key(Ctx* c, Arg* key, ListPop* o, Reply* r) noexcept nogil
cdef bint list_move(Ctx* c, Arg* argv, Reply* r, bint pop_front, bint push_front) noexcept nogil
cdef bint arg_side(Arg* a, bint* front, Reply* r) noexcept nogil       # LEFT or RIGHT, or a syntax error
cdef void reply_elements(Reply* r, Cell* cell, int64_t start, int64_t count, bint backwards) noexcept nogil
cdef void list_removed(Ctx* c, Arg* key, Entry* e, Cell* cell, const char* event, uint64_t n) noexcept nogil

cdef inline int list_fill(Ctx* c) noexcept nogil:
    return <int>c.kv.settings.list_max_listpack_size

cdef inline void reply_element(Reply* r, const char* at) noexcept nogil:
    cdef Slice s
    cdef int64_t v
    if packed_read(at, &s, &v):
        reply_int_bulk(r, v)
    else:
        reply_bulk(r, s.p, s.n)
