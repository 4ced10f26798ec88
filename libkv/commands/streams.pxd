# What the commands about streams share: IDs in arguments and replies, entries in replies.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.structures.ids cimport StreamId
from libkv.structures.stream cimport StreamIter
from libkv.structures.stream_types cimport Stream, StreamGroup

cdef enum:
    STREAM_ID_TEXT = 44         # bytes that a printed ID takes, rounded up

# An ID as Redis reads it: "ms-seq", or "ms" with missing_seq; unless `strict` also "-" and "+", the least and the greatest;
# with seq_given (not NULL) also "ms-*".  False: not an ID
cdef bint stream_id_parse(Arg* a, StreamId* id, uint64_t missing_seq, bint strict, bint* seq_given) noexcept nogil
cdef bint arg_stream_id(Arg* a, StreamId* id, uint64_t missing_seq, Reply* r) noexcept nogil    # strict; or the error is replied
cdef bint arg_interval(Arg* start, Arg* end, StreamId* low, StreamId* high, Reply* r) noexcept nogil
    # the two ends of an interval, each "(ID" when it is not part of it; end NULL: only a start
cdef bint stream_id_up(StreamId* id) noexcept nogil     # the next ID; False: there is none, and id is 0-0
cdef bint stream_id_down(StreamId* id) noexcept nogil
cdef bint stream_id_max(const StreamId* id) noexcept nogil
cdef int stream_id_print(char* out, const StreamId* id) noexcept nogil          # the length; no NUL

cdef void reply_stream_id(Reply* r, const StreamId* id) noexcept nogil
cdef void reply_entry(Reply* r, StreamIter* it) noexcept nogil                  # [ID, [field, value, ...]]
cdef int64_t reply_entries(Reply* r, Stream* s, const StreamId* low, const StreamId* high, bint backwards,
                           int64_t count) noexcept nogil
    # an array of at most `count` entries (0: all); how many

cdef bint reply_entry_at(Reply* r, Stream* s, const StreamId* id) noexcept nogil        # False: there is none, nothing is written
cdef void reply_no_group(Reply* r, Arg* key, Arg* group, const char* suffix) noexcept nogil     # -NOGROUP No such key ...
cdef void reply_no_group_of_key(Reply* r, Arg* key, Arg* group) noexcept nogil  # -NOGROUP No such consumer group ...

cdef Stream* stream_to_read(Ctx* c, Arg* key, Reply* r, bint* wrong) noexcept nogil     # NULL: none, or WRONGTYPE is replied
cdef Stream* stream_to_write(Ctx* c, Arg* key, Reply* r, bint* wrong) noexcept nogil
cdef void stream_told(Ctx* c, Arg* key, const char* event, uint64_t n) noexcept nogil
    # a change that counts and is notified, but that WATCH and caching clients aren't told of: what Redis does for groups
cdef void propagate_id(Ctx* c, const StreamId* id) noexcept nogil               # propagate_arg of an ID
cdef void propagate_set_id(Ctx* c, Arg* key, StreamGroup* g) noexcept nogil     # XGROUP SETID ... ENTRIESREAD ...
