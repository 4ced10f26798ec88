# The life of one command: from a parsed argv to its reply, statistics and effect.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Arg, Ctx, Db, Kv, Reply, Session
from libkv.engine.registry cimport Command
from libkv.structures.buffer cimport Buffer

cdef int call_command(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil
    # gates (unknown, arity, NOAUTH, queueing, ...), then call_execute; CALL_DONE, CALL_BLOCK or CALL_PAUSED (engine/blocking).
    # cmd may be NULL: looked up
cdef int call_execute(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil
    # no gates: runs it, counts it, logs it when slow, tells its effect

cdef void call_count_error(Kv* kv, Buffer* out, size_t mark) noexcept nogil     # an error reply at out[mark], for INFO errorstats

# A command that changed something is told to the effect stream as it was called, unless it says otherwise:
cdef inline bint propagating(Ctx* c) noexcept nogil:
    """Whether anybody takes effects: worth building an argv for propagate()."""
    return c.kv.effects_on and not c.replay

cdef void propagate(Ctx* c, Db* db, int argc, Arg* argv) noexcept nogil  # instead of the command this one (or several)
cdef void propagate_none(Ctx* c) noexcept nogil                             # nothing is told
# for an effect built piece by piece: propagate_begin(c, db, argc), then argc times propagate_arg
cdef void propagate_begin(Ctx* c, Db* db, int argc) noexcept nogil
cdef void propagate_arg(Ctx* c, const char* p, size_t n) noexcept nogil
cdef void propagate_int(Ctx* c, int64_t v) noexcept nogil
cdef void propagate_unit_end(Kv* kv) noexcept nogil     # moves kv.unit into kv.effects, in MULTI/EXEC when it holds several
