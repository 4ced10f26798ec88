# One Lua state with what belongs to it, the state of a store's scripting, and a run: what all of libkv.scripting shares.
#
# A store has up to two machines, as Redis: one for EVAL's scripts and one for function libraries.  Each takes its memory
# from a heap of its own, so that its size is known, bounded, and given back at once.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.types cimport Arg, Ctx, Kv, Reply, Session
from libkv.scripting.lua cimport LuaState, lua, lua_fn
from libkv.structures.alloc cimport Heap
from libkv.structures.buffer cimport Buffer
from libkv.structures.table cimport Table

cdef enum:
    VM_SCRIPTS = 1              # EVAL
    VM_FUNCTIONS = 2            # FCALL

    # places in Lua's registry: strings that conversions need, pushed by lua.rawgeti without an allocation
    AT_OK = 1
    AT_ERR = 2
    AT_MAP = 3
    AT_SET = 4
    AT_DOUBLE = 5
    AT_BIG_NUMBER = 6
    AT_VERBATIM = 7
    AT_FORMAT = 8
    AT_STRING = 9
    AT_IGNORE = 10              # "ignore_error_stats_update": the error has been counted where it arose
    AT_SOURCE = 11
    AT_LINE = 12
    AT_KEYS = 13
    AT_ARGV = 14
    AT_NEWINDEX = 15
    AT_INDEX = 16
    AT_STRINGS = 16             # so many
    # ... and tables
    AT_GLOBALS = 17             # the protected table that scripts know as _G
    AT_HIDDEN = 18              # what stands behind it
    AT_LOADING = 19             # what stands behind it while a library loads
    AT_STRING_META = 20         # what getmetatable("") shows
    AT_BODY = 21                # the function that runs scripts
    AT_HANDLER = 22             # the function that makes a table of an error
    AT_LAST = 22

    # flags of scripts and functions
    SCRIPT_NO_WRITES = 1 << 0
    SCRIPT_ALLOW_OOM = 1 << 1
    SCRIPT_ALLOW_STALE = 1 << 2
    SCRIPT_NO_CLUSTER = 1 << 3
    SCRIPT_CROSS_SLOT = 1 << 4
    SCRIPT_COMPAT = 1 << 5      # EVAL without a shebang: what Redis did before flags were known
    # flags of a run
    RUN_READONLY = 1 << 0       # EVAL_RO, FCALL_RO, no-writes
    RUN_WROTE = 1 << 1          # a write command was called: it can't be killed any more
    RUN_ALLOW_OOM = 1 << 2
    RUN_TOLD = 1 << 3           # the log has its line about the slow script
    RUN_KILL_TOLD = 1 << 4      # ... and about its end
    RUN_FAILED = 1 << 5         # its reply has an error of its own, in whatever depth

    KILL_NONE = 0
    KILL_ASKED = 1              # SCRIPT KILL, FUNCTION KILL
    KILL_FORCED = 2             # the store or its server ends

    HOOK_STEPS = 100000         # instructions between two looks at the clock

cdef struct Vm:
    LuaState* L
    Heap* heap
    uint64_t limit              # bytes
    int kind                    # VM_*
    Scripting* of
    Buffer text                 # work area of the libraries: never in use across a call into Lua
    Buffer digits               # numbers among a command's arguments
    Arg* args                   # room for a command's arguments
    int args_room
    uint64_t runs
    void* loading               # functions: the Library in the making
    int64_t loading_since_us    # monotonic
    bint gc_touched             # a script has changed the collector's settings

cdef struct Run:                # a script in execution
    Ctx inner                   # of the commands it calls
    Reply inner_reply
    Session* caller
    const char* name            # SHA-1 in hex, or the function's name
    size_t name_n
    Vm* vm
    uint32_t flags
    bint replicate              # redis.set_repl
    int64_t started_us          # monotonic, real
    int64_t now                 # the store's clock, frozen
    int64_t mono
    int function_ref            # of the function, in the registry
    Arg* keys
    int n_keys
    Arg* args
    int n_args
    Reply* reply
    Arg* argv                   # EVAL's own, for FUNCTION STATS
    int argc

cdef struct Script:             # an item of Scripting.scripts, key_at 40: the SHA-1's 40 digits follow, length-prefixed
    int ref                     # the function in the registry
    uint32_t flags              # SCRIPT_*
    char* body
    size_t body_n
    uint64_t size               # of this struct
    uint64_t spare

cdef struct Scripting:
    Kv* kv
    Vm* scripts_vm              # NULL until needed
    Vm* functions_vm
    Session* session            # in which scripts' commands run: S_SCRIPT
    Buffer reply                # of a command in a script
    Run* run                    # in execution, or NULL
    int kill                    # atomic: KILL_*
    int ending                  # atomic: the store ends, and so do scripts that take long
    Table scripts               # Script by SHA-1
    uint64_t script_bytes       # of bodies and items
    Table libraries             # Library (libraries.pxd)
    Table functions
    uint64_t function_bytes
    uint64_t n_libraries
    uint64_t n_functions
    uint64_t random             # math.random's 48 bits
    void (*log)(Kv* kv, int level, const char* p, size_t n) noexcept nogil     # the server's; NULL: lines go nowhere
    void (*poll)(Kv* kv, Session* caller) noexcept nogil    # the server's: a round for its other clients, without the lock

cdef Vm* vm_new(Scripting* of, int kind, uint64_t limit) noexcept nogil    # NULL: no memory; lua_load has succeeded
cdef void vm_delete(Vm* vm) noexcept nogil
cdef void vm_relieve(Vm* vm) noexcept nogil             # collects garbage when little of the limit is left; no script runs

cdef extern from *:
    """
    static inline int kv_kill_get(int *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    static inline void kv_kill_set(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
    """
    int kill_get "kv_kill_get"(int* p) noexcept nogil
    void kill_set "kv_kill_set"(int* p, int v) noexcept nogil

cdef void vm_kill_check(LuaState* L) noexcept nogil     # raises when the run is to end: no pcall or coroutine keeps it alive

cdef inline bint vm_killed(Vm* vm) noexcept nogil:
    return kill_get(&vm.of.kill) != KILL_NONE and vm.of.run != NULL

cdef inline Vm* vm_of(LuaState* L) noexcept nogil:
    """The machine that a state belongs to: its allocator's argument."""
    cdef void* ud
    lua.getallocf(L, &ud)
    return <Vm*>ud

# ---- tables that scripts can read but not change
#
# Lua 5.1 knows none.  A protected table is an empty one whose metatable's __index leads to the table with the contents
# and whose __newindex raises; next, pairs, rawget, rawset, getmetatable and setmetatable are ours (sandbox) and see
# through it, so that scripts find what they find in Redis.

cdef void protect(LuaState* L) noexcept nogil           # the table on top becomes its protected face; may raise
cdef bint protected_behind(LuaState* L, int i) noexcept nogil
    # value i is a protected table: pushes what stands behind it and returns True; else pushes nothing
cdef void protect_meta(LuaState* L) noexcept nogil      # pops a table: what getmetatable shows for the protected one now on top
cdef bint protected_meta(LuaState* L, int i) noexcept nogil     # value i is protected: pushes what getmetatable shows (or nil)
cdef int protected_refuse(LuaState* L) noexcept nogil   # raises "Attempt to modify a readonly table", with the place
cdef void raise_text(LuaState* L, const char* text) noexcept nogil      # raises a string as it is, without the place
cdef void raise_error(LuaState* L, const char* text) noexcept nogil     # raises {err = text}
cdef void push_error(LuaState* L, const char* text) noexcept nogil      # pushes {err = text}
