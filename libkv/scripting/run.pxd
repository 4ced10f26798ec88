# A script in execution: from its keys and arguments to its reply, and what may end it before.
#
# While a script runs longer than busy-reply-threshold the lock is given away between two slices of it, and
# kv.script_busy says so: everything else is refused then but what may end the script.

from libc.stdint cimport uint32_t

from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.scripting.lua cimport LuaDebug, LuaState
from libkv.scripting.vm cimport Run, Scripting, Vm

cdef bint run_allowed(Ctx* c, uint32_t flags, bint readonly, Reply* r) noexcept nogil   # a script's flags; False: replied
cdef void run_execute(Ctx* c, Vm* vm, Run* run, uint32_t flags, bint readonly, Reply* r) noexcept nogil
    # runs run.function_ref with its keys and arguments; the caller has set these, name and argv
cdef void run_kill(Scripting* s, int kind, Reply* r) noexcept nogil             # SCRIPT KILL and FUNCTION KILL
cdef bint run_busy(Scripting* s, Reply* r) noexcept nogil
    # a script is in execution (what comes past the gates, an effect stream, may find one): replied BUSY
cdef bint run_words(Run* run, Arg* argv, int argc, const char* not_a_number, Reply* r) noexcept nogil
    # keys and arguments of argv, argv[2] being the number of keys; False: replied what is wrong with that
cdef int run_body(LuaState* L) noexcept nogil           # the C function that machines keep as the first value of their stack
cdef void run_hook(LuaState* L, LuaDebug* ar) noexcept nogil
cdef void run_failure(LuaState* L, Run* run) noexcept nogil     # replies the error on top
