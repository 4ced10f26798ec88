# MONITOR: each command that is executed, as a line, to the sessions that asked for it.

from libkv.engine.registry cimport Command
from libkv.engine.types cimport Arg, Ctx, Kv, Session

cdef int monitor_add(Session* s) noexcept nogil         # 0, or -1 without memory; lock held
cdef void monitor_remove(Session* s) noexcept nogil
cdef void monitor_feed(Ctx* c, Command* cmd, Arg* argv, int argc) noexcept nogil
    # after a command; not those of administrators (CMD_ADMIN, CMD_SKIP_MONITOR), not a blocked one tried again
cdef void monitor_feed_script(Ctx* c, Command* cmd, Arg* argv, int argc) noexcept nogil
    # before EVAL and its like (CMD_SKIP_MONITOR), so that a script's commands stand behind it
