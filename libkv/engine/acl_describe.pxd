# A user's rules as text: those that make the same user again, in Redis's normal form.

from libkv.engine.acl_rules cimport AclSelector, AclUser
from libkv.structures.buffer cimport Buffer

cdef void acl_describe(AclUser* u, Buffer* out) noexcept nogil          # what follows "user NAME " in ACL LIST
cdef void acl_describe_flags(AclUser* u, Buffer* out) noexcept nogil    # "on nopass", ...
cdef void acl_describe_keys(AclSelector* s, Buffer* out) noexcept nogil
cdef void acl_describe_channels(AclSelector* s, Buffer* out) noexcept nogil
cdef void acl_describe_commands(AclSelector* s, Buffer* out) noexcept nogil
