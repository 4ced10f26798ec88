# ACL LOG: what was denied, newest first; the same within a minute is one entry that counts.

from libc.stdint cimport int64_t

from libkv.engine.types cimport Arg, Kv, Session
from libkv.structures.buffer cimport Buffer

cdef enum:
    # where it was tried
    ACL_TOPLEVEL = 0
    ACL_IN_MULTI = 1
    ACL_IN_SCRIPT = 2

cdef struct AclDenied:          # object, user and client follow, one after another
    AclDenied* next
    int64_t count
    int64_t at                  # wall clock, ms
    int reason                  # ACL_DENIED_*
    int context
    size_t object_n
    size_t user_n
    size_t client_n

cdef inline char* acl_denied_text(AclDenied* e) noexcept nogil:
    return <char*>e + sizeof(AclDenied)

# the line of CLIENT LIST of a session, without its end
ctypedef void (*acl_describe_session)(Session* s, size_t argv_bytes, Buffer* out) noexcept nogil

cdef void acl_log_describe_with(acl_describe_session f) noexcept nogil      # at import
cdef void acl_log_add(Session* s, int reason, const char* object, size_t object_n, const char* user, size_t user_n,
                      size_t argv_bytes) noexcept nogil
    # argv_bytes: of the arguments of the command in work.  Without memory nothing is logged
cdef void acl_log_trim(Kv* kv, int64_t keep) noexcept nogil
cdef void acl_log_free(Kv* kv) noexcept nogil
