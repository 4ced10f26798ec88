# A machine made ready: Lua's libraries, ours, the sandbox around them.

from libkv.engine.types cimport Reply
from libkv.scripting.vm cimport Scripting, Vm

cdef Vm* machine_of(Scripting* s, int kind, Reply* r) noexcept nogil     # VM_*: made at first use; NULL: replied why not
