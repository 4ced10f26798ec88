# Users in files: the file that `aclfile` names, one line a user, "user NAME RULE RULE ...".

from libkv.engine.acl_rules cimport AclUser
from libkv.engine.types cimport Kv, Session
from libkv.structures.buffer cimport Buffer

cdef bint acl_file_named(Kv* kv) noexcept nogil         # whether `aclfile` is set
cdef bint acl_file_load(Kv* kv, Session* by, Buffer* errors) noexcept nogil
    # all users of the file instead of the present ones, or none: False, and `errors` says what is wrong
cdef bint acl_file_save(Kv* kv, Buffer* errors) noexcept nogil
    # the file holds the old users or all of the new ones, whatever happens meanwhile
