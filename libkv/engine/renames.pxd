# Commands' names as a store's configuration has changed them: the directive rename-command.
#
# The command table is shared by all stores of the process, so a store that renames keeps a list of its own, nearly always
# none: config_of(kv).renames.  It is made before the store serves anybody, and read without the lock.

from libkv.engine.config cimport config_of
from libkv.engine.registry cimport Command, command_find
from libkv.engine.types cimport S_EMBEDDED, Arg, Kv, Session
from libkv.structures.alloc cimport LIKELY

cdef struct Rename:
    Command* cmd
    char* name                  # NULL: it has none any more
    size_t n

cdef struct Renames:
    Rename* rows
    int n

cdef const char* rename_add(Kv* kv, const char* old, size_t old_n, const char* new_, size_t new_n) noexcept nogil
    # new_n = 0: removes it.  NULL, or Redis's reason why it can't be
cdef void renames_delete(Kv* kv) noexcept nogil
cdef Command* rename_find(Kv* kv, const char* p, size_t n) noexcept nogil
cdef bint rename_hides(Kv* kv, Command* cmd) noexcept nogil         # whether it has no name any more
cdef Command* rename_find_full(Kv* kv, const char* p, size_t n) noexcept nogil      # "get" or "config|get"; NULL

cdef Command* rename_find_words(Kv* kv, Arg* argv, int argc) noexcept nogil         # the subcommand, where argv names one

cdef inline Command* command_named(Session* s, const char* p, size_t n) noexcept nogil:
    """The row that a client means by this name, in any case; NULL.  The application that embeds the store, and the
    effects of a store that renamed nothing, are understood by the commands' own names, too."""
    cdef Command* cmd
    if LIKELY(config_of(s.kv).renames == NULL):
        return command_find(p, n)
    cmd = rename_find(s.kv, p, n)
    if cmd == NULL and s.flags & S_EMBEDDED:
        return command_find(p, n)
    return cmd
