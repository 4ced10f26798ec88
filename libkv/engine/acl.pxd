# Who may do what: the users of a store, whose a session is, and the check before each command.
#
# A session's `user` is NULL for the process itself (the embedded API, replayed effects): it may do everything until it
# says AUTH or RESET.  A network client begins as the user "default".  The common case, a user without limits, costs one test.

from libc.stdint cimport int16_t, int64_t, uint64_t

from libkv.engine.acl_rules cimport AclUser
from libkv.engine.registry cimport Command
from libkv.engine.types cimport Arg, Ctx, Kv, Reply, Session
from libkv.structures.alloc cimport Heap
from libkv.structures.buffer cimport Buffer

cdef enum:
    # the answers of a check, and the reasons of ACL LOG
    ACL_OK = 0
    ACL_DENIED_COMMAND = 1
    ACL_DENIED_KEY = 2
    ACL_DENIED_AUTH = 3
    ACL_DENIED_CHANNEL = 4

cdef struct Acl:                # kv.acl
    AclUser* users              # in the order of their names
    AclUser* standard           # "default"; always there
    int16_t* row_of             # by Command.id: the row of acl_rules
    void* log                   # engine/acl_log: the newest entry
    int64_t logged
    char secret[64]             # requirepass as it was last followed
    bint has_secret

cdef int acl_new(Kv* kv) noexcept nogil                 # 0 or -1; needs kv.settings
cdef void acl_delete(Kv* kv) noexcept nogil
cdef inline Acl* acl_of(Kv* kv) noexcept nogil:
    return <Acl*>kv.acl

# ---- users
cdef AclUser* acl_find(Kv* kv, const char* name, size_t n) noexcept nogil       # exact name; NULL
cdef bint acl_all_channels(Kv* kv) noexcept nogil       # acl-pubsub-default
cdef int acl_unmatched(Arg* words, int n) noexcept nogil
    # the word that opens a parenthesis which is never closed; -1
cdef int acl_apply(Heap* h, AclUser* u, Arg* words, int n, bint all_channels, Buffer* rule) noexcept nogil
    # rules one after another (words in parentheses are one rule): RULE_*, and in `rule` the one at fault
cdef bint acl_put(Kv* kv, const char* name, size_t n, Arg* words, int count, Session* by, int* code, Buffer* rule) noexcept nogil
    # makes or changes a user, or nothing: False
cdef bint acl_remove(Kv* kv, const char* name, size_t n, Session* by) noexcept nogil    # ends its sessions; not "default"
cdef void acl_replace(Kv* kv, AclUser* users, Session* by) noexcept nogil
    # these instead of all present ones (in any order; "default" among them or not); ends the others' sessions
cdef AclUser* acl_default_new(Kv* kv) noexcept nogil     # on nopass ~* &* +@all
cdef void acl_insert(AclUser** list, AclUser* u) noexcept nogil

# ---- sessions
cdef void acl_session_begin(Session* s) noexcept nogil  # a new session
cdef void acl_session_reset(Session* s) noexcept nogil  # RESET: as a network client begins
cdef bint acl_authenticate(Session* s, const char* name, size_t n, Arg* password) noexcept nogil
    # whether they are right, in constant time; the session is that user then
cdef inline AclUser* acl_user(Session* s) noexcept nogil:
    """The user that a session counts as, for its name."""
    return <AclUser*>s.user if s.user != NULL else acl_of(s.kv).standard

# ---- checks
cdef int acl_check(Kv* kv, AclUser* u, Command* cmd, Arg* argv, int argc, int* at) noexcept nogil
    # ACL_*; at: the argument that is denied (0: the command).  argc fits the command's arity.
cdef bint acl_refuse(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil     # for limited users: replies, logs
cdef bint acl_refuse_exec(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil    # a queued command, at EXEC
cdef inline bint acl_unlimited(Session* s) noexcept nogil:
    return s.user == NULL or (<AclUser*>s.user).unlimited
cdef bint acl_reads_all(Session* s, Command* cmd, Arg* argv, int argc) noexcept nogil
    # whether a command that may run could read every key (SORT's BY and GET)
cdef int acl_check_words(Session* s, Arg* argv, int argc) noexcept nogil
    # redis.acl_check_cmd: 1 allowed, 0 denied, -1 no such command
