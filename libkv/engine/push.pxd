# What a session gets out of turn: messages, invalidations, MONITOR's lines; appended to its `out` by whoever causes them.
#
#   thread A, lock held:  command of session 1 -> push_begin(session 2) -> bytes -> push_end: limits, kick
#   thread B:             session 2's transport sends its `out`
#
# A push to the session whose own command is being executed must not land inside a reply that is half written.  As in
# Redis 7.0 it stands before the reply when the command has written nothing yet (PUBLISH to oneself: the message, then
# ":1"), and otherwise behind it, in Push.later until then; inside EXEC the reply is that of the one command.  Redis puts
# it between the elements of an array that is being written (MGET that comes upon an expired key); here it waits.
#
# One struct hangs in kv.pubsub; engine/pubsub keeps its channels in it, engine/monitor its listeners.

from libc.stdint cimport uint32_t

from libkv.engine.registry cimport Command
from libkv.engine.types cimport Arg, Ctx, Kv, Reply, Session
from libkv.structures.alloc cimport UNLIKELY
from libkv.structures.buffer cimport Buffer
from libkv.structures.table cimport Table

cdef enum:
    # client-output-buffer-limit's classes
    OUTPUT_NORMAL = 0
    OUTPUT_REPLICA = 1
    OUTPUT_PUBSUB = 2

cdef struct Push:               # kv.pubsub
    Session* at_work            # a command writes its reply into this session's `out`; NULL: none does
    size_t mark                 # where in `out` that reply begins
    bint before                 # between push_begin and push_end: a push goes before it
    Session* current            # the client whose request is in work: of a script's commands the script's caller
    Buffer later                # for at_work, behind its reply
    Table channels[3]           # engine/pubsub: Channel, by PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD
    Buffer message              # engine/pubsub: the message in work, encoded
    Session** monitors          # engine/monitor
    int n_monitors
    int monitors_cap

cdef struct PushFrame:          # of one command, on call_execute's stack
    bint on
    bint again                  # a command that has waited is tried again: MONITOR has shown it
    Session* at_work            # the outer command's, to be put back
    size_t mark
    Session* current

cdef int push_new(Kv* kv) noexcept nogil                # 0, or -1 without memory
cdef void push_delete(Kv* kv) noexcept nogil
cdef void push_forget(Session* s) noexcept nogil        # the session ends; lock held

cdef Buffer* push_begin(Session* s) noexcept nogil
    # where a push to s is to be appended (whole RESP values only); NULL: s is being closed.  Lock held.
cdef void push_end(Session* s) noexcept nogil           # then: output limits, and the transport is told
cdef void push_bytes(Session* s, const char* p, size_t n) noexcept nogil       # both, around one buffer_add
cdef Buffer* push_own(Ctx* c, Reply* r) noexcept nogil
    # where a command's reply goes that is a push itself (SUBSCRIBE's): CLIENT REPLY OFF does not drop it
cdef void push_listen(Session* s) noexcept nogil        # S_LISTENS; takes the lock itself
cdef int push_class(Session* s) noexcept nogil          # OUTPUT_*

# around a command's function, by call_execute, while anybody may be pushed to:
cdef inline bint push_needed(Kv* kv) noexcept nogil:
    """Whether somebody subscribes, caches or monitors: the one test on every command's way."""
    return UNLIKELY((kv.n_monitors | kv.n_tracking | kv.n_pubsub) != 0)

cdef void push_enter(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r, size_t mark, PushFrame* frame) noexcept nogil
cdef void push_leave(Ctx* c, Command* cmd, Arg* argv, int argc, PushFrame* frame) noexcept nogil
    # after the reply: what waited, MONITOR, what tracking remembers and invalidates
cdef void push_after_reply(Session* s) noexcept nogil
    # CLIENT REPLY OFF or SKIP has dropped a reply: what was pushed meanwhile is not dropped
