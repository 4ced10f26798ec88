# The command table: names, arity, flags, key positions and ACL categories, one row a command or subcommand.
#
# Facts are data (libkv/commands/facts/*.py, one file a Redis group); each module of libkv/commands binds its functions
# to rows by name at import; a row without a function is not in the table.  The table is constant afterwards and shared
# by all stores of the process.

from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from libkv.engine.keyspecs cimport KeySpecs
from libkv.engine.types cimport Arg, Ctx, Reply, command_fn

cdef enum:
    # Command.flags, Redis's names
    CMD_WRITE = 1 << 0
    CMD_READONLY = 1 << 1
    CMD_DENYOOM = 1 << 2
    CMD_ADMIN = 1 << 3
    CMD_PUBSUB = 1 << 4
    CMD_NOSCRIPT = 1 << 5
    CMD_BLOCKING = 1 << 6
    CMD_LOADING = 1 << 7
    CMD_STALE = 1 << 8
    CMD_SKIP_MONITOR = 1 << 9
    CMD_SKIP_SLOWLOG = 1 << 10
    CMD_ASKING = 1 << 11
    CMD_FAST = 1 << 12
    CMD_NO_AUTH = 1 << 13
    CMD_MAY_REPLICATE = 1 << 14
    CMD_NO_ASYNC_LOADING = 1 << 15
    CMD_NO_MULTI = 1 << 16
    CMD_MOVABLEKEYS = 1 << 17
    CMD_ALLOW_BUSY = 1 << 18
    CMD_NO_MANDATORY_KEYS = 1 << 19
    CMD_MODULE = 1 << 20
    CMD_CONTAINER = 1 << 21     # has subcommands (not a flag of Redis's)
    CMD_HOT = 1 << 22           # bounded point command: may run with the GIL held (ours)

    # what is done to a key, Redis's names: its value is read, read and written, overwritten, removed; ...
    CMD_KEY_RO = 1 << 0
    CMD_KEY_RW = 1 << 1
    CMD_KEY_OW = 1 << 2
    CMD_KEY_RM = 1 << 3
    # ... the user's data in it is returned, changed, added to, deleted; ...
    CMD_KEY_ACCESS = 1 << 4
    CMD_KEY_UPDATE = 1 << 5
    CMD_KEY_INSERT = 1 << 6
    CMD_KEY_DELETE = 1 << 7
    # ... and what the specification is worth
    CMD_KEY_NOT_KEY = 1 << 8
    CMD_KEY_INCOMPLETE = 1 << 9
    CMD_KEY_VARIABLE_FLAGS = 1 << 10

    FLAG_NAMES = 20             # CMD_WRITE .. CMD_NO_MANDATORY_KEYS have names;
    FLAGS_TOLD = 19             # all but CMD_MAY_REPLICATE are told to clients
    CATEGORY_NAMES = 21
    KEY_FLAG_NAMES = 11


cdef struct Command:
    const char* name            # "get", "config"; a subcommand's "get" of CONFIG GET
    uint32_t name_n
    const char* full            # "get", "config|get"
    uint32_t full_n
    command_fn fn               # NULL for a container that has only subcommands
    int arity                   # negative: at least
    uint64_t flags
    uint64_t categories         # ACL categories, one bit each in registry's order
    int first_key               # legacy triple of COMMAND INFO
    int last_key
    int key_step
    int id                      # 0 .. registry_count() - 1; index of kv.command_stats
    Command* parent
    Command** subs
    int n_subs
    void* specs                 # registry's own: key specifications (a Facts)

cdef struct Facts:              # what only COMMAND tells; texts are never NULL
    KeySpecs* keys
    const char* group
    const char* since
    const char* summary
    const char* complexity      # "": not told
    const char* tips            # words
    const char* doc             # words
    const char* deprecated_since    # "": it is not
    const char* replaced_by
    const char** history        # version, text, version, text, ..., NULL
    const char* args            # in the form of libkv.commands.facts.row

cdef Command* command_find(const char* p, size_t n) noexcept nogil           # any case; NULL
cdef Command* command_sub(Command* parent, const char* p, size_t n) noexcept nogil
cdef Command* command_by_id(int i) noexcept nogil
cdef int registry_count() noexcept nogil                                      # commands and subcommands
cdef int command_keys(Command* cmd, Arg* argv, int argc, int* positions, uint32_t* flags, int room) noexcept nogil
    # positions of the keys in argv (flags may be NULL: CMD_KEY_*); returns how many, -1 for invalid arguments;
    # more than room are counted but not written

cdef const char* command_flag_name(int bit) noexcept nogil                     # "write", ...; bit < FLAG_NAMES
cdef int command_flag_told(int i) noexcept nogil                   # the bit that COMMAND tells at place i < FLAGS_TOLD
cdef const char* command_category_name(int bit) noexcept nogil                 # "keyspace", ... (no @); bit < CATEGORY_NAMES
cdef const char* command_key_flag_name(int bit) noexcept nogil                 # "RO", ...; bit < KEY_FLAG_NAMES
cdef int command_category(const char* p, size_t n) noexcept nogil              # the bit's number, any case; -1: no such
cdef Command* command_find_full(const char* p, size_t n) noexcept nogil        # "get" or "config|get", any case; NULL
cdef Command* command_of(Arg* argv, int argc) noexcept nogil                   # the subcommand, where argv names one; NULL

cdef int registry_bind(str full_name, command_fn f) except -1   # at import: registry_bind("config|get", cmd_config_get)
