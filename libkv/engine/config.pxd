# A store's configuration: the value of every directive as text, and the Settings struct that compiled code reads.
#
# The table of directives (engine/directives.py) is read once at import into C arrays, so that CONFIG runs without Python
# under the store's lock.  Config begins with Settings, and kv.settings points to it:
#
#   Config  = Settings | values[n_directives] | hooks | file
#   values  : the text that CONFIG GET shows; the default's own bytes until a value is set
#
# All functions are called with the store's lock held, or before anybody else knows the store.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.settings cimport Settings
from libkv.engine.types cimport Arg, Kv
from libkv.structures.buffer cimport Buffer

cdef enum:
    # Directive.kind, as directives.py names them
    KIND_BOOL = 0
    KIND_ENUM = 1
    KIND_FLAGS = 2
    KIND_INTEGER = 3
    KIND_OCTAL = 4
    KIND_MEMORY = 5
    KIND_PERCENT = 6
    KIND_STRING = 7
    KIND_SAVE = 8
    KIND_OUTPUT_LIMIT = 9
    KIND_OOM_VALUES = 10
    KIND_PERCENTILES = 11
    KIND_BIND = 12
    KIND_EVENTS = 13
    KIND_DIR = 14
    KIND_REPLICAOF = 15
    KIND_TITLE = 16
    KIND_HOSTNAME = 17
    KIND_FILENAME = 18
    KIND_DEFRAG = 19
    # Directive.flags
    DIRECTIVE_IMMUTABLE = 1
    DIRECTIVE_PROTECTED = 2
    DIRECTIVE_HIDDEN = 4
    DIRECTIVE_MULTI = 8         # several words
    DIRECTIVE_SECRET = 16
    # Directive.field_kind: how the value stands in Settings
    FIELD_NONE = 0
    FIELD_INT = 1               # int (bint, an enum's index)
    FIELD_I64 = 2
    FIELD_U64 = 3
    # where a change comes from
    FROM_FILE = 0               # the file or the command line: immutable ones too; lines of save add up
    FROM_CLIENT = 1

cdef struct Directive:
    const char* name
    size_t name_n
    const char* fallback        # the default, as CONFIG GET shows it
    size_t fallback_n
    int id
    int kind
    int flags
    int field_kind
    size_t field_at             # offset in Settings
    int64_t low
    uint64_t high
    const char** words
    int n_words

cdef struct DirectiveName:      # a directive's name or its alias
    const char* name
    size_t n
    int id
    bint alias

cdef struct Value:
    const char* p               # NUL-terminated
    size_t n
    size_t size                 # bytes of the heap's piece; 0: the default's own text

cdef struct Change:             # one directive's new value: the words of a line, or CONFIG SET's one
    int name                    # index of config_name()
    Arg* words
    int n

# Called after directives with this hook have changed, at most once a CONFIG SET.  NULL: taken; else why it can't be (the
# old values come back and the hook is called again).
ctypedef const char* (*config_hook)(Kv* kv, void* owner, int directive) noexcept nogil

cdef enum:
    CONFIG_HOOKS = 64

cdef struct Hook:
    int directive
    config_hook fn
    void* owner

cdef enum:
    RATE_COMMANDS = 0
    RATE_IN = 1
    RATE_OUT = 2
    RATES = 3
    RATE_SAMPLES = 16

cdef struct Rates:              # engine/info: what INFO calls instantaneous, the mean of the last samples
    int64_t at_us               # monotonic, of the last sample; 0 = none
    uint64_t last[3]            # the counters then
    double samples[3][16]       # a second
    int next

cdef struct Config:
    Settings settings           # first: kv.settings is this Config
    Kv* kv
    Value* values               # by directive
    Hook hooks[CONFIG_HOOKS]
    int n_hooks
    int unixsocket              # the directive's id: proc-title-template asks whether there is one
    bint save_read              # a file's first line of save has replaced the default
    char* file                  # redis.conf's absolute path, for CONFIG REWRITE; NULL = none
    size_t file_size
    Rates rates
    uint64_t memory_at_start    # kv.heap.used without any key
    char error[512]
    void* renames               # engine/renames; NULL = no command is renamed
    int source                  # of the present change, for hooks: FROM_FILE or FROM_CLIENT

cdef int config_new(Kv* kv) noexcept nogil                      # sets kv.settings to all defaults; 0 or -1; needs kv.heap
cdef void config_delete(Kv* kv) noexcept nogil

cdef int config_count() noexcept nogil                          # directives
cdef Directive* config_directive(int id) noexcept nogil
cdef int config_names() noexcept nogil                          # names and aliases
cdef DirectiveName* config_name(int i) noexcept nogil
cdef int config_find(const char* p, size_t n) noexcept nogil    # index of config_name(), any case; -1
cdef int config_id(const char* name) noexcept nogil             # a directive by its own name; -1

cdef inline Config* config_of(Kv* kv) noexcept nogil:
    return <Config*>kv.settings

cdef inline Value* config_value(Kv* kv, int id) noexcept nogil:
    """The present value of a directive, as CONFIG GET shows it."""
    return &config_of(kv).values[id]

# all of them or none; NULL, or Redis's reason ("argument must be ...") and *culprit = the index of the change at fault
cdef const char* config_apply(Kv* kv, Change* changes, int n, int source, int* culprit) noexcept nogil
cdef const char* config_text_set(Kv* kv, const char* name, const char* p, size_t n) noexcept nogil  # from a file, no hooks
cdef int config_hook_add(Kv* kv, const char* name, config_hook fn, void* owner) noexcept nogil  # 0 or -1
cdef void config_hook_remove(Kv* kv, void* owner) noexcept nogil
cdef int config_file_set(Kv* kv, const char* path) noexcept nogil       # for CONFIG REWRITE; NULL = none; 0 or -1

# for Python code, with the GIL
cdef object config_put(Kv* kv, name, list words)                # one line of a file: None, or the error's text (str)
cdef object config_get(Kv* kv, name)                            # the value (str), or None: no such directive
