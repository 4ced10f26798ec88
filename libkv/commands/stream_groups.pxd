# What reading and claiming for a consumer group share.

from libkv.engine.types cimport Arg, Ctx
from libkv.structures.ids cimport StreamId
from libkv.structures.stream_types cimport StreamConsumer, StreamGroup, StreamPending

cdef StreamConsumer* consumer_made(Ctx* c, Arg* key, StreamGroup* g, Arg* name, bint* made) noexcept nogil
    # the consumer, made when it is not there (told as a change), and seen now; NULL: no memory
cdef void propagate_pending(Ctx* c, Arg* key, StreamGroup* g, const StreamId* id, StreamPending* pending) noexcept nogil
    # XCLAIM ... FORCE JUSTID: makes the entry pending elsewhere as it is here
