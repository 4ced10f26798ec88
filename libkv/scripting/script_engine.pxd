# A store's scripting: the interface behind which the interpreter lies.  The engine knows only this file; commands know
# also run (a script in execution) and libraries.  Everything is done under the store's lock.

from libc.stdint cimport uint64_t

from libkv.engine.types cimport Kv, Reply, Session
from libkv.scripting.vm cimport Script, Scripting

cdef struct ScriptFigures:      # for INFO and MEMORY STATS
    uint64_t vm_scripts         # bytes of the machines
    uint64_t vm_functions
    uint64_t scripts_bytes      # of the cached scripts
    uint64_t functions_bytes    # of the libraries
    uint64_t scripts
    uint64_t functions
    uint64_t libraries

cdef Scripting* scripting_of(Kv* kv) noexcept nogil             # made at first use; NULL: no memory
cdef void scripting_delete(Kv* kv) noexcept nogil               # in kv_delete
cdef void scripting_figures(Kv* kv, ScriptFigures* out) noexcept nogil
cdef Session* scripting_caller(Kv* kv) noexcept nogil           # whose script is in execution; NULL: none
cdef void scripting_end_run(Kv* kv) noexcept nogil
    # the store (or the server that runs it) ends, and a script that takes long with it; any thread, without the lock

cdef Script* script_find(Scripting* s, const char* sha) noexcept nogil          # 40 digits, lower case; NULL
cdef Script* script_load(Scripting* s, const char* body, size_t n, const char* sha, Reply* r) noexcept nogil
    # compiles and keeps it; NULL: the error is replied
cdef void scripts_flush(Scripting* s) noexcept nogil
